//! Entries: what the payload of a frame says. Bytes in, bytes out; must never guess: a payload that isn't exactly one entry, with the
//! definitions that its segment lacked behind it, is damage.
//!
//! A payload that begins with `{` is a record as JSON. The others, integers little-endian, *number* being LEB128 of 64 bits:
//!
//! - decision: `1 | flags u8 | draft number | session number | seq number | decided_at i64 | parameters digest 32, if flagged`;
//!   flags: bits 0 and 1 the phase (0 simple, 1 prepare, 2 execute, 3 both), bit 2 a parameters digest is there; bit 3: behind it stands its
//!   text, which is another one than the draft's: `SQL digest 32`, then by flag, in this order: bit 4 `facts digest 32`, bit 5
//!   `length number | SQL`
//! - end: `2 | flags u8 | outcome u8 | session number | seq number | ended_at i64 | rows number | bytes number | duration_us number`, then
//!   by flag, in this order: bit 0 `length number | SQLSTATE`, bit 1 `count number | (output column number | values number) each`, bit 2
//!   `result digest 32`
//! - definitions, any number of them: `0x13 (draft) or 0x12 (session) | number | length number | body`: a draft's is that of
//!   [`crate::draft::body`], a session's that of [`crate::draft::SessionPart`]. `0x11` is a draft of earlier builds: a decision's record as
//!   JSON, empty where occasions differ

use crate::draft::{Definition, Draft, Ending, Entry, Occasion, Wording, Wordless};
use crate::record::{Micros, Outcome, Phase};

const DECISION: u8 = 1;
const END: u8 = 2;
const DRAFT_JSON: u8 = 0x11;
const SESSION: u8 = 0x12;
const DRAFT: u8 = 0x13;

const PHASE_BITS: u8 = 0b011;
const HAS_PARAMETERS: u8 = 0b100;
const HAS_WORDING: u8 = 0b1000;
const HAS_FACTS: u8 = 0b1_0000;
const HAS_SQL: u8 = 0b10_0000;

const HAS_SQLSTATE: u8 = 0b001;
const HAS_MASKED: u8 = 0b010;
const HAS_RESULT: u8 = 0b100;

/// Bytes of a definition beside its body, at most: kind, two numbers.
const DEFINITION_BYTES_MAX: usize = 21;

/// What a payload begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// A record as JSON: the whole payload.
    Json(&'a [u8]),
    /// A decision.
    Decision(DecisionRead<'a>),
    /// An end.
    End(EndRead<'a>),
}

/// A decision; `draft` and `session` are numbers of definitions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DecisionRead<'a> {
    pub(super) draft: u64,
    pub(super) session: u64,
    pub(super) seq: u64,
    pub(super) phase: Phase,
    pub(super) decided_at: Micros,
    pub(super) parameters_digest: Option<[u8; 32]>,
    pub(super) wording: Option<WordingRead<'a>>,
}

/// A text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WordingRead<'a> {
    pub(super) sql: Option<&'a str>,
    pub(super) sql_digest: [u8; 32],
    pub(super) facts_digest: Option<[u8; 32]>,
}

/// An end; `session` is the number of a definition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EndRead<'a> {
    pub(super) session: u64,
    pub(super) seq: u64,
    pub(super) ended_at: Micros,
    pub(super) outcome: Outcome,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) duration_us: u64,
    pub(super) sqlstate: Option<&'a str>,
    pub(super) values_masked: Vec<(u32, u64)>,
    pub(super) result_digest: Option<[u8; 32]>,
}

/// A definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DefinitionRead<'a> {
    Draft(u64, &'a [u8]),
    /// The same of an earlier build.
    DraftJson(u64, &'a [u8]),
    Session(u64, &'a [u8]),
}

/// Appends an entry without its definitions.
pub(super) fn write(entry: &Entry<'_>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match entry {
        Entry::Whole(record) => serde_json::to_writer(out, record.as_ref())?,
        Entry::Decision(draft, occasion) => write_decision(draft, None, occasion, out),
        Entry::Reworded(Wordless(draft), wording, occasion) => {
            write_decision(draft, Some(wording), occasion, out);
        }
        Entry::End(ending) => write_end(ending, out),
    }
    Ok(())
}

/// Appends those of the entry's definitions that `is_wanted` wants.
pub(super) fn write_definitions(
    entry: &Entry<'_>,
    is_wanted: impl Fn(&Definition) -> bool,
    out: &mut Vec<u8>,
) {
    let (draft, session) = entry.definitions();
    for (kind, definition) in [(DRAFT, draft), (SESSION, session)] {
        let Some(definition) = definition.filter(|definition| is_wanted(definition)) else {
            continue;
        };
        out.push(kind);
        write_number(definition.number, out);
        write_number(definition.body.len() as u64, out);
        out.extend_from_slice(&definition.body);
    }
}

/// Bytes that an entry's definitions add, at most.
pub(super) fn definitions_bytes_max(entry: &Entry<'_>) -> usize {
    let (draft, session) = entry.definitions();
    let bytes = |definition: &Definition| definition.body.len() + DEFINITION_BYTES_MAX;
    draft.map_or(0, bytes) + session.map_or(0, bytes)
}

fn write_decision(
    draft: &Draft,
    wording: Option<&Wording>,
    occasion: &Occasion<'_>,
    out: &mut Vec<u8>,
) {
    let phase = match occasion.phase {
        Phase::Simple => 0,
        Phase::Prepare => 1,
        Phase::Execute => 2,
        Phase::PrepareExecute => 3,
    };
    let flags = flag(occasion.parameters_digest.is_some(), HAS_PARAMETERS)
        | flag(wording.is_some(), HAS_WORDING)
        | flag(
            wording.is_some_and(|one| one.facts_digest.is_some()),
            HAS_FACTS,
        )
        | flag(wording.is_some_and(|one| one.sql.is_some()), HAS_SQL);
    out.extend_from_slice(&[DECISION, phase | flags]);
    write_number(draft.0.number, out);
    write_number(occasion.session.0.number, out);
    write_number(occasion.seq, out);
    out.extend_from_slice(&occasion.decided_at.0.to_le_bytes());
    if let Some(digest) = &occasion.parameters_digest {
        out.extend_from_slice(digest);
    }
    if let Some(wording) = wording {
        write_wording(wording, out);
    }
}

fn write_wording(wording: &Wording, out: &mut Vec<u8>) {
    out.extend_from_slice(&wording.sql_digest);
    if let Some(digest) = &wording.facts_digest {
        out.extend_from_slice(digest);
    }
    if let Some(sql) = &wording.sql {
        write_number(sql.len() as u64, out);
        out.extend_from_slice(sql.as_bytes());
    }
}

/// The flag, if what it is of is there.
fn flag(is_there: bool, flag: u8) -> u8 {
    if is_there { flag } else { 0 }
}

fn write_end(ending: &Ending<'_>, out: &mut Vec<u8>) {
    let flags = flag(ending.sqlstate.is_some(), HAS_SQLSTATE)
        | flag(!ending.values_masked.is_empty(), HAS_MASKED)
        | flag(ending.result_digest.is_some(), HAS_RESULT);
    out.extend_from_slice(&[END, flags, outcome_byte(ending.outcome)]);
    write_number(ending.session.0.number, out);
    write_number(ending.seq, out);
    out.extend_from_slice(&ending.ended_at.0.to_le_bytes());
    for number in [ending.rows, ending.bytes, ending.duration_us] {
        write_number(number, out);
    }
    if let Some(sqlstate) = ending.sqlstate {
        write_number(sqlstate.len() as u64, out);
        out.extend_from_slice(sqlstate.as_bytes());
    }
    if !ending.values_masked.is_empty() {
        write_number(ending.values_masked.len() as u64, out);
        for (output, values) in ending.values_masked {
            write_number(u64::from(*output), out);
            write_number(*values, out);
        }
    }
    if let Some(digest) = &ending.result_digest {
        out.extend_from_slice(digest);
    }
}

fn outcome_byte(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Completed => 0,
        Outcome::Failed => 1,
        Outcome::Denied => 2,
        Outcome::Skipped => 3,
        Outcome::Cut => 4,
        Outcome::Unknown => 5,
        Outcome::Withdrawn => 6,
    }
}

fn outcome(byte: u8) -> Option<Outcome> {
    match byte {
        0 => Some(Outcome::Completed),
        1 => Some(Outcome::Failed),
        2 => Some(Outcome::Denied),
        3 => Some(Outcome::Skipped),
        4 => Some(Outcome::Cut),
        5 => Some(Outcome::Unknown),
        6 => Some(Outcome::Withdrawn),
        _ => None,
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What is left of a payload.
pub(super) struct Rest<'a>(&'a [u8]);

/// Reads the entry that a payload begins with; what is left are its definitions. `None` when it is none.
pub(super) fn read(payload: &[u8]) -> Option<(Read<'_>, Rest<'_>)> {
    if payload.first() == Some(&b'{') {
        return Some((Read::Json(payload), Rest(&[])));
    }
    let mut rest = Rest(payload);
    let read = match rest.byte()? {
        DECISION => Read::Decision(rest.decision()?),
        END => Read::End(rest.end()?),
        _ => return None,
    };
    Some((read, rest))
}

impl<'a> Rest<'a> {
    /// The next definition; `Some(None)` behind the last, `None` when there is something else.
    #[expect(
        clippy::option_option,
        reason = "the end of a payload and damage in it are two things"
    )]
    pub(super) fn definition(&mut self) -> Option<Option<DefinitionRead<'a>>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let kind = self.byte()?;
        let number = self.number()?;
        let bytes = usize::try_from(self.number()?).ok()?;
        let body = self.take(bytes)?;
        match kind {
            DRAFT => Some(Some(DefinitionRead::Draft(number, body))),
            DRAFT_JSON => Some(Some(DefinitionRead::DraftJson(number, body))),
            SESSION => Some(Some(DefinitionRead::Session(number, body))),
            _ => None,
        }
    }

    fn decision(&mut self) -> Option<DecisionRead<'a>> {
        let flags = self.byte()?;
        let of_wording = HAS_WORDING | HAS_FACTS | HAS_SQL;
        let is_stray = flags & HAS_WORDING == 0 && flags & of_wording != 0;
        if is_stray || flags & !(PHASE_BITS | HAS_PARAMETERS | of_wording) != 0 {
            return None;
        }
        let phase = match flags & PHASE_BITS {
            0 => Phase::Simple,
            1 => Phase::Prepare,
            2 => Phase::Execute,
            _ => Phase::PrepareExecute,
        };
        Some(DecisionRead {
            phase,
            draft: self.number()?,
            session: self.number()?,
            seq: self.number()?,
            decided_at: self.micros()?,
            parameters_digest: self.digest(flags & HAS_PARAMETERS)?,
            wording: match flags & HAS_WORDING {
                0 => None,
                _ => Some(self.wording(flags)?),
            },
        })
    }

    fn wording(&mut self, flags: u8) -> Option<WordingRead<'a>> {
        let sql_digest = self.digest(HAS_WORDING)??;
        Some(WordingRead {
            sql_digest,
            facts_digest: self.digest(flags & HAS_FACTS)?,
            sql: self.text(flags & HAS_SQL)?,
        })
    }

    fn end(&mut self) -> Option<EndRead<'a>> {
        let flags = self.byte()?;
        if flags & !(HAS_SQLSTATE | HAS_MASKED | HAS_RESULT) != 0 {
            return None;
        }
        Some(EndRead {
            outcome: outcome(self.byte()?)?,
            session: self.number()?,
            seq: self.number()?,
            ended_at: self.micros()?,
            rows: self.number()?,
            bytes: self.number()?,
            duration_us: self.number()?,
            sqlstate: self.text(flags & HAS_SQLSTATE)?,
            values_masked: self.values_masked(flags & HAS_MASKED)?,
            result_digest: self.digest(flags & HAS_RESULT)?,
        })
    }

    fn text(&mut self, flag: u8) -> Option<Option<&'a str>> {
        if flag == 0 {
            return Some(None);
        }
        let bytes = usize::try_from(self.number()?).ok()?;
        let text = std::str::from_utf8(self.take(bytes)?).ok()?;
        Some(Some(text))
    }

    fn values_masked(&mut self, flag: u8) -> Option<Vec<(u32, u64)>> {
        if flag == 0 {
            return Some(Vec::new());
        }
        let count = self.number()?;
        // Each has two bytes at least: a count that lies is seen before it is believed.
        if count > self.0.len() as u64 / 2 {
            return None;
        }
        (0..count)
            .map(|_| Some((u32::try_from(self.number()?).ok()?, self.number()?)))
            .collect()
    }

    fn digest(&mut self, flag: u8) -> Option<Option<[u8; 32]>> {
        if flag == 0 {
            return Some(None);
        }
        let (digest, rest) = self.0.split_first_chunk::<32>()?;
        self.0 = rest;
        Some(Some(*digest))
    }

    fn micros(&mut self) -> Option<Micros> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(Micros(i64::from_le_bytes(*bytes)))
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// LEB128: at most ten bytes, the last of which adds one bit.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::draft::{SessionDraft, SessionPart};
    use crate::testing::decision;

    fn parts() -> (Draft, Wordless, SessionDraft) {
        let crate::record::Record::Decision(record) = decision(7, 1) else {
            panic!("not a decision");
        };
        let part = SessionPart {
            session_id: "s".to_owned(),
            principal: "p".to_owned(),
            on_behalf_of: None,
            target: "t".to_owned(),
        };
        let draft = Draft::new(&record).unwrap();
        (
            draft,
            Wordless::of(record).unwrap(),
            SessionDraft::new(&part),
        )
    }

    fn digest() -> impl Strategy<Value = Option<[u8; 32]>> {
        proptest::option::of(proptest::array::uniform32(any::<u8>()))
    }

    fn wordings() -> impl Strategy<Value = Option<Wording>> {
        let parts = (any::<Option<String>>(), any::<[u8; 32]>(), digest());
        proptest::option::of(parts.prop_map(|(sql, sql_digest, facts_digest)| Wording {
            sql,
            sql_digest,
            facts_digest,
        }))
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        (0..7_u8).prop_map(|byte| outcome(byte).unwrap())
    }

    fn phases() -> impl Strategy<Value = Phase> {
        prop_oneof![
            Just(Phase::Simple),
            Just(Phase::Prepare),
            Just(Phase::Execute),
            Just(Phase::PrepareExecute)
        ]
    }

    /// What was written is read, whole; nothing that is cut short is.
    fn check(entry: &Entry<'_>, expected: &dyn Fn(&Read<'_>) -> bool) {
        let mut out = Vec::new();
        write(entry, &mut out).unwrap();
        let bare = out.len();
        write_definitions(entry, |_| true, &mut out);
        assert!(out.len() <= bare + definitions_bytes_max(entry));
        let (read_back, mut rest) = read(&out).unwrap();
        assert!(expected(&read_back), "{read_back:?}");
        let (draft, session) = entry.definitions();
        let found = std::iter::from_fn(|| rest.definition().unwrap());
        let defined = draft
            .map(|one| DefinitionRead::Draft(one.number, &one.body))
            .into_iter()
            .chain(session.map(|one| DefinitionRead::Session(one.number, &one.body)));
        assert!(found.eq(defined));
        for end in 0..out.len() {
            let Some((_, mut rest)) = read(&out[..end]) else {
                assert!(end < bare);
                continue;
            };
            while let Some(Some(_)) = rest.definition() {}
            assert!(end >= bare, "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn decisions_come_back(
            (seq, at) in any::<(u64, i64)>(),
            phase in phases(),
            digest in digest(),
            wording in wordings(),
        ) {
            let (draft, wordless, session) = parts();
            let occasion = Occasion {
                session: &session,
                seq,
                phase,
                decided_at: Micros(at),
                parameters_digest: digest,
            };
            let entry = match &wording {
                None => Entry::Decision(&draft, occasion),
                Some(wording) => Entry::Reworded(&wordless, wording, occasion),
            };
            let expected = DecisionRead {
                draft: if wording.is_some() { &wordless.0 } else { &draft }.0.number,
                session: session.0.number,
                seq,
                phase,
                decided_at: Micros(at),
                parameters_digest: digest,
                wording: wording.as_ref().map(|wording| WordingRead {
                    sql: wording.sql.as_deref(),
                    sql_digest: wording.sql_digest,
                    facts_digest: wording.facts_digest,
                }),
            };
            check(&entry, &|read| matches!(read, Read::Decision(read) if *read == expected));
        }

        #[test]
        fn ends_come_back(
            (seq, at, rows, bytes, duration_us) in any::<(u64, i64, u64, u64, u64)>(),
            outcome in outcomes(),
            sqlstate in proptest::option::of("[0-9A-Z]{5}"),
            masked in any::<Vec<(u32, u64)>>(),
            digest in digest(),
        ) {
            let (_, _, session) = parts();
            let ending = Ending {
                session: &session,
                seq,
                ended_at: Micros(at),
                outcome,
                rows,
                bytes,
                duration_us,
                sqlstate: sqlstate.as_deref(),
                values_masked: &masked,
                result_digest: digest,
            };
            let expected = EndRead {
                session: session.0.number,
                seq,
                ended_at: Micros(at),
                outcome,
                rows,
                bytes,
                duration_us,
                sqlstate: sqlstate.as_deref(),
                values_masked: masked.clone(),
                result_digest: digest,
            };
            check(&Entry::End(ending), &|read| matches!(read, Read::End(read) if *read == expected));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), first in 0..20_u8) {
            for payload in [bytes.clone(), [&[first], &bytes[..]].concat()] {
                if let Some((_, mut rest)) = read(&payload) {
                    while let Some(Some(_)) = rest.definition() {}
                }
            }
        }
    }

    #[test]
    fn numbers_have_one_reading_and_no_overflow() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(Rest(&out).number(), Some(number));
        }
        assert_eq!(Rest(&[0xff; 11]).number(), None);
        assert_eq!(
            Rest(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number(),
            None
        );
    }
}

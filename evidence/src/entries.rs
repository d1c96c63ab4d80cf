//! Entries of the log as they are read: small, and what many of them share kept once, in a [`Vocabulary`]. Whole records and entries in
//! parts become the same here, and every record can be had back as it was: must never lose or change anything of one.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::draft::{SessionPart, blank};
use crate::hex::{self, HexDigest};
use crate::record::{
    ApprovalRecord, ChangeRecord, DecisionRecord, EndRecord, Micros, Outcome, Phase, Record,
    RecordingRecord, SessionRecord,
};

/// A text that is kept once: where ids of statements begin, and SQLSTATEs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Name(u32);

/// A statement's id: `name-number`, or the name alone where it isn't of that form. One id has one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StatementKey {
    pub(crate) name: Name,
    pub(crate) number: Option<u64>,
}

/// A digest: 32 bytes that are written in lower-case hex, or whatever text an older record has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Digest {
    Bytes([u8; 32]),
    Text(Box<str>),
}

/// A draft's place in its vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DraftPlace(pub(crate) u32);

/// The place of a text in its vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WordingPlace(pub(crate) u32);

/// What is recorded of a statement's text. The fields are those of [`DecisionRecord`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wording {
    pub(crate) sql: Option<String>,
    pub(crate) sql_digest: Digest,
    pub(crate) facts_digest: Option<Digest>,
}

/// A session's place in its vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionPlace(pub(crate) u32);

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) draft: DraftPlace,
    pub(crate) wording: WordingPlace,
    pub(crate) session: SessionPlace,
    pub(crate) key: StatementKey,
    pub(crate) seq: u64,
    pub(crate) phase: Phase,
    pub(crate) decided_at: Micros,
    pub(crate) parameters_digest: Option<Digest>,
}

/// An end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) key: StatementKey,
    pub(crate) ended_at: Micros,
    pub(crate) outcome: Outcome,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) duration_us: u64,
    pub(crate) sqlstate: Option<Name>,
    pub(crate) values_masked: Vec<(u32, u64)>,
    pub(crate) result_digest: Option<Digest>,
}

/// A log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Decision(Decided),
    End(Ended),
    Session(Box<SessionRecord>),
    Change(Box<ChangeRecord>),
    Approval(Box<ApprovalRecord>),
    Recording(Box<RecordingRecord>),
}

/// What entries share, each once. It lives as long as a batch of entries; places and names are those of their own vocabulary.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    /// Decisions without what is another each time, and without their texts.
    drafts: Vec<DecisionRecord>,
    /// Of each draft.
    draft_wordings: Vec<Option<WordingPlace>>,
    wordings: Vec<Wording>,
    draft_places: HashMap<Box<[u8]>, DraftPlace, RandomState>,
    sessions: Vec<SessionOf>,
    session_places: HashMap<SessionPart, SessionPlace, RandomState>,
    names: Vec<Arc<str>>,
    name_places: HashMap<Arc<str>, Name, RandomState>,
}

#[derive(Debug)]
struct SessionOf {
    part: SessionPart,
    name: Name,
}

/// What the record says of its text, which it is then without.
fn take_wording(record: &mut DecisionRecord) -> Wording {
    Wording {
        sql: record.sql.take(),
        sql_digest: std::mem::take(&mut record.sql_digest).into(),
        facts_digest: record.facts_digest.take().map(Digest::from),
    }
}

impl From<String> for Digest {
    fn from(text: String) -> Self {
        hex::parse(&text).map_or_else(|| Self::Text(text.into()), Self::Bytes)
    }
}

impl Digest {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Bytes(bytes) => HexDigest::from(*bytes).as_str().to_owned(),
            Self::Text(text) => text.to_string(),
        }
    }
}

impl Vocabulary {
    /// Every draft, by place.
    pub(crate) fn drafts(&self) -> &[DecisionRecord] {
        &self.drafts
    }

    /// Every text, by place.
    pub(crate) fn wordings(&self) -> &[Wording] {
        &self.wordings
    }

    /// Every session, by place.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &SessionPart> {
        self.sessions.iter().map(|session| &session.part)
    }

    /// What a decision has in common with others.
    pub(crate) fn draft(&self, place: DraftPlace) -> &DecisionRecord {
        let Some(draft) = self.drafts.get(place.0 as usize) else {
            unreachable!("a place is asked of the vocabulary that gave it");
        };
        draft
    }

    /// The text that the draft was made of; `None` where it is of several.
    pub(crate) fn wording_of(&self, draft: DraftPlace) -> Option<WordingPlace> {
        let Some(wording) = self.draft_wordings.get(draft.0 as usize) else {
            unreachable!("a place is asked of the vocabulary that gave it");
        };
        *wording
    }

    fn wording(&self, place: WordingPlace) -> &Wording {
        let Some(wording) = self.wordings.get(place.0 as usize) else {
            unreachable!("a place is asked of the vocabulary that gave it");
        };
        wording
    }

    fn session(&self, place: SessionPlace) -> &SessionOf {
        let Some(session) = self.sessions.get(place.0 as usize) else {
            unreachable!("a place is asked of the vocabulary that gave it");
        };
        session
    }

    pub(crate) fn text(&self, name: Name) -> &str {
        self.names.get(name.0 as usize).map_or("", |text| text)
    }

    /// Where the draft is that this body defines; `None` when it is none. A body is read in one form: JSON begins with a brace, the other form
    /// with 0 or 1.
    pub(crate) fn define_draft(
        &mut self,
        body: &[u8],
        read: impl FnOnce(&[u8]) -> Option<DecisionRecord>,
    ) -> Option<DraftPlace> {
        if let Some(place) = self.draft_places.get(body) {
            return Some(*place);
        }
        let mut draft = read(body)?;
        let wording = take_wording(&mut draft);
        let is_of_several = wording.sql_digest == Digest::Text("".into());
        let wording = (!is_of_several).then(|| self.add_wording(wording));
        let place = self.add_draft(draft, wording);
        self.draft_places.insert(body.into(), place);
        Some(place)
    }

    /// Where the session is that this body defines; `None` when it is none.
    pub(crate) fn define_session(&mut self, body: &[u8]) -> Option<SessionPlace> {
        SessionPart::decode(body).map(|part| self.add_session(part))
    }

    /// The key of a session's statement.
    pub(crate) fn key_of(&self, session: SessionPlace, seq: u64) -> StatementKey {
        StatementKey {
            name: self.session(session).name,
            number: Some(seq),
        }
    }

    /// The name that a text has.
    pub(crate) fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.name_places.get(text) {
            return *name;
        }
        let (name, text) = (Name(place(self.names.len())), Arc::from(text));
        self.names.push(Arc::clone(&text));
        self.name_places.insert(text, name);
        name
    }

    /// Takes a whole record.
    pub(crate) fn take(&mut self, record: Record) -> Item {
        match record {
            Record::Decision(decision) => Item::Decision(self.take_decision(decision)),
            Record::End(end) => Item::End(self.take_end(end)),
            Record::Session(session) => Item::Session(Box::new(session)),
            Record::Change(change) => Item::Change(Box::new(change)),
            Record::Approval(approval) => Item::Approval(Box::new(approval)),
            Record::Recording(recording) => Item::Recording(Box::new(recording)),
        }
    }

    pub(crate) fn take_decision(&mut self, mut decision: DecisionRecord) -> Decided {
        let session = SessionPart {
            session_id: std::mem::take(&mut decision.session_id),
            principal: std::mem::take(&mut decision.principal),
            on_behalf_of: decision.on_behalf_of.take(),
            target: std::mem::take(&mut decision.target),
        };
        let (session, key) = (self.add_session(session), self.key(&decision.statement_id));
        let (seq, phase, decided_at) = (decision.seq, decision.phase, decision.decided_at);
        let parameters_digest = decision.parameters_digest.take().map(Digest::from);
        let wording = self.add_wording(take_wording(&mut decision));
        let draft = self.add_draft(blank(decision), Some(wording));
        Decided {
            draft,
            wording,
            session,
            key,
            seq,
            phase,
            decided_at,
            parameters_digest,
        }
    }

    fn take_end(&mut self, end: EndRecord) -> Ended {
        Ended {
            key: self.key(&end.statement_id),
            ended_at: end.ended_at,
            outcome: end.outcome,
            rows: end.rows,
            bytes: end.bytes,
            duration_us: end.duration_us,
            sqlstate: end.sqlstate.map(|text| self.name(&text)),
            values_masked: end.values_masked,
            result_digest: end.result_digest.map(Digest::from),
        }
    }

    /// The whole record of an entry.
    pub(crate) fn record(&self, item: Item) -> Record {
        match item {
            Item::Decision(decided) => Record::Decision(self.decision(&decided)),
            Item::End(ended) => Record::End(self.end(ended)),
            Item::Session(session) => Record::Session(*session),
            Item::Change(change) => Record::Change(*change),
            Item::Approval(approval) => Record::Approval(*approval),
            Item::Recording(recording) => Record::Recording(*recording),
        }
    }

    /// The whole record of a decision.
    pub(crate) fn decision(&self, decided: &Decided) -> DecisionRecord {
        let session = &self.session(decided.session).part;
        let wording = self.wording(decided.wording);
        DecisionRecord {
            decided_at: decided.decided_at,
            statement_id: self.statement_id(decided.key),
            session_id: session.session_id.clone(),
            seq: decided.seq,
            phase: decided.phase,
            principal: session.principal.clone(),
            on_behalf_of: session.on_behalf_of.clone(),
            target: session.target.clone(),
            parameters_digest: decided.parameters_digest.as_ref().map(Digest::text),
            sql: wording.sql.clone(),
            sql_digest: wording.sql_digest.text(),
            facts_digest: wording.facts_digest.as_ref().map(Digest::text),
            ..self.draft(decided.draft).clone()
        }
    }

    fn end(&self, ended: Ended) -> EndRecord {
        EndRecord {
            ended_at: ended.ended_at,
            statement_id: self.statement_id(ended.key),
            outcome: ended.outcome,
            rows: ended.rows,
            bytes: ended.bytes,
            duration_us: ended.duration_us,
            sqlstate: ended.sqlstate.map(|name| self.text(name).to_owned()),
            values_masked: ended.values_masked,
            result_digest: ended.result_digest.as_ref().map(Digest::text),
        }
    }

    pub(crate) fn statement_id(&self, key: StatementKey) -> String {
        match key.number {
            Some(number) => format!("{}-{number}", self.text(key.name)),
            None => self.text(key.name).to_owned(),
        }
    }

    /// Only a number as we would write it counts as one: `a-01` and `a-1` are two ids.
    fn key(&mut self, id: &str) -> StatementKey {
        let number = |digits: &str| {
            let is_plain = digits == "0"
                || (!digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()));
            digits.parse::<u64>().ok().filter(|_| is_plain)
        };
        let parts = id
            .rsplit_once('-')
            .and_then(|(name, digits)| Some((name, number(digits)?)));
        let (name, number) = parts.map_or((id, None), |(name, number)| (name, Some(number)));
        StatementKey {
            name: self.name(name),
            number,
        }
    }

    fn add_draft(&mut self, draft: DecisionRecord, wording: Option<WordingPlace>) -> DraftPlace {
        let at = DraftPlace(place(self.drafts.len()));
        self.draft_wordings.push(wording);
        self.drafts.push(draft);
        at
    }

    /// Takes a text; each has a place of its own.
    pub(crate) fn add_wording(&mut self, wording: Wording) -> WordingPlace {
        let at = WordingPlace(place(self.wordings.len()));
        self.wordings.push(wording);
        at
    }

    fn add_session(&mut self, part: SessionPart) -> SessionPlace {
        if let Some(place) = self.session_places.get(&part) {
            return *place;
        }
        let at = SessionPlace(place(self.sessions.len()));
        let name = self.name(&part.session_id);
        self.session_places.insert(part.clone(), at);
        self.sessions.push(SessionOf { part, name });
        at
    }
}

/// A batch of entries has fewer than 2^32 of anything: it is bounded by its bytes in the log.
fn place(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// Whatever a record holds comes back as it was.
    fn check(vocabulary: &mut Vocabulary, record: Record) {
        let item = vocabulary.take(record.clone());
        assert_eq!(vocabulary.record(item), record);
    }

    #[test]
    fn every_record_comes_back_as_it_was() {
        let mut vocabulary = Vocabulary::default();
        for number in 0..20 {
            check(&mut vocabulary, testing::decision(number, 5));
            check(&mut vocabulary, testing::end(number, 6));
        }
        check(&mut vocabulary, testing::session(1));
        check(&mut vocabulary, testing::change(2));
        check(&mut vocabulary, testing::approval(3));
        check(&mut vocabulary, testing::recording(4));
        assert_eq!(vocabulary.sessions.len(), 1, "one session, kept once");
    }

    #[test]
    fn odd_ids_and_digests_come_back_as_they_were_and_are_two_where_they_differ() {
        let mut vocabulary = Vocabulary::default();
        let ids = [
            "",
            "-",
            "a",
            "a-",
            "a-0",
            "a-1",
            "a-01",
            "a-+1",
            "a-1-2",
            "-1",
            "a-18446744073709551615",
            "a-18446744073709551616",
            "é-7",
        ];
        let mut keys = std::collections::HashSet::new();
        for id in ids {
            let key = vocabulary.key(id);
            assert_eq!(vocabulary.statement_id(key), id);
            assert!(keys.insert(key), "{id}");
        }
        let lower = "0123456789abcdef".repeat(4);
        for text in [
            lower.clone(),
            lower.to_uppercase(),
            "b".to_owned(),
            String::new(),
        ] {
            assert_eq!(Digest::from(text.clone()).text(), text);
        }
    }
}

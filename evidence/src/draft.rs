//! Entries in parts: what is the same each time a statement is decided, or a session speaks, is encoded once and kept; an entry is then
//! what is another each time, a few dozen bytes. In the log the parts that are kept are *definitions*, which each segment has once, and
//! entries refer to them by number. Must never say anything that the whole record would not.

pub(crate) mod body;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::record::{DecisionRecord, Micros, Outcome, Phase, Record};

/// What entries refer to by number.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Unique in this process.
    pub(crate) number: u64,
    /// What is defined.
    pub(crate) body: Box<[u8]>,
    /// The last segment that it was written into.
    held_by: AtomicU64,
}

/// Names one segment of this process for good; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentSerial(u64);

impl SegmentSerial {
    /// One that no segment had.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// The segment that a log writes into, for those who only look.
#[derive(Debug)]
pub(crate) struct LatestSegment(AtomicU64);

impl LatestSegment {
    pub(crate) fn new(segment: SegmentSerial) -> Self {
        Self(AtomicU64::new(segment.0))
    }

    pub(crate) fn get(&self) -> SegmentSerial {
        SegmentSerial(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, segment: SegmentSerial) {
        self.0.store(segment.0, Ordering::Relaxed);
    }
}

impl Definition {
    fn new(body: Vec<u8>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            number: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            body: body.into(),
            held_by: AtomicU64::new(0),
        }
    }

    /// Whether the segment has it.
    // INVARIANT: `held_by` names a segment only once the definition was written into it, by whom that segment's log was locked; logs that
    // share a definition at worst write it again.
    pub(crate) fn is_held_by(&self, segment: SegmentSerial) -> bool {
        self.held_by.load(Ordering::Relaxed) == segment.0
    }

    /// It was written into the segment.
    pub(crate) fn is_now_held_by(&self, segment: SegmentSerial) {
        self.held_by.store(segment.0, Ordering::Relaxed);
    }
}

/// What is the same whenever the same is decided of the same statement.
#[derive(Debug)]
pub struct Draft(pub(crate) Definition);

/// Whether they say the same.
impl PartialEq for Draft {
    fn eq(&self, other: &Self) -> bool {
        self.0.body == other.0.body
    }
}

impl Draft {
    /// Encodes what of `record` is the same each time: all that neither [`Occasion`] nor [`SessionPart`] has.
    ///
    /// # Errors
    /// [`Error::Draft`], which there is none of for a record that is in memory.
    pub fn new(record: &DecisionRecord) -> Result<Self, Error> {
        Self::of(record.clone())
    }

    /// The same of a record that is needed no more.
    ///
    /// # Errors
    /// As [`Draft::new`].
    pub fn of(record: DecisionRecord) -> Result<Self, Error> {
        let body = body::encode(record).map_err(|source| Error::Draft { source })?;
        Ok(Self(Definition::new(body)))
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.0.body.len()
    }
}

/// The same of several texts: what their records say of the text is not in it, and comes with each of them.
#[derive(Debug, PartialEq)]
pub struct Wordless(pub(crate) Draft);

impl Wordless {
    /// Encodes what [`Draft::of`] does, but for [`Wording`]'s fields.
    ///
    /// # Errors
    /// As [`Draft::new`].
    pub fn of(record: DecisionRecord) -> Result<Self, Error> {
        Draft::of(DecisionRecord {
            sql: None,
            sql_digest: String::new(),
            facts_digest: None,
            ..record
        })
        .map(Self)
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// The record without what is another each time.
pub(crate) fn blank(record: DecisionRecord) -> DecisionRecord {
    DecisionRecord {
        decided_at: Micros(0),
        statement_id: String::new(),
        session_id: String::new(),
        seq: 0,
        phase: Phase::Simple,
        principal: String::new(),
        on_behalf_of: None,
        target: String::new(),
        parameters_digest: None,
        ..record
    }
}

/// What every decision of a session has in common. The fields are those of [`DecisionRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionPart {
    /// See there.
    pub session_id: String,
    /// See there.
    pub principal: String,
    /// See there.
    pub on_behalf_of: Option<String>,
    /// See there.
    pub target: String,
}

/// The same, encoded.
#[derive(Debug)]
pub struct SessionDraft(pub(crate) Definition);

impl SessionDraft {
    /// Encodes what a session's decisions have in common.
    pub fn new(part: &SessionPart) -> Self {
        Self(Definition::new(part.encode()))
    }
}

impl SessionPart {
    /// `length u32 | text`, little-endian, of session, principal, target, and of the person where there is one.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let texts = [&self.session_id, &self.principal, &self.target];
        for text in texts.into_iter().chain(&self.on_behalf_of) {
            // Names are far shorter: they come from one token.
            out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    /// Reads what [`SessionDraft::new`] encoded; `None` when it isn't exactly that.
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let (session_id, rest) = text(body)?;
        let (principal, rest) = text(rest)?;
        let (target, rest) = text(rest)?;
        let (on_behalf_of, rest) = match rest {
            [] => (None, rest),
            rest => text(rest).map(|(person, rest)| (Some(person), rest))?,
        };
        rest.is_empty().then_some(Self {
            session_id,
            principal,
            on_behalf_of,
            target,
        })
    }
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}

/// What a decision is of: another each time. Its statement's id is `{session_id}-{seq}`. The fields are those of [`DecisionRecord`].
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// Whose statement.
    pub session: &'a SessionDraft,
    /// See there.
    pub seq: u64,
    /// See there.
    pub phase: Phase,
    /// See there.
    pub decided_at: Micros,
    /// See there; raw.
    pub parameters_digest: Option<[u8; 32]>,
}

/// What a record says of a statement's text. The fields are those of [`DecisionRecord`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// See there.
    pub sql: Option<String>,
    /// See there; raw.
    pub sql_digest: [u8; 32],
    /// See there; raw.
    pub facts_digest: Option<[u8; 32]>,
}

/// How a statement ended, whose id is `{session_id}-{seq}`. The fields are those of [`crate::record::EndRecord`].
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// Whose statement.
    pub session: &'a SessionDraft,
    /// The statement's number in the session.
    pub seq: u64,
    /// See there.
    pub ended_at: Micros,
    /// See there.
    pub outcome: Outcome,
    /// See there.
    pub rows: u64,
    /// See there.
    pub bytes: u64,
    /// See there.
    pub duration_us: u64,
    /// See there.
    pub sqlstate: Option<&'a str>,
    /// See there.
    pub values_masked: &'a [(u32, u64)],
    /// See there; raw.
    pub result_digest: Option<[u8; 32]>,
}

/// A record on its way into the log.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an entry is made, written and dropped at once"
)]
pub enum Entry<'a> {
    /// As it is.
    Whole(Cow<'a, Record>),
    /// A decision that was decided in the same way before.
    Decision(&'a Draft, Occasion<'a>),
    /// The same of another text, of which all else was recorded before.
    Reworded(&'a Wordless, &'a Wording, Occasion<'a>),
    /// The end of a statement.
    End(Ending<'a>),
}

impl From<Record> for Entry<'_> {
    fn from(record: Record) -> Self {
        Self::Whole(Cow::Owned(record))
    }
}

impl<'a> From<&'a Record> for Entry<'a> {
    fn from(record: &'a Record) -> Self {
        Self::Whole(Cow::Borrowed(record))
    }
}

impl<'a> Entry<'a> {
    /// What its segment must have: a draft, a session.
    pub(crate) fn definitions(&self) -> (Option<&'a Definition>, Option<&'a Definition>) {
        match self {
            Self::Whole(_) => (None, None),
            Self::Decision(draft, occasion) => (Some(&draft.0), Some(&occasion.session.0)),
            Self::Reworded(draft, _, occasion) => (Some(&draft.0.0), Some(&occasion.session.0)),
            Self::End(ending) => (None, Some(&ending.session.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sessions_have_in_common_comes_back_and_is_nothing_when_cut() {
        for on_behalf_of in [None, Some(String::new()), Some("ann é".to_owned())] {
            let part = SessionPart {
                session_id: "0123".to_owned(),
                principal: "a \"quoted\" \u{0} name".to_owned(),
                on_behalf_of,
                target: String::new(),
            };
            let whole = part.encode();
            assert_eq!(SessionPart::decode(&whole), Some(part.clone()));
            let bare = SessionPart {
                on_behalf_of: None,
                ..part
            };
            for end in 0..whole.len() {
                let expected = (end == bare.encode().len()).then(|| bare.clone());
                assert_eq!(SessionPart::decode(&whole[..end]), expected, "cut at {end}");
            }
            let more = [&whole[..], &[0, 0, 0, 0], &[0, 0, 0, 0]].concat();
            assert_eq!(SessionPart::decode(&more), None);
        }
    }
}

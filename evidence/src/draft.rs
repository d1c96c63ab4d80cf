//! Decisions encoded in two parts: what is the same whenever the same is decided of the same statement, once, and what is another
//! each time. Together they are the bytes of a [`Record::Decision`], as a log entry; must never say anything that the record does not.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::record::{DecisionRecord, MaskingRecord, Micros, Phase, Record};

/// Digits of a digest in hex.
const DIGITS: usize = 64;

/// 32 bytes in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HexDigest([u8; DIGITS]);

impl HexDigest {
    /// The digits.
    pub fn as_str(&self) -> &str {
        // The digits are ASCII: this can't fail.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<[u8; 32]> for HexDigest {
    fn from(bytes: [u8; 32]) -> Self {
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        let mut digits = [0; DIGITS];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        Self(digits)
    }
}

impl fmt::Debug for HexDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for HexDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a decision is of: another each time. The fields are those of [`DecisionRecord`].
#[derive(Debug, Serialize)]
pub struct Occasion<'a> {
    /// See there.
    pub decided_at: Micros,
    /// See there.
    pub statement_id: StatementId<'a>,
    /// See there.
    pub session_id: &'a str,
    /// See there.
    pub seq: u64,
    /// See there.
    pub phase: Phase,
    /// See there.
    pub principal: &'a str,
    /// See there.
    pub on_behalf_of: Option<&'a str>,
    /// See there.
    pub target: &'a str,
    /// See there.
    pub parameters_digest: Option<HexDigest>,
}

/// `{session_id}-{seq}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementId<'a> {
    /// The session.
    pub session_id: &'a str,
    /// The statement's number in it.
    pub seq: u64,
}

impl fmt::Display for StatementId<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.session_id, self.seq)
    }
}

impl Serialize for StatementId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The rest of a decision's record, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft(Box<[u8]>);

/// The fields of [`DecisionRecord`] that an [`Occasion`] lacks.
#[derive(Serialize)]
struct Rest<'a> {
    sql: &'a Option<String>,
    sql_digest: &'a str,
    fingerprint: &'a Option<String>,
    kind: &'a Option<String>,
    relations: &'a [String],
    columns: &'a [String],
    verdict: &'a str,
    rules: &'a [String],
    reason: &'a Option<String>,
    controls: &'a [String],
    bundle_digest: &'a str,
    facts_digest: &'a Option<String>,
    maskings: &'a [MaskingRecord],
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_verdict: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_rules: &'a Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: &'a Option<Vec<String>>,
}

impl Draft {
    /// Encodes what of `record` is the same each time.
    ///
    /// # Errors
    /// As `serde_json`, which knows none for these types.
    pub fn new(record: &DecisionRecord) -> serde_json::Result<Self> {
        // Every field is named: a new one has to be put on one side or the other.
        let DecisionRecord {
            decided_at: _,
            statement_id: _,
            session_id: _,
            seq: _,
            phase: _,
            principal: _,
            on_behalf_of: _,
            target: _,
            parameters_digest: _,
            sql,
            sql_digest,
            fingerprint,
            kind,
            relations,
            columns,
            verdict,
            rules,
            reason,
            controls,
            bundle_digest,
            facts_digest,
            maskings,
            observed_verdict,
            observed_rules,
            probes,
        } = record;
        let rest = Rest {
            sql,
            sql_digest,
            fingerprint,
            kind,
            relations,
            columns,
            verdict,
            rules,
            reason,
            controls,
            bundle_digest,
            facts_digest,
            maskings,
            observed_verdict,
            observed_rules,
            probes,
        };
        serde_json::to_vec(&rest).map(|json| Self(json.into()))
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Appends the whole record: the two objects become one.
    fn write(&self, occasion: &Occasion<'_>, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.extend_from_slice(b"{\"entry\":\"decision\"");
        let start = out.len();
        serde_json::to_writer(&mut *out, occasion)?;
        if let Some(first) = out.get_mut(start) {
            *first = b',';
        }
        if let Some(last) = out.last_mut() {
            *last = b',';
        }
        out.extend_from_slice(self.0.get(1..).unwrap_or_default());
        Ok(())
    }
}

/// A record on its way into the log.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an entry is made, written and dropped at once"
)]
pub enum Entry<'a> {
    /// As it is.
    Whole(Record),
    /// A decision that was decided in the same way before.
    Drafted(&'a Draft, Occasion<'a>),
}

impl Entry<'_> {
    /// Appends the entry's bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Whole(record) => serde_json::to_writer(out, record),
            Self::Drafted(draft, occasion) => draft.write(occasion, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::decision;

    /// What is written in two parts must read as the record itself.
    fn check(record: DecisionRecord) {
        let digest = record.parameters_digest.as_ref().map(|digits| {
            let byte = |place| u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).unwrap();
            HexDigest::from(std::array::from_fn(byte))
        });
        let occasion = Occasion {
            decided_at: record.decided_at,
            statement_id: StatementId {
                session_id: &record.session_id,
                seq: record.seq,
            },
            session_id: &record.session_id,
            seq: record.seq,
            phase: record.phase,
            principal: &record.principal,
            on_behalf_of: record.on_behalf_of.as_deref(),
            target: &record.target,
            parameters_digest: digest,
        };
        let draft = Draft::new(&record).unwrap();
        let mut written = Vec::new();
        Entry::Drafted(&draft, occasion)
            .write(&mut written)
            .unwrap();
        let record = Record::Decision(record);
        assert_eq!(serde_json::from_slice::<Record>(&written).unwrap(), record);
        assert_eq!(Record::read(&written).unwrap(), record);
        let whole = serde_json::to_vec(&record).unwrap();
        assert_eq!(Record::read(&whole).unwrap(), record);
    }

    #[test]
    fn two_parts_read_as_the_whole() {
        let Record::Decision(plain) = decision(7, 1) else {
            panic!("not a decision");
        };
        let id = |record: &DecisionRecord| format!("{}-{}", record.session_id, record.seq);
        let plain = DecisionRecord {
            statement_id: id(&plain),
            ..plain
        };
        check(plain.clone());
        check(DecisionRecord {
            principal: "a \"quoted\" \u{1} name".to_owned(),
            on_behalf_of: Some("somebody".to_owned()),
            sql: Some("SELECT '}', \"a\"".to_owned()),
            reason: None,
            parameters_digest: Some("00ff".repeat(16)),
            observed_verdict: Some("deny".to_owned()),
            observed_rules: Some(vec!["r".to_owned()]),
            probes: Some(vec!["public.t.c".to_owned()]),
            ..plain
        });
    }
}

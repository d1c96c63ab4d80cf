//! The record of a decided statement, in the parts that other statements' records have, too. Must never take for one pattern what is recorded
//! otherwise.

use provost_engine::{facts::Facts, sql::Statement};
use provost_evidence::{
    draft::{Draft, Wording, Wordless},
    record::DecisionRecord,
};

use super::{
    digest::{EvidenceKey, PatternDigest},
    hex, redact,
};

/// What wordings of several statements are made with: of those whose facts differ in equalities alone, it is the same by one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// See [`redact::is_harmless`].
    is_harmless: bool,
    digest: PatternDigest,
}

impl Pattern {
    /// The pattern of a statement with these facts.
    pub(super) fn new(facts: &Facts, is_harmless: bool) -> Self {
        Self {
            is_harmless,
            digest: PatternDigest::of(facts),
        }
    }

    /// What is recorded of a statement's text. `whole` is the text that it is a part of.
    pub(crate) fn wording(
        &self,
        key: &EvidenceKey,
        whole: &[u8],
        statement: &Statement,
    ) -> Wording {
        let text = whole.get(statement.span.clone());
        Wording {
            sql: redact::statement(key, whole, statement, self.is_harmless),
            sql_digest: key.sql(text.unwrap_or(whole)),
            facts_digest: Some(self.digest.with_equalities(key, &statement.facts)),
        }
    }
}

/// The record of a decided statement without what is another each time, which [`super::of_occasion`] adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undated {
    pub(super) record: DecisionRecord,
    pattern: Pattern,
}

impl Undated {
    pub(super) fn new(record: DecisionRecord, pattern: Pattern) -> Self {
        Self { record, pattern }
    }

    /// The same of a statement that people approved.
    #[must_use]
    pub(crate) fn approved(mut self, approval: Option<&str>) -> Self {
        self.record.approval_id = approval.map(str::to_owned);
        self
    }

    /// What the wordings of statements like it are made with.
    pub(crate) fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// What a draft of several texts keeps.
    pub(crate) fn wordless(self) -> Result<Wordless, provost_evidence::Error> {
        Wordless::of(self.record)
    }

    /// The same of another text of which all else is recorded alike.
    #[must_use]
    pub(crate) fn reworded(self, wording: &Wording) -> Self {
        let Self { record, pattern } = self;
        let record = DecisionRecord {
            sql: wording.sql.clone(),
            sql_digest: hex(&wording.sql_digest),
            facts_digest: wording.facts_digest.map(|digest| hex(&digest)),
            ..record
        };
        Self { record, pattern }
    }

    /// What a draft keeps.
    pub(crate) fn draft(self) -> Result<Draft, provost_evidence::Error> {
        Draft::of(self.record)
    }
}

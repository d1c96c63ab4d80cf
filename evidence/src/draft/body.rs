//! A draft's bytes: what a decision's record says beside what is another each time, in postcard's encoding. Must lose nothing of it: a field
//! that a record gains is one here too, or does not compile.

use serde::{Deserialize, Serialize};

use crate::record::{DecisionRecord, MaskingRecord, Micros, Phase};

/// Memory for most bodies while they are encoded.
const BODY_BYTES: usize = 1024;

/// The fields of [`DecisionRecord`], in their order. All are there always: the encoding has no names by which one could be missed.
#[derive(Serialize, Deserialize)]
struct Body {
    sql: Option<String>,
    sql_digest: String,
    fingerprint: Option<String>,
    kind: Option<String>,
    relations: Vec<String>,
    columns: Vec<String>,
    verdict: String,
    rules: Vec<String>,
    reason: Option<String>,
    controls: Vec<String>,
    bundle_digest: String,
    facts_digest: Option<String>,
    maskings: Vec<Masking>,
    observed_verdict: Option<String>,
    observed_rules: Option<Vec<String>>,
    probes: Option<Vec<String>>,
    approval_id: Option<String>,
}

/// The fields of [`MaskingRecord`].
#[derive(Serialize, Deserialize)]
struct Masking {
    output_index: u32,
    output_column: String,
    source_columns: Vec<String>,
    class: String,
    transform: String,
    rule: String,
    controls: Vec<String>,
    key_id: Option<String>,
}

/// Encodes what of `record` is the same each time.
///
/// # Errors
/// As `postcard`, which knows none for these types.
pub(super) fn encode(record: DecisionRecord) -> postcard::Result<Vec<u8>> {
    postcard::to_extend(&Body::from(record), Vec::with_capacity(BODY_BYTES))
}

/// The record without what is another each time; `None` when the bytes are not exactly that.
pub(crate) fn decode(bytes: &[u8]) -> Option<DecisionRecord> {
    match postcard::take_from_bytes::<Body>(bytes) {
        Ok((body, [])) => Some(body.into()),
        Ok(_) | Err(_) => None,
    }
}

impl From<DecisionRecord> for Body {
    fn from(record: DecisionRecord) -> Self {
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
            approval_id,
        } = record;
        Self {
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
            maskings: maskings.into_iter().map(Masking::from).collect(),
            observed_verdict,
            observed_rules,
            probes,
            approval_id,
        }
    }
}

impl From<Body> for DecisionRecord {
    fn from(body: Body) -> Self {
        Self {
            decided_at: Micros(0),
            statement_id: String::new(),
            session_id: String::new(),
            seq: 0,
            phase: Phase::Simple,
            principal: String::new(),
            on_behalf_of: None,
            target: String::new(),
            parameters_digest: None,
            sql: body.sql,
            sql_digest: body.sql_digest,
            fingerprint: body.fingerprint,
            kind: body.kind,
            relations: body.relations,
            columns: body.columns,
            verdict: body.verdict,
            rules: body.rules,
            reason: body.reason,
            controls: body.controls,
            bundle_digest: body.bundle_digest,
            facts_digest: body.facts_digest,
            maskings: body.maskings.into_iter().map(MaskingRecord::from).collect(),
            observed_verdict: body.observed_verdict,
            observed_rules: body.observed_rules,
            probes: body.probes,
            approval_id: body.approval_id,
        }
    }
}

impl From<MaskingRecord> for Masking {
    fn from(record: MaskingRecord) -> Self {
        let MaskingRecord {
            output_index,
            output_column,
            source_columns,
            class,
            transform,
            rule,
            controls,
            key_id,
        } = record;
        Self {
            output_index,
            output_column,
            source_columns,
            class,
            transform,
            rule,
            controls,
            key_id,
        }
    }
}

impl From<Masking> for MaskingRecord {
    fn from(masking: Masking) -> Self {
        Self {
            output_index: masking.output_index,
            output_column: masking.output_column,
            source_columns: masking.source_columns,
            class: masking.class,
            transform: masking.transform,
            rule: masking.rule,
            controls: masking.controls,
            key_id: masking.key_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{draft::blank, record::Record, testing};

    fn decisions() -> impl Iterator<Item = DecisionRecord> {
        (0..20).filter_map(|number| match testing::decision(number, 5) {
            Record::Decision(decision) => Some(decision),
            _ => None,
        })
    }

    #[test]
    fn what_is_the_same_each_time_comes_back_whole() {
        let key_ids = [None, Some("key-1".to_owned())];
        for (decision, key_id) in
            decisions().flat_map(|one| key_ids.clone().map(|id| (one.clone(), id)))
        {
            let masking = MaskingRecord {
                output_index: 3,
                output_column: "email \u{0} é".to_owned(),
                source_columns: vec!["public.users.email".to_owned(), String::new()],
                class: "pii".to_owned(),
                transform: "hash".to_owned(),
                rule: "hide".to_owned(),
                controls: vec!["nist-800-53:AC-3(2)".to_owned()],
                key_id: key_id.clone(),
            };
            let decision = DecisionRecord {
                maskings: vec![masking; usize::from(key_id.is_some()) * 2],
                observed_verdict: key_id.clone(),
                observed_rules: key_id.clone().map(|id| vec![id]),
                probes: key_id.clone().map(|_| Vec::new()),
                approval_id: key_id,
                ..decision
            };
            let bytes = encode(decision.clone()).unwrap();
            assert_eq!(decode(&bytes), Some(blank(decision)));
        }
    }

    #[test]
    fn what_is_cut_or_longer_is_nothing() {
        let bytes = encode(decisions().next().unwrap()).unwrap();
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
        }
        assert_eq!(decode(&[&bytes[..], &[0]].concat()), None);
    }
}

//! Where the rows of an object part into batches, each a row group: where they are many, and where their texts are long. What a reader lays
//! out of a row group, a text for each row, must never be more than it can hold.

use std::ops::Range;

use crate::dataset::Cell;
use crate::draft::SessionPart;
use crate::entries::{Digest, Vocabulary, Wording};
use crate::record::{DecisionRecord, MaskingRecord};
use crate::seal::join::{MaskingRow, Rows, StatementRow};

/// Rows in a batch.
pub(crate) const BATCH_ROWS_MAX: usize = 65_536;

/// Bytes of a batch, but for one row's: a text counts for each row that has it. Columns of Arrow end at 2 GiB.
pub(crate) const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of what a row has that is no text, about.
const ROW_BYTES: usize = 256;
const DIGEST_BYTES: usize = 64;

/// Bytes of the texts that the rows of one seal share, by their places.
pub(super) struct Weights {
    sessions: Vec<usize>,
    wordings: Vec<usize>,
    drafts: Vec<usize>,
    /// Of each draft's maskings.
    maskings: Vec<Vec<usize>>,
}

impl Weights {
    pub(super) fn of(vocabulary: &Vocabulary) -> Self {
        let session = |one: &SessionPart| {
            one.session_id.len()
                + one.principal.len()
                + one.target.len()
                + option(&one.on_behalf_of)
        };
        let drafts = vocabulary.drafts();
        Self {
            sessions: vocabulary.sessions().map(session).collect(),
            wordings: vocabulary.wordings().iter().map(wording).collect(),
            drafts: drafts.iter().map(draft).collect(),
            maskings: drafts
                .iter()
                .map(|draft| draft.maskings.iter().map(masking).collect())
                .collect(),
        }
    }

    /// All of them, each counted once.
    pub(super) fn total(&self) -> usize {
        let flat = [&self.sessions, &self.wordings, &self.drafts];
        flat.into_iter().chain(&self.maskings).flatten().sum()
    }

    /// The places of each batch's rows, in order.
    pub(super) fn parts(&self, rows: &Rows) -> Vec<Range<usize>> {
        match rows {
            Rows::Statements(rows) => parts(rows.iter().map(|row| self.statement(row))),
            Rows::Maskings(rows) => parts(rows.iter().map(|row| self.masking(row))),
            Rows::Whole(rows) => parts(rows.iter().map(|row| row.iter().map(cell).sum())),
        }
    }

    fn statement(&self, row: &StatementRow) -> usize {
        let Some(decided) = &row.decided else {
            return ROW_BYTES;
        };
        let of = |weights: &[usize], place: u32| weights.get(place as usize).copied();
        [
            of(&self.sessions, decided.session.0),
            of(&self.wordings, decided.wording.0),
            of(&self.drafts, decided.draft.0),
        ]
        .into_iter()
        .flatten()
        .sum::<usize>()
            + ROW_BYTES
    }

    fn masking(&self, row: &MaskingRow) -> usize {
        let session = self.sessions.get(row.session.0 as usize);
        let maskings = self.maskings.get(row.draft.0 as usize);
        let masking = maskings.and_then(|maskings| maskings.get(row.place));
        session.into_iter().chain(masking).sum::<usize>() + ROW_BYTES
    }
}

/// Parts rows of these weights: each part has at least one, and ends before it has too many, or with the one that makes it too heavy.
fn parts(weights: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (row, weight) in weights.enumerate() {
        match parts.last_mut() {
            Some(part) if part.len() < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX => part.end += 1,
            _ => {
                bytes = 0;
                parts.push(row..row + 1);
            }
        }
        bytes += weight;
    }
    parts
}

fn wording(wording: &Wording) -> usize {
    let digest = |digest: &Digest| match digest {
        Digest::Bytes(_) => DIGEST_BYTES,
        Digest::Text(text) => text.len(),
    };
    option(&wording.sql)
        + digest(&wording.sql_digest)
        + wording.facts_digest.as_ref().map_or(0, digest)
}

fn draft(draft: &DecisionRecord) -> usize {
    let texts = [
        &draft.fingerprint,
        &draft.kind,
        &draft.reason,
        &draft.observed_verdict,
        &draft.approval_id,
    ];
    let lists = [
        &draft.relations,
        &draft.columns,
        &draft.rules,
        &draft.controls,
    ];
    let appended = [&draft.observed_rules, &draft.probes];
    texts.into_iter().map(option).sum::<usize>()
        + lists
            .into_iter()
            .chain(appended.into_iter().flatten())
            .map(|texts| list(texts))
            .sum::<usize>()
        + draft.verdict.len()
        + draft.bundle_digest.len()
}

fn masking(masking: &MaskingRecord) -> usize {
    masking.output_column.len()
        + list(&masking.source_columns)
        + masking.class.len()
        + masking.transform.len()
        + masking.rule.len()
        + list(&masking.controls)
        + option(&masking.key_id)
}

fn cell(cell: &Cell) -> usize {
    match cell {
        Cell::Null | Cell::Integer(_) | Cell::Boolean(_) | Cell::Time(_) => size_of::<i64>(),
        Cell::Text(text) => text.len(),
        Cell::Texts(texts) => list(texts),
    }
}

fn option(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}

fn list(texts: &[String]) -> usize {
    texts.iter().map(|text| text.len() + size_of::<i32>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_part_by_count_and_by_bytes_and_none_is_lost() {
        let light = parts(std::iter::repeat_n(1, 2 * BATCH_ROWS_MAX + 3));
        let ends: Vec<usize> = light.iter().map(|part| part.end).collect();
        assert_eq!(
            ends,
            [BATCH_ROWS_MAX, 2 * BATCH_ROWS_MAX, 2 * BATCH_ROWS_MAX + 3]
        );
        let half = BATCH_BYTES_MAX / 2;
        let heavy = parts([half, half, half, 2 * BATCH_BYTES_MAX, 1, half].into_iter());
        assert_eq!(heavy, [0..2, 2..4, 4..6]);
        assert!(parts(std::iter::empty()).is_empty());
    }
}

//! Rows to columns. What many rows share is in a column once: the column is then a dictionary, whose keys say which of its values a row
//! has, and columns of the same part of a row have the very same keys. Must never give a column another value than the row has.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;

use crate::dataset::{Dataset, SCHEMA_VERSION, item_field};
use crate::entries::{Digest, Name, StatementKey, Vocabulary, Wording};
use crate::error::Error;
use crate::hex::HexDigest;
use crate::record::{DecisionRecord, MaskingRecord, Micros, Phase};
use crate::seal::join::{Group, MaskingRow, RowOutcome, Rows, StatementRow};
use crate::seal::parts::Weights;

const PHASES: [&str; 4] = ["simple", "prepare", "execute", "prepare-execute"];

/// What the rows of one seal share, as values of dictionaries.
pub(crate) struct Shared<'a> {
    vocabulary: &'a Vocabulary,
    weights: Weights,
    gateway: Arc<StringArray>,
    phases: ArrayRef,
    outcomes: ArrayRef,
    session: SessionValues,
    wording: WordingValues,
    /// From `fingerprint` to `bundle_digest`.
    draft: Vec<ArrayRef>,
    /// From `observed_verdict` to `probes`.
    draft_appended: Vec<ArrayRef>,
    approval_id: ArrayRef,
    masking: MaskingValues,
}

struct WordingValues {
    sql: ArrayRef,
    sql_digest: ArrayRef,
    facts_digest: ArrayRef,
}

struct SessionValues {
    session_id: ArrayRef,
    principal: ArrayRef,
    on_behalf_of: ArrayRef,
    target: ArrayRef,
}

struct MaskingValues {
    /// Where the maskings of each draft begin.
    starts: Vec<usize>,
    output_index: Vec<i64>,
    /// From `output_column` to `transform`.
    before_count: Vec<ArrayRef>,
    /// From `rule` to `key_id`.
    behind_count: Vec<ArrayRef>,
}

impl<'a> Shared<'a> {
    /// # Errors
    /// [`Error::Columns`] where the texts are more than a column can hold, which those of one seal never are.
    pub(crate) fn new(gateway: &str, vocabulary: &'a Vocabulary) -> Result<Self, Error> {
        let drafts = vocabulary.drafts();
        let weights = Weights::of(vocabulary);
        if i32::try_from(weights.total()).is_err() {
            return Err(Error::Columns {
                dataset: "statements or maskings",
                source: ArrowError::OffsetOverflowError(weights.total()),
            });
        }
        Ok(Self {
            vocabulary,
            weights,
            gateway: Arc::new(StringArray::from_iter_values([gateway])),
            phases: Arc::new(StringArray::from_iter_values(PHASES)),
            outcomes: Arc::new(StringArray::from_iter_values(
                RowOutcome::ALL.map(RowOutcome::name),
            )),
            session: SessionValues::new(vocabulary),
            wording: WordingValues::new(vocabulary.wordings()),
            draft: vec![
                texts(drafts, |draft| draft.fingerprint.as_deref()),
                texts(drafts, |draft| draft.kind.as_deref()),
                lists(drafts, |draft| Some(&draft.relations)),
                lists(drafts, |draft| Some(&draft.columns)),
                texts(drafts, |draft| Some(&draft.verdict)),
                lists(drafts, |draft| Some(&draft.rules)),
                texts(drafts, |draft| draft.reason.as_deref()),
                lists(drafts, |draft| Some(&draft.controls)),
                texts(drafts, |draft| Some(&draft.bundle_digest)),
            ],
            draft_appended: vec![
                texts(drafts, |draft| draft.observed_verdict.as_deref()),
                lists(drafts, |draft| draft.observed_rules.as_deref()),
                lists(drafts, |draft| draft.probes.as_deref()),
            ],
            approval_id: texts(drafts, |draft| draft.approval_id.as_deref()),
            masking: MaskingValues::new(drafts),
        })
    }

    /// The batches of an object, in order.
    pub(crate) fn batches(
        &self,
        group: &Group,
    ) -> impl Iterator<Item = Result<RecordBatch, Error>> {
        let parts = self.weights.parts(&group.rows).into_iter();
        parts.map(move |part| {
            let first_log_index = group.first_log_index + part.start as u64;
            match &group.rows {
                Rows::Statements(rows) => {
                    let rows = rows.get(part).unwrap_or_default();
                    self.statements(first_log_index, rows)
                }
                Rows::Maskings(rows) => {
                    let rows = rows.get(part).unwrap_or_default();
                    self.maskings(first_log_index, rows)
                }
                Rows::Whole(rows) => group.dataset.batch(rows.get(part).unwrap_or_default()),
            }
        })
    }

    fn statements(
        &self,
        first_log_index: u64,
        rows: &[StatementRow],
    ) -> Result<RecordBatch, Error> {
        let decided = || rows.iter().map(|row| row.decided.as_ref());
        let ended = || rows.iter().map(|row| row.ended.as_ref());
        let counts = |of: fn(&crate::entries::Ended) -> u64| {
            integers(ended().map(|ended| ended.map(|ended| clamped(of(ended)))))
        };
        let sessions = keys(decided().map(|decided| decided.map(|one| one.session.0)));
        let drafts = keys(decided().map(|decided| decided.map(|one| one.draft.0)));
        let wordings = keys(decided().map(|decided| decided.map(|one| one.wording.0)));
        let phases = keys(decided().map(|decided| decided.map(|one| phase_place(one.phase))));
        let outcomes = keys(rows.iter().map(|row| Some(outcome_place(row.outcome))));
        let mut columns = self.common(first_log_index, rows.len())?;
        columns.push(self.ids(rows.iter().map(|row| row.key)));
        columns.push(keyed(&sessions, &self.session.session_id)?);
        columns.push(integers(
            decided().map(|one| one.map(|one| clamped(one.seq))),
        ));
        columns.push(keyed(&phases, &self.phases)?);
        columns.push(times(decided().map(|one| one.map(|one| one.decided_at))));
        columns.push(keyed(&sessions, &self.session.principal)?);
        columns.push(keyed(&sessions, &self.session.on_behalf_of)?);
        columns.push(keyed(&sessions, &self.session.target)?);
        columns.push(keyed(&wordings, &self.wording.sql)?);
        columns.push(keyed(&wordings, &self.wording.sql_digest)?);
        for values in &self.draft {
            columns.push(keyed(&drafts, values)?);
        }
        columns.push(keyed(&wordings, &self.wording.facts_digest)?);
        columns.push(digests(
            decided().map(|one| one.and_then(|one| one.parameters_digest.as_ref())),
        ));
        columns.push(times(ended().map(|one| one.map(|one| one.ended_at))));
        columns.push(keyed(&outcomes, &self.outcomes)?);
        columns.push(counts(|ended| ended.rows));
        columns.push(counts(|ended| ended.bytes));
        columns.push(counts(|ended| ended.duration_us));
        columns.push(self.names(ended().map(|one| one.and_then(|one| one.sqlstate)))?);
        columns.push(integers(rows.iter().map(|row| row.ends.map(clamped))));
        for values in &self.draft_appended {
            columns.push(keyed(&drafts, values)?);
        }
        columns.push(digests(
            ended().map(|one| one.and_then(|one| one.result_digest.as_ref())),
        ));
        columns.push(keyed(&drafts, &self.approval_id)?);
        Dataset::Statements.batch_of(columns)
    }

    fn maskings(&self, first_log_index: u64, rows: &[MaskingRow]) -> Result<RecordBatch, Error> {
        let values = &self.masking;
        let place = |row: &MaskingRow| {
            let start = values.starts.get(row.draft.0 as usize).copied();
            start.unwrap_or_default() + row.place
        };
        let sessions = keys(rows.iter().map(|row| Some(row.session.0)));
        let places = keys(rows.iter().map(|row| u32::try_from(place(row)).ok()));
        let mut columns = self.common(first_log_index, rows.len())?;
        let statements = rows.iter().map(|row| row.statement_log_index);
        columns.push(integers(statements.map(|index| Some(clamped(index)))));
        columns.push(self.ids(rows.iter().map(|row| row.key)));
        columns.push(keyed(&sessions, &self.session.session_id)?);
        columns.push(times(rows.iter().map(|row| Some(row.decided_at))));
        columns.push(keyed(&sessions, &self.session.principal)?);
        columns.push(keyed(&sessions, &self.session.target)?);
        columns.push(integers(
            rows.iter()
                .map(|row| values.output_index.get(place(row)).copied()),
        ));
        for values in &values.before_count {
            columns.push(keyed(&places, values)?);
        }
        columns.push(integers(
            rows.iter().map(|row| row.values_masked.map(clamped)),
        ));
        for values in &values.behind_count {
            columns.push(keyed(&places, values)?);
        }
        Dataset::Maskings.batch_of(columns)
    }

    /// The columns that every dataset begins with.
    fn common(&self, first_log_index: u64, rows: usize) -> Result<Vec<ArrayRef>, Error> {
        let gateway: ArrayRef = Arc::clone(&self.gateway) as ArrayRef;
        let indices = (first_log_index..).take(rows).map(clamped);
        Ok(vec![
            keyed(&Int32Array::from_value(0, rows), &gateway)?,
            Arc::new(Int64Array::from_iter_values(indices)),
            Arc::new(Int64Array::from_value(SCHEMA_VERSION, rows)),
        ])
    }

    /// Statements' ids.
    fn ids(&self, keys: impl ExactSizeIterator<Item = StatementKey>) -> ArrayRef {
        const BYTES: usize = 40;
        let mut builder = StringBuilder::with_capacity(keys.len(), keys.len() * BYTES);
        let mut id = String::new();
        for key in keys {
            id.clear();
            id.push_str(self.vocabulary.text(key.name));
            if let Some(number) = key.number {
                id.push('-');
                id.push_str(itoa::Buffer::new().format(number));
            }
            builder.append_value(&id);
        }
        Arc::new(builder.finish())
    }

    /// Names that few rows have, as a dictionary of those that any has.
    fn names(&self, names: impl Iterator<Item = Option<Name>>) -> Result<ArrayRef, Error> {
        let mut there: Vec<Name> = Vec::new();
        let keys = keys(names.map(|name| {
            let name = name?;
            // SQLSTATEs: some dozens at most, and mostly the one before.
            let place = there.iter().rposition(|one| *one == name);
            let place = place.unwrap_or_else(|| {
                there.push(name);
                there.len() - 1
            });
            u32::try_from(place).ok()
        }));
        let texts = there.iter().map(|name| self.vocabulary.text(*name));
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        keyed(&keys, &values)
    }
}

impl WordingValues {
    fn new(wordings: &[Wording]) -> Self {
        Self {
            sql: texts(wordings, |wording| wording.sql.as_deref()),
            sql_digest: digests(wordings.iter().map(|wording| Some(&wording.sql_digest))),
            facts_digest: digests(wordings.iter().map(|wording| wording.facts_digest.as_ref())),
        }
    }
}

impl SessionValues {
    fn new(vocabulary: &Vocabulary) -> Self {
        let sessions = || vocabulary.sessions();
        let text = |texts: StringArray| Arc::new(texts) as ArrayRef;
        Self {
            session_id: text(sessions().map(|one| Some(&one.session_id)).collect()),
            principal: text(sessions().map(|one| Some(&one.principal)).collect()),
            on_behalf_of: text(sessions().map(|one| one.on_behalf_of.as_ref()).collect()),
            target: text(sessions().map(|one| Some(&one.target)).collect()),
        }
    }
}

impl MaskingValues {
    fn new(drafts: &[DecisionRecord]) -> Self {
        let counts = drafts.iter().map(|draft| draft.maskings.len());
        let starts = counts.scan(0, |next, count| {
            let start = *next;
            *next += count;
            Some(start)
        });
        let maskings: Vec<&MaskingRecord> =
            drafts.iter().flat_map(|draft| &draft.maskings).collect();
        let maskings = maskings.as_slice();
        Self {
            starts: starts.collect(),
            output_index: maskings
                .iter()
                .map(|masking| i64::from(masking.output_index))
                .collect(),
            before_count: vec![
                texts(maskings, |masking| Some(&masking.output_column)),
                lists(maskings, |masking| Some(&masking.source_columns)),
                texts(maskings, |masking| Some(&masking.class)),
                texts(maskings, |masking| Some(&masking.transform)),
            ],
            behind_count: vec![
                texts(maskings, |masking| Some(&masking.rule)),
                lists(maskings, |masking| Some(&masking.controls)),
                texts(maskings, |masking| masking.key_id.as_deref()),
            ],
        }
    }
}

fn phase_place(phase: Phase) -> u32 {
    match phase {
        Phase::Simple => 0,
        Phase::Prepare => 1,
        Phase::Execute => 2,
        Phase::PrepareExecute => 3,
    }
}

fn outcome_place(outcome: RowOutcome) -> u32 {
    let place = RowOutcome::ALL.iter().position(|one| *one == outcome);
    place.map_or(0, |place| place as u32)
}

/// Counts beyond 63 bits are clamped: Spark and others have no unsigned.
fn clamped(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn texts<T>(of: &[T], text: impl Fn(&T) -> Option<&str>) -> ArrayRef {
    Arc::new(of.iter().map(text).collect::<StringArray>())
}

fn lists<T>(of: &[T], list: impl Fn(&T) -> Option<&[String]>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(item_field());
    for one in of {
        let list = list(one);
        let texts = list.into_iter().flatten();
        texts.for_each(|text| builder.values().append_value(text));
        builder.append(list.is_some());
    }
    Arc::new(builder.finish())
}

fn keys(keys: impl Iterator<Item = Option<u32>>) -> Int32Array {
    let mut builder = Int32Array::builder(keys.size_hint().0);
    keys.for_each(|key| builder.append_option(key.and_then(|key| i32::try_from(key).ok())));
    builder.finish()
}

fn keyed(keys: &Int32Array, values: &ArrayRef) -> Result<ArrayRef, Error> {
    let array = DictionaryArray::<Int32Type>::try_new(keys.clone(), Arc::clone(values));
    Ok(Arc::new(array.map_err(|source| Error::Columns {
        dataset: "statements or maskings",
        source,
    })?))
}

fn integers(integers: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let mut builder = Int64Array::builder(integers.size_hint().0);
    integers.for_each(|integer| builder.append_option(integer));
    Arc::new(builder.finish())
}

fn times(times: impl Iterator<Item = Option<Micros>>) -> ArrayRef {
    let mut builder = TimestampMicrosecondArray::builder(times.size_hint().0);
    times.for_each(|time| builder.append_option(time.map(|time| time.0)));
    Arc::new(builder.finish().with_timezone("UTC"))
}

fn digests<'a>(digests: impl ExactSizeIterator<Item = Option<&'a Digest>>) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(digests.len(), 0);
    for digest in digests {
        match digest {
            None => builder.append_null(),
            Some(Digest::Bytes(bytes)) => builder.append_value(HexDigest::from(*bytes).as_str()),
            Some(Digest::Text(text)) => builder.append_value(text),
        }
    }
    Arc::new(builder.finish())
}

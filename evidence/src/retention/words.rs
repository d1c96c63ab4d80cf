//! What the ledger says of deletions and holds: rows of `changes`, written and read here. Must never read more into a row than it says.

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::holds::Standing;
use crate::ledger::documents::Manifest;
use crate::record::{ChangeRecord, Micros, Record};

/// An object is going to be deleted: `before` is its key, `digest` its SHA-256, `after` its rows.
const DELETED: &str = "evidence-deleted";
/// A legal hold was seen for the first time: `after` is its name, `digest` its document's SHA-256, `actor` who placed it.
const HOLD_PLACED: &str = "hold-placed";
/// A legal hold's end was seen: `before` is its name, `digest` the SHA-256 of the document that ends it.
const HOLD_RELEASED: &str = "hold-released";

/// A row that says one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) log_index: u64,
    pub(crate) at: Micros,
    pub(crate) actor: String,
    pub(crate) what: Word,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    Deleted {
        key: String,
        sha256: String,
        /// `<rows> rows, log_index <first> to <last>, <why>`.
        rows: String,
    },
    HoldPlaced {
        name: String,
        sha256: String,
    },
    HoldReleased {
        name: String,
        sha256: String,
    },
}

/// How the rows of an object are told, up to why they go.
fn rows(manifest: &Manifest) -> String {
    let Manifest {
        rows,
        first_log_index,
        last_log_index,
        ..
    } = manifest;
    format!("{rows} rows, log_index {first_log_index} to {last_log_index}, ")
}

/// An object is going to be deleted.
pub(super) fn deleted(manifest: &Manifest, actor: &str, days: u32, at: Micros) -> Record {
    Record::Change(ChangeRecord {
        at,
        actor: actor.to_owned(),
        what: DELETED.to_owned(),
        before: Some(manifest.key.clone()),
        after: Some(format!("{}older than {days} days", rows(manifest))),
        digest: Some(manifest.sha256.clone()),
    })
}

/// A hold was seen for the first time.
pub(super) fn placed(standing: &Standing, at: Micros) -> Record {
    Record::Change(ChangeRecord {
        at,
        actor: standing.hold.by().to_owned(),
        what: HOLD_PLACED.to_owned(),
        before: None,
        after: Some(standing.hold.name.clone()),
        digest: Some(standing.sha256.clone()),
    })
}

/// A hold's end was seen.
pub(super) fn released(standing: &Standing, sha256: &str, at: Micros) -> Record {
    Record::Change(ChangeRecord {
        at,
        actor: standing.hold.by().to_owned(),
        what: HOLD_RELEASED.to_owned(),
        before: Some(standing.hold.name.clone()),
        after: None,
        digest: Some(sha256.to_owned()),
    })
}

impl Said {
    /// Whether it announces the deletion of this very object, which was sealed before.
    pub(crate) fn announces(&self, manifest: &Manifest) -> bool {
        match &self.what {
            Word::Deleted {
                key,
                sha256,
                rows: said,
            } => {
                *key == manifest.key
                    && *sha256 == manifest.sha256
                    && said.starts_with(&rows(manifest))
                    && self.log_index > manifest.last_log_index
            }
            Word::HoldPlaced { .. } | Word::HoldReleased { .. } => false,
        }
    }
}

/// What an object of `changes` says. Its bytes must be those that its manifest pins: a column that is missing then can't be.
pub(crate) fn read(object: Bytes) -> Option<Vec<Said>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(object).ok()?;
    let mut said = Vec::new();
    for batch in reader.build().ok()? {
        let batch = batch.ok()?;
        let texts = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        let indices = batch.column_by_name("log_index")?;
        let indices = indices.as_primitive_opt::<Int64Type>()?;
        let times = batch.column_by_name("at")?;
        let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
        let (actors, whats) = (texts("actor")?, texts("what")?);
        let (befores, afters, digests) = (texts("before")?, texts("after")?, texts("digest")?);
        for row in 0..batch.num_rows() {
            let text = |column: &arrow::array::StringArray| {
                (!column.is_null(row)).then(|| column.value(row).to_owned())
            };
            let word = match whats.value(row) {
                DELETED => text(befores)
                    .zip(text(afters))
                    .zip(text(digests))
                    .map(|((key, rows), sha256)| Word::Deleted { key, sha256, rows }),
                HOLD_PLACED => text(afters)
                    .zip(text(digests))
                    .map(|(name, sha256)| Word::HoldPlaced { name, sha256 }),
                HOLD_RELEASED => text(befores)
                    .zip(text(digests))
                    .map(|(name, sha256)| Word::HoldReleased { name, sha256 }),
                _ => None,
            };
            let Some(what) = word else { continue };
            said.push(Said {
                log_index: u64::try_from(indices.value(row)).ok()?,
                at: Micros(times.value(row)),
                actor: actors.value(row).to_owned(),
                what,
            });
        }
    }
    Some(said)
}

//! Compaction: many small objects of one gateway, dataset and day as one larger, beside them. The originals stay, and are the record of truth;
//! queries read the larger one in their place. Must never hold a row that its sources don't: verification hashes each against the signed tree.
//!
//! `compacted/<dataset>/date=YYYY-MM-DD/<gateway>-<first>-<last>.parquet` has its sources' rows, in their order; what it is made of says the
//! signed note `compacted/manifests/<the rest of that key>`: the line `provost-compacted-v1 manifest` and one of JSON.

mod check;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::concat_batches;
use bytes::Bytes;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, SCHEMA_VERSION};
use crate::error::Error;
use crate::holds::{Day, HoldKey, Problem};
use crate::ledger;
use crate::ledger::documents::{Manifest, Pinned};
use crate::query::{self, Object};
use crate::retention;
use crate::seal::object::ObjectWriter;
use crate::seal::parts::{BATCH_BYTES_MAX, BATCH_ROWS_MAX};
use crate::store;
use crate::verify::Fault;

pub(crate) use check::check;

/// What every key begins with.
pub(crate) const PREFIX: &str = "compacted/";
/// Where the manifests are.
const MANIFESTS: &str = "compacted/manifests/";
const FORMAT: &str = "provost-compacted-v1";
/// Bytes of sources that one object is made of, at most: it bounds the memory that this takes.
const SOURCE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Rows that are read at once: their texts may be long.
const ROWS_AT_ONCE: usize = 1024;

/// What an object is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    pub(crate) gateway: String,
    pub(crate) dataset: Dataset,
    pub(crate) schema_version: i64,
    /// The object's key.
    pub(crate) key: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    /// Objects by their keys and SHA-256, in the order of their rows.
    pub(crate) sources: Vec<Pinned>,
    /// The verifier key of whoever made it.
    pub(crate) signer: String,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Done {
    /// Objects that were put together.
    pub sources: u64,
    /// Objects that came of it.
    pub objects: u64,
    /// Rows in them.
    pub rows: u64,
}

impl Contents {
    fn manifest_key(&self) -> String {
        manifest_key(&self.key)
    }

    /// Reads the note at a key.
    fn open(key: &str, bytes: &[u8]) -> Result<Self, Problem> {
        let (note, contents) = crate::holds::opened::<Self>(FORMAT, "manifest", bytes)?;
        crate::holds::verified(&note, &contents.signer)?;
        match contents.manifest_key() == key && contents.key.starts_with(PREFIX) {
            true => Ok(contents),
            false => Err(Problem::Malformed),
        }
    }
}

fn manifest_key(object: &str) -> String {
    let rest = object.strip_prefix(PREFIX).unwrap_or(object);
    format!("{MANIFESTS}{rest}")
}

/// The key that an object would have if it were an original: what holds and days go by. `None` for what is no compacted object or manifest.
pub(crate) fn original_of(key: &str) -> Option<&str> {
    key.strip_prefix(MANIFESTS)
        .or_else(|| key.strip_prefix(PREFIX))
}

/// All that can be read of what was compacted, by manifest.
async fn read(store: &dyn ObjectStore) -> Result<Vec<Contents>, Error> {
    let mut read = Vec::new();
    for key in store::list(store, MANIFESTS.trim_end_matches('/')).await? {
        let bytes = store::read(store, &key).await?.unwrap_or_default();
        read.extend(Contents::open(&key, &bytes));
    }
    Ok(read)
}

/// Which objects to read for rows: larger ones in place of their sources where all of these are there, and are those that it was made of.
/// It verifies nothing, as queries don't.
pub(crate) async fn in_place(
    store: &dyn ObjectStore,
    manifests: &[Manifest],
) -> Result<BTreeMap<Dataset, Vec<Object>>, Error> {
    let there: BTreeSet<String> = store::list(store, PREFIX.trim_end_matches('/'))
        .await?
        .into_iter()
        .collect();
    let mut left: BTreeMap<&str, &Manifest> = manifests
        .iter()
        .map(|manifest| (manifest.key.as_str(), manifest))
        .collect();
    let mut objects: BTreeMap<Dataset, Vec<Object>> = BTreeMap::new();
    let compacted = match there.is_empty() {
        true => Vec::new(),
        false => read(store).await?,
    };
    for contents in compacted {
        let is_source = |pinned: &Pinned| {
            left.get(pinned.key.as_str()).is_some_and(|manifest| {
                manifest.sha256 == pinned.sha256 && manifest.dataset == contents.dataset
            })
        };
        if there.contains(&contents.key) && contents.sources.iter().all(is_source) {
            for pinned in &contents.sources {
                left.remove(pinned.key.as_str());
            }
            objects.entry(contents.dataset).or_default().push(Object {
                key: contents.key,
                bytes: contents.bytes,
                schema_version: contents.schema_version,
            });
        }
    }
    for manifest in manifests {
        if left.contains_key(manifest.key.as_str()) {
            let found = objects.entry(manifest.dataset).or_default();
            found.push(Object {
                key: manifest.key.clone(),
                bytes: manifest.bytes,
                schema_version: manifest.schema_version,
            });
        }
    }
    Ok(objects)
}

/// Compacts what isn't yet, and has at least two objects of a gateway, dataset and day. The same objects give the same bytes; it may run while
/// gateways seal, and again at any time.
///
/// # Errors
/// [`Error::Ledger`] when an object isn't what its manifest says, or one is missing; [`Error::Store`], [`Error::Conflict`].
pub async fn compact(store: Arc<dyn ObjectStore>, key: &HoldKey) -> Result<Done, Error> {
    let manifests = query::manifests(&store).await?;
    let manifests = retention::present(store.as_ref(), manifests).await?;
    let mut taken = BTreeSet::new();
    for contents in read(store.as_ref()).await? {
        taken.extend(contents.sources.into_iter().map(|source| source.key));
    }
    let mut groups: BTreeMap<(String, Dataset, Day), Vec<Manifest>> = BTreeMap::new();
    for manifest in manifests {
        let Some(day) = Day::of_key(&manifest.key).filter(|_| !taken.contains(&manifest.key))
        else {
            continue;
        };
        let group = (manifest.gateway.clone(), manifest.dataset, day);
        groups.entry(group).or_default().push(manifest);
    }
    let mut done = Done::default();
    for ((_, _, day), mut sources) in groups {
        sources.sort_by_key(|manifest| manifest.first_log_index);
        for sources in portions(sources) {
            if sources.len() < 2 {
                continue;
            }
            let rows = put_together(store.as_ref(), &day, &sources, key).await?;
            done.sources += sources.len() as u64;
            done.objects += 1;
            done.rows += rows;
        }
    }
    Ok(done)
}

/// In order, each below the limit.
fn portions(sources: Vec<Manifest>) -> Vec<Vec<Manifest>> {
    let mut portions: Vec<Vec<Manifest>> = Vec::new();
    let mut bytes = 0;
    for manifest in sources {
        bytes += manifest.bytes;
        match portions.last_mut().filter(|_| bytes <= SOURCE_BYTES_MAX) {
            Some(portion) => portion.push(manifest),
            None => {
                bytes = manifest.bytes;
                portions.push(vec![manifest]);
            }
        }
    }
    portions
}

/// Puts one object, then its manifest; its rows.
async fn put_together(
    store: &dyn ObjectStore,
    day: &Day,
    sources: &[Manifest],
    key: &HoldKey,
) -> Result<u64, Error> {
    let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
        return Ok(0);
    };
    let name = format!(
        "{PREFIX}{}/date={day}/{}-{}-{}.parquet",
        first.dataset.name(),
        first.gateway,
        first.first_log_index,
        last.last_log_index
    );
    let mut objects = Vec::new();
    for manifest in sources {
        let refused = |fault| Error::Ledger {
            gateway: manifest.gateway.clone(),
            fault: Box::new(fault),
        };
        let object = store::read(store, &manifest.key).await?;
        let object = object.ok_or_else(|| refused(Fault::Missing))?;
        if ledger::sha256(&object) != manifest.sha256 {
            return Err(refused(Fault::Digest));
        }
        objects.push(object);
    }
    let (dataset, at) = (first.dataset, name.clone());
    let merged = tokio::task::spawn_blocking(move || merge(dataset, objects))
        .await
        .map_err(|source| Error::Interrupted { source })?;
    let object = merged.map_err(|source| Error::Parquet {
        action: "write",
        key: at,
        source,
    })?;
    let pinned = |manifest: &Manifest| Pinned {
        key: manifest.key.clone(),
        sha256: manifest.sha256.clone(),
    };
    let contents = Contents {
        gateway: first.gateway.clone(),
        dataset,
        schema_version: SCHEMA_VERSION,
        sha256: ledger::sha256(&object),
        bytes: object.len() as u64,
        rows: sources.iter().map(|manifest| manifest.rows).sum(),
        sources: sources.iter().map(pinned).collect(),
        signer: key.public(),
        key: name,
    };
    let manifest_key = contents.manifest_key();
    let note = key.note(FORMAT, "manifest", &contents, &manifest_key)?;
    store::put_once(store, &contents.key, object.into()).await?;
    store::put_once(store, &manifest_key, note.into()).await?;
    Ok(contents.rows)
}

/// The rows of objects as one, as this version writes rows: columns that older ones have not are null.
fn merge(dataset: Dataset, objects: Vec<Bytes>) -> Result<Vec<u8>, ParquetError> {
    let failed = |error| ParquetError::External(Box::new(error));
    let schema = dataset.schema();
    let mut writer = ObjectWriter::new(dataset)?;
    let mut waiting: Vec<RecordBatch> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    let flush = |waiting: &mut Vec<RecordBatch>, writer: &mut ObjectWriter| {
        let batch = concat_batches(&schema, waiting.iter()).map_err(failed)?;
        waiting.clear();
        writer.write(&batch)
    };
    for object in objects {
        let reader = ParquetRecordBatchReaderBuilder::try_new(object)?;
        for batch in reader.with_batch_size(ROWS_AT_ONCE).build()? {
            let batch = batch.map_err(failed)?;
            if rows + batch.num_rows() > BATCH_ROWS_MAX || bytes > BATCH_BYTES_MAX {
                flush(&mut waiting, &mut writer)?;
                (rows, bytes) = (0, 0);
            }
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            let columns = schema.fields().iter().map(|field| {
                let column = batch.column_by_name(field.name()).cloned();
                column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
            });
            let whole = RecordBatch::try_new(Arc::clone(&schema), columns.collect());
            waiting.push(whole.map_err(failed)?);
        }
    }
    if rows > 0 {
        flush(&mut waiting, &mut writer)?;
    }
    writer.finish()
}

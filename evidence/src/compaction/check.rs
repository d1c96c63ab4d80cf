//! That compacted objects hold the rows of their sources, all of them and nothing else: each row is hashed as its source's was, and the hashes
//! must be those of the verified tree. Must never trust what its maker says of it.

use std::collections::BTreeSet;

use arrow::array::{Array as _, RecordBatch};
use bytes::Bytes;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tlog_tiles::tlog::Hash;

use crate::compaction::{Contents, MANIFESTS, PREFIX};
use crate::error::Error;
use crate::hex;
use crate::ledger::{self, canonical, documents::Manifest};
use crate::seal::build::tile_key;
use crate::store;
use crate::verify::kept::{leaf_tiles, leaves_in};
use crate::verify::{Fault, LedgerReport};

/// What is compacted, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Compacted {
    /// Objects whose every row was found in the tree.
    pub(crate) objects: u64,
    /// Keys, and what is wrong.
    pub(crate) problems: Vec<(String, Fault)>,
}

/// Checks all of a store. `covered` are the keys that verified ledgers name.
pub(crate) async fn check(
    store: &dyn ObjectStore,
    listed: &BTreeSet<String>,
    uncovered: &BTreeSet<String>,
    ledgers: &[LedgerReport],
) -> Result<Compacted, Error> {
    let mut found = Compacted::default();
    let mut explained = BTreeSet::new();
    for key in listed.iter().filter(|key| key.starts_with(MANIFESTS)) {
        let bytes = store::read(store, key).await?.unwrap_or_default();
        let contents = match Contents::open(key, &bytes) {
            Ok(contents) => contents,
            Err(problem) => {
                found.problems.push((key.clone(), Fault::Hold { problem }));
                continue;
            }
        };
        explained.insert(contents.key.clone());
        let ledger = ledgers
            .iter()
            .find(|ledger| ledger.gateway == contents.gateway);
        let Some(ledger) = ledger else {
            found.problems.push((key.clone(), Fault::NoKey));
            continue;
        };
        let checked = one(store, listed, uncovered, ledger, &contents).await?;
        match checked {
            Ok(()) => found.objects += 1,
            Err(fault) => found.problems.push((contents.key, fault)),
        }
    }
    let objects = listed.iter().filter(|key| {
        key.starts_with(PREFIX) && !key.starts_with(MANIFESTS) && !explained.contains(*key)
    });
    found
        .problems
        .extend(objects.map(|key| (key.clone(), Fault::Uncovered)));
    Ok(found)
}

async fn one(
    store: &dyn ObjectStore,
    listed: &BTreeSet<String>,
    uncovered: &BTreeSet<String>,
    ledger: &LedgerReport,
    contents: &Contents,
) -> Result<Result<(), Fault>, Error> {
    let Some(object) = store::read(store, &contents.key).await? else {
        return Ok(Err(Fault::Missing));
    };
    if ledger::sha256(&object) != contents.sha256 || object.len() as u64 != contents.bytes {
        return Ok(Err(Fault::Digest));
    }
    let mut sources = Vec::new();
    for pinned in &contents.sources {
        let at = format!(
            "{}/manifests/{}.json",
            ledger::prefix(&contents.gateway),
            pinned.key
        );
        let is_verified = listed.contains(&at) && !uncovered.contains(&at);
        // Rows that retention deleted must be gone here, too.
        if !is_verified || !listed.contains(&pinned.key) {
            return Ok(Err(Fault::Source));
        }
        let bytes = store::read(store, &at).await?.unwrap_or_default();
        let manifest: Option<Manifest> = serde_json::from_slice(&bytes).ok();
        let is_source = |manifest: &Manifest| {
            manifest.key == pinned.key
                && manifest.sha256 == pinned.sha256
                && manifest.dataset == contents.dataset
                && manifest.last_log_index < ledger.rows
        };
        let Some(manifest) = manifest.filter(is_source) else {
            return Ok(Err(Fault::Source));
        };
        let mut leaves = Vec::new();
        for (path, first) in leaf_tiles(&manifest, ledger.rows) {
            let tile = store::read(store, &tile_key(&contents.gateway, &path)).await?;
            let Some(mut found) = tile.and_then(|tile| leaves_in(&tile, first, &manifest)) else {
                return Ok(Err(Fault::Source));
            };
            leaves.append(&mut found);
        }
        sources.push((manifest, leaves));
    }
    let rows = contents.rows;
    tokio::task::spawn_blocking(move || rows_are(object, &sources, rows))
        .await
        .map_err(|source| Error::Interrupted { source })
}

/// That an object's rows are those of its sources, in order.
fn rows_are(object: Bytes, sources: &[(Manifest, Vec<Hash>)], rows: u64) -> Result<(), Fault> {
    let Some((first, _)) = sources.first() else {
        return Err(Fault::Source);
    };
    let schema = first.dataset.schema();
    let reader = ParquetRecordBatchReaderBuilder::try_new(object).map_err(|_| Fault::Parquet)?;
    if reader.schema().fields() != schema.fields() {
        return Err(Fault::Schema);
    }
    if u64::try_from(reader.metadata().file_metadata().num_rows()) != Ok(rows) {
        return Err(Fault::Rows);
    }
    let mut batches = reader.build().map_err(|_| Fault::Parquet)?;
    let mut read = RecordBatch::new_empty(schema);
    for (manifest, mut expected) in sources.iter().map(|(of, leaves)| (of, leaves.as_slice())) {
        if expected.len() as u64 != manifest.rows {
            return Err(Fault::Rows);
        }
        while !expected.is_empty() {
            if read.num_rows() == 0 {
                let next = batches.next().ok_or(Fault::Rows)?;
                read = next.map_err(|_| Fault::Parquet)?;
            }
            let count = read.num_rows().min(expected.len());
            let (of_part, rest) = expected.split_at(count);
            if leaves(manifest, &read.slice(0, count))? != of_part {
                return Err(Fault::Root);
            }
            expected = rest;
            read = read.slice(count, read.num_rows() - count);
        }
    }
    match read.num_rows() == 0 && batches.next().is_none() {
        true => Ok(()),
        false => Err(Fault::Rows),
    }
}

/// The leaves of rows of this source, which have nothing in columns that it has not.
fn leaves(source: &Manifest, rows: &RecordBatch) -> Result<Vec<Hash>, Fault> {
    let own = source.dataset.schema_of(source.schema_version);
    let places: Vec<usize> = (0..own.fields().len()).collect();
    let mut added = rows.columns().iter().skip(places.len());
    if added.any(|column| column.null_count() != rows.num_rows()) {
        return Err(Fault::Schema);
    }
    let rows = rows.project(&places).map_err(|_| Fault::Schema)?;
    let secret = hex::parse(&source.secret).ok_or(Fault::Source)?;
    let form = (source.dataset, source.schema_version);
    canonical::leaves(form, &rows, &secret).ok_or(Fault::Schema)
}

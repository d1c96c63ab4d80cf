//! Recorded results and catalogs against the rows of `recordings` that name them. Must never call a result good whose messages don't
//! give the digest in its row, nor decode an object whose SHA-256 is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use object_store::ObjectStore;

use crate::dataset::Dataset;
use crate::error::Error;
use crate::ledger;
use crate::ledger::documents::Manifest;
use crate::log::records;
use crate::record::Record;
use crate::results::{self, catalogs};
use crate::seal::blocking;
use crate::store;
use crate::verify::kept::Gone;
use crate::verify::rows::batches_of;
use crate::verify::{Fault, Problem};

/// An object with rows of `recordings`, and whether an earlier verification checked what it names.
pub(super) type Recordings = (Manifest, bool);

/// What rows name.
#[derive(Default)]
struct Named {
    /// Parts of results, by statement and number.
    results: BTreeMap<(String, i64), Part>,
    /// SHA-256 of catalogs.
    catalogs: BTreeSet<String>,
    problems: Vec<Problem>,
    /// Rows were deleted: parts may lack that others of their statement were beside.
    lacks_rows: bool,
}

struct Part {
    log_index: u64,
    key: String,
    sha256: String,
    parts: i64,
    digest: String,
    is_before: bool,
    /// Retention deletes it with the row that names it, and first.
    may_be_gone: bool,
}

/// Checks what a ledger's rows name; returns the keys that they cover, and what is wrong.
pub(super) async fn check(
    store: &dyn ObjectStore,
    listed: &BTreeSet<String>,
    recordings: &[Recordings],
    gone: &Gone,
) -> Result<(BTreeSet<String>, Vec<Problem>), Error> {
    let mut named = Named {
        lacks_rows: gone.is_without_some_of(Dataset::Recordings),
        ..Named::default()
    };
    for (manifest, is_before) in recordings {
        // What is missing or changed is told with the object itself.
        let Some(object) = store::read(store, &manifest.key).await? else {
            continue;
        };
        let may_be_gone = gone.is_announced(manifest);
        if let Ok(batches) = batches_of(manifest, object) {
            for batch in &batches {
                named.take(batch, *is_before, may_be_gone);
            }
        }
    }
    let mut covered: BTreeSet<String> = named
        .catalogs
        .iter()
        .map(|digest| catalogs::key(digest))
        .collect();
    for digest in std::mem::take(&mut named.catalogs) {
        let key = catalogs::key(&digest);
        match store::read(store, &key).await? {
            None => named.problem(&key, None, Fault::Missing),
            Some(bytes) if ledger::sha256(&bytes) != digest => {
                named.problem(&key, None, Fault::Digest);
            }
            Some(_) => {}
        }
    }
    if named.lacks_rows {
        // Rows that are gone may have named them; their names say what they are.
        let catalogs = listed
            .iter()
            .filter(|key| key.starts_with(catalogs::PREFIX));
        covered.extend(catalogs.cloned());
    }
    covered.extend(named.results.values().map(|part| part.key.clone()));
    let statements: BTreeSet<String> = named
        .results
        .keys()
        .map(|(statement, _)| statement.clone())
        .collect();
    for statement in statements {
        named.check_result(store, listed, &statement).await?;
    }
    Ok((covered, named.problems))
}

impl Named {
    fn problem(&mut self, object: &str, index: Option<u64>, fault: Fault) {
        self.problems.push(Problem {
            object: object.to_owned(),
            index,
            fault,
        });
    }

    fn take(&mut self, batch: &RecordBatch, is_before: bool, may_be_gone: bool) {
        for row in 0..batch.num_rows() {
            if let Some(digest) = text(batch, "catalog_digest", row) {
                self.catalogs.insert(digest);
            }
            let Some(key) = text(batch, "result", row) else {
                continue;
            };
            let count = |column| integer(batch, column, row);
            let part = Part {
                log_index: count("log_index").map_or(0, |index| index.unsigned_abs()),
                key,
                sha256: text(batch, "result_sha256", row).unwrap_or_default(),
                parts: count("parts").unwrap_or_default(),
                digest: text(batch, "result_digest", row).unwrap_or_default(),
                is_before,
                may_be_gone,
            };
            let statement = text(batch, "statement_id", row).unwrap_or_default();
            let place = (statement, count("part").unwrap_or(-1));
            // A crash may leave a row twice; two that differ contradict each other.
            if let Some(earlier) = self.results.get(&place)
                && (&earlier.key, &earlier.sha256) != (&part.key, &part.sha256)
            {
                self.problem(
                    &part.key,
                    Some(part.log_index),
                    Fault::Field { field: "part" },
                );
                continue;
            }
            self.results.insert(place, part);
        }
    }

    /// A result's parts, in order: each the one its row names, and together what the digest says.
    async fn check_result(
        &mut self,
        store: &dyn ObjectStore,
        listed: &BTreeSet<String>,
        statement: &str,
    ) -> Result<(), Error> {
        let range = (statement.to_owned(), i64::MIN)..=(statement.to_owned(), i64::MAX);
        let mut found = Vec::new();
        let mut hasher = Some(blake3::Hasher::new());
        let mut expected = 0;
        for ((_, number), part) in self.results.range(range) {
            if *number != expected {
                if !self.lacks_rows {
                    found.push((
                        part.key.clone(),
                        part.log_index,
                        Fault::Field { field: "part" },
                    ));
                }
                hasher = None;
            }
            expected = number + 1;
            let is_there = listed.contains(&part.key);
            if part.is_before || (part.may_be_gone && !is_there) {
                if !is_there && !part.may_be_gone {
                    found.push((part.key.clone(), part.log_index, Fault::Missing));
                }
                hasher = None;
                continue;
            }
            let object = store::read(store, &part.key).await?;
            match take_part(object, part, hasher.take()).await? {
                Ok(after) => hasher = after,
                Err(fault) => found.push((part.key.clone(), part.log_index, fault)),
            }
            if expected != part.parts {
                continue;
            }
            let digest = hasher.as_ref().map(|hasher| hasher.finalize().to_hex());
            if digest.is_some_and(|digest| digest.as_str() != part.digest) {
                found.push((part.key.clone(), part.log_index, Fault::Result));
            }
        }
        let last = (statement.to_owned(), expected - 1);
        if let Some(part) = self.results.get(&last)
            && part.parts != expected
            && !self.lacks_rows
        {
            found.push((
                part.key.clone(),
                part.log_index,
                Fault::Field { field: "parts" },
            ));
        }
        for (key, index, fault) in found {
            self.problem(&key, Some(index), fault);
        }
        Ok(())
    }
}

/// The results that rows of `recordings` name.
pub(crate) fn named_in(manifest: &Manifest, object: Bytes) -> Result<Vec<String>, Fault> {
    let mut keys = Vec::new();
    for batch in batches_of(manifest, object)? {
        keys.extend((0..batch.num_rows()).filter_map(|row| text(&batch, "result", row)));
    }
    Ok(keys)
}

/// Hashes the messages of a part, as long as those before it could be.
async fn take_part(
    object: Option<Bytes>,
    part: &Part,
    hasher: Option<blake3::Hasher>,
) -> Result<Result<Option<blake3::Hasher>, Fault>, Error> {
    let Some(object) = object else {
        return Ok(Err(Fault::Missing));
    };
    if ledger::sha256(&object) != part.sha256 {
        return Ok(Err(Fault::Digest));
    }
    blocking(move || {
        let Some(read) = results::read(object) else {
            return Ok(Err(Fault::Malformed));
        };
        let Some(mut hasher) = hasher else {
            return Ok(Ok(None));
        };
        let whole = read.each(&mut |message| {
            hasher.update(message);
        });
        Ok(whole.map(|()| Some(hasher)).ok_or(Fault::Malformed))
    })
    .await
}

/// Keys below `results/` and `catalogs/` that a gateway has put and whose rows are still in its log, or will be by its next seal.
pub(super) fn in_flight(folder: &Path, gateway: &str, key: &str) -> Result<bool, Error> {
    if !key.starts_with(results::PREFIX) && !key.starts_with(catalogs::PREFIX) {
        return Ok(false);
    }
    let is_spooled = |id: &String| {
        let name = key.rsplit('/').next().unwrap_or_default();
        let rest = name
            .strip_prefix(gateway)
            .and_then(|rest| rest.strip_prefix('-'));
        rest.and_then(|rest| rest.strip_prefix(id.as_str()))
            .is_some_and(|rest| rest.starts_with('-'))
    };
    let ids = results::spooled(folder).map_err(Error::file("list", folder))?;
    let is_result = key.starts_with(results::PREFIX) && ids.iter().any(is_spooled);
    if is_result || catalogs::is_kept(folder, key) {
        return Ok(true);
    }
    let names = |record: &Record| match record {
        Record::Recording(recording) => {
            let catalog = recording.catalog_digest.as_ref();
            recording.result.as_deref() == Some(key)
                || catalog.is_some_and(|digest| key == catalogs::key(digest))
        }
        _ => false,
    };
    // A damaged log is told by itself.
    Ok(records(folder).is_ok_and(|records| records.iter().any(names)))
}

fn text(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(column)?;
    let plain = match column.as_dictionary_opt::<arrow::datatypes::Int32Type>() {
        None => column.as_string_opt::<i32>()?,
        Some(dictionary) => {
            let values = dictionary.values().as_string_opt::<i32>()?;
            let key = dictionary.key(row)?;
            return (!values.is_null(key)).then(|| values.value(key).to_owned());
        }
    };
    (!plain.is_null(row)).then(|| plain.value(row).to_owned())
}

fn integer(batch: &RecordBatch, column: &str, row: usize) -> Option<i64> {
    let column = batch
        .column_by_name(column)?
        .as_primitive_opt::<Int64Type>()?;
    (!column.is_null(row)).then(|| column.value(row))
}

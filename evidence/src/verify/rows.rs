//! The rows of an object, as they are hashed. Must never decode an object whose digest is wrong.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use tlog_tiles::tlog::Hash;

use crate::dataset::Dataset;
use crate::ledger::canonical::Record;
use crate::ledger::documents::Manifest;
use crate::ledger::{self, canonical};
use crate::verify::Fault;

/// Rows that are read and hashed at once: enough that a dictionary's values are rendered for many, and a few megabytes at most.
const BATCH_ROWS: usize = 16_384;

/// The leaf hashes of an object's rows; else the first log_index concerned and what is wrong.
pub(super) fn check_object(manifest: &Manifest, object: Bytes) -> Result<Vec<Hash>, (u64, Fault)> {
    let first = manifest.first_log_index;
    let secret = check_bytes(manifest, &object).map_err(|fault| (first, fault))?;
    let mut leaves = Vec::new();
    for batch in batches(manifest, object).map_err(|fault| (first, fault))? {
        let next = first + leaves.len() as u64;
        let batch = batch.map_err(|fault| (next, fault))?;
        check_common_columns(manifest, &batch, next)?;
        leaves.extend(
            canonical::leaves(form(manifest), &batch, &secret).ok_or((next, Fault::Schema))?,
        );
    }
    match leaves.len() as u64 == manifest.rows {
        true => Ok(leaves),
        false => Err((first, Fault::Rows)),
    }
}

/// The rows of an object whose columns are those of its schema version. Texts that it has as dictionaries, alone or in lists, are read as such: each is
/// checked and rendered once. No batch is of two row groups: each of these can be laid out whole.
fn batches(
    manifest: &Manifest,
    object: Bytes,
) -> Result<impl Iterator<Item = Result<RecordBatch, Fault>>, Fault> {
    let metadata = ArrowReaderMetadata::load(&object, ArrowReaderOptions::new())
        .map_err(|_| Fault::Parquet)?;
    let expected = manifest.dataset.schema_of(manifest.schema_version);
    if metadata.schema().fields() != expected.fields() {
        return Err(Fault::Schema);
    }
    let row_groups = metadata.metadata().row_groups();
    let has_dictionary = |column: usize| {
        let mut chunks = row_groups.iter().map(|group| group.columns().get(column));
        chunks.all(|chunk| chunk.is_some_and(|chunk| chunk.dictionary_page_offset().is_some()))
    };
    // Each of our columns is one column of Parquet's, lists too.
    let keyed = |field: &Field| {
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Arc::new(field.clone().with_data_type(kind))
    };
    let read_as = |(place, field): (usize, &Arc<Field>)| match field.data_type() {
        DataType::Utf8 if has_dictionary(place) => keyed(field),
        DataType::List(items) if has_dictionary(place) => {
            let kind = DataType::List(keyed(items));
            Arc::new(field.as_ref().clone().with_data_type(kind))
        }
        _ => Arc::clone(field),
    };
    let fields: Vec<_> = expected.fields().iter().enumerate().map(read_as).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)
        .map_err(|_| Fault::Parquet)?;
    let groups: Result<Vec<_>, _> = (0..metadata.metadata().num_row_groups())
        .map(|group| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(object.clone(), metadata.clone())
                .with_row_groups(vec![group])
                .with_batch_size(BATCH_ROWS)
                .build()
        })
        .collect();
    let groups = groups.map_err(|_| Fault::Parquet)?.into_iter().flatten();
    Ok(groups.map(|batch| batch.map_err(|_| Fault::Parquet)))
}

/// `log_index` is dense, `gateway` and `schema_version` are the manifest's in every row.
fn check_common_columns(
    manifest: &Manifest,
    batch: &RecordBatch,
    first: u64,
) -> Result<(), (u64, Fault)> {
    let integers = |name| {
        batch
            .column_by_name(name)
            .and_then(|column| column.as_primitive_opt::<Int64Type>())
    };
    let indices = integers("log_index").ok_or((first, Fault::Schema))?;
    let versions = integers("schema_version").ok_or((first, Fault::Schema))?;
    let gateways = batch
        .column_by_name("gateway")
        .and_then(|column| are(column, &manifest.gateway))
        .ok_or((first, Fault::Schema))?;
    let rows = indices.values().iter().zip(versions.values()).zip(gateways);
    for (((found, version), is_gateway), index) in rows.zip(first..) {
        if u64::try_from(*found) != Ok(index) {
            return Err((index, Fault::Rows));
        }
        if !is_gateway || *version != manifest.schema_version {
            return Err((
                index,
                Fault::Field {
                    field: "gateway or schema_version",
                },
            ));
        }
    }
    Ok(())
}

/// Which rows of a column of texts are this one; `None` when it holds no texts.
fn are(column: &ArrayRef, text: &str) -> Option<Vec<bool>> {
    let of =
        |texts: &StringArray| -> Vec<bool> { texts.iter().map(|one| one == Some(text)).collect() };
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else {
        return column.as_string_opt::<i32>().map(of);
    };
    let values = of(dictionary.values().as_string_opt::<i32>()?);
    let is = |key: Option<i32>| {
        let value = values.get(usize::try_from(key?).ok()?)?;
        Some(*value)
    };
    let keys = dictionary.keys().iter();
    Some(keys.map(|key| is(key).unwrap_or(false)).collect())
}

/// The rows of an object that is the one that its manifest pins.
pub(super) fn batches_of(manifest: &Manifest, object: Bytes) -> Result<Vec<RecordBatch>, Fault> {
    check_bytes(manifest, &object)?;
    let batches = batches(manifest, object)?;
    batches
        .collect::<Result<_, _>>()
        .map_err(|_| Fault::Parquet)
}

/// Which canonical form an object's rows have.
fn form(manifest: &Manifest) -> (Dataset, i64) {
    (manifest.dataset, manifest.schema_version)
}

/// One row's canonical form.
pub(crate) fn record(manifest: &Manifest, object: Bytes, log_index: u64) -> Result<Record, Fault> {
    let secret = check_bytes(manifest, &object)?;
    let mut next = manifest.first_log_index;
    for batch in batches(manifest, object)? {
        let batch = batch.map_err(|_| Fault::Parquet)?;
        check_common_columns(manifest, &batch, next).map_err(|(_, fault)| fault)?;
        let end = next + batch.num_rows() as u64;
        if log_index < end {
            let row = usize::try_from(log_index - next).map_err(|_| Fault::Rows)?;
            return canonical::record(form(manifest), &batch, &secret, row).ok_or(Fault::Schema);
        }
        next = end;
    }
    Err(Fault::Rows)
}

/// That an object is the one that its manifest pins; the secret of its nonces.
fn check_bytes(manifest: &Manifest, object: &Bytes) -> Result<[u8; 32], Fault> {
    if manifest.bytes != object.len() as u64 || manifest.sha256 != ledger::sha256(object) {
        return Err(Fault::Digest);
    }
    crate::hex::parse(&manifest.secret).ok_or(Fault::Field { field: "secret" })
}

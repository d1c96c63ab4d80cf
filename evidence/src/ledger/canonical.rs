//! The canonical form of a row: what a leaf hash is computed over. Rebuilt from a Parquet row and the secret in its
//! object's manifest. Must never depend on how Parquet laid the row out.
//!
//! `nonce (16 bytes) | JSON`. The JSON is one object, no white space: `dataset` first, then every column in schema order,
//! nulls included; integers in decimal, times as integer microseconds, texts with JSON's shortest escapes (`\"`, `\\`,
//! `\b \t \n \f \r`, other control characters as `\u00xx` in lower case, everything else raw UTF-8): exactly what
//! Python's `json.dumps(row, ensure_ascii=False, separators=(",", ":"))` gives.
//! `nonce = HMAC-SHA256(object secret, "provost nonce v1" | log_index as u64 big-endian)`, its first 16 bytes.

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tlog_tiles::tlog::{Hash, record_hash};

use crate::dataset::Dataset;

/// Bytes of nonce in each record.
const NONCE_BYTES: usize = 16;

/// The leaf hashes of a batch, in row order. `None` when a column is of no type of ours.
///
/// # Source
/// RFC 6962, section 2.1: leaf = SHA-256(0x00 | record).
pub(crate) fn leaves(
    dataset: Dataset,
    batch: &RecordBatch,
    secret: &[u8; 32],
) -> Option<Vec<Hash>> {
    let indices = batch
        .column_by_name("log_index")?
        .as_primitive_opt::<Int64Type>()?;
    (0..batch.num_rows())
        .map(|row| {
            let mut record = nonce(secret, u64::try_from(indices.value(row)).ok()?)?.to_vec();
            write_json(dataset, batch, row, &mut record)?;
            Some(record_hash(&record))
        })
        .collect()
}

fn nonce(secret: &[u8; 32], log_index: u64) -> Option<[u8; NONCE_BYTES]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(b"provost nonce v1");
    mac.update(&log_index.to_be_bytes());
    mac.finalize()
        .into_bytes()
        .first_chunk::<NONCE_BYTES>()
        .copied()
}

fn write_json(dataset: Dataset, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(b"{\"dataset\":");
    write_text(dataset.name(), out)?;
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        out.push(b',');
        write_text(field.name(), out)?;
        out.push(b':');
        write_value(column, row, out)?;
    }
    out.push(b'}');
    Some(())
}

fn write_value(column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Option<()> {
    if column.is_null(row) {
        out.extend_from_slice(b"null");
        return Some(());
    }
    match column.data_type() {
        DataType::Utf8 => write_text(column.as_string_opt::<i32>()?.value(row), out),
        DataType::Int64 => write_integer(column.as_primitive_opt::<Int64Type>()?.value(row), out),
        DataType::Timestamp(..) => write_integer(
            column
                .as_primitive_opt::<TimestampMicrosecondType>()?
                .value(row),
            out,
        ),
        DataType::Boolean => {
            let value = column.as_boolean_opt()?.value(row);
            out.extend_from_slice(if value { b"true" } else { b"false" });
            Some(())
        }
        DataType::List(_) => write_list(
            column
                .as_list_opt::<i32>()?
                .value(row)
                .as_string_opt::<i32>()?,
            out,
        ),
        _ => None,
    }
}

fn write_list(texts: &StringArray, out: &mut Vec<u8>) -> Option<()> {
    out.push(b'[');
    for position in 0..texts.len() {
        if position > 0 {
            out.push(b',');
        }
        write_text(texts.value(position), out)?;
    }
    out.push(b']');
    Some(())
}

fn write_integer(value: i64, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(value.to_string().as_bytes());
    Some(())
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    serde_json::to_writer(out, text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Cell;
    use expect_test::expect;

    #[test]
    fn the_form_is_the_documented_one() {
        let rows = [vec![
            Cell::text("g"),
            Cell::Integer(7),
            Cell::Integer(1),
            Cell::Time(-5),
            Cell::text("\"quoted\" \\ \u{8}\u{c}\n\r\t\u{1}\u{7f}é\u{2028}😀"),
            Cell::text("what"),
            Cell::Null,
            Cell::Null,
            Cell::Null,
        ]];
        let batch = Dataset::Changes.batch(&rows).unwrap();
        let mut out = Vec::new();
        write_json(Dataset::Changes, &batch, 0, &mut out).unwrap();
        let expected = "{\"dataset\":\"changes\",\"gateway\":\"g\",\"log_index\":7,\"schema_version\":1,\"at\":-5,\"actor\":\"\\\"quoted\\\" \\\\ \\b\\f\\n\\r\\t\\u0001\u{7f}é\u{2028}😀\",\"what\":\"what\",\"before\":null,\"after\":null,\"digest\":null}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        // Computed by Python's hmac, hashlib and json from the same row.
        expect![[r#"[CQdorIHRR0Gf/s3mlZE+hghgk9AsudNWPVp+32Vj2VM=]"#]].assert_eq(&format!(
            "{:?}",
            leaves(Dataset::Changes, &batch, &[9; 32]).unwrap()
        ));
    }
}

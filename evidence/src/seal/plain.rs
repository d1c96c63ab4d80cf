//! Columns in which each row has a value of its own, as Parquet column chunks: numbers and times, and texts of which hardly two are the same.
//! Other columns are `keyed`'s, or the library's.

use arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use parquet::basic::Encoding;
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use crate::seal::chunk::{Body, Chunk, PAGE_ROWS_MAX, Zstd, definition};
use crate::seal::delta;
use crate::seal::object::PAGE_BYTES_MAX;

/// The column as a chunk; `None` where it is neither of numbers or times nor of such texts.
pub(super) fn chunk(
    column: &ArrayRef,
    leaf: &ColumnDescPtr,
    are_texts_unique: bool,
    zstd: &mut Zstd,
) -> Result<Option<Chunk>> {
    match column.data_type() {
        DataType::Int64 => column
            .as_primitive_opt::<Int64Type>()
            .map(|column| integers(column.values(), column.nulls(), leaf, zstd)),
        DataType::Timestamp(..) => {
            let times = column.as_primitive_opt::<TimestampMicrosecondType>();
            times.map(|times| integers(times.values(), times.nulls(), leaf, zstd))
        }
        DataType::Utf8 if are_texts_unique => {
            let texts_of = column.as_string_opt::<i32>();
            texts_of.map(|of| texts(of, leaf, zstd))
        }
        _ => None,
    }
    .transpose()
}

fn integers(
    values: &[i64],
    nulls: Option<&NullBuffer>,
    leaf: &ColumnDescPtr,
    zstd: &mut Zstd,
) -> Result<Chunk> {
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    let mut bounds: Option<(i64, i64)> = None;
    let mut pages = Vec::new();
    for start in (0..values.len()).step_by(PAGE_ROWS_MAX) {
        let rows = start..values.len().min(start + PAGE_ROWS_MAX);
        let all = values.get(rows.clone()).unwrap_or_default();
        let there: Vec<i64>;
        let there = match nulls {
            None => all,
            Some(nulls) => {
                let of_rows = nulls.slice(start, rows.len());
                let pairs = all.iter().zip(of_rows.iter());
                there = pairs
                    .filter_map(|(value, is_there)| is_there.then_some(*value))
                    .collect();
                &there
            }
        };
        for value in there {
            let (least, greatest) = bounds.unwrap_or((*value, *value));
            bounds = Some((least.min(*value), greatest.max(*value)));
        }
        let mut packed = Vec::new();
        delta::encode(there, &mut packed);
        let (definition, null_count) = definition(nulls, rows.clone(), leaf);
        let body = Body {
            repetition: Vec::new(),
            definition,
            values: packed,
            encoding: Encoding::DELTA_BINARY_PACKED,
            entries: rows.len(),
            nulls: null_count,
            rows: rows.len(),
        };
        pages.push(body.compressed(zstd)?);
    }
    Chunk::new(leaf, values.len(), None, pages, zstd, |nulls| {
        let (least, greatest) = bounds.unzip();
        Statistics::int64(least, greatest, None, Some(nulls), false)
    })
}

fn texts(texts: &StringArray, leaf: &ColumnDescPtr, zstd: &mut Zstd) -> Result<Chunk> {
    let nulls = texts.nulls().filter(|nulls| nulls.null_count() > 0);
    let mut pages = Vec::new();
    let mut start = 0;
    while start < texts.len() {
        let mut values = Vec::with_capacity(PAGE_BYTES_MAX);
        let mut end = start;
        while end < texts.len() && end - start < PAGE_ROWS_MAX && values.len() < PAGE_BYTES_MAX {
            if nulls.is_none_or(|nulls| nulls.is_valid(end)) {
                let text = texts.value(end);
                // A text of a record is bounded far below 4 GB.
                values.extend_from_slice(&(text.len() as u32).to_le_bytes());
                values.extend_from_slice(text.as_bytes());
            }
            end += 1;
        }
        let (definition, null_count) = definition(nulls, start..end, leaf);
        let body = Body {
            repetition: Vec::new(),
            definition,
            values,
            encoding: Encoding::PLAIN,
            entries: end - start,
            nulls: null_count,
            rows: end - start,
        };
        pages.push(body.compressed(zstd)?);
        start = end;
    }
    // The least and greatest of them help nobody.
    Chunk::new(leaf, texts.len(), None, pages, zstd, |nulls| {
        Statistics::byte_array(None, None, None, Some(nulls), false)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch, TimestampMicrosecondArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Field, Schema};
    use bytes::Bytes;
    use parquet::arrow::ArrowSchemaConverter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::writer::SerializedFileWriter;
    use proptest::prelude::*;

    use super::*;
    use crate::seal::object::ZSTD_LEVEL;

    /// What is read back is what was there, and its statistics are true.
    fn check(column: ArrayRef, nullable: bool) -> Statistics {
        let kind = column.data_type().clone();
        let schema = Arc::new(Schema::new(vec![Field::new("c", kind, nullable)]));
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let mut zstd = Zstd::new(ZSTD_LEVEL).unwrap();
        let chunk = chunk(&column, &parquet_schema.column(0), true, &mut zstd);
        let root = parquet_schema.root_schema_ptr();
        let mut file = SerializedFileWriter::new(Vec::new(), root, Arc::default()).unwrap();
        let mut row_group = file.next_row_group().unwrap();
        chunk.unwrap().unwrap().append_to(&mut row_group).unwrap();
        row_group.close().unwrap();
        let bytes = Bytes::from(file.into_inner().unwrap());
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let written = builder.metadata().row_group(0).column(0).statistics();
        let written = written.unwrap().clone();
        assert_eq!(written.null_count_opt(), Some(column.null_count() as u64));
        let read: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
        let read = concat_batches(&schema, &read).unwrap();
        assert_eq!(read.column(0).to_data(), column.to_data());
        written
    }

    fn check_integers(integers: &[Option<i64>]) {
        let written = check(Arc::new(Int64Array::from(integers.to_vec())), true);
        let Statistics::Int64(written) = written else {
            panic!("integers have integers' statistics");
        };
        let there = || integers.iter().flatten();
        assert_eq!(written.min_opt(), there().min());
        assert_eq!(written.max_opt(), there().max());
    }

    proptest! {
        #[test]
        fn integers_are_read_back(
            integers in proptest::collection::vec(proptest::option::of(prop_oneof![any::<i64>(), 0..9_i64]), 1..400),
        ) {
            check_integers(&integers);
        }

        #[test]
        fn texts_are_read_back(texts in proptest::collection::vec(proptest::option::of(".{0,9}"), 1..200)) {
            check(Arc::new(StringArray::from(texts)), true);
        }
    }

    #[test]
    fn many_rows_and_none_with_a_value_are_read_back() {
        let rows = PAGE_ROWS_MAX as i64 * 2 + 77;
        let times = TimestampMicrosecondArray::from_iter_values((0..rows).map(|row| row * row));
        check(Arc::new(times.with_timezone("UTC")), false);
        let some: Vec<_> = (0..rows)
            .map(|row| (row > 30_000).then_some(-row))
            .collect();
        check_integers(&some);
        check_integers(&vec![None; 30_000]);
        let large = (0..40).map(|row| Some(format!("{row}").repeat(PAGE_BYTES_MAX / 20)));
        check(Arc::new(large.collect::<StringArray>()), false);
        let rows = (0..rows).map(|row| Some(format!("{row}")));
        check(Arc::new(rows.collect::<StringArray>()), true);
        check(Arc::new(StringArray::from(vec![None::<&str>; 7])), true);
    }
}

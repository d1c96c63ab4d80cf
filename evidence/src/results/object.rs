//! Messages to Parquet, and back: a column for each of the result, holding exactly the bytes that the client got, so that the messages
//! can be made again. Pure; the same messages give the same bytes. Must never give back messages other than those written.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::dataset::SCHEMA_VERSION;
use crate::results::reading::{Part, message};

/// The format code of texts.
const TEXT: i16 = 0;
/// Rows that are read back at once.
const BATCH_ROWS: usize = 4_096;
/// A message's type byte and length.
const HEADER_BYTES: usize = 5;

/// A column as the server described it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_oid: u32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// What the messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// DataRow.
    Rows,
    /// CopyData.
    Copy,
}

/// How messages lie in the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A value in each column, NULL as null.
    Columns,
    /// A body in the only column, `data`.
    Bodies,
}

impl Layout {
    fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Bodies => "bodies",
        }
    }
}

/// A part of a result that was read back.
#[derive(Debug)]
pub struct Read {
    /// What it holds.
    pub messages: Messages,
    /// The columns, where a description is known.
    pub described: Option<Vec<Described>>,
    layout: Layout,
    batches: Vec<RecordBatch>,
}

/// Reads the body of a RowDescription; `None` where it is none.
pub(crate) fn described(body: &[u8]) -> Option<Vec<Described>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (name, behind) = rest.split_at_checked(end)?;
        // Relation and attribute number (6 bytes), type, size and modifier (6), format.
        let (fixed, behind) = behind.get(1..)?.split_first_chunk::<18>()?;
        let [_, _, _, _, _, _, a, b, c, d, .., e, f] = *fixed;
        columns.push(Described {
            name: String::from_utf8_lossy(name).into_owned(),
            type_oid: u32::from_be_bytes([a, b, c, d]),
            format: i16::from_be_bytes([e, f]),
        });
        rest = behind;
    }
    rest.is_empty().then_some(columns)
}

/// The object of a part: the number `part` of the statement's.
pub(crate) fn write(
    statement_id: &str,
    (number, part): (u64, &Part),
    described: Option<&[Described]>,
) -> Result<Bytes> {
    let kind = part.bytes.first().copied().unwrap_or(b'D');
    let rows = match kind {
        b'D' => columns(part, described),
        _ => None,
    };
    let layout = rows.as_ref().map_or(Layout::Bodies, |_| Layout::Columns);
    let batch = match rows {
        Some(batch) => batch,
        None => bodies(part)?,
    };
    let mut metadata = vec![
        pair("provost.dataset", "results".to_owned()),
        pair("provost.schema_version", SCHEMA_VERSION.to_string()),
        pair("provost.statement_id", statement_id.to_owned()),
        pair("provost.part", number.to_string()),
        pair("provost.messages", char::from(kind).to_string()),
        pair("provost.layout", layout.name().to_owned()),
    ];
    if let Some(described) = described {
        let columns = serde_json::to_string(described).map_err(external)?;
        metadata.push(pair("provost.columns", columns));
    }
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("provost".to_owned())
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(metadata))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.into_inner().map(Bytes::from)
}

fn pair(key: &str, value: String) -> KeyValue {
    KeyValue::new(key.to_owned(), value)
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// The bodies of a part's messages.
fn each_body<'a>(part: &'a Part) -> impl Iterator<Item = &'a [u8]> + 'a {
    let mut rest = part.bytes.as_slice();
    std::iter::from_fn(move || {
        let next = message(rest)?;
        rest = rest.get(next.len()..)?;
        next.get(HEADER_BYTES..)
    })
}

/// The values of a DataRow; `None` where it is none.
pub(crate) fn values(body: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let count = usize::from(u16::from_be_bytes(*count));
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        rest = behind;
        match i32::from_be_bytes(*length) {
            -1 => values.push(None),
            length => {
                let (value, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                values.push(Some(value));
                rest = behind;
            }
        }
    }
    rest.is_empty().then_some(values)
}

/// A column for each of the result's; `None` where rows aren't all alike, or have no columns.
fn columns(part: &Part, described: Option<&[Described]>) -> Option<RecordBatch> {
    let rows: Vec<Vec<Option<&[u8]>>> = each_body(part).map(values).collect::<Option<_>>()?;
    let count = match (rows.first(), described) {
        (Some(row), _) => row.len(),
        (None, described) => described?.len(),
    };
    let described = described.filter(|described| described.len() == count);
    if count == 0 || rows.iter().any(|row| row.len() != count) {
        return None;
    }
    let mut names: Vec<String> = Vec::with_capacity(count);
    let mut fields = Vec::with_capacity(count);
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(count);
    for place in 0..count {
        let column = described.and_then(|described| described.get(place));
        let name = unique(column.map_or("", |column| &column.name), place, &names);
        let values = || rows.iter().map(|row| row.get(place).copied().flatten());
        let texts: Option<Vec<Option<&str>>> =
            column.filter(|column| column.format == TEXT).and_then(|_| {
                let text = |value: &[u8]| std::str::from_utf8(value).ok().map(str::len);
                values()
                    .all(|value| value.is_none_or(|value| text(value).is_some()))
                    .then(|| {
                        let text = |value| std::str::from_utf8(value).ok();
                        values().map(|value| value.and_then(text)).collect()
                    })
            });
        let array: ArrayRef = match texts {
            Some(texts) => Arc::new(StringArray::from(texts)),
            None => Arc::new(BinaryArray::from_iter(values())),
        };
        fields.push(Field::new(&name, array.data_type().clone(), true));
        arrays.push(array);
        names.push(name);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).ok()
}

/// A name that no column before has: readers of Parquet find columns by name.
fn unique(name: &str, place: usize, before: &[String]) -> String {
    let is_free = |name: &str| !name.is_empty() && !before.iter().any(|one| one == name);
    if is_free(name) {
        return name.to_owned();
    }
    let mut name = format!("{name}#{}", place + 1);
    while !is_free(&name) {
        name.push('#');
    }
    name
}

/// The bodies as they are.
fn bodies(part: &Part) -> Result<RecordBatch> {
    let array: ArrayRef = Arc::new(BinaryArray::from_iter(each_body(part).map(Some)));
    let schema = Schema::new(vec![Field::new("data", DataType::Binary, false)]);
    RecordBatch::try_new(Arc::new(schema), vec![array]).map_err(external)
}

/// Reads an object back; `None` where it isn't in the documented form.
pub fn read(object: Bytes) -> Option<Read> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(object).ok()?;
    let metadata = builder.metadata().file_metadata().key_value_metadata()?;
    let value = |key: &str| {
        let pair = metadata.iter().find(|pair| pair.key == key)?;
        pair.value.clone()
    };
    let messages = match value("provost.messages")?.as_str() {
        "D" => Messages::Rows,
        "d" => Messages::Copy,
        _ => return None,
    };
    let layout = match value("provost.layout")?.as_str() {
        "columns" => Layout::Columns,
        "bodies" => Layout::Bodies,
        _ => return None,
    };
    let described = match value("provost.columns") {
        None => None,
        Some(text) => Some(serde_json::from_str(&text).ok()?),
    };
    let reader: ParquetRecordBatchReader = builder.with_batch_size(BATCH_ROWS).build().ok()?;
    let batches = reader.collect::<std::result::Result<_, _>>().ok()?;
    Some(Read {
        messages,
        described,
        layout,
        batches,
    })
}

impl Read {
    /// How many messages it holds.
    pub fn count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Gives each message, with its type byte and length, in order; `None` where a column holds neither texts nor bytes.
    pub fn each(&self, give: &mut dyn FnMut(&[u8])) -> Option<()> {
        let mut message = Vec::new();
        for batch in &self.batches {
            let columns: Vec<Column<'_>> = batch
                .columns()
                .iter()
                .map(Column::of)
                .collect::<Option<_>>()?;
            for row in 0..batch.num_rows() {
                message.clear();
                message.extend_from_slice(match self.messages {
                    Messages::Rows => b"D\0\0\0\0",
                    Messages::Copy => b"d\0\0\0\0",
                });
                match self.layout {
                    Layout::Columns => put_row(&columns, row, &mut message)?,
                    Layout::Bodies => message.extend_from_slice(columns.first()?.value(row)?),
                }
                let length = u32::try_from(message.len().checked_sub(1)?).ok()?;
                message
                    .get_mut(1..HEADER_BYTES)?
                    .copy_from_slice(&length.to_be_bytes());
                give(&message);
            }
        }
        Some(())
    }
}

/// A column that is read back.
enum Column<'a> {
    Texts(&'a StringArray),
    Bytes(&'a BinaryArray),
}

impl<'a> Column<'a> {
    fn of(array: &'a ArrayRef) -> Option<Self> {
        let texts = array.as_string_opt::<i32>().map(Self::Texts);
        texts.or_else(|| array.as_binary_opt::<i32>().map(Self::Bytes))
    }

    /// `None` is NULL.
    fn value(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::Texts(array) => (!array.is_null(row)).then(|| array.value(row).as_bytes()),
            Self::Bytes(array) => (!array.is_null(row)).then(|| array.value(row)),
        }
    }
}

fn put_row(columns: &[Column<'_>], row: usize, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(&u16::try_from(columns.len()).ok()?.to_be_bytes());
    for column in columns {
        match column.value(row) {
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(value) => {
                out.extend_from_slice(&i32::try_from(value.len()).ok()?.to_be_bytes());
                out.extend_from_slice(value);
            }
        }
    }
    Some(())
}

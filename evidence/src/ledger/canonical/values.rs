//! Values as JSON: exactly what Python's `json.dumps(value, ensure_ascii=False, separators=(",", ":"))` gives.

use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, Int32Array, ListArray, StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};

/// A column whose rows have a value each.
pub(super) enum Plain<'a> {
    Integers(&'a [i64], Option<&'a NullBuffer>),
    Booleans(&'a BooleanArray),
    Texts(&'a StringArray),
    Lists(&'a ListArray, Items<'a>),
}

/// What lists are of.
#[derive(Clone, Copy)]
pub(super) enum Items<'a> {
    Texts(&'a StringArray),
    Keyed(&'a Int32Array, &'a StringArray),
}

impl<'a> Items<'a> {
    fn new(items: &'a ArrayRef) -> Option<Self> {
        let Some(dictionary) = items.as_dictionary_opt::<Int32Type>() else {
            return items.as_string_opt::<i32>().map(Self::Texts);
        };
        let texts = dictionary.values().as_string_opt::<i32>()?;
        Some(Self::Keyed(dictionary.keys(), texts))
    }

    fn text(self, at: usize) -> &'a str {
        match self {
            Self::Texts(texts) => texts.value(at),
            Self::Keyed(keys, texts) => texts.value(place(keys.value(at))),
        }
    }
}

impl<'a> Plain<'a> {
    pub(super) fn new(column: &'a ArrayRef) -> Option<Self> {
        Some(match column.data_type() {
            DataType::Utf8 => Self::Texts(column.as_string_opt::<i32>()?),
            DataType::Int64 => {
                let integers = column.as_primitive_opt::<Int64Type>()?;
                Self::Integers(integers.values(), integers.nulls())
            }
            DataType::Timestamp(..) => {
                let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
                Self::Integers(times.values(), times.nulls())
            }
            DataType::Boolean => Self::Booleans(column.as_boolean_opt()?),
            DataType::List(_) => {
                let lists = column.as_list_opt::<i32>()?;
                Self::Lists(lists, Items::new(lists.values())?)
            }
            _ => return None,
        })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        let nulls = match self {
            Self::Integers(_, nulls) => *nulls,
            Self::Booleans(booleans) => booleans.nulls(),
            Self::Texts(texts) => texts.nulls(),
            Self::Lists(lists, _) => lists.nulls(),
        };
        nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends a row's value, or null where there is no row.
    pub(super) fn write_or_null(&self, row: Option<usize>, out: &mut Vec<u8>) {
        match row {
            Some(row) => self.write(row, out),
            None => out.extend_from_slice(b"null"),
        }
    }

    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match self {
            Self::Integers(integers, _) => {
                let value = integers.get(row).copied().unwrap_or_default();
                out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            Self::Booleans(booleans) => {
                let value: &[u8] = if booleans.value(row) {
                    b"true"
                } else {
                    b"false"
                };
                out.extend_from_slice(value);
            }
            Self::Texts(texts) => write_text(texts.value(row), out),
            Self::Lists(lists, items) => write_list(*items, items_of(lists, row), out),
        }
    }
}

/// Where a row's items are.
pub(super) fn items_of(lists: &ListArray, row: usize) -> Range<usize> {
    let ends = lists.value_offsets().get(row..row + 2).unwrap_or_default();
    let [start, end] = ends.first_chunk().map_or([0, 0], |ends| ends.map(place));
    start..end
}

/// Offsets of Arrow are never negative.
pub(super) fn place(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

fn write_list(items: Items<'_>, range: Range<usize>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (position, place) in range.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write_text(items.text(place), out);
    }
    out.push(b']');
}

pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Nearly every text is its own JSON: found out without a branch for each byte.
    let is_escaped = |byte: &u8| (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
    let any_is_escaped = text
        .as_bytes()
        .iter()
        .fold(false, |any, byte| any | is_escaped(byte));
    if !any_is_escaped {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            0..0x20 => {
                let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
                let digits = [digit(byte >> 4), digit(byte & 15)];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Whether these are the very same keys, not only equal ones.
pub(crate) fn are_same(one: &Int32Array, other: &Int32Array) -> bool {
    let nulls = |keys: &Int32Array| {
        let nulls = keys.nulls()?;
        Some((nulls.buffer().as_ptr(), nulls.offset()))
    };
    one.values().as_ptr() == other.values().as_ptr()
        && one.len() == other.len()
        && nulls(one) == nulls(other)
}

//! Text format: a line a row, and a backslash before what is no plain character.
//!
//! # Source
//! PostgreSQL, `COPY`, "Text Format"; `CopyAttributeOutText` in `src/backend/commands/copyto.c`.

use bytes::{BufMut, BytesMut};
use memchr::{memchr, memchr3};
use provost_engine::copy::TextLayout;

use super::{Columns, Masks, Part, Plan, apply};
use crate::protocol::frame::Error;

#[derive(Debug)]
pub(super) struct Text {
    layout: TextLayout,
    names_due: bool,
    /// How far a line was looked through for its end.
    looked: usize,
}

impl Text {
    pub(super) const fn new(layout: TextLayout) -> Self {
        Self {
            names_due: layout.has_header,
            layout,
            looked: 0,
        }
    }

    /// No value has a line's end in it: it is written `\n`.
    pub(super) fn end(&mut self, carry: &[u8]) -> Option<usize> {
        let rest = carry.get(self.looked..).unwrap_or_default();
        if let Some(found) = memchr(b'\n', rest) {
            return Some(self.looked + found + 1);
        }
        self.looked = carry.len();
        None
    }

    pub(super) fn copy(
        &mut self,
        data: &[u8],
        columns: &mut Columns,
        masks: Masks<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<(usize, Part)>, Error> {
        let delimiter = self.layout.delimiter;
        let (mut column, mut start, mut at, mut shown) = (0, 0, 0, 0);
        let mut is_escaped = false;
        loop {
            let rest = data.get(at..).unwrap_or_default();
            let Some(found) = memchr3(delimiter, b'\\', b'\n', rest) else {
                return Ok(None);
            };
            let end = at + found;
            let byte = rest.get(found).copied().ok_or(Error::Format)?;
            if byte == b'\\' {
                // Whatever is behind it is of the value, unless it is a line's end, which nothing can hide.
                is_escaped = true;
                at = end + 1;
                match data.get(at) {
                    None => return Ok(None),
                    Some(b'\n') => return Err(Error::Format),
                    Some(_) => at += 1,
                }
                continue;
            }
            let value = data.get(start..end).ok_or(Error::Format)?;
            if !self.names_due && matches!(columns.plan(column)?, Plan::Mask { .. }) {
                out.extend_from_slice(data.get(shown..start).ok_or(Error::Format)?);
                self.mask(value, is_escaped, columns, (column, masks), out)?;
                shown = end;
            }
            column += 1;
            at = end + 1;
            if byte == b'\n' {
                if column != columns.plans.len() {
                    return Err(Error::Format);
                }
                out.extend_from_slice(data.get(shown..at).ok_or(Error::Format)?);
                self.looked = 0;
                let is_names = std::mem::take(&mut self.names_due);
                return Ok(Some((at, if is_names { Part::Names } else { Part::Row })));
            }
            start = at;
            is_escaped = false;
        }
    }

    fn mask(
        &self,
        value: &[u8],
        is_escaped: bool,
        columns: &mut Columns,
        (place, masks): (usize, Masks<'_>),
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let Some(Plan::Mask { place, column }) = columns.plans.get(place) else {
            return Err(Error::Format);
        };
        if *value == *self.layout.null {
            out.extend_from_slice(value);
            return Ok(());
        }
        columns.met.push(*place);
        if let Some(fixed) = &column.fixed {
            out.extend_from_slice(fixed);
            return Ok(());
        }
        let value = if is_escaped {
            unescape(value, self.layout.delimiter, &mut columns.raw)?;
            &columns.raw
        } else {
            value
        };
        let kind = (column.type_oid, columns.format);
        let masked = apply(masks, *place, kind, value, &mut columns.masked)?;
        self.write(masked, out);
        Ok(())
    }

    /// Appends a value as the server would write it.
    pub(super) fn write(&self, value: Option<&[u8]>, out: &mut BytesMut) {
        let Some(mut rest) = value else {
            out.extend_from_slice(&self.layout.null);
            return;
        };
        let is_special =
            |byte: &u8| *byte == b'\\' || *byte == self.layout.delimiter || matches!(*byte, 8..=13);
        while let Some(place) = rest.iter().position(is_special) {
            let (plain, from) = rest.split_at(place);
            out.extend_from_slice(plain);
            let Some((&byte, after)) = from.split_first() else {
                break;
            };
            out.put_u8(b'\\');
            out.put_u8(match byte {
                8 => b'b',
                9 => b't',
                10 => b'n',
                11 => b'v',
                12 => b'f',
                13 => b'r',
                other => other,
            });
            rest = after;
        }
        out.extend_from_slice(rest);
    }
}

/// Writes to `raw` what the server wrote with backslashes: only such escapes as it writes.
fn unescape(value: &[u8], delimiter: u8, raw: &mut Vec<u8>) -> Result<(), Error> {
    raw.clear();
    let mut rest = value;
    while let Some(place) = memchr(b'\\', rest) {
        let (plain, from) = rest.split_at(place);
        raw.extend_from_slice(plain);
        let [_, byte, after @ ..] = from else {
            return Err(Error::Format);
        };
        raw.push(match byte {
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'v' => 11,
            b'f' => 12,
            b'r' => 13,
            b'\\' => b'\\',
            other if *other == delimiter => delimiter,
            _ => return Err(Error::Format),
        });
        rest = after;
    }
    raw.extend_from_slice(rest);
    Ok(())
}

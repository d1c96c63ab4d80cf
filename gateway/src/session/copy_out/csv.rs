//! CSV format: a line a row, and quotes around what could be taken for something else.
//!
//! # Source
//! PostgreSQL, `COPY`, "CSV Format"; `CopyAttributeOutCSV` in `src/backend/commands/copyto.c`.

use bytes::{BufMut, BytesMut};
use memchr::{memchr2, memchr3};
use provost_engine::copy::CsvLayout;

use super::{Columns, Masks, Part, Plan, apply};
use crate::protocol::frame::Error;

#[derive(Debug)]
pub(super) struct Csv {
    layout: CsvLayout,
    /// A line holds one value.
    is_alone: bool,
    names_due: bool,
    /// How far a line was looked through for its end.
    looked: usize,
    /// Whether that is within quotes.
    within: bool,
}

/// One value as it lies in the data.
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    /// Without the quotes around it.
    text: &'a [u8],
    is_quoted: bool,
    /// Something in it is escaped.
    is_escaped: bool,
    /// Where it ends in the data, its quotes included.
    end: usize,
    /// What is there.
    behind: u8,
}

impl Csv {
    pub(super) const fn new(layout: CsvLayout, columns: usize) -> Self {
        Self {
            is_alone: columns == 1,
            names_due: layout.has_header,
            layout,
            looked: 0,
            within: false,
        }
    }

    /// Where the line ends: a line's end within quotes is of a value.
    pub(super) fn end(&mut self, carry: &[u8]) -> Option<usize> {
        let (quote, escape) = (self.layout.quote, self.layout.escape);
        loop {
            let rest = carry.get(self.looked..).unwrap_or_default();
            let found = match self.within {
                true => memchr2(quote, escape, rest),
                false => memchr2(quote, b'\n', rest),
            };
            let Some(place) = found else {
                self.looked = carry.len();
                return None;
            };
            let byte = rest.get(place).copied();
            if self.within && escape != quote && byte == Some(escape) {
                // What is escaped must be there, or it is looked for again.
                if rest.len() < place + 2 {
                    self.looked += place;
                    return None;
                }
                self.looked += place + 2;
                continue;
            }
            self.looked += place + 1;
            if !self.within && byte == Some(b'\n') {
                return Some(self.looked);
            }
            self.within = !self.within;
        }
    }

    pub(super) fn copy(
        &mut self,
        data: &[u8],
        columns: &mut Columns,
        masks: Masks<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<(usize, Part)>, Error> {
        let (mut column, mut start, mut shown) = (0, 0, 0);
        loop {
            let Some(value) = self.value(data, start)? else {
                return Ok(None);
            };
            if !self.names_due && matches!(columns.plan(column)?, Plan::Mask { .. }) {
                out.extend_from_slice(data.get(shown..start).ok_or(Error::Format)?);
                self.mask(value, columns, (column, masks), out)?;
                shown = value.end;
            }
            column += 1;
            start = value.end + 1;
            if value.behind == b'\n' {
                if column != columns.plans.len() {
                    return Err(Error::Format);
                }
                out.extend_from_slice(data.get(shown..start).ok_or(Error::Format)?);
                (self.looked, self.within) = (0, false);
                let is_names = std::mem::take(&mut self.names_due);
                let part = if is_names { Part::Names } else { Part::Row };
                return Ok(Some((start, part)));
            }
        }
    }

    /// The value that starts there; `None` where it has no end yet.
    fn value<'a>(&self, data: &'a [u8], start: usize) -> Result<Option<Value<'a>>, Error> {
        let CsvLayout {
            delimiter,
            quote,
            escape,
            ..
        } = self.layout;
        let rest = data.get(start..).unwrap_or_default();
        let Some((&first, within)) = rest.split_first() else {
            return Ok(None);
        };
        if first != quote {
            let Some(end) = memchr3(delimiter, quote, b'\n', rest) else {
                return Ok(None);
            };
            let (text, behind) = rest.split_at(end);
            let behind = behind.first().copied().ok_or(Error::Format)?;
            // The server quotes what has a quote in it.
            if behind == quote {
                return Err(Error::Format);
            }
            return Ok(Some(Value {
                text,
                is_quoted: false,
                is_escaped: false,
                end: start + end,
                behind,
            }));
        }
        let (mut at, mut is_escaped) = (0, false);
        loop {
            let Some(found) = memchr2(quote, escape, within.get(at..).unwrap_or_default()) else {
                return Ok(None);
            };
            let place = at + found;
            let byte = within.get(place).copied().ok_or(Error::Format)?;
            let Some(&behind) = within.get(place + 1) else {
                return Ok(None);
            };
            if byte == escape && (behind == quote || behind == escape) {
                is_escaped = true;
                at = place + 2;
                continue;
            }
            if byte != quote || !(behind == delimiter || behind == b'\n') {
                return Err(Error::Format);
            }
            return Ok(Some(Value {
                text: within.get(..place).ok_or(Error::Format)?,
                is_quoted: true,
                is_escaped,
                end: start + place + 2,
                behind,
            }));
        }
    }

    fn mask(
        &self,
        value: Value<'_>,
        columns: &mut Columns,
        (place, masks): (usize, Masks<'_>),
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let Some(Plan::Mask { place, column }) = columns.plans.get(place) else {
            return Err(Error::Format);
        };
        if !value.is_quoted && *value.text == *self.layout.null {
            out.extend_from_slice(value.text);
            return Ok(());
        }
        columns.met.push(*place);
        if let Some(fixed) = &column.fixed {
            out.extend_from_slice(fixed);
            return Ok(());
        }
        let text = if value.is_escaped {
            self.unescape(value.text, &mut columns.raw);
            &columns.raw
        } else {
            value.text
        };
        let kind = (column.type_oid, columns.format);
        let masked = apply(masks, *place, kind, text, &mut columns.masked)?;
        self.write(masked, column.is_quoted, out);
        Ok(())
    }

    /// Writes to `raw` what stood within quotes: whatever is escaped in it is a quote or an escape.
    fn unescape(&self, text: &[u8], raw: &mut Vec<u8>) {
        raw.clear();
        let mut bytes = text.iter();
        while let Some(&byte) = bytes.next() {
            let plain = if byte == self.layout.escape {
                bytes.next().copied().unwrap_or(byte)
            } else {
                byte
            };
            raw.push(plain);
        }
    }

    /// Appends a value as the server would write it.
    pub(super) fn write(&self, value: Option<&[u8]>, is_quoted: bool, out: &mut BytesMut) {
        let CsvLayout {
            delimiter,
            quote,
            escape,
            null,
            ..
        } = &self.layout;
        let Some(text) = value else {
            out.extend_from_slice(null);
            return;
        };
        let is_special =
            |byte: &u8| byte == delimiter || byte == quote || matches!(byte, b'\r' | b'\n');
        // `\.` alone in a line is an end of data to some readers.
        let needs_quotes = is_quoted
            || *text == **null
            || (self.is_alone && text == b"\\.")
            || text.iter().any(is_special);
        if !needs_quotes {
            out.extend_from_slice(text);
            return;
        }
        out.put_u8(*quote);
        for byte in text {
            if byte == quote || byte == escape {
                out.put_u8(*escape);
            }
            out.put_u8(*byte);
        }
        out.put_u8(*quote);
    }
}

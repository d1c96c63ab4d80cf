//! Binary format: a signature, then for each row the number of its columns and each with its length.
//!
//! # Source
//! PostgreSQL, `COPY`, "Binary Format".

use bytes::{BufMut, BytesMut};

use super::{Columns, Masks, Part, Plan, apply};
use crate::protocol::frame::Error;

/// What binary data starts with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Where what follows the signature has its flags, and the length of what may follow them: nothing, in every version.
const START_BYTES: usize = SIGNATURE.len() + 8;
/// Instead of a number of columns, at the end.
const TRAILER: i16 = -1;

/// How far binary data was read.
#[derive(Debug, Default)]
pub(super) struct Binary {
    stage: Stage,
    /// How far a row was looked through for its end, and the columns that are left of it there; `None` before their number is read.
    looked: usize,
    left: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Start,
    Rows,
    Over,
}

impl Binary {
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Where the row begins: behind the signature, where that is still due. `None` where it is not all there.
    fn row(&self, data: &[u8]) -> Result<Option<usize>, Error> {
        match self.stage {
            Stage::Rows => Ok(Some(0)),
            Stage::Over => Err(Error::Format),
            Stage::Start => {
                let Some(start) = data.get(..START_BYTES) else {
                    return Ok(None);
                };
                let (signature, rest) = start.split_at(SIGNATURE.len());
                if signature != SIGNATURE || rest.iter().any(|byte| *byte != 0) {
                    return Err(Error::Format);
                }
                Ok(Some(START_BYTES))
            }
        }
    }

    pub(super) fn end(&mut self, carry: &[u8]) -> Result<Option<usize>, Error> {
        if self.left.is_none() {
            let Some(row) = self.row(carry)? else {
                return Ok(None);
            };
            let Some(count) = number(carry, row) else {
                return Ok(None);
            };
            self.looked = row + 2;
            // A count that is none is told by whoever reads the row.
            self.left = Some(usize::try_from(i16::from_be_bytes(count)).unwrap_or(0));
        }
        while let Some(left) = self.left.filter(|left| *left > 0) {
            let Some(length) = number(carry, self.looked) else {
                return Ok(None);
            };
            let next = self.looked + 4 + length_of(i32::from_be_bytes(length))?.unwrap_or(0);
            if next > carry.len() {
                return Ok(None);
            }
            self.looked = next;
            self.left = Some(left - 1);
        }
        Ok(Some(self.looked))
    }

    pub(super) fn copy(
        &mut self,
        data: &[u8],
        columns: &mut Columns,
        masks: Masks<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<(usize, Part)>, Error> {
        let Some(row) = self.row(data)? else {
            return Ok(None);
        };
        let Some(count) = number(data, row) else {
            return Ok(None);
        };
        let mut at = row + 2;
        let part = match i16::from_be_bytes(count) {
            TRAILER => Part::End,
            count if usize::try_from(count) == Ok(columns.plans.len()) => Part::Row,
            _ => return Err(Error::Format),
        };
        let mut shown = 0;
        if part == Part::Row {
            for place in 0..columns.plans.len() {
                let Some(length) = number(data, at) else {
                    return Ok(None);
                };
                let start = at + 4;
                let length = length_of(i32::from_be_bytes(length))?;
                let end = start + length.unwrap_or(0);
                let Some(value) = data.get(start..end) else {
                    return Ok(None);
                };
                if length.is_some() && matches!(columns.plan(place)?, Plan::Mask { .. }) {
                    out.extend_from_slice(data.get(shown..at).ok_or(Error::Format)?);
                    mask(value, columns, (place, masks), out)?;
                    shown = end;
                }
                at = end;
            }
        }
        out.extend_from_slice(data.get(shown..at).ok_or(Error::Format)?);
        self.stage = match part {
            Part::End => Stage::Over,
            Part::Row | Part::Names | Part::Nothing => Stage::Rows,
        };
        (self.looked, self.left) = (0, None);
        Ok(Some((at, part)))
    }
}

fn mask(
    value: &[u8],
    columns: &mut Columns,
    (place, masks): (usize, Masks<'_>),
    out: &mut BytesMut,
) -> Result<(), Error> {
    let Some(Plan::Mask { place, column }) = columns.plans.get(place) else {
        return Err(Error::Format);
    };
    columns.met.push(*place);
    if let Some(fixed) = &column.fixed {
        out.extend_from_slice(fixed);
        return Ok(());
    }
    let kind = (column.type_oid, columns.format);
    let masked = apply(masks, *place, kind, value, &mut columns.masked)?;
    write(masked, out);
    Ok(())
}

/// Appends a value with its length. One that is too long for it makes its whole row too long to be sent.
pub(super) fn write(value: Option<&[u8]>, out: &mut BytesMut) {
    match value {
        None => out.put_i32(-1),
        Some(value) => {
            out.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
            out.extend_from_slice(value);
        }
    }
}

/// The bytes of a number at this place, if they are there.
fn number<const BYTES: usize>(data: &[u8], at: usize) -> Option<[u8; BYTES]> {
    data.get(at..)?.first_chunk().copied()
}

/// The length of a value; `None` of NULL.
fn length_of(length: i32) -> Result<Option<usize>, Error> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| Error::Format),
    }
}

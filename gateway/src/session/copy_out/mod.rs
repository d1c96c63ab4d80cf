//! Masked COPY data: rows found in what the server sends, masked, and sent on one message each, as the server does.
//!
//! ```text
//! CopyData --Masking::next--> whole row? --text | csv | binary--> CopyData for the client
//! ```
//!
//! A message may hold any part of the data: what has no end yet is carried over, and the same comes out however it is cut.
//!
//! `// INVARIANT:` a raw masked value is read where it lies, or from the carry or the scratch of its own COPY, and goes nowhere but
//! into its transform. Data that is not as its statement says is an error, never passed on.

mod binary;
mod csv;
#[cfg(test)]
mod tests;
mod text;

use bytes::{BufMut, BytesMut};
use provost_engine::{
    copy::{CopyOut, Layout},
    mask::{self, Format, MaskKeys, Masked},
    verdict::OutputMask,
};

use self::{binary::Binary, csv::Csv, text::Text};
use crate::{
    judge::Enforcement,
    protocol::{
        backend::CopyResponse,
        frame::{Error, HEADER_BYTES},
    },
};

/// The data of one COPY that is masked.
#[derive(Debug)]
pub(super) struct Masking {
    form: Form,
    columns: Columns,
    /// The start of something whose end has not come.
    carry: Vec<u8>,
}

/// The form of the data, and how far it was read.
#[derive(Debug)]
enum Form {
    Text(Text),
    Csv(Csv),
    Binary(Binary),
}

/// What is done with each column.
#[derive(Debug)]
struct Columns {
    plans: Box<[Plan]>,
    format: Format,
    /// A value as it is before it is escaped, and before it is masked.
    raw: Vec<u8>,
    /// A masked value.
    masked: Vec<u8>,
    /// The masks that met a value of the newest row.
    met: Vec<usize>,
}

/// What is done with one column.
#[derive(Debug)]
enum Plan {
    /// It is shown as it comes.
    Show,
    /// The mask at that place is applied.
    Mask { place: usize, column: Column },
}

/// A masked column.
#[derive(Debug)]
struct Column {
    type_oid: u32,
    is_quoted: bool,
    /// What every value becomes, where that does not hang on the value: as it is written in the data.
    fixed: Option<Box<[u8]>>,
}

/// What came next in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing whole; what there was is kept.
    Nothing,
    /// The line of names.
    Names,
    /// A row.
    Row,
    /// The end of binary data.
    End,
}

/// What masks are applied with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masks<'a> {
    pub(super) masks: &'a [OutputMask],
    /// Without, `hash` and `tokenize` redact.
    pub(super) keys: Option<&'a MaskKeys>,
}

/// What masks the data that is announced: `None` where there is nothing to mask.
///
/// # Errors
/// [`Error::Format`] where the announcement is not what the statement asked for.
pub(super) fn begin(
    announced: &CopyResponse,
    enforcement: &Enforcement,
) -> Result<Option<Masking>, Error> {
    let (Some(expected), Some(copy)) = (&enforcement.columns, &enforcement.copy) else {
        return Err(Error::Format);
    };
    let format = if announced.is_binary() {
        Format::Binary
    } else {
        Format::Text
    };
    let is_uniform = announced
        .columns
        .iter()
        .all(|column| *column == i16::from(announced.format));
    if announced.columns.len() != expected.len() || !is_uniform {
        return Err(Error::Format);
    }
    if enforcement.masks.is_empty() {
        return Ok(None);
    }
    let is_as_asked = copy.is_binary() == announced.is_binary();
    if !is_as_asked || copy.columns.len() != expected.len() {
        return Err(Error::Format);
    }
    Masking::new(copy, &enforcement.masks, format).map(Some)
}

impl Masking {
    fn new(copy: &CopyOut, masks: &[OutputMask], format: Format) -> Result<Self, Error> {
        let Ok(layout) = &copy.layout else {
            return Err(Error::Format);
        };
        let form = match layout {
            Layout::Text(layout) => Form::Text(Text::new(layout.clone())),
            Layout::Csv(layout) => Form::Csv(Csv::new(layout.clone(), copy.columns.len())),
            Layout::Binary => Form::Binary(Binary::default()),
        };
        let mut places = masks.iter().enumerate().peekable();
        let plan = |(output, column): (usize, &provost_engine::copy::CopyColumn)| {
            let Some((place, mask)) = places.next_if(|(_, mask)| mask.output == output) else {
                return Plan::Show;
            };
            let mut value = Vec::new();
            let masked = mask::fixed(&mask.transform, column.type_oid, format, &mut value);
            let fixed = masked.map(|masked| {
                let mut written = BytesMut::new();
                let masked = (masked == Masked::Value).then_some(&*value);
                form.write(masked, column.is_quoted, &mut written);
                Box::from(&*written)
            });
            Plan::Mask {
                place,
                column: Column {
                    type_oid: column.type_oid,
                    is_quoted: column.is_quoted,
                    fixed,
                },
            }
        };
        let plans = copy.columns.iter().enumerate().map(plan).collect();
        // A mask that meets no column would be a value shown raw.
        if places.peek().is_some() {
            return Err(Error::Format);
        }
        Ok(Self {
            form,
            columns: Columns {
                plans,
                format,
                raw: Vec::new(),
                masked: Vec::new(),
                met: Vec::new(),
            },
            carry: Vec::new(),
        })
    }

    /// Bytes that are kept until their end comes.
    pub(super) const fn carried(&self) -> usize {
        self.carry.len()
    }

    /// Whether the data may end here.
    pub(super) const fn is_whole(&self) -> bool {
        self.carry.is_empty()
            && match &self.form {
                Form::Text(_) | Form::Csv(_) => true,
                Form::Binary(binary) => binary.is_over(),
            }
    }

    /// Takes what comes next from `data`, the rest of a CopyData's body, and appends it as a CopyData of its own; each value that is
    /// masked counts in `counts`, mask by mask. NULL stays NULL and is not counted.
    ///
    /// # Errors
    /// When the data is not of the form that the statement asked for; then nothing is appended.
    pub(super) fn next(
        &mut self,
        data: &mut &[u8],
        masks: Masks<'_>,
        counts: &mut [u64],
        out: &mut BytesMut,
    ) -> Result<Part, Error> {
        if data.is_empty() {
            return Ok(Part::Nothing);
        }
        if self.carry.is_empty() {
            let written = frame(out, |out| {
                self.form.copy(data, &mut self.columns, masks, out)
            })?;
            if let Some((used, part)) = written {
                *data = data.get(used..).unwrap_or_default();
                self.columns.count(counts);
                return Ok(part);
            }
        }
        self.carry.extend_from_slice(data);
        let Some(end) = self.form.end(&self.carry)? else {
            *data = &[];
            return Ok(Part::Nothing);
        };
        let whole = self.carry.get(..end).ok_or(Error::Format)?;
        let written = frame(out, |out| {
            self.form.copy(whole, &mut self.columns, masks, out)
        })?;
        let Some((_, part)) = written.filter(|(used, _)| *used == end) else {
            return Err(Error::Format);
        };
        let left = self.carry.len() - end;
        *data = data
            .len()
            .checked_sub(left)
            .and_then(|used| data.get(used..))
            .ok_or(Error::Format)?;
        self.carry.clear();
        self.columns.count(counts);
        Ok(part)
    }

    /// The newest row is not shown after all.
    pub(super) fn take_back(&self, counts: &mut [u64]) {
        for place in &self.columns.met {
            if let Some(count) = counts.get_mut(*place) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

impl Form {
    /// Appends what is at the start of `data`, masked, and says how much of the data it was; `None` where it has no end.
    fn copy(
        &mut self,
        data: &[u8],
        columns: &mut Columns,
        masks: Masks<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<(usize, Part)>, Error> {
        columns.met.clear();
        match self {
            Self::Text(text) => text.copy(data, columns, masks, out),
            Self::Csv(csv) => csv.copy(data, columns, masks, out),
            Self::Binary(binary) => binary.copy(data, columns, masks, out),
        }
    }

    /// Where what is at the start of `carry` ends. Asked again with more behind it, it goes on where it stopped.
    fn end(&mut self, carry: &[u8]) -> Result<Option<usize>, Error> {
        match self {
            Self::Text(text) => Ok(text.end(carry)),
            Self::Csv(csv) => Ok(csv.end(carry)),
            Self::Binary(binary) => binary.end(carry),
        }
    }

    /// Appends a value as it is written in the data.
    fn write(&self, value: Option<&[u8]>, is_quoted: bool, out: &mut BytesMut) {
        match self {
            Self::Text(text) => text.write(value, out),
            Self::Csv(csv) => csv.write(value, is_quoted, out),
            Self::Binary(_) => binary::write(value, out),
        }
    }
}

impl Columns {
    fn count(&self, counts: &mut [u64]) {
        for place in &self.met {
            if let Some(count) = counts.get_mut(*place) {
                *count += 1;
            }
        }
    }

    /// What is done with the column at this place.
    fn plan(&self, place: usize) -> Result<&Plan, Error> {
        self.plans.get(place).ok_or(Error::Format)
    }
}

/// Masks one value: `None` where it becomes NULL.
fn apply<'a>(
    masks: Masks<'_>,
    place: usize,
    (type_oid, format): (u32, Format),
    value: &[u8],
    masked: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, Error> {
    let mask = masks.masks.get(place).ok_or(Error::Format)?;
    masked.clear();
    let became = mask::apply(&mask.transform, masks.keys, value, type_oid, format, masked);
    Ok((became == Masked::Value).then_some(&**masked))
}

/// A CopyData around what `write` appends; nothing where it has no end or is an error.
fn frame<T>(
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let start = out.len();
    out.put_slice(b"d\0\0\0\0");
    let written = write(out);
    let length = i32::try_from(out.len() - start - 1);
    let place = out.get_mut(start + 1..start + HEADER_BYTES);
    match (written, length, place) {
        (Ok(Some(written)), Ok(length), Some(place)) => {
            place.copy_from_slice(&length.to_be_bytes());
            Ok(Some(written))
        }
        (written, length, _) => {
            out.truncate(start);
            match (written?, length) {
                (None, _) => Ok(None),
                (Some(_), _) => Err(Error::Length),
            }
        }
    }
}

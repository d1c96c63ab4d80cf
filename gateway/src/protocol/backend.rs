//! What the server sends, as far as it must be read, and the messages we write to a client ourselves.
//!
//! Never interprets a value: fields of a row are handed on as bytes.

use bytes::{BufMut, BytesMut};

use super::{
    frame::{self, Error},
    reader::Reader,
};

/// One column of a RowDescription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Relation oid and attribute number; 0 and 0 where it is no plain column.
    pub origin: (u32, i16),
    /// The type's oid.
    pub type_oid: u32,
    /// 0 for text, 1 for binary.
    pub format: i16,
}

/// Reads a RowDescription's body.
///
/// # Errors
/// [`Error::Format`] when it isn't one.
pub fn row_description(body: &[u8]) -> Result<Vec<Field>, Error> {
    let mut reader = Reader::new(body);
    let count = reader.count()?;
    let fields = (0..count)
        .map(|_| field(&mut reader))
        .collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(fields)
}

/// Says whether a body is that of a RowDescription.
///
/// # Errors
/// [`Error::Format`] when it isn't.
pub fn check_row_description(body: &[u8]) -> Result<(), Error> {
    let mut reader = Reader::new(body);
    for _ in 0..reader.count()? {
        field(&mut reader)?;
    }
    reader.finish()
}

fn field(reader: &mut Reader<'_>) -> Result<Field, Error> {
    reader.text()?;
    let origin = (reader.u32()?, reader.i16()?);
    let type_oid = reader.u32()?;
    reader.bytes(6)?;
    let format = reader.i16()?;
    Ok(Field {
        origin,
        type_oid,
        format,
    })
}

/// The values of one DataRow, in order; `None` is NULL.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    reader: Reader<'a>,
    left: usize,
}

/// Reads a DataRow's body.
///
/// # Errors
/// [`Error::Format`] when even the count is missing; each item tells of its own value.
pub fn data_row(body: &[u8]) -> Result<Values<'_>, Error> {
    let mut reader = Reader::new(body);
    let left = reader.count()?;
    Ok(Values { reader, left })
}

impl Values<'_> {
    /// How many values are still to come.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Says whether the row held exactly its values.
    ///
    /// # Errors
    /// [`Error::Format`] when bytes or values are left.
    pub const fn finish(self) -> Result<(), Error> {
        if self.left == 0 {
            self.reader.finish()
        } else {
            Err(Error::Format)
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<Option<&'a [u8]>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.reader.value())
    }
}

/// The fields of an ErrorResponse or NoticeResponse, in the server's order.
///
/// # Errors
/// [`Error::Format`] when the body isn't one.
pub fn error_fields(body: &[u8]) -> Result<Vec<(u8, &[u8])>, Error> {
    let mut reader = Reader::new(body);
    let mut fields = Vec::new();
    loop {
        match reader.u8()? {
            0 => break,
            code => fields.push((code, reader.text()?)),
        }
    }
    reader.finish()?;
    Ok(fields)
}

/// Says whether a message that goes on to a client as it came holds what its type says and nothing else: a longer one could take
/// rows along that come behind it.
///
/// # Errors
/// [`Error::Format`] when it doesn't.
pub fn check(kind: u8, body: &[u8]) -> Result<(), Error> {
    let mut reader = Reader::new(body);
    match kind {
        // ParseComplete, BindComplete, CloseComplete, NoData, PortalSuspended, EmptyQueryResponse, CopyDone.
        b'1' | b'2' | b'3' | b'n' | b's' | b'I' | b'c' => {}
        b'C' => drop(reader.text()?),
        b'Z' => drop(reader.u8()?),
        b't' => {
            let count = reader.count()?;
            reader.bytes(count.saturating_mul(4))?;
        }
        b'G' | b'H' | b'W' => {
            reader.u8()?;
            let count = reader.count()?;
            reader.bytes(count.saturating_mul(2))?;
        }
        b'V' => drop(reader.value()?),
        // Whoever reads them sees to it.
        _ => return Ok(()),
    }
    reader.finish()
}

/// A ParameterStatus' name and value.
///
/// # Errors
/// [`Error::Format`] when the body isn't one.
pub fn parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let mut reader = Reader::new(body);
    let pair = (reader.text()?, reader.text()?);
    reader.finish()?;
    Ok(pair)
}

/// A NotificationResponse's process id, channel and payload.
///
/// # Errors
/// [`Error::Format`] when the body isn't one.
pub fn notification(body: &[u8]) -> Result<(i32, &[u8], &[u8]), Error> {
    let mut reader = Reader::new(body);
    let parts = (reader.i32()?, reader.text()?, reader.text()?);
    reader.finish()?;
    Ok(parts)
}

/// How a COPY sends its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyResponse {
    /// 0 for text and CSV, 1 for binary.
    pub format: i8,
    /// The format of each column.
    pub columns: Vec<i16>,
}

impl CopyResponse {
    /// Whether the data is in binary format.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        self.format == 1
    }
}

/// Reads a CopyOutResponse's body.
///
/// # Errors
/// [`Error::Format`] when it isn't one.
pub fn copy_response(body: &[u8]) -> Result<CopyResponse, Error> {
    let mut reader = Reader::new(body);
    let format = match reader.u8()? {
        0 => 0,
        1 => 1,
        _ => return Err(Error::Format),
    };
    let count = reader.count()?;
    let columns = (0..count).map(|_| reader.i16()).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(CopyResponse { format, columns })
}

/// A CommandComplete's tag.
///
/// # Errors
/// [`Error::Format`] when the body isn't one.
pub fn command_tag(body: &[u8]) -> Result<&[u8], Error> {
    let mut reader = Reader::new(body);
    let tag = reader.text()?;
    reader.finish()?;
    Ok(tag)
}

/// Rows that a command tag names: its last word, where that is a number (`INSERT 0 5`, `SELECT 3`, `COPY 7`).
#[must_use]
pub fn tag_count(tag: &[u8]) -> Option<u64> {
    let last = tag.rsplit(|byte| *byte == b' ').next()?;
    std::str::from_utf8(last).ok()?.parse().ok()
}

/// [`tag_count`], and no rows where it names none.
#[must_use]
pub fn tag_rows(tag: &[u8]) -> u64 {
    tag_count(tag).unwrap_or(0)
}

/// How bad an error is, in the protocol's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// Appends an ErrorResponse of our own. A NUL in a text ends that text: it could be taken for the next field.
pub fn write_error(out: &mut BytesMut, severity: Severity, sqlstate: &str, fields: &[(u8, &str)]) {
    write_fields(
        out,
        b'E',
        [
            (b'S', severity.name()),
            (b'V', severity.name()),
            (b'C', sqlstate),
        ]
        .into_iter()
        .chain(fields.iter().copied())
        .map(|(code, text)| (code, text.as_bytes())),
    );
}

/// Appends an ErrorResponse (`E`) or NoticeResponse (`N`) with the fields given.
pub fn write_fields<'a>(
    out: &mut BytesMut,
    kind: u8,
    fields: impl Iterator<Item = (u8, &'a [u8])>,
) {
    frame::write(out, kind, |body| {
        for (code, text) in fields {
            body.put_u8(code);
            body.extend(text.iter().copied().take_while(|byte| *byte != 0));
            body.put_u8(0);
        }
        body.put_u8(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &[u8] = b"\0\x02a\0\0\0\x40\x00\0\x03\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01\
        b\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";

    #[test]
    fn describes_rows() {
        assert_eq!(
            row_description(DESCRIPTION).unwrap(),
            [
                Field {
                    origin: (0x4000, 3),
                    type_oid: 23,
                    format: 1
                },
                Field {
                    origin: (0, 0),
                    type_oid: 25,
                    format: 0
                },
            ]
        );
    }

    #[test]
    fn refuses_every_truncation() {
        type Read = fn(&[u8]) -> bool;
        let cases: [(&[u8], Read); 6] = [
            (DESCRIPTION, |body| row_description(body).is_ok()),
            (b"\0\x02\0\0\0\x01a\xff\xff\xff\xff", |body| {
                data_row(body).is_ok_and(|mut values| values.all(|value| value.is_ok()))
            }),
            (b"SERROR\0C42601\0\0", |body| error_fields(body).is_ok()),
            (b"a\0b\0", |body| parameter_status(body).is_ok()),
            (b"\0\0\0\x01c\0payload\0", |body| notification(body).is_ok()),
            (b"SELECT 1\0", |body| command_tag(body).is_ok()),
        ];
        for (body, reads) in cases {
            assert!(reads(body), "{body:?}");
            for end in 0..body.len() {
                assert!(!reads(&body[..end]), "{body:?} cut at {end}");
            }
        }
    }

    #[test]
    fn counts_rows_of_tags() {
        let cases: [(&[u8], u64); 7] = [
            (b"SELECT 3", 3),
            (b"INSERT 0 5", 5),
            (b"COPY 7", 7),
            (b"MERGE 2", 2),
            (b"CREATE TABLE", 0),
            (b"", 0),
            (b"UPDATE 99999999999999999999999", 0),
        ];
        for (tag, rows) in cases {
            assert_eq!(tag_rows(tag), rows);
        }
    }

    #[test]
    fn an_error_reads_back_and_a_nul_makes_no_field() {
        let mut out = BytesMut::new();
        write_error(
            &mut out,
            Severity::Error,
            "42501",
            &[(b'M', "no\0Hfake"), (b'P', "7")],
        );
        let header = frame::header(&out).unwrap().unwrap();
        assert_eq!((header.kind, header.frame_bytes()), (b'E', out.len()));
        assert_eq!(
            error_fields(&out[frame::HEADER_BYTES..]).unwrap(),
            [
                (b'S', &b"ERROR"[..]),
                (b'V', b"ERROR"),
                (b'C', b"42501"),
                (b'M', b"no"),
                (b'P', b"7")
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(body: Vec<u8>) {
            let _ = row_description(&body);
            let _ = data_row(&body).map(|values| (values.left(), values.count()));
            let _ = error_fields(&body);
            let _ = parameter_status(&body);
            let _ = notification(&body);
        }
    }
}

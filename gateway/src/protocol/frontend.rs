//! What a client may send after authentication, read strictly.
//!
//! Every reader takes one frame's body and uses all of it, or fails: never less, never more.

use super::{frame::Error, reader::Reader};

/// What Describe and Close are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

impl Target {
    /// The byte that names it in the protocol.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Statement => b'S',
            Self::Portal => b'P',
        }
    }
}

/// One message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A simple query's text, without its NUL.
    Query(&'a [u8]),
    /// Parse.
    Parse(Parse<'a>),
    /// Bind.
    Bind(Bind<'a>),
    /// Describe what is named.
    Describe(Target, &'a [u8]),
    /// Execute a portal.
    Execute(Execute<'a>),
    /// Close what is named.
    Close(Target, &'a [u8]),
    /// Flush.
    Flush,
    /// Sync.
    Sync,
    /// Terminate.
    Terminate,
    /// `CopyData`; only its header is needed.
    CopyData,
    /// `CopyDone`.
    CopyDone,
    /// `CopyFail`.
    CopyFail,
    /// A function call (the fast path): the function's oid.
    FunctionCall(u32),
}

/// A Parse message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The text, without its NUL.
    pub text: &'a [u8],
    /// Type oids of the parameters that the client fixed.
    pub parameter_types: Vec<u32>,
}

/// A Bind message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal to make; empty for the unnamed one.
    pub portal: &'a [u8],
    /// The prepared statement.
    pub statement: &'a [u8],
    /// From the parameter format codes to the last value, raw.
    pub parameters: &'a [u8],
    /// How many values.
    pub count: usize,
}

/// An Execute message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The portal.
    pub portal: &'a [u8],
    /// Rows at most; 0 for all.
    pub rows_max: i32,
}

/// Whether a client may send messages of this type at all: another is refused by its first byte, however long it says it is.
#[must_use]
pub const fn is_kind(kind: u8) -> bool {
    matches!(
        kind,
        b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'd' | b'c' | b'f' | b'F'
    )
}

/// Reads one message. `CopyData` bodies aren't looked at.
///
/// # Errors
/// [`Error::Format`] when the body doesn't hold exactly what its type says, [`Error::Kind`] for a type that no client may
/// send after authentication (a password message among them).
pub fn read(kind: u8, body: &[u8]) -> Result<Message<'_>, Error> {
    let mut reader = Reader::new(body);
    let message = match kind {
        b'Q' => Message::Query(reader.text()?),
        b'P' => Message::Parse(parse(&mut reader)?),
        b'B' => Message::Bind(bind(&mut reader)?),
        b'D' => target(&mut reader).map(|(target, name)| Message::Describe(target, name))?,
        b'E' => Message::Execute(Execute {
            portal: reader.text()?,
            rows_max: reader.i32()?,
        }),
        b'C' => target(&mut reader).map(|(target, name)| Message::Close(target, name))?,
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'd' => return Ok(Message::CopyData),
        b'c' => Message::CopyDone,
        b'f' => {
            reader.text()?;
            Message::CopyFail
        }
        b'F' => Message::FunctionCall(function_call(&mut reader)?),
        other => return Err(Error::Kind(other)),
    };
    reader.finish()?;
    Ok(message)
}

fn parse<'a>(reader: &mut Reader<'a>) -> Result<Parse<'a>, Error> {
    let name = reader.text()?;
    let text = reader.text()?;
    let count = reader.count()?;
    // Bounded by the frame before anything is allocated: the count is the client's word.
    if reader.rest().len() != count.saturating_mul(4) {
        return Err(Error::Format);
    }
    let parameter_types = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
    Ok(Parse {
        name,
        text,
        parameter_types,
    })
}

fn bind<'a>(reader: &mut Reader<'a>) -> Result<Bind<'a>, Error> {
    let portal = reader.text()?;
    let statement = reader.text()?;
    let start = reader.rest();
    let formats = reader.count()?;
    reader.bytes(formats.saturating_mul(2))?;
    let count = reader.count()?;
    for _ in 0..count {
        reader.value()?;
    }
    let parameters_bytes = start.len().saturating_sub(reader.rest().len());
    let parameters = start.get(..parameters_bytes).ok_or(Error::Format)?;
    let result_formats = reader.count()?;
    reader.bytes(result_formats.saturating_mul(2))?;
    Ok(Bind {
        portal,
        statement,
        parameters,
        count,
    })
}

fn function_call(reader: &mut Reader<'_>) -> Result<u32, Error> {
    let function = reader.u32()?;
    let formats = reader.count()?;
    reader.bytes(formats.saturating_mul(2))?;
    let count = reader.count()?;
    for _ in 0..count {
        reader.value()?;
    }
    reader.i16()?;
    Ok(function)
}

/// A value of a Bind: its format code, and its bytes unless it is NULL.
pub(crate) type BoundValue<'a> = (i16, Option<&'a [u8]>);

/// The values of a Bind with their formats (0 is text, 1 binary), from [`Bind::parameters`].
///
/// # Errors
/// [`Error::Format`] where formats and values don't go together: the server refuses it too.
pub(crate) fn bound_values(parameters: &[u8]) -> Result<Vec<BoundValue<'_>>, Error> {
    let mut reader = Reader::new(parameters);
    let formats = reader.count()?;
    let formats = (0..formats)
        .map(|_| reader.i16())
        .collect::<Result<Vec<_>, _>>()?;
    let count = reader.count()?;
    let format = |index| match formats.as_slice() {
        [] => Ok(0),
        [every] => Ok(*every),
        each if each.len() == count => each.get(index).copied().ok_or(Error::Format),
        _ => Err(Error::Format),
    };
    let values = (0..count)
        .map(|index| Ok((format(index)?, reader.value()?)))
        .collect::<Result<Vec<_>, _>>()?;
    reader.finish()?;
    Ok(values)
}

fn target<'a>(reader: &mut Reader<'a>) -> Result<(Target, &'a [u8]), Error> {
    let target = match reader.u8()? {
        b'S' => Target::Statement,
        b'P' => Target::Portal,
        _ => return Err(Error::Format),
    };
    Ok((target, reader.text()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<(u8, &'static [u8], Message<'static>)> {
        vec![
            (b'Q', b"select 1\0", Message::Query(b"select 1")),
            (b'Q', b"\0", Message::Query(b"")),
            (
                b'P',
                b"s\0select $1\0\0\x02\0\0\0\x17\0\0\0\0",
                Message::Parse(Parse {
                    name: b"s",
                    text: b"select $1",
                    parameter_types: vec![23, 0],
                }),
            ),
            (
                b'B',
                b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\x01\0\0",
                Message::Bind(Bind {
                    portal: b"p",
                    statement: b"s",
                    parameters: b"\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff",
                    count: 2,
                }),
            ),
            (b'D', b"Ss\0", Message::Describe(Target::Statement, b"s")),
            (b'C', b"Pp\0", Message::Close(Target::Portal, b"p")),
            (
                b'E',
                b"p\0\0\0\0\x05",
                Message::Execute(Execute {
                    portal: b"p",
                    rows_max: 5,
                }),
            ),
            (b'H', b"", Message::Flush),
            (b'S', b"", Message::Sync),
            (b'X', b"", Message::Terminate),
            (b'c', b"", Message::CopyDone),
            (b'f', b"why\0", Message::CopyFail),
        ]
    }

    #[test]
    fn reads_each_message() {
        for (kind, body, expected) in messages() {
            assert_eq!(read(kind, body), Ok(expected));
        }
    }

    /// A Parse that claims more parameter types than it carries must not swallow what follows; a Bind cut anywhere must fail.
    #[test]
    fn refuses_every_truncation_and_every_trailing_byte() {
        for (kind, body, _) in messages() {
            for end in 0..body.len() {
                assert_eq!(
                    read(kind, &body[..end]),
                    Err(Error::Format),
                    "{} cut at {end}",
                    char::from(kind)
                );
            }
            let longer = [body, b"\0"].concat();
            assert_eq!(
                read(kind, &longer),
                Err(Error::Format),
                "{}",
                char::from(kind)
            );
        }
    }

    #[test]
    fn refuses_lengths_that_lie() {
        let cases: [(u8, &[u8]); 6] = [
            (b'P', b"\0\0\xff\xff"),
            (b'P', b"\0\0\0\x02\0\0\0\x17"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
            (b'B', b"\0\0\xff\xff\0\0\0\0"),
            (b'D', b"Xs\0"),
        ];
        for (kind, body) in cases {
            assert_eq!(read(kind, body), Err(Error::Format), "{body:?}");
        }
        for kind in [b'p', b'W', 0, b'R', b'q', 255] {
            assert_eq!(read(kind, b""), Err(Error::Kind(kind)));
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(kind: u8, body: Vec<u8>) {
            let _ = read(kind, &body);
        }
    }
}

//! Frame headers: one type byte, then a length that counts itself.
//!
//! Never believes a length: the caller says the most it accepts.

use thiserror::Error;

/// Bytes of a frame's header: type and length.
pub const HEADER_BYTES: usize = 5;

/// The largest length PostgreSQL itself accepts in any message (`PQ_LARGE_MESSAGE_LIMIT`).
pub const LENGTH_MAX: usize = 0x3fff_ffff;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type byte.
    pub kind: u8,
    /// Bytes of the body, without the header.
    pub body_bytes: usize,
}

impl Header {
    /// Bytes of the whole frame.
    #[must_use]
    pub const fn frame_bytes(self) -> usize {
        self.body_bytes.saturating_add(HEADER_BYTES)
    }
}

/// A message that is not what the protocol says it must be. Always the end of the session: after it nobody knows
/// where the next frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// The length is smaller than itself, negative, or past what is accepted.
    #[error("invalid message length")]
    Length,
    /// The body is shorter or longer than what it claims to hold.
    #[error("invalid message format")]
    Format,
    /// No message of this protocol has this type byte.
    #[error("invalid message type {0}")]
    Kind(u8),
}

/// Reads the header at the start of `input`; `None` until it is there in full.
///
/// # Errors
/// [`Error::Length`] when the length is below 4 or its body would be past [`LENGTH_MAX`].
pub fn header(input: &[u8]) -> Result<Option<Header>, Error> {
    let Some((&[kind, a, b, c, d], _)) = input.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(length) if (4..=LENGTH_MAX).contains(&length) => Ok(Some(Header {
            kind,
            body_bytes: length - 4,
        })),
        Ok(_) | Err(_) => Err(Error::Length),
    }
}

/// Appends one frame whose body `write` appends. A body past [`LENGTH_MAX`] is cut down to nothing, which no caller reaches:
/// each bounds what it writes.
pub fn write(out: &mut bytes::BytesMut, kind: u8, write: impl FnOnce(&mut bytes::BytesMut)) {
    use bytes::BufMut;
    let start = out.len();
    out.put_u8(kind);
    out.put_i32(0);
    write(out);
    let length = out.len().saturating_sub(start).saturating_sub(1);
    let bounded = i32::try_from(length).ok();
    if let (Some(length), Some(place)) = (bounded, out.get_mut(start + 1..start + HEADER_BYTES)) {
        place.copy_from_slice(&length.to_be_bytes());
    } else {
        out.truncate(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        type Case = (&'static [u8], Result<Option<Header>, Error>);
        let cases: [Case; 8] = [
            (b"", Ok(None)),
            (b"Q\0\0\0", Ok(None)),
            (
                b"Q\0\0\0\x04",
                Ok(Some(Header {
                    kind: b'Q',
                    body_bytes: 0,
                })),
            ),
            (
                b"d\0\0\x01\0rest",
                Ok(Some(Header {
                    kind: b'd',
                    body_bytes: 252,
                })),
            ),
            (b"Q\0\0\0\x03", Err(Error::Length)),
            (b"Q\0\0\0\0", Err(Error::Length)),
            (b"Q\xff\xff\xff\xff", Err(Error::Length)),
            (b"Q\x7f\xff\xff\xff", Err(Error::Length)),
        ];
        for (input, expected) in cases {
            assert_eq!(header(input), expected, "{input:?}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        let mut out = bytes::BytesMut::from(&b"before"[..]);
        write(&mut out, b'Z', |body| body.extend_from_slice(b"I"));
        assert_eq!(&out[6..], b"Z\0\0\0\x05I");
        assert_eq!(
            header(&out[6..]),
            Ok(Some(Header {
                kind: b'Z',
                body_bytes: 1
            }))
        );
    }
}

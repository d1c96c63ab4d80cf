//! Asks a client for its token and reads the answer.

use std::io;

use bytes::BytesMut;
use pgwire::messages::{Message as _, startup::Authentication};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{farewell::fatal, first::has_early_bytes};
use crate::{judge::Fatal, stream::Stream};

/// The longest PasswordMessage: tokens with many groups have some ten thousand bytes. A longer one is refused unread.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Asks for a cleartext password and reads it. `// INVARIANT:` the caller has made sure that the connection is encrypted,
/// or that the configuration says it need not be.
pub(super) async fn ask(stream: &mut Stream) -> io::Result<Result<String, Fatal>> {
    if has_early_bytes(stream).await? {
        return Ok(Err(fatal(
            "08P01",
            "received a message before it was asked for: wait for the gateway's answer to the start-up message",
        )));
    }
    let mut request = BytesMut::new();
    Authentication::CleartextPassword
        .encode(&mut request)
        .map_err(io::Error::other)?;
    stream.write_all(&request).await?;
    stream.flush().await?;
    let mut header = [0_u8; 5];
    stream.read_exact(&mut header).await?;
    let [kind, a, b, c, d] = header;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if kind != b'p' {
        return Ok(Err(fatal(
            "08P01",
            format!(
                "expected a password message, got message type `{}`",
                char::from(kind).escape_default()
            ),
        )));
    }
    if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
        return Ok(Err(fatal(
            "08P01",
            format!(
                "invalid length of password message: at most {MESSAGE_BYTES_MAX} bytes are taken"
            ),
        )));
    }
    let mut body = vec![0_u8; length.saturating_sub(4)];
    stream.read_exact(&mut body).await?;
    Ok(read(body))
}

fn read(mut body: Vec<u8>) -> Result<String, Fatal> {
    if body.pop() != Some(0) || body.contains(&0) {
        return Err(fatal(
            "08P01",
            "invalid password message: one NUL must end it",
        ));
    }
    // A token is ASCII: what is not UTF-8 is no token.
    String::from_utf8(body).map_err(|_| {
        fatal(
            "28P01",
            "the password is not a token: give a JSON web token as the password",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_password_is_one_terminated_text() {
        for (body, expected) in [
            (&b"abc\0"[..], Ok("abc")),
            (b"\0", Ok("")),
            (b"", Err("08P01")),
            (b"abc", Err("08P01")),
            (b"a\0b\0", Err("08P01")),
            (b"abc\0\0", Err("08P01")),
            (b"\xff\0", Err("28P01")),
        ] {
            let found = read(body.to_vec());
            assert_eq!(
                found.as_deref().map_err(|fatal| fatal.sqlstate),
                expected,
                "{body:?}"
            );
        }
    }
}

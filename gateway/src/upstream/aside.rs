//! One statement over a connection beside a session's, in a transaction that is never committed: what the planner expects of it, or
//! what it would change.
//!
//! Must never send a client's text without a permit, nor COMMIT: a connection that is given up in between is rolled back by its server.

use bytes::{BufMut as _, BytesMut};
use postgres_protocol::message::{backend::Message, frontend};
use tokio::io::AsyncWriteExt as _;

use super::{
    Error, Server,
    query::{first_value, next_message, refusal},
    unreachable,
};
use crate::permit::Permit;

/// A Bind's format codes and values where there are none.
const NO_VALUES: &[u8] = &[0, 0, 0, 0];

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried<'a> {
    /// One statement.
    pub(crate) text: &'a str,
    /// The types that its Parse declared.
    pub(crate) types: &'a [u32],
    /// The Bind's body from the format codes to the last value, as it came; `None` where none came.
    pub(crate) values: Option<&'a [u8]>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The first value of the first row, where there is one.
    pub(crate) value: Option<Vec<u8>>,
    /// The command tag.
    pub(crate) tag: String,
}

/// What an answer was until now.
#[derive(Default)]
struct Reading {
    rows: u64,
    value: Option<Vec<u8>>,
    tag: String,
    failure: Option<Error>,
}

impl Server {
    /// Sends commands of the gateway's own, which give no rows.
    ///
    /// # Errors
    /// [`Error`]; the connection is to be given up then.
    pub(crate) async fn command(&mut self, commands: &'static str) -> Result<(), Error> {
        let mut out = BytesMut::new();
        frontend::query(commands, &mut out).map_err(|source| Error::Value { source })?;
        self.answer(&out).await.map(drop)
    }

    /// Runs the one statement that the permit is for.
    ///
    /// # Errors
    /// [`Error`]; the connection is to be given up then.
    pub(crate) async fn run(&mut self, _: &Permit, asked: Tried<'_>) -> Result<Answer, Error> {
        let value = |source| Error::Value { source };
        let mut out = BytesMut::new();
        frontend::parse("", asked.text, asked.types.iter().copied(), &mut out).map_err(value)?;
        bind(asked.values.unwrap_or(NO_VALUES), &mut out)?;
        frontend::execute("", 0, &mut out).map_err(value)?;
        frontend::sync(&mut out);
        self.answer(&out).await
    }

    /// Sends frames, and reads up to the next ReadyForQuery.
    async fn answer(&mut self, frames: &[u8]) -> Result<Answer, Error> {
        self.stream.write_all(frames).await.map_err(unreachable)?;
        self.stream.flush().await.map_err(unreachable)?;
        let mut reading = Reading::default();
        loop {
            match next_message(&mut self.stream, &mut self.read).await? {
                Message::DataRow(row) => {
                    if reading.rows == 0 {
                        reading.value = first_value(&row)?;
                    }
                    reading.rows = reading.rows.saturating_add(1);
                }
                Message::CommandComplete(body) => {
                    body.tag()
                        .map_err(unreachable)?
                        .clone_into(&mut reading.tag);
                }
                Message::ErrorResponse(body) => reading.failure = Some(refusal(&body)),
                Message::ReadyForQuery(_) => break,
                Message::ParseComplete
                | Message::BindComplete
                | Message::NoData
                | Message::RowDescription(_)
                | Message::ParameterStatus(_)
                | Message::NoticeResponse(_)
                | Message::NotificationResponse(_) => {}
                _ => {
                    return Err(Error::Protocol {
                        what: "an unexpected message in answer to a statement that is tried",
                    });
                }
            }
        }
        match reading.failure {
            Some(failure) => Err(failure),
            None => Ok(Answer {
                value: reading.value,
                tag: reading.tag,
            }),
        }
    }
}

/// A Bind of the unnamed statement to the unnamed portal, with a client's values as they came; results are text.
fn bind(values: &[u8], out: &mut BytesMut) -> Result<(), Error> {
    const FORMATS_OF_RESULTS: &[u8] = &[0, 0];
    let body = 2 + values.len() + FORMATS_OF_RESULTS.len();
    let length = i32::try_from(body + 4).map_err(|_| Error::Protocol {
        what: "values that are too long",
    })?;
    out.put_u8(b'B');
    out.put_i32(length);
    out.put_slice(&[0, 0]);
    out.put_slice(values);
    out.put_slice(FORMATS_OF_RESULTS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use postgres_protocol::IsNull;

    use super::*;

    /// As the library writes one of the same values.
    #[test]
    fn a_bind_is_what_it_should_be() {
        let check = |formats: &[i16], values: &[Option<&[u8]>]| {
            let mut expected = BytesMut::new();
            let serialize = |value: &Option<&[u8]>, out: &mut BytesMut| {
                Ok(match value {
                    None => IsNull::Yes,
                    Some(value) => {
                        out.put_slice(value);
                        IsNull::No
                    }
                })
            };
            let no_formats = std::iter::empty();
            let bound = frontend::bind(
                "",
                "",
                formats.iter().copied(),
                values,
                serialize,
                no_formats,
                &mut expected,
            );
            assert!(bound.is_ok());
            // 'B', the length, two empty names; two bytes of the results' formats.
            let raw = &expected[7..expected.len() - 2];
            let mut found = BytesMut::new();
            bind(raw, &mut found).unwrap();
            assert_eq!(found, expected);
        };
        check(&[], &[]);
        check(&[1, 0], &[Some(b"\x00\x00\x00\x07"), None]);
        let mut found = BytesMut::new();
        bind(NO_VALUES, &mut found).unwrap();
        assert_eq!(
            &found[..],
            b"B\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00"
        );
    }
}

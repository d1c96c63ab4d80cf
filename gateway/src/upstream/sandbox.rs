//! A connection to a sandbox database, for recorded statements that an operator runs again from the command line.
//!
//! It is no part of a gateway: nothing that serves clients may reach it, for it sends text without a permit. Must never hold more of a
//! result than [`RESULT_BYTES_MAX`], nor send more than one statement in a text.

use std::time::{Duration, Instant};

use bytes::{BufMut as _, BytesMut};
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::{backend::Message, frontend};
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::{
    Error, Server, Upstream,
    query::{next_message, refusal},
    unreachable,
};
use crate::{
    protocol::backend,
    settings::{Limits, Target},
};

/// Bytes of a result's values that are kept; what comes behind is counted and left out.
pub const RESULT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long one statement may take; then the connection is given up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);
/// What the server shows that this is.
const APPLICATION_NAME: &str = "provost replay";
/// A Bind's format codes and values where there are none.
const NO_VALUES: &[u8] = &[0, 0, 0, 0];
/// ReadyForQuery: no transaction is open.
const IDLE: u8 = b'I';
/// ReadyForQuery: a transaction is open and has failed.
const FAILED: u8 = b'E';

/// A row's values as they came; NULL is `None`. A CopyData message is a row of one value.
pub type Row = Vec<Option<Vec<u8>>>;

/// A statement to be run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent<'a> {
    /// One statement.
    pub text: &'a str,
    /// The types that its Parse declares.
    pub types: &'a [u32],
    /// The Bind's body from the format codes to the last value.
    pub values: Option<&'a [u8]>,
    /// The formats that results are asked in: none (text), one for all, or one for each column.
    pub formats: &'a [i16],
}

/// What came of a statement.
#[derive(Debug, Default)]
pub struct Ran {
    /// Its rows, in order, as far as they are kept.
    pub rows: Vec<Row>,
    /// How many rows came.
    pub rows_count: u64,
    /// Not all rows are kept.
    pub is_too_large: bool,
    /// The count of its command tag; 0 where it has none.
    pub affected: u64,
    /// SQLSTATE and message of its error.
    pub failure: Option<(String, String)>,
    /// It waited for data of a client's (`COPY ... FROM STDIN`), and got none.
    pub wants_data: bool,
    /// From the first byte sent to the last one read.
    pub duration: Duration,
}

/// A connection to a sandbox database.
pub struct Sandbox {
    server: Server,
    status: u8,
}

impl Sandbox {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open(target: Target) -> Result<Self, Error> {
        let upstream = Upstream::new(target, Limits::CONNECT_TIMEOUT_MS)?;
        let name = ("application_name".to_owned(), APPLICATION_NAME.to_owned());
        Ok(Self {
            server: upstream.connect(&[name]).await?,
            status: IDLE,
        })
    }

    /// Whether a transaction is open.
    #[must_use]
    pub const fn is_in_transaction(&self) -> bool {
        self.status != IDLE
    }

    /// Whether a transaction is open that has failed: nothing but its end is taken.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.status == FAILED
    }

    /// Runs a statement, to its end.
    ///
    /// # Errors
    /// [`Error`] where there is no answer; the connection is to be given up then. An error of the statement's is in [`Ran`].
    pub async fn run(&mut self, sent: Sent<'_>) -> Result<Ran, Error> {
        let timeout_ms = u64::try_from(STATEMENT_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
        timeout(STATEMENT_TIMEOUT, self.answer(sent))
            .await
            .unwrap_or(Err(Error::Timeout { timeout_ms }))
    }

    /// Says goodbye; the server rolls back what is open.
    pub async fn leave(self) {
        self.server.leave().await;
    }

    async fn answer(&mut self, sent: Sent<'_>) -> Result<Ran, Error> {
        let started = Instant::now();
        let frames = frames(sent)?;
        self.send(&frames).await?;
        let mut ran = Ran::default();
        let mut kept = 0_usize;
        loop {
            match next_message(&mut self.server.stream, &mut self.server.read).await? {
                Message::DataRow(body) => {
                    let value = |range: Option<std::ops::Range<usize>>| {
                        Ok(range.and_then(|range| body.buffer().get(range).map(<[u8]>::to_vec)))
                    };
                    let row = body.ranges().map(value).collect();
                    ran.keep(row.map_err(unreachable)?, &mut kept);
                }
                Message::CopyData(body) => ran.keep(vec![Some(body.data().to_vec())], &mut kept),
                Message::CopyInResponse(_) => {
                    ran.wants_data = true;
                    // A Sync that came while it waited for data was passed over.
                    let mut out = BytesMut::new();
                    let value = |source| Error::Value { source };
                    frontend::copy_fail("no data is recorded", &mut out).map_err(value)?;
                    frontend::sync(&mut out);
                    self.send(&out).await?;
                }
                Message::ErrorResponse(body) => {
                    if let Error::Refused { sqlstate, message } = refusal(&body) {
                        ran.failure = Some((sqlstate, message));
                    }
                }
                Message::CommandComplete(body) => {
                    let tag = body.tag().map_err(unreachable)?;
                    ran.affected = backend::tag_rows(tag.as_bytes());
                }
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    ran.duration = started.elapsed();
                    return Ok(ran);
                }
                Message::ParseComplete
                | Message::BindComplete
                | Message::NoData
                | Message::EmptyQueryResponse
                | Message::CopyOutResponse(_)
                | Message::CopyDone
                | Message::ParameterStatus(_)
                | Message::NoticeResponse(_)
                | Message::NotificationResponse(_) => {}
                _ => {
                    return Err(Error::Protocol {
                        what: "an unexpected message in answer to a statement that is run again",
                    });
                }
            }
        }
    }

    async fn send(&mut self, frames: &[u8]) -> Result<(), Error> {
        let stream = &mut self.server.stream;
        stream.write_all(frames).await.map_err(unreachable)?;
        stream.flush().await.map_err(unreachable)
    }
}

impl Ran {
    fn keep(&mut self, row: Row, kept: &mut usize) {
        self.rows_count = self.rows_count.saturating_add(1);
        let bytes: usize = row.iter().flatten().map(Vec::len).sum();
        // A value takes memory though it is empty.
        *kept = kept.saturating_add(bytes + row.len() * size_of::<Option<Vec<u8>>>());
        if *kept > RESULT_BYTES_MAX {
            self.is_too_large = true;
        } else {
            self.rows.push(row);
        }
    }
}

/// Parse, Bind, Execute and Sync: a server takes one statement by them, and no more.
fn frames(sent: Sent<'_>) -> Result<BytesMut, Error> {
    let value = |source| Error::Value { source };
    let mut out = BytesMut::new();
    frontend::parse("", sent.text, sent.types.iter().copied(), &mut out).map_err(value)?;
    bind(sent.values.unwrap_or(NO_VALUES), sent.formats, &mut out)?;
    frontend::execute("", 0, &mut out).map_err(value)?;
    frontend::sync(&mut out);
    Ok(out)
}

/// A Bind of the unnamed statement to the unnamed portal, with values as they were recorded.
fn bind(values: &[u8], formats: &[i16], out: &mut BytesMut) -> Result<(), Error> {
    let too_long = || Error::Protocol {
        what: "values that are too long",
    };
    let body = 2 + values.len() + 2 + 2 * formats.len();
    out.put_u8(b'B');
    out.put_i32(i32::try_from(body + 4).map_err(|_| too_long())?);
    out.put_slice(&[0, 0]);
    out.put_slice(values);
    out.put_u16(u16::try_from(formats.len()).map_err(|_| too_long())?);
    for format in formats {
        out.put_i16(*format);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_has_the_recorded_values_and_formats() {
        let mut out = BytesMut::new();
        let values = [0, 1, 0, 1, 0, 1, 0, 0, 0, 1, b'x'];
        bind(&values, &[0, 1], &mut out).unwrap();
        let mut expected = vec![b'B', 0, 0, 0, 23, 0, 0];
        expected.extend_from_slice(&values);
        expected.extend_from_slice(&[0, 2, 0, 0, 0, 1]);
        assert_eq!(&out[..], expected);
    }

    #[test]
    fn rows_beyond_the_limit_are_counted_and_not_kept() {
        let mut ran = Ran::default();
        let mut kept = RESULT_BYTES_MAX - 60;
        ran.keep(vec![Some(b"one".to_vec())], &mut kept);
        ran.keep(vec![Some(vec![0; 60])], &mut kept);
        assert_eq!(
            (ran.rows.len(), ran.rows_count, ran.is_too_large),
            (1, 2, true)
        );
    }
}

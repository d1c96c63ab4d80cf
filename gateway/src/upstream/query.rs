//! The gateway's own questions to a server: fixed text, with numbers in it at most, and texts in answer. Never a
//! client's text.

use std::collections::BTreeSet;

use bytes::{Buf as _, BytesMut};
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::{
    backend::{DataRowBody, ErrorResponseBody, Header, Message},
    frontend,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use provost_engine::catalog::for_views;

use super::{Error, Server, unreachable};
use crate::stream::Stream;

/// The largest message the gateway reads for itself: a catalog of some hundred thousand columns. A longer one is an
/// error.
const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;

/// Asks `question` and gives the one text value of its one row; `None` for NULL.
///
/// `// INVARIANT:` the text is `'static`: nothing that a client sent can be in it.
pub(crate) async fn one_text(
    server: &mut Server,
    question: &'static str,
) -> Result<Option<Vec<u8>>, Error> {
    let mut rows = rows(server, question).await?;
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(row),
        (Some(_) | None, _) => Err(Error::Protocol {
            what: "a single row was expected",
        }),
    }
}

/// Asks for these views' definitions and gives the text of each row, for
/// [`with_definitions`](provost_engine::catalog::Catalog::with_definitions).
pub(crate) async fn definitions(
    server: &mut Server,
    views: &BTreeSet<u32>,
) -> Result<Vec<Vec<u8>>, Error> {
    let rows = rows(server, &for_views(views)).await?;
    Ok(rows.into_iter().map(Option::unwrap_or_default).collect())
}

/// The first column of each row that `question` gives.
async fn rows(server: &mut Server, question: &str) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let mut out = BytesMut::new();
    frontend::query(question, &mut out).map_err(|source| Error::Value { source })?;
    server.stream.write_all(&out).await.map_err(unreachable)?;
    server.stream.flush().await.map_err(unreachable)?;
    let mut rows = Vec::new();
    let mut failure = None;
    loop {
        match next_message(&mut server.stream, &mut server.read).await? {
            Message::DataRow(row) => rows.push(first_value(&row)?),
            Message::ErrorResponse(body) => failure = Some(refusal(&body)),
            Message::ReadyForQuery(_) => break,
            Message::ParameterStatus(body) => {
                let (name, value) = (body.name(), body.value());
                server.tell(name.map_err(unreachable)?, value.map_err(unreachable)?);
            }
            Message::RowDescription(_)
            | Message::CommandComplete(_)
            | Message::NoticeResponse(_)
            | Message::NotificationResponse(_) => {}
            _ => {
                return Err(Error::Protocol {
                    what: "an unexpected message in answer to a simple query",
                });
            }
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(rows),
    }
}

pub(super) fn first_value(row: &DataRowBody) -> Result<Option<Vec<u8>>, Error> {
    let Some(range) = row.ranges().next().map_err(unreachable)? else {
        return Err(Error::Protocol {
            what: "a row without columns",
        });
    };
    Ok(range
        .and_then(|range| row.buffer().get(range))
        .map(<[u8]>::to_vec))
}

/// The next whole message of a server.
pub(super) async fn next_message(
    stream: &mut Stream,
    read: &mut BytesMut,
) -> Result<Message, Error> {
    loop {
        if let Some(header) = Header::parse(read).map_err(unreachable)? {
            let bytes = usize::try_from(header.len()).unwrap_or(usize::MAX);
            if bytes > MESSAGE_BYTES_MAX {
                return Err(Error::Protocol {
                    what: "a message that is too long",
                });
            }
            if let Some(message) = Message::parse(read).map_err(|_| Error::Protocol {
                what: "a malformed message",
            })? {
                return Ok(message);
            }
        }
        read.reserve(READ_BYTES);
        if stream.read_buf(read).await.map_err(unreachable)? == 0 {
            let source = std::io::ErrorKind::UnexpectedEof.into();
            return Err(Error::Unreachable { source });
        }
        debug_assert!(read.has_remaining());
    }
}

/// An ErrorResponse as an error of ours.
pub(super) fn refusal(body: &ErrorResponseBody) -> Error {
    let mut sqlstate = String::new();
    let mut message = String::new();
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes());
        match field.type_() {
            b'C' => sqlstate = value.into_owned(),
            b'M' => message = value.into_owned(),
            _ => {}
        }
    }
    Error::Refused { sqlstate, message }
}

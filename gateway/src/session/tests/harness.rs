//! Frames by name, and a transcript of what a session did.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::{BufMut, BytesMut};
use expect_test::Expect;

use super::words::{Seen, Words};
use crate::{
    judge::*,
    look::PATH_QUESTION,
    protocol::{
        backend,
        frame::{self, HEADER_BYTES},
        frontend::{self, Message},
        replication::Replication,
    },
    session::{Core, Flow, Limits, Out, Token},
};

/// A session with both peers' bytes.
#[derive(Debug)]
pub(super) struct Harness {
    pub(super) core: Core<Words>,
    pub(super) seen: Rc<RefCell<Seen>>,
    pub(super) from_client: BytesMut,
    pub(super) from_server: BytesMut,
    pub(super) out: Out,
}

pub(super) const TOKEN: [u8; 16] = [0xc0; 16];

impl Harness {
    pub(super) fn new(limits: Limits) -> Self {
        let words = Words::new();
        let seen = Rc::clone(&words.seen);
        let token = Token::from_bytes(TOKEN);
        let parameters: [(&[u8], &[u8]); 2] = [
            (b"session_authorization", b"app"),
            (b"is_superuser", b"off"),
        ];
        Self {
            core: Core::new(words, token, limits, parameters),
            seen,
            from_client: BytesMut::new(),
            from_server: BytesMut::new(),
            out: Out::default(),
        }
    }

    /// Lets the session work on what came, as the I/O loop does.
    pub(super) async fn pump(&mut self) -> Result<Flow, Fatal> {
        self.core
            .on_server(&mut self.from_server, &mut self.out)
            .await?;
        if self.core.accepts_client() {
            return self
                .core
                .on_client(&mut self.from_client, &mut self.out)
                .await;
        }
        Ok(Flow::Stalled)
    }
}

/// One step of a script.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The client sends frames.
    Client(Vec<Vec<u8>>),
    /// The server sends frames.
    Server(Vec<Vec<u8>>),
    /// Policy or catalog changed.
    Stale,
    /// The judge refuses from here on.
    Denies,
    /// The session's principal is bound by a mask.
    MaskBound,
    /// So many milliseconds after the start somebody looks whether a statement's time is up.
    TimeUp(u64),
    /// People said yes.
    People,
    /// The server connection is one that replicates.
    Replicates(Replication),
    /// Somebody looks whether a stream may go on.
    Review,
    /// A peer hung up.
    Close,
}

/// [`check`] with a title for the reader.
pub(super) fn case(title: &str, steps: &[Step], expected: Expect) {
    println!("{title}");
    check(steps, expected);
}

/// Runs a script and compares the transcript: `>` to the server, `<` to the client, else the judge's events. Every script runs
/// a second time with each input given byte by byte, with the same result.
fn check(steps: &[Step], expected: Expect) {
    let whole = transcript(steps, Limits::default(), usize::MAX);
    let split = transcript(steps, Limits::default(), 1);
    assert_eq!(whole, split, "byte by byte differs");
    // A text in a source file can't hold one.
    expected.assert_eq(&whole.replace('\r', "\\r"));
}

pub(super) fn transcript(steps: &[Step], limits: Limits, chunk: usize) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut harness = Harness::new(limits);
        let mut lines = Vec::new();
        let start = Instant::now();
        for step in steps {
            let (bytes, from) = match step {
                Step::Client(frames) => (frames.concat(), "client"),
                Step::Server(frames) => (frames.concat(), "server"),
                Step::People => {
                    harness.seen.borrow_mut().approved = true;
                    harness.core.let_go();
                    (Vec::new(), "people")
                }
                Step::Replicates(replication) => {
                    harness.core.replication = Some(*replication);
                    continue;
                }
                Step::Review => (Vec::new(), "review"),
                Step::Stale => {
                    harness.seen.borrow_mut().stale = true;
                    continue;
                }
                Step::Denies => {
                    harness.seen.borrow_mut().denies = true;
                    continue;
                }
                Step::MaskBound => {
                    harness.seen.borrow_mut().mask_bound = true;
                    continue;
                }
                Step::TimeUp(after) => {
                    let now = start + Duration::from_millis(*after);
                    let is_up = harness.core.is_time_up(now);
                    if is_up {
                        harness.core.fail_copy(&mut harness.out);
                    }
                    lines.push(format!(
                        "after {after} ms: {}",
                        if is_up { "up" } else { "not up" }
                    ));
                    continue;
                }
                Step::Close => {
                    harness.core.close().await.unwrap();
                    lines.append(&mut harness.seen.borrow_mut().events);
                    continue;
                }
            };
            lines.push(from.to_owned());
            let mut flow = match from {
                "people" => harness.pump().await,
                "review" => {
                    let reviewed = harness.core.review(&mut harness.out).await;
                    reviewed.map(|()| Flow::More)
                }
                _ => Ok(Flow::More),
            };
            for part in bytes.chunks(chunk.min(bytes.len().max(1))) {
                let input = if from == "client" {
                    &mut harness.from_client
                } else {
                    &mut harness.from_server
                };
                input.extend_from_slice(part);
                flow = harness.pump().await;
                if flow.is_err() {
                    break;
                }
            }
            lines.extend(
                harness
                    .seen
                    .borrow_mut()
                    .events
                    .drain(..)
                    .map(|event| format!("    {event}")),
            );
            lines.extend(
                show(harness.out.to_server.unsent())
                    .into_iter()
                    .map(|line| format!("  > {line}")),
            );
            lines.extend(
                show_server(&harness.out.to_client)
                    .into_iter()
                    .map(|line| format!("  < {line}")),
            );
            let count = harness.out.to_server.unsent().len();
            harness.out.to_server.sent(count);
            harness.out.to_client.clear();
            match flow {
                Ok(Flow::More) => {}
                Ok(Flow::Stalled) => lines.push("  stalled".to_owned()),
                Ok(Flow::Closed) => lines.push("  closed".to_owned()),
                Err(_) => lines.push("  ended".to_owned()),
            }
        }
        lines.join("\n") + "\n"
    })
}

fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let Some(header) = frame::header(bytes).unwrap() {
        let Some((frame, rest)) = bytes.split_at_checked(header.frame_bytes()) else {
            break;
        };
        frames.push((header.kind, &frame[HEADER_BYTES..]));
        bytes = rest;
    }
    if !bytes.is_empty() {
        frames.push((b'?', bytes));
    }
    frames
}

fn name(bytes: &[u8]) -> String {
    let token = format!("{:032x}", u128::from_be_bytes(TOKEN));
    String::from_utf8_lossy(bytes)
        .replace(&format!("provost_denied_{token}_000000"), "DENIED")
        .replace(&format!("provost_own_{token}_00000000"), "OWN")
        .replace(&format!("provost_own_{token}_"), "OWN ")
        .replace(PATH_QUESTION, "PATH")
        .replace(crate::pin::HOLD_QUESTION, "HOLD")
        .replace(crate::pin::READ_QUESTION, "READ")
}

/// Frames to the server, one a line.
pub(super) fn show(bytes: &[u8]) -> Vec<String> {
    frames(bytes)
        .into_iter()
        .map(|(kind, body)| match frontend::read(kind, body) {
            Ok(Message::Query(text)) => format!("Query({})", name(text)),
            Ok(Message::Parse(parse)) => {
                format!("Parse({}: {})", name(parse.name), name(parse.text))
            }
            Ok(Message::Bind(bind)) => {
                format!("Bind({} = {})", name(bind.portal), name(bind.statement))
            }
            Ok(Message::Describe(target, text)) => format!("Describe({target:?} {})", name(text)),
            Ok(Message::Execute(execute)) => format!("Execute({})", name(execute.portal)),
            Ok(Message::Close(target, text)) => format!("Close({target:?} {})", name(text)),
            Ok(Message::CopyData) => format!("CopyData({})", name(body)),
            Ok(other) => format!("{other:?}"),
            Err(_) => format!("? {}", name(body)),
        })
        .collect()
}

fn show_server(bytes: &[u8]) -> Vec<String> {
    frames(bytes)
        .into_iter()
        .map(|(kind, body)| {
            let shown = match kind {
                b'E' | b'N' => backend::error_fields(body)
                    .unwrap()
                    .iter()
                    .filter(|(code, _)| *code != b'V')
                    .map(|(code, text)| format!("{}={}", char::from(*code), name(text)))
                    .collect::<Vec<_>>()
                    .join(" "),
                b'D' => backend::data_row(body)
                    .unwrap()
                    .map(|value| value.unwrap().map_or("NULL".to_owned(), name))
                    .collect::<Vec<_>>()
                    .join("|"),
                b'T' => format!("{} columns", backend::row_description(body).unwrap().len()),
                _ => name(body).replace('\0', ""),
            };
            format!("{} {shown}", char::from(kind))
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn framed(kind: u8, write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::write(&mut out, kind, write);
    out.to_vec()
}

fn text(body: &mut BytesMut, text: &str) {
    body.put_slice(text.as_bytes());
    body.put_u8(0);
}

pub(super) fn query(sql: &str) -> Vec<u8> {
    framed(b'Q', |body| text(body, sql))
}

pub(super) fn parse(name: &str, sql: &str) -> Vec<u8> {
    framed(b'P', |body| {
        text(body, name);
        text(body, sql);
        body.put_u16(0);
    })
}

pub(super) fn bind(portal: &str, statement: &str) -> Vec<u8> {
    bind_value(portal, statement, None)
}

pub(super) fn bind_value(portal: &str, statement: &str, value: Option<&str>) -> Vec<u8> {
    framed(b'B', |body| {
        text(body, portal);
        text(body, statement);
        body.put_u16(0);
        body.put_u16(u16::from(value.is_some()));
        if let Some(value) = value {
            body.put_u32(value.len() as u32);
            body.put_slice(value.as_bytes());
        }
        body.put_u16(0);
    })
}

pub(super) fn describe(target: char, name: &str) -> Vec<u8> {
    framed(b'D', |body| {
        body.put_u8(target as u8);
        text(body, name);
    })
}

pub(super) fn close(target: char, name: &str) -> Vec<u8> {
    framed(b'C', |body| {
        body.put_u8(target as u8);
        text(body, name);
    })
}

pub(super) fn execute(portal: &str, rows_max: i32) -> Vec<u8> {
    framed(b'E', |body| {
        text(body, portal);
        body.put_i32(rows_max);
    })
}

pub(super) fn sync() -> Vec<u8> {
    framed(b'S', |_| {})
}

pub(super) fn flush() -> Vec<u8> {
    framed(b'H', |_| {})
}

pub(super) fn terminate() -> Vec<u8> {
    framed(b'X', |_| {})
}

/// A frame of any kind with a raw body.
pub(super) fn raw(kind: char, body: &[u8]) -> Vec<u8> {
    framed(kind as u8, |out| out.put_slice(body))
}

/// A frame with an empty body.
pub(super) fn bare(kind: char) -> Vec<u8> {
    raw(kind, b"")
}

pub(super) fn ready(status: char) -> Vec<u8> {
    raw('Z', &[status as u8])
}

pub(super) fn complete(tag: &str) -> Vec<u8> {
    framed(b'C', |body| text(body, tag))
}

pub(super) fn error(sqlstate: &str, message: &str) -> Vec<u8> {
    server_text(b'E', "ERROR", sqlstate, message)
}

pub(super) fn server_text(kind: u8, severity: &str, sqlstate: &str, message: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    let fields = [
        (b'S', severity),
        (b'V', severity),
        (b'C', sqlstate),
        (b'M', message),
        (b'D', "value 123-45-6789"),
        (b't', "people"),
    ];
    backend::write_fields(
        &mut out,
        kind,
        fields
            .into_iter()
            .map(|(code, text)| (code, text.as_bytes())),
    );
    out.to_vec()
}

/// The server's error about the stand-in of refusal `number`.
pub(super) fn missing(sqlstate: &str, number: u32) -> Vec<u8> {
    let missing = Token::from_bytes(TOKEN).missing(number);
    error(sqlstate, &format!("at \"{}\"", missing.as_str()))
}

/// A RowDescription: (relation, attribute, type, format) each.
pub(super) fn description(columns: &[(u32, i16, u32, i16)]) -> Vec<u8> {
    framed(b'T', |body| {
        body.put_u16(columns.len() as u16);
        for (relation, attribute, type_oid, format) in columns {
            text(body, "c");
            body.put_u32(*relation);
            body.put_i16(*attribute);
            body.put_u32(*type_oid);
            body.put_i16(-1);
            body.put_i32(-1);
            body.put_i16(*format);
        }
    })
}

pub(super) fn row(values: &[Option<&str>]) -> Vec<u8> {
    framed(b'D', |body| {
        body.put_u16(values.len() as u16);
        for value in values {
            match value {
                None => body.put_i32(-1),
                Some(value) => {
                    body.put_i32(value.len() as i32);
                    body.put_slice(value.as_bytes());
                }
            }
        }
    })
}

//! A judge that decides by words in the text, frames by name, and a transcript of what a session did.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use bytes::{BufMut, BytesMut};
use expect_test::Expect;
use provost_engine::{
    facts::{Kind, SessionEffect},
    verdict::{OutputMask, Transform},
};
use provost_evidence::{
    Durability, Log, LogOptions,
    record::{ChangeRecord, Micros, Record},
};

use crate::{
    judge::*,
    protocol::{
        backend,
        frame::{self, HEADER_BYTES},
        frontend::{self, Message},
    },
    session::{Core, Flow, Limits, Out, Token},
};

/// What happened, as the judge saw it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) events: Vec<String>,
    /// Decided texts by statement.
    pub(super) texts: HashMap<u64, String>,
    pub(super) ends: HashMap<u64, End>,
    pub(super) stale: bool,
    pub(super) mask_bound: bool,
}

/// Decides by words: `deny` is refused, `masked` is bound and masks its second column, `copyin`, `copyout`, `ddl`, `show`.
#[derive(Debug)]
pub(super) struct Words {
    log: Arc<Log>,
    _folder: tempfile::TempDir,
    next: u64,
    pub(super) seen: Rc<RefCell<Seen>>,
}

impl Words {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(LogOptions::new(folder.path(), "test")).unwrap();
        Self {
            log,
            _folder: folder,
            next: 0,
            seen: Rc::default(),
        }
    }

    fn event(&self, event: String) {
        self.seen.borrow_mut().events.push(event);
    }

    async fn decide(&mut self, what: &str, text: &str) -> Result<Permitted, Stop> {
        if text.contains("deny") {
            self.event(format!("refuse {what} {text}"));
            return Err(Stop::Refused(Refused {
                sqlstate: "42501",
                message: format!("no {text}"),
                detail: Some("because".to_owned()),
                hint: None,
                position: text.contains("position").then_some(3),
            }));
        }
        let record = Record::Change(ChangeRecord {
            at: Micros(0),
            actor: String::new(),
            what: String::new(),
            before: None,
            after: None,
            digest: None,
        });
        let receipt = self.log.append(&record, Durability::Process).await.unwrap();
        self.next += 1;
        self.event(format!("permit {} {what} {text}", self.next));
        self.seen
            .borrow_mut()
            .texts
            .insert(self.next, text.to_owned());
        Ok(Permitted {
            permit: receipt.into(),
            statement: StatementSeq(self.next),
            enforcement: Arc::new(enforcement(text)),
        })
    }
}

fn enforcement(text: &str) -> Enforcement {
    let kind = [
        ("copyin", Kind::CopyFrom),
        ("copyout", Kind::CopyTo),
        ("ddl", Kind::Ddl),
        ("show", Kind::Show),
        ("insert", Kind::Insert),
    ]
    .into_iter()
    .find(|(word, _)| text.contains(word))
    .map_or(Kind::Select, |(_, kind)| kind);
    let masked = text.contains("masked");
    let column = |attribute| ExpectedColumn {
        origin: Some((7, attribute)),
        sources: Vec::new(),
    };
    Enforcement {
        kind,
        session_effect: if kind == Kind::Ddl {
            SessionEffect::Catalog
        } else {
            SessionEffect::None
        },
        mask_bound: masked || text.contains("bound"),
        columns: masked.then(|| vec![column(1), column(2)]),
        masks: masked
            .then(|| OutputMask {
                output: 1,
                transform: Transform::Redact,
                rules: Vec::new(),
                class: "pii".into(),
                sources: Vec::new(),
                controls: Vec::new(),
            })
            .into_iter()
            .collect(),
    }
}

impl Judge for Words {
    type Prepared = String;

    async fn query(&mut self, text: &[u8]) -> Result<Vec<Permitted>, Stop> {
        let text = String::from_utf8_lossy(text).into_owned();
        let mut permitted = Vec::new();
        for statement in text
            .split(';')
            .filter(|statement| !statement.trim().is_empty())
        {
            permitted.push(self.decide("query", statement).await?);
        }
        Ok(permitted)
    }

    async fn prepare(&mut self, text: &[u8], _: &[u32]) -> Result<(Permitted, String), Stop> {
        let text = String::from_utf8_lossy(text).into_owned();
        Ok((self.decide("prepare", &text).await?, text))
    }

    async fn bind(
        &mut self,
        prepared: &String,
        parameters: Parameters<'_>,
    ) -> Result<Permitted, Stop> {
        if parameters.raw.windows(6).any(|window| window == b"refuse") {
            return self.decide("bind", &format!("deny {prepared}")).await;
        }
        self.decide("bind", prepared).await
    }

    async fn execute_again(
        &mut self,
        prepared: &String,
        _: Option<[u8; 32]>,
    ) -> Result<Permitted, Stop> {
        self.decide("again", prepared).await
    }

    fn parameters_digest(&self, _: Parameters<'_>) -> Option<[u8; 32]> {
        None
    }

    fn is_stale(&self, _: &Permitted) -> bool {
        self.seen.borrow().stale
    }

    fn is_mask_bound(&self) -> bool {
        self.seen.borrow().mask_bound
    }

    async fn refused(&mut self, refused: &Refused) -> Result<(), Fatal> {
        self.event(format!("session refuses {}", refused.sqlstate));
        Ok(())
    }

    async fn end(&mut self, statement: StatementSeq, end: End) -> Result<(), Fatal> {
        let mut line = format!(
            "end {} {:?} rows={} bytes={}",
            statement.0, end.outcome, end.rows, end.bytes
        );
        if let Some(sqlstate) = &end.sqlstate {
            line += &format!(" {sqlstate}");
        }
        if !end.values_masked.is_empty() {
            line += &format!(" masked={:?}", end.values_masked);
        }
        self.event(line);
        let before = self.seen.borrow_mut().ends.insert(statement.0, end);
        assert_eq!(before, None, "statement {} ended twice", statement.0);
        Ok(())
    }

    async fn catalog_changed(&mut self) -> Result<(), Fatal> {
        self.event("catalog changed".to_owned());
        Ok(())
    }

    fn transaction_status(&mut self, status: u8) {
        self.event(format!("status {}", char::from(status)));
    }
}

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
pub(super) enum Step {
    /// The client sends frames.
    Client(Vec<Vec<u8>>),
    /// The server sends frames.
    Server(Vec<Vec<u8>>),
    /// Policy or catalog changed.
    Stale,
    /// The session's principal is bound by a mask.
    MaskBound,
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
    expected.assert_eq(&whole);
}

pub(super) fn transcript(steps: &[Step], limits: Limits, chunk: usize) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut harness = Harness::new(limits);
        let mut lines = Vec::new();
        for step in steps {
            let (bytes, client) = match step {
                Step::Client(frames) => (frames.concat(), true),
                Step::Server(frames) => (frames.concat(), false),
                Step::Stale => {
                    harness.seen.borrow_mut().stale = true;
                    continue;
                }
                Step::MaskBound => {
                    harness.seen.borrow_mut().mask_bound = true;
                    continue;
                }
                Step::Close => {
                    harness.core.close().await.unwrap();
                    lines.append(&mut harness.seen.borrow_mut().events);
                    continue;
                }
            };
            lines.push(if client { "client" } else { "server" }.to_owned());
            let mut flow = Ok(Flow::More);
            for part in bytes.chunks(chunk.min(bytes.len().max(1))) {
                let input = if client {
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
    String::from_utf8_lossy(bytes).replace(&format!("provost_denied_{token}_000000"), "DENIED")
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

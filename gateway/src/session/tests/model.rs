//! Random pipelines against a model of the server: whatever fails and whenever answers come, what the server runs is what
//! was decided, every statement ends once, and nothing waits for ever.
//!
//! A statement's text holds a number; the model's command tag gives it back as its row count, so that each end tells which text
//! the server really ran.

use std::collections::HashMap;

use bytes::BytesMut;
use proptest::prelude::*;
use provost_evidence::record::Outcome;

use super::harness::*;
use crate::{
    protocol::{
        frame::{self, HEADER_BYTES},
        frontend::{self, Message, Target},
    },
    session::Limits,
};

/// PostgreSQL as far as names, errors and pipelines go.
#[derive(Default)]
struct Server {
    input: BytesMut,
    held: Vec<u8>,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, (String, bool)>,
    skipping: bool,
    status: u8,
    ran: Vec<String>,
}

impl Server {
    fn new() -> Self {
        Self {
            status: b'I',
            ..Self::default()
        }
    }

    /// Takes one frame; true if there was one. Answers come out at Sync, Flush and the end of a Query.
    fn step(&mut self, to_session: &mut BytesMut) -> bool {
        let Some(header) = frame::header(&self.input).unwrap() else {
            return false;
        };
        if self.input.len() < header.frame_bytes() {
            return false;
        }
        let frame = self.input.split_to(header.frame_bytes());
        let message = frontend::read(header.kind, &frame[HEADER_BYTES..]).unwrap();
        if self.skipping && message != Message::Sync {
            return true;
        }
        match message {
            Message::Sync => {
                self.skipping = false;
                self.ready(to_session);
            }
            Message::Flush => to_session.extend(self.held.drain(..)),
            Message::Query(text) => {
                let text = String::from_utf8(text.to_vec()).unwrap();
                self.statements.remove(&b""[..]);
                self.portals.remove(&b""[..]);
                match self.run(&text) {
                    Ok(tag) => self.held.extend(complete(&tag)),
                    Err(failure) => self.fail(&failure),
                }
                self.ready(to_session);
            }
            extended => {
                if let Err(failure) = self.extended(&extended) {
                    self.fail(&failure);
                    self.skipping = true;
                    // An error is sent at once: a Flush behind it is skipped with the rest.
                    to_session.extend(self.held.drain(..));
                }
            }
        }
        true
    }

    fn ready(&mut self, to_session: &mut BytesMut) {
        if self.status == b'I' {
            self.portals.clear();
        }
        self.held.extend(ready(char::from(self.status)));
        to_session.extend(self.held.drain(..));
    }

    fn fail(&mut self, failure: &str) {
        if self.status == b'T' {
            self.status = b'E';
        }
        self.held.extend(error("42601", failure));
    }

    fn extended(&mut self, message: &Message<'_>) -> Result<(), String> {
        match message {
            Message::Parse(parse) => {
                let text = String::from_utf8(parse.text.to_vec()).unwrap();
                if parse.name.is_empty() {
                    self.statements.remove(parse.name);
                }
                if text.contains("badparse") || text.starts_with("provost_denied_") {
                    return Err(format!("syntax error at {text}"));
                }
                if self.statements.contains_key(parse.name) {
                    return Err("exists".to_owned());
                }
                self.statements.insert(parse.name.to_vec(), text);
                self.held.extend(bare('1'));
            }
            Message::Bind(bind) => {
                let missing = || format!("no {}", String::from_utf8_lossy(bind.statement));
                let text = self
                    .statements
                    .get(bind.statement)
                    .ok_or_else(missing)?
                    .clone();
                if bind.portal.is_empty() {
                    self.portals.remove(bind.portal);
                }
                if text.contains("badbind") || self.portals.contains_key(bind.portal) {
                    return Err("bind".to_owned());
                }
                self.portals.insert(bind.portal.to_vec(), (text, false));
                self.held.extend(bare('2'));
            }
            Message::Describe(target, name) => {
                let known = match target {
                    Target::Statement => self.statements.contains_key(*name),
                    Target::Portal => self.portals.contains_key(*name),
                };
                if !known {
                    return Err(format!("no {}", String::from_utf8_lossy(name)));
                }
                self.held.extend(bare('n'));
            }
            Message::Execute(execute) => {
                let missing = || format!("no {}", String::from_utf8_lossy(execute.portal));
                let (text, suspended) = self.portals.get_mut(execute.portal).ok_or_else(missing)?;
                if execute.rows_max == 1 && !*suspended {
                    *suspended = true;
                    let text = text.clone();
                    self.ran.push(text);
                    self.held.extend(bare('s'));
                    return Ok(());
                }
                let text = text.clone();
                let tag = self.run(&text)?;
                self.held.extend(complete(&tag));
            }
            Message::Close(target, name) => {
                match target {
                    Target::Statement => drop(self.statements.remove(*name)),
                    Target::Portal => drop(self.portals.remove(*name)),
                }
                self.held.extend(bare('3'));
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn run(&mut self, text: &str) -> Result<String, String> {
        if text.contains("badrun")
            || text.contains("badparse")
            || text.starts_with("provost_denied_")
        {
            return Err(text.to_owned());
        }
        if text.contains("begin") && self.status == b'I' {
            self.status = b'T';
        } else if text.contains("commit") {
            self.status = b'I';
            self.portals.clear();
        }
        self.ran.push(text.to_owned());
        Ok(format!("SELECT {}", number(text)))
    }
}

fn number(text: &str) -> u64 {
    text.rsplit(' ').next().unwrap().parse().unwrap()
}

#[derive(Debug, Clone)]
enum Send {
    Frame(Vec<u8>),
    Sync,
    Serve(u8),
}

fn sends() -> impl Strategy<Value = Vec<Send>> {
    let name = || prop::sample::select(vec!["", "a", "b"]);
    let word = prop::sample::select(vec![
        "select", "select", "select", "badparse", "badbind", "badrun", "begin", "commit", "deny",
        "ddl",
    ]);
    let one = |send| vec![send];
    let frame = |frame| vec![Send::Frame(frame)];
    let send = prop_oneof![
        2 => (name(), word.clone()).prop_map(move |(name, word)| frame(parse(name, word))),
        2 => (name(), name()).prop_map(move |(portal, statement)| frame(bind(portal, statement))),
        2 => (name(), 0..2).prop_map(move |(portal, rows_max)| frame(execute(portal, rows_max))),
        1 => (name(), prop::sample::select(vec!['S', 'P'])).prop_map(move |(name, target)| frame(close(target, name))),
        1 => (name(), prop::sample::select(vec!['S', 'P'])).prop_map(move |(name, target)| frame(describe(target, name))),
        1 => word.clone().prop_map(move |word| frame(query(word))),
        2 => Just(Send::Sync).prop_map(one),
        4 => (0u8..6).prop_map(Send::Serve).prop_map(one),
        // What clients do, so that later segments use what earlier ones left.
        4 => (name(), word).prop_map(|(name, word)| vec![Send::Frame(parse(name, word)), Send::Sync]),
        4 => (name(), name()).prop_map(|(portal, statement)| {
            vec![Send::Frame(bind(portal, statement)), Send::Frame(execute(portal, 0)), Send::Sync]
        }),
    ];
    prop::collection::vec(send, 1..40).prop_map(|sends| sends.concat())
}

/// Gives every text its own number.
fn numbered(frame: &[u8], number: usize) -> Vec<u8> {
    match frontend::read(frame[0], &frame[HEADER_BYTES..]).unwrap() {
        Message::Query(text) => query(&format!("{} {number}", String::from_utf8_lossy(text))),
        Message::Parse(found) => parse(
            &String::from_utf8_lossy(found.name),
            &format!("{} {number}", String::from_utf8_lossy(found.text)),
        ),
        _ => frame.to_vec(),
    }
}

fn hand_over(harness: &mut Harness, server: &mut Server) {
    server
        .input
        .extend_from_slice(harness.out.to_server.unsent());
    let count = harness.out.to_server.unsent().len();
    harness.out.to_server.sent(count);
}

async fn run(sends: Vec<Send>) {
    let limits = Limits {
        pending_max: 12,
        ..Limits::default()
    };
    let (mut harness, mut server) = (Harness::new(limits), Server::new());
    let last = [Send::Sync];
    for (index, send) in sends.iter().chain(&last).enumerate() {
        match send {
            Send::Frame(frame) => harness
                .from_client
                .extend_from_slice(&numbered(frame, index + 1)),
            Send::Sync => harness.from_client.extend_from_slice(&sync()),
            Send::Serve(count) => {
                for _ in 0..*count {
                    server.step(&mut harness.from_server);
                }
            }
        }
        harness.pump().await.unwrap();
        hand_over(&mut harness, &mut server);
    }
    // Everything is answered in the end.
    loop {
        let mut moved = false;
        while server.step(&mut harness.from_server) {
            moved = true;
        }
        harness.pump().await.unwrap();
        hand_over(&mut harness, &mut server);
        if !moved && server.input.is_empty() && harness.from_server.is_empty() {
            break;
        }
    }
    assert!(harness.from_client.is_empty(), "the session waits for ever");
    assert!(harness.core.is_idle());
    harness.core.close().await.unwrap();
    let seen = harness.seen.borrow();
    for (statement, text) in &seen.texts {
        let end = seen
            .ends
            .get(statement)
            .unwrap_or_else(|| panic!("{text} never ended"));
        assert_ne!(end.outcome, Outcome::Unknown, "{text}");
        if end.rows != 0 {
            assert_eq!(
                end.rows,
                number(text),
                "the server ran another text than was decided"
            );
        }
    }
    assert!(server.ran.iter().all(|text| !text.contains("deny")));
    // Every text the server ran to its end has an end that says so.
    for text in server.ran {
        let recorded = seen.texts.iter().any(|(statement, decided)| {
            let outcome = seen.ends[statement].outcome;
            *decided == text && outcome == Outcome::Completed
        });
        assert!(recorded, "{text} ran and is not recorded");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_runs_is_what_was_decided(sends in sends()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(sends));
    }
}

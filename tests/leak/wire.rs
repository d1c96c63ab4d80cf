//! A client of bytes: it sends a script's messages, keeps every byte that comes back, and reads no more of it than where
//! messages end. It must never skip a byte that the gateway sent.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::{
    script::{Describe, Extended, Script, Way},
    support::raw::{PROTOCOL_3, describe, execute, message, packet, sync},
};

/// How long an answer may take; past it the session counts as lost.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// What a COPY FROM STDIN is given.
const COPY_ROWS: &[u8] = b"701\n702\n";

pub(crate) struct Client {
    stream: TcpStream,
    /// What the last ReadyForQuery said: `I`, `T` or `E`.
    pub(crate) status: u8,
}

/// What came back for one round.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Everything, as it came.
    pub(crate) bytes: Vec<u8>,
    pub(crate) messages: Vec<(u8, Vec<u8>)>,
}

/// Messages that end with one ReadyForQuery.
pub(crate) struct Round {
    bytes: Vec<u8>,
    is_extended: bool,
    /// How many statements it carries.
    pub(crate) statements: usize,
}

impl Answer {
    /// SQLSTATE and message of each error.
    pub(crate) fn errors(&self) -> Vec<(String, String)> {
        let field = |body: &[u8], code: u8| {
            body.split(|byte| *byte == 0)
                .find(|field| field.first() == Some(&code))
                .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
                .unwrap_or_default()
        };
        self.messages
            .iter()
            .filter(|(tag, _)| *tag == b'E')
            .map(|(_, body)| (field(body, b'C'), field(body, b'M')))
            .collect()
    }

    /// What CommandComplete said, of each statement that ran to its end.
    pub(crate) fn completed(&self) -> Vec<String> {
        self.messages
            .iter()
            .filter(|(tag, _)| *tag == b'C')
            .map(|(_, body)| {
                String::from_utf8_lossy(body)
                    .trim_end_matches('\0')
                    .to_owned()
            })
            .collect()
    }

    /// Bodies alone, one behind the other: what stands across the border of two messages becomes one text.
    pub(crate) fn bodies(&self) -> Vec<u8> {
        self.messages
            .iter()
            .flat_map(|(_, body)| body.clone())
            .collect()
    }

    /// The messages as a person reads them.
    pub(crate) fn told(&self) -> String {
        self.messages
            .iter()
            .map(|(tag, body)| format!("{} {}", char::from(*tag), body.escape_ascii()))
            .collect::<Vec<_>>()
            .join("\n      ")
    }
}

impl Client {
    /// Logged in, in the clear, over loopback.
    pub(crate) fn connect(
        port: u16,
        user: &str,
        database: &str,
        token: &str,
    ) -> io::Result<(Self, Answer)> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream,
            status: b'I',
        };
        let body = format!("user\0{user}\0database\0{database}\0client_encoding\0UTF8\0\0");
        client
            .stream
            .write_all(&packet(PROTOCOL_3, body.as_bytes()))?;
        let mut answer = Answer::default();
        client.read_message(&mut answer)?;
        client
            .stream
            .write_all(&message(b'p', format!("{token}\0").as_bytes()))?;
        client.read_until_ready(&mut answer, false)?;
        Ok((client, answer))
    }

    pub(crate) fn send(&mut self, round: &Round) -> io::Result<()> {
        self.stream.write_all(&round.bytes)
    }

    /// Everything up to ReadyForQuery.
    pub(crate) fn receive(&mut self, round: &Round) -> io::Result<Answer> {
        let mut answer = Answer::default();
        self.read_until_ready(&mut answer, round.is_extended)?;
        Ok(answer)
    }

    /// One statement by itself, in the simple protocol.
    pub(crate) fn query(&mut self, sql: &str) -> io::Result<Answer> {
        let round = Round::simple(sql, 1);
        self.send(&round)?;
        self.receive(&round)
    }

    fn read_message(&mut self, answer: &mut Answer) -> io::Result<u8> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header)?;
        let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body)?;
        answer.bytes.extend_from_slice(&header);
        answer.bytes.extend_from_slice(&body);
        answer.messages.push((header[0], body));
        Ok(header[0])
    }

    fn read_until_ready(&mut self, answer: &mut Answer, is_extended: bool) -> io::Result<()> {
        loop {
            match self.read_message(answer)? {
                b'Z' => {
                    let last = answer.messages.last();
                    self.status = last
                        .and_then(|(_, body)| body.first().copied())
                        .unwrap_or(b'?');
                    return Ok(());
                }
                b'G' => {
                    let mut rows = message(b'd', COPY_ROWS);
                    rows.extend(message(b'c', b""));
                    // The Sync that followed the Execute was read as part of the copy, and so ignored.
                    if is_extended {
                        rows.extend(sync());
                    }
                    self.stream.write_all(&rows)?;
                }
                _ => {}
            }
        }
    }
}

impl Round {
    fn simple(sql: &str, statements: usize) -> Self {
        Self {
            bytes: message(b'Q', format!("{sql}\0").as_bytes()),
            is_extended: false,
            statements,
        }
    }
}

/// A script as rounds, in its own protocols.
pub(crate) fn rounds(script: &Script) -> Vec<Round> {
    let mut rounds = Vec::new();
    // Texts that wait for the next one, messages that wait for a Sync, and how many statements each holds.
    let mut text: (String, usize) = (String::new(), 0);
    let mut piped: (Vec<u8>, usize) = (Vec::new(), 0);
    for (place, step) in script.steps.iter().enumerate() {
        let is_last = place + 1 == script.steps.len();
        let is_text = matches!(step.way, Way::Simple | Way::Joined);
        if is_text && piped.1 > 0 {
            rounds.push(synced(std::mem::take(&mut piped)));
        }
        if !is_text && text.1 > 0 {
            rounds.push(Round::simple(&text.0, text.1));
            text = (String::new(), 0);
        }
        match step.way {
            Way::Simple | Way::Joined => {
                if text.1 > 0 {
                    text.0.push(';');
                }
                text.0.push_str(&step.sql);
                text.1 += 1;
                if matches!(step.way, Way::Simple) || is_last {
                    rounds.push(Round::simple(&text.0, text.1));
                    text = (String::new(), 0);
                }
            }
            Way::Extended(extended) | Way::Piped(extended) => {
                piped
                    .0
                    .extend(messages(&step.sql, &step.parameters, extended));
                piped.1 += 1;
                if matches!(step.way, Way::Extended(_)) || is_last {
                    rounds.push(synced(std::mem::take(&mut piped)));
                }
            }
        }
    }
    rounds
}

fn synced((mut bytes, statements): (Vec<u8>, usize)) -> Round {
    bytes.extend(sync());
    Round {
        bytes,
        is_extended: true,
        statements,
    }
}

fn messages(sql: &str, parameters: &[String], extended: Extended) -> Vec<u8> {
    let (statement, portal) = if extended.named { ("s", "p") } else { ("", "") };
    let mut parts = Vec::new();
    if extended.named {
        parts.push(message(b'C', b"Ss\0"));
        parts.push(message(b'C', b"Pp\0"));
    }
    parts.push(message(
        b'P',
        format!("{statement}\0{sql}\0\0\0").as_bytes(),
    ));
    if matches!(extended.describe, Describe::Statement | Describe::Both) {
        parts.push(describe('S', statement));
    }
    parts.push(bind(portal, statement, parameters, extended.format));
    if matches!(extended.describe, Describe::Portal | Describe::Both) {
        parts.push(describe('P', portal));
    }
    if extended.rows_max > 0 {
        parts.push(execute(portal, extended.rows_max));
        parts.push(execute(portal, extended.rows_max));
    }
    parts.push(execute(portal, 0));
    if extended.flush {
        // A Flush after each message.
        return parts
            .into_iter()
            .flat_map(|part| [part, message(b'H', b"")].concat())
            .collect();
    }
    parts.concat()
}

fn bind(portal: &str, statement: &str, parameters: &[String], format: u8) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0").into_bytes();
    body.extend_from_slice(&0_u16.to_be_bytes());
    body.extend_from_slice(&u16::try_from(parameters.len()).unwrap().to_be_bytes());
    for parameter in parameters {
        body.extend_from_slice(&u32::try_from(parameter.len()).unwrap().to_be_bytes());
        body.extend_from_slice(parameter.as_bytes());
    }
    body.extend_from_slice(&1_u16.to_be_bytes());
    body.extend_from_slice(&u16::from(format).to_be_bytes());
    message(b'B', &body)
}

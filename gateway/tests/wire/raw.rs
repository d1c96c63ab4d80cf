//! A client that says exactly what a test wants, byte for byte.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use crate::house::PATIENCE;

/// SSLRequest, GSSENCRequest.
pub(crate) const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
pub(crate) const GSSAPI_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

/// A raw connection.
pub(crate) struct Raw(TcpStream);

/// A message of the server: its type and its body.
pub(crate) type Message = (u8, Vec<u8>);

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.write_all(bytes).unwrap();
        self
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.0.read_exact(&mut byte).unwrap();
        byte[0]
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Message {
        let mut header = [0; 5];
        self.0.read_exact(&mut header).unwrap();
        let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.0.read_exact(&mut body).unwrap();
        (header[0], body)
    }

    /// Reads on until a message of this type; what was said instead, or that nothing was.
    pub(crate) fn try_until(&mut self, kind: u8) -> Result<Vec<u8>, String> {
        loop {
            match self.next() {
                Some((found, body)) if found == kind => return Ok(body),
                Some((b'E', body)) => return Err(text(&body)),
                Some(_) => {}
                None => return Err("closed".to_owned()),
            }
        }
    }

    /// The next message; none where the connection ends before it, or within.
    fn next(&mut self) -> Option<Message> {
        let mut header = [0; 5];
        self.whole(&mut header)?;
        let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.whole(&mut body)?;
        Some((header[0], body))
    }

    /// Fills it; nothing where the connection ends. Waiting in vain is a failure.
    fn whole(&mut self, bytes: &mut [u8]) -> Option<()> {
        match self.0.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(error) => {
                let waited = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!waited, "nothing came: {error}");
                None
            }
        }
    }

    /// The error that ends the connection, whatever comes before it: `SQLSTATE message`; `closed` where it ends without one.
    pub(crate) fn last_error_of_many(&mut self) -> String {
        let mut last = "closed".to_owned();
        while let Some((kind, body)) = self.next() {
            if kind == b'E' {
                let field = |code: u8| {
                    let mut fields = body.split(|byte| *byte == 0);
                    let field = fields.find(|field| field.first() == Some(&code)).unwrap();
                    text(&field[1..])
                };
                last = format!("{} {}", field(b'C'), field(b'M'));
            }
        }
        last
    }

    /// Sends it, unless the connection is closed.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// How long an answer is waited for.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.0.set_read_timeout(Some(patience)).unwrap();
    }

    /// How many bytes have come and were not read yet, once patience is over or some have come.
    pub(crate) fn arrived(&mut self) -> usize {
        self.0.peek(&mut [0; 64]).unwrap_or(0)
    }

    /// Our own end.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Closes one direction, or both.
    pub(crate) fn shutdown(&mut self, how: Shutdown) {
        self.0.shutdown(how).unwrap();
    }

    /// Reads on until a message of this type.
    pub(crate) fn until(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let (found, body) = self.message();
            assert!(found == kind || found != b'E', "{}", text(&body));
            if found == kind {
                return body;
            }
        }
    }

    /// The error that ends the connection: `SQLSTATE message`. After it there is nothing.
    pub(crate) fn last_error(&mut self) -> String {
        let (kind, body) = self.message();
        assert_eq!(char::from(kind), 'E', "{}", text(&body));
        let field = |code: u8| {
            body.split(|byte| *byte == 0)
                .find(|field| field.first() == Some(&code))
                .map(|field| text(&field[1..]))
                .unwrap()
        };
        assert_eq!(field(b'S'), "FATAL");
        let error = format!("{} {}", field(b'C'), field(b'M'));
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "after {error}: {}", text(&rest));
        error
    }

    /// Starts up and gives the password.
    pub(crate) fn log_in(address: SocketAddr, parameters: &[(&str, &str)], token: &str) -> Self {
        Self::log_in_with(address, &startup(parameters), token)
    }

    /// Starts up with these bytes and gives the password.
    pub(crate) fn log_in_with(address: SocketAddr, startup: &[u8], token: &str) -> Self {
        let mut raw = Self::connect(address);
        raw.send(startup);
        assert_eq!(raw.message(), (b'R', vec![0, 0, 0, 3]));
        raw.send(&password(token));
        raw
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A StartupMessage of version 3.0.
pub(crate) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in parameters {
        for text in [name, value] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    startup_of(3 << 16, &body)
}

pub(crate) fn startup_of(version: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = u32::try_from(body.len() + 8)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    packet.extend_from_slice(&version.to_be_bytes());
    packet.extend_from_slice(body);
    packet
}

/// A message with a type.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    message.extend_from_slice(body);
    message
}

pub(crate) fn password(token: &str) -> Vec<u8> {
    message(b'p', format!("{token}\0").as_bytes())
}

/// A simple Query.
pub(crate) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

/// What a query gives: its rows' first values, its error, the transaction's status.
pub(crate) fn ask(raw: &mut Raw, sql: &str) -> String {
    raw.send(&query(sql)).answer()
}

/// A CancelRequest with this BackendKeyData.
pub(crate) fn cancel_request(key: &[u8]) -> Vec<u8> {
    let code = ((1234_u32 << 16) | 5678).to_be_bytes();
    let length = u32::try_from(key.len() + 8).unwrap().to_be_bytes();
    [&length[..], &code[..], key].concat()
}

/// A Parse without declared types.
pub(crate) fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(
        b'P',
        &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat(),
    )
}

/// A Bind with text values; the result in this format.
pub(crate) fn bind(portal: &str, statement: &str, values: &[&str], format: u16) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0"].concat();
    body.extend_from_slice(&u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend_from_slice(value.as_bytes());
    }
    body.extend_from_slice(&1_u16.to_be_bytes());
    body.extend_from_slice(&format.to_be_bytes());
    message(b'B', &body)
}

/// A Bind without values; a format for each column of the result.
pub(crate) fn bind_formats(portal: &str, statement: &str, formats: &[u16]) -> Vec<u8> {
    let mut body = [
        portal.as_bytes(),
        b"\0",
        statement.as_bytes(),
        b"\0\0\0\0\0",
    ]
    .concat();
    body.extend_from_slice(&u16::try_from(formats.len()).unwrap().to_be_bytes());
    for format in formats {
        body.extend_from_slice(&format.to_be_bytes());
    }
    message(b'B', &body)
}

/// An Execute to the end.
pub(crate) fn execute(portal: &str) -> Vec<u8> {
    execute_rows(portal, 0)
}

/// An Execute of so many rows; 0 for all.
pub(crate) fn execute_rows(portal: &str, rows: u32) -> Vec<u8> {
    message(
        b'E',
        &[portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat(),
    )
}

/// Parse, Bind and Execute of one statement, all unnamed.
pub(crate) fn run(sql: &str) -> Vec<u8> {
    [parse("", sql), bind("", "", &[], 0), execute("")].concat()
}

impl Raw {
    /// Every byte up to and with ReadyForQuery.
    pub(crate) fn bytes_until_ready(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let (kind, body) = self.message();
            all.extend(message(kind, &body));
            if kind == b'Z' {
                return all;
            }
        }
    }

    /// Nothing more is sent.
    pub(crate) fn finish(&mut self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Every byte until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        rest
    }

    /// The types of all messages until the server closes.
    pub(crate) fn kinds_until_close(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.next().map(|(kind, _)| kind)).collect()
    }

    /// The server closes, whatever it says before.
    pub(crate) fn ends(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
    }

    /// The server closes without a word.
    pub(crate) fn closes(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{}", text(&rest));
    }
}

impl Raw {
    /// Everything up to ReadyForQuery: first values of rows, SQLSTATE and message of errors, the transaction's status.
    pub(crate) fn answer(&mut self) -> String {
        let mut words = Vec::new();
        loop {
            let (kind, body) = self.message();
            match kind {
                b'D' => words.push(first_value(&body)),
                b'E' => {
                    let fields: Vec<String> = body
                        .split(|byte| *byte == 0)
                        .filter(|field| matches!(field.first(), Some(b'C' | b'M' | b'D')))
                        .map(|field| text(&field[1..]))
                        .collect();
                    words.push(fields.join(" "));
                }
                b'Z' => {
                    words.push(text(&body));
                    return words.join(" ");
                }
                _ => {}
            }
        }
    }

    /// How many rows come up to ReadyForQuery.
    pub(crate) fn answer_rows(&mut self) -> usize {
        let mut rows = 0;
        loop {
            match self.message() {
                (b'D', _) => rows += 1,
                (b'E', body) => panic!("{}", text(&body)),
                (b'Z', _) => return rows,
                _ => {}
            }
        }
    }
}

fn first_value(row: &[u8]) -> String {
    let length = i32::from_be_bytes(row[2..6].try_into().unwrap());
    usize::try_from(length).map_or("NULL".to_owned(), |length| text(&row[6..6 + length]))
}

//! A PostgreSQL client without manners: frames as a test writes them, over TLS or in the clear.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};

use super::{House, Person, TARGET};

/// How long an answer may take.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
const SSL_REQUEST: u32 = 80_877_103;
pub(crate) const CANCEL_REQUEST: u32 = 80_877_102;
pub(crate) const PROTOCOL_3: u32 = 196_608;

/// A message from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) tag: u8,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// A field of an ErrorResponse or NoticeResponse.
    pub(crate) fn field(&self, code: u8) -> Option<String> {
        self.body
            .split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&code))
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
    }

    /// The values of a DataRow.
    pub(crate) fn values(&self) -> Vec<Option<Vec<u8>>> {
        assert_eq!(self.tag, b'D');
        let count = u16::from_be_bytes([self.body[0], self.body[1]]);
        let mut rest = &self.body[2..];
        (0..count)
            .map(|_| {
                let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
                rest = &rest[4..];
                usize::try_from(length).ok().map(|length| {
                    let (value, after) = rest.split_at(length);
                    rest = after;
                    value.to_vec()
                })
            })
            .collect()
    }
}

pub(crate) enum Raw {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Raw {
    /// A connection without a byte sent.
    pub(crate) fn plain(house: &House) -> Self {
        Self::plain_to(house.port)
    }

    fn plain_to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::Plain(stream)
    }

    /// After the SSLRequest and the handshake.
    pub(crate) fn tls(house: &House) -> Self {
        let Self::Plain(mut stream) = Self::plain(house) else {
            unreachable!()
        };
        stream.write_all(&packet(SSL_REQUEST, &[])).unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"S");
        Self::encrypted(house, stream)
    }

    /// TLS from the first byte, to another port: the console's.
    pub(crate) fn tls_to(house: &House, port: u16) -> Self {
        let Self::Plain(stream) = Self::plain_to(port) else {
            unreachable!()
        };
        Self::encrypted(house, stream)
    }

    fn encrypted(house: &House, stream: TcpStream) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(house.path("certificate.pem")).unwrap())
            .unwrap();
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let connection =
            ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap())
                .unwrap();
        Self::Tls(Box::new(StreamOwned::new(connection, stream)))
    }

    /// Logged in, everything up to the first ReadyForQuery read. The second value is the cancel key's body.
    pub(crate) fn logged_in(house: &House, person: Person) -> (Self, Vec<u8>) {
        Self::logged_in_on(house, person, TARGET)
    }

    /// Logged in on a target of its own.
    pub(crate) fn on_target(house: &House, person: Person, target: &str) -> Self {
        Self::logged_in_on(house, person, target).0
    }

    fn logged_in_on(house: &House, person: Person, target: &str) -> (Self, Vec<u8>) {
        Self::logged_in_as(house, (person.id(), &house.token(person)), target)
    }

    /// Logged in as somebody with a token of their own.
    pub(crate) fn logged_in_as(
        house: &House,
        (user, token): (&str, &str),
        target: &str,
    ) -> (Self, Vec<u8>) {
        let mut raw = Self::tls(house);
        raw.send_startup(&[("user", user), ("database", target)]);
        let request = raw.read();
        assert_eq!(
            (request.tag, request.body.as_slice()),
            (b'R', &[0, 0, 0, 3][..]),
            "a request for the token"
        );
        raw.send(b'p', format!("{token}\0").as_bytes());
        let messages = raw.read_until_ready();
        let key = messages
            .iter()
            .find(|message| message.tag == b'K')
            .expect("a cancel key")
            .body
            .clone();
        (raw, key)
    }

    pub(crate) fn send_startup(&mut self, parameters: &[(&str, &str)]) {
        let mut body = Vec::new();
        for (name, value) in parameters {
            body.extend_from_slice(name.as_bytes());
            body.push(0);
            body.extend_from_slice(value.as_bytes());
            body.push(0);
        }
        body.push(0);
        self.write(&packet(PROTOCOL_3, &body));
    }

    pub(crate) fn send(&mut self, tag: u8, body: &[u8]) {
        self.write(&message(tag, body));
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).unwrap();
    }

    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    pub(crate) fn read_bytes(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.read_exact(buffer),
            Self::Tls(stream) => stream.read_exact(buffer),
        }
    }

    /// Everything that comes until the other side closes.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let read = match self {
            Self::Plain(stream) => stream.read_to_end(&mut all),
            Self::Tls(stream) => stream.read_to_end(&mut all),
        };
        read.unwrap();
        all
    }

    pub(crate) fn try_read(&mut self) -> io::Result<Message> {
        let mut header = [0; 5];
        self.read_bytes(&mut header)?;
        let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.read_bytes(&mut body)?;
        Ok(Message {
            tag: header[0],
            body,
        })
    }

    pub(crate) fn read(&mut self) -> Message {
        self.try_read().unwrap()
    }

    /// Everything up to and with ReadyForQuery.
    pub(crate) fn read_until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.read();
            let is_last = message.tag == b'Z';
            messages.push(message);
            if is_last {
                return messages;
            }
        }
    }

    /// Everything until the gateway closes the connection, which it must do in time.
    pub(crate) fn read_until_closed(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.try_read() {
                Ok(message) => messages.push(message),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("the connection stayed open after {messages:?}")
                }
                Err(_) => return messages,
            }
        }
    }

    /// A simple Query and its answer.
    pub(crate) fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send(b'Q', format!("{sql}\0").as_bytes());
        self.read_until_ready()
    }
}

/// A message without a tag: start-up, SSLRequest, CancelRequest.
pub(crate) fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &code.to_be_bytes()[..], body].concat()
}

pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes()[..], body].concat()
}

pub(crate) fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Without parameters; one format code for every result column.
pub(crate) fn bind(portal: &str, statement: &str, result_format: u8) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0").into_bytes();
    body.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, result_format]);
    message(b'B', &body)
}

/// With parameters in text form; every result column is text.
pub(crate) fn bind_texts(portal: &str, statement: &str, values: &[&str]) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0\0\0").into_bytes();
    body.extend_from_slice(&u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend_from_slice(value.as_bytes());
    }
    body.extend_from_slice(&[0, 0]);
    message(b'B', &body)
}

pub(crate) fn describe(kind: char, name: &str) -> Vec<u8> {
    message(b'D', format!("{kind}{name}\0").as_bytes())
}

pub(crate) fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    message(
        b'E',
        &[
            format!("{portal}\0").as_bytes(),
            &rows_max.to_be_bytes()[..],
        ]
        .concat(),
    )
}

pub(crate) fn sync() -> Vec<u8> {
    message(b'S', &[])
}

/// The tags of messages, as text, parameter statuses left out.
pub(crate) fn tags(messages: &[Message]) -> String {
    messages
        .iter()
        .filter(|message| message.tag != b'S')
        .map(|message| char::from(message.tag))
        .collect()
}

/// The SQLSTATE of the first ErrorResponse.
pub(crate) fn sqlstate(messages: &[Message]) -> Option<String> {
    messages
        .iter()
        .find(|message| message.tag == b'E')
        .and_then(|message| message.field(b'C'))
}

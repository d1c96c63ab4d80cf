//! PostgreSQL's messages on a socket. It must never change a byte that it passes on.

use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;

/// One end of a connection, with a buffer for what is read.
pub(crate) struct Wire {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

/// A message: its type, and all of its bytes.
#[derive(Debug)]
pub(crate) struct Message {
    /// The first byte; 0 for what a client begins with.
    pub(crate) tag: u8,
    /// All bytes, with type and length.
    pub(crate) bytes: Vec<u8>,
}

impl Message {
    pub(crate) fn new(tag: u8, payload: &[u8]) -> Self {
        let length = u32::try_from(payload.len() + 4).expect("a short message");
        let mut bytes = vec![tag];
        bytes.extend(length.to_be_bytes());
        bytes.extend(payload);
        Self { tag, bytes }
    }

    /// A simple Query.
    pub(crate) fn query(sql: &str) -> Self {
        let mut payload = sql.as_bytes().to_vec();
        payload.push(0);
        Self::new(b'Q', &payload)
    }

    /// What a client of the superuser begins with.
    pub(crate) fn start_up(database: &str) -> Self {
        let mut payload = 196_608_u32.to_be_bytes().to_vec();
        let user = crate::postgres::SUPERUSER;
        for word in ["user", user, "database", database, ""] {
            payload.extend(word.as_bytes());
            payload.push(0);
        }
        let length = u32::try_from(payload.len() + 4).expect("a short message");
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(payload);
        Self { tag: 0, bytes }
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[if self.tag == 0 { 4 } else { 5 }..]
    }

    /// The payload without the NUL at its end.
    pub(crate) fn text(&self) -> &[u8] {
        let payload = self.payload();
        payload.strip_suffix(&[0]).unwrap_or(payload)
    }

    /// A field of an ErrorResponse or NoticeResponse.
    pub(crate) fn field(&self, code: u8) -> Option<String> {
        let fields = self.payload().split(|byte| *byte == 0);
        fields
            .filter(|field| field.first() == Some(&code))
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
            .next()
    }

    /// The columns of a RowDescription.
    fn description(&self) -> Vec<(String, u32, i16)> {
        let mut rest = &self.payload()[2..];
        let mut columns = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            let name = String::from_utf8_lossy(&rest[..end]).into_owned();
            let oid = u32::from_be_bytes(*rest[end + 1..].first_chunk().expect("an oid"));
            let number = i16::from_be_bytes(*rest[end + 5..].first_chunk().expect("a number"));
            columns.push((name, oid, number));
            rest = &rest[end + 19..];
        }
        columns
    }

    /// The columns of a DataRow.
    pub(crate) fn row(&self) -> Vec<Option<Vec<u8>>> {
        let mut rest = &self.payload()[2..];
        let mut columns = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = i32::from_be_bytes(*length);
            let (value, after) = after.split_at(usize::try_from(length).unwrap_or(0));
            columns.push((length >= 0).then(|| value.to_vec()));
            rest = after;
        }
        columns
    }
}

impl Wire {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        let reader = BufReader::with_capacity(1 << 16, stream.try_clone()?);
        Ok(Self {
            reader,
            writer: stream,
        })
    }

    /// The message that a client begins with.
    pub(crate) fn receive_start(&mut self) -> io::Result<Message> {
        let mut bytes = vec![0; 4];
        self.reader.read_exact(&mut bytes)?;
        let length = u32::from_be_bytes(*bytes.first_chunk().expect("four bytes"));
        bytes.resize(length as usize, 0);
        self.reader.read_exact(&mut bytes[4..])?;
        Ok(Message { tag: 0, bytes })
    }

    pub(crate) fn receive(&mut self) -> io::Result<Message> {
        let mut bytes = vec![0; 5];
        self.reader.read_exact(&mut bytes)?;
        let length = u32::from_be_bytes(*bytes.last_chunk().expect("four bytes"));
        bytes.resize(length as usize + 1, 0);
        self.reader.read_exact(&mut bytes[5..])?;
        Ok(Message {
            tag: bytes[0],
            bytes,
        })
    }

    pub(crate) fn send(&mut self, message: &Message) -> io::Result<()> {
        self.writer.write_all(&message.bytes)
    }
}

/// What the server answered to one simple Query.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// One for each statement that it finished.
    pub(crate) statements: Vec<Finished>,
    /// SQLSTATE and message of the error that ended it.
    pub(crate) error: Option<(String, String)>,
    /// What the statement that failed had shown before.
    pub(crate) unfinished: Finished,
    /// ReadyForQuery's: `I`, `T` or `E`.
    pub(crate) status: u8,
}

/// What the server showed of one statement.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    /// The command's tag, without numbers; empty for an empty query.
    pub(crate) tag: String,
    /// The rewritten trees of the statement itself, not of those that its functions ran.
    pub(crate) trees: Vec<String>,
    /// The trees of what its functions and triggers ran, where the server had not planned that before.
    pub(crate) nested: Vec<String>,
    /// Its RowDescription: names, relation oids, attribute numbers.
    pub(crate) columns: Vec<(String, u32, i16)>,
    /// Its rows, where they are kept.
    pub(crate) rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl Answer {
    /// Takes one message of the server; whether the answer goes on.
    pub(crate) fn take(&mut self, message: &Message) {
        match message.tag {
            b'C' | b'I' => {
                let words = String::from_utf8_lossy(message.text()).into_owned();
                let words = if message.tag == b'C' {
                    words
                } else {
                    String::new()
                };
                let tag = words.trim_end_matches(|byte: char| byte.is_ascii_digit() || byte == ' ');
                let mut finished = std::mem::take(&mut self.unfinished);
                finished.tag = tag.to_owned();
                self.statements.push(finished);
            }
            b'E' => {
                let field = |code| message.field(code).unwrap_or_default();
                self.error.get_or_insert_with(|| (field(b'C'), field(b'M')));
            }
            b'N' if message.field(b'M').as_deref() == Some("rewritten parse tree:") => {
                let context = message.field(b'W').unwrap_or_default();
                let trees = if context.is_empty() {
                    &mut self.unfinished.trees
                } else if is_key_check(&context) {
                    return;
                } else {
                    &mut self.unfinished.nested
                };
                trees.extend(message.field(b'D'));
            }
            b'T' => self.unfinished.columns = message.description(),
            b'Z' => self.status = message.payload()[0],
            _ => {}
        }
    }
}

/// Whether a statement is one of the server's own that check a foreign key: a write into constrained columns is that much.
fn is_key_check(context: &str) -> bool {
    let of_row = context.starts_with("SQL statement \"SELECT 1 FROM ")
        && context.contains(" FOR KEY SHARE OF x\"");
    of_row
        || context.starts_with("SQL statement \"SELECT 1 FROM ONLY ")
        || context.starts_with("SQL statement \"SELECT fk.")
}

/// A client's connection to the server.
pub(crate) struct Client {
    wire: Wire,
}

impl Client {
    pub(crate) fn connect(cluster: &crate::postgres::Cluster, database: &str) -> Self {
        let socket = format!(".s.PGSQL.{}", cluster.port());
        let stream = UnixStream::connect(cluster.socket_folder().join(socket)).unwrap();
        let mut wire = Wire::new(stream).unwrap();
        wire.send(&Message::start_up(database)).unwrap();
        loop {
            let message = wire.receive().unwrap();
            match message.tag {
                b'Z' => break,
                b'E' => panic!("connecting to `{database}`: {:?}", message.field(b'M')),
                _ => {}
            }
        }
        Self { wire }
    }

    /// Runs text by a simple Query and keeps its rows.
    pub(crate) fn query(&mut self, sql: &str) -> Answer {
        ask(&mut self.wire, sql).unwrap()
    }

    /// Runs text that must succeed.
    pub(crate) fn run(&mut self, sql: &str) -> Answer {
        let answer = self.query(sql);
        assert_eq!(answer.error, None, "{sql}");
        answer
    }
}

/// Sends text as a simple Query and reads the answer with its rows.
pub(crate) fn ask(wire: &mut Wire, sql: &str) -> io::Result<Answer> {
    wire.send(&Message::query(sql))?;
    let mut answer = Answer::default();
    loop {
        let message = wire.receive()?;
        match message.tag {
            b'D' => answer.unfinished.rows.push(message.row()),
            // COPY ... FROM STDIN would wait for us.
            b'G' => wire.send(&Message::new(b'f', b"no data\0"))?,
            _ => answer.take(&message),
        }
        if message.tag == b'Z' {
            return Ok(answer);
        }
    }
}

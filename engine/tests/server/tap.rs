//! A tap between a real psql and the server. It sees every statement as the server gets it, reads the catalog over the same
//! session whenever that may have changed, and asks the server for its own trees. It must never change what psql sends.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use provost_engine::{
    catalog::{CATALOG_QUERY, Catalog},
    sql::{Binding, Hold, SessionNames},
};

use crate::wire::{Answer, Message, Wire, ask};

/// Analysis goes deep into nested text.
const STACK_BYTES: usize = 256 << 20;

/// A text that psql sent, what was true before it, and what the server made of it.
pub(crate) struct Observation<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) catalog: &'a Catalog,
    pub(crate) search_path: &'a [Arc<str>],
    pub(crate) names: &'a SessionNames,
    pub(crate) answer: &'a Answer,
}

/// What an observer makes of a text.
#[derive(Default)]
pub(crate) struct Aftermath {
    /// The catalog may be another one now, beyond what the server's tags tell.
    pub(crate) catalog_changed: bool,
    /// What its completed statements did to the session's names.
    pub(crate) bindings: Vec<Binding>,
}

/// Looks at a text.
pub(crate) type Observe = dyn Fn(&Observation<'_>) -> Aftermath + Send + Sync;

/// A folder with a socket like the server's own.
pub(crate) struct Tap {
    folder: tempfile::TempDir,
    port: u16,
    listening: Option<JoinHandle<()>>,
}

impl Tap {
    /// Opens a tap in front of `cluster`.
    pub(crate) fn open(cluster: &crate::postgres::Cluster, observe: Arc<Observe>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("provost-tap-")
            .tempdir()
            .unwrap();
        let name = format!(".s.PGSQL.{}", cluster.port());
        let listener = UnixListener::bind(folder.path().join(&name)).unwrap();
        let server = cluster.socket_folder().join(&name);
        let listening = thread::spawn(move || listen(&listener, &server, &observe));
        Self {
            folder,
            port: cluster.port(),
            listening: Some(listening),
        }
    }

    /// What psql takes as host.
    pub(crate) fn host(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for every session to end.
    pub(crate) fn close(mut self) {
        let socket = self.folder.path().join(format!(".s.PGSQL.{}", self.port));
        // A connection without a word ends the listener.
        drop(UnixStream::connect(socket).unwrap());
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap();
        }
    }
}

fn listen(listener: &UnixListener, server: &Path, observe: &Arc<Observe>) {
    let mut sessions = Vec::new();
    for stream in listener.incoming() {
        let mut client = Wire::new(stream.unwrap()).unwrap();
        let Ok(start) = client.receive_start() else {
            break;
        };
        let (server, observe) = (server.to_owned(), observe.clone());
        let session = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let server = Wire::new(UnixStream::connect(server).unwrap()).unwrap();
                let mut session = Session {
                    client,
                    server,
                    observe,
                    catalog: None,
                    digest: None,
                    search_path: Vec::new(),
                    names: SessionNames::default(),
                    held: BTreeSet::new(),
                    changed_inside: false,
                    status: b'I',
                };
                match session.run(&start) {
                    Err(error) if !is_end(&error) => panic!("{error}"),
                    Ok(()) | Err(_) => {}
                }
            });
        sessions.push(session.unwrap());
    }
    for session in sessions {
        session.join().unwrap();
    }
}

/// Whether one side just went away: psql does so on `\q` and `\c`, the server when a test ends its session.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

struct Session {
    client: Wire,
    server: Wire,
    observe: Arc<Observe>,
    /// `None` when it may have changed.
    catalog: Option<Arc<Catalog>>,
    /// The last catalog with what it was made of: often a change is none that the catalog shows.
    digest: Option<(blake3::Hash, Arc<Catalog>)>,
    search_path: Vec<Arc<str>>,
    names: SessionNames,
    /// Cursors that outlive their transaction.
    held: BTreeSet<Arc<str>>,
    /// The catalog changed in this transaction: a rollback changes it back.
    changed_inside: bool,
    status: u8,
}

impl Session {
    fn run(&mut self, start: &Message) -> io::Result<()> {
        self.server.send(start)?;
        self.relay(|_| {})?;
        loop {
            let message = self.client.receive()?;
            match message.tag {
                b'Q' => self.query(&message)?,
                // Sync and FunctionCall: the server answers up to ReadyForQuery.
                b'S' | b'F' => {
                    self.server.send(&message)?;
                    self.relay(|_| {})?;
                }
                b'X' => return self.server.send(&message),
                _ => self.server.send(&message)?,
            }
        }
    }

    fn query(&mut self, message: &Message) -> io::Result<()> {
        // In a failed transaction the server does nothing, and nothing can be asked.
        if self.status != b'E' {
            self.prepare(message.text())?;
        }
        let was_failed = self.status == b'E';
        self.server.send(message)?;
        let mut answer = Answer::default();
        self.relay(|message| answer.take(message))?;
        let Some(catalog) = self.catalog.clone() else {
            return Ok(());
        };
        let observation = Observation {
            text: message.text(),
            catalog: &catalog,
            search_path: &self.search_path,
            names: &self.names,
            answer: &answer,
        };
        let aftermath = if was_failed {
            Aftermath::default()
        } else {
            (self.observe)(&observation)
        };
        for binding in &aftermath.bindings {
            if let Binding::Declare {
                name,
                hold: Hold::Session,
                ..
            } = binding
            {
                self.held.insert(name.clone());
            }
            self.names.apply(binding);
        }
        if self.status == b'I' {
            let held = &self.held;
            self.names.cursors.retain(|name, _| held.contains(name));
        }
        let mut tags = answer.statements.iter().map(|statement| &statement.tag);
        let changed = aftermath.catalog_changed || tags.any(|tag| changes(tag));
        let rolled_back = answer
            .statements
            .iter()
            .any(|statement| statement.tag == "ROLLBACK");
        // A failed COMMIT is a rollback too, and a failed statement may be one of several in a transaction of their own.
        if changed || (self.changed_inside && (rolled_back || self.status == b'I')) {
            self.catalog = None;
        }
        self.changed_inside = self.status != b'I' && (self.changed_inside || changed);
        Ok(())
    }

    /// Learns what is true now. Transaction control is passed by: it needs no catalog, and some of it must come before any
    /// other statement.
    fn prepare(&mut self, text: &[u8]) -> io::Result<()> {
        if self.catalog.is_some() && is_control(text) {
            return Ok(());
        }
        let sql = "SET debug_print_rewritten = off; SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))";
        let answer = ask(&mut self.server, sql)?;
        let rows = answer.statements.last().map(|statement| &statement.rows);
        if let Some([Some(schemas)]) = rows.and_then(|rows| rows.first()).map(Vec::as_slice) {
            self.search_path = serde_json::from_slice(schemas).unwrap();
        }
        if self.catalog.is_none() {
            self.catalog = self.read_catalog()?;
        }
        let sql = "SET debug_print_rewritten = on; SET debug_pretty_print = off; SET client_min_messages = log";
        ask(&mut self.server, sql)?;
        Ok(())
    }

    /// `None` where the session's user may not: a file takes the right to call a cast away from everyone.
    fn read_catalog(&mut self) -> io::Result<Option<Arc<Catalog>>> {
        // The query sets what lasts to the end of a transaction: not to the end of psql's own.
        let inside = self.status == b'T';
        if inside {
            ask(&mut self.server, "SAVEPOINT provost_catalog")?;
        }
        let answer = ask(&mut self.server, CATALOG_QUERY)?;
        if inside {
            let sql = "ROLLBACK TO SAVEPOINT provost_catalog; RELEASE SAVEPOINT provost_catalog";
            ask(&mut self.server, sql)?;
        }
        if let Some((sqlstate, message)) = &answer.error {
            assert_eq!(sqlstate, "42501", "reading the catalog: {message}");
            eprintln!("a statement is passed by: {message}");
            return Ok(None);
        }
        let rows = answer
            .statements
            .into_iter()
            .flat_map(|statement| statement.rows);
        let json = rows.flatten().flatten().next().expect("one row");
        let digest = blake3::hash(&json);
        match &self.digest {
            Some((known, catalog)) if *known == digest => Ok(Some(catalog.clone())),
            _ => {
                let catalog = Arc::new(Catalog::from_answer(&json).unwrap());
                self.digest = Some((digest, catalog.clone()));
                Ok(Some(catalog))
            }
        }
    }

    /// Passes the server's messages on up to ReadyForQuery, and what the server asks for in between.
    fn relay(&mut self, mut look: impl FnMut(&Message)) -> io::Result<()> {
        loop {
            let message = self.server.receive()?;
            look(&message);
            let is_tree = message.tag == b'N' && message.field(b'V').as_deref() == Some("LOG");
            if !is_tree {
                self.client.send(&message)?;
            }
            match message.tag {
                b'Z' => {
                    self.status = message.payload()[0];
                    return Ok(());
                }
                b'G' => loop {
                    let data = self.client.receive()?;
                    self.server.send(&data)?;
                    if matches!(data.tag, b'c' | b'f') {
                        break;
                    }
                },
                _ => {}
            }
        }
    }
}

/// Whether a text begins as transaction control does.
fn is_control(text: &[u8]) -> bool {
    let words = String::from_utf8_lossy(text).to_ascii_lowercase();
    let mut words = words.split(|letter: char| !letter.is_ascii_alphabetic());
    let mut next = || {
        words
            .by_ref()
            .find(|word| !word.is_empty())
            .unwrap_or_default()
    };
    match next() {
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            true
        }
        "prepare" => next() == "transaction",
        "set" => matches!(next(), "transaction" | "session"),
        _ => false,
    }
}

/// Whether a command of this tag may change what the catalog says.
fn changes(tag: &str) -> bool {
    const CHANGES_NOTHING: [&str; 34] = [
        "",
        "INSERT",
        "UPDATE",
        "DELETE",
        "MERGE",
        "COPY",
        "EXPLAIN",
        "FETCH",
        "MOVE",
        "SHOW",
        "SET",
        "RESET",
        "BEGIN",
        "START TRANSACTION",
        "SAVEPOINT",
        "RELEASE",
        "COMMIT",
        "ROLLBACK",
        "PREPARE",
        "DEALLOCATE",
        "DEALLOCATE ALL",
        "DECLARE CURSOR",
        "CLOSE CURSOR",
        "CLOSE CURSOR ALL",
        "LISTEN",
        "NOTIFY",
        "UNLISTEN",
        "LOCK TABLE",
        "TRUNCATE TABLE",
        "VACUUM",
        "ANALYZE",
        "CHECKPOINT",
        "SET CONSTRAINTS",
        "COMMENT",
    ];
    const ABOUT_OTHER_THINGS: [&str; 9] = [
        "GRANT",
        "REVOKE",
        "CREATE ROLE",
        "ALTER ROLE",
        "CREATE STATISTICS",
        "CREATE PUBLICATION",
        "ALTER PUBLICATION",
        "CREATE TEXT SEARCH",
        "REINDEX",
    ];
    // SELECT may be SELECT INTO: the observer knows. What a rollback takes back, the session knows.
    tag != "SELECT"
        && !CHANGES_NOTHING.contains(&tag)
        && !ABOUT_OTHER_THINGS
            .iter()
            .any(|start| tag.starts_with(start))
}

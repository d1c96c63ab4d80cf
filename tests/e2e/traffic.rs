//! Captured traffic: what real clients asked of a server (`tests/traffic/*.sql`, written by capture.sh) goes through the gateway,
//! as an application without masks and as an agent whom masks bind. Whatever is refused must stand in
//! `tests/traffic/refused.txt` with its reason; `PROVOST_TRAFFIC_UPDATE=1` writes that file anew.
//!
//! Each statement is parsed by the server and decided by the gateway, in the state that the client left its schema in. Those that
//! read are run too, over a few rows (`tests/traffic/rows`), and no masked value of them may reach the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::support::{
    House, Person,
    raw::{Message, Raw, describe, execute, message, sync},
};

const CLIENTS: &[&str] = &[
    "django",
    "hibernate",
    "introspection",
    "jdbc",
    "pg_dump",
    "pgbench",
    "prisma",
    "psql",
    "sqlalchemy",
];

/// What masked columns of the rows hold.
const CANARIES: &[&[u8]] = &[
    b"canary.example",
    b"canary-ssn",
    b"canary-secret",
    b"canary-password",
];

/// Statements that give or use a name, or begin and end what others stand in: these are run as they are.
const RUN: &[&str] = &[
    "PREPARE",
    "EXECUTE",
    "DECLARE",
    "FETCH",
    "CLOSE",
    "DEALLOCATE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
];

struct Entry {
    is_simple: bool,
    parameter_types: Vec<u32>,
    sql: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traffic")
}

fn entries(client: &str) -> Vec<Entry> {
    let text = fs::read_to_string(folder().join(format!("{client}.sql"))).unwrap();
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines() {
        if let Some(protocol) = line.strip_prefix("---- ") {
            let mut words = protocol.split(' ');
            entries.push(Entry {
                is_simple: words.next() == Some("simple"),
                parameter_types: words.map(|word| word.parse().unwrap()).collect(),
                sql: String::new(),
            });
        } else {
            let entry = entries.last_mut().unwrap();
            entry.sql.push_str(line);
            entry.sql.push('\n');
        }
    }
    assert!(entries.len() > 20, "{client} hardly asked anything");
    entries
}

/// A house with a database and a target for each client.
fn house() -> House {
    let mut house = House::without_gateway();
    fs::remove_file(house.path("policies/shop.pol")).unwrap();
    fs::write(
        house.path("policies/traffic.pol"),
        fs::read(folder().join("traffic.pol")).unwrap(),
    )
    .unwrap();
    let mut targets = String::new();
    for client in CLIENTS {
        let database = format!("traffic_{client}");
        house
            .cluster
            .execute("postgres", &format!("CREATE DATABASE {database}"))
            .unwrap();
        let schema = fs::read_to_string(folder().join(format!("{client}.schema.sql"))).unwrap();
        house
            .cluster
            .execute(&database, &schema)
            .unwrap_or_else(|error| panic!("{client}: {error}"));
        let rows = folder().join(format!("rows/{client}.sql"));
        if let Ok(rows) = fs::read_to_string(rows) {
            let done = house.cluster.execute(&database, &rows);
            done.unwrap_or_else(|error| panic!("{client}: {error}"));
        }
        let _ = write!(
            targets,
            "\n[[target]]\nname = \"{client}\"\nhost = \"{}\"\nport = {}\ndatabase = \"{database}\"\nuser = \"postgres\"\npassword = \"file:{}\"\ntls = \"off\"\n",
            house.cluster.socket_folder().display(),
            house.cluster.port(),
            house.path("server-password").display(),
        );
    }
    house.write_config(|config| config + &targets);
    house.start_gateway();
    house
}

/// Why a statement was refused by the gateway, if it was: an error of the server's own is none.
fn refusal(messages: &[Message]) -> Option<String> {
    let error = messages.iter().find(|message| message.tag == b'E')?;
    let state = error.field(b'C').unwrap_or_default();
    let words = error.field(b'M').unwrap_or_default();
    let is_ours = words.contains("denied by policy")
        || state == "0A000"
        || (state == "42501" && !words.contains("permission denied"));
    is_ours.then(|| format!("{state} {words}"))
}

/// A value for a parameter of this type, in text format; NULL for any other.
const fn value(type_oid: u32) -> Option<&'static str> {
    match type_oid {
        16 => Some("true"),
        20 | 21 | 23 | 26 | 700 | 701 | 1700 => Some("1"),
        25 | 1043 => Some("a"),
        1005 | 1007 | 1016 | 1231 => Some("{1,2}"),
        1009 | 1015 => Some("{a}"),
        1082 | 1114 | 1184 => Some("2026-01-02"),
        _ => None,
    }
}

/// Bind and Execute of what was parsed and described.
fn run(raw: &mut Raw, described: &[Message]) -> Vec<Message> {
    let types = described
        .iter()
        .find(|message| message.tag == b't')
        .unwrap();
    let types: Vec<u32> = types.body[2..]
        .chunks_exact(4)
        .map(|oid| u32::from_be_bytes(oid.try_into().unwrap()))
        .collect();
    let mut body = vec![0, 0, 0, 0];
    body.extend_from_slice(&u16::try_from(types.len()).unwrap().to_be_bytes());
    for oid in types {
        match value(oid) {
            None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(text) => {
                body.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
                body.extend_from_slice(text.as_bytes());
            }
        }
    }
    body.extend_from_slice(&[0, 0]);
    raw.write(&[message(b'B', &body), execute("", 0), sync()].concat());
    raw.read_until_ready()
}

fn ask(raw: &mut Raw, entry: &Entry) -> Vec<Message> {
    let sql = entry.sql.trim_end();
    let first = sql
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_uppercase();
    let word = first.trim_end_matches(';');
    let several = sql.trim_end_matches(';').contains(';');
    if entry.is_simple && (RUN.contains(&word) || several || word == "SELECT") {
        return raw.query(sql);
    }
    let mut body = format!("\0{sql}\0").into_bytes();
    body.extend_from_slice(
        &u16::try_from(entry.parameter_types.len())
            .unwrap()
            .to_be_bytes(),
    );
    for oid in &entry.parameter_types {
        body.extend_from_slice(&oid.to_be_bytes());
    }
    raw.write(&[message(b'P', &body), describe('S', ""), sync()].concat());
    let mut messages = raw.read_until_ready();
    if word == "SELECT" && messages.iter().all(|message| message.tag != b'E') {
        let ran = run(raw, &messages);
        messages.extend(ran);
    }
    messages
}

/// Which masked values arrived.
fn canaries(messages: &[Message]) -> BTreeSet<&'static [u8]> {
    let bytes: Vec<u8> = messages
        .iter()
        .flat_map(|message| message.body.clone())
        .collect();
    let arrived = |canary: &&&[u8]| bytes.windows(canary.len()).any(|window| window == **canary);
    CANARIES.iter().filter(arrived).copied().collect()
}

/// What became of a client's traffic.
#[derive(Default)]
struct Outcome {
    allowed: usize,
    /// By reason.
    refused: BTreeMap<String, BTreeSet<String>>,
    /// Statements whose answers held a masked column's value.
    unmasked: Vec<String>,
}

fn replay(house: &House, person: Person, client: &str) -> Outcome {
    let mut raw = Raw::on_target(house, person, client);
    let mut outcome = Outcome::default();
    for entry in entries(client) {
        let messages = ask(&mut raw, &entry);
        // Each statement is asked by itself: an error before it must not speak for it.
        if messages.last().is_some_and(|ready| ready.body == b"E") {
            raw.query("ROLLBACK");
        }
        let words: Vec<&str> = entry.sql.split_whitespace().collect();
        let short: String = words.join(" ").chars().take(160).collect();
        if !canaries(&messages).is_empty() {
            outcome.unmasked.push(entry.sql.clone());
        }
        match refusal(&messages) {
            None => outcome.allowed += 1,
            Some(reason) => drop(outcome.refused.entry(reason).or_default().insert(short)),
        }
    }
    outcome
}

#[test]
fn what_real_clients_ask_is_allowed_or_refused_for_a_known_reason() {
    let house = house();
    let mut told = String::from(
        "# What captured traffic is refused, by client and principal, with the reason. Written by tests/e2e/traffic.rs.\n",
    );
    for client in CLIENTS {
        for (person, name) in [(Person::Dba, "application"), (Person::Agent, "agent")] {
            let Outcome {
                allowed,
                refused,
                unmasked,
            } = replay(&house, person, client);
            let has_rows = folder().join(format!("rows/{client}.sql")).exists();
            if person == Person::Agent {
                assert!(
                    unmasked.is_empty(),
                    "{client}: raw values arrived: {unmasked:#?}"
                );
            } else {
                assert!(
                    !has_rows || !unmasked.is_empty(),
                    "{client}: no row of it has a masked value"
                );
            }
            let count: usize = refused.values().map(BTreeSet::len).sum();
            let _ = writeln!(
                told,
                "\n== {client} as {name}: {allowed} allowed, {count} refused"
            );
            for (reason, statements) in refused {
                let _ = writeln!(told, "{} x {reason}", statements.len());
                for statement in statements {
                    let _ = writeln!(told, "    {client}/{name}: {statement}");
                }
            }
        }
    }
    let path = folder().join("refused.txt");
    if std::env::var_os("PROVOST_TRAFFIC_UPDATE").is_some() {
        fs::write(&path, &told).unwrap();
        return;
    }
    let known = fs::read_to_string(path).unwrap();
    let known: BTreeSet<&str> = known
        .lines()
        .filter(|line| line.starts_with("    "))
        .collect();
    let found: BTreeSet<&str> = told
        .lines()
        .filter(|line| line.starts_with("    "))
        .collect();
    let new: Vec<&&str> = found.difference(&known).collect();
    assert!(
        new.is_empty(),
        "refused, and not in refused.txt: {new:#?}\n{told}"
    );
    let gone: Vec<&&str> = known.difference(&found).collect();
    if !gone.is_empty() {
        eprintln!(
            "allowed now (PROVOST_TRAFFIC_UPDATE=1 takes them out of refused.txt): {gone:#?}"
        );
    }
}

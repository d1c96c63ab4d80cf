//! `record results`: rows are kept as clients got them, whatever happens, and verify.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    obligations::{errors, house, statements, values},
    support::{
        House, Person, TARGET, canary, files_below, python,
        raw::{Message, Raw, bind, execute, message, parse, sync, tags},
        run_with_input, succeeded,
    },
};

const KEEP: &str = "rule keep-rows
  record results for agents";

/// Rows of the store's recorded results, by DuckDB's neighbour pyarrow, which knows nothing of us: each a list of values.
const READ: &str = "
import base64, json, sys
import pyarrow.parquet as pq
def plain(value):
    return {'base64': base64.b64encode(value).decode()} if isinstance(value, bytes) else value
for path in sys.argv[1:]:
    for row in zip(*[column.to_pylist() for column in pq.ParquetFile(path).read().columns]):
        print(json.dumps([plain(value) for value in row]))
";

/// Rows as psycopg got them, in text and in binary form, without a value turned into anything: each a list of values.
const ASK: &str = "
import base64, json, os
import psycopg
with psycopg.connect(autocommit=True) as connection:
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            cursor.execute(os.environ['ASKED'].replace('FORM', 'binary' if binary else 'text'))
            result = cursor.pgresult
            def plain(row, column):
                value = result.get_value(row, column)
                if value is None:
                    return None
                return {'base64': base64.b64encode(value).decode()} if binary else value.decode()
            for row in range(result.ntuples):
                print(json.dumps([plain(row, column) for column in range(result.nfields)]))
";

/// What is recorded of a statement, in its parts' order.
fn read(house: &House, recorded: &[serde_json::Map<String, Value>]) -> Vec<Value> {
    let mut command = Command::new(python());
    command.args(["-c", READ]);
    for part in recorded {
        let key = part["result"].as_str().unwrap();
        command.arg(house.evidence_path().join(key));
    }
    let lines = succeeded(command.output().unwrap());
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The rows of `recordings` with the results of statements like this.
fn recorded(house: &House, sql: &str) -> Vec<serde_json::Map<String, Value>> {
    house.query(&format!(
        "SELECT r.*, s.outcome, s.result_digest AS statement_digest FROM recordings r JOIN statements s USING (statement_id) \
         WHERE r.event = 'answered' AND s.sql LIKE '{sql}' AND s.phase <> 'prepare' ORDER BY s.seq, r.part"
    ))
}

/// A house that records agents' rows, with more said of its evidence.
fn house_by(settings: &str) -> House {
    let mut house = House::without_gateway();
    fs::write(house.path("policies/more.pol"), KEEP).unwrap();
    house.write_config(|config| config.replace("[evidence]", &format!("[evidence]\n{settings}")));
    house.start_gateway();
    house
}

/// BLAKE3 of the rows, hex.
fn digest(messages: &[Message]) -> String {
    let mut digest = blake3::Hasher::new();
    let rows = messages.iter().filter(|row| b"Dd".contains(&row.tag));
    rows.for_each(|row| {
        digest.update(&message(row.tag, &row.body));
    });
    digest.finalize().to_hex().to_string()
}

#[test]
fn rows_are_recorded_as_clients_got_them() {
    let mut house = house(KEEP);
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let simple = raw.query("SELECT id, ssn, NULL AS nothing FROM customers ORDER BY id");
    assert_eq!(values(&simple)[1], "*******0001");
    raw.write(
        &[
            parse("s", "SELECT id FROM orders ORDER BY id"),
            bind("p", "s", 1),
            execute("p", 3),
            execute("p", 0),
            sync(),
        ]
        .concat(),
    );
    let binary = raw.read_until_ready();
    assert_eq!(
        tags(&binary),
        "12DDDsDCZ",
        "the client did not ask for a description"
    );
    let copied = raw.query("COPY (SELECT id, ssn FROM customers ORDER BY id) TO STDOUT");
    raw.query("SELECT id FROM orders WHERE id = 99");
    raw.query("INSERT INTO scratch VALUES (1, 'x')");
    raw.query("DROP TABLE orders");
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    raw.query("SELECT id, ssn FROM customers WHERE id = 1");
    drop(raw);
    // Verification makes the messages again, and compares their digest.
    statements(&mut house, "true");

    let rows = recorded(&house, "SELECT id, ssn, NULL%");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["result_digest"], digest(&simple).as_str());
    assert_eq!(rows[0]["statement_digest"], rows[0]["result_digest"]);
    assert_eq!(rows[0]["is_whole"], true);
    let kept = read(&house, &rows);
    assert_eq!(kept[0], serde_json::json!(["1", "*******0001", null]));
    assert_eq!(kept.len(), 3);

    let rows = recorded(&house, "SELECT id FROM orders ORDER BY id");
    assert_eq!(
        rows.len(),
        1,
        "a portal that went on is one result: {rows:?}"
    );
    let kept = read(&house, &rows);
    assert_eq!(kept.len(), 4);
    assert_eq!(kept[0], serde_json::json!([{"base64": "AAAAAQ=="}]));

    let rows = recorded(&house, "COPY %");
    assert_eq!(rows[0]["result_digest"], digest(&copied).as_str());
    let kept = read(&house, &rows);
    assert_eq!(kept.len(), 3, "{kept:?}");

    let rows = recorded(&house, "SELECT id FROM orders WHERE id = %");
    assert_eq!((rows.len(), rows[0]["rows"].as_u64()), (1, Some(0)));
    assert_eq!(recorded(&house, "INSERT%").len(), 0, "no rows, no result");
    assert_eq!(recorded(&house, "DROP%").len(), 0);
    let all = house.count("SELECT count(*) FROM recordings WHERE event = 'answered'");
    assert_eq!(all, 4, "nobody else's is recorded");
    assert!(files_below(&house.path("log/results")).is_empty());
}

#[test]
fn a_masked_result_is_recorded_as_psycopg_saw_it() {
    let mut house = house(KEEP);
    let sql = "SELECT id, name, ssn, email, phone, balance, NULL AS nothing FROM customers AS in_FORM ORDER BY id";
    let mut command = Command::new(python());
    command.arg("-").env("ASKED", sql);
    let token = house.token(Person::Agent);
    house.client_environment(&mut command, Person::Agent.id(), &token, TARGET);
    let seen = succeeded(run_with_input(command, ASK));
    let seen: Vec<Value> = seen
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(seen.len(), 6, "{seen:?}");
    statements(&mut house, "true");
    for (form, seen) in ["text", "binary"].into_iter().zip(seen.chunks(3)) {
        let rows = recorded(&house, &format!("SELECT id, name%in_{form}%"));
        assert_eq!((rows.len(), &rows[0]["is_whole"]), (1, &Value::Bool(true)));
        let kept = read(&house, &rows);
        assert_eq!(kept, seen, "{form}");
        canary::assert_none(form, format!("{kept:?}").as_bytes());
    }
    assert_eq!(seen[0][2], "*******0001", "masked: {seen:?}");
    assert_eq!(seen[3][2]["base64"], "KioqKioqKjAwMDE=", "masked: {seen:?}");
}

#[test]
fn what_a_killed_gateway_had_shown_is_recorded_and_said_to_be_cut_short() {
    let mut house = house(KEEP);
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let sql = "SELECT g, repeat('x', 1000) FROM generate_series(1, 1000000) g";
    raw.send(b'Q', &[sql.as_bytes(), b"\0"].concat());
    assert_eq!(raw.read().tag, b'T');
    for _ in 0..20_000 {
        assert_eq!(raw.read().tag, b'D');
    }
    house.kill_gateway();
    let mut shown = 20_000;
    while raw.try_read().is_ok_and(|message| message.tag == b'D') {
        shown += 1;
    }
    house.start_gateway();
    house.wait_for_log(&["ready"], 2);
    let rows = statements(&mut house, "sql LIKE 'SELECT g, repeat%'");
    assert_eq!(rows[0]["outcome"], "unknown", "{rows:?}");
    let parts = recorded(&house, "SELECT g, repeat%");
    assert!(parts.len() > 1, "{parts:?}");
    assert!(parts.iter().all(|part| part["is_whole"] == false));
    let kept = read(&house, &parts);
    assert!(kept.len() >= shown, "{} kept, {shown} shown", kept.len());
    for (row, number) in kept.iter().zip(1..) {
        assert_eq!(row[0].as_str(), Some(number.to_string().as_str()));
    }
}

#[test]
fn a_million_rows_are_recorded_in_little_memory() {
    let mut house = house_by("seal_interval_ms = 1000");
    // What a tenth of it needs is what all of it needs: parts of one size, one after the other.
    read_rows(&house, 100_000);
    let before = house.gateway_memory_kib();
    let rows = 1_000_000;
    read_rows(&house, rows);
    if let (Some(before), Some(after)) = (before, house.gateway_memory_kib()) {
        let grown = after.saturating_sub(before);
        println!("1,000,000 rows: the gateway's memory grew by {grown} KiB to {after} KiB");
        assert!(grown < 96 * 1024, "{grown} KiB to {after} KiB");
    }
    statements(&mut house, "true");
    let parts = recorded(&house, "SELECT g, repeat%1000000%");
    let kept: u64 = parts
        .iter()
        .map(|part| part["rows"].as_u64().unwrap())
        .sum();
    assert_eq!(kept, rows);
    assert!(parts.iter().all(|part| part["is_whole"] == true));
}

/// Reads so many rows of some 200 bytes, and waits until they are published.
fn read_rows(house: &House, rows: u64) {
    let (mut raw, _) = Raw::logged_in(house, Person::Agent);
    let sql = format!("SELECT g, repeat('x', 200) FROM generate_series(1, {rows}) g");
    raw.send(b'Q', &[sql.as_bytes(), b"\0"].concat());
    let mut read = 0;
    loop {
        match raw.read().tag {
            b'D' => read += 1,
            b'Z' => break,
            _ => {}
        }
    }
    assert_eq!(read, rows);
    drop(raw);
    let deadline = Instant::now() + Duration::from_secs(240);
    while !files_below(&house.path("log/results")).is_empty() {
        assert!(Instant::now() < deadline, "{}", house.gateway_log());
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_result_ends_where_its_rows_can_t_be_recorded() {
    let mut house = house_by("log_bytes_max = 33554432\nlog_bytes_warn = 33554432");
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let messages = raw.query("SELECT g, repeat('x', 1000) FROM generate_series(1, 100000) g");
    assert_eq!(
        errors(&messages),
        ["53100 the result can't be recorded, as a rule asks"]
    );
    let shown = messages.iter().filter(|one| one.tag == b'D').count();
    let messages = raw.query("INSERT INTO scratch VALUES (1, 'on')");
    assert_eq!(
        tags(&messages),
        "CZ",
        "the session lives, and so do decisions"
    );
    let rows = statements(&mut house, "outcome = 'cut'");
    assert_eq!(rows[0]["sqlstate"], "53100");
    let parts = recorded(&house, "SELECT g, repeat%");
    let kept: u64 = parts
        .iter()
        .map(|part| part["rows"].as_u64().unwrap())
        .sum();
    assert_eq!(kept, shown as u64, "what was shown, and no more");
    assert!(parts.iter().all(|part| part["is_whole"] == true));
}

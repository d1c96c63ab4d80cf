//! No raw value of a masked column arrives, in any byte: formats, portals, errors. The shapes of SQL are the corpus's.

use tokio_postgres::types::Type;

use crate::support::{
    House, Person, canary,
    raw::{Message, Raw, bind, describe, execute, message, parse, sqlstate, sync, tags},
};

fn assert_no_canary(context: &str, messages: &[Message]) {
    let bytes: Vec<u8> = messages
        .iter()
        .flat_map(|message| message.body.clone())
        .collect();
    canary::assert_none(context, &bytes);
}

fn row_texts(messages: &[Message]) -> Vec<Vec<String>> {
    messages
        .iter()
        .filter(|message| message.tag == b'D')
        .map(|message| {
            let values = message.values();
            values
                .into_iter()
                .map(|value| {
                    value.map_or("NULL".to_owned(), |value| {
                        String::from_utf8_lossy(&value).into_owned()
                    })
                })
                .collect()
        })
        .collect()
}

#[test]
fn masks_read_as_the_rules_say() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let messages = raw.query("SELECT id, email, ssn, phone FROM customers ORDER BY id");
    assert_eq!(
        row_texts(&messages),
        [
            ["1", "***@example.org", "*******0001", "[redacted]"],
            ["2", "***@example.com", "*******0002", "[redacted]"],
            ["3", "***@example.net", "*******0003", "NULL"],
        ]
    );
    assert_no_canary("direct columns", &messages);
    // The same for who is not masked: nothing is touched.
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    let rows = row_texts(&raw.query("SELECT email, ssn, phone FROM customers WHERE id = 1"));
    assert_eq!(
        rows,
        [["canaryada@example.org", "901-77-0001", "+1-555-7001"]]
    );
}

#[test]
fn every_format_is_masked() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    for format in [0, 1] {
        let bytes = [
            parse("", "SELECT ssn, id, email FROM customers"),
            bind("", "", format),
            describe('P', ""),
            execute("", 0),
            sync(),
        ]
        .concat();
        raw.write(&bytes);
        let messages = raw.read_until_ready();
        assert_eq!(tags(&messages), "12TDDDCZ", "format {format}");
        assert_eq!(row_texts(&messages)[0][0], "*******0001", "format {format}");
        assert_no_canary("formats", &messages);
    }
    // A format code per column.
    let mut body = b"\0\0".to_vec();
    body.extend_from_slice(&[0, 0, 0, 0, 0, 3, 0, 1, 0, 0, 0, 1]);
    raw.write(
        &[
            parse("", "SELECT ssn, id, email FROM customers"),
            message(b'B', &body),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let messages = raw.read_until_ready();
    assert_eq!(tags(&messages), "12DDDCZ");
    assert_eq!(
        row_texts(&messages)[1],
        ["*******0002", "2", "***@example.com"]
    );
    assert_no_canary("mixed formats", &messages);
}

#[test]
fn portals_are_masked_however_they_are_run() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.write(&[message(b'Q', b"BEGIN\0"), Vec::new()].concat());
    raw.read_until_ready();
    // Suspended by a row limit, resumed without another Describe, then beyond its end.
    raw.write(
        &[
            parse("s", "SELECT ssn FROM customers ORDER BY id"),
            bind("p", "s", 0),
            execute("p", 1),
            sync(),
        ]
        .concat(),
    );
    let first = raw.read_until_ready();
    assert_eq!(tags(&first), "12DsZ");
    raw.write(&[execute("p", 1), execute("p", 0), sync()].concat());
    let rest = raw.read_until_ready();
    assert_eq!(tags(&rest), "DsDCZ");
    for messages in [&first, &rest] {
        assert_no_canary("suspended portal", messages);
    }
    // The prepared statement again, after another one took its place under the same portal name.
    raw.write(
        &[
            parse("t", "SELECT name FROM customers WHERE id = 1"),
            bind("q", "t", 0),
            execute("q", 0),
            message(b'C', b"Pq\0"),
            bind("q", "s", 1),
            execute("q", 0),
            sync(),
        ]
        .concat(),
    );
    let messages = raw.read_until_ready();
    assert_eq!(tags(&messages), "12DC32DDDCZ");
    assert_eq!(row_texts(&messages)[0], ["Ada"]);
    assert_no_canary("portal name reused", &messages);
}

#[test]
fn fetching_from_a_protocol_portal_by_sql_gives_nothing_raw() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.query("BEGIN");
    raw.write(
        &[
            parse("s", "SELECT ssn FROM customers ORDER BY id"),
            bind("p", "s", 0),
            sync(),
        ]
        .concat(),
    );
    raw.read_until_ready();
    assert_no_canary("FETCH from a portal", &raw.query("FETCH ALL FROM p"));
    raw.query("ROLLBACK");
    assert_no_canary("EXECUTE of a protocol statement", &raw.query("EXECUTE s"));
}

#[test]
fn errors_of_the_server_carry_no_value() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    // PostgreSQL's DETAIL would print the whole failing row.
    let messages = raw.query("UPDATE customers SET name = NULL WHERE id = 1");
    assert_eq!(sqlstate(&messages).as_deref(), Some("23502"));
    let error = messages.iter().find(|message| message.tag == b'E').unwrap();
    assert_no_canary("not-null violation", &messages);
    assert_eq!(
        error.field(b'c').as_deref(),
        Some("name"),
        "the column is told: it is no value"
    );
    assert_eq!(error.field(b't').as_deref(), Some("customers"));
    let messages = raw.query("SELECT name::integer FROM customers");
    let bytes: Vec<u8> = messages
        .iter()
        .flat_map(|message| message.body.clone())
        .collect();
    assert!(
        !bytes.windows(3).any(|window| window == b"Ada"),
        "a bad cast prints a value: {messages:?}"
    );
}

#[tokio::test]
async fn parameters_do_not_open_a_way() {
    let house = House::new();
    let connected = house.connect(Person::Agent).await;
    let client = &connected.client;
    for sql in [
        "SELECT id FROM customers WHERE ssn = $1",
        "SELECT ssn = $1 FROM customers",
        "SELECT id FROM customers WHERE email LIKE $1",
    ] {
        match client.prepare_typed(sql, &[Type::TEXT]).await {
            Err(error) => assert_eq!(error.code().unwrap().code(), "42501", "{sql}"),
            Ok(prepared) => {
                let rows = client.query(&prepared, &[&"901-77-0001"]).await;
                let told = rows.is_ok_and(|rows| {
                    rows.iter().any(|row| {
                        row.try_get::<_, Option<bool>>(0)
                            .is_ok_and(|value| value.is_some())
                    })
                });
                assert!(!told, "{sql}");
            }
        }
    }
    let row = client
        .query_one("SELECT ssn, email FROM customers WHERE id = $1", &[&1_i32])
        .await
        .unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, &str>(1)),
        ("*******0001", "***@example.org")
    );
    canary::assert_none("parameters", &connected.received.bytes());
}

#[test]
fn logs_and_evidence_hold_no_raw_value() {
    let mut house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.query("SELECT ssn, email FROM customers");
    raw.query("SELECT id FROM customers WHERE ssn = '901-77-0001'");
    raw.query("UPDATE customers SET name = NULL WHERE id = 1");
    raw.query("INSERT INTO customers (id, name, ssn) VALUES (9, 'New', '903-79-0003')");
    drop(raw);
    house.stop_gateway();
    canary::assert_none("the gateway's own log", house.gateway_log().as_bytes());
    for folder in ["log", "evidence"] {
        for file in crate::support::files_below(&house.path(folder)) {
            canary::assert_none(&file.display().to_string(), &std::fs::read(&file).unwrap());
        }
    }
    for row in house.query("SELECT * FROM statements") {
        canary::assert_none(
            "statements",
            serde_json::to_string(&row).unwrap().as_bytes(),
        );
    }
}

//! Obligations of allowed statements: limits, recording by digest, keys of masks, what observing rules would have done.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};

use crate::support::{
    House, Person,
    raw::{
        Message, Raw, bind, bind_texts, describe, execute, message, parse, sqlstate, sync, tags,
    },
};

/// Longer than any time limit here, and shorter than any statement that one must end.
const SOON: Duration = Duration::from_secs(20);

/// A house whose policy has `rules` too.
pub(crate) fn house(rules: &str) -> House {
    let mut house = House::without_gateway();
    fs::write(house.path("policies/more.pol"), rules).unwrap();
    house.start_gateway();
    house
}

pub(crate) fn errors(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .filter(|message| message.tag == b'E')
        .map(|message| {
            let field = |code| message.field(code).unwrap_or_default();
            format!("{} {}", field(b'C'), field(b'M'))
        })
        .collect()
}

pub(crate) fn values(messages: &[Message]) -> Vec<String> {
    let rows = messages.iter().filter(|message| message.tag == b'D');
    rows.flat_map(Message::values)
        .map(|value| String::from_utf8(value.unwrap_or_default()).unwrap())
        .collect()
}

fn text<'a>(row: &'a Map<String, Value>, column: &str) -> Option<&'a str> {
    row.get(column)?.as_str()
}

/// The statements' rows of evidence, after the gateway stopped and all of it verified.
pub(crate) fn statements(house: &mut House, condition: &str) -> Vec<Map<String, Value>> {
    house.stop_gateway();
    let verified = house.verify();
    assert!(verified.status.success(), "{verified:?}");
    house.query(&format!(
        "SELECT * FROM statements WHERE {condition} ORDER BY log_index"
    ))
}

#[test]
fn rows_and_bytes_of_a_statement_are_limited() {
    let mut house = house(
        "rule few
           limit rows 2 per statement, bytes 100 B per statement for agents",
    );
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let over = "54000 the result is limited to 2 rows by policy";
    let messages = raw.query("SELECT id FROM orders ORDER BY id");
    assert_eq!(tags(&messages), "TDDEZ");
    assert_eq!(errors(&messages), [over]);
    let messages = raw.query("SELECT id FROM orders WHERE id < 3");
    assert_eq!(tags(&messages), "TDDCZ", "as many as are allowed");
    // In parts, by one Execute after the other.
    raw.query("BEGIN");
    raw.write(
        &[
            parse("s", "SELECT id FROM orders"),
            bind("p", "s", 0),
            sync(),
        ]
        .concat(),
    );
    raw.read_until_ready();
    let mut rows = 0;
    for _ in 0..4 {
        raw.write(&[execute("p", 1), sync()].concat());
        let messages = raw.read_until_ready();
        rows += values(&messages).len();
        if sqlstate(&messages).is_some() {
            break;
        }
    }
    assert_eq!(rows, 2);
    raw.query("ROLLBACK");
    let messages = raw.query("COPY (SELECT id FROM orders) TO STDOUT");
    assert_eq!(
        errors(&messages),
        ["54000 the result is limited to 2 rows by policy"],
        "rows of a COPY are rows"
    );
    let messages = raw.query("SELECT repeat('x', 200)");
    assert_eq!(tags(&messages), "TEZ");
    assert_eq!(
        errors(&messages),
        ["54000 the result is limited to 100 bytes by policy"]
    );
    // Nobody else is limited.
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    let messages = raw.query("SELECT id FROM orders");
    assert_eq!(values(&messages).len(), 4);

    let cut = statements(&mut house, "outcome = 'cut'");
    let told: Vec<_> = cut
        .iter()
        .map(|row| (row["rows"].as_u64(), row["sqlstate"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(2), Some("54000")),
            (Some(2), Some("54000")),
            (Some(2), Some("54000")),
            (Some(0), Some("54000"))
        ]
    );
    assert!(cut[0]["rules"].to_string().contains("few"), "{:?}", cut[0]);
}

#[test]
fn time_is_limited_by_cancelling_at_the_server() {
    let mut house = house(
        "rule anything
           allow opaque for dbas
         rule quick
           limit time 300 ms for dbas",
    );
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    let start = Instant::now();
    let messages = raw.query("SELECT pg_sleep(60)");
    assert_eq!(
        errors(&messages),
        ["57014 the statement's time is limited to 300 ms by policy"]
    );
    assert!(start.elapsed() < SOON);
    let messages = raw.query(
        "UPDATE scratch SET body = 'late'; INSERT INTO scratch SELECT 1, 'late' FROM pg_sleep(60)",
    );
    assert_eq!(sqlstate(&messages).as_deref(), Some("57014"));
    let messages = raw.query("SELECT count(*) FROM scratch WHERE body = 'late'");
    assert_eq!(values(&messages), ["0"], "nothing of it was committed");
    // By the extended protocol, with a statement behind it that is skipped, and a transaction that fails.
    raw.query("BEGIN");
    raw.write(
        &[
            parse("", "SELECT pg_sleep(60)"),
            bind("", "", 0),
            execute("", 0),
            parse("", "INSERT INTO scratch VALUES (2, 'behind')"),
            bind("", "", 0),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let messages = raw.read_until_ready();
    assert_eq!(tags(&messages), "12EZ");
    assert_eq!(messages.last().unwrap().body, b"E");
    raw.query("ROLLBACK");
    let messages = raw.query("SELECT count(*) FROM scratch");
    assert_eq!(values(&messages), ["0"], "the session goes on");
    assert!(start.elapsed() < SOON);
    // A client that sends none of its COPY's data: the server would not hear a cancel.
    let start = Instant::now();
    let messages = raw.query("COPY scratch FROM STDIN");
    assert_eq!(tags(&messages), "GEZ");
    assert_eq!(sqlstate(&messages).as_deref(), Some("57014"));
    assert!(start.elapsed() < Duration::from_secs(4), "within the grace");
    let messages = raw.query("SELECT 'on'");
    assert_eq!(values(&messages), ["on"]);

    let cut = statements(&mut house, "outcome = 'cut' AND sqlstate = '57014'");
    assert_eq!(cut.len(), 4, "{cut:?}");
}

#[test]
fn results_are_recorded_by_digest() {
    let mut house = house(
        "rule keep-digests
           record digest for agents",
    );
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let messages = raw.query("SELECT id, ssn FROM customers ORDER BY id");
    assert_eq!(values(&messages)[1], "*******0001");
    raw.query("SELECT id FROM customers WHERE id = 99");
    let mut digest = blake3::Hasher::new();
    for row in messages.iter().filter(|row| row.tag == b'D') {
        digest.update(&message(row.tag, &row.body));
    }
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    raw.query("SELECT id FROM orders");

    let rows = statements(&mut house, "kind = 'select' AND outcome = 'completed'");
    let digests: Vec<_> = rows.iter().map(|row| text(row, "result_digest")).collect();
    let (seen, empty) = (digest.finalize().to_hex(), blake3::hash(b"").to_hex());
    assert_eq!(digests, [Some(seen.as_str()), Some(empty.as_str()), None]);
}

const KEYED: &str = "rule keyed
  mask pii for agents
  with ssn: tokenize, email: hash, phone: redact";

fn keyed(configuration: &str, secret: Option<&str>) -> House {
    let mut house = House::without_gateway();
    let policy = fs::read_to_string(house.path("policies/shop.pol")).unwrap();
    // The agents' mask is the keyed one alone: joined with another it would redact.
    let policy = policy.replace(
        "mask pii for anyone except privacy",
        "mask pii for analysts",
    );
    fs::write(house.path("policies/shop.pol"), policy).unwrap();
    fs::write(house.path("policies/more.pol"), KEYED).unwrap();
    house.write_config(|config| config + configuration);
    house
        .environment
        .extend(secret.map(|secret| ("MASK_KEY".to_owned(), secret.to_owned())));
    house.start_gateway();
    house
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn keyed_masks_work_with_the_configured_key_and_evidence_names_it() {
    let masked = |id: &str, secret: &str| {
        let configuration = format!(
            "
[masks]
key = \"env:MASK_KEY\"
key_id = \"{id}\"
"
        );
        let mut house = keyed(&configuration, Some(secret));
        let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
        let sql = "SELECT ssn, email FROM customers ORDER BY id";
        let found = values(&raw.query(sql));
        assert_eq!(values(&raw.query(sql)), found, "the same every time");
        house.stop_gateway();
        let rows =
            house.query("SELECT DISTINCT transform, key_id FROM maskings ORDER BY transform");
        let rows: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {}", row["transform"], row["key_id"]).replace('"', ""))
            .collect();
        assert_eq!(rows, [format!("hash {id}"), format!("tokenize {id}")]);
        found
    };
    let first = masked("masks-1", SECRET);
    assert_eq!(first.len(), 6);
    for (token, hidden) in
        first
            .iter()
            .step_by(2)
            .zip(["901-77-0001", "902-78-0002", "903-79-0003"])
    {
        assert_ne!(token, hidden);
        let shape: String = token
            .chars()
            .map(|letter| if letter.is_ascii_digit() { '9' } else { letter })
            .collect();
        assert_eq!(shape, "999-99-9999", "a token looks like its value");
    }
    assert!(!first.concat().contains('@'), "{first:?}");
    let again = masked("masks-2", SECRET);
    assert_eq!(again, first, "equal secrets join, whatever they are called");
    let rotated = masked("masks-3", "another secret of thirty-two bytes or more");
    assert!(rotated.iter().zip(&first).all(|(new, old)| new != old));
}

#[test]
fn keyed_masks_without_a_key_are_refused_and_a_short_key_starts_nothing() {
    let house = keyed("", None);
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let messages = raw.query("SELECT ssn FROM customers");
    let error = messages.iter().find(|message| message.tag == b'E').unwrap();
    assert_eq!(
        error.field(b'M').unwrap(),
        "denied by policy: a mask needs a key, and this gateway has none"
    );
    assert!(error.field(b'H').unwrap().contains("`[masks] key`"));
    assert_eq!(tags(&raw.query("SELECT phone FROM customers")), "TDDDCZ");

    let house = House::without_gateway();
    house.write_config(|config| config + "\n[masks]\nkey = \"env:MASK_KEY\"\nkey_id = \"m\"\n");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_provost"))
        .args(["serve", "--config"])
        .arg(house.config_path())
        .env("MASK_KEY", "short")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("`masks.key`: the secret of masks has 5 bytes: it must have at least 32"),
        "{said}"
    );
    assert!(!said.contains("short"), "{said}");
}

#[test]
fn observing_rules_are_recorded_and_not_enforced() {
    let mut house = house(
        "rule watch
           observe
           deny read on public.orders for agents",
    );
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    assert_eq!(
        tags(&raw.query("SELECT id FROM orders WHERE id = 1")),
        "TDCZ"
    );
    raw.query("SELECT id FROM customers WHERE id = 1");
    let rows = statements(&mut house, "kind = 'select' AND principal = 'devin@corp'");
    let observed: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                text(row, "verdict"),
                text(row, "observed_verdict"),
                row.get("observed_rules")
                    .is_some_and(|rules| rules.to_string().contains("watch")),
            )
        })
        .collect();
    assert_eq!(
        observed,
        [
            (Some("allow"), Some("deny"), true),
            (Some("allow"), None, false)
        ]
    );
}

/// Two tenants' rows, which agents may read and change one at a time by their own tenant's id.
const TENANTS: &str = "rule own-tenant
       allow read, update on tenants.* for agents
       when bounded by tenant = principal.id
     rule no-scripts
       deny read on tenants.plans for agents
       when bounded by tenant = \"evil\"";

fn tenants(house: &House) {
    house
        .cluster
        .execute(
            "shop",
            "CREATE SCHEMA tenants;
             CREATE TABLE tenants.plans (id integer PRIMARY KEY, tenant text NOT NULL, plan text);
             INSERT INTO tenants.plans VALUES (1, 'devin@corp', 'gold'), (2, 'other', 'tin')",
        )
        .unwrap();
}

#[test]
fn a_verdict_that_hangs_on_values_is_made_at_bind() {
    let mut house = House::without_gateway();
    tenants(&house);
    fs::write(house.path("policies/more.pol"), TENANTS).unwrap();
    house.start_gateway();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let sql = "SELECT plan FROM tenants.plans WHERE tenant = $1";
    raw.write(&[parse("s", sql), describe('S', "s"), sync()].concat());
    let messages = raw.read_until_ready();
    assert_eq!(tags(&messages), "1tTZ", "{:?}", errors(&messages));
    let ask = |raw: &mut Raw, value: &str| {
        raw.write(&[bind_texts("", "s", &[value]), execute("", 0), sync()].concat());
        raw.read_until_ready()
    };
    for _ in 0..2 {
        let messages = ask(&mut raw, "devin@corp");
        assert_eq!(values(&messages), ["gold"], "{:?}", errors(&messages));
        let messages = ask(&mut raw, "other");
        assert_eq!(tags(&messages), "EZ");
        let message = &errors(&messages)[0];
        assert!(message.starts_with("42501 denied by policy: "), "{message}");
        assert!(message.contains("tenants.plans"), "{message}");
    }
    let messages = ask(&mut raw, "evil");
    let told = messages[0].field(b'D').unwrap();
    assert!(told.contains("rule no-scripts"), "{told}");
    // In one pipeline: the denied Bind fails what is behind it, up to the Sync, and the session goes on.
    raw.write(
        &[
            bind_texts("", "s", &["devin@corp"]),
            execute("", 0),
            bind_texts("", "s", &["other"]),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let messages = raw.read_until_ready();
    assert_eq!(tags(&messages), "2DCEZ");
    // Nothing is allowed by what values could never mend.
    let messages = raw.query("PREPARE other AS SELECT plan FROM tenants.plans");
    assert_eq!(sqlstate(&messages).as_deref(), Some("42501"));
    raw.write(
        &[
            parse("", "SELECT plan FROM tenants.plans WHERE id = $1"),
            sync(),
        ]
        .concat(),
    );
    let messages = raw.read_until_ready();
    assert_eq!(tags(&messages), "EZ", "the column is another one");
    // Values that do not fit are told in the server's words, which hold no value.
    raw.write(&[bind("", "s", 0), execute("", 0), sync()].concat());
    let messages = raw.read_until_ready();
    assert_eq!(
        sqlstate(&messages).as_deref(),
        Some("42501"),
        "unknown values deny"
    );

    let prepared = statements(
        &mut house,
        "phase = 'prepare' AND reason IS NOT NULL AND verdict = 'allow'",
    );
    assert_eq!(prepared.len(), 1);
    let reason = prepared[0]["reason"].as_str().unwrap();
    assert!(reason.contains("when they are bound"), "{reason}");
}

#[test]
fn a_policy_that_is_reloaded_holds_from_the_next_bind_on() {
    let mut house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.write(&[parse("s", "SELECT id FROM orders WHERE id = 1"), sync()].concat());
    assert_eq!(tags(&raw.read_until_ready()), "1Z");
    raw.query("BEGIN");
    raw.write(&[bind("p", "s", 0), sync()].concat());
    assert_eq!(tags(&raw.read_until_ready()), "2Z");
    fs::write(
        house.path("policies/more.pol"),
        "rule closed\n  deny read on public.orders for agents because \"closed for today\"",
    )
    .unwrap();
    house.signal_gateway("HUP");
    house.wait_for_log(&["a policy came into force"], 1);
    // The portal was bound before, and the statement parsed.
    raw.write(&[execute("p", 0), sync()].concat());
    let messages = raw.read_until_ready();
    assert_eq!(
        errors(&messages),
        ["42501 denied by policy: closed for today"]
    );
    raw.query("ROLLBACK");
    raw.write(&[bind("", "s", 0), execute("", 0), sync()].concat());
    let messages = raw.read_until_ready();
    assert_eq!(
        errors(&messages),
        ["42501 denied by policy: closed for today"]
    );
    let bound = statements(&mut house, "phase = 'execute'");
    let ends: Vec<_> = bound
        .iter()
        .map(|row| row["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(ends, ["skipped", "denied", "denied"]);
}

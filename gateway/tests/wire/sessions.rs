//! What befalls a session: cancel, expiry, a new policy, schema changes, a shutdown.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use provost_gateway::settings::ClientTls;

use crate::{
    house::{
        House, PATIENCE, allow_everything, cluster, deny_everything, mask_ssn, settings,
        settings_for, start_cluster, target, tokens,
    },
    raw::{
        Raw, ask, bind, cancel_request, execute, message, parse, query, run, startup, startup_of,
    },
};

const SHOP: [(&str, &str); 2] = [("user", "ann"), ("database", "shop")];

/// A logged-in session, and its BackendKeyData.
fn session(house: &House) -> (Raw, Vec<u8>) {
    let mut raw = Raw::log_in(house.address, &SHOP, &tokens().good("ann"));
    let key = raw.until(b'K');
    raw.until(b'Z');
    (raw, key)
}

fn cancel(house: &House, key: &[u8]) {
    Raw::connect(house.address)
        .send(&cancel_request(key))
        .closes();
}

#[test]
fn a_cancel_request_stops_the_statement_and_a_wrong_one_nothing() {
    let house = House::start(settings(ClientTls::Off));
    check_cancel(&house, session(&house));
    // Protocol 3.2: the key is longer.
    let startup = startup_of((3 << 16) | 2, b"user\0ann\0database\0shop\0\0");
    let mut raw = Raw::log_in_with(house.address, &startup, &tokens().good("ann"));
    let key = raw.until(b'K');
    assert_eq!(key.len(), 36);
    raw.until(b'Z');
    check_cancel(&house, (raw, key));
}

/// Only the very key cancels: not its beginning, not one with more behind it, not one with another last byte.
fn check_cancel(house: &House, (mut raw, key): (Raw, Vec<u8>)) {
    raw.send(&query("SELECT pg_sleep(20)"));
    thread::sleep(Duration::from_millis(200));
    let mut wrong = key.clone();
    *wrong.last_mut().unwrap() ^= 1;
    cancel(house, &wrong);
    cancel(house, &[0; 8]);
    cancel(house, &key[..7]);
    cancel(house, &key[..key.len() - 1]);
    cancel(house, &[&key[..], b"\0"].concat());
    raw.set_patience(Duration::from_millis(300));
    assert_eq!(raw.arrived(), 0, "a wrong key cancels nothing");
    raw.set_patience(PATIENCE);
    let answered = AtomicBool::new(false);
    let answer = thread::scope(|scope| {
        // The statement may not have reached the server yet: one request that comes too early does nothing.
        scope.spawn(|| {
            while !answered.load(Ordering::Relaxed) {
                cancel(house, &key);
                thread::sleep(Duration::from_millis(100));
            }
        });
        let answer = raw.answer();
        answered.store(true, Ordering::Relaxed);
        answer
    });
    assert!(answer.contains("57014"), "{answer}");
    assert_eq!(ask(&mut raw, "SELECT 1"), "1 I");
}

#[test]
fn the_next_statement_after_the_tokens_expiry_ends_the_session() {
    let house = House::start(settings(ClientTls::Off));
    let mut raw = Raw::log_in(
        house.address,
        &SHOP,
        &tokens().make("ann", crate::house::AUDIENCE, 2),
    );
    raw.until(b'Z');
    assert_eq!(ask(&mut raw, "SELECT 1"), "1 I");
    thread::sleep(Duration::from_millis(2100));
    let error = raw.send(&query("SELECT 1")).last_error();
    assert!(
        error.starts_with("28000 the token of this session expired"),
        "{error}"
    );
    let records = house.stop();
    assert!(
        records.contains("the token of this session expired"),
        "{records}"
    );
}

#[test]
fn a_new_policy_holds_from_the_next_statement() {
    let house = House::start(settings(ClientTls::Off));
    let (mut raw, _) = session(&house);
    assert_eq!(
        ask(&mut raw, "SELECT name FROM customers WHERE id = 1"),
        "name 1 I"
    );
    house.policy.swap(deny_everything("two"));
    let answer = ask(&mut raw, "SELECT name FROM customers WHERE id = 1");
    assert!(answer.contains("42501"), "{answer}");
    house.policy.swap(allow_everything("three"));
    assert_eq!(
        ask(&mut raw, "SELECT name FROM customers WHERE id = 1"),
        "name 1 I"
    );
    let records = house.stop();
    for bundle in ["one", "two", "three"] {
        assert!(
            records.contains(&format!("\"bundle_digest\":\"{bundle}\"")),
            "{bundle}: {records}"
        );
    }
}

/// A decision is logged before its statement runs, and a change has to be on disk by then: a policy that comes meanwhile decides anew.
#[test]
fn a_policy_that_comes_while_a_decision_is_logged_is_obeyed() {
    let house = House::start(settings(ClientTls::Off));
    let (mut raw, _) = session(&house);
    let sync = message(b'S', b"");
    let change = parse("change", "UPDATE customers SET name = name WHERE id = 1");
    raw.send(&[change, sync.clone()].concat()).until(b'Z');
    let bound = [bind("", "change", &[], 0), execute(""), sync].concat();
    let (allowed, denied) = (allow_everything("one"), deny_everything("two"));
    for round in 0..80 {
        house.policy.swap(Arc::clone(&allowed));
        for _ in 0..2 {
            assert_eq!(raw.send(&bound).answer(), "I");
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_micros(200 * (round % 20)));
                house.policy.swap(Arc::clone(&denied));
            });
            let answer = raw.send(&bound).answer();
            assert!(answer == "I" || answer.contains("42501"), "{answer}");
        });
    }
    let records = house.stop();
    assert!(
        records.contains(r#""outcome":"skipped""#),
        "no decision was overtaken: {records}"
    );
}

/// Where it comes in one piece and its decision stands; what it fails with at its Parse is the row's end.
#[test]
fn a_statement_that_is_prepared_and_run_at_once_is_one_row() {
    let house = House::start(settings(ClientTls::Off));
    let (mut raw, _) = session(&house);
    let at_once = |name| {
        let parsed = parse(name, "SELECT name FROM customers WHERE id = 1");
        [
            parsed,
            bind("", name, &[], 0),
            execute(""),
            message(b'S', b""),
        ]
        .concat()
    };
    for name in ["", "", "", "named"] {
        assert_eq!(raw.send(&at_once(name)).answer(), "name 1 I");
    }
    let answer = raw.send(&at_once("named")).answer();
    assert!(answer.contains("42P05"), "{answer}");
    // Its value can't be read: the server says so at its Bind.
    for is_new in [true, false] {
        let parsed = parse("", "SELECT name FROM customers WHERE id = $1");
        let bound = bind("", "", &["one"], 0);
        let answer = raw
            .send(&[parsed, bound, execute(""), message(b'S', b"")].concat())
            .answer();
        assert!(answer.contains("22P02"), "{is_new} {answer}");
    }
    let records = house.stop();
    let count = |part: &str| records.matches(part).count();
    // Three were new: a text, a name, another text.
    assert_eq!(count(r#""phase":"prepare""#), 3, "{records}");
    assert_eq!(count(r#""phase":"execute""#), 3, "{records}");
    assert_eq!(count(r#""phase":"prepare-execute""#), 4, "{records}");
    assert_eq!(count(r#""outcome":"completed""#), 7, "{records}");
    assert_eq!(count(r#""outcome":"failed""#), 3, "{records}");
    assert_eq!(count(r#""sqlstate":"42P05""#), 1, "{records}");
    assert_eq!(count(r#""sqlstate":"22P02""#), 2, "{records}");
}

#[test]
fn schema_changes_are_seen_by_whoever_can_see_them() {
    let house = House::start(settings(ClientTls::Off));
    let (mut raw, _) = session(&house);
    let (mut other, _) = session(&house);
    // By this session, by another, by somebody who is no client of the gateway.
    assert_eq!(ask(&mut raw, "CREATE TABLE fresh (a int)"), "I");
    assert_eq!(ask(&mut raw, "INSERT INTO fresh VALUES (1)"), "I");
    assert_eq!(ask(&mut other, "SELECT a FROM fresh"), "1 I");
    cluster()
        .execute("postgres", "CREATE TABLE fresher AS SELECT 2 AS b")
        .unwrap();
    assert_eq!(ask(&mut raw, "SELECT b FROM fresher"), "2 I");

    assert_eq!(ask(&mut raw, "BEGIN"), "T");
    assert_eq!(ask(&mut raw, "ALTER TABLE fresh RENAME COLUMN a TO c"), "T");
    assert_eq!(ask(&mut raw, "SELECT c FROM fresh"), "1 T");
    assert_eq!(ask(&mut raw, "ROLLBACK"), "I");
    assert_eq!(ask(&mut raw, "SELECT a FROM fresh"), "1 I");
    assert_eq!(
        ask(&mut raw, "BEGIN; ALTER TABLE fresh RENAME COLUMN a TO c"),
        "T"
    );
    let answer = ask(&mut raw, "SELECT a FROM fresh");
    assert!(answer.contains("42703"), "{answer}");
    assert_eq!(ask(&mut raw, "ROLLBACK"), "I");
    assert_eq!(
        ask(&mut raw, "BEGIN; ALTER TABLE fresh RENAME COLUMN a TO c"),
        "T"
    );
    assert_eq!(ask(&mut raw, "COMMIT"), "I");
    assert_eq!(ask(&mut raw, "SELECT c FROM fresh"), "1 I");
    let answer = ask(&mut raw, "DROP TABLE fresher; SELECT b FROM fresher");
    assert!(answer.contains("can't share its text"), "{answer}");
    assert_eq!(
        ask(&mut raw, "SELECT b FROM fresher"),
        "2 I",
        "nothing of a refused string runs"
    );
    assert_eq!(ask(&mut raw, "DROP TABLE fresher, fresh"), "I");
    cluster().execute("postgres", "SELECT 1").unwrap();
}

#[test]
fn one_refused_statement_refuses_the_string_and_all_are_recorded() {
    let house = House::start(settings(ClientTls::Off));
    let (mut raw, _) = session(&house);
    let answer = ask(&mut raw, "SELECT 1; SELECT nothing FROM nowhere; SELECT 3");
    assert!(answer.contains("42P01"), "{answer}");
    let answer = ask(&mut raw, "SELECT 1; SET ROLE postgres; SELECT 3");
    assert!(!answer.starts_with('1'), "{answer}");
    let (long, many) = (
        format!("SELECT '{}'", "x".repeat(2_000_000)),
        "SELECT 1;".repeat(2_000),
    );
    assert!(ask(&mut raw, &long).contains("54000"));
    assert!(ask(&mut raw, &many).contains("54000"));
    assert_eq!(ask(&mut raw, "SELECT 1"), "1 I");
    let records = house.stop();
    assert!(records.contains("\"outcome\":\"denied\""), "{records}");
}

#[test]
fn a_shutdown_lets_the_running_finish_and_tells_the_idle() {
    let mut slow = settings(ClientTls::Off);
    slow.shutdown_grace_ms = 5_000;
    let house = House::start(slow);
    let (mut idle, _) = session(&house);
    let (mut busy, _) = session(&house);
    busy.send(&query("SELECT pg_sleep(1)"));
    thread::sleep(Duration::from_millis(200));
    let mut stranger = Raw::connect(house.address);
    let mut undecided = Raw::connect(house.address);
    undecided.send(&startup(&SHOP)).message();
    let stopping = thread::spawn(move || house.stop());
    stranger.closes();
    undecided.closes();
    assert!(idle.last_error().starts_with("57P01"));
    assert_eq!(busy.answer(), " I");
    assert!(busy.last_error().starts_with("57P01"));
    let records = stopping.join().unwrap();
    assert_eq!(
        records.matches("\"event\":\"closed\"").count(),
        2,
        "{records}"
    );
    assert!(records.contains("\"what\":\"stop\""), "{records}");
}

#[test]
fn a_result_larger_than_every_buffer_arrives_whole_and_a_slow_reader_holds_up_nobody() {
    let house = House::start(settings(ClientTls::Off));
    let (mut slow, _) = session(&house);
    let (mut other, _) = session(&house);
    slow.send(&query(
        "SELECT repeat('x', 1000) FROM generate_series(1, 50000)",
    ));
    thread::sleep(Duration::from_millis(300));
    assert_eq!(ask(&mut other, "SELECT 1"), "1 I");
    assert_eq!(slow.answer_rows(), 50_000);
}

#[test]
fn idle_sessions_end_where_a_limit_is_set() {
    let mut settings = settings(ClientTls::Off);
    settings.limits.idle_timeout_ms = 300;
    let house = House::start(settings);
    let (mut raw, _) = session(&house);
    let (mut busy, _) = session(&house);
    let (mut open, _) = session(&house);
    assert_eq!(ask(&mut open, "BEGIN"), "T");
    // Longer than the limit, which counts from the answer on.
    assert_eq!(ask(&mut busy, "SELECT 1 FROM pg_sleep(0.8)"), "1 I");
    assert_eq!(ask(&mut busy, "SELECT 1"), "1 I");
    assert!(raw.last_error().starts_with("57P05"));
    assert!(busy.last_error().starts_with("57P05"));
    // In a transaction the other limit holds, and there is none.
    assert_eq!(ask(&mut open, "SELECT 1"), "1 T");
    assert_eq!(ask(&mut open, "COMMIT"), "I");
    assert!(open.last_error().starts_with("57P05"));
}

#[test]
fn transactions_that_are_idle_end_where_a_limit_is_set() {
    let mut settings = settings(ClientTls::Off);
    settings.limits.idle_in_transaction_timeout_ms = 300;
    let house = House::start(settings);
    let (mut at_rest, _) = session(&house);
    let (mut other, _) = session(&house);
    assert_eq!(ask(&mut other, "CREATE TABLE idle_locks (a int)"), "I");
    let lock = "LOCK TABLE idle_locks";
    for (frames, status) in [
        (query(&format!("BEGIN; {lock}")), Some("T")),
        (
            query(&format!("BEGIN; {lock}; SELECT 1 / 0")),
            Some("22012 division by zero E"),
        ),
        // A segment without its Sync is a transaction, too.
        (
            [run("INSERT INTO idle_locks VALUES (1)"), message(b'H', b"")].concat(),
            None,
        ),
    ] {
        let (mut raw, _) = session(&house);
        raw.send(&frames);
        match status {
            Some(status) => assert_eq!(raw.answer(), status),
            None => drop(raw.until(b'C')),
        }
        let error = raw.last_error();
        assert!(error.starts_with("25P03 "), "{error}");
        assert_eq!(ask(&mut other, &format!("BEGIN; {lock}; COMMIT")), "I");
    }
    assert_eq!(ask(&mut other, "BEGIN; SELECT 1 FROM pg_sleep(0.8)"), "1 T");
    assert_eq!(ask(&mut other, "COMMIT"), "I");
    assert_eq!(ask(&mut other, "DROP TABLE idle_locks"), "I");
    assert_eq!(ask(&mut at_rest, "SELECT 1"), "1 I");
}

#[test]
fn a_schema_that_appears_on_the_search_path_is_looked_up() {
    let house = House::start(settings(ClientTls::Off));
    let parameters = [
        ("user", "ann"),
        ("database", "shop"),
        ("search_path", "later,public"),
    ];
    let mut raw = Raw::log_in(house.address, &parameters, &tokens().good("ann"));
    raw.until(b'Z');
    let by_name = "SELECT name FROM customers WHERE id = 1";
    assert_eq!(ask(&mut raw, by_name), "name 1 I");
    assert_eq!(ask(&mut raw, "CREATE SCHEMA later"), "I");
    assert_eq!(ask(&mut raw, by_name), "name 1 I");
    let create = "CREATE TABLE later.customers AS SELECT 1 AS id, 'later' AS name";
    assert_eq!(ask(&mut raw, create), "I");
    assert_eq!(ask(&mut raw, by_name), "later I");
    assert_eq!(ask(&mut raw, "DROP TABLE later.customers"), "I");
    assert_eq!(ask(&mut raw, "DROP SCHEMA later"), "I");
    assert_eq!(ask(&mut raw, by_name), "name 1 I");
}

#[test]
fn a_result_too_wide_to_exist_costs_no_decision_and_no_raw_value_is_logged() {
    let house = House::start(settings(ClientTls::Off));
    house.policy.swap(mask_ssn("masks"));
    let (mut raw, _) = session(&house);
    assert_eq!(
        ask(&mut raw, "SELECT ssn FROM customers WHERE id = 1"),
        "[redacted] I"
    );
    let wide = format!(
        "SELECT {} FROM customers WHERE id = 1",
        vec!["ssn"; 2_000].join(",")
    );
    let answer = ask(&mut raw, &wide);
    assert!(answer.starts_with("54011 target lists"), "{answer}");
    assert_eq!(
        ask(&mut raw, "SELECT ssn FROM customers WHERE id = 1"),
        "[redacted] I"
    );
    assert!(!house.stop().contains("000-00-1"));
}

#[test]
fn names_are_not_guessed_after_a_function_that_can_change_the_path() {
    let own = start_cluster();
    own.execute("postgres", "CREATE TABLE public.customers AS SELECT 'name 1' AS name, 1 AS id; CREATE SCHEMA shadow; CREATE TABLE shadow.customers AS SELECT 'shadow' AS name, 1 AS id; CREATE FUNCTION public.move_path() RETURNS text LANGUAGE sql AS $$SELECT pg_catalog.set_config('search_path', 'shadow', false)$$").unwrap();
    let house = House::start(settings_for(ClientTls::Off, target(&own)));
    let by_name = "SELECT name FROM customers WHERE id = 1";
    let (mut raw, _) = session(&house);
    let answer = ask(&mut raw, &format!("SELECT public.move_path(); {by_name}"));
    assert!(answer.contains("may change the search path"), "{answer}");
    assert_eq!(ask(&mut raw, by_name), "name 1 I");
    assert_eq!(
        ask(&mut raw, "SELECT pg_backend_pid() > 0, pg_sleep(0)"),
        "t I"
    );
    assert_eq!(ask(&mut raw, by_name), "name 1 I", "these change no path");
    assert_eq!(ask(&mut raw, "SELECT public.move_path()"), "shadow I");
    assert_eq!(ask(&mut raw, by_name), "shadow I");
    assert_eq!(
        ask(&mut raw, "SELECT name FROM public.customers WHERE id = 1"),
        "name 1 I"
    );
}

#[test]
fn a_class_sticks_to_its_column_through_a_rename() {
    let own = start_cluster();
    let execute = |sql: &str| own.execute("postgres", sql).unwrap();
    execute(
        "CREATE TABLE people (id int, name text, ssn text); INSERT INTO people VALUES (1, 'n', '000-00-1')",
    );
    let house = House::start(settings_for(ClientTls::Off, target(&own)));
    house.policy.swap(mask_ssn("masked"));
    let (mut raw, _) = session(&house);
    assert_eq!(ask(&mut raw, "SELECT ssn FROM people"), "[redacted] I");
    // Not by a client of the gateway: the unknown name makes it read the catalog again.
    execute("ALTER TABLE people RENAME ssn TO number; ALTER TABLE people RENAME TO persons");
    for sql in [
        "SELECT number FROM persons",
        "SELECT number || '' FROM persons",
        "SELECT id FROM persons WHERE number = 'x'",
    ] {
        let answer = ask(&mut raw, sql);
        assert!(
            answer.contains("a column of this statement was renamed"),
            "{sql}: {answer}"
        );
    }
    assert_eq!(ask(&mut raw, "SELECT name FROM persons"), "n I");
    // A swap gives the class's name to another column: both are hidden, each in its way.
    execute(
        "ALTER TABLE persons RENAME name TO ssn; ALTER TABLE persons RENAME number TO name; CREATE TABLE later ()",
    );
    assert_eq!(ask(&mut raw, "SELECT FROM later"), "I");
    assert_eq!(ask(&mut raw, "SELECT ssn FROM persons"), "[redacted] I");
    let answer = ask(&mut raw, "SELECT name || '' FROM persons");
    assert!(
        answer.contains("a column of this statement was renamed"),
        "{answer}"
    );
    let records = house.stop();
    assert!(!records.contains("000-00-1"), "{records}");
}

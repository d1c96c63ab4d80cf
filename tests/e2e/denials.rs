//! Refusals as PostgreSQL would make them: SQLSTATE, words, a session that lives, the right transaction status; and the
//! protocol's own tricks (bypass class 11).

use crate::support::{
    House, Person,
    raw::{
        self, CANCEL_REQUEST, Message, Raw, bind, describe, execute, message, packet, parse,
        sqlstate, sync, tags,
    },
};

/// The transaction status of the last ReadyForQuery.
fn status(messages: &[Message]) -> char {
    let last = messages.last().unwrap();
    assert_eq!(last.tag, b'Z');
    char::from(last.body[0])
}

#[test]
fn a_refusal_says_which_rule_and_why_and_the_session_lives() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let messages = raw.query("DROP TABLE orders");
    assert_eq!(tags(&messages), "EZ");
    assert_eq!(status(&messages), 'I');
    let error = &messages[0];
    assert_eq!(error.field(b'S').as_deref(), Some("ERROR"));
    assert_eq!(error.field(b'V').as_deref(), Some("ERROR"));
    assert_eq!(error.field(b'C').as_deref(), Some("42501"));
    let detail = error.field(b'D').unwrap();
    assert!(
        detail.contains("agents-never-change-schema")
            && detail.contains("schema changes go through migrations"),
        "{detail}"
    );
    assert_eq!(tags(&raw.query("SELECT 1")), "TDCZ");
}

#[test]
fn inside_a_transaction_a_refusal_aborts_it() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    assert_eq!(status(&raw.query("BEGIN")), 'T');
    let messages = raw.query("SELECT salary FROM hr.salaries");
    assert_eq!((tags(&messages).as_str(), status(&messages)), ("EZ", 'E'));
    let messages = raw.query("SELECT 1");
    assert_eq!(sqlstate(&messages).as_deref(), Some("25P02"));
    let messages = raw.query("COMMIT");
    assert_eq!((tags(&messages).as_str(), status(&messages)), ("CZ", 'I'));
    assert_eq!(messages[0].body, b"ROLLBACK\0");
    // A savepoint brings it back, as without us.
    raw.query("BEGIN");
    raw.query("SAVEPOINT s");
    assert_eq!(status(&raw.query("DROP TABLE orders")), 'E');
    assert_eq!(status(&raw.query("ROLLBACK TO s")), 'T');
    assert_eq!(tags(&raw.query("SELECT 1")), "TDCZ");
    raw.query("ROLLBACK");
}

#[test]
fn in_a_pipeline_a_refusal_skips_to_the_next_sync_only() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.write(
        &[
            parse("", "SELECT 1"),
            bind("", "", 0),
            execute("", 0),
            parse("", "SELECT salary FROM hr.salaries"),
            bind("", "", 0),
            describe('P', ""),
            execute("", 0),
            parse("", "INSERT INTO scratch VALUES (1, 'must not be')"),
            bind("", "", 0),
            execute("", 0),
            sync(),
            parse("", "SELECT 2"),
            bind("", "", 0),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let first = raw.read_until_ready();
    assert_eq!(tags(&first), "12DCEZ");
    assert_eq!(sqlstate(&first).as_deref(), Some("42501"));
    assert_eq!(tags(&raw.read_until_ready()), "12DCZ");
    assert_eq!(
        house
            .cluster
            .execute("shop", "SELECT count(*) FROM scratch")
            .unwrap(),
        "0\n"
    );
    assert!(
        !house
            .server_log()
            .contains("SELECT salary FROM hr.salaries")
    );
}

#[test]
fn a_refused_parse_leaves_no_statement_behind() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.write(&[parse("s", "SELECT salary FROM hr.salaries"), sync()].concat());
    assert_eq!(sqlstate(&raw.read_until_ready()).as_deref(), Some("42501"));
    raw.write(&[bind("", "s", 0), execute("", 0), sync()].concat());
    let messages = raw.read_until_ready();
    assert_eq!((tags(&messages).as_str(), status(&messages)), ("EZ", 'I'));
    // An old statement under the name is not replaced by a refused one.
    raw.write(
        &[
            parse("k", "SELECT 7"),
            sync(),
            parse("k", "SELECT salary FROM hr.salaries"),
            sync(),
        ]
        .concat(),
    );
    raw.read_until_ready();
    assert!(sqlstate(&raw.read_until_ready()).is_some());
    raw.write(&[bind("", "k", 0), execute("", 0), sync()].concat());
    assert_eq!(tags(&raw.read_until_ready()), "2DCZ");
}

#[test]
fn flush_gives_the_answer_before_sync() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.write(
        &[
            parse("", "SELECT 1"),
            bind("", "", 0),
            execute("", 0),
            message(b'H', &[]),
        ]
        .concat(),
    );
    let answer: Vec<Message> = (0..4).map(|_| raw.read()).collect();
    assert_eq!(tags(&answer), "12DC");
    raw.write(&[parse("", "DROP TABLE orders"), message(b'H', &[])].concat());
    let error = raw.read();
    assert_eq!(error.field(b'C').as_deref(), Some("42501"));
    raw.write(&sync());
    assert_eq!(tags(&raw.read_until_ready()), "Z");
}

#[test]
fn the_fast_path_is_refused() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    // FunctionCall of pg_backend_pid() (oid 2026), no arguments.
    raw.send(b'F', &[0, 0, 0x07, 0xea, 0, 0, 0, 0, 0, 0]);
    let messages = raw.read_until_ready();
    assert_eq!((tags(&messages).as_str(), status(&messages)), ("EZ", 'I'));
    assert_eq!(tags(&raw.query("SELECT 1")), "TDCZ");
}

#[test]
fn frames_that_lie_end_the_session_with_a_protocol_error() {
    let house = House::new();
    // A Parse that claims more parameter types than it carries, with a Query hidden behind it.
    let lying_parse = message(b'P', b"\0SELECT 1\0\0\x05");
    let truncated_bind = message(b'B', b"\0\0\0\x01");
    let no_terminator = message(b'Q', b"SELECT 1");
    let inner_nul = message(b'Q', b"SELECT 1\0; DROP TABLE orders\0");
    let too_short = [b'Q', 0, 0, 0, 3].to_vec();
    let negative = [b'Q', 0xff, 0xff, 0xff, 0xff].to_vec();
    let unknown = message(b'!', b"");
    let second_password = message(b'p', b"again\0");
    let server_tag = message(b'Z', b"I");
    for (name, bytes) in [
        ("lying Parse", lying_parse),
        ("truncated Bind", truncated_bind),
        ("no terminator", no_terminator),
        ("inner NUL", inner_nul),
        ("too short", too_short),
        ("negative", negative),
        ("unknown tag", unknown),
        ("second password", second_password),
        ("server's tag", server_tag),
    ] {
        let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
        // The peer may close while we still write.
        let _ = raw.try_write(
            &[
                bytes,
                message(b'Q', b"INSERT INTO scratch VALUES (666, 'hidden')\0"),
            ]
            .concat(),
        );
        let messages = raw.read_until_closed();
        assert_eq!(
            sqlstate(&messages).as_deref(),
            Some("08P01"),
            "{name}: {messages:?}"
        );
    }
    assert_eq!(
        house
            .cluster
            .execute("shop", "SELECT count(*) FROM scratch WHERE id = 666")
            .unwrap(),
        "0\n"
    );
    assert!(!house.server_log().contains("hidden"));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.send(b'Q', b"SELECT '\xff\xfe'\0");
    let messages = raw.read_until_ready();
    assert_eq!(
        sqlstate(&messages).as_deref(),
        Some("22021"),
        "{messages:?}"
    );
    assert_eq!(tags(&raw.query("SELECT 1")), "TDCZ");
}

#[test]
fn a_cancel_needs_the_key() {
    let house = House::new();
    let (mut raw, key) = Raw::logged_in(&house, Person::Dba);
    let mut guess = key.clone();
    *guess.last_mut().unwrap() ^= 1;
    raw.send(b'Q', b"SELECT count(*) FROM generate_series(1, 5000000)\0");
    let mut other = Raw::tls(&house);
    other.write(&packet(CANCEL_REQUEST, &guess));
    assert_eq!(
        other.read_until_closed(),
        [],
        "a cancel request is never answered"
    );
    assert_eq!(
        tags(&raw.read_until_ready()),
        "TDCZ",
        "a guessed key cancels nothing"
    );
    raw.send(
        b'Q',
        b"SELECT count(*) FROM generate_series(1, 100000000000)\0",
    );
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut other = Raw::tls(&house);
    other.write(&packet(CANCEL_REQUEST, &key));
    other.read_until_closed();
    assert_eq!(sqlstate(&raw.read_until_ready()).as_deref(), Some("57014"));
}

#[test]
fn statements_past_the_limits_are_refused_and_the_session_lives() {
    let house = House::new();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let statements = [
        (
            "deep parentheses",
            format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000)),
        ),
        ("a long chain", format!("SELECT 1{}", " + 1".repeat(20_000))),
        (
            "nested comments",
            format!("SELECT {} {} 1", "/*".repeat(5_000), "*/".repeat(5_000)),
        ),
        (
            "operator characters",
            format!("SELECT 1 {} 1", "+".repeat(20_000)),
        ),
        (
            "many joins",
            format!(
                "SELECT 1 FROM orders o0{}",
                (1..40)
                    .map(|n| format!(" JOIN orders o{n} USING (id)"))
                    .collect::<String>()
            ),
        ),
        (
            "a huge statement",
            format!("SELECT '{}'", "x".repeat(2_000_000)),
        ),
    ];
    for (name, statement) in statements {
        let messages = raw.query(&statement);
        assert_eq!(status(&messages), 'I', "{name}");
        assert_eq!(tags(&raw.query("SELECT 1")), "TDCZ", "{name}");
    }
}

#[test]
fn replication_is_refused() {
    let house = House::new();
    for value in ["true", "database", "1", "on"] {
        let mut raw = Raw::tls(&house);
        raw.send_startup(&[
            ("user", Person::Dba.id()),
            ("database", "shop"),
            ("replication", value),
        ]);
        // It may ask for the token first: what counts is the end.
        let first = raw.read();
        if first.tag == b'R' {
            raw.send(b'p', format!("{}\0", house.token(Person::Dba)).as_bytes());
        }
        let messages = if first.tag == b'E' {
            vec![first]
        } else {
            raw.read_until_closed()
        };
        assert!(sqlstate(&messages).is_some(), "{value}: {messages:?}");
    }
}

#[test]
fn bytes_before_tls_are_refused() {
    let house = House::new();
    let mut raw = Raw::plain(&house);
    // An SSLRequest with a start-up packet behind it, in one segment: whoever sits between could have put it there.
    let smuggled = [
        packet(80_877_103, &[]),
        packet(raw::PROTOCOL_3, b"user\0postgres\0database\0shop\0\0"),
    ]
    .concat();
    raw.write(&smuggled);
    let mut answer = [0];
    if raw.read_bytes(&mut answer).is_ok() && &answer == b"S" {
        // Nothing of it may be answered in the clear.
        let mut next = [0; 5];
        assert!(
            raw.read_bytes(&mut next).is_err() || next[0] == 0x15,
            "answered {next:?}"
        );
    }
}

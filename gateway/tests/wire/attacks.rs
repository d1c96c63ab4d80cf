//! The protocol as an attacker speaks it (bypass class 11), by raw sockets: whatever the messages, their order and their
//! formats, no masked value is in a byte that comes back.

use std::time::Duration;

use provost_gateway::settings::ClientTls;

use crate::{
    house::{House, mask_ssn, settings_for, start_cluster, target, tokens},
    postgres::Cluster,
    raw::{
        Raw, bind, bind_formats, cancel_request, execute, execute_rows, message, parse, query, run,
        startup,
    },
};

const SHOP: [(&str, &str); 2] = [("user", "ann"), ("database", "shop")];
/// What every masked value holds, and nothing else.
const CANARY: &[u8] = b"000-00-";
const TABLES: &str = "CREATE TABLE people (id int PRIMARY KEY, name text, ssn text);
    INSERT INTO people SELECT n, 'name ' || n, '000-00-' || n FROM generate_series(1, 9) n;";

fn world() -> (Cluster, House) {
    let cluster = start_cluster();
    cluster.execute("postgres", TABLES).unwrap();
    let house = House::start(settings_for(ClientTls::Off, target(&cluster)));
    house.policy.swap(mask_ssn("masked"));
    (cluster, house)
}

fn session(house: &House) -> Raw {
    let mut raw = Raw::log_in(house.address, &SHOP, &tokens().good("ann"));
    raw.until(b'Z');
    raw
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[&[kind], name.as_bytes(), b"\0"].concat())
}

fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[&[kind], name.as_bytes(), b"\0"].concat())
}

/// What is sent, and what the answer must hold: `!` before it, what it must not.
type Step = (Vec<u8>, &'static str);

/// Sends each step in one session of its own; each ends with as many ReadyForQuery as it asks for.
#[track_caller]
fn check(house: &House, name: &str, steps: &[Step]) {
    let mut raw = session(house);
    for (frames, expected) in steps {
        let readies = frames_of(frames)
            .filter(|kind| matches!(kind, b'Q' | b'S' | b'F'))
            .count();
        raw.send(frames);
        let mut all = Vec::new();
        for _ in 0..readies {
            all.extend(raw.bytes_until_ready());
        }
        let shown = String::from_utf8_lossy(&all);
        let leaks = all.windows(CANARY.len()).any(|window| window == CANARY);
        assert!(!leaks, "{name}: {shown}");
        match expected.strip_prefix('!') {
            Some(words) => assert!(!shown.contains(words), "{name}: {shown}"),
            None => assert!(shown.contains(expected), "{name}: no {expected} in {shown}"),
        }
    }
}

/// The types of the messages in these bytes.
fn frames_of(mut bytes: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (kind, rest) = bytes.split_first()?;
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        bytes = &rest[length..];
        Some(*kind)
    })
}

const SSN: &str = "SELECT ssn FROM people ORDER BY id";

#[test]
fn names_of_statements_and_portals_are_not_confused() {
    let (_cluster, house) = world();
    let open = "SELECT id FROM people ORDER BY id";
    check(
        &house,
        "a name that is taken stays what it was",
        &[
            ([parse("s", open), sync()].concat(), "Z"),
            ([parse("s", SSN), sync()].concat(), "42P05"),
            (
                [bind("", "s", &[], 0), execute(""), sync()].concat(),
                "SELECT 9",
            ),
        ],
    );
    check(
        &house,
        "a portal stays of the statement that it was bound to",
        &[(
            [
                parse("s", open),
                bind("p", "s", &[], 0),
                close(b'S', "s"),
                parse("s", SSN),
                execute("p"),
                bind("q", "s", &[], 0),
                execute("q"),
                sync(),
            ]
            .concat(),
            "SELECT 9",
        )],
    );
    check(
        &house,
        "a name given away and back within one pipeline",
        &[(
            [
                parse("s", SSN),
                close(b'S', "s"),
                parse("s", open),
                bind("", "s", &[], 0),
                close(b'S', "s"),
                parse("s", SSN),
                execute(""),
                bind("", "s", &[], 0),
                describe(b'P', ""),
                execute(""),
                sync(),
            ]
            .concat(),
            "SELECT 9",
        )],
    );
    check(
        &house,
        "an error takes back the names that came after it",
        &[
            ([parse("s", open), sync()].concat(), "Z"),
            (
                [
                    run("SELECT 1 / 0"),
                    close(b'S', "s"),
                    parse("s", SSN),
                    sync(),
                ]
                .concat(),
                "22012",
            ),
            (
                [bind("", "s", &[], 0), execute(""), sync()].concat(),
                "SELECT 9",
            ),
        ],
    );
    check(
        &house,
        "a cursor of SQL is a portal of the protocol",
        &[
            (query("BEGIN"), "BEGIN"),
            (query(&format!("DECLARE c CURSOR FOR {SSN}")), "Z"),
            ([describe(b'P', "c"), execute("c"), sync()].concat(), "Z"),
        ],
    );
    check(
        &house,
        "a prepared statement of SQL is one of the protocol",
        &[
            (query(&format!("PREPARE q AS {SSN}")), "PREPARE"),
            (
                [
                    describe(b'S', "q"),
                    bind("", "q", &[], 1),
                    execute(""),
                    sync(),
                ]
                .concat(),
                "Z",
            ),
            (query("EXECUTE q"), "Z"),
        ],
    );
}

#[test]
fn formats_and_pieces_of_results_make_no_difference() {
    let (_cluster, house) = world();
    for format in [0, 1] {
        check(
            &house,
            "formats",
            &[
                (
                    [
                        parse("", "SELECT ssn, id, ssn FROM people"),
                        bind_formats("", "", &[format, 1 - format, format]),
                        execute(""),
                        sync(),
                    ]
                    .concat(),
                    "SELECT 9",
                ),
                // Fewer formats than columns is a mistake, however it is counted.
                (
                    [
                        parse("", "SELECT id, ssn, name FROM people"),
                        bind_formats("", "", &[format, 1]),
                        execute(""),
                        sync(),
                    ]
                    .concat(),
                    "08P01",
                ),
            ],
        );
    }
    check(
        &house,
        "a suspended portal goes on as it began, described or not",
        &[(
            [
                parse("", SSN),
                bind("p", "", &[], 0),
                execute_rows("p", 2),
                parse("", "SELECT id FROM people"),
                execute_rows("p", 2),
                describe(b'P', "p"),
                execute("p"),
                execute("p"),
                sync(),
            ]
            .concat(),
            "SELECT 5",
        )],
    );
    check(
        &house,
        "errors in the middle of a pipeline",
        &[(
            [
                run(SSN),
                run("SELECT ssn::int FROM people"),
                run(SSN),
                sync(),
                run(SSN),
                sync(),
            ]
            .concat(),
            "SELECT 9",
        )],
    );
    let mut raw = session(&house);
    raw.send(&[run(SSN), message(b'H', b"")].concat());
    let mut complete = Vec::new();
    while !complete.ends_with(b"SELECT 9\0") {
        let (_, body) = raw.message();
        assert!(!body.windows(CANARY.len()).any(|window| window == CANARY));
        complete = body;
    }
    raw.send(&sync()).until(b'Z');
}

#[test]
fn other_ways_to_values_are_no_ways() {
    let (_cluster, house) = world();
    // lower(text), by its oid: 870.
    let call = [
        &870_u32.to_be_bytes()[..],
        &[0, 0, 0, 1, 0, 0, 0, 1, b'A', 0, 0],
    ]
    .concat();
    check(
        &house,
        "FunctionCall",
        &[
            (message(b'F', &call), "ERROR"),
            (query("SELECT 1"), "SELECT 1"),
        ],
    );
    for sql in [
        "COPY people TO STDOUT",
        "COPY people (id, ssn) TO STDOUT (FORMAT binary)",
        "COPY (SELECT ssn FROM people) TO STDOUT (FORMAT csv)",
        "SELECT 1; SELECT ssn FROM people",
        "FETCH ALL FROM nothing; SELECT ssn FROM people",
    ] {
        check(
            &house,
            sql,
            &[(query(sql), "Z"), ([run(sql), sync()].concat(), "Z")],
        );
    }
    // Data for a COPY that nobody began is passed over, as by the server.
    check(
        &house,
        "copy data out of nowhere",
        &[(
            [
                message(b'd', b"000"),
                message(b'c', b""),
                message(b'f', b"no\0"),
                query("SELECT 1"),
            ]
            .concat(),
            "SELECT 1",
        )],
    );
}

#[test]
fn lengths_that_lie_end_the_session_and_nothing_else() {
    let (_cluster, house) = world();
    let mut witness = session(&house);
    let huge = |kind: u8, length: u32| [&[kind], &length.to_be_bytes()[..]].concat();
    let counted = |kind: u8, head: &[u8], count: u16| {
        message(kind, &[head, &count.to_be_bytes()[..]].concat())
    };
    for frames in [
        huge(b'Q', 0),
        huge(b'Q', 3),
        huge(b'Q', u32::MAX),
        huge(b'Q', 1 << 31),
        huge(b'P', (1 << 30) + 1),
        huge(b'S', 5),
        huge(0, 4),
        huge(0xff, 4),
        message(b'Q', b""),
        message(b'Q', b"SELECT 1"),
        message(b'Q', b"SELECT 1\0SELECT ssn FROM people\0"),
        message(b'P', b"s\0SELECT 1"),
        message(b'P', b"s\0SELECT 1\0\0\0trailing"),
        counted(b'P', b"s\0SELECT 1\0", u16::MAX),
        counted(b'B', b"\0\0", u16::MAX),
        counted(b'B', b"\0\0\0\0", 1),
        message(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        message(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
        message(b'E', b"\0"),
        message(b'E', b"\0\0\0\0\0\0"),
        message(b'D', b"Xs\0"),
        message(b'C', b""),
        message(b'S', b"x"),
        message(b'H', b"x"),
        message(b'F', b"\0\0\0"),
        startup(&SHOP),
        message(b'p', b"again\0"),
        message(b'R', b"\0\0\0\0"),
        message(b'Z', b"I"),
    ] {
        let mut raw = session(&house);
        raw.send(&frames);
        // Whatever it waits for, nothing more comes.
        raw.finish();
        let said = raw.rest();
        let leaks = said.windows(CANARY.len()).any(|window| window == CANARY);
        assert!(!leaks, "{frames:?}");
        assert_eq!(witness.send(&query("SELECT 1")).answer(), "1 I");
    }
}

#[test]
fn a_cancel_key_is_good_for_its_own_session_only() {
    let (_cluster, house) = world();
    let mut gone = Raw::log_in(house.address, &SHOP, &tokens().good("ann"));
    let old_key = gone.until(b'K');
    gone.until(b'Z');
    gone.send(&message(b'X', b"")).closes();
    let mut raw = session(&house);
    raw.send(&query("SELECT pg_sleep(1)"));
    std::thread::sleep(Duration::from_millis(200));
    for key in [&old_key[..], &[0; 8], &[0xff; 8]] {
        Raw::connect(house.address)
            .send(&cancel_request(key))
            .closes();
    }
    // Longer and shorter than a key may be.
    for length in [0, 3, 4, 5, 9, 36, 260, 261, 9_000] {
        Raw::connect(house.address)
            .send(&cancel_request(&vec![0; length]))
            .ends();
    }
    let answer = raw.answer();
    assert!(!answer.contains("57014"), "{answer}");
}

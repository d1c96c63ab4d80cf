//! Clients that go away: in the middle of a COPY, a result, a transaction, a frame, a log-in; with a goodbye, a close or a reset.

use std::{net::Shutdown, time::Duration};

use crate::{
    faults::World,
    house::mask_ssn,
    raw::{Raw, ask, bind, execute, execute_rows, message, parse, query, startup},
};

const TABLES: &str = "CREATE TABLE people (id int PRIMARY KEY, name text, ssn text);
    INSERT INTO people SELECT n, 'name ' || n, '000-00-' || n FROM generate_series(1, 9) n;
    CREATE TABLE copied (a int);";
const ENDLESS: &str = "SELECT a.ssn, repeat('x', 1000) FROM people a, people b, people c, people d, people e, people f, \
    people g, people h";

/// How a client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// Its end is closed in both directions, with what it did not read: the other side is reset.
    Closed,
    /// It says that nothing more comes, and reads no more.
    Finished,
    /// It says goodbye first.
    Goodbye,
}

const GOINGS: [Going; 3] = [Going::Closed, Going::Finished, Going::Goodbye];

fn go(mut raw: Raw, going: Going) -> Option<Raw> {
    match going {
        Going::Closed => None,
        Going::Finished => {
            raw.shutdown(Shutdown::Write);
            Some(raw)
        }
        Going::Goodbye => {
            raw.send(&message(b'X', b""));
            None
        }
    }
}

/// What was sent when the client goes, and the message that it waits for before.
fn middles() -> Vec<(&'static str, Vec<u8>, Option<u8>)> {
    let extended = |sql: &str| [parse("", sql), bind("", "", &[], 0), execute("")].concat();
    vec![
        ("COPY in", query("COPY copied FROM STDIN"), Some(b'G')),
        (
            "COPY in, extended",
            [extended("COPY copied FROM STDIN"), message(b'S', b"")].concat(),
            Some(b'G'),
        ),
        (
            "COPY out",
            query(
                "COPY (SELECT a.id FROM people a, people b, people c, people d, people e, people f, people g, people h) TO STDOUT",
            ),
            Some(b'd'),
        ),
        ("a result", query(ENDLESS), Some(b'D')),
        (
            "a result, extended",
            [extended(ENDLESS), message(b'H', b"")].concat(),
            Some(b'D'),
        ),
        (
            "a portal",
            [
                parse("", ENDLESS),
                bind("p", "", &[], 1),
                execute_rows("p", 5),
                message(b'H', b""),
            ]
            .concat(),
            Some(b's'),
        ),
        (
            "a transaction with locks",
            query("BEGIN; LOCK TABLE people; INSERT INTO copied VALUES (1)"),
            Some(b'Z'),
        ),
        (
            "a segment",
            [
                extended("INSERT INTO copied VALUES (2)"),
                message(b'H', b""),
            ]
            .concat(),
            Some(b'C'),
        ),
        ("a frame", query("SELECT 1")[..7].to_vec(), None),
        ("a frame's header", b"Q\0".to_vec(), None),
        ("nothing", Vec::new(), None),
    ]
}

#[test]
fn whoever_goes_leaves_nothing_behind() {
    for masked in [false, true] {
        let world = World::new(TABLES);
        if masked {
            world.house().policy.swap(mask_ssn("masked"));
        }
        let mut still_there = Vec::new();
        for (what, frames, wait) in middles() {
            if masked && !what.starts_with("a result") && what != "a portal" {
                continue;
            }
            for going in GOINGS {
                println!("{what} {going:?}");
                let mut raw = world.session();
                raw.send(&frames);
                if let Some(kind) = wait {
                    raw.until(kind);
                }
                if what.starts_with("COPY in") {
                    raw.send(&message(b'd', b"3\n"));
                    // Half of a frame.
                    raw.send(&message(b'd', b"4\n")[..5]);
                }
                // Whoever stays to be sent a result and does not read it is slow, and not gone.
                let left = go(raw, going).filter(|_| !matches!(wait, Some(b'd' | b'D')));
                still_there.extend(left);
            }
        }
        // Locks are given up, and nothing was committed.
        let mut raw = world.session();
        assert_eq!(ask(&mut raw, "SELECT count(*) FROM copied"), "0 I");
        assert_eq!(ask(&mut raw, "BEGIN; LOCK TABLE people; COMMIT"), "I");
        assert_eq!(
            ask(&mut raw, "UPDATE people SET name = 'new' WHERE id = 1"),
            "I"
        );
        drop(raw);
        let outcomes = world.ends_well();
        assert!(outcomes["unknown"] >= 5, "{outcomes:?}");
        drop(still_there);
    }
}

#[test]
fn what_nobody_waits_for_any_more_is_cancelled() {
    let world = World::new(TABLES);
    for going in [Going::Closed, Going::Finished] {
        let mut raw = world.session();
        raw.send(&query("SELECT pg_sleep(1000)"));
        world.backend_of("pg_sleep(1000)");
        let left = go(raw, going);
        world.server_comes_to("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1000)%' AND pid <> pg_backend_pid()", "0");
        drop(left);
    }
    // Whoever says goodbye behind a statement wants it to run, as by the server.
    let mut raw = world.session();
    raw.send(
        &[
            query("INSERT INTO copied SELECT 7 FROM pg_sleep(1)"),
            message(b'X', b""),
        ]
        .concat(),
    );
    drop(raw);
    world.server_comes_to("SELECT count(*) FROM copied", "1");
    world.ends_well();
}

/// As by a server: what was asked for before the client closed its end is answered, and nothing of it is lost.
#[test]
fn whoever_only_stops_sending_gets_what_is_owed() {
    let world = World::new(TABLES);
    for masked in [false, true] {
        if masked {
            world.house().policy.swap(mask_ssn("masked"));
        }
        let large = "SELECT ssn, repeat('x', 1000) FROM people, generate_series(1, 1000)";
        let extended = |sql: &str| [parse("", sql), bind("", "", &[], 0), execute("")].concat();
        let (sync, flush) = (message(b'S', b""), message(b'H', b""));
        for (what, frames, rows, readies) in [
            ("a query", query("SELECT 1 FROM pg_sleep(0.5)"), 1, 1),
            ("a large result", query(large), 9_000, 1),
            (
                "queries behind each other",
                [query("SELECT 1"), query(large), query("SELECT 2")].concat(),
                9_002,
                3,
            ),
            (
                "a pipeline",
                [
                    extended("SELECT 1"),
                    extended(large),
                    sync.clone(),
                    query("SELECT 1"),
                ]
                .concat(),
                9_002,
                2,
            ),
            (
                "a segment without a Sync",
                [extended(large), flush].concat(),
                9_000,
                0,
            ),
            (
                "a whole message, and half of one",
                [&query("SELECT 1")[..], &query("SELECT 2")[..9]].concat(),
                1,
                1,
            ),
            (
                "data of a COPY",
                [
                    query("COPY copied FROM STDIN"),
                    message(b'd', b"7\n"),
                    message(b'c', b""),
                    query("DELETE FROM copied RETURNING a"),
                ]
                .concat(),
                1,
                2,
            ),
            // Nothing is owed to these.
            (
                "a COPY without its end",
                query("COPY copied FROM STDIN"),
                0,
                0,
            ),
            (
                "a segment that was not asked for",
                extended("SELECT 1"),
                0,
                0,
            ),
        ] {
            let mut raw = world.session();
            raw.send(&frames).finish();
            let kinds = raw.kinds_until_close();
            let count = |kind: u8| kinds.iter().filter(|found| **found == kind).count();
            assert_eq!(
                (count(b'D'), count(b'Z')),
                (rows, readies),
                "{what}, masked: {masked}"
            );
        }
    }
    world.ends_well();
}

#[test]
fn whoever_goes_while_logging_in_leaves_nothing_behind() {
    let world = World::new(TABLES);
    let hello = startup(&[("user", "ann"), ("database", "shop")]);
    for end in 0..=hello.len() {
        let mut raw = Raw::connect(world.house().address);
        raw.send(&hello[..end]);
    }
    for _ in 0..20 {
        // The token is given, and the answer not waited for.
        drop(world.log_in());
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(ask(&mut world.session(), "SELECT 1"), "1 I");
    world.ends_well();
}

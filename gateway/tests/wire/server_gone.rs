//! The server ends a session, dies, restarts: in the middle of a result, of a transaction, of a COPY, and while nothing happens.

use crate::{
    faults::{World, signal},
    house::mask_ssn,
    postgres::{Listen, Options},
    raw::{Raw, ask, bind, execute, message, parse, query},
};

const TABLES: &str = "CREATE TABLE people (id int PRIMARY KEY, name text, ssn text);
    INSERT INTO people SELECT n, 'name ' || n, '000-00-' || n FROM generate_series(1, 9) n;
    CREATE TABLE copied (a int);";
/// A result without end, which has passed every buffer when some of it was read.
const ENDLESS: &str = "SELECT a.ssn, repeat('x', 1000) FROM people a, people b, people c, people d, people e, people f, \
    people g, people h";
const EMERGENCY: &str = "57P01";

/// Ways to be in the middle of something, with a word that the server knows it by.
fn openings() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("a result", query(ENDLESS), "SELECT a.ssn"),
        (
            "a result of the extended protocol",
            [
                parse("", ENDLESS),
                bind("", "", &[], 1),
                execute(""),
                message(b'S', b""),
            ]
            .concat(),
            "SELECT a.ssn",
        ),
        (
            "COPY out",
            query(
                "COPY (SELECT a.id FROM people a, people b, people c, people d, people e, people f, people g, people h) TO STDOUT",
            ),
            "COPY (SELECT",
        ),
        ("COPY in", query("COPY copied FROM STDIN"), "COPY copied"),
        (
            "work that says nothing",
            query("SELECT pg_sleep(1000)"),
            "pg_sleep(1000)",
        ),
    ]
}

/// Begins, reads a little where something comes, and gives the server's process.
fn begin(world: &World, raw: &mut Raw, (what, frames, words): &(&str, Vec<u8>, &str)) -> String {
    raw.send(frames);
    match *what {
        "COPY in" => {
            raw.until(b'G');
            raw.send(&message(b'd', b"1\n2\n"));
        }
        "COPY out" => {
            raw.until(b'd');
        }
        "work that says nothing" => {}
        _ => {
            raw.until(b'D');
        }
    }
    world.backend_of(words)
}

/// Whether a client was told that the server ended its session, as far as that could be told: a server process that waits for its
/// client to take a result ends without a word, in the middle of a row, and behind that nothing can be said.
fn is_told(what: &str, error: &str) -> bool {
    let said = [EMERGENCY, "57P02", "08006"]
        .iter()
        .any(|code| error.starts_with(code));
    said || error == "closed" && !matches!(what, "COPY in" | "work that says nothing")
}

#[test]
fn a_session_that_the_server_ends_is_told_why() {
    for masked in [false, true] {
        let world = World::new(TABLES);
        if masked {
            world.house().policy.swap(mask_ssn("masked"));
        }
        let mut witness = world.session();
        for opening in openings() {
            if masked && opening.0.starts_with("COPY") {
                continue;
            }
            let mut raw = world.session();
            let process = begin(&world, &mut raw, &opening);
            world.server(&format!("SELECT pg_terminate_backend({process})"));
            let error = raw.last_error_of_many();
            assert!(is_told(opening.0, &error), "{}: {error}", opening.0);
            assert_eq!(
                ask(&mut witness, "SELECT name FROM people WHERE id = 1"),
                "name 1 I"
            );
        }
        // While nothing happens, and in a transaction.
        let mut idle = world.session();
        assert_eq!(ask(&mut idle, "BEGIN"), "T");
        assert_eq!(ask(&mut idle, "SELECT 'idle one'"), "idle one T");
        let process = world.backend_of("idle one");
        world.server(&format!("SELECT pg_terminate_backend({process})"));
        assert!(idle.last_error().starts_with(EMERGENCY));
        drop(witness);
        world.ends_well();
    }
}

#[test]
fn a_server_that_dies_takes_its_sessions_and_comes_again() {
    let world = World::new(TABLES);
    let mut idle = world.session();
    let mut others = Vec::new();
    let mut process = String::new();
    for opening in openings() {
        let mut raw = world.session();
        process = begin(&world, &mut raw, &opening);
        others.push((opening.0, raw));
    }
    let (_, mut killed) = others.pop().unwrap();
    // The whole server starts again: it can't know what the process left in memory.
    signal("KILL", &process);
    let error = killed.last_error_of_many();
    assert!(
        error.starts_with("08006 the server closed the connection"),
        "{error}"
    );
    for (what, mut raw) in others {
        let error = raw.last_error_of_many();
        assert!(is_told(what, &error), "{what}: {error}");
    }
    let error = idle.last_error_of_many();
    assert!(
        error.starts_with("57P02") || error.starts_with("08006"),
        "{error}"
    );
    let mut raw = world.session_again();
    assert_eq!(
        ask(&mut raw, "SELECT name FROM people WHERE id = 2"),
        "name 2 I"
    );
    assert_eq!(ask(&mut raw, "SELECT count(*) FROM copied"), "0 I");
    // The catalog is read again, by a connection that was lost, too.
    assert_eq!(ask(&mut raw, "CREATE TABLE fresh AS SELECT 1 AS a"), "I");
    assert_eq!(ask(&mut raw, "SELECT a FROM fresh"), "1 I");
    drop(raw);
    let outcomes = world.ends_well();
    let ended = |outcome: &str| outcomes.get(outcome).copied().unwrap_or_default();
    assert!(ended("unknown") + ended("failed") >= 5, "{outcomes:?}");
}

#[test]
fn a_server_that_is_restarted_ends_its_sessions_and_takes_new_ones() {
    let mut world = World::new(TABLES);
    let mut idle = world.session();
    let mut busy = world.session();
    begin(&world, &mut busy, &openings()[0]);
    world.cluster.stop_server().unwrap();
    let error = busy.last_error_of_many();
    assert!(is_told("a result", &error), "{error}");
    assert!(idle.last_error().starts_with(EMERGENCY));
    let error = world.log_in().last_error();
    assert!(
        error.starts_with("08006 target `shop` can't be reached"),
        "{error}"
    );
    let options = Options {
        listen: Listen::Loopback,
        settings: &[("max_connections", "50")],
    };
    world.cluster.start_again(&options).unwrap();
    let mut raw = world.session_again();
    assert_eq!(
        ask(&mut raw, "SELECT name FROM people WHERE id = 3"),
        "name 3 I"
    );
    assert_eq!(ask(&mut raw, "CREATE TABLE fresh AS SELECT 1 AS a"), "I");
    assert_eq!(ask(&mut raw, "SELECT a FROM fresh"), "1 I");
    drop(raw);
    world.ends_well();
}

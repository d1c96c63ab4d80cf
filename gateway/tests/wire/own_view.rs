//! What only one session sees: its search path, its uncommitted schema changes, its temporary objects, its names.

use provost_gateway::settings::ClientTls;

use crate::{
    house::{
        House, allow_anything, allow_everything, deny_everything, mask_ssn, settings_for,
        start_cluster, target, tokens,
    },
    postgres::Cluster,
    raw::{Raw, bind, execute, message, parse, run},
};

const TABLES: &str = "CREATE TABLE people (id int PRIMARY KEY, name text, ssn text);
    INSERT INTO people SELECT n, 'name ' || n, '000-00-' || n FROM generate_series(1, 9) n;
    CREATE SCHEMA a; CREATE TABLE a.t AS SELECT 1 AS x;
    CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 2 AS x;
    CREATE FUNCTION move_path(text) RETURNS text LANGUAGE sql AS
      $$SELECT pg_catalog.set_config('search_path', $1, false)$$;
    CREATE FUNCTION make_temp() RETURNS int LANGUAGE plpgsql AS
      $$BEGIN CREATE TEMP TABLE t AS SELECT 7 AS x; RETURN 0; END$$;";

/// A server with tables, a gateway before it, and a session.
fn world() -> (Cluster, House, Raw) {
    let cluster = start_cluster();
    cluster.execute("postgres", TABLES).unwrap();
    let house = House::start(settings_for(ClientTls::Off, target(&cluster)));
    let raw = session(&house);
    (cluster, house, raw)
}

fn session(house: &House) -> Raw {
    let shop = [("user", "ann"), ("database", "shop")];
    let mut raw = Raw::log_in(house.address, &shop, &tokens().good("ann"));
    raw.until(b'Z');
    raw
}

/// Sends each query and compares what it gives: first values, errors in part (`!words`), the transaction's status.
#[track_caller]
fn check(raw: &mut Raw, script: &[(&str, &str)]) {
    for (sql, expected) in script {
        println!("{sql}");
        let answer = raw
            .send(&message(b'Q', format!("{sql}\0").as_bytes()))
            .answer();
        compare(sql, &answer, expected);
    }
}

#[track_caller]
fn compare(what: &str, answer: &str, expected: &str) {
    match expected.strip_prefix('!') {
        Some(words) => assert!(answer.contains(words), "{what}: {answer}"),
        None => assert_eq!(answer, expected, "{what}"),
    }
}

/// Sends frames and a Sync, and compares what they give.
#[track_caller]
fn pipeline(raw: &mut Raw, frames: &[Vec<u8>], expected: &str) {
    let frames = [frames.concat(), message(b'S', b"")].concat();
    let answer = raw.send(&frames).answer();
    compare(expected, &answer, expected);
}

#[test]
fn the_search_path_is_followed_wherever_it_is_set() {
    let (_cluster, house, mut raw) = world();
    check(
        &mut raw,
        &[
            ("SELECT x FROM t", "!42P01"),
            ("SET search_path = a", "I"),
            ("SELECT x FROM t", "1 I"),
            ("SET search_path TO b, public", "I"),
            ("SELECT x FROM t", "2 I"),
            // Within a transaction and back, by its end and by a savepoint.
            ("BEGIN", "T"),
            ("SET LOCAL search_path = a", "T"),
            ("SELECT x FROM t", "1 T"),
            ("ROLLBACK", "I"),
            ("SELECT x FROM t", "2 I"),
            ("BEGIN", "T"),
            ("SAVEPOINT s", "T"),
            ("SET search_path = a", "T"),
            ("SELECT x FROM t", "1 T"),
            ("ROLLBACK TO s", "T"),
            ("SELECT x FROM t", "2 T"),
            ("SET LOCAL search_path = a", "T"),
            ("SELECT x FROM t", "1 T"),
            ("COMMIT", "I"),
            ("SELECT x FROM t", "2 I"),
            // By a function call, of the server's own and of a user's.
            (
                "SELECT pg_catalog.set_config('search_path', 'a', false)",
                "a I",
            ),
            ("SELECT x FROM t", "1 I"),
            ("SELECT public.move_path('b')", "b I"),
            ("SELECT x FROM t", "2 I"),
            // As pg_dump does: then every name needs its schema.
            (
                "SELECT pg_catalog.set_config('search_path', '', false)",
                " I",
            ),
            ("SELECT x FROM t", "!42P01"),
            ("SELECT x FROM a.t", "1 I"),
            ("RESET search_path", "I"),
            ("SELECT name FROM people WHERE id = 1", "name 1 I"),
            ("SET search_path = a", "I"),
            ("DISCARD ALL", "I"),
            ("SELECT name FROM people WHERE id = 1", "name 1 I"),
        ],
    );
    // In one text nothing can be looked up in between, so nothing of it runs.
    check(
        &mut raw,
        &[
            (
                "SET search_path = a; SELECT name FROM people",
                "!may mean something else",
            ),
            ("SHOW search_path", "\"$user\", public I"),
            ("BEGIN; SET LOCAL search_path = a; SAVEPOINT s", "T"),
            ("SELECT x FROM t", "1 T"),
            ("ROLLBACK; SELECT x FROM t", "!may mean something else"),
            ("SELECT x FROM t", "!25P02"),
            ("ROLLBACK", "I"),
        ],
    );
    drop(house);
}

#[test]
fn a_look_leaves_the_clients_transaction_as_it_was() {
    let (_cluster, house, mut raw) = world();
    check(
        &mut raw,
        &[
            ("BEGIN", "T"),
            ("SET LOCAL search_path = a", "T"),
            // Must come before any query: a look would be one.
            ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "T"),
            ("CREATE TABLE c (x int)", "T"),
            ("SELECT x FROM t", "1 T"),
            ("SHOW search_path", "a T"),
            ("SHOW jit", "!on T"),
            ("SELECT 1/0", "!22012"),
            ("SELECT x FROM t", "!25P02"),
            ("SELECT nothing FROM nowhere", "!25P02"),
            ("ROLLBACK", "I"),
            ("SELECT x FROM a.t", "1 I"),
            ("SHOW search_path", "\"$user\", public I"),
        ],
    );
    // The unnamed statement and portal outlive a look.
    pipeline(
        &mut raw,
        &[
            parse("", "SELECT id + $1 FROM people WHERE id = 1"),
            run("SET search_path = b"),
        ],
        "I",
    );
    pipeline(
        &mut raw,
        &[
            parse("s", "SELECT $1 || 'x'"),
            parse("p", "SET search_path = public"),
            bind("", "p", &[], 0),
            execute(""),
            parse("", "SELECT name || $1 FROM people WHERE id = 2"),
            bind("", "", &["!"], 0),
            execute(""),
        ],
        "name 2! I",
    );
    assert_eq!(
        raw.send(
            &[
                parse("", "SELECT name || $1 FROM people WHERE id = 3"),
                message(b'S', b"")
            ]
            .concat()
        )
        .answer(),
        "I"
    );
    check(
        &mut session(&house),
        &[("CREATE TABLE elsewhere (x int)", "I")],
    );
    pipeline(
        &mut raw,
        &[bind("", "", &["?"], 0), execute("")],
        "name 3? I",
    );
}

#[test]
fn a_pipeline_is_followed_step_by_step() {
    let (_cluster, _house, mut raw) = world();
    let steps = [
        run("SET search_path = a"),
        run("SELECT x FROM t"),
        run("SET search_path = b"),
        run("SELECT x FROM t"),
    ];
    pipeline(&mut raw, &steps, "1 2 I");
    let steps = [
        run("CREATE TEMP TABLE t (x int)"),
        run("INSERT INTO t VALUES (5)"),
        run("SELECT x FROM t"),
        run("SELECT x FROM nowhere"),
        run("SELECT x FROM t"),
    ];
    pipeline(&mut raw, &steps, "!42P01");
    // The error undid it all.
    check(&mut raw, &[("SELECT x FROM t", "2 I")]);
    let steps = [
        run("BEGIN"),
        run("CREATE TABLE b.u AS SELECT 8 AS x"),
        run("SELECT x FROM u"),
        run("ALTER TABLE u RENAME x TO y"),
        run("SELECT y FROM u"),
        run("ROLLBACK"),
        run("SELECT x FROM t"),
    ];
    pipeline(&mut raw, &steps, "8 8 2 I");
    check(&mut raw, &[("SELECT y FROM u", "!42P01")]);
    // A portal keeps what its names meant when it was bound.
    check(&mut raw, &[("BEGIN", "T")]);
    let steps = [
        parse("", "SELECT x FROM t"),
        bind("p", "", &[], 0),
        run("SET LOCAL search_path = a"),
        execute("p"),
        run("SELECT x FROM t"),
    ];
    pipeline(&mut raw, &steps, "2 1 T");
}

#[test]
fn a_migration_in_one_transaction() {
    let (_cluster, house, mut raw) = world();
    let mut other = session(&house);
    check(
        &mut raw,
        &[
            ("BEGIN", "T"),
            (
                "CREATE TABLE orders (id serial PRIMARY KEY, person int REFERENCES people, note text)",
                "T",
            ),
            ("INSERT INTO orders (person, note) VALUES (1, 'first')", "T"),
            ("CREATE INDEX orders_note ON orders (note)", "T"),
            ("SELECT note FROM orders", "first T"),
            ("ALTER TABLE orders ADD COLUMN total int DEFAULT 3", "T"),
            ("UPDATE orders SET total = total + 1", "T"),
            ("SELECT total FROM orders", "4 T"),
            ("CREATE VIEW totals AS SELECT total FROM orders", "T"),
            ("SELECT total FROM totals", "4 T"),
            ("SAVEPOINT s", "T"),
            ("ALTER TABLE orders RENAME note TO remark", "T"),
            ("SELECT remark FROM orders", "first T"),
            ("ROLLBACK TO s", "T"),
            ("SELECT note FROM orders", "first T"),
            ("SELECT remark FROM orders", "!42703"),
            ("ROLLBACK TO s", "T"),
            ("RELEASE s", "T"),
            ("SELECT note FROM orders", "first T"),
        ],
    );
    check(&mut other, &[("SELECT note FROM orders", "!42P01")]);
    check(
        &mut raw,
        &[("COMMIT", "I"), ("SELECT note FROM orders", "first I")],
    );
    check(&mut other, &[("SELECT note FROM orders", "first I")]);
    check(
        &mut raw,
        &[
            ("BEGIN", "T"),
            ("DROP VIEW totals", "T"),
            ("DROP TABLE orders", "T"),
            ("SELECT note FROM orders", "!42P01"),
            ("ROLLBACK", "I"),
            ("SELECT total FROM totals", "4 I"),
        ],
    );
}

#[test]
fn temporary_tables_are_this_sessions_and_come_first() {
    let (_cluster, house, mut raw) = world();
    let mut other = session(&house);
    check(
        &mut raw,
        &[
            ("CREATE TEMP TABLE people (id int, name text)", "I"),
            ("INSERT INTO people VALUES (1, 'mine')", "I"),
            ("SELECT name FROM people WHERE id = 1", "mine I"),
            ("SELECT name FROM pg_temp.people", "mine I"),
            ("SELECT name FROM public.people WHERE id = 1", "name 1 I"),
            ("ALTER TABLE people RENAME name TO nick", "I"),
            ("SELECT nick FROM people", "mine I"),
            ("SELECT name FROM people", "!42703"),
            ("BEGIN", "T"),
            (
                "CREATE TEMP TABLE short ON COMMIT DROP AS SELECT 3 AS y",
                "T",
            ),
            ("SELECT y FROM short", "3 T"),
            ("COMMIT", "I"),
            ("SELECT y FROM short", "!42P01"),
            ("SELECT nick FROM people", "mine I"),
        ],
    );
    check(
        &mut other,
        &[("SELECT name FROM people WHERE id = 1", "name 1 I")],
    );
    // What others do is seen too.
    check(&mut other, &[("CREATE TABLE fresh AS SELECT 4 AS z", "I")]);
    check(&mut raw, &[("SELECT z FROM fresh", "4 I")]);
    // Also what everybody's catalog has come to show since: it was once asked for the path for ever.
    check(
        &mut other,
        &[
            ("CREATE TABLE fresher AS SELECT 5 AS z", "I"),
            ("SELECT z FROM fresher", "5 I"),
        ],
    );
    check(
        &mut raw,
        &[
            ("SELECT nick FROM people", "mine I"),
            ("SELECT z FROM fresher", "5 I"),
            ("DROP TABLE people", "I"),
            ("SELECT name FROM people WHERE id = 1", "name 1 I"),
            ("SELECT make_temp()", "0 I"),
            ("SELECT x FROM t", "7 I"),
            ("SET search_path = a, pg_temp", "I"),
            ("SELECT x FROM t", "1 I"),
            ("CREATE TABLE unclear (x int)", "!names pg_temp"),
            ("RESET search_path", "I"),
            ("SELECT x FROM t", "7 I"),
            ("DISCARD TEMP", "I"),
            ("SELECT x FROM t", "!42P01"),
            ("BEGIN", "T"),
            ("CREATE TEMP TABLE gone (x int)", "T"),
            ("ROLLBACK", "I"),
            ("SELECT x FROM gone", "!42P01"),
        ],
    );
}

#[test]
fn no_mask_is_shed_by_a_change_that_nobody_else_sees() {
    let (_cluster, house, mut raw) = world();
    house.policy.swap(mask_ssn("masked"));
    check(
        &mut raw,
        &[
            ("SELECT ssn FROM people WHERE id = 1", "[redacted] I"),
            ("CREATE TEMP TABLE copy AS SELECT ssn FROM people", "!42501"),
            ("SELECT ssn INTO TEMP copy FROM people", "!42501"),
            (
                "CREATE TEMP VIEW copy AS SELECT ssn AS code FROM people",
                "!42501",
            ),
            ("CREATE TEMP TABLE notes (body text)", "I"),
            ("INSERT INTO notes SELECT ssn FROM people", "!42501"),
            (
                "ALTER TABLE people RENAME ssn TO number",
                "!schema change can move masked values",
            ),
            ("DROP TABLE notes", "I"),
        ],
    );
    // Renamed while no mask bound: the class sticks, to who sees the change first.
    house.policy.swap(allow_everything("open"));
    check(
        &mut raw,
        &[
            ("BEGIN", "T"),
            ("ALTER TABLE people RENAME TO persons", "T"),
            ("CREATE TEMP TABLE people (ssn text)", "T"),
            ("ALTER TABLE persons RENAME ssn TO number", "T"),
            ("SAVEPOINT s", "T"),
        ],
    );
    house.policy.swap(mask_ssn("masked again"));
    check(
        &mut raw,
        &[
            ("SELECT name FROM persons WHERE id = 1", "name 1 T"),
            ("SELECT upper(number) FROM persons", "!was renamed"),
            ("ROLLBACK", "I"),
            ("SELECT ssn FROM people WHERE id = 1", "[redacted] I"),
        ],
    );
    // The server goes on with what a prepared statement's names meant, though something hides the table since.
    pipeline(
        &mut raw,
        &[parse("s", "SELECT upper(ssn) FROM people WHERE id = 1")],
        "I",
    );
    pipeline(
        &mut raw,
        &[bind("", "s", &[], 0), execute("")],
        "[redacted] I",
    );
    check(
        &mut raw,
        &[("CREATE TEMP TABLE people (id int, ssn text)", "I")],
    );
    pipeline(
        &mut raw,
        &[bind("", "s", &[], 0), execute("")],
        "!0A000 cached plan",
    );
    check(
        &mut raw,
        &[
            ("PREPARE q AS SELECT upper(ssn) FROM people", "I"),
            ("EXECUTE s", "!0A000 cached plan"),
            ("DROP TABLE people", "I"),
            ("EXECUTE s", "[redacted] I"),
        ],
    );
    let records = house.stop();
    assert!(!records.contains("000-00-1"), "{records}");
}

#[test]
fn prepared_statements_have_one_table_of_names() {
    let (_cluster, house, mut raw) = world();
    check(
        &mut raw,
        &[
            (
                "PREPARE p (int) AS SELECT name FROM people WHERE id = $1",
                "I",
            ),
            ("EXECUTE p(1)", "name 1 I"),
            ("EXECUTE p(2)", "name 2 I"),
            ("PREPARE p AS SELECT 1", "!42P05"),
            ("EXECUTE q", "!26000"),
        ],
    );
    pipeline(
        &mut raw,
        &[bind("", "p", &["3"], 0), execute("")],
        "name 3 I",
    );
    pipeline(
        &mut raw,
        &[parse("q", "SELECT name FROM people WHERE id = $1::int")],
        "I",
    );
    check(
        &mut raw,
        &[
            ("EXECUTE q(4)", "name 4 I"),
            // Not undone with the transaction.
            ("BEGIN", "T"),
            ("PREPARE r AS SELECT name FROM people WHERE id = 5", "T"),
            ("ROLLBACK", "I"),
            ("EXECUTE r", "name 5 I"),
            ("PREPARE broken AS SELECT nothing FROM nowhere", "!42P01"),
            ("EXECUTE broken", "!26000"),
            // By its path of now, and its schema of now.
            ("PREPARE t AS SELECT x FROM t", "!42P01"),
            ("SET search_path = a", "I"),
            ("PREPARE t AS SELECT x FROM t", "I"),
            ("EXECUTE t", "1 I"),
            ("SET search_path = b", "I"),
            ("EXECUTE t", "2 I"),
            ("ALTER TABLE b.t ADD COLUMN y int", "I"),
            ("EXECUTE t", "2 I"),
            ("RESET search_path", "I"),
            ("DEALLOCATE p", "I"),
            ("EXECUTE p(1)", "!26000"),
        ],
    );
    pipeline(&mut raw, &[bind("", "p", &["3"], 0), execute("")], "!26000");
    let steps = [
        run("PREPARE s AS SELECT name FROM people WHERE id = 6"),
        run("EXECUTE s"),
        bind("", "s", &[], 0),
        execute(""),
        run("DEALLOCATE ALL"),
        run("SELECT 1"),
        run("EXECUTE s"),
    ];
    pipeline(&mut raw, &steps, "!26000");
    house.policy.swap(mask_ssn("masked"));
    check(
        &mut raw,
        &[
            ("PREPARE m AS SELECT ssn FROM people WHERE id = 1", "I"),
            ("EXECUTE m", "[redacted] I"),
            ("EXECUTE q(4)", "!26000"),
        ],
    );
    pipeline(
        &mut raw,
        &[bind("", "m", &[], 1), execute("")],
        "[redacted] I",
    );
    pipeline(&mut raw, &[run("EXECUTE m")], "[redacted] I");
    assert!(!house.stop().contains("000-00-1"));
}

#[test]
fn cursors_are_masked_by_the_query_they_were_declared_for() {
    let (_cluster, house, mut raw) = world();
    house.policy.swap(mask_ssn("masked"));
    check(
        &mut raw,
        &[
            ("FETCH ALL FROM c", "!34000"),
            ("BEGIN", "T"),
            (
                "DECLARE c CURSOR FOR SELECT ssn FROM people ORDER BY id",
                "T",
            ),
            ("FETCH 2 FROM c", "[redacted] [redacted] T"),
            ("MOVE 1 FROM c", "T"),
            (
                "DECLARE d SCROLL CURSOR FOR SELECT name FROM people ORDER BY id",
                "T",
            ),
            ("FETCH LAST FROM d", "name 9 T"),
            ("FETCH FIRST FROM d", "name 1 T"),
        ],
    );
    pipeline(&mut raw, &[run("FETCH 1 FROM c")], "[redacted] T");
    pipeline(
        &mut raw,
        &[
            parse("", "FETCH 1 FROM c"),
            bind("", "", &[], 1),
            execute(""),
        ],
        "[redacted] T",
    );
    // Protocol and SQL share the names of portals, too.
    pipeline(
        &mut raw,
        &[execute("c")],
        "[redacted] [redacted] [redacted] [redacted] T",
    );
    pipeline(
        &mut raw,
        &[
            parse("", "SELECT ssn FROM people ORDER BY id"),
            bind("p", "", &[], 0),
        ],
        "T",
    );
    check(
        &mut raw,
        &[
            ("FETCH 1 FROM p", "[redacted] T"),
            ("CLOSE p", "T"),
            ("FETCH 1 FROM p", "!34000"),
            ("ROLLBACK", "I"),
            ("FETCH 1 FROM c", "!34000"),
            // With savepoints, and beyond the transaction.
            ("BEGIN", "T"),
            (
                "DECLARE before SCROLL CURSOR FOR SELECT name FROM people ORDER BY id",
                "T",
            ),
            ("SAVEPOINT s", "T"),
            ("DECLARE c CURSOR FOR SELECT ssn FROM people", "T"),
            ("ROLLBACK TO s", "T"),
            ("FETCH 1 FROM before", "name 1 T"),
            ("FETCH 1 FROM c", "!34000"),
            ("ROLLBACK", "I"),
            ("BEGIN", "T"),
            (
                "DECLARE h CURSOR WITH HOLD FOR SELECT ssn FROM people ORDER BY id",
                "T",
            ),
            ("COMMIT", "I"),
            ("FETCH 1 FROM h", "[redacted] I"),
        ],
    );
    house.policy.swap(deny_everything("nothing"));
    check(&mut raw, &[("FETCH 1 FROM h", "!42501")]);
    house.policy.swap(mask_ssn("masked again"));
    check(
        &mut raw,
        &[
            ("FETCH 1 FROM h", "[redacted] I"),
            ("CLOSE ALL", "I"),
            ("FETCH 1 FROM h", "!34000"),
        ],
    );
    let steps = [
        run("BEGIN"),
        run("DECLARE c CURSOR FOR SELECT ssn FROM people"),
        run("FETCH 1 FROM c"),
        run("CLOSE c"),
        run("FETCH 1 FROM c"),
    ];
    pipeline(&mut raw, &steps, "!34000");
    assert!(!house.stop().contains("000-00-1"));
}

#[test]
fn whoever_is_allowed_anything_gets_the_servers_own_words() {
    let (_cluster, house, mut raw) = world();
    let readable = [
        ("SELECT nam FROM people", "!42703"),
        ("DROP TABLE a.t; SELECT 1", "!can't share its text"),
        ("SET search_path = a; SELECT x FROM t", "!42P01"),
    ];
    check(&mut raw, &readable);
    let call = message(b'F', &[0, 0, 0x07, 0xea, 0, 0, 0, 0, 0, 0]);
    let answer = raw.send(&call).answer();
    assert!(answer.contains("42501"), "{answer}");
    house.policy.swap(allow_anything("two"));
    check(
        &mut raw,
        &[
            ("SELECT nam FROM people", "!42703"),
            ("SELECT 1 FRM x", "!42601"),
            ("SET search_path = a; SELECT x FROM t", "1 I"),
            ("SELECT x FROM t", "1 I"),
            ("RESET search_path", "I"),
            (
                "CREATE TABLE many (y int); INSERT INTO many VALUES (5); SELECT y FROM many",
                "5 I",
            ),
            ("SELECT y FROM many", "5 I"),
            // The role is for a rule to allow, and the session lives on as somebody else.
            ("CREATE ROLE somebody", "I"),
            ("SET ROLE somebody", "I"),
            ("SELECT current_user", "somebody I"),
            ("SELECT y FROM many", "!42501"),
            ("RESET ROLE", "I"),
            // What the gateway holds stays held, whatever is allowed.
            ("SET standard_conforming_strings = off", "!42501"),
            ("SET NAMES 'latin1'", "!42501"),
            ("SELECT y FROM many", "5 I"),
        ],
    );
    let answer = raw.send(&call).answer();
    assert!(!answer.contains("42501"), "{answer}");
    house.policy.swap(mask_ssn("three"));
    check(
        &mut raw,
        &[
            ("SELECT nothing FROM nowhere", "!42P01"),
            ("DROP TABLE many; SELECT 1", "!can't share its text"),
        ],
    );
}

/// The server deparses a view by the newest names. A snapshot that is older shows others, and the two make no catalog.
#[test]
fn a_definition_by_newer_names_than_the_snapshots_is_none() {
    let (cluster, house, mut raw) = world();
    house.policy.swap(mask_ssn("masked"));
    let run = |sql: &str| cluster.execute("postgres", sql).unwrap();
    run(
        "CREATE TABLE other AS SELECT 1 AS id, 'else'::text AS name; CREATE VIEW names AS SELECT id, name FROM people",
    );
    let swap = "BEGIN; ALTER TABLE people RENAME TO was; ALTER TABLE other RENAME TO people; ALTER TABLE was RENAME TO other; COMMIT";
    let ask = "SELECT name FROM names WHERE id = 1";
    check(
        &mut raw,
        &[
            ("BEGIN ISOLATION LEVEL REPEATABLE READ", "T"),
            ("CREATE TEMP TABLE mine AS SELECT 7 AS x", "T"),
            ("SELECT x FROM mine", "7 T"),
            (ask, "name 1 T"),
            ("ROLLBACK", "I"),
            ("BEGIN ISOLATION LEVEL REPEATABLE READ", "T"),
            ("CREATE TEMP TABLE mine AS SELECT 7 AS x", "T"),
            ("SELECT x FROM mine", "7 T"),
        ],
    );
    run(swap);
    check(
        &mut raw,
        &[(ask, "!55000"), ("ROLLBACK", "I"), (ask, "name 1 I")],
    );
    // In a snapshot for each statement they are of one moment.
    check(
        &mut raw,
        &[
            ("BEGIN", "T"),
            ("CREATE TEMP TABLE mine AS SELECT 7 AS x", "T"),
            ("SELECT x FROM mine", "7 T"),
        ],
    );
    run(swap);
    check(&mut raw, &[(ask, "name 1 T"), ("ROLLBACK", "I")]);
    raw.finish();
    house.stop();
}

/// What is temporary goes by another name at each place where the server tells one.
#[test]
fn definitions_of_temporary_views_call_temporary_things() {
    let (_cluster, house, mut raw) = world();
    check(
        &mut raw,
        &[
            ("CREATE TEMP TABLE \"My x\" AS SELECT 7 AS \"a b\"", "I"),
            ("CREATE TYPE pg_temp.pair AS (x int)", "I"),
            (
                "CREATE FUNCTION pg_temp.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1'",
                "I",
            ),
            (
                "CREATE OPERATOR pg_temp.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
                "I",
            ),
            (
                "CREATE TEMP VIEW mine AS SELECT pg_temp.twice(\"a b\") AS x, NULL::pg_temp.pair AS y, 1 OPERATOR(pg_temp.===) 1 AS z FROM \"My x\"",
                "I",
            ),
        ],
    );
    // Who is bound by a mask is refused what can't be read.
    house.policy.swap(mask_ssn("masked"));
    check(&mut raw, &[("SELECT x FROM mine", "14 I")]);
    raw.finish();
    house.stop();
}

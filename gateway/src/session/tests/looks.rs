//! The gateway's own questions in the midst of a client's frames, and names that SQL gives.

use expect_test::expect;

use super::harness::{Step::*, *};

/// The server's answer to a question of one statement, but for what ends it.
fn seen(text: &str) -> Vec<Vec<u8>> {
    vec![
        bare('1'),
        bare('2'),
        row(&[Some(text)]),
        complete("SELECT 1"),
        bare('3'),
        bare('3'),
    ]
}

fn then(mut frames: Vec<Vec<u8>>, last: Vec<u8>) -> Vec<Vec<u8>> {
    frames.push(last);
    frames
}

#[test]
fn what_follows_a_move_waits_for_a_look() {
    case(
        "simple: asked with a Sync of its own, and nothing of the answer is the client's",
        &[
            Client(vec![query("moves"), query("select")]),
            Server(vec![complete("SET"), ready('T')]),
            Server(then(seen("path"), ready('T'))),
            Server(vec![complete("SELECT 1"), ready('T')]),
        ],
        expect![[r#"
            client
                permit 1 query moves
                touched
              > Query(moves)
              stalled
            server
                end 1 Completed rows=0 bytes=0
                status T
              > Parse(OWN: PATH)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Sync
              < C SET
              < Z T
              stalled
            server
                looked Path Ok("path")
                permit 2 query select
              > Query(select)
            server
                end 2 Completed rows=1 bytes=0
                status T
              < C SELECT 1
              < Z T
        "#]],
    );
    case(
        "what names nothing goes first",
        &[
            Client(vec![query("moves"), query("free"), query("select")]),
            Server(vec![
                complete("SET"),
                ready('I'),
                complete("FREE"),
                ready('I'),
            ]),
            Server(then(seen("path"), ready('I'))),
        ],
        expect![[r#"
            client
                permit 1 query moves
                touched
                permit 2 query free
              > Query(moves)
              > Query(free)
              stalled
            server
                end 1 Completed rows=0 bytes=0
                status I
                end 2 Completed rows=0 bytes=0
                status I
              > Parse(OWN: PATH)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Sync
              < C SET
              < Z I
              < C FREE
              < Z I
              stalled
            server
                looked Path Ok("path")
                permit 3 query select
              > Query(select)
        "#]],
    );
    case(
        "in the midst of a segment it is asked with a Flush",
        &[
            Client(vec![
                parse("", "moves"),
                bind("", ""),
                execute("", 0),
                parse("", "select"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            Server(vec![bare('1'), bare('2')]),
            Server(vec![complete("SET")]),
            Server(seen("path")),
            Server(vec![bare('1'), bare('2'), complete("SELECT 1"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare moves
                permit 2 bind moves
                touched
              > Parse(: moves)
              > Bind( = )
              > Execute()
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
              < 1
              < 2
              stalled
            server
                end 2 Completed rows=0 bytes=0
              > Parse(OWN: PATH)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              < C SET
              stalled
            server
                looked Path Ok("path")
                permit 3 prepare select
                permit 4 bind select
              > Parse(: select)
              > Bind( = )
              > Execute()
              > Sync
            server
                end 3 Completed rows=0 bytes=0
                end 4 Completed rows=1 bytes=0
                status I
              < 1
              < 2
              < C SELECT 1
              < Z I
        "#]],
    );
}

#[test]
fn a_look_that_fails_refuses_what_waits() {
    case(
        "between segments: the stand-in's error is told as ever",
        &[
            Client(vec![query("moves"), query("select")]),
            Server(vec![complete("SET"), ready('T')]),
            Server(vec![error("57014", "too slow"), ready('E')]),
            Server(vec![missing("42601", 0), ready('E')]),
            Client(vec![query("rollback")]),
        ],
        expect![[r#"
            client
                permit 1 query moves
                touched
              > Query(moves)
              stalled
            server
                end 1 Completed rows=0 bytes=0
                status T
              > Parse(OWN: PATH)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Sync
              < C SET
              < Z T
              stalled
            server
                status E
                looked Path Err(Unseen { sqlstate: "57014" })
                refuse query select
              > Query(DENIED00)
            server
                status E
              < E S=ERROR C=42501 M=no select D=because
              < Z E
            client
                permit 2 query rollback
              > Query(rollback)
        "#]],
    );
    case(
        "in the midst of one: the server skips to the Sync, so the error is told at once",
        &[
            Client(vec![
                parse("", "moves"),
                bind("", ""),
                execute("", 0),
                parse("", "select"),
                bind("", ""),
                execute("", 0),
                sync(),
                query("free"),
            ]),
            Server(vec![bare('1'), bare('2'), complete("SET")]),
            Server(vec![bare('1'), error("57014", "too slow")]),
            Server(vec![ready('I'), complete("FREE"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare moves
                permit 2 bind moves
                touched
              > Parse(: moves)
              > Bind( = )
              > Execute()
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
                end 2 Completed rows=0 bytes=0
              > Parse(OWN: PATH)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              < 1
              < 2
              < C SET
              stalled
            server
                looked Path Err(Unseen { sqlstate: "57014" })
                refuse prepare select
                permit 3 query free
              > Sync
              > Query(free)
              < E S=ERROR C=42501 M=no select D=because
            server
                status I
                end 3 Completed rows=0 bytes=0
                status I
              < Z I
              < C FREE
              < Z I
        "#]],
    );
    case(
        "its time is up",
        &[
            Client(vec![query("moves"), query("select")]),
            Server(vec![complete("SET"), ready('I')]),
            TimeUp(0),
            TimeUp(29_000),
            TimeUp(30_001),
        ],
        expect![[r#"
            client
                permit 1 query moves
                touched
              > Query(moves)
              stalled
            server
                end 1 Completed rows=0 bytes=0
                status I
              > Parse(OWN: PATH)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Sync
              < C SET
              < Z I
              stalled
            after 0 ms: not up
            after 29000 ms: not up
            after 30001 ms: up
        "#]],
    );
}

#[test]
fn names_that_sql_gives_are_the_protocols() {
    case(
        "prepared: what follows waits, and binds it",
        &[
            Client(vec![
                query("names x"),
                bind("", "x"),
                execute("", 0),
                sync(),
            ]),
            Server(vec![complete("PREPARE")]),
            Server(vec![ready('I')]),
            Server(vec![bare('2'), complete("SELECT 1"), ready('I')]),
            Client(vec![query("fetch")]),
        ],
        expect![[r#"
            client
                permit 1 query names x
              > Query(names x)
              stalled
            server
                end 1 Completed rows=0 bytes=0
                permit 2 bind what x is
              > Bind( = x)
              > Execute()
              > Sync
              < C PREPARE
            server
                status I
              < Z I
            server
                end 2 Completed rows=1 bytes=0
                status I
              < 2
              < C SELECT 1
              < Z I
            client
                names [("x", "what x is")]
                permit 3 query fetch
              > Query(fetch)
        "#]],
    );
    case(
        "a PREPARE that failed names nothing",
        &[
            Client(vec![query("names x"), bind("", "x"), sync()]),
            Server(vec![error("42P05", "exists")]),
            Server(vec![ready('I')]),
            Server(vec![missing("26000", 0), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 query names x
              > Query(names x)
              stalled
            server
                end 1 Failed rows=0 bytes=0 42P05
                session refuses 26000
              > Bind( = DENIED00)
              > Sync
              < E S=ERROR C=42P05 M=exists D=value 123-45-6789 t=people
            server
                status I
              < Z I
            server
                status I
              < E S=ERROR C=26000 M=prepared statement "x" does not exist
              < Z I
        "#]],
    );
    case(
        "a cursor lives as long as its transaction; held, longer, if that commits",
        &[
            Client(vec![query("declare names c")]),
            Server(vec![complete("DECLARE CURSOR"), ready('T')]),
            Client(vec![query("hold declare names h")]),
            Server(vec![complete("DECLARE CURSOR"), ready('T')]),
            Client(vec![execute("c", 0), sync(), query("fetch one")]),
            Server(vec![complete("SELECT 1"), ready('T')]),
            Server(vec![complete("FETCH 1"), ready('T')]),
            Client(vec![query("commit"), query("fetch two")]),
            Server(vec![complete("COMMIT"), ready('I')]),
            Server(vec![complete("FETCH 1"), ready('I')]),
            Client(vec![query("hold declare names i")]),
            Server(vec![complete("DECLARE CURSOR"), ready('T')]),
            Client(vec![query("rollback"), query("fetch three")]),
            Server(vec![complete("ROLLBACK"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 query declare names c
              > Query(declare names c)
              stalled
            server
                end 1 Completed rows=0 bytes=0
                status T
              < C DECLARE CURSOR
              < Z T
            client
                permit 2 query hold declare names h
              > Query(hold declare names h)
              stalled
            server
                end 2 Completed rows=0 bytes=0
                status T
              < C DECLARE CURSOR
              < Z T
            client
                permit 3 again what c is
              > Execute(c)
              > Sync
              stalled
            server
                end 3 Completed rows=1 bytes=0
                status T
                names [("c", "what c is"), ("h", "what h is")]
                permit 4 query fetch one
              > Query(fetch one)
              < C SELECT 1
              < Z T
            server
                end 4 Completed rows=1 bytes=0
                status T
              < C FETCH 1
              < Z T
            client
                permit 5 query commit
              > Query(commit)
              stalled
            server
                end 5 Completed rows=0 bytes=0
                status I
                names [("h", "what h is")]
                permit 6 query fetch two
              > Query(fetch two)
              < C COMMIT
              < Z I
            server
                end 6 Completed rows=1 bytes=0
                status I
              < C FETCH 1
              < Z I
            client
                permit 7 query hold declare names i
              > Query(hold declare names i)
              stalled
            server
                end 7 Completed rows=0 bytes=0
                status T
              < C DECLARE CURSOR
              < Z T
            client
                permit 8 query rollback
              > Query(rollback)
              stalled
            server
                end 8 Completed rows=0 bytes=0
                status I
                names [("h", "what h is")]
                permit 9 query fetch three
              > Query(fetch three)
              < C ROLLBACK
              < Z I
        "#]],
    );
    case(
        "what was made since a savepoint goes with it",
        &[
            Client(vec![query("declare names c")]),
            Server(vec![complete("DECLARE CURSOR"), ready('T')]),
            Client(vec![query("savepoint a")]),
            Server(vec![complete("SAVEPOINT"), ready('T')]),
            Client(vec![query("declare names d")]),
            Server(vec![complete("DECLARE CURSOR"), ready('T')]),
            Client(vec![query("savepoint back")]),
            Server(vec![complete("ROLLBACK"), ready('T')]),
            Client(vec![query("fetch")]),
        ],
        expect![[r#"
            client
                permit 1 query declare names c
              > Query(declare names c)
              stalled
            server
                end 1 Completed rows=0 bytes=0
                status T
              < C DECLARE CURSOR
              < Z T
            client
                permit 2 query savepoint a
              > Query(savepoint a)
            server
                end 2 Completed rows=0 bytes=0
                status T
              < C SAVEPOINT
              < Z T
            client
                permit 3 query declare names d
              > Query(declare names d)
              stalled
            server
                end 3 Completed rows=0 bytes=0
                status T
              < C DECLARE CURSOR
              < Z T
            client
                permit 4 query savepoint back
              > Query(savepoint back)
            server
                end 4 Completed rows=0 bytes=0
                status T
              < C ROLLBACK
              < Z T
            client
                names [("c", "what c is")]
                permit 5 query fetch
              > Query(fetch)
        "#]],
    );
}

//! Results that a limit of policy ends, and results recorded by digest, as scripts.

use expect_test::expect;

use super::harness::{Step::*, *};

const AGREED: &[(u32, i16, u32, i16)] = &[(7, 1, 25, 0), (7, 2, 25, 0)];

#[test]
fn rows_are_limited() {
    case(
        "simple: the rows of the limit, an error, and a session that goes on",
        &[
            Client(vec![query("rows=2"), query("after")]),
            Server(vec![
                row(&[Some("a")]),
                row(&[Some("b")]),
                row(&[Some("c")]),
                row(&[Some("d")]),
                complete("SELECT 4"),
                ready('I'),
                complete("SELECT 0"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query rows=2
                permit 2 query after
              > Query(rows=2)
              > Query(after)
            server
                end 1 Cut rows=2 bytes=14 54000
                status I
                end 2 Completed rows=0 bytes=0
                status I
              < D a
              < D b
              < E S=ERROR C=54000 M=the result is limited to 2 rows by policy D=the limit is on rows per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
              < Z I
              < C SELECT 0
              < Z I
        "#]],
    );
    case(
        "as many rows as the limit are none too many",
        &[
            Client(vec![query("rows=2")]),
            Server(vec![
                row(&[Some("a")]),
                row(&[Some("b")]),
                complete("SELECT 2"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query rows=2
              > Query(rows=2)
            server
                end 1 Completed rows=2 bytes=14
                status I
              < D a
              < D b
              < C SELECT 2
              < Z I
        "#]],
    );
    case(
        "a portal that is fetched from in parts: rows of all parts count, and it gives none after its end",
        &[
            Client(vec![
                parse("s", "rows=3"),
                bind("p", "s"),
                execute("p", 2),
                flush(),
            ]),
            Server(vec![
                bare('1'),
                bare('2'),
                row(&[Some("a")]),
                row(&[Some("b")]),
                bare('s'),
            ]),
            Client(vec![execute("p", 2), sync()]),
            Server(vec![
                row(&[Some("c")]),
                row(&[Some("d")]),
                bare('s'),
                ready('T'),
            ]),
            Client(vec![execute("p", 2), sync()]),
            Server(vec![missing("34000", 0), ready('E')]),
        ],
        expect![[r#"
            client
                permit 1 prepare rows=3
                permit 2 bind rows=3
              > Parse(s: rows=3)
              > Bind(p = s)
              > Execute(p)
              > Flush
            server
                end 1 Completed rows=0 bytes=0
              < 1
              < 2
              < D a
              < D b
              < s
            client
              > Execute(p)
              > Sync
            server
                end 2 Cut rows=3 bytes=21 54000
                status T
              < D c
              < E S=ERROR C=54000 M=the result is limited to 3 rows by policy D=the limit is on rows per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
              < Z T
            client
                session refuses 55000
              > Execute(DENIED00)
              > Sync
            server
                status E
              < E S=ERROR C=55000 M=the result of this portal was stopped, so it gives no more rows H=bind the statement again
              < Z E
        "#]],
    );
    case(
        "the same under a new decision",
        &[
            Client(vec![
                parse("s", "rows=3"),
                bind("p", "s"),
                execute("p", 2),
                flush(),
            ]),
            Server(vec![
                bare('1'),
                bare('2'),
                row(&[Some("a")]),
                row(&[Some("b")]),
                bare('s'),
            ]),
            Stale,
            Client(vec![execute("p", 0), sync()]),
            Server(vec![
                row(&[Some("c")]),
                row(&[Some("d")]),
                complete("SELECT 2"),
                ready('T'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 prepare rows=3
                permit 2 bind rows=3
              > Parse(s: rows=3)
              > Bind(p = s)
              > Execute(p)
              > Flush
            server
                end 1 Completed rows=0 bytes=0
              < 1
              < 2
              < D a
              < D b
              < s
            client
                permit 3 again rows=3
                end 2 Completed rows=2 bytes=14
              > Execute(p)
              > Sync
            server
                end 3 Cut rows=1 bytes=7 54000
                status T
              < D c
              < E S=ERROR C=54000 M=the result is limited to 3 rows by policy D=the limit is on rows per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
              < Z T
        "#]],
    );
    case(
        "COPY TO: its messages are its rows",
        &[
            Client(vec![query("copyout rows=1")]),
            Server(vec![
                raw('H', &[0, 0, 1, 0, 0]),
                raw('d', b"a\n"),
                raw('d', b"b\n"),
                bare('c'),
                complete("COPY 2"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query copyout rows=1
              > Query(copyout rows=1)
            server
                end 1 Cut rows=1 bytes=2 54000
                status I
              < H 
              < d a
              < E S=ERROR C=54000 M=the result is limited to 1 rows by policy D=the limit is on rows per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
              < Z I
        "#]],
    );
}

#[test]
fn bytes_are_limited() {
    case(
        "a row that would go over is not shown",
        &[
            Client(vec![query("bytes=20")]),
            Server(vec![
                row(&[Some("four")]),
                row(&[Some("four")]),
                row(&[Some("x")]),
                complete("SELECT 3"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query bytes=20
              > Query(bytes=20)
            server
                end 1 Cut rows=2 bytes=20 54000
                status I
              < D four
              < D four
              < E S=ERROR C=54000 M=the result is limited to 20 bytes by policy D=the limit is on bytes per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
              < Z I
        "#]],
    );
    case(
        "masked values count as they are shown, and a row that is not shown has none masked",
        &[
            Client(vec![query("masked bytes=50")]),
            Server(vec![
                description(AGREED),
                row(&[
                    Some("ann"),
                    Some("123-45-6789, and much more that nobody will see"),
                ]),
                row(&[Some("bob"), Some("1")]),
                row(&[Some("cy"), Some("1")]),
                complete("SELECT 3"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query masked bytes=50
              > Query(masked bytes=50)
            server
                end 1 Cut rows=2 bytes=46 54000 masked=[(1, 2)]
                status I
              < T 2 columns
              < D ann|[redacted]
              < D bob|[redacted]
              < E S=ERROR C=54000 M=the result is limited to 50 bytes by policy D=the limit is on bytes per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
              < Z I
        "#]],
    );
}

#[test]
fn digests_are_of_what_the_client_got() {
    // The frames that the client gets in the cases below, by another way.
    let shown = [
        row(&[Some("ann"), Some("[redacted]")]),
        row(&[Some("bob"), None]),
    ];
    assert_eq!(digest(&shown), "9483");
    assert_eq!(digest(&[raw('d', b"a\n")]), "2314");
    assert_eq!(digest(&[]), "af13");
    case(
        "masked",
        &[
            Client(vec![query("masked digest")]),
            Server(vec![
                description(AGREED),
                row(&[Some("ann"), Some("123-45-6789")]),
                row(&[Some("bob"), None]),
                complete("SELECT 2"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query masked digest
              > Query(masked digest)
            server
                end 1 Completed rows=2 bytes=36 digest=9483 masked=[(1, 1)]
                status I
              < T 2 columns
              < D ann|[redacted]
              < D bob|NULL
              < C SELECT 2
              < Z I
        "#]],
    );
    case(
        "plain",
        &[
            Client(vec![query("digest")]),
            Server(vec![
                row(&[Some("ann"), Some("[redacted]")]),
                row(&[Some("bob"), None]),
                complete("SELECT 2"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query digest
              > Query(digest)
            server
                end 1 Completed rows=2 bytes=36 digest=9483
                status I
              < D ann|[redacted]
              < D bob|NULL
              < C SELECT 2
              < Z I
        "#]],
    );
    case(
        "a result that was cut: of what came before",
        &[
            Client(vec![query("digest rows=2")]),
            Server(vec![
                row(&[Some("ann"), Some("[redacted]")]),
                row(&[Some("bob"), None]),
                row(&[Some("cy"), None]),
                complete("SELECT 3"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query digest rows=2
              > Query(digest rows=2)
            server
                end 1 Cut rows=2 bytes=36 54000 digest=9483
                status I
              < D ann|[redacted]
              < D bob|NULL
              < E S=ERROR C=54000 M=the result is limited to 2 rows by policy D=the limit is on rows per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
              < Z I
        "#]],
    );
    case(
        "COPY TO, and a statement without a result",
        &[
            Client(vec![query("copyout digest")]),
            Server(vec![
                raw('H', &[0, 0, 1, 0, 0]),
                raw('d', b"a\n"),
                bare('c'),
                complete("COPY 1"),
                ready('I'),
            ]),
            Client(vec![query("insert digest")]),
            Server(vec![complete("INSERT 0 1"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 query copyout digest
              > Query(copyout digest)
            server
                end 1 Completed rows=1 bytes=2 digest=2314
                status I
              < H 
              < d a
              < c
              < C COPY 1
              < Z I
            client
                permit 2 query insert digest
              > Query(insert digest)
            server
                end 2 Completed rows=1 bytes=0 digest=af13
                status I
              < C INSERT 0 1
              < Z I
        "#]],
    );
}

fn digest(frames: &[Vec<u8>]) -> String {
    let digest = blake3::hash(&frames.concat());
    digest.to_hex().as_str()[..4].to_owned()
}

#[test]
fn time_is_up_once_and_the_servers_cancel_is_told_as_policy() {
    case(
        "simple: the one behind it has time of its own",
        &[
            Client(vec![query("time=5"), query("time=7")]),
            TimeUp(0),
            TimeUp(4),
            TimeUp(5),
            TimeUp(6),
            Server(vec![
                error("57014", "canceling statement due to user request"),
                ready('I'),
            ]),
            TimeUp(7),
            TimeUp(13),
            TimeUp(14),
            Server(vec![complete("SELECT 0"), ready('I')]),
            TimeUp(100),
        ],
        expect![[r#"
            client
                permit 1 query time=5
                permit 2 query time=7
              > Query(time=5)
              > Query(time=7)
            after 0 ms: not up
            after 4 ms: not up
            after 5 ms: up
            after 6 ms: not up
            server
                end 1 Cut rows=0 bytes=0 57014
                status I
              < E S=ERROR C=57014 M=the statement's time is limited to 5 ms by policy D=the server was asked to cancel it when its time was up, and did H=ask for less: a narrower WHERE, fewer joins, a LIMIT
              < Z I
            after 7 ms: not up
            after 13 ms: not up
            after 14 ms: up
            server
                end 2 Completed rows=0 bytes=0
                status I
              < C SELECT 0
              < Z I
            after 100 ms: not up
        "#]],
    );
    case(
        "extended: time counts though the server has not answered the Parse yet, and another error is the server's own",
        &[
            Client(vec![
                parse("", "time=5"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            TimeUp(0),
            TimeUp(5),
            Server(vec![
                bare('1'),
                bare('2'),
                error("22012", "division by zero"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 prepare time=5
                permit 2 bind time=5
              > Parse(: time=5)
              > Bind( = )
              > Execute()
              > Sync
            after 0 ms: not up
            after 5 ms: up
            server
                end 1 Completed rows=0 bytes=0
                end 2 Failed rows=0 bytes=0 22012
                status I
              < 1
              < 2
              < E S=ERROR C=22012 M=division by zero D=value 123-45-6789 t=people
              < Z I
        "#]],
    );
    case(
        "time is up while the server is at the Bind, or describes for us: the words are policy's",
        &[
            Client(vec![
                parse("", "masked time=5"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            TimeUp(0),
            TimeUp(5),
            Server(vec![bare('1'), error("57014", "cancelled"), ready('I')]),
            Client(vec![bind("", ""), execute("", 0), sync()]),
            TimeUp(0),
            TimeUp(5),
            Server(vec![bare('2'), error("57014", "cancelled"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare masked time=5
                permit 2 bind masked time=5
              > Parse(: masked time=5)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Sync
            after 0 ms: not up
            after 5 ms: up
            server
                end 1 Completed rows=0 bytes=0
                end 2 Cut rows=0 bytes=0 57014 masked=[(1, 0)]
                status I
              < 1
              < E S=ERROR C=57014 M=the statement's time is limited to 5 ms by policy D=the server was asked to cancel it when its time was up, and did H=ask for less: a narrower WHERE, fewer joins, a LIMIT
              < Z I
            client
                permit 3 bind masked time=5
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Sync
            after 0 ms: not up
            after 5 ms: up
            server
                end 3 Cut rows=0 bytes=0 57014 masked=[(1, 0)]
                status I
              < 2
              < E S=ERROR C=57014 M=the statement's time is limited to 5 ms by policy D=the server was asked to cancel it when its time was up, and did H=ask for less: a narrower WHERE, fewer joins, a LIMIT
              < Z I
        "#]],
    );
    case(
        "a COPY FROM that waits for its client is ended, and what the client sends later is nobody's",
        &[
            Client(vec![query("copyin time=5")]),
            Server(vec![raw('G', &[0, 0, 0])]),
            TimeUp(0),
            TimeUp(5),
            Server(vec![
                error("57014", "COPY from stdin failed: stopped by the gateway"),
                ready('I'),
            ]),
            Client(vec![raw('d', b"a\n"), bare('c'), query("after")]),
        ],
        expect![[r#"
            client
                permit 1 query copyin time=5
              > Query(copyin time=5)
              stalled
            server
              < G
            after 0 ms: not up
            after 5 ms: up
            server
                end 1 Cut rows=0 bytes=0 57014
                status I
              > CopyFail
              < E S=ERROR C=57014 M=the statement's time is limited to 5 ms by policy D=the server was asked to cancel it when its time was up, and did H=ask for less: a narrower WHERE, fewer joins, a LIMIT
              < Z I
            client
                permit 2 query after
              > Query(after)
        "#]],
    );
    case(
        "somebody else's cancel is told as it is",
        &[
            Client(vec![query("time=5")]),
            TimeUp(0),
            TimeUp(1),
            Server(vec![
                error("57014", "canceling statement due to user request"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query time=5
              > Query(time=5)
            after 0 ms: not up
            after 1 ms: not up
            server
                end 1 Failed rows=0 bytes=0 57014
                status I
              < E S=ERROR C=57014 M=canceling statement due to user request D=value 123-45-6789 t=people
              < Z I
        "#]],
    );
}

#[test]
fn changed_rows_are_counted_before_they_are_committed() {
    case(
        "simple: by the extended protocol; its end is told once it is committed",
        &[
            Client(vec![query("insert affected=2"), query("after")]),
            Server(vec![
                bare('1'),
                bare('2'),
                bare('n'),
                complete("INSERT 0 2"),
            ]),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 query insert affected=2
              > Parse(: insert affected=2)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Flush
              stalled
            server
              > Sync
              stalled
            server
                end 1 Completed rows=2 bytes=0
                status I
                permit 2 query after
              > Query(after)
              < C INSERT 0 2
              < Z I
        "#]],
    );
    case(
        "simple and over: what follows fails at the server, and the rows that came back are no secret",
        &[
            Client(vec![query("insert affected=2")]),
            Server(vec![
                bare('1'),
                bare('2'),
                description(AGREED),
                row(&[Some("a"), Some("1")]),
                complete("INSERT 0 3"),
            ]),
            Server(vec![missing("34000", 0), ready('I')]),
            Client(vec![bind("", ""), execute("", 0), sync()]),
        ],
        expect![[r#"
            client
                permit 1 query insert affected=2
              > Parse(: insert affected=2)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Flush
              stalled
            server
                end 1 Cut rows=3 bytes=12 54000
              > Execute(DENIED00)
              > Sync
              < T 2 columns
              < D a|1
            server
                status I
              < E S=ERROR C=54000 M=the statement may change at most 2 rows by policy D=it changed 3, and its whole transaction is undone H=change fewer rows in one statement: a narrower WHERE
              < Z I
            client
                session refuses 26000
              > Bind( = DENIED01)
              > Sync
        "#]],
    );
    case(
        "simple, and the commit fails: nothing completed",
        &[
            Client(vec![query("insert affected=2")]),
            Server(vec![
                bare('1'),
                bare('2'),
                bare('n'),
                complete("INSERT 0 1"),
            ]),
            Server(vec![error("23505", "duplicate"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 query insert affected=2
              > Parse(: insert affected=2)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Flush
              stalled
            server
              > Sync
              stalled
            server
                end 1 Failed rows=1 bytes=0 23505
                status I
              < E S=ERROR C=23505 M=duplicate D=value 123-45-6789 t=people
              < Z I
        "#]],
    );
    case(
        "simple, and the server refuses its text",
        &[
            Client(vec![query("insert affected=2"), query("after")]),
            Server(vec![error("42601", "syntax")]),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 query insert affected=2
              > Parse(: insert affected=2)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Flush
              stalled
            server
                end 1 Failed rows=0 bytes=0 42601
                permit 2 query after
              > Sync
              > Query(after)
              < E S=ERROR C=42601 M=syntax D=value 123-45-6789 t=people
            server
                status I
              < Z I
        "#]],
    );
    case(
        "extended and over: the Sync that would commit waits for the count",
        &[
            Client(vec![
                parse("", "insert affected=2"),
                bind("", ""),
                execute("", 0),
                sync(),
                query("after"),
            ]),
            Server(vec![bare('1'), bare('2'), complete("INSERT 0 3")]),
            Server(vec![missing("34000", 0), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare insert affected=2
                permit 2 bind insert affected=2
              > Parse(: insert affected=2)
              > Bind( = )
              > Execute()
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
                end 2 Cut rows=3 bytes=0 54000
                permit 3 query after
              > Execute(DENIED00)
              > Flush
              > Sync
              > Query(after)
              < 1
              < 2
            server
                status I
              < E S=ERROR C=54000 M=the statement may change at most 2 rows by policy D=it changed 3, and its whole transaction is undone H=change fewer rows in one statement: a narrower WHERE
              < Z I
        "#]],
    );
    case(
        "extended and in parts: nobody knows how many rows it changed",
        &[
            Client(vec![
                parse("", "insert affected=2"),
                bind("", ""),
                execute("", 1),
                flush(),
            ]),
            Server(vec![bare('1'), bare('2'), row(&[Some("a")]), bare('s')]),
            Server(vec![missing("34000", 0)]),
            Client(vec![sync()]),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare insert affected=2
                permit 2 bind insert affected=2
              > Parse(: insert affected=2)
              > Bind( = )
              > Execute()
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
                end 2 Cut rows=1 bytes=7 42501
              > Execute(DENIED00)
              > Flush
              < 1
              < 2
              < D a
            server
              < E S=ERROR C=42501 M=denied by policy: a statement whose changed rows are limited must be executed to its end D=the Execute asked for a part of the rows that it returns; its whole transaction is undone H=execute without a limit on rows
            client
              > Sync
            server
                status I
              < Z I
        "#]],
    );
    case(
        "COPY counts at its end",
        &[
            Client(vec![
                query("copyin affected=1"),
                raw('d', b"a\n"),
                raw('d', b"b\n"),
                bare('c'),
            ]),
            Server(vec![bare('1'), bare('2'), bare('n'), raw('G', &[0, 0, 0])]),
            Server(vec![complete("COPY 2")]),
            Server(vec![missing("34000", 0), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 query copyin affected=1
              > Parse(: copyin affected=1)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Flush
              stalled
            server
              > CopyData(a
            )
              > CopyData(b
            )
              > CopyDone
              > Flush
              < G
              stalled
            server
                end 1 Cut rows=2 bytes=4 54000
              > Execute(DENIED00)
              > Sync
            server
                status I
              < E S=ERROR C=54000 M=the statement may change at most 1 rows by policy D=it changed 2, and its whole transaction is undone H=change fewer rows in one statement: a narrower WHERE
              < Z I
        "#]],
    );
}

#[test]
fn what_is_behind_a_result_that_a_limit_ends_does_not_run() {
    case(
        "the second Execute waits, and is dropped with the rest up to the Sync",
        &[
            Client(vec![
                parse("", "rows=1"),
                bind("", ""),
                execute("", 0),
                parse("", "insert"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            Server(vec![
                bare('1'),
                bare('2'),
                row(&[Some("a")]),
                row(&[Some("b")]),
                complete("SELECT 2"),
                bare('1'),
                bare('2'),
            ]),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare rows=1
                permit 2 bind rows=1
                permit 3 prepare insert
                permit 4 bind insert
              > Parse(: rows=1)
              > Bind( = )
              > Execute()
              > Parse(: insert)
              > Bind( = )
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
                end 2 Cut rows=1 bytes=7 54000
                end 3 Completed rows=0 bytes=0
              > Sync
              < 1
              < 2
              < D a
              < E S=ERROR C=54000 M=the result is limited to 1 rows by policy D=the limit is on rows per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
            server
                status I
                end 4 Skipped rows=0 bytes=0
              < Z I
        "#]],
    );
}

#[test]
fn a_budget_is_one_for_all_statements() {
    case(
        "the fourth row is not shown, of whichever statement; another statement is not touched",
        &[
            Client(vec![query("budget"), query("masked budget"), query("free")]),
            Server(vec![
                row(&[Some("a")]),
                row(&[Some("b")]),
                complete("SELECT 2"),
                ready('I'),
                description(AGREED),
                row(&[Some("ann"), Some("1")]),
                row(&[Some("bob"), Some("2")]),
                complete("SELECT 2"),
                ready('I'),
                row(&[Some("c")]),
                complete("SELECT 1"),
                ready('I'),
            ]),
            Client(vec![query("copyout budget")]),
            Server(vec![
                raw('H', &[0, 0, 1, 0, 0]),
                raw('d', b"a\n"),
                bare('c'),
                complete("COPY 1"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query budget
                permit 2 query masked budget
                permit 3 query free
              > Query(budget)
              > Query(masked budget)
              > Query(free)
            server
                end 1 Completed rows=2 bytes=14
                status I
                end 2 Cut rows=1 bytes=23 54000 masked=[(1, 1)]
                status I
                end 3 Completed rows=1 bytes=7
                status I
              < D a
              < D b
              < C SELECT 2
              < Z I
              < T 2 columns
              < D ann|[redacted]
              < E S=ERROR C=54000 M=the budget is spent
              < Z I
              < D c
              < C SELECT 1
              < Z I
            client
                permit 4 query copyout budget
              > Query(copyout budget)
            server
                end 4 Cut rows=0 bytes=0 54000
                status I
              < H 
              < E S=ERROR C=54000 M=the budget is spent
              < Z I
        "#]],
    );
}

//! Views that are held for the statement that reads them: in one transaction with it, whatever the answer is.

use expect_test::expect;

use super::harness::{Step::*, *};

/// The answer to the two statements of a pin, but for what ends it.
fn pinned(text: &str) -> Vec<Vec<u8>> {
    ["2", text]
        .into_iter()
        .flat_map(|value| {
            [
                bare('1'),
                bare('2'),
                row(&[Some(value)]),
                complete("SELECT 1"),
                bare('3'),
                bare('3'),
            ]
        })
        .collect()
}

fn failed() -> Vec<Vec<u8>> {
    vec![bare('1'), bare('2'), error("57014", "too slow")]
}

/// From PostgreSQL 18 on, a Query behind frames of the extended protocol leaves their transaction open: it goes by that protocol, too.
#[test]
fn a_transaction_of_ours_ends_with_its_query() {
    let with = |rest: Vec<Vec<u8>>| {
        let columns = description(&[(20_000, 1, 25, 0)]);
        [vec![bare('1'), bare('2'), columns, row(&[Some("x")])], rest].concat()
    };
    case(
        "it completes when it is committed, and what came behind follows",
        &[
            Client(vec![query("select view"), query("select 2")]),
            Server(pinned("same")),
            Server(with(vec![complete("SELECT 1")])),
            Server(vec![ready('I')]),
            Server(vec![complete("SELECT 1"), ready('I')]),
        ],
        expect![[r#"
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
                pinned Gateway Ok("same")
                permit 1 query select view
                permit 2 query select 2
              > Parse(: select view)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Sync
              > Query(select 2)
            server
              < T 1 columns
              < D x
            server
                end 1 Completed rows=1 bytes=7
                status I
              < C SELECT 1
              < Z I
            server
                end 2 Completed rows=1 bytes=0
                status I
              < C SELECT 1
              < Z I
        "#]],
    );
    case(
        "its commit fails",
        &[
            Client(vec![query("select view")]),
            Server(pinned("same")),
            Server(with(vec![
                complete("SELECT 1"),
                error("23503", "deferred"),
                ready('I'),
            ])),
        ],
        expect![[r#"
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
                pinned Gateway Ok("same")
                permit 1 query select view
              > Parse(: select view)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Sync
            server
                end 1 Failed rows=1 bytes=7 23503
                status I
              < T 1 columns
              < D x
              < E S=ERROR C=23503 M=deferred D=value 123-45-6789 t=people
              < Z I
        "#]],
    );
    case(
        "it fails",
        &[
            Client(vec![query("select view")]),
            Server(pinned("same")),
            Server(with(vec![error("22012", "division by zero"), ready('I')])),
            Client(vec![query("select 2")]),
        ],
        expect![[r#"
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
                pinned Gateway Ok("same")
                permit 1 query select view
              > Parse(: select view)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Sync
            server
                end 1 Failed rows=1 bytes=7 22012
                status I
              < T 1 columns
              < D x
              < E S=ERROR C=22012 M=division by zero D=value 123-45-6789 t=people
              < Z I
            client
                permit 2 query select 2
              > Query(select 2)
        "#]],
    );
    case(
        "it fails before it runs, and is copied out",
        &[
            Client(vec![query("select view")]),
            Server(pinned("same")),
            Server(vec![error("42601", "syntax error"), ready('I')]),
            Client(vec![query("view copyout")]),
            Server(pinned("same")),
            Server(vec![
                bare('1'),
                bare('2'),
                bare('n'),
                raw('H', b"\0\0\x01\0\0"),
            ]),
            Server(vec![
                raw('d', b"x\n"),
                bare('c'),
                complete("COPY 1"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
                pinned Gateway Ok("same")
                permit 1 query select view
              > Parse(: select view)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Sync
            server
                end 1 Failed rows=0 bytes=0 42601
                status I
              < E S=ERROR C=42601 M=syntax error D=value 123-45-6789 t=people
              < Z I
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
                pinned Gateway Ok("same")
                permit 2 query view copyout
              > Parse(: view copyout)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Sync
            server
              < H 
            server
                end 2 Completed rows=1 bytes=2
                status I
              < d x
              < c
              < C COPY 1
              < Z I
        "#]],
    );
    case(
        "in the client's own transaction it goes as it came",
        &[
            Client(vec![query("begin")]),
            Server(vec![complete("BEGIN"), ready('T')]),
            Client(vec![query("select view")]),
            Server(pinned("same")),
            Server(vec![complete("SELECT 1"), ready('T')]),
        ],
        expect![[r#"
            client
                permit 1 query begin
              > Query(begin)
            server
                end 1 Completed rows=0 bytes=0
                status T
              < C BEGIN
              < Z T
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
                pinned Gateway Ok("same")
                permit 2 query select view
              > Query(select view)
            server
                end 2 Completed rows=1 bytes=0
                status T
              < C SELECT 1
              < Z T
        "#]],
    );
}

#[test]
fn a_query_runs_in_the_transaction_that_holds_its_view() {
    case(
        "no Sync comes between",
        &[
            Client(vec![query("select view")]),
            Server(pinned("same")),
            Server(vec![complete("SELECT 1"), ready('I')]),
        ],
        expect![[r#"
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
                pinned Gateway Ok("same")
                permit 1 query select view
              > Parse(: select view)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Sync
            server
                end 1 Completed rows=1 bytes=0
                status I
              < C SELECT 1
              < Z I
        "#]],
    );
    case(
        "another view: the transaction ends, and it is asked once more",
        &[
            Client(vec![query("select view")]),
            Server(pinned("other")),
            Server(vec![ready('I')]),
            Server(pinned("same")),
            Server(vec![complete("SELECT 1"), ready('I')]),
        ],
        expect![[r#"
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
                pinned Gateway Ok("other")
              > Sync
              stalled
            server
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
                pinned Gateway Ok("same")
                permit 1 query select view
              > Parse(: select view)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Sync
            server
                end 1 Completed rows=1 bytes=0
                status I
              < C SELECT 1
              < Z I
        "#]],
    );
    case(
        "an error: the transaction ends before the refusal",
        &[
            Client(vec![query("select view"), query("select")]),
            Server(failed()),
            Server(vec![ready('I')]),
            Server(vec![
                missing("42601", 0),
                ready('I'),
                complete("SELECT 1"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
              > Sync
              stalled
            server
                pinned Gateway Err(Unseen { sqlstate: "57014" })
                refuse query select view
                permit 1 query select
              > Query(DENIED00)
              > Query(select)
            server
                status I
                end 1 Completed rows=1 bytes=0
                status I
              < E S=ERROR C=42501 M=no select view D=because
              < Z I
              < C SELECT 1
              < Z I
        "#]],
    );
    case(
        "in the client's transaction an error fails it",
        &[
            Client(vec![query("begin")]),
            Server(vec![complete("BEGIN"), ready('T')]),
            Client(vec![query("select view")]),
            Server(failed()),
            Server(vec![ready('E')]),
        ],
        expect![[r#"
            client
                permit 1 query begin
              > Query(begin)
            server
                end 1 Completed rows=0 bytes=0
                status T
              < C BEGIN
              < Z T
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
              > Sync
              stalled
            server
                status E
                pinned Gateway Err(Unseen { sqlstate: "57014" })
                refuse query select view
              > Query(DENIED00)
        "#]],
    );
}

#[test]
fn a_bind_runs_in_the_transaction_that_holds_its_view() {
    case(
        "behind a Parse of the same segment: with a Flush",
        &[
            Client(vec![
                parse("", "select view"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            Server(vec![bare('1')]),
            Server(pinned("same")),
            Server(vec![bare('2'), complete("SELECT 1"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select view
              > Parse(: select view)
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              < 1
              stalled
            server
                pinned Client Ok("same")
                permit 2 bind select view
              > Bind( = )
              > Execute()
              > Sync
            server
                end 2 Completed rows=1 bytes=0
                status I
              < 2
              < C SELECT 1
              < Z I
        "#]],
    );
    case(
        "behind a Parse an error skips to the client's Sync",
        &[
            Client(vec![
                parse("", "select view"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            Server(vec![bare('1')]),
            Server(failed()),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select view
              > Parse(: select view)
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              < 1
              stalled
            server
                pinned Client Err(Unseen { sqlstate: "57014" })
                refuse bind select view
              > Sync
              < E S=ERROR C=42501 M=no select view D=because
            server
                status I
              < Z I
        "#]],
    );
    case(
        "first in its segment: the client's Sync ends what the question began; a later one has another name after a failure",
        &[
            Client(vec![parse("s", "select view"), sync()]),
            Server(vec![bare('1'), ready('I')]),
            Client(vec![bind("", "s"), execute("", 0), sync()]),
            Server(failed()),
            Server(vec![ready('I')]),
            Server(vec![missing("26000", 0), ready('I')]),
            Client(vec![bind("", "s"), execute("", 0), sync()]),
            Server(pinned("same")),
            Server(vec![bare('2'), complete("SELECT 1"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select view
              > Parse(s: select view)
              > Sync
            server
                end 1 Completed rows=0 bytes=0
                status I
              < 1
              < Z I
            client
              > Parse(OWN: HOLD)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Parse(OWN: READ)
              > Bind(OWN = OWN)
              > Execute(OWN)
              > Close(Portal OWN)
              > Close(Statement OWN)
              > Flush
              stalled
            server
              > Sync
              stalled
            server
                pinned Gateway Err(Unseen { sqlstate: "57014" })
                refuse bind select view
              > Bind( = DENIED00)
              > Sync
            server
                status I
              < E S=ERROR C=42501 M=no select view D=because
              < Z I
            client
              > Parse(OWN 00000001: HOLD)
              > Bind(OWN 00000001 = OWN 00000001)
              > Execute(OWN 00000001)
              > Close(Portal OWN 00000001)
              > Close(Statement OWN 00000001)
              > Parse(OWN 00000001: READ)
              > Bind(OWN 00000001 = OWN 00000001)
              > Execute(OWN 00000001)
              > Close(Portal OWN 00000001)
              > Close(Statement OWN 00000001)
              > Flush
              stalled
            server
                pinned Gateway Ok("same")
                permit 2 bind select view
              > Bind( = s)
              > Execute()
              > Sync
            server
                end 2 Completed rows=1 bytes=0
                status I
              < 2
              < C SELECT 1
              < Z I
        "#]],
    );
}

//! What waits for the server: names, changes of the catalog, portals executed again.

use expect_test::expect;

use super::harness::{Step::*, *};
#[test]
fn names_wait_for_the_server() {
    case(
        "a name that was prepared anew in an earlier segment: the Bind waits, and uses what the server has",
        &[
            Client(vec![parse("a", "select old"), sync()]),
            Server(vec![bare('1'), ready('I')]),
            Client(vec![
                parse("a", "select new"),
                sync(),
                bind("", "a"),
                execute("", 0),
                sync(),
            ]),
            Server(vec![error("42P05", "exists"), ready('I')]),
            Server(vec![bare('2'), complete("SELECT 1"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select old
              > Parse(a: select old)
              > Sync
            server
                end 1 Completed rows=0 bytes=0
                status I
              < 1
              < Z I
            client
                permit 2 prepare select new
              > Parse(a: select new)
              > Sync
              stalled
            server
                end 2 Failed rows=0 bytes=0 42P05
                status I
                permit 3 bind select old
              > Bind( = a)
              > Execute()
              > Sync
              < E S=ERROR C=42P05 M=exists D=value 123-45-6789 t=people
              < Z I
            server
                end 3 Completed rows=1 bytes=0
                status I
              < 2
              < C SELECT 1
              < Z I
        "#]],
    );
    case(
        "the unnamed statement in one segment needs no waiting",
        &[
            Client(vec![
                parse("", "one"),
                bind("", ""),
                execute("", 0),
                parse("", "two"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            Server(vec![
                bare('1'),
                bare('2'),
                complete("SELECT 1"),
                bare('1'),
                bare('2'),
                complete("SELECT 2"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 prepare one
                permit 2 bind one
                permit 3 prepare two
                permit 4 bind two
              > Parse(: one)
              > Bind( = )
              > Execute()
              > Parse(: two)
              > Bind( = )
              > Execute()
              > Sync
            server
                end 1 Completed rows=0 bytes=0
                end 2 Completed rows=1 bytes=0
                end 3 Completed rows=0 bytes=0
                end 4 Completed rows=2 bytes=0
                status I
              < 1
              < 2
              < C SELECT 1
              < 1
              < 2
              < C SELECT 2
              < Z I
        "#]],
    );
    case(
        "a Close that may be skipped",
        &[
            Client(vec![parse("a", "select"), sync()]),
            Server(vec![bare('1'), ready('I')]),
            Client(vec![
                parse("b", "fails"),
                close('S', "a"),
                sync(),
                bind("", "a"),
                sync(),
            ]),
            Server(vec![error("42601", "no"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select
              > Parse(a: select)
              > Sync
            server
                end 1 Completed rows=0 bytes=0
                status I
              < 1
              < Z I
            client
                permit 2 prepare fails
              > Parse(b: fails)
              > Close(Statement a)
              > Sync
              stalled
            server
                end 2 Failed rows=0 bytes=0 42601
                status I
                permit 3 bind select
              > Bind( = a)
              > Sync
              < E S=ERROR C=42601 M=no D=value 123-45-6789 t=people
              < Z I
        "#]],
    );
    case(
        "a portal of an earlier segment waits for its transaction's end",
        &[
            Client(vec![query("begin")]),
            Server(vec![complete("BEGIN"), ready('T')]),
            Client(vec![
                parse("", "select"),
                bind("p", ""),
                sync(),
                execute("p", 0),
                sync(),
            ]),
            Server(vec![bare('1'), bare('2'), ready('T')]),
            Server(vec![complete("SELECT 1"), ready('T')]),
            Client(vec![query("commit"), execute("p", 0)]),
            Server(vec![complete("COMMIT"), ready('I')]),
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
                permit 2 prepare select
                permit 3 bind select
              > Parse(: select)
              > Bind(p = )
              > Sync
              stalled
            server
                end 2 Completed rows=0 bytes=0
                status T
              > Execute(p)
              > Sync
              < 1
              < 2
              < Z T
            server
                end 3 Completed rows=1 bytes=0
                status T
              < C SELECT 1
              < Z T
            client
                permit 4 query commit
              > Query(commit)
              stalled
            server
                end 4 Completed rows=0 bytes=0
                status I
                session refuses 34000
              > Execute(DENIED00)
              < C COMMIT
              < Z I
        "#]],
    );
    case(
        "a Query behind unanswered extended frames waits, since they might make the server skip it",
        &[
            Client(vec![parse("", "select"), query("select 2")]),
            Server(vec![bare('1')]),
            Server(vec![complete("SELECT 1"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select
              > Parse(: select)
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
                permit 2 query select 2
              > Query(select 2)
              < 1
            server
                end 2 Completed rows=1 bytes=0
                status I
              < C SELECT 1
              < Z I
        "#]],
    );
}

#[test]
fn catalog_changes_hold_up_what_follows() {
    case(
        "simple",
        &[
            Client(vec![query("ddl"), query("select")]),
            Server(vec![complete("CREATE TABLE")]),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 query ddl
              > Query(ddl)
              stalled
            server
                end 1 Completed rows=0 bytes=0
              < C CREATE TABLE
              stalled
            server
                status I
                catalog changed
                permit 2 query select
              > Query(select)
              < Z I
        "#]],
    );
    case(
        "extended, in a transaction",
        &[
            Client(vec![
                parse("", "ddl"),
                bind("", ""),
                execute("", 0),
                sync(),
                query("select"),
            ]),
            Server(vec![bare('1'), bare('2'), complete("CREATE TABLE")]),
            Server(vec![ready('T')]),
            Server(vec![complete("SELECT 0"), ready('T')]),
            Client(vec![query("rollback")]),
            Server(vec![complete("ROLLBACK"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare ddl
                permit 2 bind ddl
              > Parse(: ddl)
              > Bind( = )
              > Execute()
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
                end 2 Completed rows=0 bytes=0
                status T
                catalog changed
              > Sync
              < 1
              < 2
              < C CREATE TABLE
              stalled
            server
                status T
                permit 3 query select
              > Query(select)
              < Z T
              stalled
            server
                end 3 Completed rows=0 bytes=0
                status T
              < C SELECT 0
              < Z T
            client
                permit 4 query rollback
              > Query(rollback)
              stalled
            server
                end 4 Completed rows=0 bytes=0
                status I
                catalog changed
              < C ROLLBACK
              < Z I
        "#]],
    );
}

#[test]
fn portals_executed_again() {
    case(
        "suspended goes on under its decision; ended is decided anew; stale is decided anew",
        &[
            Client(vec![query("begin")]),
            Server(vec![complete("BEGIN"), ready('T')]),
            Client(vec![
                parse("", "select"),
                bind("p", ""),
                execute("p", 1),
                execute("p", 1),
                sync(),
            ]),
            Server(vec![bare('1'), bare('2'), row(&[Some("1")]), bare('s')]),
            Server(vec![row(&[Some("2")]), complete("SELECT 1"), ready('T')]),
            Client(vec![
                execute("p", 0),
                bind("q", ""),
                bind("r", ""),
                close('P', "r"),
                sync(),
            ]),
            Server(vec![
                complete("SELECT 0"),
                bare('2'),
                bare('2'),
                bare('3'),
                ready('T'),
            ]),
            Stale,
            Client(vec![execute("q", 0), sync()]),
            Server(vec![complete("SELECT 0"), ready('T')]),
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
                permit 2 prepare select
                permit 3 bind select
              > Parse(: select)
              > Bind(p = )
              > Execute(p)
              > Flush
              stalled
            server
                end 2 Completed rows=0 bytes=0
              > Execute(p)
              > Sync
              < 1
              < 2
              < D 1
              < s
            server
                end 3 Completed rows=2 bytes=14
                status T
              < D 2
              < C SELECT 1
              < Z T
            client
                permit 4 again select
                permit 5 bind select
                permit 6 bind select
              > Execute(p)
              > Bind(q = )
              > Bind(r = )
              > Close(Portal r)
              > Sync
            server
                end 4 Completed rows=0 bytes=0
                end 6 Skipped rows=0 bytes=0
                status T
              < C SELECT 0
              < 2
              < 2
              < 3
              < Z T
            client
                permit 7 again select
                end 5 Skipped rows=0 bytes=0
              > Execute(q)
              > Sync
            server
                end 7 Completed rows=0 bytes=0
                status T
              < C SELECT 0
              < Z T
        "#]],
    );
    case(
        "left over at the end of the session",
        &[
            Client(vec![
                parse("a", "select"),
                bind("p", "a"),
                bind("q", "a"),
                execute("q", 0),
                query("x"),
            ]),
            Server(vec![bare('1'), bare('2')]),
            Client(vec![terminate()]),
            Close,
        ],
        expect![[r#"
            client
                permit 1 prepare select
                permit 2 bind select
                permit 3 bind select
              > Parse(a: select)
              > Bind(p = a)
              > Bind(q = a)
              > Execute(q)
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
              < 1
              < 2
              stalled
            client
              stalled
            end 3 Unknown rows=0 bytes=0
            end 2 Skipped rows=0 bytes=0
        "#]],
    );
}

#[test]
fn broken_glass_is_told_before_the_answer() {
    case(
        "a query and a bind",
        &[
            Client(vec![query("select glass")]),
            Server(vec![complete("SELECT 1"), ready('I')]),
            Client(vec![
                parse("", "select glass"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query select glass
              > Query(select glass)
              < N S=NOTICE C=00000 M=glass is broken
            server
                end 1 Completed rows=1 bytes=0
                status I
              < C SELECT 1
              < Z I
            client
                permit 2 prepare select glass
                permit 3 bind select glass
              > Parse(: select glass)
              > Bind( = )
              > Execute()
              > Sync
              < N S=NOTICE C=00000 M=glass is broken
        "#]],
    );
}

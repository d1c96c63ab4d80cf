//! Pipeline order, denials and errors, as scripts.

use expect_test::expect;

use super::harness::{Step::*, *};

#[test]
fn simple_queries() {
    case(
        "two statements, then an error in the second of three",
        &[
            Client(vec![query("select 1;insert 2"), query("a;b;c")]),
            Server(vec![
                description(&[(0, 0, 23, 0)]),
                row(&[Some("1")]),
                complete("SELECT 1"),
                complete("INSERT 0 4"),
                ready('I'),
                complete("SELECT 0"),
                error("22012", "division by zero"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query select 1
                permit 2 query insert 2
                permit 3 query a
                permit 4 query b
                permit 5 query c
              > Query(select 1;insert 2)
              > Query(a;b;c)
            server
                end 1 Completed rows=1 bytes=7
                end 2 Completed rows=4 bytes=0
                status I
                end 3 Completed rows=0 bytes=0
                end 4 Failed rows=0 bytes=0 22012
                end 5 Skipped rows=0 bytes=0
                status I
              < T 1 columns
              < D 1
              < C SELECT 1
              < C INSERT 0 4
              < Z I
              < C SELECT 0
              < E S=ERROR C=22012 M=division by zero D=value 123-45-6789 t=people
              < Z I
        "#]],
    );
    case(
        "denials, each with its own error; an empty query; a function call",
        &[
            Client(vec![
                query("deny 1"),
                query("ok;deny position"),
                query(" "),
                raw('F', &[0; 10]),
            ]),
            Server(vec![
                missing("42601", 0),
                ready('I'),
                missing("42601", 1),
                ready('T'),
                bare('I'),
                ready('T'),
                missing("42601", 2),
                ready('E'),
            ]),
        ],
        expect![[r#"
            client
                refuse query deny 1
                permit 1 query ok
                refuse query deny position
                end 1 Skipped rows=0 bytes=0
                refuse call deny function 0
              > Query(DENIED00)
              > Query(DENIED01)
              > Query()
              > Query(DENIED02)
            server
                status I
                status T
                status T
                status E
              < E S=ERROR C=42501 M=no deny 1 D=because
              < Z I
              < E S=ERROR C=42501 M=no deny position D=because P=3
              < Z T
              < I
              < Z T
              < E S=ERROR C=42501 M=no deny function 0 D=because
              < Z E
        "#]],
    );
}

#[test]
fn denials_in_pipelines() {
    case(
        "Parse denied: the server skips the rest up to Sync, and the next segment runs",
        &[
            Client(vec![
                parse("", "deny"),
                bind("", ""),
                execute("", 0),
                sync(),
                parse("", "select"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            Server(vec![
                missing("42601", 0),
                ready('I'),
                bare('1'),
                bare('2'),
                complete("SELECT 1"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                refuse prepare deny
                permit 1 prepare select
                permit 2 bind select
              > Parse(: DENIED00)
              > Sync
              > Parse(: select)
              > Bind( = )
              > Execute()
              > Sync
            server
                status I
                end 1 Completed rows=0 bytes=0
                end 2 Completed rows=1 bytes=0
                status I
              < E S=ERROR C=42501 M=no deny D=because
              < Z I
              < 1
              < 2
              < C SELECT 1
              < Z I
        "#]],
    );
    case(
        "Bind denied by its values; unknown names at every message; names the server can't tell apart",
        &[
            Client(vec![
                parse("a", "select"),
                bind_value("p", "a", Some("refuse")),
                sync(),
                bind("", "b"),
                sync(),
                execute("q", 0),
                sync(),
                describe('P', "q"),
                sync(),
                parse(&"x".repeat(64), "select"),
                sync(),
                parse("provost_denied_", "select"),
                sync(),
                close('S', &"x".repeat(64)),
                sync(),
            ]),
            Server(vec![
                bare('1'),
                missing("26000", 0),
                ready('I'),
                missing("26000", 1),
                ready('I'),
                missing("34000", 2),
                ready('I'),
                missing("34000", 3),
                ready('I'),
                missing("42601", 4),
                ready('I'),
                missing("42601", 5),
                ready('I'),
                bare('3'),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 prepare select
                refuse bind deny select
                session refuses 26000
                session refuses 34000
                session refuses 34000
                session refuses 42622
                session refuses 42622
              > Parse(a: select)
              > Bind( = DENIED00)
              > Sync
              > Bind( = DENIED01)
              > Sync
              > Execute(DENIED02)
              > Sync
              > Describe(Portal DENIED03)
              > Sync
              > Parse(: DENIED04)
              > Sync
              > Parse(: DENIED05)
              > Sync
              > Close(Statement DENIED00)
              > Sync
            server
                end 1 Completed rows=0 bytes=0
                status I
                status I
                status I
                status I
                status I
                status I
                status I
              < 1
              < E S=ERROR C=42501 M=no deny select D=because
              < Z I
              < E S=ERROR C=26000 M=prepared statement "b" does not exist
              < Z I
              < E S=ERROR C=34000 M=portal "q" does not exist
              < Z I
              < E S=ERROR C=34000 M=portal "q" does not exist
              < Z I
              < E S=ERROR C=42622 M=the statement or portal name of 64 bytes is not accepted D=the server tells names apart by their first 63 bytes only, and names that begin with provost_denied_ are the gateway's own H=use a shorter or another name
              < Z I
              < E S=ERROR C=42622 M=the statement or portal name of 15 bytes is not accepted D=the server tells names apart by their first 63 bytes only, and names that begin with provost_denied_ are the gateway's own H=use a shorter or another name
              < Z I
              < 3
              < Z I
        "#]],
    );
    case(
        "an error that names a stand-in but answers none is rebuilt; one that answers a stand-in otherwise is passed",
        &[
            Client(vec![query("select"), query("deny")]),
            Server(vec![
                missing("P0001", 7),
                ready('I'),
                error("57014", "cancelled"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query select
                refuse query deny
              > Query(select)
              > Query(DENIED00)
            server
                end 1 Failed rows=0 bytes=0 P0001
                status I
                status I
              < E S=ERROR C=P0001 t=people M=raise exception D=the server's own text is withheld because it can carry masked values
              < Z I
              < E S=ERROR C=57014 M=cancelled D=value 123-45-6789 t=people
              < Z I
        "#]],
    );
}

#[test]
fn errors_in_pipelines() {
    case(
        "what was decided behind a failure is skipped; what comes before Sync is dropped",
        &[
            Client(vec![
                parse("a", "select 1"),
                parse("b", "select 2"),
                bind("", "a"),
                execute("", 0),
                flush(),
            ]),
            Server(vec![bare('1'), error("42P05", "exists")]),
            Client(vec![
                parse("c", "select 3"),
                query("select 4"),
                sync(),
                bind("", "b"),
                sync(),
            ]),
            Server(vec![ready('I'), missing("26000", 0), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select 1
                permit 2 prepare select 2
                permit 3 bind select 1
              > Parse(a: select 1)
              > Parse(b: select 2)
              > Bind( = a)
              > Execute()
              > Flush
            server
                end 1 Completed rows=0 bytes=0
                end 2 Failed rows=0 bytes=0 42P05
                end 3 Skipped rows=0 bytes=0
              < 1
              < E S=ERROR C=42P05 M=exists D=value 123-45-6789 t=people
            client
                session refuses 26000
              > Sync
              > Bind( = DENIED00)
              > Sync
            server
                status I
                status I
              < Z I
              < E S=ERROR C=26000 M=prepared statement "b" does not exist
              < Z I
        "#]],
    );
    case(
        "what fails before its Execute came to its turn is not skipped: what is behind it is",
        &[
            Client(vec![
                parse("a", "select 1"),
                bind("", "a"),
                execute("", 0),
                bind("p", "a"),
                execute("p", 0),
                sync(),
            ]),
            Server(vec![bare('1'), error("22P02", "no number"), ready('I')]),
            Client(vec![
                bind("p", "a"),
                describe('P', "p"),
                execute("p", 0),
                bind("", "a"),
                execute("", 0),
                sync(),
            ]),
            Server(vec![bare('2'), error("57014", "cancelled"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select 1
                permit 2 bind select 1
                permit 3 bind select 1
              > Parse(a: select 1)
              > Bind( = a)
              > Execute()
              > Bind(p = a)
              > Execute(p)
              > Sync
            server
                end 1 Completed rows=0 bytes=0
                end 2 Failed rows=0 bytes=0 22P02
                end 3 Skipped rows=0 bytes=0
                status I
              < 1
              < E S=ERROR C=22P02 M=no number D=value 123-45-6789 t=people
              < Z I
            client
                permit 4 bind select 1
                permit 5 bind select 1
              > Bind(p = a)
              > Describe(Portal p)
              > Execute(p)
              > Bind( = a)
              > Execute()
              > Sync
            server
                end 4 Failed rows=0 bytes=0 57014
                end 5 Skipped rows=0 bytes=0
                status I
              < 2
              < E S=ERROR C=57014 M=cancelled D=value 123-45-6789 t=people
              < Z I
        "#]],
    );
    case(
        "a portal that can't be described failed, though its Execute has not come",
        &[
            Client(vec![
                parse("a", "select 1"),
                bind("", "a"),
                describe('P', ""),
            ]),
            Server(vec![bare('1'), bare('2'), error("0A000", "no description")]),
            Client(vec![execute("", 0), sync()]),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 prepare select 1
                permit 2 bind select 1
              > Parse(a: select 1)
              > Bind( = a)
              > Describe(Portal )
            server
                end 1 Completed rows=0 bytes=0
                end 2 Failed rows=0 bytes=0 0A000
              < 1
              < 2
              < E S=ERROR C=0A000 M=no description D=value 123-45-6789 t=people
            client
              > Sync
            server
                status I
              < Z I
        "#]],
    );
}

//! Rows and descriptions, as scripts.

use expect_test::expect;

use super::harness::{Step::*, *};
use crate::session::Limits;

const AGREED: &[(u32, i16, u32, i16)] = &[(7, 1, 25, 0), (7, 2, 25, 0)];
const BINARY: &[(u32, i16, u32, i16)] = &[(7, 1, 25, 1), (7, 2, 25, 1)];
const OTHER: &[(u32, i16, u32, i16)] = &[(7, 1, 25, 0), (8, 2, 25, 0)];

#[test]
fn masked_rows() {
    case(
        "simple: the second column is masked, NULL stays NULL",
        &[
            Client(vec![query("masked")]),
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
                permit 1 query masked
              > Query(masked)
            server
                end 1 Completed rows=2 bytes=36 masked=[(1, 1)]
                status I
              < T 2 columns
              < D ann|[redacted]
              < D bob|NULL
              < C SELECT 2
              < Z I
        "#]],
    );
    case(
        "extended: our Describe is stripped, the client's passes, binary format",
        &[
            Client(vec![
                parse("", "masked"),
                bind("", ""),
                describe('P', ""),
                execute("", 0),
                sync(),
            ]),
            Server(vec![
                bare('1'),
                bare('2'),
                description(BINARY),
                description(BINARY),
                row(&[Some("ann"), Some("123-45-6789")]),
                complete("SELECT 1"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 prepare masked
                permit 2 bind masked
              > Parse(: masked)
              > Bind( = )
              > Describe(Portal )
              > Describe(Portal )
              > Execute()
              > Sync
            server
                end 1 Completed rows=0 bytes=0
                end 2 Completed rows=1 bytes=23 masked=[(1, 1)]
                status I
              < 1
              < 2
              < T 2 columns
              < D ann|[redacted]
              < C SELECT 1
              < Z I
        "#]],
    );
    case(
        "suspended: described once",
        &[
            Client(vec![
                parse("", "masked"),
                bind("", ""),
                execute("", 1),
                flush(),
            ]),
            Server(vec![
                bare('1'),
                bare('2'),
                description(AGREED),
                row(&[None, Some("123-45-6789")]),
                bare('s'),
            ]),
            Client(vec![execute("", 0), sync()]),
            Server(vec![
                row(&[None, Some("123-45-6789")]),
                complete("SELECT 1"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 prepare masked
                permit 2 bind masked
              > Parse(: masked)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Flush
            server
                end 1 Completed rows=0 bytes=0
              < 1
              < 2
              < D NULL|[redacted]
              < s
            client
              > Execute()
              > Sync
            server
                end 2 Completed rows=2 bytes=40 masked=[(1, 2)]
                status I
              < D NULL|[redacted]
              < C SELECT 1
              < Z I
        "#]],
    );
}

#[test]
fn stopped_results() {
    case(
        "simple: another origin; the statement behind it runs and is recorded; the next Query is as ever",
        &[
            Client(vec![query("masked;insert;bound select"), query("select")]),
            Server(vec![
                description(OTHER),
                row(&[Some("ann"), Some("123-45-6789")]),
                complete("SELECT 1"),
                complete("INSERT 0 1"),
                description(AGREED),
                row(&[Some("123-45-6789"), None]),
                complete("SELECT 1"),
                ready('I'),
                complete("SELECT 0"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query masked
                permit 2 query insert
                permit 3 query bound select
                permit 4 query select
              > Query(masked;insert;bound select)
              > Query(select)
            server
                end 1 Cut rows=0 bytes=0 42501 masked=[(1, 0)]
                end 2 Completed rows=1 bytes=0
                end 3 Cut rows=0 bytes=0
                status I
                end 4 Completed rows=0 bytes=0
                status I
              < E S=ERROR C=42501 M=the server's description of the result disagrees with the analysis of the statement D=the rows are withheld, since which of their columns are masked is not certain; if the statement changed data, the change was made H=the schema may have just changed: retry
              < Z I
              < C SELECT 0
              < Z I
        "#]],
    );
    case(
        "extended, before the Sync came: the client's frames up to it are dropped",
        &[
            Client(vec![
                parse("", "masked"),
                bind("", ""),
                execute("", 0),
                flush(),
            ]),
            Server(vec![bare('1'), bare('2'), bare('n')]),
            Client(vec![
                parse("", "select"),
                query("select"),
                sync(),
                query("select"),
            ]),
            Server(vec![
                row(&[None, Some("123-45-6789")]),
                complete("SELECT 1"),
                ready('I'),
                complete("SELECT 0"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 prepare masked
                permit 2 bind masked
              > Parse(: masked)
              > Bind( = )
              > Describe(Portal )
              > Execute()
              > Flush
            server
                end 1 Completed rows=0 bytes=0
                end 2 Cut rows=0 bytes=0 42501 masked=[(1, 0)]
              < 1
              < 2
              < E S=ERROR C=42501 M=the server's description of the result disagrees with the analysis of the statement D=the rows are withheld, since which of their columns are masked is not certain; if the statement changed data, the change was made H=the schema may have just changed: retry
            client
                permit 3 query select
              > Sync
              > Query(select)
            server
                status I
                end 3 Completed rows=0 bytes=0
                status I
              < Z I
              < C SELECT 0
              < Z I
        "#]],
    );
    case(
        "rows without a description; rows of another width",
        &[
            Client(vec![query("masked"), query("masked")]),
            Server(vec![
                row(&[None, Some("123-45-6789")]),
                complete("SELECT 1"),
                ready('I'),
                description(AGREED),
                row(&[Some("ann"), Some("123-45-6789")]),
                row(&[Some("ann"), Some("123-45-6789"), Some("123-45-6789")]),
                complete("SELECT 2"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query masked
                permit 2 query masked
              > Query(masked)
              > Query(masked)
            server
                end 1 Cut rows=0 bytes=0 42501 masked=[(1, 0)]
                status I
                end 2 Cut rows=1 bytes=23 42501 masked=[(1, 1)]
                status I
              < E S=ERROR C=42501 M=the server's description of the result disagrees with the analysis of the statement D=the rows are withheld, since which of their columns are masked is not certain; if the statement changed data, the change was made H=the schema may have just changed: retry
              < Z I
              < T 2 columns
              < D ann|[redacted]
              < E S=ERROR C=42501 M=the server's description of the result disagrees with the analysis of the statement D=the rows are withheld, since which of their columns are masked is not certain; if the statement changed data, the change was made H=the schema may have just changed: retry
              < Z I
        "#]],
    );
    case(
        "a bound principal's statement that should give no rows; SHOW may",
        &[
            Client(vec![query("bound insert"), query("bound show")]),
            Server(vec![
                description(AGREED),
                row(&[Some("123-45-6789")]),
                complete("INSERT 0 1"),
                ready('I'),
                description(&[(0, 0, 25, 0)]),
                row(&[Some("on")]),
                complete("SHOW"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query bound insert
                permit 2 query bound show
              > Query(bound insert)
              > Query(bound show)
            server
                end 1 Cut rows=0 bytes=0 42501
                status I
                end 2 Completed rows=1 bytes=8
                status I
              < E S=ERROR C=42501 M=the server's description of the result disagrees with the analysis of the statement D=the rows are withheld, since which of their columns are masked is not certain; if the statement changed data, the change was made H=the schema may have just changed: retry
              < Z I
              < T 1 columns
              < D on
              < C SHOW
              < Z I
        "#]],
    );
    case(
        "a COPY behind a stopped result gets no data",
        &[
            Client(vec![query("masked;copyin")]),
            Server(vec![
                description(OTHER),
                complete("SELECT 1"),
                raw('G', b"\0\0\0"),
                error("57014", "COPY failed"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query masked
                permit 2 query copyin
              > Query(masked;copyin)
              stalled
            server
                end 1 Cut rows=0 bytes=0 42501 masked=[(1, 0)]
                end 2 Failed rows=0 bytes=0 57014
                status I
              > CopyFail
              < E S=ERROR C=42501 M=the server's description of the result disagrees with the analysis of the statement D=the rows are withheld, since which of their columns are masked is not certain; if the statement changed data, the change was made H=the schema may have just changed: retry
              < Z I
        "#]],
    );
}

#[test]
fn a_row_past_the_limit_stops_the_result() {
    let limits = Limits {
        masked_row_bytes_max: 64,
        ..Limits::default()
    };
    let large = "123-45-6789".repeat(9);
    let steps = [
        Client(vec![query("masked")]),
        Server(vec![
            description(AGREED),
            row(&[None, Some("x")]),
            row(&[None, Some(&large)]),
            row(&[None, Some("x")]),
            complete("SELECT 3"),
            ready('I'),
        ]),
    ];
    expect![[r#"
        client
            permit 1 query masked
          > Query(masked)
        server
            end 1 Cut rows=1 bytes=20 54000 masked=[(1, 1)]
            status I
          < T 2 columns
          < D NULL|[redacted]
          < E S=ERROR C=54000 M=a row of a masked result is too large D=rows are masked up to 32 bytes; the result was stopped H=ask for fewer or smaller columns
          < Z I
    "#]].assert_eq(&transcript(&steps, limits, 1));
}

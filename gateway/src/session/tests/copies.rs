//! COPY, server text, settings, and answers that nothing asked for.

use expect_test::expect;

use super::harness::{Step::*, *};
use crate::session::Limits;

/// The announcement of a COPY of two columns, and of other ones.
const TWO: &[u8] = b"\0\0\x02\0\0\0\0";
const THREE: &[u8] = b"\0\0\x03\0\0\0\0\0\0";
const IN_BINARY: &[u8] = b"\x01\0\x02\0\x01\0\x01";

fn out_of(announced: &'static [u8], text: &str, data: &[&[u8]], tag: &str) -> [Step; 2] {
    let mut frames = vec![raw('H', announced)];
    frames.extend(data.iter().map(|data| raw('d', data)));
    frames.extend([bare('c'), complete(tag), ready('I')]);
    [Client(vec![query(text)]), Server(frames)]
}

#[test]
fn masked_copies() {
    let rows: &[&[u8]] = &[b"1|one\n", b"2|\\N\n", b"3|three\\|\n"];
    case(
        "each row as it comes; NULL stays NULL",
        &out_of(TWO, "masked copyout digest", rows, "COPY 3"),
        expect![[r#"
            client
                permit 1 query masked copyout digest
              > Query(masked copyout digest)
            server
                end 1 Completed rows=3 bytes=31 digest=b12e masked=[(1, 2)]
                status I
              < H 
              < d 1|[redacted]
              < d 2|\N
              < d 3|[redacted]
              < c
              < C COPY 3
              < Z I
        "#]],
    );
    case(
        "rows that are cut anywhere, and several in a message",
        &out_of(
            TWO,
            "masked copyout",
            &[b"1|o", b"", b"ne\n2|two\n3", b"|three\n"],
            "COPY 3",
        ),
        expect![[r#"
            client
                permit 1 query masked copyout
              > Query(masked copyout)
            server
                end 1 Completed rows=3 bytes=39 masked=[(1, 3)]
                status I
              < H 
              < d 1|[redacted]
              < d 2|[redacted]
              < d 3|[redacted]
              < c
              < C COPY 3
              < Z I
        "#]],
    );
    case(
        "names are no row, and show; a value may hold a line's end",
        &out_of(
            TWO,
            "masked copyout csv rows=2",
            &[b"id,ssn\n", b"1,\"o\nne\"\n", b"2,\n"],
            "COPY 2",
        ),
        expect![[r#"
            client
                permit 1 query masked copyout csv rows=2
              > Query(masked copyout csv rows=2)
            server
                end 1 Completed rows=2 bytes=23 masked=[(1, 1)]
                status I
              < H 
              < d id,ssn
              < d 1,[redacted]
              < d 2,
              < c
              < C COPY 2
              < Z I
        "#]],
    );
    case(
        "a limit ends it, and the session lives",
        &out_of(TWO, "masked copyout rows=2", rows, "COPY 3"),
        expect![[r#"
            client
                permit 1 query masked copyout rows=2
              > Query(masked copyout rows=2)
            server
                end 1 Cut rows=2 bytes=18 54000 masked=[(1, 1)]
                status I
              < H 
              < d 1|[redacted]
              < d 2|\N
              < E S=ERROR C=54000 M=the result is limited to 2 rows by policy D=the limit is on rows per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
              < Z I
        "#]],
    );
    case(
        "bytes count as they are shown, and what is not shown has nothing masked",
        &out_of(TWO, "masked copyout bytes=20", rows, "COPY 3"),
        expect![[r#"
            client
                permit 1 query masked copyout bytes=20
              > Query(masked copyout bytes=20)
            server
                end 1 Cut rows=2 bytes=18 54000 masked=[(1, 1)]
                status I
              < H 
              < d 1|[redacted]
              < d 2|\N
              < E S=ERROR C=54000 M=the result is limited to 20 bytes by policy D=the limit is on bytes per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made H=ask for less: add a LIMIT or a narrower WHERE, or name fewer columns
              < Z I
        "#]],
    );
    case(
        "binary: the start comes with the first row, the end is no row",
        &out_of(
            IN_BINARY,
            "masked copyout binary rows=1",
            &[
                b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x011\0\0\0\x03one",
                b"\xff\xff",
            ],
            "COPY 1",
        ),
        expect![[r#"
            client
                permit 1 query masked copyout binary rows=1
              > Query(masked copyout binary rows=1)
            server
                end 1 Completed rows=1 bytes=42 masked=[(1, 1)]
                status I
              < H 
              < d PGCOPY
            �\r
            1
            [redacted]
              < d ��
              < c
              < C COPY 1
              < Z I
        "#]],
    );
    for (title, announced, data, tag) in [
        ("other columns", THREE, rows, "COPY 3"),
        ("another format", IN_BINARY, rows, "COPY 3"),
        (
            "a row of other columns",
            TWO,
            &[&b"1|one\n"[..], b"2|two|three\n"][..],
            "COPY 2",
        ),
        ("no end", TWO, &[b"1|one\n", b"2|two"], "COPY 2"),
        ("another count", TWO, &[b"1|one\n"], "COPY 2"),
    ] {
        let text = transcript(
            &out_of(announced, "masked copyout", data, tag),
            Limits::default(),
            usize::MAX,
        );
        assert!(
            text.contains("the server's COPY data disagrees with the analysis"),
            "{title}: {text}"
        );
        assert!(
            !text.contains("two") && !text.contains("C COPY"),
            "{title}: {text}"
        );
        assert!(text.contains("< Z I"), "{title}: {text}");
    }
}

#[test]
fn a_row_that_is_too_large_is_no_oracle() {
    let limits = Limits {
        masked_row_bytes_max: 64,
        ..Limits::default()
    };
    let long = format!("1|{}\n", "x".repeat(70));
    let shown = format!("{}|one\n", "y".repeat(50));
    for rows in [
        &[long.as_bytes()][..],
        &[b"1|", &long.as_bytes()[2..40], &long.as_bytes()[40..]],
        &[shown.as_bytes()],
    ] {
        for chunk in [1, 7, usize::MAX] {
            let text = transcript(
                &out_of(TWO, "masked copyout", rows, "COPY 1"),
                limits,
                chunk,
            );
            assert!(
                text.contains("C=54000 M=a row of a masked result is too large"),
                "{text}"
            );
            assert!(
                text.contains("end 1 Cut") && text.contains("< Z I"),
                "{text}"
            );
        }
    }
}

#[test]
fn copies() {
    case(
        "in: data passes within the COPY only; an early Sync is ignored as the server would",
        &[
            Client(vec![raw('d', b"stray")]),
            Client(vec![
                parse("", "copyin"),
                bind("", ""),
                execute("", 0),
                sync(),
                raw('d', b"1\n"),
                raw('d', b"2\n"),
                bare('c'),
                sync(),
            ]),
            Server(vec![bare('1'), bare('2'), raw('G', b"\0\0\0")]),
            Server(vec![complete("COPY 2"), ready('I')]),
        ],
        expect![[r#"
            client
            client
                permit 1 prepare copyin
                permit 2 bind copyin
              > Parse(: copyin)
              > Bind( = )
              > Execute()
              > Flush
              stalled
            server
                end 1 Completed rows=0 bytes=0
              > CopyData(1
            )
              > CopyData(2
            )
              > CopyDone
              > Sync
              < 1
              < 2
              < G
            server
                end 2 Completed rows=2 bytes=4
                status I
              < C COPY 2
              < Z I
        "#]],
    );
    case(
        "in: failed by the server while data is on its way",
        &[
            Client(vec![query("copyin"), query("select")]),
            Server(vec![raw('G', b"\0\0\0")]),
        ],
        expect![[r#"
            client
                permit 1 query copyin
              > Query(copyin)
              stalled
            server
              > Terminate
              < G
              < E S=FATAL C=08P01 M=invalid message type 81
              ended
        "#]],
    );
    case(
        "in: failed",
        &[
            Client(vec![query("copyin")]),
            Server(vec![raw('G', b"\0\0\0")]),
            Client(vec![raw('d', b"x")]),
            Server(vec![error("22P02", "bad"), ready('I')]),
            Client(vec![raw('d', b"y"), bare('c'), query("select")]),
        ],
        expect![[r#"
            client
                permit 1 query copyin
              > Query(copyin)
              stalled
            server
              < G
            client
              > CopyData(x)
            server
                end 1 Failed rows=0 bytes=1 22P02
                status I
              < E S=ERROR C=22P02 M=bad D=value 123-45-6789 t=people
              < Z I
            client
                permit 2 query select
              > Query(select)
        "#]],
    );
    case(
        "out; out for a bound principal",
        &[
            Client(vec![query("copyout"), query("bound copyout")]),
            Server(vec![
                raw('H', b"\0\0\0"),
                raw('d', b"1\n"),
                bare('c'),
                complete("COPY 1"),
                ready('I'),
                raw('H', b"\0\0\0"),
                raw('d', b"123-45-6789\n"),
                bare('c'),
                complete("COPY 1"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query copyout
                permit 2 query bound copyout
              > Query(copyout)
              > Query(bound copyout)
            server
                end 1 Completed rows=1 bytes=2
                status I
                end 2 Cut rows=0 bytes=0 42501
                status I
              < H
              < d 1
              < c
              < C COPY 1
              < Z I
              < E S=ERROR C=42501 M=the server's COPY data disagrees with the analysis of the statement D=the data is withheld, since which of its columns are masked is not certain; if the statement changed data, the change was made H=the schema may have just changed: retry; where row-level security filters the table, name the columns
              < Z I
        "#]],
    );
    case(
        "that nothing explains",
        &[
            Client(vec![query("select")]),
            Server(vec![raw('H', b"\0\0\0")]),
            Close,
        ],
        expect![[r#"
            client
                permit 1 query select
              > Query(select)
            server
              > Terminate
              < E S=FATAL C=08P01 M=the server sent a message of type `H` that nothing asked for
              ended
            end 1 Unknown rows=0 bytes=0
        "#]],
    );
    case(
        "both ways",
        &[
            Client(vec![query("copyin")]),
            Server(vec![raw('W', b"\0\0\0")]),
            Close,
        ],
        expect![[r#"
            client
                permit 1 query copyin
              > Query(copyin)
              stalled
            server
              > Terminate
              < E S=FATAL C=08P01 M=the server sent a message of type `W` that nothing asked for
              ended
            end 1 Unknown rows=0 bytes=0
        "#]],
    );
}

#[test]
fn text_of_the_server() {
    let all = || {
        vec![
            server_text(b'N', "NOTICE", "00000", "value 123-45-6789"),
            raw('A', b"\0\0\0\x01channel\0payload\0"),
            error("23505", "duplicate 123-45-6789"),
            ready('I'),
            raw('S', b"TimeZone\0UTC\0"),
            server_text(b'E', "FATAL", "57P01", "terminating"),
        ]
    };
    case(
        "of an unbound principal",
        &[Client(vec![query("select")]), Server(all())],
        expect![[r#"
            client
                permit 1 query select
              > Query(select)
            server
                end 1 Failed rows=0 bytes=0 23505
                status I
              < N S=NOTICE C=00000 M=value 123-45-6789 D=value 123-45-6789 t=people
              < A channelpayload
              < E S=ERROR C=23505 M=duplicate 123-45-6789 D=value 123-45-6789 t=people
              < Z I
              < S TimeZoneUTC
              < E S=FATAL C=57P01 M=terminating D=value 123-45-6789 t=people
        "#]],
    );
    case(
        "of a bound one, at COMMIT too",
        &[MaskBound, Client(vec![query("select")]), Server(all())],
        expect![[r#"
            client
                permit 1 query select
              > Query(select)
            server
                end 1 Failed rows=0 bytes=0 23505
                status I
              < N S=NOTICE C=00000 t=people M=successful completion D=the server's own text is withheld because it can carry masked values
              < A channel
              < E S=ERROR C=23505 t=people M=unique violation D=the server's own text is withheld because it can carry masked values
              < Z I
              < S TimeZoneUTC
              < E S=FATAL C=57P01 t=people M=admin shutdown D=the server's own text is withheld because it can carry masked values
        "#]],
    );
    case(
        "stays rebuilt once a bound statement was decided",
        &[
            Client(vec![
                query("bound select"),
                parse("", "commit"),
                bind("", ""),
                execute("", 0),
                sync(),
            ]),
            Server(vec![
                complete("SELECT 0"),
                ready('I'),
                bare('1'),
                bare('2'),
                complete("COMMIT"),
                error("23503", "123-45-6789"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 query bound select
                permit 2 prepare commit
                permit 3 bind commit
              > Query(bound select)
              > Parse(: commit)
              > Bind( = )
              > Execute()
              > Sync
            server
                end 1 Completed rows=0 bytes=0
                status I
                end 2 Completed rows=0 bytes=0
                end 3 Completed rows=0 bytes=0
                status I
              < C SELECT 0
              < Z I
              < 1
              < 2
              < C COMMIT
              < E S=ERROR C=23503 t=people M=foreign key violation D=the server's own text is withheld because it can carry masked values
              < Z I
        "#]],
    );
}

#[test]
fn settings_that_must_not_change() {
    let changes: [(&[u8], bool); 9] = [
        (b"client_encoding\0UTF8\0", true),
        // `SET client_encoding TO unicode`, as psycopg 2 sends it: the session ended.
        (b"client_encoding\0UNICODE\0", true),
        (b"client_encoding\0SQL_ASCII\0", false),
        (b"standard_conforming_strings\0on\0", true),
        (b"standard_conforming_strings\0off\0", false),
        (b"session_authorization\0app\0", true),
        (b"session_authorization\0postgres\0", false),
        (b"is_superuser\0on\0", false),
        (b"DateStyle\0ISO\0", true),
    ];
    for (body, lives) in changes {
        let shown = transcript(
            &[Server(vec![raw('S', body)])],
            Limits::default(),
            usize::MAX,
        );
        assert_eq!(!shown.contains("S=FATAL C=42501"), lives, "{shown}");
    }
}

#[test]
fn answers_that_nothing_asked_for_end_the_session() {
    for kind in "123tTnCsIGHcZVRKDd".chars() {
        let body = if kind == 'Z' { &b"I"[..] } else { b"\0\0" };
        let body = if kind == 'C' { b"X\0" } else { body };
        let shown = transcript(
            &[Server(vec![raw(kind, body)])],
            Limits::default(),
            usize::MAX,
        );
        assert!(shown.contains("S=FATAL C=08P01"), "{kind}: {shown}");
    }
}

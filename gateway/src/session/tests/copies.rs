//! COPY, server text, settings, and answers that nothing asked for.

use expect_test::expect;

use super::harness::{Step::*, *};
use crate::session::Limits;

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
              < E S=ERROR C=42501 M=the server's description of the result disagrees with the analysis of the statement D=the rows are withheld, since which of their columns are masked is not certain; if the statement changed data, the change was made H=the schema may have just changed: retry
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
    let changes: [(&[u8], bool); 8] = [
        (b"client_encoding\0UTF8\0", true),
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

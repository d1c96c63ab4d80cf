//! Connections that replicate: commands with several results, streams of both directions, and what is refused there.

use expect_test::expect;

use super::harness::{Step::*, *};
use crate::protocol::replication::Replication::{Logical, Physical};

const ONE: &[(u32, i16, u32, i16)] = &[(0, 0, 25, 0)];
const BOTH: &[u8] = b"\0\0\0";

fn result(value: &str, tag: &str) -> Vec<Vec<u8>> {
    vec![description(ONE), row(&[Some(value)]), complete(tag)]
}

#[test]
fn a_command_ends_with_its_last_result() {
    let all = [
        result("0/1", "SELECT"),
        result("16", "SELECT"),
        vec![
            raw('H', BOTH),
            raw('d', b"nbase.tar"),
            raw('d', b"d12345"),
            bare('c'),
        ],
        result("0/2", "SELECT"),
        vec![complete("BASE_BACKUP"), ready('I')],
    ];
    case(
        "several results and a COPY; rows are rows, and data counts by its bytes",
        &[
            Replicates(Physical),
            Client(vec![query("BASE_BACKUP digest")]),
            Server(all.concat()),
        ],
        expect![[r#"
            client
                permit 1 replicate BASE_BACKUP digest
              > Query(BASE_BACKUP digest)
            server
                end 1 Completed rows=3 bytes=41 digest=73ef
                status I
              < T 1 columns
              < D 0/1
              < C SELECT
              < T 1 columns
              < D 16
              < C SELECT
              < H
              < d nbase.tar
              < d d12345
              < c
              < T 1 columns
              < D 0/2
              < C SELECT
              < C BASE_BACKUP
              < Z I
        "#]],
    );
    case(
        "a CommandComplete is told once it is known that another comes, or that it was the last",
        &[
            Replicates(Physical),
            Client(vec![query("IDENTIFY_SYSTEM")]),
            Server(result("7", "SELECT")),
            Server(result("8", "IDENTIFY_SYSTEM")),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 replicate IDENTIFY_SYSTEM
              > Query(IDENTIFY_SYSTEM)
            server
              < T 1 columns
              < D 7
            server
              < C SELECT
              < T 1 columns
              < D 8
            server
                end 1 Completed rows=2 bytes=14
                status I
              < C IDENTIFY_SYSTEM
              < Z I
        "#]],
    );
    case(
        "an error behind a result",
        &[
            Replicates(Physical),
            Client(vec![query("BASE_BACKUP")]),
            Server(result("7", "SELECT")),
            Server(vec![error("58P01", "no file"), ready('I')]),
            Client(vec![query("IDENTIFY_SYSTEM")]),
        ],
        expect![[r#"
            client
                permit 1 replicate BASE_BACKUP
              > Query(BASE_BACKUP)
            server
              < T 1 columns
              < D 7
            server
                end 1 Failed rows=1 bytes=7 58P01
                status I
              < C SELECT
              < E S=ERROR C=58P01 M=no file D=value 123-45-6789 t=people
              < Z I
            client
                permit 2 replicate IDENTIFY_SYSTEM
              > Query(IDENTIFY_SYSTEM)
        "#]],
    );
    case(
        "no end without a CommandComplete",
        &[
            Replicates(Physical),
            Client(vec![query("IDENTIFY_SYSTEM")]),
            Server(vec![ready('I')]),
            Close,
        ],
        expect![[r#"
            client
                permit 1 replicate IDENTIFY_SYSTEM
              > Query(IDENTIFY_SYSTEM)
            server
              > Terminate
              < E S=FATAL C=08P01 M=the server sent a message of type `Z` that nothing asked for
              ended
            end 1 Unknown rows=0 bytes=0
        "#]],
    );
    case(
        "a row without a description",
        &[
            Replicates(Physical),
            Client(vec![query("IDENTIFY_SYSTEM")]),
            Server(result("7", "SELECT")),
            Server(vec![row(&[Some("x")])]),
            Close,
        ],
        expect![[r#"
            client
                permit 1 replicate IDENTIFY_SYSTEM
              > Query(IDENTIFY_SYSTEM)
            server
              < T 1 columns
              < D 7
            server
              > Terminate
              < E S=FATAL C=08P01 M=the server sent a message of type `D` that nothing asked for
              ended
            end 1 Unknown rows=1 bytes=7
        "#]],
    );
}

#[test]
fn streams() {
    case(
        "the client ends it, and the server sends on until it does too",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION digest")]),
            Server(vec![raw('W', BOTH), raw('d', b"w1")]),
            Client(vec![raw('d', b"r1"), raw('d', b"r2"), bare('c')]),
            Server(vec![raw('d', b"w2"), bare('c')]),
            Server(vec![
                complete("COPY 0"),
                complete("START_REPLICATION"),
                ready('I'),
            ]),
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION digest
              > Query(START_REPLICATION digest)
              stalled
            server
              < W
              < d w1
            client
              > CopyData(r1)
              > CopyData(r2)
              > CopyDone
            server
              < d w2
              < c
            server
                end 1 Completed rows=0 bytes=4 digest=9990
                status I
              < C COPY 0
              < C START_REPLICATION
              < Z I
        "#]],
    );
    case(
        "the server ends it, and the client may say something until it does too",
        &[
            Replicates(Physical),
            Client(vec![query("START_REPLICATION")]),
            Server(vec![raw('W', BOTH), raw('d', b"w1"), bare('c')]),
            Client(vec![raw('d', b"r1"), bare('c'), raw('d', b"late")]),
            Server(result("2", "START_STREAMING")),
            Server(vec![complete("START_REPLICATION"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION
              > Query(START_REPLICATION)
              stalled
            server
              < W
              < d w1
              < c
            client
              > CopyData(r1)
              > CopyDone
            server
              < T 1 columns
              < D 2
              stalled
            server
                end 1 Completed rows=1 bytes=9
                status I
              < C START_STREAMING
              < C START_REPLICATION
              < Z I
        "#]],
    );
    case(
        "the server ends it at once, as one does that was asked before",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION")]),
            Server(vec![
                raw('W', BOTH),
                complete("COPY 0"),
                complete("START_REPLICATION"),
                ready('I'),
            ]),
            Client(vec![raw('d', b"r1"), bare('c'), query("IDENTIFY_SYSTEM")]),
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION
              > Query(START_REPLICATION)
              stalled
            server
                end 1 Completed rows=0 bytes=0
                status I
              < W
              < C COPY 0
              < C START_REPLICATION
              < Z I
            client
                permit 2 replicate IDENTIFY_SYSTEM
              > Query(IDENTIFY_SYSTEM)
        "#]],
    );
    case(
        "an error in it: what the client still sends is for nobody, and the session lives",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION")]),
            Server(vec![
                raw('W', BOTH),
                raw('d', b"w1"),
                error("58P01", "no segment"),
                ready('I'),
            ]),
            Client(vec![raw('d', b"r1"), bare('c'), query("IDENTIFY_SYSTEM")]),
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION
              > Query(START_REPLICATION)
              stalled
            server
                end 1 Failed rows=0 bytes=2 58P01
                status I
              < W
              < d w1
              < E S=ERROR C=58P01 M=no segment D=value 123-45-6789 t=people
              < Z I
            client
                permit 2 replicate IDENTIFY_SYSTEM
              > Query(IDENTIFY_SYSTEM)
        "#]],
    );
    case(
        "the client's failure goes to the server",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION")]),
            Server(vec![raw('W', BOTH)]),
            Client(vec![raw('f', b"no more\0"), raw('d', b"late")]),
            Server(vec![error("57014", "failed"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION
              > Query(START_REPLICATION)
              stalled
            server
              < W
            client
              > CopyFail
            server
                end 1 Failed rows=0 bytes=0 57014
                status I
              < E S=ERROR C=57014 M=failed D=value 123-45-6789 t=people
              < Z I
        "#]],
    );
    case(
        "anything else in it ends the session, as at a server",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION")]),
            Server(vec![raw('W', BOTH)]),
            Client(vec![query("select")]),
            Close,
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION
              > Query(START_REPLICATION)
              stalled
            server
              < W
            client
              > Terminate
              < E S=FATAL C=08P01 M=invalid message type 81
              ended
            end 1 Unknown rows=0 bytes=0
        "#]],
    );
    case(
        "what it sends behind its end waits for the server's",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION")]),
            Server(vec![raw('W', BOTH)]),
            Client(vec![
                bare('c'),
                raw('d', b"late"),
                bare('c'),
                query("IDENTIFY_SYSTEM"),
            ]),
            Server(vec![bare('c'), raw('d', b"k1"), complete("COPY 0")]),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION
              > Query(START_REPLICATION)
              stalled
            server
              < W
            client
              > CopyDone
              stalled
            server
              < c
              < d k1
              stalled
            server
                end 1 Completed rows=0 bytes=2
                status I
                permit 2 replicate IDENTIFY_SYSTEM
              > Query(IDENTIFY_SYSTEM)
              < C COPY 0
              < Z I
        "#]],
    );
    case(
        "data before the server asks for it waits",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION"), raw('d', b"r1")]),
            Server(vec![raw('W', BOTH)]),
            Close,
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION
              > Query(START_REPLICATION)
              stalled
            server
              > CopyData(r1)
              < W
            end 1 Unknown rows=0 bytes=0
        "#]],
    );
    case(
        "a manifest, whose bytes count",
        &[
            Replicates(Physical),
            Client(vec![query("UPLOAD_MANIFEST"), raw('d', b"{}"), bare('c')]),
            Server(vec![raw('G', BOTH)]),
            Server(vec![complete("UPLOAD_MANIFEST"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 replicate UPLOAD_MANIFEST
              > Query(UPLOAD_MANIFEST)
              stalled
            server
              > CopyData({})
              > CopyDone
              < G
            server
                end 1 Completed rows=0 bytes=2
                status I
              < C UPLOAD_MANIFEST
              < Z I
        "#]],
    );
    case(
        "a client that is gone",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION")]),
            Server(vec![raw('W', BOTH), raw('d', b"w1")]),
            Close,
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION
              > Query(START_REPLICATION)
              stalled
            server
              < W
              < d w1
            end 1 Unknown rows=0 bytes=2
        "#]],
    );
}

#[test]
fn a_stream_is_decided_again() {
    case(
        "what is still allowed goes on as a statement of its own",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION")]),
            Server(vec![raw('W', BOTH), raw('d', b"w1")]),
            Review,
            Stale,
            Review,
            Server(vec![raw('d', b"w22")]),
            Client(vec![raw('d', b"r1"), bare('c')]),
            Server(vec![bare('c'), complete("START_REPLICATION"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION
              > Query(START_REPLICATION)
              stalled
            server
              < W
              < d w1
            review
            review
                permit 2 replicate START_REPLICATION
                end 1 Completed rows=0 bytes=2
            server
              < d w22
            client
              > CopyData(r1)
              > CopyDone
            server
                end 2 Completed rows=0 bytes=3
                status I
              < c
              < C START_REPLICATION
              < Z I
        "#]],
    );
    case(
        "what is allowed no more ends, and the session with it",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION late")]),
            Server(vec![raw('W', BOTH), raw('d', b"w1")]),
            Stale,
            Denies,
            Review,
            Close,
        ],
        expect![[r#"
            client
                permit 1 replicate START_REPLICATION late
              > Query(START_REPLICATION late)
              stalled
            server
              < W
              < d w1
            review
                refuse replicate START_REPLICATION late
                end 1 Cut rows=0 bytes=2 42501
              > Terminate
              < E S=FATAL C=42501 M=the stream ends: no START_REPLICATION late
              ended
        "#]],
    );
    case(
        "what has an end goes on",
        &[
            Replicates(Physical),
            Client(vec![query("BASE_BACKUP")]),
            Server(vec![raw('H', BOTH), raw('d', b"1")]),
            Stale,
            Denies,
            Review,
            Server(vec![bare('c'), complete("BASE_BACKUP"), ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 replicate BASE_BACKUP
              > Query(BASE_BACKUP)
            server
              < H
              < d 1
            review
            server
                end 1 Completed rows=0 bytes=1
                status I
              < c
              < C BASE_BACKUP
              < Z I
        "#]],
    );
}

#[test]
fn what_is_refused() {
    case(
        "without a database, the gateway answers by itself",
        &[
            Replicates(Physical),
            Client(vec![
                query("START_REPLICATION deny"),
                raw('F', b"\0\0\0\x07\0\0\0\0\0\0"),
            ]),
        ],
        expect![[r#"
            client
                refuse replicate START_REPLICATION deny
                session refuses 08P01
              < E S=ERROR C=42501 M=no START_REPLICATION deny D=because
              < Z I
              < E S=ERROR C=08P01 M=fastpath function calls not supported in a replication connection
              < Z I
        "#]],
    );
    case(
        "with one, the server keeps the transaction's status",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION deny")]),
            Server(vec![missing("42601", 0), ready('E')]),
        ],
        expect![[r#"
            client
                refuse replicate START_REPLICATION deny
              > Query(DENIED00)
            server
                status E
              < E S=ERROR C=42501 M=no START_REPLICATION deny D=because
              < Z E
        "#]],
    );
    case(
        "the extended protocol, in the server's words",
        &[
            Replicates(Logical),
            Client(vec![
                parse("", "select"),
                bind("", ""),
                execute("", 0),
                query("IDENTIFY_SYSTEM"),
                sync(),
            ]),
            Server(vec![
                error(
                    "08P01",
                    "extended query protocol not supported in a replication connection",
                ),
                ready('I'),
            ]),
            Client(vec![query("IDENTIFY_SYSTEM")]),
        ],
        expect![[r#"
            client
                session refuses 08P01
              > Execute(DENIED00)
              > Sync
            server
                status I
              < E S=ERROR C=08P01 M=extended query protocol not supported in a replication connection D=value 123-45-6789 t=people
              < Z I
            client
                permit 1 replicate IDENTIFY_SYSTEM
              > Query(IDENTIFY_SYSTEM)
        "#]],
    );
    case(
        "one command at a time",
        &[
            Replicates(Physical),
            Client(vec![
                query("IDENTIFY_SYSTEM"),
                query("TIMELINE_HISTORY deny"),
            ]),
            Server(result("7", "IDENTIFY_SYSTEM")),
            Server(vec![ready('I')]),
        ],
        expect![[r#"
            client
                permit 1 replicate IDENTIFY_SYSTEM
              > Query(IDENTIFY_SYSTEM)
              stalled
            server
              < T 1 columns
              < D 7
              stalled
            server
                end 1 Completed rows=1 bytes=7
                status I
                refuse replicate TIMELINE_HISTORY deny
              < C IDENTIFY_SYSTEM
              < Z I
              < E S=ERROR C=42501 M=no TIMELINE_HISTORY deny D=because
              < Z I
        "#]],
    );
    case(
        "a stream where none was asked for",
        &[
            Client(vec![query("START_REPLICATION")]),
            Server(vec![raw('W', BOTH)]),
            Close,
        ],
        expect![[r#"
            client
                permit 1 query START_REPLICATION
              > Query(START_REPLICATION)
            server
              > Terminate
              < E S=FATAL C=08P01 M=the server sent a message of type `W` that nothing asked for
              ended
            end 1 Unknown rows=0 bytes=0
        "#]],
    );
}

#[test]
fn sql_beside_commands() {
    case(
        "the gateway asks by simple queries",
        &[
            Replicates(Logical),
            Client(vec![query("moves"), query("select")]),
            Server(vec![complete("SET"), ready('I')]),
            Server([result("path", "SELECT 1"), vec![ready('I')]].concat()),
            Server([result("1", "SELECT 1"), vec![ready('I')]].concat()),
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
              > Query(PATH)
              < C SET
              < Z I
              stalled
            server
                looked Path Ok("path")
                permit 2 query select
              > Query(select)
            server
                end 2 Completed rows=1 bytes=7
                status I
              < T 1 columns
              < D 1
              < C SELECT 1
              < Z I
        "#]],
    );
    case(
        "what can't be asked so has no answer",
        &[
            Replicates(Logical),
            Client(vec![query("view")]),
            Server(vec![bare('I'), ready('I')]),
        ],
        expect![[r#"
            client
              > Query()
              stalled
            server
                pinned Gateway Err(Unseen { sqlstate: "XX000" })
                refuse query view
              > Query(DENIED00)
        "#]],
    );
}

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
        expect![],
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
        expect![],
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
        expect![],
    );
    case(
        "no end without a CommandComplete",
        &[
            Replicates(Physical),
            Client(vec![query("IDENTIFY_SYSTEM")]),
            Server(vec![ready('I')]),
            Close,
        ],
        expect![],
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
        expect![],
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
        expect![],
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
        expect![],
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
        expect![],
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
        expect![],
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
        expect![],
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
        expect![],
    );
    case(
        "data before the server asks for it waits",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION"), raw('d', b"r1")]),
            Server(vec![raw('W', BOTH)]),
            Close,
        ],
        expect![],
    );
    case(
        "a manifest, whose bytes count",
        &[
            Replicates(Physical),
            Client(vec![query("UPLOAD_MANIFEST"), raw('d', b"{}"), bare('c')]),
            Server(vec![raw('G', BOTH)]),
            Server(vec![complete("UPLOAD_MANIFEST"), ready('I')]),
        ],
        expect![],
    );
    case(
        "a client that is gone",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION")]),
            Server(vec![raw('W', BOTH), raw('d', b"w1")]),
            Close,
        ],
        expect![],
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
        expect![],
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
        expect![],
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
        expect![],
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
        expect![],
    );
    case(
        "with one, the server keeps the transaction's status",
        &[
            Replicates(Logical),
            Client(vec![query("START_REPLICATION deny")]),
            Server(vec![missing("42601", 0), ready('E')]),
        ],
        expect![],
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
        expect![],
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
        expect![],
    );
    case(
        "a stream where none was asked for",
        &[
            Client(vec![query("START_REPLICATION")]),
            Server(vec![raw('W', BOTH)]),
            Close,
        ],
        expect![],
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
        expect![],
    );
    case(
        "what can't be asked so has no answer",
        &[
            Replicates(Logical),
            Client(vec![query("view")]),
            Server(vec![bare('I'), ready('I')]),
        ],
        expect![],
    );
}

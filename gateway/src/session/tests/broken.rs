//! Every truncation of every message, every length that lies, in every state of a conversation, from a client and from a server that
//! is broken or lies: the session never panics, never forwards what was not decided, never shows a masked value, gives every
//! statement its end, and what it writes are frames.
//!
//! Each conversation is held again for each change to each of its frames, whole and byte by byte. Then come conversations with
//! several changes at random, from a seed: `PROVOST_FRAMES_SECONDS` says for how long, `PROVOST_FRAMES_SEED` where they begin.

use std::{
    env,
    time::{Duration, Instant},
};

use bytes::BytesMut;

use super::harness::*;
use crate::{
    protocol::{
        frame::{HEADER_BYTES, header},
        replication::Replication,
    },
    session::{Flow, Limits},
};

/// What every masked value holds, and nothing else.
const CANARY: &[u8] = b"000-00-";
/// Conversations with changes at random, unless the environment gives a time.
const RANDOM_CASES: u64 = 3_000;
const TWO: &[(u32, i16, u32, i16)] = &[(7, 1, 25, 0), (7, 2, 25, 0)];

/// Who sends a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

type Turn = (From, Vec<u8>);

struct Conversation {
    title: &'static str,
    turns: Vec<Turn>,
    /// Its statements are masked: no value of theirs may be shown.
    masked: bool,
    replication: Option<Replication>,
}

fn conversation(title: &'static str, parts: Vec<(From, Vec<Vec<u8>>)>) -> Conversation {
    let each =
        |(from, frames): (From, Vec<Vec<u8>>)| frames.into_iter().map(move |frame| (from, frame));
    Conversation {
        title,
        turns: parts.into_iter().flat_map(each).collect(),
        masked: title.contains("masked"),
        replication: match title.split_once(", ") {
            Some(("physical", _)) => Some(Replication::Physical),
            Some(("logical", _)) => Some(Replication::Logical),
            _ => None,
        },
    }
}

/// The server's answer to one question of the gateway's own.
fn seen(text: &str) -> Vec<Vec<u8>> {
    let values = row(&[Some(text)]);
    vec![
        bare('1'),
        bare('2'),
        values,
        complete("SELECT 1"),
        bare('3'),
        bare('3'),
    ]
}

fn secret() -> Vec<u8> {
    row(&[Some("ann"), Some("000-00-1234")])
}

/// The states that a connection can be in which replicates.
fn replications() -> Vec<Conversation> {
    use self::From::{Client, Server};
    let result = |tag: &str| vec![description(TWO), row(&[Some("a"), None]), complete(tag)];
    vec![
        conversation(
            "physical, a base backup",
            vec![
                (Client, vec![query("BASE_BACKUP (LABEL 'x')")]),
                (Server, result("SELECT")),
                (Server, result("SELECT")),
                (
                    Server,
                    vec![
                        raw('H', b"\0\0\0"),
                        raw('d', b"nbase.tar\0"),
                        raw('d', b"d1234"),
                        bare('c'),
                    ],
                ),
                (Server, result("SELECT")),
                (Server, vec![complete("BASE_BACKUP"), ready('I')]),
            ],
        ),
        conversation(
            "physical, a stream that the client ends",
            vec![
                (Client, vec![query("START_REPLICATION 0/0")]),
                (Server, vec![raw('W', b"\0\0\0"), raw('d', b"w1")]),
                (Client, vec![raw('d', b"r1")]),
                (Server, vec![raw('d', b"k1")]),
                (Client, vec![bare('c')]),
                (Server, vec![raw('d', b"w2"), bare('c')]),
                (
                    Server,
                    vec![
                        complete("COPY 0"),
                        complete("START_REPLICATION"),
                        ready('I'),
                    ],
                ),
            ],
        ),
        conversation(
            "physical, a stream that the server ends",
            vec![
                (Client, vec![query("START_REPLICATION 0/0")]),
                (
                    Server,
                    vec![raw('W', b"\0\0\0"), raw('d', b"w1"), bare('c')],
                ),
                (Client, vec![raw('d', b"r1"), bare('c')]),
                (Server, result("START_STREAMING")),
                (Server, vec![complete("START_REPLICATION"), ready('I')]),
            ],
        ),
        conversation(
            "physical, a manifest",
            vec![
                (Client, vec![query("UPLOAD_MANIFEST")]),
                (Server, vec![raw('G', b"\0\0\0")]),
                (Client, vec![raw('d', b"{}"), bare('c')]),
                (Server, vec![complete("UPLOAD_MANIFEST"), ready('I')]),
            ],
        ),
        conversation(
            "physical, refused",
            vec![(
                Client,
                vec![
                    query("START_REPLICATION deny"),
                    raw('F', b"\0\0\0\x07\0\0\0\x01\0\0\0\x01x\0\0"),
                    query("IDENTIFY_SYSTEM"),
                ],
            )],
        ),
        conversation(
            "logical, an error in a stream",
            vec![
                (Client, vec![query("START_REPLICATION LOGICAL")]),
                (
                    Server,
                    vec![
                        raw('W', b"\0\0\0"),
                        raw('d', b"w1"),
                        error("58P01", "gone"),
                        ready('I'),
                    ],
                ),
                (
                    Client,
                    vec![raw('d', b"r1"), bare('c'), query("IDENTIFY_SYSTEM")],
                ),
                (Server, result("IDENTIFY_SYSTEM")),
                (Server, vec![ready('I')]),
            ],
        ),
        conversation(
            "logical, SQL and what is none",
            vec![
                (Client, vec![query("moves"), query("select; show")]),
                (Server, vec![complete("SET"), ready('T')]),
                (
                    Server,
                    vec![
                        description(TWO),
                        row(&[Some("path")]),
                        complete("SELECT 1"),
                        ready('T'),
                    ],
                ),
                (Server, result("SELECT 1")),
                (Server, vec![complete("SHOW"), ready('T')]),
                (
                    Client,
                    vec![parse("", "select"), bind("", ""), execute("", 0), sync()],
                ),
                (Server, vec![error("08P01", "not here"), ready('E')]),
                (Client, vec![query("deny")]),
                (Server, vec![missing("42601", 1), ready('E')]),
            ],
        ),
    ]
}

/// One conversation for each state that a session can be in.
fn conversations() -> Vec<Conversation> {
    use self::From::{Client, Server};
    let pin = [seen("2"), seen("same")].concat();
    let mut all = vec![
        conversation(
            "simple",
            vec![
                (Client, vec![query("select; show")]),
                (
                    Server,
                    vec![
                        description(TWO),
                        row(&[Some("a"), None]),
                        complete("SELECT 1"),
                        complete("SHOW"),
                        ready('I'),
                    ],
                ),
            ],
        ),
        conversation(
            "masked, simple",
            vec![
                (Client, vec![query("masked")]),
                (
                    Server,
                    vec![
                        description(TWO),
                        secret(),
                        row(&[Some("b"), None]),
                        complete("SELECT 2"),
                        ready('I'),
                    ],
                ),
            ],
        ),
        conversation(
            "masked, extended, described by the gateway",
            vec![
                (
                    Client,
                    vec![
                        parse("s", "masked"),
                        bind_value("p", "s", Some("value")),
                        execute("p", 0),
                        sync(),
                    ],
                ),
                (
                    Server,
                    vec![
                        bare('1'),
                        bare('2'),
                        description(TWO),
                        secret(),
                        complete("SELECT 1"),
                        ready('I'),
                    ],
                ),
            ],
        ),
        conversation(
            "masked, a portal in parts",
            vec![
                (
                    Client,
                    vec![
                        parse("", "masked"),
                        bind("p", ""),
                        describe('P', "p"),
                        execute("p", 1),
                        flush(),
                    ],
                ),
                (
                    Server,
                    vec![bare('1'), bare('2'), description(TWO), secret(), bare('s')],
                ),
                (Client, vec![execute("p", 0), close('P', "p"), sync()]),
                (
                    Server,
                    vec![secret(), complete("SELECT 2"), bare('3'), ready('I')],
                ),
            ],
        ),
        conversation(
            "masked, an error in the middle of a pipeline",
            vec![
                (
                    Client,
                    vec![
                        parse("", "masked"),
                        bind("", ""),
                        execute("", 0),
                        parse("", "masked"),
                        bind("", ""),
                        execute("", 0),
                        sync(),
                    ],
                ),
                (
                    Server,
                    vec![
                        bare('1'),
                        bare('2'),
                        description(TWO),
                        secret(),
                        error("22012", "000-00-9"),
                        ready('I'),
                    ],
                ),
                (Client, vec![query("masked")]),
                (Server, vec![complete("SELECT 0"), ready('I')]),
            ],
        ),
        conversation(
            "masked, what the server says in between",
            vec![
                (Client, vec![query("masked")]),
                (
                    Server,
                    vec![
                        server_text(b'N', "NOTICE", "00000", "000-00-7"),
                        raw('S', b"TimeZone\0UTC\0"),
                        raw('A', b"\0\0\0\x01channel\0payload\0"),
                        description(TWO),
                        secret(),
                        complete("SELECT 1"),
                        ready('I'),
                    ],
                ),
            ],
        ),
        conversation(
            "denied",
            vec![
                (
                    Client,
                    vec![query("deny"), parse("", "deny"), bind("", ""), sync()],
                ),
                (
                    Server,
                    vec![
                        missing("42601", 0),
                        ready('I'),
                        missing("42601", 1),
                        ready('I'),
                    ],
                ),
            ],
        ),
        conversation(
            "COPY in",
            vec![
                (Client, vec![query("copyin")]),
                (Server, vec![raw('G', b"\0\0\x01\0\0")]),
                (Client, vec![raw('d', b"1\n2\n"), raw('d', b""), bare('c')]),
                (Server, vec![complete("COPY 2"), ready('I')]),
            ],
        ),
        conversation(
            "COPY in, extended, failed by the client",
            vec![
                (
                    Client,
                    vec![parse("", "copyin"), bind("", ""), execute("", 0), sync()],
                ),
                (
                    Server,
                    vec![bare('1'), bare('2'), raw('G', b"\0\0\x01\0\0")],
                ),
                (
                    Client,
                    vec![raw('d', b"1\n"), raw('f', b"no more\0"), sync()],
                ),
                (
                    Server,
                    vec![error("57014", "failed"), ready('I'), ready('I')],
                ),
            ],
        ),
        conversation(
            "COPY out",
            vec![
                (Client, vec![query("copyout")]),
                (
                    Server,
                    vec![
                        raw('H', b"\0\0\x01\0\0"),
                        raw('d', b"1\n"),
                        raw('d', b"2\n"),
                        bare('c'),
                        complete("COPY 2"),
                        ready('I'),
                    ],
                ),
            ],
        ),
        conversation(
            "a function",
            vec![
                (
                    Client,
                    vec![raw('F', b"\0\0\0\x07\0\0\0\x01\0\0\0\x01x\0\0")],
                ),
                (Server, vec![raw('V', b"\0\0\0\x01y"), ready('I')]),
            ],
        ),
        conversation(
            "a question between segments",
            vec![
                (Client, vec![query("moves"), query("select")]),
                (Server, vec![complete("SET"), ready('T')]),
                (Server, [seen("path"), vec![ready('T')]].concat()),
                (Server, vec![complete("SELECT 1"), ready('T')]),
            ],
        ),
        conversation(
            "a question in the middle of one",
            vec![
                (
                    Client,
                    vec![
                        parse("", "moves"),
                        bind("", ""),
                        execute("", 0),
                        parse("", "select"),
                        bind("", ""),
                        execute("", 0),
                        sync(),
                    ],
                ),
                (Server, vec![bare('1'), bare('2'), complete("SET")]),
                (Server, seen("path")),
                (
                    Server,
                    vec![bare('1'), bare('2'), complete("SELECT 1"), ready('I')],
                ),
            ],
        ),
        conversation(
            "masked, its view held",
            vec![
                (Client, vec![query("masked view")]),
                (Server, pin),
                (
                    Server,
                    vec![description(TWO), secret(), complete("SELECT 1"), ready('I')],
                ),
            ],
        ),
        conversation(
            "names that SQL gives",
            vec![
                (
                    Client,
                    vec![
                        query("names x"),
                        bind("", "x"),
                        execute("", 0),
                        sync(),
                        query("fetch"),
                    ],
                ),
                (
                    Server,
                    vec![
                        complete("PREPARE"),
                        ready('I'),
                        bare('2'),
                        complete("SELECT 1"),
                        ready('I'),
                        complete("FETCH 1"),
                        ready('I'),
                    ],
                ),
            ],
        ),
        conversation(
            "masked, limited",
            vec![
                (Client, vec![query("masked rows=1"), query("masked")]),
                (
                    Server,
                    vec![
                        description(TWO),
                        secret(),
                        secret(),
                        complete("SELECT 2"),
                        ready('I'),
                        complete("SELECT 0"),
                        ready('I'),
                    ],
                ),
            ],
        ),
        conversation(
            "a limited change",
            vec![
                (Client, vec![query("insert affected=2")]),
                (
                    Server,
                    vec![bare('1'), bare('2'), bare('n'), complete("INSERT 0 1")],
                ),
                (Server, vec![ready('I')]),
            ],
        ),
        conversation(
            "segments that come whole, and so do their answers",
            vec![
                (Client, vec![parse("s", "select"), sync()]),
                (Server, vec![bare('1'), ready('I')]),
                (
                    Client,
                    vec![[bind("", "s"), describe('P', ""), execute("", 0), sync()].concat()],
                ),
                (
                    Server,
                    vec![
                        [
                            bare('2'),
                            description(TWO),
                            row(&[Some("a"), None]),
                            complete("SELECT 1"),
                            ready('I'),
                        ]
                        .concat(),
                    ],
                ),
                (
                    Client,
                    vec![
                        [
                            parse("s", "select"),
                            bind_value("", "s", Some("1")),
                            execute("", 0),
                            sync(),
                        ]
                        .concat(),
                    ],
                ),
                (
                    Server,
                    vec![[bare('1'), bare('2'), complete("SELECT 0"), ready('I')].concat()],
                ),
                (Client, vec![query("insert")]),
                (Server, vec![[complete("INSERT 0 2"), ready('I')].concat()]),
            ],
        ),
        conversation(
            "goodbye",
            vec![
                (Client, vec![parse("", "select"), bind("", ""), terminate()]),
                (Server, vec![bare('1'), bare('2')]),
            ],
        ),
    ];
    all.extend(replications());
    all
}

/// The values that a length, a count, or a part of one is set to.
const LENGTHS: [u32; 9] = [
    0,
    1,
    3,
    4,
    5,
    0x3fff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
];
const KINDS: &[u8] = b"QPBDECHSXdcfFp12TZNAGWntIsKRv3V\0\xff";

/// Every change to one frame: truncations with the length set right and left as it was, lengths, types, and each byte of the body.
fn changes(frame: &[u8]) -> Vec<Vec<u8>> {
    let (head, body) = frame.split_at(HEADER_BYTES);
    let mut changed = vec![Vec::new(), [frame, frame].concat()];
    for end in 0..body.len() {
        changed.push(raw(char::from(head[0]), &body[..end]));
        changed.push(frame[..HEADER_BYTES + end].to_vec());
    }
    changed.extend((1..HEADER_BYTES).map(|end| frame[..end].to_vec()));
    let length = u32::from_be_bytes(head[1..].try_into().unwrap());
    for length in LENGTHS.into_iter().chain([
        length.wrapping_sub(1),
        length.wrapping_add(1),
        length.wrapping_add(7),
    ]) {
        changed.push([&head[..1], &length.to_be_bytes(), body].concat());
    }
    changed.extend(
        KINDS
            .iter()
            .map(|kind| [&[*kind], &head[1..], body].concat()),
    );
    for place in HEADER_BYTES..frame.len() {
        for value in [
            0,
            1,
            0x7f,
            0x80,
            0xff,
            frame[place].wrapping_add(1),
            frame[place].wrapping_sub(1),
        ] {
            let mut one = frame.to_vec();
            one[place] = value;
            changed.push(one);
        }
    }
    changed
}

/// A house for cases.
struct Bench {
    runtime: tokio::runtime::Runtime,
    cases: u64,
    /// What the server connection of the conversations to come replicates.
    replication: Option<Replication>,
}

impl Bench {
    fn new() -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
            cases: 0,
            replication: None,
        }
    }

    /// Holds a conversation, and checks what must hold whatever was said in it.
    #[track_caller]
    fn hold(&mut self, turns: &[Turn], chunk: usize, masked: bool, what: &dyn Fn() -> String) {
        self.cases += 1;
        let replication = self.replication;
        self.runtime.block_on(async {
            let mut harness = Harness::new(Limits::default());
            harness.core.replication = replication;
            // Who has masked columns is bound from the start, not from the first statement that reads them.
            let word = b"masked";
            let is_bound = |(_, frame): &Turn| frame.windows(word.len()).any(|it| it == word);
            harness.seen.borrow_mut().mask_bound = turns.iter().any(is_bound);
            let mut to_client = Vec::new();
            let mut to_server = Vec::new();
            'turns: for (from, frame) in turns {
                for part in frame.chunks(chunk.min(frame.len().max(1))) {
                    match from {
                        From::Client => harness.from_client.extend_from_slice(part),
                        From::Server => harness.from_server.extend_from_slice(part),
                    }
                    let flow = harness.pump().await;
                    to_client.extend_from_slice(&harness.out.to_client);
                    harness.out.to_client.clear();
                    to_server.extend_from_slice(harness.out.to_server.unsent());
                    let count = harness.out.to_server.unsent().len();
                    harness.out.to_server.sent(count);
                    if matches!(flow, Ok(Flow::Closed) | Err(_)) {
                        break 'turns;
                    }
                }
            }
            harness.core.close().await.unwrap();
            let seen = harness.seen.borrow();
            assert_eq!(
                seen.texts.len(),
                seen.ends.len(),
                "an end for each statement: {}",
                what()
            );
            frames_only(&to_client, what);
            frames_only(&to_server, what);
            if masked {
                let shown = to_client
                    .windows(CANARY.len())
                    .any(|window| window == CANARY);
                assert!(!shown, "a masked value is shown: {}", what());
            }
            for line in show(&to_server) {
                let query = line
                    .strip_prefix("Query(")
                    .and_then(|rest| rest.strip_suffix(')'));
                let parse = line
                    .strip_prefix("Parse(")
                    .and_then(|rest| rest.strip_suffix(')')?.split_once(": "));
                let Some(text) = query.or(parse.map(|(_, text)| text)) else {
                    continue;
                };
                let own = ["", "DENIED", "PATH", "HOLD", "READ"];
                let decided = seen
                    .texts
                    .values()
                    .any(|decided| text.contains(decided.as_str()));
                assert!(
                    decided
                        || own.iter().any(
                            |own| text.starts_with(own) && (text.is_empty() || !own.is_empty())
                        ),
                    "{line}: {}",
                    what()
                );
            }
        });
    }
}

/// What is written are frames; the last may be unfinished, where a body is passed on in parts.
#[track_caller]
fn frames_only(mut bytes: &[u8], what: &dyn Fn() -> String) {
    loop {
        match header(bytes) {
            Ok(Some(header)) if header.frame_bytes() <= bytes.len() => {
                bytes = &bytes[header.frame_bytes()..]
            }
            Ok(_) => return,
            Err(error) => panic!("{error}: {}", what()),
        }
    }
}

#[test]
fn one_change_to_one_frame() {
    let mut bench = Bench::new();
    for conversation in conversations() {
        let Conversation {
            title,
            turns,
            masked,
            replication,
        } = &conversation;
        bench.replication = *replication;
        bench.hold(turns, usize::MAX, *masked, &|| (*title).to_owned());
        for place in 0..turns.len() {
            let (from, frame) = &turns[place];
            for change in changes(frame) {
                let mut changed = turns.clone();
                changed[place] = (*from, change.clone());
                let what =
                    || format!("{title}: frame {place} of the {from:?}: {frame:?} as {change:?}");
                // A text that was changed is another statement.
                let has_text = |frame: &[u8]| matches!(frame.first(), Some(b'Q' | b'P'));
                let is_another = *from == From::Client && (has_text(frame) || has_text(&change));
                // A description may name its columns as it likes, after the bytes of a row that it swallowed too.
                let may_name =
                    *from == From::Server && (frame[0] == b'T' || change.first() == Some(&b'T'));
                let masked = *masked && !is_another && !may_name;
                bench.hold(&changed, usize::MAX, masked, &what);
                bench.hold(&changed, 3, masked, &what);
                // From the wrong side.
                let other = if *from == From::Client {
                    From::Server
                } else {
                    From::Client
                };
                changed[place].0 = other;
                bench.hold(&changed, usize::MAX, false, &what);
            }
        }
    }
    println!("{} conversations with one change", bench.cases);
}

/// xorshift64*: the same cases on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

#[test]
fn changes_at_random() {
    let number = |name: &str| {
        env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().unwrap())
    };
    let seed = number("PROVOST_FRAMES_SEED").unwrap_or(1);
    let time = number("PROVOST_FRAMES_SECONDS").map(Duration::from_secs);
    let start = Instant::now();
    let all = conversations();
    let mut bench = Bench::new();
    for case in 0.. {
        if time.map_or(case >= RANDOM_CASES, |time| start.elapsed() >= time) {
            break;
        }
        // Each case has a seed of its own, so that one can be had again.
        let mut random = Random((seed + case).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut turns = Vec::new();
        let mut masked = true;
        bench.replication = None;
        for _ in 0..=random.below(2) {
            let one = &all[random.below(all.len())];
            // A statement that is not masked may show anything.
            masked &= one.masked;
            bench.replication = bench.replication.or(one.replication);
            turns.extend(one.turns.clone());
        }
        for _ in 0..=random.below(4) {
            let place = random.below(turns.len());
            let frame = turns[place].1.clone();
            if frame.len() < HEADER_BYTES {
                continue;
            }
            masked &= turns[place].0 == From::Server && frame[0] != b'T';
            turns[place].1 = match random.below(4) {
                0 => {
                    let other = random.below(turns.len());
                    turns[other].1.clone()
                }
                1 => {
                    let mut noise = BytesMut::from(&frame[..]);
                    for _ in 0..=random.below(4) {
                        let at = random.below(noise.len());
                        noise[at] = random.below(256) as u8;
                    }
                    noise.to_vec()
                }
                _ => {
                    let all = changes(&frame);
                    all[random.below(all.len())].clone()
                }
            };
            masked &= turns[place].1.first() != Some(&b'T');
        }
        let chunk = [usize::MAX, 1, 2, 7][random.below(4)];
        bench.hold(&turns, chunk, masked, &|| {
            format!("seed {}: {turns:?}", seed + case)
        });
    }
    println!(
        "{} conversations with changes at random from seed {seed}",
        bench.cases
    );
}

//! Segments that are taken as one: which are, and that they come to what their frames come to one by one.

use std::collections::HashMap;

use proptest::prelude::*;

use super::harness::{Step::*, *};
use crate::session::{Flow, Limits};

/// A session with a prepared statement, and the unnamed one.
fn prepared() -> Vec<Step> {
    vec![
        Client(vec![
            parse("s", "select"),
            parse("", "insert"),
            parse("m", "masked"),
            sync(),
        ]),
        Server(vec![bare('1'), bare('1'), bare('1'), ready('I')]),
    ]
}

fn bound(statement: &str) -> Vec<Vec<u8>> {
    vec![bind("", statement), execute("", 0), sync()]
}

/// Whether the last of these steps leaves a segment that is taken as one.
fn is_whole(steps: &[Step], limits: Limits) -> bool {
    let taken = |steps| hold(steps, limits, false, usize::MAX).1;
    taken(steps) > taken(&steps[..steps.len() - 1])
}

/// What a conversation came to, up to its end where it has one, and how often a segment was taken as one.
fn hold(steps: &[Step], limits: Limits, forgets: bool, chunk: usize) -> (String, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut harness = Harness::new(limits);
        harness.seen.borrow_mut().forgets = forgets;
        let (mut lines, mut taken, mut is_over) = (Vec::new(), 0, false);
        for step in steps {
            let (bytes, is_client) = match step {
                Client(frames) => (frames.concat(), true),
                Server(frames) => (frames.concat(), false),
                _ => unreachable!("only bytes"),
            };
            for part in bytes.chunks(chunk.min(bytes.len().max(1))) {
                match is_client {
                    true => harness.from_client.extend_from_slice(part),
                    false => harness.from_server.extend_from_slice(part),
                }
                let was_whole = harness.core.whole.is_some();
                let flow = harness.pump().await;
                taken += usize::from(!was_whole && harness.core.whole.is_some());
                is_over = matches!(flow, Ok(Flow::Closed) | Err(_));
                if is_over {
                    break;
                }
            }
            lines.append(&mut harness.seen.borrow_mut().events);
            lines.push(format!("> {:?}", harness.out.to_server.unsent()));
            lines.push(format!("< {:?}", &*harness.out.to_client));
            let count = harness.out.to_server.unsent().len();
            harness.out.to_server.sent(count);
            harness.out.to_client.clear();
            lines.push(format!(
                "idle {} owes {} accepts {}",
                harness.core.is_idle(),
                harness.core.owes_answers(),
                harness.core.accepts_client()
            ));
            if is_over {
                break;
            }
        }
        harness.core.close().await.unwrap();
        let seen = harness.seen.borrow();
        assert_eq!(seen.texts.len(), seen.ends.len(), "each has its end");
        drop(seen);
        lines.append(&mut harness.seen.borrow_mut().events);
        let mut lines = of_one(&lines);
        // Names are dropped in any order.
        if let Some(last) = lines.iter().rposition(|line| line.starts_with("idle")) {
            lines[last..].sort();
        }
        (lines.join("\n"), taken)
    })
}

/// As if a Parse and a Bind of it that were decided one after the other had been one statement, as they are in a segment that is taken
/// as one: what the Parse failed with is the statement's end.
fn of_one(lines: &[String]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    // Numbers of decisions, with those of statements; of a Parse that became one with its Bind, none.
    let mut numbers: HashMap<&str, Option<usize>> = HashMap::new();
    let mut runs: HashMap<&str, &str> = HashMap::new();
    let mut failed: HashMap<&str, &str> = HashMap::new();
    let (mut count, mut last) = (0, None);
    for line in lines {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let mut prepared = None;
        match words[..] {
            ["permit", number, what, text] => {
                let mut what = what;
                if let ("bind", Some((parse, parsed))) = (what, last)
                    && parsed == text
                {
                    told.pop();
                    numbers.insert(parse, None);
                    runs.insert(parse, number);
                    (count, what) = (count - 1, "both");
                }
                count += 1;
                numbers.insert(number, Some(count));
                told.push(format!("permit {count} {what} {text}"));
                prepared = (what == "prepare").then_some((number, text));
            }
            ["end", number, outcome, _] => match (numbers[number], failed.get(number)) {
                (None, _) if outcome == "Failed" => {
                    failed.insert(runs[number], &line[4 + number.len()..]);
                }
                (None, _) => {}
                (Some(count), Some(failure)) if outcome == "Skipped" => {
                    told.push(format!("end {count}{failure}"));
                }
                (Some(count), _) => told.push(format!("end {count}{}", &line[4 + number.len()..])),
            },
            _ => told.push(line.clone()),
        }
        last = prepared;
    }
    told
}

#[test]
fn the_usual_forms_are_taken_as_one() {
    let mut described = bound("s");
    described.insert(1, describe('P', ""));
    let with_value = vec![
        bind_value("", "", Some("1")),
        describe('P', ""),
        execute("", 0),
        sync(),
    ];
    for form in [
        [vec![parse("", "insert")], bound("")].concat(),
        [vec![parse("s", "select")], described.clone()].concat(),
        vec![query("select 1")],
        vec![query("insert")],
        bound("s"),
        bound(""),
        described,
        with_value,
    ] {
        let mut steps = prepared();
        steps.push(Client(form.clone()));
        assert!(is_whole(&steps, Limits::default()));
        // Within a transaction, in which the portal stays.
        let begun = vec![complete("BEGIN"), ready('T')];
        let again = vec![bare('2'), complete("SELECT 1"), ready('T')];
        let steps = [
            prepared(),
            vec![Client(vec![query("show")]), Server(begun)],
            vec![Client(bound("s")), Server(again), Client(form)],
        ];
        assert!(is_whole(&steps.concat(), Limits::default()));
    }
}

#[test]
fn whatever_needs_more_is_not() {
    let few = Limits {
        pending_max: 3,
        ..Limits::default()
    };
    let none = Limits {
        portals_max: 0,
        ..Limits::default()
    };
    let parsed = |name, text, statement| {
        let parsed = [vec![parse(name, text)], bound(statement)].concat();
        (vec![Client(parsed)], Limits::default())
    };
    let small = Limits {
        client_message_bytes_max: 20,
        ..Limits::default()
    };
    let answered = |status| vec![complete("SELECT 1"), ready(status)];
    let mut cases = vec![
        parsed("", "select", ""),
        parsed("", "insert", "s"),
        parsed("x", "select", "x"),
        parsed("s", "deny", "s"),
        (
            vec![Client(vec![query("select"), query("select")])],
            Limits::default(),
        ),
        (
            vec![Client(vec![query("select; select")])],
            Limits::default(),
        ),
        (vec![Client(vec![query("select 1")])], few),
        (vec![Client(bound("s"))], none),
        (vec![Client(vec![query("select 1, 2, 3, 4")])], small),
        (vec![Client(bound("unknown"))], Limits::default()),
        (
            vec![Client(vec![bind("p", "s"), execute("p", 0), sync()])],
            Limits::default(),
        ),
        (
            vec![Client(vec![bind("", "s"), execute("", 1), sync()])],
            Limits::default(),
        ),
        (
            vec![Client(vec![
                bind("", "s"),
                describe('S', ""),
                execute("", 0),
                sync(),
            ])],
            Limits::default(),
        ),
        (
            vec![Client(vec![bind("", "s"), execute("", 0), flush()])],
            Limits::default(),
        ),
        (
            vec![Client(vec![
                bind_value("", "s", Some("refuse")),
                execute("", 0),
                sync(),
            ])],
            Limits::default(),
        ),
        // The transaction has failed.
        (
            vec![
                Client(vec![query("select")]),
                Server(vec![error("22012", "division"), ready('E')]),
                Client(bound("s")),
            ],
            Limits::default(),
        ),
        // Within a transaction, and the unnamed portal was not run to its end.
        (
            vec![
                Client(vec![query("select")]),
                Server(answered('T')),
                Client(vec![bind("", "s"), sync()]),
                Server(vec![bare('2'), ready('T')]),
                Client(bound("s")),
            ],
            Limits::default(),
        ),
        // The one before is unanswered.
        (
            vec![Client(vec![query("select")]), Client(bound("s"))],
            Limits::default(),
        ),
        // In the midst of a segment.
        (
            vec![Client(vec![parse("x", "select")]), Client(bound("s"))],
            Limits::default(),
        ),
        // After a failed frame, before its Sync.
        (
            vec![Client(vec![parse("x", "deny")]), Client(bound("s"))],
            Limits::default(),
        ),
        // A portal is open.
        (
            vec![
                Client(vec![bind("p", "s"), flush()]),
                Server(vec![bare('2')]),
                Client(bound("s")),
            ],
            Limits::default(),
        ),
    ];
    for word in [
        "deny",
        "masked",
        "bound",
        "digest",
        "rows=1",
        "bytes=9",
        "time=5",
        "budget",
        "affected=2",
        "show",
        "ddl",
        "copyin",
        "copyout",
        "moves",
        "view",
        "fetch",
        "names x",
        "people",
        "glass",
        "savepoint",
        "",
    ] {
        cases.push((vec![Client(vec![query(word)])], Limits::default()));
    }
    for (rest, limits) in cases {
        let mut steps = prepared();
        steps.extend(rest);
        assert!(!is_whole(&steps, limits), "case of {} steps", steps.len());
    }
}

/// Within a transaction the portal of a segment that was taken as one is there until that ends, or what it was bound in is undone.
#[test]
fn the_portal_stays_as_long_as_it_does_at_the_server() {
    let savepoint = |tag| {
        [
            Client(vec![query("savepoint")]),
            Server(vec![complete(tag), ready('T')]),
        ]
    };
    let run = [
        Client(bound("s")),
        Server(vec![bare('2'), complete("SELECT 1"), ready('T')]),
    ];
    let again = [Client(vec![execute("", 0), sync()])];
    let begun = [prepared(), savepoint("BEGIN").to_vec()].concat();
    let (kept, taken) = hold(
        &[&begun[..], &run, &again].concat(),
        Limits::default(),
        false,
        usize::MAX,
    );
    assert_eq!(taken, 1);
    assert!(kept.contains("again select"), "{kept}");
    let steps = [
        &begun[..],
        &savepoint("SAVEPOINT"),
        &run,
        &savepoint("ROLLBACK"),
        &again,
    ];
    let (undone, taken) = hold(&steps.concat(), Limits::default(), false, usize::MAX);
    assert_eq!(taken, 1);
    assert!(undone.contains("session refuses 34000"), "{undone}");
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "select",
        "select",
        "select",
        "insert",
        "deny",
        "masked",
        "bound",
        "digest",
        "rows=1",
        "budget",
        "show",
        "moves",
        "free",
        "ddl",
        "view",
        "time=5",
        "affected=2",
        "select;insert",
        "savepoint",
        "savepoint",
        "declare names c",
        "hold declare names c",
        "fetch",
    ])
}

fn segment() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let name = || prop::sample::select(vec!["", "s", "m", "x"]);
    let portal = || prop::sample::select(vec!["", "", "", "p"]);
    let value = prop::sample::select(vec![None, Some("1"), Some("refuse")]);
    let described = prop::sample::select(vec![None, None, Some('P'), Some('P'), Some('S')]);
    let parsed = prop::sample::select(vec![
        None,
        None,
        Some(("", "insert")),
        Some(("", "insert")),
        Some(("", "select")),
        Some(("s", "select")),
    ]);
    let other = prop::option::weighted(0.3, name());
    let bound = (other, portal(), value, described, parsed, 0..8).prop_map(
        |(other, portal, value, described, parsed, end)| {
            let statement = other.or(parsed.map(|(name, _)| name)).unwrap_or("s");
            let mut frames = Vec::from_iter(parsed.map(|(name, text)| parse(name, text)));
            frames.push(bind_value(portal, statement, value));
            frames.extend(described.map(|target| describe(target, portal)));
            frames.push(execute(portal, i32::from(end == 1)));
            frames.push(if end == 2 { flush() } else { sync() });
            frames
        },
    );
    prop_oneof![
        4 => word().prop_map(|word| vec![query(word)]),
        8 => bound,
        1 => (name(), word()).prop_map(|(name, word)| vec![parse(name, word), sync()]),
        1 => Just(vec![sync()]),
        2 => Just(vec![execute("", 0), sync()]),
        1 => Just(vec![describe('P', ""), execute("", 0), sync()]),
        1 => Just(vec![close('P', ""), sync()]),
    ]
}

/// What a server may say to one, in order or not, and to its end or not.
fn answer() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let columns = description(&[(7, 1, 25, 0), (7, 2, 25, 0)]);
    let two = row(&[Some("a"), Some("000-00-1234")]);
    let usual = (0..4_usize, 0..3_usize, 0..3_usize, 0..10_usize).prop_map({
        let (columns, two) = (columns.clone(), two.clone());
        move |(opening, described, rows, ending)| {
            let mut frames = match opening {
                0 => vec![],
                1 => vec![bare('2')],
                _ => vec![bare('1'), bare('2')],
            };
            match described {
                0 => {}
                1 => frames.push(columns.clone()),
                _ => frames.push(bare('n')),
            }
            frames.extend(vec![two.clone(); rows]);
            match ending {
                0 => frames.extend([error("22012", "division"), ready('I')]),
                1 => frames.extend([complete("INSERT 0 2"), ready('T')]),
                2 => frames.push(complete("SELECT 1")),
                3 => frames.extend([bare('I'), ready('I')]),
                4 => frames.extend([complete("INSERT 0 7"), ready('I')]),
                5 => frames.extend([complete("SAVEPOINT"), ready('T')]),
                6 => frames.extend([complete("ROLLBACK"), ready('T')]),
                _ => frames.extend([complete(&format!("SELECT {rows}")), ready('I')]),
            }
            frames
        }
    });
    let odd = prop::sample::select(vec![
        server_text(b'N', "NOTICE", "00000", "000-00-7"),
        raw('S', b"TimeZone\0UTC\0"),
        raw('A', b"\0\0\0\x01channel\0payload\0"),
        columns,
        two,
        bare('s'),
        bare('3'),
        raw('T', b"\0\x01"),
        raw('C', b"SELECT 1"),
        raw('Z', b"II"),
        ready('E'),
        b"D\0\0\0\x20\0\x01".to_vec(),
        b"D\0\0\0\x01".to_vec(),
    ]);
    let failed = Just(vec![error("42P05", "there already"), ready('I')]);
    let usual = prop_oneof![9 => usual, 1 => failed];
    let in_block = prop::sample::select(vec![None, Some('T'), Some('T'), Some('E')]);
    let usual = (usual, in_block).prop_map(|(mut frames, in_block)| {
        if let (Some(status), Some(last)) = (in_block, frames.last_mut())
            && last.first() == Some(&b'Z')
        {
            *last = ready(status);
        }
        frames
    });
    (usual, prop::option::weighted(0.2, (odd, 0..6_usize))).prop_map(|(mut frames, odd)| {
        if let Some((odd, place)) = odd {
            frames.insert(place.min(frames.len()), odd);
        }
        frames
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let segments = prop::collection::vec(segment(), 1..3).prop_map(|it| Client(it.concat()));
    let one = segment().prop_map(Client);
    let step = prop_oneof![4 => one, 1 => segments, 5 => answer().prop_map(Server)];
    prop::collection::vec(step, 1..12)
        .prop_map(|steps| prepared().into_iter().chain(steps).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn as_one_is_as_one_by_one(steps in steps(), portals_max in prop::sample::select(vec![1, 2, 1024])) {
        let limits = Limits { portals_max, ..Limits::default() };
        for chunk in [usize::MAX, 1, 9] {
            let (as_one, _) = hold(&steps, limits, false, chunk);
            let (one_by_one, taken) = hold(&steps, limits, true, chunk);
            prop_assert_eq!(taken, 0);
            prop_assert_eq!(as_one, one_by_one);
        }
    }
}

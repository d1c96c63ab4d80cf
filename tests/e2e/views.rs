//! Masked columns through views (ruling 4): masked as on the table itself, and never raw while other sessions turn a view's
//! columns about under its readers.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::support::{
    House, Person, canary,
    raw::{Message, Raw, bind, describe, execute, parse, sync, tags},
};

/// What is over the shop's own views.
const VIEWS: &str = "
    CREATE VIEW public.renamed (a, b, c) AS SELECT id, ssn, name FROM public.customers;
    CREATE VIEW public.over_renamed AS SELECT c AS who, b AS what FROM public.renamed;
    CREATE VIEW public.filtered AS SELECT id, name FROM public.customers WHERE ssn LIKE '9%';
    CREATE VIEW public.turned AS SELECT ssn AS a, name AS b FROM public.customers;
    CREATE MATERIALIZED VIEW public.stored AS SELECT id, ssn FROM public.customers;";
/// One way round and the other.
const TURNS: [&str; 2] = [
    "CREATE OR REPLACE VIEW public.turned AS SELECT ssn AS a, name AS b FROM public.customers",
    "CREATE OR REPLACE VIEW public.turned AS SELECT name AS a, ssn AS b FROM public.customers",
];
/// How often a reader asks while the view turns.
const ROUNDS: usize = 120;

fn house() -> House {
    let mut house = House::without_gateway();
    house.cluster.execute("shop", VIEWS).unwrap();
    house.start_gateway();
    house
}

fn rows(messages: &[Message]) -> Vec<Vec<String>> {
    let rows = messages.iter().filter(|message| message.tag == b'D');
    let shown = |value: Option<Vec<u8>>| {
        value.map_or("NULL".to_owned(), |value| {
            String::from_utf8_lossy(&value).into_owned()
        })
    };
    rows.map(|message| message.values().into_iter().map(shown).collect())
        .collect()
}

fn assert_no_canary(context: &str, messages: &[Message]) {
    for message in messages {
        canary::assert_none(context, &message.body);
    }
}

/// The first row of an answer to both protocols, both formats; or what the refusal's detail says.
fn check(raw: &mut Raw, sql: &str, expected: Result<&[&str], &str>) {
    let simple = raw.query(sql);
    let mut answers = vec![simple];
    for format in [0, 1] {
        let frames = [
            parse("", sql),
            bind("", "", format),
            describe('P', ""),
            execute("", 0),
            sync(),
        ];
        raw.write(&frames.concat());
        answers.push(raw.read_until_ready());
    }
    for answer in &answers {
        assert_no_canary(sql, answer);
        match expected {
            Ok(row) => assert_eq!(
                rows(answer).first().map(Vec::as_slice),
                Some(&row.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()[..]),
                "{sql}: {answer:?}"
            ),
            Err(words) => {
                let error = answer.iter().find(|message| message.tag == b'E');
                let detail = error
                    .and_then(|error| error.field(b'D'))
                    .unwrap_or_default();
                assert!(detail.contains(words), "{sql}: {detail} {}", tags(answer));
                assert!(rows(answer).is_empty(), "{sql}");
            }
        }
        assert_eq!(
            answer.last().map(|last| last.body.as_slice()),
            Some(&b"I"[..])
        );
    }
}

#[test]
fn views_are_masked_as_their_tables_are() {
    let mut house = house();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let masked = "*******0001";
    for (sql, expected) in [
        (
            "SELECT b, c FROM renamed WHERE a = 1",
            Ok(&[masked, "Ada"][..]),
        ),
        (
            "SELECT what, who FROM over_renamed WHERE who = 'Ada'",
            Ok(&[masked, "Ada"]),
        ),
        (
            "SELECT * FROM over_renamed WHERE who = 'Ada'",
            Ok(&["Ada", masked]),
        ),
        ("SELECT upper(what) FROM over_renamed", Ok(&["[redacted]"])),
        ("SELECT o::text FROM over_renamed AS o", Ok(&["[redacted]"])),
        (
            "SELECT row_to_json(o)::text FROM over_renamed AS o",
            Ok(&["[redacted]"]),
        ),
        ("SELECT count(b)::text FROM renamed", Ok(&["3"])),
        (
            "SELECT r.b, c.email FROM renamed AS r JOIN customers AS c ON c.id = r.a WHERE c.id = 1",
            Ok(&[masked, "***@example.org"]),
        ),
        (
            "SELECT o.what, p.what FROM over_renamed AS o JOIN over_renamed AS p USING (who) WHERE who = 'Ada'",
            Ok(&[masked, masked]),
        ),
        (
            "SELECT name FROM filtered",
            Err("may not decide which rows there are"),
        ),
        (
            "SELECT c FROM renamed WHERE b LIKE '901%'",
            Err("may not decide which rows there are"),
        ),
        (
            "SELECT ssn FROM stored",
            Err("materialised view, which can't be held"),
        ),
        (
            "SELECT leak(1) FROM renamed",
            Err("function, trigger, rule or materialised view"),
        ),
        (
            "INSERT INTO scratch SELECT a, b FROM renamed",
            Err("may not be copied"),
        ),
    ] {
        check(&mut raw, sql, expected);
    }
    house.stop_gateway();
}

#[test]
fn a_view_is_held_in_the_clients_own_transaction() {
    let mut house = house();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    assert_eq!(tags(&raw.query("BEGIN")), "CZ");
    let answer = raw.query("SELECT what FROM over_renamed WHERE who = 'Ada'");
    assert_eq!(rows(&answer), [["*******0001"]]);
    let turn = house.cluster.execute(
        "shop",
        "SET lock_timeout = '50ms'; CREATE OR REPLACE VIEW public.renamed (a, b, c) AS SELECT id, name, ssn FROM public.customers",
    );
    assert!(turn.is_err(), "the view is locked");
    // A refusal does what an error does, and leaves nothing open.
    let refused = raw.query("SELECT 1; SELECT what FROM over_renamed");
    assert_eq!(tags(&refused), "EZ");
    assert_eq!(refused.last().unwrap().body, b"E");
    assert_eq!(tags(&raw.query("ROLLBACK")), "CZ");
    // Where the snapshot may be older than the lock, the server would tell another definition than it runs.
    raw.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
    let answer = raw.query("SELECT what FROM over_renamed");
    assert_no_canary("repeatable read", &answer);
    let detail = answer[0].field(b'D').unwrap();
    assert!(detail.contains("isolation level"), "{detail}");
    raw.query("ROLLBACK");
    // Cursors and statements that SQL names.
    for sql in ["PREPARE p AS SELECT what FROM over_renamed", "EXECUTE p"] {
        assert_no_canary(sql, &raw.query(sql));
    }
    raw.query("BEGIN");
    for sql in [
        "DECLARE c CURSOR WITH HOLD FOR SELECT what FROM over_renamed",
        "FETCH ALL FROM c",
    ] {
        assert_no_canary(sql, &raw.query(sql));
    }
    raw.query("ROLLBACK");
    let answer = raw.query("SELECT what FROM over_renamed WHERE who = 'Ada'");
    assert_eq!(rows(&answer), [["*******0001"]], "{answer:?}");
    house.stop_gateway();
}

#[test]
fn a_view_that_was_replaced_is_read_anew() {
    let mut house = house();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.write(
        &[
            parse("p", "SELECT a, b FROM turned LIMIT 1").as_slice(),
            &sync(),
        ]
        .concat(),
    );
    assert_eq!(tags(&raw.read_until_ready()), "1Z");
    for turn in 0..4 {
        house
            .cluster
            .execute("shop", TURNS[(turn + 1) % 2])
            .unwrap();
        // A prepared statement bound from outside of any transaction: the catalog is read again for it.
        let frames = [bind("", "p", 0), describe('P', ""), execute("", 0), sync()];
        raw.write(&frames.concat());
        let answer = raw.read_until_ready();
        assert_no_canary("bound again", &answer);
        let expected = match turn % 2 {
            0 => ["Ada", "*******0001"],
            _ => ["*******0001", "Ada"],
        };
        assert_eq!(rows(&answer), [expected], "{turn}: {answer:?}");
        // A simple Query, after it turned once more.
        house.cluster.execute("shop", TURNS[turn % 2]).unwrap();
        let answer = raw.query("SELECT b, a FROM turned LIMIT 1");
        assert_no_canary("asked again", &answer);
        assert_eq!(rows(&answer), [expected], "{turn}: {answer:?}");
    }
    house.stop_gateway();
}

/// What readers get while the view turns: how many answers had rows, and how many were refused.
fn read_while_it_turns(house: &House, way: usize) -> (usize, usize) {
    let (mut raw, _) = Raw::logged_in(house, Person::Agent);
    let (mut shown, mut refused) = (0, 0);
    raw.write(&[parse("p", "SELECT a, b FROM turned").as_slice(), &sync()].concat());
    raw.read_until_ready();
    for round in 0..ROUNDS {
        let format = u8::try_from(round % 2).unwrap();
        let answer = match way {
            0 => raw.query("SELECT a, b FROM turned"),
            1 => {
                let frames = [bind("", "p", format), execute("", 0), sync()];
                raw.write(&frames.concat());
                raw.read_until_ready()
            }
            _ => {
                let sql = "SELECT a AS one, b || '' AS other FROM turned";
                let frames = [parse("", sql), bind("", "", format), execute("", 0), sync()];
                raw.write(&frames.concat());
                raw.read_until_ready()
            }
        };
        assert_no_canary("while it turns", &answer);
        match answer.iter().find(|message| message.tag == b'E') {
            None => shown += 1,
            Some(error) => {
                assert_eq!(error.field(b'C').as_deref(), Some("42501"), "{error:?}");
                refused += 1;
            }
        }
        assert_eq!(answer.last().unwrap().body, b"I");
    }
    (shown, refused)
}

#[test]
fn nothing_raw_arrives_while_a_view_turns() {
    let mut house = house();
    let over = AtomicBool::new(false);
    let outcomes: Vec<(usize, usize)> = thread::scope(|scope| {
        let turner = scope.spawn(|| {
            let script = format!("{};\n", TURNS.join(";\n")).repeat(10);
            let mut turns = 0;
            while !over.load(Ordering::Relaxed) {
                house.cluster.execute("shop", &script).unwrap();
                turns += TURNS.len() * 10;
            }
            turns
        });
        let readers: Vec<_> = (0..3)
            .map(|way| {
                let house = &house;
                scope.spawn(move || read_while_it_turns(house, way))
            })
            .collect();
        let outcomes = readers
            .into_iter()
            .map(|one| one.join())
            .collect::<Vec<_>>();
        over.store(true, Ordering::Relaxed);
        let turns = turner.join().unwrap();
        println!("{turns} turns, (shown, refused) {outcomes:?}");
        assert!(turns > 10, "{turns} turns only");
        outcomes.into_iter().map(Result::unwrap).collect()
    });
    let shown: usize = outcomes.iter().map(|(shown, _)| shown).sum();
    assert!(shown > 0, "nothing was ever shown: {outcomes:?}");
    house.stop_gateway();
}

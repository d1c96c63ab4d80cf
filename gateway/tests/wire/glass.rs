//! Broken glass: a session states why its statements must run, in every way that the protocol has, and takes it back; nothing else breaks it.

use provost_engine::verdict::HeldTransaction;
use provost_gateway::settings::ClientTls;

use crate::{
    held::{ONE_DBA, World},
    house::{House, break_glass, cluster, settings_for, target},
    raw::{Raw, ask, bind, execute, message, parse, query, run},
};

/// What a client does that can't wait.
const OFF: (&str, &str) = ("provost.wait", "off");
const STATE: &str = "SET provost.reason = 'INC-1: O''Brien said \"now\"'";
const STATED: &str = r#"INC-1: O'Brien said "now" (on call)"#;

fn world(table: &'static str) -> World {
    let world = World::new(table, &ONE_DBA);
    world.house.policy.swap(break_glass("glass"));
    world
}

/// The details of notices up to ReadyForQuery, and the tags and errors.
fn told(raw: &mut Raw, frames: &[u8]) -> (Vec<String>, Vec<String>) {
    raw.send(frames);
    let (mut notices, mut said) = (Vec::new(), Vec::new());
    let field = |body: &[u8], name: u8| -> String {
        let fields = body.split(|byte| *byte == 0);
        let mut named = fields.filter(|field| field.first() == Some(&name));
        named.next().map_or_else(String::new, |field| {
            String::from_utf8_lossy(&field[1..]).into_owned()
        })
    };
    loop {
        let (kind, body) = raw.message();
        match kind {
            b'N' => {
                assert!(field(&body, b'M').starts_with("glass is broken"));
                notices.push(field(&body, b'D'));
            }
            b'E' => said.push(field(&body, b'C')),
            b'C' => said.push(String::from_utf8_lossy(&body[..body.len() - 1]).into_owned()),
            b'Z' => return (notices, said),
            _ => {}
        }
    }
}

/// What a query gives, and whether the client is told that glass is broken by `incident`, for this reason.
#[track_caller]
fn check(raw: &mut Raw, sql: &str, expected: &str, reason: Option<&str>) {
    let (notices, said) = told(raw, &query(sql));
    assert_eq!(said.join(" "), expected, "{sql}");
    let expected: Vec<String> = reason
        .iter()
        .map(|why| format!("incident: {why}"))
        .collect();
    assert_eq!(notices, expected, "{sql}");
}

#[test]
fn a_reason_is_stated_changed_and_taken_back() {
    let world = world("glass_stated");
    let raw = &mut world.session_with("ann", &[OFF]);
    let insert = "INSERT INTO public.glass_stated VALUES (70, 'by glass')";
    check(raw, &world.delete(1), "42501", None);
    check(raw, insert, "42501", None);
    for (sql, refused) in [
        ("SET provost.reason = 'why'", "22023"),
        ("SET provost.reason = E'INC-1: down\\nINC-2: up'", "22023"),
        ("SET provost.reason = U&'INC-1: \\202E nwod'", "22023"),
        ("SET provost.reason = 12345678901", "22023"),
        (
            "SET provost.reason = 'INC-1: the', 'database is down'",
            "22023",
        ),
        (
            "SET LOCAL provost.reason = 'INC-1: the database is down'",
            "42501",
        ),
        (
            "SELECT set_config('provost.reason', 'INC-1: the database is down', false)",
            "42501",
        ),
        (
            "ALTER ROLE CURRENT_USER SET provost.reason = 'INC-1: the database is down'",
            "42501",
        ),
        (
            "CREATE FUNCTION public.stated() RETURNS int LANGUAGE sql SET provost.reason = 'INC-1: the database is down' AS 'SELECT 1'",
            "42501",
        ),
        (
            "SET provost.reasons = 'INC-1: the database is down'",
            "42501",
        ),
    ] {
        check(raw, sql, refused, None);
        check(raw, insert, "42501", None);
    }
    check(raw, STATE, "SET", None);
    check(raw, &world.delete(1), "DELETE 1", Some(STATED));
    check(raw, insert, "INSERT 0 1", None);
    // What is allowed needs no glass; what is denied has none.
    check(raw, "SELECT 1", "SELECT 1", None);
    check(raw, "TRUNCATE public.glass_stated", "42501", None);
    // Another reason is told of anew, and stays whatever becomes of its transaction.
    check(raw, "BEGIN", "BEGIN", None);
    check(
        raw,
        "set session PROVOST.Reason to 'INC-2: worse than ever'",
        "SET",
        None,
    );
    check(raw, "ROLLBACK", "ROLLBACK", None);
    let second = "INC-2: worse than ever (on call)";
    check(raw, &world.delete(2), "DELETE 1", Some(second));
    // A text is decided as a whole before any of it runs.
    let both = format!("RESET provost.reason; {}", world.delete(3));
    check(raw, &both, "RESET DELETE 1", None);
    for (back, tag) in [
        ("RESET provost.reason", "RESET"),
        ("SET provost.reason TO DEFAULT", "SET"),
        ("RESET ALL", "RESET"),
        ("DISCARD ALL", "DISCARD ALL"),
    ] {
        check(raw, insert, "42501", None);
        check(raw, STATE, "SET", None);
        check(
            raw,
            "UPDATE public.glass_stated SET note = 'x' WHERE id = 9",
            "UPDATE 1",
            Some(STATED),
        );
        check(raw, back, tag, None);
    }
    check(raw, insert, "42501", None);
    assert_eq!(world.rows(), "7");
}

#[test]
fn a_reason_stated_at_the_start_is_what_a_reset_gives_back() {
    let world = world("glass_start");
    let start = ("provost.reason", "INC-3: at the start");
    let raw = &mut world.session_with("ann", &[OFF, start]);
    check(
        raw,
        &world.delete(1),
        "DELETE 1",
        Some("INC-3: at the start (on call)"),
    );
    check(raw, STATE, "SET", None);
    check(raw, &world.delete(2), "DELETE 1", Some(STATED));
    check(raw, "DISCARD ALL", "DISCARD ALL", None);
    check(
        raw,
        &world.delete(3),
        "DELETE 1",
        Some("INC-3: at the start (on call)"),
    );
}

#[test]
fn a_pipeline_and_what_was_prepared_before() {
    let world = world("glass_pipe");
    let raw = &mut world.session_with("ann", &[OFF]);
    let sync = message(b'S', b"");
    // What is held is only prepared: it is decided when it is bound.
    let delete = "DELETE FROM public.glass_pipe WHERE id = $1::int";
    let prepared = [parse("d", delete), sync.clone()].concat();
    assert_eq!(told(raw, &prepared), (vec![], vec![]));
    let bound = |id: &str| [bind("", "d", &[id], 0), execute("")].concat();
    let alone = [bound("1"), sync.clone()].concat();
    assert_eq!(told(raw, &alone).1, ["42501"]);
    // Within one pipeline the reason holds for what comes behind it.
    let pipeline = [
        run(STATE),
        bound("1"),
        bound("2"),
        run("INSERT INTO public.glass_pipe VALUES (70, 'by glass')"),
        sync.clone(),
    ];
    let (notices, said) = told(raw, &pipeline.concat());
    assert_eq!(said, ["SET", "DELETE 1", "DELETE 1", "INSERT 0 1"]);
    assert_eq!(notices, [format!("incident: {STATED}")]);
    // What was bound by the reason runs, once; taken back, it holds for nothing else.
    let taken_back = [
        bound("3"),
        run("RESET provost.reason"),
        bound("4"),
        sync.clone(),
    ];
    let (_, said) = told(raw, &taken_back.concat());
    assert_eq!(said, ["DELETE 1", "RESET", "42501"]);
    // The pipeline failed, and its transaction with it.
    assert_eq!(world.rows(), "8");
    let named = [
        run("BEGIN"),
        run(STATE),
        bind("p", "d", &["5"], 0),
        execute("p"),
        run("RESET provost.reason"),
        execute("p"),
        sync,
    ];
    let (_, said) = told(raw, &named.concat());
    assert_eq!(said, ["BEGIN", "SET", "DELETE 1", "RESET", "42501"]);
    assert_eq!(ask(raw, "ROLLBACK"), "I");
}

#[test]
fn a_copy_into_a_table() {
    let world = world("glass_copy");
    let raw = &mut world.session_with("ann", &[OFF]);
    let copy = "COPY public.glass_copy FROM STDIN";
    check(raw, copy, "42501", None);
    check(raw, STATE, "SET", None);
    let data = message(b'd', b"70\tby glass\n");
    let frames = [query(copy), data, message(b'c', b"")].concat();
    let (notices, said) = told(raw, &frames);
    assert_eq!((notices.len(), said.join(" ").as_str()), (1, "COPY 1"));
    assert_eq!(world.rows(), "10");
}

#[test]
fn what_is_held_says_that_a_reason_would_do_and_evidence_has_every_step() {
    let world = world("glass_told");
    let (mut raw, key) = world.session_and_key("ann", &[]);
    raw.send(&query(&world.delete(1)));
    let (kind, body) = raw.message();
    let held = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(char::from(kind), 'N', "{held}");
    assert!(held.contains("SET provost.reason = '"), "{held}");
    // It is taken back, and sent again by a reason.
    let mut other = Raw::connect(world.house.address);
    other.send(&crate::raw::cancel_request(&key)).ends();
    assert!(raw.answer().starts_with("57014"));
    check(&mut raw, STATE, "SET", None);
    check(&mut raw, &world.delete(1), "DELETE 1", Some(STATED));
    check(&mut raw, &world.delete(2), "DELETE 1", None);
    drop(raw);
    let records = world.house.stop();
    let records: Vec<serde_json::Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let why = format!("incident: {STATED}");
    let of_glass = |record: &&serde_json::Value| {
        record["what"] == "break-glass" || record["verdict"] == "break-glass"
    };
    let steps: Vec<&serde_json::Value> = records.iter().filter(of_glass).collect();
    // It is told before the first statement.
    assert_eq!(steps.len(), 3, "{steps:#?}");
    assert_eq!(
        (&steps[0]["actor"], &steps[0]["after"]),
        (&"ann".into(), &why.clone().into())
    );
    assert_eq!(steps[0]["digest"], steps[1]["sql_digest"]);
    for step in &steps[1..] {
        assert_eq!(
            (&step["principal"], &step["reason"]),
            (&"ann".into(), &why.clone().into())
        );
        let rules = step["rules"].as_array().unwrap();
        assert!(rules.contains(&"incident".into()), "{rules:?}");
    }
    let stated = records
        .iter()
        .find(|record| record["sql"] == STATE)
        .unwrap();
    assert_eq!(
        (&stated["verdict"], &stated["kind"]),
        (&"allow".into(), &"set".into())
    );
}

/// An emergency is no way round evidence.
#[test]
fn nothing_runs_by_glass_where_the_log_is_full() {
    let settings = settings_for(ClientTls::Off, target(cluster()));
    let house = House::start_small(settings, 1 << 20);
    let world = World::in_house(house, "glass_full", &ONE_DBA, HeldTransaction::Fail);
    world.house.policy.swap(break_glass("glass"));
    let mut raw = world.session_with("ann", &[OFF]);
    check(&mut raw, STATE, "SET", None);
    let mut filler = world.session("bob");
    let long = format!("SELECT '{}'", "x".repeat(60_000));
    let refused = (0..100).find(|_| {
        filler.send(&query(&long));
        let (kind, body) = loop {
            match filler.message() {
                (b'Z', body) => break (b'Z', body),
                (b'E', body) => break (b'E', body),
                _ => {}
            }
        };
        kind == b'E' && String::from_utf8_lossy(&body).contains("evidence log is full")
    });
    assert!(refused.is_some(), "the log has room");
    raw.send(&query(&world.delete(1)));
    let (kind, body) = raw.message();
    let said = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(char::from(kind), 'E', "{said}");
    assert!(said.contains("53100"), "{said}");
    assert_eq!(world.rows(), "9");
    drop((raw, filler));
    let records = world.house.stop();
    assert!(!records.contains(r#""verdict":"break-glass""#));
}

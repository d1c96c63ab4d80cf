//! Replay: a session told from its evidence.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    House, Person,
    raw::{Raw, bind_texts, execute, parse, sync},
    succeeded, text,
};

/// The id of the only session of a principal.
fn session_of(house: &House, principal: &str) -> String {
    let rows = house.query(&format!(
        "SELECT session_id FROM sessions WHERE event = 'opened' AND principal = '{principal}'"
    ));
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0]["session_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_session_is_told_in_time_with_what_was_masked_and_refused() {
    let mut house = House::new();
    let statements = "SELECT id FROM orders;\nSELECT ssn, name FROM customers;\nSELECT pg_sleep(0.5);\nDROP TABLE orders;\nSELECT '\u{1b}[2J';\n";
    house.psql(Person::Agent, &["-qAt"], statements);
    house.psql(Person::Dba, &["-qAt"], "SELECT 1;");
    house.stop_gateway();
    let session = session_of(&house, "devin@corp");

    let told = succeeded(house.provost(&["replay", &session, "--store", &house.store]));
    for words in [
        "opened by devin@corp (agent)",
        "encrypted",
        "SELECT id FROM orders",
        "completed, 4 rows",
        "masked ssn (",
        "agents-never-change-schema",
        "denied, SQLSTATE 42501",
        r"SELECT '\u{1b}[2J'",
        "closed by devin@corp",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains('\u{1b}'), "{told}");
    assert!(!told.contains("dora"), "another session's: {told}");

    let lines = succeeded(house.provost(&["replay", &session, "--store", &house.store, "--json"]));
    let moments: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(moments[0]["event"], "opened", "{lines}");
    assert_eq!(moments.last().unwrap()["event"], "closed", "{lines}");
    let offsets: Vec<i64> = moments
        .iter()
        .map(|moment| moment["offset_us"].as_i64().unwrap())
        .collect();
    assert!(offsets.is_sorted() && offsets[0] == 0, "{offsets:?}");
    let dropped = moments
        .iter()
        .find(|moment| {
            let sql = moment["sql"].as_str();
            sql.is_some_and(|sql| sql.starts_with("DROP TABLE"))
        })
        .unwrap();
    assert_eq!(dropped["verdict"], "deny");
    assert_eq!(dropped["session_id"], session.as_str());

    let started = Instant::now();
    let slow = [
        "replay",
        &session,
        "--store",
        &house.store,
        "--speed",
        "0.5",
    ];
    let played = succeeded(house.provost(&slow));
    assert_eq!(played, told, "the same story, more slowly");
    let least = Duration::from_micros(2 * u64::try_from(*offsets.last().unwrap()).unwrap());
    assert!(started.elapsed() >= least, "{least:?}");

    let unknown = house.provost(&["replay", "nobody", "--store", &house.store]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("no sealed evidence names the session `nobody`"));
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A run of an agent's whose results are recorded, with what it was asked with where there is a key.
fn recorded(key: Option<&str>) -> House {
    let mut house = House::without_gateway();
    let keep = "rule keep-rows\n  record results for agents\n";
    fs::write(house.path("policies/more.pol"), keep).unwrap();
    fs::write(house.path("replay-key"), KEY).unwrap();
    house.write_config(|config| match key {
        None => config,
        Some(id) => format!(
            "{config}\n[replay]\nkey = \"file:{}\"\nkey_id = \"{id}\"\n",
            house.path("replay-key").display()
        ),
    });
    house.start_gateway();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    raw.query("SELECT id FROM orders");
    raw.query("SELECT ssn FROM customers");
    raw.write(
        &[
            parse("s", "SELECT name FROM customers WHERE id = $1"),
            bind_texts("p", "s", &["2"]),
            execute("p", 0),
            sync(),
        ]
        .concat(),
    );
    raw.read_until_ready();
    raw.query("SELECT");
    drop(raw);
    house.stop_gateway();
    assert!(house.verify().status.success());
    house
}

/// Runs `replay --policy`: what it says, a statement a line, and its exit code.
fn again(house: &House, policy: &str, key: &[&str]) -> (Vec<Value>, Option<i32>) {
    let session = session_of(house, "devin@corp");
    let policy = house.path(policy);
    let mut arguments = vec![
        "replay",
        &session,
        "--store",
        &house.store,
        "--json",
        "--policy",
        policy.to_str().unwrap(),
    ];
    arguments.extend(key);
    let output = house.provost(&arguments);
    let lines = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (lines, output.status.code())
}

#[test]
fn recorded_statements_are_decided_again_by_another_policy() {
    let house = recorded(Some("replay-1"));
    let source = format!("replay-1=file:{}", house.path("replay-key").display());
    let key = ["--key", source.as_str()];
    let (same, exit) = again(&house, "policies", &key);
    assert_eq!(exit, Some(0), "{same:#?}");
    assert_eq!(same.len(), 4);
    assert!(same.iter().all(|one| one["same"] == true), "{same:#?}");

    fs::create_dir(house.path("new")).unwrap();
    for file in ["shop.pol", "more.pol"] {
        let policy = fs::read_to_string(house.path("policies").join(file)).unwrap();
        fs::write(house.path("new").join(file), policy).unwrap();
    }
    let stricter =
        "rule no-orders\n  deny read on public.orders for agents\n  because \"not theirs\"\n";
    fs::write(house.path("new/stricter.pol"), stricter).unwrap();
    let (changed, exit) = again(&house, "new", &key);
    assert_eq!(exit, Some(1));
    let differ: Vec<_> = changed.iter().filter(|one| one["same"] == false).collect();
    assert_eq!(differ.len(), 1, "{differ:#?}");
    assert_eq!(differ[0]["sql"], "SELECT id FROM orders");
    assert_eq!(differ[0]["old"]["verdict"], "allow");
    assert_eq!(differ[0]["new"]["verdict"], "deny");

    // By another schema, where that is wanted: one that lacks what the statements name.
    fs::write(house.path("schema.sql"), "CREATE TABLE orders (id int);").unwrap();
    let schema = house.path("schema.sql");
    let given = [
        "--key",
        source.as_str(),
        "--schema",
        schema.to_str().unwrap(),
    ];
    let (lacking, _) = again(&house, "policies", &given);
    let why = |one: &Value| {
        one["not_replayable"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(why(&lacking[1]).contains("customers"), "{lacking:#?}");
    assert_eq!(lacking[0]["same"], true, "{lacking:#?}");

    // Nothing of what was asked is in the store for whoever has not the key.
    let (closed, exit) = again(&house, "policies", &[]);
    assert_eq!(exit, Some(1));
    assert!(
        closed
            .iter()
            .all(|one| why(one) == "needs the key `replay-1`: give --key")
    );
    fs::write(house.path("other-key"), KEY.to_uppercase()).unwrap();
    let source = format!("replay-1=file:{}", house.path("other-key").display());
    let (closed, _) = again(&house, "policies", &["--key", &source]);
    assert!(
        closed
            .iter()
            .all(|one| why(one) == "the key `replay-1` does not open it")
    );
}

#[test]
fn without_a_key_nothing_is_kept_to_decide_again_and_replay_says_so() {
    let house = recorded(None);
    let (closed, exit) = again(&house, "policies", &[]);
    assert_eq!((closed.len(), exit), (4, Some(1)));
    assert!(
        closed.iter().all(|one| one["not_replayable"] == "no key"),
        "{closed:#?}"
    );
    assert_eq!(
        house.count("SELECT count(*) FROM recordings WHERE input IS NOT NULL"),
        0
    );
}

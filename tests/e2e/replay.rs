//! Replay: a session told from its evidence.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    House, Person, TARGET,
    issuer::TokenRequest,
    raw::{Raw, bind_texts, execute, parse, sync},
    s3::S3,
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

/// A house whose rules record agents' results; no gateway yet.
fn recording() -> House {
    let house = House::without_gateway();
    let keep = "rule keep-rows\n  record results for agents\n";
    fs::write(house.path("policies/more.pol"), keep).unwrap();
    fs::write(house.path("replay-key"), KEY).unwrap();
    house
}

/// Starts the gateway, with a key of this name and in this file where there is one.
fn start(house: &mut House, key: Option<(&str, &str)>) {
    house.write_config(|config| match key {
        None => config,
        Some((id, file)) => format!(
            "{config}\n[replay]\nkey = \"file:{}\"\nkey_id = \"{id}\"\n",
            house.path(file).display()
        ),
    });
    house.start_gateway();
}

/// What an agent does; each of its four statements is recorded.
fn work(house: &House, agent: &str) {
    let token = house.issuer.token(&TokenRequest {
        subject: agent.to_owned(),
        ..TokenRequest::for_person(Person::Agent)
    });
    let (mut raw, _) = Raw::logged_in_as(house, (agent, &token), TARGET);
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
}

/// A run of an agent's whose results are recorded, with what it was asked with where there is a key.
fn recorded(key: Option<&str>) -> House {
    let mut house = recording();
    start(&mut house, key.map(|id| (id, "replay-key")));
    work(&house, "devin@corp");
    house.stop_gateway();
    assert!(house.verify().status.success());
    house
}

/// Runs `replay --policy`: what it says, a statement a line, and its exit code.
fn again(house: &House, policy: &str, key: &[&str]) -> (Vec<Value>, Option<i32>) {
    again_of(house, "devin@corp", policy, key)
}

/// The same of another agent's session.
fn again_of(house: &House, agent: &str, policy: &str, key: &[&str]) -> (Vec<Value>, Option<i32>) {
    let session = session_of(house, agent);
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

/// Two sessions, each recorded under the key of its time.
#[test]
fn after_a_rotation_each_session_is_decided_again_by_the_key_of_its_time() {
    let mut house = recording();
    fs::write(house.path("newer-key"), KEY.to_uppercase()).unwrap();
    for (agent, id, file) in [
        ("devin@corp", "replay-1", "replay-key"),
        ("erin@corp", "replay-2", "newer-key"),
    ] {
        start(&mut house, Some((id, file)));
        work(&house, agent);
        house.stop_gateway();
    }
    succeeded(house.verify());
    let used = "SELECT DISTINCT input_key_id FROM recordings WHERE event = 'asked' ORDER BY 1";
    assert_eq!(house.query(used).len(), 2);

    let key = |id: &str, file: &str| format!("{id}=file:{}", house.path(file).display());
    let (first, second) = (key("replay-1", "replay-key"), key("replay-2", "newer-key"));
    let check = |agent: &str, keys: &[&String], expected: Option<&str>| {
        let options: Vec<&str> = keys
            .iter()
            .flat_map(|key| ["--key", key.as_str()])
            .collect();
        let (told, exit) = again_of(&house, agent, "policies", &options);
        assert_eq!((told.len(), exit), (4, Some(i32::from(expected.is_some()))));
        for one in &told {
            assert_eq!(one["same"], expected.is_none(), "{agent} {one:#}");
            assert_eq!(one["not_replayable"].as_str(), expected, "{agent}");
            assert_eq!(one["new"].is_null(), expected.is_some(), "{agent} {one:#}");
        }
    };
    // Both keys, in any order.
    for keys in [[&first, &second], [&second, &first]] {
        check("devin@corp", &keys, None);
        check("erin@corp", &keys, None);
    }
    check(
        "devin@corp",
        &[&second],
        Some("needs the key `replay-1`: give --key"),
    );
    check("erin@corp", &[&second], None);
    check("devin@corp", &[&first], None);
    check(
        "erin@corp",
        &[&first],
        Some("needs the key `replay-2`: give --key"),
    );
    // Names that are mixed up open nothing; the right one beside them does.
    let mixed = key("replay-1", "newer-key");
    let closed = Some("the key `replay-1` does not open it");
    check("devin@corp", &[&mixed], closed);
    check("devin@corp", &[&mixed, &first], None);
}

/// What is recorded goes to a bucket with the seals, and is told, decided again and verified from there.
#[test]
fn a_session_is_recorded_in_a_bucket_and_replayed_from_there() {
    let mut house = recording();
    let s3 = S3::start(&house);
    house.environment = s3.environment();
    house.store = S3::location("evidence");
    start(&mut house, Some(("replay-1", "replay-key")));
    work(&house, "devin@corp");
    house.stop_gateway();
    assert!(!house.evidence_path().exists());
    let verified = succeeded(house.verify());
    assert!(verified.contains("intact"), "{verified}");

    let session = session_of(&house, "devin@corp");
    let told = succeeded(house.provost(&["replay", &session, "--store", &house.store]));
    assert!(told.contains("masked ssn ("), "{told}");
    let source = format!("replay-1=file:{}", house.path("replay-key").display());
    let (same, exit) = again(&house, "policies", &["--key", &source]);
    assert_eq!((same.len(), exit), (4, Some(0)), "{same:#?}");

    let results = house.query(
        "SELECT r.result FROM recordings r JOIN statements s USING (statement_id) WHERE r.event = 'answered' AND s.sql LIKE 'SELECT ssn%'",
    );
    let key = results[0]["result"].as_str().unwrap().to_owned();
    // Somebody changes a result, then takes it away: either is named.
    let object = format!("evidence/{key}");
    for take in [false, true] {
        match take {
            false => s3.put(&object, b"another"),
            true => assert_eq!(s3.ask("DELETE", &object, "", b"").0, 204),
        }
        let output = house.verify();
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stdout);
        assert!(said.contains(&key), "{said}");
    }
    // Decisions rest on what was asked, which is still there.
    let (same, exit) = again(&house, "policies", &["--key", &source]);
    assert_eq!((same.len(), exit), (4, Some(0)), "{same:#?}");
}

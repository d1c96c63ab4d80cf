//! Replay: a session told from its evidence.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{House, Person, succeeded, text};

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

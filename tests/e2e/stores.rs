//! Evidence in a bucket: several gateways in one, a store that fails in every way it can, a log that fills up meanwhile. The server of the
//! S3 protocol is real (moto), and so is that of Azure's (azurite).

use crate::support::{
    House, Person,
    azure::Azure,
    outage::{Outage, Weather},
    s3::S3,
    succeeded, text,
};

/// A house whose evidence is in a bucket, sealed five times a second; no gateway yet.
fn house() -> (House, S3, Outage) {
    let mut house = House::without_gateway();
    let s3 = S3::start(&house);
    let outage = Outage::before(s3.port());
    let mut environment = s3.environment();
    environment.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
    environment.push(outage.endpoint());
    // What waits for an answer that never comes, waits for a second.
    environment.push(("STORE_TIMEOUT".to_owned(), "1 second".to_owned()));
    house.environment = environment;
    house.store = S3::location("evidence");
    house.evidence_settings =
        "seal_interval_ms = 200\nstore_settings = { timeout = \"env:STORE_TIMEOUT\" }".to_owned();
    house.write_config(|config| config);
    (house, s3, outage)
}

/// Runs one INSERT that nobody else runs.
fn insert(house: &House, number: u32) -> std::process::Output {
    let sql = format!("INSERT INTO scratch VALUES ({number}, 'kept {number}');\n");
    house.psql(Person::Agent, &["-qAt", "-v", "ON_ERROR_STOP=1"], &sql)
}

/// How often each of these INSERTs is in evidence.
fn found(house: &House, number: u32) -> u64 {
    house.count(&format!(
        "SELECT count(*) FROM statements WHERE sql LIKE '%''kept {number}''%' AND outcome = 'completed'"
    ))
}

fn whats(house: &House) -> Vec<String> {
    let rows = house.query("SELECT what FROM changes ORDER BY log_index");
    rows.iter()
        .map(|row| row["what"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn evidence_goes_to_a_bucket_and_is_verified_there() {
    let (mut house, s3, _outage) = house();
    house.start_gateway();
    succeeded(insert(&house, 1));
    house.stop_gateway();
    assert!(!house.evidence_path().exists());
    let verified = succeeded(house.verify());
    assert!(verified.contains("intact"), "{verified}");
    assert_eq!(found(&house, 1), 1);
    // Someone changes an object: it is named.
    let key = "evidence/ledger/gateway-1/checkpoint";
    assert!(s3.gets(key, 200) > 0);
    s3.put(key, b"another");
    let output = house.verify();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("ledger/gateway-1/checkpoint"),
        "{}",
        text(&output.stdout)
    );
    // A bucket that nobody made is no evidence, and neither is one that can't be reached.
    house.store = "s3://missing/evidence".to_owned();
    assert_ne!(house.verify().status.code(), Some(0));
}

/// Azure's own rules of creation and its own listing: sealed, restarted, refused to a second gateway of the name.
#[test]
fn evidence_goes_to_an_azure_container() {
    let mut house = House::without_gateway();
    let azure = Azure::start(&house);
    house.environment = azure.environment();
    house.store = Azure::location("evidence/production");
    house.evidence_settings = "seal_interval_ms = 200".to_owned();
    house.write_config(|config| config);
    for number in 1..=2 {
        house.start_gateway();
        succeeded(insert(&house, number));
        house.stop_gateway();
    }
    assert!(succeeded(house.verify()).contains("intact"));
    assert_eq!((found(&house, 1), found(&house, 2)), (1, 1));
    let config = house.config_of_another("gateway-1", "log-of-its-own");
    let output = house.provost(&["serve", "--config", config.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert!(said.contains("one of them was replaced"), "{said}");
}

/// A gateway that is told of a bucket that isn't there doesn't start.
#[test]
fn a_bucket_that_is_not_there_is_said_at_the_start() {
    let (mut house, _s3, _outage) = house();
    house.store = "s3://missing/evidence".to_owned();
    house.write_config(|config| config);
    let config = house.config_path();
    let output = house.provost(&["serve", "--config", config.to_str().unwrap()]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("cannot list object"), "{said}");
}

/// What is done meanwhile stays in the log and arrives when the store is back, in order and once; a gateway that dies and starts again
/// meanwhile, too.
fn check_outage(weather: Weather) {
    let (mut house, _s3, outage) = house();
    house.start_gateway();
    succeeded(insert(&house, 1));
    house.wait_until("the first seal", |house| {
        house.verify().status.success() && found(house, 1) == 1
    });
    outage.set(weather);
    succeeded(insert(&house, 2));
    house.wait_for_log(&["evidence could not be sealed"], 1);
    succeeded(insert(&house, 3));
    house.kill_gateway();
    house.start_gateway();
    succeeded(insert(&house, 4));
    outage.set(Weather::Fair);
    house.wait_until("the spool", |house| found(house, 4) == 1);
    house.stop_gateway();
    let verified = succeeded(house.verify());
    assert!(verified.contains("intact"), "{verified}");
    for number in 1..=4 {
        assert_eq!(found(&house, number), 1, "{weather:?}: {number}");
    }
    let rows = house.query("SELECT sql FROM statements WHERE sql LIKE '%kept%' ORDER BY log_index");
    let order: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["sql"].as_str()?.split('\'').nth(1))
        .collect();
    assert_eq!(order, ["kept 1", "kept 2", "kept 3", "kept 4"]);
}

#[test]
fn a_store_that_answers_500_is_waited_for() {
    check_outage(Weather::Status(500));
}

#[test]
fn a_store_that_answers_503_is_waited_for() {
    check_outage(Weather::Status(503));
}

#[test]
fn a_store_that_does_not_answer_is_waited_for() {
    check_outage(Weather::Silence);
}

#[test]
fn a_store_whose_answers_are_lost_gets_everything_once() {
    check_outage(Weather::LostAnswers);
}

/// The log fills up: the gateway warns, then denies everything and says why; it goes on by itself when the store is back.
#[test]
fn a_log_at_its_limit_denies_every_statement_until_the_store_is_back() {
    let (mut house, _s3, outage) = house();
    house.evidence_settings += "\nlog_bytes_warn = 524288\nlog_bytes_max = 1048576";
    house.write_config(|config| config);
    house.start_gateway();
    succeeded(insert(&house, 0));
    house.wait_until("the first seal", |house| found(house, 0) == 1);
    outage.set(Weather::Status(503));
    let filling = |number: u32| {
        let sql = format!(
            "INSERT INTO scratch VALUES ({number}, 'filling {}');\n",
            "x".repeat(100_000)
        );
        house.psql(Person::Agent, &["-qAt", "-v", "ON_ERROR_STOP=1"], &sql)
    };
    let done = (1..100)
        .take_while(|number| filling(*number).status.success())
        .count();
    assert!((5..50).contains(&done), "{done}");
    for _ in 0..2 {
        let refused = insert(&house, 7);
        assert!(!refused.status.success());
        let said = text(&refused.stderr);
        assert!(said.contains("evidence log is full"), "{said}");
    }
    outage.set(Weather::Fair);
    house.wait_until("room", |house| insert(house, 8).status.success());
    house.stop_gateway();
    succeeded(house.verify());
    assert_eq!((found(&house, 7), found(&house, 8)), (0, 1));
    let decided = house.count(
        "SELECT count(*) FROM statements WHERE sql LIKE '%filling%' AND outcome = 'completed'",
    );
    let written = house
        .cluster
        .execute(
            "shop",
            "SELECT count(*) FROM scratch WHERE body LIKE 'filling%'",
        )
        .unwrap();
    assert_eq!(written.trim(), decided.to_string());
    assert_eq!(decided, done as u64);
    let whats = whats(&house);
    let said: Vec<&str> = whats
        .iter()
        .map(String::as_str)
        .filter(|what| what.starts_with("audit-"))
        .collect();
    assert_eq!(
        said,
        [
            "audit-backlog",
            "audit-stopped",
            "audit-resumed",
            "audit-backlog-over"
        ]
    );
}

/// Two gateways write into one bucket at once; a third may not have the name of one of them, nor its log.
#[test]
fn gateways_share_a_bucket_and_never_a_name() {
    let (mut house, _s3, _outage) = house();
    house.start_gateway();
    let first = house.port;
    house.start_another();
    let second = house.port;
    for number in 0..10 {
        house.port = if number % 2 == 0 { first } else { second };
        succeeded(insert(&house, number));
    }
    house.wait_until("a seal of the first", |house| found(house, 0) == 1);
    let as_the_first = house.config_of_another("gateway-1", "log-of-its-own");
    for (config, expected) in [
        (as_the_first, "one of them was replaced"),
        (house.config_path(), "is in use by another process"),
    ] {
        let output = house.provost(&["serve", "--config", config.to_str().unwrap()]);
        assert!(!output.status.success());
        let said = text(&output.stderr);
        assert!(said.contains(expected), "{said}");
    }
    house.stop_gateway();
    house.stop_others();
    let verified = succeeded(house.verify_all(&["gateway-1", "gateway-2"]));
    assert!(
        verified.contains("gateway gateway-1: ") && verified.contains("gateway gateway-2: "),
        "{verified}"
    );
    for number in 0..10 {
        assert_eq!(found(&house, number), 1, "{number}");
    }
    assert_eq!(
        house.count("SELECT count(DISTINCT gateway) FROM statements WHERE sql LIKE '%kept%'"),
        2
    );
    // The key of one alone leaves the other's ledger unexplained.
    assert_eq!(house.verify().status.code(), Some(1));
}

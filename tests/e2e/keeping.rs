//! Evidence of several gateways kept over time: one report over all of them, legal holds, retention years later, and S3's object lock.

use std::{path::Path, process::Command, sync::Arc};

use provost_evidence::{
    Keeping, Location, Log, LogOptions, Retention, Sealer, SigningKey, record::Micros,
};
use serde_json::Value;

use crate::support::{House, Person, python, s3::S3, succeeded, text};

/// Everything that these tests write.
const ALWAYS: &str = "2026-01-01..2099-12-31";
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Runs one INSERT that nobody else runs.
fn insert(house: &House, number: u32) {
    let sql = format!("INSERT INTO scratch VALUES ({number}, 'kept {number}');\n");
    succeeded(house.psql(Person::Agent, &["-qAt", "-v", "ON_ERROR_STOP=1"], &sql));
}

fn evidence(house: &House, arguments: &[&str]) -> std::process::Output {
    let arguments = [&["evidence"], arguments, &["--store", &house.store]].concat();
    house.provost(&arguments)
}

/// A key of somebody who places holds.
fn legal(house: &House) -> String {
    let path = house.path("legal.pem");
    let pem = SigningKey::generate().unwrap().to_pem().unwrap();
    std::fs::write(&path, pem).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a gateway's turn does so many days from now: with its log, its key and its store, all real; only the clock isn't.
fn turn_in(
    house: &House,
    gateway: &str,
    log: &str,
    settings: &[(String, String)],
    days: i64,
) -> provost_evidence::Kept {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (log, _) = Log::open(LogOptions::new(house.path(log), gateway)).unwrap();
        let location = Location::parse(&house.store, Path::new("/")).unwrap();
        let store = location.open(settings).unwrap();
        let pem = std::fs::read_to_string(house.path("signing.pem")).unwrap();
        let sealer = Sealer::open(log, store, SigningKey::from_pem(&pem).unwrap())
            .await
            .unwrap();
        let retention = Retention {
            days: 400,
            actor: "gateway".to_owned(),
        };
        let now = std::time::SystemTime::now()
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let now = Micros(i64::try_from(now.as_micros()).unwrap() + days * MICROS_PER_DAY);
        Keeping::new(Arc::new(sealer), Some(retention))
            .turn(now)
            .await
            .unwrap()
    })
}

/// The verifier that is written from the format alone.
fn stranger(house: &House, gateways: &[&str]) -> std::process::Output {
    let mut command = Command::new(python());
    command.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/auditor/verify.py"
    ));
    for gateway in gateways {
        let key = if *gateway == "gateway-1" {
            "public-key"
        } else {
            gateway
        };
        command.arg("--public-key").arg(house.path(key));
    }
    command.arg("--store").arg(&house.store).output().unwrap()
}

/// A row of a table by its gateway.
fn of<'a>(rows: &'a Value, gateway: &str) -> &'a Value {
    let rows = rows.as_array().unwrap();
    rows.iter().find(|row| row["gateway"] == gateway).unwrap()
}

#[test]
fn two_gateways_in_one_folder_have_one_report_and_keep_it_each_for_itself() {
    let mut house = House::without_gateway();
    house.evidence_settings = "seal_interval_ms = 100".to_owned();
    house.write_config(|config| config);
    house.start_gateway();
    let first = house.port;
    house.start_another();
    let second = house.port;
    for number in 0..9 {
        house.port = if number % 3 == 0 { first } else { second };
        insert(&house, number);
    }
    house.stop_gateway();
    house.stop_others();
    let both = ["gateway-1", "gateway-2"];
    succeeded(house.verify_all(&both));

    // One population: both are named, with their checkpoints, and nothing is missing.
    let population = |house: &House| -> Value {
        serde_json::from_str(&succeeded(evidence(
            house,
            &["report", "population", "--period", ALWAYS, "--json"],
        )))
        .unwrap()
    };
    let stated = population(&house);
    let rows = stated["gateways"].clone();
    let counted: u64 = both
        .iter()
        .map(|gateway| of(&rows, gateway)["statement_count"].as_u64().unwrap())
        .sum();
    let counted_by_query = house.count("SELECT count(*) FROM statements");
    assert_eq!(counted, counted_by_query, "{stated}");
    for gateway in both {
        let row = of(&rows, gateway);
        assert_eq!(
            (&row["missing_rows"], &row["deleted_rows"]),
            (&Value::from(0), &Value::from(0))
        );
        assert!(
            stated
                .to_string()
                .contains(&format!("provost/{gateway}\\n")),
            "{stated}"
        );
    }
    assert!(
        of(&rows, "gateway-2")["statement_count"].as_u64() >= Some(6),
        "{stated}"
    );

    // One report: its numbers are those of both.
    let out = house.path("report");
    succeeded(evidence(
        &house,
        &[
            "report",
            "--framework",
            "nist-800-53",
            "--period",
            ALWAYS,
            "--out",
            out.to_str().unwrap(),
        ],
    ));
    let html = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(
        both.iter()
            .all(|gateway| html.contains(&format!("Checkpoint of {gateway}")))
    );
    let events = std::fs::read_to_string(out.join("ocsf.jsonl")).unwrap();
    assert_eq!(events.lines().count() as u64, counted);

    // Put together into larger objects: the same rows, and the same verdict.
    let (key, statements) = (
        legal(&house),
        "SELECT * FROM statements ORDER BY gateway, log_index",
    );
    let before = house.query(statements);
    let compact = [
        "compact",
        "--key",
        &key,
        "--as",
        "ops@example.com",
        "--json",
    ];
    let done: Value = serde_json::from_str(&succeeded(evidence(&house, &compact))).unwrap();
    assert!(
        done["objects"].as_u64() >= Some(1) && done["sources"].as_u64() >= Some(2),
        "{done}"
    );
    assert_eq!(house.query(statements), before);
    assert!(succeeded(house.verify_all(&both)).contains("compacted: "));
    assert!(succeeded(stranger(&house, &both)).contains("not checked here: compacted/"));

    // A hold over the first gateway's statements; years later, its other rows go, and all of the second's.
    let signed = [
        "--key",
        &key,
        "--as",
        "legal@example.com",
        "--reason",
        "Smith ./. Example",
    ];
    let place = [
        &[
            "hold",
            "add",
            "smith",
            "--gateway",
            "gateway-1",
            "--dataset",
            "statements",
        ],
        &signed[..],
    ]
    .concat();
    let said = succeeded(evidence(&house, &place));
    assert!(
        said.contains("smith holds statements of gateway-1 of all days"),
        "{said}"
    );
    let said = text(&evidence(&house, &place).stderr);
    assert!(said.contains("a name is used once"), "{said}");
    let kept = turn_in(&house, "gateway-1", "log", &[], 500);
    assert!(kept.held >= 1 && kept.deleted >= 1, "{kept:?}");
    let kept = turn_in(&house, "gateway-2", "log-2", &[], 500);
    assert!(kept.held == 0 && kept.deleted >= 2, "{kept:?}");
    let verified = succeeded(house.verify_all(&both));
    assert_eq!(
        verified.matches("deleted under retention").count(),
        2,
        "{verified}"
    );
    let said = succeeded(stranger(&house, &both));
    assert_eq!(said.matches("deleted under retention").count(), 2, "{said}");
    assert!(said.contains("not checked here: holds/"), "{said}");
    let rows = population(&house)["gateways"].clone();
    for (gateway, statements) in [("gateway-1", true), ("gateway-2", false)] {
        let row = of(&rows, gateway);
        assert_eq!(row["missing_rows"], 0, "{rows}");
        assert!(row["deleted_rows"].as_u64() > Some(0), "{rows}");
        assert_eq!(
            row["statement_count"].as_u64() > Some(0),
            statements,
            "{rows}"
        );
    }

    // What was not announced is missing, for both verifiers.
    let held = std::fs::read_dir(house.evidence_path().join("statements")).unwrap();
    let day = held.last().unwrap().unwrap().path();
    let object = std::fs::read_dir(&day)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let bytes = std::fs::read(&object).unwrap();
    std::fs::remove_file(&object).unwrap();
    assert_eq!(house.verify_all(&both).status.code(), Some(1));
    let said = text(&stranger(&house, &both).stderr);
    assert!(
        said.contains("no later row says that it was deleted"),
        "{said}"
    );
    std::fs::write(&object, bytes).unwrap();

    // The hold ends by its own key, and gateways go on; a young store has nothing to delete.
    let other = SigningKey::generate().unwrap().to_pem().unwrap();
    let other_path = house.path("other.pem");
    std::fs::write(&other_path, other).unwrap();
    let with_other = [
        "--key",
        other_path.to_str().unwrap(),
        "--as",
        "legal@example.com",
        "--reason",
        "x",
    ];
    let refused = evidence(
        &house,
        &[&["hold", "release", "smith"], &with_other[..]].concat(),
    );
    assert!(text(&refused.stderr).contains("only that one releases it"));
    succeeded(evidence(
        &house,
        &[&["hold", "release", "smith"], &signed[..]].concat(),
    ));
    let listed = succeeded(evidence(&house, &["hold", "list"]));
    assert!(listed.contains("smith: released"), "{listed}");
    house.port = first;
    house.start_gateway();
    insert(&house, 100);
    let config = house.config_path();
    let retain = [
        "evidence",
        "retain",
        "--config",
        config.to_str().unwrap(),
        "--older-than",
        "400d",
        "--by",
        "ann",
    ];
    let said = text(&house.provost(&retain).stderr);
    assert!(said.contains("is in use by another process"), "{said}");
    house.stop_gateway();
    let said = succeeded(house.provost(&retain));
    assert!(said.contains("0 objects deleted"), "{said}");
    let said = succeeded(evidence(&house, &["retain", "--older-than", "1d"]));
    assert!(said.contains("nothing was deleted"), "{said}");
    let whats =
        house.query("SELECT DISTINCT what FROM changes WHERE what LIKE 'hold-%' ORDER BY what");
    assert_eq!(whats.len(), 2, "{whats:?}");
    succeeded(house.verify_all(&both));
}

/// A bucket with object lock: what is sealed is locked by its put, and can't be deleted; what is replaced is not locked.
#[test]
fn what_is_sealed_is_locked_in_a_bucket_that_can() {
    let mut house = House::without_gateway();
    let s3 = S3::start_locking(&house);
    house.environment = s3.environment();
    house.store = S3::location("evidence");
    house.evidence_settings = "object_lock = \"compliance 400d\"\nretention_days = 400".to_owned();
    house.write_config(|config| config);
    house.start_gateway();
    insert(&house, 1);
    house.stop_gateway();
    assert!(succeeded(house.verify()).contains("intact"));

    let (status, listed) = s3.ask("GET", "?list-type=2&prefix=evidence/", "", b"");
    assert_eq!(status, 200);
    let keys: Vec<&str> = listed
        .split("<Key>")
        .skip(1)
        .map(|rest| rest.split("</Key>").next().unwrap())
        .collect();
    assert!(keys.len() > 8, "{keys:?}");
    let now = jiff::Timestamp::now();
    for key in keys {
        let (_, head) = s3.ask("HEAD", key, "", b"");
        let header = |name: &str| {
            let start = format!("{name}: ");
            head.lines().find_map(|line| line.strip_prefix(&start))
        };
        let mode = header("x-amz-object-lock-mode");
        if key.ends_with("/checkpoint") || key.contains("/leases/") {
            assert_eq!(mode, None, "{key} is replaced, or no evidence");
            continue;
        }
        assert_eq!(mode, Some("COMPLIANCE"), "{key}: {head}");
        let until = header("x-amz-object-lock-retain-until-date").unwrap();
        let until: jiff::Timestamp = until.parse().unwrap();
        let days = until.duration_since(now).as_hours() / 24;
        assert!((399..=400).contains(&days), "{key}: {days} days");
        let version = header("x-amz-version-id").unwrap();
        let (status, answer) = s3.ask("DELETE", &format!("{key}?versionId={version}"), "", b"");
        assert_eq!(status, 403, "{key}: {answer}");
    }

    // Retention marks what is over its time as deleted: the ledger says so, and the versions are there as long as they are locked.
    let settings: Vec<_> = s3
        .environment()
        .into_iter()
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    let kept = turn_in(&house, "gateway-1", "log", &settings, 500);
    assert!(kept.deleted >= 2, "{kept:?}");
    let verified = succeeded(house.verify());
    assert!(verified.contains("deleted under retention"), "{verified}");
    assert_eq!(house.count("SELECT count(*) FROM statements"), 0);

    // A bucket that can't lock refuses the put: nothing is sealed without it.
    let mut plain = House::without_gateway();
    let s3 = S3::start(&plain);
    plain.environment = s3.environment();
    plain.store = S3::location("evidence");
    plain.evidence_settings = "object_lock = \"governance 1d\"\nseal_interval_ms = 200".to_owned();
    plain.write_config(|config| config);
    plain.start_gateway();
    plain.wait_for_log(&["evidence could not be sealed", "it stays in the log"], 1);
    plain.kill_gateway();
    let (_, listed) = s3.ask("GET", "?list-type=2&prefix=evidence/ledger", "", b"");
    assert!(!listed.contains("<Key>"), "{listed}");
}

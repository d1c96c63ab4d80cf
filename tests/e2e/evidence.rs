//! Evidence after a run: complete, verifiable from a public key, and any change of it found.

use std::fs;

use crate::support::{House, Person, files_below, succeeded, text};

/// A run with something of everything, sealed.
fn run() -> House {
    let mut house = House::new();
    let statements = "SELECT id FROM orders;\nSELECT ssn, email FROM customers;\nINSERT INTO scratch VALUES (1, 'x');\nDROP TABLE orders;\nSELECT salary FROM hr.salaries;\nSELECT 1 / 0;\n";
    house.psql(Person::Agent, &["-qAt"], statements);
    house.psql(Person::Dba, &["-qAt"], "SELECT count(*) FROM hr.salaries;");
    house.stop_gateway();
    house
}

#[test]
fn a_run_is_verified_and_told_as_it_was() {
    let house = run();
    let verified = succeeded(house.verify());
    assert!(!verified.is_empty());

    let count = |condition: &str| {
        house.count(&format!(
            "SELECT count(*) FROM statements WHERE {condition}"
        ))
    };
    assert_eq!(count("principal = 'devin@corp' AND verdict = 'deny'"), 2);
    assert_eq!(count("principal = 'devin@corp' AND verdict = 'allow'"), 4);
    assert_eq!(count("outcome = 'denied'"), 2);
    assert_eq!(count("outcome = 'failed' AND sqlstate = '22012'"), 1);
    assert_eq!(
        count("principal = 'dora@corp' AND outcome = 'completed'"),
        1
    );
    assert_eq!(count("ended_at < decided_at"), 0);
    assert_eq!(count("bundle_digest = ''"), 0);

    let rows = house.query("SELECT * FROM statements WHERE verdict = 'deny' ORDER BY seq");
    let first = serde_json::to_string(&rows[0]).unwrap();
    assert!(
        first.contains("agents-never-change-schema") && first.contains("nist-800-53:CM-5"),
        "{first}"
    );

    let masked = house.query("SELECT * FROM maskings ORDER BY output_column");
    assert_eq!(masked.len(), 2, "{masked:?}");
    assert_eq!(masked[0]["output_column"], "email");
    assert_eq!(masked[0]["values_masked"], 3);
    assert_eq!(masked[1]["rule"], "mask-pii");

    let sessions =
        |condition: &str| house.count(&format!("SELECT count(*) FROM sessions WHERE {condition}"));
    assert_eq!(sessions("event = 'opened'"), 2);
    assert_eq!(sessions("event = 'closed'"), 2);
    assert_eq!(
        sessions("event = 'opened' AND principal = 'devin@corp' AND tls"),
        1
    );
    let changes = house.query("SELECT what FROM changes ORDER BY log_index");
    assert_eq!(changes.first().unwrap()["what"], "start", "{changes:?}");
    assert_eq!(changes.last().unwrap()["what"], "stop", "{changes:?}");
}

#[test]
fn log_indexes_are_dense_over_all_datasets() {
    let house = run();
    let mut indexes: Vec<u64> = Vec::new();
    for dataset in ["sessions", "statements", "changes"] {
        let rows = house.query(&format!("SELECT log_index FROM {dataset}"));
        indexes.extend(rows.iter().map(|row| row["log_index"].as_u64().unwrap()));
    }
    indexes.sort_unstable();
    indexes.dedup();
    // The end of a statement is an entry of its own that is joined into the row of its decision.
    assert!(indexes.len() > 8, "{indexes:?}");
}

#[test]
fn one_flipped_byte_in_any_file_is_found() {
    let house = run();
    succeeded(house.verify());
    let files = files_below(&house.evidence_path());
    assert!(
        files
            .iter()
            .any(|file| file.extension().is_some_and(|name| name == "parquet")),
        "{files:?}"
    );
    for file in &files {
        let original = fs::read(file).unwrap();
        if original.is_empty() {
            continue;
        }
        // First, middle, last, and a few between.
        let positions = [
            0,
            original.len() / 5,
            original.len() / 2,
            original.len() * 4 / 5,
            original.len() - 1,
        ];
        for position in positions {
            let mut changed = original.clone();
            changed[position] ^= 1;
            fs::write(file, &changed).unwrap();
            let output = house.verify();
            assert_eq!(
                output.status.code(),
                Some(1),
                "byte {position} of {} was changed, unseen: {}",
                file.display(),
                text(&output.stdout)
            );
            assert!(
                !text(&output.stderr).contains("panicked"),
                "{}",
                text(&output.stderr)
            );
        }
        fs::write(file, &original).unwrap();
    }
    succeeded(house.verify());
}

#[test]
fn a_missing_cut_or_grown_file_is_found() {
    let house = run();
    for file in files_below(&house.evidence_path()) {
        let original = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(
            house.verify().status.code(),
            Some(1),
            "{} was removed, unseen",
            file.display()
        );
        fs::write(&file, &original[..original.len() / 2]).unwrap();
        assert_eq!(
            house.verify().status.code(),
            Some(1),
            "{} was cut, unseen",
            file.display()
        );
        fs::write(&file, [&original[..], b"x"].concat()).unwrap();
        assert_eq!(
            house.verify().status.code(),
            Some(1),
            "{} grew, unseen",
            file.display()
        );
        fs::write(&file, &original).unwrap();
    }
    succeeded(house.verify());
}

#[test]
fn another_key_does_not_verify() {
    let house = run();
    house.verify();
    let key = fs::read_to_string(house.path("public-key")).unwrap();
    let other = house.path("other-key");
    fs::write(&other, key.replace("gateway-1", "gateway-2")).unwrap();
    let output = house.provost(&[
        "evidence",
        "verify",
        "--store",
        house.evidence_path().to_str().unwrap(),
        "--public-key",
        other.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
}

#[test]
fn evidence_survives_restarts() {
    let mut house = run();
    house.start_gateway();
    house.psql(Person::Agent, &["-qAt"], "SELECT 42;");
    house.stop_gateway();
    succeeded(house.verify());
    assert_eq!(
        house.count("SELECT count(*) FROM changes WHERE what = 'start'"),
        2
    );
    assert_eq!(
        house.count("SELECT count(*) FROM statements WHERE kind = 'select' AND decided_at > (SELECT max(at) FROM changes WHERE what = 'start')"),
        1
    );
}

#[test]
fn queries_can_only_read() {
    let house = run();
    let store = house.evidence_path();
    for sql in [
        "DROP TABLE statements",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "COPY statements TO '/tmp/provost-test-copy'",
        "SELECT * FROM nothing",
        "SELEC",
    ] {
        let output = house.provost(&["evidence", "query", "--store", store.to_str().unwrap(), sql]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{sql}: {}",
            text(&output.stdout)
        );
        assert!(
            !text(&output.stderr).contains("panicked"),
            "{sql}: {}",
            text(&output.stderr)
        );
    }
    succeeded(house.verify());
}

//! The API keeps what its OpenAPI document says: schemathesis reads the one and tries the other.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use provost_evidence::{Durability, approvals::ApprovalId, record::Record};
use serde_json::json;
use tokio::process::Command;

use super::{
    roles::session,
    support::{House, Who, request},
};
use crate::approvals::now;

/// The id that the document gives as its example, so that some requests meet something.
const EXAMPLE: &str = "019a5d2f8c00-3f1b7a9e4c52";

/// The paths of held statements, and the one that says that the console answers.
const HELD: &str = "approvals|healthz";
/// The same, of a session.
const SESSION: &str = "0123456789abcdef0123456789abcdef";

/// Where `tests/run.sh` installs it.
fn schemathesis() -> PathBuf {
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../target").to_owned());
    let program = Path::new(&target).join("python/bin/schemathesis");
    assert!(
        program.exists(),
        "{} is missing: run `sh tests/run.sh` once, it makes it",
        program.display()
    );
    program
}

#[tokio::test]
async fn the_api_is_as_its_document_says() {
    let house = House::new().await;
    let mut example = request(1);
    example.id = ApprovalId::parse(EXAMPLE).unwrap();
    house.ask(example).await;
    for number in 2..5 {
        house.ask(request(number)).await;
    }
    for record in evidence() {
        house
            .log
            .append(&record, Durability::Process)
            .await
            .unwrap();
    }
    let (_place, _dismissal) = house.roster.enter(SESSION, &session());
    // Held statements by somebody who may vote. What rests on the evidence by somebody with every role, with fewer tries: each is a query.
    let held = ["--include-path-regex", HELD, "--max-examples", "40"];
    keeps_its_word(&house, Who::Dora, &held, 5).await;
    let phases = "examples,coverage,fuzzing";
    let told = [
        "--exclude-path-regex",
        HELD,
        "--max-examples",
        "8",
        "--phases",
        phases,
    ];
    keeps_its_word(&house, Who::Olga, &told, 8).await;
}

/// A session of Dora's, two statements in it, and their ends: the one that the document gives as its example is masked.
fn evidence() -> Vec<Record> {
    let at = now();
    let opened = json!({
        "at": at, "event": "opened", "session_id": SESSION, "principal": "dora@corp", "principal_kind": "human", "on_behalf_of": null,
        "groups": ["db-admins"], "issuer": null, "client_addr": "127.0.0.1", "application": "psql", "tls": true, "target": "shop",
        "database": "shop", "authentication": "token-as-password", "reason": null, "sqlstate": null, "role": "provost",
    });
    let mut records = vec![Record::Session(serde_json::from_value(opened).unwrap())];
    for (seq, verdict, outcome) in [(1, "allow", "completed"), (2, "deny", "denied")] {
        let id = format!("{SESSION}-{seq}");
        let masked = json!({
            "output_index": 0, "output_column": "ssn", "source_columns": ["public.customers.ssn"], "class": "pii", "transform": "redact",
            "rule": "mask-pii", "controls": [],
        });
        let decided = json!({
            "decided_at": at, "statement_id": id, "session_id": SESSION, "seq": seq, "phase": "simple", "principal": "dora@corp",
            "on_behalf_of": null, "target": "shop", "sql": "SELECT ssn FROM customers", "sql_digest": "digest", "fingerprint": null,
            "kind": "select", "relations": ["public.customers"], "columns": ["public.customers.ssn"], "verdict": verdict,
            "rules": ["mask-pii"], "reason": null, "controls": ["nist-800-53:AC-3"], "bundle_digest": "bundle", "facts_digest": null,
            "parameters_digest": null, "maskings": [masked],
        });
        let ended = json!({
            "ended_at": at, "statement_id": id, "outcome": outcome, "rows": 3, "bytes": 30, "duration_us": 12, "sqlstate": null,
            "values_masked": [[0, 3]], "result_digest": null,
        });
        records.push(Record::Decision(serde_json::from_value(decided).unwrap()));
        records.push(Record::End(serde_json::from_value(ended).unwrap()));
    }
    records
}

/// Tries the operations that `options` choose, which are so many.
async fn keeps_its_word(house: &House, who: Who, options: &[&str], count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(schemathesis())
        .args(["--no-color", "run", "--checks", "all"])
        .args(options)
        .args(["--seed", "7", "--generation-database", "none"])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", house.token(who)),
        ])
        .arg(format!("{}/api/v1/openapi.json", house.url))
        .current_dir(folder.path())
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{who:?}: {told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // It asked each operation but that which gave it the document, and did not merely read that.
    assert!(
        told.contains(&format!("Tested: {count}")),
        "{who:?}: {told}"
    );
}

//! The auditor's side: reports, samples and proofs over evidence that a gateway wrote, checked with strangers' programs. What they
//! know of it is in `docs/evidence-format.md`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{House, Person, files_below, python, succeeded, text};

/// What a client chose, and no page may run.
const MARKUP: &str = "<script>alert(1)</script>";
/// All that was ever recorded.
const ALWAYS: &str = "2026-01-01..2199-12-30";

/// A run with something of everything, over two starts of the gateway, sealed.
fn run() -> House {
    let mut house = House::new();
    let statements = format!(
        "SELECT id FROM orders;\nSELECT ssn, email FROM customers;\nSELECT ssn AS \"{MARKUP}\" FROM customers WHERE id = 1;\n\
         INSERT INTO scratch VALUES (1, 'x');\nDROP TABLE orders;\nSELECT salary FROM hr.salaries;\nSELECT * FROM \"{MARKUP}\";\nSELECT 1 / 0;\n"
    );
    house.psql(Person::Agent, &["-qAt"], &statements);
    house.psql(
        Person::Dba,
        &["-qAt"],
        "SELECT ssn FROM customers;\nCREATE TABLE made (id integer);\nSELECT count(*) FROM hr.salaries;\n",
    );
    house.psql(Person::Stranger, &["-qAt"], "SELECT 1;\n");
    house.psql_with("devin@corp", "no token", "shop", &["-qAt"], "SELECT 1;\n");
    house.stop_gateway();
    house.start_gateway();
    house.psql(
        Person::Analyst,
        &["-qAt"],
        "SELECT id, email FROM customers;\nDELETE FROM orders;\n",
    );
    house.stop_gateway();
    succeeded(house.verify());
    house
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// One of the programs of `examples/auditor`.
fn example(name: &str, arguments: &[&Path]) -> Output {
    Command::new(python())
        .arg(repository("examples/auditor").join(name))
        .args(arguments)
        .output()
        .unwrap()
}

/// `provost evidence report ...` into a folder of the house.
fn report(house: &House, framework: &str, name: &str) -> PathBuf {
    let (store, out) = (house.evidence_path(), house.path(name));
    let arguments = [
        "evidence",
        "report",
        "--store",
        store.to_str().unwrap(),
        "--framework",
        framework,
        "--period",
        ALWAYS,
        "--out",
        out.to_str().unwrap(),
    ];
    succeeded(house.provost(&arguments));
    out
}

/// NULLs left out, times as microseconds: what two engines write differently.
fn plain(row: &Map<String, Value>) -> Map<String, Value> {
    let value = |value: &Value| match value.as_str().map(str::parse::<Timestamp>) {
        Some(Ok(time)) => json!(time.as_microsecond()),
        _ => value.clone(),
    };
    let kept = row.iter().filter(|(_, value)| !value.is_null());
    kept.map(|(name, found)| (name.clone(), value(found)))
        .collect()
}

fn rows(output: Output) -> Vec<Map<String, Value>> {
    let lines = succeeded(output);
    lines
        .lines()
        .map(|line| plain(&serde_json::from_str(line).unwrap()))
        .collect()
}

#[test]
fn queries_answer_the_same_in_duckdb() {
    let house = run();
    let mut answered = BTreeMap::new();
    for file in files_below(&repository("policies/controls/sql")) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let sql = fs::read_to_string(&file).unwrap();
        let mut ours: Vec<_> = house.query(&sql).iter().map(plain).collect();
        let mut theirs = rows(example("with_duckdb.py", &[&house.evidence_path(), &file]));
        if name == "frame" {
            // The one that says no order.
            for rows in [&mut ours, &mut theirs] {
                rows.sort_by_key(|row| row["log_index"].as_u64());
            }
        }
        assert_eq!(ours, theirs, "{name}");
        answered.insert(name, ours.len());
    }
    assert!(answered.len() > 30, "{answered:?}");
    for name in [
        "who-saw-what",
        "clear-reads",
        "privileged-use",
        "refusals",
        "controls",
        "rules",
        "changes",
    ] {
        assert!(answered[name] > 0, "{name}: {answered:?}");
    }
}

#[test]
fn strangers_count_what_we_count() {
    let house = run();
    let store = house.evidence_path();
    let count = |condition: &str| {
        house.count(&format!(
            "SELECT count(*) FROM statements WHERE {condition}"
        ))
    };
    let masked =
        house.count("SELECT CAST(sum(values_masked) AS BIGINT) FROM maskings WHERE class = 'pii'");
    let expected = json!({
        "verdicts": { "allow": count("verdict = 'allow'"), "deny": count("verdict = 'deny'") },
        "masked_values": { "pii": masked },
    });
    for program in ["with_pandas.py", "with_spark.py"] {
        let said = succeeded(example(program, &[&store]));
        let counted: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(counted, expected, "{program}");
    }
    // DuckDB's own shell reads this file; here its library does.
    let shell = "import duckdb, sys; print(duckdb.execute(open(sys.argv[1]).read()).fetchall())";
    let output = Command::new(python())
        .args(["-c", shell])
        .arg(repository("examples/auditor/duckdb.sql"))
        .current_dir(&store)
        .output()
        .unwrap();
    let said = succeeded(output);
    assert!(
        said.contains(&format!(
            "('deny', 'denied', {})",
            count("verdict = 'deny' AND outcome = 'denied'")
        )),
        "{said}"
    );
}

#[test]
fn a_stranger_s_verifier_finds_what_ours_finds() {
    let house = run();
    let (store, key) = (house.evidence_path(), house.path("public-key"));
    let verify = || {
        example(
            "verify.py",
            &[
                Path::new("--public-key"),
                &key,
                Path::new("--store"),
                &store,
            ],
        )
    };
    let said = succeeded(verify());
    let report: Value = serde_json::from_str(&succeeded(house.provost(&[
        "evidence",
        "verify",
        "--json",
        "--store",
        store.to_str().unwrap(),
        "--public-key",
        key.to_str().unwrap(),
    ])))
    .unwrap();
    let root = report["ledgers"][0]["root"].as_str().unwrap();
    assert!(said.contains(root), "{said}\n{report}");

    for file in files_below(&store) {
        let original = fs::read(&file).unwrap();
        let mut changed = original.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&file, &changed).unwrap();
        let output = verify();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{} was changed: {}, {}",
            file.display(),
            output.status,
            text(&output.stderr)
        );
        assert!(
            !text(&output.stderr).contains("Traceback"),
            "{}",
            text(&output.stderr)
        );
        fs::write(&file, &original).unwrap();
    }
    let planted = store.join("statements/planted.parquet");
    fs::write(&planted, "").unwrap();
    assert_eq!(verify().status.code(), Some(1));
    fs::remove_file(&planted).unwrap();
    succeeded(verify());
}

#[test]
fn a_sample_can_be_drawn_again_and_each_item_is_proved() {
    let house = run();
    let (store, key, out) = (
        house.evidence_path(),
        house.path("public-key"),
        house.path("sample"),
    );
    let drawn: Value = serde_json::from_str(&succeeded(house.provost(&[
        "evidence",
        "report",
        "sample",
        "--json",
        "--store",
        store.to_str().unwrap(),
        "--seed",
        "20261101",
        "--size",
        "7",
        "--out",
        out.to_str().unwrap(),
    ])))
    .unwrap();

    // As the README of the examples tells it.
    let frame = rows(example(
        "with_duckdb.py",
        &[&store, &out.join("sql/frame.sql")],
    ));
    assert_eq!(drawn["population"], frame.len());
    let mut places: Vec<_> = frame
        .iter()
        .map(|row| {
            let (gateway, index) = (row["gateway"].as_str().unwrap(), &row["log_index"]);
            let place =
                Sha256::digest(format!("provost sample v1\n20261101\n{gateway}\n{index}\n"));
            (
                place.to_vec(),
                json!({ "gateway": gateway, "log_index": index }),
            )
        })
        .collect();
    places.sort_by(|one, other| one.0.cmp(&other.0));
    let again: Vec<_> = places.into_iter().take(7).map(|(_, item)| item).collect();
    assert_eq!(drawn["items"], Value::from(again.clone()));

    let check = |proof: &Path| {
        example(
            "verify.py",
            &[Path::new("--public-key"), &key, Path::new("--proof"), proof],
        )
    };
    for (number, item) in (1..).zip(&again) {
        let proof = out.join(format!("proofs/{number}.tlog-proof"));
        let shown: Value = serde_json::from_str(&succeeded(check(&proof))).unwrap();
        assert_eq!(shown["log_index"], item["log_index"]);
    }
    let proof = fs::read_to_string(out.join("proofs/1.tlog-proof")).unwrap();
    let forged = house.path("forged");
    for (from, to) in [
        ("index ", "index 1"),
        ("extra e", "extra f"),
        ("\n\nprovost/", "\n\nother/"),
    ] {
        let changed = proof.replacen(from, to, 1);
        if changed == proof {
            continue;
        }
        fs::write(&forged, changed).unwrap();
        assert_eq!(
            check(&forged).status.code(),
            Some(1),
            "{from} changed, unseen"
        );
    }
}

#[test]
fn one_statement_is_proved_by_its_id() {
    let house = run();
    let (store, key) = (house.evidence_path(), house.path("public-key"));
    let prove = |record: &str| {
        house.provost(&[
            "evidence",
            "prove",
            "--store",
            store.to_str().unwrap(),
            record,
        ])
    };
    let row = house.query("SELECT statement_id, log_index FROM statements WHERE verdict = 'deny' ORDER BY log_index LIMIT 1").remove(0);
    let id = row["statement_id"].as_str().unwrap();
    let proof = succeeded(prove(id));
    assert_eq!(proof, succeeded(prove(&row["log_index"].to_string())));
    let file = house.path("item.tlog-proof");
    fs::write(&file, &proof).unwrap();
    let shown = succeeded(example(
        "verify.py",
        &[Path::new("--public-key"), &key, Path::new("--proof"), &file],
    ));
    assert_eq!(
        serde_json::from_str::<Value>(&shown).unwrap()["statement_id"],
        id
    );
    for record in ["nothing", "999999", "' OR ''='"] {
        let output = prove(record);
        assert_eq!(output.status.code(), Some(1), "{record}");
        assert!(
            text(&output.stderr).starts_with("provost: "),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn reports_follow_their_standards_and_run_nothing() {
    let house = run();
    for framework in [
        "nist-800-53",
        "nist-800-171",
        "nist-csf",
        "nist-ai-rmf",
        "ffiec",
    ] {
        let out = report(&house, framework, framework);
        let said = succeeded(
            Command::new(python())
                .arg(repository("tests/e2e/auditor_documents.py"))
                .arg(&out)
                .output()
                .unwrap(),
        );
        let checked: Value = serde_json::from_str(&said).unwrap();
        assert!(
            checked["observations"].as_u64().unwrap() >= 10,
            "{framework}: {said}"
        );
        assert_eq!(
            checked["events"],
            house.count("SELECT count(*) FROM statements WHERE verdict IS NOT NULL")
        );
        let masked = house.count("SELECT count(DISTINCT statement_log_index) FROM maskings");
        assert_eq!(checked["actions"]["4"], masked);
        let page = fs::read_to_string(out.join("report.html")).unwrap();
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "what a client chose is shown as it is"
        );
        assert!(!page.contains("<script"), "{framework}");
        assert_eq!(
            page.contains("no evidence"),
            fs::read_to_string(out.join("matrix.csv"))
                .unwrap()
                .contains(",no evidence,"),
            "{framework}"
        );
    }
    // The same request again gives the same bytes.
    let again = report(&house, "nist-csf", "again");
    for file in files_below(&again) {
        let name = file.strip_prefix(&again).unwrap();
        assert_eq!(
            fs::read(&file).unwrap(),
            fs::read(house.path("nist-csf").join(name)).unwrap(),
            "{}",
            name.display()
        );
    }
    // And each query of a report runs as it stands.
    for file in files_below(&again.join("sql")) {
        let sql = fs::read_to_string(&file).unwrap();
        assert_eq!(
            house.query(&sql).len(),
            succeeded(example("with_duckdb.py", &[&house.evidence_path(), &file]))
                .lines()
                .count(),
            "{}",
            file.display()
        );
    }
}

/// The witness's line is checked here from the specification, not by our own code; then a store that was rolled back as a whole, to a state that
/// was once right, is found out by nobody but the witness.
///
/// # Source
/// C2SP tlog-cosignature, "Ed25519 signed message".
#[test]
fn a_store_rolled_back_as_a_whole_is_found_out_by_a_witness() {
    use ed25519_dalek::{
        SigningKey, Verifier as _,
        pkcs8::{EncodePrivateKey as _, spki::der::pem::LineEnding},
    };

    let mut house = House::new();
    house.psql(Person::Agent, &["-qAt"], "SELECT 1;\n");
    house.stop_gateway();
    succeeded(house.verify());
    let older = house.path("older");
    copy(&house.evidence_path(), &older);
    house.start_gateway();
    house.psql(Person::Agent, &["-qAt"], "SELECT 2;\n");
    house.stop_gateway();
    let (store, key, kept) = (
        house.evidence_path(),
        house.path("public-key"),
        house.path("kept"),
    );
    let private = SigningKey::from_bytes(&[9; 32]);
    let pem = private.to_pkcs8_pem(LineEnding::LF).unwrap();
    let (pem_path, name) = (house.path("witness.pem"), "witness.example/w1");
    fs::write(&pem_path, pem.as_bytes()).unwrap();
    let arguments = |command: &'static str| {
        [
            "evidence",
            command,
            "--store",
            store.to_str().unwrap(),
            "--public-key",
            key.to_str().unwrap(),
        ]
    };
    let witness = || {
        let rest = [
            "--key",
            pem_path.to_str().unwrap(),
            "--name",
            name,
            "--keep",
            kept.to_str().unwrap(),
        ];
        house.provost(&[&arguments("witness")[..], &rest].concat())
    };
    succeeded(witness());
    let cosigned = kept.join("gateway-1.checkpoint");

    let note = fs::read_to_string(&cosigned).unwrap();
    let (body, signatures) = note.split_once("\n\n").unwrap();
    let line = signatures.lines().last().unwrap();
    let encoded = line.strip_prefix(&format!("— {name} ")).unwrap();
    let decoder = Command::new(python())
        .args([
            "-c",
            "import base64, sys; print(base64.b64decode(sys.argv[1]).hex())",
            encoded,
        ])
        .output()
        .unwrap();
    let hex = succeeded(decoder);
    let bytes: Vec<u8> = (0..hex.trim().len() / 2)
        .map(|place| u8::from_str_radix(&hex[place * 2..place * 2 + 2], 16).unwrap())
        .collect();
    let public = private.verifying_key();
    let id = Sha256::digest([name.as_bytes(), b"\n\x04", public.as_bytes()].concat());
    assert_eq!(bytes[..4], id[..4]);
    let time = u64::from_be_bytes(bytes[4..12].try_into().unwrap());
    let message = format!("cosignature/v1\ntime {time}\n{body}\n");
    let signature = ed25519_dalek::Signature::from_slice(&bytes[12..]).unwrap();
    public.verify(message.as_bytes(), &signature).unwrap();

    let witness_key = house.path("witness.pub");
    let printed = house.provost(&[
        "evidence",
        "witness-key",
        "--key",
        pem_path.to_str().unwrap(),
        "--name",
        name,
    ]);
    fs::write(&witness_key, succeeded(printed)).unwrap();
    let verify = || {
        let rest = [
            "--json",
            "--witnessed",
            cosigned.to_str().unwrap(),
            "--witness-key",
            witness_key.to_str().unwrap(),
        ];
        house.provost(&[&arguments("verify")[..], &rest].concat())
    };
    let report: Value = serde_json::from_str(&succeeded(verify())).unwrap();
    assert_eq!(report["anchored"], true, "{report}");
    assert_eq!(report["anchors"][0]["rows"], report["ledgers"][0]["rows"]);

    fs::remove_dir_all(&store).unwrap();
    fs::rename(&older, &store).unwrap();
    succeeded(house.verify());
    for output in [verify(), witness()] {
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        assert!(
            text(&output.stderr).contains("rolled back"),
            "{}",
            text(&output.stderr)
        );
    }
}

fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
}

#[test]
fn a_verification_can_be_taken_up_again() {
    let mut house = run();
    let (store, key, kept) = (
        house.evidence_path(),
        house.path("public-key"),
        house.path("verified.json"),
    );
    let verify = |house: &House| {
        let arguments = [
            "evidence",
            "verify",
            "--json",
            "--store",
            store.to_str().unwrap(),
            "--public-key",
            key.to_str().unwrap(),
            "--resume",
            kept.to_str().unwrap(),
        ];
        house.provost(&arguments)
    };
    let ledger = |output: Output| -> Value {
        let report: Value = serde_json::from_str(&succeeded(output)).unwrap();
        report["ledgers"][0].clone()
    };
    let first = ledger(verify(&house));
    assert_eq!(first["rows_verified_before"], 0);
    house.start_gateway();
    house.psql(Person::Agent, &["-qAt"], "SELECT 42;\n");
    house.stop_gateway();
    let second = ledger(verify(&house));
    assert_eq!(second["rows_verified_before"], first["rows"]);
    assert!(second["rows"].as_u64() > first["rows"].as_u64(), "{second}");
    let whole: Value = serde_json::from_str(&fs::read_to_string(&kept).unwrap()).unwrap();
    assert_eq!(whole["format"], "provost-verified-v1");
    fs::write(&kept, "{}").unwrap();
    let output = verify(&house);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("remove it"),
        "{}",
        text(&output.stderr)
    );
}

//! Commands that need no server, on the starter packs: `explain`, `graph`, `reference`.

use std::process::{Command, Output};

use crate::support::text;

fn provost(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_provost"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

const PACK: &str = "policies/ai-agent";
const SCHEMA: &str = "policies/ai-agent/schema.sql";

/// Runs `provost explain` for an agent; what it prints, and how it ends.
fn explained(options: &[&str], sql: &str) -> (String, Option<i32>) {
    let who = [
        "explain", PACK, "--schema", SCHEMA, "--as", "devin", "--kind", "agent",
    ];
    let output = provost(&[&who[..], &["--group", "ai-agents"], options, &[sql]].concat());
    (
        text(&output.stdout) + &text(&output.stderr),
        output.status.code(),
    )
}

#[test]
fn explain_says_which_rules_and_why_not_the_others() {
    let cases = [
        (
            "SELECT id FROM orders",
            Some(0),
            &["allow", "agents-read"][..],
        ),
        (
            "DELETE FROM orders",
            Some(0),
            &[
                "hold",
                "agents-bulk-write",
                "agents-change-by-key",
                "bounded",
            ],
        ),
        (
            "DROP TABLE orders",
            Some(2),
            &["deny", "agents-never-change-schema"],
        ),
        (
            "SELECT salary FROM hr.salaries",
            Some(2),
            &["deny", "hr.salaries is not allowed by any rule"],
        ),
        ("SELECT FROM FROM", Some(1), &["syntax error"]),
    ];
    for (sql, code, words) in cases {
        let (said, status) = explained(&[], sql);
        assert_eq!(status, code, "{sql}: {said}");
        for word in words {
            assert!(said.contains(word), "{sql}: no {word} in {said}");
        }
    }
}

/// What waits for people, or is refused, and would run by a stated reason, says so; what no reason opens does not.
#[test]
fn explain_says_where_a_stated_reason_would_pass() {
    let folder = "examples/break-glass";
    let schema = format!("{folder}/shop.sql");
    let to_pass = "to pass (break-glass): state why it must run";
    let explained = |who: &[&str], sql: &str| {
        let place = ["explain", folder, "--schema", &schema];
        text(&provost(&[&place[..], who, &[sql]].concat()).stdout)
    };
    let olga = ["--as", "olga@corp", "--group", "on-call"];
    let stated = [&olga[..], &["--reason", "INC-123: orders are stuck"]].concat();
    let support = ["--as", "sam@corp", "--group", "support"];
    let held = "DELETE FROM orders WHERE id = 7";
    for (who, sql, verdict, is_told) in [
        (&olga[..], held, "hold by deletes-need-people", true),
        (&olga, "SELECT id FROM customers", "deny by incident", true),
        (&stated, held, "break-glass by", false),
        (&support, held, "hold by deletes-need-people", false),
        (
            &olga,
            "DELETE FROM audit_trail",
            "deny by the-trail-stays",
            false,
        ),
    ] {
        let said = explained(who, sql);
        assert!(said.contains(verdict), "{sql}: {said}");
        assert_eq!(said.contains(to_pass), is_told, "{sql}: {said}");
    }
    let said = explained(&[&olga[..], &["--json"]].concat(), held);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["change"]["verdict"], "break-glass", "{said}");
}

#[test]
fn explain_speaks_json_a_line_for_each_statement() {
    let (said, status) = explained(&["--json"], "SELECT id FROM orders; DELETE FROM orders");
    assert_eq!(status, Some(0), "{said}");
    let verdicts: Vec<String> = said
        .lines()
        .map(|line| {
            let explained: serde_json::Value = serde_json::from_str(line).unwrap();
            explained["verdict"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(verdicts, ["allow", "hold"]);
}

#[test]
fn a_check_against_a_schema_tells_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "class pii = public.customers.{name, shoe_size}\nrule r mask pii for anyone with otherwise truncate date month\n\
        rule o allow read on archive.* for anyone\n";
    std::fs::write(folder.path().join("a.pol"), policy).unwrap();
    let folder = folder.path().to_str().unwrap();
    let output = provost(&["policy", "check", folder, "--schema", SCHEMA]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for words in [
        "has no column `shoe_size`",
        "can't carry `truncate date month`",
        "nothing in the schema matches `archive.*`",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let without = provost(&["policy", "check", folder]);
    assert_eq!(without.status.code(), Some(0), "{}", text(&without.stderr));
}

#[test]
fn graph_draws_the_part_that_is_asked_for() {
    let whole = provost(&["graph", PACK, "--format", "dot"]);
    assert!(whole.status.success(), "{}", text(&whole.stderr));
    let part = provost(&[
        "graph",
        PACK,
        "--for",
        "ai-agents",
        "--relation",
        "orders",
        "--format",
        "dot",
    ]);
    assert!(part.status.success(), "{}", text(&part.stderr));
    let (whole, part) = (text(&whole.stdout), text(&part.stdout));
    assert!(
        whole.contains("agents-read") && part.contains("agents-read"),
        "{part}"
    );
    assert!(part.len() < whole.len(), "{part}");
    let svg = provost(&["graph", PACK, "--for", "ai-agents", "--relation", "orders"]);
    assert!(
        text(&svg.stdout).starts_with("<svg "),
        "{}",
        text(&svg.stderr)
    );
}

#[test]
fn reference_prints_its_document_and_its_parts() {
    let document = text(&provost(&["reference"]).stdout);
    let kept = std::fs::read_to_string("docs/reference.md").unwrap();
    assert_eq!(document.trim_end(), kept.trim_end());
    assert!(text(&provost(&["reference", "controls"]).stdout).contains("AC-3(11)"));
    let schema = provost(&["reference", "rego-input"]).stdout;
    assert!(
        serde_json::from_slice::<serde_json::Value>(&schema)
            .unwrap()
            .is_object()
    );
}

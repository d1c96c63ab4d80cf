//! Statements and what analysis says of them, over the catalog of a small shop read from a real PostgreSQL 15
//! (`testdata/shop.answer`, made by `catalog.sql` over `testdata/shop.sql`).

mod describing;
mod equalities;
mod stored_rows;
mod unasked;
mod uses;
mod views;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Arc, LazyLock},
};

use expect_test::{Expect, expect, expect_file};

use self::describing::{describe, facts_text, lineage_text};
use super::*;
use crate::facts::{Access, Constant, Equality, How, Lineage, Object, Use};

static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::from_answer(include_bytes!("testdata/shop.answer")).unwrap());

/// Users' functions of many kinds (`testdata/calls.answer`, made as the shop is over `testdata/calls-schema.sql`, without the
/// server's own relations).
static CALLS: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::from_answer(include_bytes!("testdata/calls.answer")).unwrap());

/// A session whose temporary objects are followed.
static FOLLOWED: SessionNames = SessionNames {
    prepared: BTreeMap::new(),
    cursors: BTreeMap::new(),
    temporary: Temporary::Followed,
};

/// Analyses on a thread with the stack that the gateway gives.
fn read_deep(text: &[u8], witness: Witness) -> Result<Vec<Statement>, Refusal> {
    read_deep_on(&CATALOG, text, witness)
}

fn read_deep_on(
    catalog: &Catalog,
    text: &[u8],
    witness: Witness,
) -> Result<Vec<Statement>, Refusal> {
    std::thread::scope(|scope| {
        let work = || {
            let path: Vec<Arc<str>> = vec!["public".into()];
            analyse(
                text,
                &Context {
                    catalog,
                    search_path: &path,
                    parameter_types: &[],
                    witness,
                    names: &FOLLOWED,
                },
            )
        };
        std::thread::Builder::new()
            .stack_size(64 << 20)
            .spawn_scoped(scope, work)
            .unwrap()
            .join()
            .unwrap()
    })
}

fn check(sql: &str, expected: Expect) {
    expected.assert_eq(&describe(&read_deep(sql.as_bytes(), Witness::Deny)));
}

/// Statements of a file, apart by lines of `;;`.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n;;\n").map(str::trim)
}

fn render(text: &str) -> String {
    statements(text)
        .map(|sql| {
            format!(
                "=== {sql}\n{}\n",
                describe(&read_deep(sql.as_bytes(), Witness::Deny))
            )
        })
        .collect()
}

#[test]
fn statements_mean_what_they_meant() {
    expect_file!["testdata/statements.txt"]
        .assert_eq(&render(include_str!("testdata/statements.sql")));
}

#[test]
fn bypasses_are_seen() {
    expect_file!["testdata/bypasses.txt"].assert_eq(&render(include_str!("testdata/bypasses.sql")));
}

#[test]
fn rows_are_followed_by_field() {
    expect_file!["testdata/rows.txt"].assert_eq(&render(include_str!("testdata/rows.sql")));
}

#[test]
fn views_are_written_through() {
    expect_file!["testdata/views.txt"].assert_eq(&render(include_str!("testdata/views.sql")));
}

#[test]
fn definitions_say_what_they_touch() {
    expect_file!["testdata/definitions.txt"]
        .assert_eq(&render(include_str!("testdata/definitions.sql")));
}

#[test]
fn names_stand_for_their_statements() {
    expect_file!["testdata/names.txt"].assert_eq(&render(include_str!("testdata/names.sql")));
}

/// What users' functions, operators, casts, triggers, rules and policies do, and what leaks through their bodies.
#[test]
fn calls_do_what_their_bodies_do() {
    let text: String = statements(include_str!("testdata/calls.sql"))
        .map(|sql| {
            let read = read_deep_on(&CALLS, sql.as_bytes(), Witness::Deny);
            format!("=== {sql}\n{}\n", describe(&read))
        })
        .collect();
    expect_file!["testdata/calls.txt"].assert_eq(&text);
}

#[test]
fn equalities_limits_and_lookups_are_exact() {
    expect_file!["testdata/equalities.txt"]
        .assert_eq(&render(include_str!("testdata/equalities.sql")));
}

#[test]
fn psql_can_describe_everything() {
    for sql in statements(include_str!("testdata/psql.sql")) {
        let text = describe(&read_deep(sql.as_bytes(), Witness::Deny));
        assert!(
            text.starts_with("select\n") && !text.contains("opaque"),
            "{sql}\n{text}"
        );
    }
}

#[test]
fn positions_count_characters() {
    check(
        "SELECT ü, x y z FROM é where",
        expect![[r#"
        42601: syntax error at or near "z" at 15
    "#]],
    );
    check(
        "SELECT nothing FROM customers -- é",
        expect![[r#"
        42703: column "nothing" does not exist at 8
    "#]],
    );
    check(
        "SELECT 1 FROM",
        expect![[r#"
        42601: syntax error at end of input at 14
    "#]],
    );
}

#[test]
fn literals_and_comments_are_found() {
    let text = "SELECT 1; /* a */ SELECT 'x' -- b";
    let statements = read_deep(text.as_bytes(), Witness::Deny).unwrap();
    let found: Vec<&str> = statements
        .iter()
        .flat_map(|statement| &statement.literals)
        .map(|range| &text[range.clone()])
        .collect();
    assert_eq!(found, ["1", "/* a */", "'x'", "-- b"]);
    assert_eq!(
        literal_spans("SELECT FROM WHERE 'x'"),
        Some(std::iter::once(18..21).collect())
    );
    assert_eq!(literal_spans("SELECT 'x"), None);
    assert_eq!(
        literal_spans(&"+".repeat(100_000)),
        None,
        "over a limit: not lexed at all"
    );
    for blank in ["", " \t\r\n\u{b}\u{c}"] {
        assert_eq!(literal_spans(blank), Some(Vec::new()), "{blank:?}");
    }
    assert_eq!(literal_spans(";"), Some(Vec::new()));
}

#[test]
fn the_sweep_wants_every_node() {
    let tree = authority::parse("SELECT upper(a) FROM b").unwrap();
    let mut seen = sweep::Seen::default();
    assert!(seen.missing(&tree).is_some());
    seen.mark_bounded(&tree);
    assert!(matches!(
        seen.missing(&tree),
        Some("RangeVar" | "FuncCall" | "SelectStmt")
    ));
    seen.mark_all(&tree);
    assert_eq!(seen.missing(&tree), None);
}

#[test]
fn deep_nesting_is_refused_not_fatal() {
    for (open, close) in [
        ("(", ")"),
        ("(SELECT ", ")"),
        ("NOT ", ""),
        ("ARRAY[", "]"),
        ("a||", "a"),
    ] {
        let text = format!(
            "SELECT {}1{}",
            open.repeat(5000),
            close.repeat(if close == "a" { 0 } else { 5000 })
        );
        let result = read_deep(text.as_bytes(), Witness::Deny);
        if let Err(refusal) = result {
            assert!(
                matches!(refusal.sqlstate, "54001" | "42601" | "0A000" | "42703"),
                "{open} {refusal:?}"
            );
        }
    }
}

#[test]
fn hard_inputs_are_refused_or_read() {
    let refused = |text: String, sqlstate: &str, word: &str| {
        let refusal = read_deep(text.as_bytes(), Witness::Deny).unwrap_err();
        let hint = refusal.hint.clone().unwrap_or_default();
        assert!(
            refusal.sqlstate == sqlstate && format!("{} {hint}", refusal.message).contains(word),
            "{refusal:?}"
        );
    };
    for (open, close) in [("(", ")"), ("(SELECT ", ")"), ("ARRAY[", "]")] {
        let text = format!("SELECT {}1{}", open.repeat(10_000), close.repeat(10_000));
        refused(text, "54001", "nests too deeply");
    }
    let literal = format!("SELECT '{}'", "x".repeat(10_000_000));
    refused(literal, "54000", "over the limit");
    let places: Vec<String> = (1..=65_535).map(|place| format!("${place}")).collect();
    let text = format!(
        "SELECT name FROM customers WHERE id IN ({})",
        places.join(",")
    );
    let statements = read_deep(text.as_bytes(), Witness::Deny).unwrap();
    assert!(statements[0].facts.opaque.is_empty());
    assert_eq!(statements[0].facts.accesses.len(), 1);
}

#[test]
fn the_same_catalog_has_the_same_version() {
    let again = Catalog::from_answer(include_bytes!("testdata/shop.answer")).unwrap();
    assert_eq!(CATALOG.version(), again.version());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, ..Default::default() })]
    #[test]
    fn mutated_statements_never_panic(pick in 0_usize..1000, at in 0_usize..1000, with in "[a-z(),.*'\" ;:$0-9-]{0,4}", cut in 0_usize..12) {
        let all: Vec<&str> = statements(include_str!("testdata/statements.sql")).collect();
        let mut text = all[pick % all.len()].as_bytes().to_vec();
        let at = at % (text.len() + 1);
        let end = (at + cut).min(text.len());
        text.splice(at..end, with.bytes());
        let _ = read_deep(&text, Witness::Deny);
    }
}

#[test]
fn what_the_servers_count_leaves_out_is_told() {
    let check = |sql: &str, expected: bool| {
        let statements = read_deep(sql.as_bytes(), Witness::Deny).unwrap();
        assert_eq!(statements[0].facts.uncounted, expected, "{sql}");
    };
    check("UPDATE orders SET note = 'x' WHERE id = 1", false);
    check("INSERT INTO audited SELECT id, note FROM orders", false);
    check(
        "WITH x AS (SELECT 1 AS id) DELETE FROM people USING x",
        false,
    );
    check(
        "WITH x AS (DELETE FROM people RETURNING id) SELECT id FROM x",
        true,
    );
    check(
        "WITH x AS (INSERT INTO people VALUES (1) RETURNING id) INSERT INTO people SELECT id FROM x",
        true,
    );
    check("INSERT INTO ruled VALUES (1)", true);
    check("DELETE FROM ruled", false);
}

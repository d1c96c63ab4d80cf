//! Statements and what analysis says of them, over the catalog of a small shop read from a real PostgreSQL 15
//! (`testdata/shop.json`, made by `catalog.sql` over `testdata/shop.sql`).

use std::{
    fmt::Write as _,
    sync::{Arc, LazyLock},
};

use expect_test::{Expect, expect, expect_file};

use super::*;
use crate::facts::{Access, How, Lineage, Object};

static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::from_json(include_bytes!("testdata/shop.json")).unwrap());

/// Analyses on a thread with the stack that the gateway gives.
fn read_deep(text: &[u8], witness: Witness) -> Result<Vec<Statement>, Refusal> {
    std::thread::scope(|scope| {
        let work = || {
            let path: Vec<Arc<str>> = vec!["public".into()];
            analyse(
                text,
                &Context {
                    catalog: &CATALOG,
                    search_path: &path,
                    parameter_types: &[],
                    witness,
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

fn describe(result: &Result<Vec<Statement>, Refusal>) -> String {
    match result {
        Ok(statements) => statements
            .iter()
            .map(|statement| facts_text(&statement.facts))
            .collect::<Vec<_>>()
            .join("--\n"),
        Err(refusal) => {
            let position = refusal
                .position
                .map(|position| format!(" at {position}"))
                .unwrap_or_default();
            format!("{}: {}{position}\n", refusal.sqlstate, refusal.message)
        }
    }
}

fn facts_text(facts: &Facts) -> String {
    let mut text = facts.kind.name().to_owned();
    if facts.session_effect != SessionEffect::None {
        write!(text, " {:?}", facts.session_effect).unwrap();
    }
    if facts.through_views {
        text.push_str(" through views");
    }
    text.push('\n');
    for access in &facts.accesses {
        writeln!(text, "  {}", access_text(access)).unwrap();
    }
    for output in facts.outputs.iter().flatten() {
        let origin = output.origin.and_then(|(oid, attribute)| {
            let relation = CATALOG.relation(oid)?;
            let column = relation
                .columns
                .iter()
                .find(|column| column.attribute == attribute)
                .map_or("system", |column| &*column.name);
            Some(format!(" = {}.{column}", relation.name))
        });
        writeln!(
            text,
            "  -> {}{}{}",
            output.name,
            lineage_text(&output.lineage),
            origin.unwrap_or_default()
        )
        .unwrap();
    }
    for write in &facts.writes {
        writeln!(
            text,
            "  {}.{} <-{}",
            write.column.relation,
            write.column.name,
            lineage_text(&write.lineage)
        )
        .unwrap();
    }
    for opaque in &facts.opaque {
        writeln!(text, "  opaque {}: {}", opaque.subject, opaque.reason).unwrap();
    }
    text
}

fn access_text(access: &Access) -> String {
    let object = match &access.object {
        Object::Relation { schema, name, oid } => {
            format!("{schema}.{name}{}", if *oid == 0 { " (new)" } else { "" })
        }
        Object::Function { schema, name } => format!("{schema}.{name}()"),
        other => format!("{other:?}"),
    };
    let columns: Vec<String> = access
        .columns
        .iter()
        .map(|used| format!("{} {:?}", used.column.name, used.used))
        .collect();
    let mut text = format!("{} {object}", access.operation.name());
    if !columns.is_empty() {
        write!(text, " ({})", columns.join(", ")).unwrap();
    }
    if let Some(view) = &access.via {
        write!(text, " via {view}").unwrap();
    }
    text.push_str(if access.filtered { " filtered" } else { "" });
    text.push_str(if access.bounded { " bounded" } else { "" });
    text
}

fn lineage_text(lineage: &Lineage) -> String {
    let mark = |how| match how {
        How::Direct => "",
        How::Derived => "~",
        How::Safe => "#",
    };
    lineage
        .sources
        .iter()
        .map(|source| {
            format!(
                " {}{}.{}",
                mark(source.how),
                source.column.relation,
                source.column.name
            )
        })
        .collect()
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
fn the_same_catalog_has_the_same_version() {
    let again = Catalog::from_json(include_bytes!("testdata/shop.json")).unwrap();
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

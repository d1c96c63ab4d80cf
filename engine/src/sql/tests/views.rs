//! Statements through views: which of them they rest on, and what is asked for where a definition is lacking.

use std::fmt::Write as _;

use super::*;
use crate::catalog::Attribute;

/// The views that a statement rests on, where it rests on nothing else.
fn check_views(sql: &str, expected: &[&str]) {
    let statements = read_deep(sql.as_bytes(), Witness::Deny).unwrap();
    let facts = &statements[0].facts;
    let names: BTreeSet<String> = facts
        .views
        .iter()
        .map(|oid| CATALOG.relation(*oid).unwrap().name.to_string())
        .collect();
    let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names, expected, "{sql}");
    assert!(facts.through_views || names.is_empty(), "{sql}");
}

#[test]
fn views_are_named_only_where_nothing_else_was_expanded() {
    check_views("SELECT name FROM customers", &[]);
    check_views(
        "SELECT contact FROM customer_contacts",
        &["customer_contacts"],
    );
    check_views(
        "SELECT contact FROM contact_names",
        &["contact_names", "customer_contacts"],
    );
    check_views(
        "SELECT (SELECT max(amount) FROM hr.top) FROM customer_contacts",
        &["top", "customer_contacts"],
    );
    check_views("SELECT total FROM order_totals", &[]);
    check_views(
        "SELECT t.total FROM order_totals AS t, customer_contacts AS c",
        &[],
    );
    check_views("SELECT peek(name) FROM customer_contacts", &[]);
    check_views("SELECT table_name FROM information_schema.tables", &[]);
    check_views(
        "INSERT INTO orders (id) SELECT id FROM customer_contacts",
        &["customer_contacts"],
    );
}

/// The shop without the definitions of its views.
fn shop_without_definitions() -> Catalog {
    let answer = include_str!("../testdata/shop.answer");
    let mut values = serde_json::Deserializer::from_str(answer).into_iter();
    let mut shop: serde_json::Value = values.next().unwrap().unwrap();
    let behind = &answer[values.byte_offset()..];
    let views = CATALOG.relations().filter(|one| one.definition.is_some());
    let marks: Vec<String> = views.map(|one| format!("{} 7", one.oid)).collect();
    shop["view_marks"] = marks.join("\n").into();
    shop["views"] = serde_json::Value::Null;
    Catalog::from_answer(format!("{shop}{behind}").as_bytes()).unwrap()
}

#[test]
fn a_definition_that_is_lacking_is_named() {
    let lacking = shop_without_definitions();
    let path: Vec<Arc<str>> = vec!["pg_catalog".into(), "public".into()];
    let read = |catalog: &Catalog, sql: &str| {
        let context = Context {
            catalog,
            search_path: &path,
            parameter_types: &[],
            witness: Witness::Deny,
            names: &NO_NAMES,
        };
        analyse(sql.as_bytes(), &context)
    };
    let every = ["contact_names", "customer_contacts", "order_totals", "top"];
    for (sql, named) in [
        ("SELECT id FROM customers", &[][..]),
        ("SELECT id FROM customer_contacts", &["customer_contacts"]),
        ("SELECT name FROM contact_names", &["contact_names"]),
        (
            "SELECT 1 FROM order_totals, hr.top",
            &["order_totals", "top"],
        ),
        (
            "UPDATE customer_contacts SET name = 'x'",
            &["customer_contacts"],
        ),
        (
            "SELECT 1 WHERE false AND EXISTS (SELECT FROM hr.top)",
            &["top"],
        ),
        // What reads a body passes over what it can't read there: not over this.
        (
            "DO 'BEGIN PERFORM 1 FROM customer_contacts; END'",
            &["customer_contacts"],
        ),
        (
            "SELECT 1; SELECT id FROM customer_contacts",
            &["customer_contacts"],
        ),
        ("DROP TABLE orders CASCADE", &every),
    ] {
        let refused = match read(&lacking, sql) {
            Err(refusal) => refusal.lacking,
            Ok(_) => Box::default(),
        };
        let mut names: Vec<&str> = refused
            .iter()
            .map(|oid| &*lacking.relation(*oid).unwrap().name)
            .collect();
        names.sort_unstable();
        assert_eq!(names, named, "{sql}");
        // With what it asked for, round after round, it is read as it ever was.
        let mut catalog = lacking.clone();
        let facts = loop {
            match read(&catalog, sql) {
                Ok(statements) => break statements,
                Err(refusal) => {
                    assert!(!refusal.lacking.is_empty(), "{sql}: {}", refusal.message);
                    let (mut names, mut texts) = (String::new(), String::new());
                    for oid in &refusal.lacking {
                        let view = CATALOG.relation(*oid).unwrap();
                        let definition = view.definition.as_ref().unwrap();
                        let length = definition.chars().count();
                        let _ = writeln!(texts, "{oid} 7 {length} {definition}");
                        let mut called = format!("{}:{}", view.schema.len(), view.schema);
                        let _ = write!(called, "{}:{}", view.name.len(), view.name);
                        for Attribute { number, name, .. } in &view.attributes {
                            let _ = write!(called, "|{number}:{}:{name}", name.len());
                        }
                        let _ = writeln!(
                            names,
                            "u {oid} r {oid}\nn r {oid} {} {called}",
                            called.len()
                        );
                    }
                    let answer = [names.clone(), texts, names].map(String::into_bytes);
                    catalog = catalog.with_definitions(&answer).unwrap();
                }
            }
        };
        let known = read(&CATALOG, sql).unwrap();
        assert_eq!(facts.len(), known.len());
        for (facts, known) in facts.into_iter().zip(known) {
            let mut facts = facts.facts;
            facts.catalog_version = known.facts.catalog_version;
            assert_eq!(facts, known.facts, "{sql}");
        }
    }
}

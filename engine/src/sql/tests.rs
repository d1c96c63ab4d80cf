//! Statements and what analysis says of them, over the catalog of a small shop read from a real PostgreSQL 15
//! (`testdata/shop.answer`, made by `catalog.sql` over `testdata/shop.sql`).

mod stored_rows;
mod unasked;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Arc, LazyLock},
};

use expect_test::{Expect, expect, expect_file};

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
    if let Some(limit) = facts.limit {
        write!(text, " limit {limit}").unwrap();
    }
    if facts.parameters > 0 {
        write!(text, " parameters {}", facts.parameters).unwrap();
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
    for column in &facts.lookups {
        writeln!(text, "  looks up {}.{}", column.relation, column.name).unwrap();
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
        Object::Other {
            sort,
            schema: Some(schema),
            name,
        } => format!("{sort} {schema}.{name}"),
        Object::Other { sort, name, .. } => {
            format!("Other {{ sort: {sort:?}, name: {name:?} }}")
        }
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
    for Equality { column, value } in &access.equalities {
        match value {
            Constant::Text(value) => write!(text, " [{} = `{value}`]", column.name).unwrap(),
            Constant::Parameter(number) => write!(text, " [{} = ${number}]", column.name).unwrap(),
        }
    }
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

/// The shop with another type, or collation, of the column `customers.tenant`.
fn shop_with(type_oid: u32, nondeterministic: &[i16]) -> Catalog {
    let customers = CATALOG.relation_named("public", "customers").unwrap().oid;
    // Relation, number with properties, type, length of the name, name: see `catalog.sql`.
    let line = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        [oid, packed, _, "6", "tenant"] if oid == customers.to_string() => {
            let packed: i16 = packed.parse().unwrap();
            let loose = nondeterministic.contains(&(packed >> 5));
            let packed = packed & !8 | i16::from(loose) << 3;
            format!("{oid} {packed} {type_oid} 6 tenant")
        }
        _ => line.to_owned(),
    };
    let lines = include_str!("testdata/shop.answer").lines().map(line);
    let changed: Vec<String> = lines.collect();
    Catalog::from_answer(changed.join("\n").as_bytes()).unwrap()
}

/// What `tenant` equals in `SELECT id FROM customers WHERE <predicate>`.
fn check_equal(
    catalog: &Catalog,
    predicate: &str,
    parameter_types: &[u32],
    expected: Option<Constant>,
) {
    let text = format!("SELECT id FROM customers WHERE {predicate}");
    let path: Vec<Arc<str>> = vec!["public".into()];
    let context = Context {
        catalog,
        search_path: &path,
        parameter_types,
        witness: Witness::Deny,
        names: &NO_NAMES,
    };
    let statements = analyse(text.as_bytes(), &context).unwrap();
    let found: Vec<Constant> = statements[0]
        .facts
        .accesses
        .iter()
        .flat_map(|access| &access.equalities)
        .map(|equality| equality.value.clone())
        .collect();
    assert_eq!(
        found,
        Vec::from_iter(expected),
        "{predicate} with {parameter_types:?}"
    );
}

#[test]
fn only_types_whose_texts_are_their_values_are_equal() {
    const UUID: &str = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11";
    let text = |text: &str| Some(Constant::Text(text.into()));
    let (plain, integer, uuid) = (shop_with(25, &[]), shop_with(20, &[]), shop_with(2950, &[]));
    check_equal(&plain, "tenant = 'Acme '", &[], text("Acme "));
    check_equal(&plain, "tenant = 5", &[], None);
    check_equal(&shop_with(1043, &[]), "tenant = 'a'", &[], text("a"));
    check_equal(&integer, "tenant = 9999999999", &[], text("9999999999"));
    check_equal(&integer, "tenant = 99999999999999999999", &[], None);
    check_equal(&integer, "tenant = '0012'", &[], text("12"));
    check_equal(&integer, "tenant = '-0'", &[], text("0"));
    check_equal(&integer, "tenant = '+5'", &[], None);
    check_equal(&integer, "tenant = 1e1", &[], None);
    let lower = UUID.to_lowercase();
    check_equal(&uuid, &format!("tenant = '{UUID}'"), &[], text(&lower));
    check_equal(
        &uuid,
        &format!("tenant = '{UUID}'::uuid"),
        &[],
        text(&lower),
    );
    check_equal(&uuid, &format!("tenant = '{{{UUID}}}'"), &[], None);
    check_equal(
        &uuid,
        "tenant = 'a0eebc999c0b4ef8bb6d6bb9bd380a11'",
        &[],
        None,
    );
    // A collation may call other texts equal; its own column only.
    check_equal(&shop_with(25, &[7]), "tenant = 'a'", &[], None);
    check_equal(&shop_with(25, &[2]), "tenant = 'a'", &[], text("a"));
    // bpchar, numeric, float8, citext-like, a domain.
    for other in [1042, 1700, 701, 16_400, 19] {
        check_equal(&shop_with(other, &[]), "tenant = '5'", &[], None);
        check_equal(&shop_with(other, &[]), "tenant = $1", &[], None);
    }
}

#[test]
fn a_parameter_is_equal_where_its_type_is_known() {
    let first = || Some(Constant::Parameter(1));
    let (plain, integer) = (shop_with(25, &[]), shop_with(23, &[]));
    check_equal(&plain, "tenant = $1", &[], first());
    check_equal(&plain, "tenant = $1", &[0], first());
    check_equal(&plain, "tenant = $1", &[705], first());
    check_equal(&plain, "tenant = $1", &[1043], first());
    check_equal(&plain, "tenant = $1::text", &[], first());
    // bpchar loses its blanks, name its end.
    check_equal(&plain, "tenant = $1", &[1042], None);
    check_equal(&plain, "tenant = $1", &[19], None);
    check_equal(&plain, "tenant = $1::varchar(1)", &[], None);
    // It has the type of where it stands first.
    check_equal(&plain, "$1::char(9) <> '' AND tenant = $1", &[], None);
    check_equal(&plain, "$1::text <> '' AND tenant = $1", &[25], first());
    check_equal(&integer, "tenant = $1", &[20], first());
    check_equal(&integer, "tenant = $1", &[701], None);
    check_equal(&integer, "tenant = $1::int", &[25], None);
    check_equal(&integer, "tenant = $1::int", &[0], first());
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

/// A cast that the server adds by itself to a value that is no column runs its function all the same.
#[test]
fn casts_of_computed_values_are_seen() {
    let schema = "
        CREATE TABLE customers (id int PRIMARY KEY, ssn text);
        CREATE TABLE places (id int PRIMARY KEY, street text);
        CREATE TYPE address AS (street text, zip text);
        CREATE FUNCTION leak(address) RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM public.customers LIMIT 1';
        CREATE FUNCTION leak(places) RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM public.customers LIMIT 1';
        CREATE CAST (address AS text) WITH FUNCTION leak(address) AS IMPLICIT;
        CREATE CAST (places AS text) WITH FUNCTION leak(places) AS IMPLICIT;
    ";
    let catalog = crate::schema::read(schema, "shop").unwrap();
    for (sql, reads) in [
        ("SELECT upper(ROW('a', 'b')::address)", true),
        ("SELECT upper(places) FROM places", true),
        ("SELECT ROW('a', 'b')::address LIKE 'a'", true),
        ("SELECT upper(street), id + 1 FROM places", false),
        ("SELECT upper('a'), lower(upper(street)) FROM places", false),
    ] {
        let statements = read_deep_on(&catalog, sql.as_bytes(), Witness::Deny).unwrap();
        let is_customers = |access: &Access| matches!(&access.object, Object::Relation { name, .. } if **name == *"customers");
        let found = statements
            .iter()
            .flat_map(|statement| &statement.facts.accesses);
        assert_eq!(
            found.filter(|access| is_customers(access)).count() > 0,
            reads,
            "{sql}"
        );
    }
}

/// The text that `nextval` takes is read as the server reads it: digits are an oid, whatever a sequence is called.
#[test]
fn names_of_sequences() {
    let schema = r#"
        CREATE SEQUENCE ticket;
        CREATE SEQUENCE "16530";
        CREATE SEQUENCE "Big";
        CREATE SEQUENCE "é";
        CREATE SEQUENCE "a""b";
    "#;
    let catalog = crate::schema::read(schema, "shop").unwrap();
    for (sql, expected) in [
        ("SELECT nextval('ticket')", "ticket"),
        ("SELECT nextval('TICKET'::regclass)", "ticket"),
        ("SELECT nextval('public.ticket')", "ticket"),
        (r#"SELECT nextval('"public"."Big"')"#, "Big"),
        (r#"SELECT nextval('"16530"')"#, "16530"),
        ("SELECT nextval('16530')", ""),
        ("SELECT nextval('Big')", ""),
        ("SELECT nextval('É')", ""),
        ("SELECT nextval(' ticket')", ""),
        (r#"SELECT nextval('"a""b"')"#, ""),
        ("SELECT nextval('tickets'::varchar(6))", ""),
    ] {
        let statements = read_deep_on(&catalog, sql.as_bytes(), Witness::Deny).unwrap();
        let facts = &statements[0].facts;
        let named = facts
            .accesses
            .iter()
            .find_map(|access| match &access.object {
                Object::Relation { name, .. } => Some(&**name),
                _ => None,
            });
        assert_eq!(named.unwrap_or_default(), expected, "{sql}");
        assert_eq!(facts.opaque.is_empty(), !expected.is_empty(), "{sql}");
    }
}

/// The columns of `accounts` that a statement uses, and how, besides output and what is assigned.
fn check_beside(statement: &str, expected: &[(&str, Use)]) {
    const SCHEMA: &str = "
        CREATE FUNCTION limit_of(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE accounts (id int PRIMARY KEY, owed int, bound int, twice int GENERATED ALWAYS AS (owed * rate) STORED,
            rate int, tenant text, code text, ssn text, note text, CHECK (least(bound, limit_of(owed)) > 0), UNIQUE (tenant, code));
        ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
        CREATE POLICY by_setting ON accounts USING (ssn = current_setting('app.ssn', true));
        CREATE POLICY by_role ON accounts USING (note = CURRENT_USER);";
    let catalog = crate::schema::read(SCHEMA, "beside").unwrap();
    let path: Vec<Arc<str>> = vec!["public".into()];
    let context = Context {
        catalog: &catalog,
        search_path: &path,
        parameter_types: &[],
        witness: Witness::Off,
        names: &NO_NAMES,
    };
    let facts = analyse(statement.as_bytes(), &context)
        .unwrap()
        .remove(0)
        .facts;
    let used: BTreeSet<(String, Use)> = facts
        .accesses
        .iter()
        .flat_map(|access| &access.columns)
        .filter(|each| matches!(each.used, Use::Compute | Use::Filter))
        .map(|each| (each.column.name.to_string(), each.used))
        .collect();
    let expected = expected
        .iter()
        .map(|(name, used)| ((*name).to_owned(), *used));
    assert_eq!(used, expected.collect(), "{statement}");
}

#[test]
fn what_a_change_computes_beside_is_a_use() {
    let filter = ("ssn", Use::Filter);
    check_beside("SELECT id FROM accounts", &[filter]);
    check_beside("UPDATE accounts SET note = 'a'", &[filter]);
    check_beside(
        "UPDATE accounts SET owed = 1",
        &[filter, ("bound", Use::Compute), ("rate", Use::Compute)],
    );
    check_beside(
        "UPDATE accounts SET bound = 1",
        &[filter, ("owed", Use::Compute)],
    );
    check_beside(
        "UPDATE accounts SET bound = 1, owed = 2, rate = 3",
        &[filter],
    );
    check_beside(
        "UPDATE accounts SET tenant = 'b'",
        &[filter, ("code", Use::Compute)],
    );
    check_beside(
        "INSERT INTO accounts (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET tenant = 'b'",
        &[filter, ("id", Use::Filter), ("code", Use::Compute)],
    );
}

/// The shop without the definitions of its views.
fn shop_without_definitions() -> Catalog {
    let answer = include_str!("testdata/shop.answer");
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
                    let lines = refusal.lacking.iter().map(|oid| {
                        let definition = CATALOG.relation(*oid).unwrap().definition.clone();
                        let definition = definition.unwrap();
                        format!("{oid} 7 {} {definition}", definition.chars().count())
                    });
                    let lines: Vec<String> = lines.collect();
                    let lines = lines.join("\n");
                    catalog = catalog.with_definitions(lines.as_bytes()).unwrap();
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

//! Schemas as people and `pg_dump` write them, and what analysis makes of statements over them.
//!
//! The end-to-end tests compare the same with a real PostgreSQL (`tests/e2e/schema.rs`).

mod named;

use std::sync::{Arc, LazyLock};

use expect_test::{Expect, expect};
use serde_json::Value;

use self::named::{Numbers, named};
use super::*;
use crate::sql::{Context, Witness, analyse};

const WIDE: &str = include_str!("../testdata/wide.sql");
const STATEMENTS: &str = include_str!("../testdata/statements.sql");

/// The shop that the analysis' own tests are over: read from a real PostgreSQL 15, and the text that it was made of.
static SHOP: LazyLock<Catalog> = LazyLock::new(|| {
    Catalog::from_answer(include_bytes!("../../sql/testdata/shop.answer")).unwrap()
});
const SHOP_SQL: &str = include_str!("../../sql/testdata/shop.sql");

/// Runs on a thread with the stack that parsing needs.
fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(64 << 20)
            .spawn_scoped(scope, work)
            .unwrap()
            .join()
            .unwrap()
    })
}

/// The facts of a statement, or why it is refused.
fn facts(catalog: &Catalog, sql: &str) -> Result<Value, String> {
    let path: Vec<Arc<str>> = vec!["public".into()];
    let context = Context {
        catalog,
        search_path: &path,
        parameter_types: &[],
        witness: Witness::Deny,
        names: &crate::sql::NO_NAMES,
    };
    let name_of = |oid| {
        let relation = catalog
            .relation(oid)
            .map(|one| format!("{}.{}", one.schema, one.name));
        relation.or_else(|| {
            catalog
                .type_by_oid(oid)
                .map(|one| format!("{}.{}", one.schema, one.name))
        })
    };
    analyse(sql.as_bytes(), &context)
        .map(|statements| {
            let facts: Vec<_> = statements
                .iter()
                .map(|statement| &statement.facts)
                .collect();
            named(&facts, &name_of, Numbers::Kept)
        })
        .map_err(|refusal| format!("{}: {}", refusal.sqlstate, refusal.message))
}

#[test]
fn the_shop_is_read_as_a_server_reads_it() {
    deep(|| {
        let ours = read(SHOP_SQL, "shop").unwrap();
        let texts = [
            include_str!("../../sql/testdata/statements.sql"),
            include_str!("../../sql/testdata/bypasses.sql"),
            include_str!("../../sql/testdata/psql.sql"),
        ];
        let statements = texts
            .iter()
            .flat_map(|text| text.split(";;"))
            .map(str::trim);
        let mut count = 0;
        for sql in statements.filter(|sql| !sql.is_empty()) {
            assert_eq!(facts(&ours, sql), facts(&SHOP, sql), "{sql}");
            count += 1;
        }
        assert!(count > 200, "{count} statements");
    });
}

/// Shows which of the statements are refused over a schema, and how.
fn check_refused(schema: &str, expected: Expect) {
    let shown = deep(|| {
        let catalog = read(schema, "wide").unwrap();
        let refused = STATEMENTS
            .lines()
            .filter_map(|sql| Some((sql, facts(&catalog, sql).err()?)));
        refused
            .map(|(sql, error)| format!("{sql}\n  {error}\n"))
            .collect::<String>()
    });
    expected.assert_eq(&shown);
}

#[test]
fn a_wide_schema_lacks_nothing() {
    check_refused(
        WIDE,
        expect![[r#"
            SELECT no_such_column FROM customers
              42703: column "no_such_column" does not exist
            SELECT * FROM no_such_table
              42P01: relation "no_such_table" does not exist
            SELECT gone FROM plain
              42703: column "gone" does not exist
            SELECT one FROM drop_me
              42P01: relation "drop_me" does not exist
        "#]],
    );
}

/// Shows a relation: its kind, columns with type, what is said of them, and unique keys.
fn check_relation(schema: &str, name: &str, expected: &str) {
    let catalog = deep(|| read(schema, "test"));
    let catalog = catalog.unwrap_or_else(|errors| panic!("{errors:?}"));
    let relation = catalog.relation_named("public", name).unwrap();
    let column = |attribute: &crate::catalog::Attribute| {
        let mut words = vec![attribute.name.to_string(), attribute.type_oid.to_string()];
        for (holds, word) in [
            (attribute.not_null, "not-null"),
            (attribute.constrained, "constrained"),
            (attribute.generated, "generated"),
            (attribute.identity, "identity"),
        ] {
            words.extend(holds.then(|| word.to_owned()));
        }
        words.extend(
            attribute
                .default
                .as_ref()
                .map(|default| format!("= {default}")),
        );
        words.join(" ")
    };
    let columns: Vec<String> = relation.attributes.iter().map(column).collect();
    let shown = format!("{}; keys {:?}", columns.join(", "), relation.unique_keys);
    assert_eq!(shown, expected, "{schema}");
}

#[test]
fn relations() {
    for (schema, name, expected) in [
        (
            "CREATE TABLE t (id serial PRIMARY KEY, n int DEFAULT 1 + 1, b text UNIQUE)",
            "t",
            "id 23 not-null constrained = nextval('\"public\".\"t_id_seq\"'::regclass), n 23 = 1 + 1, b 25 constrained; keys [{1}, {3}]",
        ),
        (
            "CREATE TABLE t (a int, b int, UNIQUE (b, a) DEFERRABLE); CREATE UNIQUE INDEX ON t (a) WHERE b > 0",
            "t",
            "a 23 constrained, b 23 constrained; keys []",
        ),
        (
            "CREATE TABLE t (a int, b int); CREATE UNIQUE INDEX ON t (a) INCLUDE (b); CREATE INDEX ON t (b)",
            "t",
            "a 23 constrained, b 23 constrained; keys [{1}]",
        ),
        (
            "CREATE TABLE t (a int[], b varchar(3)[], c char, d \"char\", e timestamp(3) with time zone)",
            "t",
            "a 1007, b 1015, c 1042, d 18, e 1184; keys []",
        ),
        (
            "CREATE TABLE t (a int); ALTER TABLE t DROP COLUMN a, ADD COLUMN b int NOT NULL DEFAULT now(); CREATE VIEW v AS SELECT *, count(*) OVER () FROM t",
            "v",
            "b 23, count 20; keys []",
        ),
        (
            "CREATE VIEW v AS SELECT 1 AS a, 'x' AS b, 1.5 AS c, now() AS d, ARRAY[1] AS e, CASE WHEN true THEN 1 END AS f, 2 > 1 AS g, \
             lower('x') AS h, 1 + 2.5 AS i, current_date AS j, '1'::bigint AS k, coalesce(NULL, 1) AS l, EXISTS (SELECT 1) AS m, \
             '{1,2}'::int[] AS n, ('{1,2}'::int[])[1] AS o, int4range(1, 2) * int4range(1, 3) AS p",
            "v",
            "a 23, b 25, c 1700, d 1184, e 1007, f 23, g 16, h 25, i 1700, j 1082, k 20, l 23, m 16, n 1007, o 23, p 4294967295; keys []",
        ),
    ] {
        check_relation(schema, name, expected);
    }
}

/// The errors of a schema.
fn check_errors(schema: &str, expected: &[&str]) {
    let found = deep(|| read(schema, "test"));
    let shown: Vec<String> = match found {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(shown, expected, "{schema}");
}

#[test]
fn nothing_is_ignored_silently() {
    for (schema, expected) in [
        ("", &[][..]),
        ("-- nothing\n", &[]),
        (
            "CREATE TABLE a (id int);\n\n-- then\nCREATE TABLE b (x nope);\nCREATE TABLE c (id int REFERENCES d);",
            &[
                "line 4: CREATE TABLE: type `nope` does not exist",
                "line 5: CREATE TABLE: relation `d` does not exist",
            ],
        ),
        (
            "SELECT 1",
            &["line 1: SELECT 1: a query may do anything, so it can't stand in a schema"],
        ),
        (
            "SELECT setval('x', 1); SELECT pg_catalog.set_config('search_path', '', false)",
            &[],
        ),
        (
            "DO $$ BEGIN END $$",
            &[
                "line 1: DO $$ BEGIN END $$: a DO block may do anything, so it can't stand in a schema",
            ],
        ),
        ("CREATE EXTENSION plpgsql", &[]),
        (
            "CREATE EXTENSION hstore",
            &[
                "line 1: CREATE EXTENSION: what extension `hstore` brings is not known without a server",
            ],
        ),
        (
            "CREATE TABLE a (",
            &["line 1: the text: syntax error at end of input"],
        ),
        (
            "\\restrict abc\nCREATE TABLE a (id int);\n\\unrestrict abc\n",
            &[],
        ),
        (
            "SELECT 1\n\\gset",
            &["line 2: the text: syntax error at or near \"\\\""],
        ),
        (
            "CREATE TABLE a (id int); CREATE VIEW v AS SELECT * FROM a JOIN a AS b USING (id); ALTER TABLE a ADD COLUMN c int",
            &["line 1: ALTER TABLE: view `public.v` was made before and reads it"],
        ),
        (
            "CREATE TABLE a (id int); CREATE VIEW v AS SELECT id FROM a; ALTER TABLE a RENAME TO b",
            &["line 1: ALTER TABLE: view `public.v` was made before and reads it"],
        ),
        (
            "CREATE VIEW v AS SELECT nope FROM pg_class",
            &["line 1: CREATE VIEW: column \"nope\" does not exist"],
        ),
        (
            "CREATE TABLE a (id int); CREATE VIEW v AS WITH a AS (SELECT id FROM a) SELECT id FROM a",
            &["line 1: CREATE VIEW: `a` is a common table expression here and a relation too"],
        ),
        (
            "CREATE TEMP TABLE a (id int)",
            &["line 1: CREATE TEMP: a temporary table is gone when its session ends"],
        ),
        (
            "SET search_path = nowhere; CREATE TABLE a (id int)",
            &["line 1: CREATE TABLE: there is no schema on the search path to make it in"],
        ),
        (
            "CREATE TABLE a (id int); CREATE TABLE a (id int); DROP TABLE b; DROP TABLE IF EXISTS b; DROP SCHEMA public CASCADE",
            &[
                "line 1: CREATE TABLE: relation `public.a` already exists",
                "line 1: DROP TABLE: relation `b` does not exist",
                "line 1: DROP SCHEMA: DROP ... CASCADE is not understood by `provost test`",
            ],
        ),
        (
            "CREATE TABLE a (id int REFERENCES a); ALTER TABLE nope ADD COLUMN b int; COMMENT ON TABLE nope IS 'x'; LISTEN x",
            &[
                "line 1: CREATE TABLE: there is no primary key for referenced table `a`",
                "line 1: ALTER TABLE: relation `nope` does not exist",
                "line 1: LISTEN X: this statement is not understood by `provost test`",
            ],
        ),
    ] {
        check_errors(schema, expected);
    }
}

#[test]
fn equal_texts_have_equal_versions() {
    let version = |text: &str, database: &str| deep(|| read(text, database).unwrap().version());
    let table = "CREATE TABLE a (id int)";
    assert_eq!(version(table, "x"), version(table, "x"));
    assert_ne!(version(table, "x"), version(table, "y"));
    assert_ne!(
        version(table, "x"),
        version("CREATE TABLE a (id text)", "x")
    );
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, ..Default::default() })]
    #[test]
    fn mutated_schemas_never_panic(at in 0_usize..20_000, with in "[a-zA-Z(),.*'\" ;:$0-9-]{0,6}", cut in 0_usize..20) {
        let mut text: Vec<char> = WIDE.chars().collect();
        let at = at % text.len();
        let end = (at + cut).min(text.len());
        text.splice(at..end, with.chars());
        let text: String = text.into_iter().collect();
        let _ = deep(|| read(&text, "test"));
    }
}

//! A schema read without a server gives statements the same facts as a real PostgreSQL that the schema was put into, and
//! so does what `pg_dump` writes of it.

use std::{process::Command, sync::Arc};

use provost_engine::{
    catalog::{CATALOG_QUERY, Catalog},
    schema,
    sql::{Context, Witness, analyse},
};
use serde_json::Value;

use self::named::{Numbers, named};
use crate::postgres::{Cluster, Listen, Options};

#[path = "../../engine/src/schema/tests/named.rs"]
mod named;

const STATEMENTS: &str = include_str!("../../engine/src/schema/testdata/statements.sql");
const SHOP_STATEMENTS: &str = "\
SELECT * FROM customers
SELECT upper(ssn) FROM customers WHERE email = 'x'
SELECT * FROM customer_contacts WHERE id = 1
SELECT item, total FROM orders WHERE id = 3
INSERT INTO orders (id, customer_id, item, quantity, total, placed_at) VALUES (1, 1, 'x', 1, 1, now())
UPDATE orders SET status = 'x' WHERE customer_id = 1
DELETE FROM orders WHERE id = 1
SELECT * FROM hr.salaries
CREATE TABLE more (id int)";

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

fn facts(catalog: &Catalog, sql: &str, numbers: Numbers) -> Result<Value, String> {
    let path: Vec<Arc<str>> = vec!["public".into()];
    let context = Context {
        catalog,
        search_path: &path,
        parameter_types: &[],
        witness: Witness::Deny,
        names: &provost_engine::sql::NO_NAMES,
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
            named(&facts, &name_of, numbers)
        })
        .map_err(|refusal| format!("{}: {}", refusal.sqlstate, refusal.message))
}

fn check(cluster: &Cluster, database: &str, schema_text: &str, statements: &str) {
    cluster
        .execute("postgres", &format!("CREATE DATABASE {database}"))
        .unwrap();
    cluster
        .execute(database, schema_text)
        .unwrap_or_else(|error| panic!("{error}"));
    let json = cluster.execute(database, CATALOG_QUERY).unwrap();
    let server = Catalog::from_answer(json.trim().as_bytes()).unwrap();
    let dump = Command::new(cluster.program("pg_dump"))
        .args([
            "--schema-only",
            "--username",
            "postgres",
            "--port",
            &cluster.port().to_string(),
        ])
        .arg("--host")
        .arg(cluster.socket_folder())
        .arg(database)
        .env("PGPASSWORD", cluster.password())
        .output()
        .unwrap();
    let dump = String::from_utf8(dump.stdout).unwrap();
    assert!(dump.contains("CREATE TABLE"), "{dump}");
    let same_major = server.server_version_num() / 10_000 == 15;
    deep(|| {
        for (text, numbers) in [(schema_text, Numbers::Kept), (&*dump, Numbers::GivenAnew)] {
            let ours = schema::read(text, database).unwrap_or_else(|errors| panic!("{errors:#?}"));
            for sql in statements.lines() {
                // What pg_catalog holds differs from version to version.
                if !same_major && (sql.contains("pg_") || sql.contains("information_schema")) {
                    continue;
                }
                assert_eq!(
                    facts(&ours, sql, numbers),
                    facts(&server, sql, numbers),
                    "{numbers:?}: {sql}"
                );
            }
        }
    });
}

#[test]
fn a_schema_read_without_a_server_means_the_same() {
    let options = Options {
        listen: Listen::SocketOnly,
        settings: &[],
    };
    let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
    let wide = include_str!("../../engine/src/schema/testdata/wide.sql");
    check(&cluster, "wide", wide, STATEMENTS);
    let shop = include_str!("../../examples/demo/shop.sql");
    check(&cluster, "shop", shop, SHOP_STATEMENTS);
    cluster.stop().unwrap();
}

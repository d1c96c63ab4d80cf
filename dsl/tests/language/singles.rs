//! Names of one part behind `on`: whoever writes a table so is told that it means another thing, and nobody else is told anything.

use expect_test::{Expect, expect};
use provost_dsl::compile_with;
use provost_engine::{catalog::Catalog, schema};

use crate::source;

#[track_caller]
fn check(text: &str, schema: Option<&Catalog>, expected: Expect) {
    let compiled = compile_with(&[source("test.pol", text)], schema).expect("valid");
    let lines: Vec<String> = compiled
        .warnings
        .iter()
        .map(|one| {
            let help = one.help_text().unwrap_or_default();
            format!("{} ({help})\n", one.message())
        })
        .collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn a_table_without_its_schema_is_warned_of() {
    check(
        "rule a allow read on orders for anyone \
         rule b deny read, insert, delete on customers for anyone \
         rule c deny write on {orders, customers} for anyone \
         rule d record results on orders for anyone \
         rule e limit rows 10 per statement on {timezone, orders} for anyone \
         rule f allow maintain, lock on orders for anyone \
         invariant i never allow read on salaries for anyone",
        None,
        expect![[r#"
            `allow ... on orders` is about a setting `orders`, and PostgreSQL has none (write `schema.orders`, such as `public.orders`)
            `insert`, `delete` on `customers` never match (write `schema.customers`, such as `public.customers`)
            `deny ... on {orders, customers}` never matches (write `schema.{orders, customers}`, such as `public.{orders, customers}`)
            `record ... on orders` is about a setting `orders`, and PostgreSQL has none (write `schema.orders`, such as `public.orders`)
            `limit ... on {timezone, orders}` is about a setting `orders`, and PostgreSQL has none (write `schema.{timezone, orders}`, such as `public.{timezone, orders}`)
            `lock` on `orders` never matches (write `schema.orders`, such as `public.orders`)
            `never allow ... on salaries` is about a setting `salaries`, and PostgreSQL has none (write `schema.salaries`, such as `public.salaries`)
        "#]],
    );
}

#[test]
fn what_has_a_name_of_one_part_is_not_spoken_of() {
    check(
        "rule a allow read on TimeZone, \"provost.person\", \"app.tenant\", {search_path, role}, transaction_timeout for anyone \
         rule b allow session on tenant for anyone \
         rule c deny any on hr for anyone \
         rule d deny ddl on reporting for anyone \
         rule e deny read on lc_* for anyone \
         rule f allow session, read on whatever for anyone \
         rule g limit rows 1 per statement on search_path for anyone \
         rule h deny read on public.orders for anyone",
        None,
        expect![[""]],
    );
}

#[test]
fn a_schema_tells_which_table_is_meant() {
    let catalog = schema::read(
        "CREATE SCHEMA hr; CREATE TABLE orders (id int); CREATE TABLE hr.salaries (id int); CREATE TABLE hr.hr (id int);",
        "shop",
    );
    let catalog = catalog.expect("a schema");
    check(
        "rule a allow read on orders for anyone \
         rule b deny any on salaries for anyone \
         rule c deny any on hr for anyone \
         rule d deny ddl on elsewhere for anyone",
        Some(&catalog),
        expect![[r#"
            `allow ... on orders` is about a setting `orders`, and PostgreSQL has none (write `public.orders`)
            `deny ... on salaries` does not match the relation `hr.salaries` (write `hr.salaries`)
        "#]],
    );
}

//! Policies against a schema: what it lacks is a warning, a mask that a column's type can't carry an error.

use expect_test::{Expect, expect};
use provost_dsl::compile_with;
use provost_engine::schema;

use crate::source;

const SCHEMA: &str = "
CREATE TABLE customers (id bigint PRIMARY KEY, email text, ssn varchar(11), born date, score numeric);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers, total numeric);
";

#[track_caller]
fn check(text: &str, expected: Expect) {
    let catalog = schema::read(SCHEMA, "shop").expect("a schema");
    let found = match compile_with(&[source("test.pol", text)], Some(&catalog)) {
        Ok(compiled) => compiled.warnings,
        Err(diagnostics) => diagnostics,
    };
    let lines: Vec<String> = found
        .iter()
        .map(|one| {
            let sort = if one.is_error() { "error" } else { "warning" };
            format!(
                "{sort}: {} ({})\n",
                one.message(),
                one.help_text().unwrap_or_default()
            )
        })
        .collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn what_the_schema_has_is_not_spoken_of() {
    check(
        "class pii = public.customers.{email, ssn}, *.*.born rule r mask pii for anyone with born: truncate date year, otherwise last 2 \
         rule o allow read on public.{customers, orders} for anyone",
        expect![[""]],
    );
}

#[test]
fn names_that_the_schema_lacks_are_warned_of() {
    check(
        "rule r allow read on public.{custmers, orders} for anyone \
         class pii = public.customers.emial, public.order.total class gone = *.*.iban \
         rule m mask pii, gone for anyone",
        expect![[r#"
            warning: the schema has no `public.custmers` (did you mean `public.customers`?)
            warning: `public.customers` has no column `emial` (did you mean `email`?)
            warning: the schema has no `public.order` (did you mean `public.orders`?)
            warning: no column of the schema is in the class `gone` (a mask on it masks nothing in this schema)
        "#]],
    );
}

#[test]
fn patterns_that_match_nothing_are_warned_of() {
    check(
        "rule r allow read, update on public.ord*, public./cust.*/, archive.*, public.*_seq for anyone \
         rule c allow read on public.*.em*, public.customers./.*_pan/ for anyone \
         rule f allow call on tools.* for anyone \
         rule d deny read on *.pg_authid for anyone \
         rule n allow create on archive.* for anyone",
        expect![[r#"
            warning: nothing in the schema matches `archive.*` (it is about nothing until something does)
            warning: nothing in the schema matches `public.*_seq` (it is about nothing until something does)
            warning: nothing in the schema matches `public.customers./.*_pan/` (it is about nothing until something does)
        "#]],
    );
}

#[test]
fn a_mask_that_a_type_can_not_carry_is_refused() {
    check(
        "class pii = public.customers.{email, born, score} \
         rule r mask pii for anyone with born: keep domain, score: round to 10, otherwise truncate date month",
        expect![[r#"
            error: `public.customers.born` can't carry `keep domain` (every value would be NULL: write `born: redact`, or another mask)
            error: `public.customers.email` can't carry `truncate date month` (every value would be redacted: write `email: redact`, or another mask)
        "#]],
    );
}

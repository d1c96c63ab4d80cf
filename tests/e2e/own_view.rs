//! What only one session sees, through stock psql and our real binary: migrations in one transaction, temporary tables of
//! whoever a mask binds, scripts that set the search path, cursors.

use std::fs;

use crate::support::{House, Person, canary, succeeded, text};

/// psql's answer to a script that must run to its end, unadorned.
#[track_caller]
fn run(house: &House, person: Person, arguments: &[&str], sql: &str) -> String {
    let fixed = [
        "--quiet",
        "--no-align",
        "--tuples-only",
        "--set=ON_ERROR_STOP=1",
    ];
    let arguments: Vec<&str> = fixed.iter().chain(arguments).copied().collect();
    succeeded(house.psql(person, &arguments, sql))
}

#[test]
fn a_migration_runs_in_one_transaction() {
    let mut house = House::new();
    let out = run(
        &house,
        Person::Dba,
        &["--single-transaction"],
        "CREATE TABLE invoices (id serial PRIMARY KEY, order_id integer NOT NULL REFERENCES orders (id), paid boolean NOT NULL DEFAULT false);
         INSERT INTO invoices (order_id) SELECT id FROM orders;
         ALTER TABLE invoices ADD COLUMN total numeric(10, 2);
         UPDATE invoices SET total = orders.total FROM orders WHERE orders.id = invoices.order_id;
         SELECT count(*), sum(total) FROM invoices;
         ALTER TABLE invoices RENAME TO bills;
         SELECT count(*) FROM bills WHERE NOT paid;",
    );
    assert_eq!(out, "4|154.67\n4\n");
    assert_eq!(
        run(&house, Person::Agent, &[], "SELECT count(*) FROM bills;"),
        "4\n"
    );
    // What the transaction undoes is not there for anybody, the session itself included.
    let script = "BEGIN; \n DROP TABLE bills;\n ROLLBACK;\n SELECT count(*) FROM bills;";
    assert_eq!(run(&house, Person::Dba, &[], script), "4\n");
    house.stop_gateway();
    succeeded(house.verify());
}

#[test]
fn a_dump_script_sets_its_path_and_is_followed() {
    let house = House::new();
    let out = run(
        &house,
        Person::Dba,
        &[],
        "SELECT pg_catalog.set_config('search_path', '', false);
         SELECT name FROM public.customers WHERE id = 1;
         SET search_path = hr, public;
         SELECT salary FROM salaries WHERE employee = 'ada';
         BEGIN;
         SET LOCAL search_path = public;
         SELECT count(*) FROM orders;
         ROLLBACK;
         SELECT count(*) FROM salaries;",
    );
    assert_eq!(out, "\nAda\n100000\n4\n2\n");
    // The path opens nothing.
    let refused = house.psql(
        Person::Agent,
        &[],
        "SET search_path = hr;\nSELECT salary FROM salaries;",
    );
    let words = text(&refused.stderr);
    assert!(
        words.contains("denied by policy") && words.contains("hr.salaries"),
        "{words}"
    );
    let mixed = house.psql(
        Person::Agent,
        &["--command=SET search_path = hr; SELECT name FROM public.customers"],
        "",
    );
    let words = text(&mixed.stderr);
    assert!(words.contains("send each statement by itself"), "{words}");
}

#[test]
fn temporary_tables_are_allowed_to_whom_masks_bind_and_hold_nothing_masked() {
    let mut house = House::without_gateway();
    let policies = house.path("policies/shop.pol");
    let policy = fs::read_to_string(&policies).unwrap()
        + "\nrule analysts-keep-notes\n  allow create, drop, read, insert, update, delete on pg_temp.* for analysts\n  satisfies nist.AC-3\n";
    fs::write(&policies, policy).unwrap();
    house.start_gateway();
    let out = run(
        &house,
        Person::Analyst,
        &[],
        "CREATE TEMP TABLE totals AS SELECT customer_id, sum(total) AS total FROM orders GROUP BY customer_id;
         SELECT total FROM totals WHERE customer_id = 1;
         BEGIN;
         CREATE TEMP TABLE customers (id integer, note text) ON COMMIT DROP;
         INSERT INTO customers VALUES (1, 'mine');
         SELECT note FROM customers;
         COMMIT;
         SELECT count(*) FROM customers;",
    );
    assert_eq!(out, "104.90\nmine\n3\n");
    let refused = house.psql(
        Person::Analyst,
        &[],
        "CREATE TEMP TABLE copy AS SELECT ssn FROM customers;
         SELECT email INTO TEMP copy FROM customers;
         CREATE TEMP TABLE copy (body text);
         INSERT INTO copy SELECT phone FROM customers;
         CREATE TEMP TABLE heir () INHERITS (customers);
         CREATE TABLE lasting (id integer);
         SELECT count(*) FROM copy;",
    );
    let words = text(&refused.stderr);
    assert_eq!(words.matches("denied by policy").count(), 5, "{words}");
    assert!(
        text(&refused.stdout).contains('0'),
        "the table is there, and empty"
    );
    canary::assert_none("stderr", &refused.stderr);
    canary::assert_none("stdout", &refused.stdout);
    house.stop_gateway();
}

#[test]
fn psql_reads_a_masked_result_by_a_cursor() {
    let house = House::new();
    let out = run(
        &house,
        Person::Agent,
        &["--set=FETCH_COUNT=2"],
        "SELECT id, ssn FROM customers ORDER BY id;
         PREPARE one (integer) AS SELECT ssn FROM customers WHERE id = $1;
         EXECUTE one(2);
         DEALLOCATE one;",
    );
    canary::assert_none("psql", out.as_bytes());
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    for (line, end) in lines.iter().zip(["0001", "0002", "0003", "0002"]) {
        assert!(line.ends_with(end), "{out}");
    }
}

//! Budgets of an hour: lookups of masked columns, rows; across sessions, restarts and gateways.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    obligations::{errors, house, statements, values},
    support::{
        House, Person, files_below,
        raw::{Raw, bind, execute, parse, sqlstate, sync, tags},
    },
};

/// Runs a test that rests on the clock's hour, once more where the hour ended meanwhile.
fn within_an_hour(test: impl Fn()) {
    let hour = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since.as_secs() / 3_600
    };
    let before = hour();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&test));
    match outcome {
        Ok(()) => {}
        Err(_) if hour() != before => test(),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[test]
fn rows_of_an_hour_are_limited_for_all_sessions_of_a_principal_together() {
    let mut house = house(
        "rule thrifty
           limit rows 5 per hour for agents",
    );
    let over = "54000 results are limited to 5 rows an hour by policy";
    let (mut one, _) = Raw::logged_in(&house, Person::Agent);
    let (mut two, _) = Raw::logged_in(&house, Person::Agent);
    assert_eq!(
        tags(&one.query("SELECT id FROM orders WHERE id <= 3")),
        "TDDDCZ"
    );
    let messages = two.query("SELECT id FROM orders");
    assert_eq!(
        (tags(&messages).as_str(), errors(&messages)),
        ("TDDEZ", vec![over.to_owned()])
    );
    for raw in [&mut one, &mut two] {
        let messages = raw.query("SELECT id FROM orders WHERE id = 1");
        assert_eq!(tags(&messages), "EZ");
        assert_eq!(
            errors(&messages),
            ["42501 denied by policy: results are limited to 5 rows an hour by policy"]
        );
        assert_eq!(
            tags(&raw.query("INSERT INTO scratch VALUES (1, 'x')")),
            "CZ",
            "gives no row"
        );
    }
    let (mut dba, _) = Raw::logged_in(&house, Person::Dba);
    assert_eq!(tags(&dba.query("SELECT id FROM orders")), "TDDDDCZ");
    let cut = statements(&mut house, "outcome = 'cut'");
    assert_eq!((cut.len(), cut[0]["rows"].as_u64()), (1, Some(2)));
}

#[test]
fn lookups_of_masked_columns_have_a_budget() {
    let mut house = House::without_gateway();
    let policy = fs::read_to_string(house.path("policies/shop.pol")).unwrap();
    let policy = policy.replace("probing deny", "probing lookup 2 per hour");
    fs::write(house.path("policies/shop.pol"), policy).unwrap();
    house.start_gateway();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let sql = "SELECT id FROM customers WHERE ssn = '901-77-0001'";
    assert_eq!(values(&raw.query(sql)), ["1"]);
    // A Parse looks nothing up, its Bind does.
    raw.write(&[parse("s", sql), bind("", "s", 0), execute("", 0), sync()].concat());
    assert_eq!(values(&raw.read_until_ready()), ["1"]);
    let messages = raw.query(sql);
    assert_eq!(
        errors(&messages),
        [
            "42501 denied by policy: masked columns may be looked up 2 times an hour, and this principal has done so"
        ]
    );
    assert_eq!(
        tags(&raw.query("SELECT id FROM customers WHERE id = 1")),
        "TDCZ"
    );
    for probing in [
        "ssn > '9'",
        "ssn IN ('901-77-0001', '902-78-0002')",
        "ssn LIKE '9%'",
    ] {
        let messages = raw.query(&format!("SELECT id FROM customers WHERE {probing}"));
        assert_eq!(sqlstate(&messages).as_deref(), Some("42501"), "{probing}");
    }
    let (mut analyst, _) = Raw::logged_in(&house, Person::Analyst);
    assert_eq!(
        values(&analyst.query(sql)),
        ["1"],
        "each has a budget of their own"
    );

    let probed = statements(&mut house, "probes IS NOT NULL");
    assert!(probed.len() >= 4, "{probed:?}");
    assert!(
        probed
            .iter()
            .all(|row| row["probes"].to_string().contains("public.customers.ssn"))
    );
}

#[test]
fn gateways_that_share_a_store_share_a_budget_and_so_do_a_gateways_runs() {
    within_an_hour(|| {
        let mut house = house(
            "rule thrifty
               limit rows 6 per hour for agents",
        );
        let rows = |house: &House, most: u32| {
            let (mut raw, _) = Raw::logged_in(house, Person::Agent);
            let messages = raw.query(&format!("SELECT id FROM orders ORDER BY id LIMIT {most}"));
            (values(&messages).len(), errors(&messages))
        };
        let first = house.port;
        assert_eq!(rows(&house, 2), (2, vec![]));
        house.start_another();
        let second = house.port;
        assert_eq!(rows(&house, 3), (3, vec![]));
        house.port = first;
        let over = "54000 results are limited to 6 rows an hour by policy".to_owned();
        assert_eq!(rows(&house, 3), (1, vec![over]), "one row is left for both");
        house.port = second;
        let (count, told) = rows(&house, 1);
        assert_eq!(count, 0, "{told:?}");
        // What a gateway spent is spent after its restart, too.
        house.port = first;
        house.kill_gateway();
        house.start_gateway();
        let (count, told) = rows(&house, 1);
        assert_eq!(count, 0, "{told:?}");
        let leases = files_below(&house.evidence_path().join("leases"));
        assert_eq!(leases.len(), 6, "{leases:?}");
    });
}

#[test]
fn without_the_store_nothing_is_spent() {
    let house = house(
        "rule thrifty
           limit rows 6 per hour for agents",
    );
    // A file where the folder of leases must be.
    fs::write(house.evidence_path().join("leases"), "in the way").unwrap();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let messages = raw.query("SELECT id FROM orders WHERE id = 1");
    assert_eq!(tags(&messages), "TEZ");
    let told = errors(&messages).concat();
    assert!(told.contains("can't be counted"), "{told}");
    assert_eq!(tags(&raw.query("SELECT 1 WHERE false")), "TCZ");
    let (mut dba, _) = Raw::logged_in(&house, Person::Dba);
    assert_eq!(
        tags(&dba.query("SELECT id FROM orders WHERE id = 1")),
        "TDCZ"
    );
}

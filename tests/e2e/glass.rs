//! Broken glass: what waits for people runs at once for a session that states why, and evidence says so loudly.

use std::process::{Command, Output};

use crate::support::{House, Person, TARGET, free_port, run_with_input, succeeded, text};

/// Deletes of agents wait for people; whoever states a reason waits for nobody.
const POLICY: &str = r#"
rule deletes-need-people
  hold delete on public.orders for agents
  until 1 of dbas approve within 5 min

rule customers-need-people
  hold read on public.customers for agents
  until 1 of dbas approve within 5 min

rule incident
  break-glass read, delete on public.{orders, customers} for agents
  because "an order that blocks the shop"
"#;

/// Sends SQL as the agent, with these options of the session.
fn send(house: &House, options: &str, sql: &str) -> Output {
    let mut command = Command::new(house.cluster.program("psql"));
    command.args(["--no-psqlrc", "--file=-"]);
    let (person, token) = (Person::Agent, house.token(Person::Agent));
    house.client_environment(&mut command, person.id(), &token, TARGET);
    command.env("PGOPTIONS", options);
    run_with_input(command, sql)
}

#[test]
fn glass_is_broken_by_a_stated_reason_and_recorded() {
    let mut house = House::without_gateway();
    house
        .cluster
        .execute(
            "shop",
            "INSERT INTO orders SELECT n, 1, 1, 'glass' FROM generate_series(7001, 7003) n",
        )
        .unwrap();
    std::fs::write(house.path("policies/glass.pol"), POLICY).unwrap();
    // A receiver that nobody reaches keeps nobody waiting.
    let hook = format!("http://127.0.0.1:{}/hook", free_port());
    let secret = "a secret of the receiver's, long enough";
    house.environment = vec![
        ("GLASS_HOOK".to_owned(), hook),
        ("GLASS_SECRET".to_owned(), secret.to_owned()),
    ];
    house.evidence_settings =
        "[[approvals.webhook]]\nurl = \"env:GLASS_HOOK\"\nsecret = \"env:GLASS_SECRET\"\n"
            .to_owned();
    house.write_config(|config| config);
    house.start_gateway();
    // Without a reason it is held, and the hint says what would let it run.
    let held = send(
        &house,
        "-c provost.wait=off",
        "DELETE FROM orders WHERE id = 7001;",
    );
    let told = text(&held.stderr);
    assert!(
        told.contains("held by policy") && told.contains("SET provost.reason = "),
        "{told}"
    );
    // A reason that says nothing is none.
    let short = text(&send(&house, "-c provost.reason=why", "SELECT 1;").stderr);
    assert!(short.contains("10 to 500 characters"), "{short}");
    // It is stated in the session, and the text of the row has it.
    let sql = "SET provost.reason = 'INC-7: blocked orders';\nDELETE FROM orders WHERE id = 7002;\nDELETE FROM orders WHERE id = 7003;";
    let broken = send(&house, "-c provost.wait=off", sql);
    let told = text(&broken.stderr);
    assert_eq!(text(&broken.stdout), "SET\nDELETE 1\nDELETE 1\n", "{told}");
    // Once in a session for each rule.
    assert_eq!(told.matches("glass is broken").count(), 1, "{told}");
    // Or as it begins.
    let at_start = r"-c provost.wait=off -c provost.reason=INC-8:\ more\ of\ them";
    let broken = send(&house, at_start, "DELETE FROM orders WHERE id = 7001;");
    assert_eq!(text(&broken.stdout), "DELETE 1\n");
    assert!(text(&broken.stderr).contains("INC-8: more of them"));
    // A masked value stays masked, and is not probed.
    let sql = "SELECT ssn FROM customers WHERE id = 1;\nSELECT id FROM customers WHERE ssn = '901-77-0001';";
    let read = send(&house, at_start, sql);
    let (shown, told) = (text(&read.stdout), text(&read.stderr));
    assert!(
        shown.contains("*******0001") && !shown.contains("901"),
        "{shown}"
    );
    assert!(told.contains("ERROR:  denied by policy"), "{told}");
    house.stop_gateway();
    let why = "incident: INC-7: blocked orders (an order that blocks the shop)";
    let rows = format!(
        "SELECT count(*) FROM statements WHERE verdict = 'break-glass' AND reason = '{why}' AND outcome = 'completed'"
    );
    assert_eq!(house.count(&rows), 2);
    let changes = format!(
        "SELECT count(*) FROM changes JOIN statements ON statements.sql_digest = changes.digest AND statements.principal = changes.actor \
         WHERE what = 'break-glass' AND after = '{why}' AND outcome = 'completed'"
    );
    assert_eq!(house.count(&changes), 1);
    let verified = succeeded(house.verify());
    assert!(verified.contains("intact"), "{verified}");
    // Whoever reads a report of the controls sees it.
    let (store, out) = (house.evidence_path(), house.path("report"));
    let arguments = ["evidence", "report", "--framework", "nist-800-53"];
    let places = [
        "--store",
        store.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let period = ["--period", "2026-01-01..2099-12-31"];
    let arguments = [&arguments[..], &places, &period].concat();
    succeeded(house.provost(&arguments));
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let matrix = read("matrix.csv");
    let control = matrix.lines().find(|line| line.contains(",AC-3(10),"));
    assert!(
        control.is_some_and(|line| line.contains(",glass,4,0,")),
        "{matrix}"
    );
    let page = read("report.html");
    assert!(page.contains("let run by a stated reason"), "{page}");
    assert!(page.contains("incident: INC-8: more of them (an order that blocks the shop)"));
}

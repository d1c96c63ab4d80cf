//! Rules that ask how many rows the planner expects: it is asked where a verdict hangs on it, with the values that are bound, and what it
//! can't be asked about is refused.

use std::{fs, process::Command};

use serde_json::{Map, Value};

use crate::{
    obligations::{errors, statements, values},
    support::{
        House, Person, TARGET,
        raw::{Raw, bind_texts, execute, parse, sqlstate, sync, tags},
        run_with_input, text,
    },
};

/// Nobody of these takes more than 50 orders at once.
const FEW: &str = r#"
rule few-orders
  deny read, update, delete on public.orders for agents, dbas
  when estimated_rows > 50
  because "no more than 50 orders at once"
"#;
/// What they read then.
const OVER: &str = "42501 denied by policy: no more than 50 orders at once";
const ALL: &str = "SELECT id FROM orders";
const RARE: &str = "SELECT id FROM orders WHERE note = 'rare'";
const BULK: &str = "SELECT id FROM orders WHERE note = 'bulk'";

/// A house with these rules; 900 orders are noted as bulk and 10 as rare, which the planner knows. No gateway yet.
fn prepared(rules: &str) -> House {
    let house = House::without_gateway();
    fs::write(house.path("policies/more.pol"), rules).unwrap();
    let orders = "ALTER TABLE orders SET (autovacuum_enabled = off);
        INSERT INTO orders (id, customer_id, total, note)
          SELECT n, 1, 1, CASE WHEN n > 8900 THEN 'rare' ELSE 'bulk' END FROM generate_series(8001, 8910) n;
        ANALYZE orders;";
    house.cluster.execute("shop", orders).unwrap();
    house
}

fn house(rules: &str) -> House {
    let mut house = prepared(rules);
    house.start_gateway();
    house
}

/// How often the server's planner was asked.
fn asked(house: &House) -> usize {
    house
        .server_log()
        .matches(": EXPLAIN (FORMAT JSON) ")
        .count()
}

#[test]
fn the_planner_is_asked_where_a_verdict_hangs_on_it() {
    let mut house = house(FEW);
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    for (sql, expected) in [
        (ALL, None),
        (BULK, None),
        (RARE, Some(10)),
        ("UPDATE orders SET total = 2 WHERE note = 'bulk'", None),
        ("UPDATE orders SET total = 2 WHERE note = 'rare'", Some(0)),
        ("DELETE FROM orders WHERE note = 'bulk'", None),
        // Other rows than it gives, nobody asks of.
        ("SELECT count(*) FROM orders", Some(1)),
    ] {
        let messages = raw.query(sql);
        match expected {
            None => assert_eq!(errors(&messages), [OVER], "{sql}"),
            Some(rows) => {
                assert_eq!(errors(&messages), [""; 0], "{sql}");
                assert_eq!(values(&messages).len(), rows, "{sql}");
            }
        }
        assert_eq!(messages.last().unwrap().body, b"I", "{sql}");
    }
    assert_eq!(asked(&house), 7);
    // No rule asks here, or what asks does not bind them, or it is refused anyway.
    raw.query("SELECT name FROM customers");
    raw.query("DROP TABLE orders");
    raw.query("SELECT id FROM hr.salaries, orders");
    let (mut analyst, _) = Raw::logged_in(&house, Person::Analyst);
    assert_eq!(values(&analyst.query(ALL)).len(), 914);
    assert_eq!(asked(&house), 7);
    let asked = statements(&mut house, "kind = 'explain'");
    assert_eq!(asked.len(), 7);
    for row in &asked {
        assert_eq!(
            (&row["verdict"], &row["outcome"]),
            (&Value::from("allow"), &Value::from("completed")),
            "{row:?}"
        );
        let reason = "the planner is asked how many rows it expects, for a rule that asks";
        assert_eq!(row["reason"], reason, "{row:?}");
        assert!(row.get("approval_id").is_none_or(Value::is_null), "{row:?}");
    }
}

#[test]
fn bound_values_make_the_estimate_each_time() {
    let house = house(FEW);
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let by_note = "SELECT id FROM orders WHERE note = $1";
    raw.write(&[parse("s", by_note), sync()].concat());
    assert_eq!(tags(&raw.read_until_ready()), "1Z");
    assert_eq!(asked(&house), 0, "it runs nothing yet");
    // A decision stands for no other execution, whatever the last one was.
    for value in ["rare", "bulk", "bulk", "rare", "rare", "bulk"] {
        for (name, before) in [("s", ""), ("", "1")] {
            let mut frames = bind_texts("", name, &[value]);
            if name.is_empty() {
                frames = [parse("", by_note), frames].concat();
            }
            raw.write(&[frames, execute("", 0), sync()].concat());
            let messages = raw.read_until_ready();
            if value == "rare" {
                let expected = format!("{before}2DDDDDDDDDDCZ");
                assert_eq!(tags(&messages), expected, "{value}");
            } else {
                assert_eq!(errors(&messages), [OVER], "{value}");
                assert_eq!(tags(&messages), format!("{before}EZ"));
            }
        }
    }
    assert_eq!(asked(&house), 12);
    // More values than one.
    let both = "SELECT id FROM orders WHERE note = $2 AND id < $1";
    let frames = [parse("", both), bind_texts("", "", &["9000", "bulk"])];
    raw.write(&[frames.concat(), execute("", 0), sync()].concat());
    assert_eq!(errors(&raw.read_until_ready()), [OVER]);
    // What the table comes to is another thing the next time.
    raw.write(&[bind_texts("", "s", &["rare"]), execute("", 0), sync()].concat());
    assert_eq!(sqlstate(&raw.read_until_ready()), None);
    let more = "INSERT INTO orders (id, customer_id, total, note) SELECT n, 1, 1, 'rare' FROM generate_series(9001, 9200) n;
        ANALYZE orders;";
    house.cluster.execute("shop", more).unwrap();
    raw.write(&[bind_texts("", "s", &["rare"]), execute("", 0), sync()].concat());
    assert_eq!(errors(&raw.read_until_ready()), [OVER]);
}

#[test]
fn a_transaction_is_left_as_it_was() {
    let house = house(FEW);
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let mut ask = |sql: &str, code: Option<&str>, status: &[u8]| {
        let messages = raw.query(sql);
        assert_eq!(sqlstate(&messages).as_deref(), code, "{sql}");
        assert_eq!(messages.last().unwrap().body, status, "{sql}");
    };
    ask("BEGIN", None, b"T");
    ask(
        "UPDATE orders SET total = 2 WHERE note = 'rare'",
        None,
        b"T",
    );
    ask(RARE, None, b"T");
    ask(BULK, Some("42501"), b"E");
    // In a failed transaction the server's word holds, unless it is refused anyway.
    ask(RARE, Some("25P02"), b"E");
    ask(BULK, Some("42501"), b"E");
    ask("ROLLBACK", None, b"I");
    ask(RARE, None, b"I");
    let changed = "SELECT count(*) FROM orders WHERE total = 2";
    let changed = house.cluster.execute("shop", changed).unwrap();
    assert_eq!(changed.trim(), "0");
    // Each was another connection's, and wrote nothing.
    let log = house.server_log();
    let begun = log.matches("BEGIN READ ONLY; SET LOCAL statement_timeout");
    assert_eq!(begun.count(), asked(&house));
}

/// Issue: no number, no run.
#[test]
fn what_the_planner_cannot_be_asked_about_is_refused_and_says_why() {
    let house = house(FEW);
    let refused = |raw: &mut Raw, sql: &str, why: &str| {
        let errors = errors(&raw.query(sql));
        assert_eq!(errors.len(), 1, "{sql}: {errors:?}");
        for words in ["42501", "`estimated_rows` could not be had", why] {
            assert!(errors[0].contains(words), "{sql}: {words}: {errors:?}");
        }
    };
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    assert_eq!(values(&raw.query(RARE)).len(), 10);
    for (sql, why) in [
        (
            "COPY (SELECT id FROM orders WHERE note = 'rare') TO STDOUT",
            "the planner can't be asked about it",
        ),
        (
            "EXPLAIN SELECT id FROM orders WHERE note = 'rare'",
            "the planner can't be asked about it",
        ),
        (
            "SELECT 1; SELECT id FROM orders WHERE note = 'rare'",
            "several statements",
        ),
        (
            "PREPARE few AS SELECT id FROM orders WHERE note = 'rare'",
            "behind a name",
        ),
        (
            "SELECT shout(note) FROM orders WHERE note = 'rare'",
            "shout",
        ),
    ] {
        refused(&mut raw, sql, why);
    }
    let before = asked(&house);
    raw.query("SET DateStyle = 'German'");
    refused(&mut raw, RARE, "may have changed settings");
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    raw.query("CREATE TEMP TABLE orders (id integer, note text)");
    refused(
        &mut raw,
        "SELECT id FROM public.orders WHERE note = 'rare'",
        "objects of its own",
    );
    assert_eq!(asked(&house), before);
    // Nobody waits for a lock for long.
    let (mut other, _) = Raw::logged_in(&house, Person::Dba);
    other.query("BEGIN");
    other.query("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    refused(&mut raw, RARE, "it took too long");
    other.query("ROLLBACK");
    assert_eq!(values(&raw.query(RARE)).len(), 10);
}

/// A refusal is in no budget: by the planner's numbers, masked values could be looked for without end.
#[test]
fn a_masked_value_is_not_looked_for_by_estimates() {
    let few = FEW
        .replace("orders for", "customers for")
        .replace("50", "1");
    let mut house = prepared(&few);
    let shop = fs::read_to_string(house.path("policies/shop.pol")).unwrap();
    let by_budget = shop.replace("probing deny", "probing lookup 20 per hour");
    fs::write(house.path("policies/shop.pol"), by_budget).unwrap();
    house.start_gateway();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let looked_for = raw.query("SELECT id FROM customers WHERE ssn = '901-77-0001'");
    let errors = errors(&looked_for);
    assert!(errors[0].contains("looks for a masked value"), "{errors:?}");
    assert_eq!(asked(&house), 0);
    let by_key = raw.query("SELECT ssn FROM customers WHERE id = 1");
    assert_eq!(values(&by_key), ["*******0001"]);
    // Whoever no mask binds may.
    let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
    let found = raw.query("SELECT id FROM customers WHERE email = 'canaryada@example.org'");
    assert_eq!(values(&found), ["1"]);
    assert_eq!(asked(&house), 2);
}

/// Sends SQL as the agent, which waits for nobody.
fn send(house: &House, sql: &str) -> (String, String) {
    let mut command = Command::new(house.cluster.program("psql"));
    command.args(["--no-psqlrc", "--file=-"]);
    let (person, token) = (Person::Agent, house.token(Person::Agent));
    house.client_environment(&mut command, person.id(), &token, TARGET);
    command.env("PGOPTIONS", "-c provost.wait=off");
    let output = run_with_input(command, sql);
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_hold_shows_the_number_that_it_hangs_on() {
    let mut house = house(
        r#"
rule many-need-people
  hold delete on public.orders for agents
  when estimated_rows > 50
  until 1 of dbas approve within 2 min
"#,
    );
    let (done, _) = send(&house, "DELETE FROM orders WHERE note = 'rare';");
    assert_eq!(done, "DELETE 10\n");
    let (_, told) = send(&house, "DELETE FROM orders WHERE note = 'bulk';");
    assert!(told.contains("held by policy"), "{told}");
    assert_eq!(asked(&house), 2, "once for the rule and those it asks");
    house.stop_gateway();
    assert_eq!(
        house.count("SELECT count(*) FROM approvals WHERE event = 'requested'"),
        1
    );
}

/// A rule that only observes is told of, and stops nothing.
#[test]
fn an_observing_rule_asks_and_stops_nothing() {
    let mut house = house(&FEW.replace("  because", "  observe\n  because"));
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    assert_eq!(values(&raw.query(BULK)).len(), 900);
    assert_eq!(values(&raw.query(RARE)).len(), 10);
    let rows = statements(&mut house, "kind = 'select'");
    let observed =
        |row: &Map<String, Value>| Some(row.get("observed_verdict")?.as_str()?.to_owned());
    let observed: Vec<_> = rows.iter().map(observed).collect();
    assert_eq!(observed, [Some("deny".to_owned()), None], "{rows:?}");
}

/// Runs `replay --policy` with the key: what it says, a statement a line.
fn replayed(house: &House, policy: &str) -> Vec<Value> {
    let opened = "SELECT session_id FROM sessions WHERE event = 'opened'";
    let session = house.query(opened)[0]["session_id"].clone();
    let key = format!("replay-1=file:{}", house.path("replay-key").display());
    let policy = house.path(policy);
    let output = house.provost(&[
        "replay",
        session.as_str().unwrap(),
        "--store",
        &house.store,
        "--json",
        "--key",
        &key,
        "--policy",
        policy.to_str().unwrap(),
    ]);
    let lines = text(&output.stdout);
    let lines = lines.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_the_planner_said_is_recorded_for_replay() {
    let keep = "\nrule keep-rows\n  record results for agents\n";
    let mut house = prepared(&format!("{FEW}{keep}"));
    fs::write(house.path("replay-key"), "0123456789abcdef0123456789abcdef").unwrap();
    let key = house.path("replay-key").display().to_string();
    house.write_config(|config| {
        format!("{config}\n[replay]\nkey = \"file:{key}\"\nkey_id = \"replay-1\"\n")
    });
    house.start_gateway();
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    assert_eq!(values(&raw.query(RARE)).len(), 10);
    raw.query("SELECT id FROM customers");
    drop(raw);
    house.stop_gateway();

    let same = replayed(&house, "policies");
    assert_eq!(same.len(), 2, "{same:#?}");
    assert!(same.iter().all(|one| one["same"] == true), "{same:#?}");
    // By rules that say another number, or ask where none asked.
    fs::create_dir(house.path("new")).unwrap();
    let shop = fs::read_to_string(house.path("policies/shop.pol")).unwrap();
    fs::write(house.path("new/shop.pol"), shop).unwrap();
    let stricter = FEW
        .replace("> 50", "> 5")
        .replace("on public.orders", "on public.{orders, customers}");
    fs::write(house.path("new/more.pol"), format!("{stricter}{keep}")).unwrap();
    let changed = replayed(&house, "new");
    assert_eq!(changed[0]["new"]["verdict"], "deny", "{changed:#?}");
    let why = changed[1]["not_replayable"].as_str().unwrap();
    assert!(why.contains("how many rows the planner expects"), "{why}");
}

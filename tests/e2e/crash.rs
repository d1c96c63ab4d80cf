//! The gateway killed (SIGKILL) in the middle of a loaded run: no statement that reached the server is without a decision.
//!
//! The server counts: it logs every statement it receives (`log_statement = all`) with a number that makes it unique.

use std::{collections::BTreeSet, process::Command, process::Stdio, thread, time::Duration};

use crate::support::{House, Person, TARGET, succeeded};

/// How often the gateway is killed.
const ROUNDS: usize = 3;

/// Each transaction is told apart by two numbers that pgbench draws.
const SCRIPT: &str = "\\set a random(1, 1000000000)\n\\set b random(1, 1000000000)\nINSERT INTO scratch VALUES (:a, :b || ' marked');\nSELECT :a, :b, 'marked' FROM orders WHERE id = 1;\n";

/// The statements of the run, by their text, in a log of one statement per line.
fn marked(log: &str) -> BTreeSet<String> {
    log.lines()
        .filter(|line| {
            line.contains("marked") && !line.contains("ERROR") && !line.contains("STATEMENT")
        })
        .filter_map(|line| line.split_once(": ").map(|(_, rest)| rest))
        .filter_map(|rest| {
            rest.split_once(": ")
                .map(|(_, statement)| statement.trim_end().to_owned())
        })
        .collect()
}

#[test]
fn killed_under_load_no_decision_is_lost() {
    let mut house = House::new();
    let script = house.path("script.sql");
    std::fs::write(&script, SCRIPT).unwrap();
    for round in 0..ROUNDS {
        let mut command = Command::new(house.cluster.program("pgbench"));
        command
            .args([
                "--no-vacuum",
                "--client=4",
                "--time=30",
                "--protocol=simple",
                "--file",
            ])
            .arg(&script)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        house.client_environment(
            &mut command,
            Person::Dba.id(),
            &house.token(Person::Dba),
            TARGET,
        );
        let mut load = command.spawn().unwrap();
        let before = marked(&house.server_log()).len();
        let mut waited = 0;
        // Under load means that statements are flowing, not that time has passed.
        while marked(&house.server_log()).len() < before + 200 {
            thread::sleep(Duration::from_millis(50));
            waited += 1;
            if waited > 600 {
                let _ = load.kill();
                let _ = load.wait();
                panic!("no load in round {round}");
            }
        }
        house.kill_gateway();
        assert!(
            !load.wait().unwrap().success(),
            "pgbench lost its connections"
        );
        house.start_gateway();
    }
    // The new gateway works, and sealing at its stop covers what the killed ones left.
    assert_eq!(
        succeeded(house.psql(Person::Dba, &["-qAt"], "SELECT 1;")),
        "1\n"
    );
    house.stop_gateway();

    let reached = marked(&house.server_log());
    assert!(reached.len() >= ROUNDS * 200);
    let decided: BTreeSet<String> = house
        .query("SELECT sql FROM statements WHERE sql LIKE '%marked%'")
        .iter()
        .map(|row| {
            row["sql"]
                .as_str()
                .unwrap()
                .trim_end_matches(';')
                .trim_end()
                .to_owned()
        })
        .collect();
    let lost: Vec<&String> = reached
        .iter()
        .filter(|statement| !decided.contains(statement.trim_end_matches(';')))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} statements have no decision, for example {:?}",
        lost.len(),
        reached.len(),
        lost.first()
    );
    succeeded(house.verify());
    // What was under way is said to be unknown, not made up.
    let unknown = house.count("SELECT count(*) FROM statements WHERE outcome = 'unknown'");
    assert!(unknown <= (ROUNDS * 4 * 2) as u64, "{unknown}");
}

//! What stock clients see through the gateway under a policy that allows everything equals what they see directly, but for
//! a named, reasoned list (ruling 14).
//!
//! `sh tests/clients/run.sh` runs all of it; docs/clients.md tells what it found.

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

mod differences;
mod house;
mod programs;
mod suite;
mod suites;
mod tokio_client;

// The end-to-end tests' issuer and small helpers, and the same private PostgreSQL as the demo's.
#[path = "../../src/demo/postgres/mod.rs"]
mod postgres;

// What the oracle of SQL analysis runs the same files in.
#[path = "../regress/database.rs"]
mod database;

#[expect(
    dead_code,
    reason = "the house of the end-to-end tests has more than is needed here"
)]
#[path = "../e2e/support/mod.rs"]
mod support;

use std::{env, fs, path::PathBuf};

use differences::Differences;
use house::{House, Way};
use programs::Program;
use suite::{Files, Suite, Verdict};
use suites::Library;

/// What every run of the tests does: files that need little time, and each of which needs another part of the protocol.
const SLICE: [&str; 8] = [
    "test_setup",
    "boolean",
    "int2",
    "strings",
    "numerology",
    "copy",
    "copyselect",
    "transactions",
];

/// Where reports go.
fn reports() -> PathBuf {
    let folder = suite::target().join("clients-reports");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Which regression files are asked for, by the environment (tests/clients/run.sh writes it).
fn files() -> Files {
    match (
        env::var("PROVOST_CLIENTS"),
        env::var("PROVOST_CLIENTS_ONLY"),
    ) {
        (Ok(all), _) if all == "all" => Files::All,
        (_, Ok(only)) => {
            let mut files = vec!["test_setup".to_owned()];
            files.extend(only.split(',').map(str::to_owned));
            Files::Some(files)
        }
        (_, Err(_)) => Files::Some(SLICE.map(str::to_owned).to_vec()),
    }
}

#[test]
fn the_regression_suite_equals_direct() {
    let files = files();
    let [direct, gateway] = Way::BOTH.map(|way| {
        // Each way has a server of its own: the files leave roles and settings behind.
        let mut house = House::new(
            suite::SERVER_SETTINGS,
            database::DATABASE,
            database::make_database,
        );
        let verdicts = Suite::new(&house.cluster).run(&house, way, &files);
        assert!(
            house.gateway_lives(),
            "the gateway is gone:\n{}",
            house.log()
        );
        fs::write(reports().join("gateway.log"), house.log()).unwrap();
        verdicts
    });
    let passed = |verdicts: &suite::Verdicts| {
        let is_passed = |verdict: &&Verdict| **verdict == Verdict::Passed;
        verdicts.values().filter(is_passed).count()
    };
    eprintln!(
        "regression files: {} of {} passed directly, {} of {} through the gateway",
        passed(&direct),
        direct.len(),
        passed(&gateway),
        gateway.len()
    );
    let faults = Differences::read().faults(&direct, &gateway);
    assert!(
        faults.is_empty(),
        "{} faults; see {}:\n{}",
        faults.len(),
        reports().display(),
        faults.join("\n")
    );
}

#[test]
fn programs_of_client_libraries_see_what_they_see_directly() {
    let is_long = env::var("PROVOST_CLIENTS").is_ok_and(|wanted| wanted == "all");
    let chosen: &[Program] = if is_long {
        &Program::ALL
    } else {
        &Program::SLICE
    };
    let house = House::new(&[("autovacuum", "off")], programs::DATABASE, |cluster| {
        let sql = format!("CREATE DATABASE {}", programs::DATABASE);
        cluster.execute("postgres", &sql).unwrap();
    });
    let faults: Vec<String> = chosen
        .iter()
        .filter_map(|program| program.fault(&house))
        .collect();
    eprintln!(
        "programs: {} passed, {} failed",
        chosen.len() - faults.len(),
        faults.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
#[ignore = "long, and of suites that only tests/clients/suites.sh gets"]
fn suites_of_client_libraries_equal_direct() {
    let list = Differences::of_suites();
    let faults: Vec<String> = Library::chosen()
        .into_iter()
        .flat_map(|library| library.faults(&list))
        .collect();
    assert!(
        faults.is_empty(),
        "{} faults; see {}:\n{}",
        faults.len(),
        reports().join("suites").display(),
        faults.join("\n")
    );
}

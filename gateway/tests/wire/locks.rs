//! Questions of the gateway's own lock what views read: that must be in nobody's way.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use provost_gateway::settings::ClientTls;

use crate::{
    house::{
        House, PATIENCE, allow_what_is_understood, settings_for, start_cluster, target, tokens,
    },
    postgres::Cluster,
    raw::{Raw, ask, query},
};

const TABLES: &str = "CREATE TABLE held (a int); INSERT INTO held VALUES (1);
    CREATE TABLE base (b int); INSERT INTO base VALUES (2);
    CREATE VIEW shown AS SELECT b FROM base;
    CREATE RULE counted AS ON INSERT TO held DO ALSO UPDATE base SET b = b + 1;";

fn world() -> (&'static Cluster, House) {
    let cluster: &'static Cluster = Box::leak(Box::new(start_cluster()));
    cluster.execute("postgres", TABLES).unwrap();
    let house = House::start(settings_for(ClientTls::Off, target(cluster)));
    (cluster, house)
}

fn session(house: &House) -> Raw {
    let shop = [("user", "ann"), ("database", "shop")];
    let mut raw = Raw::log_in(house.address, &shop, &tokens().good("ann"));
    raw.until(b'Z');
    raw
}

/// Somebody who is no client of the gateway, and what became of it.
struct Other(JoinHandle<Result<String, String>>);

impl Other {
    /// Runs `sql` in a transaction, and waits until it holds a lock on `base` itself and, where `waits`, until it waits for one.
    fn run(cluster: &'static Cluster, sql: &'static str, waits: bool) -> Self {
        let other = thread::spawn(move || {
            let outcome = cluster.execute("postgres", sql);
            outcome.map_err(|error| error.to_string())
        });
        let count = |condition: &str| {
            let sql = format!(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND {condition}"
            );
            cluster.execute("postgres", &sql).unwrap().trim() != "0"
        };
        let deadline = Instant::now() + PATIENCE;
        while !count("relation = 'base'::regclass AND granted") || waits && !count("NOT granted") {
            assert!(
                Instant::now() < deadline,
                "the other session never got there"
            );
            thread::sleep(Duration::from_millis(20));
        }
        Self(other)
    }

    fn ends_well(self) {
        assert_eq!(self.0.join().unwrap().map(drop), Ok(()));
    }
}

/// What holds `base`, then waits for `held`.
const DROPS: &str =
    "BEGIN; LOCK TABLE base IN ACCESS EXCLUSIVE MODE; ALTER TABLE held ADD COLUMN z int; COMMIT";

#[test]
fn a_question_in_the_clients_transaction_makes_no_deadlock() {
    let (cluster, house) = world();
    let mut raw = session(&house);
    assert_eq!(ask(&mut raw, "BEGIN"), "T");
    assert_eq!(ask(&mut raw, "DROP RULE counted ON held"), "T");
    assert_eq!(ask(&mut raw, "ALTER TABLE held ADD COLUMN x int"), "T");
    let other = Other::run(cluster, DROPS, true);
    // The schema is this session's own now; of it the statement needs nothing that is locked.
    let start = Instant::now();
    assert_eq!(ask(&mut raw, "SELECT a FROM held"), "1 T");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(ask(&mut raw, "SHOW lock_timeout"), "0 T");
    assert_eq!(ask(&mut raw, "SHOW search_path"), "\"$user\", public T");
    assert_eq!(ask(&mut raw, "COMMIT"), "I");
    other.ends_well();
    assert_eq!(ask(&mut raw, "SELECT b FROM shown"), "2 I");
}

#[test]
fn what_another_session_has_locked_for_good_refuses_the_statement_and_spares_the_other_session() {
    let (cluster, house) = world();
    let mut raw = session(&house);
    assert_eq!(ask(&mut raw, "BEGIN"), "T");
    assert_eq!(ask(&mut raw, "ALTER TABLE held ADD COLUMN x int"), "T");
    let other = Other::run(cluster, DROPS, true);
    // The rule reads what is locked, and its text can't be had: what does without it goes on.
    assert_eq!(ask(&mut raw, "SELECT a FROM held"), "1 T");
    let answer = ask(&mut raw, "SELECT b FROM shown");
    assert!(
        answer.starts_with("55P03 denied by policy: what this session's names mean"),
        "{answer}"
    );
    assert!(answer.ends_with(" E"), "{answer}");
    assert_eq!(
        ask(&mut raw, "SELECT 1"),
        "25P02 current transaction is aborted, commands ignored until end of transaction block E"
    );
    assert_eq!(ask(&mut raw, "ROLLBACK"), "I");
    other.ends_well();
    assert_eq!(ask(&mut raw, "SELECT a FROM held"), "1 I");
    assert_eq!(ask(&mut raw, "INSERT INTO held VALUES (2)"), "I");
    assert_eq!(ask(&mut raw, "SELECT b FROM shown"), "3 I");
}

#[test]
fn what_a_lock_hides_is_refused_to_whoever_needs_it() {
    let (cluster, house) = world();
    house.policy.swap(allow_what_is_understood("understood"));
    let mut raw = session(&house);
    assert_eq!(ask(&mut raw, "BEGIN"), "T");
    assert_eq!(ask(&mut raw, "ALTER TABLE held ADD COLUMN x int"), "T");
    let other = Other::run(cluster, DROPS, true);
    let answer = ask(&mut raw, "INSERT INTO held VALUES (2)");
    assert!(
        answer.contains("could not read what this statement rests on"),
        "{answer}"
    );
    assert_eq!(ask(&mut raw, "ROLLBACK"), "I");
    other.ends_well();
}

#[test]
fn a_lock_that_is_soon_given_up_is_waited_for() {
    let (cluster, house) = world();
    let mut raw = session(&house);
    assert_eq!(ask(&mut raw, "BEGIN"), "T");
    assert_eq!(ask(&mut raw, "CREATE TABLE mine AS SELECT 3 AS c"), "T");
    let other = Other::run(
        cluster,
        "BEGIN; LOCK TABLE base IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.7); COMMIT",
        false,
    );
    assert_eq!(ask(&mut raw, "SELECT b + c FROM shown, mine"), "5 T");
    assert_eq!(ask(&mut raw, "COMMIT"), "I");
    other.ends_well();
}

#[test]
fn who_locks_a_table_reads_views_of_it_and_holds_up_nobody_else() {
    let (_cluster, house) = world();
    let mut raw = session(&house);
    assert_eq!(ask(&mut raw, "BEGIN"), "T");
    assert_eq!(
        ask(&mut raw, "LOCK TABLE base IN ACCESS EXCLUSIVE MODE"),
        "T"
    );
    // The view's definition was never asked for: nobody else can read it now.
    let start = Instant::now();
    assert_eq!(ask(&mut raw, "SELECT b FROM shown"), "2 T");
    let mut waits = session(&house);
    waits.send(&query("SELECT b FROM shown"));
    let mut another = session(&house);
    assert_eq!(
        ask(&mut another, "CREATE TABLE fresh AS SELECT 4 AS d"),
        "I"
    );
    assert_eq!(ask(&mut another, "SELECT d FROM fresh"), "4 I");
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(ask(&mut raw, "COMMIT"), "I");
    assert_eq!(waits.answer(), "2 I");
    assert_eq!(ask(&mut another, "SELECT b FROM shown"), "2 I");
}

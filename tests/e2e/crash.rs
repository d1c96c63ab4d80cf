//! The gateway killed (SIGKILL) at random moments of a loaded run, over and over: what the server executed has its decision, and every row of the
//! log is in evidence exactly once.
//!
//! The server says what it executed: by a table of unique keys, and by its log of every statement (`log_statement = all`).
//! `tests/crash.sh --rounds N` runs the long form.

use std::{
    collections::BTreeSet,
    io::{Read as _, Seek as _, SeekFrom},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::{House, Person, TARGET, s3::S3, succeeded};

/// How often the gateway is killed, unless `PROVOST_CRASH_ROUNDS` says otherwise.
const ROUNDS: u64 = 20;
/// The same with evidence in a bucket.
const ROUNDS_IN_A_BUCKET: u64 = 3;
/// How long a gateway may take to be under load.
const LOAD_DEADLINE: Duration = Duration::from_secs(60);

/// Each transaction is told apart by a number that pgbench draws.
const SCRIPT: &str = "\\set key random(1, 1000000000000000)\nINSERT INTO trace VALUES (:key);\nSELECT :key, 'marked' FROM orders WHERE id = 1;\n";

/// Where a random moment comes from; printed, so that a run can be repeated.
struct Moments(u64);

impl Moments {
    /// xorshift64*.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The server's log as it grows.
#[derive(Default)]
struct Tail {
    read: u64,
    /// The beginning of a line.
    rest: Vec<u8>,
    /// The run's statements that the server got, by their text.
    reached: BTreeSet<String>,
}

impl Tail {
    /// Reads on; how many statements of the run there are now.
    fn read(&mut self, house: &House) -> usize {
        let mut file = std::fs::File::open(house.cluster.log_path()).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        self.read += file.read_to_end(&mut self.rest).unwrap() as u64;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n');
        let lines: Vec<u8> = self.rest.drain(..whole.map_or(0, |end| end + 1)).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            self.reached.extend(marked(line));
        }
        self.reached.len()
    }
}

/// The statement of the run that a line of the server's log tells.
fn marked(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("LOG:  statement: ")?;
    let statement = rest.trim_end().trim_end_matches(';');
    let is_ours = statement.starts_with("INSERT INTO trace") || statement.contains("'marked'");
    is_ours.then(|| statement.to_owned())
}

fn load(house: &House) -> Child {
    let script = house.path("script.sql");
    std::fs::write(&script, SCRIPT).unwrap();
    let mut command = Command::new(house.cluster.program("pgbench"));
    command
        .args([
            "--no-vacuum",
            "--client=4",
            "--time=120",
            "--protocol=simple",
            "--file",
        ])
        .arg(&script)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let token = house.token(Person::Dba);
    house.client_environment(&mut command, Person::Dba.id(), &token, TARGET);
    command.spawn().unwrap()
}

/// One kill: after so many statements and a moment more, wherever log and sealing are then.
fn round(house: &mut House, moments: &mut Moments, tail: &mut Tail) {
    let enough = tail.read(house) + 1 + moments.below(300) as usize;
    let mut load = load(house);
    let deadline = Instant::now() + LOAD_DEADLINE;
    while tail.read(house) < enough {
        if Instant::now() > deadline {
            let _ = load.kill();
            let _ = load.wait();
            panic!("no load");
        }
        thread::sleep(Duration::from_millis(2));
    }
    thread::sleep(Duration::from_micros(moments.below(20_000)));
    house.kill_gateway();
    assert!(
        !load.wait().unwrap().success(),
        "pgbench lost its connections"
    );
    house.start_gateway();
}

/// Kills the gateway so often, lets the last one seal, and checks everything.
fn check(house: &mut House, rounds: u64) {
    let seed = number("PROVOST_CRASH_SEED", 1);
    println!("{rounds} rounds, seed {seed}");
    house
        .cluster
        .execute("shop", "CREATE TABLE trace (key bigint PRIMARY KEY)")
        .unwrap();
    let mut moments = Moments(seed.wrapping_mul(2).wrapping_add(1));
    let mut tail = Tail::default();
    house.start_gateway();
    for _ in 0..rounds {
        round(house, &mut moments, &mut tail);
    }
    // The new gateway works, and sealing at its stop covers what the killed ones left.
    let one = house.psql(Person::Dba, &["-qAt"], "SELECT 1;");
    assert_eq!(succeeded(one), "1\n");
    house.stop_gateway();
    tail.read(house);
    succeeded(house.verify());
    check_decided(house, &tail.reached);
    check_once(house);
    // What was under way is said to be unknown, not made up: for each of four clients one statement.
    let unknown = house.count("SELECT count(*) FROM statements WHERE outcome = 'unknown'");
    assert!(unknown <= rounds * 4, "{unknown}");
    println!(
        "{} statements reached the server, each decided; {unknown} unknown; {} rows of evidence",
        tail.reached.len(),
        house.count("SELECT count(*) FROM statements")
    );
}

/// Every statement that the server got, and every row that it holds, has its decision.
fn check_decided(house: &House, reached: &BTreeSet<String>) {
    let rows = house.query(
        "SELECT sql FROM statements WHERE sql LIKE 'INSERT INTO trace%' OR sql LIKE '%''marked''%'",
    );
    let decided: BTreeSet<&str> = rows
        .iter()
        .map(|row| {
            row["sql"]
                .as_str()
                .unwrap()
                .trim_end()
                .trim_end_matches(';')
        })
        .collect();
    let lost: Vec<&String> = reached
        .iter()
        .filter(|statement| !decided.contains(statement.as_str()))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} statements have no decision, for example {:?}",
        lost.len(),
        reached.len(),
        lost.first()
    );
    let keys = house
        .cluster
        .execute("shop", "SELECT key FROM trace")
        .unwrap();
    let mut kept = 0;
    for key in keys.lines() {
        let statement = format!("INSERT INTO trace VALUES ({key})");
        assert!(decided.contains(statement.as_str()), "{statement}");
        kept += 1;
    }
    assert!(kept > 0);
}

/// Every row of the log is in evidence, and none is there twice.
fn check_once(house: &House) {
    let all = "SELECT log_index FROM statements UNION ALL SELECT log_index FROM sessions UNION ALL SELECT log_index FROM changes UNION ALL SELECT log_index FROM maskings";
    let counts = house.query(&format!(
        "SELECT count(*) AS rows, count(DISTINCT log_index) AS indices, max(log_index) + 1 AS next FROM ({all}) AS every"
    ));
    let count = |name: &str| counts[0][name].as_u64().unwrap();
    assert_eq!(count("rows"), count("indices"));
    assert_eq!(count("rows"), count("next"));
    let statements = house.query(
        "SELECT count(*) AS rows, count(DISTINCT statement_id) AS ids FROM statements WHERE ends_log_index IS NULL",
    );
    assert_eq!(statements[0]["rows"], statements[0]["ids"]);
}

#[test]
fn killed_under_load_nothing_is_lost_or_doubled() {
    let mut house = House::without_gateway();
    house.evidence_settings = "seal_interval_ms = 250".to_owned();
    house.write_config(|config| config);
    check(&mut house, number("PROVOST_CRASH_ROUNDS", ROUNDS));
}

#[test]
fn killed_under_load_nothing_is_lost_or_doubled_in_a_bucket() {
    let mut house = House::without_gateway();
    let s3 = S3::start(&house);
    house.environment = s3.environment();
    house.store = S3::location("evidence");
    house.evidence_settings = "seal_interval_ms = 250".to_owned();
    house.write_config(|config| config);
    check(&mut house, ROUNDS_IN_A_BUCKET);
}

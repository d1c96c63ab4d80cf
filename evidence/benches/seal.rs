//! `cargo bench --workspace --bench seal`: what evidence costs, from two entries in the log to rows that were verified.
//!
//! The load is pgbench's: a handful of statements in turn, each decided the same way every time, by eight sessions in no order, with bound
//! values.
//! It runs at two levels of recording: `statement`, and `digest`, where each result is recorded by its digest too. Times are CPU of all
//! of the process's threads, user and system, as Linux counts them in nanoseconds. The log is in the temporary folder, the store in memory: what
//! a store costs is its own.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench whose preparation fails has nothing to say, and its figures are what it is for"
)]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use futures::TryStreamExt as _;
use object_store::{ObjectMeta, ObjectStore, memory::InMemory};
use provost_evidence::{
    Durability, Log, LogOptions, Sealer, SigningKey,
    draft::{Draft, Ending, Entry, Occasion, SessionDraft, SessionPart},
    record::{DecisionRecord, Micros, Outcome, Phase},
    verify,
};

/// The program's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Statements of one run.
const STATEMENTS: u64 = 200_000;
/// Statements of one seal: a second's, where a gateway seals each second.
const SEALED_AT_ONCE: u64 = 10_000;
/// Sessions.
const SESSIONS: u64 = 8;
/// 2026-11-20 00:00:00 UTC, microseconds.
const START: i64 = 1_795_132_800_000_000;
/// Microseconds from one statement to the next, and what a statement takes, about.
const PACE: i64 = 100;
const DURATION: u64 = 400;

/// How results are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Rows and bytes.
    Statement,
    /// And a digest of what the client received.
    Digest,
}

/// Numbers without a pattern, the same in each run.
struct Numbers(u64);

impl Numbers {
    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn digest(&mut self) -> [u8; 32] {
        let mut digest = [0; 32];
        for part in digest.as_chunks_mut::<8>().0 {
            *part = self.next().to_le_bytes();
        }
        digest
    }

    fn hex(&mut self) -> String {
        let digits = self.digest().map(|byte| format!("{byte:02x}"));
        digits.concat()
    }
}

/// What is decided the same way each time.
fn drafts(numbers: &mut Numbers) -> Vec<Draft> {
    let accounts = "public.pgbench_accounts";
    let statements: [(&str, &str, &str, &[&str]); 5] = [
        (
            "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;",
            "update",
            accounts,
            &["abalance", "aid"],
        ),
        (
            "SELECT abalance FROM pgbench_accounts WHERE aid = $1;",
            "select",
            accounts,
            &["abalance", "aid"],
        ),
        (
            "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2;",
            "update",
            "public.pgbench_tellers",
            &["tbalance", "tid"],
        ),
        (
            "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2;",
            "update",
            "public.pgbench_branches",
            &["bbalance", "bid"],
        ),
        (
            "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP);",
            "insert",
            "public.pgbench_history",
            &["aid", "bid", "delta", "mtime", "tid"],
        ),
    ];
    let bundle = numbers.hex();
    let draft = |(sql, kind, relation, columns): &(&str, &str, &str, &[&str])| {
        let record = DecisionRecord {
            decided_at: Micros(0),
            statement_id: String::new(),
            session_id: String::new(),
            seq: 0,
            phase: Phase::Execute,
            principal: String::new(),
            on_behalf_of: None,
            target: String::new(),
            sql: Some((*sql).to_owned()),
            sql_digest: numbers.hex(),
            fingerprint: Some(format!("{:016x}", numbers.next())),
            kind: Some((*kind).to_owned()),
            relations: vec![(*relation).to_owned()],
            columns: columns
                .iter()
                .map(|column| format!("{relation}.{column}"))
                .collect(),
            verdict: "allow".to_owned(),
            rules: vec!["bench-clients".to_owned()],
            reason: None,
            controls: vec![
                "nist-800-53:AC-3".to_owned(),
                "nist-800-53:AU-12".to_owned(),
            ],
            bundle_digest: bundle.clone(),
            facts_digest: Some(numbers.hex()),
            parameters_digest: None,
            maskings: Vec::new(),
            observed_verdict: None,
            observed_rules: None,
            probes: None,
            approval_id: None,
        };
        Draft::new(&record).expect("a record can be encoded")
    };
    statements.iter().map(draft).collect()
}

/// CPU of this process's threads so far, nanoseconds. Threads that ended are not counted: the runtime keeps its own.
fn cpu_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// What one run came to.
#[derive(Default)]
struct Run {
    append_ns: u64,
    seal_ns: u64,
    verify_ns: u64,
    rows: u64,
    log_bytes: u64,
    /// Bytes in the store, by kind.
    store_bytes: BTreeMap<&'static str, u64>,
}

/// How a statement's two entries are appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// Each by itself, as a gateway does that is asked one statement at a time.
    Two,
    /// Together.
    One,
}

/// One gateway's sessions.
struct Clients {
    /// Each with the number of its last statement.
    sessions: Vec<(SessionDraft, u64)>,
    drafts: Vec<Draft>,
    numbers: Numbers,
}

impl Clients {
    fn new() -> Self {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let session = |numbers: &mut Numbers| {
            SessionDraft::new(&SessionPart {
                session_id: numbers.hex().split_at(32).0.to_owned(),
                principal: "bench@corp.example".to_owned(),
                on_behalf_of: None,
                target: "bench".to_owned(),
            })
        };
        Self {
            sessions: (0..SESSIONS).map(|_| (session(&mut numbers), 0)).collect(),
            drafts: drafts(&mut numbers),
            numbers,
        }
    }

    /// Appends a statement's two entries.
    async fn speak(&mut self, log: &Log, statement: u64, level: Level, writes: Writes) {
        let jitter = self.numbers.next();
        let place = usize::try_from(jitter >> 32).unwrap_or(0) % self.sessions.len();
        let (session, seq) = self.sessions.get_mut(place).expect("sessions");
        *seq += 1;
        let (session, seq) = (&*session, *seq);
        let turn = usize::try_from(seq).unwrap_or(0) % self.drafts.len();
        let draft = self.drafts.get(turn).expect("drafts");
        let decided_at =
            START + i64::try_from(statement).unwrap_or(0) * PACE + (jitter % 64) as i64;
        let duration_us = DURATION + jitter / 64 % 256;
        let decision = Entry::Decision(
            draft,
            Occasion {
                session,
                seq,
                phase: Phase::Execute,
                decided_at: Micros(decided_at),
                parameters_digest: Some(self.numbers.digest()),
            },
        );
        let end = Entry::End(Ending {
            session,
            seq,
            ended_at: Micros(decided_at + duration_us as i64 + (jitter % 2) as i64),
            outcome: Outcome::Completed,
            rows: 1,
            bytes: 12 + jitter % 8,
            duration_us,
            sqlstate: None,
            values_masked: &[],
            result_digest: (level == Level::Digest).then(|| self.numbers.digest()),
        });
        match writes {
            Writes::Two => {
                for entry in [decision, end] {
                    log.append_entry(Durability::Process, || entry)
                        .await
                        .expect("appended");
                }
            }
            Writes::One => {
                log.append_all(Durability::Process, &[decision, end])
                    .await
                    .expect("appended");
            }
        }
    }
}

async fn run(folder: &Path, level: Level, writes: Writes) -> Run {
    let mut run = Run::default();
    let (log, _) = Log::open(LogOptions::new(folder.join("log"), "bench")).expect("a log");
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let key = SigningKey::generate().expect("a key");
    let public = key.public("bench");
    let sealer = Sealer::open(Arc::clone(&log), Arc::clone(&store), key)
        .await
        .expect("a sealer");
    let mut clients = Clients::new();
    let mut statement = 0;
    while statement < STATEMENTS {
        let end = statement + SEALED_AT_ONCE;
        let before = cpu_ns();
        while statement < end {
            clients.speak(&log, statement, level, writes).await;
            statement += 1;
        }
        let appended = cpu_ns();
        run.append_ns += appended - before;
        run.log_bytes += bytes_below(&folder.join("log"));
        let now = Micros(START + i64::try_from(statement).unwrap_or(0) * PACE);
        sealer.seal_now(now).await.expect("sealed");
        run.seal_ns += cpu_ns() - appended;
    }
    let before = cpu_ns();
    let report = verify(store.as_ref(), &[public], None).await.expect("read");
    run.verify_ns = cpu_ns() - before;
    assert!(report.is_intact(), "{report}");
    run.rows = report.ledgers.iter().map(|ledger| ledger.rows).sum();
    let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.expect("a list");
    for (kind, prefix) in [
        ("statements", "statements/"),
        ("manifests", "ledger/bench/manifests/"),
        ("tiles", "ledger/bench/tile/"),
        ("seals", "ledger/bench/seals/"),
        ("checkpoints", "ledger/bench/checkpoints/"),
    ] {
        let objects = listed.iter();
        let objects = objects.filter(|object| object.location.as_ref().starts_with(prefix));
        run.store_bytes
            .insert(kind, objects.map(|object| object.size).sum());
    }
    run
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let metadata = entry.metadata().expect("its metadata");
            match metadata.is_dir() {
                true => bytes_below(&entry.path()),
                false => metadata.len(),
            }
        })
        .sum()
}

impl Run {
    fn print(&self, level: Level, writes: Writes) {
        let each = |nanoseconds: u64| nanoseconds as f64 / 1e3 / STATEMENTS as f64;
        println!(
            "level {level:?}: {STATEMENTS} statements, {SESSIONS} sessions, {SEALED_AT_ONCE} to a seal, writes for each: {writes:?}"
        );
        println!("  append, two entries   {:7.2} us", each(self.append_ns));
        println!("  seal                  {:7.2} us", each(self.seal_ns));
        println!(
            "  verify                {:7.2} us, {:.0} rows/s",
            each(self.verify_ns),
            self.rows as f64 / (self.verify_ns as f64 / 1e9)
        );
        let bytes = |bytes: u64| bytes as f64 / STATEMENTS as f64;
        println!(
            "  log                   {:7.1} bytes",
            bytes(self.log_bytes)
        );
        for (kind, count) in &self.store_bytes {
            println!("  {kind:<21} {:7.1} bytes", bytes(*count));
        }
        let all: u64 = self.store_bytes.values().sum();
        println!("  store, all kinds      {:7.1} bytes", bytes(all));
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_keep_alive(std::time::Duration::from_secs(3600))
        .enable_all()
        .build()
        .expect("a runtime");
    for (level, writes) in [
        (Level::Statement, Writes::Two),
        (Level::Statement, Writes::One),
        (Level::Digest, Writes::Two),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let run = runtime.block_on(run(folder.path(), level, writes));
        run.print(level, writes);
    }
}

//! `cargo bench --workspace --bench matrix`: how long the control matrix takes over many decisions, and in how much memory.
//!
//! The store is made first, by a process of its own so that its memory isn't counted: statements of agents and people on a shop, of which some
//! are masked, refused, held, cut or look values up, sealed 100,000 at a time over thirty days. Then every measure and the table of rules' controls
//! are run once, as a report over all frameworks would.
//!
//! `PROVOST_BENCH_STATEMENTS` says how many (10,000,000), `PROVOST_BENCH_STORE` where the store is kept for the next run (nowhere).

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench whose preparation fails has nothing to say, and its figures are what it is for"
)]

use std::{env, fs, path::Path, process::Command, sync::Arc, time::Instant};

use provost_evidence::{
    Durability, DurableFolder, Log, LogOptions, Sealer, SigningKey, Tables,
    draft::{Draft, Ending, Entry, Occasion, SessionDraft, SessionPart},
    record::{
        ChangeRecord, DecisionRecord, MaskingRecord, Micros, Outcome, Phase, Record, SessionEvent,
        SessionRecord,
    },
    report::{
        matrix::{Bearing, Catalogue, Control, Matrix},
        queries::{MEASURES, Period},
    },
};

/// The program's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Statements, where the environment doesn't say.
const STATEMENTS: u64 = 10_000_000;
/// Statements of one seal.
const SEALED_AT_ONCE: u64 = 100_000;
/// Sessions; every other one is an agent's.
const SESSIONS: u64 = 64;
/// 2026-11-01 00:00:00 UTC, microseconds.
const START: i64 = 1_793_491_200_000_000;
/// Days that the statements are spread over.
const DAYS: i64 = 30;
const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Tells the process that makes the store where to.
const MAKE: &str = "PROVOST_BENCH_MAKE";

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
        self.digest().map(|byte| format!("{byte:02x}")).concat()
    }
}

/// A statement that is asked again and again.
struct Kind {
    draft: Draft,
    outcome: Outcome,
    sqlstate: Option<&'static str>,
    values_masked: &'static [(u32, u64)],
    /// Out of a hundred.
    share: u64,
}

fn record(bundle: &str, numbers: &mut Numbers) -> DecisionRecord {
    DecisionRecord {
        decided_at: Micros(0),
        statement_id: String::new(),
        session_id: String::new(),
        seq: 0,
        phase: Phase::Execute,
        principal: String::new(),
        on_behalf_of: None,
        target: String::new(),
        sql: Some(
            "SELECT id, email, total FROM orders JOIN customers USING (id) WHERE id = $1"
                .to_owned(),
        ),
        sql_digest: numbers.hex(),
        fingerprint: Some(format!("{:016x}", numbers.next())),
        kind: Some("select".to_owned()),
        relations: vec!["public.customers".to_owned(), "public.orders".to_owned()],
        columns: [
            "customers.email",
            "customers.id",
            "orders.id",
            "orders.total",
        ]
        .map(|column| format!("public.{column}"))
        .to_vec(),
        verdict: "allow".to_owned(),
        rules: vec!["agents-read".to_owned()],
        reason: None,
        controls: vec!["nist-800-53:AC-3".to_owned(), "nist-800-53:AC-6".to_owned()],
        bundle_digest: bundle.to_owned(),
        facts_digest: Some(numbers.hex()),
        parameters_digest: None,
        maskings: Vec::new(),
        observed_verdict: None,
        observed_rules: None,
        probes: None,
        approval_id: None,
    }
}

/// A record, how it ends and with which SQLSTATE.
type Ends = (DecisionRecord, Outcome, Option<&'static str>);

fn kinds(numbers: &mut Numbers, bundle: &str) -> Vec<Kind> {
    let plain = record(bundle, numbers);
    let masked = DecisionRecord {
        maskings: vec![MaskingRecord {
            output_index: 1,
            output_column: "email".to_owned(),
            source_columns: vec!["public.customers.email".to_owned()],
            class: "pii".to_owned(),
            transform: "keep domain".to_owned(),
            rule: "mask-pii".to_owned(),
            controls: vec!["nist-800-53:SI-19(4)".to_owned()],
            key_id: None,
        }],
        ..plain.clone()
    };
    let written = DecisionRecord {
        kind: Some("update".to_owned()),
        ..plain.clone()
    };
    let probing = DecisionRecord {
        probes: Some(vec!["public.customers.email".to_owned()]),
        ..plain.clone()
    };
    let refused = |kind: &str, reason: &str| DecisionRecord {
        kind: Some(kind.to_owned()),
        verdict: "deny".to_owned(),
        reason: Some(reason.to_owned()),
        ..plain.clone()
    };
    let held = DecisionRecord {
        verdict: "hold".to_owned(),
        ..refused("delete", "deletes wait for somebody else")
    };
    let allowed = |record: &DecisionRecord| (record.clone(), Outcome::Completed, None);
    let denied = |record: DecisionRecord| (record, Outcome::Denied, Some("42501"));
    let shares: [(_, &[(u32, u64)], u64); 7] = [
        (allowed(&plain), &[], 50),
        (allowed(&masked), &[(1, 20)], 20),
        (allowed(&written), &[], 20),
        (
            denied(refused("ddl", "schema changes go through migrations")),
            &[],
            4,
        ),
        (
            denied(refused(
                "select",
                "read on hr.salaries is not allowed by any rule",
            )),
            &[],
            4,
        ),
        (denied(held), &[], 1),
        (allowed(&probing), &[], 1),
    ];
    let kind = |((record, outcome, sqlstate), values_masked, share): (
        Ends,
        &'static [(u32, u64)],
        u64,
    )| Kind {
        draft: Draft::new(&record).expect("a record can be encoded"),
        outcome,
        sqlstate,
        values_masked,
        share,
    };
    shares.into_iter().map(kind).collect()
}

struct Session {
    draft: SessionDraft,
    seq: u64,
}

async fn open_sessions(log: &Log, numbers: &mut Numbers) -> Vec<Session> {
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let is_agent = number % 2 == 0;
        let session_id = numbers.hex().split_at(32).0.to_owned();
        let principal = format!(
            "{}-{number}@corp.example",
            if is_agent { "agent" } else { "person" }
        );
        let on_behalf_of = is_agent.then(|| format!("person-{number}@corp.example"));
        let record = Record::Session(SessionRecord {
            at: Micros(START),
            event: SessionEvent::Opened,
            session_id: session_id.clone(),
            principal: Some(principal.clone()),
            principal_kind: Some(if is_agent { "agent" } else { "human" }.to_owned()),
            on_behalf_of: on_behalf_of.clone(),
            groups: vec!["shop".to_owned()],
            issuer: Some("https://issuer.example".to_owned()),
            client_addr: Some("192.0.2.1".to_owned()),
            application: Some("bench".to_owned()),
            tls: true,
            target: Some("shop".to_owned()),
            database: Some("shop".to_owned()),
            authentication: Some("token-as-password".to_owned()),
            reason: None,
            sqlstate: None,
            role: Some("app".to_owned()),
        });
        log.append(&record, Durability::Process)
            .await
            .expect("appended");
        let draft = SessionDraft::new(&SessionPart {
            session_id,
            principal,
            on_behalf_of,
            target: "shop".to_owned(),
        });
        sessions.push(Session { draft, seq: 0 });
    }
    sessions
}

async fn make(folder: &Path, statements: u64) {
    let log_folder = tempfile::tempdir().expect("a folder");
    let (log, _) =
        Log::open(LogOptions::new(log_folder.path().join("log"), "bench")).expect("a log");
    let store = DurableFolder::open(folder).expect("a store");
    let sealer = Sealer::open(
        Arc::clone(&log),
        store,
        SigningKey::generate().expect("a key"),
    )
    .await
    .expect("a sealer");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let bundle = numbers.hex();
    let loaded = Record::Change(ChangeRecord {
        at: Micros(START),
        actor: "gateway".to_owned(),
        what: "bundle-loaded".to_owned(),
        before: None,
        after: None,
        digest: Some(bundle.clone()),
    });
    log.append(&loaded, Durability::Process)
        .await
        .expect("appended");
    let mut sessions = open_sessions(&log, &mut numbers).await;
    let kinds = kinds(&mut numbers, &bundle);
    let pace = DAYS * MICROS_PER_DAY / i64::try_from(statements).expect("a count").max(1);
    for statement in 0..statements {
        let at = START + i64::try_from(statement).expect("a count") * pace;
        speak(&log, &mut sessions, &kinds, &mut numbers, at).await;
        if (statement + 1) % SEALED_AT_ONCE == 0 || statement + 1 == statements {
            sealer.seal_now(Micros(at + pace)).await.expect("sealed");
        }
    }
}

async fn speak(
    log: &Log,
    sessions: &mut [Session],
    kinds: &[Kind],
    numbers: &mut Numbers,
    at: i64,
) {
    let draw = numbers.next();
    let place = usize::try_from(draw >> 32).unwrap_or(0) % sessions.len();
    let session = sessions.get_mut(place).expect("sessions");
    session.seq += 1;
    let mut left = draw % 100;
    let kind = kinds
        .iter()
        .find(|kind| {
            let is_it = left < kind.share;
            left = left.saturating_sub(kind.share);
            is_it
        })
        .expect("shares come to a hundred");
    let decision = Entry::Decision(
        &kind.draft,
        Occasion {
            session: &session.draft,
            seq: session.seq,
            phase: Phase::Execute,
            decided_at: Micros(at),
            parameters_digest: Some(numbers.digest()),
        },
    );
    let end = Entry::End(Ending {
        session: &session.draft,
        seq: session.seq,
        ended_at: Micros(at + 400),
        outcome: kind.outcome,
        rows: 20,
        bytes: 400,
        duration_us: 400,
        sqlstate: kind.sqlstate,
        values_masked: kind.values_masked,
        result_digest: None,
    });
    log.append_all(Durability::Process, &[decision, end])
        .await
        .expect("appended");
}

/// A control for each measure.
fn every_measure() -> Catalogue {
    let control = |name: &str| Control {
        id: name.to_owned(),
        title: String::new(),
        bearing: Some(Bearing {
            measure: name.to_owned(),
            bears: String::new(),
            lacks: String::new(),
        }),
    };
    Catalogue {
        framework: "bench".to_owned(),
        name: String::new(),
        version: String::new(),
        controls: MEASURES.iter().map(|query| control(query.name)).collect(),
    }
}

async fn measure(folder: &Path, statements: u64) {
    let store = DurableFolder::open(folder).expect("a store");
    let begun = Instant::now();
    let tables = Tables::open(store).await.expect("a store");
    println!(
        "{statements} statements; opening {:.2} s, {} MB at most",
        begun.elapsed().as_secs_f64(),
        peak_megabytes()
    );
    let begun = Instant::now();
    let matrix = Matrix::build(&tables, &[every_measure()], Period::ALL)
        .await
        .expect("a matrix");
    println!(
        "control matrix, {} measures and the rules' controls: {:.2} s, {} MB at most",
        matrix.measured.len(),
        begun.elapsed().as_secs_f64(),
        peak_megabytes()
    );
    let decided = matrix
        .measured
        .get("decisions")
        .map(|measured| measured.evidence);
    assert_eq!(decided, Some(statements), "each statement is counted once");
    for query in MEASURES {
        let begun = Instant::now();
        tables.ask(query.sql).await.expect("an answer");
        println!(
            "  {:<22} {:6.0} ms",
            query.name,
            begun.elapsed().as_secs_f64() * 1e3
        );
    }
}

/// The most memory that this process has held, as Linux counts it.
fn peak_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let count = env::var("PROVOST_BENCH_STATEMENTS").ok();
    let statements = count
        .and_then(|count| count.parse().ok())
        .unwrap_or(STATEMENTS);
    if let Some(folder) = env::var_os(MAKE) {
        return runtime.block_on(make(Path::new(&folder), statements));
    }
    let temporary = tempfile::tempdir().expect("a folder");
    let kept = env::var_os("PROVOST_BENCH_STORE");
    let folder = kept.map_or_else(|| temporary.path().join("store"), Into::into);
    if !folder.exists() {
        let program = env::current_exe().expect("this program");
        let made = Command::new(program)
            .env(MAKE, &folder)
            .status()
            .expect("it runs");
        assert!(made.success(), "the store could be made");
    }
    runtime.block_on(measure(&folder, statements));
}

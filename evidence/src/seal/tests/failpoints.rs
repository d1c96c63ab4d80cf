//! A life of log and sealer in which each write, fsync, rename, removal, put and read fails in turn: it isn't done, it is done without being
//! acknowledged, or it is the last thing that happens. What was acknowledged is found again, once, and nothing else is wrong.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::outcomes_in;
use crate::error::Error;
use crate::faulty::{FaultyDisk, FaultyStore, Fuse, Trouble};
use crate::log::{Durability, Log, LogOptions};
use crate::record::Micros;
use crate::results::SpoolHeader;
use crate::seal::Sealer;
use crate::testing::*;
use crate::verify::verify;

/// Seals of a life.
const ROUNDS: u64 = 2;
/// Statements of a round; every second one ends in it.
const STATEMENTS: u64 = 4;

fn options(folder: &std::path::Path) -> LogOptions {
    LogOptions {
        // An fsync only where one is asked for: steps are counted.
        sync_delay_max: Duration::from_secs(3600),
        reserve_bytes: 512,
        ..LogOptions::new(folder.join("log"), GATEWAY)
    }
}

async fn open(log: &Arc<Log>, store: Arc<dyn ObjectStore>) -> Result<Sealer, Error> {
    Sealer::open_with(Arc::clone(log), store, key(), Box::new(|| Ok([7; 32]))).await
}

/// A row of a recorded result.
const ROW: &[u8] = b"D\0\0\0\x0b\0\x01\0\0\0\x01x";

/// Records a result, and a catalog; whether its row was let through to the client.
fn record(log: &Arc<Log>, round: u64) -> bool {
    // What of it is not acknowledged may be there or not.
    let _ = log.keep_catalog(&format!("catalog {round}"));
    let mut spool = log.spool(SpoolHeader {
        statement_id: format!("recorded-{round}"),
        session_id: "recorded".to_owned(),
        decided_at: Micros(MIDNIGHT),
    });
    let is_shown = spool.write(ROW).is_ok();
    spool.end(Micros(MIDNIGHT), *blake3::hash(ROW).as_bytes());
    is_shown
}

/// What a life acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Statements, by their decisions.
    statements: Vec<u64>,
    /// Rounds whose row a client saw.
    rows: Vec<u64>,
}

/// Lives until something can't go on.
async fn live(
    folder: &std::path::Path,
    store: &Arc<dyn ObjectStore>,
    fuse: &Arc<Fuse>,
) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    let disk = FaultyDisk(Arc::clone(fuse));
    let Ok((log, _)) = Log::open_on(options(folder), Box::new(disk)) else {
        return acknowledged;
    };
    let store = Arc::new(FaultyStore {
        inner: Arc::clone(store),
        fuse: Arc::clone(fuse),
    });
    let Ok(sealer) = open(&log, store).await else {
        return acknowledged;
    };
    for round in 0..ROUNDS {
        for number in round * STATEMENTS..(round + 1) * STATEMENTS {
            let durability = match number % 3 {
                0 => Durability::Power,
                _ => Durability::Process,
            };
            let at = MIDNIGHT + number as i64;
            if log.append(&decision(number, at), durability).await.is_ok() {
                acknowledged.statements.push(number);
            }
            if number % 2 == 0 {
                // What of it is not acknowledged may be there or not.
                let _ = log.append(&end(number, at + 1), durability).await;
            }
        }
        if record(&log, round) {
            acknowledged.rows.push(round);
        }
        // A seal that fails is tried again at the next turn.
        let _ = sealer.seal_now(Micros(MIDNIGHT)).await;
    }
    acknowledged
}

/// A start on a disk and a store that are well again.
async fn recover(folder: &std::path::Path, store: &Arc<dyn ObjectStore>) {
    let (log, _) = Log::open(options(folder)).unwrap();
    let sealer = open(&log, Arc::clone(store)).await.unwrap();
    sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
}

/// One life that fails at the n-th step; whether there is such a step.
async fn check(nth: usize, trouble: Trouble) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let fuse = Fuse::new(nth, trouble);
    let acknowledged = live(folder.path(), &store, &fuse).await;
    let case = format!("{trouble:?} at step {nth}");
    recover(folder.path(), &store).await;
    let log = folder.path().join("log");
    let report = verify(store.as_ref(), &[key().public(GATEWAY)], Some(&log)).await;
    let report = report.unwrap();
    // A gateway that never logged anything has no ledger.
    let is_nothing = acknowledged.statements.is_empty() && acknowledged.rows.is_empty();
    if is_nothing && report.ledgers.iter().all(|ledger| ledger.seals == 0) {
        return fuse.is_blown();
    }
    assert!(report.is_intact(), "{case}: {report}");
    assert_eq!(report.log.unwrap().unsealed, 0, "{case}");
    let recorded = recorded_in(Arc::clone(&store)).await;
    for round in &acknowledged.rows {
        let id = format!("recorded-{round}");
        assert!(recorded.contains(&id), "{case}: {id}");
    }
    let outcomes = outcomes_in(store).await;
    for number in &acknowledged.statements {
        let rows = outcomes.get(&format!("session-{number}"));
        assert_eq!(rows.map(Vec::len), Some(1), "{case}: statement {number}");
    }
    assert!(outcomes.values().all(|rows| rows.len() == 1), "{case}");
    fuse.is_blown()
}

/// Statements whose recorded result is whole; that it is the one that was shown, verification says.
async fn recorded_in(store: Arc<dyn ObjectStore>) -> Vec<String> {
    let sql = "SELECT DISTINCT statement_id FROM recordings WHERE event = 'answered' AND is_whole";
    let answer = crate::query(store, sql).await.unwrap();
    let lines = answer.render(crate::Format::Csv).unwrap();
    lines.lines().skip(1).map(str::to_owned).collect()
}

async fn check_all(trouble: Trouble) {
    let mut steps = 0;
    while check(steps + 1, trouble).await {
        steps += 1;
    }
    assert!(steps > 80, "{steps} steps");
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_whatever_is_refused() {
    check_all(Trouble::Refused).await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_whatever_is_done_unacknowledged() {
    check_all(Trouble::LostAck).await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_wherever_the_process_dies() {
    check_all(Trouble::Dead).await;
}

//! A disk that fills up, and a store that is away for long: the log stops, a seal makes room, and all of it is in evidence in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{assert_intact, outcomes, strings};
use crate::error::Error;
use crate::faulty::{FaultyStore, Fuse, SmallDisk, Step, Trouble};
use crate::log::{Durability, Log, LogOptions};
use crate::record::Micros;
use crate::testing::*;

/// Appends statements until the log is full; how many.
async fn fill(log: &Log, first: u64) -> u64 {
    for number in first.. {
        let at = MIDNIGHT + number as i64;
        match log.append(&decision(number, at), Durability::Process).await {
            Ok(_) => {}
            Err(Error::LogFull { .. }) => return number - first,
            Err(other) => panic!("{other}"),
        }
        // Where the disk is full, the end of what just began is lost, too: it stays without one.
        let ended = log.append(&end(number, at + 1), Durability::Process).await;
        assert!(matches!(ended, Ok(_) | Err(Error::LogFull { .. })));
    }
    unreachable!("a log without end");
}

async fn whats(folder: &std::path::Path) -> Vec<String> {
    let sql = "SELECT what FROM changes ORDER BY log_index";
    let answer = crate::query::query(store(folder), sql).await.unwrap();
    let batches = answer.batches.iter();
    batches.flat_map(|batch| strings(batch, 0)).collect()
}

#[tokio::test]
async fn a_disk_that_is_full_again_and_again_is_emptied_by_sealing() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, left) = SmallDisk::new(300_000);
    let options = LogOptions {
        segment_bytes_max: 20_000,
        reserve_bytes: 150_000,
        ..LogOptions::new(folder.path().join("log"), GATEWAY)
    };
    let (log, _) = Log::open_on(options, Box::new(disk)).unwrap();
    let sealer = sealer(&log, store(folder.path())).await.unwrap();
    let mut decided = 0;
    for round in 0..4 {
        let filled = fill(&log, decided).await;
        assert!(filled > 50, "round {round}: {filled}");
        decided += filled;
        sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
        assert!(left.load(Ordering::SeqCst) > 100_000, "round {round}");
    }
    drop((sealer, log));
    // The next start says what became of those whose end was lost.
    let log = open_log(folder.path());
    let sealer = crate::testing::sealer(&log, store(folder.path()))
        .await
        .unwrap();
    sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
    drop((sealer, log));
    assert_intact(folder.path()).await;
    let outcomes = outcomes(folder.path()).await;
    assert_eq!(outcomes.len() as u64, decided);
    assert!(outcomes.values().all(|rows| rows.len() == 1));
    let expected: Vec<_> = ["audit-stopped", "audit-resumed"].repeat(4);
    assert_eq!(whats(folder.path()).await, expected);
}

/// A store that is away from the start on: the log stops at its limit, and goes on when the store is there.
#[tokio::test]
async fn what_a_store_missed_arrives_in_order_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes_max: 10_000,
        bytes_warn: 50_000,
        bytes_max: 100_000,
        ..LogOptions::new(folder.path().join("log"), GATEWAY)
    };
    let (log, _) = Log::open(options).unwrap();
    let away = Arc::new(FaultyStore {
        inner: store(folder.path()),
        fuse: Fuse::only(1, Trouble::Dead, Some(Step::Put)),
    });
    let waiting = sealer(&log, away).await.unwrap();
    let decided = fill(&log, 0).await;
    for _ in 0..3 {
        let failed = waiting.seal_now(Micros(MIDNIGHT)).await.unwrap_err();
        assert!(matches!(failed, Error::Store { .. }), "{failed}");
        assert_eq!(fill(&log, decided).await, 0, "nothing was freed");
    }
    drop(waiting);
    let back = sealer(&log, store(folder.path())).await.unwrap();
    back.seal_now(Micros(MIDNIGHT)).await.unwrap();
    assert!(fill(&log, decided).await > 50);
    drop((back, log));
    assert_intact(folder.path()).await;
    let order = "SELECT statement_id FROM statements ORDER BY log_index";
    let answer = crate::query::query(store(folder.path()), order)
        .await
        .unwrap();
    let batches = answer.batches.iter();
    let found: Vec<String> = batches.flat_map(|batch| strings(batch, 0)).collect();
    let expected: Vec<String> = (0..decided).map(|n| format!("session-{n}")).collect();
    assert_eq!(found, expected);
    // The seal that the store refused before was finished first, which made room; what was said then is in the seal behind it.
    let said = [
        "audit-backlog",
        "audit-stopped",
        "audit-resumed",
        "audit-backlog-over",
    ];
    assert_eq!(whats(folder.path()).await, said);
}

/// A start while the store is away: refused where nothing was ever sealed, for then the store may be the wrong one.
#[tokio::test]
async fn a_start_without_its_store_needs_one_seal_before() {
    let folder = tempfile::tempdir().unwrap();
    let away = |step| {
        Arc::new(FaultyStore {
            inner: store(folder.path()),
            fuse: Fuse::only(1, Trouble::Dead, Some(step)),
        })
    };
    let log = open_log(folder.path());
    append(&log, [change(MIDNIGHT)]).await;
    let refused = sealer(&log, away(Step::List)).await.unwrap_err();
    assert!(matches!(refused, Error::Store { .. }), "{refused}");
    let first = sealer(&log, store(folder.path())).await.unwrap();
    first.seal_now(Micros(MIDNIGHT)).await.unwrap();
    append(&log, [change(MIDNIGHT + 1)]).await;
    let waiting = sealer(&log, away(Step::Get)).await.unwrap();
    waiting.seal_now(Micros(MIDNIGHT)).await.unwrap_err();
    let back = sealer(&log, store(folder.path())).await.unwrap();
    assert_eq!(back.seal_now(Micros(MIDNIGHT)).await.unwrap().rows, 1);
    drop((first, waiting, back, log));
    assert_intact(folder.path()).await;
}

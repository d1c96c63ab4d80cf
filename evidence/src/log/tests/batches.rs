//! Entries of a thread's ready tasks, written together: each is acknowledged for what it is, or not at all.

use std::future::Future as _;
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::task::LocalSet;

use super::*;

const TASKS: i64 = 20;
const APPENDS: i64 = 30;

/// Tasks of one thread that append all the time; what each receipt is for.
fn append_side_by_side(log: &Arc<Log>) -> Vec<(u64, i64)> {
    let receipts = Rc::new(std::cell::RefCell::new(Vec::new()));
    let tasks = LocalSet::new();
    for task in 0..TASKS {
        let (log, receipts) = (Arc::clone(log), Rc::clone(&receipts));
        tasks.spawn_local(async move {
            for number in (0..APPENDS).map(|number| task * APPENDS + number) {
                let receipt = log.append(&change(number), Durability::Process).await;
                receipts
                    .borrow_mut()
                    .push((receipt.unwrap().index(), number));
            }
        });
    }
    runtime().block_on(tasks);
    receipts.take()
}

#[test]
fn each_receipt_names_its_own_record_whatever_segments_end_meanwhile() {
    for segment_bytes_max in [1, 2_000, 1 << 20] {
        let folder = tempfile::tempdir().unwrap();
        let writes = Arc::new(AtomicUsize::new(0));
        let disk = Box::new(Counting(Arc::clone(&writes)));
        let options = LogOptions {
            segment_bytes_max,
            ..options(folder.path())
        };
        let (log, _) = Log::open_on(options, disk).unwrap();
        let receipts = append_side_by_side(&log);
        drop(log);
        let there = records(folder.path());
        assert_eq!(there.len(), (TASKS * APPENDS) as usize);
        for (index, number) in &receipts {
            assert_eq!(there[*index as usize], change(*number));
        }
        let of_one = |task| {
            let mine = receipts
                .iter()
                .filter(move |(_, number)| number / APPENDS == task);
            mine.map(|(index, _)| *index)
        };
        assert!((0..TASKS).all(|task| of_one(task).is_sorted()));
        if segment_bytes_max > 10_000 {
            let writes = writes.load(Ordering::SeqCst);
            assert!(writes <= 2 * APPENDS as usize, "{writes} writes");
        }
    }
}

/// Definitions are in each segment that speaks of them, whoever wrote it.
#[test]
fn entries_in_parts_are_read_from_each_segment() {
    for segment_bytes_max in [1, 1_500, 1 << 20] {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(LogOptions {
            segment_bytes_max,
            ..options(folder.path())
        })
        .unwrap();
        let tasks = LocalSet::new();
        for task in 0..4 {
            let log = Arc::clone(&log);
            tasks.spawn_local(async move {
                let parts = InParts::new(task, 5);
                for _ in 0..20 {
                    parts.append(&log).await;
                }
            });
        }
        runtime().block_on(tasks);
        drop(log);
        let there = records(folder.path());
        assert_eq!(there.len(), 4 * 20 * 2);
        for task in 0..4 {
            for expected in InParts::new(task, 5).records() {
                let count = there.iter().filter(|one| **one == expected).count();
                assert_eq!(count, 20);
            }
        }
    }
}

#[test]
fn who_stops_waiting_takes_nobodys_entry_along() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(options(folder.path())).unwrap();
    let (first, second) = (change(1), change(2));
    {
        let mut context = Context::from_waker(Waker::noop());
        let mut stays = std::pin::pin!(log.append(&first, Durability::Process));
        assert!(stays.as_mut().poll(&mut context).is_pending());
        {
            let mut goes = std::pin::pin!(log.append(&second, Durability::Process));
            assert!(goes.as_mut().poll(&mut context).is_pending());
        }
        let receipt = runtime().block_on(stays).unwrap();
        assert_eq!(receipt.index(), 0);
    }
    drop(log);
    assert_eq!(records(folder.path()), [change(1), change(2)]);
}

/// A disk that fails at any write, or has so much room: whoever has a receipt is in the log.
#[test]
fn nobody_is_told_of_what_is_not_written() {
    let mut disks: Vec<Box<dyn Disk>> = Vec::new();
    for trouble in [Trouble::Refused, Trouble::LostAck, Trouble::Dead] {
        let fuses = (1..12).map(|nth| Fuse::only(nth, trouble, Some(Step::Append)));
        disks.extend(fuses.map(|fuse| Box::new(FaultyDisk(fuse)) as Box<dyn Disk>));
    }
    let sizes = (100..4_000).step_by(300);
    disks.extend(sizes.map(|bytes| Box::new(SmallDisk::new(bytes).0) as Box<dyn Disk>));
    let mut refused = 0;
    for disk in disks {
        let folder = tempfile::tempdir().unwrap();
        let Ok((log, _)) = Log::open_on(options(folder.path()), disk) else {
            continue;
        };
        let tasks = LocalSet::new();
        let outcomes = Rc::new(std::cell::RefCell::new(Vec::new()));
        for task in 0..TASKS {
            let (log, outcomes) = (Arc::clone(&log), Rc::clone(&outcomes));
            tasks.spawn_local(async move {
                for number in [2 * task, 2 * task + 1] {
                    let outcome = log.append(&change(number), Durability::Process).await;
                    outcomes.borrow_mut().push((outcome, number));
                }
            });
        }
        runtime().block_on(tasks);
        drop(log);
        let there = records(folder.path());
        for (outcome, number) in outcomes.take() {
            match outcome {
                Ok(receipt) => {
                    let record = there.get(receipt.index() as usize);
                    assert_eq!(record, Some(&change(number)));
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

/// At the limit decisions are refused and ends are taken, also of those that wait together.
#[test]
fn at_the_limit_what_ends_is_taken_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(LogOptions {
        bytes_max: 1,
        ..options(folder.path())
    })
    .unwrap();
    let tasks = LocalSet::new();
    for task in 0..4 {
        let log = Arc::clone(&log);
        tasks.spawn_local(async move {
            let parts = InParts::new(task, 5);
            let [decision, end] = parts.entries();
            let refused = log.append_entry(Durability::Process, || decision).await;
            assert!(matches!(refused, Err(Error::LogFull { .. })));
            log.append_entry(Durability::Process, || end).await.unwrap();
        });
    }
    runtime().block_on(tasks);
}

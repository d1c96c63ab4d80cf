//! The log against every truncation, every flipped bit, failing disks and concurrent runtimes. No wall clock.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::disk::{Disk, OperatingSystem, SegmentFile};
use super::segment::SEGMENT_HEADER_BYTES;
use super::*;
use crate::error::Damage;
use crate::record::{ChangeRecord, Micros, Record};

fn change(number: i64) -> Record {
    Record::Change(ChangeRecord {
        at: Micros(number),
        actor: "gateway".to_owned(),
        what: "config".to_owned(),
        before: None,
        after: Some(format!("state {number}\nü\u{0}")),
        digest: None,
    })
}

fn options(folder: &Path) -> LogOptions {
    LogOptions::new(folder, "gateway-1")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn append(log: &Log, number: i64, durability: Durability) -> Result<Receipt, Error> {
    runtime().block_on(log.append(&change(number), durability))
}

/// A folder whose only segment holds `count` records; returns the segment's bytes.
fn written(folder: &Path, count: i64) -> (PathBuf, Vec<u8>) {
    let (log, _) = Log::open(options(folder)).unwrap();
    for number in 0..count {
        append(&log, number, Durability::Process).unwrap();
    }
    drop(log);
    let path = folder.join(segment::file_name(0));
    (path.clone(), std::fs::read(path).unwrap())
}

fn records(folder: &Path) -> Vec<Record> {
    let segments = segment::list(folder).unwrap();
    segments
        .iter()
        .flat_map(|path| segment::read(path).unwrap().records)
        .collect()
}

fn frame_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![SEGMENT_HEADER_BYTES];
    while *ends.last().unwrap() < bytes.len() {
        let end = *ends.last().unwrap();
        ends.push(end + frame::decode(&bytes[end..]).unwrap().bytes);
    }
    ends
}

#[test]
fn what_was_appended_is_found_again_in_order_with_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    for start in 0..3_i64 {
        let (log, recovery) = Log::open(options(folder.path())).unwrap();
        assert_eq!(recovery.entries, 2 * start as u64);
        assert_eq!(recovery.cut_bytes, 0);
        assert_eq!(log.epoch(), 1 + start as u64);
        assert_eq!(
            append(&log, 2 * start, Durability::Power).unwrap().index(),
            2 * start as u64
        );
        assert_eq!(
            append(&log, 2 * start + 1, Durability::Process)
                .unwrap()
                .index(),
            2 * start as u64 + 1
        );
    }
    assert_eq!(
        records(folder.path()),
        (0..6).map(change).collect::<Vec<_>>()
    );
}

#[test]
fn starts_without_an_append_leave_one_empty_segment() {
    let folder = tempfile::tempdir().unwrap();
    for epoch in 1..4 {
        assert_eq!(Log::open(options(folder.path())).unwrap().1.epoch, epoch);
    }
    assert_eq!(segment::list(folder.path()).unwrap().len(), 1);
}

#[test]
fn segments_rotate_by_size_and_by_age() {
    for rotate_always in [
        LogOptions {
            segment_bytes_max: 1,
            ..LogOptions::new("", "g")
        },
        LogOptions {
            segment_age_max: Duration::ZERO,
            ..LogOptions::new("", "g")
        },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(LogOptions {
            folder: folder.path().to_owned(),
            ..rotate_always
        })
        .unwrap();
        for number in 0..4 {
            append(&log, number, Durability::Process).unwrap();
        }
        assert_eq!(segment::list(folder.path()).unwrap().len(), 4);
        drop(log);
        assert_eq!(
            records(folder.path()),
            (0..4).map(change).collect::<Vec<_>>()
        );
        assert_eq!(Log::open(options(folder.path())).unwrap().1.entries, 4);
    }
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Log::open(options(folder.path())).unwrap();
    let second = Log::open(options(folder.path())).unwrap_err();
    assert!(matches!(second, Error::Locked { .. }), "{second}");
    drop(first);
    Log::open(options(folder.path())).unwrap();
}

#[test]
fn names_that_cannot_be_object_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "-a", "A", "a/b", "a b", "ü", "a+b", &"a".repeat(65)] {
        let refused = Log::open(LogOptions::new(folder.path(), name)).unwrap_err();
        assert!(matches!(refused, Error::GatewayName { .. }), "{name}");
    }
}

#[test]
fn truncation_at_every_byte_keeps_every_whole_frame() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = written(folder.path(), 4);
    let ends = frame_ends(&bytes);
    for length in 0..bytes.len() {
        for file in segment::list(folder.path()).unwrap() {
            std::fs::remove_file(file.path).unwrap();
        }
        std::fs::write(&path, &bytes[..length]).unwrap();
        let opened = Log::open(options(folder.path()));
        if length < SEGMENT_HEADER_BYTES {
            let damage = Damage::HeaderShort;
            assert!(
                matches!(opened.unwrap_err(), Error::Damaged { offset: 0, damage: d, .. } if d == damage)
            );
            continue;
        }
        let (log, recovery) = opened.unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count() - 1;
        assert_eq!(recovery.entries, whole as u64, "cut at {length}");
        assert_eq!(recovery.cut_bytes, (length - ends[whole]) as u64);
        assert_eq!(
            append(&log, whole as i64, Durability::Process)
                .unwrap()
                .index(),
            whole as u64
        );
        drop(log);
        assert_eq!(
            records(folder.path()),
            (0..=whole as i64).map(change).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_flipped_bit_is_an_error_with_its_offset_except_in_the_last_frame_which_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = written(folder.path(), 3);
    let ends = frame_ends(&bytes);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        for file in segment::list(folder.path()).unwrap() {
            std::fs::remove_file(file.path).unwrap();
        }
        std::fs::write(&path, &flipped).unwrap();
        let opened = Log::open(options(folder.path()));
        if bit / 8 >= ends[2] {
            assert_eq!(
                opened.unwrap().1.cut_bytes,
                (bytes.len() - ends[2]) as u64,
                "bit {bit}"
            );
            continue;
        }
        let frame = ends
            .iter()
            .rev()
            .find(|end| **end <= bit / 8)
            .copied()
            .unwrap_or(0);
        let Error::Damaged {
            path: named,
            offset,
            ..
        } = opened.unwrap_err()
        else {
            panic!("bit {bit}")
        };
        assert_eq!((named, offset), (path.clone(), frame as u64), "bit {bit}");
        assert_eq!(
            std::fs::read(&path).unwrap(),
            flipped,
            "a damaged file must be left as it is"
        );
    }
}

#[test]
fn a_torn_tail_before_the_last_segment_and_a_missing_segment_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(LogOptions {
        segment_bytes_max: 1,
        ..options(folder.path())
    })
    .unwrap();
    for number in 0..3 {
        append(&log, number, Durability::Process).unwrap();
    }
    drop(log);
    let middle = folder.path().join(segment::file_name(1));
    let whole = std::fs::read(&middle).unwrap();
    std::fs::write(&middle, &whole[..whole.len() - 1]).unwrap();
    let torn = Log::open(options(folder.path())).unwrap_err();
    assert!(
        matches!(
            torn,
            Error::Damaged {
                damage: Damage::FrameShort,
                ..
            }
        ),
        "{torn:?}"
    );
    std::fs::remove_file(&middle).unwrap();
    let missing = Log::open(options(folder.path())).unwrap_err();
    assert!(
        matches!(
            missing,
            Error::Damaged {
                damage: Damage::Missing { expected: 1 },
                ..
            }
        ),
        "{missing:?}"
    );
}

#[test]
fn a_whole_frame_with_the_wrong_sequence_or_payload_is_an_error() {
    let cases = [
        (
            frame::encode(5, &serde_json::to_vec(&change(5)).unwrap()),
            Damage::Sequence {
                expected: 1,
                found: 5,
            },
        ),
        (
            frame::encode(0, &serde_json::to_vec(&change(5)).unwrap()),
            Damage::Sequence {
                expected: 1,
                found: 0,
            },
        ),
        (frame::encode(1, b"{\"entry\":\"novel\"}"), Damage::Payload),
    ];
    for (frame, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut bytes) = written(folder.path(), 1);
        let at = bytes.len() as u64;
        bytes.extend(frame);
        std::fs::write(&path, bytes).unwrap();
        match Log::open(options(folder.path())).unwrap_err() {
            Error::Damaged { offset, damage, .. } => assert_eq!((offset, damage), (at, expected)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn power_appends_from_several_runtimes_all_return_with_dense_receipts() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(LogOptions {
        segment_bytes_max: 4096,
        ..options(folder.path())
    })
    .unwrap();
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                let one = async |number| {
                    log.append(&change(number), Durability::Power)
                        .await
                        .unwrap()
                        .index()
                };
                runtime().block_on(futures::future::join_all(
                    (0..25).map(|n| one(worker * 25 + n)),
                ))
            })
        })
        .collect();
    let mut indices: Vec<u64> = workers
        .into_iter()
        .flat_map(|worker| worker.join().unwrap())
        .collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..100).collect::<Vec<_>>());
    drop(log);
    assert_eq!(records(folder.path()).len(), 100);
}

/// A disk whose n-th operation (append or sync) fails; a failing append first writes half of its bytes.
struct Faulty {
    countdown: Arc<AtomicUsize>,
    fail_appends: bool,
    fail_syncs: bool,
}

struct FaultyFile {
    inner: Arc<dyn SegmentFile>,
    countdown: Arc<AtomicUsize>,
    fail_appends: bool,
    fail_syncs: bool,
}

impl Disk for Faulty {
    fn create_segment(&self, path: &Path, header: &[u8]) -> io::Result<Arc<dyn SegmentFile>> {
        let inner = OperatingSystem.create_segment(path, header)?;
        let countdown = Arc::clone(&self.countdown);
        Ok(Arc::new(FaultyFile {
            inner,
            countdown,
            fail_appends: self.fail_appends,
            fail_syncs: self.fail_syncs,
        }))
    }
}

impl FaultyFile {
    /// Fails once: what comes after succeeds again, as on a real disk after a failed fsync.
    fn is_due(&self) -> bool {
        self.countdown
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            == Ok(1)
    }
}

impl SegmentFile for FaultyFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if self.fail_appends && self.is_due() {
            self.inner.append(&bytes[..bytes.len() / 2])?;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.inner.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        if self.fail_syncs && self.is_due() {
            return Err(io::Error::other("lost page"));
        }
        self.inner.sync()
    }
}

fn faulty(folder: &Path, nth: usize, fail_appends: bool) -> Arc<Log> {
    let countdown = Arc::new(AtomicUsize::new(nth));
    let disk = Faulty {
        countdown,
        fail_appends,
        fail_syncs: !fail_appends,
    };
    Log::open_on(options(folder), Box::new(disk)).unwrap().0
}

#[test]
fn after_a_failed_write_nothing_is_accepted_and_recovery_keeps_what_was_acknowledged() {
    for nth in 1..5_i64 {
        let folder = tempfile::tempdir().unwrap();
        let log = faulty(folder.path(), nth as usize, true);
        for number in 0..8 {
            let appended = append(&log, number, Durability::Process);
            assert_eq!(
                appended.is_ok(),
                number < nth - 1,
                "append {number} of a disk that fails at {nth}"
            );
        }
        drop(log);
        let (_log, recovery) = Log::open(options(folder.path())).unwrap();
        assert_eq!(recovery.entries, nth as u64 - 1);
        assert!(recovery.cut_bytes > 0);
    }
}

#[test]
fn a_failed_fsync_is_final_although_the_next_would_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let log = faulty(folder.path(), 2, false);
    append(&log, 0, Durability::Power).unwrap();
    let failed = append(&log, 1, Durability::Power).unwrap_err();
    assert!(matches!(failed, Error::LogFailed { .. }));
    for durability in [Durability::Power, Durability::Process] {
        assert!(append(&log, 2, durability).is_err());
    }
    assert!(runtime().block_on(log.sync()).is_err());
}

#[test]
fn a_background_fsync_that_fails_stops_later_process_appends() {
    let folder = tempfile::tempdir().unwrap();
    let log = faulty(folder.path(), 1, false);
    append(&log, 0, Durability::Process).unwrap();
    runtime().block_on(log.sync()).unwrap_err();
    append(&log, 1, Durability::Process).unwrap_err();
}

#[test]
fn a_record_beyond_the_limit_is_refused_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(options(folder.path())).unwrap();
    let mut large = change(0);
    if let Record::Change(change) = &mut large {
        change.after = Some("x".repeat(frame::PAYLOAD_BYTES_MAX));
    }
    let refused = runtime()
        .block_on(log.append(&large, Durability::Process))
        .unwrap_err();
    assert!(matches!(refused, Error::RecordTooLarge { .. }));
    assert_eq!(append(&log, 1, Durability::Process).unwrap().index(), 0);
}

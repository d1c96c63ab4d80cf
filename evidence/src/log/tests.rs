//! The log against every truncation, every flipped bit, failing disks and concurrent runtimes. No wall clock.

mod batches;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::disk::{Disk, DiskFile, OperatingSystem};
use super::segment::SEGMENT_HEADER_BYTES;
use super::*;
use crate::error::Damage;
use crate::faulty::{FaultyDisk, Fuse, SmallDisk, Step, Trouble};
use crate::record::{ChangeRecord, Micros, Record};
use crate::testing::InParts;

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
    super::records(folder).unwrap()
}

/// The n-th record of [`written_in_parts`].
fn in_parts(place: i64) -> Record {
    let [decision, end] = InParts::new(place as u64 / 2, 5).records();
    if place % 2 == 0 { decision } else { end }
}

/// The same as [`written`], entries in parts.
fn written_in_parts(folder: &Path, count: i64) -> (PathBuf, Vec<u8>) {
    let (log, _) = Log::open(options(folder)).unwrap();
    for number in 0..count as u64 / 2 {
        runtime().block_on(InParts::new(number, 5).append(&log));
    }
    drop(log);
    let path = folder.join(segment::file_name(0));
    (path.clone(), std::fs::read(path).unwrap())
}

/// A log of four entries or so: its segment, and what its n-th record is.
type Written = (fn(&Path, i64) -> (PathBuf, Vec<u8>), fn(i64) -> Record);

/// Whole records, and entries in parts.
const WRITTEN: [Written; 2] = [(written, change), (written_in_parts, in_parts)];

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

/// What a segment's entries refer to is in that segment, however many share it.
#[test]
fn entries_in_parts_are_read_from_each_segment_by_itself() {
    let shared: Vec<InParts> = (0..3).map(|number| InParts::new(number, 5)).collect();
    for segment_bytes_max in [1, 700, 1 << 20] {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(LogOptions {
            segment_bytes_max,
            ..options(folder.path())
        })
        .unwrap();
        let mut expected = Vec::new();
        for _ in 0..5 {
            for parts in &shared {
                runtime().block_on(parts.append(&log));
                expected.extend(parts.records());
            }
        }
        drop(log);
        assert_eq!(records(folder.path()), expected);
        for path in segment::list(folder.path()).unwrap() {
            let place = path.first_sequence as usize;
            std::fs::remove_file(&path.path).unwrap();
            let rest = records(folder.path());
            assert!(expected.ends_with(&rest) && rest.len() < expected.len() - place);
        }
    }
}

/// A definition is written once into a segment, and is small beside what it saves.
#[test]
fn what_is_the_same_each_time_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(options(folder.path())).unwrap();
    let parts = InParts::new(4, 5);
    runtime().block_on(parts.append(&log));
    let path = folder.path().join(segment::file_name(0));
    let once = std::fs::metadata(&path).unwrap().len();
    runtime().block_on(parts.append(&log));
    let twice = std::fs::metadata(&path).unwrap().len();
    assert!(once > 3 * (twice - once), "{once}, then {twice}");
    // A second log has to be told again, and so has the first one after it: wordy, and never wrong.
    let other = tempfile::tempdir().unwrap();
    let (other_log, _) = Log::open(options(other.path())).unwrap();
    runtime().block_on(async {
        parts.append(&other_log).await;
        parts.append(&log).await;
    });
    drop((log, other_log));
    assert_eq!(records(folder.path()).len(), 6);
    assert_eq!(records(other.path()), parts.records());
}

/// Counts writes into segments.
struct Counting(Arc<AtomicUsize>);

struct CountingFile(Arc<dyn DiskFile>, Arc<AtomicUsize>);

impl Disk for Counting {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OperatingSystem.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inner = OperatingSystem.open(path)?;
        Ok(Arc::new(CountingFile(inner, Arc::clone(&self.0))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OperatingSystem.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OperatingSystem.remove(path)
    }

    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        OperatingSystem.sync_folder_of(path)
    }
}

impl DiskFile for CountingFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        self.0.cut(bytes)
    }
}

#[test]
fn several_entries_are_one_write_and_one_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let writes = Arc::new(AtomicUsize::new(0));
    let (log, _) = Log::open_on(
        options(folder.path()),
        Box::new(Counting(Arc::clone(&writes))),
    )
    .unwrap();
    let (first, second) = (InParts::new(1, 5), InParts::new(2, 5));
    let all = |entries: Vec<Entry<'_>>, durability| {
        runtime().block_on(log.append_all(durability, &entries))
    };
    append(&log, 0, Durability::Process).unwrap();
    let entries = first.entries().into_iter().chain(second.entries());
    let receipt = all(entries.collect(), Durability::Power).unwrap().unwrap();
    assert_eq!((receipt.index(), receipt.entries()), (1, 4));
    assert_eq!(writes.load(Ordering::SeqCst), 2);
    assert!(all(Vec::new(), Durability::Power).unwrap().is_none());
    // One that is too large leaves all of them out.
    let mut large = change(0);
    if let Record::Change(change) = &mut large {
        change.after = Some("x".repeat(frame::PAYLOAD_BYTES_MAX));
    }
    let [one, other] = first.entries();
    let refused = all(vec![one, (&large).into(), other], Durability::Process).unwrap_err();
    assert!(matches!(refused, Error::RecordTooLarge { .. }));
    append(&log, 1, Durability::Process).unwrap();
    assert_eq!(writes.load(Ordering::SeqCst), 3);
    drop(log);
    let [a, b] = first.records();
    let [c, d] = second.records();
    assert_eq!(records(folder.path()), [change(0), a, b, c, d, change(1)]);
}

/// A draft that is too large is refused whether or not its segment has it.
#[test]
fn a_draft_beyond_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(options(folder.path())).unwrap();
    let large = InParts::with_sql("x".repeat(frame::PAYLOAD_BYTES_MAX));
    for _ in 0..2 {
        let [decision, _] = large.entries();
        let refused = runtime()
            .block_on(log.append_entry(Durability::Process, || decision))
            .unwrap_err();
        assert!(matches!(refused, Error::RecordTooLarge { .. }));
    }
    assert_eq!(append(&log, 1, Durability::Process).unwrap().index(), 0);
}

/// What an earlier release left is read, and goes on in today's form.
#[test]
fn segments_of_version_1_are_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let old: Vec<Record> = (0..6).map(in_parts).chain((6..9).map(change)).collect();
    let path = folder.path().join(segment::file_name(0));
    let whole = segment::of_version_1(3, 0, &old);
    std::fs::write(&path, [&whole[..], b"torn"].concat()).unwrap();
    let (log, recovery) = Log::open(options(folder.path())).unwrap();
    assert_eq!(
        (recovery.entries, recovery.epoch, recovery.cut_bytes),
        (9, 4, 4)
    );
    runtime().block_on(InParts::new(7, 5).append(&log));
    drop(log);
    let mut expected = old;
    expected.extend(InParts::new(7, 5).records());
    assert_eq!(records(folder.path()), expected);
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
    for (written, record) in WRITTEN {
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
            let next = runtime().block_on(log.append(&record(whole as i64), Durability::Process));
            assert_eq!(next.unwrap().index(), whole as u64);
            drop(log);
            assert_eq!(
                records(folder.path()),
                (0..=whole as i64).map(record).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error_with_its_offset_except_in_the_last_frame_which_is_cut() {
    for (written, _) in WRITTEN {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = written(folder.path(), 4);
        let ends = frame_ends(&bytes);
        let last = ends[ends.len() - 2];
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            for file in segment::list(folder.path()).unwrap() {
                std::fs::remove_file(file.path).unwrap();
            }
            std::fs::write(&path, &flipped).unwrap();
            let opened = Log::open(options(folder.path()));
            if bit / 8 >= last {
                assert_eq!(
                    opened.unwrap().1.cut_bytes,
                    (bytes.len() - last) as u64,
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
        // A decision by a draft and a session that the segment doesn't define; an end of such a session.
        (
            frame::encode(1, &[1, 2, 9, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            Damage::Payload,
        ),
        (
            frame::encode(1, &[2, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Damage::Payload,
        ),
        (frame::encode(1, b""), Damage::Payload),
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

/// A log whose n-th write or fsync fails; a segment's header is one of each.
fn faulty(folder: &Path, nth: usize, step: Step) -> Arc<Log> {
    let fuse = Fuse::only(nth + 1, Trouble::Refused, Some(step));
    let options = LogOptions {
        reserve_bytes: 0,
        ..options(folder)
    };
    Log::open_on(options, Box::new(FaultyDisk(fuse))).unwrap().0
}

#[test]
fn after_a_failed_write_nothing_is_accepted_and_recovery_keeps_what_was_acknowledged() {
    for nth in 1..5_i64 {
        let folder = tempfile::tempdir().unwrap();
        let log = faulty(folder.path(), nth as usize, Step::Append);
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
    let log = faulty(folder.path(), 2, Step::Sync);
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
    let log = faulty(folder.path(), 1, Step::Sync);
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

fn whats(folder: &Path) -> Vec<String> {
    let what = |record| match record {
        Record::Change(change) => Some(change.what),
        _ => None,
    };
    records(folder).into_iter().filter_map(what).collect()
}

fn end(number: u64) -> Record {
    let [_, end] = InParts::new(number, 5).records();
    end
}

/// The limit is for what begins; what ends goes on, and the log says when it stopped.
#[test]
fn a_log_that_reached_its_limit_takes_ends_alone_and_says_so_once() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(LogOptions {
        bytes_warn: 2_000,
        bytes_max: 4_000,
        ..options(folder.path())
    })
    .unwrap();
    let append = |record: &Record| runtime().block_on(log.append(record, Durability::Process));
    let decision = |number| InParts::new(number, 5).records()[0].clone();
    let taken = (0..100)
        .take_while(|number| append(&decision(*number)).is_ok())
        .count();
    assert!((2..20).contains(&taken), "{taken}");
    for _ in 0..3 {
        let refused = append(&decision(99)).unwrap_err();
        let expected = Shortage::Limit { bytes_max: 4_000 };
        assert!(
            matches!(refused, Error::LogFull { shortage } if shortage == expected),
            "{refused}"
        );
    }
    append(&end(1)).unwrap();
    append(&change(1)).unwrap();
    assert_eq!(
        whats(folder.path()),
        ["audit-backlog", "audit-stopped", "config"]
    );
    assert!(log.bytes() > 4_000);
    // What ends has its limit, too.
    let mut large = change(0);
    if let Record::Change(change) = &mut large {
        change.after = Some("x".repeat(frame::PAYLOAD_BYTES_MAX - 1_000));
    }
    append(&large).unwrap();
    assert!(matches!(append(&large), Err(Error::LogFull { .. })));
    // A seal makes room, here all at once.
    let closed = log.rotate().unwrap();
    log.remove_segments(closed).unwrap();
    append(&decision(99)).unwrap();
    drop(log);
    assert_eq!(
        whats(folder.path()),
        ["audit-resumed", "audit-backlog-over"]
    );
}

/// Wherever the disk fills up: in a frame, in its definitions, at a new segment.
#[test]
fn a_full_disk_stops_the_log_with_its_last_words_and_loses_nothing() {
    for room in (1_200..6_000).step_by(97) {
        let folder = tempfile::tempdir().unwrap();
        let (disk, left) = SmallDisk::new(room);
        let options = LogOptions {
            segment_bytes_max: 1_500,
            reserve_bytes: 1_000,
            ..options(folder.path())
        };
        let (log, _) = Log::open_on(options.clone(), Box::new(disk)).unwrap();
        let append = |number| {
            let entry = change(number);
            runtime().block_on(log.append(&entry, Durability::Process))
        };
        let taken = (0..1_000)
            .take_while(|number| append(*number).is_ok())
            .count();
        for _ in 0..2 {
            let refused = append(7).unwrap_err();
            assert!(
                matches!(
                    refused,
                    Error::LogFull {
                        shortage: Shortage::Disk
                    }
                ),
                "{room}: {refused}"
            );
        }
        let mut expected: Vec<_> = (0..taken as i64).map(change).collect();
        let found = records(folder.path());
        assert_eq!(found[..taken], expected[..], "{room}");
        assert_eq!(whats(folder.path())[taken..], ["audit-stopped"], "{room}");
        // Somebody made room, and a seal took what there was: it goes on.
        left.fetch_add(10_000, Ordering::SeqCst);
        let closed = log.rotate().unwrap();
        log.remove_segments(closed).unwrap();
        append(0).unwrap();
        drop(log);
        expected.truncate(1);
        assert_eq!(records(folder.path())[1..], expected[..], "{room}");
        assert_eq!(whats(folder.path())[0], "audit-resumed", "{room}");
        assert_eq!(Log::open(options).unwrap().1.cut_bytes, 0);
    }
}

/// A disk that somebody else filled: the reserve is there for a start, and for saying that the log stops.
#[test]
fn a_start_on_a_full_disk_takes_its_reserve() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, left) = SmallDisk::new(10_000);
    let options = LogOptions {
        reserve_bytes: 1_000,
        ..options(folder.path())
    };
    drop(Log::open_on(options.clone(), Box::new(disk)).unwrap());
    let (disk, _) = (SmallDisk::of(&left), left.store(0, Ordering::SeqCst));
    let (log, _) = Log::open_on(options, Box::new(disk)).unwrap();
    let refused = append(&log, 0, Durability::Process).unwrap_err();
    assert!(matches!(refused, Error::LogFull { .. }), "{refused}");
    log.resume();
    append(&log, 0, Durability::Process).unwrap_err();
    // Somebody makes room: a look is enough, with nothing to seal.
    left.store(10_000, Ordering::SeqCst);
    log.resume();
    append(&log, 1, Durability::Process).unwrap();
    assert!(folder.path().join("reserve").exists());
    let said = ["audit-stopped", "audit-resumed", "config"];
    assert_eq!(whats(folder.path()), said);
}

/// A start on a full disk is refused; a start that finds no room for its reserve is not, for it may be what makes room.
#[test]
fn a_start_needs_room_for_a_header_alone() {
    for (room, is_open) in [(10, false), (100, true)] {
        let folder = tempfile::tempdir().unwrap();
        let (disk, _) = SmallDisk::new(room);
        let options = LogOptions {
            reserve_bytes: 1_000,
            ..options(folder.path())
        };
        let opened = Log::open_on(options, Box::new(disk));
        assert_eq!(opened.is_ok(), is_open, "{room}");
        assert!(!folder.path().join("reserve").exists());
    }
}

//! Sealing against lost acknowledgements, failing stores and crashes at every step; and a process that is killed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

mod alike;
mod clock;
mod failpoints;
mod long;
mod room;

use super::*;
use crate::testing::*;
use crate::verify::verify;

/// What goes wrong at the n-th put.
#[derive(Debug, Clone)]
enum Trouble {
    /// Refused, nothing written.
    Refused,
    /// Written, but the acknowledgement is lost.
    LostAck,
    /// The gateway's folder is copied here just before: what a crash at this point leaves.
    Snapshot { from: PathBuf, to: PathBuf },
}

#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn ObjectStore>,
    puts_left: AtomicUsize,
    trouble: Trouble,
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Faulty")
    }
}

fn outage() -> object_store::Error {
    object_store::Error::Generic {
        store: "Faulty",
        source: "outage".into(),
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        at: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let left = self
            .puts_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if left == Ok(1) {
            match &self.trouble {
                Trouble::Refused => return Err(outage()),
                Trouble::LostAck => {
                    self.inner.put_opts(at, payload, options).await?;
                    return Err(outage());
                }
                Trouble::Snapshot { from, to } => copy_folder(from, to),
            }
        }
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn faulty(inner: Arc<dyn ObjectStore>, nth: usize, trouble: Trouble) -> Arc<dyn ObjectStore> {
    Arc::new(Faulty {
        inner,
        puts_left: AtomicUsize::new(nth),
        trouble,
    })
}

async fn assert_intact(folder: &FilePath) {
    let log = folder.join("log");
    let report = verify(store(folder).as_ref(), &[key().public(GATEWAY)], Some(&log))
        .await
        .unwrap();
    assert!(report.is_intact(), "{report}");
}

/// `statement_id -> outcomes`, in ledger order; reads Parquet by the seals.
async fn outcomes(folder: &FilePath) -> BTreeMap<String, Vec<String>> {
    outcomes_in(store(folder)).await
}

async fn outcomes_in(store: Arc<dyn ObjectStore>) -> BTreeMap<String, Vec<String>> {
    let sql = "SELECT statement_id, outcome FROM statements ORDER BY log_index";
    let answer = crate::query::query(store, sql).await.unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for batch in answer.batches {
        let (ids, outcomes) = (strings(&batch, 0), strings(&batch, 1));
        ids.into_iter()
            .zip(outcomes)
            .for_each(|(id, outcome)| found.entry(id).or_default().push(outcome));
    }
    found
}

fn strings(batch: &arrow::array::RecordBatch, column: usize) -> Vec<String> {
    let texts = arrow::array::cast::AsArray::as_string_opt::<i32>(batch.column(column));
    match texts {
        Some(texts) => texts.iter().map(|text| text.unwrap().to_owned()).collect(),
        None => batch
            .column(column)
            .as_string_view()
            .iter()
            .map(|text| text.unwrap().to_owned())
            .collect(),
    }
}

fn two_statements() -> [crate::record::Record; 6] {
    [
        change(MIDNIGHT),
        decision(1, MIDNIGHT),
        decision(2, MIDNIGHT - 1),
        end(2, MIDNIGHT + 3),
        session(MIDNIGHT),
        decision(3, MIDNIGHT),
    ]
}

#[tokio::test]
async fn the_same_log_gives_the_same_bytes() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut stores = Vec::new();
    for folder in &folders {
        filled(folder.path()).await;
        stores.push(contents(&folder.path().join("store")));
        assert_intact(folder.path()).await;
    }
    assert!(stores[0].len() > 20);
    assert!(stores[0] == stores[1]);
}

/// The content of a store, file by file.
fn contents(store: &FilePath) -> Vec<(PathBuf, Vec<u8>)> {
    let content = |file: PathBuf| {
        let key = file.strip_prefix(store).unwrap().to_owned();
        (key, std::fs::read(file).unwrap())
    };
    files(store).into_iter().map(content).collect()
}

/// Whole records, entries in parts, and what an earlier release wrote: one and the same evidence. One decision has no end.
#[tokio::test]
async fn the_same_records_give_the_same_bytes_however_they_were_logged() {
    let parts: Vec<InParts> = (0..40)
        .map(|n| InParts::new(n, MIDNIGHT + n as i64))
        .collect();
    let mut records: Vec<_> = parts.iter().flat_map(InParts::records).collect();
    records.remove(5);
    records.push(change(MIDNIGHT));
    let mut stores = Vec::new();
    for form in ["whole", "in parts", "version 1"] {
        let folder = tempfile::tempdir().unwrap();
        if form == "version 1" {
            let log = folder.path().join("log");
            std::fs::create_dir(&log).unwrap();
            let segment = segment::of_version_1(1, 0, &records);
            std::fs::write(log.join(segment::file_name(0)), segment).unwrap();
        } else {
            let log = open_log(folder.path());
            match form {
                "whole" => append(&log, records.clone()).await,
                _ => {
                    let entries = parts.iter().flat_map(InParts::entries);
                    for (place, entry) in entries.enumerate().filter(|(place, _)| *place != 5) {
                        let one = log.append_entry(crate::Durability::Process, || entry).await;
                        assert_eq!(one.unwrap().index(), place as u64 - u64::from(place > 5));
                    }
                    append(&log, [change(MIDNIGHT)]).await;
                }
            }
        }
        let log = open_log(folder.path());
        assert_eq!(
            crate::log::records(log.folder()).unwrap(),
            records,
            "{form}"
        );
        let sealer = sealer(&log, store(folder.path())).await.unwrap();
        let sealed = sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
        assert_eq!(sealed.waiting, 0, "{form}");
        drop((sealer, log));
        assert_intact(folder.path()).await;
        let outcomes = outcomes(folder.path()).await;
        assert_eq!(outcomes["session-2"], ["unknown"]);
        stores.push((form, contents(&folder.path().join("store"))));
    }
    let [(_, first), others @ ..] = stores.as_slice() else {
        panic!("no store");
    };
    for (form, other) in others {
        assert!(first == other, "{form}");
    }
}

#[tokio::test]
async fn a_decision_is_joined_with_its_end_and_carried_sealed_open_then_ended() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let sealer = sealer(&log, store(folder.path())).await.unwrap();
    append(&log, two_statements()).await;
    let first = sealer
        .seal_now(Micros(MIDNIGHT + 10 * SECOND))
        .await
        .unwrap();
    assert_eq!((first.seals, first.waiting), (1, 2));
    assert_eq!(
        sealer
            .seal_now(Micros(MIDNIGHT + 20 * SECOND))
            .await
            .unwrap()
            .seals,
        0,
        "nothing new"
    );
    append(&log, [end(1, MIDNIGHT + 25 * SECOND)]).await;
    sealer
        .seal_now(Micros(MIDNIGHT + 30 * SECOND))
        .await
        .unwrap();
    // 60 s are over: sealed as open although the log holds nothing new; its end is a row of its own.
    assert_eq!(
        sealer
            .seal_now(Micros(MIDNIGHT + 60 * SECOND))
            .await
            .unwrap()
            .seals,
        1
    );
    assert_eq!(
        sealer
            .seal_now(Micros(MIDNIGHT + 600 * SECOND))
            .await
            .unwrap()
            .seals,
        0,
        "open is sealed once"
    );
    append(&log, [end(3, MIDNIGHT + 601 * SECOND), end(77, MIDNIGHT)]).await;
    let last = sealer
        .seal_now(Micros(MIDNIGHT + 602 * SECOND))
        .await
        .unwrap();
    assert_eq!(last.waiting, 0);
    let expected = [
        ("session-1", vec!["completed"]),
        ("session-2", vec!["completed"]),
        ("session-3", vec!["open", "completed"]),
        ("session-77", vec!["completed"]),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(id, o)| (id.to_owned(), o.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(outcomes(folder.path()).await, expected);
    let sql = "SELECT l.log_index FROM statements l JOIN statements r ON r.ends_log_index = l.log_index \
               WHERE l.outcome = 'open' AND r.outcome = 'completed' AND l.statement_id = r.statement_id";
    let answer = crate::query::query(store(folder.path()), sql)
        .await
        .unwrap();
    assert_eq!(
        answer
            .batches
            .iter()
            .map(|batch| batch.num_rows())
            .sum::<usize>(),
        1
    );
    assert_intact(folder.path()).await;
}

#[tokio::test]
async fn what_an_earlier_start_left_without_an_end_becomes_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let first = sealer(&log, store(folder.path())).await.unwrap();
    append(&log, two_statements()).await; // 1 and 3 are carried by this seal
    first.seal_now(Micros(MIDNIGHT)).await.unwrap();
    append(&log, [decision(4, MIDNIGHT)]).await; // 4 is only in the log
    drop((first, log));
    let (log, recovery) =
        Log::open(crate::LogOptions::new(folder.path().join("log"), GATEWAY)).unwrap();
    assert_eq!((recovery.entries, recovery.statements_open), (1, 3));
    let second = sealer(&log, store(folder.path())).await.unwrap();
    append(&log, [decision(5, MIDNIGHT), end(5, MIDNIGHT)]).await;
    let sealed = second.seal_now(Micros(MIDNIGHT)).await.unwrap();
    assert_eq!((sealed.seals, sealed.waiting), (2, 0), "one for each start");
    let outcomes = outcomes(folder.path()).await;
    for id in ["session-1", "session-3", "session-4"] {
        assert_eq!(outcomes[id], ["unknown"], "{id}");
    }
    assert_eq!(outcomes["session-5"], ["completed"]);
    assert_intact(folder.path()).await;
}

#[tokio::test]
async fn a_store_that_fails_at_any_put_is_answered_by_trying_again() {
    for trouble in [Trouble::Refused, Trouble::LostAck] {
        for nth in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let log = open_log(folder.path());
            let store = faulty(store(folder.path()), nth, trouble.clone());
            let sealer = sealer(&log, store).await.unwrap();
            append(&log, two_statements()).await;
            let first = sealer.seal_now(Micros(MIDNIGHT)).await;
            if first.is_ok() {
                assert!(nth > 10, "a seal has more puts than {nth}");
                break;
            }
            append(&log, [end(1, MIDNIGHT), end(3, MIDNIGHT)]).await;
            sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
            let outcomes = outcomes(folder.path()).await;
            assert_eq!(outcomes.len(), 3, "{trouble:?} at {nth}");
            assert!(
                outcomes.values().all(|all| all == &["completed"]),
                "{trouble:?} at {nth}: {outcomes:?}"
            );
            assert_intact(folder.path()).await;
        }
    }
}

#[tokio::test]
async fn a_crash_before_any_put_and_between_the_last_steps_loses_and_doubles_nothing() {
    let original = tempfile::tempdir().unwrap();
    let mut nth = 0;
    loop {
        nth += 1;
        let _ = std::fs::remove_dir_all(original.path().join("log"));
        let _ = std::fs::remove_dir_all(original.path().join("store"));
        let crashed = tempfile::tempdir().unwrap();
        let log = open_log(original.path());
        let trouble = Trouble::Snapshot {
            from: original.path().to_owned(),
            to: crashed.path().to_owned(),
        };
        let sealer = sealer(&log, faulty(store(original.path()), nth, trouble))
            .await
            .unwrap();
        append(&log, two_statements()).await;
        sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
        drop((sealer, log));
        if !crashed.path().join("log").exists() {
            break;
        }
        recover_and_check(crashed.path()).await;
    }
    assert!(nth > 10);
    // Steps 4 to 6: the new state file is there, the segment and the pending file not deleted yet.
    let (pending, first) = pending_and_segment().await;
    for keep_segment in [true, false] {
        let late = tempfile::tempdir().unwrap();
        copy_folder(original.path(), late.path());
        std::fs::write(Pending::path(&late.path().join("log")), &pending).unwrap();
        if keep_segment {
            std::fs::write(late.path().join("log").join(segment::file_name(0)), &first).unwrap();
        }
        recover_and_check(late.path()).await;
    }
}

/// The files that step 5 and 6 delete, as they are before: the pending file and the segment it was made from.
async fn pending_and_segment() -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let sealer = sealer(&log, faulty(store(folder.path()), 1, Trouble::Refused))
        .await
        .unwrap();
    append(&log, two_statements()).await;
    sealer.seal_now(Micros(MIDNIGHT)).await.unwrap_err();
    let log = folder.path().join("log");
    (
        std::fs::read(Pending::path(&log)).unwrap(),
        std::fs::read(log.join(segment::file_name(0))).unwrap(),
    )
}

async fn recover_and_check(folder: &FilePath) {
    let log = open_log(folder);
    let sealer = sealer(&log, store(folder)).await.unwrap();
    sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
    let outcomes = outcomes(folder).await;
    assert_eq!(outcomes.len(), 3);
    assert_eq!(outcomes["session-2"], ["completed"]);
    assert_eq!(outcomes["session-1"], ["unknown"]);
    assert_eq!(outcomes["session-3"], ["unknown"]);
    drop((sealer, log));
    assert_intact(folder).await;
}

#[tokio::test]
async fn an_object_that_is_already_there_with_other_content_is_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let sealer = sealer(&log, store(folder.path())).await.unwrap();
    append(&log, [change(MIDNIGHT)]).await;
    let planted = Path::from("changes/date=2026-11-20/gateway-1-1-0-0.parquet");
    use object_store::ObjectStoreExt as _;
    store(folder.path())
        .put(&planted, "planted".into())
        .await
        .unwrap();
    for _ in 0..2 {
        let alarm = sealer.seal_now(Micros(MIDNIGHT)).await.unwrap_err();
        assert!(
            matches!(&alarm, Error::Conflict { key } if key == planted.as_ref()),
            "{alarm}"
        );
    }
}

#[tokio::test]
async fn a_folder_and_a_store_that_disagree_are_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let first = sealer(&log, store(folder.path())).await.unwrap();
    append(&log, [change(MIDNIGHT)]).await;
    first.seal_now(Micros(MIDNIGHT)).await.unwrap();
    let other_store = tempfile::tempdir().unwrap();
    let alarm = sealer(&log, store(other_store.path())).await.unwrap_err();
    assert!(
        matches!(
            alarm,
            Error::Diverged {
                local: Some(0),
                stored: None,
                ..
            }
        ),
        "{alarm}"
    );
    let other_log = tempfile::tempdir().unwrap();
    let alarm = sealer(&open_log(other_log.path()), store(folder.path()))
        .await
        .unwrap_err();
    assert!(
        matches!(
            alarm,
            Error::Diverged {
                local: None,
                stored: Some(0),
                ..
            }
        ),
        "{alarm}"
    );
    let alarm = Sealer::open(
        Arc::clone(&log),
        store(folder.path()),
        SigningKey::generate().unwrap(),
    )
    .await
    .unwrap_err();
    assert!(matches!(alarm, Error::Key { .. }), "{alarm}");
    let state = State::path(&folder.path().join("log"));
    std::fs::write(
        &state,
        std::fs::read_to_string(&state)
            .unwrap()
            .replace("gateway-1", "gateway-2"),
    )
    .unwrap();
    assert!(sealer(&log, store(folder.path())).await.is_err());
}

/// Two gateways of one name that both start before either has sealed: the second one's seal is refused before it puts anything.
#[tokio::test]
async fn a_second_gateway_of_a_name_puts_nothing_beside_the_first() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let shared = store(folders[0].path());
    let logs = [open_log(folders[0].path()), open_log(folders[1].path())];
    let first = sealer(&logs[0], Arc::clone(&shared)).await.unwrap();
    let second = sealer(&logs[1], Arc::clone(&shared)).await.unwrap();
    append(&logs[0], two_statements()).await;
    append(&logs[1], [change(MIDNIGHT)]).await;
    first.seal_now(Micros(MIDNIGHT)).await.unwrap();
    for _ in 0..2 {
        let alarm = second.seal_now(Micros(MIDNIGHT)).await.unwrap_err();
        assert!(matches!(alarm, Error::Conflict { .. }), "{alarm}");
    }
    let alarm = sealer(&logs[1], shared).await.unwrap_err();
    assert!(matches!(alarm, Error::Conflict { .. }), "{alarm}");
    assert_intact(folders[0].path()).await;
    // What the second logged is still in its log.
    assert_eq!(crate::log::records(logs[1].folder()).unwrap().len(), 1);
}

#[tokio::test]
async fn tiles_and_rows_grow_over_many_seals() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let mut sealer_now = sealer(&log, store(folder.path())).await.unwrap();
    for round in 0..6_i64 {
        append(&log, (0..110).map(|n| change(MIDNIGHT + n - round))).await;
        sealer_now.seal_now(Micros(MIDNIGHT)).await.unwrap();
        if round % 2 == 1 {
            sealer_now = sealer(&log, store(folder.path())).await.unwrap(); // rebuilds its tree from tiles
        }
    }
    assert_intact(folder.path()).await;
    let answer = crate::query::query(
        store(folder.path()),
        "SELECT log_index FROM changes ORDER BY log_index",
    )
    .await;
    let batches = answer.unwrap().batches;
    let indices: Vec<i64> = batches
        .iter()
        .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    assert_eq!(indices, (0..660).collect::<Vec<_>>());
}

/// Run by `receipts_survive_kills` in a process of its own: appends and seals until it is killed, prints each receipt.
#[tokio::test]
#[ignore = "the child of receipts_survive_kills"]
async fn child_that_is_killed() {
    use std::io::Write as _;
    let folder = PathBuf::from(std::env::var("PROVOST_KILL_FOLDER").unwrap());
    let start: u64 = std::env::var("PROVOST_KILL_START")
        .unwrap()
        .parse()
        .unwrap();
    let log = open_log(&folder);
    let sealer = Sealer::open(Arc::clone(&log), store(&folder), key())
        .await
        .unwrap();
    for round in 0_u64.. {
        for number in start + round * 20..start + round * 20 + 20 {
            let durability = if number % 7 == 0 {
                crate::Durability::Power
            } else {
                crate::Durability::Process
            };
            log.append(&decision(number, MIDNIGHT + number as i64), durability)
                .await
                .unwrap();
            // The receipt is reported only now: what is printed must be found.
            std::io::stdout()
                .write_all(format!("\nreceipt {number}\n").as_bytes())
                .unwrap();
            std::io::stdout().flush().unwrap();
            if number % 3 > 0 {
                append(&log, [end(number, MIDNIGHT + number as i64 + 1)]).await;
            }
        }
        sealer
            .seal_now(Micros(MIDNIGHT + 10 * SECOND))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn receipts_survive_kills() {
    use std::io::{BufRead as _, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let mut reported = Vec::new();
    for kill in 0..8_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "seal::tests::child_that_is_killed",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("PROVOST_KILL_FOLDER", folder.path())
            .env("PROVOST_KILL_START", (kill * 100_000).to_string())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after so many receipts: the counts fall into appends, the prime ones drift through the seals.
        let enough = 13 + kill as usize * 17;
        let mut seen = 0;
        for line in lines {
            if let Some(number) = line.unwrap().strip_prefix("receipt ") {
                reported.push(number.parse::<u64>().unwrap());
                seen += 1;
                if seen == enough {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(
            seen >= enough,
            "the child died by itself after {seen} receipts"
        );
    }
    let log = open_log(folder.path());
    let sealer = Sealer::open(Arc::clone(&log), store(folder.path()), key())
        .await
        .unwrap();
    sealer
        .seal_now(Micros(MIDNIGHT + 10 * SECOND))
        .await
        .unwrap();
    drop((sealer, log));
    let outcomes = outcomes(folder.path()).await;
    for number in &reported {
        let rows = outcomes.get(&format!("session-{number}"));
        assert_eq!(rows.map(Vec::len), Some(1), "receipt {number}");
    }
    assert!(outcomes.values().all(|rows| rows.len() == 1));
    assert_intact(folder.path()).await;
}

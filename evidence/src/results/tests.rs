//! Recorded results: what clients got comes back from the store, whatever ended the gateway; and what is altered is found.

use std::sync::Arc;

use crate::log::Log;
use crate::record::Micros;
use crate::results::*;
use crate::testing::{self, MIDNIGHT};
use crate::verify::{Fault, verify};

const ID: &str = "0123-7";

fn header() -> SpoolHeader {
    SpoolHeader {
        statement_id: ID.to_owned(),
        session_id: "0123".to_owned(),
        decided_at: Micros(MIDNIGHT),
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], &length[..], body].concat()
}

fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        match value {
            None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(value) => {
                body.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    message(b'D', &body)
}

fn description(columns: &[(&str, i16)]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for (name, format) in columns {
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&[0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 25, 0, 4, 255, 255, 255, 255]);
        body.extend_from_slice(&format.to_be_bytes());
    }
    body
}

/// The messages of a statement's result as the store has them, and the rows that name them.
async fn recorded(folder: &std::path::Path) -> (Vec<u8>, Vec<serde_json::Value>) {
    let sql = "SELECT result, part, parts, rows, is_whole, result_digest FROM recordings WHERE event = 'answered' ORDER BY part";
    let store = testing::store(folder);
    let answer = crate::query(Arc::clone(&store), sql).await.unwrap();
    let lines = answer.render(crate::Format::JsonLines).unwrap();
    let rows: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut messages = Vec::new();
    for row in &rows {
        let key = row["result"].as_str().unwrap();
        let object = crate::store::read(store.as_ref(), key)
            .await
            .unwrap()
            .unwrap();
        let part = read(object).unwrap();
        part.each(&mut |message| messages.extend_from_slice(message))
            .unwrap();
    }
    (messages, rows)
}

async fn seal(log: &Arc<Log>, folder: &std::path::Path) {
    let sealer = testing::sealer(log, testing::store(folder)).await.unwrap();
    sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
}

async fn problems(folder: &std::path::Path) -> Vec<Fault> {
    let public = testing::key().public(testing::GATEWAY);
    let report = verify(testing::store(folder).as_ref(), &[public], None)
        .await
        .unwrap();
    report.problems.into_iter().map(|one| one.fault).collect()
}

/// Whatever is written comes back, cut into pieces of any size, and verifies.
async fn check(described: Option<Vec<u8>>, messages: &[Vec<u8>], piece: usize) {
    let folder = tempfile::tempdir().unwrap();
    let log = testing::open_log(folder.path());
    let mut spool = log.spool(header());
    if let Some(body) = &described {
        spool.describe(body).unwrap();
    }
    let written = messages.concat();
    for piece in written.chunks(piece) {
        spool.write(piece).unwrap();
    }
    let digest = blake3::hash(&written);
    spool.end(Micros(MIDNIGHT + 5), *digest.as_bytes());
    seal(&log, folder.path()).await;
    assert!(
        recorded(folder.path()).await.1.is_empty(),
        "nobody publishes what is still written"
    );
    drop(spool);
    seal(&log, folder.path()).await;
    let (back, rows) = recorded(folder.path()).await;
    assert_eq!(back, written);
    assert_eq!(rows[0]["is_whole"], true, "{rows:?}");
    assert_eq!(rows[0]["result_digest"], digest.to_hex().as_str());
    assert_eq!(rows[0]["parts"], rows.len());
    assert_eq!(problems(folder.path()).await, []);
    assert_eq!(spooled(&folder.path().join("log")).unwrap(), [""; 0]);
    assert!(log.bytes() < 1_000, "its room is free again");
}

#[tokio::test]
async fn whatever_clients_got_comes_back() {
    let texts = vec![
        row(&[Some(b"1"), None]),
        row(&[Some(b""), Some("é".as_bytes())]),
    ];
    let names = Some(description(&[("id", 0), ("id", 0)]));
    check(names.clone(), &texts, 3).await;
    check(None, &texts, 1_000).await;
    check(names, &[], 1).await;
    let binary = vec![row(&[Some(b"\0\xff"), Some(b"\xfe")])];
    check(
        Some(description(&[("", 1), ("wrong utf-8", 0)])),
        &binary,
        1,
    )
    .await;
    // No columns at all; rows that are not alike; COPY.
    check(Some(description(&[])), &[row(&[]), row(&[])], 4).await;
    check(None, &[row(&[]), row(&[None])], 4).await;
    check(None, &[message(b'D', b"garbage")], 4).await;
    check(None, &[message(b'd', b"1\t2\n"), message(b'd', b"")], 2).await;
}

#[tokio::test]
async fn a_large_result_is_several_objects() {
    let value = vec![b'x'; 1_000_000];
    let messages: Vec<_> = (0..20).map(|_| row(&[Some(&value)])).collect();
    check(Some(description(&[("x", 0)])), &messages, 70_000).await;
    let whole = vec![b'x'; PART_BYTES_MAX + 5];
    check(None, &[row(&[Some(&whole)]), row(&[None])], 1 << 20).await;
}

/// A gateway killed at any byte that its kernel took: what was written whole is there, and said to be cut short.
#[tokio::test]
async fn a_gateway_that_dies_leaves_what_was_shown() {
    let folder = tempfile::tempdir().unwrap();
    let log = testing::open_log(folder.path());
    let mut spool = log.spool(header());
    spool.describe(&description(&[("x", 0)])).unwrap();
    let one = row(&[Some(b"one")]);
    spool.write(&one).unwrap();
    let after_one = std::fs::metadata(path(folder.path())).unwrap().len();
    spool.write(&row(&[Some(b"two")])).unwrap();
    let whole = std::fs::read(path(folder.path())).unwrap();
    drop((spool, log));
    for end in 0..whole.len() {
        let dead = tempfile::tempdir().unwrap();
        let log = testing::open_log(dead.path());
        testing::append(&log, [testing::change(MIDNIGHT)]).await;
        std::fs::create_dir_all(path(dead.path()).parent().unwrap()).unwrap();
        std::fs::write(path(dead.path()), &whole[..end]).unwrap();
        seal(&log, dead.path()).await;
        let (back, rows) = recorded(dead.path()).await;
        let expected = if end as u64 >= after_one {
            one.as_slice()
        } else {
            &[]
        };
        assert_eq!(back, expected, "cut at {end}");
        for row in &rows {
            assert_eq!(row["is_whole"], false, "cut at {end}");
        }
        assert_eq!(problems(dead.path()).await, [], "cut at {end}");
    }
}

fn path(folder: &std::path::Path) -> std::path::PathBuf {
    super::folder(&folder.join("log")).join(file_name(ID))
}

/// A crash between any two steps of publishing is answered by doing them again.
#[tokio::test]
async fn what_was_published_once_is_published_again_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let log = testing::open_log(folder.path());
    let mut spool = log.spool(header());
    let messages = row(&[Some(b"one")]);
    spool.write(&messages).unwrap();
    spool.end(Micros(MIDNIGHT), *blake3::hash(&messages).as_bytes());
    drop(spool);
    let kept = std::fs::read(path(folder.path())).unwrap();
    publish::publish(
        &log,
        testing::store(folder.path()).as_ref(),
        Micros(MIDNIGHT),
    )
    .await
    .unwrap();
    std::fs::write(path(folder.path()), kept).unwrap();
    seal(&log, folder.path()).await;
    let (_, rows) = recorded(folder.path()).await;
    assert_eq!(rows.len(), 2, "said twice: {rows:?}");
    assert_eq!(rows[0], rows[1]);
    assert_eq!(problems(folder.path()).await, []);
}

#[tokio::test]
async fn results_leave_room_for_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let options = crate::LogOptions {
        bytes_max: 10_000,
        ..crate::LogOptions::new(folder.path().join("log"), testing::GATEWAY)
    };
    let (log, _) = Log::open(options).unwrap();
    let mut spool = log.spool(header());
    let messages = row(&[Some(&[b'x'; 1_000])]);
    let mut written = Vec::new();
    let refused = loop {
        match spool.write(&messages) {
            Ok(()) => written.extend_from_slice(&messages),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, crate::Error::LogFull { .. }),
        "{refused:?}"
    );
    testing::append(&log, [testing::decision(1, MIDNIGHT)]).await;
    drop(spool);
    seal(&log, folder.path()).await;
    let (back, rows) = recorded(folder.path()).await;
    assert_eq!(back, written, "what was refused is not there");
    assert_eq!(rows[0]["is_whole"], false);
    assert!(log.bytes() < 1_000);
}

#[tokio::test]
async fn an_altered_missing_or_added_result_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let log = testing::open_log(folder.path());
    let mut spool = log.spool(header());
    spool.write(&row(&[Some(b"one")])).unwrap();
    drop(spool);
    seal(&log, folder.path()).await;
    assert_eq!(problems(folder.path()).await, []);
    let results = folder.path().join("store/results");
    let object = testing::files(&results).remove(0);
    let good = std::fs::read(&object).unwrap();
    let mut bad = good.clone();
    bad[10] ^= 1;
    std::fs::write(&object, bad).unwrap();
    assert_eq!(problems(folder.path()).await, [Fault::Digest]);
    std::fs::remove_file(&object).unwrap();
    assert_eq!(problems(folder.path()).await, [Fault::Missing]);
    std::fs::write(&object, &good).unwrap();
    std::fs::write(object.with_file_name("planted.parquet"), good).unwrap();
    assert_eq!(problems(folder.path()).await, [Fault::Uncovered]);
}

#[tokio::test]
async fn a_catalog_is_kept_once_and_a_changed_one_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let log = testing::open_log(folder.path());
    let before = log.bytes();
    let digest = log.keep_catalog("a catalog").unwrap();
    assert_eq!(log.keep_catalog("a catalog").unwrap(), digest);
    assert_eq!(log.bytes(), before + 9, "once");
    // What was being written when the gateway died is none.
    let torn = folder.path().join("log/catalogs/torn.json.new");
    std::fs::write(&torn, "a cat").unwrap();
    seal(&log, folder.path()).await;
    assert!(!torn.exists());
    assert_eq!(problems(folder.path()).await, []);
    let object = folder.path().join(format!("store/catalogs/{digest}.json"));
    assert_eq!(std::fs::read(&object).unwrap(), b"a catalog");
    // After a restart it is kept again, and is the same.
    log.keep_catalog("a catalog").unwrap();
    seal(&log, folder.path()).await;
    assert_eq!(problems(folder.path()).await, []);
    std::fs::write(&object, "another").unwrap();
    assert_eq!(problems(folder.path()).await, [Fault::Digest]);
    std::fs::remove_file(&object).unwrap();
    assert_eq!(problems(folder.path()).await, [Fault::Missing]);
}

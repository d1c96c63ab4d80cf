//! What an operator of the store can do to it, as a table: each way is found, and what is said names the object and the records concerned.
//!
//! The store has two gateways. Who holds no key repairs what he can; the last rows are of one who holds it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dataset::{Cell, Dataset, SCHEMA_VERSION};
use crate::key::{PublicKey, SigningKey};
use crate::ledger::{checkpoint, documents, sha256};
use crate::log::{Log, LogOptions};
use crate::record::Micros;
use crate::seal::Sealer;
use crate::testing::*;
use crate::verify::{Fault, Problem, Report, verify};

const OTHER: &str = "gateway-2";
/// Seals of each gateway.
const SEALS: usize = 3;

/// Two gateways' ledgers in one store, and the keys.
async fn two_gateways(folder: &Path) -> Vec<PublicKey> {
    let mut keys = Vec::new();
    for (name, key) in [(GATEWAY, key()), (OTHER, SigningKey::generate().unwrap())] {
        keys.push(key.public(name));
        let (log, _) = Log::open(LogOptions::new(folder.join(name), name)).unwrap();
        let sealer = Sealer::open(Arc::clone(&log), store(folder), key)
            .await
            .unwrap();
        for seal in 0..SEALS as u64 {
            let at = MIDNIGHT + seal as i64;
            append(&log, [change(at), session(at)]).await;
            append(&log, [decision(seal, at), end(seal, at)]).await;
            sealer.seal_now(Micros(at)).await.unwrap();
        }
    }
    keys
}

async fn report(folder: &Path, keys: &[PublicKey]) -> Report {
    verify(store(folder).as_ref(), keys, None).await.unwrap()
}

/// Some problem names the key.
#[track_caller]
fn assert_named(report: &Report, key: &str, what: &str) {
    let is_named = |problem: &Problem| problem.object == key;
    assert!(
        report.problems.iter().any(is_named),
        "{what} of {key}: {report}"
    );
    assert!(report.to_string().contains(key), "{what} of {key}");
}

/// A file of the store, and its key.
fn keyed(root: &Path, file: &Path) -> String {
    let key = file.strip_prefix(root).unwrap();
    key.to_str().unwrap().to_owned()
}

/// One that plays the same part in the other gateway's ledger.
fn counterpart(file: &Path) -> Option<PathBuf> {
    let text = file.to_str().unwrap();
    let [from, to] = match text.contains("/gateway-1") {
        true => [GATEWAY, OTHER],
        false => [OTHER, GATEWAY],
    };
    let other = PathBuf::from(text.replace(from, to));
    other.is_file().then_some(other)
}

#[tokio::test]
async fn each_file_flipped_cut_grown_deleted_or_replaced_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let keys = two_gateways(folder.path()).await;
    let root = folder.path().join("store");
    assert!(report(folder.path(), &keys).await.is_intact());
    let last = format!("checkpoints/{:020}", SEALS - 1);
    let all = files(&root);
    assert!(all.len() > 2 * SEALS * 6, "{}", all.len());
    for file in &all {
        let key = keyed(&root, file);
        let whole = std::fs::read(file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x10;
        let mut tampered = vec![
            ("flip", Some(flipped)),
            ("deletion", None),
            ("emptying", Some(Vec::new())),
            ("truncation", Some(whole[..whole.len() - 1].to_vec())),
            ("growth", Some([&whole[..], b"\n"].concat())),
        ];
        let other = counterpart(file).map(|other| std::fs::read(other).unwrap());
        // Some are equal: two tiles of nothing, two empty lists.
        if let Some(other) = other.filter(|other| *other != whole) {
            tampered.push(("replacement by the other gateway's", Some(other)));
        }
        for (what, bytes) in tampered {
            // Without the last checkpoint the seal before is the last, and what doesn't fit to that is its copy.
            let is_last = bytes.is_none() && key.ends_with(&last);
            let named = match is_last {
                true => key.replace(&last, "checkpoint"),
                false => key.clone(),
            };
            match bytes {
                Some(bytes) => std::fs::write(file, bytes).unwrap(),
                None => std::fs::remove_file(file).unwrap(),
            }
            assert_named(&report(folder.path(), &keys).await, &named, what);
        }
        std::fs::write(file, whole).unwrap();
    }
    assert!(report(folder.path(), &keys).await.is_intact());
}

fn swap(one: &Path, other: &Path) {
    let spare = one.with_extension("spare");
    std::fs::rename(one, &spare).unwrap();
    std::fs::rename(other, one).unwrap();
    std::fs::rename(&spare, other).unwrap();
}

/// Between gateways, and between seals of one gateway.
#[tokio::test]
async fn both_of_two_swapped_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let keys = two_gateways(folder.path()).await;
    let root = folder.path().join("store");
    let all = files(&root);
    let of_first = |file: &&PathBuf| file.to_str().unwrap().contains("/gateway-1");
    let mut swapped = 0;
    for one in all.iter().filter(of_first) {
        let next = all
            .iter()
            .skip_while(|file| *file != one)
            .skip(1)
            .find(|file| file.parent() == one.parent());
        for other in [counterpart(one), next.cloned()].into_iter().flatten() {
            if std::fs::read(one).unwrap() == std::fs::read(&other).unwrap() {
                continue;
            }
            swap(one, &other);
            let report = report(folder.path(), &keys).await;
            for file in [one, &other] {
                assert_named(&report, &keyed(&root, file), "swap");
            }
            swap(one, &other);
            swapped += 1;
        }
    }
    assert!(swapped > SEALS * 8, "{swapped}");
    assert!(report(folder.path(), &keys).await.is_intact());
}

#[tokio::test]
async fn what_is_inserted_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let keys = two_gateways(folder.path()).await;
    let root = folder.path().join("store");
    let all = files(&root);
    for file in &all {
        // The same once more: under a name that comes next, and under one that nothing has.
        for suffix in ["9", ".copy"] {
            let mut name = file.as_os_str().to_owned();
            name.push(suffix);
            let inserted = PathBuf::from(name);
            std::fs::copy(file, &inserted).unwrap();
            let key = keyed(&root, &inserted);
            let report = report(folder.path(), &keys).await;
            assert_named(&report, &key, "insertion");
            std::fs::remove_file(inserted).unwrap();
        }
    }
    assert!(report(folder.path(), &keys).await.is_intact());
}

/// Ruling 19: to an older state that is consistent, only who kept something elsewhere can tell.
#[tokio::test]
async fn a_checkpoint_rolled_back_is_named_and_a_ledger_rolled_back_is_unanchored() {
    let folder = tempfile::tempdir().unwrap();
    let keys = two_gateways(folder.path()).await;
    let ledger = folder.path().join("store/ledger").join(GATEWAY);
    let latest = ledger.join("checkpoint");
    let newest = std::fs::read(&latest).unwrap();
    let older = ledger.join(format!("checkpoints/{:020}", SEALS - 2));
    std::fs::copy(&older, &latest).unwrap();
    let rolled = report(folder.path(), &keys).await;
    assert_named(&rolled, "ledger/gateway-1/checkpoint", "rollback");
    std::fs::write(&latest, newest).unwrap();

    // The store as it was a seal ago: everything that the last one put is gone.
    let other = tempfile::tempdir().unwrap();
    let mut log = None;
    for seal in 0..2 {
        let opened = log.get_or_insert_with(|| open_log(other.path()));
        let sealer = sealer(opened, store(other.path())).await.unwrap();
        append(opened, [change(MIDNIGHT + seal)]).await;
        sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
        if seal == 0 {
            copy_folder(&other.path().join("store"), &other.path().join("before"));
        }
    }
    drop(log);
    let now = report(other.path(), &keys[..1]).await;
    std::fs::remove_dir_all(other.path().join("store")).unwrap();
    copy_folder(&other.path().join("before"), &other.path().join("store"));
    let before = report(other.path(), &keys[..1]).await;
    assert!(now.is_intact() && before.is_intact());
    assert!(
        before
            .to_string()
            .contains("complete up to log_index 0, unanchored"),
        "{before}"
    );
    assert_ne!(
        now.ledgers[0].root, before.ledgers[0].root,
        "a kept root tells"
    );
    let log = other.path().join("log");
    let pinned = verify(store(other.path()).as_ref(), &keys[..1], Some(&log)).await;
    let pinned = pinned.unwrap();
    assert!(
        pinned
            .problems
            .iter()
            .any(|problem| problem.object.ends_with("sealer.json")),
        "the log's folder tells: {pinned}"
    );
}

type Row = Vec<Cell>;

/// Who rewrites an object makes what follows from it fit, up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Repaired {
    Nothing,
    Manifest,
    Seal,
    /// With a key of his own.
    Signature,
    /// With the gateway's key.
    Everything,
}

fn row(index: i64, actor: &'static str) -> Row {
    let mut row = vec![
        Cell::text(GATEWAY),
        Cell::Integer(index),
        Cell::Integer(SCHEMA_VERSION),
        Cell::Time(MIDNIGHT),
    ];
    row.extend([Cell::text(actor), Cell::text("start")]);
    row.extend([Cell::Null, Cell::Null, Cell::Null]);
    row
}

/// Three rows, as they are and as someone would like them; what only numbering or the root tells, and at which record (of an object that is too
/// short or too long: at its first).
fn edits() -> [(&'static str, Vec<Row>, Option<(Fault, Option<u64>)>); 7] {
    let real = |index| row(index, "gateway");
    let at = |index| Some((Fault::Rows, Some(index)));
    let root = Some((Fault::Root, None));
    [
        ("nothing", vec![real(0), real(1), real(2)], None),
        ("a value", vec![real(0), row(1, "mallory"), real(2)], root),
        ("a deleted row", vec![real(0), real(2)], at(1)),
        ("a deleted last row", vec![real(0), real(1)], at(0)),
        (
            "an inserted row",
            vec![real(0), real(1), row(2, "mallory"), real(2)],
            at(3),
        ),
        (
            "an appended row",
            vec![real(0), real(1), real(2), row(3, "mallory")],
            at(0),
        ),
        (
            "two rows in another order",
            vec![real(1), real(0), real(2)],
            at(0),
        ),
    ]
}

/// Rewrites the one object of a store of one seal.
fn rewrite(root: &Path, rows: &[Row], repaired: Repaired) {
    let find = |part: &str| {
        let all = files(root);
        let found = all
            .iter()
            .find(|file| file.to_str().unwrap().contains(part));
        found.unwrap().clone()
    };
    let mut writer = crate::seal::object::ObjectWriter::new(Dataset::Changes).unwrap();
    writer
        .write(&Dataset::Changes.batch(rows).unwrap())
        .unwrap();
    let object = writer.finish().unwrap();
    let at = find("/manifests/");
    let mut manifest: documents::Manifest =
        serde_json::from_slice(&std::fs::read(&at).unwrap()).unwrap();
    (manifest.sha256, manifest.bytes) = (sha256(&object), object.len() as u64);
    std::fs::write(root.join(&manifest.key), object).unwrap();
    if repaired < Repaired::Manifest {
        return;
    }
    let manifest = documents::encode(&manifest).unwrap();
    std::fs::write(&at, &manifest).unwrap();
    if repaired < Repaired::Seal {
        return;
    }
    let at = find("/seals/");
    let mut seal: documents::Seal = serde_json::from_slice(&std::fs::read(&at).unwrap()).unwrap();
    seal.manifests[0].sha256 = sha256(&manifest);
    let seal = documents::encode(&seal).unwrap();
    std::fs::write(&at, &seal).unwrap();
    if repaired < Repaired::Signature {
        return;
    }
    let at = find("/checkpoints/");
    let signed = std::fs::read(&at).unwrap();
    let mut statement = checkpoint::open(&signed, &key().public(GATEWAY)).unwrap();
    statement.seal_sha256 = sha256(&seal);
    let signer = match repaired {
        Repaired::Everything => key(),
        _ => SigningKey::generate().unwrap(),
    };
    let signed = checkpoint::sign(&signer, GATEWAY, &statement).unwrap();
    std::fs::write(&at, &signed).unwrap();
    std::fs::write(root.join("ledger/gateway-1/checkpoint"), signed).unwrap();
}

/// The further somebody repairs, the later a check finds him; without the key, one always does.
#[tokio::test]
async fn rewritten_rows_are_found_however_much_is_made_to_fit() {
    const OBJECT: &str = "changes/date=2026-11-20/gateway-1-1-0-2.parquet";
    let manifest = format!("ledger/gateway-1/manifests/{OBJECT}.json");
    let (seal, signed) = (
        documents::Seal::key(GATEWAY, 0),
        checkpoint::key(GATEWAY, 0),
    );
    for (what, rows, alone) in edits() {
        let with_key = alone.clone().map(|(fault, index)| match fault {
            Fault::Root => (signed.clone(), index, fault),
            fault => (OBJECT.to_owned(), index, fault),
        });
        let levels = [
            (
                Repaired::Nothing,
                Some((OBJECT.to_owned(), Some(0), Fault::Digest)),
            ),
            (
                Repaired::Manifest,
                Some((manifest.clone(), Some(0), Fault::Digest)),
            ),
            (Repaired::Seal, Some((seal.clone(), None, Fault::Digest))),
            (
                Repaired::Signature,
                Some((signed.clone(), None, Fault::Signature)),
            ),
            (Repaired::Everything, with_key),
        ];
        for (repaired, expected) in levels {
            let folder = tempfile::tempdir().unwrap();
            let log = open_log(folder.path());
            let sealer = sealer(&log, store(folder.path())).await.unwrap();
            append(&log, [change(MIDNIGHT), change(MIDNIGHT), change(MIDNIGHT)]).await;
            sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
            rewrite(&folder.path().join("store"), &rows, repaired);
            let report = report(folder.path(), &[key().public(GATEWAY)]).await;
            let case = format!("{what}, repaired: {repaired:?}");
            // Who changes nothing and repairs nothing else is not found, of course; a signature of his own is.
            let is_same = alone.is_none() && repaired != Repaired::Signature;
            match expected.filter(|_| !is_same) {
                None => assert!(report.is_intact(), "{case}: {report}"),
                Some((object, index, fault)) => assert!(
                    report.problems.iter().any(|found| found.object == object
                        && found.index == index
                        && found.fault == fault),
                    "{case}: expected {fault:?} of {object} at {index:?}, found {report}"
                ),
            }
        }
    }
}

//! Compaction: the same rows in fewer objects, the originals untouched, and whatever is done to a compacted object found.

use std::path::Path;

use super::*;
use crate::query::{Format, query};
use crate::record::Micros;
use crate::retention::{Keeping, Retention};
use crate::testing::*;
use crate::verify::{Report, verify};

async fn report(folder: &Path) -> Report {
    verify(store(folder).as_ref(), &[key().public(GATEWAY)], None)
        .await
        .unwrap()
}

async fn asked(folder: &Path) -> Vec<String> {
    let mut answers = Vec::new();
    for dataset in Dataset::ALL {
        let sql = format!(
            "SELECT * FROM {} ORDER BY gateway, log_index",
            dataset.name()
        );
        let answer = query(store(folder), &sql).await.unwrap();
        answers.push(answer.render(Format::JsonLines).unwrap());
    }
    answers
}

async fn compacted(folder: &Path) -> Done {
    compact(store(folder), &hold_key("ops")).await.unwrap()
}

#[tokio::test]
async fn the_same_rows_in_fewer_objects_and_again_as_more_are_sealed() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let (before, originals) = (
        asked(folder.path()).await,
        files(&folder.path().join("store")),
    );
    let done = compacted(folder.path()).await;
    assert!(
        done.objects >= 4 && done.sources > 2 * done.objects - 1 && done.rows > 500,
        "{done:?}"
    );
    assert_eq!(asked(folder.path()).await, before);
    let found = report(folder.path()).await;
    assert!(
        found.is_intact() && found.compacted == done.objects,
        "{found}"
    );
    let now = files(&folder.path().join("store"));
    assert!(originals.iter().all(|file| now.contains(file)));
    assert_eq!(now.len() as u64, originals.len() as u64 + 2 * done.objects);
    assert_eq!(
        compacted(folder.path()).await,
        Done::default(),
        "once is enough"
    );

    // The same objects give the same bytes, whoever's.
    let copies: Vec<_> = now
        .iter()
        .filter(|file| !originals.contains(file))
        .collect();
    let bytes: Vec<_> = copies
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    std::fs::remove_dir_all(folder.path().join("store/compacted")).unwrap();
    compacted(folder.path()).await;
    for (file, bytes) in copies.iter().zip(bytes) {
        assert_eq!(std::fs::read(file).unwrap(), bytes, "{}", file.display());
    }

    // What is sealed later is read beside it, and compacted by a later run.
    let log = open_log(folder.path());
    let sealer = sealer(&log, store(folder.path())).await.unwrap();
    for _ in 0..2 {
        append(&log, [session(MIDNIGHT), change(MIDNIGHT)]).await;
        sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
    }
    let before = asked(folder.path()).await;
    assert!(compacted(folder.path()).await.objects >= 2);
    assert_eq!(asked(folder.path()).await, before);
    assert!(report(folder.path()).await.is_intact());
}

#[tokio::test]
async fn whatever_is_done_to_a_compacted_object_is_found() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    compacted(folder.path()).await;
    let root = folder.path().join("store");
    let keyed = |file: &Path| {
        file.strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let copies = files(&root.join("compacted"));
    for file in &copies {
        let whole = std::fs::read(file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for bytes in [Some(flipped), Some(whole[..whole.len() - 1].to_vec()), None] {
            match &bytes {
                Some(bytes) => std::fs::write(file, bytes).unwrap(),
                None => std::fs::remove_file(file).unwrap(),
            }
            let found = report(folder.path()).await;
            // Without its manifest the object is an insertion.
            let key = keyed(file).replace("compacted/manifests/", "compacted/");
            let is_named = found
                .problems
                .iter()
                .any(|one| one.object == key || one.object == keyed(file));
            assert!(is_named, "{key} {}: {found}", bytes.is_some());
            std::fs::write(file, &whole).unwrap();
        }
    }
    std::fs::write(root.join("compacted/note.txt"), "x").unwrap();
    assert!(!report(folder.path()).await.is_intact());
    std::fs::remove_file(root.join("compacted/note.txt")).unwrap();
    assert!(report(folder.path()).await.is_intact());

    // Whoever has a key of his own signs what he likes: rows that the tree doesn't have are found.
    let ops = hold_key("mallory");
    let all = read(store(folder.path()).as_ref()).await.unwrap();
    let contents = all
        .into_iter()
        .find(|one| one.dataset == Dataset::Statements && one.sources.len() > 1)
        .unwrap();
    let objects = |keys: &[Pinned]| -> Vec<Bytes> {
        keys.iter()
            .map(|pinned| std::fs::read(root.join(&pinned.key)).unwrap().into())
            .collect()
    };
    let mut swapped = contents.sources.clone();
    swapped.swap(0, 1);
    let mut doubled = contents.sources.clone();
    doubled[1] = doubled[0].clone();
    let genuine = std::fs::read(root.join(&contents.key)).unwrap();
    let note = std::fs::read(root.join(contents.manifest_key())).unwrap();
    let cases = [
        (contents.sources.clone(), objects(&swapped), Fault::Root),
        (contents.sources.clone(), objects(&doubled), Fault::Root),
        (
            contents.sources.clone(),
            objects(&contents.sources[1..]),
            Fault::Rows,
        ),
        (
            contents.sources[1..].to_vec(),
            objects(&contents.sources),
            Fault::Root,
        ),
        (
            contents
                .sources
                .iter()
                .map(|one| Pinned {
                    sha256: "0".repeat(64),
                    ..one.clone()
                })
                .collect(),
            objects(&contents.sources),
            Fault::Source,
        ),
    ];
    for (number, (sources, objects, fault)) in cases.into_iter().enumerate() {
        let object = merge(contents.dataset, objects).unwrap();
        let rows = match number {
            2 => contents.rows,
            _ => rows_of(&object),
        };
        let forged = Contents {
            sha256: ledger::sha256(&object),
            bytes: object.len() as u64,
            rows,
            sources,
            signer: ops.public(),
            ..contents.clone()
        };
        let at = forged.manifest_key();
        std::fs::write(
            root.join(&at),
            ops.note(FORMAT, "manifest", &forged, &at).unwrap(),
        )
        .unwrap();
        std::fs::write(root.join(&forged.key), object).unwrap();
        let found = report(folder.path()).await;
        let is_found = found
            .problems
            .iter()
            .any(|one| one.object == forged.key && one.fault == fault);
        assert!(is_found, "case {number}: {found}");
    }
    std::fs::write(root.join(&contents.key), genuine).unwrap();
    std::fs::write(root.join(contents.manifest_key()), note).unwrap();
    assert!(report(folder.path()).await.is_intact());
}

fn rows_of(object: &[u8]) -> u64 {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(object)).unwrap();
    u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap()
}

#[tokio::test]
async fn rows_that_retention_deletes_are_gone_from_compacted_objects_too() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    compacted(folder.path()).await;
    let log = open_log(folder.path());
    let sealer = Arc::new(sealer(&log, store(folder.path())).await.unwrap());
    let retention = Retention {
        days: 10,
        actor: "gateway".to_owned(),
    };
    let later = Micros(MIDNIGHT + 11 * 86_400_000_000);
    let mut keeping = Keeping::new(sealer, Some(retention));
    // Statements that waited became rows meanwhile, of days that are over: the second turn's.
    for _ in 0..2 {
        keeping.turn(later).await.unwrap();
    }
    let left: Vec<String> = store::list(store(folder.path()).as_ref(), "compacted")
        .await
        .unwrap();
    assert!(
        !left.is_empty() && left.iter().all(|key| key.contains("/changes/")),
        "{left:?}"
    );
    assert!(report(folder.path()).await.is_intact());
    let answer = query(
        store(folder.path()),
        "SELECT count(*) AS rows FROM statements",
    )
    .await
    .unwrap();
    assert_eq!(answer.render(Format::JsonLines).unwrap(), "{\"rows\":0}\n");
}

/// What a query over many small objects costs, before and after (said on standard error, for the docs).
#[tokio::test]
async fn a_query_opens_fewer_objects() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let sealer = sealer(&log, store(folder.path())).await.unwrap();
    for seal in 0..200 {
        let at = MIDNIGHT + seal;
        let number = u64::try_from(seal).unwrap();
        append(&log, [decision(number, at), end(number, at)]).await;
        sealer.seal_now(Micros(at)).await.unwrap();
    }
    let opened = async || {
        let manifests = query::manifests(&store(folder.path())).await.unwrap();
        let objects = in_place(store(folder.path()).as_ref(), &manifests)
            .await
            .unwrap();
        objects[&Dataset::Statements].len()
    };
    let timed = async || {
        let tables = crate::query::Tables::open(store(folder.path()))
            .await
            .unwrap();
        let begun = std::time::Instant::now();
        let answer = tables
            .ask("SELECT count(DISTINCT sql) AS texts FROM statements")
            .await
            .unwrap();
        assert_eq!(
            answer.render(Format::JsonLines).unwrap(),
            "{\"texts\":200}\n"
        );
        begun.elapsed()
    };
    let (objects_before, before) = (opened().await, timed().await);
    compacted(folder.path()).await;
    let (objects_after, after) = (opened().await, timed().await);
    assert_eq!((objects_before, objects_after), (200, 1));
    eprintln!("200 objects: {before:?}; compacted: {after:?}");
}

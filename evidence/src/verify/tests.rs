//! Tampering: whatever is changed in a sealed store or in the log's folder must be found.

mod kept;
mod tampering;

use std::path::PathBuf;

use super::*;
use crate::key::SigningKey;
use crate::ledger::checkpoint;
use crate::testing::*;

async fn report(folder: &Path) -> Report {
    let log = folder.join("log");
    verify(store(folder).as_ref(), &[key().public(GATEWAY)], Some(&log))
        .await
        .unwrap()
}

/// A filled store, checked to be intact.
async fn intact() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let report = report(folder.path()).await;
    assert!(report.is_intact(), "{report}");
    folder
}

fn find(folder: &Path, part: &str) -> PathBuf {
    files(folder)
        .into_iter()
        .find(|file| file.to_string_lossy().contains(part))
        .unwrap_or_else(|| panic!("no {part}"))
}

#[tokio::test]
async fn an_intact_store_says_how_far_it_is_complete() {
    let folder = intact().await;
    let report = report(folder.path()).await;
    assert_eq!(report.ledgers[0].seals, 4);
    assert_eq!(report.log.unwrap().unsealed, 2);
    let last = report.ledgers[0].rows - 1;
    let expected = format!("gateway-1: complete up to log_index {last}, unanchored");
    assert!(report.to_string().starts_with(&expected), "{report}");
}

/// What rows hash to is what they always hashed to, over every dataset, list, mask and null: the canonical form must not change, but for
/// columns that a schema version adds, and its number, which is in each row (the last: 5, a dataset more).
#[tokio::test]
async fn the_root_of_known_rows_is_the_one_it_always_was() {
    let folder = intact().await;
    let ledger = report(folder.path()).await.ledgers.remove(0);
    let root = "mTLRlPqrfWgod8CCwoq9RZU1o1CNOFVkUgC1oYh0y74=";
    assert_eq!((ledger.rows, ledger.root.as_deref()), (610, Some(root)));
}

#[tokio::test]
async fn a_flipped_byte_in_any_file_is_found_and_the_file_is_named() {
    let folder = intact().await;
    let mut flipped = 0;
    for file in files(folder.path()) {
        if file.ends_with("reserve") {
            continue; // zeros, which nobody reads
        }
        let whole = std::fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        // A spread over the file, always the first and the last byte.
        let step = (whole.len() / 8).max(1);
        for position in (0..whole.len())
            .step_by(step)
            .chain(whole.len().checked_sub(1))
        {
            let mut bytes = whole.clone();
            bytes[position] ^= 0x01;
            std::fs::write(&file, &bytes).unwrap();
            let report = report(folder.path()).await;
            assert!(
                !report.is_intact(),
                "{} byte {position} went unseen",
                file.display()
            );
            assert!(
                report.problems.iter().any(|p| p.object.contains(&name)),
                "{name} byte {position}: {report}"
            );
            flipped += 1;
        }
        std::fs::write(&file, whole).unwrap();
    }
    assert!(flipped > 300, "{flipped}");
    assert!(report(folder.path()).await.is_intact());
}

#[tokio::test]
async fn a_removed_emptied_or_shortened_file_is_found() {
    let folder = intact().await;
    for file in files(folder.path()) {
        if file.ends_with("lock") || file.ends_with("reserve") {
            continue; // always empty, or zeros: nothing in them is evidence
        }
        let whole = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(
            !report(folder.path()).await.is_intact(),
            "{} removed",
            file.display()
        );
        for length in [0, whole.len() - 1] {
            std::fs::write(&file, &whole[..length]).unwrap();
            assert!(
                !report(folder.path()).await.is_intact(),
                "{} cut to {length}",
                file.display()
            );
        }
        std::fs::write(&file, whole).unwrap();
    }
    assert!(report(folder.path()).await.is_intact());
}

#[tokio::test]
async fn an_added_file_is_found() {
    let folder = intact().await;
    let parquet = find(&folder.path().join("store/statements"), ".parquet");
    for name in [
        "statements/date=2026-11-20/gateway-1-9-9-9.parquet",
        "ledger/gateway-1/tile/0/000.p/3.new",
        "ledger/gateway-1/seals/00000000000000000009.json",
        "ledger/gateway-1/checkpoints/00000000000000000009",
        "ledger/other/key.pub",
        "note.txt",
    ] {
        let added = folder.path().join("store").join(name);
        std::fs::create_dir_all(added.parent().unwrap()).unwrap();
        std::fs::copy(&parquet, &added).unwrap();
        assert!(!report(folder.path()).await.is_intact(), "{name}");
        std::fs::remove_file(added).unwrap();
    }
    assert!(report(folder.path()).await.is_intact());
}

#[tokio::test]
async fn swapped_objects_manifests_seals_checkpoints_and_tiles_are_found() {
    let folder = intact().await;
    for kind in [
        "store/statements",
        "store/maskings",
        "/manifests/statements",
        "/seals/",
        "/checkpoints/",
        "/tile/0/",
    ] {
        let same: Vec<_> = files(folder.path())
            .into_iter()
            .filter(|file| file.to_string_lossy().contains(kind))
            .collect();
        let [first, second, ..] = same.as_slice() else {
            panic!("{kind}")
        };
        let swap = || {
            let spare = folder.path().join("spare");
            std::fs::rename(first, &spare).unwrap();
            std::fs::rename(second, first).unwrap();
            std::fs::rename(&spare, second).unwrap();
        };
        swap();
        assert!(!report(folder.path()).await.is_intact(), "{kind}");
        swap();
    }
    assert!(report(folder.path()).await.is_intact());
}

#[tokio::test]
async fn another_key_another_gateway_s_key_and_no_key_are_refused() {
    let folder = intact().await;
    for key in [
        SigningKey::generate().unwrap().public(GATEWAY),
        key().public("gateway-2"),
    ] {
        let report = verify(store(folder.path()).as_ref(), &[key], None)
            .await
            .unwrap();
        assert!(!report.is_intact());
    }
    let report = verify(store(folder.path()).as_ref(), &[], None)
        .await
        .unwrap();
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.fault == Fault::NoKey)
    );
    let empty = tempfile::tempdir().unwrap();
    let report = verify(store(empty.path()).as_ref(), &[key().public(GATEWAY)], None)
        .await
        .unwrap();
    assert!(!report.is_intact(), "an emptied store is not intact");
}

/// An attacker without the key who repairs every digest up to the signature: rows changed, deleted, swapped, with
/// fitting manifest and seal. Only the signature is out of reach, and it is what must fail.
#[tokio::test]
async fn a_consistent_rewrite_without_the_key_fails_at_the_signature() {
    let folder = intact().await;
    let target = tempfile::tempdir().unwrap();
    let log = open_log(target.path());
    let forger = SigningKey::generate().unwrap();
    let sealer =
        crate::seal::Sealer::open(std::sync::Arc::clone(&log), store(target.path()), forger)
            .await
            .unwrap();
    append(&log, [change(MIDNIGHT), session(MIDNIGHT)]).await;
    sealer
        .seal_now(crate::record::Micros(MIDNIGHT))
        .await
        .unwrap();
    let genuine = folder.path().join("store/ledger/gateway-1/key.pub");
    std::fs::copy(
        genuine,
        target.path().join("store/ledger/gateway-1/key.pub"),
    )
    .unwrap();
    let report = verify(
        store(target.path()).as_ref(),
        &[key().public(GATEWAY)],
        None,
    )
    .await
    .unwrap();
    let at = checkpoint::key(GATEWAY, 0);
    assert!(
        report
            .problems
            .iter()
            .any(|p| p.object == at && p.fault == Fault::Signature),
        "{report}"
    );
}

/// Ruling 19: the store alone can't tell, the log's folder can, for it pins the last seal.
#[tokio::test]
async fn a_rollback_to_an_older_state_is_consistent_but_unanchored_and_the_log_s_folder_tells() {
    let folder = intact().await;
    let store_folder = folder.path().join("store");
    let last = 3;
    for file in files(&store_folder) {
        let name = file.to_string_lossy().into_owned();
        if name.contains(&format!("checkpoints/{last:020}"))
            || name.contains(&format!("seals/{last:020}"))
        {
            std::fs::remove_file(file).unwrap();
        }
    }
    let report = report(folder.path()).await;
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.object.ends_with("sealer.json")),
        "{report}"
    );
}

/// Rewrites the last seal as the holder of the key could: documents edited, digests and signature made to fit.
fn resign(
    folder: &Path,
    edit: impl FnOnce(&mut crate::ledger::documents::Seal, &mut checkpoint::Statement),
) {
    use crate::ledger::{documents, sha256};
    let ledger = folder.join("store/ledger/gateway-1");
    let at = |kind: &str, ending: &str| ledger.join(kind).join(format!("{:020}{ending}", 3));
    let signed = std::fs::read(at("checkpoints", "")).unwrap();
    let mut statement = checkpoint::open(&signed, &key().public(GATEWAY)).unwrap();
    let mut seal = serde_json::from_slice(&std::fs::read(at("seals", ".json")).unwrap()).unwrap();
    edit(&mut seal, &mut statement);
    let bytes = documents::encode(&seal).unwrap();
    statement.seal_sha256 = sha256(&bytes);
    std::fs::write(at("seals", ".json"), bytes).unwrap();
    let signed = checkpoint::sign(&key(), GATEWAY, &statement).unwrap();
    std::fs::write(at("checkpoints", ""), &signed).unwrap();
    std::fs::write(ledger.join("checkpoint"), signed).unwrap();
}

/// Signatures and digests fit in each case, so what must bite is the one check behind them.
#[tokio::test]
async fn a_signed_seal_that_contradicts_the_ledger_is_found_by_the_check_meant_for_it() {
    type Edit = fn(&mut crate::ledger::documents::Seal, &mut checkpoint::Statement);
    let cases: [(Edit, Fault); 8] = [
        (|_, statement| statement.root.0[0] ^= 1, Fault::Root),
        (
            |_, statement| statement.size += 1,
            Fault::Field { field: "tree_size" },
        ),
        (
            |seal, _| seal.previous = None,
            Fault::Field { field: "previous" },
        ),
        (|seal, _| seal.epoch = 0, Fault::Field { field: "epoch" }),
        (
            |seal, _| seal.first_sequence += 1,
            Fault::Field {
                field: "first_sequence",
            },
        ),
        (
            |seal, _| seal.first_log_index += 1,
            Fault::Field {
                field: "first_log_index",
            },
        ),
        (
            |seal, _| seal.manifests.reverse(),
            Fault::Field {
                field: "first_log_index",
            },
        ),
        (
            |seal, _| drop(seal.manifests.pop()),
            Fault::Field { field: "tree_size" },
        ),
    ];
    let folder = intact().await;
    for (number, (edit, expected)) in cases.into_iter().enumerate() {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        resign(copy.path(), edit);
        let report = report(copy.path()).await;
        assert!(
            report
                .problems
                .iter()
                .any(|problem| problem.fault == expected),
            "case {number}: {report}"
        );
    }
    let copy = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), copy.path());
    resign(copy.path(), |_, _| {});
    assert!(
        report(copy.path()).await.is_intact(),
        "resigning alone changes nothing"
    );
}

/// Goes on from what an earlier verification came to; what it said.
async fn resumed(folder: &Path, verified: &[Verified]) -> (Report, Option<Verified>) {
    let kept = std::sync::Mutex::new(None);
    let watch = |step: &Step<'_>| *kept.lock().unwrap() = step.verified.clone();
    let course = Course {
        log: None,
        verified,
        watch: Some(&watch),
        stamp_roots: None,
    };
    let keys = [key().public(GATEWAY)];
    let report = verify_by(store(folder).as_ref(), &keys, &course)
        .await
        .unwrap();
    (report, kept.into_inner().unwrap())
}

#[tokio::test]
async fn a_verification_goes_on_from_an_earlier_one_and_is_bound_to_its_checkpoint() {
    let folder = intact().await;
    let (whole, kept) = resumed(folder.path(), &[]).await;
    let kept = kept.unwrap();
    assert_eq!((kept.seal, whole.ledgers[0].taken), (3, 0));

    // Up to the last seal, and up to one before: the same root either way.
    let before = checkpoint::key(GATEWAY, 1);
    let before = Verified {
        seal: 1,
        checkpoint_sha256: crate::ledger::sha256(
            &std::fs::read(folder.path().join("store").join(before)).unwrap(),
        ),
        ..kept.clone()
    };
    for verified in [kept.clone(), before.clone()] {
        let (report, again) = resumed(folder.path(), std::slice::from_ref(&verified)).await;
        assert!(report.is_intact(), "{report}");
        assert_eq!(report.ledgers[0].root, whole.ledgers[0].root);
        assert!(report.ledgers[0].taken > 0);
        assert_eq!(again, Some(kept.clone()));
    }

    let other = Verified {
        checkpoint_sha256: "0".repeat(64),
        ..before.clone()
    };
    let beyond = Verified { seal: 9, ..kept };
    for (verified, fault) in [(other, Fault::Changed), (beyond, Fault::Missing)] {
        let (report, again) = resumed(folder.path(), &[verified]).await;
        assert!(
            report.problems.iter().any(|problem| problem.fault == fault),
            "{report}"
        );
        assert_eq!(again, None, "nothing to go on from");
    }

    // Whatever was changed since is found, but for the rows that were hashed before.
    for file in files(&folder.path().join("store")) {
        let name = file
            .strip_prefix(folder.path().join("store"))
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let whole = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let (report, _) = resumed(folder.path(), std::slice::from_ref(&before)).await;
        assert!(!report.is_intact(), "{name} was removed, unseen");
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        std::fs::write(&file, changed).unwrap();
        let (report, _) = resumed(folder.path(), std::slice::from_ref(&before)).await;
        let is_row = name.ends_with(".parquet") || name.contains("/tile/");
        assert!(!report.is_intact() || is_row, "{name} was changed, unseen");
        std::fs::write(&file, whole).unwrap();
    }
}

/// What people are asked and say is no evidence; what is planted among the dataset's objects is found all the same.
#[tokio::test]
async fn what_is_planted_among_approvals_is_found() {
    let folder = intact().await;
    let planted = |name: &str| {
        let path = folder.path().join("store").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    };
    planted("held/0199aabbccdd-00112233aabb/request");
    assert!(report(folder.path()).await.is_intact());
    planted("approvals/date=2026-11-20/planted.parquet");
    let report = report(folder.path()).await;
    let faults: Vec<_> = report.problems.iter().map(|found| &found.fault).collect();
    assert_eq!(faults, [&Fault::Uncovered], "{report}");
}

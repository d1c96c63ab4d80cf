//! Retention and legal holds, tampered with: what was deleted must have been announced, by its own digest and rows, and must not have been held.

use std::sync::Arc;

use crate::holds::{Day, Hold, place, release};
use crate::record::Micros;
use crate::retention::{Keeping, Retention};
use crate::testing::*;
use crate::verify::{Course, Fault, Report, Step, verify, verify_by};

const DAY: i64 = 86_400_000_000;
const LATER: i64 = MIDNIGHT + 11 * DAY;

async fn report(folder: &std::path::Path) -> Report {
    verify(store(folder).as_ref(), &[key().public(GATEWAY)], None)
        .await
        .unwrap()
}

/// A store from which retention took what was ten days old, and a seal that came after.
async fn retained(folder: &std::path::Path) {
    filled(folder).await;
    let log = open_log(folder);
    let sealer = Arc::new(sealer(&log, store(folder)).await.unwrap());
    let retention = Retention {
        days: 10,
        actor: "gateway".to_owned(),
    };
    append(&log, [session(LATER), change(LATER)]).await;
    let mut keeping = Keeping::new(Arc::clone(&sealer), Some(retention));
    keeping.turn(Micros(LATER)).await.unwrap();
    append(&log, [session(LATER), change(LATER)]).await;
    sealer.seal_now(Micros(LATER)).await.unwrap();
}

#[tokio::test]
async fn every_file_that_is_left_flipped_or_deleted_is_named() {
    let folder = tempfile::tempdir().unwrap();
    retained(folder.path()).await;
    let found = report(folder.path()).await;
    assert!(
        found.is_intact() && found.ledgers[0].deleted.len() > 4,
        "{found}"
    );
    let root = folder.path().join("store");
    for file in files(&root) {
        let key = file
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x10;
        for bytes in [Some(flipped), None] {
            match &bytes {
                Some(bytes) => std::fs::write(&file, bytes).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            let found = report(folder.path()).await;
            // Without the last checkpoint, what doesn't fit is its copy.
            let is_named = found.problems.iter().any(|one| one.object == key);
            let is_last = bytes.is_none() && key.contains("/checkpoints/");
            assert!(
                is_named || (is_last && !found.is_intact()),
                "{key} {}: {found}",
                bytes.is_some()
            );
            std::fs::write(&file, &whole).unwrap();
        }
    }
    assert!(report(folder.path()).await.is_intact());
}

/// Another object's announcement, one that comes too late or is of other rows explains nothing.
#[tokio::test]
async fn what_was_not_announced_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    retained(folder.path()).await;
    let young = files(&folder.path().join("store/sessions")).remove(0);
    std::fs::remove_file(&young).unwrap();
    let found = report(folder.path()).await;
    let name = young.file_name().unwrap().to_str().unwrap();
    let missing: Vec<_> = found
        .problems
        .iter()
        .map(|one| (one.object.ends_with(name), &one.fault))
        .collect();
    assert_eq!(missing, [(true, &Fault::Missing)], "{found}");
}

#[tokio::test]
async fn what_was_deleted_while_it_was_held_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = store(folder.path());
    retained(folder.path()).await;
    let legal = hold_key("legal");
    let hold = |name: &str, placed_at: i64| Hold {
        name: name.to_owned(),
        reason: "a suit".to_owned(),
        placed_at: Micros(placed_at),
        from: None,
        to: None,
        gateways: Vec::new(),
        datasets: Vec::new(),
        key: legal.public(),
    };
    // After it was deleted; before, but over by then; of other days.
    place(at.as_ref(), &hold("after", LATER + 1), &legal)
        .await
        .unwrap();
    place(at.as_ref(), &hold("over", MIDNIGHT), &legal)
        .await
        .unwrap();
    release(at.as_ref(), "over", "settled", Micros(LATER - 1), &legal)
        .await
        .unwrap();
    let other = Hold {
        from: Day::parse("2026-12-01"),
        ..hold("other", MIDNIGHT)
    };
    place(at.as_ref(), &other, &legal).await.unwrap();
    assert!(report(folder.path()).await.is_intact());
    place(at.as_ref(), &hold("smith", MIDNIGHT), &legal)
        .await
        .unwrap();
    let found = report(folder.path()).await;
    let held = Fault::Held {
        hold: "smith".to_owned(),
    };
    let deleted = found.ledgers[0].deleted.len();
    assert_eq!(
        found
            .problems
            .iter()
            .filter(|one| one.fault == held)
            .count(),
        deleted,
        "{found}"
    );
    // Released only after the deletion: it was held all the same.
    release(at.as_ref(), "smith", "settled", Micros(LATER + 1), &legal)
        .await
        .unwrap();
    assert!(!report(folder.path()).await.is_intact());
}

/// An earlier verification's word is good where objects are gone since, and where their announcement was verified before.
#[tokio::test]
async fn a_verification_goes_on_over_what_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    retained(folder.path()).await;
    let keys = [key().public(GATEWAY)];
    let kept = std::sync::Mutex::new(None);
    let watch = |step: &Step<'_>| *kept.lock().unwrap() = step.verified.clone();
    let course = Course {
        watch: Some(&watch),
        ..Course::default()
    };
    let at = store(folder.path());
    let whole = verify_by(at.as_ref(), &keys, &course).await.unwrap();
    let verified = kept.lock().unwrap().clone();
    let verified = [verified.expect("nothing is wrong")];
    let course = Course {
        verified: &verified,
        watch: Some(&watch),
        ..Course::default()
    };
    let again = verify_by(at.as_ref(), &keys, &course).await.unwrap();
    assert!(again.is_intact(), "{again}");
    assert_eq!(again.ledgers[0].deleted, whole.ledgers[0].deleted);
    assert_eq!(kept.lock().unwrap().clone(), Some(verified[0].clone()));
    let young = files(&folder.path().join("store/sessions")).remove(0);
    std::fs::remove_file(young).unwrap();
    let again = verify_by(at.as_ref(), &keys, &course).await.unwrap();
    assert!(!again.is_intact());
    assert_eq!(*kept.lock().unwrap(), None);
}

//! Holds: read as written, kept when anything about them is wrong, ended by whoever placed them and nobody else.

use std::sync::Arc;

use super::*;
use crate::testing::{MIDNIGHT, SECOND, hold_key, store};

fn hold(name: &str, key: &HoldKey) -> Hold {
    Hold {
        name: name.to_owned(),
        reason: "Smith ./. Example".to_owned(),
        placed_at: Micros(MIDNIGHT),
        from: Day::parse("2026-11-01"),
        to: Day::parse("2026-11-20"),
        gateways: vec!["g".to_owned()],
        datasets: vec!["statements".to_owned()],
        key: key.public(),
    }
}

#[test]
fn what_a_hold_covers() {
    let whole = hold("a", &hold_key("legal@corp"));
    let check = |hold: &Hold, gateway: &str, key: &str, expected: bool| {
        assert_eq!(hold.covers(gateway, key), expected, "{gateway} {key}");
    };
    check(
        &whole,
        "g",
        "statements/date=2026-11-01/g-1-0-1.parquet",
        true,
    );
    check(
        &whole,
        "g",
        "statements/date=2026-11-20/g-1-0-1.parquet",
        true,
    );
    check(
        &whole,
        "g",
        "statements/date=2026-10-31/g-1-0-1.parquet",
        false,
    );
    check(
        &whole,
        "g",
        "statements/date=2026-11-21/g-1-0-1.parquet",
        false,
    );
    check(
        &whole,
        "h",
        "statements/date=2026-11-01/h-1-0-1.parquet",
        false,
    );
    check(
        &whole,
        "g",
        "sessions/date=2026-11-01/g-1-0-1.parquet",
        false,
    );
    // What can't be told is held.
    check(
        &whole,
        "g",
        "statements/date=-001-11-01/g-1-0-1.parquet",
        true,
    );
    check(&whole, "g", "statements/g-1-0-1.parquet", true);
    let unknown = Hold {
        datasets: vec!["statments".to_owned()],
        ..whole.clone()
    };
    check(
        &unknown,
        "g",
        "sessions/date=2026-11-01/g-1-0-1.parquet",
        true,
    );
    let all = Hold {
        from: None,
        to: None,
        gateways: Vec::new(),
        datasets: Vec::new(),
        ..whole
    };
    check(&all, "h", "maskings/date=1999-11-01/h-1-0-1.parquet", true);
}

#[tokio::test]
async fn a_hold_is_placed_once_and_released_by_its_own_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (legal, other) = (hold_key("legal@corp"), hold_key("ops@corp"));
    let object = "statements/date=2026-11-01/g-1-0-1.parquet";
    let placed = hold("smith", &legal);
    place(store.as_ref(), &placed, &legal).await.unwrap();
    let holds = Holds::read(store.as_ref()).await.unwrap();
    assert_eq!(holds.keeper("g", object), Some("smith"));
    assert_eq!(holds.standing["smith"].hold, placed);
    assert_eq!(placed.by(), "legal@corp");

    let refused = |done: Result<(), Error>, expected: Problem| match done {
        Err(Error::Hold { problem, .. }) => assert_eq!(problem, expected),
        other => panic!("{other:?}"),
    };
    let again = Hold {
        reason: "another".to_owned(),
        ..placed.clone()
    };
    refused(place(store.as_ref(), &again, &legal).await, Problem::Taken);
    refused(
        place(store.as_ref(), &placed, &other).await,
        Problem::OtherKey,
    );
    let misnamed = Hold {
        name: "a/b".to_owned(),
        ..placed.clone()
    };
    refused(
        place(store.as_ref(), &misnamed, &legal).await,
        Problem::Name,
    );
    let at = Micros(MIDNIGHT + SECOND);
    refused(
        release(store.as_ref(), "smith", "over", at, &other).await,
        Problem::OtherKey,
    );
    refused(
        release(store.as_ref(), "jones", "over", at, &legal).await,
        Problem::Unplaced,
    );
    release(store.as_ref(), "smith", "over", at, &legal)
        .await
        .unwrap();
    let holds = Holds::read(store.as_ref()).await.unwrap();
    assert_eq!(
        (holds.keeper("g", object), holds.readable().is_ok()),
        (None, true)
    );
    assert!(holds.standing["smith"].held_at(Micros(MIDNIGHT)));
    assert!(!holds.standing["smith"].held_at(at));
    refused(
        release(store.as_ref(), "smith", "again", at, &legal).await,
        Problem::Taken,
    );
}

/// Whatever is done to a document: the hold stands, or nothing may be deleted at all.
#[tokio::test]
async fn every_flipped_byte_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = store(folder.path());
    let legal = hold_key("legal@corp");
    place(store.as_ref(), &hold("smith", &legal), &legal)
        .await
        .unwrap();
    let at = Micros(MIDNIGHT + SECOND);
    release(store.as_ref(), "smith", "over", at, &legal)
        .await
        .unwrap();
    for name in ["placed", "released"] {
        let path = folder.path().join("store/holds/smith").join(name);
        let whole = std::fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[position] ^= 1;
            for bytes in [&flipped[..], &whole[..position]] {
                std::fs::write(&path, bytes).unwrap();
                let holds = Holds::read(store.as_ref()).await.unwrap();
                assert!(holds.readable().is_err(), "{name} byte {position}");
            }
        }
        std::fs::write(&path, &whole).unwrap();
    }
    // One who has a key of his own can't end another's hold, whatever he names himself.
    let forger = HoldKey::from_pem(
        "legal@corp",
        &crate::SigningKey::generate().unwrap().to_pem().unwrap(),
    )
    .unwrap();
    let release = Release {
        name: "smith".to_owned(),
        reason: "over".to_owned(),
        released_at: at,
        placed_sha256: Holds::read(store.as_ref()).await.unwrap().standing["smith"]
            .sha256
            .clone(),
    };
    let path = folder.path().join("store/holds/smith/released");
    std::fs::write(&path, release.sign(&forger).unwrap()).unwrap();
    let holds = Holds::read(store.as_ref()).await.unwrap();
    assert_eq!(holds.unreadable[0].problem, Problem::Signature);
    assert_eq!(
        holds.keeper("g", "statements/date=2026-11-01/x"),
        Some("smith")
    );
    std::fs::remove_file(path).unwrap();
    std::fs::write(folder.path().join("store/holds/note.txt"), "x").unwrap();
    let holds = Holds::read(store.as_ref()).await.unwrap();
    assert_eq!(holds.unreadable[0].problem, Problem::Name);
}

#[test]
fn days_are_plain() {
    for (text, expected) in [
        ("2026-11-20", true),
        ("2024-02-29", true),
        ("2023-02-29", false),
        ("1969-12-31", false),
        ("2026-1-20", false),
        ("20261120", false),
        ("+002026-11-20", false),
        ("", false),
    ] {
        assert_eq!(Day::parse(text).is_some(), expected, "{text}");
    }
}

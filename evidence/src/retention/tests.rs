//! Retention: what is over its time goes, after the ledger says so; what is held, or can't be told, stays; no crash leaves an object that is
//! missing without a word.

use std::time::Duration;

use object_store::memory::InMemory;

use super::*;
use crate::faulty::{FaultyDisk, FaultyStore, Fuse, Trouble};
use crate::holds::{Hold, Problem, place, release};
use crate::log::{Log, LogOptions};
use crate::query::{Format, query};
use crate::testing::*;
use crate::verify::{Report, verify};

const DAY: i64 = MICROS_PER_DAY;
/// Ten days after the last row, by a hair.
const LATER: Micros = Micros(MIDNIGHT + 11 * DAY);

fn retention() -> Option<Retention> {
    Some(Retention {
        days: 10,
        actor: "gateway".to_owned(),
    })
}

fn hold(name: &str) -> Hold {
    Hold {
        name: name.to_owned(),
        reason: "a suit".to_owned(),
        placed_at: Micros(MIDNIGHT),
        from: Day::parse("2026-11-20"),
        to: None,
        gateways: Vec::new(),
        datasets: vec!["statements".to_owned(), "maskings".to_owned()],
        key: hold_key("legal").public(),
    }
}

async fn turn(folder: &std::path::Path, now: Micros) -> Result<Kept, Error> {
    let log = open_log(folder);
    let sealer = Arc::new(sealer(&log, store(folder)).await?);
    Keeping::new(sealer, retention()).turn(now).await
}

async fn report(folder: &std::path::Path) -> Report {
    verify(store(folder).as_ref(), &[key().public(GATEWAY)], None)
        .await
        .unwrap()
}

async fn asked(folder: &std::path::Path, sql: &str) -> String {
    let answer = query(store(folder), sql).await.unwrap();
    answer.render(Format::JsonLines).unwrap()
}

fn objects(folder: &std::path::Path, dataset: &str) -> usize {
    let at = folder.join("store").join(dataset);
    files(&at).len()
}

#[tokio::test]
async fn what_is_over_its_time_goes_and_the_ledger_says_so() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    // The day that ends now is not ten days old yet.
    let now = Micros(MIDNIGHT + 11 * DAY - 1);
    let kept = turn(folder.path(), now).await.unwrap();
    assert_eq!((kept.announced, kept.deleted), (3, 3), "of the day before");
    let before = report(folder.path()).await;
    assert!(before.is_intact(), "{before}");

    let due = plan(store(folder.path()).as_ref(), 10, LATER)
        .await
        .unwrap();
    assert!(due.due.len() > 4 && due.held.is_empty(), "{due:?}");
    let kept = turn(folder.path(), LATER).await.unwrap();
    assert_eq!(
        (kept.announced, kept.deleted),
        (due.due.len() as u64, due.due.len() as u64)
    );
    for dataset in ["statements", "maskings", "sessions"] {
        assert_eq!(objects(folder.path(), dataset), 0, "{dataset}");
    }
    assert!(objects(folder.path(), "changes") > 3);
    let report = report(folder.path()).await;
    assert!(report.is_intact(), "{report}");
    let ledger = &report.ledgers[0];
    let gone: u64 = ledger.deleted.iter().map(|one| one.rows).sum();
    assert_eq!(ledger.deleted.len() as u64, 3 + kept.deleted);
    assert!(
        gone > 600 && gone < ledger.rows,
        "{gone} of {}",
        ledger.rows
    );
    assert!(
        report
            .to_string()
            .contains(&format!("{gone} rows deleted under retention"))
    );
    // Once is enough.
    assert_eq!(turn(folder.path(), LATER).await.unwrap(), Kept::default());

    let sql = "SELECT count(*) AS rows, count(digest) AS digests, min(\"after\") AS said FROM changes WHERE what = 'evidence-deleted'";
    let said = asked(folder.path(), sql).await;
    let expected = format!("{{\"rows\":{0},\"digests\":{0},", ledger.deleted.len());
    assert!(
        said.starts_with(&expected) && said.contains("older than 10 days"),
        "{said}"
    );
    assert_eq!(
        asked(folder.path(), "SELECT count(*) AS rows FROM statements").await,
        "{\"rows\":0}\n"
    );
    let population = crate::report::queries::POPULATION.within(crate::report::queries::Period::ALL);
    let stated = asked(folder.path(), &population).await;
    let expected = format!("\"deleted_rows\":{gone},\"missing_rows\":0");
    assert!(stated.contains(&expected), "{stated}");
    let prover = crate::Prover::open(store(folder.path())).await.unwrap();
    let first = &ledger.deleted[0];
    let proved = prover.prove(GATEWAY, first.first_log_index).await;
    assert!(matches!(proved, Err(Error::Gone { .. })), "{proved:?}");
    let said = prover
        .prove(GATEWAY, first.announced_log_index)
        .await
        .unwrap();
    assert_eq!(said.row().unwrap()["what"], "evidence-deleted");
    // A gateway goes on.
    filled_again(folder.path()).await;
    assert!(super::tests::report(folder.path()).await.is_intact());
}

async fn filled_again(folder: &std::path::Path) {
    let log = open_log(folder);
    let sealer = sealer(&log, store(folder)).await.unwrap();
    append(&log, [change(LATER.0), session(LATER.0)]).await;
    sealer.seal_now(LATER).await.unwrap();
}

#[tokio::test]
async fn what_is_held_stays_until_it_is_released() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let at = store(folder.path());
    let legal = hold_key("legal");
    place(at.as_ref(), &hold("smith"), &legal).await.unwrap();
    let (statements, maskings) = (
        objects(folder.path(), "statements"),
        objects(folder.path(), "maskings"),
    );
    let kept = turn(folder.path(), LATER).await.unwrap();
    // The 19th is not held, and neither are sessions.
    assert!(kept.held > 3 && kept.deleted > 1, "{kept:?}");
    assert_eq!(objects(folder.path(), "sessions"), 0);
    assert!(objects(folder.path(), "maskings") >= maskings);
    let left = objects(folder.path(), "statements");
    assert!(
        (3..statements + 1).contains(&left),
        "{left} of {statements}"
    );
    assert!(report(folder.path()).await.is_intact());
    let plan = plan(at.as_ref(), 10, LATER).await.unwrap();
    assert!(plan.due.is_empty() && plan.held.iter().all(|(_, hold)| hold == "smith"));

    release(at.as_ref(), "smith", "settled", Micros(LATER.0 + 1), &legal)
        .await
        .unwrap();
    let kept = turn(folder.path(), Micros(LATER.0 + 2)).await.unwrap();
    assert!(kept.held == 0 && kept.deleted > 3, "{kept:?}");
    let report = report(folder.path()).await;
    assert!(report.is_intact(), "{report}");
    let sql = "SELECT what, actor, coalesce(\"after\", \"before\") AS hold FROM changes WHERE what LIKE 'hold-%' ORDER BY log_index";
    assert_eq!(
        asked(folder.path(), sql).await,
        "{\"what\":\"hold-placed\",\"actor\":\"legal\",\"hold\":\"smith\"}\n{\"what\":\"hold-released\",\"actor\":\"legal\",\"hold\":\"smith\"}\n"
    );
}

/// A hold that can't be read holds everything; one that was seen can't be taken away, nor replaced by one that is over.
#[tokio::test]
async fn while_any_hold_is_in_doubt_nothing_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let at = store(folder.path());
    let before = files(&folder.path().join("store")).len();
    let planted = folder.path().join("store/holds/x/placed");
    std::fs::create_dir_all(planted.parent().unwrap()).unwrap();
    std::fs::write(&planted, "x").unwrap();
    let refused = |turned: Result<Kept, Error>, expected: Problem| match turned {
        Err(Error::Hold { problem, .. }) => assert_eq!(problem, expected),
        other => panic!("{other:?}"),
    };
    refused(turn(folder.path(), LATER).await, Problem::Malformed);
    assert!(!report(folder.path()).await.is_intact());
    std::fs::remove_dir_all(planted.parent().unwrap()).unwrap();

    let legal = hold_key("legal");
    let unrelated = Hold {
        from: Day::parse("2030-01-01"),
        ..hold("smith")
    };
    place(at.as_ref(), &unrelated, &legal).await.unwrap();
    // Seen by a turn at which nothing is due.
    turn(folder.path(), Micros(MIDNIGHT)).await.unwrap();
    filled_again(folder.path()).await;
    let placed = folder.path().join("store/holds/smith/placed");
    let genuine = std::fs::read(&placed).unwrap();
    std::fs::remove_file(&placed).unwrap();
    refused(turn(folder.path(), LATER).await, Problem::Gone);
    let found = report(folder.path()).await;
    let names = |object: &str| found.problems.iter().any(|one| one.object == object);
    assert!(names("holds/smith/placed"), "{found}");
    // Somebody else's of that name, and its end.
    let mallory = hold_key("mallory");
    let forged = Hold {
        key: mallory.public(),
        ..unrelated.clone()
    };
    place(at.as_ref(), &forged, &mallory).await.unwrap();
    release(at.as_ref(), "smith", "over", LATER, &mallory)
        .await
        .unwrap();
    refused(turn(folder.path(), LATER).await, Problem::Gone);
    assert!(!report(folder.path()).await.is_intact());
    std::fs::remove_file(folder.path().join("store/holds/smith/released")).unwrap();
    std::fs::write(&placed, genuine).unwrap();
    assert!(
        files(&folder.path().join("store")).len() > before,
        "nothing went"
    );
    assert!(turn(folder.path(), LATER).await.unwrap().deleted > 4);
    assert!(report(folder.path()).await.is_intact());
}

/// The names of manifests say what is due; what is deleted is what seals pin.
#[tokio::test]
async fn a_manifest_that_no_seal_pins_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    filled_again(folder.path()).await;
    let root = folder.path().join("store");
    // An operator makes a young object look old: object, and manifest, under a name of long ago.
    let young = "sessions/date=2026-12-01";
    let object = files(&root.join(young)).remove(0);
    let name = object.file_name().unwrap().to_str().unwrap().to_owned();
    let old = root.join("sessions/date=2020-01-01");
    let manifests = root.join("ledger/gateway-1/manifests");
    std::fs::create_dir_all(&old).unwrap();
    std::fs::create_dir_all(manifests.join("sessions/date=2020-01-01")).unwrap();
    std::fs::copy(&object, old.join(&name)).unwrap();
    std::fs::copy(
        manifests.join(young).join(format!("{name}.json")),
        manifests.join(format!("sessions/date=2020-01-01/{name}.json")),
    )
    .unwrap();
    let turned = turn(folder.path(), LATER).await;
    assert!(matches!(turned, Err(Error::Ledger { .. })), "{turned:?}");
    assert!(object.is_file() && objects(folder.path(), "statements") > 3);
}

fn options(folder: &std::path::Path) -> LogOptions {
    LogOptions {
        sync_delay_max: Duration::from_secs(3600),
        reserve_bytes: 512,
        ..LogOptions::new(folder.join("log"), GATEWAY)
    }
}

/// A turn in which each step fails in turn, and the next start's: nothing is missing without a word, and nothing that is due is left.
#[tokio::test]
async fn no_crash_leaves_an_object_that_is_missing_without_a_word() {
    for trouble in [Trouble::Refused, Trouble::LostAck, Trouble::Dead] {
        for nth in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            {
                let (log, _) = Log::open(options(folder.path())).unwrap();
                let sealer = sealer(&log, Arc::clone(&bucket)).await.unwrap();
                for at in [MIDNIGHT, MIDNIGHT + 1] {
                    append(&log, [session(at), decision(1, at), end(1, at)]).await;
                    sealer.seal_now(Micros(at)).await.unwrap();
                }
            }
            let fuse = Fuse::new(nth, trouble);
            {
                let disk = FaultyDisk(Arc::clone(&fuse));
                let faulty = Arc::new(FaultyStore {
                    inner: Arc::clone(&bucket),
                    fuse: Arc::clone(&fuse),
                });
                if let Ok((log, _)) = Log::open_on(options(folder.path()), Box::new(disk))
                    && let Ok(sealer) = sealer(&log, faulty).await
                {
                    let mut keeping = Keeping::new(Arc::new(sealer), retention());
                    let _ = keeping.turn(LATER).await;
                }
            }
            let keys = [key().public(GATEWAY)];
            {
                // What is in the log only may explain nothing yet: it is sealed before anything is deleted.
                let log = folder.path().join("log");
                let report = verify(bucket.as_ref(), &keys, Some(&log)).await.unwrap();
                let missing = report
                    .problems
                    .iter()
                    .find(|one| one.fault == Fault::Missing && one.object.ends_with(".parquet"));
                assert_eq!(missing, None, "{trouble:?} {nth}: {report}");
            }
            let (log, _) = Log::open(options(folder.path())).unwrap();
            let sealer = Arc::new(sealer(&log, Arc::clone(&bucket)).await.unwrap());
            let mut keeping = Keeping::new(Arc::clone(&sealer), retention());
            keeping.turn(LATER).await.unwrap();
            sealer.seal_now(LATER).await.unwrap();
            let report = verify(bucket.as_ref(), &keys, None).await.unwrap();
            assert!(report.is_intact(), "{trouble:?} {nth}: {report}");
            assert_eq!(report.ledgers[0].deleted.len(), 6, "{trouble:?} {nth}");
            let left = store::list(bucket.as_ref(), "statements").await.unwrap();
            assert_eq!(left, Vec::<String>::new(), "{trouble:?} {nth}");
            if !fuse.is_blown() {
                assert!(nth > 20, "{nth} steps");
                break;
            }
        }
    }
}

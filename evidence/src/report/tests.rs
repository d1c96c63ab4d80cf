//! Reports over a store that a log and a sealer of this crate wrote.

use std::collections::{BTreeMap, BTreeSet};

use super::matrix::{Bearing, Control};
use super::queries::{MEASURES, Query};
use super::*;
use crate::dataset::Dataset;
use crate::record::Micros;
use crate::testing::*;

fn catalogue(controls: &[(&str, Option<&str>)]) -> Catalogue {
    let bearing = |measure: &str| Bearing {
        measure: measure.to_owned(),
        bears: "It <b>bears</b>.".to_owned(),
        lacks: "Much.".to_owned(),
    };
    let control = |(id, measure): &(&str, Option<&str>)| Control {
        id: (*id).to_owned(),
        title: format!("Title of {id}"),
        bearing: measure.map(bearing),
    };
    Catalogue {
        framework: "nist-800-53".to_owned(),
        name: "NIST SP 800-53".to_owned(),
        version: "r5".to_owned(),
        controls: controls.iter().map(control).collect(),
    }
}

fn request(period: Period) -> Request {
    Request {
        catalogues: vec![catalogue(&[
            ("AC-3", Some("decisions")),
            ("AC-3(2)", Some("holds")),
            ("AU-12", None),
            ("SI-19(4)", Some("maskings")),
            ("ZZ-1", None),
        ])],
        period,
    }
}

fn read(folder: &Path) -> BTreeMap<String, String> {
    let name = |path: &Path| {
        path.strip_prefix(folder)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let of = |path: std::path::PathBuf| (name(&path), std::fs::read_to_string(&path).unwrap());
    files(folder).into_iter().map(of).collect()
}

#[tokio::test]
async fn every_query_gives_an_answer_of_its_shape() {
    let folder = tempfile::tempdir().unwrap();
    let empty = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    for at in [folder.path(), empty.path()] {
        let tables = Tables::open(store(at)).await.unwrap();
        for query in MEASURES {
            let answer = tables
                .ask(query.sql)
                .await
                .unwrap_or_else(|error| panic!("{}: {error:?}", query.name));
            let table = Table::of(&answer).unwrap();
            let columns: Vec<_> = table
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect();
            assert_eq!(columns, ["evidence", "exceptions"], "{}", query.name);
            assert_eq!(table.rows.len(), 1, "{}", query.name);
            assert!(
                table
                    .cell(0, "evidence")
                    .is_some_and(|text| text.parse::<u64>().is_ok()),
                "{}",
                query.name
            );
        }
        for query in TABLES
            .iter()
            .chain(&[queries::POPULATION, queries::EVENTS, queries::FRAME])
        {
            tables
                .ask(query.sql)
                .await
                .unwrap_or_else(|error| panic!("{}: {error:?}", query.name));
        }
    }
}

/// Rows of every dataset are leaves of the tree: where one is left out, its rows would be missing.
#[tokio::test]
async fn no_dataset_is_missing_from_the_ledgers_rows() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let sealer = sealer(&log, store(folder.path())).await.unwrap();
    let masked = [decision(1, MIDNIGHT), end(1, MIDNIGHT + 5)];
    let others = [session, change, approval, recording].map(|record| record(MIDNIGHT));
    append(&log, others.into_iter().chain(masked)).await;
    // The newest row is none of what could be left out.
    append(&log, [change(MIDNIGHT)]).await;
    sealer.seal_now(Micros(MIDNIGHT + SECOND)).await.unwrap();
    let tables = Tables::open(store(folder.path())).await.unwrap();
    for dataset in Dataset::ALL {
        let sql = format!("SELECT count(*) AS evidence FROM {}", dataset.name());
        let table = Table::of(&tables.ask(&sql).await.unwrap()).unwrap();
        assert_ne!(table.number(0, "evidence"), 0, "{}", dataset.name());
    }
    let ledger = queries::measure("ledger").unwrap();
    for (query, column) in [
        (*ledger, "exceptions"),
        (queries::POPULATION, "missing_rows"),
    ] {
        let table = Table::of(&tables.ask(query.sql).await.unwrap()).unwrap();
        assert_eq!(table.cell(0, column), Some("0"), "{}", query.name);
    }
}

/// Every SQL file is one of the report's, and each has a period to put in, but the one that counts the whole store.
#[test]
fn the_files_are_the_queries() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/controls/sql");
    let names = |kind: &str| -> BTreeSet<String> {
        let files = std::fs::read_dir(folder.join(kind)).unwrap();
        files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let declared = |queries: &mut dyn Iterator<Item = &Query>| -> BTreeSet<String> {
        queries.map(|query| format!("{}.sql", query.name)).collect()
    };
    assert_eq!(names("measures"), declared(&mut MEASURES.iter()));
    let others = [queries::POPULATION, queries::EVENTS, queries::FRAME];
    assert_eq!(names("tables"), declared(&mut TABLES.iter().chain(&others)));
    let day = Period::new(Micros(MIDNIGHT), Micros(MIDNIGHT + 1)).unwrap();
    for query in MEASURES.iter().chain(TABLES).chain(&others) {
        let sql = query.within(day);
        let is_bound =
            sql.contains("'2026-11-20T00:00:00Z'") && sql.contains("'2026-11-20T00:00:00.000001Z'");
        assert!(is_bound || query.name == "ledger", "{}", query.name);
        assert!(
            !sql.contains("1970") && !sql.contains("2200"),
            "{}",
            query.name
        );
        assert!(query.says().count() > 0, "{}", query.name);
    }
}

#[test]
fn periods_are_not_empty_and_within_two_centuries() {
    let check = |begins: i64, ends: i64, is_fit: bool| {
        assert_eq!(
            Period::new(Micros(begins), Micros(ends)).is_some(),
            is_fit,
            "{begins} {ends}"
        );
    };
    check(0, 1, true);
    check(1, 1, false);
    check(2, 1, false);
    check(-1, 1, false);
    check(0, i64::MAX, false);
    assert_eq!(Period::ALL.end(), "2200-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_row_says_evidence_or_that_there_is_none_and_never_satisfied() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let out = folder.path().join("out");
    let written = write(store(folder.path()), &request(Period::ALL), &out)
        .await
        .unwrap();
    assert_eq!([written.with_evidence, written.without_evidence], [2, 1]);
    let files = read(&out);
    let lines: Vec<_> = files["matrix.csv"].lines().collect();
    assert!(
        lines[1].starts_with("nist-800-53,r5,AC-3,Title of AC-3,evidence,decisions,30"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with("nist-800-53,r5,AC-3(2),Title of AC-3(2),no evidence,holds,0,0,30"),
        "{}",
        lines[2]
    );
    assert!(
        lines[3]
            .starts_with("nist-800-53,r5,AU-12,Title of AU-12,\"named by rules, no query\",,,,30"),
        "{}",
        lines[3]
    );
    assert!(
        lines[4].contains(",evidence,maskings,302,,"),
        "{}",
        lines[4]
    );
    assert_eq!(
        lines[5],
        "nist-800-53,r5,ZZ-1,Title of ZZ-1,no query,,,,0,0,0,,"
    );
    let page = &files["report.html"];
    assert!(page.contains("It &lt;b&gt;bears&lt;/b&gt;."), "escaped");
    assert!(
        page.contains("column &quot;1&quot;") || !page.contains("column \"1\""),
        "escaped"
    );
    for (name, text) in &files {
        let said = text
            .replace("never says that a control is satisfied", "")
            .replace("never that a control is satisfied", "");
        assert!(!said.to_lowercase().contains("satisfied"), "{name}");
    }
}

#[tokio::test]
async fn the_same_store_and_request_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let asked = request(Period::new(Micros(MIDNIGHT), Micros(MIDNIGHT + SECOND)).unwrap());
    for name in ["one", "two"] {
        write(store(folder.path()), &asked, &folder.path().join(name))
            .await
            .unwrap();
    }
    let (one, two) = (
        read(&folder.path().join("one")),
        read(&folder.path().join("two")),
    );
    assert!(one.len() > 30, "{:?}", one.keys());
    assert_eq!(one, two);
    let again = write(store(folder.path()), &asked, &folder.path().join("one")).await;
    assert!(matches!(again, Err(Error::NotEmpty { .. })));
}

/// An end whose decision isn't known, and what waits for its end, are found; a statement that ended later is counted once.
#[tokio::test]
async fn what_to_look_at_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let tables = Tables::open(store(folder.path())).await.unwrap();
    let exceptions = TABLES
        .iter()
        .find(|query| query.name == "exceptions")
        .unwrap();
    let table = Table::of(&tables.ask(exceptions.sql).await.unwrap()).unwrap();
    let found: BTreeSet<_> = (0..table.rows.len())
        .filter_map(|row| table.cell(row, "exception"))
        .collect();
    assert!(found.contains("decision not known"), "{found:?}");
    let decided =
        "SELECT count(DISTINCT statement_id) AS evidence FROM statements WHERE verdict IS NOT NULL";
    let once = Table::of(&tables.ask(decided).await.unwrap()).unwrap();
    let measured = queries::measure("decisions").unwrap();
    let counted = Table::of(&tables.ask(measured.sql).await.unwrap()).unwrap();
    assert_eq!(counted.cell(0, "evidence"), once.cell(0, "evidence"));
}

#[tokio::test]
async fn a_measure_that_there_is_not_is_no_report() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let asked = Request {
        catalogues: vec![catalogue(&[("AC-3", Some("nothing"))])],
        period: Period::ALL,
    };
    let written = write(store(folder.path()), &asked, &folder.path().join("out")).await;
    assert!(matches!(written, Err(Error::Measure { .. })), "{written:?}");
}

#[tokio::test]
async fn a_sample_is_the_same_each_time_and_another_by_another_seed() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let tables = Tables::open(store(folder.path())).await.unwrap();
    let drawn = async |seed, size| {
        let asked = sample::Draw {
            period: Period::ALL,
            seed,
            size,
        };
        sample::draw(&tables, asked).await.unwrap()
    };
    let one = drawn(7, 25).await;
    assert_eq!(one.items.len(), 25);
    assert_eq!(one, drawn(7, 25).await);
    assert_ne!(one, drawn(8, 25).await);
    // A larger sample begins with the smaller one.
    assert_eq!(drawn(7, 40).await.items[..25], one.items);
    let all = drawn(7, sample::SIZE_MAX).await;
    assert_eq!(all.items.len() as u64, all.population);
    let out = folder.path().join("out");
    let asked = sample::Draw {
        period: Period::ALL,
        seed: 7,
        size: 5,
    };
    sample::write(store(folder.path()), asked, &out)
        .await
        .unwrap();
    let files = read(&out);
    assert_eq!(
        files
            .keys()
            .filter(|name| name.ends_with(".tlog-proof"))
            .count(),
        5
    );
    assert_eq!(files["sample.csv"].matches("\r\n").count(), 6);
}

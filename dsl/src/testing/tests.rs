//! Tests run against a small shop: results, coverage, proofs, and the report as text and as JUnit XML.

use std::path::PathBuf;

use expect_test::expect_file;

use super::*;
use crate::{diagnostic::Colours, load::load};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testing/testdata/shop")
}

fn report(filter: Filter<'_>) -> Report {
    let compiled = load(&folder()).unwrap();
    run(&folder(), &compiled, filter).unwrap()
}

#[test]
fn the_report_is_readable() {
    let report = report(Filter::All);
    expect_file!["testdata/report.txt"].assert_eq(&report.text(Colours::None));
    expect_file!["testdata/report.xml"].assert_eq(&report.junit().unwrap());
    let failed: Vec<&str> = report.failed().map(|result| &*result.name).collect();
    assert_eq!(
        failed,
        [
            "a wrong verdict is shown with its rules and reasons",
            "a wrong mask is shown",
            "a slip in a name does not pass as a deny",
            "every run counts",
            "the schema can't be read",
            "there is no such schema",
        ]
    );
    let uncovered: Vec<&str> = report.uncovered().map(|rule| &*rule.name).collect();
    assert_eq!(uncovered, ["nobody-needs-it"]);
    assert_eq!(report.coverage_percent(), 87);
    let proved: Vec<bool> = report
        .invariants
        .iter()
        .map(|invariant| invariant.doubt.is_none())
        .collect();
    assert_eq!(proved, [true, false]);
    assert!(!report.is_good());
}

#[test]
fn colours_are_for_terminals() {
    let report = report(Filter::Named("no"));
    let plain = report.text(Colours::None);
    let coloured = report.text(Colours::Ansi);
    assert!(!plain.contains('\x1b'), "{plain}");
    for words in ["\x1b[32mpass\x1b[0m", "\x1b[31mFAIL\x1b[0m"] {
        assert!(coloured.contains(words), "{coloured}");
    }
}

#[test]
fn a_filter_leaves_tests_and_invariants_out() {
    for (text, tests, invariants) in [("slip", 2, 0), ("pii", 0, 1), ("no such", 1, 0)] {
        let report = report(Filter::Named(text));
        assert_eq!(
            (report.results.len(), report.invariants.len()),
            (tests, invariants),
            "{text}"
        );
        assert_eq!(report.left_out, 15 - tests, "{text}");
        assert!(!report.text(Colours::None).contains("covered"), "{text}");
    }
}

#[test]
fn the_default_moment_is_a_monday_noon() {
    let moment = default_moment().to_zoned(jiff::tz::TimeZone::UTC);
    assert_eq!(moment.weekday(), jiff::civil::Weekday::Monday);
    assert_eq!(moment.hour(), 12);
}

#[test]
fn a_fact_that_is_not_given_can_not_be_had() {
    let compiled = load(&folder()).unwrap();
    let test = |name: &str| {
        let mut tests = compiled.tests.iter();
        tests.find(|test| &*test.name == name).unwrap()
    };
    let asked = circumstances(test("every run counts"));
    assert!(matches!(asked.estimated_rows, Dear::Failed(_)));
    assert!(matches!(asked.novel, Dear::Failed(_)));
    let asked = circumstances(test("a fact that is given"));
    assert_eq!(asked.estimated_rows, Dear::Known(5_000));
}

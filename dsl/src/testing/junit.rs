//! The report as JUnit XML, without times: equal results give equal bytes.

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::report::{Failure, Report, TestResult};
use crate::{
    compile::Proved,
    diagnostic::{Colours, render},
};

impl Report {
    /// The report as JUnit XML: a suite for each file, a case for each test and invariant in it.
    ///
    /// # Errors
    /// [`quick_junit::SerializeError`] when the XML can't be written.
    pub fn junit(&self) -> Result<String, quick_junit::SerializeError> {
        let mut report = Junit::new("provost test");
        let mut suites: Vec<(&str, TestSuite)> = Vec::new();
        let tests = self
            .results
            .iter()
            .map(|one| (one.path.as_str(), test(one)));
        let invariants = self
            .invariants
            .iter()
            .map(|one| (one.path.as_str(), invariant(one)));
        for (path, case) in tests.chain(invariants) {
            match suites.iter_mut().find(|(other, _)| *other == path) {
                Some((_, suite)) => {
                    suite.add_test_case(case);
                }
                None => {
                    let mut suite = TestSuite::new(path);
                    suite.add_test_case(case);
                    suites.push((path, suite));
                }
            }
        }
        report.add_test_suites(suites.into_iter().map(|(_, suite)| suite));
        report.to_string()
    }
}

fn test(result: &TestResult) -> TestCase {
    let failure = result.failures.first().map(|first| {
        let described: String = result.failures.iter().map(description).collect();
        failed("expectation", first.diagnostic.message(), described)
    });
    case(&result.name, &result.path, result.line, failure)
}

fn invariant(result: &Proved) -> TestCase {
    let name = format!("invariant {}", result.name);
    let failure = result
        .doubt
        .as_ref()
        .map(|doubt| failed("invariant", "it can't be proved", doubt.clone()));
    case(&name, &result.path, result.line, failure)
}

fn failed(kind: &str, message: &str, description: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(kind.to_owned());
    status.set_message(message.to_owned());
    status.set_description(description);
    status
}

fn case(name: &str, path: &str, line: usize, failure: Option<TestCaseStatus>) -> TestCase {
    let mut case = TestCase::new(name, failure.unwrap_or_else(TestCaseStatus::success));
    case.set_classname(path);
    case.extra.insert("file".into(), path.into());
    case.extra.insert("line".into(), line.to_string().into());
    case
}

fn description(failure: &Failure) -> String {
    let statement = failure.statement.as_deref().unwrap_or("-");
    let decided = failure
        .decided
        .as_ref()
        .map(|decided| decided.describe().join("\n  "));
    format!(
        "statement: {statement}\nexpected: {}\ndecided: {}\n{}",
        failure.expected,
        decided.unwrap_or_else(|| "-".to_owned()),
        render([&failure.diagnostic], Colours::None)
    )
}

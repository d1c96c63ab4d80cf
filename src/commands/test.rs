//! `provost test`: runs a policy's own tests, with no server.

use std::fs;

use provost_dsl::{
    Colours, Compiled, Proved,
    testing::{Failure, Filter, Report, TestResult, run as run_tests},
};
use serde_json::{Value, json};

use crate::{
    cli,
    error::{Error, Exit},
    output::{self, Shape, line},
};

/// Runs the command.
///
/// # Errors
/// [`Error::Policy`] where the set is not valid, [`Error::Tests`] where the tests can't be run or the report not be
/// written, and [`Error::Told`] where a test failed or coverage is too low.
pub(crate) fn run(command: &cli::Test) -> Result<(), Error> {
    let compiled = provost_dsl::load(&command.folder).map_err(|source| Error::Policy {
        folder: command.folder.clone(),
        source,
    })?;
    output::diagnostics(&compiled.warnings);
    if compiled.tests.is_empty() && compiled.invariants.is_empty() {
        return Err(Error::NoTests {
            folder: command.folder.clone(),
        });
    }
    let filter = command.filter.as_deref().map_or(Filter::All, Filter::Named);
    let report = run_tests(&command.folder, &compiled, filter).map_err(Error::Tests)?;
    if let Some(filter) = command
        .filter
        .as_ref()
        .filter(|_| report.results.is_empty() && report.invariants.is_empty())
    {
        return Err(Error::NoTest {
            filter: filter.clone(),
        });
    }
    if let Some(path) = &command.junit {
        let xml = report.junit().map_err(std::io::Error::other);
        xml.and_then(|xml| fs::write(path, xml))
            .map_err(|source| Error::File {
                action: "write",
                path: path.clone(),
                source,
            })?;
    }
    let shortfall = command
        .fail_under
        .filter(|least| report.coverage_percent() < usize::from(*least));
    match Shape::of(command.json) {
        Shape::Text => print(&report, shortfall),
        Shape::Json => line(&as_json(&compiled, &report).to_string()),
    }
    if !report.is_good() || shortfall.is_some() {
        return Err(Error::Told(Exit::Denied));
    }
    Ok(())
}

fn print(report: &Report, shortfall: Option<u8>) {
    let colours = if output::colours() {
        Colours::Ansi
    } else {
        Colours::None
    };
    line(report.text(colours).trim_end());
    if let Some(least) = shortfall {
        line(&format!(
            "coverage is {} %, which is under {least} %",
            report.coverage_percent()
        ));
    }
}

fn as_json(compiled: &Compiled, report: &Report) -> Value {
    let rules: Vec<Value> = report
        .rules
        .iter()
        .map(|rule| {
            json!({ "rule": rule.name, "file": rule.path, "line": rule.line, "tests": rule.tests })
        })
        .collect();
    json!({
        "bundle": compiled.policy.digest().0,
        "passed": report.results.len() - report.failed().count(),
        "failed": report.failed().count(),
        "left_out": report.left_out,
        "coverage_percent": report.coverage_percent(),
        "tests": report.results.iter().map(result).collect::<Vec<_>>(),
        "invariants": report.invariants.iter().map(invariant).collect::<Vec<_>>(),
        "rules": rules,
    })
}

fn invariant(result: &Proved) -> Value {
    json!({
        "invariant": result.name,
        "file": result.path,
        "line": result.line,
        "proved": result.doubt.is_none(),
        "why": result.doubt,
    })
}

fn result(result: &TestResult) -> Value {
    let failure = |failure: &Failure| {
        json!({
            "statement": failure.statement,
            "expected": failure.expected,
            "message": failure.diagnostic.message(),
            "decided": failure.decided,
        })
    };
    json!({
        "test": result.name,
        "file": result.path,
        "line": result.line,
        "passed": result.failures.is_empty(),
        "failures": result.failures.iter().map(failure).collect::<Vec<_>>(),
    })
}

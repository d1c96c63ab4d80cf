//! What came of a policy's tests: results, coverage by rule, and how they are shown.

use std::{fmt::Write as _, sync::Arc};

use super::decided::Decided;
use crate::{
    compile::Proved,
    diagnostic::{Colours, Diagnostic, render},
};

/// What came of a policy's tests.
#[derive(Debug)]
pub struct Report {
    /// One for each test that ran, by file and place.
    pub results: Vec<TestResult>,
    /// One for each invariant that was proved or not, by file and place.
    pub invariants: Vec<Proved>,
    /// How many tests the filter left out.
    pub left_out: usize,
    /// The rules of the set that are not built in, by file and place.
    pub rules: Vec<RuleCoverage>,
}

/// What came of one test.
#[derive(Debug)]
pub struct TestResult {
    /// The test's name.
    pub name: Arc<str>,
    /// Its file, relative to the policy folder.
    pub path: String,
    /// Its line, from 1.
    pub line: usize,
    /// What was not as expected; empty: it passed.
    pub failures: Vec<Failure>,
}

/// One thing that was not as expected.
#[derive(Debug)]
pub struct Failure {
    /// The text that was judged; `None` where none could be.
    pub statement: Option<Arc<str>>,
    /// What was expected, in the language's words.
    pub expected: String,
    /// What was decided, where something was.
    pub decided: Option<Decided>,
    /// What is wrong, pointing into the policy file.
    pub diagnostic: Diagnostic,
}

/// How a rule is covered.
#[derive(Debug)]
pub struct RuleCoverage {
    /// The rule's name.
    pub name: Arc<str>,
    /// Its file, relative to the policy folder.
    pub path: String,
    /// Its line, from 1.
    pub line: usize,
    /// How many tests have a decision that it determined.
    pub tests: usize,
}

impl Report {
    /// Tests that failed.
    pub fn failed(&self) -> impl Iterator<Item = &TestResult> {
        self.results
            .iter()
            .filter(|result| !result.failures.is_empty())
    }

    /// Whether every test passed and every invariant was proved.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed().next().is_none() && self.invariants.iter().all(|one| one.doubt.is_none())
    }

    /// Rules that no test covers.
    pub fn uncovered(&self) -> impl Iterator<Item = &RuleCoverage> {
        self.rules.iter().filter(|rule| rule.tests == 0)
    }

    /// How many of the rules are covered, in whole per cent, rounded down. A set without rules is covered.
    #[must_use]
    pub fn coverage_percent(&self) -> usize {
        let covered = self.rules.len() - self.uncovered().count();
        (covered * 100).checked_div(self.rules.len()).unwrap_or(100)
    }

    /// The report as a person reads it: each test and invariant, then each rule with how many tests cover it, then the sums. Coverage is
    /// left out where tests were.
    #[must_use]
    pub fn text(&self, colours: Colours) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text, colours);
        text
    }

    fn write(&self, text: &mut String, colours: Colours) -> std::fmt::Result {
        for result in &self.results {
            write_result(text, result, colours)?;
        }
        for invariant in &self.invariants {
            write_invariant(text, invariant, colours)?;
        }
        writeln!(text)?;
        if self.left_out == 0 {
            self.write_coverage(text, colours)?;
        }
        self.write_sums(text, colours)
    }

    fn write_coverage(&self, text: &mut String, colours: Colours) -> std::fmt::Result {
        let names = self.rules.iter().map(|rule| rule.name.len());
        let Some(width) = names.max() else {
            return Ok(());
        };
        writeln!(text, "{:width$}  tests", "rule")?;
        for rule in &self.rules {
            write!(
                text,
                "{:width$}  {:>5}  {}:{}",
                rule.name, rule.tests, rule.path, rule.line
            )?;
            if rule.tests == 0 {
                write!(text, "  {}", Ink::Yellow.on("not covered", colours))?;
            }
            writeln!(text)?;
        }
        writeln!(text)
    }

    fn write_sums(&self, text: &mut String, colours: Colours) -> std::fmt::Result {
        let failed = self.failed().count();
        let passed = format!("{} passed", self.results.len() - failed);
        let failed_ink = if failed == 0 { Ink::None } else { Ink::Red };
        write!(
            text,
            "{}, {}",
            Ink::Green.on(&passed, colours),
            failed_ink.on(&format!("{failed} failed"), colours)
        )?;
        if !self.invariants.is_empty() {
            let proved = self
                .invariants
                .iter()
                .filter(|one| one.doubt.is_none())
                .count();
            write!(
                text,
                "; {proved} of {} invariants proved",
                self.invariants.len()
            )?;
        }
        if self.left_out > 0 {
            return writeln!(text, "; {} tests left out by the filter", self.left_out);
        }
        let covered = self.rules.len() - self.uncovered().count();
        writeln!(
            text,
            "; {covered} of {} rules covered ({} %)",
            self.rules.len(),
            self.coverage_percent()
        )
    }
}

/// Colours of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    None,
    Green,
    Yellow,
    Red,
}

impl Ink {
    fn on(self, text: &str, colours: Colours) -> String {
        let code = match (colours, self) {
            (Colours::None, _) | (Colours::Ansi, Self::None) => return text.to_owned(),
            (Colours::Ansi, Self::Green) => 32,
            (Colours::Ansi, Self::Yellow) => 33,
            (Colours::Ansi, Self::Red) => 31,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn write_result(text: &mut String, result: &TestResult, colours: Colours) -> std::fmt::Result {
    if result.failures.is_empty() {
        return writeln!(text, "{}  {}", Ink::Green.on("pass", colours), result.name);
    }
    writeln!(text, "{}  {}", Ink::Red.on("FAIL", colours), result.name)?;
    writeln!(text, "      {}:{}", result.path, result.line)?;
    let same = |left: &Failure, right: &Failure| {
        left.statement == right.statement && left.decided == right.decided
    };
    for failures in result.failures.chunk_by(same) {
        write_failures(text, failures, colours)?;
    }
    Ok(())
}

/// What was not as expected of one text.
fn write_failures(text: &mut String, failures: &[Failure], colours: Colours) -> std::fmt::Result {
    writeln!(text)?;
    let Some(first) = failures.first() else {
        return Ok(());
    };
    if let Some(statement) = &first.statement {
        write_lines(text, "statement", statement.lines())?;
    }
    let expected = failures.iter().map(|failure| failure.expected.as_str());
    write_lines(text, "expected", expected)?;
    if let Some(decided) = &first.decided {
        let lines = decided.describe();
        write_lines(text, "decided", lines.iter().map(String::as_str))?;
    }
    writeln!(text)?;
    for failure in failures {
        for line in render([&failure.diagnostic], colours).lines() {
            writeln!(text, "{}", format!("      {line}").trim_end())?;
        }
    }
    Ok(())
}

/// Lines behind a label, which only the first has.
fn write_lines<'a>(
    text: &mut String,
    label: &str,
    lines: impl Iterator<Item = &'a str>,
) -> std::fmt::Result {
    for (index, line) in lines.enumerate() {
        let label = if index == 0 { label } else { "" };
        writeln!(text, "      {label:<9}  {line}")?;
    }
    Ok(())
}

fn write_invariant(text: &mut String, result: &Proved, colours: Colours) -> std::fmt::Result {
    let Some(doubt) = &result.doubt else {
        let word = Ink::Green.on("proved", colours);
        return writeln!(text, "{word}  {}", result.name);
    };
    writeln!(text, "{}  {}", Ink::Red.on("FAIL", colours), result.name)?;
    writeln!(text, "      {}:{}", result.path, result.line)?;
    writeln!(text, "      can't be proved: {doubt}")
}

//! The language's `test` blocks: each runs its statements through the real analyser and the compiled policy, against a
//! schema read from a file, and compares what was decided with what the test expects.
//!
//! | part | holds |
//! |---|---|
//! | `case` | what a `test` block says |
//! | `schema` | the schemas that tests name |
//! | `decided` | what the gateway would decide on a text |
//! | `expect` | whether that is as expected |
//! | `report`, `junit` | results and coverage, as text and as JUnit XML |
//!
//! A test never passes by an error: a text that PostgreSQL itself would refuse satisfies `expect error` alone, a fact that
//! a test does not give can't be had, and a schema that can't be read fails every test that names it.

mod case;
mod decided;
mod expect;
mod junit;
mod report;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
    thread,
};

use jiff::Timestamp;
use provost_engine::{
    graph::Policy,
    principal::{
        Authentication, Circumstances, Dear, Delegator, Principal, PrincipalKind, Session,
    },
    reason::StatedReason,
};

pub use self::{
    case::{
        DEFAULT_MOMENT, Expectation, Expected, Given, PolicyTest, Run, TestPerson, TestPrincipal,
        TestSession,
    },
    decided::{Decided, DecidedMask, Refused},
    report::{Failure, Report, RuleCoverage, TestResult},
    schema::read_schema,
};
use self::{decided::Bench, schema::Schemas};
use crate::{Compiled, diagnostic::Diagnostic};

/// Stack of the thread that analyses, in bytes: the parsers recurse with the text's nesting.
const STACK_BYTES: usize = 64 << 20;

/// Which tests run, and which invariants are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter<'a> {
    /// All.
    All,
    /// Those with this text in their name.
    Named(&'a str),
}

impl Filter<'_> {
    fn lets(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(text) => name.contains(text),
        }
    }
}

/// Runs the tests of a policy set that was compiled from `folder`, where their schemas are, and tells what became of its
/// invariants.
///
/// # Errors
/// When the thread that analyses can't be started. A test that fails is no error: see [`Report::failed`].
pub fn run(folder: &Path, compiled: &Compiled, filter: Filter<'_>) -> io::Result<Report> {
    let work = || run_all(folder, compiled, filter);
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("policy tests".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)?;
        worker
            .join()
            .map_err(|_| io::Error::other("the tests broke: this is a defect of provost"))
    })
}

fn run_all(folder: &Path, compiled: &Compiled, filter: Filter<'_>) -> Report {
    let mut schemas = Schemas::default();
    let mut covered: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let chosen: Vec<&PolicyTest> = compiled
        .tests
        .iter()
        .filter(|test| filter.lets(&test.name))
        .collect();
    let left_out = compiled.tests.len() - chosen.len();
    let mut results = Vec::with_capacity(chosen.len());
    for test in chosen {
        let mut spoke = BTreeSet::new();
        let failures = run_one(folder, &compiled.policy, test, &mut schemas, &mut spoke);
        for rule in spoke {
            *covered.entry(rule).or_default() += 1;
        }
        results.push(TestResult {
            name: Arc::clone(&test.name),
            path: test.path().display().to_string(),
            line: test.file.line(test.span.start),
            failures,
        });
    }
    let rules = compiled.places.iter().map(|place| RuleCoverage {
        name: Arc::clone(&place.name),
        path: place.path.clone(),
        line: place.line,
        tests: covered.get(&place.name).copied().unwrap_or(0),
    });
    Report {
        results,
        invariants: compiled
            .invariants
            .iter()
            .filter(|invariant| filter.lets(&invariant.name))
            .cloned()
            .collect(),
        left_out,
        rules: rules.collect(),
    }
}

/// Runs one test; notes the rules that determined a decision.
fn run_one(
    folder: &Path,
    policy: &Policy,
    test: &PolicyTest,
    schemas: &mut Schemas,
    spoke: &mut BTreeSet<Arc<str>>,
) -> Vec<Failure> {
    let session = session(test);
    let beside = test.path().parent().unwrap_or_else(|| Path::new(""));
    let schema = test.schema.as_ref().map(|schema| beside.join(schema));
    let catalog = match schemas.catalog(folder, schema, &session.database) {
        Ok(catalog) => catalog,
        Err(problems) => {
            let diagnostic = test
                .file
                .error(&test.span, "the test's schema can't be read", "this test")
                .with_help(problems.join("\n"));
            return vec![Failure {
                statement: None,
                expected: "a schema that can be read".to_owned(),
                decided: None,
                diagnostic,
            }];
        }
    };
    let bench = Bench {
        policy,
        catalog: &catalog,
        session: Arc::new(session),
        now: test.at.unwrap_or_else(default_moment),
        circumstances: circumstances(test),
    };
    let mut failures = Vec::new();
    for run in &test.run {
        let decided = match bench.judge(&run.text) {
            Ok(decided) => decided,
            Err(broken) => {
                failures.push(Failure {
                    statement: Some(Arc::clone(&run.text)),
                    expected: "a decision".to_owned(),
                    decided: None,
                    diagnostic: test.file.error(&run.span, broken, "this text"),
                });
                continue;
            }
        };
        spoke.extend(decided.rules.iter().chain(&decided.observed).cloned());
        spoke.extend(decided.masks.iter().flat_map(|mask| &mask.rules).cloned());
        for expected in &test.expect {
            if let Err(mismatch) = expect::compare(&expected.what, &decided) {
                failures.push(Failure {
                    statement: Some(Arc::clone(&run.text)),
                    diagnostic: diagnostic(test, expected, run, &mismatch),
                    expected: mismatch.expected,
                    decided: Some(decided.clone()),
                });
            }
        }
    }
    failures
}

fn diagnostic(
    test: &PolicyTest,
    expected: &Expected,
    run: &Run,
    mismatch: &expect::Mismatch,
) -> Diagnostic {
    let message = format!("expected `{}`, but {}", mismatch.expected, mismatch.wrong);
    test.file
        .error(&expected.span, message, mismatch.wrong.as_str())
        .with_label(&run.span, "of this text")
}

fn default_moment() -> Timestamp {
    // A constant that a test reads.
    DEFAULT_MOMENT.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn session(test: &PolicyTest) -> Session {
    let principal = &test.principal;
    let said = &test.session;
    let or_test = |text: &Option<Arc<str>>| text.clone().unwrap_or_else(|| schema::DATABASE.into());
    Session {
        principal: Principal {
            id: Arc::clone(&principal.id),
            kind: principal.kind.unwrap_or(PrincipalKind::Human),
            groups: principal.groups.clone(),
            on_behalf_of: principal.on_behalf_of.as_ref().map(|person| Delegator {
                id: Arc::clone(&person.id),
                groups: person.groups.clone(),
            }),
            issuer: "https://issuer.test".into(),
            claims: principal.claims.clone(),
        },
        target: or_test(&said.target),
        database: or_test(&said.database),
        role: or_test(&said.role),
        application: said.application.clone().unwrap_or_else(|| "".into()),
        client_address: Some(
            said.client_address
                .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ),
        tls: said.tls.unwrap_or(true),
        authentication: Authentication::TokenAsPassword,
    }
}

fn circumstances(test: &PolicyTest) -> Circumstances<'_> {
    fn dear<T>(given: Option<T>, name: &str) -> Dear<T> {
        match given {
            Some(value) => Dear::Known(value),
            None => Dear::Failed(format!("the test does not give `{name}`").into()),
        }
    }
    Circumstances {
        in_transaction: test.session.in_transaction.unwrap_or(false),
        estimated_rows: dear(test.given.estimated_rows, "estimated_rows"),
        novel: dear(test.given.novel, "novel"),
        stated_reason: test.session.reason.as_ref().map(StatedReason::as_str),
        ..Circumstances::default()
    }
}

//! What was decided on one text of a test: the decisions on its statements, joined as the gateway joins them.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::lower::value::{SIZES, TIMES};
use jiff::Timestamp;
use provost_engine::{
    catalog::Catalog,
    facts::Facts,
    graph::Policy,
    principal::{Circumstances, Session},
    sql::{self, Context, Refusal, Statement, Witness},
    transform::Transform,
    verdict::{Decision, Limits, Recording, Verdict},
};

/// Columns of one result: PostgreSQL's own `MaxTupleAttributeNumber`; the gateway refuses more.
const OUTPUTS_MAX: usize = 1_664;

/// A mask on a column of a result.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DecidedMask {
    /// The column's name as the client sees it.
    pub output: Arc<str>,
    /// What its values go through.
    pub transform: Transform,
    /// The rules that ask for it.
    pub rules: Vec<Arc<str>>,
}

/// What was decided on one text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Decided {
    /// The verdict.
    pub verdict: Verdict,
    /// Rules that determined it, sorted.
    pub rules: Vec<Arc<str>>,
    /// Masks on the results' columns.
    pub masks: Vec<DecidedMask>,
    /// Names of the results' columns.
    pub outputs: Vec<Arc<str>>,
    /// Controls that the rules satisfy, sorted.
    pub controls: Vec<Arc<str>>,
    /// Limits.
    pub limits: Limits,
    /// How fully it is recorded.
    pub recording: Recording,
    /// Reasons of a deny.
    pub reasons: Vec<Arc<str>>,
    /// What the authors of those rules say.
    pub because: Vec<Arc<str>>,
    /// Why analysis refused the text: then no rule was asked.
    pub refusal: Option<Refused>,
    /// Rules that only observe and would have determined it.
    pub observed: Vec<Arc<str>>,
}

/// A text that analysis refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// PostgreSQL's code.
    pub sqlstate: &'static str,
    /// One line.
    pub message: String,
    /// Whether PostgreSQL itself would refuse the text: it does not parse, or names what is not there.
    pub by_postgres: bool,
}

/// What a text is judged with.
pub(super) struct Bench<'a> {
    pub(super) policy: &'a Policy,
    pub(super) catalog: &'a Catalog,
    pub(super) session: Arc<Session>,
    pub(super) now: Timestamp,
    pub(super) circumstances: Circumstances<'a>,
}

impl Bench<'_> {
    /// Judges a text as the gateway does. The error says what broke inside.
    pub(super) fn judge(&self, text: &str) -> Result<Decided, &'static str> {
        // The engine is pure: a panic leaves nothing of it behind.
        catch_unwind(AssertUnwindSafe(|| match self.analyse(text) {
            Ok(statements) => self.decide(&statements),
            Err(refusal) => refused(refusal),
        }))
        .map_err(|_| "the analysis or the evaluation broke: this is a defect of provost")
    }

    fn analyse(&self, text: &str) -> Result<Vec<Statement>, Refusal> {
        let search_path = self.search_path();
        let context = Context {
            catalog: self.catalog,
            search_path: &search_path,
            parameter_types: &[],
            witness: Witness::Deny,
            names: &provost_engine::sql::NO_NAMES,
        };
        let statements = sql::analyse(text.as_bytes(), &context)?;
        // A function called before in the same text may change the search path; the gateway refuses what follows.
        let lost = statements
            .iter()
            .position(|statement| sql::may_change_search_path(&statement.facts));
        let wide = |facts: &Facts| {
            let outputs = facts.outputs.as_ref();
            outputs.is_some_and(|outputs| outputs.len() > OUTPUTS_MAX)
        };
        if statements.iter().any(|statement| wide(&statement.facts)) {
            return Err(refusal(
                "54011",
                "target lists can have at most 1664 entries",
            ));
        }
        if lost.is_some_and(|at| at + 1 < statements.len()) {
            return Err(refusal(
                "42501",
                "a function called before it in the same text may change the search path, so names may mean something else",
            ));
        }
        Ok(statements)
    }

    /// `"$user", public`, as far as they exist.
    fn search_path(&self) -> Vec<Arc<str>> {
        let public: Arc<str> = "public".into();
        [Arc::clone(&self.session.role), public]
            .into_iter()
            .filter(|schema| self.catalog.has_schema(schema))
            .collect()
    }

    fn decide(&self, statements: &[Statement]) -> Decided {
        let view = self.policy.view(&self.session, self.now);
        let decisions: Vec<Decision> = statements
            .iter()
            .map(|statement| {
                self.policy
                    .decide(&view, &statement.facts, &self.circumstances)
            })
            .collect();
        let verdict = decisions.iter().map(|decision| decision.verdict).max();
        let verdict = verdict.unwrap_or(Verdict::Allow);
        let mut decided = Decided {
            verdict,
            ..Decided::nothing()
        };
        let mut rules = BTreeSet::new();
        let mut controls = BTreeSet::new();
        let mut observed = BTreeSet::new();
        for (statement, decision) in statements.iter().zip(&decisions) {
            // What one statement is refused for refuses the text: the others' rules did not determine that.
            if decision.verdict == verdict {
                rules.extend(self.policy.names(&decision.rules));
                controls.extend(self.policy.controls(&decision.rules));
                decided.reasons.extend(
                    decision
                        .reasons
                        .iter()
                        .map(|reason| Arc::clone(&reason.message)),
                );
            }
            decided.limits = decided.limits.join(&decision.limits);
            decided.recording = decided.recording.max(decision.recording);
            if let Some(would) = &decision.observed {
                observed.extend(self.policy.names(&would.rules));
            }
            let outputs = statement.facts.outputs.as_deref().unwrap_or_default();
            decided
                .outputs
                .extend(outputs.iter().map(|output| Arc::clone(&output.name)));
            decided
                .masks
                .extend(decision.masks.iter().filter_map(|mask| {
                    Some(DecidedMask {
                        output: Arc::clone(&outputs.get(mask.output)?.name),
                        transform: mask.transform.clone(),
                        rules: mask.rules.clone(),
                    })
                }));
        }
        decided.because = self.because(&rules);
        decided.rules = rules.into_iter().collect();
        decided.controls = controls.into_iter().collect();
        decided.observed = observed.into_iter().collect();
        decided
    }

    fn because(&self, rules: &BTreeSet<Arc<str>>) -> Vec<Arc<str>> {
        let spoken = self
            .policy
            .set()
            .rules
            .iter()
            .filter(|rule| rules.contains(&rule.name));
        spoken.filter_map(|rule| rule.because.clone()).collect()
    }
}

fn refusal(sqlstate: &'static str, message: &str) -> Refusal {
    Refusal {
        sqlstate,
        message: message.to_owned(),
        detail: None,
        hint: None,
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}

fn refused(refusal: Refusal) -> Decided {
    let message: Arc<str> = refusal.message.as_str().into();
    Decided {
        verdict: Verdict::Deny,
        reasons: vec![message],
        refusal: Some(Refused {
            sqlstate: refusal.sqlstate,
            // What provost has no reading for, or refuses over a limit of its own, PostgreSQL would run.
            by_postgres: !matches!(refusal.sqlstate.get(..2), Some("0A" | "54"))
                && refusal.sqlstate != "42501",
            message: refusal.message,
        }),
        ..Decided::nothing()
    }
}

impl Decided {
    fn nothing() -> Self {
        Self {
            verdict: Verdict::Allow,
            rules: Vec::new(),
            masks: Vec::new(),
            outputs: Vec::new(),
            controls: Vec::new(),
            limits: Limits::default(),
            recording: Recording::default(),
            reasons: Vec::new(),
            because: Vec::new(),
            refusal: None,
            observed: Vec::new(),
        }
    }

    /// Several lines: verdict and rules, then masks, limits, recording and reasons where there are any.
    pub(super) fn describe(&self) -> Vec<String> {
        let mut first = match &self.refusal {
            Some(refused) => format!("deny: analysis refuses the text ({})", refused.sqlstate),
            None => self.verdict.name().to_owned(),
        };
        if !self.rules.is_empty() {
            // Writing to a String does not fail.
            let _ = write!(first, " by {}", self.rules.join(", "));
        }
        let mut lines = vec![first];
        lines.extend(self.masks.iter().map(|mask| {
            format!(
                "mask {} with {} by {}",
                mask.output,
                mask.transform,
                mask.rules.join(", ")
            )
        }));
        if !self.limits.is_none() {
            lines.push(format!("limit {}", limits(&self.limits)));
        }
        if self.recording != Recording::default() {
            lines.push(format!("record {}", self.recording.name()));
        }
        let mut reasons = Vec::new();
        for reason in &self.reasons {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        lines.extend(
            reasons
                .into_iter()
                .map(|reason| format!("because {reason}")),
        );
        lines
    }
}

/// `rows 10_000 per statement, time 30 s`
pub(super) fn limits(limits: &Limits) -> String {
    let statement = " per statement";
    let hour = " per hour";
    let parts = [
        limits
            .rows
            .map(|rows| format!("rows {}{statement}", number(rows))),
        limits
            .bytes
            .map(|bytes| format!("bytes {}{statement}", measure(bytes, SIZES))),
        limits
            .affected_rows
            .map(|rows| format!("affected rows {}{statement}", number(rows))),
        limits
            .time_ms
            .map(|time| format!("time {}", measure(time, TIMES))),
        limits
            .rows_per_hour
            .map(|rows| format!("rows {}{hour}", number(rows))),
        limits
            .bytes_per_hour
            .map(|bytes| format!("bytes {}{hour}", measure(bytes, SIZES))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// In the largest unit that it is a whole number of.
fn measure(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, size): &&(&str, u64)| amount > 0 && amount.is_multiple_of(*size);
    let unit = units.iter().filter(fits).max_by_key(|(_, size)| *size);
    match unit {
        Some((unit, size)) => format!("{} {unit}", number(amount.checked_div(*size).unwrap_or(0))),
        None => number(amount),
    }
}

/// `10_000`
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push('_');
        }
        shown.push(digit);
    }
    shown
}

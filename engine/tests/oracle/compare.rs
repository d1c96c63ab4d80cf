//! One case before the graph and the interpreter.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use provost_engine::{
    facts::Facts,
    graph::{self, Policy, SessionView, condition::DearFact, rule::RuleSet},
    verdict::{Decision, Reason},
};

use crate::{
    choices::Choices,
    generate::{self, Shape, Surroundings},
    interpreter::{Case, Observed, Reading, interpret},
};

/// The decision's reasons are cut off past this many.
const REASONS_MAX: usize = 16;

/// A statement of a session.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) surroundings: Surroundings,
    pub(crate) facts: Facts,
}

impl Ask {
    pub(crate) fn made(choices: &mut Choices, shape: Shape) -> Self {
        Self {
            surroundings: generate::surroundings(choices),
            facts: generate::facts(choices, shape),
        }
    }

    pub(crate) fn view(&self, policy: &Policy) -> SessionView {
        policy.view(&self.surroundings.session, self.surroundings.now)
    }

    pub(crate) fn decide(&self, policy: &Policy) -> Decision {
        self.decide_by(policy, &self.view(policy))
    }

    pub(crate) fn decide_by(&self, policy: &Policy, view: &SessionView) -> Decision {
        self.surroundings
            .with_circumstances(|circumstances| policy.decide(view, &self.facts, circumstances))
    }

    pub(crate) fn interpret(&self, set: &RuleSet, now: Timestamp) -> Reading {
        self.surroundings.with_circumstances(|circumstances| {
            interpret(Case {
                set,
                session: &self.surroundings.session,
                now,
                facts: &self.facts,
                circumstances,
            })
        })
    }
}

/// What the graph decided, or how it differs from the interpreter.
pub(crate) fn compare(set: &RuleSet, policy: &Policy, ask: &Ask) -> Result<Decision, String> {
    let now = ask.surroundings.now;
    let view = ask.view(policy);
    let decision = ask.decide_by(policy, &view);
    agree(policy, &decision, ask.interpret(set, now), now)?;
    if policy.is_mask_bound(&view) != decision.mask_bound && view.until() > now {
        return Err("`is_mask_bound` and the decision differ".to_owned());
    }
    if view.until() <= now {
        return Err(format!(
            "the view made at {now} holds until {}",
            view.until()
        ));
    }
    if view.until() < Timestamp::MAX {
        // The same view still decides as the rules read, up to the last moment.
        let last = view.until().checked_sub(SignedDuration::from_nanos(1));
        let half = SignedDuration::from_nanos(
            i64::try_from((view.until().as_nanosecond() - now.as_nanosecond()) / 2)
                .map_err(|error| error.to_string())?,
        );
        for later in [now.checked_add(half), last] {
            let later = later.map_err(|error| error.to_string())?;
            agree(policy, &decision, ask.interpret(set, later), later)?;
        }
    }
    Ok(decision)
}

/// Compiles what `set` says.
pub(crate) fn compiled(set: &RuleSet) -> Policy {
    graph::compile(set.clone()).expect("generated sets compile")
}

fn agree(
    policy: &Policy,
    decision: &Decision,
    expected: Reading,
    now: Timestamp,
) -> Result<(), String> {
    let mut expected = expected;
    let actual = reading(policy, decision);
    // Reasons that were left out can't be compared.
    let all = |reasons: &[Reason]| reasons.len() <= REASONS_MAX;
    if !all(&decision.reasons) {
        expected.reasons.clone_from(&actual.reasons);
    }
    if let (Some(observed), Some(expected), Some(actual)) =
        (&decision.observed, &mut expected.observed, &actual.observed)
        && !all(&observed.reasons)
    {
        expected.reasons.clone_from(&actual.reasons);
    }
    if actual == expected {
        return Ok(());
    }
    Err(format!(
        "at {now} the rules say\n{expected:#?}\nand the graph decides\n{actual:#?}\nin full {decision:#?}"
    ))
}

/// The decision with names for numbers.
fn reading(policy: &Policy, decision: &Decision) -> Reading {
    let names = |rules: &[_]| policy.names(rules).into_iter().collect();
    let speakers = |reasons: &[Reason]| -> BTreeSet<_> {
        reasons.iter().map(|reason| reason.rule.clone()).collect()
    };
    let mut needs = BTreeSet::new();
    if decision.needs.values {
        needs.insert(DearFact::Values);
    }
    if decision.needs.novel {
        needs.insert(DearFact::Novel);
    }
    if decision.needs.estimated_rows {
        needs.insert(DearFact::EstimatedRows);
    }
    Reading {
        verdict: decision.verdict,
        rules: names(&decision.rules),
        controls: policy.controls(&decision.rules).into_iter().collect(),
        masks: decision.masks.clone(),
        mask_bound: decision.mask_bound,
        limits: decision.limits,
        recording: decision.recording,
        approvals: decision.approvals.iter().cloned().collect(),
        held_transaction: decision.held_transaction,
        probes: decision.probes.iter().cloned().collect(),
        rests_on_views: decision.rests_on_views,
        reasons: speakers(&decision.reasons),
        needs,
        observed: decision.observed.as_ref().map(|observed| Observed {
            verdict: observed.verdict,
            rules: names(&observed.rules),
            reasons: speakers(&observed.reasons),
        }),
    }
}

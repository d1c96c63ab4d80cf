//! Decides: obstacles first, then the policy, then what this gateway can't carry out.
//!
//! Must never allow what the policy did not, but for a Parse whose verdict hangs on values or on the planner: its Bind is decided with them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use provost_engine::{
    copy::CopyOut,
    facts::{Facts, Kind},
    principal::{Circumstances, Dear},
    sql::{self, Statement},
    verdict::{Decision, Reason, Verdict},
};
use provost_evidence::record::Phase;

use super::{
    CATALOG_OLD, SessionJudge, Step, estimate,
    held::{held_when_run, is_before_run},
    obligations::{Company, unapprovable, unenforced, unmaskable},
    obstacle::{self, Ground},
    values::{self, Values},
};

/// What decisions were made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// The facts, and whether a transaction is open.
    Facts,
    /// Values, an obstacle, or a fact that had to be fetched, too.
    More,
}

impl SessionJudge {
    /// Decides every statement of a text.
    pub(super) fn decide_all(
        &self,
        step: &Step<'_>,
        statements: &[Statement],
    ) -> (Vec<Decision>, Basis) {
        let mut ground = self.ground();
        let company = match statements.len() {
            0 | 1 => Company::Alone,
            _ => Company::Others,
        };
        let mut decisions = Vec::with_capacity(statements.len());
        let mut basis = Basis::Facts;
        for statement in statements {
            let (decision, of) = self.decide(step, &statement.facts, company, ground);
            decisions.push(masking(decision, statement.copy.as_ref()));
            if of == Basis::More {
                basis = Basis::More;
            }
            ground = self.ground_after(step, statement, ground);
        }
        (decisions, basis)
    }

    pub(super) fn ground(&self) -> Ground {
        // A session's own catalog is read again when everybody's changes.
        let loaded = self.everybodys();
        Ground {
            // What this session sees is read through its own connection.
            unread: self.unread && !self.sight.is_uncommitted(),
            // Within one text only: before what comes later, the session is looked at.
            lost: false,
            temporary: self.sight.names_temp(),
            old: loaded.since.elapsed() > self.bench.catalog_age_max * CATALOG_OLD,
            mask_bound: self.policy.is_mask_bound(&self.view),
        }
    }

    fn decide(
        &self,
        step: &Step<'_>,
        facts: &Facts,
        company: Company,
        ground: Ground,
    ) -> (Decision, Basis) {
        match self.find_obstacle(step, facts, ground) {
            Some(reason) => (self.deny(reason), Basis::More),
            None => self.decide_freely(step, facts, company),
        }
    }

    /// Why the policy need not be asked.
    fn find_obstacle(&self, step: &Step<'_>, facts: &Facts, ground: Ground) -> Option<Reason> {
        // What may do anything anyway needs no ground.
        if !sql::is_unbounded(facts)
            && let Some(reason) = obstacle::find(facts, ground)
        {
            return Some(reason);
        }
        if ground.mask_bound && self.hides_a_class(facts) {
            return Some(obstacle::renamed());
        }
        let has_namesakes = ground.mask_bound
            && facts.through_views
            // A view knows relations by their numbers.
            && facts.views.is_empty()
            && self.has_namesakes(facts, &[step.path.unwrap_or_else(|| self.sight.path())]);
        has_namesakes.then(obstacle::namesakes)
    }

    fn decide_freely(&self, step: &Step<'_>, facts: &Facts, company: Company) -> (Decision, Basis) {
        if facts.kind == Kind::Empty {
            let decision = Decision {
                verdict: Verdict::Allow,
                ..self.deny_with(Vec::new())
            };
            return (decision, Basis::More);
        }
        // The engine is pure: a panic leaves nothing of it behind.
        let decided = catch_unwind(AssertUnwindSafe(|| self.ask(step, facts)));
        let Ok((decision, basis)) = decided else {
            let decision = self.deny(Reason {
                rule: None,
                message: "internal error in evaluation".into(),
                hint: Some("this is a defect of the gateway: tell its operator".into()),
            });
            return (decision, Basis::More);
        };
        let reason = match decision.verdict {
            // A Parse runs nothing and shows nothing.
            Verdict::Deny if step.phase == Phase::Prepare && waits_for_bind(&decision) => {
                let decision = Decision {
                    verdict: Verdict::Allow,
                    reasons: vec![decided_at_bind(&decision)],
                    ..decision
                };
                return (decision, Basis::More);
            }
            Verdict::Deny => return (decision, basis),
            Verdict::Hold if is_before_run(step, &decision) => {
                return (held_when_run(decision), Basis::More);
            }
            Verdict::Hold if decision.approvals.is_empty() => Some(unapprovable()),
            Verdict::Hold | Verdict::BreakGlass | Verdict::Allow => {
                unenforced(&decision, facts, company).or_else(|| self.keyless(&decision))
            }
        };
        let Some(reason) = reason else {
            return (decision, basis);
        };
        let decision = Decision {
            verdict: Verdict::Deny,
            reasons: vec![reason],
            ..decision
        };
        (decision, basis)
    }

    /// Asks the policy, and again with the values and the dear facts that it then wants, as far as they are known.
    fn ask(&self, step: &Step<'_>, facts: &Facts) -> (Decision, Basis) {
        let mut circumstances = Circumstances {
            in_transaction: self.status != b'I',
            values_follow: true,
            stated_reason: self.stated.reason(),
            ..Circumstances::default()
        };
        let decision = self.policy.decide(&self.view, facts, &circumstances);
        if decision.needs.is_empty() {
            return (decision, Basis::Facts);
        }
        let known = values::known(facts, step.types, step.values);
        let texts: Option<Vec<Option<&str>>> = known
            .as_ref()
            .map(|known| known.iter().map(Option::as_deref).collect());
        circumstances.parameters = texts.as_deref();
        circumstances.values_follow = matches!(step.values, Values::NotBound);
        // Ruling 7: an estimate is a statement of its own, with a record and a permit of its own. Whoever decides asks for it.
        circumstances.estimated_rows = estimate::as_fact(step.estimate);
        let decision = self.policy.decide(&self.view, facts, &circumstances);
        // With them, the dear facts may not be needed.
        if decision.needs.values || !decision.needs.novel {
            return (decision, Basis::More);
        }
        let principal = &self.session.principal.id;
        let is_new = self.bench.memory.is_new(principal, &facts.fingerprint);
        circumstances.novel = Dear::Known(is_new);
        let decision = self.policy.decide(&self.view, facts, &circumstances);
        (decision, Basis::More)
    }

    /// A mask that needs a key on a gateway without one: every statement that it masks is refused, rather than redacted where a rule says otherwise.
    fn keyless(&self, decision: &Decision) -> Option<Reason> {
        let needs_key = decision.masks.iter().any(|mask| mask.transform.is_keyed());
        (needs_key && self.bench.mask_key_id.is_none()).then(|| Reason {
            rule: None,
            message: "a mask needs a key, and this gateway has none".into(),
            hint: Some("tell the gateway's operator: `[masks] key` in its configuration".into()),
        })
    }

    /// Whether a column of the statement had a classed name before it was renamed, and has none now.
    fn hides_a_class(&self, facts: &Facts) -> bool {
        let loaded = self.loaded();
        let former = &loaded.former;
        let used = facts.accesses.iter().flat_map(|access| &access.columns);
        let written = facts.writes.iter().map(|write| &write.column);
        used.map(|used| &used.column)
            .chain(written)
            .any(|column| former.hides(column, |column| self.policy.is_classed(column)))
    }

    fn deny(&self, reason: Reason) -> Decision {
        self.deny_with(vec![reason])
    }

    pub(super) fn deny_with(&self, reasons: Vec<Reason>) -> Decision {
        Decision::deny(reasons, self.policy.is_mask_bound(&self.view))
    }
}

/// The decision, if the data of a COPY can be masked as it asks.
fn masking(decision: Decision, copy: Option<&CopyOut>) -> Decision {
    if !may_run(&decision) {
        return decision;
    }
    match unmaskable(&decision, copy) {
        Some(reason) => Decision {
            verdict: Verdict::Deny,
            reasons: vec![reason],
            ..decision
        },
        None => decision,
    }
}

/// Whether a Parse is decided when it is bound: by its values, or by the plan that they make.
fn waits_for_bind(decision: &Decision) -> bool {
    decision.needs.values || decision.needs.estimated_rows
}

/// Why a Parse is allowed of which it is not known yet whether it may run.
fn decided_at_bind(decision: &Decision) -> Reason {
    let message = if decision.needs.values {
        "the verdict hangs on values, and is made when they are bound"
    } else {
        "the verdict hangs on how many rows the planner expects, which is asked when it is bound"
    };
    Reason {
        rule: None,
        message: message.into(),
        hint: None,
    }
}

/// Whether the statement may run.
pub(super) fn is_allowed(decision: &Decision) -> bool {
    match decision.verdict {
        Verdict::Allow | Verdict::BreakGlass => true,
        Verdict::Hold | Verdict::Deny => false,
    }
}

/// Whether the statement may run, now or by an approval.
pub(super) fn may_run(decision: &Decision) -> bool {
    decision.verdict != Verdict::Deny
}

/// Refuses the allowed statement at this place.
pub(super) fn refuse_at(decisions: &mut [Decision], place: usize, reason: Reason) {
    if let Some(decision) = decisions.get_mut(place) {
        decision.verdict = Verdict::Deny;
        decision.reasons = vec![reason];
    }
}

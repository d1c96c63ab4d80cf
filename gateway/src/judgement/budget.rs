//! Budgets of an hour.
//!
//! Must never let a lookup through that was not counted.

use std::time::Instant;

use provost_engine::verdict::{Decision, Reason};
use provost_evidence::record::Phase;

use super::{SessionJudge, Step, memory::Lookup};

impl SessionJudge {
    /// Counts the lookups of a statement that is about to run; the refusal of one over its budget (ruling 2).
    pub(super) fn over_budget(&self, step: &Step<'_>, decision: &Decision) -> Option<Reason> {
        // A Parse looks nothing up: its Bind does.
        let per_hour = match step.phase {
            Phase::Prepare => return None,
            Phase::Simple | Phase::Execute => {
                decision.probes.iter().map(|probe| probe.per_hour).min()?
            }
        };
        let principal = &self.session.principal.id;
        let message = match self
            .bench
            .memory
            .look_up(principal, per_hour, Instant::now())
        {
            Lookup::Counted => return None,
            Lookup::OverBudget => format!(
                "masked columns may be looked up {per_hour} times an hour, and this principal has done so"
            ),
            Lookup::NoRoom => "too many principals look masked columns up at once".to_owned(),
        };
        Some(Reason {
            rule: None,
            message: message.into(),
            hint: Some("wait, or leave out the masked column".into()),
        })
    }
}

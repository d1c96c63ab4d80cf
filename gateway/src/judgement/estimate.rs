//! Rules that ask how many rows the server's planner expects: it is asked, and the statement is decided once more with its answer.
//!
//! Must never ask about a statement that is refused anyway, nor let one run by a number that nobody told: where there is none, whatever
//! asks for it is refused and says why.

use jiff::{SignedDuration, Timestamp};
use provost_engine::{principal::Dear, sql::Statement, verdict::Decision};
use provost_evidence::{approvals::Rows, record::Phase};

use super::{SessionJudge, Step, decide::Basis, now};
use crate::judge::Fatal;

/// How long after an estimate what was decided by it may begin to run; then the planner is asked again.
const ESTIMATE_HOLDS: SignedDuration = SignedDuration::from_secs(60);

/// Decisions on a text, and what they were made of.
pub(super) struct Decided {
    pub(super) decisions: Vec<Decision>,
    pub(super) basis: Basis,
    /// What the planner said, where a rule asked.
    pub(super) estimate: Option<Rows>,
    /// Until when they hold, where they rest on that.
    pub(super) until: Option<Timestamp>,
}

impl SessionJudge {
    /// Decides every statement of a text, with the planner's estimate where a rule asks for it. A Parse is decided when it is bound: its
    /// values may make another plan.
    pub(super) async fn decide_with_estimate(
        &mut self,
        step: &Step<'_>,
        statements: &[Statement],
    ) -> Result<Decided, Fatal> {
        let (decisions, basis) = self.decide_all(step, statements);
        let is_asked = step.phase != Phase::Prepare && decisions.iter().any(asks);
        if !is_asked {
            return Ok(Decided {
                decisions,
                basis,
                estimate: None,
                until: None,
            });
        }
        let estimate = self.estimate_for_rules(step, (statements, &decisions));
        let estimate = estimate.await?;
        let step = Step {
            estimate: Some(&estimate),
            ..*step
        };
        let (decisions, basis) = self.decide_all(&step, statements);
        Ok(Decided {
            decisions,
            basis,
            estimate: Some(estimate),
            until: Some(
                now()
                    .saturating_add(ESTIMATE_HOLDS)
                    .unwrap_or(Timestamp::MAX),
            ),
        })
    }
}

/// Whether a decision waits for the estimate.
fn asks(decision: &Decision) -> bool {
    decision.needs.estimated_rows
}

/// The estimate as conditions read it.
pub(crate) fn as_fact(estimate: Option<&Rows>) -> Dear<u64> {
    match estimate {
        None => Dear::NotAsked,
        Some(Rows::Count(count)) => Dear::Known(*count),
        Some(Rows::Unknown { why }) => Dear::Failed(why.as_str().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Dear, Rows, as_fact};

    #[test]
    fn a_number_that_nobody_told_is_no_number() {
        assert_eq!(as_fact(None), Dear::NotAsked);
        assert_eq!(as_fact(Some(&Rows::Count(0))), Dear::Known(0));
        let unknown = Rows::Unknown {
            why: "it took too long".to_owned(),
        };
        assert_eq!(
            as_fact(Some(&unknown)),
            Dear::Failed("it took too long".into())
        );
    }
}

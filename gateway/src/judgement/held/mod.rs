//! Statements that a rule holds: whether an approval is there for exactly this, else people are asked for one.
//!
//! Must never let a statement go on by an approval of anything else: of another principal, text, value, role, search path, target or
//! bundle, or of names that mean something else here (P5); nor by one that was used.

mod binding;
mod people;
mod plan;
mod reach;
mod rehearsal;
mod request;
mod words;

use std::{
    collections::BTreeSet,
    sync::Arc,
    task::{Context, Poll},
};

use provost_engine::{
    graph::STATE_A_REASON,
    sql::Statement,
    verdict::{Decision, HeldTransaction, Reason, Verdict},
};
use provost_evidence::{
    approvals::{ApprovalId, Request},
    record::{Outcome, Phase},
};

pub(super) use self::people::People;
pub(crate) use self::people::{Aside, Awaited, Manners, Wait};
use self::{
    people::Waiting,
    request::{needs, unseen},
    words::{Offer, detail, notice, refused},
};
use super::{SessionJudge, Step, answer, notes::Noted};
use crate::{
    approvals::{Error, Standing},
    judge::{Alone, Fatal, Held, Refused, StatementSeq, Stop},
};

/// SQLSTATE of a statement that its client took back: query_canceled.
const CANCELED: &str = "57014";

impl SessionJudge {
    /// Resolves when what the session waits for no longer waits.
    pub(crate) fn poll_people(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.people.poll(context)
    }

    /// The session ends, or goes on without what it waits for: its request is taken back.
    pub(crate) async fn leave_people(&mut self, why: &str) {
        // Whoever else waits for it goes on waiting: this session does no more.
        let id = self.people.waiting.take().map(|waiting| waiting.id);
        if let Some(id) = id {
            self.people.await_for(None);
            Box::pin(self.withdraw(&id, why)).await;
        }
    }

    /// The session ends, and what it waits for may be used by another one of its principal.
    pub(crate) fn forget_people(&mut self) {
        self.people.await_for(None);
    }

    /// Whether the text may go on that these decisions hold: by an approval, which is then to be spent ([`SessionJudge::spend`]).
    /// `None`: no rule holds it, or a rule denies it anyway.
    pub(super) async fn approval(
        &mut self,
        step: &Step<'_>,
        statements: &Noted,
        decisions: &mut [Decision],
    ) -> Result<Option<Arc<Request>>, Stop> {
        let is = |verdict| move |decision: &Decision| decision.verdict == verdict;
        let is_held = decisions.iter().any(is(Verdict::Hold));
        if !is_held || decisions.iter().any(is(Verdict::Deny)) {
            // What was asked for is asked for no more: the policy changed meanwhile.
            self.leave_people("the policy changed while it waited")
                .await;
            return Ok(None);
        }
        if self.people.alone == Alone::No {
            return Err(Stop::Held(Held::NotAlone));
        }
        if let Some(refused) = self.unaskable(step, statements) {
            let ended = (Outcome::Denied, refused);
            return Err(Box::pin(self.stop(step, statements, decisions, ended)).await);
        }
        let approved = Box::pin(self.ask_people(step, statements, decisions));
        approved.await.map(Some)
    }

    async fn ask_people(
        &mut self,
        step: &Step<'_>,
        statements: &Noted,
        decisions: &mut [Decision],
    ) -> Result<Arc<Request>, Stop> {
        let needs = needs(decisions);
        let binding = self.binding(step, statements, &needs);
        let approvals = Arc::clone(&self.bench.approvals);
        let waited = self.people.waiting.take();
        self.people.await_for(None);
        let told = waited.as_ref().map(|waiting| waiting.id.clone());
        if let Some(waiting) = waited {
            if waiting.binding != binding {
                let id = waiting.id.clone();
                drop(waiting);
                self.withdraw(&id, "the policy or the catalog changed while it waited")
                    .await;
            } else if let Some(stop) = self.over(step, statements, decisions, &waiting.id).await {
                return Err(stop);
            }
        }
        let (request, standing) = match approvals.open_for(&binding) {
            Some(open) => open,
            None => {
                let request =
                    self.request(step, (statements, decisions), needs, binding.clone())?;
                if let Some(refused) = unseen(&request) {
                    let ended = (Outcome::Denied, refused);
                    let stop = self.stop(step, statements, decisions, ended).await;
                    return Err(stop);
                }
                let estimate = self.estimate(step, (statements, decisions), &request);
                let request = Request {
                    estimate: Some(estimate.await?),
                    ..request
                };
                match approvals.ask(request).await {
                    Ok(request) => (request, Standing::Waiting),
                    Err(error) => {
                        let refused = self.unasked(error)?;
                        let stop = self
                            .stop(step, statements, decisions, (Outcome::Denied, refused))
                            .await;
                        return Err(stop);
                    }
                }
            }
        };
        if standing == Standing::Approved {
            return Ok(request);
        }
        if let Some(instead) = self.may_not_wait(decisions) {
            let instead = match is_glass_offered(decisions) {
                Offer::Glass => format!("{instead}; or {STATE_A_REASON}"),
                Offer::Nothing => instead.to_owned(),
            };
            let stop = self
                .stop_waiting(step, statements, decisions, (&request, &instead))
                .await;
            return Err(stop);
        }
        let is_told = told.as_ref() == Some(&request.id);
        self.await_answer(&request, binding.clone());
        if approvals.is_dry_run_wanted(&request.id) {
            self.dry_run(step, (statements, decisions), &request)
                .await?;
            // What people said meanwhile was told to the one that waited before.
            self.await_answer(&request, binding);
        }
        let notice = (!is_told).then(|| notice(&request, is_glass_offered(decisions)));
        Err(Stop::Held(Held::Asked(notice)))
    }

    fn await_answer(&mut self, request: &Request, binding: String) {
        let waiting = Waiting {
            id: request.id.clone(),
            binding,
            end: self.bench.approvals.wait(&request.id),
        };
        self.people.await_for(Some(waiting));
    }

    /// Spends the approval for the text whose first statement is recorded next.
    pub(super) async fn spend(
        &mut self,
        step: &Step<'_>,
        statements: &Noted,
        decisions: &mut [Decision],
        request: &Request,
    ) -> Result<(), Stop> {
        let statement = self.id.statement(StatementSeq(self.seq + 1));
        let principal = &self.session.principal;
        let refused = match self
            .bench
            .approvals
            .spend(request, (principal, statement))
            .await
        {
            // What names mean may have changed while it was written down.
            Ok(true) if self.is_unchanged(statements).await => return Ok(()),
            Ok(_) => refused(
                format!(
                    "approval {} was used, or ended, or the catalog changed, meanwhile",
                    request.id
                ),
                None,
                "send the statement again: people are asked again",
            ),
            Err(error) => self.unasked(error)?,
        };
        Err(self
            .stop(step, statements, decisions, (Outcome::Denied, refused))
            .await)
    }

    /// Whether the catalog still is the one that the statements were analysed by.
    async fn is_unchanged(&self, statements: &[Statement]) -> bool {
        if self.sight.is_own() {
            return true;
        }
        let Ok(loaded) = self.keeper.refresh(BTreeSet::new()).await else {
            return false;
        };
        let now = loaded.catalog.version();
        let is_by = |statement: &Statement| statement.facts.catalog_version == now;
        statements.iter().all(is_by)
    }

    /// Why nobody can wait here, where that is so.
    fn may_not_wait(&self, decisions: &[Decision]) -> Option<&'static str> {
        let is_open = self.status != b'I' || self.people.alone == Alone::InSegment;
        let keeps = decisions
            .iter()
            .filter(|decision| decision.verdict == Verdict::Hold)
            .all(|decision| decision.held_transaction == HeldTransaction::Keep);
        if self.people.wait == Wait::Off {
            return Some(
                "once it is approved, send the very same statement again: it then runs, once",
            );
        }
        (is_open && !keeps).then_some(
            "a transaction is open, whose locks others may wait for: roll back, and send the very same statement again, outside of a \
             transaction to wait, or once it is approved",
        )
    }

    /// What became of what the session waited for, where that is the end of it.
    async fn over(
        &mut self,
        step: &Step<'_>,
        statements: &Noted,
        decisions: &mut [Decision],
        id: &ApprovalId,
    ) -> Option<Stop> {
        let again = "ask again, if you must: send the statement again";
        let ended = match self.bench.approvals.standing(id) {
            None | Some(Standing::Waiting | Standing::Approved) => return None,
            Some(Standing::Refused { by, reason }) => {
                let by = by.unwrap_or_else(|| "somebody".to_owned());
                let detail = reason.map(|reason| format!("{by}: {reason}"));
                let message = format!("approval {id} was refused by {by}");
                (Outcome::Denied, refused(message, detail, again))
            }
            Some(Standing::Expired) => {
                let message = format!("approval {id} was not given in time");
                (Outcome::Denied, refused(message, None, again))
            }
            Some(Standing::Used) => {
                let message = format!("approval {id} was used by another statement");
                (Outcome::Denied, refused(message, None, again))
            }
            Some(Standing::Withdrawn) => (
                Outcome::Withdrawn,
                Refused {
                    sqlstate: CANCELED,
                    message: "canceling statement due to user request".to_owned(),
                    detail: Some(format!("approval {id} is withdrawn")),
                    hint: None,
                    position: None,
                },
            ),
        };
        let step = Step {
            approval: Some(id.as_str()),
            ..*step
        };
        Some(self.stop(&step, statements, decisions, ended).await)
    }

    /// Stops a text whose approval is waited for without its session.
    async fn stop_waiting(
        &mut self,
        step: &Step<'_>,
        statements: &Noted,
        decisions: &mut [Decision],
        (request, instead): (&Request, &str),
    ) -> Stop {
        let step = Step {
            approval: Some(request.id.as_str()),
            ..*step
        };
        let refused = Refused {
            sqlstate: answer::DENIED,
            message: format!("held by policy: it needs {}", request.needs_told()),
            detail: Some(detail(request)),
            hint: Some(instead.to_owned()),
            position: None,
        };
        self.stop(&step, statements, decisions, (Outcome::Denied, refused))
            .await
    }

    /// Logs that the text does not run, and gives what the client is told.
    async fn stop(
        &mut self,
        step: &Step<'_>,
        statements: &Noted,
        decisions: &mut [Decision],
        (outcome, refused): (Outcome, Refused),
    ) -> Stop {
        for decision in &mut *decisions {
            if decision.verdict == Verdict::Hold {
                decision.reasons = vec![Reason {
                    rule: None,
                    message: refused.message.as_str().into(),
                    hint: None,
                }];
            }
        }
        match self
            .refuse_as(step, statements, decisions, (outcome, refused.sqlstate))
            .await
        {
            Ok(()) => Stop::Refused(refused),
            Err(fatal) => Stop::Fatal(fatal),
        }
    }

    async fn withdraw(&self, id: &ApprovalId, why: &str) {
        if let Err(error) = self.bench.approvals.withdraw(id, why).await {
            self.failed_approval(&error);
        }
    }

    /// What the client is told where nobody can be asked.
    fn unasked(&self, error: Error) -> Result<Refused, Fatal> {
        match error {
            Error::Log(error) => Err(self.bench.fail(&error)),
            Error::Store(_) | Error::TooMany => {
                self.failed_approval(&error);
                Ok(refused(
                    format!("the statement needs an approval: {error}"),
                    None,
                    "nothing was run",
                ))
            }
        }
    }

    fn failed_approval(&self, error: &Error) {
        match error {
            Error::Log(error) => {
                // The client's next statement is told.
                let _ = self.bench.fail(error);
            }
            Error::Store(_) | Error::TooMany => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    session = self.id.as_str(),
                    "an approval could not be written"
                );
            }
        }
    }
}

/// Why a Parse is allowed whose statement is held: people are asked when it is to run, with its values.
pub(super) fn held_when_run(decision: Decision) -> Decision {
    Decision {
        verdict: Verdict::Allow,
        reasons: vec![Reason {
            rule: None,
            message: "people are asked when it is to run".into(),
            hint: None,
        }],
        ..decision
    }
}

/// Whether all that is held would run by a stated reason.
fn is_glass_offered(decisions: &[Decision]) -> Offer {
    let is_offered = decisions
        .iter()
        .filter(|decision| decision.verdict == Verdict::Hold)
        .all(|decision| decision.glass.offered);
    if is_offered {
        Offer::Glass
    } else {
        Offer::Nothing
    }
}

/// Whether a decision only holds until its statement runs, and this is not yet that.
pub(super) fn is_before_run(step: &Step<'_>, decision: &Decision) -> bool {
    step.phase == Phase::Prepare && decision.verdict == Verdict::Hold
}

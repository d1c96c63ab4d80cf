//! Statements that a rule holds: whether an approval is there for exactly this, else people are asked for one.
//!
//! Must never let a statement go on by an approval of anything else: of another principal, text, value, role, search path, target or
//! bundle, or of names that mean something else here (P5); nor by one that was used.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use provost_engine::{
    facts::{Access, Column, Facts, Kind},
    graph::rule::Effect,
    sql::Statement,
    verdict::{Approval, Decision, HeldTransaction, Reason, RuleId, Verdict, join_approvals},
};
use provost_evidence::{
    approvals::{ApprovalId, HeldStatement, Need, Request},
    record::{DecisionRecord, Micros, Outcome, Phase},
};
use tokio::sync::oneshot;

use super::{NamedBy, Sent, SessionJudge, Step, answer, notes::Noted, values};
use crate::{
    approvals::{Error, Standing, now},
    badge::RoleIs,
    judge::{Alone, Enforcement, Fatal, Held, Notice, Refused, Stop},
    record,
};

/// The longest text, and the most bytes of values, that people are asked of.
const SHOWN_BYTES_MAX: usize = 32 * 1024;
/// SQLSTATE of a statement that its client took back: query_canceled.
const CANCELED: &str = "57014";

/// The approval that a session waits for, for whoever wants to take it back on the client's behalf.
pub(crate) type Awaited = Arc<Mutex<Option<ApprovalId>>>;

/// Whether a session's statements wait for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Wait {
    /// Within the open connection.
    #[default]
    On,
    /// They fail, and are sent again once they are approved (`provost.wait = off`).
    Off,
}

/// What a session waits for.
#[derive(Debug)]
struct Waiting {
    id: ApprovalId,
    binding: String,
    /// Resolves when it no longer waits.
    end: oneshot::Receiver<()>,
}

/// What a session has to do with people, as it begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manners {
    /// Whether its statements wait.
    pub(crate) wait: Wait,
    /// What it waits for.
    pub(crate) awaited: Awaited,
    /// The settings that it began with, `name = value`, in order: what texts mean hangs on some of them.
    pub(crate) settings: Vec<String>,
}

/// What a session has to do with people.
#[derive(Debug)]
pub(super) struct People {
    wait: Wait,
    settings: Vec<String>,
    /// How many statements were let through that may have changed settings.
    settings_changed: u64,
    alone: Alone,
    waiting: Option<Waiting>,
    awaited: Awaited,
}

impl People {
    pub(super) fn new(manners: Manners) -> Self {
        let Manners {
            wait,
            awaited,
            settings,
        } = manners;
        Self {
            wait,
            settings,
            settings_changed: 0,
            alone: Alone::No,
            waiting: None,
            awaited,
        }
    }

    /// A statement is let through.
    pub(super) fn lets_through(&mut self, enforcement: &Enforcement) {
        self.settings_changed += u64::from(enforcement.may_set);
    }

    pub(super) fn alone(&mut self, alone: Alone) {
        self.alone = alone;
    }

    /// Resolves when what the session waits for no longer waits.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.waiting {
            // Whoever could tell is gone: it is looked at again.
            Some(waiting) => std::pin::Pin::new(&mut waiting.end).poll(context).map(drop),
            None => Poll::Ready(()),
        }
    }

    fn await_for(&mut self, waiting: Option<Waiting>) {
        let id = waiting.as_ref().map(|waiting| waiting.id.clone());
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = id;
        self.waiting = waiting;
    }
}

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
            self.withdraw(&id, why).await;
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
            return Err(self.stop(step, statements, decisions, ended).await);
        }
        let approved = self.ask_people(step, statements, decisions).await;
        approved.map(Some)
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
            let stop = self
                .stop_waiting(step, statements, decisions, (&request, instead))
                .await;
            return Err(stop);
        }
        let is_told = told.as_ref() == Some(&request.id);
        self.people.await_for(Some(Waiting {
            id: request.id.clone(),
            binding,
            end: approvals.wait(&request.id),
        }));
        let notice = (!is_told).then(|| notice(&request));
        Err(Stop::Held(Held::Asked(notice)))
    }

    /// Spends the approval for the text whose first statement is recorded next.
    pub(super) async fn spend(
        &mut self,
        step: &Step<'_>,
        statements: &Noted,
        decisions: &mut [Decision],
        request: &Request,
    ) -> Result<(), Stop> {
        let statement = self.id.statement(crate::judge::StatementSeq(self.seq + 1));
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

    /// Why people can't be asked of it: they could not see what they approve, or it could be something else when it runs.
    fn unaskable(&self, step: &Step<'_>, statements: &[Statement]) -> Option<Refused> {
        let no = |why: &str, hint: &str| {
            let message = format!("the statement needs an approval, {why}");
            Some(refused(message, None, hint))
        };
        if self.status == b'E' {
            return no("and the transaction has failed", "roll back first");
        }
        if self.role == RoleIs::Any {
            return no(
                "and the session's role may be another than it started in",
                "connect again, and send it before anything that sets the role",
            );
        }
        let rests_on_names = |one: &Statement| !one.rests_on.is_empty() || one.binding.is_some();
        if step.named_by == NamedBy::Sql || statements.iter().any(rests_on_names) {
            return no(
                "and what runs by it stands behind a name",
                "send the statement itself, without PREPARE and EXECUTE or a cursor",
            );
        }
        if statements
            .iter()
            .any(|one| one.facts.kind == Kind::CopyFrom)
        {
            return no(
                "and its data would come after it",
                "use INSERT: its values are shown to whoever approves",
            );
        }
        if matches!(step.parameters, Sent::Digest(_)) {
            return no(
                "and its values are too large to be shown",
                "bind smaller values",
            );
        }
        None
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
            message: format!("held by policy: it needs {}", wanted(request)),
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

    /// Digest of all that an approval of this text is for.
    fn binding(&self, step: &Step<'_>, statements: &[Statement], needs: &[Need]) -> String {
        let principal = &self.session.principal;
        let person = principal.on_behalf_of.as_ref().map(|person| &*person.id);
        let path = step.path.unwrap_or_else(|| self.sight.path());
        let values = self.parameters_digest(step);
        let values = values.as_ref().map_or(&[][..], |digest| &digest[..]);
        let types: Vec<u8> = step
            .types
            .iter()
            .flat_map(|oid| oid.to_be_bytes())
            .collect();
        // The names' meaning: relations and functions as the catalog has them now.
        let accesses: Vec<&[Access]> = statements
            .iter()
            .map(|statement| statement.facts.accesses.as_slice())
            .collect();
        let meaning = serde_json::to_vec(&accesses).unwrap_or_default();
        // And views, functions, triggers: whatever may be changed under the same name.
        let versions = statements.iter().map(|one| one.facts.catalog_version.0);
        let versions: Vec<u8> = versions.flat_map(u64::to_be_bytes).collect();
        let needs = serde_json::to_vec(needs).unwrap_or_default();
        let settings = serde_json::to_vec(&self.people.settings).unwrap_or_default();
        // Settings that a session changed are its own.
        let session = match self.people.settings_changed {
            0 => String::new(),
            count => format!("{} {count}", self.id.as_str()),
        };
        let texts = [
            &*principal.id,
            person.unwrap_or_default(),
            &*principal.issuer,
            &*self.session.target,
            &*self.session.role,
            &*self.policy.digest().0,
        ];
        let parts = texts
            .into_iter()
            .map(str::as_bytes)
            .chain([
                step.text, &types, values, &meaning, &versions, &needs, &settings,
            ])
            .chain([session.as_bytes()])
            .chain(path.iter().map(|schema| schema.as_bytes()));
        record::hex(&self.bench.key.binding(parts))
    }

    fn request(
        &self,
        step: &Step<'_>,
        (statements, decisions): (&[Statement], &[Decision]),
        needs: Vec<Need>,
        binding: String,
    ) -> Result<Request, Stop> {
        let at = now();
        let id = ApprovalId::new(at).map_err(|error| {
            tracing::error!(%error, "no approval can be asked for");
            Fatal {
                sqlstate: "58000",
                message: "the operating system gave no randomness: tell the gateway's operator"
                    .to_owned(),
            }
        })?;
        let records: Vec<DecisionRecord> = statements
            .iter()
            .zip(decisions)
            .map(|(statement, decision)| {
                self.record(
                    step,
                    crate::judge::StatementSeq(self.seq + 1),
                    statement,
                    decision,
                )
            })
            .collect();
        let within_ms = needs.iter().map(|need| need.within_ms).min().unwrap_or(0);
        let within = i64::try_from(within_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let principal = &self.session.principal;
        let holding = self.holding(decisions);
        let sql: Option<Vec<&str>> = records.iter().map(|one| one.sql.as_deref()).collect();
        Ok(Request {
            id,
            gateway: self.bench.approvals.gateway().to_owned(),
            requested_at: at,
            expires_at: Micros(at.0.saturating_add(within)),
            requester: principal.id.to_string(),
            requester_kind: principal.kind.name().to_owned(),
            on_behalf_of: principal
                .on_behalf_of
                .as_ref()
                .map(|person| person.id.to_string()),
            session_id: self.id.as_str().to_owned(),
            application: self.session.application.to_string(),
            target: self.session.target.to_string(),
            role: self.session.role.to_string(),
            search_path: step
                .path
                .unwrap_or_else(|| self.sight.path())
                .iter()
                .map(ToString::to_string)
                .collect(),
            sql: sql.map(|texts| texts.join(";\n")),
            sql_digest: record::hex(&self.bench.key.sql(step.text)),
            parameters: self.shown_values(step, statements),
            parameters_digest: self
                .parameters_digest(step)
                .map(|digest| record::hex(&digest)),
            statements: records
                .iter()
                .map(|one| HeldStatement {
                    kind: one.kind.clone().unwrap_or_default(),
                    fingerprint: one.fingerprint.clone().unwrap_or_default(),
                    relations: one.relations.clone(),
                    columns: one.columns.clone(),
                })
                .collect(),
            rules: record::texts(&self.policy.names(&holding)),
            reason: self.because(&holding),
            controls: record::texts(&self.policy.controls(&holding)),
            bundle_digest: self.policy.digest().0.to_string(),
            binding_digest: binding,
            settings: self.people.settings.clone(),
            settings_changed: self.people.settings_changed > 0,
            needs,
        })
    }

    /// The rules that hold, of those that determined the decisions: others only allow, mask or limit.
    fn holding(&self, decisions: &[Decision]) -> Vec<RuleId> {
        let all = decisions.iter().flat_map(|decision| &decision.rules);
        let rules = &self.policy.set().rules;
        let holds = |id: &RuleId| {
            let rule = usize::try_from(id.0).ok().and_then(|at| rules.get(at));
            // What is no rule is a module, which may.
            rule.is_none_or(|rule| matches!(rule.effect, Effect::Hold(..)))
        };
        let holding: BTreeSet<RuleId> = all.copied().filter(holds).collect();
        holding.into_iter().collect()
    }

    /// Why they hold, in the policy's words.
    fn because(&self, rules: &[RuleId]) -> Option<String> {
        let all = &self.policy.set().rules;
        let because = rules.iter().filter_map(|id| {
            let rule = all.get(usize::try_from(id.0).ok()?)?;
            rule.because.as_deref()
        });
        let words: Vec<&str> = because.collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// The bound values, as far as they may be shown: of a text that touches no classed column, and is wholly understood.
    fn shown_values(
        &self,
        step: &Step<'_>,
        statements: &[Statement],
    ) -> Option<Vec<Option<String>>> {
        let Sent::Raw(raw) = step.parameters else {
            return None;
        };
        let classes = |column: &Column| self.policy.is_classed(column);
        let is_harmless = |facts: &Facts| record::is_harmless(facts, &classes);
        let all = statements
            .iter()
            .all(|statement| is_harmless(&statement.facts));
        all.then(|| values::shown(step.types, raw)).flatten()
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

/// Whether a decision only holds until its statement runs, and this is not yet that.
pub(super) fn is_before_run(step: &Step<'_>, decision: &Decision) -> bool {
    step.phase == Phase::Prepare && decision.verdict == Verdict::Hold
}

/// Who must approve all of it.
fn needs(decisions: &[Decision]) -> Vec<Need> {
    let joined = decisions.iter().fold(Vec::new(), |needs, decision| {
        join_approvals(&needs, &decision.approvals)
    });
    joined.into_iter().map(need).collect()
}

/// Why nobody could see what they approve.
fn unseen(request: &Request) -> Option<Refused> {
    let is_whole = |sql: &String| sql.len() <= SHOWN_BYTES_MAX;
    let values = request.parameters.iter().flatten().flatten();
    let values: usize = values.map(String::len).sum();
    let is_shown = request.sql.as_ref().is_some_and(is_whole) && values <= SHOWN_BYTES_MAX;
    (!is_shown).then(|| {
        refused(
            "the statement needs an approval, and is too large to be shown to anybody",
            None,
            "send smaller statements",
        )
    })
}

fn need(approval: Approval) -> Need {
    Need {
        group: approval.group.to_string(),
        members: approval.members.iter().map(ToString::to_string).collect(),
        count: approval.count,
        within_ms: approval.within_ms,
    }
}

fn wanted(request: &Request) -> String {
    let needs: Vec<String> = request.needs.iter().map(ToString::to_string).collect();
    needs.join(" and ")
}

fn detail(request: &Request) -> String {
    let Request { id, rules, .. } = request;
    let by = match rules.as_slice() {
        [rule] => format!(", by rule {rule}"),
        rules => format!(", by rules {}", rules.join(", ")),
    };
    let why = request
        .reason
        .as_deref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    format!("approval {id}, until {}{by}{why}", time(request.expires_at))
}

fn notice(request: &Request) -> Notice {
    Notice {
        message: format!(
            "held by policy until it is approved: it needs {}",
            wanted(request)
        ),
        detail: Some(detail(request)),
        hint: Some(format!(
            "someone else may run `provost approvals approve {}`; cancel the statement to take it back",
            request.id
        )),
    }
}

/// `2026-11-20T12:00:00Z`.
fn time(at: Micros) -> String {
    jiff::Timestamp::from_second(at.0.div_euclid(1_000_000))
        .map_or_else(|_| "the end of time".to_owned(), |time| time.to_string())
}

fn refused(message: impl Into<String>, detail: Option<String>, hint: &str) -> Refused {
    Refused {
        sqlstate: answer::DENIED,
        message: message.into(),
        detail,
        hint: Some(hint.to_owned()),
        position: None,
    }
}

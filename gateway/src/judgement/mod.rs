//! Analyses, decides and logs a session's statements: the [`crate::judge::Judge`] behind every session.
//!
//! It must never return a permit before the decision is in the log, nor a refusal before its record and its end are.

mod analysis;
mod answer;
mod logging;
mod memory;
mod names;
mod obligations;
mod obstacle;
mod pinning;
mod reading;
mod seam;
pub(crate) mod setting;
mod values;
mod view;

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use provost_engine::{
    facts::{CatalogVersion, Facts, Kind},
    graph::{Policy, SessionView},
    principal::{Circumstances, Dear, Session},
    sql::{Refusal, Statement, Witness},
    verdict::{Decision, Needs, Reason, Verdict},
};
use provost_evidence::{
    Durability, Log, Receipt,
    record::{Outcome, Phase, Record},
};
use tokio::sync::{Notify, Semaphore};

pub(crate) use self::analysis::{Cache, STACK_BYTES};
use self::{
    analysis::Workers,
    memory::{Lookup, Memory},
    names::NamesGiven,
    obligations::{hold_is_refused, unenforced},
    obstacle::Ground,
    pinning::{Holding, Pinning},
    values::Values,
    view::{OWN_CATALOGS_MAX, View},
};
use crate::{
    catalog::Keeper,
    judge::{
        End, Enforcement, Fatal, Judge as _, Parameters, Permitted, Refused, StatementSeq, Stop,
        Touch,
    },
    permit::Permit,
    policy::PolicyHandle,
    record::{EvidenceKey, SessionId},
    settings::Durable,
};

/// Statements in one query string; more are refused.
const STATEMENTS_MAX: usize = 1_000;
/// Columns of one result: PostgreSQL's own `MaxTupleAttributeNumber`. More are refused before each costs a decision.
const OUTPUTS_MAX: usize = 1_664;
/// A catalog older than this many times the allowed age can't be relied on for masks: its reader fails.
const CATALOG_OLD: u32 = 3;

/// What all judges share.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The policy in force.
    pub(crate) policy: Arc<PolicyHandle>,
    /// The evidence log.
    pub(crate) log: Arc<Log>,
    /// The key of evidence's digests.
    pub(crate) key: Arc<EvidenceKey>,
    workers: Workers,
    /// What is remembered of principals.
    memory: Memory,
    /// The id of the keys of `hash` and `tokenize`, where there are keys.
    mask_key_id: Option<Arc<str>>,
    /// See [`crate::settings::Settings`].
    pub(crate) witness: Witness,
    /// See [`crate::settings::Settings`].
    pub(crate) durable: Durable,
    /// See [`crate::settings::Limits`].
    pub(crate) statement_bytes_max: usize,
    /// See [`crate::settings::Settings`].
    pub(crate) catalog_age_max: Duration,
    /// Room for catalogs of sessions' own.
    own_catalogs: Arc<Semaphore>,
    /// The log failed: the gateway must stop (P6).
    pub(crate) failed: Notify,
}

impl Bench {
    /// Starts the workers.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub(crate) fn new(
        policy: Arc<PolicyHandle>,
        log: Arc<Log>,
        key: Arc<EvidenceKey>,
        settings: &crate::settings::Settings,
    ) -> io::Result<Self> {
        Ok(Self {
            policy,
            log,
            key,
            workers: Workers::start()?,
            memory: Memory::default(),
            mask_key_id: settings
                .mask_keys
                .as_ref()
                .map(|keys| Arc::clone(keys.id())),
            witness: settings.witness,
            durable: settings.durable,
            statement_bytes_max: settings.limits.statement_bytes_max,
            catalog_age_max: Duration::from_millis(settings.catalog_age_max_ms),
            own_catalogs: Arc::new(Semaphore::new(OWN_CATALOGS_MAX)),
            failed: Notify::new(),
        })
    }

    /// Appends a record.
    pub(crate) async fn append(
        &self,
        record: &Record,
        durability: Durability,
    ) -> Result<Receipt, Fatal> {
        let outcome = self.log.append(record, durability).await;
        outcome.map_err(|error| self.fail(&error))
    }

    /// The log failed: the gateway stops (P6), and this is what the client is told.
    fn fail(&self, error: &provost_evidence::Error) -> Fatal {
        tracing::error!(%error, "the evidence log failed: the gateway stops");
        self.failed.notify_one();
        Fatal {
            sqlstate: "58030",
            message:
                "the gateway's evidence log failed, so nothing may run: tell the gateway's operator"
                    .to_owned(),
        }
    }
}

/// What a session's search path comes to.
#[derive(Debug, Clone)]
pub(crate) struct SearchPath {
    /// The schemas in effect, in order.
    pub(crate) effective: Arc<[Arc<str>]>,
    /// Schemas on it that did not exist when the session began.
    pub(crate) absent: Vec<Arc<str>>,
    /// It names `pg_temp`: what is created without a schema may be temporary.
    pub(crate) names_temp: bool,
}

/// One session's judge.
pub(crate) struct SessionJudge {
    bench: Arc<Bench>,
    keeper: Arc<Keeper>,
    cache: Rc<RefCell<Cache>>,
    id: SessionId,
    session: Arc<Session>,
    /// What the session's names are looked up in.
    sight: View,
    expires_at: SystemTime,
    policy: Arc<Policy>,
    view: SessionView,
    seq: u64,
    /// Statements whose end is not logged; as many as the session's pipeline may hold.
    open: HashMap<StatementSeq, Open>,
    /// See [`Ground::unread`].
    unread: bool,
    /// A name of the statement at hand was not known, and the session was looked at for it.
    looked_again: bool,
    /// The session's names, where the statement at hand asked for them.
    given: Option<NamesGiven>,
    /// The views of the statement at hand.
    pinning: Pinning,
    /// The transaction's status as the server last told it: `I`, `T` or `E`.
    status: u8,
}

/// A decided statement that has not ended.
struct Open {
    since: Instant,
    policy: Arc<Policy>,
    version: CatalogVersion,
}

/// A prepared statement's text: judged again at each Bind.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    text: Arc<[u8]>,
    types: Arc<[u32]>,
    /// The catalog when it was prepared.
    made_at: CatalogVersion,
    /// The whole PREPARE or DECLARE, where SQL gave it its name.
    whole: Option<Arc<str>>,
}

/// What is kept of a Bind.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    digest: Option<[u8; 32]>,
    /// As they came; `None` where there are none, or too many bytes of them.
    raw: Option<Arc<[u8]>>,
    /// The path when it was bound: the server looked its names up then.
    path: Arc<[Arc<str>]>,
    /// The catalog when it was bound.
    made_at: CatalogVersion,
}

/// What one step of the protocol asks about.
#[derive(Clone, Copy)]
struct Step<'a> {
    phase: Phase,
    text: &'a Arc<[u8]>,
    types: &'a Arc<[u32]>,
    parameters: Option<[u8; 32]>,
    values: Values<'a>,
    /// Where a portal's names were looked up; `None`: where they are now.
    path: Option<&'a Arc<[Arc<str>]>>,
    /// The catalog that the server may have read it by.
    made_at: Option<CatalogVersion>,
    named_by: NamedBy,
}

/// Who gave a prepared statement or a portal its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    /// A message of the protocol, or nobody.
    Protocol,
    /// PREPARE or DECLARE.
    Sql,
}

impl SessionJudge {
    /// The judge of a session that just logged in.
    pub(crate) fn new(
        bench: Arc<Bench>,
        keeper: Arc<Keeper>,
        cache: Rc<RefCell<Cache>>,
        (id, session): (SessionId, Arc<Session>),
        search_path: SearchPath,
        expires_at: SystemTime,
    ) -> Self {
        let policy = bench.policy.current();
        let view = policy.view(&session, now());
        let sight = View::new(search_path, Arc::clone(&bench.own_catalogs));
        Self {
            bench,
            keeper,
            cache,
            id,
            session,
            sight,
            expires_at,
            policy,
            view,
            seq: 0,
            open: HashMap::new(),
            unread: false,
            looked_again: false,
            given: None,
            pinning: Pinning::default(),
            status: b'I',
        }
    }

    /// Whether the server last said that a transaction is open.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.status != b'I'
    }

    /// What must hold before anything is judged: a token that is still good, the policy in force, the newest catalog.
    async fn settle(&mut self) -> Result<(), Stop> {
        // A client that sends without end has always something to read: other sessions of this thread come in between.
        tokio::task::coop::consume_budget().await;
        if SystemTime::now() >= self.expires_at {
            return Err(Stop::Fatal(expired()));
        }
        let policy = self.bench.policy.current();
        if !Arc::ptr_eq(&policy, &self.policy) || now() >= self.view.until() {
            self.view = policy.view(&self.session, now());
            self.policy = policy;
        }
        if self.unread && !self.sight.is_uncommitted() {
            self.unread = self.keeper.refresh().await.is_err();
        }
        Ok(())
    }

    /// Decides every statement, then logs: all permits, or one refusal with every statement in the log.
    async fn judge(
        &mut self,
        step: &Step<'_>,
        statements: &[Statement],
    ) -> Result<Vec<Permitted>, Stop> {
        let pinned = self.pinning.take();
        if statements.len() > STATEMENTS_MAX {
            return Err(self.refuse_text(step, too_many()).await);
        }
        if statements.iter().any(is_too_wide) {
            return Err(self.refuse_text(step, too_wide()).await);
        }
        if statements
            .iter()
            .any(|statement| self.may_be_outdated(step, statement))
        {
            return Err(self.refuse_text(step, obstacle::outdated()).await);
        }
        let mut decisions = self.decide_all(step, statements);
        match self.hold_views(step, statements, &decisions, pinned.as_ref()) {
            Holding::Held => {}
            Holding::Ask(look) if decisions.iter().all(is_allowed) => return Err(Stop::Look(look)),
            Holding::Ask(_) => {}
            Holding::Refused(place, reason) => refuse_at(&mut decisions, place, reason),
        }
        self.pinning.over();
        if decisions.iter().all(is_allowed) {
            for place in 0..decisions.len() {
                let over = decisions
                    .get(place)
                    .and_then(|decision| self.over_budget(step, decision));
                if let Some(reason) = over {
                    refuse_at(&mut decisions, place, reason);
                }
            }
        }
        if !decisions.iter().all(is_allowed) {
            return Err(self.refuse_all(step, statements, &decisions).await);
        }
        let mut permitted = Vec::with_capacity(statements.len());
        for (statement, decision) in statements.iter().zip(decisions) {
            match self.permit(step, statement, decision).await {
                Ok(one) => permitted.push(one),
                Err(stop) => {
                    self.skip(permitted).await?;
                    return Err(stop);
                }
            }
        }
        Ok(permitted)
    }

    fn decide_all(&self, step: &Step<'_>, statements: &[Statement]) -> Vec<Decision> {
        let mut ground = self.ground();
        let mut decisions = Vec::with_capacity(statements.len());
        for statement in statements {
            decisions.push(self.decide(step, &statement.facts, ground));
            // A Parse changes nothing yet: its Bind is judged again.
            if step.phase != Phase::Prepare {
                ground.lost |= match view::touch(&statement.facts) {
                    Touch::Nothing => false,
                    Touch::Moves => true,
                    Touch::Returns => self.sight.is_special(),
                };
            }
        }
        decisions
    }

    fn ground(&self) -> Ground {
        // A session's own catalog is read again when everybody's changes.
        let loaded = self.keeper.current();
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

    fn decide(&self, step: &Step<'_>, facts: &Facts, ground: Ground) -> Decision {
        if let Some(reason) = obstacle::find(facts, ground) {
            return self.deny(reason);
        }
        if ground.mask_bound && self.hides_a_class(facts) {
            return self.deny(obstacle::renamed());
        }
        if ground.mask_bound
            && facts.through_views
            // A view knows relations by their numbers.
            && facts.views.is_empty()
            && self.has_namesakes(facts, &[step.path.unwrap_or_else(|| self.sight.path())])
        {
            return self.deny(obstacle::namesakes());
        }
        if facts.kind == Kind::Empty {
            return Decision {
                verdict: Verdict::Allow,
                ..self.deny_with(Vec::new())
            };
        }
        // The engine is pure: a panic leaves nothing of it behind.
        let decided = catch_unwind(AssertUnwindSafe(|| self.ask(step, facts)));
        let Ok(decision) = decided else {
            return self.deny(Reason {
                rule: None,
                message: "internal error in evaluation".into(),
                hint: Some("this is a defect of the gateway: tell its operator".into()),
            });
        };
        let reason = match decision.verdict {
            Verdict::Deny => return decision,
            Verdict::Hold => Some(hold_is_refused(&decision.approvals)),
            Verdict::Allow => unenforced(&decision, facts).or_else(|| self.keyless(&decision)),
        };
        let Some(reason) = reason else {
            return decision;
        };
        Decision {
            verdict: match decision.verdict {
                // Evidence says that it was held, and that the hold was refused.
                Verdict::Hold => Verdict::Hold,
                Verdict::Allow | Verdict::Deny => Verdict::Deny,
            },
            reasons: vec![reason],
            ..decision
        }
    }

    /// Asks the policy, and once more with the dear facts that it then wants.
    fn ask(&self, step: &Step<'_>, facts: &Facts) -> Decision {
        let known = values::known(facts, step.types, step.values);
        let texts: Option<Vec<Option<&str>>> = known
            .as_ref()
            .map(|known| known.iter().map(Option::as_deref).collect());
        let mut circumstances = Circumstances {
            in_transaction: self.status != b'I',
            parameters: texts.as_deref(),
            ..Circumstances::default()
        };
        let mut asked = Needs::default();
        loop {
            let decision = self.policy.decide(&self.view, facts, &circumstances);
            let wants_novel = decision.needs.novel && !asked.novel;
            let wants_estimate = decision.needs.estimated_rows && !asked.estimated_rows;
            if wants_novel {
                let principal = &self.session.principal.id;
                let is_new = self.bench.memory.is_new(principal, &facts.fingerprint);
                circumstances.novel = Dear::Known(is_new);
            }
            if wants_estimate {
                // Ruling 7: an estimate is a statement of its own, with a record and a permit of its own.
                circumstances.estimated_rows =
                    Dear::Failed("this gateway does not ask the planner yet".into());
            }
            if !wants_novel && !wants_estimate {
                return decision;
            }
            asked.novel |= wants_novel;
            asked.estimated_rows |= wants_estimate;
        }
    }

    /// Counts the lookups of a statement that is about to run; the refusal of one over its budget (ruling 2).
    fn over_budget(&self, step: &Step<'_>, decision: &Decision) -> Option<Reason> {
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

    /// A mask that needs a key on a gateway without one: every statement that it masks is refused, rather than redacted where a rule says otherwise.
    fn keyless(&self, decision: &Decision) -> Option<Reason> {
        let needs_key = decision.masks.iter().any(|mask| mask.transform.is_keyed());
        (needs_key && self.bench.mask_key_id.is_none()).then(|| Reason {
            rule: None,
            message: "a mask needs a key, and this gateway has none".into(),
            hint: Some("tell the gateway's operator: `[masks] key` in its configuration".into()),
        })
    }

    fn digest_of(&self, parameters: Parameters<'_>) -> Option<[u8; 32]> {
        (parameters.count > 0).then(|| self.bench.key.parameters(parameters.raw))
    }

    /// Whether a column of the statement had a classed name before it was renamed, and has none now.
    fn hides_a_class(&self, facts: &Facts) -> bool {
        let former = self.loaded().former;
        let used = facts.accesses.iter().flat_map(|access| &access.columns);
        let written = facts.writes.iter().map(|write| &write.column);
        used.map(|used| &used.column)
            .chain(written)
            .any(|column| former.hides(column, |column| self.policy.is_classed(column)))
    }

    fn deny(&self, reason: Reason) -> Decision {
        self.deny_with(vec![reason])
    }

    fn deny_with(&self, reasons: Vec<Reason>) -> Decision {
        Decision::deny(reasons, self.policy.is_mask_bound(&self.view))
    }

    async fn permit(
        &mut self,
        step: &Step<'_>,
        statement: &Statement,
        decision: Decision,
    ) -> Result<Permitted, Stop> {
        let seq = self.next();
        let record = self.record(step, seq, statement, &decision);
        let durability = answer::durability(&statement.facts, self.bench.durable);
        let Some(receipt) = self.log_decision(record, durability).await? else {
            let refusal = limit(
                logging::TOO_LARGE.to_owned(),
                "name fewer columns and relations in one statement",
            );
            self.refuse_unread(step, &refusal.message, refusal.sqlstate)
                .await?;
            return Err(Stop::Refused(answer::refused(refusal)));
        };
        if step.phase != Phase::Prepare {
            let principal = &self.session.principal.id;
            self.bench
                .memory
                .ran(principal, &statement.facts.fingerprint);
        }
        self.open.insert(
            seq,
            Open {
                since: Instant::now(),
                policy: Arc::clone(&self.policy),
                version: statement.facts.catalog_version,
            },
        );
        Ok(Permitted {
            permit: Permit::from(receipt),
            statement: seq,
            enforcement: Arc::new(Enforcement {
                binding: statement.binding.clone(),
                cursors: self.cursors(statement),
                ..answer::enforcement(&statement.facts, decision)
            }),
        })
    }

    /// Ends statements that were let through and will not be sent after all.
    async fn skip(&mut self, permitted: Vec<Permitted>) -> Result<(), Fatal> {
        for Permitted { statement, .. } in permitted {
            let end = End {
                outcome: Outcome::Skipped,
                rows: 0,
                bytes: 0,
                sqlstate: None,
                values_masked: Vec::new(),
                result_digest: None,
            };
            self.end(statement, end).await?;
        }
        Ok(())
    }

    fn next(&mut self) -> StatementSeq {
        self.seq += 1;
        StatementSeq(self.seq)
    }

    async fn judge_one(&mut self, step: &Step<'_>) -> Result<Permitted, Stop> {
        self.settle().await?;
        let statements = self.analyse_one(step).await?;
        let judged = self.judge(step, &statements).await;
        self.given = None;
        let mut permitted = judged?;
        match (permitted.pop(), permitted.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(Stop::Refused(answer::denied(&[]))),
        }
    }
}

/// What a session whose token expired is told (ruling 18).
pub(crate) fn expired() -> Fatal {
    Fatal {
        sqlstate: "28000",
        message: "the token of this session expired: get a fresh token and connect again"
            .to_owned(),
    }
}

/// Now, on the gateway's clock; before the year -9999 and after 9999 it is the end of time, when no view holds.
pub(super) fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MAX)
}

fn is_allowed(decision: &Decision) -> bool {
    match decision.verdict {
        Verdict::Allow => true,
        Verdict::Hold | Verdict::Deny => false,
    }
}

/// Refuses the allowed statement at this place.
fn refuse_at(decisions: &mut [Decision], place: usize, reason: Reason) {
    if let Some(decision) = decisions.get_mut(place) {
        decision.verdict = Verdict::Deny;
        decision.reasons = vec![reason];
    }
}

fn limit(message: String, hint: &str) -> Refusal {
    Refusal {
        sqlstate: "54000",
        message,
        detail: None,
        hint: Some(hint.to_owned()),
        position: None,
        unknown_name: false,
    }
}

fn too_many() -> Refusal {
    limit(
        format!("the query string holds more than {STATEMENTS_MAX} statements"),
        "send fewer statements in one string",
    )
}

fn is_too_wide(statement: &Statement) -> bool {
    statement
        .facts
        .outputs
        .as_ref()
        .is_some_and(|outputs| outputs.len() > OUTPUTS_MAX)
}

/// In PostgreSQL's own words.
fn too_wide() -> Refusal {
    Refusal {
        sqlstate: "54011",
        message: format!("target lists can have at most {OUTPUTS_MAX} entries"),
        detail: None,
        hint: None,
        position: None,
        unknown_name: false,
    }
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

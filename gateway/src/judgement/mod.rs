//! Analyses, decides and logs a session's statements: the [`crate::judge::Judge`] behind every session.
//!
//! It must never return a permit before the decision is in the log, nor a refusal before its record and its end are.

mod analysis;
mod answer;
mod bench;
mod budget;
mod decide;
mod estimate;
mod glass;
mod held;
mod logging;
mod memory;
mod names;
mod notes;
mod obligations;
mod obstacle;
mod open;
mod patterns;
mod pinning;
mod reading;
mod recording;
mod refusal;
pub(crate) mod replication;
mod seam;
pub(crate) mod setting;
mod spending;
mod standing;
#[cfg(test)]
mod testing;
mod unbounded;
pub(crate) mod values;
mod view;

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    rc::Rc,
    sync::Arc,
    time::{Instant, SystemTime},
};

use jiff::Timestamp;
use provost_engine::{
    facts::CatalogVersion,
    graph::{Policy, SessionView},
    principal::Session,
    sql::{Refusal, Statement},
    verdict::{Decision, Verdict},
};
use provost_evidence::{approvals::Rows, draft::SessionDraft, record::Phase};

pub(crate) use self::held::{Aside, Awaited, Manners, Wait};
pub(crate) use self::{
    analysis::{Cache, STACK_BYTES},
    bench::Bench,
    estimate::as_fact as estimate_as_fact,
    refusal::expired,
};
use self::{
    decide::{Basis, is_allowed, refuse_at},
    estimate::Decided,
    glass::{Stated, is_broken},
    held::People,
    names::NamesGiven,
    notes::{Noted, Recent, Recollection},
    open::Open,
    pinning::{Holding, Pinning},
    refusal::{is_too_wide, limit, too_many, too_wide},
    standing::ViewId,
    values::Values,
    view::View,
};
use crate::{
    badge::{Badge, RoleIs},
    catalog::{Keeper, Loaded},
    glance::Glance,
    judge::{Fatal, Permitted, Refused, Stop},
    record::{self, SessionId},
};

/// Statements in one query string; more are refused.
const STATEMENTS_MAX: usize = 1_000;
/// Columns of one result: PostgreSQL's own `MaxTupleAttributeNumber`. More are refused before each costs a decision.
const OUTPUTS_MAX: usize = 1_664;
/// A catalog older than this many times the allowed age can't be relied on for masks: its reader fails.
const CATALOG_OLD: u32 = 3;

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
    /// What the session says of itself to its server.
    badge: Badge,
    /// Whether that may be another role by now.
    role: RoleIs,
    /// What all its entries in the log have in common.
    draft: SessionDraft,
    /// What the session's names are looked up in.
    sight: View,
    expires_at: SystemTime,
    policy: Arc<Policy>,
    /// [`crate::policy::PolicyHandle::changes`] before `policy` was taken.
    policy_changes: u64,
    view: SessionView,
    /// The view's name.
    view_id: ViewId,
    /// When the view is over.
    view_until: SystemTime,
    /// The catalog that everybody sees.
    glance: Glance<Loaded>,
    seq: u64,
    /// Statements whose end is not logged; as many as the session's pipeline may hold.
    open: VecDeque<Open>,
    /// See [`obstacle::Ground::unread`].
    unread: bool,
    /// A name of the statement at hand was not known, and the session was looked at for it.
    looked_again: bool,
    /// The session's names, where the statement at hand asked for them.
    given: Option<NamesGiven>,
    /// The views of the statement at hand.
    pinning: Pinning,
    /// The transaction's status as the server last told it: `I`, `T` or `E`.
    status: u8,
    /// Why its statements must run, as it says.
    stated: Stated,
    /// Whom it waits for.
    people: People,
    /// The principal's sessions as they would be on other targets of the same server: what streams is theirs too.
    neighbours: Vec<Arc<Session>>,
    /// What its last simple Query was read as.
    recent: Recent,
}

/// When something is decided, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    clock: SystemTime,
    at: Instant,
}

impl Moment {
    fn now() -> Self {
        Self {
            clock: SystemTime::now(),
            at: Instant::now(),
        }
    }
}

/// A prepared statement's text: judged again at each Bind.
#[derive(Debug)]
pub(crate) struct Prepared {
    text: Arc<[u8]>,
    types: Arc<[u32]>,
    /// The catalog when it was prepared.
    made_at: CatalogVersion,
    /// The whole PREPARE or DECLARE, where SQL gave it its name.
    whole: Option<Arc<str>>,
    /// What the text was last read as.
    memory: Recollection,
}

/// What is kept of a Bind.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    /// Of values of which there are too many bytes.
    digest: Option<[u8; 32]>,
    /// As they came; `None` where there are none, or too many bytes of them.
    raw: Option<Arc<[u8]>>,
    /// The path when it was bound: the server looked its names up then.
    path: Arc<[Arc<str>]>,
    /// The catalog when it was bound.
    made_at: CatalogVersion,
}

/// Values that came with a Bind, as evidence speaks of them.
#[derive(Clone, Copy)]
enum Sent<'a> {
    /// None came.
    Nothing,
    /// As they came.
    Raw(&'a [u8]),
    /// They are not kept, but for their digest.
    Digest([u8; 32]),
}

/// What one step of the protocol asks about.
#[derive(Clone, Copy)]
struct Step<'a> {
    phase: Phase,
    text: &'a [u8],
    types: &'a [u32],
    parameters: Sent<'a>,
    values: Values<'a>,
    /// Where a portal's names were looked up; `None`: where they are now.
    path: Option<&'a Arc<[Arc<str>]>>,
    /// The catalog that the server may have read it by.
    made_at: Option<CatalogVersion>,
    named_by: NamedBy,
    /// Where a prepared statement's text is not read for the first time.
    memory: Option<&'a Recollection>,
    /// How many rows the planner expects, where a rule asked for it.
    estimate: Option<&'a Rows>,
    /// The approval that its record names.
    approval: Option<&'a str>,
    /// Until when that may be used, or the estimate.
    holds_until: Option<Timestamp>,
}

impl<'a> Step<'a> {
    /// A text by itself: no values, nothing remembered, names where they are now.
    fn bare(phase: Phase, text: &'a [u8]) -> Self {
        Self {
            phase,
            text,
            types: &[],
            parameters: Sent::Nothing,
            values: Values::None,
            path: None,
            made_at: None,
            named_by: NamedBy::Protocol,
            memory: None,
            estimate: None,
            approval: None,
            holds_until: None,
        }
    }
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
        (search_path, badge): (SearchPath, Badge),
        manners: Manners,
        expires_at: SystemTime,
    ) -> Self {
        let policy_changes = bench.policy.changes();
        let policy = bench.policy.current();
        let glance = Glance::new(keeper.shared());
        let view = policy.view(&session, now());
        let sight = View::new(search_path, Arc::clone(&bench.own_catalogs));
        Self {
            bench,
            keeper,
            cache,
            draft: record::session_draft(&id, &session),
            id,
            session,
            badge,
            role: RoleIs::TheFirst,
            sight,
            expires_at,
            policy,
            policy_changes,
            view_until: view.until().into(),
            view,
            view_id: ViewId::next(),
            glance,
            seq: 0,
            open: VecDeque::new(),
            unread: false,
            looked_again: false,
            given: None,
            pinning: Pinning::default(),
            status: b'I',
            stated: Stated::new(manners.reason.clone()),
            people: People::new(manners),
            neighbours: Vec::new(),
            recent: Recent::default(),
        }
    }

    /// Whether the server last said that a transaction is open.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.status != b'I'
    }

    /// What must hold before anything is judged: a token that is still good, the policy in force, the newest catalog. Gives the clock's
    /// time.
    async fn settle(&mut self) -> Result<SystemTime, Stop> {
        // A client that sends without end has always something to read: other sessions of this thread come in between.
        tokio::task::coop::consume_budget().await;
        let clock = SystemTime::now();
        if clock >= self.expires_at {
            return Err(Stop::Fatal(expired()));
        }
        let changes = self.bench.policy.changes();
        if changes != self.policy_changes || clock >= self.view_until {
            let policy = self.bench.policy.current();
            self.policy_changes = changes;
            self.view = policy.view(&self.session, now());
            self.view_id = ViewId::next();
            self.view_until = self.view.until().into();
            self.policy = policy;
        }
        if self.unread && !self.sight.is_uncommitted() {
            self.unread = self.keeper.refresh(BTreeSet::new()).await.is_err();
        }
        Ok(clock)
    }

    /// Decides every statement, then logs: all permits, or one refusal with every statement in the log.
    async fn judge(&mut self, step: &Step<'_>, statements: &Noted) -> Result<Vec<Permitted>, Stop> {
        let moment = Moment::now();
        let footing = self.footing(moment);
        if let Some((statement, note)) = self.standing(step, step.memory, statements, footing) {
            let permitted = self.log_permitted(step, statement, &note, moment).await?;
            return Ok(vec![permitted]);
        }
        let pinned = self.pinning.take();
        let unbounded = self.despite_ground(step, statements);
        let statements = unbounded.as_deref().unwrap_or(statements);
        if let Some(refusal) = self.undecidable(step, statements) {
            return Err(self.refuse_text(step, refusal).await);
        }
        let Decided {
            mut decisions,
            basis,
            estimate,
            until,
        } = self.decide_with_estimate(step, statements).await?;
        let step = &Step {
            estimate: estimate.as_ref(),
            ..*step
        };
        let approval = self.approval(step, statements, &mut decisions).await?;
        let step = &Step {
            approval: approval.as_ref().map(|request| request.id.as_str()),
            holds_until: approval.as_deref().map_or(until, |request| {
                let expires = Timestamp::from_microsecond(request.expires_at.0);
                Some(expires.unwrap_or(Timestamp::MAX))
            }),
            ..*step
        };
        let passes = |decision: &Decision| {
            is_allowed(decision) || (approval.is_some() && decision.verdict == Verdict::Hold)
        };
        match self.hold_views(step, statements, &decisions, pinned.as_ref()) {
            Holding::Held => {}
            Holding::Ask(look) if decisions.iter().all(passes) => return Err(Stop::Look(look)),
            Holding::Ask(_) => {}
            Holding::Refused(place, reason) => refuse_at(&mut decisions, place, reason),
        }
        self.pinning.over();
        if decisions.iter().all(passes) {
            self.await_silence(step, &decisions)?;
        }
        if decisions.iter().all(passes) {
            self.refuse_over_budget(step, statements, &mut decisions)
                .await;
        }
        if !decisions.iter().all(passes) {
            return Err(self.refuse_all(step, statements, &decisions).await);
        }
        if let Some(request) = &approval {
            if let Some(reason) = self.limit_to_shown(request, statements, &mut decisions) {
                refuse_at(&mut decisions, 0, reason);
                return Err(self.refuse_all(step, statements, &decisions).await);
            }
            Box::pin(self.spend(step, statements, &mut decisions, request)).await?;
        }
        let mut notice = self.tell_of_glass(step, statements, &decisions).await?;
        let mut permitted = Vec::with_capacity(statements.len());
        for (place, decision) in decisions.into_iter().enumerate() {
            let footing = footing
                .filter(|_| basis == Basis::Facts && approval.is_none() && !is_broken(&decision));
            match self
                .permit(step, statements, (place, decision), footing)
                .await
            {
                Ok(one) => permitted.push(Permitted {
                    notice: notice.take().map(Box::new),
                    ..one
                }),
                Err(stop) => {
                    self.skip(permitted).await?;
                    return Err(stop);
                }
            }
        }
        if step.phase != Phase::Prepare {
            // Whatever becomes of the statement, and of its transaction: this is what the session said last.
            for stating in statements.iter().filter_map(|one| one.states.as_ref()) {
                self.stated.change(stating);
            }
        }
        Ok(permitted)
    }

    /// Why a text is not decided at all, where that is so.
    fn undecidable(&self, step: &Step<'_>, statements: &[Statement]) -> Option<Refusal> {
        if statements.len() > STATEMENTS_MAX {
            return Some(too_many());
        }
        if statements.iter().any(is_too_wide) {
            return Some(too_wide());
        }
        let is_outdated = |statement: &Statement| self.may_be_outdated(step, statement);
        if statements.iter().any(is_outdated) {
            return Some(obstacle::outdated());
        }
        let was_bound_elsewhere = step.path.is_some_and(|path| !self.sight.is_by(path));
        let is_moved = |statement: &Statement| view::is_named_when_run(&statement.facts);
        (was_bound_elsewhere && statements.iter().any(is_moved)).then(obstacle::moved)
    }

    /// Refuses each statement that its principal's budgets have no room for.
    async fn refuse_over_budget(
        &self,
        step: &Step<'_>,
        statements: &[Statement],
        decisions: &mut [Decision],
    ) {
        for (place, statement) in statements.iter().enumerate() {
            let Some(decision) = decisions.get(place) else {
                continue;
            };
            let over = self.over_budget(step, &statement.facts, decision).await;
            if let Some(reason) = over {
                refuse_at(decisions, place, reason);
            }
        }
    }

    /// A frame that is done with waits for nobody.
    async fn stop_waiting_unless_held<T>(&mut self, judged: &Result<T, Stop>) {
        let waits = matches!(judged, Err(Stop::Held(_) | Stop::Look(_) | Stop::Names));
        if !waits {
            self.leave_people("its statement ended otherwise").await;
        }
    }

    async fn judge_one(&mut self, step: &Step<'_>) -> Result<Permitted, Stop> {
        self.settle().await?;
        let statements = self.analyse_one(step).await?;
        let judged = self.judge(step, &statements).await;
        self.given = None;
        self.stop_waiting_unless_held(&judged).await;
        let mut permitted = judged?;
        match (permitted.pop(), permitted.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(Stop::Refused(answer::denied(&[]))),
        }
    }
}

/// Now, on the gateway's clock; before the year -9999 and after 9999 it is the end of time, when no view holds.
pub(super) fn now() -> Timestamp {
    timestamp(SystemTime::now())
}

/// The same of a clock that was read.
pub(super) fn timestamp(clock: SystemTime) -> Timestamp {
    Timestamp::try_from(clock).unwrap_or(Timestamp::MAX)
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

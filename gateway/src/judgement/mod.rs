//! Analyses, decides and logs a session's statements: the [`Judge`] behind every session.
//!
//! It must never return a permit before the decision is in the log, nor a refusal before its record and its end are.

mod analysis;
mod answer;
mod obstacle;
pub(crate) mod setting;

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use provost_engine::{
    facts::{CatalogVersion, Column, Facts, Kind, SessionEffect},
    graph::{Policy, SessionView},
    principal::Session,
    sql::{self, Refusal, Statement, Witness},
    verdict::{Decision, Reason, Verdict},
};
use provost_evidence::{
    Durability, Log, Receipt,
    record::{EndRecord, Outcome, Phase, Record},
};

pub(crate) use self::analysis::{Cache, STACK_BYTES};
use self::{
    analysis::{Analysed, Question, Workers, analyse},
    obstacle::Ground,
};
use crate::{
    catalog::Keeper,
    judge::{End, Fatal, Judge, Parameters, Permitted, Refused, StatementSeq, Stop},
    permit::Permit,
    policy::PolicyHandle,
    record::{self, Asked, EvidenceKey, SessionId},
    settings::Durable,
};

/// Statements in one query string; more are refused.
const STATEMENTS_MAX: usize = 1_000;
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
    /// See [`crate::settings::Settings`].
    pub(crate) witness: Witness,
    /// See [`crate::settings::Settings`].
    pub(crate) durable: Durable,
    /// See [`crate::settings::Limits`].
    pub(crate) statement_bytes_max: usize,
    /// See [`crate::settings::Settings`].
    pub(crate) catalog_age_max: Duration,
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
            witness: settings.witness,
            durable: settings.durable,
            statement_bytes_max: settings.limits.statement_bytes_max,
            catalog_age_max: Duration::from_millis(settings.catalog_age_max_ms),
        })
    }

    /// Appends a record that no statement waits for.
    pub(crate) async fn append(
        &self,
        record: &Record,
        durability: Durability,
    ) -> Result<Receipt, Fatal> {
        self.log.append(record, durability).await.map_err(|error| {
            tracing::error!(%error, "the evidence log failed");
            Fatal {
                sqlstate: "58030",
                message: "the gateway's evidence log failed, so nothing may run: tell the gateway's operator".to_owned(),
            }
        })
    }
}

/// One session's judge.
pub(crate) struct SessionJudge {
    bench: Arc<Bench>,
    keeper: Arc<Keeper>,
    cache: Rc<RefCell<Cache>>,
    id: SessionId,
    session: Arc<Session>,
    search_path: Arc<[Arc<str>]>,
    expires_at: SystemTime,
    policy: Arc<Policy>,
    view: SessionView,
    seq: u64,
    /// Statements whose end is not logged; as many as the session's pipeline may hold.
    open: HashMap<StatementSeq, Open>,
    /// See [`Ground::uncommitted`].
    uncommitted: bool,
    /// See [`Ground::unread`].
    unread: bool,
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
}

/// What one step of the protocol asks about.
#[derive(Clone, Copy)]
struct Step<'a> {
    phase: Phase,
    text: &'a Arc<[u8]>,
    types: &'a Arc<[u32]>,
    parameters: Option<[u8; 32]>,
}

impl SessionJudge {
    /// The judge of a session that just logged in.
    pub(crate) fn new(
        bench: Arc<Bench>,
        keeper: Arc<Keeper>,
        cache: Rc<RefCell<Cache>>,
        (id, session): (SessionId, Arc<Session>),
        search_path: Arc<[Arc<str>]>,
        expires_at: SystemTime,
    ) -> Self {
        let policy = bench.policy.current();
        let view = policy.view(&session);
        Self {
            bench,
            keeper,
            cache,
            id,
            session,
            search_path,
            expires_at,
            policy,
            view,
            seq: 0,
            open: HashMap::new(),
            uncommitted: false,
            unread: false,
            status: b'I',
        }
    }

    /// Whether the server last said that a transaction is open.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.status != b'I'
    }

    /// What must hold before anything is judged: a token that is still good, the policy in force, the newest catalog.
    async fn settle(&mut self) -> Result<(), Stop> {
        if SystemTime::now() >= self.expires_at {
            return Err(Stop::Fatal(expired()));
        }
        let policy = self.bench.policy.current();
        if !Arc::ptr_eq(&policy, &self.policy) {
            self.view = policy.view(&self.session);
            self.policy = policy;
        }
        if self.unread && !self.uncommitted {
            self.unread = self.keeper.refresh().await.is_err();
        }
        Ok(())
    }

    /// The step's statements; an unknown name is looked up in a fresh catalog once (ruling 4).
    async fn analyse(&mut self, step: &Step<'_>) -> Result<Analysed, Refusal> {
        if step.text.len() > self.bench.statement_bytes_max {
            return Err(too_long(self.bench.statement_bytes_max));
        }
        let refused = match self.analyse_once(step).await {
            Err(refusal) if refusal.unknown_name => refusal,
            other => return other,
        };
        if self.uncommitted {
            // The name may be one that only this session's open transaction knows.
            return Err(obstacle::uncommitted());
        }
        match self.keeper.refresh().await {
            Ok(_) => self.analyse_once(step).await,
            Err(_) => Err(refused),
        }
    }

    async fn analyse_once(&self, step: &Step<'_>) -> Result<Analysed, Refusal> {
        let question = Question {
            text: Arc::clone(step.text),
            types: Arc::clone(step.types),
            search_path: Arc::clone(&self.search_path),
            target: Arc::clone(&self.session.target),
            catalog: self.keeper.current().catalog,
            witness: self.bench.witness,
        };
        analyse(&self.cache, &self.bench.workers, question).await
    }

    /// Analyses, and gives the one statement of a text that may hold one; an empty text gives an empty statement.
    async fn analyse_one(&mut self, step: &Step<'_>) -> Result<Analysed, Stop> {
        let statements = match self.analyse(step).await {
            Ok(statements) => statements,
            Err(refusal) => return Err(self.refuse_text(step, refusal).await),
        };
        match statements.len() {
            0 => Ok(Arc::from([self.empty(step)])),
            1 => Ok(statements),
            _ => Err(self.refuse_text(step, several()).await),
        }
    }

    fn empty(&self, step: &Step<'_>) -> Statement {
        let whole = 0..step.text.len();
        let text = std::str::from_utf8(step.text).ok();
        Statement {
            facts: Facts {
                kind: Kind::Empty,
                accesses: Vec::new(),
                outputs: None,
                writes: Vec::new(),
                opaque: std::collections::BTreeSet::new(),
                session_effect: SessionEffect::None,
                through_views: false,
                fingerprint: Arc::from(""),
                catalog_version: self.keeper.current().catalog.version(),
            },
            literals: text
                .and_then(sql::literal_spans)
                .unwrap_or_else(|| vec![whole.clone()]),
            span: whole,
        }
    }

    /// Decides every statement, then logs: all permits, or one refusal with every statement in the log.
    async fn judge(
        &mut self,
        step: &Step<'_>,
        statements: &[Statement],
    ) -> Result<Vec<Permitted>, Stop> {
        if statements.len() > STATEMENTS_MAX {
            return Err(self.refuse_text(step, too_many()).await);
        }
        let mut ground = self.ground();
        let mut decisions = Vec::with_capacity(statements.len());
        for statement in statements {
            decisions.push(self.decide(&statement.facts, ground));
            // A Parse changes nothing yet: its Bind is judged again.
            ground.uncommitted |= step.phase != Phase::Prepare
                && statement.facts.session_effect == SessionEffect::Catalog;
        }
        let is_allowed = |decision: &Decision| match decision.verdict {
            Verdict::Allow => true,
            Verdict::Hold | Verdict::Deny => false,
        };
        if !decisions.iter().all(is_allowed) {
            return Err(self.refuse_all(step, statements, &decisions).await);
        }
        let mut permitted = Vec::with_capacity(statements.len());
        for (statement, decision) in statements.iter().zip(decisions) {
            permitted.push(self.permit(step, statement, decision).await?);
        }
        self.uncommitted |= ground.uncommitted;
        Ok(permitted)
    }

    fn ground(&self) -> Ground {
        Ground {
            uncommitted: self.uncommitted,
            unread: self.unread,
            old: self.keeper.current().since.elapsed() > self.bench.catalog_age_max * CATALOG_OLD,
            mask_bound: self.policy.is_mask_bound(&self.view),
        }
    }

    fn decide(&self, facts: &Facts, ground: Ground) -> Decision {
        if let Some(reason) = obstacle::find(facts.kind, ground) {
            return self.deny(reason);
        }
        if facts.kind == Kind::Empty {
            return Decision {
                verdict: Verdict::Allow,
                ..self.deny_with(Vec::new())
            };
        }
        // The engine is pure: a panic leaves nothing of it behind.
        let decided = catch_unwind(AssertUnwindSafe(|| self.policy.decide(&self.view, facts)));
        match decided {
            Ok(decision) if decision.verdict == Verdict::Hold => Decision {
                reasons: vec![hold_is_refused()],
                ..decision
            },
            Ok(decision) => decision,
            Err(_) => self.deny(Reason {
                rule: None,
                message: "internal error in evaluation".into(),
                hint: Some("this is a defect of the gateway: tell its operator".into()),
            }),
        }
    }

    fn deny(&self, reason: Reason) -> Decision {
        self.deny_with(vec![reason])
    }

    fn deny_with(&self, reasons: Vec<Reason>) -> Decision {
        Decision {
            verdict: Verdict::Deny,
            rules: Vec::new(),
            controls: Vec::new(),
            masks: Vec::new(),
            mask_bound: self.policy.is_mask_bound(&self.view),
            reasons,
        }
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
        let receipt = self.log_decision(record, durability).await?;
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
            enforcement: Arc::new(answer::enforcement(&statement.facts, decision)),
        })
    }

    fn next(&mut self) -> StatementSeq {
        self.seq += 1;
        StatementSeq(self.seq)
    }

    fn asked<'a>(&'a self, step: &Step<'a>, seq: StatementSeq) -> Asked<'a> {
        Asked {
            at: SystemTime::now(),
            session_id: &self.id,
            session: &self.session,
            seq,
            phase: step.phase,
            text: step.text,
            bundle: self.policy.digest(),
            parameters: step.parameters,
        }
    }

    fn record(
        &self,
        step: &Step<'_>,
        seq: StatementSeq,
        statement: &Statement,
        decision: &Decision,
    ) -> Record {
        let classes = |column: &Column| self.policy.is_classed(column);
        Record::Decision(record::decision(
            &self.bench.key,
            &self.asked(step, seq),
            statement,
            decision,
            &classes,
        ))
    }

    /// Logs a decision; a record that is too large for the log keeps the text's digest and leaves the text out.
    async fn log_decision(&self, record: Record, durability: Durability) -> Result<Receipt, Fatal> {
        let first = self.bench.log.append(&record, durability).await;
        match (first, record) {
            (Ok(receipt), _) => Ok(receipt),
            (
                Err(provost_evidence::Error::RecordTooLarge { .. }),
                Record::Decision(mut decision),
            ) => {
                decision.sql = None;
                self.bench
                    .append(&Record::Decision(decision), durability)
                    .await
            }
            (Err(_), record) => self.bench.append(&record, durability).await,
        }
    }

    /// Logs the refusal of a string of which at least one statement is refused, and gives the first refusal.
    async fn refuse_all(
        &mut self,
        step: &Step<'_>,
        statements: &[Statement],
        decisions: &[Decision],
    ) -> Stop {
        let mut first = None;
        for (statement, decision) in statements.iter().zip(decisions) {
            let outcome = match decision.verdict {
                Verdict::Allow => Outcome::Skipped,
                Verdict::Hold | Verdict::Deny => Outcome::Denied,
            };
            let seq = self.next();
            let record = self.record(step, seq, statement, decision);
            if let Err(fatal) = self.log_refused(record, seq, outcome, "42501").await {
                return Stop::Fatal(fatal);
            }
            if outcome == Outcome::Denied && first.is_none() {
                first = Some(answer::denied(&decision.reasons));
            }
        }
        Stop::Refused(first.unwrap_or_else(|| answer::denied(&[])))
    }

    /// Logs the refusal of a text that could not be analysed.
    async fn refuse_text(&mut self, step: &Step<'_>, refusal: Refusal) -> Stop {
        let seq = self.next();
        let record = Record::Decision(record::refusal(
            &self.bench.key,
            &self.asked(step, seq),
            &refusal,
        ));
        match self
            .log_refused(record, seq, Outcome::Denied, refusal.sqlstate)
            .await
        {
            Ok(()) => Stop::Refused(answer::refused(refusal)),
            Err(fatal) => Stop::Fatal(fatal),
        }
    }

    /// Logs a refused statement's decision and its end. The end is what waits for the disk: the log is written in order.
    async fn log_refused(
        &self,
        record: Record,
        seq: StatementSeq,
        outcome: Outcome,
        sqlstate: &str,
    ) -> Result<(), Fatal> {
        self.log_decision(record, Durability::Process).await?;
        let end = Record::End(EndRecord {
            ended_at: record::micros(SystemTime::now()),
            statement_id: self.id.statement(seq),
            outcome,
            rows: 0,
            bytes: 0,
            duration_us: 0,
            sqlstate: (outcome == Outcome::Denied).then(|| sqlstate.to_owned()),
            values_masked: Vec::new(),
        });
        self.bench.append(&end, Durability::Power).await.map(drop)
    }

    async fn judge_one(&mut self, step: &Step<'_>) -> Result<Permitted, Stop> {
        self.settle().await?;
        let statements = self.analyse_one(step).await?;
        let mut permitted = self.judge(step, &statements).await?;
        match (permitted.pop(), permitted.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(Stop::Refused(answer::denied(&[]))),
        }
    }
}

impl Judge for SessionJudge {
    type Prepared = Prepared;

    async fn query(&mut self, text: &[u8]) -> Result<Vec<Permitted>, Stop> {
        self.settle().await?;
        let (text, types) = (Arc::from(text), Arc::from([]));
        let step = Step {
            phase: Phase::Simple,
            text: &text,
            types: &types,
            parameters: None,
        };
        match self.analyse(&step).await {
            Ok(statements) => self.judge(&step, &statements).await,
            Err(refusal) => Err(self.refuse_text(&step, refusal).await),
        }
    }

    async fn prepare(
        &mut self,
        text: &[u8],
        parameter_types: &[u32],
    ) -> Result<(Permitted, Prepared), Stop> {
        let prepared = Prepared {
            text: Arc::from(text),
            types: Arc::from(parameter_types),
        };
        let step = Step {
            phase: Phase::Prepare,
            text: &prepared.text,
            types: &prepared.types,
            parameters: None,
        };
        let permitted = self.judge_one(&step).await?;
        Ok((permitted, prepared))
    }

    async fn bind(
        &mut self,
        prepared: &Prepared,
        parameters: Parameters<'_>,
    ) -> Result<Permitted, Stop> {
        self.execute_again(prepared, self.parameters_digest(parameters))
            .await
    }

    async fn execute_again(
        &mut self,
        prepared: &Prepared,
        parameters_digest: Option<[u8; 32]>,
    ) -> Result<Permitted, Stop> {
        let step = Step {
            phase: Phase::Execute,
            text: &prepared.text,
            types: &prepared.types,
            parameters: parameters_digest,
        };
        self.judge_one(&step).await
    }

    fn parameters_digest(&self, parameters: Parameters<'_>) -> Option<[u8; 32]> {
        (parameters.count > 0).then(|| self.bench.key.parameters(parameters.raw))
    }

    fn is_stale(&self, permitted: &Permitted) -> bool {
        self.open.get(&permitted.statement).is_none_or(|open| {
            !Arc::ptr_eq(&open.policy, &self.bench.policy.current())
                || open.version != self.keeper.current().catalog.version()
        })
    }

    fn is_mask_bound(&self) -> bool {
        self.policy.is_mask_bound(&self.view)
    }

    async fn refused(&mut self, refused: &Refused) -> Result<(), Fatal> {
        let (text, types) = (Arc::from([]), Arc::from([]));
        let step = Step {
            phase: Phase::Execute,
            text: &text,
            types: &types,
            parameters: None,
        };
        let seq = self.next();
        let record =
            record::refusal_unread(&self.bench.key, &self.asked(&step, seq), &refused.message);
        self.log_refused(
            Record::Decision(record),
            seq,
            Outcome::Denied,
            refused.sqlstate,
        )
        .await
    }

    async fn end(&mut self, statement: StatementSeq, end: End) -> Result<(), Fatal> {
        let since = self
            .open
            .remove(&statement)
            .map(|open| open.since.elapsed());
        let record = Record::End(EndRecord {
            ended_at: record::micros(SystemTime::now()),
            statement_id: self.id.statement(statement),
            outcome: end.outcome,
            rows: end.rows,
            bytes: end.bytes,
            duration_us: since.map_or(0, |since| {
                u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
            }),
            sqlstate: end.sqlstate,
            values_masked: end.values_masked,
        });
        let durability = match self.bench.durable {
            Durable::Everything => Durability::Power,
            Durable::Writes => Durability::Process,
        };
        self.bench.append(&record, durability).await.map(drop)
    }

    /// The reading itself waits for the next statement: until the transaction ends, there is nothing new to read.
    async fn catalog_changed(&mut self) -> Result<(), Fatal> {
        self.uncommitted |= self.status != b'I';
        self.unread = true;
        Ok(())
    }

    fn transaction_status(&mut self, status: u8) {
        self.status = status;
        if status == b'I' && std::mem::take(&mut self.uncommitted) {
            self.unread = true;
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

fn hold_is_refused() -> Reason {
    Reason {
        rule: None,
        message: "the statement needs an approval, and this version takes no approvals".into(),
        hint: None,
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

fn too_long(bytes_max: usize) -> Refusal {
    limit(
        format!("the statement is longer than {bytes_max} bytes"),
        "send large values as parameters or with COPY",
    )
}

fn too_many() -> Refusal {
    limit(
        format!("the query string holds more than {STATEMENTS_MAX} statements"),
        "send fewer statements in one string",
    )
}

fn several() -> Refusal {
    Refusal {
        sqlstate: "42601",
        message: "cannot insert multiple commands into a prepared statement".to_owned(),
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

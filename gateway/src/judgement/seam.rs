//! The [`Judge`] that the session core talks to.

use std::{rc::Rc, sync::Arc, time::SystemTime};

use provost_engine::{sql::Named, verdict::Limits};
use provost_evidence::record::Phase;

use super::{
    Bound, NamesGiven, Prepared, Recollection, Sent, SessionJudge, Step, Values, timestamp, values,
    view::Seen,
};
use crate::{
    judge::{
        Again, Alone, End, Fatal, Given, Holder, Judge, Keep, Look, Parameters, Permitted, Refused,
        StatementSeq, Stop, Touch, Unseen,
    },
    look::PathAnswer,
};

impl Judge for SessionJudge {
    type Prepared = Rc<Prepared>;
    type Bound = Bound;

    async fn query(&mut self, text: &[u8]) -> Result<Vec<Permitted>, Stop> {
        self.settle().await?;
        let step = Step::bare(Phase::Simple, text);
        let statements = self.analyse(&step).await?;
        let judged = self.judge(&step, &statements).await;
        self.given = None;
        self.stop_waiting_unless_held(&judged).await;
        if judged.is_ok() {
            self.remember(text, &statements);
        }
        judged
    }

    async fn again(&mut self, asked: Again<'_, Rc<Prepared>>) -> Result<Option<Permitted>, Stop> {
        match asked {
            Again::Query(text) => {
                let recent = std::mem::take(&mut self.recent);
                let step = Step::bare(Phase::Simple, text);
                let permitted = match recent.find(text) {
                    Some(memory) => self.let_through(&step, memory).await,
                    None => Ok(None),
                };
                self.recent = recent;
                permitted
            }
            Again::Bind(prepared, parameters) => {
                let step = prepared.step(parameters);
                self.let_through(&step, &prepared.memory).await
            }
            Again::Parse(prepared, parsed, parameters) => {
                if !prepared.is_of(parsed) {
                    return Ok(None);
                }
                let step = Step {
                    phase: Phase::PrepareExecute,
                    ..prepared.step(parameters)
                };
                self.let_through(&step, &prepared.memory).await
            }
        }
    }

    async fn call(&mut self, function: u32) -> Result<Permitted, Stop> {
        self.settle().await?;
        self.judge_call(function).await
    }

    async fn replicate(&mut self, text: &[u8]) -> Result<Permitted, Stop> {
        self.settle().await?;
        Box::pin(self.judge_replication(text)).await
    }

    async fn prepare(
        &mut self,
        text: &[u8],
        parameter_types: &[u32],
    ) -> Result<(Permitted, Rc<Prepared>), Stop> {
        let mut prepared = Prepared {
            text: Arc::from(text),
            types: Arc::from(parameter_types),
            made_at: self.loaded().catalog.version(),
            whole: None,
            memory: Recollection::default(),
        };
        let permitted = self.judge_one(&prepared.parse()).await?;
        prepared.made_at = self.loaded().catalog.version();
        Ok((permitted, Rc::new(prepared)))
    }

    async fn bind(
        &mut self,
        prepared: &Rc<Prepared>,
        parameters: Parameters<'_>,
    ) -> Result<Permitted, Stop> {
        self.judge_one(&prepared.step(parameters)).await
    }

    async fn execute_again(
        &mut self,
        prepared: &Rc<Prepared>,
        bound: &Bound,
    ) -> Result<Permitted, Stop> {
        let step = Step {
            phase: Phase::Execute,
            text: &prepared.text,
            types: &prepared.types,
            parameters: match (&bound.raw, bound.digest) {
                (Some(raw), _) => Sent::Raw(raw),
                (None, Some(digest)) => Sent::Digest(digest),
                (None, None) => Sent::Nothing,
            },
            values: bound.raw.as_deref().map_or(Values::None, Values::Bound),
            path: Some(&bound.path),
            made_at: Some(bound.made_at),
            named_by: prepared.named_by(),
            memory: Some(&prepared.memory),
            estimate: None,
            approval: None,
            holds_until: None,
        };
        self.judge_one(&step).await
    }

    fn bound(&self, parameters: Parameters<'_>) -> Bound {
        let is_any = parameters.count > 0;
        let is_kept = parameters.raw.len() <= values::KEPT_BYTES_MAX;
        Bound {
            digest: (is_any && !is_kept).then(|| self.bench.key.parameters(parameters.raw)),
            raw: (is_any && is_kept).then(|| Arc::from(parameters.raw)),
            path: Arc::clone(self.sight.path()),
            made_at: self.loaded().catalog.version(),
        }
    }

    fn alone(&mut self, alone: Alone) {
        self.people.alone(alone);
    }

    fn names(&mut self, names: Given<Rc<Prepared>, Bound>) {
        self.given = Some(NamesGiven::new(names));
    }

    fn named(&self, named: &Named) -> (Rc<Prepared>, Bound) {
        let made_at = self.loaded().catalog.version();
        let path = named.search_path.as_ref();
        let bound = Bound {
            digest: None,
            raw: None,
            path: Arc::clone(path.unwrap_or_else(|| self.sight.path())),
            made_at,
        };
        (Rc::new(Prepared::of_sql(named, made_at)), bound)
    }

    fn touched(&mut self, touch: Touch) {
        self.sight.touched(touch);
    }

    async fn looked(
        &mut self,
        look: Look,
        answer: Result<Vec<u8>, Unseen>,
        holder: Holder,
    ) -> Result<Keep, Fatal> {
        let seen = match look {
            Look::Pin(pin) => return Ok(self.pinned(&pin, answer, holder)),
            Look::Path => Seen::Path,
            Look::Catalog(_) => Seen::Catalog,
        };
        if seen == Seen::Path
            && let Some(told) = answer.as_deref().ok().and_then(PathAnswer::from_json)
        {
            self.badge.check(&told, self.role)?;
        }
        let shared = self.keeper.current();
        let held = (holder, self.status);
        self.sight.looked(seen, answer, held, shared).await;
        Ok(Keep::Open)
    }

    async fn take_row(&mut self, limits: &Limits, bytes: u64) -> Result<(), Refused> {
        SessionJudge::take_row(self, limits, bytes).await
    }

    fn is_stale(&self, permitted: &Permitted) -> bool {
        self.is_over(permitted)
            || self.opened(permitted.statement).is_some_and(|open| {
                open.version != self.loaded().catalog.version()
                    || open
                        .path
                        .as_ref()
                        .is_some_and(|path| !self.sight.is_by(path))
            })
    }

    fn is_over(&self, permitted: &Permitted) -> bool {
        let clock = SystemTime::now();
        clock >= self.expires_at
            || self.opened(permitted.statement).is_none_or(|open| {
                open.policy != self.bench.policy.changes() || timestamp(clock) >= open.until
            })
    }

    fn is_mask_bound(&self) -> bool {
        self.policy.is_mask_bound(&self.view)
    }

    async fn refused(&mut self, refused: &Refused) -> Result<(), Fatal> {
        let step = Step::bare(Phase::Execute, &[]);
        self.refuse_unread(&step, &refused.message, refused.sqlstate)
            .await
    }

    async fn end(&mut self, statement: StatementSeq, end: End) -> Result<(), Fatal> {
        let since = self.close(statement);
        let entry = || self.ending(statement, &end, since);
        let logged = self.bench.log.append_entry(self.ends(), entry).await;
        logged.map(drop).map_err(|error| self.bench.fail(&error))
    }

    /// The reading itself waits for the next statement: until the transaction ends, there is nothing new to read.
    async fn catalog_changed(&mut self) -> Result<(), Fatal> {
        self.sight.schema_changed(self.status);
        self.unread = true;
        Ok(())
    }

    fn transaction_status(&mut self, status: u8) {
        self.status = status;
        if status == b'I' && std::mem::take(&mut self.pinning.changed) {
            self.unread = true;
        }
        if self.sight.transaction_status(status) {
            self.unread = true;
        }
    }
}

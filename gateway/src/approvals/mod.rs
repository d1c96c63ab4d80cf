//! Held statements: people are asked, in the object store that all gateways share; what they say comes back from there, whichever gateway
//! took it; one gateway, once, may then let the statement run.
//!
//! It must never let an approval be used that its documents don't give, nor twice; every step of it is in the evidence log before its
//! effect.

pub(crate) mod buttons;
mod case;
mod dry_run;
mod glass;
mod history;
mod looking;
pub(crate) mod mail;
mod mail_server;
mod telling;
mod template;
#[cfg(test)]
mod tests;
mod vote;
pub mod webhook;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use provost_engine::principal::Principal;
use provost_evidence::{
    Durability, Log,
    approvals::{ApprovalId, Docket, Document, End, EndKind, Ended, Request},
    record::{ApprovalEvent, ApprovalRecord, Micros, Record},
};
use tokio::sync::oneshot;

pub(crate) use self::buttons::{Press, unhex};
pub use self::{
    case::{Case, Objection, Standing, Tally},
    dry_run::DryRunRefused,
    glass::BrokenGlass,
    history::{Before, HISTORY},
    mail::MailAddress,
    mail_server::MailError,
    template::{TEMPLATE_BYTES_MAX, Template, TemplateError},
    vote::{REASON_BYTES_MAX, VoteRefused},
};
use self::{dry_run::Wish, glass::News, history::History};
use crate::record::{micros, texts};

/// Requests that are open at once, of all gateways. At the limit a statement that needs one more is refused.
const OPEN_MAX: usize = 10_000;
/// Requests of one principal that are open at once: nobody else is to wait for them.
const OPEN_OF_ONE_MAX: usize = 100;

/// Why nobody can be asked, or a statement not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not take it.
    #[error("the store of approvals can't be reached, or refuses: tell the gateway's operator")]
    Store(#[source] provost_evidence::Error),
    /// The log failed: the gateway must stop.
    #[error("the evidence log failed")]
    Log(#[source] provost_evidence::Error),
    /// Too many are open.
    #[error(
        "too many approvals are being waited for: {OPEN_OF_ONE_MAX} of one principal, {OPEN_MAX} of all"
    )]
    TooMany,
}

/// What is said of an approval in evidence, beside what its request says.
struct Said<'a> {
    at: Micros,
    event: ApprovalEvent,
    actor: &'a str,
    groups: Vec<String>,
    reason: Option<&'a str>,
    statement_id: Option<String>,
}

/// All held statements that this gateway knows of.
#[derive(Debug)]
pub struct Approvals {
    docket: Docket,
    log: Arc<Log>,
    cases: Mutex<BTreeMap<ApprovalId, Kept>>,
    history: Mutex<History>,
    news: News,
}

/// A case, and who waits for what becomes of it.
#[derive(Debug)]
struct Kept {
    /// Shared with whoever looks at it.
    case: Arc<Case>,
    waiting: Vec<oneshot::Sender<()>>,
    /// Somebody wants a dry run.
    wish: Option<Wish>,
    /// The session that asked is one of ours.
    is_ours: bool,
}

impl Approvals {
    /// Approvals by these documents, each step of which is told to `log`.
    #[must_use]
    pub fn new(docket: Docket, log: Arc<Log>) -> Self {
        Self {
            docket,
            log,
            cases: Mutex::default(),
            history: Mutex::default(),
            news: News::default(),
        }
    }

    /// Whoever is told is told of this, too.
    pub(crate) fn tell_of_glass(&self, broken: BrokenGlass) {
        self.news.add(broken);
    }

    /// The name of the gateway, which documents carry.
    #[must_use]
    pub fn gateway(&self) -> &str {
        self.docket.gateway()
    }

    fn cases(&self) -> MutexGuard<'_, BTreeMap<ApprovalId, Kept>> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every case that is open, or ended within the hour; the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<(Arc<Case>, Standing)> {
        let now = now();
        let shown: Vec<Arc<Case>> = {
            let cases = self.cases();
            let newest = cases.values().rev();
            newest.map(|kept| Arc::clone(&kept.case)).collect()
        };
        // How they stand is worked out while nobody waits for the list.
        let standing = |case: Arc<Case>| {
            let standing = case.standing(now);
            (case, standing)
        };
        shown.into_iter().map(standing).collect()
    }

    /// One case.
    #[must_use]
    pub fn show(&self, id: &ApprovalId) -> Option<(Arc<Case>, Standing)> {
        let case = Arc::clone(&self.cases().get(id)?.case);
        let standing = case.standing(now());
        Some((case, standing))
    }

    /// The case that is open for exactly this, if there is one: what was approved before what still waits.
    pub(crate) fn open_for(&self, binding: &str) -> Option<(Arc<Request>, Standing)> {
        let now = now();
        let cases = self.cases();
        let of_it = cases
            .values()
            .filter(|kept| kept.case.request.binding_digest == binding);
        let open = of_it.filter_map(|kept| {
            let standing = kept.case.standing(now);
            (!standing.is_over()).then(|| (Arc::clone(&kept.case.request), standing))
        });
        open.max_by_key(|(request, standing)| (*standing == Standing::Approved, request.id.clone()))
    }

    /// How a case stands.
    pub(crate) fn standing(&self, id: &ApprovalId) -> Option<Standing> {
        self.cases().get(id).map(|kept| kept.case.standing(now()))
    }

    /// Asks people.
    ///
    /// # Errors
    /// [`Error`]: then nobody is asked.
    pub(crate) async fn ask(&self, request: Request) -> Result<Arc<Request>, Error> {
        if self.is_full_for(&request) {
            return Err(Error::TooMany);
        }
        let request = Arc::new(request);
        let said = Said {
            at: request.requested_at,
            event: ApprovalEvent::Requested,
            actor: &request.requester,
            groups: Vec::new(),
            reason: request.reason.as_deref(),
            statement_id: None,
        };
        self.tell(&request, said).await?;
        self.docket
            .request(Request::clone(&request))
            .await
            .map_err(Error::Store)?;
        let mut cases = self.cases();
        // A look may have seen it, and votes on it, already.
        let kept = cases
            .entry(request.id.clone())
            .or_insert_with(|| Kept::new(Arc::clone(&request)));
        kept.is_ours = true;
        drop(cases);
        Ok(request)
    }

    fn is_full_for(&self, request: &Request) -> bool {
        let now = now();
        let cases = self.cases();
        let (mut open, mut own) = (0_usize, 0_usize);
        for kept in cases.values() {
            let other = &kept.case.request;
            // Cheaper than how it stands, and never less.
            if kept.case.end.is_none() && now < other.expires_at {
                open += 1;
                let is_own = other.requester == request.requester
                    || (other.on_behalf_of.is_some() && other.on_behalf_of == request.on_behalf_of);
                own += usize::from(is_own);
            }
        }
        open >= OPEN_MAX || own >= OPEN_OF_ONE_MAX
    }

    /// Resolves when the case no longer waits; at once where it doesn't, or is not there.
    pub(crate) fn wait(&self, id: &ApprovalId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if let Some(kept) = self.cases().get_mut(id)
            && kept.case.standing(now()) == Standing::Waiting
        {
            kept.waiting.push(sender);
        }
        receiver
    }

    /// Spends an approval, for this statement; `false` where somebody else did, or it ended otherwise.
    ///
    /// # Errors
    /// [`Error`]: then it must not be used. It may be spent all the same.
    pub(crate) async fn spend(
        &self,
        request: &Request,
        (actor, statement_id): (&Principal, String),
    ) -> Result<bool, Error> {
        if self.standing(&request.id) != Some(Standing::Approved) {
            return Ok(false);
        }
        let is_ours = self.end(request, EndKind::Used, &statement_id).await?;
        // Writing it down took its time: it is spent, and too late.
        let is_in_time = now() < request.expires_at;
        if is_ours {
            let said = Said {
                at: now(),
                event: ApprovalEvent::Used,
                actor: &actor.id,
                groups: texts(&actor.groups),
                reason: None,
                statement_id: Some(statement_id),
            };
            self.tell(request, said).await?;
        }
        Ok(is_ours && is_in_time)
    }

    /// Takes a request back that nobody waits for any more.
    ///
    /// # Errors
    /// [`Error`]: it then ends by its time.
    pub(crate) async fn withdraw(&self, id: &ApprovalId, why: &str) -> Result<(), Error> {
        if self.is_awaited(id) {
            return Ok(());
        }
        self.cancel(id, why).await
    }

    /// Takes a request back, whoever waits for it.
    ///
    /// # Errors
    /// [`Error`]: it then ends by its time.
    pub(crate) async fn cancel(&self, id: &ApprovalId, why: &str) -> Result<(), Error> {
        let Some((case, standing)) = self.show(id) else {
            return Ok(());
        };
        if standing.is_over() {
            return Ok(());
        }
        let request = &case.request;
        if self.end(request, EndKind::Withdrawn, why).await? {
            let said = Said {
                at: now(),
                event: ApprovalEvent::Withdrawn,
                actor: &request.requester,
                groups: Vec::new(),
                reason: Some(why),
                statement_id: None,
            };
            self.tell(request, said).await?;
        }
        Ok(())
    }

    /// Whether a session waits for it: another one of the same principal's than took it back.
    fn is_awaited(&self, id: &ApprovalId) -> bool {
        let cases = self.cases();
        let kept = cases.get(id);
        kept.is_some_and(|kept| kept.waiting.iter().any(|waiting| !waiting.is_closed()))
    }

    /// Ends a case; says whether it was us.
    async fn end(&self, request: &Request, end: EndKind, writer: &str) -> Result<bool, Error> {
        let document = End {
            id: request.id.clone(),
            gateway: self.gateway().to_owned(),
            at: now(),
            end,
            writer: writer.to_owned(),
        };
        let ended = self
            .docket
            .end(document.clone())
            .await
            .map_err(Error::Store)?;
        let (is_ours, end) = match ended {
            Ended::Ours => (true, document),
            Ended::Before(before) => (false, *before),
        };
        self.take(Document::End(end));
        Ok(is_ours)
    }

    /// Tells evidence.
    async fn tell(&self, request: &Request, said: Said<'_>) -> Result<(), Error> {
        let record = Record::Approval(ApprovalRecord {
            at: said.at,
            event: said.event,
            approval_id: request.id.to_string(),
            actor: said.actor.to_owned(),
            actor_groups: said.groups,
            reason: said.reason.map(str::to_owned),
            requester: request.requester.clone(),
            on_behalf_of: request.on_behalf_of.clone(),
            target: request.target.clone(),
            session_id: request.session_id.clone(),
            statement_id: said.statement_id,
            sql: request.sql.clone(),
            sql_digest: request.sql_digest.clone(),
            parameters_digest: request.parameters_digest.clone(),
            binding_digest: request.binding_digest.clone(),
            bundle_digest: request.bundle_digest.clone(),
            rules: request.rules.clone(),
            controls: request.controls.clone(),
            needs: request.needs.iter().map(ToString::to_string).collect(),
            requested_at: request.requested_at,
            expires_at: request.expires_at,
        });
        let logged = self.log.append(&record, Durability::Power).await;
        logged.map(drop).map_err(Error::Log)
    }

    /// Takes a document that is in the store.
    fn take(&self, document: Document) {
        let now = now();
        let mut cases = self.cases();
        let id = document.id().clone();
        match document {
            Document::Request(request) => {
                cases
                    .entry(id.clone())
                    .or_insert_with(|| Kept::new(Arc::from(request)));
            }
            Document::DryRun(dry_run) => {
                if let Some(kept) = cases.get_mut(&id) {
                    Arc::make_mut(&mut kept.case).dry_run.get_or_insert(dry_run);
                }
            }
            Document::Vote(vote) => {
                if let Some(kept) = cases.get_mut(&id)
                    && !kept.case.votes.contains(&vote)
                {
                    Arc::make_mut(&mut kept.case).votes.push(vote);
                }
            }
            Document::End(end) => {
                if let Some(kept) = cases.get_mut(&id) {
                    Arc::make_mut(&mut kept.case).end = Some(end);
                }
            }
        }
        if let Some(kept) = cases.get_mut(&id) {
            kept.wake(now);
        }
    }
}

impl Kept {
    /// One that nobody waits for, of some gateway.
    fn new(request: Arc<Request>) -> Self {
        Self {
            case: Arc::new(Case::new(request)),
            waiting: Vec::new(),
            wish: None,
            is_ours: false,
        }
    }

    /// Tells those who wait, once there is something to tell.
    fn wake(&mut self, now: Micros) {
        if self.waiting.is_empty() && self.wish.is_none() {
            return;
        }
        let standing = self.case.standing(now);
        if standing != Standing::Waiting {
            self.tell_waiting();
        }
        if standing.is_over() {
            // Nobody tries it any more.
            self.wish = None;
        }
    }

    fn tell_waiting(&mut self) {
        for waiting in self.waiting.drain(..) {
            // Whoever went away needs no telling.
            let _ = waiting.send(());
        }
    }
}

pub(crate) fn now() -> Micros {
    micros(SystemTime::now())
}

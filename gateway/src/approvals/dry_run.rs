//! Dry runs: a person who is asked about a held statement has it tried, in a transaction that is rolled back. The session that waits for
//! the approval tries it, for it has the statement, its values and its connection's settings.
//!
//! It must never let one be asked for by somebody who may not vote, nor show another number than the first.

use std::{sync::Arc, time::Duration};

use provost_engine::principal::Principal;
use provost_evidence::{
    approvals::{ApprovalId, Document, DryRun, Request, Rows},
    record::ApprovalEvent,
};
use tokio::{sync::oneshot, time::timeout};

use super::{Approvals, Case, Error, Said, Standing, VoteRefused, now};
use crate::record::texts;

/// How long whoever asks for one waits for its end; it comes all the same, and is shown then.
const ANSWER_WAIT: Duration = Duration::from_secs(25);

/// Why there is no dry run.
#[derive(Debug, thiserror::Error)]
pub enum DryRunRefused {
    /// They may not ask for one, or it is over.
    #[error("{0}")]
    Person(#[from] VoteRefused),
    /// Another gateway has the session.
    #[error("the session that asks is one of gateway `{0}`: ask that gateway's console")]
    Elsewhere(String),
    /// Nobody waits.
    #[error("no session waits for it: a dry run is made in one that does")]
    NobodyWaits,
    /// It takes long.
    #[error("it is not over yet: look again")]
    Late,
}

/// Somebody wants one.
#[derive(Debug)]
pub(super) struct Wish {
    person: String,
    groups: Vec<String>,
    /// Who waits for its end.
    done: Vec<oneshot::Sender<()>>,
}

impl Approvals {
    /// Has a held statement tried, and waits for what came of it. One that was tried before is not tried again.
    ///
    /// # Errors
    /// [`DryRunRefused`].
    pub async fn dry_run(
        &self,
        id: &ApprovalId,
        person: &Principal,
    ) -> Result<(Arc<Case>, Standing), DryRunRefused> {
        let (case, standing) = self.asked_of(id, person)?;
        if case.dry_run.is_some() {
            return Ok((case, standing));
        }
        let done = self.wish(&case.request, person)?;
        if timeout(ANSWER_WAIT, done).await.is_err() {
            return Err(DryRunRefused::Late);
        }
        let (case, standing) = self.show(id).ok_or(VoteRefused::Unknown)?;
        match case.dry_run {
            Some(_) => Ok((case, standing)),
            // Its session went on, or away.
            None => Err(DryRunRefused::NobodyWaits),
        }
    }

    fn wish(
        &self,
        request: &Request,
        person: &Principal,
    ) -> Result<oneshot::Receiver<()>, DryRunRefused> {
        let mut cases = self.cases();
        let kept = cases.get_mut(&request.id).ok_or(VoteRefused::Unknown)?;
        if request.gateway != self.gateway() {
            return Err(DryRunRefused::Elsewhere(request.gateway.clone()));
        }
        let waits = kept.waiting.iter().any(|waiting| !waiting.is_closed());
        if !waits && kept.wish.is_none() {
            return Err(DryRunRefused::NobodyWaits);
        }
        let (sender, receiver) = oneshot::channel();
        let wish = kept.wish.get_or_insert_with(|| Wish {
            person: person.id.to_string(),
            groups: texts(&person.groups),
            done: Vec::new(),
        });
        wish.done.push(sender);
        kept.tell_waiting();
        Ok(receiver)
    }

    /// Whether somebody wants it tried.
    pub(crate) fn is_dry_run_wanted(&self, id: &ApprovalId) -> bool {
        self.cases()
            .get(id)
            .is_some_and(|kept| kept.wish.is_some() && kept.case.dry_run.is_none())
    }

    /// Tells whoever wants it what came of it.
    ///
    /// # Errors
    /// [`Error`]: then nobody is shown it.
    pub(crate) async fn dry_run_made(
        &self,
        request: &Request,
        (rows, statement_id): (Rows, Option<String>),
    ) -> Result<(), Error> {
        let wish = {
            let mut cases = self.cases();
            let kept = cases.get_mut(&request.id);
            kept.and_then(|kept| kept.wish.take())
        };
        let Some(wish) = wish else {
            return Ok(());
        };
        let told = match &rows {
            Rows::Count(count) => format!("it changes {count} rows"),
            Rows::Unknown { why } => format!("no dry run: {why}"),
        };
        let document = DryRun {
            id: request.id.clone(),
            binding_digest: request.binding_digest.clone(),
            gateway: self.gateway().to_owned(),
            at: now(),
            person: wish.person.clone(),
            rows,
        };
        let said = Said {
            at: document.at,
            event: ApprovalEvent::DryRun,
            actor: &wish.person,
            groups: wish.groups,
            reason: Some(&told),
            statement_id,
        };
        self.tell(request, said).await?;
        let first = self.docket.dry_run(document).await;
        self.take(Document::DryRun(first.map_err(Error::Store)?));
        for done in wish.done {
            // Whoever went away needs no telling.
            let _ = done.send(());
        }
        Ok(())
    }
}

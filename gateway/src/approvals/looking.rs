//! Looks at the store, once a second: what others asked, said and ended; and ends what nobody answered in time.
//!
//! Must never take a document of whom nobody trusts for one that counts.

use std::{sync::Arc, time::Duration};

use provost_evidence::{
    approvals::{Document, End, EndKind},
    record::ApprovalEvent,
};
use tokio::time::{MissedTickBehavior, interval};

use super::{Approvals, Error, Said, now};

/// How often the store is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Ends that one look writes down; the others wait for the next.
const ENDS_OF_A_LOOK_MAX: usize = 50;

impl Approvals {
    /// Looks at the store and at the clock, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = interval(LOOK_PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_down = false;
        loop {
            ticks.tick().await;
            match self.look().await {
                Ok(()) => is_down = false,
                Err(error) if is_down => {
                    tracing::debug!(%error, "the store of approvals still can't be read");
                }
                Err(error) => {
                    is_down = true;
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the store of approvals can't be read; what is held waits"
                    );
                }
            }
        }
    }

    /// One look.
    pub(super) async fn look(&self) -> Result<(), Error> {
        let news = self.docket.news().await.map_err(Error::Store)?;
        for key in news.strange {
            tracing::error!(
                key,
                "what is no document of a trusted gateway stands among the approvals: it counts for nothing"
            );
        }
        // A request's key sorts before its votes'; its end's before both.
        let mut later = Vec::new();
        for document in news.documents {
            match document {
                Document::Request(_) => self.take(document),
                Document::DryRun(_) | Document::Vote(_) | Document::End(_) => later.push(document),
            }
        }
        later.into_iter().for_each(|document| self.take(document));
        let expired = {
            let now = now();
            let mut cases = self.cases();
            let mut expired = Vec::new();
            for kept in cases.values_mut() {
                kept.wake(now);
                let is_due = kept.case.end.is_none() && now >= kept.case.request.expires_at;
                if is_due && kept.is_ours {
                    expired.push(Arc::clone(&kept.case.request));
                }
            }
            expired
        };
        for request in expired.into_iter().take(ENDS_OF_A_LOOK_MAX) {
            let ended = self.end(&request, EndKind::Expired, "gateway").await;
            let is_ours = ended.unwrap_or_else(|error| {
                // It is over all the same: nobody counts what comes now.
                tracing::error!(id = %request.id, error = &error as &dyn std::error::Error, "an approval's end could not be written");
                self.take(Document::End(End {
                    id: request.id.clone(),
                    gateway: self.gateway().to_owned(),
                    at: now(),
                    end: EndKind::Expired,
                    writer: String::new(),
                }));
                false
            });
            if is_ours {
                let said = Said {
                    at: now(),
                    event: ApprovalEvent::Expired,
                    actor: "gateway",
                    groups: Vec::new(),
                    reason: None,
                    statement_id: None,
                };
                self.tell(&request, said).await?;
            }
        }
        self.forget().await;
        Ok(())
    }
}

//! How long things may take: statements, cancel requests, idle sessions.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{ABANDONED_GRACE, Relay};
use crate::{
    cancel::Found,
    judge::Fatal,
    serve::{farewell::fatal, house::Stopping},
    under_way::UnderWay,
    upstream::{CancelKey, Upstream},
};

/// How long the server may take to end a statement that it was asked to cancel; then the session ends.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// What it takes to cancel the server's statements.
pub(in crate::serve) struct Canceller {
    upstream: Arc<Upstream>,
    key: CancelKey,
    pub(super) under_way: Arc<UnderWay>,
}

impl From<Found> for Canceller {
    fn from(found: Found) -> Self {
        Self {
            upstream: found.upstream,
            key: found.key,
            under_way: found.under_way,
        }
    }
}

/// How long a session may be idle; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) struct IdleTimeouts {
    /// With no transaction open.
    pub(in crate::serve) at_rest: Option<Duration>,
    /// Within a transaction, whose locks others may wait for.
    pub(in crate::serve) in_transaction: Option<Duration>,
}

/// A cancel request under way, and when its statement must have ended.
pub(super) struct Cancelling {
    pub(super) request: Option<Pin<Box<dyn Future<Output = ()>>>>,
    pub(super) until: Instant,
}

impl Relay {
    /// Cancels the statement whose time is up; a fatal end where the server was asked to and did not in time.
    pub(super) fn time_is_up(&mut self) -> Option<Fatal> {
        let now = Instant::now();
        if self
            .cancelling
            .as_ref()
            .is_some_and(|cancelling| cancelling.until <= now)
            && self.core.is_overdue()
        {
            return Some(fatal(
                "57014",
                "the statement's time is limited by policy, and the server did not end it when asked to: the session ends",
            ));
        }
        if self.core.is_time_up(now.into_std()) {
            self.core.fail_copy(&mut self.out);
            self.cancelling = Some(Cancelling {
                request: self.canceller.as_ref().map(Canceller::request),
                until: now + CANCEL_GRACE,
            });
        }
        None
    }

    /// Whether a cancel request is on its way: it must not hit what the client sends next.
    pub(super) fn is_cancelling(&self) -> bool {
        self.cancelling
            .as_ref()
            .is_some_and(|cancelling| cancelling.request.is_some())
    }

    /// Asks the server to cancel what it was just given, where the client asked before the server had it.
    pub(super) fn cancels_what_was_sent(&mut self) -> bool {
        if !self.out.to_server.unsent().is_empty() {
            return false;
        }
        let asked = self.canceller.as_ref().filter(|it| it.under_way.give());
        let Some(request) = asked.map(Canceller::request) else {
            return false;
        };
        self.cancelling.get_or_insert_with(|| Cancelling {
            request: Some(request),
            until: Instant::now() + CANCEL_GRACE,
        });
        true
    }

    /// Sees to it that the server does not go on for ever with what nobody waits for: by itself it notices when it has something to
    /// send, and not before.
    pub(super) fn abandon(&mut self, mut stopping: watch::Receiver<Stopping>) {
        let Some(canceller) = self.canceller.take() else {
            return;
        };
        let until = self.client_closed.unwrap_or_else(Instant::now) + ABANDONED_GRACE;
        drop(tokio::task::spawn_local(async move {
            tokio::select! {
                () = sleep_until(until) => {}
                _ = stopping.wait_for(|stage| *stage != Stopping::No) => {}
            }
            canceller.request().await;
        }));
    }

    /// Nothing is open: no statement, no transaction, nothing half sent.
    pub(super) fn is_at_rest(&mut self) -> bool {
        self.core.is_idle() && self.client.input.is_empty() && !self.is_in_transaction()
    }

    /// A transaction is open, be it that of a segment without a Sync.
    fn is_in_transaction(&mut self) -> bool {
        self.core.is_mid_segment() || self.core.judge().is_in_transaction()
    }

    /// When the session will have been idle for as long as it may be.
    pub(super) fn idle_at(&mut self) -> Option<Instant> {
        if self.idle_timeouts.at_rest.is_none() && self.idle_timeouts.in_transaction.is_none() {
            return None;
        }
        let is_idle =
            self.core.is_idle() && self.client.input.is_empty() && self.out.to_client.is_empty();
        let timeout = match (is_idle, self.is_in_transaction()) {
            (false, _) => None,
            (true, false) => self.idle_timeouts.at_rest,
            (true, true) => self.idle_timeouts.in_transaction,
        };
        if timeout.is_none() {
            self.idle_since = None;
        }
        timeout.map(|timeout| *self.idle_since.get_or_insert_with(Instant::now) + timeout)
    }

    pub(super) fn idle_for_too_long(&mut self) -> Fatal {
        match self.is_in_transaction() {
            false => fatal("57P05", "terminating connection: it was idle for too long"),
            true => fatal(
                "25P03",
                "terminating connection: it was idle within a transaction for too long",
            ),
        }
    }
}

impl Canceller {
    /// Asks the server to cancel what it is at.
    pub(super) fn request(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let (upstream, key) = (Arc::clone(&self.upstream), self.key.clone());
        Box::pin(async move {
            if let Err(error) = upstream.cancel(&key).await {
                tracing::warn!(target_name = %upstream.name(), %error, "a statement could not be cancelled");
            }
        })
    }
}

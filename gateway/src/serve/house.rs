//! What all sessions share: the targets, the issuer, the counts, the word that the gateway stops.

use std::{collections::HashMap, sync::Arc, time::Duration};

use provost_engine::mask::MaskKeys;
use tokio::sync::watch;

use super::{count::Counts, relay::IdleTimeouts};
use crate::{
    cancel::CancelKeys,
    catalog::Keeper,
    certificate::CertificateHandle,
    identity::Issuer,
    judgement::Bench,
    roster::Roster,
    settings::{Limits, Tcp},
    upstream::Upstream,
};

/// How far the gateway's end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    /// It runs.
    No,
    /// Sessions end as soon as nothing of theirs is open.
    Drain,
    /// Sessions end now.
    Now,
}

/// A target and its catalog.
pub(super) struct Room {
    /// How to connect to it.
    pub(super) upstream: Arc<Upstream>,
    /// Its catalog.
    pub(super) keeper: Arc<Keeper>,
}

/// What all sessions share.
pub(super) struct House {
    /// What judges share.
    pub(super) bench: Arc<Bench>,
    /// Verifies tokens.
    pub(super) issuer: Arc<Issuer>,
    /// Targets by name.
    pub(super) rooms: HashMap<Arc<str>, Room>,
    /// What clients are shown by TLS; `None` where it is off.
    pub(super) certificate: Option<Arc<CertificateHandle>>,
    /// See there.
    pub(super) limits: Limits,
    /// See there.
    pub(super) tcp: Tcp,
    /// The keys of masks.
    pub(super) mask_keys: Option<Arc<MaskKeys>>,
    /// Open sessions' cancel keys.
    pub(super) cancel_keys: Arc<CancelKeys>,
    /// Connections and sessions.
    pub(super) counts: Arc<Counts>,
    /// Sessions by id.
    pub(super) roster: Arc<Roster>,
    /// Whether the gateway stops.
    pub(super) stopping: watch::Receiver<Stopping>,
}

impl House {
    /// From accept to the end of the log-in.
    pub(super) fn startup_timeout(&self) -> Duration {
        Duration::from_millis(self.limits.startup_timeout_ms)
    }

    /// Resolves once the gateway stops: who is not in by then need not come in.
    pub(super) async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // Whoever could tell is gone: so is the gateway.
        let _ = stopping.wait_for(|stage| *stage != Stopping::No).await;
    }

    /// How long sessions may be idle.
    pub(super) fn idle_timeouts(&self) -> IdleTimeouts {
        let set =
            |milliseconds: u64| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        IdleTimeouts {
            at_rest: set(self.limits.idle_timeout_ms),
            in_transaction: set(self.limits.idle_in_transaction_timeout_ms),
        }
    }
}

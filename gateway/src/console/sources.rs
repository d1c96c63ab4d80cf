//! What the console reads besides held statements: the evidence, the policy in force, the open sessions, the targets' catalogs.
//!
//! It must never hand out what lets a page change any of it, but the word that ends a session.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use provost_engine::{graph::Policy, sql::Witness, verdict::BundleDigest};
use provost_evidence::{Archive, Log, report::matrix::Catalogue};
use tokio::{sync::Mutex, task::spawn_blocking};

use crate::{catalog::Keeper, policy::PolicyHandle, roster::Roster};

/// Draws a policy's decision graph as SVG; where it can't, says why in a line. The gateway itself knows no drawing.
pub type Draw = fn(&Policy) -> Result<String, String>;

/// What whoever starts the gateway adds to what it knows itself.
#[derive(Debug)]
pub struct Furnishing {
    /// The evidence.
    pub archive: Archive,
    /// The frameworks of controls, in the order in which they are shown.
    pub catalogues: Vec<Catalogue>,
    /// See there.
    pub draw: Draw,
    /// How many bytes the log may have before the gateway stops.
    pub log_bytes_max: u64,
}

/// What the console reads.
pub struct Sources {
    pub(crate) furnishing: Furnishing,
    pub(crate) log: Arc<Log>,
    pub(crate) policy: Arc<PolicyHandle>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) targets: Vec<Target>,
    pub(crate) witness: Witness,
    pub(crate) started_at: SystemTime,
    /// The drawing last made, and of which policy.
    pub(crate) drawn: Arc<Mutex<Option<(BundleDigest, Drawn)>>>,
}

/// An SVG, or why there is none.
pub(crate) type Drawn = Result<Arc<str>, String>;

impl Sources {
    /// The policy in force, drawn once: whoever asks meanwhile waits for that, and it is kept even where nobody waits any more. `None`: it
    /// broke off.
    pub(crate) async fn drawing(&self) -> Option<Drawn> {
        let (drawn, draw) = (Arc::clone(&self.drawn), self.furnishing.draw);
        let policy = self.policy.current();
        let drawing = tokio::spawn(async move {
            let mut drawn = drawn.lock().await;
            if let Some((digest, drawing)) = &*drawn
                && digest == policy.digest()
            {
                return Some(drawing.clone());
            }
            let digest = policy.digest().clone();
            let drawing = spawn_blocking(move || draw(&policy).map(Arc::from)).await;
            let drawing = drawing.ok()?;
            *drawn = Some((digest, drawing.clone()));
            Some(drawing)
        });
        drawing.await.ok()?
    }
}

/// A target, as the console sees it.
pub(crate) struct Target {
    pub(crate) name: Arc<str>,
    pub(crate) database: Arc<str>,
    pub(crate) keeper: Arc<Keeper>,
}

impl Target {
    /// How old its catalog is.
    pub(crate) fn age(&self) -> std::time::Duration {
        Instant::now().saturating_duration_since(self.keeper.current().since)
    }
}

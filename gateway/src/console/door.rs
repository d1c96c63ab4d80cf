//! Evidence of who came: each log-in with a browser, and each token that was refused.
//!
//! It must never let anybody in whom the log does not have, nor let refusals fill the log: of a flood some have rows, the rest is counted.

use std::{
    collections::BTreeMap,
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use axum::http::StatusCode;
use provost_engine::principal::Principal;
use provost_evidence::{Durability, Log, record::Record};
use tokio::time::interval;

use super::Problem;
use crate::record::{
    SessionId,
    console::{self, Peer, Way},
};

/// For how long refusals are counted together; then what has no row is told.
const SPAN: Duration = Duration::from_secs(60);
/// Rows of refusals that one address has in a span; beyond, they are counted.
const ROWS_OF_ADDRESS_MAX: u64 = 10;
/// Rows of refusals that all have in a span; beyond, they are counted, of addresses that had none all together.
const ROWS_MAX: u64 = 100;
/// How often is looked whether a span is over.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// The console's door.
pub(super) struct Door {
    log: Arc<Log>,
    flood: Mutex<Flood>,
}

impl Door {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self {
            log,
            flood: Mutex::default(),
        }
    }

    /// Keeps that somebody logged in: only then may they.
    ///
    /// # Errors
    /// A problem (503) where it could not be kept.
    pub(super) async fn entered(&self, peer: Peer, principal: &Principal) -> Result<(), Problem> {
        let kept = match SessionId::random() {
            Ok(id) => {
                let entered = console::entered(SystemTime::now(), &id, peer, principal);
                self.log.append(&entered, Durability::Power).await.is_ok()
            }
            Err(_) => false,
        };
        if kept {
            return Ok(());
        }
        tracing::error!("a log-in at the console could not be logged: it is refused");
        Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the log-in could not be kept as evidence: tell the gateway's operator",
        ))
    }

    /// Keeps that somebody was refused, or counts it.
    pub(super) async fn refused(
        &self,
        from: (Peer, Way),
        principal: Option<&Principal>,
        reason: &str,
    ) {
        let now = Instant::now();
        self.settle(now).await;
        if self.with(|flood| flood.has_row(from.0.address, now)) {
            self.keep(|id| console::turned_away(SystemTime::now(), id, from, principal, reason))
                .await;
        }
    }

    /// Tells what has no rows, each time that a span is over, for ever.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut timer = interval(LOOK_PAUSE);
        loop {
            timer.tick().await;
            self.settle(Instant::now()).await;
        }
    }

    /// Tells what has no rows, at the end.
    pub(super) async fn close(&self) {
        let rest = self.with(mem::take);
        self.tell(rest).await;
    }

    async fn settle(&self, now: Instant) {
        if let Some(over) = self.with(|flood| flood.over(now)) {
            self.tell(over).await;
        }
    }

    async fn tell(&self, flood: Flood) {
        for counted in flood.counted() {
            self.keep(|id| console::not_told(SystemTime::now(), id, counted))
                .await;
        }
    }

    /// A refusal stays one, whether or not the log takes it.
    async fn keep(&self, record: impl FnOnce(&SessionId) -> Record) {
        let id = match SessionId::random() {
            Ok(id) => id,
            Err(error) => return tracing::error!(%error, "no randomness for a refusal's row"),
        };
        if let Err(error) = self.log.append(&record(&id), Durability::Power).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a refusal at the console could not be logged"
            );
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Flood) -> T) -> T {
        // Numbers alone: whoever broke off left none half changed.
        look(&mut self.flood.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The refusals of one span.
///
/// INVARIANT: it knows at most [`ROWS_MAX`] addresses, for each of them has a row.
#[derive(Default)]
struct Flood {
    began: Option<Instant>,
    rows: u64,
    addresses: BTreeMap<IpAddr, Refusals>,
    /// Of addresses that came when there were no rows left.
    others: u64,
}

/// Those from one address.
#[derive(Default)]
struct Refusals {
    rows: u64,
    counted: u64,
}

impl Flood {
    /// Counts one; whether it gets a row.
    fn has_row(&mut self, address: IpAddr, now: Instant) -> bool {
        self.began.get_or_insert(now);
        let is_full = self.rows >= ROWS_MAX;
        if is_full && !self.addresses.contains_key(&address) {
            self.others = self.others.saturating_add(1);
            return false;
        }
        let refusals = self.addresses.entry(address).or_default();
        if is_full || refusals.rows >= ROWS_OF_ADDRESS_MAX {
            refusals.counted = refusals.counted.saturating_add(1);
            return false;
        }
        refusals.rows += 1;
        self.rows += 1;
        true
    }

    /// The span, where it is over; another can begin.
    fn over(&mut self, now: Instant) -> Option<Self> {
        let began = self.began?;
        let is_over = now.saturating_duration_since(began) >= SPAN;
        is_over.then(|| mem::take(self))
    }

    /// What has no rows, by address; without one, that of all others.
    fn counted(self) -> impl Iterator<Item = (Option<IpAddr>, u64)> {
        let known = self.addresses.into_iter();
        known
            .map(|(address, refusals)| (Some(address), refusals.counted))
            .chain([(None, self.others)])
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn one_address_has_ten_rows_a_minute() {
        let (mut flood, began) = (Flood::default(), Instant::now());
        let rows = (0..17).filter(|_| flood.has_row(address(1), began)).count();
        assert_eq!(rows, 10);
        assert!(flood.has_row(address(2), began), "another address");
        assert!(
            flood
                .over(began + SPAN - Duration::from_millis(1))
                .is_none()
        );
        let over = flood.over(began + SPAN).unwrap();
        assert_eq!(over.counted().collect::<Vec<_>>(), [(Some(address(1)), 7)]);
        assert!(flood.over(began + SPAN * 3).is_none(), "nothing since");
        assert!(flood.has_row(address(1), began + SPAN), "a new minute");
    }

    #[test]
    fn many_addresses_have_a_hundred_rows_a_minute() {
        let (mut flood, began) = (Flood::default(), Instant::now());
        let from_all = (0..=255).filter(|number| flood.has_row(address(*number), began));
        assert_eq!(from_all.count(), 100);
        assert_eq!(flood.addresses.len(), 100);
        assert!(!flood.has_row(address(0), began));
        let over = flood.over(began + SPAN).unwrap();
        let counted: Vec<_> = over.counted().collect();
        assert_eq!(counted, [(Some(address(0)), 1), (None, 156)]);
    }
}

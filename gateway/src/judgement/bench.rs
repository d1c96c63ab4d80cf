//! What all judges share.

use std::{io, sync::Arc, time::Duration};

use provost_engine::sql::Witness;
use provost_evidence::{Durability, Leases, Log, Receipt, record::Record, replay::ReplayKey};
use tokio::sync::{Notify, Semaphore};

use super::{
    analysis::Workers, memory::Memory, recording::KeptCatalogs, spending::Spending,
    view::OWN_CATALOGS_MAX,
};
use crate::{
    approvals::Approvals, judge::Fatal, policy::PolicyHandle, record::EvidenceKey,
    settings::Durable,
};

/// What all judges share.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The policy in force.
    pub(crate) policy: Arc<PolicyHandle>,
    /// The evidence log.
    pub(crate) log: Arc<Log>,
    /// The key of evidence's digests.
    pub(crate) key: Arc<EvidenceKey>,
    pub(super) workers: Workers,
    /// What is remembered of principals.
    pub(super) memory: Memory,
    /// What they spent of their budgets.
    pub(super) spending: Spending,
    /// Slices of budgets, which all gateways share.
    pub(super) leases: Leases,
    /// What people are asked.
    pub(crate) approvals: Arc<Approvals>,
    /// The id of the keys of `hash` and `tokenize`, where there are keys.
    pub(super) mask_key_id: Option<Arc<str>>,
    /// What recorded statements' inputs are encrypted with.
    pub(super) replay_key: Option<Arc<ReplayKey>>,
    /// SHA-256 of catalogs that were recorded, by version.
    pub(super) catalogs: KeptCatalogs,
    /// See [`crate::settings::Settings`].
    pub(crate) witness: Witness,
    /// See [`crate::settings::Settings`].
    pub(crate) durable: Durable,
    /// See [`crate::settings::Limits`].
    pub(crate) statement_bytes_max: usize,
    /// See [`crate::settings::Settings`].
    pub(crate) catalog_age_max: Duration,
    /// Room for catalogs of sessions' own.
    pub(super) own_catalogs: Arc<Semaphore>,
    /// The log failed: the gateway must stop (P6).
    pub(crate) failed: Notify,
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
        (leases, approvals): (Leases, Arc<Approvals>),
        settings: &crate::settings::Settings,
    ) -> io::Result<Self> {
        Ok(Self {
            policy,
            log,
            key,
            workers: Workers::start()?,
            memory: Memory::default(),
            spending: Spending::default(),
            leases,
            approvals,
            mask_key_id: settings
                .mask_keys
                .as_ref()
                .map(|keys| Arc::clone(keys.id())),
            replay_key: settings.replay_key.clone(),
            catalogs: KeptCatalogs::default(),
            witness: settings.witness,
            durable: settings.durable,
            statement_bytes_max: settings.limits.statement_bytes_max,
            catalog_age_max: Duration::from_millis(settings.catalog_age_max_ms),
            own_catalogs: Arc::new(Semaphore::new(OWN_CATALOGS_MAX)),
            failed: Notify::new(),
        })
    }

    /// Appends a record.
    pub(crate) async fn append(
        &self,
        record: &Record,
        durability: Durability,
    ) -> Result<Receipt, Fatal> {
        let outcome = self.log.append(record, durability).await;
        outcome.map_err(|error| self.fail(&error))
    }

    /// What the client is told where the log did not take a record. A log that has no room may have some later, and takes nothing until
    /// then; one that failed never does: the gateway stops (P6).
    pub(crate) fn fail(&self, error: &provost_evidence::Error) -> Fatal {
        if matches!(error, provost_evidence::Error::LogFull { .. }) {
            // The log itself told the operator, once.
            tracing::debug!(%error, "denied for want of room in the evidence log");
            return Fatal {
                sqlstate: "53100",
                message: "the gateway's evidence log is full, so nothing may run until evidence can be stored: tell the gateway's operator"
                    .to_owned(),
            };
        }
        tracing::error!(%error, "the evidence log failed: the gateway stops");
        self.failed.notify_one();
        Fatal {
            sqlstate: "58030",
            message:
                "the gateway's evidence log failed, so nothing may run: tell the gateway's operator"
                    .to_owned(),
        }
    }
}

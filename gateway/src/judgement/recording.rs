//! What is recorded of statements beyond their rows, where rules record results: the spool of their rows, and what they were asked with.
//!
//! Must never write a raw value: what a statement was asked with is encrypted, or not kept (ruling 11).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use provost_engine::{
    catalog::Catalog,
    facts::CatalogVersion,
    sql::Statement,
    verdict::{Decision, Recording},
};
use provost_evidence::{
    Durability, Error, Log,
    record::{Phase, Record, RecordingEvent, RecordingRecord},
    replay::Input,
    results::{Spool, SpoolHeader},
};

use super::{Sent, SessionJudge, Step};
use crate::{
    judge::{Enforcement, Fatal, StatementSeq},
    record,
};

/// Why an input is not kept where there is no key to encrypt it.
const NO_KEY: &str = "no key";
/// Why an input is not kept that the log has no room for.
const TOO_LARGE: &str = "too large";

/// Catalogs whose SHA-256 is remembered; at the limit all are forgotten, and are kept again.
const CATALOGS_MAX: usize = 256;

/// SHA-256 of catalogs that are kept with evidence, by version: equal versions are equal catalogs.
#[derive(Debug, Default)]
pub(super) struct KeptCatalogs(Mutex<HashMap<CatalogVersion, Arc<str>>>);

impl KeptCatalogs {
    /// The SHA-256 of a catalog that is kept with evidence; that is done where it was not.
    async fn digest(&self, log: &Arc<Log>, catalog: &Arc<Catalog>) -> Result<Arc<str>, Error> {
        let version = catalog.version();
        if let Some(digest) = self.lock().get(&version) {
            return Ok(Arc::clone(digest));
        }
        let (log, catalog) = (Arc::clone(log), Arc::clone(catalog));
        // Large ones take a while, and are fsynced.
        let kept = tokio::task::spawn_blocking(move || {
            let text = catalog.to_text().map_err(|error| Error::Encode {
                source: serde::ser::Error::custom(error),
            })?;
            log.keep_catalog(&text)
        });
        let digest: Arc<str> = match kept.await {
            Ok(kept) => kept?.into(),
            Err(source) => return Err(Error::Interrupted { source }),
        };
        let mut kept = self.lock();
        if kept.len() >= CATALOGS_MAX {
            kept.clear();
        }
        kept.insert(version, Arc::clone(&digest));
        Ok(digest)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CatalogVersion, Arc<str>>> {
        // What is remembered only saves work.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionJudge {
    /// What a statement's result is recorded in, where rules ask for its rows. A Parse has none.
    pub(super) fn spool(
        &self,
        step: &Step<'_>,
        seq: StatementSeq,
        enforcement: &Enforcement,
    ) -> Option<Box<Spool>> {
        let is_recorded =
            step.phase != Phase::Prepare && enforcement.recording == Recording::Results;
        is_recorded.then(|| {
            Box::new(self.bench.log.spool(SpoolHeader {
                statement_id: self.id.statement(seq),
                session_id: self.id.as_str().to_owned(),
                decided_at: record::micros(SystemTime::now()),
            }))
        })
    }

    /// Logs what a statement was asked with, where rules record its results.
    pub(super) async fn record_asked(
        &self,
        step: &Step<'_>,
        seq: StatementSeq,
        statement: &Statement,
        decision: &Decision,
    ) -> Result<(), Fatal> {
        if step.phase == Phase::Prepare || decision.recording != Recording::Results {
            return Ok(());
        }
        Box::pin(self.log_asked(step, seq, statement)).await
    }

    async fn log_asked(
        &self,
        step: &Step<'_>,
        seq: StatementSeq,
        statement: &Statement,
    ) -> Result<(), Fatal> {
        let id = self.id.statement(seq);
        let at = record::micros(SystemTime::now());
        let bare = RecordingRecord::new(at, RecordingEvent::Asked, &id, self.id.as_str());
        let not_kept = |why: &str| RecordingRecord {
            not_replayable: Some(why.to_owned()),
            ..bare.clone()
        };
        let record = match &self.bench.replay_key {
            None => not_kept(NO_KEY),
            Some(key) => {
                let input = key.seal(&id, &self.input(step, statement));
                // A session's own catalog may be another one with each of its statements.
                let catalog = match self.sight.is_own() {
                    true => None,
                    false => {
                        let catalog = &self.loaded().catalog;
                        let kept = self.bench.catalogs.digest(&self.bench.log, catalog).await;
                        Some(kept.map_err(|error| self.bench.fail(&error))?.to_string())
                    }
                };
                RecordingRecord {
                    catalog_digest: catalog,
                    input: Some(input.map_err(|error| self.bench.fail(&error))?),
                    input_key_id: Some(key.id().to_owned()),
                    ..bare.clone()
                }
            }
        };
        let log = &self.bench.log;
        let record = Record::Recording(record);
        let logged = match log.append(&record, Durability::Process).await {
            Err(Error::RecordTooLarge { .. }) => {
                let record = Record::Recording(not_kept(TOO_LARGE));
                log.append(&record, Durability::Process).await
            }
            logged => logged,
        };
        logged.map(drop).map_err(|error| self.bench.fail(&error))
    }

    fn input(&self, step: &Step<'_>, statement: &Statement) -> Input {
        let text = step.text.get(statement.span.clone()).unwrap_or(step.text);
        let path = step.path.unwrap_or_else(|| self.sight.path());
        Input {
            // Analysed text is UTF-8.
            text: String::from_utf8_lossy(text).into_owned(),
            parameter_types: step.types.to_vec(),
            parameters: match step.parameters {
                Sent::Raw(raw) => Some(Input::encode(raw)),
                Sent::Nothing | Sent::Digest(_) => None,
            },
            lacks_parameters: matches!(step.parameters, Sent::Digest(_)),
            // Plain data, all of whose keys are texts: it has a form in JSON.
            session: serde_json::to_value(&*self.session).unwrap_or_default(),
            decided_at: record::micros(SystemTime::now()),
            search_path: path.iter().map(ToString::to_string).collect(),
            in_transaction: self.is_in_transaction(),
            catalog_version: format!("{:016x}", statement.facts.catalog_version.0),
            stated_reason: self.stated.reason().map(str::to_owned),
            estimated_rows: step.estimate.cloned(),
        }
    }
}

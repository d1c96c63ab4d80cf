//! Asks a time stamp authority (RFC 3161) for stamps of the newest checkpoint, in a task of its own. It must never make sealing wait, nor stop the
//! gateway: what fails is said, recorded, and tried again at the next turn.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use object_store::ObjectStore;
use provost_evidence::{
    Durability, Log, PublicKey,
    record::{ChangeRecord, Record},
    stamp::{self, Due},
};
use provost_gateway::record::micros;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::watch;
use url::Url;

use crate::{config::Stamps, error::Error};

/// Connecting may take this long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A request with its whole answer may take this long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often is looked whether there is something to stamp, at most: a seal may come any time.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
const QUERY: &str = "application/timestamp-query";

/// Why there is no stamp.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The store or the stamp.
    #[error("{0}")]
    Evidence(#[from] provost_evidence::Error),
    /// The authority can't be asked. The URL is said by whoever tells.
    #[error("could not ask: {}", innermost(.0))]
    Http(#[source] reqwest::Error),
    /// It doesn't do it.
    #[error("was answered with status {status}")]
    Status { status: u16 },
    /// It says too much.
    #[error("answer has more than {} bytes", stamp::RESPONSE_BYTES_MAX)]
    TooLarge,
}

/// What one look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The newest checkpoint has its stamp, or there is none yet.
    Nothing,
    /// It has one now.
    Stamped,
}

/// Asks for stamps.
pub(super) struct Stamping {
    http: reqwest::Client,
    url: Url,
    interval: Duration,
    store: Arc<dyn ObjectStore>,
    public: PublicKey,
    log: Arc<Log>,
    /// The last turn failed.
    is_failing: bool,
}

impl Stamping {
    /// # Errors
    /// [`Error::StampClient`].
    pub(super) fn new(
        stamps: &Stamps,
        store: Arc<dyn ObjectStore>,
        public: PublicKey,
        log: Arc<Log>,
    ) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build();
        Ok(Self {
            http: http.map_err(Error::StampClient)?,
            url: stamps.url.clone(),
            interval: Duration::from_secs(stamps.interval_s),
            store,
            public,
            log,
            is_failing: false,
        })
    }

    /// Stamps until the sender is dropped; a request under way is given up then.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<()>) {
        loop {
            let asked = tokio::select! {
                asked = self.ask_if_due() => asked,
                _ = stopped.changed() => return,
            };
            let pause = match &asked {
                Ok(Asked::Nothing) => self.interval.min(LOOK_INTERVAL),
                // The authority isn't asked again before the interval is over, whatever it said.
                Ok(Asked::Stamped) | Err(_) => self.interval,
            };
            self.tell_of(&asked).await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    async fn ask_if_due(&self) -> Result<Asked, Failure> {
        match stamp::due(self.store.as_ref(), &self.public).await? {
            None => Ok(Asked::Nothing),
            Some(due) => self.stamp(due).await.map(|()| Asked::Stamped),
        }
    }

    async fn tell_of(&mut self, asked: &Result<Asked, Failure>) {
        match asked {
            Ok(Asked::Stamped) if self.is_failing => self.tell("stamp-resumed", None).await,
            Ok(Asked::Stamped | Asked::Nothing) => {}
            Err(failure) => {
                tracing::warn!(url = %self.url, %failure, "no time stamp; it is tried again");
                if !self.is_failing {
                    self.tell("stamp-failed", Some(failure.to_string())).await;
                }
            }
        }
    }

    async fn stamp(&self, due: Due) -> Result<(), Failure> {
        let response = self.ask(&due).await?;
        let stamp = due.keep(self.store.as_ref(), response).await?;
        tracing::info!(rows = stamp.rows, authority = stamp.authority, "time stamp");
        Ok(())
    }

    async fn ask(&self, due: &Due) -> Result<Bytes, Failure> {
        let request = self.http.post(self.url.clone());
        let request = request.header(CONTENT_TYPE, QUERY);
        let sent = request.body(due.request().to_vec()).send().await;
        let mut response = sent.map_err(Failure::Http)?;
        if response.status() != reqwest::StatusCode::OK {
            let status = response.status().as_u16();
            return Err(Failure::Status { status });
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(Failure::Http)? {
            if body.len() + chunk.len() > stamp::RESPONSE_BYTES_MAX {
                return Err(Failure::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Records that stamps fail, or no longer do: once each. What can't be recorded is tried again with the next turn.
    async fn tell(&mut self, what: &str, after: Option<String>) {
        let record = Record::Change(ChangeRecord {
            at: micros(SystemTime::now()),
            actor: "gateway".to_owned(),
            what: what.to_owned(),
            before: None,
            after,
            digest: None,
        });
        match self.log.append(&record, Durability::Process).await {
            Ok(_receipt) => self.is_failing = !self.is_failing,
            Err(error) => tracing::warn!(%error, what, "could not be recorded"),
        }
    }
}

/// The last source of an error: reqwest's own text repeats the URL and hides the reason.
fn innermost(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    provost_gateway::console::visible(&source.to_string())
}

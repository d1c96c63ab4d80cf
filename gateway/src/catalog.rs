//! Keeps each target's catalog: reads it through a connection of its own, again on a timer and whenever asked.
//!
//! It reads with the gateway's own fixed queries and never changes anything on the server: first the stamp, which is cheap,
//! then, where that is another one, the whole catalog. A catalog that can't be read
//! again grows old and says so (`Loaded::since`): who relies on it refuses (ruling 4).

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use provost_engine::catalog::{CATALOG_QUERY, Catalog, STAMP_QUERY};
use provost_evidence::{Durability, record::Record};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::{
    former::FormerNames,
    judgement::Bench,
    record,
    settings::Target,
    upstream::{self, Server, Upstream},
};

/// Sessions that may wait for a fresh catalog at once; further ones wait until there is room.
const WAITERS_MAX: usize = 1_024;
/// How long one reading may take; then it failed, and the connection is made anew.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// What the server's `pg_stat_activity` shows for the keeper's connection.
const APPLICATION_NAME: &str = "provost catalog";

/// Why there is no fresh catalog.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be asked.
    #[error("{source}")]
    Upstream {
        /// Why.
        #[from]
        source: upstream::Error,
    },
    /// Its answer is no catalog.
    #[error("{source}")]
    Catalog {
        /// Why.
        #[from]
        source: provost_engine::catalog::Error,
    },
    /// Reading took too long.
    #[error("reading the catalog took more than {} s", READ_TIMEOUT.as_secs())]
    Timeout,
    /// The log refused the new version's record.
    #[error("the evidence log failed")]
    Log,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// A catalog, and when its reading began.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The catalog.
    pub(crate) catalog: Arc<Catalog>,
    /// Nothing that happened before is missing from it.
    pub(crate) since: Instant,
    /// What its columns were called in earlier ones.
    pub(crate) former: Arc<FormerNames>,
}

/// One target's catalog.
pub(crate) struct Keeper {
    current: RwLock<Loaded>,
    waiters: mpsc::Sender<oneshot::Sender<Result<(), Arc<Error>>>>,
}

/// What reads for a [`Keeper`]; runs until it is dropped.
pub(crate) struct Reader {
    keeper: Arc<Keeper>,
    upstream: Arc<Upstream>,
    server: Option<Server>,
    requests: mpsc::Receiver<oneshot::Sender<Result<(), Arc<Error>>>>,
    /// What the server's catalogs were like at the last whole reading.
    stamp: Vec<u8>,
    age_max: Duration,
}

impl Keeper {
    /// Reads the catalog for the first time.
    ///
    /// # Errors
    /// [`Error`] when it can't be read: a gateway doesn't start on a target that it can't read.
    pub(crate) async fn start(
        upstream: Arc<Upstream>,
        age_max: Duration,
    ) -> Result<(Arc<Self>, Reader), Error> {
        let mut server = None;
        let since = Instant::now();
        let stamp = read(&upstream, &mut server, STAMP_QUERY).await?;
        let catalog = parse(read(&upstream, &mut server, CATALOG_QUERY).await?).await?;
        let (waiters, requests) = mpsc::channel(WAITERS_MAX);
        let keeper = Arc::new(Self {
            current: RwLock::new(Loaded {
                catalog: Arc::new(catalog),
                since,
                former: Arc::default(),
            }),
            waiters,
        });
        let reader = Reader {
            keeper: Arc::clone(&keeper),
            upstream,
            server,
            requests,
            stamp,
            age_max,
        };
        Ok((keeper, reader))
    }

    /// The catalog last read.
    pub(crate) fn current(&self) -> Loaded {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for a reading that began after this call. Waiters share one.
    ///
    /// # Errors
    /// [`Error`] when it failed; the old catalog stays.
    pub(crate) async fn refresh(&self) -> Result<Loaded, Arc<Error>> {
        let (sender, answer) = oneshot::channel();
        self.waiters
            .send(sender)
            .await
            .map_err(|_| Arc::new(Error::Stopping))?;
        answer
            .await
            .unwrap_or_else(|_| Err(Arc::new(Error::Stopping)))?;
        Ok(self.current())
    }
}

impl Reader {
    /// Reads whenever somebody waits, and so often that the catalog's age stays below `age_max`. Each new version is in
    /// the log before anybody sees it.
    pub(crate) async fn run(mut self, bench: Arc<Bench>) {
        // INVARIANT: whoever is taken from `requests` before a reading begins is answered by that reading; whoever
        // comes during it waits for the next.
        let mut waiting = Vec::new();
        // Half of the allowed age: the reading itself, and one that fails, have the other half.
        let pause = self.age_max / 2;
        loop {
            tokio::select! {
                count = self.requests.recv_many(&mut waiting, WAITERS_MAX) => if count == 0 { return },
                () = sleep(pause) => {}
            }
            let outcome = self.read_again(&bench).await.map_err(Arc::new);
            if let Err(error) = &outcome {
                tracing::warn!(target_name = %self.upstream.name(), %error, "the catalog could not be read");
            }
            for waiter in waiting.drain(..) {
                // Whoever gave up waiting needs no answer.
                let _ = waiter.send(outcome.clone());
            }
        }
    }

    async fn read_again(&mut self, bench: &Bench) -> Result<(), Error> {
        let since = Instant::now();
        let current = self.keeper.current();
        let (catalog, former) = match self.changed(&current.catalog).await {
            Ok(None) => (current.catalog, current.former),
            Ok(Some((catalog, stamp))) => {
                let record = loaded(self.upstream.name(), &catalog);
                bench
                    .append(&record, Durability::Process)
                    .await
                    .map_err(|_| Error::Log)?;
                let former = current.former.after(&current.catalog, &catalog);
                self.stamp = stamp;
                (Arc::new(catalog), Arc::new(former))
            }
            Err(error) => {
                // A connection that failed once is not asked again.
                self.server = None;
                return Err(error);
            }
        };
        *self
            .keeper
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Loaded {
            catalog,
            since,
            former,
        };
        Ok(())
    }
}

impl Reader {
    /// Reads the catalog again, with the stamp that it had just before; `None`: it is what it was.
    async fn changed(&mut self, current: &Catalog) -> Result<Option<(Catalog, Vec<u8>)>, Error> {
        let stamp = read(&self.upstream, &mut self.server, STAMP_QUERY).await?;
        if stamp == self.stamp {
            return Ok(None);
        }
        let catalog = parse(read(&self.upstream, &mut self.server, CATALOG_QUERY).await?).await?;
        // Rows that were written again as they were, or things that no statement's meaning depends on.
        if catalog.version() == current.version() {
            self.stamp = stamp;
            return Ok(None);
        }
        Ok(Some((catalog, stamp)))
    }
}

/// The record that a catalog is relied on from now.
pub(crate) fn loaded(target: &str, catalog: &Catalog) -> Record {
    let version = format!("{:016x}", catalog.version().0);
    record::change(
        SystemTime::now(),
        "catalog-loaded",
        Some(target),
        Some(&version),
    )
}

/// Reads a target's catalog once, as the server answers it: for [`provost_engine::catalog::file::to_file`].
///
/// # Errors
/// [`Error::Upstream`], [`Error::Timeout`].
pub async fn pull(target: Target, timeout_ms: u64) -> Result<Vec<u8>, Error> {
    let upstream = Upstream::new(target, timeout_ms)?;
    read(&upstream, &mut None, CATALOG_QUERY).await
}

/// The answer to one of the fixed queries, through a connection that is made where there is none.
async fn read(
    upstream: &Upstream,
    server: &mut Option<Server>,
    query: &'static str,
) -> Result<Vec<u8>, Error> {
    let attempt = async {
        let server = match server {
            Some(server) => server,
            None => server.insert(
                upstream
                    .connect(&[("application_name".to_owned(), APPLICATION_NAME.to_owned())])
                    .await?,
            ),
        };
        let answer = upstream::one_text(server, query).await?;
        answer.ok_or(Error::Upstream {
            source: upstream::Error::Protocol {
                what: "NULL in answer to the catalog query",
            },
        })
    };
    timeout(READ_TIMEOUT, attempt)
        .await
        .unwrap_or(Err(Error::Timeout))
}

/// Reads the answer on a thread that may take its time: a large catalog must not hold up sessions.
pub(crate) async fn parse(json: Vec<u8>) -> Result<Catalog, Error> {
    let parsed = spawn_blocking(move || Catalog::from_json(&json)).await;
    Ok(parsed.map_err(|_| Error::Stopping)??)
}

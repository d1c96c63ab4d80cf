//! Keeps each target's catalog: reads it through a connection of its own, again on a timer and whenever asked.
//!
//! It reads with the gateway's own fixed queries and never changes anything on the server: first the stamp, which is cheap,
//! then, where that is another one, the whole catalog. Views' definitions are the costliest part: they are read when the first
//! statement rests on them, and from then on with everything else. A catalog that can't be read
//! again grows old and says so (`Loaded::since`): who relies on it refuses (ruling 4).

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use provost_engine::catalog::{
    CATALOG_QUERY, Catalog, DEFINITIONS_QUERY, FIRST_QUERY, FIRST_STAMP_QUERY,
    OUTLINE_PAST_LOCKS_QUERY, OUTLINE_QUERY, STAMP_QUERY,
};
use provost_evidence::{Durability, record::Record};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::{
    former::FormerNames,
    glance::Shared,
    judgement::Bench,
    record,
    settings::Target,
    upstream::{self, Server, Upstream},
};

/// Sessions that may wait for a fresh catalog at once; further ones wait until there is room.
const WAITERS_MAX: usize = 1_024;
/// How long one reading may take; then it failed, and the connection is made anew.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the catalog is asked for until the server answers: what is dropped while it is read makes its question fail.
const TRIES_MAX: u32 = 5;
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
    /// The role lacks a right that every role has unless it was taken away.
    #[error(
        "the catalog can't be read: {message}; every role may read it unless that right was taken from PUBLIC: GRANT it to the gateway's role"
    )]
    Denied {
        /// What the server said.
        message: String,
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
    /// Somebody has locked what a view reads: all but the definitions was read.
    #[error("the definition of a view can't be read: another session has locked what it reads")]
    Locked,
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
    current: Shared<Loaded>,
    waiters: mpsc::Sender<Waiter>,
}

/// What reading again gave.
struct Read {
    /// The catalog with its stamp, where it is another one. Without a stamp the next reading is whole.
    catalog: Option<(Catalog, Option<Vec<u8>>)>,
    definitions: Definitions,
}

/// Whether definitions that were asked for are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Definitions {
    There,
    Locked,
}

/// Somebody who waits for a reading.
struct Waiter {
    /// Views whose definitions must be in it.
    lacking: BTreeSet<u32>,
    answer: oneshot::Sender<Result<(), Arc<Error>>>,
}

/// What reads for a [`Keeper`]; runs until it is dropped.
pub(crate) struct Reader {
    keeper: Arc<Keeper>,
    upstream: Arc<Upstream>,
    server: Option<Server>,
    requests: mpsc::Receiver<Waiter>,
    /// What the server's catalogs were like at the last whole reading; `None`: nothing is known of it, and the next one is whole.
    stamp: Option<Vec<u8>>,
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
        let outline = read(&upstream, &mut server, FIRST_QUERY, &BTreeSet::new()).await?;
        let catalog = parse(outline).await?;
        let (waiters, requests) = mpsc::channel(WAITERS_MAX);
        let keeper = Arc::new(Self {
            current: Shared::new(Loaded {
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
            stamp: None,
            age_max,
        };
        Ok((keeper, reader))
    }

    /// The catalog last read.
    pub(crate) fn current(&self) -> Loaded {
        self.current.current()
    }

    /// The same, for those who look often.
    pub(crate) const fn shared(&self) -> &Shared<Loaded> {
        &self.current
    }

    /// Waits for a reading that began after this call, with the definitions of these views, where they are still there. Waiters
    /// share one.
    ///
    /// # Errors
    /// [`Error`] when it failed; the old catalog stays.
    pub(crate) async fn refresh(&self, lacking: BTreeSet<u32>) -> Result<Loaded, Arc<Error>> {
        let (sender, answer) = oneshot::channel();
        let waiter = Waiter {
            lacking,
            answer: sender,
        };
        self.waiters
            .send(waiter)
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
        // Nobody had to wait for the first stamp. Where it fails, the next reading is whole.
        match self.ask(FIRST_STAMP_QUERY, &BTreeSet::new()).await {
            Ok(stamp) => self.stamp = Some(stamp),
            Err(_) => self.server = None,
        }
        // Half of the allowed age: the reading itself, and one that fails, have the other half.
        let pause = self.age_max / 2;
        loop {
            tokio::select! {
                count = self.requests.recv_many(&mut waiting, WAITERS_MAX) => if count == 0 { return },
                () = sleep(pause) => {}
            }
            let lacking = waiting.iter().flat_map(|one: &Waiter| &one.lacking);
            let outcome = self.read_again(&bench, lacking.copied().collect()).await;
            let outcome = outcome.map_err(Arc::new);
            if let Err(error) = &outcome {
                tracing::warn!(target_name = %self.upstream.name(), %error, "the catalog could not be read");
            }
            for waiter in waiting.drain(..) {
                let answer = match &outcome {
                    Ok(Definitions::Locked) if !waiter.lacking.is_empty() => {
                        Err(Arc::new(Error::Locked))
                    }
                    Ok(Definitions::There | Definitions::Locked) => Ok(()),
                    Err(error) => Err(Arc::clone(error)),
                };
                // Whoever gave up waiting needs no answer.
                let _ = waiter.answer.send(answer);
            }
        }
    }

    async fn read_again(
        &mut self,
        bench: &Bench,
        lacking: BTreeSet<u32>,
    ) -> Result<Definitions, Error> {
        let since = Instant::now();
        let current = self.keeper.current();
        let read = self.changed(&current.catalog, lacking).await;
        let definitions = read
            .as_ref()
            .map_or(Definitions::There, |read| read.definitions);
        let (catalog, former) = match read.map(|read| read.catalog) {
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
        self.keeper.current.replace(Loaded {
            catalog,
            since,
            former,
        });
        Ok(definitions)
    }
}

impl Reader {
    /// Reads the catalog again, with the stamp that it had just before, where it is not what it was; with the definitions that
    /// somebody lacks, unless they are locked.
    async fn changed(
        &mut self,
        current: &Catalog,
        mut lacking: BTreeSet<u32>,
    ) -> Result<Read, Error> {
        // Another waiter may have had them read.
        lacking.retain(|oid| {
            let view = current.relation(*oid);
            view.is_some_and(|view| view.lacks_definition())
        });
        let mut definitions = Definitions::There;
        let mut answer = None;
        if !lacking.is_empty() {
            match self.ask(DEFINITIONS_QUERY, &lacking).await {
                Ok(defined) => answer = Some(defined),
                Err(error) if is_locked(&error) => {
                    definitions = Definitions::Locked;
                    lacking.clear();
                }
                Err(error) => return Err(error),
            }
        }
        // INVARIANT: definitions are deparsed by the names of the moment. The stamp comes after them: while it is what it was
        // before the catalog, they fit each other.
        let stamp = self.ask(STAMP_QUERY, &BTreeSet::new()).await?;
        if self.stamp.as_ref() == Some(&stamp) {
            let defined = answer.map(|answer| current.with_definitions(&answer));
            let catalog = defined.transpose()?;
            let catalog = catalog.filter(|catalog| catalog.version() != current.version());
            return Ok(Read {
                catalog: catalog.map(|catalog| (catalog, Some(stamp))),
                definitions,
            });
        }
        // What was asked for once is read from now on with everything else.
        let mut wanted = current.defined();
        wanted.extend(&lacking);
        let mut stamp = Some(stamp);
        let outline = match self.ask(OUTLINE_QUERY, &wanted).await {
            // What is lacking is asked for when a statement rests on it again, and texts that are left out the next time.
            Err(error) if is_locked(&error) => {
                definitions = Definitions::Locked;
                stamp = None;
                self.ask(OUTLINE_PAST_LOCKS_QUERY, &BTreeSet::new()).await?
            }
            outcome => outcome?,
        };
        let catalog = parse(outline).await?;
        // Rows that were written again as they were, or things that no statement's meaning depends on.
        let is_same = catalog.version() == current.version();
        if is_same {
            self.stamp.clone_from(&stamp);
        }
        Ok(Read {
            catalog: (!is_same).then_some((catalog, stamp)),
            definitions,
        })
    }

    /// Asks until the server answers: what it says when something is dropped meanwhile is no fault of the question.
    async fn ask(&mut self, query: &'static str, views: &BTreeSet<u32>) -> Result<Vec<u8>, Error> {
        let mut tries = 1;
        loop {
            match read(&self.upstream, &mut self.server, query, views).await {
                // Whoever waited for a lock once finds it held again.
                Err(error) if is_locked(&error) => return Err(error),
                Err(Error::Upstream {
                    source: upstream::Error::Refused { .. },
                }) if tries < TRIES_MAX => {
                    // A connection that failed once is not asked again.
                    self.server = None;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Whether a question waited in vain for a lock.
fn is_locked(error: &Error) -> bool {
    matches!(
        error,
        Error::Upstream {
            source: upstream::Error::Refused { sqlstate, .. },
        } if sqlstate == "55P03"
    )
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
    read(&upstream, &mut None, CATALOG_QUERY, &BTreeSet::new()).await
}

/// The answer to one of the fixed queries, through a connection that is made where there is none.
async fn read(
    upstream: &Upstream,
    server: &mut Option<Server>,
    query: &'static str,
    views: &BTreeSet<u32>,
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
        let answer = upstream::one_text_about(server, query, views).await;
        let answer = answer.map_err(|error| match error {
            upstream::Error::Refused { sqlstate, message } if sqlstate == "42501" => {
                Error::Denied { message }
            }
            source => Error::Upstream { source },
        })?;
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
    let parsed = spawn_blocking(move || Catalog::from_answer(&json)).await;
    Ok(parsed.map_err(|_| Error::Stopping)??)
}

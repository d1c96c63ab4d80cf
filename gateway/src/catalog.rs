//! Keeps each target's catalog: reads it through a connection of its own, again on a timer and whenever asked.
//!
//! It reads with the gateway's own fixed queries and never changes anything on the server: first the stamp, which is cheap,
//! then, where that is another one, the whole catalog. Views' definitions are the costliest part: they are read when the first
//! statement rests on them, and again where one of them, or what it calls by name, is another one. A catalog that can't be read
//! again grows old and says so (`Loaded::since`): who relies on it refuses (ruling 4).

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use provost_engine::catalog::{
    CATALOG_QUERY, Catalog, FIRST_QUERY, FIRST_STAMP_QUERY, OUTLINE_PAST_LOCKS_QUERY,
    OUTLINE_QUERY, STAMP_QUERY,
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
/// How long definitions of views may take at least; else half the allowed age: what rests on none is not to wait for them.
const DEFINITIONS_TIMEOUT_MIN: Duration = Duration::from_secs(2);
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
    /// Somebody has locked what a view reads, or the server could not tell: all but the definitions was read.
    #[error(
        "the definition of a view can't be read: another session may have locked what it reads"
    )]
    Undefined,
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

/// What the server's catalogs were like, and through which connection it said so.
type Stamp = (u64, Vec<u8>);

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
    stamp: Option<Stamp>,
    /// Connections made since the first. Another server may have given its transactions the numbers of the one before: what was read
    /// through another connection says nothing.
    connections: u64,
    /// The connection that the present catalog was read through.
    read_through: u64,
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
        let first = Question::Fixed(FIRST_QUERY);
        let outline = read(&upstream, &mut server, first, READ_TIMEOUT).await?;
        let catalog = parse(outline.concat()).await?;
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
            connections: 0,
            read_through: 0,
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
        match self.ask(FIRST_STAMP_QUERY).await {
            // On another connection it is no longer of the moment that the catalog is of.
            Ok(stamp) if self.connections == 0 => self.stamp = Some((0, stamp)),
            Ok(_) => {}
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
            let current = self.keeper.current().catalog;
            for waiter in waiting.drain(..) {
                let answer = match &outcome {
                    Ok(()) if waiter.lacking.iter().any(|oid| lacks(&current, *oid)) => {
                        Err(Arc::new(Error::Undefined))
                    }
                    Ok(()) => Ok(()),
                    Err(error) => Err(Arc::clone(error)),
                };
                // Whoever gave up waiting needs no answer.
                let _ = waiter.answer.send(answer);
            }
        }
    }

    async fn read_again(&mut self, bench: &Bench, lacking: BTreeSet<u32>) -> Result<(), Error> {
        let since = Instant::now();
        let current = self.keeper.current();
        let (catalog, former) = match self.changed(&current.catalog, lacking).await {
            Ok(None) => (current.catalog, current.former),
            Ok(Some((catalog, stamp))) => {
                let record = loaded(self.upstream.name(), &catalog);
                bench
                    .append(&record, Durability::Process)
                    .await
                    .map_err(|_| Error::Log)?;
                let former = current.former.after(&current.catalog, &catalog);
                self.stamp = stamp;
                self.read_through = self.connections;
                (catalog, Arc::new(former))
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
        Ok(())
    }
}

impl Reader {
    /// Reads the catalog again, with the stamp that it had just before, where it is not what it was; with the definitions that
    /// somebody lacks, where they can be read. Without a stamp the next reading is whole.
    async fn changed(
        &mut self,
        current: &Arc<Catalog>,
        mut lacking: BTreeSet<u32>,
    ) -> Result<Option<(Arc<Catalog>, Option<Stamp>)>, Error> {
        let stamp = self.ask(STAMP_QUERY).await?;
        let mut stamp = Some((self.connections, stamp));
        let is_known = self.stamp == stamp;
        let mut catalog = Arc::clone(current);
        if !is_known {
            let outline = match self.ask(OUTLINE_QUERY).await {
                // Texts that are left out are asked for the next time.
                Err(error) if is_locked(&error) => {
                    stamp = None;
                    self.ask(OUTLINE_PAST_LOCKS_QUERY).await?
                }
                outcome => outcome?,
            };
            stamp = stamp.filter(|(connection, _)| *connection == self.connections);
            let is_same_server = self.read_through == self.connections;
            let earlier = is_same_server.then(|| Arc::clone(current));
            let read = off_the_way(move || {
                let catalog = Catalog::from_answer(&outline)?;
                Ok(match earlier {
                    Some(earlier) => catalog.with_definitions_of(&earlier),
                    None => catalog,
                })
            });
            catalog = Arc::new(read.await?);
        }
        lacking.retain(|oid| lacks(&catalog, *oid));
        // What was asked for once, and is another one now.
        let mut wanted = current.defined();
        wanted.retain(|oid| lacks(&catalog, *oid));
        wanted.extend(&lacking);
        let mut defined = self.define(&catalog, &wanted).await;
        if defined.is_none() && wanted != lacking {
            // The others are asked for when a statement rests on them again.
            defined = self.define(&catalog, &lacking).await;
        }
        let catalog = defined.unwrap_or(catalog);
        // Rows that were written again as they were, or things that no statement's meaning depends on.
        if catalog.version() != current.version() {
            return Ok(Some((catalog, stamp)));
        }
        if !is_known {
            self.stamp = stamp;
            self.read_through = self.connections;
        }
        Ok(None)
    }

    /// A catalog with these views' definitions. `None` where they can't be read: somebody has locked what a view reads, or there are
    /// too many for the server. The catalog goes on without them.
    async fn define(
        &mut self,
        catalog: &Arc<Catalog>,
        views: &BTreeSet<u32>,
    ) -> Option<Arc<Catalog>> {
        if views.is_empty() || self.server.is_none() {
            return None;
        }
        let patience = (self.age_max / 2).clamp(DEFINITIONS_TIMEOUT_MIN, READ_TIMEOUT);
        let question = Question::Definitions(views);
        let defined = match read(&self.upstream, &mut self.server, question, patience).await {
            Ok(answer) => {
                let catalog = Arc::clone(catalog);
                off_the_way(move || catalog.with_definitions(&answer)).await
            }
            Err(error) => Err(error),
        };
        match defined {
            Ok(catalog) => return Some(Arc::new(catalog)),
            Err(error) if is_locked(&error) => {}
            Err(error) => {
                tracing::warn!(target_name = %self.upstream.name(), %error, views = views.len(), "definitions of views could not be read");
                let is_refused = matches!(
                    error,
                    Error::Upstream {
                        source: upstream::Error::Refused { .. }
                    }
                );
                if !is_refused {
                    // A connection that failed once is not asked again.
                    self.server = None;
                }
            }
        }
        None
    }

    /// Asks until the server answers: what it says when something is dropped meanwhile is no fault of the question.
    async fn ask(&mut self, query: &'static str) -> Result<Vec<u8>, Error> {
        let mut tries = 1;
        loop {
            self.connections += u64::from(self.server.is_none());
            let question = Question::Fixed(query);
            match read(&self.upstream, &mut self.server, question, READ_TIMEOUT).await {
                // Whoever waited for a lock once finds it held again.
                Err(error) if is_locked(&error) => return Err(error),
                Err(Error::Upstream {
                    source: upstream::Error::Refused { .. },
                }) if tries < TRIES_MAX => {
                    // A connection that failed once is not asked again.
                    self.server = None;
                    tries += 1;
                }
                outcome => return Ok(outcome?.concat()),
            }
        }
    }
}

/// Whether a catalog has this view without its definition.
fn lacks(catalog: &Catalog, oid: u32) -> bool {
    let view = catalog.relation(oid);
    view.is_some_and(|view| view.lacks_definition())
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
    let question = Question::Fixed(CATALOG_QUERY);
    let answer = read(&upstream, &mut None, question, READ_TIMEOUT).await?;
    Ok(answer.concat())
}

/// What a server is asked.
#[derive(Clone, Copy)]
enum Question<'a> {
    /// One of the fixed queries that give one row.
    Fixed(&'static str),
    /// These views' definitions, in three rows.
    Definitions(&'a BTreeSet<u32>),
}

/// The text of each row, through a connection that is made where there is none.
async fn read(
    upstream: &Upstream,
    server: &mut Option<Server>,
    question: Question<'_>,
    patience: Duration,
) -> Result<Vec<Vec<u8>>, Error> {
    let attempt = async {
        let server = match server {
            Some(server) => server,
            None => server.insert(
                upstream
                    .connect(&[("application_name".to_owned(), APPLICATION_NAME.to_owned())])
                    .await?,
            ),
        };
        let answer = match question {
            Question::Definitions(views) => upstream::definitions(server, views).await.map(Some),
            Question::Fixed(query) => {
                let text = upstream::one_text(server, query).await;
                text.map(|text| text.map(|text| vec![text]))
            }
        };
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
    timeout(patience, attempt)
        .await
        .unwrap_or(Err(Error::Timeout))
}

/// Reads an answer on a thread that may take its time: a large catalog must not hold up sessions.
pub(crate) async fn parse(json: Vec<u8>) -> Result<Catalog, Error> {
    off_the_way(move || Catalog::from_answer(&json)).await
}

async fn off_the_way(
    read: impl FnOnce() -> Result<Catalog, provost_engine::catalog::Error> + Send + 'static,
) -> Result<Catalog, Error> {
    let read = spawn_blocking(read).await;
    Ok(read.map_err(|_| Error::Stopping)??)
}

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
    Unread,
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
    /// The connection was made anew since the reading began. Another server may have given its transactions the numbers of the one
    /// before: what was read there says nothing.
    is_other: bool,
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
        let outline = read(&upstream, &mut server, Question::Fixed(FIRST_QUERY))
            .await?
            .concat();
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
            is_other: false,
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
        match self.ask(Question::Fixed(FIRST_STAMP_QUERY)).await {
            Ok(stamp) => self.stamp = Some(stamp.concat()),
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
                    Ok(Definitions::Unread) if !waiter.lacking.is_empty() => {
                        Err(Arc::new(Error::Undefined))
                    }
                    Ok(Definitions::There | Definitions::Unread) => Ok(()),
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
        current: &Arc<Catalog>,
        mut lacking: BTreeSet<u32>,
    ) -> Result<Read, Error> {
        // Another waiter may have had them read.
        lacking.retain(|oid| lacks(current, *oid));
        self.is_other = false;
        let mut definitions = Definitions::There;
        let mut answer = None;
        if !lacking.is_empty() {
            answer = self.define(&lacking).await;
            if answer.is_none() {
                definitions = Definitions::Unread;
                lacking.clear();
            }
        }
        let stamp = self.ask(Question::Fixed(STAMP_QUERY)).await?.concat();
        if !self.is_other && self.stamp.as_ref() == Some(&stamp) {
            let catalog = match answer {
                Some(answer) => Some(define(current, answer).await?),
                None => None,
            };
            let catalog = catalog.filter(|catalog| catalog.version() != current.version());
            return Ok(Read {
                catalog: catalog.map(|catalog| (catalog, Some(stamp))),
                definitions,
            });
        }
        let mut stamp = Some(stamp);
        let outline = match self.ask(Question::Fixed(OUTLINE_QUERY)).await {
            // Texts that are left out are asked for the next time.
            Err(error) if is_locked(&error) => {
                stamp = None;
                self.ask(Question::Fixed(OUTLINE_PAST_LOCKS_QUERY)).await?
            }
            outcome => outcome?,
        };
        let earlier = (!self.is_other).then(|| Arc::clone(current));
        let mut catalog = off_the_way(move || {
            let mut catalog = Catalog::from_answer(&outline.concat())?;
            if let Some(earlier) = earlier {
                catalog = catalog.with_definitions_of(&earlier);
            }
            match answer {
                Some(answer) => catalog.with_definitions(&answer),
                None => Ok(catalog),
            }
        })
        .await?;
        // What was asked for once, and is another one now.
        let mut again = current.defined();
        again.extend(&lacking);
        again.retain(|oid| lacks(&catalog, *oid));
        if !again.is_empty() {
            match self.define(&again).await {
                Some(answer) => catalog = define(&Arc::new(catalog), answer).await?,
                // The others are asked for when a statement rests on them again.
                None if !again.is_disjoint(&lacking) => definitions = Definitions::Unread,
                None => {}
            }
        }
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

    /// Asks for definitions. `None` where they can't be read now: somebody has locked what a view reads, or there are too many for
    /// the server. The catalog goes on without them.
    async fn define(&mut self, views: &BTreeSet<u32>) -> Option<Vec<Vec<u8>>> {
        match self.ask(Question::Definitions(views)).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                if !is_locked(&error) {
                    // A connection that failed once is not asked again.
                    self.server = None;
                    tracing::warn!(target_name = %self.upstream.name(), %error, views = views.len(), "definitions of views could not be read");
                }
                None
            }
        }
    }

    /// Asks until the server answers: what it says when something is dropped meanwhile is no fault of the question.
    async fn ask(&mut self, question: Question<'_>) -> Result<Vec<Vec<u8>>, Error> {
        let mut tries = 1;
        loop {
            self.is_other |= self.server.is_none();
            match read(&self.upstream, &mut self.server, question).await {
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
    Ok(read(&upstream, &mut None, Question::Fixed(CATALOG_QUERY))
        .await?
        .concat())
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
    timeout(READ_TIMEOUT, attempt)
        .await
        .unwrap_or(Err(Error::Timeout))
}

/// The catalog with definitions that were asked for.
async fn define(catalog: &Arc<Catalog>, answer: Vec<Vec<u8>>) -> Result<Catalog, Error> {
    let catalog = Arc::clone(catalog);
    off_the_way(move || catalog.with_definitions(&answer)).await
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

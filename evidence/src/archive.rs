//! Evidence for people who look while a gateway runs: what is sealed, and what this gateway has logged since, in the same tables. Queries
//! run on threads of their own and are bounded. It must never take memory, time or threads from whoever serves, nor tell of a row twice.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use object_store::ObjectStore;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::error::Error;
use crate::log::Log;
use crate::query::{Known, Share, Tables};
use crate::recent;

/// What the queries of one person's look may hold in memory; what needs more is refused.
const MEMORY_BYTES_MAX: usize = 256 << 20;
/// Looks at once; the next one waits for its turn, within its time.
const AT_ONCE_MAX: usize = 2;
/// How long a look may take, its wait included; then it is ended.
const TIME_MAX: Duration = Duration::from_secs(25);
/// How much older than a look the tables may be that it sees. Whoever asks while others open them uses those, however long that takes.
const AGE_MAX: Duration = Duration::from_secs(2);
/// How often the log is read anew because a seal was made meanwhile, and the pause between; then what is sealed is all that is told.
const TRIES_MAX: u32 = 20;
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// Why somebody sees nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unseen {
    /// They look already.
    #[error("one look at the evidence at a time: wait for the other page, or close it")]
    Busy,
    /// It took too long.
    #[error("this takes longer than {} s: ask for a shorter period, or use `provost evidence query`", TIME_MAX.as_secs())]
    Late,
    /// The work broke off.
    #[error("the look at the evidence broke off: tell the gateway's operator")]
    Broken,
    /// The evidence can't be read.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Tables, and how much they tell.
#[derive(Debug, Clone)]
pub struct Sight {
    /// The tables.
    pub tables: Arc<Tables>,
    /// Whether what this gateway has not sealed yet is among them.
    pub has_recent: bool,
}

/// The evidence of a store, and of one gateway's log.
pub struct Archive {
    shared: Arc<Shared>,
    at_once: Semaphore,
    looking: Mutex<HashSet<String>>,
    /// Always there but while it is dropped.
    runtime: Option<Runtime>,
}

struct Shared {
    store: Arc<dyn ObjectStore>,
    log: (PathBuf, String),
    opened: tokio::sync::Mutex<Opened>,
    age_max: Duration,
}

/// What was opened.
#[derive(Default)]
struct Opened {
    /// The tables last opened, and when that was begun.
    last: Option<(Instant, Sight)>,
    /// What need not be read for the next ones.
    known: Known,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Archive")
    }
}

/// Somebody's look; it ends when it is dropped.
struct Turn<'a> {
    archive: &'a Archive,
    who: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.archive.looking().remove(&self.who);
    }
}

impl Archive {
    /// The evidence of a store and of the log that is to be sealed into it. It has one thread, besides those that read files.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn new(store: Arc<dyn ObjectStore>, log: &Log) -> std::io::Result<Self> {
        Self::aged(store, log, AGE_MAX)
    }

    fn aged(store: Arc<dyn ObjectStore>, log: &Log, age_max: Duration) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(4)
            .thread_name("archive")
            .enable_all()
            .build()?;
        Ok(Self {
            shared: Arc::new(Shared {
                store,
                log: (log.folder().to_owned(), log.gateway().to_owned()),
                opened: tokio::sync::Mutex::default(),
                age_max,
            }),
            at_once: Semaphore::new(AT_ONCE_MAX),
            looking: Mutex::default(),
            runtime: Some(runtime),
        })
    }

    fn looking(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `who` look: `work` runs on the archive's thread, once at a time for each person, and is ended when whoever waits for it is
    /// dropped.
    ///
    /// # Errors
    /// [`Unseen`].
    pub async fn look<T, F>(
        &self,
        who: &str,
        work: impl FnOnce(Sight) -> F + Send + 'static,
    ) -> Result<T, Unseen>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
        T: Send + 'static,
    {
        let who = who.to_owned();
        if !self.looking().insert(who.clone()) {
            return Err(Unseen::Busy);
        }
        let _turn = Turn { archive: self, who };
        let asked = Instant::now();
        let looked = timeout(TIME_MAX, async {
            // It is never closed.
            let _permit = self.at_once.acquire().await;
            let Some(runtime) = &self.runtime else {
                return Err(Unseen::Broken);
            };
            let shared = Arc::clone(&self.shared);
            // A set that is dropped ends what runs in it.
            let mut running = JoinSet::new();
            running.spawn_on(
                async move { work(shared.sight(asked).await?).await },
                runtime.handle(),
            );
            match running.join_next().await {
                Some(Ok(done)) => Ok(done?),
                Some(Err(_)) | None => Err(Unseen::Broken),
            }
        });
        looked.await.unwrap_or(Err(Unseen::Late))
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // What runs there only reads.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    /// Tables that are young enough for a look that was asked for then.
    async fn sight(&self, asked: Instant) -> Result<Sight, Error> {
        let mut opened = self.opened.lock().await;
        if let Some((begun, sight)) = &opened.last
            && asked.saturating_duration_since(*begun) <= self.age_max
        {
            return Ok(sight.clone());
        }
        let begun = Instant::now();
        let sight = self.open(&mut opened.known).await?;
        opened.last = Some((begun, sight.clone()));
        Ok(sight)
    }

    async fn open(&self, known: &mut Known) -> Result<Sight, Error> {
        let share = Share {
            memory_bytes_max: MEMORY_BYTES_MAX,
            partitions: Some(1),
        };
        let (folder, gateway) = &self.log;
        for _ in 0..TRIES_MAX {
            let Some(before) = recent::mark(folder)? else {
                sleep(TRY_PAUSE).await;
                continue;
            };
            let (path, name) = (folder.clone(), gateway.clone());
            let rows = tokio::task::spawn_blocking(move || recent::rows(&path, &name)).await;
            // What a seal deletes while it is read is read again, from the store.
            let Ok(Ok(rows)) = rows else {
                sleep(TRY_PAUSE).await;
                continue;
            };
            let tables = Tables::open_with(Arc::clone(&self.store), rows, share, known).await?;
            if recent::mark(folder)? == Some(before) {
                return Ok(Sight {
                    tables: Arc::new(tables),
                    has_recent: true,
                });
            }
        }
        tracing::warn!("the log could not be read between two seals: people see what is sealed");
        let none = recent::Rows::new();
        let tables = Tables::open_with(Arc::clone(&self.store), none, share, known);
        Ok(Sight {
            tables: Arc::new(tables.await?),
            has_recent: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;
    use crate::record::Micros;
    use crate::report::table::Table;
    use crate::testing::*;

    async fn ask(
        archive: &Archive,
        sql: &'static str,
        values: Vec<(&'static str, Value)>,
    ) -> Table {
        let looked = archive.look("ana", move |sight| async move {
            assert!(sight.has_recent);
            Table::of(&sight.tables.ask_with(sql, &values).await?)
        });
        looked.await.unwrap()
    }

    /// Statements in the log, then some of them sealed, then more of them logged: each is there once, at every step.
    #[tokio::test]
    async fn each_row_is_told_once_whether_sealed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let (log, store) = (open_log(folder.path()), store(folder.path()));
        let archive = Archive::new(Arc::clone(&store), &log).unwrap();
        let sealer = sealer(&log, store).await.unwrap();
        let count = "SELECT count(*) AS count, count(DISTINCT statement_id) AS ids, count(ended_at) AS ended FROM statements";
        let mut ended = 0_u64;
        for round in 0..3_u64 {
            let numbers = round * 10..round * 10 + 10;
            let records = numbers.flat_map(|number| {
                let at = MIDNIGHT + i64::try_from(number).unwrap();
                [decision(number, at), end(number, at + 1)]
            });
            append(&log, records).await;
            ended += 10;
            // One that has no end yet.
            append(&log, [decision(1_000 + round, MIDNIGHT)]).await;
            for _ in 0..2 {
                archive.shared.opened.lock().await.last = None;
                let table = ask(&archive, count, Vec::new()).await;
                assert_eq!(table.number(0, "ended"), ended, "round {round}");
                assert_eq!(table.number(0, "count"), ended + round + 1, "round {round}");
                assert_eq!(table.number(0, "ids"), ended + round + 1, "round {round}");
                sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn values_are_bound_and_never_sql() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let log = open_log(folder.path());
        let archive = Archive::new(store(folder.path()), &log).unwrap();
        let sql = "SELECT count(*) AS count FROM statements WHERE statement_id = $id AND decided_at >= $from AND seq >= $seq";
        let count = async |id: &str| {
            let values = vec![
                ("id", Value::Text(id.to_owned())),
                ("from", Value::Time(Micros(MIDNIGHT))),
                ("seq", Value::Number(0)),
            ];
            ask(&archive, sql, values).await.number(0, "count")
        };
        assert_eq!(count("session-1").await, 1);
        assert_eq!(count("x' OR 'a' = 'a").await, 0);
        assert_eq!(count("$from").await, 0);
    }

    #[tokio::test]
    async fn a_person_looks_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let log = open_log(folder.path());
        let archive = Archive::new(store(folder.path()), &log).unwrap();
        let (begun, beginning) = tokio::sync::oneshot::channel();
        let (go, going) = tokio::sync::oneshot::channel::<()>();
        let first = archive.look("ana", move |_| async move {
            begun.send(()).unwrap();
            let _ = going.await;
            Ok(())
        });
        let others = async {
            beginning.await.unwrap();
            let again = archive.look("ana", |_| async { Ok(()) }).await;
            assert!(matches!(again, Err(Unseen::Busy)));
            archive.look("bob", |_| async { Ok(()) }).await.unwrap();
            go.send(()).unwrap();
        };
        let (first, ()) = tokio::join!(first, others);
        first.unwrap();
        archive.look("ana", |_| async { Ok(()) }).await.unwrap();
    }

    /// What seals name is read once: a ledger of which nothing else can be read is opened again, with what was sealed since.
    #[tokio::test]
    async fn what_seals_name_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let (log, store) = (open_log(folder.path()), store(folder.path()));
        let archive = Archive::aged(Arc::clone(&store), &log, Duration::ZERO).unwrap();
        let sealer = sealer(&log, Arc::clone(&store)).await.unwrap();
        let count = async |expected: u64| {
            let sql = "SELECT count(*) AS count FROM statements";
            let table = ask(&archive, sql, Vec::new()).await;
            assert_eq!(table.number(0, "count"), expected);
        };
        let ledger = folder.path().join("store/ledger");
        for number in 0..3 {
            append(&log, [decision(number, MIDNIGHT), end(number, MIDNIGHT)]).await;
            sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
            count(number + 1).await;
            for document in files(&ledger) {
                let is_read = ["/seals/", "/manifests/"];
                if is_read
                    .iter()
                    .any(|part| document.to_str().unwrap().contains(part))
                {
                    std::fs::write(document, "{").unwrap();
                }
            }
        }
        let another = Archive::new(store, &log).unwrap();
        let looked = another.look("ana", |_| async { Ok(()) }).await;
        assert!(matches!(looked, Err(Unseen::Failed(_))), "{looked:?}");
    }

    /// Fifty people who wait while the tables are opened see those, however long that takes; whoever asks later sees younger ones.
    #[tokio::test]
    async fn whoever_waits_for_an_opening_shares_it() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let log = open_log(folder.path());
        let archive = Archive::aged(store(folder.path()), &log, Duration::ZERO).unwrap();
        let look = async |who: &str| {
            let looked = archive.look(who, |sight| async move { Ok(sight.tables) });
            looked.await.unwrap()
        };
        // Nothing can be opened before all of them have asked.
        let opened = archive.shared.opened.lock().await;
        let people: Vec<String> = (0..50).map(|number| format!("viewer-{number}")).collect();
        let all = futures::future::join_all(people.iter().map(|who| look(who)));
        let (seen, ()) = tokio::join!(all, async {
            while archive.looking().len() < people.len() {
                tokio::task::yield_now().await;
            }
            drop(opened);
        });
        assert!(seen.iter().all(|tables| Arc::ptr_eq(tables, &seen[0])));
        assert!(!Arc::ptr_eq(&look("ana").await, &seen[0]));
    }
}

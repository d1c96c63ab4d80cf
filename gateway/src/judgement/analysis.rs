//! Runs the analysis: from a cache, on this thread, or on a worker with room for long texts.
//!
//! A panic in a parser must never end another session: it is caught and becomes a refusal.

use std::{
    borrow::Borrow,
    cell::RefCell,
    collections::HashMap,
    hash::{Hash, Hasher},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use foldhash::quality::RandomState;
use provost_engine::{
    catalog::Catalog,
    facts::CatalogVersion,
    recent::{Seen, oldest_quarter},
    sql::{self, Context, Readings, Refusal, SessionNames, Statement, Witness},
};
use tokio::sync::{mpsc, oneshot};

use super::{names::NO_NAMES, notes::Noted, patterns::Patterns};

/// Stack of every thread that parses, in bytes: the parsers recurse with the text's nesting.
pub(crate) const STACK_BYTES: usize = 64 * 1024 * 1024;
/// Longest text analysed on a session's own thread; a longer one goes to a worker, so that other sessions don't wait.
const INLINE_BYTES_MAX: usize = 16 * 1024;
/// Most work that a text may ask for there (see [`sql::analyse_within`]); one that asks for more is begun anew by a worker. A short
/// text may stand for much: triggers and functions that it sets off are read with it.
const INLINE_WORK_MAX: usize = 10_000;
/// Workers for longer texts, and for those that ask for much.
const WORKERS: usize = 2;
/// Texts that wait for a worker; a session that brings one more waits with it.
const QUEUE_MAX: usize = 64;
/// Analyses kept by one thread; at the limit the quarter least recently used makes room.
const CACHE_ENTRIES_MAX: usize = 1_024;
/// Longest text that is kept.
const CACHE_TEXT_BYTES_MAX: usize = 16 * 1024;

/// When an analysis is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// When it is made: a prepared statement's text is asked for again at each Bind.
    AtOnce,
    /// When its text comes a second time: most texts with constants in them don't.
    SecondTime,
}

/// What a text is analysed against, and the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// The bytes of the Query or Parse.
    pub(crate) text: &'a [u8],
    /// Declared parameter types.
    pub(crate) types: &'a [u32],
    /// The session's effective schemas.
    pub(crate) search_path: &'a Arc<[Arc<str>]>,
    /// The target's name: two targets' catalogs may have one version.
    pub(crate) target: &'a Arc<str>,
    /// The catalog.
    pub(crate) catalog: &'a Arc<Catalog>,
    /// What a disagreeing witness does.
    pub(crate) witness: Witness,
    /// What the session has given names to, where that was asked for.
    pub(crate) names: Option<&'a Arc<SessionNames>>,
}

/// The same, for whichever thread answers.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    text: Arc<[u8]>,
    types: Arc<[u32]>,
    search_path: Arc<[Arc<str>]>,
    target: Arc<str>,
    catalog: Arc<Catalog>,
    witness: Witness,
    names: Option<Arc<SessionNames>>,
}

/// The statements of a text.
pub(crate) type Statements = Arc<[Statement]>;
/// The same on their way through a session's thread, with what was made of them there.
pub(crate) type Analysed = Rc<Noted>;

impl From<Asking<'_>> for Question {
    fn from(asking: Asking<'_>) -> Self {
        Self {
            text: Arc::from(asking.text),
            types: Arc::from(asking.types),
            search_path: Arc::clone(asking.search_path),
            target: Arc::clone(asking.target),
            catalog: Arc::clone(asking.catalog),
            witness: asking.witness,
            names: asking.names.map(Arc::clone),
        }
    }
}

impl Question {
    /// Asks the engine.
    pub(super) fn ask(&self) -> Result<Statements, Refusal> {
        // The engine is pure: a panic leaves nothing of it behind.
        catch_unwind(AssertUnwindSafe(|| {
            sql::analyse(&self.text, &self.context())
        }))
        .unwrap_or_else(|_| Err(internal_error()))
        .map(Arc::from)
    }

    /// Asks it, unless that takes more than other sessions should wait for.
    fn ask_briefly(&self, readings: &mut Readings) -> Option<Result<Statements, Refusal>> {
        if self.text.len() > INLINE_BYTES_MAX {
            return None;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            sql::analyse_within(&self.text, &self.context(), INLINE_WORK_MAX, readings)
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            // One of them may have been left half set.
            *readings = Readings::default();
            Some(Err(internal_error()))
        })?;
        Some(outcome.map(Arc::from))
    }

    fn context(&self) -> Context<'_> {
        Context {
            catalog: &self.catalog,
            search_path: &self.search_path,
            parameter_types: &self.types,
            witness: self.witness,
            names: self.names.as_deref().unwrap_or(&NO_NAMES),
        }
    }
}

/// What a panic in analysis becomes.
fn internal_error() -> Refusal {
    Refusal {
        sqlstate: "42501",
        message: "internal error in analysis: the statement is refused".to_owned(),
        detail: None,
        hint: Some("this is a defect of the gateway: tell its operator, and try to write the statement in another way".to_owned()),
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}

/// One thread's analyses.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: HashMap<Key, Analysed, RandomState>,
    clock: u64,
    /// Texts that came once.
    seen: Seen,
    /// For texts that differ from others in constants alone.
    readings: Readings,
    /// For statements that are recorded like others.
    pub(super) patterns: Patterns,
}

#[derive(Debug)]
struct Key {
    text: Arc<[u8]>,
    types: Arc<[u32]>,
    search_path: Arc<[Arc<str>]>,
    target: Arc<str>,
    version: CatalogVersion,
}

/// What entries are found by.
#[derive(PartialEq, Eq)]
struct Parts<'a> {
    text: &'a [u8],
    types: &'a [u32],
    search_path: &'a Arc<[Arc<str>]>,
    target: &'a Arc<str>,
    version: CatalogVersion,
}

/// A key, or one that is only looked up: that needs no copy of the text.
trait Keyed {
    fn parts(&self) -> Parts<'_>;
}

impl Keyed for Key {
    fn parts(&self) -> Parts<'_> {
        Parts {
            text: &self.text,
            types: &self.types,
            search_path: &self.search_path,
            target: &self.target,
            version: self.version,
        }
    }
}

impl Keyed for Asking<'_> {
    fn parts(&self) -> Parts<'_> {
        Parts {
            text: self.text,
            types: self.types,
            search_path: self.search_path,
            target: self.target,
            version: self.catalog.version(),
        }
    }
}

impl Hash for dyn Keyed + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let parts = self.parts();
        // The rest seldom differs, and is compared.
        parts.text.hash(state);
        parts.types.hash(state);
    }
}

impl PartialEq for dyn Keyed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Keyed + '_ {}

impl<'a> Borrow<dyn Keyed + 'a> for Key {
    fn borrow(&self) -> &(dyn Keyed + 'a) {
        self
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let keyed: &dyn Keyed = self;
        keyed.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Key {}

impl Cache {
    fn find(&mut self, key: &dyn Keyed) -> Option<Analysed> {
        let analysed = Rc::clone(self.entries.get(key)?);
        self.touch(&analysed);
        Some(analysed)
    }

    /// An analysis of this cache is used.
    pub(crate) fn touch(&mut self, analysed: &Noted) {
        self.clock += 1;
        analysed.used.set(self.clock);
    }

    fn keep(&mut self, key: Key, analysed: &Analysed, admission: Admission) {
        use std::hash::BuildHasher as _;
        if key.text.len() > CACHE_TEXT_BYTES_MAX {
            return;
        }
        if admission == Admission::SecondTime
            && !self.seen.came(self.entries.hasher().hash_one(&key))
        {
            return;
        }
        if self.entries.len() >= CACHE_ENTRIES_MAX {
            self.make_room();
        }
        self.touch(analysed);
        self.entries.insert(key, Rc::clone(analysed));
    }

    /// A look at each, once in so many texts.
    fn make_room(&mut self) {
        let times = self.entries.values().map(|kept| kept.used.get());
        if let Some(last) = oldest_quarter(times) {
            self.entries.retain(|_, kept| kept.used.get() > last);
        }
    }
}

/// Workers for long texts; shared by all threads.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    question: Question,
    answer: oneshot::Sender<Result<Statements, Refusal>>,
}

impl Workers {
    /// Starts the workers; they end when the last handle is dropped.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WORKERS {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name("analysis".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    // One worker waits under the lock, the others for it: the next job goes to one of them either way.
                    let next = || {
                        queue
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .blocking_recv()
                    };
                    while let Some(job) = next() {
                        // A session that ended meanwhile needs no answer.
                        let _ = job.answer.send(job.question.ask());
                    }
                })?;
        }
        Ok(Self { jobs })
    }

    async fn ask(&self, question: Question) -> Result<Statements, Refusal> {
        let (answer, result) = oneshot::channel();
        if self.jobs.send(Job { question, answer }).await.is_err() {
            return Err(internal_error());
        }
        result.await.unwrap_or_else(|_| Err(internal_error()))
    }
}

/// Analyses, or finds what was analysed before. Refusals are not kept: a name unknown now may be known soon.
pub(crate) async fn analyse(
    cache: &Rc<RefCell<Cache>>,
    workers: &Workers,
    asking: Asking<'_>,
    admission: Admission,
) -> Result<Analysed, Refusal> {
    if let Some(analysed) = cache.borrow_mut().find(&asking) {
        return Ok(analysed);
    }
    let question = Question::from(asking);
    let key = Key {
        text: Arc::clone(&question.text),
        types: Arc::clone(&question.types),
        search_path: Arc::clone(&question.search_path),
        target: Arc::clone(&question.target),
        version: question.catalog.version(),
    };
    let briefly = question.ask_briefly(&mut cache.borrow_mut().readings);
    let statements = match briefly {
        Some(outcome) => outcome?,
        None => workers.ask(question).await?,
    };
    let analysed = Rc::new(Noted::new(statements));
    // What rests on a session's names holds for that session, and now.
    if analysed
        .iter()
        .all(|statement| statement.rests_on.is_empty())
    {
        cache.borrow_mut().keep(key, &analysed, admission);
    }
    Ok(analysed)
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, sync::Arc};

    use super::{Admission, CACHE_ENTRIES_MAX, CACHE_TEXT_BYTES_MAX, Cache, Key, Noted};
    use provost_engine::facts::CatalogVersion;

    fn key(text: &str, version: u64) -> Key {
        Key {
            text: text.as_bytes().into(),
            types: Arc::from([]),
            search_path: Arc::from([]),
            target: "shop".into(),
            version: CatalogVersion(version),
        }
    }

    #[test]
    fn another_catalog_finds_nothing_and_the_least_used_makes_room() {
        let mut cache = Cache::default();
        let nothing = || Rc::new(Noted::new(Arc::from([])));
        cache.keep(key("a", 1), &nothing(), Admission::AtOnce);
        assert!(cache.find(&key("a", 1)).is_some());
        assert!(cache.find(&key("a", 2)).is_none());
        for number in 0..CACHE_ENTRIES_MAX {
            assert!(cache.find(&key("a", 1)).is_some(), "{number}");
            cache.keep(key(&number.to_string(), 1), &nothing(), Admission::AtOnce);
        }
        assert!(cache.entries.len() <= CACHE_ENTRIES_MAX);
        assert!(
            cache.find(&key("a", 1)).is_some(),
            "used between every two others"
        );
        cache.keep(
            key(&"x".repeat(CACHE_TEXT_BYTES_MAX + 1), 1),
            &nothing(),
            Admission::AtOnce,
        );
        assert!(
            cache
                .find(&key(&"x".repeat(CACHE_TEXT_BYTES_MAX + 1), 1))
                .is_none()
        );
    }

    #[test]
    fn a_text_that_comes_once_is_not_kept() {
        let mut cache = Cache::default();
        let nothing = Rc::new(Noted::new(Arc::from([])));
        for is_known in [false, true, true] {
            cache.keep(key("a", 1), &nothing, Admission::SecondTime);
            assert_eq!(cache.find(&key("a", 1)).is_some(), is_known);
        }
    }
}

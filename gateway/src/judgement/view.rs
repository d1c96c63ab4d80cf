//! What one session sees: its search path, and a catalog of its own while a schema change of its open transaction or a
//! temporary object makes it differ from what everybody sees.
//!
//! Must never let a name be looked up in a view that a statement of the session may have changed since: then it asks first.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, sync::Arc, time::Instant};

use provost_engine::{
    catalog::Catalog,
    facts::{Access, CatalogVersion, Facts, Kind, Object, Operation},
    sql,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Cache, SearchPath};
use crate::{
    catalog::{self, Loaded},
    former::FormerNames,
    judge::{Holder, Locked, Look, Reading, Restore, Touch, Unseen},
    look::PathAnswer,
};

/// Catalogs that sessions hold for themselves at once, of all sessions. At the limit a statement that needs one more is
/// refused.
pub(super) const OWN_CATALOGS_MAX: usize = 256;

/// Milliseconds before each time that the catalog is asked for in a row. What another session has locked is asked for as often as
/// that, then the statement is refused; nothing is waited for in between, for the other session may wait for this one.
const PAUSES_MS: [u64; 10] = [0, 10, 50, 100, 250, 500, 1_000, 1_000, 1_000, 1_500];
/// How often it is asked for where what other sessions drop meanwhile makes the question fail; and how often with the texts of what
/// is locked, before it is asked for without them.
const TRIES_MAX: usize = 5;

/// A session's view.
#[derive(Debug)]
pub(super) struct View {
    path: SearchPath,
    /// A catalog in which those of its schemas are still absent that were.
    absent_in: Option<CatalogVersion>,
    own: Option<Own>,
    /// The path must be asked for.
    asks_path: bool,
    /// The catalog must be read, once the path is known.
    asks_catalog: bool,
    /// The path was moved in the transaction: its end may move it back.
    moved: bool,
    /// This session's transaction changed the schema, and nobody else sees it.
    uncommitted: bool,
    /// The session's temporary objects, as last seen.
    temp: Option<String>,
    restore: Option<Arc<Restore>>,
    /// Views whose definitions are wanted in the session's own catalog.
    lacking: BTreeSet<u32>,
    failed: Option<Failure>,
    /// Times in a row that the catalog could not be read.
    tries: usize,
    room: Arc<Semaphore>,
}

/// Why the view could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server said this instead of an answer.
    Server(String),
    /// What it answered is no answer.
    Malformed,
    /// Too many sessions hold catalogs of their own.
    NoRoom,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The path.
    Path,
    /// The session's own catalog.
    Catalog,
}

/// A session's own catalog.
#[derive(Debug)]
struct Own {
    catalog: Arc<Catalog>,
    former: Arc<FormerNames>,
    since: Instant,
    /// What everybody saw when it was read.
    base: CatalogVersion,
    /// The temporary objects in it.
    temp: Option<String>,
    stale: bool,
    /// Analyses against it: for this session alone (ruling 10).
    cache: Rc<RefCell<Cache>>,
    _room: OwnedSemaphorePermit,
}

impl View {
    /// The view of a session that just began: nothing is its own but the path.
    pub(super) fn new(path: SearchPath, room: Arc<Semaphore>) -> Self {
        Self {
            path,
            absent_in: None,
            own: None,
            asks_path: false,
            asks_catalog: false,
            moved: false,
            uncommitted: false,
            temp: None,
            restore: None,
            lacking: BTreeSet::new(),
            failed: None,
            tries: 0,
            room,
        }
    }

    /// The schemas that names are looked up in.
    pub(super) fn path(&self) -> &Arc<[Arc<str>]> {
        &self.path.effective
    }

    /// Whether names are surely looked up by that path still.
    pub(super) fn is_by(&self, path: &[Arc<str>]) -> bool {
        !self.asks_path && *self.path.effective == *path
    }

    /// See [`SearchPath::names_temp`].
    pub(super) const fn names_temp(&self) -> bool {
        self.path.names_temp
    }

    /// The session's own catalog, in the place of the one that `shared` is; with the analyses made against it.
    pub(super) fn ground(&self, shared: Rc<Loaded>) -> (Rc<Loaded>, Option<&Rc<RefCell<Cache>>>) {
        match &self.own {
            None => (shared, None),
            Some(own) => (
                Rc::new(Loaded {
                    catalog: Arc::clone(&own.catalog),
                    since: shared.since.min(own.since),
                    former: Arc::clone(&own.former),
                }),
                Some(&own.cache),
            ),
        }
    }

    /// A schema change of this session's is not committed.
    pub(super) const fn is_uncommitted(&self) -> bool {
        self.uncommitted
    }

    /// What must be asked before a name can be looked up.
    pub(super) fn wanted(&mut self, shared: &Loaded) -> Option<Look> {
        if let Some(own) = &mut self.own
            && own.base != shared.catalog.version()
            // Once: when the path is known, the catalog itself is what is stale.
            && !own.stale
        {
            own.stale = true;
            self.asks_path = true;
            self.lacking.clear();
        }
        let version = shared.catalog.version();
        if self.absent_in != Some(version) {
            let appeared = |name: &Arc<str>| shared.catalog.has_schema(name);
            match self.path.absent.iter().any(appeared) {
                true => self.asks_path = true,
                false => self.absent_in = Some(version),
            }
        }
        if self.asks_path {
            return Some(Look::Path);
        }
        let restore = self.restore.as_ref().filter(|_| self.asks_catalog)?;
        let pause_ms = PAUSES_MS.get(self.tries).copied().unwrap_or_default();
        let locked = if self.tries < TRIES_MAX {
            Locked::Awaited
        } else {
            Locked::LeftOut
        };
        let reading = Reading::new(restore, &self.lacking, pause_ms, locked);
        Some(Look::Catalog(Arc::new(reading)))
    }

    /// Whether names are looked up in the session's own catalog.
    pub(super) const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// A statement rests on these views, and the catalog has no definitions of them: the session's own gets them. False where they
    /// were asked for already.
    pub(super) fn lack(&mut self, views: &[u32]) -> bool {
        let before = self.lacking.len();
        self.lacking.extend(views);
        if self.lacking.len() == before {
            return false;
        }
        if self.own.is_some() && self.restore.is_some() {
            self.asks_catalog = true;
        } else {
            self.asks_path = true;
        }
        true
    }

    /// Whether the last look failed, and that was not told.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Why the last look failed; told once.
    pub(super) fn failure(&mut self) -> Option<Failure> {
        self.failed.take()
    }

    /// The session may see something that nobody else does: the catalog is read through its own connection.
    pub(super) fn doubt(&mut self, status: u8) {
        self.uncommitted |= status != b'I';
        self.changed();
    }

    /// The schema changed, or something of the session's own.
    fn changed(&mut self) {
        self.asks_path = true;
        // What is read again locks no more than the next statement needs.
        self.lacking.clear();
        if let Some(own) = &mut self.own {
            own.stale = true;
        }
    }

    /// A schema change of this session's completed, in a transaction of this status.
    pub(super) fn schema_changed(&mut self, status: u8) {
        self.uncommitted |= status != b'I';
        self.changed();
    }

    /// A statement was sent that may touch the view.
    pub(super) fn touched(&mut self, touch: Touch) {
        match touch {
            Touch::Nothing => {}
            Touch::Moves => {
                self.moved = true;
                self.asks_path = true;
            }
            Touch::Returns if self.is_special() => self.changed(),
            Touch::Returns => {}
        }
    }

    /// Whether a transaction's end, or a part's, can change the view.
    pub(super) const fn is_special(&self) -> bool {
        self.moved || self.uncommitted || self.own.is_some() || self.asks_path
    }

    /// The session sees what everybody does, by a path that stays.
    pub(super) const fn is_plain(&self) -> bool {
        !self.is_special() && !self.asks_catalog && !self.names_temp()
    }

    /// The server told a transaction status. Says whether a schema change may have become everybody's.
    pub(super) fn transaction_status(&mut self, status: u8) -> bool {
        if self.moved {
            self.asks_path = true;
        }
        if status != b'I' {
            return false;
        }
        self.moved = false;
        if self.own.is_some() {
            self.changed();
        }
        std::mem::take(&mut self.uncommitted)
    }

    /// Takes an answer.
    pub(super) async fn looked(
        &mut self,
        seen: Seen,
        answer: Result<Vec<u8>, Unseen>,
        (holder, status): (Holder, u8),
        shared: Loaded,
    ) {
        if let Err(unseen) = &answer
            && seen == Seen::Catalog
            // The client's own transaction is as it was.
            && holder == Holder::Gateway
            && self.tries.saturating_add(1) < tries_max(&unseen.sqlstate, status)
        {
            self.tries = self.tries.saturating_add(1);
            return;
        }
        self.tries = 0;
        if answer.is_err() {
            self.lacking.clear();
        }
        let taken = match (answer, seen) {
            (Err(unseen), _) => Err(Failure::Server(unseen.sqlstate)),
            (Ok(json), Seen::Path) => self.take_path(&json, &shared),
            (Ok(json), Seen::Catalog) => self.take_catalog(json, shared).await,
        };
        self.failed = taken.err();
    }

    fn take_path(&mut self, json: &[u8], shared: &Loaded) -> Result<(), Failure> {
        let answer = PathAnswer::from_json(json).ok_or(Failure::Malformed)?;
        self.absent_in = None;
        self.path = answer.search_path(|name| {
            let own = self
                .own
                .as_ref()
                .is_some_and(|own| own.catalog.has_schema(name));
            own || shared.catalog.has_schema(name)
        });
        self.restore = Some(Arc::new(answer.restore()));
        self.temp = answer.temp;
        self.asks_path = false;
        let differs = self.uncommitted || self.temp.is_some() || !self.lacking.is_empty();
        let is_fresh = self
            .own
            .as_ref()
            .is_some_and(|own| !own.stale && own.temp == self.temp);
        self.asks_catalog = differs && !is_fresh;
        if !differs {
            self.own = None;
        }
        Ok(())
    }

    async fn take_catalog(&mut self, json: Vec<u8>, shared: Loaded) -> Result<(), Failure> {
        let since = Instant::now();
        let catalog = catalog::parse(json).await.map_err(|_| Failure::Malformed)?;
        let mut former = shared.former.after(&shared.catalog, &catalog);
        let mut room = None;
        if let Some(own) = self.own.take() {
            former = former.with(&own.former.after(&own.catalog, &catalog));
            room = Some(own._room);
        }
        let room = match room {
            Some(room) => room,
            None => Arc::clone(&self.room)
                .try_acquire_owned()
                .map_err(|_| Failure::NoRoom)?,
        };
        self.asks_catalog = false;
        self.own = Some(Own {
            catalog: Arc::new(catalog),
            former: Arc::new(former),
            since,
            base: shared.catalog.version(),
            temp: self.temp.clone(),
            stale: false,
            cache: Rc::default(),
            _room: room,
        });
        Ok(())
    }
}

/// How often the catalog is asked for where the server says this instead of an answer. Outside of a transaction the question waits
/// for locks as long as the client's statement would.
fn tries_max(sqlstate: &str, status: u8) -> usize {
    match (sqlstate, status) {
        // lock_not_available, deadlock_detected.
        ("55P03" | "40P01", b'I') => 1,
        ("55P03" | "40P01", _) => PAUSES_MS.len(),
        (sqlstate, _) if sqlstate.starts_with("57") => 1,
        _ => TRIES_MAX,
    }
}

/// What a statement may do to its session's view.
pub(super) fn touch(facts: &Facts) -> Touch {
    if moves(facts) {
        return Touch::Moves;
    }
    match facts.kind {
        Kind::Commit | Kind::Rollback | Kind::Savepoint => Touch::Returns,
        Kind::Select
        | Kind::Insert
        | Kind::Update
        | Kind::Delete
        | Kind::Merge
        | Kind::CopyTo
        | Kind::CopyFrom
        | Kind::Truncate
        | Kind::Ddl
        | Kind::Grant
        | Kind::Set
        | Kind::Show
        | Kind::Begin
        | Kind::Explain
        | Kind::Call
        | Kind::Listen
        | Kind::Lock
        | Kind::Maintain
        | Kind::Release
        | Kind::Replication
        | Kind::Empty
        | Kind::Other => Touch::Nothing,
    }
}

/// Whether a statement can move the search path or touch temporary objects without the catalog's notice: by a setting, or
/// by a function that it calls. `all` is RESET ALL and DISCARD; the path may name the role.
fn moves(facts: &Facts) -> bool {
    let sets = |access: &Access| {
        access.operation == Operation::Session
            && matches!(&access.object, Object::Setting(name) if matches!(&**name, "search_path" | "all" | "role" | "session_authorization"))
    };
    // A replication command runs no SQL in its session.
    facts.kind != Kind::Replication
        && (sql::may_change_search_path(facts) || facts.accesses.iter().any(sets))
}

/// Whether the server may look names of a statement up only when it runs, by the path of then, though it was bound before: so it is
/// with all that it does not plan.
pub(super) fn is_named_when_run(facts: &Facts) -> bool {
    let is_planned = matches!(
        facts.kind,
        Kind::Select | Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge
    );
    !is_planned && !is_independent(facts)
}

/// Whether a statement's facts are the same in every view: it names no relation, function or type.
pub(super) fn is_independent(facts: &Facts) -> bool {
    let names_nothing = |access: &Access| match access.object {
        Object::Setting(_) | Object::Channel(_) | Object::Nothing => true,
        Object::Relation { .. } | Object::Function { .. } | Object::Other { .. } => false,
    };
    matches!(
        facts.kind,
        Kind::Begin
            | Kind::Commit
            | Kind::Rollback
            | Kind::Savepoint
            | Kind::Set
            | Kind::Show
            | Kind::Listen
            | Kind::Release
            | Kind::Empty
    ) && facts.accesses.iter().all(names_nothing)
}

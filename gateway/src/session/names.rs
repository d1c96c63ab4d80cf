//! Prepared statements and portals by name: what the server has for certain, and what it will have if it accepts.
//!
//! A name's newest definition may be unanswered. Using it is safe only in the same segment: if the definition fails, the
//! server skips everything up to the next Sync, the use included. Across segments a failed definition leaves the *older*
//! one in place, and a decision made on the newer one's text would let the older one run. So a use in a later segment waits.
//!
//! Must never answer with a definition that the server might not use.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::quality::RandomState;

use super::pending::{Run, Segment};
use crate::judge::{Given, Permitted};

/// Bytes by which the server tells names apart (`NAMEDATALEN - 1`): two longer names may be one to the server. Longer ones
/// are refused.
pub(crate) const NAME_BYTES_MAX: usize = 63;

/// Prepared statements kept at most. At the limit the one unused for longest is forgotten: its next use is refused with 26000,
/// at which drivers prepare again.
const STATEMENTS_MAX: usize = 4096;

/// Bytes of text of the prepared statements kept at most; at the limit as for [`STATEMENTS_MAX`].
const STATEMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Names a portal for good: a name can be bound again, an id not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PortalId(u64);

/// What a lookup found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// What the server will use.
    Known(T),
    /// Nothing has this name.
    Unknown,
    /// Not certain before the server answered.
    Unresolved,
}

/// One name: what is certain, and what waits, oldest first.
#[derive(Debug)]
struct Entry<T> {
    committed: Option<T>,
    waiting: Waiting<T>,
    used: u64,
}

/// What is not answered, oldest first. Nearly always one: it needs no memory of its own.
#[derive(Debug)]
struct Waiting<T> {
    first: Option<(Segment, Option<T>)>,
    // INVARIANT: empty while `first` is.
    more: VecDeque<(Segment, Option<T>)>,
}

impl<T> Waiting<T> {
    const fn new() -> Self {
        Self {
            first: None,
            more: VecDeque::new(),
        }
    }

    const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn newest(&self) -> Option<&(Segment, Option<T>)> {
        self.more.back().or(self.first.as_ref())
    }

    fn push(&mut self, definition: (Segment, Option<T>)) {
        if self.first.is_none() {
            self.first = Some(definition);
        } else {
            self.more.push_back(definition);
        }
    }

    fn pop(&mut self) -> Option<(Segment, Option<T>)> {
        let oldest = self.first.take();
        self.first = self.more.pop_front();
        oldest
    }
}

/// A table of names.
#[derive(Debug)]
struct Table<T> {
    entries: HashMap<Arc<[u8]>, Entry<T>, RandomState>,
}

impl<T> Table<T> {
    fn new() -> Self {
        Self {
            entries: HashMap::default(),
        }
    }

    fn forward(&mut self, name: &Arc<[u8]>, segment: Segment, definition: Option<T>, used: u64) {
        let entry = self
            .entries
            .entry(Arc::clone(name))
            .or_insert_with(|| Entry {
                committed: None,
                waiting: Waiting::new(),
                used,
            });
        entry.waiting.push((segment, definition));
        entry.used = used;
    }

    /// The oldest waiting definition is answered. Gives back what it replaced, or what came to nothing.
    fn resolve(&mut self, name: &[u8], accepted: bool) -> Option<T> {
        let entry = self.entries.get_mut(name)?;
        let (_, definition) = entry.waiting.pop()?;
        let gone = if accepted {
            std::mem::replace(&mut entry.committed, definition)
        } else {
            definition
        };
        if entry.committed.is_none() && entry.waiting.is_empty() {
            self.entries.remove(name);
        }
        gone
    }

    /// Something is named for certain, or (`None`) no more. Gives back what had the name.
    fn define(&mut self, name: &Arc<[u8]>, definition: Option<T>, used: u64) -> Option<T> {
        let Some(definition) = definition else {
            let entry = self.entries.get_mut(&**name)?;
            let gone = entry.committed.take();
            if entry.waiting.is_empty() {
                self.entries.remove(&**name);
            }
            return gone;
        };
        let entry = self
            .entries
            .entry(Arc::clone(name))
            .or_insert_with(|| Entry {
                committed: None,
                waiting: Waiting::new(),
                used,
            });
        entry.used = used;
        entry.committed.replace(definition)
    }

    /// What has a name for certain.
    fn certain(&self) -> impl Iterator<Item = (&Arc<[u8]>, &T)> {
        self.entries
            .iter()
            .filter_map(|(name, entry)| Some((name, entry.committed.as_ref()?)))
    }

    fn mentions(&self, name: &[u8]) -> bool {
        self.entries.contains_key(name)
    }
}

/// A prepared statement.
#[derive(Debug, Clone)]
pub(super) struct Statement<P> {
    pub(super) prepared: P,
    pub(super) text_bytes: usize,
}

/// What a portal holds of its statement.
#[derive(Debug)]
pub(super) enum Hold {
    /// Decided at Bind, not yet executed.
    Bound(Permitted),
    /// An Execute is unanswered; it holds the statement.
    Executing,
    /// Cut by a row limit: the next Execute goes on.
    Suspended(Box<Run>),
    /// Ended: a further Execute is a new statement.
    Ended,
    /// Its result was stopped: what is left of it is never shown.
    Cut,
}

/// A portal.
#[derive(Debug)]
pub(super) struct Portal<P, B> {
    pub(super) segment: Segment,
    pub(super) prepared: P,
    pub(super) bound: B,
    pub(super) hold: Hold,
    pub(super) life: Life,
    /// Rows and bytes that it gave to SQL's FETCH.
    pub(super) fetched: (u64, u64),
}

/// How long a portal lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Until its transaction ends.
    Transaction,
    /// The same, and not beyond a ROLLBACK TO: a savepoint was set before it.
    Savepoint,
    /// WITH HOLD: until it is closed, if its transaction commits.
    Held,
    /// WITH HOLD, and its transaction committed.
    Kept,
}

/// Portals by their ids, which only grow: what is newest, and asked for most, is last.
#[derive(Debug)]
struct Arena<P, B> {
    // INVARIANT: in the order of their ids.
    portals: Vec<(PortalId, Box<Portal<P, B>>)>,
}

impl<P, B> Arena<P, B> {
    const fn new() -> Self {
        Self {
            portals: Vec::new(),
        }
    }

    fn len(&self) -> usize {
        self.portals.len()
    }

    fn place(&self, id: PortalId) -> Option<usize> {
        match self.portals.last() {
            Some((last, _)) if *last == id => Some(self.portals.len().saturating_sub(1)),
            Some(_) => self.portals.binary_search_by_key(&id, |(id, _)| *id).ok(),
            None => None,
        }
    }

    fn get(&self, id: PortalId) -> Option<&Portal<P, B>> {
        self.portals
            .get(self.place(id)?)
            .map(|(_, portal)| &**portal)
    }

    fn get_mut(&mut self, id: PortalId) -> Option<&mut Portal<P, B>> {
        let place = self.place(id)?;
        self.portals.get_mut(place).map(|(_, portal)| &mut **portal)
    }

    /// Its id is above all before it.
    fn push(&mut self, id: PortalId, portal: Portal<P, B>) {
        self.portals.push((id, Box::new(portal)));
    }

    fn remove(&mut self, id: PortalId) -> Option<Box<Portal<P, B>>> {
        Some(self.portals.remove(self.place(id)?).1)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Portal<P, B>> {
        self.portals.iter_mut().map(|(_, portal)| &mut **portal)
    }

    fn take(&mut self) -> Vec<Box<Portal<P, B>>> {
        self.portals.drain(..).map(|(_, portal)| portal).collect()
    }
}

/// The session's names.
#[derive(Debug)]
pub(super) struct Names<P, B> {
    statements: Table<Statement<P>>,
    statement_bytes: usize,
    portals: Table<PortalId>,
    arena: Arena<P, B>,
    clock: u64,
}

impl<P: Clone, B> Names<P, B> {
    pub(super) fn new() -> Self {
        Self {
            statements: Table::new(),
            statement_bytes: 0,
            portals: Table::new(),
            arena: Arena::new(),
            clock: 0,
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock = self.clock.wrapping_add(1);
        self.clock
    }

    /// A Parse (or, without one, a Close) of `name` is forwarded.
    pub(super) fn forward_statement(
        &mut self,
        name: &Arc<[u8]>,
        segment: Segment,
        statement: Option<Statement<P>>,
    ) {
        self.statement_bytes += statement
            .as_ref()
            .map_or(0, |statement| statement.text_bytes);
        let used = self.tick();
        self.statements.forward(name, segment, statement, used);
        self.evict();
    }

    /// The server answered the oldest unanswered Parse or Close of `name`.
    pub(super) fn resolve_statement(&mut self, name: &[u8], accepted: bool) {
        if let Some(gone) = self.statements.resolve(name, accepted) {
            self.statement_bytes = self.statement_bytes.saturating_sub(gone.text_bytes);
        }
    }

    fn evict(&mut self) {
        while self.statements.entries.len() > STATEMENTS_MAX
            || self.statement_bytes > STATEMENT_BYTES_MAX
        {
            let oldest = self
                .statements
                .entries
                .iter()
                .filter(|(_, entry)| entry.waiting.is_empty())
                .min_by_key(|(_, entry)| entry.used)
                .map(|(name, _)| Arc::clone(name));
            // What waits is bounded by the pending queue and is not forgotten.
            let Some(name) = oldest else { return };
            if let Some(Entry {
                committed: Some(gone),
                ..
            }) = self.statements.entries.remove(&name)
            {
                self.statement_bytes = self.statement_bytes.saturating_sub(gone.text_bytes);
            }
        }
    }

    /// The prepared statement that a Bind in `segment` will use.
    pub(super) fn statement(&mut self, name: &[u8], segment: Segment) -> Found<P> {
        let used = self.tick();
        let Some(entry) = self.statements.entries.get_mut(name) else {
            return Found::Unknown;
        };
        entry.used = used;
        let definition = match entry.waiting.newest() {
            None => entry.committed.as_ref(),
            Some((defined, definition)) if *defined == segment => definition.as_ref(),
            Some(_) => return Found::Unresolved,
        };
        definition.map_or(Found::Unknown, |statement| {
            Found::Known(statement.prepared.clone())
        })
    }

    pub(super) fn mentions_statement(&self, name: &[u8]) -> bool {
        self.statements.mentions(name)
    }

    pub(super) fn mentions_portal(&self, name: &[u8]) -> bool {
        self.portals.mentions(name)
    }

    /// A statement was prepared or (`None`) deallocated by SQL: the server has completed it.
    pub(super) fn define_statement(&mut self, name: &Arc<[u8]>, statement: Option<Statement<P>>) {
        self.statement_bytes += statement
            .as_ref()
            .map_or(0, |statement| statement.text_bytes);
        let used = self.tick();
        if let Some(gone) = self.statements.define(name, statement, used) {
            self.statement_bytes = self.statement_bytes.saturating_sub(gone.text_bytes);
        }
        self.evict();
    }

    /// A cursor was declared or (`None`) closed by SQL. Gives back the portal that is no more.
    pub(super) fn define_portal(
        &mut self,
        name: &Arc<[u8]>,
        portal: Option<Portal<P, B>>,
    ) -> Option<Box<Portal<P, B>>> {
        let id = PortalId(self.tick());
        let made = portal.map(|portal| {
            self.arena.push(id, portal);
            id
        });
        let gone = self.portals.define(name, made, id.0)?;
        self.arena.remove(gone)
    }

    /// What has a name for certain.
    pub(super) fn given(&self) -> Given<P, B>
    where
        B: Clone,
    {
        let statements = self.statements.certain();
        let portals = self.portals.certain().filter_map(|(name, id)| {
            let portal = self.arena.get(*id)?;
            Some((
                Arc::clone(name),
                portal.prepared.clone(),
                portal.bound.clone(),
            ))
        });
        Given {
            statements: statements
                .map(|(name, statement)| (Arc::clone(name), statement.prepared.clone()))
                .collect(),
            portals: portals.collect(),
        }
    }

    /// The certain portal of this name.
    pub(super) fn certain_portal(&mut self, name: &[u8]) -> Option<&mut Portal<P, B>> {
        let id = self.portals.entries.get(name)?.committed?;
        self.arena.get_mut(id)
    }

    /// Takes the certain portals that `is_over` says are.
    pub(super) fn take_where(
        &mut self,
        is_over: impl Fn(&Portal<P, B>) -> bool,
    ) -> Vec<Box<Portal<P, B>>> {
        let arena = &mut self.arena;
        let mut taken = Vec::new();
        if arena.portals.is_empty() {
            return taken;
        }
        self.portals.entries.retain(|_, entry| {
            let over = entry
                .committed
                .filter(|id| arena.get(*id).is_some_and(&is_over));
            if let Some(id) = over {
                entry.committed = None;
                taken.extend(arena.remove(id));
            }
            entry.committed.is_some() || !entry.waiting.is_empty()
        });
        taken
    }

    /// The transaction committed: what it declared WITH HOLD stays.
    pub(super) fn keep_held(&mut self) {
        for portal in self.arena.iter_mut() {
            if portal.life == Life::Held {
                portal.life = Life::Kept;
            }
        }
    }

    /// Forgets every prepared statement that is certain: the server dropped them all.
    pub(super) fn forget_statements(&mut self) {
        let mut bytes = 0;
        self.statements.entries.retain(|_, entry| {
            if let Some(gone) = entry.committed.take() {
                bytes += gone.text_bytes;
            }
            !entry.waiting.is_empty()
        });
        self.statement_bytes = self.statement_bytes.saturating_sub(bytes);
    }

    /// A Bind of `name` is forwarded.
    pub(super) fn forward_bind(&mut self, name: &Arc<[u8]>, portal: Portal<P, B>) -> PortalId {
        let id = PortalId(self.tick());
        self.portals.forward(name, portal.segment, Some(id), id.0);
        self.arena.push(id, portal);
        id
    }

    /// A Close of portal `name` is forwarded.
    pub(super) fn forward_close_portal(&mut self, name: &Arc<[u8]>, segment: Segment) {
        let used = self.tick();
        self.portals.forward(name, segment, None, used);
    }

    /// The server answered the oldest unanswered Bind or Close of portal `name`. Gives back the portal that is no more.
    pub(super) fn resolve_portal(
        &mut self,
        name: &[u8],
        accepted: bool,
    ) -> Option<Box<Portal<P, B>>> {
        let gone = self.portals.resolve(name, accepted)?;
        self.arena.remove(gone)
    }

    /// The portal that an Execute in `segment` will use. `answered`: every earlier segment is answered, so that what a
    /// transaction's end took with it is known.
    pub(super) fn portal(&self, name: &[u8], segment: Segment, answered: bool) -> Found<PortalId> {
        let Some(entry) = self.portals.entries.get(name) else {
            return Found::Unknown;
        };
        let definition = match entry.waiting.newest() {
            Some((defined, definition)) if *defined == segment => *definition,
            Some(_) => return Found::Unresolved,
            None => entry.committed,
        };
        let Some(id) = definition else {
            return Found::Unknown;
        };
        match self.arena.get(id) {
            Some(portal) if portal.segment == segment || answered => Found::Known(id),
            Some(_) => Found::Unresolved,
            None => Found::Unknown,
        }
    }

    /// Portals that are open, or will be.
    pub(super) fn portals(&self) -> usize {
        self.arena.len()
    }

    pub(super) fn portal_by_id(&mut self, id: PortalId) -> Option<&mut Portal<P, B>> {
        self.arena.get_mut(id)
    }

    /// The unnamed statement and portal become somebody else's: as if both were closed.
    pub(super) fn forward_unnamed(&mut self, segment: Segment) {
        let unnamed: Arc<[u8]> = Arc::from([]);
        self.forward_statement(&unnamed, segment, None);
        self.forward_close_portal(&unnamed, segment);
    }

    /// What [`Self::forward_unnamed`] said has come about. Gives back the portal that is no more.
    pub(super) fn resolve_unnamed(&mut self) -> Option<Box<Portal<P, B>>> {
        self.resolve_statement(b"", true);
        self.resolve_portal(b"", true)
    }

    /// Takes every certain portal of `segment` or earlier whose life was the transaction's, which is over.
    pub(super) fn take_portals(&mut self, segment: Segment) -> Vec<Box<Portal<P, B>>> {
        self.take_where(|portal| portal.segment <= segment && portal.life != Life::Kept)
    }

    /// Takes everything: the session is over.
    pub(super) fn take_all(&mut self) -> Vec<Box<Portal<P, B>>> {
        self.portals.entries.clear();
        self.statements.entries.clear();
        self.statement_bytes = 0;
        self.arena.take()
    }
}

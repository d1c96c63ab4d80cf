//! What was made of a decision on a statement, kept beside the statement's analysis: an equal decision on it is enforced and
//! recorded without being worked out again.
//!
//! Must never stand for a decision: each is made anew, and only one that is equal, by the same policy, finds its note.

use std::{
    cell::{Cell, OnceCell, RefCell},
    ops::Deref,
    rc::{Rc, Weak},
    sync::{self, Arc},
};

use provost_engine::{facts::CatalogVersion, graph::Policy, sql::Statement, verdict::Decision};
use provost_evidence::draft::{Draft, Wording, Wordless};

use super::{
    analysis::Statements,
    memory::Memory,
    standing::{Footing, ViewId},
};
use crate::judge::Enforcement;

/// Notes on one text; at the limit the oldest makes room. Principals whom different rules bind have notes of their own.
const NOTES_MAX: usize = 4;
/// Sessions whose decisions on one text stand, but for those that remember the text; at the limit the oldest is made anew.
const STANDING_MAX: usize = 64;
/// A longer text is not remembered by its session.
const RECENT_BYTES_MAX: usize = 1024;
/// A longer draft is not kept.
const DRAFT_BYTES_MAX: usize = 8 * 1024;

/// A text's statements, with notes.
#[derive(Debug)]
pub(crate) struct Noted {
    statements: Statements,
    notes: RefCell<Vec<Rc<Note>>>,
    /// Decisions that stand, by what they stand on; one for each view.
    standing: RefCell<Vec<(Footing, Rc<Note>)>>,
    /// When it was last asked for, by the clock of the cache that has it.
    pub(super) used: Cell<u64>,
}

/// What a prepared statement's text was last read as, as long as its thread's cache has it.
#[derive(Debug, Default)]
pub(super) struct Recollection(RefCell<Option<Seen>>);

/// The last text of a simple Query whose decision stood.
#[derive(Debug, Default)]
pub(super) struct Recent {
    text: Vec<u8>,
    memory: Recollection,
}

impl Recent {
    /// What it was read as, where it is this text.
    pub(super) fn find(&self, text: &[u8]) -> Option<&Recollection> {
        (!text.is_empty() && self.text == text).then_some(&self.memory)
    }

    /// Remembers this text and what it was decided as, unless it is long.
    pub(super) fn keep(
        &mut self,
        text: &[u8],
        place: Place<'_>,
        noted: &Rc<Noted>,
        (footing, note): &(Footing, Rc<Note>),
    ) {
        self.text.clear();
        if text.len() <= RECENT_BYTES_MAX {
            self.text.extend_from_slice(text);
            self.memory.keep(place, noted);
            self.memory.stand(noted, *footing, note);
        }
    }
}

/// What a text was read as, and by what: a catalog and a search path.
#[derive(Debug)]
struct Seen {
    version: CatalogVersion,
    path: Arc<[Arc<str>]>,
    noted: Weak<Noted>,
    /// What the text's one statement was last decided as, where that stands. Of many sessions each finds its own here.
    stands: Option<(Footing, Weak<Note>)>,
}

impl Seen {
    /// Its memory is not given to another one.
    fn is_of(&self, noted: &Noted) -> bool {
        std::ptr::eq(self.noted.as_ptr(), noted)
    }
}

impl Recollection {
    /// What the text is in this catalog, by this path.
    pub(super) fn find(&self, (version, path): Place<'_>) -> Option<Rc<Noted>> {
        let seen = self.0.borrow();
        let is_same = |seen: &&Seen| seen.version == version && seen.path == *path;
        seen.as_ref().filter(is_same)?.noted.upgrade()
    }

    /// What the one statement of the text, read as this, was decided as on this footing, as long as its note is kept.
    pub(super) fn standing(&self, noted: &Noted, footing: Footing) -> Option<Rc<Note>> {
        let seen = self.0.borrow();
        let seen = seen.as_ref().filter(|seen| seen.is_of(noted))?;
        let (_, note) = seen.stands.as_ref().filter(|(on, _)| *on == footing)?;
        note.upgrade()
    }

    /// Remembers that, where the text is remembered as read so.
    pub(super) fn stand(&self, noted: &Noted, footing: Footing, note: &Rc<Note>) {
        if let Some(seen) = &mut *self.0.borrow_mut()
            && seen.is_of(noted)
        {
            seen.stands = Some((footing, Rc::downgrade(note)));
        }
    }

    /// Remembers it.
    pub(super) fn keep(&self, (version, path): Place<'_>, noted: &Rc<Noted>) {
        *self.0.borrow_mut() = Some(Seen {
            version,
            path: Arc::clone(path),
            noted: Rc::downgrade(noted),
            stands: None,
        });
    }
}

/// What a text is read by.
pub(super) type Place<'a> = (CatalogVersion, &'a Arc<[Arc<str>]>);

/// What a decision on one of the statements came to.
#[derive(Debug)]
pub(super) struct Note {
    place: usize,
    /// Not kept alive by being noted; its memory is not given to another one.
    policy: sync::Weak<Policy>,
    /// The decision.
    pub(super) decision: Decision,
    /// What the session does.
    pub(super) enforcement: Arc<Enforcement>,
    /// [`Enforcement::is_plain`].
    pub(super) is_plain: bool,
    /// Its record, once it was recorded by itself.
    pub(super) draft: OnceCell<Draft>,
    /// The same, where all but its wording is that of other statements.
    pub(super) alike: OnceCell<Alike>,
    /// Of whom the gateway's memory has the statement's shape, and [`Memory::forgotten`] before it took it.
    ran_by: RefCell<Option<(Arc<str>, u64)>>,
}

/// A record of which all but the wording is that of other statements.
#[derive(Debug)]
pub(super) struct Alike {
    pub(super) draft: Rc<Wordless>,
    pub(super) wording: Wording,
}

impl Note {
    /// Notes what is done about the decision on the statement at this place.
    pub(super) fn new(
        place: usize,
        policy: &Arc<Policy>,
        decision: Decision,
        enforcement: Enforcement,
    ) -> Rc<Self> {
        Rc::new(Self {
            place,
            policy: Arc::downgrade(policy),
            decision,
            is_plain: enforcement.is_plain(),
            enforcement: Arc::new(enforcement),
            draft: OnceCell::new(),
            alike: OnceCell::new(),
            ran_by: RefCell::default(),
        })
    }

    /// The principal may run the statement, whose shape this is.
    pub(super) fn ran(&self, principal: &Arc<str>, fingerprint: &Arc<str>, memory: &Memory) {
        let forgotten = memory.forgotten();
        let mut ran_by = self.ran_by.borrow_mut();
        let is_known = ran_by
            .as_ref()
            .is_some_and(|(who, then)| who == principal && *then == forgotten);
        if !is_known {
            memory.ran(principal, fingerprint);
            *ran_by = Some((Arc::clone(principal), forgotten));
        }
    }
}

impl Noted {
    /// Statements that nothing is noted of.
    pub(crate) const fn new(statements: Statements) -> Self {
        Self {
            statements,
            notes: RefCell::new(Vec::new()),
            standing: RefCell::new(Vec::new()),
            used: Cell::new(0),
        }
    }

    /// What was made of an equal decision.
    pub(super) fn find(
        &self,
        place: usize,
        policy: &Arc<Policy>,
        decision: &Decision,
    ) -> Option<Rc<Note>> {
        let notes = self.notes.borrow();
        let is_equal = |note: &&Rc<Note>| {
            note.place == place
                && std::ptr::eq(note.policy.as_ptr(), Arc::as_ptr(policy))
                && note.decision == *decision
        };
        notes.iter().find(is_equal).map(Rc::clone)
    }

    /// What the text's one statement was decided as on this footing.
    pub(super) fn standing(&self, footing: Footing) -> Option<Rc<Note>> {
        let standing = self.standing.borrow();
        let (_, note) = standing.iter().find(|(on, _)| *on == footing)?;
        Some(Rc::clone(note))
    }

    /// What its one statement was decided as for this view, where that stands and asks for nothing more.
    pub(super) fn stands_plainly(&self, view: ViewId) -> Option<(Footing, Rc<Note>)> {
        let standing = self.standing.borrow();
        // The newest is asked for most.
        let newest = standing.iter().rev().find(|(on, _)| on.view == view);
        newest.filter(|(_, note)| note.is_plain).cloned()
    }

    /// The decision of this note stands on this footing, and what stood on the view's last one no more.
    pub(super) fn stand(&self, footing: Footing, note: &Rc<Note>) {
        let mut standing = self.standing.borrow_mut();
        match standing.iter_mut().find(|(on, _)| on.view == footing.view) {
            Some(same) => *same = (footing, Rc::clone(note)),
            None => {
                if standing.len() >= STANDING_MAX {
                    standing.remove(0);
                }
                standing.push((footing, Rc::clone(note)));
            }
        }
    }

    /// Keeps a note, unless it is too long or rests on names of one session.
    pub(super) fn keep(&self, note: &Rc<Note>) {
        let draft = note.draft.get().map(|draft| draft.bytes());
        let alike = note.alike.get();
        let alike = alike.and_then(|alike| alike.wording.sql.as_ref().map(String::len));
        let is_short = draft
            .max(alike)
            .is_none_or(|bytes| bytes <= DRAFT_BYTES_MAX);
        let rests_on_nothing = |statement: &Statement| statement.rests_on.is_empty();
        if !(is_short && self.statements.iter().all(rests_on_nothing)) {
            return;
        }
        let mut notes = self.notes.borrow_mut();
        if notes.len() >= NOTES_MAX {
            notes.remove(0);
        }
        notes.push(Rc::clone(note));
    }
}

impl Deref for Noted {
    type Target = [Statement];

    fn deref(&self) -> &[Statement] {
        &self.statements
    }
}

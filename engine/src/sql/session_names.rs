//! What a session has given names to: prepared statements and cursors. Protocol and SQL share one table of each, so what
//! either defines the other finds.
//!
//! Must never hold a name that the server might not have: whoever keeps the table takes a binding up when the server has
//! completed the statement, and forgets cursors when their transaction ends.

use std::{collections::BTreeMap, sync::Arc};

/// The text behind a name. It is analysed anew at each use, against the catalog of that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The statement that gave the name, as a whole (`PREPARE p AS ...`, `DECLARE c CURSOR FOR ...`), or the text of the
    /// Parse message.
    pub text: Arc<str>,
    /// The parameter types that Parse declared; empty for SQL's own, which says them in its text.
    pub parameter_types: Arc<[u32]>,
    /// The schemas that its names were looked up in when it was made. `None`: those of the moment of use, as the server
    /// does for prepared statements; a cursor keeps those of its DECLARE.
    pub search_path: Option<Arc<[Arc<str>]>>,
}

/// The names of a session that the server has for certain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionNames {
    /// Prepared statements, by exact name.
    pub prepared: BTreeMap<Arc<str>, Named>,
    /// Open cursors and portals, by exact name.
    pub cursors: BTreeMap<Arc<str>, Named>,
    /// Whether the catalog that the session is analysed against has its temporary objects.
    pub temporary: Temporary,
}

/// Whether temporary objects are followed: they hide others of the same name, from their session only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Temporary {
    /// They are not, so none may be made.
    #[default]
    Refused,
    /// Whoever made the catalog takes them up, in a schema that is searched first.
    Followed,
}

/// A session without names.
pub static NO_NAMES: SessionNames = SessionNames {
    prepared: BTreeMap::new(),
    cursors: BTreeMap::new(),
    temporary: Temporary::Refused,
};

/// What a statement does to the names of its session, once the server has completed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// `PREPARE`: refused by the server where the name is taken.
    Prepare(Arc<str>, Named),
    /// `DEALLOCATE name`.
    Deallocate(Arc<str>),
    /// `DEALLOCATE ALL`.
    DeallocateAll,
    /// `DECLARE`: refused by the server where the name is taken.
    Declare {
        /// The cursor's name.
        name: Arc<str>,
        /// What it reads.
        cursor: Named,
        /// `WITH HOLD`: it outlives its transaction.
        hold: Hold,
    },
    /// `CLOSE name`.
    Close(Arc<str>),
    /// `CLOSE ALL`.
    CloseAll,
    /// `DISCARD ALL`: no name is left.
    Everything,
}

/// How long a cursor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Until its transaction ends.
    Transaction,
    /// Until it is closed or the session ends, once its transaction has committed.
    Session,
}

impl SessionNames {
    /// Takes up what a completed statement did.
    pub fn apply(&mut self, binding: &Binding) {
        match binding {
            Binding::Prepare(name, named) => {
                self.prepared.insert(name.clone(), named.clone());
            }
            Binding::Deallocate(name) => {
                self.prepared.remove(name);
            }
            Binding::DeallocateAll => self.prepared.clear(),
            Binding::Declare { name, cursor, .. } => {
                self.cursors.insert(name.clone(), cursor.clone());
            }
            Binding::Close(name) => {
                self.cursors.remove(name);
            }
            Binding::CloseAll => self.cursors.clear(),
            Binding::Everything => {
                self.prepared.clear();
                self.cursors.clear();
            }
        }
    }
}

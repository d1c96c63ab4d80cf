//! Refusals: why a text can't be analysed, shaped as PostgreSQL's ErrorResponse. Never carries a value of the database.

use std::collections::BTreeSet;

/// Why a text can't be analysed; shaped as PostgreSQL's ErrorResponse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Five characters.
    pub sqlstate: &'static str,
    /// One line.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What would pass.
    pub hint: Option<String>,
    /// Where, in characters from 1.
    pub position: Option<u32>,
    /// A name is not in the catalog: a refresh might help.
    pub unknown_name: bool,
    /// Views whose definitions the text rests on and the catalog lacks, by oid: with them it can be analysed
    /// ([`Catalog::with_definitions`](crate::catalog::Catalog::with_definitions)).
    pub lacking: Box<[u32]>,
}

impl Refusal {
    /// A refusal with nothing but a message.
    pub(super) fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            unknown_name: false,
            lacking: Box::default(),
        }
    }

    /// What analysis has no reading for yet.
    pub(super) fn not_understood(what: &str) -> Self {
        Self::new("0A000", format!("{what} is not yet understood"))
            .detail("provost refuses what it can't analyse")
    }

    /// A production of the grammar that is newer than the server.
    pub(super) fn newer(what: &str, major: u32) -> Self {
        Self::new("0A000", format!("{what} needs PostgreSQL {major} or later"))
            .detail("the server is older and might read this text differently")
    }

    /// A name that the catalog does not have.
    pub(super) fn unknown(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self {
            unknown_name: true,
            ..Self::new(sqlstate, message)
        }
    }

    /// Definitions of views that the catalog lacks: nothing is said of the statement before they are there.
    pub(super) fn lacking(views: BTreeSet<u32>) -> Self {
        Self {
            lacking: views.into_iter().collect(),
            ..Self::new("55000", "definitions of views are not read yet")
                .hint("try again once the gateway can read the server's catalog")
        }
    }

    /// Something that the statement rests on was not read, for another session has locked it.
    pub(super) fn locked() -> Self {
        Self::new("55P03", "could not read what this statement rests on")
            .detail("another session has locked a relation of it, and what belongs to that (rules, policies, checks) can't be read meanwhile")
            .hint("try again when that session's transaction has ended")
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `location` is a byte offset as the parser gives it; the edge of the room turns it into characters.
    pub(super) fn at(mut self, location: i32) -> Self {
        self.position = u32::try_from(location)
            .ok()
            .map(|offset| offset.saturating_add(1));
        self
    }
}

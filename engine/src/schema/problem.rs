//! What is wrong with a schema's text, and where.

use std::ops::Range;

/// One thing that is wrong with a schema's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {statement}: {message}")]
pub struct Error {
    /// The line, from 1.
    pub line: usize,
    /// The bytes of the text that it is about.
    pub span: Range<usize>,
    /// The statement's first words, or `the text`.
    pub statement: String,
    /// One line, lower-case.
    pub message: String,
    /// What would help, where that is known.
    pub help: Option<String>,
}

/// What is wrong with one statement; its place is added at the edge of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    /// What this reader has no reading for.
    pub(super) fn not_understood(what: &str) -> Self {
        Self::new(format!("{what} is not understood by `provost test`"))
    }

    /// A relation that was there a moment ago.
    pub(super) fn lost() -> Self {
        Self::new("the relation is gone")
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

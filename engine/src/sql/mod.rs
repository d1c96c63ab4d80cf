//! Text to [`Facts`]: PostgreSQL's own grammar is the authority, a second reader the witness, a catalog the ground
//! that names are resolved on. Must never miss a relation, a column, a function or an effect: what is not understood
//! is a [`Refusal`] or an opaque entry, never left out.

use std::{ops::Range, sync::Arc};

use crate::{catalog::Catalog, facts::Facts};

/// What text is analysed against.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The server's relations, columns, types and functions.
    pub catalog: &'a Catalog,
    /// The effective schemas, in order; `pg_catalog` is searched first unless it is named here.
    pub search_path: &'a [Arc<str>],
    /// The parameter types that Parse declared; shorter than the parameters used is fine.
    pub parameter_types: &'a [u32],
    /// What a disagreement of the witness does.
    pub witness: Witness,
}

/// What a disagreement between the authority and the witness does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Witness {
    /// The statement is refused as ambiguous.
    #[default]
    Deny,
    /// The statement goes on; the caller records what differed.
    Record,
    /// The witness does not read at all.
    Off,
}

/// One statement of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it would do.
    pub facts: Facts,
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// Literal constants and comments in it, as bytes of the text, ascending: what evidence redacts.
    pub literals: Vec<Range<usize>>,
}

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
}

/// Reads `text` (the raw bytes of a Query or Parse, without the trailing NUL) and says what it would do.
///
/// # Errors
/// A [`Refusal`] for text that does not parse, is over a limit, names what the catalog does not know, or that
/// analysis does not understand yet.
pub fn analyse(text: &[u8], context: &Context<'_>) -> Result<Vec<Statement>, Refusal> {
    let _ = (text, context);
    Err(Refusal {
        sqlstate: "0A000",
        message: "this statement is not yet understood".to_owned(),
        detail: None,
        hint: None,
        position: None,
        unknown_name: false,
    })
}

/// The literal constants and comments of a text that can't be analysed, by its tokens alone; `None` when even that fails.
#[must_use]
pub fn literal_spans(text: &str) -> Option<Vec<Range<usize>>> {
    let _ = text;
    None
}

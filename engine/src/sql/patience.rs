//! How much work a caller waits for: one that lets others wait meanwhile waits for little, and has it done elsewhere then.
//!
//! Must never let what was read in part be taken for what was read in full.

use std::borrow::Cow;

use super::{
    Context, Refusal, Statement, analyse, analyse_new, analyse_read, caps,
    readings::{Likeness, Readings},
    resolver::WORK_MAX,
};

/// The work that a caller still waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Any amount within the limit of a statement.
    Endless,
    /// This much for all statements of the text that are still to be read.
    Left(usize),
    /// It is over.
    Over,
}

impl Patience {
    /// The work that the next statement may ask for.
    pub(super) fn work_max(self) -> usize {
        match self {
            Self::Endless => WORK_MAX,
            Self::Left(left) => left.min(WORK_MAX),
            Self::Over => 0,
        }
    }

    /// A statement asked for this much.
    ///
    /// # Errors
    /// When it is over, whatever came of the statement: it was not read to its end.
    pub(super) fn took(&mut self, work: usize) -> Result<(), Refusal> {
        *self = match *self {
            Self::Endless => Self::Endless,
            Self::Left(left) => left.checked_sub(work).map_or(Self::Over, Self::Left),
            Self::Over => Self::Over,
        };
        match self {
            Self::Endless | Self::Left(_) => Ok(()),
            Self::Over => Err(Refusal::not_understood("so much work in one text")),
        }
    }
}

/// Reads as [`super::analyse`] does, for a caller who lets others wait meanwhile. `None`: the text asks for more than `work_max`,
/// and nothing is known of it. A unit of work is a node that is read, or a column that is looked through; the statements of a
/// text share what is allowed. What texts like it were read as is taken from `readings`, and left there.
#[must_use]
pub fn analyse_within(
    text: &[u8],
    context: &Context<'_>,
    work_max: usize,
    readings: &mut Readings,
) -> Option<Result<Vec<Statement>, Refusal>> {
    let mut patience = Patience::Left(work_max);
    let outcome = caps::check(text).and_then(|text| {
        let likeness = Likeness::of(text);
        if let Some(statements) = readings.found(text, &likeness, context) {
            debug_assert_eq!(
                analyse(text.as_bytes(), context).as_ref(),
                Ok(&statements),
                "{text}"
            );
            return Ok(statements);
        }
        if let Some(reading) = readings.find(text, &likeness) {
            let read = (&reading.tree, &reading.tokens);
            let testimony = || Cow::Borrowed(&reading.testimony);
            let found = analyse_read(text, read, testimony, context, &mut patience)?;
            readings.learn(text, &likeness, context, &found, patience.work_max());
            return Ok(found.statements);
        }
        let (found, tree, tokens) = analyse_new(text, context, &mut patience)?;
        readings.keep(text, likeness, tree, tokens);
        Ok(found.statements)
    });
    (patience != Patience::Over).then_some(outcome)
}

#[cfg(test)]
mod tests {
    use super::{analyse, analyse_within};
    use crate::{
        catalog::Catalog,
        sql::{Context, NO_NAMES, Readings, Witness},
    };

    /// Whether the text is read within this much work; where it is, as it is read without a limit.
    fn check(text: &str, work_max: usize, is_read: bool) {
        let catalog = Catalog::from_answer(include_bytes!("testdata/shop.answer")).unwrap();
        let context = Context {
            catalog: &catalog,
            search_path: &["public".into()],
            parameter_types: &[],
            witness: Witness::Deny,
            names: &NO_NAMES,
        };
        let found = analyse_within(
            text.as_bytes(),
            &context,
            work_max,
            &mut Readings::default(),
        );
        assert_eq!(found.is_some(), is_read, "{text}");
        if let Some(found) = found {
            assert_eq!(found, analyse(text.as_bytes(), &context), "{text}");
        }
    }

    #[test]
    fn what_asks_for_more_is_not_read_at_all() {
        check("SELECT id FROM customers", 100, true);
        check("SELECT id FROM customers", 1, false);
        // Together they ask for more than each of them.
        check(&"SELECT id FROM customers;".repeat(100), 100, false);
        check(&"SELECT id FROM customers;".repeat(100), 10_000, true);
        // What is refused before is refused.
        check("SELECT nothing FROM customers", 100, true);
        check("SELEC", 0, true);
    }
}

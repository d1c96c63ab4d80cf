//! What a change of a row makes the server compute of columns that the statement leaves as they are: checks, generated columns,
//! expressions of indexes, unique keys. Whether that fails tells of their values. Which columns an expression is about is told by
//! its text, so that more may be named than it reads, never less.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    super::{book::Value, names::mentions, resolver::Resolver},
    Target, Written,
};
use crate::{
    catalog::{Called, Relation, TriggerTiming},
    facts::{Column, Use},
};

/// The server's own trigger that drops a change which leaves a row as it was: the count of rows tells.
const DROPS_SAME: &str = "suppress_redundant_updates_trigger";

impl Resolver<'_> {
    /// Notes what is computed where these columns of a row are assigned.
    pub(super) fn left_as_they_are(
        &mut self,
        target: &Target,
        written: &Written,
        assigned: &[(Arc<str>, Value)],
    ) {
        let changed: BTreeSet<Arc<str>> = assigned.iter().map(|(name, _)| name.clone()).collect();
        self.computed_beside(&target.relation, written.entry, &changed);
        for (below, entry) in target.below.iter().zip(&written.below) {
            let columns = below.columns.iter();
            let changed = columns
                .filter(|(name, _)| changed.contains(name))
                .map(|(_, column)| column.name.clone())
                .collect();
            self.computed_beside(&below.relation, *entry, &changed);
        }
    }

    fn computed_beside(
        &mut self,
        relation: &Arc<Relation>,
        entry: usize,
        changed: &BTreeSet<Arc<str>>,
    ) {
        let descendants = self.catalog.descendants(relation.oid);
        for relation in std::iter::once(relation).chain(&descendants) {
            for group in groups(relation) {
                if !group.iter().any(|column| changed.contains(&column.name)) {
                    continue;
                }
                for column in group {
                    if !changed.contains(&column.name) {
                        self.book.column_used(entry, column, Use::Compute);
                    }
                }
            }
            if self.drops_same(relation) {
                for column in &relation.columns {
                    if changed.contains(&column.name) {
                        self.book.column_used(entry, column, Use::Compute);
                    }
                }
            }
        }
    }

    fn drops_same(&self, relation: &Relation) -> bool {
        relation.triggers.iter().any(|trigger| {
            trigger.timing() == TriggerTiming::Before
                && matches!(
                    self.catalog.called(trigger.function),
                    Some(Called::Server(name)) if &**name == DROPS_SAME
                )
        })
    }
}

/// Columns of a relation that the server computes with together.
fn groups(relation: &Relation) -> Vec<Vec<&Arc<Column>>> {
    let columns = &relation.columns;
    let of_key = |key: &BTreeSet<i16>| {
        let in_key = |column: &&Arc<Column>| key.contains(&column.attribute);
        columns.iter().filter(in_key).collect()
    };
    let of_text = |text: &str| {
        let in_text = |column: &&Arc<Column>| mentions(text, &column.name);
        columns.iter().filter(in_text).collect()
    };
    let generated = relation
        .attributes
        .iter()
        .filter(|attribute| attribute.generated)
        .filter_map(|attribute| attribute.default.as_deref());
    let expressions = relation.write_expressions.iter().map(|text| &**text);
    let keys = relation.unique_keys.iter().map(of_key);
    keys.chain(generated.chain(expressions).map(of_text))
        .collect()
}

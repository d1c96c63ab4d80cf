//! The names that columns had before, while this gateway watched: a class sticks to its column through a rename (ruling 3).
//!
//! It must never forget a name of a column that still exists: a masked value would leave under a new name.

use std::collections::{BTreeSet, HashMap};

use provost_engine::{catalog::Catalog, facts::Column};

/// Names kept of one column; one that had more counts as classed under every name.
const NAMES_MAX: usize = 16;

/// Every renamed column's earlier names, itself or its relation or schema renamed. As many entries as there are renamed
/// columns; those of dropped relations go with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FormerNames(HashMap<(u32, i16), BTreeSet<Column>>);

impl FormerNames {
    /// What is known when `old` is replaced by `new`.
    pub(crate) fn after(&self, old: &Catalog, new: &Catalog) -> Self {
        let mut names: HashMap<(u32, i16), BTreeSet<Column>> = self
            .0
            .iter()
            .filter(|((relation, _), _)| new.relation(*relation).is_some())
            .map(|(key, names)| (*key, names.clone()))
            .collect();
        for relation in old.relations() {
            let Some(now) = new.relation(relation.oid) else {
                continue;
            };
            for column in &relation.columns {
                let current = now
                    .columns
                    .iter()
                    .find(|current| current.attribute == column.attribute);
                if current.is_some_and(|current| !has_same_name(current, column)) {
                    let former = names.entry((relation.oid, column.attribute)).or_default();
                    if former.len() <= NAMES_MAX {
                        former.insert(Column::clone(column));
                    }
                }
            }
        }
        Self(names)
    }

    /// With what `other` knows too.
    pub(crate) fn with(mut self, other: &Self) -> Self {
        for (key, names) in &other.0 {
            self.0
                .entry(*key)
                .or_default()
                .extend(names.iter().cloned());
        }
        self
    }

    /// Whether one of a column's earlier names is classed and its present one is not.
    pub(crate) fn hides(&self, column: &Column, is_classed: impl Fn(&Column) -> bool) -> bool {
        self.0
            .get(&(column.relation_oid, column.attribute))
            .is_some_and(|names| {
                !is_classed(column) && (names.len() > NAMES_MAX || names.iter().any(is_classed))
            })
    }
}

fn has_same_name(one: &Column, other: &Column) -> bool {
    (&one.schema, &one.relation, &one.name) == (&other.schema, &other.relation, &other.name)
}

//! CASCADE: what goes, or is changed, with a relation that goes. The catalog doesn't say what hangs on what; it has the texts of
//! definitions, and whose text has a relation's name may hang on it. So more may be named than goes, never less.

use std::{collections::BTreeSet, sync::Arc};

use super::super::{Refusal, names::mentions, resolver::Resolver};
use crate::{
    catalog::{Body, Relation, RelationKind, TypeKind},
    facts::Operation,
};

/// How much of a relation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    /// All of it.
    Whole,
    /// Columns or constraints.
    Part,
}

impl Resolver<'_> {
    /// What CASCADE adds where these relations go.
    pub(super) fn cascade(&mut self, roots: &[Arc<Relation>], going: Going) -> Result<(), Refusal> {
        let mut gone: Vec<(Arc<Relation>, Going)> = Vec::new();
        for root in roots {
            gone.push((root.clone(), going));
            let descendants = self.catalog.descendants(root.oid);
            gone.extend(descendants.into_iter().map(|one| (one, going)));
        }
        let mut known: BTreeSet<u32> = gone.iter().map(|(relation, _)| relation.oid).collect();
        let mut altered = BTreeSet::new();
        let mut next = 0;
        while let Some((relation, going)) = gone.get(next).cloned() {
            next = next.saturating_add(1);
            if relation.kind == RelationKind::Sequence {
                self.unbounded("a sequence may be the default of any column");
            }
            if going == Going::Whole {
                self.users_of_row(&relation);
            }
            for other in self.others(&relation)? {
                if other.kind.is_view() {
                    if known.insert(other.oid) {
                        self.book.plain(Self::object(&other), Operation::Drop);
                        gone.push((other, Going::Whole));
                    }
                } else if !known.contains(&other.oid) && altered.insert(other.oid) {
                    self.book.plain(Self::object(&other), Operation::Alter);
                    if !other.policies.is_empty() {
                        self.book.plain(Self::object(&other), Operation::Grant);
                    }
                }
            }
        }
        Ok(())
    }

    fn unbounded(&mut self, reason: &str) {
        self.book.opaque("drop", &format!("CASCADE: {reason}"));
    }

    /// The relations whose definition may hang on this one.
    fn others(&mut self, relation: &Relation) -> Result<Vec<Arc<Relation>>, Refusal> {
        let mut found: Vec<Arc<Relation>> = Vec::new();
        let mut looked_at = 0;
        for other in self.catalog.relations() {
            looked_at += 1;
            if other.lacks_definition() {
                self.lacking.insert(other.oid);
            }
            let refers = other.foreign_keys.iter().any(|key| key.0 == relation.oid);
            let hangs = refers
                || texts(other).any(|text| mentions(text, &relation.name))
                || !relation.kind.is_view() && takes_numbers_of_another(other);
            if hangs && other.oid != relation.oid {
                found.push(other.clone());
            }
        }
        self.work(looked_at)?;
        found.sort_by_key(|other| other.oid);
        Ok(found)
    }

    /// Whoever has values of a relation's row type goes too, and so do functions that speak of the relation.
    fn users_of_row(&mut self, relation: &Relation) {
        let catalog = self.catalog;
        let mut types: BTreeSet<u32> = catalog
            .types()
            .filter(|one| one.relation == relation.oid)
            .map(|one| one.oid)
            .collect();
        loop {
            let more: Vec<u32> = catalog
                .types()
                .filter(|one| types.contains(&one.element) && !types.contains(&one.oid))
                .map(|one| one.oid)
                .collect();
            if more.is_empty() {
                break;
            }
            types.extend(more);
        }
        let is_range = |kind| matches!(kind, TypeKind::Range | TypeKind::Multirange);
        let stored = catalog.relations().any(|other| {
            let mut attributes = other.attributes.iter();
            other.oid != relation.oid
                && attributes.any(|attribute| types.contains(&attribute.type_oid))
        });
        let has_ranges = catalog.types().any(|one| is_range(one.kind)) && !types.is_empty();
        let called = catalog.functions().any(|function| {
            let bound = match &function.body {
                Body::Standard(text) => mentions(text, &relation.name),
                Body::Text(_) | Body::Aggregate(_) | Body::Compiled => false,
            };
            let mut arguments = function.arguments.iter();
            bound
                || types.contains(&function.result)
                || arguments.any(|argument| types.contains(&argument.type_oid))
        });
        if stored {
            self.unbounded("a column has the row's type");
        }
        if has_ranges {
            self.unbounded("a range may be over the row's type");
        }
        if called {
            self.unbounded("functions speak of the relation or take its rows");
        }
    }
}

/// Everything in a relation's definition that may speak of another one.
fn texts(relation: &Relation) -> impl Iterator<Item = &str> {
    let defaults = relation
        .attributes
        .iter()
        .map(|attribute| &attribute.default);
    let triggers = relation.triggers.iter().map(|trigger| &trigger.definition);
    let policies = relation
        .policies
        .iter()
        .flat_map(|policy| [&policy.using, &policy.check]);
    std::iter::once(&relation.definition)
        .chain(defaults)
        .chain(triggers)
        .chain(policies)
        .flatten()
        .chain(relation.rules.iter().map(|rule| &rule.definition))
        .chain(&relation.write_expressions)
        .map(|text| &**text)
}

/// Whether a column's default takes numbers of a sequence that, by its name, may be another table's: it goes with that table,
/// or with its column.
fn takes_numbers_of_another(relation: &Relation) -> bool {
    let own = format!("{}_", relation.name);
    texts(relation).any(|text| text.contains("nextval(") && !text.contains(&own))
}

//! What a write sets off: triggers, rules, cascading foreign keys, defaults, checks and expressions of indexes. Must never
//! take one for bounded that analysis does not follow.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    super::{
        Refusal,
        book::{Descend, Keep, Value},
        resolver::Resolver,
        routine::Towards,
        scope::{Field, Item, Scope},
    },
    Target,
};
use crate::{
    catalog::{Attribute, ForeignKey, Relation, RelationKind},
    facts::{Column, ColumnWrite, Operation, Use},
};

/// What foreign keys have changed so far.
#[derive(Debug, Default)]
pub(in crate::sql) struct Reached {
    /// The entries of what is changed.
    entries: BTreeMap<(u32, Operation), usize>,
    /// The columns that were set to their defaults.
    defaults: BTreeSet<(u32, i16)>,
}

impl Resolver<'_> {
    /// Triggers and rules of a relation and its descendants, and that their foreign keys may cascade.
    pub(in crate::sql) fn set_off(
        &mut self,
        relation: &Arc<Relation>,
        operation: Operation,
        descend: Descend,
    ) -> Result<(), Refusal> {
        let mut written = vec![relation.clone()];
        if descend == Descend::All {
            written.extend(self.catalog.descendants(relation.oid));
        }
        let mut operations = vec![operation];
        if relation.kind == RelationKind::Partitioned && operation == Operation::Update {
            // A row may move: it is deleted from one partition and inserted into another.
            operations.extend([Operation::Delete, Operation::Insert]);
        }
        for relation in &written {
            if matches!(
                operation,
                Operation::Insert | Operation::Update | Operation::CopyFrom
            ) {
                self.write_expressions(relation)?;
            }
            for operation in &operations {
                self.sets_off(relation, *operation);
                if !relation.cascades.is_empty() {
                    let via = self.via.clone();
                    self.cascading
                        .entry((relation.oid, *operation))
                        .or_insert(via);
                }
            }
        }
        Ok(())
    }

    /// What foreign keys change with the keys that were written so far, and what that sets off. Whether anything is new.
    pub(in crate::sql) fn cascades(&mut self, reached_by: &mut Reached) -> Result<bool, Refusal> {
        let known = reached_by.entries.len();
        for ((oid, operation), via) in self.cascading.clone() {
            let Some(relation) = self.catalog.relation(oid).cloned() else {
                continue;
            };
            for cascade in &relation.cascades {
                self.work(1)?;
                let action = match operation {
                    Operation::Delete => cascade.on_delete,
                    Operation::Update => cascade.on_update,
                    _ => continue,
                };
                let caused = match (action, operation) {
                    ('c', operation) => operation,
                    ('n' | 'd', _) => Operation::Update,
                    _ => continue,
                };
                let Some(reached) = self.catalog.relation(cascade.oid).cloned() else {
                    self.book.opaque(
                        &relation.name,
                        "a foreign key that cascades to a table that is not known",
                    );
                    continue;
                };
                let Some(keys) = self.keys_changed(&reached, &relation, operation) else {
                    continue;
                };
                self.book.uncounted = true;
                let place = (reached.oid, caused);
                let entry = match reached_by.entries.get(&place) {
                    Some(entry) => *entry,
                    None => {
                        let limits = (Descend::All, Keep::Always);
                        let entry = self.book.relation(
                            self.catalog,
                            &reached,
                            caused,
                            via.as_ref(),
                            limits,
                        );
                        reached_by.entries.insert(place, entry);
                        let outer = std::mem::replace(&mut self.via, via.clone());
                        let result = self.set_off(&reached, caused, Descend::All);
                        self.via = outer;
                        result?;
                        entry
                    }
                };
                self.key_asked(entry, &reached, &keys);
                if caused == Operation::Update {
                    self.key_changes(entry, &reached, &keys);
                }
                if action == 'd' {
                    self.key_defaults(&reached, &keys, &mut reached_by.defaults)?;
                }
            }
        }
        Ok(reached_by.entries.len() != known)
    }

    /// SET DEFAULT runs the defaults of the foreign keys' columns, those of partitions too.
    fn key_defaults(
        &mut self,
        referring: &Arc<Relation>,
        keys: &[ForeignKey],
        done: &mut BTreeSet<(u32, i16)>,
    ) -> Result<(), Refusal> {
        let is_of_key = |attribute: &&Attribute| {
            let mut keys = keys.iter();
            keys.any(|key| key.1.contains(&attribute.number))
        };
        let attributes = referring.attributes.iter().filter(is_of_key);
        let names: Vec<Arc<str>> = attributes.map(|one| one.name.clone()).collect();
        let descendants = self.catalog.descendants(referring.oid);
        for relation in std::iter::once(referring).chain(&descendants) {
            for attribute in &relation.attributes {
                let is_new = names.contains(&attribute.name)
                    && done.insert((relation.oid, attribute.number));
                if is_new {
                    let subject = format!("{}.{}", relation.name, attribute.name);
                    self.attempt(&subject, "a column's default", |resolver| {
                        resolver.default_of(attribute)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// The foreign keys of a relation that a write of another one concerns: of an update those with a column that is written;
    /// `None`: there are some, and it concerns none of them.
    fn keys_changed(
        &self,
        referring: &Relation,
        referenced: &Arc<Relation>,
        operation: Operation,
    ) -> Option<Vec<ForeignKey>> {
        let ancestors = self.catalog.ancestors(referenced.oid);
        let family: Vec<&Arc<Relation>> = std::iter::once(referenced).chain(&ancestors).collect();
        let base = |key: &ForeignKey| family.iter().find(|one| one.oid == key.0).copied();
        let is_changed = |key: &&ForeignKey| {
            let Some(base) = base(key) else {
                return false;
            };
            let mut columns = base
                .columns
                .iter()
                .filter(|column| key.2.contains(&column.attribute));
            operation != Operation::Update
                || columns.any(|column| {
                    let mut family = family.iter();
                    family.any(|one| self.book.is_written(one.oid, &column.name))
                })
        };
        let keys: Vec<ForeignKey> = referring
            .foreign_keys
            .iter()
            .filter(is_changed)
            .cloned()
            .collect();
        let are_known = referring.foreign_keys.iter().any(|key| base(key).is_some());
        (!keys.is_empty() || !are_known).then_some(keys)
    }

    /// The rows that a key's change concerns are looked up by the foreign key's columns.
    fn key_asked(&mut self, entry: usize, referring: &Relation, keys: &[ForeignKey]) {
        let is_asked =
            |column: &&Arc<Column>| keys.iter().any(|key| key.1.contains(&column.attribute));
        for column in referring.columns.iter().filter(is_asked) {
            self.book.column_used(entry, column, Use::Join);
        }
    }

    /// A foreign key's own columns change with the key that they refer to: they become what it becomes, NULL or their default.
    fn key_changes(&mut self, entry: usize, referring: &Relation, keys: &[ForeignKey]) {
        for key in keys {
            for (from, to) in key.1.iter().zip(&key.2) {
                let mut columns = referring.columns.iter();
                let Some(column) = columns.find(|one| one.attribute == *from) else {
                    continue;
                };
                let mut value = Value::default();
                for write in self.book.writes.iter().filter(|write| {
                    write.column.relation_oid == key.0 && write.column.attribute == *to
                }) {
                    value.taint(&Value::from_lineage(&write.lineage));
                }
                let write = ColumnWrite {
                    column: column.clone(),
                    lineage: value.lineage(),
                };
                self.book.column_used(entry, column, Use::Write);
                if !self.book.writes.contains(&write) {
                    self.book.writes.push(write);
                }
            }
        }
    }

    /// Checks, expressions and predicates of indexes that writing a row evaluates, where they call functions of users.
    pub(in crate::sql) fn write_expressions(
        &mut self,
        relation: &Arc<Relation>,
    ) -> Result<(), Refusal> {
        if relation.write_expressions.is_empty() {
            return Ok(());
        }
        // The row is the client's own: what its columns hold is a use that is noted where they are written.
        let fields = relation.columns.iter().map(|column| Field {
            name: column.name.clone(),
            value: Value::default(),
        });
        let scope = Scope {
            items: vec![Item::new(Some(relation.name.clone()), fields.collect())],
            ..Scope::default()
        };
        for expression in &relation.write_expressions {
            let subject = format!("{}: {expression}", relation.name);
            // Keys of partitioned tables come several in one text.
            self.attempt(&subject, "a check or an index", |resolver| {
                resolver.stored_expression(expression, &scope)
            })?;
        }
        Ok(())
    }

    /// Defaults of columns that the statement leaves out, and expressions of generated ones.
    pub(super) fn defaults(
        &mut self,
        target: &Target,
        given: &[Arc<Column>],
    ) -> Result<(), Refusal> {
        self.defaults_of(&target.relation, given)?;
        for below in &target.below {
            let given: Vec<Arc<Column>> = below
                .columns
                .iter()
                .filter(|(name, _)| given.iter().any(|column| column.name == *name))
                .map(|(_, column)| column.clone())
                .collect();
            self.defaults_of(&below.relation, &given)?;
        }
        Ok(())
    }

    /// The default that an assignment asks for by name.
    pub(super) fn default_asked(
        &mut self,
        target: &Target,
        column: &Arc<Column>,
    ) -> Result<(), Refusal> {
        let below = target.below.iter().filter_map(|below| {
            let found = below.columns.iter().find(|(name, _)| *name == column.name);
            found.map(|(_, column)| (below.relation.clone(), column.attribute))
        });
        let asked: Vec<(Arc<Relation>, i16)> = [(target.relation.clone(), column.attribute)]
            .into_iter()
            .chain(below)
            .collect();
        for (relation, number) in asked {
            let attribute = relation
                .attributes
                .iter()
                .find(|attribute| attribute.number == number && !attribute.generated);
            if let Some(attribute) = attribute {
                self.default_of(attribute)?;
            }
        }
        Ok(())
    }

    fn defaults_of(&mut self, relation: &Relation, given: &[Arc<Column>]) -> Result<(), Refusal> {
        let absent = |attribute: &&Attribute| {
            attribute.generated
                || !given
                    .iter()
                    .any(|column| column.attribute == attribute.number)
        };
        let attributes: Vec<Attribute> =
            relation.attributes.iter().filter(absent).cloned().collect();
        for attribute in &attributes {
            if attribute.generated {
                self.left_out(attribute.type_oid)?;
            } else {
                self.default_of(attribute)?;
            }
        }
        Ok(())
    }

    pub(super) fn default_of(&mut self, attribute: &Attribute) -> Result<(), Refusal> {
        self.left_out(attribute.type_oid)?;
        let Some(default) = &attribute.default else {
            return Ok(());
        };
        // A sequence's next value is what a serial column's default is for: bounded, not an access of the statement.
        if default.starts_with("nextval('") && default.ends_with("'::regclass)") {
            return Ok(());
        }
        let value = self.stored_expression(default, &Scope::default())?;
        // The server leaves out of its text what it casts by itself.
        self.user_casts(&value, Towards::Assigned(&[attribute.type_oid]))?;
        Ok(())
    }

    /// Taking a key away, or changing it, tells whether a foreign key has it: the columns that refer to it decide. With a column:
    /// only keys that it is part of.
    pub(super) fn referencing(&mut self, entry: usize, relation: &Relation, column: Option<i16>) {
        if relation.cascades.is_empty() {
            return;
        }
        let ancestors = self.catalog.ancestors(relation.oid);
        for cascade in &relation.cascades {
            let Some(referring) = self.catalog.relation(cascade.oid) else {
                continue;
            };
            for key in &referring.foreign_keys {
                let is_mine = key.0 == relation.oid
                    || (column.is_none() && ancestors.iter().any(|one| one.oid == key.0));
                let is_of = is_mine && column.is_none_or(|one| key.2.contains(&one));
                let columns = referring
                    .columns
                    .iter()
                    .filter(|candidate| is_of && key.1.contains(&candidate.attribute));
                for candidate in columns {
                    self.book.column_used(entry, candidate, Use::Join);
                }
            }
        }
    }

    /// Writing into a foreign key tells whether the value is among the referenced ones: those decide.
    pub(super) fn referenced(&mut self, entry: usize, column: &Column) {
        let Some(relation) = self.catalog.relation(column.relation_oid) else {
            return;
        };
        for key in &relation.foreign_keys {
            let pairs = key.1.iter().zip(&key.2);
            for (_, to) in pairs.filter(|(from, _)| **from == column.attribute) {
                let referenced = self.catalog.relation(key.0).and_then(|referenced| {
                    referenced
                        .columns
                        .iter()
                        .find(|candidate| candidate.attribute == *to)
                });
                match referenced {
                    Some(referenced) => self.book.column_used(entry, referenced, Use::Join),
                    None => self
                        .book
                        .opaque(&relation.name, "a foreign key to a table that is not known"),
                }
            }
        }
    }
}

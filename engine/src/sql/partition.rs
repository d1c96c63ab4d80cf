//! Which partition a row is in tells of the columns of the partition key: to read one partition, or to ask for a row's
//! `tableoid`, is to ask for them. A class on the key's column in any table above holds.

use std::{collections::BTreeSet, sync::Arc};

use super::{book::Value, resolver::Resolver, scope::Field};
use crate::{
    catalog::{Relation, RelationKind},
    facts::Use,
};

impl Resolver<'_> {
    /// Rows of one partition are chosen by the keys of the tables above it.
    pub(super) fn of_one_partition(&mut self, entry: usize, relation: &Relation) {
        if relation.parents.is_empty() {
            return;
        }
        let above = self.catalog.ancestors(relation.oid);
        let names = key_names(&above);
        self.chosen_by(entry, relation, &names);
    }

    /// A plan, and the rows that each step of it had, tell which partitions rows are in.
    pub(super) fn plan_told(&mut self, from: usize) {
        for (entry, relation) in self.book.relations_from(from) {
            let mut all = self.catalog.ancestors(relation.oid);
            if relation.kind == RelationKind::Partitioned {
                all.extend(self.catalog.descendants(relation.oid));
                all.push(relation.clone());
            }
            let names = key_names(&all);
            self.chosen_by(entry, &relation, &names);
        }
    }

    fn chosen_by(&mut self, entry: usize, relation: &Relation, names: &BTreeSet<Arc<str>>) {
        if names.is_empty() {
            return;
        }
        let above = self.catalog.ancestors(relation.oid);
        for one in std::iter::once(relation).chain(above.iter().map(|one| &**one)) {
            for column in one.columns.iter().filter(|one| names.contains(&one.name)) {
                self.book.column_used(entry, column, Use::Filter);
            }
        }
    }

    /// What `tableoid` of a partitioned table's rows is computed from.
    pub(super) fn place_of(&self, relation: &Arc<Relation>, fields: &[Field]) -> Value {
        let mut value = Value::default();
        if relation.kind == RelationKind::Partitioned {
            let mut all = self.catalog.descendants(relation.oid);
            all.push(relation.clone());
            let names = key_names(&all);
            for field in fields.iter().filter(|field| names.contains(&field.name)) {
                value.taint(&field.value);
            }
        }
        value
    }
}

/// The columns of these tables' partition keys. A column has one name in all partitions.
fn key_names(relations: &[Arc<Relation>]) -> BTreeSet<Arc<str>> {
    let columns = relations.iter().flat_map(|relation| {
        let is_of_key = |number: &i16| relation.partition_key.contains(number);
        let columns = relation.columns.iter();
        columns.filter(move |column| is_of_key(&column.attribute))
    });
    columns.map(|column| column.name.clone()).collect()
}

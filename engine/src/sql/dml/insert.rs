//! INSERT and ON CONFLICT: what goes into which column, and which unique keys are asked.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node},
};

use super::{
    super::{
        Refusal,
        book::Value,
        predicate::Holds,
        query::Rows,
        resolver::Resolver,
        scope::{Field, Item, Scope},
    },
    Target,
};
use crate::facts::{Operation, Use};

impl Resolver<'_> {
    pub(in crate::sql) fn insert(
        &mut self,
        insert: &pg::InsertStmt,
        outer: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.seen.mark(insert);
        let level = self.with(insert.with_clause.as_ref(), outer)?;
        let updates = insert
            .on_conflict_clause
            .as_deref()
            .is_some_and(|conflict| !conflict.target_list.is_empty());
        let operations = if updates {
            [Operation::Insert, Operation::Update].as_slice()
        } else {
            [Operation::Insert].as_slice()
        };
        let target = self.target(insert.relation.as_ref(), operations)?;
        let written = self.write(&target, Operation::Insert)?;
        let columns = self.target_columns(&target, &insert.cols)?;
        let mut given = Vec::new();
        let mut assigned = Vec::new();
        let mut proposed: Vec<Field> = target
            .relation
            .columns
            .iter()
            .map(|column| Field {
                name: column.name.clone(),
                value: Value::default(),
            })
            .collect();
        if let Some(source) = insert.select_stmt.as_deref() {
            let Some(NodeEnum::SelectStmt(select)) = &source.node else {
                return Err(Refusal::not_understood("this INSERT"));
            };
            let mut rows = self.select(select, &level)?;
            if let Some(everything) = rows.unknown() {
                self.book
                    .opaque("insert", "a source whose columns are not known");
                let every = |column: &Arc<crate::facts::Column>| Field {
                    name: column.name.clone(),
                    value: everything.clone(),
                };
                rows.fields = columns.iter().map(every).collect();
            }
            if rows.fields.len() > columns.len() {
                return Err(Refusal::new(
                    "42601",
                    "INSERT has more expressions than target columns",
                ));
            }
            if rows.fields.len() < columns.len() && !insert.cols.is_empty() {
                return Err(Refusal::new(
                    "42601",
                    "INSERT has more target columns than expressions",
                ));
            }
            let defaults_asked = select.values_lists.iter().any(has_default);
            for (column, field) in columns.iter().zip(&rows.fields) {
                self.column_written(&target, &written, column, &field.value)?;
                assigned.push((column.name.clone(), field.value.clone()));
                if let Some(proposed) = proposed
                    .iter_mut()
                    .find(|proposed| proposed.name == column.name)
                {
                    proposed.value = Value {
                        described: None,
                        literal: false,
                        ..field.value.clone()
                    };
                }
                given.push(column.clone());
            }
            if defaults_asked {
                given.clear();
            }
        }
        self.defaults(&target, &given)?;
        if let Some(conflict) = insert.on_conflict_clause.as_deref() {
            assigned.extend(self.on_conflict(conflict, &target, &level, proposed)?);
        }
        self.returning(
            insert.returning_clause.as_ref(),
            vec![target.item.clone()],
            0,
            &level,
            &assigned,
        )
    }

    /// `proposed` is the row that was to be inserted: `excluded`.
    fn on_conflict(
        &mut self,
        conflict: &pg::OnConflictClause,
        target: &Target,
        level: &Scope<'_>,
        proposed: Vec<Field>,
    ) -> Result<Vec<(Arc<str>, Value)>, Refusal> {
        self.seen.mark(conflict);
        let mut scope = Scope {
            items: vec![target.item.clone()],
            ..Scope::below(level)
        };
        if let Some(infer) = conflict.infer.as_deref() {
            self.seen.mark(infer);
            for node in &infer.index_elems {
                let Some(NodeEnum::IndexElem(element)) = &node.node else {
                    return Err(Refusal::not_understood("this ON CONFLICT"));
                };
                self.seen.mark(element.as_ref());
                if !element.name.is_empty() {
                    let value = target.item.field(&element.name)?;
                    let missing = || {
                        Refusal::unknown(
                            "42703",
                            format!("column \"{}\" does not exist", element.name),
                        )
                    };
                    self.book.used(&value.ok_or_else(missing)?, Use::Filter);
                }
                let value = self.optional(element.expr.as_deref(), &scope)?;
                self.book.used(&value, Use::Filter);
            }
            // It picks an index; it limits no rows.
            let picked = self.optional(infer.where_clause.as_deref(), &scope)?;
            self.book.used(&picked, Use::Filter);
            if !infer.conname.is_empty() {
                // A constraint's columns are not known by its name: every constrained column may be probed.
                for field in target.item.fields.iter() {
                    if field
                        .value
                        .sources
                        .iter()
                        .any(|origin| origin.column.constrained)
                    {
                        self.book.used(&field.value, Use::Filter);
                    }
                }
            }
        } else {
            for field in target.item.fields.iter() {
                if field
                    .value
                    .sources
                    .iter()
                    .any(|origin| origin.entry.is_some() && origin.column.constrained)
                {
                    self.book.used(&field.value, Use::Filter);
                }
            }
        }
        if conflict.target_list.is_empty() {
            return Ok(Vec::new());
        }
        scope.items.push(Item {
            bare: false,
            ..Item::new(Some("excluded".into()), proposed)
        });
        let written = self.write(target, Operation::Update)?;
        let assigned = self.assignments(&conflict.target_list, target, &written, &scope)?;
        self.predicate(conflict.where_clause.as_deref(), &scope, Holds::Sometimes)?;
        Ok(assigned)
    }
}

/// Whether a row of VALUES asks for a DEFAULT.
fn has_default(row: &Node) -> bool {
    match &row.node {
        Some(NodeEnum::List(list)) => list
            .items
            .iter()
            .any(|node| matches!(node.node, Some(NodeEnum::SetToDefault(_)))),
        _ => false,
    }
}

//! INSERT, UPDATE, DELETE, MERGE: what is written, from what, and what triggers, rules, defaults and cascades add.

mod copy;
mod effects;
mod insert;
mod merge;

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node},
};

use super::{
    Refusal,
    book::{Descend, Keep, Value},
    from::alias,
    predicate::Holds,
    query::Rows,
    resolver::Resolver,
    scope::{Field, Item, Scope},
};
use crate::{
    catalog::{Relation, RelationKind},
    facts::{Column, ColumnWrite, Object, Operation, Use},
};

/// A relation that is written.
pub(in crate::sql) struct Target {
    pub(in crate::sql) relation: Arc<Relation>,
    /// What is read of it; dropped where nothing is.
    pub(in crate::sql) item: Item,
    pub(in crate::sql) descend: Descend,
}

impl Resolver<'_> {
    pub(in crate::sql) fn target(
        &mut self,
        name: Option<&pg::RangeVar>,
    ) -> Result<Target, Refusal> {
        let Some(name) = name else {
            return Err(Refusal::not_understood("a statement without a target"));
        };
        self.seen.mark(name);
        let relation = self.relation(name)?;
        match relation.kind {
            RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign => {}
            RelationKind::View | RelationKind::MaterialisedView => {
                return Err(Refusal::not_understood("writing through a view")
                    .hint("write to the table itself")
                    .at(name.location));
            }
            RelationKind::Sequence | RelationKind::Composite => {
                return Err(
                    Refusal::new("42809", format!("cannot change \"{}\"", relation.name))
                        .at(name.location),
                );
            }
        }
        let descend = if name.inh {
            Descend::All
        } else {
            Descend::Only
        };
        let mut item = self.relation_item(&relation, descend, Keep::IfUsed)?;
        alias(&mut item, name.alias.as_ref())?;
        Ok(Target {
            relation,
            item,
            descend,
        })
    }

    /// Notes a write and everything it sets off.
    pub(in crate::sql) fn write(&mut self, target: &Target, operation: Operation) -> usize {
        let via = self.via.clone();
        // A row inserted into a plain inheritance parent stays there.
        let descend = match operation {
            Operation::Insert | Operation::CopyFrom
                if target.relation.kind != RelationKind::Partitioned =>
            {
                Descend::Only
            }
            _ => target.descend,
        };
        let entry = self.book.relation(
            self.catalog,
            &target.relation,
            operation,
            via.as_ref(),
            (descend, Keep::Always),
        );
        if let (Some(base), Operation::Update | Operation::Delete) = (&target.item.base, operation)
        {
            self.book.follow(entry, base.entry);
        }
        self.set_off(&target.relation, operation, descend);
        entry
    }

    /// Notes one column's write.
    pub(super) fn column_written(&mut self, entry: usize, column: &Arc<Column>, value: &Value) {
        self.referenced(entry, column);
        if self
            .catalog
            .user_casts()
            .iter()
            .any(|(_, to)| *to == column.type_oid)
        {
            self.book
                .opaque("cast", "a cast might run a user-defined function");
        }
        self.type_checks(column.type_oid);
        self.book.column_used(entry, column, Use::Write);
        self.book.used(value, Use::Output);
        self.book.writes.push(ColumnWrite {
            column: column.clone(),
            lineage: value.lineage(),
        });
    }

    pub(super) fn target_columns(
        &mut self,
        target: &Target,
        named: &[Node],
    ) -> Result<Vec<Arc<Column>>, Refusal> {
        if named.is_empty() {
            return Ok(target.relation.columns.clone());
        }
        named
            .iter()
            .map(|node| self.target_column(target, node).map(|(column, _)| column))
            .collect()
    }

    /// A column named as a target, with its node.
    pub(super) fn target_column<'n>(
        &mut self,
        target: &Target,
        node: &'n Node,
    ) -> Result<(Arc<Column>, &'n pg::ResTarget), Refusal> {
        let Some(NodeEnum::ResTarget(named)) = &node.node else {
            return Err(Refusal::not_understood("this target column"));
        };
        self.seen.mark(named.as_ref());
        for step in &named.indirection {
            if let Some(NodeEnum::AIndices(indices)) = &step.node {
                self.seen.mark(indices.as_ref());
                let scope = Scope {
                    items: vec![target.item.clone()],
                    ..Scope::default()
                };
                for bound in [indices.lidx.as_deref(), indices.uidx.as_deref()] {
                    let value = self.optional(bound, &scope)?;
                    self.book.used(&value, Use::Filter);
                }
            }
        }
        let found = target.relation.column(&named.name).cloned();
        let missing = || {
            Refusal::unknown(
                "42703",
                format!(
                    "column \"{}\" of relation \"{}\" does not exist",
                    named.name, target.relation.name
                ),
            )
            .at(named.location)
        };
        found
            .map(|column| (column, named.as_ref()))
            .ok_or_else(missing)
    }

    /// SET: each assignment of a target list.
    pub(super) fn assignments(
        &mut self,
        targets: &[Node],
        target: &Target,
        entry: usize,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        for node in targets {
            let (column, assignment) = self.target_column(target, node)?;
            let value = match assignment.val.as_deref().map(|node| &node.node) {
                Some(Some(NodeEnum::SetToDefault(default))) => {
                    self.seen.mark(default.as_ref());
                    let attribute = target
                        .relation
                        .attributes
                        .iter()
                        .find(|attribute| attribute.number == column.attribute)
                        .cloned();
                    if let Some(attribute) = attribute.filter(|attribute| !attribute.generated) {
                        self.default_of(&attribute)?;
                    }
                    Value::default()
                }
                _ => self.optional(assignment.val.as_deref(), scope)?,
            };
            self.column_written(entry, &column, &value);
        }
        Ok(())
    }

    pub(in crate::sql) fn update(
        &mut self,
        update: &pg::UpdateStmt,
        outer: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.seen.mark(update);
        let level = self.with(update.with_clause.as_ref(), outer)?;
        let target = self.target(update.relation.as_ref())?;
        let entry = self.write(&target, Operation::Update);
        let (items, _) = self.from(&update.from_clause, &level)?;
        let mut scope = Scope {
            items: vec![target.item.clone()],
            ..Scope::below(&level)
        };
        scope.items.extend(items);
        self.predicate(update.where_clause.as_deref(), &scope, Holds::Always)?;
        self.assignments(&update.target_list, &target, entry, &scope)?;
        let items = std::mem::take(&mut scope.items);
        self.returning(update.returning_clause.as_ref(), items, &level)
    }

    pub(in crate::sql) fn delete(
        &mut self,
        delete: &pg::DeleteStmt,
        outer: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.seen.mark(delete);
        let level = self.with(delete.with_clause.as_ref(), outer)?;
        let target = self.target(delete.relation.as_ref())?;
        self.write(&target, Operation::Delete);
        let (items, _) = self.from(&delete.using_clause, &level)?;
        let mut scope = Scope {
            items: vec![target.item.clone()],
            ..Scope::below(&level)
        };
        scope.items.extend(items);
        self.predicate(delete.where_clause.as_deref(), &scope, Holds::Always)?;
        let items = std::mem::take(&mut scope.items);
        self.returning(delete.returning_clause.as_ref(), items, &level)
    }

    pub(super) fn returning(
        &mut self,
        clause: Option<&pg::ReturningClause>,
        items: Vec<Item>,
        level: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        let Some(clause) = clause else {
            return Ok(Rows::default());
        };
        self.seen.mark(clause);
        if !clause.options.is_empty() {
            return Err(Refusal::not_understood("RETURNING WITH (...)"));
        }
        let mut scope = Scope {
            items,
            ..Scope::below(level)
        };
        if self.major() >= 18 {
            let versions = ["old", "new"].map(|name| {
                let target = scope.items.iter().find(|item| item.base.is_some()).cloned();
                target.map(|item| Item {
                    name: Some(name.into()),
                    schema: None,
                    bare: false,
                    ..item
                })
            });
            let absent = |item: &Item| !scope.items.iter().any(|known| known.name == item.name);
            let versions: Vec<Item> = versions.into_iter().flatten().filter(absent).collect();
            scope.items.extend(versions);
        }
        let rows = self.targets(&clause.exprs, &scope)?;
        for Field { value, .. } in &rows.fields {
            self.book.used(value, Use::Returning);
        }
        Ok(rows)
    }

    /// TRUNCATE.
    pub(in crate::sql) fn truncate(&mut self, truncate: &pg::TruncateStmt) -> Result<(), Refusal> {
        self.seen.mark(truncate);
        if truncate.behavior() == pg::DropBehavior::DropCascade {
            self.book.opaque(
                "truncate",
                "CASCADE reaches tables that the statement does not name",
            );
        }
        for node in &truncate.relations {
            let Some(NodeEnum::RangeVar(name)) = &node.node else {
                return Err(Refusal::not_understood("this TRUNCATE"));
            };
            let target = self.target(Some(name))?;
            self.write(&target, Operation::Truncate);
        }
        Ok(())
    }

    /// `Object` of a relation.
    pub(in crate::sql) fn object(relation: &Relation) -> Object {
        Object::Relation {
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            oid: relation.oid,
        }
    }
}

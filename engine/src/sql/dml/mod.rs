//! INSERT, UPDATE, DELETE, MERGE: what is written, from what, and what triggers, rules, defaults and cascades add.

mod beside;
mod copy;
mod effects;
mod insert;
mod merge;
mod view;

use std::sync::Arc;

pub(in crate::sql) use self::effects::Reached;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, ReturningOptionKind},
};

use super::{
    Refusal,
    book::{Descend, Keep, Value},
    from::alias,
    predicate::Holds,
    query::Rows,
    resolver::Resolver,
    routine::Towards,
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
    /// What is below it, where it is a view; nearest first.
    below: Vec<Below>,
}

impl Target {
    /// A relation that is no view.
    pub(in crate::sql) fn plain(relation: Arc<Relation>, item: Item, descend: Descend) -> Self {
        Self {
            relation,
            item,
            descend,
            below: Vec::new(),
        }
    }
}

/// A relation that is written by writing a view.
struct Below {
    relation: Arc<Relation>,
    /// Columns of the view, with the column of the relation that each is.
    columns: Vec<(Arc<str>, Arc<Column>)>,
    /// The access that reads it through the view.
    read: Option<usize>,
    descend: Descend,
    /// The view right above it, `schema.name`.
    via: Arc<str>,
}

/// The accesses of one write: the target's, and those of what is below it.
pub(super) struct Written {
    entry: usize,
    below: Vec<usize>,
}

/// Whose word a name of RETURNING is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// The server's: `old` and `new`, unless the statement uses them.
    Everywhere,
    /// The clause's own.
    Here,
}

/// `pg_policy.polcmd` of a write.
const fn command(operation: Operation) -> char {
    match operation {
        Operation::Update => 'w',
        Operation::Delete => 'd',
        _ => 'a',
    }
}

impl Resolver<'_> {
    /// The relation that a statement writes with one of these operations.
    pub(in crate::sql) fn target(
        &mut self,
        name: Option<&pg::RangeVar>,
        operations: &[Operation],
    ) -> Result<Target, Refusal> {
        let Some(name) = name else {
            return Err(Refusal::not_understood("a statement without a target"));
        };
        self.seen.mark(name);
        let relation = self.relation(name)?;
        match relation.kind {
            RelationKind::Table
            | RelationKind::Partitioned
            | RelationKind::Foreign
            | RelationKind::View => {}
            RelationKind::Sequence | RelationKind::Composite | RelationKind::MaterialisedView => {
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
        let only_inserts = operations
            .iter()
            .all(|operation| matches!(operation, Operation::Insert | Operation::CopyFrom));
        // What a view selects decides which rows are changed, not which are inserted.
        let quiet = relation.kind == RelationKind::View && only_inserts;
        let before = (self.book.set_quiet(quiet), self.keep);
        if relation.kind == RelationKind::View {
            self.keep = Keep::IfUsed;
        }
        let item = self.relation_item(&relation, descend, Keep::IfUsed);
        self.book.set_quiet(before.0);
        self.keep = before.1;
        let mut item = item?;
        let mut below = Vec::new();
        if relation.kind == RelationKind::View {
            for operation in operations {
                let reached = self
                    .below(&relation, &item, *operation)
                    .map_err(|refusal| refusal.at(name.location))?;
                if reached.len() > below.len() {
                    below = reached;
                }
            }
        }
        alias(&mut item, name.alias.as_ref())?;
        Ok(Target {
            relation,
            item,
            descend,
            below,
        })
    }

    /// Notes a write and everything it sets off.
    pub(in crate::sql) fn write(
        &mut self,
        target: &Target,
        operation: Operation,
    ) -> Result<Written, Refusal> {
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
        self.row_policies(&target.relation, command(operation), entry)?;
        // How many rows of one partition are changed, and that a key of its own is there already, tell what is there.
        self.of_one_partition(entry, &target.relation);
        self.set_off(&target.relation, operation, descend)?;
        if operation == Operation::Delete {
            self.referencing(entry, &target.relation, None);
            for below in &target.below {
                self.referencing(entry, &below.relation, None);
            }
        }
        let below = self.write_below(target, operation)?;
        Ok(Written { entry, below })
    }

    /// Notes one column's write, in a view's case of the columns below too.
    pub(super) fn column_written(
        &mut self,
        target: &Target,
        written: &Written,
        column: &Arc<Column>,
        value: &Value,
    ) -> Result<(), Refusal> {
        self.one_column_written(written.entry, column, value)?;
        for (below, entry) in target.below.iter().zip(&written.below) {
            let same = below.columns.iter().find(|(name, _)| *name == column.name);
            if let Some((_, same)) = same {
                self.one_column_written(*entry, same, value)?;
            }
        }
        Ok(())
    }

    fn one_column_written(
        &mut self,
        entry: usize,
        column: &Arc<Column>,
        value: &Value,
    ) -> Result<(), Refusal> {
        self.referenced(entry, column);
        self.user_casts(value, Towards::Assigned(&[column.type_oid]))?;
        self.type_checks(column.type_oid)?;
        self.book.column_used(entry, column, Use::Write);
        // A child's column is in the classes of its parents'.
        for ancestor in self.catalog.ancestors(column.relation_oid) {
            if let Some(same) = ancestor.column(&column.name) {
                let constrained = same.constrained || column.constrained;
                let same = Column {
                    constrained,
                    ..same.as_ref().clone()
                };
                self.book.column_used(entry, &Arc::new(same), Use::Write);
            }
        }
        self.book.used(value, Use::Output);
        self.book.writes.push(ColumnWrite {
            column: column.clone(),
            lineage: value.lineage(),
        });
        Ok(())
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
        written: &Written,
        scope: &Scope<'_>,
    ) -> Result<Vec<(Arc<str>, Value)>, Refusal> {
        let mut assigned = Vec::with_capacity(targets.len());
        for node in targets {
            let (column, assignment) = self.target_column(target, node)?;
            let replaces_part = |step: &Node| matches!(step.node, Some(NodeEnum::AIndices(_)));
            if assignment.indirection.iter().any(replaces_part) {
                // Whether an element can be set hangs on what is there.
                self.book.column_used(written.entry, &column, Use::Compute);
            }
            let value = match assignment.val.as_deref().map(|node| &node.node) {
                Some(Some(NodeEnum::SetToDefault(default))) => {
                    self.seen.mark(default.as_ref());
                    self.default_asked(target, &column)?;
                    Value::default()
                }
                _ => self.optional(assignment.val.as_deref(), scope)?,
            };
            self.column_written(target, written, &column, &value)?;
            self.referencing(written.entry, &target.relation, Some(column.attribute));
            for below in &target.below {
                let same = below.columns.iter().find(|(name, _)| *name == column.name);
                if let Some((_, same)) = same {
                    self.referencing(written.entry, &below.relation, Some(same.attribute));
                }
            }
            assigned.push((column.name.clone(), value));
        }
        self.left_as_they_are(target, written, &assigned);
        Ok(assigned)
    }

    pub(in crate::sql) fn update(
        &mut self,
        update: &pg::UpdateStmt,
        outer: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.seen.mark(update);
        let level = self.with(update.with_clause.as_ref(), outer)?;
        let target = self.target(update.relation.as_ref(), &[Operation::Update])?;
        let written = self.write(&target, Operation::Update)?;
        let (items, _) = self.from(&update.from_clause, &level)?;
        let mut scope = Scope {
            items: vec![target.item.clone()],
            ..Scope::below(&level)
        };
        scope.items.extend(items);
        self.predicate(update.where_clause.as_deref(), &scope, Holds::Always)?;
        let assigned = self.assignments(&update.target_list, &target, &written, &scope)?;
        let items = std::mem::take(&mut scope.items);
        let returning = update.returning_clause.as_ref();
        self.returning(returning, items, 0, &level, &assigned)
    }

    pub(in crate::sql) fn delete(
        &mut self,
        delete: &pg::DeleteStmt,
        outer: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.seen.mark(delete);
        let level = self.with(delete.with_clause.as_ref(), outer)?;
        let target = self.target(delete.relation.as_ref(), &[Operation::Delete])?;
        self.write(&target, Operation::Delete)?;
        let (items, _) = self.from(&delete.using_clause, &level)?;
        let mut scope = Scope {
            items: vec![target.item.clone()],
            ..Scope::below(&level)
        };
        scope.items.extend(items);
        self.predicate(delete.where_clause.as_deref(), &scope, Holds::Always)?;
        let items = std::mem::take(&mut scope.items);
        let returning = delete.returning_clause.as_ref();
        self.returning(returning, items, 0, &level, &[])
    }

    /// RETURNING, where `target` is the place of what is written among the items in sight.
    pub(super) fn returning(
        &mut self,
        clause: Option<&pg::ReturningClause>,
        mut items: Vec<Item>,
        target: usize,
        level: &Scope<'_>,
        assigned: &[(Arc<str>, Value)],
    ) -> Result<Rows, Refusal> {
        let Some(clause) = clause else {
            return Ok(Rows::default());
        };
        self.seen.mark(clause);
        let names = self.version_names(clause)?;
        let old = items.get(target).cloned();
        // What was written is what is returned.
        let new = items.get_mut(target).map(|item| {
            let mut fields = item.fields.as_ref().clone();
            for (name, value) in assigned {
                for field in fields.iter_mut().filter(|field| field.name == *name) {
                    field.value.add(value);
                }
            }
            item.fields = Arc::new(fields);
            item.clone()
        });
        let mut scope = Scope {
            items,
            ..Scope::below(level)
        };
        if self.major() >= 18 {
            for ((name, named), version) in names.into_iter().zip([old, new]) {
                let taken = scope
                    .items
                    .iter()
                    .any(|known| known.name.as_deref() == Some(&*name));
                // A name that the clause gives is the server's to refuse where it is taken.
                let Some(item) = version.filter(|_| named == Named::Here || !taken) else {
                    continue;
                };
                scope.items.push(Item {
                    name: Some(name),
                    schema: None,
                    bare: false,
                    ..item
                });
            }
        }
        let rows = self.targets(&clause.exprs, &scope)?;
        for Field { value, .. } in &rows.fields {
            self.book.used(value, Use::Returning);
        }
        Ok(rows)
    }

    /// The names of the rows before and after.
    fn version_names(
        &mut self,
        clause: &pg::ReturningClause,
    ) -> Result<[(Arc<str>, Named); 2], Refusal> {
        let mut names = [
            ("old".into(), Named::Everywhere),
            ("new".into(), Named::Everywhere),
        ];
        for node in &clause.options {
            let Some(NodeEnum::ReturningOption(option)) = &node.node else {
                return Err(Refusal::not_understood("this RETURNING"));
            };
            self.since(18, "RETURNING WITH (...)")?;
            self.seen.mark(option);
            let [old, new] = &mut names;
            let name = match option.option() {
                ReturningOptionKind::ReturningOptionOld => old,
                ReturningOptionKind::ReturningOptionNew => new,
                ReturningOptionKind::Undefined => {
                    return Err(Refusal::not_understood("this RETURNING"));
                }
            };
            *name = (option.value.as_str().into(), Named::Here);
        }
        Ok(names)
    }

    /// TRUNCATE.
    pub(in crate::sql) fn truncate(&mut self, truncate: &pg::TruncateStmt) -> Result<(), Refusal> {
        self.seen.mark(truncate);
        let mut emptied = Vec::new();
        for node in &truncate.relations {
            let Some(NodeEnum::RangeVar(name)) = &node.node else {
                return Err(Refusal::not_understood("this TRUNCATE"));
            };
            let target = self.target(Some(name), &[Operation::Truncate])?;
            self.write(&target, Operation::Truncate)?;
            emptied.push(target.relation.oid);
            let descendants = self.catalog.descendants(target.relation.oid);
            emptied.extend(descendants.iter().map(|descendant| descendant.oid));
        }
        if truncate.behavior() == pg::DropBehavior::DropCascade {
            self.truncate_referencing(emptied)?;
        }
        Ok(())
    }

    /// CASCADE empties every table with a foreign key to one that is emptied.
    fn truncate_referencing(&mut self, mut emptied: Vec<u32>) -> Result<(), Refusal> {
        let mut next = 0;
        while let Some(oid) = emptied.get(next).copied() {
            next = next.saturating_add(1);
            self.work(1)?;
            let mut referencing: Vec<Arc<Relation>> = self
                .catalog
                .relations()
                .filter(|relation| relation.foreign_keys.iter().any(|key| key.0 == oid))
                .filter(|relation| !emptied.contains(&relation.oid))
                .cloned()
                .collect();
            referencing.sort_by_key(|relation| relation.oid);
            for relation in referencing {
                if emptied.contains(&relation.oid) {
                    continue;
                }
                let entry = (Descend::All, Keep::Always);
                self.book
                    .relation(self.catalog, &relation, Operation::Truncate, None, entry);
                self.set_off(&relation, Operation::Truncate, Descend::All)?;
                emptied.push(relation.oid);
                let descendants = self.catalog.descendants(relation.oid);
                emptied.extend(descendants.iter().map(|descendant| descendant.oid));
            }
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

//! INSERT, UPDATE, DELETE, MERGE: what is written, from what, and what triggers, rules, defaults and cascades add.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, CmdType, MergeMatchKind, Node},
};

use super::{
    Refusal,
    book::{Descend, Keep, Value},
    from::alias,
    query::Rows,
    resolver::{Holds, Resolver, strings},
    scope::{Field, Item, Scope},
};
use crate::{
    catalog::{Attribute, Relation, RelationKind},
    facts::{Column, ColumnWrite, Object, Operation, Use},
};

/// A relation that is written.
pub(super) struct Target {
    pub(super) relation: Arc<Relation>,
    /// What is read of it; dropped where nothing is.
    pub(super) item: Item,
    pub(super) descend: Descend,
}

impl Resolver<'_> {
    pub(super) fn target(&mut self, name: Option<&pg::RangeVar>) -> Result<Target, Refusal> {
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
    pub(super) fn write(&mut self, target: &Target, operation: Operation) -> usize {
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

    /// Triggers, rules and cascading foreign keys of a relation and its descendants.
    pub(super) fn set_off(
        &mut self,
        relation: &Arc<Relation>,
        operation: Operation,
        descend: Descend,
    ) {
        let mut written = vec![relation.clone()];
        if descend == Descend::All {
            written.extend(self.catalog.descendants(relation.oid));
        }
        for relation in &written {
            self.triggers(relation, operation);
            if matches!(
                operation,
                Operation::Insert | Operation::Update | Operation::CopyFrom
            ) {
                self.write_expressions(relation);
            }
        }
        let mut seen: BTreeSet<(u32, Operation)> = written
            .iter()
            .map(|relation| (relation.oid, operation))
            .collect();
        let mut open: Vec<(Arc<Relation>, Operation)> = written
            .into_iter()
            .map(|relation| (relation, operation))
            .collect();
        while let Some((relation, operation)) = open.pop() {
            for cascade in &relation.cascades {
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
                if seen.insert((reached.oid, caused)) {
                    let via = self.via.clone();
                    self.book.relation(
                        self.catalog,
                        &reached,
                        caused,
                        via.as_ref(),
                        (Descend::All, Keep::Always),
                    );
                    self.triggers(&reached, caused);
                    open.push((reached, caused));
                }
            }
        }
    }

    fn triggers(&mut self, relation: &Relation, operation: Operation) {
        let event = match operation {
            Operation::Insert | Operation::CopyFrom => 4,
            Operation::Delete => 8,
            Operation::Update => 16,
            Operation::Truncate => 32,
            _ => 0,
        };
        for trigger in relation
            .triggers
            .iter()
            .filter(|trigger| trigger.events & event != 0)
        {
            self.book.opaque(
                &format!("{}.{}", relation.name, trigger.name),
                "a trigger runs a function that analysis does not follow",
            );
        }
        for rule in &relation.rules {
            self.book.opaque(
                &format!("{}.{rule}", relation.name),
                "a rule rewrites the statement in a way that analysis does not follow",
            );
        }
    }

    /// Notes one column's write.
    fn column_written(&mut self, entry: usize, column: &Arc<Column>, value: &Value) {
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

    /// Writing into a foreign key tells whether the value is among the referenced ones: those decide.
    fn referenced(&mut self, entry: usize, column: &Column) {
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

    /// Checks, expressions and predicates of indexes that writing a row evaluates, where they call functions of users.
    fn write_expressions(&mut self, relation: &Arc<Relation>) {
        for expression in &relation.write_expressions {
            let subject = format!("{}: {expression}", relation.name);
            self.book.opaque(
                &subject,
                "a check or an index runs a function that analysis does not follow",
            );
        }
    }

    /// Defaults of columns that the statement leaves out, and expressions of generated ones.
    fn defaults(&mut self, target: &Target, given: &[Arc<Column>]) -> Result<(), Refusal> {
        let absent = |attribute: &&Attribute| {
            attribute.generated
                || !given
                    .iter()
                    .any(|column| column.attribute == attribute.number)
        };
        let attributes: Vec<Attribute> = target
            .relation
            .attributes
            .iter()
            .filter(absent)
            .cloned()
            .collect();
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.default.is_some() && !attribute.generated)
        {
            self.default_of(attribute)?;
        }
        Ok(())
    }

    fn default_of(&mut self, attribute: &Attribute) -> Result<(), Refusal> {
        let Some(default) = &attribute.default else {
            return Ok(());
        };
        // A sequence's next value is what a serial column's default is for: bounded, not an access of the statement.
        if default.starts_with("nextval('") && default.ends_with("'::regclass)") {
            return Ok(());
        }
        self.stored_expression(default, &Scope::default())?;
        Ok(())
    }

    pub(super) fn insert(
        &mut self,
        insert: &pg::InsertStmt,
        outer: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.seen.mark(insert);
        let level = self.with(insert.with_clause.as_ref(), outer)?;
        let target = self.target(insert.relation.as_ref())?;
        let entry = self.write(&target, Operation::Insert);
        let columns = self.target_columns(&target, &insert.cols)?;
        let mut given = Vec::new();
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
            let rows = self.select(select, &level)?;
            if rows.open {
                return Err(Refusal::not_understood(
                    "INSERT from columns that are not known",
                ));
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
                self.column_written(entry, column, &field.value);
                if let Some(proposed) = proposed
                    .iter_mut()
                    .find(|proposed| proposed.name == column.name)
                {
                    proposed.value = Value {
                        described: None,
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
            self.on_conflict(conflict, &target, &level, proposed)?;
        }
        self.returning(
            insert.returning_clause.as_ref(),
            vec![target.item.clone()],
            &level,
        )
    }

    fn target_columns(
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
    fn target_column<'n>(
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
    fn assignments(
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

    /// `proposed` is the row that was to be inserted: `excluded`.
    fn on_conflict(
        &mut self,
        conflict: &pg::OnConflictClause,
        target: &Target,
        level: &Scope<'_>,
        proposed: Vec<Field>,
    ) -> Result<(), Refusal> {
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
            return Ok(());
        }
        scope.items.push(Item {
            bare: false,
            ..Item::new(Some("excluded".into()), proposed)
        });
        let entry = self.write(target, Operation::Update);
        self.assignments(&conflict.target_list, target, entry, &scope)?;
        self.predicate(conflict.where_clause.as_deref(), &scope, Holds::Sometimes)?;
        Ok(())
    }

    pub(super) fn update(
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

    pub(super) fn delete(
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

    pub(super) fn merge(
        &mut self,
        merge: &pg::MergeStmt,
        outer: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.since(15, "MERGE")?;
        self.seen.mark(merge);
        let level = self.with(merge.with_clause.as_ref(), outer)?;
        let target = self.target(merge.relation.as_ref())?;
        let Some(source) = merge.source_relation.as_deref() else {
            return Err(Refusal::not_understood("this MERGE"));
        };
        let mut control = Value::default();
        let items = self.range_item(source, &level, &[], &mut control)?;
        let mut scope = Scope {
            items: vec![target.item.clone()],
            ..Scope::below(&level)
        };
        scope.items.extend(items);
        let joined = self.optional(merge.join_condition.as_deref(), &scope)?;
        self.book.used(&joined, Use::Join);
        for node in &merge.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(when)) = &node.node else {
                return Err(Refusal::not_understood("this MERGE"));
            };
            self.merge_when(when, &target, &scope)?;
        }
        if merge.returning_clause.is_some() {
            self.since(17, "MERGE ... RETURNING")?;
        }
        let mut items = std::mem::take(&mut scope.items);
        // RETURNING * gives the source's columns first.
        items.rotate_left(1);
        self.returning(merge.returning_clause.as_ref(), items, &level)
    }

    fn merge_when(
        &mut self,
        when: &pg::MergeWhenClause,
        target: &Target,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        self.seen.mark(when);
        if when.match_kind() == MergeMatchKind::MergeWhenNotMatchedBySource {
            self.since(17, "WHEN NOT MATCHED BY SOURCE")?;
        }
        let condition = self.optional(when.condition.as_deref(), scope)?;
        self.book.used(&condition, Use::Filter);
        match when.command_type() {
            CmdType::CmdUpdate => {
                let entry = self.write(target, Operation::Update);
                self.assignments(&when.target_list, target, entry, scope)
            }
            CmdType::CmdDelete => {
                self.write(target, Operation::Delete);
                Ok(())
            }
            CmdType::CmdInsert => {
                let entry = self.write(target, Operation::Insert);
                let columns = self.target_columns(target, &when.target_list)?;
                // There is no row of the target to insert from.
                let source = Scope {
                    items: scope.items.iter().skip(1).cloned().collect(),
                    parent: scope.parent,
                    ..Scope::default()
                };
                for (column, node) in columns.iter().zip(&when.values) {
                    let value = self.expression(node, &source)?;
                    self.column_written(entry, column, &value);
                }
                if when.values.len() > columns.len() {
                    return Err(Refusal::new(
                        "42601",
                        "INSERT has more expressions than target columns",
                    ));
                }
                self.defaults(target, &[])
            }
            CmdType::CmdNothing => Ok(()),
            _ => Err(Refusal::not_understood("this MERGE")),
        }
    }

    fn returning(
        &mut self,
        clause: Option<&pg::ReturningClause>,
        items: Vec<Item>,
        level: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        let Some(clause) = clause else {
            return Ok(Rows {
                open: false,
                ..Rows::default()
            });
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
    pub(super) fn truncate(&mut self, truncate: &pg::TruncateStmt) -> Result<(), Refusal> {
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
    pub(super) fn object(relation: &Relation) -> Object {
        Object::Relation {
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            oid: relation.oid,
        }
    }

    /// Columns that COPY writes or reads.
    pub(super) fn copy_columns(
        &mut self,
        target: &Target,
        named: &[Node],
    ) -> Result<Vec<Arc<Column>>, Refusal> {
        if named.is_empty() {
            let attributes = target
                .relation
                .attributes
                .iter()
                .zip(&target.relation.columns);
            return Ok(attributes
                .filter(|(attribute, _)| !attribute.generated)
                .map(|(_, column)| column.clone())
                .collect());
        }
        let missing = |name: &str| {
            Refusal::unknown(
                "42703",
                format!(
                    "column \"{name}\" of relation \"{}\" does not exist",
                    target.relation.name
                ),
            )
        };
        strings(named)?
            .iter()
            .map(|name| {
                target
                    .relation
                    .column(name)
                    .cloned()
                    .ok_or_else(|| missing(name))
            })
            .collect()
    }

    /// COPY ... FROM STDIN.
    pub(super) fn copy_in(&mut self, copy: &pg::CopyStmt) -> Result<(), Refusal> {
        let target = self.target(copy.relation.as_ref())?;
        let entry = self.write(&target, Operation::CopyFrom);
        let columns = self.copy_columns(&target, &copy.attlist)?;
        for column in &columns {
            self.column_written(entry, column, &Value::default());
        }
        self.defaults(&target, &columns)?;
        let scope = Scope {
            items: vec![target.item],
            ..Scope::default()
        };
        self.predicate(copy.where_clause.as_deref(), &scope, Holds::Sometimes)?;
        Ok(())
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

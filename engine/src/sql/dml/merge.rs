//! MERGE: each WHEN clause is a write of its own.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, CmdType, MergeMatchKind},
};

use super::{
    super::{Refusal, book::Value, query::Rows, resolver::Resolver, scope::Scope},
    Target,
};
use crate::facts::{Operation, Use};

impl Resolver<'_> {
    pub(in crate::sql) fn merge(
        &mut self,
        merge: &pg::MergeStmt,
        outer: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.since(15, "MERGE")?;
        self.seen.mark(merge);
        let level = self.with(merge.with_clause.as_ref(), outer)?;
        let clauses = merge.merge_when_clauses.iter().filter_map(|node| {
            let Some(NodeEnum::MergeWhenClause(when)) = &node.node else {
                return None;
            };
            match when.command_type() {
                CmdType::CmdUpdate => Some(Operation::Update),
                CmdType::CmdDelete => Some(Operation::Delete),
                CmdType::CmdInsert => Some(Operation::Insert),
                _ => None,
            }
        });
        // The target's rows are read to be matched, whatever is done then.
        let mut operations: Vec<Operation> = clauses.collect();
        operations.push(Operation::Update);
        let target = self.target(merge.relation.as_ref(), &operations)?;
        if let Some(base) = &target.item.base {
            self.of_one_partition(base.entry, &target.relation);
        }
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
        let mut assigned = Vec::new();
        for node in &merge.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(when)) = &node.node else {
                return Err(Refusal::not_understood("this MERGE"));
            };
            assigned.extend(self.merge_when(when, &target, &scope)?);
        }
        if merge.returning_clause.is_some() {
            self.since(17, "MERGE ... RETURNING")?;
        }
        let mut items = std::mem::take(&mut scope.items);
        // RETURNING * gives the source's columns first.
        items.rotate_left(1);
        let (returning, last) = (merge.returning_clause.as_ref(), items.len() - 1);
        self.returning(returning, items, last, &level, &assigned)
    }

    fn merge_when(
        &mut self,
        when: &pg::MergeWhenClause,
        target: &Target,
        scope: &Scope<'_>,
    ) -> Result<Vec<(Arc<str>, Value)>, Refusal> {
        self.seen.mark(when);
        if when.match_kind() == MergeMatchKind::MergeWhenNotMatchedBySource {
            self.since(17, "WHEN NOT MATCHED BY SOURCE")?;
        }
        let condition = self.optional(when.condition.as_deref(), scope)?;
        self.book.used(&condition, Use::Filter);
        match when.command_type() {
            CmdType::CmdUpdate => {
                let written = self.write(target, Operation::Update)?;
                self.assignments(&when.target_list, target, &written, scope)
            }
            CmdType::CmdDelete => {
                self.write(target, Operation::Delete)?;
                Ok(Vec::new())
            }
            CmdType::CmdInsert => {
                let written = self.write(target, Operation::Insert)?;
                let mut assigned = Vec::new();
                let columns = self.target_columns(target, &when.target_list)?;
                // There is no row of the target to insert from.
                let source = Scope {
                    items: scope.items.iter().skip(1).cloned().collect(),
                    parent: scope.parent,
                    ..Scope::default()
                };
                for (column, node) in columns.iter().zip(&when.values) {
                    let value = self.expression(node, &source)?;
                    self.column_written(target, &written, column, &value)?;
                    assigned.push((column.name.clone(), value));
                }
                if when.values.len() > columns.len() {
                    return Err(Refusal::new(
                        "42601",
                        "INSERT has more expressions than target columns",
                    ));
                }
                self.defaults(target, &[])?;
                Ok(assigned)
            }
            CmdType::CmdNothing => Ok(Vec::new()),
            _ => Err(Refusal::not_understood("this MERGE")),
        }
    }
}

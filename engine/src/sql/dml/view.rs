//! Writing through views: what is written is the table below, column by column, as the server rewrites it. A view that
//! triggers or rules stand in for is written as itself, and what those do is theirs to say.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, SetOperation},
};

use super::{
    super::{
        Refusal,
        authority::parse,
        book::{Descend, Keep},
        resolver::Resolver,
        scope::Item,
    },
    Below, Target, command,
};
use crate::{
    catalog::{Relation, RelationKind, RuleEvent, TEMP_SCHEMA},
    facts::{Column, Operation},
};

/// `TRIGGER_TYPE_INSTEAD` of `pg_trigger.tgtype`.
const INSTEAD: i16 = 64;
/// Deepest chain of views that is written through.
const DEPTH_MAX: usize = 32;

impl Resolver<'_> {
    /// The relations below a view that is written, nearest first; none where triggers or rules stand in for it.
    pub(super) fn below(
        &mut self,
        view: &Arc<Relation>,
        item: &Item,
        operation: Operation,
    ) -> Result<Vec<Below>, Refusal> {
        let mut found = Vec::new();
        let mut current = view.clone();
        // What each column of the view is called in the relation that was reached.
        let mut names: Vec<(Arc<str>, Arc<str>)> = view
            .columns
            .iter()
            .map(|column| (column.name.clone(), column.name.clone()))
            .collect();
        for _ in 0..DEPTH_MAX {
            if current.kind != RelationKind::View {
                break;
            }
            if stands_in(&current, operation) {
                return Ok(found);
            }
            let (base, descend, columns) = self.base_of(&current)?;
            names = names
                .into_iter()
                .filter_map(|(view, name)| {
                    let below = columns.iter().find(|(outer, _)| *outer == name);
                    below.map(|(_, inner)| (view, inner.clone()))
                })
                .collect();
            let mapped = names.iter().filter_map(|(view, name)| {
                base.column(name)
                    .map(|column| (view.clone(), column.clone()))
            });
            found.push(Below {
                read: read_entry(item, &base),
                columns: mapped.collect(),
                descend,
                via: format!("{}.{}", current.schema, current.name).into(),
                relation: base.clone(),
            });
            current = base;
        }
        match current.kind {
            RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign => Ok(found),
            _ => Err(not_updatable(view)),
        }
    }

    /// The one relation that a view selects from, and which of its columns are which of that relation's.
    fn base_of(&mut self, view: &Relation) -> Result<Base, Refusal> {
        let definition = self.definition_of(view)?;
        self.work(definition.len())?;
        let tree = parse(&definition).map_err(|_| not_updatable(view))?;
        let statement = tree.stmts.first().and_then(|first| first.stmt.as_ref());
        let Some(Some(NodeEnum::SelectStmt(select))) = statement.map(|node| &node.node) else {
            return Err(not_updatable(view));
        };
        let from = select.from_clause.as_slice();
        let [
            pg::Node {
                node: Some(NodeEnum::RangeVar(name)),
            },
        ] = from
        else {
            return Err(not_updatable(view));
        };
        if select.op() != SetOperation::SetopNone || select.with_clause.is_some() {
            return Err(not_updatable(view));
        }
        // Definitions are deparsed with every name qualified, but those of temporary objects.
        let schema = match name.schemaname.as_str() {
            "" => TEMP_SCHEMA,
            schema => schema,
        };
        let relation = self
            .catalog
            .relation_named(schema, &name.relname)
            .cloned()
            .ok_or_else(|| not_updatable(view))?;
        let targets = select.target_list.iter().zip(&view.columns);
        let columns = targets.filter_map(|(target, column)| {
            let Some(NodeEnum::ResTarget(target)) = &target.node else {
                return None;
            };
            let Some(NodeEnum::ColumnRef(reference)) = &target.val.as_deref()?.node else {
                return None;
            };
            let Some(NodeEnum::String(inner)) = &reference.fields.last()?.node else {
                return None;
            };
            // An alias list of the item would give its columns other names.
            let renamed = name
                .alias
                .as_ref()
                .is_some_and(|alias| !alias.colnames.is_empty());
            let inner = if renamed {
                renamed_column(&relation, name, &inner.sval)?
            } else {
                inner.sval.as_str().into()
            };
            Some((column.name.clone(), inner))
        });
        let columns = columns.collect();
        let descend = if name.inh {
            Descend::All
        } else {
            Descend::Only
        };
        Ok((relation, descend, columns))
    }

    /// Notes a write of what is below a view.
    pub(super) fn write_below(
        &mut self,
        target: &Target,
        operation: Operation,
    ) -> Result<Vec<usize>, Refusal> {
        let mut entries = Vec::with_capacity(target.below.len());
        for below in &target.below {
            let plain_parent = below.relation.kind != RelationKind::Partitioned;
            let descend = match operation {
                Operation::Insert | Operation::CopyFrom if plain_parent => Descend::Only,
                _ => below.descend,
            };
            let entry = self.book.relation(
                self.catalog,
                &below.relation,
                operation,
                Some(&below.via),
                (descend, Keep::Always),
            );
            if let (Some(read), Operation::Update | Operation::Delete) = (below.read, operation) {
                self.book.follow(entry, read);
            }
            self.row_policies(&below.relation, command(operation), entry)?;
            self.of_one_partition(entry, &below.relation);
            self.set_off(&below.relation, operation, descend)?;
            entries.push(entry);
        }
        if !target.below.is_empty() {
            self.expanded.other();
        }
        Ok(entries)
    }
}

/// The relation below a view, whether its descendants are meant, and (column of the view, column of the relation).
type Base = (Arc<Relation>, Descend, Vec<(Arc<str>, Arc<str>)>);

/// Whether a trigger or a rule of the view does the writing. A rule `DO ALSO` leaves the view written through.
fn stands_in(view: &Relation, operation: Operation) -> bool {
    let (event, of_rules) = match operation {
        Operation::Insert => (4, Some(RuleEvent::Insert)),
        Operation::CopyFrom => (4, None),
        Operation::Delete => (8, Some(RuleEvent::Delete)),
        Operation::Update => (16, Some(RuleEvent::Update)),
        _ => (0, None),
    };
    let by_trigger = view
        .triggers
        .iter()
        .any(|trigger| trigger.events & INSTEAD != 0 && trigger.events & event != 0);
    let by_rule = view
        .rules
        .iter()
        .any(|rule| rule.enabled && rule.instead && Some(rule.event) == of_rules);
    by_trigger || by_rule
}

/// The access that reads the relation while the view is read.
fn read_entry(item: &Item, relation: &Relation) -> Option<usize> {
    let of_relation = |column: &Column| column.relation_oid == relation.oid;
    item.fields
        .iter()
        .flat_map(|field| &field.value.sources)
        .find(|origin| of_relation(&origin.column))
        .and_then(|origin| origin.entry)
}

/// The column of the relation that an alias list calls so.
fn renamed_column(relation: &Relation, name: &pg::RangeVar, column: &str) -> Option<Arc<str>> {
    let aliases = &name.alias.as_ref()?.colnames;
    let place = aliases.iter().position(
        |alias| matches!(&alias.node, Some(NodeEnum::String(alias)) if alias.sval == column),
    );
    match place {
        Some(place) => relation
            .columns
            .get(place)
            .map(|column| column.name.clone()),
        None => Some(column.into()),
    }
}

fn not_updatable(view: &Relation) -> Refusal {
    Refusal::new(
        "55000",
        format!("view \"{}\" can't be written through", view.name),
    )
    .hint("only a plain selection from one table can: write to the table itself")
}

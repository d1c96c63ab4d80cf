//! `CREATE VIEW`, `CREATE MATERIALIZED VIEW`, `CREATE TABLE AS`: columns as our own analysis of the query finds them.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, ObjectType, SelectStmt},
};

use super::{
    Problem,
    draft::{Draft, View},
    infer::{Known, type_of},
    text, types,
};
use crate::{
    catalog::{Attribute, Catalog, RelationKind},
    facts::{How, Object, OutputColumn},
    sql::{self, Context, Witness, column_name, strings},
};

/// `CREATE VIEW`
pub(super) fn create(draft: &mut Draft, statement: &pg::ViewStmt) -> Result<(), Problem> {
    let (Some(name), Some(query)) = (
        &statement.view,
        statement
            .query
            .as_deref()
            .and_then(|node| node.node.as_ref()),
    ) else {
        return Err(Problem::not_understood("this view"));
    };
    if name.relpersistence == "t" {
        return Err(
            Problem::new("a temporary view is gone when its session ends")
                .help("take it out of the schema"),
        );
    }
    let read = read(draft, query, &statement.aliases)?;
    let old = draft
        .find(&name.schemaname, &name.relname)
        .map(|table| table.oid);
    let oid = match old {
        Some(oid) if statement.replace => {
            draft.table_mut(oid)?.clear();
            oid
        }
        _ => draft.create(&name.schemaname, &name.relname, RelationKind::View)?,
    };
    fill(draft, oid, read)
}

/// `CREATE MATERIALIZED VIEW`, `CREATE TABLE AS`
pub(super) fn create_as(
    draft: &mut Draft,
    statement: &pg::CreateTableAsStmt,
) -> Result<(), Problem> {
    let (Some(into), Some(query)) = (
        statement.into.as_deref(),
        statement
            .query
            .as_deref()
            .and_then(|node| node.node.as_ref()),
    ) else {
        return Err(Problem::not_understood("this CREATE ... AS"));
    };
    let Some(name) = &into.rel else {
        return Err(Problem::not_understood("this CREATE ... AS"));
    };
    if statement.if_not_exists && draft.find(&name.schemaname, &name.relname).is_some() {
        return Ok(());
    }
    let mut read = read(draft, query, &into.col_names)?;
    let kind = if statement.objtype() == ObjectType::ObjectMatview {
        RelationKind::MaterialisedView
    } else {
        read.view = None;
        RelationKind::Table
    };
    let oid = draft.create(&name.schemaname, &name.relname, kind)?;
    fill(draft, oid, read)
}

/// A column of a view.
struct Shown {
    name: Arc<str>,
    type_oid: u32,
    /// See [`Attribute::nondeterministic`].
    nondeterministic: bool,
}

/// What a query's text comes to.
struct Read {
    columns: Vec<Shown>,
    view: Option<View>,
}

fn fill(draft: &mut Draft, oid: u32, read: Read) -> Result<(), Problem> {
    let table = draft.table_mut(oid)?;
    for Shown {
        name,
        type_oid,
        nondeterministic,
    } in read.columns
    {
        if table.column(&name).is_some() {
            return Err(Problem::new(format!("column `{name}` is there twice")));
        }
        table.add(Attribute {
            number: 0,
            name,
            type_oid,
            not_null: false,
            constrained: false,
            default: None,
            generated: false,
            identity: false,
            nondeterministic,
        });
    }
    table.view = read.view;
    Ok(())
}

fn read(draft: &mut Draft, query: &NodeEnum, aliases: &[Node]) -> Result<Read, Problem> {
    let NodeEnum::SelectStmt(select) = query else {
        return Err(Problem::not_understood("a view that is no query"));
    };
    let qualified = text::query(draft, query)?;
    let catalog = draft.catalog();
    let context = Context {
        catalog: &catalog,
        search_path: &[],
        parameter_types: &[],
        witness: Witness::Off,
        names: &crate::sql::NO_NAMES,
    };
    let mut reads = BTreeSet::new();
    let mut columns = match sql::analyse(qualified.text.as_bytes(), &context) {
        Ok(statements) => {
            let Some(statement) = statements.first() else {
                return Err(Problem::not_understood("a view that is no query"));
            };
            let accesses = statement.facts.accesses.iter();
            reads.extend(accesses.filter_map(|access| match &access.object {
                Object::Relation { oid, .. } => Some(*oid),
                _ => None,
            }));
            let Some(outputs) = &statement.facts.outputs else {
                return Err(Problem::not_understood(
                    "a view whose columns are not known",
                ));
            };
            outputs_typed(draft, &catalog, &qualified.text, outputs)
        }
        Err(refusal) if refusal.unknown_name => return Err(Problem::new(refusal.message)),
        // The server takes it: what reads the view will be refused, as it is with a server.
        Err(refusal) => written_names(select).ok_or_else(|| Problem::new(refusal.message))?,
    };
    let names = strings(aliases).map_err(|_| Problem::not_understood("these column names"))?;
    if names.len() > columns.len() {
        return Err(Problem::new("more column names than columns"));
    }
    for (column, name) in columns.iter_mut().zip(names) {
        column.name = name.into();
    }
    Ok(Read {
        columns,
        view: Some(View {
            definition: qualified.text.into(),
            starred: qualified.starred,
            reads,
        }),
    })
}

/// Names that need no analysis; `None` where a `*` is among them.
fn written_names(select: &SelectStmt) -> Option<Vec<Shown>> {
    let mut select = select;
    while let Some(left) = &select.larg {
        select = left;
    }
    let name = |node: &Node| {
        let Some(NodeEnum::ResTarget(target)) = &node.node else {
            return None;
        };
        if !target.name.is_empty() {
            return Some(target.name.clone());
        }
        let value = target.val.as_deref()?;
        match &value.node {
            Some(NodeEnum::ColumnRef(column)) => {
                let last = column.fields.last()?;
                match &last.node {
                    Some(NodeEnum::String(name)) => Some(name.sval.clone()),
                    _ => None,
                }
            }
            _ => column_name(value),
        }
    };
    let unknown = types::or_unknown(None);
    select
        .target_list
        .iter()
        .map(|node| {
            Some(Shown {
                name: name(node)?.into(),
                type_oid: unknown,
                // Nothing is known of it.
                nondeterministic: true,
            })
        })
        .collect()
}

/// The outputs with their types: a column's own, or what the expression's form tells.
fn outputs_typed(
    draft: &Draft,
    catalog: &Catalog,
    text: &str,
    outputs: &[OutputColumn],
) -> Vec<Shown> {
    let tree = sql::parse(text).ok();
    let statement = tree
        .as_ref()
        .and_then(|tree| tree.stmts.first()?.stmt.as_deref()?.node.as_ref());
    let mut targets: Vec<Option<&Node>> = Vec::new();
    if let Some(NodeEnum::SelectStmt(select)) = statement {
        let mut select = select.as_ref();
        while let Some(left) = &select.larg {
            select = left;
        }
        let row = match select.values_lists.first().map(|node| &node.node) {
            Some(Some(NodeEnum::List(row))) => Some(&row.items),
            _ => None,
        };
        match row {
            Some(row) => targets.extend(row.iter().map(Some)),
            None => targets.extend(select.target_list.iter().map(|node| match &node.node {
                Some(NodeEnum::ResTarget(target)) => target.val.as_deref(),
                _ => None,
            })),
        }
    }
    if targets.len() != outputs.len() {
        // A star stands for several: which target is which column is not known.
        targets.clear();
    }
    outputs
        .iter()
        .enumerate()
        .map(|(index, output)| {
            let target = targets.get(index).copied().flatten();
            let found =
                origin_type(catalog, output).or_else(|| type_of(&Known { draft, output }, target?));
            Shown {
                name: Arc::clone(&output.name),
                type_oid: types::or_unknown(found),
                nondeterministic: is_loose(catalog, output),
            }
        })
        .collect()
}

/// Whether a column that an output is computed from has a collation that calls different texts equal.
fn is_loose(catalog: &Catalog, output: &OutputColumn) -> bool {
    output.lineage.sources.iter().any(|source| {
        let relation = catalog.relation(source.column.relation_oid);
        relation.is_some_and(|relation| {
            let mut attributes = relation.attributes.iter();
            attributes.any(|one| one.number == source.column.attribute && one.nondeterministic)
        })
    })
}

/// The type of the column that an output shows unchanged.
fn origin_type(catalog: &Catalog, output: &OutputColumn) -> Option<u32> {
    if let Some((oid, number)) = output.origin {
        let relation = catalog.relation(oid)?;
        let column = relation
            .columns
            .iter()
            .find(|column| column.attribute == number)?;
        return Some(column.type_oid);
    }
    let mut direct = output
        .lineage
        .sources
        .iter()
        .filter(|source| source.how == How::Direct)
        .map(|source| source.column.type_oid);
    let first = direct.next()?;
    let alone = output
        .lineage
        .sources
        .iter()
        .all(|source| source.how == How::Direct);
    (alone && direct.all(|other| other == first)).then_some(first)
}

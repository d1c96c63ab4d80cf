//! Constraints and indexes: which columns they are about, and what they tell of rows.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, ConstrType, Node},
};

use super::{
    Problem,
    draft::{Constraint, Draft, Speaks, Table},
    table, text,
};
use crate::sql::strings;

/// Adds a constraint; `column` is the column whose definition it stands in. What is about the column alone was read
/// with it.
pub(super) fn add(
    draft: &mut Draft,
    oid: u32,
    column: Option<&str>,
    constraint: &pg::Constraint,
) -> Result<(), Problem> {
    match constraint.contype() {
        ConstrType::ConstrNull
        | ConstrType::ConstrDefault
        | ConstrType::ConstrIdentity
        | ConstrType::ConstrGenerated
        | ConstrType::ConstrAttrDeferrable
        | ConstrType::ConstrAttrNotDeferrable
        | ConstrType::ConstrAttrDeferred
        | ConstrType::ConstrAttrImmediate
        | ConstrType::ConstrAttrEnforced
        | ConstrType::ConstrAttrNotEnforced => Ok(()),
        ConstrType::ConstrNotnull => not_null(draft, oid, column, constraint),
        ConstrType::ConstrCheck => check(draft, oid, column, constraint),
        ConstrType::ConstrPrimary | ConstrType::ConstrUnique => {
            unique(draft, oid, column, constraint)
        }
        ConstrType::ConstrExclusion => exclusion(draft, oid, constraint),
        ConstrType::ConstrForeign => foreign(draft, oid, column, constraint),
        ConstrType::Undefined => Err(Problem::not_understood("this constraint")),
    }
}

fn not_null(
    draft: &mut Draft,
    oid: u32,
    column: Option<&str>,
    constraint: &pg::Constraint,
) -> Result<(), Problem> {
    // Since PostgreSQL 18 it may be a table's constraint with a column of its own.
    for name in column.into_iter().chain(key_names(&constraint.keys)?) {
        let Some(own) = draft.table_mut(oid)?.column_mut(name) else {
            return Err(no_column(name));
        };
        own.not_null = true;
    }
    Ok(())
}

fn check(
    draft: &mut Draft,
    oid: u32,
    column: Option<&str>,
    constraint: &pg::Constraint,
) -> Result<(), Problem> {
    let Some(expression) = constraint.raw_expr.as_deref() else {
        return Err(Problem::not_understood("this CHECK"));
    };
    let read = text::expression(draft, expression)?;
    let table = draft.table(oid)?;
    let columns: BTreeSet<i16> = numbers_in(table, &read.columns);
    let only = match columns.iter().collect::<Vec<_>>().as_slice() {
        [number] => table
            .columns
            .iter()
            .find(|one| one.number == **number)
            .map(|one| one.name.to_string()),
        _ => None,
    };
    let label = column.map(str::to_owned).or(only).unwrap_or_default();
    let found = Constraint {
        name: free_name(draft, oid, &constraint.conname, &label, "check")?,
        speaks: Speaks::Check {
            inherited: !constraint.is_no_inherit,
            expression: read.calls_users.then(|| read.text.into()),
        },
        columns,
        expressions: Vec::new(),
    };
    draft.table_mut(oid)?.constraints.push(found);
    Ok(())
}

pub(super) fn numbers_in(table: &Table, names: &BTreeSet<String>) -> BTreeSet<i16> {
    names
        .iter()
        .filter_map(|name| table.column(name))
        .map(|column| column.number)
        .collect()
}

fn unique(
    draft: &mut Draft,
    oid: u32,
    column: Option<&str>,
    constraint: &pg::Constraint,
) -> Result<(), Problem> {
    let primary = constraint.contype() == ConstrType::ConstrPrimary;
    let label = if primary { "pkey" } else { "key" };
    if !constraint.indexname.is_empty() {
        return adopt_index(draft, oid, constraint);
    }
    let written = key_names(&constraint.keys)?;
    let names: Vec<&str> = column.into_iter().chain(written).collect();
    let key = numbers(draft, oid, &names)?;
    let included = numbers(
        draft,
        oid,
        &key_names(&constraint.including)?.collect::<Vec<_>>(),
    )?;
    if primary {
        for name in &names {
            if let Some(own) = draft.table_mut(oid)?.column_mut(name) {
                own.not_null = true;
            }
        }
    }
    let middle = if primary {
        String::new()
    } else {
        names.join("_")
    };
    let found = Constraint {
        name: free_name(draft, oid, &constraint.conname, &middle, label)?,
        speaks: Speaks::Unique {
            key: (!constraint.deferrable).then(|| key.iter().copied().collect()),
            primary: primary.then(|| key.clone()),
        },
        columns: key.into_iter().chain(included).collect(),
        expressions: Vec::new(),
    };
    draft.table_mut(oid)?.constraints.push(found);
    Ok(())
}

/// `UNIQUE USING INDEX`, `PRIMARY KEY USING INDEX`: the index becomes the constraint.
fn adopt_index(draft: &mut Draft, oid: u32, constraint: &pg::Constraint) -> Result<(), Problem> {
    let primary = constraint.contype() == ConstrType::ConstrPrimary;
    let table = draft.table_mut(oid)?;
    let found = table
        .constraints
        .iter_mut()
        .find(|found| found.name == constraint.indexname);
    let Some(found) = found else {
        return Err(Problem::new(format!(
            "index `{}` does not exist",
            constraint.indexname
        )));
    };
    if !constraint.conname.is_empty() {
        found.name.clone_from(&constraint.conname);
    }
    let columns: Vec<i16> = found.columns.iter().copied().collect();
    if let Speaks::Unique {
        key,
        primary: is_primary,
    } = &mut found.speaks
    {
        if constraint.deferrable {
            *key = None;
        }
        *is_primary = primary.then(|| columns.clone());
    }
    if primary {
        for column in table
            .columns
            .iter_mut()
            .filter(|one| columns.contains(&one.number))
        {
            column.not_null = true;
        }
    }
    Ok(())
}

fn exclusion(draft: &mut Draft, oid: u32, constraint: &pg::Constraint) -> Result<(), Problem> {
    let mut parts = Parts::default();
    for node in &constraint.exclusions {
        let Some(NodeEnum::List(pair)) = &node.node else {
            return Err(Problem::not_understood("this EXCLUDE"));
        };
        if let Some(Some(NodeEnum::IndexElem(element))) = pair.items.first().map(|node| &node.node)
        {
            parts.element(draft, oid, element)?;
        }
    }
    parts.predicate(draft, oid, constraint.where_clause.as_deref())?;
    let found = Constraint {
        name: free_name(draft, oid, &constraint.conname, &parts.label, "excl")?,
        speaks: Speaks::Exclusion,
        columns: parts.columns,
        expressions: parts.expressions,
    };
    draft.table_mut(oid)?.constraints.push(found);
    Ok(())
}

fn foreign(
    draft: &mut Draft,
    oid: u32,
    column: Option<&str>,
    constraint: &pg::Constraint,
) -> Result<(), Problem> {
    let Some(name) = &constraint.pktable else {
        return Err(Problem::not_understood("this FOREIGN KEY"));
    };
    let to = draft.relation(&name.schemaname, &name.relname)?;
    let written = key_names(&constraint.fk_attrs)?;
    let names: Vec<&str> = column.into_iter().chain(written).collect();
    let from = numbers(draft, oid, &names)?;
    let referenced = if constraint.pk_attrs.is_empty() {
        let primary = draft
            .table(to)?
            .constraints
            .iter()
            .find_map(|one| match &one.speaks {
                Speaks::Unique { primary, .. } => primary.clone(),
                _ => None,
            });
        primary.ok_or_else(|| {
            Problem::new(format!(
                "there is no primary key for referenced table `{}`",
                name.relname
            ))
        })?
    } else {
        numbers(
            draft,
            to,
            &key_names(&constraint.pk_attrs)?.collect::<Vec<_>>(),
        )?
    };
    let action = |written: &str| written.chars().next().unwrap_or('a');
    let found = Constraint {
        name: free_name(draft, oid, &constraint.conname, &names.join("_"), "fkey")?,
        columns: from.iter().copied().collect(),
        speaks: Speaks::Foreign {
            to,
            from,
            referenced,
            on_delete: action(&constraint.fk_del_action),
            on_update: action(&constraint.fk_upd_action),
        },
        expressions: Vec::new(),
    };
    draft.table_mut(oid)?.constraints.push(found);
    Ok(())
}

/// `CREATE INDEX`
pub(super) fn index(draft: &mut Draft, statement: &pg::IndexStmt) -> Result<(), Problem> {
    let Some(name) = &statement.relation else {
        return Err(Problem::not_understood("an index without a table"));
    };
    let oid = draft.relation(&name.schemaname, &name.relname)?;
    let taken = |draft: &Draft| {
        draft.table(oid).is_ok_and(|table| {
            table
                .constraints
                .iter()
                .any(|one| one.name == statement.idxname)
        })
    };
    if statement.if_not_exists && taken(draft) {
        return Ok(());
    }
    let mut parts = Parts::default();
    let mut key = BTreeSet::new();
    for node in &statement.index_params {
        let Some(NodeEnum::IndexElem(element)) = &node.node else {
            return Err(Problem::not_understood("this index"));
        };
        parts.element(draft, oid, element)?;
        key.extend(
            draft
                .table(oid)?
                .column(&element.name)
                .map(|column| column.number),
        );
    }
    let whole = !parts.has_expression && statement.where_clause.is_none();
    for node in &statement.index_including_params {
        if let Some(NodeEnum::IndexElem(element)) = &node.node {
            parts.element(draft, oid, element)?;
        }
    }
    parts.predicate(draft, oid, statement.where_clause.as_deref())?;
    let found = Constraint {
        name: free_name(draft, oid, &statement.idxname, &parts.label, "idx")?,
        speaks: if statement.unique {
            Speaks::Unique {
                key: whole.then_some(key),
                primary: None,
            }
        } else {
            Speaks::Index
        },
        // An index that excludes nothing tells nothing.
        columns: if statement.unique {
            parts.columns
        } else {
            BTreeSet::new()
        },
        expressions: parts.expressions,
    };
    draft.table_mut(oid)?.constraints.push(found);
    Ok(())
}

/// What an index is about.
#[derive(Debug, Default)]
struct Parts {
    columns: BTreeSet<i16>,
    expressions: Vec<Arc<str>>,
    has_expression: bool,
    label: String,
}

impl Parts {
    fn element(&mut self, draft: &Draft, oid: u32, element: &pg::IndexElem) -> Result<(), Problem> {
        let name = match element.expr.as_deref() {
            Some(expression) => {
                self.has_expression = true;
                self.expression(draft, oid, expression)?;
                "expr"
            }
            None => {
                self.columns
                    .extend(numbers(draft, oid, &[element.name.as_str()])?);
                element.name.as_str()
            }
        };
        if !self.label.is_empty() {
            self.label.push('_');
        }
        self.label.push_str(name);
        Ok(())
    }

    fn predicate(&mut self, draft: &Draft, oid: u32, node: Option<&Node>) -> Result<(), Problem> {
        match node {
            Some(node) => self.expression(draft, oid, node),
            None => Ok(()),
        }
    }

    fn expression(&mut self, draft: &Draft, oid: u32, node: &Node) -> Result<(), Problem> {
        let read = text::expression(draft, node)?;
        self.columns
            .extend(numbers_in(draft.table(oid)?, &read.columns));
        if read.calls_users {
            self.expressions.push(read.text.into());
        }
        Ok(())
    }
}

/// The name that is written, or the one that PostgreSQL makes up.
fn free_name(
    draft: &Draft,
    oid: u32,
    written: &str,
    middle: &str,
    label: &str,
) -> Result<String, Problem> {
    if !written.is_empty() {
        return Ok(written.to_owned());
    }
    let table = draft.table(oid)?;
    let mut name = table::joined(&table.name, middle, label);
    let mut count = 0_u32;
    while table.constraints.iter().any(|one| one.name == name) {
        count = count.saturating_add(1);
        name = table::joined(&table.name, middle, &format!("{label}{count}"));
    }
    Ok(name)
}

fn key_names(nodes: &[Node]) -> Result<impl Iterator<Item = &str>, Problem> {
    strings(nodes)
        .map(Vec::into_iter)
        .map_err(|_| Problem::not_understood("this key"))
}

/// The numbers of columns.
pub(super) fn numbers(draft: &Draft, oid: u32, names: &[&str]) -> Result<Vec<i16>, Problem> {
    let table = draft.table(oid)?;
    let number = |name: &&str| {
        table
            .column(name)
            .map(|column| column.number)
            .ok_or_else(|| no_column(name))
    };
    names.iter().map(number).collect()
}

pub(super) fn no_column(name: &str) -> Problem {
    Problem::new(format!("column `{name}` does not exist"))
}

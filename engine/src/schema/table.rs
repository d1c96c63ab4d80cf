//! `CREATE TABLE` and its relatives: columns, parents, sequences.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, ConstrType, Node, a_const::Val},
};

use super::{
    Problem, constraint,
    draft::{Ancestry, Constraint, Draft, Speaks},
    text, types,
};
use crate::{
    catalog::{Attribute, RelationKind},
    sql::strings,
};

/// Longest name, in bytes, that PostgreSQL keeps.
const NAME_BYTES_MAX: usize = 63;

/// `CREATE TABLE`, `CREATE FOREIGN TABLE`
pub(super) fn create(
    draft: &mut Draft,
    statement: &pg::CreateStmt,
    kind: RelationKind,
) -> Result<(), Problem> {
    let Some(name) = &statement.relation else {
        return Err(Problem::not_understood("a table without a name"));
    };
    if name.relpersistence == "t" {
        return Err(
            Problem::new("a temporary table is gone when its session ends")
                .help("take it out of the schema"),
        );
    }
    if statement.if_not_exists && draft.find(&name.schemaname, &name.relname).is_some() {
        return Ok(());
    }
    if statement.of_typename.is_some() {
        return Err(Problem::not_understood("CREATE TABLE ... OF"));
    }
    let mut parents = Vec::new();
    for node in &statement.inh_relations {
        let Some(NodeEnum::RangeVar(parent)) = &node.node else {
            return Err(Problem::not_understood("this INHERITS"));
        };
        parents.push(draft.relation(&parent.schemaname, &parent.relname)?);
    }
    let kind = if statement.partspec.is_some() {
        RelationKind::Partitioned
    } else {
        kind
    };
    let oid = draft.create(&name.schemaname, &name.relname, kind)?;
    // A table that failed half-way would make what follows fail for other reasons.
    fill(draft, oid, statement, parents).inspect_err(|_| draft.remove(oid))
}

fn fill(
    draft: &mut Draft,
    oid: u32,
    statement: &pg::CreateStmt,
    parents: Vec<u32>,
) -> Result<(), Problem> {
    let table = draft.table_mut(oid)?;
    table.parents.clone_from(&parents);
    if statement.partbound.is_some() {
        table.ancestry = Ancestry::Partition;
    }
    for parent in parents {
        inherit(draft, oid, parent)?;
    }
    let mut late: Vec<(Option<&str>, &pg::Constraint)> = Vec::new();
    for node in &statement.table_elts {
        match &node.node {
            Some(NodeEnum::ColumnDef(definition)) => {
                column(draft, oid, definition)?;
                for node in &definition.constraints {
                    if let Some(NodeEnum::Constraint(constraint)) = &node.node {
                        late.push((Some(&definition.colname), constraint));
                    }
                }
            }
            Some(NodeEnum::Constraint(constraint)) => late.push((None, constraint)),
            Some(NodeEnum::TableLikeClause(like)) => copy_shape(draft, oid, like)?,
            _ => return Err(Problem::not_understood("this element of a table")),
        }
    }
    // They may be about columns that come behind them. Keys first: a foreign key may refer to its own table's.
    let is_foreign =
        |constraint: &pg::Constraint| constraint.contype() == ConstrType::ConstrForeign;
    let (foreign, own): (Vec<_>, Vec<_>) = late.into_iter().partition(|(_, one)| is_foreign(one));
    for (column, one) in own.into_iter().chain(foreign) {
        constraint::add(draft, oid, column, one)?;
    }
    for element in statement.partspec.iter().flat_map(|spec| &spec.part_params) {
        partition_key(draft, oid, element)?;
    }
    Ok(())
}

/// One column or expression of `PARTITION BY`.
fn partition_key(draft: &mut Draft, oid: u32, element: &Node) -> Result<(), Problem> {
    let Some(NodeEnum::PartitionElem(element)) = &element.node else {
        return Err(Problem::not_understood("this PARTITION BY"));
    };
    let columns: BTreeSet<i16> = match element.expr.as_deref() {
        Some(expression) => {
            let read = text::expression(draft, expression)?;
            constraint::numbers_in(draft.table(oid)?, &read.columns)
        }
        None => {
            let found = constraint::numbers(draft, oid, &[&element.name])?;
            found.into_iter().collect()
        }
    };
    draft.table_mut(oid)?.partition_key.extend(columns);
    Ok(())
}

/// Takes over a parent's columns: all of them but identity and keys.
fn inherit(draft: &mut Draft, oid: u32, parent: u32) -> Result<(), Problem> {
    let columns = draft.table(parent)?.columns.clone();
    let table = draft.table_mut(oid)?;
    for column in columns {
        match table.column_mut(&column.name) {
            Some(own) => {
                own.not_null |= column.not_null;
                if own.default.is_none() {
                    own.default = column.default;
                }
            }
            None => table.add(Attribute {
                identity: false,
                ..column
            }),
        }
    }
    Ok(())
}

/// `LIKE other INCLUDING ...`
fn copy_shape(draft: &mut Draft, oid: u32, like: &pg::TableLikeClause) -> Result<(), Problem> {
    const CONSTRAINTS: u32 = 1 << 2;
    const DEFAULTS: u32 = 1 << 3;
    const GENERATED: u32 = 1 << 4;
    const IDENTITY: u32 = 1 << 5;
    const INDEXES: u32 = 1 << 6;
    let Some(name) = &like.relation else {
        return Err(Problem::not_understood("LIKE without a name"));
    };
    let including = |option: u32| like.options & option != 0;
    let other = draft
        .table(draft.relation(&name.schemaname, &name.relname)?)?
        .clone();
    for column in &other.columns {
        let keeps = match (column.generated, column.default.is_some()) {
            (true, _) => including(GENERATED),
            (false, _) => including(DEFAULTS),
        };
        let identity = column.identity && including(IDENTITY);
        if identity {
            sequence_of(draft, oid, &column.name)?;
        }
        draft.table_mut(oid)?.add(Attribute {
            default: column.default.clone().filter(|_| keeps),
            generated: column.generated && keeps,
            identity,
            ..column.clone()
        });
    }
    let copied: Vec<Constraint> = other
        .constraints
        .iter()
        .filter(|constraint| match constraint.speaks {
            Speaks::Check { .. } => including(CONSTRAINTS),
            Speaks::Unique { .. } | Speaks::Exclusion | Speaks::Index => including(INDEXES),
            Speaks::Foreign { .. } => false,
        })
        .cloned()
        .collect();
    let table = draft.table_mut(oid)?;
    for constraint in copied {
        let renumbered = |number: &i16| {
            let name = &other
                .columns
                .iter()
                .find(|column| column.number == *number)?
                .name;
            table.column(name).map(|column| column.number)
        };
        let columns = constraint.columns.iter().filter_map(renumbered).collect();
        let speaks = match &constraint.speaks {
            Speaks::Unique { key, primary } => Speaks::Unique {
                key: key
                    .as_ref()
                    .map(|key| key.iter().filter_map(renumbered).collect()),
                primary: primary
                    .as_ref()
                    .map(|key| key.iter().filter_map(renumbered).collect()),
            },
            other => other.clone(),
        };
        let copy = Constraint {
            columns,
            speaks,
            ..constraint
        };
        table.constraints.push(copy);
    }
    Ok(())
}

/// Adds a column, or says more of one that a parent has. Its constraints that speak about more than the column itself
/// are for the caller.
pub(super) fn column(
    draft: &mut Draft,
    oid: u32,
    definition: &pg::ColumnDef,
) -> Result<(), Problem> {
    let name = definition.colname.as_str();
    let inherited = draft.table(oid)?.column(name).cloned();
    let serial = definition.type_name.as_ref().and_then(serial_type);
    let type_oid = match (&definition.type_name, serial, &inherited) {
        (_, Some(type_name), _) => super::server::SERVER.type_oid(type_name),
        (Some(type_name), None, _) => types::find(draft, type_name)?,
        // `PARTITION OF ... (name WITH OPTIONS ...)`
        (None, None, Some(inherited)) => inherited.type_oid,
        (None, None, None) => return Err(Problem::not_understood("a column without a type")),
    };
    let mut attribute = inherited.clone().unwrap_or(Attribute {
        number: 0,
        name: name.into(),
        type_oid,
        not_null: false,
        constrained: false,
        default: None,
        generated: false,
        identity: false,
        nondeterministic: false,
    });
    attribute.nondeterministic = match &definition.coll_clause {
        Some(collation) => types::is_loose(draft, collation),
        None => attribute.nondeterministic || draft.loose_domains.contains(&type_oid),
    };
    attribute.not_null |= definition.is_not_null;
    if serial.is_some() {
        let sequence = sequence_of(draft, oid, name)?;
        attribute.not_null = true;
        attribute.default = Some(format!("nextval('{sequence}'::regclass)").into());
    }
    if let Some(default) = definition.raw_default.as_deref() {
        attribute.default = Some(default_text(draft, default)?);
    }
    for node in &definition.constraints {
        let Some(NodeEnum::Constraint(constraint)) = &node.node else {
            return Err(Problem::not_understood("this column"));
        };
        match (constraint.contype(), constraint.raw_expr.as_deref()) {
            (ConstrType::ConstrNotnull | ConstrType::ConstrPrimary, _) => attribute.not_null = true,
            (ConstrType::ConstrDefault, Some(default)) => {
                attribute.default = Some(default_text(draft, default)?);
            }
            (ConstrType::ConstrGenerated, Some(expression)) => {
                if constraint.generated_kind == "v" {
                    return Err(Problem::not_understood("a virtual generated column"));
                }
                attribute.default = Some(text::expression(draft, expression)?.text.into());
                attribute.generated = true;
            }
            (ConstrType::ConstrIdentity, _) => {
                sequence_of(draft, oid, name)?;
                attribute.identity = true;
                attribute.not_null = true;
            }
            _ => {}
        }
    }
    let table = draft.table_mut(oid)?;
    match table.column_mut(name) {
        Some(own) => *own = attribute,
        None => table.add(attribute),
    }
    Ok(())
}

/// The type behind `serial` and its relatives.
fn serial_type(name: &pg::TypeName) -> Option<&'static str> {
    match strings(&name.names).ok()?.as_slice() {
        ["serial" | "serial4"] => Some("int4"),
        ["bigserial" | "serial8"] => Some("int8"),
        ["smallserial" | "serial2"] => Some("int2"),
        _ => None,
    }
}

/// Makes the sequence behind a serial or identity column; returns its name as a default's text has it.
pub(super) fn sequence_of(draft: &mut Draft, oid: u32, column: &str) -> Result<String, Problem> {
    let table = draft.table(oid)?;
    let (schema, name) = (Arc::clone(&table.schema), Arc::clone(&table.name));
    let free = |draft: &Draft, name: &str| draft.find(&schema, name).is_none();
    let mut sequence = joined(&name, column, "seq");
    let mut count = 0_u32;
    while !free(draft, &sequence) {
        count = count.saturating_add(1);
        sequence = joined(&name, column, &format!("seq{count}"));
    }
    create_sequence(draft, &schema, &sequence)?;
    Ok(format!("{}.{}", text::quoted(&schema), text::quoted(&sequence)).replace('\'', "''"))
}

/// A sequence, with the columns that every one has.
pub(super) fn create_sequence(draft: &mut Draft, schema: &str, name: &str) -> Result<(), Problem> {
    let oid = draft.create(schema, name, RelationKind::Sequence)?;
    let types = ["int8", "int8", "bool"].map(|name| super::server::SERVER.type_oid(name));
    let table = draft.table_mut(oid)?;
    for (name, type_oid) in ["last_value", "log_cnt", "is_called"]
        .into_iter()
        .zip(types)
    {
        table.add(Attribute {
            number: 0,
            name: name.into(),
            type_oid,
            not_null: true,
            constrained: false,
            default: None,
            generated: false,
            identity: false,
            nondeterministic: false,
        });
    }
    Ok(())
}

/// `{first}_{second}_{label}`, the longer of the two cut until it fits.
///
/// # Source
/// PostgreSQL, `makeObjectName`.
pub(super) fn joined(first: &str, second: &str, label: &str) -> String {
    let (mut first, mut second) = (first.to_owned(), second.to_owned());
    let extra = label
        .len()
        .saturating_add(if second.is_empty() { 1 } else { 2 });
    while first
        .len()
        .saturating_add(second.len())
        .saturating_add(extra)
        > NAME_BYTES_MAX
    {
        let longer = if first.len() > second.len() {
            &mut first
        } else {
            &mut second
        };
        if longer.pop().is_none() {
            break;
        }
    }
    if second.is_empty() {
        format!("{first}_{label}")
    } else {
        format!("{first}_{second}_{label}")
    }
}

/// A default as the catalog has it: `NULL` for any constant, since what matters is what it runs.
pub(super) fn default_text(draft: &Draft, node: &Node) -> Result<Arc<str>, Problem> {
    if is_constant(node) {
        return Ok("NULL".into());
    }
    if let Some(sequence) = next_of(draft, node) {
        return Ok(format!("nextval('{sequence}'::regclass)").into());
    }
    Ok(text::expression(draft, node)?.text.into())
}

/// The sequence of `nextval('tickets')`, which the server stores as what it is, not as a text.
fn next_of(draft: &Draft, node: &Node) -> Option<String> {
    let Some(NodeEnum::FuncCall(call)) = &node.node else {
        return None;
    };
    let names = strings(&call.funcname).ok()?;
    let ([argument], ["nextval"] | ["pg_catalog", "nextval"]) =
        (call.args.as_slice(), names.as_slice())
    else {
        return None;
    };
    let Some(NodeEnum::AConst(constant)) = &argument.node else {
        return None;
    };
    let Some(Val::Sval(written)) = &constant.val else {
        return None;
    };
    let (schema, name) = written.sval.split_once('.').unwrap_or(("", &written.sval));
    let found = draft.find(schema.trim_matches('"'), name.trim_matches('"'))?;
    let place = format!(
        "{}.{}",
        text::quoted(&found.schema),
        text::quoted(&found.name)
    );
    Some(place.replace('\'', "''"))
}

/// A literal, or a cast of a text literal: its type reads it once, when the default is made.
fn is_constant(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => match cast.arg.as_deref().map(|node| &node.node) {
            Some(Some(NodeEnum::AConst(constant))) => {
                constant.isnull || matches!(constant.val, Some(Val::Sval(_)))
            }
            _ => false,
        },
        _ => false,
    }
}

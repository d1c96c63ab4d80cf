//! `ALTER TABLE` and its relatives, renames, and drops.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, AlterTableType as Change, DropBehavior, Node, ObjectType},
};

use super::{
    Problem, constraint,
    draft::{Ancestry, Draft, Speaks},
    table, text, types,
};
use crate::{catalog::RelationKind, sql::strings};

/// `ALTER TABLE`, and of views, indexes, sequences and composite types.
pub(super) fn table(draft: &mut Draft, statement: &pg::AlterTableStmt) -> Result<(), Problem> {
    let Some(name) = &statement.relation else {
        return Err(Problem::not_understood("ALTER without a name"));
    };
    // `ALTER INDEX ... ATTACH PARTITION` and storage parameters: what the keys are about is the table's.
    if statement.objtype() == ObjectType::ObjectIndex {
        return Ok(());
    }
    let Some(found) = draft.find(&name.schemaname, &name.relname) else {
        return match statement.missing_ok {
            true => Ok(()),
            false => draft.relation(&name.schemaname, &name.relname).map(drop),
        };
    };
    let oid = found.oid;
    for node in &statement.cmds {
        let Some(NodeEnum::AlterTableCmd(command)) = &node.node else {
            return Err(Problem::not_understood("this ALTER TABLE"));
        };
        change(draft, oid, command)?;
    }
    Ok(())
}

fn change(draft: &mut Draft, oid: u32, command: &pg::AlterTableCmd) -> Result<(), Problem> {
    let definition = command.def.as_deref().and_then(|node| node.node.as_ref());
    let name = command.name.as_str();
    match (command.subtype(), definition) {
        (Change::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => {
            add_column(draft, oid, column, command.missing_ok)
        }
        (Change::AtDropColumn, _) => drop_column(draft, oid, command),
        (Change::AtColumnDefault, definition) => {
            let default = definition
                .and(command.def.as_deref())
                .map(|node| table::default_text(draft, node))
                .transpose()?;
            each(draft, oid, name, |column| {
                column.default.clone_from(&default)
            })
        }
        (Change::AtSetNotNull, _) => each(draft, oid, name, |column| column.not_null = true),
        (Change::AtDropNotNull, _) => each(draft, oid, name, |column| column.not_null = false),
        (Change::AtDropExpression, _) => each(draft, oid, name, |column| {
            column.generated = false;
            column.default = None;
        }),
        (Change::AtAddIdentity, _) => {
            table::sequence_of(draft, oid, name)?;
            one(draft, oid, name, |column| column.identity = true)
        }
        (Change::AtDropIdentity, _) => one(draft, oid, name, |column| column.identity = false),
        (Change::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
            retype(draft, oid, name, column)
        }
        (Change::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) => {
            constraint::add(draft, oid, None, constraint)
        }
        (Change::AtDropConstraint, _) => drop_constraint(draft, oid, name, command.missing_ok),
        (Change::AtAttachPartition, Some(NodeEnum::PartitionCmd(partition))) => {
            attach(draft, oid, partition.name.as_ref(), Ancestry::Partition)
        }
        (Change::AtDetachPartition, Some(NodeEnum::PartitionCmd(partition))) => {
            detach(draft, oid, partition.name.as_ref())
        }
        (Change::AtAddInherit, Some(NodeEnum::RangeVar(parent))) => {
            let parent = draft.relation(&parent.schemaname, &parent.relname)?;
            draft.table_mut(oid)?.parents.push(parent);
            Ok(())
        }
        (Change::AtDropInherit, Some(NodeEnum::RangeVar(parent))) => {
            let parent = draft.relation(&parent.schemaname, &parent.relname)?;
            draft.table_mut(oid)?.parents.retain(|own| *own != parent);
            Ok(())
        }
        (Change::AtDisableTrig, _) => switch(draft, oid, Some(name), Switch::Off),
        (Change::AtDisableTrigAll | Change::AtDisableTrigUser, _) => {
            switch(draft, oid, None, Switch::Off)
        }
        (Change::AtEnableTrig | Change::AtEnableAlwaysTrig | Change::AtEnableReplicaTrig, _) => {
            switch(draft, oid, Some(name), Switch::On)
        }
        (Change::AtEnableTrigAll | Change::AtEnableTrigUser, _) => {
            switch(draft, oid, None, Switch::On)
        }
        (Change::AtEnableRule | Change::AtEnableAlwaysRule | Change::AtEnableReplicaRule, _) => {
            switch_rule(draft, oid, name, Switch::On)
        }
        (Change::AtDisableRule, _) => switch_rule(draft, oid, name, Switch::Off),
        (
            subtype @ (Change::AtEnableRowSecurity
            | Change::AtDisableRowSecurity
            | Change::AtForceRowSecurity
            | Change::AtNoForceRowSecurity),
            _,
        ) => row_security(draft, oid, subtype),
        (subtype, _) if changes_nothing(subtype) => Ok(()),
        _ => {
            Err(Problem::not_understood("this ALTER TABLE")
                .help("write the table as it is in the end"))
        }
    }
}

/// Changes that analysis knows nothing of: owners, storage, statistics, validation.
const fn changes_nothing(change: Change) -> bool {
    matches!(
        change,
        Change::AtChangeOwner
            | Change::AtSetStatistics
            | Change::AtSetOptions
            | Change::AtResetOptions
            | Change::AtSetStorage
            | Change::AtSetCompression
            | Change::AtValidateConstraint
            | Change::AtAlterColumnGenericOptions
            | Change::AtClusterOn
            | Change::AtDropCluster
            | Change::AtSetLogged
            | Change::AtSetUnLogged
            | Change::AtSetAccessMethod
            | Change::AtSetTableSpace
            | Change::AtSetRelOptions
            | Change::AtResetRelOptions
            | Change::AtReplicaIdentity
            | Change::AtGenericOptions
            | Change::AtSetIdentity
    )
}

/// The relation and everything below it.
fn family(draft: &Draft, oid: u32) -> Vec<u32> {
    let mut found = vec![oid];
    let mut next = 0;
    while let Some(oid) = found.get(next) {
        let children: Vec<u32> = draft.children(*oid).map(|table| table.oid).collect();
        found.extend(
            children
                .into_iter()
                .filter(|child| !found.contains(child))
                .collect::<Vec<_>>(),
        );
        next = next.saturating_add(1);
    }
    found
}

fn one(
    draft: &mut Draft,
    oid: u32,
    name: &str,
    change: impl FnOnce(&mut crate::catalog::Attribute),
) -> Result<(), Problem> {
    match draft.table_mut(oid)?.column_mut(name) {
        Some(column) => {
            change(column);
            Ok(())
        }
        None => Err(constraint::no_column(name)),
    }
}

/// Changes a column wherever it is inherited.
fn each(
    draft: &mut Draft,
    oid: u32,
    name: &str,
    change: impl Fn(&mut crate::catalog::Attribute),
) -> Result<(), Problem> {
    family(draft, oid)
        .into_iter()
        .try_for_each(|oid| one(draft, oid, name, &change))
}

/// A view keeps the columns that it was made with; its text would now mean others.
fn no_view_over(draft: &Draft, oid: u32, star_only: Stars) -> Result<(), Problem> {
    let concerned = |view: &&super::draft::Table| match star_only {
        Stars::Matter => view.view.as_ref().is_some_and(|view| view.starred),
        Stars::DoNotMatter => true,
    };
    match draft.views_over(oid).find(concerned) {
        Some(view) => Err(Problem::new(format!(
            "view `{}.{}` was made before and reads it",
            view.schema, view.name
        ))
        .help("write the view behind this statement")),
        None => Ok(()),
    }
}

/// Which views a change concerns.
#[derive(Debug, Clone, Copy)]
enum Stars {
    /// Those with a star left in them.
    Matter,
    /// All.
    DoNotMatter,
}

fn add_column(
    draft: &mut Draft,
    oid: u32,
    column: &pg::ColumnDef,
    if_missing: bool,
) -> Result<(), Problem> {
    if draft.table(oid)?.column(&column.colname).is_some() {
        return match if_missing {
            true => Ok(()),
            false => Err(Problem::new(format!(
                "column `{}` already exists",
                column.colname
            ))),
        };
    }
    for oid in family(draft, oid) {
        no_view_over(draft, oid, Stars::Matter)?;
        table::column(draft, oid, column)?;
    }
    for node in &column.constraints {
        if let Some(NodeEnum::Constraint(constraint)) = &node.node {
            constraint::add(draft, oid, Some(&column.colname), constraint)?;
        }
    }
    Ok(())
}

fn drop_column(draft: &mut Draft, oid: u32, command: &pg::AlterTableCmd) -> Result<(), Problem> {
    let Some(column) = draft.table(oid)?.column(&command.name) else {
        return match command.missing_ok {
            true => Ok(()),
            false => Err(constraint::no_column(&command.name)),
        };
    };
    let number = column.number;
    let referenced = draft.tables.values().any(|other| {
        other.constraints.iter().any(|one| {
            matches!(&one.speaks, Speaks::Foreign { to, referenced, .. } if *to == oid && referenced.contains(&number))
        })
    });
    if referenced {
        return Err(Problem::new("a foreign key refers to the column")
            .help("drop the foreign key before it"));
    }
    for oid in family(draft, oid) {
        no_view_over(draft, oid, Stars::DoNotMatter)?;
        let table = draft.table_mut(oid)?;
        let Some(number) = table.column(&command.name).map(|column| column.number) else {
            continue;
        };
        table.columns.retain(|column| column.number != number);
        table
            .constraints
            .retain(|one| !one.columns.contains(&number));
    }
    Ok(())
}

fn retype(draft: &mut Draft, oid: u32, name: &str, column: &pg::ColumnDef) -> Result<(), Problem> {
    let Some(type_name) = &column.type_name else {
        return Err(Problem::not_understood("this ALTER COLUMN"));
    };
    let type_oid = types::find(draft, type_name)?;
    for oid in family(draft, oid) {
        no_view_over(draft, oid, Stars::DoNotMatter)?;
        one(draft, oid, name, |column| column.type_oid = type_oid)?;
    }
    Ok(())
}

fn drop_constraint(draft: &mut Draft, oid: u32, name: &str, if_there: bool) -> Result<(), Problem> {
    let constraints = &mut draft.table_mut(oid)?.constraints;
    let before = constraints.len();
    constraints.retain(|constraint| constraint.name != name);
    if constraints.len() == before && !if_there {
        return Err(Problem::new(format!("constraint `{name}` does not exist")));
    }
    Ok(())
}

fn attach(
    draft: &mut Draft,
    oid: u32,
    child: Option<&pg::RangeVar>,
    ancestry: Ancestry,
) -> Result<(), Problem> {
    let Some(child) = child else {
        return Err(Problem::not_understood("this ATTACH PARTITION"));
    };
    let child = draft.relation(&child.schemaname, &child.relname)?;
    // A partition's key columns are as the key needs them.
    let keys: Vec<Arc<str>> = {
        let parent = draft.table(oid)?;
        let required = parent.columns.iter().filter(|column| column.not_null);
        required.map(|column| Arc::clone(&column.name)).collect()
    };
    let table = draft.table_mut(child)?;
    table.parents = vec![oid];
    table.ancestry = ancestry;
    for name in keys {
        if let Some(column) = table.column_mut(&name) {
            column.not_null = true;
        }
    }
    Ok(())
}

fn detach(draft: &mut Draft, oid: u32, child: Option<&pg::RangeVar>) -> Result<(), Problem> {
    let Some(child) = child else {
        return Err(Problem::not_understood("this DETACH PARTITION"));
    };
    let child = draft.relation(&child.schemaname, &child.relname)?;
    let table = draft.table_mut(child)?;
    table.parents.retain(|parent| *parent != oid);
    table.ancestry = Ancestry::Inherits;
    Ok(())
}

/// Whether triggers fire.
#[derive(Debug, Clone, Copy)]
enum Switch {
    On,
    Off,
}

fn switch(draft: &mut Draft, oid: u32, name: Option<&str>, to: Switch) -> Result<(), Problem> {
    for oid in family(draft, oid) {
        let table = draft.table_mut(oid)?;
        let all: Vec<Arc<str>> = match name {
            Some(name) => vec![name.into()],
            None => table
                .triggers
                .iter()
                .map(|one| Arc::clone(&one.name))
                .collect(),
        };
        for name in all {
            match to {
                Switch::On => table.disabled.remove(&name),
                Switch::Off => table.disabled.insert(name),
            };
        }
    }
    Ok(())
}

fn switch_rule(draft: &mut Draft, oid: u32, name: &str, to: Switch) -> Result<(), Problem> {
    for rule in &mut draft.table_mut(oid)?.rules {
        if *rule.name == *name {
            rule.enabled = matches!(to, Switch::On);
            return Ok(());
        }
    }
    Err(Problem::new(format!("rule `{name}` does not exist")))
}

fn row_security(draft: &mut Draft, oid: u32, change: Change) -> Result<(), Problem> {
    let table = draft.table_mut(oid)?;
    match change {
        Change::AtEnableRowSecurity => table.row_security = true,
        Change::AtDisableRowSecurity => table.row_security = false,
        Change::AtForceRowSecurity => table.row_security_forced = true,
        _ => table.row_security_forced = false,
    }
    Ok(())
}

/// The relation of this name, which no view would miss under another one.
fn movable(draft: &Draft, name: &pg::RangeVar) -> Result<u32, Problem> {
    let oid = draft.relation(&name.schemaname, &name.relname)?;
    no_view_over(draft, oid, Stars::DoNotMatter)?;
    Ok(oid)
}

/// `ALTER ... RENAME`
pub(super) fn rename(draft: &mut Draft, statement: &pg::RenameStmt) -> Result<(), Problem> {
    let new = statement.newname.as_str();
    match (statement.rename_type(), &statement.relation) {
        (
            ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectMatview
            | ObjectType::ObjectSequence
            | ObjectType::ObjectForeignTable,
            Some(name),
        ) => {
            let oid = movable(draft, name)?;
            let schema = Arc::clone(&draft.table(oid)?.schema);
            draft.rename(oid, &schema, new)
        }
        (ObjectType::ObjectColumn | ObjectType::ObjectAttribute, Some(name)) => {
            let oid = draft.relation(&name.schemaname, &name.relname)?;
            for oid in family(draft, oid) {
                no_view_over(draft, oid, Stars::DoNotMatter)?;
                one(draft, oid, &statement.subname, |column| {
                    column.name = new.into()
                })?;
            }
            Ok(())
        }
        (ObjectType::ObjectTabconstraint, Some(name)) => {
            let oid = draft.relation(&name.schemaname, &name.relname)?;
            rename_constraint(draft, oid, &statement.subname, new)
        }
        (ObjectType::ObjectIndex, Some(name)) => {
            let owner = draft
                .tables
                .values()
                .find(|table| table.constraints.iter().any(|one| one.name == name.relname));
            let Some(oid) = owner.map(|table| table.oid) else {
                return Err(Problem::new(format!(
                    "index `{}` does not exist",
                    name.relname
                )));
            };
            rename_constraint(draft, oid, &name.relname, new)
        }
        (ObjectType::ObjectRole | ObjectType::ObjectPolicy | ObjectType::ObjectDatabase, _) => {
            Ok(())
        }
        _ => {
            Err(Problem::not_understood("this RENAME").help("write the object under its last name"))
        }
    }
}

fn rename_constraint(draft: &mut Draft, oid: u32, old: &str, new: &str) -> Result<(), Problem> {
    for constraint in &mut draft.table_mut(oid)?.constraints {
        if constraint.name == old {
            new.clone_into(&mut constraint.name);
            return Ok(());
        }
    }
    Err(Problem::new(format!("constraint `{old}` does not exist")))
}

/// `ALTER ... SET SCHEMA`
pub(super) fn move_to(
    draft: &mut Draft,
    statement: &pg::AlterObjectSchemaStmt,
) -> Result<(), Problem> {
    let schema = draft.creation_schema(&statement.newschema)?;
    match (statement.object_type(), &statement.relation) {
        (
            ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectMatview
            | ObjectType::ObjectSequence
            | ObjectType::ObjectForeignTable,
            Some(name),
        ) => {
            let oid = movable(draft, name)?;
            let name = Arc::clone(&draft.table(oid)?.name);
            draft.rename(oid, &schema, &name)
        }
        _ => {
            Err(Problem::not_understood("this SET SCHEMA")
                .help("write the object in its last schema"))
        }
    }
}

/// `DROP ...`
pub(super) fn drop_objects(draft: &mut Draft, statement: &pg::DropStmt) -> Result<(), Problem> {
    if statement.behavior() == DropBehavior::DropCascade {
        return Err(Problem::not_understood("DROP ... CASCADE")
            .help("leave out what is dropped, or drop each object by its name"));
    }
    statement
        .objects
        .iter()
        .try_for_each(|node| drop_object(draft, statement, node))
}

fn drop_object(draft: &mut Draft, statement: &pg::DropStmt, node: &Node) -> Result<(), Problem> {
    let names = object_names(node)?;
    let (schema, name) = match names.as_slice() {
        [name] => ("", *name),
        [.., schema, name] => (*schema, *name),
        [] => return Err(Problem::not_understood("this DROP")),
    };
    match statement.remove_type() {
        ObjectType::ObjectTable
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectSequence
        | ObjectType::ObjectForeignTable => match draft.find(schema, name).map(|table| table.oid) {
            Some(oid) => drop_relation(draft, oid),
            None if statement.missing_ok => Ok(()),
            None => draft.relation(schema, name).map(drop),
        },
        ObjectType::ObjectIndex => {
            for table in draft.tables.values_mut() {
                table.constraints.retain(|one| one.name != name);
            }
            draft.touch();
            Ok(())
        }
        ObjectType::ObjectTrigger | ObjectType::ObjectRule | ObjectType::ObjectPolicy => {
            let Some((name, table)) = names.split_last() else {
                return Err(Problem::not_understood("this DROP"));
            };
            let (schema, table) = match table {
                [table] => ("", *table),
                [.., schema, table] => (*schema, *table),
                [] => return Err(Problem::not_understood("this DROP")),
            };
            let oid = draft.relation(schema, table)?;
            let table = draft.table_mut(oid)?;
            table.triggers.retain(|one| *one.name != **name);
            table.rules.retain(|one| *one.name != **name);
            table.policies.retain(|one| *one.name != **name);
            Ok(())
        }
        ObjectType::ObjectType | ObjectType::ObjectDomain => {
            let schema = (!schema.is_empty()).then_some(schema);
            if let Some(oid) = types::named(draft, schema, name) {
                draft.remove_type(oid);
            }
            Ok(())
        }
        ObjectType::ObjectSchema if draft.tables.values().all(|table| *table.schema != *name) => {
            draft.touch();
            draft.schemas.remove(name);
            Ok(())
        }
        ObjectType::ObjectEventTrigger => {
            draft.touch();
            draft.event_triggers.retain(|(one, _)| *one.name != *name);
            Ok(())
        }
        ObjectType::ObjectPublication
        | ObjectType::ObjectStatisticExt
        | ObjectType::ObjectExtension => Ok(()),
        _ if statement.missing_ok => Ok(()),
        _ => Err(Problem::not_understood("this DROP").help("leave out what is dropped")),
    }
}

fn drop_relation(draft: &mut Draft, oid: u32) -> Result<(), Problem> {
    no_view_over(draft, oid, Stars::DoNotMatter)?;
    let refers = |table: &super::draft::Table| {
        table.oid != oid
            && table
                .constraints
                .iter()
                .any(|one| matches!(one.speaks, Speaks::Foreign { to, .. } if to == oid))
    };
    if draft.tables.values().any(refers) || draft.children(oid).next().is_some() {
        return Err(Problem::new("other tables depend on it").help("drop those before it"));
    }
    // The sequences behind its columns go with it.
    let table = draft.table(oid)?.clone();
    let owned: Vec<u32> = table
        .columns
        .iter()
        .filter_map(|column| {
            let sequence = table::joined(&table.name, &column.name, "seq");
            let used = format!(
                "{}.{}",
                text::quoted(&table.schema),
                text::quoted(&sequence)
            );
            let serial = column
                .default
                .as_ref()
                .is_some_and(|default| default.contains(&used));
            let found = draft.find(&table.schema, &sequence)?;
            (found.kind == RelationKind::Sequence && (serial || column.identity))
                .then_some(found.oid)
        })
        .collect();
    owned
        .into_iter()
        .chain([oid])
        .for_each(|oid| draft.remove(oid));
    Ok(())
}

fn object_names(node: &Node) -> Result<Vec<&str>, Problem> {
    let names = match &node.node {
        Some(NodeEnum::List(list)) => strings(&list.items).ok(),
        Some(NodeEnum::String(name)) => Some(vec![name.sval.as_str()]),
        Some(NodeEnum::TypeName(name)) => strings(&name.names).ok(),
        Some(NodeEnum::ObjectWithArgs(object)) => strings(&object.objname).ok(),
        _ => None,
    };
    names.ok_or_else(|| Problem::not_understood("this DROP"))
}

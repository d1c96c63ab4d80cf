//! Functions, operators, casts, triggers, rules, extensions: what may run when a statement does.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, CmdType, Node, ObjectType},
};

use super::{Problem, draft::Draft, types};
use crate::{catalog::Trigger, sql::strings};

/// Extensions that bring nothing that a statement could name.
const NOTHING: [&str; 1] = ["plpgsql"];

/// `CREATE FUNCTION`, `CREATE PROCEDURE`
pub(super) fn create(draft: &mut Draft, statement: &pg::CreateFunctionStmt) -> Result<(), Problem> {
    let (schema, name) = types::place(draft, &statement.funcname)?;
    let gives = types::result(draft, statement.return_type.as_ref());
    draft.add_function(&schema, &name, gives);
    Ok(())
}

/// `CREATE AGGREGATE`, `CREATE OPERATOR`, `CREATE TYPE`
pub(super) fn define(draft: &mut Draft, statement: &pg::DefineStmt) -> Result<(), Problem> {
    match statement.kind() {
        ObjectType::ObjectAggregate => {
            let (schema, name) = types::place(draft, &statement.defnames)?;
            draft.add_function(&schema, &name, None);
            Ok(())
        }
        ObjectType::ObjectOperator => {
            let (schema, name) = types::place(draft, &statement.defnames)?;
            let gives = operator_result(draft, &statement.definition);
            draft.touch();
            let known = draft
                .operators
                .entry((schema, name.into()))
                .or_insert(gives);
            if *known != gives {
                *known = None;
            }
            Ok(())
        }
        ObjectType::ObjectType => types::create_base(draft, statement),
        ObjectType::ObjectCollation => types::create_collation(draft, statement),
        // They are named by nothing that analysis reads.
        ObjectType::ObjectTsconfiguration
        | ObjectType::ObjectTsdictionary
        | ObjectType::ObjectTsparser
        | ObjectType::ObjectTstemplate => Ok(()),
        _ => Err(Problem::not_understood("this CREATE")),
    }
}

/// What an operator's function gives.
fn operator_result(draft: &Draft, definition: &[Node]) -> Option<u32> {
    let name = definition.iter().find_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) if matches!(&*option.defname, "function" | "procedure") => {
            match &option.arg.as_deref()?.node {
                Some(NodeEnum::TypeName(name)) => strings(&name.names).ok(),
                _ => None,
            }
        }
        _ => None,
    })?;
    let (schema, name): (Arc<str>, &str) = match name.as_slice() {
        [name] => (Arc::clone(draft.function_schema(name)?), name),
        [schema, name] => ((*schema).into(), name),
        _ => return None,
    };
    *draft.functions.get(&(schema, name.into()))?
}

/// `CREATE CAST`: one by a function counts.
pub(super) fn cast(draft: &mut Draft, statement: &pg::CreateCastStmt) -> Result<(), Problem> {
    if statement.func.is_none() {
        return Ok(());
    }
    let (Some(from), Some(to)) = (&statement.sourcetype, &statement.targettype) else {
        return Err(Problem::not_understood("this CREATE CAST"));
    };
    let cast = (types::find(draft, from)?, types::find(draft, to)?);
    draft.touch();
    draft.casts.push(cast);
    Ok(())
}

/// `CREATE TRIGGER`
pub(super) fn trigger(draft: &mut Draft, statement: &pg::CreateTrigStmt) -> Result<(), Problem> {
    let Some(name) = &statement.relation else {
        return Err(Problem::not_understood("a trigger without a table"));
    };
    let oid = draft.relation(&name.schemaname, &name.relname)?;
    let table = draft.table_mut(oid)?;
    let trigger: Arc<str> = statement.trigname.as_str().into();
    table.triggers.retain(|one| one.name != trigger);
    // The first bit says for each row; the parser's bits for events are the catalog's.
    let row = i16::from(statement.row);
    let bits = i16::try_from(statement.events | statement.timing).unwrap_or(0);
    if statement.row {
        table.row_triggers.insert(Arc::clone(&trigger));
    }
    table.triggers.push(Trigger {
        name: trigger,
        events: row | bits,
    });
    Ok(())
}

/// `CREATE RULE`
pub(super) fn rule(draft: &mut Draft, statement: &pg::RuleStmt) -> Result<(), Problem> {
    let Some(name) = &statement.relation else {
        return Err(Problem::not_understood("a rule without a table"));
    };
    if statement.event() == CmdType::CmdSelect {
        return Err(Problem::not_understood("a rule ON SELECT").help("write it as a view"));
    }
    let oid = draft.relation(&name.schemaname, &name.relname)?;
    let table = draft.table_mut(oid)?;
    let rule: Arc<str> = statement.rulename.as_str().into();
    table.rules.retain(|one| *one != rule);
    table.rules.push(rule);
    Ok(())
}

/// `CREATE EXTENSION`: what it brings is in files that we don't have.
pub(super) fn extension(statement: &pg::CreateExtensionStmt) -> Result<(), Problem> {
    if NOTHING.contains(&statement.extname.as_str()) {
        return Ok(());
    }
    Err(Problem::new(format!(
        "what extension `{}` brings is not known without a server",
        statement.extname
    ))
    .help("write the functions, types and operators of it that your statements use as CREATE statements instead"))
}

/// A SELECT that `pg_dump` writes: `set_config('search_path', ...)`, `setval(...)`.
pub(super) fn select(draft: &mut Draft, statement: &pg::SelectStmt) -> Result<(), Problem> {
    let call = match statement.target_list.as_slice() {
        [target] => match &target.node {
            Some(NodeEnum::ResTarget(target)) => match target.val.as_deref().map(|node| &node.node)
            {
                Some(Some(NodeEnum::FuncCall(call))) => Some(call),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let refused = || {
        Problem::new("a query may do anything, so it can't stand in a schema").help("take it out")
    };
    let call = call
        .filter(|_| statement.from_clause.is_empty() && statement.into_clause.is_none())
        .ok_or_else(refused)?;
    let names = strings(&call.funcname).map_err(|_| refused())?;
    let (["pg_catalog", name] | [name]) = names.as_slice() else {
        return Err(refused());
    };
    match *name {
        "setval" => Ok(()),
        "set_config" => {
            let text = |node: &Node| match &node.node {
                Some(NodeEnum::AConst(constant)) => match &constant.val {
                    Some(pg::a_const::Val::Sval(text)) => Some(text.sval.clone()),
                    _ => None,
                },
                _ => None,
            };
            let arguments: Vec<Option<String>> = call.args.iter().take(2).map(text).collect();
            match arguments.as_slice() {
                [Some(setting), Some(value)] if setting == "search_path" => {
                    set_path(
                        draft,
                        value.split(',').map(|name| name.trim().trim_matches('"')),
                    );
                    Ok(())
                }
                [Some(_), Some(_)] => Ok(()),
                _ => Err(refused()),
            }
        }
        _ => Err(refused()),
    }
}

/// `SET search_path`; other settings change nothing that analysis knows of.
pub(super) fn set(draft: &mut Draft, statement: &pg::VariableSetStmt) -> Result<(), Problem> {
    if statement.name != "search_path" {
        return Ok(());
    }
    let mut names = Vec::new();
    for node in &statement.args {
        match &node.node {
            Some(NodeEnum::AConst(constant)) => match &constant.val {
                Some(pg::a_const::Val::Sval(text)) => names.push(text.sval.clone()),
                _ => return Err(Problem::not_understood("this search path")),
            },
            _ => return Err(Problem::not_understood("this search path")),
        }
    }
    if names.is_empty() {
        // SET ... TO DEFAULT, RESET
        names.push("public".to_owned());
    }
    set_path(draft, names.iter().map(String::as_str));
    Ok(())
}

fn set_path<'n>(draft: &mut Draft, names: impl Iterator<Item = &'n str>) {
    draft.path = names
        .filter(|name| !name.is_empty() && *name != "$user")
        .map(Arc::from)
        .collect();
}

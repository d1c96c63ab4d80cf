//! What a schema sets: `search_path`, by SET and by the calls that `pg_dump` writes.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node},
};

use super::{Problem, draft::Draft};
use crate::sql::strings;

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

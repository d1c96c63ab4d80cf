//! What runs functions: operators, casts, triggers, rules, policies, event triggers, extensions.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, CmdType, CoercionContext, Node, ObjectType, RoleSpecType},
};

use super::{Problem, constraint, draft::Draft, function, function::options, text, types};
use crate::{
    catalog::{Cast, CastContext, EventTrigger, Operator, RowPolicy, Rule, RuleEvent, Trigger},
    sql::strings,
};

/// Extensions that bring nothing that a statement could name.
const NOTHING: [&str; 1] = ["plpgsql"];

/// `CREATE AGGREGATE`, `CREATE OPERATOR`, `CREATE TYPE`
pub(super) fn define(draft: &mut Draft, statement: &pg::DefineStmt) -> Result<(), Problem> {
    match statement.kind() {
        ObjectType::ObjectAggregate => function::aggregate(draft, statement),
        ObjectType::ObjectOperator => operator(draft, statement),
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

fn operator(draft: &mut Draft, statement: &pg::DefineStmt) -> Result<(), Problem> {
    let (schema, name) = types::place(draft, &statement.defnames)?;
    let mut operator = Operator {
        oid: 0,
        schema,
        name: name.into(),
        left: 0,
        right: 0,
        result: 0,
        function: 0,
        estimators: [0, 0],
        trusted: false,
    };
    let mut called: Option<&[Node]> = None;
    for (option, value) in options(&statement.definition) {
        let Some(NodeEnum::TypeName(value)) = value else {
            continue;
        };
        match option {
            "leftarg" => operator.left = types::or_unknown(types::result(draft, Some(value))),
            "rightarg" => operator.right = types::or_unknown(types::result(draft, Some(value))),
            "function" | "procedure" => called = Some(&value.names),
            "restrict" => operator.estimators[0] = estimator(draft, &value.names),
            "join" => operator.estimators[1] = estimator(draft, &value.names),
            _ => {}
        }
    }
    let operands: Vec<u32> = [operator.left, operator.right]
        .into_iter()
        .filter(|oid| *oid != 0)
        .collect();
    if let Some(names) = called {
        // Its arguments may be of types that the operands become.
        operator.function = match function::by_name(draft, names, Some(&operands)) {
            0 => function::by_name(draft, names, None),
            oid => oid,
        };
    }
    operator.result = draft
        .routine(operator.function)
        .map_or(0, |function| function.result);
    operator.trusted = draft.is_trusted(operator.function);
    draft.add_operator(operator);
    Ok(())
}

/// An estimator, where it is a user's function.
fn estimator(draft: &mut Draft, names: &[Node]) -> u32 {
    let oid = function::by_name(draft, names, None);
    draft.routine(oid).map_or(0, |function| function.oid)
}

/// `CREATE CAST`: one by a function counts.
pub(super) fn cast(draft: &mut Draft, statement: &pg::CreateCastStmt) -> Result<(), Problem> {
    let Some(named) = &statement.func else {
        return Ok(());
    };
    let (Some(from), Some(to)) = (&statement.sourcetype, &statement.targettype) else {
        return Err(Problem::not_understood("this CREATE CAST"));
    };
    let (source, target) = (types::find(draft, from)?, types::find(draft, to)?);
    let function = function::by_signature(draft, named);
    let cast = Cast {
        source,
        target,
        function,
        context: match statement.context() {
            CoercionContext::CoercionImplicit => CastContext::Implicit,
            CoercionContext::CoercionAssignment => CastContext::Assignment,
            _ => CastContext::Explicit,
        },
        trusted: draft.is_trusted(function),
    };
    draft.touch();
    draft.casts.push(cast);
    Ok(())
}

/// `CREATE OPERATOR CLASS`: what the server sorts and compares values of a type with.
pub(super) fn operator_class(
    draft: &mut Draft,
    statement: &pg::CreateOpClassStmt,
) -> Result<(), Problem> {
    let Some(oid) = types::result(draft, statement.datatype.as_ref()) else {
        return Err(Problem::not_understood("this operator class"));
    };
    for node in &statement.items {
        let Some(NodeEnum::CreateOpClassItem(item)) = &node.node else {
            return Err(Problem::not_understood("this operator class"));
        };
        let Some(named) = &item.name else { continue };
        let function = match item.itemtype {
            1 => operator_function(draft, &named.objname),
            _ => function::by_signature(draft, named),
        };
        types::add_support(draft, oid, function);
    }
    Ok(())
}

/// The function of the one user operator of this name; 0 for none.
fn operator_function(draft: &Draft, names: &[Node]) -> u32 {
    let name = strings(names).ok().and_then(|names| names.last().copied());
    let mut found = draft
        .user_operators
        .iter()
        .filter(|operator| name == Some(&*operator.name));
    found.next().map_or(0, |operator| operator.function)
}

/// `CREATE TRIGGER`
pub(super) fn trigger(draft: &mut Draft, statement: &pg::CreateTrigStmt) -> Result<(), Problem> {
    let Some(name) = &statement.relation else {
        return Err(Problem::not_understood("a trigger without a table"));
    };
    let oid = draft.relation(&name.schemaname, &name.relname)?;
    let function = function::by_name(draft, &statement.funcname, Some(&[]));
    let names =
        strings(&statement.columns).map_err(|_| Problem::not_understood("these columns"))?;
    let columns = constraint::numbers(draft, oid, &names)?;
    let definition = match &statement.when_clause {
        Some(_) => {
            let node = NodeEnum::CreateTrigStmt(Box::new(statement.clone()));
            Some(text::query(draft, &node)?.text.into())
        }
        None => None,
    };
    let (mut old_table, mut new_table) = (None, None);
    for node in &statement.transition_rels {
        if let Some(NodeEnum::TriggerTransition(transition)) = &node.node {
            let name = Some(Arc::from(transition.name.as_str()));
            *(if transition.is_new {
                &mut new_table
            } else {
                &mut old_table
            }) = name;
        }
    }
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
        function,
        columns,
        old_table,
        new_table,
        definition,
    });
    Ok(())
}

/// `CREATE EVENT TRIGGER`
pub(super) fn event_trigger(
    draft: &mut Draft,
    statement: &pg::CreateEventTrigStmt,
) -> Result<(), Problem> {
    let function = function::by_name(draft, &statement.funcname, Some(&[]));
    let mut tags = Vec::new();
    for (_, value) in options(&statement.whenclause) {
        if let Some(NodeEnum::List(list)) = value {
            let written =
                strings(&list.items).map_err(|_| Problem::not_understood("these tags"))?;
            tags.extend(written.into_iter().map(|tag| Arc::from(tag.to_uppercase())));
        }
    }
    draft.touch();
    draft.event_triggers.push((
        EventTrigger {
            name: statement.trigname.as_str().into(),
            event: statement.eventname.as_str().into(),
            function,
            tags,
        },
        true,
    ));
    Ok(())
}

/// `ALTER EVENT TRIGGER ... ENABLE`, `DISABLE`
pub(super) fn switch_event_trigger(
    draft: &mut Draft,
    statement: &pg::AlterEventTrigStmt,
) -> Result<(), Problem> {
    draft.touch();
    for (trigger, enabled) in &mut draft.event_triggers {
        if *trigger.name == *statement.trigname {
            *enabled = statement.tgenabled != "D";
            return Ok(());
        }
    }
    Err(Problem::new(format!(
        "event trigger `{}` does not exist",
        statement.trigname
    )))
}

/// `CREATE RULE`
pub(super) fn rule(draft: &mut Draft, statement: &pg::RuleStmt) -> Result<(), Problem> {
    let Some(name) = &statement.relation else {
        return Err(Problem::not_understood("a rule without a table"));
    };
    let event = match statement.event() {
        CmdType::CmdUpdate => RuleEvent::Update,
        CmdType::CmdInsert => RuleEvent::Insert,
        CmdType::CmdDelete => RuleEvent::Delete,
        _ => {
            return Err(Problem::not_understood("a rule ON SELECT").help("write it as a view"));
        }
    };
    let oid = draft.relation(&name.schemaname, &name.relname)?;
    let node = NodeEnum::RuleStmt(Box::new(statement.clone()));
    let definition = text::query(draft, &node)?.text.into();
    let table = draft.table_mut(oid)?;
    let name: Arc<str> = statement.rulename.as_str().into();
    table.rules.retain(|one| one.name != name);
    table.rules.push(Rule {
        name,
        event,
        instead: statement.instead,
        enabled: true,
        definition,
    });
    Ok(())
}

/// `CREATE POLICY`
pub(super) fn policy(draft: &mut Draft, statement: &pg::CreatePolicyStmt) -> Result<(), Problem> {
    let Some(name) = &statement.table else {
        return Err(Problem::not_understood("a policy without a table"));
    };
    let oid = draft.relation(&name.schemaname, &name.relname)?;
    let policy = RowPolicy {
        name: statement.policy_name.as_str().into(),
        command: match statement.cmd_name.as_str() {
            "select" => 'r',
            "insert" => 'a',
            "update" => 'w',
            "delete" => 'd',
            _ => '*',
        },
        permissive: statement.permissive,
        roles: roles(&statement.roles),
        using: expression(draft, statement.qual.as_deref())?,
        check: expression(draft, statement.with_check.as_deref())?,
    };
    draft.table_mut(oid)?.policies.push(policy);
    Ok(())
}

/// `ALTER POLICY`
pub(super) fn alter_policy(
    draft: &mut Draft,
    statement: &pg::AlterPolicyStmt,
) -> Result<(), Problem> {
    let Some(name) = &statement.table else {
        return Err(Problem::not_understood("a policy without a table"));
    };
    let oid = draft.relation(&name.schemaname, &name.relname)?;
    let using = expression(draft, statement.qual.as_deref())?;
    let check = expression(draft, statement.with_check.as_deref())?;
    let policies = &mut draft.table_mut(oid)?.policies;
    let Some(policy) = policies
        .iter_mut()
        .find(|one| *one.name == *statement.policy_name)
    else {
        return Err(Problem::new(format!(
            "policy `{}` does not exist",
            statement.policy_name
        )));
    };
    if !statement.roles.is_empty() {
        policy.roles = roles(&statement.roles);
    }
    policy.using = using.or_else(|| policy.using.take());
    policy.check = check.or_else(|| policy.check.take());
    Ok(())
}

fn expression(draft: &Draft, node: Option<&Node>) -> Result<Option<Arc<str>>, Problem> {
    match node {
        Some(node) => Ok(Some(text::expression(draft, node)?.text.into())),
        None => Ok(None),
    }
}

/// The roles of a policy; a role that has no name here is everybody.
fn roles(nodes: &[Node]) -> Vec<Arc<str>> {
    let named = |node: &Node| match &node.node {
        Some(NodeEnum::RoleSpec(role)) if role.roletype() == RoleSpecType::RolespecCstring => {
            Some(Arc::from(role.rolename.as_str()))
        }
        _ => None,
    };
    let mut roles: Vec<Arc<str>> = nodes
        .iter()
        .map(named)
        .collect::<Option<_>>()
        .unwrap_or_default();
    roles.sort();
    roles
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

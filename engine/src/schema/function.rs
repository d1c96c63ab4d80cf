//! Functions, procedures and aggregates, and which of them a name means.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, FunctionParameterMode as Mode, Node, VariableSetKind, a_const::Val},
};

use super::{Problem, draft::Draft, text, types};
use crate::{
    catalog::{Argument, ArgumentMode, Body, Function, FunctionKind, Language, Volatility},
    sql::strings,
};

/// What an aggregate's definition calls.
const AGGREGATE_PARTS: [&str; 9] = [
    "sfunc",
    "sfunc1",
    "finalfunc",
    "combinefunc",
    "serialfunc",
    "deserialfunc",
    "msfunc",
    "minvfunc",
    "mfinalfunc",
];

/// `CREATE FUNCTION`, `CREATE PROCEDURE`
pub(super) fn create(draft: &mut Draft, statement: &pg::CreateFunctionStmt) -> Result<(), Problem> {
    let (schema, name) = types::place(draft, &statement.funcname)?;
    let arguments = arguments(draft, &statement.parameters)?;
    let result = result(draft, statement, &arguments);
    let body = match &statement.sql_body {
        Some(_) => {
            let node = NodeEnum::CreateFunctionStmt(Box::new(statement.clone()));
            Body::Standard(text::query(draft, &node)?.text.into())
        }
        None => Body::Text("".into()),
    };
    let mut function = Function {
        oid: 0,
        schema,
        name: name.into(),
        kind: if statement.is_procedure {
            FunctionKind::Procedure
        } else {
            FunctionKind::Function
        },
        language: Language::Sql,
        volatility: Volatility::Volatile,
        strict: false,
        security_definer: false,
        settings: Vec::new(),
        returns_set: statement
            .return_type
            .as_ref()
            .is_some_and(|name| name.setof)
            || arguments.iter().any(|one| one.mode == ArgumentMode::Table),
        arguments,
        result,
        body,
        extension: None,
    };
    for node in &statement.options {
        option(&mut function, node)?;
    }
    if matches!(function.language, Language::C | Language::Internal) {
        function.body = Body::Compiled;
    }
    draft.add_routine(function);
    Ok(())
}

/// `ALTER FUNCTION`, `ALTER PROCEDURE`: what it promises and sets.
pub(super) fn alter(draft: &mut Draft, statement: &pg::AlterFunctionStmt) -> Result<(), Problem> {
    let Some(named) = &statement.func else {
        return Err(Problem::not_understood("this ALTER FUNCTION"));
    };
    let oid = by_signature(draft, named);
    let Some(function) = draft.routine_mut(oid) else {
        let names = strings(&named.objname).unwrap_or_default();
        return Err(Problem::new(format!(
            "function `{}` does not exist with these arguments",
            names.join(".")
        )));
    };
    let mut changed = function.clone();
    for node in &statement.actions {
        option(&mut changed, node)?;
    }
    *function = changed;
    Ok(())
}

/// `CREATE AGGREGATE`
pub(super) fn aggregate(draft: &mut Draft, statement: &pg::DefineStmt) -> Result<(), Problem> {
    let (schema, name) = types::place(draft, &statement.defnames)?;
    // The arguments, and how many of them are direct.
    let parameters = match statement.args.first().map(|node| &node.node) {
        Some(Some(NodeEnum::List(list))) => list.items.as_slice(),
        _ => &[],
    };
    let mut arguments = arguments(draft, parameters)?;
    let mut parts = Vec::new();
    let (mut state, mut last) = (None, None);
    for (option, value) in options(&statement.definition) {
        let Some(NodeEnum::TypeName(value)) = value else {
            continue;
        };
        let option = option.to_lowercase();
        if AGGREGATE_PARTS.contains(&&*option) {
            let oid = by_name(draft, &value.names, None);
            if option == "finalfunc" {
                last = draft
                    .routine(oid)
                    .map(|function| function.result)
                    .or(Some(types::or_unknown(None)));
            }
            parts.push(oid);
        } else if matches!(&*option, "stype" | "stype1") {
            state = types::result(draft, Some(value));
        } else if option == "basetype" && statement.oldstyle {
            arguments.extend(types::result(draft, Some(value)).map(unnamed));
        }
    }
    parts.sort_unstable();
    parts.dedup();
    draft.add_routine(Function {
        oid: 0,
        schema,
        name: name.into(),
        kind: FunctionKind::Aggregate,
        language: Language::Internal,
        volatility: Volatility::Immutable,
        strict: false,
        security_definer: false,
        settings: Vec::new(),
        arguments,
        result: types::or_unknown(last.or(state)),
        returns_set: false,
        body: Body::Aggregate(parts),
        extension: None,
    });
    Ok(())
}

/// A function that the server makes for a type.
pub(super) fn maker(
    schema: &Arc<str>,
    name: &str,
    result: u32,
    inputs: &[u32],
    mode: ArgumentMode,
) -> Function {
    let argument = |type_oid: &u32| Argument {
        mode,
        ..unnamed(*type_oid)
    };
    Function {
        oid: 0,
        schema: Arc::clone(schema),
        name: name.into(),
        kind: FunctionKind::Function,
        language: Language::Internal,
        volatility: Volatility::Immutable,
        strict: false,
        security_definer: false,
        settings: Vec::new(),
        arguments: inputs.iter().map(argument).collect(),
        result,
        returns_set: false,
        body: Body::Compiled,
        extension: None,
    }
}

const fn unnamed(type_oid: u32) -> Argument {
    Argument {
        name: None,
        type_oid,
        mode: ArgumentMode::In,
        default: None,
    }
}

fn arguments(draft: &Draft, parameters: &[Node]) -> Result<Vec<Argument>, Problem> {
    let mut arguments = Vec::new();
    for node in parameters {
        let Some(NodeEnum::FunctionParameter(parameter)) = &node.node else {
            return Err(Problem::not_understood("this argument"));
        };
        let default = parameter.defexpr.as_deref();
        let default = default
            .map(|node| text::expression(draft, node))
            .transpose()?;
        arguments.push(Argument {
            name: (!parameter.name.is_empty()).then(|| parameter.name.as_str().into()),
            type_oid: types::or_unknown(types::result(draft, parameter.arg_type.as_ref())),
            mode: match parameter.mode() {
                Mode::FuncParamOut => ArgumentMode::Out,
                Mode::FuncParamInout => ArgumentMode::InOut,
                Mode::FuncParamVariadic => ArgumentMode::Variadic,
                Mode::FuncParamTable => ArgumentMode::Table,
                _ => ArgumentMode::In,
            },
            default: default.map(|found| found.text.into()),
        });
    }
    Ok(arguments)
}

/// The type of a function's result: what is written, or what its OUT arguments come to.
fn result(draft: &Draft, statement: &pg::CreateFunctionStmt, arguments: &[Argument]) -> u32 {
    let outputs: Vec<u32> = arguments
        .iter()
        .filter(|one| !matches!(one.mode, ArgumentMode::In | ArgumentMode::Variadic))
        .map(|one| one.type_oid)
        .collect();
    let pseudo = |name| types::named(draft, Some("pg_catalog"), name);
    types::or_unknown(match (outputs.as_slice(), &statement.return_type) {
        ([], None) => pseudo("void"),
        ([_, _, ..], _) => pseudo("record"),
        ([_], None) if statement.is_procedure => pseudo("record"),
        ([one], _) => Some(*one),
        (_, Some(name)) => types::result(draft, Some(name)),
    })
}

/// The options of a definition, by name.
pub(super) fn options(nodes: &[Node]) -> impl Iterator<Item = (&str, Option<&NodeEnum>)> {
    nodes.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) => {
            let value = option.arg.as_deref().and_then(|node| node.node.as_ref());
            Some((option.defname.as_str(), value))
        }
        _ => None,
    })
}

fn option(function: &mut Function, node: &Node) -> Result<(), Problem> {
    let Some((name, value)) = options(std::slice::from_ref(node)).next() else {
        return Err(Problem::not_understood("this option of a function"));
    };
    match (name, value) {
        ("language", Some(NodeEnum::String(text))) => {
            function.language = Arc::<str>::from(text.sval.to_lowercase()).into();
        }
        ("volatility", Some(NodeEnum::String(text))) => {
            function.volatility = match text.sval.as_str() {
                "immutable" => Volatility::Immutable,
                "stable" => Volatility::Stable,
                _ => Volatility::Volatile,
            };
        }
        ("strict", Some(NodeEnum::Boolean(value))) => function.strict = value.boolval,
        ("security", Some(NodeEnum::Boolean(value))) => function.security_definer = value.boolval,
        ("window", Some(NodeEnum::Boolean(value))) if value.boolval => {
            function.kind = FunctionKind::Window;
        }
        ("as", Some(NodeEnum::List(list))) => {
            let parts = strings(&list.items).map_err(|_| Problem::not_understood("this body"))?;
            function.body = Body::Text(parts.first().copied().unwrap_or_default().into());
        }
        ("set", Some(NodeEnum::VariableSetStmt(set))) => setting(function, set)?,
        // They change what it costs, or where it may run.
        ("cost" | "rows" | "parallel" | "leakproof" | "support" | "transform" | "window", _) => {}
        _ => return Err(Problem::not_understood("this option of a function")),
    }
    Ok(())
}

fn setting(function: &mut Function, set: &pg::VariableSetStmt) -> Result<(), Problem> {
    let prefix = format!("{}=", set.name);
    function.settings.retain(|one| !one.starts_with(&prefix));
    match set.kind() {
        VariableSetKind::VarSetValue => {}
        VariableSetKind::VarSetDefault | VariableSetKind::VarReset => return Ok(()),
        VariableSetKind::VarResetAll => {
            function.settings.clear();
            return Ok(());
        }
        _ => return Err(Problem::not_understood("SET ... FROM CURRENT").help("write the value")),
    }
    let is_path = set.name == "search_path";
    let value = |node: &Node| match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Sval(text)) if is_path => Some(identifier(&text.sval)),
            Some(Val::Sval(text)) => Some(text.sval.clone()),
            Some(Val::Ival(number)) => Some(number.ival.to_string()),
            Some(Val::Fval(number)) => Some(number.fval.clone()),
            _ => None,
        },
        _ => None,
    };
    let values: Option<Vec<String>> = set.args.iter().map(value).collect();
    let values = values.ok_or_else(|| Problem::not_understood("this SET"))?;
    function
        .settings
        .push(format!("{prefix}{}", values.join(", ")).into());
    Ok(())
}

/// A name as a list setting holds it: in quotes only where it needs them.
fn identifier(name: &str) -> String {
    let is_plain = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .chars()
            .all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_'));
    match is_plain {
        true => name.to_owned(),
        false => text::quoted(name),
    }
}

/// The oid of the function that a name means, with arguments of these types where they are given. A name that is no user's
/// is the server's own. 0: it can't be told.
pub(super) fn by_name(draft: &mut Draft, names: &[Node], types: Option<&[u32]>) -> u32 {
    let Ok(names) = strings(names) else { return 0 };
    let (schema, name) = match names.as_slice() {
        [name] => (None, *name),
        [schema, name] | [_, schema, name] => (Some(*schema), *name),
        _ => return 0,
    };
    let found: Vec<&Function> = draft
        .routines
        .values()
        .filter(|one| *one.name == *name)
        .filter(|one| match schema {
            Some(schema) => *one.schema == *schema,
            None => draft.path.contains(&one.schema),
        })
        .filter(|one| {
            types.is_none_or(|types| {
                one.inputs()
                    .map(|input| input.type_oid)
                    .eq(types.iter().copied())
            })
        })
        .collect();
    match (found.as_slice(), schema) {
        ([one], _) => one.oid,
        ([], None | Some("pg_catalog")) if draft.function_schema(name).is_none() => {
            draft.server_function(name)
        }
        _ => 0,
    }
}

/// The oid of a function that is named with its arguments' types; 0: it can't be told.
pub(super) fn by_signature(draft: &mut Draft, named: &pg::ObjectWithArgs) -> u32 {
    if named.args_unspecified {
        return by_name(draft, &named.objname, None);
    }
    let type_of = |node: &Node| match &node.node {
        Some(NodeEnum::TypeName(name)) => types::result(draft, Some(name)),
        _ => None,
    };
    let types: Option<Vec<u32>> = named.objargs.iter().map(type_of).collect();
    match types {
        Some(types) => by_name(draft, &named.objname, Some(&types)),
        None => 0,
    }
}

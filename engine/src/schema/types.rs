//! Types: what a type's name means, and `CREATE TYPE`, `CREATE DOMAIN`.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, ConstrType, Node},
};

use super::{
    Problem,
    draft::{Draft, UNKNOWN_TYPE},
    function,
    server::SERVER,
    text,
};
use crate::{
    catalog::{ArgumentMode, TypeKind},
    sql::strings,
};

/// What a base type's definition calls.
const SUPPORT: [&str; 6] = [
    "input",
    "output",
    "receive",
    "send",
    "typmod_in",
    "typmod_out",
];

/// The oid of the type that a name means.
pub(super) fn find(draft: &Draft, name: &pg::TypeName) -> Result<u32, Problem> {
    if name.pct_type {
        return Err(Problem::not_understood("%TYPE"));
    }
    let names = strings(&name.names).map_err(|_| Problem::not_understood("this type's name"))?;
    let base = match names.as_slice() {
        [name] => named(draft, None, name),
        [schema, name] | [_, schema, name] => named(draft, Some(schema), name),
        _ => None,
    };
    let unknown = || {
        Problem::new(format!("type `{}` does not exist", names.join(".")))
            .help("write its CREATE TYPE or CREATE DOMAIN before it")
    };
    let base = base.ok_or_else(unknown)?;
    if name.array_bounds.is_empty() {
        Ok(base)
    } else {
        array_of(draft, base).ok_or_else(unknown)
    }
}

/// The oid of a type by its name's parts.
pub(super) fn named(draft: &Draft, schema: Option<&str>, name: &str) -> Option<u32> {
    let users = |schema: &str| {
        draft
            .types
            .values()
            .find(|found| *found.schema == *schema && *found.name == *name)
            .map(|found| found.oid)
    };
    let servers = |schema: &str| SERVER.types.get(&(schema, name)).map(|found| found.oid);
    match schema {
        Some(schema) => servers(schema).or_else(|| users(schema)),
        None => draft
            .lookup_path()
            .iter()
            .find_map(|schema| servers(schema).or_else(|| users(schema))),
    }
}

/// The schema of the user type that a bare name means; `None`: it means one of the server's own, or nothing.
pub(super) fn users_schema(draft: &Draft, name: &str) -> Option<Arc<str>> {
    let oid = named(draft, None, name)?;
    draft.types.get(&oid).map(|found| Arc::clone(&found.schema))
}

/// The array type over a type.
pub(super) fn array_of(draft: &Draft, element: u32) -> Option<u32> {
    let users = draft
        .types
        .values()
        .find(|found| found.kind == TypeKind::Array && found.element == element);
    let servers = || {
        SERVER
            .types
            .values()
            .find(|found| found.kind == TypeKind::Array && found.element == element)
    };
    users
        .map(|found| found.oid)
        .or_else(|| servers().map(|found| found.oid))
        // An array's array is the array.
        .or_else(|| element_of(draft, element).map(|_| element))
}

/// The element's type of an array type.
pub(super) fn element_of(draft: &Draft, array: u32) -> Option<u32> {
    let users = draft
        .types
        .get(&array)
        .map(|found| (found.kind, found.element));
    let servers = || {
        SERVER
            .types
            .values()
            .find(|found| found.oid == array)
            .map(|found| (found.kind, found.element))
    };
    match users.or_else(servers)? {
        (TypeKind::Array, element) => Some(element),
        _ => None,
    }
}

/// The type of a function's result; where it can't be told, nothing is known of it.
pub(super) fn result(draft: &Draft, name: Option<&pg::TypeName>) -> Option<u32> {
    name.filter(|name| !name.pct_type)
        .and_then(|name| find(draft, name).ok())
}

/// The schema and name that a definition names.
pub(super) fn place(draft: &Draft, names: &[Node]) -> Result<(Arc<str>, String), Problem> {
    let names = strings(names).map_err(|_| Problem::not_understood("this name"))?;
    match names.as_slice() {
        [name] => Ok((draft.creation_schema("")?, (*name).to_owned())),
        [schema, name] | [_, schema, name] => {
            Ok((draft.creation_schema(schema)?, (*name).to_owned()))
        }
        _ => Err(Problem::not_understood("this name")),
    }
}

/// `CREATE TYPE ... AS ENUM`
pub(super) fn create_enum(
    draft: &mut Draft,
    statement: &pg::CreateEnumStmt,
) -> Result<(), Problem> {
    new(draft, &statement.type_name, TypeKind::Enum, 0).map(drop)
}

fn new(draft: &mut Draft, names: &[Node], kind: TypeKind, element: u32) -> Result<u32, Problem> {
    let (schema, name) = place(draft, names)?;
    if named(draft, Some(&schema), &name).is_some() {
        return Err(Problem::new(format!(
            "type `{schema}.{name}` already exists"
        )));
    }
    Ok(draft.add_type(&schema, &name, kind, element, 0))
}

/// `CREATE TYPE ... AS RANGE`: the range, its multirange, and the functions that make them.
pub(super) fn create_range(
    draft: &mut Draft,
    statement: &pg::CreateRangeStmt,
) -> Result<(), Problem> {
    let (schema, name) = place(draft, &statement.type_name)?;
    let range = new(draft, &statement.type_name, TypeKind::Range, 0)?;
    let written = statement.params.iter().find_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) if option.defname == "multirange_type_name" => {
            match &option.arg.as_deref()?.node {
                Some(NodeEnum::TypeName(name)) => {
                    strings(&name.names).ok()?.pop().map(str::to_owned)
                }
                _ => None,
            }
        }
        _ => None,
    });
    let multirange = written.unwrap_or_else(|| {
        if name.contains("range") {
            name.replacen("range", "multirange", 1)
        } else {
            format!("{name}_multirange")
        }
    });
    let many = draft.add_type(&schema, &multirange, TypeKind::Multirange, 0, 0);
    let subtype = function::options(&statement.params).find_map(|(option, value)| match value {
        Some(NodeEnum::TypeName(name)) if option == "subtype" => result(draft, Some(name)),
        _ => None,
    });
    let bound = or_unknown(subtype);
    let text = or_unknown(named(draft, Some("pg_catalog"), "text"));
    let all = or_unknown(array_of(draft, range));
    for (name, made, inputs, mode) in [
        (&*name, range, &[bound, bound][..], ArgumentMode::In),
        (&name, range, &[bound, bound, text], ArgumentMode::In),
        (&multirange, many, &[], ArgumentMode::In),
        (&multirange, many, &[range], ArgumentMode::In),
        (&multirange, many, &[all], ArgumentMode::Variadic),
    ] {
        draft.add_routine(function::maker(&schema, name, made, inputs, mode));
    }
    for (option, value) in function::options(&statement.params) {
        if let (true, Some(NodeEnum::TypeName(called))) =
            (matches!(option, "subtype_diff" | "canonical"), value)
        {
            let function = function::by_name(draft, &called.names, None);
            add_support(draft, range, function);
        }
    }
    Ok(())
}

/// The server calls a function by itself over a type's values.
pub(super) fn add_support(draft: &mut Draft, type_oid: u32, function: u32) {
    if draft.routine(function).is_none() {
        return;
    }
    draft.touch();
    if let Some(found) = draft.types.get_mut(&type_oid) {
        found.support.push(function);
    }
}

/// A base type, or a shell of one: `CREATE TYPE name`, `CREATE TYPE name (INPUT = ...)`.
pub(super) fn create_base(draft: &mut Draft, statement: &pg::DefineStmt) -> Result<(), Problem> {
    let (schema, name) = place(draft, &statement.defnames)?;
    let oid = match named(draft, Some(&schema), &name) {
        // The shell that came before it.
        Some(oid) => oid,
        None => new(draft, &statement.defnames, TypeKind::Base, 0)?,
    };
    for (option, value) in function::options(&statement.definition) {
        if let (true, Some(NodeEnum::TypeName(called))) = (SUPPORT.contains(&option), value) {
            let function = function::by_name(draft, &called.names, None);
            add_support(draft, oid, function);
        }
    }
    Ok(())
}

/// `CREATE DOMAIN`
pub(super) fn create_domain(
    draft: &mut Draft,
    statement: &pg::CreateDomainStmt,
) -> Result<(), Problem> {
    let Some(base) = &statement.type_name else {
        return Err(Problem::not_understood("a domain without a type"));
    };
    let base = find(draft, base)?;
    let oid = new(draft, &statement.domainname, TypeKind::Domain, base)?;
    let loose = match &statement.coll_clause {
        Some(collation) => is_loose(draft, collation),
        None => draft.loose_domains.contains(&base),
    };
    if loose {
        draft.loose_domains.insert(oid);
    }
    for node in &statement.constraints {
        let Some(NodeEnum::Constraint(constraint)) = &node.node else {
            return Err(Problem::not_understood("this domain"));
        };
        constrain(draft, oid, constraint)?;
    }
    Ok(())
}

/// `CREATE COLLATION`
pub(super) fn create_collation(
    draft: &mut Draft,
    statement: &pg::DefineStmt,
) -> Result<(), Problem> {
    let (schema, name) = place(draft, &statement.defnames)?;
    let deterministic = statement
        .definition
        .iter()
        .find_map(|node| match &node.node {
            Some(NodeEnum::DefElem(option)) if option.defname == "deterministic" => {
                Some(option.arg.as_deref().and_then(|node| node.node.as_ref()))
            }
            _ => None,
        });
    let is_true = |node: &NodeEnum| match node {
        NodeEnum::String(text) => matches!(&*text.sval.to_lowercase(), "true" | "on" | "yes"),
        NodeEnum::Boolean(value) => value.boolval,
        NodeEnum::Integer(value) => value.ival == 1,
        _ => false,
    };
    // An option without a value is on, and so is one that is not written.
    if deterministic.flatten().is_some_and(|value| !is_true(value)) {
        draft.loose_collations.insert((schema, name.into()));
    }
    Ok(())
}

/// Whether a collation calls texts equal that differ in their bytes.
pub(super) fn is_loose(draft: &Draft, collation: &pg::CollateClause) -> bool {
    let Ok(names) = strings(&collation.collname) else {
        return true;
    };
    let loose = |schema: &Arc<str>, name: &str| {
        draft
            .loose_collations
            .contains(&(Arc::clone(schema), name.into()))
    };
    match names.as_slice() {
        [name] => draft.path.iter().any(|schema| loose(schema, name)),
        [.., schema, name] => loose(&(*schema).into(), name),
        [] => false,
    }
}

fn constrain(draft: &mut Draft, domain: u32, constraint: &pg::Constraint) -> Result<(), Problem> {
    let check = match (constraint.contype(), constraint.raw_expr.as_deref()) {
        (ConstrType::ConstrNotnull, _) => None,
        (ConstrType::ConstrCheck, Some(expression)) => {
            Some(text::expression(draft, expression)?.text)
        }
        (ConstrType::ConstrDefault, Some(expression))
            if !matches!(expression.node, Some(pg_query::NodeEnum::AConst(_))) =>
        {
            Some(text::expression(draft, expression)?.text)
        }
        _ => return Ok(()),
    };
    draft.touch();
    if let Some(found) = draft.types.get_mut(&domain) {
        found.constrained = true;
        found.checks.extend(check.map(Arc::from));
    }
    Ok(())
}

/// `ALTER DOMAIN`
pub(super) fn alter_domain(
    draft: &mut Draft,
    statement: &pg::AlterDomainStmt,
) -> Result<(), Problem> {
    let names = strings(&statement.type_name).map_err(|_| Problem::not_understood("this name"))?;
    let oid = match names.as_slice() {
        [name] => named(draft, None, name),
        [schema, name] => named(draft, Some(schema), name),
        _ => None,
    };
    let Some(oid) = oid else {
        return Err(Problem::new(format!(
            "type `{}` does not exist",
            names.join(".")
        )));
    };
    match (
        statement.subtype.as_str(),
        statement.def.as_deref().map(|node| &node.node),
    ) {
        // The default, a validation: nothing that analysis knows of.
        ("T" | "V", _) => Ok(()),
        ("O", _) => {
            draft.touch();
            if let Some(found) = draft.types.get_mut(&oid) {
                found.constrained = true;
            }
            Ok(())
        }
        ("C", Some(Some(NodeEnum::Constraint(constraint)))) => constrain(draft, oid, constraint),
        _ => Err(Problem::not_understood("this ALTER DOMAIN")
            .help("write the domain as it is in the end")),
    }
}

/// The type of a column that nothing tells the type of.
pub(super) const fn or_unknown(found: Option<u32>) -> u32 {
    match found {
        Some(oid) => oid,
        None => UNKNOWN_TYPE,
    }
}

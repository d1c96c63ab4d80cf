//! The type of a view's computed column, as far as its form tells. Never guesses: `None` is taken for a type that
//! nothing is known of, with which analysis is careful.

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, AExprKind, Node, SqlValueFunctionOp as Op, SubLinkType, a_const::Val},
};

use super::{
    draft::Draft,
    server::{Overload, SERVER},
    types,
};
use crate::{catalog::TypeKind, facts::OutputColumn, sql::strings};

/// What an expression's names mean.
pub(super) struct Known<'a> {
    pub(super) draft: &'a Draft,
    /// The output that the expression makes: its lineage tells the types of columns.
    pub(super) output: &'a OutputColumn,
}

impl Known<'_> {
    /// The type that all of the output's source columns of this name have.
    fn column(&self, name: &str) -> Option<u32> {
        let mut found = self
            .output
            .lineage
            .sources
            .iter()
            .filter(|source| *source.column.name == *name)
            .map(|source| source.column.type_oid);
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }
}

fn server_type(name: &str) -> Option<u32> {
    Some(SERVER.type_oid(name)).filter(|oid| *oid != 0)
}

/// The type of an expression.
pub(super) fn type_of(known: &Known<'_>, node: &Node) -> Option<u32> {
    let inner = |node: &Option<Box<Node>>| type_of(known, node.as_deref()?);
    match node.node.as_ref()? {
        NodeEnum::ColumnRef(column) => known.column(strings(&column.fields).ok()?.last()?),
        NodeEnum::AConst(constant) => constant_type(constant),
        NodeEnum::TypeCast(cast) => types::find(known.draft, cast.type_name.as_ref()?).ok(),
        NodeEnum::CollateClause(collate) => inner(&collate.arg),
        NodeEnum::FuncCall(call) => function(known, call),
        NodeEnum::AExpr(expression) => operator(known, expression),
        NodeEnum::BoolExpr(_) | NodeEnum::NullTest(_) | NodeEnum::BooleanTest(_) => {
            server_type("bool")
        }
        NodeEnum::SubLink(link) => sublink(known, link),
        NodeEnum::CaseExpr(case) => {
            let results = case.args.iter().filter_map(|node| match &node.node {
                Some(NodeEnum::CaseWhen(when)) => when.result.as_deref(),
                _ => None,
            });
            common(known, results.chain(case.defresult.as_deref()))
        }
        NodeEnum::CoalesceExpr(expression) => common(known, expression.args.iter()),
        NodeEnum::MinMaxExpr(expression) => common(known, expression.args.iter()),
        NodeEnum::AArrayExpr(array) => {
            types::array_of(known.draft, common(known, array.elements.iter())?)
        }
        NodeEnum::AIndirection(indirection) => {
            let subscript = |node: &Node| matches!(&node.node, Some(NodeEnum::AIndices(indices)) if !indices.is_slice);
            let array = inner(&indirection.arg)?;
            match indirection.indirection.as_slice() {
                [one] if subscript(one) => types::element_of(known.draft, array),
                _ => None,
            }
        }
        NodeEnum::GroupingFunc(_) => server_type("int4"),
        NodeEnum::SqlvalueFunction(function) => server_type(value_function(function.op())?),
        NodeEnum::RowExpr(_) => server_type("record"),
        _ => None,
    }
}

fn constant_type(constant: &pg::AConst) -> Option<u32> {
    server_type(match constant.val.as_ref()? {
        Val::Ival(_) => "int4",
        Val::Fval(number) if number.fval.parse::<i64>().is_ok() => "int8",
        Val::Fval(_) => "numeric",
        Val::Boolval(_) => "bool",
        // What nothing else decides is text.
        Val::Sval(_) => "text",
        Val::Bsval(_) => "bit",
    })
}

fn is_literal(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::AConst(constant))
        if constant.isnull || matches!(constant.val, Some(Val::Sval(_))))
}

/// The type that all branches have; literals follow the others.
fn common<'n>(known: &Known<'_>, nodes: impl Iterator<Item = &'n Node>) -> Option<u32> {
    let (literals, others): (Vec<&Node>, Vec<&Node>) = nodes.partition(|node| is_literal(node));
    if others.is_empty() {
        return literals.first().and_then(|_| server_type("text"));
    }
    let mut found = others.into_iter().map(|node| type_of(known, node));
    let first = found.next()??;
    found.all(|other| other == Some(first)).then_some(first)
}

fn function(known: &Known<'_>, call: &pg::FuncCall) -> Option<u32> {
    let names = strings(&call.funcname).ok()?;
    let name = *names.last()?;
    let users = match names.as_slice() {
        [schema, name] | [_, schema, name] => known
            .draft
            .functions
            .get(&((*schema).into(), (*name).into())),
        _ => None,
    };
    if let Some(result) = users {
        return *result;
    }
    let arguments: Vec<Option<u32>> = call
        .args
        .iter()
        .map(|node| {
            if is_literal(node) {
                None
            } else {
                type_of(known, node)
            }
        })
        .collect();
    // A literal that may be several things is a text.
    let texts: Vec<Option<u32>> = call
        .args
        .iter()
        .zip(&arguments)
        .map(|(node, argument)| match is_literal(node) {
            true => server_type("text"),
            false => *argument,
        })
        .collect();
    let overloads = SERVER.function(name);
    pick(known.draft, overloads, &arguments)
        .or_else(|| pick(known.draft, overloads, &texts))
        .or_else(|| {
            let bases: Vec<Option<u32>> = texts
                .iter()
                .map(|argument| argument.map(|oid| without_domains(known.draft, oid)))
                .collect();
            pick(known.draft, overloads, &bases)
        })
}

/// What a domain is over; any other type itself.
fn without_domains(draft: &Draft, oid: u32) -> u32 {
    // A domain is over a type that was there before: the way down ends, and the bound says so.
    let mut base = oid;
    for _ in 0..draft.types.len() {
        match draft.types.get(&base) {
            Some(found) if found.kind == TypeKind::Domain => base = found.element,
            _ => break,
        }
    }
    base
}

fn operator(known: &Known<'_>, expression: &pg::AExpr) -> Option<u32> {
    match expression.kind() {
        AExprKind::AexprOp => {}
        AExprKind::AexprNullif => return type_of(known, expression.lexpr.as_deref()?),
        _ => return server_type("bool"),
    }
    let names = strings(&expression.name).ok()?;
    let overloads = match names.as_slice() {
        [name] | ["pg_catalog", name] => SERVER.operator(name),
        [schema, name] => {
            let key = ((*schema).into(), (*name).into());
            return *known.draft.operators.get(&key)?;
        }
        _ => return None,
    };
    let operands = [expression.lexpr.as_deref(), expression.rexpr.as_deref()];
    let operands: Vec<Option<u32>> = operands
        .into_iter()
        .flatten()
        .map(|node| {
            if is_literal(node) {
                None
            } else {
                type_of(known, node)
            }
        })
        .collect();
    // A literal is read as what the other side is.
    let other = operands.iter().flatten().next().copied();
    let filled: Vec<Option<u32>> = operands.iter().map(|operand| operand.or(other)).collect();
    let promoted = || {
        let number = promoted(&operands)?;
        pick(known.draft, overloads, &vec![Some(number); operands.len()])
    };
    pick(known.draft, overloads, &operands)
        .or_else(|| pick(known.draft, overloads, &filled))
        .or_else(promoted)
}

/// The result of the overload that these arguments mean, where exactly one result can be meant.
fn pick(draft: &Draft, overloads: &[Overload], arguments: &[Option<u32>]) -> Option<u32> {
    if let [only] = overloads
        && only.arguments.is_empty()
    {
        return server_type(only.result);
    }
    let exact = |overload: &&Overload| {
        overload.arguments.len() == arguments.len()
            && overload
                .arguments
                .iter()
                .zip(arguments)
                .all(|(name, given)| given.is_some() && server_type(name) == *given)
    };
    if let Some(overload) = overloads.iter().find(exact) {
        return server_type(overload.result);
    }
    let fits = |overload: &&Overload| {
        overload.arguments.len() == arguments.len()
            && overload
                .arguments
                .iter()
                .zip(arguments)
                .all(|(name, given)| given.is_none_or(|given| takes(draft, name, given)))
    };
    let mut results = overloads
        .iter()
        .filter(fits)
        .map(|overload| result(draft, overload, arguments));
    let first = results.next()??;
    results.all(|other| other == Some(first)).then_some(first)
}

/// Whether a parameter of this type takes an argument of that one. `varchar` and `bpchar` go where `text` is asked for.
fn takes(draft: &Draft, name: &str, given: u32) -> bool {
    let text = || {
        ["varchar", "bpchar", "name"]
            .iter()
            .any(|one| server_type(one) == Some(given))
    };
    match name {
        "anyarray" | "anycompatiblearray" => types::element_of(draft, given).is_some(),
        // The inference takes nothing for one of these.
        "anyrange"
        | "anymultirange"
        | "anycompatiblerange"
        | "anycompatiblemultirange"
        | "anyenum" => false,
        name if name.starts_with("any") => true,
        "text" if text() => true,
        name => server_type(name) == Some(given),
    }
}

/// The type that arithmetic over different types of numbers is done in.
fn promoted(operands: &[Option<u32>]) -> Option<u32> {
    const EXACT: [&str; 4] = ["int2", "int4", "int8", "numeric"];
    const INEXACT: [&str; 2] = ["float4", "float8"];
    let is = |names: &[&str], oid: u32| names.iter().any(|name| server_type(name) == Some(oid));
    let known: Vec<u32> = operands.iter().copied().collect::<Option<_>>()?;
    let inexact = known.iter().any(|oid| is(&INEXACT, *oid));
    known
        .iter()
        .all(|oid| is(&EXACT, *oid) || is(&INEXACT, *oid))
        .then(|| server_type(if inexact { "float8" } else { "numeric" }))?
}

fn result(draft: &Draft, overload: &Overload, arguments: &[Option<u32>]) -> Option<u32> {
    if !overload.result.starts_with("any") {
        return server_type(overload.result);
    }
    let polymorphic = |(name, given): (&&'static str, &Option<u32>)| match *name {
        "anyarray" | "anycompatiblearray" => types::element_of(draft, (*given)?),
        name if name.starts_with("any") => *given,
        _ => None,
    };
    let element = overload
        .arguments
        .iter()
        .zip(arguments)
        .find_map(polymorphic)?;
    match overload.result {
        "anyarray" | "anycompatiblearray" => types::array_of(draft, element),
        "anyelement" | "anynonarray" | "anyenum" | "anycompatible" | "anycompatiblenonarray" => {
            Some(element)
        }
        _ => None,
    }
}

fn sublink(known: &Known<'_>, link: &pg::SubLink) -> Option<u32> {
    let select = || match &link.subselect.as_deref()?.node {
        Some(NodeEnum::SelectStmt(select)) => match &select.target_list.first()?.node {
            Some(NodeEnum::ResTarget(target)) => type_of(known, target.val.as_deref()?),
            _ => None,
        },
        _ => None,
    };
    match link.sub_link_type() {
        SubLinkType::ExprSublink => select(),
        SubLinkType::ArraySublink => types::array_of(known.draft, select()?),
        _ => server_type("bool"),
    }
}

fn value_function(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::SvfopCurrentDate => "date",
        Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => "timetz",
        Op::SvfopCurrentTimestamp | Op::SvfopCurrentTimestampN => "timestamptz",
        Op::SvfopLocaltime | Op::SvfopLocaltimeN => "time",
        Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => "timestamp",
        Op::SvfopCurrentRole
        | Op::SvfopCurrentUser
        | Op::SvfopUser
        | Op::SvfopSessionUser
        | Op::SvfopCurrentCatalog
        | Op::SvfopCurrentSchema => "name",
        Op::SqlvalueFunctionOpUndefined => return None,
    })
}

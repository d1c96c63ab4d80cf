//! The names that PostgreSQL gives to output columns without alias (`FigureColname`). Must agree with the server: a
//! wrong name could make a reference mean another column.

use pg_query::{
    NodeEnum,
    protobuf::{
        AExprKind, JsonExprOp, MinMaxOp, Node, SelectStmt, SqlValueFunctionOp as Op, SubLinkType,
        XmlExprOp,
    },
};

use super::resolver::strings;

/// What is called so when nothing else fits.
pub(super) const UNNAMED: &str = "?column?";

/// The column's name; `None` when it depends on what `*` expands to.
pub(crate) fn column_name(node: &Node) -> Option<String> {
    Some(figure(node)?.map_or_else(|| UNNAMED.to_owned(), |(name, _)| name))
}

/// (name, strength) as PostgreSQL's `FigureColnameInternal`; outer `None`: unknown.
fn figure(node: &Node) -> Option<Option<(String, u8)>> {
    let Some(node) = &node.node else {
        return Some(None);
    };
    let strong = |name: &str| Some(Some((name.to_owned(), 2)));
    match node {
        NodeEnum::ColumnRef(column) => Some(last_string(&column.fields)),
        NodeEnum::AIndirection(indirection) => match last_string(&indirection.indirection) {
            Some(found) => Some(Some(found)),
            None => figure(indirection.arg.as_deref()?),
        },
        NodeEnum::FuncCall(call) => strong(strings(&call.funcname).ok()?.last()?),
        NodeEnum::AExpr(expression) if expression.kind() == AExprKind::AexprNullif => {
            strong("nullif")
        }
        NodeEnum::TypeCast(cast) => match figure(cast.arg.as_deref()?)? {
            Some((name, 2)) => Some(Some((name, 2))),
            weak => Some(
                cast.type_name
                    .as_ref()
                    .and_then(|name| last_string(&name.names))
                    .map(|(name, _)| (name, 1))
                    .or(weak),
            ),
        },
        NodeEnum::CollateClause(collate) => figure(collate.arg.as_deref()?),
        NodeEnum::GroupingFunc(_) => strong("grouping"),
        NodeEnum::MergeSupportFunc(_) => strong("merge_action"),
        NodeEnum::SubLink(link) => match link.sub_link_type() {
            SubLinkType::ExistsSublink => strong("exists"),
            SubLinkType::ArraySublink => strong("array"),
            SubLinkType::ExprSublink => match &link.subselect.as_deref()?.node {
                Some(NodeEnum::SelectStmt(select)) => Some(Some((first_name(select)?, 2))),
                _ => None,
            },
            _ => Some(None),
        },
        NodeEnum::CaseExpr(case) => match case.defresult.as_deref().map_or(Some(None), figure)? {
            Some((name, 2)) => Some(Some((name, 2))),
            _ => Some(Some(("case".to_owned(), 1))),
        },
        NodeEnum::AArrayExpr(_) => strong("array"),
        NodeEnum::RowExpr(_) => strong("row"),
        NodeEnum::CoalesceExpr(_) => strong("coalesce"),
        NodeEnum::MinMaxExpr(expression) => strong(if expression.op() == MinMaxOp::IsGreatest {
            "greatest"
        } else {
            "least"
        }),
        NodeEnum::SqlvalueFunction(function) => strong(value_function(function.op())),
        NodeEnum::XmlExpr(expression) => match expression.op() {
            XmlExprOp::IsXmlconcat => strong("xmlconcat"),
            XmlExprOp::IsXmlelement => strong("xmlelement"),
            XmlExprOp::IsXmlforest => strong("xmlforest"),
            XmlExprOp::IsXmlparse => strong("xmlparse"),
            XmlExprOp::IsXmlpi => strong("xmlpi"),
            XmlExprOp::IsXmlroot => strong("xmlroot"),
            _ => Some(None),
        },
        NodeEnum::XmlSerialize(_) => strong("xmlserialize"),
        NodeEnum::JsonParseExpr(_) => strong("json"),
        NodeEnum::JsonScalarExpr(_) => strong("json_scalar"),
        NodeEnum::JsonSerializeExpr(_) => strong("json_serialize"),
        NodeEnum::JsonObjectConstructor(_) => strong("json_object"),
        NodeEnum::JsonArrayConstructor(_) | NodeEnum::JsonArrayQueryConstructor(_) => {
            strong("json_array")
        }
        NodeEnum::JsonObjectAgg(_) => strong("json_objectagg"),
        NodeEnum::JsonArrayAgg(_) => strong("json_arrayagg"),
        NodeEnum::JsonFuncExpr(function) => match function.op() {
            JsonExprOp::JsonExistsOp => strong("json_exists"),
            JsonExprOp::JsonQueryOp => strong("json_query"),
            JsonExprOp::JsonValueOp => strong("json_value"),
            JsonExprOp::JsonTableOp | JsonExprOp::Undefined => Some(None),
        },
        _ => Some(None),
    }
}

fn value_function(op: Op) -> &'static str {
    match op {
        Op::SvfopCurrentDate => "current_date",
        Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => "current_time",
        Op::SvfopCurrentTimestamp | Op::SvfopCurrentTimestampN => "current_timestamp",
        Op::SvfopLocaltime | Op::SvfopLocaltimeN => "localtime",
        Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => "localtimestamp",
        Op::SvfopCurrentRole => "current_role",
        Op::SvfopCurrentUser => "current_user",
        Op::SvfopUser => "user",
        Op::SvfopSessionUser => "session_user",
        Op::SvfopCurrentCatalog => "current_catalog",
        Op::SvfopCurrentSchema => "current_schema",
        Op::SqlvalueFunctionOpUndefined => UNNAMED,
    }
}

fn last_string(nodes: &[Node]) -> Option<(String, u8)> {
    nodes.iter().rev().find_map(|node| match &node.node {
        Some(NodeEnum::String(name)) => Some((name.sval.clone(), 2)),
        _ => None,
    })
}

/// The name of a query's first column.
fn first_name(select: &SelectStmt) -> Option<String> {
    let mut select = select;
    while let Some(left) = &select.larg {
        select = left;
    }
    if !select.values_lists.is_empty() {
        return Some("column1".to_owned());
    }
    let Some(NodeEnum::ResTarget(target)) = &select.target_list.first()?.node else {
        return None;
    };
    if !target.name.is_empty() {
        return Some(target.name.clone());
    }
    let value = target.val.as_deref()?;
    let star = match &value.node {
        Some(NodeEnum::ColumnRef(column)) => column.fields.last(),
        Some(NodeEnum::AIndirection(indirection)) => indirection.indirection.last(),
        _ => None,
    };
    if matches!(star.map(|node| &node.node), Some(Some(NodeEnum::AStar(_)))) {
        return None;
    }
    column_name(value)
}

/// Whether the text of a definition may speak of something of this name.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let text = text.to_lowercase();
    // A quote within a name is doubled; an escaped name may be any.
    let name = name.to_lowercase().replace('"', "\"\"");
    let is_inside =
        |neighbour: Option<char>| neighbour.is_some_and(|one| one.is_alphanumeric() || one == '_');
    text.contains("u&")
        || text.match_indices(&name).any(|(start, found)| {
            let before = text
                .get(..start)
                .and_then(|before| before.chars().next_back());
            let after = text
                .get(start + found.len()..)
                .and_then(|after| after.chars().next());
            !is_inside(before) && !is_inside(after)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: &str, expected: bool) {
        assert_eq!(mentions(text, name), expected, "{name} in {text}");
    }

    #[test]
    fn names_in_definitions() {
        let cases = [
            (" SELECT loan.id FROM loan;", "loan", true),
            (" SELECT l.id FROM \"LOAN\" l;", "LOAN", true),
            (" SELECT 1 FROM \"a\"\"b\";", "a\"b", true),
            (" SELECT 1 FROM U&\"\\006coan\";", "loan", true),
            (" SELECT id FROM loans;", "loan", false),
            (" SELECT id FROM old_loan;", "loan", false),
            (" SELECT id FROM member;", "loan", false),
        ];
        for (text, name, expected) in cases {
            check(text, name, expected);
        }
    }
}

//! The constants of a tree, to be given other values. It need not find them all: who sets constants counts what was set.

use pg_query::{
    NodeEnum,
    protobuf::{
        AConst, DeleteStmt, InsertStmt, Node, OnConflictClause, ParseResult, ReturningClause,
        SelectStmt, UpdateStmt, WindowDef, WithClause,
    },
};

/// What is told of each constant.
pub(super) trait Visitor {
    /// Here is one.
    fn constant(&mut self, constant: &mut AConst);
}

/// Shows the constants in the queries of a tree; what other statements hold, and rare parts of queries, is left out.
pub(super) fn visit(tree: &mut ParseResult, visitor: &mut dyn Visitor) {
    for statement in &mut tree.stmts {
        one(statement.stmt.as_deref_mut(), visitor);
    }
}

fn all(nodes: &mut [Node], visitor: &mut dyn Visitor) {
    for node in nodes {
        one(Some(node), visitor);
    }
}

fn one(node: Option<&mut Node>, visitor: &mut dyn Visitor) {
    let Some(node) = node.and_then(|node| node.node.as_mut()) else {
        return;
    };
    match node {
        NodeEnum::AConst(constant) => visitor.constant(constant),
        NodeEnum::SelectStmt(query) => select(query, visitor),
        NodeEnum::InsertStmt(insertion) => insert(insertion, visitor),
        NodeEnum::UpdateStmt(change) => update(change, visitor),
        NodeEnum::DeleteStmt(deletion) => delete(deletion, visitor),
        NodeEnum::ResTarget(target) => one(target.val.as_deref_mut(), visitor),
        NodeEnum::AExpr(operation) => {
            one(operation.lexpr.as_deref_mut(), visitor);
            one(operation.rexpr.as_deref_mut(), visitor);
        }
        NodeEnum::BoolExpr(operation) => all(&mut operation.args, visitor),
        NodeEnum::FuncCall(call) => {
            all(&mut call.args, visitor);
            all(&mut call.agg_order, visitor);
            one(call.agg_filter.as_deref_mut(), visitor);
            window(call.over.as_deref_mut(), visitor);
        }
        NodeEnum::WindowDef(definition) => window(Some(definition), visitor),
        NodeEnum::NamedArgExpr(argument) => one(argument.arg.as_deref_mut(), visitor),
        NodeEnum::TypeCast(cast) => {
            one(cast.arg.as_deref_mut(), visitor);
            if let Some(name) = &mut cast.type_name {
                all(&mut name.typmods, visitor);
            }
        }
        NodeEnum::List(list) => all(&mut list.items, visitor),
        NodeEnum::SubLink(link) => {
            one(link.testexpr.as_deref_mut(), visitor);
            one(link.subselect.as_deref_mut(), visitor);
        }
        NodeEnum::CaseExpr(case) => {
            one(case.arg.as_deref_mut(), visitor);
            all(&mut case.args, visitor);
            one(case.defresult.as_deref_mut(), visitor);
        }
        NodeEnum::CaseWhen(when) => {
            one(when.expr.as_deref_mut(), visitor);
            one(when.result.as_deref_mut(), visitor);
        }
        NodeEnum::JoinExpr(join) => {
            one(join.larg.as_deref_mut(), visitor);
            one(join.rarg.as_deref_mut(), visitor);
            one(join.quals.as_deref_mut(), visitor);
        }
        NodeEnum::RangeSubselect(source) => one(source.subquery.as_deref_mut(), visitor),
        NodeEnum::RangeFunction(source) => all(&mut source.functions, visitor),
        NodeEnum::NullTest(test) => one(test.arg.as_deref_mut(), visitor),
        NodeEnum::BooleanTest(test) => one(test.arg.as_deref_mut(), visitor),
        NodeEnum::CoalesceExpr(call) => all(&mut call.args, visitor),
        NodeEnum::MinMaxExpr(call) => all(&mut call.args, visitor),
        NodeEnum::SortBy(order) => one(order.node.as_deref_mut(), visitor),
        NodeEnum::CommonTableExpr(expression) => one(expression.ctequery.as_deref_mut(), visitor),
        NodeEnum::AArrayExpr(array) => all(&mut array.elements, visitor),
        NodeEnum::RowExpr(row) => all(&mut row.args, visitor),
        NodeEnum::AIndirection(part) => {
            one(part.arg.as_deref_mut(), visitor);
            all(&mut part.indirection, visitor);
        }
        NodeEnum::AIndices(indices) => {
            one(indices.lidx.as_deref_mut(), visitor);
            one(indices.uidx.as_deref_mut(), visitor);
        }
        NodeEnum::CollateClause(clause) => one(clause.arg.as_deref_mut(), visitor),
        NodeEnum::MultiAssignRef(part) => one(part.source.as_deref_mut(), visitor),
        _ => {}
    }
}

fn select(query: &mut SelectStmt, visitor: &mut dyn Visitor) {
    with(query.with_clause.as_mut(), visitor);
    all(&mut query.distinct_clause, visitor);
    all(&mut query.target_list, visitor);
    all(&mut query.from_clause, visitor);
    one(query.where_clause.as_deref_mut(), visitor);
    all(&mut query.group_clause, visitor);
    one(query.having_clause.as_deref_mut(), visitor);
    all(&mut query.window_clause, visitor);
    all(&mut query.values_lists, visitor);
    all(&mut query.sort_clause, visitor);
    one(query.limit_offset.as_deref_mut(), visitor);
    one(query.limit_count.as_deref_mut(), visitor);
    for side in [&mut query.larg, &mut query.rarg].into_iter().flatten() {
        select(side, visitor);
    }
}

fn insert(insertion: &mut InsertStmt, visitor: &mut dyn Visitor) {
    with(insertion.with_clause.as_mut(), visitor);
    one(insertion.select_stmt.as_deref_mut(), visitor);
    if let Some(clause) = insertion.on_conflict_clause.as_deref_mut() {
        on_conflict(clause, visitor);
    }
    returning(insertion.returning_clause.as_mut(), visitor);
}

fn on_conflict(clause: &mut OnConflictClause, visitor: &mut dyn Visitor) {
    all(&mut clause.target_list, visitor);
    one(clause.where_clause.as_deref_mut(), visitor);
}

fn update(change: &mut UpdateStmt, visitor: &mut dyn Visitor) {
    with(change.with_clause.as_mut(), visitor);
    all(&mut change.target_list, visitor);
    all(&mut change.from_clause, visitor);
    one(change.where_clause.as_deref_mut(), visitor);
    returning(change.returning_clause.as_mut(), visitor);
}

fn delete(deletion: &mut DeleteStmt, visitor: &mut dyn Visitor) {
    with(deletion.with_clause.as_mut(), visitor);
    all(&mut deletion.using_clause, visitor);
    one(deletion.where_clause.as_deref_mut(), visitor);
    returning(deletion.returning_clause.as_mut(), visitor);
}

fn with(clause: Option<&mut WithClause>, visitor: &mut dyn Visitor) {
    if let Some(clause) = clause {
        all(&mut clause.ctes, visitor);
    }
}

fn returning(clause: Option<&mut ReturningClause>, visitor: &mut dyn Visitor) {
    if let Some(clause) = clause {
        all(&mut clause.exprs, visitor);
    }
}

fn window(definition: Option<&mut WindowDef>, visitor: &mut dyn Visitor) {
    let Some(definition) = definition else {
        return;
    };
    all(&mut definition.partition_clause, visitor);
    all(&mut definition.order_clause, visitor);
    one(definition.start_offset.as_deref_mut(), visitor);
    one(definition.end_offset.as_deref_mut(), visitor);
}

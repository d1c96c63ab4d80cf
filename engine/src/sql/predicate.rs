//! Predicates: which accesses they limit, and which columns they fix to constants. Must never claim a limit that some
//! row escapes.

use pg_query::{
    NodeEnum,
    protobuf::{AExpr, Node},
};

use super::{
    Refusal,
    book::Value,
    resolver::{Resolver, strings},
    scope::Scope,
    sweep::Seen,
};
use crate::facts::How;

/// What a predicate says of the accesses that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// It holds for every row of theirs that the statement shows or changes.
    Always,
    /// Rows come in by other ways too.
    Sometimes,
}

/// Where a predicate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the WHERE of the statement itself.
    Top,
    /// Anywhere else.
    Inside,
}

impl Resolver<'_> {
    /// Reads WHERE: the columns it is about are filters; top-level equalities with constants may bound an access.
    pub(super) fn predicate(
        &mut self,
        node: Option<&Node>,
        scope: &Scope<'_>,
        holds: Holds,
    ) -> Result<Value, Refusal> {
        let Some(node) = node else {
            return Ok(Value::default());
        };
        let place = match self.top {
            Some(top) if std::ptr::eq(top, node) => Place::Top,
            Some(_) | None => Place::Inside,
        };
        let mut control = Value::default();
        for conjunct in conjuncts(node, &mut self.seen) {
            let value = self.expression(conjunct, scope)?;
            self.book.used(&value, crate::facts::Use::Filter);
            if !is_always_true(conjunct) {
                self.book.filtered(&value);
            }
            self.fixed(conjunct, scope, holds, place);
            control.add(&value);
        }
        Ok(control.derived())
    }

    /// Notes the columns that a conjunct fixes to constants.
    fn fixed(&mut self, conjunct: &Node, scope: &Scope<'_>, holds: Holds, place: Place) {
        let Some(NodeEnum::AExpr(comparison)) = &conjunct.node else {
            return;
        };
        let Some(column) = fixed_column(comparison) else {
            return;
        };
        let Ok(names) = strings(&column.fields) else {
            return;
        };
        let meaning = match names.as_slice() {
            [name] => scope.bare(name),
            [item, name] => scope.qualified(None, item, name),
            [schema, item, name] => scope.qualified(Some(schema), item, name),
            _ => return,
        };
        let Ok(super::scope::Meaning::Column(value)) = meaning else {
            return;
        };
        let equal_to = self.equal_to(comparison);
        for origin in &value.sources {
            let Some(entry) = origin.entry else { continue };
            let mine = scope
                .items
                .iter()
                .filter_map(|item| item.base.as_ref())
                .find(|base| base.entry == entry);
            let described = Some((origin.column.relation_oid, origin.column.attribute));
            let Some(base) = mine else { continue };
            if origin.how != How::Direct || value.described != described {
                continue;
            }
            self.book.fixed(entry, origin.column.attribute);
            let Some(constant) = equal_to else { continue };
            if place == Place::Top {
                self.book.looked_up(&origin.column);
            }
            if holds == Holds::Always
                && let Some(constant) = self.exact(&base.relation, &origin.column, constant)
            {
                self.book.equals(entry, &origin.column, &constant);
            }
        }
    }
}

/// The parts of a predicate that are ANDed at its top.
fn conjuncts<'n>(node: &'n Node, seen: &mut Seen) -> Vec<&'n Node> {
    let mut found = Vec::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        match &node.node {
            Some(NodeEnum::BoolExpr(expression))
                if expression.boolop() == pg_query::protobuf::BoolExprType::AndExpr =>
            {
                seen.mark(expression.as_ref());
                open.extend(expression.args.iter().rev());
            }
            _ => found.push(node),
        }
    }
    found
}

/// Whether a predicate holds for every row whatever the data: `true`, `1 = 1`, `id = id`.
pub(super) fn is_always_true(node: &Node) -> bool {
    use pg_query::protobuf::{AExprKind, BoolExprType, a_const::Val};
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Boolval(value)) => value.boolval,
            // A string literal may be read as true.
            Some(Val::Sval(_)) => true,
            _ => false,
        },
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_always_true),
        Some(NodeEnum::BoolExpr(expression)) => match expression.boolop() {
            BoolExprType::AndExpr => expression.args.iter().all(is_always_true),
            BoolExprType::OrExpr => {
                expression.args.iter().any(is_always_true)
                    || expression.args.iter().any(is_null_test)
            }
            _ => false,
        },
        Some(NodeEnum::NullTest(_)) => false,
        Some(NodeEnum::AExpr(comparison)) if comparison.kind() == AExprKind::AexprOp => {
            let constant = |node: Option<&Node>| node.is_some_and(is_constant);
            (constant(comparison.lexpr.as_deref()) && constant(comparison.rexpr.as_deref()))
                || matches!((column_of(comparison.lexpr.as_deref()), column_of(comparison.rexpr.as_deref())),
                    (Some(left), Some(right)) if left.fields.last() == right.fields.last())
        }
        _ => is_constant(node),
    }
}

/// `x IS NULL OR ...` and `x IS NOT NULL OR ...` may hold for every row: no limit is claimed.
fn is_null_test(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::NullTest(_)))
}

/// The column that a comparison fixes to constants: `column = constant`, `column IN (constants)`.
fn fixed_column(comparison: &AExpr) -> Option<&pg_query::protobuf::ColumnRef> {
    use pg_query::protobuf::AExprKind;
    let equals = matches!(strings(&comparison.name).ok()?.as_slice(), ["="]);
    let (left, right) = (comparison.lexpr.as_deref(), comparison.rexpr.as_deref());
    match comparison.kind() {
        AExprKind::AexprOp if equals => match (column_of(left), column_of(right)) {
            (Some(column), None) if right.is_some_and(is_constant) => Some(column),
            (None, Some(column)) if left.is_some_and(is_constant) => Some(column),
            _ => None,
        },
        AExprKind::AexprIn if equals => {
            let Some(Some(NodeEnum::List(list))) = right.map(|node| &node.node) else {
                return None;
            };
            if list.items.iter().all(is_constant) {
                column_of(left)
            } else {
                None
            }
        }
        _ => None,
    }
}

pub(super) fn column_of(node: Option<&Node>) -> Option<&pg_query::protobuf::ColumnRef> {
    match &node?.node {
        Some(NodeEnum::ColumnRef(column)) => Some(column),
        _ => None,
    }
}

/// Literals, parameters and casts of them.
pub(super) fn is_constant(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_constant),
        _ => false,
    }
}

//! Which expressions surely give a plain value: one whose comparison never fails. Rows and arrays are compared element by
//! element, and the server finds out only at an element that it comes to that it has no order: whether such a comparison
//! fails tells of the elements before it. Doubt means no.

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, a_const::Val},
};

use super::{
    Refusal,
    book::Value,
    composite::TYPE_DEPTH_MAX,
    functions,
    resolver::{Resolver, strings},
    routine::Towards,
};
use crate::catalog::TypeKind;

/// The plain types, by the names that a cast can give them.
const PLAIN: [&str; 22] = [
    "bool",
    "bpchar",
    "char",
    "date",
    "float4",
    "float8",
    "int2",
    "int4",
    "int8",
    "interval",
    "name",
    "numeric",
    "oid",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "uuid",
    "varchar",
    "integer",
    "bigint",
];

/// `bytea`, `cidr`, `macaddr8`, `macaddr`, `inet`, `bit`, `varbit`, `pg_lsn`, `tsvector`, `jsonb`.
const ALSO_PLAIN: [u32; 10] = [17, 650, 774, 829, 869, 1560, 1562, 3220, 3614, 3802];

/// `int2`, `int4`, `int8`, `float4`, `float8`.
const SUMMABLE: [u32; 5] = [20, 21, 23, 700, 701];

impl Resolver<'_> {
    /// A plain type of the server's own that no user's type or relation hides, temporary ones among them.
    pub(super) fn is_plain_type(&self, name: &pg::TypeName) -> bool {
        let names = strings(&name.names).unwrap_or_default();
        let (base, hidden) = match names.as_slice() {
            ["pg_catalog", base] => (*base, false),
            [base] => {
                let relation = |schema| self.catalog.relation_named(schema, base).is_some();
                let hidden = !self.catalog.types_named(base).is_empty()
                    || self.path.iter().any(|schema| relation(schema));
                (*base, hidden)
            }
            _ => return false,
        };
        !hidden
            && name.array_bounds.is_empty()
            && !name.setof
            && !name.pct_type
            && PLAIN.contains(&base)
    }

    /// Whether a column of this type is plain. Of the server's own documents, ranges and arrays only those that compare without
    /// fail, and that nothing asks for a shape.
    pub(super) fn is_plain_oid(&self, type_oid: u32) -> bool {
        let mut type_oid = type_oid;
        for _ in 0..TYPE_DEPTH_MAX {
            if functions::is_scalar(type_oid) || ALSO_PLAIN.contains(&type_oid) {
                return true;
            }
            let Some(user_type) = self.catalog.type_by_oid(type_oid) else {
                return false;
            };
            match user_type.kind {
                TypeKind::Base | TypeKind::Enum => return true,
                TypeKind::Domain => type_oid = user_type.element,
                TypeKind::Composite
                | TypeKind::Array
                | TypeKind::Range
                | TypeKind::Pseudo
                | TypeKind::Multirange => return false,
            }
        }
        false
    }

    /// Whether an operator of the server's own gives a plain value, of plain operands or not.
    pub(super) fn operator_gives_plain(&self, expression: &pg::AExpr, of_plain: bool) -> bool {
        let name = strings(&expression.name).unwrap_or_default();
        let ([name] | ["pg_catalog", name]) = name.as_slice() else {
            return false;
        };
        let compares = matches!(*name, "=" | "<>" | "!=" | "<" | "<=" | ">" | ">=");
        expression.kind() == pg::AExprKind::AexprOp
            && self.catalog.operators_named(name).is_empty()
            && (compares || of_plain)
    }

    /// Whether a function of the server's own gives a plain value for such arguments.
    pub(super) fn gives_plain(&self, call: &pg::FuncCall, arguments: &[Value]) -> bool {
        let names = strings(&call.funcname).unwrap_or_default();
        let ([name] | ["pg_catalog", name]) = names.as_slice() else {
            return false;
        };
        let all_plain = !arguments.is_empty() && arguments.iter().all(|argument| argument.plain);
        let takes_others = |overload: &functions::Overload| {
            let others = ["array", "range", "record"];
            let mut types = overload.arguments.iter();
            types.any(|name| others.iter().any(|other| name.ends_with(other)))
        };
        let mut overloads = self
            .overloads("pg_catalog", name, Some(call.args.len()))
            .filter(|overload| !(all_plain && takes_others(overload)))
            .peekable();
        let like_arguments = |result: &str| matches!(result, "anyelement" | "anycompatible");
        overloads.peek().is_some()
            && overloads.all(|overload| {
                let result = overload.result;
                PLAIN.contains(&result)
                    || (all_plain
                        && (like_arguments(result) || overload.arguments.contains(&result)))
            })
            && self.catalog.function_schemas(name).is_empty()
    }

    /// What users' casts give that operands may go through.
    pub(super) fn casts_of_operands(
        &mut self,
        expression: &pg::AExpr,
        values: [&Value; 2],
    ) -> Result<Value, Refusal> {
        let mut given = Value::default();
        let nodes = [expression.lexpr.as_deref(), expression.rexpr.as_deref()];
        for (node, value) in nodes.into_iter().zip(values) {
            let literal = |node: &Node| {
                matches!(
                    node.node,
                    Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::List(_))
                )
            };
            if node.is_some_and(|node| !literal(node)) {
                given.taint(&self.user_casts(value, Towards::Anywhere)?);
            }
        }
        Ok(given)
    }

    /// Whether a function that is total for plain values is so for these arguments.
    pub(super) fn takes_plain(&self, name: &str, arguments: &[Value]) -> bool {
        match name {
            "sum" | "avg" => arguments.iter().all(|argument| self.is_summable(argument)),
            // Of arrays and rows they compare elements or ask for equal shapes; of ranges their bounds may be missing.
            "array_agg" | "max" | "min" | "lower" | "upper" => {
                arguments.iter().all(|argument| argument.plain)
            }
            _ => true,
        }
    }

    /// Whether a sum of these values can't overflow: what a relation holds in a column that is no `numeric`. To a `numeric` a
    /// client can add a value of its own that brings the sum to where the next one overflows it.
    fn is_summable(&self, value: &Value) -> bool {
        let Some((relation, attribute)) = value.described else {
            return value.sources.is_empty();
        };
        let relation = self.catalog.relation(relation);
        let mut columns = relation.iter().flat_map(|relation| &relation.columns);
        columns.any(|column| column.attribute == attribute && SUMMABLE.contains(&column.type_oid))
    }
}

/// Whether a constant has no type of its own.
pub(super) fn is_untyped(constant: &pg::AConst) -> bool {
    matches!(constant.val, None | Some(Val::Sval(_)))
}

/// Whether a literal is plain: a text can be read as any type, also as a row.
pub(super) fn is_plain_literal(constant: &pg::AConst) -> bool {
    !matches!(constant.val, None | Some(Val::Sval(_) | Val::Bsval(_)))
}

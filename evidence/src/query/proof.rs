//! What an object's statistics prove of a filter: that each of its rows passes, or none does. A filter that is settled for every object needs no
//! row to be read, nor its column. It must never settle what the statistics leave open.

use std::cmp::Ordering;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// Which rows pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    Every,
    No,
    /// Perhaps some.
    Unknown,
}

/// Which rows of an object with these statistics, a column of each of the schema's, pass the filter.
pub(super) fn passing(filter: &Expr, schema: &Schema, statistics: &Statistics) -> Passing {
    let column = |of: &Expr| {
        let Expr::Column(column) = of else {
            return None;
        };
        let place = schema.index_of(&column.name).ok()?;
        statistics.column_statistics.get(place)
    };
    let settled = match filter {
        Expr::IsNotNull(of) => column(of).and_then(|column| are_there(column, statistics)),
        Expr::IsNull(of) => {
            let are_there = column(of).and_then(|column| are_there(column, statistics));
            are_there.map(|are_there| !are_there)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
            (left, Expr::Literal(literal, _)) => {
                column(left).and_then(|column| compare(column, *op, literal, statistics))
            }
            (Expr::Literal(literal, _), right) => op.swap().and_then(|op| {
                column(right).and_then(|column| compare(column, op, literal, statistics))
            }),
            _ => None,
        },
        _ => None,
    };
    match settled {
        Some(true) => Passing::Every,
        Some(false) => Passing::No,
        None => Passing::Unknown,
    }
}

/// Whether a column has a value in every row, or in none.
fn are_there(column: &ColumnStatistics, statistics: &Statistics) -> Option<bool> {
    match (column.null_count, statistics.num_rows) {
        (Precision::Exact(0), _) => Some(true),
        (Precision::Exact(nulls), Precision::Exact(rows)) if nulls == rows => Some(false),
        _ => None,
    }
}

/// Whether every value compares so with another, or none does. What is null compares with nothing.
fn compare(
    column: &ColumnStatistics,
    operator: Operator,
    with: &ScalarValue,
    statistics: &Statistics,
) -> Option<bool> {
    let are_there = are_there(column, statistics);
    if are_there == Some(false) {
        return Some(false);
    }
    let (Precision::Exact(least), Precision::Exact(greatest)) =
        (&column.min_value, &column.max_value)
    else {
        return None;
    };
    let (least, greatest) = (order(least, with)?, order(greatest, with)?);
    let is_equal = least.is_eq() && greatest.is_eq();
    let is_beside = least.is_gt() || greatest.is_lt();
    let (is_every, is_none) = match operator {
        Operator::Eq => (is_equal, is_beside),
        Operator::NotEq => (is_beside, is_equal),
        Operator::Lt => (greatest.is_lt(), least.is_ge()),
        Operator::LtEq => (greatest.is_le(), least.is_gt()),
        Operator::Gt => (least.is_gt(), greatest.is_le()),
        Operator::GtEq => (least.is_ge(), greatest.is_lt()),
        _ => return None,
    };
    match is_none {
        true => Some(false),
        false => (is_every && are_there == Some(true)).then_some(true),
    }
}

/// How two values of one kind compare; `None` for nulls and for values of different kinds.
fn order(one: &ScalarValue, other: &ScalarValue) -> Option<Ordering> {
    if one.is_null() || other.is_null() {
        return None;
    }
    match (one.try_as_str(), other.try_as_str()) {
        (Some(one), Some(other)) => Some(one?.cmp(other?)),
        _ => one.partial_cmp(other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::logical_expr::{col, lit};

    use super::*;

    /// An object of ten rows: `text` from "completed" to "denied", `number` from 3 to 5, `some` the same with a null, `none` null, `open` unknown.
    fn check(filter: &Expr, expected: Passing) {
        let names = ["text", "number", "some", "none", "open"];
        let fields = names.map(|name| Field::new(name, DataType::Int64, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let of = |least: ScalarValue, greatest: ScalarValue, nulls| ColumnStatistics {
            null_count: Precision::Exact(nulls),
            min_value: Precision::Exact(least),
            max_value: Precision::Exact(greatest),
            ..ColumnStatistics::new_unknown()
        };
        let numbers = |nulls| of(ScalarValue::from(3_i64), ScalarValue::from(5_i64), nulls);
        let texts = (ScalarValue::from("completed"), ScalarValue::from("denied"));
        let none = ColumnStatistics {
            null_count: Precision::Exact(10),
            ..ColumnStatistics::new_unknown()
        };
        let statistics = Statistics {
            num_rows: Precision::Exact(10),
            total_byte_size: Precision::Absent,
            column_statistics: vec![
                of(texts.0, texts.1, 0),
                numbers(0),
                numbers(1),
                none,
                ColumnStatistics::new_unknown(),
            ],
        };
        assert_eq!(passing(filter, &schema, &statistics), expected, "{filter}");
    }

    #[test]
    fn comparisons_are_settled_by_the_least_and_the_greatest() {
        use Passing::{Every, No, Unknown};
        let view = |text: &str| lit(ScalarValue::Utf8View(Some(text.to_owned())));
        check(&col("text").not_eq(lit("open")), Every);
        check(&col("text").not_eq(view("open")), Every);
        check(&col("text").not_eq(lit("cut")), Unknown);
        check(&col("text").eq(view("open")), No);
        check(&col("text").eq(lit("completed")), Unknown);
        for (bound, expected) in [
            (2, [No, No, Every, Every]),
            (3, [No, Unknown, Unknown, Every]),
        ]
        .into_iter()
        .chain([
            (4, [Unknown; 4]),
            (5, [Unknown, Every, No, Unknown]),
            (6, [Every, Every, No, No]),
        ]) {
            let bound = || lit(i64::from(bound));
            check(&col("number").lt(bound()), expected[0]);
            check(&col("number").lt_eq(bound()), expected[1]);
            check(&col("number").gt(bound()), expected[2]);
            check(&col("number").gt_eq(bound()), expected[3]);
            check(&bound().gt(col("number")), expected[0]);
        }
    }

    #[test]
    fn nulls_pass_nothing_but_what_asks_for_them() {
        use Passing::{Every, No, Unknown};
        check(&col("some").gt(lit(1_i64)), Unknown);
        check(&col("some").gt(lit(9_i64)), No);
        check(&col("none").gt(lit(1_i64)), No);
        check(&col("none").not_eq(lit("x")), No);
        check(&col("number").is_not_null(), Every);
        check(&col("number").is_null(), No);
        check(&col("some").is_not_null(), Unknown);
        check(&col("some").is_null(), Unknown);
        check(&col("none").is_not_null(), No);
        check(&col("none").is_null(), Every);
    }

    #[test]
    fn all_else_is_left_open() {
        let null = || lit(ScalarValue::Int64(None));
        for filter in [
            col("open").gt(lit(1_i64)),
            col("open").is_null(),
            col("missing").is_null(),
            col("number").gt(lit(1_i32)),
            col("number").gt(lit("1")),
            col("number").gt(null()),
            col("number").gt(col("some")),
            (col("number") + lit(1_i64)).gt(lit(1_i64)),
            col("number").gt(lit(1_i64)).or(col("number").is_null()),
            lit(true),
        ] {
            check(&filter, Passing::Unknown);
        }
    }
}

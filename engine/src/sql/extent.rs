//! How long a value can be, roughly: what is put together until it is longer than the server or the gateway takes fails,
//! and whether it fails tells of the lengths of its parts. Doubt means that it is not known.
//!
//! What is stored in a column is taken as it is: whoever can store values of hundreds of megabytes in the row of a masked
//! one is not looked through.

use std::collections::BTreeSet;

use pg_query::protobuf::{self as pg, a_const::Val};

use super::{
    book::Value,
    functions,
    resolver::{Resolver, strings},
};

/// Most parts that a value may be made of: values of columns, and kilobytes of literals.
const PARTS_MAX: u32 = 1024;
/// A part of a literal, in bytes.
const LITERAL_BYTES: usize = 1024;

/// How long a value can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Extent {
    /// Not known.
    #[default]
    Unknown,
    /// At most so many parts.
    Parts(u32),
}

/// Functions whose result is longer than what they are given: all of it together, and signs between and around it.
const JOINS: [&str; 10] = [
    "array_to_string",
    "concat",
    "concat_ws",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "row_to_json",
    "to_json",
    "to_jsonb",
];
/// Functions that put rows together, however many there are.
const OF_ROWS: [&str; 6] = [
    "array_agg",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "string_agg",
];

impl Extent {
    /// One part: the value of a column, a number.
    pub(super) const ONE: Self = Self::Parts(1);

    /// A literal.
    pub(super) fn of_literal(constant: &pg::AConst) -> Self {
        let bytes = match &constant.val {
            Some(Val::Sval(text)) => text.sval.len(),
            Some(Val::Fval(number)) => number.fval.len(),
            Some(Val::Bsval(bits)) => bits.bsval.len(),
            Some(Val::Ival(_) | Val::Boolval(_)) | None => 0,
        };
        Self::parts(u32::try_from(bytes / LITERAL_BYTES).unwrap_or(u32::MAX)).and(Self::ONE)
    }

    const fn parts(parts: u32) -> Self {
        if parts > PARTS_MAX {
            Self::Unknown
        } else {
            Self::Parts(parts)
        }
    }

    /// Both, one after the other.
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Parts(one), Self::Parts(other)) => Self::parts(one.saturating_add(other)),
            _ => Self::Unknown,
        }
    }

    /// Either.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Parts(one), Self::Parts(other)) => Self::Parts(one.max(other)),
            _ => Self::Unknown,
        }
    }

    /// So many of it, one after the other.
    fn times(self, count: usize) -> Self {
        match self {
            Self::Parts(parts) => {
                Self::parts(parts.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)))
            }
            Self::Unknown => Self::Unknown,
        }
    }

    /// Whether it is surely not too long.
    pub(super) const fn is_bounded(self) -> bool {
        matches!(self, Self::Parts(_))
    }

    /// Whether a function that never fails otherwise may give a longer value than it is given.
    pub(super) fn can_grow(function: &str) -> bool {
        JOINS.contains(&function) || OF_ROWS.contains(&function) || function == "overlay"
    }

    /// What a function of the server's own that never fails otherwise gives.
    pub(super) fn of_call(function: &str, arguments: &[Value]) -> Self {
        let joins = JOINS.contains(&function) || function == "overlay";
        if OF_ROWS.contains(&function) || (joins && !is_of_one(arguments.iter())) {
            return Self::Unknown;
        }
        let together = arguments
            .iter()
            .fold(Self::ONE, |extent, argument| extent.and(argument.extent));
        match function {
            // The separator stands between any two.
            "concat_ws" => arguments.first().map_or(Self::Unknown, |separator| {
                together.and(separator.extent.times(arguments.len()))
            }),
            // Elements are not counted, only what they are in.
            "array_to_string" => Self::Unknown,
            // Quotes and backslashes of what is quoted already double.
            _ if JOINS.contains(&function) => together.times(6),
            _ => together,
        }
    }
}

impl Resolver<'_> {
    /// What an operator of the server's own gives. Texts of several relations are not put together: who writes the one may not
    /// be meant to know the other.
    pub(super) fn operator_extent(&self, expression: &pg::AExpr, operands: [&Value; 2]) -> Extent {
        let name = strings(&expression.name).unwrap_or_default();
        if name.last() != Some(&"||") {
            return if self.operator_gives_plain(expression, true) {
                Extent::ONE
            } else {
                Extent::Unknown
            };
        }
        let [left, right] = operands;
        if is_of_one(operands.into_iter()) {
            left.extent.and(right.extent)
        } else {
            Extent::Unknown
        }
    }
}

/// Whether texts among these values are of one relation, with the views that it is read through, and its heirs.
fn is_of_one<'v>(values: impl Iterator<Item = &'v Value>) -> bool {
    let texts = values.map(|value| -> BTreeSet<u32> {
        let texts = value.sources.iter();
        texts
            .filter(|origin| !functions::is_short(origin.column.type_oid))
            .map(|origin| origin.column.relation_oid)
            .collect()
    });
    let mut widest = BTreeSet::new();
    for texts in texts {
        if widest.is_subset(&texts) {
            widest = texts;
        } else if !texts.is_subset(&widest) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_too_many_are_not_known() {
        let most = Extent::ONE.times(1024);
        assert_eq!(Extent::ONE.times(1000).and(Extent::Parts(24)), most);
        assert_eq!(most.and(Extent::ONE), Extent::Unknown);
        assert_eq!(most.times(2), Extent::Unknown);
        assert_eq!(most.or(Extent::ONE), most);
        assert_eq!(Extent::Unknown.or(Extent::ONE), Extent::Unknown);
        assert_eq!(Extent::Unknown.and(Extent::ONE), Extent::Unknown);
    }
}

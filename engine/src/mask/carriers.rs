//! Which type carries which transform: what the policy's checker refuses, in agreement with what masks do to values.
//!
//! Never says yes for a transform that [`super::apply`] would not carry out on that type.

use super::{
    Format, Masked, apply,
    date::DateKind,
    number::{FloatWidth, IntegerWidth, integer_granularity},
};
use crate::transform::{DateUnit, Granularity, Transform};

/// How a type carries masked values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// The bytes are the text in both formats.
    Text,
    /// As [`Carrier::Text`], at most 63 bytes of it.
    Name,
    /// As [`Carrier::Text`], blank-padded: the padding is no part of the value.
    Padded,
    /// A JSON document, its text in both formats.
    Json,
    /// A JSON document, with a version byte before it in binary format.
    Jsonb,
    /// 16 bytes.
    Uuid,
    /// Bytes.
    Bytes,
    /// A whole number.
    Integer(IntegerWidth),
    /// A floating-point number.
    Float(FloatWidth),
    /// A decimal number.
    Numeric,
    /// A date, a time, or both.
    Date(DateKind),
}

impl Carrier {
    /// How the built-in type of that oid carries masked values; `None` where it can only be NULL.
    ///
    /// `"char"` (18) holds a single byte, too little for any transform's result, and `money` (790) has as many decimals
    /// as the server's locale says.
    ///
    /// # Source
    /// PostgreSQL, `src/include/catalog/pg_type.dat`.
    pub(super) const fn of(type_oid: u32) -> Option<Self> {
        Some(match type_oid {
            17 => Self::Bytes,
            19 => Self::Name,
            20 => Self::Integer(IntegerWidth::Eight),
            21 => Self::Integer(IntegerWidth::Two),
            23 => Self::Integer(IntegerWidth::Four),
            25 | 1043 => Self::Text,
            114 => Self::Json,
            700 => Self::Float(FloatWidth::Four),
            701 => Self::Float(FloatWidth::Eight),
            1042 => Self::Padded,
            1082 => Self::Date(DateKind::Date),
            1083 => Self::Date(DateKind::Time),
            1114 => Self::Date(DateKind::Timestamp),
            1184 => Self::Date(DateKind::TimestampWithZone),
            1266 => Self::Date(DateKind::TimeWithZone),
            1700 => Self::Numeric,
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ => return None,
        })
    }
}

/// How the values of a type are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Of nothing else.
    Plain(Carrier),
    /// An array.
    Array(Array),
    /// A range; what carries its bounds.
    Range(Carrier),
    /// A multirange; what carries its ranges' bounds.
    Multirange(Carrier),
}

/// A type of arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Array {
    /// What carries its elements.
    pub(super) element: Carrier,
    /// Their type's oid.
    pub(super) element_oid: u32,
}

impl Shape {
    /// How values of the built-in type of that oid are made; `None` where they can only be NULL.
    ///
    /// # Source
    /// PostgreSQL, `src/include/catalog/pg_type.dat` (`array_type_oid`) and `pg_range.dat`.
    pub(super) const fn of(type_oid: u32) -> Option<Self> {
        if let Some(carrier) = Carrier::of(type_oid) {
            return Some(Self::Plain(carrier));
        }
        let element_oid = match type_oid {
            199 => 114,
            1001 => 17,
            1003 => 19,
            1005 => 21,
            1007 => 23,
            1009 => 25,
            1014 => 1042,
            1015 => 1043,
            1016 => 20,
            1021 => 700,
            1022 => 701,
            1115 => 1114,
            1182 => 1082,
            1183 => 1083,
            1185 => 1184,
            1231 => 1700,
            1270 => 1266,
            2951 => 2950,
            3807 => 3802,
            3904 | 4451 => 23,
            3906 | 4532 => 1700,
            3908 | 4533 => 1114,
            3910 | 4534 => 1184,
            3912 | 4535 => 1082,
            3926 | 4536 => 20,
            _ => return None,
        };
        let Some(element) = Carrier::of(element_oid) else {
            return None;
        };
        Some(match type_oid {
            3904 | 3906 | 3908 | 3910 | 3912 | 3926 => Self::Range(element),
            4451 | 4532..=4536 => Self::Multirange(element),
            _ => Self::Array(Array {
                element,
                element_oid,
            }),
        })
    }
}

/// A built-in type that carries more than NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarryingType {
    /// The type's oid.
    pub oid: u32,
    /// Its name in SQL.
    pub name: &'static str,
}

/// Every type that carries more than NULL and is not made of others. Arrays of these do too, and ranges of numbers and dates.
pub const CARRYING_TYPES: &[CarryingType] = &[
    carrying(25, "text"),
    carrying(1043, "varchar"),
    carrying(1042, "char"),
    carrying(19, "name"),
    carrying(114, "json"),
    carrying(3802, "jsonb"),
    carrying(21, "smallint"),
    carrying(23, "integer"),
    carrying(20, "bigint"),
    carrying(1700, "numeric"),
    carrying(700, "real"),
    carrying(701, "double precision"),
    carrying(1082, "date"),
    carrying(1114, "timestamp"),
    carrying(1184, "timestamptz"),
    carrying(1083, "time"),
    carrying(1266, "timetz"),
    carrying(2950, "uuid"),
    carrying(17, "bytea"),
];

const fn carrying(oid: u32, name: &'static str) -> CarryingType {
    CarryingType { oid, name }
}

/// Whether a type carries a transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// It does. A single value may still be redacted or NULL: one that is too short, or that is no date at all.
    Yes,
    /// It does not: every value becomes something else, for the reason in words.
    Becomes(Instead, &'static str),
}

/// What a value becomes that can't carry a transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// NULL.
    Null,
    /// The redacted text.
    Redacted,
}

/// Whether values of the type can carry the transform, given keys for those that need some.
///
/// `redact` and `null` are carried by every type: where a type has no text, redacting means NULL.
#[must_use]
pub fn carries(transform: &Transform, type_oid: u32) -> Carries {
    if matches!(transform, Transform::Redact | Transform::Null) {
        return Carries::Yes;
    }
    match Shape::of(type_oid) {
        None => null("values of this type can only become NULL"),
        Some(Shape::Plain(carrier)) => carried(transform, carrier, type_oid),
        Some(Shape::Array(array)) => carried_by_elements(transform, array),
        Some(Shape::Range(bound) | Shape::Multirange(bound)) => carried_by_bounds(transform, bound),
    }
}

fn carried(transform: &Transform, carrier: Carrier, type_oid: u32) -> Carries {
    match transform {
        Transform::Redact | Transform::Null => Carries::Yes,
        Transform::Last(_) | Transform::First(_) | Transform::KeepDomain => parts(carrier),
        Transform::Constant(constant) => carries_constant(constant, carrier, type_oid),
        Transform::Hash => hash(carrier),
        Transform::Tokenize => tokenize(carrier),
        Transform::RoundTo(granularity) => round_to(*granularity, carrier),
        Transform::TruncateDate(unit) => truncate_date(*unit, carrier),
    }
}

/// Whether arrays carry the transform: as their elements do, but that an array whose elements would all be redacted is NULL, unless a
/// constant is asked for, which stands in its only element.
pub(super) fn carried_by_elements(transform: &Transform, array: Array) -> Carries {
    match (
        transform,
        carried(transform, array.element, array.element_oid),
    ) {
        (Transform::Constant(_), carries) | (_, carries @ Carries::Yes) => carries,
        (_, Carries::Becomes(_, reason)) => null(reason),
    }
}

/// Whether ranges carry the transform: what keeps the order of bounds, and no other.
pub(super) fn carried_by_bounds(transform: &Transform, bound: Carrier) -> Carries {
    match transform {
        Transform::Redact | Transform::Null => Carries::Yes,
        Transform::RoundTo(granularity) => round_to(*granularity, bound),
        Transform::TruncateDate(unit) => truncate_date(*unit, bound),
        Transform::Last(_)
        | Transform::First(_)
        | Transform::KeepDomain
        | Transform::Constant(_)
        | Transform::Hash
        | Transform::Tokenize => {
            null("the bounds of a range stay in order only by `round to` and `truncate date`")
        }
    }
}

const fn null(reason: &'static str) -> Carries {
    Carries::Becomes(Instead::Null, reason)
}

const fn redacted(reason: &'static str) -> Carries {
    Carries::Becomes(Instead::Redacted, reason)
}

const fn parts(carrier: Carrier) -> Carries {
    match carrier {
        Carrier::Text | Carrier::Name | Carrier::Padded => Carries::Yes,
        Carrier::Json | Carrier::Jsonb => {
            redacted("a JSON document has no first or last characters and no domain")
        }
        Carrier::Uuid
        | Carrier::Bytes
        | Carrier::Integer(_)
        | Carrier::Float(_)
        | Carrier::Numeric
        | Carrier::Date(_) => null("only texts have characters to keep"),
    }
}

fn carries_constant(constant: &str, carrier: Carrier, type_oid: u32) -> Carries {
    // A constant never looks at the value, so any will do.
    let mut out = Vec::new();
    let masked = apply(
        &Transform::Constant(constant.into()),
        None,
        b"",
        type_oid,
        Format::Text,
        &mut out,
    );
    match (masked, carrier) {
        (Masked::Null, Carrier::Bytes) => null("a constant can't be written for bytes"),
        (Masked::Null, Carrier::Uuid) => null("the constant is no uuid"),
        (Masked::Null, Carrier::Integer(_)) => {
            null("the constant is no whole number that the type can hold")
        }
        (Masked::Null, _) => match carrier {
            Carrier::Date(DateKind::Date) => {
                null("the constant is no date: write it like `2000-01-31`")
            }
            Carrier::Date(DateKind::Timestamp) => {
                null("the constant is no timestamp: write it like `2000-01-31 00:00:00`")
            }
            Carrier::Date(DateKind::TimestampWithZone) => null(
                "the constant is no timestamp with a zone: write it like `2000-01-31 00:00:00+00`",
            ),
            Carrier::Date(DateKind::Time) => {
                null("the constant is no time: write it like `00:00:00`")
            }
            Carrier::Date(DateKind::TimeWithZone) => {
                null("the constant is no time with a zone: write it like `00:00:00+00`")
            }
            _ => null("the constant is no number that the type can hold"),
        },
        (Masked::Value, Carrier::Name) if constant.len() > super::NAME_BYTES_MAX => {
            redacted("a name has at most 63 bytes")
        }
        (Masked::Value, _) if constant.contains('\0') => {
            redacted("PostgreSQL's texts can't hold a zero byte")
        }
        (Masked::Value, _) => Carries::Yes,
    }
}

const fn hash(carrier: Carrier) -> Carries {
    match carrier {
        Carrier::Text | Carrier::Name | Carrier::Padded | Carrier::Uuid | Carrier::Bytes => {
            Carries::Yes
        }
        Carrier::Json | Carrier::Jsonb => redacted(
            "equal JSON documents can be written differently, so their hashes would differ",
        ),
        Carrier::Integer(_) => null(
            "a hash in so few bits would make different numbers equal: `tokenize` keeps them apart",
        ),
        Carrier::Float(_) | Carrier::Numeric => null("a hash is no number"),
        Carrier::Date(_) => null("a hash is no date or time"),
    }
}

const fn tokenize(carrier: Carrier) -> Carries {
    match carrier {
        Carrier::Text
        | Carrier::Name
        | Carrier::Padded
        | Carrier::Integer(IntegerWidth::Four | IntegerWidth::Eight) => Carries::Yes,
        Carrier::Integer(IntegerWidth::Two) => {
            null("a smallint has fewer than the six digits that a token needs")
        }
        Carrier::Json | Carrier::Jsonb => {
            redacted("a JSON document has no format that a token could keep")
        }
        Carrier::Uuid => null("a uuid has no token: `hash` gives one that is a uuid"),
        Carrier::Bytes => null("bytes have no token: `hash` works for them"),
        Carrier::Float(_) | Carrier::Numeric => null("only texts, integer and bigint have a token"),
        Carrier::Date(_) => null("dates and times have no token: `truncate date` works for them"),
    }
}

fn round_to(granularity: Granularity, carrier: Carrier) -> Carries {
    match carrier {
        Carrier::Integer(_) if integer_granularity(granularity).is_none() => {
            null("whole numbers round to whole numbers from 2: finer would show them as they are")
        }
        Carrier::Integer(_) | Carrier::Float(_) | Carrier::Numeric => Carries::Yes,
        Carrier::Text | Carrier::Name | Carrier::Padded | Carrier::Json | Carrier::Jsonb => {
            redacted("only numbers can be rounded")
        }
        Carrier::Uuid | Carrier::Bytes => null("only numbers can be rounded"),
        Carrier::Date(_) => null("dates and times are not rounded: `truncate date` works for them"),
    }
}

const fn truncate_date(unit: DateUnit, carrier: Carrier) -> Carries {
    match carrier {
        Carrier::Date(kind) if kind.hides(unit) => Carries::Yes,
        Carrier::Date(DateKind::Time | DateKind::TimeWithZone) => {
            null("a time of day has no date: only `truncate date hour` works for it")
        }
        Carrier::Date(_) => null("a date has nothing finer than a day: it would show as it is"),
        Carrier::Text | Carrier::Name | Carrier::Padded | Carrier::Json | Carrier::Jsonb => {
            redacted("only dates and times can be truncated to a unit")
        }
        Carrier::Uuid
        | Carrier::Bytes
        | Carrier::Integer(_)
        | Carrier::Float(_)
        | Carrier::Numeric => null("only dates and times can be truncated to a unit"),
    }
}

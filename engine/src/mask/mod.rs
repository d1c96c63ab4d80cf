//! The transforms that masked values go through, for values in text and in binary format.
//!
//! Never lets a raw value through on doubt: what a type can't carry becomes NULL, what a transform does not understand
//! is redacted, and the result never tells a text's length unless a token is asked for. A result is always a value that
//! the type's input would take, with one exception: lengths of `varchar(n)` and `char(n)` are not kept to, as neither the
//! wire format nor any client library checks them.
//!
//! | room | masks |
//! |---|---|
//! | `carriers` | says which type carries which transform |
//! | `text` | texts and JSON documents |
//! | `number` | integers and floats, and with `decimal` `numeric` |
//! | `date` | dates, times and timestamps, with the days of `calendar` |
//! | `bytes` | `uuid` and `bytea` |
//! | `array` | arrays of all these, element by element |
//! | `range` | ranges and multiranges of numbers and dates, bound by bound |
//! | `keys`, `tokenize` | the keyed transforms |

mod array;
mod bytes;
mod calendar;
mod carriers;
mod date;
mod decimal;
mod keys;
mod number;
mod range;
#[cfg(test)]
mod tests;
mod text;
mod tokenize;

pub use carriers::{CARRYING_TYPES, Carries, CarryingType, Instead, carries};
use carriers::{Carrier, Shape};
pub use keys::{MaskKeys, MaskKeysError};

use crate::transform::Transform;

/// The wire format of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// PostgreSQL's text output.
    Text,
    /// The type's binary output.
    Binary,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Masked {
    /// It becomes NULL; nothing was appended.
    Null,
    /// The bytes of the masked value were appended.
    Value,
}

/// What a redacted value reads.
pub const REDACTED: &str = "[redacted]";
/// What hidden characters read, however many they are.
pub const STARS: &str = "*******";
/// What the hidden part of an e-mail address reads.
pub const HIDDEN_USER: &str = "***";

/// The longest `name`, in bytes.
///
/// # Source
/// PostgreSQL, `NAMEDATALEN` in `src/include/pg_config_manual.h`, less the end's zero byte.
const NAME_BYTES_MAX: usize = 63;
/// The version byte of `jsonb`'s binary format.
///
/// # Source
/// PostgreSQL, `jsonb_recv` in `src/backend/utils/adt/jsonb.c`.
const JSONB_VERSION: u8 = 1;

/// Masks one value that is not NULL, appending the result to `out`.
///
/// `value` are the bytes as the server sent them, `type_oid` the type that RowDescription gave. Without `keys` the keyed
/// transforms redact. Types that [`carries`] does not know (booleans, composites, types of extensions, arrays of all these) become
/// NULL whatever the transform.
pub fn apply(
    transform: &Transform,
    keys: Option<&MaskKeys>,
    value: &[u8],
    type_oid: u32,
    format: Format,
    out: &mut Vec<u8>,
) -> Masked {
    let masking = Masking {
        transform,
        keys,
        format,
    };
    let appended = match Shape::of(type_oid) {
        None => None,
        Some(Shape::Plain(carrier)) => masking.append(carrier, value, out),
        Some(Shape::Array(array)) => array::append(masking, array, value, out),
        Some(Shape::Range(bound)) => range::append(masking, bound, value, out),
        Some(Shape::Multirange(bound)) => range::append_several(masking, bound, value, out),
    };
    match appended {
        Some(()) => Masked::Value,
        None => Masked::Null,
    }
}

/// How values are masked.
#[derive(Debug, Clone, Copy)]
struct Masking<'a> {
    transform: &'a Transform,
    keys: Option<&'a MaskKeys>,
    format: Format,
}

impl Masking<'_> {
    /// Appends the masked form of a value that is not made of others; `None` where it is to be NULL, then `out` is as it was.
    fn append(self, carrier: Carrier, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let Self {
            transform,
            keys,
            format,
        } = self;
        if *transform == Transform::Null {
            return None;
        }
        let start = out.len();
        let appended = match carrier {
            Carrier::Text => {
                text::append(transform, keys, value, out);
                Some(())
            }
            Carrier::Name => {
                text::append(transform, keys, value, out);
                if out.len() - start > NAME_BYTES_MAX {
                    out.truncate(start);
                    out.extend_from_slice(REDACTED.as_bytes());
                }
                Some(())
            }
            Carrier::Padded => {
                text::append(transform, keys, without_padding(value), out);
                Some(())
            }
            Carrier::Json => {
                text::append_json(transform, out);
                Some(())
            }
            Carrier::Jsonb => {
                if format == Format::Binary {
                    out.push(JSONB_VERSION);
                }
                text::append_json(transform, out);
                Some(())
            }
            Carrier::Uuid => bytes::append_uuid(transform, keys, value, format, out),
            Carrier::Bytes => bytes::append_bytes(transform, keys, value, format, out),
            Carrier::Integer(width) => {
                number::append_integer(transform, keys, width, value, format, out)
            }
            Carrier::Float(width) => number::append_float(transform, width, value, format, out),
            Carrier::Numeric => number::append_numeric(transform, value, format, out),
            Carrier::Date(kind) => date::append(transform, kind, value, format, out),
        };
        if appended.is_none() {
            out.truncate(start);
        }
        appended
    }
}

/// What every value that is not NULL becomes, where that does not hang on the value: the masked form is appended to `out` as by
/// [`apply`]. `None` where each value must be looked at; then nothing is appended.
pub fn fixed(
    transform: &Transform,
    type_oid: u32,
    format: Format,
    out: &mut Vec<u8>,
) -> Option<Masked> {
    let looks_at_values = match transform {
        Transform::Redact | Transform::Null | Transform::Constant(_) => false,
        Transform::Last(_)
        | Transform::First(_)
        | Transform::KeepDomain
        | Transform::Hash
        | Transform::Tokenize
        | Transform::RoundTo(_)
        | Transform::TruncateDate(_) => Shape::of(type_oid).is_some(),
    };
    (!looks_at_values).then(|| apply(transform, None, b"", type_oid, format, out))
}

/// Whether values of the type never read as an empty text, nor as the word `null`: numbers, dates, times and uuids, and what is made
/// of values between brackets.
#[must_use]
pub fn has_no_words(type_oid: u32) -> bool {
    Shape::of(type_oid).is_some_and(|shape| match shape {
        Shape::Plain(
            Carrier::Uuid
            | Carrier::Integer(_)
            | Carrier::Float(_)
            | Carrier::Numeric
            | Carrier::Date(_),
        )
        | Shape::Array(_)
        | Shape::Range(_)
        | Shape::Multirange(_) => true,
        Shape::Plain(
            Carrier::Text
            | Carrier::Name
            | Carrier::Padded
            | Carrier::Json
            | Carrier::Jsonb
            | Carrier::Bytes,
        ) => false,
    })
}

/// A `char(n)` without the spaces that fill it up.
const fn without_padding(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

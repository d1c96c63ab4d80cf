//! Masks of ranges and multiranges of numbers and dates: both bounds are rounded or truncated, each as a value of its own.
//!
//! A missing bound stays missing, as NULL stays NULL. Never gives a range that is empty, or ranges that touch: what the bounds' masks
//! leave without a difference becomes NULL, and so does an empty range, which is a particular value.
//!
//! `// INVARIANT:` `round to` and `truncate date` never change the order of two values, and write equal ones alike. So the bounds of a
//! range stay in order, and it is enough to see whether they differ.
//!
//! # Source
//! PostgreSQL, `range_out` and `range_send` in `src/backend/utils/adt/rangetypes.c`, and `multirange_out` and `multirange_send` in
//! `multirangetypes.c`.

use super::{
    Format, Masking,
    array::Reader,
    carriers::{Carrier, Carries, carried_by_bounds},
};
use crate::transform::Transform;

/// The flags of the binary format: which bound belongs to the range, which is missing. An empty range has another one.
///
/// # Source
/// PostgreSQL, `src/include/utils/rangetypes.h`.
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_MISSING: u8 = 0x08;
const UPPER_MISSING: u8 = 0x10;

/// A range that is not empty; bounds may be missing.
struct Range<T> {
    lower: Option<Bound<T>>,
    upper: Option<Bound<T>>,
}

/// A bound.
struct Bound<T> {
    value: T,
    is_inclusive: bool,
}

/// Appends the masked form of a range; `None` where it is to be NULL, then `out` is as it was.
pub(super) fn append(
    masking: Masking<'_>,
    bound: Carrier,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    if !is_carried(masking.transform, bound) {
        return None;
    }
    let range = match masking.format {
        Format::Text => {
            let (range, rest) = Range::from_text(value)?;
            rest.is_empty().then_some(range)?
        }
        Format::Binary => Range::from_binary(value)?,
    };
    let masked = range.mask(masking, bound)?;
    match masking.format {
        Format::Text => masked.append_text(out),
        Format::Binary => out.extend_from_slice(&masked.binary()?),
    }
    Some(())
}

/// Appends the masked form of a multirange; `None` where it is to be NULL, then `out` is as it was.
pub(super) fn append_several(
    masking: Masking<'_>,
    bound: Carrier,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    if !is_carried(masking.transform, bound) {
        return None;
    }
    let start = out.len();
    let appended = match masking.format {
        Format::Text => append_several_text(masking, bound, value, out),
        Format::Binary => append_several_binary(masking, bound, value, out),
    };
    if appended.is_none() {
        out.truncate(start);
    }
    appended
}

/// Whether the bounds are masked; all else that ranges can become is NULL.
fn is_carried(transform: &Transform, bound: Carrier) -> bool {
    *transform != Transform::Redact
        && *transform != Transform::Null
        && carried_by_bounds(transform, bound) == Carries::Yes
}

fn append_several_text(
    masking: Masking<'_>,
    bound: Carrier,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut rest = value.strip_prefix(b"{")?;
    let mut before = None;
    out.push(b'{');
    loop {
        let (range, after) = Range::from_text(rest)?;
        let masked = range.mask(masking, bound)?;
        masked.append_text(out);
        before = Some(masked.behind(before)?);
        match after {
            b"}" => {
                out.push(b'}');
                return Some(());
            }
            [b',', after @ ..] => {
                out.push(b',');
                rest = after;
            }
            _ => return None,
        }
    }
}

fn append_several_binary(
    masking: Masking<'_>,
    bound: Carrier,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut reader = Reader(value);
    let count = reader.word().filter(|count| *count > 0)?;
    out.extend_from_slice(&count.to_be_bytes());
    let mut before = None;
    // A range has at least its length: a number that lies ends with the bytes.
    for _ in 0..count {
        let length = usize::try_from(reader.word()?).ok()?;
        let masked = Range::from_binary(reader.bytes(length)?)?.mask(masking, bound)?;
        let binary = masked.binary()?;
        out.extend_from_slice(&i32::try_from(binary.len()).ok()?.to_be_bytes());
        out.extend_from_slice(&binary);
        before = Some(masked.behind(before)?);
    }
    reader.0.is_empty().then_some(())
}

impl<'a> Range<&'a [u8]> {
    /// Reads the text format, and gives what follows. An empty range is none.
    fn from_text(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (open, rest) = text.split_first()?;
        let (lower, rest) = bound(rest)?;
        let (upper, rest) = bound(rest.strip_prefix(b",")?)?;
        let (close, rest) = rest.split_first()?;
        let lower = Bound::new(lower, is_inclusive(*open, b"[(")?)?;
        let upper = Bound::new(upper, is_inclusive(*close, b"])")?)?;
        Some((Self { lower, upper }, rest))
    }

    /// Reads the binary format. An empty range is none.
    fn from_binary(value: &'a [u8]) -> Option<Self> {
        const KNOWN: u8 = LOWER_INCLUSIVE | UPPER_INCLUSIVE | LOWER_MISSING | UPPER_MISSING;
        let (flags, rest) = value.split_first()?;
        let mut reader = Reader(rest);
        let mut read = |inclusive, missing| {
            let value = match flags & missing {
                0 => {
                    let length = usize::try_from(reader.word()?).ok()?;
                    Some(reader.bytes(length)?)
                }
                _ => None,
            };
            Bound::new(value, flags & inclusive != 0)
        };
        let lower = read(LOWER_INCLUSIVE, LOWER_MISSING)?;
        let upper = read(UPPER_INCLUSIVE, UPPER_MISSING)?;
        (flags & !KNOWN == 0 && reader.0.is_empty()).then_some(Self { lower, upper })
    }

    fn mask(self, masking: Masking<'_>, carrier: Carrier) -> Option<Range<Vec<u8>>> {
        let mask = |bound: Option<Bound<&[u8]>>| {
            let Some(bound) = bound else {
                return Some(None);
            };
            let mut value = Vec::new();
            masking.append(carrier, bound.value, &mut value)?;
            Some(Some(Bound {
                value,
                is_inclusive: bound.is_inclusive,
            }))
        };
        let masked = Range {
            lower: mask(self.lower)?,
            upper: mask(self.upper)?,
        };
        masked.has_values().then_some(masked)
    }
}

impl Range<Vec<u8>> {
    fn has_values(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Some(lower), Some(upper)) => {
                lower.value != upper.value || (lower.is_inclusive && upper.is_inclusive)
            }
            _ => true,
        }
    }

    /// Itself, if something lies between it and the range before it. Ranges touch where one's upper bound is the other's lower one.
    fn behind(self, before: Option<Self>) -> Option<Self> {
        let Some(before) = before else {
            return Some(self);
        };
        match (&before.upper, &self.lower) {
            (Some(upper), Some(lower)) if upper.value != lower.value => Some(self),
            _ => None,
        }
    }

    fn append_text(&self, out: &mut Vec<u8>) {
        let is_inclusive =
            |bound: &Option<Bound<_>>| bound.as_ref().is_some_and(|bound| bound.is_inclusive);
        out.push(if is_inclusive(&self.lower) {
            b'['
        } else {
            b'('
        });
        append_bound(self.lower.as_ref(), out);
        out.push(b',');
        append_bound(self.upper.as_ref(), out);
        out.push(if is_inclusive(&self.upper) {
            b']'
        } else {
            b')'
        });
    }

    fn binary(&self) -> Option<Vec<u8>> {
        let mut binary = vec![0];
        let mut flags = 0;
        for (bound, inclusive, missing) in [
            (&self.lower, LOWER_INCLUSIVE, LOWER_MISSING),
            (&self.upper, UPPER_INCLUSIVE, UPPER_MISSING),
        ] {
            let Some(bound) = bound else {
                flags |= missing;
                continue;
            };
            if bound.is_inclusive {
                flags |= inclusive;
            }
            let length = i32::try_from(bound.value.len()).ok()?;
            binary.extend_from_slice(&length.to_be_bytes());
            binary.extend_from_slice(&bound.value);
        }
        *binary.first_mut()? = flags;
        Some(binary)
    }
}

impl<T> Bound<T> {
    /// A bound that may be missing; `None` where a missing one would belong to the range.
    fn new(value: Option<T>, is_inclusive: bool) -> Option<Option<Self>> {
        match value {
            None => (!is_inclusive).then_some(None),
            Some(value) => Some(Some(Self {
                value,
                is_inclusive,
            })),
        }
    }
}

/// What a bracket says, of an inclusive one and an exclusive one.
fn is_inclusive(bracket: u8, [inclusive, exclusive]: &[u8; 2]) -> Option<bool> {
    if bracket == *inclusive {
        return Some(true);
    }
    (bracket == *exclusive).then_some(false)
}

/// Reads a bound, which is nothing where it is missing, and gives what follows. Neither numbers nor dates have anything in them that is
/// escaped within quotes.
fn bound(text: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let end = quoted.iter().position(|byte| *byte == b'"')?;
        let (value, rest) = quoted.split_at_checked(end)?;
        let is_plain = !value.is_empty() && !value.contains(&b'\\');
        return Some((is_plain.then_some(Some(value))?, rest.get(1..)?));
    }
    let end = text.iter().position(|byte| is_special(*byte))?;
    let (value, rest) = text.split_at_checked(end)?;
    Some(((!value.is_empty()).then_some(value), rest))
}

/// Whether a bound with that byte is quoted.
const fn is_special(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'\\'
            | b'('
            | b')'
            | b'['
            | b']'
            | b','
            | b' '
            | b'\t'
            | b'\n'
            | b'\r'
            | 0x0b
            | 0x0c
    )
}

fn append_bound(bound: Option<&Bound<Vec<u8>>>, out: &mut Vec<u8>) {
    let Some(bound) = bound else { return };
    let is_quoted = bound.value.iter().any(|byte| is_special(*byte));
    let quote: &[u8] = if is_quoted { b"\"" } else { b"" };
    for part in [quote, bound.value.as_slice(), quote] {
        out.extend_from_slice(part);
    }
}

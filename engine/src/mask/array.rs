//! Masks of arrays, element by element, in both formats.
//!
//! Shows how many elements an array has in each dimension, its lower bounds and which elements are NULL, where the transform keeps
//! anything of an element. What keeps nothing (`redact`, a constant) gives one element whatever the array was: an array that a client
//! has computed from a value would else tell it by its form.
//!
//! Never guesses where an element begins or ends: what is not exactly as the server writes arrays becomes NULL.
//!
//! # Source
//! PostgreSQL, `array_out` and `array_send` in `src/backend/utils/adt/arrayfuncs.c`.

use super::{
    Format, Masking,
    carriers::{Array, Carries, carried_by_elements},
};
use crate::transform::Transform;

/// The most dimensions of an array (`MAXDIM`).
const DIMENSIONS_MAX: usize = 6;
/// The longest masked array, in bytes: hashes are longer than what was hashed. A longer one becomes NULL.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// What stands between elements: of all types of PostgreSQL's only `box` has another, and that is not masked.
const DELIMITER: u8 = b',';
/// An element that is NULL, in text format.
const NULL: &[u8] = b"NULL";
/// The length of an element that is NULL, in binary format.
const NULL_LENGTH: i32 = -1;

/// Appends the masked form of an array; `None` where it is to be NULL, then `out` is as it was.
pub(super) fn append(
    masking: Masking<'_>,
    array: Array,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let start = out.len();
    let looks_at_elements = match masking.transform {
        Transform::Null => return None,
        Transform::Redact | Transform::Constant(_) => false,
        Transform::Hash | Transform::Tokenize => masking.keys.is_some(),
        Transform::Last(_)
        | Transform::First(_)
        | Transform::KeepDomain
        | Transform::RoundTo(_)
        | Transform::TruncateDate(_) => true,
    };
    let is_carried = carried_by_elements(masking.transform, array) == Carries::Yes;
    let appended = match (looks_at_elements, masking.format) {
        (false, _) => append_alone(masking, array, out),
        (true, _) if !is_carried => None,
        (true, Format::Text) => append_text(masking, array, value, out),
        (true, Format::Binary) => append_binary(masking, array, value, out),
    };
    if appended.is_none() {
        out.truncate(start);
    }
    appended
}

/// Appends an array of one element, masked without a look at the value.
fn append_alone(masking: Masking<'_>, array: Array, out: &mut Vec<u8>) -> Option<()> {
    let mut element = Vec::new();
    masking.append(array.element, b"", &mut element)?;
    match masking.format {
        Format::Text => {
            out.push(b'{');
            write_element(&element, out);
            out.push(b'}');
        }
        Format::Binary => {
            // One dimension, no NULL; one element, counted from 1.
            for word in [1, 0, array.element_oid, 1, 1] {
                out.extend_from_slice(&word.to_be_bytes());
            }
            out.extend_from_slice(&i32::try_from(element.len()).ok()?.to_be_bytes());
            out.extend_from_slice(&element);
        }
    }
    Some(())
}

fn append_text(masking: Masking<'_>, array: Array, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if value == b"{}" {
        out.extend_from_slice(value);
        return Some(());
    }
    let start = out.len();
    let mut literal = Literal::new(value)?;
    out.extend_from_slice(value.get(..value.len() - literal.rest.len())?);
    let (mut raw, mut masked) = (Vec::new(), Vec::new());
    loop {
        literal.open(out)?;
        match literal.element(&mut raw)? {
            None => out.extend_from_slice(NULL),
            Some(element) => {
                masked.clear();
                match masking.append(array.element, element, &mut masked) {
                    None => out.extend_from_slice(NULL),
                    Some(()) => write_element(&masked, out),
                }
            }
        }
        if out.len() - start > BYTES_MAX {
            return None;
        }
        if literal.close(out)? == Next::End {
            return Some(());
        }
    }
}

/// What comes behind an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another one.
    Element,
    /// Nothing.
    End,
}

/// An array in text format, as far as it was read.
struct Literal<'a> {
    rest: &'a [u8],
    /// How many braces stand around each element.
    dimensions: usize,
    /// How many braces are open.
    depth: usize,
    /// What each open brace has had so far.
    counts: [usize; DIMENSIONS_MAX],
    /// What each brace of that depth must have, once that is known.
    sizes: [Option<usize>; DIMENSIONS_MAX],
}

impl<'a> Literal<'a> {
    /// Reads the bounds, if there are any.
    fn new(value: &'a [u8]) -> Option<Self> {
        let mut sizes = [None; DIMENSIONS_MAX];
        let mut bounded = 0;
        let mut rest = value;
        while let Some(bounds) = rest.strip_prefix(b"[") {
            let end = bounds.iter().position(|byte| *byte == b']')?;
            let (bounds, after) = bounds.split_at_checked(end)?;
            *sizes.get_mut(bounded)? = Some(size(bounds)?);
            bounded += 1;
            rest = after.get(1..)?;
        }
        if bounded > 0 {
            rest = rest.strip_prefix(b"=")?;
        }
        // An element that begins with a brace is quoted.
        let dimensions = rest.iter().take_while(|byte| **byte == b'{').count();
        let is_possible = (1..=DIMENSIONS_MAX).contains(&dimensions);
        (is_possible && (bounded == 0 || bounded == dimensions)).then_some(Self {
            rest,
            dimensions,
            depth: 0,
            counts: [0; DIMENSIONS_MAX],
            sizes,
        })
    }

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    /// Reads and writes the braces before an element.
    fn open(&mut self, out: &mut Vec<u8>) -> Option<()> {
        while self.depth < self.dimensions {
            if self.next()? != b'{' {
                return None;
            }
            out.push(b'{');
            *self.counts.get_mut(self.depth)? = 0;
            self.depth += 1;
        }
        Some(())
    }

    /// Reads an element; the inner `None` is NULL. Where it was written with backslashes, it is put together in `raw`.
    fn element<'r>(&mut self, raw: &'r mut Vec<u8>) -> Option<Option<&'r [u8]>>
    where
        'a: 'r,
    {
        if let Some(quoted) = self.rest.strip_prefix(b"\"") {
            self.rest = quoted;
            return self.quoted(raw).map(Some);
        }
        let end = self.rest.iter().position(|byte| is_special(*byte))?;
        let (element, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        match element {
            b"" => None,
            NULL => Some(None),
            // The server quotes the word, however it is written.
            _ if element.eq_ignore_ascii_case(NULL) => None,
            _ => Some(Some(element)),
        }
    }

    fn quoted<'r>(&mut self, raw: &'r mut Vec<u8>) -> Option<&'r [u8]>
    where
        'a: 'r,
    {
        raw.clear();
        loop {
            let end = self
                .rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\'))?;
            let (plain, rest) = self.rest.split_at_checked(end)?;
            match rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    if raw.is_empty() {
                        return Some(plain);
                    }
                    raw.extend_from_slice(plain);
                    return Some(raw);
                }
                [b'\\', escaped @ (b'"' | b'\\'), rest @ ..] => {
                    self.rest = rest;
                    raw.extend_from_slice(plain);
                    raw.push(*escaped);
                }
                _ => return None,
            }
        }
    }

    /// Reads and writes what stands behind an element, up to the next one or to the end.
    fn close(&mut self, out: &mut Vec<u8>) -> Option<Next> {
        loop {
            // An element, or a brace with all that is in it.
            let count = self.counts.get_mut(self.depth.checked_sub(1)?)?;
            *count += 1;
            let count = *count;
            let byte = self.next()?;
            out.push(byte);
            match byte {
                DELIMITER => return Some(Next::Element),
                b'}' => {
                    self.depth -= 1;
                    if *self.sizes.get_mut(self.depth)?.get_or_insert(count) != count {
                        return None;
                    }
                    if self.depth == 0 {
                        return self.rest.is_empty().then_some(Next::End);
                    }
                }
                _ => return None,
            }
        }
    }
}

/// How many elements `lower:upper` leaves room for.
fn size(bounds: &[u8]) -> Option<usize> {
    let (lower, upper) = std::str::from_utf8(bounds).ok()?.split_once(':')?;
    let (lower, upper): (i32, i32) = (lower.parse().ok()?, upper.parse().ok()?);
    let size = i64::from(upper) - i64::from(lower) + 1;
    usize::try_from(size).ok().filter(|size| *size > 0)
}

/// Whether an element with that byte is quoted.
const fn is_special(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'\\' | b'{' | b'}' | DELIMITER | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c
    )
}

/// Appends an element that is not NULL, as the server writes it.
fn write_element(element: &[u8], out: &mut Vec<u8>) {
    let is_plain = !element.is_empty()
        && !element.eq_ignore_ascii_case(NULL)
        && !element.iter().any(|byte| is_special(*byte));
    if is_plain {
        out.extend_from_slice(element);
        return;
    }
    out.push(b'"');
    for byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

fn append_binary(
    masking: Masking<'_>,
    array: Array,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let start = out.len();
    let mut reader = Reader(value);
    let dimensions = usize::try_from(reader.word()?).ok()?;
    let has_null = reader.word()?;
    let is_known = matches!(has_null, 0 | 1) && reader.word()?.cast_unsigned() == array.element_oid;
    if !is_known || dimensions > DIMENSIONS_MAX {
        return None;
    }
    let mut elements = usize::from(dimensions > 0);
    for _ in 0..dimensions {
        let size = usize::try_from(reader.word()?).ok()?;
        reader.word()?;
        elements = elements
            .checked_mul(size)
            .filter(|elements| *elements > 0)?;
    }
    out.extend_from_slice(value.get(..value.len() - reader.0.len())?);
    let mut has_null = 0;
    // An element has at least its length: a number that lies ends with the bytes.
    for _ in 0..elements {
        let length = reader.word()?;
        let place = out.len();
        out.extend_from_slice(&NULL_LENGTH.to_be_bytes());
        let masked = match length {
            NULL_LENGTH => None,
            length => {
                let element = reader.bytes(usize::try_from(length).ok()?)?;
                masking.append(array.element, element, out)
            }
        };
        match masked {
            None => has_null = 1,
            Some(()) => {
                let length = i32::try_from(out.len() - place).ok()? - 4;
                let field = out.get_mut(place..)?.first_chunk_mut::<4>()?;
                *field = length.to_be_bytes();
            }
        }
        if out.len() - start > BYTES_MAX {
            return None;
        }
    }
    let flags = out.get_mut(start..)?.get_mut(4..8)?;
    flags.copy_from_slice(&i32::to_be_bytes(has_null));
    reader.0.is_empty().then_some(())
}

/// What is left of a value in binary format.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn word(&mut self) -> Option<i32> {
        let (word, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*word))
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }
}

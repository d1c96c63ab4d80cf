//! Masks of `uuid` and `bytea`.
//!
//! Never keeps a part of either: `hash` and, for a `uuid`, a constant are all they carry.

use super::{Format, keys::MaskKeys, text::append_hex};
use crate::transform::Transform;

/// The bytes of a `uuid`.
const UUID_BYTES: usize = 16;
/// After how many bytes a `uuid` is written with a hyphen.
const UUID_GROUPS: [usize; 5] = [4, 2, 2, 2, 6];
/// How `bytea` starts in text format, under `bytea_output = hex`.
const HEX_PREFIX: &[u8] = b"\\x";

/// Appends the masked form of a `uuid`; `None` where it is to be NULL.
pub(super) fn append_uuid(
    transform: &Transform,
    keys: Option<&MaskKeys>,
    value: &[u8],
    format: Format,
    out: &mut Vec<u8>,
) -> Option<()> {
    let masked = match transform {
        Transform::Hash => {
            let raw = match format {
                Format::Text => uuid(value)?,
                Format::Binary => value.try_into().ok()?,
            };
            as_custom_uuid(keys?.hash(&raw))
        }
        Transform::Constant(constant) => uuid(constant.as_bytes())?,
        Transform::Redact
        | Transform::Null
        | Transform::Last(_)
        | Transform::First(_)
        | Transform::KeepDomain
        | Transform::Tokenize
        | Transform::RoundTo(_)
        | Transform::TruncateDate(_) => return None,
    };
    match format {
        Format::Binary => out.extend_from_slice(&masked),
        Format::Text => {
            let mut rest = masked.as_slice();
            for (index, bytes) in UUID_GROUPS.into_iter().enumerate() {
                let (group, after) = rest.split_at_checked(bytes)?;
                if index > 0 {
                    out.push(b'-');
                }
                append_hex(group, out);
                rest = after;
            }
        }
    }
    Some(())
}

/// Appends the masked form of a `bytea`; `None` where it is to be NULL, which a text in the old escape format is.
pub(super) fn append_bytes(
    transform: &Transform,
    keys: Option<&MaskKeys>,
    value: &[u8],
    format: Format,
    out: &mut Vec<u8>,
) -> Option<()> {
    match (transform, format) {
        (Transform::Hash, Format::Binary) => out.extend_from_slice(&keys?.hash(value)),
        (Transform::Hash, Format::Text) => {
            let raw = unhex(value.strip_prefix(HEX_PREFIX)?)?;
            out.extend_from_slice(HEX_PREFIX);
            append_hex(&keys?.hash(&raw), out);
        }
        (
            Transform::Redact
            | Transform::Null
            | Transform::Last(_)
            | Transform::First(_)
            | Transform::KeepDomain
            | Transform::Constant(_)
            | Transform::Tokenize
            | Transform::RoundTo(_)
            | Transform::TruncateDate(_),
            _,
        ) => return None,
    }
    Some(())
}

/// Marks bits as a `uuid` of version 8, whose other bits mean nothing to anybody.
///
/// # Source
/// RFC 9562, section 5.8.
fn as_custom_uuid(hash: [u8; UUID_BYTES]) -> [u8; UUID_BYTES] {
    let bits = u128::from_be_bytes(hash);
    let without = bits & !(0xf << 76) & !(0b11 << 62);
    (without | (8 << 76) | (0b10 << 62)).to_be_bytes()
}

/// Reads a `uuid` with its four hyphens.
fn uuid(text: &[u8]) -> Option<[u8; UUID_BYTES]> {
    let mut raw = Vec::with_capacity(UUID_BYTES);
    let mut groups = text.split(|byte| *byte == b'-');
    for bytes in UUID_GROUPS {
        let group = groups.next().filter(|group| group.len() == bytes * 2)?;
        raw.extend(unhex(group)?);
    }
    if groups.next().is_some() {
        return None;
    }
    raw.try_into().ok()
}

/// Reads hexadecimal digits of either case.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let half = |digit: u8| char::from(digit).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(half(*high)? * 16 + half(*low)?).ok())
        .collect()
}

//! A Bind's values as conditions read them: `bounded by tenant_id = ...` where the statement has `tenant_id = $1`.
//!
//! Must never give a value that the server reads otherwise: what can't be decoded for certain is not known.

use std::borrow::Cow;

use provost_engine::facts::{Constant, Facts};

use crate::{protocol::frontend::bound_values, record};

/// Values of one portal that are kept for its further Executes, in bytes as they came. Beyond, a rule that asks for them
/// refuses those.
pub(super) const KEPT_BYTES_MAX: usize = 8 * 1024;

/// What is known of a statement's values when it is decided.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values<'a> {
    /// It has none, or none that can be known.
    None,
    /// They come with its Bind.
    NotBound,
    /// The Bind's body from the format codes to the last value.
    Bound(&'a [u8]),
}

/// The values in text form, as the engine takes them; `None` before they are bound. What the statement compares no column
/// with is given as NULL: no condition reads it.
///
/// `types` are those that Parse declared.
pub(crate) fn known<'a>(
    facts: &Facts,
    types: &[u32],
    values: Values<'a>,
) -> Option<Vec<Option<Cow<'a, str>>>> {
    let raw = match values {
        Values::NotBound => return None,
        Values::None => return Some(Vec::new()),
        Values::Bound(raw) => raw,
    };
    let compared: Vec<(usize, u32)> = facts
        .accesses
        .iter()
        .flat_map(|access| &access.equalities)
        .filter_map(|equality| match equality.value {
            Constant::Parameter(number) => {
                let index = usize::from(number).checked_sub(1)?;
                Some((index, equality.column.type_oid))
            }
            Constant::Text(_) => None,
        })
        .collect();
    if compared.is_empty() {
        return Some(Vec::new());
    }
    // Nothing of a list that can't be read is known.
    let Ok(bound) = bound_values(raw) else {
        return Some(Vec::new());
    };
    let mut known = vec![None; bound.len()];
    for (index, column_type) in compared {
        let Some((format, value)) = bound.get(index) else {
            return Some(Vec::new());
        };
        let declared = types.get(index).copied().unwrap_or_default();
        // The server gives a parameter without a type that of the column it is compared with.
        let type_oid = match declared {
            0 | 705 => column_type,
            declared => declared,
        };
        let text = match value {
            None => None,
            Some(value) => match decode(*format, type_oid, value) {
                Some(text) => Some(text),
                None => return Some(Vec::new()),
            },
        };
        if let Some(slot) = known.get_mut(index) {
            *slot = text;
        }
    }
    Some(known)
}

/// Values as people read them, NULL as `None`; bytes whose type says nothing certain are shown as such. `None` where they can't be read.
pub(super) fn shown(types: &[u32], raw: &[u8]) -> Option<Vec<Option<String>>> {
    let bound = bound_values(raw).ok()?;
    let one = |(index, (format, value)): (usize, &(i16, Option<&[u8]>))| {
        let value = (*value)?;
        let type_oid = types.get(index).copied().unwrap_or_default();
        let text = (*format == 0)
            .then(|| std::str::from_utf8(value).ok())
            .flatten();
        let decoded = decode(*format, type_oid, value).map(Cow::into_owned);
        Some(
            text.map(str::to_owned)
                .or(decoded)
                .unwrap_or_else(|| format!("\\x{}", record::hex(value))),
        )
    };
    Some(bound.iter().enumerate().map(one).collect())
}

/// A value in the form that the server's type prints; `None` where that is not certain.
fn decode(format: i16, type_oid: u32, value: &[u8]) -> Option<Cow<'_, str>> {
    let text = || std::str::from_utf8(value).ok();
    let number = |number: i64| Some(Cow::Owned(number.to_string()));
    match (format, type_oid) {
        (0, 25 | 1043) | (1, 25 | 1043) => text().map(Cow::Borrowed),
        (0, 20 | 21 | 23) => number(plain_integer(text()?)?),
        (1, 21) => number(i16::from_be_bytes(value.try_into().ok()?).into()),
        (1, 23) => number(i32::from_be_bytes(value.try_into().ok()?).into()),
        (1, 20) => number(i64::from_be_bytes(value.try_into().ok()?)),
        (0, 2950) => plain_uuid(text()?).map(Cow::Owned),
        (1, 2950) => {
            let bytes: [u8; 16] = value.try_into().ok()?;
            let digits = format!("{:032x}", u128::from_be_bytes(bytes));
            let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part));
            let parts: Option<Vec<&str>> = parts.into_iter().collect();
            Some(Cow::Owned(parts?.join("-")))
        }
        _ => None,
    }
}

fn plain_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

fn plain_uuid(text: &str) -> Option<String> {
    let fits = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    (text.len() == 36 && text.bytes().enumerate().all(fits)).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::decode;

    fn check(format: i16, type_oid: u32, value: &[u8], expected: Option<&str>) {
        let found = decode(format, type_oid, value);
        assert_eq!(found.as_deref(), expected, "{format} {type_oid} {value:?}");
    }

    #[test]
    fn values_read_as_the_server_reads_them_or_not_at_all() {
        check(0, 25, b"Acme ", Some("Acme "));
        check(1, 1043, "\u{e9}".as_bytes(), Some("\u{e9}"));
        check(0, 25, b"\xff", None);
        check(0, 23, b"007", Some("7"));
        check(0, 23, b"-7", Some("-7"));
        for odd in [&b" 7"[..], b"+7", b"0x7", b"7_0", b"", b"-", b"7.0"] {
            check(0, 23, odd, None);
        }
        check(1, 21, &[0xff, 0xfe], Some("-2"));
        check(1, 23, &[0, 0, 1, 0], Some("256"));
        check(1, 20, &[0, 0, 0, 1, 0, 0, 0, 0], Some("4294967296"));
        check(1, 23, &[0, 0, 0, 0, 0, 0, 1, 0], None);
        let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        check(0, 2950, uuid.to_uppercase().as_bytes(), Some(uuid));
        check(0, 2950, b"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", None);
        let bytes = 0xa0ee_bc99_9c0b_4ef8_bb6d_6bb9_bd38_0a11_u128.to_be_bytes();
        check(1, 2950, &bytes, Some(uuid));
        check(1, 2950, &bytes[1..], None);
        // A type whose text form says less than its value, and a format that does not exist.
        check(0, 701, b"7", None);
        check(2, 25, b"7", None);
    }
}

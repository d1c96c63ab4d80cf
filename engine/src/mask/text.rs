//! Masks of texts and JSON documents.
//!
//! Never shows a text that a transform does not understand: it is redacted. No result tells a text's length but that of
//! `tokenize`, which is asked for it.

use super::{HIDDEN_USER, REDACTED, STARS, keys::MaskKeys, tokenize};
use crate::transform::Transform;

/// Appends the masked form of a text; redacts what is not UTF-8.
pub(super) fn append(
    transform: &Transform,
    keys: Option<&MaskKeys>,
    value: &[u8],
    out: &mut Vec<u8>,
) {
    if append_understood(transform, keys, value, out).is_none() {
        out.extend_from_slice(REDACTED.as_bytes());
    }
}

/// `None` where the text is to be redacted; then `out` is as it was.
fn append_understood(
    transform: &Transform,
    keys: Option<&MaskKeys>,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let text = || std::str::from_utf8(value).ok();
    let (before, kept, after) = match transform {
        Transform::Last(count) => (STARS, last(text()?, usize::from(*count))?, ""),
        Transform::First(count) => ("", first(text()?, usize::from(*count))?, STARS),
        Transform::KeepDomain => (HIDDEN_USER, domain(text()?)?, ""),
        Transform::Constant(constant) => ("", text_constant(constant)?, ""),
        Transform::Hash => {
            append_hex(&keys?.hash(text()?.as_bytes()), out);
            return Some(());
        }
        Transform::Tokenize => return tokenize::append_text(keys?, text()?, out),
        Transform::Redact
        | Transform::Null
        | Transform::RoundTo(_)
        | Transform::TruncateDate(_) => return None,
    };
    for part in [before, kept, after] {
        out.extend_from_slice(part.as_bytes());
    }
    Some(())
}

/// Appends a JSON string: documents have no last characters, so every transform but a constant redacts.
pub(super) fn append_json(transform: &Transform, out: &mut Vec<u8>) {
    let text = match transform {
        Transform::Constant(text) => text_constant(text).unwrap_or(REDACTED),
        Transform::Redact
        | Transform::Null
        | Transform::Last(_)
        | Transform::First(_)
        | Transform::KeepDomain
        | Transform::Hash
        | Transform::Tokenize
        | Transform::RoundTo(_)
        | Transform::TruncateDate(_) => REDACTED,
    };
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

/// The constant, if PostgreSQL's text can hold it: no text has a zero byte, nor has `jsonb`.
pub(super) fn text_constant(constant: &str) -> Option<&str> {
    (!constant.contains('\0')).then_some(constant)
}

/// Appends bytes as lower-case hexadecimal digits.
pub(super) fn append_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let digits = [byte >> 4, byte & 15].map(|half| DIGITS.get(usize::from(half)).copied());
        out.extend(digits.into_iter().flatten());
    }
}

/// The last `count` characters, if the text is longer than that.
fn last(text: &str, count: usize) -> Option<&str> {
    let hidden = text
        .chars()
        .count()
        .checked_sub(count)
        .filter(|&hidden| hidden > 0)?;
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .nth(hidden)
        .and_then(|at| text.get(at..))
}

/// The first `count` characters, if the text is longer than that.
fn first(text: &str, count: usize) -> Option<&str> {
    text.char_indices()
        .nth(count)
        .and_then(|(at, _)| text.get(..at))
}

/// `@` and what follows the last one, if both sides of it can be parts of an e-mail address.
fn domain(text: &str) -> Option<&str> {
    let (user, name) = text.split_at_checked(text.rfind('@')?)?;
    let is_domain = name.len() > 1
        && name
            .chars()
            .skip(1)
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '-'));
    (!user.is_empty() && is_domain).then_some(name)
}

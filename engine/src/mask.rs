//! The transforms that masked values go through, for values in text and in binary format.
//!
//! Never lets a raw value through on doubt: what a type can't carry becomes NULL, what a transform does not understand
//! is redacted, and the result never tells a value's length.

use crate::verdict::Transform;

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

/// How a type carries text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// The bytes are the text in both formats.
    Plain,
    /// As [`Carrier::Plain`], blank-padded: the padding is no part of the value.
    Padded,
    /// A JSON document, its text in both formats.
    Json,
    /// A JSON document, with a version byte before it in binary format.
    Jsonb,
}

/// The version byte of `jsonb`'s binary format.
///
/// # Source
/// PostgreSQL, `jsonb_recv` in `src/backend/utils/adt/jsonb.c`.
const JSONB_VERSION: u8 = 1;

/// How the built-in type of that oid carries text; `None` where it can't.
///
/// `"char"` (18) holds a single byte, too little for any transform's result.
///
/// # Source
/// PostgreSQL, `src/include/catalog/pg_type.dat`.
const fn carrier(type_oid: u32) -> Option<Carrier> {
    match type_oid {
        19 | 25 | 1043 => Some(Carrier::Plain),
        1042 => Some(Carrier::Padded),
        114 => Some(Carrier::Json),
        3802 => Some(Carrier::Jsonb),
        _ => None,
    }
}

/// Masks one value that is not NULL, appending the result to `out`.
///
/// `value` are the bytes as the server sent them, `type_oid` the type that RowDescription gave. Types that carry no text
/// (numbers, dates, arrays, types of extensions) become NULL whatever the transform.
pub fn apply(
    transform: &Transform,
    value: &[u8],
    type_oid: u32,
    format: Format,
    out: &mut Vec<u8>,
) -> Masked {
    let Some(carrier) = carrier(type_oid) else {
        return Masked::Null;
    };
    if *transform == Transform::Null {
        return Masked::Null;
    }
    match carrier {
        Carrier::Plain => append_text(transform, value, out),
        Carrier::Padded => append_text(transform, value.trim_ascii_end(), out),
        Carrier::Json => append_json(transform, out),
        Carrier::Jsonb => {
            if format == Format::Binary {
                out.push(JSONB_VERSION);
            }
            append_json(transform, out);
        }
    }
    Masked::Value
}

/// Appends the masked form of a text; redacts what is not UTF-8.
fn append_text(transform: &Transform, value: &[u8], out: &mut Vec<u8>) {
    let kept = std::str::from_utf8(value)
        .ok()
        .and_then(|text| match transform {
            Transform::Last(count) => last(text, usize::from(*count)).map(|kept| (STARS, kept, "")),
            Transform::First(count) => {
                first(text, usize::from(*count)).map(|kept| ("", kept, STARS))
            }
            Transform::KeepDomain => domain(text).map(|kept| (HIDDEN_USER, kept, "")),
            Transform::Constant(_)
            | Transform::Redact
            | Transform::Null
            | Transform::Hash
            | Transform::Tokenize
            | Transform::RoundTo(_)
            | Transform::TruncateDate(_) => None,
        });
    match (kept, transform) {
        (Some((before, kept, after)), _) => {
            for part in [before, kept, after] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        (None, Transform::Constant(text)) => out.extend_from_slice(text.as_bytes()),
        (None, _) => out.extend_from_slice(REDACTED.as_bytes()),
    }
}

/// Appends a JSON string: documents have no last characters, so every transform but a constant redacts.
fn append_json(transform: &Transform, out: &mut Vec<u8>) {
    let text = match transform {
        Transform::Constant(text) => text,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: u32 = 25;

    fn run(transform: &Transform, value: &[u8], type_oid: u32, format: Format) -> Option<Vec<u8>> {
        let mut out = b"kept".to_vec();
        let masked = apply(transform, value, type_oid, format, &mut out);
        let appended = out
            .strip_prefix(b"kept")
            .expect("bytes before stay")
            .to_vec();
        match masked {
            Masked::Null => {
                assert_eq!(appended, b"", "NULL appends nothing");
                None
            }
            Masked::Value => Some(appended),
        }
    }

    #[track_caller]
    fn check(transform: &Transform, value: &str, expected: &str) {
        for type_oid in [TEXT, 1043, 1042, 19] {
            for format in [Format::Text, Format::Binary] {
                let masked = run(transform, value.as_bytes(), type_oid, format).expect("a value");
                assert_eq!(
                    String::from_utf8(masked).expect("UTF-8"),
                    expected,
                    "{transform} on `{value}`"
                );
            }
        }
    }

    #[test]
    fn text_transforms() {
        for (transform, value, expected) in [
            (Transform::Redact, "123-45-6789", "[redacted]"),
            (Transform::Redact, "", "[redacted]"),
            (Transform::Last(4), "123-45-6789", "*******6789"),
            (Transform::Last(4), "12345678901234567890", "*******7890"),
            (Transform::Last(4), "6789", "[redacted]"),
            (Transform::Last(4), "789", "[redacted]"),
            (Transform::Last(4), "56789", "*******6789"),
            (Transform::Last(0), "56789", "*******"),
            (Transform::Last(2), "añb日本", "*******日本"),
            (Transform::First(2), "日本añb", "日本*******"),
            (Transform::First(4), "6789", "[redacted]"),
            (Transform::First(0), "", "[redacted]"),
            (Transform::First(u16::MAX), "x", "[redacted]"),
            (Transform::KeepDomain, "ada@example.com", "***@example.com"),
            (
                Transform::KeepDomain,
                "\"a@b\"@example.com",
                "***@example.com",
            ),
            (Transform::KeepDomain, "ada", "[redacted]"),
            (Transform::KeepDomain, "@example.com", "[redacted]"),
            (Transform::KeepDomain, "ada@", "[redacted]"),
            (
                Transform::KeepDomain,
                "note @ ssn 123-45-6789",
                "[redacted]",
            ),
            (Transform::Constant("hidden".into()), "anything", "hidden"),
        ] {
            check(&transform, value, expected);
        }
    }

    #[test]
    fn padding_is_no_part_of_a_char_value() {
        assert_eq!(
            run(&Transform::Last(2), b"abcd    ", 1042, Format::Text).as_deref(),
            Some(b"*******cd".as_slice())
        );
        assert_eq!(
            run(&Transform::Last(4), b"abcd    ", 1042, Format::Text).as_deref(),
            Some(REDACTED.as_bytes())
        );
    }

    #[test]
    fn json_stays_json() {
        for transform in [Transform::Redact, Transform::Last(4), Transform::KeepDomain] {
            for (type_oid, format, expected) in [
                (114, Format::Text, b"\"[redacted]\"".as_slice()),
                (114, Format::Binary, b"\"[redacted]\""),
                (3802, Format::Text, b"\"[redacted]\""),
                (3802, Format::Binary, b"\x01\"[redacted]\""),
            ] {
                assert_eq!(
                    run(&transform, b"{\"ssn\": 1}", type_oid, format).as_deref(),
                    Some(expected)
                );
            }
        }
        let quoted = run(&Transform::Constant("a\"b".into()), b"1", 114, Format::Text);
        assert_eq!(quoted.as_deref(), Some(br#""a\"b""#.as_slice()));
    }

    #[test]
    fn other_types_become_null() {
        for type_oid in [
            0, 16, 17, 18, 20, 21, 23, 142, 700, 1009, 1082, 1184, 1700, 2950, 16_500,
        ] {
            for format in [Format::Text, Format::Binary] {
                for transform in [
                    Transform::Redact,
                    Transform::Last(4),
                    Transform::Constant("x".into()),
                ] {
                    assert_eq!(
                        run(&transform, b"12345", type_oid, format),
                        None,
                        "type {type_oid}"
                    );
                }
            }
        }
        assert_eq!(run(&Transform::Null, b"text", TEXT, Format::Text), None);
    }

    fn transform() -> impl Strategy<Value = Transform> {
        prop_oneof![
            Just(Transform::Redact),
            Just(Transform::Null),
            any::<u16>().prop_map(Transform::Last),
            (0_u16..8).prop_map(Transform::Last),
            (0_u16..8).prop_map(Transform::First),
            Just(Transform::KeepDomain),
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_the_result_is_utf8(
            transform in transform(),
            value in proptest::collection::vec(any::<u8>(), 0..40),
            type_oid in prop_oneof![Just(TEXT), Just(1042), Just(114), Just(3802), any::<u32>()],
        ) {
            for format in [Format::Text, Format::Binary] {
                if let Some(masked) = run(&transform, &value, type_oid, format) {
                    prop_assert!(std::str::from_utf8(&masked).is_ok());
                }
            }
        }

        #[test]
        fn hidden_characters_change_nothing(count in 0_u16..6, kept in "[a-z]{6}", left in "[A-Z]{1,9}", right in "[A-Z]{1,9}") {
            // Two values that differ only in what is hidden are masked alike, whatever their lengths.
            let tail = |hidden: &str| run(&Transform::Last(count), format!("{hidden}{kept}").as_bytes(), TEXT, Format::Text);
            let head = |hidden: &str| run(&Transform::First(count), format!("{kept}{hidden}").as_bytes(), TEXT, Format::Text);
            let user = |hidden: &str| run(&Transform::KeepDomain, format!("{hidden}@{kept}").as_bytes(), TEXT, Format::Text);
            let fixed = |hidden: &str| run(&Transform::Redact, hidden.as_bytes(), TEXT, Format::Text);
            prop_assert_eq!(tail(&left), tail(&right));
            prop_assert_eq!(head(&left), head(&right));
            prop_assert_eq!(user(&left), user(&right));
            prop_assert_eq!(fixed(&left), fixed(&right));
        }

        #[test]
        fn invalid_utf8_is_redacted(transform in transform().prop_filter("NULL stays", |t| *t != Transform::Null), tail in "[a-z@.]{0,12}") {
            let mut value = vec![0xff];
            value.extend_from_slice(tail.as_bytes());
            prop_assert_eq!(run(&transform, &value, TEXT, Format::Text), Some(REDACTED.as_bytes().to_vec()));
        }
    }
}

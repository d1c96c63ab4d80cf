//! Masks of every type, case by case; `properties` holds what is true of all.

mod arrays;
mod properties;
mod ranges;

use super::*;
use crate::transform::DateUnit;

const TEXT: u32 = 25;
const FORMATS: [Format; 2] = [Format::Text, Format::Binary];

fn keys(secret: u8) -> MaskKeys {
    MaskKeys::new("test", &[secret; 32]).expect("keys")
}

fn round(text: &str) -> Transform {
    Transform::RoundTo(text.parse().expect("a granularity"))
}

fn constant(text: &str) -> Transform {
    Transform::Constant(text.into())
}

const fn truncate(unit: DateUnit) -> Transform {
    Transform::TruncateDate(unit)
}

/// Masks a value behind bytes that must stay.
fn run_with(
    keys: Option<&MaskKeys>,
    transform: &Transform,
    value: &[u8],
    type_oid: u32,
    format: Format,
) -> Option<Vec<u8>> {
    let mut out = b"kept".to_vec();
    let masked = apply(transform, keys, value, type_oid, format, &mut out);
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

fn run(transform: &Transform, value: &[u8], type_oid: u32, format: Format) -> Option<Vec<u8>> {
    run_with(Some(&keys(1)), transform, value, type_oid, format)
}

/// Text in, text out; `NULL` for NULL.
#[track_caller]
fn check(transform: &Transform, type_oid: u32, value: &str, expected: &str) {
    let masked = run(transform, value.as_bytes(), type_oid, Format::Text);
    let masked = masked.map_or("NULL".to_owned(), |bytes| {
        String::from_utf8(bytes).expect("UTF-8")
    });
    assert_eq!(
        masked, expected,
        "{transform} on `{value}`, type {type_oid}"
    );
}

#[test]
fn texts() {
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
        (constant("hidden"), "anything", "hidden"),
        (constant("a\0b"), "anything", "[redacted]"),
        (round("10"), "52", "[redacted]"),
        (truncate(DateUnit::Day), "2024-02-29", "[redacted]"),
    ] {
        for type_oid in [TEXT, 1043, 1042, 19] {
            check(&transform, type_oid, value, expected);
            let binary = run(&transform, value.as_bytes(), type_oid, Format::Binary);
            assert_eq!(binary.as_deref(), Some(expected.as_bytes()));
        }
    }
}

#[test]
fn padding_is_no_part_of_a_char_value() {
    check(&Transform::Last(2), 1042, "abcd    ", "*******cd");
    check(&Transform::Last(4), 1042, "abcd    ", "[redacted]");
    let padded = run(&Transform::Hash, b"abcd    ", 1042, Format::Text);
    assert_eq!(padded, run(&Transform::Hash, b"abcd", TEXT, Format::Text));
    assert_ne!(
        padded,
        run(&Transform::Hash, b"abcd\n", 1042, Format::Text),
        "only spaces are padding"
    );
}

#[test]
fn names_stay_short_enough() {
    let longest = "n".repeat(63);
    check(&Transform::Last(60), 19, &longest, "[redacted]");
    check(
        &Transform::Last(56),
        19,
        &longest,
        &format!("*******{}", "n".repeat(56)),
    );
    check(&constant(&"c".repeat(64)), 19, "x", "[redacted]");
    assert_eq!(
        run(&Transform::Hash, longest.as_bytes(), 19, Format::Text).map(|hash| hash.len()),
        Some(32)
    );
}

#[test]
fn json_stays_json() {
    for transform in every_transform() {
        let expected: &[u8] = match &transform {
            Transform::Null => continue,
            Transform::Constant(text) if !text.contains('\0') => {
                &serde_json::to_vec(&**text).expect("JSON")
            }
            _ => b"\"[redacted]\"",
        };
        for (type_oid, format, version) in [
            (114, Format::Text, &b""[..]),
            (114, Format::Binary, b""),
            (3802, Format::Text, b""),
            (3802, Format::Binary, b"\x01"),
        ] {
            assert_eq!(
                run(&transform, b"{\"ssn\": 1}", type_oid, format),
                Some([version, expected].concat()),
                "{transform}"
            );
        }
    }
    check(&constant("a\"b"), 114, "1", r#""a\"b""#);
    check(&constant("a\0b"), 3802, "1", "\"[redacted]\"");
}

#[test]
fn integers() {
    for (transform, type_oid, value, expected) in [
        (round("1000"), 23, "52890", "52000"),
        (round("1000"), 23, "-52890", "-52000"),
        (round("1000"), 21, "-999", "0"),
        (
            round("1000"),
            20,
            "9223372036854775807",
            "9223372036854775000",
        ),
        (
            round("1000"),
            20,
            "-9223372036854775808",
            "-9223372036854775000",
        ),
        (round("1000000000000000000"), 23, "2147483647", "0"),
        (round("2"), 23, "7", "6"),
        (round("1"), 23, "7", "NULL"),
        (round("0.5"), 23, "7", "NULL"),
        (round("2.5"), 23, "7", "NULL"),
        (round("10"), 23, "7x", "NULL"),
        (round("10"), 23, "", "NULL"),
        (round("10"), 790, "$52.00", "NULL"),
        (constant("-7"), 21, "5", "-7"),
        (constant("007"), 23, "5", "7"),
        (constant("40000"), 21, "5", "NULL"),
        (constant("40000"), 23, "5", "40000"),
        (constant("x"), 23, "5", "NULL"),
        (Transform::Tokenize, 23, "12345", "NULL"),
        (Transform::Tokenize, 21, "12345", "NULL"),
        (Transform::Hash, 20, "1234567890", "NULL"),
        (Transform::Last(4), 23, "123456", "NULL"),
        (Transform::Redact, 23, "123456", "NULL"),
    ] {
        check(&transform, type_oid, value, expected);
    }
    assert_eq!(
        run(
            &round("1000"),
            &52_890_i32.to_be_bytes(),
            23,
            Format::Binary
        ),
        Some(52_000_i32.to_be_bytes().to_vec())
    );
    assert_eq!(
        run(&round("1000"), &(-1_i16).to_be_bytes(), 21, Format::Binary),
        Some(vec![0, 0])
    );
    assert_eq!(run(&round("1000"), &[0; 4], 20, Format::Binary), None);
}

#[test]
fn other_numbers() {
    for (transform, type_oid, value, expected) in [
        (round("1000"), 1700, "52890.55", "52000"),
        (round("0.5"), 1700, "-7.90", "-7.5"),
        (round("0.5"), 1700, "-0.10", "0.0"),
        (round("10"), 1700, "NaN", "NULL"),
        (round("10"), 1700, "-Infinity", "NULL"),
        (constant("12.50"), 1700, "1", "12.50"),
        (constant("1e5"), 1700, "1", "NULL"),
        (constant("NaN"), 1700, "1", "NULL"),
        (round("10"), 701, "52.89", "50"),
        (round("0.1"), 701, "0.3", "0.3"),
        (round("0.1"), 701, "0.30000000000000004", "0.3"),
        (round("0.1"), 700, "0.7", "0.7"),
        (round("10"), 701, "-5e-324", "0"),
        (round("1000"), 701, "1.5e+10", "15000000000"),
        (round("7"), 701, "1e+300", "NULL"),
        (round("10"), 700, "1234567", "1234560"),
        (round("10"), 700, "12345678", "NULL"),
        (round("10"), 701, "NaN", "NULL"),
        (round("10"), 701, "Infinity", "NULL"),
        (round("10"), 701, "-Infinity", "NULL"),
        (round("10"), 701, "1e999", "NULL"),
        (constant("1e3"), 701, "1", "1000"),
        (constant("1e300"), 700, "1", "NULL"),
        (constant("NaN"), 701, "1", "NULL"),
        (Transform::Tokenize, 1700, "123456789", "NULL"),
        (Transform::Hash, 701, "123456789", "NULL"),
    ] {
        check(&transform, type_oid, value, expected);
    }
    assert_eq!(
        run(&round("10"), &52.89_f64.to_be_bytes(), 701, Format::Binary),
        Some(50_f64.to_be_bytes().to_vec())
    );
    assert_eq!(
        run(&round("10"), &f32::NAN.to_be_bytes(), 700, Format::Binary),
        None
    );
}

#[test]
fn dates_and_times() {
    use DateUnit::{Day, Hour, Month, Quarter, Week, Year};
    for (unit, type_oid, value, expected) in [
        (Year, 1082, "1815-12-10", "1815-01-01"),
        (Quarter, 1082, "1815-12-10", "1815-10-01"),
        (Month, 1082, "1815-12-10", "1815-12-01"),
        (Week, 1082, "2024-03-03", "2024-02-26"),
        (Week, 1082, "2024-03-04", "2024-03-04"),
        (Day, 1082, "1815-12-10", "NULL"),
        (Hour, 1082, "1815-12-10", "NULL"),
        (Month, 1082, "0044-03-15 BC", "0044-03-01 BC"),
        (Week, 1082, "0001-01-01", "0001-01-01"),
        (Week, 1082, "0001-12-31 BC", "0001-12-25 BC"),
        (Year, 1082, "5874897-12-31", "5874897-01-01"),
        (Year, 1082, "5874898-01-01", "NULL"),
        (Week, 1082, "4714-11-24 BC", "4714-11-24 BC"),
        (Month, 1082, "4714-11-24 BC", "NULL"),
        (Month, 1082, "infinity", "NULL"),
        (Month, 1082, "-infinity", "NULL"),
        (Month, 1082, "12/10/1815", "NULL"),
        (Month, 1082, "10.12.1815", "NULL"),
        (Month, 1082, "12-10-1815", "NULL"),
        (Month, 1082, "1815-02-29", "NULL"),
        (Month, 1082, "1815-12-10 ", "NULL"),
        (Month, 1082, "0000-12-10", "NULL"),
        (
            Hour,
            1114,
            "2024-02-29 10:20:30.123456",
            "2024-02-29 10:00:00",
        ),
        (Day, 1114, "2024-02-29 10:20:30", "2024-02-29 00:00:00"),
        (
            Month,
            1114,
            "0044-03-15 12:00:00 BC",
            "0044-03-01 00:00:00 BC",
        ),
        (Month, 1114, "Thu Feb 29 10:20:30 2024", "NULL"),
        (Month, 1114, "infinity", "NULL"),
        (
            Day,
            1184,
            "2024-03-01 00:30:00+02",
            "2024-02-29 00:00:00+00",
        ),
        (
            Month,
            1184,
            "2024-02-29 20:30:00-05:30",
            "2024-03-01 00:00:00+00",
        ),
        (
            Hour,
            1184,
            "1890-01-01 00:00:00+00:53:28",
            "1889-12-31 23:00:00+00",
        ),
        (Hour, 1184, "2024-02-29 10:20:30", "NULL"),
        (Hour, 1184, "2024-02-29 10:20:30 CET", "NULL"),
        (Hour, 1083, "10:20:30.5", "10:00:00"),
        (Hour, 1083, "24:00:00", "24:00:00"),
        (Hour, 1083, "24:00:01", "NULL"),
        (Day, 1083, "10:20:30", "NULL"),
        (Hour, 1266, "10:20:30+05:30", "04:00:00+00"),
        (Hour, 1266, "01:20:30+02", "23:00:00+00"),
    ] {
        check(&truncate(unit), type_oid, value, expected);
    }
    for (text, type_oid, expected) in [
        ("1900-01-01", 1082, "1900-01-01"),
        ("infinity", 1082, "NULL"),
        ("1900-01-01", 1114, "NULL"),
        ("1900-01-01 10:20:30.50", 1114, "1900-01-01 10:20:30.5"),
        ("1900-01-01 01:00:00+02", 1184, "1899-12-31 23:00:00+00"),
        ("12:00:00", 1083, "12:00:00"),
        ("12:00:00+01", 1266, "11:00:00+00"),
        ("12:00", 1083, "NULL"),
    ] {
        check(&constant(text), type_oid, "anything", expected);
    }
    // 29 February 2024 is day 8,825.
    let binary = |transform: Transform, value: &[u8], type_oid| {
        run(&transform, value, type_oid, Format::Binary)
    };
    assert_eq!(
        binary(truncate(Month), &8_825_i32.to_be_bytes(), 1082),
        Some(8_797_i32.to_be_bytes().to_vec())
    );
    for infinity in [i32::MAX, i32::MIN] {
        assert_eq!(binary(truncate(Year), &infinity.to_be_bytes(), 1082), None);
    }
    for infinity in [i64::MAX, i64::MIN] {
        assert_eq!(binary(truncate(Hour), &infinity.to_be_bytes(), 1184), None);
    }
    // An hour and a second past midnight, one hour west of UTC.
    let timetz = [
        &3_601_000_000_i64.to_be_bytes()[..],
        &3_600_i32.to_be_bytes(),
    ]
    .concat();
    assert_eq!(
        binary(truncate(Hour), &timetz, 1266),
        Some([&7_200_000_000_i64.to_be_bytes()[..], &[0; 4]].concat())
    );
}

#[test]
fn uuids_and_bytes() {
    let text = b"6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111";
    let raw = 0x6f1c_9a52_2f4e_4a7b_9d57_0c8f_6a3b_e111_u128.to_be_bytes();
    let hash = run(&Transform::Hash, &raw, 2950, Format::Binary).expect("a uuid");
    assert_eq!((hash.len(), hash[6] >> 4, hash[8] >> 6), (16, 8, 0b10));
    let shown = run(&Transform::Hash, text, 2950, Format::Text).expect("a uuid");
    assert_eq!(
        run(
            &constant(std::str::from_utf8(&shown).unwrap()),
            b"",
            2950,
            Format::Binary
        ),
        Some(hash),
        "both formats give the same uuid"
    );
    assert_eq!(run(&Transform::Hash, &text[1..], 2950, Format::Text), None);
    assert_eq!(run(&Transform::Hash, &raw[1..], 2950, Format::Binary), None);
    check(
        &constant("6F1C9A52-2F4E-4A7B-9D57-0C8F6A3BE111"),
        2950,
        "x",
        "6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111",
    );
    check(&constant("6f1c9a52"), 2950, "x", "NULL");

    let hash = run(&Transform::Hash, b"\x01\xff", 17, Format::Binary).expect("bytes");
    let shown = run(&Transform::Hash, b"\\x01ff", 17, Format::Text).expect("bytes");
    assert_eq!(hash.len(), 16);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(String::from_utf8(shown).unwrap(), format!("\\x{hex}"));
    check(&Transform::Hash, 17, "\\001\\377", "NULL");
    check(&constant("x"), 17, "\\x01", "NULL");
}

#[test]
fn without_keys_nothing_keyed_is_shown() {
    for transform in [Transform::Hash, Transform::Tokenize] {
        for (type_oid, value) in samples() {
            for format in FORMATS {
                let masked = run_with(None, &transform, &value[format as usize], type_oid, format);
                let redacted = run_with(
                    None,
                    &Transform::Redact,
                    &value[format as usize],
                    type_oid,
                    format,
                );
                assert_eq!(masked, redacted, "{transform} on type {type_oid}");
            }
        }
    }
}

#[test]
fn other_types_become_null() {
    for type_oid in [
        0, 16, 18, 26, 142, 650, 790, 869, 1000, 1020, 1186, 1560, 2249, 2287, 3905, 6150, 16_500,
    ] {
        for format in FORMATS {
            for transform in every_transform() {
                let masked = run(&transform, b"12345", type_oid, format);
                assert_eq!(masked, None, "type {type_oid}");
            }
        }
    }
    assert_eq!(run(&Transform::Null, b"text", TEXT, Format::Text), None);
}

/// A value of every carrying type that is long enough for every transform, in text and in binary format.
fn samples() -> Vec<(u32, [Vec<u8>; 2])> {
    let micros = 762_517_230_123_456_i64.to_be_bytes();
    CARRYING_TYPES
        .iter()
        .map(|carrying| {
            let (text, binary): (&str, Vec<u8>) = match carrying.oid {
                17 => ("\\x01ff", vec![1, 255]),
                20 => ("123456789012", 123_456_789_012_i64.to_be_bytes().into()),
                21 => ("12345", 12_345_i16.to_be_bytes().into()),
                23 => ("123456789", 123_456_789_i32.to_be_bytes().into()),
                114 => ("{\"a\": 1}", b"{\"a\": 1}".into()),
                700 => ("1234.5", 1234.5_f32.to_be_bytes().into()),
                701 => ("1234.5", 1234.5_f64.to_be_bytes().into()),
                1082 => ("2024-02-29", 8_825_i32.to_be_bytes().into()),
                1083 => ("10:20:30.123456", 37_230_123_456_i64.to_be_bytes().into()),
                1114 => ("2024-02-29 10:20:30.123456", micros.into()),
                1184 => ("2024-02-29 10:20:30.123456+00", micros.into()),
                1266 => (
                    "10:20:30.123456+00",
                    [&37_230_123_456_i64.to_be_bytes()[..], &[0; 4]].concat(),
                ),
                1700 => ("1234.5", vec![0, 2, 0, 0, 0, 0, 0, 1, 4, 210, 19, 136]),
                2950 => (
                    "6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111",
                    0x6f1c_9a52_2f4e_4a7b_9d57_0c8f_6a3b_e111_u128
                        .to_be_bytes()
                        .into(),
                ),
                3802 => ("{\"a\": 1}", b"\x01{\"a\": 1}".into()),
                _ => ("ada12345@example.com", b"ada12345@example.com".into()),
            };
            (carrying.oid, [text.as_bytes().to_vec(), binary])
        })
        .collect()
}

/// Every kind of transform, with arguments that types differ about.
fn every_transform() -> Vec<Transform> {
    let mut all = vec![
        Transform::Redact,
        Transform::Null,
        Transform::Last(4),
        Transform::First(3),
        Transform::KeepDomain,
        Transform::Hash,
        Transform::Tokenize,
    ];
    all.extend(["0.5", "1", "2.5", "2", "1000"].map(round));
    all.extend(DateUnit::ALL.iter().copied().map(truncate));
    all.extend(
        [
            "hidden",
            "7",
            "-7.5",
            "40000",
            "99999999999",
            "1e300",
            "NaN",
            "infinity",
            "1900-01-01",
            "1900-01-01 00:00:00",
            "1900-01-01 00:00:00+01",
            "00:00:00",
            "00:00:00+01",
            "\\x00",
            "6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111",
            "with\0zero",
            "a name that is much too long for any name that is in PostgreSQL, as it has more bytes",
        ]
        .map(constant),
    );
    all
}

#[test]
fn types_carry_what_the_checker_says() {
    for (type_oid, values) in samples() {
        for transform in every_transform() {
            let masked = FORMATS.map(|format| {
                let masked = run(&transform, &values[format as usize], type_oid, format);
                let redacted = run(&Transform::Redact, b"", type_oid, format);
                match masked {
                    None => Some(Instead::Null),
                    masked if masked == redacted => Some(Instead::Redacted),
                    Some(_) => None,
                }
            });
            let context = format!("{transform} on type {type_oid}");
            assert_eq!(masked[0], masked[1], "{context}: both formats");
            match (carries(&transform, type_oid), &transform) {
                (said, Transform::Redact | Transform::Null) => {
                    assert_eq!(said, Carries::Yes, "{context}");
                }
                (Carries::Yes, _) => assert_eq!(masked[0], None, "{context}"),
                (Carries::Becomes(instead, reason), _) => {
                    assert_eq!(masked[0], Some(instead), "{context}");
                    assert!(!reason.is_empty(), "{context}");
                }
            }
        }
    }
    for transform in every_transform() {
        let carried = carries(&transform, 16);
        let is_always_carried = matches!(transform, Transform::Redact | Transform::Null);
        assert_eq!(carried == Carries::Yes, is_always_carried, "{transform}");
    }
}

#[test]
fn both_formats_give_the_same_value() {
    // Constants are written by the same code as masked values, in either format.
    for (type_oid, values) in samples() {
        for transform in every_transform() {
            let text = run(&transform, &values[0], type_oid, Format::Text);
            let binary = run(&transform, &values[1], type_oid, Format::Binary);
            let through_constant = text.and_then(|text| {
                let text = String::from_utf8(text).expect("UTF-8");
                match type_oid {
                    17 | 114 | 3802 => binary.clone(),
                    _ => run(&constant(&text), b"", type_oid, Format::Binary),
                }
            });
            assert_eq!(through_constant, binary, "{transform} on type {type_oid}");
        }
    }
}

//! Arrays: masked as their elements are, read and written exactly as the server does.

use proptest::prelude::*;

use super::*;
use crate::mask::carriers::Array;

const TEXTS: u32 = 1009;
const INTEGERS: u32 = 1007;

/// The type of arrays of that type.
fn array_of(element_oid: u32) -> u32 {
    let is_it = |array: Array| array.element_oid == element_oid;
    let mut oids = (1..5_000)
        .filter(|oid| matches!(Shape::of(*oid), Some(Shape::Array(array)) if is_it(array)));
    let found = oids.next().expect("every carrying type has arrays");
    assert_eq!(oids.next(), None, "one type of arrays of {element_oid}");
    found
}

/// Elements in dimensions, each a lower bound and a size.
#[derive(Debug, Clone)]
struct Elements {
    dimensions: Vec<(i32, usize)>,
    elements: Vec<Option<Vec<u8>>>,
}

impl Elements {
    fn one_dimension(elements: Vec<Option<Vec<u8>>>) -> Self {
        let dimensions = match elements.len() {
            0 => Vec::new(),
            size => vec![(1, size)],
        };
        Self {
            dimensions,
            elements,
        }
    }

    fn text(&self) -> Vec<u8> {
        let mut out = String::new();
        if self.dimensions.iter().any(|(lower, _)| *lower != 1) {
            for (lower, size) in &self.dimensions {
                let upper = i64::from(*lower) + i64::try_from(*size).unwrap() - 1;
                out.push_str(&format!("[{lower}:{upper}]"));
            }
            out.push('=');
        }
        let mut out = out.into_bytes();
        let sizes: Vec<usize> = self.dimensions.iter().map(|(_, size)| *size).collect();
        braces(&sizes, &mut self.elements.iter(), &mut out);
        out
    }

    fn binary(&self, element_oid: u32) -> Vec<u8> {
        let has_null = self.elements.iter().any(Option::is_none);
        let head = [
            u32::try_from(self.dimensions.len()).unwrap(),
            u32::from(has_null),
            element_oid,
        ];
        let mut out = head.map(u32::to_be_bytes).concat();
        for (lower, size) in &self.dimensions {
            out.extend(i32::try_from(*size).unwrap().to_be_bytes());
            out.extend(lower.to_be_bytes());
        }
        for element in &self.elements {
            match element {
                None => out.extend((-1_i32).to_be_bytes()),
                Some(element) => {
                    out.extend(i32::try_from(element.len()).unwrap().to_be_bytes());
                    out.extend(element);
                }
            }
        }
        out
    }

    fn masked(&self, transform: &Transform, element_oid: u32, format: Format) -> Self {
        let mask =
            |element: &Option<Vec<u8>>| run(transform, element.as_deref()?, element_oid, format);
        Self {
            dimensions: self.dimensions.clone(),
            elements: self.elements.iter().map(mask).collect(),
        }
    }
}

fn braces<'a>(
    sizes: &[usize],
    elements: &mut impl Iterator<Item = &'a Option<Vec<u8>>>,
    out: &mut Vec<u8>,
) {
    let Some((size, inner)) = sizes.split_first() else {
        match elements.next() {
            None => out.extend_from_slice(b"{}"),
            Some(None) => out.extend_from_slice(b"NULL"),
            Some(Some(element)) => quoted(element, out),
        }
        return;
    };
    for place in 0..*size {
        out.push(if place == 0 { b'{' } else { b',' });
        braces(inner, elements, out);
    }
    out.push(b'}');
}

fn quoted(element: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(element);
    let special = [
        '{', '}', ',', '"', '\\', ' ', '\t', '\n', '\r', '\u{b}', '\u{c}',
    ];
    if !text.is_empty() && text.to_lowercase() != "null" && !text.contains(special) {
        out.extend_from_slice(element);
        return;
    }
    out.push(b'"');
    for byte in element {
        if [b'"', b'\\'].contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[test]
fn elements_are_masked_and_the_form_stays() {
    for (value, expected) in [
        ("{}", "{}"),
        ("{ada@example.com}", "{***@example.com}"),
        ("{a@b.c,NULL,nobody}", "{***@b.c,NULL,[redacted]}"),
        ("{\"a, b@c.d\",\"\\\"q\\\\\"}", "{***@c.d,[redacted]}"),
        (
            "{{a@b.c,b@c.d},{NULL,\"\"}}",
            "{{***@b.c,***@c.d},{NULL,[redacted]}}",
        ),
        ("[0:1]={a@b.c,b@c.d}", "[0:1]={***@b.c,***@c.d}"),
        (
            "[-2:-2][5:6]={{a@b.c,\"NULL\"}}",
            "[-2:-2][5:6]={{***@b.c,[redacted]}}",
        ),
        ("{{{{{{a@b.c}}}}}}", "{{{{{{***@b.c}}}}}}"),
        (
            "{\"{\",\"}\",\"null\"}",
            "{[redacted],[redacted],[redacted]}",
        ),
    ] {
        check(&Transform::KeepDomain, TEXTS, value, expected);
    }
    check(
        &round("1000"),
        INTEGERS,
        "{52890,NULL,-7,999}",
        "{52000,NULL,0,0}",
    );
    check(&round("1000"), 1021, "{1234.5,NaN}", "{1000,NULL}");
    let hours = truncate(DateUnit::Hour);
    check(
        &hours,
        1115,
        "{\"2024-02-29 10:20:30\",infinity}",
        "{\"2024-02-29 10:00:00\",NULL}",
    );
    check(&Transform::Tokenize, INTEGERS, "{1,22}", "{NULL,NULL}");
}

#[test]
fn what_is_written_needs_quotes_only_where_the_server_would() {
    for (value, expected) in [
        ("{\"x, y\"}", "{\"*******, y\"}"),
        ("{\"xyz\\\"\"}", "{\"*******z\\\"\"}"),
        ("{\"a b\\\\c\"}", "{\"*******\\\\c\"}"),
        ("{\"a {\"}", "{\"******* {\"}"),
        ("{\"a, bcd\"}", "{*******cd}"),
    ] {
        let count = if expected.contains(", y") { 3 } else { 2 };
        check(&Transform::Last(count), TEXTS, value, expected);
    }
    // A token may read as the word for what is missing.
    let mut out = Vec::new();
    quoted(b"nUlL", &mut out);
    assert_eq!(out, b"\"nUlL\"");
}

#[test]
fn what_keeps_nothing_tells_nothing_of_the_form() {
    for value in [
        "{}",
        "{a}",
        "{a,NULL,b}",
        "[3:4]={a,b}",
        "{{a},{b}}",
        "no array",
    ] {
        check(&Transform::Redact, TEXTS, value, "{[redacted]}");
        check(&constant("x y"), TEXTS, value, "{\"x y\"}");
        check(&constant("null"), TEXTS, value, "{\"null\"}");
        check(&Transform::Null, TEXTS, value, "NULL");
        check(&constant("7"), INTEGERS, value, "{7}");
        check(&constant("x"), INTEGERS, value, "NULL");
        check(&Transform::Redact, INTEGERS, value, "NULL");
        check(&Transform::Redact, 3807, value, "{\"\\\"[redacted]\\\"\"}");
        // Nothing is kept of texts that can't be rounded, and then there is no array.
        check(&round("1000"), TEXTS, value, "NULL");
        check(&Transform::Last(2), INTEGERS, value, "NULL");
        for (transform, expected) in [
            (Transform::Hash, Some(&b"{[redacted]}"[..])),
            (Transform::Tokenize, Some(b"{[redacted]}")),
        ] {
            let masked = run_with(None, &transform, value.as_bytes(), TEXTS, Format::Text);
            assert_eq!(masked.as_deref(), expected, "without keys");
        }
    }
    let alone = Elements::one_dimension(vec![Some(b"[redacted]".to_vec())]);
    let masked = run(&Transform::Redact, b"any", TEXTS, Format::Binary);
    assert_eq!(masked, Some(alone.binary(TEXT)));
}

#[test]
fn what_is_no_array_of_the_servers_becomes_null() {
    for value in [
        "",
        "a",
        "{",
        "}",
        "{a",
        "{a,}",
        "{,a}",
        "{a}}",
        "{a} ",
        " {a}",
        "{ a}",
        "{a b}",
        "{{a},b}",
        "{a,{b}}",
        "{{a,b},{c}}",
        "{{}}",
        "{{},{}}",
        "{null}",
        "{Null}",
        "{\"a}",
        "{\"a\"b}",
        "{a\"b\"}",
        "{\"a\\b\"}",
        "{a\\\\b}",
        "{a;b}x",
        "{{{{{{{a}}}}}}}",
        "[0:1]={a}",
        "[0:0]={a,b}",
        "[0:1]={{a,b}}",
        "[0:1][0:0]={{a,b}}",
        "[1:0]={}",
        "[0:1]{a,b}",
        "[0]={a}",
        "[0:x]={a}",
        "[0:99999999999]={a}",
        "[0:1]",
        "[0:1]=",
        "[0:1]={}",
        "[0:0][0:0][0:0][0:0][0:0][0:0][0:0]={{{{{{{a}}}}}}}",
        "{a}{b}",
        "{a},{b}",
    ] {
        check(&Transform::KeepDomain, TEXTS, value, "NULL");
    }
    let good = Elements::one_dimension(vec![Some(b"abcd".to_vec()), None]).binary(TEXT);
    assert!(run(&Transform::Last(2), &good, TEXTS, Format::Binary).is_some());
    for end in 0..good.len() {
        let cut = run(&Transform::Last(2), &good[..end], TEXTS, Format::Binary);
        assert_eq!(cut, None, "cut at {end}");
    }
    for (place, byte) in [
        (0, 1),
        (3, 0),
        (3, 2),
        (3, 7),
        (7, 2),
        (11, 23),
        (12, 0x7f),
        (15, 0),
        (15, 1),
        (15, 3),
        (20, 0xff),
        (20, 0x80),
        (23, 5),
    ] {
        let mut bad = good.clone();
        bad[place] = byte;
        let masked = run(&Transform::Last(2), &bad, TEXTS, Format::Binary);
        assert_eq!(masked, None, "{byte} at {place}");
    }
    let longer = [&good[..], b"x"].concat();
    assert_eq!(
        run(&Transform::Last(2), &longer, TEXTS, Format::Binary),
        None
    );
}

#[test]
fn a_masked_null_is_flagged() {
    let raw = Elements::one_dimension(vec![Some(f32::NAN.to_be_bytes().to_vec())]);
    let masked = run(&round("10"), &raw.binary(700), 1021, Format::Binary);
    let nothing = Elements::one_dimension(vec![None]);
    assert_eq!(masked, Some(nothing.binary(700)));
}

/// Masked values may be longer than raw ones, and there may be millions.
#[test]
fn the_longest_masked_array_has_a_limit() {
    for (count, is_masked) in [(2_000_000, true), (3_200_000, false)] {
        let text = format!("{{a{}}}", ",a".repeat(count - 1)).into_bytes();
        let size = u32::try_from(count).unwrap();
        let head = [1, 0, TEXT, size, 1].map(u32::to_be_bytes).concat();
        let binary = [head, b"\0\0\0\x01a".repeat(count)].concat();
        for (format, value) in [(Format::Text, text), (Format::Binary, binary)] {
            let masked = run(&Transform::Last(4), &value, TEXTS, format);
            assert_eq!(masked.is_some(), is_masked, "{count} {format:?}");
        }
    }
}

#[test]
fn arrays_carry_what_the_checker_says() {
    for (element_oid, values) in samples() {
        let type_oid = array_of(element_oid);
        for transform in every_transform() {
            let context = format!("{transform} on arrays of type {element_oid}");
            let [text, binary] = FORMATS.map(|format| {
                let value = Some(values[format as usize].clone());
                let array = Elements::one_dimension(vec![value]);
                let value = match format {
                    Format::Text => array.text(),
                    Format::Binary => array.binary(element_oid),
                };
                let redacted = run(&Transform::Redact, b"", type_oid, format);
                match run(&transform, &value, type_oid, format) {
                    None => Some(Instead::Null),
                    masked if masked == redacted => Some(Instead::Redacted),
                    Some(_) => None,
                }
            });
            assert_eq!(text, binary, "{context}: both formats");
            match (carries(&transform, type_oid), &transform) {
                (said, Transform::Redact | Transform::Null) => {
                    assert_eq!(said, Carries::Yes, "{context}");
                }
                (Carries::Yes, _) => assert_eq!(text, None, "{context}"),
                (Carries::Becomes(instead, reason), _) => {
                    assert_eq!(text, Some(instead), "{context}");
                    assert!(!reason.is_empty(), "{context}");
                }
            }
        }
    }
}

fn element() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        1 => Just(None),
        1 => "(?i)null".prop_map(|text| Some(text.into_bytes())),
        4 => "[a-c{}\",\\\\ \t\n\r\u{b}\u{c};@.é]{0,12}".prop_map(|text| Some(text.into_bytes())),
        2 => any::<String>().prop_map(|text| Some(text.replace('\0', "").into_bytes())),
    ]
}

fn arrays() -> impl Strategy<Value = Elements> {
    let lower = || prop_oneof![3 => Just(1), 1 => -3..4_i32];
    let dimensions = proptest::collection::vec((lower(), 1..4_usize), 0..=6);
    dimensions.prop_flat_map(|dimensions| {
        // At most 729, mostly far fewer.
        let count = match dimensions.len() {
            0 => 0,
            _ => dimensions.iter().map(|(_, size)| *size).product(),
        };
        proptest::collection::vec(element(), count).prop_map(move |elements| Elements {
            dimensions: dimensions.clone(),
            elements,
        })
    })
}

fn looking() -> impl Strategy<Value = Transform> {
    proptest::sample::select(vec![
        Transform::Last(1),
        Transform::Last(3),
        Transform::First(2),
        Transform::KeepDomain,
        Transform::Hash,
        Transform::Tokenize,
    ])
}

proptest! {
    #[test]
    fn arrays_are_masked_as_their_elements(array in arrays(), transform in looking()) {
        let masked = run(&transform, &array.text(), TEXTS, Format::Text);
        let expected = array.masked(&transform, TEXT, Format::Text).text();
        prop_assert_eq!(
            masked.map(|text| String::from_utf8_lossy(&text).into_owned()),
            Some(String::from_utf8_lossy(&expected).into_owned())
        );
        let masked = run(&transform, &array.binary(TEXT), TEXTS, Format::Binary);
        let expected = array.masked(&transform, TEXT, Format::Binary).binary(TEXT);
        prop_assert_eq!(masked, Some(expected));
    }

    #[test]
    fn a_cut_array_becomes_null(array in arrays(), transform in looking(), cut in any::<prop::sample::Index>()) {
        for (format, value) in [(Format::Text, array.text()), (Format::Binary, array.binary(TEXT))] {
            let end = cut.index(value.len());
            prop_assert_eq!(run(&transform, &value[..end], TEXTS, format), None);
        }
    }

    /// Whatever the bytes, what comes out is an array, or NULL.
    #[test]
    fn any_text_gives_an_array(text in "[\\[\\]:=0-2{},\"\\\\NULna ]{0,24}", transform in looking()) {
        if let Some(masked) = run(&transform, text.as_bytes(), TEXTS, Format::Text) {
            prop_assert!(run(&transform, &masked, TEXTS, Format::Text).is_some());
        }
    }

    #[test]
    fn any_bytes_give_an_array(bytes in proptest::collection::vec(prop_oneof![3 => 0..3_u8, 1 => any::<u8>()], 0..60), transform in looking()) {
        let bytes = [&[0, 0, 0][..], &bytes].concat();
        if let Some(masked) = run(&transform, &bytes, TEXTS, Format::Binary) {
            prop_assert!(run(&transform, &masked, TEXTS, Format::Binary).is_some());
        }
    }
}

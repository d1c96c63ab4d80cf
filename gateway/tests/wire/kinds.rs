//! Every type under every mask, in text and binary format, by SELECT and by COPY: nothing raw comes, what comes is a value of the
//! type or NULL, and all four roads give the same one.

use std::sync::Arc;

use provost_engine::{
    mask::MaskKeys,
    transform::{DateUnit, Transform},
};
use provost_gateway::settings::ClientTls;

use crate::{
    house::{House, allow_everything, masks, settings_for, start_cluster, target, tokens},
    raw::{Raw, bind, execute, message, parse},
};

const SHOP: [(&str, &str); 2] = [("user", "ann"), ("database", "shop")];

const BEFORE: &str = "CREATE TYPE mood AS ENUM ('sorrowful', 'gladdened');
    CREATE TYPE pair AS (word text, number int);
    CREATE DOMAIN code AS varchar(40); CREATE DOMAIN inner_code AS code; CREATE DOMAIN count AS int CHECK (VALUE > 0);
    CREATE DOMAIN couple AS pair;
    CREATE TYPE floatrange AS RANGE (subtype = float8);";

/// A type and a value of it, that no mask leaves as it is.
const KINDS: &[(&str, &str)] = &[
    ("bool", "true"),
    ("\"char\"", "q"),
    ("name", "ada@example.com"),
    ("text", "ada@example.com"),
    ("varchar(40)", "ada@example.com"),
    ("char(40)", "ada@example.com"),
    ("code", "4111-1111-1111-1111"),
    ("inner_code", "4111-1111-1111-1111"),
    ("count", "123456789"),
    ("couple", "(secretive,424242)"),
    ("bytea", "\\x0badc0de0badc0de"),
    ("smallint", "12345"),
    ("integer", "123456789"),
    ("bigint", "9876543210123"),
    ("real", "12345.5"),
    ("double precision", "123456.789"),
    ("numeric(30, 5)", "555456789.12345"),
    ("money", "123456.78"),
    ("date", "1816-11-09"),
    ("time", "13:14:15.161718"),
    ("timetz", "13:14:15.161718+03"),
    ("timestamp", "1815-12-10 13:14:15.161718"),
    ("timestamptz", "1815-12-10 13:14:15.161718+03"),
    ("interval", "3 years 4 mons 05:06:07"),
    ("uuid", "6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111"),
    ("json", "{\"iban\": \"DE89370400440532\"}"),
    ("jsonb", "{\"iban\": \"DE89370400440532\"}"),
    ("jsonpath", "$.\"iban370400440532\""),
    ("xml", "<iban>DE89370400440532</iban>"),
    ("inet", "192.168.123.45/24"),
    ("cidr", "192.168.123.0/24"),
    ("macaddr", "08:00:2b:01:02:03"),
    ("macaddr8", "08:00:2b:01:02:03:04:05"),
    ("bit(24)", "101010111100110111101111"),
    ("varbit", "101010111100110111101111"),
    ("point", "(123.25,456.5)"),
    ("line", "{1.25,2.5,3.75}"),
    ("lseg", "[(1.25,2.5),(3.75,4.5)]"),
    ("box", "(3.75,4.5),(1.25,2.5)"),
    ("path", "((1.25,2.5),(3.75,4.5))"),
    ("polygon", "((1.25,2.5),(3.75,4.5),(5.25,6.5))"),
    ("circle", "<(1.25,2.5),7.75>"),
    ("tsvector", "'ibanic':1 'secretive':2"),
    ("tsquery", "'ibanic' & 'secretive'"),
    ("oid", "246813579"),
    ("regtype", "pg_catalog.timestamptz"),
    ("pg_lsn", "16/B374D848"),
    ("int4range", "[1234,5678)"),
    ("numrange", "[1234.5,5678.9]"),
    (
        "tstzrange",
        "[\"1815-12-10 13:14:15+00\",\"1852-11-27 10:00:00+00\")",
    ),
    ("daterange", "[1815-12-10,1852-11-27)"),
    ("int4multirange", "{[12,34),[56,78)}"),
    ("floatrange", "[1234.5,5678.9]"),
    (
        "tsrange",
        "[\"1815-12-10 13:14:15\",\"1852-11-27 10:00:00\")",
    ),
    ("int8range", "[9876543210123,9876543219999)"),
    ("numrange", "(1234.5,)"),
    ("int8multirange", "{(,1234),[5678,7890)}"),
    ("nummultirange", "{[1234.5,5678.9],(7890,9999.5)}"),
    ("datemultirange", "{[1815-12-10,1852-11-27)}"),
    ("int4range[]", "{\"[1234,5678)\"}"),
    ("int[]", "{123456,234567}"),
    ("int[]", "[0:2]={123456,NULL,7}"),
    ("bigint[]", "{9876543210123,NULL}"),
    ("varchar(40)[]", "[2:2][3:4]={{ada@example.com,\"\"}}"),
    ("char(40)[]", "{ada@example.com}"),
    ("name[]", "{ada@example.com,\"a, \\\"b\\\"\"}"),
    ("bytea[]", "{\"\\\\x0badc0de0badc0de\"}"),
    ("numeric(30, 5)[]", "{555456789.12345}"),
    ("real[]", "{12345.5,NaN}"),
    ("date[]", "{1816-11-09,infinity}"),
    ("time[]", "{13:14:15.161718}"),
    ("bool[]", "{true,false}"),
    ("box[]", "{(3.75,4.5),(1.25,2.5);(7.75,8.5),(5.25,6.5)}"),
    ("text[]", "{ada@example.com,\"grace, hopper\"}"),
    ("timestamptz[]", "{\"1815-12-10 13:14:15+00\"}"),
    ("uuid[]", "{6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111}"),
    ("jsonb[]", "{\"{\\\"iban\\\": 370400440532}\"}"),
    ("int[][]", "{{123456,2},{3,4}}"),
    ("mood", "sorrowful"),
    ("mood[]", "{sorrowful}"),
    ("pair", "(secretive,424242)"),
    ("pair[]", "{\"(secretive,424242)\"}"),
    ("code[]", "{4111-1111-1111-1111}"),
];

fn transforms() -> Vec<Transform> {
    vec![
        Transform::Redact,
        Transform::Null,
        Transform::Last(4),
        Transform::First(2),
        Transform::KeepDomain,
        Transform::Hash,
        Transform::Tokenize,
        Transform::RoundTo("1000".parse().unwrap()),
        Transform::TruncateDate(DateUnit::Month),
        Transform::TruncateDate(DateUnit::Hour),
        Transform::Constant("hidden".into()),
        Transform::Constant("7".into()),
        Transform::Constant("2000-01-01".into()),
    ]
}

type Row = Vec<Option<Vec<u8>>>;

/// The values of a DataRow, or of a row of a COPY in binary format.
fn values(mut body: &[u8]) -> Row {
    let count = u16::from_be_bytes(body[..2].try_into().unwrap());
    body = &body[2..];
    (0..count)
        .map(|_| {
            let length = i32::from_be_bytes(body[..4].try_into().unwrap());
            let value = usize::try_from(length)
                .ok()
                .map(|length| body[4..4 + length].to_vec());
            body = &body[4 + value.as_ref().map_or(0, Vec::len)..];
            value
        })
        .collect()
}

/// The first message of this type, and every byte.
fn first(raw: &mut Raw, frames: &[u8], wanted: u8) -> (Vec<u8>, Vec<u8>) {
    raw.send(frames);
    let (mut found, mut all) = (None, Vec::new());
    loop {
        let (kind, body) = raw.message();
        assert_ne!(kind, b'E', "{}", String::from_utf8_lossy(&body));
        all.extend_from_slice(&body);
        if kind == b'Z' {
            return (found.unwrap(), all);
        }
        if kind == wanted && found.is_none() {
            found = Some(body);
        }
    }
}

fn select(raw: &mut Raw, sql: &str, format: u16) -> (Row, Vec<u8>) {
    let frames = [
        parse("", sql),
        bind("", "", &[], format),
        execute(""),
        message(b'S', b""),
    ];
    let (row, all) = first(raw, &frames.concat(), b'D');
    (values(&row), all)
}

/// A row of a COPY in text format: what the masks leave has no other escapes.
fn copied(raw: &mut Raw) -> (Row, Vec<u8>) {
    let (data, all) = first(raw, &message(b'Q', b"COPY kinds TO STDOUT\0"), b'd');
    let line = data.strip_suffix(b"\n").unwrap();
    let value = |value: &[u8]| match value {
        b"\\N" => None,
        value => Some(
            String::from_utf8_lossy(value)
                .replace("\\\\", "\\")
                .into_bytes(),
        ),
    };
    (line.split(|byte| *byte == b'\t').map(value).collect(), all)
}

/// A type's name without a length, which for `char` is another one.
fn without_length(kind: &str) -> String {
    let (name, rest) = kind.split_once('(').unwrap_or((kind, ")"));
    let (_, brackets) = rest.split_once(')').unwrap();
    let name = if name == "char" { "bpchar" } else { name };
    format!("{name}{brackets}")
}

#[test]
fn every_type_under_every_mask() {
    let cluster = start_cluster();
    let columns: Vec<String> = (0..KINDS.len()).map(|place| format!("c{place}")).collect();
    let typed = columns
        .iter()
        .zip(KINDS)
        .map(|(column, (kind, _))| format!("{column} {kind}"));
    let typed: Vec<String> = typed.collect();
    let literals: Vec<String> = KINDS
        .iter()
        .map(|(kind, value)| format!("'{}'::{kind}", value.replace('\'', "''")))
        .collect();
    let (typed, literals) = (typed.join(", "), literals.join(", "));
    cluster
        .execute(
            "postgres",
            &format!(
                "{BEFORE} CREATE TABLE kinds ({typed}); INSERT INTO kinds VALUES ({literals})"
            ),
        )
        .unwrap();
    let mut settings = settings_for(ClientTls::Off, target(&cluster));
    settings.mask_keys = Some(Arc::new(MaskKeys::new("test", &[7; 32]).unwrap()));
    let house = House::start(settings);
    let mut raw = Raw::log_in(house.address, &SHOP, &tokens().good("ann"));
    raw.until(b'Z');
    let table = "SELECT * FROM kinds";
    let originals = [select(&mut raw, table, 0).0, select(&mut raw, table, 1).0];
    let mut shown = 0;
    for (turn, transform) in transforms().into_iter().enumerate() {
        let masked: Vec<(&str, Transform)> = columns
            .iter()
            .map(|column| (&**column, transform.clone()))
            .collect();
        house
            .policy
            .swap(masks(&format!("masked {turn}"), &masked, None));
        let (text, in_text) = select(&mut raw, table, 0);
        let (binary, in_binary) = select(&mut raw, table, 1);
        let (copy_text, in_copy) = copied(&mut raw);
        let (copy, in_copy_binary) = first(
            &mut raw,
            &message(b'Q', b"COPY kinds TO STDOUT (FORMAT binary)\0"),
            b'd',
        );
        assert_eq!(copy_text, text, "{transform:?}");
        assert_eq!(values(&copy[19..]), binary, "{transform:?}");
        house.policy.swap(allow_everything(&format!("open {turn}")));
        for (place, (kind, _)) in KINDS.iter().enumerate() {
            let what = format!("{transform:?} of {kind}");
            for (original, bytes) in originals
                .iter()
                .zip([[&in_text, &in_copy], [&in_binary, &in_copy_binary]])
            {
                let original = original[place].as_deref().unwrap();
                // Shorter ones could be in anything.
                let is_telling = original.len() > 5;
                let shows = |bytes: &Vec<u8>| {
                    bytes
                        .windows(original.len())
                        .any(|window| window == original)
                };
                assert!(!(is_telling && bytes.into_iter().any(shows)), "{what}");
            }
            let (text, binary) = (&text[place], &binary[place]);
            assert_eq!(text.is_some(), binary.is_some(), "{what}");
            let Some(text) = text else { continue };
            shown += 1;
            assert_ne!(Some(text), originals[0][place].as_ref(), "{what}");
            // The server reads it as a value of the type, which in binary format is the other one.
            let literal = String::from_utf8(text.clone()).unwrap();
            // Lengths of `char(n)` and `varchar(n)` are not kept to.
            let kind = without_length(kind);
            let back = format!("SELECT '{}'::{kind}", literal.replace('\'', "''"));
            assert_eq!(
                &select(&mut raw, &back, 1).0[0],
                binary,
                "{what}: {literal}"
            );
        }
    }
    // Not everything became NULL.
    assert!(shown > 100, "{shown}");
}

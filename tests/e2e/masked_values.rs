//! Masked values against a real server: in both formats it reads them as values of their type, and where it can compute the
//! same mask it agrees. The one file here that looks inside: no gateway runs.

use std::error::Error;

use bytes::BytesMut;
use provost_engine::{
    mask::{self, Format, MaskKeys, Masked},
    transform::{DateUnit, Transform},
};
use tokio_postgres::{
    Client, NoTls,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use crate::postgres::{Cluster, Listen, Options, SUPERUSER};

/// A value's bytes in binary format, whatever its type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(bytes.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

const NUMBERS: &[&str] = &["0", "7", "-7", "12345", "-30000", "32767", "-32768"];
const DECIMALS: &[&str] = &[
    "0",
    "0.00",
    "-0.4",
    "1234.5",
    "-99999.999",
    "0.000012345",
    "100000000",
    "123456789.987654321",
    "NaN",
    "Infinity",
    "-Infinity",
];
const DATES: &[&str] = &[
    "2024-02-29",
    "1999-12-31",
    "0001-01-01",
    "0044-03-15 BC",
    "4714-11-24 BC",
    "infinity",
    "-infinity",
];
const TIMESTAMPS: &[&str] = &[
    "2024-02-29 10:20:30.123456",
    "2024-01-01 00:00:00",
    "1890-06-15 23:59:59.5",
    "0044-03-15 12:00:00 BC",
    "4714-11-26 00:00:00 BC",
    "294276-12-30 23:59:59.999999",
    "infinity",
    "-infinity",
];
const TIMES: &[&str] = &["00:00:00", "10:20:30.5", "23:59:59.999999", "24:00:00"];
const TEXTS: &[&str] = &[
    "ada@example.com",
    "4111-1111-1111-1111",
    "Ada Lovelace",
    "x",
    "",
];

/// Every carrying type by a name that casts without a length, and values of it.
const TYPES: &[(u32, &str, &[&str])] = &[
    (25, "text", TEXTS),
    (1043, "varchar", TEXTS),
    (1042, "bpchar", TEXTS),
    (19, "name", TEXTS),
    (114, "json", &["{\"a\": 1}", "null"]),
    (3802, "jsonb", &["{\"a\": 1}", "null"]),
    (21, "int2", NUMBERS),
    (23, "int4", NUMBERS),
    (
        23,
        "int4",
        &["123456", "2147483647", "-2147483648", "1234567890"],
    ),
    (20, "int8", NUMBERS),
    (20, "int8", &["9223372036854775807", "-9223372036854775808"]),
    (1700, "numeric", DECIMALS),
    (
        1700,
        "numeric",
        &["1e100", "-123456789012345678901234567890.5"],
    ),
    (700, "float4", DECIMALS),
    (701, "float8", DECIMALS),
    (701, "float8", &["1e300", "-1e-300", "123456789012345678"]),
    (1082, "date", DATES),
    (1114, "timestamp", TIMESTAMPS),
    (1184, "timestamptz", TIMESTAMPS),
    (1083, "time", TIMES),
    (1266, "timetz", TIMES),
    (1266, "timetz", &["10:20:30+05:30", "23:30:00-11"]),
    (2950, "uuid", &["6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111"]),
    (17, "bytea", &["\\x01ff", "\\x"]),
];

/// Ranges, whose oids the server tells.
const RANGES: &[(&str, &[&str])] = &[
    (
        "int4range",
        &[
            "[1234,56789)",
            "[-5,5000)",
            "(,7)",
            "[7,)",
            "(,)",
            "empty",
            "[7,8)",
        ],
    ),
    (
        "int8range",
        &["[9876543210123,9876543219999)", "[-9876543210123,7)"],
    ),
    (
        "numrange",
        &[
            "[1234.5,56789.125]",
            "(1234.5,1234.75)",
            "[7,7]",
            "(-7.5,NaN)",
        ],
    ),
    (
        "daterange",
        &["[1815-12-10,1852-11-27)", "[2024-02-29,infinity)"],
    ),
    (
        "tsrange",
        &["[\"2024-02-29 10:20:30.5\",\"2025-01-01 00:00:00\"]"],
    ),
    (
        "tstzrange",
        &["(\"2024-02-29 10:20:30.5+00\",\"2025-01-01 00:00:00+00\"]"],
    ),
    (
        "int4multirange",
        &[
            "{[1234,5678),[9999,123456)}",
            "{[1,2),[3,4)}",
            "{}",
            "{(,)}",
        ],
    ),
    ("nummultirange", &["{(1.5,2345.25],(9999,)}"]),
    ("datemultirange", &["{[1815-12-10,1852-11-27)}"]),
    (
        "tstzmultirange",
        &["{[\"2024-02-29 10:20:30.5+00\",\"2025-01-01 00:00:00+00\")}"],
    ),
];

/// Texts that arrays quote, or not.
const QUOTED: &[&str] = &[
    "NULL", "null", "Null", "", " ", "a b", "{", "}", ",", "\"", "\\", "\\\"", "a;b", "\t", "\n",
    "\u{b}", "\u{c}", "\r", "é", "\u{a0}", "\u{2003}", "'", "(", ")", "[1:2]={", "[", "]", "=",
    ":", "x=y",
];

fn transforms() -> Vec<Transform> {
    let mut all = vec![
        Transform::Redact,
        Transform::Null,
        Transform::Last(4),
        Transform::First(2),
        Transform::KeepDomain,
        Transform::Hash,
        Transform::Tokenize,
    ];
    let granularities = ["0.25", "3", "1000", "12.5", "1000000000000000000"];
    all.extend(granularities.map(|text| Transform::RoundTo(text.parse().unwrap())));
    all.extend(DateUnit::ALL.iter().copied().map(Transform::TruncateDate));
    let constants = [
        "hidden",
        "7",
        "-7.50",
        "1900-01-01",
        "0044-03-15 12:00:00.25 BC",
        "1900-01-01 00:00:00.5+01",
        "00:00:00.5",
        "12:00:00-11",
        "6F1C9A52-2F4E-4A7B-9D57-0C8F6A3BE111",
    ];
    all.extend(constants.map(|text| Transform::Constant(text.into())));
    all
}

fn masked(transform: &Transform, value: &[u8], type_oid: u32, format: Format) -> Option<Vec<u8>> {
    let keys = MaskKeys::new("test", &[7; 32]).unwrap();
    let mut out = Vec::new();
    match mask::apply(transform, Some(&keys), value, type_oid, format, &mut out) {
        Masked::Null => None,
        Masked::Value => Some(out),
    }
}

/// What the server computes for the mask, of a value `v`; `None` where it has no such function.
fn oracle(transform: &Transform, name: &str) -> Option<String> {
    match (transform, name) {
        (Transform::RoundTo(granularity), "int2" | "int4" | "int8" | "numeric") => Some(format!(
            "(v::numeric - mod(v::numeric, {granularity}))::{name}"
        )),
        (Transform::TruncateDate(unit), "date" | "timestamp") => {
            Some(format!("date_trunc('{unit}', v::timestamp)::{name}"))
        }
        (Transform::TruncateDate(unit), "timestamptz") => {
            Some(format!("date_trunc('{unit}', v, 'UTC')"))
        }
        (Transform::TruncateDate(DateUnit::Hour), "time") => Some(
            "CASE v WHEN '24:00' THEN v ELSE date_trunc('hour', v::interval)::time END".to_owned(),
        ),
        _ => None,
    }
}

/// How many values were read by the server, and how many compared with its own.
#[derive(Default)]
struct Counts {
    read: usize,
    compared: usize,
}

async fn check(
    client: &Client,
    transform: &Transform,
    (type_oid, name): (u32, &str),
    (text, binary): (&str, &Raw),
    counts: &mut Counts,
) {
    let context = format!("{transform} on {name} `{text}`");
    let from_text = masked(transform, text.as_bytes(), type_oid, Format::Text);
    let from_binary = masked(transform, &binary.0, type_oid, Format::Binary);
    assert_eq!(from_text.is_some(), from_binary.is_some(), "{context}");
    let (Some(from_text), Some(from_binary)) = (from_text, from_binary) else {
        return;
    };
    let from_text = String::from_utf8(from_text).unwrap();
    let sql = format!("SELECT $1::text::{name}::text, $2::{name}::text");
    let row = client
        .query_one(&sql, &[&from_text, &Raw(from_binary)])
        .await
        .unwrap_or_else(|error| panic!("{context} gives `{from_text}`: {error:?}"));
    let (by_text, by_binary): (String, String) = (row.get(0), row.get(1));
    assert_eq!(by_text, by_binary, "{context}: both formats");
    // The server writes large floats with an exponent.
    if !name.starts_with("float") {
        assert_eq!(by_text, from_text, "{context}: as the server writes it");
    }
    counts.read += 1;
    if let Some(expression) = oracle(transform, name) {
        let sql = format!(
            "SELECT {expression} = $2::text::{name}, {expression}::text FROM (SELECT $1::text::{name} AS v) AS value"
        );
        let row = client.query_one(&sql, &[&text, &from_text]).await.unwrap();
        let (equal, expected): (bool, String) = (row.get(0), row.get(1));
        assert!(
            equal,
            "{context} gives `{from_text}`, the server `{expected}`"
        );
        counts.compared += 1;
    }
}

/// A server, and a session with it.
async fn connect() -> (Cluster, Client) {
    let options = Options {
        listen: Listen::SocketOnly,
        settings: &[],
    };
    let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(cluster.socket_folder())
        .port(cluster.port())
        .user(SUPERUSER)
        .password(cluster.password())
        .dbname("postgres")
        .connect(NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    (cluster, client)
}

#[tokio::test]
async fn the_server_reads_masked_values_and_agrees() {
    let (_cluster, client) = connect().await;
    let mut counts = Counts::default();
    // Values are written in the session's zone; masks must not depend on it.
    for zone in ["UTC", "Asia/Kolkata", "America/St_Johns"] {
        for &(type_oid, name, values) in TYPES {
            for value in values {
                client
                    .batch_execute(&format!("SET timezone = '{zone}'"))
                    .await
                    .unwrap();
                let sql = format!("SELECT v::text, v FROM (SELECT $1::text::{name} AS v) AS value");
                let row = client.query_one(&sql, &[value]).await.unwrap();
                let (text, binary): (String, Raw) = (row.get(0), row.get(1));
                // Masked moments are in UTC: so is what the server writes when it reads them back.
                client.batch_execute("SET timezone = 'UTC'").await.unwrap();
                for transform in transforms() {
                    let values = (&*text, &binary);
                    check(&client, &transform, (type_oid, name), values, &mut counts).await;
                }
            }
        }
    }
    assert!(
        counts.read > 1_000 && counts.compared > 500,
        "{} read, {} compared",
        counts.read,
        counts.compared
    );
}

/// Masks `$1` as the type of that name by every transform, and has the server read what comes.
async fn check_made(
    client: &Client,
    name: &str,
    expression: &str,
    value: &str,
    counts: &mut Counts,
) {
    let sql = format!(
        "SELECT v::text, v, '{name}'::regtype::oid FROM (SELECT ({expression})::{name} AS v) AS value"
    );
    let row = client.query_one(&sql, &[&value]).await.unwrap();
    let (text, binary, type_oid): (String, Raw, u32) = (row.get(0), row.get(1), row.get(2));
    for transform in transforms() {
        check(
            client,
            &transform,
            (type_oid, name),
            (&text, &binary),
            counts,
        )
        .await;
    }
}

#[tokio::test]
async fn the_server_reads_masked_arrays_and_ranges() {
    let (_cluster, client) = connect().await;
    client.batch_execute("SET timezone = 'UTC'").await.unwrap();
    let mut counts = Counts::default();
    for &(_, name, values) in TYPES {
        let array = format!("{name}[]");
        for value in values {
            for expression in [
                "ARRAY[$1::text]",
                "ARRAY[$1::text, NULL, $1::text]",
                "ARRAY[[$1::text, NULL], [NULL, $1::text]]",
                "array_fill($1::text, ARRAY[2, 1, 3], ARRAY[0, -7, 1])",
            ] {
                let before = counts.read;
                check_made(&client, &array, expression, value, &mut counts).await;
                assert!(
                    counts.read > before,
                    "{array} of `{value}` is masked at all"
                );
            }
        }
        check_made(
            &client,
            &array,
            "array_remove(ARRAY[$1::text], $1::text)",
            "x",
            &mut counts,
        )
        .await;
    }
    for &(name, values) in RANGES {
        for value in values {
            check_made(&client, name, "$1::text", value, &mut counts).await;
        }
    }
    assert!(counts.read > 3_000, "{} read", counts.read);
}

/// What the server quotes within an array is what masks read and write: a text whose last characters are kept is quoted as the server
/// would quote it.
#[tokio::test]
async fn arrays_are_quoted_as_the_server_does() {
    let (_cluster, client) = connect().await;
    for hidden in ["", "x", "x y", "{x", "\"x", "\\x"] {
        for kept in QUOTED {
            let value = format!("{hidden}{kept}");
            let count = u16::try_from(kept.chars().count()).unwrap();
            let transforms = [Transform::Last(count), Transform::Constant((*kept).into())];
            for transform in transforms {
                let row = client
                    .query_one("SELECT ARRAY[$1::text, 'other']::text", &[&value])
                    .await
                    .unwrap();
                let array: String = row.get(0);
                let shown = masked(&transform, array.as_bytes(), 1009, Format::Text).unwrap();
                let shown = String::from_utf8(shown).unwrap();
                let row = client
                    .query_one(
                        "SELECT $1::text::text[]::text, ($1::text::text[])[1]",
                        &[&shown],
                    )
                    .await
                    .unwrap();
                let (written, first): (String, String) = (row.get(0), row.get(1));
                assert_eq!(written, shown, "{transform} of {array}");
                let alone = masked(&transform, value.as_bytes(), 25, Format::Text).unwrap();
                assert_eq!(first.as_bytes(), alone, "{transform} of {array}");
            }
        }
    }
}

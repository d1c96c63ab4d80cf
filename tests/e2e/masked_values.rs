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

#[tokio::test]
async fn the_server_reads_masked_values_and_agrees() {
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
    let connection = tokio::spawn(connection);
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
    drop(client);
    connection.await.unwrap().unwrap();
    assert!(
        counts.read > 1_000 && counts.compared > 500,
        "{} read, {} compared",
        counts.read,
        counts.compared
    );
}

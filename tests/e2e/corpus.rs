//! The corpus: every statement of `tests/corpus/*.toml` through the gateway, in the simple and the extended protocol,
//! with the verdict it must get and the reason why.
//!
//! Whatever a case expects, these hold for all: the session lives, nothing raw reaches a masked client, and a refused
//! statement's text never reaches the server.

use std::{collections::BTreeMap, fs, path::Path};

use futures::TryStreamExt as _;
use serde::Deserialize;
use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};

use crate::support::{House, Person, canary, client::Connected};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    statement: String,
    #[serde(rename = "as")]
    person: String,
    expect: String,
    why: String,
    /// `simple` where the statement makes no sense in the other protocol.
    protocol: Option<String>,
    /// The first row's values.
    row: Option<Vec<String>>,
    /// How the first row's values end.
    row_ends: Option<Vec<String>>,
}

/// What came back: rows as text, or an SQLSTATE with its words.
#[derive(Debug)]
enum Answer {
    Rows(Vec<Vec<Option<String>>>),
    Error(SqlState, String),
    Broken(String),
}

impl Answer {
    fn told(&self) -> String {
        match self {
            Self::Rows(rows) => format!("rows {rows:?}"),
            Self::Error(state, words) => format!("{} {words}", state.code()),
            Self::Broken(words) => format!("a broken connection: {words}"),
        }
    }

    fn from_error(error: &tokio_postgres::Error) -> Self {
        error.as_db_error().map_or_else(
            || Self::Broken(format!("{error:?}")),
            |error| Self::Error(error.code().clone(), format!("{error:?}")),
        )
    }
}

async fn simple(client: &Client, statement: &str) -> Answer {
    match client.simple_query(statement).await {
        Err(error) => Answer::from_error(&error),
        Ok(messages) => Answer::Rows(
            messages
                .iter()
                .filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(
                        (0..row.len())
                            .map(|index| row.get(index).map(str::to_owned))
                            .collect(),
                    ),
                    _ => None,
                })
                .collect(),
        ),
    }
}

/// The data of a COPY TO STDOUT, a message a row. This client has one protocol for it.
async fn copied(client: &Client, statement: &str) -> Answer {
    let data = match client.copy_out(statement).await {
        Err(error) => return Answer::from_error(&error),
        Ok(data) => data,
    };
    match data.try_collect::<Vec<_>>().await {
        Err(error) => Answer::from_error(&error),
        Ok(rows) => Answer::Rows(
            rows.iter()
                .map(|row| vec![Some(String::from_utf8_lossy(row).into_owned())])
                .collect(),
        ),
    }
}

/// The binary format for every column; values as text where they are UTF-8.
async fn extended(client: &Client, statement: &str) -> Answer {
    struct Raw(Option<String>);
    impl<'a> tokio_postgres::types::FromSql<'a> for Raw {
        fn from_sql(
            _: &tokio_postgres::types::Type,
            raw: &'a [u8],
        ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
            Ok(Self(Some(String::from_utf8_lossy(raw).into_owned())))
        }
        fn from_sql_null(
            _: &tokio_postgres::types::Type,
        ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
            Ok(Self(None))
        }
        fn accepts(_: &tokio_postgres::types::Type) -> bool {
            true
        }
    }
    let prepared = match client.prepare(statement).await {
        Err(error) => return Answer::from_error(&error),
        Ok(prepared) => prepared,
    };
    match client.query(&prepared, &[]).await {
        Err(error) => Answer::from_error(&error),
        Ok(rows) => Answer::Rows(
            rows.iter()
                .map(|row| {
                    (0..row.len())
                        .map(|index| row.get::<_, Raw>(index).0)
                        .collect()
                })
                .collect(),
        ),
    }
}

fn is_masked_value(value: Option<&String>) -> bool {
    value.is_none_or(|value| value.contains("***") || value.contains("[redacted]"))
}

/// Refused by policy, or because analysis can't bound it.
fn is_refusal(state: &SqlState) -> bool {
    *state == SqlState::INSUFFICIENT_PRIVILEGE || *state == SqlState::FEATURE_NOT_SUPPORTED
}

/// What is wrong with the answer, if anything.
fn complaint(case: &Case, answer: &Answer, in_text: bool) -> Option<String> {
    let met = match (case.expect.as_str(), answer) {
        (_, Answer::Broken(_)) => false,
        ("allow", Answer::Rows(_)) | ("safe", _) | ("refuse", Answer::Error(..)) => true,
        ("mask", Answer::Rows(rows)) => rows
            .iter()
            .any(|row| row.iter().any(|value| is_masked_value(value.as_ref()))),
        ("deny", Answer::Error(state, _)) => is_refusal(state),
        ("oracle", Answer::Error(state, _)) => is_refusal(state),
        ("oracle", Answer::Rows(rows)) => rows
            .iter()
            .flatten()
            .all(|value| is_masked_value(value.as_ref())),
        ("allow" | "mask" | "deny" | "refuse", _) => false,
        (state, Answer::Error(found, _)) => found.code() == state,
        (_, Answer::Rows(_)) => false,
    };
    if !met {
        return Some(format!("expected {}, got {}", case.expect, answer.told()));
    }
    // The binary form of a number is no text to compare.
    let first = match answer {
        Answer::Rows(rows) if in_text => rows.first(),
        _ => None,
    };
    let values = |row: &Vec<Option<String>>| {
        row.iter()
            .map(|value| value.clone().unwrap_or_default())
            .collect::<Vec<_>>()
    };
    if let (Some(expected), Some(row)) = (&case.row, first)
        && *expected != values(row)
    {
        return Some(format!("expected the row {expected:?}, got {row:?}"));
    }
    if let (Some(ends), Some(row)) = (&case.row_ends, first)
        && !(ends.len() == row.len()
            && values(row)
                .iter()
                .zip(ends)
                .all(|(value, end)| value.ends_with(end)))
    {
        return Some(format!(
            "expected a row that ends with {ends:?}, got {row:?}"
        ));
    }
    None
}

async fn run_file(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    let cases = toml::from_str::<File>(&fs::read_to_string(path).unwrap())
        .unwrap()
        .case;
    assert!(cases.len() > 5, "{name} has hardly any case");
    let house = House::new();
    let mut people: BTreeMap<Person, Connected> = BTreeMap::new();
    for person in Person::ALL {
        people.insert(person, house.connect(person).await);
    }

    let mut complaints = Vec::new();
    let mut refused = Vec::new();
    for case in &cases {
        let person = Person::from_name(&case.person);
        for in_text in [true, false] {
            if !in_text && case.protocol.as_deref() == Some("simple") {
                continue;
            }
            if people[&person].client.is_closed() {
                people.insert(person, house.connect(person).await);
            }
            let connected = &people[&person];
            let start = connected.received.len();
            let answer = if case.statement.contains(" TO STDOUT") {
                copied(&connected.client, &case.statement).await
            } else if in_text {
                simple(&connected.client, &case.statement).await
            } else {
                extended(&connected.client, &case.statement).await
            };
            let mut found: Vec<String> = complaint(case, &answer, in_text).into_iter().collect();
            // The client's own words come back in an error of its own making: those are no leak.
            let received = connected.received.bytes();
            let leaked = canary::found_in(&received[start..]);
            if person.is_masked() && !leaked.is_empty() {
                found.push(format!(
                    "raw values arrived: {leaked:?} in {}",
                    answer.told()
                ));
            }
            // `safe` may also run and have its result withheld.
            if matches!(case.expect.as_str(), "deny" | "refuse")
                && matches!(&answer, Answer::Error(state, _) if is_refusal(state))
            {
                refused.push(case.clone());
            }
            // Whatever it was, the session lives and is where PostgreSQL would leave it.
            if let Err(error) = connected.client.simple_query("ROLLBACK").await {
                found.push(format!("the session died: {error:?}"));
            }
            let protocol = if in_text { "simple" } else { "extended" };
            complaints.extend(found.iter().map(|found| {
                format!(
                    "{protocol} as {}: {}\n    ({}) {found}",
                    case.person, case.statement, case.why
                )
            }));
        }
    }

    let log = house.server_log();
    for case in refused {
        let also_allowed = cases
            .iter()
            .any(|other| other.statement == case.statement && other.expect == "allow");
        if !also_allowed && log.contains(&format!(": {}\n", case.statement)) {
            complaints.push(format!("refused, yet the server saw: {}", case.statement));
        }
    }
    assert!(
        complaints.is_empty(),
        "{name}: {} of {} cases:\n  {}",
        complaints.len(),
        cases.len(),
        complaints.join("\n  ")
    );
}

macro_rules! corpus_files {
    ($($name:ident = $file:literal;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                run_file($file).await;
            }
        )*

        #[test]
        fn every_file_is_run() {
            let known = [$($file),*];
            for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(!name.ends_with(".toml") || known.contains(&name.as_str()), "{name} is run by no test");
            }
        }
    };
}

corpus_files! {
    stacked = "01-stacked.toml";
    spelling = "02-spelling.toml";
    differentials = "03-differentials.toml";
    functions = "04-functions.toml";
    smuggling = "05-smuggling.toml";
    masked = "06-masked.toml";
    inference = "07-inference.toml";
    copies = "08-copies.toml";
    server_text = "09-server-text.toml";
    session_state = "10-session-state.toml";
    coverage = "12-coverage.toml";
}

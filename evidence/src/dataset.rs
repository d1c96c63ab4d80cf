//! The datasets: which columns each has, in which order, and of which type. Rows become columns here and nowhere else.
//! Must never change without a new [`SCHEMA_VERSION`]: leaf hashes are computed over these columns in this order. A new
//! version only appends columns that may be null, and objects of earlier versions stay verifiable.

use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::Error;

/// The version of every dataset's columns and of the canonical form, as rows are written now.
pub const SCHEMA_VERSION: i64 = 5;
/// The oldest version that is read.
pub(crate) const SCHEMA_VERSION_MIN: i64 = 1;

/// A table of the evidence.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// A statement, decided and ended.
    Statements,
    /// A masked output column of a statement.
    Maskings,
    /// A session opened or closed, or a login refused.
    Sessions,
    /// The gateway itself changed.
    Changes,
    /// What became of a held statement: its request, a vote, its end.
    Approvals,
    /// What was recorded of statements beyond their rows: results, and what they were asked with.
    Recordings,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// UTF-8 text.
    Text,
    /// A list of UTF-8 texts, none of them null.
    Texts,
    /// A signed 64-bit integer; counts beyond it are clamped (Spark and others have no unsigned).
    Integer,
    /// True or false.
    Boolean,
    /// Microseconds since 1970, UTC.
    Time,
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Texts(Vec<String>),
    Integer(i64),
    Boolean(bool),
    Time(i64),
}

impl Cell {
    pub(crate) fn count(value: u64) -> Cell {
        Cell::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }

    pub(crate) fn text(value: &str) -> Cell {
        Cell::Text(value.to_owned())
    }

    pub(crate) fn optional(value: Option<&str>) -> Cell {
        value.map_or(Cell::Null, Cell::text)
    }

    pub(crate) fn texts(values: &[String]) -> Cell {
        Cell::Texts(values.to_vec())
    }
}

/// `?` after a name: may be null.
type Column = (&'static str, Kind);

const COMMON: &[Column] = &[
    ("gateway", Kind::Text),
    ("log_index", Kind::Integer),
    ("schema_version", Kind::Integer),
];

const STATEMENTS: &[Column] = &[
    ("statement_id", Kind::Text),
    ("session_id?", Kind::Text),
    ("seq?", Kind::Integer),
    ("phase?", Kind::Text),
    ("decided_at?", Kind::Time),
    ("principal?", Kind::Text),
    ("on_behalf_of?", Kind::Text),
    ("target?", Kind::Text),
    ("sql?", Kind::Text),
    ("sql_digest?", Kind::Text),
    ("fingerprint?", Kind::Text),
    ("kind?", Kind::Text),
    ("relations?", Kind::Texts),
    ("columns?", Kind::Texts),
    ("verdict?", Kind::Text),
    ("rules?", Kind::Texts),
    ("reason?", Kind::Text),
    ("controls?", Kind::Texts),
    ("bundle_digest?", Kind::Text),
    ("facts_digest?", Kind::Text),
    ("parameters_digest?", Kind::Text),
    ("ended_at?", Kind::Time),
    ("outcome", Kind::Text),
    ("rows?", Kind::Integer),
    ("bytes?", Kind::Integer),
    ("duration_us?", Kind::Integer),
    ("sqlstate?", Kind::Text),
    ("ends_log_index?", Kind::Integer),
];

/// Appended by version 2.
const STATEMENTS_2: &[Column] = &[
    ("observed_verdict?", Kind::Text),
    ("observed_rules?", Kind::Texts),
    ("probes?", Kind::Texts),
    ("result_digest?", Kind::Text),
];

/// Appended by version 4.
const STATEMENTS_4: &[Column] = &[("approval_id?", Kind::Text)];

const MASKINGS: &[Column] = &[
    ("statement_log_index", Kind::Integer),
    ("statement_id", Kind::Text),
    ("session_id", Kind::Text),
    ("decided_at", Kind::Time),
    ("principal", Kind::Text),
    ("target", Kind::Text),
    ("output_index", Kind::Integer),
    ("output_column", Kind::Text),
    ("source_columns", Kind::Texts),
    ("class", Kind::Text),
    ("transform", Kind::Text),
    ("values_masked?", Kind::Integer),
    ("rule", Kind::Text),
    ("controls", Kind::Texts),
];

/// Appended by version 2.
const MASKINGS_2: &[Column] = &[("key_id?", Kind::Text)];

const SESSIONS: &[Column] = &[
    ("at", Kind::Time),
    ("event", Kind::Text),
    ("session_id", Kind::Text),
    ("principal?", Kind::Text),
    ("principal_kind?", Kind::Text),
    ("on_behalf_of?", Kind::Text),
    ("groups", Kind::Texts),
    ("issuer?", Kind::Text),
    ("client_addr?", Kind::Text),
    ("application?", Kind::Text),
    ("tls", Kind::Boolean),
    ("target?", Kind::Text),
    ("database?", Kind::Text),
    ("authentication?", Kind::Text),
    ("reason?", Kind::Text),
    ("sqlstate?", Kind::Text),
];

/// Appended by version 3.
const SESSIONS_3: &[Column] = &[("role?", Kind::Text)];

const CHANGES: &[Column] = &[
    ("at", Kind::Time),
    ("actor", Kind::Text),
    ("what", Kind::Text),
    ("before?", Kind::Text),
    ("after?", Kind::Text),
    ("digest?", Kind::Text),
];

/// Since version 4.
const APPROVALS: &[Column] = &[
    ("at", Kind::Time),
    ("event", Kind::Text),
    ("approval_id", Kind::Text),
    ("actor", Kind::Text),
    ("actor_groups", Kind::Texts),
    ("reason?", Kind::Text),
    ("requester", Kind::Text),
    ("on_behalf_of?", Kind::Text),
    ("target", Kind::Text),
    ("session_id", Kind::Text),
    ("statement_id?", Kind::Text),
    ("sql?", Kind::Text),
    ("sql_digest", Kind::Text),
    ("parameters_digest?", Kind::Text),
    ("binding_digest", Kind::Text),
    ("bundle_digest", Kind::Text),
    ("rules", Kind::Texts),
    ("controls", Kind::Texts),
    ("needs", Kind::Texts),
    ("requested_at", Kind::Time),
    ("expires_at", Kind::Time),
];

/// Since version 5.
const RECORDINGS: &[Column] = &[
    ("at", Kind::Time),
    ("event", Kind::Text),
    ("statement_id", Kind::Text),
    ("session_id", Kind::Text),
    ("result?", Kind::Text),
    ("result_sha256?", Kind::Text),
    ("part?", Kind::Integer),
    ("parts?", Kind::Integer),
    ("rows?", Kind::Integer),
    ("bytes?", Kind::Integer),
    ("result_digest?", Kind::Text),
    ("is_whole?", Kind::Boolean),
    ("input?", Kind::Text),
    ("input_key_id?", Kind::Text),
    ("catalog_digest?", Kind::Text),
    ("not_replayable?", Kind::Text),
];

impl Dataset {
    /// Every dataset, in the order in which a seal numbers their rows.
    pub const ALL: [Dataset; 6] = [
        Dataset::Statements,
        Dataset::Maskings,
        Dataset::Sessions,
        Dataset::Changes,
        Dataset::Approvals,
        Dataset::Recordings,
    ];

    /// Its name: the table's, the key prefix's.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::Statements => "statements",
            Dataset::Maskings => "maskings",
            Dataset::Sessions => "sessions",
            Dataset::Changes => "changes",
            Dataset::Approvals => "approvals",
            Dataset::Recordings => "recordings",
        }
    }

    fn columns(self, version: i64) -> impl Iterator<Item = &'static Column> {
        let (own, appended): (&[Column], &[(i64, &[Column])]) = match self {
            Dataset::Statements => (STATEMENTS, &[(2, STATEMENTS_2), (4, STATEMENTS_4)]),
            Dataset::Maskings => (MASKINGS, &[(2, MASKINGS_2)]),
            Dataset::Sessions => (SESSIONS, &[(3, SESSIONS_3)]),
            Dataset::Changes => (CHANGES, &[]),
            Dataset::Approvals => (APPROVALS, &[]),
            Dataset::Recordings => (RECORDINGS, &[]),
        };
        let appended = appended.iter().filter(move |(since, _)| version >= *since);
        let appended = appended.flat_map(|(_, columns)| columns.iter());
        COMMON.iter().chain(own).chain(appended)
    }

    /// Its columns as Arrow sees them.
    pub fn schema(self) -> SchemaRef {
        self.schema_of(SCHEMA_VERSION)
    }

    /// Its columns in one version.
    pub(crate) fn schema_of(self, version: i64) -> SchemaRef {
        let fields = self.columns(version).map(|(name, kind)| {
            let plain = name.trim_end_matches('?');
            Field::new(plain, kind.data_type(), plain.len() < name.len())
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Turns rows into columns. A row has one cell for each column, the common ones first.
    pub(crate) fn batch(self, rows: &[Vec<Cell>]) -> Result<RecordBatch, Error> {
        let columns = self
            .columns(SCHEMA_VERSION)
            .enumerate()
            .map(|(position, (_, kind))| kind.array(rows, position))
            .collect();
        self.batch_of(columns)
    }

    /// Puts columns together, which may be dictionaries of what the schema says.
    pub(crate) fn batch_of(self, columns: Vec<ArrayRef>) -> Result<RecordBatch, Error> {
        let documented = self.schema();
        let fields = documented.fields().iter().zip(&columns);
        let fields: Vec<Field> = fields
            .map(|(field, column)| {
                let kind = column.data_type().clone();
                Field::new(field.name(), kind, field.is_nullable())
            })
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|source| {
            Error::Columns {
                dataset: self.name(),
                source,
            }
        })
    }
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Texts => DataType::List(Arc::new(item_field())),
            Kind::Integer => DataType::Int64,
            Kind::Boolean => DataType::Boolean,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// A cell of another kind becomes null; where the column allows none, building the batch then fails.
    fn array(self, rows: &[Vec<Cell>], position: usize) -> ArrayRef {
        let cells = rows
            .iter()
            .map(|row| row.get(position).unwrap_or(&Cell::Null));
        match self {
            Kind::Text => Arc::new(StringArray::from_iter(cells.map(|cell| match cell {
                Cell::Text(text) => Some(text),
                _ => None,
            }))),
            Kind::Texts => {
                let mut builder = ListBuilder::new(StringBuilder::new()).with_field(item_field());
                for cell in cells {
                    match cell {
                        Cell::Texts(texts) => {
                            texts
                                .iter()
                                .for_each(|text| builder.values().append_value(text));
                            builder.append(true);
                        }
                        _ => builder.append(false),
                    }
                }
                Arc::new(builder.finish())
            }
            Kind::Integer => Arc::new(Int64Array::from_iter(cells.map(|cell| match cell {
                Cell::Integer(number) => Some(*number),
                _ => None,
            }))),
            Kind::Boolean => Arc::new(BooleanArray::from_iter(cells.map(|cell| match cell {
                Cell::Boolean(value) => Some(*value),
                _ => None,
            }))),
            Kind::Time => {
                let times = cells.map(|cell| match cell {
                    Cell::Time(micros) => Some(*micros),
                    _ => None,
                });
                Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
            }
        }
    }
}

/// The list items' field; `element` is the name that the Parquet specification gives it.
pub(crate) fn item_field() -> Field {
    Field::new("element", DataType::Utf8, false)
}

#[cfg(test)]
mod tests {
    use super::{Dataset, SCHEMA_VERSION, SCHEMA_VERSION_MIN};

    #[test]
    fn a_version_only_appends_columns_that_may_be_null() {
        let mut added = Vec::new();
        for dataset in Dataset::ALL {
            for version in SCHEMA_VERSION_MIN..SCHEMA_VERSION {
                let (older, newer) = (dataset.schema_of(version), dataset.schema_of(version + 1));
                let (same, more) = newer.fields().split_at(older.fields().len());
                assert_eq!(
                    older.fields().iter().as_slice(),
                    same,
                    "{dataset:?} {version}"
                );
                for field in more {
                    assert!(field.is_nullable(), "{dataset:?} {}", field.name());
                    added.push(format!(
                        "{}.{} {}",
                        dataset.name(),
                        field.name(),
                        version + 1
                    ));
                }
            }
        }
        assert_eq!(
            added,
            [
                "statements.observed_verdict 2",
                "statements.observed_rules 2",
                "statements.probes 2",
                "statements.result_digest 2",
                "statements.approval_id 4",
                "maskings.key_id 2",
                "sessions.role 3",
            ]
        );
    }
}

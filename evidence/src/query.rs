//! SQL over the evidence: DataFusion over the objects that seals name. Read-only; must never see an object that no seal
//! names, write anything, or reach a file outside the store. It checks no signature: that is `verify`'s work.

mod objects;
mod proof;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStore;

use datafusion::common::config::Dialect;
use datafusion::common::{ParamValues, ScalarValue};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::compaction;
use crate::dataset::Dataset;
use crate::error::Error;
use crate::ledger::documents::{Manifest, Seal};
use crate::record::Micros;
use crate::retention;
use crate::store;
use crate::verify::Fault;
pub(crate) use objects::Object;
use objects::{Objects, as_views};

/// The URL under which DataFusion knows the store; nothing else is registered, so nothing else can be read.
const STORE_URL: &str = "evidence://store/";
/// What a query may hold in memory: sorting goes on in a temporary file, and what can't fails.
const MEMORY_BYTES_MAX: usize = 2 << 30;
/// Seals and manifests that are read at the same time when a store is opened.
const DOCUMENTS_AT_ONCE: usize = 32;
/// Manifests that are remembered, of some hundred bytes each; where there are more, all of them are read again.
const KNOWN_MAX: usize = 200_000;

/// The answer to a query: at least the schema, even when no row matches.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    Pretty,
    /// One JSON object a line.
    JsonLines,
    /// RFC 4180 with a header line; lists as JSON-like text.
    Csv,
}

/// What stands in a query's text as `$name`. It is never part of the text, so nothing in it can be SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A time.
    Time(Micros),
    /// A number.
    Number(i64),
}

impl Value {
    fn scalar(&self) -> ScalarValue {
        match self {
            Self::Text(text) => ScalarValue::Utf8View(Some(text.clone())),
            Self::Time(at) => ScalarValue::TimestampMicrosecond(Some(at.0), Some("UTC".into())),
            Self::Number(number) => ScalarValue::Int64(Some(*number)),
        }
    }
}

/// What the queries of one [`Tables`] may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Memory: sorting goes on in a temporary file, and what can't fails.
    pub memory_bytes_max: usize,
    /// Parts of a query that run at the same time; `None`: as many as there are processors.
    pub partitions: Option<usize>,
}

/// The evidence as SQL tables: `sessions`, `statements`, `maskings` and `changes`, as the seals name their objects at the moment of
/// opening. A table without rows is empty, not missing.
pub struct Tables {
    context: SessionContext,
    /// What is sealed, by table.
    sealed: BTreeMap<&'static str, Arc<Objects>>,
}

/// The rows of an answer, a batch at a time: for answers that may be larger than memory.
pub struct Stream {
    inner: SendableRecordBatchStream,
}

/// Runs one read-only query: [`Tables::open`] and [`Tables::ask`].
///
/// # Errors
/// Those of both.
pub async fn query(store: Arc<dyn ObjectStore>, sql: &str) -> Result<Answer, Error> {
    Tables::open(store).await?.ask(sql).await
}

impl Tables {
    /// Opens a store's evidence.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Ledger`] when a manifest can't be read.
    pub async fn open(store: Arc<dyn ObjectStore>) -> Result<Self, Error> {
        let share = Share {
            memory_bytes_max: MEMORY_BYTES_MAX,
            partitions: None,
        };
        open(store, share, &mut Known::default()).await
    }

    /// Opens a store's evidence with these rows beside what is sealed, by dataset. What is `known` of the store's ledgers is not read again.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Error::Query`] when the rows are not the dataset's.
    pub(crate) async fn open_with(
        store: Arc<dyn ObjectStore>,
        more: BTreeMap<Dataset, Vec<RecordBatch>>,
        share: Share,
        known: &mut Known,
    ) -> Result<Self, Error> {
        let tables = open(store, share, known).await?;
        for (dataset, batches) in more {
            let added = add(&tables.context, dataset, batches);
            added.await.map_err(failed)?;
        }
        Ok(tables)
    }

    /// Runs one read-only query, each `$name` of whose text stands for the value of that name.
    ///
    /// # Errors
    /// As [`Self::ask`]; also where a name has no value.
    pub async fn ask_with(&self, sql: &str, values: &[(&str, Value)]) -> Result<Answer, Error> {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.scalar()));
        let values = ParamValues::from(values.collect::<Vec<_>>());
        let frame = self.plan(sql).await?;
        let frame = frame.with_param_values(values).map_err(failed)?;
        answer(frame).await
    }

    /// Runs one read-only query.
    ///
    /// # Errors
    /// [`Error::Query`] when the query isn't valid, isn't read-only (DDL, DML, COPY, SET are refused) or fails.
    pub async fn ask(&self, sql: &str) -> Result<Answer, Error> {
        answer(self.plan(sql).await?).await
    }

    /// Runs one read-only query whose rows are taken as they come.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn stream(&self, sql: &str) -> Result<Stream, Error> {
        let frame = self.plan(sql).await?;
        let inner = frame.execute_stream().await.map_err(failed)?;
        Ok(Stream { inner })
    }

    async fn plan(&self, sql: &str) -> Result<DataFrame, Error> {
        self.prepare(sql).await.map_err(failed)?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let planned = self.context.sql_with_options(sql, read_only).await;
        planned.map_err(failed)
    }

    /// Reads what is to be known of the objects of the tables that a query names. What is wrong with a query, planning tells.
    async fn prepare(&self, sql: &str) -> Result<(), DataFusionError> {
        let state = self.context.state();
        let Ok(statement) = state.sql_to_statement(sql, &Dialect::Generic) else {
            return Ok(());
        };
        for table in state.resolve_table_references(&statement)? {
            if let Some(objects) = self.sealed.get(table.table()) {
                objects.prepare(&state).await?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tables")
    }
}

impl Stream {
    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Query`] when the query fails on its way.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        self.inner.next().await.transpose().map_err(failed)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Stream")
    }
}

impl Answer {
    /// Writes the answer as text, a line feed at the end.
    ///
    /// # Errors
    /// [`Error::Query`] when a value has no form in `format`.
    pub fn render(&self, format: Format) -> Result<String, Error> {
        let rendered = match format {
            Format::Pretty => self.pretty(),
            Format::JsonLines => self.json_lines(),
            Format::Csv => self.csv(),
        };
        rendered.map_err(|source| failed(DataFusionError::ArrowError(Box::new(source), None)))
    }

    fn pretty(&self) -> Result<String, arrow::error::ArrowError> {
        let empty = [RecordBatch::new_empty(Arc::clone(&self.schema))];
        let batches = if self.batches.is_empty() {
            &empty
        } else {
            self.batches.as_slice()
        };
        Ok(format!(
            "{}\n",
            arrow::util::pretty::pretty_format_batches(batches)?
        ))
    }

    fn json_lines(&self) -> Result<String, arrow::error::ArrowError> {
        let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
        self.batches
            .iter()
            .try_for_each(|batch| writer.write(batch))?;
        writer.finish()?;
        text(writer.into_inner())
    }

    fn csv(&self) -> Result<String, arrow::error::ArrowError> {
        let mut writer = arrow::csv::WriterBuilder::new()
            .with_header(true)
            .build(Vec::new());
        writer.write(&flatten_lists(&RecordBatch::new_empty(Arc::clone(
            &self.schema,
        )))?)?;
        for batch in &self.batches {
            writer.write(&flatten_lists(batch)?)?;
        }
        text(writer.into_inner())
    }
}

/// CSV has no lists: they become text, as the pretty table shows them.
fn flatten_lists(batch: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if !column.data_type().is_nested() {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
            continue;
        }
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(column, &options)?;
        let texts = (0..column.len())
            .map(|row| (!column.is_null(row)).then(|| formatter.value(row).to_string()));
        let texts: arrow::array::StringArray = texts.collect();
        fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
        columns.push(Arc::new(texts));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn text(bytes: Vec<u8>) -> Result<String, arrow::error::ArrowError> {
    String::from_utf8(bytes)
        .map_err(|error| arrow::error::ArrowError::ExternalError(Box::new(error)))
}

async fn answer(frame: DataFrame) -> Result<Answer, Error> {
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.map_err(failed)?;
    Ok(Answer { schema, batches })
}

/// Puts rows beside those that a table has.
async fn add(
    context: &SessionContext,
    dataset: Dataset,
    batches: Vec<RecordBatch>,
) -> Result<(), DataFusionError> {
    let schema = as_views(&dataset.schema());
    let batches: Result<Vec<_>, _> = batches.iter().map(|batch| cast(batch, &schema)).collect();
    let more = context.read_table(Arc::new(MemTable::try_new(schema, vec![batches?])?))?;
    let Some(sealed) = context.deregister_table(dataset.name())? else {
        return Ok(());
    };
    let both = context.read_table(sealed)?.union_by_name(more)?;
    context.register_table(dataset.name(), both.into_view())?;
    Ok(())
}

/// A batch in the types of a schema, which has the same columns.
fn cast(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, arrow::error::ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Result<Vec<_>, _> = columns
        .map(|(column, field)| arrow::compute::cast(column, field.data_type()))
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns?)
}

async fn open(
    store: Arc<dyn ObjectStore>,
    share: Share,
    known: &mut Known,
) -> Result<Tables, Error> {
    // Times in SQL text are read in UTC, as the evidence has them.
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .set_str("datafusion.execution.time_zone", "UTC");
    if let Some(partitions) = share.partitions {
        config = config.with_target_partitions(partitions);
    }
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(share.memory_bytes_max)))
        .build_arc()
        .map_err(failed)?;
    let context = SessionContext::new_with_config_rt(config, runtime);
    let objects = objects(&store, known).await?;
    let url = ObjectStoreUrl::parse(STORE_URL).map_err(failed)?;
    context.register_object_store(url.as_ref(), store);
    let mut sealed = BTreeMap::new();
    for dataset in Dataset::ALL {
        let objects = objects.get(&dataset).map(Vec::as_slice).unwrap_or_default();
        let table: Arc<dyn TableProvider> = match objects {
            [] => {
                let schema = as_views(&dataset.schema());
                Arc::new(MemTable::try_new(schema, vec![vec![]]).map_err(failed)?)
            }
            objects => {
                let objects = Arc::new(Objects::new(url.clone(), dataset, objects));
                sealed.insert(dataset.name(), Arc::clone(&objects));
                objects
            }
        };
        context
            .register_table(dataset.name(), table)
            .map_err(failed)?;
    }
    Ok(Tables { context, sealed })
}

/// The objects to read, by dataset: those that seals name, without what retention deleted, and what was compacted in place of its sources.
async fn objects(
    store: &Arc<dyn ObjectStore>,
    known: &mut Known,
) -> Result<BTreeMap<Dataset, Vec<Object>>, Error> {
    let manifests = known.manifests(store).await?;
    let manifests = retention::present(store.as_ref(), manifests).await?;
    compaction::in_place(store.as_ref(), &manifests).await
}

/// What seals name, in the ledgers' order; nothing of it is verified.
pub(crate) async fn manifests(store: &Arc<dyn ObjectStore>) -> Result<Vec<Manifest>, Error> {
    Known::default().manifests(store).await
}

/// What was read of a store's ledgers: manifests, by the key of the seal that names them. Neither is ever put again.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<String, Vec<Manifest>>);

impl Known {
    /// What seals name now, in the ledgers' order; what is known of it is not read.
    async fn manifests(&mut self, store: &Arc<dyn ObjectStore>) -> Result<Vec<Manifest>, Error> {
        let mut keys = store::list(store.as_ref(), "ledger").await?;
        keys.retain(|key| key.split('/').nth(2) == Some("seals"));
        let there: BTreeSet<&String> = keys.iter().collect();
        self.0.retain(|key, _| there.contains(key));
        let fresh = keys.iter().filter(|key| !self.0.contains_key(*key));
        let fresh: Vec<String> = fresh.cloned().collect();
        let seals: Vec<Seal> = documents(store, fresh.clone()).await?;
        let pinned = seals.iter().flat_map(|seal| &seal.manifests);
        let pinned = pinned.map(|pinned| pinned.key.clone()).collect();
        let mut read = documents(store, pinned).await?.into_iter();
        for (key, seal) in fresh.into_iter().zip(&seals) {
            let named = read.by_ref().take(seal.manifests.len()).collect();
            self.0.insert(key, named);
        }
        let named = keys.iter().filter_map(|key| self.0.get(key));
        let manifests: Vec<Manifest> = named.flatten().cloned().collect();
        if manifests.len() > KNOWN_MAX {
            self.0.clear();
        }
        Ok(manifests)
    }
}

/// Some at a time, in order.
async fn documents<T: serde::de::DeserializeOwned>(
    store: &Arc<dyn ObjectStore>,
    keys: Vec<String>,
) -> Result<Vec<T>, Error> {
    let store = Arc::clone(store);
    let reading = keys.into_iter().map(move |key| {
        let store = Arc::clone(&store);
        async move { document(store.as_ref(), &key).await }
    });
    let read = futures::stream::iter(reading).buffered(DOCUMENTS_AT_ONCE);
    read.try_collect().await
}

pub(crate) async fn document<T: serde::de::DeserializeOwned>(
    store: &dyn ObjectStore,
    key: &str,
) -> Result<T, Error> {
    let gateway = key.split('/').nth(1).unwrap_or_default().to_owned();
    let fault = |fault| Error::Ledger {
        gateway: gateway.clone(),
        fault: Box::new(fault),
    };
    let bytes = store::read(store, key)
        .await?
        .ok_or_else(|| fault(Fault::Missing))?;
    serde_json::from_slice(&bytes).map_err(|_| fault(Fault::Malformed))
}

fn failed(source: DataFusionError) -> Error {
    Error::Query {
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use expect_test::expect;

    #[tokio::test]
    async fn empty_tables_have_their_columns() {
        let folder = tempfile::tempdir().unwrap();
        for dataset in Dataset::ALL {
            let answer = query(
                store(folder.path()),
                &format!("SELECT * FROM {}", dataset.name()),
            )
            .await
            .unwrap();
            assert_eq!(
                answer.schema.fields().len(),
                dataset.schema().fields().len()
            );
            assert!(answer.render(Format::Pretty).unwrap().contains("log_index"));
            assert!(
                answer
                    .render(Format::Csv)
                    .unwrap()
                    .starts_with("gateway,log_index,")
            );
            assert_eq!(answer.render(Format::JsonLines).unwrap(), "");
        }
    }

    #[tokio::test]
    async fn answers_come_as_table_json_and_csv() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let sql = "SELECT statement_id, decided_at, relations, rows FROM statements WHERE seq < 3 ORDER BY seq";
        let answer = query(store(folder.path()), sql).await.unwrap();
        expect![[r#"
            +--------------+-----------------------------+------------------+------+
            | statement_id | decided_at                  | relations        | rows |
            +--------------+-----------------------------+------------------+------+
            | session-0    | 2026-11-20T00:00:00Z        | [shop.customers] | 0    |
            | session-1    | 2026-11-20T00:00:00.000001Z | [shop.customers] | 1    |
            | session-2    | 2026-11-20T00:00:00.000002Z | [shop.customers] | 2    |
            +--------------+-----------------------------+------------------+------+
        "#]]
        .assert_eq(&answer.render(Format::Pretty).unwrap());
        expect![[r#"
            {"statement_id":"session-0","decided_at":"2026-11-20T00:00:00Z","relations":["shop.customers"],"rows":0}
            {"statement_id":"session-1","decided_at":"2026-11-20T00:00:00.000001Z","relations":["shop.customers"],"rows":1}
            {"statement_id":"session-2","decided_at":"2026-11-20T00:00:00.000002Z","relations":["shop.customers"],"rows":2}
        "#]]
        .assert_eq(&answer.render(Format::JsonLines).unwrap());
        expect![[r#"
            statement_id,decided_at,relations,rows
            session-0,2026-11-20T00:00:00Z,[shop.customers],0
            session-1,2026-11-20T00:00:00.000001Z,[shop.customers],1
            session-2,2026-11-20T00:00:00.000002Z,[shop.customers],2
        "#]]
        .assert_eq(&answer.render(Format::Csv).unwrap());
    }

    #[tokio::test]
    async fn maskings_point_at_their_statement() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let sql = "SELECT count(*) AS maskings, count(s.log_index) AS joined, sum(values_masked) AS values \
                   FROM maskings m LEFT JOIN statements s \
                   ON m.statement_log_index = s.log_index AND m.statement_id = s.statement_id";
        let answer = query(store(folder.path()), sql).await.unwrap();
        expect![[r#"
            {"maskings":302,"joined":302,"values":2100}
        "#]]
        .assert_eq(&answer.render(Format::JsonLines).unwrap());
    }

    #[tokio::test]
    async fn whatever_writes_or_reaches_outside_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let outside = folder.path().join("outside");
        let copy = format!("COPY (SELECT 1) TO '{}.parquet'", outside.display());
        let external = format!(
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}'",
            folder.path().join("store").display()
        );
        for sql in [
            copy.as_str(),
            external.as_str(),
            "CREATE TABLE t AS SELECT 1",
            "CREATE VIEW v AS SELECT 1",
            "DROP TABLE statements",
            "INSERT INTO changes SELECT * FROM changes",
            "DELETE FROM changes",
            "UPDATE changes SET actor = 'x'",
            "SET datafusion.execution.batch_size = 1",
            "EXPLAIN ANALYZE INSERT INTO changes SELECT * FROM changes",
            "SELECT * FROM '/etc/passwd'",
            "SELECT 1; SELECT 2",
            "",
        ] {
            assert!(query(store(folder.path()), sql).await.is_err(), "{sql}");
        }
        assert!(!outside.with_extension("parquet").exists());
    }

    #[tokio::test]
    async fn an_object_that_no_seal_names_is_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let count = async || {
            let answer = query(store(folder.path()), "SELECT count(*) FROM changes")
                .await
                .unwrap();
            answer.render(Format::Csv).unwrap()
        };
        let before = count().await;
        let object = files(&folder.path().join("store/changes")).remove(0);
        std::fs::copy(&object, object.with_file_name("planted.parquet")).unwrap();
        assert_eq!(count().await, before);
    }
}

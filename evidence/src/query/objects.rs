//! A dataset's objects as a table. What planning asks of an object (its size, its columns, what its footer says of them) is asked of the store
//! once, not by every query. It must never list a store, nor read anything but the objects that it was given.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{Statistics, project_schema};
use datafusion::datasource::file_format::{FileFormat as _, parquet::ParquetFormat};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::OnceCell;

use crate::dataset::Dataset;
use crate::query::proof::{Passing, passing};

/// Footers that are read at the same time.
const FOOTERS_AT_ONCE: usize = 32;
/// Objects of a table whose footers' statistics are kept, some 10 KB for each; where there are more, every query asks for them again.
const STATISTICS_KEPT_MAX: usize = 2_000;
/// An object to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    /// Of its columns.
    pub(crate) schema_version: i64,
}

/// Objects of a dataset, of any versions.
#[derive(Debug)]
pub(super) struct Objects {
    store: ObjectStoreUrl,
    schema: SchemaRef,
    files: Vec<PartitionedFile>,
    known: OnceCell<Known>,
}

/// Files with what their footers say, and what that comes to.
#[derive(Debug, Clone)]
struct Known {
    files: Vec<PartitionedFile>,
    all: Statistics,
}

impl Objects {
    pub(super) fn new(store: ObjectStoreUrl, dataset: Dataset, objects: &[Object]) -> Self {
        let file = |object: &Object| {
            let schema = as_views(&dataset.schema_of(object.schema_version));
            PartitionedFile::new(object.key.as_str(), object.bytes).with_arrow_schema(schema)
        };
        Self {
            store,
            schema: as_views(&dataset.schema()),
            files: objects.iter().map(file).collect(),
            known: OnceCell::new(),
        }
    }

    /// Reads what the objects' footers say, so that queries which are planned from now on can rest on it.
    pub(super) async fn prepare(&self, state: &dyn Session) -> Result<()> {
        if self.files.len() <= STATISTICS_KEPT_MAX {
            self.known.get_or_try_init(|| self.read(state)).await?;
        }
        Ok(())
    }

    /// Whether the statistics of every object settle a filter. [`Self::scan`] leaves out the objects of which no row passes.
    fn is_settled(&self, filter: &Expr) -> bool {
        let Some(known) = self.known.get() else {
            return false;
        };
        let mut files = known.files.iter();
        files.all(|file| self.passing(filter, file) != Passing::Unknown)
    }

    fn passing(&self, filter: &Expr, file: &PartitionedFile) -> Passing {
        let statistics = file.statistics.as_deref();
        statistics.map_or(Passing::Unknown, |statistics| {
            passing(filter, &self.schema, statistics)
        })
    }

    /// The objects of which some row may pass all filters.
    async fn remaining(&self, state: &dyn Session, filters: &[Expr]) -> Result<Known> {
        let known = match self.known.get() {
            Some(known) => known.clone(),
            None => self.read(state).await?,
        };
        let may_pass = |file: &PartitionedFile| {
            let mut filters = filters.iter();
            filters.all(|filter| self.passing(filter, file) != Passing::No)
        };
        if known.files.iter().all(may_pass) {
            return Ok(known);
        }
        let files = known.files.into_iter().filter(|file| may_pass(file));
        self.together(files.collect())
    }

    fn together(&self, files: Vec<PartitionedFile>) -> Result<Known> {
        let each = files.iter().filter_map(|file| file.statistics.as_deref());
        let all = Statistics::try_merge_iter(each, &self.schema)?;
        Ok(Known { files, all })
    }

    async fn read(&self, state: &dyn Session) -> Result<Known> {
        let store = state.runtime_env().object_store(&self.store)?;
        let (format, store) = (ParquetFormat::default(), &store);
        let footers = self.files.clone().into_iter().map(|file| {
            let (format, schema) = (&format, Arc::clone(&self.schema));
            async move {
                let read = format.infer_stats(state, store, schema, &file.object_meta);
                let read = Arc::new(read.await?);
                Ok::<_, DataFusionError>(file.with_statistics(read))
            }
        });
        let footers = futures::stream::iter(footers).buffered(FOOTERS_AT_ONCE);
        self.together(footers.try_collect().await?)
    }
}

#[async_trait]
impl TableProvider for Objects {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // What isn't settled chooses among objects and row groups; rows are chosen by whoever reads.
        let pushed = |filter: &&Expr| match self.is_settled(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(pushed).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Known { files, all } = self.remaining(state, filters).await?;
        if files.is_empty() {
            let schema = project_schema(&self.schema, projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let format = ParquetFormat::default();
        let source = format.file_source(TableSchema::from(self.schema()));
        let config = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_statistics(all)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        format.create_physical_plan(state, config).await
    }
}

/// Columns as queries see them: texts as views, so that rows share the texts of an object's dictionaries, and none is copied for a row.
pub(super) fn as_views(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &FieldRef| match field.data_type() {
        DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(
        schema.fields().iter().map(field).collect::<Vec<_>>(),
    ))
}

#[cfg(test)]
mod tests {
    use crate::query::{Format, query};
    use crate::testing::{filled, store};

    /// What the statistics of objects settle is what their rows say: within an aggregate each row is asked, in a condition objects are.
    #[tokio::test]
    async fn conditions_are_answered_as_rows_are() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let columns: [(&str, &[&str]); 12] = [
            (
                "outcome",
                &["'open'", "'completed'", "'unknown'", "'a'", "'z'", "NULL"],
            ),
            ("verdict", &["'allow'", "'deny'"]),
            ("phase", &["'simple'", "'prepare'"]),
            ("kind", &["'select'", "'x'"]),
            ("facts_digest", &["''"]),
            ("result_digest", &["'b'"]),
            ("parameters_digest", &["'b'"]),
            ("gateway", &["'gateway-1'", "'gateway-2'"]),
            ("seq", &["-1", "0", "149", "150", "299", "903", "1e9"]),
            ("log_index", &["0", "150", "10000"]),
            ("ends_log_index", &["5"]),
            (
                "decided_at",
                &[
                    "TIMESTAMPTZ '1970-01-01 00:00:00+00'",
                    "TIMESTAMPTZ '2026-11-20 00:00:00+00'",
                    "TIMESTAMPTZ '2026-11-20 00:00:00.000150+00'",
                    "TIMESTAMPTZ '2200-01-01 00:00:00+00'",
                ],
            ),
        ];
        let mut conditions = Vec::new();
        for (column, values) in columns {
            conditions.extend(["IS NULL", "IS NOT NULL"].map(|test| format!("{column} {test}")));
            for operator in ["=", "<>", "<", "<=", ">", ">="] {
                let compared = values.iter();
                conditions.extend(compared.map(|value| format!("{column} {operator} {value}")));
                conditions.push(format!("{} {operator} {column}", values[0]));
            }
        }
        for pair in conditions.clone().chunks(7) {
            conditions.push(pair.join(" AND "));
        }
        let store = store(folder.path());
        let tables = crate::Tables::open(store).await.unwrap();
        for condition in conditions {
            let sql = format!(
                "SELECT asked.n = told.n AS same FROM (SELECT count(*) AS n FROM statements WHERE {condition}) AS asked, \
                 (SELECT count(*) FILTER (WHERE {condition}) AS n FROM statements) AS told"
            );
            let answer = tables.ask(&sql).await.unwrap();
            let answer = answer.render(Format::JsonLines).unwrap();
            assert_eq!(answer, "{\"same\":true}\n", "{condition}");
        }
    }

    /// How a query is run: whether conditions are left to rows, and which columns are read.
    async fn plan(sql: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let answer = query(store(folder.path()), &format!("EXPLAIN {sql}")).await;
        answer.unwrap().render(Format::Csv).unwrap()
    }

    #[tokio::test]
    async fn what_is_settled_needs_no_row() {
        // One object has statements on both sides of it.
        let left_open = plan("SELECT sum(rows) FROM statements WHERE seq > 150").await;
        assert!(left_open.contains("FilterExec"), "{left_open}");
        let settled =
            "SELECT sum(rows) FROM statements WHERE gateway = 'gateway-1' AND log_index >= 0";
        let plan_of = plan(settled).await;
        assert!(!plan_of.contains("FilterExec"), "{plan_of}");
        assert!(plan_of.contains("projection=[rows]"), "{plan_of}");
        let nothing = plan("SELECT sum(rows) FROM statements WHERE gateway = 'gateway-2'").await;
        assert!(nothing.contains("EmptyExec"), "{nothing}");
    }
}

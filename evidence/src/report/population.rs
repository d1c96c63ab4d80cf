//! The population statement: what the period holds, by gateway, and up to which checkpoint. It must never leave a gap unsaid.

use object_store::ObjectStore;

use crate::error::Error;
use crate::ledger::checkpoint;
use crate::query::Tables;
use crate::report::queries::{POPULATION, Period};
use crate::report::table::Table;
use crate::store;

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population {
    /// One row a gateway.
    pub table: Table,
    /// What was run.
    pub sql: String,
    /// Each gateway's newest checkpoint, as it is in the store: its signature was not checked here.
    pub checkpoints: Vec<(String, String)>,
}

impl Population {
    /// States it.
    ///
    /// # Errors
    /// What [`Tables`] says; [`Error::Store`].
    pub async fn state(
        store: &dyn ObjectStore,
        tables: &Tables,
        period: Period,
    ) -> Result<Self, Error> {
        let sql = POPULATION.within(period);
        let table = Table::of(&tables.ask(&sql).await?)?;
        let mut checkpoints = Vec::new();
        for row in 0..table.rows.len() {
            let gateway = table.cell(row, "gateway").unwrap_or_default();
            let bytes = store::read(store, &checkpoint::latest_key(gateway)).await?;
            let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            checkpoints.push((gateway.to_owned(), text.unwrap_or_default()));
        }
        Ok(Self {
            table,
            sql,
            checkpoints,
        })
    }

    /// Statements, of all gateways.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.table.sum("statement_count")
    }

    /// Rows of the store that are missing, of all gateways.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.table.sum("missing_rows")
    }

    /// The time of the newest statement: what a report calls its own time, so that it is the same whenever it is made.
    #[must_use]
    pub fn newest(&self) -> Option<&str> {
        (0..self.table.rows.len())
            .filter_map(|row| self.table.cell(row, "last_at"))
            .max()
    }
}

//! Samples: rows drawn by a seed, the same each time, each with a proof that it is in the signed tree. It must never hold more rows
//! than the sample has.
//!
//! A row's place is the SHA-256 of a text that names seed, gateway and log_index; the sample are the rows with the least places, in order
//! of their places. Whoever has the rows can draw it again, and nobody can choose rows without choosing the seed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use jiff::Timestamp;
use object_store::ObjectStore;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::prove::Prover;
use crate::query::Tables;
use crate::report::files::Folder;
use crate::report::population::Population;
use crate::report::queries::{FRAME, POPULATION, Period};
use crate::report::table::Csv;

/// The columns of `sample.csv`.
const HEADINGS: [&str; 12] = [
    "number",
    "gateway",
    "log_index",
    "statement_id",
    "decided_at",
    "principal",
    "on_behalf_of",
    "kind",
    "verdict",
    "outcome",
    "sql",
    "proof",
];
/// Rows of a sample at most.
pub const SIZE_MAX: usize = 10_000;

/// Which rows are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// From when to when.
    pub period: Period,
    /// What the places follow from.
    pub seed: u64,
    /// How many rows, at most [`SIZE_MAX`].
    pub size: usize,
}

/// A row that was drawn.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    place: [u8; 32],
    /// Its gateway.
    pub gateway: String,
    /// Its leaf's number.
    pub log_index: u64,
}

/// What was drawn, and from how many rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// In order of their places.
    pub items: Vec<Item>,
    /// Rows that could have been drawn.
    pub population: u64,
}

/// Draws a sample of the statements.
///
/// # Errors
/// What [`Tables`] says.
pub async fn draw(tables: &Tables, draw: Draw) -> Result<Sample, Error> {
    let mut rows = tables.stream(&FRAME.within(draw.period)).await?;
    let size = draw.size.min(SIZE_MAX);
    let (mut least, mut population) = (BTreeSet::new(), 0_u64);
    while let Some(batch) = rows.next().await? {
        population = population.saturating_add(batch.num_rows() as u64);
        for (gateway, log_index) in keys(&batch)? {
            let place = place(draw.seed, &gateway, log_index);
            let is_among = |last: &Item| place < last.place;
            if least.len() >= size && !least.last().is_some_and(is_among) {
                continue;
            }
            least.insert(Item {
                place,
                gateway,
                log_index,
            });
            if least.len() > size {
                least.pop_last();
            }
        }
    }
    Ok(Sample {
        items: least.into_iter().collect(),
        population,
    })
}

fn place(seed: u64, gateway: &str, log_index: u64) -> [u8; 32] {
    let text = format!("provost sample v1\n{seed}\n{gateway}\n{log_index}\n");
    Sha256::digest(text).into()
}

fn keys(batch: &RecordBatch) -> Result<Vec<(String, u64)>, Error> {
    let unexpected = || Error::Answer { query: FRAME.name };
    let column = |name: &str| batch.column_by_name(name).ok_or_else(unexpected);
    let gateways = cast(column("gateway")?, &DataType::Utf8).map_err(|_| unexpected())?;
    let gateways = gateways.as_string_opt::<i32>().ok_or_else(unexpected)?;
    let indexes = column("log_index")?
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(unexpected)?;
    let rows = gateways.iter().zip(indexes.values());
    rows.map(|(gateway, index)| {
        let index = u64::try_from(*index).map_err(|_| unexpected())?;
        Ok((gateway.unwrap_or_default().to_owned(), index))
    })
    .collect()
}

/// Draws a sample and writes it into a new folder: `sample.csv`, `population.csv`, the queries, and `proofs/N.tlog-proof` for each row.
///
/// # Errors
/// [`Error::NotEmpty`], [`Error::File`]; what [`Tables`] and [`Prover`] say.
pub async fn write(
    store: Arc<dyn ObjectStore>,
    asked: Draw,
    folder: &Path,
) -> Result<Sample, Error> {
    let folder = Folder::create(folder)?;
    let tables = Tables::open(Arc::clone(&store)).await?;
    let population = Population::state(store.as_ref(), &tables, asked.period).await?;
    let sample = draw(&tables, asked).await?;
    let prover = Prover::open(Arc::clone(&store)).await?;
    let mut lines = Csv::new();
    lines.line(HEADINGS)?;
    for (number, item) in (1_usize..).zip(&sample.items) {
        let name = format!("proofs/{number}.tlog-proof");
        let proof = prover.prove(&item.gateway, item.log_index).await?;
        folder.write(&name, &proof.to_text())?;
        // What the sample shows of a row is what was proved.
        let row = proof.row()?;
        let number = number.to_string();
        let cells = HEADINGS.map(|heading| match heading {
            "number" => number.clone(),
            "proof" => name.clone(),
            heading => cell(heading, row.get(heading)),
        });
        lines.line(cells.iter().map(String::as_str))?;
    }
    folder.write("sample.csv", &lines.finish()?)?;
    folder.write("population.csv", &population.table.csv()?)?;
    folder.write("sql/population.sql", &POPULATION.within(asked.period))?;
    folder.write("sql/frame.sql", &FRAME.within(asked.period))?;
    Ok(sample)
}

/// A value of a record; times are told as in the other tables, and NULL is empty.
fn cell(name: &str, value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if name.ends_with("_at") => {
            let time = number
                .as_i64()
                .and_then(|micros| Timestamp::from_microsecond(micros).ok());
            time.map_or_else(|| number.to_string(), |time| time.to_string())
        }
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

//! Reports for auditors: a control matrix and the tables behind it, each number with the SQL that made it, as HTML, CSV, OSCAL and OCSF.
//! The same store and the same request give the same bytes. It must never say that a control is satisfied, and must never render a
//! value as markup.
//!
//! | module | what it holds |
//! |---|---|
//! | [`queries`] | the SQL files, and how a period is put into them |
//! | [`matrix`] | controls with what bears on them |
//! | [`table`] | an answer as texts |
//! | [`population`] | what there is, and up to which checkpoint |
//! | [`sample`] | rows drawn by a seed, each with its proof |
//! | `html`, `chart` | what a person reads |
//! | `oscal`, `ocsf` | what programs read |
//! | `files` | the folder that all of it is written to |

mod chart;
mod files;
mod html;
mod identifier;
pub mod matrix;
mod ocsf;
mod oscal;
pub mod population;
pub mod queries;
pub mod sample;
pub mod table;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;

use crate::error::Error;
use crate::query::Tables;
use files::Folder;
use matrix::{Catalogue, Matrix};
use population::Population;
use queries::{Period, Query, TABLES};
use table::Table;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The frameworks, in the order of the report.
    pub catalogues: Vec<Catalogue>,
    /// The period.
    pub period: Period,
}

/// A table of the report and the query that made it.
#[derive(Debug, Clone)]
struct Section {
    query: &'static Query,
    sql: String,
    table: Table,
}

/// Everything that a report says.
#[derive(Debug)]
struct Content<'a> {
    request: &'a Request,
    matrix: Matrix,
    population: Population,
    sections: Vec<Section>,
}

impl Content<'_> {
    fn section(&self, name: &str) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.query.name == name)
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Names of the files in the folder, in order.
    pub files: Vec<String>,
    /// Controls with a query that found evidence.
    pub with_evidence: usize,
    /// Controls with a query that found nothing.
    pub without_evidence: usize,
    /// Statements in the period.
    pub statements: u64,
}

/// Writes a report into a folder, which must be empty or missing.
///
/// # Errors
/// [`Error::NotEmpty`], [`Error::File`]; [`Error::Measure`] when a catalogue names a measure that there is not; what [`Tables`] says.
pub async fn write(
    store: Arc<dyn ObjectStore>,
    request: &Request,
    folder: &Path,
) -> Result<Written, Error> {
    let folder = Folder::create(folder)?;
    let tables = Tables::open(Arc::clone(&store)).await?;
    let content = Content {
        request,
        matrix: Matrix::build(&tables, &request.catalogues, request.period).await?,
        population: Population::state(store.as_ref(), &tables, request.period).await?,
        sections: sections(&tables, request.period).await?,
    };
    let files = files::write_all(&folder, &tables, &content).await?;
    let [with_evidence, without_evidence] = content.matrix.counts();
    Ok(Written {
        files,
        with_evidence,
        without_evidence,
        statements: content.population.statements(),
    })
}

async fn sections(tables: &Tables, period: Period) -> Result<Vec<Section>, Error> {
    let mut sections = Vec::new();
    for query in TABLES {
        let sql = query.within(period);
        let table = Table::of(&tables.ask(&sql).await?)?;
        sections.push(Section { query, sql, table });
    }
    Ok(sections)
}

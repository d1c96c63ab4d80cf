//! An answer as texts: what HTML and CSV show. It must never change a value, nor render it as markup.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;

use crate::error::Error;
use crate::query::Answer;

/// Rows of texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Heading>,
    /// The rows; a cell is `None` where the answer has NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// Its name in SQL.
    pub name: String,
    /// Whether it holds numbers.
    pub is_number: bool,
}

impl Table {
    /// An answer's table.
    ///
    /// # Errors
    /// [`Error::Query`] when a value can't be shown.
    pub fn of(answer: &Answer) -> Result<Self, Error> {
        let heading = |field: &std::sync::Arc<datafusion::arrow::datatypes::Field>| Heading {
            name: field.name().clone(),
            is_number: field.data_type().is_numeric(),
        };
        let mut rows = Vec::new();
        for batch in &answer.batches {
            let columns: Result<Vec<_>, _> = batch.columns().iter().map(texts).collect();
            let columns = columns.map_err(shown)?;
            for row in 0..batch.num_rows() {
                let cells = columns
                    .iter()
                    .map(|column| column.get(row).cloned().flatten());
                rows.push(cells.collect());
            }
        }
        Ok(Self {
            columns: answer.schema.fields().iter().map(heading).collect(),
            rows,
        })
    }

    /// The cell of a row under a column's name.
    #[must_use]
    pub fn cell(&self, row: usize, column: &str) -> Option<&str> {
        let place = self.columns.iter().position(|found| found.name == column)?;
        self.rows.get(row)?.get(place)?.as_deref()
    }

    /// The number of a row under a column's name; 0 where there is none.
    #[must_use]
    pub fn number(&self, row: usize, column: &str) -> u64 {
        self.cell(row, column)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    /// The sum of a column of numbers.
    #[must_use]
    pub fn sum(&self, column: &str) -> u64 {
        let numbers = (0..self.rows.len()).map(|row| self.number(row, column));
        numbers.fold(0, u64::saturating_add)
    }

    /// RFC 4180, with a header line; NULL is empty.
    ///
    /// # Errors
    /// [`Error::Csv`] when a row has another number of cells than there are columns.
    pub fn csv(&self) -> Result<String, Error> {
        let mut lines = Csv::new();
        lines.line(self.columns.iter().map(|column| column.name.as_str()))?;
        for row in &self.rows {
            lines.line(row.iter().map(|cell| cell.as_deref().unwrap_or_default()))?;
        }
        lines.finish()
    }
}

/// Lines of CSV, each as long as the first.
///
/// # Source
/// RFC 4180, section 2.
pub(super) struct Csv {
    writer: csv::Writer<Vec<u8>>,
}

impl Csv {
    pub(super) fn new() -> Self {
        let writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        Self { writer }
    }

    pub(super) fn line<'a>(
        &mut self,
        cells: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let written = self.writer.write_record(cells);
        written.map_err(|source| Error::Csv { source })
    }

    pub(super) fn finish(self) -> Result<String, Error> {
        let bytes = self.writer.into_inner();
        let bytes = bytes.map_err(|error| Error::Csv {
            source: csv::Error::from(error.into_error()),
        })?;
        // Texts and commas give text.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn texts(column: &ArrayRef) -> Result<Vec<Option<String>>, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let is_null = |row| column.is_null(row) || *column.data_type() == DataType::Null;
    let cell = |row| match is_null(row) {
        true => Ok(None),
        false => formatter.value(row).try_to_string().map(Some),
    };
    (0..column.len()).map(cell).collect()
}

fn shown(source: ArrowError) -> Error {
    Error::Query {
        source: Box::new(DataFusionError::ArrowError(Box::new(source), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_csv_must_quote_is_quoted() {
        let check = |cells: &[&str], expected: &str| {
            let mut lines = Csv::new();
            lines.line(cells.iter().copied()).unwrap();
            assert_eq!(lines.finish().unwrap(), format!("{expected}\r\n"));
        };
        check(&["a", "b"], "a,b");
        check(&["", "b"], ",b");
        check(
            &["a,b", "c\"d", "e\nf", "g\rh"],
            "\"a,b\",\"c\"\"d\",\"e\nf\",\"g\rh\"",
        );
        check(&["=1+1", " x "], "=1+1, x ");
    }
}

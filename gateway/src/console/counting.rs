//! What evidence bears on controls, counted over a span.
//!
//! It must never say more of a control than the report does: that there is evidence.

use std::collections::HashMap;

use axum::http::StatusCode;
use provost_evidence::{
    Value,
    record::Micros,
    report::{
        matrix::{Catalogue, Matrix, Row},
        queries::Period,
        table::Table,
    },
};

use super::{
    Problem, Room,
    evidence::{self, COUNTED},
    role::Onlooker,
    span::Span,
};

/// Days that a trend shows at most: the last ones.
const DAYS_MAX: usize = 60;

/// A matrix, and how often each control was named by decisions each day.
pub(super) struct Counted {
    pub(super) matrix: Matrix,
    pub(super) days: HashMap<String, Vec<u64>>,
}

/// Counts what bears on every control.
pub(super) async fn count(
    room: &Room,
    onlooker: Onlooker<'_>,
    span: Span,
) -> Result<Counted, Problem> {
    let catalogues = room.sources.furnishing.catalogues.clone();
    let now = evidence::now();
    let from = Micros(span.before(now));
    let period = Period::new(from, Micros(now.saturating_add(1)));
    let period = period.ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the clock is beyond what evidence can tell",
        )
    })?;
    evidence::look(room, onlooker, move |sight| async move {
        let matrix = Matrix::build(&sight.tables, &catalogues, period).await?;
        let sql = format!(
            "SELECT control, day, count(*) AS count FROM (SELECT unnest(controls) AS control, date_trunc('day', decided_at) AS day FROM {COUNTED} \
             WHERE decided_at >= $from) AS named WHERE control IS NOT NULL GROUP BY control, day ORDER BY day, control"
        );
        let table = Table::of(&sight.tables.ask_with(&sql, &[("from", Value::Time(from))]).await?)?;
        Ok(Counted {
            matrix,
            days: by_day(&table),
        })
    })
    .await
}

/// Counts by control, one for each day that has any count.
fn by_day(table: &Table) -> HashMap<String, Vec<u64>> {
    let cell = |row: usize, name: &str| table.cell(row, name).unwrap_or_default();
    let mut days: Vec<&str> = (0..table.rows.len()).map(|row| cell(row, "day")).collect();
    days.dedup();
    let shown = days.len().saturating_sub(DAYS_MAX);
    let days = days.get(shown..).unwrap_or_default();
    let mut found: HashMap<String, Vec<u64>> = HashMap::new();
    for row in 0..table.rows.len() {
        let place = days.iter().position(|day| *day == cell(row, "day"));
        let counts = found
            .entry(cell(row, "control").to_owned())
            .or_insert_with(|| vec![0; days.len()]);
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count = table.number(row, "count");
        }
    }
    found
}

impl Counted {
    /// The control of this id, `framework:control`.
    ///
    /// # Errors
    /// 404 where there is none.
    pub(super) fn row(&self, catalogues: &[Catalogue], id: &str) -> Result<&Row, Problem> {
        let mut rows = self.matrix.rows.iter();
        let row = rows.find(|row| id_of(catalogues, row) == id);
        row.ok_or_else(unknown)
    }
}

pub(super) fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such control here")
}

fn id_of(catalogues: &[Catalogue], row: &Row) -> String {
    let framework = catalogues
        .get(row.catalogue)
        .map(|catalogue| catalogue.framework.as_str());
    format!("{}:{}", framework.unwrap_or_default(), row.control.id)
}

#[cfg(test)]
mod tests {
    use provost_evidence::report::table::Heading;

    use super::*;

    #[test]
    fn days_are_counted_in_their_places() {
        let column = |name: &str| Heading {
            name: name.to_owned(),
            is_number: name == "count",
        };
        let row = |control: &str, day: &str, count: &str| {
            [control, day, count]
                .map(|text| Some(text.to_owned()))
                .to_vec()
        };
        let table = Table {
            columns: ["control", "day", "count"].map(column).to_vec(),
            rows: vec![row("a", "1", "3"), row("b", "1", "1"), row("b", "2", "5")],
        };
        let days = by_day(&table);
        assert_eq!(days.get("a"), Some(&vec![3, 0]));
        assert_eq!(days.get("b"), Some(&vec![1, 5]));
    }
}

//! What evidence bears on controls: the report's own matrix, over a period; one control with the rows behind it; the matrix as CSV.
//!
//! It must never say more of a control than the report does: that there is evidence.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use maud::{Markup, html};
use provost_evidence::{
    Value,
    report::{
        matrix::{Catalogue, Matrix, Row, Standing},
        table::{Heading, Table},
    },
};
use url::form_urlencoded::Serializer;

use super::{
    decisions,
    entry::Entered,
    frame::{Freshness, fact, layout, period, shown},
    page,
    session::Session,
    troubled,
};
use crate::console::{
    Problem, Room,
    counting::{self, Counted, count},
    evidence::{self, COUNTED},
    role::Auditors,
    span::Span,
};

/// Decisions that the page of a control shows.
const ROWS: usize = 20;

/// All controls.
pub(super) async fn matrix(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Auditors>,
    RawQuery(query): RawQuery,
) -> Response {
    let counted = async {
        let span = Span::of(query.as_deref())?;
        Ok((span, count(&room, session.onlooker(), span).await?))
    };
    match counted.await {
        Ok((span, counted)) => page(StatusCode::OK, whole(&room, &session, span, &counted)),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

/// The same as CSV.
pub(super) async fn export(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Auditors>,
    RawQuery(query): RawQuery,
) -> Response {
    let written = async {
        let span = Span::of(query.as_deref())?;
        let counted = count(&room, session.onlooker(), span).await?;
        let table = as_table(&room.sources.furnishing.catalogues, &counted.matrix);
        table.csv().map_err(|_| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the table can't be written",
            )
        })
    };
    match written.await {
        Ok(text) => {
            let headers = [
                (
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("text/csv; charset=utf-8"),
                ),
                (
                    header::CONTENT_DISPOSITION,
                    HeaderValue::from_static("attachment; filename=\"controls.csv\""),
                ),
            ];
            (headers, text).into_response()
        }
        Err(problem) => troubled(Some(&session), &problem),
    }
}

fn as_table(catalogues: &[Catalogue], matrix: &Matrix) -> Table {
    let heading = |name: &str, is_number| Heading {
        name: name.to_owned(),
        is_number,
    };
    let rows = matrix.rows.iter().map(|row| {
        let catalogue = catalogues.get(row.catalogue);
        let text = |text: Option<&String>| text.cloned();
        let measured = matrix.measured(&row.control);
        vec![
            text(catalogue.map(|catalogue| &catalogue.framework)),
            text(catalogue.map(|catalogue| &catalogue.version)),
            Some(row.control.id.clone()),
            Some(row.control.title.clone()),
            Some(row.standing.words().to_owned()),
            measured.map(|measured| measured.evidence.to_string()),
            measured
                .and_then(|measured| measured.exceptions)
                .map(|count| count.to_string()),
            Some(row.named.decisions.to_string()),
            Some(row.named.refused.to_string()),
            Some(row.named.masked_columns.to_string()),
        ]
    });
    Table {
        columns: vec![
            heading("framework", false),
            heading("version", false),
            heading("control", false),
            heading("title", false),
            heading("standing", false),
            heading("evidence", true),
            heading("to_look_at", true),
            heading("decisions", true),
            heading("refused", true),
            heading("masked_columns", true),
        ],
        rows: rows.collect(),
    }
}

/// One control.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Auditors>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let shown = async {
        let Path((framework, control)) = path.map_err(|_| counting::unknown())?;
        let span = Span::of(query.as_deref())?;
        let counted = count(&room, session.onlooker(), span).await?;
        let id = format!("{framework}:{control}");
        let row = counted.row(&room.sources.furnishing.catalogues, &id)?;
        let sql = format!(
            "SELECT decided_at, principal, on_behalf_of, target, sql, verdict, outcome, array_to_string(rules, ', ') AS rules, reason, rows, \
             statement_id FROM {COUNTED} WHERE decided_at >= $from AND array_has(controls, $control) ORDER BY decided_at DESC, statement_id LIMIT {ROWS}"
        );
        let values = vec![evidence::from(span), ("control", Value::Text(id.clone()))];
        let [found] = evidence::ask(
            &room,
            session.onlooker(),
            [evidence::Question::new(sql, values)],
        )
        .await?;
        Ok(one(&session, (&id, span), (row, &counted), &found))
    };
    match shown.await {
        Ok(markup) => page(StatusCode::OK, markup),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

fn whole(room: &Room, session: &Session, span: Span, counted: &Counted) -> Markup {
    let catalogues = &room.sources.furnishing.catalogues;
    let content = html! {
        h1 { "Controls" }
        p { "How much evidence bears on a control. It never says that a control is satisfied: that is for the assessor to judge." }
        form.search method="get" action="/controls" { (period(span)) button.button type="submit" { "Count" }
            a.button href=(format!("/controls.csv?span={}", span.name())) { "Export as CSV" } }
        @for (place, catalogue) in catalogues.iter().enumerate() {
            h2 { (catalogue.name) " " (catalogue.version) }
            div.wide role="region" aria-label=(catalogue.name) tabindex="0" { table {
                thead { tr { th scope="col" { "Control" } th scope="col" { "Standing" } th.number scope="col" { "Evidence" }
                    th.number scope="col" { "To look at" } th.number scope="col" { "Decisions" } th scope="col" { "By day" } } }
                tbody {
                    @for row in counted.matrix.rows.iter().filter(|row| row.catalogue == place && row.standing != Standing::NoQuery) {
                        (line(catalogue, row, span, counted))
                    }
                }
            } }
        }
    };
    layout("Controls", Some(session), Freshness::Still, content)
}

fn line(catalogue: &Catalogue, row: &Row, span: Span, counted: &Counted) -> Markup {
    let measured = counted.matrix.measured(&row.control);
    let id = format!("{}:{}", catalogue.framework, row.control.id);
    let class = match row.standing {
        Standing::Evidence => "badge approved",
        Standing::NoEvidence => "badge waiting",
        Standing::NamedOnly | Standing::NoQuery => "badge",
    };
    html! { tr {
        th scope="row" { a href=(format!("/controls/{}/{}?span={}", catalogue.framework, row.control.id, span.name())) { (row.control.id) }
            " " span.small { (row.control.title) } }
        td { span class=(class) { (row.standing.words()) } }
        td.number { @if let Some(measured) = measured { (measured.evidence) } @else { "–" } }
        td.number { @if let Some(exceptions) = measured.and_then(|measured| measured.exceptions) { (exceptions) } @else { "–" } }
        td.number { (row.named.decisions) }
        td { @if let Some(days) = counted.days.get(&id) { (trend(&row.control.id, days)) } }
    } }
}

/// Counts as small bars, the last day at the right.
fn trend(control: &str, days: &[u64]) -> Markup {
    let greatest = days.iter().copied().max().unwrap_or_default().max(1);
    let label = format!(
        "Decisions that name {control}, by day: at most {greatest}, last {}",
        days.last().copied().unwrap_or_default()
    );
    html! {
        svg.trend viewBox=(format!("0 0 {} 24", days.len().max(1) * 6)) width=(days.len().max(1) * 6) height="24" role="img" aria-label=(label) {
            @for (place, count) in days.iter().enumerate() {
                @let height = (count.saturating_mul(22) / greatest).max(u64::from(*count > 0));
                rect x=(place * 6) y=(24 - height) width="5" height=(height) {}
            }
        }
    }
}

fn one(
    session: &Session,
    (id, span): (&str, Span),
    (row, counted): (&Row, &Counted),
    found: &Table,
) -> Markup {
    let measured = counted.matrix.measured(&row.control);
    let mut query = Serializer::new(String::new());
    query.append_pair("control", id);
    query.append_pair("span", span.name());
    let all = format!("/decisions?{}", query.finish());
    let content = html! {
        h1 { (row.control.id) " " (row.control.title) }
        dl {
            (fact("Standing", row.standing.words()))
            @if let Some(bearing) = &row.control.bearing {
                (fact("Why it bears", &bearing.bears))
                (fact("Not shown by it", &bearing.lacks))
            }
            @if let Some(measured) = measured {
                (fact("Evidence", &measured.evidence.to_string()))
                (fact("To look at", &measured.exceptions.map(|count| count.to_string()).unwrap_or_default()))
            }
            (fact("Named by decisions", &row.named.decisions.to_string()))
        }
        @if let Some(days) = counted.days.get(id) { p { (trend(&row.control.id, days)) } }
        @if let Some(measured) = measured {
            h2 { "The query that counted" }
            pre tabindex="0" { code { (shown(&measured.sql)) } }
        }
        h2 { "Decisions by rules that name it" }
        @if found.rows.is_empty() { p.card.empty { "None in this period." } }
        ol.requests { @for row in 0..found.rows.len() { li { (decisions::card(found, row)) } } }
        @if found.rows.len() == ROWS { p.foot { a href=(all) { "All of them" } } }
    };
    layout(id, Some(session), Freshness::Still, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_counts_are_seen_beside_great_ones() {
        let drawn = trend("AC-3", &[0, 1, 1_000]).into_string();
        assert!(
            drawn.contains("y=\"23\"") && drawn.contains("at most 1000"),
            "{drawn}"
        );
    }
}

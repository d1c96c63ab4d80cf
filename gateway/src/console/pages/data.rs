//! Which data is classed, and who saw it: masked, and in the clear.
//!
//! It must never show a value: evidence has none.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::Response,
};
use maud::{Markup, html};
use provost_engine::graph::Policy;
use provost_evidence::{
    record::Micros,
    report::{
        queries::{Period, TABLES},
        table::Table,
    },
};

use super::{
    entry::Entered,
    frame::{Freshness, grid, layout, period, shown},
    page,
    session::Session,
    troubled,
};
use crate::console::{
    Problem, Room,
    evidence::{self, Question},
    role::Auditors,
    span::Span,
};

/// The queries of the report that this page shows.
const SHOWN: [&str; 2] = ["who-saw-what", "clear-reads"];

/// Classes, and who saw what.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Auditors>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = async {
        let span = Span::of(query.as_deref())?;
        let now = evidence::now();
        let [from, until] = [span.before(now), now.saturating_add(1)].map(Micros);
        let within = Period::new(from, until).unwrap_or(Period::ALL);
        let questions = SHOWN.map(|name| {
            let query = TABLES.iter().find(|query| query.name == name);
            let sql = query.map(|query| query.within(within)).unwrap_or_default();
            Question::new(sql, Vec::new())
        });
        Ok::<_, Problem>((
            span,
            evidence::ask(&room, session.onlooker(), questions).await?,
        ))
    };
    match asked.await {
        Ok((span, [masked, clear])) => {
            let policy = room.sources.policy.current();
            page(
                StatusCode::OK,
                whole(&session, &policy, span, (&masked, &clear)),
            )
        }
        Err(problem) => troubled(Some(&session), &problem),
    }
}

fn whole(
    session: &Session,
    policy: &Policy,
    span: Span,
    (masked, clear): (&Table, &Table),
) -> Markup {
    let content = html! {
        h1 { "Data" }
        form.search method="get" action="/data" { (period(span)) button.button type="submit" { "Show" } }
        h2 { "Classes" }
        @if policy.set().classes.is_empty() { p.card.empty { "The policy in force has no classes." } }
        ul.classes {
            @for class in &policy.set().classes {
                li { strong { (shown(&class.name)) } " "
                    span.small { (values_of(masked, &class.name)) " values masked · "
                        a href=(link(&class.name, span)) { "its statements" } } }
            }
        }
        h2 { "Who saw it masked" }
        (grid("Who saw it masked", masked, "Nothing was masked in this period."))
        h2 { "Who saw it in the clear" }
        p.small { "Columns that are masked for somebody, read by somebody without a mask on them." }
        (grid("Who saw it in the clear", clear, "Nobody in this period."))
    };
    layout("Data", Some(session), Freshness::Still, content)
}

fn values_of(masked: &Table, class: &str) -> u64 {
    let rows = (0..masked.rows.len()).filter(|row| masked.cell(*row, "class") == Some(class));
    rows.map(|row| masked.number(row, "masked_values")).sum()
}

fn link(class: &str, span: Span) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("class", class);
    query.append_pair("span", span.name());
    format!("/decisions?{}", query.finish())
}

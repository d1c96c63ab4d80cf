//! What was decided: a search over all statements, sealed or not yet, and one statement with all that is known of it.
//!
//! It must never show somebody without a role more than their own statements.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::Response,
};
use maud::{Markup, html};
use provost_evidence::report::table::Table;
use url::form_urlencoded::Serializer;

use super::{
    entry::Entered,
    frame::{Freshness, badge, fact, grid, layout, period, shown, time},
    page,
    session::Session,
    troubled,
};
use crate::console::{
    Room,
    api::Id,
    evidence,
    role::{Anybody, Role},
    search::{self, PAGE_MAX, ROWS, Search, WORDS},
};

/// The columns of a list.
const LISTED: &str = "decided_at, principal, on_behalf_of, target, sql, kind, array_to_string(relations, ', ') AS tables, verdict, outcome, \
    array_to_string(rules, ', ') AS rules, reason, rows, statement_id";
/// The columns of a statement's page.
const WHOLE: &str = "*, array_to_string(relations, ', ') AS tables, array_to_string(columns, ', ') AS column_names, \
    array_to_string(rules, ', ') AS rule_names, array_to_string(controls, ', ') AS control_ids";
/// The columns of its masked columns.
const MASKED: &str = "output_column, array_to_string(source_columns, ', ') AS sources, class, transform, rule, values_masked";
/// What a verdict is.
const VERDICTS: [&str; 4] = ["allow", "break-glass", "hold", "deny"];

/// Searches.
pub(super) async fn search(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Anybody>,
    RawQuery(query): RawQuery,
) -> Response {
    let search = match Search::parse(query.as_deref().unwrap_or_default()) {
        Ok(search) => search,
        Err(problem) => return troubled(Some(&session), &problem),
    };
    let until = search.until.unwrap_or_else(evidence::now);
    let question = search.question(LISTED, evidence::own(session.onlooker()), until);
    match evidence::ask(&room, session.onlooker(), [question]).await {
        Ok([found]) => page(StatusCode::OK, list(&session, (&search, until), &found)),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

/// One statement.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Anybody>,
    id: Id,
) -> Response {
    let Ok(Path(id)) = id else {
        return troubled(Some(&session), &search::unknown());
    };
    let questions = search::one(session.onlooker(), id, (WHOLE, MASKED));
    match evidence::ask(&room, session.onlooker(), questions).await {
        Ok([found, masked]) if !found.rows.is_empty() => {
            page(StatusCode::OK, whole(&session, &found, &masked))
        }
        Ok(_) => troubled(Some(&session), &search::unknown()),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

fn list(session: &Session, (search, until): (&Search, i64), found: &Table) -> Markup {
    let content = html! {
        h1 { "Decisions" }
        @if session.role < Role::Viewer { p.small { "You see your own statements, and those made for you." } }
        (fields(search))
        @if found.rows.is_empty() {
            section.card.empty { h2 { "Nothing found" } p { "No statement of this period is like that. Take a longer period, or fewer words." } }
        }
        ol.requests {
            @for row in 0..found.rows.len().min(ROWS) { li { (card(found, row)) } }
        }
        p.foot {
            @if search.page > 0 { a href=(link(search, search.page - 1, until)) { "Later ones" } " " }
            @if found.rows.len() > ROWS && search.page < PAGE_MAX { a href=(link(search, search.page + 1, until)) { "Earlier ones" } }
            @if found.rows.len() > ROWS && search.page == PAGE_MAX { "There are more: narrow the search." }
        }
    };
    layout("Decisions", Some(session), Freshness::Still, content)
}

fn fields(search: &Search) -> Markup {
    html! {
        form.search method="get" action="/decisions" {
            @for ((name, words, _), word) in WORDS.iter().zip(&search.words) {
                label { (words)
                    @if *name == "verdict" {
                        select name="verdict" {
                            option value="" { "any" }
                            @for verdict in VERDICTS { option value=(verdict) selected[verdict == word] { (verdict) } }
                        }
                    } @else {
                        input name=(name) value=(word);
                    }
                }
            }
            (period(search.span))
            button.button type="submit" { "Search" }
        }
    }
}

/// A statement in a list; `table` has the columns that lists ask for.
pub(super) fn card(table: &Table, row: usize) -> Markup {
    let cell = |name: &str| table.cell(row, name).unwrap_or_default();
    let who = match cell("on_behalf_of") {
        "" => cell("principal").to_owned(),
        person => format!("{} for {person}", cell("principal")),
    };
    html! {
        article.card {
            p.head {
                (badge(cell("verdict")))
                a href=(format!("/decisions/{}", cell("statement_id"))) { (shown(&who)) " on " (shown(cell("target"))) }
                @if cell("outcome") != "denied" { (badge(cell("outcome"))) }
            }
            pre tabindex="0" { code { (text_of(cell("sql"))) } }
            p.small {
                (time(cell("decided_at")))
                @if !cell("rules").is_empty() { " · " (shown(cell("rules"))) }
                @if !cell("reason").is_empty() { " · " (shown(cell("reason"))) }
                @if !cell("rows").is_empty() { " · " (cell("rows")) " rows" }
            }
        }
    }
}

fn text_of(sql: &str) -> String {
    if sql.is_empty() {
        "(the text is not kept)".to_owned()
    } else {
        shown(sql)
    }
}

fn whole(session: &Session, table: &Table, masked: &Table) -> Markup {
    let last = table.rows.len().saturating_sub(1);
    let cell = |name: &str| table.cell(0, name).unwrap_or_default();
    // A statement that was open when it was sealed has a second row, which ends it.
    let end = |name: &str| table.cell(last, name).unwrap_or_default();
    let content = html! {
        h1 { "Statement " (badge(cell("verdict"))) " " (badge(end("outcome"))) }
        pre tabindex="0" { code { (text_of(cell("sql"))) } }
        @if !cell("reason").is_empty() { p { strong { "Because " } (shown(cell("reason"))) } }
        dl {
            (fact("Principal", cell("principal")))
            (fact("For", cell("on_behalf_of")))
            (fact("Target", cell("target")))
            dt { "Session" } dd { a href=(format!("/sessions/{}", cell("session_id"))) { (shown(cell("session_id"))) } }
            dt { "Decided" } dd { (time(cell("decided_at"))) }
            @if !end("ended_at").is_empty() { dt { "Ended" } dd { (time(end("ended_at"))) } }
            (fact("Kind", cell("kind")))
            (fact("Tables", cell("tables")))
            (fact("Columns", cell("column_names")))
            (fact("Rules", cell("rule_names")))
            (fact("Controls", cell("control_ids")))
            (fact("Rows", end("rows")))
            (fact("Bytes", end("bytes")))
            (fact("Microseconds", end("duration_us")))
            (fact("SQLSTATE", end("sqlstate")))
            (fact("Observed", cell("observed_verdict")))
            @if !cell("approval_id").is_empty() { dt { "Approval" } dd { a href=(format!("/approvals/{}", cell("approval_id"))) { (shown(cell("approval_id"))) } } }
            (fact("Bundle", cell("bundle_digest")))
            (fact("Id", cell("statement_id")))
        }
        h2 { "Masked columns" }
        (grid("Masked columns", masked, "None."))
    };
    layout("Statement", Some(session), Freshness::Still, content)
}

/// The same search at another page.
fn link(search: &Search, page: usize, until: i64) -> String {
    let mut query = Serializer::new(String::new());
    for ((name, ..), word) in search.given() {
        query.append_pair(name, word);
    }
    query.append_pair("span", search.span.name());
    query.append_pair("until", &until.to_string());
    query.append_pair("page", &page.to_string());
    format!("/decisions?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_what_is_searched_for() {
        let search =
            Search::parse("text=%27+OR+1%3D1&table=public.orders&span=week&page=2").unwrap();
        assert_eq!(
            link(&search, 3, 7),
            "/decisions?table=public.orders&text=%27+OR+1%3D1&span=week&until=7&page=3"
        );
    }
}

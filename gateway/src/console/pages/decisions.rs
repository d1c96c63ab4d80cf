//! What was decided: a search over all statements, sealed or not yet, and one statement with all that is known of it.
//!
//! It must never show somebody without a role more than their own statements.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use maud::{Markup, html};
use provost_evidence::{Value, record::Micros, report::table::Table};
use url::form_urlencoded::Serializer;

use super::{
    enter,
    evidence::{self, COUNTED, Question, Values},
    frame::{Freshness, Span, badge, fact, grid, layout, shown, time},
    page,
    session::Session,
    troubled,
};
use crate::console::{Problem, Room, api::Id, form, role::Role};

/// Statements of a page.
const ROWS: usize = 50;
/// The last page; who looks further narrows the search.
const PAGE_MAX: usize = 199;
/// The longest word that is searched for, in bytes.
const WORD_BYTES_MAX: usize = 1_000;

/// What is searched for, each with what it says in SQL.
const WORDS: [(&str, &str, &str); 8] = [
    (
        "principal",
        "Principal",
        "(principal = $principal OR on_behalf_of = $principal)",
    ),
    ("table", "Table", "array_has(relations, $table)"),
    (
        "class",
        "Class",
        "statement_id IN (SELECT statement_id FROM maskings WHERE class = $class)",
    ),
    ("verdict", "Verdict", "verdict = $verdict"),
    ("rule", "Rule", "array_has(rules, $rule)"),
    ("control", "Control", "array_has(controls, $control)"),
    ("text", "Text", "strpos(lower(sql), lower($text)) > 0"),
    ("outcome", "Outcome", "outcome = $outcome"),
];
/// What a verdict is.
const VERDICTS: [&str; 4] = ["allow", "break-glass", "hold", "deny"];

/// A search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Search {
    words: [String; 8],
    span: Span,
    /// The end of its period, so that its pages stay what they are.
    until: Option<i64>,
    page: usize,
}

impl Search {
    fn parse(query: &str) -> Result<Self, Problem> {
        let wrong = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
        let [w0, w1, w2, w3, w4, w5, w6, w7, span, until, page] = form::values(
            query.as_bytes(),
            [
                "principal",
                "table",
                "class",
                "verdict",
                "rule",
                "control",
                "text",
                "outcome",
                "span",
                "until",
                "page",
            ],
        )?;
        let words = [w0, w1, w2, w3, w4, w5, w6, w7].map(|word| word.trim().to_owned());
        if words.iter().any(|word| word.len() > WORD_BYTES_MAX) {
            return Err(wrong("a word of a search has at most 1,000 bytes"));
        }
        let until = match until.as_str() {
            "" => None,
            text => {
                let until = text.parse().ok().filter(|until: &i64| *until >= 0);
                Some(until.ok_or_else(|| wrong("`until` is microseconds since 1970"))?)
            }
        };
        let page = match page.as_str() {
            "" => 0,
            text => text
                .parse()
                .ok()
                .filter(|page| *page <= PAGE_MAX)
                .ok_or_else(|| wrong("`page` is 0 to 199: narrow the search"))?,
        };
        Ok(Self {
            words,
            span: evidence::span(&span)?,
            until,
            page,
        })
    }

    fn given(
        &self,
    ) -> impl Iterator<Item = (&'static (&'static str, &'static str, &'static str), &String)> {
        WORDS
            .iter()
            .zip(&self.words)
            .filter(|(_, word)| !word.is_empty())
    }

    /// The question; one row more than a page has, which tells whether there is another page.
    fn question(&self, (own, mut values): (&str, Values), until: i64) -> Question {
        let mut sql = format!(
            "SELECT decided_at, principal, on_behalf_of, target, sql, kind, array_to_string(relations, ', ') AS tables, verdict, outcome, \
             array_to_string(rules, ', ') AS rules, reason, rows, statement_id FROM {COUNTED} \
             WHERE decided_at >= $from AND decided_at <= $until{own}"
        );
        for ((name, _, clause), word) in self.given() {
            sql.push_str(" AND ");
            sql.push_str(clause);
            values.push((name, Value::Text(word.clone())));
        }
        let skipped = self.page * ROWS;
        sql.push_str(&format!(
            " ORDER BY decided_at DESC, statement_id LIMIT {} OFFSET {skipped}",
            ROWS + 1
        ));
        values.push(("from", Value::Time(Micros(self.span.before(until)))));
        values.push(("until", Value::Time(Micros(until))));
        Question::new(sql, values)
    }

    /// The same search at another page.
    fn link(&self, page: usize, until: i64) -> String {
        let mut query = Serializer::new(String::new());
        for ((name, ..), word) in self.given() {
            query.append_pair(name, word);
        }
        query.append_pair("span", self.span.name());
        query.append_pair("until", &until.to_string());
        query.append_pair("page", &page.to_string());
        format!("/decisions?{}", query.finish())
    }
}

/// Searches.
pub(super) async fn search(
    State(room): State<Arc<Room>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let session = match enter(&room, &headers, Role::Concerned) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    let search = match Search::parse(query.as_deref().unwrap_or_default()) {
        Ok(search) => search,
        Err(problem) => return troubled(Some(&session), &problem),
    };
    let until = search.until.unwrap_or_else(evidence::now);
    let question = search.question(evidence::own(&session), until);
    match evidence::ask(&room, &session, [question]).await {
        Ok([found]) => page(StatusCode::OK, list(&session, (&search, until), &found)),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

/// One statement.
pub(super) async fn show(State(room): State<Arc<Room>>, headers: HeaderMap, id: Id) -> Response {
    let session = match enter(&room, &headers, Role::Concerned) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    let unknown = || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "there is no such statement, or it is not for you to see",
        )
    };
    let Ok(axum::extract::Path(id)) = id else {
        return troubled(Some(&session), &unknown());
    };
    let (own, mut values) = evidence::own(&session);
    values.push(("id", Value::Text(id)));
    let statement = format!(
        "SELECT *, array_to_string(relations, ', ') AS tables, array_to_string(columns, ', ') AS column_names, \
         array_to_string(rules, ', ') AS rule_names, array_to_string(controls, ', ') AS control_ids FROM statements \
         WHERE statement_id = $id{own} ORDER BY log_index LIMIT 2"
    );
    let masked = format!(
        "SELECT output_column, array_to_string(source_columns, ', ') AS sources, class, transform, rule, values_masked FROM maskings \
         WHERE statement_id = $id{} ORDER BY output_index LIMIT 1000",
        if own.is_empty() {
            ""
        } else {
            " AND statement_id IN (SELECT statement_id FROM statements WHERE principal = $me OR on_behalf_of = $me)"
        }
    );
    let questions = [
        Question::new(statement, values.clone()),
        Question::new(masked, values),
    ];
    match evidence::ask(&room, &session, questions).await {
        Ok([found, masked]) if !found.rows.is_empty() => {
            page(StatusCode::OK, whole(&session, &found, &masked))
        }
        Ok(_) => troubled(Some(&session), &unknown()),
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
            @if search.page > 0 { a href=(search.link(search.page - 1, until)) { "Later ones" } " " }
            @if found.rows.len() > ROWS && search.page < PAGE_MAX { a href=(search.link(search.page + 1, until)) { "Earlier ones" } }
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
            (search.span.field())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_values_and_never_sql() {
        let search =
            Search::parse("text=%27+OR+1%3D1&table=public.orders&span=week&page=2").unwrap();
        let question = search.question(
            (
                " AND (principal = $me OR on_behalf_of = $me)",
                vec![("me", Value::Text("ana".to_owned()))],
            ),
            1_000_000_000_000_000,
        );
        assert!(!question.sql.contains("OR 1=1"), "{}", question.sql);
        assert!(question.sql.contains("$me") && question.sql.ends_with("LIMIT 51 OFFSET 100"));
        let names: Vec<&str> = question.values.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["me", "table", "text", "from", "until"]);
        assert_eq!(
            search.link(3, 7),
            "/decisions?table=public.orders&text=%27+OR+1%3D1&span=week&until=7&page=3"
        );
    }

    #[test]
    fn searches_are_read_strictly() {
        for wrong in [
            "x=1",
            "span=year",
            "page=-1",
            "page=200",
            "until=x",
            "text=a&text=b",
        ] {
            assert!(Search::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Search::parse(&format!("text={}", "a".repeat(1_001))).is_err());
        assert_eq!(Search::parse("").unwrap(), Search::default());
    }
}

//! What all pages have in common: their frame, and how times, verdicts, tables and texts of others are shown.
//!
//! It must never show a text of others but as text in which nothing hides.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};
use provost_evidence::report::table::Table;

use super::{files, session::Session};
use crate::console::{role::Role, span::Span, visible};

/// How often a page loads itself again that is live without a script, in seconds.
pub(super) const REFRESH_SECONDS: u32 = 10;
/// What htmx may do: nothing that our policy of contents forbids, and nothing that leaves a trace in the browser.
const HTMX: &str = r#"{"allowEval":false,"allowScriptTags":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"historyEnabled":false}"#;

/// Whether a list loads itself again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It stays as it is, but for what a script does.
    Still,
    /// It does, by itself.
    Live,
}

/// The pages that people find at the top, and who finds them there.
const PLACES: [(&str, &str, Role); 7] = [
    ("/", "Approvals", Role::Concerned),
    ("/sessions", "Sessions", Role::Concerned),
    ("/decisions", "Decisions", Role::Concerned),
    ("/policy", "Policy", Role::Viewer),
    ("/controls", "Controls", Role::Auditor),
    ("/data", "Data", Role::Auditor),
    ("/health", "Health", Role::Viewer),
];

/// A whole page. `title` is one of the names at the top, or something below one.
pub(super) fn layout(
    title: &str,
    session: Option<&Session>,
    freshness: Freshness,
    content: Markup,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                @if freshness == Freshness::Live {
                    meta http-equiv="refresh" content=(REFRESH_SECONDS);
                }
                title { (shown(title)) " · Provost" }
                link rel="stylesheet" href=(files::path("style.css"));
                @if session.is_some() {
                    @for script in files::SCRIPTS { script src=(files::path(script)) defer {} }
                }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    a.brand href="/" { "Provost" }
                    @if let Some(session) = session {
                        nav.places aria-label="Pages" {
                            @for (path, name, _) in PLACES.iter().filter(|(.., role)| session.role >= *role) {
                                a href=(path) aria-current=[(*name == title).then_some("page")] { (name) }
                            }
                        }
                        form.who method="post" action="/logout" {
                            span title=(session.role.name()) { (shown(&session.principal.id)) }
                            input type="hidden" name="csrf" value=(session.csrf);
                            button.plain type="submit" { "Log out" }
                        }
                    }
                }
                main id="content" { (content) }
            }
        }
    }
}

/// RFC 3339 to what a person reads, in UTC; a script shows it in the reader's zone.
pub(super) fn time(text: &str) -> Markup {
    let parsed = text.parse::<Timestamp>().ok();
    let short = parsed.map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    html! { time datetime=(text) title=(text) { (short.as_deref().unwrap_or(text)) } }
}

/// Text of others in which nothing hides.
pub(super) fn shown(text: &str) -> String {
    visible(text)
}

/// A message as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => shown(&format!("{}{}.", first.to_uppercase(), letters.as_str())),
        None => String::new(),
    }
}

/// A verdict or an outcome, in its colour.
pub(super) fn badge(word: &str) -> Markup {
    let class = match word {
        "allow" | "completed" | "applied" => "approved",
        "deny" | "denied" | "refused" | "failed" | "cut" => "refused",
        "hold" | "break-glass" | "open" | "unknown" => "waiting",
        _ => "",
    };
    html! { span class={ "badge " (class) } { (shown(word)) } }
}

/// A name and its text in a list of facts; nothing where there is none.
pub(super) fn fact(name: &str, text: &str) -> Markup {
    html! { @if !text.is_empty() { dt { (name) } dd { (shown(text)) } } }
}

/// A table of evidence as it came, times as times.
pub(super) fn grid(caption: &str, table: &Table, none: &str) -> Markup {
    html! {
        @if table.rows.is_empty() {
            p.card.empty { (none) }
        } @else {
            div.wide role="region" aria-label=(caption) tabindex="0" {
                table {
                    caption.hidden { (caption) }
                    thead { tr { @for column in &table.columns { th.number[column.is_number] scope="col" { (column.name.replace('_', " ")) } } } }
                    tbody {
                        @for row in &table.rows { tr {
                            @for (cell, column) in row.iter().zip(&table.columns) {
                                td.number[column.is_number] { (cell_of(column.name.as_str(), cell.as_deref().unwrap_or_default())) }
                            }
                        } }
                    }
                }
            }
        }
    }
}

fn cell_of(column: &str, text: &str) -> Markup {
    match column {
        "verdict" | "outcome" | "event" if !text.is_empty() => badge(text),
        _ if column == "at" || column.ends_with("_at") => {
            html! { @if !text.is_empty() { (time(text)) } }
        }
        _ => html! { (shown(text)) },
    }
}

/// The field of a form that chooses how far back a page looks.
pub(super) fn period(span: Span) -> Markup {
    html! {
        label { "Period"
            select name="span" {
                @for one in Span::ALL { option value=(one.name()) selected[one == span] { (one.words()) } }
            }
        }
    }
}

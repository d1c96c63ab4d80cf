//! The report that a person reads: one page, one style sheet, no script, nothing fetched. Every value of the evidence goes through the
//! template's escaping; only the style sheet of ours doesn't.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::chart::{self, thousands};
use crate::report::files::sql_name;
use crate::report::matrix::{Measured, Row, Standing};
use crate::report::table::Table;
use crate::report::{Content, Section};

const STYLE: &str = include_str!("style.css");
/// Rows of a table that the page shows; all of them are in the CSV file.
const ROWS_MAX: usize = 50;
/// Characters of a cell that isn't broken into lines: times and ids of sessions.
const UNBROKEN_MAX: usize = 32;
/// Nothing is fetched and nothing runs, whatever a value says.
const SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page.
pub(super) fn page(content: &Content<'_>) -> String {
    let period = content.request.period;
    let names: Vec<String> = content
        .request
        .catalogues
        .iter()
        .map(|catalogue| format!("{} {}", catalogue.name, catalogue.version))
        .collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(SECURITY_POLICY);
                title { "Evidence of access decisions" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Evidence of access decisions" }
                    p.names { (names.join(", ")) }
                    p { "From " time { (period.begin()) } " up to and without " time { (period.end()) } ", by the time of the decision." }
                }
                main {
                    (reading())
                    (figures(content))
                    (charts(content))
                    (population(content))
                    (matrix(content))
                    @for section in &content.sections { (section_of(section)) }
                    (measures(content))
                }
            }
        }
    };
    page.into_string()
}

fn reading() -> Markup {
    html! {
        section.note {
            p { strong { "How to read this." } " A row of the matrix says how much evidence bears on a control, why, and what it does not show. "
                "It never says that a control is satisfied: that is for the assessor to judge. A control without evidence says so." }
            p { "Each number names the query that made it; the queries are on this page and in the folder " code { "sql" }
                ", and run unchanged in DuckDB over the same Parquet files. The evidence itself is checked with "
                code { "provost evidence verify" } "; this page does not check it." }
        }
    }
}

fn figures(content: &Content<'_>) -> Markup {
    let rules = content.section("days").map(|section| &section.table);
    let sum = |column: &str| rules.map_or(0, |table| table.sum(column));
    let masked = content.section("who-saw-what");
    let values = masked.map_or(0, |section| section.table.sum("masked_values"));
    let exceptions = content.section("exceptions");
    let listed = exceptions.map_or(0, |section| section.table.rows.len() as u64);
    let figures = [
        ("statements", content.population.statements()),
        ("allowed", sum("allowed")),
        ("glass broken", sum("glass_broken")),
        ("held", sum("held")),
        ("refused", sum("refused")),
        ("values masked", values),
        ("to look at", listed),
        ("rows missing", content.population.missing()),
    ];
    html! {
        section.figures {
            @for (words, number) in figures { div { b { (thousands(number)) } span { (words) } } }
        }
    }
}

fn charts(content: &Content<'_>) -> Markup {
    let pairs = |name: &str, label: &str, value: &str| -> Vec<(String, u64)> {
        let table = content.section(name).map(|section| &section.table);
        table.map_or_else(Vec::new, |table| grouped(table, label, value))
    };
    html! {
        section.charts {
            @if let Some(section) = content.section("days") { (chart::days(&section.table)) }
            (chart::bars("Refused statements by reason", "refused", pairs("refusals", "reason", "refused")))
            (chart::bars("Masked values by class", "masked", pairs("who-saw-what", "class", "masked_values")))
        }
    }
}

/// A column of numbers summed by a column of texts, in the table's order.
fn grouped(table: &Table, label: &str, value: &str) -> Vec<(String, u64)> {
    let mut sums: Vec<(String, u64)> = Vec::new();
    for row in 0..table.rows.len() {
        let (label, number) = (
            table.cell(row, label).unwrap_or_default(),
            table.number(row, value),
        );
        match sums.iter_mut().find(|(known, _)| known == label) {
            Some((_, sum)) => *sum = sum.saturating_add(number),
            None => sums.push((label.to_owned(), number)),
        }
    }
    sums
}

fn population(content: &Content<'_>) -> Markup {
    let population = &content.population;
    html! {
        section {
            h2 id="population" { "Population" }
            p { "Statements that were decided in the period, counted once, rows of the whole store that retention deleted, and rows that are missing. Indexes are dense from 0 over all datasets of a gateway." }
            (grid(&population.table, "population.csv"))
            (sql(&population.sql))
            @for (gateway, checkpoint) in &population.checkpoints {
                h3 { "Checkpoint of " (gateway) }
                pre { (checkpoint) }
            }
        }
    }
}

fn matrix(content: &Content<'_>) -> Markup {
    html! {
        @for (place, catalogue) in content.request.catalogues.iter().enumerate() {
            @let rows: Vec<&Row> = content.matrix.rows.iter().filter(|row| row.catalogue == place).collect();
            section.matrix {
                h2 { (catalogue.name) " " (catalogue.version) }
                table {
                    thead { tr {
                        th { "Control" } th { "Standing" } th.number { "Evidence" } th.number { "To look at" }
                        th.number { "Decisions by rules that name it" }
                    } }
                    tbody { @for row in rows.iter().filter(|row| row.standing != Standing::NoQuery) { (control(content, row)) } }
                }
                @let silent: Vec<&str> = rows.iter().filter(|row| row.standing == Standing::NoQuery).map(|row| row.control.id.as_str()).collect();
                @if !silent.is_empty() {
                    p.none { "No query, and no rule that decided names them: " (silent.join(", ")) "." }
                }
            }
        }
    }
}

fn control(content: &Content<'_>, row: &Row) -> Markup {
    let measured = content.matrix.measured(&row.control);
    let class = match row.standing {
        Standing::Evidence => "standing some",
        Standing::NoEvidence => "standing nothing",
        Standing::NamedOnly | Standing::NoQuery => "standing",
    };
    html! {
        tr.control {
            td { b { (row.control.id) } " " (row.control.title) }
            td { span class=(class) { (row.standing.words()) } }
            td.number { (counted(measured)) }
            td.number { @match measured.map(|measured| measured.exceptions) {
                Some(Some(exceptions)) => { (thousands(exceptions)) },
                Some(None) | None => { "–" },
            } }
            td.number { (thousands(row.named.decisions)) @if row.named.refused > 0 { small { (thousands(row.named.refused)) " refused" } }
                @if row.named.masked_columns > 0 { small { (thousands(row.named.masked_columns)) " masked columns" } } }
        }
        @if let Some(bearing) = &row.control.bearing {
            tr.reason { td colspan="5" {
                p { (bearing.bears) } p.lacks { "Not shown: " (bearing.lacks) }
            } }
        }
    }
}

/// A number with the link to the query that made it.
fn counted(measured: Option<&Measured>) -> Markup {
    html! {
        @if let Some(measured) = measured {
            (thousands(measured.evidence))
            small { a href=(format!("#measure-{}", measured.query.name)) { (measured.query.name) } }
        } @else { "–" }
    }
}

fn section_of(section: &Section) -> Markup {
    let name = section.query.name;
    html! {
        section {
            h2 id=(format!("table-{name}")) { (title(name)) }
            @for line in section.query.says() { p { (line) } }
            (grid(&section.table, &format!("{name}.csv")))
            (sql(&section.sql))
        }
    }
}

/// A file's name as a heading.
fn title(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn grid(table: &Table, file: &str) -> Markup {
    if table.rows.is_empty() {
        return html! { p.none { "None in this period." } };
    }
    let rest = table.rows.len().saturating_sub(ROWS_MAX);
    html! {
        div.wide { table {
            thead { tr { @for column in &table.columns { th.number[column.is_number] { (column.name.replace('_', " ")) } } } }
            tbody { @for row in table.rows.iter().take(ROWS_MAX) { tr {
                @for (cell, column) in row.iter().zip(&table.columns) {
                    @let is_short = cell.as_ref().is_none_or(|text| text.chars().count() <= UNBROKEN_MAX);
                    td.number[column.is_number].short[is_short] { @match cell { Some(text) => { (text) }, None => { span.none { "–" } } } }
                }
            } } }
        } }
        @if rest > 0 { p.none { "and " (thousands(rest as u64)) " more in " code { (file) } } }
    }
}

fn sql(text: &str) -> Markup {
    html! { details { summary { "SQL" } pre { code { (text) } } } }
}

fn measures(content: &Content<'_>) -> Markup {
    html! {
        section {
            h2 { "Queries of the matrix" }
            @for (name, measured) in &content.matrix.measured {
                h3 id=(format!("measure-{name}")) { (title(name)) ": " (thousands(measured.evidence)) }
                @for line in measured.query.says() { p { (line) } }
                p.none { code { (sql_name("measures", name)) } }
                pre { code { (measured.sql) } }
            }
        }
    }
}

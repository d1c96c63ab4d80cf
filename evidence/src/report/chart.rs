//! Charts as inline SVG: statements by day, and bars. They hold no script, and every text in them is escaped.

use maud::{Markup, html};

use crate::report::table::Table;

/// Width of a chart in its own units; it is scaled to the page.
const WIDTH: f64 = 720.0;
/// Height of the plot of days.
const HEIGHT: f64 = 160.0;
/// Room for labels below and above.
const MARGIN: f64 = 18.0;
/// Bars that are shown; the rest is in the table.
const BARS_MAX: usize = 12;
/// Characters of a bar's label that are shown.
const LABEL_CHARS_MAX: usize = 38;
/// Where bars begin, and how far they may go.
const BAR_LEFT: f64 = 300.0;
const BAR_WIDTH: f64 = 340.0;
const BAR_STEP: f64 = 22.0;

/// What a day is split into: the column, its words, its class in the style sheet.
const PARTS: [(&str, &str, &str); 4] = [
    ("allowed", "allowed", "allowed"),
    ("glass_broken", "glass broken", "glass"),
    ("held", "held", "held"),
    ("refused", "refused", "refused"),
];

/// Stacked columns, one a day.
pub(super) fn days(table: &Table) -> Markup {
    let count = table.rows.len();
    let total = |row: usize| -> u64 {
        PARTS
            .iter()
            .map(|(column, ..)| table.number(row, column))
            .sum()
    };
    let greatest = (0..count).map(total).max().unwrap_or_default().max(1);
    let step = (WIDTH / count.max(1) as f64).min(48.0);
    let gap = if step > 8.0 { 2.0 } else { 0.0 };
    html! {
        figure {
            figcaption { "Statements by day" }
            svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 2.0 * MARGIN)) role="img" aria-label="Statements by day and verdict" {
                line.axis x1="0" x2=(WIDTH) y1=(MARGIN + HEIGHT) y2=(MARGIN + HEIGHT) {}
                text.label x="0" y="12" { (thousands(greatest)) " a day at most" }
                @for row in 0..count {
                    @let left = row as f64 * step;
                    @let day = table.cell(row, "day").unwrap_or_default();
                    g {
                        title { (day) ": " @for (column, words, _) in PARTS { (thousands(table.number(row, column))) " " (words) " " } }
                        @for (class, top, height) in column(table, row, greatest) {
                            rect class=(class) x=(round(left)) y=(round(top)) width=(round(step - gap)) height=(round(height)) {}
                        }
                    }
                }
                @if let Some(first) = table.cell(0, "day") { text.label x="0" y=(HEIGHT + 2.0 * MARGIN - 4.0) { (first) } }
                @if count > 1 { @if let Some(last) = table.cell(count - 1, "day") {
                    text.label.end x=(round((count as f64 * step).max(160.0))) y=(HEIGHT + 2.0 * MARGIN - 4.0) { (last) }
                } }
            }
            p.legend { @for (_, words, class) in PARTS { span { i class=(class) {} (words) } } }
        }
    }
}

/// The parts of one column: class, top, height.
fn column(table: &Table, row: usize, greatest: u64) -> Vec<(&'static str, f64, f64)> {
    let mut top = MARGIN + HEIGHT;
    let mut parts = Vec::new();
    for (name, _, class) in PARTS {
        let height = table.number(row, name) as f64 / greatest as f64 * HEIGHT;
        top -= height;
        if height > 0.0 {
            parts.push((class, top, height));
        }
    }
    parts
}

/// Horizontal bars, the longest first.
pub(super) fn bars(caption: &str, class: &str, mut values: Vec<(String, u64)>) -> Markup {
    values.retain(|(_, value)| *value > 0);
    values.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    let rest = values.len().saturating_sub(BARS_MAX);
    values.truncate(BARS_MAX);
    let greatest = values.first().map_or(1, |(_, value)| *value);
    html! {
        figure {
            figcaption { (caption) }
            @if values.is_empty() { p.none { "None in this period." } } @else {
                svg viewBox=(format!("0 0 {WIDTH} {}", values.len() as f64 * BAR_STEP)) role="img" aria-label=(caption) {
                    @for (place, (label, value)) in values.iter().enumerate() {
                        @let top = place as f64 * BAR_STEP;
                        @let width = (*value as f64 / greatest as f64 * BAR_WIDTH).max(1.0);
                        g {
                            title { (label) ": " (thousands(*value)) }
                            text.label.end x=(BAR_LEFT - 8.0) y=(top + 15.0) { (shortened(label)) }
                            rect class=(class) x=(BAR_LEFT) y=(top + 3.0) width=(round(width)) height=(BAR_STEP - 6.0) {}
                            text.value x=(round(BAR_LEFT + width + 6.0)) y=(top + 15.0) { (thousands(*value)) }
                        }
                    }
                }
                @if rest > 0 { p.none { "and " (rest) " more in the table below" } }
            }
        }
    }
}

/// Two decimals: enough for a drawing, and the same everywhere.
fn round(value: f64) -> String {
    format!("{value:.2}")
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL_CHARS_MAX {
        return label.to_owned();
    }
    let mut short: String = label.chars().take(LABEL_CHARS_MAX - 1).collect();
    short.push('…');
    short
}

/// `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::Heading;

    #[test]
    fn numbers_have_commas() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(thousands(number), expected);
        }
    }

    #[test]
    fn a_day_is_split_into_every_verdict() {
        let names = ["day", "allowed", "glass_broken", "held", "refused"];
        let cells = ["2026-11-22", "4", "3", "2", "1"];
        let table = Table {
            columns: names
                .map(|name| Heading {
                    name: name.to_owned(),
                    is_number: name != "day",
                })
                .to_vec(),
            rows: vec![cells.map(|cell| Some(cell.to_owned())).to_vec()],
        };
        let drawn = days(&table).into_string();
        assert!(
            drawn.contains("2026-11-22: 4 allowed 3 glass broken 2 held 1 refused"),
            "{drawn}"
        );
        for (class, height) in [
            ("allowed", 64),
            ("glass", 48),
            ("held", 32),
            ("refused", 16),
        ] {
            let class = format!("class=\"{class}\"");
            let column = drawn.split("<rect ").find(|rect| rect.starts_with(&class));
            let height = format!("height=\"{height}.00\"");
            assert!(column.is_some_and(|rect| rect.contains(&height)), "{drawn}");
        }
    }

    #[test]
    fn labels_are_escaped_and_shortened_by_characters() {
        let label = format!("<script>{}", "é".repeat(60));
        let drawn = bars("x", "refused", vec![(label, 3)]).into_string();
        assert!(drawn.contains("&lt;script&gt;"), "{drawn}");
        assert!(!drawn.contains("<script>"), "{drawn}");
        assert!(drawn.contains('…'), "{drawn}");
    }
}

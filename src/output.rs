//! What goes to standard output and error: lines, tables, colours only where a person looks at a terminal.
//!
//! A closed pipe (`provost ... | head`) is no error and no panic.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::OnceLock,
};

use provost_dsl::{Colours, Diagnostic, render};

/// For whom a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A person.
    Text,
    /// A program.
    Json,
}

impl Shape {
    /// From a `--json` flag.
    pub(crate) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// How a piece of text is shown where colours are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Headings.
    Bold,
    /// Said beside.
    Dim,
    /// Allowed, verified.
    Good,
    /// Denied, failed.
    Bad,
    /// Masked.
    Notable,
}

/// `text` in a tone, or plain where standard output is no terminal that wants colours.
pub(crate) fn toned(tone: Tone, text: &str) -> String {
    if !colours() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Bold => "1",
        Tone::Dim => "2",
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Notable => "33",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Whether standard output is a terminal that wants colours.
pub(crate) fn colours() -> bool {
    static COLOURS: OnceLock<bool> = OnceLock::new();
    *COLOURS.get_or_init(|| wants_colours(io::stdout().is_terminal()))
}

/// Prints a line; once the reader is gone, nothing more is printed.
pub(crate) fn line(text: &str) {
    let mut output = io::stdout().lock();
    // A reader that is gone wants nothing: there is nobody to tell.
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

/// Says on standard error why the command failed, a line each.
pub(crate) fn complain(message: &str) {
    let mut output = io::stderr().lock();
    for line in message.lines() {
        // Nobody to tell that there is nobody to tell.
        let _ = writeln!(output, "provost: {line}");
    }
}

/// Says on standard error how far something is, over what was said there before, where a person looks at it. An empty text leaves the line clean.
pub(crate) fn progress(text: &str) {
    if !colours_on_errors() {
        return;
    }
    let mut output = io::stderr().lock();
    // Nobody to tell that there is nobody to tell.
    let _ = write!(output, "\r\x1b[2K{text}").and_then(|()| output.flush());
}

/// Policy diagnostics on standard error, as a person reads them.
pub(crate) fn diagnostics(diagnostics: &[Diagnostic]) {
    if diagnostics.is_empty() {
        return;
    }
    let colours = if colours_on_errors() {
        Colours::Ansi
    } else {
        Colours::None
    };
    let mut output = io::stderr().lock();
    // Nobody to tell that there is nobody to tell.
    let _ = writeln!(output, "{}", render(diagnostics, colours).trim_end());
}

/// Whether standard error is a terminal that wants colours.
pub(crate) fn colours_on_errors() -> bool {
    wants_colours(io::stderr().is_terminal())
}

/// `NO_COLOR` (no-color.org) and dumb terminals say no.
fn wants_colours(is_terminal: bool) -> bool {
    is_terminal
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A table with aligned columns, numbers to the right, no markup.
pub(crate) fn table(headings: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .chain(headings.get(column))
            .map(|cell| shown(cell).chars().count())
            .max()
            .unwrap_or(0)
    };
    let is_number = |column: usize| {
        !rows.is_empty()
            && rows.iter().filter_map(|row| row.get(column)).all(|cell| {
                !cell.is_empty()
                    && cell
                        .chars()
                        .all(|character| character.is_ascii_digit() || ".-".contains(character))
            })
    };
    let columns: Vec<(usize, bool)> = (0..headings.len())
        .map(|column| (width(column), is_number(column)))
        .collect();
    let joined = |cells: &[String]| {
        let cells: Vec<String> = cells
            .iter()
            .zip(&columns)
            .map(|(cell, (width, number))| {
                let cell = shown(cell);
                if *number {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let rule: Vec<String> = columns
        .iter()
        .map(|(width, _)| "-".repeat(*width))
        .collect();
    let mut lines = vec![joined(headings), rule.join("  ")];
    lines.extend(rows.iter().map(|row| joined(row)));
    lines.join("\n")
}

/// A value on one line: what would move the cursor or fake a row is shown as `?`.
fn shown(cell: &str) -> String {
    cell.chars()
        .map(|character| {
            if character.is_control() {
                '?'
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headings: &[&str], rows: &[&[&str]], expected: &str) {
        let own = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows: Vec<Vec<String>> = rows.iter().map(|row| own(row)).collect();
        let headings: Vec<String> = own(headings);
        assert_eq!(table(&headings, &rows), expected);
    }

    #[test]
    fn tables_are_aligned_and_harmless() {
        check(&["id", "name"], &[], "id  name\n--  ----");
        check(
            &["id", "name"],
            &[&["7", "Zoë"], &["10", "x\x1b[2J\ny"]],
            "id  name\n--  -------\n 7  Zoë\n10  x?[2J?y",
        );
    }
}

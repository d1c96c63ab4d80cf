//! A moment of a session in words. Must never print a character of a client's that a terminal would obey.

use provost_evidence::replay::{
    ApprovalMoment, MaskedColumn, Moment, SessionMoment, StatementMoment, What,
};

use crate::output::{Tone, toned};

/// Characters of a statement's text that are shown.
const SQL_CHARACTERS_MAX: usize = 2_000;

/// A moment, on one line or more.
pub(super) fn moment(moment: &Moment) -> String {
    let at = format!("{:>+12.6} s  ", moment.offset_us as f64 / 1e6);
    let words = match &moment.what {
        What::Session(session) => session_words(session),
        What::Statement(statement) => statement_words(statement),
        What::Approval(approval) => approval_words(approval),
    };
    let indent = " ".repeat(at.chars().count());
    let mut lines = words.into_iter();
    let first = lines.next().unwrap_or_default();
    let rest = lines.map(|line| format!("\n{indent}{line}"));
    format!("{at}{first}{}", rest.collect::<String>())
}

/// When it was, RFC 3339.
pub(super) fn time(moment: &Moment) -> String {
    jiff::Timestamp::from_microsecond(moment.at.0)
        .map_or_else(|_| "at an unknown time".to_owned(), |at| at.to_string())
}

/// Text on one line, as it is where it is harmless: what a terminal could obey, or what is not seen, is shown by its number.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (place, character) in text.chars().enumerate() {
        if place == SQL_CHARACTERS_MAX {
            shown.push_str(" ...");
            break;
        }
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

fn session_words(session: &SessionMoment) -> Vec<String> {
    let said = |label: &str, value: &Option<String>| {
        let value = value.as_deref().filter(|value| !value.is_empty());
        value.map(|value| format!("{label} {}", plain(value)))
    };
    let mut who = vec![format!(
        "{} by {}{}",
        toned(Tone::Bold, &plain(&session.event)),
        plain(session.principal.as_deref().unwrap_or("nobody known")),
        session
            .principal_kind
            .as_ref()
            .map(|kind| format!(" ({})", plain(kind)))
            .unwrap_or_default(),
    )];
    who.extend(said("for", &session.on_behalf_of));
    who.extend(said("at", &session.target));
    if session.event != "closed" {
        who.extend(said("from", &session.client_addr));
        who.extend(said("as role", &session.role));
        who.extend(said("with", &session.application));
        who.push(
            if session.tls {
                "encrypted"
            } else {
                "in plain text"
            }
            .to_owned(),
        );
    }
    let mut lines = vec![who.join(", ")];
    if session.event != "closed" && !session.groups.is_empty() {
        let groups: Vec<String> = session.groups.iter().map(|group| plain(group)).collect();
        lines.push(format!("groups {}", groups.join(", ")));
    }
    lines.extend(said("because", &session.reason));
    lines
}

fn statement_words(statement: &StatementMoment) -> Vec<String> {
    let verdict = statement.verdict.as_deref().unwrap_or("undecided");
    let tone = match verdict {
        "allow" => Tone::Good,
        "break-glass" | "hold" => Tone::Notable,
        _ => Tone::Bad,
    };
    let number = statement
        .seq
        .map_or_else(String::new, |seq| format!("#{seq} "));
    let phase = match statement.phase.as_deref() {
        Some("prepare") => " (prepared)",
        _ => "",
    };
    let sql = match (&statement.sql, &statement.sql_digest) {
        (Some(sql), _) => plain(sql),
        (None, Some(digest)) => format!("(only a digest of its text is kept: {})", plain(digest)),
        (None, None) => "(its decision is not known)".to_owned(),
    };
    let mut lines = vec![format!(
        "{number}{}{phase}  {sql}",
        toned(tone, &plain(verdict))
    )];
    let names = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| plain(name)).collect();
        names.join(", ")
    };
    if !statement.rules.is_empty() {
        lines.push(format!("by {}", names(&statement.rules)));
    }
    if let Some(reason) = &statement.reason {
        lines.push(format!("because {}", plain(reason)));
    }
    if let Some(observed) = &statement.observed_verdict {
        let rules = names(&statement.observed_rules);
        lines.push(format!(
            "observing rules would {}: {rules}",
            plain(observed)
        ));
    }
    if let Some(approval) = &statement.approval_id {
        lines.push(format!("held for approval {}", plain(approval)));
    }
    lines.push(ending(statement));
    if !statement.masked.is_empty() {
        let masked: Vec<String> = statement.masked.iter().map(masked_words).collect();
        lines.push(format!(
            "{} {}",
            toned(Tone::Notable, "masked"),
            masked.join(", ")
        ));
    }
    lines
}

/// How it ended, with what there is to count.
fn ending(statement: &StatementMoment) -> String {
    let mut words = vec![plain(&statement.outcome)];
    if let Some(sqlstate) = &statement.sqlstate {
        words.push(format!("SQLSTATE {}", plain(sqlstate)));
    }
    if let Some(rows) = statement.rows {
        words.push(format!("{rows} rows"));
    }
    if let Some(duration_us) = statement.duration_us {
        words.push(format!("{:.3} ms", duration_us as f64 / 1e3));
    }
    words.join(", ")
}

fn masked_words(column: &MaskedColumn) -> String {
    let count = column
        .values_masked
        .map_or_else(String::new, |count| format!(", {count} values"));
    format!(
        "{} ({}: {} by {}{count})",
        plain(&column.output_column),
        plain(&column.class),
        plain(&column.transform),
        plain(&column.rule),
    )
}

fn approval_words(approval: &ApprovalMoment) -> Vec<String> {
    let mut lines = vec![format!(
        "approval {} {} by {}",
        plain(&approval.approval_id),
        toned(Tone::Notable, &plain(&approval.event)),
        plain(&approval.actor),
    )];
    if approval.event == "requested" && !approval.needs.is_empty() {
        let needs: Vec<String> = approval.needs.iter().map(|need| plain(need)).collect();
        lines.push(format!("needs {}", needs.join(", ")));
    }
    if let Some(reason) = &approval.reason {
        lines.push(format!("\"{}\"", plain(reason)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use provost_evidence::record::Micros;

    use super::*;

    #[test]
    fn text_of_clients_can_t_move_a_cursor() {
        let check = |text: &str, expected: &str| assert_eq!(plain(text), expected);
        check("SELECT 'é' -- \\", "SELECT 'é' -- \\");
        check(
            "a\u{1b}[2Jb\r\n\u{202e}c\u{0}",
            "a\\u{1b}[2Jb\\r\\n\\u{202e}c\\0",
        );
        assert_eq!(plain(&"x".repeat(2_001)).len(), 2_004);
    }

    #[test]
    fn a_statement_is_told_with_its_verdict_and_end() {
        let statement = StatementMoment {
            seq: Some(3),
            sql: Some("SELECT 1\n-- \u{7}".to_owned()),
            verdict: Some("allow".to_owned()),
            rules: vec!["read \"all\"".to_owned()],
            outcome: "failed".to_owned(),
            sqlstate: Some("22012".to_owned()),
            rows: Some(0),
            duration_us: Some(1_500),
            ..StatementMoment::default()
        };
        let told = moment(&Moment {
            at: Micros(0),
            offset_us: 2_500_000,
            what: What::Statement(Box::new(statement)),
        });
        let indent = " ".repeat(16);
        let expected = format!(
            "   +2.500000 s  #3 allow  SELECT 1\\n-- \\u{{7}}\n{indent}by read \"all\"\n{indent}failed, SQLSTATE 22012, 0 rows, 1.500 ms"
        );
        assert_eq!(told, expected);
    }
}

//! Ruling 11: which part of a statement's text may stand in evidence.
//!
//! It must never pass a literal or a comment of a statement that touches a classed column, or of which that can't be ruled out.

use std::ops::Range;

use provost_engine::{
    facts::{Column, Facts},
    sql::{Refusal, Statement, literal_spans},
};

use super::{Classes, EvidenceKey, cut, each_touched, names_its_columns};

/// The longest text kept in a record, in bytes, after redaction; the rest is cut and its size noted. The digest is over all of it.
const SQL_BYTES_MAX: usize = 64 * 1024;
/// Shorter literals are not looked for in a reason: they are everywhere (`1`, `''`) and tell nothing there.
const REASON_LITERAL_BYTES_MIN: usize = 3;

/// An analysed statement's text: literals and comments replaced unless the statement [`is_harmless`].
/// `None` where the spans don't fit the text: then only its digest is kept.
pub(super) fn statement(
    key: &EvidenceKey,
    text: &[u8],
    statement: &Statement,
    is_harmless: bool,
) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let kept = text.get(statement.span.clone())?;
    let sql = if is_harmless {
        kept.to_owned()
    } else {
        replace(key, text, &statement.span, &statement.literals)?
    };
    Some(capped(sql))
}

/// Whether a statement is wholly understood and touches no classed column: its literals and values may stand in evidence.
pub(crate) fn is_harmless(facts: &Facts, classes: &impl Classes) -> bool {
    is_harmless_touching(facts, &each_touched(facts), classes)
}

/// The same where it is known which columns it touches.
pub(super) fn is_harmless_touching(
    facts: &Facts,
    touched: &[&Column],
    classes: &impl Classes,
) -> bool {
    facts.opaque.is_empty()
        && names_its_columns(facts.kind)
        && !touched.iter().any(|column| classes.is_classed(column))
}

/// A text that was not analysed: what it touches is unknown, so every literal and comment is replaced.
/// `None` where not even its tokens can be told apart.
pub(super) fn unread(key: &EvidenceKey, text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let literals = literal_spans(text)?;
    replace(key, text, &(0..text.len()), &literals).map(capped)
}

/// Why a text was refused. PostgreSQL's own messages quote the text (`syntax error at or near "..."`), so those of the grammar
/// are said without the quote, and any literal of the text is replaced in the others.
pub(crate) fn reason(key: &EvidenceKey, text: &[u8], refused: &Refusal) -> String {
    let at = refused
        .position
        .map(|position| format!(" at character {position}"))
        .unwrap_or_default();
    let plain = || format!("not analysed{at} (SQLSTATE {})", refused.sqlstate);
    if refused.sqlstate == "42601" || refused.sqlstate.starts_with("22") {
        return format!("does not parse{at} (SQLSTATE {})", refused.sqlstate);
    }
    let Some((text, literals)) = std::str::from_utf8(text)
        .ok()
        .and_then(|text| Some((text, literal_spans(text)?)))
    else {
        return plain();
    };
    let mut reason = refused.message.clone();
    for literal in literals {
        let Some(token) = text.get(literal) else {
            return plain();
        };
        let inner = token.trim_matches('\'');
        if inner.len() >= REASON_LITERAL_BYTES_MIN && reason.contains(inner) {
            reason = reason.replace(inner, &key.literal(token));
        }
    }
    reason
}

/// The text of `span` with each of `literals` replaced. `None` unless the ranges are ascending and fit.
fn replace(
    key: &EvidenceKey,
    text: &str,
    span: &Range<usize>,
    literals: &[Range<usize>],
) -> Option<String> {
    let mut replaced = String::with_capacity(span.len());
    let mut from = span.start;
    for literal in literals {
        if literal.start < from || literal.end > span.end {
            return None;
        }
        let token = text.get(literal.clone())?;
        replaced.push_str(text.get(from..literal.start)?);
        if is_comment(token) {
            replaced.push_str("/* hmac */ ");
        } else {
            replaced.push_str(&key.literal(token));
        }
        from = literal.end;
    }
    replaced.push_str(text.get(from..span.end)?);
    Some(replaced)
}

fn is_comment(token: &str) -> bool {
    token.starts_with("--") || token.starts_with("/*")
}

fn capped(sql: String) -> String {
    if sql.len() <= SQL_BYTES_MAX {
        return sql;
    }
    let kept = cut(&sql, SQL_BYTES_MAX);
    format!("{kept} /* cut: {} more bytes */", sql.len() - kept.len())
}

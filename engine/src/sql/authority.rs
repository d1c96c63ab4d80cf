//! PostgreSQL's own grammar: text to tree, its errors as PostgreSQL words them, the tokens of a text.
//! Never repairs or guesses: what the grammar refuses is refused.

use std::ops::Range;

use pg_query::protobuf::{ParseResult, ScanToken, Token};

use super::Refusal;

/// Longest text whose syntax errors get a position; finding it parses prefixes.
const POSITION_BYTES_MAX: usize = 64 << 10;

/// Parses a text.
///
/// # Errors
/// PostgreSQL's own syntax error.
pub(crate) fn parse(text: &str) -> Result<ParseResult, Refusal> {
    match pg_query::parse(text, 0) {
        Ok(result) => Ok(result.protobuf),
        Err(pg_query::Error::Parse(message)) => Err(syntax_error(text, message)),
        Err(_) => Err(Refusal::not_understood("this text")),
    }
}

/// The tokens of a text, in order, with byte ranges; `None` when the lexer refuses it.
pub(crate) fn tokens(text: &str) -> Option<Vec<(Range<usize>, Token)>> {
    // INVARIANT: the library is never asked for the tokens of a text without any: it makes a slice of a null pointer
    // then, which is undefined behaviour (and ends the process in a debug build).
    if text
        .bytes()
        .all(|byte| byte.is_ascii_whitespace() || byte == b'\x0b')
    {
        return Some(Vec::new());
    }
    let scanned = pg_query::scan_tokens(text).ok()?;
    let mut tokens = Vec::with_capacity(scanned.len());
    for ScanToken {
        start, end, token, ..
    } in scanned
    {
        let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        tokens.push((range, Token::try_from(token).unwrap_or(Token::Nul)));
    }
    Some(tokens)
}

/// Those of a text's tokens that lie within `span`, bytes of the text.
pub(super) fn within<'t>(
    tokens: &'t [(Range<usize>, Token)],
    span: &Range<usize>,
) -> &'t [(Range<usize>, Token)] {
    let first = tokens.partition_point(|(range, _)| range.start < span.start);
    let after = tokens.partition_point(|(range, _)| range.end <= span.end);
    tokens.get(first..after).unwrap_or_default()
}

/// Whether a token is a constant or a comment: what evidence may have to redact.
pub(super) fn is_literal(token: Token) -> bool {
    matches!(
        token,
        Token::Sconst
            | Token::Usconst
            | Token::Bconst
            | Token::Xconst
            | Token::Iconst
            | Token::Fconst
            | Token::SqlComment
            | Token::CComment
    )
}

fn syntax_error(text: &str, message: String) -> Refusal {
    let mut refusal = if message.contains("stack depth") || message.contains("memory") {
        Refusal::new("54001", message)
            .hint("the statement nests too deeply to be read: write it with less nesting")
    } else {
        Refusal::new("42601", message)
    };
    refusal.position = error_offset(text, &refusal.message)
        .and_then(|offset| u32::try_from(offset.saturating_add(1)).ok());
    refusal
}

/// The byte at which the parser gave up. The binding drops it, so it is found again: it is the first token with which
/// a prefix is refused for another reason than its end, and that is monotone in the prefix.
fn error_offset(text: &str, message: &str) -> Option<usize> {
    if text.len() > POSITION_BYTES_MAX {
        return None;
    }
    if message.contains("at end of input") {
        return Some(text.len());
    }
    if !message.contains("at or near") {
        return None;
    }
    let tokens = tokens(text)?;
    let refused = |count: usize| {
        let end = count
            .checked_sub(1)
            .and_then(|last| tokens.get(last))
            .map_or(0, |(range, _)| range.end);
        match text.get(..end).map(|prefix| pg_query::parse(prefix, 0)) {
            Some(Err(pg_query::Error::Parse(message))) => !message.contains("at end of input"),
            _ => false,
        }
    };
    let (mut viable, mut refusing) = (0, tokens.len());
    while refusing.saturating_sub(viable) > 1 {
        let middle = viable.midpoint(refusing);
        if refused(middle) {
            refusing = middle
        } else {
            viable = middle
        }
    }
    tokens
        .get(refusing.checked_sub(1)?)
        .map(|(range, _)| range.start)
}

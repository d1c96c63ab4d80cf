//! Words of the language that this version does not have yet. Each is reported by name; none is ignored.

use crate::{
    diagnostic::{Diagnostic, File},
    lexer::{Spanned, Token},
};

/// Reports what a declaration uses that is not there yet, and leaves it out, so that the rest can still be checked.
///
/// `None`: nothing of the declaration is left.
pub(crate) fn report<'input>(
    declaration: &[Spanned<'input>],
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Spanned<'input>>> {
    if let Some((start, Token::Absent(word @ ("invariant" | "test")), end)) = declaration.first() {
        diagnostics.push(not_yet(&(*start..*end), word, file));
        return None;
    }
    let mut kept = Vec::with_capacity(declaration.len());
    let mut depth = 0_usize;
    let mut skipping = false;
    let mut previous = None;
    for spanned @ (start, token, end) in declaration {
        match token {
            Token::BraceOpen => depth += 1,
            Token::BraceClose => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_name = previous == Some(Token::Dot) || depth > 0;
        previous = Some(*token);
        if !is_name {
            if let Token::Absent(word) = token {
                diagnostics.push(not_yet(&(*start..*end), word, file));
                kept.push(*spanned);
                skipping = true;
                continue;
            }
            skipping &= !begins_clause(*token);
        }
        if !skipping {
            kept.push(*spanned);
        }
    }
    Some(kept)
}

fn not_yet(span: &crate::ast::Span, word: &str, file: &File) -> Diagnostic {
    file.error(
        span,
        format!("`{word}` is not part of this version yet"),
        "not there yet",
    )
    .with_help("rules are `allow`, `deny` and `mask` so far")
}

fn begins_clause(token: Token<'_>) -> bool {
    matches!(
        token,
        Token::Allow
            | Token::Deny
            | Token::Mask
            | Token::For
            | Token::When
            | Token::With
            | Token::Probing
            | Token::Because
            | Token::Satisfies
    )
}

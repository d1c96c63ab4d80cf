//! Where declarations begin. Never lets a mistake in one swallow the next: what only a declaration can look like begins
//! one, even behind a brace that was never closed.

use crate::{
    diagnostic::{Diagnostic, File, nearest},
    lexer::{Spanned, Token},
    vocabulary,
};

/// Whether a declaration can begin with it.
pub(super) fn begins(token: Token<'_>) -> bool {
    matches!(
        token,
        Token::Controls
            | Token::Group
            | Token::Class
            | Token::Rule
            | Token::Exclude
            | Token::Invariant
            | Token::Test
            | Token::Observe
    )
}

/// Splits a file before every word that begins a declaration.
pub(super) fn split<'a, 'input>(
    tokens: &'a [Spanned<'input>],
) -> impl Iterator<Item = &'a [Spanned<'input>]> {
    let mut depth = 0_usize;
    let mut starts: Vec<usize> = vec![0];
    for index in 0..tokens.len() {
        let Some((_, token, _)) = tokens.get(index) else {
            break;
        };
        if index > 0 && begins(*token) && begins_here(tokens, index, depth) {
            starts.push(index);
            depth = 0;
        }
        match token {
            Token::BraceOpen => depth += 1,
            Token::BraceClose => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let ends = starts.clone().into_iter().skip(1).chain([tokens.len()]);
    starts
        .into_iter()
        .zip(ends)
        .filter_map(|(start, end)| tokens.get(start..end))
        .filter(|declaration| !declaration.is_empty())
}

/// Whether the word at `index` begins a declaration; it may also be a name behind a dot or in braces, a class of a
/// pattern (`on class pii`) or an attribute (`class = pii`).
fn begins_here(tokens: &[Spanned<'_>], index: usize, depth: usize) -> bool {
    let at = |index: usize| tokens.get(index).map(|(_, token, _)| *token);
    let (word, next, after) = (at(index), at(index + 1), at(index + 2));
    let named = next.is_some_and(is_name);
    match word {
        // Nothing else looks like these.
        Some(Token::Controls | Token::Group | Token::Class)
            if named && after == Some(Token::Equals) =>
        {
            return true;
        }
        Some(Token::Rule) if matches!(next, Some(Token::Word(_))) => return true,
        Some(Token::Invariant) if matches!(next, Some(Token::Word(_))) => return true,
        Some(Token::Test)
            if matches!(next, Some(Token::Text(_))) && after == Some(Token::BraceOpen) =>
        {
            return true;
        }
        // `observe` alone is a clause.
        Some(Token::Observe) if !matches!(next, Some(Token::Word(_))) => return false,
        _ => {}
    }
    let before = index.checked_sub(1).and_then(at);
    let is_operand = matches!(
        before,
        Some(
            Token::Dot
                | Token::Comma
                | Token::On
                | Token::ParenthesisOpen
                | Token::Equals
                | Token::Comparison(_)
                | Token::When
                | Token::And
                | Token::Or
                | Token::Not
                | Token::In
                | Token::Has
                | Token::By
        )
    );
    depth == 0 && !is_operand
}

fn is_name(token: Token<'_>) -> bool {
    // Words that mean something elsewhere are names too; those that a name can be followed by are left out.
    matches!(
        token,
        Token::Word(_) | Token::Session | Token::Schema | Token::Run
    )
}

/// Reads a word at the beginning of a line that can only be a misspelt `rule`, `group` and so on as what is meant.
pub(super) fn put_right<'input>(
    tokens: &mut [Spanned<'input>],
    text: &str,
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let words: Vec<&str> = vocabulary::DECLARATIONS
        .iter()
        .map(|one| one.name)
        .collect();
    for index in 0..tokens.len() {
        let Some(&(start, Token::Word(word), end)) = tokens.get(index) else {
            continue;
        };
        if !is_first_of_line(tokens, index, text) {
            continue;
        }
        let meant = nearest(word, &words).or_else(|| vocabulary::slip(word, &words));
        let Some(meant) = meant.filter(|meant| looks_like(meant, tokens, index)) else {
            continue;
        };
        let Some((_, token)) = crate::lexer::WORDS.iter().find(|(word, _)| *word == meant) else {
            continue;
        };
        let error = file.error(
            &(start..end),
            format!("`{word}` begins no declaration"),
            "no such word",
        );
        diagnostics.push(error.with_help(format!("did you mean `{meant}`?")));
        if let Some(slot) = tokens.get_mut(index) {
            slot.1 = *token;
        }
    }
}

fn is_first_of_line(tokens: &[Spanned<'_>], index: usize, text: &str) -> bool {
    let Some((start, _, _)) = tokens.get(index) else {
        return false;
    };
    let before = index
        .checked_sub(1)
        .and_then(|before| tokens.get(before))
        .map_or(0, |(_, _, end)| *end);
    index == 0
        || text
            .get(before..*start)
            .is_some_and(|between| between.contains('\n'))
}

/// Whether what follows is what follows that word in a declaration.
fn looks_like(meant: &str, tokens: &[Spanned<'_>], index: usize) -> bool {
    let at = |index: usize| tokens.get(index).map(|(_, token, _)| *token);
    let (next, after) = (at(index + 1), at(index + 2));
    let named = matches!(next, Some(Token::Word(_)));
    match meant {
        "controls" | "group" | "class" => named && after == Some(Token::Equals),
        "test" => matches!(next, Some(Token::Text(_))) && after == Some(Token::BraceOpen),
        "rule" => {
            named
                && matches!(
                    after,
                    Some(
                        Token::Allow
                            | Token::Deny
                            | Token::BreakGlass
                            | Token::Hold
                            | Token::Mask
                            | Token::Limit
                            | Token::Record
                            | Token::For
                            | Token::Observe
                    )
                )
        }
        "invariant" => named && matches!(after, Some(Token::Always | Token::Never)),
        "exclude" => matches!(next, Some(Token::Word(crate::BASELINE))),
        _ => false,
    }
}

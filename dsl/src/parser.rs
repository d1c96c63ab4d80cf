//! Tokens to the syntax tree, one declaration at a time, so that a mistake in one hides none in the others.
//!
//! Never ignores a word: what this version does not have is reported by name, what can't be read is an error.

use lalrpop_util::{ErrorRecovery, ParseError, lalrpop_mod};

use crate::{
    absent,
    ast::{Item, Span},
    diagnostic::{Diagnostic, File, nearest},
    lexer::{self, Spanned, Token},
};

lalrpop_mod!(
    #[expect(
        clippy::all,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::panic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        unreachable_pub,
        reason = "generated code"
    )]
    grammar
);

/// How many operators and parentheses a declaration may have; more are an error (conditions are walked by recursion).
const NESTING_MAX: usize = 500;

/// No token is bad once it was lexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadToken {}

type Failure<'input> = ParseError<usize, Token<'input>, BadToken>;

/// Parses one file. Every mistake that was found is in the second part.
pub(crate) fn parse(text: &str, file: &File) -> (Vec<Item>, Vec<Diagnostic>) {
    let lexed = lexer::lex(text);
    let mut diagnostics: Vec<Diagnostic> = lexed
        .errors
        .iter()
        .map(|span| {
            let open = text
                .get(span.clone())
                .is_some_and(|found| found.starts_with('"'));
            let (message, label) = if open {
                ("a text is not closed on its line", "add the closing quote")
            } else {
                ("nothing in the language looks like this", "unexpected")
            };
            file.error(span, message, label)
        })
        .collect();
    let mut items = Vec::new();
    for declaration in declarations(&lexed.tokens) {
        let Some(tokens) = absent::report(declaration, file, &mut diagnostics) else {
            items.push(Item::Absent);
            continue;
        };
        if let Some(item) = parse_declaration(text, &tokens, file, &mut diagnostics) {
            items.push(item);
        }
    }
    (items, diagnostics)
}

/// Splits a file before every word that begins a declaration.
fn declarations<'a, 'input>(
    tokens: &'a [Spanned<'input>],
) -> impl Iterator<Item = &'a [Spanned<'input>]> {
    let mut depth = 0_usize;
    let mut previous = None;
    let starts: Vec<usize> = tokens
        .iter()
        .enumerate()
        .filter(|(_, (_, token, _))| {
            let after_dot = previous.replace(*token) == Some(Token::Dot);
            match token {
                Token::BraceOpen => depth += 1,
                Token::BraceClose => depth = depth.saturating_sub(1),
                _ => {}
            }
            // A brace that was never closed must not swallow the rest of the file: `rule NAME` always begins one.
            depth == 0 && !after_dot && begins_declaration(*token)
        })
        .map(|(index, _)| index)
        .collect();
    let first = (!tokens.is_empty() && starts.first() != Some(&0)).then_some(0);
    let ends = starts
        .clone()
        .into_iter()
        .chain([tokens.len()])
        .skip(usize::from(first.is_none()));
    first
        .into_iter()
        .chain(starts)
        .zip(ends)
        .filter_map(|(start, end)| tokens.get(start..end))
}

fn begins_declaration(token: Token<'_>) -> bool {
    matches!(
        token,
        Token::Controls
            | Token::Group
            | Token::Class
            | Token::Rule
            | Token::Exclude
            | Token::Absent("invariant" | "test")
    )
}

fn parse_declaration(
    text: &str,
    tokens: &[Spanned<'_>],
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Item> {
    let whole = tokens.first()?.0..tokens.last()?.2;
    if let Some(deep) = too_deep(tokens) {
        diagnostics.push(file.error(
            &deep,
            format!("more than {NESTING_MAX} operators and parentheses in one declaration"),
            "one too many",
        ));
        return None;
    }
    let mut recovered = Vec::new();
    let result = grammar::ItemParser::new().parse(text, &mut recovered, tokens.iter().copied());
    for ErrorRecovery {
        error,
        dropped_tokens: _,
    } in recovered
    {
        diagnostics.push(diagnose(error, text, tokens, &whole, file));
    }
    match result {
        Ok(item) => Some(item),
        Err(error) => {
            diagnostics.push(diagnose(error, text, tokens, &whole, file));
            None
        }
    }
}

/// Where a declaration has more parentheses and `not` than a condition may have.
fn too_deep(tokens: &[Spanned<'_>]) -> Option<Span> {
    tokens
        .iter()
        .filter(|(_, token, _)| {
            matches!(
                token,
                Token::Not | Token::And | Token::Or | Token::ParenthesisOpen
            )
        })
        .nth(NESTING_MAX)
        .map(|(start, _, end)| *start..*end)
}

/// A parse error in words.
fn diagnose(
    error: Failure<'_>,
    text: &str,
    tokens: &[Spanned<'_>],
    whole: &Span,
    file: &File,
) -> Diagnostic {
    let (span, expected, found) = match error {
        ParseError::UnrecognizedToken {
            token: (start, _, end),
            expected,
        } => (
            start..end,
            expected,
            text.get(start..end).map(ToOwned::to_owned),
        ),
        ParseError::ExtraToken {
            token: (start, _, end),
        } => (
            start..end,
            Vec::new(),
            text.get(start..end).map(ToOwned::to_owned),
        ),
        ParseError::UnrecognizedEof {
            location: _,
            expected,
        } => (whole.end..whole.end, expected, None),
        ParseError::InvalidToken { location } => (location..location, Vec::new(), None),
        ParseError::User { error } => match error {},
    };
    let begins = tokens.first().map(|(_, token, _)| *token);
    if found.is_none()
        && begins == Some(Token::Class)
        && expected.iter().any(|one| one == "\"word\"")
    {
        return file
            .error(whole, "a class with no columns", "nothing is in it")
            .with_help("a class lists columns: `class pii = public.customers.{ssn, email}`");
    }
    if begins.is_some_and(|token| !begins_declaration(token)) && span.start == whole.start {
        return file
            .error(
                &span,
                format!("`{}` begins no declaration", found.unwrap_or_default()),
                "unexpected",
            )
            .with_help("a file is made of `controls`, `group`, `class`, `rule` and `exclude`");
    }
    let message = match &found {
        Some(found) => format!("`{found}` is not expected here"),
        None => "the declaration ends too early".to_owned(),
    };
    let diagnostic = file.error(
        &span,
        message,
        if found.is_some() {
            "unexpected"
        } else {
            "more is expected here"
        },
    );
    let words: Vec<&str> = expected
        .iter()
        .map(|one| one.trim_matches('"'))
        .filter(|one| one.chars().all(char::is_alphabetic))
        .collect();
    if let Some(meant) = found.as_deref().and_then(|found| nearest(found, &words)) {
        return diagnostic.with_help(format!("did you mean `{meant}`?"));
    }
    match in_words(&expected) {
        Some(help) => diagnostic.with_help(format!("expected {help}")),
        None => diagnostic,
    }
}

/// What the parser would take, in a person's words; nothing where that is nearly everything.
fn in_words(expected: &[String]) -> Option<String> {
    const TOO_MANY: usize = 8;
    let mut words: Vec<String> = expected
        .iter()
        .map(|one| match one.trim_matches('"') {
            "word" => "a name".to_owned(),
            "text" => "a text in quotes".to_owned(),
            "number" => "a number".to_owned(),
            "comparison" => "a comparison".to_owned(),
            other => format!("`{other}`"),
        })
        .filter(|one| one != "`absent`")
        .collect();
    words.sort();
    words.dedup();
    if words.len() > TOO_MANY {
        words.retain(|one| !one.starts_with('`'));
    }
    let last = words.pop()?;
    Some(if words.is_empty() {
        last
    } else {
        format!("{} or {last}", words.join(", "))
    })
}

/// The text between the quotes, escapes undone. The lexer lets only `\"` and `\\` through.
pub(crate) fn unquote(quoted: &str) -> String {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(quoted);
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

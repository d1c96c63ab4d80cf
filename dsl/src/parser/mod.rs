//! Tokens to the syntax tree, one declaration at a time, so that a mistake in one hides none in the others.
//!
//! Never ignores a word: what can't be read is an error, and a slip that is read as what was meant is one too.

mod declarations;
mod explain;

use lalrpop_util::{ErrorRecovery, ParseError, lalrpop_mod};

use self::explain::{Problem, Slip};
use crate::{
    ast::{ClauseKind, Item, Name, Span, StepKind},
    diagnostic::{Diagnostic, File},
    lexer::{self, LexError, LexErrorKind, Spanned, Token},
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
/// How often a declaration is read again after slips in it were put right; further ones are reported as they stand.
const ROUNDS_MAX: usize = 8;

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
        .map(|error| explain_lexing(error, text, file))
        .collect();
    let mut tokens = lexed.tokens;
    declarations::put_right(&mut tokens, text, file, &mut diagnostics);
    let items = declarations::split(&tokens)
        .map(|declaration| {
            parse_declaration(text, declaration, &lexed.errors, file, &mut diagnostics)
        })
        .collect();
    (items, diagnostics)
}

fn explain_lexing(LexError { kind, span }: &LexError, text: &str, file: &File) -> Diagnostic {
    let found = text.get(span.clone()).unwrap_or_default();
    match kind {
        LexErrorKind::OpenText => file.error(
            span,
            "a text is not closed on its line",
            "add the closing quote",
        ),
        LexErrorKind::Comment => file
            .error(span, "this is no comment", "not a comment here")
            .with_help("a comment begins with `#`"),
        LexErrorKind::Quotes => file
            .error(
                span,
                "a text is written in double quotes",
                "not in these quotes",
            )
            .with_help("write `\"text\"`"),
        LexErrorKind::Means(word) => file
            .error(
                span,
                format!("`{found}` is not part of the language"),
                "unexpected",
            )
            .with_help(format!("did you mean `{word}`?")),
        LexErrorKind::Unknown => {
            let error = file.error(
                span,
                "nothing in the language looks like this",
                "unexpected",
            );
            match found {
                ";" => error.with_help("nothing separates clauses: leave the `;` out"),
                "[" | "]" => error
                    .with_help("lists are written `(a, b)` in conditions and `{a, b}` in patterns"),
                "/" => error
                    .with_help("a regular expression is written between two slashes: `/ssn.*/`"),
                _ => error,
            }
        }
    }
}

fn parse_declaration(
    text: &str,
    tokens: &[Spanned<'_>],
    lexing: &[LexError],
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) -> Item {
    let unread = Item::Unread(declared_name(text, tokens));
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return unread;
    };
    let whole = first.0..last.2;
    if let Some(deep) = too_deep(tokens) {
        diagnostics.push(file.error(
            &deep,
            format!("more than {NESTING_MAX} operators and parentheses in one declaration"),
            "one too many",
        ));
        return unread;
    }
    if !declarations::begins(first.1) {
        let found = text.get(first.0..first.2).unwrap_or_default();
        diagnostics.push(explain::no_declaration(found, first, file));
        return unread;
    }
    let mut tokens = tokens.to_vec();
    let (mut item, mut failures) = read(text, &tokens);
    for _ in 0..ROUNDS_MAX {
        let slips: Vec<Slip> = failures
            .iter()
            .filter_map(|failure| explain::slip(failure, &tokens, text))
            .collect();
        if slips.is_empty() {
            break;
        }
        for slip in slips {
            diagnostics.push(slip.explain(text, &tokens, file));
            slip.put_right(&mut tokens);
        }
        (item, failures) = read(text, &tokens);
    }
    let mut lines_seen: Vec<Span> = Vec::new();
    for failure in &failures {
        let problem = Problem::new(failure, text, &tokens, &whole);
        // One mistake on a line: what follows it there may be read wrongly because of it.
        let line = line_of(text, problem.span.start);
        let lexing_error = lexing.iter().any(|error| {
            whole.start <= error.span.start && line_of(text, error.span.start) == line
        });
        if lexing_error || lines_seen.contains(&line) {
            continue;
        }
        lines_seen.push(line);
        diagnostics.push(problem.explain(file));
    }
    // What a lexing error broke is reported already, and so is a declaration that could not be read.
    let mut item = item.unwrap_or(unread);
    forget_what_follows(&mut item, text, &tokens);
    item
}

/// Reads one declaration, with everything that failed, in order.
fn read<'input>(
    text: &'input str,
    tokens: &[Spanned<'input>],
) -> (Option<Item>, Vec<Failure<'input>>) {
    let mut recovered: Vec<ErrorRecovery<usize, Token<'input>, BadToken>> = Vec::new();
    let result = grammar::ItemParser::new().parse(text, &mut recovered, tokens.iter().copied());
    let mut failures: Vec<Failure<'input>> = recovered
        .into_iter()
        .map(|recovery| recovery.error)
        .collect();
    match result {
        Ok(item) => (Some(item), failures),
        Err(failure) => {
            failures.push(failure);
            (None, failures)
        }
    }
}

/// A clause that could not be read may have been cut short at a word that also begins a clause (`deny`, `limit`): what
/// follows on its line is not taken for one.
fn forget_what_follows(item: &mut Item, text: &str, tokens: &[Spanned<'_>]) {
    let mut broken: Option<Span> = None;
    if let Item::Rule { clauses, .. } | Item::Invariant { clauses, .. } = item {
        for clause in clauses {
            let line = line_of(text, clause.span.start);
            let begins_elsewhere = tokens
                .iter()
                .find(|(start, _, _)| *start == clause.span.start)
                .is_some_and(|(_, token, _)| {
                    matches!(
                        token,
                        Token::Allow
                            | Token::Deny
                            | Token::Mask
                            | Token::Limit
                            | Token::Record
                            | Token::Never
                            | Token::Always
                    )
                });
            if clause.kind == ClauseKind::Error {
                broken = Some(line_of(text, clause.span.end.max(clause.span.start)));
            } else if begins_elsewhere && broken.as_ref() == Some(&line) {
                clause.kind = ClauseKind::Error;
            } else {
                broken = None;
            }
        }
    }
}

/// Whether anything in a declaration could not be read.
pub(crate) fn is_partly_unread(item: &Item) -> bool {
    match item {
        Item::Rule { clauses, .. } | Item::Invariant { clauses, .. } => clauses
            .iter()
            .any(|clause| clause.kind == ClauseKind::Error),
        Item::Test { steps, .. } => steps.iter().any(|step| step.kind == StepKind::Error),
        Item::Unread(_) => true,
        Item::Controls { .. }
        | Item::Group { .. }
        | Item::Class { .. }
        | Item::Exclude(_)
        | Item::Observe(_) => false,
    }
}

/// The name behind the word that begins a declaration, so that using it is no mistake of its own.
fn declared_name(text: &str, tokens: &[Spanned<'_>]) -> Option<Name> {
    match tokens {
        [(_, keyword, _), (start, Token::Word(_), end), ..] if declarations::begins(*keyword) => {
            Some(Name::new(*start, text.get(*start..*end)?.to_owned(), *end))
        }
        _ => None,
    }
}

/// The bytes of the line that `offset` is on.
fn line_of(text: &str, offset: usize) -> Span {
    let offset = offset.min(text.len());
    let start = text
        .get(..offset)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1);
    let end = text
        .get(offset..)
        .and_then(|after| after.find('\n'))
        .map_or(text.len(), |newline| offset + newline);
    start..end
}

/// Where a declaration has more parentheses and operators than a condition may have.
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

/// The text between the quotes, escapes undone. The lexer lets only `\"` and `\\` through.
pub(crate) fn unquote(quoted: &str) -> String {
    let mut characters = quoted.chars();
    characters.next();
    characters.next_back();
    let mut text = String::with_capacity(quoted.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

/// The expression between the slashes.
pub(crate) fn unslash(written: &str) -> String {
    written
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'))
        .unwrap_or(written)
        .replace("\\/", "/")
}

/// A number's digits without underscores.
pub(crate) fn number(written: &str) -> String {
    written.replace('_', "")
}

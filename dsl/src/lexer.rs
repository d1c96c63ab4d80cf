//! Text to tokens. Never drops anything silently: comments are handed over beside the tokens, and a character that
//! starts no token is reported.

use std::ops::Range;

use logos::Logos;

/// A token of the language. Words that mean something in one place only (`last`, `redact`, `read`) are [`Token::Word`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Logos)]
#[logos(skip r"[ \t\r\n\u{feff}]+")]
pub(crate) enum Token<'input> {
    /// From `#` to the end of the line.
    #[regex(r"#[^\n]*", |lexer| lexer.slice(), allow_greedy = true)]
    Comment(&'input str),
    /// A name, perhaps with stars: `agents-work`, `public`, `cust*`.
    #[regex(r"[\p{L}_*][\p{L}\p{M}\p{N}_$*-]*", |lexer| lexer.slice())]
    Word(&'input str),
    /// A number; underscores between digits mean nothing.
    #[regex(r"[0-9][0-9_]*", |lexer| lexer.slice())]
    Number(&'input str),
    /// A text in double quotes, with its quotes. `\"` and `\\` are escapes.
    #[regex(r#""([^"\\\n]|\\["\\])*""#, |lexer| lexer.slice())]
    Text(&'input str),

    #[token("controls")]
    Controls,
    #[token("group")]
    Group,
    #[token("class")]
    Class,
    #[token("rule")]
    Rule,
    #[token("exclude")]
    Exclude,
    #[token("allow")]
    Allow,
    #[token("deny")]
    Deny,
    #[token("mask")]
    Mask,
    #[token("on")]
    On,
    #[token("for")]
    For,
    #[token("anyone")]
    Anyone,
    #[token("except")]
    Except,
    #[token("when")]
    When,
    #[token("and")]
    And,
    #[token("or")]
    Or,
    #[token("not")]
    Not,
    #[token("by")]
    By,
    #[token("with")]
    With,
    #[token("otherwise")]
    Otherwise,
    #[token("probing")]
    Probing,
    #[token("because")]
    Because,
    #[token("satisfies")]
    Satisfies,

    /// Words that begin something which this version does not have: see [`crate::absent`].
    #[token("hold")]
    #[token("limit")]
    #[token("record")]
    #[token("until")]
    #[token("observe")]
    #[token("invariant")]
    #[token("test")]
    Absent(&'input str),

    #[token(".")]
    Dot,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token("{")]
    BraceOpen,
    #[token("}")]
    BraceClose,
    #[token("(")]
    ParenthesisOpen,
    #[token(")")]
    ParenthesisClose,
    #[token("=")]
    Equals,
    /// A comparison other than `=`.
    #[token("<")]
    #[token(">")]
    #[token("<=")]
    #[token(">=")]
    #[token("!=")]
    Comparison(&'input str),
}

/// A token with the bytes it is at.
pub(crate) type Spanned<'input> = (usize, Token<'input>, usize);

/// A file's tokens.
#[derive(Debug, Default)]
pub(crate) struct Lexed<'input> {
    /// The tokens without comments.
    pub(crate) tokens: Vec<Spanned<'input>>,
    /// The comments, for whoever prints the file again.
    pub(crate) comments: Vec<Spanned<'input>>,
    /// Where no token starts.
    pub(crate) errors: Vec<Range<usize>>,
}

/// Splits a file into tokens.
pub(crate) fn lex(text: &str) -> Lexed<'_> {
    let mut lexed = Lexed::default();
    for (token, span) in Token::lexer(text).spanned() {
        match token {
            Ok(token @ Token::Comment(_)) => lexed.comments.push((span.start, token, span.end)),
            Ok(token) => lexed.tokens.push((span.start, token, span.end)),
            // One report for a run of bytes that start no token.
            Err(()) => match lexed.errors.last_mut() {
                Some(last) if last.end == span.start => last.end = span.end,
                _ => lexed.errors.push(span),
            },
        }
    }
    lexed
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let lexed = lex(text);
        let mut shown = String::new();
        for (start, token, end) in lexed.tokens.iter().chain(&lexed.comments) {
            shown.push_str(&format!("{start}..{end} {token:?}\n"));
        }
        for error in lexed.errors {
            shown.push_str(&format!("{}..{} error\n", error.start, error.end));
        }
        expected.assert_eq(&shown);
    }

    #[test]
    fn tokens() {
        check(
            "rule a-b # c\n mask cust*.{x}, \"q\\\"\" 1_000",
            expect![[r##"
                0..4 Rule
                5..8 Word("a-b")
                14..18 Mask
                19..24 Word("cust*")
                24..25 Dot
                25..26 BraceOpen
                26..27 Word("x")
                27..28 BraceClose
                28..29 Comma
                30..35 Text("\"q\\\"\"")
                36..41 Number("1_000")
                9..12 Comment("# c")
            "##]],
        );
    }

    #[test]
    fn bytes_that_start_no_token() {
        check(
            "rule ;;; a \"open",
            expect![[r#"
                0..4 Rule
                9..10 Word("a")
                5..8 error
                11..16 error
            "#]],
        );
    }
}

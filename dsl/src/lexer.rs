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
    /// A whole number; underscores between digits mean nothing.
    #[regex(r"-?[0-9][0-9_]*", |lexer| lexer.slice())]
    Number(&'input str),
    /// A number with a point.
    #[regex(r"[0-9][0-9_]*\.[0-9][0-9_]*", |lexer| lexer.slice())]
    Decimal(&'input str),
    /// A text in double quotes, with its quotes. `\"` and `\\` are escapes.
    #[regex(r#""([^"\\\n]|\\["\\])*""#, |lexer| lexer.slice())]
    Text(&'input str),
    /// A regular expression, with its slashes. `\/` is a slash.
    #[regex(r"/([^/\\\n]|\\[^\n])+/", |lexer| lexer.slice())]
    Regex(&'input str),
    /// An address or a network: `10.0.0.0/8`, `fe80::/10`.
    #[regex(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(/[0-9]+)?", |lexer| lexer.slice())]
    #[regex(r"[0-9a-fA-F]{0,4}:[0-9a-fA-F]{0,4}:[0-9a-fA-F:]*(\.[0-9]+\.[0-9]+\.[0-9]+)?(/[0-9]+)?", |lexer| lexer.slice())]
    Address(&'input str),
    /// A time of day: `09:00`.
    #[regex(r"[0-9][0-9]?:[0-9][0-9]", |lexer| lexer.slice())]
    Clock(&'input str),

    // Words that begin a declaration or a clause, or join one: names only behind a dot, in braces or in quotes.
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
    #[token("invariant")]
    Invariant,
    #[token("test")]
    Test,
    #[token("observe")]
    Observe,
    #[token("allow")]
    Allow,
    #[token("deny")]
    Deny,
    #[token("break-glass")]
    BreakGlass,
    #[token("hold")]
    Hold,
    #[token("mask")]
    Mask,
    #[token("limit")]
    Limit,
    #[token("record")]
    Record,
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
    #[token("until")]
    Until,
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

    // Words that mean something in their place and are names in every other.
    #[token("always")]
    Always,
    #[token("never")]
    Never,
    #[token("by")]
    By,
    #[token("in")]
    In,
    #[token("of")]
    Of,
    #[token("per")]
    Per,
    #[token("to")]
    To,
    #[token("zone")]
    Zone,
    #[token("like")]
    Like,
    #[token("matches")]
    Matches,
    #[token("has")]
    Has,
    #[token("is")]
    Is,
    #[token("present")]
    Present,
    #[token("approve")]
    Approve,
    #[token("within")]
    Within,
    #[token("keep")]
    Keep,
    #[token("round")]
    Round,
    #[token("truncate")]
    Truncate,
    #[token("schema")]
    Schema,
    #[token("as")]
    As,
    #[token("behalf")]
    Behalf,
    #[token("claim")]
    Claim,
    #[token("session")]
    Session,
    #[token("at")]
    At,
    #[token("given")]
    Given,
    #[token("run")]
    Run,
    #[token("expect")]
    Expect,
    #[token("no")]
    No,

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
    #[token("<", |lexer| lexer.slice())]
    #[token(">", |lexer| lexer.slice())]
    #[token("<=", |lexer| lexer.slice())]
    #[token(">=", |lexer| lexer.slice())]
    #[token("!=", |lexer| lexer.slice())]
    Comparison(&'input str),
    /// What other languages write: reported, and read as what is meant.
    #[token("==", |lexer| lexer.slice())]
    #[token("<>", |lexer| lexer.slice())]
    #[token("&&", |lexer| lexer.slice())]
    #[token("||", |lexer| lexer.slice())]
    #[token("!", |lexer| lexer.slice())]
    #[regex(r"'[^'\n]*'", |lexer| lexer.slice())]
    #[regex(r"[“”][^“”\n]*[“”]", |lexer| lexer.slice())]
    Foreign(&'input str),
}

/// Words of the language by their text, to tell a slip from a name and to read it as what is meant.
pub(crate) const WORDS: &[(&str, Token<'static>)] = &[
    ("controls", Token::Controls),
    ("group", Token::Group),
    ("class", Token::Class),
    ("rule", Token::Rule),
    ("exclude", Token::Exclude),
    ("invariant", Token::Invariant),
    ("test", Token::Test),
    ("observe", Token::Observe),
    ("allow", Token::Allow),
    ("deny", Token::Deny),
    ("break-glass", Token::BreakGlass),
    ("hold", Token::Hold),
    ("mask", Token::Mask),
    ("limit", Token::Limit),
    ("record", Token::Record),
    ("on", Token::On),
    ("for", Token::For),
    ("anyone", Token::Anyone),
    ("except", Token::Except),
    ("when", Token::When),
    ("and", Token::And),
    ("or", Token::Or),
    ("not", Token::Not),
    ("until", Token::Until),
    ("with", Token::With),
    ("otherwise", Token::Otherwise),
    ("probing", Token::Probing),
    ("because", Token::Because),
    ("satisfies", Token::Satisfies),
    ("always", Token::Always),
    ("never", Token::Never),
    ("by", Token::By),
    ("in", Token::In),
    ("of", Token::Of),
    ("per", Token::Per),
    ("to", Token::To),
    ("zone", Token::Zone),
    ("like", Token::Like),
    ("matches", Token::Matches),
    ("has", Token::Has),
    ("is", Token::Is),
    ("present", Token::Present),
    ("approve", Token::Approve),
    ("within", Token::Within),
    ("keep", Token::Keep),
    ("round", Token::Round),
    ("truncate", Token::Truncate),
    ("schema", Token::Schema),
    ("as", Token::As),
    ("behalf", Token::Behalf),
    ("claim", Token::Claim),
    ("session", Token::Session),
    ("at", Token::At),
    ("given", Token::Given),
    ("run", Token::Run),
    ("expect", Token::Expect),
    ("no", Token::No),
];

/// A token with the bytes it is at.
pub(crate) type Spanned<'input> = (usize, Token<'input>, usize);

/// A file's tokens.
#[derive(Debug, Default)]
pub(crate) struct Lexed<'input> {
    /// The tokens without comments.
    pub(crate) tokens: Vec<Spanned<'input>>,
    /// The comments, for whoever prints the file again.
    pub(crate) comments: Vec<Spanned<'input>>,
    /// What is no token of the language.
    pub(crate) errors: Vec<LexError>,
}

/// What is no token of the language, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LexError {
    pub(crate) kind: LexErrorKind,
    pub(crate) span: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LexErrorKind {
    /// A text that its line does not close.
    OpenText,
    /// `//` or `--`: another language's comment.
    Comment,
    /// A text in other quotes.
    Quotes,
    /// Another language's way to write this.
    Means(&'static str),
    /// No token begins like this.
    Unknown,
}

/// Splits a file into tokens.
pub(crate) fn lex(text: &str) -> Lexed<'_> {
    let mut lexed = Lexed::default();
    let mut lexer = Token::lexer(text);
    while let Some(token) = lexer.next() {
        let span = lexer.span();
        let (start, end) = (span.start, span.end);
        match token {
            Ok(token @ Token::Comment(_)) => lexed.comments.push((start, token, end)),
            Ok(Token::Foreign(written)) => {
                let (kind, meant) = meant(written);
                lexed.errors.push(LexError { kind, span });
                lexed.tokens.push((start, meant, end));
            }
            Ok(token) => lexed.tokens.push((start, token, end)),
            Err(()) => {
                let rest = text.get(start..).unwrap_or_default();
                let kind = if rest.starts_with("//") || rest.starts_with("--") {
                    // The rest of the line is meant as words for people.
                    let line = rest.find('\n').unwrap_or(rest.len());
                    lexer.bump(line.saturating_sub(end - start));
                    LexErrorKind::Comment
                } else if rest.starts_with('"') {
                    LexErrorKind::OpenText
                } else {
                    LexErrorKind::Unknown
                };
                report(&mut lexed.errors, kind, start..lexer.span().end);
            }
        }
    }
    lexed
}

/// One report for a run of bytes that start no token.
fn report(errors: &mut Vec<LexError>, kind: LexErrorKind, span: Range<usize>) {
    match errors.last_mut() {
        Some(last)
            if last.span.end == span.start
                && last.kind == LexErrorKind::Unknown
                && kind == LexErrorKind::Unknown =>
        {
            last.span.end = span.end;
        }
        _ => errors.push(LexError { kind, span }),
    }
}

/// What another language's token means in this one.
fn meant(written: &str) -> (LexErrorKind, Token<'_>) {
    match written {
        "==" => (LexErrorKind::Means("="), Token::Equals),
        "<>" => (LexErrorKind::Means("!="), Token::Comparison("!=")),
        "&&" => (LexErrorKind::Means("and"), Token::And),
        "||" => (LexErrorKind::Means("or"), Token::Or),
        "!" => (LexErrorKind::Means("not"), Token::Not),
        quoted => (LexErrorKind::Quotes, Token::Text(quoted)),
    }
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
        for LexError { kind, span } in lexed.errors {
            shown.push_str(&format!("{}..{} error {kind:?}\n", span.start, span.end));
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
    fn numbers_times_and_addresses() {
        check(
            "-5 0.25 3.1.1 09:00 10.0.0.0/8 fe80::/10 ::1 ssn: a: /x\\/y|z/ email:1",
            expect![[r#"
                0..2 Number("-5")
                3..7 Decimal("0.25")
                8..11 Decimal("3.1")
                11..12 Dot
                12..13 Number("1")
                14..19 Clock("09:00")
                20..30 Address("10.0.0.0/8")
                31..40 Address("fe80::/10")
                41..44 Address("::1")
                45..48 Word("ssn")
                48..49 Colon
                50..51 Word("a")
                51..52 Colon
                53..61 Regex("/x\\/y|z/")
                62..67 Word("email")
                67..68 Colon
                68..69 Number("1")
            "#]],
        );
    }

    #[test]
    fn bytes_that_start_no_token() {
        check(
            "rule ;;; a \"open",
            expect![[r#"
            0..4 Rule
            9..10 Word("a")
            5..8 error Unknown
            11..16 error OpenText
        "#]],
        );
        check(
            "a // no comment\nb -- nor this\nc == 'd' && !e",
            expect![[r#"
            0..1 Word("a")
            16..17 Word("b")
            30..31 Word("c")
            32..34 Equals
            35..38 Text("'d'")
            39..41 And
            42..43 Not
            43..44 Word("e")
            2..15 error Comment
            18..29 error Comment
            32..34 error Means("=")
            35..38 error Quotes
            39..41 error Means("and")
            42..43 error Means("not")
        "#]],
        );
    }

    #[test]
    fn words_are_their_tokens() {
        for (word, token) in WORDS {
            assert_eq!(lex(word).tokens, [(0, *token, word.len())], "`{word}`");
        }
    }
}

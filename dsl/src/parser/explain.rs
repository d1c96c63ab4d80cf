//! What a person is told where the grammar expected something else: what is wrong, what is expected in words, and how
//! the clause is written. Never names a token of the grammar.

use lalrpop_util::ParseError;

use super::Failure;
use crate::{
    ast::Span,
    diagnostic::{Diagnostic, File, nearest, quoted},
    lexer::{Spanned, Token, WORDS},
    vocabulary,
};

/// A slip that can be put right, so that what follows it is read too.
pub(super) struct Slip {
    index: usize,
    meant: Meant,
}

enum Meant {
    /// A word that was meant to be a word of the language.
    Word {
        word: &'static str,
        token: Token<'static>,
        begins: Begins,
    },
    /// `ssn last 4`: a colon is missing before it.
    ColonBefore,
}

/// Words of the language shorter than this are not taken for each other.
const MISTAKEN_BYTES_MIN: usize = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// Clauses can begin there.
    Clause,
    /// Steps of a test can begin there.
    Step,
    Nothing,
}

/// The slip that a failure comes from, if it comes from one.
pub(super) fn slip(failure: &Failure<'_>, tokens: &[Spanned<'_>], text: &str) -> Option<Slip> {
    let ParseError::UnrecognizedToken {
        token: (start, found, end),
        expected,
    } = failure
    else {
        return None;
    };
    let word = text.get(*start..*end)?;
    let index = tokens.iter().position(|(begin, _, _)| begin == start)?;
    if is_colon_missing(tokens, index, text) {
        return Some(Slip {
            index,
            meant: Meant::ColonBefore,
        });
    }
    let is_keyword = WORDS.iter().any(|(known, _)| *known == word);
    let may_be_slip =
        matches!(found, Token::Word(_)) || is_keyword && word.len() >= MISTAKEN_BYTES_MIN;
    if !may_be_slip || is_of_name(tokens, index) {
        return None;
    }
    let words: Vec<&str> = WORDS
        .iter()
        .map(|(word, _)| *word)
        .filter(|word| expected.iter().any(|one| one.trim_matches('"') == *word))
        .collect();
    let meant = vocabulary::slip(word, &words)
        .filter(|_| !is_keyword)
        .or_else(|| nearest(word, &words))?;
    let (word, token) = WORDS.iter().find(|(word, _)| *word == meant)?;
    Some(Slip {
        index,
        meant: Meant::Word {
            word,
            token: *token,
            begins: beginning(expected),
        },
    })
}

/// Whether what is at `index` rather belongs to the name before it: `rule markets-quotes recording record digest ...`.
fn is_of_name(tokens: &[Spanned<'_>], index: usize) -> bool {
    const BEHIND_NAME: usize = 2;
    let next = tokens.get(index + 1).map(|(_, token, _)| *token);
    index == BEHIND_NAME
        && matches!(
            next,
            Some(
                Token::Allow
                    | Token::Deny
                    | Token::BreakGlass
                    | Token::Hold
                    | Token::Mask
                    | Token::Limit
                    | Token::Record
                    | Token::For
                    | Token::Always
                    | Token::Never
            )
        )
}

/// Whether a column and its mask stand side by side: `with ssn last 4`.
fn is_colon_missing(tokens: &[Spanned<'_>], index: usize, text: &str) -> bool {
    let word_at = |index: usize| {
        tokens
            .get(index)
            .filter(|(_, token, _)| {
                matches!(
                    token,
                    Token::Word(_) | Token::Keep | Token::Round | Token::Truncate
                )
            })
            .and_then(|(start, _, end)| text.get(*start..*end))
    };
    let is_mask =
        |word: &str| vocabulary::masks().any(|mask| mask.name.split(' ').next() == Some(word));
    let (Some(here), Some(before)) = (word_at(index), index.checked_sub(1).and_then(word_at))
    else {
        return false;
    };
    within(tokens, index, text) == "with" && is_mask(here) && !is_mask(before)
}

/// Whether clauses or steps are expected.
fn beginning(expected: &[String]) -> Begins {
    let has = |word: &str| expected.iter().any(|one| one.trim_matches('"') == word);
    if has("because") && has("satisfies") {
        Begins::Clause
    } else if has("run") && has("expect") && has("given") && has("}") {
        Begins::Step
    } else {
        Begins::Nothing
    }
}

impl Slip {
    pub(super) fn explain(&self, text: &str, tokens: &[Spanned<'_>], file: &File) -> Diagnostic {
        let (start, end) = tokens
            .get(self.index)
            .map_or((0, 0), |(start, _, end)| (*start, *end));
        let word = text.get(start..end).unwrap_or_default();
        let (meant, begins) = match &self.meant {
            Meant::Word { word, begins, .. } => (*word, *begins),
            Meant::ColonBefore => {
                let before = self
                    .index
                    .checked_sub(1)
                    .and_then(|before| tokens.get(before))
                    .and_then(|(start, _, end)| text.get(*start..*end))
                    .unwrap_or_default();
                return file
                    .error(
                        &(start..end),
                        "between a column and its mask stands a colon",
                        "expected `:` before it",
                    )
                    .with_help(format!("write `{before}: {word}`"));
            }
        };
        let begins_one = vocabulary::CLAUSES
            .iter()
            .any(|clause| clause.name == meant);
        let is_keyword = WORDS.iter().any(|(known, _)| *known == word);
        let (message, label) = match begins {
            _ if is_keyword => (format!("`{word}` is not expected here"), "unexpected"),
            Begins::Clause if begins_one => (format!("`{word}` begins no clause"), "no such word"),
            Begins::Step => (format!("`{word}` begins no line of a test"), "no such word"),
            Begins::Clause | Begins::Nothing => {
                (format!("`{word}` is not expected here"), "no such word")
            }
        };
        file.error(&(start..end), message, label)
            .with_help(format!("did you mean `{meant}`?"))
    }

    pub(super) fn put_right(self, tokens: &mut Vec<Spanned<'_>>) {
        match self.meant {
            Meant::Word { token, .. } => {
                if let Some(slot) = tokens.get_mut(self.index) {
                    slot.1 = token;
                }
            }
            Meant::ColonBefore => {
                if let Some(start) = tokens.get(self.index).map(|(start, _, _)| *start) {
                    tokens.insert(self.index, (start, Token::Colon, start));
                }
            }
        }
    }
}

/// A failure of the grammar with what is around it.
pub(super) struct Problem<'a> {
    pub(super) span: Span,
    /// What stands there; nothing at the end.
    found: Option<&'a str>,
    expected: Vec<String>,
    /// The clause (or step, or declaration) it is in, by the word that begins it.
    within: &'a str,
    /// The word before it, and where that is.
    before: Option<&'a str>,
    before_span: Span,
    /// Whether the word before it is the name of the declaration.
    behind_name: bool,
}

impl<'a> Problem<'a> {
    pub(super) fn new(
        failure: &Failure<'_>,
        text: &'a str,
        tokens: &[Spanned<'_>],
        whole: &Span,
    ) -> Self {
        let (span, found, expected) = match failure {
            ParseError::UnrecognizedToken {
                token: (start, _, end),
                expected,
            } => (*start..*end, text.get(*start..*end), expected.clone()),
            ParseError::ExtraToken {
                token: (start, _, end),
            } => (*start..*end, text.get(*start..*end), Vec::new()),
            ParseError::UnrecognizedEof {
                location: _,
                expected,
            } => (whole.end..whole.end, None, expected.clone()),
            ParseError::InvalidToken { location } => (*location..*location, None, Vec::new()),
            ParseError::User { error } => match *error {},
        };
        let index = found
            .and_then(|_| tokens.iter().position(|(start, _, _)| *start == span.start))
            .unwrap_or(tokens.len());
        let word_at = |index: usize| {
            tokens
                .get(index)
                .and_then(|(start, _, end)| text.get(*start..*end))
        };
        let before = index.checked_sub(1).and_then(word_at);
        let before_span = index
            .checked_sub(1)
            .and_then(|before| tokens.get(before))
            .map_or(span.clone(), |(start, _, end)| *start..*end);
        Self {
            before_span,
            within: within(tokens, index, text),
            span,
            found,
            expected,
            before,
            behind_name: index == 2,
        }
    }

    pub(super) fn explain(&self, file: &File) -> Diagnostic {
        if let Some(diagnostic) = self.known_slip(file) {
            return diagnostic;
        }
        let wanted = self.wanted();
        let message = match self.found {
            Some(found) => format!("`{}` is not expected here", shortened(found)),
            None => format!("the {} ends too early", self.what()),
        };
        let label = match (&wanted, self.found) {
            (Some(wanted), _) => format!("expected {wanted}"),
            (None, Some(_)) => "unexpected".to_owned(),
            (None, None) => "more is expected here".to_owned(),
        };
        let diagnostic = file.error(&self.span, message, label);
        match self.example().or_else(|| vocabulary::form(self.within)) {
            Some(example) => diagnostic.with_help(format!("written like this: `{example}`")),
            None => diagnostic,
        }
    }

    /// An example nearer to what was begun than the clause's own.
    fn example(&self) -> Option<&'static str> {
        if self.within != "when" {
            return None;
        }
        let named = |name: &str| {
            vocabulary::ATTRIBUTES
                .iter()
                .find(|one| one.name == name)
                .map(|one| one.example)
        };
        let expects = |word: &str| {
            self.expected
                .iter()
                .any(|one| one.trim_matches('"') == word)
        };
        match self.before {
            Some("like") => Some("principal.id like \"*@corp.example\""),
            Some("matches") => named("session.application"),
            Some("has") => named("statement.tables"),
            Some("by") => named("statement.bounded"),
            Some("=") if self.found == Some("(") => Some("principal.kind in (agent, service)"),
            Some("zone") => named("time.weekday"),
            _ if expects("clock") && !expects("word") => named("time"),
            _ => None,
        }
    }

    /// Mistakes that are worth words of their own.
    fn known_slip(&self, file: &File) -> Option<Diagnostic> {
        let found = self.found.unwrap_or_default();
        let expects = |word: &str| {
            self.expected
                .iter()
                .any(|one| one.trim_matches('"') == word)
        };
        let is_word = found.starts_with(|letter: char| letter.is_alphabetic());
        if self.behind_name
            && is_word
            && matches!(self.within, "rule" | "invariant")
            && beginning(&self.expected) == Begins::Clause
        {
            let name = self.before.unwrap_or_default();
            return Some(
                file.error(
                    &self.span,
                    format!("`{found}` begins no clause"),
                    "no such word",
                )
                .with_help(format!(
                    "a name is one word: if it belongs to it, write `{name}-{found}`"
                )),
            );
        }
        if is_word && expects("word") && WORDS.iter().any(|(word, _)| *word == found) {
            let message =
                format!("`{found}` is a word of the language, and a name is expected here");
            let help = if self.within == "on" || expects("text") {
                format!("to name something that is called so, write \"{found}\" in quotes")
            } else {
                match vocabulary::form(self.within) {
                    Some(example) => format!("written like this: `{example}`"),
                    None => "choose another name".to_owned(),
                }
            };
            return Some(
                file.error(&self.span, message, "not a name here")
                    .with_help(help),
            );
        }
        if let Some(diagnostic) = self.bad_number(found, file) {
            return Some(diagnostic);
        }
        if self.within == "with"
            && let Some(before) = self.before
            && is_word
            && !vocabulary::masks().any(|mask| mask.name == before)
            && let Some(meant) = vocabulary::nearest_mask(&format!("{before} {found}"))
        {
            return Some(
                file.error(
                    &self.span,
                    format!("there is no mask `{before} {found}`"),
                    "not a mask",
                )
                .with_help(format!("did you mean `{meant}`?")),
            );
        }
        None
    }

    /// `1k`, `rows ten`: no numbers.
    fn bad_number(&self, found: &str, file: &File) -> Option<Diagnostic> {
        let before = self.before?;
        let is_digits = |word: &str| word.starts_with(|letter: char| letter.is_ascii_digit());
        let is_word = |word: &str| word.starts_with(char::is_alphabetic);
        let touches = self.before_span.end == self.span.start;
        if is_digits(before) && is_word(found) && touches {
            let whole = self.before_span.start..self.span.end;
            return Some(
                file.error(
                    &whole,
                    format!("`{before}{found}` is no number"),
                    "not a number",
                )
                .with_help("write it out: `10_000`; underscores between digits mean nothing"),
            );
        }
        let expects_number = self
            .expected
            .iter()
            .any(|one| one.trim_matches('"') == "number");
        let known = |word: &str| {
            vocabulary::LIMITS
                .iter()
                .any(|limit| limit.name.split(' ').any(|part| part == word))
        };
        if self.within == "limit"
            && expects_number
            && is_word(before)
            && !known(before)
            && before != "limit"
        {
            return Some(
                file.error(
                    &self.before_span,
                    format!("`{before}` is no number"),
                    "expected a number",
                )
                .with_help("written like this: `limit rows 10_000 per statement, time 30 s`"),
            );
        }
        None
    }

    /// What it is in, in words.
    fn what(&self) -> String {
        match self.within {
            "rule" | "invariant" | "test" | "group" | "class" | "controls" | "exclude" => {
                format!("`{}` declaration", self.within)
            }
            word => format!("`{word}` clause"),
        }
    }

    /// What the grammar would take, in a person's words; nothing where that is nearly everything.
    fn wanted(&self) -> Option<String> {
        const LISTED_MAX: usize = 6;
        let has = |word: &str| {
            self.expected
                .iter()
                .any(|one| one.trim_matches('"') == word)
        };
        let begins = beginning(&self.expected);
        let mut wanted: Vec<String> = Vec::new();
        let mut say = |holds: bool, words: &str| {
            if holds {
                wanted.push(words.to_owned());
            }
        };
        let names = has("word");
        say(names, self.name_in_words());
        say(has("number") && !names, "a number");
        say(has("text") && !names, "a text in double quotes");
        say(
            has("text") && names && self.within == "group",
            "a text in double quotes",
        );
        say(has("comparison"), "a comparison such as `=` or `>`");
        say(has("clock") && !names, "a time such as `09:00`");
        say(
            has("regex") && !names && !has("text"),
            "a regular expression such as `/ssn.*/`",
        );
        let mut marks: Vec<&str> = self
            .expected
            .iter()
            .map(|one| one.trim_matches('"'))
            .filter(|one| match begins {
                // Of the words that begin the next thing only what continues this one is said.
                Begins::Clause => {
                    matches!(
                        *one,
                        "," | "." | ")" | "}" | "and" | "except" | "on" | "per" | ":" | "="
                    )
                }
                Begins::Step => matches!(*one, "," | "." | ")" | "by" | "in" | "="),
                // A name may be any of these words.
                Begins::Nothing if names => matches!(*one, "," | "." | ")" | "}" | ":" | "="),
                Begins::Nothing => WORDS.iter().any(|(word, _)| word == one) || is_mark(one),
            })
            .collect();
        marks.sort_unstable();
        if marks.len() <= LISTED_MAX {
            wanted.extend(marks.iter().map(|mark| quoted(&[mark])));
        }
        match begins {
            Begins::Clause => wanted.push("the next clause".to_owned()),
            Begins::Step => wanted.push("the next line of the test or `}`".to_owned()),
            Begins::Nothing => {}
        }
        let last = wanted.pop()?;
        Some(if wanted.is_empty() {
            last
        } else {
            format!("{} or {last}", wanted.join(", "))
        })
    }

    /// What a name would name.
    fn name_in_words(&self) -> &'static str {
        match self.within {
            "allow" | "deny" | "break-glass" | "hold" | "never" => "an operation",
            "for" | "except" | "until" | "in" => "a group",
            "mask" | "always" => "a class",
            "on" | "class" => "a pattern",
            "when" => "an attribute or a value",
            "with" => "a mask",
            "satisfies" => "a control",
            "limit" => "what is limited",
            "record" => "`statement`, `digest` or `results`",
            "probing" => "`deny`, `lookup` or `allow`",
            "group" => "a group",
            "controls" => "a catalogue",
            _ => "a name",
        }
    }
}

/// The word that begins the innermost clause (or declaration) around the token at `index`.
fn within<'a>(tokens: &[Spanned<'_>], index: usize, text: &'a str) -> &'a str {
    let at = |index: usize| tokens.get(index).map(|(_, token, _)| *token);
    for here in (0..index.min(tokens.len())).rev() {
        let before = here.checked_sub(1).and_then(at);
        let Some((start, token, end)) = tokens.get(here) else {
            continue;
        };
        // Behind these, the word is a name or a value.
        let is_operand = matches!(
            before,
            Some(
                Token::Dot
                    | Token::Comma
                    | Token::Probing
                    | Token::ParenthesisOpen
                    | Token::BraceOpen
                    | Token::Equals
                    | Token::Comparison(_)
                    | Token::When
                    | Token::And
                    | Token::Or
                    | Token::Not
                    | Token::No
                    | Token::Always
                    | Token::Never
                    | Token::Expect
            )
        );
        let begins = match token {
            Token::On => !matches!(tokens.first(), Some((_, Token::Test, _))),
            Token::Group | Token::Class => here == 0,
            Token::Schema
            | Token::As
            | Token::Session
            | Token::At
            | Token::Given
            | Token::Run
            | Token::Expect => {
                matches!(tokens.first(), Some((_, Token::Test, _)))
                    && !matches!(
                        before,
                        Some(Token::Comma | Token::Dot | Token::By | Token::In)
                    )
            }
            Token::Allow
            | Token::Deny
            | Token::BreakGlass
            | Token::Hold
            | Token::Mask
            | Token::Limit
            | Token::Record
            | Token::For
            | Token::When
            | Token::Until
            | Token::With
            | Token::Probing
            | Token::Because
            | Token::Satisfies
            | Token::Always
            | Token::Never => !is_operand,
            _ => here == 0,
        };
        if begins {
            return text.get(*start..*end).unwrap_or_default();
        }
    }
    ""
}

fn is_mark(one: &str) -> bool {
    matches!(one, "." | "," | ":" | "{" | "}" | "(" | ")" | "=")
}

/// Long texts are not repeated whole in a message.
fn shortened(found: &str) -> String {
    const SHOWN_MAX: usize = 40;
    if found.chars().count() <= SHOWN_MAX {
        return found.to_owned();
    }
    let head: String = found.chars().take(SHOWN_MAX).collect();
    format!("{head}...")
}

/// What stands where a declaration should begin.
pub(super) fn no_declaration(found: &str, first: &Spanned<'_>, file: &File) -> Diagnostic {
    let words: Vec<&str> = vocabulary::DECLARATIONS
        .iter()
        .map(|one| one.name)
        .collect();
    let error = file.error(
        &(first.0..first.2),
        format!("`{}` begins no declaration", shortened(found)),
        "unexpected",
    );
    let is_clause = vocabulary::CLAUSES
        .iter()
        .any(|clause| clause.name == found);
    match nearest(found, &words).or_else(|| vocabulary::slip(found, &words)) {
        Some(meant) if !is_clause => error.with_help(format!("did you mean `{meant}`?")),
        _ if is_clause => error.with_help(format!(
            "a clause is part of a rule: write `rule NAME` before `{found}`"
        )),
        _ => error.with_help(format!("a file is made of {}", quoted(&words))),
    }
}

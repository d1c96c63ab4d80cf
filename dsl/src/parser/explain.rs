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

/// A word that was meant to be a word of the language.
pub(super) struct Slip {
    index: usize,
    meant: &'static str,
    token: Token<'static>,
    begins: Begins,
}

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
        token: (start, Token::Word(_), end),
        expected,
    } = failure
    else {
        return None;
    };
    let word = text.get(*start..*end)?;
    let words: Vec<&str> = WORDS
        .iter()
        .map(|(word, _)| *word)
        .filter(|word| expected.iter().any(|one| one.trim_matches('"') == *word))
        .collect();
    let meant = vocabulary::slip(word, &words).or_else(|| nearest(word, &words))?;
    let (meant, token) = WORDS.iter().find(|(word, _)| *word == meant)?;
    let index = tokens.iter().position(|(begin, _, _)| begin == start)?;
    Some(Slip {
        index,
        meant,
        token: *token,
        begins: beginning(expected),
    })
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
        let begins_one = vocabulary::CLAUSES
            .iter()
            .any(|clause| clause.name == self.meant);
        let message = match self.begins {
            Begins::Clause if begins_one => format!("`{word}` begins no clause"),
            Begins::Step => format!("`{word}` begins no line of a test"),
            Begins::Clause | Begins::Nothing => format!("`{word}` is not expected here"),
        };
        file.error(&(start..end), message, "no such word")
            .with_help(format!("did you mean `{}`?", self.meant))
    }

    pub(super) fn put_right(self, tokens: &mut [Spanned<'_>]) {
        if let Some(slot) = tokens.get_mut(self.index) {
            slot.1 = self.token;
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
    /// The word before it.
    before: Option<&'a str>,
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
        Self {
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
        match vocabulary::form(self.within) {
            Some(example) => diagnostic.with_help(format!("written like this: `{example}`")),
            None => diagnostic,
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
            "allow" | "deny" | "hold" | "never" => "an operation",
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
            Token::On => true,
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

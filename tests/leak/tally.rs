//! What became of the statements, by generator: one whose every statement is refused proves nothing.

use std::collections::BTreeMap;

use crate::wire::Answer;

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) statements: usize,
    /// Ran to their end.
    pub(crate) ran: usize,
    /// Refused by the gateway.
    pub(crate) refused: usize,
    /// The server's own errors.
    pub(crate) failed: usize,
    /// Results in which a mask stands.
    pub(crate) masked: usize,
}

impl Counts {
    const fn plus(&self, other: &Self) -> Self {
        Self {
            statements: self.statements + other.statements,
            ran: self.ran + other.ran,
            refused: self.refused + other.refused,
            failed: self.failed + other.failed,
            masked: self.masked + other.masked,
        }
    }
}

/// Where the gateway's own refusals say so.
const REFUSAL: &str = "denied by policy";
const MASK: &[u8] = b"[redacted]";

#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_name: BTreeMap<&'static str, Counts>,
    /// Messages of refusals and errors, and how often each came.
    words: BTreeMap<(String, String), usize>,
}

impl Tally {
    pub(crate) fn add(&mut self, name: &'static str, statements: usize, answer: &Answer) {
        let counts = self.by_name.entry(name).or_default();
        counts.statements += statements;
        counts.ran += answer.completed().len().min(statements);
        for (state, message) in answer.errors() {
            if message.contains(REFUSAL) || state == "0A000" {
                counts.refused += 1;
            } else {
                counts.failed += 1;
            }
            *self.words.entry((state, message)).or_default() += 1;
        }
        counts.masked += usize::from(
            answer
                .bytes
                .windows(MASK.len())
                .any(|window| window == MASK),
        );
    }

    /// What another worker counted.
    pub(crate) fn take(&mut self, other: Self) {
        for (name, counts) in other.by_name {
            let sum = self.by_name.entry(name).or_default();
            *sum = sum.plus(&counts);
        }
        for (words, count) in other.words {
            *self.words.entry(words).or_default() += count;
        }
    }

    pub(crate) fn total(&self) -> Counts {
        self.by_name
            .values()
            .fold(Counts::default(), |sum, counts| sum.plus(counts))
    }

    /// A table, and the commonest words.
    pub(crate) fn told(&self) -> String {
        let row = |name: &str, counts: &Counts| {
            format!(
                "{name:<16}{:>11}{:>9}{:>9}{:>9}{:>9}\n",
                counts.statements, counts.ran, counts.masked, counts.refused, counts.failed
            )
        };
        let mut out = format!(
            "{:<16}{:>11}{:>9}{:>9}{:>9}{:>9}\n",
            "generator", "statements", "ran", "masked", "refused", "failed"
        );
        for (name, counts) in &self.by_name {
            out += &row(name, counts);
        }
        out += &row("all", &self.total());
        let mut words: Vec<_> = self.words.iter().collect();
        words.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for ((state, message), count) in words.into_iter().take(40) {
            let message: String = message.chars().take(150).collect();
            out += &format!("{count:>7} {state} {message}\n");
        }
        out
    }
}

//! Why a session's statements must run, in its own words: what `break-glass` rules ask for.
//!
//! People read it in evidence, messages and terminals, so nothing in it may hide or move what stands around it.

use std::{ops::RangeInclusive, sync::Arc};

use thiserror::Error;

/// The setting that a session states it by, at start-up and by SET.
pub const SETTING: &str = "provost.reason";

/// How long a reason is, in characters, without white space around it.
const CHARS: RangeInclusive<usize> = 10..=500;

/// A text that nobody can read a reason from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "`{SETTING}` is a text of 10 to 500 characters, without line breaks and other characters that are not seen"
)]
pub struct Unreadable;

/// A stated reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedReason(Arc<str>);

impl StatedReason {
    /// Takes a text, without the white space around it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn new(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim();
        let is_readable = CHARS.contains(&text.chars().count()) && !text.chars().any(is_hidden);
        is_readable.then(|| Self(Arc::from(text))).ok_or(Unreadable)
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a statement does to the reason that its session states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stating {
    /// From now on it is this one.
    Reason(StatedReason),
    /// From now on it is what the session began with: RESET.
    Back,
}

/// Whether a character moves the cursor, colours, turns, joins or vanishes ("Trojan Source").
#[must_use]
pub fn is_hidden(character: char) -> bool {
    match character {
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::StatedReason;

    #[test]
    fn a_reason_is_a_line_that_says_something() {
        for (text, is_good) in [
            ("INC-123: the database is down", true),
            ("  0123456789  ", true),
            (r#"INC-1: O'Brien said "now" \ $1"#, true),
            ("INC-7: Zoë 日本 עברית", true),
            ("        why          ", false),
            ("", false),
            ("INC-123:\nnothing", false),
            ("INC-123: \u{1b}[2Jnothing", false),
            ("INC-123: \u{202e}gnihton", false),
            ("INC-123: no\u{200b}thing", false),
            ("INC-123:\u{2028}nothing", false),
            (&"a".repeat(500), true),
            (&"a".repeat(501), false),
            (&"é".repeat(500), true),
        ] {
            assert_eq!(StatedReason::new(text).is_ok(), is_good, "{text}");
        }
        let trimmed = StatedReason::new("  0123456789  ").unwrap();
        assert_eq!(trimmed.as_str(), "0123456789");
    }
}

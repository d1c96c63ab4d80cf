//! Patterns over names: literal text and `*`, which stands for any run of characters, none included.
//!
//! Matching is by exact bytes here; whoever builds a pattern decides about case (rule patterns are folded before,
//! class patterns are lower-cased and meet lower-cased names). Never backtracks: linear in the name for each `*`.

use std::sync::Arc;

/// A pattern over one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Glob {
    /// The literal texts between the stars: one piece means a plain name.
    pieces: Vec<Arc<str>>,
}

impl Glob {
    /// Exactly `name`, where a `*` is an ordinary character.
    #[must_use]
    pub fn exactly(name: &str) -> Self {
        Self {
            pieces: vec![Arc::from(name)],
        }
    }

    /// `*` in `text` stands for any run of characters; everything else for itself.
    #[must_use]
    pub fn with_stars(text: &str) -> Self {
        Self {
            pieces: text.split('*').map(Arc::from).collect(),
        }
    }

    /// Any name at all.
    #[must_use]
    pub fn any() -> Self {
        Self::with_stars("*")
    }

    /// The one name it matches, if it has no star.
    #[must_use]
    pub fn as_exact(&self) -> Option<&Arc<str>> {
        match self.pieces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The literal texts between its stars.
    pub(super) fn pieces(&self) -> &[Arc<str>] {
        &self.pieces
    }

    /// Whether it matches every name.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.pieces.len() > 1 && self.pieces.iter().all(|piece| piece.is_empty())
    }

    /// The same pattern in lower case.
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        Self {
            pieces: self
                .pieces
                .iter()
                .map(|piece| Arc::from(piece.to_lowercase()))
                .collect(),
        }
    }

    /// Whether it matches `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else {
            return false;
        };
        let Some((last, middles)) = rest.split_last() else {
            return **first == *name;
        };
        let Some(mut remaining) = name.strip_prefix(&**first) else {
            return false;
        };
        for middle in middles {
            let Some((_, after)) = remaining.split_once(&**middle) else {
                return false;
            };
            remaining = after;
        }
        remaining.ends_with(&**last)
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, piece) in self.pieces.iter().enumerate() {
            if index > 0 {
                formatter.write_str("*")?;
            }
            formatter.write_str(piece)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(
            Glob::with_stars(pattern).matches(name),
            expected,
            "`{pattern}` against `{name}`"
        );
    }

    #[test]
    fn stars_match_any_run() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("*c", "abc", true),
            ("*c", "cb", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("*b*", "abc", true),
            ("*ab*ab*", "abab", true),
            ("*ab*ab*", "aba", false),
            ("a**", "a", true),
            ("", "", true),
            ("", "a", false),
            ("name", "name", true),
            ("name", "names", false),
            ("é*", "été", true),
        ] {
            check(pattern, name, expected);
        }
    }

    #[test]
    fn a_quoted_star_is_a_character() {
        assert!(Glob::exactly("a*").matches("a*"));
        assert!(!Glob::exactly("a*").matches("ab"));
        assert!(!Glob::exactly("*").is_any());
        assert!(Glob::with_stars("**").is_any());
    }
}

//! Patterns over one name: a glob, or a regular expression over the whole name. Never backtracks: both are linear.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use regex::{Regex, RegexBuilder};

use super::glob::Glob;

/// How large a compiled regular expression may be, in bytes; larger ones are refused by [`NameRegex::new`].
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A pattern over one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// Literal text and stars.
    Glob(Glob),
    /// A regular expression that must match the whole name.
    Regex(NameRegex),
}

impl NamePattern {
    /// Any name at all.
    #[must_use]
    pub fn any() -> Self {
        Self::Glob(Glob::any())
    }

    /// Whether it matches `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(name),
            Self::Regex(regex) => regex.matches(name),
        }
    }

    /// The one name it matches, if it is a glob without a star.
    #[must_use]
    pub fn as_exact(&self) -> Option<&Arc<str>> {
        match self {
            Self::Glob(glob) => glob.as_exact(),
            Self::Regex(_) => None,
        }
    }

    /// Whether it is known to match every name.
    #[must_use]
    pub fn is_any(&self) -> bool {
        match self {
            Self::Glob(glob) => glob.is_any(),
            Self::Regex(_) => false,
        }
    }

    /// The pattern for names in lower case.
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        match self {
            Self::Glob(glob) => Self::Glob(glob.to_lowercase()),
            Self::Regex(regex) => Self::Regex(regex.ignoring_case()),
        }
    }
}

impl From<Glob> for NamePattern {
    fn from(glob: Glob) -> Self {
        Self::Glob(glob)
    }
}

/// As it is written: `cust*`, `/^ssn.*/`.
impl fmt::Display for NamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glob(glob) => glob.fmt(formatter),
            Self::Regex(regex) => write!(formatter, "/{}/", regex.source),
        }
    }
}

/// A regular expression over a whole name. Equal if it is written alike.
#[derive(Debug, Clone)]
pub struct NameRegex {
    source: Arc<str>,
    ignores_case: bool,
    regex: Regex,
}

impl NameRegex {
    /// Compiles `source`, in the syntax of the crate `regex`. It must match the whole name.
    ///
    /// # Errors
    /// The compiler's words, where it is not valid or grows too large.
    pub fn new(source: &str) -> Result<Self, Box<regex::Error>> {
        Self::build(source, false)
    }

    /// The expression as it is written.
    #[must_use]
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// Whether it matches the whole of `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }

    fn ignoring_case(&self) -> Self {
        // What compiled once compiles without case too, unless it grows too large: then case still counts, which for
        // classes means fewer members; so such an expression is refused when it is made.
        Self::build(&self.source, true).unwrap_or_else(|_| self.clone())
    }

    fn build(source: &str, ignores_case: bool) -> Result<Self, Box<regex::Error>> {
        let whole = |ignores_case: bool| {
            RegexBuilder::new(&format!(r"\A(?:{source})\z"))
                .case_insensitive(ignores_case)
                .dot_matches_new_line(true)
                .size_limit(REGEX_BYTES_MAX)
                .build()
        };
        // An expression that only compiles between the anchors (`a)|(b`) is not valid.
        RegexBuilder::new(source)
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(Box::new)?;
        whole(true).map_err(Box::new)?;
        Ok(Self {
            source: Arc::from(source),
            ignores_case,
            regex: whole(ignores_case).map_err(Box::new)?,
        })
    }
}

impl PartialEq for NameRegex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.ignores_case == other.ignores_case
    }
}

impl Eq for NameRegex {}

impl Hash for NameRegex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
        self.ignores_case.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, name: &str, expected: bool) {
        let regex = NameRegex::new(source).expect("a valid expression");
        assert_eq!(
            NamePattern::Regex(regex).matches(name),
            expected,
            "/{source}/ on `{name}`"
        );
    }

    #[test]
    fn the_whole_name_matches() {
        for (source, name, expected) in [
            ("ssn|pan", "ssn", true),
            ("ssn|pan", "pan", true),
            ("ssn|pan", "ssn2", false),
            ("ssn|pan", "xpan", false),
            ("ssn.*", "ssn\n", true),
            ("(?i)ssn", "SSN", true),
            ("", "", true),
            ("", "a", false),
        ] {
            check(source, name, expected);
        }
    }

    #[test]
    fn what_is_not_valid_is_refused() {
        for source in ["(", "a)|(b", "[", "(?:a{1000}){1000}{1000}"] {
            assert!(NameRegex::new(source).is_err(), "/{source}/");
        }
    }

    #[test]
    fn case_is_ignored_on_demand() {
        let pattern = NamePattern::Regex(NameRegex::new("SSN").expect("a valid expression"));
        assert!(!pattern.matches("ssn"));
        assert!(pattern.to_lowercase().matches("ssn"));
        assert_ne!(pattern, pattern.to_lowercase());
    }
}

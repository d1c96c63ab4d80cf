//! The names that everything is made of, and patterns over them.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use provost_engine::graph::{
    glob::Glob,
    name::{NamePattern, NameRegex},
    rule::Group,
};

use crate::choices::Choices;

pub(super) const SCHEMAS: &[&str] = &[
    "public",
    "public",
    "hr",
    "a",
    "Public",
    "pg_catalog",
    "information_schema",
];
pub(super) const RELATIONS: &[&str] = &[
    "customers",
    "orders",
    "cust",
    "ab",
    "b",
    "Customers",
    "a*b",
    "pg_stats",
    "pg_class",
    "column_options",
];
pub(super) const COLUMNS: &[&str] = &["ssn", "email", "id", "SSN", "tenant_id", "Tenant_Id", "ab"];
pub(super) const SINGLES: &[&str] = &["timezone", "role", "ab", "hr", ""];
/// What rules ask for; principals have one more.
pub(super) const GROUPS: &[&str] = &["g", "h", "i", "j"];

const REGEXES: &[&str] = &[
    "ssn|email",
    "(?i)ssn",
    "a.*",
    "[a-z_]+",
    "c.st.*",
    ".*",
    "[A-Z]+",
    "",
    "s[0-9]|r[0-9]",
];
const GLOBS: &[&str] = &[
    "a*", "*b", "a*b", "*a*", "cust*", "**", "", "*_id", "p*c", "S*", "pg_*",
];

pub(super) fn name(choices: &mut Choices, from: &[&str]) -> Arc<str> {
    Arc::from(choices.pick(from))
}

/// A pattern that more often than not matches something of `from`.
pub(super) fn pattern(choices: &mut Choices, from: &[&str]) -> NamePattern {
    match choices.below(12) {
        0..=3 => NamePattern::any(),
        4..=8 => NamePattern::Glob(Glob::exactly(choices.pick(from))),
        9 | 10 => NamePattern::Glob(Glob::with_stars(choices.pick(GLOBS))),
        _ => {
            let source = choices.pick(REGEXES);
            NamePattern::Regex(regex(source))
        }
    }
}

/// Names of an adversarial policy: many, so that boxes overlap in part.
pub(super) fn numbered(letter: char, number: u32) -> String {
    format!("{letter}{number}")
}

/// A run of numbered names, as a pattern.
pub(super) fn numbered_pattern(choices: &mut Choices, letter: char, most: u32) -> NamePattern {
    let number = choices.below(most);
    match choices.below(6) {
        0 => NamePattern::any(),
        1 | 2 => NamePattern::Glob(Glob::exactly(&numbered(letter, number))),
        3 => NamePattern::Glob(Glob::with_stars(&format!("{letter}{}*", number % 10))),
        4 => NamePattern::Glob(Glob::with_stars(&format!("*{}", number % 10))),
        _ => {
            let (low, high) = (number % 10, (number % 10).max(choices.below(10)));
            let source = format!("{letter}[{low}-{high}]+");
            NamePattern::Regex(regex(&source))
        }
    }
}

/// Compiling one is what takes longest, and there are few.
fn regex(source: &str) -> NameRegex {
    thread_local! {
        static MADE: RefCell<HashMap<String, NameRegex>> = RefCell::new(HashMap::new());
    }
    MADE.with_borrow_mut(|made| {
        made.entry(source.to_owned())
            .or_insert_with(|| NameRegex::new(source).expect("a valid expression"))
            .clone()
    })
}

pub(super) fn group(choices: &mut Choices) -> Group {
    let mut names: Vec<Arc<str>> = choices.subset(GROUPS).into_iter().map(Arc::from).collect();
    names.truncate(2);
    names
}

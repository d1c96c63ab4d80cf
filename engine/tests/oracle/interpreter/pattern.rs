//! Globs by recursion, regular expressions by the crate `regex`, classes by asking each of their patterns.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use provost_engine::{
    facts::Column,
    graph::{
        name::NamePattern,
        rule::{Class, ColumnPattern, RuleSet},
    },
};
use regex::Regex;

/// Whether upper and lower case are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Exact,
    Ignored,
}

/// Whether a pattern matches the whole of a name.
pub(super) fn matches(pattern: &NamePattern, name: &str, case: Case) -> bool {
    let fold = |text: &str| match case {
        Case::Exact => text.to_owned(),
        Case::Ignored => text.to_lowercase(),
    };
    match pattern {
        NamePattern::Glob(glob) => match glob.as_exact() {
            Some(exact) if case == Case::Exact => **exact == *name,
            Some(exact) => fold(exact) == fold(name),
            None => like(fold(&glob.to_string()).as_bytes(), fold(name).as_bytes()),
        },
        NamePattern::Regex(regex) => regex_matches(regex.source(), &fold(name), case),
    }
}

fn like(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| like(rest, &name[skipped..])),
        Some((first, rest)) => name.first() == Some(first) && like(rest, &name[1..]),
    }
}

fn regex_matches(source: &Arc<str>, name: &str, case: Case) -> bool {
    type Key = (Arc<str>, bool);
    thread_local! {
        static COMPILED: RefCell<HashMap<Key, Regex>> = RefCell::new(HashMap::new());
    }
    COMPILED.with_borrow_mut(|compiled| {
        let ignored = case == Case::Ignored;
        let regex = compiled
            .entry((Arc::clone(source), ignored))
            .or_insert_with(|| {
                let flags = if ignored { "(?si)" } else { "(?s)" };
                Regex::new(&format!("{flags}^(?:{source})$")).expect("a valid expression")
            });
        regex.is_match(name)
    })
}

/// Whether a column is a member of a class of that name. Classes ignore case.
pub(super) fn is_member(set: &RuleSet, class: &str, column: &Column) -> bool {
    classes_called(set, class).any(|class| {
        class.columns.iter().any(|pattern| {
            matches(&pattern.schema, &column.schema, Case::Ignored)
                && matches(&pattern.relation, &column.relation, Case::Ignored)
                && matches(&pattern.column, &column.name, Case::Ignored)
        })
    })
}

/// Whether a pattern of the class spells out something of that relation's name, or its schema's, and matches it.
pub(super) fn names_relation(set: &RuleSet, class: &str, schema: &str, relation: &str) -> bool {
    let is_star = |pattern: &NamePattern| match pattern {
        NamePattern::Glob(glob) => {
            let text = glob.to_string();
            glob.as_exact().is_none() && text.bytes().all(|byte| byte == b'*')
        }
        NamePattern::Regex(_) => false,
    };
    let says_nothing =
        |pattern: &ColumnPattern| is_star(&pattern.schema) && is_star(&pattern.relation);
    classes_called(set, class).any(|class| {
        class.columns.iter().any(|pattern| {
            !says_nothing(pattern)
                && matches(&pattern.schema, schema, Case::Ignored)
                && matches(&pattern.relation, relation, Case::Ignored)
        })
    })
}

fn classes_called<'a>(set: &'a RuleSet, name: &'a str) -> impl Iterator<Item = &'a Class> {
    set.classes.iter().filter(move |class| *class.name == *name)
}

//! The names of one dimension classified: every name, known or not, has one class, and a pattern is the list of the
//! classes whose names it matches.
//!
//! A name that a pattern spells out has a class of its own, found by its hash. Every other name runs through the one
//! automaton of the dimension's globs, and its class is the set of globs that match. Regular expressions, and globs past
//! the automaton's budget, are in no class: whoever asks for them gets `None`, and tests them alone.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use super::{automaton::Automaton, glob::Glob, name::NamePattern};

/// The class of an absent name.
pub(super) const ABSENT: u32 = 0;

/// How many classes all globs of a dimension together may list; a glob past it is left out, like one past the automaton's
/// budget.
const LISTED_MAX: usize = 1 << 21;

/// Names of one dimension, and their classes.
#[derive(Debug)]
pub(super) struct Names {
    /// Names that some pattern spells out.
    exact: HashMap<Arc<str>, u32, BuildHasherDefault<NameHasher>>,
    /// Every other name.
    automaton: Automaton,
    /// The class of the automaton's first outcome; the others follow.
    first_outcome: u32,
}

/// The classes that each pattern of a dimension matches, ascending.
#[derive(Debug, Default)]
pub(super) struct Listed(HashMap<NamePattern, Arc<[u32]>>);

impl Listed {
    /// The classes whose names the pattern matches; `None` if that is not known and each name is to be tested.
    pub(super) fn classes(&self, pattern: &NamePattern) -> Option<Arc<[u32]>> {
        self.0.get(pattern).cloned()
    }
}

impl Listed {
    /// What a class stands for: a name, or names by the patterns that match them.
    pub(super) fn words(&self, class: u32) -> String {
        if class == ABSENT {
            return "none".to_owned();
        }
        let mut globs: Vec<String> = Vec::new();
        for (pattern, classes) in &self.0 {
            if classes.contains(&class) {
                match pattern.as_exact() {
                    Some(name) => return name.to_string(),
                    None => globs.push(pattern.to_string()),
                }
            }
        }
        globs.sort();
        match globs.is_empty() {
            true => "any other".to_owned(),
            false => format!("like {}", globs.join(" and ")),
        }
    }
}

impl Names {
    /// Classifies by `patterns`.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a NamePattern>) -> (Self, Listed) {
        let (mut spelled, mut globs): (BTreeSet<&Arc<str>>, BTreeSet<&Glob>) = Default::default();
        for pattern in patterns {
            match (pattern, pattern.as_exact()) {
                (NamePattern::Glob(_), Some(name)) => {
                    spelled.insert(name);
                }
                (NamePattern::Glob(glob), None) => {
                    globs.insert(glob);
                }
                (NamePattern::Regex(_), _) => {}
            }
        }
        let globs: Vec<&Glob> = globs.into_iter().collect();
        let built = Automaton::build(&globs);
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); globs.len()];
        let mut listed = 0_usize;
        let mut list = |class: u32, outcome: usize| {
            for &glob in built.outcomes.get(outcome).map_or(&[][..], Vec::as_slice) {
                listed += 1;
                if let Some(classes) = lists.get_mut(glob as usize) {
                    classes.push(class);
                }
            }
            listed <= LISTED_MAX
        };
        let mut fits = true;
        let mut names = Listed::default();
        let mut exact: HashMap<Arc<str>, u32, BuildHasherDefault<NameHasher>> =
            HashMap::with_capacity_and_hasher(spelled.len(), BuildHasherDefault::default());
        for (class, name) in (ABSENT + 1..).zip(&spelled) {
            exact.insert(Arc::clone(name), class);
            names
                .0
                .insert(Glob::exactly(name).into(), Arc::from([class]));
            fits = fits && list(class, built.automaton.run(name));
        }
        let first_outcome = u32::try_from(spelled.len()).unwrap_or(u32::MAX - 1) + 1;
        for (outcome, class) in (0..built.outcomes.len()).zip(first_outcome..) {
            fits = fits && list(class, outcome);
        }
        if fits {
            for ((glob, classes), is_in) in globs.into_iter().zip(lists).zip(built.is_in) {
                if is_in {
                    names.0.insert(glob.clone().into(), Arc::from(classes));
                }
            }
        }
        let classifier = Self {
            exact,
            automaton: built.automaton,
            first_outcome,
        };
        (classifier, names)
    }

    /// The class of `name`.
    pub(super) fn class(&self, name: &str) -> u32 {
        if let Some(&class) = self.exact.get(name) {
            return class;
        }
        let outcome = u32::try_from(self.automaton.run(name)).unwrap_or_default();
        self.first_outcome + outcome
    }
}

/// Hashes a name eight bytes at a time (the multiply and rotate of Firefox's hasher). The table never changes and its names
/// are the policy's own, so that a client can't fill a bucket.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct NameHasher(u64);

impl NameHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = bytes.len() as u64;
        for &byte in rest {
            last = (last << 8) | u64::from(byte);
        }
        self.add(last);
    }

    fn write_u8(&mut self, _: u8) {
        // The mark that ends a string: its length is in the hash already.
    }

    fn finish(&self) -> u64 {
        // The table looks at the highest and the lowest bits.
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::name::NameRegex, *};

    #[track_caller]
    fn check(patterns: &[NamePattern], name: &str) {
        let (names, listed) = Names::new(patterns.iter());
        let class = names.class(name);
        assert_ne!(class, ABSENT);
        for pattern in patterns {
            if let Some(classes) = listed.classes(pattern) {
                assert!(classes.is_sorted());
                assert_eq!(
                    classes.contains(&class),
                    pattern.matches(name),
                    "{pattern} on `{name}`"
                );
            } else {
                assert!(matches!(pattern, NamePattern::Regex(_)), "{pattern}");
            }
        }
    }

    #[test]
    fn a_pattern_lists_the_classes_of_the_names_it_matches() {
        let mut patterns: Vec<NamePattern> = [
            "*",
            "orders",
            "o*",
            "order_items",
            "*items",
            "a long name of many words",
        ]
        .iter()
        .map(|pattern| Glob::with_stars(pattern).into())
        .collect();
        patterns.push(Glob::exactly("o*").into());
        patterns.push(NamePattern::Regex(NameRegex::new("o.*").expect("valid")));
        for name in [
            "orders",
            "order_items",
            "other",
            "zebra",
            "",
            "items",
            "o*",
            "o",
            "a long name of many words",
            "a long name of many wordz",
        ] {
            check(&patterns, name);
        }
        check(&[], "orders");
    }
}

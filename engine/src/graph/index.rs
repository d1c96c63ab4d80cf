//! Bit sets over entries, and tables that classify a name into the set of entries whose pattern matches it.
//!
//! One dimension, one table; ANDing the dimensions' sets leaves the entries that match. Names that no pattern
//! mentions classify too: they get the entries that match anything.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::name::NamePattern;

/// A set of small numbers, all sets of one policy with the same width.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// The empty set, wide enough for numbers below `count`.
    pub(super) fn empty(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    /// Adds `number`, which must be below the width; beyond it nothing happens.
    pub(super) fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether there is no member.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// Whether `number` is a member.
    pub(super) fn contains(&self, number: usize) -> bool {
        self.0
            .get(number / 64)
            .is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Adds `other`'s members.
    pub(super) fn add_all(&mut self, other: &Self) {
        for (word, &more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// Removes the members that are not in `other`.
    pub(super) fn keep_only(&mut self, other: &Self) {
        for (position, word) in self.0.iter_mut().enumerate() {
            *word &= other.0.get(position).copied().unwrap_or(0);
        }
    }

    /// Members that are in all of `sets` (which have equal widths), ascending.
    pub(super) fn common<'a, const N: usize>(
        sets: [&'a Self; N],
    ) -> impl Iterator<Item = usize> + 'a {
        let words = sets.iter().map(|set| set.0.len()).min().unwrap_or(0);
        (0..words).flat_map(move |position| {
            let mut word = sets.iter().fold(u64::MAX, |word, set| {
                word & set.0.get(position).copied().unwrap_or(0)
            });
            std::iter::from_fn(move || {
                if word == 0 {
                    return None;
                }
                let lowest = word.trailing_zeros() as usize;
                word &= word - 1;
                Some(position * 64 + lowest)
            })
        })
    }

    /// Members, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        Self::common([self])
    }
}

/// Classifies names: which entries' patterns match.
#[derive(Debug)]
pub(super) struct NameTable {
    /// Names that some pattern spells out: the whole answer, globs included.
    exact: HashMap<Arc<str>, Bits>,
    /// Patterns with stars, equal ones merged.
    globs: Vec<(NamePattern, Bits)>,
    /// Entries that match any name.
    any: Bits,
}

impl NameTable {
    /// A table over `count` entries from (entry, pattern) pairs; `None` as a pattern matches anything.
    pub(super) fn new<'a>(
        count: usize,
        patterns: impl Iterator<Item = (usize, Option<&'a NamePattern>)>,
    ) -> Self {
        let mut any = Bits::empty(count);
        let mut exact: HashMap<Arc<str>, Bits> = HashMap::new();
        let mut globs: HashMap<&NamePattern, Bits> = HashMap::new();
        for (entry, pattern) in patterns {
            match pattern {
                None => any.insert(entry),
                Some(glob) if glob.is_any() => any.insert(entry),
                Some(glob) => match glob.as_exact() {
                    Some(name) => {
                        exact
                            .entry(Arc::clone(name))
                            .or_insert_with(|| Bits::empty(count))
                            .insert(entry);
                    }
                    None => globs
                        .entry(glob)
                        .or_insert_with(|| Bits::empty(count))
                        .insert(entry),
                },
            }
        }
        let globs: Vec<(NamePattern, Bits)> = globs
            .into_iter()
            .map(|(glob, bits)| (glob.clone(), bits))
            .collect();
        for (name, bits) in &mut exact {
            bits.add_all(&any);
            for (_, more) in globs.iter().filter(|(glob, _)| glob.matches(name)) {
                bits.add_all(more);
            }
        }
        Self { exact, globs, any }
    }

    /// The entries whose pattern matches `name`.
    pub(super) fn lookup(&self, name: &str) -> Cow<'_, Bits> {
        if let Some(bits) = self.exact.get(name) {
            return Cow::Borrowed(bits);
        }
        let mut matched = self
            .globs
            .iter()
            .filter(|(glob, _)| glob.matches(name))
            .peekable();
        if matched.peek().is_none() {
            return Cow::Borrowed(&self.any);
        }
        let mut bits = self.any.clone();
        for (_, more) in matched {
            bits.add_all(more);
        }
        Cow::Owned(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::glob::Glob, *};

    #[track_caller]
    fn check(patterns: &[&str], name: &str, expected: &[usize]) {
        let globs: Vec<NamePattern> = patterns
            .iter()
            .map(|pattern| Glob::with_stars(pattern).into())
            .collect();
        let table = NameTable::new(
            globs.len(),
            globs
                .iter()
                .enumerate()
                .map(|(index, glob)| (index, Some(glob))),
        );
        assert_eq!(
            table.lookup(name).iter().collect::<Vec<_>>(),
            expected,
            "{patterns:?} for `{name}`"
        );
    }

    #[test]
    fn names_classify() {
        for (name, expected) in [
            ("orders", [0, 1, 2].as_slice()),
            ("other", &[0, 2]),
            ("zebra", &[0]),
            ("", &[0]),
        ] {
            check(&["*", "orders", "o*"], name, expected);
        }
        check(&[], "orders", &[]);
    }

    #[test]
    fn sets_wider_than_a_word() {
        let mut left = Bits::empty(200);
        let mut right = Bits::empty(200);
        for number in [0, 63, 64, 127, 199] {
            left.insert(number);
        }
        for number in [1, 63, 127, 198, 199] {
            right.insert(number);
        }
        left.insert(500);
        assert_eq!(
            Bits::common([&left, &right]).collect::<Vec<_>>(),
            [63, 127, 199]
        );
        assert_eq!(
            left.iter().count(),
            5,
            "a number beyond the width is no member"
        );
        assert!(Bits::empty(200).is_empty() && !left.is_empty());
    }
}

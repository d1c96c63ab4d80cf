//! All the ways in which a name can match a list of patterns, with a name for each: the states of one automaton over
//! the patterns, walked breadth first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::name::NamePattern;

/// How many states are walked; more are [`TooMany`].
const STATES_MAX: usize = 20_000;
/// Letters that stand for every letter which no pattern spells out.
const OTHERS: &str = "xyzwvutsrqponmlkjihgfedcba0123456789_";

/// The patterns can match in more ways than are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// Whether letters' case counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Case {
    /// It does.
    Counts,
    /// The pattern is in lower case and meets lower-case names.
    Ignored,
}

/// A pattern as letters and stars.
struct Letters {
    letters: Vec<Option<char>>,
    case: Case,
}

impl Letters {
    /// The positions after those that a star can skip.
    fn close(&self, positions: &mut BTreeSet<usize>) {
        let mut open: Vec<usize> = positions.iter().copied().collect();
        while let Some(position) = open.pop() {
            if self.letters.get(position) == Some(&None) && positions.insert(position + 1) {
                open.push(position + 1);
            }
        }
    }

    fn step(&self, positions: &BTreeSet<usize>, letter: char) -> BTreeSet<usize> {
        let mut next = BTreeSet::new();
        for &position in positions {
            match self.letters.get(position) {
                Some(None) => {
                    next.insert(position);
                }
                Some(Some(wanted)) if self.is_letter(*wanted, letter) => {
                    next.insert(position + 1);
                }
                Some(Some(_)) | None => {}
            }
        }
        self.close(&mut next);
        next
    }

    fn is_letter(&self, wanted: char, letter: char) -> bool {
        match self.case {
            Case::Counts => wanted == letter,
            Case::Ignored => letter.to_lowercase().eq([wanted]),
        }
    }
}

/// One way to match: a name, and for each pattern whether it matches (`None`: a regular expression, which only a
/// spelled-out name is asked of).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// The shortest name found that matches so.
    pub(super) name: String,
    /// For each pattern.
    pub(super) matched: Vec<bool>,
}

/// Every way in which names match `patterns`. Regular expressions are asked of the names that the globs lead to, which
/// is not every way that they can match: callers treat rules with one as unknown.
pub(super) fn ways(patterns: &[(NamePattern, Case)]) -> Result<Vec<Way>, TooMany> {
    let globs: Vec<Option<Letters>> = patterns
        .iter()
        .map(|(pattern, case)| match pattern {
            NamePattern::Glob(glob) => Some(Letters {
                letters: match glob.as_exact() {
                    Some(name) => name.chars().map(Some).collect(),
                    None => glob
                        .to_string()
                        .chars()
                        .map(|letter| (letter != '*').then_some(letter))
                        .collect(),
                },
                case: *case,
            }),
            NamePattern::Regex(_) => None,
        })
        .collect();
    let alphabet = alphabet(&globs);
    let start: Vec<BTreeSet<usize>> = globs
        .iter()
        .map(|glob| {
            let mut positions = BTreeSet::from([0]);
            if let Some(glob) = glob {
                glob.close(&mut positions);
            }
            positions
        })
        .collect();
    // The start is reached by the empty name only: a name that leads back to it is a way of its own.
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([(start, String::new())]);
    let mut found: BTreeMap<Vec<bool>, String> = BTreeMap::new();
    while let Some((state, name)) = queue.pop_front() {
        // PostgreSQL has no empty names.
        if !name.is_empty() {
            let matched = patterns
                .iter()
                .map(|(pattern, case)| match case {
                    Case::Counts => pattern.matches(&name),
                    Case::Ignored => pattern.matches(&name.to_lowercase()),
                })
                .collect();
            found.entry(matched).or_insert_with(|| name.clone());
        }
        for &letter in &alphabet {
            let next: Vec<BTreeSet<usize>> = globs
                .iter()
                .zip(&state)
                .map(|(glob, positions)| {
                    glob.as_ref()
                        .map_or_else(BTreeSet::new, |glob| glob.step(positions, letter))
                })
                .collect();
            if seen.insert(next.clone()) {
                if seen.len() > STATES_MAX {
                    return Err(TooMany);
                }
                queue.push_back((next, format!("{name}{letter}")));
            }
        }
    }
    if found.is_empty() {
        found.insert(vec![false; patterns.len()], "x".to_owned());
    }
    Ok(found
        .into_iter()
        .map(|(matched, name)| Way { name, matched })
        .collect())
}

/// Every letter that a pattern spells out, in both cases where one ignores it, and one that none does.
fn alphabet(globs: &[Option<Letters>]) -> BTreeSet<char> {
    let mut letters: BTreeSet<char> = globs
        .iter()
        .flatten()
        .flat_map(|glob| glob.letters.iter().copied().flatten())
        .collect();
    let mixed = globs
        .iter()
        .flatten()
        .any(|glob| glob.case == Case::Ignored)
        && globs.iter().flatten().any(|glob| glob.case == Case::Counts);
    if mixed {
        let other_case: Vec<char> = letters
            .iter()
            .flat_map(|letter| letter.to_uppercase())
            .collect();
        letters.extend(other_case);
    }
    let free = OTHERS
        .chars()
        .chain('\u{4e00}'..='\u{9fff}')
        .find(|letter| !letters.contains(letter));
    letters.extend(free);
    letters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::glob::Glob;

    #[track_caller]
    fn check(patterns: &[&str], expected: &[&[bool]]) {
        let patterns: Vec<(NamePattern, Case)> = patterns
            .iter()
            .map(|pattern| (Glob::with_stars(pattern).into(), Case::Counts))
            .collect();
        let found: BTreeSet<Vec<bool>> = ways(&patterns)
            .expect("few")
            .into_iter()
            .map(|way| way.matched)
            .collect();
        let expected: BTreeSet<Vec<bool>> = expected.iter().map(|way| way.to_vec()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_way_is_found() {
        check(&[], &[&[]]);
        check(&["*"], &[&[true]]);
        check(&["a"], &[&[true], &[false]]);
        check(
            &["a*", "*b"],
            &[
                &[true, true],
                &[true, false],
                &[false, true],
                &[false, false],
            ],
        );
        check(
            &["a*", "ab*"],
            &[&[true, true], &[true, false], &[false, false]],
        );
        check(&["*", "a"], &[&[true, true], &[true, false]]);
    }

    #[test]
    fn case() {
        let patterns = [
            (NamePattern::from(Glob::exactly("A")), Case::Counts),
            (Glob::exactly("a").into(), Case::Ignored),
        ];
        let found: BTreeSet<Vec<bool>> = ways(&patterns)
            .expect("few")
            .into_iter()
            .map(|way| way.matched)
            .collect();
        let expected = [[true, true], [false, true], [false, false]];
        assert_eq!(found, expected.iter().map(|way| way.to_vec()).collect());
    }
}

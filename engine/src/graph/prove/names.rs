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

/// What a name must go on with at a position of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// This letter.
    Letter(char, Case),
    /// Any letters.
    Star,
    /// Nothing.
    End,
}

/// All patterns, one behind the other: a state is the positions where a name can be, in order, so it is small however
/// many patterns there are.
struct Automaton {
    items: Vec<Item>,
    start: Vec<usize>,
    /// Letters that can make a difference.
    alphabet: BTreeSet<char>,
}

impl Automaton {
    fn new(patterns: &[(NamePattern, Case)]) -> Self {
        let mut items = Vec::new();
        let mut start = Vec::new();
        for (pattern, case) in patterns {
            let NamePattern::Glob(glob) = pattern else {
                continue;
            };
            start.push(items.len());
            match glob.as_exact() {
                Some(name) => items.extend(name.chars().map(|letter| Item::Letter(letter, *case))),
                None => items.extend(glob.to_string().chars().map(|letter| match letter {
                    '*' => Item::Star,
                    letter => Item::Letter(letter, *case),
                })),
            }
            items.push(Item::End);
        }
        let mut automaton = Self {
            alphabet: alphabet(&items),
            items,
            start: Vec::new(),
        };
        automaton.start = automaton.closed(start);
        automaton
    }

    /// With the positions after those that a star can skip; in order, each once.
    fn closed(&self, mut positions: Vec<usize>) -> Vec<usize> {
        let mut open = positions.clone();
        while let Some(position) = open.pop() {
            if self.items.get(position) == Some(&Item::Star) {
                positions.push(position + 1);
                open.push(position + 1);
            }
        }
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    fn step(&self, positions: &[usize], letter: char) -> Vec<usize> {
        let next = positions
            .iter()
            .filter_map(|&position| match self.items.get(position)? {
                Item::Star => Some(position),
                Item::Letter(wanted, case) => {
                    is_letter(*wanted, *case, letter).then_some(position + 1)
                }
                Item::End => None,
            });
        self.closed(next.collect())
    }

    /// The letters that lead on from a state, and one of those that all lead to the same; capitals last, so that the
    /// names found are plain ones where those will do.
    fn letters(&self, positions: &[usize]) -> Vec<char> {
        let mut letters = BTreeSet::new();
        for position in positions {
            match self.items.get(*position) {
                Some(Item::Letter(wanted, Case::Counts)) => {
                    letters.insert(*wanted);
                }
                Some(Item::Letter(wanted, Case::Ignored)) => letters.extend(
                    self.alphabet
                        .iter()
                        .filter(|letter| is_letter(*wanted, Case::Ignored, **letter)),
                ),
                Some(Item::Star | Item::End) | None => {}
            }
        }
        let other = self
            .alphabet
            .iter()
            .filter(|letter| !letters.contains(letter))
            .min_by_key(|letter| plainness(**letter));
        let mut letters: Vec<char> = letters.iter().chain(other).copied().collect();
        letters.sort_unstable_by_key(|letter| plainness(*letter));
        letters
    }
}

/// What is sorted by it has plain letters first.
fn plainness(letter: char) -> (bool, char) {
    (letter.is_uppercase(), letter)
}

fn is_letter(wanted: char, case: Case, letter: char) -> bool {
    match case {
        Case::Counts => wanted == letter,
        Case::Ignored => letter.to_lowercase().eq([wanted]),
    }
}

/// One way to match: a name, and for each pattern whether it matches (`None`: a regular expression, which only a
/// spelled-out name is asked of).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// The shortest name found that matches so.
    pub(super) name: String,
    /// The name in lower case.
    pub(super) lower: String,
    /// For each pattern.
    pub(super) matched: Vec<bool>,
}

/// Every way in which names match `patterns`. Regular expressions are asked of the names that the globs lead to, which
/// is not every way that they can match: callers treat rules with one as unknown.
pub(super) fn ways(patterns: &[(NamePattern, Case)]) -> Result<Vec<Way>, TooMany> {
    let automaton = Automaton::new(patterns);
    // The start is reached by the empty name only: a name that leads back to it is a way of its own.
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([(automaton.start.clone(), String::new())]);
    let mut found: BTreeMap<Vec<bool>, String> = BTreeMap::new();
    while let Some((state, name)) = queue.pop_front() {
        // PostgreSQL has no empty names.
        if !name.is_empty() {
            let lower = name.to_lowercase();
            let matched = patterns
                .iter()
                .map(|(pattern, case)| match case {
                    Case::Counts => pattern.matches(&name),
                    Case::Ignored => pattern.matches(&lower),
                })
                .collect();
            found.entry(matched).or_insert_with(|| name.clone());
        }
        for letter in automaton.letters(&state) {
            let next = automaton.step(&state, letter);
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
        .map(|(matched, name)| Way {
            lower: name.to_lowercase(),
            name,
            matched,
        })
        .collect())
}

/// Every letter that a pattern spells out, in both cases where one ignores it, and one that none does.
fn alphabet(items: &[Item]) -> BTreeSet<char> {
    let spelled: Vec<(char, Case)> = items
        .iter()
        .filter_map(|item| match item {
            Item::Letter(letter, case) => Some((*letter, *case)),
            Item::Star | Item::End => None,
        })
        .collect();
    let mut letters: BTreeSet<char> = spelled.iter().map(|(letter, _)| *letter).collect();
    let any = |case: Case| spelled.iter().any(|(_, one)| *one == case);
    if any(Case::Ignored) && any(Case::Counts) {
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

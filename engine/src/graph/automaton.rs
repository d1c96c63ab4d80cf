//! One minimised automaton over all globs of a dimension: a name ends in a state, and the state knows the set of globs
//! that match. Never approximates: globs that do not fit into the budget are left out, and whoever asked tests them alone.

use std::collections::HashMap;

use super::glob::Glob;

/// How many states an automaton may have before it is minimised. Globs that would need more are left out.
const STATES_MAX: usize = 1 << 13;

/// How many places in globs all states together may stand for; bounds the time and the memory of a build.
const ITEMS_MAX: usize = 1 << 21;

/// An automaton over the bytes of names.
#[derive(Debug)]
pub(super) struct Automaton {
    /// The letter of each byte; bytes that no glob has share one.
    letters: Vec<u8>,
    /// How many letters there are, as a power of two.
    letter_bits: u32,
    /// The next state, by state and letter.
    next: Vec<u16>,
    /// The outcome of each state: which set of globs a name that ends here matches.
    outcomes: Vec<u16>,
}

/// An automaton and what its outcomes mean.
#[derive(Debug)]
pub(super) struct Built {
    /// The automaton.
    pub(super) automaton: Automaton,
    /// The globs that match at each outcome, by their places in what was given, ascending.
    pub(super) outcomes: Vec<Vec<u32>>,
    /// Whether each glob is in the automaton.
    pub(super) is_in: Vec<bool>,
}

impl Automaton {
    /// The outcome that `name` ends in.
    pub(super) fn run(&self, name: &str) -> usize {
        let mut state = 0_usize;
        for byte in name.bytes() {
            let letter = self
                .letters
                .get(usize::from(byte))
                .copied()
                .unwrap_or_default();
            let place = (state << self.letter_bits) | usize::from(letter);
            state = self.next.get(place).copied().map_or(0, usize::from);
        }
        self.outcomes.get(state).copied().map_or(0, usize::from)
    }

    /// Builds an automaton over as many of `globs` as fit. Those with a star in the middle, which multiply states, are
    /// given up first, and those with a star only at the end, which never do, last.
    pub(super) fn build(globs: &[&Glob]) -> Built {
        let ranks: Vec<u8> = globs.iter().map(|glob| rank(glob)).collect();
        let mut chosen: Vec<usize> = Vec::new();
        for rank_max in [2, 1, 0] {
            chosen = (0..globs.len())
                .filter(|&place| ranks.get(place).is_some_and(|&rank| rank <= rank_max))
                .collect();
            if let Some(built) = Self::build_chosen(globs, &chosen) {
                return built;
            }
        }
        loop {
            chosen.truncate(chosen.len() / 2);
            if let Some(built) = Self::build_chosen(globs, &chosen) {
                return built;
            }
        }
    }

    fn build_chosen(globs: &[&Glob], chosen: &[usize]) -> Option<Built> {
        let places = Places::new(globs, chosen);
        let subsets = places.subsets()?;
        let mut outcome_numbers: HashMap<Vec<u32>, u16> = HashMap::new();
        let mut outcomes = Vec::new();
        let mut outcome_of = Vec::with_capacity(subsets.sets.len());
        for set in &subsets.sets {
            let matched = places.matched(set, chosen);
            let number = match outcome_numbers.get(&matched) {
                Some(&number) => number,
                None => {
                    let number = u16::try_from(outcomes.len()).ok()?;
                    outcomes.push(matched.clone());
                    outcome_numbers.insert(matched, number);
                    number
                }
            };
            outcome_of.push(number);
        }
        let mut is_in = vec![false; globs.len()];
        for &place in chosen {
            if let Some(flag) = is_in.get_mut(place) {
                *flag = true;
            }
        }
        Some(Built {
            automaton: minimise(&places, &subsets.next, &outcome_of)?,
            outcomes,
            is_in,
        })
    }
}

/// 0: a star at the end only. 1: one star. 2: more.
fn rank(glob: &Glob) -> u8 {
    match glob.pieces() {
        [_, last] if last.is_empty() => 0,
        [_, _] => 1,
        _ => 2,
    }
}

/// One place in a glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// A byte, as a letter.
    Letter(u8),
    /// Any run of bytes.
    Star,
    /// The glob has matched if the name ends here.
    End,
}

/// Every place of every chosen glob, one after the other.
struct Places {
    tokens: Vec<Token>,
    /// The glob of each place, as a place in `chosen`.
    glob_of: Vec<u32>,
    /// The first place of each glob.
    starts: Vec<u32>,
    letters: Vec<u8>,
    letter_count: usize,
}

/// The states before they are minimised.
struct Subsets {
    sets: Vec<Vec<u32>>,
    /// By state and letter, rows of `letter_count`.
    next: Vec<u16>,
}

impl Places {
    fn new(globs: &[&Glob], chosen: &[usize]) -> Self {
        let mut letters = vec![0_u8; 256];
        let mut letter_count = 1_usize;
        let (mut tokens, mut glob_of, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for (number, glob) in chosen
            .iter()
            .filter_map(|&place| globs.get(place))
            .enumerate()
        {
            let first = tokens.len();
            starts.push(narrow(first));
            for (position, piece) in glob.pieces().iter().enumerate() {
                let follows_star = tokens.len() > first && tokens.last() == Some(&Token::Star);
                if position > 0 && !follows_star {
                    tokens.push(Token::Star);
                }
                for byte in piece.bytes() {
                    let Some(letter) = letters.get_mut(usize::from(byte)) else {
                        continue;
                    };
                    if *letter == 0 {
                        // 256 bytes can't all occur in UTF-8, so that the letter of the others stays free.
                        *letter = u8::try_from(letter_count).unwrap_or(u8::MAX);
                        letter_count += 1;
                    }
                    tokens.push(Token::Letter(*letter));
                }
            }
            tokens.push(Token::End);
            glob_of.resize(tokens.len(), narrow(number));
        }
        Self {
            tokens,
            glob_of,
            starts,
            letters,
            letter_count,
        }
    }

    fn token(&self, place: u32) -> Token {
        self.tokens
            .get(place as usize)
            .copied()
            .unwrap_or(Token::End)
    }

    /// Follows stars, and drops what a later star of the same glob makes needless: whatever matches from an earlier place
    /// matches from that star too.
    fn close(&self, mut set: Vec<u32>) -> Vec<u32> {
        let mut position = 0;
        while let Some(&place) = set.get(position) {
            if self.token(place) == Token::Star {
                set.push(place + 1);
            }
            position += 1;
        }
        set.sort_unstable();
        set.dedup();
        let glob_of = |place: u32| self.glob_of.get(place as usize).copied();
        let mut kept: Vec<u32> = Vec::with_capacity(set.len());
        let mut star: Option<Option<u32>> = None;
        for &place in set.iter().rev() {
            let glob = glob_of(place);
            if star == Some(glob) {
                continue;
            }
            if self.token(place) == Token::Star {
                star = Some(glob);
            }
            kept.push(place);
        }
        kept.reverse();
        kept
    }

    /// The subset construction; `None` past the budget.
    fn subsets(&self) -> Option<Subsets> {
        let mut numbers: HashMap<Vec<u32>, u16> = HashMap::new();
        let mut sets: Vec<Vec<u32>> = Vec::new();
        let mut next: Vec<u16> = Vec::new();
        let mut items = 0_usize;
        let mut number_of = |set: Vec<u32>, sets: &mut Vec<Vec<u32>>| -> Option<u16> {
            if let Some(&number) = numbers.get(&set) {
                return Some(number);
            }
            items += set.len();
            if sets.len() >= STATES_MAX || items > ITEMS_MAX {
                return None;
            }
            let number = u16::try_from(sets.len()).ok()?;
            sets.push(set.clone());
            numbers.insert(set, number);
            Some(number)
        };
        number_of(self.close(self.starts.clone()), &mut sets)?;
        let mut work = 0_usize;
        let mut state = 0;
        while let Some(set) = sets.get(state).cloned() {
            let stars: Vec<u32> = set
                .iter()
                .copied()
                .filter(|&place| self.token(place) == Token::Star)
                .collect();
            let mut moves: Vec<(u8, u32)> = set
                .iter()
                .filter_map(|&place| match self.token(place) {
                    Token::Letter(letter) => Some((letter, place + 1)),
                    Token::Star | Token::End => None,
                })
                .collect();
            moves.sort_unstable();
            let rest = number_of(self.close(stars.clone()), &mut sets)?;
            let mut row = vec![rest; self.letter_count];
            for group in moves.chunk_by(|left, right| left.0 == right.0) {
                let Some(&(letter, _)) = group.first() else {
                    continue;
                };
                work += stars.len() + group.len();
                if work > 8 * ITEMS_MAX {
                    return None;
                }
                let mut to = stars.clone();
                to.extend(group.iter().map(|&(_, place)| place));
                let to = number_of(self.close(to), &mut sets)?;
                if let Some(slot) = row.get_mut(usize::from(letter)) {
                    *slot = to;
                }
            }
            next.extend(row);
            state += 1;
        }
        Some(Subsets { sets, next })
    }

    /// The globs that match a name that ends in the state.
    fn matched(&self, set: &[u32], chosen: &[usize]) -> Vec<u32> {
        set.iter()
            .filter(|&&place| self.token(place) == Token::End)
            .filter_map(|&place| {
                let number = *self.glob_of.get(place as usize)?;
                chosen.get(number as usize).map(|&glob| narrow(glob))
            })
            .collect()
    }
}

/// Merges states that no name tells apart: partitions by outcome, refined until each block moves as one (Moore).
fn minimise(places: &Places, next: &[u16], outcome_of: &[u16]) -> Option<Automaton> {
    let letters = places.letter_count;
    let mut blocks: Vec<u16> = Vec::with_capacity(outcome_of.len());
    let mut seen: HashMap<Vec<u16>, u16> = HashMap::new();
    for &outcome in outcome_of {
        let count = u16::try_from(seen.len()).ok()?;
        blocks.push(*seen.entry(vec![outcome]).or_insert(count));
    }
    let mut count = seen.len();
    loop {
        let mut seen: HashMap<Vec<u16>, u16> = HashMap::new();
        let mut refined = Vec::with_capacity(blocks.len());
        for (row, &block) in next.chunks(letters).zip(&blocks) {
            let mut key = vec![block];
            key.extend(
                row.iter()
                    .map(|&to| blocks.get(usize::from(to)).copied().unwrap_or_default()),
            );
            let number = u16::try_from(seen.len()).ok()?;
            refined.push(*seen.entry(key).or_insert(number));
        }
        let refined_count = seen.len();
        blocks = refined;
        if refined_count == count {
            break;
        }
        count = refined_count;
    }
    let letter_bits = letters.next_power_of_two().trailing_zeros();
    let mut table = vec![0_u16; count << letter_bits];
    let mut outcomes = vec![0_u16; count];
    // The first state is in block 0: blocks are numbered in the order of their first states.
    for ((row, &block), &outcome) in next.chunks(letters).zip(&blocks).zip(outcome_of) {
        let block = usize::from(block);
        *outcomes.get_mut(block)? = outcome;
        for (letter, &to) in row.iter().enumerate() {
            let to = blocks.get(usize::from(to)).copied()?;
            *table.get_mut((block << letter_bits) | letter)? = to;
        }
    }
    Some(Automaton {
        letters: places.letters.clone(),
        letter_bits,
        next: table,
        outcomes,
    })
}

/// Places in globs are few: a policy has at most [`super::ENTRIES_MAX`] patterns.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], name: &str) {
        let globs: Vec<Glob> = patterns
            .iter()
            .map(|pattern| Glob::with_stars(pattern))
            .collect();
        let built = Automaton::build(&globs.iter().collect::<Vec<_>>());
        let expected: Vec<u32> = globs
            .iter()
            .enumerate()
            .filter(|(place, glob)| built.is_in[*place] && glob.matches(name))
            .map(|(place, _)| narrow(place))
            .collect();
        assert_eq!(
            built.outcomes[built.automaton.run(name)],
            expected,
            "{patterns:?} on `{name}`"
        );
    }

    #[test]
    fn names_end_in_the_set_of_globs_that_match() {
        let patterns = [
            "a*", "*a", "*ab*ab*", "é*", "**", "a*b*c", "*_audit", "tmp_*", "*x*", "a*a",
        ];
        for name in [
            "", "a", "aa", "ab", "abab", "été", "axxbyyc", "acb", "x_audit", "tmp_x", "\u{ff}",
        ] {
            check(&patterns, name);
        }
        check(&[], "a");
    }

    #[test]
    fn past_the_budget_globs_are_left_out_and_the_others_stay_exact() {
        // Each doubles the states: what was seen of it never is forgotten.
        let many: Vec<String> = (0..16_u8)
            .map(|letter| format!("*{}*", char::from(b'a' + letter)))
            .collect();
        let mut patterns: Vec<&str> = many.iter().map(String::as_str).collect();
        patterns.extend(["order*", "*_audit"]);
        let globs: Vec<Glob> = patterns
            .iter()
            .map(|pattern| Glob::with_stars(pattern))
            .collect();
        let built = Automaton::build(&globs.iter().collect::<Vec<_>>());
        assert_eq!(built.is_in[16..], [true, true]);
        assert!(built.is_in[..16].iter().all(|is_in| !is_in));
        check(&patterns, "orders");
        check(&patterns, "x_audit");
    }

    #[test]
    fn states_are_minimal() {
        let globs = [Glob::with_stars("ab*"), Glob::with_stars("*")];
        let built = Automaton::build(&globs.iter().collect::<Vec<_>>());
        // Before `a`, after `a`, after `ab`, and lost.
        assert_eq!(built.automaton.outcomes.len(), 4);
    }

    proptest! {
        #[test]
        fn any_globs_on_any_name(
            patterns in prop::collection::vec("[ab*]{0,6}", 0..6),
            name in "[abc]{0,8}",
        ) {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            check(&patterns, &name);
        }
    }
}

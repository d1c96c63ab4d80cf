//! Whether a condition can be true at all. Says `impossible` only where that is certain: what is too large to look
//! through, or rests on what attributes have to do with each other, counts as possible.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;
use provost_engine::{
    facts::{Operation, Use},
    graph::{
        condition::{
            Comparison, Condition, NumberAttribute, Test, TextAttribute, TextOperand, TextTest,
        },
        rule::Operations,
        window::Window,
    },
};

use crate::vocabulary::{AUTHENTICATIONS, KINDS, PRINCIPAL_KINDS, USES};

/// How many alternatives of a condition are looked through.
const TERMS_MAX: usize = 64;
/// How many tests one alternative may have.
const TESTS_MAX: usize = 48;

/// How many windows of time one alternative is looked through for; further ones count as possible.
const WINDOWS_MAX: usize = 8;

/// A test, and whether it must hold or must not.
type Literal<'c> = (&'c Test, bool);
type Term<'c> = Vec<Literal<'c>>;

/// Whether it may be true of something.
pub(super) fn is_possible(condition: &Condition) -> bool {
    if is_too_large(condition) {
        return true;
    }
    match terms(condition, true) {
        Some(terms) => terms.iter().any(|term| is_term_possible(term)),
        None => true,
    }
}

/// Whether it may be true of an access with one of these operations.
pub(super) fn is_possible_with(condition: &Condition, operations: Operations) -> bool {
    if is_too_large(condition) {
        return true;
    }
    let test = Test::Operation(operations);
    match terms(condition, true) {
        Some(terms) => terms.into_iter().any(|mut term| {
            term.push((&test, true));
            is_term_possible(&term)
        }),
        None => true,
    }
}

/// Whether it has more tests than are looked through. Every part of a condition is looked at by itself too.
fn is_too_large(condition: &Condition) -> bool {
    condition.tests().take(TESTS_MAX + 1).count() > TESTS_MAX
}

/// The alternatives of a condition, each a list of tests that must all come out so; `None` where there are too many.
fn terms(condition: &Condition, holds: bool) -> Option<Vec<Term<'_>>> {
    match (condition, holds) {
        (Condition::Always, true) => Some(vec![Vec::new()]),
        (Condition::Always, false) => Some(Vec::new()),
        (Condition::Test(test), _) => Some(vec![vec![(test, holds)]]),
        (Condition::Not(inner), _) => terms(inner, !holds),
        (Condition::All(parts), true) | (Condition::Any(parts), false) => {
            let mut product: Vec<Term<'_>> = vec![Vec::new()];
            for part in parts {
                let alternatives = terms(part, holds)?;
                if product.len() * alternatives.len() > TERMS_MAX {
                    return None;
                }
                product = product
                    .iter()
                    .flat_map(|left| {
                        alternatives
                            .iter()
                            .map(move |right| left.iter().chain(right).copied().collect())
                    })
                    .collect();
                if product.iter().any(|term| term.len() > TESTS_MAX) {
                    return None;
                }
            }
            Some(product)
        }
        (Condition::Any(parts), true) | (Condition::All(parts), false) => {
            let mut sum = Vec::new();
            for part in parts {
                sum.extend(terms(part, holds)?);
                if sum.len() > TERMS_MAX {
                    return None;
                }
            }
            Some(sum)
        }
    }
}

fn is_term_possible(term: &[Literal<'_>]) -> bool {
    let clashes = term.iter().enumerate().any(|(index, (test, holds))| {
        term.iter()
            .skip(index + 1)
            .any(|(other, also)| holds != also && test == other)
    });
    !clashes
        && are_numbers_possible(term)
        && are_texts_possible(term)
        && are_words_possible(term)
        && are_windows_possible(term)
        && are_networks_possible(term)
}

fn are_numbers_possible(term: &[Literal<'_>]) -> bool {
    struct Range {
        least: i128,
        most: i128,
        left_out: BTreeSet<i128>,
    }
    let mut ranges: BTreeMap<&NumberAttribute, Range> = BTreeMap::new();
    for (test, holds) in term {
        let Test::Number {
            attribute,
            comparison,
            value,
        } = test
        else {
            continue;
        };
        let least = match attribute {
            NumberAttribute::Claim(_) => i128::from(i64::MIN),
            NumberAttribute::Limit
            | NumberAttribute::Parameters
            | NumberAttribute::EstimatedRows => 0,
        };
        // One more than the largest number stands for a limit that is not there.
        let range = ranges.entry(attribute).or_insert(Range {
            least,
            most: i128::from(i64::MAX) + 1,
            left_out: BTreeSet::new(),
        });
        let value = i128::from(*value);
        match (comparison, holds) {
            (Comparison::Equal, true) | (Comparison::NotEqual, false) => {
                range.least = range.least.max(value);
                range.most = range.most.min(value);
            }
            (Comparison::NotEqual, true) | (Comparison::Equal, false) => {
                range.left_out.insert(value);
            }
            (Comparison::Less, true) | (Comparison::GreaterOrEqual, false) => {
                range.most = range.most.min(value - 1);
            }
            (Comparison::LessOrEqual, true) | (Comparison::Greater, false) => {
                range.most = range.most.min(value);
            }
            (Comparison::Greater, true) | (Comparison::LessOrEqual, false) => {
                range.least = range.least.max(value + 1);
            }
            (Comparison::GreaterOrEqual, true) | (Comparison::Less, false) => {
                range.least = range.least.max(value);
            }
        }
    }
    ranges.into_values().all(|range| {
        let mut least = range.least;
        while range.left_out.contains(&least) {
            least += 1;
        }
        least <= range.most
    })
}

fn are_texts_possible(term: &[Literal<'_>]) -> bool {
    let mut among: BTreeMap<&TextAttribute, BTreeSet<&Arc<str>>> = BTreeMap::new();
    for (test, holds) in term {
        let Test::Text { attribute, test } = test else {
            continue;
        };
        let texts: BTreeSet<&Arc<str>> = match (test, holds) {
            (TextTest::Equals(TextOperand::Literal(text)), true) => BTreeSet::from([text]),
            (TextTest::In(texts), true) => texts.iter().collect(),
            _ => continue,
        };
        match among.get_mut(attribute) {
            Some(left) => left.retain(|text| texts.contains(text)),
            None => {
                among.insert(attribute, texts);
            }
        }
    }
    for (test, holds) in term {
        let Test::Text { attribute, test } = test else {
            continue;
        };
        let Some(left) = among.get_mut(attribute) else {
            continue;
        };
        left.retain(|text| match test {
            TextTest::Equals(TextOperand::Literal(literal)) => (*text == literal) == *holds,
            TextTest::In(texts) => texts.contains(*text) == *holds,
            TextTest::Matches(pattern) => pattern.matches(text) == *holds,
            TextTest::Equals(TextOperand::Attribute(_)) => true,
        });
    }
    among.values().all(|left| !left.is_empty())
}

/// Attributes whose values are a fixed set of words.
fn are_words_possible(term: &[Literal<'_>]) -> bool {
    let mut principals: BTreeSet<_> = PRINCIPAL_KINDS.into_iter().collect();
    let mut ways: BTreeSet<_> = AUTHENTICATIONS.into_iter().collect();
    let mut kinds: BTreeSet<_> = KINDS.into_iter().collect();
    let mut operations: Vec<Operation> = Operation::ALL.to_vec();
    // Besides its uses, a column may be none at all.
    let mut uses: BTreeSet<Option<Use>> = USES
        .into_iter()
        .map(|(_, used)| Some(used))
        .chain([None])
        .collect();
    for (test, holds) in term {
        match test {
            Test::PrincipalKind(these) => principals.retain(|one| these.contains(one) == *holds),
            Test::Authentication(these) => ways.retain(|one| these.contains(one) == *holds),
            Test::Kind(these) => kinds.retain(|one| these.contains(one) == *holds),
            Test::Operation(these) => operations.retain(|one| these.contains(*one) == *holds),
            Test::Use(these) => {
                uses.retain(|one| one.is_some_and(|one| these.contains(&one)) == *holds);
            }
            Test::Class(_) if *holds => {
                uses.remove(&None);
            }
            _ => {}
        }
    }
    !principals.is_empty()
        && !ways.is_empty()
        && !kinds.is_empty()
        && !operations.is_empty()
        && !uses.is_empty()
}

/// Windows of one zone, minute by minute of a week.
fn are_windows_possible(term: &[Literal<'_>]) -> bool {
    const DAY: usize = 24 * 60;
    let mut weeks: BTreeMap<&Arc<str>, Vec<bool>> = BTreeMap::new();
    let windows = term.iter().filter_map(|(test, holds)| match test {
        Test::Time(window) => Some((window, holds)),
        _ => None,
    });
    for (window, holds) in windows.take(WINDOWS_MAX) {
        let week = weeks
            .entry(window.zone().name())
            .or_insert_with(|| vec![true; 7 * DAY]);
        for (minute, possible) in week.iter_mut().enumerate() {
            *possible &= is_within(window, minute / DAY, minute % DAY) == *holds;
        }
    }
    weeks
        .values()
        .all(|week| week.iter().any(|possible| *possible))
}

fn is_within(window: &Window, day: usize, minute: usize) -> bool {
    let (from, to) = window.minutes();
    let (from, to) = (usize::from(from), usize::from(to));
    let in_minutes = if from < to {
        (from..to).contains(&minute)
    } else {
        minute >= from || minute < to
    };
    in_minutes && u8::try_from(day).is_ok_and(|day| window.days().contains(day))
}

fn are_networks_possible(term: &[Literal<'_>]) -> bool {
    let mut left: Option<Vec<IpNet>> = None;
    for (test, holds) in term {
        let Test::Network(networks) = test else {
            continue;
        };
        match (&mut left, holds) {
            (None, true) => left = Some(networks.clone()),
            (Some(left), true) => {
                *left = left
                    .iter()
                    .flat_map(|one| networks.iter().filter_map(move |other| common(one, other)))
                    .collect();
            }
            (_, false) => {}
        }
    }
    let Some(left) = left else {
        return true;
    };
    left.iter().any(|one| {
        term.iter().all(|(test, holds)| match test {
            Test::Network(networks) if !*holds => {
                !networks.iter().any(|network| network.contains(one))
            }
            _ => true,
        })
    })
}

/// The narrower of two networks, if one is in the other.
fn common(one: &IpNet, other: &IpNet) -> Option<IpNet> {
    if one.contains(other) {
        Some(*other)
    } else if other.contains(one) {
        Some(*one)
    } else {
        None
    }
}

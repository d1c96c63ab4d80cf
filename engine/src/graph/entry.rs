//! A rule's patterns as entries: a box over typed dimensions, what must and must not be, what is of the session, and a
//! guard for what none of these can hold.
//!
//! INVARIANT: an entry's parts, all together, hold exactly where the rule's operations, object pattern and condition do;
//! where one fails the condition does not hold, and where none fails and one is unknown, it is unknown. A part is taken
//! out of the guard only where its answer is never unknown, or is of the session.

use std::{collections::HashMap, sync::Arc};

use smallvec::SmallVec;

use super::{
    axes::{Axes, Sort},
    classes::Links,
    condition::{
        Comparison, Condition, Flag, NumberAttribute, Test, TextAttribute, TextOperand, TextTest,
    },
    glob::Glob,
    name::NamePattern,
    rule::{ColumnPattern, Effect, ObjectPattern, Operations, Scope},
    space::{Dimension, Reach},
};
use crate::facts::{Access, Facts, Kind, Operation};

/// Yes-or-no attributes of an access, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u8);

impl Flags {
    const FILTERED: Self = Self(1);
    const BOUNDED: Self = Self(2);
    const OPAQUE: Self = Self(4);
    const IN_TRANSACTION: Self = Self(8);

    /// Those of an access.
    pub(super) fn of(access: &Access, facts: &Facts, in_transaction: bool) -> Self {
        let flag = |holds: bool, flag: Self| if holds { flag.0 } else { 0 };
        Self(
            flag(access.filtered, Self::FILTERED)
                | flag(access.bounded, Self::BOUNDED)
                | flag(!facts.opaque.is_empty(), Self::OPAQUE)
                | flag(in_transaction, Self::IN_TRANSACTION),
        )
    }

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What an entry's rule does, where the rule itself need not be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// It covers.
    Allow,
    /// It refuses.
    Deny,
    /// It covers, holds, limits or records, with obligations that the rule says.
    Oblige,
}

/// One pattern of a rule over accesses, without its box.
#[derive(Debug)]
pub(super) struct Entry {
    /// Index into the rules.
    pub(super) rule: u32,
    /// What its rule does.
    pub(super) does: Does,
    must: Flags,
    must_not: Flags,
    /// One more than the index of its further tests; 0 if there are none.
    pub(super) further: u32,
    /// Index of its pattern among the rule's.
    pub(super) object: u32,
}

impl Entry {
    /// Whether the flags are as they must be.
    pub(super) fn takes(&self, flags: Flags) -> bool {
        flags.0 & self.must.0 == self.must.0 && flags.0 & self.must_not.0 == 0
    }

    /// What the flags must be.
    pub(super) fn flags(&self) -> impl Iterator<Item = (Flag, bool)> {
        let all = [
            (Flags::FILTERED, Flag::Filtered),
            (Flags::BOUNDED, Flag::Bounded),
            (Flags::OPAQUE, Flag::Opaque),
            (Flags::IN_TRANSACTION, Flag::InTransaction),
        ];
        let sides = [(self.must, true), (self.must_not, false)];
        sides.into_iter().flat_map(move |(side, is_wanted)| {
            all.clone()
                .into_iter()
                .filter(move |(bit, _)| side.0 & bit.0 != 0)
                .map(move |(_, flag)| (flag, is_wanted))
        })
    }
}

/// What is tested last.
#[derive(Debug)]
pub(super) struct Further {
    /// Classes that the column must be a member of, or must not.
    pub(super) classes: SmallVec<[(u32, bool); 2]>,
    /// What can't be indexed.
    pub(super) guard: Option<Condition>,
}

/// A pattern before the dimensions are known.
pub(super) struct Draft {
    pub(super) rule: u32,
    pub(super) does: Does,
    object: u32,
    operations: Operations,
    kinds: u32,
    uses: u32,
    sort: Option<u32>,
    names: SmallVec<[NamePart; 3]>,
    numbers: SmallVec<[NumberPart; 2]>,
    must: Flags,
    must_not: Flags,
    classes: SmallVec<[(u32, bool); 2]>,
    /// What is of the session: all must hold.
    pub(super) session: Vec<Condition>,
    guard: Vec<Condition>,
}

/// The name must match one of some patterns.
struct NamePart {
    dimension: Dimension,
    patterns: Vec<NamePattern>,
    /// The same as a condition, for where it can't be indexed.
    condition: Condition,
}

/// A number compares so.
struct NumberPart {
    dimension: Dimension,
    comparison: Comparison,
    value: i64,
    condition: Condition,
}

/// Every class of [`Dimension::Use`]: the uses, and that no column is named.
const USES: u32 = 0x1ff;
const NO_COLUMN: u32 = 1 << 8;
const KINDS: u32 = (1 << (Kind::Other as u32 + 1)) - 1;

impl Draft {
    /// A pattern of a rule: `object` is the index of one of its scope's, or of none where the scope has none.
    pub(super) fn new(
        rule: u32,
        effect: &Effect,
        scope: &Scope,
        object: usize,
        classes: &HashMap<Arc<str>, usize>,
    ) -> Self {
        let mut draft = Self {
            rule,
            does: match effect {
                Effect::Allow(_) => Does::Allow,
                Effect::Deny(_) => Does::Deny,
                Effect::Hold(..)
                | Effect::BreakGlass(_)
                | Effect::Limit(..)
                | Effect::Record(..)
                | Effect::Mask(_) => Does::Oblige,
            },
            object: u32::try_from(object).unwrap_or(u32::MAX),
            operations: scope.operations,
            kinds: KINDS,
            uses: USES,
            sort: None,
            names: SmallVec::new(),
            numbers: SmallVec::new(),
            must: Flags::default(),
            must_not: Flags::default(),
            classes: SmallVec::new(),
            session: Vec::new(),
            guard: Vec::new(),
        };
        let pattern = scope.objects.as_ref().and_then(|all| all.get(object));
        draft.take_object(pattern, classes);
        draft.take(&scope.condition, Sense::Plain, classes);
        draft
    }

    fn take_object(&mut self, object: Option<&ObjectPattern>, classes: &HashMap<Arc<str>, usize>) {
        let Some(object) = object else { return };
        let sort = |pattern: &ObjectPattern| match pattern {
            ObjectPattern::Qualified { .. }
            | ObjectPattern::Column(_)
            | ObjectPattern::Class(_) => Sort::Qualified,
            ObjectPattern::Single(_) => Sort::Single,
        };
        self.sort = Some(sort(object) as u32);
        match object {
            ObjectPattern::Qualified { schema, name } => {
                self.name(TextAttribute::Schema, schema);
                self.name(TextAttribute::Relation, name);
            }
            ObjectPattern::Column(ColumnPattern {
                schema,
                relation,
                column,
            }) => {
                self.name(TextAttribute::Schema, schema);
                self.name(TextAttribute::Relation, relation);
                self.name(TextAttribute::Column, column);
                self.uses &= !NO_COLUMN;
            }
            ObjectPattern::Class(class) => {
                // A class that is not in the set has been refused before; it has no members.
                let number = classes.get(class).copied().unwrap_or(usize::MAX);
                self.class(number, true);
                self.uses &= !NO_COLUMN;
            }
            ObjectPattern::Single(name) => self.name(TextAttribute::Relation, name),
        }
    }

    fn class(&mut self, number: usize, member: bool) {
        self.classes
            .push((u32::try_from(number).unwrap_or(u32::MAX), member));
    }

    fn name(&mut self, attribute: TextAttribute, pattern: &NamePattern) {
        if pattern.is_any() {
            return;
        }
        let condition = Condition::Test(Test::Text {
            attribute: attribute.clone(),
            test: TextTest::Matches(pattern.clone()),
        });
        self.names_part(&attribute, vec![pattern.clone()], condition);
    }

    /// One part in each dimension is indexed; a second one is a guard.
    fn names_part(
        &mut self,
        attribute: &TextAttribute,
        patterns: Vec<NamePattern>,
        condition: Condition,
    ) {
        let dimension = match attribute {
            TextAttribute::Schema => Dimension::Schema,
            TextAttribute::Relation => Dimension::Name,
            TextAttribute::Column => Dimension::Column,
            _ => return self.guard.push(condition),
        };
        if self.names.iter().any(|part| part.dimension == dimension) {
            return self.guard.push(condition);
        }
        self.names.push(NamePart {
            dimension,
            patterns,
            condition,
        });
    }

    /// Takes a condition apart: every part must hold.
    fn take(&mut self, condition: &Condition, sense: Sense, classes: &HashMap<Arc<str>, usize>) {
        match (condition, sense) {
            (Condition::Always, Sense::Plain) => {}
            (Condition::Not(inner), sense) => self.take(inner, sense.opposite(), classes),
            (Condition::All(parts), Sense::Plain) | (Condition::Any(parts), Sense::Negated) => {
                for part in parts {
                    self.take(part, sense, classes);
                }
            }
            _ if condition.is_of_session() => self.session.push(sense.apply(condition)),
            (Condition::Test(test), sense) => {
                if !self.take_test(test, sense, classes) {
                    self.guard.push(sense.apply(condition));
                }
            }
            (Condition::Always | Condition::All(_) | Condition::Any(_), _) => {
                self.guard.push(sense.apply(condition));
            }
        }
    }

    /// Whether the test could be taken.
    fn take_test(&mut self, test: &Test, sense: Sense, numbers: &HashMap<Arc<str>, usize>) -> bool {
        let is_plain = sense == Sense::Plain;
        let condition = || sense.apply(&Condition::Test(test.clone()));
        match test {
            Test::Flag(flag) => {
                let flag = match flag {
                    Flag::Filtered => Flags::FILTERED,
                    Flag::Bounded => Flags::BOUNDED,
                    Flag::Opaque => Flags::OPAQUE,
                    Flag::InTransaction => Flags::IN_TRANSACTION,
                    Flag::Novel | Flag::Tls | Flag::Claim(_) => return false,
                };
                let side = if is_plain {
                    &mut self.must
                } else {
                    &mut self.must_not
                };
                side.add(flag);
            }
            Test::Operation(operations) => {
                let kept = Operation::ALL.into_iter().filter(|&operation| {
                    self.operations.contains(operation)
                        && operations.contains(operation) == is_plain
                });
                self.operations = kept.fold(Operations::NONE, Operations::with);
            }
            Test::Kind(kinds) => {
                let mask = kinds.iter().fold(0, |mask, &kind| mask | 1 << kind as u32);
                self.kinds &= if is_plain { mask } else { !mask };
            }
            Test::Use(uses) => {
                let mask = uses.iter().fold(0, |mask, &used| mask | 1 << used as u32);
                self.uses &= if is_plain { mask } else { !mask };
            }
            Test::Class(class) => match numbers.get(class) {
                Some(&number) => self.class(number, is_plain),
                None => return false,
            },
            Test::Number {
                attribute,
                comparison,
                value,
            } => {
                let dimension = match attribute {
                    NumberAttribute::Limit => Dimension::Limit,
                    NumberAttribute::Parameters => Dimension::Parameters,
                    NumberAttribute::EstimatedRows | NumberAttribute::Claim(_) => return false,
                };
                if self.numbers.iter().any(|part| part.dimension == dimension) {
                    return false;
                }
                self.numbers.push(NumberPart {
                    dimension,
                    comparison: sense.compare(*comparison),
                    value: *value,
                    condition: condition(),
                });
            }
            Test::Text { attribute, test } if is_plain => {
                let patterns = match test {
                    TextTest::Equals(TextOperand::Literal(text)) => {
                        vec![Glob::exactly(text).into()]
                    }
                    TextTest::In(texts) => texts
                        .iter()
                        .map(|text| Glob::exactly(text).into())
                        .collect(),
                    // Any text, but not none.
                    TextTest::Matches(pattern) if !pattern.is_any() => vec![pattern.clone()],
                    TextTest::Matches(_) | TextTest::Equals(TextOperand::Attribute(_)) => {
                        return false;
                    }
                };
                self.names_part(attribute, patterns, condition());
            }
            _ => return false,
        }
        true
    }

    /// The patterns over names of one dimension.
    pub(super) fn patterns(&self, dimension: Dimension) -> impl Iterator<Item = &NamePattern> {
        self.names
            .iter()
            .filter(move |part| part.dimension == dimension)
            .flat_map(|part| &part.patterns)
    }

    /// Where numbers of one dimension are cut.
    pub(super) fn cut(&self, dimension: Dimension) -> impl Iterator<Item = i64> {
        self.numbers
            .iter()
            .filter(move |part| part.dimension == dimension)
            .map(|part| part.value)
    }

    /// Whether its answer hangs on the column or its use.
    pub(super) fn looks_at_columns(&self) -> bool {
        let is_of_column = |test: &Test| match test {
            Test::Use(_) | Test::Class(_) => true,
            Test::Text { attribute, test } => {
                *attribute == TextAttribute::Column
                    || *test == TextTest::Equals(TextOperand::Attribute(TextAttribute::Column))
            }
            Test::BoundedBy { value, .. } => {
                *value == TextOperand::Attribute(TextAttribute::Column)
            }
            _ => false,
        };
        self.uses != USES
            || !self.classes.is_empty()
            || self
                .names
                .iter()
                .any(|part| part.dimension == Dimension::Column)
            || self
                .guard
                .iter()
                .any(|condition| condition.tests().any(is_of_column))
    }

    /// Puts entries with alike boxes side by side, so that they share words.
    pub(super) fn order(&self) -> impl Ord + use<> {
        let text = |dimension| {
            let patterns: Vec<String> = self.patterns(dimension).map(ToString::to_string).collect();
            patterns
        };
        (
            self.looks_at_columns(),
            self.sort,
            text(Dimension::Schema),
            text(Dimension::Name),
            self.does != Does::Allow,
        )
    }

    /// The entry and its box. What can't be indexed becomes part of the guard.
    pub(super) fn finish(
        mut self,
        axes: &Axes,
        links: &mut Links,
        furthers: &mut Vec<Further>,
    ) -> (Entry, Reach) {
        let mut reach = Reach::default();
        let operations = Operation::ALL
            .iter()
            .filter(|&&operation| self.operations.contains(operation))
            .fold(0, |mask, &operation| mask | 1 << operation as u32);
        limit_by_mask(&mut reach, Dimension::Operation, operations, 0x3_ffff);
        limit_by_mask(&mut reach, Dimension::Kind, self.kinds, KINDS);
        limit_by_mask(&mut reach, Dimension::Use, self.uses, USES);
        if let Some(sort) = self.sort {
            reach.limit(Dimension::Sort, Arc::from([sort]));
        }
        for part in std::mem::take(&mut self.names) {
            match axes.classes(part.dimension, &part.patterns) {
                Some(classes) if links.take(classes.len()) => reach.limit(part.dimension, classes),
                Some(_) | None => self.guard.push(part.condition),
            }
        }
        for part in std::mem::take(&mut self.numbers) {
            let range = axes.range(part.dimension, part.comparison, part.value);
            if links.take_numbers(range.len()) {
                reach.limit(part.dimension, range);
            } else {
                self.guard.push(part.condition);
            }
        }
        let guard = match self.guard.len() {
            0 => None,
            1 => self.guard.pop(),
            _ => Some(Condition::All(self.guard)),
        };
        let further = if guard.is_none() && self.classes.is_empty() {
            0
        } else {
            furthers.push(Further {
                classes: self.classes,
                guard,
            });
            u32::try_from(furthers.len()).unwrap_or(u32::MAX)
        };
        let entry = Entry {
            rule: self.rule,
            does: self.does,
            must: self.must,
            must_not: self.must_not,
            further,
            object: self.object,
        };
        (entry, reach)
    }
}

fn limit_by_mask(reach: &mut Reach, dimension: Dimension, mask: u32, all: u32) {
    if mask & all != all {
        let classes = (0..32).filter(|class| mask & all & (1 << class) != 0);
        reach.limit(dimension, classes.collect());
    }
}

/// Whether a condition is asked as it is, or its opposite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sense {
    Plain,
    Negated,
}

impl Sense {
    fn opposite(self) -> Self {
        match self {
            Self::Plain => Self::Negated,
            Self::Negated => Self::Plain,
        }
    }

    fn apply(self, condition: &Condition) -> Condition {
        match self {
            Self::Plain => condition.clone(),
            Self::Negated => Condition::Not(Box::new(condition.clone())),
        }
    }

    fn compare(self, comparison: Comparison) -> Comparison {
        match (self, comparison) {
            (Self::Plain, comparison) => comparison,
            (Self::Negated, Comparison::Equal) => Comparison::NotEqual,
            (Self::Negated, Comparison::NotEqual) => Comparison::Equal,
            (Self::Negated, Comparison::Less) => Comparison::GreaterOrEqual,
            (Self::Negated, Comparison::LessOrEqual) => Comparison::Greater,
            (Self::Negated, Comparison::Greater) => Comparison::LessOrEqual,
            (Self::Negated, Comparison::GreaterOrEqual) => Comparison::Less,
        }
    }
}

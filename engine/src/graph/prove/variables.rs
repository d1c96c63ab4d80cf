//! What a formula asks: attributes and group memberships as variables with few values.
//!
//! An attribute whose values can't be told apart by a few becomes a *guard*: a variable that holds or not, whatever else
//! does. An answer that rests on one is unknown.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        condition::{
            Comparison, Condition, Flag, NumberAttribute, Presence, Test, TextAttribute,
            TextOperand, TextTest, Who,
        },
        rule::{Audience, Effect, Group, Rule, Subjects},
    },
    formula::{Formula, Values, Variable},
};
use crate::{
    facts::{Kind, Use},
    principal::PrincipalKind,
};

/// How many values a variable may have; an attribute with more becomes a guard.
const VALUES_MAX: usize = 60;

/// What a variable stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// The actor is in the issuer's group.
    Actor(Arc<str>),
    /// There is a person behind the actor.
    HasPerson,
    /// The person is in the issuer's group.
    Person(Arc<str>),
    /// A yes-or-no attribute.
    Flag(Flag),
    /// The statement's kind.
    Kind,
    /// The principal's kind.
    PrincipalKind,
    /// A number, by the stretch between the values that rules compare it with.
    Number(NumberAttribute),
    /// A text, by which of the texts of rules it is.
    Text(TextAttribute),
    /// A test that can't be taken apart, in words.
    Guard(String),
}

/// The variables of a proof.
#[derive(Debug, Default)]
pub(super) struct Variables {
    meanings: Vec<(Meaning, u8)>,
    numbers: BTreeMap<NumberAttribute, Vec<Option<i64>>>,
    texts: BTreeMap<TextAttribute, Vec<Arc<str>>>,
}

/// What the point that is looked at says of an access.
pub(super) trait Point {
    /// Whether the access is of the operation, the class, the use that a test asks for; `None` if the test asks for
    /// something else.
    fn settles(&self, test: &Test) -> Option<bool>;
}

impl Variables {
    /// The variables that conditions of these rules can ask for.
    pub(super) fn new<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Self {
        let mut variables = Self::default();
        for test in conditions.flat_map(Condition::tests) {
            match test {
                Test::Number {
                    attribute, value, ..
                } => {
                    let cuts = variables.numbers.entry(attribute.clone()).or_default();
                    for cut in [value.saturating_sub(1), *value, value.saturating_add(1)] {
                        cuts.push(Some(cut));
                    }
                }
                Test::Text { attribute, test } => {
                    let texts = variables.texts.entry(attribute.clone()).or_default();
                    match test {
                        TextTest::Equals(TextOperand::Literal(text)) => texts.push(text.clone()),
                        TextTest::In(all) => texts.extend(all.iter().cloned()),
                        TextTest::Equals(TextOperand::Attribute(_)) | TextTest::Matches(_) => {}
                    }
                }
                _ => {}
            }
        }
        for (attribute, cuts) in &mut variables.numbers {
            cuts.extend([Some(0), Some(i64::MAX)]);
            if *attribute == NumberAttribute::Limit {
                cuts.push(None);
            }
            cuts.sort_unstable();
            cuts.dedup();
        }
        for texts in variables.texts.values_mut() {
            texts.sort_unstable();
            texts.dedup();
        }
        variables
    }

    /// How many values a variable has.
    pub(super) fn count(&self, variable: Variable) -> u8 {
        self.meanings.get(variable.0).map_or(0, |(_, count)| *count)
    }

    /// What a variable stands for.
    pub(super) fn meaning(&self, variable: Variable) -> Option<&Meaning> {
        self.meanings.get(variable.0).map(|(meaning, _)| meaning)
    }

    fn variable(&mut self, meaning: Meaning, count: u8) -> Variable {
        let known = self
            .meanings
            .iter()
            .position(|(known, _)| *known == meaning);
        Variable(known.unwrap_or_else(|| {
            self.meanings.push((meaning, count));
            self.meanings.len() - 1
        }))
    }

    fn yes(&mut self, meaning: Meaning) -> Formula {
        Formula::Among(self.variable(meaning, 2), 0b10)
    }

    /// A test that can't be taken apart.
    pub(super) fn guard(&mut self, words: String) -> Formula {
        self.yes(Meaning::Guard(words))
    }

    /// That the rule is about the principal.
    pub(super) fn about(&mut self, rule: &Rule) -> Formula {
        let grants = matches!(
            rule.effect,
            Effect::Allow(_) | Effect::BreakGlass(_) | Effect::Hold(..)
        );
        let Subjects { audience, except } = &rule.subjects;
        let meant = match audience {
            Audience::Anyone => Formula::Known(true),
            Audience::Groups(groups) => {
                let parts: Vec<Formula> = groups
                    .iter()
                    .map(|group| {
                        let actor = self.member(Who::Actor, group);
                        match grants {
                            true => actor,
                            false => Formula::any([actor, self.member(Who::Person, group)]),
                        }
                    })
                    .collect();
                Formula::any(parts)
            }
        };
        let excepted: Vec<Formula> = except
            .iter()
            .map(|group| {
                let actor = self.member(Who::Actor, group);
                let person = self.member(Who::Person, group);
                if grants {
                    Formula::any([actor, person])
                } else {
                    let nobody = self.yes(Meaning::HasPerson).not();
                    Formula::all([actor, Formula::any([nobody, person])])
                }
            })
            .collect();
        Formula::all([meant, Formula::any(excepted).not()])
    }

    /// That an invariant is about the principal: the actor is in one of the groups, and no exception frees it.
    pub(super) fn claimed_for(&mut self, subjects: &Subjects) -> Formula {
        let meant = match &subjects.audience {
            Audience::Anyone => Formula::Known(true),
            Audience::Groups(groups) => {
                let parts: Vec<Formula> = groups
                    .iter()
                    .map(|group| self.member(Who::Actor, group))
                    .collect();
                Formula::any(parts)
            }
        };
        let excepted: Vec<Formula> = subjects
            .except
            .iter()
            .map(|group| {
                let actor = self.member(Who::Actor, group);
                let person = self.member(Who::Person, group);
                let nobody = self.yes(Meaning::HasPerson).not();
                Formula::all([actor, Formula::any([nobody, person])])
            })
            .collect();
        Formula::all([meant, Formula::any(excepted).not()])
    }

    fn member(&mut self, who: Who, group: &Group) -> Formula {
        let parts: Vec<Formula> = group
            .iter()
            .map(|name| match who {
                Who::Actor => self.yes(Meaning::Actor(Arc::clone(name))),
                Who::Person => self.yes(Meaning::Person(Arc::clone(name))),
            })
            .collect();
        let any = Formula::any(parts);
        match who {
            Who::Actor => any,
            Who::Person => Formula::all([self.yes(Meaning::HasPerson), any]),
        }
    }

    /// What holds of the variables whatever the policy: a bounded access is filtered.
    pub(super) fn laws(&mut self) -> Formula {
        let bounded = self.yes(Meaning::Flag(Flag::Bounded));
        let filtered = self.yes(Meaning::Flag(Flag::Filtered));
        Formula::any([bounded.not(), filtered])
    }

    /// That the condition holds at the point.
    pub(super) fn condition(&mut self, condition: &Condition, point: &impl Point) -> Formula {
        match condition {
            Condition::Always => Formula::Known(true),
            Condition::Test(test) => self.test(test, point),
            Condition::Not(inner) => self.condition(inner, point).not(),
            Condition::All(parts) => {
                let parts: Vec<Formula> = parts
                    .iter()
                    .map(|part| self.condition(part, point))
                    .collect();
                Formula::all(parts)
            }
            Condition::Any(parts) => {
                let parts: Vec<Formula> = parts
                    .iter()
                    .map(|part| self.condition(part, point))
                    .collect();
                Formula::any(parts)
            }
        }
    }

    fn test(&mut self, test: &Test, point: &impl Point) -> Formula {
        if let Some(known) = point.settles(test) {
            return Formula::Known(known);
        }
        match test {
            Test::Flag(
                flag @ (Flag::Filtered
                | Flag::Bounded
                | Flag::Opaque
                | Flag::InTransaction
                | Flag::Tls),
            ) => self.yes(Meaning::Flag(flag.clone())),
            Test::Kind(kinds) => {
                let wanted = bits(Kind::ALL.iter().map(|kind| kinds.contains(kind)));
                let count = u8::try_from(Kind::ALL.len()).unwrap_or(u8::MAX);
                Formula::Among(self.variable(Meaning::Kind, count), wanted)
            }
            Test::PrincipalKind(kinds) => {
                let wanted = bits(PRINCIPAL_KINDS.iter().map(|kind| kinds.contains(kind)));
                Formula::Among(self.variable(Meaning::PrincipalKind, 3), wanted)
            }
            Test::Member { who, group } => self.member(*who, group),
            Test::Number {
                attribute,
                comparison,
                value,
            } => self.number(attribute, *comparison, *value, test),
            Test::Text {
                attribute,
                test: asked,
            } => self.text(attribute, asked, test),
            Test::Present(Presence::OnBehalfOf) => self.yes(Meaning::HasPerson),
            _ => self.guard(test.to_string()),
        }
    }

    fn number(
        &mut self,
        attribute: &NumberAttribute,
        comparison: Comparison,
        value: i64,
        test: &Test,
    ) -> Formula {
        let cuts = self.numbers.get(attribute).cloned().unwrap_or_default();
        let is_dear = matches!(
            attribute,
            NumberAttribute::EstimatedRows | NumberAttribute::Claim(_)
        );
        if cuts.len() > VALUES_MAX || is_dear {
            return self.guard(test.to_string());
        }
        let wanted = bits(cuts.iter().map(|cut| comparison.holds(*cut, value)));
        let count = u8::try_from(cuts.len()).unwrap_or(u8::MAX);
        Formula::Among(
            self.variable(Meaning::Number(attribute.clone()), count),
            wanted,
        )
    }

    fn text(&mut self, attribute: &TextAttribute, asked: &TextTest, test: &Test) -> Formula {
        let texts = self.texts.get(attribute).cloned().unwrap_or_default();
        let wanted: Vec<bool> = match asked {
            TextTest::Equals(TextOperand::Literal(text)) => {
                texts.iter().map(|one| one == text).collect()
            }
            TextTest::In(all) => texts.iter().map(|one| all.contains(one)).collect(),
            TextTest::Equals(TextOperand::Attribute(_)) | TextTest::Matches(_) => {
                return self.guard(test.to_string());
            }
        };
        if texts.len() >= VALUES_MAX || matches!(attribute, TextAttribute::Claim(_)) {
            return self.guard(test.to_string());
        }
        // The last value is every text that no rule spells out.
        let count = u8::try_from(texts.len() + 1).unwrap_or(u8::MAX);
        Formula::Among(
            self.variable(Meaning::Text(attribute.clone()), count),
            bits(wanted.into_iter()),
        )
    }

    /// The values in words, guards apart.
    pub(super) fn words(&self, values: &Values) -> (Vec<String>, Vec<String>) {
        let (mut words, mut guards) = (Vec::new(), Vec::new());
        for (&variable, &value) in values {
            let Some(meaning) = self.meaning(variable) else {
                continue;
            };
            let yes = value == 1;
            let not = if yes { "" } else { "not " };
            let at = usize::from(value);
            match meaning {
                Meaning::Actor(_) | Meaning::Person(_) | Meaning::HasPerson => {}
                Meaning::Flag(flag) => words.push(format!("{not}{flag}")),
                Meaning::Kind => words.extend(
                    Kind::ALL
                        .get(at)
                        .map(|kind| format!("statement.kind = {}", kind.name())),
                ),
                Meaning::PrincipalKind => words.extend(
                    PRINCIPAL_KINDS
                        .get(at)
                        .map(|kind| format!("principal.kind = {}", kind.name())),
                ),
                Meaning::Number(attribute) => {
                    let cut = self.numbers.get(attribute).and_then(|cuts| cuts.get(at));
                    words.push(match cut {
                        Some(Some(cut)) => format!("{attribute} = {cut}"),
                        Some(None) | None => format!("no {attribute}"),
                    });
                }
                Meaning::Text(attribute) => {
                    let text = self.texts.get(attribute).and_then(|texts| texts.get(at));
                    words.push(match text {
                        Some(text) => format!("{attribute} = {text:?}"),
                        None => format!("{attribute} is something else"),
                    });
                }
                Meaning::Guard(guard) => guards.push(format!("{not}{guard}")),
            }
        }
        (words, guards)
    }

    /// The groups that the actor is in, and those of the person behind it, if there must be one.
    pub(super) fn groups(&self, values: &Values) -> (Vec<Arc<str>>, Option<Vec<Arc<str>>>) {
        let (mut actor, mut person, mut has_person) = (Vec::new(), Vec::new(), false);
        for (&variable, &value) in values {
            match (self.meaning(variable), value) {
                (Some(Meaning::Actor(name)), 1) => actor.push(Arc::clone(name)),
                (Some(Meaning::Person(name)), 1) => person.push(Arc::clone(name)),
                (Some(Meaning::HasPerson), 1) => has_person = true,
                _ => {}
            }
        }
        (actor, has_person.then_some(person))
    }
}

const PRINCIPAL_KINDS: [PrincipalKind; 3] = [
    PrincipalKind::Human,
    PrincipalKind::Agent,
    PrincipalKind::Service,
];

fn bits(wanted: impl Iterator<Item = bool>) -> u64 {
    wanted.enumerate().fold(0, |bits, (index, wanted)| {
        bits | (u64::from(wanted) << index)
    })
}

/// Every use that a column can have at a point.
pub(super) const USES: [Use; 8] = Use::ALL;

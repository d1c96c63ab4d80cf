//! Rule sets: every effect, every sort of subject and pattern; and boxes that overlap as awkwardly as they can.

use std::{collections::BTreeMap, sync::Arc};

use provost_engine::{
    facts::Operation,
    graph::{
        condition::{Comparison, Condition, Flag, NumberAttribute, Test},
        name::NamePattern,
        rule::{
            Audience, Class, ColumnPattern, Effect, Hold, Mask, Mode, ObjectPattern, Operations,
            Probing, Rule, RuleSet, Scope, Subjects,
        },
    },
    transform::{DateUnit, Transform},
    verdict::{Approval, BundleDigest, HeldTransaction, Limits, Recording},
};

use super::{
    condition::{Asks, condition, operations},
    names::{COLUMNS, RELATIONS, SCHEMAS, SINGLES, group, numbered_pattern, pattern},
};
use crate::choices::Choices;

pub(super) const CLASSES: &[&str] = &["one", "two", "three"];

/// What sort of policy, and of statements to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A few rules of everything.
    Mixed,
    /// Hundreds of rules over schema, relation, column, operation and numbers, each a box that cuts others.
    Boxes,
}

impl Shape {
    /// How many schemas boxes are made of.
    pub(super) const SCHEMAS: u32 = 20;
    /// How many relations.
    pub(super) const RELATIONS: u32 = 40;
    /// How many columns.
    pub(super) const COLUMNS: u32 = 12;
}

pub(crate) fn rule_set(choices: &mut Choices, shape: Shape) -> RuleSet {
    let rules = match shape {
        Shape::Mixed => mixed(choices),
        Shape::Boxes => boxes(choices),
    };
    // Names neither in order nor by effect, so that the place of a rule says nothing.
    let count = rules.len();
    let rules = rules
        .into_iter()
        .enumerate()
        .map(|(index, rule)| Rule {
            name: Arc::from(format!("r{:04}", (index * 7919 + 13) % 10_007)),
            ..rule
        })
        .collect::<Vec<_>>();
    assert!(count < 10_007, "names would meet");
    RuleSet {
        digest: BundleDigest(Arc::from("test")),
        mode: if choices.once_in(16) {
            Mode::Observe
        } else {
            Mode::Enforce
        },
        classes: CLASSES
            .iter()
            .map(|name| Class {
                name: Arc::from(*name),
                columns: match shape {
                    Shape::Mixed => choices.several(3, class_pattern),
                    Shape::Boxes => choices.several(8, box_column),
                },
            })
            .collect(),
        rules,
        invariants: Vec::new(),
    }
}

fn class_pattern(choices: &mut Choices) -> ColumnPattern {
    ColumnPattern {
        schema: wide_pattern(choices, SCHEMAS),
        relation: wide_pattern(choices, RELATIONS),
        column: pattern(choices, COLUMNS),
    }
}

/// Every other one matches everything.
fn wide_pattern(choices: &mut Choices, from: &[&str]) -> NamePattern {
    if choices.once_in(2) {
        pattern(choices, from)
    } else {
        NamePattern::any()
    }
}

fn box_column(choices: &mut Choices) -> ColumnPattern {
    ColumnPattern {
        schema: numbered_pattern(choices, 's', Shape::SCHEMAS),
        relation: numbered_pattern(choices, 'r', Shape::RELATIONS),
        column: numbered_pattern(choices, 'c', Shape::COLUMNS),
    }
}

fn mixed(choices: &mut Choices) -> Vec<Rule> {
    let mut rules = choices.several(11, |choices| {
        let effect = effect(choices);
        rule(choices, effect)
    });
    // Without something that allows much, everything would be denied and little compared.
    if !choices.once_in(4) {
        let scope = Scope {
            operations: Operations::of(&Operation::ALL),
            objects: None,
            condition: Condition::Always,
        };
        let effect = if choices.once_in(8) {
            Effect::Hold(scope, hold(choices))
        } else {
            Effect::Allow(scope)
        };
        let general = Rule {
            subjects: Subjects {
                audience: Audience::Anyone,
                except: Vec::new(),
            },
            mode: Mode::Enforce,
            ..rule(choices, effect)
        };
        rules.push(general);
    }
    rules
}

pub(crate) fn rule(choices: &mut Choices, effect: Effect) -> Rule {
    Rule {
        name: Arc::from(""),
        effect,
        subjects: subjects(choices),
        because: choices.once_in(3).then(|| Arc::from("of a reason")),
        controls: choices
            .subset(&["c:1", "c:2", "c:3"])
            .into_iter()
            .map(Arc::from)
            .collect(),
        mode: if choices.once_in(8) {
            Mode::Observe
        } else {
            Mode::Enforce
        },
    }
}

fn subjects(choices: &mut Choices) -> Subjects {
    Subjects {
        audience: if choices.once_in(2) {
            Audience::Groups(choices.several(2, group))
        } else {
            Audience::Anyone
        },
        except: if choices.once_in(3) {
            choices.several(2, group)
        } else {
            Vec::new()
        },
    }
}

pub(crate) fn effect(choices: &mut Choices) -> Effect {
    match choices.below(14) {
        0..=2 => Effect::Allow(scope(choices)),
        3 => Effect::Deny(narrow(choices)),
        4 | 5 => Effect::Hold(scope(choices), hold(choices)),
        6 | 7 => Effect::Mask(mask(choices)),
        8..=10 => Effect::Limit(scope(choices), limits(choices)),
        11 => Effect::BreakGlass(scope(choices)),
        _ => Effect::Record(
            scope(choices),
            choices.pick(&[Recording::Statement, Recording::Digest, Recording::Results]),
        ),
    }
}

fn scope(choices: &mut Choices) -> Scope {
    Scope {
        operations: operations(choices),
        objects: (!choices.once_in(3)).then(|| choices.several(3, object)),
        condition: match choices.below(5) {
            0 | 1 => Condition::Always,
            2 | 3 => condition(choices, Asks::Anything, 3),
            _ => dear(choices),
        },
    }
}

/// A condition that hangs on a dear fact.
fn dear(choices: &mut Choices) -> Condition {
    let fact = if choices.once_in(3) {
        Test::Flag(Flag::Novel)
    } else {
        Test::Number {
            attribute: NumberAttribute::EstimatedRows,
            comparison: Comparison::Greater,
            value: choices.pick(&[10, 1_000]),
        }
    };
    let parts = vec![condition(choices, Asks::Anything, 1), Condition::Test(fact)];
    if choices.once_in(2) {
        Condition::Any(parts)
    } else {
        Condition::All(parts)
    }
}

/// A scope with objects, so that a deny leaves something.
fn narrow(choices: &mut Choices) -> Scope {
    let scope = scope(choices);
    let objects = scope.objects.unwrap_or_else(|| vec![object(choices)]);
    Scope {
        objects: Some(objects),
        condition: condition(choices, Asks::Anything, 2),
        ..scope
    }
}

fn object(choices: &mut Choices) -> ObjectPattern {
    match choices.below(8) {
        0..=3 => ObjectPattern::Qualified {
            schema: pattern(choices, SCHEMAS),
            name: pattern(choices, RELATIONS),
        },
        4 | 5 => ObjectPattern::Column(class_pattern(choices)),
        6 => ObjectPattern::Class(Arc::from(choices.pick(CLASSES))),
        _ => ObjectPattern::Single(pattern(choices, SINGLES)),
    }
}

fn hold(choices: &mut Choices) -> Hold {
    let mut approvals = choices.several(1, approval);
    if !choices.once_in(12) {
        approvals.push(approval(choices));
    }
    Hold {
        approvals,
        transaction: choices.pick(&[HeldTransaction::Keep, HeldTransaction::Fail]),
    }
}

pub(crate) fn approval(choices: &mut Choices) -> Approval {
    let (group, members) = choices.pick(&[
        ("dbas", &["g"][..]),
        ("dbas", &["g", "h"]),
        ("privacy", &["g"]),
    ]);
    Approval {
        group: Arc::from(group),
        members: members.iter().map(|&name| Arc::from(name)).collect(),
        count: choices.pick(&[1, 2, 3]),
        within_ms: choices.pick(&[60_000, 900_000]),
    }
}

pub(crate) fn limits(choices: &mut Choices) -> Limits {
    let mut limit = || choices.pick(&[None, None, Some(1), Some(10), Some(1_000)]);
    Limits {
        rows: limit(),
        bytes: limit(),
        affected_rows: limit(),
        time_ms: limit(),
        rows_per_hour: limit(),
        bytes_per_hour: limit(),
    }
}

fn mask(choices: &mut Choices) -> Mask {
    let transforms = choices.several(2, |choices| {
        let column = choices.pick(&["ssn", "email", "tenant_id", "c1"]);
        (Arc::from(column), transform(choices))
    });
    Mask {
        classes: choices.subset(CLASSES).into_iter().map(Arc::from).collect(),
        transforms: transforms.into_iter().collect::<BTreeMap<_, _>>(),
        otherwise: transform(choices),
        probing: choices.pick(&[
            Probing::Allow,
            Probing::Allow,
            Probing::Deny,
            Probing::Lookup { per_hour: 20 },
            Probing::Lookup { per_hour: 5 },
        ]),
        condition: if choices.once_in(3) {
            condition(choices, Asks::Session, 2)
        } else {
            Condition::Always
        },
    }
}

fn transform(choices: &mut Choices) -> Transform {
    let round = |text: &str| Transform::RoundTo(text.parse().expect("a granularity"));
    choices.pick(&[
        Transform::Redact,
        Transform::Null,
        Transform::Last(4),
        Transform::Last(2),
        Transform::First(3),
        Transform::First(1),
        Transform::KeepDomain,
        Transform::Constant(Arc::from("x")),
        Transform::Constant(Arc::from("y")),
        Transform::Hash,
        Transform::Tokenize,
        round("10"),
        round("4"),
        Transform::TruncateDate(DateUnit::Year),
        Transform::TruncateDate(DateUnit::Week),
        Transform::TruncateDate(DateUnit::Day),
    ])
}

/// Boxes over four dimensions and two numbers; each shares some of its sides with others.
fn boxes(choices: &mut Choices) -> Vec<Rule> {
    let count = 200 + choices.below(150);
    let mut rules: Vec<Rule> = (0..count)
        .map(|_| {
            let effect = box_effect(choices);
            rule(choices, effect)
        })
        .collect();
    rules.push(Rule {
        subjects: Subjects {
            audience: Audience::Anyone,
            except: Vec::new(),
        },
        ..rule(
            choices,
            Effect::Allow(Scope {
                operations: Operations::of(&Operation::ALL),
                objects: None,
                condition: Condition::Always,
            }),
        )
    });
    rules
}

fn box_effect(choices: &mut Choices) -> Effect {
    let first = choices.below(12) as usize;
    let length = 1 + choices.below(5) as usize;
    let span: Vec<Operation> = Operation::ALL
        .iter()
        .copied()
        .skip(first)
        .take(length)
        .collect();
    let column = box_column(choices);
    let object = if choices.once_in(2) {
        ObjectPattern::Column(column)
    } else {
        ObjectPattern::Qualified {
            schema: column.schema,
            name: column.relation,
        }
    };
    let cut = |choices: &mut Choices, attribute: NumberAttribute, comparison: Comparison| {
        Condition::Test(Test::Number {
            attribute,
            comparison,
            value: choices.pick(&[1, 10, 1_000]),
        })
    };
    let condition = match choices.below(5) {
        0 => cut(choices, NumberAttribute::Limit, Comparison::Less),
        1 => Condition::All(vec![
            cut(choices, NumberAttribute::Limit, Comparison::GreaterOrEqual),
            cut(choices, NumberAttribute::EstimatedRows, Comparison::Less),
        ]),
        2 => condition(choices, Asks::Anything, 2),
        _ => Condition::Always,
    };
    let scope = Scope {
        operations: if choices.once_in(3) {
            Operations::of(&Operation::ALL)
        } else {
            Operations::of(&span)
        },
        objects: Some(vec![object]),
        condition,
    };
    match choices.below(17) {
        0..=5 => Effect::Allow(scope),
        6 => Effect::Deny(scope),
        7 | 8 => Effect::Hold(scope, hold(choices)),
        9 => Effect::Mask(mask(choices)),
        10..=12 => Effect::Limit(scope, limits(choices)),
        13 => Effect::BreakGlass(scope),
        _ => Effect::Record(
            scope,
            choices.pick(&[Recording::Statement, Recording::Digest, Recording::Results]),
        ),
    }
}

//! Conditions of every sort of test, shallow and with shared cut points.

use std::sync::Arc;

use provost_engine::{
    facts::{Operation, Use},
    graph::{
        condition::{
            ClaimPath, Comparison, Condition, Flag, Mentioned, NumberAttribute, Presence, Test,
            TextAttribute, TextOperand, TextTest, Who,
        },
        rule::Operations,
        window::{DAY_MINUTES, Weekdays, Window, Zone},
    },
    principal::{Authentication, PrincipalKind},
};

use super::{
    names::{COLUMNS, RELATIONS, SCHEMAS, group, name, pattern},
    policy::CLASSES,
    session::{PEOPLE, TEXTS},
    statement::KINDS,
};
use crate::choices::Choices;

/// What a condition may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Anything,
    /// The session and the time: masks.
    Session,
}

pub(super) fn condition(choices: &mut Choices, asks: Asks, depth: u32) -> Condition {
    let choice = choices.below(if depth == 0 { 6 } else { 10 });
    let parts = |choices: &mut Choices| {
        let count = choices.pick(&[2, 2, 2, 3, 1, 0]);
        (0..count)
            .map(|_| condition(choices, asks, depth - 1))
            .collect()
    };
    match choice {
        0 => Condition::Always,
        1..=5 => Condition::Test(test(choices, asks)),
        6 => Condition::Not(Box::new(condition(choices, asks, depth - 1))),
        7 | 8 => Condition::All(parts(choices)),
        _ => Condition::Any(parts(choices)),
    }
}

fn test(choices: &mut Choices, asks: Asks) -> Test {
    // The session's tests are the first.
    let bound = match asks {
        Asks::Anything => 26,
        Asks::Session => 11,
    };
    match choices.below(bound) {
        0 => Test::Flag(choices.pick(&[Flag::Tls, Flag::Claim(path(&["admin"]))])),
        1 => Test::Number {
            attribute: NumberAttribute::Claim(choices.pick(&[
                path(&["level"]),
                path(&["org", "level"]),
                path(&["tags", "level"]),
            ])),
            comparison: comparison(choices),
            value: value(choices),
        },
        2 | 3 => Test::Text {
            attribute: session_text(choices),
            test: text_test(choices, Asks::Session),
        },
        4 => Test::PrincipalKind(
            choices
                .subset(&[
                    PrincipalKind::Human,
                    PrincipalKind::Agent,
                    PrincipalKind::Service,
                ])
                .into_iter()
                .collect(),
        ),
        5 => Test::Authentication(
            choices
                .subset(&[Authentication::TokenAsPassword])
                .into_iter()
                .collect(),
        ),
        6 => Test::Member {
            who: choices.pick(&[Who::Actor, Who::Person]),
            group: group(choices),
        },
        7 => Test::Network(
            choices
                .subset(&[
                    "10.0.0.0/8",
                    "192.168.1.0/24",
                    "0.0.0.0/0",
                    "fd00::/8",
                    "::/0",
                    "192.168.2.7/32",
                ])
                .into_iter()
                .map(|network| network.parse().expect("a network"))
                .collect(),
        ),
        8 => Test::ClaimHas {
            claim: choices.pick(&[path(&["tags"]), path(&["tenant"])]),
            value: name(choices, &["t1", "x", "3"]),
        },
        9 => Test::Present(choices.pick(&[
            Presence::OnBehalfOf,
            Presence::ClientAddress,
            Presence::Claim(path(&["org", "tenant"])),
            Presence::Claim(path(&["level"])),
        ])),
        10 => Test::Time(window(choices)),
        11 => Test::Present(Presence::Limit),
        12..=14 => Test::Flag(choices.pick(&[
            Flag::Bounded,
            Flag::Filtered,
            Flag::Novel,
            Flag::Opaque,
            Flag::InTransaction,
        ])),
        15 | 16 | 24 | 25 => Test::Number {
            attribute: choices.pick(&[
                NumberAttribute::EstimatedRows,
                NumberAttribute::EstimatedRows,
                NumberAttribute::Limit,
                NumberAttribute::Parameters,
            ]),
            comparison: comparison(choices),
            value: value(choices),
        },
        17 => Test::Text {
            attribute: choices.pick(&[
                TextAttribute::Schema,
                TextAttribute::Relation,
                TextAttribute::Column,
            ]),
            test: text_test(choices, Asks::Anything),
        },
        18 => Test::Kind(
            choices
                .several(3, |choices| choices.pick(KINDS))
                .into_iter()
                .collect(),
        ),
        19 => Test::Operation(operations(choices)),
        20 => Test::Use(
            choices
                .subset(&[Use::Output, Use::Filter, Use::Join, Use::Write])
                .into_iter()
                .collect(),
        ),
        21 => Test::Class(name(choices, CLASSES)),
        22 => Test::Mentions {
            what: choices.pick(&[Mentioned::Tables, Mentioned::Functions]),
            schema: pattern(choices, SCHEMAS),
            name: pattern(choices, RELATIONS),
        },
        _ => Test::BoundedBy {
            column: name(choices, &["tenant_id", "id"]),
            value: match choices.below(4) {
                0 | 1 => TextOperand::Attribute(TextAttribute::Claim(choices.pick(&[
                    path(&["tenant"]),
                    path(&["org", "tenant"]),
                    path(&["level"]),
                ]))),
                2 => TextOperand::Literal(name(choices, TEXTS)),
                _ => TextOperand::Attribute(session_text(choices)),
            },
        },
    }
}

pub(super) fn operations(choices: &mut Choices) -> Operations {
    let any = &Operation::ALL[..Operation::ALL.len() - 1];
    match choices.below(6) {
        0 | 1 => Operations::of(any),
        2 => Operations::of(&[Operation::Read]),
        3 => Operations::of(&[Operation::Insert, Operation::Update, Operation::Delete]),
        4 => Operations::of(&Operation::ALL),
        _ => Operations::of(&choices.several(4, |choices| choices.pick(&Operation::ALL))),
    }
}

fn path(names: &[&str]) -> ClaimPath {
    ClaimPath(names.iter().map(|&name| Arc::from(name)).collect())
}

fn comparison(choices: &mut Choices) -> Comparison {
    choices.pick(&[
        Comparison::Greater,
        Comparison::Less,
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::LessOrEqual,
        Comparison::GreaterOrEqual,
    ])
}

fn value(choices: &mut Choices) -> i64 {
    choices.pick(&[1, 7, 10, 1_000, 0, -1, i64::MAX - 1])
}

fn session_text(choices: &mut Choices) -> TextAttribute {
    choices.pick(&[
        TextAttribute::PrincipalId,
        TextAttribute::PersonId,
        TextAttribute::Issuer,
        TextAttribute::Claim(path(&["tenant"])),
        TextAttribute::Claim(path(&["org", "tenant"])),
        TextAttribute::Target,
        TextAttribute::Database,
        TextAttribute::Role,
        TextAttribute::Application,
    ])
}

fn text_test(choices: &mut Choices, asks: Asks) -> TextTest {
    let mut all: Vec<&str> = [PEOPLE, TEXTS].concat();
    if asks == Asks::Anything {
        all.extend([SCHEMAS, RELATIONS, COLUMNS].concat());
    }
    match choices.below(4) {
        0 => TextTest::Equals(TextOperand::Literal(name(choices, &all))),
        1 => TextTest::In(
            choices
                .several(3, |choices| name(choices, &all))
                .into_iter()
                .collect(),
        ),
        2 => TextTest::Matches(pattern(choices, &all)),
        _ => TextTest::Equals(TextOperand::Attribute(session_text(choices))),
    }
}

fn window(choices: &mut Choices) -> Window {
    let zone = choices.pick(&["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]);
    let zone = Zone::named(zone).expect("a zone");
    let days = (0..7).fold(Weekdays::NONE, |days, day| {
        if choices.once_in(4) {
            days
        } else {
            days.with(day)
        }
    });
    let days = if days == Weekdays::NONE {
        Weekdays::ALL
    } else {
        days
    };
    let minutes = [0, 60, 90, 120, 150, 180, 540, 1020, 1380];
    let from = choices.pick(&minutes);
    let to = choices.pick(&[DAY_MINUTES, 60, 90, 120, 150, 180, 540, 1020, 1380]);
    let to = if from == to { DAY_MINUTES } else { to };
    Window::new(zone, days, from, to).expect("a window")
}

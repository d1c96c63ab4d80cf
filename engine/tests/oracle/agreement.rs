//! Many random cases. A failing one is made small and printed with what is needed to see it again.
//!
//! `PROVOST_ORACLE_PAIRS` says how many pairs of a policy and a statement, `PROVOST_ORACLE_SEED` where to begin.

use std::{env, fmt::Write as _, sync::Arc};

use provost_engine::{
    facts::Operation,
    graph::{
        condition::{Comparison, Condition, NumberAttribute, Test},
        rule::{Effect, Mode, Operations, Rule, RuleSet, Scope},
    },
    verdict::{Decision, HeldTransaction, Recording, Verdict},
};

use crate::{
    choices::Choices,
    compare::{Ask, compare, compiled},
    generate::{self, Shape, rule_set},
};

/// Pairs in an ordinary run: seconds without optimisation.
const PAIRS: u64 = 6_000;
/// Statements for each policy.
const ASKS: u64 = 10;
/// Statements for each policy of hundreds of rules, which takes longer to make.
const BOX_ASKS: u64 = 50;
/// One policy in this many has hundreds of rules.
const BOXES: u64 = 200;
/// How many smaller cases are tried once one fails.
const TRIES_MAX: usize = 20_000;

/// What was seen, so that a generator which makes dull cases fails too.
#[derive(Debug, Default)]
struct Seen {
    pairs: u64,
    allowed: u64,
    held: u64,
    denied: u64,
    masked: u64,
    mask_bound: u64,
    limited: u64,
    recorded: u64,
    approvals_joined: u64,
    kept: u64,
    probed: u64,
    needed: u64,
    observed: u64,
}

impl Seen {
    fn add(&mut self, decision: &Decision) {
        let count = |counter: &mut u64, seen: bool| *counter += u64::from(seen);
        count(&mut self.pairs, true);
        count(&mut self.allowed, decision.verdict == Verdict::Allow);
        count(&mut self.held, decision.verdict == Verdict::Hold);
        count(&mut self.denied, decision.verdict == Verdict::Deny);
        count(&mut self.masked, !decision.masks.is_empty());
        count(&mut self.mask_bound, decision.mask_bound);
        count(&mut self.limited, !decision.limits.is_none());
        count(
            &mut self.recorded,
            decision.recording != Recording::Statement,
        );
        count(&mut self.approvals_joined, decision.approvals.len() > 1);
        let kept = decision.held_transaction == HeldTransaction::Keep;
        count(&mut self.kept, kept);
        count(&mut self.probed, !decision.probes.is_empty());
        count(&mut self.needed, !decision.needs.is_empty());
        count(&mut self.observed, decision.observed.is_some());
    }

    fn assert_varied(&self) {
        let rare = [
            ("masked", self.masked),
            ("limited", self.limited),
            ("recorded", self.recorded),
            ("approvals joined", self.approvals_joined),
            ("kept", self.kept),
            ("probed", self.probed),
            ("needed", self.needed),
            ("observed", self.observed),
        ];
        for (what, count) in rare {
            assert!(count * 500 >= self.pairs, "too few {what}: {self:?}");
        }
        for (what, count) in [
            ("allowed", self.allowed),
            ("held", self.held),
            ("denied", self.denied),
            ("mask-bound", self.mask_bound),
        ] {
            assert!(count * 20 >= self.pairs, "too few {what}: {self:?}");
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("`{name}` is not a number: `{text}`"))
    })
}

#[test]
fn the_graph_decides_as_the_rules_read() {
    let pairs = number("PROVOST_ORACLE_PAIRS", PAIRS);
    let first = number("PROVOST_ORACLE_SEED", 1);
    let mut seen = Seen::default();
    let mut seed = first;
    while seen.pairs < pairs {
        let (shape, asks) = if seed.is_multiple_of(BOXES) {
            (Shape::Boxes, BOX_ASKS)
        } else {
            (Shape::Mixed, ASKS)
        };
        let mut choices = Choices::seeded(seed << 8);
        let set = rule_set(&mut choices, shape);
        let policy = compiled(&set);
        for number in 1..=asks {
            let mut asking = Choices::seeded((seed << 8) + number);
            let ask = Ask::made(&mut asking, shape);
            match compare(&set, &policy, &ask) {
                Ok(decision) => seen.add(&decision),
                Err(_) => panic!(
                    "seed {seed}, statement {number}, {shape:?}:\n{}",
                    smallest(shape, choices.made(), asking.made())
                ),
            }
        }
        seed += 1;
    }
    println!("{} policies: {seen:?}", seed - first);
    seen.assert_varied();
}

/// Ranges of numbers have only so much room in the graph; those past it are asked one by one.
#[test]
fn ranges_past_their_room_decide_as_the_rules_read() {
    let choices = &mut Choices::seeded(1);
    let mut set = rule_set(choices, Shape::Mixed);
    set.mode = Mode::Enforce;
    set.rules = (0..1_600_i64)
        .map(|number| {
            let scope = Scope {
                operations: Operations::of(&Operation::ALL),
                objects: None,
                condition: Condition::Test(Test::Number {
                    attribute: NumberAttribute::Limit,
                    comparison: Comparison::Equal,
                    value: number * 3,
                }),
            };
            let wide = Scope {
                condition: Condition::Test(Test::Number {
                    attribute: NumberAttribute::Limit,
                    comparison: Comparison::NotEqual,
                    value: number * 3,
                }),
                ..scope.clone()
            };
            Rule {
                name: Arc::from(format!("rule-{number}")),
                effect: match number {
                    0 => Effect::Allow(wide),
                    1..1_000 => Effect::Record(wide, Recording::Digest),
                    _ => Effect::Deny(scope.clone()),
                },
                ..generate::rule(choices, Effect::Record(scope, Recording::Digest))
            }
        })
        .collect();
    let policy = compiled(&set);
    let mut denied = 0;
    for limit in [0, 3, 7, 2_997, 2_999, 3_000, 3_003, 4_797, 4_800] {
        let mut ask = Ask::made(choices, Shape::Mixed);
        ask.facts.limit = Some(limit);
        match compare(&set, &policy, &ask) {
            Ok(decision) => denied += u32::from(decision.verdict == Verdict::Deny),
            Err(differs) => panic!("at LIMIT {limit}: {differs}"),
        }
    }
    assert!(denied > 0);
}

/// Makes a failing case smaller as long as it fails: choices left out or made plain, then rules left out.
fn smallest(shape: Shape, policy: Vec<u32>, ask: Vec<u32>) -> String {
    let failure = |policy: &[u32], ask: &[u32]| {
        let set = rule_set(&mut Choices::replaying(policy.to_vec()), shape);
        let ask = Ask::made(&mut Choices::replaying(ask.to_vec()), shape);
        failure_of(&set, &ask).map(|failure| (set, ask, failure))
    };
    let mut tries = TRIES_MAX;
    let (mut policy, mut ask) = (policy, ask);
    loop {
        let before = policy.len() + ask.len() + weight(&policy) + weight(&ask);
        policy = smaller(policy, &mut tries, |policy| failure(policy, &ask).is_some());
        ask = smaller(ask, &mut tries, |ask| failure(&policy, ask).is_some());
        let after = policy.len() + ask.len() + weight(&policy) + weight(&ask);
        if after == before || tries == 0 {
            break;
        }
    }
    let (mut set, ask, mut failure) = failure(&policy, &ask).expect("it failed before");
    let mut index = 0;
    while index < set.rules.len() {
        let mut fewer = set.clone();
        fewer.rules.remove(index);
        match failure_of(&fewer, &ask) {
            Some(still) => (set, failure) = (fewer, still),
            None => index += 1,
        }
    }
    let mut text = String::new();
    writeln!(text, "{set:#?}\n{ask:#?}\n{failure}").expect("a String takes all");
    text
}

fn weight(choices: &[u32]) -> usize {
    choices.iter().filter(|&&choice| choice != 0).count()
}

fn failure_of(set: &RuleSet, ask: &Ask) -> Option<String> {
    compare(set, &compiled(set), ask).err()
}

/// Leaves out and zeroes runs of choices, long ones first.
fn smaller(
    choices: Vec<u32>,
    tries: &mut usize,
    mut fails: impl FnMut(&[u32]) -> bool,
) -> Vec<u32> {
    let mut choices = choices;
    let mut length = choices.len().next_power_of_two();
    while length > 0 {
        let mut from = 0;
        while from < choices.len() && *tries > 0 {
            *tries -= 1;
            let to = (from + length).min(choices.len());
            let mut without = choices.clone();
            without.drain(from..to);
            let mut plain = choices.clone();
            plain[from..to].fill(0);
            if fails(&without) {
                choices = without;
            } else if plain != choices && fails(&plain) {
                choices = plain;
            } else {
                from = to;
            }
        }
        length /= 2;
    }
    choices
}

//! Dear facts are asked for only where the decision hangs on them, and each at most once.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::{
    facts::{Column, Constant, Equality, Facts, Kind, Object, Operation},
    graph::{
        Policy, compile,
        condition::{Comparison, Condition, Flag, NumberAttribute, Test, TextOperand},
        glob::Glob,
        rule::{
            Audience, Effect, Hold, Mode, ObjectPattern, Operations, Rule, RuleSet, Scope, Subjects,
        },
    },
    principal::Dear,
    verdict::{Approval, BundleDigest, Decision, HeldTransaction, Verdict},
};

use crate::{
    choices::Choices,
    compare::{Ask, compiled},
    generate::{Shape, TEXTS, rule_set},
};

/// What the server's planner and the gateway's history would say.
#[derive(Debug, Clone, Copy)]
struct World {
    estimated_rows: u64,
    novel: bool,
}

/// How often each was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Asked {
    values: u32,
    estimated_rows: u32,
    novel: u32,
}

/// Decides as the gateway does: fetches what the decision needs, and decides again.
fn drive(policy: &Policy, ask: &Ask, world: World) -> (Decision, Asked) {
    let mut ask = ask.clone();
    let mut asked = Asked::default();
    loop {
        let decision = ask.decide(policy);
        if decision.needs.values {
            asked.values += 1;
            ask.surroundings.bind();
        }
        if decision.needs.is_empty() {
            return (decision, asked);
        }
        if decision.needs.estimated_rows {
            asked.estimated_rows += 1;
            ask.surroundings.estimated_rows = Dear::Known(world.estimated_rows);
        }
        if decision.needs.novel {
            asked.novel += 1;
            ask.surroundings.novel = Dear::Known(world.novel);
        }
        assert!(
            asked.estimated_rows <= 1 && asked.novel <= 1 && asked.values <= 1,
            "asked twice: {asked:?} for {ask:#?}"
        );
    }
}

fn estimated_above(value: i64) -> Condition {
    Condition::Test(Test::Number {
        attribute: NumberAttribute::EstimatedRows,
        comparison: Comparison::Greater,
        value,
    })
}

fn not_bounded() -> Condition {
    Condition::Not(Box::new(Condition::Test(Test::Flag(Flag::Bounded))))
}

/// The rules of the language's first example that decide over writes, with `bulk` as the condition of `bulk-write`.
fn bulk_write(bulk: Condition) -> Policy {
    let on = |schema: &str| {
        Some(vec![ObjectPattern::Qualified {
            schema: Glob::exactly(schema).into(),
            name: Glob::any().into(),
        }])
    };
    let scope = |operations: &[Operation], schema, condition| Scope {
        operations: Operations::of(operations),
        objects: on(schema),
        condition,
    };
    let rule = |name: &str, effect| Rule {
        name: Arc::from(name),
        effect,
        subjects: Subjects {
            audience: Audience::Groups(vec![vec![Arc::from("ai-agents")]]),
            except: Vec::new(),
        },
        because: None,
        controls: Vec::new(),
        mode: Mode::Enforce,
    };
    let reads_and_writes = [
        Operation::Read,
        Operation::Insert,
        Operation::Update,
        Operation::Delete,
    ];
    let changes = [Operation::Update, Operation::Delete];
    let hold = Hold {
        approvals: vec![Approval {
            group: Arc::from("dbas"),
            members: vec![Arc::from("db-admins")],
            count: 2,
            within_ms: 900_000,
        }],
        transaction: HeldTransaction::Fail,
    };
    compile(RuleSet {
        digest: BundleDigest(Arc::from("bulk-write")),
        mode: Mode::Enforce,
        classes: Vec::new(),
        rules: vec![
            rule(
                "agents-work",
                Effect::Allow(scope(&reads_and_writes, "public", Condition::Always)),
            ),
            rule(
                "bulk-write",
                Effect::Hold(scope(&changes, "public", bulk), hold),
            ),
            rule(
                "no-deletes-in-hr",
                Effect::Deny(scope(&[Operation::Delete], "hr", Condition::Always)),
            ),
        ],
        invariants: Vec::new(),
    })
    .expect("the example compiles")
}

/// An agent's statement with these accesses: (operation, schema, bounded).
fn statement(accesses: &[(Operation, &str, bool)]) -> Ask {
    let plain = || Choices::replaying(Vec::new());
    let mut ask = Ask::made(&mut plain(), Shape::Mixed);
    let mut session = (*ask.surroundings.session).clone();
    session.principal.groups = vec![Arc::from("ai-agents")];
    ask.surroundings.session = Arc::new(session);
    let template = ask.facts.accesses[0].clone();
    ask.facts = Facts {
        kind: Kind::Other,
        accesses: accesses
            .iter()
            .map(|&(operation, schema, bounded)| {
                let mut access = template.clone();
                access.object = Object::Relation {
                    schema: Arc::from(schema),
                    name: Arc::from("orders"),
                    oid: 1,
                };
                access.operation = operation;
                access.columns = BTreeSet::new();
                access.bounded = bounded;
                access
            })
            .collect(),
        ..ask.facts
    };
    ask
}

#[track_caller]
fn check(
    bulk: Condition,
    accesses: &[(Operation, &str, bool)],
    estimated_rows: u64,
    (verdict, asks): (Verdict, u32),
) {
    let world = World {
        estimated_rows,
        novel: false,
    };
    let (decision, asked) = drive(&bulk_write(bulk), &statement(accesses), world);
    let expected = Asked {
        values: 0,
        estimated_rows: asks,
        novel: 0,
    };
    assert_eq!(
        (decision.verdict, asked),
        (verdict, expected),
        "{accesses:?}"
    );
}

/// `when not bounded or estimated_rows > 1_000`: what is not bounded is held without asking.
#[test]
fn the_planner_is_asked_only_where_the_bulk_write_rule_hangs_on_it() {
    use Operation::{Delete, Insert, Read, Update};
    use Verdict::{Allow, Deny, Hold};
    let bulk = || Condition::Any(vec![not_bounded(), estimated_above(1_000)]);
    for (accesses, estimated_rows, expected) in [
        (&[(Read, "public", false)][..], 5_000, (Allow, 0)),
        (&[(Insert, "public", false)], 5_000, (Allow, 0)),
        (&[(Update, "public", false)], 1, (Hold, 0)),
        (&[(Update, "public", true)], 1_000, (Allow, 1)),
        (&[(Update, "public", true)], 1_001, (Hold, 1)),
        // Two accesses hang on one fact.
        (
            &[(Update, "public", true), (Delete, "public", true)],
            7,
            (Allow, 1),
        ),
        // A deny settles it, be it by a rule or because nothing allows it.
        (
            &[(Update, "public", true), (Delete, "hr", true)],
            5_000,
            (Deny, 0),
        ),
        (
            &[(Update, "public", true), (Read, "hr", true)],
            5_000,
            (Deny, 0),
        ),
    ] {
        check(bulk(), accesses, estimated_rows, expected);
    }
}

/// `when not bounded and estimated_rows > 1_000`: a bounded change is never asked about.
#[test]
fn a_bounded_change_is_not_asked_about_where_only_others_are_held() {
    let bulk = || Condition::All(vec![not_bounded(), estimated_above(1_000)]);
    for (accesses, estimated_rows, expected) in [
        (
            &[(Operation::Update, "public", true)],
            5_000,
            (Verdict::Allow, 0),
        ),
        (
            &[(Operation::Update, "public", false)],
            5_000,
            (Verdict::Hold, 1),
        ),
        (
            &[(Operation::Delete, "public", false)],
            5,
            (Verdict::Allow, 1),
        ),
    ] {
        check(bulk(), accesses, estimated_rows, expected);
    }
}

/// `when not bounded by tenant = "..."`: the values are waited for only where the decision hangs on them.
#[test]
fn values_are_waited_for_only_where_the_decision_hangs_on_them() {
    use Operation::{Delete, Read, Update};
    let column = || {
        Arc::new(Column {
            schema: Arc::from("public"),
            relation: Arc::from("orders"),
            name: Arc::from("tenant"),
            relation_oid: 1,
            attribute: 2,
            type_oid: 25,
            constrained: false,
        })
    };
    let bulk = Condition::Not(Box::new(Condition::Test(Test::BoundedBy {
        column: Arc::from("tenant"),
        value: TextOperand::Literal(Arc::from(TEXTS[0])),
    })));
    let policy = bulk_write(bulk);
    let world = World {
        estimated_rows: 1,
        novel: false,
    };
    let check = |accesses: &[(Operation, &str, bool)], known: Option<&str>, expected| {
        let mut ask = statement(accesses);
        for access in &mut ask.facts.accesses {
            access.equalities = BTreeSet::from([Equality {
                column: column(),
                value: Constant::Parameter(1),
            }]);
        }
        ask.surroundings.values_follow = true;
        ask.surroundings.parameters = known.map(|text| vec![Some(text.to_owned())]);
        let (decision, asked) = drive(&policy, &ask, world);
        let found = (decision.verdict, asked.values);
        assert_eq!(found, expected, "{accesses:?} {known:?}");
    };
    // `Surroundings::bind` gives the first text.
    check(&[(Update, "public", false)], None, (Verdict::Allow, 1));
    check(
        &[(Update, "public", false)],
        Some(TEXTS[0]),
        (Verdict::Allow, 0),
    );
    check(
        &[(Update, "public", false)],
        Some("another"),
        (Verdict::Hold, 0),
    );
    check(&[(Read, "public", false)], None, (Verdict::Allow, 0));
    check(
        &[(Update, "public", false), (Delete, "hr", false)],
        None,
        (Verdict::Deny, 0),
    );
}

/// What is decided by asking little is decided as if everything had been known.
#[test]
fn asking_late_never_lets_more_through() {
    let mut asked_about = 0;
    for seed in 0..200_u64 {
        let mut choices = Choices::seeded(seed << 8);
        let set = rule_set(&mut choices, Shape::Mixed);
        let policy = compiled(&set);
        for number in 1..=10 {
            let mut choices = Choices::seeded((seed << 8) + number);
            let mut ask = Ask::made(&mut choices, Shape::Mixed);
            ask.surroundings.estimated_rows = Dear::NotAsked;
            ask.surroundings.novel = Dear::NotAsked;
            let world = World {
                estimated_rows: choices.pick(&[0, 5, 10, 11, 1_001]),
                novel: choices.once_in(2),
            };
            let (late, asked) = drive(&policy, &ask, world);
            asked_about += asked.estimated_rows + asked.novel;
            ask.surroundings = ask
                .surroundings
                .with_known(world.estimated_rows, world.novel);
            let early = ask.decide(&policy);
            if late.verdict == Verdict::Deny && early.verdict != Verdict::Deny {
                // Only a condition that can't be evaluated may deny before anything is asked: who asks can't mend it.
                let is_error = late
                    .reasons
                    .iter()
                    .any(|reason| reason.message.contains("can't be evaluated"));
                assert!(is_error, "seed {seed}, {number}: {late:#?}\n{early:#?}");
                continue;
            }
            // Rules that only allow once more what is allowed already need not be the same.
            let told = |decision: &Decision| Decision {
                rules: Default::default(),
                reasons: Vec::new(),
                observed: None,
                ..decision.clone()
            };
            assert_eq!(told(&late), told(&early), "seed {seed}, {number}");
        }
    }
    assert!(asked_about > 50, "asked {asked_about} times only");
}

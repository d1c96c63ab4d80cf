//! Deciding allocates nothing where a statement is allowed and no obligation comes with it. A gateway decides millions of
//! these; each allocation would cost as much as the walk through the graph.

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    sync::Arc,
};

use allocation_counter::measure;
use jiff::Timestamp;
use provost_engine::{
    facts::{
        Access, CatalogVersion, Column, ColumnUse, Facts, How, Kind, Lineage, Object, Operation,
        OutputColumn, SessionEffect, Source, Use,
    },
    graph::{
        Policy, compile,
        condition::{
            ClaimPath, Comparison, Condition, Flag, NumberAttribute, Test, TextAttribute,
            TextOperand, TextTest,
        },
        glob::Glob,
        rule::{
            Audience, Class, ColumnPattern, Effect, Mask, Mode, ObjectPattern, Operations, Probing,
            Rule, RuleSet, Scope, Subjects,
        },
    },
    principal::{Authentication, Circumstances, Principal, PrincipalKind, Session},
    transform::Transform,
    verdict::{BundleDigest, Limits, Verdict},
};

fn session() -> Arc<Session> {
    Arc::new(Session {
        principal: Principal {
            id: Arc::from("someone"),
            kind: PrincipalKind::Agent,
            groups: vec![Arc::from("agents")],
            on_behalf_of: None,
            issuer: Arc::from("https://issuer.example"),
            claims: BTreeMap::from([("tenant".to_owned(), "t1".into())]),
        },
        target: Arc::from("shop"),
        database: Arc::from("shop"),
        role: Arc::from("app"),
        application: Arc::from("test"),
        client_address: None,
        tls: true,
        authentication: Authentication::TokenAsPassword,
    })
}

fn access(operation: Operation, relation: &str, columns: &[&str]) -> Access {
    Access {
        object: Object::Relation {
            schema: Arc::from("public"),
            name: Arc::from(relation),
            oid: 1,
        },
        operation,
        columns: columns
            .iter()
            .map(|name| ColumnUse {
                column: column(relation, name),
                used: Use::Output,
            })
            .collect(),
        via: None,
        filtered: true,
        bounded: true,
        equalities: BTreeSet::new(),
    }
}

fn column(relation: &str, name: &str) -> Arc<Column> {
    Arc::new(Column {
        relation_oid: 1,
        attribute: 1,
        schema: Arc::from("public"),
        relation: Arc::from(relation),
        name: Arc::from(name),
        type_oid: 25,
        constrained: false,
    })
}

/// A statement whose result shows every column that its accesses name.
fn statement(kind: Kind, accesses: Vec<Access>) -> Facts {
    let outputs = accesses
        .iter()
        .flat_map(|access| &access.columns)
        .map(|used| OutputColumn {
            name: Arc::clone(&used.column.name),
            lineage: Lineage {
                sources: BTreeSet::from([Source {
                    column: Arc::clone(&used.column),
                    how: How::Direct,
                }]),
            },
            origin: None,
        })
        .collect();
    Facts {
        kind,
        accesses,
        outputs: Some(outputs),
        writes: Vec::new(),
        opaque: BTreeSet::new(),
        session_effect: SessionEffect::None,
        through_views: false,
        views: BTreeSet::new(),
        limit: Some(10),
        parameters: 1,
        lookups: BTreeSet::new(),
        uncounted: false,
        fingerprint: Arc::from("0"),
        catalog_version: CatalogVersion(0),
    }
}

fn scope(operations: &[Operation], object: ObjectPattern, condition: Condition) -> Scope {
    Scope {
        operations: Operations::of(operations),
        objects: Some(vec![object]),
        condition,
    }
}

fn on(name: &str) -> ObjectPattern {
    ObjectPattern::Qualified {
        schema: Glob::exactly("public").into(),
        name: Glob::with_stars(name).into(),
    }
}

fn policy(effects: Vec<Effect>) -> Policy {
    compile(RuleSet {
        digest: BundleDigest(Arc::from("test")),
        mode: Mode::Enforce,
        classes: vec![Class {
            name: Arc::from("pii"),
            columns: vec![ColumnPattern {
                schema: Glob::any().into(),
                relation: Glob::exactly("customers").into(),
                column: Glob::with_stars("ssn*").into(),
            }],
        }],
        rules: (0..)
            .zip(effects)
            .map(|(number, effect): (usize, Effect)| Rule {
                name: Arc::from(format!("rule-{number}")),
                effect,
                subjects: Subjects {
                    audience: Audience::Groups(vec![vec![Arc::from("agents")]]),
                    except: Vec::new(),
                },
                because: None,
                controls: vec![Arc::from("nist-800-53:AC-3")],
                mode: Mode::Enforce,
            })
            .collect(),
        invariants: Vec::new(),
    })
    .expect("it compiles")
}

/// The verdict, and how many allocations the decision took.
fn decide(policy: &Policy, facts: &Facts) -> (Verdict, u64) {
    let view = policy.view(&session(), Timestamp::UNIX_EPOCH);
    let circumstances = Circumstances::default();
    let mut verdict = None;
    let allocations = measure(|| {
        let decision = black_box(policy.decide(&view, black_box(facts), &circumstances));
        verdict = Some(decision.verdict);
    });
    (verdict.expect("it ran"), allocations.count_total)
}

#[track_caller]
fn check(policy: &Policy, facts: &Facts) {
    assert_eq!(decide(policy, facts), (Verdict::Allow, 0));
}

fn read(relation: &str, columns: &[&str]) -> Facts {
    statement(
        Kind::Select,
        vec![access(Operation::Read, relation, columns)],
    )
}

#[test]
fn an_allowed_statement_allocates_nothing() {
    let plain = policy(vec![
        Effect::Allow(scope(&[Operation::Read], on("*"), Condition::Always)),
        Effect::Allow(scope(&[Operation::Update], on("ord*"), Condition::Always)),
        Effect::Deny(scope(&[Operation::Drop], on("*"), Condition::Always)),
    ]);
    for facts in [
        read("orders", &[]),
        read("orders", &["id", "total", "note"]),
        read("Names In Any Case", &["Id"]),
        statement(
            Kind::Update,
            vec![
                access(Operation::Update, "orders", &["total"]),
                access(Operation::Read, "customers", &["id"]),
            ],
        ),
        statement(Kind::Commit, Vec::new()),
    ] {
        check(&plain, &facts);
    }
}

#[test]
fn conditions_columns_and_classes_allocate_nothing() {
    let test = Condition::Test;
    let tenant = test(Test::Text {
        attribute: TextAttribute::Claim(ClaimPath(vec![Arc::from("tenant")])),
        test: TextTest::Equals(TextOperand::Literal(Arc::from("t1"))),
    });
    let limited = test(Test::Number {
        attribute: NumberAttribute::Limit,
        comparison: Comparison::LessOrEqual,
        value: 100,
    });
    let same = test(Test::Text {
        attribute: TextAttribute::Role,
        test: TextTest::Equals(TextOperand::Attribute(TextAttribute::Application)),
    });
    let all = Condition::All(vec![
        tenant,
        limited,
        test(Test::Flag(Flag::Bounded)),
        Condition::Not(Box::new(Condition::Any(vec![
            same,
            test(Test::Class(Arc::from("pii"))),
        ]))),
    ]);
    let policy = policy(vec![
        Effect::Allow(scope(&[Operation::Read], on("*"), all)),
        Effect::Deny(scope(
            &[Operation::Read],
            ObjectPattern::Class(Arc::from("pii")),
            Condition::Always,
        )),
    ]);
    check(&policy, &read("orders", &["id", "total"]));
}

#[test]
fn a_principal_whom_masks_bind_allocates_nothing_where_no_column_is_masked() {
    let policy = policy(vec![
        Effect::Allow(scope(&[Operation::Read], on("*"), Condition::Always)),
        Effect::Mask(Mask {
            classes: vec![Arc::from("pii")],
            transforms: BTreeMap::new(),
            otherwise: Transform::Redact,
            probing: Probing::Deny,
            condition: Condition::Always,
        }),
    ]);
    check(&policy, &read("customers", &["id", "name"]));
    let (verdict, allocations) = decide(&policy, &read("customers", &["ssn"]));
    assert_eq!(verdict, Verdict::Allow);
    assert!(
        allocations > 0,
        "a mask is an allocation: the counter counts"
    );
}

#[test]
fn a_thousand_rules_allocate_nothing() {
    let mut effects: Vec<Effect> = (0..1_000)
        .map(|number| {
            let name = on(&format!("table_{number}"));
            Effect::Allow(scope(&[Operation::Read], name, Condition::Always))
        })
        .collect();
    effects.push(Effect::Allow(scope(
        &[Operation::Read],
        on("table_7*"),
        Condition::Always,
    )));
    let policy = policy(effects);
    for relation in ["table_0", "table_77", "table_999", "table_7x"] {
        check(&policy, &read(relation, &["id"]));
    }
}

#[test]
fn what_is_not_plainly_allowed_may_allocate() {
    let policy = policy(vec![
        Effect::Allow(scope(&[Operation::Read], on("orders"), Condition::Always)),
        Effect::Limit(
            scope(&[Operation::Read], on("orders"), Condition::Always),
            Limits {
                rows: Some(10),
                ..Limits::default()
            },
        ),
    ]);
    // Limits are numbers: they need no allocation either.
    check(&policy, &read("orders", &["id"]));
    let (verdict, allocations) = decide(&policy, &read("customers", &["id"]));
    assert_eq!(verdict, Verdict::Deny);
    assert!(allocations > 0, "words are allocations: the counter counts");
}

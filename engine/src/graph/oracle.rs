//! A second, plain reading of the rules, for tests: no tables, no bit sets, every rule against every access. The
//! compiled policy must decide as it does, on rules and facts made at random.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::{
    Policy, compile,
    condition::{Condition, Flag, Test},
    glob::Glob,
    name::NamePattern,
    rule::{
        Audience, Class, ColumnPattern, Effect, Group, Mask, Mode, ObjectPattern, Operations,
        Probing, Rule, RuleSet, Scope, Subjects,
    },
};
use crate::{
    facts::{
        Access, CatalogVersion, Column, ColumnUse, ColumnWrite, Facts, How, Kind, Lineage, Object,
        Operation, OutputColumn, SessionEffect, Source, Use,
    },
    principal::{Authentication, Circumstances, Delegator, Principal, PrincipalKind, Session},
    verdict::{BundleDigest, Transform, Verdict},
};

/// What the oracle says: the verdict, the determining rules, and the transform of each masked output.
type Said = (Verdict, BTreeSet<Arc<str>>, BTreeMap<usize, Transform>);

/// Matches by recursion over characters.
fn like(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skipped| like(rest, &name[skipped..])),
        Some((first, rest)) => name.first() == Some(first) && like(rest, &name[1..]),
    }
}

fn matches(glob: &NamePattern, name: &str) -> bool {
    let pattern: Vec<char> = glob.to_string().chars().collect();
    like(&pattern, &name.chars().collect::<Vec<_>>())
}

fn is_about(rule: &Rule, principal: &Principal) -> bool {
    let actor = &principal.groups;
    let person = principal.on_behalf_of.as_ref().map(|person| &person.groups);
    let is_in =
        |groups: &Vec<Arc<str>>, group: &Group| group.iter().any(|name| groups.contains(name));
    let grants = matches!(rule.effect, Effect::Allow(_));
    let meant = match &rule.subjects.audience {
        Audience::Anyone => true,
        Audience::Groups(groups) => groups.iter().any(|group| {
            is_in(actor, group) || (!grants && person.is_some_and(|person| is_in(person, group)))
        }),
    };
    let excepted = rule.subjects.except.iter().any(|group| match person {
        None => is_in(actor, group),
        Some(person) if grants => is_in(actor, group) || is_in(person, group),
        Some(person) => is_in(actor, group) && is_in(person, group),
    });
    meant && !excepted
}

fn holds(condition: &Condition, access: &Access) -> bool {
    match condition {
        Condition::Always => true,
        Condition::Test(Test::Flag(Flag::Filtered)) => access.filtered,
        Condition::Test(Test::Flag(Flag::Bounded)) => access.bounded,
        Condition::Test(other) => panic!("the strategies make no {other:?}"),
        Condition::Not(inner) => !holds(inner, access),
        Condition::All(inner) => inner.iter().all(|part| holds(part, access)),
        Condition::Any(inner) => inner.iter().any(|part| holds(part, access)),
    }
}

fn covers(scope: &Scope, access: &Access) -> bool {
    let on = match &scope.objects {
        None => true,
        Some(objects) => objects
            .iter()
            .any(|pattern| match (pattern, &access.object) {
                (
                    ObjectPattern::Qualified { schema, name },
                    Object::Relation {
                        schema: s, name: n, ..
                    },
                )
                | (
                    ObjectPattern::Qualified { schema, name },
                    Object::Function { schema: s, name: n },
                ) => matches(schema, s) && matches(name, n),
                (
                    ObjectPattern::Single(glob),
                    Object::Setting(n) | Object::Channel(n) | Object::Other { name: n, .. },
                ) => matches(glob, n),
                _ => false,
            }),
    };
    on && scope.operations.contains(access.operation) && holds(&scope.condition, access)
}

/// Whether a mask rule masks a column.
fn masks(set: &RuleSet, mask: &Mask, column: &Column) -> bool {
    set.classes
        .iter()
        .filter(|class| mask.classes.contains(&class.name))
        .any(|class| {
            class.columns.iter().any(|pattern| {
                let same = |glob: &NamePattern, name: &str| {
                    matches(&glob.to_lowercase(), &name.to_lowercase())
                };
                same(&pattern.schema, &column.schema)
                    && same(&pattern.relation, &column.relation)
                    && same(&pattern.column, &column.name)
            })
        })
}

/// The plain reading, for facts of SELECT, UPDATE and INSERT without schema changes or opaque parts.
fn interpret(set: &RuleSet, principal: &Principal, facts: &Facts) -> Said {
    let about: Vec<&Rule> = set
        .rules
        .iter()
        .filter(|rule| is_about(rule, principal))
        .collect();
    let mut refused = false;
    let (mut refusing, mut applied) = (BTreeSet::new(), BTreeSet::new());
    for access in &facts.accesses {
        let mut covered = access.object == Object::Nothing && access.operation == Operation::Read;
        for rule in &about {
            match &rule.effect {
                Effect::Allow(scope) if covers(scope, access) => {
                    covered = true;
                    applied.insert(Arc::clone(&rule.name));
                }
                Effect::Deny(scope) if covers(scope, access) => {
                    refused = true;
                    refusing.insert(Arc::clone(&rule.name));
                }
                _ => {}
            }
        }
        refused |= !covered;
    }
    let mut masked: BTreeMap<usize, Transform> = BTreeMap::new();
    for rule in &about {
        let Effect::Mask(mask) = &rule.effect else {
            continue;
        };
        let probes = facts
            .accesses
            .iter()
            .flat_map(|access| &access.columns)
            .any(|used| {
                let probing = match used.used {
                    Use::Filter | Use::Join | Use::Group | Use::Sort | Use::Compute => true,
                    Use::Write => used.column.constrained,
                    Use::Output | Use::Returning => false,
                };
                probing && mask.probing == Probing::Deny && masks(set, mask, &used.column)
            });
        let writes = facts.writes.iter().any(|write| {
            (write.column.constrained
                && mask.probing == Probing::Deny
                && masks(set, mask, &write.column))
                || write
                    .lineage
                    .sources
                    .iter()
                    .any(|source| source.how != How::Safe && masks(set, mask, &source.column))
        });
        if probes || writes {
            refused = true;
            refusing.insert(Arc::clone(&rule.name));
        }
        for (index, output) in facts.outputs.iter().flatten().enumerate() {
            for source in output
                .lineage
                .sources
                .iter()
                .filter(|source| masks(set, mask, &source.column))
            {
                let asked = mask
                    .transforms
                    .get(&*source.column.name)
                    .unwrap_or(&mask.otherwise);
                let asked = match source.how {
                    How::Direct => asked.clone(),
                    How::Derived => asked.join(&Transform::Redact),
                    How::Safe => continue,
                };
                applied.insert(Arc::clone(&rule.name));
                let joined = masked
                    .get(&index)
                    .map_or_else(|| asked.clone(), |so_far| so_far.join(&asked));
                masked.insert(index, joined);
            }
        }
    }
    if refused {
        (Verdict::Deny, refusing, BTreeMap::new())
    } else {
        (Verdict::Allow, applied, masked)
    }
}

fn compiled(policy: &Policy, session: &Session, facts: &Facts) -> Said {
    let view = policy.view(&Arc::new(session.clone()), jiff::Timestamp::UNIX_EPOCH);
    let decision = policy.decide(&view, facts, &Circumstances::default());
    let masks = decision
        .masks
        .iter()
        .map(|mask| (mask.output, mask.transform.clone()))
        .collect();
    assert_eq!(
        decision.verdict == Verdict::Deny,
        !decision.reasons.is_empty(),
        "a deny has reasons, an allow has none"
    );
    (
        decision.verdict,
        policy.names(&decision.rules).into_iter().collect(),
        masks,
    )
}

fn word() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("ab"), Just("b"), Just("public")]
}

fn glob() -> impl Strategy<Value = NamePattern> {
    prop_oneof![
        word().prop_map(|word| Glob::exactly(word).into()),
        Just(NamePattern::any()),
        Just(Glob::with_stars("a*").into()),
        Just(Glob::with_stars("*b").into()),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        Just(Operation::Read),
        Just(Operation::Update),
        Just(Operation::Insert),
        Just(Operation::Session)
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![4 => Just(Condition::Always), 1 => Just(Condition::Test(Test::Flag(Flag::Filtered))), 1 => Just(Condition::Test(Test::Flag(Flag::Bounded)))];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Condition::Not(Box::new(one))),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Condition::All),
            prop::collection::vec(inner, 1..3).prop_map(Condition::Any),
        ]
    })
}

fn scope() -> impl Strategy<Value = Scope> {
    let pattern = prop_oneof![
        4 => (glob(), glob()).prop_map(|(schema, name)| ObjectPattern::Qualified { schema, name }),
        1 => glob().prop_map(ObjectPattern::Single),
    ];
    let objects =
        prop_oneof![1 => Just(None), 3 => prop::collection::vec(pattern, 1..3).prop_map(Some)];
    (
        prop::collection::vec(operation(), 1..4),
        objects,
        condition(),
    )
        .prop_map(|(operations, objects, condition)| Scope {
            operations: Operations::of(&operations),
            objects,
            condition,
        })
}

fn group() -> impl Strategy<Value = Group> {
    prop::collection::vec(
        prop_oneof![Just("g"), Just("h"), Just("i")].prop_map(Arc::from),
        1..3,
    )
}

fn subjects() -> impl Strategy<Value = Subjects> {
    let audience = prop_oneof![
        2 => Just(Audience::Anyone),
        1 => prop::collection::vec(group(), 1..3).prop_map(Audience::Groups)
    ];
    (audience, prop::collection::vec(group(), 0..2))
        .prop_map(|(audience, except)| Subjects { audience, except })
}

fn transform() -> impl Strategy<Value = Transform> {
    prop_oneof![
        Just(Transform::Redact),
        Just(Transform::Null),
        Just(Transform::Last(2)),
        Just(Transform::Last(4)),
        Just(Transform::KeepDomain)
    ]
}

fn effect() -> impl Strategy<Value = Effect> {
    let mask = (
        prop::collection::vec(
            prop_oneof![Just("one"), Just("two")].prop_map(Arc::from),
            1..3,
        ),
        prop::collection::btree_map(word().prop_map(Arc::from), transform(), 0..2),
        transform(),
        prop_oneof![Just(Probing::Deny), Just(Probing::Allow)],
    )
        .prop_map(|(classes, transforms, otherwise, probing)| Mask {
            classes,
            transforms,
            otherwise,
            probing,
            condition: Condition::Always,
        });
    prop_oneof![
        4 => scope().prop_map(Effect::Allow),
        1 => scope().prop_map(Effect::Deny),
        1 => mask.prop_map(Effect::Mask),
    ]
}

fn rule_set() -> impl Strategy<Value = RuleSet> {
    let class = |name: &'static str| {
        prop::collection::vec((glob(), glob(), glob()), 1..3).prop_map(move |patterns| Class {
            name: Arc::from(name),
            columns: patterns
                .into_iter()
                .map(|(schema, relation, column)| ColumnPattern {
                    schema,
                    relation,
                    column,
                })
                .collect(),
        })
    };
    (
        prop::collection::vec((effect(), subjects()), 0..12),
        class("one"),
        class("two"),
    )
        .prop_map(|(rules, one, two)| RuleSet {
            digest: BundleDigest("test".into()),
            mode: Mode::Enforce,
            invariants: Vec::new(),
            classes: vec![one, two],
            rules: rules
                .into_iter()
                .enumerate()
                .map(|(index, (effect, subjects))| Rule {
                    name: Arc::from(format!("rule-{index}")),
                    effect,
                    subjects,
                    because: None,
                    controls: vec![Arc::from(format!("c:{}", index % 3))],
                    mode: Mode::Enforce,
                })
                .collect(),
        })
}

fn column() -> impl Strategy<Value = Arc<Column>> {
    (
        prop_oneof![Just("a"), Just("public")],
        word(),
        word(),
        any::<bool>(),
    )
        .prop_map(|(schema, relation, name, constrained)| {
            Arc::new(Column {
                relation_oid: 1,
                attribute: 1,
                schema: schema.into(),
                relation: relation.into(),
                name: name.into(),
                type_oid: 25,
                constrained,
            })
        })
}

fn lineage() -> impl Strategy<Value = Lineage> {
    let how = prop_oneof![Just(How::Direct), Just(How::Derived), Just(How::Safe)];
    prop::collection::btree_set(
        (column(), how).prop_map(|(column, how)| Source { column, how }),
        0..3,
    )
    .prop_map(|sources| Lineage { sources })
}

fn access() -> impl Strategy<Value = Access> {
    let object = prop_oneof![
        6 => (word(), word()).prop_map(|(schema, name)| Object::Relation { schema: schema.into(), name: name.into(), oid: 1 }),
        1 => (word(), word()).prop_map(|(schema, name)| Object::Function { schema: schema.into(), name: name.into() }),
        1 => word().prop_map(|name| Object::Setting(name.into())),
        1 => Just(Object::Nothing),
    ];
    let used = prop_oneof![
        6 => Just(Use::Output),
        1 => Just(Use::Filter),
        1 => Just(Use::Sort),
        1 => Just(Use::Write)
    ];
    let columns = prop::collection::btree_set(
        (column(), used).prop_map(|(column, used)| ColumnUse { column, used }),
        0..3,
    );
    (object, operation(), columns, any::<bool>(), any::<bool>()).prop_map(
        |(object, operation, columns, filtered, bounded)| Access {
            object,
            operation,
            columns,
            via: None,
            filtered,
            bounded,
            equalities: BTreeSet::new(),
        },
    )
}

fn facts() -> impl Strategy<Value = Facts> {
    let writes = prop::collection::vec(
        (column(), lineage()).prop_map(|(column, lineage)| ColumnWrite { column, lineage }),
        0..2,
    );
    (
        prop::collection::vec(access(), 1..3),
        prop::collection::vec(lineage(), 0..3),
        writes,
    )
        .prop_map(|(accesses, outputs, writes)| Facts {
            kind: Kind::Select,
            accesses,
            outputs: Some(
                outputs
                    .into_iter()
                    .map(|lineage| OutputColumn {
                        name: "o".into(),
                        lineage,
                        origin: None,
                    })
                    .collect(),
            ),
            writes,
            opaque: BTreeSet::new(),
            session_effect: SessionEffect::None,
            through_views: false,
            limit: None,
            parameters: 0,
            lookups: BTreeSet::new(),
            fingerprint: "0".into(),
            catalog_version: CatalogVersion(0),
        })
}

pub(super) fn session(groups: &[&str], person: Option<&[&str]>) -> Session {
    let names = |groups: &[&str]| groups.iter().map(|&group| Arc::from(group)).collect();
    Session {
        principal: Principal {
            id: "someone".into(),
            kind: PrincipalKind::Agent,
            groups: names(groups),
            on_behalf_of: person.map(|groups| Delegator {
                id: "person".into(),
                groups: names(groups),
            }),
            issuer: "https://issuer.example".into(),
            claims: BTreeMap::new(),
        },
        target: "shop".into(),
        database: "shop".into(),
        role: "app".into(),
        application: "test".into(),
        client_address: None,
        tls: true,
        authentication: Authentication::TokenAsPassword,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn the_compiled_policy_decides_as_the_rules_read(
        set in rule_set(),
        actor in prop::sample::subsequence(vec!["g", "h", "i", "unmentioned"], 0..4),
        person in prop::option::of(prop::sample::subsequence(vec!["g", "h", "i"], 0..3)),
        facts in facts(),
    ) {
        let session = session(&actor, person.as_deref());
        let expected = interpret(&set, &session.principal, &facts);
        let policy = compile(set.clone()).expect("random sets compile");
        prop_assert_eq!(&compiled(&policy, &session, &facts), &expected);

        // Order carries no meaning.
        let mut reversed = set;
        reversed.rules.reverse();
        reversed.classes.reverse();
        let policy = compile(reversed).expect("random sets compile");
        prop_assert_eq!(&compiled(&policy, &session, &facts), &expected);
    }
}

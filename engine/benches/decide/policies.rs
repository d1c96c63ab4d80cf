//! Policies of the whole language, and statements that meet them. The same every time: nothing here is random but by a
//! seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use provost_engine::{
    facts::{
        Access, CatalogVersion, Column, ColumnUse, Facts, How, Kind, Lineage, Object, Operation,
        OutputColumn, SessionEffect, Source, Use,
    },
    graph::{
        condition::{
            ClaimPath, Comparison, Condition, Flag, NumberAttribute, Test, TextAttribute,
            TextOperand, TextTest,
        },
        glob::Glob,
        name::NamePattern,
        rule::{
            Audience, Class, ColumnPattern, Effect, Hold, Mask, Mode, ObjectPattern, Operations,
            Probing, Rule, RuleSet, Scope, Subjects,
        },
    },
    principal::{Authentication, Principal, PrincipalKind, Session},
    transform::Transform,
    verdict::{Approval, BundleDigest, HeldTransaction, Limits, Recording},
};

/// How many statements are decided.
const STATEMENTS: usize = 400;

/// A xorshift generator.
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from.get(self.below(from.len())).expect("not empty")
    }
}

/// A statement of a session.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) session: Arc<Session>,
    pub(crate) facts: Facts,
}

/// What sort of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Every effect over many schemas and groups.
    Mixed,
    /// Boxes over four dimensions, a third of each at random, so that nearly any two overlap in part.
    Boxes,
}

impl Shape {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Boxes => "adversarial",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Mixed => "Mixed rules: every effect, with conditions, classes and masks",
            Self::Boxes => {
                "Adversarial boxes: a third of each of four dimensions (schema, relation, column, LIMIT)"
            }
        }
    }

    pub(crate) fn rule_set(self, size: usize) -> RuleSet {
        match self {
            Self::Mixed => mixed(size),
            Self::Boxes => boxes(size),
        }
    }

    pub(crate) fn cases(self, size: usize) -> Vec<Case> {
        let numbers = &mut Numbers::new(size as u64 + 77);
        match self {
            Self::Mixed => {
                let set = self.rule_set(size);
                let case = |_| mixed_case(numbers, &set, size);
                (0..STATEMENTS).map(case).collect()
            }
            Self::Boxes => (0..STATEMENTS).map(|_| box_case(numbers)).collect(),
        }
    }
}

pub(crate) fn session(groups: Vec<String>) -> Session {
    Session {
        principal: Principal {
            id: Arc::from("someone"),
            kind: PrincipalKind::Agent,
            groups: groups.into_iter().map(Arc::from).collect(),
            on_behalf_of: None,
            issuer: Arc::from("https://issuer.example"),
            claims: BTreeMap::from([("tenant".to_owned(), "t1".into())]),
        },
        target: Arc::from("shop"),
        database: Arc::from("shop"),
        role: Arc::from("app"),
        application: Arc::from("bench"),
        client_address: None,
        tls: true,
        authentication: Authentication::TokenAsPassword,
    }
}

/// A statement with one access to one relation.
pub(crate) fn statement(
    kind: Kind,
    operation: Operation,
    schema: &str,
    relation: &str,
    columns: &[(&str, Use)],
) -> Facts {
    let uses: BTreeSet<ColumnUse> = (1..)
        .zip(columns)
        .map(|(attribute, &(name, used))| ColumnUse {
            column: Arc::new(Column {
                relation_oid: 1,
                attribute,
                schema: Arc::from(schema),
                relation: Arc::from(relation),
                name: Arc::from(name),
                type_oid: 25,
                constrained: false,
            }),
            used,
        })
        .collect();
    let outputs = uses
        .iter()
        .filter(|used| used.used == Use::Output)
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
        accesses: vec![Access {
            object: Object::Relation {
                schema: Arc::from(schema),
                name: Arc::from(relation),
                oid: 1,
            },
            operation,
            columns: uses,
            via: None,
            filtered: true,
            bounded: true,
            equalities: BTreeSet::new(),
        }],
        outputs: Some(outputs),
        writes: Vec::new(),
        opaque: BTreeSet::new(),
        session_effect: SessionEffect::None,
        through_views: false,
        views: BTreeSet::new(),
        limit: None,
        parameters: 1,
        lookups: BTreeSet::new(),
        uncounted: false,
        fingerprint: Arc::from("0"),
        catalog_version: CatalogVersion(0),
    }
}

const TABLES: &[&str] = &[
    "customers",
    "orders",
    "order_items",
    "invoices",
    "payments",
    "refunds",
    "products",
    "stock",
    "suppliers",
    "shipments",
    "carriers",
    "employees",
    "salaries",
    "tickets",
    "messages",
    "sessions",
    "audit_log",
    "error_log",
    "tmp_import",
    "tmp_export",
];
const WRITES: &[Operation] = &[Operation::Insert, Operation::Update, Operation::Delete];
const DDL: &[Operation] = &[Operation::Create, Operation::Alter, Operation::Drop];

const fn schemas(size: usize) -> usize {
    size / 40 + 2
}

const fn groups(size: usize) -> usize {
    size / 20 + 20
}

const fn classes(size: usize) -> usize {
    size / 20 + 1
}

fn exactly(name: &str) -> NamePattern {
    Glob::exactly(name).into()
}

fn mixed(size: usize) -> RuleSet {
    let numbers = &mut Numbers::new(size as u64);
    let classes = (0..classes(size))
        .map(|number| Class {
            name: Arc::from(format!("class-{number}")),
            columns: ["ssn", "email", "card_*"]
                .iter()
                .map(|column| ColumnPattern {
                    schema: exactly(&format!("s{}", numbers.below(schemas(size)))),
                    relation: match numbers.below(2) {
                        0 => NamePattern::any(),
                        _ => exactly(numbers.pick(TABLES)),
                    },
                    column: Glob::with_stars(column).into(),
                })
                .collect(),
        })
        .collect();
    RuleSet {
        digest: BundleDigest(Arc::from("mixed")),
        mode: Mode::Enforce,
        classes,
        rules: (0..size)
            .map(|number| mixed_rule(numbers, number, size))
            .collect(),
        invariants: Vec::new(),
    }
}

fn mixed_rule(numbers: &mut Numbers, number: usize, size: usize) -> Rule {
    let group = vec![Arc::from(format!("g{}", numbers.below(groups(size))))];
    let effect = mixed_effect(numbers, number, size);
    let subjects = match effect {
        Effect::Mask(_) => Subjects {
            audience: Audience::Anyone,
            except: vec![group],
        },
        _ => Subjects {
            audience: Audience::Groups(vec![group]),
            except: Vec::new(),
        },
    };
    Rule {
        name: Arc::from(format!("rule-{number}")),
        effect,
        subjects,
        because: None,
        controls: vec![Arc::from("nist-800-53:AC-3")],
        mode: Mode::Enforce,
    }
}

fn mixed_effect(numbers: &mut Numbers, number: usize, size: usize) -> Effect {
    let schema = exactly(&format!("s{}", numbers.below(schemas(size))));
    let table = numbers.pick(TABLES);
    let on = |schema: &NamePattern, name: NamePattern| ObjectPattern::Qualified {
        schema: schema.clone(),
        name,
    };
    let column = |name: &str| {
        ObjectPattern::Column(ColumnPattern {
            schema: schema.clone(),
            relation: exactly(table),
            column: Glob::with_stars(name).into(),
        })
    };
    let scope = |operations: &[Operation], object, condition| Scope {
        operations: Operations::of(operations),
        objects: Some(vec![object]),
        condition,
    };
    let all_tables = on(&schema, NamePattern::any());
    let one_table = on(&schema, exactly(table));
    let read = &[Operation::Read];
    let always = Condition::Always;
    match number % 20 {
        0..=2 => Effect::Allow(scope(read, all_tables, always)),
        3..=5 => Effect::Allow(scope(read, one_table, always)),
        6 | 7 => Effect::Allow(scope(WRITES, all_tables, always)),
        8 => {
            let some = Glob::with_stars(numbers.pick(&["*_log", "tmp_*", "*s", "s*"])).into();
            Effect::Allow(scope(read, on(&schema, some), always))
        }
        9 => Effect::Allow(scope(read, all_tables, tenant())),
        10 => Effect::Deny(scope(DDL, all_tables, always)),
        11 => {
            let bounded = Test::Flag(Flag::Bounded);
            let unbounded = Condition::Not(Box::new(Condition::Test(bounded)));
            Effect::Deny(scope(&[Operation::Delete], one_table, unbounded))
        }
        12 => Effect::Hold(scope(WRITES, all_tables, unfiltered()), hold()),
        13 => Effect::Hold(scope(&[Operation::Delete], one_table, always), hold()),
        14 => {
            let limits = Limits {
                rows: Some(10_000),
                ..Limits::default()
            };
            Effect::Limit(scope(read, all_tables, always), limits)
        }
        15 => Effect::Record(scope(WRITES, one_table, always), Recording::Results),
        16 => Effect::Mask(Mask {
            classes: vec![Arc::from(format!("class-{}", numbers.below(classes(size))))],
            transforms: BTreeMap::new(),
            otherwise: Transform::Redact,
            probing: Probing::Deny,
            condition: always,
        }),
        17 => Effect::Allow(scope(read, column("id"), always)),
        18 => Effect::Deny(scope(read, column("sal*"), always)),
        _ => Effect::Allow(scope(read, all_tables, over_tls())),
    }
}

fn tenant() -> Condition {
    Condition::Test(Test::Text {
        attribute: TextAttribute::Claim(ClaimPath(vec![Arc::from("tenant")])),
        test: TextTest::Equals(TextOperand::Literal(Arc::from("t1"))),
    })
}

fn unfiltered() -> Condition {
    Condition::Not(Box::new(Condition::Test(Test::Flag(Flag::Filtered))))
}

fn over_tls() -> Condition {
    Condition::Test(Test::Flag(Flag::Tls))
}

fn hold() -> Hold {
    Hold {
        approvals: vec![Approval {
            group: Arc::from("dbas"),
            members: vec![Arc::from("db-admins")],
            count: 2,
            within_ms: 900_000,
        }],
        transaction: HeldTransaction::Fail,
    }
}

/// Mostly what an allow rule is about, by one of its people.
fn mixed_case(numbers: &mut Numbers, set: &RuleSet, size: usize) -> Case {
    let mut names: Vec<String> = (0..2)
        .map(|_| format!("g{}", numbers.below(groups(size))))
        .collect();
    let (mut schema, mut operation) = (
        format!("s{}", numbers.below(schemas(size))),
        Operation::Read,
    );
    let rule = set.rules.get(numbers.below(set.rules.len()));
    if let Some(rule) = rule
        && let Effect::Allow(scope) | Effect::Hold(scope, _) = &rule.effect
        && let Audience::Groups(about) = &rule.subjects.audience
        && let Some(ObjectPattern::Qualified { schema: of, .. }) =
            scope.objects.iter().flatten().next()
    {
        names.extend(about.iter().flatten().map(|name| name.to_string()));
        schema = of.to_string();
        if !scope.operations.contains(Operation::Read) {
            operation = numbers.pick(WRITES);
        }
    }
    let kind = match operation {
        Operation::Insert => Kind::Insert,
        Operation::Update => Kind::Update,
        Operation::Delete => Kind::Delete,
        _ => Kind::Select,
    };
    let columns: &[(&str, Use)] = match operation {
        Operation::Read => &[
            ("id", Use::Filter),
            ("id", Use::Output),
            ("total", Use::Output),
        ],
        _ => &[("total", Use::Write)],
    };
    Case {
        session: Arc::new(session(names)),
        facts: statement(kind, operation, &schema, numbers.pick(TABLES), columns),
    }
}

/// How many names a dimension of the boxes has.
const BOX_NAMES: usize = 30;

fn boxes(size: usize) -> RuleSet {
    let numbers = &mut Numbers::new(size as u64 + 3);
    RuleSet {
        digest: BundleDigest(Arc::from("boxes")),
        mode: Mode::Enforce,
        classes: Vec::new(),
        rules: (0..size).map(|number| box_rule(numbers, number)).collect(),
        invariants: Vec::new(),
    }
}

fn box_rule(numbers: &mut Numbers, number: usize) -> Rule {
    let third = |numbers: &mut Numbers, attribute, letter: char| {
        let names = (0..BOX_NAMES).filter(|_| numbers.below(3) == 0);
        Condition::Test(Test::Text {
            attribute,
            test: TextTest::In(
                names
                    .map(|number| Arc::from(format!("{letter}{number}")))
                    .collect(),
            ),
        })
    };
    let condition = Condition::All(vec![
        third(numbers, TextAttribute::Schema, 's'),
        third(numbers, TextAttribute::Relation, 'r'),
        third(numbers, TextAttribute::Column, 'c'),
        Condition::Test(Test::Number {
            attribute: NumberAttribute::Limit,
            comparison: numbers.pick(&[Comparison::Less, Comparison::GreaterOrEqual]),
            value: numbers.below(1_000) as i64,
        }),
    ]);
    let scope = Scope {
        operations: Operations::of(&[Operation::Read]),
        objects: None,
        condition,
    };
    let limits = Limits {
        rows: Some(1_000),
        ..Limits::default()
    };
    Rule {
        name: Arc::from(format!("rule-{number}")),
        effect: match number % 200 {
            199 => Effect::Deny(scope),
            180..199 => Effect::Limit(scope, limits),
            160..180 => Effect::Record(scope, Recording::Digest),
            _ => Effect::Allow(scope),
        },
        subjects: Subjects {
            audience: Audience::Anyone,
            except: Vec::new(),
        },
        because: None,
        controls: Vec::new(),
        mode: Mode::Enforce,
    }
}

fn box_case(numbers: &mut Numbers) -> Case {
    let name =
        |numbers: &mut Numbers, letter: char| format!("{letter}{}", numbers.below(BOX_NAMES));
    let (schema, relation, column) = (name(numbers, 's'), name(numbers, 'r'), name(numbers, 'c'));
    let mut facts = statement(
        Kind::Select,
        Operation::Read,
        &schema,
        &relation,
        &[(&column, Use::Output)],
    );
    facts.limit = Some(numbers.below(1_000) as u64);
    Case {
        session: Arc::new(session(vec!["g".to_owned()])),
        facts,
    }
}

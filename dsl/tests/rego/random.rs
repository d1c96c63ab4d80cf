//! Random sessions and statements over the names of a pack, the same for the same seed.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::{
    facts::{
        Access, CatalogVersion, Column, ColumnUse, ColumnWrite, Constant, Equality, Facts, How,
        Kind, Lineage, Object, Opaque, Operation, OutputColumn, SessionEffect, Source, Use,
    },
    principal::{
        Authentication, Circumstances, Dear, Delegator, Principal, PrincipalKind, Session,
    },
};

/// SplitMix64: enough to mix cases, and always the same.
pub(crate) struct Random(pub(crate) u64);

const GROUPS: [&str; 7] = [
    "ai-agents",
    "ci-bots",
    "db-admins",
    "privacy-officers",
    "sales",
    // Group names are exact bytes.
    "AI-agents",
    "agents",
];

/// Schema, relation, columns. Names are exact in the server: the classes' patterns ignore case, the rules' do not.
const RELATIONS: [(&str, &str, [&str; 4]); 9] = [
    ("public", "customers", ["id", "ssn", "email", "phone"]),
    ("public", "customers", ["id", "name", "email", "city"]),
    ("public", "orders", ["id", "customer_id", "total", "placed"]),
    ("public", "products", ["id", "name", "price", "ssn"]),
    ("public", "Customers", ["id", "SSN", "Email", "phone"]),
    (
        "public",
        "order_items",
        ["id", "order_id", "amount", "price"],
    ),
    ("hr", "salaries", ["id", "person", "amount", "ssn"]),
    ("hr", "customers", ["id", "ssn", "email", "phone"]),
    (
        "pg_catalog",
        "pg_class",
        ["oid", "relname", "relkind", "relowner"],
    ),
];

/// The places of the relations in ordinary statements.
const ORDINARY: [usize; 5] = [0, 1, 2, 2, 3];

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            let other = self.below(last + 1);
            all.swap(last, other);
        }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True `times` out of ten.
    fn often(&mut self, times: usize) -> bool {
        self.below(10) < times
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        let place = self.below(all.len());
        all[place].clone()
    }

    fn groups(&mut self) -> Vec<Arc<str>> {
        GROUPS
            .into_iter()
            .filter(|_| self.often(3))
            .map(Arc::from)
            .collect()
    }

    pub(crate) fn session(&mut self) -> Arc<Session> {
        Arc::new(Session {
            principal: Principal {
                id: "devin@corp".into(),
                kind: self.of(&[
                    PrincipalKind::Human,
                    PrincipalKind::Agent,
                    PrincipalKind::Service,
                ]),
                groups: self.groups(),
                on_behalf_of: self.often(5).then(|| Delegator {
                    id: "ana@corp".into(),
                    groups: self.groups(),
                }),
                issuer: "https://issuer.example".into(),
                claims: [("tenant".to_owned(), "acme".into())].into(),
            },
            target: "shop".into(),
            database: "shop".into(),
            role: "app".into(),
            application: "psql".into(),
            client_address: self
                .often(5)
                .then(|| "10.1.2.3".parse().expect("an address")),
            tls: self.often(5),
            authentication: Authentication::TokenAsPassword,
        })
    }

    fn column(&mut self) -> Arc<Column> {
        let place = self.below(RELATIONS.len());
        self.column_of(place)
    }

    fn column_of(&mut self, relation: usize) -> Arc<Column> {
        let (schema, name, columns) = RELATIONS[relation];
        let attribute = self.below(columns.len());
        Arc::new(Column {
            relation_oid: relation as u32 + 1,
            attribute: attribute as i16 + 1,
            schema: schema.into(),
            relation: name.into(),
            name: columns[attribute].into(),
            type_oid: 25,
            constrained: self.often(2),
        })
    }

    /// Ordinary is an access that agents are allowed, or would be with approval.
    fn access(&mut self, ordinary: bool) -> Access {
        let relation = if ordinary {
            self.of(&ORDINARY)
        } else {
            self.below(RELATIONS.len())
        };
        let of_relation = ordinary || self.often(7);
        let object = if of_relation {
            let (schema, name, _) = RELATIONS[relation];
            Object::Relation {
                schema: schema.into(),
                name: name.into(),
                oid: relation as u32 + 1,
            }
        } else {
            self.of(&[
                Object::Function {
                    schema: "public".into(),
                    name: "refund".into(),
                },
                Object::Function {
                    schema: "pg_catalog".into(),
                    name: "lower".into(),
                },
                Object::Setting("work_mem".into()),
                Object::Channel("public".into()),
                Object::Other {
                    sort: "schema".into(),
                    schema: None,
                    name: "public".into(),
                },
                Object::Other {
                    sort: "role".into(),
                    schema: None,
                    name: "".into(),
                },
                Object::Nothing,
            ])
        };
        let usual = [
            Operation::Read,
            Operation::Insert,
            Operation::Update,
            Operation::Delete,
        ];
        let operation = if ordinary || self.often(7) {
            self.of(&usual)
        } else {
            self.of(&Operation::ALL)
        };
        let columns = if of_relation { self.below(4) } else { 0 };
        let equalities = if of_relation { self.below(2) } else { 0 };
        Access {
            object,
            operation,
            columns: (0..columns)
                .map(|_| ColumnUse {
                    column: self.column_of(relation),
                    used: if ordinary {
                        Use::Output
                    } else {
                        self.of(&Use::ALL)
                    },
                })
                .collect(),
            via: self.often(2).then(|| "public.people".into()),
            filtered: self.often(5),
            bounded: self.often(5),
            equalities: (0..equalities)
                .map(|_| Equality {
                    column: self.column_of(relation),
                    value: self.of(&[Constant::Parameter(1), Constant::Text("7".into())]),
                })
                .collect(),
        }
    }

    fn lineage(&mut self) -> Lineage {
        let count = self.below(3);
        Lineage {
            sources: (0..count)
                .map(|_| Source {
                    column: self.column(),
                    how: self.of(&[How::Direct, How::Direct, How::Derived, How::Safe]),
                })
                .collect(),
        }
    }

    pub(crate) fn facts(&mut self) -> Facts {
        let ordinary = self.often(5);
        let accesses = if ordinary {
            1 + self.below(2)
        } else {
            self.below(4)
        };
        let outputs = self.below(4);
        let writes = if !ordinary && self.often(3) {
            self.below(3)
        } else {
            0
        };
        let opaque = usize::from(!ordinary && self.often(1));
        let through_views = self.often(2);
        let views = match through_views && self.often(2) {
            true => BTreeSet::from([1]),
            false => BTreeSet::new(),
        };
        Facts {
            kind: self.of(&Kind::ALL),
            accesses: (0..accesses).map(|_| self.access(ordinary)).collect(),
            outputs: self.often(8).then(|| {
                (0..outputs)
                    .map(|place| OutputColumn {
                        name: format!("column{place}").into(),
                        lineage: self.lineage(),
                        origin: None,
                    })
                    .collect()
            }),
            writes: (0..writes)
                .map(|_| ColumnWrite {
                    column: self.column(),
                    lineage: self.lineage(),
                })
                .collect(),
            opaque: (0..opaque)
                .map(|_| Opaque {
                    subject: "public.refund".into(),
                    reason: "its body is not known".into(),
                })
                .collect(),
            session_effect: self.of(&[SessionEffect::None, SessionEffect::Catalog]),
            through_views,
            views,
            limit: self.often(3).then_some(5),
            parameters: 1,
            lookups: BTreeSet::new(),
            uncounted: false,
            fingerprint: "0123456789abcdef".into(),
            catalog_version: CatalogVersion(0),
        }
    }

    pub(crate) fn circumstances(&mut self) -> Circumstances<'static> {
        Circumstances {
            in_transaction: self.often(3),
            estimated_rows: self.of(&[Dear::NotAsked, Dear::Known(7)]),
            novel: self.of(&[Dear::NotAsked, Dear::Known(true)]),
            parameters: self.of(&[None, Some(&[Some("7")][..]), Some(&[None][..])]),
            values_follow: false,
            stated_reason: None,
        }
    }
}

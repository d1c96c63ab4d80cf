//! The demo's policy and statements written as facts, for the tests beside it. Never reads SQL: real statements are the
//! end-to-end tests' part.

#![cfg(test)]

mod decisions;
mod masking;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, LazyLock},
};

use expect_test::Expect;
use provost_engine::{
    facts::{
        Access, CatalogVersion, Column, ColumnUse, ColumnWrite, Facts, How, Kind, Lineage, Object,
        Operation, OutputColumn, SessionEffect, Source, Use,
    },
    graph::Policy,
    principal::{Authentication, Circumstances, Delegator, Principal, PrincipalKind, Session},
    verdict::Decision,
};

pub(crate) static SHOP: LazyLock<provost_dsl::Compiled> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo/policy");
    provost_dsl::load(&folder).expect("the demo's policy compiles")
});

pub(crate) fn session(groups: &[&str], person: Option<&[&str]>) -> Session {
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

pub(crate) fn relation(path: &str) -> Object {
    let (schema, name) = path.split_once('.').expect("schema.name");
    Object::Relation {
        schema: schema.into(),
        name: name.into(),
        oid: 1,
    }
}

/// `schema.relation.column`, with `!` behind it when a constraint speaks about it.
pub(crate) fn column(path: &str) -> Arc<Column> {
    let (path, constrained) = path
        .strip_suffix('!')
        .map_or((path, false), |path| (path, true));
    let mut parts = path.split('.').map(Arc::from);
    let mut next = || parts.next().expect("schema.relation.column");
    let (schema, relation, name) = (next(), next(), next());
    Arc::new(Column {
        relation_oid: 1,
        attribute: 1,
        schema,
        relation,
        name,
        type_oid: 25,
        constrained,
    })
}

pub(crate) fn access(object: Object, operation: Operation) -> Access {
    Access {
        object,
        operation,
        columns: BTreeSet::new(),
        via: None,
        filtered: false,
        bounded: false,
        equalities: BTreeSet::new(),
    }
}

pub(crate) fn lineage(sources: &[(&str, How)]) -> Lineage {
    Lineage {
        sources: sources
            .iter()
            .map(|(path, how)| Source {
                column: column(path),
                how: *how,
            })
            .collect(),
    }
}

/// A statement, built up.
pub(crate) struct Statement(pub(crate) Facts);

impl Statement {
    pub(crate) fn new(kind: Kind, object: Object, operation: Operation) -> Self {
        Self(Facts {
            kind,
            accesses: vec![access(object, operation)],
            outputs: (kind == Kind::Select).then(Vec::new),
            writes: Vec::new(),
            opaque: BTreeSet::new(),
            session_effect: SessionEffect::None,
            through_views: false,
            views: BTreeSet::new(),
            limit: None,
            parameters: 0,
            lookups: BTreeSet::new(),
            uncounted: false,
            fingerprint: "0000000000000000".into(),
            catalog_version: CatalogVersion(1),
        })
    }

    pub(crate) fn select(path: &str) -> Self {
        Self::new(Kind::Select, relation(path), Operation::Read)
    }

    pub(crate) fn output(mut self, sources: &[(&str, How)]) -> Self {
        let output = OutputColumn {
            name: "o".into(),
            lineage: lineage(sources),
            origin: None,
        };
        self.0.outputs.get_or_insert_default().push(output);
        self
    }

    pub(crate) fn uses(mut self, path: &str, used: Use) -> Self {
        self.0.accesses[0].columns.insert(ColumnUse {
            column: column(path),
            used,
        });
        self
    }

    pub(crate) fn writes(mut self, path: &str, sources: &[(&str, How)]) -> Self {
        self.0.writes.push(ColumnWrite {
            column: column(path),
            lineage: lineage(sources),
        });
        self
    }

    pub(crate) fn limited(mut self, filtered: bool, bounded: bool) -> Self {
        self.0.accesses[0].filtered = filtered;
        self.0.accesses[0].bounded = bounded;
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.0);
        self
    }
}

pub(crate) fn decide(session: &Session, statement: &Statement) -> Decision {
    decide_by(&SHOP.policy, session, statement)
}

pub(crate) fn decide_by(policy: &Policy, session: &Session, statement: &Statement) -> Decision {
    let view = policy.view(&Arc::new(session.clone()), jiff::Timestamp::UNIX_EPOCH);
    policy.decide(&view, &statement.0, &Circumstances::default())
}

pub(crate) fn show(decision: &Decision) -> String {
    let list = |names: &[Arc<str>]| names.join(" ");
    let mut text = format!(
        "{} by [{}]\n",
        decision.verdict.name(),
        list(&SHOP.policy.names(&decision.rules))
    );
    for mask in &decision.masks {
        let line = format!(
            "  {}: {} [{}] {} of {}\n",
            mask.output,
            mask.transform,
            list(&mask.rules),
            mask.class,
            list(&mask.sources)
        );
        text.push_str(&line);
    }
    for reason in &decision.reasons {
        let rule = reason
            .rule
            .as_deref()
            .map(|rule| format!(" [{rule}]"))
            .unwrap_or_default();
        let hint = reason
            .hint
            .as_deref()
            .map(|hint| format!(" ({hint})"))
            .unwrap_or_default();
        text.push_str(&format!("  {}{rule}{hint}\n", reason.message));
    }
    text
}

#[track_caller]
pub(crate) fn check(group: &str, statement: Statement, expected: Expect) {
    expected.assert_eq(&show(&decide(&session(&[group], None), &statement)));
}

pub(crate) const AGENT: &str = "ai-agents";
pub(crate) const ANALYST: &str = "analysts";
pub(crate) const DBA: &str = "db-admins";
pub(crate) const PRIVACY: &str = "privacy-officers";

//! Principals, sessions, and what surrounds a statement.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use provost_engine::principal::{
    Authentication, Circumstances, Dear, Delegator, Principal, PrincipalKind, Session,
};
use serde_json::{Value, json};

use super::names::GROUPS;
use crate::choices::Choices;

pub(super) const ADDRESSES: &[&str] = &[
    "10.1.2.3",
    "192.168.1.7",
    "192.168.2.7",
    "::ffff:10.1.2.3",
    "fd00::7",
    "2001:db8::1",
];
pub(super) const PEOPLE: &[&str] = &["alice", "bob", "app"];
pub(crate) const TEXTS: &[&str] = &["t1", "t2", "alice", "7", "shop", "hr"];

/// Instants about which clocks change, and ordinary ones.
const INSTANTS: &[&str] = &[
    "2026-03-28T23:59:00Z",
    "2026-03-29T00:30:00Z",
    "2026-03-29T01:00:00Z",
    "2026-10-25T00:30:00Z",
    "2026-10-25T01:30:00Z",
    "2026-11-20T08:59:59.5Z",
    "2026-11-21T17:00:00Z",
    "2026-11-22T22:59:00Z",
    "2024-02-29T12:00:00Z",
];

/// Who asks, when, and in what circumstances.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) session: Arc<Session>,
    pub(crate) now: Timestamp,
    pub(crate) in_transaction: bool,
    pub(crate) estimated_rows: Dear<u64>,
    pub(crate) novel: Dear<bool>,
    pub(crate) parameters: Option<Vec<Option<String>>>,
    pub(crate) values_follow: bool,
    pub(crate) stated_reason: Option<&'static str>,
}

impl Surroundings {
    /// The values come, if they were to.
    pub(crate) fn bind(&mut self) {
        if self.values_follow && self.parameters.is_none() {
            self.parameters = Some(vec![Some(TEXTS[0].to_owned()), None]);
        }
    }

    /// The same with every dear fact known that nobody asked for.
    pub(crate) fn with_known(&self, estimated_rows: u64, novel: bool) -> Self {
        let mut known = self.clone();
        known.bind();
        if known.estimated_rows == Dear::NotAsked {
            known.estimated_rows = Dear::Known(estimated_rows);
        }
        if known.novel == Dear::NotAsked {
            known.novel = Dear::Known(novel);
        }
        known
    }

    /// Calls `then` with the circumstances, which borrow.
    pub(crate) fn with_circumstances<T>(&self, then: impl FnOnce(&Circumstances<'_>) -> T) -> T {
        let parameters: Option<Vec<Option<&str>>> = self
            .parameters
            .as_ref()
            .map(|values| values.iter().map(Option::as_deref).collect());
        then(&Circumstances {
            in_transaction: self.in_transaction,
            estimated_rows: self.estimated_rows.clone(),
            novel: self.novel.clone(),
            parameters: parameters.as_deref(),
            values_follow: self.values_follow,
            stated_reason: self.stated_reason,
        })
    }
}

pub(crate) fn surroundings(choices: &mut Choices) -> Surroundings {
    Surroundings {
        session: Arc::new(session(choices)),
        now: instant(choices),
        in_transaction: choices.once_in(2),
        estimated_rows: dear(choices, |choices| {
            choices.pick(&[0, 1, 5, 10, 1_000, 1_001, u64::MAX])
        }),
        novel: dear(choices, |choices| choices.once_in(2)),
        parameters: (!choices.once_in(4)).then(|| {
            choices.several(2, |choices| {
                (!choices.once_in(4)).then(|| choices.pick(TEXTS).to_owned())
            })
        }),
        values_follow: choices.once_in(2),
        stated_reason: choices.once_in(2).then_some("INC-1: the database is down"),
    }
}

fn dear<T>(choices: &mut Choices, known: impl FnOnce(&mut Choices) -> T) -> Dear<T> {
    match choices.below(8) {
        0..=3 => Dear::NotAsked,
        4..=6 => Dear::Known(known(choices)),
        _ => Dear::Failed(Arc::from("the planner did not answer")),
    }
}

fn instant(choices: &mut Choices) -> Timestamp {
    let base: Timestamp = choices.pick(INSTANTS).parse().expect("an instant");
    let minutes = i64::from(choices.below(4 * 24 * 60));
    if choices.once_in(2) {
        base.checked_add(SignedDuration::from_mins(minutes))
            .expect("in range")
    } else {
        base
    }
}

fn session(choices: &mut Choices) -> Session {
    let groups = |choices: &mut Choices| -> Vec<Arc<str>> {
        let mut all = GROUPS.to_vec();
        all.push("unmentioned");
        choices.subset(&all).into_iter().map(Arc::from).collect()
    };
    Session {
        principal: Principal {
            id: Arc::from(choices.pick(PEOPLE)),
            kind: choices.pick(&[
                PrincipalKind::Agent,
                PrincipalKind::Human,
                PrincipalKind::Service,
            ]),
            groups: groups(choices),
            on_behalf_of: choices.once_in(3).then(|| Delegator {
                id: Arc::from(choices.pick(PEOPLE)),
                groups: groups(choices),
            }),
            issuer: Arc::from(choices.pick(&["https://a.example", "https://b.example"])),
            claims: claims(choices),
        },
        target: Arc::from(choices.pick(&["shop", "hr"])),
        database: Arc::from(choices.pick(&["shop", "hr"])),
        role: Arc::from(choices.pick(&["app", "alice"])),
        application: Arc::from(choices.pick(&["psql", "", "app"])),
        client_address: choices.once_in(2).then(|| {
            let address = choices.pick(ADDRESSES);
            address.parse::<IpAddr>().expect("an address")
        }),
        tls: choices.once_in(2),
        authentication: Authentication::TokenAsPassword,
    }
}

fn claims(choices: &mut Choices) -> BTreeMap<String, Value> {
    let mut claims = BTreeMap::new();
    let usual = [
        ("tenant", json!("t1")),
        ("level", json!(7)),
        ("admin", json!(true)),
        ("tags", json!(["t1", "x", 3])),
        ("org", json!({"tenant": "t2", "level": 7, "admin": false})),
    ];
    let odd = [
        Value::Null,
        json!(7.5),
        json!("t2"),
        json!(u64::MAX),
        json!([]),
        json!({}),
        json!(false),
        json!(-1),
    ];
    for (name, value) in usual {
        match choices.below(6) {
            0..=3 => claims.insert(name.to_owned(), value),
            4 => None,
            _ => claims.insert(name.to_owned(), choices.pick(&odd)),
        };
    }
    claims
}

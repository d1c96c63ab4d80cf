//! The demo's three people: who they are, and what their tokens say.

use serde_json::{Value, json};

/// What tokens of the demo are for.
pub(crate) const AUDIENCE: &str = "provost-demo";

/// A person, or a program that acts for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Person {
    /// What `provost demo token` calls them.
    pub(crate) name: &'static str,
    /// The principal's id.
    pub(crate) id: &'static str,
    /// For the reader.
    pub(crate) title: &'static str,
    /// human or agent.
    pub(crate) kind: &'static str,
    /// Groups.
    pub(crate) groups: &'static [&'static str],
    /// The person behind an agent.
    pub(crate) on_behalf_of: Option<&'static Person>,
}

/// An analyst.
pub(crate) const ANA: Person = Person {
    name: "ana",
    id: "ana@corp",
    title: "an analyst",
    kind: "human",
    groups: &["analysts"],
    on_behalf_of: None,
};

/// An AI agent that works for the analyst.
pub(crate) const DEVIN: Person = Person {
    name: "devin",
    id: "devin@corp",
    title: "an AI agent, on behalf of ana@corp",
    kind: "agent",
    groups: &["ai-agents"],
    on_behalf_of: Some(&ANA),
};

/// A database administrator.
pub(crate) const DORA: Person = Person {
    name: "dora",
    id: "dora@corp",
    title: "a DBA",
    kind: "human",
    groups: &["db-admins"],
    on_behalf_of: None,
};

/// Everyone.
pub(crate) const PEOPLE: [&Person; 3] = [&DEVIN, &ANA, &DORA];

impl Person {
    /// The claims that say who it is.
    pub(crate) fn claims(&self) -> Vec<(&'static str, Value)> {
        let mut claims = vec![
            ("sub", json!(self.id)),
            ("email", json!(self.id)),
            ("groups", json!(self.groups)),
            ("provost_kind", json!(self.kind)),
        ];
        if let Some(person) = self.on_behalf_of {
            claims.push((
                "on_behalf_of",
                json!({ "email": person.id, "groups": person.groups }),
            ));
        }
        claims
    }
}

//! Who asks, and over which session. Built by the gateway from a verified token; never from what a client merely says.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What sort of actor a principal is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// A person.
    Human,
    /// An AI agent.
    Agent,
    /// A program that is not an agent.
    Service,
}

impl PrincipalKind {
    /// The kind's name in the policy language and in evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Agent => "agent",
            Self::Service => "service",
        }
    }
}

/// A person an actor works for, as the token's `act`/delegation claims tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegator {
    /// The person's id.
    pub id: Arc<str>,
    /// The person's groups, exact bytes.
    pub groups: Vec<Arc<str>>,
}

/// The authenticated actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The id, from the claim that the configuration names.
    pub id: Arc<str>,
    /// Human, agent or service.
    pub kind: PrincipalKind,
    /// Group names, exact bytes, as the issuer gave them.
    pub groups: Vec<Arc<str>>,
    /// The person behind an agent, if the token names one.
    pub on_behalf_of: Option<Delegator>,
    /// The issuer's URL.
    pub issuer: Arc<str>,
    /// Every other claim of the token, for conditions.
    #[serde(default)]
    pub claims: BTreeMap<String, serde_json::Value>,
}

/// How a session's principal proved who it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    /// A JWT given as the PostgreSQL password.
    TokenAsPassword,
}

impl Authentication {
    /// The name in evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenAsPassword => "token-as-password",
        }
    }
}

/// What is constant for a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The actor.
    pub principal: Principal,
    /// The configured target's name.
    pub target: Arc<str>,
    /// The database asked for.
    pub database: Arc<str>,
    /// The database role that the session starts in: one that the configuration chose for the principal, or the one that the gateway
    /// logs in as.
    pub role: Arc<str>,
    /// The client's `application_name` at start-up; attacker-chosen text.
    pub application: Arc<str>,
    /// The client's address; absent over a Unix socket.
    pub client_address: Option<IpAddr>,
    /// Whether the client's connection is encrypted.
    pub tls: bool,
    /// How it authenticated.
    pub authentication: Authentication,
}

/// What surrounds a statement at the moment it is decided, beyond what its text says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Circumstances<'a> {
    /// Whether the session is in a transaction block.
    pub in_transaction: bool,
    /// How many rows the server's planner expects. Dear: see [`Dear`].
    pub estimated_rows: Dear<u64>,
    /// Whether this principal runs a statement of this shape for the first time. Dear: see [`Dear`].
    pub novel: Dear<bool>,
    /// The parameters' values in text form, `None` for NULL; absent where they are not known.
    pub parameters: Option<&'a [Option<&'a str>]>,
    /// Whether absent values follow, and the statement is decided again with them: what hangs on them is then needed
    /// ([`crate::verdict::Needs::values`]) and not refused.
    pub values_follow: bool,
    /// Why the session's statements must run, as the session states it; without it no `break-glass` rule lets anything through.
    pub stated_reason: Option<&'a str>,
}

/// A fact that costs something to have. It is left [`Dear::NotAsked`] until a decision says that it needs it
/// ([`crate::verdict::Decision::needs`]); then it is fetched and the statement is decided again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Dear<T> {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// The answer.
    Known(T),
    /// It was asked for and not to be had, with the reason: whatever hangs on it is refused.
    Failed(Arc<str>),
}

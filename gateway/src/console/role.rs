//! What a person may see and do in the console beyond what concerns themselves. Pure.
//!
//! It must never give a role for a group that one of the two lacks where somebody works for another (ruling 23).

use std::sync::Arc;

use axum::http::StatusCode;
use provost_engine::principal::Principal;

use super::{Problem, sight::is_in};

/// What a person may do. Each role may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Role {
    /// Sees what concerns them: their own, and what their groups are asked.
    Concerned,
    /// Sees everybody's statements and sessions, the policy and the gateway's health.
    Viewer,
    /// Sees what evidence bears on controls, and who saw which data.
    Auditor,
    /// Ends sessions.
    Admin,
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Concerned => "no role",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// The key of `[console]` that gives it.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Concerned => "",
            Self::Viewer => "viewers",
            Self::Auditor => "auditors",
            Self::Admin => "admins",
        }
    }
}

/// Somebody who looks, and as what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Onlooker<'a> {
    /// The principal's id.
    pub(super) id: &'a str,
    /// What they may do.
    pub(super) role: Role,
}

impl Onlooker<'_> {
    /// Nothing, if they have at least this role.
    ///
    /// # Errors
    /// 403, with what would let them.
    pub(super) fn must_be(self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        let detail = format!(
            "this is for the groups of `[console] {}`: whoever runs the gateway can say how to be in one",
            role.key()
        );
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

/// A role as a type: what asks for it is not reached by anybody who has less.
pub(super) trait Rank: Send + Sync + 'static {
    /// The role.
    const ROLE: Role;
}

/// Everybody: they see what concerns them.
pub(super) enum Anybody {}
/// [`Role::Viewer`].
pub(super) enum Viewers {}
/// [`Role::Auditor`].
pub(super) enum Auditors {}
/// [`Role::Admin`].
pub(super) enum Admins {}

impl Rank for Anybody {
    const ROLE: Role = Role::Concerned;
}

impl Rank for Viewers {
    const ROLE: Role = Role::Viewer;
}

impl Rank for Auditors {
    const ROLE: Role = Role::Auditor;
}

impl Rank for Admins {
    const ROLE: Role = Role::Admin;
}

/// The issuer's groups whose members have a role, exact bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// See every held statement, everybody's sessions and decisions, the policy, the gateway's health.
    pub viewers: Vec<Arc<str>>,
    /// See what viewers see, and the controls and data of evidence.
    pub auditors: Vec<Arc<str>>,
    /// See what auditors see, and end sessions.
    pub admins: Vec<Arc<str>>,
}

impl Roles {
    /// The highest role that somebody has.
    pub(super) fn of(&self, principal: &Principal) -> Role {
        let ladder = [
            (Role::Admin, &self.admins),
            (Role::Auditor, &self.auditors),
            (Role::Viewer, &self.viewers),
        ];
        let holds = |groups: &[Arc<str>]| groups.iter().any(|group| is_in(principal, group));
        let found = ladder.into_iter().find(|(_, groups)| holds(groups));
        found.map_or(Role::Concerned, |(role, _)| role)
    }
}

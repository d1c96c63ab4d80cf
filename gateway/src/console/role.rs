//! What a person may see and do in the console beyond what concerns themselves. Pure.
//!
//! It must never give a role for a group that one of the two lacks where somebody works for another (ruling 23).

use std::sync::Arc;

use provost_engine::principal::Principal;

use super::sight::is_in;

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

//! Who may see a held statement. Pure.
//!
//! It must never let an agent see by groups what the person behind it may not (ruling 23).

use std::sync::Arc;

use provost_engine::principal::Principal;

use super::role::{Role, Roles};
use crate::approvals::Case;

/// Whether the statement is for the caller's eyes: their own, one made for them, one that their group is asked about, or any for who has
/// a role.
pub(super) fn may_see(principal: &Principal, case: &Case, roles: &Roles) -> bool {
    let request = &case.request;
    let id = &*principal.id;
    let is_own = id == request.requester || request.on_behalf_of.as_deref() == Some(id);
    let is_asked = || {
        let mut members = request.needs.iter().flat_map(|need| &need.members);
        members.any(|group| is_in(principal, group))
    };
    is_own || is_asked() || roles.of(principal) >= Role::Viewer
}

/// Whether somebody is in a group: both, where one works for another.
pub(super) fn is_in(principal: &Principal, group: &str) -> bool {
    let has = |groups: &[Arc<str>]| groups.iter().any(|one| &**one == group);
    let behind = principal.on_behalf_of.as_ref();
    has(&principal.groups) && behind.is_none_or(|person| has(&person.groups))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use provost_engine::principal::{Delegator, PrincipalKind};

    use super::*;
    use crate::console::tests::support::request;

    fn check(id: &str, groups: &[&str], behind: Option<(&str, &[&str])>, expected: bool) {
        let shared = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        let principal = Principal {
            id: id.into(),
            kind: PrincipalKind::Human,
            groups: shared(groups),
            on_behalf_of: behind.map(|(id, groups)| Delegator {
                id: id.into(),
                groups: shared(groups),
            }),
            issuer: "https://login.example.com".into(),
            claims: BTreeMap::new(),
        };
        let case = Case::new(Arc::new(request(1)));
        let roles = Roles {
            auditors: vec!["auditors".into()],
            ..Roles::default()
        };
        let seen = may_see(&principal, &case, &roles);
        assert_eq!(seen, expected, "{id} in {groups:?} for {behind:?}");
    }

    #[test]
    fn whoever_is_concerned_sees_it() {
        check("devin@corp", &["ai-agents"], None, true);
        check("ana@corp", &[], None, true);
        check("dora@corp", &["db-admins"], None, true);
        check("otto@corp", &["auditors"], None, true);
        check("stan@corp", &[], None, false);
        check("stan@corp", &["analysts", "DB-ADMINS", "dbas"], None, false);
        check("dora@corp ", &[], None, false);
        // An agent that works for somebody: by their common groups only, and never by that somebody's name.
        check(
            "bot",
            &["db-admins"],
            Some(("dora@corp", &["db-admins"])),
            true,
        );
        check("bot", &["db-admins"], Some(("stan@corp", &[])), false);
        check("bot", &[], Some(("dora@corp", &["db-admins"])), false);
        check("bot", &[], Some(("ana@corp", &[])), false);
        check("bot", &["auditors"], Some(("stan@corp", &[])), false);
    }
}

//! What a session says of itself to its server: the role it works in, and its principal in settings named `provost.*`, which row-level
//! security can read. Sent in the start-up message: so they are what RESET and DISCARD ALL give back.
//!
//! Must never take the server's word for granted: that the session wears its badge is asked before the client is let in, and again
//! after each statement that might have changed it.

use std::sync::Arc;

use provost_engine::principal::Principal;

use crate::{judge::Fatal, look::PathAnswer};

/// The settings, in the order in which [`crate::look::PATH_QUESTION`] asks for them.
pub(crate) const SETTINGS: [&str; 4] = [
    "provost.principal",
    "provost.kind",
    "provost.person",
    "provost.groups",
];
/// The setting of the role.
const ROLE: &str = "role";

/// Whether a statement was let through that may have changed the session's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoleIs {
    /// None was: it is the one that the session started in.
    TheFirst,
    /// One was: it may be any that the server allows.
    Any,
}

/// What a session says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Badge {
    /// The role that it starts in; `None` while that is the server's to say.
    role: Option<Arc<str>>,
    /// The values of [`SETTINGS`].
    values: [Arc<str>; 4],
}

impl Badge {
    /// A principal's, in a role that the configuration chose for it.
    pub(crate) fn of(principal: &Principal, role: Option<&Arc<str>>) -> Self {
        let person = principal.on_behalf_of.as_ref().map(|person| &person.id);
        let groups: serde_json::Value = principal.groups.iter().map(|group| &**group).collect();
        Self {
            role: role.cloned(),
            values: [
                Arc::clone(&principal.id),
                principal.kind.name().into(),
                person.map_or_else(|| "".into(), Arc::clone),
                groups.to_string().into(),
            ],
        }
    }

    /// The start-up parameters that put it on.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        let role = self.role.iter().map(|role| (ROLE, role));
        role.chain(SETTINGS.into_iter().zip(&self.values))
            .map(|(name, value)| (name.to_owned(), value.to_string()))
    }

    /// The badge of a session that just started, which the server tells of; the error is the setting that is another.
    pub(crate) fn worn(self, told: &PathAnswer) -> Result<Self, &'static str> {
        match self.difference(told, RoleIs::TheFirst) {
            Some(name) => Err(name),
            // Taken away since the connection was made.
            None if !told.granted => Err(ROLE),
            None => Ok(Self {
                role: Some(told.role.as_str().into()),
                ..self
            }),
        }
    }

    /// Whether the session still wears it.
    ///
    /// # Errors
    /// [`Fatal`] where it does not: what row-level security goes by is no longer what the gateway said.
    pub(crate) fn check(&self, told: &PathAnswer, role: RoleIs) -> Result<(), Fatal> {
        match self.difference(told, role) {
            None => Ok(()),
            Some(name) => Err(Fatal {
                sqlstate: "42501",
                message: format!(
                    "the session ends: `{name}` is no longer what the gateway set, and only the gateway may change it"
                ),
            }),
        }
    }

    fn difference(&self, told: &PathAnswer, role: RoleIs) -> Option<&'static str> {
        let other_role = match (&self.role, role) {
            (Some(role), RoleIs::TheFirst) => **role != *told.role,
            (None, _) | (_, RoleIs::Any) => false,
        };
        if other_role {
            return Some(ROLE);
        }
        let values = self.values.iter().zip(&told.own);
        SETTINGS
            .into_iter()
            .zip(values)
            .find(|(_, (value, told))| told.as_deref() != Some(&***value))
            .map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use provost_engine::principal::{Delegator, Principal, PrincipalKind};

    use super::{Badge, RoleIs, SETTINGS};
    use crate::look::{PATH_QUESTION, PathAnswer};

    fn principal() -> Principal {
        Principal {
            id: "bot-7".into(),
            kind: PrincipalKind::Agent,
            groups: vec!["a,b".into(), "say \"x\"".into()],
            on_behalf_of: Some(Delegator {
                id: "ann".into(),
                groups: Vec::new(),
            }),
            issuer: "https://login".into(),
            claims: BTreeMap::new(),
        }
    }

    fn told(role: &str, own: &str) -> PathAnswer {
        let json = format!(
            r#"{{"effective": [], "search_path": "", "jit": "on", "lock_timeout": "0", "role": "{role}", "granted": true, "own": {own},
                "temp_schema": null, "temp": null}}"#
        );
        PathAnswer::from_json(json.as_bytes()).unwrap()
    }

    const OWN: &str = r#"["bot-7", "agent", "ann", "[\"a,b\",\"say \\\"x\\\"\"]"]"#;

    #[test]
    fn a_principal_is_told_in_start_up_parameters() {
        let badge = Badge::of(&principal(), Some(&"agents".into()));
        let parameters: Vec<String> = badge
            .parameters()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            parameters,
            [
                "role=agents",
                "provost.principal=bot-7",
                "provost.kind=agent",
                "provost.person=ann",
                r#"provost.groups=["a,b","say \"x\""]"#,
            ]
        );
        let nobody = Principal {
            on_behalf_of: None,
            groups: Vec::new(),
            ..principal()
        };
        let parameters: Vec<(String, String)> = Badge::of(&nobody, None).parameters().collect();
        assert_eq!(parameters.len(), 4, "no role is asked for");
        assert_eq!(parameters[2].1, "");
        assert_eq!(parameters[3].1, "[]");
    }

    #[test]
    fn the_question_asks_for_the_settings_in_this_order() {
        let places: Vec<usize> = SETTINGS
            .iter()
            .map(|name| PATH_QUESTION.find(&format!("'{name}'")).unwrap())
            .collect();
        assert!(places.is_sorted());
    }

    #[test]
    fn another_value_is_seen() {
        let badge = Badge::of(&principal(), None)
            .worn(&told("app", OWN))
            .unwrap();
        let check = |role: &str, own: &str, is: RoleIs| {
            badge
                .check(&told(role, own), is)
                .map_err(|fatal| fatal.message)
        };
        assert_eq!(check("app", OWN, RoleIs::TheFirst), Ok(()));
        assert_eq!(check("other", OWN, RoleIs::Any), Ok(()));
        for (role, own, expected) in [
            ("other", OWN.to_owned(), "`role`"),
            ("app", OWN.replace("bot-7", "root"), "`provost.principal`"),
            ("app", OWN.replace("agent", "human"), "`provost.kind`"),
            ("app", OWN.replace("\"ann\"", "null"), "`provost.person`"),
            ("app", OWN.replace("a,b", "dba"), "`provost.groups`"),
        ] {
            let message = check(role, &own, RoleIs::TheFirst).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let mapped = Badge::of(&principal(), Some(&"agents".into()));
        assert_eq!(mapped.clone().worn(&told("app", OWN)), Err("role"));
        let mut told = told("agents", OWN);
        assert!(mapped.clone().worn(&told).is_ok());
        told.granted = false;
        assert_eq!(mapped.worn(&told), Err("role"));
    }
}

//! What an approval is for: all that a text's meaning and effect hang on, in one digest; and what can't be bound so.

use provost_engine::{
    facts::{Access, Kind},
    sql::Statement,
};
use provost_evidence::approvals::Need;

use super::{
    super::{NamedBy, Sent, SessionJudge, Step},
    words::refused,
};
use crate::{badge::RoleIs, judge::Refused, record};

impl SessionJudge {
    /// Digest of all that an approval of this text is for.
    pub(super) fn binding(
        &self,
        step: &Step<'_>,
        statements: &[Statement],
        needs: &[Need],
    ) -> String {
        let principal = &self.session.principal;
        let person = principal.on_behalf_of.as_ref().map(|person| &*person.id);
        let path = step.path.unwrap_or_else(|| self.sight.path());
        let values = self.parameters_digest(step);
        let values = values.as_ref().map_or(&[][..], |digest| &digest[..]);
        let types: Vec<u8> = step
            .types
            .iter()
            .flat_map(|oid| oid.to_be_bytes())
            .collect();
        // The names' meaning: relations and functions as the catalog has them now.
        let accesses: Vec<&[Access]> = statements
            .iter()
            .map(|statement| statement.facts.accesses.as_slice())
            .collect();
        let meaning = serde_json::to_vec(&accesses).unwrap_or_default();
        // And views, functions, triggers: whatever may be changed under the same name.
        let versions = statements.iter().map(|one| one.facts.catalog_version.0);
        let versions: Vec<u8> = versions.flat_map(u64::to_be_bytes).collect();
        let needs = serde_json::to_vec(needs).unwrap_or_default();
        let settings = serde_json::to_vec(&self.people.settings).unwrap_or_default();
        // Settings that a session changed are its own.
        let session = match self.people.settings_changed {
            0 => String::new(),
            count => format!("{} {count}", self.id.as_str()),
        };
        let texts = [
            &*principal.id,
            person.unwrap_or_default(),
            &*principal.issuer,
            &*self.session.target,
            &*self.session.role,
            &*self.policy.digest().0,
        ];
        let parts = texts
            .into_iter()
            .map(str::as_bytes)
            .chain([
                step.text, &types, values, &meaning, &versions, &needs, &settings,
            ])
            .chain([session.as_bytes()])
            .chain(path.iter().map(|schema| schema.as_bytes()));
        record::hex(&self.bench.key.binding(parts))
    }

    /// Why people can't be asked of it: they could not see what they approve, or it could be something else when it runs.
    pub(super) fn unaskable(&self, step: &Step<'_>, statements: &[Statement]) -> Option<Refused> {
        let no = |why: &str, hint: &str| {
            let message = format!("the statement needs an approval, {why}");
            Some(refused(message, None, hint))
        };
        if self.status == b'E' {
            return no("and the transaction has failed", "roll back first");
        }
        if self.role == RoleIs::Any {
            return no(
                "and the session's role may be another than it started in",
                "connect again, and send it before anything that sets the role",
            );
        }
        let rests_on_names = |one: &Statement| !one.rests_on.is_empty() || one.binding.is_some();
        if step.named_by == NamedBy::Sql || statements.iter().any(rests_on_names) {
            return no(
                "and what runs by it stands behind a name",
                "send the statement itself, without PREPARE and EXECUTE or a cursor",
            );
        }
        if statements
            .iter()
            .any(|one| one.facts.kind == Kind::CopyFrom)
        {
            return no(
                "and its data would come after it",
                "use INSERT: its values are shown to whoever approves",
            );
        }
        if matches!(step.parameters, Sent::Digest(_)) {
            return no(
                "and its values are too large to be shown",
                "bind smaller values",
            );
        }
        None
    }
}

//! SET and RESET of the reason that a session states: the one setting named `provost.*` that is a client's.
//!
//! It is stated for the session, in the open: never for a part of a transaction, within a function, or by a computed value.

use pg_query::protobuf::{VariableSetKind, VariableSetStmt};

use super::{Reading, constant_text};
use crate::{
    facts::{Kind, Object, Operation},
    reason::{SETTING, StatedReason, Stating},
    sql::{Refusal, resolver::Resolver},
};

/// How it is stated.
const HOW: &str = "write SET provost.reason = 'INC-123: the database is down'";

impl Resolver<'_> {
    /// What the statement does to the reason.
    pub(super) fn state_reason(&mut self, set: &VariableSetStmt) -> Result<Reading, Refusal> {
        if set.is_local || !self.views.is_empty() {
            let message = "`provost.reason` is stated for the session, outside of functions";
            return Err(Refusal::new("42501", message).hint(HOW));
        }
        let stating = match (set.kind(), set.args.as_slice()) {
            (VariableSetKind::VarSetValue, [value]) => {
                let text = constant_text(value).unwrap_or_default();
                let refused = |unreadable: crate::reason::Unreadable| {
                    Refusal::new("22023", unreadable.to_string()).hint(HOW)
                };
                Stating::Reason(StatedReason::new(text).map_err(refused)?)
            }
            (VariableSetKind::VarReset | VariableSetKind::VarSetDefault, _) => Stating::Back,
            (_, _) => {
                let message = "`provost.reason` is one text in quotes";
                return Err(Refusal::new("22023", message).hint(HOW));
            }
        };
        self.states = Some(stating);
        self.book
            .plain(Object::Setting(SETTING.into()), Operation::Session);
        Ok(Reading::new(Kind::Set))
    }
}

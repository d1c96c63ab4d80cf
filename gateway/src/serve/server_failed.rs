//! What a client is told of a server that gave it no session.
//!
//! It must never tell what only the operator may know: that is in the gateway's own log.

use std::sync::Arc;

use super::farewell::fatal;
use crate::{judge::Fatal, settings::Target, upstream::Error};

/// SQLSTATE `invalid_role_specification`.
const INVALID_ROLE: &str = "0P000";

/// What a client is told of a server that it can't have. The operator reads the rest in the gateway's own log.
pub(super) fn told(target: &Target, role: Option<&Arc<str>>, error: &Error) -> Fatal {
    let user = &target.user;
    let target = &target.name;
    tracing::warn!(target_name = %target, %error, "no session on the target's server");
    if let Error::Refused { sqlstate, message } = error
        && let Some(role) = about(role, sqlstate, message)
    {
        return fatal(
            INVALID_ROLE,
            format!(
                "target `{target}` gave no session in the role of this principal: {message}; tell the gateway's operator: the role must be there, and GRANT {} TO {}",
                identifier(role),
                identifier(user)
            ),
        );
    }
    match error {
        Error::Refused { sqlstate, message } => match sqlstate.as_str() {
            "53300" => fatal(
                "53300",
                format!("target `{target}` has no connections left: try again later"),
            ),
            "57P03" => fatal(
                "57P03",
                format!("target `{target}` is starting up or shutting down: try again later"),
            ),
            // The client's own settings: its words come back to it.
            "22023" => fatal("22023", message.clone()),
            "42704" => fatal("42704", message.clone()),
            "57014" => fatal(
                "57014",
                format!(
                    "target `{target}` gave no session in the time that `statement_timeout` leaves: ask for more"
                ),
            ),
            "22021" | "42501" | "55P02" => fatal(
                "42501",
                format!("target `{target}` refused a start-up setting: {message}"),
            ),
            "3D000" => fatal(
                "08004",
                format!(
                    "target `{target}` has no such database on its server: tell the gateway's operator"
                ),
            ),
            _ => fatal(
                "08004",
                format!(
                    "target `{target}` refused the gateway's own log-in: tell the gateway's operator"
                ),
            ),
        },
        Error::Unreachable { .. } | Error::Timeout { .. } => fatal(
            "08006",
            format!(
                "target `{target}` can't be reached: try again later, or tell the gateway's operator"
            ),
        ),
        Error::TooLong { .. } => fatal(
            "54000",
            format!(
                "no session can start so on target `{target}`: {error}; send fewer or shorter start-up parameters, or be in fewer groups"
            ),
        ),
        Error::Unworn { .. } => fatal(
            "08004",
            format!("target `{target}` gave another session than was asked for: {error}"),
        ),
        Error::NoTls
        | Error::TlsHandshake { .. }
        | Error::TlsSettings { .. }
        | Error::Method { .. }
        | Error::Unproven
        | Error::Scram { .. }
        | Error::Password { .. }
        | Error::Unfit { .. }
        | Error::Protocol { .. }
        | Error::Value { .. } => fatal(
            "08004",
            format!("target `{target}` could not be logged in to: tell the gateway's operator"),
        ),
    }
}

/// The role, where it is what the server refused: there is none of that name, or the gateway's own may not be it.
///
/// # Source
/// PostgreSQL's `check_role`: 22023 for a role that does not exist, 42501 for one that was not granted. Both name it, in the
/// server's own language.
fn about<'a>(role: Option<&'a Arc<str>>, sqlstate: &str, message: &str) -> Option<&'a Arc<str>> {
    role.filter(|role| matches!(sqlstate, "22023" | "42501") && message.contains(&***role))
}

/// A name as SQL writes it.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

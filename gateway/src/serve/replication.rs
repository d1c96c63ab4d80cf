//! Replication connections at log-in: which target one is for, who may have it, how the server is asked for it.
//!
//! It must never let one through that the target's configuration, the principal's role or the policy does not allow, nor put one over a
//! connection that was made ahead.

use std::{collections::HashMap, sync::Arc};

use provost_engine::principal::Session;

use super::{farewell::fatal, house::Room, packet::Startup, search_path};
use crate::{
    badge::Badge,
    judge::Fatal,
    judgement::{Bench, SearchPath, replication},
    protocol::replication::Replication,
    settings::Target,
    upstream::{self, Parameters, Server},
};

/// SQLSTATE `insufficient_privilege`.
const DENIED: &str = "42501";

/// The target of a start-up. A physical connection has no database: clients of the whole cluster name one that nobody has
/// (`replication`), so it is the one that they name by a setting, else the only one that replicates.
pub(super) fn room<'a>(
    rooms: &'a HashMap<Arc<str>, Room>,
    startup: &Startup,
) -> Result<&'a Room, Fatal> {
    let name = startup.target.as_ref().unwrap_or(&startup.database);
    if let Some(room) = rooms.get(name) {
        return Ok(room);
    }
    if startup.replication != Some(Replication::Physical) || startup.target.is_some() {
        return Err(unknown(rooms, name));
    }
    let mut replicated: Vec<&Room> = rooms
        .values()
        .filter(|room| room.upstream.target.replication)
        .collect();
    replicated.sort_unstable_by_key(|room| room.upstream.name());
    match replicated.as_slice() {
        [] => Err(fatal(
            "0A000",
            "replication connections are refused: no target of this gateway has `replication = true` in its configuration",
        )),
        [room] => Ok(room),
        several => {
            let names: Vec<&str> = several.iter().map(|room| &**room.upstream.name()).collect();
            Err(fatal(
                "3D000",
                format!(
                    "this gateway replicates more than one target: name one of `{}` by the start-up setting provost.target (PGOPTIONS='-c provost.target=NAME')",
                    names.join("`, `")
                ),
            ))
        }
    }
}

fn unknown(rooms: &HashMap<Arc<str>, Room>, name: &str) -> Fatal {
    let mut names: Vec<&str> = rooms.keys().map(AsRef::as_ref).collect();
    names.sort_unstable();
    fatal(
        "3D000",
        format!(
            "database \"{}\" does not exist: this gateway has `{}`",
            name.escape_debug(),
            names.join("`, `")
        ),
    )
}

/// Decides whether a session may replicate at all.
pub(super) fn admit(
    bench: &Bench,
    room: &Room,
    session: &Arc<Session>,
    neighbours: &[Arc<Session>],
    stated_reason: Option<&str>,
) -> Result<(), Fatal> {
    let target = &room.upstream.target;
    if !target.replication {
        return Err(fatal(
            "0A000",
            format!(
                "replication connections to `{}` are refused: it has no `replication = true` in the gateway's configuration; leave `replication` out for SQL",
                target.name
            ),
        ));
    }
    if session.role != target.user {
        return Err(fatal(
            DENIED,
            format!(
                "replication is refused: sessions of this principal work in the role `{}`, whose privileges don't bind a stream; the configuration's `roles` must give whoever replicates the gateway's own role, `{}`",
                session.role, target.user
            ),
        ));
    }
    let version = room.keeper.current().catalog.version();
    for one in std::iter::once(session).chain(neighbours) {
        replication::admit(bench, one, stated_reason, version).map_err(|why| {
            let place = match Arc::ptr_eq(one, session) {
                true => String::new(),
                false => format!("on target {} of the same server, ", one.target),
            };
            fatal(
                DENIED,
                replication::refused_because(&format!("{place}{why}")),
            )
        })?;
    }
    Ok(())
}

/// The session as it would be on the other targets of the same server, as far as the configuration tells: a log, and a base backup, are
/// those of all databases.
pub(super) fn neighbours(
    rooms: &HashMap<Arc<str>, Room>,
    room: &Room,
    session: &Session,
) -> Vec<Arc<Session>> {
    let own = &room.upstream.target;
    let is_beside = |other: &&Target| {
        other.name != own.name && (&other.host, other.port) == (&own.host, own.port)
    };
    let others = rooms.values().map(|room| &room.upstream.target);
    let mut found: Vec<Arc<Session>> = others
        .filter(is_beside)
        .map(|other| {
            Arc::new(Session {
                target: Arc::clone(&other.name),
                database: Arc::clone(&other.name),
                role: Arc::clone(other.roles.of(&session.principal).unwrap_or(&other.user)),
                ..session.clone()
            })
        })
        .collect();
    found.sort_unstable_by(|one, other| one.target.cmp(&other.target));
    found
}

/// A server connection that replicates, always a new one, with what is known of its session.
///
/// # Errors
/// [`upstream::Error`].
pub(super) async fn connect(
    room: &Room,
    parameters: &Parameters,
    replication: Replication,
    badge: &Badge,
) -> Result<(Server, (SearchPath, Badge)), upstream::Error> {
    let asked = ("replication".to_owned(), replication.value().to_owned());
    let parameters: Vec<(String, String)> = parameters.iter().cloned().chain([asked]).collect();
    let mut server = room.upstream.connect_now(&parameters).await?;
    let learned = match replication {
        // No SQL runs in it: there are no names to look up, and nobody to read what it says of itself.
        Replication::Physical => (nowhere(), badge.clone()),
        Replication::Logical => search_path::learn(&mut server, &room.keeper, badge).await?,
    };
    Ok((server, learned))
}

fn nowhere() -> SearchPath {
    SearchPath {
        effective: Arc::from([]),
        absent: Vec::new(),
        names_temp: false,
    }
}

/// What a client is told where the server lets the gateway start no replication; `None` where it is something else.
pub(super) fn unprivileged(target: &Target, error: &upstream::Error) -> Option<Fatal> {
    let upstream::Error::Refused { sqlstate, message } = error else {
        return None;
    };
    let speaks_of_it = message
        .to_ascii_lowercase()
        .replace(' ', "")
        .contains("walsender");
    (sqlstate == DENIED && speaks_of_it).then(|| {
        fatal(
            DENIED,
            format!(
                "target `{}` lets the gateway start no replication: tell the gateway's operator: ALTER ROLE {} REPLICATION",
                target.name, target.user
            ),
        )
    })
}

//! Who came to the console, as rows of `sessions`.
//!
//! It must never keep a token, nor more of what a caller wrote than a row has room for.

use std::{net::IpAddr, time::SystemTime};

use provost_engine::principal::Principal;
use provost_evidence::record::{Record, SessionEvent, SessionRecord};

use super::{Client, SessionId, cut, session_record};

/// What `application` is in these rows.
const APPLICATION: &str = "console";
/// The longest reason that a row keeps, in bytes: it may quote the caller.
const REASON_BYTES_MAX: usize = 500;

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The address of the connection: a proxy's, where one is in front.
    pub(crate) address: IpAddr,
    /// Whether the connection to us is encrypted.
    pub(crate) tls: bool,
}

/// How somebody says who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The API: a token with each request.
    Bearer,
    /// A browser that was at the issuer.
    Browser,
    /// A button in Slack, by Slack's signature.
    Slack,
}

impl Way {
    /// What `authentication` is in these rows.
    fn name(self) -> &'static str {
        match self {
            Self::Bearer => "bearer-token",
            Self::Browser => "authorization-code",
            Self::Slack => "slack-signature",
        }
    }
}

/// Somebody logged in with a browser.
pub(crate) fn entered(at: SystemTime, id: &SessionId, peer: Peer, principal: &Principal) -> Record {
    Record::Session(SessionRecord {
        authentication: Some(Way::Browser.name().to_owned()),
        ..row(at, SessionEvent::Opened, (id, Some(peer)), Some(principal))
    })
}

/// A token or a log-in was refused; the principal where a genuine token was given.
pub(crate) fn turned_away(
    at: SystemTime,
    id: &SessionId,
    (peer, way): (Peer, Way),
    principal: Option<&Principal>,
    reason: &str,
) -> Record {
    Record::Session(SessionRecord {
        authentication: Some(way.name().to_owned()),
        reason: Some(cut(reason, REASON_BYTES_MAX).to_owned()),
        ..row(at, SessionEvent::Refused, (id, Some(peer)), principal)
    })
}

/// So many more were refused than have rows, from one address, or, without it, from others.
pub(crate) fn not_told(
    at: SystemTime,
    id: &SessionId,
    (address, count): (Option<IpAddr>, u64),
) -> Record {
    let whose = match address {
        Some(_) => "this address",
        None => "other addresses",
    };
    Record::Session(SessionRecord {
        client_addr: address.map(|address| address.to_string()),
        reason: Some(format!(
            "{count} more refusals within a minute, from {whose}, have no rows of their own"
        )),
        ..row(at, SessionEvent::Refused, (id, None), None)
    })
}

fn row(
    at: SystemTime,
    event: SessionEvent,
    (id, peer): (&SessionId, Option<Peer>),
    principal: Option<&Principal>,
) -> SessionRecord {
    let client = Client {
        address: peer.map(|peer| peer.address),
        application: Some(APPLICATION),
        tls: peer.is_some_and(|peer| peer.tls),
        target: None,
        database: None,
    };
    session_record(at, event, id, &client, principal)
}

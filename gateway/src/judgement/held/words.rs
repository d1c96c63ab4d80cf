//! What the client of a held statement reads.

use provost_engine::graph::STATE_A_REASON;
use provost_evidence::{approvals::Request, record::Micros};

use super::super::answer;
use crate::judge::{Notice, Refused};

/// Which approval, until when, by which rules and why.
pub(super) fn detail(request: &Request) -> String {
    let Request { id, rules, .. } = request;
    let by = match rules.as_slice() {
        [rule] => format!(", by rule {rule}"),
        rules => format!(", by rules {}", rules.join(", ")),
    };
    let why = request
        .reason
        .as_deref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    format!("approval {id}, until {}{by}{why}", time(request.expires_at))
}

/// What else than people would let a held statement run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// A stated reason, by a `break-glass` rule.
    Glass,
    /// Nothing.
    Nothing,
}

/// What a client reads whose statement waits.
pub(super) fn notice(request: &Request, offer: Offer) -> Notice {
    let or_else = match offer {
        Offer::Glass => format!("; or {STATE_A_REASON}"),
        Offer::Nothing => String::new(),
    };
    Notice {
        message: format!(
            "held by policy until it is approved: it needs {}",
            request.needs_told()
        ),
        detail: Some(detail(request)),
        hint: Some(format!(
            "someone else may run `provost approvals approve {}`; cancel the statement to take it back{or_else}",
            request.id
        )),
    }
}

/// `2026-11-20T12:00:00Z`.
fn time(at: Micros) -> String {
    jiff::Timestamp::from_second(at.0.div_euclid(1_000_000))
        .map_or_else(|_| "the end of time".to_owned(), |time| time.to_string())
}

/// A refusal by policy.
pub(super) fn refused(message: impl Into<String>, detail: Option<String>, hint: &str) -> Refused {
    Refused {
        sqlstate: answer::DENIED,
        message: message.into(),
        detail,
        hint: Some(hint.to_owned()),
        position: None,
    }
}

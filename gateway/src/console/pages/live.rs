//! Telling pages at once that something became of what is held (server-sent events). They are told that, and never what: they ask for
//! their list again, as whoever they are.
//!
//! It must never keep a page's connection beyond the session that opened it, nor more of them than [`LIVE_MAX`].
//!
//! # Source
//! HTML Living Standard, "Server-sent events".

use std::{
    convert::Infallible,
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use tokio::{
    sync::watch,
    time::{Instant, interval, timeout_at},
};

use super::{session, troubled};
use crate::{
    approvals::Approvals,
    console::{Problem, Room, StandingName},
};

/// Where.
pub(super) const PATH: &str = "/events";
/// Pages that are told at once. At the limit a page is told nothing, and is what it is without a script; the others of the console's
/// connections are for requests.
pub(in crate::console) const LIVE_MAX: usize = 64;
/// How long one connection lasts; a browser makes the next by itself. Shorter than the console lets a connection last.
const TIME_MAX: Duration = Duration::from_secs(240);
/// How often is looked whether something became of what is held.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How often a page that nothing is told is sent a comment, so that a connection that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Counts up whenever something became of what is held, until nobody listens.
pub(in crate::console) async fn beat(approvals: Arc<Approvals>, beats: watch::Sender<u64>) {
    let mut timer = interval(LOOK_PAUSE);
    let mut last = fingerprint(&approvals);
    loop {
        timer.tick().await;
        // The console's own receiver is always there.
        if beats.receiver_count() <= 1 {
            continue;
        }
        let now = fingerprint(&approvals);
        if now != last {
            last = now;
            beats.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

/// What is another when something became of any of what is held.
fn fingerprint(approvals: &Approvals) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    for (case, standing) in approvals.list() {
        case.request.id.to_string().hash(&mut hasher);
        StandingName::of(&standing).hash(&mut hasher);
        case.votes.len().hash(&mut hasher);
    }
    hasher.finish()
}

/// Tells a page.
pub(super) async fn events(State(room): State<Arc<Room>>, headers: HeaderMap) -> Response {
    if session(&room, &headers).is_none() {
        return troubled(None, &super::logged_out());
    }
    let Ok(permit) = Arc::clone(&room.live).try_acquire_owned() else {
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many pages are live: load this one again to see what is new",
        )
        .into_response();
    };
    let until = Instant::now() + TIME_MAX;
    let told = (room.pulse.clone(), room, headers, permit);
    let events = stream::unfold(told, move |(mut pulse, room, headers, permit)| async move {
        // A page that reads slowly is told once of all that happened meanwhile: nothing waits for it.
        let changed = timeout_at(until, pulse.changed()).await;
        let is_on = matches!(changed, Ok(Ok(()))) && session(&room, &headers).is_some();
        let event = Event::default().event("changed").data("approvals");
        is_on.then(|| (Ok::<_, Infallible>(event), (pulse, room, headers, permit)))
    });
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        axum::http::HeaderValue::from_static("no-store"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_ends_by_itself_before_the_console_cuts_it() {
        assert!(TIME_MAX < crate::console::Times::default().connection);
    }
}

//! Sessions of this gateway's clients, as people see them: those that are open, those that were, one as it went, and its end.
//!
//! It must never end a session before the log says who ended it and why, nor show somebody without a role another's.

use axum::{extract::Path, http::StatusCode};
use provost_engine::principal::Principal;
use provost_evidence::{
    Durability,
    record::{ChangeRecord, Micros, Record},
    replay::{self, Moment, Story, What},
};

use super::{
    Problem, Room,
    api::Id,
    evidence::{self, Question},
    role::{Onlooker, Role},
    span::Span,
    visible,
};
use crate::roster::Present;

/// Past sessions that are shown at once.
pub(super) const ROWS: usize = 200;
/// Moments of a session that are shown.
pub(super) const MOMENTS_MAX: usize = 500;
/// The longest reason for ending one, in bytes.
pub(super) const REASON_BYTES_MAX: usize = 500;

/// What asks for those that began or were refused in a span, the newest first.
pub(super) fn question(onlooker: Onlooker<'_>, span: Span) -> Question {
    let (own, mut values) = evidence::own(onlooker);
    values.push(evidence::from(span));
    let sql = format!(
        "SELECT began.at AS began_at, ended.at AS ended_at, began.event, began.principal, began.on_behalf_of, began.target, began.application, \
         began.client_addr AS address, coalesce(ended.reason, began.reason) AS reason, began.session_id AS session \
         FROM (SELECT * FROM sessions WHERE event IN ('opened', 'refused') AND at >= $from{own}) AS began \
         LEFT JOIN (SELECT session_id, at, reason FROM sessions WHERE event = 'closed') AS ended ON ended.session_id = began.session_id \
         ORDER BY began.at DESC LIMIT {ROWS}"
    );
    Question::new(sql, values)
}

/// Those that are open at this gateway and for the onlooker's eyes, the newest first.
pub(super) fn present(room: &Room, onlooker: Onlooker<'_>) -> Vec<Present> {
    let mut present = room.sources.roster.present();
    present.retain(|one| may_see(onlooker, &one.session.principal));
    present
}

fn may_see(onlooker: Onlooker<'_>, principal: &Principal) -> bool {
    let behind = principal.on_behalf_of.as_ref();
    onlooker.role >= Role::Viewer
        || *principal.id == *onlooker.id
        || behind.is_some_and(|person| *person.id == *onlooker.id)
}

/// The story of a session that somebody may see, and the session where it is open.
pub(super) async fn told(
    room: &Room,
    onlooker: Onlooker<'_>,
    id: Id,
) -> Result<(Story, Option<Present>), Problem> {
    let id = session_id(id)?;
    let asked = id.clone();
    let story = evidence::look(room, onlooker, move |sight| async move {
        replay::story(&sight.tables, &asked).await
    });
    let story = story.await?;
    let present = room.sources.roster.find(&id);
    let me = onlooker.id;
    let is_mine = |moment: &Moment| match &moment.what {
        What::Session(one) => {
            one.principal.as_deref() == Some(me) || one.on_behalf_of.as_deref() == Some(me)
        }
        What::Statement(_) | What::Approval(_) => false,
    };
    let is_known = !story.moments.is_empty() || present.is_some();
    if is_known && (onlooker.role >= Role::Viewer || story.moments.iter().any(is_mine)) {
        return Ok((story, present));
    }
    Err(unknown())
}

/// 32 hex digits.
fn session_id(id: Id) -> Result<String, Problem> {
    let Path(id) = id.map_err(|_| unknown())?;
    let is_id = id.len() == 32
        && id
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then_some(id).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is no such session, or it is not for you to see",
    )
}

/// A moment has no form in JSON.
pub(super) fn untellable() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the session can't be told: tell the gateway's operator",
    )
}

/// Ends one; gives its id. The onlooker is an admin.
pub(super) async fn end(
    room: &Room,
    onlooker: Onlooker<'_>,
    id: Id,
    reason: &str,
) -> Result<String, Problem> {
    onlooker.must_be(Role::Admin)?;
    let id = session_id(id)?;
    let reason = visible(reason.trim()).replace(['\n', '\t'], " ");
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "give a reason, of at most 500 bytes",
        ));
    }
    let gone = || {
        Problem::new(
            StatusCode::CONFLICT,
            "this session is not open at this gateway",
        )
    };
    room.sources.roster.find(&id).ok_or_else(gone)?;
    let ended = Record::Change(ChangeRecord {
        at: Micros(evidence::now()),
        actor: onlooker.id.to_owned(),
        what: "session-ended".to_owned(),
        before: Some(id.clone()),
        after: Some(reason.clone()),
        digest: None,
    });
    let logged = room.sources.log.append(&ended, Durability::Power).await;
    logged.map_err(|error| {
        tracing::error!(%error, "the end of a session could not be logged: it goes on");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the log did not take it: the session goes on",
        )
    })?;
    let words = format!("{} ended this session: {reason}", visible(onlooker.id));
    if room.sources.roster.dismiss(&id, words) {
        Ok(id)
    } else {
        Err(gone())
    }
}

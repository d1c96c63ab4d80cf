//! Who is connected and who was; one session as it went; ending one.
//!
//! It must never end a session for anybody but an admin, nor before the log says who ended it and why.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use jiff::Timestamp;
use maud::{Markup, html};
use provost_engine::principal::Principal;
use provost_evidence::{
    Durability,
    record::{ChangeRecord, Micros, Record},
    replay::{self, ApprovalMoment, Moment, SessionMoment, StatementMoment, Story, What},
    report::table::Table,
};

use super::{
    enter,
    evidence::{self, Question},
    frame::{Freshness, Span, badge, fact, layout, shown, time},
    is_ours, page, redirect,
    session::Session,
    troubled,
};
use crate::{
    console::{Problem, Room, api::Id, form, role::Role},
    roster::Present,
};

/// Past sessions of a page.
const ROWS: usize = 200;
/// Moments of a session that its page shows.
const MOMENTS_MAX: usize = 500;
/// The longest reason for ending one, in bytes.
const REASON_BYTES_MAX: usize = 500;

/// Those that are open, and those that were.
pub(super) async fn list(
    State(room): State<Arc<Room>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let session = match enter(&room, &headers, Role::Concerned) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    let span = match evidence::span_of(query.as_deref()) {
        Ok(span) => span,
        Err(problem) => return troubled(Some(&session), &problem),
    };
    let (own, mut values) = evidence::own(&session);
    values.push(evidence::from(span));
    let sql = format!(
        "SELECT began.at AS began_at, ended.at AS ended_at, began.event, began.principal, began.on_behalf_of, began.target, began.application, \
         began.client_addr AS address, coalesce(ended.reason, began.reason) AS reason, began.session_id AS session \
         FROM (SELECT * FROM sessions WHERE event IN ('opened', 'refused') AND at >= $from{own}) AS began \
         LEFT JOIN (SELECT session_id, at, reason FROM sessions WHERE event = 'closed') AS ended ON ended.session_id = began.session_id \
         ORDER BY began.at DESC LIMIT {ROWS}"
    );
    match evidence::ask(&room, &session, [Question::new(sql, values)]).await {
        Ok([past]) => {
            let mut present = room.sources.roster.present();
            present.retain(|one| may_see(&session, &one.session.principal));
            page(StatusCode::OK, listed(&session, &present, (span, &past)))
        }
        Err(problem) => troubled(Some(&session), &problem),
    }
}

fn may_see(session: &Session, principal: &Principal) -> bool {
    let me = &session.principal.id;
    let behind = principal.on_behalf_of.as_ref();
    session.role >= Role::Viewer
        || principal.id == *me
        || behind.is_some_and(|person| person.id == *me)
}

/// One, as it went.
pub(super) async fn show(State(room): State<Arc<Room>>, headers: HeaderMap, id: Id) -> Response {
    let session = match enter(&room, &headers, Role::Concerned) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    match told(&room, &session, id).await {
        Ok((story, present)) => page(StatusCode::OK, whole(&session, &story, present.as_ref())),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

/// The story of a session that somebody may see, and the session where it is open.
async fn told(room: &Room, session: &Session, id: Id) -> Result<(Story, Option<Present>), Problem> {
    let id = session_id(id)?;
    let asked = id.clone();
    let story = evidence::look(room, session, move |sight| async move {
        replay::story(&sight.tables, &asked).await
    });
    let story = story.await?;
    let present = room.sources.roster.find(&id);
    let me = &*session.principal.id;
    let is_mine = |moment: &Moment| match &moment.what {
        What::Session(one) => {
            one.principal.as_deref() == Some(me) || one.on_behalf_of.as_deref() == Some(me)
        }
        What::Statement(_) | What::Approval(_) => false,
    };
    let is_known = !story.moments.is_empty() || present.is_some();
    if is_known && (session.role >= Role::Viewer || story.moments.iter().any(is_mine)) {
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

/// Ends one.
pub(super) async fn end(
    State(room): State<Arc<Room>>,
    headers: HeaderMap,
    id: Id,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let session = match enter(&room, &headers, Role::Admin) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    match ending(
        &room,
        &session,
        id,
        form::sent(&headers, body, ["csrf", "reason"]),
    )
    .await
    {
        Ok(id) => redirect(&format!("/sessions/{id}")),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

async fn ending(
    room: &Room,
    session: &Session,
    id: Id,
    sent: Result<[String; 2], Problem>,
) -> Result<String, Problem> {
    let id = session_id(id)?;
    let [csrf, reason] = sent?;
    is_ours(session, &csrf)?;
    let reason = shown(reason.trim()).replace(['\n', '\t'], " ");
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
        actor: session.principal.id.to_string(),
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
    let words = format!(
        "{} ended this session: {reason}",
        shown(&session.principal.id)
    );
    if room.sources.roster.dismiss(&id, words) {
        Ok(id)
    } else {
        Err(gone())
    }
}

fn listed(session: &Session, present: &[Present], (span, past): (Span, &Table)) -> Markup {
    let content = html! {
        h1 { "Sessions" }
        @if session.role < Role::Viewer { p.small { "You see your own sessions, and those that work for you." } }
        h2 { "Open at this gateway" }
        @if present.is_empty() { p.card.empty { "None." } }
        ol.requests {
            @for one in present { li { article.card {
                p.head { (badge("open")) a href=(format!("/sessions/{}", one.id)) { (who(&one.session.principal)) " on " (shown(&one.session.target)) } }
                p.small { "since " (time(&stamp(one))) " · " (shown(&one.session.application))
                    @if let Some(address) = one.session.client_address { " · " (address) } }
            } } }
        }
        h2 { "Begun or refused" }
        form.search method="get" action="/sessions" { (span.field()) button.button type="submit" { "Show" } }
        @if past.rows.is_empty() { p.card.empty { "None in this period." } }
        ol.requests {
            @for row in 0..past.rows.len() { li { (past_one(past, row)) } }
        }
        @if past.rows.len() == ROWS { p.foot { "The newest " (ROWS) " are shown: take a shorter period." } }
    };
    layout("Sessions", Some(session), Freshness::Still, content)
}

fn stamp(present: &Present) -> String {
    Timestamp::try_from(present.since).map_or_else(|_| String::new(), |at| at.to_string())
}

fn who(principal: &Principal) -> String {
    match &principal.on_behalf_of {
        Some(person) => shown(&format!("{} for {}", principal.id, person.id)),
        None => shown(&principal.id),
    }
}

fn past_one(past: &Table, row: usize) -> Markup {
    let cell = |name: &str| past.cell(row, name).unwrap_or_default();
    let who = match (cell("principal"), cell("on_behalf_of")) {
        ("", _) => "somebody unknown".to_owned(),
        (principal, "") => principal.to_owned(),
        (principal, person) => format!("{principal} for {person}"),
    };
    html! { article.card {
        p.head { (badge(cell("event"))) a href=(format!("/sessions/{}", cell("session"))) { (shown(&who)) " on " (shown(cell("target"))) } }
        p.small {
            (time(cell("began_at")))
            @if !cell("ended_at").is_empty() { " to " (time(cell("ended_at"))) }
            " · " (shown(cell("application"))) " · " (shown(cell("address")))
            @if !cell("reason").is_empty() { " · " (shown(cell("reason"))) }
        }
    } }
}

fn whole(session: &Session, story: &Story, present: Option<&Present>) -> Markup {
    let opened = story.moments.iter().find_map(|moment| match &moment.what {
        What::Session(one) => Some(&**one),
        What::Statement(_) | What::Approval(_) => None,
    });
    let rest = story.moments.len().saturating_sub(MOMENTS_MAX);
    let content = html! {
        h1 { "Session " @if present.is_some() { (badge("open")) } @else { span.badge { "over" } } }
        dl {
            @if let Some(one) = opened { (facts(one)) }
            (fact("Id", &story.session_id))
        }
        @if present.is_some() && session.role >= Role::Admin {
            form.ballot method="post" action=(format!("/sessions/{}/end", story.session_id)) {
                input type="hidden" name="csrf" value=(session.csrf);
                label for="reason" { "Why it is to end" }
                input id="reason" name="reason" required maxlength=(REASON_BYTES_MAX) aria-describedby="hint";
                p.small id="hint" { "Its client reads it, with your name; both are kept as evidence. What it is doing is cancelled." }
                div.buttons { button.bad type="submit" { "End this session" } }
            }
        }
        h2 { "What happened" }
        ol.story {
            @for moment in story.moments.iter().take(MOMENTS_MAX) { li { (told_of(moment)) } }
        }
        @if rest > 0 || story.is_cut { p.foot { "And more: `provost replay` tells all of it." } }
    };
    layout("Session", Some(session), Freshness::Still, content)
}

fn facts(one: &SessionMoment) -> Markup {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        (fact("Principal", &text(&one.principal)))
        (fact("Kind", &text(&one.principal_kind)))
        (fact("For", &text(&one.on_behalf_of)))
        (fact("Groups", &one.groups.join(", ")))
        (fact("Target", &text(&one.target)))
        (fact("Role", &text(&one.role)))
        (fact("Client", &text(&one.application)))
        (fact("Address", &text(&one.client_addr)))
        (fact("Encrypted", if one.tls { "yes" } else { "no" }))
    }
}

fn told_of(moment: &Moment) -> Markup {
    let at = Timestamp::from_microsecond(moment.at.0)
        .map_or_else(|_| String::new(), |at| at.to_string());
    html! {
        p.small { (time(&at)) " · " (after(moment.offset_us)) }
        @match &moment.what {
            What::Session(one) => p { (badge(&one.event)) " " (shown(one.reason.as_deref().unwrap_or_default())) },
            What::Statement(one) => (statement(one)),
            What::Approval(one) => (approval(one)),
        }
    }
}

/// Since the beginning, as a clock has it.
fn after(offset_us: i64) -> String {
    let millis = offset_us / 1_000;
    format!(
        "+{}:{:02}.{:03}",
        millis / 60_000,
        millis / 1_000 % 60,
        millis % 1_000
    )
}

fn statement(one: &StatementMoment) -> Markup {
    html! {
        pre tabindex="0" { code { (shown(one.sql.as_deref().unwrap_or("(the text is not kept)"))) } }
        p.small {
            @if let Some(verdict) = &one.verdict { (badge(verdict)) " " }
            (badge(&one.outcome))
            @if let Some(rows) = one.rows { " " (rows) " rows" }
            @if !one.rules.is_empty() { " · " (shown(&one.rules.join(", "))) }
            @if let Some(reason) = one.reason.as_ref().filter(|reason| !reason.is_empty()) { " · " (shown(reason)) }
            @for masked in &one.masked { " · " (shown(&masked.output_column)) " masked: " (shown(&masked.transform)) }
            " · " a href=(format!("/decisions/{}", one.statement_id)) { "all of it" }
        }
    }
}

fn approval(one: &ApprovalMoment) -> Markup {
    html! {
        p { (badge(&one.event)) " by " strong { (shown(&one.actor)) } " "
            a href=(format!("/approvals/{}", one.approval_id)) { "the approval" } }
        @if let Some(reason) = &one.reason { blockquote { (shown(reason)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_read_like_a_clock() {
        for (offset, expected) in [
            (0, "+0:00.000"),
            (61_002_500, "+1:01.002"),
            (3_600_000_000, "+60:00.000"),
        ] {
            assert_eq!(after(offset), expected);
        }
    }
}

//! Who is connected and who was; one session as it went; ending one.
//!
//! It must never end a session for anybody but an admin.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use jiff::Timestamp;
use maud::{Markup, html};
use provost_engine::principal::Principal;
use provost_evidence::{
    replay::{ApprovalMoment, Moment, SessionMoment, StatementMoment, Story, What},
    report::table::Table,
};

use super::{
    entry::Entered,
    frame::{Freshness, badge, fact, layout, period, shown, time},
    is_ours, page, redirect,
    session::Session,
    troubled,
};
use crate::{
    console::{
        Room,
        api::Id,
        evidence, form,
        role::{Admins, Anybody, Role},
        span::Span,
        visits::{self, MOMENTS_MAX, REASON_BYTES_MAX, ROWS},
    },
    roster::Present,
};

/// Those that are open, and those that were.
pub(super) async fn list(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Anybody>,
    RawQuery(query): RawQuery,
) -> Response {
    let span = match Span::of(query.as_deref()) {
        Ok(span) => span,
        Err(problem) => return troubled(Some(&session), &problem),
    };
    let question = visits::question(session.onlooker(), span);
    match evidence::ask(&room, session.onlooker(), [question]).await {
        Ok([past]) => {
            let present = visits::present(&room, session.onlooker());
            page(StatusCode::OK, listed(&session, &present, (span, &past)))
        }
        Err(problem) => troubled(Some(&session), &problem),
    }
}

/// One, as it went.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Anybody>,
    id: Id,
) -> Response {
    match visits::told(&room, session.onlooker(), id).await {
        Ok((story, present)) => page(StatusCode::OK, whole(&session, &story, present.as_ref())),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

/// Ends one.
pub(super) async fn end(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Admins>,
    headers: HeaderMap,
    id: Id,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let ended = async {
        let [csrf, reason] = form::sent(&headers, body, ["csrf", "reason"])?;
        is_ours(&session, &csrf)?;
        visits::end(&room, session.onlooker(), id, &reason).await
    };
    match ended.await {
        Ok(id) => redirect(&format!("/sessions/{id}")),
        Err(problem) => troubled(Some(&session), &problem),
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
        form.search method="get" action="/sessions" { (period(span)) button.button type="submit" { "Show" } }
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

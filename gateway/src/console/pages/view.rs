//! The markup of held statements. Everything that others wrote passes through [`shown`], and through maud's escapes.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::{
    frame::{Freshness, REFRESH_SECONDS, layout, sentence, shown, time},
    session::Session,
};
use crate::console::{
    Approval, List, NeedShape, Problem, StandingName, Summary, VoteName, VoteShape,
};

/// The longest reason that a form takes, in characters; the console counts bytes.
const REASON_CHARS_MAX: u32 = 2_000;

/// What somebody sees who is not logged in.
pub(super) fn welcome(issuer: &str) -> Markup {
    let content = html! {
        section.card.narrow {
            h1 { "Approvals" }
            p { "Policy holds some statements until people approve them. Log in to see those that concern you." }
            p { a.button href="/login" { "Log in" } }
            p.small { "at " (shown(issuer)) }
        }
    };
    layout("Log in", None, Freshness::Still, content)
}

/// What went wrong.
pub(super) fn problem(session: Option<&Session>, problem: &Problem) -> Markup {
    let content = html! {
        section.card.narrow {
            h1 { (problem.title) }
            p role="alert" { (sentence(&problem.detail)) }
            @if session.is_some() {
                p { a href="/" { "To the list" } }
            } @else {
                p { a.button href="/login" { "Log in" } }
            }
        }
    };
    layout(&problem.title, session, Freshness::Still, content)
}

/// Held statements.
pub(super) fn list(
    session: &Session,
    list: &List,
    (standing, freshness): (Option<StandingName>, Freshness),
) -> Markup {
    let path = match freshness {
        Freshness::Still => "/",
        Freshness::Live => "/live",
    };
    let query = standing.map(|standing| format!("?standing={}", standing.name()));
    let query = query.unwrap_or_default();
    let content = html! {
        h1 { "Approvals" }
        nav.tabs aria-label="Standing" {
            (tab(path, "All", None, standing))
            @for one in StandingName::ALL {
                (tab(path, one.name(), Some(one), standing))
            }
        }
        // With a script the list is asked for again when something becomes of what is held; see `live`.
        div hx-ext="sse" sse-connect=(super::live::PATH) {
        div id="requests" hx-get=(format!("{path}{query}")) hx-trigger="sse:changed" hx-select="#requests" hx-swap="outerHTML" {
        @if list.approvals.is_empty() {
            section.card.empty {
                h2 { "Nothing here" }
                p { "No statement that concerns you is held"
                    @if let Some(standing) = standing { " and " (standing.name()) }
                    ". What ended is shown for an hour." }
            }
        }
        ol.requests {
            @for summary in &list.approvals { li { (card(summary)) } }
        }
        } }
        p.foot {
            @if let Some(next) = &list.next {
                @let joint = if query.is_empty() { "?" } else { "&" };
                a href=(format!("{path}{query}{joint}before={next}")) { "Earlier ones" }
                " · "
            }
            @match freshness {
                Freshness::Still => a href=(format!("/live{query}")) { "Keep this page up to date without a script" },
                Freshness::Live => a href=(format!("/{query}")) { "Stop loading it every " (REFRESH_SECONDS) " s" },
            }
        }
    };
    layout("Approvals", Some(session), freshness, content)
}

fn tab(
    path: &str,
    name: &str,
    standing: Option<StandingName>,
    current: Option<StandingName>,
) -> Markup {
    let href = match standing {
        Some(standing) => format!("{path}?standing={}", standing.name()),
        None => path.to_owned(),
    };
    let is_current = standing == current;
    html! {
        a href=(href) aria-current=[is_current.then_some("page")] { (name) }
    }
}

fn card(summary: &Summary) -> Markup {
    html! {
        article.card {
            p.head {
                (badge(summary.standing))
                a id=(format!("of-{}", summary.id)) href=(format!("/approvals/{}", summary.id)) {
                    (asked_by(summary)) " on " (shown(&summary.target))
                }
            }
            pre tabindex="0" { code { (shown(summary.sql.as_deref().unwrap_or("(the text is not shown)")))
                @if summary.sql_is_cut { "…" } } }
            p.small {
                @for need in &summary.needs { (need_short(need)) " · " }
                "asked " (time(&summary.requested_at))
                @if let Some(left) = time_left(summary) { " · " (left) " left" }
            }
        }
    }
}

/// One held statement, and the form to vote on it; with what went wrong with a vote, and the reason that it gave.
pub(super) fn whole(
    session: &Session,
    approval: &Approval,
    trouble: Option<(&Problem, &str)>,
) -> Markup {
    let summary = &approval.summary;
    let content = html! {
        h1 { (asked_by(summary)) " on " (shown(&summary.target)) " " (badge(summary.standing)) }
        @if let Some((problem, _)) = trouble {
            p.alert role="alert" { strong { (problem.title) } ": " (sentence(&problem.detail)) }
        }
        section aria-labelledby="text" {
            h2 id="text" { "Statement" }
            pre tabindex="0" { code { (shown(summary.sql.as_deref().unwrap_or("(the text is not shown)"))) } }
            (values(approval))
        }
        div.columns {
            section aria-labelledby="facts" {
                h2 id="facts" { "What it is" }
                (facts(approval))
                (sight(session, approval))
            }
            section aria-labelledby="people" {
                h2 id="people" { "Who is asked" }
                ul.needs { @for need in &summary.needs { li { (need_long(need)) } } }
                @if approval.votes.is_empty() {
                    p { "Nobody has voted yet." }
                } @else {
                    ul.votes { @for vote in &approval.votes { li { (voted(vote)) } } }
                }
                @match &summary.objection {
                    Some(objection) => p.small { "You can't vote: " (sentence(objection)) },
                    None => (ballot(session, summary, trouble.map_or("", |(_, reason)| reason))),
                }
            }
        }
    };
    layout(
        &format!("{} on {}", summary.requester, summary.target),
        Some(session),
        Freshness::Still,
        content,
    )
}

fn ballot(session: &Session, summary: &Summary, reason: &str) -> Markup {
    html! {
        form.ballot method="post" action=(format!("/approvals/{}/votes", summary.id)) {
            input type="hidden" name="csrf" value=(session.csrf);
            label for="reason" { "Your reason" }
            textarea id="reason" name="reason" required rows="3" maxlength=(REASON_CHARS_MAX) aria-describedby="hint" { (reason) }
            p.small id="hint" { "It is kept as evidence, and whoever asked reads it. A vote can't be changed." }
            div.buttons {
                button.good type="submit" name="vote" value="approve" { "Approve" }
                button.bad type="submit" name="vote" value="deny" { "Deny" }
            }
        }
    }
}

fn values(approval: &Approval) -> Markup {
    let values = approval.parameters.as_deref().unwrap_or_default();
    html! {
        @if !values.is_empty() {
            h3 { "Values" }
            ol.values {
                @for value in values {
                    li { @match value {
                        Some(value) => code { (shown(value)) },
                        None => em { "NULL" },
                    } }
                }
            }
        }
    }
}

fn facts(approval: &Approval) -> Markup {
    let summary = &approval.summary;
    html! {
        dl {
            (fact("Asked by", &format!("{} ({})", asked_by(summary), summary.requester_kind)))
            (fact("Client", &summary.application))
            (fact("Role", &approval.role))
            (fact("Search path", &approval.search_path.join(", ")))
            (fact("Settings", &approval.settings_told()))
            @for statement in &approval.statements {
                (fact("Touches", &format!("{} on {}", statement.kind, statement.relations.join(", "))))
                (fact("Columns", &statement.columns.join(", ")))
            }
            (fact("Held by", &summary.rules.join(", ")))
            (fact("Because", summary.reason.as_deref().unwrap_or_default()))
            (fact("Controls", &approval.controls.join(", ")))
            dt { "Asked" } dd { (time(&summary.requested_at)) }
            dt { "Until" } dd { (time(&summary.expires_at)) @if let Some(left) = time_left(summary) { " (" (left) " left)" } }
            @if let Some(ended) = &approval.ended_at { dt { "Ended" } dd { (time(ended)) } }
            @if let Some(refusal) = &approval.refused {
                (fact("Refused by", refusal.by.as_deref().unwrap_or_default()))
                (fact("Because", refusal.reason.as_deref().unwrap_or_default()))
            }
            (fact("Id", &summary.id))
            (fact("Bundle", &approval.bundle_digest))
        }
    }
}

/// What helps to decide, and the button that has it tried.
fn sight(session: &Session, approval: &Approval) -> Markup {
    let Some(sight) = &approval.sight else {
        return html! {};
    };
    let summary = &approval.summary;
    let may_try = summary.standing == StandingName::Waiting
        && summary.objection.is_none()
        && sight.dry_run.is_none();
    html! {
        dl {
            @if let Some(estimate) = &sight.estimate { (fact("Rows, estimated", &estimate.told())) }
            @if let Some(dry_run) = &sight.dry_run {
                (fact("Rows, in a dry run", &dry_run.rows.told()))
                (fact("Asked for by", &dry_run.person))
            }
            @if let Some(before) = &sight.before { (fact("Of this shape", &before.told())) }
        }
        @if may_try {
            form method="post" action=(format!("/approvals/{}/dry-run", summary.id)) {
                input type="hidden" name="csrf" value=(session.csrf);
                button type="submit" { "Dry run: try it and roll it back" }
            }
        }
    }
}

fn fact(name: &str, text: &str) -> Markup {
    html! { @if !text.is_empty() { dt { (name) } dd { (shown(text)) } } }
}

fn need_short(need: &NeedShape) -> Markup {
    html! { (need.approved_by.len()) " of " (need.count) " " (shown(&need.group)) }
}

fn need_long(need: &NeedShape) -> Markup {
    html! {
        strong { (need_short(need)) } " until " (time(&need.until))
        @if !need.approved_by.is_empty() { ": " (shown(&need.approved_by.join(", "))) }
    }
}

fn voted(vote: &VoteShape) -> Markup {
    let (class, said) = match vote.vote {
        VoteName::Approve => ("approved", "approves"),
        VoteName::Deny => ("refused", "denies"),
    };
    html! {
        span class={ "badge " (class) } { (said) } " " strong { (shown(&vote.person)) } " " (time(&vote.at))
        blockquote { (shown(&vote.reason)) }
    }
}

fn badge(standing: StandingName) -> Markup {
    html! { span class={ "badge " (standing.name()) } { (standing.name()) } }
}

fn asked_by(summary: &Summary) -> String {
    let text = match &summary.on_behalf_of {
        Some(person) => format!("{} for {person}", summary.requester),
        None => summary.requester.clone(),
    };
    shown(&text)
}

/// How long people have still.
fn time_left(summary: &Summary) -> Option<String> {
    let is_open = matches!(
        summary.standing,
        StandingName::Waiting | StandingName::Approved
    );
    let end: Timestamp = summary.expires_at.parse().ok()?;
    let left = end.duration_since(Timestamp::now());
    let seconds = left.as_secs();
    (is_open && left > SignedDuration::ZERO).then(|| match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    })
}

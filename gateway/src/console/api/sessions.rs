//! Sessions of the gateway's clients: who is there and was there, one as it went, and its end.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::HeaderMap,
};
use provost_engine::principal::Principal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Id,
    refusals::{QueryRefusals, Refusals},
    sent, span_of,
};
use crate::{
    console::{
        Problem, Room,
        caller::Ranked,
        evidence,
        role::{Admins, Anybody},
        shapes::moment,
        span::Span,
        visits::{self, MOMENTS_MAX, ROWS},
    },
    roster::Present,
};

/// A session that is open at this gateway.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OpenSession {
    /// Its id in evidence.
    session_id: String,
    /// Whose it is.
    principal: String,
    /// The person behind an agent.
    on_behalf_of: Option<String>,
    /// The target's name.
    target: String,
    /// What the client calls itself; anything can stand here.
    application: String,
    /// The client's address.
    address: Option<String>,
    /// Since when (RFC 3339).
    #[schema(format = DateTime)]
    since: String,
}

impl OpenSession {
    fn of(present: &Present) -> Self {
        let session = &present.session;
        let Principal {
            id, on_behalf_of, ..
        } = &session.principal;
        Self {
            session_id: present.id.clone(),
            principal: id.to_string(),
            on_behalf_of: on_behalf_of.as_ref().map(|person| person.id.to_string()),
            target: session.target.to_string(),
            application: session.application.to_string(),
            address: session.client_address.map(|address| address.to_string()),
            since: moment(present.since),
        }
    }
}

/// A session that began, or was refused.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct PastSession {
    /// Its id in evidence.
    #[serde(rename(deserialize = "session"))]
    session_id: String,
    /// `opened` or `refused`.
    event: String,
    /// Whose it was, where that was known.
    principal: Option<String>,
    /// The person behind an agent.
    on_behalf_of: Option<String>,
    /// The target's name.
    target: Option<String>,
    /// What the client called itself; anything can stand here.
    application: Option<String>,
    /// The client's address.
    address: Option<String>,
    /// Why it was refused, or ended early.
    reason: Option<String>,
    /// When (RFC 3339).
    #[schema(format = DateTime)]
    began_at: String,
    /// When it ended (RFC 3339), where it has.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

/// Sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sessions {
    /// Those that are open at this gateway, the newest first.
    open: Vec<OpenSession>,
    /// Those that began or were refused in the span, at all gateways, the newest first.
    past: Vec<PastSession>,
    /// Whether there are more of those than are listed.
    is_cut: bool,
}

/// Lists sessions: everybody's for viewers, your own and those that work for you else.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    params(
        ("span" = Option<Span>, Query, description = "How far back: the last hour, day (the default), week, month, or all there is."),
    ),
    responses(
        (status = 200, description = "Them.", body = Sessions),
        QueryRefusals,
    ),
    security(("token" = []))
)]
pub(super) async fn list(
    State(room): State<Arc<Room>>,
    caller: Ranked<Anybody>,
    RawQuery(query): RawQuery,
) -> Result<Json<Sessions>, Problem> {
    let span = span_of(query.as_deref())?;
    let onlooker = caller.onlooker();
    let question = visits::question(onlooker, span);
    let [lines] = evidence::lines(&room, onlooker, [question]).await?;
    let past: Vec<PastSession> = evidence::rows(&lines)?;
    let present = visits::present(&room, onlooker);
    Ok(Json(Sessions {
        open: present.iter().map(OpenSession::of).collect(),
        is_cut: past.len() == ROWS,
        past,
    }))
}

/// A session as it went.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionStory {
    /// Its id.
    session_id: String,
    /// Whether it is open at this gateway.
    is_open: bool,
    /// What happened, in order of time, as `provost replay --json` prints it: `at`, `offset_us`, and `what` it is, a session's, a
    /// statement's or an approval's row of evidence.
    #[schema(value_type = Vec<Object>)]
    moments: Vec<serde_json::Value>,
    /// Whether there is more.
    is_cut: bool,
}

/// Gives one session as it went.
#[utoipa::path(
    get,
    path = "/api/v1/sessions/{id}",
    params(("id" = String, Path, description = "Its id.", pattern = "^[0-9a-f]{32}$", example = "0123456789abcdef0123456789abcdef")),
    responses(
        (status = 200, description = "It.", body = SessionStory),
        (status = 404, description = "There is no such session, or not for you.", body = Problem, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    caller: Ranked<Anybody>,
    id: Id,
) -> Result<Json<SessionStory>, Problem> {
    let (story, present) = visits::told(&room, caller.onlooker(), id).await?;
    let moments = story.moments.iter().take(MOMENTS_MAX);
    let moments: Result<Vec<_>, _> = moments.map(serde_json::to_value).collect();
    Ok(Json(SessionStory {
        is_open: present.is_some(),
        is_cut: story.is_cut || story.moments.len() > MOMENTS_MAX,
        moments: moments.map_err(|_| visits::untellable())?,
        session_id: story.session_id,
    }))
}

/// Why a session is to end.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ending {
    /// Its client reads it, with your name, and evidence keeps both: at most 500 bytes.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"\S",
        example = "ticket 42"
    )]
    reason: String,
}

/// A session that was ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ended {
    /// Its id.
    session_id: String,
}

/// Ends a session that is open at this gateway: what it is doing is cancelled. For admins.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/{id}/end",
    params(("id" = String, Path, description = "Its id.", pattern = "^[0-9a-f]{32}$", example = "0123456789abcdef0123456789abcdef")),
    request_body(content = Ending, content_type = "application/json"),
    responses(
        (status = 200, description = "It was ended.", body = Ended),
        (status = 400, description = "The body is no JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not accepted.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "For admins only.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such session, or not for you.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is not open at this gateway.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not said to be JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The reason is empty or too long.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The log did not take it: the session goes on.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn end(
    State(room): State<Arc<Room>>,
    caller: Ranked<Admins>,
    id: Id,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Ended>, Problem> {
    let ending: Ending = sent(&headers, body, "reason")?;
    let session_id = visits::end(&room, caller.onlooker(), id, &ending.reason).await?;
    Ok(Json(Ended { session_id }))
}

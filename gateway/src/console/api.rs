//! The JSON API and its OpenAPI document, both from the same functions.
//!
//! It must never answer with a held statement that the caller may not see; to them it does not exist.
//!
//! | room | holds |
//! |---|---|
//! | here | held statements |
//! | `sessions`, `decisions`, `controls`, `health` | what the pages of these names show |
//! | `refusals` | what all of these answer else |

mod controls;
mod decisions;
mod health;
mod refusals;
mod sessions;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, RawQuery, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use provost_engine::principal::Principal;
use provost_evidence::approvals::ApprovalId;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    Approval, Ballot, List, Problem, Room, StandingName, Summary, caller::Caller, guard, pages,
    sight, slack, span::Span,
};
use crate::approvals::{Case, Standing};

/// Held statements of one page unless asked otherwise.
const PAGE_LENGTH: usize = 100;
/// The longest page; who asks for more is refused.
const PAGE_LENGTH_MAX: usize = 500;

/// What a request is for.
pub(super) type Id = Result<Path<String>, PathRejection>;

/// Every route, with what holds for all of them around it.
pub(super) fn router(room: Arc<Room>) -> Router {
    let pages = match &room.login {
        Some(_) => pages::routes(),
        None => Router::new(),
    };
    let pages = match &room.slack {
        Some(_) => pages.route(slack::PATH, post(slack::press)),
        None => pages,
    };
    pages
        .route("/healthz", get(answers))
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/approvals", get(list))
        .route("/api/v1/approvals/{id}", get(show))
        .route("/api/v1/approvals/{id}/votes", post(vote))
        .route("/api/v1/approvals/{id}/dry-run", post(dry_run))
        .route("/api/v1/sessions", get(sessions::list))
        .route("/api/v1/sessions/{id}", get(sessions::show))
        .route("/api/v1/sessions/{id}/end", post(sessions::end))
        .route("/api/v1/decisions", get(decisions::search))
        .route("/api/v1/decisions/{id}", get(decisions::show))
        .route("/api/v1/controls", get(controls::list))
        .route(
            "/api/v1/controls/{framework}/{control}",
            get(controls::show),
        )
        .route("/api/v1/health", get(health::show))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(guard::BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&room), guard::guard))
        .with_state(room)
}

/// The OpenAPI document.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Provost console",
        version = "1",
        description = "Statements that policy holds until people approve them; sessions, decisions, controls and the gateway's health. Send an access token of the gateway's issuer, the same that opens a session.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        answers,
        openapi,
        list,
        show,
        vote,
        dry_run,
        sessions::list,
        sessions::show,
        sessions::end,
        decisions::search,
        decisions::show,
        controls::list,
        controls::show,
        health::show
    ),
    components(schemas(Span)),
    modifiers(&TokenScheme)
)]
struct Document;

/// How callers say who they are.
struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Whether the console answers.
#[derive(serde::Serialize, ToSchema)]
struct Answers {
    /// `ok`.
    status: &'static str,
}

/// Says that the console answers.
#[utoipa::path(
    get,
    path = "/healthz",
    responses((status = 200, description = "It answers.", body = Answers))
)]
async fn answers() -> Json<Answers> {
    Json(Answers { status: "ok" })
}

/// Gives this document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object))
)]
async fn openapi(State(room): State<Arc<Room>>) -> Response {
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    (media_type, room.document.clone()).into_response()
}

/// Lists the held statements that you may see: yours, those made for you, and those that your groups are asked about. The newest first;
/// those that ended stay for an hour.
#[utoipa::path(
    get,
    path = "/api/v1/approvals",
    params(
        ("standing" = Option<StandingName>, Query, description = "Only those that stand so."),
        ("limit" = Option<usize>, Query, description = "At most so many.", minimum = 1, maximum = 500),
        ("before" = Option<String>, Query, description = "Only those asked for before this one: `next` of the page before.",
            pattern = "^[0-9a-f]{12}-[0-9a-f]{12}$"),
    ),
    responses(
        (status = 200, description = "A page of them.", body = List),
        (status = 400, description = "The query can't be read.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not accepted.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn list(
    State(room): State<Arc<Room>>,
    Caller(caller): Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List>, Problem> {
    let page = Page::parse(query.as_deref().unwrap_or_default())?;
    Ok(Json(page.of(&room, &caller)))
}

/// Gives one held statement.
#[utoipa::path(
    get,
    path = "/api/v1/approvals/{id}",
    params(("id" = String, Path, description = "Its id.", pattern = "^[0-9a-f]{12}-[0-9a-f]{12}$", example = "019a5d2f8c00-3f1b7a9e4c52")),
    responses(
        (status = 200, description = "It.", body = Approval),
        (status = 401, description = "No token, or one that is not accepted.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none, or not for you.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn show(
    State(room): State<Arc<Room>>,
    Caller(caller): Caller,
    id: Id,
) -> Result<Json<Approval>, Problem> {
    let id = parsed(id)?;
    Ok(Json(seen(&room, &id, &caller)?))
}

/// One held statement, if the caller may see it.
pub(super) fn seen(room: &Room, id: &ApprovalId, caller: &Principal) -> Result<Approval, Problem> {
    let known = room.approvals.show(id).ok_or_else(Problem::unknown)?;
    if !sight::may_see(caller, &known.0, &room.roles) {
        return Err(Problem::unknown());
    }
    Ok(told(room, &known, caller))
}

/// As the caller sees it, with what became of its shape.
fn told(room: &Room, known: &(Arc<Case>, Standing), caller: &Principal) -> Approval {
    let before = room.approvals.before(&known.0.request);
    Approval::of(known, caller, before)
}

/// Votes: each person once, people of the groups asked only, nobody on their own request. One `deny` ends it.
#[utoipa::path(
    post,
    path = "/api/v1/approvals/{id}/votes",
    params(("id" = String, Path, description = "Its id.", pattern = "^[0-9a-f]{12}-[0-9a-f]{12}$", example = "019a5d2f8c00-3f1b7a9e4c52")),
    request_body(content = Ballot, content_type = "application/json"),
    responses(
        (status = 200, description = "The vote is taken; so it stands now.", body = Approval),
        (status = 400, description = "The body is no JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not accepted.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "You may not vote on it.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none, or not for you.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is over, or you voted before.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not said to be JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body is no vote, or its reason is empty or too long.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The vote could not be kept.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn vote(
    State(room): State<Arc<Room>>,
    Caller(caller): Caller,
    id: Id,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Approval>, Problem> {
    let id = parsed(id)?;
    seen(&room, &id, &caller)?;
    let ballot = sent(&headers, body, "vote")?;
    Ok(Json(cast(room, id, caller, ballot).await?))
}

/// Votes, and gives how it stands then. The caller may see it.
pub(super) async fn cast(
    room: Arc<Room>,
    id: ApprovalId,
    caller: Principal,
    ballot: Ballot,
) -> Result<Approval, Problem> {
    // A task of its own: a vote that was begun is ended, even if its caller goes away.
    let voting = tokio::spawn(async move {
        let said = (ballot.vote.kind(), ballot.reason.as_str());
        let voted = room.approvals.vote(&id, &caller, said).await;
        voted.map(|known| told(&room, &known, &caller))
    });
    match voting.await {
        Ok(voted) => Ok(voted?),
        Err(error) => {
            tracing::error!(%error, "a vote broke off: this is a defect");
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the vote broke off: look whether it was taken",
            ))
        }
    }
}

/// Has it tried in a transaction that is rolled back, by the session that waits for it; for those who may vote. The first dry run
/// stands: asked for again, it is shown.
#[utoipa::path(
    post,
    path = "/api/v1/approvals/{id}/dry-run",
    params(("id" = String, Path, description = "Its id.", pattern = "^[0-9a-f]{12}-[0-9a-f]{12}$", example = "019a5d2f8c00-3f1b7a9e4c52")),
    responses(
        (status = 200, description = "It was tried, or can't be: `sight.dry_run` tells.", body = Approval),
        (status = 401, description = "No token, or one that is not accepted.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "You may not vote on it.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none, or not for you.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is over, or no session of this gateway waits for it.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It takes long: look again.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn dry_run(
    State(room): State<Arc<Room>>,
    Caller(caller): Caller,
    id: Id,
) -> Result<Json<Approval>, Problem> {
    let id = parsed(id)?;
    seen(&room, &id, &caller)?;
    Ok(Json(tried(&room, &id, &caller).await?))
}

/// Has it tried, and gives how it stands then. The caller may see it.
pub(super) async fn tried(
    room: &Room,
    id: &ApprovalId,
    caller: &Principal,
) -> Result<Approval, Problem> {
    let known = room.approvals.dry_run(id, caller).await?;
    Ok(told(room, &known, caller))
}

pub(super) fn parsed(id: Id) -> Result<ApprovalId, Problem> {
    let Path(id) = id.map_err(|_| Problem::unknown())?;
    ApprovalId::parse(&id).ok_or_else(Problem::unknown)
}

/// Reads the JSON of a body; `what` it is to be.
fn sent<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    what: &str,
) -> Result<T, Problem> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send `content-type: application/json`",
        ));
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        _ => Problem::new(StatusCode::BAD_REQUEST, "the body did not come whole"),
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        let status = match error.classify() {
            serde_json::error::Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => StatusCode::BAD_REQUEST,
        };
        Problem::new(status, format!("the body is no {what}: {error}"))
    })
}

/// What of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) standing: Option<StandingName>,
    limit: usize,
    before: Option<ApprovalId>,
}

impl Page {
    /// Reads a query; unknown names, and names that come twice, are refused.
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let wrong = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
        let (mut standing, mut limit, mut before) = (None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let is_twice = match &*name {
                "standing" => {
                    let known = StandingName::from_name(&value).ok_or_else(|| {
                        let names = StandingName::ALL.map(StandingName::name).join(", ");
                        wrong(format!("`standing` is one of {names}"))
                    })?;
                    standing.replace(known).is_some()
                }
                "limit" => {
                    let number = value.parse().ok();
                    let number = number.filter(|number| (1..=PAGE_LENGTH_MAX).contains(number));
                    let number = number
                        .ok_or_else(|| wrong(format!("`limit` is 1 to {PAGE_LENGTH_MAX}")))?;
                    limit.replace(number).is_some()
                }
                "before" => {
                    let id = ApprovalId::parse(&value)
                        .ok_or_else(|| wrong("`before` is an approval's id".to_owned()))?;
                    before.replace(id).is_some()
                }
                _ => {
                    return Err(wrong(
                        "the query has other names than `standing`, `limit` and `before`"
                            .to_owned(),
                    ));
                }
            };
            if is_twice {
                return Err(wrong(format!("`{name}` stands in the query twice")));
            }
        }
        Ok(Self {
            standing,
            limit: limit.unwrap_or(PAGE_LENGTH),
            before,
        })
    }

    /// The page, as this caller sees it.
    pub(super) fn of(&self, room: &Room, caller: &Principal) -> List {
        let mut shown: Vec<Summary> = Vec::new();
        let mut is_cut = false;
        for known in room.approvals.list() {
            if !self.wants(&known) || !sight::may_see(caller, &known.0, &room.roles) {
                continue;
            }
            if shown.len() == self.limit {
                is_cut = true;
                break;
            }
            shown.push(Summary::of(&known, caller));
        }
        let next = shown.last().filter(|_| is_cut);
        List {
            next: next.map(|summary| summary.id.clone()),
            approvals: shown,
        }
    }

    fn wants(&self, (case, standing): &(Arc<Case>, Standing)) -> bool {
        let is_before = |before: &ApprovalId| case.request.id < *before;
        let stands_so = |wanted: StandingName| StandingName::of(standing) == wanted;
        self.before.as_ref().is_none_or(is_before) && self.standing.is_none_or(stands_so)
    }
}

/// Refuses names without a value: what is not meant is left out.
fn none_empty(query: &str) -> Result<(), Problem> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    match pairs.find(|(_, value)| value.is_empty()) {
        None => Ok(()),
        Some((name, _)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("`{name}` is empty: leave it out"),
        )),
    }
}

/// The span of a query that has nothing else.
fn span_of(query: Option<&str>) -> Result<Span, Problem> {
    none_empty(query.unwrap_or_default())?;
    Span::of(query)
}

async fn nothing_here() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "nothing is here: `/api/v1/openapi.json` tells what is where",
    )
}

async fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this can't be asked so: `/api/v1/openapi.json` tells how",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Option<(Option<StandingName>, usize, bool)>) {
        let page = Page::parse(query).ok();
        let found = page.map(|page| (page.standing, page.limit, page.before.is_some()));
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn queries_are_read_strictly() {
        check("", Some((None, PAGE_LENGTH, false)));
        check(
            "standing=used&limit=7",
            Some((Some(StandingName::Used), 7, false)),
        );
        check(
            "before=019a5d2f8c00-3f1b7a9e4c52",
            Some((None, PAGE_LENGTH, true)),
        );
        check(
            "standing=w%61iting",
            Some((Some(StandingName::Waiting), PAGE_LENGTH, false)),
        );
        for wrong in [
            "standing=",
            "standing=Used",
            "standing=used&standing=used",
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=1e2",
            "limit=99999999999999999999",
            "before=x",
            "before=",
            "x=1",
            "&=",
            "standing",
            "%ff=1",
        ] {
            check(wrong, None);
        }
    }
}

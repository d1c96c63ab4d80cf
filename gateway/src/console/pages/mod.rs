//! What a browser shows, rendered here. All of it works without a script; with one, lists are told of news and times are the reader's.
//!
//! It must never take a vote from a form that this console did not give to this very session, nor show a page to anybody else's frame.
//!
//! | room | holds |
//! |---|---|
//! | `login` | OIDC: the way to the issuer and back |
//! | `session`, `entry` | sessions, cookies, who may open a page |
//! | `frame` | what all pages have in common |
//! | `view` | held statements |
//! | `live` | telling pages what is new |
//! | `sessions` | who is there and was there; ending a session |
//! | `decisions` | what was decided |
//! | `policy`, `playground` | the policy in force; what it would decide |
//! | `controls`, `data` | what evidence bears on controls; who saw what |
//! | `health` | how the gateway is |
//! | `files` | stylesheet and scripts |

mod controls;
mod data;
mod decisions;
mod entry;
mod files;
mod frame;
mod health;
mod live;
mod login;
mod playground;
mod policy;
mod session;
mod sessions;
mod view;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use maud::Markup;

pub(super) use self::live::{LIVE_MAX, beat};
use self::session::{Session, Sessions};
use super::{
    Ballot, LoginSettings, Problem, Room, VoteName,
    api::{self, Id, Page},
    form,
};

/// A session lasts no longer, however long its token does.
const SESSION_TIME_MAX: Duration = Duration::from_secs(8 * 3_600);
/// What a page may load: our own files. Where its forms may go: here.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// How people log in, and who has.
pub(super) struct Login {
    settings: LoginSettings,
    sessions: Sessions,
}

impl Login {
    pub(super) fn new(settings: LoginSettings) -> Self {
        Self {
            settings,
            sessions: Sessions::default(),
        }
    }
}

/// The pages.
pub(super) fn routes() -> Router<Arc<Room>> {
    Router::new()
        .route("/", get(home))
        .route("/live", get(live))
        .route("/approvals/{id}", get(show))
        .route("/approvals/{id}/votes", post(vote))
        .route("/approvals/{id}/dry-run", post(dry_run))
        .route("/login", get(login::begin))
        .route("/callback", get(login::end))
        .route("/logout", post(log_out))
        .route(live::PATH, get(live::events))
        .route("/files/{digest}/{name}", get(files::serve))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{id}", get(sessions::show))
        .route("/sessions/{id}/end", post(sessions::end))
        .route("/decisions", get(decisions::search))
        .route("/decisions/{id}", get(decisions::show))
        .route("/policy", get(policy::show))
        .route("/policy/graph.svg", get(policy::graph))
        .route(
            "/policy/playground",
            get(playground::empty).post(playground::ask),
        )
        .route("/controls", get(controls::matrix))
        .route("/controls.csv", get(controls::export))
        .route("/controls/{framework}/{control}", get(controls::show))
        .route("/data", get(data::show))
        .route("/health", get(health::show))
}

/// The session that a request belongs to.
fn session(room: &Room, headers: &HeaderMap) -> Option<Arc<Session>> {
    let sessions = &room.login.as_ref()?.sessions;
    sessions.find(headers, SystemTime::now())
}

async fn home(
    State(room): State<Arc<Room>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    list(&room, &headers, query.as_deref(), frame::Freshness::Still)
}

async fn live(
    State(room): State<Arc<Room>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    list(&room, &headers, query.as_deref(), frame::Freshness::Live)
}

fn list(
    room: &Room,
    headers: &HeaderMap,
    query: Option<&str>,
    freshness: frame::Freshness,
) -> Response {
    let Some(session) = session(room, headers) else {
        return page(StatusCode::OK, view::welcome(room.issuer.url()));
    };
    match Page::parse(query.unwrap_or_default()) {
        Ok(asked) => {
            let list = asked.of(room, &session.principal);
            page(
                StatusCode::OK,
                view::list(&session, &list, (asked.standing, freshness)),
            )
        }
        Err(problem) => troubled(Some(&session), &problem),
    }
}

async fn show(State(room): State<Arc<Room>>, headers: HeaderMap, id: Id) -> Response {
    let id = match api::parsed(id) {
        Ok(id) => id,
        Err(problem) => return troubled(session(&room, &headers).as_deref(), &problem),
    };
    let Some(session) = session(&room, &headers) else {
        return redirect(&format!("/login?to={id}"));
    };
    match api::seen(&room, &id, &session.principal) {
        Ok(approval) => page(StatusCode::OK, view::whole(&session, &approval, None)),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

async fn vote(
    State(room): State<Arc<Room>>,
    headers: HeaderMap,
    id: Id,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(session) = session(&room, &headers) else {
        return troubled(None, &logged_out());
    };
    let given = api::parsed(id).and_then(|id| {
        let approval = api::seen(&room, &id, &session.principal)?;
        Ok((id, approval))
    });
    let (id, approval) = match given {
        Ok(given) => given,
        Err(problem) => return troubled(Some(&session), &problem),
    };
    let form = match Form::read(&headers, body).and_then(|form| form.of(&session)) {
        Ok(form) => form,
        Err(problem) => return troubled(Some(&session), &problem),
    };
    let reason = form.reason.clone();
    let voted = match form.ballot() {
        Ok(ballot) => {
            let caller = session.principal.clone();
            api::cast(Arc::clone(&room), id.clone(), caller, ballot).await
        }
        Err(problem) => Err(problem),
    };
    match voted {
        Ok(_) => redirect(&format!("/approvals/{id}")),
        Err(problem) => {
            // How it stands now, which may be why.
            let approval = api::seen(&room, &id, &session.principal).unwrap_or(approval);
            let shown = view::whole(&session, &approval, Some((&problem, &reason)));
            page(status(&problem), shown)
        }
    }
}

async fn dry_run(
    State(room): State<Arc<Room>>,
    headers: HeaderMap,
    id: Id,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(session) = session(&room, &headers) else {
        return troubled(None, &logged_out());
    };
    let given = api::parsed(id).and_then(|id| {
        let approval = api::seen(&room, &id, &session.principal)?;
        Form::read(&headers, body).and_then(|form| form.of(&session))?;
        Ok((id, approval))
    });
    let (id, approval) = match given {
        Ok(given) => given,
        Err(problem) => return troubled(Some(&session), &problem),
    };
    match api::tried(&room, &id, &session.principal).await {
        Ok(_) => redirect(&format!("/approvals/{id}")),
        Err(problem) => {
            let approval = api::seen(&room, &id, &session.principal).unwrap_or(approval);
            let shown = view::whole(&session, &approval, Some((&problem, "")));
            page(status(&problem), shown)
        }
    }
}

async fn log_out(
    State(room): State<Arc<Room>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(session) = session(&room, &headers) else {
        return redirect("/");
    };
    if let Err(problem) = Form::read(&headers, body).and_then(|form| form.of(&session)) {
        return troubled(Some(&session), &problem);
    }
    if let Some(login) = &room.login {
        login.sessions.end(&headers);
    }
    let mut response = redirect("/");
    response
        .headers_mut()
        .append(header::SET_COOKIE, session::no_cookie(session::COOKIE));
    response
}

/// What a form of ours says.
#[derive(Default)]
struct Form {
    csrf: String,
    vote: String,
    reason: String,
}

impl Form {
    /// Reads it.
    fn read(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Self, Problem> {
        let [csrf, vote, reason] = form::sent(headers, body, ["csrf", "vote", "reason"])?;
        Ok(Self { csrf, vote, reason })
    }

    /// The form, if it is this session's.
    fn of(self, session: &Session) -> Result<Self, Problem> {
        is_ours(session, &self.csrf)?;
        Ok(self)
    }

    fn ballot(self) -> Result<Ballot, Problem> {
        let vote = match &*self.vote {
            "approve" => VoteName::Approve,
            "deny" => VoteName::Deny,
            _ => {
                return Err(Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "say whether you approve or deny",
                ));
            }
        };
        Ok(Ballot {
            vote,
            reason: self.reason,
        })
    }
}

/// Whether a form carries what those of this session do.
fn is_ours(session: &Session, csrf: &str) -> Result<(), Problem> {
    if session.is_csrf(csrf) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "this form is of another session: go back, load the page again, and send it then",
    ))
}

fn logged_out() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "your session is over: log in again; nothing was sent",
    )
}

fn status(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A page that says what went wrong.
fn troubled(session: Option<&Session>, problem: &Problem) -> Response {
    page(status(problem), view::problem(session, problem))
}

fn page(status: StatusCode, markup: Markup) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        // Without any referrer, browsers would say of our own forms that they come from nowhere.
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("same-origin"),
        ),
    ];
    (status, headers, markup.into_string()).into_response()
}

/// Somewhere else, by GET. `to` is ours, or the issuer's.
fn redirect(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
        Err(_) => troubled(
            None,
            &Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the way there can't be written",
            ),
        ),
    }
}

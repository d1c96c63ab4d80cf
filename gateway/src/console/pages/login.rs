//! Logging in with a browser: the authorization code flow with PKCE, at the issuer whose tokens open sessions.
//!
//! It must never take an ID token for another client, for another login, or one that is not verified.
//!
//! # Source
//! OpenID Connect Core 1.0, 3.1; RFC 7636 (PKCE); RFC 9700 (best current practice).

use std::{sync::Arc, time::SystemTime};

use axum::{
    extract::{Extension, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use provost_engine::principal::Principal;
use provost_evidence::approvals::ApprovalId;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::{
    Login, SESSION_TIME_MAX, redirect,
    session::{cookie, cookie_of, no_cookie, secret},
    troubled,
};
use crate::{
    console::{Problem, Room},
    identity::Verified,
    record::console::{Peer, Way},
};

/// The cookie of a login under way.
const COOKIE: &str = "__Host-provost-login";
/// How long one may take, in seconds.
const SECONDS_MAX: u64 = 600;

/// A login under way. It is kept by the browser that began it: nobody else can end it.
struct Begun<'a> {
    state: &'a str,
    nonce: &'a str,
    verifier: &'a str,
    /// What was to be seen.
    to: Option<ApprovalId>,
}

impl<'a> Begun<'a> {
    fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut parts = cookie_of(headers, COOKIE)?.split('.');
        let (state, nonce, verifier) = (parts.next()?, parts.next()?, parts.next()?);
        let to = ApprovalId::parse(parts.next()?);
        let is_whole = parts.next().is_none() && !state.is_empty();
        is_whole.then_some(Self {
            state,
            nonce,
            verifier,
            to,
        })
    }
}

/// The members of a token endpoint's answer that matter.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// Sends the browser to the issuer.
pub(super) async fn begin(State(room): State<Arc<Room>>, RawQuery(query): RawQuery) -> Response {
    match beginning(&room, query.as_deref().unwrap_or_default()) {
        Ok(response) => response,
        Err(problem) => troubled(None, &problem),
    }
}

fn beginning(room: &Room, query: &str) -> Result<Response, Problem> {
    let (login, urls) = (login(room)?, urls(room)?);
    let none =
        || unavailable("the operating system gave no randomness: tell the gateway's operator");
    let (state, nonce) = (secret().ok_or_else(none)?, secret().ok_or_else(none)?);
    let verifier = secret().ok_or_else(none)?;
    let mut at_issuer = urls.authorization.clone();
    at_issuer
        .query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &login.settings.client_id)
        .append_pair("redirect_uri", &callback(room))
        .append_pair("scope", &login.settings.scopes.join(" "))
        .append_pair("state", &state)
        .append_pair("nonce", &nonce)
        .append_pair(
            "code_challenge",
            &URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier)),
        )
        .append_pair("code_challenge_method", "S256");
    let to = value(query, "to").and_then(|id| ApprovalId::parse(&id));
    let to = to.map(|id| id.to_string()).unwrap_or_default();
    let kept = cookie(
        COOKIE,
        &format!("{state}.{nonce}.{verifier}.{to}"),
        SECONDS_MAX,
    );
    let mut response = redirect(at_issuer.as_str());
    if let Some(kept) = kept {
        response.headers_mut().append(header::SET_COOKIE, kept);
    }
    Ok(response)
}

/// Takes the browser back from the issuer.
pub(super) async fn end(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let mut known = None;
    let query = query.as_deref().unwrap_or_default();
    let mut response = match ending(&room, (peer, &headers), query, &mut known).await {
        Ok(response) => response,
        Err(problem) => {
            let from = (peer, Way::Browser);
            room.door
                .refused(from, known.as_ref(), &problem.detail)
                .await;
            troubled(None, &problem)
        }
    };
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, no_cookie(COOKIE));
    response
}

/// `known` becomes who a genuine token names, whether or not they are let in.
async fn ending(
    room: &Room,
    (peer, headers): (Peer, &HeaderMap),
    query: &str,
    known: &mut Option<Principal>,
) -> Result<Response, Problem> {
    let (login, urls) = (login(room)?, urls(room)?);
    let begun = Begun::of(headers);
    let begun = begun.filter(|begun| value(query, "state").as_deref() == Some(begun.state));
    let begun = begun.ok_or_else(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "this login was not begun here, or took too long: log in again",
        )
    })?;
    if let Some(error) = value(query, "error") {
        return Err(refused(&format!("the issuer refused the login: {error}")));
    }
    let code =
        value(query, "code").ok_or_else(|| refused("the issuer sent no code: log in again"))?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", &code)
        .append_pair("redirect_uri", &callback(room))
        .append_pair("client_id", &login.settings.client_id)
        .append_pair("code_verifier", begun.verifier)
        .finish();
    let client_secret = login.settings.client_secret.as_ref();
    let client_secret = client_secret
        .map(|secret| std::str::from_utf8(secret.reveal()))
        .transpose()
        .map_err(|_| unavailable("the client secret is no text: tell the gateway's operator"))?;
    let client = (&*login.settings.client_id, client_secret);
    let answer = room
        .issuer
        .redeem(urls, form, client)
        .await
        .map_err(|error| {
            tracing::warn!(%error, "the issuer gave no tokens for a login's code");
            refused("the issuer gave no token for this login: log in again")
        })?;
    let tokens: Tokens = serde_json::from_slice(&answer)
        .map_err(|_| refused("the issuer gave no ID token: tell the gateway's operator"))?;
    let now = SystemTime::now();
    let verified = verified(room, login, (&tokens.id_token, begun.nonce), (now, known)).await?;
    let expires_at = verified.expires_at.min(now + SESSION_TIME_MAX);
    let role = room.roles.of(&verified.principal);
    room.door.entered(peer, &verified.principal).await?;
    let cookie = login
        .sessions
        .begin((verified.principal, role), (now, expires_at))
        .ok_or_else(|| unavailable("too many people are logged in: try again later"))?;
    let mut response = match begun.to {
        Some(id) => redirect(&format!("/approvals/{id}")),
        None => redirect("/"),
    };
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Who the ID token says it is: verified as tokens of sessions are, for this client, and for this very login.
async fn verified(
    room: &Room,
    login: &Login,
    (token, nonce): (&str, &str),
    (now, known): (SystemTime, &mut Option<Principal>),
) -> Result<Verified, Problem> {
    let client_id = &*login.settings.client_id;
    let verified = room.issuer.verify_for(client_id, token, now).await;
    let verified = verified.map_err(|refusal| {
        tracing::info!(error = %refusal.error, "an ID token was refused at the console");
        let problem = refused(&refusal.error.client_message());
        *known = refusal.principal.map(|principal| *principal);
        problem
    })?;
    *known = Some(verified.principal.clone());
    let claims = &verified.principal.claims;
    let text = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
    let is_ours = text("azp").is_none_or(|party| party == client_id);
    if text("nonce") != Some(nonce) || !is_ours {
        return Err(refused("the ID token is of another login: log in again"));
    }
    Ok(verified)
}

fn login(room: &Room) -> Result<&Login, Problem> {
    room.login
        .as_ref()
        .ok_or_else(|| unavailable("nobody can log in here"))
}

fn urls(room: &Room) -> Result<&crate::identity::issuer::LoginUrls, Problem> {
    room.issuer
        .login()
        .ok_or_else(|| unavailable("the issuer has no place to log in at that can be trusted"))
}

/// Where the issuer sends browsers back to.
fn callback(room: &Room) -> String {
    format!("{}/callback", room.origin)
}

/// The value of a name that comes once.
fn value(query: &str, name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| value.into_owned())
}

fn refused(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, detail)
}

fn unavailable(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

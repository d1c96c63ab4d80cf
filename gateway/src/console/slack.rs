//! What people press in Slack: the one request to the console without a log-in.
//!
//! Slack signs that a user of the workspace pressed a button; the configuration says who that is, and what they may. It must never
//! believe a word that is not signed, count a cookie or a token for anything, nor ask anything of a host that a request names.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
};
use hmac::{Hmac, Mac as _};
use provost_engine::principal::{Principal, PrincipalKind};
use provost_evidence::approvals::VoteKind;
use serde::Deserialize;
use sha2::Sha256;
use tokio::{sync::Semaphore, time::timeout};

use super::{Problem, Room, SlackPerson, SlackSettings, form};
use crate::{
    approvals::{Press, VoteRefused, buttons, unhex},
    record::console::{Peer, Way},
    settings::Secret,
};

/// Where Slack sends them.
pub(super) const PATH: &str = "/slack/actions";
/// The longest body, in bytes; a longer one is refused with 413. Slack sends the message along: some 13,000 UTF-16 units, each at
/// most 8 bytes as JSON in a form.
pub(super) const BODY_BYTES_MAX: usize = 256 * 1024;
/// Signed presses at once; one more is refused with 503.
const PRESSES_MAX: usize = 16;
/// How long an answer may take: after 3 s Slack tells its user that there was none.
const ANSWER_TIME: Duration = Duration::from_millis(2_500);
/// How old a request may be, or how far its clock may be ahead.
const AGE_MAX: Duration = Duration::from_secs(300);

/// What is kept of Slack while the console runs.
pub(super) struct Slack {
    settings: SlackSettings,
    presses: Semaphore,
}

impl Slack {
    pub(super) fn new(settings: SlackSettings) -> Self {
        Self {
            settings,
            presses: Semaphore::new(PRESSES_MAX),
        }
    }
}

/// What Slack says, as far as it matters here.
///
/// # Source
/// Slack's "block_actions payload".
#[derive(Debug, Deserialize)]
struct Payload {
    r#type: String,
    user: User,
    team: Option<Team>,
    api_app_id: Option<String>,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Debug, Deserialize)]
struct User {
    id: String,
    team_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Team {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: String,
}

/// Takes a press. Slack shows nothing of an answer but that it is no 200: people read what became of it where they read of all.
pub(super) async fn press(
    State(room): State<Arc<Room>>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let Some(slack) = &room.slack else {
        return Err(Problem::unknown());
    };
    match timeout(ANSWER_TIME, taken(&room, slack, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "it takes long: look whether the vote was taken",
        )),
    }
}

async fn taken(room: &Arc<Room>, slack: &Slack, request: Request) -> Result<StatusCode, Problem> {
    let (parts, body) = request.into_parts();
    // The listener puts it beside each request.
    let Some(peer) = parts.extensions.get::<Peer>().copied() else {
        return Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the console does not know where the request is from: this is a defect",
        ));
    };
    let settings = &slack.settings;
    let signature = match Signature::of(&parts.headers, SystemTime::now()) {
        Ok(signature) => signature,
        Err(why) => return Err(refused(room, peer, why).await),
    };
    let body = to_bytes(body, BODY_BYTES_MAX).await;
    let body = body.map_err(|_| Problem::larger_than(BODY_BYTES_MAX))?;
    if !signature.is_over(&settings.signing_secret, &body) {
        return Err(refused(room, peer, "its signature is not Slack's").await);
    }
    // What is not signed takes nobody's place.
    let Ok(_place) = slack.presses.try_acquire() else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "there are too many presses at once: press again",
        ));
    };
    let payload = payload(&parts.headers, &body)?;
    if let Err(why) = is_ours(settings, &payload) {
        return Err(refused(room, peer, why).await);
    }
    let [action] = payload.actions.as_slice() else {
        return Err(unknown_action());
    };
    if action.action_id == buttons::LOOK {
        return Ok(StatusCode::OK);
    }
    let press = Press::parse(&action.action_id, &action.value).ok_or_else(unknown_action)?;
    let user = &payload.user.id;
    let Some(person) = settings.people.iter().find(|person| person.user == *user) else {
        let why = format!("the Slack user `{user}` is nobody in `approvals.slack.people`");
        return Err(refused(room, peer, &why).await);
    };
    vote(room, settings, (peer, person), press).await
}

/// Votes as this person.
async fn vote(
    room: &Arc<Room>,
    settings: &SlackSettings,
    (peer, person): (Peer, &SlackPerson),
    press: Press,
) -> Result<StatusCode, Problem> {
    let (case, _) = room
        .approvals
        .show(&press.id)
        .ok_or_else(Problem::unknown)?;
    if !press.is_of(&settings.signing_secret, &case.request) {
        return Err(refused(room, peer, "the button is none that this gateway made").await);
    }
    let is_seen = buttons::whole(&case.request).is_some()
        // A dry run since then is in no message.
        && case.rows_shown() == case.rows_asked();
    if press.vote == VoteKind::Approve && !is_seen {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "the message does not show all of it, or there was a dry run since: approve it at the console",
        ));
    }
    let principal = principal(settings, person);
    let reason = format!(
        "by a button in Slack (user {} of workspace {})",
        person.user, settings.team
    );
    let (approvals, kind) = (Arc::clone(&room.approvals), press.vote);
    // A task of its own: a vote that was begun is ended, even if Slack goes away.
    let voting = tokio::spawn(async move {
        let said = (kind, reason.as_str());
        let voted = approvals.vote_by_message(&press.id, &principal, said).await;
        voted.map(drop)
    });
    match voting.await {
        Ok(Ok(())) => Ok(StatusCode::OK),
        // Pressed twice, or sent twice: it is taken already.
        Ok(Err(VoteRefused::Before(before))) if before.vote == kind => Ok(StatusCode::OK),
        Ok(Err(refused)) => Err(refused.into()),
        Err(error) => {
            tracing::error!(%error, "a vote broke off: this is a defect");
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the vote broke off: look whether it was taken",
            ))
        }
    }
}

/// Who the configuration says that it is: a person, for whom nobody acts.
fn principal(settings: &SlackSettings, person: &SlackPerson) -> Principal {
    Principal {
        id: Arc::clone(&person.id),
        kind: PrincipalKind::Human,
        groups: person.groups.clone(),
        on_behalf_of: None,
        issuer: format!("slack:{}", settings.team).into(),
        claims: Default::default(),
    }
}

/// Keeps that somebody was refused.
async fn refused(room: &Room, peer: Peer, why: &str) -> Problem {
    tracing::info!(why, "what came as Slack's was refused");
    room.door.refused((peer, Way::Slack), None, why).await;
    Problem::new(StatusCode::UNAUTHORIZED, why)
}

fn unknown_action() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "only presses of the buttons in this gateway's messages are taken here",
    )
}

fn payload(headers: &HeaderMap, body: &[u8]) -> Result<Payload, Problem> {
    let media_type = headers.get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok()?.split(';').next());
    if media_type.map(str::trim) != Some("application/x-www-form-urlencoded") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send a form",
        ));
    }
    let [payload] = form::values(body, ["payload"])?;
    let payload: Payload = serde_json::from_str(&payload).map_err(|_| unknown_action())?;
    match payload.r#type.as_str() {
        "block_actions" => Ok(payload),
        _ => Err(unknown_action()),
    }
}

/// Whether it is from the workspace and the app of the configuration. A channel may be shared with other workspaces, whose users are
/// theirs, and an app may be installed in others: ids of users are unique in one workspace only.
fn is_ours(settings: &SlackSettings, payload: &Payload) -> Result<(), &'static str> {
    let teams = [
        payload.team.as_ref().map(|team| team.id.as_str()),
        payload.user.team_id.as_deref(),
    ];
    let own = Some(settings.team.as_str());
    if teams.iter().any(|team| *team != own) {
        return Err("the user or the channel is of another Slack workspace");
    }
    match &settings.app {
        Some(app) if payload.api_app_id.as_ref() != Some(app) => Err("it is another Slack app's"),
        _ => Ok(()),
    }
}

/// Slack's signature of a request, not checked yet; its time is.
///
/// # Source
/// Slack's "Verifying requests from Slack".
struct Signature<'a> {
    timestamp: &'a str,
    digest: [u8; 32],
}

impl<'a> Signature<'a> {
    fn of(headers: &'a HeaderMap, now: SystemTime) -> Result<Self, &'static str> {
        let one = |name: &str| {
            let mut all = headers.get_all(name).iter();
            let value = all.next()?.to_str().ok()?;
            all.next().is_none().then_some(value)
        };
        let timestamp = one("x-slack-request-timestamp").ok_or("it is not signed")?;
        let signature = one("x-slack-signature").ok_or("it is not signed")?;
        let digest = signature.strip_prefix("v0=").and_then(unhex);
        let digest = digest.ok_or("its signature is not Slack's")?;
        let is_number = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = timestamp.parse().ok().filter(|_| is_number);
        let at = seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        let at = at.ok_or("its time is none")?;
        let apart = now
            .duration_since(at)
            .unwrap_or_else(|ahead| ahead.duration());
        if apart > AGE_MAX {
            return Err("it is too old, or a clock is wrong");
        }
        Ok(Self { timestamp, digest })
    }

    /// Whether it is over this body, by this secret; in constant time.
    fn is_over(&self, secret: &Secret, body: &[u8]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.reveal()) else {
            return false;
        };
        for part in [b"v0:".as_slice(), self.timestamp.as_bytes(), b":", body] {
            mac.update(part);
        }
        mac.verify_slice(&self.digest).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    /// The example of Slack's documentation.
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const TIMESTAMP: u64 = 1_531_420_618;
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn check(timestamp: &str, signature: &str, now: u64, expected: Result<bool, &str>) {
        let headers = headers(&[
            ("x-slack-request-timestamp", timestamp),
            ("x-slack-signature", signature),
        ]);
        let found = Signature::of(&headers, at(now));
        let found = found.map(|found| found.is_over(&Secret::new(SECRET), BODY));
        assert_eq!(found, expected, "{timestamp} {signature} {now}");
    }

    #[test]
    fn the_signature_of_slacks_example_holds_and_no_other() {
        let good = TIMESTAMP.to_string();
        check(&good, SIGNATURE, TIMESTAMP, Ok(true));
        check(&good, SIGNATURE, TIMESTAMP + 300, Ok(true));
        check(&good, SIGNATURE, TIMESTAMP - 300, Ok(true));
        let old = Err("it is too old, or a clock is wrong");
        check(&good, SIGNATURE, TIMESTAMP + 301, old);
        check(&good, SIGNATURE, TIMESTAMP - 301, old);
        // Another time is another text.
        check(
            &(TIMESTAMP + 1).to_string(),
            SIGNATURE,
            TIMESTAMP,
            Ok(false),
        );
        check(&format!("0{good}"), SIGNATURE, TIMESTAMP, Ok(false));
        for timestamp in [
            "",
            "+1531420618",
            "-1",
            "1531420618.0",
            "18446744073709551615",
            "x",
        ] {
            let headers = headers(&[
                ("x-slack-request-timestamp", timestamp),
                ("x-slack-signature", SIGNATURE),
            ]);
            let found = Signature::of(&headers, at(TIMESTAMP));
            assert!(found.is_err(), "{timestamp}");
        }
        let strange = Err("its signature is not Slack's");
        let digest = &SIGNATURE[3..];
        for signature in [
            digest,
            &format!("v1={digest}"),
            &format!("v0={}", digest.to_uppercase()),
            &SIGNATURE[..66],
            &format!("{SIGNATURE}00"),
            "v0=",
            "",
        ] {
            check(&good, signature, TIMESTAMP, strange);
        }
        for at in 3..SIGNATURE.len() {
            let mut other = SIGNATURE.to_owned();
            let digit = if &SIGNATURE[at..=at] == "0" { "1" } else { "0" };
            other.replace_range(at..=at, digit);
            check(&good, &other, TIMESTAMP, Ok(false));
        }
    }

    #[test]
    fn a_signature_is_over_the_whole_body_and_said_once() {
        let signed = headers(&[
            ("x-slack-request-timestamp", &TIMESTAMP.to_string()),
            ("x-slack-signature", SIGNATURE),
        ]);
        let signature = Signature::of(&signed, at(TIMESTAMP)).unwrap();
        let secret = Secret::new(SECRET);
        assert!(signature.is_over(&secret, BODY));
        assert!(!signature.is_over(&secret, &BODY[..BODY.len() - 1]));
        assert!(!signature.is_over(&secret, &[BODY, b"&"].concat()));
        assert!(!signature.is_over(&Secret::new(&SECRET[1..]), BODY));
        assert!(!signature.is_over(&Secret::new(*b""), BODY));
        let mut twice = signed.clone();
        twice.append("x-slack-signature", HeaderValue::from_static("v0=00"));
        assert!(Signature::of(&twice, at(TIMESTAMP)).is_err());
        let mut twice = signed.clone();
        twice.append("x-slack-request-timestamp", HeaderValue::from_static("1"));
        assert!(Signature::of(&twice, at(TIMESTAMP)).is_err());
        for name in ["x-slack-signature", "x-slack-request-timestamp"] {
            let mut without = signed.clone();
            without.remove(name);
            let found = Signature::of(&without, at(TIMESTAMP)).map(drop);
            assert_eq!(found, Err("it is not signed"));
        }
    }
}

//! Presses of buttons in Slack: who presses is who the configuration says, or nobody.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac as _};
use openidconnect::reqwest::RequestBuilder;
use provost_evidence::{
    approvals::{ApprovalId, Request, Rows, VoteKind},
    record::{ApprovalEvent, Record, SessionEvent},
};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::form_urlencoded;

use super::support::{House, Who, answer, request};
use crate::{
    approvals::{Standing, buttons},
    console::{SlackPerson, SlackSettings},
    record::hex,
    settings::Secret,
};

const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";

/// Dora, Emil, whose agent asks, the agent, somebody in another group.
fn settings() -> SlackSettings {
    let person = |user: &str, id: &str, group: &str| SlackPerson {
        user: user.to_owned(),
        id: id.into(),
        groups: vec![group.into()],
    };
    SlackSettings {
        signing_secret: Secret::new(SECRET),
        team: "T1".to_owned(),
        app: Some("A1".to_owned()),
        people: vec![
            person("U1", "dora@corp", "db-admins"),
            person("U2", "emil@corp", "db-admins"),
            person("U3", "Ana@corp", "db-admins"),
            person("U4", "devin@corp", "db-admins"),
            person("U5", "stan@corp", "others"),
        ],
    }
}

/// The button of the message about this, as Slack sends it back.
fn action(request: &Request, name: &str) -> Value {
    let blocks = buttons::blocks(&Secret::new(SECRET), request, Some("https://a.example"));
    let elements = blocks.last().unwrap()["elements"]
        .as_array()
        .unwrap()
        .clone();
    let button = elements.iter().find(|one| one["action_id"] == name);
    let value = button.and_then(|button| button.get("value"));
    json!({ "type": "button", "action_id": name, "block_id": "b", "value": value.cloned(), "action_ts": "1.2" })
}

/// What Slack sends when `user` presses.
fn payload(user: &str, action: Value) -> Value {
    json!({
        "type": "block_actions",
        "user": { "id": user, "username": "dana", "name": "dana", "team_id": "T1" },
        "api_app_id": "A1",
        "token": "old",
        "container": { "type": "message", "message_ts": "1.1", "channel_id": "C1", "is_ephemeral": false },
        "trigger_id": "1.2.3",
        "team": { "id": "T1", "domain": "corp" },
        "channel": { "id": "C1", "name": "approvals" },
        "response_url": "http://127.0.0.1:1/never",
        "actions": [action],
    })
}

fn form(payload: &Value) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// A request of Slack's with this body, not sent yet.
fn signed(house: &House, body: &str, at: u64) -> RequestBuilder {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(format!("v0:{at}:{body}").as_bytes());
    house
        .client
        .post(format!("{}/slack/actions", house.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-slack-request-timestamp", at)
        .header(
            "x-slack-signature",
            format!("v0={}", hex(&mac.finalize().into_bytes())),
        )
        .body(body.to_owned())
}

async fn status(request: RequestBuilder) -> u16 {
    let response = request.send().await.unwrap();
    let header = response.headers().get("cache-control");
    assert_eq!(header.unwrap(), "no-store");
    assert!(response.headers().get("set-cookie").is_none());
    let status = response.status().as_u16();
    if status == 200 {
        assert_eq!(response.text().await.unwrap(), "");
    }
    status
}

async fn send(house: &House, payload: &Value) -> u16 {
    status(signed(house, &form(payload), now())).await
}

/// A desk with one thing that waits.
async fn desk() -> (House, Request, ApprovalId) {
    let house = House::with_slack(settings()).await;
    let request = request(1);
    house.ask(request.clone()).await;
    let id = request.id.clone();
    (house, request, id)
}

fn votes(house: &House, id: &ApprovalId) -> Vec<(String, VoteKind)> {
    let (case, _) = house.approvals.show(id).unwrap();
    let votes = case.votes.iter();
    votes.map(|vote| (vote.person.clone(), vote.vote)).collect()
}

#[tokio::test]
async fn a_press_is_a_vote_of_one_person() {
    let (house, request, id) = desk().await;
    let press = payload("U1", action(&request, "provost-approve"));
    let body = form(&press);
    let at = now();
    assert_eq!(status(signed(&house, &body, at)).await, 200);
    let dora = ("dora@corp".to_owned(), VoteKind::Approve);
    assert_eq!(votes(&house, &id), std::slice::from_ref(&dora));
    let (case, standing) = house.approvals.show(&id).unwrap();
    let vote = &case.votes[0];
    let reason = "by a button in Slack (user U1 of workspace T1)";
    assert_eq!((vote.reason.as_str(), vote.rows_shown), (reason, Some(1)));
    assert_eq!(
        (&vote.groups[..], standing),
        (&["db-admins".to_owned()][..], Standing::Waiting)
    );
    // Sent again, pressed again: once.
    assert_eq!(status(signed(&house, &body, at)).await, 200);
    assert_eq!(send(&house, &press).await, 200);
    assert_eq!(votes(&house, &id), std::slice::from_ref(&dora));
    // Nor twice by two ways, nor otherwise.
    let (code, _) = house.vote(Who::Dora, id.as_str(), "approve", "again").await;
    assert_eq!(code, 409);
    let other = payload("U1", action(&request, "provost-deny"));
    assert_eq!(send(&house, &other).await, 409);
    assert_eq!(votes(&house, &id), [dora]);
    // Another one voted at the console, and presses.
    let (code, _) = house.vote(Who::Emil, id.as_str(), "approve", "fine").await;
    assert_eq!(code, 200);
    let (_, standing) = house.approvals.show(&id).unwrap();
    assert_eq!(standing, Standing::Approved);
    let emil = payload("U2", action(&request, "provost-approve"));
    assert_eq!(send(&house, &emil).await, 200);
    assert_eq!(votes(&house, &id).len(), 2);
    let said: Vec<_> = house
        .records()
        .await
        .into_iter()
        .filter_map(|record| match record {
            Record::Approval(row) if row.event == ApprovalEvent::Approved => Some(row),
            _ => None,
        })
        .collect();
    assert_eq!(said.len(), 2);
    assert_eq!(
        (said[0].actor.as_str(), said[0].reason.as_deref()),
        ("dora@corp", Some(reason))
    );
    assert_eq!(said[0].actor_groups, ["db-admins"]);
}

#[tokio::test]
async fn a_no_is_one() {
    let (house, request, id) = desk().await;
    assert_eq!(
        send(&house, &payload("U2", action(&request, "provost-deny"))).await,
        200
    );
    let (_, standing) = house.approvals.show(&id).unwrap();
    assert!(matches!(standing, Standing::Refused { by: Some(by), .. } if by == "emil@corp"));
    // It is over: a press comes too late.
    assert_eq!(
        send(&house, &payload("U1", action(&request, "provost-approve"))).await,
        409
    );
}

#[tokio::test]
async fn who_may_not_vote_may_not_press() {
    let (house, request, id) = desk().await;
    let approve = action(&request, "provost-approve");
    // Whose agent asks, the agent, somebody who is not asked.
    for user in ["U3", "U4", "U5"] {
        assert_eq!(
            send(&house, &payload(user, approve.clone())).await,
            403,
            "{user}"
        );
    }
    assert!(house.sessions().await.is_empty());
    let changed = |path: &str, value: Value| {
        let mut payload = payload("U1", approve.clone());
        *payload.pointer_mut(path).unwrap() = value;
        payload
    };
    let refused = [
        // Nobody's user, and another's in other letters.
        changed("/user/id", json!("U9")),
        changed("/user/id", json!("u1")),
        // A user of a workspace that the channel is shared with, whatever their id.
        changed("/user/team_id", json!("T2")),
        changed("/user/team_id", Value::Null),
        changed("/team/id", json!("T2")),
        changed("/team", Value::Null),
        changed("/api_app_id", json!("A2")),
        changed("/api_app_id", Value::Null),
    ];
    for payload in &refused {
        assert_eq!(send(&house, payload).await, 401, "{payload}");
    }
    let rows = house.sessions().await;
    assert_eq!(rows.len(), refused.len());
    for row in &rows {
        assert_eq!(
            (row.event, row.principal.as_deref()),
            (SessionEvent::Refused, None)
        );
        assert_eq!(row.authentication.as_deref(), Some("slack-signature"));
        assert_eq!(row.application.as_deref(), Some("console"));
    }
    let reason = rows[0].reason.as_deref().unwrap();
    assert!(reason.contains("the Slack user `U9` is nobody"), "{reason}");
    assert!(votes(&house, &id).is_empty());
}

#[tokio::test]
async fn what_slack_did_not_sign_is_nothing() {
    let (house, request, id) = desk().await;
    let body = form(&payload("U1", action(&request, "provost-approve")));
    let url = format!("{}/slack/actions", house.url);
    let plain = || {
        let request = house.client.post(&url).body(body.clone());
        request.header("content-type", "application/x-www-form-urlencoded")
    };
    // A person's own token and a cookie say nothing here.
    let token = house.token(Who::Dora);
    assert_eq!(status(plain()).await, 401);
    assert_eq!(status(plain().bearer_auth(&token)).await, 401);
    assert_eq!(
        status(plain().header("cookie", format!("__Host-session={token}"))).await,
        401
    );
    for at in [now() - 301, now() + 310, 0] {
        assert_eq!(status(signed(&house, &body, at)).await, 401, "{at}");
    }
    let mut other = signed(&house, &body, now()).build().unwrap();
    *other.body_mut() = Some(body.replace("U1", "U2").into());
    let answer = house.client.execute(other).await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    let rows = house.sessions().await;
    assert_eq!(rows.len(), 7);
    assert_eq!(
        rows[6].reason.as_deref(),
        Some("its signature is not Slack's")
    );
    assert!(votes(&house, &id).is_empty());
    // A page of another origin, even with a signature.
    let foreign = signed(&house, &body, now()).header("origin", "https://evil.example");
    assert_eq!(status(foreign).await, 403);
    assert!(votes(&house, &id).is_empty());
    assert_eq!(
        status(signed(&house, &body, now())).await,
        200,
        "it was good"
    );
    // Nothing is there for whoever does not want it.
    let without = House::new().await;
    let body = form(&payload("U1", action(&request, "provost-approve")));
    assert_eq!(status(signed(&without, &body, now())).await, 404);
}

#[tokio::test]
async fn what_is_no_press_of_ours_is_nothing() {
    let (house, request, id) = desk().await;
    let approve = action(&request, "provost-approve");
    let changed = |path: &str, value: Value| {
        let mut payload = payload("U1", approve.clone());
        *payload.pointer_mut(path).unwrap() = value;
        payload
    };
    let value = approve["value"].as_str().unwrap();
    let tail = &value[1..];
    for (payload, expected) in [
        (changed("/type", json!("view_submission")), 422),
        (changed("/actions", json!([])), 422),
        (changed("/actions", json!([approve, approve])), 422),
        (changed("/actions", json!("no")), 422),
        (changed("/user", json!("U1")), 422),
        (changed("/actions/0/action_id", json!("approve")), 422),
        (changed("/actions/0/value", json!("")), 422),
        (changed("/actions/0/value", json!(id.as_str())), 422),
        (changed("/actions/0/value", json!(7)), 422),
        // A made-up tag, a no's button as a yes, another id.
        (
            changed(
                "/actions/0/value",
                json!(format!("{id} {}", "0".repeat(64))),
            ),
            401,
        ),
        (
            changed(
                "/actions/0/value",
                action(&request, "provost-deny")["value"].clone(),
            ),
            401,
        ),
        (changed("/actions/0/value", json!(format!("f{tail}"))), 404),
        // The link to the console: Slack tells of it, too.
        (
            payload(
                "U9",
                json!({ "type": "button", "action_id": "provost-look" }),
            ),
            200,
        ),
    ] {
        assert_eq!(send(&house, &payload).await, expected, "{payload}");
    }
    let good = form(&payload("U1", approve.clone()));
    for (body, expected) in [
        ("", 422),
        ("payload=%7B", 422),
        ("payload=%5B%5D", 422),
        (&format!("{good}&x=1"), 400),
        (&format!("{good}&{good}"), 400),
        (&"[".repeat(100_000), 400),
        (&format!("payload={}", "%5B".repeat(50_000)), 422),
    ] {
        assert_eq!(
            status(signed(&house, body, now())).await,
            expected,
            "{}",
            &body[..body.len().min(40)]
        );
    }
    let mut other = signed(&house, &good, now()).build().unwrap();
    other
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    let answer = house.client.execute(other).await.unwrap();
    assert_eq!(answer.status().as_u16(), 415);
    // Longer than a body may be; nearly as long is read.
    let long = "x".repeat(256 * 1024 + 1);
    assert_eq!(status(signed(&house, &long, now())).await, 413);
    assert_eq!(status(signed(&house, &long[2..], now())).await, 400);
    let get = house.client.get(format!("{}/slack/actions", house.url));
    assert_eq!(status(get).await, 405);
    assert!(votes(&house, &id).is_empty());
}

/// Nobody approves in Slack what its message did not show.
#[tokio::test]
async fn what_is_not_shown_is_not_approved() {
    let (house, shown, id) = desk().await;
    let long = Request {
        sql: Some(format!(
            "DELETE FROM orders WHERE id IN ({})",
            "1, ".repeat(2_000)
        )),
        ..request(2)
    };
    house.ask(long.clone()).await;
    let replaced = Request {
        sql: Some("DELETE FROM orders WHERE email = 'hmac:0f'".to_owned()),
        sql_is_exact: false,
        ..request(3)
    };
    house.ask(replaced.clone()).await;
    let approve = Request {
        sql_is_exact: true,
        ..replaced.clone()
    };
    let approve = action(&approve, "provost-approve");
    assert_eq!(send(&house, &payload("U1", approve)).await, 409);
    assert!(votes(&house, &replaced.id).is_empty());
    // Its message has no such button; the tag of one is made here as the gateway would.
    let approve = {
        let short = Request {
            sql: Some("DELETE FROM orders".to_owned()),
            ..long.clone()
        };
        action(&short, "provost-approve")
    };
    assert_eq!(send(&house, &payload("U1", approve)).await, 409);
    assert!(votes(&house, &long.id).is_empty());
    assert_eq!(
        send(&house, &payload("U1", action(&long, "provost-deny"))).await,
        200
    );
    // A dry run tells another number than the message.
    let made = (Rows::Count(5_000), Some("s-1".to_owned()));
    let waits = house.approvals.wait(&id);
    let url = format!("{}/api/v1/approvals/{id}/dry-run", house.url);
    let asked = answer(house.client.post(url).bearer_auth(house.token(Who::Emil)));
    let session = async {
        waits.await.unwrap();
        house.approvals.dry_run_made(&shown, made).await.unwrap();
    };
    let ((code, _), ()) = tokio::join!(asked, session);
    assert_eq!(code, 200);
    assert_eq!(
        send(&house, &payload("U1", action(&shown, "provost-approve"))).await,
        409
    );
    assert!(votes(&house, &id).is_empty());
    assert_eq!(
        send(&house, &payload("U1", action(&shown, "provost-deny"))).await,
        200
    );
}

/// Whoever begins requests and never ends them takes nobody's place.
#[tokio::test]
async fn presses_that_never_come_hold_nobody_up() {
    let (house, request, id) = desk().await;
    let body = form(&payload("U1", action(&request, "provost-approve")));
    let head = format!(
        "POST /slack/actions HTTP/1.1\r\nhost: console\r\nx-slack-request-timestamp: {}\r\n\
         x-slack-signature: v0={}\r\ncontent-length: 9\r\nconnection: close\r\n\r\n",
        now(),
        "0".repeat(64)
    );
    let address = house.url.trim_start_matches("http://");
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(status(signed(&house, &body, now())).await, 200);
    assert_eq!(house.ids(Who::Dora, "").await.len(), 1);
    for mut stream in slow {
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    }
    assert_eq!(votes(&house, &id).len(), 1);
}

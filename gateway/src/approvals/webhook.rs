//! Tells whoever is asked: signed messages over HTTP, for programs as JSON, for chats as Slack takes them.
//!
//! Each thing that this gateway asks for, and what becomes of it, is told at least once: again after a failure, and what is still open
//! again after a restart, under the same name. Must never follow a redirect, nor send a value that evidence would not hold.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, Mac as _};
use openidconnect::reqwest;
use provost_evidence::approvals::{ApprovalId, Request, acting_for};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;
use url::Url;

use super::{Approvals, BrokenGlass, Case, Standing, Template, glass::Untold, template::News};
use crate::{
    record::hex,
    settings::{Secret, Webhook, WebhookForm},
};

/// How often is looked whether there is something to tell.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Pauses after failures, one after the other; the last one stays.
const RETRY_PAUSES: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];
/// How long one message may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// So much broken glass is told of before what waits besides is.
const GLASS_AT_ONCE: usize = 16;
/// After so many failures to tell of broken glass what waits besides is told, before it is tried again.
pub(super) const FAILURES_MAX: usize = 3;
/// How much of the SQL a chat is shown, in characters: Slack's blocks take 3,000.
const CHAT_SQL_CHARS_MAX: usize = 500;
/// The longest text of a template's in a chat, in characters: what Slack's blocks take.
const CHAT_TEXT_CHARS_MAX: usize = 3_000;

/// What a message's signature is in.
pub const SIGNATURE_HEADER: &str = "provost-signature";
/// What a message's time is in, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "provost-timestamp";
/// What a message's name is in: the same whenever the same is told.
pub const DELIVERY_HEADER: &str = "provost-delivery";

/// One message.
struct Message {
    /// The same whenever the same is told.
    delivery: String,
    body: String,
}

/// What was told: of which approval, that it stands so.
pub(super) type Told = HashSet<(ApprovalId, &'static str)>;

/// A client for messages.
///
/// # Errors
/// As reqwest, where TLS can't be set up.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(SEND_TIMEOUT)
        .build()
}

/// Tells one receiver, for ever.
pub(crate) async fn run(approvals: Arc<Approvals>, webhook: Webhook, client: reqwest::Client) {
    let mut told = Told::new();
    let mut untold = Untold::default();
    let mut failures = 0;
    loop {
        let mut pause = LOOK_PAUSE;
        let of_glass = tell_of_glass(&approvals, &webhook, &client, &mut untold).await;
        let of_cases = tell_all(&approvals, &webhook, &client, &mut told).await;
        match of_glass.and(of_cases) {
            Ok(()) => failures = 0,
            Err(problem) => {
                if failures == 0 {
                    tracing::warn!(webhook = shown(&webhook.url), %problem, "a message could not be delivered; it is sent again");
                }
                pause = retry_pause(failures);
                failures = failures.saturating_add(1);
            }
        }
        sleep(pause).await;
    }
}

/// How long to wait after so many failures, and one more.
pub(super) fn retry_pause(failures: usize) -> Duration {
    let seconds = RETRY_PAUSES.get(failures).or(RETRY_PAUSES.last());
    Duration::from_secs(seconds.copied().unwrap_or(1))
}

/// What was not told yet, the oldest first: that it waits, or how it ended. What is known no more is forgotten.
pub(super) fn news(approvals: &Approvals, told: &mut Told) -> Vec<(Arc<Case>, Standing)> {
    let mut cases = approvals.list();
    let known: HashSet<&ApprovalId> = cases.iter().map(|(case, _)| &case.request.id).collect();
    told.retain(|(id, _)| known.contains(id));
    cases.reverse();
    let is_news = |(case, standing): &(Arc<Case>, Standing)| {
        let request = &case.request;
        let begun = (request.id.clone(), Standing::Waiting.name());
        let now = (request.id.clone(), standing.name());
        // Others tell what others ask; and of what was over before we came, there is nothing to tell.
        request.gateway == approvals.gateway()
            && match standing.is_over() {
                true => told.contains(&begun) && !told.contains(&now),
                false => !told.contains(&begun),
            }
    };
    let as_told = |(case, standing): (Arc<Case>, Standing)| match standing.is_over() {
        true => (case, standing),
        false => (case, Standing::Waiting),
    };
    let cases = cases.into_iter().filter(is_news);
    cases.map(as_told).collect()
}

/// Tells of broken glass; the first failure, where there is one, after which the same is told again.
async fn tell_of_glass(
    approvals: &Approvals,
    webhook: &Webhook,
    client: &reqwest::Client,
    untold: &mut Untold,
) -> Result<(), String> {
    untold.take(&approvals.news);
    let mut failures = Vec::new();
    for _ in 0..untold.len().min(GLASS_AT_ONCE) {
        let Some(broken) = untold.first() else { break };
        if let Err(problem) = send(client, webhook, &glass_message(webhook.form, &broken)).await {
            untold.again(broken);
            failures.push(problem);
        }
        if failures.len() == FAILURES_MAX {
            break;
        }
    }
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// Tells what was not told yet; the first failure, where there is one.
async fn tell_all(
    approvals: &Approvals,
    webhook: &Webhook,
    client: &reqwest::Client,
    told: &mut Told,
) -> Result<(), String> {
    let mut failed = Ok(());
    for (case, standing) in news(approvals, told) {
        let request = &case.request;
        let sent = send(client, webhook, &message(webhook, request, &standing)).await;
        if sent.is_ok() {
            told.insert((request.id.clone(), standing.name()));
        }
        // One that is never taken keeps none of the others.
        failed = failed.and(sent);
    }
    failed
}

async fn send(
    client: &reqwest::Client,
    webhook: &Webhook,
    message: &Message,
) -> Result<(), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let timestamp = now.map_or(0, |since| since.as_secs()).to_string();
    let signature = sign(&webhook.secret, &timestamp, &message.body);
    let sent = client
        .post(webhook.url.as_str())
        .header("content-type", "application/json")
        .header(DELIVERY_HEADER, &message.delivery)
        .header(TIMESTAMP_HEADER, &timestamp)
        .header(SIGNATURE_HEADER, format!("v1={signature}"))
        .body(message.body.clone())
        .send()
        .await;
    match sent {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("it answered {}", answer.status())),
        // The URL may hold a secret: it is not said.
        Err(error) => Err(error.without_url().to_string()),
    }
}

/// HMAC-SHA256, lower-case hex, over the timestamp, a full stop and the body.
#[must_use]
pub fn sign(secret: &Secret, timestamp: &str, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.reveal()) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// Where an approval is looked at, where the configuration says at which console.
pub(super) fn link_to(console: Option<&str>, id: &ApprovalId) -> Option<String> {
    console.map(|console| format!("{}/approvals/{id}", console.trim_end_matches('/')))
}

fn message(webhook: &Webhook, request: &Request, standing: &Standing) -> Message {
    let delivery = Sha256::digest(format!("{} {}", request.id, standing.name()));
    let link = link_to(webhook.link.as_deref(), &request.id);
    let body = match webhook.form {
        WebhookForm::Json => as_json(request, standing, link.as_deref()),
        WebhookForm::Slack => as_slack(
            request,
            standing,
            link.as_deref(),
            (webhook.template.as_ref(), webhook.buttons.as_ref()),
        ),
    };
    Message {
        delivery: hex(&delivery),
        body: body.to_string(),
    }
}

fn glass_message(form: WebhookForm, broken: &BrokenGlass) -> Message {
    let BrokenGlass {
        at, session, rule, ..
    } = broken;
    let body = match form {
        WebhookForm::Json => json!({ "event": "break-glass", "glass": broken }),
        WebhookForm::Slack => {
            let who = acting_for(&broken.principal, broken.on_behalf_of.as_deref());
            let head = format!("Glass is broken by {who}");
            let words = format!(
                "*{}*\non `{}`, by rule {}\n{}",
                escaped(&head),
                escaped(&broken.target),
                escaped(rule),
                escaped(&broken.reason.replace('`', "'")),
            );
            // Else the chat refuses all of it, again and again.
            let words: String = words.chars().take(CHAT_TEXT_CHARS_MAX).collect();
            let block = json!({ "type": "section", "text": { "type": "mrkdwn", "text": words } });
            json!({ "text": escaped(&head), "blocks": [block] })
        }
    };
    Message {
        delivery: hex(&Sha256::digest(format!(
            "break-glass {session} {rule} {}",
            at.0
        ))),
        body: body.to_string(),
    }
}

fn as_json(request: &Request, standing: &Standing, link: Option<&str>) -> Value {
    let mut approval = serde_json::to_value(request).unwrap_or_default();
    if let Some(approval) = approval.as_object_mut() {
        // What only gateways compare.
        for key in ["sql_digest", "parameters_digest", "binding_digest"] {
            approval.remove(key);
        }
    }
    let (by, reason) = words(standing);
    json!({
        "standing": standing.name(),
        "by": by,
        "reason": reason,
        "link": link,
        "approval": approval,
    })
}

fn as_slack(
    request: &Request,
    standing: &Standing,
    link: Option<&str>,
    (template, buttons): (Option<&Template>, Option<&Secret>),
) -> Value {
    // Only what waits is voted on.
    let buttons = buttons.filter(|_| *standing == Standing::Waiting);
    let who = request.who();
    let is_shown_whole = buttons.is_some() && super::buttons::whole(request).is_some();
    let head = match (standing, words(standing)) {
        (Standing::Waiting, _) => format!("Approval wanted: {}", request.needs_told()),
        (_, (Some(by), _)) => format!("Approval {} by {by}", standing.name()),
        _ => format!("Approval {}", standing.name()),
    };
    let reason = words(standing).1.unwrap_or_default();
    let sql = request.sql.as_deref().unwrap_or("(not kept)");
    // Nobody can end the block of code: chats have no way to write it within one.
    // Each character may become five.
    let whole = sql.replace('`', "'");
    let mut sql: String = whole.chars().take(CHAT_SQL_CHARS_MAX).collect();
    if sql.len() < whole.len() {
        sql.push_str(" ... (more of it: see below)");
    }
    let text =
        |text: String| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    let told = News {
        request,
        standing,
        link,
    };
    let mut blocks = match template {
        Some(template) => vec![text(in_chat(template, &told))],
        None => [
            Some(text(format!("*{}*", escaped(&head)))),
            Some(text(format!(
                "{} on `{}`, by rule {}{}",
                escaped(&who),
                escaped(&request.target),
                escaped(&request.rules.join(", ")),
                if reason.is_empty() {
                    String::new()
                } else {
                    format!("\n{}", escaped(&reason))
                },
            ))),
            // With buttons it stands there, whole.
            (!is_shown_whole).then(|| text(format!("```{}```", escaped(&sql)))),
            Some(text(format!("`provost approvals show {}`", request.id))),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    if let Some(secret) = buttons {
        blocks.extend(super::buttons::blocks(secret, request, link));
    } else if let Some(link) = link {
        blocks.push(json!({
            "type": "actions",
            "elements": [{
                "type": "button",
                "text": { "type": "plain_text", "text": "Look at it" },
                "url": link,
            }],
        }));
    }
    json!({ "text": escaped(&head), "blocks": blocks })
}

/// A template's text, for a chat: of its values nothing is a mark.
fn in_chat(template: &Template, told: &News<'_>) -> String {
    let text = template.render(told, |value| escaped(&value.replace('`', "'")));
    // Else the chat refuses all of it, again and again.
    text.chars().take(CHAT_TEXT_CHARS_MAX).collect()
}

/// Who ended it and why, where people did.
pub(super) fn words(standing: &Standing) -> (Option<String>, Option<String>) {
    match standing {
        Standing::Refused { by, reason } => (by.clone(), reason.clone()),
        Standing::Waiting
        | Standing::Approved
        | Standing::Expired
        | Standing::Withdrawn
        | Standing::Used => (None, None),
    }
}

/// What a chat must not take for its own marks.
///
/// # Source
/// Slack's "Formatting text for app surfaces": `&`, `<` and `>` are to be escaped.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A URL without its path, which may be a secret, as chats' are.
fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

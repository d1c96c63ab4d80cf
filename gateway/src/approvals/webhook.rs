//! Tells whoever is asked: signed messages over HTTP, for programs as JSON, for chats as Slack takes them.
//!
//! What is told again has the same name. Must never follow a redirect, nor send a value that evidence would not hold.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, Mac as _};
use openidconnect::reqwest;
use provost_evidence::approvals::{ApprovalId, Request};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{
    Approvals, BrokenGlass, Standing, Template,
    telling::{Receiver, Sent, Tidings, tell_for_ever},
    template::News,
};
use crate::{
    record::hex,
    settings::{Secret, Webhook, WebhookForm},
};

/// How long one message may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
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

/// One that is told over HTTP.
struct Hook {
    webhook: Webhook,
    client: reqwest::Client,
}

impl Receiver for Hook {
    fn name(&self) -> String {
        shown(&self.webhook.url)
    }

    async fn tell(&self, tidings: &Tidings) -> Sent {
        let message = match tidings {
            Tidings::Glass(broken) => glass_message(self.webhook.form, broken),
            Tidings::Case(case, standing) => message(&self.webhook, &case.request, standing),
        };
        send(&self.client, &self.webhook, &message).await
    }
}

/// Tells one receiver, for ever.
pub(crate) async fn run(approvals: Arc<Approvals>, webhook: Webhook, client: reqwest::Client) {
    tell_for_ever(approvals, Hook { webhook, client }).await;
}

async fn send(client: &reqwest::Client, webhook: &Webhook, message: &Message) -> Sent {
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
        Ok(answer) if answer.status().is_success() => Sent::Taken,
        Ok(answer) => Sent::Later(format!("it answered {}", answer.status())),
        // The URL may hold a secret: it is not said.
        Err(error) if error.is_connect() => Sent::Down(error.without_url().to_string()),
        Err(error) => Sent::Broken(error.without_url().to_string()),
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
    let body = match form {
        WebhookForm::Json => json!({ "event": "break-glass", "glass": broken }),
        WebhookForm::Slack => {
            let head = broken.head();
            let words = format!(
                "*{}*\non `{}`, by rule {}\n{}",
                escaped(&head),
                escaped(&broken.target),
                escaped(&broken.rule),
                escaped(&broken.reason.replace('`', "'")),
            );
            // Else the chat refuses all of it, again and again.
            let words: String = words.chars().take(CHAT_TEXT_CHARS_MAX).collect();
            let block = json!({ "type": "section", "text": { "type": "mrkdwn", "text": words } });
            json!({ "text": escaped(&head), "blocks": [block] })
        }
    };
    Message {
        delivery: broken.delivery(),
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

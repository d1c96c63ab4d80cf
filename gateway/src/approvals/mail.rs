//! Tells whoever is asked by mail: what waits for them, what became of it, and broken glass.
//!
//! As webhooks do, away from the threads that serve sessions. Must never let a value become a header or a line of SMTP.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use lettre::{
    Message,
    message::{
        Mailbox, MessageBuilder,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use provost_evidence::approvals::ApprovalId;
use tokio::time::timeout;

use super::{
    Approvals, BrokenGlass, Standing, Template,
    mail_server::{MailError, MailServer, SendError},
    telling::{Receiver, Sent, Tidings, tell_for_ever},
    template::{News, moment},
    webhook,
};
use crate::{console::visible, settings::Mail};

/// How long a message may take, from connecting to the server's yes.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Answers that are about our login and not about the message: a later one may be taken (RFC 4954, section 6).
const LOGIN_CODES: [&str; 4] = ["530", "534", "535", "538"];
/// Answers nobody should make by themselves (RFC 3834).
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// Somebody's address, perhaps with their name: `dba@example.com` or `DBAs <dba@example.com>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAddress(Mailbox);

impl MailAddress {
    /// Reads one. `None` where it is none, and where the address itself is not ASCII.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.chars().any(char::is_control) {
            return None;
        }
        let mailbox = Mailbox::from_str(text).ok()?;
        let address: &str = mailbox.email.as_ref();
        address.is_ascii().then_some(Self(mailbox))
    }
}

/// One of those who are told.
pub(crate) struct Recipient {
    server: Arc<MailServer>,
    from: Mailbox,
    to: Mailbox,
    link: Option<String>,
    template: Option<Template>,
}

/// All who are told by this server. Nothing is sent yet.
///
/// # Errors
/// [`MailError`].
pub(crate) fn recipients(mail: &Mail) -> Result<Vec<Recipient>, MailError> {
    let server = Arc::new(MailServer::new(mail)?);
    let recipient = |to: &MailAddress| Recipient {
        server: Arc::clone(&server),
        from: mail.from.0.clone(),
        to: to.0.clone(),
        link: mail.link.clone(),
        template: mail.template.clone(),
    };
    Ok(mail.to.iter().map(recipient).collect())
}

/// Tells one of them, for ever.
pub(crate) async fn run(approvals: Arc<Approvals>, recipient: Recipient) {
    tell_for_ever(approvals, recipient).await;
}

impl Receiver for Recipient {
    fn name(&self) -> String {
        self.to.to_string()
    }

    async fn tell(&self, tidings: &Tidings) -> Sent {
        let message = match tidings {
            Tidings::Glass(broken) => glass_message(self, broken),
            Tidings::Case(case, standing) => {
                let link = webhook::link_to(self.link.as_deref(), &case.request.id);
                let news = News {
                    request: &case.request,
                    standing,
                    link: link.as_deref(),
                };
                message(self, &news)
            }
        };
        match message {
            Ok(message) => send(&self.server, &message).await,
            Err(error) => Sent::GivenUp(error.to_string()),
        }
    }
}

async fn send(server: &MailServer, message: &Message) -> Sent {
    match timeout(SEND_TIMEOUT, server.take(message)).await {
        Ok(Ok(())) => Sent::Taken,
        Ok(Err(error)) => outcome(&error),
        Err(_) => Sent::Broken(format!("no answer in {} s", SEND_TIMEOUT.as_secs())),
    }
}

/// What an error means for the message.
fn outcome(error: &SendError) -> Sent {
    // Some of it is the server's words.
    let problem = visible(&error.to_string());
    let error = match error {
        SendError::Connect(_) => return Sent::Down(problem),
        SendError::Smtp(error) => error,
    };
    match error.status().map(|code| code.to_string()) {
        None => Sent::Broken(problem),
        Some(code) if LOGIN_CODES.contains(&code.as_str()) => Sent::Down(problem),
        Some(_) if error.is_permanent() => Sent::GivenUp(problem),
        Some(_) => Sent::Later(problem),
    }
}

/// The message: headers of fixed words, an id and the operator's addresses; the text of all else.
fn message(recipient: &Recipient, news: &News<'_>) -> Result<Message, lettre::error::Error> {
    let id = &news.request.id;
    let subject = match news.standing {
        Standing::Waiting => format!("Approval wanted: {id}"),
        over => format!("Approval {}: {id}", over.name()),
    };
    let text = match &recipient.template {
        Some(template) => template.render(news, plain),
        None => built_in(news),
    };
    let begun = name(recipient, id, &Standing::Waiting);
    let mut builder = begin(recipient, subject, name(recipient, id, news.standing));
    if *news.standing != Standing::Waiting {
        builder = builder.in_reply_to(begun.clone()).references(begun);
    }
    builder.body(text)
}

/// The message that somebody broke glass: headers of fixed words, and a digest.
fn glass_message(
    recipient: &Recipient,
    broken: &BrokenGlass,
) -> Result<Message, lettre::error::Error> {
    let name = format!("<glass.{}@{}>", broken.delivery(), domain(recipient));
    let lines = [
        plain(&broken.head()),
        format!(
            "on {}, by rule {}",
            plain(&broken.target),
            plain(&broken.rule)
        ),
        plain(&broken.reason),
        format!("\nSince: {}", moment(broken.at)),
        format!("Session: {}", plain(&broken.session)),
        format!("Gateway: {}", plain(&broken.gateway)),
    ];
    begin(recipient, "Glass is broken".to_owned(), name).body(lines.join("\n") + "\n")
}

fn begin(recipient: &Recipient, subject: String, name: String) -> MessageBuilder {
    Message::builder()
        .from(recipient.from.clone())
        .to(recipient.to.clone())
        .subject(subject)
        // The same whenever the same is told: mail programs show it once.
        .message_id(Some(name))
        .date_now()
        .raw_header(HeaderValue::new(
            AUTO_SUBMITTED,
            "auto-generated".to_owned(),
        ))
        .header(ContentType::TEXT_PLAIN)
}

/// A message's name.
fn name(recipient: &Recipient, id: &ApprovalId, standing: &Standing) -> String {
    format!("<{id}.{}@{}>", standing.name(), domain(recipient))
}

fn domain(recipient: &Recipient) -> &str {
    recipient.from.email.domain()
}

/// A value as text: nothing hidden, and its further lines are not taken for lines of the message.
fn plain(value: &str) -> String {
    visible(value).replace('\n', "\n    ")
}

/// What is told unless the operator says otherwise.
fn built_in(news: &News<'_>) -> String {
    let request = news.request;
    let who = request.who();
    let mut lines = Vec::new();
    let (by, reason) = webhook::words(news.standing);
    match (news.standing, by) {
        (Standing::Waiting, _) => lines.push(format!(
            "{} wants to run this on {} as {}:",
            plain(&who),
            plain(&request.target),
            plain(&request.role)
        )),
        (over, Some(by)) => lines.push(format!("This was {} by {}:", over.name(), plain(&by))),
        (over, None) => lines.push(format!("This is {}:", over.name())),
    }
    lines.push(format!("\n    {}\n", plain(&news.sql())));
    match news.standing {
        Standing::Waiting => {
            lines.push(format!("Rows, as the planner expects: {}", news.rows()));
            lines.push(format!("Rules: {}", plain(&request.rules.join(", "))));
            lines.extend(
                (request.reason.iter()).map(|reason| format!("Why it waits: {}", plain(reason))),
            );
            lines.push(format!("Wanted: {}", plain(&request.needs_told())));
            lines.push(format!("Until: {}", news.expires()));
        }
        _ => {
            lines.push(format!("It was asked for by {}.", plain(&who)));
            lines.extend(reason.map(|reason| format!("Reason: {}", plain(&reason))));
        }
    }
    lines.push(format!("\nprovost approvals show {}", request.id));
    lines.extend(news.link.map(str::to_owned));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use provost_evidence::{
        approvals::{Need, Request, Rows},
        record::Micros,
    };

    use super::*;
    use crate::{approvals::tests::broken_glass, settings::MailTls};

    fn recipient(template: Option<&str>) -> Recipient {
        let mail = Mail {
            host: "mail.example.com".into(),
            port: 465,
            tls: MailTls::Wrapped,
            extra_ca: None,
            login: None,
            from: MailAddress::parse("Provost <provost@example.com>").unwrap(),
            to: vec![MailAddress::parse("dba@example.com").unwrap()],
            link: None,
            template: template.map(|template| Template::parse(template).unwrap()),
        };
        recipients(&mail).unwrap().pop().unwrap()
    }

    fn request(sql: &str) -> Request {
        let id = ApprovalId::parse("019a5d2f8c00-3f1b7a9e4c52").unwrap();
        let needs = vec![Need {
            group: "dbas".to_owned(),
            members: vec!["db-admins".to_owned()],
            count: 2,
            within_ms: 60_000,
        }];
        Request {
            requester: "devin@corp\r\nBcc: all@example.com".to_owned(),
            on_behalf_of: Some("ana@corp".to_owned()),
            target: "shop".to_owned(),
            role: "app".to_owned(),
            rules: vec!["no-deletes".to_owned()],
            sql: Some(sql.to_owned()),
            estimate: Some(Rows::Count(7)),
            ..Request::new(id, "gateway-1", Micros(1_800_000_000_000_000), needs)
        }
    }

    fn written(template: Option<&str>, sql: &str, standing: &Standing) -> String {
        let news = News {
            request: &request(sql),
            standing,
            link: Some("https://a.example/approvals/1"),
        };
        let message = message(&recipient(template), &news).unwrap();
        String::from_utf8(message.formatted()).unwrap()
    }

    #[test]
    fn who_is_asked_reads_what_and_by_whom() {
        let sql = "DELETE FROM a\nWHERE b = 1\r\n.\r\nMAIL FROM:<x@example.com>\n.\nSubject: no";
        let told = written(None, sql, &Standing::Waiting);
        let (head, text) = told.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: Provost <provost@example.com>",
            "To: dba@example.com",
            "Subject: Approval wanted: 019a5d2f8c00-3f1b7a9e4c52",
            "Message-ID: <019a5d2f8c00-3f1b7a9e4c52.waiting@example.com>",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(head.lines().any(|one| one == line), "{line}: {head}");
        }
        assert!(!head.contains("Bcc"), "{head}");
        assert!(text.contains("DELETE FROM a\r\n    WHERE b = 1"), "{text}");
        // Nothing that a value says is the beginning of a line of its own.
        for line in [".", "MAIL", "Subject", "Bcc"] {
            assert!(!text.lines().any(|one| one.starts_with(line)), "{text}");
        }
        for words in [
            "(for ana@corp) wants to run this on shop as app:",
            "Rows, as the planner expects: 7",
            "Wanted: 2 of dbas within 1 min",
            "https://a.example/approvals/1",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(text.replace("\r\n", "").find(['\r', '\n']), None, "{text}");
    }

    #[test]
    fn the_end_answers_the_question() {
        let refused = Standing::Refused {
            by: Some("dora@corp".to_owned()),
            reason: Some("the wrong\nyear".to_owned()),
        };
        let told = written(None, "DELETE FROM a", &refused);
        for words in [
            "Subject: Approval refused: 019a",
            "Message-ID: <019a5d2f8c00-3f1b7a9e4c52.refused@example.com>",
            "In-Reply-To: <019a5d2f8c00-3f1b7a9e4c52.waiting@example.com>",
            "This was refused by dora@corp:",
            "Reason: the wrong\r\n    year",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let used = written(None, "DELETE FROM a", &Standing::Used);
        assert!(used.contains("This is used:"), "{used}");
        let template = Some("Now {standing}: {requester}");
        let own = written(template, "", &Standing::Expired);
        let (head, text) = own.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Subject: Approval expired: 019a"), "{head}");
        assert!(
            text.starts_with("Now expired: devin@corp\\u{d}\r\n    Bcc"),
            "{text}"
        );
    }

    #[test]
    fn broken_glass_is_told_in_the_text_alone() {
        let broken = BrokenGlass {
            principal: "devin@corp\r\nBcc: all@example.com".to_owned(),
            on_behalf_of: Some("ana@corp".to_owned()),
            reason: "INC-7: down\n.\nSubject: no (on call)".to_owned(),
            ..broken_glass("0123")
        };
        let written = glass_message(&recipient(Some("Now {standing}")), &broken).unwrap();
        let told = String::from_utf8(written.formatted()).unwrap();
        let (head, text) = told.split_once("\r\n\r\n").unwrap();
        let name = format!("Message-ID: <glass.{}@example.com>", broken.delivery());
        for line in ["Subject: Glass is broken", "To: dba@example.com", &name] {
            assert!(head.lines().any(|one| one == line), "{line}: {head}");
        }
        assert!(!head.contains("Bcc") && !head.contains("INC"), "{head}");
        for line in [".", "Subject", "Bcc"] {
            assert!(!text.lines().any(|one| one.starts_with(line)), "{text}");
        }
        for words in [
            "Glass is broken by devin@corp",
            "(for ana@corp)\r\non shop, by rule incident\r\nINC-7: down\r\n    .",
            "Session: 0123",
            "Since: 1970-01-01T00:00:00",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn an_address_is_one() {
        for (text, expected) in [
            ("a@example.com", true),
            ("The DBAs <a@example.com>", true),
            ("Zoë <a@example.com>", true),
            ("zoë@example.com", false),
            ("a@example.com\r\nBcc: b@example.com", false),
            ("a@example.com, b@example.com", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(MailAddress::parse(text).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn authorities_must_be_some() {
        let mail = Mail {
            extra_ca: Some(b"-----BEGIN CERTIFICATE-----\nx\n".to_vec()),
            ..Mail {
                host: "mail.example.com".into(),
                port: 587,
                tls: MailTls::StartTls,
                extra_ca: None,
                login: None,
                from: MailAddress::parse("a@example.com").unwrap(),
                to: Vec::new(),
                link: None,
                template: None,
            }
        };
        assert!(matches!(
            recipients(&mail),
            Err(MailError::Authorities { .. })
        ));
    }
}

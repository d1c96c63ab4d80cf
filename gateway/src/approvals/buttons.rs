//! Buttons in Slack: what a person is shown who may press one, and how what is pressed is known to be ours.
//!
//! It must never offer to approve what is not shown whole: the exact text, every value, and what they mean.

use hmac::{Hmac, Mac as _};
use provost_evidence::approvals::{ApprovalId, Request, Rows, VoteKind};
use serde_json::{Value, json};
use sha2::Sha256;

use super::webhook::escaped;
use crate::{console::visible, record::hex, settings::Secret};

/// The button that looks and says nothing: a link, of which Slack tells, too.
pub(crate) const LOOK: &str = "provost-look";
/// The longest text of one block, in UTF-16 units; what needs more is not shown whole. Slack's blocks take 3,000 characters, and it says
/// nowhere how it counts them.
const BLOCK_UNITS_MAX: usize = 2_900;
/// What a tag is over, before the rest: no signature of Slack's begins so, which are made with the same secret.
const TAG: &str = "provost-button-v1";

/// A button that was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Press {
    /// On what.
    pub(crate) id: ApprovalId,
    /// What it says.
    pub(crate) vote: VoteKind,
    tag: [u8; 32],
}

impl Press {
    /// Reads a button's `action_id` and `value`. `None` where they are none of ours.
    pub(crate) fn parse(action: &str, value: &str) -> Option<Self> {
        let vote = [VoteKind::Approve, VoteKind::Deny]
            .into_iter()
            .find(|vote| action_id(*vote) == action)?;
        let (id, tag) = value.split_once(' ')?;
        Some(Self {
            id: ApprovalId::parse(id)?,
            vote,
            tag: unhex(tag)?,
        })
    }

    /// Whether we made this button, for this very request: whoever can post to the chat, and knows an id, has no tag.
    pub(crate) fn is_of(&self, secret: &Secret, request: &Request) -> bool {
        request.id == self.id
            && tag(secret, request, self.vote)
                .is_some_and(|mac| mac.verify_slice(&self.tag).is_ok())
    }
}

const fn action_id(vote: VoteKind) -> &'static str {
    match vote {
        VoteKind::Approve => "provost-approve",
        VoteKind::Deny => "provost-deny",
    }
}

fn tag(secret: &Secret, request: &Request, vote: VoteKind) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal()).ok()?;
    for part in [
        TAG,
        action_id(vote),
        request.id.as_str(),
        &request.binding_digest,
    ] {
        mac.update(part.as_bytes());
        mac.update(b"\n");
    }
    Some(mac)
}

/// 32 bytes from lower-case hex.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 64 || !text.bytes().all(is_hex) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// What a person must see who approves it, as texts of blocks. `None` where it can't be shown whole: it is too long, has backticks, which
/// would end what is shown as it is, or evidence keeps its text or values from people.
pub(crate) fn whole(request: &Request) -> Option<Vec<String>> {
    let sql = request.sql.as_deref().filter(|_| request.sql_is_exact)?;
    if request.parameters.is_none() && request.parameters_digest.is_some() {
        return None;
    }
    let mut facts = vec![
        ("Asked by", request.who()),
        ("Target", request.target.clone()),
        ("Role", request.role.clone()),
        ("Search path", request.search_path.join(", ")),
        ("Rows, as the planner expects", rows(request)),
    ];
    facts.extend(settings(request).map(|settings| ("Settings", settings)));
    let facts: Vec<String> = facts
        .into_iter()
        // Each on its line, whatever it says.
        .map(|(name, fact)| format!("{name}: {}", fact.replace('\n', " ")))
        .collect();
    let values = request.parameters.iter().flatten().enumerate();
    let values: Vec<String> = values
        .map(|(at, value)| match value {
            Some(value) => format!("${} = {value:?}", at + 1),
            None => format!("${} = NULL", at + 1),
        })
        .collect();
    let texts = [facts.join("\n"), sql.to_owned(), values.join("\n")];
    let texts = texts.iter().filter(|text| !text.is_empty());
    texts.map(|text| as_it_is(text)).collect()
}

fn rows(request: &Request) -> String {
    match &request.estimate {
        Some(Rows::Count(count)) => count.to_string(),
        Some(Rows::Unknown { why }) => format!("unknown, {why}"),
        None => "unknown".to_owned(),
    }
}

fn settings(request: &Request) -> Option<String> {
    let changed = (request.settings_changed)
        .then(|| "the session may have changed settings since".to_owned());
    let told: Vec<String> = request.settings.iter().cloned().chain(changed).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// A block of code, in which a chat knows no marks.
fn as_it_is(text: &str) -> Option<String> {
    let told = format!("```{}```", escaped(&visible(text)));
    let fits = !text.contains('`') && told.encode_utf16().count() <= BLOCK_UNITS_MAX;
    fits.then_some(told)
}

/// The blocks that a message ends with while people are asked.
pub(crate) fn blocks(secret: &Secret, request: &Request, link: Option<&str>) -> Vec<Value> {
    let section = |text: &str| json!({ "type": "section", "expand": true, "text": { "type": "mrkdwn", "text": text } });
    let (mut blocks, votes): (Vec<Value>, &[VoteKind]) = match whole(request) {
        Some(texts) => (
            texts.iter().map(|text| section(text)).collect(),
            &[VoteKind::Approve, VoteKind::Deny],
        ),
        None => (
            vec![section(
                "_It can't be shown whole here: look at it there to approve it._",
            )],
            &[VoteKind::Deny],
        ),
    };
    let mut elements: Vec<Value> = votes
        .iter()
        .filter_map(|vote| button(secret, request, *vote))
        .collect();
    elements.extend(link.map(|link| {
        json!({
            "type": "button",
            "action_id": LOOK,
            "text": { "type": "plain_text", "text": "Look at it" },
            "url": link,
        })
    }));
    blocks.push(json!({ "type": "actions", "elements": elements }));
    blocks
}

fn button(secret: &Secret, request: &Request, vote: VoteKind) -> Option<Value> {
    let (name, style, question) = match vote {
        VoteKind::Approve => (
            "Approve",
            "primary",
            "It may run then, once. Your vote stands.",
        ),
        VoteKind::Deny => (
            "Deny",
            "danger",
            "It is refused then, whoever else approves.",
        ),
    };
    let tag = tag(secret, request, vote)?.finalize().into_bytes();
    let text = |text: &str| json!({ "type": "plain_text", "text": text });
    Some(json!({
        "type": "button",
        "action_id": action_id(vote),
        "value": format!("{} {}", request.id, hex(&tag)),
        "style": style,
        "text": text(name),
        "confirm": {
            "title": text(name),
            "text": text(question),
            "confirm": text(name),
            "deny": text("Back"),
        },
    }))
}

#[cfg(test)]
mod tests {
    use provost_evidence::{approvals::Need, record::Micros};

    use super::*;

    fn secret() -> Secret {
        Secret::new(*b"8f742231b10e8888abcd99yyyzzz85a5")
    }

    fn request(sql: &str) -> Request {
        let id = ApprovalId::parse("019a5d2f8c00-3f1b7a9e4c52").unwrap();
        Request {
            requester: "devin@corp".to_owned(),
            on_behalf_of: Some("ana@corp".to_owned()),
            target: "shop".to_owned(),
            role: "app".to_owned(),
            search_path: vec!["app".to_owned(), "public".to_owned()],
            sql: Some(sql.to_owned()),
            sql_is_exact: true,
            parameters: Some(vec![Some("7\n$2 = \"no\"".to_owned()), None]),
            parameters_digest: Some("digest".to_owned()),
            estimate: Some(Rows::Count(7)),
            binding_digest: "this".to_owned(),
            ..Request::new(id, "gateway-1", Micros(0), Vec::<Need>::new())
        }
    }

    #[test]
    fn all_of_it_is_shown_as_it_is() {
        let shown = whole(&request("DELETE FROM a\nWHERE b < $1 <!here>\u{202e}")).unwrap();
        assert_eq!(
            shown,
            [
                "```Asked by: devin@corp (for ana@corp)\nTarget: shop\nRole: app\nSearch path: app, public\nRows, as the planner expects: 7```",
                "```DELETE FROM a\nWHERE b &lt; $1 &lt;!here&gt;\\u{202e}```",
                "```$1 = \"7\\n$2 = \\\"no\\\"\"\n$2 = NULL```",
            ]
        );
        let changed = Request {
            settings: vec!["bytea_output = escape".to_owned()],
            settings_changed: true,
            requester: "devin\nTarget: test".to_owned(),
            parameters: None,
            parameters_digest: None,
            ..request("DELETE FROM a")
        };
        let shown = whole(&changed).unwrap();
        assert_eq!(shown.len(), 2);
        assert!(
            shown[0].ends_with(
                "Settings: bytea_output = escape, the session may have changed settings since```"
            ),
            "{shown:?}"
        );
        assert!(
            shown[0].starts_with("```Asked by: devin Target: test (for"),
            "{shown:?}"
        );
    }

    #[test]
    fn what_is_not_shown_whole_can_only_be_denied() {
        let hidden = |sql: Option<&str>| Request {
            sql: sql.map(str::to_owned),
            ..request("")
        };
        let long = "x".repeat(2_895);
        let lesser = "<".repeat(725);
        let wide = "𝄞".repeat(1_448);
        let cases = [
            hidden(None),
            Request {
                sql_is_exact: false,
                ..request("DELETE FROM a WHERE b = 'hmac:0f'")
            },
            hidden(Some("SELECT '`'")),
            hidden(Some(&long)),
            hidden(Some(&lesser)),
            hidden(Some(&wide)),
            Request {
                parameters: None,
                ..request("DELETE FROM a")
            },
            Request {
                parameters: Some(vec![Some(long.clone())]),
                ..request("DELETE FROM a")
            },
            Request {
                role: "`".to_owned(),
                ..request("DELETE FROM a")
            },
        ];
        for request in cases {
            assert_eq!(whole(&request), None, "{request:?}");
            let blocks = blocks(&secret(), &request, Some("https://a.example"));
            let told = serde_json::to_string(&blocks).unwrap();
            assert!(!told.contains("provost-approve"), "{told}");
            assert!(told.contains("provost-deny") && told.contains("look at it there"));
            assert!(told.contains("https://a.example"));
        }
        assert!(whole(&hidden(Some(&long[1..]))).is_some());
    }

    #[test]
    fn a_press_is_of_one_button() {
        let request = request("DELETE FROM a");
        let blocks = blocks(&secret(), &request, None);
        let buttons = blocks.last().unwrap()["elements"]
            .as_array()
            .unwrap()
            .clone();
        let read = |button: &Value, action: &str| {
            assert!(button["value"].as_str().unwrap().len() <= 2_000);
            Press::parse(action, button["value"].as_str().unwrap())
        };
        for (button, vote) in buttons.iter().zip([VoteKind::Approve, VoteKind::Deny]) {
            let press = read(button, button["action_id"].as_str().unwrap()).unwrap();
            assert_eq!((press.vote, &press.id), (vote, &request.id));
            assert!(press.is_of(&secret(), &request));
            assert!(!press.is_of(&Secret::new(*b"another"), &request));
            let other = Request {
                binding_digest: "that".to_owned(),
                ..request.clone()
            };
            assert!(!press.is_of(&secret(), &other));
            let other = Request {
                id: ApprovalId::parse("019a5d2f8c00-3f1b7a9e4c53").unwrap(),
                ..request.clone()
            };
            assert!(!press.is_of(&secret(), &other));
        }
        // One button's value does not do for the other.
        let crossed = read(&buttons[1], "provost-approve").unwrap();
        assert!(!crossed.is_of(&secret(), &request));
        let good = buttons[0]["value"].as_str().unwrap();
        for (action, value) in [
            ("provost-look", good),
            ("", good),
            ("provost-approve", ""),
            ("provost-approve", "019a5d2f8c00-3f1b7a9e4c52"),
            ("provost-approve", &good.to_uppercase()),
            ("provost-approve", &format!("{good}0")),
            ("provost-approve", &good[1..]),
            ("provost-approve", &good.replace(' ', "  ")),
            ("provost-approve", &good.replace("019a", "../a")),
            ("provost-approve", &good.replace("019a", "é9a")),
        ] {
            assert_eq!(Press::parse(action, value), None, "{action} {value}");
        }
    }
}

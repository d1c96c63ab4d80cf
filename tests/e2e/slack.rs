//! Buttons in Slack with the real gateway: its message to a webhook, and what Slack sends when somebody presses, made and signed by
//! Python's own HMAC and sent over TLS.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::Command,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{House, Person, free_port, python, run_with_input, succeeded, text};

/// Deletes of agents wait for two people.
const HELD: &str = r#"
rule deletes-need-people
  hold delete on public.orders for agents
  until 2 of dbas approve within 2 min
"#;
/// Slack's signing secret.
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
/// Sends a payload as Slack does, and prints the status.
const PRESS: &str = r#"
import hashlib, hmac, json, ssl, sys, time, urllib.error, urllib.parse, urllib.request
url, ca, secret = sys.argv[1:]
body = urllib.parse.urlencode({"payload": sys.stdin.read()}).encode()
now = str(int(time.time()))
signature = hmac.new(secret.encode(), b"v0:" + now.encode() + b":" + body, hashlib.sha256).hexdigest()
request = urllib.request.Request(url, body, {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": "v0=" + signature})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)))
try:
    print(opener.open(request).status)
except urllib.error.HTTPError as refused:
    print(refused.status)
"#;

/// Stands for Slack's incoming webhook: takes messages and gives them.
fn incoming() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/services/T1", listener.local_addr().unwrap());
    let (sender, messages) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            lines.read_exact(&mut body).unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            stream.write_all(answer.as_bytes()).unwrap();
            if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, messages)
}

/// A button of a message, as Slack sends it back.
fn action(message: &Value, name: &str) -> Value {
    let blocks = message["blocks"].as_array().unwrap();
    let elements = blocks
        .iter()
        .flat_map(|block| block["elements"].as_array().into_iter().flatten());
    let mut found = elements.filter(|element| element["action_id"] == name);
    let button = found
        .next()
        .unwrap_or_else(|| panic!("no {name}: {message}"));
    json!({ "type": "button", "action_id": name, "value": button["value"], "action_ts": "1.2" })
}

/// Issue: a button is a vote, of the person that the configuration names, and in evidence as what it is.
#[test]
fn a_button_in_slack_is_a_vote() {
    let mut house = House::without_gateway();
    std::fs::write(house.path("policies/held.pol"), HELD).unwrap();
    let (url, messages) = incoming();
    let console = free_port();
    house.environment.extend([
        ("HOOK_URL".to_owned(), url),
        ("HOOK_SECRET".to_owned(), "hook secret".to_owned()),
        ("SLACK_SECRET".to_owned(), SECRET.to_owned()),
    ]);
    house.write_config(|config| {
        format!(
            r#"{config}
[console]
listen = "127.0.0.1:{console}"
[[approvals.webhook]]
url = "env:HOOK_URL"
secret = "env:HOOK_SECRET"
form = "slack"
link = "https://approvals.example.com"
buttons = true
[approvals.slack]
signing_secret = "env:SLACK_SECRET"
team = "T1"
people = [
  {{ user = "U1", id = "dora@corp", groups = ["db-admins"] }},
  {{ user = "U2", id = "carl@corp", groups = ["db-admins"] }},
  {{ user = "U3", id = "devin@corp", groups = ["db-admins"] }},
]
"#
        )
    });
    house.start_gateway();
    let press = |user: &str, action: Value| {
        let payload = json!({
            "type": "block_actions",
            "user": { "id": user, "team_id": "T1" },
            "team": { "id": "T1" },
            "api_app_id": "A1",
            "response_url": "http://127.0.0.1:1/never",
            "actions": [action],
        });
        let mut command = Command::new(python());
        command
            .args(["-c", PRESS])
            .arg(format!("https://127.0.0.1:{console}/slack/actions"))
            .arg(house.path("certificate.pem"))
            .arg(SECRET);
        succeeded(run_with_input(command, &payload.to_string()))
    };
    thread::scope(|scope| {
        let sql = "DELETE FROM orders WHERE id = 1;";
        let deleting = scope.spawn(|| house.psql(Person::Agent, &[], sql));
        let message = messages.recv_timeout(Duration::from_secs(60)).unwrap();
        let shown = message.to_string();
        for words in [
            "Approval wanted: 2 of dbas",
            "```DELETE FROM orders WHERE id = 1;```",
            "Rows, as the planner expects: 1",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        let approve = action(&message, "provost-approve");
        assert_eq!(press("U3", approve.clone()), "403\n", "whose it is");
        assert_eq!(press("U9", approve.clone()), "401\n", "nobody");
        assert_eq!(press("U1", approve.clone()), "200\n");
        // The same person by another way is no second one.
        let dora = Command::new(env!("CARGO_BIN_EXE_provost"))
            .args([
                "approvals",
                "approve",
                approve["value"].as_str().unwrap().get(..25).unwrap(),
                "--reason",
                "me, too",
            ])
            .arg("--ca")
            .arg(house.path("certificate.pem"))
            .env("PROVOST_CONSOLE", format!("https://127.0.0.1:{console}"))
            .env("PROVOST_TOKEN", house.token(Person::Dba))
            .output()
            .unwrap();
        assert!(
            text(&dora.stderr).contains("voted on it already"),
            "{dora:?}"
        );
        assert!(!deleting.is_finished(), "one person is not two");
        assert_eq!(press("U2", approve.clone()), "200\n");
        assert_eq!(succeeded(deleting.join().unwrap()), "DELETE 1\n");
        let end = messages
            .recv_timeout(Duration::from_secs(60))
            .unwrap()
            .to_string();
        assert!(
            end.contains("Approval used") && !end.contains("provost-approve"),
            "{end}"
        );
        assert_eq!(press("U2", approve), "409\n", "it is over");
    });
    house.stop_gateway();
    let rows = house.query(
        "SELECT event, actor, reason FROM approvals WHERE event = 'approved' ORDER BY log_index",
    );
    let told: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{} {}",
                row["actor"].as_str().unwrap(),
                row["reason"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "dora@corp by a button in Slack (user U1 of workspace T1)",
            "carl@corp by a button in Slack (user U2 of workspace T1)",
        ]
    );
    let refused = "SELECT count(*) FROM sessions WHERE authentication = 'slack-signature' AND event = 'refused'";
    assert_eq!(house.count(refused), 1);
    succeeded(house.verify());
}

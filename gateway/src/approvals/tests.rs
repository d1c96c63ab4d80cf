//! Desks over one store: what one asks, another takes the answer to; once, in time, and over a restart. Webhooks to a real receiver.

use std::{sync::Arc, time::Duration};

use provost_engine::principal::{Principal, PrincipalKind};
use provost_evidence::{
    DurableFolder, Log, LogOptions, PublicKey, SigningKey,
    approvals::{ApprovalId, Docket, HeldStatement, Need, Request, Rows, VoteKind},
    record::{ApprovalEvent, Micros, Record},
};

use super::{Approvals, Before, BrokenGlass, DryRunRefused, Standing, VoteRefused, now};

/// Gateways that share a store and trust each other.
pub(super) struct Gateways {
    folder: tempfile::TempDir,
    keys: Vec<SigningKey>,
}

impl Gateways {
    pub(super) fn new(count: usize) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            keys: (0..count)
                .map(|_| SigningKey::generate().unwrap())
                .collect(),
        }
    }

    fn name(of: usize) -> String {
        format!("gateway-{of}")
    }

    /// The desk of one of them, as it starts.
    pub(super) fn start(&self, of: usize, log: &str) -> Desk {
        let store = DurableFolder::open(&self.folder.path().join("store")).unwrap();
        let others: Vec<PublicKey> = self
            .keys
            .iter()
            .enumerate()
            .map(|(of, key)| key.public(&Self::name(of)))
            .collect();
        let docket = Docket::new(
            store,
            (&Self::name(of), self.keys[of].clone()),
            others,
            ApprovalId::first_of(Micros(0)),
        );
        let folder = self.folder.path().join(log);
        let (log, _) = Log::open(LogOptions::new(&folder, Self::name(of))).unwrap();
        Desk {
            approvals: Arc::new(Approvals::new(docket, log)),
            folder,
        }
    }
}

pub(super) struct Desk {
    pub(super) approvals: Arc<Approvals>,
    folder: std::path::PathBuf,
}

impl Desk {
    pub(super) async fn ask(&self, binding: &str, within: Duration) -> ApprovalId {
        let at = now();
        let needs = vec![Need {
            group: "dbas".to_owned(),
            members: vec!["dbas".to_owned()],
            count: 1,
            within_ms: u64::try_from(within.as_millis()).unwrap(),
        }];
        let id = ApprovalId::new(at).unwrap();
        let request = Request {
            requester: "bot".to_owned(),
            requester_kind: "agent".to_owned(),
            on_behalf_of: Some("ann".to_owned()),
            session_id: "s".to_owned(),
            target: "shop".to_owned(),
            role: "app".to_owned(),
            sql: Some("DELETE FROM orders".to_owned()),
            sql_digest: "00".to_owned(),
            statements: vec![HeldStatement {
                kind: "delete".to_owned(),
                fingerprint: "f".to_owned(),
                relations: vec!["public.orders".to_owned()],
                columns: Vec::new(),
            }],
            rules: vec!["r".to_owned()],
            estimate: Some(Rows::Count(3)),
            bundle_digest: "b".to_owned(),
            binding_digest: binding.to_owned(),
            ..Request::new(id, self.approvals.gateway(), at, needs)
        };
        self.approvals.ask(request).await.unwrap().id.clone()
    }

    async fn vote(&self, id: &ApprovalId, voter: &str) -> Result<Standing, VoteRefused> {
        let said = (VoteKind::Approve, "looked at it");
        let voted = self.approvals.vote(id, &principal(voter), said).await;
        voted.map(|(_, standing)| standing)
    }

    /// Everything that its log has of approvals.
    fn said(&self) -> Vec<ApprovalEvent> {
        let records = provost_evidence::records(&self.folder).unwrap();
        let events = records.into_iter().filter_map(|record| match record {
            Record::Approval(approval) => Some(approval.event),
            _ => None,
        });
        events.collect()
    }
}

fn principal(id: &str) -> Principal {
    Principal {
        id: id.into(),
        kind: PrincipalKind::Human,
        groups: vec!["dbas".into()],
        on_behalf_of: None,
        issuer: "test".into(),
        claims: Default::default(),
    }
}

/// Glass that this session broke.
pub(super) fn broken_glass(session: &str) -> BrokenGlass {
    BrokenGlass {
        at: Micros(1),
        gateway: "one".to_owned(),
        session: session.to_owned(),
        principal: "olga".to_owned(),
        on_behalf_of: None,
        target: "shop".to_owned(),
        rule: "incident".to_owned(),
        reason: "INC-1: <!here> `down` (on call)".to_owned(),
    }
}

const LONG: Duration = Duration::from_secs(900);

#[tokio::test]
async fn what_one_gateway_asks_another_takes_the_answer_to() {
    let gateways = Gateways::new(2);
    let (one, two) = (gateways.start(0, "one"), gateways.start(1, "two"));
    let id = one.ask("this", LONG).await;
    let end = one.approvals.wait(&id);
    assert!(two.approvals.show(&id).is_none());
    two.approvals.look().await.unwrap();
    assert_eq!(two.vote(&id, "dora").await.unwrap(), Standing::Approved);
    assert_eq!(one.approvals.standing(&id), Some(Standing::Waiting));
    one.approvals.look().await.unwrap();
    end.await.unwrap();
    assert_eq!(one.approvals.standing(&id), Some(Standing::Approved));
    assert_eq!(one.said(), [ApprovalEvent::Requested]);
    assert_eq!(two.said(), [ApprovalEvent::Approved]);
}

/// Two gateways know that a statement may run: one of them runs it.
#[tokio::test]
async fn an_approval_is_used_once_whoever_is_quick() {
    let gateways = Gateways::new(2);
    let (one, two) = (gateways.start(0, "one"), gateways.start(1, "two"));
    for round in 0..20 {
        let id = one.ask(&format!("this {round}"), LONG).await;
        one.vote(&id, "dora").await.unwrap();
        two.approvals.look().await.unwrap();
        let bot = principal("bot");
        let spend = async |desk: &Desk| {
            let (case, standing) = desk.approvals.show(&id).unwrap();
            assert_eq!(standing, Standing::Approved);
            let spent = desk
                .approvals
                .spend(&case.request, (&bot, "s-1".to_owned()));
            spent.await.unwrap()
        };
        let (first, second) = tokio::join!(spend(&one), spend(&two));
        assert!(first != second, "round {round}: {first} {second}");
        for desk in [&one, &two] {
            assert_eq!(desk.approvals.standing(&id), Some(Standing::Used));
        }
    }
    let used = [&one, &two].map(|desk| {
        let said = desk.said().into_iter();
        said.filter(|event| *event == ApprovalEvent::Used).count()
    });
    assert_eq!(used[0] + used[1], 20);
}

#[tokio::test]
async fn what_waited_when_a_gateway_stopped_is_good_for_another_try() {
    let gateways = Gateways::new(1);
    let before = gateways.start(0, "before");
    let waits = before.ask("waits", LONG).await;
    let approved = before.ask("approved", LONG).await;
    before.vote(&approved, "dora").await.unwrap();
    drop(before);
    let after = gateways.start(0, "after");
    assert!(after.approvals.open_for("waits").is_none());
    after.approvals.look().await.unwrap();
    let open = |binding| {
        let (request, standing) = after.approvals.open_for(binding).unwrap();
        (request.id.clone(), standing)
    };
    assert_eq!(open("waits"), (waits, Standing::Waiting));
    assert_eq!(open("approved"), (approved, Standing::Approved));
    assert!(after.approvals.open_for("another").is_none());
}

#[tokio::test]
async fn time_ends_what_nobody_answers_and_whoever_waits_is_told() {
    let gateways = Gateways::new(2);
    let (one, two) = (gateways.start(0, "one"), gateways.start(1, "two"));
    let id = one.ask("this", Duration::from_millis(300)).await;
    two.approvals.look().await.unwrap();
    let end = one.approvals.wait(&id);
    tokio::time::sleep(Duration::from_millis(350)).await;
    // Its gateway writes the end down; the other knows the time, too.
    two.approvals.look().await.unwrap();
    assert_eq!(two.approvals.standing(&id), Some(Standing::Expired));
    one.approvals.look().await.unwrap();
    end.await.unwrap();
    assert_eq!(
        one.said(),
        [ApprovalEvent::Requested, ApprovalEvent::Expired]
    );
    assert!(two.said().is_empty());
    let late = two.vote(&id, "dora").await.unwrap_err();
    assert!(
        matches!(late, VoteRefused::Over(Standing::Expired)),
        "{late}"
    );
}

/// What other statements of the shape came to, wherever they were asked for; over a restart, too.
#[tokio::test]
async fn what_became_of_the_same_shape_is_told() {
    let gateways = Gateways::new(2);
    let (one, two) = (gateways.start(0, "one"), gateways.start(1, "two"));
    let (first, second) = (one.ask("1", LONG).await, two.ask("2", LONG).await);
    let third = one.ask("3", LONG).await;
    let deny = (VoteKind::Deny, "no");
    let dora = principal("dora");
    one.approvals.vote(&first, &dora, deny).await.unwrap();
    two.approvals.cancel(&second, "gone").await.unwrap();
    let expected = Before {
        refused: 1,
        withdrawn: 1,
        ..Before::default()
    };
    let after = gateways.start(0, "after");
    for desk in [&one, &after] {
        desk.approvals.look().await.unwrap();
        let (case, _) = desk.approvals.show(&third).unwrap();
        assert_eq!(desk.approvals.before(&case.request), Some(expected));
        let elsewhere = Request {
            target: "other".to_owned(),
            ..Request::clone(&case.request)
        };
        assert_eq!(desk.approvals.before(&elsewhere), Some(Before::default()));
    }
}

/// A session that waits is woken to try it; what it says is what every gateway shows, and what a vote then says it was shown.
#[tokio::test]
async fn a_dry_run_is_made_by_the_session_that_waits_and_once() {
    let gateways = Gateways::new(2);
    let (one, two) = (gateways.start(0, "one"), gateways.start(1, "two"));
    let id = one.ask("this", LONG).await;
    two.approvals.look().await.unwrap();
    let dora = principal("dora");
    let elsewhere = two.approvals.dry_run(&id, &dora).await.unwrap_err();
    assert!(
        matches!(&elsewhere, DryRunRefused::Elsewhere(gateway) if gateway == "gateway-0"),
        "{elsewhere}"
    );
    let nobody = one.approvals.dry_run(&id, &dora).await.unwrap_err();
    assert!(matches!(nobody, DryRunRefused::NobodyWaits), "{nobody}");
    for own in ["bot", "ann"] {
        let refused = one.approvals.dry_run(&id, &principal(own)).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, DryRunRefused::Person(_)), "{refused}");
    }
    let (case, _) = one.approvals.show(&id).unwrap();
    assert_eq!(case.rows_shown(), Some(3));
    let waits = one.approvals.wait(&id);
    let session = async {
        waits.await.unwrap();
        assert!(one.approvals.is_dry_run_wanted(&id));
        let made = (Rows::Count(2), Some("s-9".to_owned()));
        one.approvals
            .dry_run_made(&case.request, made)
            .await
            .unwrap();
    };
    let (made, ()) = tokio::join!(one.approvals.dry_run(&id, &dora), session);
    let (case, standing) = made.unwrap();
    assert_eq!(
        (case.rows_shown(), standing),
        (Some(2), Standing::Waiting),
        "it still waits"
    );
    // Nobody is woken for a second one.
    let again = one.approvals.dry_run(&id, &dora).await.unwrap();
    assert_eq!(again.0.dry_run, case.dry_run);
    two.approvals.look().await.unwrap();
    two.vote(&id, "dora").await.unwrap();
    one.approvals.look().await.unwrap();
    let (case, standing) = one.approvals.show(&id).unwrap();
    assert_eq!((case.rows_max(), standing), (Some(4), Standing::Approved));
    assert_eq!(
        one.said(),
        [ApprovalEvent::Requested, ApprovalEvent::DryRun]
    );
}

/// Whoever waits for a dry run is told when its session is gone.
#[tokio::test]
async fn a_dry_run_that_nobody_makes_is_not_waited_for() {
    let gateways = Gateways::new(1);
    let one = gateways.start(0, "one");
    let id = one.ask("this", LONG).await;
    let waits = one.approvals.wait(&id);
    let gone = async {
        waits.await.unwrap();
        one.approvals.cancel(&id, "gone").await.unwrap();
    };
    let dora = principal("dora");
    let (made, ()) = tokio::join!(one.approvals.dry_run(&id, &dora), gone);
    let made = made.unwrap_err();
    assert!(matches!(made, DryRunRefused::NobodyWaits), "{made}");
}

#[tokio::test]
async fn a_vote_needs_a_reason_and_a_case() {
    let gateways = Gateways::new(1);
    let desk = gateways.start(0, "one");
    let id = desk.ask("this", LONG).await;
    let dora = principal("dora");
    let long = "x".repeat(super::REASON_BYTES_MAX + 1);
    for reason in ["", " \t\n", &long] {
        let voted = desk.approvals.vote(&id, &dora, (VoteKind::Approve, reason));
        assert!(matches!(voted.await, Err(VoteRefused::Reason)));
    }
    let unknown = ApprovalId::first_of(Micros(1));
    let voted = desk.vote(&unknown, "dora").await;
    assert!(matches!(voted, Err(VoteRefused::Unknown)));
    for own in ["bot", "ann"] {
        let voted = desk.vote(&id, own).await;
        assert!(matches!(voted, Err(VoteRefused::Objection(_))), "{own}");
    }
    assert_eq!(desk.said(), [ApprovalEvent::Requested]);
}

/// What is asked for cannot be put in the store: nobody is asked, and nothing waits.
#[tokio::test]
async fn a_store_that_takes_nothing_asks_nobody() {
    let gateways = Gateways::new(1);
    let desk = gateways.start(0, "one");
    let file = gateways.folder.path().join("store/held");
    std::fs::write(&file, b"in the way").unwrap();
    let (request, _) = {
        let other = gateways.start(0, "other");
        std::fs::remove_file(&file).unwrap();
        let id = other.ask("this", LONG).await;
        other
            .approvals
            .show(&id)
            .map(|(case, standing)| (Arc::clone(&case.request), standing))
            .unwrap()
    };
    std::fs::remove_dir_all(gateways.folder.path().join("store/held")).unwrap();
    std::fs::write(&file, b"in the way").unwrap();
    let asked = desk.approvals.ask(Request::clone(&request)).await;
    assert!(matches!(asked, Err(super::Error::Store(_))));
    assert!(desk.approvals.list().is_empty());
}

/// A receiver of messages over HTTP: it answers as it is told to, and gives head and body of each request.
fn receiver(answers: Vec<&'static str>) -> (url::Url, std::sync::mpsc::Receiver<(String, String)>) {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/secret", listener.local_addr().unwrap());
    let (sender, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            lines.read_exact(&mut body).unwrap();
            let answer = answers.next().unwrap_or("204 No Content");
            write!(stream, "HTTP/1.1 {answer}\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if sender
                .send((head, String::from_utf8(body).unwrap()))
                .is_err()
            {
                return;
            }
        }
    });
    (url.parse().unwrap(), requests)
}

fn header(head: &str, name: &str) -> String {
    let line = head
        .lines()
        .find(|line| line.to_lowercase().starts_with(name));
    let (_, value) = line
        .unwrap_or_else(|| panic!("{name}: {head}"))
        .split_once(": ")
        .unwrap();
    value.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_signed_sent_until_they_arrive_and_named() {
    use crate::settings::{Secret, Webhook, WebhookForm};
    let gateways = Gateways::new(1);
    let desk = gateways.start(0, "one");
    let old = desk.ask("over before", LONG).await;
    desk.approvals.withdraw(&old, "test").await.unwrap();
    let (url, requests) = receiver(vec!["503 Down", "302 Found"]);
    let webhook = Webhook {
        url,
        secret: Secret::new(*b"hook secret"),
        form: WebhookForm::Json,
        link: Some("https://console.example/".to_owned()),
        template: None,
        buttons: None,
    };
    let client = super::webhook::client().unwrap();
    let run = super::webhook::run(Arc::clone(&desk.approvals), webhook.clone(), client);
    let telling = tokio::spawn(run);
    let id = desk.ask("this", LONG).await;
    let next = || {
        let requests = &requests;
        tokio::task::block_in_place(|| requests.recv_timeout(Duration::from_secs(60)).unwrap())
    };
    // Refused, sent elsewhere (which it does not go to), taken: the same thing three times.
    let tries = [next(), next(), next()];
    let deliveries = tries
        .each_ref()
        .map(|(head, _)| header(head, "provost-delivery"));
    assert!(
        deliveries.iter().all(|one| *one == deliveries[0]),
        "{deliveries:?}"
    );
    for (head, body) in &tries {
        let signature =
            super::webhook::sign(&webhook.secret, &header(head, "provost-timestamp"), body);
        assert_eq!(header(head, "provost-signature"), format!("v1={signature}"));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&body["standing"], &body["approval"]["id"]),
            (&"waiting".into(), &id.as_str().into())
        );
        assert_eq!(
            body["link"],
            format!("https://console.example/approvals/{id}")
        );
        assert_eq!(body["approval"]["binding_digest"], serde_json::Value::Null);
    }
    let said = (VoteKind::Deny, "not <today>");
    desk.approvals
        .vote(&id, &principal("dora"), said)
        .await
        .unwrap();
    let (head, body) = next();
    assert_ne!(header(&head, "provost-delivery"), deliveries[0]);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&body["standing"], &body["by"], &body["reason"]),
        (&"refused".into(), &"dora".into(), &"not <today>".into())
    );
    telling.abort();
    // After a restart, what is still open is told again, and under its name.
    let open = desk.ask("open", LONG).await;
    drop(desk);
    let again = gateways.start(0, "again");
    again.approvals.look().await.unwrap();
    let (url, requests) = receiver(Vec::new());
    let slack = Webhook {
        url,
        form: WebhookForm::Slack,
        ..webhook
    };
    let client = super::webhook::client().unwrap();
    let run = super::webhook::run(Arc::clone(&again.approvals), slack.clone(), client.clone());
    let telling = tokio::spawn(run);
    let (_, body) =
        tokio::task::block_in_place(|| requests.recv_timeout(Duration::from_secs(60)).unwrap());
    assert!(
        body.contains(open.as_str()) && body.contains("Approval wanted: 1 of dbas within 15 min"),
        "{body}"
    );
    assert!(body.contains("```DELETE FROM orders```"), "{body}");
    telling.abort();
    // In the operator's words.
    let (url, requests) = receiver(Vec::new());
    let template = super::Template::parse("<!here> *{requester}*: `{sql}` on {link}").unwrap();
    let slack = Webhook {
        url,
        template: Some(template),
        ..slack
    };
    let run = super::webhook::run(Arc::clone(&again.approvals), slack, client);
    let telling = tokio::spawn(run);
    let (_, body) =
        tokio::task::block_in_place(|| requests.recv_timeout(Duration::from_secs(60)).unwrap());
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = body["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(text.starts_with("<!here> *"), "{text}");
    let link = format!("`DELETE FROM orders` on https://console.example/approvals/{open}");
    assert!(text.ends_with(&link), "{text}");
    telling.abort();
}

/// What a receiver of this form gets of two sessions' broken glass, if it first takes neither of them.
async fn told_of_glass(form: crate::settings::WebhookForm) -> [(String, serde_json::Value); 4] {
    use crate::settings::{Secret, Webhook};
    let gateways = Gateways::new(1);
    let desk = gateways.start(0, "one");
    let (url, requests) = receiver(vec!["503 Down", "400 Bad Request"]);
    let webhook = Webhook {
        url,
        secret: Secret::new(*b"hook secret"),
        form,
        link: None,
        template: None,
        buttons: None,
    };
    for session in ["session-1", "session-2"] {
        desk.approvals.tell_of_glass(broken_glass(session));
    }
    let client = super::webhook::client().unwrap();
    let run = super::webhook::run(Arc::clone(&desk.approvals), webhook, client);
    let telling = tokio::spawn(run);
    let got = [(); 4].map(|()| {
        let next = || requests.recv_timeout(Duration::from_secs(60)).unwrap();
        let (head, body) = tokio::task::block_in_place(next);
        let body = serde_json::from_str(&body).unwrap();
        (header(&head, "provost-delivery"), body)
    });
    telling.abort();
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_glass_is_told_until_it_arrives() {
    let got = told_of_glass(crate::settings::WebhookForm::Json).await;
    let [first, second, first_again, second_again] = &got;
    // One that is not taken keeps none of the others, and is told again under its name.
    assert_ne!(first.0, second.0);
    assert_eq!((first, second), (first_again, second_again));
    let (_, body) = first;
    assert_eq!(body["event"], "break-glass");
    let glass = &body["glass"];
    assert_eq!(glass["session"], "session-1");
    assert_eq!(glass["principal"], "olga");
    assert_eq!(glass["reason"], "INC-1: <!here> `down` (on call)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_takes_no_reason_for_its_own_marks() {
    let [(_, body), ..] = told_of_glass(crate::settings::WebhookForm::Slack).await;
    assert_eq!(body["text"], "Glass is broken by olga");
    let words = "*Glass is broken by olga*\non `shop`, by rule incident\nINC-1: &lt;!here&gt; 'down' (on call)";
    assert_eq!(body["blocks"][0]["text"]["text"], words);
}

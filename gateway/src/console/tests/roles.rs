//! Who sees what: every page and every path of the API, by every role. And what keeps each page from being used by others.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use provost_engine::principal::{Authentication, Principal, PrincipalKind, Session};
use serde_json::Value;

use crate::identity::IssuerSettings;

use super::{
    pages::Browser,
    support::{Who, answer, request},
};

/// What each asks for, and what the person without a role, the viewer, the auditor and the admin get.
const PAGES: [(&str, [u16; 4]); 13] = [
    ("/", [200, 200, 200, 200]),
    ("/live", [200, 200, 200, 200]),
    ("/sessions", [200, 200, 200, 200]),
    ("/decisions", [200, 200, 200, 200]),
    ("/decisions?text=x&span=all", [200, 200, 200, 200]),
    ("/policy", [403, 200, 200, 200]),
    ("/policy/graph.svg", [403, 200, 200, 200]),
    ("/policy/playground", [403, 200, 200, 200]),
    ("/health", [403, 200, 200, 200]),
    ("/controls", [403, 403, 200, 200]),
    ("/controls.csv", [403, 403, 200, 200]),
    ("/controls/nist-800-53/AC-3", [403, 403, 200, 200]),
    ("/data", [403, 403, 200, 200]),
];
/// The same people.
const PEOPLE: [Who; 4] = [Who::Stan, Who::Vera, Who::Otto, Who::Olga];

#[tokio::test]
async fn every_page_is_for_its_roles() {
    for (place, who) in PEOPLE.into_iter().enumerate() {
        let browser = Browser::new(who, |_| {}).await;
        browser.house.ask(request(1)).await;
        for (path, _) in PAGES {
            let expected = match path {
                "/" | "/live" => 200,
                _ => 401,
            };
            let answer = browser.get(path).await;
            assert_eq!(answer.status, expected, "nobody at {path}");
            assert!(answer.text.contains("Log in"), "nobody at {path}");
        }
        browser.log_in("/login").await;
        for (path, expected) in PAGES {
            let answer = browser.get(path).await;
            assert_eq!(
                answer.status, expected[place],
                "{who:?} at {path}: {}",
                answer.text
            );
            if answer.status == 403 {
                assert!(
                    answer.text.contains("the groups of `[console]"),
                    "{}",
                    answer.text
                );
            }
        }
        // What is shown at the top is what may be opened.
        let home = browser.get("/").await.text;
        for (path, expected) in PAGES {
            let link = format!("<a href=\"{path}\"");
            if [
                "/policy",
                "/controls",
                "/data",
                "/health",
                "/sessions",
                "/decisions",
            ]
            .contains(&path)
            {
                assert_eq!(
                    home.contains(&link),
                    expected[place] == 200,
                    "{who:?}: {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn only_admins_end_sessions_and_only_by_their_own_form() {
    let path = format!("/sessions/{}/end", "0".repeat(32));
    for (who, expected) in PEOPLE.into_iter().zip([403, 403, 403, 409]) {
        let browser = Browser::new(who, |_| {}).await;
        let form = |csrf: &str| [("csrf", csrf.to_owned()), ("reason", "x".to_owned())];
        let send = async |fields: &[(&str, String)]| {
            let fields: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            browser.post(&path, &fields).await.status
        };
        assert_eq!(send(&form("x")).await, 401);
        browser.log_in("/login").await;
        let csrf = browser.get("/").await.csrf();
        assert_eq!(send(&form(&csrf)).await, expected, "{who:?}");
        assert_eq!(send(&form("x")).await, 403, "{who:?}");
        assert_eq!(browser.get(&path).await.status, 405);
    }
}

#[tokio::test]
async fn an_end_is_in_the_log_before_the_session_hears_of_it() {
    let browser = Browser::new(Who::Olga, |_| {}).await;
    browser.log_in("/login").await;
    let id = "a".repeat(32);
    let (place, mut dismissal) = browser.house.roster.enter(&id, &session());
    let page = browser.get(&format!("/sessions/{id}")).await;
    assert_eq!(page.status, 200);
    let (path, csrf) = (format!("/sessions/{id}/end"), page.csrf());
    let send = async |reason: &str| {
        browser
            .post(&path, &[("csrf", &csrf), ("reason", reason)])
            .await
            .status
    };
    assert_eq!(send(" ").await, 422);
    assert_eq!(send(&"x".repeat(501)).await, 422);
    assert!(dismissal.try_recv().is_err());
    assert_eq!(send("gone \u{202e}astray\n").await, 303);
    let words = dismissal.try_recv().unwrap();
    assert_eq!(words, "olga@corp ended this session: gone \\u{202e}astray");
    browser.house.log.sync().await.unwrap();
    // What was opened is used again for a while.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !browser.get("/health").await.text.contains("session-ended") {
        assert!(Instant::now() < deadline, "the end is not in the log");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(browser.get("/health").await.text.contains(&id));
    assert_eq!(send("again").await, 409);
    drop(place);
    assert_eq!(send("again").await, 409);
}

/// A session of the agent Devin's.
pub(super) fn session() -> Arc<Session> {
    Arc::new(Session {
        principal: Principal {
            id: "devin@corp".into(),
            kind: PrincipalKind::Agent,
            groups: Vec::new(),
            on_behalf_of: None,
            issuer: "https://login.example.com".into(),
            claims: BTreeMap::new(),
        },
        target: "shop".into(),
        database: "shop".into(),
        role: "provost".into(),
        application: "psql".into(),
        client_address: None,
        tls: true,
        authentication: Authentication::TokenAsPassword,
    })
}

#[tokio::test]
async fn the_playground_wants_its_form() {
    let browser = Browser::new(Who::Vera, |_| {}).await;
    browser.log_in("/login").await;
    let csrf = browser.get("/policy/playground").await.csrf();
    let path = "/policy/playground";
    let fields = |csrf| {
        [
            ("csrf", csrf),
            ("principal", "a"),
            ("kind", "agent"),
            ("target", "x"),
            ("sql", "SELECT 1"),
        ]
    };
    assert_eq!(browser.post(path, &fields("x")).await.status, 403);
    let answer = browser.post(path, &fields(&csrf)).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("no such target"), "{}", answer.text);
}

#[tokio::test]
async fn the_api_is_for_tokens_whatever_the_role() {
    let browser = Browser::new(Who::Dora, |_| {}).await;
    let id = browser.house.ask(request(1)).await;
    let one = format!("/api/v1/approvals/{id}");
    // A person without a role, viewer, auditor, admin, one who is asked, and whose agent asks.
    for (who, expected) in [
        (Who::Stan, 404),
        (Who::Vera, 200),
        (Who::Otto, 200),
        (Who::Olga, 200),
        (Who::Dora, 200),
        (Who::Ana, 200),
    ] {
        let (status, shown) = answer(browser.house.get(who, &one)).await;
        assert_eq!(status, expected, "{who:?}");
        let listed = browser.house.ids(who, "").await.len();
        assert_eq!(listed, usize::from(expected == 200), "{who:?}");
        // A role lets nobody vote.
        if matches!(who, Who::Vera | Who::Otto | Who::Olga) {
            assert_ne!(shown["objection"], Value::Null, "{who:?}");
            let (status, _) = browser.house.vote(who, &id, "approve", "x").await;
            assert_eq!(status, 403, "{who:?}");
        }
    }
    for path in ["/events", "/sessions", "/controls.csv"] {
        let asked = browser.house.get(Who::Olga, path).send().await.unwrap();
        assert_eq!(asked.status(), 401, "a token opens no page: {path}");
    }
}

/// What of the API each of the same people gets.
const ASKED: [(&str, [u16; 4]); 9] = [
    ("/api/v1/sessions", [200, 200, 200, 200]),
    ("/api/v1/sessions?span=all", [200, 200, 200, 200]),
    (
        "/api/v1/sessions/00000000000000000000000000000000",
        [404, 404, 404, 404],
    ),
    ("/api/v1/decisions?text=x&span=all", [200, 200, 200, 200]),
    ("/api/v1/decisions/x", [404, 404, 404, 404]),
    ("/api/v1/health", [403, 200, 200, 200]),
    ("/api/v1/controls", [403, 403, 200, 200]),
    ("/api/v1/controls/nist-800-53/AC-3", [403, 403, 200, 200]),
    ("/api/v1/controls/nist-800-53/AC-4", [403, 403, 404, 404]),
];

#[tokio::test]
async fn the_api_has_the_roles_of_the_pages() {
    let browser = Browser::new(Who::Olga, |_| {}).await;
    browser.log_in("/login").await;
    let house = &browser.house;
    for (path, expected) in ASKED {
        for (who, expected) in PEOPLE.into_iter().zip(expected) {
            let (status, told) = answer(house.get(who, path)).await;
            assert_eq!(status, expected, "{who:?} at {path}: {told}");
        }
        let nobody = house.client.get(format!("{}{path}", house.url));
        assert_eq!(answer(nobody).await.0, 401, "nobody at {path}");
        assert_eq!(
            browser.get(path).await.status,
            401,
            "a session of a browser opens no API: {path}"
        );
    }
    for path in [
        "/api/v1/sessions?span=year",
        "/api/v1/sessions?span=",
        "/api/v1/decisions?x=1",
        "/api/v1/decisions?text=",
        "/api/v1/decisions?page=200",
        "/api/v1/controls?span=x",
    ] {
        assert_eq!(answer(house.get(Who::Olga, path)).await.0, 400, "{path}");
    }
    let (_, counted) = answer(house.get(Who::Otto, "/api/v1/controls")).await;
    assert_eq!(counted["controls"][0]["control"], "AC-3");
    assert_eq!(counted["controls"][0]["standing"], "no evidence");
}

#[tokio::test]
async fn sessions_are_told_to_whom_they_concern_and_ended_by_admins() {
    let house = super::support::House::new().await;
    let id = "b".repeat(32);
    let (_place, mut dismissal) = house.roster.enter(&id, &session());
    for (who, expected) in [
        (Who::Stan, 0),
        (Who::Ana, 0),
        (Who::Devin, 1),
        (Who::Vera, 1),
    ] {
        let (_, told) = answer(house.get(who, "/api/v1/sessions")).await;
        let open = told["open"].as_array().unwrap();
        assert_eq!(open.len(), expected, "{who:?}: {told}");
    }
    let end = async |who: Who, body: &str| {
        let url = format!("{}/api/v1/sessions/{id}/end", house.url);
        let request = house.client.post(url).bearer_auth(house.token(who));
        let request = request.header("content-type", "application/json");
        answer(request.body(body.to_owned())).await.0
    };
    let reason = r#"{"reason": "forgotten"}"#;
    for who in [Who::Stan, Who::Devin, Who::Vera, Who::Otto] {
        assert_eq!(end(who, reason).await, 403, "{who:?}");
    }
    assert_eq!(end(Who::Olga, r#"{"reason": " "}"#).await, 422);
    assert_eq!(end(Who::Olga, r#"{"reason": "x", "by": "me"}"#).await, 422);
    assert_eq!(end(Who::Olga, "{").await, 400);
    assert!(dismissal.try_recv().is_err());
    assert_eq!(end(Who::Olga, reason).await, 200);
    let words = dismissal.try_recv().unwrap();
    assert_eq!(words, "olga@corp ended this session: forgotten");
    // What was opened is used again for a while.
    let deadline = Instant::now() + Duration::from_secs(20);
    let health = loop {
        let (_, health) = answer(house.get(Who::Vera, "/api/v1/health")).await;
        if health["changes"][0]["what"] == "session-ended" {
            break health;
        }
        assert!(Instant::now() < deadline, "{health}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(health["changes"][0]["before"], id);
    assert_eq!(health["open_sessions"], 1);
}

#[tokio::test]
async fn questions_of_others_are_no_sql_and_no_markup() {
    let browser = Browser::new(Who::Otto, |_| {}).await;
    browser.log_in("/login").await;
    let hostile = "%27%3B+DROP+TABLE+x+--%3Cscript%3Ealert%281%29%3C%2Fscript%3E";
    for name in [
        "principal",
        "table",
        "class",
        "rule",
        "control",
        "text",
        "outcome",
    ] {
        let answer = browser.get(&format!("/decisions?{name}={hostile}")).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        assert!(
            answer.text.contains("Nothing found") && !answer.text.contains("<script>"),
            "{name}"
        );
    }
    for path in [
        "/decisions?x=1",
        "/decisions?span=year",
        "/sessions?span=%00",
        "/policy?span=x",
        "/controls?x=",
        "/data?span=x",
        "/controls.csv?span=x",
    ] {
        assert_eq!(browser.get(path).await.status, 400, "{path}");
    }
    for path in [
        "/decisions/%27",
        "/sessions/x",
        "/controls/nist-800-53/%3Cb%3E",
        "/files/0/style.css",
        "/files/%2e%2e/x",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text.contains("<b>"), "{path}");
    }
    let csv = browser.get("/controls.csv?span=all").await.text;
    assert!(
        csv.starts_with("framework,version,control,title,standing"),
        "{csv}"
    );
    assert!(
        browser
            .get("/controls")
            .await
            .text
            .contains("NIST &lt;SP&gt; 800-53")
    );
}

#[tokio::test]
async fn a_login_is_a_new_session_and_leads_nowhere_else() {
    let browser = Browser::new(Who::Dora, |_| {}).await;
    // A cookie that somebody else set before is not the session's afterwards.
    let planted = "x".repeat(43);
    browser
        .jar
        .lock()
        .unwrap()
        .insert("__Host-provost".to_owned(), planted.clone());
    assert_eq!(browser.get("/sessions").await.status, 401);
    browser.log_in("/login").await;
    let first = browser.jar.lock().unwrap()["__Host-provost"].clone();
    assert_ne!(first, planted);
    browser.log_in("/login").await;
    assert_ne!(browser.jar.lock().unwrap()["__Host-provost"], first);
    for to in [
        "https://evil.example.com",
        "//evil.example.com",
        "/%5Cevil.example.com",
        "javascript:alert(1)",
    ] {
        let back = browser.log_in(&format!("/login?to={to}")).await;
        assert_eq!(back.location.as_deref(), Some("/"), "{to}");
    }
}

#[tokio::test]
async fn a_session_ends_with_its_token_on_every_page() {
    let browser = Browser::new(Who::Otto, |claims| {
        let soon = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
            + 2
            - IssuerSettings::LEEWAY_SECONDS;
        claims["exp"] = soon.into();
    })
    .await;
    browser.log_in("/login").await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while browser.get("/data").await.status != 401 {
        assert!(Instant::now() < deadline, "the session does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (path, _) in PAGES {
        assert!(browser.get(path).await.text.contains("Log in"), "{path}");
    }
}

#[tokio::test]
async fn files_are_kept_and_served_by_their_digest() {
    let browser = Browser::new(Who::Dora, |_| {}).await;
    browser.log_in("/login").await;
    let home = browser.get("/").await.text;
    let mut found = 0;
    for part in home.split("\"/files/").skip(1) {
        let path = format!("/files/{}", part.split('"').next().unwrap());
        let response = browser
            .house
            .client
            .get(browser.url(&path))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert!(
            response.headers()["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(
            response.headers()["content-security-policy"],
            "default-src 'none'; frame-ancestors 'none'"
        );
        found += 1;
    }
    assert_eq!(found, 4);
    assert!(
        !home.contains(" style=") && !home.contains(" onclick") && !home.contains("<style"),
        "nothing inline"
    );
}

#[tokio::test]
async fn whoever_listens_is_told_that_something_became_of_it() {
    let browser = Browser::new(Who::Dora, |_| {}).await;
    assert_eq!(browser.get("/events").await.status, 401);
    browser.log_in("/login").await;
    let cookie = format!(
        "__Host-provost={}",
        browser.jar.lock().unwrap()["__Host-provost"]
    );
    let listen = || {
        browser
            .house
            .client
            .get(browser.url("/events"))
            .header("cookie", &cookie)
            .send()
    };
    let mut events = listen().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    browser.house.ask(request(1)).await;
    let told = tokio::time::timeout(Duration::from_secs(20), events.chunk()).await;
    let told = String::from_utf8(told.unwrap().unwrap().unwrap().to_vec()).unwrap();
    assert_eq!(told, "event: changed\ndata: approvals\n\n");
    // One page too many is told so, and the pages themselves are still there.
    let mut all = vec![events];
    let mut last = listen().await.unwrap();
    while last.status() == 200 {
        all.push(last);
        last = listen().await.unwrap();
    }
    assert_eq!(
        (last.status().as_u16(), all.len()),
        (503, crate::console::pages::LIVE_MAX)
    );
    assert_eq!(browser.get("/").await.status, 200);
    drop(all);
}

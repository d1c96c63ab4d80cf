//! The pages as a browser meets them: logging in at an issuer, looking, voting, and everything that somebody else might send.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::reqwest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use super::support::{House, ISSUER, Signer, Who, request};
use crate::identity::issuer::LoginUrls;

/// A change to the claims of ID tokens.
pub(super) type Edit = fn(&mut Value);

/// An issuer's pages: whoever comes is Dora, and goes back with a code.
struct Provider {
    signer: Signer,
    who: Mutex<(Who, Edit)>,
    /// By code: the challenge and the nonce.
    codes: Mutex<HashMap<String, (String, String)>>,
}

fn pairs(text: &str) -> HashMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

async fn authorize(State(provider): State<Arc<Provider>>, RawQuery(query): RawQuery) -> Response {
    let asked = pairs(&query.unwrap());
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], "console");
    assert_eq!(asked["scope"], "openid groups");
    assert_eq!(asked["code_challenge_method"], "S256");
    let code = format!("code-{}", asked["nonce"]);
    let kept = (asked["code_challenge"].clone(), asked["nonce"].clone());
    provider.codes.lock().unwrap().insert(code.clone(), kept);
    let to = format!(
        "{}?code={code}&state={}",
        asked["redirect_uri"], asked["state"]
    );
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

async fn token(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let given = pairs(std::str::from_utf8(&body).unwrap());
    // console:secret
    assert_eq!(headers["authorization"], "Basic Y29uc29sZTpzZWNyZXQ=");
    assert_eq!(given["grant_type"], "authorization_code");
    let found = provider.codes.lock().unwrap().remove(&given["code"]);
    let Some((challenge, nonce)) = found else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(&given["code_verifier"]));
    assert_eq!(proof, challenge);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (who, edit) = *provider.who.lock().unwrap();
    let mut claims = who.claims();
    for (name, value) in [
        ("iss", json!(ISSUER)),
        ("aud", json!("console")),
        ("exp", json!(now + 600)),
        ("nonce", json!(nonce)),
    ] {
        claims[name] = value;
    }
    edit(&mut claims);
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    let tokens = json!({ "id_token": provider.signer.sign(&claims), "token_type": "Bearer" });
    tokens.to_string().into_response()
}

/// A browser with a jar of cookies, which follows nothing by itself.
pub(super) struct Browser {
    pub(super) house: House,
    provider: Arc<Provider>,
    pub(super) jar: Mutex<HashMap<String, String>>,
}

impl Browser {
    pub(super) async fn new(who: Who, edit: Edit) -> Self {
        let signer = Signer::new();
        let provider = Arc::new(Provider {
            signer: signer.clone(),
            who: Mutex::new((who, edit)),
            codes: Mutex::default(),
        });
        let router = Router::new()
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(Arc::clone(&provider));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let urls = LoginUrls {
            authorization: url.join("authorize").unwrap(),
            token: url.join("token").unwrap(),
        };
        Self {
            house: House::with_pages(signer, urls).await,
            provider,
            jar: Mutex::default(),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.house.url)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let jar: Vec<String> = {
            let jar = self.jar.lock().unwrap();
            jar.iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        let response = request
            .header("cookie", jar.join("; "))
            .send()
            .await
            .unwrap();
        for line in response.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            assert!(line.starts_with("__Host-"), "{line}");
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(line.split("; ").any(|found| found == attribute), "{line}");
            }
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            let mut jar = self.jar.lock().unwrap();
            if value.is_empty() {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        // A drawing has its styles in itself, and may load nothing at all.
        let is_drawing = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind == "image/svg+xml");
        let scripts = policy.replace("script-src 'self'", "");
        assert!(!scripts.contains("script-src"), "{policy}");
        assert!(is_drawing || !policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Answer {
            status: response.status().as_u16(),
            location: response
                .headers()
                .get("location")
                .map(|to| to.to_str().unwrap().to_owned()),
            text: response.text().await.unwrap(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(self.house.client.get(self.url(path))).await
    }

    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let request = self
            .house
            .client
            .post(self.url(path))
            .header("origin", &self.house.url);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body.finish())).await
    }

    /// To the issuer and back; gives the way back that the issuer names, not gone yet.
    async fn way_back(&self, path: &str) -> String {
        let gone = self.get(path).await;
        assert_eq!(gone.status, 303, "{}", gone.text);
        let at_issuer = self
            .house
            .client
            .get(gone.location.unwrap())
            .send()
            .await
            .unwrap();
        let back = at_issuer.headers()["location"].to_str().unwrap().to_owned();
        back.strip_prefix(&self.house.url).unwrap().to_owned()
    }

    pub(super) async fn log_in(&self, path: &str) -> Answer {
        let back = self.way_back(path).await;
        self.get(&back).await
    }
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) text: String,
}

impl Answer {
    /// What this session's forms carry.
    pub(super) fn csrf(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"csrf\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn people_log_in_look_and_vote() {
    let browser = Browser::new(Who::Dora, |_| {}).await;
    let id = browser.house.ask(request(1)).await;
    let path = format!("/approvals/{id}");
    assert!(browser.get("/").await.text.contains("Log in"));
    // A link to one of them leads there, by way of the issuer.
    let away = browser.get(&path).await;
    let back = browser.log_in(&away.location.unwrap()).await;
    assert_eq!(
        back.location.as_deref(),
        Some(path.as_str()),
        "{}",
        back.text
    );

    let list = browser.get("/?standing=waiting").await;
    assert!(list.text.contains(&path) && list.text.contains("devin@corp for ana@corp"));
    assert!(
        browser
            .get("/live")
            .await
            .text
            .contains("http-equiv=\"refresh\"")
    );
    assert!(
        browser
            .get("/?standing=used")
            .await
            .text
            .contains("Nothing here")
    );

    // What the requester wrote is text.
    let page = browser.get(&path).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("&lt;/pre&gt;&lt;script&gt;"),
        "{}",
        page.text
    );
    assert!(
        page.text.contains("psql\\u{1b}[2J&lt;b&gt;"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("<script>"), "{}", page.text);

    // A vote without a reason, and without a word what, brings the page back.
    let (csrf, votes) = (page.csrf(), format!("{path}/votes"));

    // What is expected of it, and the button that has it tried: by this session's form alone, and by a session that waits.
    let estimated = "Rows, estimated</dt><dd>1</dd>";
    assert!(page.text.contains(estimated), "{}", page.text);
    let dry_run = format!("{path}/dry-run");
    assert!(page.text.contains(&dry_run), "{}", page.text);
    let forged = browser.post(&dry_run, &[("csrf", "x")]).await;
    assert_eq!(forged.status, 403);
    let nobody = browser.post(&dry_run, &[("csrf", &csrf)]).await;
    assert_eq!(nobody.status, 409);
    let told = "No session waits for it";
    assert!(nobody.text.contains(told), "{}", nobody.text);
    let empty = browser
        .post(
            &votes,
            &[("csrf", &csrf), ("vote", "approve"), ("reason", " ")],
        )
        .await;
    assert_eq!(empty.status, 422);
    assert!(empty.text.contains("role=\"alert\""), "{}", empty.text);
    let neither = browser
        .post(&votes, &[("csrf", &csrf), ("reason", "so <it> is")])
        .await;
    assert_eq!(neither.status, 422);
    assert!(
        neither.text.contains("so &lt;it&gt; is"),
        "the reason is kept"
    );

    let voted = browser
        .post(
            &votes,
            &[("csrf", &csrf), ("vote", "approve"), ("reason", "fine")],
        )
        .await;
    assert_eq!(
        (voted.status, voted.location.as_deref()),
        (303, Some(path.as_str()))
    );
    let page = browser.get(&path).await;
    assert!(
        page.text.contains("<blockquote>fine</blockquote>"),
        "{}",
        page.text
    );
    assert!(page.text.contains("You can't vote") && !page.text.contains("<textarea"));
    let again = browser
        .post(
            &votes,
            &[("csrf", &csrf), ("vote", "deny"), ("reason", "no")],
        )
        .await;
    assert_eq!(again.status, 409);

    let out = browser.post("/logout", &[("csrf", &csrf)]).await;
    assert_eq!(out.status, 303);
    assert!(browser.jar.lock().unwrap().is_empty());
    assert!(!browser.get("/").await.text.contains(&id));
}

#[tokio::test]
async fn forms_of_others_vote_for_nobody() {
    let browser = Browser::new(Who::Dora, |_| {}).await;
    let id = browser.house.ask(request(1)).await;
    let votes = format!("/approvals/{id}/votes");
    let form = |csrf: &str| {
        vec![
            ("vote", "approve".to_owned()),
            ("reason", "x".to_owned()),
            ("csrf", csrf.to_owned()),
        ]
    };
    let send = async |fields: Vec<(&str, String)>| {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        browser.post(&votes, &fields).await.status
    };
    assert_eq!(send(form("")).await, 401, "nobody is logged in");
    browser.log_in("/login").await;
    let csrf = browser.get("/").await.csrf();
    assert_eq!(send(form("")).await, 403);
    assert_eq!(send(form("x")).await, 403);
    let mut twice = form(&csrf);
    twice.push(("vote", "deny".to_owned()));
    assert_eq!(send(twice).await, 400);
    let mut more = form(&csrf);
    more.push(("person", "emil@corp".to_owned()));
    assert_eq!(send(more).await, 400);
    // Another origin's page, and one that hides where it is from.
    for origin in ["https://evil.example.com", "null"] {
        let request = browser
            .house
            .client
            .post(browser.url(&votes))
            .header("origin", origin);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let body = format!("vote=approve&reason=x&csrf={csrf}");
        assert_eq!(
            browser.send(request.body(body)).await.status,
            403,
            "{origin}"
        );
    }
    // A session opens pages, never the API.
    assert_eq!(browser.get("/api/v1/approvals").await.status, 401);
    let json = browser
        .house
        .client
        .post(browser.url(&votes))
        .header("content-type", "text/plain");
    let body = format!("vote=approve&reason=x&csrf={csrf}");
    assert_eq!(browser.send(json.body(body)).await.status, 415);
    let case = browser.get(&format!("/approvals/{id}")).await;
    assert!(case.text.contains("Nobody has voted yet"), "{}", case.text);
    // Another's session has other forms.
    assert_eq!(browser.post("/logout", &[("csrf", "x")]).await.status, 403);
    assert_eq!(send(form(&csrf)).await, 303);
}

#[tokio::test]
async fn logins_of_others_open_nothing() {
    let edits: [(Edit, &str); 7] = [
        (|claims| claims["nonce"] = json!("x"), "of another login"),
        (|claims| claims["nonce"] = Value::Null, "of another login"),
        (
            |claims| claims["aud"] = json!("provost"),
            "not for `console`",
        ),
        (
            |claims| claims["azp"] = json!("payroll"),
            "of another login",
        ),
        (|claims| claims["exp"] = json!(1), "expired"),
        (
            |claims| claims["iss"] = json!("https://evil.example.com"),
            "is from issuer",
        ),
        (|claims| claims["sub"] = Value::Null, "no claim `sub`"),
    ];
    let browser = Browser::new(Who::Dora, |_| {}).await;
    for (edit, expected) in edits {
        *browser.provider.who.lock().unwrap() = (Who::Dora, edit);
        let back = browser.log_in("/login").await;
        assert_eq!(back.status, 403, "{expected}: {}", back.text);
        assert!(back.text.contains(expected), "{expected}: {}", back.text);
        assert!(browser.jar.lock().unwrap().is_empty());
    }
    *browser.provider.who.lock().unwrap() = (Who::Dora, |_| {});
    // A way back that somebody else began, one for another state, one gone twice, and one that was refused.
    let back = browser.way_back("/login").await;
    let kept = browser
        .jar
        .lock()
        .unwrap()
        .drain()
        .collect::<HashMap<_, _>>();
    assert_eq!(browser.get(&back).await.status, 403);
    browser.jar.lock().unwrap().extend(kept);
    let other = back.replace("state=", "state=x");
    assert_eq!(browser.get(&other).await.status, 403);
    let back = browser.way_back("/login").await;
    let twice = format!("{back}&state=x");
    assert_eq!(browser.get(&twice).await.status, 403);
    let back = browser.way_back("/login").await;
    assert_eq!(browser.get(&back).await.status, 303);
    assert_eq!(browser.get(&back).await.status, 403);
    let state = back.split_once("state=").unwrap().1;
    assert_eq!(
        browser
            .get(&format!("/callback?error=access_denied&state={state}"))
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn who_may_not_see_finds_nothing() {
    let browser = Browser::new(Who::Stan, |_| {}).await;
    let id = browser.house.ask(request(1)).await;
    browser.log_in("/login").await;
    let list = browser.get("/").await;
    assert!(list.text.contains("Nothing here"));
    assert_eq!(browser.get(&format!("/approvals/{id}")).await.status, 404);
    let csrf = list.csrf();
    let form = [
        ("csrf", csrf.as_str()),
        ("vote", "approve"),
        ("reason", "x"),
    ];
    assert_eq!(
        browser
            .post(&format!("/approvals/{id}/votes"), &form)
            .await
            .status,
        404
    );
    assert_eq!(browser.get("/?standing=x").await.status, 400);
    assert_eq!(browser.get("/approvals/x").await.status, 404);
}

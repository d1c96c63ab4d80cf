//! A console on loopback with an issuer, a log and a store of its own.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use openidconnect::reqwest::{Client, RequestBuilder, Response, redirect};
use provost_engine::{
    graph::{
        Policy,
        rule::{Mode, RuleSet},
    },
    verdict::BundleDigest,
};
use provost_evidence::{
    Archive, DurableFolder, Log, LogOptions, SigningKey,
    approvals::{ApprovalId, Docket, HeldStatement, Need, Request, Rows},
    record::{Micros, Record, SessionRecord},
    report::matrix::{Bearing, Catalogue, Control},
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::{
    approvals::{Approvals, now},
    console::{Console, Furnishing, LoginSettings, Roles, Settings, SlackSettings, Sources, Times},
    identity::{ClaimRules, Delegation, Issuer, IssuerSettings, KindRule, issuer::LoginUrls},
    policy::PolicyHandle,
    roster::Roster,
    settings::{ClientTls, Secret},
};

pub(super) const ISSUER: &str = "https://login.example.com";

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    /// Whose agent asks.
    Ana,
    /// The agent that asks.
    Devin,
    /// Is asked.
    Dora,
    /// Is asked, too.
    Emil,
    /// A person in no group.
    Stan,
    /// An agent in the group that is asked.
    Robot,
    /// An agent of Dora's, with her groups.
    Helper,
    /// An auditor.
    Otto,
    /// A viewer.
    Vera,
    /// An admin.
    Olga,
}

impl Who {
    pub(super) fn claims(self) -> Value {
        let (id, groups): (&str, &[&str]) = match self {
            Self::Ana => ("ana@corp", &["analysts", "db-admins"]),
            Self::Devin => ("devin@corp", &["ai-agents", "db-admins"]),
            Self::Dora => ("dora@corp", &["db-admins"]),
            Self::Emil => ("emil@corp", &["db-admins"]),
            Self::Stan => ("stan@corp", &[]),
            Self::Robot => ("robot@corp", &["ai-agents", "db-admins"]),
            Self::Helper => ("helper@corp", &["db-admins"]),
            Self::Otto => ("otto@corp", &["auditors"]),
            Self::Vera => ("vera@corp", &["platform"]),
            Self::Olga => ("olga@corp", &["operators"]),
        };
        let behind = matches!(self, Self::Helper);
        let behind = behind.then(|| json!({ "sub": "dora@corp", "groups": ["db-admins"] }));
        json!({ "sub": id, "groups": groups, "for": behind })
    }
}

/// What a request looks like: for two of `db-admins`, by the agent Devin, for Ana.
pub(in crate::console) fn request(number: u64) -> Request {
    let requested_at = now();
    let id = ApprovalId::parse(&format!("{:012x}-{number:012x}", requested_at.0 / 1_000)).unwrap();
    let needs = vec![Need {
        group: "dbas".to_owned(),
        members: vec!["db-admins".to_owned()],
        count: 2,
        within_ms: 15 * 60_000,
    }];
    Request {
        requester: "devin@corp".to_owned(),
        requester_kind: "agent".to_owned(),
        on_behalf_of: Some("ana@corp".to_owned()),
        session_id: "session-1".to_owned(),
        application: "psql\x1b[2J<b>".to_owned(),
        target: "shop".to_owned(),
        role: "shop_agents".to_owned(),
        search_path: vec!["public".to_owned()],
        sql: Some(format!(
            "DELETE FROM orders WHERE id = {number} -- </pre><script>"
        )),
        sql_is_exact: true,
        sql_digest: "sql".to_owned(),
        parameters: Some(vec![None, Some("7".to_owned())]),
        parameters_digest: Some("parameters".to_owned()),
        statements: vec![HeldStatement {
            kind: "delete".to_owned(),
            fingerprint: "1".to_owned(),
            relations: vec!["public.orders".to_owned()],
            columns: vec!["public.orders.id".to_owned()],
        }],
        rules: vec!["bulk-delete".to_owned()],
        reason: Some("deletes need people".to_owned()),
        estimate: Some(Rows::Count(1)),
        controls: vec!["nist-800-53/AC-3".to_owned()],
        bundle_digest: "bundle".to_owned(),
        binding_digest: format!("binding-{number}"),
        ..Request::new(id, "gateway-1", requested_at, needs)
    }
}

/// Who has which role.
fn roles() -> Roles {
    Roles {
        viewers: vec!["platform".into()],
        auditors: vec!["auditors".into()],
        admins: vec!["operators".into()],
    }
}

/// A policy without rules.
fn policy() -> Policy {
    provost_engine::graph::compile(RuleSet {
        digest: BundleDigest("bundle".into()),
        mode: Mode::Enforce,
        classes: Vec::new(),
        rules: Vec::new(),
        invariants: Vec::new(),
    })
    .unwrap()
}

/// One control, on which refusals bear.
fn catalogues() -> Vec<Catalogue> {
    vec![Catalogue {
        framework: "nist-800-53".to_owned(),
        name: "NIST <SP> 800-53".to_owned(),
        version: "r5".to_owned(),
        controls: vec![Control {
            id: "AC-3".to_owned(),
            title: "Access Enforcement".to_owned(),
            bearing: Some(Bearing {
                measure: "refusals".to_owned(),
                bears: "each refusal".to_owned(),
                lacks: "the rest".to_owned(),
            }),
        }],
    }]
}

/// The issuer's key.
#[derive(Clone)]
pub(super) struct Signer(EncodingKey);

impl Signer {
    pub(super) fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self(EncodingKey::from_ec_der(&key.serialize_der()))
    }

    fn issuer(&self) -> Issuer {
        let mut jwk = Jwk::from_encoding_key(&self.0, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("key-1".to_owned());
        let mut settings = IssuerSettings::new(ISSUER.to_owned(), vec!["provost".to_owned()]);
        settings.claims = ClaimRules {
            kind: KindRule {
                claim: None,
                agent_groups: vec!["ai-agents".to_owned()],
                service_groups: Vec::new(),
            },
            delegation: Delegation::Claim("for".to_owned()),
            ..ClaimRules::default()
        };
        let keys = json!({ "keys": [jwk] }).to_string();
        Issuer::with_keys(settings, keys.as_bytes(), SystemTime::now())
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("key-1".to_owned());
        jsonwebtoken::encode(&header, claims, &self.0).unwrap()
    }
}

/// The console and all that it needs. It ends with the test.
pub(super) struct House {
    pub(super) approvals: Arc<Approvals>,
    pub(super) roster: Arc<Roster>,
    pub(super) log: Arc<Log>,
    pub(super) url: String,
    pub(super) client: Client,
    signer: Signer,
    folder: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

impl House {
    pub(super) async fn new() -> Self {
        Self::with(Times::default()).await
    }

    pub(super) async fn with(times: Times) -> Self {
        Self::build(Signer::new(), (times, None, None)).await
    }

    /// One that takes buttons in Slack for votes.
    pub(super) async fn with_slack(slack: SlackSettings) -> Self {
        Self::build(Signer::new(), (Times::default(), None, Some(slack))).await
    }

    /// One where people log in at these places of the issuer's, as the client `console`.
    pub(super) async fn with_pages(signer: Signer, urls: LoginUrls) -> Self {
        Self::build(signer, (Times::default(), Some(urls), None)).await
    }

    async fn build(
        signer: Signer,
        (times, urls, slack): (Times, Option<LoginUrls>, Option<SlackSettings>),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(LogOptions::new(folder.path().join("log"), "gateway-1")).unwrap();
        let store = DurableFolder::open(&folder.path().join("store")).unwrap();
        let archive = Archive::new(Arc::clone(&store), &log).unwrap();
        let policy = Arc::new(PolicyHandle::new(Arc::new(policy())));
        let roster = Arc::new(Roster::default());
        let sources = Sources {
            furnishing: Furnishing {
                archive,
                catalogues: catalogues(),
                draw: |_| Ok("<svg xmlns='http://www.w3.org/2000/svg'/>".to_owned()),
                log_bytes_max: 1 << 30,
            },
            log: Arc::clone(&log),
            policy,
            roster: Arc::clone(&roster),
            targets: Vec::new(),
            witness: provost_engine::sql::Witness::Deny,
            started_at: SystemTime::now(),
            drawn: Arc::default(),
        };
        let logged = Arc::clone(&log);
        let key = SigningKey::generate().unwrap();
        let docket = Docket::new(
            store,
            ("gateway-1", key),
            Vec::new(),
            ApprovalId::first_of(Micros(0)),
        );
        let approvals = Arc::new(Approvals::new(docket, log));
        let console = Console::bind(Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: ClientTls::Off,
            origin: None,
            roles: roles(),
            login: urls.as_ref().map(|_| LoginSettings {
                client_id: "console".to_owned(),
                client_secret: Some(Secret::new(b"secret".as_slice())),
                scopes: vec!["openid".to_owned(), "groups".to_owned()],
            }),
            slack,
            times,
        })
        .await
        .unwrap();
        let url = console.origin().to_owned();
        let (stop, stopped) = oneshot::channel();
        let issuer = match urls {
            Some(urls) => signer.issuer().with_login(urls),
            None => signer.issuer(),
        };
        let (desk, issuer) = (Arc::clone(&approvals), Arc::new(issuer));
        tokio::spawn(async move {
            console
                .run(desk, issuer, sources, async {
                    let _ = stopped.await;
                })
                .await;
        });
        Self {
            approvals,
            roster,
            log: logged,
            url,
            client: Client::builder()
                .no_proxy()
                .redirect(redirect::Policy::none())
                .build()
                .unwrap(),
            signer,
            folder,
            _stop: stop,
        }
    }

    /// All that is in the log, as it came.
    pub(super) async fn records(&self) -> Vec<Record> {
        self.log.sync().await.unwrap();
        provost_evidence::records(&self.folder.path().join("log")).unwrap()
    }

    /// The rows of `sessions` among it.
    pub(super) async fn sessions(&self) -> Vec<SessionRecord> {
        let records = self.records().await;
        let sessions = records.into_iter().filter_map(|record| match record {
            Record::Session(session) => Some(session),
            _ => None,
        });
        sessions.collect()
    }

    /// A token of this person's, good for ten minutes, changed by `edit`.
    pub(super) fn token_with(&self, who: Who, edit: impl FnOnce(&mut Value)) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut claims = who.claims();
        claims["iss"] = json!(ISSUER);
        claims["aud"] = json!("provost");
        claims["exp"] = json!((now + Duration::from_secs(600)).as_secs());
        edit(&mut claims);
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        self.signer.sign(&claims)
    }

    pub(super) fn token(&self, who: Who) -> String {
        self.token_with(who, |_| {})
    }

    /// Asks people for something; gives its id.
    pub(super) async fn ask(&self, request: Request) -> String {
        let asked = self.approvals.ask(request).await.unwrap();
        asked.id.to_string()
    }

    pub(super) fn get(&self, who: Who, path: &str) -> RequestBuilder {
        let request = self.client.get(format!("{}{path}", self.url));
        request.bearer_auth(self.token(who))
    }

    /// A vote, not sent yet.
    pub(super) fn voting(&self, who: Who, id: &str, body: impl Into<String>) -> RequestBuilder {
        let url = format!("{}/api/v1/approvals/{id}/votes", self.url);
        let request = self.client.post(url).bearer_auth(self.token(who));
        let request = request.header("content-type", "application/json");
        request.body(body.into())
    }

    pub(super) async fn vote(&self, who: Who, id: &str, vote: &str, reason: &str) -> (u16, Value) {
        let body = json!({ "vote": vote, "reason": reason }).to_string();
        answer(self.voting(who, id, body)).await
    }

    /// The ids that somebody sees.
    pub(super) async fn ids(&self, who: Who, query: &str) -> Vec<String> {
        let (status, list) = answer(self.get(who, &format!("/api/v1/approvals{query}"))).await;
        assert_eq!(status, 200, "{list}");
        let approvals = list["approvals"].as_array().unwrap();
        let ids = approvals.iter().map(|one| one["id"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    }
}

/// Status and JSON of an answer, whose headers are as strict as any's.
pub(super) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    check_headers(&response);
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

pub(super) fn check_headers(response: &Response) {
    let status = response.status().as_u16();
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(header("set-cookie"), "");
    assert_eq!(header("access-control-allow-origin"), "");
    let media_type = header("content-type");
    if status < 400 {
        assert_eq!(media_type, "application/json");
    } else {
        assert_eq!(media_type, "application/problem+json", "{status}");
    }
    assert_eq!(!header("www-authenticate").is_empty(), status == 401);
}

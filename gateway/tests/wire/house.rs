//! A gateway to test against: a private PostgreSQL, an issuer of tokens on loopback, a log in a temporary folder.
//!
//! One cluster and one issuer for the whole test binary; as many gateways as tests want.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use provost_engine::{
    facts::Operation,
    graph::{
        self, Policy,
        condition::Condition,
        glob::Glob,
        name::NamePattern,
        rule::{
            Audience, Class, ColumnPattern, Effect, Hold, Mask, Mode, Operations, Probing, Rule,
            RuleSet, Scope, Subjects,
        },
    },
    verdict::{Approval, BundleDigest, HeldTransaction, Limits, Transform},
};
use provost_evidence::{
    DurableFolder, Leases, Log, LogOptions, SigningKey,
    approvals::{ApprovalId, Docket},
    record::Micros,
};
use provost_gateway::{
    approvals::Approvals,
    error::Error,
    identity::{Issuer, IssuerSettings},
    policy::PolicyHandle,
    record::EvidenceKey,
    serve::{Gateway, Parts},
    settings::{ClientTls, Host, Roles, Secret, ServerTls, Settings, Target, Warm},
};
use tokio::{runtime::Runtime, sync::oneshot};

use crate::postgres::{Cluster, Listen, Options, SUPERUSER};

/// The audience that the gateways accept.
pub(crate) const AUDIENCE: &str = "provost";

/// The private server, started once; a watchdog of its own removes it when this process ends.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = start_cluster();
        cluster
            .execute(
                "postgres",
                "CREATE TABLE public.customers (id int PRIMARY KEY, name text, ssn text);
                 INSERT INTO public.customers SELECT n, 'name ' || n, '000-00-' || n FROM generate_series(1, 100) n;",
            )
            .unwrap();
        cluster
    })
}

/// A private server of one's own.
pub(crate) fn start_cluster() -> Cluster {
    Cluster::start(&Options {
        listen: Listen::Loopback,
        settings: &[("max_connections", "50")],
    })
    .unwrap()
}

/// The target `shop` on this server. Nothing is connected ahead: tests count the server's sessions.
pub(crate) fn target(cluster: &Cluster) -> Target {
    Target {
        name: "shop".into(),
        host: Host::Unix(cluster.socket_folder().to_owned()),
        port: cluster.port(),
        database: "postgres".into(),
        user: SUPERUSER.into(),
        roles: Roles::default(),
        warm: Warm::OFF,
        replication: false,
        password: Some(Secret::new(cluster.password().as_bytes()).into()),
        tls: ServerTls::Off,
    }
}

/// An issuer of tokens: a discovery document and one key over HTTP on loopback.
pub(crate) struct TokenMaker {
    url: String,
    key: EncodingKey,
}

pub(crate) fn tokens() -> &'static TokenMaker {
    static TOKENS: OnceLock<TokenMaker> = OnceLock::new();
    TOKENS.get_or_init(TokenMaker::start)
}

impl TokenMaker {
    fn start() -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("test".to_owned());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let document = serde_json::json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/authorize"),
            "jwks_uri": format!("{url}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let keys = serde_json::json!({ "keys": [jwk] });
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                lines.read_line(&mut request).unwrap();
                let mut header = String::from("x");
                while !header.trim().is_empty() {
                    header.clear();
                    lines.read_line(&mut header).unwrap();
                }
                let body = if request.contains("/keys") {
                    &keys
                } else {
                    &document
                }
                .to_string();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        Self { url, key }
    }

    /// A good token of `subject`.
    pub(crate) fn good(&self, subject: &str) -> String {
        self.make(subject, AUDIENCE, 600)
    }

    /// A token that expires in `seconds` from now, which may be negative.
    pub(crate) fn make(&self, subject: &str, audience: &str, seconds: i64) -> String {
        self.sign(subject, audience, seconds, &["staff"])
    }

    /// A good token of `subject`, who is in these groups.
    pub(crate) fn in_groups(&self, subject: &str, groups: &[&str]) -> String {
        self.sign(subject, AUDIENCE, 600, groups)
    }

    fn sign(&self, subject: &str, audience: &str, seconds: i64, groups: &[&str]) -> String {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let claims = serde_json::json!({
            "iss": self.url,
            "sub": subject,
            "aud": audience,
            "iat": now - 3600,
            "exp": i64::try_from(now).unwrap() + seconds,
            "groups": groups,
        });
        let header = Header {
            kid: Some("test".to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

/// A running gateway; dropping it stops it.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) approvals: Arc<Approvals>,
    pub(crate) log: PathBuf,
    pub(crate) policy: Arc<PolicyHandle>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), Error>>>,
    _folder: tempfile::TempDir,
}

/// Settings for the common cluster.
pub(crate) fn settings(tls: ClientTls) -> Settings {
    settings_for(tls, target(cluster()))
}

pub(crate) fn settings_for(tls: ClientTls, target: Target) -> Settings {
    let mut settings = Settings::new((Ipv4Addr::LOCALHOST, 0).into(), tls, vec![target]);
    settings.threads = std::num::NonZeroUsize::new(1);
    settings.shutdown_grace_ms = 500;
    settings
}

/// A certificate for localhost, with its key.
pub(crate) fn certificate() -> ClientTls {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    ClientTls::Required {
        certificate_chain: certified.cert.pem().into_bytes(),
        key: Secret::new(certified.signing_key.serialize_pem().into_bytes()),
    }
}

/// A policy that allows everything to everybody that analysis can read, but for VACUUM and the like.
pub(crate) fn allow_everything(digest: &str) -> Arc<Policy> {
    let read = Operation::ALL.into_iter();
    let read: Vec<Operation> = read
        .filter(|operation| *operation != Operation::Maintain)
        .collect();
    policy(digest, rules(&read, Effect::Allow))
}

/// A policy that allows everything to everybody that analysis understands.
pub(crate) fn allow_what_is_understood(digest: &str) -> Arc<Policy> {
    let read = Operation::ALL.into_iter();
    let read: Vec<Operation> = read
        .filter(|operation| *operation != Operation::Opaque)
        .collect();
    policy(digest, rules(&read, Effect::Allow))
}

/// A policy that allows these operations to everybody.
pub(crate) fn allow_operations(digest: &str, is_allowed: fn(Operation) -> bool) -> Arc<Policy> {
    let operations = Operation::ALL.into_iter();
    let operations: Vec<Operation> = operations.filter(|one| is_allowed(*one)).collect();
    policy(digest, rules(&operations, Effect::Allow))
}

/// A policy that allows everything to everybody, whether analysis can read it or not.
pub(crate) fn allow_anything(digest: &str) -> Arc<Policy> {
    policy(digest, rules(&Operation::ALL, Effect::Allow))
}

/// A policy that allows everything to everybody, read or not, and has one rule more, on every statement.
pub(crate) fn anything_and(digest: &str, effect: impl FnOnce(Scope) -> Effect) -> Arc<Policy> {
    let mut all = rules(&Operation::ALL, Effect::Allow);
    all.push(Rule {
        mode: Mode::Enforce,
        name: "one-more".into(),
        effect: effect(everything(&Operation::ALL)),
        subjects: Subjects {
            audience: Audience::Anyone,
            except: Vec::new(),
        },
        because: None,
        controls: Vec::new(),
    });
    policy(digest, all)
}

/// A policy that denies everything to everybody.
pub(crate) fn deny_everything(digest: &str) -> Arc<Policy> {
    policy(digest, rules(&Operation::ALL, Effect::Deny))
}

/// A policy that allows everything but changes and deletions of rows, which it holds until these many of these groups approve within so
/// many milliseconds.
pub(crate) fn hold_changes(
    digest: &str,
    needs: &[(&str, u16, u64)],
    transaction: HeldTransaction,
) -> Arc<Policy> {
    let is_held =
        |operation: &Operation| matches!(operation, Operation::Update | Operation::Delete);
    let (held, allowed): (Vec<Operation>, Vec<Operation>) =
        Operation::ALL.into_iter().partition(is_held);
    let approvals = needs.iter().map(|(group, count, within_ms)| Approval {
        group: (*group).into(),
        members: vec![(*group).into()],
        count: *count,
        within_ms: *within_ms,
    });
    let hold = Hold {
        approvals: approvals.collect(),
        transaction,
    };
    let mut all = rules(&allowed, Effect::Allow);
    all.push(Rule {
        mode: Mode::Enforce,
        name: "changes-are-approved".into(),
        effect: Effect::Hold(everything(&held), hold),
        subjects: Subjects {
            audience: Audience::Anyone,
            except: Vec::new(),
        },
        because: None,
        controls: vec!["nist-800-53:AC-3(2)".into()],
    });
    policy(digest, all)
}

/// A policy that holds changes and deletions of rows, allows no insertion, denies TRUNCATE, and lets all but the last through by a stated
/// reason; it allows everything else.
pub(crate) fn break_glass(digest: &str) -> Arc<Policy> {
    use Operation::{CopyFrom, Delete, Insert, Truncate, Update};
    let changes = [Update, Delete, Insert, CopyFrom];
    let allowed = Operation::ALL.into_iter();
    let allowed: Vec<Operation> = allowed
        .filter(|operation| !changes.contains(operation))
        .collect();
    let approval = Approval {
        group: "dbas".into(),
        members: vec!["dbas".into()],
        count: 1,
        within_ms: 60_000,
    };
    let hold = Hold {
        approvals: vec![approval],
        transaction: HeldTransaction::Fail,
    };
    let effects = [
        ("held", Effect::Hold(everything(&[Update, Delete]), hold)),
        ("incident", Effect::BreakGlass(everything(&changes))),
        ("never", Effect::Deny(everything(&[Truncate]))),
    ];
    let mut all = rules(&allowed, Effect::Allow);
    all.extend(effects.map(|(name, effect)| Rule {
        mode: Mode::Enforce,
        name: name.into(),
        effect,
        subjects: Subjects {
            audience: Audience::Anyone,
            except: Vec::new(),
        },
        because: Some("on call".into()),
        controls: Vec::new(),
    }));
    policy(digest, all)
}

/// A policy that allows everything and masks `ssn`.
pub(crate) fn mask_ssn(digest: &str) -> Arc<Policy> {
    masks(digest, &[("ssn", Transform::Redact)], None)
}

/// A policy that allows everything, masks columns of these names, whatever the table, and limits results to so many rows.
pub(crate) fn masks(
    digest: &str,
    columns: &[(&str, Transform)],
    rows_max: Option<u64>,
) -> Arc<Policy> {
    let pattern = |(column, _): &(&str, Transform)| ColumnPattern {
        schema: NamePattern::any(),
        relation: NamePattern::any(),
        column: NamePattern::from(Glob::exactly(column)),
    };
    let class = Class {
        name: "pii".into(),
        columns: columns.iter().map(pattern).collect(),
    };
    let transforms = columns.iter().cloned();
    let mask = Mask {
        condition: Condition::Always,
        classes: vec!["pii".into()],
        transforms: transforms
            .map(|(column, transform)| (column.into(), transform))
            .collect(),
        otherwise: Transform::Redact,
        probing: Probing::Deny,
    };
    let mut rules = rules(&Operation::ALL, Effect::Allow);
    let mut add = |name: &str, effect| {
        rules.push(Rule {
            mode: Mode::Enforce,
            name: name.into(),
            effect,
            subjects: Subjects {
                audience: Audience::Anyone,
                except: Vec::new(),
            },
            because: None,
            controls: Vec::new(),
        });
    };
    add("mask", Effect::Mask(mask));
    if let Some(rows) = rows_max {
        let limits = Limits {
            rows: Some(rows),
            ..Limits::default()
        };
        add("limit", Effect::Limit(everything(&Operation::ALL), limits));
    }
    let set = RuleSet {
        mode: Mode::Enforce,
        invariants: Vec::new(),
        digest: BundleDigest(digest.into()),
        classes: vec![class],
        rules,
    };
    Arc::new(graph::compile(set).unwrap())
}

fn policy(digest: &str, rules: Vec<Rule>) -> Arc<Policy> {
    let set = RuleSet {
        mode: Mode::Enforce,
        invariants: Vec::new(),
        digest: BundleDigest(digest.into()),
        classes: Vec::new(),
        rules,
    };
    Arc::new(graph::compile(set).unwrap())
}

/// These operations on everything.
fn everything(operations: &[Operation]) -> Scope {
    Scope {
        operations: Operations::of(operations),
        objects: None,
        condition: Condition::Always,
    }
}

/// One rule that has this effect on these operations on everything for everybody.
fn rules(operations: &[Operation], effect: fn(Scope) -> Effect) -> Vec<Rule> {
    vec![Rule {
        mode: Mode::Enforce,
        name: "everything".into(),
        effect: effect(everything(operations)),
        subjects: Subjects {
            audience: Audience::Anyone,
            except: Vec::new(),
        },
        because: None,
        controls: Vec::new(),
    }]
}

impl House {
    /// Starts a gateway, or says why it does not start.
    pub(crate) fn try_start(settings: Settings) -> Result<Self, Error> {
        Self::try_start_logging(settings, |options| options)
    }

    fn try_start_logging(
        settings: Settings,
        log: impl FnOnce(LogOptions) -> LogOptions,
    ) -> Result<Self, Error> {
        let folder = tempfile::tempdir().unwrap();
        let log_folder = folder.path().join("log");
        let store = DurableFolder::open(&folder.path().join("store")).unwrap();
        let signing = SigningKey::generate().unwrap();
        let approvals = Docket::new(
            Arc::clone(&store),
            ("test", signing),
            Vec::new(),
            ApprovalId::first_of(Micros(0)),
        );
        let leases = Leases::new(store, "test");
        let (log, _) = Log::open(log(LogOptions::new(&log_folder, "test"))).unwrap();
        let policy = Arc::new(PolicyHandle::new(allow_everything("one")));
        let runtime = Runtime::new().unwrap();
        let gateway = runtime.block_on(async {
            let mut trusted = IssuerSettings::new(tokens().url.clone(), vec![AUDIENCE.to_owned()]);
            trusted.leeway_seconds = 0;
            let issuer = Issuer::discover(trusted).await.unwrap();
            let key = EvidenceKey::new(Secret::new([7_u8; 32])).unwrap();
            Gateway::bind(
                settings,
                Parts {
                    policy: Arc::clone(&policy),
                    log,
                    leases,
                    approvals,
                    key,
                    issuer,
                },
            )
            .await
        })?;
        let (stop, stopped) = oneshot::channel();
        let address = gateway.address();
        let approvals = gateway.approvals();
        let thread = thread::spawn(move || {
            runtime.block_on(gateway.run(async {
                let _ = stopped.await;
            }))
        });
        Ok(Self {
            address,
            approvals,
            log: log_folder,
            policy,
            stop: Some(stop),
            thread: Some(thread),
            _folder: folder,
        })
    }

    pub(crate) fn start(settings: Settings) -> Self {
        Self::try_start(settings).unwrap()
    }

    /// One whose log takes so many bytes, which nothing seals.
    pub(crate) fn start_small(settings: Settings, log_bytes_max: u64) -> Self {
        let options = |options| LogOptions {
            segment_bytes_max: log_bytes_max / 4,
            bytes_warn: log_bytes_max / 2,
            bytes_max: log_bytes_max,
            ..options
        };
        Self::try_start_logging(settings, options).unwrap()
    }

    /// Stops it, and gives every record in its log, as JSON text, a line each.
    pub(crate) fn stop(mut self) -> String {
        self.halt();
        let records = provost_evidence::records(&self.log).unwrap();
        let lines = records.iter().map(|record| {
            let json = serde_json::to_string(record).unwrap();
            format!("{json}\n")
        });
        lines.collect()
    }

    fn halt(&mut self) {
        if let (Some(stop), Some(thread)) = (self.stop.take(), self.thread.take()) {
            let _ = stop.send(());
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.halt();
        }
    }
}

/// How long a raw client waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

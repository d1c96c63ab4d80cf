//! What the gateway is told at start: plain data, already checked for shape by whoever reads the configuration file.
//!
//! It must never hold policy text, and a secret in it must never show in a log: [`Secret`] has no readable `Debug`.

use std::{fmt, net::SocketAddr, num::NonZeroUsize, path::PathBuf, sync::Arc};

pub use provost_engine::sql::Witness;
use provost_engine::{mask::MaskKeys, principal::Principal};
use provost_evidence::replay::ReplayKey;
use url::Url;

pub use crate::{
    approvals::{MailAddress, Template},
    upstream::{Asked, Credential, Source, Unavailable},
};

/// Bytes that must not be shown: a password, a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Wraps the bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the one place that uses them.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(hidden)")
    }
}

/// Whether clients must encrypt.
#[derive(Debug, Clone)]
pub enum ClientTls {
    /// TLS 1.2 or 1.3 is required; a plain start-up is refused.
    Required {
        /// The certificate chain, PEM, the server's own first.
        certificate_chain: Vec<u8>,
        /// The private key, PEM (PKCS#8, PKCS#1 or SEC1).
        key: Secret,
    },
    /// No TLS at all: tokens travel in the clear. Only by an explicit line of the configuration.
    Off,
}

/// Where a target's server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address, over TCP.
    Tcp(Arc<str>),
    /// The folder of a Unix socket `.s.PGSQL.{port}`.
    Unix(PathBuf),
}

/// How the gateway encrypts towards a target's server.
#[derive(Debug, Clone)]
pub enum ServerTls {
    /// No TLS: for Unix sockets and loopback.
    Off,
    /// Encrypted, the certificate is not checked: protects against listeners only.
    Require,
    /// Encrypted, the chain must end in one of these roots and name the host.
    VerifyFull {
        /// Root certificates, PEM.
        roots: Vec<u8>,
    },
}

/// Whose sessions get which role on a target's server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roles {
    /// In order: the first whose group the principal itself is in counts. Whoever it works for counts for nothing here.
    pub by_group: Vec<RoleOfGroup>,
    /// The role of everybody else; `None`: the one that the gateway logs in as.
    pub otherwise: Option<Arc<str>>,
}

/// The role of a group's sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleOfGroup {
    /// The group, exact bytes.
    pub group: Arc<str>,
    /// The role: one that the gateway's own may SET ROLE to.
    pub role: Arc<str>,
}

impl Roles {
    /// The role that the sessions of `principal` start in, where it is another than the gateway's own.
    #[must_use]
    pub fn of(&self, principal: &Principal) -> Option<&Arc<str>> {
        let is_of = |one: &&RoleOfGroup| principal.groups.contains(&one.group);
        let found = self.by_group.iter().find(is_of).map(|one| &one.role);
        found.or(self.otherwise.as_ref())
    }
}

/// Connections to a target's server that are made before a session asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warm {
    /// How many there are at most, those on their way included; 0: none are made. At the limit the next session waits for its log-in.
    pub connections_max: usize,
    /// How long one waits for its session; then it is closed.
    pub idle_ms: u64,
}

impl Warm {
    /// [`Warm::connections_max`] unless configured.
    pub const CONNECTIONS_MAX: usize = 8;
    /// [`Warm::idle_ms`] unless configured.
    pub const IDLE_MS: u64 = 60_000;
    /// None are made.
    pub const OFF: Self = Self {
        connections_max: 0,
        idle_ms: Self::IDLE_MS,
    };
}

impl Default for Warm {
    fn default() -> Self {
        Self {
            connections_max: Self::CONNECTIONS_MAX,
            idle_ms: Self::IDLE_MS,
        }
    }
}

/// What a receiver of messages takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookForm {
    /// The request and how it stands.
    Json,
    /// A message for Slack, and what takes the same.
    Slack,
}

/// Who is told what people are asked, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where messages are posted; it may hold a secret.
    pub url: Url,
    /// What messages are signed with.
    pub secret: Secret,
    /// What it takes.
    pub form: WebhookForm,
    /// Where people look at approvals: what messages link to, `/approvals/ID` behind it.
    pub link: Option<String>,
    /// What a chat is told, in words of the operator's; `None`: in ours.
    pub template: Option<Template>,
    /// What buttons to vote with are made with, Slack's signing secret; `None`: there are none.
    pub buttons: Option<Secret>,
}

/// How a mail server is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Encrypted from the first byte (RFC 8314).
    Wrapped,
    /// Encrypted after STARTTLS (RFC 3207), or not talked to.
    StartTls,
    /// No TLS: for loopback.
    Off,
}

/// Who is told by mail what people are asked, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The server: a name or an address.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// Encryption towards it.
    pub tls: MailTls,
    /// Certificate authorities trusted beside the well-known ones, PEM.
    pub extra_ca: Option<Vec<u8>>,
    /// Its user and password; `None`: it takes mail from anybody.
    pub login: Option<(String, Secret)>,
    /// Whose mail it is.
    pub from: MailAddress,
    /// Who is told, each by a message of their own.
    pub to: Vec<MailAddress>,
    /// Where people look at approvals: what messages link to, `/approvals/ID` behind it.
    pub link: Option<String>,
    /// What they are told, in words of the operator's; `None`: in ours.
    pub template: Option<Template>,
}

/// A database behind the gateway. A client reaches it by asking for the database called `name`.
#[derive(Debug, Clone)]
pub struct Target {
    /// What clients ask for as their database, and what rules call `target`.
    pub name: Arc<str>,
    /// Where the server listens.
    pub host: Host,
    /// Its port; for Unix sockets the number in the socket's name.
    pub port: u16,
    /// The database on the server.
    pub database: Arc<str>,
    /// The role the gateway logs in as.
    pub user: Arc<str>,
    /// The roles that sessions work in.
    pub roles: Roles,
    /// Connections made ahead.
    pub warm: Warm,
    /// Whether replication connections are let through, of principals whom the policy allows everything; never made ahead.
    pub replication: bool,
    /// That role's password; only the gateway knows it. `None`: the server trusts the connection (Unix sockets only).
    pub password: Option<Credential>,
    /// Encryption towards the server.
    pub tls: ServerTls,
}

/// Limits on what clients may take. What happens at each is written beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at once, logged in or not; one more is told FATAL 53300.
    pub connections_max: usize,
    /// Sessions of one principal at once; one more is told FATAL 53300.
    pub connections_per_principal_max: usize,
    /// From accept to the end of the log-in; then the connection closes.
    pub startup_timeout_ms: u64,
    /// One message's body, except CopyData (which is relayed in pieces); a longer one is FATAL 08P01.
    pub message_bytes_max: usize,
    /// One statement's text; a longer one is refused with 54000, the session lives.
    pub statement_bytes_max: usize,
    /// Idle with no transaction open, since the last answer was sent; then FATAL 57P05. 0: no limit.
    pub idle_timeout_ms: u64,
    /// Idle within a transaction, since the last answer was sent; then FATAL 25P03, and the transaction is rolled back. 0: no limit.
    pub idle_in_transaction_timeout_ms: u64,
    /// Connecting and logging in to a target's server; then FATAL 08006.
    pub connect_timeout_ms: u64,
}

impl Limits {
    /// [`Limits::connections_max`] unless configured.
    pub const CONNECTIONS_MAX: usize = 1_000;
    /// [`Limits::connections_per_principal_max`] unless configured.
    pub const CONNECTIONS_PER_PRINCIPAL_MAX: usize = 100;
    /// [`Limits::startup_timeout_ms`] unless configured: PostgreSQL's `authentication_timeout` is 60 s.
    pub const STARTUP_TIMEOUT_MS: u64 = 30_000;
    /// [`Limits::message_bytes_max`] unless configured.
    pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
    /// [`Limits::statement_bytes_max`] unless configured.
    pub const STATEMENT_BYTES_MAX: usize = 1024 * 1024;
    /// [`Limits::idle_timeout_ms`] unless configured.
    pub const IDLE_TIMEOUT_MS: u64 = 0;
    /// [`Limits::idle_in_transaction_timeout_ms`] unless configured.
    pub const IDLE_IN_TRANSACTION_TIMEOUT_MS: u64 = 0;
    /// [`Limits::connect_timeout_ms`] unless configured.
    pub const CONNECT_TIMEOUT_MS: u64 = 10_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: Self::CONNECTIONS_MAX,
            connections_per_principal_max: Self::CONNECTIONS_PER_PRINCIPAL_MAX,
            startup_timeout_ms: Self::STARTUP_TIMEOUT_MS,
            message_bytes_max: Self::MESSAGE_BYTES_MAX,
            statement_bytes_max: Self::STATEMENT_BYTES_MAX,
            idle_timeout_ms: Self::IDLE_TIMEOUT_MS,
            idle_in_transaction_timeout_ms: Self::IDLE_IN_TRANSACTION_TIMEOUT_MS,
            connect_timeout_ms: Self::CONNECT_TIMEOUT_MS,
        }
    }
}

/// How connections whose other side is gone without a word are found: towards clients and towards servers over TCP. Milliseconds are
/// rounded down to seconds where the system counts in those.
///
/// # Source
/// PostgreSQL manual, "TCP Settings": `tcp_keepalives_idle` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// Silence after which the other side is asked whether it is there; 0: the system's (two hours, mostly).
    pub keepalives_idle_ms: u64,
    /// Between two such questions; 0: the system's.
    pub keepalives_interval_ms: u64,
    /// Questions without an answer after which the connection ends; 0: the system's.
    pub keepalives_count: u32,
    /// How long sent bytes may wait to be taken by the other side's system before the connection ends; 0: the system's. A client that
    /// is there and does not read is ended by it too. Linux only.
    pub user_timeout_ms: u64,
}

impl Tcp {
    /// [`Tcp::keepalives_idle_ms`] unless configured.
    pub const KEEPALIVES_IDLE_MS: u64 = 60_000;
    /// [`Tcp::keepalives_interval_ms`] unless configured.
    pub const KEEPALIVES_INTERVAL_MS: u64 = 10_000;
    /// [`Tcp::keepalives_count`] unless configured.
    pub const KEEPALIVES_COUNT: u32 = 6;
    /// [`Tcp::user_timeout_ms`] unless configured, as PostgreSQL's own.
    pub const USER_TIMEOUT_MS: u64 = 0;
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            keepalives_idle_ms: Self::KEEPALIVES_IDLE_MS,
            keepalives_interval_ms: Self::KEEPALIVES_INTERVAL_MS,
            keepalives_count: Self::KEEPALIVES_COUNT,
            user_timeout_ms: Self::USER_TIMEOUT_MS,
        }
    }
}

/// Which log writes wait for the disk (ruling 21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durable {
    /// Writes, denials and holds survive a power failure; reads survive a killed process.
    #[default]
    Writes,
    /// Everything survives a power failure.
    Everything,
}

/// Everything the gateway is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on; port 0 takes a free one (see [`crate::serve::Gateway::address`]).
    pub listen: SocketAddr,
    /// Encryption towards clients.
    pub tls: ClientTls,
    /// The databases behind this gateway; at least one, names unique.
    pub targets: Vec<Target>,
    /// What clients may take.
    pub limits: Limits,
    /// How dead connections are found.
    pub tcp: Tcp,
    /// How old a target's catalog may grow before it is read again.
    pub catalog_age_max_ms: u64,
    /// The witness: what happens where the second reading of a statement disagrees.
    pub witness: Witness,
    /// Which log writes wait for the disk.
    pub durable: Durable,
    /// The keys of the masks `hash` and `tokenize`; without them those redact.
    pub mask_keys: Option<Arc<MaskKeys>>,
    /// What recorded statements' inputs are encrypted with; without it they are not kept.
    pub replay_key: Option<Arc<ReplayKey>>,
    /// Who is told what people are asked.
    pub webhooks: Vec<Webhook>,
    /// Who is told by mail.
    pub mails: Vec<Mail>,
    /// Threads that serve sessions; `None`: one per core.
    pub threads: Option<NonZeroUsize>,
    /// How long sessions may finish their work at shutdown before FATAL 57P01.
    pub shutdown_grace_ms: u64,
}

impl Settings {
    /// [`Settings::catalog_age_max_ms`] unless configured (ruling 4).
    pub const CATALOG_AGE_MAX_MS: u64 = 5_000;
    /// [`Settings::shutdown_grace_ms`] unless configured.
    pub const SHUTDOWN_GRACE_MS: u64 = 5_000;

    /// Settings with every default.
    #[must_use]
    pub fn new(listen: SocketAddr, tls: ClientTls, targets: Vec<Target>) -> Self {
        Self {
            listen,
            tls,
            targets,
            limits: Limits::default(),
            tcp: Tcp::default(),
            catalog_age_max_ms: Self::CATALOG_AGE_MAX_MS,
            witness: Witness::Deny,
            durable: Durable::default(),
            mask_keys: None,
            replay_key: None,
            webhooks: Vec::new(),
            mails: Vec::new(),
            threads: None,
            shutdown_grace_ms: Self::SHUTDOWN_GRACE_MS,
        }
    }
}

//! The configuration: one TOML file to the gateway's settings, checked before anything starts.
//!
//! ```text
//! text --raw (serde, unknown keys refused)--> Raw --check--> Config --resolve (files, secrets)--> Resolved
//! ```
//!
//! It must never print a secret, and never start with a value that it did not understand.

mod check;
mod raw;
mod rds;
mod resolve;
mod secret;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use provost_gateway::{
    identity::IssuerSettings,
    settings::{Durable, MailAddress, Roles, Warm},
};

use crate::policy::Location;

pub(crate) use resolve::{replay_key, resolve, resolve_target};
pub(crate) use secret::{Error as FileError, SecretSource, read_file};

/// The commented example; a test keeps it valid.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");
/// The largest file read as a configuration, in bytes; a larger one is refused.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Encryption towards clients, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientTls {
    /// Required, with this certificate and key.
    Required {
        /// PEM file.
        certificate: PathBuf,
        /// PEM.
        key: SecretSource,
    },
    /// Tokens travel in the clear.
    Off,
}

/// Encryption towards a target, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerTls {
    /// None.
    Off,
    /// Encrypted, unchecked.
    Require,
    /// Checked against the roots in this PEM file.
    VerifyFull {
        /// PEM file.
        roots: PathBuf,
    },
}

/// Where a target's password comes from, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Password {
    /// A secret; read anew when the server refuses it.
    Secret(SecretSource),
    /// Tokens for Amazon RDS, signed for this region.
    RdsIam {
        /// The region.
        region: String,
    },
}

/// A target, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) host: provost_gateway::settings::Host,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) roles: Roles,
    pub(crate) warm: Warm,
    pub(crate) replication: bool,
    pub(crate) password: Option<Password>,
    pub(crate) tls: ServerTls,
}

/// Where evidence goes and under which keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// This gateway's name in every row.
    pub(crate) gateway: String,
    /// The write-ahead log's folder.
    pub(crate) folder: PathBuf,
    /// The store: Parquet and ledger.
    pub(crate) store: provost_evidence::Location,
    /// The store's settings by `object_store`'s names, before the environment's.
    pub(crate) store_settings: Vec<(String, SecretSource)>,
    /// Above this, bytes of unsealed log, the gateway warns.
    pub(crate) log_bytes_warn: u64,
    /// Beyond this, bytes of unsealed log, every statement is denied.
    pub(crate) log_bytes_max: u64,
    /// After how many days sealed objects are deleted; never where it isn't configured.
    pub(crate) retention_days: Option<u32>,
    /// How what is sealed is locked against deletion.
    pub(crate) object_lock: Option<provost_evidence::ObjectLock>,
    /// Who stamps checkpoints with the time; nobody where it isn't configured.
    pub(crate) stamps: Option<Stamps>,
    /// Ed25519, PKCS#8 PEM: signs checkpoints.
    pub(crate) signing_key: SecretSource,
    /// Keys the digests of texts, literals and parameters.
    pub(crate) digest_key: SecretSource,
}

/// A time stamp authority, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamps {
    /// Where it is asked (RFC 3161, by HTTP).
    pub(crate) url: url::Url,
    /// How often at most, seconds.
    pub(crate) interval_s: u64,
}

/// Whom approvals are believed, and who is told of them, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Approvals {
    /// Files of the public keys of the other gateways of the store.
    pub(crate) trusted_gateways: Vec<PathBuf>,
    /// Who is told.
    pub(crate) webhooks: Vec<Webhook>,
    /// Who is told by mail.
    pub(crate) mails: Vec<Mail>,
    /// Whose buttons in Slack are votes; nobody's where it isn't configured.
    pub(crate) slack: Option<Slack>,
}

/// Whose buttons in Slack are votes, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slack {
    /// What Slack signs with.
    pub(crate) signing_secret: SecretSource,
    /// The workspace.
    pub(crate) team: String,
    /// The app.
    pub(crate) app: Option<String>,
    /// Who may vote.
    pub(crate) people: Vec<provost_gateway::console::SlackPerson>,
}

/// Who is told by mail, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The server.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// Encryption towards it.
    pub(crate) tls: provost_gateway::settings::MailTls,
    /// PEM file of authorities trusted beside the well-known ones.
    pub(crate) ca: Option<PathBuf>,
    /// The server's user and password.
    pub(crate) login: Option<(String, SecretSource)>,
    /// Whose mail it is.
    pub(crate) from: MailAddress,
    /// Who is told.
    pub(crate) to: Vec<MailAddress>,
    /// Where people look at approvals.
    pub(crate) link: Option<String>,
    /// The file of what they are told.
    pub(crate) template: Option<PathBuf>,
}

/// A receiver of messages, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    /// Where messages are posted; it may hold a secret.
    pub(crate) url: SecretSource,
    /// What they are signed with.
    pub(crate) secret: SecretSource,
    /// What it takes.
    pub(crate) form: provost_gateway::settings::WebhookForm,
    /// Where people look at approvals.
    pub(crate) link: Option<String>,
    /// The file of what a chat is told.
    pub(crate) template: Option<PathBuf>,
    /// Whether its messages have buttons to vote with.
    pub(crate) buttons: Buttons,
}

/// Whether messages have buttons to vote with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buttons {
    /// They have.
    Shown,
    /// They have none.
    None,
}

/// What the masks `hash` and `tokenize` work with, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Masks {
    /// The secret that both keys are derived from.
    pub(crate) key: SecretSource,
    /// What evidence calls it.
    pub(crate) key_id: String,
}

/// What recorded statements' inputs are encrypted with, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replay {
    /// The secret that the key is derived from.
    pub(crate) key: SecretSource,
    /// What evidence calls it.
    pub(crate) key_id: String,
}

/// Who encrypts the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsoleTls {
    /// The console, with the gateway's certificate.
    Gateway,
    /// Nobody: on loopback.
    Off,
    /// Something in front of it.
    InFront,
}

/// The console, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Console {
    /// Where it listens.
    pub(crate) listen: std::net::SocketAddr,
    /// Who encrypts.
    pub(crate) tls: ConsoleTls,
    /// How people reach it, where they don't by the address listened on: scheme, host, port.
    pub(crate) origin: Option<String>,
    /// Groups that see everybody's statements and sessions.
    pub(crate) viewers: Vec<String>,
    /// Groups that see evidence by controls and data, too.
    pub(crate) auditors: Vec<String>,
    /// Groups that end sessions, too.
    pub(crate) admins: Vec<String>,
    /// How people log in with a browser.
    pub(crate) login: Option<ConsoleLogin>,
}

/// What the issuer knows the console's pages as, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsoleLogin {
    /// The client's id.
    pub(crate) client_id: String,
    /// Its secret, where it has one.
    pub(crate) client_secret: Option<SecretSource>,
    /// What is asked for.
    pub(crate) scopes: Vec<String>,
}

/// Where the policy comes from, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Policy {
    /// A folder that nobody signed; only by an explicit `unsigned = true`.
    UnsignedFolder(PathBuf),
    /// Signed bundles.
    Bundle(Bundle),
}

/// Signed bundles, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// Where the newest one lies.
    pub(crate) location: Location,
    /// PEM files of the keys whose bundles are trusted; at least one.
    pub(crate) trusted_keys: Vec<PathBuf>,
    /// The least sequence accepted; 0 accepts all.
    pub(crate) minimum_sequence: u64,
    /// How often it is looked for.
    pub(crate) poll_interval_ms: u64,
}

/// A checked configuration; files and secrets not yet read.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: std::net::SocketAddr,
    pub(crate) tls: ClientTls,
    pub(crate) targets: Vec<Target>,
    pub(crate) limits: provost_gateway::settings::Limits,
    pub(crate) tcp: provost_gateway::settings::Tcp,
    pub(crate) catalog_age_max_ms: u64,
    pub(crate) witness: provost_gateway::settings::Witness,
    pub(crate) durable: Durable,
    pub(crate) threads: Option<std::num::NonZeroUsize>,
    pub(crate) seal_interval_ms: u64,
    pub(crate) shutdown_grace_ms: u64,
    pub(crate) policy: Policy,
    pub(crate) issuer: IssuerSettings,
    /// PEM file of the issuer's certificate authority.
    pub(crate) issuer_ca: Option<PathBuf>,
    pub(crate) evidence: Evidence,
    /// What people are asked.
    pub(crate) approvals: Approvals,
    /// Without it, a statement whose masks need a key is denied.
    pub(crate) masks: Option<Masks>,
    /// Without it, what recorded statements were asked with is not kept.
    pub(crate) replay: Option<Replay>,
    /// Where people see what is held, and vote; without it they can't.
    pub(crate) console: Option<Console>,
    /// What a Rego module may use for one answer.
    pub(crate) rego: provost_dsl::rego::RegoLimits,
}

/// One thing that is wrong with a configuration: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The key, such as `issuer.url`; empty where the file as a whole is meant.
    pub(crate) key: String,
    /// Line and column, from 1, where known.
    pub(crate) at: Option<(usize, usize)>,
    /// One line.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.at {
            write!(formatter, "line {line}, column {column}: ")?;
        }
        if !self.key.is_empty() {
            write!(formatter, "`{}`: ", self.key)?;
        }
        formatter.write_str(&self.message)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file can't be read.
    #[error("could not read configuration `{}`: {source}; `provost config example` prints one to start from", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("configuration `{}` is larger than {CONFIG_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// The file is wrong.
    #[error("{}", lines(path, problems))]
    Invalid {
        /// Which.
        path: PathBuf,
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
    /// A secret or a file that the configuration names can't be read.
    #[error("configuration `{}`: `{key}`: {source}", path.display())]
    Secret {
        /// Which.
        path: PathBuf,
        /// The key.
        key: String,
        /// Why.
        source: secret::Error,
    },
}

fn lines(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("configuration `{}`, {problem}", path.display()))
        .collect();
    lines.join("\n")
}

/// Reads and checks a file. Relative paths in it are relative to its folder.
///
/// # Errors
/// [`Error`], with every problem found.
pub(crate) fn load(path: &Path) -> Result<Config, Error> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(read)?.len() > CONFIG_BYTES_MAX {
        return Err(Error::TooLarge {
            path: path.to_owned(),
        });
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    parse(&text, folder).map_err(|problems| Error::Invalid {
        path: path.to_owned(),
        problems,
    })
}

/// Checks a configuration's text; relative paths are taken from `folder`.
pub(crate) fn parse(text: &str, folder: &Path) -> Result<Config, Vec<Problem>> {
    let raw = raw::parse(text).map_err(|problem| vec![problem])?;
    check::check(raw, folder)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_valid() {
        let config = parse(EXAMPLE, Path::new("/etc/provost")).unwrap();
        assert_eq!(config.targets.len(), 2);
        let Policy::Bundle(bundle) = config.policy else {
            panic!("the example has signed bundles");
        };
        assert_eq!(
            bundle.trusted_keys,
            [Path::new("/etc/provost/keys/bundle-signing.pub")]
        );
    }

    /// Every key of the format stands in the example, so that nobody must read code to find one.
    #[test]
    fn the_example_is_complete() {
        for key in raw::KEYS {
            assert!(
                EXAMPLE.lines().any(|line| {
                    let line = line.trim_start_matches("# ");
                    line.split_once(" = ").is_some_and(|(name, _)| name == *key)
                }),
                "`{key}` is missing from the example"
            );
        }
    }

    fn check(from: &str, to: &str, expected: &str) {
        assert!(EXAMPLE.contains(from), "`{from}` is not in the example");
        let text = EXAMPLE.replacen(from, to, 1);
        let problems = match parse(&text, Path::new("/etc/provost")) {
            Ok(_) => String::from("valid"),
            Err(problems) => problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
        };
        assert!(
            problems.contains(expected),
            "`{to}`: expected `{expected}`, got `{problems}`"
        );
        assert!(problems.lines().all(|line| line.len() < 200), "{problems}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        check(
            "listen = ",
            "lisen = ",
            "unknown key `lisen`, did you mean `listen`?",
        );
        check(
            "[issuer]",
            "[isuer]",
            "unknown key `isuer`, did you mean `issuer`?",
        );
        check(
            "audiences = [\"provost\"]",
            "audiences = []",
            "`issuer.audiences`: needs at least one",
        );
        check(
            "listen = \"127.0.0.1:6432\"",
            "listen = \"localhost\"",
            "`gateway.listen`",
        );
        check("port = 5432", "port = 0", "`target[0].port`");
        check(
            "[issuer]",
            "[[approvals.webhook]]\nurl = \"env:A\"\nsecret = \"env:B\"\ntemplate = \"a.txt\"\n[issuer]",
            "`approvals.webhook[0].template`: is for `form = \"slack\"`",
        );
        check(
            "port = 5432",
            "port = \"5432\"",
            "invalid type: string, expected u16",
        );
        check(
            "name = \"shop\"",
            "name = \"reports\"",
            "two targets are called `reports`",
        );
        check(
            "url = \"https://login.example.com\"",
            "url = \"http://login.example.com\"",
            "`issuer.url`",
        );
        check(
            "tls = \"verify-full\"",
            "tls = \"verify\"",
            "`target[0].tls`",
        );
        check(
            "tls = \"verify-full\"",
            "tls = \"off\"",
            "`target[0].tls`: a password must not travel unencrypted",
        );
        check(
            "algorithms = [\"RS256\"",
            "algorithms = [\"HS256\"",
            "`issuer.algorithms`",
        );
        check(
            "password = \"env:SHOP",
            "password = \"SHOP",
            "`target[0].password`",
        );
        check(
            "password = \"env:SHOP_PASSWORD\"",
            "password = \"aws-rds-iam\"",
            "`target[0].password`: must name the server's region",
        );
        check(
            "password = \"env:SHOP_PASSWORD\"\n# \"verify-full\": encrypted and checked. \"require\": encrypted only. \"off\": Unix sockets and loopback.\ntls = \"verify-full\"",
            "password = \"aws-rds-iam:eu-central-1\"\ntls = \"require\"",
            "`target[0].password`: is a token that travels inside TLS as it is",
        );
        check("mode = \"required\"", "mode = \"on\"", "`gateway.tls.mode`");
        check(
            "leeway_seconds = 30",
            "leeway_seconds = 3000",
            "`issuer.leeway_seconds`",
        );
        check(
            "store = \"s3://evidence/production\"",
            "store = \"ftp://evidence\"",
            "`evidence.store`: is no folder, and no URL that begins with",
        );
        check(
            "store = \"s3://evidence/production\"",
            "store = \"evidence\"\nstore_settings = { aws_region = \"env:REGION\" }",
            "`evidence.store_settings.aws_region`: is a folder, which has no settings",
        );
        check(
            "# store_settings = { aws_secret_access_key =",
            "store_settings = { aws_secret =",
            "`evidence.store_settings.aws_secret`: `aws_secret` is no setting of such a store",
        );
        check(
            "# store_settings = { aws_secret_access_key = \"file:",
            "store_settings = { aws_secret_access_key = \"",
            "`evidence.store_settings.aws_secret_access_key`: is not a source of a secret",
        );
        check(
            "# log_bytes_max = 8589934592",
            "log_bytes_max = 1024",
            "`evidence.log_bytes_max`: 1024 is out of range",
        );
        check(
            "# log_bytes_warn = 1073741824",
            "log_bytes_warn = 9000000000",
            "`evidence.log_bytes_warn`: is above `log_bytes_max`",
        );
        check(
            "# retention_days = 400",
            "retention_days = 0",
            "`evidence.retention_days`: 0 is out of range",
        );
        check(
            "# stamp_url = \"http://timestamp.example.com\"",
            "stamp_url = \"ftp://timestamp.example.com\"",
            "`evidence.stamp_url`: must be the `http://` or `https://` address",
        );
        check(
            "# stamp_url = \"http://timestamp.example.com\"",
            "stamp_url = \"http://user:secret@timestamp.example.com\"",
            "`evidence.stamp_url`: must be the `http://` or `https://` address",
        );
        check(
            "# stamp_interval_s = 3600",
            "stamp_interval_s = 3600",
            "`evidence.stamp_interval_s`: says how often",
        );
        check(
            "# stamp_url = \"http://timestamp.example.com\"",
            "stamp_url = \"http://timestamp.example.com\"\nstamp_interval_s = 0",
            "`evidence.stamp_interval_s`: 0 is out of range",
        );
        check(
            "# object_lock = \"governance 400d\"",
            "object_lock = \"for ever\"",
            "`evidence.object_lock`: must be a mode and days, such as `governance 400d`",
        );
        check(
            "store = \"s3://evidence/production\"",
            "store = \"az://evidence/production\"\nobject_lock = \"compliance 400d\"",
            "`evidence.object_lock`: has no object lock that a put could ask for",
        );
        check(
            "durability = \"writes\"",
            "durability = \"none\"",
            "`evidence.durability`",
        );
        let bundle = "bundle = \"s3://policies/production/bundle.tar.gz\"";
        check(
            bundle,
            "folder = \"policies\"",
            "`policy.unsigned`: a folder is not signed: say `unsigned = true` to trust whoever can write to it, or give `bundle` and `trusted_keys`",
        );
        check(
            bundle,
            "folder = \"policies\"\nunsigned = true",
            "`policy.trusted_keys`: says something about signed bundles, and `folder` is none",
        );
        check(
            bundle,
            "",
            "`policy`: needs `bundle` and `trusted_keys`, or `folder` and `unsigned = true`",
        );
        check(
            bundle,
            "bundle = \"b\"\nfolder = \"policies\"",
            "`policy.folder`: and `bundle` are both given: leave one out",
        );
        check(
            bundle,
            "bundle = \"b\"\nunsigned = true",
            "`policy.unsigned`: is for `folder`; bundles must be signed",
        );
        check(
            "# [masks]\n# key = \"env:PROVOST_MASK_KEY\"\n# key_id = ",
            "[masks]\nkey = \"hunter2\"\nkey_id = ",
            "`masks.key`: is not a source of a secret",
        );
        check(
            "# [masks]\n# key = \"env:PROVOST_MASK_KEY\"\n# key_id = \"masks-1\"",
            "[masks]\nkey = \"env:PROVOST_MASK_KEY\"\nkey_id = \"a b\"",
            "`masks.key_id`",
        );
        check(
            "# [rego]\n# instructions = 25000",
            "[rego]\ninstructions = 0",
            "`rego.instructions`: 0 is out of range",
        );
        check(
            bundle,
            "bundle = \"https://example.com/b.tar.gz\"",
            "`policy.bundle`",
        );
        check(
            "trusted_keys = [\"keys/bundle-signing.pub\"]",
            "trusted_keys = []",
            "`policy.trusted_keys`: needs at least one",
        );
        check(
            "# poll_interval_ms = 30000",
            "poll_interval_ms = 5",
            "`policy.poll_interval_ms`",
        );
        let user = "user = \"provost\"\npassword";
        for (roles, expected) in [
            (
                "roles = [{ group = \"a\", role = \"none\" }]",
                "`target[0].roles[0].role`: `none` is no role",
            ),
            (
                "roles = [{ group = \"a\", role = \"\" }]",
                "`target[0].roles[0].role`: must be text",
            ),
            (
                "roles = [{ group = \"\", role = \"b\" }]",
                "`target[0].roles[0].group`: must be text",
            ),
            (
                "roles = [{ group = \"a\", role = \"b\" }, { group = \"a\", role = \"c\" }]",
                "`target[0].roles[1].group`: `a` has an entry before",
            ),
            ("roles = [{ group = \"a\" }]", "missing key `role`"),
            (
                "roles = [{ groups = \"a\", role = \"b\" }]",
                "unknown key `groups`, did you mean `group`?",
            ),
            (
                "default_role = \"a role of sixty-four bytes which is one more than the server takes\"",
                "`target[0].default_role`: is longer than 63 bytes",
            ),
        ] {
            check(user, &format!("{roles}\n{user}"), expected);
        }
        for (key, expected) in [
            (
                "warm_connections = 1001",
                "`target[0].warm_connections`: 1001 is out of range: give 0 to 1000",
            ),
            (
                "warm_idle_ms = 0",
                "`target[0].warm_idle_ms`: 0 is out of range: give 100 to 3600000",
            ),
        ] {
            check(user, &format!("{key}\n{user}"), expected);
        }
        check("listen = \"127.0.0.1:6432\"\n", "", "missing key `listen`");
        check("[gateway]", "[gateway", "line 10");
    }

    /// A password written into the file by mistake isn't repeated in the error.
    #[test]
    fn a_secret_is_never_printed() {
        for wrong in [
            "\"hunter2\"",
            "[\"hunter2\"]",
            "7202702",
            "{ value = \"hunter2\" }",
        ] {
            let wrong = format!("password = {wrong}");
            let text = EXAMPLE.replacen("password = \"env:SHOP_PASSWORD\"", &wrong, 1);
            let problems = parse(&text, Path::new("/etc/provost")).unwrap_err();
            let shown = format!("{problems:?}");
            assert!(
                !shown.contains("hunter2") && !shown.contains("7202702"),
                "{shown}"
            );
        }
    }
}

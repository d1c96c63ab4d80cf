//! From the file's shape to values that make sense: everything that is wrong is found, each with what to do.

mod approvals;
mod console;
mod evidence;
mod mail;
mod slack;
mod target;

use std::{net::SocketAddr, num::NonZeroUsize, path::Path, str::FromStr as _, time::Duration};

use provost_dsl::{bundle::SEQUENCE_MAX, rego::RegoLimits};
use provost_gateway::{
    identity::{Algorithm, ClaimRules, Delegation, IssuerSettings, KindRule},
    settings::{Durable, Limits, Settings, Tcp, Witness},
};

use crate::policy::Location;

use super::{
    Bundle, ClientTls, Config, Masks, Policy, Problem, Replay, SecretSource,
    raw::{self, Hidden, Raw, nearest},
};

/// How often the log is sealed unless configured.
const SEAL_INTERVAL_MS: u64 = 60_000;
/// How often a later bundle is looked for unless configured.
const POLL_INTERVAL_MS: u64 = 30_000;
/// Keys that may sign bundles; a signature is tried against each, more are refused.
const TRUSTED_KEYS_MAX: usize = 16;
/// Collects problems, so that one run tells them all.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            key: key.into(),
            at: None,
            message: message.into(),
        });
    }

    /// One of a few words.
    fn choice<T: Copy>(
        &mut self,
        key: &str,
        found: Option<&str>,
        known: &[(&str, T)],
        default: T,
    ) -> T {
        let Some(found) = found else { return default };
        if let Some((_, value)) = known.iter().find(|(name, _)| *name == found) {
            return *value;
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let suggestion = nearest(found, &names)
            .map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
        self.add(
            key,
            format!("`{found}` is not one of {}{suggestion}", names.join(", ")),
        );
        default
    }

    /// A number within a range.
    fn number<T: PartialOrd + Copy + std::fmt::Display>(
        &mut self,
        key: &str,
        found: Option<T>,
        range: (T, T),
        default: T,
    ) -> T {
        let number = found.unwrap_or(default);
        if number < range.0 || number > range.1 {
            self.add(
                key,
                format!("{number} is out of range: give {} to {}", range.0, range.1),
            );
        }
        number
    }

    fn secret(&mut self, key: &str, text: &Hidden, folder: &Path) -> Option<SecretSource> {
        let source = SecretSource::parse(&text.0, folder);
        if source.is_none() {
            self.add(
                key,
                "is not a source of a secret: give `env:NAME`, `file:PATH` or `command:...`, never the secret itself",
            );
        }
        source
    }

    fn text(&mut self, key: &str, found: &str) {
        if found.is_empty() || found.chars().any(char::is_control) {
            self.add(key, "must be text without control characters");
        }
    }
}

/// Checks everything; relative paths are taken from `folder`.
pub(super) fn check(raw: Raw, folder: &Path) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::default();
    let listen = listen(&raw.gateway, &mut problems);
    let tls = client_tls(&raw.gateway.tls, folder, &mut problems);
    let limits = limits(&raw.gateway.limits, &mut problems);
    let tcp = tcp(&raw.gateway.tcp, &mut problems);
    let issuer = issuer(&raw.issuer, &mut problems);
    let targets = target::targets(&raw.target, folder, &mut problems);
    let evidence = evidence::evidence(&raw.evidence, folder, &mut problems);
    let approvals = approvals::approvals(
        &raw.approvals,
        (raw.console.as_ref(), folder),
        &mut problems,
    );
    let replay = raw
        .replay
        .as_ref()
        .and_then(|raw| replay(raw, folder, &mut problems));
    let masks = raw
        .masks
        .as_ref()
        .and_then(|raw| masks(raw, folder, &mut problems));
    let policy = policy(&raw.policy, folder, &mut problems);
    let rego = rego(&raw.rego, &mut problems);
    let console = raw
        .console
        .as_ref()
        .and_then(|raw| console::console(raw, (tls.as_ref(), folder), &mut problems));
    let witness = problems.choice(
        "gateway.witness",
        raw.gateway.witness.as_deref(),
        &[
            ("deny", Witness::Deny),
            ("record", Witness::Record),
            ("off", Witness::Off),
        ],
        Witness::Deny,
    );
    let durable = problems.choice(
        "evidence.durability",
        raw.evidence.durability.as_deref(),
        &[
            ("writes", Durable::Writes),
            ("everything", Durable::Everything),
        ],
        Durable::Writes,
    );
    let catalog_age_max_ms = problems.number(
        "gateway.catalog_age_max_ms",
        raw.gateway.catalog_age_max_ms,
        (100, 3_600_000),
        Settings::CATALOG_AGE_MAX_MS,
    );
    let seal_interval_ms = problems.number(
        "evidence.seal_interval_ms",
        raw.evidence.seal_interval_ms,
        (100, 86_400_000),
        SEAL_INTERVAL_MS,
    );
    let shutdown_grace_ms = problems.number(
        "gateway.shutdown_grace_ms",
        raw.gateway.shutdown_grace_ms,
        (0, 3_600_000),
        Settings::SHUTDOWN_GRACE_MS,
    );
    let threads = raw.gateway.threads.and_then(|threads| {
        problems.number("gateway.threads", Some(threads), (1, 1024), 1);
        NonZeroUsize::new(threads)
    });
    match (listen, tls, evidence, policy) {
        (Some(listen), Some(tls), Some(evidence), Some(policy)) if problems.0.is_empty() => {
            Ok(Config {
                listen,
                tls,
                targets,
                limits,
                tcp,
                catalog_age_max_ms,
                witness,
                durable,
                threads,
                seal_interval_ms,
                shutdown_grace_ms,
                policy,
                issuer,
                issuer_ca: raw.issuer.ca.as_ref().map(|path| folder.join(path)),
                evidence,
                approvals: approvals.unwrap_or_default(),
                masks,
                replay,
                rego,
                console,
            })
        }
        _ => Err(problems.0),
    }
}

fn listen(raw: &raw::Gateway, problems: &mut Problems) -> Option<SocketAddr> {
    let parsed = SocketAddr::from_str(&raw.listen).ok();
    if parsed.is_none() {
        problems.add(
            "gateway.listen",
            format!(
                "`{}` is no address and port: give one like `127.0.0.1:6432` or `[::]:6432`",
                raw.listen
            ),
        );
    }
    parsed
}

fn client_tls(raw: &raw::ClientTls, folder: &Path, problems: &mut Problems) -> Option<ClientTls> {
    #[derive(Clone, Copy)]
    enum Mode {
        Required,
        Off,
    }
    let known = [("required", Mode::Required), ("off", Mode::Off)];
    match problems.choice("gateway.tls.mode", Some(&raw.mode), &known, Mode::Required) {
        Mode::Off => {
            if raw.certificate.is_some() || raw.key.is_some() {
                problems.add(
                    "gateway.tls.mode",
                    "is `off` but a certificate or key is given: leave them out or say `required`",
                );
            }
            Some(ClientTls::Off)
        }
        Mode::Required => {
            let (Some(certificate), Some(key)) = (&raw.certificate, &raw.key) else {
                problems.add(
                    "gateway.tls",
                    "needs `certificate` and `key`, or `mode = \"off\"` where tokens may travel in the clear",
                );
                return None;
            };
            Some(ClientTls::Required {
                certificate: folder.join(certificate),
                key: problems.secret("gateway.tls.key", key, folder)?,
            })
        }
    }
}

fn limits(raw: &raw::Limits, problems: &mut Problems) -> Limits {
    let mut count = |key: &str, found, default| {
        problems.number(
            &format!("gateway.limits.{key}"),
            found,
            (1, 1_000_000),
            default,
        )
    };
    let connections_max = count(
        "connections_max",
        raw.connections_max,
        Limits::CONNECTIONS_MAX,
    );
    let connections_per_principal_max = count(
        "connections_per_principal_max",
        raw.connections_per_principal_max,
        Limits::CONNECTIONS_PER_PRINCIPAL_MAX,
    );
    let mut bytes = |key: &str, found, max, default| {
        problems.number(
            &format!("gateway.limits.{key}"),
            found,
            (1024, max),
            default,
        )
    };
    let message_bytes_max = bytes(
        "message_bytes_max",
        raw.message_bytes_max,
        1 << 30,
        Limits::MESSAGE_BYTES_MAX,
    );
    // Analysis itself reads no more than 1 MiB.
    let statement_bytes_max = bytes(
        "statement_bytes_max",
        raw.statement_bytes_max,
        Limits::STATEMENT_BYTES_MAX,
        Limits::STATEMENT_BYTES_MAX,
    );
    let mut time = |key: &str, found, min, default| {
        problems.number(
            &format!("gateway.limits.{key}"),
            found,
            (min, 86_400_000),
            default,
        )
    };
    Limits {
        connections_max,
        connections_per_principal_max,
        message_bytes_max,
        statement_bytes_max,
        startup_timeout_ms: time(
            "startup_timeout_ms",
            raw.startup_timeout_ms,
            100,
            Limits::STARTUP_TIMEOUT_MS,
        ),
        idle_timeout_ms: time(
            "idle_timeout_ms",
            raw.idle_timeout_ms,
            0,
            Limits::IDLE_TIMEOUT_MS,
        ),
        idle_in_transaction_timeout_ms: time(
            "idle_in_transaction_timeout_ms",
            raw.idle_in_transaction_timeout_ms,
            0,
            Limits::IDLE_IN_TRANSACTION_TIMEOUT_MS,
        ),
        connect_timeout_ms: time(
            "connect_timeout_ms",
            raw.connect_timeout_ms,
            100,
            Limits::CONNECT_TIMEOUT_MS,
        ),
    }
}

fn tcp(raw: &raw::Tcp, problems: &mut Problems) -> Tcp {
    let mut time = |key: &str, found: Option<u64>, default| {
        let key = format!("gateway.tcp.{key}");
        // The system counts in seconds.
        if matches!(found, Some(1..1_000)) {
            problems.add(&key, "must be at least 1000, or 0 for the system's own");
        }
        problems.number(&key, found, (0, 86_400_000), default)
    };
    let keepalives_idle_ms = time(
        "keepalives_idle_ms",
        raw.keepalives_idle_ms,
        Tcp::KEEPALIVES_IDLE_MS,
    );
    let keepalives_interval_ms = time(
        "keepalives_interval_ms",
        raw.keepalives_interval_ms,
        Tcp::KEEPALIVES_INTERVAL_MS,
    );
    let user_timeout_ms = time("user_timeout_ms", raw.user_timeout_ms, Tcp::USER_TIMEOUT_MS);
    Tcp {
        keepalives_idle_ms,
        keepalives_interval_ms,
        keepalives_count: problems.number(
            "gateway.tcp.keepalives_count",
            raw.keepalives_count,
            (0, 127),
            Tcp::KEEPALIVES_COUNT,
        ),
        user_timeout_ms,
    }
}

fn issuer(raw: &raw::Issuer, problems: &mut Problems) -> IssuerSettings {
    let is_loopback = |url: &str| {
        ["http://127.", "http://localhost", "http://[::1]"]
            .iter()
            .any(|start| url.starts_with(start))
    };
    if !raw.url.starts_with("https://") && !is_loopback(&raw.url) {
        problems.add(
            "issuer.url",
            format!("`{}` must be an https URL (http only on loopback)", raw.url),
        );
    }
    if raw.audiences.is_empty() {
        problems.add(
            "issuer.audiences",
            "needs at least one: what tokens for this gateway carry as `aud`",
        );
    }
    let names: Vec<&str> = Algorithm::ALL
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    let algorithms = raw.algorithms.as_ref().map_or_else(
        || IssuerSettings::ALGORITHMS.to_vec(),
        |found| {
            found
                .iter()
                .filter_map(|name| {
                    let known = Algorithm::from_name(name);
                    if known.is_none() {
                        problems.add(
                            "issuer.algorithms",
                            format!("`{name}` is not one of {}", names.join(", ")),
                        );
                    }
                    known
                })
                .collect()
        },
    );
    if algorithms.is_empty() {
        problems.add("issuer.algorithms", "needs at least one");
    }
    let leeway_seconds = problems.number(
        "issuer.leeway_seconds",
        raw.leeway_seconds,
        (0, IssuerSettings::LEEWAY_SECONDS_MAX),
        IssuerSettings::LEEWAY_SECONDS,
    );
    let default = ClaimRules::default();
    IssuerSettings {
        url: raw.url.clone(),
        audiences: raw.audiences.clone(),
        algorithms,
        claims: ClaimRules {
            principal: raw.principal_claim.clone().unwrap_or(default.principal),
            groups: raw.groups_claim.clone().unwrap_or(default.groups),
            kind: KindRule {
                claim: raw.kind_claim.clone(),
                agent_groups: raw.agent_groups.clone(),
                service_groups: raw.service_groups.clone(),
            },
            delegation: match raw.on_behalf_of_claim.as_deref() {
                None => Delegation::None,
                Some("act") => Delegation::Actor,
                Some(name) => Delegation::Claim(name.to_owned()),
            },
        },
        leeway_seconds,
        extra_ca: None,
    }
}

fn policy(raw: &raw::Policy, folder: &Path, problems: &mut Problems) -> Option<Policy> {
    match (&raw.bundle, &raw.folder) {
        (None, None) => {
            problems.add(
                "policy",
                "needs `bundle` and `trusted_keys`, or `folder` and `unsigned = true`",
            );
            None
        }
        (Some(_), Some(_)) => {
            problems.add(
                "policy.folder",
                "and `bundle` are both given: leave one out",
            );
            None
        }
        (None, Some(unsigned)) => {
            if !raw.unsigned {
                problems.add(
                    "policy.unsigned",
                    "a folder is not signed: say `unsigned = true` to trust whoever can write to it, or give `bundle` and `trusted_keys`",
                );
            }
            let only_signed = [
                ("trusted_keys", !raw.trusted_keys.is_empty()),
                ("minimum_sequence", raw.minimum_sequence.is_some()),
                ("poll_interval_ms", raw.poll_interval_ms.is_some()),
            ];
            for (key, _) in only_signed.iter().filter(|(_, is_given)| *is_given) {
                problems.add(
                    format!("policy.{key}"),
                    "says something about signed bundles, and `folder` is none",
                );
            }
            Some(Policy::UnsignedFolder(folder.join(unsigned)))
        }
        (Some(bundle), None) => {
            if raw.unsigned {
                problems.add("policy.unsigned", "is for `folder`; bundles must be signed");
            }
            signed(bundle, raw, folder, problems)
        }
    }
}

fn signed(
    bundle: &str,
    raw: &raw::Policy,
    folder: &Path,
    problems: &mut Problems,
) -> Option<Policy> {
    let location = Location::parse(bundle, folder);
    if location.is_none() {
        problems.add(
            "policy.bundle",
            format!("`{bundle}` is neither a path nor `s3://bucket/key`"),
        );
    }
    if raw.trusted_keys.is_empty() {
        problems.add(
            "policy.trusted_keys",
            "needs at least one: the public key file that `provost bundle keygen` made",
        );
    }
    if raw.trusted_keys.len() > TRUSTED_KEYS_MAX {
        problems.add(
            "policy.trusted_keys",
            format!("has more than {TRUSTED_KEYS_MAX} keys"),
        );
    }
    let minimum_sequence = problems.number(
        "policy.minimum_sequence",
        raw.minimum_sequence,
        (0, SEQUENCE_MAX),
        0,
    );
    let poll_interval_ms = problems.number(
        "policy.poll_interval_ms",
        raw.poll_interval_ms,
        (100, 86_400_000),
        POLL_INTERVAL_MS,
    );
    Some(Policy::Bundle(Bundle {
        location: location?,
        trusted_keys: raw
            .trusted_keys
            .iter()
            .map(|path| folder.join(path))
            .collect(),
        minimum_sequence,
        poll_interval_ms,
    }))
}

/// Whether it is a name that may stand in rows and object keys.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|letter| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_.".contains(letter)
        })
        && name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
}

fn rego(raw: &raw::Rego, problems: &mut Problems) -> RegoLimits {
    let default = RegoLimits::default();
    let default_ms = u64::try_from(default.time.as_millis()).unwrap_or(u64::MAX);
    RegoLimits {
        instructions: problems.number(
            "rego.instructions",
            raw.instructions,
            (100, 100_000_000),
            default.instructions,
        ),
        input_bytes: problems.number(
            "rego.input_bytes",
            raw.input_bytes,
            (1 << 10, 64 << 20),
            default.input_bytes,
        ),
        value_bytes: problems.number(
            "rego.value_bytes",
            raw.value_bytes,
            (1 << 10, 1 << 30),
            default.value_bytes,
        ),
        time: Duration::from_millis(problems.number(
            "rego.time_ms",
            raw.time_ms,
            (10, 60_000),
            default_ms,
        )),
    }
}

fn masks(raw: &raw::Masks, folder: &Path, problems: &mut Problems) -> Option<Masks> {
    if !is_name(&raw.key_id) {
        problems.add(
            "masks.key_id",
            "must be 1 to 64 of a-z, 0-9, `.`, `_`, `-`, a letter or digit first: evidence names the key by it",
        );
    }
    Some(Masks {
        key: problems.secret("masks.key", &raw.key, folder)?,
        key_id: raw.key_id.clone(),
    })
}

fn replay(raw: &raw::Replay, folder: &Path, problems: &mut Problems) -> Option<Replay> {
    if !is_name(&raw.key_id) {
        problems.add(
            "replay.key_id",
            "must be 1 to 64 of a-z, 0-9, `.`, `_`, `-`, a letter or digit first: evidence names the key by it",
        );
    }
    Some(Replay {
        key: problems.secret("replay.key", &raw.key, folder)?,
        key_id: raw.key_id.clone(),
    })
}

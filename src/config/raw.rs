//! The file's shape: what serde reads, nothing checked yet. Unknown keys are refused here, with the nearest known one.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::Problem;

/// Names farther away than this (0 to 1, 1 is equal) are no suggestion.
const SIMILARITY_MIN: f64 = 0.6;

/// Every key of the format, for the example's test.
#[cfg(test)]
pub(super) const KEYS: &[&str] = &[
    "listen",
    "threads",
    "witness",
    "catalog_age_max_ms",
    "shutdown_grace_ms",
    "mode",
    "certificate",
    "key",
    "connections_max",
    "connections_per_principal_max",
    "startup_timeout_ms",
    "message_bytes_max",
    "statement_bytes_max",
    "idle_timeout_ms",
    "idle_in_transaction_timeout_ms",
    "connect_timeout_ms",
    "keepalives_idle_ms",
    "keepalives_interval_ms",
    "keepalives_count",
    "user_timeout_ms",
    "bundle",
    "trusted_keys",
    "minimum_sequence",
    "poll_interval_ms",
    "folder",
    "unsigned",
    "url",
    "audiences",
    "algorithms",
    "leeway_seconds",
    "ca",
    "principal_claim",
    "groups_claim",
    "kind_claim",
    "agent_groups",
    "service_groups",
    "on_behalf_of_claim",
    "gateway",
    "store",
    "store_settings",
    "log_bytes_warn",
    "log_bytes_max",
    "retention_days",
    "object_lock",
    "stamp_url",
    "stamp_interval_s",
    "signing_key",
    "digest_key",
    "seal_interval_ms",
    "durability",
    "key_id",
    "trusted_gateways",
    "secret",
    "form",
    "link",
    "template",
    "buttons",
    "signing_secret",
    "team",
    "app",
    "people",
    "server",
    "from",
    "to",
    "viewers",
    "auditors",
    "admins",
    "client_id",
    "client_secret",
    "scopes",
    "name",
    "host",
    "port",
    "database",
    "user",
    "password",
    "tls",
    "tls_roots",
    "roles",
    "default_role",
    "warm_connections",
    "warm_idle_ms",
    "replication",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) gateway: Gateway,
    pub(super) policy: Policy,
    pub(super) issuer: Issuer,
    pub(super) evidence: Evidence,
    pub(super) masks: Option<Masks>,
    pub(super) replay: Option<Replay>,
    pub(super) console: Option<Console>,
    #[serde(default)]
    pub(super) approvals: Approvals,
    #[serde(default)]
    pub(super) rego: Rego,
    #[serde(default)]
    pub(super) target: Vec<Target>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gateway {
    pub(super) listen: String,
    pub(super) threads: Option<usize>,
    pub(super) witness: Option<String>,
    pub(super) catalog_age_max_ms: Option<u64>,
    pub(super) shutdown_grace_ms: Option<u64>,
    pub(super) tls: ClientTls,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) tcp: Tcp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientTls {
    pub(super) mode: String,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<Hidden>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rego {
    pub(super) instructions: Option<usize>,
    pub(super) input_bytes: Option<usize>,
    pub(super) value_bytes: Option<usize>,
    pub(super) time_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) connections_max: Option<usize>,
    pub(super) connections_per_principal_max: Option<usize>,
    pub(super) startup_timeout_ms: Option<u64>,
    pub(super) message_bytes_max: Option<usize>,
    pub(super) statement_bytes_max: Option<usize>,
    pub(super) idle_timeout_ms: Option<u64>,
    pub(super) idle_in_transaction_timeout_ms: Option<u64>,
    pub(super) connect_timeout_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tcp {
    pub(super) keepalives_idle_ms: Option<u64>,
    pub(super) keepalives_interval_ms: Option<u64>,
    pub(super) keepalives_count: Option<u32>,
    pub(super) user_timeout_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) bundle: Option<String>,
    #[serde(default)]
    pub(super) trusted_keys: Vec<PathBuf>,
    pub(super) minimum_sequence: Option<u64>,
    pub(super) poll_interval_ms: Option<u64>,
    pub(super) folder: Option<PathBuf>,
    #[serde(default)]
    pub(super) unsigned: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issuer {
    pub(super) url: String,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Option<Vec<String>>,
    pub(super) leeway_seconds: Option<u64>,
    pub(super) ca: Option<PathBuf>,
    pub(super) principal_claim: Option<String>,
    pub(super) groups_claim: Option<String>,
    pub(super) kind_claim: Option<String>,
    #[serde(default)]
    pub(super) agent_groups: Vec<String>,
    #[serde(default)]
    pub(super) service_groups: Vec<String>,
    pub(super) on_behalf_of_claim: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    pub(super) gateway: Option<String>,
    pub(super) folder: PathBuf,
    pub(super) store: Option<String>,
    #[serde(default)]
    pub(super) store_settings: BTreeMap<String, Hidden>,
    pub(super) log_bytes_warn: Option<u64>,
    pub(super) log_bytes_max: Option<u64>,
    pub(super) retention_days: Option<u64>,
    pub(super) object_lock: Option<String>,
    pub(super) stamp_url: Option<String>,
    pub(super) stamp_interval_s: Option<u64>,
    pub(super) signing_key: Hidden,
    pub(super) digest_key: Hidden,
    pub(super) seal_interval_ms: Option<u64>,
    pub(super) durability: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Console {
    pub(super) listen: String,
    pub(super) tls: Option<String>,
    pub(super) url: Option<String>,
    #[serde(default)]
    pub(super) viewers: Vec<String>,
    #[serde(default)]
    pub(super) auditors: Vec<String>,
    #[serde(default)]
    pub(super) admins: Vec<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Hidden>,
    pub(super) scopes: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Masks {
    pub(super) key: Hidden,
    pub(super) key_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    pub(super) key: Hidden,
    pub(super) key_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approvals {
    #[serde(default)]
    pub(super) trusted_gateways: Vec<PathBuf>,
    #[serde(default)]
    pub(super) webhook: Vec<Webhook>,
    #[serde(default)]
    pub(super) mail: Vec<Mail>,
    pub(super) slack: Option<Slack>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slack {
    pub(super) signing_secret: Hidden,
    pub(super) team: String,
    pub(super) app: Option<String>,
    pub(super) people: Vec<SlackPerson>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SlackPerson {
    pub(super) user: String,
    pub(super) id: String,
    pub(super) groups: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mail {
    pub(super) server: Hidden,
    pub(super) tls: Option<String>,
    pub(super) ca: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Hidden>,
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) link: Option<String>,
    pub(super) template: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) url: Hidden,
    pub(super) secret: Hidden,
    pub(super) form: Option<String>,
    pub(super) link: Option<String>,
    pub(super) template: Option<PathBuf>,
    #[serde(default)]
    pub(super) buttons: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    pub(super) user: String,
    pub(super) password: Option<Hidden>,
    pub(super) tls: Option<String>,
    pub(super) tls_roots: Option<PathBuf>,
    #[serde(default)]
    pub(super) roles: Vec<RoleOfGroup>,
    pub(super) default_role: Option<String>,
    pub(super) warm_connections: Option<usize>,
    pub(super) warm_idle_ms: Option<u64>,
    #[serde(default)]
    pub(super) replication: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleOfGroup {
    pub(super) group: String,
    pub(super) role: String,
}

/// Text that may be a secret written where its source belongs: it has no readable `Debug`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Hidden(pub(super) String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("<secret>")
    }
}

/// Reads the file's text.
pub(super) fn parse(text: &str) -> Result<Raw, Problem> {
    toml::from_str(text).map_err(|error| Problem {
        key: String::new(),
        at: error.span().map(|span| line_and_column(text, span.start)),
        message: message(error.message()),
    })
}

/// serde's words in ours: `unknown field` and `missing field` become keys, with the nearest name that is known.
fn message(words: &str) -> String {
    let first_line = words.lines().next().unwrap_or_default();
    let mut names = first_line.split('`').skip(1).step_by(2);
    if first_line.starts_with("unknown field") {
        let unknown = names.next().unwrap_or_default();
        let known: Vec<&str> = names.collect();
        return match nearest(unknown, &known) {
            Some(near) => format!("unknown key `{unknown}`, did you mean `{near}`?"),
            None => format!("unknown key `{unknown}`; known are {}", known.join(", ")),
        };
    }
    if first_line.starts_with("missing field") {
        return format!("missing key `{}`", names.next().unwrap_or_default());
    }
    if first_line.starts_with("invalid ") {
        return without_value(first_line);
    }
    first_line.to_owned()
}

/// `invalid type: integer `5`, expected a string` without the 5: it may be a secret in the wrong place.
fn without_value(words: &str) -> String {
    match (words.split_once(": "), words.rsplit_once(", expected ")) {
        (Some((what, found)), Some((_, expected))) => {
            let kind: String = found
                .chars()
                .take_while(|letter| letter.is_ascii_lowercase() || *letter == ' ')
                .collect();
            format!("{what}: {}, expected {expected}", kind.trim_end())
        }
        _ => "invalid value".to_owned(),
    }
}

/// The known name most like `name`, if any is like it.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// Line and column (in characters) of a byte, from 1.
fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

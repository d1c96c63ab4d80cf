//! The databases behind the gateway, checked.

use std::{path::Path, sync::Arc};

use provost_gateway::settings::{Host, RoleOfGroup, Roles, Warm};

use super::{Problems, raw};
use crate::config::{Password, ServerTls, Target};

/// The port PostgreSQL listens on unless told otherwise.
const POSTGRESQL_PORT: u16 = 5432;
/// Targets behind one gateway; each costs a catalog in memory, more are refused.
const TARGETS_MAX: usize = 64;
/// Groups with a role of their own, for one target; each is compared with a principal's at log-in, more are refused.
const ROLES_MAX: usize = 256;
/// A role's longest name: PostgreSQL's identifiers.
const NAME_BYTES_MAX: usize = 63;

/// Checks every target.
pub(super) fn targets(raw: &[raw::Target], folder: &Path, problems: &mut Problems) -> Vec<Target> {
    if raw.is_empty() {
        problems.add(
            "target",
            "there is none: add a `[[target]]` with the database behind the gateway",
        );
    }
    if raw.len() > TARGETS_MAX {
        problems.add(
            "target",
            format!(
                "there are {}, at most {TARGETS_MAX} are served by one gateway",
                raw.len()
            ),
        );
    }
    let mut targets: Vec<Target> = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        if targets.iter().any(|target| target.name == raw.name) {
            problems.add(
                format!("target[{index}].name"),
                format!("two targets are called `{}`: names must differ", raw.name),
            );
        }
        targets.push(target(raw, &format!("target[{index}]"), folder, problems));
    }
    targets
}

fn target(raw: &raw::Target, key: &str, folder: &Path, problems: &mut Problems) -> Target {
    problems.text(&format!("{key}.name"), &raw.name);
    problems.text(&format!("{key}.user"), &raw.user);
    problems.text(&format!("{key}.host"), &raw.host);
    let host = if raw.host.starts_with('/') {
        Host::Unix(raw.host.clone().into())
    } else {
        Host::Tcp(raw.host.as_str().into())
    };
    let port = problems.number(
        &format!("{key}.port"),
        raw.port,
        (1, u16::MAX),
        POSTGRESQL_PORT,
    );
    let password = raw
        .password
        .as_ref()
        .and_then(|text| password(text, &format!("{key}.password"), folder, problems));
    let is_local = match &host {
        Host::Unix(_) => true,
        Host::Tcp(name) => matches!(&**name, "localhost" | "::1") || name.starts_with("127."),
    };
    if raw.password.is_none() && !matches!(host, Host::Unix(_)) {
        problems.add(
            format!("{key}.password"),
            "is missing: only a Unix socket may do without",
        );
    }
    let tls = server_tls(raw, key, is_local, folder, problems);
    if matches!(password, Some(Password::RdsIam { .. }))
        && !matches!((&host, &tls), (Host::Tcp(_), ServerTls::VerifyFull { .. }))
    {
        problems.add(
            format!("{key}.password"),
            "is a token that travels inside TLS as it is: `aws-rds-iam` needs `tls = \"verify-full\"` and a host name",
        );
    }
    Target {
        name: raw.name.clone(),
        host,
        port,
        database: raw.database.clone().unwrap_or_else(|| raw.name.clone()),
        user: raw.user.clone(),
        roles: roles(raw, key, problems),
        warm: Warm {
            connections_max: problems.number(
                &format!("{key}.warm_connections"),
                raw.warm_connections,
                (0, 1_000),
                Warm::CONNECTIONS_MAX,
            ),
            idle_ms: problems.number(
                &format!("{key}.warm_idle_ms"),
                raw.warm_idle_ms,
                (100, 3_600_000),
                Warm::IDLE_MS,
            ),
        },
        replication: raw.replication,
        password,
        tls,
    }
}

/// Whose sessions get which role.
fn roles(raw: &raw::Target, key: &str, problems: &mut Problems) -> Roles {
    if raw.roles.len() > ROLES_MAX {
        problems.add(
            format!("{key}.roles"),
            format!("has {} entries, at most {ROLES_MAX}", raw.roles.len()),
        );
    }
    let mut by_group: Vec<RoleOfGroup> = Vec::new();
    for (index, one) in raw.roles.iter().enumerate() {
        let key = format!("{key}.roles[{index}]");
        problems.text(&format!("{key}.group"), &one.group);
        check_role(&format!("{key}.role"), &one.role, problems);
        if by_group.iter().any(|known| *known.group == *one.group) {
            problems.add(
                format!("{key}.group"),
                format!(
                    "`{}` has an entry before: the first one counts, so leave this out",
                    one.group
                ),
            );
        }
        by_group.push(RoleOfGroup {
            group: one.group.as_str().into(),
            role: one.role.as_str().into(),
        });
    }
    if let Some(role) = &raw.default_role {
        check_role(&format!("{key}.default_role"), role, problems);
    }
    Roles {
        by_group,
        otherwise: raw.default_role.as_deref().map(Arc::from),
    }
}

fn check_role(key: &str, role: &str, problems: &mut Problems) {
    problems.text(key, role);
    if role.len() > NAME_BYTES_MAX {
        problems.add(key, format!("is longer than {NAME_BYTES_MAX} bytes"));
    }
    // What SET ROLE NONE means.
    if role == "none" {
        problems.add(
            key,
            "`none` is no role: leave it out where the gateway's own is meant",
        );
    }
}

/// `aws-rds-iam:REGION`, or the source of a secret.
fn password(
    text: &raw::Hidden,
    key: &str,
    folder: &Path,
    problems: &mut Problems,
) -> Option<Password> {
    let Some(region) = text.0.strip_prefix("aws-rds-iam") else {
        return problems.secret(key, text, folder).map(Password::Secret);
    };
    match region.strip_prefix(':') {
        Some(region) if !region.is_empty() => Some(Password::RdsIam {
            region: region.to_owned(),
        }),
        Some(_) | None => {
            problems.add(
                key,
                "must name the server's region: `aws-rds-iam:eu-central-1`",
            );
            None
        }
    }
}

fn server_tls(
    raw: &raw::Target,
    key: &str,
    is_local: bool,
    folder: &Path,
    problems: &mut Problems,
) -> ServerTls {
    #[derive(Clone, Copy)]
    enum Mode {
        Off,
        Require,
        VerifyFull,
    }
    let key = format!("{key}.tls");
    let known = [
        ("off", Mode::Off),
        ("require", Mode::Require),
        ("verify-full", Mode::VerifyFull),
    ];
    let default = if is_local {
        Mode::Off
    } else {
        Mode::VerifyFull
    };
    match problems.choice(&key, raw.tls.as_deref(), &known, default) {
        Mode::Off if !is_local => {
            problems.add(
                key,
                "a password must not travel unencrypted: `off` is for Unix sockets and loopback, give `verify-full`",
            );
            ServerTls::Off
        }
        Mode::Off => ServerTls::Off,
        Mode::Require => ServerTls::Require,
        Mode::VerifyFull => match &raw.tls_roots {
            Some(roots) => ServerTls::VerifyFull {
                roots: folder.join(roots),
            },
            None => {
                problems.add(
                    key,
                    "`verify-full` needs `tls_roots`, a PEM file with the server's certificate authority",
                );
                ServerTls::Require
            }
        },
    }
}

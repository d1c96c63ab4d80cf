//! `[evidence]`: names, the store and its settings, how much log may wait.

use std::path::Path;

use provost_evidence::{Location, ObjectLock};
use url::Url;

use super::{
    super::{Evidence, SecretSource, Stamps, raw},
    Problems, is_name,
};

/// How much log may wait to be sealed before the gateway warns, and before it stops, unless configured.
const LOG_BYTES_WARN: u64 = 1 << 30;
const LOG_BYTES_MAX: u64 = 8 << 30;
/// Twice the largest record: one alone must not stop a log.
const LOG_BYTES_MIN: u64 = 32 << 20;
/// A hundred years.
const RETENTION_DAYS_MAX: u64 = 36_500;
/// How often a checkpoint is stamped, unless configured, and at most seldom: an hour, a month.
const STAMP_INTERVAL_S: u64 = 3_600;
const STAMP_INTERVAL_S_MAX: u64 = 31 * 86_400;
/// What a gateway is called in evidence unless configured.
const GATEWAY_NAME: &str = "provost";

pub(super) fn evidence(
    raw: &raw::Evidence,
    folder: &Path,
    problems: &mut Problems,
) -> Option<Evidence> {
    let gateway = raw.gateway.as_deref().unwrap_or(GATEWAY_NAME).to_owned();
    if !is_name(&gateway) {
        problems.add(
            "evidence.gateway",
            "must be 1 to 64 of a-z, 0-9, `.`, `_`, `-`, a letter or digit first: it names objects in the store",
        );
    }
    let log = folder.join(&raw.folder);
    let store = store(raw, &log, folder, problems);
    let store_settings = store.as_ref().map_or_else(Vec::new, |store| {
        store_settings(raw, store, folder, problems)
    });
    let log_bytes_max = problems.number(
        "evidence.log_bytes_max",
        raw.log_bytes_max,
        (LOG_BYTES_MIN, u64::MAX / 2),
        LOG_BYTES_MAX,
    );
    let log_bytes_warn = problems.number(
        "evidence.log_bytes_warn",
        raw.log_bytes_warn,
        (LOG_BYTES_MIN / 2, u64::MAX / 2),
        LOG_BYTES_WARN.min(log_bytes_max),
    );
    if log_bytes_warn > log_bytes_max {
        problems.add(
            "evidence.log_bytes_warn",
            "is above `log_bytes_max`: nobody would be warned",
        );
    }
    let retention_days = raw.retention_days.map(|days| {
        let key = "evidence.retention_days";
        problems.number(key, Some(days), (1, RETENTION_DAYS_MAX), RETENTION_DAYS_MAX)
    });
    let object_lock = store
        .as_ref()
        .and_then(|store| object_lock(raw, store, problems));
    let stamps = stamps(raw, problems);
    let signing_key = problems.secret("evidence.signing_key", &raw.signing_key, folder);
    let digest_key = problems.secret("evidence.digest_key", &raw.digest_key, folder);
    Some(Evidence {
        gateway,
        store: store?,
        store_settings,
        log_bytes_warn,
        log_bytes_max,
        // What is out of range was reported, and nothing comes of it.
        retention_days: retention_days.and_then(|days| u32::try_from(days).ok()),
        object_lock,
        stamps,
        folder: log,
        signing_key: signing_key?,
        digest_key: digest_key?,
    })
}

fn store(
    raw: &raw::Evidence,
    log: &Path,
    folder: &Path,
    problems: &mut Problems,
) -> Option<Location> {
    let Some(text) = &raw.store else {
        return Some(Location::Folder(log.join("store")));
    };
    match Location::parse(text, folder) {
        Ok(location) => Some(location),
        Err(problem) => {
            problems.add("evidence.store", problem.to_string());
            None
        }
    }
}

fn stamps(raw: &raw::Evidence, problems: &mut Problems) -> Option<Stamps> {
    let interval_s = problems.number(
        "evidence.stamp_interval_s",
        raw.stamp_interval_s,
        (1, STAMP_INTERVAL_S_MAX),
        STAMP_INTERVAL_S,
    );
    let Some(text) = &raw.stamp_url else {
        if raw.stamp_interval_s.is_some() {
            problems.add(
                "evidence.stamp_interval_s",
                "says how often, and no `stamp_url` says whom to ask",
            );
        }
        return None;
    };
    let url = Url::parse(text).ok().filter(|url| {
        let has_user = !url.username().is_empty() || url.password().is_some();
        ["http", "https"].contains(&url.scheme()) && url.has_host() && !has_user
    });
    if url.is_none() {
        problems.add(
            "evidence.stamp_url",
            "must be the `http://` or `https://` address of a time stamp authority (RFC 3161), without a user",
        );
    }
    url.map(|url| Stamps { url, interval_s })
}

fn object_lock(
    raw: &raw::Evidence,
    store: &Location,
    problems: &mut Problems,
) -> Option<ObjectLock> {
    let text = raw.object_lock.as_ref()?;
    if let Err(problem) = store.check_lock() {
        problems.add("evidence.object_lock", problem.to_string());
    }
    match text.parse() {
        Ok(lock) => Some(lock),
        Err(problem) => {
            let problem: provost_evidence::store::NoLock = problem;
            problems.add("evidence.object_lock", problem.to_string());
            None
        }
    }
}

fn store_settings(
    raw: &raw::Evidence,
    store: &Location,
    folder: &Path,
    problems: &mut Problems,
) -> Vec<(String, SecretSource)> {
    let mut settings = Vec::new();
    for (name, source) in &raw.store_settings {
        let key = format!("evidence.store_settings.{name}");
        if let Err(problem) = store.check_setting(name) {
            problems.add(key, problem.to_string());
            continue;
        }
        if let Some(source) = problems.secret(&key, source, folder) {
            settings.push((name.clone(), source));
        }
    }
    settings
}

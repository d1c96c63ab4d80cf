//! Where PostgreSQL's binaries lie, and where a temporary folder may. It must never run what it finds.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::error::Error;

/// Longest temporary folder that leaves room for a socket name within the 103 bytes that macOS allows.
const BASE_BYTES_MAX: usize = 64;

/// The folder of `initdb` and `postgres`: `PATH`, then where distributions keep them, newest first.
pub(super) fn binaries() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_complete = |folder: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    std::env::split_paths(&path)
        .chain(versions("/usr/lib/postgresql", "", "bin"))
        .chain(versions("/usr", "pgsql-", "bin"))
        .chain(versions("/opt/homebrew/opt", "postgresql@", "bin"))
        .chain(versions("/usr/local/opt", "postgresql@", "bin"))
        .chain(versions(
            "/Applications/Postgres.app/Contents/Versions",
            "",
            "bin",
        ))
        .find(is_complete)
        .ok_or(Error::NotFound { program: "initdb" })
}

/// `{parent}/{prefix}{number}/{suffix}` for every number there is, greatest first.
fn versions(parent: &str, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let number = |name: &OsStr| name.to_str()?.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut found: Vec<(u32, OsString)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter_map(|name| Some((number(&name)?, name)))
        .collect();
    found.sort_unstable_by(|left, right| right.cmp(left));
    found
        .into_iter()
        .map(|(_, name)| Path::new(parent).join(name).join(suffix))
        .collect()
}

/// The temporary folder's parent: the system's, unless it is too deep for a socket's name or closed to other users.
pub(super) fn base_folder() -> PathBuf {
    let system = std::env::temp_dir();
    let is_open = system
        .ancestors()
        .all(|folder| fs::metadata(folder).is_ok_and(|data| data.mode() & 0o001 != 0));
    // macOS gives each user a closed folder of his own: right for an ordinary user, and root falls back.
    let ours = fs::metadata(&system).is_ok_and(|data| data.uid() != 0);
    if system.as_os_str().len() <= BASE_BYTES_MAX && (is_open || ours) {
        system
    } else {
        PathBuf::from("/tmp")
    }
}

//! Why there is no private PostgreSQL. Messages must never hold its password.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use super::START_DEADLINE;

/// Why there is no private PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No folder with PostgreSQL's server binaries.
    #[error(
        "PostgreSQL's `{program}` was not found: install the PostgreSQL server (Debian and Ubuntu: `apt-get install postgresql`, \
         Fedora: `dnf install postgresql-server`, macOS: `brew install postgresql`) or run `sh examples/demo.sh`"
    )]
    NotFound {
        /// The program looked for.
        program: &'static str,
    },
    /// Running as root, and there is nobody to run the server as.
    #[error(
        "PostgreSQL does not run as root and `/etc/passwd` has neither `postgres` nor `nobody`: run this as an ordinary user"
    )]
    NoUnprivilegedUser,
    /// A file or folder could not be made, read or given away.
    #[error("could not {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program could not be started or waited for.
    #[error("could not run `{program}`")]
    Run {
        /// The program.
        program: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("`{program}` failed ({status}): {output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        output: String,
    },
    /// The server was not ready in time.
    #[error("PostgreSQL was not ready within {} s; its log ends: {log}", START_DEADLINE.as_secs())]
    NotReady {
        /// The end of the server's log.
        log: String,
    },
    /// The operating system gave no randomness for the password.
    #[error("the operating system gave no randomness: {cause}")]
    Randomness {
        /// Why not (no `source`: the crate's error implements `std::error::Error` only with its `std` feature).
        cause: getrandom::Error,
    },
}

/// For `map_err` over a file or folder.
pub(super) fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        action,
        path,
        source,
    }
}

/// For `map_err` over a program.
pub(super) fn run_error(program: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Run { program, source }
}

//! Why a command failed, and the exit code that says so. Messages are one line and say what to do.

use crate::{config, demo};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The policy is invalid.
    InvalidPolicy = 3,
    /// The command line was wrong (`EX_USAGE` of sysexits.h).
    Usage = 64,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What there is to say is on standard output already, in JSON.
    #[error("")]
    Told,
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The demo's issuer.
    #[error(transparent)]
    DemoIssuer(#[from] demo::issuer::Error),
    /// The runtime could not be started.
    #[error("could not start: {0}")]
    Runtime(#[source] std::io::Error),
}

impl Error {
    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Told | Self::Config(_) | Self::DemoIssuer(_) | Self::Runtime(_) => Exit::Failed,
        }
    }
}

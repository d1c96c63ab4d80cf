//! Why a command failed, and the exit code that says so. Messages are one line and say what to do.

use std::path::PathBuf;

use provost_dsl::{LoadError, bundle};

use crate::{commands, config, demo, output, policy};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// A policy denied it, or a policy's test failed.
    Denied = 2,
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
    /// What there is to say is on standard output already.
    #[error("said already")]
    Told(Exit),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The policy.
    #[error("policy `{}`: {source}", folder.display())]
    Policy {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: LoadError,
    },
    /// A schema can't be read as DDL.
    #[error("the schema can't be read: {}", problems.join("; "))]
    Schema {
        /// What is wrong, each with its file and line.
        problems: Vec<String>,
    },
    /// A statement can't be analysed: a gateway refuses it before it asks policy.
    #[error("the statement is refused before policy is asked: {}", .0.message)]
    Refused(Box<provost_engine::sql::Refusal>),
    /// Analysis broke.
    #[error("the analysis broke: this is a defect of provost")]
    Analysis,
    /// The clock shows no time that can be told.
    #[error("the clock is before the year -9999 or after 9999")]
    Clock,
    /// An option's value can't be read.
    #[error("`{option} {value}`: {help}")]
    Option {
        /// Which.
        option: &'static str,
        /// As given.
        value: String,
        /// What to write.
        help: &'static str,
    },
    /// Roots of time stamps can't be read.
    #[error("`{}` holds no certificates in PEM: give the roots of the time stamp authority", path.display())]
    StampRoots {
        /// The file.
        path: PathBuf,
    },
    /// The client of the time stamp authority can't be made.
    #[error("could not make the HTTP client for time stamps")]
    StampClient(#[source] reqwest::Error),
    /// Nobody says how long evidence is kept.
    #[error(
        "say how long evidence is kept: --older-than 400d, or `retention_days` in the configuration"
    )]
    Days,
    /// No sealed row names a session.
    #[error(
        "no sealed evidence names the session `{session}`: a session is told once it is sealed"
    )]
    NoSession {
        /// Which.
        session: String,
    },
    /// A policy is too large to be drawn.
    #[error(transparent)]
    Drawing(provost_dsl::drawing::TooLarge),
    /// A bundle.
    #[error("policy bundle `{location}`: {source}")]
    Bundle {
        /// Where it is from.
        location: String,
        /// Why.
        source: Box<bundle::Error>,
    },
    /// No bundle could be fetched.
    #[error("the policy bundle can't be used: {0}")]
    BundleSource(#[from] policy::SourceError),
    /// The highest bundle accepted can't be read or written.
    #[error(transparent)]
    Accepted(#[from] policy::AcceptedError),
    /// The compiler of policies failed by a bug of its own.
    #[error("the policy could not be compiled: {0}; please report this")]
    Compiler(tokio::task::JoinError),
    /// A file of a command can't be read or written.
    #[error("could not {action} `{}`: {source}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is there already.
    #[error("`{}` is there already: give --force to replace it", path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// No catalog could be read.
    #[error("the catalog can't be read: {0}")]
    Pull(#[source] Box<provost_gateway::catalog::Error>),
    /// The sandbox of a replay can't be reached, or gave no answer.
    #[error("the sandbox database: {0}")]
    Sandbox(#[source] Box<provost_gateway::upstream::Error>),
    /// The sandbox of a replay refuses a command that keeps what is run from being committed, or apart.
    #[error(
        "the sandbox database refuses `{command}`, without which nothing is run and rolled back: {sqlstate} {message}; grant TEMPORARY on it, or give --sandbox to commit"
    )]
    Guard {
        /// The command.
        command: &'static str,
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its message.
        message: String,
    },
    /// A statement ended the transaction that a replay runs in; it is rolled back.
    #[error(
        "a statement ended the transaction that was to be rolled back; nothing behind it was run"
    )]
    Escaped,
    /// A configuration has not the one target that is asked for.
    #[error("name one of the configuration's targets with --target: {names}")]
    Targets {
        /// Those it has.
        names: String,
    },
    /// A PEM file can't be read.
    #[error("`{}`: {source}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: config::FileError,
    },
    /// The policy's tests can't be run.
    #[error("the tests could not be run: {0}")]
    Tests(#[source] std::io::Error),
    /// There is nothing to run.
    #[error("policy folder `{}` has no `test` block and no invariant; write one, or give the folder that has", folder.display())]
    NoTests {
        /// The folder.
        folder: PathBuf,
    },
    /// The filter leaves no test to run.
    #[error("no test or invariant of the policy has `{filter}` in its name")]
    NoTest {
        /// The text that was asked for.
        filter: String,
    },
    /// A key file.
    #[error("key `{}`: {source}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<bundle::Error>,
    },
    /// Evidence can't be written, sealed or read.
    #[error(transparent)]
    Evidence(Box<provost_evidence::Error>),
    /// The evidence folder can't be used by a gateway.
    #[error("evidence folder `{}`: {source}", folder.display())]
    Log {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: Box<provost_evidence::Error>,
    },
    /// There is no such store.
    #[error("there is no evidence at `{}`: give the folder, or the URL, that `[evidence] store` names", folder.display())]
    NoStore {
        /// As given.
        folder: PathBuf,
    },
    /// No statement has the id.
    #[error("no sealed statement has the id `{record}`: give a statement's id or a log_index")]
    NoStatement {
        /// As given.
        record: String,
    },
    /// A record's number is of one gateway, and the store has several.
    #[error("name one of the store's gateways with --gateway: {names}")]
    Gateways {
        /// Those it has.
        names: String,
    },
    /// The file of an earlier verification can't be read.
    #[error("`{}` is no file that `--resume` wrote: {source}; remove it to verify from the start", path.display())]
    Resume {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The public key can't be read.
    #[error("could not read public key `{}`: {source}", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The signing key is not text.
    #[error("the evidence signing key is not PEM text")]
    SigningKey,
    /// A setting of the evidence store is not text.
    #[error("a setting of the evidence store is not text")]
    StoreSetting,
    /// The issuer.
    #[error(transparent)]
    Issuer(#[from] provost_gateway::identity::Error),
    /// The gateway.
    #[error(transparent)]
    Gateway(Box<provost_gateway::error::Error>),
    /// The gateway's console can't listen.
    #[error(transparent)]
    Console(#[from] provost_gateway::console::Error),
    /// A gateway's console could not be asked, or refused.
    #[error(transparent)]
    Approvals(#[from] commands::approvals::ConsoleError),
    /// The demo.
    #[error(transparent)]
    Demo(#[from] demo::Error),
    /// The runtime or a signal handler could not be set up.
    #[error("could not start: {0}")]
    Runtime(#[source] std::io::Error),
}

impl From<provost_evidence::Error> for Error {
    fn from(error: provost_evidence::Error) -> Self {
        Self::Evidence(Box::new(error))
    }
}

impl From<provost_gateway::error::Error> for Error {
    fn from(error: provost_gateway::error::Error) -> Self {
        Self::Gateway(Box::new(error))
    }
}

impl Error {
    /// The sandbox of a replay.
    pub(crate) fn sandbox(source: provost_gateway::upstream::Error) -> Self {
        Self::Sandbox(Box::new(source))
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Told(exit) => *exit,
            Self::Policy { .. } => Exit::InvalidPolicy,
            Self::Bundle { source, .. } if matches!(**source, bundle::Error::Policy(_)) => {
                Exit::InvalidPolicy
            }
            Self::Demo(demo::Error::Serve(source)) => source.exit(),
            Self::Config(_)
            | Self::Bundle { .. }
            | Self::BundleSource(_)
            | Self::Accepted(_)
            | Self::Compiler(_)
            | Self::File { .. }
            | Self::Exists { .. }
            | Self::Pull(_)
            | Self::Sandbox(_)
            | Self::Guard { .. }
            | Self::Escaped
            | Self::Targets { .. }
            | Self::Pem { .. }
            | Self::Key { .. }
            | Self::Tests(_)
            | Self::NoTests { .. }
            | Self::NoTest { .. }
            | Self::Evidence(_)
            | Self::Log { .. }
            | Self::NoStore { .. }
            | Self::NoStatement { .. }
            | Self::Resume { .. }
            | Self::Gateways { .. }
            | Self::PublicKey { .. }
            | Self::SigningKey
            | Self::StoreSetting
            | Self::Issuer(_)
            | Self::Gateway(_)
            | Self::Console(_)
            | Self::Approvals(_)
            | Self::Demo(_)
            | Self::Runtime(_)
            | Self::Schema { .. }
            | Self::Refused(_)
            | Self::Analysis
            | Self::Clock
            | Self::Days
            | Self::StampRoots { .. }
            | Self::StampClient(_)
            | Self::Option { .. }
            | Self::NoSession { .. }
            | Self::Drawing(_) => Exit::Failed,
        }
    }

    /// What is said on standard error: the diagnostics of a policy with the lines they are about, then the error's own line.
    pub(crate) fn complain(&self) {
        match self {
            Self::Told(_) => return,
            Self::Policy {
                source: LoadError::Invalid { diagnostics },
                ..
            } => output::diagnostics(diagnostics),
            Self::Bundle { source, .. } => {
                if let bundle::Error::Policy(LoadError::Invalid { diagnostics }) = &**source {
                    output::diagnostics(diagnostics);
                }
            }
            Self::Demo(demo::Error::Serve(source)) => return source.complain(),
            _ => {}
        }
        output::complain(&self.to_string());
    }
}

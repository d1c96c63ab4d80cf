//! The demo: the whole road on one machine. It starts the gateway exactly as `provost serve` does, from files it wrote.
//!
//! ```text
//! postgres (a private cluster) + issuer (tokens) + files (rules, keys, configuration) -> commands::serve::start
//! -> play (the guided story) | wait for Ctrl-C -> stop, seal, query, verify -> nothing is left behind
//! ```
//!
//! It must never touch a server it did not start, and never leave a process or a folder behind unless told to keep it.

mod client;
mod files;
pub(crate) mod issuer;
mod people;
mod play;
mod postgres;
mod proof;
mod story;
mod tls;

use std::path::{Path, PathBuf};

use tokio::{
    sync::oneshot,
    task::{JoinHandle, block_in_place},
};

use self::{
    files::{DATABASE, Files, ROLE, Surroundings},
    issuer::Issuer,
    people::PEOPLE,
    postgres::{Cluster, Listen, Options},
};
use crate::{
    cli,
    commands::serve::{self, Started},
    error::Error as CommandError,
    output::{Tone, line, toned},
    signals::Signals,
};

/// The shop's tables and rows.
const SHOP: &str = include_str!("../../examples/demo/shop.sql");

/// What the demo does once everything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Plays the story, then stops.
    Script,
    /// Runs until a signal.
    Interactive,
}

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The private PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// The token issuer.
    #[error(transparent)]
    Issuer(#[from] issuer::Error),
    /// The client of the story.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The gateway, or evidence.
    #[error(transparent)]
    Serve(Box<CommandError>),
    /// The certificate could not be made.
    #[error("could not make the demo's certificate: {0}")]
    Certificate(#[source] rcgen::Error),
    /// Keys could not be made.
    #[error("could not make the demo's keys: {0}")]
    Evidence(#[source] provost_evidence::Error),
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {cause}")]
    Randomness {
        /// Why not.
        cause: getrandom::Error,
    },
    /// A file or folder.
    #[error("could not use `{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder to keep has something in it.
    #[error("`{}` is not empty: give a folder that is empty or does not exist", folder.display())]
    FolderInUse {
        /// Which.
        folder: PathBuf,
    },
    /// The gateway's task is gone.
    #[error("the gateway stopped unexpectedly: {0}")]
    Gone(#[source] tokio::task::JoinError),
    /// Something did not do what it said.
    #[error("the story did not go as told: {what}")]
    Story {
        /// Which step, what was expected, what came.
        what: String,
    },
    /// Ctrl-C or SIGTERM in the middle of the story.
    #[error("stopped before the story was over")]
    Interrupted,
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        Self::Serve(Box::new(error))
    }
}

/// Everything that runs.
struct Demo {
    cluster: Cluster,
    issuer: Issuer,
    files: Files,
    port: u16,
    /// The console's URL.
    console: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), CommandError>>,
}

/// Runs the demo.
///
/// # Errors
/// [`Error`]; what was started is stopped and removed then, too.
pub(crate) async fn run(options: &cli::Demo, mode: Mode) -> Result<(), Error> {
    let mut signals = Signals::listen().map_err(CommandError::Runtime)?;
    if let Some(folder) = &options.folder {
        files::make_folder(folder)?;
    }
    let demo = tokio::select! {
        demo = Demo::start(options) => demo?,
        () = signals.wait() => return Err(Error::Interrupted),
    };
    let played = match mode {
        Mode::Script => tokio::select! {
            played = play::play(&demo) => played.map(Some),
            () = signals.wait() => Err(Error::Interrupted),
        },
        Mode::Interactive => {
            demo.invite(options);
            signals.wait().await;
            line("");
            Ok(None)
        }
    };
    let Demo {
        cluster,
        issuer,
        files,
        stop,
        served,
        ..
    } = demo;
    // The receiver is gone only if the gateway has stopped already, which `served` tells.
    let _ = stop.send(());
    let stopped = served.await.map_err(Error::Gone);
    let told = match (played, stopped) {
        (Err(error), _) => Err(error),
        (_, Err(error)) => Err(error),
        (_, Ok(Err(error))) => Err(Error::from(error)),
        (Ok(Some(played)), Ok(Ok(()))) => proof::of_story(&files, &played).await,
        (Ok(None), Ok(Ok(()))) => proof::summary(&files).await,
    };
    drop(issuer);
    let kept = keep(&files, options);
    block_in_place(|| cluster.stop())?;
    told?;
    if let Some(folder) = kept? {
        line(&format!("Kept in {}", folder.display()));
    }
    Ok(())
}

impl Demo {
    /// Starts everything, in order; what was started before a failure stops by being dropped.
    async fn start(options: &cli::Demo) -> Result<Self, Error> {
        line(&toned(
            Tone::Dim,
            "Starting a private PostgreSQL, a token issuer and a gateway ...",
        ));
        let issuer = Issuer::start().await?;
        let started = tokio::task::spawn_blocking(|| {
            Cluster::start(&Options {
                listen: Listen::SocketOnly,
                settings: &[],
            })
        });
        let cluster = started.await.map_err(Error::Gone)??;
        let password = password()?;
        block_in_place(|| make_shop(&cluster, &password))?;
        // Inside the cluster's private folder: it is removed with it, even if this process is killed.
        let folder = cluster.socket_folder().join("demo");
        let files = files::write(
            &folder,
            &Surroundings {
                cluster: &cluster,
                issuer_url: &issuer.url,
                port: options.port,
                password: &password,
                policy: options.policy.as_deref(),
            },
        )?;
        let started: Started = serve::start(&files.config).await?;
        let port = started.address().port();
        let console = started.console().unwrap_or_default().to_owned();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(started.run(
            async {
                // A dropped sender means the demo is over too.
                let _ = stopped.await;
            },
            None,
        ));
        Ok(Self {
            cluster,
            issuer,
            files,
            port,
            console,
            stop,
            served,
        })
    }

    /// Where this person sees what is held, and votes.
    fn console(&self, person: &people::Person) -> Result<cli::ConsoleAt, Error> {
        let token = issuer::token_now(&self.issuer, person)?;
        Ok(cli::ConsoleAt {
            gateway: self.console.clone(),
            token_file: Some(files::write_token(&self.files, person.name, &token)?),
            ca: Some(self.files.certificate_file.clone()),
        })
    }

    /// Lines to paste, for three people and for an auditor.
    fn invite(&self, options: &cli::Demo) {
        line("");
        line(&toned(
            Tone::Bold,
            "Three people, one gateway. Paste a line into another terminal:",
        ));
        for person in PEOPLE {
            let token =
                issuer::token_now(&self.issuer, person).unwrap_or_else(|error| error.to_string());
            line("");
            line(&format!(
                "{} ({})",
                toned(Tone::Good, person.id),
                person.title
            ));
            line(&format!(
                "PGPASSWORD={token} psql \"host=127.0.0.1 port={} user={} dbname={DATABASE} sslmode=require\"",
                self.port, person.id
            ));
        }
        line("");
        line(&toned(Tone::Bold, "Try"));
        for sql in [
            "SELECT id, name, email, ssn FROM customers LIMIT 3;",
            "SELECT id FROM customers WHERE ssn LIKE '9%';",
            "SELECT * FROM hr.salaries;",
            "DROP TABLE orders;",
            "DELETE FROM orders WHERE id = 43;",
        ] {
            line(&format!("  {sql}"));
        }
        let name = std::env::args()
            .next()
            .unwrap_or_else(|| "provost".to_owned());
        let store = self.files.store.display();
        line("");
        line(&toned(
            Tone::Bold,
            "What an agent deletes waits until dora@corp approves it",
        ));
        match self.console(&people::DORA) {
            Ok(at) => line(&format!(
                "  {name} approvals list --gateway {} --token-file {} --ca {}",
                at.gateway,
                shown(at.token_file.as_deref()),
                shown(at.ca.as_deref()),
            )),
            Err(error) => line(&format!("  {error}")),
        }
        line("  the same with `approve ID --reason ...` or `deny ID --reason ...`");
        line("");
        line(&toned(Tone::Bold, "Evidence (sealed every 5 s)"));
        line(&format!(
            "  {name} evidence query --store {store} \"SELECT principal, verdict, sql, reason FROM statements ORDER BY log_index\""
        ));
        line(&format!(
            "  {name} evidence verify --store {store} --public-key {}",
            self.files.public_key.display()
        ));
        line(&format!("  rules: {}", self.files.policy.display()));
        line(&format!(
            "  a fresh token: {name} demo token {} --issuer {}",
            people::DEVIN.name,
            self.issuer.url
        ));
        line("");
        let end = if options.keep || options.folder.is_some() {
            "Ctrl-C stops everything; evidence, rules and keys are kept."
        } else {
            "Ctrl-C stops everything and removes it."
        };
        line(&toned(Tone::Dim, end));
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string())
        .unwrap_or_default()
}

/// The shop's database, owned by the role that only the gateway logs in as.
fn make_shop(cluster: &Cluster, password: &str) -> Result<(), Error> {
    cluster.execute(
        "postgres",
        &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{password}';\nCREATE DATABASE {DATABASE} OWNER {ROLE};"),
    )?;
    cluster.execute(
        DATABASE,
        &format!("ALTER SCHEMA public OWNER TO {ROLE};\nSET ROLE {ROLE};\n{SHOP}"),
    )?;
    Ok(())
}

fn password() -> Result<String, Error> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).map_err(|cause| Error::Randomness { cause })?;
    Ok(files::hex(&bytes))
}

/// Copies what is to be kept to where it is kept. The configuration goes along, as an example: its server is gone.
fn keep(files: &Files, options: &cli::Demo) -> Result<Option<PathBuf>, Error> {
    let target = match (&options.folder, options.keep) {
        (Some(folder), _) => folder.clone(),
        (None, true) => tempfile::Builder::new()
            .prefix("provost-demo-")
            .tempdir()
            .map_err(|source| Error::File {
                path: std::env::temp_dir(),
                source,
            })?
            .keep(),
        (None, false) => return Ok(None),
    };
    copy(&files.folder, &target)?;
    Ok(Some(target))
}

/// Copies a folder's content.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    std::fs::create_dir_all(to).map_err(failed(to))?;
    for entry in std::fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).map_err(failed(&path))?;
        }
    }
    Ok(())
}

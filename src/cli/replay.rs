//! `provost replay`: its options and help. Nothing is done here.

use std::path::PathBuf;

use super::evidence::Store;

/// `provost replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The session's id, as `sessions.session_id` has it
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    #[command(flatten)]
    pub(crate) store: Store,
    /// Tell it in time, this many times as fast as it was; without it, at once
    #[arg(long, value_name = "FACTOR", value_parser = speed)]
    pub(crate) speed: Option<f64>,
    /// Decide its statements again, by the policy in this folder, and say what differs
    #[arg(long, value_name = "DIR", conflicts_with = "speed")]
    pub(crate) policy: Option<PathBuf>,
    /// Analyse them by this schema, not by the recorded one: a pulled catalog, or DDL such as `pg_dump --schema-only` writes
    #[arg(long, value_name = "FILE", requires = "policy")]
    pub(crate) schema: Option<PathBuf>,
    /// A key that statements were recorded with: its id, and where it comes from (`env:NAME`, `file:PATH`); may be given often
    #[arg(long, value_name = "ID=SOURCE")]
    pub(crate) key: Vec<String>,
    /// Run its statements again in this database, a sandbox, and say what differs; PGPASSWORD has the password. All is rolled back
    #[arg(long, value_name = "URL", conflicts_with_all = ["speed", "policy"])]
    pub(crate) against: Option<String>,
    /// Commit what the statements commit: the database is there to be changed
    #[arg(long, requires = "against")]
    pub(crate) sandbox: bool,
    /// Certificate authorities that the server's certificate may come from; needed with --against unless the server is local
    #[arg(long, value_name = "PEM", requires = "against")]
    pub(crate) tls_roots: Option<PathBuf>,
    /// Print JSON, an object on each line
    #[arg(long)]
    pub(crate) json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok();
    speed
        .filter(|speed| (0.001..=1_000_000.0).contains(speed))
        .ok_or_else(|| "give a number from 0.001 to 1000000, such as 4".to_owned())
}

//! `provost approvals`: its commands and options.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use provost_evidence::approvals::ApprovalId;

/// `provost approvals`.
#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List the held statements that you may see, the newest first
    #[command(after_help = "\
Examples:
  provost approvals list
  provost approvals list --standing approved --json | jq '.[].id'

What ended stays for an hour.")]
    List {
        #[command(flatten)]
        console: ConsoleAt,
        /// Only those that stand so
        #[arg(long, value_enum)]
        standing: Option<StandingOption>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one: the text, what it touches, who asks, who is asked, who said what
    #[command(after_help = "\
Example:
  provost approvals show 019a5d2f8c00-3f1b7a9e4c52")]
    Show {
        #[command(flatten)]
        console: ConsoleAt,
        /// Its id
        #[arg(value_parser = id)]
        id: ApprovalId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have it tried in a transaction that is rolled back, and tell how many rows it changes
    #[command(after_help = "\
Example:
  provost approvals dry-run 019a5d2f8c00-3f1b7a9e4c52

The session that waits for it tries it, once, if all that it does can be rolled back. Whoever approves it then allows twice as many
rows, and no more.")]
    DryRun {
        #[command(flatten)]
        console: ConsoleAt,
        /// Its id
        #[arg(value_parser = id)]
        id: ApprovalId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say that it may run
    #[command(after_help = "\
Example:
  provost approvals approve 019a5d2f8c00-3f1b7a9e4c52 --reason \"checked with Ana, ticket 42\"

Each person votes once. Nobody approves what they, or an agent of theirs, ask for.")]
    Approve(Vote),
    /// Say that it must not run; that ends it
    #[command(after_help = "\
Example:
  provost approvals deny 019a5d2f8c00-3f1b7a9e4c52 --reason \"the wrong year\"")]
    Deny(Vote),
    /// Print held statements as they come and change, until Ctrl-C
    #[command(after_help = "\
Examples:
  provost approvals watch --token-file token
  provost approvals watch --json | while read -r line; do ...; done

A token file is read again each time, so that a token can be replaced.")]
    Watch {
        #[command(flatten)]
        console: ConsoleAt,
        /// Print JSON, a line for each change
        #[arg(long)]
        json: bool,
    },
}

/// A vote.
#[derive(Debug, Args)]
pub(crate) struct Vote {
    #[command(flatten)]
    pub(crate) console: ConsoleAt,
    /// Its id
    #[arg(value_parser = id)]
    pub(crate) id: ApprovalId,
    /// Why: it stands in evidence, and whoever asked reads it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the console is, and who asks it. PROVOST_TOKEN has the access token where no file does.
#[derive(Debug, Args)]
pub(crate) struct ConsoleAt {
    /// The gateway's console, as `[console]` of its configuration says
    #[arg(long, value_name = "URL", env = "PROVOST_CONSOLE")]
    pub(crate) gateway: String,
    /// A file with your access token; default: the environment variable PROVOST_TOKEN
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A certificate authority (PEM) to trust for it, beside the well-known ones
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// How a held statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StandingOption {
    /// People are yet to answer
    Waiting,
    /// It may run, once
    Approved,
    /// Somebody said no
    Refused,
    /// Nobody answered in time, or nobody used it
    Expired,
    /// Whoever asked took it back
    Withdrawn,
    /// It ran
    Used,
}

fn id(text: &str) -> Result<ApprovalId, String> {
    ApprovalId::parse(text).ok_or_else(|| "an id looks like 019a5d2f8c00-3f1b7a9e4c52".to_owned())
}

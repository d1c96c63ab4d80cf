//! `provost evidence retain`, `hold` and `compact`: their options and help. Nothing is done here.

use std::path::PathBuf;

use clap::Subcommand;
use provost_evidence::{Location, holds::Day};

use super::evidence::{Store, location};

/// `provost evidence retain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Retain {
    /// Only show what would go, of this store: a folder, or the URL of a bucket
    #[arg(
        long,
        value_name = "FOLDER|URL",
        value_parser = location,
        required_unless_present = "config",
        conflicts_with = "config",
        requires = "older_than"
    )]
    pub(crate) store: Option<Location>,
    /// Delete in the name of this gateway, which must be stopped: its log and its key are needed
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Days that evidence is kept, such as 400d; by default what the configuration says
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub(crate) older_than: Option<u32>,
    /// Who asks for it: evidence says so
    #[arg(long, value_name = "NAME", default_value = "operator")]
    pub(crate) by: String,
    /// With --config: only show what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `provost evidence compact`.
#[derive(Debug, clap::Args)]
pub(crate) struct Compact {
    #[command(flatten)]
    pub(crate) store: Store,
    /// The private key of whoever does it: Ed25519 in PKCS#8 PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// What the key is called: who does it
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) signer: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `provost evidence hold`.
#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// Keep evidence from being deleted, until it is released with the same key
    #[command(after_help = "\
Examples:
  openssl genpkey -algorithm ed25519 -out legal.pem
  provost evidence hold add smith-2026 --store evidence --key legal.pem --as legal@example.com --reason \"Smith ./. Example\"
  provost evidence hold add payroll --store evidence --key legal.pem --as legal@example.com --reason \"audit 2026\" \\
      --from 2026-01-01 --to 2026-06-30 --dataset statements --dataset maskings

Keep the key: nothing else ends the hold. Days are those of `date=` in the objects' keys, both included.")]
    Add {
        #[command(flatten)]
        signed: Signed,
        /// The first day that is held; by default from the beginning
        #[arg(long, value_name = "DAY", value_parser = day)]
        from: Option<Day>,
        /// The last day that is held; by default all that are to come, too
        #[arg(long, value_name = "DAY", value_parser = day)]
        to: Option<Day>,
        /// A gateway whose evidence is held; by default all of them
        #[arg(long, value_name = "NAME")]
        gateway: Vec<String>,
        /// A dataset that is held; by default all of them
        #[arg(long, value_name = "NAME", value_parser = ["statements", "maskings", "sessions", "approvals", "recordings", "results"])]
        dataset: Vec<String>,
    },
    /// End a hold, with the key that placed it
    #[command(after_help = "\
Example:
  provost evidence hold release smith-2026 --store evidence --key legal.pem --as legal@example.com --reason \"settled\"")]
    Release {
        #[command(flatten)]
        signed: Signed,
    },
    /// Show the holds of a store
    #[command(after_help = "\
Example:
  provost evidence hold list --store evidence")]
    List {
        #[command(flatten)]
        store: Store,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A document of a hold: which, why, by whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Signed {
    /// The hold's name: a-z, 0-9 and `-`, never used again
    #[arg(value_name = "HOLD")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) store: Store,
    /// The private key of whoever says so: Ed25519 in PKCS#8 PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// What the key is called: who says so
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) signer: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

fn days(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    days.filter(|days| (1..=36_500).contains(days))
        .ok_or_else(|| "give days, such as 400d, up to 36500d".to_owned())
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "give a day, such as 2026-01-31".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_unit() {
        for (text, expected) in [
            ("400d", Some(400)),
            ("1d", Some(1)),
            ("0d", None),
            ("400", None),
            ("400h", None),
            ("-1d", None),
            ("36501d", None),
        ] {
            assert_eq!(days(text).ok(), expected, "{text}");
        }
    }
}

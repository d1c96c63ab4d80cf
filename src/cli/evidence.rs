//! `provost evidence`: its commands, options and help. Nothing is done here.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use provost_evidence::{Location, record::Micros, report::queries::Period};

use super::{
    keeping::{Compact, Hold, Retain},
    time,
};

/// `provost evidence`.
#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    /// Check that sealed evidence is complete and unchanged
    #[command(after_help = "\
Examples:
  provost evidence verify --store evidence --public-key provost.pub
  provost evidence verify --store evidence --public-key provost.pub --json
  provost evidence verify --store evidence --public-key provost.pub --resume verified.json
  provost evidence verify --store evidence --public-key provost.pub --stamp-roots tsa-roots.pem
  provost evidence verify --store evidence --public-key provost.pub --witnessed kept/gateway-1.checkpoint --witness-key witness.pub

It needs no network, no gateway and no secret.")]
    Verify {
        #[command(flatten)]
        store: Store,
        /// The gateway's public key, as it was given to you; one for each gateway of the store
        #[arg(long, value_name = "FILE", required = true)]
        public_key: Vec<PathBuf>,
        /// Go on from what this file says was verified before, and keep in it how far this run came
        #[arg(long, value_name = "FILE")]
        resume: Option<PathBuf>,
        /// A checkpoint that a witness cosigned: the store must still hold it (needs --witness-key)
        #[arg(long, value_name = "FILE", requires = "witness_key")]
        witnessed: Vec<PathBuf>,
        /// The witness's public key, as `provost evidence witness-key` prints it
        #[arg(long, value_name = "FILE", requires = "witnessed")]
        witness_key: Option<PathBuf>,
        /// Root certificates (PEM) of the time stamp authorities that are believed; else certificates of time stamps are not checked
        #[arg(long, value_name = "FILE")]
        stamp_roots: Option<PathBuf>,
        /// Also check the gateway's log folder: entries that are not sealed yet
        #[arg(long, value_name = "FOLDER")]
        log: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask sealed evidence in SQL: tables sessions, statements, maskings, changes, approvals, recordings
    #[command(after_help = "\
Examples:
  provost evidence query --store evidence \"SELECT principal, verdict, count(*) FROM statements GROUP BY 1, 2\"
  provost evidence query --store evidence --format csv \"SELECT * FROM maskings\" > maskings.csv")]
    Query {
        #[command(flatten)]
        store: Store,
        /// How rows are printed
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Print JSON (the same as --format json)
        #[arg(long, conflicts_with = "format")]
        json: bool,
        /// The query; it may begin with a comment
        #[arg(allow_hyphen_values = true)]
        sql: String,
    },
    /// Make a report for auditors: what evidence bears on a framework's controls, and the tables behind it
    #[command(after_help = "\
Examples:
  provost evidence report --store evidence --framework nist-800-53 --period 2026-10-01..2026-10-31 --out october
  provost evidence report population --store evidence --period 2026-10-01..2026-10-31
  provost evidence report sample --store evidence --period 2026-10-01..2026-10-31 --seed 20261101 --size 25 --out sample

The folder gets report.html, CSV files, OSCAL assessment results, OCSF events, and the SQL of every number. Nothing in it says that a
control is satisfied. Check the store with `provost evidence verify` first: a report doesn't.")]
    Report(Report),
    /// Prove one record: print it with its path to a signed checkpoint, for anyone to check
    #[command(after_help = "\
Examples:
  provost evidence prove --store evidence 4f0c...-17 > item.tlog-proof
  provost evidence prove --store evidence --gateway gateway-1 20317 > item.tlog-proof

The proof is C2SP's tlog-proof; docs/evidence-format.md says how it is checked.")]
    Prove {
        #[command(flatten)]
        store: Store,
        /// The gateway, where the store has several and the record is given by its number
        #[arg(long, value_name = "NAME")]
        gateway: Option<String>,
        /// A statement's id, or a record's log_index
        #[arg(value_name = "ID")]
        record: String,
    },
    /// Verify a store and cosign its newest checkpoints, as a party of its own
    #[command(after_help = "\
Example:
  openssl genpkey -algorithm ed25519 -out witness.pem
  provost evidence witness --store evidence --public-key provost.pub --key witness.pem --name witness.example.com/w1 --keep kept

Each gateway's cosigned checkpoint is kept as <gateway>.checkpoint, away from the store. The next time the ledger must still hold it.")]
    Witness {
        #[command(flatten)]
        store: Store,
        /// The gateway's public key; one for each gateway of the store
        #[arg(long, value_name = "FILE", required = true)]
        public_key: Vec<PathBuf>,
        /// The witness's private key: Ed25519 in PKCS#8 PEM, used for nothing else
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The witness's name: a host and a path
        #[arg(long, value_name = "NAME")]
        name: String,
        /// The folder of cosigned checkpoints
        #[arg(long, value_name = "DIR")]
        keep: PathBuf,
    },
    /// Print the public key that verifies a witness's cosignatures
    #[command(after_help = "\
Example:
  provost evidence witness-key --key witness.pem --name witness.example.com/w1 > witness.pub")]
    WitnessKey {
        /// The witness's private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The witness's name
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Delete evidence whose time is over, after the ledger says so, and never what a legal hold covers
    #[command(after_help = "\
Examples:
  provost evidence retain --store evidence --older-than 400d           shows what would go
  provost evidence retain --config provost.toml --older-than 400d --by \"ann@example.com\"

A running gateway does it by itself, where `retention_days` is configured; the second form is for one that is stopped.")]
    Retain(Retain),
    /// Legal holds: evidence that must not be deleted
    #[command(subcommand)]
    Hold(Hold),
    /// Put many small objects together into larger ones, beside them: queries read these then
    #[command(after_help = "\
Example:
  provost evidence compact --store evidence --key ops.pem --as ops@example.com

The originals stay; `verify` checks that each row of a larger object is one of theirs. It may run beside gateways, and again at any time.")]
    Compact(Compact),
    /// Print the public key that verifies this gateway's evidence: give it to auditors
    #[command(after_help = "\
Example:
  provost evidence public-key --config provost.toml > provost.pub")]
    PublicKey {
        /// The configuration file
        #[arg(long, short, value_name = "FILE", env = "PROVOST_CONFIG")]
        config: PathBuf,
    },
}

/// Where sealed evidence lies.
#[derive(Debug, clap::Args)]
pub(crate) struct Store {
    /// The folder of sealed evidence, or the URL of its bucket (`s3://`, `gs://`, `az://`; credentials by AWS_*, GOOGLE_*, AZURE_*)
    #[arg(long, value_name = "FOLDER|URL", env = "PROVOST_STORE", value_parser = location)]
    pub(crate) store: Location,
}

pub(super) fn location(text: &str) -> Result<Location, String> {
    Location::parse(text, Path::new("")).map_err(|problem| problem.to_string())
}

/// `provost evidence report`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
pub(crate) struct Report {
    /// Something else than the whole report
    #[command(subcommand)]
    pub(crate) part: Option<ReportPart>,
    #[command(flatten)]
    pub(crate) asked: Option<WholeReport>,
}

/// The whole report.
#[derive(Debug, clap::Args)]
pub(crate) struct WholeReport {
    // Not flattened: clap takes a group with another inside it for absent.
    /// The folder of sealed evidence, or the URL of its bucket
    #[arg(long, value_name = "FOLDER|URL", env = "PROVOST_STORE", value_parser = location)]
    pub(crate) store: Location,
    /// The framework whose controls are reported on
    #[arg(long, value_enum)]
    pub(crate) framework: Framework,
    /// From a day to a day, both included, UTC: 2026-10-01..2026-10-31; or from a time to a time, the second not included
    #[arg(long, value_name = "FROM..TO", value_parser = period)]
    pub(crate) period: Period,
    /// The folder to write, missing or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print what was written as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parts of a report.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportPart {
    /// Say what there is in a period: statements by gateway, their indexes, missing rows, checkpoints
    #[command(after_help = "\
Example:
  provost evidence report population --store evidence --period 2026-10-01..2026-10-31")]
    Population {
        #[command(flatten)]
        store: Store,
        /// As for a report; default: all of it
        #[arg(long, value_name = "FROM..TO", value_parser = period)]
        period: Option<Period>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Draw statements by a seed, the same each time, with a proof for each
    #[command(after_help = "\
Example:
  provost evidence report sample --store evidence --period 2026-10-01..2026-10-31 --seed 20261101 --size 25 --out sample")]
    Sample {
        #[command(flatten)]
        store: Store,
        /// As for a report; default: all of it
        #[arg(long, value_name = "FROM..TO", value_parser = period)]
        period: Option<Period>,
        /// A number that you choose, after the period is over
        #[arg(long, value_name = "NUMBER")]
        seed: u64,
        /// How many statements
        #[arg(long, value_name = "COUNT", default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        size: u16,
        /// The folder to write, missing or empty
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Print what was drawn as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Frameworks that a report can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framework {
    /// NIST SP 800-53
    #[value(name = "nist-800-53")]
    Nist80053,
    /// NIST SP 800-171
    #[value(name = "nist-800-171")]
    Nist800171,
    /// NIST Cybersecurity Framework
    NistCsf,
    /// NIST AI Risk Management Framework
    NistAiRmf,
    /// FFIEC IT Handbook: Information Security and AIO booklets, and the CAT
    Ffiec,
}

/// A period: `FROM..TO`.
fn period(text: &str) -> Result<Period, String> {
    let expected = "give two dates like 2026-10-01..2026-10-31, or two times like 2026-10-01T00:00:00Z..2026-11-01T00:00:00Z";
    let (from, to) = text.split_once("..").ok_or(expected)?;
    let begins = time(from).map_err(|_| expected)?;
    // A date stands for its whole day.
    let ends = match time(to).map_err(|_| expected)? {
        ends if to.parse::<Timestamp>().is_ok() => ends,
        last => last + jiff::SignedDuration::from_hours(24),
    };
    let micros = |at: Timestamp| Micros(at.as_microsecond());
    Period::new(micros(begins), micros(ends))
        .ok_or_else(|| "the period must not be empty, and lie within 1970 and 2199".to_owned())
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    Table,
    /// One JSON array of objects
    Json,
    /// Comma-separated values, RFC 4180
    Csv,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_s_last_day_is_in_it() {
        let check = |text: &str, expected: Option<[&str; 2]>| {
            let shown = period(text)
                .ok()
                .map(|period| [period.begin(), period.end()]);
            let expected = expected.map(|times| times.map(str::to_owned));
            assert_eq!(shown, expected, "{text}");
        };
        check(
            "2026-10-01..2026-10-31",
            Some(["2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"]),
        );
        check(
            "2026-10-01..2026-10-01",
            Some(["2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z"]),
        );
        check(
            "2026-10-01T06:00:00Z..2026-10-01T07:00:00+00:30",
            Some(["2026-10-01T06:00:00Z", "2026-10-01T06:30:00Z"]),
        );
        check("2026-10-02..2026-10-01", None);
        check("2026-10-01", None);
        check("1969-12-31..2026-10-01", None);
        check("2026-10-01..", None);
    }
}

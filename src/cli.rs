//! The command line's shape: commands, options, help. Nothing is done here.

mod approvals;
mod bundle;

use std::path::PathBuf;

use clap::{
    Parser, Subcommand, ValueEnum,
    builder::styling::{AnsiColor, Styles},
};
use clap_complete::Shell;
use jiff::Timestamp;

mod evidence;
mod explain;
mod keeping;
mod replay;

pub(crate) use keeping::{Compact, Hold, Retain};

pub(crate) use evidence::{Evidence, Format, Framework, Report, ReportPart, WholeReport};

pub(crate) use self::{
    approvals::{Approvals, ConsoleAt, StandingOption, Vote},
    bundle::{Bundle, BundleBuild},
    explain::{Explain, Kind},
    replay::Replay,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_CODES: &str = "\
Exit codes:
  0   it did what you asked
  1   it failed; the reason is one line on standard error
  2   policy denied it, or a test of the policy failed
  3   the policy is invalid
  64  the command line was wrong";

/// A policy gateway for PostgreSQL.
///
/// Rules in git decide every statement of every client: allowed, masked or refused, and each decision leaves evidence that
/// anyone can verify offline. Stock clients, unchanged servers.
#[derive(Debug, Parser)]
#[command(
    name = "provost",
    version,
    styles = STYLES,
    arg_required_else_help = true,
    after_help = format!("\
Examples:
  provost demo                                see it work, with a PostgreSQL of its own
  provost policy check policies               check rules
  provost test policies                       run the tests beside them
  provost serve --config provost.toml         run the gateway
  provost evidence verify --store evidence --public-key key.pub

{EXIT_CODES}")
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway until SIGTERM or Ctrl-C
    #[command(after_help = "\
Examples:
  provost serve --config /etc/provost/provost.toml
  PROVOST_LOG=debug provost serve --config provost.toml

It starts only if the policy is valid, the evidence folder writable, the issuer and every target reachable.")]
    Serve(Serve),
    /// Show the whole road: a private PostgreSQL, an issuer, a gateway, evidence
    #[command(after_help = "\
Examples:
  provost demo                     keeps running, prints psql lines to paste
  provost demo --script            plays a guided story and verifies its evidence
  provost demo --keep              leaves evidence and policy behind to look at

Everything lives in temporary folders that are gone at the end.")]
    Demo(Demo),
    /// Work on policies
    #[command(subcommand)]
    Policy(Policy),
    /// Build, sign and check policy bundles
    #[command(subcommand)]
    Bundle(Bundle),
    /// Explain a decision: every rule, whether it applied, and the least change that would pass
    #[command(after_help = "\
Examples:
  provost explain policies --schema shop.sql --as devin --group ai-agents \"DELETE FROM orders\"
  provost explain policies --schema shop.sql --as ana --group analysts --json \"SELECT ssn FROM customers\" | jq .change
  provost explain policies --as olga --group on-call --reason \"INC-123: orders are stuck\" \"DELETE FROM orders\"

Exit code 2 says that policy denies the statement.")]
    Explain(Explain),
    /// Draw the decision graph of a policy, or the part that a group and a relation reach
    #[command(after_help = "\
Examples:
  provost graph policies --for ai-agents --relation orders --out agents.svg
  provost graph policies --format dot | dot -Tpdf -o policy.pdf")]
    Graph(Graph),
    /// Print the language's reference: clauses, operations, attributes, masks, limits, controls
    #[command(after_help = "\
Examples:
  provost reference
  provost reference attributes
  provost reference rego-input > rego-input.schema.json")]
    Reference(Reference),
    /// Run the tests of a policy, with no server
    #[command(after_help = "\
Examples:
  provost test policies
  provost test policies --filter \"bulk delete\"
  provost test policies --junit tests.xml --fail-under 100

Each `test` block runs its statements through the analysis and the rules that the gateway uses, against the schema file
that it names. It fails (exit code 2) when a test does, or when fewer rules than asked for determine a test's decision.")]
    Test(Test),
    /// Work on catalogs: what a database's relations, types and functions are
    #[command(subcommand)]
    Catalog(Catalog),
    /// Work on the configuration
    #[command(subcommand)]
    Config(Config),
    /// Verify and query evidence
    #[command(subcommand)]
    Evidence(Evidence),
    /// Tell a recorded session: who, what, verdicts, rows, delays
    #[command(after_help = "\
Examples:
  provost evidence query --store evidence \"SELECT at, session_id, principal FROM sessions WHERE event = 'opened'\"
  provost replay 4f0c6a1e9d2b4c708d5e6f7a8b9c0d1e --store evidence
  provost replay 4f0c6a1e9d2b4c708d5e6f7a8b9c0d1e --store evidence --speed 4
  provost replay 4f0c6a1e9d2b4c708d5e6f7a8b9c0d1e --store evidence --json | jq .
  provost replay 4f0c6a1e9d2b4c708d5e6f7a8b9c0d1e --store evidence --policy new --key replay-1=file:replay.key
  provost replay 4f0c6a1e9d2b4c708d5e6f7a8b9c0d1e --store evidence --against postgresql://tester@localhost/sandbox --key replay-1=file:replay.key

With --policy, exit code 1 says that a statement is decided otherwise, or can't be decided again; that takes `record results` and `[replay] key`.
With --against, that one gives other rows or another error, or could not be run or compared. Without --sandbox it all runs in one transaction that is rolled back.
It tells what is sealed. Check the store with `provost evidence verify` first: a replay doesn't.")]
    Replay(Replay),
    /// See the statements that policy holds, and vote on them
    #[command(
        subcommand,
        after_help = "\
Examples:
  export PROVOST_CONSOLE=https://approvals.example.com PROVOST_TOKEN=...
  provost approvals list
  provost approvals show 019a5d2f8c00-3f1b7a9e4c52
  provost approvals approve 019a5d2f8c00-3f1b7a9e4c52 --reason \"checked with Ana, ticket 42\"

It asks the console of a gateway, with an access token of the gateway's issuer."
    )]
    Approvals(Approvals),
    /// Print shell completions
    #[command(after_help = "\
Examples:
  provost completions bash > /etc/bash_completion.d/provost
  provost completions zsh > ~/.zfunc/_provost
  provost completions fish > ~/.config/fish/completions/provost.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `provost serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", env = "PROVOST_CONFIG")]
    pub(crate) config: PathBuf,
}

/// `provost demo`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Demo {
    /// Ask a running demo for something
    #[command(subcommand)]
    pub(crate) ask: Option<DemoAsk>,
    /// Play the guided story, then stop (the default when standard input is no terminal)
    #[arg(long, conflicts_with = "interactive")]
    pub(crate) script: bool,
    /// Keep running until Ctrl-C, even when standard input is no terminal
    #[arg(long)]
    pub(crate) interactive: bool,
    /// Use the rules in this folder instead of the demo's own
    #[arg(long, value_name = "DIR", conflicts_with = "script")]
    pub(crate) policy: Option<PathBuf>,
    /// Keep evidence, policy and configuration in a folder of their own at the end
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where they are kept (implies --keep); must be empty or not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// The gateway's port; default: a free one
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(crate) port: u16,
}

/// What a running demo can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum DemoAsk {
    /// Print a fresh token of a running demo, for PGPASSWORD
    #[command(after_help = "\
Example:
  PGPASSWORD=$(provost demo token devin --issuer http://127.0.0.1:41234) psql ...")]
    Token {
        /// Who: devin (an agent), ana (an analyst), dora (a DBA)
        person: String,
        /// The demo's issuer, as it prints it
        #[arg(long, value_name = "URL")]
        issuer: String,
    },
}

/// `provost policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Check every *.pol file below a folder
    #[command(after_help = "\
Examples:
  provost policy check policies
  provost policy check policies --schema shop.sql
  provost policy check policies --json | jq .errors")]
    Check {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Also compare names and masks with a schema: DDL such as `pg_dump --schema-only` writes, or a pulled catalog
        #[arg(long, value_name = "FILE")]
        schema: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `provost catalog`.
#[derive(Debug, Subcommand)]
pub(crate) enum Catalog {
    /// Write a database's catalog to a file, for `test`, `policy check` and `explain` without a server
    #[command(after_help = "\
Examples:
  provost catalog pull --config provost.toml --out shop.json
  provost catalog pull --config provost.toml --target shop --out shop.json --force
  PGPASSWORD=... provost catalog pull --url postgresql://reader@db.corp:5432/shop --tls-roots ca.pem --out shop.json

The file holds names, types, definitions and bodies of functions, no rows. Any role that may connect can read it.")]
    Pull(CatalogPull),
}

/// `provost catalog pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct CatalogPull {
    /// The configuration that names the server
    #[arg(long, short, value_name = "FILE", env = "PROVOST_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The target's name there, where there are several
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    pub(crate) target: Option<String>,
    /// The server, without a configuration; PGPASSWORD has the password
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Certificate authorities that the server's certificate may come from; needed with --url unless the server is local
    #[arg(long, value_name = "PEM", requires = "url")]
    pub(crate) tls_roots: Option<PathBuf>,
    /// Where the catalog goes
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `provost graph`.
#[derive(Debug, clap::Args)]
pub(crate) struct Graph {
    /// The policy folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Only what is about members of this group, as the issuer names it
    #[arg(long = "for", value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Only what is about this relation; the schema is public if none is given
    #[arg(long, value_name = "[SCHEMA.]NAME")]
    pub(crate) relation: Option<String>,
    /// What to write
    #[arg(long, value_enum, default_value_t = Picture::Svg)]
    pub(crate) format: Picture,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// How a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Picture {
    /// Graphviz's language
    Dot,
    /// A picture for browsers
    Svg,
}

/// `provost reference`.
#[derive(Debug, clap::Args)]
pub(crate) struct Reference {
    /// Only this part
    #[arg(value_enum)]
    pub(crate) section: Option<ReferenceSection>,
}

/// A part of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReferenceSection {
    /// Declarations, clauses, patterns, tests
    Clauses,
    /// Operations and their sets
    Operations,
    /// What conditions ask for
    Attributes,
    /// Masks and probing
    Masks,
    /// Limits and recording levels
    Limits,
    /// The catalogues of controls
    Controls,
    /// The JSON schema of what Rego modules are given
    RegoInput,
}

impl ReferenceSection {
    /// The name in the reference.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Clauses => "clauses",
            Self::Operations => "operations",
            Self::Attributes => "attributes",
            Self::Masks => "masks",
            Self::Limits => "limits",
            Self::Controls => "controls",
            Self::RegoInput => "rego-input",
        }
    }
}

/// `provost test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// The policy folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Run only tests with this text in their name
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Fail when fewer than this many per cent of the rules are covered
    #[arg(long, value_name = "PERCENT", conflicts_with = "filter", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) fail_under: Option<u8>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `provost config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check a configuration file
    #[command(after_help = "\
Examples:
  provost config check provost.toml
  provost config check provost.toml --resolve     also read the files and secrets it names")]
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Also read every file and secret it names
        #[arg(long)]
        resolve: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a complete, commented configuration
    #[command(after_help = "\
Example:
  provost config example > provost.toml")]
    Example,
}

/// A time in UTC: RFC 3339, or a date for its first instant.
fn time(text: &str) -> Result<Timestamp, String> {
    let expected = || "give a date like 2027-01-01 or a time like 2027-01-01T12:00:00Z".to_owned();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let date = jiff::civil::Date::strptime("%Y-%m-%d", text).map_err(|_| expected())?;
    let zoned = date
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_err(|_| expected())?;
    Ok(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn times_are_read_in_utc() {
        let check = |text: &str, expected: Option<&str>| {
            let shown = time(text).ok().map(|time| time.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        };
        check("2027-01-01", Some("2027-01-01T00:00:00Z"));
        check("2027-01-01T12:00:00Z", Some("2027-01-01T12:00:00Z"));
        check("2027-01-01T12:00:00+02:00", Some("2027-01-01T10:00:00Z"));
        check("2027-01-01T12:00:00", None);
        check("90d", None);
        check("2027-13-01", None);
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// Every command's help shows how it is used.
    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command, path: &str) {
            let children: Vec<_> = command.get_subcommands().collect();
            if children.is_empty() || path == "provost" {
                let help = command.get_after_help().map(ToString::to_string);
                assert!(help.is_some_and(|help| help.contains("Example")), "{path}");
            }
            for child in children {
                check(child, &format!("{path} {}", child.get_name()));
            }
        }
        check(&Arguments::command(), "provost");
    }
}

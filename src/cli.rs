//! The command line's shape: commands, options, help. Nothing is done here.

mod approvals;

use std::path::PathBuf;

use clap::{
    Parser, Subcommand, ValueEnum,
    builder::styling::{AnsiColor, Styles},
};
use clap_complete::Shell;
use jiff::Timestamp;
use provost_engine::reason::StatedReason;

mod evidence;
mod keeping;
mod replay;

pub(crate) use keeping::{Compact, Hold, Retain};

pub(crate) use evidence::{Evidence, Format, Framework, Report, ReportPart, WholeReport};

pub(crate) use self::{
    approvals::{Approvals, ConsoleAt, StandingOption, Vote},
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

/// `provost bundle`.
#[derive(Debug, Subcommand)]
pub(crate) enum Bundle {
    /// Make a key pair: one half signs bundles, the other half is what gateways trust
    #[command(after_help = "\
Example:
  provost bundle keygen --out keys
      writes keys/bundle-signing.pem (keep it secret) and keys/bundle-signing.pub (for `trusted_keys`)

Nothing that is there already is overwritten.")]
    Keygen {
        /// The folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Build a bundle of every policy file below a folder; it is not signed yet
    #[command(after_help = "\
Examples:
  provost bundle build policies --out bundle.tar.gz --sequence 42 --revision $(git rev-parse HEAD) --expires 2027-01-01
  provost bundle sign bundle.tar.gz --key keys/bundle-signing.pem

Equal folders and options give equal bytes. SOURCE_DATE_EPOCH, where it is set, is recorded as the time of the build.")]
    Build(BundleBuild),
    /// Sign a bundle, in place of the signature it may have
    #[command(after_help = "\
Examples:
  provost bundle sign bundle.tar.gz --key keys/bundle-signing.pem
  provost bundle sign bundle.tar.gz --key keys/bundle-signing.pem --out signed.tar.gz")]
    Sign {
        /// The bundle
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The private key: Ed25519, PKCS#8 PEM
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Where the signed bundle goes; default: it replaces the bundle
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check a bundle as a gateway does: signature, files, expiry, policy
    #[command(after_help = "\
Examples:
  provost bundle verify bundle.tar.gz --trust keys/bundle-signing.pub
  provost bundle verify bundle.tar.gz --trust old.pub --trust new.pub --minimum-sequence 42")]
    Verify {
        /// The bundle
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A public key that is trusted; give it once for each
        #[arg(long, value_name = "PUB", required = true)]
        trust: Vec<PathBuf>,
        /// The least sequence accepted
        #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
        minimum_sequence: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a bundle says of itself; nothing is verified
    #[command(after_help = "\
Examples:
  provost bundle inspect bundle.tar.gz
  provost bundle inspect bundle.tar.gz --json | jq .files")]
    Inspect {
        /// The bundle
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `provost bundle build`.
#[derive(Debug, clap::Args)]
pub(crate) struct BundleBuild {
    /// The policy folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Where the bundle goes
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Its number: higher than that of any bundle before
    #[arg(long, value_name = "N")]
    pub(crate) sequence: u64,
    /// From when on gateways refuse it and deny everything: 2027-01-01 or 2027-01-01T12:00:00Z (UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) expires: Option<Timestamp>,
    /// What you call this state of the policy: a commit, a release
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) revision: String,
    /// Mark it to decide and record without enforcing
    #[arg(long)]
    pub(crate) observe: bool,
    /// When it is built, in seconds since 1970
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", value_parser = seconds)]
    pub(crate) built_at: Option<Timestamp>,
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

fn seconds(text: &str) -> Result<Timestamp, String> {
    let seconds: i64 = text
        .parse()
        .map_err(|_| "give seconds since 1970".to_owned())?;
    Timestamp::from_second(seconds).map_err(|error| error.to_string())
}

/// `provost explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// The policy folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The statement, as a client would send it
    #[arg(value_name = "SQL")]
    pub(crate) sql: String,
    /// The database's schema: DDL such as `pg_dump --schema-only` writes, or a pulled catalog
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// Who asks
    #[arg(long = "as", value_name = "ID", default_value = "somebody")]
    pub(crate) principal: String,
    /// A group, as the issuer names it; may be given often
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Vec<String>,
    /// What sort of principal
    #[arg(long, value_enum, default_value_t = Kind::Human)]
    pub(crate) kind: Kind,
    /// The person that an agent works for
    #[arg(long, value_name = "ID")]
    pub(crate) on_behalf_of: Option<String>,
    /// A group of that person; may be given often
    #[arg(long, value_name = "NAME", requires = "on_behalf_of")]
    pub(crate) behalf_group: Vec<String>,
    /// A claim of the token; may be given often
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) claim: Vec<String>,
    /// The target's configured name
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) target: String,
    /// The database's name
    #[arg(long, value_name = "NAME", default_value = "postgres")]
    pub(crate) database: String,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) client_address: Option<std::net::IpAddr>,
    /// The client's connection is not encrypted
    #[arg(long)]
    pub(crate) no_tls: bool,
    /// When; now if it is left out
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// The session is in a transaction block
    #[arg(long)]
    pub(crate) in_transaction: bool,
    /// The session states this reason, by which `break-glass` rules let statements through
    #[arg(long, value_name = "TEXT", value_parser = StatedReason::new)]
    pub(crate) reason: Option<StatedReason>,
    /// How many rows the server's planner expects, which a gateway would ask it
    #[arg(long, value_name = "ROWS")]
    pub(crate) estimated_rows: Option<u64>,
    /// The principal has not run a statement of this shape before
    #[arg(long)]
    pub(crate) novel: bool,
    /// Print JSON, a line for each statement
    #[arg(long)]
    pub(crate) json: bool,
}

/// What sort of principal asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A person
    Human,
    /// An AI agent
    Agent,
    /// Any other program
    Service,
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

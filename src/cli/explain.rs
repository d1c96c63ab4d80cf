//! `provost explain`: its options and help. Nothing is done here.

use std::path::PathBuf;

use clap::ValueEnum;
use provost_engine::reason::StatedReason;

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

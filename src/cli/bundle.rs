//! `provost bundle`: its options and help. Nothing is done here.

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;

use super::time;

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

fn seconds(text: &str) -> Result<Timestamp, String> {
    let seconds: i64 = text
        .parse()
        .map_err(|_| "give seconds since 1970".to_owned())?;
    Timestamp::from_second(seconds).map_err(|error| error.to_string())
}

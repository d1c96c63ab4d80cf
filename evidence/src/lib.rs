//! Provost's evidence: records, write-ahead log, Parquet, ledger, verification, queries. Knows no other crate of ours.
//!
//! The way of a record: [`record::Record`] -> [`Log::append`] (write-ahead log, [`Receipt`]) -> [`Sealer::seal_now`]
//! (rows in Parquet, their Merkle tree, a signed checkpoint) -> [`verify()`], [`query()`].
//! `docs/evidence-format.md` describes every byte that is left behind.
//!
//! | module | what it holds |
//! |---|---|
//! | [`record`] | what the gateway logs: plain data |
//! | [`draft`] | entries in parts, of which one is kept |
//! | `entries` | entries as they are read, what they share kept once |
//! | `log` | entries, frames, segments, group commit, recovery |
//! | [`approvals`] | what people are asked and say of held statements, in the object store |
//! | [`compaction`] | many small objects as one larger, beside them |
//! | [`holds`] | legal holds: what must not be deleted |
//! | [`retention`] | deletes whole objects when their time is over, and logs it first |
//! | [`dataset`] | the tables and their columns |
//! | [`lease`] | slices of hourly budgets that gateways sharing a store take; no evidence |
//! | `ledger` | canonical records, Merkle tree and tiles, checkpoints, manifests and seals; pure |
//! | `seal` | joins log entries to rows, builds and publishes seals |
//! | [`verify()`] | checks everything from a public key |
//! | [`query()`] | read-only SQL over the sealed objects |
//! | `recent` | what is not sealed yet, as rows |
//! | [`archive`] | both, for people who look: bounded, away from the threads that serve |
//! | [`replay`] | a session's story from sealed rows |
//! | [`results`] | recorded results: spools, objects, and back |
//! | [`report`] | control matrix, population, samples: HTML, CSV, OSCAL, OCSF |
//! | [`stamp`] | time stamps of independent authorities (RFC 3161) on checkpoints |
//! | [`prove`] | that a record is in the signed tree, for anyone to check |
//! | [`witness`] | cosignatures of independent parties on checkpoints |
//! | [`key`] | signing key and public key |
//! | [`store`] | where evidence is kept: a folder as an object store that survives power loss, or a bucket |
//! | [`error`] | the one error enum |

pub mod approvals;
pub mod archive;
pub mod compaction;
pub mod dataset;
pub mod draft;
mod entries;
pub mod error;
#[cfg(test)]
mod faulty;
mod hex;
pub mod holds;
pub mod key;
pub mod lease;
mod ledger;
mod log;
pub mod prove;
pub mod query;
mod recent;
pub mod record;
pub mod replay;
pub mod report;
pub mod results;
pub mod retention;
mod seal;
pub mod stamp;
pub mod store;
#[cfg(test)]
mod testing;
pub mod verify;
pub mod witness;

pub use archive::Archive;
pub use error::Error;
pub use key::{PublicKey, SigningKey};
pub use lease::Leases;
pub use log::{Durability, Log, LogOptions, Receipt, Recovery, Shortage, records};
pub use prove::{Proof, Prover};
pub use query::{Answer, Format, Tables, Value, query};
pub use retention::{Keeping, Kept, Retention};
pub use seal::{Sealed, Sealer};
pub use stamp::Roots;
pub use store::{DurableFolder, Location, ObjectLock};
pub use verify::{Course, Report, Step, Verified, verify, verify_by};
pub use witness::{Cosigned, Witness, WitnessKey};

//! Provost's evidence: records, write-ahead log, Parquet, ledger, verification, queries. Knows no other crate of ours.
//!
//! The way of a record:
//! [`Record`](record::Record) -> [`Log::append`] (write-ahead log, [`Receipt`]) -> sealer -> Parquet rows and their
//! Merkle tree -> signed checkpoint -> verify, query.
//!
//! | module | what it holds |
//! |---|---|
//! | [`record`] | what the gateway logs: plain data |
//! | `log` | frames, segments, group commit, recovery |
//! | [`error`] | the one error enum |

pub mod error;
mod log;
pub mod record;

pub use error::Error;
pub use log::{Durability, Log, LogOptions, Receipt, Recovery};

//! Provost's evidence: records, write-ahead log, Parquet, ledger, verification, queries. Knows no other crate of ours.

pub mod record;

/// Proof that a record is in the log. Made by the log and by nothing else.
#[derive(Debug)]
pub struct Receipt {
    _private: (),
}

//! Provost's evidence: records, write-ahead log, Parquet, ledger, verification, queries.
pub mod record;

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
//! | [`dataset`] | the tables and their columns |
//! | [`lease`] | slices of hourly budgets that gateways sharing a store take; no evidence |
//! | `ledger` | canonical records, Merkle tree and tiles, checkpoints, manifests and seals; pure |
//! | `seal` | joins log entries to rows, builds and publishes seals |
//! | [`verify()`] | checks everything from a public key |
//! | [`query()`] | read-only SQL over the sealed objects |
//! | [`replay`] | a session's story from sealed rows |

//! The server as oracle: what `engine::sql` says of a statement, against what a real PostgreSQL does with it.
//!
//! | part | holds |
//! |---|---|
//! | `wire`, `client` | PostgreSQL's messages, and a client that sees every one of them |
//! | `tap` | between a real psql and the server: every statement, with a catalog that is true at that moment |
//! | `regress`, `corpus` | PostgreSQL's own regression files, run as it runs them, and how many are understood |
//! | `tree`, `claims` | the server's own trees: what a statement needs of relations and columns, against our facts |
//! | `zoo`, `generate` | a small database and random statements about it |
//! | `random` | the server's trees and RowDescription, for random statements |
//! | `cascade` | what CASCADE drops and alters |
//! | `newest` | what only some majors have |
//! | `lineage` | base values change: what then changes in a result must be explained by its facts |
//! | `ratchet` | what must not get worse |
//!
//! It must never decide what is right by reading our own code: the server says so.

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

mod cascade;
mod claims;
mod comparisons;
mod corpus;
mod generate;
mod lineage;
mod newest;
mod random;
mod ratchet;
mod regress;
mod tap;
mod tree;
mod wire;
mod zoo;

// The same source of choices as the decision graph's oracle.
#[expect(dead_code, reason = "the other oracle uses the rest")]
#[path = "../oracle/choices.rs"]
mod choices;

// The same private PostgreSQL as the demo's.
#[path = "../../../src/demo/postgres/mod.rs"]
mod postgres;

// What the clients' tests run the same files in.
#[path = "../../../tests/regress/database.rs"]
mod database;

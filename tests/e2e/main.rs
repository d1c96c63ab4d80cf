//! End to end: a real PostgreSQL, our real binary, real clients. Each test has a house of its own and leaves nothing behind.
//!
//! It must never look inside: what it knows it knows from clients, the server's own log and the evidence folder.

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

mod against;
mod approvals;
mod approvals_load;
mod auditor;
mod bad_input;
mod browser;
mod budgets;
mod bundles;
mod catalog;
mod catalog_stamp;
mod certificates;
mod changed_rows;
mod clients;
mod commands;
mod console;
mod corpus;
mod crash;
mod demo;
mod denials;
mod estimates;
mod evidence;
mod functions;
mod glass;
mod hard_inputs;
mod keeping;
mod mail;
mod masked_values;
mod masks;
mod obligations;
mod oidc;
mod own_view;
mod recordings;
mod replay;
mod replication;
mod schema;
mod server_certificate;
mod slack;
mod stamps;
mod stores;
mod streams;
mod support;
mod targets;
mod traffic;
mod views;

// The same private PostgreSQL as the demo's.
#[path = "../../src/demo/postgres/mod.rs"]
mod postgres;

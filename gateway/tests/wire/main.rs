//! The gateway over real sockets, in front of a real PostgreSQL: attacks on the start-up, log-in, cancel, shutdown.

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

mod attacks;
mod client_gone;
mod clients;
mod copies;
mod direct_tls;
mod faults;
mod floods;
mod glass;
mod held;
mod house;
mod kinds;
mod limits;
mod locks;
mod own_view;
#[path = "../../../src/demo/postgres/mod.rs"]
#[expect(dead_code, reason = "shared with the demo, which uses all of it")]
mod postgres;
mod raw;
mod rehearsal;
mod replication;
mod roles;
#[path = "../../../tests/e2e/server_certificate.rs"]
mod server_certificate;
mod server_gone;
mod server_tls;
mod sessions;
mod startup;
mod upstream;
mod warm;

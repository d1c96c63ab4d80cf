//! The PostgreSQL gateway of Provost: sockets, protocol, identity, enforcement.
//!
//! ```text
//! client -> protocol (frames) -> session (names, pipeline order) -> judge (analyse, decide, log) -> Permit -> upstream
//! ```
//!
//! It receives an `Arc<Policy>` and never sees policy text.

pub mod judge;
pub mod permit;

//! The PostgreSQL gateway of Provost: sockets, protocol, identity, enforcement.
//!
//! ```text
//! client -> protocol (frames) -> session (names, pipeline order) -> judge (analyse, decide, log) -> Permit -> upstream
//! ```
//!
//! It receives an `Arc<Policy>` and never sees policy text. From outside:
//!
//! ```text
//! let gateway = serve::Gateway::bind(settings, Parts { policy, log, issuer, keys, sealer }).await?;  // listens, reads catalogs
//! gateway.address();                                                                              // the port taken
//! gateway.run(shutdown).await?;                                                                   // until `shutdown` resolves
//! ```

pub mod identity;
pub mod judge;
pub mod permit;
pub mod protocol;
pub mod record;
mod scrub;
pub mod session;
pub mod settings;

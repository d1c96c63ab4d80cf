//! The PostgreSQL gateway of Provost: sockets, protocol, identity, enforcement.
//!
//! ```text
//! client -> protocol (frames) -> session (names, pipeline order) -> judge (analyse, decide, log) -> Permit -> upstream
//! ```
//!
//! It receives an `Arc<Policy>` and never sees policy text. From outside:
//!
//! ```text
//! let gateway = serve::Gateway::bind(settings, Parts { policy, log, leases, key, issuer }).await?;  // listens, reads catalogs
//! gateway.address();                                                                       // the port taken
//! gateway.run(shutdown).await?;                                                            // until `shutdown` resolves
//! ```
//!
//! | room | holds |
//! |---|---|
//! | [`settings`] | what the gateway is told at start |
//! | [`serve`] | listener, threads, start-up, log-in, relay, shutdown |
//! | [`identity`] | tokens: who asks |
//! | [`protocol`] | frames, read strictly |
//! | [`session`] | a session's names, pipeline and results, without I/O |
//! | `scrub` | server text rebuilt without values |
//! | [`judge`] | the seam between session and decision |
//! | `pin` | relations locked, and compared with the catalog |
//! | [`approvals`] | held statements: who is asked, what they said, who may go on |
//! | [`console`] | where people see them and vote: HTTP |
//! | `badge` | what a session says of itself to its server: its role, its principal |
//! | `look` | what is asked of a session's own connection |
//! | `judgement` | the judge: analysis, decision, log |
//! | [`record`] | decisions as evidence records, literals redacted |
//! | [`replay`] | recorded statements decided again |
//! | [`permit`] | the right to forward |
//! | [`upstream`] | connections to targets' servers |
//! | [`catalog`] | targets' catalogs, kept fresh |
//! | `glance` | what all sessions read and seldom changes |
//! | `cancel` | cancel keys |
//! | [`policy`] | the policy in force |
//! | [`roster`] | the sessions that are open, and the word that ends one |
//! | [`certificate`] | the gateway's own certificate, replaced while it serves |
//! | [`error`] | why a gateway doesn't start, or stopped |

pub mod approvals;
mod badge;
mod cancel;
pub mod catalog;
pub mod certificate;
pub mod console;
pub mod error;
mod former;
mod glance;
pub mod identity;
pub mod judge;
mod judgement;
mod look;
pub mod permit;
mod pin;
pub mod policy;
pub mod protocol;
pub mod record;
pub mod replay;
pub mod roster;
mod scrub;
pub mod serve;
pub mod session;
pub mod settings;
mod stream;
mod under_way;
pub mod upstream;

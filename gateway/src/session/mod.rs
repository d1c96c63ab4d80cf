//! One session between an authenticated client and its server connection: frames, names and pipeline order, without I/O.
//!
//! [`Core`] takes bytes from either side and gives bytes for both. It knows nothing of policy: a [`crate::judge::Judge`]
//! decides and logs. It must never let a statement through without a permit, nor show a value that a mask binds.
//!
//! | room | holds |
//! |---|---|
//! | `core` | the state, its limits, how it ends |
//! | `client` | what each of the client's messages does |
//! | `server` | what each of the server's messages does |
//! | `results` | descriptions, rows; stopping a result |
//! | `copies` | COPY: what is announced, its data, its end |
//! | `copy_out` | masked COPY data |
//! | `whole` | segments that are sent and answered as one |
//! | `guard` | changes of a limited number of rows |
//! | `errors` | the server's errors, notices, notifications, settings |
//! | `replication` | connections that replicate: commands, streams |
//! | `look` | the gateway's own questions over the session's connection |
//! | `names` | prepared statements and portals, with what is not yet certain of them |
//! | `sql_names` | names that SQL gives and takes |
//! | `pending` | what the server still has to answer, in order |
//! | `out` | the gate to the server |
//! | `describe` | the cross-check of the server's description against analysis |
//! | `rows` | masked rows |
//! | `refuse` | refusals on the wire |
//!
//! # The I/O loop
//! Both directions are polled independently. Client bytes go to [`Core::on_client`] only while [`Core::accepts_client`];
//! after [`Core::on_server`] made it true again, bytes that are still in the client's input go first. Neither is called
//! while [`Out`]'s backlog for the side it fills is above the loop's own bound. After an `Err`, what is in [`Out`] is
//! written, both sides are closed and [`Core::close`] is called, as it is when either side hangs up.

mod client;
mod copies;
mod copy_out;
mod core;
mod describe;
mod errors;
mod guard;
mod look;
mod names;
mod out;
mod pending;
mod refuse;
mod replication;
mod results;
mod rows;
mod server;
mod sql_names;
#[cfg(test)]
mod tests;
mod whole;

pub(crate) use self::out::give_back_beyond;
pub use self::{
    core::{Core, Flow, Limits},
    out::{Out, ToServer},
    refuse::Token,
};

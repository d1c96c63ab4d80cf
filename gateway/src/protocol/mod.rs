//! PostgreSQL's messages as bytes: splitting frames, reading them strictly, writing the few we send ourselves.
//!
//! No sockets, no state, no policy. A frame is split first and read only inside its own bounds: a reader that looked past
//! the frame would show something else than what the server runs.
//!
//! # Source
//! PostgreSQL manual, "Message Formats".

pub mod backend;
pub mod frame;
pub mod frontend;
mod reader;
pub mod replication;

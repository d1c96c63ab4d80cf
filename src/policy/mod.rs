//! How a policy comes into force: fetched, verified, compiled, recorded, swapped.
//!
//! ```text
//! source (file, S3) --bytes--> dsl::bundle (verify, compile) --> keeper (line, evidence) --> gateway::PolicyHandle
//! ```
//!
//! It must never put a policy in force that no trusted key signed (unless the configuration says `unsigned = true`), that is older
//! than one in force before, or that is not recorded yet. Whatever fails leaves the running one as it is.

mod accepted;
mod candidate;
mod keeper;
mod source;

pub(crate) use self::{
    accepted::Error as AcceptedError,
    keeper::Keeper,
    source::{Error as SourceError, Location},
};

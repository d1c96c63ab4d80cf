//! Approvals in the object store: what was asked, who voted, how it ended. Signed documents under keys that are made once, so that any
//! number of gateways can ask, take votes and use an approval, each of them once and by its first writer, with no database.
//!
//! | key | content |
//! |---|---|
//! | `held/<id>/request` | a [`Request`] |
//! | `held/<id>/dry-run` | a [`DryRun`], where somebody asked for one |
//! | `held/<id>/vote/<SHA-256 of the person's id>` | a [`Vote`]: one for each person |
//! | `held/<id>/end` | an [`End`]: used, refused, expired or withdrawn |
//!
//! Each is a C2SP signed note by the gateway that wrote it; its text is the line `provost-approval-v1 <kind>` and one of JSON. So whoever
//! runs the store can take documents away, and can forge none. The evidence of all this is in the dataset `approvals`, not here: these
//! documents are left out by verification, and those that ended may be deleted.

mod docket;
mod documents;
#[cfg(test)]
mod tests;

pub use docket::{Docket, Ended, News, Voted};
pub use documents::{
    ApprovalId, Document, DryRun, End, EndKind, HeldStatement, Need, Request, Rows, Vote, VoteKind,
    acting_for,
};

/// What every key begins with.
pub(crate) const PREFIX: &str = "held/";

//! The policy in force: swapped atomically, named by every decision that it makes.

use std::sync::Arc;

use provost_engine::graph::Policy;

use crate::glance::Shared;

/// Holds the policy in force. Whoever decides takes the `Arc` once and decides one statement under it.
#[derive(Debug)]
pub struct PolicyHandle {
    current: Shared<Arc<Policy>>,
    /// What the first policy is and where it came from, for the log of the start.
    first: Option<String>,
}

impl PolicyHandle {
    /// Starts with `policy`.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            current: Shared::new(policy),
            first: None,
        }
    }

    /// The same, with one line for the log that says what the policy is and where it came from.
    #[must_use]
    pub fn described(policy: Arc<Policy>, description: String) -> Self {
        Self {
            first: Some(description),
            ..Self::new(policy)
        }
    }

    /// What the policy that it started with is.
    pub(crate) fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// The policy in force now.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        self.current.current()
    }

    /// How often it was swapped: while this is the same, so is the policy.
    pub(crate) fn changes(&self) -> u64 {
        self.current.changes()
    }

    /// Puts `policy` in force; statements decided before finish under the one that decided them.
    pub fn swap(&self, policy: Arc<Policy>) {
        self.current.replace(policy);
    }
}

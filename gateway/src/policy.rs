//! The policy in force: swapped atomically, named by every decision that it makes.

use std::sync::{Arc, PoisonError, RwLock};

use provost_engine::graph::Policy;

/// Holds the policy in force. Whoever decides takes the `Arc` once and decides one statement under it.
#[derive(Debug)]
pub struct PolicyHandle {
    current: RwLock<Arc<Policy>>,
    /// What the first policy is and where it came from, for the log of the start.
    first: Option<String>,
}

impl PolicyHandle {
    /// Starts with `policy`.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            current: RwLock::new(policy),
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
        // A panic while swapping can't leave half a pointer behind.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `policy` in force; statements decided before finish under the one that decided them.
    pub fn swap(&self, policy: Arc<Policy>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }
}

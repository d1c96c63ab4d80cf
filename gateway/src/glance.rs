//! A value that all sessions read and that seldom changes: who looked at it once looks again only when it changed.
//!
//! Must never show a value that was replaced before the look began.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// The value, for all threads.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    value: RwLock<T>,
    /// How often it was replaced.
    changes: AtomicU64,
}

impl<T: Clone> Shared<T> {
    /// Starts with this one.
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: RwLock::new(value),
            changes: AtomicU64::new(0),
        }
    }

    /// The value now.
    pub(crate) fn current(&self) -> T {
        // A panic while replacing can't leave half a value behind.
        self.value
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces it.
    pub(crate) fn replace(&self, value: T) {
        let mut place = self.value.write().unwrap_or_else(PoisonError::into_inner);
        *place = value;
        // INVARIANT: counted once the value is in its place, so that whoever sees the count finds this value or a later one.
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often it was replaced: while this is the same, so is the value.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// What one session saw last.
#[derive(Debug)]
pub(crate) struct Glance<T> {
    seen: RefCell<(u64, Rc<T>)>,
}

impl<T: Clone> Glance<T> {
    /// Looks for the first time.
    pub(crate) fn new(shared: &Shared<T>) -> Self {
        let changes = shared.changes();
        Self {
            seen: RefCell::new((changes, Rc::new(shared.current()))),
        }
    }

    /// The value now.
    pub(crate) fn look(&self, shared: &Shared<T>) -> Rc<T> {
        let changes = shared.changes();
        let mut seen = self.seen.borrow_mut();
        if seen.0 != changes {
            *seen = (changes, Rc::new(shared.current()));
        }
        Rc::clone(&seen.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_value_is_seen_at_the_next_look() {
        let shared = Shared::new(1);
        let glance = Glance::new(&shared);
        let first = glance.look(&shared);
        assert!(Rc::ptr_eq(&first, &glance.look(&shared)));
        shared.replace(2);
        assert_eq!((*first, *glance.look(&shared), shared.current()), (1, 2, 2));
    }
}

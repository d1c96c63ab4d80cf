//! Counts connections and each principal's sessions, and says when there are too many.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The counts of a gateway.
#[derive(Debug, Default)]
pub(super) struct Counts {
    connections: AtomicUsize,
    /// As many as there are principals with sessions.
    principals: Mutex<HashMap<Arc<str>, usize>>,
}

/// One connection; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Connection(Arc<Counts>);

/// One principal's session; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    counts: Arc<Counts>,
    principal: Arc<str>,
}

impl Counts {
    /// Counts a connection; `None` when there are `connections_max` already.
    pub(super) fn connect(self: &Arc<Self>, connections_max: usize) -> Option<Connection> {
        let connection = Connection(Arc::clone(self));
        (self.connections.fetch_add(1, Ordering::Relaxed) < connections_max).then_some(connection)
    }

    /// Connections now.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a session of `principal`; `None` when it has `sessions_max` already.
    pub(super) fn seat(
        self: &Arc<Self>,
        principal: &Arc<str>,
        sessions_max: usize,
    ) -> Option<Seat> {
        let mut principals = self
            .principals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = principals.entry(Arc::clone(principal)).or_default();
        if *count >= sessions_max {
            return None;
        }
        *count += 1;
        Some(Seat {
            counts: Arc::clone(self),
            principal: Arc::clone(principal),
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut principals = self
            .counts
            .principals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = principals.get_mut(&self.principal) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                principals.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Counts;

    #[test]
    fn what_is_dropped_makes_room() {
        let counts = Arc::new(Counts::default());
        let first = counts.connect(1);
        assert!(first.is_some());
        assert!(counts.connect(1).is_none());
        assert_eq!(
            counts.connections(),
            1,
            "a refused connection does not stay counted"
        );
        drop(first);
        assert!(counts.connect(1).is_some());

        let (ann, bob) = ("ann".into(), "bob".into());
        let seat = counts.seat(&ann, 1);
        assert!(seat.is_some() && counts.seat(&ann, 1).is_none() && counts.seat(&bob, 1).is_some());
        drop(seat);
        assert!(counts.seat(&ann, 1).is_some());
        assert!(counts.principals.lock().unwrap().is_empty());
    }
}

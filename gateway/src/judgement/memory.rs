//! What this gateway remembers of its principals: the shapes of statements they ran.
//!
//! In memory only: a start forgets, and each gateway knows its own part. Forgetting makes a shape new again, which rules may
//! refuse.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Shapes remembered of all principals together; at the limit the oldest is forgotten, and is new when it comes again.
const SHAPES_MAX: usize = 100_000;
/// One gateway's memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    shapes: Mutex<Shapes>,
    /// How many shapes were forgotten.
    forgotten: AtomicU64,
}

#[derive(Debug, Default)]
struct Shapes {
    known: HashSet<(Arc<str>, Arc<str>)>,
    order: VecDeque<(Arc<str>, Arc<str>)>,
}

impl Memory {
    /// Whether the principal ran no statement of this shape yet.
    pub(super) fn is_new(&self, principal: &Arc<str>, fingerprint: &Arc<str>) -> bool {
        let shapes = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        !shapes
            .known
            .contains(&(Arc::clone(principal), Arc::clone(fingerprint)))
    }

    /// The principal may run a statement of this shape.
    pub(super) fn ran(&self, principal: &Arc<str>, fingerprint: &Arc<str>) {
        let shape = (Arc::clone(principal), Arc::clone(fingerprint));
        let mut shapes = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        if !shapes.known.insert(shape.clone()) {
            return;
        }
        shapes.order.push_back(shape);
        if shapes.order.len() > SHAPES_MAX
            && let Some(oldest) = shapes.order.pop_front()
        {
            shapes.known.remove(&oldest);
            self.forgotten.fetch_add(1, Ordering::Release);
        }
    }

    /// How many shapes were forgotten: while this is the same, whatever was remembered still is.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_new_once_for_each_principal() {
        let memory = Memory::default();
        let shape: Arc<str> = "0123".into();
        assert!(memory.is_new(&"ann".into(), &shape));
        memory.ran(&"ann".into(), &shape);
        memory.ran(&"ann".into(), &shape);
        assert!(!memory.is_new(&"ann".into(), &shape));
        assert!(memory.is_new(&"bob".into(), &shape));
        for number in 0..SHAPES_MAX {
            memory.ran(&"bob".into(), &number.to_string().into());
        }
        assert!(
            memory.is_new(&"ann".into(), &shape),
            "the oldest made room, and is new again"
        );
        assert!(!memory.is_new(&"bob".into(), &(SHAPES_MAX - 1).to_string().into()));
    }
}

//! What this gateway remembers of its principals: the shapes of statements they ran, and their lookups of the last hour.
//!
//! In memory only: a start forgets, and each gateway knows its own part. Forgetting makes a shape new again (which rules may
//! refuse) and never lets more lookups through than the budget of each gateway.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Shapes remembered of all principals together; at the limit the oldest is forgotten, and is new when it comes again.
const SHAPES_MAX: usize = 100_000;
/// Principals whose lookups are counted at once; at the limit a lookup of one more is refused.
const PRINCIPALS_MAX: usize = 100_000;
/// The hour of a budget.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Lookups within this time count as made at its start, and are counted until its end is an hour ago.
const STEP: Duration = Duration::from_secs(60);

/// One gateway's memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    shapes: Mutex<Shapes>,
    lookups: Mutex<HashMap<Arc<str>, VecDeque<Step>>>,
}

#[derive(Debug, Default)]
struct Shapes {
    known: HashSet<(Arc<str>, Arc<str>)>,
    order: VecDeque<(Arc<str>, Arc<str>)>,
}

/// Lookups of one minute: at most [`HOUR`] over [`STEP`], and one, of a principal.
#[derive(Debug)]
struct Step {
    start: Instant,
    count: u32,
}

/// Whether a lookup is within its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// It is, and was counted.
    Counted,
    /// The principal made as many as it may.
    OverBudget,
    /// Too many principals look things up.
    NoRoom,
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
        }
    }

    /// Counts a lookup of a principal that may make `per_hour` of them.
    pub(super) fn look_up(&self, principal: &Arc<str>, per_hour: u32, now: Instant) -> Lookup {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |step: &Step| now.saturating_duration_since(step.start) >= HOUR + STEP;
        if !lookups.contains_key(principal) && lookups.len() >= PRINCIPALS_MAX {
            lookups.retain(|_, steps| !steps.iter().all(is_over));
            if lookups.len() >= PRINCIPALS_MAX {
                return Lookup::NoRoom;
            }
        }
        let steps = lookups.entry(Arc::clone(principal)).or_default();
        while steps.pop_front_if(|step| is_over(step)).is_some() {}
        let made: u64 = steps.iter().map(|step| u64::from(step.count)).sum();
        if made >= u64::from(per_hour) {
            return Lookup::OverBudget;
        }
        match steps.back_mut() {
            Some(step) if now.saturating_duration_since(step.start) < STEP => step.count += 1,
            Some(_) | None => steps.push_back(Step {
                start: now,
                count: 1,
            }),
        }
        Lookup::Counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_of_one_principal_and_comes_back_after_the_hour() {
        let memory = Memory::default();
        let start = Instant::now();
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        let check = |who, minutes: u64, expected| {
            let now = start + Duration::from_secs(60 * minutes);
            assert_eq!(
                memory.look_up(who, 2, now),
                expected,
                "after {minutes} minutes"
            );
        };
        check(&ann, 0, Lookup::Counted);
        check(&ann, 30, Lookup::Counted);
        check(&ann, 59, Lookup::OverBudget);
        check(&bob, 59, Lookup::Counted);
        check(&ann, 60, Lookup::OverBudget);
        check(&ann, 61, Lookup::Counted);
        check(&ann, 62, Lookup::OverBudget);
        check(&ann, 91, Lookup::Counted);
        assert_eq!(memory.look_up(&bob, 0, start), Lookup::OverBudget);
    }

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

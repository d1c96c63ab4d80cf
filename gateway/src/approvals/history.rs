//! What became of statements of the same shape before: for whoever is asked about one more.
//!
//! It must never grow with what is asked: both the shapes and what is remembered of each have a limit.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem,
    sync::PoisonError,
    time::Duration,
};

use provost_evidence::{
    approvals::{ApprovalId, Request},
    record::Micros,
};

use super::{Approvals, Kept, Standing, now};

/// For how long what ended is kept to be shown, in microseconds.
const SHOWN_MICROS_MAX: i64 = 3_600_000_000;
/// How far back is remembered, by what the store still has of it.
pub const HISTORY: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Requests remembered of one shape; at the limit the oldest is forgotten.
const PAST_OF_ONE_MAX: usize = 200;
/// Shapes remembered; at the limit a new one is not.
const SHAPES_MAX: usize = 10_000;

/// How often statements of one shape were asked for, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Before {
    /// Waiting, or approved and not used yet.
    pub open: u64,
    /// They ran.
    pub used: u64,
    /// Somebody said no.
    pub refused: u64,
    /// Nobody answered, or used it, in time.
    pub expired: u64,
    /// Whoever asked took them back.
    pub withdrawn: u64,
}

impl Before {
    /// One more that stands so.
    pub(super) const fn count(&mut self, standing: &Standing) {
        let of = match standing {
            Standing::Waiting | Standing::Approved => &mut self.open,
            Standing::Used => &mut self.used,
            Standing::Refused { .. } => &mut self.refused,
            Standing::Expired => &mut self.expired,
            Standing::Withdrawn => &mut self.withdrawn,
        };
        *of = of.saturating_add(1);
    }

    /// All of them.
    #[must_use]
    pub const fn asked(&self) -> u64 {
        self.open
            .saturating_add(self.used)
            .saturating_add(self.refused)
            .saturating_add(self.expired)
            .saturating_add(self.withdrawn)
    }
}

/// What a text does, literals left out, and where. `None`: its shape is not known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    target: String,
    fingerprints: Vec<String>,
}

impl Shape {
    pub(super) fn of(request: &Request) -> Option<Self> {
        let statements = request.statements.iter();
        let fingerprints: Vec<String> = statements.map(|one| one.fingerprint.clone()).collect();
        let is_known = !fingerprints.is_empty() && fingerprints.iter().all(|one| !one.is_empty());
        is_known.then(|| Self {
            target: request.target.clone(),
            fingerprints,
        })
    }
}

/// What ended and is no longer shown.
#[derive(Debug, Default)]
pub(super) struct History {
    of: HashMap<Shape, VecDeque<(ApprovalId, Standing)>>,
}

impl History {
    /// Remembers how a request ended.
    pub(super) fn keep(&mut self, request: &Request, standing: Standing) {
        let Some(shape) = Shape::of(request) else {
            return;
        };
        if !self.of.contains_key(&shape) && self.of.len() >= SHAPES_MAX {
            return;
        }
        let past = self.of.entry(shape).or_default();
        if past.len() >= PAST_OF_ONE_MAX {
            past.pop_front();
        }
        past.push_back((request.id.clone(), standing));
    }

    /// Lets go of what was asked longer ago than [`HISTORY`].
    pub(super) fn forget(&mut self, now: Micros) {
        let past = i64::try_from(HISTORY.as_micros()).unwrap_or(i64::MAX);
        let first = ApprovalId::first_of(Micros(now.0.saturating_sub(past)));
        self.of.retain(|_, past| {
            past.retain(|(id, _)| *id >= first);
            !past.is_empty()
        });
    }

    /// What is remembered of a shape.
    pub(super) fn of(&self, shape: &Shape) -> Before {
        let mut before = Before::default();
        let past = self.of.get(shape).into_iter().flatten();
        past.for_each(|(_, standing)| before.count(standing));
        before
    }
}

impl Approvals {
    /// What became of other statements of the request's shape on its target, as far back as [`HISTORY`]. `None` where its shape is not
    /// known.
    #[must_use]
    pub fn before(&self, request: &Request) -> Option<Before> {
        let shape = Shape::of(request)?;
        let history = self.history.lock();
        let mut before = history.unwrap_or_else(PoisonError::into_inner).of(&shape);
        let now = now();
        for kept in self.cases().values() {
            let other = &kept.case.request;
            if other.id != request.id && Shape::of(other).as_ref() == Some(&shape) {
                before.count(&kept.case.standing(now));
            }
        }
        Some(before)
    }

    /// Lets go of what ended long ago, but for what became of it.
    pub(super) async fn forget(&self) {
        let now = now();
        let past = now.0 - SHOWN_MICROS_MAX;
        let (oldest, gone) = {
            let mut cases = self.cases();
            let (kept, gone) = mem::take(&mut *cases).into_iter().partition(|(_, kept)| {
                kept.case.request.expires_at.0 >= past
                    && kept.case.end.as_ref().is_none_or(|end| end.at.0 >= past)
            });
            *cases = kept;
            let gone: BTreeMap<ApprovalId, Kept> = gone;
            let first = cases.keys().next().cloned();
            let past = ApprovalId::first_of(Micros(past));
            (first.map_or(past.clone(), |first| first.min(past)), gone)
        };
        {
            let history = self.history.lock();
            let mut history = history.unwrap_or_else(PoisonError::into_inner);
            for Kept { case, .. } in gone.values() {
                history.keep(&case.request, case.standing(now));
            }
            history.forget(now);
        }
        self.docket.forget_before(&oldest).await;
    }
}

#[cfg(test)]
mod tests {
    use provost_evidence::approvals::HeldStatement;

    use super::*;

    const DAY: i64 = 24 * 3_600 * 1_000_000;

    fn request(day: i64, number: usize, fingerprint: &str) -> Request {
        let at = Micros(day * DAY + i64::try_from(number).unwrap() * 1_000);
        let id = ApprovalId::first_of(at);
        Request {
            target: "shop".to_owned(),
            statements: vec![HeldStatement {
                kind: "delete".to_owned(),
                fingerprint: fingerprint.to_owned(),
                relations: Vec::new(),
                columns: Vec::new(),
            }],
            ..Request::new(id, "g", at, Vec::new())
        }
    }

    #[test]
    fn a_shape_is_remembered_for_its_time_and_within_limits() {
        let mut history = History::default();
        history.keep(&request(1, 0, "a"), Standing::Used);
        history.keep(&request(2, 0, "a"), Standing::Expired);
        history.keep(&request(2, 1, "b"), Standing::Withdrawn);
        history.keep(&request(2, 2, ""), Standing::Used);
        let of = |history: &History, fingerprint| {
            history.of(&Shape::of(&request(0, 0, fingerprint)).unwrap())
        };
        let a = of(&history, "a");
        assert_eq!((a.asked(), a.used, a.expired), (2, 1, 1));
        assert_eq!(of(&history, "c"), Before::default());
        history.forget(Micros(8 * DAY + DAY / 2));
        assert_eq!(of(&history, "a").asked(), 1);
        for number in 0..=PAST_OF_ONE_MAX {
            history.keep(&request(3, number, "a"), Standing::Used);
        }
        let a = of(&history, "a");
        let most = u64::try_from(PAST_OF_ONE_MAX).unwrap();
        assert_eq!((a.asked(), a.expired), (most, 0));
        let elsewhere = Request {
            target: "other".to_owned(),
            ..request(0, 0, "a")
        };
        assert_eq!(history.of(&Shape::of(&elsewhere).unwrap()).asked(), 0);
    }
}

//! Broken glass, on its way to whoever is told. Evidence has it before: what could not be told before a restart is told there.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use provost_evidence::{approvals::acting_for, record::Micros};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::record::hex;

/// How many are kept for receivers that take none; at the limit the oldest is told no more, and the log of the gateway says so.
const KEPT_MAX: usize = 1_000;

/// That a session runs statements by a reason that it states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenGlass {
    /// When it did for the first time by this rule, in microseconds since 1970.
    pub at: Micros,
    /// The gateway.
    pub gateway: String,
    /// The session, as in evidence.
    pub session: String,
    /// Who.
    pub principal: String,
    /// The person behind it.
    pub on_behalf_of: Option<String>,
    /// The target.
    pub target: String,
    /// The rule.
    pub rule: String,
    /// The stated reason, with the rule's own.
    pub reason: String,
}

impl BrokenGlass {
    /// What a message of it is named by: the same whenever the same is told.
    pub(super) fn delivery(&self) -> String {
        let Self {
            at, session, rule, ..
        } = self;
        let name = format!("break-glass {session} {rule} {}", at.0);
        hex(&Sha256::digest(name))
    }

    /// What a message of it begins with.
    pub(super) fn head(&self) -> String {
        let who = acting_for(&self.principal, self.on_behalf_of.as_deref());
        format!("Glass is broken by {who}")
    }
}

/// What is to be told, numbered from 0 as it comes.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The number of the oldest that is kept.
    first: u64,
    glass: VecDeque<Arc<BrokenGlass>>,
}

impl News {
    /// Adds one.
    pub(super) fn add(&self, broken: BrokenGlass) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.glass.len() == KEPT_MAX && kept.glass.pop_front().is_some() {
            kept.first += 1;
        }
        kept.glass.push_back(Arc::new(broken));
    }

    /// All from this number on that is kept, with the number of the first and of what comes next.
    fn since(&self, number: u64) -> (Vec<Arc<BrokenGlass>>, u64, u64) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = usize::try_from(number.saturating_sub(kept.first)).unwrap_or(usize::MAX);
        let count = u64::try_from(kept.glass.len()).unwrap_or(u64::MAX);
        let new = kept.glass.iter().skip(known).map(Arc::clone).collect();
        (new, number.max(kept.first), kept.first + count)
    }
}

/// What one receiver is still to be told, by number.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// The number of what comes next.
    next: u64,
    waiting: BTreeMap<u64, Arc<BrokenGlass>>,
}

impl Untold {
    /// Takes what came since.
    pub(super) fn take(&mut self, news: &News) {
        let (new, first, next) = news.since(self.next);
        let missed = first - self.next;
        self.next = next;
        self.waiting.extend((first..).zip(new));
        let over = self.waiting.len().saturating_sub(KEPT_MAX);
        for _ in 0..over {
            self.waiting.pop_first();
        }
        if missed > 0 || over > 0 {
            tracing::warn!(
                missed,
                over,
                "broken glass is told to a receiver no more: too much of it waits; evidence has it"
            );
        }
    }

    /// All of it, the oldest first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (u64, &Arc<BrokenGlass>)> {
        self.waiting
            .iter()
            .map(|(number, broken)| (*number, broken))
    }

    /// The one of this number was told.
    pub(super) fn told(&mut self, number: u64) {
        self.waiting.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_MAX, News, Untold};
    use crate::approvals::tests::broken_glass;

    #[test]
    fn each_is_told_in_order_and_the_oldest_goes_at_the_limit() {
        let news = News::default();
        let mut untold = Untold::default();
        let oldest = |untold: &Untold| {
            let (number, broken) = untold.waiting().next().unwrap();
            (number, broken.session.clone())
        };
        untold.take(&news);
        assert_eq!(untold.waiting().count(), 0);
        for number in 0..=KEPT_MAX {
            news.add(broken_glass(&number.to_string()));
        }
        untold.take(&news);
        assert_eq!(untold.waiting().count(), KEPT_MAX);
        assert_eq!(oldest(&untold), (1, "1".to_owned()));
        untold.told(1);
        assert_eq!(oldest(&untold), (2, "2".to_owned()));
        untold.take(&news);
        assert_eq!(untold.waiting().count(), KEPT_MAX - 1);
        // What waits and what comes have one limit.
        news.add(broken_glass("new"));
        news.add(broken_glass("newer"));
        untold.take(&news);
        assert_eq!(untold.waiting().count(), KEPT_MAX);
        assert_eq!(oldest(&untold), (3, "3".to_owned()));
    }
}

//! Broken glass, on its way to whoever is told by webhooks. Evidence has it before: what could not be told before a restart is told there.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use provost_evidence::record::Micros;
use serde::Serialize;

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

/// What one receiver is still to be told.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// The number of what comes next.
    next: u64,
    waiting: VecDeque<Arc<BrokenGlass>>,
}

impl Untold {
    /// Takes what came since.
    pub(super) fn take(&mut self, news: &News) {
        let (new, first, next) = news.since(self.next);
        let missed = first - self.next;
        self.next = next;
        self.waiting.extend(new);
        let over = self.waiting.len().saturating_sub(KEPT_MAX);
        self.waiting.drain(..over);
        if missed > 0 || over > 0 {
            tracing::warn!(
                missed,
                over,
                "broken glass is told to a receiver no more: too much of it waits; evidence has it"
            );
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The one that waits longest.
    pub(super) fn first(&mut self) -> Option<Arc<BrokenGlass>> {
        self.waiting.pop_front()
    }

    /// It could not be told: it is told again behind the others, so that one which is never taken keeps none of them.
    pub(super) fn again(&mut self, broken: Arc<BrokenGlass>) {
        self.waiting.push_back(broken);
    }
}

#[cfg(test)]
mod tests {
    use super::{BrokenGlass, KEPT_MAX, Micros, News, Untold};

    fn broken(at: i64) -> BrokenGlass {
        BrokenGlass {
            at: Micros(at),
            gateway: "g".to_owned(),
            session: "s".to_owned(),
            principal: "olga".to_owned(),
            on_behalf_of: None,
            target: "shop".to_owned(),
            rule: "incident".to_owned(),
            reason: "INC-1: down".to_owned(),
        }
    }

    #[test]
    fn each_is_told_in_order_and_the_oldest_goes_at_the_limit() {
        let news = News::default();
        let mut untold = Untold::default();
        untold.take(&news);
        assert_eq!(untold.len(), 0);
        for at in (0..).take(KEPT_MAX + 1) {
            news.add(broken(at));
        }
        untold.take(&news);
        assert_eq!(untold.len(), KEPT_MAX);
        let first = untold.first().unwrap();
        assert_eq!(first.at, Micros(1));
        untold.again(first);
        assert_eq!(untold.first().unwrap().at, Micros(2));
        untold.take(&news);
        assert_eq!(untold.len(), KEPT_MAX - 1);
        // What waits and what comes have one limit.
        news.add(broken(-1));
        news.add(broken(-2));
        untold.take(&news);
        assert_eq!(untold.len(), KEPT_MAX);
        assert_eq!(untold.first().unwrap().at, Micros(4));
    }
}

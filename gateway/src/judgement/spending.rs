//! What principals spend of their budgets of an hour: by this gateway's own count of the last hour, and out of the slices that it
//! leased of the hour by the clock, which all gateways share (ruling 16).
//!
//! Must never give a unit that was not leased, nor one beyond the budget.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use provost_evidence::lease::Lease;

/// Principals whose spending is counted at once; at the limit one more may spend nothing.
const PRINCIPALS_MAX: usize = 100_000;
/// The hour of a budget.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// What is spent within this time counts as spent at its start, and is counted until its end is an hour ago.
const STEP: Duration = Duration::from_secs(60);
/// How many sorts of things are counted.
const SORTS: usize = 3;
/// A slice is this part of a budget: what a gateway leased and does not use is lost to the others for the hour.
const SLICES: u64 = 16;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Lookups of masked columns.
    Lookups,
    /// Rows returned.
    Rows,
    /// Bytes returned.
    Bytes,
}

impl Sort {
    /// In the keys of leases.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Lookups => "lookups",
            Self::Rows => "rows",
            Self::Bytes => "bytes",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Lookups => 0,
            Self::Rows => 1,
            Self::Bytes => 2,
        }
    }
}

/// So much of one sort, where at most `per_hour` may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) sort: Sort,
    pub(super) amount: u64,
    pub(super) per_hour: u64,
}

/// Now, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: Instant,
    /// Hours since 1970.
    pub(super) hour: u64,
}

/// Whether something is within its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spent {
    /// It is, and was counted.
    Counted,
    /// The principal may spend no more of this; nothing was counted.
    OverBudget(Charge),
    /// Too many principals spend at once.
    NoRoom,
    /// Nothing was counted: this slice must be leased first.
    Lease(Sort, Range<u64>),
}

/// What becomes of charges that are within their budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weighing {
    Look,
    Count,
}

/// One gateway's accounts.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    accounts: Mutex<HashMap<Arc<str>, Account>>,
}

/// One principal's.
#[derive(Debug, Default)]
struct Account {
    /// By the minute: at most [`HOUR`] over [`STEP`], and one.
    steps: VecDeque<Step>,
    leased: [Leased; SORTS],
}

/// What was spent in one minute, of each sort.
#[derive(Debug)]
struct Step {
    start: Instant,
    counts: [u64; SORTS],
}

/// What is left of the slices of one hour, in order.
#[derive(Debug, Default)]
struct Leased {
    hour: u64,
    slices: VecDeque<Range<u64>>,
    /// Where the first slice starts that nobody is known to have.
    next: u64,
}

impl Spending {
    /// Counts what a principal spends: all of it, or nothing.
    pub(super) fn spend(&self, principal: &Arc<str>, charges: &[Charge], now: Moment) -> Spent {
        self.weigh(principal, charges, now, Weighing::Count)
    }

    /// Whether a principal could spend this much, as far as this gateway knows; nothing is counted.
    pub(super) fn look(&self, principal: &Arc<str>, charges: &[Charge], now: Moment) -> Spent {
        match self.weigh(principal, charges, now, Weighing::Look) {
            Spent::Lease(..) => Spent::Counted,
            other => other,
        }
    }

    /// Takes up what became of a slice that [`Spent::Lease`] asked for.
    pub(super) fn leased(
        &self,
        principal: &Arc<str>,
        (sort, hour): (Sort, u64),
        slice: Range<u64>,
        lease: Lease,
    ) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(leased) = accounts
            .get_mut(principal)
            .and_then(|account| account.leased.get_mut(sort.index()))
            .filter(|leased| leased.hour == hour)
        else {
            return;
        };
        match lease {
            Lease::Ours => {
                leased.next = leased.next.max(slice.end);
                let place = leased
                    .slices
                    .partition_point(|held| held.start < slice.start);
                leased.slices.insert(place, slice);
            }
            Lease::Taken { end } => leased.next = leased.next.max(end),
        }
    }

    fn weigh(
        &self,
        principal: &Arc<str>,
        charges: &[Charge],
        now: Moment,
        weighing: Weighing,
    ) -> Spent {
        if charges.is_empty() {
            return Spent::Counted;
        }
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if !accounts.contains_key(principal) && accounts.len() >= PRINCIPALS_MAX {
            accounts.retain(|_, account| !account.is_over(now));
            if accounts.len() >= PRINCIPALS_MAX {
                return Spent::NoRoom;
            }
        }
        let account = accounts.entry(Arc::clone(principal)).or_default();
        account.pass_to(now);
        for charge in charges {
            if let Some(obstacle) = account.obstacle(charge) {
                return obstacle;
            }
        }
        match weighing {
            Weighing::Look => {}
            Weighing::Count => account.count(charges, now),
        }
        Spent::Counted
    }
}

impl Account {
    /// Whether nothing of it counts any more.
    fn is_over(&self, now: Moment) -> bool {
        self.steps.iter().all(|step| step.is_over(now))
            && self.leased.iter().all(|leased| leased.hour != now.hour)
    }

    /// Forgets what is over.
    fn pass_to(&mut self, now: Moment) {
        while self.steps.pop_front_if(|step| step.is_over(now)).is_some() {}
        for leased in &mut self.leased {
            if leased.hour != now.hour {
                *leased = Leased {
                    hour: now.hour,
                    ..Leased::default()
                };
            }
        }
    }

    /// Why a charge can't be counted now.
    fn obstacle(&self, charge: &Charge) -> Option<Spent> {
        let index = charge.sort.index();
        let counts = self.steps.iter().filter_map(|step| step.counts.get(index));
        let before = counts.fold(0_u64, |sum, count| sum.saturating_add(*count));
        if before.saturating_add(charge.amount) > charge.per_hour {
            return Some(Spent::OverBudget(*charge));
        }
        let leased = self.leased.get(index)?;
        let needed = charge.amount.saturating_sub(leased.left(charge.per_hour));
        if needed == 0 {
            return None;
        }
        let start = leased.next;
        if start.saturating_add(needed) > charge.per_hour {
            return Some(Spent::OverBudget(*charge));
        }
        let units = needed.max(charge.per_hour / SLICES);
        let end = start.saturating_add(units).min(charge.per_hour);
        Some(Spent::Lease(charge.sort, start..end))
    }

    fn count(&mut self, charges: &[Charge], now: Moment) {
        let is_new_minute = self
            .steps
            .back()
            .is_none_or(|step| now.at.saturating_duration_since(step.start) >= STEP);
        if is_new_minute {
            self.steps.push_back(Step {
                start: now.at,
                counts: [0; SORTS],
            });
        }
        for charge in charges {
            let index = charge.sort.index();
            let count = self
                .steps
                .back_mut()
                .and_then(|step| step.counts.get_mut(index));
            if let Some(count) = count {
                *count = count.saturating_add(charge.amount);
            }
            if let Some(leased) = self.leased.get_mut(index) {
                leased.take(charge.amount);
            }
        }
    }
}

impl Step {
    fn is_over(&self, now: Moment) -> bool {
        now.at.saturating_duration_since(self.start) >= HOUR + STEP
    }
}

impl Leased {
    /// Units that are left below a budget's end.
    fn left(&self, per_hour: u64) -> u64 {
        let left = |slice: &Range<u64>| slice.end.min(per_hour).saturating_sub(slice.start);
        self.slices.iter().map(left).fold(0, u64::saturating_add)
    }

    /// Uses units up, the first ones first.
    fn take(&mut self, mut amount: u64) {
        while amount > 0
            && let Some(first) = self.slices.front_mut()
        {
            let units = amount.min(first.end.saturating_sub(first.start));
            first.start = first.start.saturating_add(units);
            amount -= units;
            if first.start >= first.end {
                self.slices.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOKUPS: Charge = Charge {
        sort: Sort::Lookups,
        amount: 1,
        per_hour: 2,
    };

    /// Minutes after the start, all in one hour by the clock unless another is named.
    fn after(start: Instant, minutes: u64, hour: u64) -> Moment {
        Moment {
            at: start + Duration::from_secs(60 * minutes),
            hour,
        }
    }

    /// Spends, with a store that gives every slice.
    fn spend(spending: &Spending, who: &str, charges: &[Charge], now: Moment) -> Spent {
        let who = Arc::from(who);
        loop {
            match spending.spend(&who, charges, now) {
                Spent::Lease(sort, slice) => {
                    spending.leased(&who, (sort, now.hour), slice, Lease::Ours);
                }
                other => return other,
            }
        }
    }

    #[test]
    fn a_budget_is_of_one_principal_and_comes_back_after_the_hour() {
        let spending = Spending::default();
        let start = Instant::now();
        let check = |who, minutes, hour, is_counted: bool| {
            let expected = if is_counted {
                Spent::Counted
            } else {
                Spent::OverBudget(LOOKUPS)
            };
            let spent = spend(&spending, who, &[LOOKUPS], after(start, minutes, hour));
            assert_eq!(spent, expected, "{who} after {minutes} minutes");
        };
        check("ann", 0, 7, true);
        check("ann", 30, 7, true);
        check("ann", 45, 7, false);
        check("bob", 45, 7, true);
        // The clock's hour is another one; the last sixty minutes are not over.
        check("ann", 46, 8, false);
        check("ann", 60, 8, false);
        check("ann", 61, 8, true);
        check("ann", 62, 8, false);
        check("ann", 91, 8, true);
        check("ann", 121, 9, false);
        check("ann", 122, 9, true);
    }

    #[test]
    fn sorts_are_counted_apart_and_together_or_not_at_all() {
        let spending = Spending::default();
        let now = after(Instant::now(), 0, 7);
        let charge = |sort, amount| Charge {
            sort,
            amount,
            per_hour: 10,
        };
        let (rows, bytes) = (charge(Sort::Rows, 1), charge(Sort::Bytes, 6));
        let spend = |charges: &[Charge]| spend(&spending, "ann", charges, now);
        assert_eq!(spend(&[rows, bytes]), Spent::Counted);
        assert_eq!(spend(&[rows, bytes]), Spent::OverBudget(bytes));
        assert_eq!(spend(&[charge(Sort::Rows, 9)]), Spent::Counted);
        assert_eq!(spend(&[rows]), Spent::OverBudget(rows));
        assert_eq!(
            spend(&[charge(Sort::Bytes, 4)]),
            Spent::Counted,
            "what was refused was not counted"
        );
    }

    #[test]
    fn slices_are_leased_as_they_are_needed_and_others_slices_are_gone() {
        let spending = Spending::default();
        let (who, now): (Arc<str>, _) = (Arc::from("ann"), after(Instant::now(), 0, 7));
        let rows = |amount, per_hour| Charge {
            sort: Sort::Rows,
            amount,
            per_hour,
        };
        let check = |charge: Charge, expected: Spent| {
            assert_eq!(spending.spend(&who, &[charge], now), expected, "{charge:?}");
        };
        let leased = |slice, lease| spending.leased(&who, (Sort::Rows, 7), slice, lease);
        check(rows(1, 160), Spent::Lease(Sort::Rows, 0..10));
        leased(0..10, Lease::Taken { end: 150 });
        check(rows(1, 160), Spent::Lease(Sort::Rows, 150..160));
        leased(150..160, Lease::Ours);
        check(rows(8, 160), Spent::Counted);
        // Two are left, beyond the end of a smaller budget; a larger one may lease more.
        check(rows(1, 20), Spent::OverBudget(rows(1, 20)));
        check(rows(3, 160), Spent::OverBudget(rows(3, 160)));
        check(rows(3, 1_600), Spent::Lease(Sort::Rows, 160..260));
        check(rows(2, 160), Spent::Counted);
        // A row may be larger than a slice.
        check(rows(500, 1_600), Spent::Lease(Sort::Rows, 160..660));
        assert_eq!(
            spending.look(&who, &[rows(500, 1_600)], now),
            Spent::Counted
        );
        // An answer that comes after its hour is for nothing.
        let next = Moment { hour: 8, ..now };
        assert_eq!(
            spending.spend(&who, &[rows(1, 160)], next),
            Spent::Lease(Sort::Rows, 0..10)
        );
        leased(160..660, Lease::Ours);
        assert_eq!(
            spending.spend(&who, &[rows(1, 160)], next),
            Spent::Lease(Sort::Rows, 0..10)
        );
    }
}

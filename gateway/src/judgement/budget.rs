//! Budgets of an hour: lookups of masked columns, rows and bytes that a principal may get.
//!
//! Must never let a lookup or a row through that was not counted; what can't be counted is refused.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use provost_engine::{
    facts::Facts,
    verdict::{Decision, Limits, Reason},
};
use provost_evidence::{lease::Budget, record::Phase};

use super::{
    Bench, SessionJudge, Step,
    obligations::may_give_rows,
    spending::{Charge, Moment, Sort, Spent},
};
use crate::judge::Refused;

/// Slices that are asked for before one is had; others took so many first that something is wrong.
const TRIES_MAX: usize = 1_000;

/// Why something was not counted.
#[derive(Debug)]
enum Uncounted {
    /// The budget is spent.
    Over(Charge),
    /// Too many principals spend at once.
    NoRoom,
    /// No slice could be leased.
    NoLease,
}

impl Bench {
    /// Counts what a principal spends; leases what it takes for that.
    async fn spend(&self, principal: &Arc<str>, charges: &[Charge]) -> Result<(), Uncounted> {
        for _ in 0..TRIES_MAX {
            let now = moment();
            let (sort, slice) = match self.spending.spend(principal, charges, now) {
                Spent::Counted => return Ok(()),
                Spent::OverBudget(charge) => return Err(Uncounted::Over(charge)),
                Spent::NoRoom => return Err(Uncounted::NoRoom),
                Spent::Lease(sort, slice) => (sort, slice),
            };
            let budget = Budget {
                principal,
                sort: sort.name(),
                hour: now.hour,
            };
            match self.leases.take(budget, &slice).await {
                Ok(lease) => self
                    .spending
                    .leased(principal, (sort, now.hour), slice, lease),
                Err(error) => {
                    tracing::error!(%error, "a slice of an hourly budget could not be leased: what needs it is refused");
                    return Err(Uncounted::NoLease);
                }
            }
        }
        Err(Uncounted::NoLease)
    }
}

fn moment() -> Moment {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Moment {
        at: Instant::now(),
        hour: since.as_secs() / 3_600,
    }
}

/// What rows and bytes are charged, as far as they are limited.
fn charges(limits: &Limits, rows: u64, bytes: u64) -> Vec<Charge> {
    let charge = |sort, amount, per_hour: Option<u64>| {
        per_hour.map(|per_hour| Charge {
            sort,
            amount,
            per_hour,
        })
    };
    [
        charge(Sort::Rows, rows, limits.rows_per_hour),
        charge(Sort::Bytes, bytes, limits.bytes_per_hour),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Uncounted {
    fn words(&self) -> String {
        match self {
            Self::Over(Charge {
                sort: Sort::Lookups,
                per_hour,
                ..
            }) => format!(
                "masked columns may be looked up {per_hour} times an hour, and this principal has done so"
            ),
            Self::Over(Charge {
                sort: Sort::Rows,
                per_hour,
                ..
            }) => format!("results are limited to {per_hour} rows an hour by policy"),
            Self::Over(Charge {
                sort: Sort::Bytes,
                per_hour,
                ..
            }) => format!("results are limited to {per_hour} bytes an hour by policy"),
            Self::NoRoom => "too many principals have budgets at once for this gateway".to_owned(),
            Self::NoLease => {
                "an hourly budget can't be counted, since the gateway's store does not answer"
                    .to_owned()
            }
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Over(Charge {
                sort: Sort::Lookups,
                ..
            }) => "wait, or leave out the masked column",
            Self::Over(_) | Self::NoRoom => "wait, or ask for less",
            Self::NoLease => "tell the gateway's operator",
        }
    }

    fn reason(&self) -> Reason {
        Reason {
            rule: None,
            message: self.words().into(),
            hint: Some(self.hint().into()),
        }
    }

    /// The end of a result whose next row is not counted.
    fn end(&self) -> Refused {
        Refused {
            sqlstate: "54000",
            message: self.words(),
            detail: Some(
                "the budget is one of all of this principal's results within an hour: what came before was shown, the rest is not; if the statement changed data, the change was made"
                    .to_owned(),
            ),
            hint: Some(self.hint().to_owned()),
            position: None,
        }
    }
}

impl SessionJudge {
    /// Takes one row of so many bytes from the principal's budgets.
    pub(super) async fn take_row(&self, limits: &Limits, bytes: u64) -> Result<(), Refused> {
        let principal = &self.session.principal.id;
        let spent = self
            .bench
            .spend(principal, &charges(limits, 1, bytes))
            .await;
        spent.map_err(|uncounted| uncounted.end())
    }

    /// Counts the lookups of a statement that is about to run (ruling 2); the refusal of one whose budget, of lookups or of rows,
    /// is spent.
    pub(super) async fn over_budget(
        &self,
        step: &Step<'_>,
        facts: &Facts,
        decision: &Decision,
    ) -> Option<Reason> {
        // A Parse looks nothing up and gives no row: its Bind does.
        match step.phase {
            Phase::Prepare => return None,
            Phase::Simple | Phase::Execute | Phase::PrepareExecute => {}
        }
        let principal = &self.session.principal.id;
        if may_give_rows(facts) {
            // One that has no row left is refused at once; its rows are counted as they come.
            let row = charges(&decision.limits, 1, 1);
            match self.bench.spending.look(principal, &row, moment()) {
                Spent::OverBudget(charge) => return Some(Uncounted::Over(charge).reason()),
                Spent::NoRoom => return Some(Uncounted::NoRoom.reason()),
                Spent::Counted | Spent::Lease(..) => {}
            }
        }
        let per_hour = decision.probes.iter().map(|probe| probe.per_hour).min()?;
        let lookup = Charge {
            sort: Sort::Lookups,
            amount: 1,
            per_hour: u64::from(per_hour),
        };
        let spent = Box::pin(self.bench.spend(principal, &[lookup])).await;
        spent.err().map(|uncounted| uncounted.reason())
    }
}

//! The decision: a verdict with its masks, reasons and controls. A `match` on a verdict has no `_` arm.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

pub use crate::transform::Transform;

/// The verdict. The order is the join's: deny beats hold beats allow. `break-glass` lies between the last two, and is decided when all
/// else has joined.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The statement may run, under the decision's masks.
    Allow,
    /// The statement may run, under the decision's masks, only because the session states why it must.
    // No module says so.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    BreakGlass,
    /// The statement waits for approval.
    Hold,
    /// The statement is refused.
    Deny,
}

impl Verdict {
    /// The name in evidence and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::BreakGlass => "break-glass",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

/// Names the bundle (policy set) that decided: BLAKE3 or SHA-256 of its canonical content, lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BundleDigest(pub Arc<str>);

/// A mask on one column of the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputMask {
    /// Index of the output column, from 0.
    pub output: usize,
    /// What its values go through.
    pub transform: Transform,
    /// The rules that ask for it.
    pub rules: Vec<Arc<str>>,
    /// The class that the source columns are in.
    pub class: Arc<str>,
    /// The masked source columns, `schema.relation.column`.
    pub sources: Vec<Arc<str>>,
    /// Control ids such as `nist-800-53:AC-3(11)`.
    pub controls: Vec<Arc<str>>,
}

/// Why a statement was refused: one line each, lower-case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// The rule that speaks, if one does.
    pub rule: Option<Arc<str>>,
    /// What is wrong.
    pub message: Arc<str>,
    /// What would pass, where it is known.
    pub hint: Option<Arc<str>>,
}

/// Names a rule within one policy: its place among the rules sorted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u32);

/// Rules of one policy, sorted, each once. [`crate::graph::Policy::names`] and [`crate::graph::Policy::controls`] read it.
pub type RuleIds = SmallVec<[RuleId; RULES_INLINE]>;

/// How many rules a decision names without allocating.
pub const RULES_INLINE: usize = 16;

/// Limits on one statement, and budgets over an hour. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Limits {
    /// Rows of the statement's result.
    pub rows: Option<u64>,
    /// Bytes of the statement's result, as the client receives them.
    pub bytes: Option<u64>,
    /// Rows inserted, updated or deleted by the statement.
    pub affected_rows: Option<u64>,
    /// The statement's time, in milliseconds: from when it was sent and every statement before it had ended, to its end.
    pub time_ms: Option<u64>,
    /// Rows that all of the principal's statements may return within an hour.
    pub rows_per_hour: Option<u64>,
    /// Bytes that all of the principal's statements may return within an hour.
    pub bytes_per_hour: Option<u64>,
}

impl Limits {
    /// The smaller of each. Commutative, associative, idempotent.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let smaller = |left: Option<u64>, right: Option<u64>| match (left, right) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (one, None) | (None, one) => one,
        };
        Self {
            rows: smaller(self.rows, other.rows),
            bytes: smaller(self.bytes, other.bytes),
            affected_rows: smaller(self.affected_rows, other.affected_rows),
            time_ms: smaller(self.time_ms, other.time_ms),
            rows_per_hour: smaller(self.rows_per_hour, other.rows_per_hour),
            bytes_per_hour: smaller(self.bytes_per_hour, other.bytes_per_hour),
        }
    }

    /// Whether there is no limit at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// How fully a statement is recorded. The order is the join's: fuller is greater.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Recording {
    /// The statement, its rows and bytes counted.
    #[default]
    Statement,
    /// And a digest of what the client received.
    Digest,
    /// And the masked rows themselves.
    Results,
}

impl Recording {
    /// The name in the policy language and in evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Digest => "digest",
            Self::Results => "results",
        }
    }
}

/// People who must approve: `2 of dbas within 15 min`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Approval {
    /// The group's name in the policy.
    pub group: Arc<str>,
    /// The issuer's names of the group, exact bytes, sorted, each once.
    pub members: Vec<Arc<str>>,
    /// How many distinct people.
    pub count: u16,
    /// From the request, in milliseconds.
    pub within_ms: u64,
}

/// Joins what several hold rules ask for: every group must approve; of one group the larger number within the shorter
/// time. Sorted by group. Commutative, associative, idempotent.
#[must_use]
pub fn join_approvals(left: &[Approval], right: &[Approval]) -> Vec<Approval> {
    type Who<'a> = (&'a Arc<str>, &'a [Arc<str>]);
    let mut joined = BTreeMap::<Who<'_>, (u16, u64)>::new();
    for approval in left.iter().chain(right) {
        let (count, within_ms) = joined
            .entry((&approval.group, &approval.members))
            .or_insert((approval.count, approval.within_ms));
        *count = approval.count.max(*count);
        *within_ms = approval.within_ms.min(*within_ms);
    }
    joined
        .into_iter()
        .map(|((group, members), (count, within_ms))| Approval {
            group: Arc::clone(group),
            members: members.to_vec(),
            count,
            within_ms,
        })
        .collect()
}

/// What becomes of an open transaction while a statement in it is held (ruling 17). The join is the greater: all rules
/// must agree to keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum HeldTransaction {
    /// It stays open and keeps its locks.
    Keep,
    /// The statement fails with the approval's id, and the transaction with it.
    #[default]
    Fail,
}

/// A lookup of a masked column, to be counted against a budget (ruling 2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Probe {
    /// The column, `schema.relation.column`.
    pub column: Arc<str>,
    /// How many the principal may run in an hour.
    pub per_hour: u32,
}

/// Dear facts that a decision hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Needs {
    /// The values of parameters, which come with a Bind.
    pub values: bool,
    /// Whether this shape of statement is new.
    pub novel: bool,
    /// The planner's estimate.
    pub estimated_rows: bool,
}

impl Needs {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        !self.values && !self.novel && !self.estimated_rows
    }
}

/// What `break-glass` rules have to do with a decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Glass {
    /// The rules without which it would be refused or held: whatever the verdict, a statement that runs by them is told of loudly.
    pub broken: RuleIds,
    /// The statement is held, and would not be if the session stated why it must run.
    pub offered: bool,
}

/// What rules (or a whole set) that only observe would have made of a statement (ruling 26).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The verdict, had every rule been enforced.
    pub verdict: Verdict,
    /// The rules that would have determined it.
    pub rules: RuleIds,
    /// Reasons, had it been a deny.
    pub reasons: Vec<Reason>,
}

/// A decision on one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Allow, break-glass, hold or deny. Deny as long as a rule that is enforced needs to know something more ([`Decision::needs`]).
    pub verdict: Verdict,
    /// Every rule that determined it: for a deny those that refused, else those that covered or held an access, masked a
    /// column, limited or recorded the statement. Empty where no rule speaks (nothing covered an access; a COMMIT).
    pub rules: RuleIds,
    /// Masks on the result's columns, by output index, at most one each.
    pub masks: Vec<OutputMask>,
    /// Whether any mask of the policy can bind this principal on this target (ruling 1).
    pub mask_bound: bool,
    /// Limits on the statement.
    pub limits: Limits,
    /// How fully it is recorded.
    pub recording: Recording,
    /// Who must approve a held statement; empty for any other.
    pub approvals: Vec<Approval>,
    /// What becomes of an open transaction while the statement is held.
    pub held_transaction: HeldTransaction,
    /// What `break-glass` rules have to do with it.
    pub glass: Glass,
    /// Lookups to be counted; over budget they are refused.
    pub probes: Vec<Probe>,
    /// A masked column is reached through views: before the statement is let through, [`crate::facts::Facts::views`] and all
    /// relations of the facts must be locked and found to be what analysis read (ruling 4).
    pub rests_on_views: bool,
    /// Reasons of a deny, and where glass is broken why: the stated reason with the rule's own. Empty else.
    pub reasons: Vec<Reason>,
    /// Dear facts to fetch before deciding again. Whoever can't fetch them keeps the verdict; what only observing rules
    /// need never makes it a deny.
    pub needs: Needs,
    /// What observing rules would have made of it, where any spoke.
    pub observed: Option<Box<Observed>>,
}

impl Decision {
    /// A deny that no rule speaks in.
    #[must_use]
    pub fn deny(reasons: Vec<Reason>, mask_bound: bool) -> Self {
        Self {
            verdict: Verdict::Deny,
            rules: RuleIds::new(),
            masks: Vec::new(),
            mask_bound,
            limits: Limits::default(),
            recording: Recording::default(),
            approvals: Vec::new(),
            held_transaction: HeldTransaction::default(),
            glass: Glass::default(),
            probes: Vec::new(),
            rests_on_views: false,
            reasons,
            needs: Needs::default(),
            observed: None,
        }
    }
}

//! What a module answers: the verdict shape, typed. Never lets a shape through that it does not understand: an unknown key,
//! a wrong type or a contradiction is an error, and an error denies.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

use crate::{
    graph::condition::Condition,
    graph::rule::{Hold, Mask, Probing},
    transform::{Transform, TransformError},
    verdict::{Approval, HeldTransaction, Limits, Recording, Verdict},
};

/// What a module says of a statement. Everything is optional, and what is not said adds nothing; several verdicts join.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "decision")]
pub struct ModuleVerdict {
    /// The author's name for it; reasons carry it.
    pub rule: Option<Arc<str>>,
    /// `allow` covers accesses, `hold` covers them once people have approved, `deny` refuses the statement.
    pub verdict: Option<Verdict>,
    /// The accesses that `allow` or `hold` covers, as places in `input.statement.accesses`. Without it: all but those whose
    /// operation is `opaque`.
    pub accesses: Option<BTreeSet<usize>>,
    /// The words to the client, with `deny`.
    pub because: Option<Arc<str>>,
    /// Who must approve, with `hold`; every one of these must be had.
    pub approvals: Vec<ModuleApproval>,
    /// With `hold`: an open transaction is kept open, with its locks.
    pub keep_transaction: bool,
    /// Masks on classes of columns. Only for a module that reads nothing of the statement or its circumstances.
    pub masks: Vec<ModuleMask>,
    /// Masks on single columns of the result.
    pub output_masks: Vec<ModuleOutputMask>,
    /// Limits on the statement.
    pub limits: ModuleLimits,
    /// How fully it is recorded.
    pub recording: Option<Recording>,
}

/// People who must approve.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModuleApproval {
    /// What the group is called in messages.
    pub group: Arc<str>,
    /// The issuer's names of the group, exactly.
    pub members: BTreeSet<Arc<str>>,
    /// How many distinct people.
    pub count: u16,
    /// From the request, in milliseconds.
    pub within_ms: u64,
}

/// A mask on classes, as a `mask` rule has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModuleMask {
    /// The classes' names in the policy set.
    pub classes: BTreeSet<Arc<str>>,
    /// Transforms for columns by name, in the language's words.
    #[serde(default)]
    pub with: BTreeMap<Arc<str>, WrittenTransform>,
    /// The transform for the others; `redact` where it is not said.
    #[serde(default)]
    pub otherwise: WrittenTransform,
    /// What happens when a masked column is only used in a predicate.
    #[serde(default)]
    pub probing: ModuleProbing,
}

/// A mask on one column of the result. It says nothing of the columns that the value comes from: whoever may use them in
/// predicates still may.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModuleOutputMask {
    /// Its place in `input.statement.outputs`.
    pub output: usize,
    /// What its values go through.
    pub transform: WrittenTransform,
}

/// A transform in the policy language's words: `last 4`, `keep domain`, `constant "T"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct WrittenTransform(pub Transform);

impl Default for WrittenTransform {
    fn default() -> Self {
        Self(Transform::Redact)
    }
}

impl TryFrom<String> for WrittenTransform {
    type Error = TransformError;

    fn try_from(text: String) -> Result<Self, TransformError> {
        text.parse().map(Self)
    }
}

/// How a masked column may be probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleProbing {
    /// The statement is refused.
    #[default]
    Deny,
    /// It is let through.
    Allow,
}

/// Limits on one statement, and budgets over an hour. What is absent is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModuleLimits {
    /// Rows of the result.
    pub rows: Option<u64>,
    /// Bytes of the result, as the client receives them.
    pub bytes: Option<u64>,
    /// Rows inserted, updated or deleted.
    pub affected_rows: Option<u64>,
    /// The statement's time, in milliseconds.
    pub time_ms: Option<u64>,
    /// Rows that all of the principal's statements may return within an hour.
    pub rows_per_hour: Option<u64>,
    /// Bytes that all of the principal's statements may return within an hour.
    pub bytes_per_hour: Option<u64>,
}

impl From<ModuleLimits> for Limits {
    fn from(limits: ModuleLimits) -> Self {
        let ModuleLimits {
            rows,
            bytes,
            affected_rows,
            time_ms,
            rows_per_hour,
            bytes_per_hour,
        } = limits;
        Self {
            rows,
            bytes,
            affected_rows,
            time_ms,
            rows_per_hour,
            bytes_per_hour,
        }
    }
}

/// What is wrong with a verdict, beyond the types of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerdictError {
    /// `hold` without anybody to ask.
    #[error("a `hold` says in `approvals` who must approve")]
    NobodyApproves,
    /// An approval that nobody can give, or that nobody need give.
    #[error("the approval of `{group}` needs members, a count and a time, all above zero")]
    Approval {
        /// The group.
        group: Arc<str>,
    },
    /// Approvals or `keep_transaction` without `hold`.
    #[error("`{key}` goes with `hold` only")]
    NotHeld {
        /// The key.
        key: &'static str,
    },
    /// `accesses` where nothing is covered.
    #[error("`accesses` goes with `allow` and `hold` only: a `deny` refuses the whole statement")]
    NothingCovered,
    /// A reason without a refusal.
    #[error("`because` goes with `deny` only")]
    NoRefusal,
    /// A mask without a class.
    #[error("a mask names at least one class")]
    NoClass,
    /// A class that the policy set does not have.
    #[error("the policy set has no class `{class}`")]
    UnknownClass {
        /// The class.
        class: Arc<str>,
    },
    /// A mask on a class that came and went with the statement could be got round.
    #[error(
        "`masks` must not depend on the statement: return them from a module that reads `input.principal`, `input.session` and `input.time` only"
    )]
    MaskOfStatement,
    /// A mask that the module's text did not announce.
    #[error(
        "`{key}` is not written in the module's text, so that nobody knew that it masks: write the key out"
    )]
    Unannounced {
        /// The key.
        key: &'static str,
    },
    /// Only a rule may let through what the session states a reason for.
    #[error("a module can't break glass: write a `break-glass` rule")]
    Glass,
    /// A place beyond the list.
    #[error("`{key}` names place {place}, and there are {count}")]
    Place {
        /// The key.
        key: &'static str,
        /// The place, from 0.
        place: usize,
        /// How many there are.
        count: usize,
    },
}

impl ModuleVerdict {
    /// What is wrong with it whatever the statement.
    pub(super) fn check(&self) -> Result<(), VerdictError> {
        match self.verdict {
            Some(Verdict::Hold) if self.approvals.is_empty() => {
                return Err(VerdictError::NobodyApproves);
            }
            Some(Verdict::Hold) => {}
            Some(Verdict::BreakGlass) => return Err(VerdictError::Glass),
            Some(Verdict::Allow | Verdict::Deny) | None => {
                if !self.approvals.is_empty() {
                    return Err(VerdictError::NotHeld { key: "approvals" });
                }
                if self.keep_transaction {
                    return Err(VerdictError::NotHeld {
                        key: "keep_transaction",
                    });
                }
            }
        }
        let covers = matches!(self.verdict, Some(Verdict::Allow | Verdict::Hold));
        if self.accesses.is_some() && !covers {
            return Err(VerdictError::NothingCovered);
        }
        if self.because.is_some() && self.verdict != Some(Verdict::Deny) {
            return Err(VerdictError::NoRefusal);
        }
        if self.masks.iter().any(|mask| mask.classes.is_empty()) {
            return Err(VerdictError::NoClass);
        }
        let impossible = |approval: &&ModuleApproval| {
            approval.members.is_empty() || approval.count == 0 || approval.within_ms == 0
        };
        match self.approvals.iter().find(impossible) {
            Some(approval) => Err(VerdictError::Approval {
                group: Arc::clone(&approval.group),
            }),
            None => Ok(()),
        }
    }

    /// Who must approve, as a hold rule has it.
    pub(super) fn hold(&self) -> Hold {
        Hold {
            approvals: self
                .approvals
                .iter()
                .map(|approval| Approval {
                    group: Arc::clone(&approval.group),
                    members: approval.members.iter().cloned().collect(),
                    count: approval.count,
                    within_ms: approval.within_ms,
                })
                .collect(),
            transaction: if self.keep_transaction {
                HeldTransaction::Keep
            } else {
                HeldTransaction::Fail
            },
        }
    }
}

impl ModuleMask {
    /// As a mask rule has it; it holds for the session whatever the statement.
    pub(super) fn to_mask(&self) -> Mask {
        Mask {
            classes: self.classes.iter().cloned().collect(),
            transforms: self
                .with
                .iter()
                .map(|(column, transform)| (Arc::from(column.to_lowercase()), transform.0.clone()))
                .collect(),
            otherwise: self.otherwise.0.clone(),
            probing: match self.probing {
                ModuleProbing::Deny => Probing::Deny,
                ModuleProbing::Allow => Probing::Allow,
            },
            condition: Condition::Always,
        }
    }
}

//! The decision: a verdict with its masks, reasons and controls. A `match` on a verdict has no `_` arm.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use crate::transform::Transform;

/// The verdict. The order is the join's: deny beats hold beats allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The statement may run, under the decision's masks.
    Allow,
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

/// A decision on one statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Allow, hold or deny.
    pub verdict: Verdict,
    /// Every rule that determined it, sorted by name, each once: for a deny those that refused, else those that covered
    /// an access or masked a column. Empty where no rule speaks (nothing covered an access; a COMMIT).
    pub rules: Vec<Arc<str>>,
    /// The union of the controls those rules name, sorted, each once.
    pub controls: Vec<Arc<str>>,
    /// Masks on the result's columns, by output index, at most one each.
    pub masks: Vec<OutputMask>,
    /// Whether any mask of the policy can bind this principal on this target (ruling 1).
    pub mask_bound: bool,
    /// Reasons of a deny; empty else.
    pub reasons: Vec<Reason>,
}

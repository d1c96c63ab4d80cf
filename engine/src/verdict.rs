//! The decision: a verdict with its masks, reasons and controls. A `match` on a verdict has no `_` arm.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

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

/// A mask's transform.
///
/// They form a lattice by how little they tell: [`Transform::Null`] hides even whether there is a value, then comes
/// [`Transform::Redact`], then everything else; `last N` and `first N` are ordered among themselves by N (fewer
/// characters are stronger), and no other two are comparable. [`Transform::join`] gives the weakest that hides at least
/// as much as both, so incomparable ones join to redact.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// A fixed text where the type can carry one, NULL where it can't.
    Redact,
    /// NULL.
    Null,
    /// The last N characters behind a fixed number of `*`, so that the length does not show.
    Last(u16),
    /// The first N characters before a fixed number of `*`, so that the length does not show.
    First(u16),
    /// The part of an e-mail address before `@` becomes `***`.
    KeepDomain,
    /// A constant text.
    Constant(Arc<str>),
}

impl Transform {
    /// The weakest transform that hides at least what both hide. Commutative, associative, idempotent.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => Self::Null,
            (Self::Last(left), Self::Last(right)) => Self::Last(*left.min(right)),
            (Self::First(left), Self::First(right)) => Self::First(*left.min(right)),
            (left, right) if left == right => left.clone(),
            _ => Self::Redact,
        }
    }
}

/// In the policy language's words.
impl fmt::Display for Transform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redact => formatter.write_str("redact"),
            Self::Null => formatter.write_str("null"),
            Self::Last(count) => write!(formatter, "last {count}"),
            Self::First(count) => write!(formatter, "first {count}"),
            Self::KeepDomain => formatter.write_str("keep domain"),
            Self::Constant(text) => write!(formatter, "constant {text:?}"),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn transform() -> impl Strategy<Value = Transform> {
        prop_oneof![
            Just(Transform::Redact),
            Just(Transform::Null),
            (0_u16..4).prop_map(Transform::Last),
            (0_u16..4).prop_map(Transform::First),
            Just(Transform::KeepDomain),
            prop_oneof![Just("x"), Just("y")].prop_map(|text| Transform::Constant(text.into())),
        ]
    }

    proptest! {
        #[test]
        fn join_is_a_semilattice(a in transform(), b in transform(), c in transform()) {
            prop_assert_eq!(a.join(&a), a.clone());
            prop_assert_eq!(a.join(&b), b.join(&a));
            prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
            prop_assert_eq!(a.join(&Transform::Null), Transform::Null);
        }
    }

    #[test]
    fn joins() {
        for (left, right, expected) in [
            (Transform::Last(4), Transform::Last(2), Transform::Last(2)),
            (Transform::Last(4), Transform::First(4), Transform::Redact),
            (Transform::KeepDomain, Transform::Last(4), Transform::Redact),
            (
                Transform::Constant("a".into()),
                Transform::Constant("b".into()),
                Transform::Redact,
            ),
            (Transform::Redact, Transform::Last(4), Transform::Redact),
            (Transform::Redact, Transform::Null, Transform::Null),
        ] {
            assert_eq!(left.join(&right), expected, "{left} and {right}");
        }
    }
}

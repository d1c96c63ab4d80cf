//! What deciding found, gathered in any order and put in order at the end. Any refusal makes the verdict deny.

use std::{collections::BTreeSet, sync::Arc};

use super::{Policy, SessionView};
use crate::verdict::{Decision, OutputMask, Reason, Verdict};

/// How many reasons a decision carries; further ones are counted in one last reason.
pub(super) const REASONS_MAX: usize = 16;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    reasons: Vec<Reason>,
    /// Reasons beyond [`REASONS_MAX`].
    reasons_left_out: usize,
    /// Whether anything refused.
    refused: bool,
    /// Rules that refused, by index.
    refusing: BTreeSet<usize>,
    /// Rules that covered an access or masked a column, by index.
    applied: BTreeSet<usize>,
    masks: Vec<OutputMask>,
}

impl Findings {
    /// Something refuses; `rule` and its name if a rule does.
    pub(super) fn refuse(
        &mut self,
        rule: Option<(usize, &Arc<str>)>,
        message: &str,
        hint: Option<&str>,
    ) {
        self.refused = true;
        self.refusing.extend(rule.map(|(index, _)| index));
        let reason = Reason {
            rule: rule.map(|(_, name)| Arc::clone(name)),
            message: Arc::from(message),
            hint: hint.map(Arc::from),
        };
        if self.reasons.contains(&reason) {
            return;
        }
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason);
        } else {
            self.reasons_left_out += 1;
        }
    }

    /// Further rules that a refusal rests on.
    pub(super) fn refusal_rests_on(&mut self, rules: impl Iterator<Item = usize>) {
        self.refusing.extend(rules);
    }

    /// A rule covered an access.
    pub(super) fn applied(&mut self, rule: usize) {
        self.applied.insert(rule);
    }

    /// A column of the result is masked.
    pub(super) fn mask(&mut self, mask: OutputMask) {
        self.masks.push(mask);
    }

    pub(super) fn into_decision(mut self, policy: &Policy, view: &SessionView) -> Decision {
        if self.reasons_left_out > 0 {
            self.reasons.push(Reason {
                rule: None,
                message: Arc::from(format!("and {} more", self.reasons_left_out)),
                hint: None,
            });
        }
        let verdict = if self.refused {
            Verdict::Deny
        } else {
            Verdict::Allow
        };
        let determining = match verdict {
            Verdict::Deny => self.refusing,
            Verdict::Allow | Verdict::Hold => self.applied,
        };
        let rules: Vec<_> = determining
            .iter()
            .filter_map(|&index| policy.rules.get(index))
            .collect();
        let controls: BTreeSet<&Arc<str>> = rules.iter().flat_map(|rule| &rule.controls).collect();
        Decision {
            verdict,
            controls: controls.into_iter().cloned().collect(),
            rules: rules
                .into_iter()
                .map(|rule| Arc::clone(&rule.name))
                .collect(),
            masks: if self.refused { Vec::new() } else { self.masks },
            mask_bound: policy.is_mask_bound(view),
            reasons: self.reasons,
        }
    }
}

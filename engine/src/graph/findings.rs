//! What deciding found, gathered in any order and put in order at the end. Any refusal makes the verdict deny.

use std::{collections::BTreeSet, sync::Arc};

use super::{condition::DearFact, module, rule::Hold};
use crate::facts::Operation;
use crate::verdict::{
    Approval, Decision, Glass, HeldTransaction, Limits, Needs, OutputMask, Probe, Reason,
    Recording, RuleId, RuleIds, Verdict, join_approvals,
};

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
    applied: RuleIds,
    masks: Vec<OutputMask>,
    held: bool,
    /// Whether something is held that no stated reason would let through.
    held_for_good: bool,
    /// Rules by which the stated reason let something through.
    broken: RuleIds,
    /// Why.
    stated: Vec<Reason>,
    approvals: Vec<Approval>,
    held_transaction: Option<HeldTransaction>,
    limits: Limits,
    recording: Recording,
    probes: BTreeSet<Probe>,
    rests_on_views: bool,
    needs: Needs,
    /// Accesses that modules covered, by place.
    covered: BTreeSet<usize>,
    /// Whether a module covered all accesses that need not be named.
    covers_all: bool,
    /// Whether a module waits for a dear fact: what it will cover is not known.
    covers_pending: bool,
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
        self.apply(rule);
    }

    fn apply(&mut self, rule: usize) {
        let Ok(rule) = u32::try_from(rule).map(RuleId) else {
            return;
        };
        // Rules come nearly in order.
        match self.applied.last() {
            Some(&last) if last == rule => {}
            Some(&last) if last > rule => {
                if let Err(place) = self.applied.binary_search(&rule) {
                    self.applied.insert(place, rule);
                }
            }
            Some(_) | None => self.applied.push(rule),
        }
    }

    /// A module covers the accesses at these places, or all that need not be named.
    pub(super) fn cover(&mut self, places: Option<&BTreeSet<usize>>) {
        match places {
            Some(places) => self.covered.extend(places),
            None => self.covers_all = true,
        }
    }

    /// A module can't be asked before a dear fact is known.
    pub(super) fn cover_pending(&mut self) {
        self.covers_pending = true;
    }

    /// Whether modules cover, or may come to cover, the access at that place.
    pub(super) fn covers(&self, place: usize, operation: Operation) -> bool {
        self.covers_pending
            || self.covered.contains(&place)
            || (self.covers_all && !module::must_be_named(operation))
    }

    /// A column of the result is masked. Several masks on one column join.
    pub(super) fn mask(&mut self, mask: OutputMask) {
        let Some(first) = self
            .masks
            .iter_mut()
            .find(|first| first.output == mask.output)
        else {
            self.masks.push(mask);
            return;
        };
        let union = |left: &mut Vec<Arc<str>>, right: Vec<Arc<str>>| {
            let all: BTreeSet<Arc<str>> = left.drain(..).chain(right).collect();
            left.extend(all);
        };
        first.transform = first.transform.join(&mask.transform);
        union(&mut first.rules, mask.rules);
        union(&mut first.sources, mask.sources);
        union(&mut first.controls, mask.controls);
        let classes: BTreeSet<&str> = first
            .class
            .split(", ")
            .chain(mask.class.split(", "))
            .filter(|class| !class.is_empty())
            .collect();
        first.class = Arc::from(classes.into_iter().collect::<Vec<_>>().join(", "));
    }

    /// A rule holds the statement.
    pub(super) fn hold(&mut self, rule: usize, hold: &Hold) {
        self.apply(rule);
        self.held = true;
        self.approvals = join_approvals(&self.approvals, &hold.approvals);
        self.held_transaction = self.held_transaction.max(Some(hold.transaction));
    }

    /// Nothing but approval lets through what is held.
    pub(super) const fn hold_for_good(&mut self) {
        self.held_for_good = true;
    }

    /// The stated reason lets something through, by this rule.
    pub(super) fn break_glass(&mut self, rule: usize, name: &Arc<str>, why: &str) {
        self.apply(rule);
        let Ok(id) = u32::try_from(rule).map(RuleId) else {
            return;
        };
        if let Err(place) = self.broken.binary_search(&id) {
            self.broken.insert(place, id);
            let reason = Reason {
                rule: Some(Arc::clone(name)),
                message: Arc::from(why),
                hint: None,
            };
            self.stated.push(reason);
        }
    }

    /// A rule limits the statement.
    pub(super) fn limit(&mut self, rule: usize, limits: &Limits) {
        self.apply(rule);
        self.limits = self.limits.join(limits);
    }

    /// A rule records the statement more fully.
    pub(super) fn record(&mut self, rule: usize, recording: Recording) {
        self.apply(rule);
        self.recording = self.recording.max(recording);
    }

    /// A lookup is to be counted.
    pub(super) fn probe(&mut self, rule: usize, probe: Probe) {
        self.apply(rule);
        self.probes.insert(probe);
    }

    /// A masked column is reached through views.
    pub(super) const fn rests_on_views(&mut self) {
        self.rests_on_views = true;
    }

    /// The decision hangs on a dear fact that was not asked for.
    pub(super) fn need(&mut self, fact: DearFact) {
        match fact {
            DearFact::Values => self.needs.values = true,
            DearFact::Novel => self.needs.novel = true,
            DearFact::EstimatedRows => self.needs.estimated_rows = true,
        }
    }

    pub(super) fn into_decision(mut self, mask_bound: bool) -> Decision {
        self.masks.sort_by_key(|mask| mask.output);
        if self.reasons_left_out > 0 {
            self.reasons.push(Reason {
                rule: None,
                message: Arc::from(format!("and {} more", self.reasons_left_out)),
                hint: None,
            });
        }
        let ids = |rules: &BTreeSet<usize>| -> RuleIds {
            rules
                .iter()
                .filter_map(|&rule| u32::try_from(rule).ok().map(RuleId))
                .collect()
        };
        if self.refused {
            return Decision {
                rules: ids(&self.refusing),
                ..Decision::deny(self.reasons, mask_bound)
            };
        }
        if !self.needs.is_empty() {
            let wanted = [
                (self.needs.values, DearFact::Values),
                (self.needs.novel, DearFact::Novel),
                (self.needs.estimated_rows, DearFact::EstimatedRows),
            ];
            let reasons = wanted
                .iter()
                .filter(|(wanted, _)| *wanted)
                .map(|(_, fact)| Reason {
                    rule: None,
                    message: Arc::from(format!(
                        "rules ask for `{}`, which is not known",
                        fact.name()
                    )),
                    hint: None,
                })
                .collect();
            return Decision {
                needs: self.needs,
                ..Decision::deny(reasons, mask_bound)
            };
        }
        Decision {
            verdict: if self.held {
                Verdict::Hold
            } else if self.broken.is_empty() {
                Verdict::Allow
            } else {
                Verdict::BreakGlass
            },
            rules: self.applied,
            masks: self.masks,
            mask_bound,
            limits: self.limits,
            recording: self.recording,
            approvals: self.approvals,
            held_transaction: self.held_transaction.unwrap_or_default(),
            glass: Glass {
                broken: self.broken,
                offered: self.held && !self.held_for_good,
            },
            probes: self.probes.into_iter().collect(),
            rests_on_views: self.rests_on_views,
            reasons: self.stated,
            needs: self.needs,
            observed: None,
        }
    }
}

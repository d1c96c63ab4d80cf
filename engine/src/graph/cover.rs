//! The quick way over a statement that rules cover without a doubt: no words, no allocation.
//!
//! Gives up at the first refusal or doubt; [`super::access`] then asks again and finds the words. Both take their entries from
//! the same graph, and where [`cover`] answers, [`super::access::judge`] would answer the same.

use std::ops::ControlFlow;

use super::{
    Lens, Policy, SessionView,
    access::needs_no_rule,
    built_in,
    condition::{Ask, Context, Truth, Unknown},
    entry::{Does, Entry, Flags, Further},
    findings::Findings,
    index::Bits,
    rule::Effect,
    space::Space,
};
use crate::facts::Access;

/// Goes over a statement that rules cover without a doubt: what was found, or `None` if a rule refuses, nothing covers an
/// access, or anything is unknown. Allocates nothing where there are no obligations.
pub(super) fn cover(
    policy: &Policy,
    view: &SessionView,
    lens: Lens,
    context: Context<'_>,
) -> Option<Findings> {
    let mut findings = Findings::default();
    let facts = context.facts;
    if built_in::is_always_allowed(facts) {
        return Some(findings);
    }
    if facts.accesses.is_empty() || !facts.opaque.is_empty() {
        return None;
    }
    let survey = Survey {
        policy,
        view,
        live: view.residual.live(lens),
        context,
    };
    for access in &facts.accesses {
        survey.access(access, &mut findings)?;
    }
    Some(findings)
}

/// A quick way over a statement's accesses; `None` anywhere means that it is not for this way.
struct Survey<'a> {
    policy: &'a Policy,
    view: &'a SessionView,
    live: &'a [u64],
    context: Context<'a>,
}

impl Survey<'_> {
    fn access(&self, access: &Access, findings: &mut Findings) -> Option<()> {
        let graph = &self.policy.graph;
        let flags = Flags::of(
            access,
            self.context.facts,
            self.context.circumstances.in_transaction,
        );
        let none = Ask {
            access,
            column: None,
        };
        let mut covered = needs_no_rule(access);
        covered |= self.entries(&graph.accesses, none, flags, findings)?;
        let looks_at_columns =
            self.view.residual.looks_at_columns && self.has_any(&graph.column_accesses, none)?;
        if !looks_at_columns {
            return covered.then_some(());
        }
        if access.columns.is_empty() {
            covered |= self.entries(&graph.columns, none, flags, findings)?;
            return covered.then_some(());
        }
        for column in &access.columns {
            let ask = Ask {
                access,
                column: Some(column),
            };
            let by_column = self.entries(&graph.columns, ask, flags, findings)?;
            if !(covered || by_column) {
                return None;
            }
        }
        Some(())
    }

    /// Whether any live entry is about the ask.
    fn has_any(&self, space: &Space, ask: Ask<'_>) -> Option<bool> {
        let mut any = false;
        let mut point = self.policy.point(ask, self.context.facts);
        let flow = space.visit(&mut point, self.live, |_| {
            any = true;
            ControlFlow::Break(())
        });
        // Broken without an entry: the graph itself is broken.
        (any || flow.is_continue()).then_some(any)
    }

    /// Whether an entry covers the ask.
    fn entries(
        &self,
        space: &Space,
        ask: Ask<'_>,
        flags: Flags,
        findings: &mut Findings,
    ) -> Option<bool> {
        let mut covered = false;
        let mut members = None;
        let mut point = self.policy.point(ask, self.context.facts);
        let flow = space.visit(&mut point, self.live, |number| {
            let Some(entry) = self.policy.entries.get(number) else {
                return ControlFlow::Break(());
            };
            if !entry.takes(flags) {
                return ControlFlow::Continue(());
            }
            match self.further(entry, ask, &mut members) {
                Truth::True => {}
                Truth::False => return ControlFlow::Continue(()),
                Truth::Unknown(_) => return ControlFlow::Break(()),
            }
            if self.view.residual.doubts(number) {
                return ControlFlow::Break(());
            }
            match self.apply(entry, findings) {
                Some(covers) => {
                    covered |= covers;
                    ControlFlow::Continue(())
                }
                None => ControlFlow::Break(()),
            }
        });
        flow.is_continue().then_some(covered)
    }

    /// What the entry's further tests come to.
    #[inline]
    fn further(&self, entry: &Entry, ask: Ask<'_>, members: &mut Option<Bits>) -> Truth {
        match entry.further.checked_sub(1) {
            None => Truth::True,
            Some(place) => match self.policy.furthers.get(place as usize) {
                Some(further) => self.test(further, ask, members),
                // A bug, and a doubt.
                None => Truth::Unknown(Unknown::Parameter(0)),
            },
        }
    }

    fn test(&self, further: &Further, ask: Ask<'_>, members: &mut Option<Bits>) -> Truth {
        if !further.classes.is_empty() {
            let members = members.get_or_insert_with(|| self.policy.members(ask));
            let fails =
                |&(class, is_wanted): &(u32, bool)| members.contains(class as usize) != is_wanted;
            if further.classes.iter().any(fails) {
                return Truth::False;
            }
        }
        further.guard.as_ref().map_or(Truth::True, |guard| {
            guard.evaluate(self.context, ask, &|class| {
                self.policy.is_member(ask, class)
            })
        })
    }

    /// Whether the entry's rule covers what it applies to; `None` if it refuses.
    #[inline]
    fn apply(&self, entry: &Entry, findings: &mut Findings) -> Option<bool> {
        let rule = entry.rule as usize;
        match entry.does {
            Does::Allow => {
                findings.applied(rule);
                return Some(true);
            }
            Does::Deny => return None,
            Does::Oblige => {}
        }
        match &self.policy.set.rules.get(rule)?.effect {
            Effect::Hold(_, hold) if hold.approvals.is_empty() => None,
            Effect::Hold(_, hold) => {
                findings.hold(rule, hold);
                findings.hold_for_good();
                Some(true)
            }
            Effect::Limit(_, limits) => {
                findings.limit(rule, limits);
                Some(false)
            }
            Effect::Record(_, recording) => {
                findings.record(rule, *recording);
                Some(false)
            }
            // Whether it needs breaking hangs on all rules.
            Effect::BreakGlass(_) => None,
            Effect::Allow(_) | Effect::Deny(_) | Effect::Mask(_) => None,
        }
    }
}

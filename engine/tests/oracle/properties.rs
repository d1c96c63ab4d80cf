//! What holds of every policy: joins are semilattices, order says nothing, nothing but the inputs decides, and a rule
//! moves decisions one way only.

use std::{cell::Cell, collections::BTreeSet};

use provost_engine::{
    facts::Operation,
    graph::{
        condition::{Flag, NumberAttribute, Presence, Test, TextAttribute, TextOperand, TextTest},
        rule::{Effect, Hold, Mode, Rule, RuleSet},
    },
    transform::Transform,
    verdict::{Approval, Decision, HeldTransaction, Limits, Recording, Verdict, join_approvals},
};

use crate::{
    choices::Choices,
    compare::{Ask, compiled},
    generate::{self, Shape, rule_set},
    glass,
};

/// Cases of each property.
pub(crate) const CASES: u64 = 600;

/// Commutative, associative, idempotent; `plain` is what joining with nothing makes of one.
fn assert_semilattice<T: PartialEq + std::fmt::Debug>(
    [a, b, c]: [&T; 3],
    join: impl Fn(&T, &T) -> T,
    plain: impl Fn(&T) -> T,
) {
    assert_eq!(join(a, b), join(b, a), "commutative");
    assert_eq!(join(&join(a, b), c), join(a, &join(b, c)), "associative");
    assert_eq!(join(a, a), plain(a), "idempotent");
}

#[test]
fn joins_are_semilattices() {
    for seed in 0..2_000 {
        let choices = &mut Choices::seeded(seed);
        let mut three = || [(); 3].map(|()| generate::limits(choices));
        let [a, b, c] = &three();
        assert_semilattice([a, b, c], Limits::join, |a| *a);
        let mut three = || [(); 3].map(|()| choices.several(3, generate::approval));
        let [a, b, c] = &three();
        let join = |a: &Vec<Approval>, b: &Vec<Approval>| join_approvals(a, b);
        assert_semilattice([a, b, c], join, |a| join_approvals(a, &[]));
        // Joining only ever asks for more.
        for approval in a {
            let is_kept = |joined: &Approval| {
                joined.group == approval.group
                    && joined.members == approval.members
                    && joined.count >= approval.count
                    && joined.within_ms <= approval.within_ms
            };
            assert!(
                join(a, b).iter().any(is_kept),
                "{approval:?} of {a:?} and {b:?}"
            );
        }
    }
    let recordings = [Recording::Statement, Recording::Digest, Recording::Results];
    assert!(recordings.is_sorted(), "fuller is greater");
    assert!(HeldTransaction::Keep < HeldTransaction::Fail);
    use Verdict::{Allow, BreakGlass, Deny, Hold};
    assert!([Allow, BreakGlass, Hold, Deny].is_sorted());
}

/// Calls `check` with random sets and statements whose dear facts are known.
pub(crate) fn for_cases(check: impl Fn(&mut Choices, RuleSet, &Ask)) {
    for seed in 0..CASES {
        let choices = &mut Choices::seeded(seed | 1 << 40);
        let set = rule_set(choices, Shape::Mixed);
        let mut ask = Ask::made(choices, Shape::Mixed);
        ask.surroundings = ask.surroundings.with_known(11, true);
        check(choices, set, &ask);
    }
}

#[test]
fn order_says_nothing_and_nothing_else_decides() {
    for_cases(|choices, set, ask| {
        let decision = ask.decide(&compiled(&set));
        assert_eq!(decision, ask.decide(&compiled(&set)), "compiled again");
        let mut other = set.clone();
        shuffle(choices, &mut other.rules);
        shuffle(choices, &mut other.classes);
        assert_eq!(decision, ask.decide(&compiled(&other)), "of {set:#?}");
    });
}

fn shuffle<T>(choices: &mut Choices, all: &mut [T]) {
    for last in (1..all.len()).rev() {
        let bound = u32::try_from(last + 1).expect("few");
        all.swap(last, choices.below(bound) as usize);
    }
}

/// Whether `after` lets nothing through that `before` did not, and hides, limits and records no less. A hold counts as
/// not let through.
pub(crate) fn is_stricter(after: &Decision, before: &Decision) -> bool {
    if after.verdict == Verdict::Deny {
        return true;
    }
    let as_much_approval = match (before.verdict, after.verdict) {
        (Verdict::Allow, _) => true,
        (Verdict::Hold, Verdict::Hold) => {
            join_approvals(&after.approvals, &before.approvals) == after.approvals
                && after.held_transaction >= before.held_transaction
        }
        (Verdict::BreakGlass, after) => after > Verdict::Allow,
        (Verdict::Hold | Verdict::Deny, Verdict::BreakGlass) => false,
        (Verdict::Hold | Verdict::Deny, Verdict::Allow | Verdict::Hold | Verdict::Deny) => false,
    };
    let as_masked = before.masks.iter().all(|mask| {
        after.masks.iter().any(|stricter| {
            stricter.output == mask.output
                && stricter.transform.join(&mask.transform) == stricter.transform
        })
    });
    as_much_approval
        && as_masked
        && after.limits.join(&before.limits) == after.limits
        && after.recording >= before.recording
        && before
            .probes
            .iter()
            .all(|probe| after.probes.contains(probe))
        && after.mask_bound >= before.mask_bound
}

pub(crate) fn enforced(set: RuleSet) -> RuleSet {
    let mut set = set;
    set.mode = Mode::Enforce;
    set.rules
        .iter_mut()
        .for_each(|rule| rule.mode = Mode::Enforce);
    set
}

#[test]
fn a_rule_moves_decisions_one_way() {
    for_cases(|choices, set, ask| {
        let set = enforced(set);
        let effect = generate::effect(choices);
        let added = Rule {
            name: "added".into(),
            mode: Mode::Enforce,
            ..generate::rule(choices, effect)
        };
        let mut more = set.clone();
        more.rules.push(added.clone());
        let before = ask.decide(&compiled(&set));
        let after = ask.decide(&compiled(&more));
        let holds = match &added.effect {
            Effect::Deny(_) | Effect::Mask(_) | Effect::Limit(..) | Effect::Record(..) => {
                is_stricter(&after, &before)
            }
            // What nothing covered may now be asked for, but never had without approval.
            Effect::Hold(..) if before.verdict == Verdict::Deny => after.verdict != Verdict::Allow,
            Effect::Hold(..) => is_stricter(&after, &before),
            // Evaluating it may fail, and then it denies: that is not its allowing.
            Effect::Allow(scope) if scope.condition.tests().any(may_fail) => true,
            Effect::BreakGlass(scope) if scope.condition.tests().any(may_fail) => true,
            Effect::BreakGlass(_) => glass::moves(&before, &after, ask),
            Effect::Allow(_) => is_stricter(&before, &after) || before.verdict == Verdict::Deny,
        };
        assert!(
            holds,
            "{added:#?}\nadded to {set:#?}\nturns {before:#?}\ninto {after:#?}\nfor {ask:#?}"
        );
    });
}

pub(crate) fn may_fail(test: &Test) -> bool {
    let is_claim = |attribute: &TextAttribute| matches!(attribute, TextAttribute::Claim(_));
    match test {
        Test::Flag(flag) => matches!(flag, Flag::Claim(_) | Flag::Novel),
        Test::Number { attribute, .. } => matches!(
            attribute,
            NumberAttribute::Claim(_) | NumberAttribute::EstimatedRows
        ),
        Test::Text { attribute, test } => {
            is_claim(attribute)
                || matches!(test, TextTest::Equals(TextOperand::Attribute(other)) if is_claim(other))
        }
        Test::ClaimHas { .. } | Test::BoundedBy { .. } => true,
        Test::Present(Presence::Claim(_)) => false,
        _ => false,
    }
}

#[test]
fn merging_two_sets_is_joining_what_both_say() {
    let joined = Cell::new(0);
    for_cases(|choices, set, ask| {
        let mut both = enforced(set);
        glass::remove(&mut both);
        let [left, right, both] = parted(choices, both).map(|set| ask.decide(&compiled(&set)));
        let refuses =
            |decision: &Decision| decision.verdict == Verdict::Deny && !decision.rules.is_empty();
        if refuses(&left) || refuses(&right) {
            assert_eq!(both.verdict, Verdict::Deny, "{left:#?}\n{right:#?}");
        }
        if left.verdict == Verdict::Deny || right.verdict == Verdict::Deny {
            return;
        }
        joined.set(joined.get() + 1);
        assert_verdict_joins(&left, &right, &both);
        assert_obligations_join(&left, &right, &both);
    });
    assert!(joined.get() > CASES / 12, "{} only", joined.get());
}

/// A set as two that share its rules by chance.
pub(crate) fn parted(choices: &mut Choices, both: RuleSet) -> [RuleSet; 3] {
    let (mut left, mut right) = (both.clone(), both.clone());
    let is_left: BTreeSet<_> = both
        .rules
        .iter()
        .filter(|_| choices.once_in(2))
        .map(|rule| rule.name.clone())
        .collect();
    // What allows everything is in both, or one of them would always deny.
    let is_general = |rule: &Rule| match &rule.effect {
        Effect::Allow(scope) => {
            scope.objects.is_none() && scope.operations.contains(Operation::Opaque)
        }
        _ => false,
    };
    left.rules
        .retain(|rule| is_left.contains(&rule.name) || is_general(rule));
    right
        .rules
        .retain(|rule| !is_left.contains(&rule.name) || is_general(rule));
    [left, right, both]
}

/// What is held, and by whom it is approved.
pub(crate) fn assert_verdict_joins(left: &Decision, right: &Decision, both: &Decision) {
    assert_eq!(both.verdict, left.verdict.max(right.verdict));
    assert_eq!(
        both.approvals,
        join_approvals(&left.approvals, &right.approvals)
    );
    let held = [left, right]
        .into_iter()
        .filter(|one| one.verdict == Verdict::Hold);
    let fate = held.map(|one| one.held_transaction).max();
    assert_eq!(both.held_transaction, fate.unwrap_or_default());
}

/// Masks, limits and recordings.
pub(crate) fn assert_obligations_join(left: &Decision, right: &Decision, both: &Decision) {
    assert_eq!(both.limits, left.limits.join(&right.limits));
    assert_eq!(both.recording, left.recording.max(right.recording));
    assert!(both.rules.len() <= left.rules.len() + right.rules.len());
    for mask in &both.masks {
        let parts = left.masks.iter().chain(&right.masks);
        let parts = parts.filter(|part| part.output == mask.output);
        let transform = parts
            .map(|part| part.transform.clone())
            .reduce(|one, other: Transform| one.join(&other));
        assert_eq!(Some(&mask.transform), transform.as_ref());
    }
    assert_eq!(both.mask_bound, left.mask_bound || right.mask_bound);
}

/// A hold that nobody can approve is a deny, also beside one that somebody can.
#[test]
fn a_hold_that_nobody_can_approve_denies() {
    for_cases(|_, set, ask| {
        let mut set = enforced(set);
        let mut emptied = Vec::new();
        for rule in &mut set.rules {
            if let Effect::Hold(_, Hold { approvals, .. }) = &mut rule.effect {
                approvals.clear();
                emptied.push(rule.name.clone());
            }
        }
        let decision = ask.decide(&compiled(&set));
        assert_ne!(decision.verdict, Verdict::Hold, "{emptied:?}");
    });
}

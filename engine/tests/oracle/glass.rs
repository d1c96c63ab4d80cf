//! What holds of `break-glass` rules, whatever else a set says. Deciding has two steps: everything else joins, and then glass is broken for
//! what that leaves held or uncovered. The second step is no join.

use std::cell::Cell;

use provost_engine::{
    graph::rule::{Audience, Effect, Rule, RuleSet, Subjects},
    verdict::{Decision, Glass, RuleIds, Verdict},
};

use crate::{
    choices::Choices,
    compare::{Ask, compiled},
    generate,
    properties::{
        CASES, assert_obligations_join, assert_verdict_joins, enforced, for_cases, may_fail, parted,
    },
};

/// Leaves a set without `break-glass` rules.
pub(crate) fn remove(set: &mut RuleSet) {
    set.rules
        .retain(|rule| !matches!(rule.effect, Effect::BreakGlass(_)));
}

/// Leaves a set without those whose condition can fail to be evaluated: then they deny, as every rule does.
fn remove_what_may_fail(set: &mut RuleSet) {
    set.rules.retain(|rule| match &rule.effect {
        Effect::BreakGlass(scope) => !scope.condition.tests().any(may_fail),
        _ => true,
    });
}

/// Calls `check` with random enforced sets in which many rules break glass, and mostly with a stated reason.
fn for_glass(check: impl Fn(&mut Choices, RuleSet, &Ask)) {
    for_cases(|choices, set, ask| {
        let mut set = enforced(set);
        for number in 0..4 {
            let effect = match generate::effect(choices) {
                Effect::Allow(scope)
                | Effect::Deny(scope)
                | Effect::BreakGlass(scope)
                | Effect::Hold(scope, _)
                | Effect::Limit(scope, _)
                | Effect::Record(scope, _) => Effect::BreakGlass(scope),
                Effect::Mask(_) => continue,
            };
            set.rules.push(Rule {
                name: format!("glass-{number}").into(),
                subjects: Subjects {
                    audience: Audience::Anyone,
                    except: Vec::new(),
                },
                ..generate::rule(choices, effect)
            });
        }
        let mut ask = ask.clone();
        ask.surroundings.stated_reason = (!choices.once_in(4)).then_some("INC-1: it is down");
        check(choices, enforced(set), &ask);
    });
}

/// What a decision comes to, but for words and rules' numbers.
fn bare(decision: &Decision) -> Decision {
    Decision {
        rules: RuleIds::new(),
        reasons: Vec::new(),
        glass: Glass::default(),
        ..decision.clone()
    }
}

/// Whether a `break-glass` rule that is added moves a decision as it may: from a hold, or from what nothing covers, and from
/// nothing else; and it leaves what is obliged as it was.
pub(crate) fn moves(before: &Decision, after: &Decision, ask: &Ask) -> bool {
    let is_refused = before.verdict == Verdict::Deny && !before.rules.is_empty();
    if ask.surroundings.stated_reason.is_none() || before.verdict == Verdict::Allow || is_refused {
        return bare(before) == bare(after);
    }
    let verdicts = match before.verdict {
        Verdict::Allow => return false,
        Verdict::BreakGlass => after.verdict == Verdict::BreakGlass,
        Verdict::Hold => matches!(after.verdict, Verdict::Hold | Verdict::BreakGlass),
        Verdict::Deny => return after.verdict != Verdict::Allow,
    };
    verdicts
        && after.masks == before.masks
        && after.mask_bound == before.mask_bound
        && after.limits == before.limits
        && after.recording == before.recording
        && after.probes == before.probes
}

#[test]
fn without_a_stated_reason_glass_changes_words_alone() {
    for_glass(|_, set, ask| {
        let mut ask = ask.clone();
        ask.surroundings.stated_reason = None;
        let mut with = set;
        remove_what_may_fail(&mut with);
        let mut without = with.clone();
        remove(&mut without);
        let [with, without] = [with, without].map(|set| ask.decide(&compiled(&set)));
        assert_eq!(bare(&with), bare(&without));
        assert!(with.glass.broken.is_empty());
    });
}

#[test]
fn a_verdict_says_whether_glass_is_broken() {
    let broken = Cell::new(0);
    for_glass(|_, set, ask| {
        let decision = ask.decide(&compiled(&set));
        let is_broken = !decision.glass.broken.is_empty();
        match decision.verdict {
            Verdict::BreakGlass => assert!(is_broken, "{decision:#?}"),
            Verdict::Allow | Verdict::Deny => assert!(!is_broken, "{decision:#?}"),
            // What is held beside what glass lets through.
            Verdict::Hold => {}
        }
        if is_broken {
            broken.set(broken.get() + 1);
            assert!(ask.surroundings.stated_reason.is_some());
            assert!(!decision.reasons.is_empty());
        }
    });
    assert!(broken.get() > CASES / 20, "{} only", broken.get());
}

/// Merging two sets: what each refuses stays refused, what each obliges is obliged. The verdict is never above the join of both, and is the
/// join where no glass is broken; what one of them holds is held, or runs by a stated reason, and is never just allowed.
#[test]
fn merging_two_sets_gives_no_more_than_their_join_and_keeps_denials() {
    let (joined, below) = (Cell::new(0), Cell::new(0));
    for_glass(|choices, set, ask| {
        let mut both = set;
        remove_what_may_fail(&mut both);
        let [left, right, both] = parted(choices, both).map(|set| ask.decide(&compiled(&set)));
        let is_stated = ask.surroundings.stated_reason.is_some();
        let refuses = |decision: &Decision| {
            is_stated && decision.verdict == Verdict::Deny && !decision.rules.is_empty()
        };
        if refuses(&left) || refuses(&right) {
            assert_eq!(both.verdict, Verdict::Deny, "{left:#?}\n{right:#?}");
        }
        if left.verdict == Verdict::Deny || right.verdict == Verdict::Deny {
            return;
        }
        joined.set(joined.get() + 1);
        assert_obligations_join(&left, &right, &both);
        let join = left.verdict.max(right.verdict);
        assert!(both.verdict <= join, "{left:#?}\n{right:#?}\n{both:#?}");
        if join == Verdict::Hold {
            assert_ne!(both.verdict, Verdict::Allow);
        }
        if [&left, &right, &both]
            .iter()
            .all(|one| one.glass.broken.is_empty())
        {
            assert_verdict_joins(&left, &right, &both);
        }
        if both.verdict < join {
            below.set(below.get() + 1);
        }
    });
    assert!(joined.get() > CASES / 12, "{} only", joined.get());
    // It is no join: else this file would say less than it could.
    assert!(below.get() > 0);
}

//! Every use of every column of every access must be covered, and no rule may refuse it.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::{
    facts::{Access, Facts, Kind, Object, Operation},
    graph::rule::{Effect, ObjectPattern, Rule, RuleSet, Scope},
};

use super::{
    Case, Findings,
    condition::{About, Answer, answer},
    pattern::{self, is_member, matches},
};

pub(super) fn read(case: Case<'_>, rules: &[&Rule], findings: &mut Findings) {
    if is_always_allowed(case.facts) {
        return;
    }
    let mut accesses = case.facts.accesses.clone();
    if accesses.is_empty() {
        findings.refuse(None);
    }
    let names_opaque = accesses
        .iter()
        .any(|access| access.operation == Operation::Opaque);
    if !case.facts.opaque.is_empty() && !names_opaque {
        accesses.push(Access {
            object: Object::Nothing,
            operation: Operation::Opaque,
            columns: BTreeSet::new(),
            via: None,
            filtered: false,
            bounded: false,
            equalities: BTreeSet::new(),
        });
    }
    for access in &accesses {
        let mut asks: Vec<About<'_>> = access
            .columns
            .iter()
            .map(|column| About {
                access,
                column: Some(column),
            })
            .collect();
        if asks.is_empty() {
            asks.push(About {
                access,
                column: None,
            });
        }
        for about in asks {
            read_one(case, rules, about, findings);
        }
    }
}

/// ROLLBACK, COMMIT, CLOSE, DEALLOCATE, UNLISTEN that do nothing else (ruling 12).
fn is_always_allowed(facts: &Facts) -> bool {
    let lets_go = matches!(facts.kind, Kind::Commit | Kind::Rollback | Kind::Release);
    let harmless = |access: &Access| {
        let touches_none = matches!(
            access.object,
            Object::Nothing | Object::Channel(_) | Object::Other { .. }
        );
        let operation = matches!(
            access.operation,
            Operation::Read | Operation::Transaction | Operation::Session | Operation::Listen
        );
        touches_none && operation
    };
    lets_go
        && facts.opaque.is_empty()
        && facts.writes.is_empty()
        && facts.accesses.iter().all(harmless)
}

fn read_one(case: Case<'_>, rules: &[&Rule], about: About<'_>, findings: &mut Findings) {
    // `SELECT 1` needs no rule.
    let mut covered =
        about.access.object == Object::Nothing && about.access.operation == Operation::Read;
    let mut refused = false;
    let (mut may_hold, mut may_allow) = (false, BTreeSet::new());
    let (mut held, mut glass, mut may_glass) = (Vec::new(), Vec::new(), BTreeSet::new());
    for rule in rules {
        let Some(scope) = scope(&rule.effect) else {
            continue;
        };
        if !is_about(scope, case.set, about) {
            continue;
        }
        match answer(&scope.condition, case, Some(about)) {
            Answer::No => {}
            Answer::Error => {
                refused = true;
                findings.refuse(Some(rule));
            }
            Answer::Ask(fact) => match rule.effect {
                Effect::Allow(_) => {
                    may_allow.insert(fact);
                }
                Effect::BreakGlass(_) => {
                    may_glass.insert(fact);
                }
                Effect::Hold(..) => {
                    may_hold = true;
                    findings.needs.insert(fact);
                }
                _ => {
                    findings.needs.insert(fact);
                }
            },
            Answer::Yes => match &rule.effect {
                Effect::Allow(_) => {
                    covered = true;
                    findings.apply(rule);
                }
                Effect::Deny(_) => {
                    refused = true;
                    findings.refuse(Some(rule));
                }
                // No number of people can approve it.
                Effect::Hold(_, hold) if hold.approvals.is_empty() => {
                    refused = true;
                    findings.refuse(Some(rule));
                }
                Effect::Hold(_, hold) => held.push((rule, hold)),
                Effect::BreakGlass(_) => glass.push(rule),
                Effect::Limit(_, limits) => {
                    findings.apply(rule);
                    findings.limits.push(*limits);
                }
                Effect::Record(_, recording) => {
                    findings.apply(rule);
                    findings.recordings.insert(*recording);
                }
                Effect::Mask(_) => unreachable!("masks have no scope"),
            },
        }
    }
    let is_allowed = covered;
    let is_stopped = !is_allowed || !held.is_empty();
    if is_stopped && !refused && !glass.is_empty() && case.circumstances.stated_reason.is_some() {
        for rule in &glass {
            findings.apply(rule);
            findings.broken.insert(Arc::clone(&rule.name));
        }
        // Whether a rule allows it is still asked: then no glass need be broken.
        covered = !held.is_empty() || is_allowed;
        if !covered && !may_hold {
            findings.needs.extend(may_allow.first());
        }
        return;
    }
    for (rule, hold) in &held {
        covered = true;
        findings.apply(rule);
        findings.hold(&hold.approvals, hold.transaction);
    }
    let is_stated = case.circumstances.stated_reason.is_some();
    if is_stated
        && glass.is_empty()
        && (!held.is_empty() || (!covered && !may_hold && may_allow.is_empty()))
    {
        // Only where nothing cheaper lets it through.
        findings.needs.extend(may_glass.first());
        if let (Some(_), false) = (may_glass.first(), covered) {
            return;
        }
    }
    if !covered && !may_hold {
        // Only here does it matter whether a further rule allows it; the cheapest fact is asked for first.
        findings.needs.extend(may_allow.first());
    }
    if !covered && !may_hold && may_allow.is_empty() {
        if refused {
            findings.refused = true;
        } else if glass.is_empty() {
            findings.refuse(None);
        } else {
            for rule in &glass {
                findings.refuse(Some(rule));
            }
        }
    }
}

fn scope(effect: &Effect) -> Option<&Scope> {
    match effect {
        Effect::Allow(scope)
        | Effect::Deny(scope)
        | Effect::BreakGlass(scope)
        | Effect::Hold(scope, _)
        | Effect::Limit(scope, _)
        | Effect::Record(scope, _) => Some(scope),
        Effect::Mask(_) => None,
    }
}

fn is_about(scope: &Scope, set: &RuleSet, about: About<'_>) -> bool {
    let on = match &scope.objects {
        None => true,
        Some(objects) => objects.iter().any(|object| is_on(object, set, about)),
    };
    on && scope.operations.contains(about.access.operation)
}

fn is_on(pattern: &ObjectPattern, set: &RuleSet, about: About<'_>) -> bool {
    let exact = pattern::Case::Exact;
    let qualified = match &about.access.object {
        Object::Relation { schema, name, .. }
        | Object::Function { schema, name }
        | Object::Other {
            schema: Some(schema),
            name,
            ..
        } => Some((schema, name)),
        _ => None,
    };
    match pattern {
        ObjectPattern::Qualified { schema, name } => {
            qualified.is_some_and(|(in_schema, called)| {
                matches(schema, in_schema, exact) && matches(name, called, exact)
            })
        }
        ObjectPattern::Column(pattern) => qualified.is_some_and(|(in_schema, called)| {
            matches(&pattern.schema, in_schema, exact)
                && matches(&pattern.relation, called, exact)
                && about
                    .column
                    .is_some_and(|used| matches(&pattern.column, &used.column.name, exact))
        }),
        ObjectPattern::Class(class) => {
            qualified.is_some()
                && about
                    .column
                    .is_some_and(|used| is_member(set, class, &used.column))
        }
        ObjectPattern::Single(pattern) => match &about.access.object {
            Object::Setting(name)
            | Object::Channel(name)
            | Object::Other {
                schema: None, name, ..
            } => matches(pattern, name, exact),
            Object::Relation { .. }
            | Object::Function { .. }
            | Object::Other { .. }
            | Object::Nothing => false,
        },
    }
}

//! A plain reading of a rule set: no tables, no indexes, every rule asked of every use of every column. It is written
//! from the documents (`docs/language.md` and the data types' own words), and must never call the graph's evaluation.
//!
//! | part | reads |
//! |---|---|
//! | `pattern` | globs, regular expressions, classes |
//! | `condition` | conditions, four answers |
//! | `access` | coverage, refusals, holds, limits, recording |
//! | `masking` | masks, probing, copies, what a mask-bound principal is refused |

mod access;
mod condition;
mod masking;
mod pattern;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use provost_engine::{
    facts::Facts,
    graph::{
        condition::DearFact,
        rule::{Audience, Effect, Group, Mode, Rule, RuleSet},
    },
    principal::{Circumstances, Session},
    verdict::{Approval, HeldTransaction, Limits, OutputMask, Probe, Recording, Verdict},
};

/// Everything that a decision may depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    /// The rules.
    pub(crate) set: &'a RuleSet,
    /// Who asks.
    pub(crate) session: &'a Session,
    /// When.
    pub(crate) now: Timestamp,
    /// The statement.
    pub(crate) facts: &'a Facts,
    /// What surrounds it.
    pub(crate) circumstances: &'a Circumstances<'a>,
}

/// What the rules say: a decision with names for numbers, and of reasons only who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) verdict: Verdict,
    pub(crate) rules: BTreeSet<Arc<str>>,
    pub(crate) controls: BTreeSet<Arc<str>>,
    pub(crate) masks: Vec<OutputMask>,
    pub(crate) mask_bound: bool,
    pub(crate) limits: Limits,
    pub(crate) recording: Recording,
    pub(crate) approvals: BTreeSet<Approval>,
    pub(crate) held_transaction: HeldTransaction,
    pub(crate) probes: BTreeSet<Probe>,
    pub(crate) rests_on_views: bool,
    /// The rules that reasons name; `None` for one that no rule speaks in.
    pub(crate) reasons: BTreeSet<Option<Arc<str>>>,
    pub(crate) needs: BTreeSet<DearFact>,
    pub(crate) observed: Option<Observed>,
}

/// What observing rules would have made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) verdict: Verdict,
    pub(crate) rules: BTreeSet<Arc<str>>,
    pub(crate) reasons: BTreeSet<Option<Arc<str>>>,
}

/// Reads the rules for one statement.
pub(crate) fn interpret(case: Case<'_>) -> Reading {
    let about = |rule: &&Rule| is_about(rule, case.session);
    let all: Vec<&Rule> = case.set.rules.iter().filter(about).collect();
    let observing: BTreeSet<&Arc<str>> = all
        .iter()
        .filter(|rule| rule.mode == Mode::Observe)
        .map(|rule| &rule.name)
        .collect();
    let enforced: Vec<&Rule> = all
        .iter()
        .copied()
        .filter(|rule| rule.mode == Mode::Enforce)
        .collect();
    if case.set.mode == Mode::Observe {
        // The set decides nothing; what it would have decided is told.
        let told = read(case, &all);
        let mut reading = Findings::default().reading(false);
        if told.needs.is_empty() {
            reading.observed = Some(told.observed());
        }
        reading.needs = told.needs;
        return reading;
    }
    let mut reading = read(case, &enforced);
    if observing.is_empty() || !reading.needs.is_empty() {
        return reading;
    }
    let told = read(case, &all);
    if !told.needs.is_empty() {
        // What is refused anyway is worth no dear fact.
        if reading.verdict != Verdict::Deny {
            reading.needs = told.needs;
        }
    } else if told.rules.iter().any(|rule| observing.contains(rule)) {
        reading.observed = Some(told.observed());
    }
    reading
}

/// What these rules say, each enforced.
fn read(case: Case<'_>, rules: &[&Rule]) -> Reading {
    let mut findings = Findings::default();
    access::read(case, rules, &mut findings);
    let mask_bound = masking::read(case, rules, &mut findings);
    let controls = |names: &BTreeSet<Arc<str>>| {
        rules
            .iter()
            .filter(|rule| names.contains(&rule.name))
            .flat_map(|rule| rule.controls.iter().cloned())
            .collect()
    };
    let mut reading = findings.reading(mask_bound);
    reading.controls = controls(&reading.rules);
    reading
}

/// Doubt goes against the principal (ruling 23).
fn is_about(rule: &Rule, session: &Session) -> bool {
    let actor = |group: &Group| shares(group, &session.principal.groups);
    let person = session.principal.on_behalf_of.as_ref();
    let behind = |group: &Group| person.map(|person| shares(group, &person.groups));
    let grants = match rule.effect {
        Effect::Allow(_) | Effect::BreakGlass(_) | Effect::Hold(..) => true,
        Effect::Deny(_) | Effect::Mask(_) | Effect::Limit(..) | Effect::Record(..) => false,
    };
    let meant = |group: &Group| actor(group) || (!grants && behind(group) == Some(true));
    let excepted = |group: &Group| {
        if grants {
            actor(group) || behind(group) == Some(true)
        } else {
            actor(group) && behind(group) != Some(false)
        }
    };
    let is_meant = match &rule.subjects.audience {
        Audience::Anyone => true,
        Audience::Groups(groups) => groups.iter().any(meant),
    };
    is_meant && !rule.subjects.except.iter().any(excepted)
}

fn shares(group: &Group, names: &[Arc<str>]) -> bool {
    group.iter().any(|name| names.contains(name))
}

/// A group and its members.
type Approvers = (Arc<str>, Vec<Arc<str>>);

/// What was found, in any order.
#[derive(Debug, Default)]
struct Findings {
    refused: bool,
    refusing: BTreeSet<Arc<str>>,
    reasons: BTreeSet<Option<Arc<str>>>,
    applied: BTreeSet<Arc<str>>,
    held: bool,
    /// Rules by which a stated reason let something through.
    broken: BTreeSet<Arc<str>>,
    /// How many, and within how long.
    approvals: BTreeMap<Approvers, (u16, u64)>,
    fails_transaction: bool,
    limits: Vec<Limits>,
    recordings: BTreeSet<Recording>,
    masks: Vec<OutputMask>,
    probes: BTreeSet<Probe>,
    rests_on_views: bool,
    needs: BTreeSet<DearFact>,
}

impl Findings {
    fn refuse(&mut self, rule: Option<&Rule>) {
        self.refused = true;
        let name = rule.map(|rule| Arc::clone(&rule.name));
        self.refusing.extend(name.clone());
        self.reasons.insert(name);
    }

    fn apply(&mut self, rule: &Rule) {
        self.applied.insert(Arc::clone(&rule.name));
    }

    fn hold(&mut self, approvals: &[Approval], transaction: HeldTransaction) {
        self.held = true;
        self.fails_transaction |= transaction == HeldTransaction::Fail;
        for approval in approvals {
            let key = (Arc::clone(&approval.group), approval.members.clone());
            let joined = self
                .approvals
                .entry(key)
                .or_insert((approval.count, approval.within_ms));
            if approval.count > joined.0 {
                joined.0 = approval.count;
            }
            if approval.within_ms < joined.1 {
                joined.1 = approval.within_ms;
            }
        }
    }

    fn reading(self, mask_bound: bool) -> Reading {
        let nothing = Reading {
            verdict: Verdict::Allow,
            rules: BTreeSet::new(),
            controls: BTreeSet::new(),
            masks: Vec::new(),
            mask_bound,
            limits: Limits::default(),
            recording: Recording::Statement,
            approvals: BTreeSet::new(),
            held_transaction: HeldTransaction::Fail,
            probes: BTreeSet::new(),
            rests_on_views: false,
            reasons: BTreeSet::new(),
            needs: BTreeSet::new(),
            observed: None,
        };
        if self.refused {
            return Reading {
                verdict: Verdict::Deny,
                rules: self.refusing,
                reasons: self.reasons,
                ..nothing
            };
        }
        if !self.needs.is_empty() {
            return Reading {
                verdict: Verdict::Deny,
                reasons: BTreeSet::from([None]),
                needs: self.needs,
                ..nothing
            };
        }
        let least = |of: fn(&Limits) -> Option<u64>| self.limits.iter().filter_map(of).min();
        Reading {
            verdict: if self.held {
                Verdict::Hold
            } else if self.broken.is_empty() {
                Verdict::Allow
            } else {
                Verdict::BreakGlass
            },
            reasons: self.broken.into_iter().map(Some).collect(),
            rules: self.applied,
            masks: self.masks,
            limits: Limits {
                rows: least(|limits| limits.rows),
                bytes: least(|limits| limits.bytes),
                affected_rows: least(|limits| limits.affected_rows),
                time_ms: least(|limits| limits.time_ms),
                rows_per_hour: least(|limits| limits.rows_per_hour),
                bytes_per_hour: least(|limits| limits.bytes_per_hour),
            },
            recording: if self.recordings.contains(&Recording::Results) {
                Recording::Results
            } else if self.recordings.contains(&Recording::Digest) {
                Recording::Digest
            } else {
                Recording::Statement
            },
            approvals: self
                .approvals
                .into_iter()
                .map(|((group, members), (count, within_ms))| Approval {
                    group,
                    members,
                    count,
                    within_ms,
                })
                .collect(),
            held_transaction: if self.held && !self.fails_transaction {
                HeldTransaction::Keep
            } else {
                HeldTransaction::Fail
            },
            probes: self.probes,
            rests_on_views: self.rests_on_views,
            ..nothing
        }
    }
}

impl Reading {
    fn observed(&self) -> Observed {
        Observed {
            verdict: self.verdict,
            rules: self.rules.clone(),
            reasons: self.reasons.clone(),
        }
    }
}

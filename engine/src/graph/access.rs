//! Which rules cover a statement's accesses and which refuse them, each use of a column by itself, with the words. An
//! access that nothing covers is refused.

use std::{collections::BTreeSet, ops::ControlFlow};

use super::{
    Lens, Policy, SessionView, built_in,
    condition::{Ask, Context, Flag, Test, Truth, Unknown},
    entry::Entry,
    findings::Findings,
    index::Bits,
    rule::{Effect, ObjectPattern, Rule, Scope},
    space::{Point, Space},
};
use crate::facts::{Access, Facts, Object, Operation};

/// What lets a statement through that a `break-glass` rule is about.
pub const STATE_A_REASON: &str = "state why it must run, in a statement of its own: SET provost.reason = 'INC-123: the database is down'; \
     it is recorded and told at once";

impl Policy {
    /// An ask's point in the graph.
    pub(super) fn point<'a>(
        &'a self,
        ask: Ask<'a>,
        facts: &'a Facts,
    ) -> Point<impl Fn(super::space::Dimension) -> u32 + 'a> {
        Point::new(move |dimension| self.axes.class(dimension, ask.access, ask.column, facts))
    }

    /// The classes that an ask's column is a member of.
    pub(super) fn members(&self, ask: Ask<'_>) -> Bits {
        match ask.column {
            Some(used) => self.classes.of(&used.column),
            None => Bits::empty(self.classes.names.len()),
        }
    }

    pub(super) fn is_member(&self, ask: Ask<'_>, class: &str) -> bool {
        let number = self
            .classes
            .names
            .binary_search_by(|name| (**name).cmp(class));
        number.is_ok_and(|number| self.members(ask).contains(number))
    }
}

/// Judges every access of a statement, each use of a column by itself.
pub(super) fn judge(
    policy: &Policy,
    view: &SessionView,
    lens: Lens,
    context: Context<'_>,
    findings: &mut Findings,
) {
    let facts = context.facts;
    if built_in::is_always_allowed(facts) {
        return;
    }
    if facts.accesses.is_empty() {
        findings.refuse(None, "analysis found nothing that the statement does", None);
    }
    let judge = Judge {
        policy,
        live: view.residual.live(lens),
        context,
    };
    for (place, access) in facts.accesses.iter().chain(&implied(facts)).enumerate() {
        judge.access(place, access, findings);
    }
}

/// INVARIANT: what could not be bounded needs a rule that names `opaque`, whether or not analysis listed an access.
pub(super) fn implied(facts: &Facts) -> Option<Access> {
    let is_listed = facts
        .accesses
        .iter()
        .any(|access| access.operation == Operation::Opaque);
    (!facts.opaque.is_empty() && !is_listed).then(|| Access {
        object: Object::Nothing,
        operation: Operation::Opaque,
        columns: BTreeSet::new(),
        via: None,
        filtered: false,
        bounded: false,
        equalities: BTreeSet::new(),
    })
}

/// One statement of one session before one policy.
struct Judge<'a> {
    policy: &'a Policy,
    live: &'a [u64],
    context: Context<'a>,
}

/// An entry that may apply, with its rule.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    entry: &'a Entry,
    rule: &'a Rule,
    scope: &'a Scope,
}

impl<'a> Candidate<'a> {
    fn place(&self) -> usize {
        self.entry.rule as usize
    }

    fn covers(&self) -> bool {
        matches!(
            self.rule.effect,
            Effect::Allow(_) | Effect::BreakGlass(_) | Effect::Hold(..)
        )
    }
}

impl<'a> Judge<'a> {
    /// `place` is the access's among all that modules were shown.
    fn access(&self, place: usize, access: &Access, findings: &mut Findings) {
        let by_module = findings.covers(place, access.operation);
        let none = Ask {
            access,
            column: None,
        };
        let (mut all, mut of_columns) = (Vec::new(), Vec::new());
        if access.columns.is_empty() {
            self.candidates(&self.policy.graph.columns, none, &mut of_columns, findings);
        }
        self.candidates(&self.policy.graph.accesses, none, &mut all, findings);
        if access.columns.is_empty() {
            self.ask(none, by_module, &all, of_columns, findings);
        }
        for column in &access.columns {
            let ask = Ask {
                access,
                column: Some(column),
            };
            let mut of_columns = Vec::new();
            self.candidates(&self.policy.graph.columns, ask, &mut of_columns, findings);
            self.ask(ask, by_module, &all, of_columns, findings);
        }
    }

    fn candidates(
        &self,
        space: &Space,
        ask: Ask<'_>,
        candidates: &mut Vec<Candidate<'a>>,
        findings: &mut Findings,
    ) {
        let mut point = self.policy.point(ask, self.context.facts);
        let flow = space.visit(&mut point, self.live, |number| {
            let entry = self.policy.entries.get(number);
            let rule = entry.and_then(|entry| self.policy.set.rules.get(entry.rule as usize));
            match (entry, rule, rule.and_then(|rule| rule.effect.scope())) {
                (Some(entry), Some(rule), Some(scope)) => {
                    candidates.push(Candidate { entry, rule, scope });
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(()),
            }
        });
        if flow.is_break() {
            findings.refuse(None, "the policy's graph is broken; this is a bug", None);
        }
    }

    /// Asks every entry, in the order of rules.
    fn ask(
        &self,
        ask: Ask<'_>,
        by_module: bool,
        all: &[Candidate<'a>],
        of_columns: Vec<Candidate<'a>>,
        findings: &mut Findings,
    ) {
        let mut covered = by_module || needs_no_rule(ask.access);
        let mut denied = false;
        let (mut held, mut glass) = (Vec::new(), Vec::new());
        let mut would_cover = Vec::new();
        let mut unsettled = Vec::new();
        let mut candidates = of_columns;
        candidates.extend_from_slice(all);
        candidates.retain(|candidate| self.is_about(candidate, ask));
        candidates.sort_by_key(|candidate| (candidate.entry.rule, candidate.entry.object));
        for candidate in candidates {
            let (place, rule) = (candidate.place(), candidate.rule);
            match self.truth(&candidate, ask) {
                Truth::True => match &rule.effect {
                    Effect::Deny(_) => {
                        denied = true;
                        self.refuse_by_rule(&candidate, ask, findings);
                    }
                    Effect::Allow(_) => {
                        covered = true;
                        findings.applied(place);
                    }
                    Effect::Hold(_, hold) if hold.approvals.is_empty() => {
                        denied = true;
                        let message = format!("nobody can approve what rule `{}` holds", rule.name);
                        findings.refuse(Some((place, &rule.name)), &message, None);
                    }
                    Effect::Hold(_, hold) => held.push((place, hold)),
                    Effect::BreakGlass(_) => glass.push((place, rule)),
                    Effect::Limit(_, limits) => findings.limit(place, limits),
                    Effect::Record(_, recording) => findings.record(place, *recording),
                    Effect::Mask(_) => {}
                },
                Truth::False => would_cover.push(candidate),
                Truth::Unknown(Unknown::NotAsked(fact)) => unsettled.push((rule, fact)),
                Truth::Unknown(why) => {
                    denied = true;
                    let message = format!("rule `{}` can't be evaluated: {why}", rule.name);
                    findings.refuse(Some((place, &rule.name)), &message, None);
                }
            }
        }
        // What nothing allows or what is held is let through by a stated reason; what a rule denies is not.
        let is_held = !held.is_empty();
        let breaks = (!covered || is_held) && !denied && self.breaks_glass(&glass, findings);
        if !breaks {
            covered |= is_held;
            for (place, hold) in held {
                findings.hold(place, hold);
                if glass.is_empty() {
                    findings.hold_for_good();
                }
            }
        }
        // Allow rules come last, the cheaper fact first: whether one is asked must not hang on the rules' names.
        unsettled.sort_by_key(|(rule, fact)| (rank(rule), *fact));
        let is_stated = self.context.circumstances.stated_reason.is_some();
        let mut may_break = false;
        for (rule, fact) in unsettled {
            let is_needed = match rule.effect {
                // That a further rule allows what is allowed already is not worth a dear fact.
                Effect::Allow(_) => !covered,
                // Nor is what no stated reason asks for.
                Effect::BreakGlass(_) => {
                    may_break |= glass.is_empty();
                    is_stated && (!covered || is_held) && glass.is_empty()
                }
                Effect::Deny(_)
                | Effect::Hold(..)
                | Effect::Mask(_)
                | Effect::Limit(..)
                | Effect::Record(..) => true,
            };
            if is_needed {
                covered |= matches!(
                    rule.effect,
                    Effect::Allow(_) | Effect::BreakGlass(_) | Effect::Hold(..)
                );
                findings.need(fact);
            }
        }
        // Where a rule denies, that nothing allows is no news.
        if !(covered || breaks || denied) {
            let offer = (may_break && !is_stated).then_some(STATE_A_REASON);
            self.refuse_uncovered(ask, &glass, (&would_cover, offer), findings);
        }
    }

    /// Refuses what nothing covers: `glass` would, by a stated reason. `offer` is the hint where a `break-glass` rule might, for all that
    /// is known.
    fn refuse_uncovered(
        &self,
        ask: Ask<'_>,
        glass: &[(usize, &Rule)],
        (would_cover, offer): (&[Candidate<'a>], Option<&str>),
        findings: &mut Findings,
    ) {
        if glass.is_empty() {
            let hint = would_cover
                .iter()
                .filter(|candidate| candidate.covers())
                .find_map(|candidate| self.hint(candidate, ask, &Truth::True))
                .or(offer);
            findings.refuse(None, &uncovered(ask, self.context.facts), hint);
            return;
        }
        let message = format!("{} needs a stated reason", describe(ask));
        for (place, rule) in glass {
            findings.refuse(Some((*place, &rule.name)), &message, Some(STATE_A_REASON));
        }
    }

    /// Whether the session states a reason, by which the rules of these let the access through.
    fn breaks_glass(&self, glass: &[(usize, &Rule)], findings: &mut Findings) -> bool {
        let Some(stated) = self.context.circumstances.stated_reason else {
            return false;
        };
        for (place, rule) in glass {
            let why = match &rule.because {
                Some(because) => format!("{stated} ({because})"),
                None => stated.to_owned(),
            };
            findings.break_glass(*place, &rule.name, &why);
        }
        !glass.is_empty()
    }

    /// Whether the entry's pattern matches, by the pattern itself: the graph keeps parts of patterns as guards.
    fn is_about(&self, candidate: &Candidate<'_>, ask: Ask<'_>) -> bool {
        let Some(objects) = &candidate.scope.objects else {
            return true;
        };
        objects
            .get(candidate.entry.object as usize)
            .is_some_and(|pattern| self.matches(pattern, ask))
    }

    fn matches(&self, pattern: &ObjectPattern, ask: Ask<'_>) -> bool {
        let qualified = match &ask.access.object {
            Object::Relation { schema, name, .. }
            | Object::Function { schema, name }
            | Object::Other {
                schema: Some(schema),
                name,
                ..
            } => Some((schema, name)),
            Object::Setting(_) | Object::Channel(_) | Object::Other { .. } | Object::Nothing => {
                None
            }
        };
        match (pattern, qualified) {
            (ObjectPattern::Qualified { schema, name }, Some((in_schema, called))) => {
                schema.matches(in_schema) && name.matches(called)
            }
            (ObjectPattern::Column(pattern), Some((in_schema, called))) => {
                pattern.schema.matches(in_schema)
                    && pattern.relation.matches(called)
                    && ask
                        .column
                        .is_some_and(|used| pattern.column.matches(&used.column.name))
            }
            (ObjectPattern::Class(class), Some(_)) => self.policy.is_member(ask, class),
            (ObjectPattern::Single(pattern), None) => match &ask.access.object {
                Object::Setting(name)
                | Object::Channel(name)
                | Object::Other {
                    schema: None, name, ..
                } => pattern.matches(name),
                Object::Relation { .. }
                | Object::Function { .. }
                | Object::Other { .. }
                | Object::Nothing => false,
            },
            (ObjectPattern::Single(_), Some(_))
            | (
                ObjectPattern::Qualified { .. }
                | ObjectPattern::Column(_)
                | ObjectPattern::Class(_),
                None,
            ) => false,
        }
    }

    fn truth(&self, candidate: &Candidate<'_>, ask: Ask<'_>) -> Truth {
        candidate
            .scope
            .condition
            .evaluate(self.context, ask, &|class| {
                self.policy.is_member(ask, class)
            })
    }

    fn refuse_by_rule(&self, candidate: &Candidate<'_>, ask: Ask<'_>, findings: &mut Findings) {
        let hint = self.hint(candidate, ask, &Truth::False);
        let rule = candidate.rule;
        let named = Some((candidate.place(), &rule.name));
        match &rule.because {
            Some(because) => findings.refuse(named, because, hint),
            None => findings.refuse(named, &format!("{} is denied", describe(ask)), hint),
        }
    }

    /// The least change to the statement's predicate after which the entry's condition comes to `wanted`.
    fn hint(
        &self,
        candidate: &Candidate<'_>,
        ask: Ask<'_>,
        wanted: &Truth,
    ) -> Option<&'static str> {
        let condition = &candidate.scope.condition;
        let hangs_on_predicate =
            |test: &Test| matches!(test, Test::Flag(Flag::Filtered | Flag::Bounded));
        if !condition.tests().any(hangs_on_predicate) {
            return None;
        }
        let comes_to = |filtered: bool, bounded: bool| {
            let access = Access {
                filtered: ask.access.filtered || filtered,
                bounded: ask.access.bounded || bounded,
                ..ask.access.clone()
            };
            let ask = Ask {
                access: &access,
                ..ask
            };
            self.truth(candidate, ask) == *wanted
        };
        if comes_to(false, false) {
            None
        } else if comes_to(true, false) {
            Some("add a WHERE clause")
        } else if comes_to(true, true) {
            Some("add a WHERE clause with = or IN on a unique key")
        } else {
            None
        }
    }
}

/// In which order rules are asked for dear facts.
const fn rank(rule: &Rule) -> u8 {
    match rule.effect {
        Effect::Deny(_)
        | Effect::Hold(..)
        | Effect::Mask(_)
        | Effect::Limit(..)
        | Effect::Record(..) => 0,
        Effect::Allow(_) => 1,
        Effect::BreakGlass(_) => 2,
    }
}

/// `SELECT 1`: reads nothing in particular.
pub(super) fn needs_no_rule(access: &Access) -> bool {
    access.object == Object::Nothing && access.operation == Operation::Read
}

/// `read on hr.salaries is not allowed by any rule`.
fn uncovered(ask: Ask<'_>, facts: &Facts) -> String {
    let what = match ask.column {
        Some(used) if ask.access.columns.len() > 1 => format!(
            "{} (column {}) is not allowed by any rule",
            describe(ask),
            used.column.name
        ),
        Some(_) | None => format!("{} is not allowed by any rule", describe(ask)),
    };
    match (ask.access.operation, facts.opaque.first()) {
        (Operation::Opaque, Some(opaque)) => {
            format!("{what}: {}: {}", opaque.subject, opaque.reason)
        }
        _ => what,
    }
}

fn describe(ask: Ask<'_>) -> String {
    let operation = ask.access.operation.name();
    match &ask.access.object {
        Object::Relation {
            schema,
            name,
            oid: _,
        } => format!("{operation} on {schema}.{name}"),
        Object::Function { schema, name } => format!("{operation} on function {schema}.{name}"),
        Object::Setting(name) => format!("{operation} on setting {name}"),
        Object::Channel(name) => format!("{operation} on channel {name}"),
        Object::Other { sort, schema, name } => match (schema, name.is_empty()) {
            (None, true) => format!("{operation} on {sort}"),
            (None, false) => format!("{operation} on {sort} {name}"),
            (Some(schema), true) => format!("{operation} on {sort} in {schema}"),
            (Some(schema), false) => format!("{operation} on {sort} {schema}.{name}"),
        },
        Object::Nothing => operation.to_owned(),
    }
}

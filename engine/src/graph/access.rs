//! Which rules cover a statement's accesses and which refuse them. An access that nothing covers is refused.

use std::collections::BTreeSet;

use super::{
    Entry, EntryColumn, Lens, Policy, SessionView, built_in,
    condition::{Ask, Context, Truth, Unknown},
    findings::Findings,
    index::Bits,
    rule::{Effect, Rule},
};
use crate::facts::{Access, Facts, Object, Operation};

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
        view,
        lens,
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
    view: &'a SessionView,
    lens: Lens,
    context: Context<'a>,
}

impl<'a> Judge<'a> {
    /// `place` is the access's among all that modules were shown.
    fn access(&self, place: usize, access: &Access, findings: &mut Findings) {
        let by_module = findings.covers(place, access.operation);
        let Some(by_operation) = self.policy.operations.get(access.operation as usize) else {
            findings.refuse(None, "the operation is not known to the policy", None);
            return;
        };
        let by_object = self.policy.entries_on(&access.object);
        let entries: Vec<(&Entry, &Rule)> =
            Bits::common([&self.view.live, by_operation, &by_object])
                .filter_map(|index| self.policy.entries.get(index))
                .filter_map(|entry| Some((entry, self.policy.set.rules.get(entry.rule)?)))
                .filter(|(_, rule)| self.lens.shows(rule))
                .collect();
        if access.columns.is_empty() {
            let ask = Ask {
                access,
                column: None,
            };
            self.ask(ask, by_module, &entries, findings);
        }
        for column in &access.columns {
            let ask = Ask {
                access,
                column: Some(column),
            };
            self.ask(ask, by_module, &entries, findings);
        }
    }

    fn ask(
        &self,
        ask: Ask<'_>,
        by_module: bool,
        entries: &[(&'a Entry, &'a Rule)],
        findings: &mut Findings,
    ) {
        let mut covered = by_module || needs_no_rule(ask);
        let mut denied = false;
        let mut would_cover = Vec::new();
        let mut unsettled = Vec::new();
        for &(entry, rule) in entries {
            if !self.is_about_column(entry, ask) {
                continue;
            }
            match self.truth(entry, ask) {
                Truth::True => match &rule.effect {
                    Effect::Deny(_) => {
                        denied = true;
                        self.refuse_by_rule(entry, rule, ask, findings);
                    }
                    Effect::Allow(_) => {
                        covered = true;
                        findings.applied(entry.rule);
                    }
                    Effect::Hold(_, hold) => {
                        covered = true;
                        findings.hold(entry.rule, hold);
                    }
                    Effect::Limit(_, limits) => findings.limit(entry.rule, limits),
                    Effect::Record(_, recording) => findings.record(entry.rule, *recording),
                    Effect::Mask(_) => {}
                },
                Truth::False => would_cover.push(entry),
                Truth::Unknown(Unknown::NotAsked(fact)) => unsettled.push((rule, fact)),
                Truth::Unknown(why) => {
                    denied = true;
                    let message = format!("rule `{}` can't be evaluated: {why}", rule.name);
                    findings.refuse(Some((entry.rule, &rule.name)), &message, None);
                }
            }
        }
        for (rule, fact) in unsettled {
            // That a further rule allows what is allowed already is not worth a dear fact.
            if covered && matches!(rule.effect, Effect::Allow(_)) {
                continue;
            }
            covered |= matches!(rule.effect, Effect::Allow(_) | Effect::Hold(..));
            findings.need(fact);
        }
        // Where a rule denies, that nothing allows is no news.
        if !covered && !denied {
            let hint = would_cover
                .iter()
                .filter(|entry| self.covers(entry))
                .find_map(|entry| self.hint(entry, ask, &Truth::True));
            findings.refuse(None, &uncovered(ask, self.context.facts), hint);
        }
    }

    fn covers(&self, entry: &Entry) -> bool {
        let rule = self.policy.set.rules.get(entry.rule);
        rule.is_some_and(|rule| matches!(rule.effect, Effect::Allow(_) | Effect::Hold(..)))
    }

    fn is_about_column(&self, entry: &Entry, ask: Ask<'_>) -> bool {
        match (&entry.column, ask.column) {
            (EntryColumn::Any, _) => true,
            (EntryColumn::Named(pattern), Some(used)) => pattern.matches(&used.column.name),
            (EntryColumn::Member(class), Some(used)) => {
                self.policy.classes.of(&used.column).contains(*class)
            }
            (EntryColumn::Named(_) | EntryColumn::Member(_) | EntryColumn::Nothing, _) => false,
        }
    }

    fn truth(&self, entry: &Entry, ask: Ask<'_>) -> Truth {
        entry.condition.evaluate(self.context, ask, &|class| {
            ask.column.is_some_and(|used| {
                self.policy
                    .classes
                    .of(&used.column)
                    .iter()
                    .filter_map(|index| self.policy.classes.names.get(index))
                    .any(|name| **name == *class)
            })
        })
    }

    fn refuse_by_rule(&self, entry: &Entry, rule: &Rule, ask: Ask<'_>, findings: &mut Findings) {
        let hint = self.hint(entry, ask, &Truth::False);
        let named = Some((entry.rule, &rule.name));
        match &rule.because {
            Some(because) => findings.refuse(named, because, hint),
            None => findings.refuse(named, &format!("{} is denied", describe(ask)), hint),
        }
    }

    /// The least change to the statement's predicate after which the entry's condition comes to `wanted`.
    fn hint(&self, entry: &Entry, ask: Ask<'_>, wanted: &Truth) -> Option<&'static str> {
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
            self.truth(entry, ask) == *wanted
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

/// `SELECT 1`: reads nothing in particular.
fn needs_no_rule(ask: Ask<'_>) -> bool {
    ask.access.object == Object::Nothing && ask.access.operation == Operation::Read
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
        Object::Other { sort, name } if name.is_empty() => format!("{operation} on {sort}"),
        Object::Other { sort, name } => format!("{operation} on {sort} {name}"),
        Object::Nothing => operation.to_owned(),
    }
}

impl Policy {
    /// Entries whose pattern matches an object, whatever the operation.
    fn entries_on(&self, object: &Object) -> Bits {
        match object {
            Object::Relation {
                schema,
                name,
                oid: _,
            }
            | Object::Function { schema, name } => {
                let mut bits = Bits::empty(self.entries.len());
                let (schemas, names) = (self.schemas.lookup(schema), self.names.lookup(name));
                Bits::common([&*schemas, &*names]).for_each(|index| bits.insert(index));
                bits
            }
            Object::Setting(name) | Object::Channel(name) | Object::Other { sort: _, name } => {
                self.singles.lookup(name).into_owned()
            }
            Object::Nothing => self.unscoped.clone(),
        }
    }
}

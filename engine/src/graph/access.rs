//! Which rules cover a statement's accesses and which refuse them. An access that nothing covers is refused.

use super::{Entry, Policy, SessionView, built_in, findings::Findings, index::Bits};
use crate::facts::{Access, Facts, Object, Operation};

/// One question: may this be done to that?
#[derive(Debug, Clone, Copy)]
struct Ask<'a> {
    object: &'a Object,
    operation: Operation,
    filtered: bool,
    bounded: bool,
}

impl<'a> From<&'a Access> for Ask<'a> {
    fn from(access: &'a Access) -> Self {
        let Access {
            object,
            operation,
            filtered,
            bounded,
            columns: _,
            via: _,
        } = access;
        Self {
            object,
            operation: *operation,
            filtered: *filtered,
            bounded: *bounded,
        }
    }
}

/// Judges every access of a statement.
pub(super) fn judge(policy: &Policy, view: &SessionView, facts: &Facts, findings: &mut Findings) {
    if built_in::is_always_allowed(facts) {
        return;
    }
    if facts.accesses.is_empty() {
        findings.refuse(None, "analysis found nothing that the statement does", None);
    }
    for access in &facts.accesses {
        judge_one(policy, view, facts, Ask::from(access), findings);
    }
    // INVARIANT: what could not be bounded needs a rule that names `opaque`, whether or not analysis listed an access.
    if !facts.opaque.is_empty()
        && facts
            .accesses
            .iter()
            .all(|access| access.operation != Operation::Opaque)
    {
        let ask = Ask {
            object: &Object::Nothing,
            operation: Operation::Opaque,
            filtered: false,
            bounded: false,
        };
        judge_one(policy, view, facts, ask, findings);
    }
}

fn judge_one(
    policy: &Policy,
    view: &SessionView,
    facts: &Facts,
    ask: Ask<'_>,
    findings: &mut Findings,
) {
    let Some(by_operation) = policy.operations.get(ask.operation as usize) else {
        findings.refuse(None, "the operation is not known to the policy", None);
        return;
    };
    let by_object = policy.entries_on(ask.object);
    let matching = |sort: &Bits| -> Vec<&Entry> {
        Bits::common([sort, &view.live, by_operation, &by_object])
            .filter_map(|index| policy.entries.get(index))
            .collect()
    };
    let mut denied = false;
    for entry in matching(&policy.denies) {
        if entry.condition.holds(ask.filtered, ask.bounded) {
            denied = true;
            refuse_by_rule(policy, entry, ask, findings);
        }
    }
    let allows = matching(&policy.allows);
    let mut covered = needs_no_rule(ask);
    for entry in &allows {
        if entry.condition.holds(ask.filtered, ask.bounded) {
            covered = true;
            findings.applied(entry.rule);
        }
    }
    // Where a rule denies, that nothing allows is no news.
    if !covered && !denied {
        let hint = allows.iter().find_map(|entry| {
            hint(ask, |filtered, bounded| {
                entry.condition.holds(filtered, bounded)
            })
        });
        findings.refuse(None, &uncovered(ask, facts), hint);
    }
}

/// `SELECT 1`: reads nothing in particular.
fn needs_no_rule(ask: Ask<'_>) -> bool {
    *ask.object == Object::Nothing && ask.operation == Operation::Read
}

fn refuse_by_rule(policy: &Policy, entry: &Entry, ask: Ask<'_>, findings: &mut Findings) {
    let Some(rule) = policy.rules.get(entry.rule) else {
        findings.refuse(None, "a rule is missing from the policy", None);
        return;
    };
    let hint = hint(ask, |filtered, bounded| {
        !entry.condition.holds(filtered, bounded)
    });
    let named = Some((entry.rule, &rule.name));
    match &rule.because {
        Some(because) => findings.refuse(named, because, hint),
        None => findings.refuse(named, &format!("{} is denied", describe(ask)), hint),
    }
}

/// The least change to the statement's predicate that would make `passes` true.
fn hint(ask: Ask<'_>, passes: impl Fn(bool, bool) -> bool) -> Option<&'static str> {
    if passes(ask.filtered, ask.bounded) {
        None
    } else if passes(true, ask.bounded) {
        Some("add a WHERE clause")
    } else if passes(true, true) {
        Some("add a WHERE clause with = or IN on a unique key")
    } else {
        None
    }
}

/// `read on hr.salaries is not allowed by any rule`.
fn uncovered(ask: Ask<'_>, facts: &Facts) -> String {
    let what = format!("{} is not allowed by any rule", describe(ask));
    match (ask.operation, facts.opaque.first()) {
        (Operation::Opaque, Some(opaque)) => {
            format!("{what}: {}: {}", opaque.subject, opaque.reason)
        }
        _ => what,
    }
}

fn describe(ask: Ask<'_>) -> String {
    let operation = ask.operation.name();
    match ask.object {
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

//! What a statement could do that no rollback takes back, or that nobody counts: then it is neither planned nor tried, and whoever asked
//! reads why.

use std::sync::Arc;

use provost_engine::{
    catalog::{Attribute, RelationKind},
    facts::{Access, Facts, Kind, Object, Operation},
    sql::{self, Statement},
};

use super::super::{SessionJudge, obligations::is_counted};
use crate::judge::Alone;

/// Why there is no number, in words.
pub(super) type Why = String;

impl SessionJudge {
    /// The one statement of the text, if nothing it does or calls reaches beyond its transaction even when it is only planned.
    pub(super) fn triable<'a>(&self, statements: &'a [Statement]) -> Result<&'a Statement, Why> {
        let [statement] = statements else {
            return Err("it is a text of several statements".to_owned());
        };
        if self.people.settings_changed > 0 {
            return Err("its session may have changed settings that it hangs on".to_owned());
        }
        if self.sight.is_special() {
            return Err("its session sees objects of its own".to_owned());
        }
        if !statement.rests_on.is_empty() || statement.binding.is_some() {
            return Err("what runs stands behind a name of its session's".to_owned());
        }
        match beyond(&statement.facts).or_else(|| self.foreign(&statement.facts)) {
            Some(why) => Err(why),
            None => Ok(statement),
        }
    }

    /// The one statement, if it may be run and rolled back.
    pub(super) fn runnable<'a>(&self, statements: &'a [Statement]) -> Result<&'a Statement, Why> {
        let statement = self.triable(statements)?;
        let facts = &statement.facts;
        if self.status != b'I' || self.people.alone == Alone::InSegment {
            return Err("its session's transaction is open, and nobody else sees it".to_owned());
        }
        if !matches!(
            facts.kind,
            Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge
        ) {
            return Err("it is no INSERT, UPDATE, DELETE or MERGE".to_owned());
        }
        if !is_counted(facts) {
            return Err(uncounted());
        }
        match self.numbered(facts) {
            Some(why) => Err(why),
            None => Ok(statement),
        }
    }

    /// Why the sender of the one statement may not learn on which side of a rule's number its estimate is: a value of a masked column decides
    /// it, and whatever is refused is in no budget.
    pub(super) fn tells_of_masked(&self, statements: &[Statement]) -> Option<Why> {
        let mut looked_up = statements.iter().flat_map(|one| &one.facts.lookups);
        let is_told = self.policy.is_mask_bound(&self.view)
            && looked_up.any(|column| self.policy.is_classed(column));
        is_told.then(|| "it looks for a masked value, of which the number would tell".to_owned())
    }

    /// A foreign table that it reaches, whose server does what it does.
    fn foreign(&self, facts: &Facts) -> Option<Why> {
        let catalog = &self.loaded().catalog;
        let mut reached = facts.accesses.iter().filter_map(relation);
        let found = reached.find_map(|(oid, _)| {
            let own = catalog.relation(oid).cloned();
            let mut all = own.into_iter().chain(catalog.descendants(oid));
            all.find(|one| one.kind == RelationKind::Foreign)
        })?;
        Some(format!(
            "it touches the foreign table {}.{}",
            found.schema, found.name
        ))
    }

    /// A sequence that it may take numbers from, or the table of one: no rollback gives them back.
    fn numbered(&self, facts: &Facts) -> Option<Why> {
        let catalog = &self.loaded().catalog;
        let mut written = facts.accesses.iter().filter_map(relation);
        let found = written.find_map(|(oid, operation)| {
            let relation = catalog.relation(oid)?;
            let is_set = |name: &str| {
                let mut writes = facts.writes.iter().map(|write| &write.column);
                writes.any(|column| column.relation_oid == oid && *column.name == *name)
            };
            let mut numbered = relation.attributes.iter().filter(|one| is_numbered(one));
            let takes = match operation {
                Operation::Read | Operation::Lock => false,
                _ if relation.kind == RelationKind::Sequence => true,
                Operation::Insert => numbered.next().is_some(),
                // To its default.
                Operation::Update => numbered.any(|one| is_set(&one.name)),
                _ => false,
            };
            takes.then(|| Arc::clone(relation))
        })?;
        Some(format!(
            "it may take numbers from a sequence of {}.{}",
            found.schema, found.name
        ))
    }
}

/// Why a count would mislead.
pub(super) fn uncounted() -> Why {
    "the server does not count all that it changes".to_owned()
}

/// What of it could reach beyond its transaction.
fn beyond(facts: &Facts) -> Option<Why> {
    if sql::is_unbounded(facts) {
        return Some("what it does can't be told".to_owned());
    }
    if let Some(opaque) = facts.opaque.first() {
        let (subject, reason) = (&opaque.subject, &opaque.reason);
        return Some(format!("what it does can't be told: {subject}: {reason}"));
    }
    let is_plain = |access: &&Access| {
        matches!(
            access.operation,
            Operation::Read | Operation::Insert | Operation::Update | Operation::Delete
        ) || access.operation == Operation::Lock
    };
    let other = facts.accesses.iter().find(|access| !is_plain(access))?;
    Some(match (&other.object, other.operation) {
        (Object::Function { schema, name }, Operation::Call) => {
            format!("it calls {schema}.{name}(), which may do more than compute")
        }
        (_, operation) => format!("it is more than a change of rows: {}", operation.name()),
    })
}

/// Whether a column's default is a sequence's next number.
fn is_numbered(attribute: &Attribute) -> bool {
    let default = attribute.default.as_deref().unwrap_or_default();
    attribute.identity || default.contains("nextval")
}

fn relation(access: &Access) -> Option<(u32, Operation)> {
    match access.object {
        Object::Relation { oid, .. } => Some((oid, access.operation)),
        Object::Function { .. }
        | Object::Setting(_)
        | Object::Channel(_)
        | Object::Other { .. }
        | Object::Nothing => None,
    }
}

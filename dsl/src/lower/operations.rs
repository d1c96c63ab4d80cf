//! Operations, and whether they and the patterns beside them can meet at all.

use std::collections::BTreeSet;

use provost_engine::{
    facts::Operation,
    graph::{
        name::NamePattern,
        rule::{ObjectPattern, Operations},
    },
};

use super::{Check, pattern, schema, single};
use crate::{
    ast::{Name, Pattern, PatternOf},
    diagnostic::quoted,
    vocabulary::{COLUMN_OPERATIONS, SETS},
};

/// Operations on what has a name of one part, and on nothing else.
pub(super) const SINGLE: &[Operation] = &[
    Operation::Session,
    Operation::Transaction,
    Operation::Listen,
];
/// How many patterns of one rule are compared with each other.
const COMPARED_MAX: usize = 200;

/// Lowers a list of operations.
pub(super) fn lower(names: &[Name], check: &mut Check<'_, '_>) -> Operations {
    let mut operations = Operations::NONE;
    for name in names {
        let word = &*name.value;
        let one = Operation::ALL
            .iter()
            .find(|operation| operation.name() == word);
        let set = SETS.iter().find(|set| set.name == word);
        let members = match (one, set) {
            (Some(operation), _) => Operations::of(&[*operation]),
            (None, Some(set)) => Operations::of(set.operations),
            (None, None) => {
                let known = Operation::ALL
                    .iter()
                    .map(|operation| operation.name())
                    .chain(SETS.iter().map(|set| set.name));
                check.unknown("operation", &name.span, word, known);
                continue;
            }
        };
        if operations.union(members) == operations {
            check.warn(
                &name.span,
                format!("`{word}` is listed already"),
                "says nothing new",
                Some("leave it out"),
            );
        }
        operations = operations.union(members);
    }
    operations
}

/// Lowers what is behind `on`; `None` where nothing is.
pub(super) fn objects(
    operations: Operations,
    on: &[Pattern],
    verb: &str,
    check: &mut Check<'_, '_>,
) -> Option<Vec<ObjectPattern>> {
    if on.is_empty() {
        return None;
    }
    let mut all = Vec::new();
    let mut written: Vec<(&Pattern, Vec<ObjectPattern>)> = Vec::new();
    for one in on {
        let objects = pattern::objects(one, check);
        if !objects.is_empty() {
            check_meeting(operations, (one, &objects), verb, check);
            schema::check_objects(operations, one, &objects, check);
        }
        all.extend(objects.iter().cloned());
        written.push((one, objects));
    }
    warn_covered(&written, check);
    let mut seen = std::collections::HashSet::new();
    all.retain(|object| seen.insert(object.clone()));
    Some(all)
}

/// What the operations can be done to.
fn check_meeting(
    operations: Operations,
    (pattern, objects): (&Pattern, &[ObjectPattern]),
    verb: &str,
    check: &mut Check<'_, '_>,
) {
    let named: Vec<Operation> = Operation::ALL
        .into_iter()
        .filter(|operation| operations.contains(*operation))
        .collect();
    if named.is_empty() {
        return;
    }
    let what = check.written(&pattern.span);
    let columns = match &pattern.of {
        PatternOf::Class(_) => true,
        PatternOf::Names(parts) => parts.len() == 3,
    };
    if columns {
        let rest: Vec<Operation> = named
            .iter()
            .copied()
            .filter(|operation| !COLUMN_OPERATIONS.contains(operation))
            .collect();
        if rest.is_empty() {
            return;
        }
        let list = |operations: &[Operation]| {
            let names: Vec<&str> = operations.iter().map(|one| one.name()).collect();
            names.join(", ")
        };
        let list_quoted = |operations: &[Operation]| {
            let names: Vec<&str> = operations.iter().map(|one| one.name()).collect();
            quoted(&names)
        };
        let kept: Vec<Operation> = named
            .iter()
            .copied()
            .filter(|operation| COLUMN_OPERATIONS.contains(operation))
            .collect();
        let help = if kept.is_empty() {
            "write `schema.relation` for whole relations; columns are named by read, insert, update, copy-to and copy-from".to_owned()
        } else {
            format!(
                "write `{verb} {} on {what}`, and a rule on whole relations for the others",
                list(&kept)
            )
        };
        check.error_with_help(
            &pattern.span,
            format!(
                "{} {} no columns",
                list_quoted(&rest),
                if rest.len() == 1 { "names" } else { "name" }
            ),
            "stands for columns",
            help,
        );
        return;
    }
    match &pattern.of {
        PatternOf::Names(parts) if parts.len() == 1 => {
            single::check(&named, (pattern, objects), verb, check);
        }
        PatternOf::Names(_) | PatternOf::Class(_) => {
            if named.iter().all(|operation| SINGLE.contains(operation)) {
                check.warn(
                    &pattern.span,
                    format!("`{verb} ... on {what}` never matches"),
                    "stands for relations and functions",
                    Some("settings and channels have names of one part: `on timezone`"),
                );
            }
        }
    }
}

/// Patterns that others of the same rule cover.
fn warn_covered(written: &[(&Pattern, Vec<ObjectPattern>)], check: &mut Check<'_, '_>) {
    if written.len() > COMPARED_MAX
        || written
            .iter()
            .map(|(_, objects)| objects.len())
            .sum::<usize>()
            > COMPARED_MAX * 4
    {
        return;
    }
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for (index, (pattern, objects)) in written.iter().enumerate() {
        let covering = written.iter().enumerate().find(|(other, (_, wider))| {
            *other != index
                && !told.contains(other)
                && !objects.is_empty()
                && objects
                    .iter()
                    .all(|object| wider.iter().any(|wider| covers(wider, object)))
        });
        if let Some((_, (wider, _))) = covering {
            told.insert(index);
            let message = format!(
                "`{}` is covered by `{}`",
                check.written(&pattern.span),
                check.written(&wider.span)
            );
            check.warn(
                &pattern.span,
                message,
                "says nothing new",
                Some("leave it out"),
            );
        }
    }
}

/// Whether everything that `narrow` matches is surely matched by `wide`.
fn covers(wide: &ObjectPattern, narrow: &ObjectPattern) -> bool {
    match (wide, narrow) {
        (
            ObjectPattern::Qualified { schema, name },
            ObjectPattern::Qualified {
                schema: narrow_schema,
                name: narrow_name,
            },
        ) => name_covers(schema, narrow_schema) && name_covers(name, narrow_name),
        (ObjectPattern::Single(wide), ObjectPattern::Single(narrow)) => name_covers(wide, narrow),
        (ObjectPattern::Qualified { schema, name }, ObjectPattern::Column(column)) => {
            name_covers(schema, &column.schema) && name_covers(name, &column.relation)
        }
        (ObjectPattern::Column(wide), ObjectPattern::Column(narrow)) => {
            name_covers(&wide.schema, &narrow.schema)
                && name_covers(&wide.relation, &narrow.relation)
                && name_covers(&wide.column, &narrow.column)
        }
        (ObjectPattern::Class(wide), ObjectPattern::Class(narrow)) => wide == narrow,
        _ => false,
    }
}

fn name_covers(wide: &NamePattern, narrow: &NamePattern) -> bool {
    wide.is_any() || wide == narrow || narrow.as_exact().is_some_and(|name| wide.matches(name))
}

//! Names of one part behind `on`: settings, channels, and objects that lie in no schema. Whoever writes a table so means another thing
//! than the rule says; must never warn of what can be meant.

use std::{collections::HashSet, sync::LazyLock};

use provost_engine::{catalog::Catalog, facts::Operation, graph::rule::ObjectPattern};

use super::{Check, operations::SINGLE};
use crate::{ast::Pattern, diagnostic::quoted};

/// Operations on relations alone.
const RELATIONS: &[Operation] = &[
    Operation::Insert,
    Operation::Update,
    Operation::Delete,
    Operation::Truncate,
    Operation::CopyFrom,
    Operation::Lock,
];
/// Effects on what gives rows: of what has a name of one part, settings alone do (SHOW).
const ROWS: &[&str] = &["limit", "record"];

/// PostgreSQL's own settings. Those of extensions have a full stop in their names.
static SETTINGS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let lines = include_str!("settings.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).collect()
});

/// Warns of a pattern of one part where relations are meant. `objects` is what it stands for.
pub(super) fn check(
    named: &[Operation],
    (pattern, objects): (&Pattern, &[ObjectPattern]),
    verb: &str,
    check: &mut Check<'_, '_>,
) {
    let what = check.written(&pattern.span);
    let elsewhere = check
        .schema
        .and_then(|catalog| relation_of_the_name(catalog, objects));
    let message = wrong(named, objects, (verb, &what)).or_else(|| {
        let meant = elsewhere.as_ref()?;
        Some(format!(
            "`{verb} ... on {what}` does not match the relation `{meant}`"
        ))
    });
    let help = match elsewhere {
        Some(meant) => format!("write `{meant}`"),
        None => format!("write `schema.{what}`, such as `public.{what}`"),
    };
    if let Some(message) = message {
        let label = "stands for settings, channels and alike";
        check.warn(&pattern.span, message, label, Some(&help));
    }
}

/// What is wrong whatever the schema.
fn wrong(
    named: &[Operation],
    objects: &[ObjectPattern],
    (verb, what): (&str, &str),
) -> Option<String> {
    if ROWS.contains(&verb) || named == [Operation::Read] {
        let name = names(objects).find(|name| !name.contains('.') && !is_setting(name))?;
        return Some(format!(
            "`{verb} ... on {what}` is about a setting `{name}`, and PostgreSQL has none"
        ));
    }
    let useless: Vec<&str> = named
        .iter()
        .filter(|operation| RELATIONS.contains(operation))
        .map(|operation| operation.name())
        .collect();
    if useless.len() == named.len() {
        return Some(format!("`{verb} ... on {what}` never matches"));
    }
    if useless.is_empty() || named.iter().any(|operation| SINGLE.contains(operation)) {
        return None;
    }
    let matches = match useless.as_slice() {
        [_] => "matches",
        _ => "match",
    };
    Some(format!("{} on `{what}` never {matches}", quoted(&useless)))
}

fn is_setting(name: &str) -> bool {
    SETTINGS.contains(name.to_lowercase().as_str())
}

/// The names that are spelled out, without stars.
fn names(objects: &[ObjectPattern]) -> impl Iterator<Item = &str> {
    objects.iter().filter_map(|object| match object {
        ObjectPattern::Single(name) => name.as_exact().map(AsRef::as_ref),
        ObjectPattern::Qualified { .. } | ObjectPattern::Column(_) | ObjectPattern::Class(_) => {
            None
        }
    })
}

/// `schema.relation` of one that is called so, where no schema is.
fn relation_of_the_name(catalog: &Catalog, objects: &[ObjectPattern]) -> Option<String> {
    let names = names(objects).filter(|name| !catalog.has_schema(name));
    let called = |name: &str| {
        let all = catalog.relations();
        let found = all.filter(|relation| !relation.is_system() && *relation.name == *name);
        // The same one each time.
        found.map(|found| format!("{}.{name}", found.schema)).min()
    };
    names.filter_map(called).next()
}

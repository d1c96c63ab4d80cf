//! Checks against a schema, where one is given. Never refuses for what a schema lacks: a policy may be older than a table.
//! A mask that a column's type can't carry is refused, because it would not do what it says.

use std::{collections::BTreeMap, sync::Arc};

use provost_engine::{
    catalog::{Catalog, TypeKind},
    facts::{Column, Operation},
    graph::{
        name::NamePattern,
        rule::{ColumnPattern, Mask, ObjectPattern, Operations},
    },
    mask::{Carries, Instead, carries},
};

use super::{Check, pattern};
use crate::{
    ast::{Name, Pattern, Span},
    diagnostic::nearest,
};

/// How many unknown names of one pattern are told.
const TOLD_MAX: usize = 8;

/// Warns of relations and columns that a pattern names and the schema does not have, and of patterns that nothing matches.
pub(super) fn check_objects(
    operations: Operations,
    pattern: &Pattern,
    objects: &[ObjectPattern],
    check: &mut Check<'_, '_>,
) {
    let Some(catalog) = check.schema else {
        return;
    };
    let mut told = 0;
    for object in objects {
        let missing = match object {
            // What a rule lets be created is not there yet.
            ObjectPattern::Qualified { schema, name }
                if !operations.contains(Operation::Create) =>
            {
                // Functions of the schema are not known by their patterns.
                let is_called = operations.contains(Operation::Call);
                relation_missing(catalog, schema, name).or_else(|| {
                    let relation = (schema, name);
                    (!is_called).then(|| nothing_matches(catalog, relation, None))?
                })
            }
            ObjectPattern::Column(column) => column_missing(catalog, column, Folding::Exact)
                .or_else(|| {
                    let relation = (&column.schema, &column.relation);
                    nothing_matches(catalog, relation, Some(&column.column))
                }),
            ObjectPattern::Qualified { .. }
            | ObjectPattern::Class(_)
            | ObjectPattern::Single(_) => None,
        };
        if let Some(missing) = missing
            && told < TOLD_MAX
        {
            told += 1;
            check.warn(
                &pattern.span,
                missing.message,
                "not in the schema",
                missing.help.as_deref(),
            );
        }
    }
}

/// Warns of columns that a class names and the schema does not have, and of a class that nothing is in.
pub(super) fn check_class(name: &Name, patterns: &[Pattern], check: &mut Check<'_, '_>) {
    let Some(catalog) = check.schema else {
        return;
    };
    let mut told = 0;
    for one in patterns {
        let mut unheard = Vec::new();
        for column in pattern::columns(one, check.file, check.symbols, &mut unheard) {
            if let Some(missing) = column_missing(catalog, &column, Folding::Ignored)
                && told < TOLD_MAX
            {
                told += 1;
                check.warn(
                    &one.span,
                    missing.message,
                    "not in the schema",
                    missing.help.as_deref(),
                );
            }
        }
    }
    let columns: Vec<ColumnPattern> = check
        .symbols
        .columns_of(&name.value)
        .iter()
        .map(lowered)
        .collect();
    let empty = told == 0
        && !columns.is_empty()
        && !catalog
            .relations()
            .flat_map(|relation| relation.columns.iter())
            .any(|column| columns.iter().any(|pattern| is_member(pattern, column)));
    if empty {
        check.warn(
            &name.span,
            format!("no column of the schema is in the class `{}`", name.value),
            "empty",
            Some("a mask on it masks nothing in this schema"),
        );
    }
}

/// Refuses a mask that a column's type can't carry.
pub(super) fn check_mask(
    mask: &Mask,
    patterns: &[&ColumnPattern],
    columns: &BTreeMap<Arc<str>, &Span>,
    otherwise: Option<&Span>,
    check: &mut Check<'_, '_>,
) {
    let Some(catalog) = check.schema else {
        return;
    };
    let patterns: Vec<ColumnPattern> = patterns.iter().map(|pattern| lowered(pattern)).collect();
    let mut told: Vec<&Span> = Vec::new();
    let mut relations: Vec<_> = catalog.relations().collect();
    relations.sort_by(|left, right| (&left.schema, &left.name).cmp(&(&right.schema, &right.name)));
    for relation in relations {
        for column in &relation.columns {
            if !patterns.iter().any(|pattern| is_member(pattern, column)) {
                continue;
            }
            let name = column.name.to_lowercase();
            let span = columns.get(&*name).copied().or(otherwise);
            let Some(span) = span.filter(|span| !told.contains(span)) else {
                continue;
            };
            let transform = mask.transform(&name);
            let Carries::Becomes(instead, reason) =
                carries(transform, base_type(catalog, column.type_oid))
            else {
                continue;
            };
            told.push(span);
            let instead = match instead {
                Instead::Null => "NULL",
                Instead::Redacted => "redacted",
            };
            let column_name = format!("{}.{}.{}", relation.schema, relation.name, column.name);
            check.error_with_help(
                span,
                format!("`{column_name}` can't carry `{transform}`"),
                reason,
                format!(
                    "every value would be {instead}: write `{}: redact`, or another mask",
                    column.name
                ),
            );
        }
    }
}

/// The type under a domain.
fn base_type(catalog: &Catalog, oid: u32) -> u32 {
    /// Domains over domains.
    const DEPTH_MAX: usize = 16;
    let mut oid = oid;
    for _ in 0..DEPTH_MAX {
        match catalog.type_by_oid(oid) {
            Some(domain) if domain.kind == TypeKind::Domain => oid = domain.element,
            _ => break,
        }
    }
    oid
}

/// A class's pattern for names in lower case. Made once: a regular expression is compiled anew.
fn lowered(pattern: &ColumnPattern) -> ColumnPattern {
    ColumnPattern {
        schema: pattern.schema.to_lowercase(),
        relation: pattern.relation.to_lowercase(),
        column: pattern.column.to_lowercase(),
    }
}

/// Whether a column is in a class with such a pattern, which is in lower case.
fn is_member(pattern: &ColumnPattern, column: &Column) -> bool {
    let matches = |pattern: &NamePattern, name: &str| pattern.matches(&name.to_lowercase());
    matches(&pattern.column, &column.name)
        && matches(&pattern.relation, &column.relation)
        && matches(&pattern.schema, &column.schema)
}

/// Whether case counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folding {
    Exact,
    Ignored,
}

/// What a schema lacks, in words.
struct Missing {
    message: String,
    help: Option<String>,
}

fn relation_missing(
    catalog: &Catalog,
    schema: &NamePattern,
    name: &NamePattern,
) -> Option<Missing> {
    let (schema, name) = (schema.as_exact()?, name.as_exact()?);
    if catalog.relation_named(schema, name).is_some()
        || catalog.function_schemas(name).contains(schema)
        || matches!(&**schema, "pg_catalog" | "information_schema")
    {
        return None;
    }
    Some(no_relation(catalog, &format!("{schema}.{name}")))
}

fn no_relation(catalog: &Catalog, written: &str) -> Missing {
    let known: Vec<String> = catalog
        .relations()
        .filter(|relation| !relation.is_system())
        .map(|relation| format!("{}.{}", relation.schema, relation.name))
        .collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Missing {
        help: nearest(written, &known).map(|meant| format!("did you mean `{meant}`?")),
        message: format!("the schema has no `{written}`"),
    }
}

/// That no relation, or no column of one, matches a pattern with stars or regular expressions. What PostgreSQL brings itself
/// is not all in a schema, and patterns that reach there are not spoken of.
fn nothing_matches(
    catalog: &Catalog,
    (schema, relation): (&NamePattern, &NamePattern),
    column: Option<&NamePattern>,
) -> Option<Missing> {
    let parts = [Some(schema), Some(relation), column];
    let mut parts = parts.into_iter().flatten();
    let has_exact_names_only = parts.clone().all(|part| part.as_exact().is_some());
    let reaches_the_system = ["pg_catalog", "information_schema", "pg_toast"]
        .iter()
        .any(|name| schema.matches(name));
    let is_matched = || {
        catalog
            .relations()
            .filter(|one| schema.matches(&one.schema) && relation.matches(&one.name))
            .any(|one| {
                column.is_none_or(|column| one.columns.iter().any(|one| column.matches(&one.name)))
            })
    };
    if has_exact_names_only || reaches_the_system || is_matched() {
        return None;
    }
    let first = parts.next()?.to_string();
    let written = parts.fold(first, |written, part| format!("{written}.{part}"));
    Some(Missing {
        message: format!("nothing in the schema matches `{written}`"),
        help: Some("it is about nothing until something does".to_owned()),
    })
}

fn column_missing(catalog: &Catalog, pattern: &ColumnPattern, folding: Folding) -> Option<Missing> {
    let fold = |name: &str| match folding {
        Folding::Exact => name.to_owned(),
        Folding::Ignored => name.to_lowercase(),
    };
    let (schema, relation) = (pattern.schema.as_exact()?, pattern.relation.as_exact()?);
    let (schema, relation) = (fold(schema), fold(relation));
    let mut relations = catalog
        .relations()
        .filter(|one| fold(&one.schema) == schema && fold(&one.name) == relation)
        .peekable();
    if relations.peek().is_none() {
        if schema == "pg_catalog" || schema == "information_schema" {
            return None;
        }
        return Some(no_relation(catalog, &format!("{schema}.{relation}")));
    }
    let column = fold(pattern.column.as_exact()?);
    let columns: Vec<String> = relations
        .flat_map(|relation| relation.columns.iter())
        .map(|column| fold(&column.name))
        .collect();
    if columns.contains(&column) {
        return None;
    }
    let known: Vec<&str> = columns.iter().map(String::as_str).collect();
    Some(Missing {
        help: nearest(&column, &known).map(|meant| format!("did you mean `{meant}`?")),
        message: format!("`{schema}.{relation}` has no column `{column}`"),
    })
}

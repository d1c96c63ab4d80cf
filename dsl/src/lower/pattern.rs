//! Patterns: alternatives in braces spelled out, case decided. Class patterns ignore case (the engine lower-cases both
//! sides); rule patterns fold unquoted names as PostgreSQL does and take quoted ones exactly.

use provost_engine::graph::{
    glob::Glob,
    name::NamePattern,
    rule::{ColumnPattern, ObjectPattern},
};

use crate::{
    ast::{Pattern, PatternName, Quoting},
    diagnostic::{Diagnostic, File},
};

/// How many patterns one pattern with braces may stand for.
const ALTERNATIVES_MAX: usize = 4096;

/// A class's pattern: `schema.relation.column`, or `schema.relation` for every column of it.
pub(super) fn columns(
    pattern: &Pattern,
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<ColumnPattern> {
    let glob = |name: &PatternName| match name.quoting {
        Quoting::Quoted => NamePattern::from(Glob::exactly(&name.text)),
        Quoting::Plain => Glob::with_stars(&name.text).into(),
    };
    match (pattern.parts.as_slice(), is_too_wide(pattern)) {
        ([_, _] | [_, _, _], true) => {
            diagnostics.push(too_wide(pattern, file));
            Vec::new()
        }
        ([schemas, relations], false) => combine(schemas, relations)
            .map(|(schema, relation)| ColumnPattern {
                schema: glob(schema),
                relation: glob(relation),
                column: NamePattern::any(),
            })
            .collect(),
        ([schemas, relations, columns], false) => combine(schemas, relations)
            .flat_map(|(schema, relation)| {
                columns.iter().map(move |column| (schema, relation, column))
            })
            .map(|(schema, relation, column)| ColumnPattern {
                schema: glob(schema),
                relation: glob(relation),
                column: glob(column),
            })
            .collect(),
        _ => {
            let error = file.error(
                &pattern.span,
                "a class is made of columns",
                "no pattern over columns",
            );
            diagnostics.push(error.with_help(
                "write `schema.relation.column`, or `schema.relation` for all its columns",
            ));
            Vec::new()
        }
    }
}

/// A rule's pattern: `schema.name`, or `name` for what lies in no schema.
pub(super) fn objects(
    pattern: &Pattern,
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<ObjectPattern> {
    let glob = |name: &PatternName| match name.quoting {
        Quoting::Quoted => NamePattern::from(Glob::exactly(&name.text)),
        // PostgreSQL folds ASCII letters only under UTF-8.
        Quoting::Plain => Glob::with_stars(&name.text.to_ascii_lowercase()).into(),
    };
    match (pattern.parts.as_slice(), is_too_wide(pattern)) {
        ([_] | [_, _], true) => {
            diagnostics.push(too_wide(pattern, file));
            Vec::new()
        }
        ([names], false) => names
            .iter()
            .map(|name| ObjectPattern::Single(glob(name)))
            .collect(),
        ([schemas, names], false) => combine(schemas, names)
            .map(|(schema, name)| ObjectPattern::Qualified {
                schema: glob(schema),
                name: glob(name),
            })
            .collect(),
        _ => {
            let error = file.error(
                &pattern.span,
                "a rule is about whole relations",
                "names more than a relation",
            );
            diagnostics
                .push(error.with_help(
                    "write `schema.relation`; for columns, declare a class and mask it",
                ));
            Vec::new()
        }
    }
}

fn is_too_wide(pattern: &Pattern) -> bool {
    let count = pattern
        .parts
        .iter()
        .try_fold(1_usize, |count, names| count.checked_mul(names.len()));
    count.is_none_or(|count| count > ALTERNATIVES_MAX)
}

fn too_wide(pattern: &Pattern, file: &File) -> Diagnostic {
    file.error(
        &pattern.span,
        format!("a pattern stands for more than {ALTERNATIVES_MAX} names"),
        "too many alternatives",
    )
}

fn combine<'a>(
    left: &'a [PatternName],
    right: &'a [PatternName],
) -> impl Iterator<Item = (&'a PatternName, &'a PatternName)> {
    left.iter()
        .flat_map(move |one| right.iter().map(move |other| (one, other)))
}

//! Patterns: alternatives in braces spelled out, case decided. Class patterns ignore case (the engine lower-cases both
//! sides); rule patterns fold unquoted names as PostgreSQL does and take quoted ones exactly.

use std::sync::Arc;

use provost_engine::graph::{
    glob::Glob,
    name::NamePattern,
    rule::{ColumnPattern, ObjectPattern},
};

use super::{Check, symbols::Symbols};
use crate::{
    ast::{Name, Pattern, PatternName, PatternOf, Quoting},
    diagnostic::{Diagnostic, File},
};

/// How many patterns one pattern with braces may stand for.
const ALTERNATIVES_MAX: usize = 4096;

/// A class's pattern: `schema.relation.column`, or `schema.relation` for every column of it.
pub(super) fn columns(
    pattern: &Pattern,
    file: &File,
    symbols: &Symbols<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<ColumnPattern> {
    let PatternOf::Names(parts) = &pattern.of else {
        return Vec::new();
    };
    if !matches!(parts.len(), 2 | 3) {
        let error = file.error(
            &pattern.span,
            "a class is made of columns",
            "no pattern over columns",
        );
        diagnostics.push(error.with_help(
            "write `schema.relation.column`, `schema.relation` for all its columns, or the name of another class",
        ));
        return Vec::new();
    }
    let names = Names { file, symbols };
    let Some(parts) = names.spell_out(pattern, parts, Case::Ignored, diagnostics) else {
        return Vec::new();
    };
    match parts.as_slice() {
        [schemas, relations] => product(schemas, relations)
            .map(|(schema, relation)| ColumnPattern {
                schema,
                relation,
                column: NamePattern::any(),
            })
            .collect(),
        [schemas, relations, columns] => product(schemas, relations)
            .flat_map(|(schema, relation)| {
                columns.iter().map(move |column| ColumnPattern {
                    schema: schema.clone(),
                    relation: relation.clone(),
                    column: column.clone(),
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A rule's pattern: `schema.name`, `schema.relation.column`, `class name`, or `name` for what lies in no schema.
pub(super) fn objects(pattern: &Pattern, check: &mut Check<'_, '_>) -> Vec<ObjectPattern> {
    let parts = match &pattern.of {
        PatternOf::Class(class) => {
            let found = check
                .symbols
                .class(class, check.file, check.diagnostics)
                .is_some();
            return found
                .then(|| ObjectPattern::Class(Arc::from(&*class.value)))
                .into_iter()
                .collect();
        }
        PatternOf::Names(parts) => parts,
    };
    if parts.len() > 3 {
        check.error_with_help(
            &pattern.span,
            "a pattern has at most three parts",
            "too many parts",
            "write `schema.relation`, or `schema.relation.column` for uses of a column",
        );
        return Vec::new();
    }
    let names = Names {
        file: check.file,
        symbols: check.symbols,
    };
    let Some(parts) = names.spell_out(pattern, parts, Case::Folded, check.diagnostics) else {
        return Vec::new();
    };
    match parts.as_slice() {
        [names] => names.iter().cloned().map(ObjectPattern::Single).collect(),
        [schemas, names] => product(schemas, names)
            .map(|(schema, name)| ObjectPattern::Qualified { schema, name })
            .collect(),
        [schemas, relations, columns] => product(schemas, relations)
            .flat_map(|(schema, relation)| {
                columns.iter().map(move |column| {
                    ObjectPattern::Column(ColumnPattern {
                        schema: schema.clone(),
                        relation: relation.clone(),
                        column: column.clone(),
                    })
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// What becomes of the case of names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// It does not count.
    Ignored,
    /// Names without quotes are folded to lower case.
    Folded,
}

struct Names<'n, 'a> {
    file: &'n File,
    symbols: &'n Symbols<'a>,
}

impl Names<'_, '_> {
    /// The names of each part as patterns; nothing where one is not valid or there are too many.
    fn spell_out(
        &self,
        pattern: &Pattern,
        parts: &[Vec<PatternName>],
        case: Case,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Vec<Vec<NamePattern>>> {
        let count = parts
            .iter()
            .try_fold(1_usize, |count, names| count.checked_mul(names.len()))
            .filter(|count| *count <= ALTERNATIVES_MAX);
        let Some(count) = count else {
            let error = self.file.error(
                &pattern.span,
                format!("a pattern stands for more than {ALTERNATIVES_MAX} names"),
                "too many alternatives",
            );
            diagnostics.push(error.with_help("use stars in place of lists"));
            return None;
        };
        let at = Name {
            value: String::new(),
            span: pattern.span.clone(),
        };
        if !self.symbols.spend(count, &at, self.file, diagnostics) {
            return None;
        }
        let mut spelled = Vec::with_capacity(parts.len());
        let mut valid = true;
        for names in parts {
            let mut patterns = Vec::with_capacity(names.len());
            for name in names {
                match self.name(name, case, diagnostics) {
                    Some(pattern) => patterns.push(pattern),
                    None => valid = false,
                }
            }
            spelled.push(patterns);
        }
        valid.then_some(spelled)
    }

    fn name(
        &self,
        name: &PatternName,
        case: Case,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<NamePattern> {
        match (name.quoting, case) {
            (Quoting::Quoted, _) => Some(NamePattern::from(Glob::exactly(&name.text))),
            (Quoting::Plain, Case::Ignored) => Some(Glob::with_stars(&name.text).into()),
            // PostgreSQL folds ASCII letters only under UTF-8.
            (Quoting::Plain, Case::Folded) => {
                Some(Glob::with_stars(&name.text.to_ascii_lowercase()).into())
            }
            (Quoting::Regex, _) => {
                let source = Name {
                    value: name.text.clone(),
                    span: name.span.clone(),
                };
                self.symbols.regex(&source, self.file, diagnostics)
            }
        }
    }
}

fn product<'a>(
    left: &'a [NamePattern],
    right: &'a [NamePattern],
) -> impl Iterator<Item = (NamePattern, NamePattern)> + 'a {
    left.iter()
        .flat_map(move |one| right.iter().map(move |other| (one.clone(), other.clone())))
}

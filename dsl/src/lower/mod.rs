//! Syntax trees to the engine's rules: names resolved, patterns folded and spelled out, everything checked.
//!
//! Never drops a rule that has a mistake: any error means that nothing is compiled.

mod among;
mod asked;
mod condition;
mod contradiction;
mod invariant;
mod limit;
mod mask;
mod operations;
mod pattern;
pub(crate) mod proof;
mod rule;
mod schema;
mod single;
mod subjects;
mod symbols;
mod test;
mod time;
pub(crate) mod value;

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::{
    catalog::Catalog,
    graph::rule::{Invariant, Mode, Rule, RuleSet},
    verdict::BundleDigest,
};

use self::symbols::Symbols;
use crate::{
    ast::{Control, Item, Name, Span},
    diagnostic::{Diagnostic, File},
    load::is_built_in,
    testing::PolicyTest,
};

/// A parsed file.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) file: File,
    pub(crate) items: Vec<Item>,
}

/// What a set comes to.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) set: RuleSet,
    pub(crate) tests: Vec<PolicyTest>,
    /// Where its invariants are declared.
    pub(crate) places: Vec<proof::Place>,
}

/// What checking a declaration needs at hand.
struct Check<'c, 'a> {
    file: &'c File,
    symbols: &'c Symbols<'a>,
    schema: Option<&'c Catalog>,
    diagnostics: &'c mut Vec<Diagnostic>,
}

impl Check<'_, '_> {
    /// Reports an error.
    fn error(&mut self, span: &Span, message: impl Into<String>, label: impl Into<String>) {
        let error = self.file.error(span, message, label);
        self.diagnostics.push(error);
    }

    /// Reports an error with what to do about it.
    fn error_with_help(
        &mut self,
        span: &Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        let error = self.file.error(span, message, label).with_help(help);
        self.diagnostics.push(error);
    }

    /// Reports an unknown word with the nearest known one, or all of them.
    fn unknown<'k>(
        &mut self,
        what: &str,
        span: &Span,
        written: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        let error = self.file.error(
            span,
            format!("unknown {what} `{written}`"),
            format!("no such {what}"),
        );
        self.diagnostics.push(error.with_nearest(written, known));
    }

    /// Reports what is probably not meant.
    fn warn(
        &mut self,
        span: &Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<&str>,
    ) {
        let warning = self.file.warning(span, message, label);
        self.diagnostics.push(match help {
            Some(help) => warning.with_help(help),
            None => warning,
        });
    }

    /// What stands there, on one line.
    fn written(&self, span: &Span) -> String {
        self.file
            .text(span)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// A control's id in evidence: `nist-800-53:AC-3(11)`.
    fn control(&mut self, control: &Control) -> Option<Arc<str>> {
        self.symbols.control(control, self.file, self.diagnostics)
    }

    /// The issuer's names of a group.
    fn group(&mut self, name: &Name) -> Option<&symbols::GroupNames> {
        self.symbols.group(name, self.file, self.diagnostics)
    }

    /// How many errors there are so far.
    fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|one| one.is_error()).count()
    }
}

/// Resolves and checks a whole set. Errors and warnings go to `diagnostics`; the rules are whole only without errors. A class
/// that is `mentioned` elsewhere is used.
pub(crate) fn lower(
    files: &[Parsed],
    digest: BundleDigest,
    schema: Option<&Catalog>,
    mentioned: &BTreeSet<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Lowered {
    let symbols = Symbols::gather(files, diagnostics);
    let mut rules: Vec<Rule> = Vec::new();
    let mut invariants: Vec<Invariant> = Vec::new();
    let mut tests: Vec<PolicyTest> = Vec::new();
    let mut places: Vec<proof::Place> = Vec::new();
    let mut mode = Mode::Enforce;
    for parsed in files {
        let mut check = Check {
            file: &parsed.file,
            symbols: &symbols,
            schema,
            diagnostics,
        };
        for item in &parsed.items {
            match item {
                Item::Rule { name, clauses } => {
                    rules.extend(rule::lower(name, clauses, &mut check))
                }
                Item::Invariant { name, clauses } => {
                    if let Some(invariant) = invariant::lower(name, clauses, &mut check) {
                        places.push(proof::Place {
                            name: Arc::clone(&invariant.name),
                            file: parsed.file.clone(),
                            span: name.span.clone(),
                        });
                        invariants.push(invariant);
                    }
                }
                Item::Test { name, steps } => tests.extend(test::lower(name, steps, &mut check)),
                Item::Observe(what) if what.value == "everything" => mode = Mode::Observe,
                Item::Observe(what) => check.error_with_help(
                    &what.span,
                    format!("`observe {}` is not known", what.value),
                    "not known",
                    "write `observe everything`; for one rule, `observe` is a clause of its own",
                ),
                // What every set has holds for servers of all versions.
                Item::Class { .. } if is_built_in(parsed.file.name().as_ref()) => {}
                Item::Class { name, patterns } => {
                    schema::check_class(name, patterns, &mut check);
                }
                Item::Controls { .. } | Item::Group { .. } | Item::Exclude(_) | Item::Unread(_) => {
                }
            }
        }
    }
    // What could not be read may have used anything.
    if !files
        .iter()
        .any(|parsed| parsed.items.iter().any(crate::parser::is_partly_unread))
    {
        for name in mentioned {
            symbols.mark_used("class", name);
        }
        symbols.warn_unused(diagnostics);
    }
    rules.sort_by(|left, right| left.name.cmp(&right.name));
    invariants.sort_by(|left, right| left.name.cmp(&right.name));
    Lowered {
        set: RuleSet {
            digest,
            mode,
            classes: symbols.classes(),
            rules,
            invariants,
        },
        tests,
        places,
    }
}

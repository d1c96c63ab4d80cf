//! Syntax trees to the engine's rules: names resolved, patterns folded and spelled out, everything checked.
//!
//! Never drops a rule that has a mistake: any error means that nothing is compiled.

mod mask;
mod pattern;
mod rule;
mod symbols;

use provost_engine::{
    graph::rule::{Mode, Rule, RuleSet},
    verdict::BundleDigest,
};

use self::symbols::Symbols;
use crate::{
    ast::Item,
    diagnostic::{Diagnostic, File},
};

/// A parsed file.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) file: File,
    pub(crate) items: Vec<Item>,
}

/// Resolves and checks a whole set. Errors and warnings go to `diagnostics`; the rules are whole only without errors.
pub(crate) fn lower(
    files: &[Parsed],
    digest: BundleDigest,
    diagnostics: &mut Vec<Diagnostic>,
) -> RuleSet {
    let symbols = Symbols::gather(files, diagnostics);
    let mut rules: Vec<Rule> = Vec::new();
    for parsed in files {
        for item in &parsed.items {
            if let Item::Rule { name, clauses } = item {
                rules.extend(rule::lower(
                    name,
                    clauses,
                    &parsed.file,
                    &symbols,
                    diagnostics,
                ));
            }
        }
    }
    symbols.warn_unused(diagnostics);
    RuleSet {
        digest,
        mode: Mode::Enforce,
        invariants: Vec::new(),
        classes: symbols.classes(),
        rules,
    }
}

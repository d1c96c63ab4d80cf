//! Texts to a compiled policy. The order of the texts carries no meaning.

use std::{path::PathBuf, sync::Arc};

use provost_engine::{
    catalog::Catalog,
    graph::{self, CATALOG_VALUES, Policy, catalog_values, rule::ColumnPattern},
    verdict::BundleDigest,
};

use crate::{
    ast::Item,
    diagnostic::{Diagnostic, File},
    load::is_built_in,
    lower::{
        self, Lowered, Parsed,
        proof::{self, Deciding},
    },
    parser,
    rego::{self, RegoLimits},
    testing::PolicyTest,
};

/// A policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is, relative to the policy folder: part of the digest, and how diagnostics name it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A policy set that compiled.
#[derive(Debug)]
pub struct Compiled {
    /// What decides.
    pub policy: Policy,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// How many rules, the built-in pack's included.
    pub rules: usize,
    /// How many files, the built-in pack's included.
    pub files: usize,
    /// Where each rule stands that is not built in, by file and place.
    pub places: Vec<Place>,
    /// What became of each invariant, by file and place.
    pub invariants: Vec<Proved>,
    /// The `test` blocks, by file and place.
    pub tests: Vec<PolicyTest>,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: Arc<str>,
    /// Its file, as its [`Source`] names it.
    pub path: String,
    /// Its line, from 1.
    pub line: usize,
}

/// What became of an invariant. A broken one is an error: its set does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// Its name.
    pub name: Arc<str>,
    /// Its file, as its [`Source`] names it.
    pub path: String,
    /// Its line, from 1.
    pub line: usize,
    /// Why it can't be proved; `None`: it was.
    pub doubt: Option<String>,
}

/// Reads one file of the policy language by itself and says what is wrong with how it is written: what a file says of
/// others is not looked at.
#[must_use]
pub fn syntax(source: &Source) -> Vec<Diagnostic> {
    parser::parse(&source.text, &File::new(&source.path, &source.text)).1
}

/// Compiles a policy set, exactly the files given.
///
/// # Errors
/// Everything that is wrong with it, sorted by file and place; warnings are among them.
pub fn compile(sources: &[Source]) -> Result<Compiled, Vec<Diagnostic>> {
    compile_with(sources, None)
}

/// Compiles a policy set and checks it against a schema too: names that the schema does not have are warnings, a mask that
/// a column's type can't carry is an error.
///
/// # Errors
/// As [`compile()`].
pub fn compile_with(
    sources: &[Source],
    schema: Option<&Catalog>,
) -> Result<Compiled, Vec<Diagnostic>> {
    let digest = digest(&sorted(sources));
    compile_as(sources, digest, schema, RegoLimits::default())
}

/// Compiles a policy set with other limits for its Rego modules.
///
/// # Errors
/// As [`compile()`].
pub fn compile_within(sources: &[Source], limits: RegoLimits) -> Result<Compiled, Vec<Diagnostic>> {
    compile_as(sources, digest(&sorted(sources)), None, limits)
}

/// The classes that every set has, as a file that is in none: they belong to the language, not to the set.
fn built_in_classes() -> Source {
    let columns = catalog_values().into_iter().map(|one| {
        let ColumnPattern {
            schema,
            relation,
            column,
        } = one;
        format!("  {schema}.{relation}.{column}")
    });
    let columns: Vec<String> = columns.collect();
    Source {
        path: PathBuf::from("<built-in>/classes.pol"),
        text: format!("class {CATALOG_VALUES} =\n{}\n", columns.join(",\n")),
    }
}

/// The same, under a digest that is known already: a bundle's.
pub(crate) fn compile_as(
    sources: &[Source],
    digest: BundleDigest,
    schema: Option<&Catalog>,
    limits: RegoLimits,
) -> Result<Compiled, Vec<Diagnostic>> {
    let all = sorted(sources);
    let (modules, sources): (Vec<&Source>, Vec<&Source>) =
        all.iter().partition(|source| rego::is_rego(source));
    let mut diagnostics = Vec::new();
    let (modules, mentioned) = rego::compile(&modules, limits, &mut diagnostics);
    let classes = built_in_classes();
    let parsed: Vec<Parsed> = std::iter::once(&classes)
        .chain(sources)
        .map(|source| {
            let file = File::new(&source.path, &source.text);
            let (items, found) = parser::parse(&source.text, &file);
            diagnostics.extend(found);
            Parsed { file, items }
        })
        .collect();
    let deciding = if modules.is_empty() {
        Deciding::Rules
    } else {
        Deciding::WithModules
    };
    let Lowered { set, tests, places } =
        lower::lower(&parsed, digest, schema, &mentioned, &mut diagnostics);
    // What is proved of rules that have mistakes is nothing.
    let mut invariants = Vec::new();
    if !diagnostics.iter().any(Diagnostic::is_error) {
        invariants = proof::check(&set, &places, deciding, &mut diagnostics);
    }
    diagnostics
        .sort_by(|left, right| (left.path(), left.offset()).cmp(&(right.path(), right.offset())));
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(diagnostics);
    }
    let rules = set.rules.len();
    match graph::compile(set).and_then(|policy| policy.with_modules(modules)) {
        Ok(policy) => Ok(Compiled {
            policy,
            warnings: diagnostics,
            rules,
            files: all.len(),
            places: rules_in(&parsed),
            invariants,
            tests,
        }),
        Err(error) => {
            // Names were resolved before: what is left is the size of the whole set.
            let file = parsed
                .into_iter()
                .find(|parsed| !is_built_in(parsed.file.name().as_ref()))
                .map_or_else(|| File::new("policy".as_ref(), ""), |first| first.file);
            diagnostics.push(file.error(&(0..0), error.to_string(), "in this set"));
            Err(diagnostics)
        }
    }
}

/// Where the rules stand, in files that are not built in.
fn rules_in(parsed: &[Parsed]) -> Vec<Place> {
    let own = parsed
        .iter()
        .filter(|parsed| !is_built_in(parsed.file.name().as_ref()));
    own.flat_map(|parsed| {
        parsed.items.iter().filter_map(|item| match item {
            Item::Rule { name, .. } => Some(Place {
                name: name.value.as_str().into(),
                path: parsed.file.name().to_owned(),
                line: parsed.file.line(name.span.start),
            }),
            _ => None,
        })
    })
    .collect()
}

fn sorted(sources: &[Source]) -> Vec<&Source> {
    let mut sources: Vec<&Source> = sources.iter().collect();
    sources.sort_by(|left, right| (&left.path, &left.text).cmp(&(&right.path, &right.text)));
    sources
}

/// BLAKE3 over the sorted files, each path and text with its length before it: equal sets in equal places have equal
/// digests, whatever the order they were read in.
fn digest(sorted: &[&Source]) -> BundleDigest {
    let mut hasher = blake3::Hasher::new();
    for source in sorted {
        let path = source.path.to_string_lossy().replace('\\', "/");
        for part in [path.as_bytes(), source.text.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    BundleDigest(Arc::from(hasher.finalize().to_hex().as_str()))
}

//! Rego modules: `*.rego` files of a policy set, run by regorus' virtual machine. A module gets the facts as `input` and says
//! what it makes of them as `decision`; it joins like any rule. `docs/rego.md` is for authors.
//!
//! | part | holds |
//! |---|---|
//! | `reading` | what a text reads, calls and announces, found before it runs |
//! | `builtins` | the functions that a module may call |
//! | `guard` | what becomes of functions and operators that fail or make too much |
//! | `calls`, `values` | that rules don't call themselves, and have one value |
//! | `machine` | a module at work |
//! | [`input_schema()`], [`input_reference()`] | what a module is given, for programs and for people |
//!
//! Never lets a module read anything but the facts: same bundle, same facts, same decision.

mod builtins;
mod calls;
mod guard;
mod machine;
mod reading;
mod reference;
#[cfg(test)]
mod tests;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::Duration,
};

use provost_engine::graph::module::{Announced, Module, Reads};
use regorus::{CompiledPolicy, Engine, Value, languages::rego::compiler::Compiler, rvm::Program};

pub use self::reference::{decision_schema, input_reference, input_schema};
use self::{
    machine::{Machine, RegoModule},
    reading::Reading,
};
use crate::{
    ast::Span,
    catalogue,
    compile::Source,
    diagnostic::{Diagnostic, File},
};

/// The rule of a package that makes it a module.
const DECISION: &str = "decision";
/// The rule that names the controls which a module satisfies.
const CONTROLS: &str = "controls";

/// What a module may use for one answer. Whoever goes beyond is an error, and an error denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegoLimits {
    /// Instructions of the virtual machine. The same facts take the same number on every machine.
    pub instructions: usize,
    /// The facts as JSON, in bytes.
    pub input_bytes: usize,
    /// What the functions of one answer make, together, and what the answer takes; in bytes, by an estimate from above.
    pub value_bytes: usize,
    /// A backstop against values that grow with every instruction; looked at between instructions. Far above what the
    /// instructions take, so that it never decides on a machine that is merely slow.
    pub time: Duration,
}

impl Default for RegoLimits {
    fn default() -> Self {
        Self {
            instructions: 25_000,
            input_bytes: 1 << 20,
            value_bytes: 16 << 20,
            time: Duration::from_secs(1),
        }
    }
}

/// Whether a file of a policy set is a Rego module.
pub(crate) fn is_rego(source: &Source) -> bool {
    source
        .path
        .extension()
        .is_some_and(|extension| extension == "rego")
}

/// A file that was read.
struct Text<'a> {
    source: &'a Source,
    file: File,
    reading: Reading,
}

/// The stack of a compilation: regorus follows rules that call one another by calling itself.
const STACK_BYTES: usize = 256 << 20;
/// How large all the Rego files of a set may be together. regorus takes at most 4,000 rules of them.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Modules, and the texts that they write out.
type Compiled = (Vec<Arc<dyn Module>>, BTreeSet<String>);

/// Compiles the Rego files of a set. Mistakes go to `diagnostics`; with any, there are no modules.
pub(crate) fn compile(
    sources: &[&Source],
    limits: RegoLimits,
    diagnostics: &mut Vec<Diagnostic>,
) -> Compiled {
    let Some(first) = sources.first() else {
        return Compiled::default();
    };
    let file = File::new(&first.path, &first.text);
    let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
    if bytes > TEXT_BYTES_MAX {
        let message = format!(
            "the Rego files of this set take {bytes} bytes together, and {TEXT_BYTES_MAX} is the limit"
        );
        diagnostics.push(file.error(&(0..0), message, "the first of them"));
        return Compiled::default();
    }
    let compiled = thread::scope(|scope| {
        let work = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || {
                let mut found = Vec::new();
                let modules = compile_here(sources, limits, &mut found);
                (modules, found)
            });
        work.ok()?.join().ok()
    });
    if let Some((modules, found)) = compiled {
        diagnostics.extend(found);
        modules
    } else {
        let message = "the Rego files of this set can't be compiled: the compiler failed";
        diagnostics.push(file.error(&(0..0), message, "the first of them"));
        Compiled::default()
    }
}

fn compile_here(
    sources: &[&Source],
    limits: RegoLimits,
    diagnostics: &mut Vec<Diagnostic>,
) -> Compiled {
    let schema = input_schema();
    let mut texts = Vec::new();
    for source in sources {
        let file = File::new(&source.path, &source.text);
        if reading::is_nested_too_deep(&source.text, &file, diagnostics) {
            continue;
        }
        let mut alone = Engine::new();
        if let Err(error) = alone.add_policy(file.name().to_owned(), source.text.clone()) {
            diagnostics.push(located(
                &error.to_string(),
                std::slice::from_ref(&file),
                sources,
            ));
            continue;
        }
        if let Some(reading) = reading::read(&source.text, &file, &schema, diagnostics) {
            texts.push(Text {
                source,
                file,
                reading,
            });
        }
    }
    if texts.len() < sources.len() {
        return Compiled::default();
    }
    let found = packages(&texts, diagnostics);
    let before = diagnostics.len();
    let modules = link(&texts, &found, limits, sources, diagnostics);
    if diagnostics.iter().skip(before).any(Diagnostic::is_error) {
        return Compiled::default();
    }
    let written = texts.into_iter().flat_map(|text| text.reading.texts);
    (modules, written.collect())
}

/// What a package's files say together with all that they mention.
#[derive(Default)]
struct Package {
    reads: Reads,
    announced: Announced,
}

/// The packages of the set with what each may read and return.
fn packages(texts: &[Text<'_>], diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<String, Package> {
    let names: Vec<&str> = texts.iter().map(|text| &*text.reading.package).collect();
    let mut found = BTreeMap::new();
    for name in &names {
        let mut reached = vec![*name];
        let mut next = 0;
        while let Some(&package) = reached.get(next) {
            next += 1;
            let mentions = texts
                .iter()
                .filter(|text| text.reading.package == package)
                .flat_map(|text| &text.reading.mentions);
            for mention in mentions {
                for other in &names {
                    if (is_below(mention, other) || is_below(other, mention))
                        && !reached.contains(other)
                    {
                        reached.push(other);
                    }
                }
            }
        }
        let mut package = Package::default();
        let parts = texts
            .iter()
            .filter(|text| reached.contains(&&*text.reading.package));
        for Text { reading, .. } in parts {
            package.reads = union(package.reads, reading.reads);
            package.announced.masks |= reading.announced.masks;
            package.announced.output_masks |= reading.announced.output_masks;
        }
        found.insert((*name).to_owned(), package);
    }
    for text in texts {
        let depends = found
            .get(&text.reading.package)
            .is_some_and(|package| !package.reads.is_of_session());
        if let Some(span) = text.reading.masks_span.as_ref().filter(|_| depends) {
            let message = "`masks` must not depend on the statement: a mask that came and went could be got round";
            let error = text
                .file
                .error(span, message, "in a package that reads the statement");
            diagnostics.push(error.with_help(
                "return it from a package of its own that reads `input.principal`, `input.session` and `input.time` only, such as `package provost.masking`; or mask single results with `output_masks`",
            ));
        }
    }
    found
}

/// Whether one dotted path is the other or lies below it.
fn is_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn union(left: Reads, right: Reads) -> Reads {
    Reads {
        time: left.time || right.time,
        statement: left.statement || right.statement,
        circumstances: left.circumstances || right.circumstances,
        estimated_rows: left.estimated_rows || right.estimated_rows,
        novel: left.novel || right.novel,
    }
}

/// One program of all files, with an entry for each package's `decision` and `controls`.
fn link(
    texts: &[Text<'_>],
    packages: &BTreeMap<String, Package>,
    limits: RegoLimits,
    sources: &[&Source],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Arc<dyn Module>> {
    let files: Vec<File> = texts.iter().map(|text| text.file.clone()).collect();
    let mut engine = Engine::new();
    for text in texts {
        if let Err(error) = engine.add_policy(text.file.name().to_owned(), text.source.text.clone())
        {
            diagnostics.push(located(&error.to_string(), &files, sources));
            return Vec::new();
        }
    }
    let declared = |package: &str, rule: &str| {
        texts.iter().any(|text| {
            text.reading.package == package
                && engine
                    .has_declared_rule_rooted_at(text.file.name(), rule)
                    .unwrap_or(false)
        })
    };
    let deciding: Vec<&String> = packages
        .keys()
        .filter(|package| declared(package, DECISION))
        .collect();
    let Some(first) = deciding.first() else {
        if let Some(text) = texts.first() {
            let error = text.file.error(
                &text.reading.package_span,
                "no Rego file of this set decides anything",
                "no rule `decision` in any package",
            );
            diagnostics.push(
                error.with_help("write `decision contains {\"verdict\": \"deny\"} if { ... }`"),
            );
        }
        return Vec::new();
    };
    let mut entries: Vec<String> = Vec::new();
    for package in &deciding {
        entries.push(format!("data.{package}.{DECISION}"));
        if declared(package, CONTROLS) {
            entries.push(format!("data.{package}.{CONTROLS}"));
        }
    }
    let compiled: Result<CompiledPolicy, _> =
        engine.compile_with_entrypoint(&format!("data.{first}.{DECISION}").into());
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(error) => {
            diagnostics.push(located(&error.to_string(), &files, sources));
            return Vec::new();
        }
    };
    let Some(program) = program(&compiled, &entries, &files, sources, diagnostics) else {
        return Vec::new();
    };
    let machine = Arc::new(Machine { program, limits });
    deciding
        .into_iter()
        .filter_map(|name| {
            let package = packages.get(name)?;
            let text = texts.iter().find(|text| text.reading.package == *name)?;
            let controls = if entries.contains(&format!("data.{name}.{CONTROLS}")) {
                controls(&machine, name, text, diagnostics)
            } else {
                Vec::new()
            };
            Some(Arc::new(RegoModule {
                name: Arc::from(format!("rego:{name}")),
                rule: format!("data.{name}.{DECISION}"),
                controls,
                reads: package.reads,
                announced: package.announced,
                machine: Arc::clone(&machine),
            }) as Arc<dyn Module>)
        })
        .collect()
}

fn program(
    compiled: &CompiledPolicy,
    entries: &[String],
    files: &[File],
    sources: &[&Source],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Arc<Program>> {
    let names: Vec<&str> = entries.iter().map(String::as_str).collect();
    let mut program = match Compiler::compile_from_policy(compiled, &names) {
        Ok(program) => program,
        Err(error) => {
            let message = error.error.to_string();
            let place = error.span.and_then(|span| {
                let file = files
                    .iter()
                    .find(|file| file.name() == span.source.get_path())?;
                Some((file, span.start as usize..span.end as usize))
            });
            diagnostics.push(match place {
                Some((file, span)) => file.error(&span, lower_first(&message), "here"),
                None => located(&message, files, sources),
            });
            return None;
        }
    };
    // INVARIANT: whatever way a call was written, only listed functions are in the program.
    let unlisted = program
        .builtin_info_table
        .iter()
        .find(|function| builtins::function(&function.name).is_none());
    if let Some(function) = unlisted {
        let message = format!("a module may not call `{}`", function.name);
        diagnostics.push(located(&message, files, sources));
        return None;
    }
    if program.has_host_await {
        diagnostics.push(located(
            "a module may not wait for its host",
            files,
            sources,
        ));
        return None;
    }
    let mistakes = calls::check(&program, files, sources);
    if !mistakes.is_empty() {
        diagnostics.extend(mistakes);
        return None;
    }
    let changed = Arc::make_mut(&mut program);
    guard::guard(changed);
    if values::check_each(changed).is_none() {
        diagnostics.push(located("the modules are too large", files, sources));
        return None;
    }
    if let Some(place) = values::stray_condition(changed) {
        let place = changed.get_instruction_span(place);
        let place = place.and_then(|span| {
            let name = changed.get_source_name(span.source_index)?;
            Some(format!("--> {name}:{}:{}:", span.line, span.column))
        });
        let message = "a comprehension within an iteration begins with its own: `some ... in` comes before its conditions";
        let error = format!("{} error: {message}", place.unwrap_or_default());
        diagnostics.push(located(&error, files, sources));
        return None;
    }
    Some(program)
}

/// The controls of a module: a constant list of ids in full, each in its catalogue.
fn controls(
    machine: &Machine,
    package: &str,
    text: &Text<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Arc<str>> {
    let said = machine.run(&format!("data.{package}.{CONTROLS}"), Value::new_object());
    let ids = said
        .ok()
        .and_then(|value| serde_json::to_value(value).ok())
        .and_then(|value| serde_json::from_value::<Vec<String>>(value).ok());
    let span =
        place_of(&text.source.text, CONTROLS).unwrap_or_else(|| text.reading.package_span.clone());
    let Some(mut ids) = ids else {
        let error = text.file.error(
            &span,
            format!("`{CONTROLS}` of package `{package}` is no constant list of texts"),
            "not constant",
        );
        diagnostics.push(error.with_help("write `controls := [\"nist-800-53:AC-3\"]`"));
        return Vec::new();
    };
    ids.sort();
    ids.dedup();
    for id in &ids {
        let known = id.split_once(':').and_then(|(framework, control)| {
            let framework = catalogue::framework(framework)?;
            Some((framework, control))
        });
        match known {
            Some((framework, control)) if framework.title(control).is_some() => {}
            Some((framework, control)) => {
                let message = format!("`{control}` is not in the catalogue of {}", framework.name);
                let error = text.file.error(&span, message, "unknown control");
                diagnostics.push(error.with_nearest(control, framework.controls()));
            }
            None => {
                let message = format!("`{id}` names no catalogue");
                let error = text.file.error(&span, message, "unknown framework");
                diagnostics.push(error.with_help("write it like `nist-800-53:AC-3`"));
            }
        }
    }
    ids.into_iter().map(Arc::from).collect()
}

/// Where a line begins with the name.
fn place_of(text: &str, name: &str) -> Option<Span> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with(name) {
            return Some(start..start + name.len());
        }
        start += line.len();
    }
    None
}

/// A diagnostic from regorus' text: `--> file:line:column` and, at its end, `error: what`.
fn located(error: &str, files: &[File], sources: &[&Source]) -> Diagnostic {
    let message = error
        .rsplit_once("error: ")
        .map_or(error, |(_, message)| message)
        .lines()
        .collect::<Vec<_>>()
        .join(" ");
    let message = lower_first(&message);
    for file in files {
        let Some((_, rest)) = error.split_once(&format!("--> {}:", file.name())) else {
            continue;
        };
        let mut numbers = rest.split(|letter: char| !letter.is_ascii_digit());
        let mut number = || numbers.next()?.parse::<usize>().ok();
        let (Some(line), Some(column)) = (number(), number()) else {
            continue;
        };
        let text = sources
            .iter()
            .find(|source| source.path.display().to_string() == file.name())
            .map_or("", |source| &source.text);
        return file.error(&offset(text, line, column), message, "here");
    }
    match files.first() {
        Some(file) => file.error(&(0..0), message, "in this set"),
        None => File::new("policy".as_ref(), "").error(&(0..0), message, "in this set"),
    }
}

/// The byte at a line and column, both from 1; a tab takes four columns, as regorus counts.
fn offset(text: &str, line: usize, column: usize) -> Span {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let mut reached = 1;
    for (at, letter) in text.get(start..).unwrap_or_default().char_indices() {
        if reached >= column || letter == '\n' {
            return start + at..start + at;
        }
        reached += if letter == '\t' { 4 } else { 1 };
    }
    text.len()..text.len()
}

/// Our messages begin in lower case.
fn lower_first(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

//! What a policy set declares: control aliases, groups, classes, rules. Each name means one thing in the whole set.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use provost_engine::graph::rule::{Class, ColumnPattern, Group};

use super::{Parsed, pattern};
use crate::{
    ast::{Control, Item, Name, Pattern},
    catalogue::{self, Framework},
    diagnostic::{Diagnostic, File},
};

/// The packs that a policy may exclude.
pub(super) const PACKS: &[&str] = &[crate::BASELINE];

/// A declared name with where it was declared.
struct Declared<'a, T> {
    value: T,
    name: &'a Name,
    file: &'a File,
}

type Table<'a, T> = BTreeMap<&'a str, Declared<'a, T>>;

/// The declarations of a set.
pub(super) struct Symbols<'a> {
    aliases: Table<'a, &'static Framework>,
    groups: Table<'a, Group>,
    classes: Table<'a, Vec<ColumnPattern>>,
    /// Names whose declaration has a mistake: using them is none of its own.
    broken: BTreeSet<&'a str>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Symbols<'a> {
    pub(super) fn gather(files: &'a [Parsed], diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut symbols = Self {
            aliases: Table::new(),
            groups: Table::new(),
            classes: Table::new(),
            broken: BTreeSet::new(),
            used: RefCell::default(),
        };
        let mut rules: Table<'a, ()> = Table::new();
        for Parsed { file, items } in files {
            for item in items {
                match item {
                    Item::Controls { alias, framework } => {
                        symbols.declare_alias(alias, framework, file, diagnostics)
                    }
                    Item::Group { name, members } => {
                        let members: Group = members
                            .iter()
                            .map(|member| Arc::from(&*member.value))
                            .collect();
                        declare(
                            &mut symbols.groups,
                            "group",
                            members,
                            name,
                            file,
                            diagnostics,
                        );
                    }
                    Item::Class { name, patterns } => {
                        symbols.declare_class(name, patterns, file, diagnostics)
                    }
                    Item::Rule { name, clauses: _ } => {
                        declare(&mut rules, "rule", (), name, file, diagnostics)
                    }
                    Item::Exclude(pack) => {
                        if !PACKS.contains(&&*pack.value) {
                            let error = file.error(
                                &pack.span,
                                format!("unknown pack `{}`", pack.value),
                                "no such pack",
                            );
                            diagnostics
                                .push(error.with_nearest(&pack.value, PACKS.iter().copied()));
                        }
                    }
                    Item::Absent => {}
                }
            }
        }
        symbols
    }

    fn declare_alias(
        &mut self,
        alias: &'a Name,
        framework: &Name,
        file: &'a File,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let Some(found) = catalogue::framework(&framework.value) else {
            let known = catalogue::frameworks()
                .iter()
                .map(|framework| &*framework.id);
            let error = file.error(
                &framework.span,
                format!("unknown framework `{}`", framework.value),
                "no such catalogue",
            );
            diagnostics.push(error.with_nearest(&framework.value, known));
            self.broken.insert(&alias.value);
            return;
        };
        // Every file may say what it calls a framework, as long as they agree.
        if self
            .aliases
            .get(&*alias.value)
            .is_some_and(|declared| declared.value == found)
        {
            return;
        }
        declare(
            &mut self.aliases,
            "controls alias",
            found,
            alias,
            file,
            diagnostics,
        );
    }

    fn declare_class(
        &mut self,
        name: &'a Name,
        patterns: &[Pattern],
        file: &'a File,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let before = diagnostics.len();
        let columns: Vec<ColumnPattern> = patterns
            .iter()
            .flat_map(|one| pattern::columns(one, file, diagnostics))
            .collect();
        if diagnostics.len() > before {
            self.broken.insert(&name.value);
        }
        declare(&mut self.classes, "class", columns, name, file, diagnostics);
    }

    /// The issuer's names of a group.
    pub(super) fn group(
        &self,
        name: &Name,
        file: &File,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Group> {
        self.resolve(&self.groups, "group", name, file, diagnostics)
            .cloned()
    }

    /// A class's patterns.
    pub(super) fn class(
        &self,
        name: &Name,
        file: &File,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<&[ColumnPattern]> {
        self.resolve(&self.classes, "class", name, file, diagnostics)
            .map(Vec::as_slice)
    }

    /// A control's id in evidence: `nist-800-53:AC-3(11)`.
    pub(super) fn control(
        &self,
        control: &Control,
        file: &File,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Arc<str>> {
        let framework = self.resolve(
            &self.aliases,
            "controls alias",
            &control.alias,
            file,
            diagnostics,
        )?;
        let id = control
            .id
            .value
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        if framework.title(&id).is_none() {
            let message = format!("`{id}` is not in the catalogue of {}", framework.name);
            let error = file.error(&control.id.span, message, "unknown control");
            diagnostics.push(error.with_nearest(&id, framework.controls()));
            return None;
        }
        Some(Arc::from(format!("{}:{id}", framework.id)))
    }

    fn resolve<'s, T>(
        &self,
        table: &'s Table<'a, T>,
        sort: &str,
        name: &Name,
        file: &File,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<&'s T> {
        self.used
            .borrow_mut()
            .insert(format!("{sort} {}", name.value));
        if let Some(declared) = table.get(&*name.value) {
            return Some(&declared.value);
        }
        if !self.broken.contains(&*name.value) {
            let error = file.error(
                &name.span,
                format!("unknown {sort} `{}`", name.value),
                "not declared",
            );
            diagnostics.push(error.with_nearest(&name.value, table.keys().copied()));
        }
        None
    }

    pub(super) fn warn_unused(&self, diagnostics: &mut Vec<Diagnostic>) {
        warn_unused(&self.groups, "group", &self.used.borrow(), diagnostics);
        warn_unused(&self.classes, "class", &self.used.borrow(), diagnostics);
        warn_unused(
            &self.aliases,
            "controls alias",
            &self.used.borrow(),
            diagnostics,
        );
    }

    pub(super) fn classes(self) -> Vec<Class> {
        self.classes
            .into_iter()
            .map(|(name, declared)| Class {
                name: Arc::from(name),
                columns: declared.value,
            })
            .collect()
    }
}

fn declare<'a, T>(
    table: &mut Table<'a, T>,
    sort: &str,
    value: T,
    name: &'a Name,
    file: &'a File,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if let Some(first) = table.get(&*name.value) {
        let error = file.error(
            &name.span,
            format!("two declarations of the {sort} `{}`", name.value),
            "declared again",
        );
        diagnostics.push(if first.file.name() == file.name() {
            error.with_label(&first.name.span, "first declared here")
        } else {
            error.with_help(format!("it is first declared in `{}`", first.file.name()))
        });
        return;
    }
    table.insert(&name.value, Declared { value, name, file });
}

fn warn_unused<T>(
    table: &Table<'_, T>,
    sort: &str,
    used: &BTreeSet<String>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (name, declared) in table {
        if !used.contains(&format!("{sort} {name}")) {
            let message = format!("the {sort} `{name}` is not used");
            diagnostics.push(declared.file.warning(
                &declared.name.span,
                message,
                "no rule names it",
            ));
        }
    }
}

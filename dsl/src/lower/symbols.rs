//! What a policy set declares: control aliases, groups, classes, rules. Each name means one thing in the whole set.
//! Never follows a circle: a class or group that contains itself is an error with the way round.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use provost_engine::graph::{
    ENTRIES_MAX,
    name::{NamePattern, NameRegex},
    rule::{Class, ColumnPattern, Group},
};

use super::{Parsed, pattern};
use crate::{
    ast::{Control, GroupMember, Item, Name, Pattern, PatternOf, Quoting},
    catalogue::{self, Framework},
    diagnostic::{Diagnostic, File, nearest},
    load::is_built_in,
};

/// The packs that a policy may exclude.
pub(super) const PACKS: &[&str] = &[crate::BASELINE];
/// How deep classes (or groups) may contain each other; deeper is an error.
const NESTED_MAX: usize = 32;
/// How many different regular expressions a set may have; each takes up to a megabyte once compiled.
const REGEXES_MAX: usize = 200;

/// A declared name with where it was declared.
struct Declared<'a, T> {
    value: T,
    name: &'a Name,
    file: &'a File,
}

type Table<'a, T> = BTreeMap<&'a str, Declared<'a, T>>;

/// The issuer's names of a group.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupNames {
    /// Sorted, each once.
    pub(super) names: Group,
    /// The one written first.
    pub(super) first: Option<Arc<str>>,
}

/// The declarations of a set.
pub(super) struct Symbols<'a> {
    aliases: Table<'a, &'static Framework>,
    groups: Table<'a, GroupNames>,
    classes: Table<'a, Vec<ColumnPattern>>,
    rules: Table<'a, ()>,
    /// Names whose declaration has a mistake: using them is none of its own.
    broken: BTreeSet<&'a str>,
    used: RefCell<BTreeSet<String>>,
    /// How many patterns and group members may still be spelled out.
    left: Cell<usize>,
    regexes: RefCell<HashMap<String, NameRegex>>,
}

impl<'a> Symbols<'a> {
    pub(super) fn gather(files: &'a [Parsed], diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut symbols = Self {
            aliases: Table::new(),
            groups: Table::new(),
            classes: Table::new(),
            rules: Table::new(),
            broken: BTreeSet::new(),
            used: RefCell::default(),
            left: Cell::new(ENTRIES_MAX),
            regexes: RefCell::default(),
        };
        let mut groups: Table<'a, &'a [GroupMember]> = Table::new();
        let mut classes: Table<'a, &'a [Pattern]> = Table::new();
        let mut invariants: Table<'a, ()> = Table::new();
        let mut tests: Table<'a, ()> = Table::new();
        for Parsed { file, items } in files {
            for item in items {
                match item {
                    Item::Controls { alias, framework } => {
                        symbols.declare_alias(alias, framework, file, diagnostics);
                    }
                    Item::Group { name, members } => {
                        declare(&mut groups, "group", members, name, file, diagnostics);
                    }
                    Item::Class { name, patterns } => {
                        declare(&mut classes, "class", patterns, name, file, diagnostics);
                    }
                    Item::Rule { name, .. } => {
                        declare(&mut symbols.rules, "rule", (), name, file, diagnostics);
                    }
                    Item::Invariant { name, .. } => {
                        declare(&mut invariants, "invariant", (), name, file, diagnostics);
                    }
                    Item::Test { name, .. } => {
                        declare(&mut tests, "test", (), name, file, diagnostics);
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
                    Item::Unread(name) => {
                        symbols
                            .broken
                            .extend(name.as_ref().map(|name| &*name.value));
                    }
                    Item::Observe(_) => {}
                }
            }
        }
        symbols.resolve_groups(&groups, diagnostics);
        symbols.resolve_classes(&classes, diagnostics);
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

    fn resolve_groups(
        &mut self,
        declared: &Table<'a, &'a [GroupMember]>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let walk = Walk {
            sort: "group",
            symbols: self,
            declared,
            named: &|member| match member {
                GroupMember::Declared(name) => Some(name.clone()),
                GroupMember::Issued(_) => None,
            },
            leaf: &|member, file, diagnostics| {
                let (GroupMember::Issued(name) | GroupMember::Declared(name)) = member;
                if name.value.is_empty() {
                    let error = file.error(&name.span, "a group without a name", "empty");
                    diagnostics
                        .push(error.with_help("write the name that the token has, in quotes"));
                    return Vec::new();
                }
                vec![Arc::<str>::from(&*name.value)]
            },
        };
        let spelled = walk.all(diagnostics);
        for (name, spelled) in spelled {
            let Some(group) = declared.get(name) else {
                continue;
            };
            let mut names = spelled.members;
            let first = names.first().map(Arc::clone);
            names.sort_unstable();
            names.dedup();
            if !spelled.whole {
                self.broken.insert(name);
            }
            self.groups.insert(
                name,
                Declared {
                    value: GroupNames { names, first },
                    name: group.name,
                    file: group.file,
                },
            );
        }
    }

    fn resolve_classes(
        &mut self,
        declared: &Table<'a, &'a [Pattern]>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let walk = Walk {
            sort: "class",
            symbols: self,
            declared,
            named: &named_class,
            leaf: &|one, file, diagnostics| pattern::columns(one, file, self, diagnostics),
        };
        let spelled = walk.all(diagnostics);
        for (name, spelled) in spelled {
            let Some(class) = declared.get(name) else {
                continue;
            };
            let mut columns = spelled.members;
            let mut seen = HashSet::new();
            columns.retain(|column| seen.insert(column.clone()));
            if !spelled.whole {
                self.broken.insert(name);
            }
            self.classes.insert(
                name,
                Declared {
                    value: columns,
                    name: class.name,
                    file: class.file,
                },
            );
        }
    }

    /// Counts what is spelled out against what a set may have; reports once where it is too much.
    pub(super) fn spend(
        &self,
        count: usize,
        at: &Name,
        file: &File,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> bool {
        let left = self.left.get();
        if count <= left {
            self.left.set(left - count);
            return true;
        }
        if left > 0 {
            let error = file.error(
                &at.span,
                format!("the set stands for more than {ENTRIES_MAX} patterns and group members"),
                "one too many",
            );
            diagnostics.push(error.with_help("use stars in place of lists, or a smaller set"));
        }
        self.left.set(0);
        false
    }

    /// A regular expression over a whole name, compiled once for the set.
    pub(super) fn regex(
        &self,
        source: &Name,
        file: &File,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<NamePattern> {
        if let Some(regex) = self.regexes.borrow().get(&source.value) {
            return Some(NamePattern::Regex(regex.clone()));
        }
        if self.regexes.borrow().len() >= REGEXES_MAX {
            let error = file.error(
                &source.span,
                format!("more than {REGEXES_MAX} different regular expressions in the set"),
                "one too many",
            );
            diagnostics.push(error.with_help("use names with stars: `cust*`"));
            return None;
        }
        match NameRegex::new(&source.value) {
            Ok(regex) => {
                self.regexes
                    .borrow_mut()
                    .insert(source.value.clone(), regex.clone());
                Some(NamePattern::Regex(regex))
            }
            Err(why) => {
                // The compiler draws its own picture; its last line says what is wrong.
                let words = why.to_string();
                let last = words.lines().next_back().unwrap_or_default();
                let reason = last.trim().trim_start_matches("error: ");
                let error = file.error(
                    &source.span,
                    format!("`/{}/` is not a regular expression", source.value),
                    reason,
                );
                diagnostics.push(error.with_help(
                    "it must match a whole name, such as `/ssn|.*_ssn/`; the syntax is that of the Rust crate `regex`",
                ));
                None
            }
        }
    }

    /// The issuer's names of a group.
    pub(super) fn group(
        &self,
        name: &Name,
        file: &File,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<&GroupNames> {
        self.resolve(&self.groups, "group", name, file, diagnostics)
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

    /// A class's patterns, if there is such a class; says nothing.
    pub(super) fn columns_of(&self, name: &str) -> &[ColumnPattern] {
        self.classes
            .get(name)
            .map_or(&[], |declared| declared.value.as_slice())
    }

    /// Whether a rule is called so.
    pub(super) fn rule(&self, name: &Name, file: &File, diagnostics: &mut Vec<Diagnostic>) -> bool {
        self.resolve(&self.rules, "rule", name, file, diagnostics)
            .is_some()
    }

    /// Whether a group is called so; says nothing.
    pub(super) fn is_group(&self, name: &str) -> bool {
        self.groups.contains_key(name)
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

    pub(super) fn mark_used(&self, sort: &str, name: &str) {
        self.used.borrow_mut().insert(format!("{sort} {name}"));
    }

    fn resolve<'s, T>(
        &self,
        table: &'s Table<'a, T>,
        sort: &str,
        name: &Name,
        file: &File,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<&'s T> {
        self.mark_used(sort, &name.value);
        if let Some(declared) = table.get(&*name.value) {
            return Some(&declared.value);
        }
        if !self.broken.contains(&*name.value) {
            let error = file.error(
                &name.span,
                format!("unknown {sort} `{}`", name.value),
                "not declared",
            );
            // What every set has is spoken of where it may be meant.
            let known = table.iter().filter(|(key, declared)| {
                !is_built_in(declared.file.name().as_ref())
                    || nearest(&name.value, &[key]).is_some()
            });
            let error = error.with_nearest(&name.value, known.map(|(key, _)| *key));
            let declare = match sort {
                "group" => format!(
                    "declare it: `group {} = \"its-name-in-the-token\"`",
                    name.value
                ),
                "class" => format!(
                    "declare it: `class {} = schema.relation.column`",
                    name.value
                ),
                "controls alias" => format!("declare it: `controls {} = nist-800-53`", name.value),
                _ => String::new(),
            };
            diagnostics.push(if error.help_text().is_none() && !declare.is_empty() {
                error.with_help(declare)
            } else {
                error
            });
        }
        None
    }

    pub(super) fn warn_unused(&self, diagnostics: &mut Vec<Diagnostic>) {
        let used = self.used.borrow();
        warn_unused(&self.groups, "group", &used, diagnostics);
        warn_unused(&self.classes, "class", &used, diagnostics);
        warn_unused(&self.aliases, "controls alias", &used, diagnostics);
    }

    /// The classes of the set; of those that every set has, the used ones.
    pub(super) fn classes(self) -> Vec<Class> {
        let used = self.used.into_inner();
        self.classes
            .into_iter()
            .filter(|(name, declared)| {
                !is_built_in(declared.file.name().as_ref())
                    || used.contains(&format!("class {name}"))
            })
            .map(|(name, declared)| Class {
                name: Arc::from(name),
                columns: declared.value,
            })
            .collect()
    }
}

/// The class that a class's pattern names: a name of one part.
fn named_class(pattern: &Pattern) -> Option<Name> {
    match &pattern.of {
        PatternOf::Class(name) => Some(name.clone()),
        PatternOf::Names(parts) => match parts.as_slice() {
            [only] => match only.as_slice() {
                [name] if name.quoting == Quoting::Plain && !name.text.contains('*') => {
                    Some(Name {
                        value: name.text.clone(),
                        span: name.span.clone(),
                    })
                }
                _ => None,
            },
            _ => None,
        },
    }
}

type Leaf<'w, 'a, M, V> = &'w dyn Fn(&'a M, &'a File, &mut Vec<Diagnostic>) -> Vec<V>;

/// Spells out classes of classes, and groups of groups, each once.
struct Walk<'w, 'a, M, V> {
    sort: &'static str,
    symbols: &'w Symbols<'a>,
    declared: &'w Table<'a, &'a [M]>,
    /// The other declaration that a member names.
    named: &'w dyn Fn(&'a M) -> Option<Name>,
    /// What any other member stands for. What it reports is a mistake.
    leaf: Leaf<'w, 'a, M, V>,
}

/// What a declaration stands for.
struct Spelled<V> {
    members: Vec<V>,
    /// Whether there was no mistake.
    whole: bool,
    /// How many declarations are within each other.
    height: usize,
}

type SpelledTable<'a, V> = BTreeMap<&'a str, Spelled<V>>;

impl<'a, M, V: Clone> Walk<'_, 'a, M, V> {
    fn all(&self, diagnostics: &mut Vec<Diagnostic>) -> SpelledTable<'a, V> {
        let mut done = SpelledTable::new();
        for name in self.declared.keys() {
            self.one(name, &mut Vec::new(), &mut done, diagnostics);
        }
        done
    }

    fn one(
        &self,
        key: &'a str,
        path: &mut Vec<&'a str>,
        done: &mut SpelledTable<'a, V>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let Some(declared) = self.declared.get(key).filter(|_| !done.contains_key(key)) else {
            return;
        };
        let mut spelled = Spelled {
            members: Vec::new(),
            whole: true,
            height: 1,
        };
        path.push(key);
        for member in declared.value {
            let Some(name) = (self.named)(member) else {
                let before = diagnostics.len();
                spelled
                    .members
                    .extend((self.leaf)(member, declared.file, diagnostics));
                spelled.whole &= diagnostics.len() == before;
                continue;
            };
            spelled.whole &= self.within(&name, declared.file, path, done, diagnostics);
            let Some(inner) = done.get(&*name.value) else {
                continue;
            };
            spelled.whole &= inner.whole
                && self
                    .symbols
                    .spend(inner.members.len(), &name, declared.file, diagnostics);
            if spelled.whole {
                spelled.members.extend(inner.members.iter().cloned());
            }
            spelled.height = spelled.height.max(inner.height + 1);
        }
        path.pop();
        done.insert(key, spelled);
    }

    /// Sees to it that what a member names is spelled out; `false` where it can't be, which is reported.
    fn within(
        &self,
        name: &Name,
        file: &File,
        path: &mut Vec<&'a str>,
        done: &mut SpelledTable<'a, V>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> bool {
        let sort = self.sort;
        self.symbols.mark_used(sort, &name.value);
        let Some((key, _)) = self.declared.get_key_value(&*name.value) else {
            if !self.symbols.broken.contains(&*name.value) {
                diagnostics.push(self.undeclared(name, file));
            }
            return false;
        };
        if let Some(from) = path.iter().position(|one| one == key) {
            let way: Vec<&str> = path.iter().copied().skip(from).chain([*key]).collect();
            let error = file.error(
                &name.span,
                format!("the {sort} `{key}` contains itself"),
                "leads back",
            );
            diagnostics.push(error.with_help(format!("the way round: {}", way.join(" -> "))));
            return false;
        }
        if path.len() < NESTED_MAX {
            self.one(key, path, done, diagnostics);
        }
        if done.get(key).is_none_or(|inner| inner.height >= NESTED_MAX) {
            diagnostics.push(file.error(
                &name.span,
                format!("more than {NESTED_MAX} of {sort} within {sort}"),
                "too deep",
            ));
            return false;
        }
        true
    }

    fn undeclared(&self, name: &Name, file: &File) -> Diagnostic {
        let error = file.error(
            &name.span,
            format!("unknown {} `{}`", self.sort, name.value),
            "not declared",
        );
        let known: Vec<&str> = self.declared.keys().copied().collect();
        let meant = nearest(&name.value, &known)
            .map(|meant| format!("did you mean `{meant}`? "))
            .unwrap_or_default();
        error.with_help(match self.sort {
            "class" => format!(
                "{meant}a class is made of columns (`schema.relation.column`, or `schema.relation` for all of its columns) and of other classes"
            ),
            _ => format!(
                "{meant}the issuer's names of groups are written in quotes: `\"{}\"`",
                name.value
            ),
        })
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
        if !is_built_in(declared.file.name().as_ref()) && !used.contains(&format!("{sort} {name}"))
        {
            let message = format!("the {sort} `{name}` is not used");
            diagnostics.push(declared.file.warning(
                &declared.name.span,
                message,
                "no rule names it",
            ));
        }
    }
}

//! Rules to tables. Never drops a rule: what it can't compile is an error.

use std::{collections::HashMap, sync::Arc};

use super::{
    Classes, CompiledMask, CompiledRule, CompiledSubjects, Entry, Error, Leaning, Policy,
    glob::Glob,
    index::{Bits, NameTable},
    rule::{
        Audience, Class, ColumnPattern, Effect, Group, Mask, ObjectPattern, Rule, RuleSet, Scope,
        Subjects,
    },
};
use crate::facts::Operation;

/// How many patterns (of rules, and of classes) a policy may have; more are [`Error::TooManyEntries`].
pub const ENTRIES_MAX: usize = 100_000;

/// Compiles a rule set.
///
/// # Errors
/// [`enum@Error`]: an unknown class, two rules of one name, too many patterns.
pub fn compile(set: RuleSet) -> Result<Policy, Error> {
    let RuleSet {
        digest,
        mut classes,
        mut rules,
    } = set;
    rules.sort_by(|left, right| left.name.cmp(&right.name));
    classes.sort_by(|left, right| left.name.cmp(&right.name));
    if let Some([first, _]) = rules
        .array_windows()
        .find(|[left, right]| left.name == right.name)
    {
        return Err(Error::DuplicateRule {
            rule: Arc::clone(&first.name),
        });
    }

    let groups = number_groups(&rules);
    let boxes: Vec<Box<'_>> = rules
        .iter()
        .enumerate()
        .flat_map(|(index, rule)| boxes(index, rule))
        .collect();
    let class_patterns = classes
        .iter()
        .map(|class| class.columns.len())
        .sum::<usize>();
    let count = boxes.len().max(class_patterns);
    if count > ENTRIES_MAX {
        return Err(Error::TooManyEntries { count });
    }

    let masks = masks(&rules, &classes)?;
    let mut masked = Bits::empty(classes.len());
    for mask in &masks {
        masked.add_all(&mask.classes);
    }
    let width = boxes.len();
    let select = |wanted: &dyn Fn(&Box<'_>) -> bool| {
        let mut bits = Bits::empty(width);
        boxes
            .iter()
            .enumerate()
            .filter(|(_, entry)| wanted(entry))
            .for_each(|(index, _)| bits.insert(index));
        bits
    };
    let table = |part: &dyn Fn(&'_ ObjectPattern) -> Option<Glob>| {
        // Entries without `on` match any name; entries of the other sort of pattern are left out.
        let patterns: Vec<(usize, Option<Glob>)> = boxes
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| match entry.object {
                None => Some((index, None)),
                Some(pattern) => part(pattern).map(|glob| (index, Some(glob))),
            })
            .collect();
        NameTable::new(
            width,
            patterns.iter().map(|(index, glob)| (*index, glob.as_ref())),
        )
    };

    Ok(Policy {
        digest,
        allows: select(&|entry| !entry.denies),
        denies: select(&|entry| entry.denies),
        operations: Operation::ALL
            .iter()
            .map(|&operation| select(&|entry| entry.scope.operations.contains(operation)))
            .collect(),
        schemas: table(&|pattern| match pattern {
            ObjectPattern::Qualified { schema, .. } => Some(schema.clone()),
            ObjectPattern::Single(_) => None,
        }),
        names: table(&|pattern| match pattern {
            ObjectPattern::Qualified { name, .. } => Some(name.clone()),
            ObjectPattern::Single(_) => None,
        }),
        singles: table(&|pattern| match pattern {
            ObjectPattern::Qualified { .. } => None,
            ObjectPattern::Single(name) => Some(name.clone()),
        }),
        unscoped: select(&|entry| entry.object.is_none()),
        entries: boxes
            .iter()
            .map(|entry| Entry {
                rule: entry.rule,
                condition: entry.scope.condition.clone(),
            })
            .collect(),
        classes: compile_classes(&classes, masked),
        masks,
        rules: rules
            .iter()
            .map(|rule| compile_rule(rule, &groups))
            .collect(),
        groups,
    })
}

/// One pattern of an allow or deny rule, before it is in tables.
struct Box<'a> {
    rule: usize,
    denies: bool,
    scope: &'a Scope,
    object: Option<&'a ObjectPattern>,
}

fn boxes(index: usize, rule: &Rule) -> Vec<Box<'_>> {
    let (denies, scope) = match &rule.effect {
        Effect::Allow(scope) => (false, scope),
        Effect::Deny(scope) => (true, scope),
        Effect::Mask(_) => return Vec::new(),
    };
    let entry = |object| Box {
        rule: index,
        denies,
        scope,
        object,
    };
    match &scope.objects {
        None => vec![entry(None)],
        Some(objects) => objects.iter().map(|object| entry(Some(object))).collect(),
    }
}

/// Numbers the issuer's group names that rules mention.
fn number_groups(rules: &[Rule]) -> HashMap<Arc<str>, usize> {
    let mut groups = HashMap::new();
    for rule in rules {
        let meant: &[Group] = match &rule.subjects.audience {
            Audience::Anyone => &[],
            Audience::Groups(groups) => groups,
        };
        for name in meant.iter().chain(&rule.subjects.except).flatten() {
            let next = groups.len();
            groups.entry(Arc::clone(name)).or_insert(next);
        }
    }
    groups
}

fn compile_rule(rule: &Rule, groups: &HashMap<Arc<str>, usize>) -> CompiledRule {
    let leaning = match rule.effect {
        Effect::Allow(_) => Leaning::Grants,
        Effect::Deny(_) | Effect::Mask(_) => Leaning::Restricts,
    };
    CompiledRule {
        name: Arc::clone(&rule.name),
        because: rule.because.clone(),
        controls: rule.controls.clone(),
        subjects: compile_subjects(leaning, &rule.subjects, groups),
    }
}

fn compile_subjects(
    leaning: Leaning,
    subjects: &Subjects,
    groups: &HashMap<Arc<str>, usize>,
) -> CompiledSubjects {
    let bits = |names: &mut dyn Iterator<Item = &Arc<str>>| {
        let mut bits = Bits::empty(groups.len());
        names
            .filter_map(|name| groups.get(name))
            .for_each(|&number| bits.insert(number));
        bits
    };
    CompiledSubjects {
        leaning,
        audience: match &subjects.audience {
            Audience::Anyone => None,
            Audience::Groups(meant) => Some(bits(&mut meant.iter().flatten())),
        },
        except: subjects
            .except
            .iter()
            .map(|group| bits(&mut group.iter()))
            .collect(),
    }
}

fn masks(rules: &[Rule], classes: &[Class]) -> Result<Vec<CompiledMask>, Error> {
    let numbers: HashMap<&Arc<str>, usize> = classes
        .iter()
        .enumerate()
        .map(|(index, class)| (&class.name, index))
        .collect();
    let mut masks = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let Effect::Mask(mask) = &rule.effect else {
            continue;
        };
        let mut bits = Bits::empty(classes.len());
        for class in &mask.classes {
            let Some(&number) = numbers.get(class) else {
                return Err(Error::UnknownClass {
                    rule: Arc::clone(&rule.name),
                    class: Arc::clone(class),
                });
            };
            bits.insert(number);
        }
        masks.push(CompiledMask {
            rule: index,
            classes: bits,
            mask: lower_keys(mask),
        });
    }
    Ok(masks)
}

/// Class patterns ignore case, and so do the columns that a mask's transforms name.
fn lower_keys(mask: &Mask) -> Mask {
    let transforms = mask
        .transforms
        .iter()
        .map(|(name, transform)| (Arc::from(name.to_lowercase()), transform.clone()))
        .collect();
    Mask {
        transforms,
        ..mask.clone()
    }
}

fn compile_classes(classes: &[Class], masked: Bits) -> Classes {
    let patterns: Vec<(usize, ColumnPattern)> = classes
        .iter()
        .enumerate()
        .flat_map(|(index, class)| class.columns.iter().map(move |pattern| (index, pattern)))
        .map(|(index, pattern)| {
            let lower = ColumnPattern {
                schema: pattern.schema.to_lowercase(),
                relation: pattern.relation.to_lowercase(),
                column: pattern.column.to_lowercase(),
            };
            (index, lower)
        })
        .collect();
    let width = patterns.len();
    let table = |part: fn(&ColumnPattern) -> &Glob| {
        NameTable::new(
            width,
            patterns
                .iter()
                .enumerate()
                .map(|(entry, (_, pattern))| (entry, Some(part(pattern)))),
        )
    };
    let mut names_relation = Bits::empty(width);
    for (entry, (_, pattern)) in patterns.iter().enumerate() {
        if !(pattern.relation.is_any() && pattern.schema.is_any()) {
            names_relation.insert(entry);
        }
    }
    Classes {
        names: classes
            .iter()
            .map(|class| Arc::clone(&class.name))
            .collect(),
        class_of: patterns.iter().map(|(class, _)| *class).collect(),
        names_relation,
        schemas: table(|pattern| &pattern.schema),
        relations: table(|pattern| &pattern.relation),
        columns: table(|pattern| &pattern.column),
        masked,
    }
}

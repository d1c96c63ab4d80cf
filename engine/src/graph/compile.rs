//! Rules to tables. Never drops a rule: what it can't compile is an error.

use std::{collections::HashMap, sync::Arc};

use super::{
    Classes, CompiledMask, CompiledRule, CompiledSubjects, Entry, EntryColumn, Error, Leaning,
    Policy,
    condition::{Condition, Test},
    index::{Bits, NameTable},
    name::NamePattern,
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
    let mut set = set;
    set.rules.sort_by(|left, right| left.name.cmp(&right.name));
    set.classes
        .sort_by(|left, right| left.name.cmp(&right.name));
    let (rules, classes) = (&set.rules, &set.classes);
    if let Some([first, _]) = rules
        .array_windows()
        .find(|[left, right]| left.name == right.name)
    {
        return Err(Error::DuplicateRule {
            rule: Arc::clone(&first.name),
        });
    }

    let numbers: HashMap<Arc<str>, usize> = classes
        .iter()
        .enumerate()
        .map(|(index, class)| (Arc::clone(&class.name), index))
        .collect();
    check_conditions(rules, &numbers)?;
    let groups = number_groups(rules);
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

    let masks = masks(rules, &numbers)?;
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
    let table = |part: &dyn Fn(&'_ ObjectPattern) -> Option<NamePattern>| {
        // Entries without `on` match any name; entries of the other sort of pattern are left out.
        let patterns: Vec<(usize, Option<NamePattern>)> = boxes
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| match entry.object {
                None => Some((index, None)),
                Some(pattern) => part(pattern).map(|pattern| (index, Some(pattern))),
            })
            .collect();
        NameTable::new(
            width,
            patterns
                .iter()
                .map(|(index, pattern)| (*index, pattern.as_ref())),
        )
    };

    let policy = Policy {
        operations: Operation::ALL
            .iter()
            .map(|&operation| select(&|entry| entry.scope.operations.contains(operation)))
            .collect(),
        schemas: table(&|pattern| match pattern {
            ObjectPattern::Qualified { schema, .. }
            | ObjectPattern::Column(ColumnPattern { schema, .. }) => Some(schema.clone()),
            ObjectPattern::Class(_) => Some(NamePattern::any()),
            ObjectPattern::Single(_) => None,
        }),
        names: table(&|pattern| match pattern {
            ObjectPattern::Qualified { name, .. }
            | ObjectPattern::Column(ColumnPattern { relation: name, .. }) => Some(name.clone()),
            ObjectPattern::Class(_) => Some(NamePattern::any()),
            ObjectPattern::Single(_) => None,
        }),
        singles: table(&|pattern| match pattern {
            ObjectPattern::Qualified { .. }
            | ObjectPattern::Column(_)
            | ObjectPattern::Class(_) => None,
            ObjectPattern::Single(name) => Some(name.clone()),
        }),
        unscoped: select(&|entry| entry.object.is_none()),
        entries: boxes
            .iter()
            .map(|entry| Entry {
                rule: entry.rule,
                condition: entry.scope.condition.clone(),
                column: match entry.object {
                    Some(ObjectPattern::Column(pattern)) => {
                        EntryColumn::Named(pattern.column.clone())
                    }
                    Some(ObjectPattern::Class(class)) => numbers
                        .get(class)
                        .map_or(EntryColumn::Nothing, |&class| EntryColumn::Member(class)),
                    Some(ObjectPattern::Qualified { .. } | ObjectPattern::Single(_)) | None => {
                        EntryColumn::Any
                    }
                },
            })
            .collect(),
        classes: compile_classes(classes, masked),
        masks,
        modules: Vec::new(),
        rules: rules
            .iter()
            .map(|rule| compile_rule(rule, &groups))
            .collect(),
        groups,
        set: RuleSet {
            digest: set.digest.clone(),
            mode: set.mode,
            classes: Vec::new(),
            rules: Vec::new(),
            invariants: Vec::new(),
        },
    };
    Ok(Policy { set, ..policy })
}

/// Refuses conditions that name unknown classes, and masks that ask for the statement.
fn check_conditions(rules: &[Rule], classes: &HashMap<Arc<str>, usize>) -> Result<(), Error> {
    for rule in rules {
        let (condition, objects) = match &rule.effect {
            Effect::Allow(scope)
            | Effect::Deny(scope)
            | Effect::Hold(scope, _)
            | Effect::Limit(scope, _)
            | Effect::Record(scope, _) => (&scope.condition, scope.objects.as_deref()),
            Effect::Mask(mask) => {
                if !mask.condition.is_of_session() {
                    return Err(Error::MaskOfStatement {
                        rule: Arc::clone(&rule.name),
                    });
                }
                (&Condition::Always, None)
            }
        };
        let asked = condition.tests().filter_map(|test| match test {
            Test::Class(class) => Some(class),
            _ => None,
        });
        let named = objects
            .unwrap_or_default()
            .iter()
            .filter_map(|object| match object {
                ObjectPattern::Class(class) => Some(class),
                ObjectPattern::Qualified { .. }
                | ObjectPattern::Column(_)
                | ObjectPattern::Single(_) => None,
            });
        if let Some(class) = asked
            .chain(named)
            .find(|class| !classes.contains_key(*class))
        {
            return Err(Error::UnknownClass {
                rule: Arc::clone(&rule.name),
                class: Arc::clone(class),
            });
        }
    }
    Ok(())
}

/// One pattern of a rule over accesses, before it is in tables.
struct Box<'a> {
    rule: usize,
    scope: &'a Scope,
    object: Option<&'a ObjectPattern>,
}

fn boxes(index: usize, rule: &Rule) -> Vec<Box<'_>> {
    let scope = match &rule.effect {
        Effect::Allow(scope)
        | Effect::Deny(scope)
        | Effect::Hold(scope, _)
        | Effect::Limit(scope, _)
        | Effect::Record(scope, _) => scope,
        Effect::Mask(_) => return Vec::new(),
    };
    let entry = |object| Box {
        rule: index,
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
        Effect::Allow(_) | Effect::Hold(..) => Leaning::Grants,
        Effect::Deny(_) | Effect::Mask(_) | Effect::Limit(..) | Effect::Record(..) => {
            Leaning::Restricts
        }
    };
    CompiledRule {
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

fn masks(rules: &[Rule], numbers: &HashMap<Arc<str>, usize>) -> Result<Vec<CompiledMask>, Error> {
    let mut masks = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let Effect::Mask(mask) = &rule.effect else {
            continue;
        };
        let mut bits = Bits::empty(numbers.len());
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
    let table = |part: fn(&ColumnPattern) -> &NamePattern| {
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

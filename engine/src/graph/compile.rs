//! Rules to a policy. Never drops a rule: what it can't compile is an error.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    CompiledMask, CompiledSubjects, Error, Graph, Leaning, Policy,
    axes::Axes,
    classes::{Classes, Links},
    condition::{Condition, Test},
    entry::{Draft, Entry, Further},
    index::Bits,
    residual::Questions,
    rule::{Audience, Class, Effect, Group, Mask, Mode, ObjectPattern, Rule, RuleSet, Subjects},
    space::{self, Dimension, Reach},
};

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

    let numbers = numbers(classes);
    check_conditions(rules, &numbers)?;
    let class_patterns: usize = classes.iter().map(|class| class.columns.len()).sum();
    let patterns: usize = rules.iter().map(pattern_count).sum();
    let count = patterns.max(class_patterns);
    if count > ENTRIES_MAX {
        return Err(Error::TooManyEntries { count });
    }
    let groups = number_groups(rules);
    let masks = masks(rules, &numbers)?;
    let mut masked = Bits::empty(classes.len());
    for mask in &masks {
        masked.add_all(&mask.classes);
    }
    let classes = Classes::new(classes, masked);
    let mut questions = questions(rules, &groups);
    let drafts = all_drafts(rules, &questions, &numbers);
    questions.ask_entries(&drafts);
    let column_entries_from = drafts.partition_point(|draft| !draft.looks_at_columns());
    let (mut axes, mut furthers) = (Axes::new(&drafts), Vec::new());
    let (entries, boxes) = finish(drafts, &axes, &mut furthers);
    axes.settle();
    Ok(Policy {
        graph: graph(boxes, column_entries_from),
        groups,
        entries,
        column_entries_from,
        furthers,
        questions,
        axes,
        classes,
        masks,
        modules: Vec::new(),
        set,
    })
}

/// The place of each class, by name.
pub(super) fn numbers(classes: &[Class]) -> HashMap<Arc<str>, usize> {
    classes
        .iter()
        .enumerate()
        .map(|(index, class)| (Arc::clone(&class.name), index))
        .collect()
}

/// The boxes of all entries once more, in the order of entries, with the axes that they lie on.
pub(super) fn boxes(
    rules: &[Rule],
    questions: &Questions,
    numbers: &HashMap<Arc<str>, usize>,
) -> (Axes, Vec<Reach>) {
    let drafts = all_drafts(rules, questions, numbers);
    let axes = Axes::new(&drafts);
    let (_, boxes) = finish(drafts, &axes, &mut Vec::new());
    (axes, boxes)
}

/// The entries of all rules, in order.
fn all_drafts(
    rules: &[Rule],
    questions: &Questions,
    numbers: &HashMap<Arc<str>, usize>,
) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = (0..)
        .zip(rules)
        .flat_map(|(index, rule)| drafts(index, rule, numbers))
        .collect();
    drafts.sort_by_cached_key(|draft| {
        let subject = questions.subject_of.get(draft.rule as usize).copied();
        (draft.order(), subject)
    });
    drafts
}

fn finish(
    drafts: Vec<Draft>,
    axes: &Axes,
    furthers: &mut Vec<Further>,
) -> (Vec<Entry>, Vec<Reach>) {
    let mut links = Links::default();
    drafts
        .into_iter()
        .map(|draft| draft.finish(axes, &mut links, furthers))
        .unzip()
}

/// The graph over the entries' boxes, of which those from `column_entries_from` on look at columns.
fn graph(boxes: Vec<Reach>, column_entries_from: usize) -> Graph {
    let numbers: Vec<u32> = (0..).take(boxes.len()).collect();
    let (of_accesses, of_columns) = numbers.split_at(column_entries_from.min(numbers.len()));
    let accesses = space::build(&boxes, of_accesses);
    let columns = space::build(&boxes, of_columns);
    let mut boxes = boxes;
    for reach in &mut boxes {
        reach.lift(Dimension::Column);
        reach.lift(Dimension::Use);
    }
    Graph {
        accesses,
        columns,
        column_accesses: space::build(&boxes, of_columns),
    }
}

/// How many entries a rule has.
fn pattern_count(rule: &Rule) -> usize {
    let objects = rule.effect.scope().map(|scope| scope.objects.as_ref());
    objects.map_or(0, |objects| objects.map_or(1, Vec::len))
}

/// One draft for each pattern of a rule.
fn drafts<'a>(
    index: u32,
    rule: &'a Rule,
    classes: &'a HashMap<Arc<str>, usize>,
) -> impl Iterator<Item = Draft> + 'a {
    let scope = rule.effect.scope();
    (0..pattern_count(rule)).filter_map(move |object| {
        scope.map(|scope| Draft::new(index, &rule.effect, scope, object, classes))
    })
}

/// What rules ask of sessions, equal questions once.
fn questions(rules: &[Rule], groups: &HashMap<Arc<str>, usize>) -> Questions {
    let mut questions = Questions::default();
    let mut numbers: HashMap<CompiledSubjects, u32> = HashMap::new();
    let mut windows: BTreeSet<String> = BTreeSet::new();
    for (index, rule) in (0..).zip(rules) {
        let subjects = compile_subjects(leaning(rule), &rule.subjects, groups);
        let next = u32::try_from(questions.subjects.len()).unwrap_or(u32::MAX);
        let number = *numbers.entry(subjects.clone()).or_insert(next);
        if number == next {
            questions.subjects.push(subjects);
        }
        questions.subject_of.push(number);
        if rule.mode == Mode::Observe {
            questions.observing.push(index);
        }
        for test in rule.condition().tests() {
            if let Test::Time(window) = test
                && windows.insert(window.to_string())
            {
                questions.windows.push(window.clone());
            }
        }
    }
    questions
}

impl Questions {
    /// Notes what each entry asks of sessions. Conditions written alike are one.
    fn ask_entries(&mut self, drafts: &[Draft]) {
        let mut numbers: HashMap<String, u32> = HashMap::new();
        for draft in drafts {
            let next = u32::try_from(self.conditions.len()).unwrap_or(u32::MAX);
            let number = *numbers
                .entry(format!("{:?}", draft.session))
                .or_insert(next);
            if number == next {
                self.conditions.push(Condition::All(draft.session.clone()));
            }
            self.condition_of.push(number);
        }
    }
}

/// Refuses conditions that name unknown classes, and masks that ask for the statement.
fn check_conditions(rules: &[Rule], classes: &HashMap<Arc<str>, usize>) -> Result<(), Error> {
    for rule in rules {
        let (condition, objects) = match &rule.effect {
            Effect::Allow(scope)
            | Effect::Deny(scope)
            | Effect::BreakGlass(scope)
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

/// Which side doubt about a principal falls on.
fn leaning(rule: &Rule) -> Leaning {
    match rule.effect {
        Effect::Allow(_) | Effect::BreakGlass(_) | Effect::Hold(..) => Leaning::Grants,
        Effect::Deny(_) | Effect::Mask(_) | Effect::Limit(..) | Effect::Record(..) => {
            Leaning::Restricts
        }
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

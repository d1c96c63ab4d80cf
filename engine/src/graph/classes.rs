//! Which classes a column is a member of. Ignores case: patterns are in lower case, and names are lowered first.

use std::{borrow::Cow, ops::ControlFlow, sync::Arc};

use super::{
    index::Bits,
    name::NamePattern,
    names::{Listed, Names},
    rule::{Class, ColumnPattern},
    space::{self, Dimension, Extent, Point, Reach, Space},
};
use crate::facts::Column;

/// Classes of columns, compiled: one box over schema, relation and column for each pattern.
#[derive(Debug)]
pub(super) struct Classes {
    /// Their names, sorted.
    pub(super) names: Vec<Arc<str>>,
    /// The classes that some mask rule masks.
    pub(super) masked: Bits,
    patterns: Vec<Pattern>,
    /// Every pattern, as a set of words.
    every: Vec<u64>,
    schemas: Names,
    relations: Names,
    columns: Names,
    /// The patterns over schema, relation and column.
    members: Space,
    /// The patterns that spell out something of the schema's or the relation's name, over schema and relation only.
    relation_members: Space,
}

/// One pattern of a class.
#[derive(Debug)]
struct Pattern {
    class: u32,
    /// The pattern in lower case, where some part of it could not be indexed.
    to_be_tested: Option<ColumnPattern>,
}

impl Classes {
    /// Compiles `classes`, sorted by name; `masked` are those that some mask rule masks.
    pub(super) fn new(classes: &[Class], masked: Bits) -> Self {
        let lowered: Vec<(u32, ColumnPattern)> = (0..)
            .zip(classes)
            .flat_map(|(number, class)| class.columns.iter().map(move |pattern| (number, pattern)))
            .map(|(number, pattern)| {
                let lower = ColumnPattern {
                    schema: pattern.schema.to_lowercase(),
                    relation: pattern.relation.to_lowercase(),
                    column: pattern.column.to_lowercase(),
                };
                (number, lower)
            })
            .collect();
        let names = |part: fn(&ColumnPattern) -> &NamePattern| {
            let parts = lowered.iter().map(|(_, pattern)| part(pattern));
            Names::new(parts.filter(|pattern| !pattern.is_any()))
        };
        let (schemas, in_schemas) = names(|pattern| &pattern.schema);
        let (relations, in_relations) = names(|pattern| &pattern.relation);
        let (columns, in_columns) = names(|pattern| &pattern.column);
        let listed = [
            (Dimension::Schema, &in_schemas),
            (Dimension::Name, &in_relations),
            (Dimension::Column, &in_columns),
        ];
        let mut links = Links::default();
        let reaches: Vec<(Reach, bool)> = lowered
            .iter()
            .map(|(_, pattern)| reach(pattern, listed, &mut links))
            .collect();
        let patterns: Vec<Pattern> = lowered
            .iter()
            .zip(&reaches)
            .map(|((class, pattern), (_, is_whole))| Pattern {
                class: *class,
                to_be_tested: (!is_whole).then(|| pattern.clone()),
            })
            .collect();
        let boxes: Vec<Reach> = reaches.into_iter().map(|(reach, _)| reach).collect();
        let numbers: Vec<u32> = (0..).take(boxes.len()).collect();
        let spelled: Vec<u32> = numbers
            .iter()
            .zip(&lowered)
            .filter(|(_, (_, pattern))| !(pattern.relation.is_any() && pattern.schema.is_any()))
            .map(|(&number, _)| number)
            .collect();
        let without_columns: Vec<Reach> = boxes
            .iter()
            .cloned()
            .map(|mut reach| {
                reach.lift(Dimension::Column);
                reach
            })
            .collect();
        Self {
            names: classes
                .iter()
                .map(|class| Arc::clone(&class.name))
                .collect(),
            masked,
            every: vec![u64::MAX; patterns.len().div_ceil(64)],
            patterns,
            schemas,
            relations,
            columns,
            members: space::build(&boxes, &numbers),
            relation_members: space::build(&without_columns, &spelled),
        }
    }

    /// How large their graph is.
    pub(super) fn extent(&self) -> Extent {
        self.members.extent().and(self.relation_members.extent())
    }

    /// The classes that a column is a member of.
    pub(super) fn of(&self, column: &Column) -> Bits {
        let (schema, relation) = (lower(&column.schema), lower(&column.relation));
        let name = lower(&column.name);
        self.collect(&self.members, &schema, &relation, Some(&name))
    }

    /// The names of the classes that a column is a member of, sorted.
    pub(super) fn names_of(&self, column: &Column) -> Vec<&str> {
        self.of(column)
            .iter()
            .filter_map(|class| self.names.get(class))
            .map(|name| &**name)
            .collect()
    }

    /// The classes that have a pattern which matches this relation and spells out something of its name.
    pub(super) fn of_relation(&self, schema: &str, relation: &str) -> Bits {
        self.collect(
            &self.relation_members,
            &lower(schema),
            &lower(relation),
            None,
        )
    }

    fn collect(&self, space: &Space, schema: &str, relation: &str, column: Option<&str>) -> Bits {
        let mut classes = Bits::empty(self.names.len());
        let mut point = Point::new(|dimension| match dimension {
            Dimension::Schema => self.schemas.class(schema),
            Dimension::Name => self.relations.class(relation),
            Dimension::Column => column.map_or(0, |column| self.columns.class(column)),
            Dimension::Operation
            | Dimension::Sort
            | Dimension::Kind
            | Dimension::Limit
            | Dimension::Parameters
            | Dimension::Use => 0,
        });
        let flow = space.visit(&mut point, &self.every, |number| {
            let Some(pattern) = self.patterns.get(number) else {
                return ControlFlow::Break(());
            };
            let matches = pattern.to_be_tested.as_ref().is_none_or(|pattern| {
                pattern.schema.matches(schema)
                    && pattern.relation.matches(relation)
                    && column.is_none_or(|column| pattern.column.matches(column))
            });
            if matches {
                classes.insert(pattern.class as usize);
            }
            ControlFlow::Continue(())
        });
        if flow.is_break() {
            // A broken graph, which is a bug, must not unmask: the column is then a member of every class.
            (0..self.names.len()).for_each(|class| classes.insert(class));
        }
        classes
    }
}

/// How many classes all boxes of one graph may list together; a box past it lists none and is tested alone.
const LINKS_MAX: usize = 1 << 22;

/// How many of these the classes of numbers may be: a range lists many, and must not take the room of names.
const NUMBER_LINKS_MAX: usize = 1 << 20;

/// Counts the classes that boxes list.
#[derive(Debug, Default)]
pub(super) struct Links {
    all: usize,
    of_numbers: usize,
}

impl Links {
    /// Whether there is room for `count` more, which are then taken.
    pub(super) fn take(&mut self, count: usize) -> bool {
        let fits = self.all.saturating_add(count) <= LINKS_MAX;
        if fits {
            self.all += count;
        }
        fits
    }

    /// The same for classes of numbers.
    pub(super) fn take_numbers(&mut self, count: usize) -> bool {
        let fits = self.of_numbers.saturating_add(count) <= NUMBER_LINKS_MAX && self.take(count);
        if fits {
            self.of_numbers += count;
        }
        fits
    }
}

/// The box of a pattern, and whether it is the whole pattern.
fn reach(
    pattern: &ColumnPattern,
    listed: [(Dimension, &Listed); 3],
    links: &mut Links,
) -> (Reach, bool) {
    let mut reach = Reach::default();
    let mut is_whole = true;
    let parts = [&pattern.schema, &pattern.relation, &pattern.column];
    for ((dimension, listed), part) in listed.into_iter().zip(parts) {
        if part.is_any() {
            continue;
        }
        match listed.classes(part) {
            Some(classes) if links.take(classes.len()) => reach.limit(dimension, classes),
            Some(_) | None => is_whole = false,
        }
    }
    (reach, is_whole)
}

/// The name in lower case; no copy where it is already (most are).
pub(super) fn lower(name: &str) -> Cow<'_, str> {
    if name
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
    {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.to_lowercase())
    }
}

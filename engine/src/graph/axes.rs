//! What an access has in each dimension: names, numbers and enums to classes.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    condition::Comparison,
    entry::Draft,
    name::NamePattern,
    names::{ABSENT, Listed, Names},
    space::Dimension,
};
use crate::facts::{Access, ColumnUse, Facts, Kind, Object, Operation, Use};

/// Classes of [`Dimension::Sort`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Sort {
    /// Has a schema and a name.
    Qualified = 0,
    /// Has a name.
    Single = 1,
    /// Has neither.
    Nothing = 2,
}

/// The classes of each dimension that has no fixed ones.
#[derive(Debug)]
pub(super) struct Axes {
    schemas: Names,
    names: Names,
    columns: Names,
    listed: [Listed; 3],
    limits: Cuts,
    parameters: Cuts,
}

/// Numbers cut into intervals: class `2 * n + 1` is the cut number `n`, `2 * n` what lies below it.
#[derive(Debug)]
struct Cuts(Vec<i64>);

impl Cuts {
    /// The class of a number. `None` is larger than any.
    fn class(&self, number: Option<i64>) -> u32 {
        let class = match number {
            None => self.0.len() * 2,
            Some(number) => match self.0.binary_search(&number) {
                Ok(place) => place * 2 + 1,
                Err(place) => place * 2,
            },
        };
        u32::try_from(class).unwrap_or(u32::MAX)
    }

    /// The classes of the numbers that compare so with a number that is a cut.
    fn range(&self, comparison: Comparison, value: i64) -> Arc<[u32]> {
        let (at, last) = (self.class(Some(value)), self.class(None));
        match comparison {
            Comparison::Equal => Arc::from([at]),
            Comparison::NotEqual => (0..=last).filter(|&class| class != at).collect(),
            Comparison::Less => (0..at).collect(),
            Comparison::LessOrEqual => (0..=at).collect(),
            Comparison::Greater => (at + 1..=last).collect(),
            Comparison::GreaterOrEqual => (at..=last).collect(),
        }
    }
}

impl Cuts {
    /// Intervals in words. Classes are ascending.
    fn words(&self, classes: &[u32]) -> Vec<String> {
        let last = self.class(None);
        classes
            .chunk_by(|left, right| left + 1 == *right)
            .filter_map(|run| Some((*run.first()?, *run.last()?)))
            .map(|(low, high)| {
                let cut = |place: u32| self.0.get(place as usize).copied().unwrap_or_default();
                if low == high && low % 2 == 1 {
                    return cut(low / 2).to_string();
                }
                let from = match low {
                    0 => None,
                    low if low % 2 == 1 => Some(format!("at least {}", cut(low / 2))),
                    low => Some(format!("above {}", cut(low / 2 - 1))),
                };
                let to = match high {
                    high if high == last => None,
                    high if high % 2 == 1 => Some(format!("at most {}", cut(high / 2))),
                    high => Some(format!("below {}", cut(high / 2))),
                };
                let parts: Vec<String> = from.into_iter().chain(to).collect();
                parts.join(" and ")
            })
            .collect()
    }
}

impl Axes {
    /// The dimensions that tell the drafts apart.
    pub(super) fn new(drafts: &[Draft]) -> Self {
        let names = |dimension| {
            Names::new(
                drafts
                    .iter()
                    .flat_map(move |draft| draft.patterns(dimension)),
            )
        };
        let cuts = |dimension| {
            let cuts: BTreeSet<i64> = drafts
                .iter()
                .flat_map(|draft| draft.cut(dimension))
                .collect();
            Cuts(cuts.into_iter().collect())
        };
        let (schemas, in_schemas) = names(Dimension::Schema);
        let (relations, in_relations) = names(Dimension::Name);
        let (columns, in_columns) = names(Dimension::Column);
        Self {
            schemas,
            names: relations,
            columns,
            listed: [in_schemas, in_relations, in_columns],
            limits: cuts(Dimension::Limit),
            parameters: cuts(Dimension::Parameters),
        }
    }

    /// Lets go of what only building needs.
    pub(super) fn settle(&mut self) {
        self.listed = Default::default();
    }

    /// The classes of the names that any of `patterns` matches; `None` if that is not known of one.
    pub(super) fn classes(
        &self,
        dimension: Dimension,
        patterns: &[NamePattern],
    ) -> Option<Arc<[u32]>> {
        let [schemas, names, columns] = &self.listed;
        let listed = match dimension {
            Dimension::Schema => schemas,
            Dimension::Name => names,
            _ => columns,
        };
        if let [only] = patterns {
            return listed.classes(only);
        }
        let mut all = BTreeSet::new();
        for pattern in patterns {
            all.extend(listed.classes(pattern)?.iter().copied());
        }
        Some(all.into_iter().collect())
    }

    /// The classes of the numbers that compare so with a number that is a cut.
    pub(super) fn range(
        &self,
        dimension: Dimension,
        comparison: Comparison,
        value: i64,
    ) -> Arc<[u32]> {
        match dimension {
            Dimension::Limit => self.limits.range(comparison, value),
            _ => self.parameters.range(comparison, value),
        }
    }

    /// The class of an access, and of one use of a column of it.
    #[inline]
    pub(super) fn class(
        &self,
        dimension: Dimension,
        access: &Access,
        column: Option<&ColumnUse>,
        facts: &Facts,
    ) -> u32 {
        let (sort, schema, name) = match &access.object {
            Object::Relation { schema, name, .. }
            | Object::Function { schema, name }
            | Object::Other {
                schema: Some(schema),
                name,
                ..
            } => (Sort::Qualified, Some(schema), Some(name)),
            Object::Setting(name) | Object::Channel(name) | Object::Other { name, .. } => {
                (Sort::Single, None, Some(name))
            }
            Object::Nothing => (Sort::Nothing, None, None),
        };
        match dimension {
            Dimension::Operation => access.operation as u32,
            Dimension::Sort => sort as u32,
            Dimension::Schema => schema.map_or(ABSENT, |name| self.schemas.class(name)),
            Dimension::Name => name.map_or(ABSENT, |name| self.names.class(name)),
            Dimension::Kind => facts.kind as u32,
            Dimension::Limit => {
                let clamp = |limit| i64::try_from(limit).unwrap_or(i64::MAX);
                self.limits.class(facts.limit.map(clamp))
            }
            Dimension::Parameters => self.parameters.class(Some(i64::from(facts.parameters))),
            Dimension::Column => {
                column.map_or(ABSENT, |used| self.columns.class(&used.column.name))
            }
            Dimension::Use => column.map_or(Use::ALL.len() as u32, |used| used.used as u32),
        }
    }

    /// Where a relation lies: what it is, its schema and its name.
    pub(super) fn relation(&self, schema: &str, name: &str) -> [(Dimension, u32); 3] {
        [
            (Dimension::Sort, Sort::Qualified as u32),
            (Dimension::Schema, self.schemas.class(schema)),
            (Dimension::Name, self.names.class(name)),
        ]
    }

    /// What classes stand for. Only before the axes are settled.
    pub(super) fn words(&self, dimension: Dimension, classes: &[u32]) -> Vec<String> {
        let [schemas, names, columns] = &self.listed;
        let each =
            |word: &dyn Fn(u32) -> String| classes.iter().map(|&class| word(class)).collect();
        let of = |names: Option<&'static str>| names.unwrap_or("none").to_owned();
        match dimension {
            Dimension::Operation => each(&|class| {
                let operation = Operation::ALL.get(class as usize);
                of(operation.map(|operation| operation.name()))
            }),
            Dimension::Kind => each(&|class| {
                let kind = Kind::ALL.get(class as usize);
                of(kind.map(|kind| kind.name()))
            }),
            Dimension::Use if classes.len() == Use::ALL.len() => vec!["any".to_owned()],
            Dimension::Use => each(&|class| {
                let used = Use::ALL.get(class as usize);
                of(Some(used.map_or("no column", |used| used.name())))
            }),
            Dimension::Sort => each(&|class| {
                let words = match class {
                    0 => "object of a schema",
                    1 => "setting, channel or other object",
                    _ => "nothing in particular",
                };
                words.to_owned()
            }),
            Dimension::Schema => each(&|class| schemas.words(class)),
            Dimension::Name => each(&|class| names.words(class)),
            Dimension::Column => each(&|class| columns.words(class)),
            Dimension::Limit => self.limits.words(classes),
            Dimension::Parameters => self.parameters.words(classes),
        }
    }
}

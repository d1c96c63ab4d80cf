//! One operation at one place: which patterns it is on, and how it is told. Pure.

use super::{
    Dimension, Names,
    formula::Formula,
    names::{Case, Way},
    variables::{Point, Variables},
};
use crate::{
    facts::{Operation, Use},
    graph::{
        condition::{Test, TextAttribute, TextOperand, TextTest},
        name::NamePattern,
        rule::{ObjectPattern, Operations},
    },
};

/// Where in a relation's place an access is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A relation or function, and a use of a column.
    Qualified {
        schema: &'a Way,
        name: &'a Way,
        column: Option<(&'a Way, Use)>,
    },
    /// Something that is neither.
    Single(&'a Way),
    /// Nothing in particular.
    Nothing,
}

/// One operation at one place.
pub(super) struct At<'p> {
    pub(super) prover: &'p Names,
    pub(super) operation: Operation,
    pub(super) place: Place<'p>,
}

/// Every place that an access can be at.
pub(super) fn places<'n>(
    names: &'n Names,
    uses: &'static [Use],
) -> impl Iterator<Item = Place<'n>> {
    let qualified = names.schemas.ways.iter().flat_map(move |schema| {
        names.names.ways.iter().flat_map(move |name| {
            let uses = names
                .columns
                .ways
                .iter()
                .flat_map(|column| uses.iter().map(move |used| Some((column, *used))));
            std::iter::once(None)
                .chain(uses)
                .map(move |column| Place::Qualified {
                    schema,
                    name,
                    column,
                })
        })
    });
    qualified
        .chain(names.singles.ways.iter().map(Place::Single))
        .chain([Place::Nothing])
}

impl At<'_> {
    /// That one name matches a pattern.
    fn on(
        dimension: &Dimension,
        way: &Way,
        (pattern, case): (&NamePattern, Case),
        variables: &mut Variables,
    ) -> Formula {
        match dimension.matches(way, pattern, case) {
            Some(matches) => Formula::Known(matches),
            None => variables.guard(format!("a name matches {pattern}")),
        }
    }

    pub(super) fn is_on(&self, object: &ObjectPattern, variables: &mut Variables) -> Formula {
        let names = self.prover;
        let counts = |pattern| (pattern, Case::Counts);
        match (object, self.place) {
            (
                ObjectPattern::Qualified { schema, name },
                Place::Qualified {
                    schema: in_schema,
                    name: called,
                    column: _,
                },
            ) => {
                let schema = Self::on(&names.schemas, in_schema, counts(schema), variables);
                Formula::all([
                    schema,
                    Self::on(&names.names, called, counts(name), variables),
                ])
            }
            (
                ObjectPattern::Column(pattern),
                Place::Qualified {
                    schema,
                    name,
                    column: Some((column, _)),
                },
            ) => Formula::all([
                Self::on(&names.schemas, schema, counts(&pattern.schema), variables),
                Self::on(&names.names, name, counts(&pattern.relation), variables),
                Self::on(&names.columns, column, counts(&pattern.column), variables),
            ]),
            (
                ObjectPattern::Class(class),
                Place::Qualified {
                    column: Some(_), ..
                },
            ) => self.is_member(class, variables),
            (ObjectPattern::Single(pattern), Place::Single(way)) => {
                Self::on(&names.singles, way, counts(pattern), variables)
            }
            _ => Formula::Known(false),
        }
    }

    pub(super) fn is_member(&self, class: &str, variables: &mut Variables) -> Formula {
        let Place::Qualified {
            schema,
            name,
            column: Some((column, _)),
        } = self.place
        else {
            return Formula::Known(false);
        };
        let names = self.prover;
        let patterns = names
            .classes
            .iter()
            .filter(|(name, _)| **name == *class)
            .flat_map(|(_, columns)| columns);
        let parts: Vec<Formula> = patterns
            .map(|pattern| {
                Formula::all([
                    Self::on(
                        &names.schemas,
                        schema,
                        (&pattern.schema, Case::Ignored),
                        variables,
                    ),
                    Self::on(
                        &names.names,
                        name,
                        (&pattern.relation, Case::Ignored),
                        variables,
                    ),
                    Self::on(
                        &names.columns,
                        column,
                        (&pattern.column, Case::Ignored),
                        variables,
                    ),
                ])
            })
            .collect();
        Formula::any(parts)
    }

    pub(super) fn words(&self) -> String {
        let operation = self.operation.name();
        match self.place {
            Place::Qualified {
                schema,
                name,
                column,
            } => match column {
                Some((column, used)) => format!(
                    "{operation} on {}.{}, column {} ({})",
                    schema.name,
                    name.name,
                    column.name,
                    used.name()
                ),
                None => format!("{operation} on {}.{}", schema.name, name.name),
            },
            Place::Single(way) => format!("{operation} on {}", way.name),
            Place::Nothing => operation.to_owned(),
        }
    }

    /// A statement that is of the operation, in SQL, or in words where there is none such.
    pub(super) fn statement(&self) -> String {
        let Place::Qualified {
            schema,
            name,
            column,
        } = self.place
        else {
            return self.words();
        };
        let relation = format!("{}.{}", quoted(&schema.name), quoted(&name.name));
        let column = column.map_or_else(|| "*".to_owned(), |(column, _)| quoted(&column.name));
        match self.operation {
            Operation::Read => format!("SELECT {column} FROM {relation}"),
            Operation::Insert => format!("INSERT INTO {relation} DEFAULT VALUES"),
            Operation::Update if column == "*" => format!("UPDATE {relation} SET ..."),
            Operation::Update => format!("UPDATE {relation} SET {column} = NULL"),
            Operation::Delete => format!("DELETE FROM {relation}"),
            Operation::Truncate => format!("TRUNCATE {relation}"),
            Operation::Create => format!("CREATE TABLE {relation} ()"),
            Operation::Alter => format!("ALTER TABLE {relation} ..."),
            Operation::Drop => format!("DROP TABLE {relation}"),
            Operation::Grant => format!("GRANT ALL ON {relation} TO PUBLIC"),
            Operation::Call => format!("SELECT {relation}()"),
            Operation::CopyTo => format!("COPY {relation} TO STDOUT"),
            Operation::CopyFrom => format!("COPY {relation} FROM STDIN"),
            Operation::Lock => format!("LOCK TABLE {relation}"),
            Operation::Maintain => format!("VACUUM {relation}"),
            Operation::Session | Operation::Transaction | Operation::Listen | Operation::Opaque => {
                self.words()
            }
        }
    }
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    let plain = name
        .chars()
        .all(|letter| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit())
        && !name.starts_with(|letter: char| letter.is_ascii_digit());
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

impl Point for At<'_> {
    fn settles(&self, test: &Test) -> Option<bool> {
        let used = match self.place {
            Place::Qualified {
                column: Some((_, used)),
                ..
            } => Some(used),
            _ => None,
        };
        match test {
            Test::Operation(operations) => Some(Operations::contains(*operations, self.operation)),
            Test::Use(uses) => Some(used.is_some_and(|used| uses.contains(&used))),
            Test::Class(_) if used.is_none() => Some(false),
            Test::Class(class) => {
                let mut none = Variables::default();
                match self.is_member(class, &mut none) {
                    Formula::Known(known) => Some(known),
                    _ => None,
                }
            }
            Test::Text { attribute, test } => self.settles_text(attribute, test),
            _ => None,
        }
    }
}

impl At<'_> {
    fn settles_text(&self, attribute: &TextAttribute, test: &TextTest) -> Option<bool> {
        let name = match (attribute, self.place) {
            (TextAttribute::Schema, Place::Qualified { schema, .. }) => Some(&schema.name),
            (TextAttribute::Relation, Place::Qualified { name, .. }) => Some(&name.name),
            (TextAttribute::Relation, Place::Single(way)) => Some(&way.name),
            (
                TextAttribute::Column,
                Place::Qualified {
                    column: Some((column, _)),
                    ..
                },
            ) => Some(&column.name),
            (TextAttribute::Schema | TextAttribute::Relation | TextAttribute::Column, _) => None,
            _ => return None,
        };
        let Some(name) = name else {
            return Some(false);
        };
        match test {
            TextTest::Equals(TextOperand::Literal(text)) => Some(**text == **name),
            TextTest::In(texts) => Some(texts.contains(name.as_str())),
            TextTest::Matches(NamePattern::Glob(glob)) => Some(glob.matches(name)),
            TextTest::Matches(NamePattern::Regex(_))
            | TextTest::Equals(TextOperand::Attribute(_)) => None,
        }
    }
}

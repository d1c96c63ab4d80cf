//! Conditions, patterns and subjects in the policy language's words. For messages and drawings; nothing decides by them.

use std::fmt::{self, Display, Formatter};

use super::{
    condition::{
        ClaimPath, Comparison, Condition, Flag, Mentioned, NumberAttribute, Presence, Test,
        TextAttribute, TextOperand, TextTest, Who,
    },
    rule::{Audience, ColumnPattern, Group, ObjectPattern, Operations, Scope, Subjects},
};
use crate::facts::Operation;

/// `one, two`
pub(super) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// As [`list`], but of a long list only the first few, and how many more there are.
fn first_of<T: Display>(items: &[T]) -> String {
    const SHOWN: usize = 4;
    match items.get(..SHOWN) {
        Some(first) if items.len() > SHOWN + 1 => {
            format!("{} and {} more", list(first), items.len() - SHOWN)
        }
        _ => list(items),
    }
}

impl Display for Condition {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let join = |parts: &[Self], word: &str| {
            parts
                .iter()
                .map(|part| match part {
                    Self::All(_) | Self::Any(_) => format!("({part})"),
                    Self::Always | Self::Test(_) | Self::Not(_) => part.to_string(),
                })
                .collect::<Vec<_>>()
                .join(word)
        };
        match self {
            Self::Always => formatter.write_str("always"),
            Self::Test(test) => test.fmt(formatter),
            Self::Not(inner) => match &**inner {
                Self::All(_) | Self::Any(_) => write!(formatter, "not ({inner})"),
                Self::Always | Self::Test(_) | Self::Not(_) => write!(formatter, "not {inner}"),
            },
            Self::All(parts) if parts.is_empty() => formatter.write_str("always"),
            Self::Any(parts) if parts.is_empty() => formatter.write_str("never"),
            Self::All(parts) => formatter.write_str(&join(parts, " and ")),
            Self::Any(parts) => formatter.write_str(&join(parts, " or ")),
        }
    }
}

impl Display for Test {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(formatter),
            Self::Number {
                attribute,
                comparison,
                value,
            } => write!(formatter, "{attribute} {comparison} {value}"),
            Self::Text { attribute, test } => write!(formatter, "{attribute} {test}"),
            Self::PrincipalKind(kinds) => {
                let names = list(kinds.iter().map(|kind| kind.name()));
                write!(formatter, "principal.kind in ({names})")
            }
            Self::Authentication(ways) => {
                let names = list(ways.iter().map(|way| way.name()));
                write!(formatter, "session.authentication in ({names})")
            }
            Self::Kind(kinds) => {
                let names = list(kinds.iter().map(|kind| kind.name()));
                write!(formatter, "statement.kind in ({names})")
            }
            Self::Operation(operations) => write!(formatter, "access.operation in ({operations})"),
            Self::Use(uses) => {
                let names = list(uses.iter().map(|used| used.name()));
                write!(formatter, "access.use in ({names})")
            }
            Self::Member { who, group } => match who {
                Who::Actor => write!(formatter, "principal in {}", group_text(group)),
                Who::Person => write!(formatter, "principal.on_behalf_of in {}", group_text(group)),
            },
            Self::Class(class) => write!(formatter, "access.class = {class}"),
            Self::Mentions { what, schema, name } => {
                let what = match what {
                    Mentioned::Tables => "tables",
                    Mentioned::Functions => "functions",
                };
                write!(formatter, "statement.{what} has {schema}.{name}")
            }
            Self::Network(networks) => {
                write!(formatter, "session.client_address in {}", list(networks))
            }
            Self::ClaimHas { claim, value } => write!(formatter, "{claim} has {value:?}"),
            Self::Present(presence) => match presence {
                Presence::Claim(claim) => write!(formatter, "{claim} is present"),
                Presence::OnBehalfOf => formatter.write_str("principal.on_behalf_of is present"),
                Presence::ClientAddress => formatter.write_str("session.client_address is present"),
                Presence::Limit => formatter.write_str("statement.limit is present"),
            },
            Self::Time(window) => write!(formatter, "time in {window}"),
            Self::BoundedBy { column, value } => {
                write!(formatter, "bounded by {column} = {value}")
            }
        }
    }
}

impl Display for Flag {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filtered => formatter.write_str("filtered"),
            Self::Bounded => formatter.write_str("bounded"),
            Self::Opaque => formatter.write_str("opaque"),
            Self::InTransaction => formatter.write_str("in_transaction"),
            Self::Novel => formatter.write_str("novel"),
            Self::Tls => formatter.write_str("session.tls"),
            Self::Claim(claim) => write!(formatter, "{}", Dotted(claim)),
        }
    }
}

/// A claim with what it is a claim of.
struct Dotted<'a>(&'a ClaimPath);

impl Display for Dotted<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "principal.claims.{}", self.0)
    }
}

impl Display for NumberAttribute {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit => formatter.write_str("limit"),
            Self::Parameters => formatter.write_str("parameters"),
            Self::EstimatedRows => formatter.write_str("estimated_rows"),
            Self::Claim(claim) => write!(formatter, "{}", Dotted(claim)),
        }
    }
}

impl Display for TextAttribute {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PrincipalId => "principal.id",
            Self::PersonId => "principal.on_behalf_of.id",
            Self::Issuer => "principal.issuer",
            Self::Claim(claim) => return write!(formatter, "{}", Dotted(claim)),
            Self::Target => "session.target",
            Self::Database => "session.database",
            Self::Role => "session.role",
            Self::Application => "session.application",
            Self::Schema => "access.schema",
            Self::Relation => "access.relation",
            Self::Column => "access.column",
        })
    }
}

impl Display for Comparison {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl Display for TextTest {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(operand) => write!(formatter, "= {operand}"),
            Self::In(texts) => {
                write!(
                    formatter,
                    "in ({})",
                    list(texts.iter().map(|text| format!("{text:?}")))
                )
            }
            Self::Matches(super::name::NamePattern::Glob(glob)) => {
                write!(formatter, "like {:?}", glob.to_string())
            }
            Self::Matches(pattern) => write!(formatter, "matches {pattern}"),
        }
    }
}

impl Display for TextOperand {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => write!(formatter, "{text:?}"),
            Self::Attribute(attribute) => attribute.fmt(formatter),
        }
    }
}

/// The operations, or the set that they are.
impl Display for Operations {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let members: Vec<Operation> = Operation::ALL
            .into_iter()
            .filter(|operation| self.contains(*operation))
            .collect();
        match members.as_slice() {
            all if all.len() == Operation::ALL.len() => formatter.write_str("any, opaque"),
            any if any.len() + 1 == Operation::ALL.len() && !any.contains(&Operation::Opaque) => {
                formatter.write_str("any")
            }
            some => formatter.write_str(&list(some.iter().map(|operation| operation.name()))),
        }
    }
}

impl Display for ObjectPattern {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qualified { schema, name } => write!(formatter, "{schema}.{name}"),
            Self::Column(column) => column.fmt(formatter),
            Self::Class(class) => write!(formatter, "class {class}"),
            Self::Single(name) => name.fmt(formatter),
        }
    }
}

impl Display for ColumnPattern {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}.{}.{}",
            self.schema, self.relation, self.column
        )
    }
}

impl Display for Scope {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.operations.fmt(formatter)?;
        if let Some(objects) = &self.objects {
            write!(formatter, " on {}", first_of(objects))?;
        }
        Ok(())
    }
}

/// `for agents, analysts except privacy`, in the issuer's names.
impl Display for Subjects {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match &self.audience {
            Audience::Anyone => formatter.write_str("for anyone")?,
            Audience::Groups(groups) => {
                write!(formatter, "for {}", list(groups.iter().map(group_text)))?;
            }
        }
        if self.except.is_empty() {
            return Ok(());
        }
        let except = list(self.except.iter().map(group_text));
        write!(formatter, " except {except}")
    }
}

/// A group by the issuer's names: `"db-admins"`.
pub(super) fn group_text(group: &Group) -> String {
    group
        .iter()
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::rule::Operations;

    #[test]
    fn words() {
        let filtered = Condition::Test(Test::Flag(Flag::Filtered));
        let bounded = Condition::Not(Box::new(Condition::Test(Test::Flag(Flag::Bounded))));
        let rows = Condition::Test(Test::Number {
            attribute: NumberAttribute::EstimatedRows,
            comparison: Comparison::Greater,
            value: 1000,
        });
        let both = Condition::Any(vec![bounded, rows]);
        assert_eq!(both.to_string(), "not bounded or estimated_rows > 1000");
        assert_eq!(
            Condition::All(vec![filtered, both]).to_string(),
            "filtered and (not bounded or estimated_rows > 1000)"
        );
        let any = Operation::ALL
            .into_iter()
            .filter(|operation| *operation != Operation::Opaque)
            .fold(Operations::NONE, Operations::with);
        assert_eq!(any.to_string(), "any");
        assert_eq!(
            Operations::of(&[Operation::Read, Operation::Insert]).to_string(),
            "read, insert"
        );
    }
}

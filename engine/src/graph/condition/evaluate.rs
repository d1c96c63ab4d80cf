//! What conditions come to.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use serde_json::Value;

use super::{
    Ask, ClaimPath, Condition, Context, DearFact, Flag, Mentioned, NumberAttribute, Presence, Test,
    TextAttribute, TextOperand, TextTest, Truth, Unknown, Who,
};
use crate::{
    facts::{Access, CatalogVersion, Constant, Facts, Kind, Object, SessionEffect},
    graph::name::NamePattern,
    principal::{Circumstances, Dear, Session},
};

impl Condition {
    /// What it comes to. `is_member` says whether the ask's column is in a class.
    ///
    /// Parts are asked in order, and no further than needed: a dear fact is unknown only where nothing else settles it.
    pub fn evaluate(
        &self,
        context: Context<'_>,
        ask: Ask<'_>,
        is_member: &dyn Fn(&str) -> bool,
    ) -> Truth {
        match self {
            Self::Always => Truth::True,
            Self::Test(test) => test.evaluate(context, ask, is_member),
            Self::Not(inner) => !inner.evaluate(context, ask, is_member),
            Self::All(parts) => settle(parts, &Truth::False, |part| {
                part.evaluate(context, ask, is_member)
            }),
            Self::Any(parts) => settle(parts, &Truth::True, |part| {
                part.evaluate(context, ask, is_member)
            }),
        }
    }

    /// Whether it asks for the session and the time only: it then comes to the same for every statement.
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        match self {
            Self::Always => true,
            Self::Test(test) => test.is_of_session(),
            Self::Not(inner) => inner.is_of_session(),
            Self::All(parts) | Self::Any(parts) => parts.iter().all(Self::is_of_session),
        }
    }

    /// What a condition of the session ([`Condition::is_of_session`]) comes to. Any other is asked of an empty statement.
    #[must_use]
    pub fn evaluate_for_session(&self, session: &Session, now: jiff::Timestamp) -> Truth {
        for_session(session, now, |context, ask| {
            self.evaluate(context, ask, &|_| false)
        })
    }

    /// What each of several conditions of the session comes to.
    pub(in crate::graph) fn evaluate_all(
        conditions: &[Self],
        session: &Session,
        now: jiff::Timestamp,
    ) -> Vec<Truth> {
        for_session(session, now, |context, ask| {
            conditions
                .iter()
                .map(|condition| condition.evaluate(context, ask, &|_| false))
                .collect()
        })
    }

    /// Every test in it, in order.
    pub fn tests(&self) -> Box<dyn Iterator<Item = &Test> + '_> {
        match self {
            Self::Always => Box::new(std::iter::empty()),
            Self::Test(test) => Box::new(std::iter::once(test)),
            Self::Not(inner) => inner.tests(),
            Self::All(parts) | Self::Any(parts) => Box::new(parts.iter().flat_map(Self::tests)),
        }
    }
}

/// Asks something of a session and an empty statement.
fn for_session<T>(
    session: &Session,
    now: jiff::Timestamp,
    evaluate: impl FnOnce(Context<'_>, Ask<'_>) -> T,
) -> T {
    let access = Access {
        object: Object::Nothing,
        operation: crate::facts::Operation::Read,
        columns: BTreeSet::new(),
        via: None,
        filtered: false,
        bounded: false,
        equalities: BTreeSet::new(),
    };
    let facts = Facts {
        kind: Kind::Empty,
        accesses: Vec::new(),
        outputs: None,
        writes: Vec::new(),
        opaque: BTreeSet::new(),
        session_effect: SessionEffect::None,
        through_views: false,
        views: BTreeSet::new(),
        limit: None,
        parameters: 0,
        lookups: BTreeSet::new(),
        uncounted: false,
        fingerprint: Arc::from(""),
        catalog_version: CatalogVersion(0),
    };
    let context = Context {
        session,
        now,
        facts: &facts,
        circumstances: &Circumstances::default(),
    };
    let ask = Ask {
        access: &access,
        column: None,
    };
    evaluate(context, ask)
}

/// The first part that comes to `settling` settles it; else the first unknown one; else the opposite. What asking could
/// settle comes after what it could not.
pub(in crate::graph) fn settle<T>(
    parts: &[T],
    settling: &Truth,
    evaluate: impl Fn(&T) -> Truth,
) -> Truth {
    let mut unknown: Option<Unknown> = None;
    for part in parts {
        match evaluate(part) {
            truth if truth == *settling => return truth,
            Truth::Unknown(why) => {
                let better = match (&unknown, &why) {
                    (None, _) => true,
                    (Some(Unknown::NotAsked(first)), Unknown::NotAsked(second)) => second < first,
                    (Some(Unknown::NotAsked(_)), _) => true,
                    (Some(_), _) => false,
                };
                if better {
                    unknown = Some(why);
                }
            }
            Truth::True | Truth::False => {}
        }
    }
    unknown.map_or_else(|| !settling.clone(), Truth::Unknown)
}

impl Test {
    /// Whether it asks for the session and the time only.
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        let text = |attribute: &TextAttribute| match attribute {
            TextAttribute::PrincipalId
            | TextAttribute::PersonId
            | TextAttribute::Issuer
            | TextAttribute::Claim(_)
            | TextAttribute::Target
            | TextAttribute::Database
            | TextAttribute::Role
            | TextAttribute::Application => true,
            TextAttribute::Schema | TextAttribute::Relation | TextAttribute::Column => false,
        };
        match self {
            Self::Flag(Flag::Tls | Flag::Claim(_)) => true,
            Self::Flag(
                Flag::Filtered | Flag::Bounded | Flag::Opaque | Flag::InTransaction | Flag::Novel,
            ) => false,
            Self::Number { attribute, .. } => match attribute {
                NumberAttribute::Claim(_) => true,
                NumberAttribute::Limit
                | NumberAttribute::Parameters
                | NumberAttribute::EstimatedRows => false,
            },
            Self::Text { attribute, test } => {
                text(attribute)
                    && match test {
                        TextTest::Equals(TextOperand::Attribute(other)) => text(other),
                        TextTest::Equals(TextOperand::Literal(_))
                        | TextTest::In(_)
                        | TextTest::Matches(_) => true,
                    }
            }
            Self::PrincipalKind(_)
            | Self::Authentication(_)
            | Self::Member { .. }
            | Self::Network(_)
            | Self::ClaimHas { .. }
            | Self::Time(_) => true,
            Self::Present(presence) => match presence {
                Presence::Claim(_) | Presence::OnBehalfOf | Presence::ClientAddress => true,
                Presence::Limit => false,
            },
            Self::Kind(_)
            | Self::Operation(_)
            | Self::Use(_)
            | Self::Class(_)
            | Self::Mentions { .. }
            | Self::BoundedBy { .. } => false,
        }
    }

    /// What it comes to.
    pub fn evaluate(
        &self,
        context: Context<'_>,
        ask: Ask<'_>,
        is_member: &dyn Fn(&str) -> bool,
    ) -> Truth {
        let Context {
            session,
            now,
            facts,
            circumstances: _,
        } = context;
        match self {
            Self::Flag(flag) => flag_truth(flag, context, ask),
            Self::Number {
                attribute,
                comparison,
                value,
            } => match number(attribute, context) {
                Ok(number) => comparison.holds(number, *value).into(),
                Err(why) => Truth::Unknown(why),
            },
            Self::Text { attribute, test } => text_truth(attribute, test, context, ask),
            Self::PrincipalKind(kinds) => kinds.contains(&session.principal.kind).into(),
            Self::Authentication(ways) => ways.contains(&session.authentication).into(),
            Self::Kind(kinds) => kinds.contains(&facts.kind).into(),
            Self::Operation(operations) => operations.contains(ask.access.operation).into(),
            Self::Use(uses) => ask
                .column
                .is_some_and(|column| uses.contains(&column.used))
                .into(),
            Self::Member { who, group } => {
                let groups = match who {
                    Who::Actor => session.principal.groups.as_slice(),
                    Who::Person => session
                        .principal
                        .on_behalf_of
                        .as_ref()
                        .map_or(&[][..], |person| &person.groups),
                };
                group.iter().any(|name| groups.contains(name)).into()
            }
            Self::Class(class) => (ask.column.is_some() && is_member(class)).into(),
            Self::Mentions { what, schema, name } => mentions(facts, *what, schema, name).into(),
            Self::Network(networks) => session
                .client_address
                .is_some_and(|address| networks.iter().any(|network| holds(network, address)))
                .into(),
            Self::ClaimHas { claim, value } => claim_has(session, claim, value),
            Self::Present(presence) => match presence {
                Presence::Claim(path) => claim(session, path).is_ok(),
                Presence::OnBehalfOf => session.principal.on_behalf_of.is_some(),
                Presence::ClientAddress => session.client_address.is_some(),
                Presence::Limit => facts.limit.is_some(),
            }
            .into(),
            Self::Time(window) => window.contains(now).into(),
            Self::BoundedBy { column, value } => bounded_by(column, value, context, ask),
        }
    }
}

/// An IPv4 address that came over an IPv6 socket (`::ffff:10.0.0.1`) is in the networks of both its forms.
fn holds(network: &IpNet, address: IpAddr) -> bool {
    network.contains(&address) || network.contains(&address.to_canonical())
}

fn flag_truth(flag: &Flag, context: Context<'_>, ask: Ask<'_>) -> Truth {
    match flag {
        Flag::Filtered => ask.access.filtered.into(),
        Flag::Bounded => ask.access.bounded.into(),
        Flag::Opaque => (!context.facts.opaque.is_empty()).into(),
        Flag::InTransaction => context.circumstances.in_transaction.into(),
        Flag::Tls => context.session.tls.into(),
        Flag::Novel => match dear(DearFact::Novel, &context.circumstances.novel) {
            Ok(novel) => novel.into(),
            Err(why) => Truth::Unknown(why),
        },
        Flag::Claim(path) => match claim(context.session, path) {
            Ok(Value::Bool(value)) => (*value).into(),
            Ok(_) => wrong_type(path, "a yes or no"),
            Err(why) => Truth::Unknown(why),
        },
    }
}

fn number(attribute: &NumberAttribute, context: Context<'_>) -> Result<Option<i64>, Unknown> {
    let clamp = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    match attribute {
        NumberAttribute::Limit => Ok(context.facts.limit.map(clamp)),
        NumberAttribute::Parameters => Ok(Some(i64::from(context.facts.parameters))),
        NumberAttribute::EstimatedRows => dear(
            DearFact::EstimatedRows,
            &context.circumstances.estimated_rows,
        )
        .map(|rows| Some(clamp(rows))),
        NumberAttribute::Claim(path) => claim(context.session, path)?
            .as_i64()
            .map(Some)
            .ok_or_else(|| Unknown::ClaimType {
                claim: path.clone(),
                expected: "a whole number",
            }),
    }
}

fn dear<T: Copy>(fact: DearFact, value: &Dear<T>) -> Result<T, Unknown> {
    match value {
        Dear::Known(value) => Ok(*value),
        Dear::NotAsked => Err(Unknown::NotAsked(fact)),
        Dear::Failed(reason) => Err(Unknown::Failed {
            fact,
            reason: Arc::clone(reason),
        }),
    }
}

/// The attribute's text; `None` where there is none.
fn text<'a>(
    attribute: &TextAttribute,
    context: Context<'a>,
    ask: Ask<'a>,
) -> Result<Option<&'a str>, Unknown> {
    let session = context.session;
    Ok(match attribute {
        TextAttribute::PrincipalId => Some(&*session.principal.id),
        TextAttribute::PersonId => session
            .principal
            .on_behalf_of
            .as_ref()
            .map(|person| &*person.id),
        TextAttribute::Issuer => Some(&*session.principal.issuer),
        TextAttribute::Target => Some(&*session.target),
        TextAttribute::Database => Some(&*session.database),
        TextAttribute::Role => Some(&*session.role),
        TextAttribute::Application => Some(&*session.application),
        TextAttribute::Claim(path) => match claim(session, path)? {
            Value::String(text) => Some(text.as_str()),
            _ => {
                return Err(Unknown::ClaimType {
                    claim: path.clone(),
                    expected: "a text",
                });
            }
        },
        TextAttribute::Schema => match &ask.access.object {
            Object::Relation { schema, .. } | Object::Function { schema, .. } => Some(schema),
            Object::Other { schema, .. } => schema.as_deref(),
            Object::Setting(_) | Object::Channel(_) | Object::Nothing => None,
        },
        TextAttribute::Relation => match &ask.access.object {
            Object::Relation { name, .. }
            | Object::Function { name, .. }
            | Object::Setting(name)
            | Object::Channel(name)
            | Object::Other { name, .. } => Some(name),
            Object::Nothing => None,
        },
        TextAttribute::Column => ask.column.map(|used| &*used.column.name),
    })
}

fn text_truth(
    attribute: &TextAttribute,
    test: &TextTest,
    context: Context<'_>,
    ask: Ask<'_>,
) -> Truth {
    let left = match text(attribute, context, ask) {
        Ok(Some(left)) => left,
        Ok(None) => return Truth::False,
        Err(why) => return Truth::Unknown(why),
    };
    match test {
        TextTest::Equals(TextOperand::Literal(right)) => (*left == **right).into(),
        TextTest::Equals(TextOperand::Attribute(other)) => match text(other, context, ask) {
            Ok(right) => (right == Some(left)).into(),
            Err(why) => Truth::Unknown(why),
        },
        TextTest::In(texts) => texts.contains(left).into(),
        TextTest::Matches(pattern) => pattern.matches(left).into(),
    }
}

fn wrong_type(path: &ClaimPath, expected: &'static str) -> Truth {
    Truth::Unknown(Unknown::ClaimType {
        claim: path.clone(),
        expected,
    })
}

/// A claim of the token. One that is null is missing.
fn claim<'a>(session: &'a Session, path: &ClaimPath) -> Result<&'a Value, Unknown> {
    let mut names = path.0.iter();
    let first = names
        .next()
        .and_then(|name| session.principal.claims.get(&**name));
    first
        .and_then(|first| names.try_fold(first, |value, name| value.get(&**name)))
        .filter(|value| !value.is_null())
        .ok_or_else(|| Unknown::ClaimMissing(path.clone()))
}

fn claim_has(session: &Session, path: &ClaimPath, text: &str) -> Truth {
    match claim(session, path) {
        Ok(Value::Array(values)) => values
            .iter()
            .any(|value| value.as_str() == Some(text))
            .into(),
        Ok(_) => wrong_type(path, "a list"),
        Err(why) => Truth::Unknown(why),
    }
}

fn mentions(facts: &Facts, what: Mentioned, schema: &NamePattern, name: &NamePattern) -> bool {
    facts.accesses.iter().any(|access| {
        let (in_schema, called) = match (&access.object, what) {
            (
                Object::Relation {
                    schema,
                    name,
                    oid: _,
                },
                Mentioned::Tables,
            )
            | (Object::Function { schema, name }, Mentioned::Functions) => (schema, name),
            _ => return false,
        };
        schema.matches(in_schema) && name.matches(called)
    })
}

/// Whether an equality of the column with the value is among those that limit the access.
fn bounded_by(column: &str, value: &TextOperand, context: Context<'_>, ask: Ask<'_>) -> Truth {
    let wanted: Result<Option<String>, Unknown> = match value {
        TextOperand::Literal(text) => Ok(Some(text.to_string())),
        // Tenants have numbers as often as names: a whole number is compared by its digits.
        TextOperand::Attribute(TextAttribute::Claim(path)) => match claim(context.session, path) {
            Ok(Value::String(text)) => Ok(Some(text.clone())),
            Ok(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                Ok(Some(number.to_string()))
            }
            Ok(_) => Err(Unknown::ClaimType {
                claim: path.clone(),
                expected: "a text or a whole number",
            }),
            Err(why) => Err(why),
        },
        TextOperand::Attribute(attribute) => {
            text(attribute, context, ask).map(|text| text.map(ToOwned::to_owned))
        }
    };
    let wanted = match wanted {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return Truth::False,
        Err(why) => return Truth::Unknown(why),
    };
    let equalities: Vec<&Constant> = ask
        .access
        .equalities
        .iter()
        .filter(|equality| equality.column.name.to_lowercase() == column)
        .map(|equality| &equality.value)
        .collect();
    settle(&equalities, &Truth::True, |constant| match constant {
        Constant::Text(text) => (**text == *wanted).into(),
        Constant::Parameter(number) => {
            let circumstances = context.circumstances;
            if circumstances.parameters.is_none() && circumstances.values_follow {
                return Truth::Unknown(Unknown::NotAsked(DearFact::Values));
            }
            let value = number
                .checked_sub(1)
                .and_then(|index| circumstances.parameters?.get(usize::from(index)));
            match value {
                Some(Some(text)) => (*text == wanted).into(),
                // NULL equals nothing.
                Some(None) => Truth::False,
                None => Truth::Unknown(Unknown::Parameter(*number)),
            }
        }
    })
}

//! Conditions: yes, no, an error, or a dear fact that nobody has asked for. An error is never taken for an answer.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use provost_engine::{
    facts::{Access, ColumnUse, Constant, Object},
    graph::{
        condition::{
            ClaimPath, Comparison, Condition, DearFact, Flag, Mentioned, NumberAttribute, Presence,
            Test, TextAttribute, TextOperand, TextTest, Who,
        },
        window::Window,
    },
    principal::Dear,
};
use serde_json::Value;

use super::{
    Case,
    pattern::{self, is_member},
    shares,
};

/// What a condition comes to. The order is what prevails where neither yes nor no settles it: an error over a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// It can't be said.
    Error,
    /// It hangs on a fact that was not asked for.
    Ask(DearFact),
}

/// What it is asked about: one use of one column, or an access that names none.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) access: &'a Access,
    pub(super) column: Option<&'a ColumnUse>,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// A value, or why there is none.
type Had<T> = Result<T, Answer>;

pub(super) fn answer(condition: &Condition, case: Case<'_>, about: Option<About<'_>>) -> Answer {
    let parts = |parts: &[Condition]| -> Vec<Answer> {
        parts.iter().map(|part| answer(part, case, about)).collect()
    };
    match condition {
        Condition::Always => Answer::Yes,
        Condition::Test(test) => test_answer(test, case, about).unwrap_or_else(|why| why),
        Condition::Not(inner) => match answer(inner, case, about) {
            Answer::Yes => Answer::No,
            Answer::No => Answer::Yes,
            other => other,
        },
        Condition::All(inner) => combine(&parts(inner), Answer::No, Answer::Yes),
        Condition::Any(inner) => combine(&parts(inner), Answer::Yes, Answer::No),
    }
}

/// One `settling` settles it, whatever the others are. Else an error is one; else the cheaper fact is asked for.
fn combine(parts: &[Answer], settling: Answer, otherwise: Answer) -> Answer {
    let has = |wanted: Answer| parts.contains(&wanted);
    if has(settling) {
        settling
    } else if has(Answer::Error) {
        Answer::Error
    } else if has(Answer::Ask(DearFact::Values)) {
        Answer::Ask(DearFact::Values)
    } else if has(Answer::Ask(DearFact::Novel)) {
        Answer::Ask(DearFact::Novel)
    } else if has(Answer::Ask(DearFact::EstimatedRows)) {
        Answer::Ask(DearFact::EstimatedRows)
    } else {
        otherwise
    }
}

fn test_answer(test: &Test, case: Case<'_>, about: Option<About<'_>>) -> Had<Answer> {
    let principal = &case.session.principal;
    let access = about.map(|about| about.access);
    let column = about.and_then(|about| about.column);
    let yes = match test {
        Test::Flag(flag) => flag_holds(flag, case, access)?,
        Test::Number {
            attribute,
            comparison,
            value,
        } => compare(number(attribute, case)?, *comparison, i128::from(*value)),
        Test::Text { attribute, test } => text_holds(attribute, test, case, about)?,
        Test::PrincipalKind(kinds) => kinds.contains(&principal.kind),
        Test::Authentication(ways) => ways.contains(&case.session.authentication),
        Test::Kind(kinds) => kinds.contains(&case.facts.kind),
        Test::Operation(operations) => {
            access.is_some_and(|access| operations.contains(access.operation))
        }
        Test::Use(uses) => column.is_some_and(|column| uses.contains(&column.used)),
        Test::Member { who, group } => match (who, &principal.on_behalf_of) {
            (Who::Actor, _) => shares(group, &principal.groups),
            (Who::Person, Some(person)) => shares(group, &person.groups),
            (Who::Person, None) => false,
        },
        Test::Class(class) => column.is_some_and(|used| is_member(case.set, class, &used.column)),
        Test::Mentions { what, schema, name } => case.facts.accesses.iter().any(|access| {
            let (in_schema, called) = match (&access.object, what) {
                (Object::Relation { schema, name, .. }, Mentioned::Tables)
                | (Object::Function { schema, name }, Mentioned::Functions) => (schema, name),
                _ => return false,
            };
            let exact = pattern::Case::Exact;
            pattern::matches(schema, in_schema, exact) && pattern::matches(name, called, exact)
        }),
        Test::Network(networks) => case
            .session
            .client_address
            .is_some_and(|address| networks.iter().any(|network| lies_in(address, network))),
        Test::ClaimHas { claim: path, value } => match claim(case, path)? {
            Value::Array(values) => values.iter().any(|one| one.as_str() == Some(&**value)),
            _ => return Err(Answer::Error),
        },
        Test::Present(presence) => match presence {
            Presence::Claim(path) => claim(case, path).is_ok(),
            Presence::OnBehalfOf => principal.on_behalf_of.is_some(),
            Presence::ClientAddress => case.session.client_address.is_some(),
            Presence::Limit => case.facts.limit.is_some(),
        },
        Test::Time(window) => is_within(window, case),
        Test::BoundedBy { column, value } => return bounded_by(column, value, case, about),
    };
    Ok(yes.into())
}

fn flag_holds(flag: &Flag, case: Case<'_>, access: Option<&Access>) -> Had<bool> {
    Ok(match flag {
        Flag::Filtered => access.is_some_and(|access| access.filtered),
        Flag::Bounded => access.is_some_and(|access| access.bounded),
        Flag::Opaque => !case.facts.opaque.is_empty(),
        Flag::InTransaction => case.circumstances.in_transaction,
        Flag::Novel => dear(&case.circumstances.novel, DearFact::Novel)?,
        Flag::Tls => case.session.tls,
        Flag::Claim(path) => claim(case, path)?.as_bool().ok_or(Answer::Error)?,
    })
}

fn dear<T: Copy>(dear: &Dear<T>, fact: DearFact) -> Had<T> {
    match dear {
        Dear::Known(value) => Ok(*value),
        Dear::NotAsked => Err(Answer::Ask(fact)),
        Dear::Failed(_) => Err(Answer::Error),
    }
}

/// The number; `None` is larger than any.
fn number(attribute: &NumberAttribute, case: Case<'_>) -> Had<Option<i128>> {
    Ok(match attribute {
        NumberAttribute::Limit => case.facts.limit.map(i128::from),
        NumberAttribute::Parameters => Some(i128::from(case.facts.parameters)),
        NumberAttribute::EstimatedRows => Some(i128::from(dear(
            &case.circumstances.estimated_rows,
            DearFact::EstimatedRows,
        )?)),
        NumberAttribute::Claim(path) => {
            let value = claim(case, path)?.as_i64().ok_or(Answer::Error)?;
            Some(i128::from(value))
        }
    })
}

fn compare(left: Option<i128>, comparison: Comparison, right: i128) -> bool {
    let Some(left) = left else {
        return match comparison {
            Comparison::Greater | Comparison::GreaterOrEqual | Comparison::NotEqual => true,
            Comparison::Equal | Comparison::Less | Comparison::LessOrEqual => false,
        };
    };
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    }
}

/// A text that there is none of passes no test.
fn text_holds(
    attribute: &TextAttribute,
    test: &TextTest,
    case: Case<'_>,
    about: Option<About<'_>>,
) -> Had<bool> {
    let Some(left) = text(attribute, case, about)? else {
        return Ok(false);
    };
    Ok(match test {
        TextTest::Equals(TextOperand::Literal(right)) => left == **right,
        TextTest::Equals(TextOperand::Attribute(other)) => text(other, case, about)? == Some(left),
        TextTest::In(texts) => texts.iter().any(|text| **text == *left),
        TextTest::Matches(glob) => pattern::matches(glob, &left, pattern::Case::Exact),
    })
}

fn text(
    attribute: &TextAttribute,
    case: Case<'_>,
    about: Option<About<'_>>,
) -> Had<Option<String>> {
    let session = case.session;
    let object = about.map(|about| &about.access.object);
    Ok(match attribute {
        TextAttribute::PrincipalId => Some(session.principal.id.to_string()),
        TextAttribute::PersonId => {
            let person = session.principal.on_behalf_of.as_ref();
            person.map(|person| person.id.to_string())
        }
        TextAttribute::Issuer => Some(session.principal.issuer.to_string()),
        TextAttribute::Target => Some(session.target.to_string()),
        TextAttribute::Database => Some(session.database.to_string()),
        TextAttribute::Role => Some(session.role.to_string()),
        TextAttribute::Application => Some(session.application.to_string()),
        TextAttribute::Claim(path) => {
            let text = claim(case, path)?.as_str().ok_or(Answer::Error)?;
            Some(text.to_owned())
        }
        TextAttribute::Schema => match object {
            Some(
                Object::Relation { schema, .. }
                | Object::Function { schema, .. }
                | Object::Other {
                    schema: Some(schema),
                    ..
                },
            ) => Some(schema.to_string()),
            _ => None,
        },
        TextAttribute::Relation => match object {
            Some(
                Object::Relation { name, .. }
                | Object::Function { name, .. }
                | Object::Setting(name)
                | Object::Channel(name)
                | Object::Other { name, .. },
            ) => Some(name.to_string()),
            Some(Object::Nothing) | None => None,
        },
        TextAttribute::Column => {
            let column = about.and_then(|about| about.column);
            column.map(|used| used.column.name.to_string())
        }
    })
}

/// A claim that is null, or on whose way something is missing, is an error.
fn claim<'a>(case: Case<'a>, path: &ClaimPath) -> Had<&'a Value> {
    let claims = &case.session.principal.claims;
    let (first, rest) = path.0.split_first().ok_or(Answer::Error)?;
    let mut value = claims.get(&**first).ok_or(Answer::Error)?;
    for name in rest {
        let object = value.as_object().ok_or(Answer::Error)?;
        value = object.get(&**name).ok_or(Answer::Error)?;
    }
    if value.is_null() {
        return Err(Answer::Error);
    }
    Ok(value)
}

/// An IPv4 address that came over an IPv6 socket (`::ffff:10.0.0.1`) lies where the IPv4 address does, too.
fn lies_in(address: IpAddr, network: &IpNet) -> bool {
    let same_head = |address: u128, network: u128, width: u32, length: u8| {
        let rest = width - u32::from(length);
        rest >= width || address >> rest == network >> rest
    };
    [address, address.to_canonical()]
        .into_iter()
        .any(|address| match (address, network) {
            (IpAddr::V4(address), IpNet::V4(network)) => same_head(
                u128::from(address.to_bits()),
                u128::from(network.network().to_bits()),
                32,
                network.prefix_len(),
            ),
            (IpAddr::V6(address), IpNet::V6(network)) => same_head(
                address.to_bits(),
                network.network().to_bits(),
                128,
                network.prefix_len(),
            ),
            _ => false,
        })
}

/// What the clock on the wall of that zone shows decides (ruling 25).
fn is_within(window: &Window, case: Case<'_>) -> bool {
    let name = window.zone().name();
    let zone = match &**name {
        "UTC" => TimeZone::UTC,
        name => TimeZoneDatabase::bundled().get(name).expect("a zone"),
    };
    let wall = case.now.to_zoned(zone).datetime();
    let minute = u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute()));
    let minute = minute.expect("minutes of a day");
    let day = u8::try_from(wall.date().weekday().to_monday_one_offset() - 1).expect("0 to 6");
    let (from, to) = window.minutes();
    let (evening, morning) = if from < to {
        (minute >= from && minute < to, false)
    } else {
        (minute >= from, minute < to)
    };
    window.days().contains(day) && (evening || morning)
}

/// Any equality of that column with that value.
fn bounded_by(
    column: &str,
    value: &TextOperand,
    case: Case<'_>,
    about: Option<About<'_>>,
) -> Had<Answer> {
    let wanted = match value {
        TextOperand::Literal(text) => Some(text.to_string()),
        TextOperand::Attribute(TextAttribute::Claim(path)) => match claim(case, path)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => return Err(Answer::Error),
        },
        TextOperand::Attribute(attribute) => text(attribute, case, about)?,
    };
    let (Some(wanted), Some(about)) = (wanted, about) else {
        return Ok(Answer::No);
    };
    let mut answers = Vec::new();
    for equality in &about.access.equalities {
        if equality.column.name.to_lowercase() != *column {
            continue;
        }
        answers.push(match &equality.value {
            Constant::Text(text) => (**text == *wanted).into(),
            Constant::Parameter(_)
                if case.circumstances.values_follow && case.circumstances.parameters.is_none() =>
            {
                Answer::Ask(DearFact::Values)
            }
            Constant::Parameter(number) => {
                let values = case.circumstances.parameters.unwrap_or_default();
                match (*number >= 1).then(|| values.get(usize::from(*number) - 1)) {
                    Some(Some(Some(text))) => (**text == *wanted).into(),
                    Some(Some(None)) => Answer::No,
                    Some(None) | None => Answer::Error,
                }
            }
        });
    }
    Ok(combine(&answers, Answer::Yes, Answer::No))
}

//! What a policy module is given: the facts that rules ask for, as one document with the policy language's names.
//!
//! The one source of the documented JSON schema: what is not in these structs no module can read. Holds no clock's time
//! finer than a minute, so that a session's view can be kept for as long.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Classes, window::Weekdays};
use crate::{
    facts::{
        Access, Column, Constant, Equality, Facts, How, Kind, Lineage, Object, Operation,
        OutputColumn, SessionEffect, Use,
    },
    principal::{Authentication, Circumstances, Dear, PrincipalKind, Session},
};

/// Everything that a module can ask. What there is none of is absent, never null.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "input")]
pub struct Input<'a> {
    /// Who asks.
    pub principal: PrincipalInput<'a>,
    /// Over which session.
    pub session: SessionInput<'a>,
    /// When, to the minute.
    pub time: TimeInput,
    /// What is asked. Absent for a module that reads nothing of it: such a module is evaluated once for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "StatementInput<'a>")]
    pub statement: Option<StatementInput<'a>>,
    /// What surrounds the statement. Absent where the statement is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CircumstancesInput")]
    pub circumstances: Option<CircumstancesInput>,
}

/// The authenticated actor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PrincipalInput<'a> {
    /// The id, from the claim that the configuration names.
    pub id: &'a str,
    /// Human, agent or service.
    pub kind: PrincipalKind,
    /// Group names exactly as the issuer gave them.
    pub groups: Vec<&'a str>,
    /// The person behind an agent, if the token names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PersonInput<'_>")]
    pub on_behalf_of: Option<PersonInput<'a>>,
    /// The issuer's URL.
    pub issuer: &'a str,
    /// Every other claim of the token.
    pub claims: &'a BTreeMap<String, serde_json::Value>,
}

/// The person behind an actor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PersonInput<'a> {
    /// The person's id.
    pub id: &'a str,
    /// The person's group names exactly as the issuer gave them.
    pub groups: Vec<&'a str>,
}

/// What is constant for a session.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SessionInput<'a> {
    /// The configured target's name.
    pub target: &'a str,
    /// The database.
    pub database: &'a str,
    /// The database role.
    pub role: &'a str,
    /// The client's `application_name`; attacker-chosen.
    pub application: &'a str,
    /// The client's address; absent over a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub client_address: Option<String>,
    /// Whether the client's connection is encrypted.
    pub tls: bool,
    /// How the principal proved who it is.
    pub authentication: Authentication,
}

/// The moment of deciding in UTC, cut to the full minute.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TimeInput {
    /// RFC 3339, such as `2026-11-21T15:04:00Z`.
    pub instant: String,
    /// Seconds since 1970-01-01 UTC; a multiple of 60.
    pub unix_seconds: i64,
    /// `mon` to `sun`, in UTC.
    pub weekday: &'static str,
    /// 0 to 23, in UTC.
    pub hour: i8,
    /// 0 to 59, in UTC.
    pub minute: i8,
}

/// What a statement would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct StatementInput<'a> {
    /// The command.
    pub kind: Kind,
    /// Everything it does; each must be covered by a rule or a module. A verdict's `accesses` are places in this list.
    pub accesses: Vec<AccessInput<'a>>,
    /// The result's columns, in order; absent if it returns no rows or its shape is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<OutputInput<'a>>")]
    pub outputs: Option<Vec<OutputInput<'a>>>,
    /// Columns written and where the values come from.
    pub writes: Vec<WriteInput<'a>>,
    /// What analysis could not bound.
    pub opaque: Vec<OpaqueInput<'a>>,
    /// What it does to the session's own state.
    pub session_effect: SessionEffect,
    /// Whether views or functions over other relations were expanded.
    pub through_views: bool,
    /// The literal top-level LIMIT, in rows; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<u64>,
    /// How many parameters its text has.
    pub parameters: u16,
    /// The statement's shape, literals left out; 16 hex digits.
    pub fingerprint: &'a str,
}

/// One thing the statement does to one object.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AccessInput<'a> {
    /// What it is done to.
    pub object: ObjectInput<'a>,
    /// What is done.
    pub operation: Operation,
    /// Each use of each column; empty where the operation is on the whole object.
    pub columns: Vec<ColumnUseInput<'a>>,
    /// The view through which the relation was reached: `schema.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub via: Option<&'a str>,
    /// Whether a predicate that is not constantly true limits its rows.
    pub filtered: bool,
    /// Whether equality or IN with constants on a unique key limits its rows.
    pub bounded: bool,
    /// Equalities of its columns with constants, ANDed at top level.
    pub equalities: Vec<EqualityInput<'a>>,
}

/// What an access is about.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ObjectInput<'a> {
    /// `relation`, `function`, `setting`, `channel`, `nothing` (as in `SELECT 1`), or SQL's word for another sort of object:
    /// `schema`, `role`, `extension`.
    pub sort: &'a str,
    /// The schema, of a relation, a function or another object that lies in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub schema: Option<&'a str>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub name: Option<&'a str>,
}

/// One use of one column.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ColumnUseInput<'a> {
    /// The column.
    #[serde(flatten)]
    pub column: ColumnInput<'a>,
    /// How it is used.
    #[serde(rename = "use")]
    pub used: Use,
}

/// A base column.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ColumnInput<'a> {
    /// The schema's exact name.
    pub schema: &'a str,
    /// The relation's exact name.
    pub relation: &'a str,
    /// The column's exact name.
    pub column: &'a str,
    /// The type's oid.
    pub type_oid: u32,
    /// The policy set's classes that it is a member of, sorted.
    pub classes: Vec<&'a str>,
}

/// A column with what depends on it how.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SourceInput<'a> {
    /// The column.
    #[serde(flatten)]
    pub column: ColumnInput<'a>,
    /// How the value depends on it.
    pub how: How,
}

/// A column of the result.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OutputInput<'a> {
    /// Its name in the result; the client chooses it.
    pub name: &'a str,
    /// The base columns that its values are computed from.
    pub sources: Vec<SourceInput<'a>>,
}

/// A column written.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct WriteInput<'a> {
    /// The column.
    #[serde(flatten)]
    pub column: ColumnInput<'a>,
    /// The base columns that the new value is computed from; empty for literals, parameters and defaults.
    pub sources: Vec<SourceInput<'a>>,
}

/// `column = constant`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EqualityInput<'a> {
    /// The column's exact name.
    pub column: &'a str,
    /// What it equals, as text; null where a parameter is NULL; absent where a parameter's value is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Option<&'a str>>,
    /// The parameter's number, from 1; absent for a literal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u16")]
    pub parameter: Option<u16>,
}

/// Something that analysis could not bound.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OpaqueInput<'a> {
    /// What it is about.
    pub subject: &'a str,
    /// Why it could not be bounded.
    pub reason: &'a str,
}

/// What surrounds a statement.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CircumstancesInput {
    /// Whether the session is in a transaction block.
    pub in_transaction: bool,
    /// How many rows the server's planner expects. Only for a module whose text reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub estimated_rows: Option<u64>,
    /// Whether this principal runs a statement of this shape for the first time. Only for a module whose text reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub novel: Option<bool>,
}

impl<'a> Input<'a> {
    /// What is constant for a session, at that moment.
    pub(super) fn of_session(session: &'a Session, now: Timestamp) -> Self {
        let principal = &session.principal;
        Self {
            principal: PrincipalInput {
                id: &principal.id,
                kind: principal.kind,
                groups: texts(&principal.groups),
                on_behalf_of: principal.on_behalf_of.as_ref().map(|person| PersonInput {
                    id: &person.id,
                    groups: texts(&person.groups),
                }),
                issuer: &principal.issuer,
                claims: &principal.claims,
            },
            session: SessionInput {
                target: &session.target,
                database: &session.database,
                role: &session.role,
                application: &session.application,
                client_address: session.client_address.map(|address| address.to_string()),
                tls: session.tls,
                authentication: session.authentication,
            },
            time: TimeInput::of(now),
            statement: None,
            circumstances: None,
        }
    }

    /// With a statement and what surrounds it. `accesses` are all of the statement's, those that it implies included.
    pub(super) fn with_statement(
        self,
        facts: &'a Facts,
        accesses: impl Iterator<Item = &'a Access>,
        circumstances: &Circumstances<'a>,
        classes: &'a Classes,
    ) -> Self {
        let reader = Reader {
            classes,
            parameters: circumstances.parameters,
        };
        Self {
            statement: Some(StatementInput {
                kind: facts.kind,
                accesses: accesses.map(|access| reader.access(access)).collect(),
                outputs: facts
                    .outputs
                    .as_ref()
                    .map(|outputs| outputs.iter().map(|output| reader.output(output)).collect()),
                writes: facts
                    .writes
                    .iter()
                    .map(|write| WriteInput {
                        column: reader.column(&write.column),
                        sources: reader.sources(&write.lineage),
                    })
                    .collect(),
                opaque: facts
                    .opaque
                    .iter()
                    .map(|opaque| OpaqueInput {
                        subject: &opaque.subject,
                        reason: &opaque.reason,
                    })
                    .collect(),
                session_effect: facts.session_effect,
                through_views: facts.through_views,
                limit: facts.limit,
                parameters: facts.parameters,
                fingerprint: &facts.fingerprint,
            }),
            circumstances: Some(CircumstancesInput {
                in_transaction: circumstances.in_transaction,
                estimated_rows: known(&circumstances.estimated_rows),
                novel: known(&circumstances.novel),
            }),
            ..self
        }
    }
}

impl TimeInput {
    fn of(now: Timestamp) -> Self {
        let minute = start_of_minute(now);
        let wall = minute.to_zoned(TimeZone::UTC).datetime();
        let day = wall.date().weekday().to_monday_zero_offset();
        Self {
            instant: minute.to_string(),
            unix_seconds: minute.as_second(),
            weekday: usize::try_from(day)
                .ok()
                .and_then(|day| Weekdays::NAMES.get(day).copied())
                .unwrap_or_default(),
            hour: wall.hour(),
            minute: wall.minute(),
        }
    }
}

/// The full minute that an instant lies in.
pub(super) fn start_of_minute(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    // Timestamps before the first full minute of all have none.
    Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(Timestamp::MIN)
}

/// The full minute after it; the end of time where there is none.
pub(super) fn next_minute(now: Timestamp) -> Timestamp {
    Timestamp::from_second(start_of_minute(now).as_second().saturating_add(60))
        .unwrap_or(Timestamp::MAX)
}

/// Reads facts for one policy and one statement.
struct Reader<'a> {
    classes: &'a Classes,
    parameters: Option<&'a [Option<&'a str>]>,
}

impl<'a> Reader<'a> {
    fn access(&self, access: &'a Access) -> AccessInput<'a> {
        AccessInput {
            object: object(&access.object),
            operation: access.operation,
            columns: access
                .columns
                .iter()
                .map(|used| ColumnUseInput {
                    column: self.column(&used.column),
                    used: used.used,
                })
                .collect(),
            via: access.via.as_deref(),
            filtered: access.filtered,
            bounded: access.bounded,
            equalities: access
                .equalities
                .iter()
                .map(|equality| self.equality(equality))
                .collect(),
        }
    }

    fn equality(&self, equality: &'a Equality) -> EqualityInput<'a> {
        let (value, parameter) = match &equality.value {
            Constant::Text(text) => (Some(Some(&**text)), None),
            Constant::Parameter(number) => {
                let place = usize::from(*number).checked_sub(1);
                let value = self
                    .parameters
                    .zip(place)
                    .and_then(|(values, place)| values.get(place).copied());
                (value, Some(*number))
            }
        };
        EqualityInput {
            column: &equality.column.name,
            value,
            parameter,
        }
    }

    fn output(&self, output: &'a OutputColumn) -> OutputInput<'a> {
        OutputInput {
            name: &output.name,
            sources: self.sources(&output.lineage),
        }
    }

    fn sources(&self, lineage: &'a Lineage) -> Vec<SourceInput<'a>> {
        lineage
            .sources
            .iter()
            .map(|source| SourceInput {
                column: self.column(&source.column),
                how: source.how,
            })
            .collect()
    }

    fn column(&self, column: &'a Column) -> ColumnInput<'a> {
        ColumnInput {
            schema: &column.schema,
            relation: &column.relation,
            column: &column.name,
            type_oid: column.type_oid,
            classes: self.classes.names_of(column),
        }
    }
}

fn object(object: &Object) -> ObjectInput<'_> {
    let (sort, schema, name) = match object {
        Object::Relation {
            schema,
            name,
            oid: _,
        } => ("relation", Some(&**schema), Some(&**name)),
        Object::Function { schema, name } => ("function", Some(&**schema), Some(&**name)),
        Object::Setting(name) => ("setting", None, Some(&**name)),
        Object::Channel(name) => ("channel", None, Some(&**name)),
        Object::Other { sort, schema, name } => (
            &**sort,
            schema.as_deref(),
            (!name.is_empty()).then_some(&**name),
        ),
        Object::Nothing => ("nothing", None, None),
    };
    ObjectInput { sort, schema, name }
}

fn texts(names: &[std::sync::Arc<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

fn known<T: Copy>(fact: &Dear<T>) -> Option<T> {
    match fact {
        Dear::Known(value) => Some(*value),
        Dear::NotAsked | Dear::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(instant: &str, cut: &str, next: &str) {
        let instant: Timestamp = instant.parse().expect("an instant");
        assert_eq!(start_of_minute(instant).to_string(), cut);
        assert_eq!(next_minute(instant).to_string(), next);
        assert_eq!(TimeInput::of(instant).instant, cut);
    }

    #[test]
    fn time_is_cut_to_the_minute() {
        for (instant, cut, next) in [
            (
                "2026-11-21T15:04:59.9Z",
                "2026-11-21T15:04:00Z",
                "2026-11-21T15:05:00Z",
            ),
            (
                "2026-11-21T15:04:00Z",
                "2026-11-21T15:04:00Z",
                "2026-11-21T15:05:00Z",
            ),
            (
                "1969-12-31T23:59:30Z",
                "1969-12-31T23:59:00Z",
                "1970-01-01T00:00:00Z",
            ),
        ] {
            check(instant, cut, next);
        }
        let time = TimeInput::of("2026-11-21T15:04:59Z".parse().expect("an instant"));
        assert_eq!((time.weekday, time.hour, time.minute), ("sat", 15, 4));
        assert_eq!(next_minute(Timestamp::MAX), Timestamp::MAX);
    }
}

//! `test` blocks: names resolved, values checked. Never runs anything.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use provost_engine::{
    principal::PrincipalKind,
    reason::StatedReason,
    verdict::{Limits, Transform, Verdict},
};
use serde_json::Value as Json;

use super::{
    Check,
    condition::whole,
    limit::{self, Limited},
    mask,
};
use crate::{
    ast::{
        self, ExpectedKind, GroupMember, LimitItem, Name, Path, Span, Step, StepKind, Value,
        ValueKind, Verb, WithOf,
    },
    testing::{
        Expectation, Expected, Given, PolicyTest, Run, TestPerson, TestPrincipal, TestSession,
    },
    vocabulary,
};

/// Lowers a test; `None` if it has a mistake (which was reported).
pub(super) fn lower(name: &Name, steps: &[Step], check: &mut Check<'_, '_>) -> Option<PolicyTest> {
    let before = check.errors();
    let mut parts = Parts::default();
    let mut unread = false;
    for Step { kind, span } in steps {
        unread |= *kind == StepKind::Error;
        parts.add(kind, span, check);
    }
    // What could not be read may have been what is missing.
    let unread = unread || check.errors() > before;
    let mut missing = |there: bool, what: &str, help: &str| {
        if !there && !unread {
            check.error_with_help(
                &name.span,
                format!("the test does not say {what}"),
                "incomplete",
                help,
            );
        }
    };
    missing(
        parts.principal.is_some(),
        "who asks",
        "add `as \"devin@corp\" in GROUP`",
    );
    missing(
        !parts.run.is_empty(),
        "what is run",
        "add `run \"SELECT ...\"`",
    );
    missing(
        !parts.expect.is_empty(),
        "what is expected",
        "add `expect allow`, `expect hold` or `expect deny`",
    );
    if unread || check.errors() > before {
        return None;
    }
    Some(PolicyTest {
        name: Arc::from(&*name.value),
        schema: parts.schema,
        principal: parts.principal?,
        session: parts.session,
        at: parts.at,
        given: parts.given,
        run: parts.run,
        expect: parts.expect,
        file: check.file.clone(),
        span: name.span.clone(),
    })
}

/// What the lines of a test said so far.
#[derive(Default)]
struct Parts {
    schema: Option<PathBuf>,
    principal: Option<TestPrincipal>,
    session: TestSession,
    at: Option<jiff::Timestamp>,
    given: Given,
    run: Vec<Run>,
    expect: Vec<Expected>,
}

impl Parts {
    fn add(&mut self, kind: &StepKind, span: &Span, check: &mut Check<'_, '_>) {
        let mut once = |first: bool, what: &str| {
            if !first {
                check.error(
                    span,
                    format!("a second `{what}` in one test"),
                    "one too many",
                );
            }
        };
        match kind {
            StepKind::Schema(path) => {
                once(self.schema.is_none(), "schema");
                self.schema = Some(PathBuf::from(&path.value));
            }
            StepKind::As {
                kind,
                id,
                groups,
                person,
                claims,
            } => {
                once(self.principal.is_none(), "as");
                self.principal = Some(TestPrincipal {
                    id: Arc::from(&*id.value),
                    kind: kind.as_ref().and_then(|kind| principal_kind(kind, check)),
                    groups: group_names(groups, check),
                    on_behalf_of: person.as_ref().map(|(id, groups)| TestPerson {
                        id: Arc::from(&*id.value),
                        groups: group_names(groups, check),
                    }),
                    claims: lower_claims(claims, check),
                });
            }
            StepKind::Session(settings) => {
                for (name, value) in settings {
                    setting(&mut self.session, name, value, check);
                }
            }
            StepKind::At(moment) => {
                once(self.at.is_none(), "at");
                match moment.value.parse::<jiff::Timestamp>() {
                    Ok(moment) => self.at = Some(moment),
                    Err(_) => check.error_with_help(
                        &moment.span,
                        format!("`{}` is no moment", moment.value),
                        "not a time with a zone",
                        "write `at \"2026-03-01T09:00:00Z\"` or `at \"2026-03-01T09:00:00+01:00\"`",
                    ),
                }
            }
            StepKind::Given(facts) => {
                for (name, value) in facts {
                    given(&mut self.given, name, value, check);
                }
            }
            StepKind::Run(text) => self.run.push(Run {
                text: Arc::from(&*text.value),
                span: text.span.clone(),
            }),
            StepKind::Expect(expected) => {
                for one in expected {
                    self.expect.extend(expectations(one, check));
                }
            }
            StepKind::Error => {}
        }
    }
}

fn principal_kind(kind: &Name, check: &mut Check<'_, '_>) -> Option<PrincipalKind> {
    let kinds = vocabulary::PRINCIPAL_KINDS;
    let found = kinds.into_iter().find(|one| one.name() == kind.value);
    if found.is_none() {
        let known = kinds.iter().map(|kind| kind.name());
        check.unknown("kind of principal", &kind.span, &kind.value, known);
    }
    found
}

/// The names in the token: a group of the policy stands for its first name, a text for itself.
fn group_names(groups: &[GroupMember], check: &mut Check<'_, '_>) -> Vec<Arc<str>> {
    groups
        .iter()
        .filter_map(|member| match member {
            GroupMember::Issued(name) => Some(Arc::from(&*name.value)),
            GroupMember::Declared(name) => check.group(name).and_then(|group| group.first.clone()),
        })
        .collect()
}

fn lower_claims(
    claims: &[(Path, Value)],
    check: &mut Check<'_, '_>,
) -> std::collections::BTreeMap<String, Json> {
    let mut whole = serde_json::Map::new();
    for (path, value) in claims {
        let Some(value) = json(value, check) else {
            continue;
        };
        let mut names = path.names.iter().map(|name| name.text.clone());
        let Some(first) = names.next() else {
            continue;
        };
        let rest: Vec<String> = names.collect();
        // `realm.tenant` is a claim in a claim.
        let value = rest
            .iter()
            .rev()
            .fold(value, |inner, name| serde_json::json!({ name: inner }));
        if merge(&mut whole, first, value).is_none() {
            check.error(
                &path.span,
                format!("the claim `{}` is given twice", path.text()),
                "given again",
            );
        }
    }
    whole.into_iter().collect()
}

/// Adds a claim beside what is there; `None` where it is there already.
fn merge(into: &mut serde_json::Map<String, Json>, name: String, value: Json) -> Option<()> {
    match (into.get_mut(&name), value) {
        (None, value) => {
            into.insert(name, value);
            Some(())
        }
        (Some(Json::Object(there)), Json::Object(more)) => {
            for (name, value) in more {
                merge(there, name, value)?;
            }
            Some(())
        }
        (Some(_), _) => None,
    }
}

fn json(value: &Value, check: &mut Check<'_, '_>) -> Option<Json> {
    match &value.kind {
        ValueKind::Text(text) => Some(Json::from(&**text)),
        ValueKind::Number(digits) => whole(digits, &value.span, check).map(Json::from),
        ValueKind::List(values) => values
            .iter()
            .map(|value| json(value, check))
            .collect::<Option<Vec<Json>>>()
            .map(Json::from),
        _ => match flag(value) {
            Some(flag) => Some(Json::from(flag)),
            None => {
                check.error_with_help(
                    &value.span,
                    "a claim can't be this",
                    "no value of a claim",
                    "write a text in quotes, a whole number, `true`, `false`, or a list: `(\"a\", \"b\")`",
                );
                None
            }
        },
    }
}

fn flag(value: &Value) -> Option<bool> {
    match &value.kind {
        ValueKind::Path(path) => match &*path.text() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn flag_or_report(name: &Name, value: &Value, check: &mut Check<'_, '_>) -> Option<bool> {
    let found = flag(value);
    if found.is_none() {
        check.error(
            &value.span,
            format!("`{}` is yes or no", name.value),
            "write `true` or `false`",
        );
    }
    found
}

fn setting(session: &mut TestSession, name: &Name, value: &Value, check: &mut Check<'_, '_>) {
    let text = |check: &mut Check<'_, '_>| -> Option<Arc<str>> {
        let ValueKind::Text(text) = &value.kind else {
            check.error(
                &value.span,
                format!("`{}` is a text", name.value),
                "write it in quotes",
            );
            return None;
        };
        Some(Arc::from(&**text))
    };
    match &*name.value {
        "target" => session.target = text(check),
        "database" => session.database = text(check),
        "role" => session.role = text(check),
        "application" => session.application = text(check),
        "reason" => {
            session.reason = text(check).and_then(|text| {
                StatedReason::new(&text)
                    .map_err(|error| check.error(&value.span, error.to_string(), "no reason"))
                    .ok()
            });
        }
        "tls" => session.tls = flag_or_report(name, value, check),
        "in_transaction" => session.in_transaction = flag_or_report(name, value, check),
        "client_address" => {
            let address = match &value.kind {
                ValueKind::Address(address) | ValueKind::Text(address) => {
                    address.parse::<IpAddr>().ok()
                }
                _ => None,
            };
            if address.is_none() {
                check.error(
                    &value.span,
                    "`client_address` is an address",
                    "write `10.0.0.7` or `fd00::7`",
                );
            }
            session.client_address = address;
        }
        other => {
            let known = vocabulary::SETTINGS.iter().copied();
            check.unknown("part of a session", &name.span, other, known);
        }
    }
}

fn given(facts: &mut Given, name: &Name, value: &Value, check: &mut Check<'_, '_>) {
    match &*name.value {
        "estimated_rows" => match &value.kind {
            ValueKind::Number(digits) if digits.parse::<u64>().is_ok() => {
                facts.estimated_rows = digits.parse().ok();
            }
            _ => check.error(
                &value.span,
                "`estimated_rows` is a whole number",
                "no number of rows",
            ),
        },
        "novel" => facts.novel = flag_or_report(name, value, check),
        other => check.unknown(
            "fact",
            &name.span,
            other,
            ["estimated_rows", "novel"].into_iter(),
        ),
    }
}

fn expectations(expected: &ast::Expected, check: &mut Check<'_, '_>) -> Vec<Expected> {
    let at = |what: Expectation, span: &Span| Expected {
        what,
        span: span.clone(),
    };
    let span = &expected.span;
    match &expected.kind {
        ExpectedKind::Verdict { verdict, by } => {
            let verdict = match verdict {
                Verb::Allow => Verdict::Allow,
                Verb::BreakGlass => Verdict::BreakGlass,
                Verb::Hold => Verdict::Hold,
                Verb::Deny | Verb::NeverAllow => Verdict::Deny,
            };
            let mut found = vec![at(Expectation::Verdict(verdict), span)];
            if let Some(by) = by {
                found.extend(rule(by, check).map(|rule| at(Expectation::By(rule), &by.span)));
            }
            found
        }
        ExpectedKind::By(by) => rule(by, check)
            .map(|rule| at(Expectation::By(rule), span))
            .into_iter()
            .collect(),
        ExpectedKind::Mask {
            output,
            transform,
            by,
        } => {
            let transform: Option<Transform> = transform
                .as_ref()
                .and_then(|one| mask::lower_transform(one, &WithOf::All, check));
            let by = by.as_ref().and_then(|by| rule(by, check));
            let mask = Expectation::Mask {
                output: Arc::from(&*output.text),
                transform,
                by,
            };
            vec![at(mask, span)]
        }
        ExpectedKind::NoMask(output) => {
            let output = Arc::from(&*output.text);
            vec![at(Expectation::NoMask { output }, span)]
        }
        ExpectedKind::Control(control) => check
            .control(control)
            .map(|id| at(Expectation::Controls(vec![id]), span))
            .into_iter()
            .collect(),
        ExpectedKind::Limit(item) => expected_limit(item, check)
            .map(|limit| at(Expectation::Limit(limit), span))
            .into_iter()
            .collect(),
        ExpectedKind::Record(level) => limit::recording(level, check)
            .map(|level| at(Expectation::Record(level), span))
            .into_iter()
            .collect(),
        ExpectedKind::Because(text) => {
            vec![at(Expectation::Reason(Arc::from(&*text.value)), span)]
        }
        ExpectedKind::Word(word) => match &*word.value {
            "unmasked" => vec![at(Expectation::Unmasked, span)],
            "error" => vec![at(Expectation::Error, span)],
            other => {
                let known = [
                    "allow",
                    "break-glass",
                    "hold",
                    "deny",
                    "mask",
                    "no mask",
                    "unmasked",
                    "controls",
                    "limit",
                    "record",
                    "because",
                    "error",
                ];
                check.unknown("expectation", &word.span, other, known.into_iter());
                Vec::new()
            }
        },
    }
}

fn rule(name: &Name, check: &mut Check<'_, '_>) -> Option<Arc<str>> {
    check
        .symbols
        .rule(name, check.file, check.diagnostics)
        .then(|| Arc::from(&*name.value))
}

fn expected_limit(item: &LimitItem, check: &mut Check<'_, '_>) -> Option<Limits> {
    let (limited, amount) = limit::one(item, check)?;
    let mut limits = Limits::default();
    let limit = match limited {
        Limited::Rows => &mut limits.rows,
        Limited::RowsPerHour => &mut limits.rows_per_hour,
        Limited::AffectedRows => &mut limits.affected_rows,
        Limited::Time => &mut limits.time_ms,
        Limited::Bytes => &mut limits.bytes,
        Limited::BytesPerHour => &mut limits.bytes_per_hour,
    };
    *limit = Some(amount);
    Some(limits)
}

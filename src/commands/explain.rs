//! `provost explain`: why a statement is allowed, held, masked or refused: every rule, and the least change that would pass.

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc, time::SystemTime};

use jiff::Timestamp;
use provost_engine::{
    catalog::Catalog,
    graph::explain::{Explanation, Fate, RuleExplanation},
    principal::{
        Authentication, Circumstances, Dear, Delegator, Principal, PrincipalKind, Session,
    },
    reason::StatedReason,
    sql::{self, Context, Refusal, Statement, Witness},
    verdict::{Decision, Verdict},
};
use serde_json::{Value, json};

use super::schema;
use crate::{
    cli,
    error::{Error, Exit},
    output::{self, Shape, Tone, line, toned},
};

/// Runs the command.
///
/// # Errors
/// [`Error::Policy`], [`Error::Schema`], [`Error::Refused`]; [`Error::Told`] with [`Exit::Denied`] where policy denies.
pub(crate) fn run(command: &cli::Explain) -> Result<(), Error> {
    let compiled = provost_dsl::load(&command.folder).map_err(|source| Error::Policy {
        folder: command.folder.clone(),
        source,
    })?;
    output::diagnostics(&compiled.warnings);
    let policy = &compiled.policy;
    let session = Arc::new(session(command)?);
    let now = match &command.at {
        Some(at) => at.parse().map_err(|_| Error::Option {
            option: "--at",
            value: at.clone(),
            help: "write a time such as 2026-03-01T09:00:00+01:00",
        })?,
        None => Timestamp::try_from(SystemTime::now()).map_err(|_| Error::Clock)?,
    };
    let circumstances = Circumstances {
        in_transaction: command.in_transaction,
        estimated_rows: command.estimated_rows.map_or_else(
            || Dear::Failed("none was given with --estimated-rows".into()),
            Dear::Known,
        ),
        novel: Dear::Known(command.novel),
        parameters: None,
        values_follow: false,
        stated_reason: command.reason.as_ref().map(StatedReason::as_str),
    };
    let statements = analyse(command.schema.as_deref(), &command.sql, &session)?;
    let mut denied = false;
    for statement in &statements {
        let explanation = policy.explain(&session, now, &statement.facts, &circumstances);
        denied |= explanation.decision.verdict == Verdict::Deny;
        let text = command.sql.get(statement.span.clone()).unwrap_or_default();
        match Shape::of(command.json) {
            Shape::Text => print(text, &explanation, &|decision| {
                policy.names(&decision.rules)
            }),
            Shape::Json => line(&as_json(text, &explanation, policy).to_string()),
        }
    }
    if denied {
        Err(Error::Told(Exit::Denied))
    } else {
        Ok(())
    }
}

fn session(command: &cli::Explain) -> Result<Session, Error> {
    let names = |names: &[String]| names.iter().map(|name| Arc::from(&**name)).collect();
    let mut claims: BTreeMap<String, Value> = BTreeMap::new();
    for claim in &command.claim {
        let (name, value) = claim.split_once('=').ok_or_else(|| Error::Option {
            option: "--claim",
            value: claim.clone(),
            help: "write NAME=VALUE; a value that is JSON is taken as such, any other as a text",
        })?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        claims.insert(name.to_owned(), value);
    }
    Ok(Session {
        principal: Principal {
            id: Arc::from(&*command.principal),
            kind: match command.kind {
                cli::Kind::Human => PrincipalKind::Human,
                cli::Kind::Agent => PrincipalKind::Agent,
                cli::Kind::Service => PrincipalKind::Service,
            },
            groups: names(&command.group),
            on_behalf_of: command.on_behalf_of.as_ref().map(|id| Delegator {
                id: Arc::from(&**id),
                groups: names(&command.behalf_group),
            }),
            issuer: Arc::from("explain"),
            claims,
        },
        target: Arc::from(&*command.target),
        database: Arc::from(&*command.database),
        role: Arc::from("explain"),
        application: Arc::from(""),
        client_address: command
            .client_address
            .or(Some(IpAddr::from([127, 0, 0, 1]))),
        tls: !command.no_tls,
        authentication: Authentication::TokenAsPassword,
    })
}

fn analyse(path: Option<&Path>, text: &str, session: &Session) -> Result<Vec<Statement>, Error> {
    let catalog = schema::read(path, &session.database)?;
    schema::on_large_stack(|| {
        read(&catalog, text).map_err(|refusal| Error::Refused(Box::new(refusal)))
    })
}

fn read(catalog: &Catalog, text: &str) -> Result<Vec<Statement>, Refusal> {
    let context = Context::public(catalog, Witness::Deny);
    sql::analyse(text.as_bytes(), &context)
}

fn print(text: &str, explanation: &Explanation, names: &dyn Fn(&Decision) -> Vec<Arc<str>>) {
    let decision = &explanation.decision;
    let tone = match decision.verdict {
        Verdict::Allow => Tone::Good,
        Verdict::BreakGlass | Verdict::Hold => Tone::Notable,
        Verdict::Deny => Tone::Bad,
    };
    let by = names(decision).join(", ");
    let by = if by.is_empty() {
        String::new()
    } else {
        format!(" by {by}")
    };
    line(&toned(Tone::Bold, text.trim()));
    line(&format!("  {}{by}", toned(tone, decision.verdict.name())));
    for reason in &decision.reasons {
        line(&format!("  because {}", reason.message));
    }
    for mask in &decision.masks {
        line(&format!(
            "  column {} is masked: {} ({})",
            mask.output + 1,
            mask.transform,
            mask.sources.join(", ")
        ));
    }
    for approval in &decision.approvals {
        line(&format!(
            "  waits for {} of {}, within {} s",
            approval.count,
            approval.group,
            approval.within_ms / 1_000
        ));
    }
    if let Some(change) = &explanation.change {
        line(&format!(
            "  {} {}: {}",
            toned(Tone::Good, "to pass"),
            toned(Tone::Dim, &format!("({})", change.verdict.name())),
            change.steps.join(", and ")
        ));
    }
    line("");
    // What applied stands first, then what came near; the rest is last.
    let mut rules: Vec<&RuleExplanation> = explanation.rules.iter().collect();
    rules.sort_by_key(|rule| match rule.fate {
        Fate::Applied(_) => 0,
        Fate::Unknown(_) => 1,
        Fate::Condition { .. } => 2,
        Fate::OtherAccesses(_) => 3,
        Fate::OtherPeople(_) => 4,
    });
    let rows: Vec<Vec<String>> = rules.into_iter().map(row).collect();
    let headings = ["rule", "effect", "applied", "why"].map(str::to_owned);
    line(&output::table(&headings, &rows));
    line("");
}

fn row(rule: &RuleExplanation) -> Vec<String> {
    let (applied, why) = match &rule.fate {
        Fate::Applied(what) => ("yes", what.join("; ")),
        Fate::OtherPeople(why) | Fate::OtherAccesses(why) => ("no", why.clone()),
        Fate::Condition { access, failed } => {
            ("no", format!("{access}: fails {}", failed.join(", ")))
        }
        Fate::Unknown(why) => ("unknown", why.clone()),
    };
    vec![
        rule.name.to_string(),
        rule.effect.to_owned(),
        applied.to_owned(),
        why,
    ]
}

fn as_json(text: &str, explanation: &Explanation, policy: &provost_engine::graph::Policy) -> Value {
    let decision = &explanation.decision;
    let rules: Vec<Value> = explanation
        .rules
        .iter()
        .map(|rule| {
            let (fate, why) = match &rule.fate {
                Fate::Applied(what) => ("applied", json!(what)),
                Fate::OtherPeople(why) => ("other-people", json!(why)),
                Fate::OtherAccesses(why) => ("other-accesses", json!(why)),
                Fate::Condition { access, failed } => {
                    ("condition", json!({ "access": access, "failed": failed }))
                }
                Fate::Unknown(why) => ("unknown", json!(why)),
            };
            json!({ "rule": rule.name, "effect": rule.effect, "fate": fate, "why": why })
        })
        .collect();
    json!({
        "statement": text,
        "verdict": decision.verdict,
        "rules": policy.names(&decision.rules),
        "controls": policy.controls(&decision.rules),
        "reasons": decision.reasons,
        "masks": decision.masks,
        "limits": decision.limits,
        "recording": decision.recording,
        "approvals": decision.approvals,
        "change": explanation.change.as_ref().map(|change| json!({
            "steps": change.steps,
            "verdict": change.verdict,
        })),
        "explained": rules,
    })
}

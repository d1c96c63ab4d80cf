//! What the policy in force would decide of a statement, and why: the very code that decides, over the target's catalog as it is. Nothing
//! reaches the server, and nothing is recorded.
//!
//! It must never take longer, or more stack, than one thread of its own has.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, thread};

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use jiff::Timestamp;
use maud::{Markup, html};
use provost_engine::{
    catalog::Catalog,
    graph::{
        Policy,
        explain::{Explanation, Fate, RuleExplanation},
    },
    principal::{
        Authentication, Circumstances, Dear, Delegator, Principal, PrincipalKind, Session as Asker,
    },
    sql::{Context, Readings, Refusal, Witness, analyse_within},
};
use tokio::sync::{Semaphore, oneshot};

use super::{
    entry::Entered,
    frame::{Freshness, badge, fact, layout, sentence, shown},
    is_ours, page,
    session::Session,
    troubled,
};
use crate::{
    console::{Problem, Room, form, role::Viewers},
    judgement::STACK_BYTES,
};

/// Statements that are tried at once; the next one waits.
static AT_ONCE: Semaphore = Semaphore::const_new(1);
/// The most work that analysis may take, as the engine counts it; beyond, it says so.
const WORK_MAX: usize = 200_000;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    principal: String,
    kind: String,
    groups: String,
    person: String,
    person_groups: String,
    target: String,
    sql: String,
}

/// What came of it: each statement's text and explanation, or why there is none.
type Told = Result<Vec<(String, Explanation)>, Refusal>;

/// The form.
pub(super) async fn empty(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Viewers>,
) -> Response {
    let asked = Asked {
        kind: PrincipalKind::Agent.name().to_owned(),
        ..Asked::default()
    };
    page(StatusCode::OK, whole(&room, &session, &asked, None))
}

/// The answer.
pub(super) async fn ask(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Viewers>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match answer(&room, &session, (&headers, body)).await {
        Ok((asked, told)) => page(
            StatusCode::OK,
            whole(
                &room,
                &session,
                &asked,
                Some((&told, &room.sources.policy.current())),
            ),
        ),
        Err(problem) => troubled(Some(&session), &problem),
    }
}

async fn answer(
    room: &Room,
    session: &Session,
    (headers, body): (&HeaderMap, Result<Bytes, BytesRejection>),
) -> Result<(Asked, Told), Problem> {
    let names = [
        "csrf",
        "principal",
        "kind",
        "groups",
        "person",
        "person_groups",
        "target",
        "sql",
    ];
    let [
        csrf,
        principal,
        kind,
        groups,
        person,
        person_groups,
        target,
        sql,
    ] = form::sent(headers, body, names)?;
    is_ours(session, &csrf)?;
    let asked = Asked {
        principal,
        kind,
        groups,
        person,
        person_groups,
        target,
        sql,
    };
    let unfit = |detail: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let kinds = [
        PrincipalKind::Human,
        PrincipalKind::Agent,
        PrincipalKind::Service,
    ];
    let kind = kinds.into_iter().find(|kind| kind.name() == asked.kind);
    let kind = kind.ok_or_else(|| unfit("`kind` is human, agent or service"))?;
    let mut targets = room.sources.targets.iter();
    let target = targets.find(|target| *target.name == *asked.target);
    let target = target.ok_or_else(|| unfit("there is no such target"))?;
    let asker = asker(&asked, kind, &target.database);
    let policy = room.sources.policy.current();
    let catalog = target.keeper.current().catalog;
    let (witness, text) = (room.sources.witness, asked.sql.clone());
    // It is never closed.
    let _permit = AT_ONCE.acquire().await;
    let (sender, told) = oneshot::channel();
    let work = move || {
        // Whoever asked may be gone.
        let _ = sender.send(tell((&policy, &catalog, witness), &Arc::new(asker), &text));
    };
    let broken = || {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the statement could not be tried: tell the gateway's operator",
        )
    };
    thread::Builder::new()
        .name("playground".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(|_| broken())?;
    let told = told.await.map_err(|_| broken())?;
    let told = told.ok_or_else(|| unfit("analysing this takes too much work for a page"))?;
    Ok((asked, told))
}

fn asker(asked: &Asked, kind: PrincipalKind, database: &Arc<str>) -> Asker {
    let names = |text: &str| -> Vec<Arc<str>> {
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        names.map(Arc::from).collect()
    };
    let behind = (!asked.person.is_empty()).then(|| Delegator {
        id: asked.person.as_str().into(),
        groups: names(&asked.person_groups),
    });
    Asker {
        principal: Principal {
            id: asked.principal.as_str().into(),
            kind,
            groups: names(&asked.groups),
            on_behalf_of: behind,
            issuer: "playground".into(),
            claims: BTreeMap::new(),
        },
        target: asked.target.as_str().into(),
        database: Arc::clone(database),
        role: "playground".into(),
        application: "".into(),
        client_address: Some(IpAddr::from([127, 0, 0, 1])),
        tls: true,
        authentication: Authentication::TokenAsPassword,
    }
}

/// `None`: it takes too much work.
fn tell(
    (policy, catalog, witness): (&Policy, &Catalog, Witness),
    asker: &Arc<Asker>,
    text: &str,
) -> Option<Told> {
    let context = Context::public(catalog, witness);
    let circumstances = Circumstances {
        estimated_rows: Dear::Failed("the playground asks no server".into()),
        novel: Dear::Known(false),
        ..Circumstances::default()
    };
    let statements = match analyse_within(
        text.as_bytes(),
        &context,
        WORK_MAX,
        &mut Readings::default(),
    )? {
        Ok(statements) => statements,
        Err(refusal) => return Some(Err(refusal)),
    };
    let now = Timestamp::now();
    let told = statements.iter().map(|statement| {
        let words = text.get(statement.span.clone()).unwrap_or_default();
        let explanation = policy.explain(asker, now, &statement.facts, &circumstances);
        (words.trim().to_owned(), explanation)
    });
    Some(Ok(told.collect()))
}

fn whole(room: &Room, session: &Session, asked: &Asked, told: Option<(&Told, &Policy)>) -> Markup {
    let content = html! {
        h1 { "Try a statement" }
        p { "The policy in force decides it as it would for a session, with the target's tables as they are. Nothing is run, and nothing recorded." }
        form.search method="post" action="/policy/playground" {
            input type="hidden" name="csrf" value=(session.csrf);
            label { "Principal" input name="principal" required value=(asked.principal) placeholder="devin@corp"; }
            label { "Kind" select name="kind" {
                @for kind in ["human", "agent", "service"] { option value=(kind) selected[kind == asked.kind] { (kind) } }
            } }
            label { "Groups, as the issuer names them" input name="groups" value=(asked.groups) placeholder="ai-agents, analysts"; }
            label { "Works for" input name="person" value=(asked.person); }
            label { "Groups of that person" input name="person_groups" value=(asked.person_groups); }
            label { "Target" select name="target" {
                @for target in &room.sources.targets { option value=(target.name) selected[*target.name == *asked.target] { (target.name) } }
            } }
            label.broad { "SQL" textarea name="sql" required rows="4" spellcheck="false" { (asked.sql) } }
            button.button type="submit" { "Decide" }
        }
        @match told {
            None => {},
            Some((Err(refusal), _)) => (refused(refusal)),
            Some((Ok(statements), policy)) => @for (text, explanation) in statements { (explained(text, explanation, policy)) },
        }
    };
    layout("Try a statement", Some(session), Freshness::Still, content)
}

fn refused(refusal: &Refusal) -> Markup {
    html! {
        h2 { "Decision " (badge("deny")) }
        p.alert role="status" { (sentence(&refusal.message)) }
        dl {
            (fact("SQLSTATE", refusal.sqlstate))
            (fact("Detail", refusal.detail.as_deref().unwrap_or_default()))
            (fact("Hint", refusal.hint.as_deref().unwrap_or_default()))
        }
    }
}

fn explained(text: &str, explanation: &Explanation, policy: &Policy) -> Markup {
    let decision = &explanation.decision;
    let by: Vec<String> = policy
        .names(&decision.rules)
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut rules: Vec<&RuleExplanation> = explanation.rules.iter().collect();
    rules.sort_by_key(|rule| match rule.fate {
        Fate::Applied(_) => 0,
        Fate::Unknown(_) => 1,
        Fate::Condition { .. } => 2,
        Fate::OtherAccesses(_) => 3,
        Fate::OtherPeople(_) => 4,
    });
    html! {
        h2 { "Decision " (badge(decision.verdict.name())) }
        pre tabindex="0" { code { (shown(text)) } }
        dl {
            (fact("By", &by.join(", ")))
            @for reason in &decision.reasons { (fact("Because", &reason.message)) }
            @for mask in &decision.masks {
                (fact("Masked", &format!("column {}: {} ({})", mask.output + 1, mask.transform, mask.sources.join(", "))))
            }
            @for approval in &decision.approvals { (fact("Waits for", &format!("{} of {}", approval.count, approval.group))) }
            @if let Some(change) = &explanation.change {
                (fact("To pass", &format!("{} ({})", change.steps.join(", and "), change.verdict.name())))
            }
        }
        div.wide role="region" aria-label="Every rule" tabindex="0" { table {
            thead { tr { th scope="col" { "Rule" } th scope="col" { "Effect" } th scope="col" { "Applied" } th scope="col" { "Why" } } }
            tbody { @for rule in rules { (row(rule)) } }
        } }
    }
}

fn row(rule: &RuleExplanation) -> Markup {
    let (applied, why) = match &rule.fate {
        Fate::Applied(what) => ("applied", what.join("; ")),
        Fate::OtherPeople(why) | Fate::OtherAccesses(why) => ("no", why.clone()),
        Fate::Condition { access, failed } => {
            ("no", format!("{access}: fails {}", failed.join(", ")))
        }
        Fate::Unknown(why) => ("unknown", why.clone()),
    };
    html! { tr { th scope="row" { (shown(&rule.name)) } td { (rule.effect) } td { (badge(applied)) } td { (shown(&why)) } } }
}

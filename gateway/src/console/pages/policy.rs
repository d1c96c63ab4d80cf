//! The policy in force: its bundle, its rules with what they decided lately, its decision graph.
//!
//! It must never show what the gateway does not have: the policy's text.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use maud::{Markup, html};
use provost_engine::graph::{
    Policy,
    rule::{Effect, Mode, Rule},
};
use provost_evidence::report::table::Table;

use super::{
    entry::Entered,
    frame::{Freshness, fact, grid, layout, period, shown},
    page,
    session::Session,
    troubled,
};
use crate::console::{
    Problem, Room,
    evidence::{self, COUNTED, Question},
    role::Viewers,
    span::Span,
};

/// What a drawing may load: nothing. Its styles stand in it, as ours.
const DRAWING_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The policy.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Viewers>,
    RawQuery(query): RawQuery,
) -> Response {
    let span = match Span::of(query.as_deref()) {
        Ok(span) => span,
        Err(problem) => return troubled(Some(&session), &problem),
    };
    let from = vec![evidence::from(span)];
    let hits = format!(
        "SELECT rule, sum(CASE WHEN verdict IN ('allow', 'break-glass') THEN 1 ELSE 0 END) AS allowed, sum(CASE WHEN verdict = 'hold' THEN 1 ELSE 0 END) AS held, \
         sum(CASE WHEN verdict = 'deny' THEN 1 ELSE 0 END) AS refused FROM (SELECT unnest(rules) AS rule, verdict FROM {COUNTED} \
         WHERE decided_at >= $from) AS named WHERE rule IS NOT NULL GROUP BY rule ORDER BY rule"
    );
    let masked = "SELECT rule, count(*) AS masked FROM maskings WHERE decided_at >= $from GROUP BY rule ORDER BY rule";
    let bundles = "SELECT at, gateway, what, after AS bundle, digest FROM changes WHERE what LIKE 'bundle-%' ORDER BY at DESC LIMIT 10";
    let questions = [
        Question::new(hits, from.clone()),
        Question::new(masked, from),
        Question::new(bundles, Vec::new()),
    ];
    match evidence::ask(&room, session.onlooker(), questions).await {
        Ok([hits, masked, bundles]) => {
            let policy = room.sources.policy.current();
            let rows = rules(&policy, &hits, &masked);
            page(
                StatusCode::OK,
                whole(&session, &policy, span, (&rows, &bundles)),
            )
        }
        Err(problem) => troubled(Some(&session), &problem),
    }
}

/// Its graph, drawn.
pub(super) async fn graph(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Viewers>,
) -> Response {
    match room.sources.drawing().await {
        Some(Ok(svg)) => {
            let headers = [
                (
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("image/svg+xml"),
                ),
                (
                    header::CONTENT_SECURITY_POLICY,
                    HeaderValue::from_static(DRAWING_POLICY),
                ),
            ];
            (headers, svg.to_string()).into_response()
        }
        Some(Err(why)) => troubled(Some(&session), &Problem::new(StatusCode::NOT_FOUND, why)),
        None => troubled(
            Some(&session),
            &Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the drawing broke off: tell the gateway's operator",
            ),
        ),
    }
}

/// A rule, and what it decided.
struct Hits {
    name: String,
    /// `None`: it decided, and is not in the policy (any more), or is a module.
    rule: Option<(&'static str, bool, String, String)>,
    /// Allowed, held, refused, columns masked.
    counts: [u64; 4],
}

fn rules(policy: &Policy, hits: &Table, masked: &Table) -> Vec<Hits> {
    let mut counts: HashMap<&str, [u64; 4]> = HashMap::new();
    for row in 0..hits.rows.len() {
        let number = |name: &str| hits.number(row, name);
        let [allowed, held, refused, _] = counts
            .entry(hits.cell(row, "rule").unwrap_or_default())
            .or_default();
        (*allowed, *held, *refused) = (number("allowed"), number("held"), number("refused"));
    }
    for row in 0..masked.rows.len() {
        let [.., columns] = counts
            .entry(masked.cell(row, "rule").unwrap_or_default())
            .or_default();
        *columns = masked.number(row, "masked");
    }
    let mut rows: Vec<Hits> = policy
        .set()
        .rules
        .iter()
        .map(|rule| Hits {
            name: rule.name.to_string(),
            rule: Some(described(rule)),
            counts: counts.remove(&*rule.name).unwrap_or_default(),
        })
        .collect();
    let mut others: Vec<(&str, [u64; 4])> = counts.into_iter().collect();
    others.sort_unstable();
    rows.extend(others.into_iter().map(|(name, counts)| Hits {
        name: name.to_owned(),
        rule: None,
        counts,
    }));
    rows
}

fn described(rule: &Rule) -> (&'static str, bool, String, String) {
    let effect = match rule.effect {
        Effect::Allow(_) => "allow",
        Effect::Deny(_) => "deny",
        Effect::BreakGlass(_) => "break-glass",
        Effect::Hold(..) => "hold",
        Effect::Mask(_) => "mask",
        Effect::Limit(..) => "limit",
        Effect::Record(..) => "record",
    };
    let because = rule.because.as_deref().unwrap_or_default().to_owned();
    let controls: Vec<&str> = rule.controls.iter().map(AsRef::as_ref).collect();
    (
        effect,
        rule.mode == Mode::Observe,
        because,
        controls.join(", "),
    )
}

fn whole(
    session: &Session,
    policy: &Policy,
    span: Span,
    (rows, bundles): (&[Hits], &Table),
) -> Markup {
    let mode = match policy.set().mode {
        Mode::Enforce => "enforced",
        Mode::Observe => "observed only: it decides and records, and enforces nothing",
    };
    let content = html! {
        h1 { "Policy" }
        p { a.button href="/policy/playground" { "Try a statement" } }
        dl {
            (fact("In force", &policy.digest().0))
            (fact("Mode", mode))
            (fact("Rules", &policy.rule_count().to_string()))
            (fact("Classes", &policy.set().classes.iter().map(|class| class.name.to_string()).collect::<Vec<_>>().join(", ")))
        }
        h2 { "Rules" }
        form.search method="get" action="/policy" { (period(span)) button.button type="submit" { "Count" } }
        div.wide role="region" aria-label="Rules" tabindex="0" { table {
            thead { tr { th scope="col" { "Rule" } th scope="col" { "Effect" } th.number scope="col" { "Allowed" } th.number scope="col" { "Held" }
                th.number scope="col" { "Refused" } th.number scope="col" { "Columns masked" } th scope="col" { "Controls" } } }
            tbody { @for hits in rows { (line(hits, span)) } }
        } }
        h2 { "Decision graph" }
        a href="/policy/graph.svg" { img.graph src="/policy/graph.svg" loading="lazy" alt="The decision graph: each path from left to right ends at the rules that apply there"; }
        h2 { "Bundles" }
        (grid("Bundles", bundles, "No bundle was loaded yet."))
    };
    layout("Policy", Some(session), Freshness::Still, content)
}

fn line(hits: &Hits, span: Span) -> Markup {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("rule", &hits.name);
    query.append_pair("span", span.name());
    let link = format!("/decisions?{}", query.finish());
    html! { tr {
        th scope="row" { a href=(link) { (shown(&hits.name)) }
            @if let Some((_, _, because, _)) = &hits.rule { @if !because.is_empty() { p.small { (shown(because)) } } } }
        td { @match &hits.rule {
            Some((effect, is_observed, ..)) => { (effect) @if *is_observed { " (observed)" } },
            None => "no rule of this policy",
        } }
        @for count in hits.counts { td.number { (count) } }
        td { @if let Some((.., controls)) = &hits.rule { (shown(controls)) } }
    } }
}

//! A session's story: what the store says happened in it, in order of time. Read-only, over sealed rows alone; it checks no signature
//! (that is `verify`'s work), and must never leave out that a story is longer than what it gives.

mod answer;
mod input;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use datafusion::error::DataFusionError;
use object_store::ObjectStore;
use serde::{Deserialize, Serialize, Serializer};

pub use answer::{Answer, Answered, NotReadable, Row, answer, answered};
pub use input::{Input, ReplayKey, UnfitSecret};

use crate::error::Error;
use crate::ledger;
use crate::query::{Format, Tables};
use crate::record::{ASKS_FOR_RULE, Micros};
use crate::results::catalogs;
use crate::store;

/// Statements of one story that are read at most, and maskings and approvals each.
pub const STATEMENTS_MAX: usize = 100_000;

/// What happened in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    /// Whose story.
    pub session_id: String,
    /// In order of time; empty where no sealed row names the session.
    pub moments: Vec<Moment>,
    /// There is more than [`STATEMENTS_MAX`] of something: the rest is not here.
    pub is_cut: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When; RFC 3339 where it is serialised.
    #[serde(serialize_with = "rfc3339")]
    pub at: Micros,
    /// Microseconds since the first moment.
    pub offset_us: i64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// The session opened or closed, or its login was refused.
    Session(Box<SessionMoment>),
    /// A statement was decided.
    Statement(Box<StatementMoment>),
    /// Something became of a held statement.
    Approval(Box<ApprovalMoment>),
}

/// A row of `sessions`; names as there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionMoment {
    /// When, microseconds since 1970; serialised with its moment.
    #[serde(rename(deserialize = "at"), skip_serializing)]
    pub at_us: i64,
    /// `opened`, `closed` or `refused`.
    pub event: String,
    /// See there.
    pub principal: Option<String>,
    /// See there.
    pub principal_kind: Option<String>,
    /// See there.
    pub on_behalf_of: Option<String>,
    /// See there.
    pub groups: Vec<String>,
    /// See there.
    pub issuer: Option<String>,
    /// See there.
    pub client_addr: Option<String>,
    /// See there; the client chose it.
    pub application: Option<String>,
    /// See there.
    pub tls: bool,
    /// See there.
    pub target: Option<String>,
    /// See there; the client chose it.
    pub database: Option<String>,
    /// See there.
    pub authentication: Option<String>,
    /// See there.
    pub role: Option<String>,
    /// See there.
    pub reason: Option<String>,
    /// See there.
    pub sqlstate: Option<String>,
}

/// A row of `statements` that no later row ends, with its rows of `maskings`; names as there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatementMoment {
    /// When, microseconds since 1970; serialised with its moment.
    #[serde(rename(deserialize = "at"), skip_serializing)]
    pub at_us: i64,
    /// See there.
    pub gateway: String,
    /// See there.
    pub log_index: u64,
    /// See there.
    #[serde(skip_serializing)]
    pub ends_log_index: Option<u64>,
    /// See there.
    pub statement_id: String,
    /// See there.
    pub seq: Option<u64>,
    /// See there.
    pub phase: Option<String>,
    /// See there; the client chose it. Absent where only its digest is kept.
    pub sql: Option<String>,
    /// See there.
    pub sql_digest: Option<String>,
    /// See there.
    pub kind: Option<String>,
    /// See there; null for an end whose decision is not known.
    pub verdict: Option<String>,
    /// See there.
    pub rules: Vec<String>,
    /// See there.
    pub reason: Option<String>,
    /// See there.
    pub observed_verdict: Option<String>,
    /// See there.
    pub observed_rules: Vec<String>,
    /// See there.
    pub bundle_digest: Option<String>,
    /// See there.
    pub approval_id: Option<String>,
    /// See there.
    pub outcome: String,
    /// See there.
    pub rows: Option<u64>,
    /// See there.
    pub bytes: Option<u64>,
    /// See there.
    pub duration_us: Option<u64>,
    /// See there.
    pub sqlstate: Option<String>,
    /// See there.
    pub result_digest: Option<String>,
    /// Its masked output columns, in their order.
    pub masked: Vec<MaskedColumn>,
}

impl StatementMoment {
    /// Whether it is the gateway's own, about another one: an estimate, or a dry run of what is held.
    #[must_use]
    pub fn is_gateways_own(&self) -> bool {
        let verdict = self.verdict.as_deref();
        let is_of_held = self.approval_id.is_some() && verdict != Some("hold");
        let is_for_rule = verdict == Some("allow") && self.reason.as_deref() == Some(ASKS_FOR_RULE);
        is_of_held || is_for_rule
    }
}

/// What was recorded of statements to decide or run them again: rows of `recordings` with event `asked`; names as there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// See there.
    pub statement_id: String,
    /// See there.
    pub input: Option<String>,
    /// See there.
    pub input_key_id: Option<String>,
    /// See there.
    pub catalog_digest: Option<String>,
    /// See there.
    pub not_replayable: Option<String>,
}

/// What a session's statements were asked with, as far as it was recorded.
///
/// # Errors
/// [`Error::Query`] when the rows can't be read.
pub async fn asked(tables: &Tables, session_id: &str) -> Result<Vec<Asked>, Error> {
    let session = session_id.replace('\'', "''");
    let sql = format!(
        "SELECT statement_id, input, input_key_id, catalog_digest, not_replayable FROM recordings WHERE event = 'asked' AND session_id = '{session}'"
    );
    rows(tables, &sql).await
}

/// The catalog of this SHA-256; `None` where the store has it not, or has another.
///
/// # Errors
/// [`Error::Store`].
pub async fn catalog(store: &dyn ObjectStore, digest: &str) -> Result<Option<String>, Error> {
    let bytes = store::read(store, &catalogs::key(digest)).await?;
    let bytes = bytes.filter(|bytes| ledger::sha256(bytes) == digest);
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()))
}

/// A row of `maskings`; names as there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskedColumn {
    /// See there.
    #[serde(skip_serializing)]
    pub gateway: String,
    /// See there.
    #[serde(skip_serializing)]
    pub statement_log_index: u64,
    /// See there.
    pub output_index: u32,
    /// See there; the client may have chosen it.
    pub output_column: String,
    /// See there.
    pub class: String,
    /// See there.
    pub transform: String,
    /// See there.
    pub rule: String,
    /// See there.
    #[serde(default)]
    pub values_masked: Option<u64>,
}

/// A row of `approvals`; names as there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApprovalMoment {
    /// When, microseconds since 1970; serialised with its moment.
    #[serde(rename(deserialize = "at"), skip_serializing)]
    pub at_us: i64,
    /// See there.
    pub event: String,
    /// See there.
    pub approval_id: String,
    /// See there.
    pub actor: String,
    /// See there; whoever voted wrote it.
    pub reason: Option<String>,
    /// See there.
    pub statement_id: Option<String>,
    /// See there.
    pub needs: Vec<String>,
}

/// Tells a session's story from sealed rows.
///
/// # Errors
/// [`Error::Query`] when the rows can't be read.
pub async fn story(tables: &Tables, session_id: &str) -> Result<Story, Error> {
    let session = format!("session_id = '{}'", session_id.replace('\'', "''"));
    let sessions: Vec<SessionMoment> = rows(
        tables,
        &format!(
            "SELECT CAST(at AS BIGINT) AS at, event, principal, principal_kind, on_behalf_of, groups, issuer, client_addr, application, tls, \
             target, database, authentication, role, reason, sqlstate FROM sessions WHERE {session} ORDER BY 1"
        ),
    )
    .await?;
    let statements: Vec<StatementMoment> = rows(
        tables,
        &format!(
            "SELECT CAST(coalesce(decided_at, ended_at) AS BIGINT) AS at, gateway, log_index, ends_log_index, statement_id, seq, phase, sql, \
             sql_digest, kind, verdict, rules, reason, observed_verdict, observed_rules, bundle_digest, approval_id, outcome, rows, bytes, \
             duration_us, sqlstate, result_digest FROM statements WHERE {session} ORDER BY seq, log_index"
        ),
    )
    .await?;
    let masked: Vec<MaskedColumn> = rows(
        tables,
        &format!(
            "SELECT gateway, statement_log_index, output_index, output_column, class, transform, rule, values_masked FROM maskings \
             WHERE {session} ORDER BY gateway, statement_log_index, output_index"
        ),
    )
    .await?;
    let approvals: Vec<ApprovalMoment> = rows(
        tables,
        &format!(
            "SELECT CAST(at AS BIGINT) AS at, event, approval_id, actor, reason, statement_id, needs FROM approvals \
             WHERE {session} ORDER BY log_index"
        ),
    )
    .await?;
    let lengths = [
        sessions.len(),
        statements.len(),
        masked.len(),
        approvals.len(),
    ];
    let is_cut = lengths.iter().any(|length| *length > STATEMENTS_MAX);
    let statements = whole(statements, masked);
    let moments = in_order(sessions, statements, approvals);
    Ok(Story {
        session_id: session_id.to_owned(),
        moments,
        is_cut,
    })
}

/// The rows of a query, one more than [`STATEMENTS_MAX`] at most.
async fn rows<T: serde::de::DeserializeOwned>(tables: &Tables, sql: &str) -> Result<Vec<T>, Error> {
    let limit = STATEMENTS_MAX + 1;
    let answer = tables.ask(&format!("{sql} LIMIT {limit}")).await?;
    let lines = answer.render(Format::JsonLines)?;
    let rows = lines.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>()
        .map_err(|source| Error::Query {
            source: Box::new(DataFusionError::External(Box::new(source))),
        })
}

/// Statements once each, with their masked columns: a row that is sealed `open` gives way to the one that ends it.
fn whole(rows: Vec<StatementMoment>, masked: Vec<MaskedColumn>) -> Vec<StatementMoment> {
    let ended: std::collections::HashSet<(String, u64)> = rows
        .iter()
        .filter_map(|row| Some((row.gateway.clone(), row.ends_log_index?)))
        .collect();
    let mut columns: HashMap<(String, u64), Vec<MaskedColumn>> = HashMap::new();
    for column in masked.into_iter().take(STATEMENTS_MAX) {
        let place = (column.gateway.clone(), column.statement_log_index);
        columns.entry(place).or_default().push(column);
    }
    rows.into_iter()
        .take(STATEMENTS_MAX)
        .filter_map(|row| {
            let place = (row.gateway.clone(), row.log_index);
            let masked = columns.remove(&place).unwrap_or_default();
            (!ended.contains(&place)).then_some(StatementMoment { masked, ..row })
        })
        .collect()
}

fn in_order(
    sessions: Vec<SessionMoment>,
    statements: Vec<StatementMoment>,
    approvals: Vec<ApprovalMoment>,
) -> Vec<Moment> {
    // At one time a session opens before all else and closes after it.
    let rank = |one: &SessionMoment| if one.event == "closed" { 3 } else { 0 };
    let sessions = sessions
        .into_iter()
        .map(|one| (one.at_us, rank(&one), What::Session(Box::new(one))));
    let statements = statements
        .into_iter()
        .map(|one| (one.at_us, 2, What::Statement(Box::new(one))));
    let approvals = approvals
        .into_iter()
        .take(STATEMENTS_MAX)
        .map(|one| (one.at_us, 1, What::Approval(Box::new(one))));
    let mut moments: Vec<_> = sessions.chain(approvals).chain(statements).collect();
    moments.sort_by_key(|(at, rank, _)| (*at, *rank));
    let first = moments.first().map_or(0, |(at, _, _)| *at);
    let moments = moments.into_iter().map(|(at, _, what)| Moment {
        at: Micros(at),
        offset_us: at.saturating_sub(first),
        what,
    });
    moments.collect()
}

fn rfc3339<S: Serializer>(at: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    let at = jiff::Timestamp::from_microsecond(at.0).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&at)
}

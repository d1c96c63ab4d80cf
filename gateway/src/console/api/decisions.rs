//! What was decided: a search, and one statement with all that is known of it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Id, none_empty,
    refusals::{QueryRefusals, Refusals},
};
use crate::console::{
    Problem, Room,
    caller::Ranked,
    evidence,
    role::Anybody,
    search::{self, PAGE_MAX, ROWS, Search},
    span::Span,
};

/// The columns of a list.
const LISTED: &str = "statement_id, decided_at, principal, on_behalf_of, target, left(sql, 500) AS sql, character_length(sql) > 500 AS sql_is_cut, \
    kind, relations, verdict, outcome, rules, reason, rows";
/// The columns of one.
const WHOLE: &str = "statement_id, decided_at, principal, on_behalf_of, target, sql, kind, relations, verdict, outcome, rules, reason, rows, \
    session_id, ended_at, columns, controls, bytes, duration_us, sqlstate, observed_verdict, approval_id, bundle_digest";
/// The columns of its masked columns.
const MASKED: &str = "output_column, source_columns, class, transform, rule, values_masked";

/// A statement that was decided, in short.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct DecidedStatement {
    /// Its id.
    statement_id: String,
    /// When it was decided (RFC 3339); absent where only its end is known.
    #[schema(format = DateTime)]
    decided_at: Option<String>,
    /// Whose it is.
    principal: Option<String>,
    /// The person behind an agent.
    on_behalf_of: Option<String>,
    /// The target's name.
    target: Option<String>,
    /// Its text, as evidence has it. Lists show its beginning.
    sql: Option<String>,
    /// Whether there is more of the text.
    sql_is_cut: bool,
    /// `select`, `update`, ...
    kind: Option<String>,
    /// `schema.relation`.
    relations: Vec<String>,
    /// `allow`, `break-glass`, `hold` or `deny`.
    verdict: Option<String>,
    /// `completed`, `failed`, `denied`, `open` and the like.
    outcome: String,
    /// The rules that decided.
    rules: Vec<String>,
    /// Why, in the rules' words.
    reason: Option<String>,
    /// How many rows it gave or changed.
    rows: Option<u64>,
}

/// A page of what was decided, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Decisions {
    /// The statements of this page.
    decisions: Vec<DecidedStatement>,
    /// The end of the period that was searched, in microseconds since 1970: `until` of the next page.
    until: i64,
    /// `page` of the next page; absent where there is none.
    next: Option<usize>,
}

/// Searches all statements, sealed or not yet: everybody's for viewers, your own and those made for you else.
#[utoipa::path(
    get,
    path = "/api/v1/decisions",
    params(
        ("principal" = Option<String>, Query, description = "Whose, or for whom.", min_length = 1, max_length = 1000),
        ("table" = Option<String>, Query, description = "`schema.table`.", min_length = 1, max_length = 1000),
        ("class" = Option<String>, Query, description = "A class that was masked in it.", min_length = 1, max_length = 1000),
        ("verdict" = Option<String>, Query, description = "`allow`, `break-glass`, `hold` or `deny`.", min_length = 1, max_length = 1000),
        ("rule" = Option<String>, Query, description = "A rule that decided.", min_length = 1, max_length = 1000),
        ("control" = Option<String>, Query, description = "`framework:control`, of a rule that decided.", min_length = 1, max_length = 1000),
        ("text" = Option<String>, Query, description = "A part of its text, in any case.", min_length = 1, max_length = 1000),
        ("outcome" = Option<String>, Query, description = "`completed`, `failed`, `denied`, `open` and the like.", min_length = 1, max_length = 1000),
        ("span" = Option<Span>, Query, description = "How far back: the last hour, day (the default), week, month, or all there is."),
        ("until" = Option<i64>, Query, description = "The end of the period, in microseconds since 1970; now, unless it is given.", minimum = 0, maximum = 4102444800000000_i64),
        ("page" = Option<usize>, Query, description = "Which page, from 0.", minimum = 0, maximum = 199),
    ),
    responses(
        (status = 200, description = "A page of them.", body = Decisions),
        QueryRefusals,
    ),
    security(("token" = []))
)]
pub(super) async fn search(
    State(room): State<Arc<Room>>,
    caller: Ranked<Anybody>,
    RawQuery(query): RawQuery,
) -> Result<Json<Decisions>, Problem> {
    let query = query.unwrap_or_default();
    none_empty(&query)?;
    let search = Search::parse(&query)?;
    let onlooker = caller.onlooker();
    let until = search.until.unwrap_or_else(evidence::now);
    let question = search.question(LISTED, evidence::own(onlooker), until);
    let [lines] = evidence::lines(&room, onlooker, [question]).await?;
    let mut decisions: Vec<DecidedStatement> = evidence::rows(&lines)?;
    let next = (decisions.len() > ROWS && search.page < PAGE_MAX).then(|| search.page + 1);
    decisions.truncate(ROWS);
    Ok(Json(Decisions {
        decisions,
        until,
        next,
    }))
}

/// A masked column.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct MaskedColumn {
    /// Its name in the result; the client may have chosen it.
    output_column: String,
    /// `schema.relation.column`: where its values are from.
    source_columns: Vec<String>,
    /// Its class.
    class: String,
    /// What became of its values.
    transform: String,
    /// The rule that masked it.
    rule: String,
    /// How many values that were.
    values_masked: Option<u64>,
}

/// A row of a statement.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct Decision {
    /// What lists show, with the text whole.
    #[serde(flatten)]
    statement: DecidedStatement,
    /// Its session.
    session_id: String,
    /// When it ended (RFC 3339), where it has.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// `schema.relation.column`.
    columns: Vec<String>,
    /// The controls of the rules that decided.
    controls: Vec<String>,
    /// Bytes of its result.
    bytes: Option<u64>,
    /// How long it took, in microseconds.
    duration_us: Option<u64>,
    /// The SQLSTATE of its error.
    sqlstate: Option<String>,
    /// What rules that only observe would have decided.
    observed_verdict: Option<String>,
    /// The approval that it waited for, or used.
    approval_id: Option<String>,
    /// The bundle that decided.
    bundle_digest: Option<String>,
}

/// A statement with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WholeDecision {
    /// Its row of evidence; of one that was open when it was sealed, also the row that ends it.
    rows: Vec<Decision>,
    /// Its masked columns, in their order.
    masked: Vec<MaskedColumn>,
}

/// Gives one statement.
#[utoipa::path(
    get,
    path = "/api/v1/decisions/{id}",
    params(("id" = String, Path, description = "Its id.", example = "0123456789abcdef0123456789abcdef-1")),
    responses(
        (status = 200, description = "It.", body = WholeDecision),
        (status = 404, description = "There is no such statement, or not for you.", body = Problem, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    caller: Ranked<Anybody>,
    id: Id,
) -> Result<Json<WholeDecision>, Problem> {
    let Path(id) = id.map_err(|_| search::unknown())?;
    let questions = search::one(caller.onlooker(), id, (WHOLE, MASKED));
    let [found, masked] = evidence::lines(&room, caller.onlooker(), questions).await?;
    let rows: Vec<Decision> = evidence::rows(&found)?;
    if rows.is_empty() {
        return Err(search::unknown());
    }
    Ok(Json(WholeDecision {
        rows,
        masked: evidence::rows(&masked)?,
    }))
}

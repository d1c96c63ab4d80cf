//! What evidence bears on controls. It must never say that a control is satisfied.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
};
use provost_evidence::report::matrix::Row;
use serde::Serialize;
use utoipa::ToSchema;

use super::{refusals::QueryRefusals, span_of};
use crate::console::{
    Problem, Room,
    caller::Ranked,
    counting::{self, Counted, count},
    role::Auditors,
    span::Span,
};

/// A control, and how much evidence bears on it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ControlCount {
    /// As rules name it: `nist-800-53`.
    framework: String,
    /// The framework's version.
    version: String,
    /// Its id there: `AC-3`.
    control: String,
    /// What it is called.
    title: String,
    /// `evidence`, `no evidence`, `named by rules, no query` or `no query`.
    standing: String,
    /// How much evidence; absent where no query counts it.
    evidence: Option<u64>,
    /// How much of it has to be looked at; absent where nothing says what that is.
    to_look_at: Option<u64>,
    /// Decisions by rules that name it.
    decisions: u64,
    /// Refusals among them.
    refused: u64,
    /// Columns masked by such rules.
    masked_columns: u64,
}

impl ControlCount {
    fn of(room: &Room, row: &Row, counted: &Counted) -> Self {
        let catalogues = &room.sources.furnishing.catalogues;
        let catalogue = catalogues.get(row.catalogue);
        let measured = counted.matrix.measured(&row.control);
        Self {
            framework: catalogue.map_or_else(String::new, |one| one.framework.clone()),
            version: catalogue.map_or_else(String::new, |one| one.version.clone()),
            control: row.control.id.clone(),
            title: row.control.title.clone(),
            standing: row.standing.words().to_owned(),
            evidence: measured.map(|measured| measured.evidence),
            to_look_at: measured.and_then(|measured| measured.exceptions),
            decisions: row.named.decisions,
            refused: row.named.refused,
            masked_columns: row.named.masked_columns,
        }
    }
}

/// The matrix of controls.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Controls {
    /// Every control of every framework, in order.
    controls: Vec<ControlCount>,
}

/// Counts what evidence bears on each control over a span. It says how much there is, and never that a control is satisfied. For auditors.
#[utoipa::path(
    get,
    path = "/api/v1/controls",
    params(
        ("span" = Option<Span>, Query, description = "How far back: the last hour, day (the default), week, month, or all there is."),
    ),
    responses(
        (status = 200, description = "Every control.", body = Controls),
        (status = 403, description = "For auditors only.", body = Problem, content_type = "application/problem+json"),
        QueryRefusals,
    ),
    security(("token" = []))
)]
pub(super) async fn list(
    State(room): State<Arc<Room>>,
    caller: Ranked<Auditors>,
    RawQuery(query): RawQuery,
) -> Result<Json<Controls>, Problem> {
    let span = span_of(query.as_deref())?;
    let counted = count(&room, caller.onlooker(), span).await?;
    let rows = counted.matrix.rows.iter();
    let controls = rows.map(|row| ControlCount::of(&room, row, &counted));
    Ok(Json(Controls {
        controls: controls.collect(),
    }))
}

/// A control, and why what was counted bears on it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ControlDetail {
    /// What was counted.
    #[serde(flatten)]
    count: ControlCount,
    /// Why it bears on the control; absent where no query counts it.
    bears: Option<String>,
    /// What it does not show.
    lacks: Option<String>,
    /// The query that counted.
    query: Option<String>,
    /// Decisions that named it, one number for each of the last days that have any decision that names a control.
    days: Vec<u64>,
}

/// Gives one control; `/api/v1/decisions?control=` gives the statements behind it. For auditors.
#[utoipa::path(
    get,
    path = "/api/v1/controls/{framework}/{control}",
    params(
        ("framework" = String, Path, description = "As rules name it.", example = "nist-800-53"),
        ("control" = String, Path, description = "Its id there.", example = "AC-3"),
        ("span" = Option<Span>, Query, description = "How far back: the last hour, day (the default), week, month, or all there is."),
    ),
    responses(
        (status = 200, description = "It.", body = ControlDetail),
        (status = 403, description = "For auditors only.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such control, or not for you.", body = Problem, content_type = "application/problem+json"),
        QueryRefusals,
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    caller: Ranked<Auditors>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Json<ControlDetail>, Problem> {
    let Path((framework, control)) = path.map_err(|_| counting::unknown())?;
    let span = span_of(query.as_deref())?;
    let counted = count(&room, caller.onlooker(), span).await?;
    let id = format!("{framework}:{control}");
    let row = counted.row(&room.sources.furnishing.catalogues, &id)?;
    let bearing = row.control.bearing.as_ref();
    let measured = counted.matrix.measured(&row.control);
    Ok(Json(ControlDetail {
        count: ControlCount::of(&room, row, &counted),
        bears: bearing.map(|bearing| bearing.bears.clone()),
        lacks: bearing.map(|bearing| bearing.lacks.clone()),
        query: measured.map(|measured| measured.sql.clone()),
        days: counted.days.get(&id).cloned().unwrap_or_default(),
    }))
}

//! How this gateway is, and what the evidence says of the others.

use std::sync::Arc;

use axum::{Json, extract::State};
use provost_evidence::Format;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::refusals::Refusals;
use crate::console::{
    Problem, Room, Target,
    caller::Ranked,
    evidence,
    health::{CHANGES, GATEWAYS, SEALED},
    role::Viewers,
    shapes::moment,
};

/// A target, as this gateway sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TargetHealth {
    /// Its name.
    target: String,
    /// Relations of its catalog.
    relations: usize,
    /// How long ago its catalog was read, in milliseconds.
    catalog_age_ms: u64,
    /// The server's major version.
    server_major: u32,
}

impl TargetHealth {
    fn of(target: &Target) -> Self {
        let catalog = target.keeper.current().catalog;
        Self {
            target: target.name.to_string(),
            relations: catalog.relations().count(),
            catalog_age_ms: u64::try_from(target.age().as_millis()).unwrap_or(u64::MAX),
            server_major: catalog.server_version_num() / 10_000,
        }
    }
}

/// What happened to a gateway.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct GatewayHealth {
    /// Its name.
    gateway: String,
    /// Its last row of `changes` (RFC 3339).
    #[schema(format = DateTime)]
    last_change_at: Option<String>,
    /// When it started last (RFC 3339).
    #[schema(format = DateTime)]
    last_start_at: Option<String>,
    /// When it stopped last (RFC 3339).
    #[schema(format = DateTime)]
    last_stop_at: Option<String>,
}

/// How much evidence of a gateway there is.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct Sealed {
    /// Its name.
    gateway: String,
    /// Its newest statement (RFC 3339).
    #[schema(format = DateTime)]
    newest_statement_at: Option<String>,
    /// Rows of statements.
    statements: u64,
}

/// Something that happened to a gateway.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct Happened {
    /// When (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
    /// To which gateway.
    gateway: String,
    /// Who did it.
    actor: String,
    /// What.
    what: String,
    /// What was before.
    before: Option<String>,
    /// What is now.
    after: Option<String>,
}

/// How the gateway is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GatewayState {
    /// This gateway's name.
    gateway: String,
    /// When it started (RFC 3339).
    #[schema(format = DateTime)]
    started_at: String,
    /// Sessions that are open here.
    open_sessions: usize,
    /// The bundle in force.
    bundle_digest: String,
    /// Bytes of the log that are not sealed yet.
    log_bytes: u64,
    /// With how many of them every statement is refused.
    log_bytes_max: u64,
    /// Whether what this gateway has not sealed yet is among what is told here.
    has_recent: bool,
    /// Its targets.
    targets: Vec<TargetHealth>,
    /// All gateways of the store.
    gateways: Vec<GatewayHealth>,
    /// Evidence by gateway.
    evidence: Vec<Sealed>,
    /// What happened lately, the newest first.
    changes: Vec<Happened>,
}

/// Says how this gateway is: sealing, the log, catalogs, starts and stops. For viewers.
#[utoipa::path(
    get,
    path = "/api/v1/health",
    responses(
        (status = 200, description = "So it is.", body = GatewayState),
        (status = 403, description = "For viewers only.", body = Problem, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    caller: Ranked<Viewers>,
) -> Result<Json<GatewayState>, Problem> {
    let asked = evidence::look(&room, caller.onlooker(), |sight| async move {
        let mut told = [const { String::new() }; 3];
        for (lines, sql) in told.iter_mut().zip([GATEWAYS, SEALED, CHANGES]) {
            *lines = sight.tables.ask(sql).await?.render(Format::JsonLines)?;
        }
        Ok((sight.has_recent, told))
    });
    let (has_recent, [gateways, sealed, changes]) = asked.await?;
    let sources = &room.sources;
    Ok(Json(GatewayState {
        gateway: sources.log.gateway().to_owned(),
        started_at: moment(sources.started_at),
        open_sessions: sources.roster.present().len(),
        bundle_digest: sources.policy.current().digest().0.to_string(),
        log_bytes: sources.log.bytes(),
        log_bytes_max: sources.furnishing.log_bytes_max,
        has_recent,
        targets: sources.targets.iter().map(TargetHealth::of).collect(),
        gateways: evidence::rows(&gateways)?,
        evidence: evidence::rows(&sealed)?,
        changes: evidence::rows(&changes)?,
    }))
}

//! How this gateway is, and what the evidence says of the others: sealing, the log, catalogs, starts and stops.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode, response::Response};
use jiff::Timestamp;
use maud::{Markup, html};
use provost_evidence::report::table::Table;

use super::{
    entry::Entered,
    frame::{Freshness, fact, grid, layout, shown, time},
    page,
    session::Session,
    troubled,
};
use crate::console::{
    Room, evidence,
    health::{CHANGES, GATEWAYS, SEALED},
    role::Viewers,
};

/// A log that is this full, in percent, is shown as such.
const FULL_PERCENT: u64 = 80;
/// How it is.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    Entered { session, .. }: Entered<Viewers>,
) -> Response {
    let asked = evidence::look(&room, session.onlooker(), |sight| async move {
        let mut tables = Vec::new();
        for sql in [GATEWAYS, SEALED, CHANGES] {
            tables.push(Table::of(&sight.tables.ask(sql).await?)?);
        }
        Ok((sight.has_recent, tables))
    });
    match asked.await {
        Ok((has_recent, tables)) => {
            page(StatusCode::OK, whole(&room, &session, has_recent, &tables))
        }
        Err(problem) => troubled(Some(&session), &problem),
    }
}

fn whole(room: &Room, session: &Session, has_recent: bool, tables: &[Table]) -> Markup {
    let sources = &room.sources;
    let started =
        Timestamp::try_from(sources.started_at).map_or_else(|_| String::new(), |at| at.to_string());
    let (bytes, bytes_max) = (sources.log.bytes(), sources.furnishing.log_bytes_max.max(1));
    let percent = bytes.saturating_mul(100) / bytes_max;
    let names = ["Gateways", "Evidence by gateway", "Lately"];
    let content = html! {
        h1 { "Health" }
        @if percent >= FULL_PERCENT {
            p.alert role="alert" { "The log waits to be sealed and is " (percent) " % full: at 100 % the gateway refuses every statement. Is the evidence store reachable?" }
        }
        h2 { "This gateway" }
        dl {
            (fact("Name", sources.log.gateway()))
            dt { "Started" } dd { (time(&started)) }
            (fact("Open sessions", &sources.roster.present().len().to_string()))
            (fact("Policy", &sources.policy.current().digest().0))
            dt { "Log not sealed yet" } dd {
                (megabytes(bytes)) " of " (megabytes(bytes_max)) " " meter min="0" max="100" value=(percent) aria-label="How full the log is" {}
            }
            (fact("Pages show", if has_recent { "what is sealed, and what this gateway has logged since" } else { "what is sealed" }))
        }
        h2 { "Targets" }
        div.wide role="region" aria-label="Targets" tabindex="0" { table {
            thead { tr { th scope="col" { "Target" } th.number scope="col" { "Relations" } th scope="col" { "Catalog read" } th scope="col" { "Server" } } }
            tbody { @for target in &sources.targets {
                @let catalog = target.keeper.current().catalog;
                tr { th scope="row" { (shown(&target.name)) } td.number { (catalog.relations().count()) }
                    td { (seconds(target.age())) " ago" } td { "PostgreSQL " (catalog.server_version_num() / 10_000) } }
            } }
        } }
        @for (name, table) in names.into_iter().zip(tables) { h2 { (name) } (grid(name, table, "Nothing yet.")) }
    };
    layout("Health", Some(session), Freshness::Still, content)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1_000_000.0)
}

fn seconds(age: Duration) -> String {
    format!("{:.1} s", age.as_secs_f64())
}

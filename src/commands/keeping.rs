//! `provost evidence retain`, `hold` and `compact`: what is deleted when its time is over, and what must not be. It must never delete without a gateway's log
//! and key: only then the ledger can say so first.

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use object_store::ObjectStore;
use provost_evidence::{
    Keeping, Retention, Sealer, SigningKey, compaction,
    holds::{self, Hold, HoldKey, Holds},
    record::Micros,
    retention::{self, Kept, Plan},
};
use provost_gateway::record::micros;
use serde_json::{Value, json};

use super::{evidence::open, serve};
use crate::{
    cli, config,
    error::Error,
    output::{Shape, line},
};

/// Objects shown to a person; the rest is counted (`--json` has them all).
const OBJECTS_SHOWN_MAX: usize = 20;

/// Runs `retain`.
///
/// # Errors
/// [`Error::Evidence`], [`Error::Config`], [`Error::Log`] when the gateway runs, [`Error::Days`].
pub(super) async fn retain(command: &cli::Retain) -> Result<(), Error> {
    let now = micros(SystemTime::now());
    let shape = Shape::of(command.json);
    let Some(path) = &command.config else {
        let (Some(store), Some(days)) = (&command.store, command.older_than) else {
            return Err(Error::Days);
        };
        let plan = retention::plan(open(store)?.as_ref(), days, now).await?;
        line(&planned(&plan, shape));
        return Ok(());
    };
    let config = config::load(path)?;
    let resolved = config::resolve(&config, path)?;
    let days = command.older_than.or(config.evidence.retention_days);
    let days = days.ok_or(Error::Days)?;
    let lock = config.evidence.object_lock;
    let store = serve::open_store(&config, &resolved.store_settings, lock)?;
    if command.dry_run {
        let plan = retention::plan(store.as_ref(), days, now).await?;
        line(&planned(&plan, shape));
        return Ok(());
    }
    let log = serve::open_log(&config)?;
    let key = std::str::from_utf8(resolved.signing_key.reveal()).map_err(|_| Error::SigningKey)?;
    let sealer = Sealer::open(log, store, SigningKey::from_pem(key)?).await?;
    let retention = Retention {
        days,
        actor: command.by.clone(),
    };
    let mut keeping = Keeping::new(Arc::new(sealer), Some(retention));
    let kept = keeping.turn(now).await?;
    line(&done(&kept, shape));
    Ok(())
}

fn planned(plan: &Plan, shape: Shape) -> String {
    let rows: u64 = plan.due.iter().map(|due| due.rows).sum();
    let objects = plan.due.len();
    match shape {
        Shape::Json => {
            let held = plan.held.iter().map(
                |(due, hold)| json!({ "gateway": due.gateway, "object": due.key, "rows": due.rows, "hold": hold }),
            );
            let due = plan
                .due
                .iter()
                .map(|due| json!({ "gateway": due.gateway, "object": due.key, "rows": due.rows }));
            json!({ "due": due.collect::<Vec<_>>(), "held": held.collect::<Vec<_>>() }).to_string()
        }
        Shape::Text => {
            let mut lines = vec![format!(
                "{objects} objects with {rows} rows are due; nothing was deleted"
            )];
            let shown = plan.due.iter().take(OBJECTS_SHOWN_MAX);
            lines.extend(shown.map(|due| format!("  {} ({} rows)", due.key, due.rows)));
            if objects > OBJECTS_SHOWN_MAX {
                lines.push(format!(
                    "  ... and {} more (`--json` has them all)",
                    objects - OBJECTS_SHOWN_MAX
                ));
            }
            if !plan.held.is_empty() {
                lines.push(format!("{} objects are due and held:", plan.held.len()));
                let shown = plan.held.iter().take(OBJECTS_SHOWN_MAX);
                lines.extend(shown.map(|(due, hold)| format!("  {} by {hold}", due.key)));
            }
            lines.join("\n")
        }
    }
}

fn done(kept: &Kept, shape: Shape) -> String {
    let Kept { deleted, held, .. } = kept;
    match shape {
        Shape::Json => json!({ "deleted": deleted, "held": held }).to_string(),
        Shape::Text => {
            format!("{deleted} objects deleted, as the ledger says; {held} are due and held")
        }
    }
}

/// Runs `compact`.
///
/// # Errors
/// [`Error::Evidence`], [`Error::File`], [`Error::NoStore`].
pub(super) async fn compact(command: &cli::Compact) -> Result<(), Error> {
    let key = key(&command.signer, &command.key)?;
    let done = compaction::compact(open(&command.store.store)?, &key).await?;
    line(&match Shape::of(command.json) {
        Shape::Json => {
            json!({ "sources": done.sources, "objects": done.objects, "rows": done.rows })
                .to_string()
        }
        Shape::Text => format!(
            "{} objects with {} rows put together into {}",
            done.sources, done.rows, done.objects
        ),
    });
    Ok(())
}

/// Runs `hold`.
///
/// # Errors
/// [`Error::Evidence`], [`Error::File`], [`Error::NoStore`].
pub(super) async fn hold(command: &cli::Hold) -> Result<(), Error> {
    let now = micros(SystemTime::now());
    match command {
        cli::Hold::Add {
            signed,
            from,
            to,
            gateway,
            dataset,
        } => {
            let key = key(&signed.signer, &signed.key)?;
            let hold = Hold {
                name: signed.name.clone(),
                reason: signed.reason.clone(),
                placed_at: now,
                from: from.clone(),
                to: to.clone(),
                gateways: gateway.clone(),
                datasets: dataset.clone(),
                key: key.public(),
            };
            holds::place(open(&signed.store.store)?.as_ref(), &hold, &key).await?;
            line(&format!(
                "{} holds {}; only {} ends it",
                signed.name,
                scope(&hold),
                key.public()
            ));
            Ok(())
        }
        cli::Hold::Release { signed } => {
            let key = key(&signed.signer, &signed.key)?;
            let store = open(&signed.store.store)?;
            holds::release(store.as_ref(), &signed.name, &signed.reason, now, &key).await?;
            line(&format!("{} is released", signed.name));
            Ok(())
        }
        cli::Hold::List { store, json } => {
            list(open(&store.store)?.as_ref(), Shape::of(*json)).await
        }
    }
}

async fn list(store: &dyn ObjectStore, shape: Shape) -> Result<(), Error> {
    let holds = Holds::read(store).await?;
    match shape {
        Shape::Json => line(&as_json(&holds).to_string()),
        Shape::Text => {
            for standing in holds.standing.values() {
                let hold = &standing.hold;
                let state = match &standing.released {
                    None => "holds".to_owned(),
                    Some((release, _)) => format!(
                        "released {} ({}); held",
                        day_of(release.released_at),
                        escaped(&release.reason)
                    ),
                };
                line(&format!(
                    "{}: {state} {}, by {} since {}: {}",
                    hold.name,
                    scope(hold),
                    hold.by(),
                    day_of(hold.placed_at),
                    escaped(&hold.reason)
                ));
            }
            for unreadable in &holds.unreadable {
                line(&format!(
                    "{}: {}; as long as it is there, nothing is deleted",
                    unreadable.key, unreadable.problem
                ));
            }
        }
    }
    holds.readable()?;
    Ok(())
}

fn as_json(holds: &Holds) -> Value {
    let standing = holds.standing.values().map(|standing| {
        json!({
            "hold": standing.hold,
            "sha256": standing.sha256,
            "released": standing.released.as_ref().map(|(release, _)| release),
        })
    });
    let unreadable = holds
        .unreadable
        .iter()
        .map(|one| json!({ "key": one.key, "problem": one.problem.to_string() }));
    json!({
        "holds": standing.collect::<Vec<_>>(),
        "unreadable": unreadable.collect::<Vec<_>>(),
    })
}

/// What a hold is about, in words.
fn scope(hold: &Hold) -> String {
    let or_all = |names: &[String], all: &str| match names {
        [] => all.to_owned(),
        names => names.join(", "),
    };
    let days = match (&hold.from, &hold.to) {
        (None, None) => "of all days".to_owned(),
        (Some(from), None) => format!("from {from} on"),
        (None, Some(to)) => format!("up to {to}"),
        (Some(from), Some(to)) => format!("from {from} to {to}"),
    };
    format!(
        "{} of {} {days}",
        or_all(&hold.datasets, "everything"),
        or_all(&hold.gateways, "all gateways")
    )
}

/// Texts that somebody else wrote must not play with the terminal.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|one| match one.is_control() {
            true => one.escape_default().collect::<Vec<_>>(),
            false => vec![one],
        })
        .collect()
}

fn day_of(at: Micros) -> String {
    let at = jiff::Timestamp::from_microsecond(at.0);
    at.map_or_else(|_| "off the calendar".to_owned(), |at| at.to_string())
}

fn key(name: &str, path: &Path) -> Result<HoldKey, Error> {
    let pem = fs::read_to_string(path).map_err(|source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    Ok(HoldKey::from_pem(name, &pem)?)
}

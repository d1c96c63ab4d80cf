//! `provost evidence`: verifies and queries sealed evidence. It reads only, and needs no gateway.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use object_store::ObjectStore;
use provost_evidence::{Answer, Cosigned, Format, Location, PublicKey, Report, SigningKey, query};
use serde_json::{Value, json};

use super::{block_on, keeping, prove, report, verify, witness};
use crate::{
    cli, config,
    error::{Error, Exit},
    output::{Shape, Tone, line, toned},
};

/// Problems shown to a person; the rest is counted (`--json` has them all).
const PROBLEMS_SHOWN_MAX: usize = 50;

/// Runs the command.
///
/// # Errors
/// [`Error`]; [`Error::Told`] when evidence is not intact.
pub(crate) fn run(command: &cli::Evidence) -> Result<(), Error> {
    match command {
        cli::Evidence::Verify {
            store,
            public_key,
            resume,
            witnessed,
            witness_key,
            stamp_roots,
            log,
            json,
        } => {
            let keys = read_keys(public_key)?;
            let report = block_on(verify::run(
                &store.store,
                &keys,
                log.as_deref(),
                resume.as_deref(),
                stamp_roots.as_deref(),
            ))?;
            let anchors = match witness_key {
                Some(key) if report.is_intact() => block_on(witness::anchors(
                    &store.store,
                    &report,
                    &keys,
                    witnessed,
                    key,
                ))?,
                Some(_) | None => Vec::new(),
            };
            match Shape::of(*json) {
                Shape::Text => line(&told(&report, &anchors)),
                Shape::Json => line(&as_json(&report, &anchors).to_string()),
            }
            if report.is_intact() {
                Ok(())
            } else {
                Err(Error::Told(Exit::Failed))
            }
        }
        cli::Evidence::Witness {
            store,
            public_key,
            key,
            name,
            keep,
        } => {
            let (keys, key) = (read_keys(public_key)?, witness::read_key(name, key)?);
            block_on(witness::cosign(&store.store, &keys, &key, keep))
        }
        cli::Evidence::WitnessKey { key, name } => {
            line(&witness::read_key(name, key)?.public().text());
            Ok(())
        }
        cli::Evidence::Query {
            store,
            format,
            json,
            sql,
        } => {
            let format = if *json { cli::Format::Json } else { *format };
            let answer = block_on(ask(&store.store, sql))?;
            line(rendered(&answer, format)?.trim_end());
            Ok(())
        }
        cli::Evidence::Report(report) => report::run(report),
        cli::Evidence::Prove {
            store,
            gateway,
            record,
        } => {
            let proof = block_on(prove::prove(&store.store, gateway.as_deref(), record))?;
            line(proof.trim_end());
            Ok(())
        }
        cli::Evidence::Retain(retain) => block_on(keeping::retain(retain)),
        cli::Evidence::Compact(compact) => block_on(keeping::compact(compact)),
        cli::Evidence::Hold(hold) => block_on(keeping::hold(hold)),
        cli::Evidence::PublicKey { config } => {
            line(public_key(config)?.text());
            Ok(())
        }
    }
}

/// Verifies a store.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Evidence`].
pub(crate) async fn check(
    store: &Location,
    keys: &[PublicKey],
    log: Option<&Path>,
) -> Result<Report, Error> {
    let store = open(store)?;
    Ok(provost_evidence::verify(&*store, keys, log).await?)
}

/// Asks a store.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Evidence`].
pub(crate) async fn ask(store: &Location, sql: &str) -> Result<Answer, Error> {
    Ok(query(open(store)?, sql).await?)
}

/// Rows as JSON objects; NULLs are left out.
///
/// # Errors
/// [`Error::Evidence`].
pub(crate) fn rows(answer: &Answer) -> Result<Vec<Value>, Error> {
    let lines = answer.render(Format::JsonLines)?;
    // What arrow writes is JSON; a line that weren't would show as null.
    Ok(lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or(Value::Null))
        .collect())
}

/// Reads a public key file.
///
/// # Errors
/// [`Error::PublicKey`], [`Error::Evidence`].
pub(crate) fn read_key(path: &Path) -> Result<PublicKey, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::PublicKey {
        path: path.to_owned(),
        source,
    })?;
    Ok(PublicKey::parse(&text)?)
}

fn read_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, Error> {
    paths.iter().map(|path| read_key(path)).collect()
}

/// What a report says to a person, and what witnesses say of the store.
pub(crate) fn told(report: &Report, anchors: &[Cosigned]) -> String {
    let mut lines: Vec<String> = report
        .problems
        .iter()
        .take(PROBLEMS_SHOWN_MAX)
        .map(|problem| format!("{} {problem}", toned(Tone::Bad, "wrong:")))
        .collect();
    if report.problems.len() > PROBLEMS_SHOWN_MAX {
        lines.push(format!(
            "... and {} more (`--json` has them all)",
            report.problems.len() - PROBLEMS_SHOWN_MAX
        ));
    }
    for ledger in &report.ledgers {
        lines.push(format!(
            "gateway {}: {} rows in {} objects and {} seals, root {}",
            ledger.gateway,
            ledger.rows,
            ledger.objects,
            ledger.seals,
            ledger.root.as_deref().unwrap_or("none")
        ));
        if !ledger.deleted.is_empty() {
            let rows: u64 = ledger.deleted.iter().map(|one| one.rows).sum();
            lines.push(format!(
                "  of these, {rows} rows deleted under retention, in {} objects: their hashes gave the root",
                ledger.deleted.len()
            ));
        }
        if ledger.taken > 0 {
            lines.push(format!(
                "  of these, {} rows were hashed by an earlier verification (--resume), not by this one",
                ledger.taken
            ));
        }
        if let Some(stamp) = report.newest_stamp(&ledger.gateway) {
            lines.push(format!("  {stamp}"));
        }
    }
    if report.compacted > 0 {
        lines.push(format!(
            "compacted: {} objects, whose every row is one of their sources'",
            report.compacted
        ));
    }
    if let Some(log) = &report.log {
        lines.push(format!("log: {} entries not sealed yet", log.unsealed));
    }
    for anchor in anchors {
        lines.push(format!(
            "anchored: {} cosigned the first {} rows of {} at {}",
            anchor.witness,
            anchor.size,
            anchor.gateway,
            witness::time(anchor)
        ));
    }
    let is_anchored = report.ledgers.iter().all(|ledger| {
        anchors
            .iter()
            .any(|anchor| anchor.gateway == ledger.gateway)
    });
    lines.push(if report.is_intact() {
        format!(
            "{}: complete and unchanged up to these roots{}",
            toned(Tone::Good, "intact"),
            if is_anchored {
                ""
            } else {
                " (unanchored: compare a root kept elsewhere)"
            }
        )
    } else {
        format!(
            "{}: {} problems",
            toned(Tone::Bad, "not intact"),
            report.problems.len()
        )
    });
    lines.join("\n")
}

fn as_json(report: &Report, anchors: &[Cosigned]) -> Value {
    json!({
        "intact": report.is_intact(),
        "anchored": !anchors.is_empty(),
        "anchors": anchors.iter().map(|anchor| json!({
            "witness": anchor.witness,
            "gateway": anchor.gateway,
            "rows": anchor.size,
            "at": witness::time(anchor),
        })).collect::<Vec<_>>(),
        "ledgers": report.ledgers.iter().map(|ledger| json!({
            "gateway": ledger.gateway,
            "key": ledger.key,
            "seals": ledger.seals,
            "objects": ledger.objects,
            "rows": ledger.rows,
            "rows_verified_before": ledger.taken,
            "deleted": ledger.deleted.iter().map(|one| json!({
                "object": one.key,
                "rows": one.rows,
                "first_log_index": one.first_log_index,
                "announced_log_index": one.announced_log_index,
                "actor": one.actor,
            })).collect::<Vec<_>>(),
            "root": ledger.root,
            "carried": ledger.carried,
        })).collect::<Vec<_>>(),
        "compacted": report.compacted,
        "stamps": report.stamps.iter().map(|stamp| json!({
            "gateway": stamp.gateway,
            "seal": stamp.seal,
            "rows": stamp.rows,
            "at_us": stamp.at.0,
            "authority": stamp.authority,
            "chain_checked": stamp.is_chain_checked,
        })).collect::<Vec<_>>(),
        "log": report.log.map(|log| json!({
            "unsealed": log.unsealed,
            "seal_pending": log.is_seal_pending,
        })),
        "problems": report.problems.iter().map(|problem| json!({
            "object": problem.object,
            "log_index": problem.index,
            "fault": problem.fault.to_string(),
        })).collect::<Vec<_>>(),
    })
}

fn rendered(answer: &Answer, format: cli::Format) -> Result<String, Error> {
    Ok(match format {
        cli::Format::Table => answer.render(Format::Pretty)?,
        cli::Format::Csv => answer.render(Format::Csv)?,
        cli::Format::Json => Value::Array(rows(answer)?).to_string(),
    })
}

/// Opens a store to read it. Opening would create a missing folder, and nothing at all verifies as intact.
pub(super) fn open(store: &Location) -> Result<Arc<dyn ObjectStore>, Error> {
    match store {
        Location::Folder(folder) if !folder.is_dir() => Err(Error::NoStore {
            folder: folder.clone(),
        }),
        Location::Folder(_) | Location::Bucket { .. } => Ok(store.open(&[])?),
    }
}

fn public_key(path: &Path) -> Result<PublicKey, Error> {
    let config = config::load(path)?;
    let resolved = config::resolve(&config, path)?;
    let pem = std::str::from_utf8(resolved.signing_key.reveal()).map_err(|_| Error::SigningKey)?;
    Ok(SigningKey::from_pem(pem)?.public(&config.evidence.gateway))
}

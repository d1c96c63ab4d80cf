//! The log's folder: framing of what isn't sealed yet, and the sealer's files. Checksums and pinned digests only: no
//! signature covers an entry before it is sealed. Must never change a file.

use std::path::Path;

use crate::error::{Damage, Error};
use crate::log::segment;
use crate::seal::pending::Pending;
use crate::seal::state::State;
use crate::verify::ledger::LastSeal;
use crate::verify::{Fault, LogReport, Report};

pub(super) fn check(
    folder: &Path,
    gateway: &str,
    last: Option<&LastSeal>,
    report: &mut Report,
) -> Result<(), Error> {
    let sealed_before = check_state(folder, gateway, last, report)?;
    let mut log = LogReport {
        unsealed: 0,
        is_seal_pending: false,
    };
    match Pending::read(folder) {
        Ok(pending) => log.is_seal_pending = pending.is_some(),
        Err(Error::StateDamaged { path }) => {
            report.problem(path.display().to_string(), None, Fault::State)
        }
        Err(other) => return Err(other),
    }
    check_segments(folder, sealed_before, &mut log, report)?;
    report.log = Some(log);
    Ok(())
}

/// The state file must be the one that the last seal pins; returns the first sequence that isn't sealed.
fn check_state(
    folder: &Path,
    gateway: &str,
    last: Option<&LastSeal>,
    report: &mut Report,
) -> Result<u64, Error> {
    let path = State::path(folder).display().to_string();
    let state = match State::read(folder) {
        Ok(state) => state,
        Err(Error::StateDamaged { .. }) => {
            report.problem(path, None, Fault::State);
            return Ok(last.map_or(0, |last| last.next_sequence));
        }
        Err(other) => return Err(other),
    };
    let is_pending = Pending::path(folder).exists();
    match (state, last) {
        (Some((state, _)), _) if state.gateway != gateway => {}
        (Some((state, bytes)), Some(last)) => {
            let is_pinned = crate::ledger::sha256(&bytes) == last.state_sha256;
            if !is_pinned && !is_pending {
                report.problem(path, None, Fault::State);
            }
            return Ok(state.next_sequence);
        }
        (Some((state, _)), None) => {
            report.problem(path, None, Fault::State);
            return Ok(state.next_sequence);
        }
        (None, Some(_)) if !is_pending => report.problem(path, None, Fault::Missing),
        (None, _) => {}
    }
    Ok(last.map_or(0, |last| last.next_sequence))
}

fn check_segments(
    folder: &Path,
    sealed_before: u64,
    log: &mut LogReport,
    report: &mut Report,
) -> Result<(), Error> {
    let segments = segment::list(folder)?;
    let mut expected = segments.first().map_or(sealed_before, |first| {
        first.first_sequence.min(sealed_before)
    });
    if segments.is_empty() {
        let path = folder
            .join(segment::file_name(sealed_before))
            .display()
            .to_string();
        report.problem(path, None, Fault::Missing);
    }
    for path in segments {
        let name = path.path.display().to_string();
        if path.first_sequence != expected {
            report.problem(
                name.clone(),
                None,
                Fault::Log {
                    offset: 0,
                    damage: Damage::Missing { expected },
                },
            );
        }
        match segment::check(&path) {
            Ok(extent) => {
                expected = extent.next_sequence;
                log.unsealed += expected.saturating_sub(path.first_sequence.max(sealed_before));
                if let Some(torn) = extent.torn {
                    let fault = Fault::Log {
                        offset: extent.bytes_good,
                        damage: torn.damage,
                    };
                    report.problem(name, None, fault);
                }
            }
            Err(Error::Damaged { offset, damage, .. }) => {
                report.problem(name, None, Fault::Log { offset, damage });
                return Ok(()); // where the next segment should begin is unknown
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

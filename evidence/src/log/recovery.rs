//! What is found when the log is opened. Cuts the torn tail of the last segment and must never change anything else.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use crate::error::{Damage, Error};
use crate::log::segment::{self, SegmentPath};
use crate::record::Record;
use crate::seal::state::State;

/// What [`crate::Log::open`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Records in the log that are not sealed yet.
    pub entries: u64,
    /// Decided statements without an end: the next seal writes them with outcome `unknown`.
    pub statements_open: u64,
    /// Bytes of a torn tail that were cut; 0 after a clean stop.
    pub cut_bytes: u64,
    /// The file that was cut.
    pub cut_file: Option<PathBuf>,
    /// The number of this start, from 1.
    pub epoch: u64,
    /// The sequence that the next record gets.
    pub next_sequence: u64,
}

pub(super) fn recover(folder: &Path) -> Result<Recovery, Error> {
    let segments = segment::list(folder)?;
    let mut recovery = Recovery {
        entries: 0,
        statements_open: 0,
        cut_bytes: 0,
        cut_file: None,
        epoch: 1,
        next_sequence: 0,
    };
    let mut open = BTreeSet::new();
    let mut sealed_before = 0;
    if let Some((state, _)) = State::read(folder)? {
        sealed_before = state.next_sequence;
        open.extend(
            state
                .waiting
                .into_iter()
                .map(|waiting| waiting.decision.statement_id),
        );
    }
    if sealed_before > 0
        && segments
            .first()
            .is_none_or(|first| first.first_sequence > sealed_before)
    {
        // Sealing deletes only what lies before, and the current segment always stays.
        let path = folder.join(segment::file_name(sealed_before));
        return Err(Error::Damaged {
            path,
            offset: 0,
            damage: Damage::Missing {
                expected: sealed_before,
            },
        });
    }
    for (position, path) in segments.iter().enumerate() {
        if position == 0 {
            recovery.next_sequence = path.first_sequence;
        }
        if path.first_sequence != recovery.next_sequence {
            let damage = Damage::Missing {
                expected: recovery.next_sequence,
            };
            return Err(Error::Damaged {
                path: path.path.clone(),
                offset: 0,
                damage,
            });
        }
        let segment = segment::read(path)?;
        if let Some(torn) = segment.torn {
            let is_last = position + 1 == segments.len();
            if !is_last {
                return Err(Error::Damaged {
                    path: path.path.clone(),
                    offset: segment.bytes_good,
                    damage: torn.damage,
                });
            }
            cut(path, segment.bytes_good)?;
            recovery.cut_bytes = torn.bytes;
            recovery.cut_file = Some(path.path.clone());
        }
        recovery.next_sequence = segment.next_sequence();
        recovery.epoch = recovery.epoch.max(segment.epoch + 1);
        // Segments below this are sealed; only their deletion was interrupted.
        if segment.first_sequence >= sealed_before {
            recovery.entries += segment.records.len() as u64;
            segment
                .records
                .iter()
                .for_each(|record| track_open(record, &mut open));
        }
    }
    recovery.statements_open = open.len() as u64;
    Ok(recovery)
}

fn track_open(record: &Record, open: &mut BTreeSet<String>) {
    match record {
        Record::Decision(decision) => {
            open.insert(decision.statement_id.clone());
        }
        Record::End(end) => {
            open.remove(&end.statement_id);
        }
        Record::Session(_) | Record::Change(_) => {}
    }
}

fn cut(segment: &SegmentPath, bytes: u64) -> Result<(), Error> {
    let file = OpenOptions::new()
        .write(true)
        .open(&segment.path)
        .map_err(Error::file("open", &segment.path))?;
    file.set_len(bytes)
        .map_err(Error::file("cut", &segment.path))?;
    file.sync_all().map_err(Error::file("fsync", &segment.path))
}

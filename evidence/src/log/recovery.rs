//! What is found when the log is opened. Cuts the torn tail of the last segment and must never change anything else.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use crate::entries::{Item, Vocabulary};
use crate::error::{Damage, Error};
use crate::log::segment::{self, Extent, SegmentPath};
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
    let mut open = HashSet::new();
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
            return Err(path.damaged(
                0,
                Damage::Missing {
                    expected: recovery.next_sequence,
                },
            ));
        }
        // Segments below this are sealed; only their deletion was interrupted.
        let is_unsealed = path.first_sequence >= sealed_before;
        let (epoch, extent) = read(path, is_unsealed.then_some(&mut open))?;
        if let Some(torn) = extent.torn {
            let is_last = position + 1 == segments.len();
            if !is_last {
                return Err(path.damaged(extent.bytes_good, torn.damage));
            }
            cut(path, extent.bytes_good)?;
            recovery.cut_bytes = torn.bytes;
            recovery.cut_file = Some(path.path.clone());
        }
        recovery.next_sequence = extent.next_sequence;
        recovery.epoch = recovery.epoch.max(epoch + 1);
        if is_unsealed {
            recovery.entries += extent.next_sequence - path.first_sequence;
        }
    }
    recovery.statements_open = open.len() as u64;
    Ok(recovery)
}

/// Reads a segment by itself, however long the log is, and tracks which statements have no end in `open`.
fn read(
    path: &SegmentPath,
    mut open: Option<&mut HashSet<String>>,
) -> Result<(u64, Extent), Error> {
    let segment = segment::open(path)?;
    let mut vocabulary = Vocabulary::default();
    let mut ids = Vec::new();
    let extent = segment.read(&mut vocabulary, &mut |_, item| match item {
        Item::Decision(decided) => ids.push((decided.key, true)),
        Item::End(ended) => ids.push((ended.key, false)),
        Item::Session(_) | Item::Change(_) | Item::Approval(_) | Item::Recording(_) => {}
    })?;
    if let Some(open) = &mut open {
        for (key, is_begun) in ids {
            let id = vocabulary.statement_id(key);
            match is_begun {
                true => open.insert(id),
                false => open.remove(&id),
            };
        }
    }
    Ok((segment.epoch, extent))
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

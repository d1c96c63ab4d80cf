//! Objects that retention deleted, and the holds that forbid it. A missing object is none only when a sealed row announced it before it went,
//! its manifest and its hashes are there, and no legal hold was in force. Must never take the store's word for any of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tlog_tiles::tlog::{HASH_SIZE, Hash};

use crate::dataset::Dataset;
use crate::holds::{self, Holds};
use crate::ledger::documents::Manifest;
use crate::ledger::tree::tile_path;
use crate::record::Micros;
use crate::retention::words::{Said, Word};
use crate::verify::{Fault, Report};

/// Hashes in a whole tile.
const TILE_WIDTH: u64 = 256;

/// An object that was deleted under retention: its rows are known by their hashes only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// Its key.
    pub key: String,
    /// Rows.
    pub rows: u64,
    /// The first of them.
    pub first_log_index: u64,
    /// The row that announced it.
    pub announced_log_index: u64,
    /// When that was.
    pub at: Micros,
    /// Who asked for it: `gateway` where it is configured.
    pub actor: String,
}

/// What the rows of one ledger say about deletions, and which of its objects are gone.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    said: Vec<Said>,
    /// Places in `said`, by the key that is announced.
    announced: HashMap<String, Vec<usize>>,
    absent: Vec<Manifest>,
}

impl Gone {
    pub(crate) fn hear(&mut self, said: Vec<Said>) {
        for said in said {
            if let Word::Deleted { key, .. } = &said.what {
                let places = self.announced.entry(key.clone()).or_default();
                places.push(self.said.len());
            }
            self.said.push(said);
        }
    }

    pub(crate) fn lacks(&mut self, manifest: Manifest) {
        self.absent.push(manifest);
    }

    /// The last row that announces the deletion of an object.
    fn announcement(&self, manifest: &Manifest) -> Option<&Said> {
        let places = self.announced.get(&manifest.key)?;
        let said = places.iter().filter_map(|place| self.said.get(*place));
        said.filter(|said| said.announces(manifest))
            .max_by_key(|said| said.log_index)
    }

    /// Whether a row announces an object's deletion: it may be gone, or go at any time.
    pub(super) fn is_announced(&self, manifest: &Manifest) -> bool {
        self.announcement(manifest).is_some()
    }

    /// Whether rows of a dataset were deleted.
    pub(super) fn is_without_some_of(&self, dataset: Dataset) -> bool {
        let mut absent = self.absent.iter();
        absent.any(|manifest| manifest.dataset == dataset && self.is_announced(manifest))
    }

    /// Whether each absent object was announced.
    pub(super) fn is_explained(&self) -> bool {
        self.absent
            .iter()
            .all(|manifest| self.announcement(manifest).is_some())
    }

    /// Absent objects: deleted, or else missing.
    pub(crate) fn sort(&self) -> (Vec<Deleted>, Vec<&Manifest>) {
        let (mut deleted, mut missing) = (Vec::new(), Vec::new());
        for manifest in &self.absent {
            match self.announcement(manifest) {
                Some(said) => deleted.push(Deleted {
                    key: manifest.key.clone(),
                    rows: manifest.rows,
                    first_log_index: manifest.first_log_index,
                    announced_log_index: said.log_index,
                    at: said.at,
                    actor: said.actor.clone(),
                }),
                None => missing.push(manifest),
            }
        }
        (deleted, missing)
    }

    /// The holds that the ledger saw: each document by its key, with its SHA-256.
    pub(super) fn holds(&self) -> impl Iterator<Item = (String, &str)> {
        self.said.iter().filter_map(|said| match &said.what {
            Word::HoldPlaced { name, sha256 } => {
                Some((format!("{}{name}/placed", holds::PREFIX), sha256.as_str()))
            }
            Word::HoldReleased { name, sha256 } => {
                Some((format!("{}{name}/released", holds::PREFIX), sha256.as_str()))
            }
            Word::Deleted { .. } => None,
        })
    }
}

/// The tiles that hold an object's leaves, once a tree of `size` leaves was published: path, and the first leaf of each.
pub(crate) fn leaf_tiles(manifest: &Manifest, size: u64) -> Vec<(String, u64)> {
    let tiles = manifest.first_log_index / TILE_WIDTH..=manifest.last_log_index / TILE_WIDTH;
    let path = |number: u64| {
        let first = number * TILE_WIDTH;
        let width = usize::try_from(size.saturating_sub(first)).ok();
        let width = width.filter(|width| (*width as u64) < TILE_WIDTH);
        (tile_path(0, number, width), first)
    };
    tiles.map(path).collect()
}

/// Those leaves of a tile that are an object's; `None` when the tile is too short.
pub(crate) fn leaves_in(tile: &[u8], first: u64, manifest: &Manifest) -> Option<Vec<Hash>> {
    let hashes: Vec<Hash> = tile
        .as_chunks::<HASH_SIZE>()
        .0
        .iter()
        .map(|hash| Hash(*hash))
        .collect();
    let place = |index: u64| usize::try_from(index.saturating_sub(first)).ok();
    let from = place(manifest.first_log_index)?;
    let to = place(manifest.last_log_index + 1)?.min(usize::try_from(TILE_WIDTH).ok()?);
    hashes.get(from..to).map(<[Hash]>::to_vec)
}

/// Checks the holds themselves: each can be read, those that ledgers saw are there, and nothing that was deleted was held.
pub(super) fn check_holds(
    holds: &Holds,
    seen: &BTreeMap<String, BTreeSet<String>>,
    report: &mut Report,
) {
    for unreadable in &holds.unreadable {
        let fault = Fault::Hold {
            problem: unreadable.problem,
        };
        report.problem(unreadable.key.clone(), None, fault);
    }
    let mut documents = BTreeMap::new();
    for (name, standing) in &holds.standing {
        let key = |kind: &str| format!("{}{name}/{kind}", holds::PREFIX);
        documents.insert(key("placed"), standing.sha256.as_str());
        if let Some((_, sha256)) = &standing.released {
            documents.insert(key("released"), sha256.as_str());
        }
    }
    for (key, digests) in seen {
        let is_unreadable = holds.unreadable.iter().any(|one| one.key == *key);
        let there = documents.get(key.as_str());
        for digest in digests {
            match there {
                Some(there) if there == digest => {}
                Some(_) => report.problem(key.clone(), None, Fault::Digest),
                None if is_unreadable => {}
                None => report.problem(key.clone(), None, Fault::Missing),
            }
        }
    }
    let mut held = Vec::new();
    for ledger in &report.ledgers {
        for deleted in &ledger.deleted {
            let standing = holds.standing.values().find(|standing| {
                standing.hold.covers(&ledger.gateway, &deleted.key) && standing.held_at(deleted.at)
            });
            if let Some(standing) = standing {
                let hold = standing.hold.name.clone();
                held.push((deleted.key.clone(), deleted.first_log_index, hold));
            }
        }
    }
    for (key, index, hold) in held {
        report.problem(key, Some(index), Fault::Held { hold });
    }
}

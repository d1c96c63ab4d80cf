//! What a gateway remembers of holds and of deletions that it announced: a file in the log's folder, replaced atomically. Must never say that a
//! deletion was announced before its row is in the log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::holds::{Holds, PREFIX, Problem};
use crate::ledger::documents::{Pinned, encode};
use crate::log::{Disk, write_whole};

/// `format` of the file.
const FORMAT: &str = "provost-keeping-v1";

/// A hold that was seen, by the SHA-256 of its documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    pub(super) placed: String,
    pub(super) released: Option<String>,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    format: String,
    gateway: String,
    pub(super) holds: BTreeMap<String, Seen>,
    /// Objects whose deletion is in the log.
    pub(super) announced: Vec<Pinned>,
}

impl Memory {
    pub(super) fn path(folder: &Path) -> PathBuf {
        folder.join("keeping.json")
    }

    /// Reads the file; empty where there is none yet.
    ///
    /// # Errors
    /// [`Error::StateDamaged`], [`Error::File`].
    pub(super) fn read(folder: &Path, gateway: &str) -> Result<Self, Error> {
        let path = Self::path(folder);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    format: FORMAT.to_owned(),
                    gateway: gateway.to_owned(),
                    holds: BTreeMap::new(),
                    announced: Vec::new(),
                });
            }
            Err(source) => {
                return Err(Error::File {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let memory: Option<Self> = serde_json::from_slice(&bytes).ok();
        let is_ours = |memory: &Self| memory.format == FORMAT && memory.gateway == gateway;
        memory.filter(is_ours).ok_or(Error::StateDamaged { path })
    }

    pub(super) fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
        let path = Self::path(folder);
        write_whole(disk, &path, &encode(self)?).map_err(Error::file("write", path))
    }

    /// That no hold that was seen is gone, or another one now.
    ///
    /// # Errors
    /// [`Error::Hold`].
    pub(super) fn agrees(&self, holds: &Holds) -> Result<(), Error> {
        let is_there = |(name, seen): &(&String, &Seen)| {
            holds.standing.get(*name).is_some_and(|standing| {
                let released = standing.released.as_ref().map(|(_, sha256)| sha256);
                standing.sha256 == seen.placed
                    && (seen.released.is_none() || released == seen.released.as_ref())
            })
        };
        let gone = self.holds.iter().find(|one| !is_there(one));
        gone.map_or(Ok(()), |(name, _)| {
            Err(Error::Hold {
                key: format!("{PREFIX}{name}"),
                problem: Problem::Gone,
            })
        })
    }
}

//! What the sealer carries from one seal to the next: a file in the log's folder, replaced atomically when a seal is
//! committed, its digest pinned by that seal. Must never be ahead of the store.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::DecisionRecord;

/// `format` of the file.
const STATE_FORMAT: &str = "provost-sealer-v1";

/// A decision whose end hasn't been seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waiting {
    /// Its sequence in the log.
    pub(crate) sequence: u64,
    /// The start that logged it.
    pub(crate) epoch: u64,
    /// The row with outcome `open` that was sealed for it, if one was.
    pub(crate) open_log_index: Option<u64>,
    pub(crate) decision: DecisionRecord,
}

/// The sealer's state after a seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    format: String,
    pub(crate) gateway: String,
    /// The last seal; none before the first.
    pub(crate) seal: Option<u64>,
    pub(crate) next_log_index: u64,
    /// Every sequence below this is sealed or waiting.
    pub(crate) next_sequence: u64,
    /// In order of sequence.
    pub(crate) waiting: Vec<Waiting>,
}

impl State {
    /// Before the first seal.
    pub(crate) fn first(gateway: &str) -> State {
        State {
            format: STATE_FORMAT.to_owned(),
            gateway: gateway.to_owned(),
            seal: None,
            next_log_index: 0,
            next_sequence: 0,
            waiting: Vec::new(),
        }
    }

    pub(crate) fn next_seal(&self) -> u64 {
        self.seal.map_or(0, |seal| seal + 1)
    }

    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join("sealer.json")
    }

    /// Reads the state; `None` before the first seal.
    ///
    /// # Errors
    /// [`Error::StateDamaged`], [`Error::File`].
    pub(crate) fn read(folder: &Path) -> Result<Option<(State, Vec<u8>)>, Error> {
        let path = State::path(folder);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(Error::File {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let state: State = serde_json::from_slice(&bytes)
            .map_err(|_| Error::StateDamaged { path: path.clone() })?;
        if state.format != STATE_FORMAT {
            return Err(Error::StateDamaged { path });
        }
        Ok(Some((state, bytes)))
    }
}

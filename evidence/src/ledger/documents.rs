//! Manifests (one per object) and seals (one per batch of objects): JSON documents pinned by the signed checkpoint.
//! checkpoint -> SHA-256 of the seal -> SHA-256 of each manifest -> SHA-256 of its object. Must never be read
//! leniently: an unknown field is a malformed document.

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::Error;

/// `format` of a manifest.
pub(crate) const MANIFEST_FORMAT: &str = "provost-manifest-v1";
/// `format` of a seal.
pub(crate) const SEAL_FORMAT: &str = "provost-seal-v1";

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) gateway: String,
    pub(crate) epoch: u64,
    pub(crate) dataset: Dataset,
    pub(crate) schema_version: i64,
    /// The object's key.
    pub(crate) key: String,
    /// The object's SHA-256, hex.
    pub(crate) sha256: String,
    /// The object's size.
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) first_log_index: u64,
    pub(crate) last_log_index: u64,
    /// 32 random bytes, hex: the nonces of the object's records are derived from it.
    pub(crate) secret: String,
}

/// A document and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pinned {
    pub(crate) key: String,
    pub(crate) sha256: String,
}

/// A batch of objects that became part of the ledger together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    pub(crate) format: String,
    pub(crate) gateway: String,
    /// From 0, dense.
    pub(crate) seal: u64,
    /// SHA-256 of the seal before, hex; null for the first.
    pub(crate) previous: Option<String>,
    pub(crate) epoch: u64,
    /// Leaves before this seal: the first row's log_index.
    pub(crate) first_log_index: u64,
    /// Leaves after this seal.
    pub(crate) tree_size: u64,
    /// Log sequences from here ...
    pub(crate) first_sequence: u64,
    /// ... up to here, exclusive, were sealed or are carried.
    pub(crate) next_sequence: u64,
    /// Decisions read from the log but not yet rows: they wait for their end.
    pub(crate) carried: u64,
    /// SHA-256 of the sealer's state file, hex: it holds the carried decisions.
    pub(crate) state_sha256: String,
    /// In order of log_index.
    pub(crate) manifests: Vec<Pinned>,
}

impl Seal {
    pub(crate) fn key(gateway: &str, seal: u64) -> String {
        format!("{}/seals/{seal:020}.json", super::prefix(gateway))
    }
}

/// A document's bytes: compact JSON and a line feed.
pub(crate) fn encode<T: Serialize>(document: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec(document).map_err(|source| Error::Encode { source })?;
    bytes.push(b'\n');
    Ok(bytes)
}

//! The ledger: an RFC 6962 Merkle tree over canonical records, its C2SP tiles and signed checkpoints, and the manifests
//! and seals that tie every object to it. Pure: must never touch a store.

pub(crate) mod canonical;
pub(crate) mod checkpoint;
pub(crate) mod documents;
pub(crate) mod tree;

use sha2::{Digest as _, Sha256};

use crate::hex::HexDigest;

/// The folder of a gateway's ledger.
pub(crate) fn prefix(gateway: &str) -> String {
    format!("ledger/{gateway}")
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes).into())
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    HexDigest::from(*bytes).as_str().to_owned()
}

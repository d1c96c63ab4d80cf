//! The ledger: an RFC 6962 Merkle tree over canonical records, its C2SP tiles and signed checkpoints, and the manifests
//! and seals that tie every object to it. Pure: must never touch a store.

pub(crate) mod canonical;
pub(crate) mod checkpoint;
pub(crate) mod documents;
pub(crate) mod tree;

use sha2::{Digest as _, Sha256};

/// The folder of a gateway's ledger.
pub(crate) fn prefix(gateway: &str) -> String {
    format!("ledger/{gateway}")
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 32 bytes from 64 lower-case hex digits.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let text = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(text, 16).ok()?;
    }
    (hex(&bytes) == text).then_some(bytes)
}

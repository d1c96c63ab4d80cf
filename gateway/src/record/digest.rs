//! Digests in evidence: keyed where the digested text may be guessed (SQL, literals, parameters), plain for facts.
//!
//! It must never show its key, and never give two purposes the same digest of the same bytes.

use hmac::{Hmac, Mac as _};
use provost_engine::facts::Facts;
use serde::Serialize;
use sha2::Sha256;

use super::hex;
use crate::settings::Secret;

/// Bytes an evidence key must have at least; less could be guessed.
const KEY_BYTES_MIN: usize = 32;
/// Hex digits of a literal's digest: enough to tell literals apart within a store, too few to be a fingerprint elsewhere.
const LITERAL_DIGITS: usize = 16;

/// The key is too short to protect anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the evidence digest key has {bytes} bytes, it needs at least {KEY_BYTES_MIN}: `openssl rand -hex 32` makes one"
)]
pub struct KeyTooShort {
    /// What it has.
    pub bytes: usize,
}

/// The key of evidence's digests. Whoever has it can test guesses against evidence, and nobody else can.
#[derive(Debug, Clone)]
pub struct EvidenceKey {
    /// The state after the key alone, which is the same for everything: half of what a short digest costs.
    keyed: Hmac<Sha256>,
}

impl EvidenceKey {
    /// Takes a key of at least 32 bytes.
    ///
    /// # Errors
    /// [`KeyTooShort`].
    pub fn new(secret: Secret) -> Result<Self, KeyTooShort> {
        let bytes = secret.reveal().len();
        if bytes < KEY_BYTES_MIN {
            return Err(KeyTooShort { bytes });
        }
        let keyed = Hmac::new_from_slice(secret.reveal()).map_err(|_| KeyTooShort { bytes })?;
        Ok(Self { keyed })
    }

    /// Digest of a statement's exact text.
    #[must_use]
    pub fn sql(&self, text: &[u8]) -> [u8; 32] {
        self.keyed(b"sql", text)
    }

    /// Digest of a Bind's values: its body from the format codes to the last value, as it came.
    #[must_use]
    pub fn parameters(&self, raw: &[u8]) -> [u8; 32] {
        self.keyed(b"parameters", raw)
    }

    /// Digest of what an approval is bound to: each part behind its length.
    #[must_use]
    pub(crate) fn binding<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        self.keyed(b"approval", &bytes)
    }

    /// What stands for a literal in evidence: a literal again, so that the text still reads as SQL.
    pub(super) fn literal(&self, token: &str) -> String {
        let digits = hex(&self.keyed(b"literal", token.as_bytes()));
        format!("'hmac:{}'", super::cut(&digits, LITERAL_DIGITS))
    }

    /// HMAC-SHA256 over the purpose, a NUL and the bytes.
    fn keyed(&self, purpose: &[u8], bytes: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(purpose);
        mac.update(&[0]);
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }
}

/// Memory for most facts.
const FACTS_BYTES: usize = 1024;

/// Digest of facts but for what columns equal: of many statements it is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PatternDigest([u8; 32]);

impl PatternDigest {
    /// BLAKE3 over the facts without equalities in postcard's encoding (fields in declaration order, sets sorted), catalog version included.
    pub(super) fn of(facts: &Facts) -> Self {
        let facts = encoded(Vec::with_capacity(FACTS_BYTES), &facts.without_equalities());
        Self(blake3::hash(&facts).into())
    }

    /// Digest of facts of which this is the pattern's: keyed, over it and each access's equalities, encoded likewise. Equalities have
    /// values that may be guessed.
    pub(super) fn with_equalities(&self, key: &EvidenceKey, facts: &Facts) -> [u8; 32] {
        let equalities: Vec<_> = facts.accesses.iter().map(|one| &one.equalities).collect();
        key.keyed(b"facts", &encoded(self.0.to_vec(), &equalities))
    }
}

/// Some bytes, and what is encoded behind them.
fn encoded(before: Vec<u8>, value: &impl Serialize) -> Vec<u8> {
    // Encoding to memory fails for sequences of unknown length alone, of which facts have none; no bytes would only make digests equal.
    postcard::to_extend(value, before).unwrap_or_default()
}

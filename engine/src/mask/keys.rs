//! The keys of `hash` and `tokenize`, derived from one secret.
//!
//! Never prints the secret or a derived key, and never works with a secret that is too short to be one.

use std::{fmt, sync::Arc};

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};
use hmac::{
    Hmac, Mac as _,
    digest::{Key, KeyInit},
};
use sha2::Sha256;

/// The salt of the derivation. Another version would make every hash and token another one.
const SALT: [u8; 32] = *b"provost mask keys, version 1....";
/// What the hash key is for.
const HASH: &[u8] = b"hash";
/// What the token key is for.
const TOKENIZE: &[u8] = b"tokenize";

/// The keys of the transforms `hash` and `tokenize`.
///
/// Both come from one secret by HKDF, so that knowing one of them tells nothing of the other. Equal secrets give equal
/// results everywhere: on every column, table, target and gateway, which is what lets masked values be joined.
pub struct MaskKeys {
    id: Arc<str>,
    hash: Hmac<Sha256>,
    decimal: FF1<Aes256>,
    binary: FF1<Aes256>,
}

/// Why there are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MaskKeysError {
    /// The secret is too short.
    #[error(
        "the secret of masks has {bytes} bytes: it must have at least {}",
        MaskKeys::SECRET_BYTES_MIN
    )]
    Short {
        /// The bytes it has.
        bytes: usize,
    },
    /// The cipher refused its radix. It takes every radix from 2 to 65,536, and is asked for 2 and 10.
    #[error("the cipher of `tokenize` could not be set up")]
    Cipher,
}

/// The alphabet of a numeral string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Radix {
    /// Bits.
    Binary,
    /// Decimal digits.
    Decimal,
}

impl MaskKeys {
    /// The shortest secret, in bytes: as strong as the keys made from it.
    pub const SECRET_BYTES_MIN: usize = 32;
    /// The bytes of a hash.
    pub const HASH_BYTES: usize = 16;

    /// Derives the keys. `id` names the secret wherever it is used; it is no secret itself.
    ///
    /// # Errors
    /// [`MaskKeysError::Short`].
    ///
    /// # Source
    /// RFC 5869 (HKDF) with SHA-256.
    pub fn new(id: impl Into<Arc<str>>, secret: &[u8]) -> Result<Self, MaskKeysError> {
        if secret.len() < Self::SECRET_BYTES_MIN {
            return Err(MaskKeysError::Short {
                bytes: secret.len(),
            });
        }
        let extracted = digest(&SALT, &[secret]);
        Self::from_derived(
            id.into(),
            &expand(&extracted, HASH),
            &expand(&extracted, TOKENIZE),
        )
    }

    fn from_derived(
        id: Arc<str>,
        hash: &[u8; 32],
        tokenize: &[u8; 32],
    ) -> Result<Self, MaskKeysError> {
        let cipher = |radix| FF1::new(tokenize, radix).map_err(|_| MaskKeysError::Cipher);
        Ok(Self {
            id,
            hash: keyed(hash),
            decimal: cipher(10)?,
            binary: cipher(2)?,
        })
    }

    /// The name of the secret.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The first 128 bits of HMAC-SHA256.
    pub(super) fn hash(&self, value: &[u8]) -> [u8; Self::HASH_BYTES] {
        let mut mac = self.hash.clone();
        mac.update(value);
        let mut hash = [0; Self::HASH_BYTES];
        for (to, from) in hash.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        hash
    }

    /// FF1 of a numeral string, without a tweak: a token must be the same in every column. `None` where there are fewer
    /// than 1,000,000 strings of that length, which the standard asks for.
    ///
    /// # Source
    /// NIST SP 800-38G, algorithm 7 (FF1.Encrypt), with the minimal domain of its revision 1.
    pub(super) fn permute(&self, radix: Radix, numerals: Vec<u16>) -> Option<Vec<u16>> {
        let cipher = match radix {
            Radix::Binary => &self.binary,
            Radix::Decimal => &self.decimal,
        };
        cipher
            .encrypt(&[], &FlexibleNumeralString::from(numerals))
            .ok()
            .map(Vec::from)
    }
}

impl fmt::Debug for MaskKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MaskKeys")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// HMAC under a key of 32 bytes, which HMAC pads with zeros to its block.
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Key::<Hmac<Sha256>>::default();
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    <Hmac<Sha256> as KeyInit>::new(&block)
}

fn digest(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF's expansion to one block.
fn expand(extracted: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    digest(extracted, &[purpose, &[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
            .collect()
    }

    fn block(hex: &str) -> [u8; 32] {
        bytes(hex).try_into().expect("32 bytes")
    }

    /// RFC 5869, appendix A.1: the first block of its output.
    #[test]
    fn derivation_is_hkdf() {
        let mut salt = [0; 32];
        salt[..13].copy_from_slice(&bytes("000102030405060708090a0b0c"));
        let extracted = digest(&salt, &[&[0x0b; 22]]);
        assert_eq!(
            extracted,
            block("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        );
        assert_eq!(
            expand(&extracted, &bytes("f0f1f2f3f4f5f6f7f8f9")),
            block("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
        );
    }

    /// NIST's FF1 samples 7 and 9 (AES-256); sample 9 has a tweak and radix 36, so it goes to the library itself.
    #[test]
    fn tokens_are_nist_ff1() {
        let key = block("2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94");
        let keys = MaskKeys::from_derived("nist".into(), &[0; 32], &key).expect("keys");
        assert_eq!(
            keys.permute(Radix::Decimal, (0..10).collect()),
            Some(vec![6, 6, 5, 7, 6, 6, 7, 0, 0, 9])
        );
        let sample = FF1::<Aes256>::new(&key, 36).expect("a radix");
        let numerals = FlexibleNumeralString::from((0..19).collect::<Vec<u16>>());
        let token = sample
            .encrypt(&bytes("3737373770717273373737"), &numerals)
            .expect("a token");
        let text: String = Vec::from(token)
            .into_iter()
            .map(|numeral| char::from_digit(u32::from(numeral), 36).expect("a digit"))
            .collect();
        assert_eq!(text, "xs8a0azh2avyalyzuwd");
    }

    #[test]
    fn small_domains_are_refused() {
        let keys = MaskKeys::new("test", &[7; 32]).expect("keys");
        for (radix, shortest) in [(Radix::Decimal, 6), (Radix::Binary, 20)] {
            assert_eq!(keys.permute(radix, vec![0; shortest - 1]), None);
            assert!(keys.permute(radix, vec![0; shortest]).is_some());
        }
    }

    #[test]
    fn secrets_that_are_too_short_are_refused() {
        for bytes in [0, 1, 31] {
            assert_eq!(
                MaskKeys::new("short", &vec![7; bytes]).err(),
                Some(MaskKeysError::Short { bytes })
            );
        }
        assert_eq!(
            MaskKeysError::Short { bytes: 5 }.to_string(),
            "the secret of masks has 5 bytes: it must have at least 32"
        );
    }

    #[test]
    fn debug_shows_the_id_only() {
        let keys = MaskKeys::new("masks-2026", &[b'K'; 40]).expect("keys");
        assert_eq!(format!("{keys:?}"), "MaskKeys { id: \"masks-2026\", .. }");
    }

    #[test]
    fn the_hash_is_hmac_under_its_own_key() {
        let hash = |secret: u8, value: &[u8]| {
            MaskKeys::new("test", &[secret; 32])
                .expect("keys")
                .hash(value)
        };
        assert_eq!(hash(1, b"ada"), hash(1, b"ada"));
        assert_ne!(hash(1, b"ada"), hash(2, b"ada"));
        assert_ne!(hash(1, b"ada"), hash(1, b"adb"));
        let extracted = digest(&SALT, &[&[1; 32]]);
        assert_ne!(expand(&extracted, HASH), expand(&extracted, TOKENIZE));
        assert_eq!(
            hash(1, b"ada")[..],
            digest(&expand(&extracted, HASH), &[b"ada"])[..16]
        );
    }
}

//! The issuer's published keys: those that can verify a token, each bound to the algorithms its type allows.
//!
//! It must never hold a symmetric key, and never hand out a key for an algorithm of another type (key confusion).

use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;

use super::{error::FetchError, settings::Algorithm};

/// Keys read from one key set; more are ignored (the first ones count).
const KEYS_MAX: usize = 64;
/// The smallest RSA modulus that is trusted, in bytes (NIST SP 800-131A: 2048 bits); smaller keys are ignored.
const RSA_MODULUS_BYTES_MIN: usize = 256;
/// The largest RSA modulus that is used, in bytes; larger keys would only cost time and are ignored.
const RSA_MODULUS_BYTES_MAX: usize = 512;

/// One usable key.
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    verifying: DecodingKey,
}

/// The usable keys of an issuer.
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// What a key set says of a token's header.
pub(crate) enum Found<'a> {
    /// The one key that fits.
    One(&'a DecodingKey),
    /// No key, or more than one, fits.
    None,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a JWK set; keys of unknown or unfit types are skipped, as RFC 7517, 5 asks.
    ///
    /// # Errors
    /// [`FetchError::Json`] when it is no key set, [`FetchError::NoKeys`] when no key in it is usable.
    ///
    /// # Source
    /// RFC 7517, 5 and RFC 7518, 6.
    pub(crate) fn from_json(json: &[u8], allowed: &[Algorithm]) -> Result<Self, FetchError> {
        let document: Document = serde_json::from_slice(json).map_err(FetchError::Json)?;
        let keys: Vec<Key> = document
            .keys
            .into_iter()
            .take(KEYS_MAX)
            .filter_map(|value| serde_json::from_value::<Jwk>(value).ok())
            .filter_map(|jwk| Key::from_jwk(&jwk, allowed))
            .collect();
        if keys.is_empty() {
            return Err(FetchError::NoKeys);
        }
        Ok(Self { keys })
    }

    /// The key for a header's `kid` and `alg`.
    ///
    /// // INVARIANT: a key is found only for an algorithm of its own type and, where it names one, its own algorithm.
    pub(crate) fn find(&self, key_id: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithms.contains(&algorithm)
                && key_id.is_none_or(|key_id| key.id.as_deref() == Some(key_id))
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Found::One(&key.verifying),
            _ => Found::None,
        }
    }

    /// Whether any key carries this id, whatever its type.
    pub(crate) fn has_id(&self, key_id: &str) -> bool {
        self.keys
            .iter()
            .any(|key| key.id.as_deref() == Some(key_id))
    }
}

impl Key {
    fn from_jwk(jwk: &Jwk, allowed: &[Algorithm]) -> Option<Self> {
        let common = &jwk.common;
        if common
            .public_key_use
            .as_ref()
            .is_some_and(|usage| *usage != PublicKeyUse::Signature)
        {
            return None;
        }
        if common
            .key_operations
            .as_ref()
            .is_some_and(|operations| !operations.contains(&KeyOperations::Verify))
        {
            return None;
        }
        let verifying = DecodingKey::from_jwk(jwk).ok()?;
        let algorithms: Vec<Algorithm> = type_algorithms(jwk, &verifying)
            .iter()
            .copied()
            .filter(|algorithm| allowed.contains(algorithm))
            .filter(|algorithm| {
                common
                    .key_algorithm
                    .is_none_or(|named| named == KeyAlgorithm::from(algorithm.to_library()))
            })
            .collect();
        (!algorithms.is_empty()).then(|| Self {
            id: common.key_id.clone(),
            algorithms,
            verifying,
        })
    }
}

/// The algorithms that a key's type can verify; none for types and sizes that are not trusted.
fn type_algorithms(jwk: &Jwk, verifying: &DecodingKey) -> &'static [Algorithm] {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) if rsa_size_fits(verifying) => &[
            Algorithm::Rs256,
            Algorithm::Rs384,
            Algorithm::Rs512,
            Algorithm::Ps256,
            Algorithm::Ps384,
            Algorithm::Ps512,
        ],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => &[Algorithm::Es256],
            EllipticCurve::P384 => &[Algorithm::Es384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDsa]
        }
        _ => &[],
    }
}

fn rsa_size_fits(verifying: &DecodingKey) -> bool {
    match verifying.kind() {
        jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => {
            let significant = n.iter().skip_while(|byte| **byte == 0).count();
            (RSA_MODULUS_BYTES_MIN..=RSA_MODULUS_BYTES_MAX).contains(&significant)
        }
        jsonwebtoken::DecodingKeyKind::SecretOrDer(_) => false,
    }
}

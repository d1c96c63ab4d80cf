//! Keys: Ed25519 to sign, and public keys that are trusted. Must never print a private key.

use std::{fmt, sync::Arc};

use ed25519_dalek::{
    Signer as _,
    pkcs8::{
        DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
        spki::{
            ObjectIdentifier, SubjectPublicKeyInfoRef,
            der::{self, Decode as _, Document, Reader as _, pem::LineEnding},
        },
    },
};
use jsonwebtoken::DecodingKey;
use sha2::{Digest as _, Sha256};

use super::error::{Error, KeyFault};

/// What PEM calls a public key.
const PUBLIC_LABEL: &str = "PUBLIC KEY";
/// Ed25519 (RFC 8410).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// An elliptic curve, named by the parameter (RFC 5480).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// The curve P-256 (RFC 5480).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RSA (RFC 3279).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// The smallest and the largest RSA modulus, in bytes: shorter ones can be broken, longer ones cost too much.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The one algorithm that a key is for; it is the key's, never the token's to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519: ours.
    EdDsa,
    /// ECDSA over P-256 with SHA-256, for bundles that OPA's tools signed.
    Es256,
    /// RSA PKCS#1 v1.5 with SHA-256, for bundles that OPA's tools signed.
    Rs256,
}

impl Algorithm {
    /// As in a JWT's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// Whether a header may say so for any key at all.
    pub(super) fn is_known(name: &str) -> bool {
        [Self::EdDsa, Self::Es256, Self::Rs256]
            .iter()
            .any(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Names a public key: the first 16 hex digits of the SHA-256 of its SubjectPublicKeyInfo (DER).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    fn of(info: &[u8]) -> Self {
        let digits = super::contents::hex(&Sha256::digest(info));
        Self(digits.get(..16).unwrap_or_default().into())
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An Ed25519 private key that signs bundles.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// Makes a key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyFault::Randomness`].
    pub fn generate() -> Result<Self, Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| KeyFault::Randomness)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads a PKCS#8 PEM.
    ///
    /// # Errors
    /// [`KeyFault::NotPrivate`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        match ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
            Ok(key) => Ok(Self(key)),
            Err(_reason_may_quote_the_key) => Err(KeyFault::NotPrivate.into()),
        }
    }

    /// Writes the key as PKCS#8 PEM, to be stored where only its owner can read it.
    ///
    /// # Errors
    /// [`KeyFault::NotEncodable`].
    pub fn to_pem(&self) -> Result<String, Error> {
        // Without the public half (version 1), which older OpenSSL can't read.
        let bytes = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        let pem = bytes
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| KeyFault::NotEncodable)?;
        Ok(pem.as_str().to_owned())
    }

    /// The public half as PEM (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// [`KeyFault::NotEncodable`].
    pub fn public_pem(&self) -> Result<String, Error> {
        let key = self.0.verifying_key();
        Ok(key
            .to_public_key_pem(LineEnding::LF)
            .map_err(|_| KeyFault::NotEncodable)?)
    }

    /// The public half's id.
    ///
    /// # Errors
    /// [`KeyFault::NotEncodable`].
    pub fn id(&self) -> Result<KeyId, Error> {
        let info = self.0.verifying_key().to_public_key_der();
        Ok(KeyId::of(
            info.map_err(|_| KeyFault::NotEncodable)?.as_bytes(),
        ))
    }

    /// Signs.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// A public key whose bundles are trusted, bound to its one algorithm.
#[derive(Clone)]
pub struct TrustedKey {
    id: KeyId,
    algorithm: Algorithm,
    key: Verifier,
}

#[derive(Clone)]
enum Verifier {
    Ed25519(ed25519_dalek::VerifyingKey),
    Other(DecodingKey),
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TrustedKey({}, {})", self.id, self.algorithm)
    }
}

impl TrustedKey {
    /// Reads a SubjectPublicKeyInfo PEM: Ed25519, ECDSA P-256, or RSA of 2048 to 8192 bits.
    ///
    /// # Errors
    /// [`KeyFault::NotPublic`], [`KeyFault::Kind`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let (label, document) =
            Document::from_pem(pem.trim_start()).map_err(|_| KeyFault::NotPublic)?;
        if label != PUBLIC_LABEL {
            return Err(KeyFault::NotPublic.into());
        }
        let der = document.as_bytes();
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyFault::NotPublic)?;
        let key = info
            .subject_public_key
            .as_bytes()
            .ok_or(KeyFault::NotPublic)?;
        let curve = info.algorithm.parameters_oid().ok();
        let (algorithm, key) = match (info.algorithm.oid, curve) {
            (ED25519, None) => {
                let bytes = key.try_into().map_err(|_| KeyFault::NotPublic)?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(bytes)
                    .ok()
                    .filter(|key| !key.is_weak())
                    .ok_or(KeyFault::NotPublic)?;
                (Algorithm::EdDsa, Verifier::Ed25519(key))
            }
            (EC, Some(P256)) => (
                Algorithm::Es256,
                Verifier::Other(DecodingKey::from_ec_der(key)),
            ),
            (RSA, None) if rsa_bytes(key).is_some_and(|bytes| RSA_BYTES.contains(&bytes)) => (
                Algorithm::Rs256,
                Verifier::Other(DecodingKey::from_rsa_der(key)),
            ),
            _ => return Err(KeyFault::Kind.into()),
        };
        Ok(Self {
            id: KeyId::of(der),
            algorithm,
            key,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it made the signature (base64url) of the message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        let by = |key, algorithm| {
            jsonwebtoken::crypto::verify(signature, message, key, algorithm).unwrap_or(false)
        };
        match (&self.key, self.algorithm) {
            (Verifier::Ed25519(key), _) => super::token::decode(signature)
                .and_then(|bytes| ed25519_dalek::Signature::from_slice(&bytes).ok())
                .is_some_and(|signature| key.verify_strict(message, &signature).is_ok()),
            (Verifier::Other(key), Algorithm::Es256) => by(key, jsonwebtoken::Algorithm::ES256),
            (Verifier::Other(key), Algorithm::Rs256) => by(key, jsonwebtoken::Algorithm::RS256),
            (Verifier::Other(_), Algorithm::EdDsa) => false,
        }
    }
}

/// The bytes of a PKCS#1 key's modulus.
fn rsa_bytes(key: &[u8]) -> Option<usize> {
    let mut reader = der::SliceReader::new(key).ok()?;
    let modulus = |reader: &mut der::NestedReader<'_, _>| {
        let modulus = der::asn1::UintRef::decode(reader)?;
        der::asn1::UintRef::decode(reader)?;
        Ok(modulus.as_bytes().len())
    };
    let bytes: usize = reader.sequence(modulus).ok()?;
    reader.finish(bytes).ok()
}

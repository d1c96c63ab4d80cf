//! Which signatures time stamps may have: RSA (PKCS#1 v1.5, 2048 bits and more) and ECDSA on P-256 and P-384, with SHA-256, SHA-384 or SHA-512.
//! Must never take a digest that is not as strong.

use der::asn1::ObjectIdentifier;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::ring;

use super::request::SHA_256;

const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// RSA, with the digest named beside it.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// With SHA-256, SHA-384, SHA-512.
const RSA_WITH: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"),
];
const ECDSA_WITH: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
];

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// The digest of `content` that an algorithm names; `None` for one that isn't taken.
pub(super) fn digest(algorithm: ObjectIdentifier, content: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        SHA_256 => Some(Sha256::digest(content).to_vec()),
        SHA_384 => Some(Sha384::digest(content).to_vec()),
        SHA_512 => Some(Sha512::digest(content).to_vec()),
        _ => None,
    }
}

/// What a signature by these may be checked with: the digest's and the signature's algorithm, which must agree. The kind of key picks one.
pub(super) fn candidates(
    (digest, signature): (ObjectIdentifier, ObjectIdentifier),
) -> Option<Vec<Algorithm>> {
    let digests = [SHA_256, SHA_384, SHA_512];
    let place = digests.iter().position(|known| *known == digest)?;
    let is_rsa = signature == RSA || RSA_WITH.get(place) == Some(&signature);
    let is_ecdsa = ECDSA_WITH.get(place) == Some(&signature);
    match (is_rsa, is_ecdsa, place) {
        (true, _, 0) => Some(vec![ring::RSA_PKCS1_2048_8192_SHA256]),
        (true, _, 1) => Some(vec![ring::RSA_PKCS1_2048_8192_SHA384]),
        (true, _, _) => Some(vec![ring::RSA_PKCS1_2048_8192_SHA512]),
        (_, true, 0) => Some(vec![ring::ECDSA_P256_SHA256, ring::ECDSA_P384_SHA256]),
        (_, true, 1) => Some(vec![ring::ECDSA_P256_SHA384, ring::ECDSA_P384_SHA384]),
        (_, true, _) => Some(vec![&EcdsaSha512::P256, &EcdsaSha512::P384]),
        (false, false, _) => None,
    }
}

/// ECDSA with SHA-512, by curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EcdsaSha512 {
    P256,
    P384,
}

impl SignatureVerificationAlgorithm for EcdsaSha512 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let digest = Sha512::digest(message);
        let verified = match self {
            Self::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(public_key).and_then(|key| {
                key.verify_prehash(&digest, &p256::ecdsa::Signature::from_der(signature)?)
            }),
            Self::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(public_key).and_then(|key| {
                key.verify_prehash(&digest, &p384::ecdsa::Signature::from_der(signature)?)
            }),
        };
        verified.map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self {
            Self::P256 => alg_id::ECDSA_P256,
            Self::P384 => alg_id::ECDSA_P384,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA512
    }
}

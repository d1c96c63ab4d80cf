//! Requests: which bytes are to be stamped, as a time stamp authority takes them. Must never tell more of them than their SHA-256.

use der::asn1::{ObjectIdentifier, OctetStringRef, UintRef};
use der::{AnyRef, Encode as _, Tag};
use sha2::{Digest as _, Sha256};

use super::Problem;
use crate::error::Error;
use crate::key::random;

/// SHA-256.
///
/// # Source
/// RFC 5754, section 2.2.
pub(super) const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// Bytes of a nonce.
const NONCE_BYTES: usize = 8;
/// The version of the request.
const VERSION: u8 = 1;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// In DER.
    pub(super) bytes: Vec<u8>,
    /// Its nonce, an INTEGER in DER: the answer must have the same.
    pub(super) nonce: Vec<u8>,
}

impl Request {
    /// Asks for a stamp of `content`.
    ///
    /// # Errors
    /// [`Error::Randomness`].
    ///
    /// # Source
    /// RFC 3161, section 2.4.1.
    pub(super) fn of(content: &[u8]) -> Result<Self, Error> {
        let random = random()?;
        let nonce = random.first_chunk::<NONCE_BYTES>();
        let nonce = nonce.ok_or_else(|| Problem::Malformed.into_error())?;
        Self::with(content, nonce).map_err(|_| Problem::Malformed.into_error())
    }

    fn with(content: &[u8], nonce: &[u8; NONCE_BYTES]) -> der::Result<Self> {
        let digest = Sha256::digest(content);
        let algorithm = sequence(&[SHA_256.to_der()?, der::asn1::Null.to_der()?])?;
        let imprint = sequence(&[algorithm, OctetStringRef::new(&digest)?.to_der()?])?;
        let nonce = UintRef::new(nonce)?.to_der()?;
        // The last: the answer is to have the signer's certificate.
        let parts = [VERSION.to_der()?, imprint, nonce.clone(), true.to_der()?];
        let bytes = sequence(&parts)?;
        Ok(Self { bytes, nonce })
    }
}

fn sequence(parts: &[Vec<u8>]) -> der::Result<Vec<u8>> {
    AnyRef::new(Tag::Sequence, &parts.concat())?.to_der()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_rfc_3161_says() {
        // `printf abc | openssl ts -query -data - -sha256 -cert`, with this nonce.
        let request = Request::with(b"abc", &[0x31, 0x4c, 0xfc, 0xe4, 0xe0, 0x65, 0x18, 0x27]);
        let text: String = request
            .unwrap()
            .bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            text,
            "30430201013031300d060960864801650304020105000420ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0208314cfce4e06518270101ff"
        );
    }

    #[test]
    fn nonces_are_positive_and_differ() {
        let high = Request::with(b"abc", &[0xff; NONCE_BYTES]).unwrap();
        assert_eq!(
            high.nonce,
            [2, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255]
        );
        let low = Request::with(b"abc", &[0; NONCE_BYTES]).unwrap();
        assert_eq!(low.nonce, [2, 1, 0]);
        assert_ne!(
            Request::of(b"abc").unwrap().nonce,
            Request::of(b"abc").unwrap().nonce
        );
    }
}

//! The signing key and its public half. Must never print the private key or sign anything but a checkpoint or a document of an approval or of a legal
//! hold: these begin with lines that the others can't begin with.
//!
//! The public half is C2SP signed-note's verifier key, one line: `name+hash+base64`. The name is
//! `provost/<gateway>`, so a public key says whose ledger it is for.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{SignatureError, Signer as _};
use signed_note::{StandardVerifier, Verifier as _};

use crate::error::Error;

/// What a key name begins with.
const NAME_PREFIX: &str = "provost/";

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not a PKCS#8 PEM of an Ed25519 private key.
    #[error(
        "evidence signing key is no Ed25519 private key in PKCS#8 PEM; make one with `openssl genpkey -algorithm ed25519`"
    )]
    NotPrivate,
    /// The private key can't be written as PEM.
    #[error("evidence signing key cannot be written as PEM")]
    NotEncodable,
    /// Not a verifier key of ours.
    #[error("public key is not of the form `provost/<gateway>+hash+base64`")]
    NotPublic,
    /// The store was begun with another key.
    #[error(
        "evidence of `{gateway}` is signed with another key; give that key, or the gateway a new name"
    )]
    Other {
        /// The gateway.
        gateway: String,
    },
}

impl Problem {
    pub(crate) fn into_error(self) -> Error {
        Error::Key { problem: self }
    }
}

/// An Ed25519 private key that signs checkpoints, and what becomes of approvals.
#[derive(Clone)]
pub struct SigningKey {
    inner: ed25519_dalek::SigningKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// Makes a key from the operating system's randomness.
    ///
    /// # Errors
    /// [`Error::Randomness`].
    pub fn generate() -> Result<SigningKey, Error> {
        Ok(SigningKey {
            inner: ed25519_dalek::SigningKey::from_bytes(&random()?),
        })
    }

    /// Reads a PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// [`Error::Key`] with [`Problem::NotPrivate`].
    ///
    /// # Source
    /// RFC 8410.
    pub fn from_pem(pem: &str) -> Result<SigningKey, Error> {
        match ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
            Ok(inner) => Ok(SigningKey { inner }),
            Err(_reason_may_quote_the_key) => Err(Problem::NotPrivate.into_error()),
        }
    }

    /// Writes the key as PKCS#8 PEM, to be stored where only the gateway can read it.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn to_pem(&self) -> Result<String, Error> {
        let pem = self
            .inner
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| Problem::NotEncodable.into_error())?;
        Ok(pem.as_str().to_owned())
    }

    /// The public half, for the ledger of `gateway`.
    pub fn public(&self, gateway: &str) -> PublicKey {
        let name = format!("{NAME_PREFIX}{gateway}");
        let text = signed_note::new_ed25519_verifier_key(&name, &self.inner.verifying_key());
        PublicKey {
            gateway: gateway.to_owned(),
            text,
        }
    }

    pub(crate) fn signer(&self, gateway: &str) -> NoteSigner<'_> {
        self.signer_as(&format!("{NAME_PREFIX}{gateway}"))
    }

    /// Signs under any name.
    pub(crate) fn signer_as(&self, name: &str) -> NoteSigner<'_> {
        let mut encoded = vec![1_u8]; // the note format's number for Ed25519
        encoded.extend_from_slice(self.inner.verifying_key().as_bytes());
        NoteSigner {
            id: signed_note::key_id(name, &encoded),
            name: name.to_owned(),
            key: &self.inner,
        }
    }

    /// The verifier key under any name: `name+hash+base64`.
    pub(crate) fn verifier_key(&self, name: &str) -> String {
        signed_note::new_ed25519_verifier_key(name, &self.inner.verifying_key())
    }
}

/// Signs notes in the name of one gateway.
pub(crate) struct NoteSigner<'a> {
    name: String,
    id: u32,
    key: &'a ed25519_dalek::SigningKey,
}

impl signed_note::Signer for NoteSigner<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.key.try_sign(message)?.to_vec())
    }
}

/// The public half of a signing key, bound to the gateway whose ledger it verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    gateway: String,
    text: String,
}

impl PublicKey {
    /// Reads the one-line text, surrounding white space ignored.
    ///
    /// # Errors
    /// [`Error::Key`] with [`Problem::NotPublic`].
    ///
    /// # Source
    /// C2SP signed-note, "Verifier keys".
    pub fn parse(text: &str) -> Result<PublicKey, Error> {
        let text = text.trim();
        let verifier = StandardVerifier::new(text).map_err(|_| Problem::NotPublic.into_error())?;
        let gateway = verifier
            .name()
            .strip_prefix(NAME_PREFIX)
            .ok_or_else(|| Problem::NotPublic.into_error())?;
        crate::log::check_gateway_name(gateway)?;
        Ok(PublicKey {
            gateway: gateway.to_owned(),
            text: text.to_owned(),
        })
    }

    /// The one-line text: `name+hash+base64`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The content of a public key file: the text and a line feed.
    pub fn file(&self) -> String {
        format!("{}\n", self.text)
    }

    /// The gateway whose ledger this key verifies.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// The checkpoint's origin line, which is also the key's name.
    pub(crate) fn origin(&self) -> String {
        format!("{NAME_PREFIX}{}", self.gateway)
    }

    pub(crate) fn verifier(&self) -> Result<StandardVerifier, Error> {
        StandardVerifier::new(&self.text).map_err(|_| Problem::NotPublic.into_error())
    }
}

/// 32 bytes that nobody can guess.
pub(crate) fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|source| Error::Randomness { source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_pem_and_text() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(key.public("g").text(), again.public("g").text());
        let public = PublicKey::parse(&key.public("g").file()).unwrap();
        assert_eq!(
            (public.gateway(), public.text()),
            ("g", key.public("g").text())
        );
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    #[test]
    fn openssl_keys_are_read() {
        // RFC 8410, section 10.3: the same key as in its examples, version 1 encoding.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        assert!(SigningKey::from_pem(pem).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = SigningKey::generate().unwrap();
        let text = key.public("g").text().to_owned();
        for bad in [
            "",
            "g+00000000+AA==",
            &text.replace("provost/g", "provost/h"),
            &text.replace("provost/", "other/"),
        ] {
            assert!(PublicKey::parse(bad).is_err(), "{bad}");
        }
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(SigningKey::from_pem(bad).is_err(), "{bad}");
        }
    }
}

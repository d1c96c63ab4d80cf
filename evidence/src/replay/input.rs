//! What a statement was asked with, encrypted: its text, its values, and what its decision rested on (ruling 11: evidence holds no raw
//! values). AES-256-GCM with a random nonce each; the statement's id is authenticated with it, so that no input passes for another's.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::approvals::Rows;
use crate::error::Error;
use crate::record::Micros;

/// The shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 32;
/// What the key is derived from the secret by.
const DERIVATION: &[u8] = b"provost replay v1";

/// What a statement was asked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its exact text.
    pub text: String,
    /// Types that its Parse declared.
    pub parameter_types: Vec<u32>,
    /// The Bind's body from the format codes to the last value, base64; absent where no values came.
    pub parameters: Option<String>,
    /// The values were too many bytes to be kept.
    pub lacks_parameters: bool,
    /// The session, principal with groups and claims included, as the gateway knows it.
    pub session: serde_json::Value,
    /// When it was decided.
    pub decided_at: Micros,
    /// The schemas in effect, in order.
    pub search_path: Vec<String>,
    /// Whether a transaction was open.
    pub in_transaction: bool,
    /// The version of the catalog that it was analysed by, 16 hex digits.
    pub catalog_version: String,
    /// Why its statements must run, as the session states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_reason: Option<String>,
    /// How many rows the server's planner expected, where a rule asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_rows: Option<Rows>,
}

impl Input {
    /// The Bind's body; `None` where no values came, or it isn't base64.
    #[must_use]
    pub fn parameters(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.parameters.as_ref()?).ok()
    }

    /// A Bind's body as it is kept.
    #[must_use]
    pub fn encode(parameters: &[u8]) -> String {
        STANDARD.encode(parameters)
    }
}

/// A key that inputs are encrypted with.
pub struct ReplayKey {
    id: String,
    key: LessSafeKey,
}

impl fmt::Debug for ReplayKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ReplayKey({})", self.id)
    }
}

/// A secret is too short, or no key can be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("needs at least {SECRET_BYTES_MIN} bytes, such as `openssl rand -hex 32` gives")]
pub struct UnfitSecret;

impl ReplayKey {
    /// The key that is derived from `secret`, by the name that evidence calls it.
    ///
    /// # Errors
    /// [`UnfitSecret`].
    pub fn new(id: &str, secret: &[u8]) -> Result<Self, UnfitSecret> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(UnfitSecret);
        }
        let mut derived = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| UnfitSecret)?;
        derived.update(DERIVATION);
        let bytes = derived.finalize().into_bytes();
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| UnfitSecret)?;
        Ok(Self {
            id: id.to_owned(),
            key: LessSafeKey::new(key),
        })
    }

    /// What evidence calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// An input, encrypted for the statement: base64 of nonce, ciphertext and tag.
    ///
    /// # Errors
    /// [`Error::Randomness`], [`Error::Encode`].
    pub fn seal(&self, statement_id: &str, input: &Input) -> Result<String, Error> {
        // Random nonces: 2^32 inputs under one key are few enough for them to differ (NIST SP 800-38D, 8.3).
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|source| Error::Randomness { source })?;
        let mut bytes = serde_json::to_vec(input).map_err(|source| Error::Encode { source })?;
        let sealed = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(statement_id.as_bytes()),
            &mut bytes,
        );
        sealed.map_err(|_| Error::Encode {
            source: serde::ser::Error::custom("an input is too large to be encrypted"),
        })?;
        Ok(STANDARD.encode([&nonce[..], &bytes].concat()))
    }

    /// What was encrypted for the statement; `None` where this key didn't, or anything was changed.
    #[must_use]
    pub fn open(&self, statement_id: &str, sealed: &str) -> Option<Input> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut rest = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(statement_id.as_bytes());
        let plain = self.key.open_in_place(nonce, aad, &mut rest).ok()?;
        serde_json::from_slice(plain).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> Input {
        Input {
            text: "SELECT 'secret'".to_owned(),
            parameter_types: vec![25],
            parameters: Some(Input::encode(b"\0\0")),
            lacks_parameters: false,
            session: serde_json::json!({"principal": "ann"}),
            decided_at: Micros(7),
            search_path: vec!["public".to_owned()],
            in_transaction: true,
            catalog_version: "00".to_owned(),
            stated_reason: Some("INC-1: the shop is down".to_owned()),
            estimated_rows: Some(Rows::Count(7)),
        }
    }

    #[test]
    fn only_the_key_opens_it_and_only_for_its_statement() {
        let key = ReplayKey::new("one", &[7; 32]).unwrap();
        let other = ReplayKey::new("one", &[8; 32]).unwrap();
        let sealed = key.seal("s-1", &input()).unwrap();
        assert_eq!(key.open("s-1", &sealed), Some(input()));
        assert_eq!(key.open("s-2", &sealed), None);
        assert_eq!(other.open("s-1", &sealed), None);
        assert_ne!(key.seal("s-1", &input()).unwrap(), sealed);
        let bytes = STANDARD.decode(&sealed).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(key.open("s-1", &STANDARD.encode(changed)), None, "{place}");
            let cut = STANDARD.encode(&bytes[..place]);
            assert_eq!(key.open("s-1", &cut), None, "cut at {place}");
        }
        assert_eq!(ReplayKey::new("x", &[0; 31]).unwrap_err(), UnfitSecret);
    }
}

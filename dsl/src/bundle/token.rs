//! `.signatures.json` and the one JWT in it: which files a bundle has, and what their hashes are.
//!
//! It must never let the token choose how it is checked: the algorithm is the trusted key's.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    archive::{Name, SIGNATURES},
    error::{Error, TokenFault},
    key::{Algorithm, SigningKey, TrustedKey},
};

/// The only hash accepted: what OPA's tools write.
const HASH: &str = "SHA-256";
/// What OPA calls the signatures that are no plugin's.
const NO_PLUGIN: &str = "_default";

/// A file's SHA-256.
pub(super) type Hash = [u8; 32];

#[derive(Serialize, Deserialize)]
struct Signatures {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
    #[serde(default)]
    signatures: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct TokenHeader {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    files: Vec<FileHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct FileHash {
    name: String,
    hash: String,
    #[serde(default)]
    algorithm: String,
}

/// A token taken apart; nothing in it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// The signed part.
    message: String,
    /// The signature, base64url.
    signature: String,
    /// As in the header.
    pub(super) algorithm: String,
    /// The key it says it is of, as in the header or, in older ones, the payload.
    pub(super) claimed: String,
    /// The purpose it was made for.
    scope: String,
    payload: Vec<u8>,
}

/// Writes `.signatures.json`.
///
/// # Errors
/// [`Error::Key`], [`Error::Json`].
pub(super) fn write(hashes: &BTreeMap<Name, Hash>, key: &SigningKey) -> Result<Vec<u8>, Error> {
    let id = key.id()?.as_str().to_owned();
    let header = TokenHeader {
        alg: Algorithm::EdDsa.name().to_owned(),
        kid: Some(id.clone()),
        typ: Some("JWT".to_owned()),
        crit: None,
    };
    let payload = Payload {
        files: hashes
            .iter()
            .map(|(name, hash)| FileHash {
                name: name.to_string(),
                hash: super::contents::hex(hash),
                algorithm: HASH.to_owned(),
            })
            .collect(),
        keyid: Some(id),
        scope: None,
    };
    let message = format!("{}.{}", encode(&header)?, encode(&payload)?);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    let signatures = Signatures {
        plugin: None,
        signatures: vec![format!("{message}.{signature}")],
    };
    serde_json::to_vec(&signatures).map_err(failed)
}

fn encode(part: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_vec(part).map_err(failed)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

fn failed(source: serde_json::Error) -> Error {
    Error::Json {
        name: SIGNATURES.to_owned(),
        source,
    }
}

/// Unpadded base64url, in its one form.
pub(super) fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

impl Token {
    /// Reads the one token of `.signatures.json`.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Plugin`], [`Error::Signatures`], [`Error::Token`].
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let read: Signatures = serde_json::from_slice(bytes).map_err(failed)?;
        if let Some(plugin) = read
            .plugin
            .filter(|name| !name.is_empty() && name != NO_PLUGIN)
        {
            return Err(Error::Plugin { plugin });
        }
        match read.signatures.as_slice() {
            [token] => Ok(Self::parse(token).ok_or(TokenFault::Malformed)??),
            other => Err(Error::Signatures { count: other.len() }),
        }
    }

    /// `None`: not a JWT at all.
    fn parse(token: &str) -> Option<Result<Self, TokenFault>> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let header: TokenHeader = serde_json::from_slice(&decode(header)?).ok()?;
        let payload = decode(payload)?;
        let claims: Payload = serde_json::from_slice(&payload).ok()?;
        if header.crit.is_some() {
            return Some(Err(TokenFault::Critical));
        }
        Some(Ok(Self {
            message: message.to_owned(),
            signature: signature.to_owned(),
            algorithm: header.alg,
            claimed: header.kid.or(claims.keyid).unwrap_or_default(),
            scope: claims.scope.unwrap_or_default(),
            payload,
        }))
    }

    /// The trusted key that made it. A key that the token names is the only one asked; where it names none of them (OPA's
    /// tools let the signer choose the name), each is.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::Untrusted`].
    pub(super) fn signer<'a>(&self, trusted: &'a [TrustedKey]) -> Result<&'a TrustedKey, Error> {
        if !Algorithm::is_known(&self.algorithm) {
            let algorithm = self.algorithm.clone();
            return Err(TokenFault::Algorithm { algorithm }.into());
        }
        let named = trusted.iter().find(|key| key.id().as_str() == self.claimed);
        if let Some(key) = named.filter(|key| key.algorithm().name() != self.algorithm) {
            return Err(TokenFault::OtherAlgorithm {
                found: self.algorithm.clone(),
                expected: key.algorithm(),
                key: key.id().clone(),
            }
            .into());
        }
        let asked = named.map_or(trusted, std::slice::from_ref);
        // INVARIANT: only keys of the header's algorithm are asked, each by its own algorithm.
        let signer = asked
            .iter()
            .filter(|key| key.algorithm().name() == self.algorithm)
            .find(|key| key.has_signed(self.message.as_bytes(), &self.signature));
        let signer = signer.ok_or_else(|| Error::Untrusted {
            claimed: self.claimed.clone(),
            trusted: trusted.iter().map(|key| key.id().clone()).collect(),
        })?;
        if !self.scope.is_empty() {
            let scope = self.scope.clone();
            return Err(TokenFault::Scope { scope }.into());
        }
        Ok(signer)
    }

    /// The files it lists and their hashes.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::Name`], [`Error::Foreign`].
    pub(super) fn hashes(&self) -> Result<BTreeMap<Name, Hash>, Error> {
        let claims: Payload =
            serde_json::from_slice(&self.payload).map_err(|_| TokenFault::Malformed)?;
        let mut hashes = BTreeMap::new();
        for file in claims.files {
            let name = Name::parse(file.name.as_bytes())?;
            let shown = name.to_string();
            if file.algorithm != HASH {
                let algorithm = file.algorithm;
                return Err(TokenFault::Hash {
                    name: shown,
                    algorithm,
                }
                .into());
            }
            let hash = unhex(&file.hash).ok_or(TokenFault::Malformed)?;
            if hashes.insert(name, hash).is_some() {
                return Err(TokenFault::Twice { name: shown }.into());
            }
        }
        Ok(hashes)
    }
}

/// 64 hex digits.
fn unhex(digits: &str) -> Option<Hash> {
    let digits = digits.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        // `from_str_radix` takes a sign too.
        if !pair.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(hash)
}

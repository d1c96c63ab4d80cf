//! The check of one token, pure: text, keys, settings and the time in; a principal or a refusal out.
//!
//! It must never read a claim as true before the signature over it is verified.
//!
//! # Source
//! RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best current practices), RFC 9068 (access tokens).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, crypto};
use provost_engine::principal::Principal;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    claims,
    error::{Error, Refused, shown},
    keys::{Found, KeySet},
    settings::{Algorithm, IssuerSettings},
};

/// The longest token, in bytes; a longer one is refused as malformed. Start-up messages are bounded far below PostgreSQL's own.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Times after this (year 9999) are refused as malformed, so that no sum below can overflow.
const UNIX_SECONDS_MAX: u64 = 253_402_300_799;

/// A token that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who it is.
    pub principal: Principal,
    /// When the session must end (`exp` plus the leeway, ruling 18).
    pub expires_at: SystemTime,
}

/// The header's members that matter; others are ignored, as RFC 7515, 4 asks.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// A token split into its parts, its header read and checked, nothing of it verified.
pub(crate) struct Unverified<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    key_id: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Splits a token and checks what its header asks for.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Malformed`], [`Error::AlgorithmNotAllowed`], [`Error::TokenType`].
    pub(crate) fn read(token: &'a str, settings: &IssuerSettings) -> Result<Self, Error> {
        if token.is_empty() {
            return Err(Error::Empty {
                issuer: settings.url.clone(),
            });
        }
        let malformed = |what| malformed(what, settings);
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed("it is too long"));
        }
        let (signed, signature) = token
            .rsplit_once('.')
            .ok_or_else(|| malformed("it has no three parts"))?;
        let (header, payload) = signed
            .split_once('.')
            .filter(|(_, payload)| !payload.contains('.'))
            .ok_or_else(|| malformed("it has no three parts"))?;
        let header: Header = decode(header).ok_or_else(|| malformed("its header is unreadable"))?;
        let algorithm = Algorithm::from_name(&header.alg)
            .filter(|algorithm| settings.algorithms.contains(algorithm))
            .ok_or_else(|| Error::AlgorithmNotAllowed {
                found: shown(&header.alg),
                allowed: names(&settings.algorithms),
            })?;
        if let Some(found) = header.typ.as_deref().filter(|typ| !is_identity(typ)) {
            return Err(Error::TokenType {
                found: shown(found),
            });
        }
        if header.crit.is_some() {
            return Err(malformed("it has critical header extensions"));
        }
        Ok(Self {
            signed,
            payload,
            signature,
            algorithm,
            key_id: header.kid,
        })
    }

    /// The key that may verify it.
    ///
    /// # Errors
    /// [`Error::UnknownKey`]; or [`Error::WrongIssuer`] where the token, unverified, says that another issuer made it,
    /// which helps whoever mixed two tokens up; [`Error::AlgorithmNotAllowed`] where the key is known but of another type.
    pub(crate) fn key<'k>(
        &self,
        keys: &'k KeySet,
        settings: &IssuerSettings,
    ) -> Result<&'k DecodingKey, Error> {
        if let Found::One(key) = keys.find(self.key_id.as_deref(), self.algorithm) {
            return Ok(key);
        }
        if let Some(key_id) = &self.key_id
            && keys.has_id(key_id)
        {
            return Err(Error::AlgorithmNotAllowed {
                found: self.algorithm.name().to_owned(),
                allowed: "what the key's type signs".to_owned(),
            });
        }
        let claims: Option<Map<String, Value>> = decode(self.payload);
        if let Some(found) = claims
            .as_ref()
            .and_then(|claims| claims.get("iss"))
            .and_then(Value::as_str)
            && found != settings.url
        {
            return Err(Error::WrongIssuer {
                found: shown(found),
                expected: settings.url.clone(),
            });
        }
        Err(Error::UnknownKey {
            key_id: self.key_id.clone(),
            issuer: settings.url.clone(),
        })
    }

    /// Verifies the signature, then the claims.
    ///
    /// # Errors
    /// Every case of [`Error`] that speaks of a token; the principal is in [`Refused`] where signature and issuer are right.
    pub(crate) fn verify(
        &self,
        key: &DecodingKey,
        settings: &IssuerSettings,
        now: SystemTime,
    ) -> Result<Verified, Refused> {
        let genuine = crypto::verify(
            self.signature,
            self.signed.as_bytes(),
            key,
            self.algorithm.to_library(),
        )
        .map_err(|_| malformed("its signature is unreadable", settings))?;
        if !genuine {
            return Err(Refused::from(Error::BadSignature {
                issuer: settings.url.clone(),
            }));
        }
        let claims: Map<String, Value> =
            decode(self.payload).ok_or_else(|| malformed("its claims are unreadable", settings))?;
        check_issuer(&claims, settings)?;
        let principal = claims::principal(&claims, settings);
        match check_audience(&claims, settings).and_then(|()| check_times(&claims, settings, now)) {
            Ok(expires_at) => Ok(Verified {
                principal: principal?,
                expires_at,
            }),
            Err(error) => Err(Refused {
                error,
                principal: principal.ok().map(Box::new),
            }),
        }
    }
}

/// Checks a token against keys at a time.
///
/// # Errors
/// As [`Unverified::read`], [`Unverified::key`] and [`Unverified::verify`].
#[cfg(test)]
pub(crate) fn verify(
    token: &str,
    keys: &KeySet,
    settings: &IssuerSettings,
    now: SystemTime,
) -> Result<Verified, Refused> {
    let unverified = Unverified::read(token, settings)?;
    let key: &DecodingKey = unverified.key(keys, settings)?;
    unverified.verify(key, settings, now)
}

fn malformed(what: &'static str, settings: &IssuerSettings) -> Error {
    Error::Malformed {
        what,
        issuer: settings.url.clone(),
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}

fn names(algorithms: &[Algorithm]) -> String {
    let names: Vec<&str> = algorithms
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    names.join(", ")
}

/// `JWT` and `at+jwt`, with or without the media type's prefix; anything else is a token for another purpose (RFC 8725, 3.11).
fn is_identity(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(
        typ.strip_prefix("application/").unwrap_or(&typ),
        "jwt" | "at+jwt"
    )
}

fn check_issuer(claims: &Map<String, Value>, settings: &IssuerSettings) -> Result<(), Error> {
    match claims.get("iss") {
        None => Err(missing("iss")),
        Some(Value::String(found)) if *found == settings.url => Ok(()),
        Some(Value::String(found)) => Err(Error::WrongIssuer {
            found: shown(found),
            expected: settings.url.clone(),
        }),
        Some(_) => Err(invalid("iss", "is not text")),
    }
}

fn check_audience(claims: &Map<String, Value>, settings: &IssuerSettings) -> Result<(), Error> {
    let found: Vec<&str> = match claims.get("aud") {
        None => return Err(missing("aud")),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several
            .iter()
            .map(Value::as_str)
            .collect::<Option<_>>()
            .ok_or_else(|| invalid("aud", "is not a list of texts"))?,
        Some(_) => return Err(invalid("aud", "is neither a text nor a list")),
    };
    if found
        .iter()
        .any(|found| settings.audiences.iter().any(|expected| expected == found))
    {
        return Ok(());
    }
    Err(Error::WrongAudience {
        found: shown(&found.join(", ")),
        expected: settings.audiences.join("` or `"),
    })
}

/// `exp` must be there and ahead, `nbf` and `iat` behind where they are there; all within the leeway.
fn check_times(
    claims: &Map<String, Value>,
    settings: &IssuerSettings,
    now: SystemTime,
) -> Result<SystemTime, Error> {
    let leeway = settings
        .leeway_seconds
        .min(IssuerSettings::LEEWAY_SECONDS_MAX);
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let expires = seconds(claims, "exp")?.ok_or_else(|| missing("exp"))? + leeway;
    if now >= expires {
        return Err(Error::Expired {
            seconds: now - expires + leeway,
            issuer: settings.url.clone(),
        });
    }
    for claim in ["nbf", "iat"] {
        if let Some(from) = seconds(claims, claim)?
            && from > now + leeway
        {
            return Err(Error::NotYetValid {
                seconds: from - now,
                claim,
            });
        }
    }
    Ok(UNIX_EPOCH + Duration::from_secs(expires))
}

/// A NumericDate (RFC 7519, 2): seconds since 1970, fractions allowed and dropped.
fn seconds(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<u64>, Error> {
    let Some(value) = claims.get(claim) else {
        return Ok(None);
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the range was just checked; the fraction is dropped on purpose"
    )]
    let fractional = || {
        value
            .as_f64()
            .filter(|seconds| (0.0..=UNIX_SECONDS_MAX as f64).contains(seconds))
            .map(|seconds| seconds as u64)
    };
    value
        .as_u64()
        .or_else(fractional)
        .filter(|seconds| *seconds <= UNIX_SECONDS_MAX)
        .map(Some)
        .ok_or_else(|| invalid(claim, "is not a time"))
}

fn missing(claim: &str) -> Error {
    Error::MissingClaim {
        claim: claim.to_owned(),
    }
}

fn invalid(claim: &str, what: &'static str) -> Error {
    Error::InvalidClaim {
        claim: claim.to_owned(),
        what,
    }
}

/// Who a token's claims say it is, for tests of other rooms.
#[cfg(test)]
pub(crate) fn principal_of(
    claims: &Map<String, Value>,
    settings: &IssuerSettings,
) -> Result<Principal, Error> {
    claims::principal(claims, settings)
}

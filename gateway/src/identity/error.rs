//! Why a token, or an issuer, was refused. The texts are for the client and the operator; a token never shows in them.

use openidconnect::reqwest;
use provost_engine::principal::Principal;

/// Characters of a token's own text (an issuer, a key id) that an error shows; the rest is cut.
const SHOWN_CHARS_MAX: usize = 120;

/// Why a document of the issuer could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Connecting, TLS, a time-out.
    #[error("{}", innermost(.0))]
    Http(#[source] reqwest::Error),
    /// Another status than 200.
    #[error("it answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The document is too large.
    #[error("its answer is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The document is not what it should be.
    #[error("its answer is not valid: {0}")]
    Json(#[source] serde_json::Error),
    /// The key set holds no key that can verify a token.
    #[error("it publishes no key that can verify an allowed algorithm")]
    NoKeys,
}

/// Why an issuer can't be used, or a token not be accepted. Messages are one line and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The issuer's URL is no URL, or neither `https` nor loopback.
    #[error("issuer `{url}` must be an https URL (http only on loopback)")]
    IssuerUrl {
        /// As configured.
        url: String,
    },
    /// The extra certificate authority is not PEM.
    #[error("the issuer's extra certificate authority is not a PEM certificate")]
    ExtraCa(#[source] reqwest::Error),
    /// The HTTP client could not be made.
    #[error("could not make an HTTP client for the issuer")]
    Client(#[source] reqwest::Error),
    /// A document could not be fetched at start.
    #[error(
        "could not read `{url}`: {source}; check `issuer.url` and that the issuer is reachable from here"
    )]
    Unreachable {
        /// The document's URL.
        url: String,
        /// Why.
        source: FetchError,
    },
    /// The discovery document speaks of another issuer.
    #[error(
        "the issuer at `{expected}` calls itself `{found}`: put exactly that into `issuer.url` if it is the one you trust"
    )]
    IssuerMismatch {
        /// As configured.
        expected: String,
        /// As discovered.
        found: String,
    },
    /// The issuer has been unreachable for so long that its keys can't be trusted any more.
    #[error(
        "the issuer's keys could not be refreshed for {hours} hours, so no login can be checked: tell the gateway's operator"
    )]
    KeysStale {
        /// How long.
        hours: u64,
    },
    /// The password is empty.
    #[error("no token: give an access token of `{issuer}` as the password")]
    Empty {
        /// The issuer.
        issuer: String,
    },
    /// The password is no token.
    #[error(
        "the password is not a valid token ({what}): give an access token of `{issuer}` as the password"
    )]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// The issuer.
        issuer: String,
    },
    /// The token is of a type that is no proof of identity.
    #[error("a token of type `{found}` is not accepted: ask the issuer for an access token")]
    TokenType {
        /// The `typ` header.
        found: String,
    },
    /// The token's algorithm is not in the list of allowed ones.
    #[error("tokens signed with `{found}` are not accepted (allowed: {allowed})")]
    AlgorithmNotAllowed {
        /// The `alg` header.
        found: String,
        /// The configured names.
        allowed: String,
    },
    /// The issuer publishes no such key.
    #[error(
        "the token was signed with a key that `{issuer}` does not publish{}: get a new token",
        key_note(.key_id.as_deref())
    )]
    UnknownKey {
        /// The `kid` header.
        key_id: Option<String>,
        /// The issuer.
        issuer: String,
    },
    /// The signature is wrong.
    #[error("the token's signature is wrong: get a new token from `{issuer}`")]
    BadSignature {
        /// The issuer.
        issuer: String,
    },
    /// Another issuer made it.
    #[error(
        "the token is from issuer `{found}`, this gateway trusts `{expected}`: get a token there"
    )]
    WrongIssuer {
        /// The `iss` claim.
        found: String,
        /// The configured one.
        expected: String,
    },
    /// It is for somebody else.
    #[error(
        "the token is for `{found}`, not for `{expected}`: ask the issuer for a token with that audience"
    )]
    WrongAudience {
        /// The `aud` claim.
        found: String,
        /// The configured ones.
        expected: String,
    },
    /// It has expired.
    #[error("the token expired {seconds} s ago: get a new one from `{issuer}`")]
    Expired {
        /// How long ago.
        seconds: u64,
        /// The issuer.
        issuer: String,
    },
    /// It isn't valid yet.
    #[error(
        "the token is not valid yet (claim `{claim}` is {seconds} s ahead): wait, or check the clocks of issuer and gateway"
    )]
    NotYetValid {
        /// How long from now.
        seconds: u64,
        /// `nbf` or `iat`.
        claim: &'static str,
    },
    /// A claim that must be there isn't.
    #[error("the token has no claim `{claim}`: ask the issuer's administrator to add it")]
    MissingClaim {
        /// Its name.
        claim: String,
    },
    /// A claim has another shape than it must have, or passes a limit.
    #[error("the token's claim `{claim}` {what}: ask the issuer's administrator")]
    InvalidClaim {
        /// Its name.
        claim: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl Error {
    /// The SQLSTATE a client is told: 28P01 where the password proves nothing, 28000 where a genuine token isn't enough.
    #[must_use]
    pub const fn sqlstate(&self) -> &'static str {
        match self {
            Self::Empty { .. }
            | Self::Malformed { .. }
            | Self::TokenType { .. }
            | Self::AlgorithmNotAllowed { .. }
            | Self::UnknownKey { .. }
            | Self::BadSignature { .. } => "28P01",
            Self::IssuerUrl { .. }
            | Self::ExtraCa(_)
            | Self::Client(_)
            | Self::Unreachable { .. }
            | Self::IssuerMismatch { .. }
            | Self::KeysStale { .. }
            | Self::WrongIssuer { .. }
            | Self::WrongAudience { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::MissingClaim { .. }
            | Self::InvalidClaim { .. } => "28000",
        }
    }

    /// The line a client is told; for this enum the same as its `Display`, which names no internals.
    #[must_use]
    pub fn client_message(&self) -> String {
        self.to_string()
    }
}

/// A refused token: why, and whose it is where the signature and the issuer were right.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// Why.
    #[source]
    pub error: Error,
    /// Who came with it; only ever from a token whose signature is right.
    pub principal: Option<Box<Principal>>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self {
            error,
            principal: None,
        }
    }
}

/// Text of a token made fit for one line of an error: no control characters, no more than a line.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARS_MAX)
        .map(|character| {
            if character.is_control() || character == '`' {
                '?'
            } else {
                character
            }
        })
        .collect();
    if text.chars().count() > SHOWN_CHARS_MAX {
        shown.push_str("...");
    }
    shown
}

fn key_note(key_id: Option<&str>) -> String {
    key_id.map_or_else(
        || " (it names no key)".to_owned(),
        |key_id| format!(" (key `{}`)", shown(key_id)),
    )
}

/// The last source of an error: reqwest's own text repeats the URL and hides the reason.
fn innermost(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    source.to_string()
}

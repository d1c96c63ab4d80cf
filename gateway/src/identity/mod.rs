//! Who a client is: JSON Web Tokens checked against an OpenID Connect issuer's discovery document and keys.
//!
//! ```text
//! Issuer::discover(settings) --keys--> Issuer::verify(token, now) --> Verified { principal, expires_at } | Refused
//! ```
//!
//! | room | holds |
//! |---|---|
//! | `settings` | which issuer, which audience, which claims say what |
//! | `keys` | the issuer's published keys, those that can verify |
//! | `token` | the pure check of one token: signature, times, audience |
//! | `claims` | claims to [`Principal`](provost_engine::principal::Principal) |
//! | `issuer` | discovery, the cache of keys, fetching them again |
//!
//! It must never take a word of a token for true before its signature is verified, never accept an algorithm that
//! the settings don't name or that doesn't belong to the key, and never show a token in an error or a log.

pub(crate) mod claims;
mod error;
pub(crate) mod issuer;
pub(crate) mod keys;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod token;

pub use error::{Error, FetchError, Refused};
pub use issuer::Issuer;
pub use settings::{Algorithm, ClaimRules, Delegation, IssuerSettings, KindRule};
pub use token::Verified;

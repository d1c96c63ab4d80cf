//! Why a bundle can't be made, read, trusted or loaded. Each message says what to do where we know it.

use std::io;

use thiserror::Error;

use super::{
    SEQUENCE_MAX,
    archive::{BUNDLE_BYTES_MAX, FILE_BYTES_MAX, FILES_MAX, NAME_BYTES_MAX, UNPACKED_BYTES_MAX},
    key::{Algorithm, KeyId},
};
use crate::load::LoadError;

/// Why a bundle can't be made, read, trusted or loaded.
#[derive(Debug, Error)]
pub enum Error {
    /// More compressed bytes than a bundle may have.
    #[error("the bundle is larger than {BUNDLE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not gzip, cut short, or damaged.
    #[error("the bundle is no complete gzip file: {source}")]
    Gzip {
        /// What the reader says.
        source: io::Error,
    },
    /// It unpacks to more than a bundle may hold.
    #[error("the bundle unpacks to more than {UNPACKED_BYTES_MAX} bytes")]
    Bomb,
    /// Not a tar archive, cut short, or damaged.
    #[error("the bundle is no complete tar archive: {source}")]
    Tar {
        /// What the reader says.
        source: io::Error,
    },
    /// Bytes that belong to nothing.
    #[error("the bundle has bytes after its end")]
    Trailing,
    /// More files than a bundle may have.
    #[error("the bundle has more than {FILES_MAX} files and folders")]
    TooManyFiles,
    /// A file is larger than it may be.
    #[error("`{name}` is larger than {FILE_BYTES_MAX} bytes (policy files: 1 MiB)")]
    FileTooLarge {
        /// The file.
        name: String,
    },
    /// A link, a device, an extension.
    #[error(
        "`{name}` is a tar entry of type `{kind}`: only plain files and folders may be in a bundle"
    )]
    EntryKind {
        /// The entry.
        name: String,
        /// The type's letter, as tar has it.
        kind: char,
    },
    /// A name that no file of a bundle may have.
    #[error("`{name}` is no name for a file of a bundle: it {fault}")]
    Name {
        /// As found, made printable.
        name: String,
        /// What is wrong.
        fault: NameFault,
    },
    /// Two files of one name.
    #[error("`{name}` is in the bundle twice")]
    Twice {
        /// The file.
        name: String,
    },
    /// A file of a kind that we would have to ignore.
    #[error(
        "`{name}` is no part of a policy: a bundle holds `.manifest`, `.signatures.json`, `*.pol`, `*.rego` and `data.json`"
    )]
    Foreign {
        /// The file.
        name: String,
    },
    /// A policy file that is not text.
    #[error("`{name}` is not UTF-8 text")]
    NotUtf8 {
        /// The file.
        name: String,
    },
    /// A JSON file that is not JSON, or not in a way that has one meaning.
    #[error("`{name}` is not plain JSON: {source}")]
    Json {
        /// The file.
        name: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No `.manifest`.
    #[error("the bundle has no `.manifest`")]
    NoManifest,
    /// A manifest that OPA's tools wrote, without our terms.
    #[error(
        "the manifest has no `provost` metadata: there is no sequence to order bundles by; build it with `provost bundle build`"
    )]
    NoTerms,
    /// A sequence that can't be.
    #[error("sequence {sequence} is out of range: give 1 to {SEQUENCE_MAX}")]
    Sequence {
        /// As given.
        sequence: u64,
    },
    /// A part of OPA's manifest that we would have to ignore.
    #[error("the manifest asks for {what}, which is not supported")]
    ManifestPart {
        /// What it asks for.
        what: &'static str,
    },
    /// No signature.
    #[error("the bundle is not signed: sign it with `provost bundle sign`")]
    Unsigned,
    /// More or fewer signatures than one.
    #[error("the bundle has {count} signatures, exactly one is expected")]
    Signatures {
        /// How many.
        count: usize,
    },
    /// Signatures in a form of somebody else's.
    #[error("the bundle is signed by plugin `{plugin}`, which is not supported")]
    Plugin {
        /// Its name.
        plugin: String,
    },
    /// The JWT can't be read.
    #[error("the bundle's signature can't be used: {fault}")]
    Token {
        /// What is wrong.
        fault: TokenFault,
    },
    /// No trusted key made the signature.
    #[error(
        "no trusted key made the bundle's signature (it names key `{claimed}`; trusted: {})",
        ids(trusted)
    )]
    Untrusted {
        /// The key that the token says it is of.
        claimed: String,
        /// The keys that are trusted.
        trusted: Vec<KeyId>,
    },
    /// A file that the signature does not list.
    #[error("`{name}` is in the bundle and not in its signature")]
    NotSigned {
        /// The file.
        name: String,
    },
    /// A file that the signature lists.
    #[error("`{name}` is in the bundle's signature and not in the bundle")]
    Missing {
        /// The file.
        name: String,
    },
    /// The content is not what was signed.
    #[error("`{name}` is not what was signed")]
    Changed {
        /// The file.
        name: String,
    },
    /// It is too late.
    #[error("the bundle expired at {at}; build and sign a newer one")]
    Expired {
        /// When, in UTC.
        at: jiff::Timestamp,
    },
    /// Written for a newer version.
    #[error("the bundle is written in language version {needed}, this version reads up to {known}")]
    Language {
        /// What it needs.
        needed: u32,
        /// What we know.
        known: u32,
    },
    /// It needs something that is not there.
    #[error("the bundle needs `{feature}`, which this version does not have")]
    Feature {
        /// Its name.
        feature: String,
    },
    /// It would have to be recorded only, and would be enforced.
    #[error(
        "the bundle is marked `observe`, which this version can't do: build it without `--observe`"
    )]
    Observe,
    /// Its policy set can't be used.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// An older bundle than was accepted before.
    #[error(
        "sequence {sequence} is older than {highest}, which was accepted before: a downgrade is refused"
    )]
    Downgrade {
        /// The bundle's.
        sequence: u64,
        /// The highest accepted.
        highest: u64,
    },
    /// Two bundles of one sequence.
    #[error(
        "sequence {sequence} was accepted before with other content: give every bundle a sequence of its own"
    )]
    Reused {
        /// The sequence.
        sequence: u64,
    },
    /// An older bundle than the configuration wants.
    #[error("sequence {sequence} is below the configured minimum of {minimum}")]
    BelowMinimum {
        /// The bundle's.
        sequence: u64,
        /// The least.
        minimum: u64,
    },
    /// A key can't be used.
    #[error("the key can't be used: {fault}")]
    Key {
        /// What is wrong.
        fault: KeyFault,
    },
}

/// What is wrong with a file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameFault {
    /// Not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// Longer than a name may be.
    #[error("is longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// Steps out, stands still, or has an empty step.
    #[error("has an empty step, `.` or `..`")]
    Step,
    /// Hidden files are nobody's policy.
    #[error("has a step that begins with a dot")]
    Hidden,
    /// Backslashes, control characters.
    #[error("has a backslash or a control character")]
    Character,
    /// The archive has no place for it.
    #[error("can't be written to the archive")]
    Unwritable,
}

/// What is wrong with a JWT.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenFault {
    /// Not three parts of unpadded base64url, or not JSON in them.
    #[error("it is not a JWT")]
    Malformed,
    /// An algorithm that is never accepted.
    #[error(
        "its algorithm is `{algorithm}`; accepted are EdDSA, ES256 and RS256, as the trusted key is"
    )]
    Algorithm {
        /// As in the header.
        algorithm: String,
    },
    /// Another algorithm than the key's.
    #[error("its algorithm is `{found}`, trusted key `{key}` is for {expected}")]
    OtherAlgorithm {
        /// As in the header.
        found: String,
        /// The key's.
        expected: Algorithm,
        /// The key.
        key: KeyId,
    },
    /// Critical extensions that we don't know.
    #[error("its header has critical extensions")]
    Critical,
    /// Made for another purpose.
    #[error("it is for scope `{scope}`, and none is expected")]
    Scope {
        /// As in the payload.
        scope: String,
    },
    /// Another hash than SHA-256.
    #[error("it hashes `{name}` by `{algorithm}`; only SHA-256 is accepted")]
    Hash {
        /// The file.
        name: String,
        /// As in the payload.
        algorithm: String,
    },
    /// A file listed twice.
    #[error("it lists `{name}` twice")]
    Twice {
        /// The file.
        name: String,
    },
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// Not the PEM of a private key for signing.
    #[error("it is no Ed25519 private key in PKCS#8 PEM; make one with `provost bundle keygen`")]
    NotPrivate,
    /// Not the PEM of a public key.
    #[error(
        "it is no public key in PEM (`-----BEGIN PUBLIC KEY-----`); `provost bundle keygen` makes one beside the private key"
    )]
    NotPublic,
    /// A kind of key that is not accepted.
    #[error("it is neither Ed25519, nor ECDSA P-256, nor RSA of 2048 to 8192 bits")]
    Kind,
    /// No randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
    /// It could not be written as PEM.
    #[error("it could not be written as PEM")]
    NotEncodable,
}

impl From<TokenFault> for Error {
    fn from(fault: TokenFault) -> Self {
        Self::Token { fault }
    }
}

impl From<KeyFault> for Error {
    fn from(fault: KeyFault) -> Self {
        Self::Key { fault }
    }
}

fn ids(keys: &[KeyId]) -> String {
    if keys.is_empty() {
        return "none".to_owned();
    }
    let ids: Vec<&str> = keys.iter().map(KeyId::as_str).collect();
    ids.join(", ")
}

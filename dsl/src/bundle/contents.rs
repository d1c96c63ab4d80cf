//! A bundle taken apart: files, their hashes, what it says of itself. Nothing in it is trusted: `provost bundle inspect` shows it.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, sync::Arc};

use provost_engine::verdict::BundleDigest;
use sha2::{Digest as _, Sha256};

use super::{
    archive::{self, Files, Kind, MANIFEST, Name, SIGNATURES},
    canonical::canonical,
    error::Error,
    manifest::Manifest,
    token::{Hash, Token},
};
use crate::compile::Source;

/// A bundle's files, each hashed; not verified.
#[derive(Debug)]
pub struct Contents {
    manifest: Manifest,
    files: Files,
    hashes: BTreeMap<Name, Hash>,
    digest: BundleDigest,
}

/// What a signature says of itself, unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The key that it names; empty where it names none.
    pub key: String,
    /// The algorithm.
    pub algorithm: String,
}

impl Contents {
    /// Takes a bundle apart.
    ///
    /// # Errors
    /// [`Error`], for the first thing that a bundle may not have.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        Self::of(archive::read(bytes)?)
    }

    /// The same from files.
    pub(super) fn of(files: Files) -> Result<Self, Error> {
        let manifest = files.get(MANIFEST).ok_or(Error::NoManifest)?;
        let hashes = files
            .iter()
            .filter(|(name, _)| name.kind() != Some(Kind::Signatures))
            .map(|(name, bytes)| Ok((name.clone(), hash(name, bytes)?)))
            .collect::<Result<BTreeMap<_, _>, Error>>()?;
        Ok(Self {
            manifest: Manifest::parse(manifest)?,
            digest: digest(&hashes),
            hashes,
            files,
        })
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Names its content: equal content has equal digests, however it was packed.
    #[must_use]
    pub fn digest(&self) -> &BundleDigest {
        &self.digest
    }

    /// Its files but for the signature: name, size in bytes and SHA-256 in hex (of a JSON file: of its canonical form).
    pub fn files(&self) -> impl Iterator<Item = (&Name, usize, String)> {
        self.hashes.iter().map(|(name, hash)| {
            let size = self.files.get(name).map_or(0, Vec::len);
            (name, size, hex(hash))
        })
    }

    /// What its signature says of itself; `None` without one.
    ///
    /// # Errors
    /// [`Error`], where it can't be read.
    pub fn claim(&self) -> Result<Option<Claim>, Error> {
        let Some(token) = self.token()? else {
            return Ok(None);
        };
        Ok(Some(Claim {
            key: token.claimed,
            algorithm: token.algorithm,
        }))
    }

    pub(super) fn token(&self) -> Result<Option<Token>, Error> {
        self.files
            .get(SIGNATURES)
            .map(|bytes| Token::read(bytes))
            .transpose()
    }

    pub(super) fn hashes(&self) -> &BTreeMap<Name, Hash> {
        &self.hashes
    }

    pub(super) fn into_files(self) -> Files {
        self.files
    }

    /// Its policy files and modules.
    ///
    /// # Errors
    /// [`Error::NotUtf8`].
    pub(super) fn sources(&self) -> Result<Vec<Source>, Error> {
        self.of_kinds(&[Kind::Policy, Kind::Module])
            .map(|(name, bytes)| {
                let text = String::from_utf8(bytes.to_vec()).map_err(|_| Error::NotUtf8 {
                    name: name.to_string(),
                })?;
                Ok(Source {
                    path: PathBuf::from(name.as_str()),
                    text,
                })
            })
            .collect()
    }

    /// Its files of some kinds.
    pub(super) fn of_kinds(&self, kinds: &[Kind]) -> impl Iterator<Item = (&Name, &[u8])> {
        self.files
            .iter()
            .filter(|(name, _)| name.kind().is_some_and(|kind| kinds.contains(&kind)))
            .map(|(name, bytes)| (name, bytes.as_slice()))
    }
}

/// The SHA-256 of a file's bytes, or of a JSON file's canonical form.
fn hash(name: &Name, bytes: &[u8]) -> Result<Hash, Error> {
    if !name.is_structured() {
        return Ok(Sha256::digest(bytes).into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Error::NotUtf8 {
        name: name.to_string(),
    })?;
    let form = canonical(text).map_err(|source| Error::Json {
        name: name.to_string(),
        source,
    })?;
    Ok(Sha256::digest(form).into())
}

/// SHA-256 over a line `hash  name` for each file, sorted by name: what `sha256sum` prints, hashed.
fn digest(hashes: &BTreeMap<Name, Hash>) -> BundleDigest {
    let mut all = Sha256::new();
    for (name, hash) in hashes {
        all.update(format!("{}  {name}\n", hex(hash)));
    }
    BundleDigest(Arc::from(hex(&all.finalize())))
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(
        String::with_capacity(bytes.len() * 2),
        |mut digits, byte| {
            // Writing into a String can't fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        },
    )
}

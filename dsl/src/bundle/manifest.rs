//! `.manifest`: OPA's fields, and our terms under `metadata.provost`. A term that we don't know is refused, never passed over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{LANGUAGE_VERSION, SEQUENCE_MAX, archive::MANIFEST, error::Error};

/// The feature of a bundle that has Rego modules.
pub(super) const REGO: &str = "rego";
/// Features that a bundle may ask for.
const FEATURES: &[&str] = &[REGO];

/// A bundle's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the author calls this state of the policy: a git commit, a release. Free text.
    #[serde(default)]
    pub revision: String,
    /// Which part of OPA's document tree the bundle owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<Vec<String>>,
    /// The version of Rego that modules are written in; 1 is the only one accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego_version: Option<u32>,
    /// Versions of single modules; 1 is the only one accepted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub file_rego_versions: BTreeMap<String, u32>,
    /// OPA's WebAssembly modules: not supported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wasm: Vec<Value>,
    /// Everybody's own.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A manifest's metadata; other tools may keep theirs beside ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Ours; absent in a bundle that OPA's tools built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provost: Option<Terms>,
}

/// What we say about a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Orders the bundles of one gateway: a later one has a higher sequence.
    pub sequence: u64,
    /// When it was built, where the builder was told; never read from a clock, so that equal builds are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_at: Option<Timestamp>,
    /// From when on it must not be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether it decides and records without enforcing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
    /// The policy language's version.
    pub language: u32,
    /// The time-zone database that its author checked it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zones: Option<String>,
    /// What a gateway must have to load it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

impl Manifest {
    /// Reads `.manifest`.
    ///
    /// # Errors
    /// [`Error::Json`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|source| Error::Json {
            name: MANIFEST.to_owned(),
            source,
        })
    }

    /// Writes `.manifest`, for people too.
    ///
    /// # Errors
    /// [`Error::Json`].
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|source| Error::Json {
            name: MANIFEST.to_owned(),
            source,
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Our terms, whose sequence is in range.
    ///
    /// # Errors
    /// [`Error::NoTerms`], [`Error::Sequence`].
    pub fn terms(&self) -> Result<&Terms, Error> {
        let terms = self.metadata.provost.as_ref().ok_or(Error::NoTerms)?;
        check_sequence(terms.sequence)?;
        Ok(terms)
    }

    /// Refuses what this version would have to ignore.
    ///
    /// # Errors
    /// [`Error::ManifestPart`], [`Error::Language`], [`Error::Feature`], [`Error::Observe`].
    pub(super) fn check_supported(&self) -> Result<(), Error> {
        let unsupported = |what| Err(Error::ManifestPart { what });
        if !self.wasm.is_empty() {
            return unsupported("WebAssembly modules (`wasm`)");
        }
        let versions = self
            .rego_version
            .iter()
            .chain(self.file_rego_versions.values());
        if versions.into_iter().any(|version| *version != 1) {
            return unsupported("another version of Rego than 1 (`rego_version`)");
        }
        let terms = self.terms()?;
        if terms.language > LANGUAGE_VERSION {
            return Err(Error::Language {
                needed: terms.language,
                known: LANGUAGE_VERSION,
            });
        }
        if let Some(feature) = terms
            .features
            .iter()
            .find(|feature| !FEATURES.contains(&feature.as_str()))
        {
            return Err(Error::Feature {
                feature: feature.clone(),
            });
        }
        if terms.observe {
            return Err(Error::Observe);
        }
        Ok(())
    }
}

/// 1 to [`SEQUENCE_MAX`].
pub(super) fn check_sequence(sequence: u64) -> Result<(), Error> {
    if (1..=SEQUENCE_MAX).contains(&sequence) {
        Ok(())
    } else {
        Err(Error::Sequence { sequence })
    }
}

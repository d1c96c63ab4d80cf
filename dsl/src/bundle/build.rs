//! From a policy folder to a bundle, and from a bundle to a signed one. A set with any error becomes no bundle.

use std::path::Path;

use jiff::Timestamp;
use provost_engine::verdict::BundleDigest;

use super::{
    LANGUAGE_VERSION, TIME_ZONES,
    archive::{self, Files, Kind, MANIFEST, Name, SIGNATURES},
    contents::Contents,
    error::Error,
    key::SigningKey,
    manifest::{Manifest, Metadata, REGO, Terms, check_sequence},
    token,
};
use crate::{
    compile::{Compiled, Source, compile},
    load::{self, LoadError},
};

/// OPA's root for what is in package `provost`.
const ROOT: &str = "provost";

/// What a bundle is to say of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// 1 to [`super::SEQUENCE_MAX`], higher than of any bundle before.
    pub sequence: u64,
    /// Free text: a git commit, a release.
    pub revision: String,
    /// Said, not read from a clock.
    pub built_at: Option<Timestamp>,
    /// From when on it must not be used.
    pub expires_at: Option<Timestamp>,
    /// Whether it decides and records without enforcing.
    pub observe: bool,
}

/// A bundle that is not signed yet.
#[derive(Debug)]
pub struct Built {
    /// The `.tar.gz`.
    pub bytes: Vec<u8>,
    /// Names its content; signing does not change it.
    pub digest: BundleDigest,
    /// What the policy set compiled to.
    pub compiled: Compiled,
}

/// Builds a bundle of every policy file below `folder` and the built-in pack. Equal folders and options give equal bytes.
///
/// # Errors
/// [`Error::Policy`] when the set can't be read or has mistakes; [`Error`] for what a bundle can't hold.
pub fn build(folder: &Path, options: &Options) -> Result<Built, Error> {
    check_sequence(options.sequence)?;
    let sources = load::sources(folder)?;
    let compiled = compile(&sources).map_err(|diagnostics| LoadError::Invalid { diagnostics })?;
    let mut files = Files::new();
    for source in &sources {
        let name = name(source)?;
        if files
            .insert(name.clone(), source.text.clone().into_bytes())
            .is_some()
        {
            return Err(Error::Twice {
                name: name.to_string(),
            });
        }
    }
    files.insert(
        Name::parse(MANIFEST.as_bytes())?,
        manifest(&files, options).to_bytes()?,
    );
    let bytes = archive::write(&files)?;
    // Read again as its readers will: what they would refuse is not built.
    let contents = Contents::read(&bytes)?;
    Ok(Built {
        bytes,
        digest: contents.digest().clone(),
        compiled,
    })
}

/// Signs a bundle, in place of the signature it may have. Equal bundles and keys give equal bytes.
///
/// # Errors
/// [`Error`], where the bundle or the key can't be used.
pub fn sign(bytes: &[u8], key: &SigningKey) -> Result<Vec<u8>, Error> {
    let contents = Contents::read(bytes)?;
    contents.manifest().terms()?;
    let signatures = token::write(contents.hashes(), key)?;
    let mut files = contents.into_files();
    files.insert(Name::parse(SIGNATURES.as_bytes())?, signatures);
    let signed = archive::write(&files)?;
    Contents::read(&signed)?;
    Ok(signed)
}

fn name(source: &Source) -> Result<Name, Error> {
    let path = source.path.to_str().ok_or_else(|| Error::Name {
        name: source.path.to_string_lossy().into_owned(),
        fault: super::NameFault::NotUtf8,
    })?;
    Name::parse(path.as_bytes())
}

fn manifest(files: &Files, options: &Options) -> Manifest {
    let has_modules = files.keys().any(|name| name.kind() == Some(Kind::Module));
    let features = if has_modules {
        vec![REGO.to_owned()]
    } else {
        Vec::new()
    };
    Manifest {
        revision: options.revision.clone(),
        roots: Some(vec![ROOT.to_owned()]),
        rego_version: has_modules.then_some(1),
        file_rego_versions: Default::default(),
        wasm: Vec::new(),
        metadata: Metadata {
            provost: Some(Terms {
                sequence: options.sequence,
                built_at: options.built_at,
                expires_at: options.expires_at,
                observe: options.observe,
                language: LANGUAGE_VERSION,
                time_zones: Some(TIME_ZONES.to_owned()),
                features,
            }),
        },
    }
}

//! From bytes to a bundle that a trusted key signed, and from that to a policy.

use std::path::PathBuf;

use jiff::Timestamp;
use provost_engine::verdict::BundleDigest;

use super::{
    archive::Kind,
    canonical::canonical,
    contents::Contents,
    error::Error,
    key::{KeyId, TrustedKey},
    line::Place,
    manifest::{Manifest, Terms},
};
use crate::{
    compile::{Compiled, Source, compile_as},
    load::LoadError,
    rego::RegoLimits,
};

/// A bundle whose every file a trusted key signed. Made by [`verify()`] alone.
#[derive(Debug)]
pub struct VerifiedBundle {
    contents: Contents,
    key: KeyId,
}

/// Takes a bundle apart and checks that one of the keys signed exactly what is in it.
///
/// # Errors
/// [`Error`], for the first thing that is wrong.
pub fn verify(bytes: &[u8], trusted: &[TrustedKey]) -> Result<VerifiedBundle, Error> {
    let contents = Contents::read(bytes)?;
    let token = contents.token()?.ok_or(Error::Unsigned)?;
    let key = token.signer(trusted)?.id().clone();
    let signed = token.hashes()?;
    for (name, hash) in contents.hashes() {
        let name = || name.to_string();
        match signed.get(name().as_str()) {
            None => return Err(Error::NotSigned { name: name() }),
            Some(signed) if signed != hash => return Err(Error::Changed { name: name() }),
            Some(_) => {}
        }
    }
    match signed
        .keys()
        .find(|name| !contents.hashes().contains_key(*name))
    {
        Some(name) => Err(Error::Missing {
            name: name.to_string(),
        }),
        None => Ok(VerifiedBundle { contents, key }),
    }
}

impl VerifiedBundle {
    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.contents.manifest()
    }

    /// Names its content, and every decision made by it.
    #[must_use]
    pub fn digest(&self) -> &BundleDigest {
        self.contents.digest()
    }

    /// What is in it.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The key that signed it.
    #[must_use]
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// Our terms.
    ///
    /// # Errors
    /// [`Error::NoTerms`], [`Error::Sequence`].
    pub fn terms(&self) -> Result<&Terms, Error> {
        self.manifest().terms()
    }

    /// Its place among other bundles.
    ///
    /// # Errors
    /// [`Error::NoTerms`], [`Error::Sequence`].
    pub fn place(&self) -> Result<Place, Error> {
        Ok(Place {
            sequence: self.terms()?.sequence,
            digest: self.digest().0.to_string(),
        })
    }

    /// Whether it is marked to decide and record without enforcing (ruling 26).
    #[must_use]
    pub fn observe(&self) -> bool {
        self.terms().is_ok_and(|terms| terms.observe)
    }

    /// Refuses a bundle that is past its expiry.
    ///
    /// # Errors
    /// [`Error::Expired`], [`Error::NoTerms`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), Error> {
        match self.terms()?.expires_at {
            Some(at) if at <= now => Err(Error::Expired { at }),
            Some(_) | None => Ok(()),
        }
    }

    /// Compiles its policy. Exactly the bundle's files decide: nothing of this build's own is added to them.
    ///
    /// # Errors
    /// [`Error`]: what it needs and we don't have, or what is wrong with its policy set.
    pub fn compile(&self, limits: RegoLimits) -> Result<Compiled, Error> {
        self.compile_with(Vec::new(), limits)
    }

    /// Compiles what decides once it has expired: the same set, so that classes and masks go on to protect server messages
    /// and evidence, and a rule that denies everything.
    ///
    /// # Errors
    /// As of [`VerifiedBundle::compile`].
    pub fn compile_expired(&self, limits: RegoLimits) -> Result<Compiled, Error> {
        let Some(at) = self.terms()?.expires_at else {
            return self.compile(limits);
        };
        let text = format!(
            "rule policy-bundle-expired\n  deny any for anyone\n  because \"the policy bundle expired at {at}; its owner must publish a newer one\"\n"
        );
        let expired = Source {
            path: PathBuf::from("<built-in>/expired.pol"),
            text,
        };
        self.compile_with(vec![expired], limits)
    }

    fn compile_with(&self, more: Vec<Source>, limits: RegoLimits) -> Result<Compiled, Error> {
        self.manifest().check_supported()?;
        for (name, bytes) in self.contents.of_kinds(&[Kind::Data]) {
            let form = std::str::from_utf8(bytes).ok().map(canonical);
            if !matches!(form, Some(Ok(form)) if form == "{}") {
                return Err(Error::Feature {
                    feature: format!("data in `{name}`"),
                });
            }
        }
        let mut sources = self.contents.sources()?;
        if sources.is_empty() {
            return Err(LoadError::Empty {
                path: PathBuf::from("the bundle"),
            }
            .into());
        }
        sources.extend(more);
        compile_as(&sources, self.digest().clone(), None, limits)
            .map_err(|diagnostics| LoadError::Invalid { diagnostics }.into())
    }
}

//! A policy that may come into force: from a folder as it is, or from a bundle that passed every check.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use provost_dsl::{
    Compiled,
    bundle::{self, Line, Place, Step, TIME_ZONES, TrustedKey, VerifiedBundle},
    rego::RegoLimits,
};
use provost_engine::graph::Policy;

use super::Location;
use crate::error::Error;

/// The longest revision that is recorded, in characters; the rest is cut.
const REVISION_CHARS_MAX: usize = 100;

/// A compiled policy and what is to be known of it.
pub(super) struct Candidate {
    /// What decides.
    pub(super) policy: Arc<Policy>,
    /// One line for people and the log.
    pub(super) description: String,
    /// A bundle's place and bytes.
    pub(super) bundle: Option<(Place, Vec<u8>)>,
    /// From when on it must not decide, and what decides then.
    pub(super) expiry: Option<(Timestamp, Arc<Policy>)>,
    /// How many rules.
    pub(super) rules: usize,
    /// How many files.
    pub(super) files: usize,
}

/// Why there is none.
pub(super) struct Refusal {
    /// Why.
    pub(super) error: Box<Error>,
    /// The digest of the bundle that was refused, where it came that far.
    pub(super) digest: Option<String>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error: Box::new(error),
            digest: None,
        }
    }
}

/// Compiles a folder, unsigned.
pub(super) fn of_folder(folder: &Path, limits: RegoLimits) -> Result<Candidate, Refusal> {
    let compiled = provost_dsl::load_within(folder, limits).map_err(|source| Error::Policy {
        folder: folder.to_owned(),
        source,
    })?;
    tell(&compiled);
    Ok(Candidate {
        description: format!("unsigned folder {}", folder.display()),
        bundle: None,
        expiry: None,
        rules: compiled.rules,
        files: compiled.files,
        policy: Arc::new(compiled.policy),
    })
}

/// Checks and compiles a bundle; `None` when it is the one in force.
pub(super) fn of_bundle(
    bytes: Vec<u8>,
    location: &Location,
    trusted: &[TrustedKey],
    line: &Line,
    in_force: Option<&Place>,
    limits: RegoLimits,
) -> Result<Option<Candidate>, Refusal> {
    let failed = |source: bundle::Error| Error::Bundle {
        location: location.to_string(),
        source: Box::new(source),
    };
    let verified = bundle::verify(&bytes, trusted).map_err(failed)?;
    let refused = |source| Refusal {
        error: Box::new(failed(source)),
        digest: Some(verified.digest().0.to_string()),
    };
    let place = verified.place().map_err(refused)?;
    match line.check(&place).map_err(refused)? {
        Step::Same if in_force == Some(&place) => return Ok(None),
        Step::Same | Step::Next => {}
    }
    verified.check_time(Timestamp::now()).map_err(refused)?;
    let compiled = verified.compile(limits).map_err(refused)?;
    tell(&compiled);
    let expires_at = verified.terms().map_err(refused)?.expires_at;
    let expiry = match expires_at {
        Some(at) => {
            let expired = verified.compile_expired(limits).map_err(refused)?;
            Some((at, Arc::new(expired.policy)))
        }
        None => None,
    };
    Ok(Some(Candidate {
        description: described(&verified, &place, location),
        bundle: Some((place, bytes)),
        expiry,
        rules: compiled.rules,
        files: compiled.files,
        policy: Arc::new(compiled.policy),
    }))
}

fn described(verified: &VerifiedBundle, place: &Place, location: &Location) -> String {
    let mut parts = vec![format!("bundle sequence {}", place.sequence)];
    let revision = &verified.manifest().revision;
    if !revision.is_empty() {
        let shown: String = revision
            .chars()
            .take(REVISION_CHARS_MAX)
            .map(|letter| if letter.is_control() { '?' } else { letter })
            .collect();
        parts.push(format!("revision {shown}"));
    }
    parts.push(format!("key {}", verified.key()));
    if let Ok(terms) = verified.terms() {
        if let Some(at) = terms.expires_at {
            parts.push(format!("expires {at}"));
        }
        if let Some(zones) = terms
            .time_zones
            .as_deref()
            .filter(|zones| *zones != TIME_ZONES)
        {
            parts.push(format!(
                "time zones {TIME_ZONES} where its author had {zones}"
            ));
        }
    }
    parts.push(format!("from {location}"));
    parts.join(", ")
}

/// What is probably not meant goes to the operator.
fn tell(compiled: &Compiled) {
    for warning in &compiled.warnings {
        tracing::warn!(file = warning.path(), "{}", warning.message());
    }
}

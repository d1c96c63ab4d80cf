//! How a verification is run: what an earlier one came to, and who wants to know how far this one is.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::stamp::Roots;

/// How a verification is run.
#[derive(Clone, Copy, Default)]
pub struct Course<'a> {
    /// The log's folder, where it is at hand.
    pub log: Option<&'a Path>,
    /// What an earlier verification came to: objects up to there are not hashed again. Whoever keeps it must trust whoever wrote it.
    pub verified: &'a [Verified],
    /// Is told how far it is.
    pub watch: Option<&'a (dyn Fn(&Step<'_>) + Sync)>,
    /// Whom time stamps are believed by; without them the certificates of authorities are not checked.
    pub stamp_roots: Option<&'a Roots>,
}

/// Up to where a ledger was found intact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// The gateway.
    pub gateway: String,
    /// The last seal.
    pub seal: u64,
    /// SHA-256 of its checkpoint, hex: what it is bound to.
    pub checkpoint_sha256: String,
}

/// How far a verification is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'a> {
    /// Whose ledger.
    pub gateway: &'a str,
    /// Seals that were checked.
    pub seals: u64,
    /// Seals that there are.
    pub seals_all: u64,
    /// Rows that gave the signed root.
    pub rows: u64,
    /// What to keep to go on from here; absent once anything is wrong.
    pub verified: Option<Verified>,
}

impl Course<'_> {
    pub(super) fn verified_of(&self, gateway: &str) -> Option<&Verified> {
        self.verified
            .iter()
            .find(|verified| verified.gateway == gateway)
    }

    pub(super) fn tell(&self, step: &Step<'_>) {
        if let Some(watch) = self.watch {
            watch(step);
        }
    }
}

impl std::fmt::Debug for Course<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Course")
            .field("log", &self.log)
            .field("verified", &self.verified)
            .field("stamp_roots", &self.stamp_roots)
            .finish_non_exhaustive()
    }
}

//! Verification: everything in a store (and, where it is at hand, in the log's folder) against a public key. Offline,
//! reads only. Must never call anything good that it didn't check, and must never stop at the first problem.
//!
//! The chain: public key -> signature of each checkpoint -> digest of each seal -> digest of each manifest -> digest of
//! each object; and the rows' own hashes, recomputed, give the tree's root and every tile.

mod course;
pub(crate) mod kept;
mod ledger;
mod log;
pub(crate) mod results;
pub(crate) mod rows;
mod stamps;
#[cfg(test)]
mod tests;

pub use course::{Course, Step, Verified};
pub use kept::Deleted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use object_store::ObjectStore;

use crate::approvals;
use crate::compaction;
use crate::error::{Damage, Error};
use crate::holds::{self, Holds};
use crate::key::PublicKey;
use crate::lease;
use crate::seal::pending::Pending;
use crate::stamp::{self, Stamp};
use crate::store;

/// What was checked and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// One for each key.
    pub ledgers: Vec<LedgerReport>,
    /// The log's folder, when it was given.
    pub log: Option<LogReport>,
    /// Everything that is wrong; empty when the evidence is intact.
    pub problems: Vec<Problem>,
    /// Compacted objects whose every row is one of their sources'.
    pub compacted: u64,
    /// Time stamps of checkpoints that hold, of each gateway in order of its seals.
    pub stamps: Vec<Stamp>,
}

/// A gateway's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerReport {
    /// The gateway.
    pub gateway: String,
    /// The key that it was checked with: `name+hash+base64`.
    pub key: String,
    /// Seals.
    pub seals: u64,
    /// Parquet objects whose every row was hashed.
    pub objects: u64,
    /// Rows whose hashes gave the signed root; they are numbered from 0.
    pub rows: u64,
    /// Rows among them that an earlier verification hashed, and this one didn't.
    pub taken: u64,
    /// The last root that was both signed and recomputed, base64.
    pub root: Option<String>,
    /// Decisions that wait for their end and are not rows yet, by the last seal.
    pub carried: u64,
    /// Objects that were deleted under retention. Their rows are among `rows`: their hashes gave the root.
    pub deleted: Vec<Deleted>,
}

/// The log's folder: entries that no signature covers yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogReport {
    /// Entries not sealed yet.
    pub unsealed: u64,
    /// A seal is under way: its objects may be in the store already.
    pub is_seal_pending: bool,
}

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object}{}: {fault}", index.map(|index| format!(" (log_index {index})")).unwrap_or_default())]
pub struct Problem {
    /// The object's key, or the file's path.
    pub object: String,
    /// The first record concerned, where one is.
    pub index: Option<u64>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It should be there.
    #[error("is missing")]
    Missing,
    /// It should not be there.
    #[error(
        "is covered by no checkpoint: an insertion, or an unfinished seal that the gateway's next start completes"
    )]
    Uncovered,
    /// No key was given for this ledger.
    #[error("no public key was given for this ledger")]
    NoKey,
    /// Its SHA-256 is not the pinned one.
    #[error("content does not match its pinned SHA-256")]
    Digest,
    /// It isn't in its one documented form.
    #[error("is not in the documented form")]
    Malformed,
    /// The signature is missing or wrong.
    #[error("signature does not match the public key")]
    Signature,
    /// A field has another value than the objects around it demand.
    #[error("field `{field}` contradicts the rest of the ledger")]
    Field {
        /// The field.
        field: &'static str,
    },
    /// Parquet can't be read.
    #[error("cannot be read as Parquet")]
    Parquet,
    /// The messages of a recorded result are others than its row says.
    #[error("recorded messages do not give the result digest")]
    Result,
    /// Columns are not those of the schema version.
    #[error("columns are not those of this schema version")]
    Schema,
    /// Rows are not dense, or not those of the manifest.
    #[error("rows are not numbered as the manifest says")]
    Rows,
    /// The recomputed root is another than the signed one.
    #[error("signed root does not match the rows")]
    Root,
    /// A tile's hashes are not those recomputed.
    #[error("tile does not match the rows")]
    Tile,
    /// It isn't what an earlier verification found.
    #[error(
        "is not the checkpoint that was verified before: the store was rolled back or rewritten"
    )]
    Changed,
    /// The copy of the public key is another key.
    #[error("is not the public key given")]
    OtherKey,
    /// `checkpoint` is not a copy of the last checkpoint.
    #[error("is not a copy of the last checkpoint")]
    Copy,
    /// Roots and tiles behind this point couldn't be recomputed.
    #[error("roots and tiles from here on were not checked, because of the problems before")]
    NotChecked,
    /// A log file is damaged.
    #[error("damaged at byte {offset}: {damage}")]
    Log {
        /// Byte offset.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// A signed document, of a legal hold or of what was compacted, is wrong.
    #[error("cannot be read: it {problem}")]
    Hold {
        /// What is wrong with it.
        problem: holds::Problem,
    },
    /// A time stamp doesn't hold.
    #[error("time stamp {problem}")]
    Stamp {
        /// What is wrong with it.
        problem: stamp::Problem,
    },
    /// A compacted object's source isn't there, or isn't that.
    #[error("has a source that is not there, or is another: delete it, it is only a copy")]
    Source,
    /// It was deleted, and must not have been.
    #[error("was deleted while the legal hold `{hold}` covered it")]
    Held {
        /// The hold's name.
        hold: String,
    },
    /// A file of the sealer is damaged, or not the one that the last seal pins.
    #[error("sealer's file is damaged or not the one that the last seal pins")]
    State,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    /// The newest time stamp of a gateway's ledger; none when anything is wrong, for it would be of that.
    #[must_use]
    pub fn newest_stamp(&self, gateway: &str) -> Option<&Stamp> {
        let of = |stamp: &&Stamp| stamp.gateway == gateway && self.is_intact();
        self.stamps.iter().rfind(of)
    }

    fn problem(&mut self, object: impl Into<String>, index: Option<u64>, fault: Fault) {
        self.problems.push(Problem {
            object: object.into(),
            index,
            fault,
        });
    }
}

impl std::fmt::Display for Report {
    /// Problems first, then what each ledger is complete up to.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for problem in &self.problems {
            writeln!(formatter, "PROBLEM {problem}")?;
        }
        for ledger in &self.ledgers {
            let LedgerReport {
                gateway,
                seals,
                objects,
                rows,
                carried,
                ..
            } = ledger;
            write!(formatter, "{gateway}: ")?;
            match (self.is_intact(), rows.checked_sub(1)) {
                (true, Some(last)) => {
                    write!(formatter, "complete up to log_index {last}, unanchored")?
                }
                (true, None) => write!(formatter, "empty, unanchored")?,
                (false, _) => write!(formatter, "NOT intact")?,
            }
            writeln!(
                formatter,
                " ({seals} seals, {objects} objects, {rows} rows, {carried} decisions waiting)"
            )?;
            if !ledger.deleted.is_empty() {
                let rows: u64 = ledger.deleted.iter().map(|one| one.rows).sum();
                let objects = ledger.deleted.len();
                writeln!(
                    formatter,
                    "  {rows} rows deleted under retention ({objects} objects)"
                )?;
            }
            if let Some(stamp) = self.newest_stamp(gateway) {
                writeln!(formatter, "  {stamp}")?;
            }
            if let Some(root) = &ledger.root {
                writeln!(formatter, "  root {root}\n  key  {}", ledger.key)?;
            }
        }
        if let Some(log) = &self.log {
            writeln!(
                formatter,
                "log: {} entries not sealed yet (checksums only)",
                log.unsealed
            )?;
        }
        Ok(())
    }
}

/// Verifies a store from public keys alone, one for each gateway that wrote to it, and the log's folder if one is given.
///
/// "Unanchored": that the store wasn't rolled back as a whole to an older, consistent state can't be seen from public
/// keys; compare the root with one that was kept elsewhere. While a gateway seals into the store, objects of the seal
/// under way are reported as uncovered unless the log's folder is given.
///
/// # Errors
/// [`Error::Store`] and [`Error::File`] when something can't be read at all. What is wrong with the evidence is no
/// error but a [`Problem`].
pub async fn verify(
    store: &dyn ObjectStore,
    keys: &[PublicKey],
    log_folder: Option<&Path>,
) -> Result<Report, Error> {
    let course = Course {
        log: log_folder,
        ..Course::default()
    };
    verify_by(store, keys, &course).await
}

/// As [`verify()`], going on from an earlier verification and telling how far it is. Objects are hashed on as many threads as there are
/// processors.
///
/// What was verified before is taken as it is found there: documents are all checked again, objects and tiles of those seals must only be there.
///
/// # Errors
/// As [`verify()`].
pub async fn verify_by(
    store: &dyn ObjectStore,
    keys: &[PublicKey],
    course: &Course<'_>,
) -> Result<Report, Error> {
    let log_folder = course.log;
    let mut report = Report {
        ledgers: Vec::new(),
        log: None,
        problems: Vec::new(),
        compacted: 0,
        stamps: Vec::new(),
    };
    let listed: BTreeSet<String> = store::list(store, "")
        .await?
        .into_iter()
        .filter(|key| !key.starts_with(lease::PREFIX) && !key.starts_with(approvals::PREFIX))
        .collect();
    let pending = log_folder.and_then(|folder| Pending::read(folder).ok().flatten());
    let mut uncovered = listed.clone();
    let holds = Holds::read(store).await?;
    // What is wrong with them is said of each below.
    uncovered.retain(|key| !key.starts_with(holds::PREFIX) && !key.starts_with(compaction::PREFIX));
    let mut holds_seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in keys {
        let mut walk = ledger::Walk::new(store, key, &listed, pending.is_some());
        walk.run(course).await?;
        for key in walk.covered() {
            uncovered.remove(key);
        }
        for (key, sha256) in walk.gone().holds() {
            let digests = holds_seen.entry(key).or_default();
            digests.insert(sha256.to_owned());
        }
        let (named, wrong) = results::check(store, &listed, walk.recordings(), walk.gone()).await?;
        uncovered.retain(|key| !named.contains(key));
        report.problems.extend(wrong);
        let stamped = stamps::check(store, &listed, key, course.stamp_roots).await?;
        uncovered.retain(|key| !stamped.named.contains(key));
        for (key, fault) in stamped.problems {
            report.problem(key, None, fault);
        }
        report.stamps.extend(stamped.stamps);
        let (ledger, problems, tip) = walk.finish();
        report.ledgers.push(ledger);
        report.problems.extend(problems);
        if let Some(folder) = log_folder {
            log::check(folder, key.gateway(), tip.as_ref(), &mut report)?;
        }
    }
    kept::check_holds(&holds, &holds_seen, &mut report);
    let compacted = compaction::check(store, &listed, &uncovered, &report.ledgers).await?;
    for (key, fault) in compacted.problems {
        report.problem(key, None, fault);
    }
    report.compacted = compacted.objects;
    for key in uncovered {
        let in_flight = pending
            .as_ref()
            .and_then(|pending| pending.puts.iter().find(|put| put.key == key));
        let is_in_flight = match in_flight {
            Some(put) => store::read(store, &key)
                .await?
                .is_some_and(|there| there == put.bytes),
            None => false,
        };
        if is_in_flight || is_on_its_way(log_folder, keys, &key)? {
            continue;
        }
        let owner = key
            .strip_prefix("ledger/")
            .and_then(|rest| rest.split('/').next());
        let is_known = owner.is_none_or(|owner| keys.iter().any(|key| key.gateway() == owner));
        report.problem(
            key,
            None,
            if is_known {
                Fault::Uncovered
            } else {
                Fault::NoKey
            },
        );
    }
    Ok(report)
}

/// Whether a gateway whose log's folder is given has yet to seal what names the object.
fn is_on_its_way(
    log_folder: Option<&Path>,
    keys: &[PublicKey],
    object: &str,
) -> Result<bool, Error> {
    let Some(folder) = log_folder else {
        return Ok(false);
    };
    for key in keys {
        if results::in_flight(folder, key.gateway(), object)? {
            return Ok(true);
        }
    }
    Ok(false)
}

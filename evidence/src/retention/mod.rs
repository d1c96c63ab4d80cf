//! Retention: whole objects are deleted when their last day is older than a limit, each after a row that says so was sealed. Must never delete what
//! a legal hold covers, what no seal of the gateway's own pins, or anything at all while some hold can't be read.
//!
//! One turn, in order; after a crash anywhere the next turn goes on:
//! 1. read the holds; those that are new, and ends that are new, become rows of `changes`;
//! 2. each due object becomes a row of `changes` with its key, SHA-256 and rows; then the turn's memory says so (`keeping.json`);
//! 3. seal; 4. read the holds again, and delete what was announced and isn't held.
//!
//! With rows of `recordings` go the results that they name. Manifests, tiles, seals and checkpoints stay, and `changes` stays: the tree still verifies, and says what is gone.

mod due;
mod memory;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use crate::compaction;
use crate::dataset::Dataset;
use crate::draft::Entry;
use crate::error::Error;
use crate::holds::{Day, Holds};
use crate::ledger::{
    self,
    documents::{Manifest, Pinned},
};
use crate::log::Durability;
use crate::query::document;
use crate::record::{Micros, Record};
use crate::results::PREFIX;
use crate::seal::Sealer;
use crate::seal::state::State;
use crate::store;
use crate::verify::Fault;
use crate::verify::kept::Gone;
use crate::verify::results;
use due::Seals;
use memory::{Memory, Seen};

pub use due::Due;

/// Objects that one turn announces: what is beyond is the next turn's.
const ANNOUNCED_MAX: usize = 10_000;
/// Rows that are appended by one write.
const ROWS_AT_ONCE: usize = 100;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// How long evidence is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Days, at least one.
    pub days: u32,
    /// Who asks for it: `gateway` where it is configured.
    pub actor: String,
}

/// What a turn did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Kept {
    /// Objects whose deletion was logged.
    pub announced: u64,
    /// Objects that were deleted.
    pub deleted: u64,
    /// Objects that are due, and kept by a legal hold.
    pub held: u64,
}

/// Looks after what a gateway sealed: notes legal holds in its ledger, and deletes what is due.
#[derive(Debug)]
pub struct Keeping {
    sealer: Arc<Sealer>,
    retention: Option<Retention>,
}

/// What would be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Plan {
    /// Due, and kept by none.
    pub due: Vec<Due>,
    /// Due, and kept by the legal hold of this name.
    pub held: Vec<(Due, String)>,
}

/// What would be deleted of a store, by the names of its objects; changes nothing.
///
/// # Errors
/// [`Error::Hold`] when some hold can't be read: then nothing would be; [`Error::Store`].
pub async fn plan(store: &dyn ObjectStore, days: u32, now: Micros) -> Result<Plan, Error> {
    let holds = Holds::read(store).await?;
    holds.readable()?;
    let mut plan = Plan::default();
    let Some(before) = cutoff(days, now) else {
        return Ok(plan);
    };
    let keys = store::list(store, "ledger").await?;
    let gateways: BTreeSet<&str> = keys
        .iter()
        .filter_map(|key| key.split('/').nth(1))
        .collect();
    for gateway in gateways {
        for due in due::due(store, gateway, &before).await? {
            match holds.keeper(gateway, &due.key).map(str::to_owned) {
                Some(hold) => plan.held.push((due, hold)),
                None => plan.due.push(due),
            }
        }
    }
    Ok(plan)
}

/// The first day that is kept: all of it, and all after it, is younger than so many days.
fn cutoff(days: u32, now: Micros) -> Option<Day> {
    let first = now
        .0
        .checked_sub(i64::from(days).checked_mul(MICROS_PER_DAY)?)?;
    Day::of(Micros(first))
}

impl Keeping {
    /// Without a retention nothing is ever deleted, and holds are noted all the same.
    #[must_use]
    pub fn new(sealer: Arc<Sealer>, retention: Option<Retention>) -> Self {
        Self { sealer, retention }
    }

    /// One turn. A failed one may be repeated: it goes on where it stopped.
    ///
    /// # Errors
    /// [`Error::Hold`] when a hold can't be read or was taken away: nothing is deleted then. [`Error::Ledger`] when what the store says isn't
    /// what was sealed. As [`Sealer::seal_now`]; [`Error::Store`], also when the store refuses the deletion.
    pub async fn turn(&mut self, now: Micros) -> Result<Kept, Error> {
        let log = self.sealer.log();
        let mut memory = Memory::read(log.folder(), log.gateway())?;
        let holds = self.holds(&mut memory, now).await?;
        let mut kept = Kept::default();
        let Some(retention) = &self.retention else {
            return Ok(kept);
        };
        self.announce(retention, &holds, &mut memory, &mut kept, now)
            .await?;
        self.forget_copies(retention, &holds, now).await?;
        if memory.announced.is_empty() {
            return Ok(kept);
        }
        // Whatever was announced, now or before a crash, is sealed behind this.
        self.sealer.seal_now(now).await?;
        // A hold may have been placed meanwhile.
        let holds = self.holds(&mut memory, now).await?;
        self.delete(&holds, &mut memory, &mut kept).await?;
        Ok(kept)
    }

    /// Reads the holds and logs what is new of them.
    async fn holds(&self, memory: &mut Memory, now: Micros) -> Result<Holds, Error> {
        let log = self.sealer.log();
        let holds = Holds::read(self.sealer.store()).await?;
        let mut rows = Vec::new();
        let mut seen = memory.holds.clone();
        for (name, standing) in &holds.standing {
            let released = standing.released.as_ref().map(|(_, sha256)| sha256);
            let known = seen.entry(name.clone()).or_insert_with(|| {
                rows.push(words::placed(standing, now));
                Seen {
                    placed: standing.sha256.clone(),
                    released: None,
                }
            });
            let is_new = known.released.is_none() && known.placed == standing.sha256;
            if let Some(sha256) = released.filter(|_| is_new) {
                rows.push(words::released(standing, sha256, now));
                known.released = Some(sha256.clone());
            }
        }
        if !rows.is_empty() {
            self.append(&rows).await?;
            memory.holds = seen;
            memory.write(log.disk(), log.folder())?;
        }
        // What can be read is noted, whatever else is wrong; with anything wrong nothing goes on.
        holds.readable()?;
        memory.agrees(&holds)?;
        Ok(holds)
    }

    /// Logs what is due and not held.
    async fn announce(
        &self,
        retention: &Retention,
        holds: &Holds,
        memory: &mut Memory,
        kept: &mut Kept,
        now: Micros,
    ) -> Result<(), Error> {
        let (log, store) = (self.sealer.log(), self.sealer.store());
        let sealed = State::read(log.folder())?.and_then(|(state, _)| state.seal);
        let (Some(before), Some(last)) = (cutoff(retention.days, now), sealed) else {
            return Ok(());
        };
        let due = due::due(store, log.gateway(), &before).await?;
        let announced: BTreeSet<&str> = memory
            .announced
            .iter()
            .map(|pinned| pinned.key.as_str())
            .collect();
        let mut seals = Seals::new(store, self.sealer.public_key(), last + 1);
        let (mut rows, mut objects) = (Vec::new(), Vec::new());
        for due in due {
            if announced.contains(due.key.as_str()) {
                continue;
            }
            if holds.keeper(log.gateway(), &due.key).is_some() {
                kept.held += 1;
                continue;
            }
            if rows.len() == ANNOUNCED_MAX {
                break;
            }
            let manifest = seals.manifest(&due).await?;
            rows.push(words::deleted(
                &manifest,
                &retention.actor,
                retention.days,
                now,
            ));
            objects.push(Pinned {
                key: manifest.key,
                sha256: manifest.sha256,
            });
        }
        if rows.is_empty() {
            return Ok(());
        }
        self.append(&rows).await?;
        kept.announced = rows.len() as u64;
        memory.announced.extend(objects);
        memory.write(log.disk(), log.folder())
    }

    /// Deletes what was compacted of days that are over their time: copies of rows that go, and before them.
    async fn forget_copies(
        &self,
        retention: &Retention,
        holds: &Holds,
        now: Micros,
    ) -> Result<(), Error> {
        let (log, store) = (self.sealer.log(), self.sealer.store());
        let Some(before) = cutoff(retention.days, now) else {
            return Ok(());
        };
        let own = format!("{}-", log.gateway());
        // `<gateway>-<first>-<last>.parquet`: another gateway's name may begin with ours, and has one part more then.
        let is_own = |name: &str| {
            let range = name.strip_prefix(&own);
            range.is_some_and(|range| range.split('-').count() == 2)
        };
        for key in store::list(store, compaction::PREFIX.trim_end_matches('/')).await? {
            let Some(original) = compaction::original_of(&key) else {
                continue;
            };
            let name = original.rsplit('/').next().unwrap_or_default();
            let is_over = Day::of_key(original).is_some_and(|day| day < before);
            let is_changes = original.starts_with(Dataset::Changes.name());
            let is_held = holds.keeper(log.gateway(), original).is_some();
            if is_own(name) && is_over && !is_changes && !is_held {
                delete(store, &key).await?;
            }
        }
        Ok(())
    }

    /// Deletes what was announced and sealed. What is held by now is forgotten, and announced again when it is due again.
    async fn delete(
        &self,
        holds: &Holds,
        memory: &mut Memory,
        kept: &mut Kept,
    ) -> Result<(), Error> {
        let log = self.sealer.log();
        let mut refused = None;
        let mut left = Vec::new();
        for pinned in std::mem::take(&mut memory.announced) {
            if holds.keeper(log.gateway(), &pinned.key).is_some() {
                kept.held += 1;
                continue;
            }
            if refused.is_some() {
                left.push(pinned);
                continue;
            }
            match self.delete_whole(&pinned, holds).await {
                Ok(true) => kept.deleted += 1,
                Ok(false) => kept.held += 1,
                Err(error) => {
                    refused = Some(error);
                    left.push(pinned);
                }
            }
        }
        memory.announced = left;
        memory.write(log.disk(), log.folder())?;
        refused.map_or(Ok(()), Err)
    }

    /// Deletes an object, and before it what only its rows name: recorded results. `false` when a hold covers one of these.
    async fn delete_whole(&self, pinned: &Pinned, holds: &Holds) -> Result<bool, Error> {
        let (log, store) = (self.sealer.log(), self.sealer.store());
        let results = self.results_of(pinned).await?;
        if results
            .iter()
            .any(|key| holds.keeper(log.gateway(), key).is_some())
        {
            return Ok(false);
        }
        for key in results {
            delete(store, &key).await?;
        }
        delete(store, &pinned.key).await?;
        Ok(true)
    }

    /// The recorded results that an object's rows name.
    async fn results_of(&self, pinned: &Pinned) -> Result<Vec<String>, Error> {
        let (gateway, store) = (self.sealer.log().gateway(), self.sealer.store());
        let refused = |fault| Error::Ledger {
            gateway: gateway.to_owned(),
            fault: Box::new(fault),
        };
        if !pinned
            .key
            .starts_with(&format!("{}/", Dataset::Recordings.name()))
        {
            return Ok(Vec::new());
        }
        let Some(object) = store::read(store, &pinned.key).await? else {
            return Ok(Vec::new());
        };
        let manifest = format!("{}/manifests/{}.json", ledger::prefix(gateway), pinned.key);
        let manifest: Manifest = document(store, &manifest).await?;
        if manifest.sha256 != pinned.sha256 {
            return Err(refused(Fault::Digest));
        }
        let results = results::named_in(&manifest, object).map_err(refused)?;
        let own = format!("/{gateway}-");
        let is_own = |key: &String| key.starts_with(PREFIX) && key.contains(&own);
        match results.iter().all(is_own) {
            true => Ok(results),
            false => Err(refused(Fault::Field { field: "result" })),
        }
    }

    async fn append(&self, rows: &[Record]) -> Result<(), Error> {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let entries: Vec<Entry<'_>> = rows.iter().map(Entry::from).collect();
            self.sealer
                .log()
                .append_all(Durability::Power, &entries)
                .await?;
        }
        Ok(())
    }
}

/// The objects of these manifests that are in the store; the others must have been deleted under retention.
///
/// # Errors
/// [`Error::Ledger`] when an object is missing and no row says so; [`Error::Store`].
pub(crate) async fn present(
    store: &dyn ObjectStore,
    manifests: Vec<Manifest>,
) -> Result<Vec<Manifest>, Error> {
    let mut there = BTreeSet::new();
    for dataset in Dataset::ALL {
        there.extend(store::list(store, dataset.name()).await?);
    }
    let (present, absent): (Vec<_>, Vec<_>) = manifests
        .into_iter()
        .partition(|manifest| there.contains(&manifest.key));
    if absent.is_empty() {
        return Ok(present);
    }
    // Announcements are of a gateway's own objects.
    let mut gone: BTreeMap<String, Gone> = BTreeMap::new();
    for manifest in absent {
        gone.entry(manifest.gateway.clone())
            .or_default()
            .lacks(manifest);
    }
    let says = |manifest: &&Manifest| manifest.dataset == Dataset::Changes;
    for manifest in present.iter().filter(says) {
        let Some(gone) = gone.get_mut(&manifest.gateway) else {
            continue;
        };
        let object = store::read(store, &manifest.key).await?.unwrap_or_default();
        gone.hear(words::read(object).unwrap_or_default());
    }
    for (gateway, gone) in gone {
        if !gone.sort().1.is_empty() {
            return Err(Error::Ledger {
                gateway,
                fault: Box::new(Fault::Missing),
            });
        }
    }
    Ok(present)
}

/// Deletes an object; one that is gone already is what was asked for.
async fn delete(store: &dyn ObjectStore, key: &str) -> Result<(), Error> {
    match store.delete(&Path::from(key)).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(source) => Err(Error::Store {
            action: "delete",
            key: key.to_owned(),
            source,
        }),
    }
}

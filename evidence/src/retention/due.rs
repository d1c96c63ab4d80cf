//! Which objects of a gateway are due: by the names of its manifests first, then by what its seals pin. Must never take a manifest's word that no
//! seal of the gateway's own pins.

use object_store::ObjectStore;

use crate::dataset::Dataset;
use crate::error::Error;
use crate::holds::Day;
use crate::key::PublicKey;
use crate::ledger::documents::{Manifest, Seal};
use crate::ledger::{self, checkpoint};
use crate::seal::build::manifest_key;
use crate::store;
use crate::verify::Fault;

/// An object whose time is over, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub gateway: String,
    /// Its key.
    pub key: String,
    /// Its rows, by its name.
    pub rows: u64,
    /// The first of them.
    pub(super) first_log_index: u64,
}

impl Due {
    /// Reads an object's key; `None` when it has no day or no range.
    fn read(gateway: &str, key: &str) -> Option<Self> {
        let name = key.rsplit('/').next()?.strip_suffix(".parquet")?;
        let mut parts = name.strip_prefix(gateway)?.strip_prefix('-')?.split('-');
        let (_epoch, first, last) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let first_log_index: u64 = first.parse().ok()?;
        let last: u64 = last.parse().ok()?;
        Some(Self {
            gateway: gateway.to_owned(),
            key: key.to_owned(),
            rows: last.checked_sub(first_log_index)?.checked_add(1)?,
            first_log_index,
        })
    }
}

/// The objects of a gateway that are in the store and only of days before `before`. `changes` stays for good: it says what became of the others.
pub(super) async fn due(
    store: &dyn ObjectStore,
    gateway: &str,
    before: &Day,
) -> Result<Vec<Due>, Error> {
    let prefix = format!("{}/manifests", ledger::prefix(gateway));
    let mut due = Vec::new();
    for dataset in Dataset::ALL {
        if dataset == Dataset::Changes {
            continue;
        }
        let named = store::list(store, &format!("{prefix}/{}", dataset.name())).await?;
        let there = store::list(store, dataset.name()).await?;
        let objects = named.iter().filter_map(|key| {
            let object = key.strip_prefix(&prefix)?.strip_prefix('/')?;
            object.strip_suffix(".json")
        });
        let is_due = |key: &&str| Day::of_key(key).is_some_and(|day| day < *before);
        let is_there = |key: &&str| there.binary_search_by(|one| one.as_str().cmp(key)).is_ok();
        due.extend(
            objects
                .filter(is_due)
                .filter(is_there)
                .filter_map(|key| Due::read(gateway, key)),
        );
    }
    due.sort_by_key(|due| due.first_log_index);
    Ok(due)
}

/// The seals of a gateway, looked through for what they pin.
pub(super) struct Seals<'a> {
    store: &'a dyn ObjectStore,
    public: &'a PublicKey,
    /// How many there are.
    count: u64,
    current: Option<Seal>,
}

impl<'a> Seals<'a> {
    pub(super) fn new(store: &'a dyn ObjectStore, public: &'a PublicKey, count: u64) -> Self {
        Self {
            store,
            public,
            count,
            current: None,
        }
    }

    /// The manifest of an object, as a seal pins it.
    ///
    /// # Errors
    /// [`Error::Ledger`] when the ledger says something else: nothing may be deleted then.
    pub(super) async fn manifest(&mut self, due: &Due) -> Result<Manifest, Error> {
        let store = self.store;
        let gateway = self.public.gateway().to_owned();
        let refused = |fault| Error::Ledger {
            gateway: gateway.clone(),
            fault: Box::new(fault),
        };
        let at = format!("{}/manifests/{}.json", ledger::prefix(&gateway), due.key);
        let seal = self.of(due.first_log_index).await?;
        let pinned = seal.manifests.iter().find(|pinned| pinned.key == at);
        let pinned = pinned.ok_or_else(|| refused(Fault::Uncovered))?;
        let bytes = store::read(store, &at).await?;
        let bytes = bytes.ok_or_else(|| refused(Fault::Missing))?;
        if ledger::sha256(&bytes) != pinned.sha256 {
            return Err(refused(Fault::Digest));
        }
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|_| refused(Fault::Malformed))?;
        match manifest.key == due.key && manifest_key(&manifest) == at {
            true => Ok(manifest),
            false => Err(refused(Fault::Field { field: "key" })),
        }
    }

    /// The seal that a row is in: the one at hand, the next, or by halves.
    async fn of(&mut self, log_index: u64) -> Result<&Seal, Error> {
        let has = |seal: &Seal| (seal.first_log_index..seal.tree_size).contains(&log_index);
        let next = match self.current.take() {
            Some(seal) if has(&seal) => return Ok(self.current.insert(seal)),
            Some(seal) => Some(seal.seal + 1).filter(|next| *next < self.count),
            None => None,
        };
        if let Some(next) = next {
            let seal = self.read(next).await?;
            if has(&seal) {
                return Ok(self.current.insert(seal));
            }
        }
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let seal = self.read(middle).await?;
            if has(&seal) {
                return Ok(self.current.insert(seal));
            }
            match seal.tree_size <= log_index {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Err(Error::NoRecord {
            gateway: self.public.gateway().to_owned(),
            log_index,
        })
    }

    /// A seal that its signed checkpoint pins.
    async fn read(&self, number: u64) -> Result<Seal, Error> {
        let gateway = self.public.gateway();
        let refused = |fault| Error::Ledger {
            gateway: gateway.to_owned(),
            fault: Box::new(fault),
        };
        let read = async |key: String| {
            let bytes = store::read(self.store, &key).await?;
            bytes.ok_or_else(|| refused(Fault::Missing))
        };
        let note = read(checkpoint::key(gateway, number)).await?;
        let statement = checkpoint::open(&note, self.public).map_err(refused)?;
        let bytes = read(Seal::key(gateway, number)).await?;
        if statement.seal != number || ledger::sha256(&bytes) != statement.seal_sha256 {
            return Err(refused(Fault::Digest));
        }
        serde_json::from_slice(&bytes).map_err(|_| refused(Fault::Malformed))
    }
}

//! Legal holds: signed documents in the store that keep objects from deletion under retention, whichever gateway wrote them. It must never
//! take a hold that it can't read for one that is over.
//!
//! | key | content |
//! |---|---|
//! | `holds/<name>/placed` | a [`Hold`] |
//! | `holds/<name>/released` | a [`Release`]: by whoever placed it |
//!
//! Each is a C2SP signed note; its text is the line `provost-hold-v1 <kind>` and one of JSON. The hold names the key that signed it, and only
//! that key ends it: nobody has to be trusted for a hold to hold, and whoever runs the store can't end one. Each gateway notes in its ledger
//! which holds it saw, so that one which is taken away is missed.

mod documents;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use object_store::ObjectStore;

use crate::error::Error;
use crate::ledger;
use crate::record::Micros;
use crate::store;

pub use documents::{Day, Hold, HoldKey, Problem, Release};
pub(crate) use documents::{opened, verified};

/// What every key begins with.
pub(crate) const PREFIX: &str = "holds/";

/// A hold as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// What it keeps.
    pub hold: Hold,
    /// SHA-256 of its document, hex.
    pub sha256: String,
    /// Its end, when it has one, and the SHA-256 of that document.
    pub released: Option<(Release, String)>,
}

/// Something below `holds/` that is no document of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// All holds of a store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Holds {
    /// Those that can be read, by name.
    pub standing: BTreeMap<String, Standing>,
    /// What can't be read: as long as there is any, everything is held.
    pub unreadable: Vec<Unreadable>,
}

impl Standing {
    /// Whether it keeps this object now.
    #[must_use]
    pub fn keeps(&self, gateway: &str, key: &str) -> bool {
        self.released.is_none() && self.hold.covers(gateway, key)
    }

    /// Whether it was in force at a time, by the clock of whoever placed it.
    pub(crate) fn held_at(&self, at: Micros) -> bool {
        let is_over = self.released.as_ref();
        self.hold.placed_at <= at && is_over.is_none_or(|(release, _)| at < release.released_at)
    }
}

impl Holds {
    /// Reads all of them.
    ///
    /// # Errors
    /// [`Error::Store`]. What can't be understood is no error, but among [`Holds::unreadable`].
    pub async fn read(store: &dyn ObjectStore) -> Result<Self, Error> {
        let mut holds = Self::default();
        // `placed` comes before `released` in the order of keys.
        for key in store::list(store, PREFIX.trim_end_matches('/')).await? {
            let bytes = store::read(store, &key).await?.unwrap_or_default();
            if let Err(problem) = holds.take(&key, &bytes) {
                holds.unreadable.push(Unreadable { key, problem });
            }
        }
        Ok(holds)
    }

    fn take(&mut self, key: &str, bytes: &[u8]) -> Result<(), Problem> {
        let parts: Vec<&str> = key.split('/').collect();
        match parts.as_slice() {
            ["holds", name, "placed"] => {
                let hold = Hold::open(name, bytes)?;
                let standing = Standing {
                    hold,
                    sha256: ledger::sha256(bytes),
                    released: None,
                };
                self.standing.insert((*name).to_owned(), standing);
                Ok(())
            }
            ["holds", name, "released"] => {
                let standing = self.standing.get_mut(*name).ok_or(Problem::Unplaced)?;
                let release = Release::open(&standing.hold, &standing.sha256, bytes)?;
                standing.released = Some((release, ledger::sha256(bytes)));
                Ok(())
            }
            _ => Err(Problem::Name),
        }
    }

    /// The hold that keeps an object, if one does.
    #[must_use]
    pub fn keeper(&self, gateway: &str, key: &str) -> Option<&str> {
        let mut standing = self.standing.values();
        let keeper = standing.find(|standing| standing.keeps(gateway, key));
        keeper.map(|standing| standing.hold.name.as_str())
    }

    /// That all of them can be read.
    ///
    /// # Errors
    /// [`Error::Hold`] with the first that can't.
    pub fn readable(&self) -> Result<(), Error> {
        self.unreadable.first().map_or(Ok(()), |unreadable| {
            Err(Error::Hold {
                key: unreadable.key.clone(),
                problem: unreadable.problem,
            })
        })
    }
}

/// Places a hold; once, for a name is never used again.
///
/// # Errors
/// [`Error::Hold`] when it says nothing that can be held, or its name is taken; [`Error::Store`].
pub async fn place(store: &dyn ObjectStore, hold: &Hold, key: &HoldKey) -> Result<(), Error> {
    let at = hold.key_in_store();
    let bytes = hold.sign(key)?;
    put(store, at, bytes).await
}

/// Releases a hold, with the key that placed it.
///
/// # Errors
/// [`Error::Hold`] when there is no such hold, it is over, or another key placed it; [`Error::Store`].
pub async fn release(
    store: &dyn ObjectStore,
    name: &str,
    reason: &str,
    at: Micros,
    key: &HoldKey,
) -> Result<(), Error> {
    let refused = |problem: Problem| Error::Hold {
        key: format!("{PREFIX}{name}/placed"),
        problem,
    };
    let holds = Holds::read(store).await?;
    let standing = holds.standing.get(name);
    let standing = standing.ok_or_else(|| refused(Problem::Unplaced))?;
    if standing.hold.key != key.public() {
        return Err(refused(Problem::OtherKey));
    }
    let release = Release {
        name: name.to_owned(),
        reason: reason.to_owned(),
        released_at: at,
        placed_sha256: standing.sha256.clone(),
    };
    let bytes = release.sign(key)?;
    put(store, release.key_in_store(), bytes).await
}

async fn put(store: &dyn ObjectStore, key: String, bytes: Vec<u8>) -> Result<(), Error> {
    match store::put_once(store, &key, bytes.into()).await {
        Err(Error::Conflict { key }) => Err(Error::Hold {
            key,
            problem: Problem::Taken,
        }),
        put => put,
    }
}

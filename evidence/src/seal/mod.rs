//! Sealing: closed log segments become Parquet objects, tiles and a signed checkpoint in an object store. Must never
//! delete a segment before its objects and checkpoint are durable, nor publish two different seals of one number.
//!
//! One seal, in order; a crash after any step is answered by the step's repetition:
//! 1. join the entries of closed segments (and decisions carried from before) into rows; build every object in memory;
//! 2. write all of it into one file, `seal.pending`, atomically (from here on the seal's bytes are decided);
//! 3. put the objects, create-only and several at once, the checkpoint last (from here on the seal exists); replace `checkpoint`, its copy;
//! 4. replace the state file; 5. delete the segments; 6. delete `seal.pending`.

pub(crate) mod build;
mod chunk;
pub(crate) mod columns;
pub(crate) mod date;
mod delta;
mod hybrid;
pub(crate) mod join;
mod keyed;
pub(crate) mod object;
pub(crate) mod parts;
pub(crate) mod pending;
mod plain;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use std::path::Path as FilePath;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStore;
use tokio::sync::Mutex;

use crate::entries::Vocabulary;
use crate::error::{Damage, Error};
use crate::key::{Problem, PublicKey, SigningKey, random};
use crate::ledger::documents::Seal;
use crate::ledger::tree::Tree;
use crate::ledger::{self, checkpoint};
use crate::log::{Log, segment, write_whole};
use crate::record::Micros;
use crate::results::publish::publish;
use crate::store;
use crate::verify::Fault;
use build::{Built, Tip};
use join::Joiner;
use pending::Pending;
use state::State;

/// Bytes of log that one seal takes, at most, and what one segment has beyond: it bounds the memory a seal needs. What is
/// beyond goes into the next seal of the same call.
const SEAL_LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Puts under way at once: a seal of 10,000 statements has some fifty, a bucket takes its time for each, and a folder's are made durable
/// together.
const PUTS_AT_ONCE: usize = 16;

pub(crate) type Secrets = dyn Fn() -> Result<[u8; 32], Error> + Send + Sync;

/// The log entries that one seal takes.
struct Batch {
    /// The start that logged them.
    epoch: u64,
    /// Starts below this are over and wholly read: what they left without an end has none.
    epochs_over: u64,
    next_sequence: u64,
}

/// What [`Sealer::seal_now`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// Seals made; 0 when there was nothing to seal.
    pub seals: u64,
    /// Rows in them, all datasets.
    pub rows: u64,
    /// Rows in the ledger altogether: the size of its tree.
    pub tree_size: u64,
    /// Decisions that wait for their end.
    pub waiting: u64,
}

/// Seals the log of one gateway into one store.
pub struct Sealer {
    shared: Arc<Shared>,
    /// `None` after an error: what is on disk and in the store is then read again.
    tip: Mutex<Option<Tip>>,
}

struct Shared {
    log: Arc<Log>,
    store: Arc<dyn ObjectStore>,
    key: SigningKey,
    public: PublicKey,
    secrets: Box<Secrets>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sealer")
            .field("log", &self.shared.log)
            .finish_non_exhaustive()
    }
}

impl Sealer {
    /// Finishes a seal that a crash interrupted, and checks that log folder and store agree on the last one. A folder that was sealed
    /// before may be opened while the store can't be reached: the first seal does this work then.
    ///
    /// # Errors
    /// [`Error::Diverged`], [`Error::Conflict`], [`Error::Ledger`] and [`Error::StateDamaged`] are alarms: someone altered
    /// the folder or the store. [`Error::Key`] when the ledger was begun with another key. [`Error::Store`],
    /// [`Error::File`].
    pub async fn open(
        log: Arc<Log>,
        store: Arc<dyn ObjectStore>,
        key: SigningKey,
    ) -> Result<Sealer, Error> {
        Sealer::open_with(log, store, key, Box::new(random)).await
    }

    pub(crate) async fn open_with(
        log: Arc<Log>,
        store: Arc<dyn ObjectStore>,
        key: SigningKey,
        secrets: Box<Secrets>,
    ) -> Result<Sealer, Error> {
        let public = key.public(log.gateway());
        let shared = Arc::new(Shared {
            log,
            store,
            key,
            public,
            secrets,
        });
        let tip = match shared.load().await {
            Ok(tip) => Some(tip),
            Err(error) if error.is_outage() && State::read(shared.folder())?.is_some() => {
                tracing::error!(%error, "the evidence store can't be reached: evidence stays in the log until it can");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Sealer {
            shared,
            tip: Mutex::new(tip),
        })
    }

    /// Closes the current segment and seals everything closed. `now` decides which decisions have waited long enough
    /// (60 s) for their end to be sealed as `open`; decisions of earlier starts get outcome `unknown`.
    ///
    /// Call it on a timer and at shutdown. A failed call may be repeated: it continues where it stopped.
    ///
    /// # Errors
    /// As [`Sealer::open`]; [`Error::LogFailed`] when the log has failed; [`Error::Damaged`].
    pub async fn seal_now(&self, now: Micros) -> Result<Sealed, Error> {
        let mut slot = self.tip.lock().await;
        let mut tip = match slot.take() {
            Some(tip) => tip,
            None => self.shared.load().await?,
        };
        // Behind the records of results, so that this seal covers them.
        publish(&self.shared.log, self.shared.store.as_ref(), now).await?;
        let shared = Arc::clone(&self.shared);
        let closed_before = blocking(move || shared.log.rotate()).await?;
        let mut sealed = Sealed {
            seals: 0,
            rows: 0,
            tree_size: 0,
            waiting: 0,
        };
        loop {
            let shared = Arc::clone(&self.shared);
            let (unchanged, built) = blocking(move || {
                let built = shared.build(&tip, closed_before, now)?;
                Ok((tip, built))
            })
            .await?;
            let Some(built) = built else {
                tip = unchanged;
                break;
            };
            self.shared.publish(&built.pending).await?;
            sealed.seals += 1;
            sealed.rows += built.rows;
            tip = built.tip;
        }
        let shared = Arc::clone(&self.shared);
        // Room may have come without a seal: where there was nothing to seal, and somebody else made it.
        blocking(move || {
            shared.log.resume();
            Ok(())
        })
        .await?;
        sealed.tree_size = tip.tree.size();
        sealed.waiting = tip.state.waiting.len() as u64;
        *slot = Some(tip);
        Ok(sealed)
    }

    pub(crate) fn log(&self) -> &Log {
        &self.shared.log
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        self.shared.store.as_ref()
    }

    /// The key that verifies what this sealer seals.
    pub fn public_key(&self) -> &PublicKey {
        &self.shared.public
    }
}

/// Runs file and processor work off the runtime's thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(join) => Err(Error::Interrupted { source: join }),
    }
}

impl Shared {
    fn folder(&self) -> &FilePath {
        self.log.folder()
    }

    /// Reads where the ledger stands, after finishing what was begun.
    async fn load(&self) -> Result<Tip, Error> {
        if let Some(pending) = Pending::read(self.folder())? {
            if pending.gateway != self.log.gateway() {
                return Err(Error::StateDamaged {
                    path: Pending::path(self.folder()),
                });
            }
            self.publish(&pending).await?;
        }
        let gateway = self.log.gateway();
        let local = State::read(self.folder())?;
        let stored = self
            .last_stored(local.as_ref().and_then(|(state, _)| state.seal))
            .await?;
        let local_seal = local.as_ref().and_then(|(state, _)| state.seal);
        let (Some((state, state_bytes)), Some(number)) = (local, stored) else {
            return match (local_seal, stored) {
                (None, None) => Ok(Tip {
                    state: State::first(gateway),
                    tree: Tree::default(),
                    seal_sha256: None,
                }),
                (local, stored) => Err(Error::Diverged {
                    gateway: gateway.to_owned(),
                    local,
                    stored,
                }),
            };
        };
        if state.gateway != gateway || local_seal != Some(number) {
            return Err(Error::Diverged {
                gateway: gateway.to_owned(),
                local: local_seal,
                stored: Some(number),
            });
        }
        self.check_key().await?;
        let statement = checkpoint::open(
            &self.must_read(&checkpoint::key(gateway, number)).await?,
            &self.public,
        )
        .map_err(|fault| self.fault(fault))?;
        let seal_bytes = self.must_read(&Seal::key(gateway, number)).await?;
        let seal: Seal =
            serde_json::from_slice(&seal_bytes).map_err(|_| self.fault(Fault::Malformed))?;
        if statement.seal != number || ledger::sha256(&seal_bytes) != statement.seal_sha256 {
            return Err(self.fault(Fault::Digest));
        }
        if ledger::sha256(&state_bytes) != seal.state_sha256 {
            return Err(Error::StateDamaged {
                path: State::path(self.folder()),
            });
        }
        let tree = self.load_tree(statement.size).await?;
        if tree.root() != statement.root || tree.size() != state.next_log_index {
            return Err(self.fault(Fault::Root));
        }
        Ok(Tip {
            state,
            tree,
            seal_sha256: Some(statement.seal_sha256),
        })
    }

    /// The number of the store's last seal; looks only from the folder's last one on.
    async fn last_stored(&self, local: Option<u64>) -> Result<Option<u64>, Error> {
        let prefix = format!("{}/checkpoints", ledger::prefix(self.log.gateway()));
        let failed = |source| Error::Store {
            action: "list",
            key: prefix.clone(),
            source,
        };
        let path = object_store::path::Path::from(prefix.as_str());
        let listed: Vec<_> = match local {
            None => self
                .store
                .list(Some(&path))
                .try_collect()
                .await
                .map_err(failed)?,
            Some(local) => {
                let own = checkpoint::key(self.log.gateway(), local);
                if store::read(self.store.as_ref(), &own).await?.is_none() {
                    return Ok(None);
                }
                let own = object_store::path::Path::from(own);
                self.store
                    .list_with_offset(Some(&path), &own)
                    .try_collect()
                    .await
                    .map_err(failed)?
            }
        };
        let numbers = listed
            .iter()
            .filter_map(|meta| meta.location.filename()?.parse::<u64>().ok());
        Ok(numbers.max().or(local))
    }

    async fn check_key(&self) -> Result<(), Error> {
        let there = self
            .must_read(&build::public_key_key(self.log.gateway()))
            .await?;
        if there == self.public.file().as_bytes() {
            Ok(())
        } else {
            Err(Problem::Other {
                gateway: self.log.gateway().to_owned(),
            }
            .into_error())
        }
    }

    async fn load_tree(&self, size: u64) -> Result<Tree, Error> {
        let mut tiles = Vec::new();
        for path in Tree::partial_paths(size) {
            tiles.push(match path {
                Some(path) => self
                    .must_read(&build::tile_key(self.log.gateway(), &path))
                    .await?
                    .to_vec(),
                None => Vec::new(),
            });
        }
        Tree::from_tiles(size, &tiles).ok_or_else(|| self.fault(Fault::Tile))
    }

    async fn must_read(&self, key: &str) -> Result<bytes::Bytes, Error> {
        store::read(self.store.as_ref(), key)
            .await?
            .ok_or_else(|| self.fault(Fault::Missing))
    }

    fn fault(&self, fault: Fault) -> Error {
        Error::Ledger {
            gateway: self.log.gateway().to_owned(),
            fault: Box::new(fault),
        }
    }

    /// Builds the next seal and decides it (`seal.pending`); `None` when there is nothing to seal.
    fn build(&self, tip: &Tip, closed_before: u64, now: Micros) -> Result<Option<Built>, Error> {
        let mut vocabulary = Vocabulary::default();
        let mut joiner = Joiner::new(&tip.state, &mut vocabulary);
        joiner.expect(closed_before.saturating_sub(tip.state.next_sequence));
        let batch = self.next_batch(&tip.state, closed_before, &mut vocabulary, &mut joiner)?;
        if joiner.is_empty() {
            return Ok(None);
        }
        let ends = (batch.next_sequence, batch.epochs_over);
        let joined = joiner.join(&tip.state, vocabulary, ends, now);
        if joined.groups.is_empty() {
            // Only decisions that wait: they stay in their segments, which costs nothing and loses nothing.
            return Ok(None);
        }
        let built = build::build(tip, joined, batch.epoch, &self.key, &*self.secrets)?;
        built.pending.write(self.log.disk(), self.folder())?;
        Ok(Some(built))
    }

    /// Reads the closed segments that come next: of one epoch, and together below [`SEAL_LOG_BYTES_MAX`].
    fn next_batch(
        &self,
        state: &State,
        closed_before: u64,
        vocabulary: &mut Vocabulary,
        joiner: &mut Joiner,
    ) -> Result<Batch, Error> {
        let current = self.log.epoch();
        let mut batch = Batch {
            epoch: current,
            epochs_over: current,
            next_sequence: state.next_sequence,
        };
        let mut bytes = 0;
        for path in segment::list(self.folder())? {
            let expected = batch.next_sequence;
            if path.first_sequence < expected {
                continue; // sealed; its deletion was interrupted and is repeated with the next seal
            }
            if path.first_sequence >= closed_before {
                break;
            }
            if path.first_sequence > expected {
                return Err(path.damaged(0, Damage::Missing { expected }));
            }
            let segment = segment::open(&path)?;
            let is_first = expected == state.next_sequence;
            if !is_first && (segment.epoch != batch.epoch || bytes >= SEAL_LOG_BYTES_MAX) {
                batch.epochs_over = segment.epoch;
                break;
            }
            let extent = segment.read(vocabulary, &mut |sequence, item| {
                joiner.take(segment.epoch, sequence, item);
            })?;
            if let Some(torn) = extent.torn {
                return Err(path.damaged(extent.bytes_good, torn.damage));
            }
            batch.next_sequence = extent.next_sequence;
            bytes += extent.bytes_good;
            batch.epoch = segment.epoch;
        }
        Ok(batch)
    }

    /// Whether another gateway of this name made a seal of this number: then nothing may be put beside it.
    async fn check_claim(&self, pending: &Pending) -> Result<(), Error> {
        let Some(checkpoint) = pending.puts.last() else {
            return Ok(());
        };
        match store::read(self.store.as_ref(), &checkpoint.key).await? {
            Some(there) if there != checkpoint.bytes => Err(Error::Conflict {
                key: checkpoint.key.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Puts everything of a decided seal, then lets go of what it was made from.
    async fn publish(&self, pending: &Pending) -> Result<(), Error> {
        let store = self.store.as_ref();
        self.check_claim(pending).await?;
        if let Some((checkpoint, others)) = pending.puts.split_last() {
            // In any order: nothing counts before the checkpoint is there.
            let puts = others.iter();
            let puts: Vec<_> = puts
                .map(|put| store::put_once(store, &put.key, put.bytes.clone()))
                .collect();
            futures::stream::iter(puts)
                .buffer_unordered(PUTS_AT_ONCE)
                .try_collect::<()>()
                .await?;
            store::put_once(store, &checkpoint.key, checkpoint.bytes.clone()).await?;
            let key = checkpoint::latest_key(&pending.gateway);
            store::put_over(store, &key, checkpoint.bytes.clone()).await?;
        }
        let (log, state) = (Arc::clone(&self.log), pending.state.clone());
        let next_sequence = pending.next_sequence;
        blocking(move || finish(&log, &state, next_sequence)).await
    }
}

/// Steps 4 to 6 of a seal.
fn finish(log: &Log, state: &[u8], next_sequence: u64) -> Result<(), Error> {
    let path = State::path(log.folder());
    write_whole(log.disk(), &path, state).map_err(Error::file("write", path))?;
    log.remove_segments(next_sequence)?;
    let path = Pending::path(log.folder());
    let removed = log.disk().remove(&path);
    removed.map_err(Error::file("remove", &path))?;
    let synced = log.disk().sync_folder_of(&path);
    synced.map_err(Error::file("fsync", log.folder()))
}

//! Walks one gateway's ledger, seal by seal, and recomputes its tree. Must never trust a document whose digest or
//! signature it hasn't checked, nor decode an object whose digest is wrong.

mod documents;

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use object_store::ObjectStore;
use tlog_tiles::Tile;
use tlog_tiles::tlog::Hash;

use crate::dataset::Dataset;
use crate::error::Error;
use crate::key::PublicKey;
use crate::ledger;
use crate::ledger::checkpoint::{self, Statement};
use crate::ledger::documents::{Manifest, Seal};
use crate::ledger::tree::{Tree, tile_path};
use crate::retention::words::{self, Said};
use crate::seal::build::tile_key;
use crate::store;
use crate::verify::course::{Course, Step, Verified};
use crate::verify::kept::{Gone, leaf_tiles, leaves_in};
use crate::verify::results::Recordings;
use crate::verify::rows::check_object;
use crate::verify::{Fault, LedgerReport, Problem};

/// Seals whose documents are read before their objects are hashed.
const SEALS_AT_ONCE: u64 = 64;
/// The height of a tile: 256 hashes.
const TILE_HEIGHT: u8 = 8;

/// An object's leaves, and what it says of deletions and holds; else the first log_index concerned and what is wrong.
type Hashed = Result<(Vec<Hash>, Vec<Said>), (u64, Fault)>;

/// A seal whose documents were read.
struct Prepared {
    number: u64,
    kind: Seen,
}

enum Seen {
    /// Its checkpoint or its document is wrong, and was reported.
    Broken,
    /// An earlier verification hashed its objects.
    Before {
        found: Found,
        /// Of the checkpoint.
        bytes: Bytes,
    },
    /// Its objects are to be hashed.
    Now(Found),
}

/// What a seal says.
struct Found {
    statement: Statement,
    /// Leaves before it.
    before: u64,
    carried: u64,
    /// Keys of manifests, with those that are right.
    objects: Vec<(String, Option<Manifest>)>,
    /// Behind the last row by the manifests.
    next_index: u64,
}

impl Prepared {
    /// The objects to hash, in order.
    fn to_hash(&self) -> impl Iterator<Item = &Manifest> {
        let objects = match &self.kind {
            Seen::Now(found) => found.objects.as_slice(),
            Seen::Broken | Seen::Before { .. } => &[],
        };
        objects.iter().filter_map(|(_, manifest)| manifest.as_ref())
    }
}

/// As many as there are processors: each object is hashed on a thread of its own.
fn objects_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Reads an object and hashes its rows.
async fn hash(store: &dyn ObjectStore, manifest: Manifest) -> Result<Hashed, Error> {
    let Some(object) = store::read(store, &manifest.key).await? else {
        return Ok(Err((manifest.first_log_index, Fault::Missing)));
    };
    let work = move || {
        let leaves = check_object(&manifest, object.clone())?;
        let said = match manifest.dataset {
            Dataset::Changes => words::read(object),
            _ => Some(Vec::new()),
        };
        let said = said.ok_or((manifest.first_log_index, Fault::Schema))?;
        Ok((leaves, said))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| Error::Interrupted { source })
}

/// The last seal, when it is intact.
#[derive(Debug, Clone)]
pub(super) struct LastSeal {
    pub(super) next_sequence: u64,
    pub(super) state_sha256: String,
}

pub(super) struct Walk<'a> {
    store: &'a dyn ObjectStore,
    public: &'a PublicKey,
    listed: &'a BTreeSet<String>,
    /// The copy of the last checkpoint may be one behind.
    is_seal_pending: bool,
    covered: BTreeSet<String>,
    /// Objects with rows of `recordings`.
    recordings: Vec<Recordings>,
    problems: Vec<Problem>,
    report: LedgerReport,
    /// `None` once a row's hash couldn't be recomputed.
    tree: Option<Tree>,
    /// SHA-256 of the seal before; `None` when that is unknown.
    previous: Option<String>,
    last: Option<Seal>,
    checkpoints: Vec<Option<Bytes>>,
    /// Up to where an earlier verification came.
    resumed: Option<Verified>,
    gone: Gone,
    /// Objects of `changes` that an earlier verification hashed.
    changes_before: Vec<Manifest>,
    /// Tiles of the seal at hand that stand in for rows.
    stand_ins: Vec<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        store: &'a dyn ObjectStore,
        public: &'a PublicKey,
        listed: &'a BTreeSet<String>,
        is_seal_pending: bool,
    ) -> Walk<'a> {
        let report = LedgerReport {
            gateway: public.gateway().to_owned(),
            key: public.text().to_owned(),
            seals: 0,
            objects: 0,
            rows: 0,
            taken: 0,
            root: None,
            carried: 0,
            deleted: Vec::new(),
        };
        Walk {
            store,
            public,
            listed,
            is_seal_pending,
            covered: BTreeSet::new(),
            recordings: Vec::new(),
            problems: Vec::new(),
            report,
            tree: Some(Tree::default()),
            previous: None,
            last: None,
            checkpoints: Vec::new(),
            resumed: None,
            gone: Gone::default(),
            changes_before: Vec::new(),
            stand_ins: Vec::new(),
        }
    }

    /// What is deleted, and what the ledger says of holds.
    pub(super) fn gone(&self) -> &Gone {
        &self.gone
    }

    pub(super) fn covered(&self) -> impl Iterator<Item = &String> {
        self.covered.iter()
    }

    pub(super) fn recordings(&self) -> &[Recordings] {
        &self.recordings
    }

    pub(super) fn finish(self) -> (LedgerReport, Vec<Problem>, Option<LastSeal>) {
        let last = self.last.map(|seal| LastSeal {
            next_sequence: seal.next_sequence,
            state_sha256: seal.state_sha256,
        });
        (self.report, self.problems, last)
    }

    pub(super) async fn run(&mut self, course: &Course<'_>) -> Result<(), Error> {
        let gateway = self.public.gateway();
        let prefix = format!("{}/checkpoints/", ledger::prefix(gateway));
        let numbers = self
            .listed
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix)?.parse::<u64>().ok());
        // A number far beyond the others is an insertion: seals are walked as far as there are checkpoints.
        let count = numbers.clone().count() as u64;
        if numbers.max().is_none_or(|last| last >= count) {
            self.problem(prefix, None, Fault::Missing);
        }
        self.check_public_key().await?;
        self.resumed = course.verified_of(gateway).cloned();
        if let Some(resumed) = &self.resumed
            && resumed.seal >= count
        {
            self.problem(checkpoint::key(gateway, resumed.seal), None, Fault::Missing);
        }
        let mut first = 0;
        while first < count {
            let end = count.min(first + SEALS_AT_ONCE);
            self.check_seals(first..end).await?;
            if end == count {
                self.check_absent().await?;
            }
            course.tell(&self.step(end, count));
            first = end;
        }
        self.report.seals = count;
        self.check_latest().await
    }

    /// Some seals: first what they say, in order; then their objects, several at a time; then the tree, in order again.
    async fn check_seals(&mut self, numbers: Range<u64>) -> Result<(), Error> {
        let mut prepared = Vec::new();
        for number in numbers {
            prepared.push(self.prepare(number).await?);
        }
        let manifests: Vec<Manifest> = prepared
            .iter()
            .flat_map(Prepared::to_hash)
            .cloned()
            .collect();
        let store = self.store;
        let hashed = manifests.into_iter().map(|manifest| hash(store, manifest));
        let mut hashed = futures::stream::iter(hashed).buffered(objects_at_once());
        for seal in prepared {
            match seal.kind {
                Seen::Broken => self.lose_tree(Seal::key(self.public.gateway(), seal.number), None),
                Seen::Before { found, bytes } => self.take(&found, &bytes, seal.number).await?,
                Seen::Now(found) => {
                    self.grow(found, seal.number, &mut hashed).await?;
                }
            }
        }
        Ok(())
    }

    /// How far it has come. What was verified is only said while nothing is wrong.
    fn step(&self, seals: u64, seals_all: u64) -> Step<'_> {
        let last = seals.checked_sub(1);
        let bytes = self.checkpoints.last().and_then(Option::as_ref);
        let is_intact = self.problems.is_empty() && self.gone.is_explained();
        let verified = last.zip(bytes).filter(|_| is_intact);
        Step {
            gateway: self.public.gateway(),
            seals,
            seals_all,
            rows: self.report.rows,
            verified: verified.map(|(seal, bytes)| Verified {
                gateway: self.public.gateway().to_owned(),
                seal,
                checkpoint_sha256: ledger::sha256(bytes),
            }),
        }
    }

    fn problem(&mut self, object: impl Into<String>, index: Option<u64>, fault: Fault) {
        self.problems.push(Problem {
            object: object.into(),
            index,
            fault,
        });
    }

    /// Reads an object that must be there.
    async fn read(&mut self, key: &str) -> Result<Option<Bytes>, Error> {
        self.covered.insert(key.to_owned());
        let there = store::read(self.store, key).await?;
        if there.is_none() {
            self.problem(key, None, Fault::Missing);
        }
        Ok(there)
    }

    /// What a seal says: its checkpoint, its document, its manifests.
    async fn prepare(&mut self, number: u64) -> Result<Prepared, Error> {
        let statement = self.check_checkpoint(number).await?;
        let seal = match &statement {
            Some(statement) => self.check_document(number, statement).await?,
            None => None,
        };
        let (Some(statement), Some(seal)) = (statement, seal) else {
            self.covered
                .insert(Seal::key(self.public.gateway(), number));
            (self.previous, self.last) = (None, None);
            return Ok(Prepared {
                number,
                kind: Seen::Broken,
            });
        };
        let mut objects = Vec::new();
        let mut next_index = seal.first_log_index;
        for pinned in &seal.manifests {
            let manifest = self.check_manifest(pinned, &seal, &mut next_index).await?;
            objects.push((pinned.key.clone(), manifest));
        }
        if next_index != seal.tree_size {
            self.problem(
                Seal::key(self.public.gateway(), number),
                Some(next_index),
                Fault::Field { field: "tree_size" },
            );
        }
        let found = Found {
            before: seal.first_log_index,
            carried: seal.carried,
            objects,
            next_index,
            statement,
        };
        self.previous = Some(found.statement.seal_sha256.clone());
        self.last = Some(seal);
        let bytes = self.checkpoints.last().cloned().flatten();
        let is_before = self
            .resumed
            .as_ref()
            .is_some_and(|resumed| number <= resumed.seal);
        let kind = match bytes {
            Some(bytes) if is_before => Seen::Before { found, bytes },
            Some(_) | None => Seen::Now(found),
        };
        Ok(Prepared { number, kind })
    }

    /// A seal whose objects were hashed by an earlier verification: they must be there, and the tree is taken up from its tiles, which must
    /// give the signed root.
    async fn take(&mut self, found: &Found, bytes: &Bytes, number: u64) -> Result<(), Error> {
        let gateway = self.public.gateway();
        for manifest in found.objects.iter().filter_map(|(_, one)| one.as_ref()) {
            if !self.listed.contains(&manifest.key) {
                self.gone.lacks(manifest.clone());
            } else if manifest.dataset == Dataset::Changes {
                self.changes_before.push(manifest.clone());
            }
        }
        for tile in Tile::new_tiles(TILE_HEIGHT, found.before, found.statement.size) {
            let width = usize::try_from(tile.width())
                .ok()
                .filter(|width| *width < 1 << TILE_HEIGHT);
            let path = tile_path(usize::from(tile.level()), tile.level_index(), width);
            let key = tile_key(gateway, &path);
            if !self.listed.contains(&key) {
                self.problem(key.clone(), None, Fault::Missing);
            }
            self.covered.insert(key);
        }
        let Some(resumed) = self
            .resumed
            .clone()
            .filter(|resumed| resumed.seal == number)
        else {
            return Ok(());
        };
        let key = checkpoint::key(gateway, number);
        if resumed.checkpoint_sha256 != ledger::sha256(bytes) {
            self.problem(key.clone(), None, Fault::Changed);
            self.lose_tree(key, None);
            return Ok(());
        }
        let size = found.statement.size;
        let mut tiles = Vec::new();
        for path in Tree::partial_paths(size) {
            let bytes = match path {
                Some(path) => self
                    .read(&tile_key(gateway, &path))
                    .await?
                    .unwrap_or_default(),
                None => Bytes::new(),
            };
            tiles.push(bytes.to_vec());
        }
        let tree =
            Tree::from_tiles(size, &tiles).filter(|tree| tree.root() == found.statement.root);
        if tree.is_none() {
            self.problem(key.clone(), None, Fault::Root);
            self.lose_tree(key, None);
            return Ok(());
        }
        self.tree = tree;
        self.report.rows = size;
        self.report.taken = size;
        self.report.root = Some(found.statement.root.to_string());
        self.report.carried = found.carried;
        Ok(())
    }

    /// A seal's rows, and the tree that they give.
    async fn grow(
        &mut self,
        found: Found,
        number: u64,
        hashed: &mut (impl Stream<Item = Result<Hashed, Error>> + Unpin),
    ) -> Result<(), Error> {
        let mut tiles = Vec::new();
        for (manifest_key, manifest) in found.objects {
            let Some(manifest) = manifest else {
                self.lose_tree(manifest_key, None);
                continue;
            };
            match hashed.next().await.transpose()? {
                Some(Ok((leaves, said))) => {
                    self.report.objects += 1;
                    self.gone.hear(said);
                    if let Some(tree) = &mut self.tree {
                        leaves
                            .into_iter()
                            .for_each(|leaf| tree.push(leaf, &mut tiles));
                    }
                }
                Some(Err((_, Fault::Missing))) => {
                    match self.stand_in(&manifest, found.statement.size).await? {
                        Some(leaves) => {
                            if let Some(tree) = &mut self.tree {
                                leaves
                                    .into_iter()
                                    .for_each(|leaf| tree.push(leaf, &mut tiles));
                            }
                        }
                        None => self.lose_tree(manifest_key, None),
                    }
                    self.gone.lacks(manifest);
                }
                None => {
                    self.problem(manifest.key, None, Fault::Missing);
                    self.lose_tree(manifest_key, None);
                }
                Some(Err((index, fault))) => {
                    self.problem(manifest.key, Some(index), fault);
                    self.lose_tree(manifest_key, None);
                }
            }
        }
        if found.next_index != found.statement.size {
            let key = Seal::key(self.public.gateway(), number);
            self.lose_tree(key, Some(found.next_index));
        }
        self.report.carried = found.carried;
        self.check_tree(&found.statement, tiles).await
    }

    /// The hashes of an object that isn't there, from the tiles of its seal; the signed root says whether they are its.
    async fn stand_in(
        &mut self,
        manifest: &Manifest,
        size: u64,
    ) -> Result<Option<Vec<Hash>>, Error> {
        let mut leaves = Vec::new();
        for (path, first) in leaf_tiles(manifest, size) {
            let key = tile_key(self.public.gateway(), &path);
            let Some(tile) = self.read(&key).await? else {
                return Ok(None);
            };
            match leaves_in(&tile, first, manifest) {
                Some(mut found) => leaves.append(&mut found),
                None => {
                    self.problem(key, None, Fault::Tile);
                    return Ok(None);
                }
            }
            self.stand_ins.push(key);
        }
        Ok(Some(leaves))
    }

    /// Which objects were deleted, and which are missing. What `changes` says in rows that an earlier verification hashed is read again.
    async fn check_absent(&mut self) -> Result<(), Error> {
        for manifest in std::mem::take(&mut self.changes_before) {
            let key = manifest.key.clone();
            match hash(self.store, manifest).await? {
                Ok((_, said)) => self.gone.hear(said),
                Err((index, fault)) => self.problem(key, Some(index), fault),
            }
        }
        let (deleted, missing) = self.gone.sort();
        self.report.deleted = deleted;
        let missing: Vec<String> = missing.into_iter().map(|one| one.key.clone()).collect();
        for key in missing {
            self.problem(key, None, Fault::Missing);
        }
        Ok(())
    }

    /// The root and the tiles that this seal published.
    async fn check_tree(
        &mut self,
        statement: &Statement,
        full: Vec<ledger::tree::Tile>,
    ) -> Result<(), Error> {
        let Some(tree) = self.tree.clone() else {
            return Ok(());
        };
        let stand_ins = std::mem::take(&mut self.stand_ins);
        if tree.root() != statement.root || tree.size() != statement.size {
            let key = checkpoint::key(self.public.gateway(), statement.seal);
            self.problem(key.clone(), None, Fault::Root);
            // It is these that are wrong, or what was signed; later roots rest on them.
            if !stand_ins.is_empty() {
                for tile in stand_ins {
                    self.problem(tile, None, Fault::Tile);
                }
                self.lose_tree(key, None);
                return Ok(());
            }
        } else {
            self.report.rows = tree.size();
            self.report.root = Some(statement.root.to_string());
        }
        for tile in full.into_iter().chain(tree.partial_tiles()) {
            let key = tile_key(self.public.gateway(), &tile.path);
            if let Some(bytes) = self.read(&key).await?
                && bytes != tile.bytes
            {
                self.problem(key, None, Fault::Tile);
            }
        }
        Ok(())
    }

    /// From here on roots can't be recomputed; said once. Tiles behind this point are then uncovered, so they are
    /// left out of the listing of insertions.
    fn lose_tree(&mut self, object: String, index: Option<u64>) {
        if self.tree.take().is_some() {
            self.problem(object, index, Fault::NotChecked);
            let prefix = tile_key(self.public.gateway(), "tile/");
            self.covered.extend(
                self.listed
                    .iter()
                    .filter(|key| key.starts_with(&prefix))
                    .cloned(),
            );
        }
    }
}

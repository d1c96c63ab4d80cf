//! Walks one gateway's ledger, seal by seal, and recomputes its tree. Must never trust a document whose digest or
//! signature it hasn't checked, nor decode an object whose digest is wrong.

use std::collections::BTreeSet;

use bytes::Bytes;
use object_store::ObjectStore;
use tlog_tiles::tlog::Hash;

use crate::dataset::{SCHEMA_VERSION, SCHEMA_VERSION_MIN};
use crate::error::Error;
use crate::key::PublicKey;
use crate::ledger;
use crate::ledger::checkpoint::{self, Statement};
use crate::ledger::documents::{MANIFEST_FORMAT, Manifest, Pinned, SEAL_FORMAT, Seal, encode};
use crate::ledger::tree::Tree;
use crate::seal::build::{manifest_key, object_key, public_key_key, tile_key};
use crate::store;
use crate::verify::rows::check_object;
use crate::verify::{Fault, LedgerReport, Problem};

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
    problems: Vec<Problem>,
    report: LedgerReport,
    /// `None` once a row's hash couldn't be recomputed.
    tree: Option<Tree>,
    /// SHA-256 of the seal before; `None` when that is unknown.
    previous: Option<String>,
    last: Option<Seal>,
    checkpoints: Vec<Option<Bytes>>,
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
            root: None,
            carried: 0,
        };
        Walk {
            store,
            public,
            listed,
            is_seal_pending,
            covered: BTreeSet::new(),
            problems: Vec::new(),
            report,
            tree: Some(Tree::default()),
            previous: None,
            last: None,
            checkpoints: Vec::new(),
        }
    }

    pub(super) fn covered(&self) -> impl Iterator<Item = &String> {
        self.covered.iter()
    }

    pub(super) fn finish(self) -> (LedgerReport, Vec<Problem>, Option<LastSeal>) {
        let last = self.last.map(|seal| LastSeal {
            next_sequence: seal.next_sequence,
            state_sha256: seal.state_sha256,
        });
        (self.report, self.problems, last)
    }

    pub(super) async fn run(&mut self) -> Result<(), Error> {
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
        for number in 0..count {
            self.check_seal(number).await?;
        }
        self.report.seals = count;
        self.check_latest().await
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

    async fn check_public_key(&mut self) -> Result<(), Error> {
        let key = public_key_key(self.public.gateway());
        if let Some(bytes) = self.read(&key).await?
            && bytes != self.public.file().as_bytes()
        {
            self.problem(key, None, Fault::OtherKey);
        }
        Ok(())
    }

    async fn check_latest(&mut self) -> Result<(), Error> {
        let key = checkpoint::latest_key(self.public.gateway());
        let Some(bytes) = self.read(&key).await? else {
            return Ok(());
        };
        let mut newest = self.checkpoints.iter().rev();
        let is_last = newest
            .next()
            .is_some_and(|last| last.as_ref() == Some(&bytes));
        let is_before = newest
            .next()
            .is_some_and(|before| before.as_ref() == Some(&bytes));
        let is_copy = is_last || (self.is_seal_pending && is_before);
        if !is_copy {
            self.problem(key, None, Fault::Copy);
        }
        Ok(())
    }

    async fn check_seal(&mut self, number: u64) -> Result<(), Error> {
        let statement = self.check_checkpoint(number).await?;
        let seal = match &statement {
            Some(statement) => self.check_document(number, statement).await?,
            None => None,
        };
        let (Some(statement), Some(seal)) = (statement, seal) else {
            self.covered
                .insert(Seal::key(self.public.gateway(), number));
            self.lose_tree(Seal::key(self.public.gateway(), number), None);
            (self.previous, self.last) = (None, None);
            return Ok(());
        };
        let mut tiles = Vec::new();
        let mut next_index = seal.first_log_index;
        for pinned in &seal.manifests {
            match self.check_manifest(pinned, &seal, &mut next_index).await? {
                Some(leaves) => {
                    if let Some(tree) = &mut self.tree {
                        leaves
                            .into_iter()
                            .for_each(|leaf| tree.push(leaf, &mut tiles));
                    }
                }
                None => self.lose_tree(pinned.key.clone(), None),
            }
        }
        if next_index != seal.tree_size {
            self.problem(
                Seal::key(self.public.gateway(), number),
                Some(next_index),
                Fault::Field { field: "tree_size" },
            );
            self.lose_tree(Seal::key(self.public.gateway(), number), Some(next_index));
        }
        self.check_tree(&statement, tiles).await?;
        self.report.carried = seal.carried;
        (self.previous, self.last) = (Some(statement.seal_sha256), Some(seal));
        Ok(())
    }

    async fn check_checkpoint(&mut self, number: u64) -> Result<Option<Statement>, Error> {
        let key = checkpoint::key(self.public.gateway(), number);
        let bytes = self.read(&key).await?;
        self.checkpoints.push(bytes.clone());
        let Some(bytes) = bytes else { return Ok(None) };
        match checkpoint::open(&bytes, self.public) {
            Ok(statement) if statement.seal == number => Ok(Some(statement)),
            Ok(_) => {
                self.problem(key, None, Fault::Field { field: "seal" });
                Ok(None)
            }
            Err(fault) => {
                self.problem(key, None, fault);
                Ok(None)
            }
        }
    }

    /// The seal document: pinned by the checkpoint, and continuing the seal before.
    async fn check_document(
        &mut self,
        number: u64,
        statement: &Statement,
    ) -> Result<Option<Seal>, Error> {
        let gateway = self.public.gateway();
        let key = Seal::key(gateway, number);
        let Some(bytes) = self.read(&key).await? else {
            return Ok(None);
        };
        if ledger::sha256(&bytes) != statement.seal_sha256 {
            self.problem(key, None, Fault::Digest);
            return Ok(None);
        }
        let Some(seal) = parse::<Seal>(&bytes) else {
            self.problem(key, None, Fault::Malformed);
            return Ok(None);
        };
        let (first_log_index, first_sequence) = match &self.last {
            Some(before) => (before.tree_size, before.next_sequence),
            None if number == 0 => (0, 0),
            None => (seal.first_log_index, seal.first_sequence), // the seal before is damaged and reported
        };
        let is_previous_unknown = number > 0 && self.previous.is_none();
        let checks = [
            ("format", seal.format == SEAL_FORMAT),
            ("gateway", seal.gateway == gateway),
            ("seal", seal.seal == number),
            (
                "previous",
                is_previous_unknown || seal.previous == self.previous,
            ),
            (
                "epoch",
                self.last
                    .as_ref()
                    .is_none_or(|before| before.epoch <= seal.epoch),
            ),
            ("first_log_index", seal.first_log_index == first_log_index),
            ("tree_size", seal.tree_size == statement.size),
            (
                "first_sequence",
                seal.first_sequence == first_sequence && first_sequence <= seal.next_sequence,
            ),
        ];
        for (field, holds) in checks {
            if !holds {
                self.problem(key.clone(), None, Fault::Field { field });
            }
        }
        Ok(Some(seal))
    }

    /// A manifest and its object; the leaf hashes of its rows when everything about them is right.
    async fn check_manifest(
        &mut self,
        pinned: &Pinned,
        seal: &Seal,
        next_index: &mut u64,
    ) -> Result<Option<Vec<Hash>>, Error> {
        let index = Some(*next_index);
        let Some(bytes) = self.read(&pinned.key).await? else {
            return Ok(None);
        };
        if ledger::sha256(&bytes) != pinned.sha256 {
            self.problem(pinned.key.clone(), index, Fault::Digest);
            return Ok(None);
        }
        let Some(manifest) = parse::<Manifest>(&bytes) else {
            self.problem(pinned.key.clone(), index, Fault::Malformed);
            return Ok(None);
        };
        let date = manifest
            .key
            .split_once("/date=")
            .and_then(|(_, rest)| rest.get(..10))
            .unwrap_or_default();
        let checks = [
            ("format", manifest.format == MANIFEST_FORMAT),
            ("gateway", manifest.gateway == seal.gateway),
            ("epoch", manifest.epoch == seal.epoch),
            (
                "schema_version",
                (SCHEMA_VERSION_MIN..=SCHEMA_VERSION).contains(&manifest.schema_version),
            ),
            ("first_log_index", manifest.first_log_index == *next_index),
            (
                "rows",
                manifest.first_log_index.checked_add(manifest.rows)
                    == manifest.last_log_index.checked_add(1),
            ),
            (
                "key",
                manifest.key == object_key(&manifest, date)
                    && pinned.key == manifest_key(&manifest),
            ),
        ];
        let failed: Vec<_> = checks.into_iter().filter(|(_, holds)| !holds).collect();
        for (field, _) in &failed {
            self.problem(pinned.key.clone(), index, Fault::Field { field });
        }
        *next_index = next_index.saturating_add(manifest.rows);
        let Some(object) = self.read(&manifest.key).await? else {
            return Ok(None);
        };
        if !failed.is_empty() {
            return Ok(None);
        }
        match check_object(&manifest, object) {
            Ok(leaves) => {
                self.report.objects += 1;
                Ok(Some(leaves))
            }
            Err((index, fault)) => {
                self.problem(manifest.key, Some(index), fault);
                Ok(None)
            }
        }
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
        if tree.root() != statement.root || tree.size() != statement.size {
            self.problem(
                checkpoint::key(self.public.gateway(), statement.seal),
                None,
                Fault::Root,
            );
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

/// Reads a document and requires the one encoding that we write.
fn parse<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let document: T = serde_json::from_slice(bytes).ok()?;
    (encode(&document).ok()? == bytes).then_some(document)
}

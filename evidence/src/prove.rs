//! Proofs: that a record is a leaf of a gateway's signed tree, in a file that anyone can check without us. It must never give a proof
//! that doesn't hold: each is checked before it is handed out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use object_store::ObjectStore;
use serde_json::{Map, Value};
use tlog_tiles::Tile;
use tlog_tiles::tlog::{self, HASH_SIZE, Hash, HashReader};

use crate::error::Error;
use crate::key::PublicKey;
use crate::ledger::canonical::{self, Record};
use crate::ledger::checkpoint::{self, Statement};
use crate::ledger::documents::{Manifest, Seal};
use crate::ledger::tree::tile_path;
use crate::query::document;
use crate::seal::build::{public_key_key, tile_key};
use crate::store;
use crate::verify::{Fault, rows};

/// The height of a tile: 256 hashes.
const TILE_HEIGHT: u8 = 8;
/// The first line of a proof.
const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";

/// What is needed to prove records of a store.
#[derive(Debug)]
pub struct Prover {
    store: Arc<dyn ObjectStore>,
    ledgers: BTreeMap<String, Ledger>,
}

/// A gateway's newest checkpoint and its objects.
#[derive(Debug)]
struct Ledger {
    note: Vec<u8>,
    statement: Statement,
    /// By the first index of each.
    manifests: BTreeMap<u64, Manifest>,
}

/// A record, and that it is in the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    log_index: u64,
    record: Record,
    hashes: Vec<Hash>,
    note: Vec<u8>,
}

impl Proof {
    /// The proof as C2SP's text. `extra` is the record with its nonce: `SHA-256(0x00 | extra)` is the leaf, where no line feed is behind the nonce. Else the leaf
    /// is of what is before it; behind it is what the record's member `decision` is the SHA-256 of.
    ///
    /// # Source
    /// C2SP tlog-proof, "Format".
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut extra = self.record.hashed.clone();
        if let Some(decision) = &self.record.decision {
            // JSON has no line feed as it is; the nonce may, and has a known length.
            extra.push(b'\n');
            extra.extend_from_slice(decision);
        }
        let mut text = format!(
            "{PROOF_HEADER}\nextra {}\nindex {}\n",
            BASE64.encode(extra),
            self.log_index
        );
        for hash in &self.hashes {
            text.push_str(&format!("{}\n", BASE64.encode(hash.0)));
        }
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&self.note));
        text
    }

    /// The record by column.
    ///
    /// # Errors
    /// [`Error::Encode`] never for a record that was proved.
    pub fn row(&self) -> Result<Map<String, Value>, Error> {
        let parse = |json: &[u8]| -> Result<Map<String, Value>, Error> {
            serde_json::from_slice(json).map_err(|source| Error::Encode { source })
        };
        let own = self.record.hashed.get(canonical::NONCE_BYTES..);
        let mut row = parse(own.unwrap_or_default())?;
        if let Some(decision) = &self.record.decision {
            row.remove("decision");
            row.append(&mut parse(decision)?);
        }
        Ok(row)
    }
}

impl Prover {
    /// Reads the newest checkpoint of each gateway and what it pins. Checkpoints are checked with the public key that is in the store:
    /// whether that is the gateway's is for whoever checks the proof.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Ledger`], [`Error::Key`].
    pub async fn open(store: Arc<dyn ObjectStore>) -> Result<Self, Error> {
        let mut ledgers = BTreeMap::new();
        for key in store::list(store.as_ref(), "ledger").await? {
            let parts: Vec<&str> = key.split('/').collect();
            if let ["ledger", gateway, "checkpoint"] = parts.as_slice() {
                let ledger = Ledger::read(store.as_ref(), gateway).await?;
                ledgers.insert((*gateway).to_owned(), ledger);
            }
        }
        Ok(Self { store, ledgers })
    }

    /// The gateways whose records can be proved.
    pub fn gateways(&self) -> impl Iterator<Item = &str> {
        self.ledgers.keys().map(String::as_str)
    }

    /// Proves one record.
    ///
    /// # Errors
    /// [`Error::NoRecord`] when the tree has no such leaf; [`Error::Gone`] when its object isn't there; [`Error::Store`]; [`Error::Ledger`] when what is in the store doesn't give a
    /// proof that holds.
    pub async fn prove(&self, gateway: &str, log_index: u64) -> Result<Proof, Error> {
        let no_record = || Error::NoRecord {
            gateway: gateway.to_owned(),
            log_index,
        };
        let fault = |fault| refused(gateway, fault);
        let ledger = self.ledgers.get(gateway).ok_or_else(no_record)?;
        let size = ledger.statement.size;
        if log_index >= size {
            return Err(no_record());
        }
        let record = self.record(gateway, ledger, log_index).await?;
        let leaf = tlog::record_hash(&record.hashed);
        let hashes = self.path(gateway, size, log_index).await?;
        tlog::check_record(&hashes, size, ledger.statement.root, log_index, leaf)
            .map_err(|_| fault(Fault::Root))?;
        Ok(Proof {
            log_index,
            record,
            hashes,
            note: ledger.note.clone(),
        })
    }

    /// A row's canonical form.
    async fn record(
        &self,
        gateway: &str,
        ledger: &Ledger,
        log_index: u64,
    ) -> Result<Record, Error> {
        let fault = |fault| refused(gateway, fault);
        let before = ledger.manifests.range(..=log_index).next_back();
        let manifest = before
            .map(|(_, manifest)| manifest)
            .filter(|manifest| log_index <= manifest.last_log_index)
            .ok_or_else(|| fault(Fault::Missing))?;
        let object = store::read(self.store.as_ref(), &manifest.key).await?;
        let object = object.ok_or_else(|| Error::Gone {
            gateway: gateway.to_owned(),
            log_index,
        })?;
        rows::record(manifest, object, log_index).map_err(fault)
    }

    /// The hashes from the leaf's sibling to the root's child.
    async fn path(&self, gateway: &str, size: u64, log_index: u64) -> Result<Vec<Hash>, Error> {
        let fault = |fault| refused(gateway, fault);
        let wanted = Wanted::default();
        // Which hashes there are to read is known by asking for the proof with none of them.
        tlog::prove_record(size, log_index, &wanted).map_err(|_| fault(Fault::Tile))?;
        let mut known = Known::default();
        for index in wanted.indexes.into_inner() {
            let tile = whole_tile(index, size).ok_or_else(|| fault(Fault::Tile))?;
            let width = usize::try_from(tile.width()).ok();
            let path = tile_path(
                usize::from(tile.level()),
                tile.level_index(),
                width.filter(|width| *width < 1 << TILE_HEIGHT),
            );
            if !known.tiles.contains_key(&path) {
                let bytes = store::read(self.store.as_ref(), &tile_key(gateway, &path)).await?;
                known.tiles.insert(
                    path.clone(),
                    bytes.ok_or_else(|| fault(Fault::Missing))?.to_vec(),
                );
            }
            let bytes = known
                .tiles
                .get(&path)
                .map(Vec::as_slice)
                .unwrap_or_default();
            if Some(bytes.len()) != width.map(|width| width * HASH_SIZE) {
                return Err(fault(Fault::Tile));
            }
            let hash = tile
                .hash_at_index(bytes, index)
                .map_err(|_| fault(Fault::Tile))?;
            known.hashes.insert(index, hash);
        }
        tlog::prove_record(size, log_index, &known).map_err(|_| fault(Fault::Tile))
    }
}

impl Ledger {
    /// Digests of seals and manifests are not compared: whatever they say, a proof that is handed out gives the signed root.
    async fn read(store: &dyn ObjectStore, gateway: &str) -> Result<Self, Error> {
        let read = async |key: String| {
            let bytes = store::read(store, &key).await?;
            bytes.ok_or_else(|| refused(gateway, Fault::Missing))
        };
        let key = read(public_key_key(gateway)).await?;
        let public = PublicKey::parse(&String::from_utf8_lossy(&key))?;
        let note = read(checkpoint::latest_key(gateway)).await?;
        let statement =
            checkpoint::open(&note, &public).map_err(|fault| refused(gateway, fault))?;
        let mut manifests = BTreeMap::new();
        for number in 0..=statement.seal {
            let seal: Seal = document(store, &Seal::key(gateway, number)).await?;
            for pinned in seal.manifests {
                let manifest: Manifest = document(store, &pinned.key).await?;
                manifests.insert(manifest.first_log_index, manifest);
            }
        }
        Ok(Self {
            note: note.to_vec(),
            statement,
            manifests,
        })
    }
}

fn refused(gateway: &str, fault: Fault) -> Error {
    Error::Ledger {
        gateway: gateway.to_owned(),
        fault: Box::new(fault),
    }
}

/// The tile that a tree of `size` leaves has for a hash: full, or as wide as the tree has come.
fn whole_tile(index: u64, size: u64) -> Option<Tile> {
    let least = Tile::from_index(TILE_HEIGHT, index);
    let hashes = size.checked_shr(u32::from(TILE_HEIGHT) * u32::from(least.level()))?;
    let before = least.level_index() << TILE_HEIGHT;
    let width = hashes.checked_sub(before)?.min(1 << TILE_HEIGHT);
    let width = u32::try_from(width).ok()?;
    (least.width() <= width).then(|| {
        Tile::new(
            TILE_HEIGHT,
            least.level(),
            least.level_index(),
            width,
            false,
        )
    })
}

/// Collects which hashes are asked for.
#[derive(Default)]
struct Wanted {
    indexes: RefCell<Vec<u64>>,
}

impl HashReader for Wanted {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        self.indexes.borrow_mut().extend_from_slice(indexes);
        Ok(vec![Hash([0; HASH_SIZE]); indexes.len()])
    }
}

/// Hashes that were read.
#[derive(Default)]
struct Known {
    tiles: BTreeMap<String, Vec<u8>>,
    hashes: BTreeMap<u64, Hash>,
}

impl HashReader for Known {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        let hash = |index| {
            self.hashes
                .get(index)
                .copied()
                .ok_or(tlog::Error::InvalidTile)
        };
        indexes.iter().map(hash).collect()
    }
}

//! Turns joined rows into the objects of one seal: Parquet, manifests, tiles, seal document, checkpoint. Pure but for
//! the secrets it is handed; the same input gives the same bytes. Must never publish: that is the sealer's.

use bytes::Bytes;

use crate::dataset::SCHEMA_VERSION;
use crate::error::Error;
use crate::key::SigningKey;
use crate::ledger::checkpoint::{self, Statement};
use crate::ledger::documents::{MANIFEST_FORMAT, Manifest, Pinned, SEAL_FORMAT, Seal, encode};
use crate::ledger::tree::{Tile, Tree};
use crate::ledger::{self, canonical};
use crate::seal::columns::Shared;
use crate::seal::join::{Group, Joined};
use crate::seal::object::ObjectWriter;
use crate::seal::pending::{Pending, Put};
use crate::seal::state::State;
use crate::verify::Fault;
use tlog_tiles::tlog::Hash;

/// Where the ledger stands: what the next seal continues.
#[derive(Debug, Clone)]
pub(crate) struct Tip {
    pub(crate) state: State,
    pub(crate) tree: Tree,
    /// SHA-256 of the last seal document.
    pub(crate) seal_sha256: Option<String>,
}

/// A seal ready to be published, and where the ledger stands after it.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) pending: Pending,
    pub(crate) tip: Tip,
    pub(crate) rows: u64,
}

/// Builds the seal. `secret` gives 32 random bytes for each object.
pub(crate) fn build(
    tip: &Tip,
    joined: Joined,
    epoch: u64,
    key: &SigningKey,
    secret: &dyn Fn() -> Result<[u8; 32], Error>,
) -> Result<Built, Error> {
    let gateway = joined.state.gateway.clone();
    let mut tree = tip.tree.clone();
    let (mut tiles, mut objects, mut manifests, mut pinned) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let shared = Shared::new(&gateway, &joined.vocabulary)?;
    for group in &joined.groups {
        let secret = secret()?;
        let mut manifest = manifest(&gateway, epoch, group, &secret);
        let written = object(&manifest, group, &shared, &secret, |leaf| {
            tree.push(leaf, &mut tiles)
        })?;
        manifest.sha256 = ledger::sha256(&written);
        manifest.bytes = written.len() as u64;
        objects.push(Put {
            key: manifest.key.clone(),
            bytes: written,
        });
        let bytes = encode(&manifest)?;
        let key = manifest_key(&manifest);
        pinned.push(Pinned {
            key: key.clone(),
            sha256: ledger::sha256(&bytes),
        });
        manifests.push(Put {
            key,
            bytes: bytes.into(),
        });
    }
    let number = tip.state.next_seal();
    let mut state = joined.state;
    state.seal = Some(number);
    let state_bytes = encode(&state)?;
    let seal = Seal {
        format: SEAL_FORMAT.to_owned(),
        gateway: gateway.clone(),
        seal: number,
        previous: tip.seal_sha256.clone(),
        epoch,
        first_log_index: tip.tree.size(),
        tree_size: tree.size(),
        first_sequence: tip.state.next_sequence,
        next_sequence: state.next_sequence,
        carried: state.waiting.len() as u64,
        state_sha256: ledger::sha256(&state_bytes),
        manifests: pinned,
    };
    let seal_bytes = encode(&seal)?;
    let seal_sha256 = ledger::sha256(&seal_bytes);
    let statement = Statement {
        size: tree.size(),
        root: tree.root(),
        seal: number,
        seal_sha256: seal_sha256.clone(),
    };
    let checkpoint = checkpoint::sign(key, &gateway, &statement)?;

    let mut puts = Vec::new();
    if number == 0 {
        puts.push(Put {
            key: public_key_key(&gateway),
            bytes: key.public(&gateway).file().into(),
        });
    }
    puts.append(&mut objects);
    puts.append(&mut manifests);
    tiles.extend(tree.partial_tiles());
    puts.extend(tiles.into_iter().map(|tile| tile_put(&gateway, tile)));
    puts.push(Put {
        key: Seal::key(&gateway, number),
        bytes: seal_bytes.into(),
    });
    puts.push(Put {
        key: checkpoint::key(&gateway, number),
        bytes: checkpoint.into(),
    });
    let rows = tree.size() - tip.tree.size();
    let next_sequence = state.next_sequence;
    let pending = Pending {
        gateway,
        puts,
        state: state_bytes.into(),
        next_sequence,
    };
    Ok(Built {
        pending,
        tip: Tip {
            state,
            tree,
            seal_sha256: Some(seal_sha256),
        },
        rows,
    })
}

/// Where the copy of the public key is.
pub(crate) fn public_key_key(gateway: &str) -> String {
    format!("{}/key.pub", ledger::prefix(gateway))
}

/// The key of a tile.
pub(crate) fn tile_key(gateway: &str, path: &str) -> String {
    format!("{}/{path}", ledger::prefix(gateway))
}

/// The key of a manifest: that of its object, in the ledger's folder.
pub(crate) fn manifest_key(manifest: &Manifest) -> String {
    format!(
        "{}/manifests/{}.json",
        ledger::prefix(&manifest.gateway),
        manifest.key
    )
}

/// The key of an object.
pub(crate) fn object_key(manifest: &Manifest, date: &str) -> String {
    let Manifest {
        gateway,
        epoch,
        dataset,
        first_log_index,
        last_log_index,
        ..
    } = manifest;
    format!(
        "{}/date={date}/{gateway}-{epoch}-{first_log_index}-{last_log_index}.parquet",
        dataset.name()
    )
}

fn tile_put(gateway: &str, tile: Tile) -> Put {
    Put {
        key: tile_key(gateway, &tile.path),
        bytes: tile.bytes.into(),
    }
}

/// The manifest of an object that is yet to be written.
fn manifest(gateway: &str, epoch: u64, group: &Group, secret: &[u8; 32]) -> Manifest {
    let rows = group.rows.count() as u64;
    let mut manifest = Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        gateway: gateway.to_owned(),
        epoch,
        dataset: group.dataset,
        schema_version: SCHEMA_VERSION,
        key: String::new(),
        sha256: String::new(),
        bytes: 0,
        rows,
        first_log_index: group.first_log_index,
        last_log_index: group.first_log_index + rows - 1,
        secret: ledger::hex(secret),
    };
    manifest.key = object_key(&manifest, &group.date);
    manifest
}

/// An object's bytes; its rows' hashes are given to `leaf`, in order. What is hashed is what is written: one batch is both.
fn object(
    manifest: &Manifest,
    group: &Group,
    shared: &Shared<'_>,
    secret: &[u8; 32],
    mut leaf: impl FnMut(Hash),
) -> Result<Bytes, Error> {
    let failed = |source| Error::Parquet {
        action: "write",
        key: manifest.key.clone(),
        source,
    };
    let mut writer = ObjectWriter::new(group.dataset).map_err(failed)?;
    for batch in shared.batches(group) {
        let batch = batch?;
        let leaves = canonical::leaves((group.dataset, SCHEMA_VERSION), &batch, secret)
            .ok_or_else(|| Error::Ledger {
                gateway: manifest.gateway.clone(),
                fault: Box::new(Fault::Schema),
            })?;
        leaves.into_iter().for_each(&mut leaf);
        writer.write(&batch).map_err(failed)?;
    }
    writer.finish().map(Bytes::from).map_err(failed)
}

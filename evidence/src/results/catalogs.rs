//! Catalogs that recorded statements were analysed by: texts named by their SHA-256, kept in the log's folder until a seal puts them into
//! the store, once each. Must never log that a catalog is there before it is durable.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use object_store::ObjectStore;

use crate::error::Error;
use crate::ledger;
use crate::log::{Durability, Log, write_whole};
use crate::record::{Micros, Record, RecordingEvent, RecordingRecord};
use crate::store;

/// Where catalogs are in a store.
pub(crate) const PREFIX: &str = "catalogs/";

/// The key of a catalog.
pub(crate) fn key(digest: &str) -> String {
    format!("{PREFIX}{digest}.json")
}

fn folder(log: &Path) -> PathBuf {
    log.join("catalogs")
}

/// Whether a log's folder holds this catalog, which is to be put into the store.
pub(crate) fn is_kept(log: &Path, key: &str) -> bool {
    let name = key.strip_prefix(PREFIX);
    name.is_some_and(|name| folder(log).join(name).is_file())
}

impl Log {
    /// Keeps a catalog for the next seal; returns its SHA-256 once it is durable. It blocks.
    ///
    /// # Errors
    /// [`Error::LogFull`], [`Error::File`].
    pub fn keep_catalog(&self, text: &str) -> Result<String, Error> {
        let digest = ledger::sha256(text.as_bytes());
        let own = folder(self.folder());
        let path = own.join(format!("{digest}.json"));
        if path.is_file() {
            return Ok(digest);
        }
        std::fs::create_dir_all(&own).map_err(Error::file("create folder", &own))?;
        self.take_room(text.len() as u64)?;
        let written = write_whole(self.disk(), &path, text.as_bytes());
        if written.is_err() {
            self.give_room(text.len() as u64);
        }
        written.map_err(Error::file("write", path))?;
        Ok(digest)
    }
}

/// Puts what is kept, and logs that it is there.
///
/// # Errors
/// As [`super::publish::publish`].
pub(super) async fn publish(log: &Log, store: &dyn ObjectStore, now: Micros) -> Result<(), Error> {
    let own = folder(log.folder());
    let entries = match std::fs::read_dir(&own) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::file("list", &own))?,
    };
    for entry in entries {
        let path = entry.map_err(Error::file("list", &own))?.path();
        let bytes = Bytes::from(std::fs::read(&path).map_err(Error::file("read", &path))?);
        let (digest, length) = (ledger::sha256(&bytes), bytes.len() as u64);
        // Another name is one that was being written when the gateway died.
        if path.file_stem().is_some_and(|name| *name == *digest) {
            store::put_once(store, &key(&digest), bytes).await?;
            let record = Record::Recording(RecordingRecord {
                catalog_digest: Some(digest),
                ..RecordingRecord::new(now, RecordingEvent::Catalog, "", "")
            });
            log.append(&record, Durability::Power).await?;
        }
        log.disk()
            .remove(&path)
            .map_err(Error::file("remove", &path))?;
        log.give_room(length);
    }
    Ok(())
}

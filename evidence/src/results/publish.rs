//! Ended spools to the store and the log: objects first, then the records that name them, durable, then the spool goes. A crash between
//! any two of these repeats them, with the same objects; records may then be there twice, and say the same.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::hex::HexDigest;
use crate::ledger;
use crate::log::{Durability, Log};
use crate::record::{Micros, Record, RecordingEvent, RecordingRecord};
use crate::results::catalogs;
use crate::results::object::{self, Described};
use crate::results::reading::{Part, Reading};
use crate::results::{PREFIX, file_name, folder, spooled};
use crate::seal::date;
use crate::store;

/// Puts every result whose writer is done with it, and every catalog, and logs where they are.
///
/// # Errors
/// [`Error::Store`], [`Error::Conflict`], [`Error::File`], and those of [`Log::append`]: what is left is tried again.
pub(crate) async fn publish(
    log: &Arc<Log>,
    store: &dyn ObjectStore,
    now: Micros,
) -> Result<(), Error> {
    catalogs::publish(log, store, now).await?;
    let own = folder(log.folder());
    let ids = spooled(log.folder()).map_err(Error::file("list", &own))?;
    for id in ids {
        let path = own.join(file_name(&id));
        let Some(file) = done(&path)? else { continue };
        let bytes = file
            .metadata()
            .map_err(Error::file("look at", &path))?
            .len();
        if let Some(reading) = Reading::begin(file).map_err(Error::file("read", &path))? {
            let records = put_all(log.gateway(), reading, &path, store).await?;
            for record in records {
                let record = Record::Recording(record);
                log.append(&record, Durability::Process).await?;
            }
            log.sync().await?;
        }
        remove(log, &path, bytes)?;
    }
    Ok(())
}

/// The spool, where nobody writes it any more.
fn done(path: &Path) -> Result<Option<File>, Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(Error::File {
            action: "lock",
            path: path.to_owned(),
            source,
        }),
    }
}

fn remove(log: &Log, path: &Path, bytes: u64) -> Result<(), Error> {
    let disk = log.disk();
    disk.remove(path).map_err(Error::file("remove", path))?;
    log.give_room(bytes);
    let synced = disk.sync_folder_of(path);
    synced.map_err(Error::file("fsync", path))
}

/// What was read, and made of it.
struct Made {
    key: String,
    object: Bytes,
    rows: u64,
    bytes: u64,
}

/// Puts the parts of a result, one after the other: no more than three are in memory.
async fn put_all(
    gateway: &str,
    reading: Reading,
    path: &Path,
    store: &dyn ObjectStore,
) -> Result<Vec<RecordingRecord>, Error> {
    let of = reading.of.clone();
    let prefix = format!(
        "{PREFIX}date={}/{gateway}-{}",
        date::of(of.decided_at),
        of.statement_id
    );
    let path = path.to_owned();
    // One thread makes all parts: what one needed serves the next.
    let (made, mut parts_made) = mpsc::channel(1);
    let making = tokio::task::spawn_blocking(move || make(reading, &prefix, &path, &made));
    let mut records = Vec::new();
    while let Some(made) = parts_made.recv().await {
        let number = records.len() as u64;
        store::put_once(store, &made.key, made.object.clone()).await?;
        records.push(RecordingRecord {
            result: Some(made.key),
            result_sha256: Some(ledger::sha256(&made.object)),
            part: Some(number),
            rows: Some(made.rows),
            bytes: Some(made.bytes),
            ..RecordingRecord::new(
                of.decided_at,
                RecordingEvent::Answered,
                &of.statement_id,
                &of.session_id,
            )
        });
    }
    let made = making
        .await
        .map_err(|source| Error::Interrupted { source })?;
    let (reading, digest) = made?;
    let is_whole = reading.is_whole()
        && reading
            .ending
            .as_ref()
            .is_some_and(|ending| ending.result_digest == digest.as_str());
    let ended_at = reading
        .ending
        .map_or(of.decided_at, |ending| ending.ended_at);
    let parts = records.len() as u64;
    let finished = |record| RecordingRecord {
        at: ended_at,
        parts: Some(parts),
        result_digest: Some(digest.as_str().to_owned()),
        is_whole: Some(is_whole),
        ..record
    };
    Ok(records.into_iter().map(finished).collect())
}

/// Makes the objects of a result, and gives each on, until nobody takes any. What was read then, and its digest.
fn make(
    mut reading: Reading,
    prefix: &str,
    path: &Path,
    given: &mpsc::Sender<Made>,
) -> Result<(Reading, HexDigest), Error> {
    let mut hasher = blake3::Hasher::new();
    let mut number = 0;
    while let Some(made) = next(&mut reading, &mut hasher, number, (prefix, path))? {
        if given.blocking_send(made).is_err() {
            break;
        }
        number += 1;
    }
    let digest = HexDigest::from(*hasher.finalize().as_bytes());
    Ok((reading, digest))
}

/// The next object of a result: there is at least one, with a description and no rows if need be.
fn next(
    reading: &mut Reading,
    hasher: &mut blake3::Hasher,
    number: u64,
    (prefix, path): (&str, &Path),
) -> Result<Option<Made>, Error> {
    let part = match reading.part().map_err(Error::file("read", path))? {
        Some(part) => part,
        None if number == 0 => Part::default(),
        None => return Ok(None),
    };
    hasher.update(&part.bytes);
    let described: Option<Vec<Described>> =
        reading.description.as_deref().and_then(object::described);
    let key = format!("{prefix}-{number}.parquet");
    let id = &reading.of.statement_id;
    let object = object::write(id, (number, &part), described.as_deref());
    let object = object.map_err(|source| Error::Parquet {
        action: "write",
        key: key.clone(),
        source,
    })?;
    Ok(Some(Made {
        key,
        object,
        rows: part.count,
        bytes: part.bytes.len() as u64,
    }))
}

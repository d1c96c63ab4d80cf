//! The write-ahead log: a record is in it before the thing it speaks of goes on. Appends (those of a thread's ready tasks together), group
//! commit, recovery.
//! It must never acknowledge what it hasn't written, write after an error, or repair anything but a torn tail.

mod batch;
mod committer;
mod disk;
mod entry;
mod frame;
mod reading;
mod recovery;
mod room;
pub(crate) mod segment;
mod staged;
mod synced;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::draft::Entry;
use crate::entries::Vocabulary;
use crate::error::Error;
use crate::record::{ChangeRecord, Micros, Record};
use crate::results::{Spool, SpoolHeader};
use staged::Staged;

#[cfg(test)]
pub(crate) use disk::DiskFile;
pub(crate) use disk::{Disk, OperatingSystem, write_whole};
pub use recovery::Recovery;
pub use room::Shortage;

/// Where the log is and how it behaves.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The folder, created if missing. One process at a time.
    pub folder: PathBuf,
    /// The gateway's name: 1 to 64 of a-z, 0-9, `.`, `_`, `-`, starting with a letter or digit. Part of object keys.
    pub gateway: String,
    /// A segment is closed once it is this large, bytes.
    pub segment_bytes_max: u64,
    /// A segment is closed at the first append after this age.
    pub segment_age_max: Duration,
    /// An fsync follows an append of [`Durability::Process`] at most this much later.
    pub sync_delay_max: Duration,
    /// Above this, bytes, the log warns and records `audit-backlog`, once until it is well below again.
    pub bytes_warn: u64,
    /// Beyond this, bytes, the log takes no decisions and no sessions ([`Error::LogFull`]) until a seal has made room. What ends
    /// something may go 16 MiB further.
    pub bytes_max: u64,
    /// Bytes of disk kept for the last record of a log whose disk is full, and for the seal that makes room; 0 keeps none.
    pub reserve_bytes: u64,
}

impl LogOptions {
    /// The defaults: segments of 16 MiB (some 150,000 statements) or five minutes, 100 ms, a mark at 1 GiB, a limit at 8 GiB, 64 KiB in reserve.
    pub fn new(folder: impl Into<PathBuf>, gateway: impl Into<String>) -> LogOptions {
        LogOptions {
            folder: folder.into(),
            gateway: gateway.into(),
            segment_bytes_max: 16 * 1024 * 1024,
            segment_age_max: Duration::from_secs(300),
            sync_delay_max: Duration::from_millis(100),
            bytes_warn: 1 << 30,
            bytes_max: 8 << 30,
            reserve_bytes: 64 * 1024,
        }
    }
}

/// What a receipt survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Power loss: the append returns after an fsync, one for all who wait.
    Power,
    /// The death of this process: the append returns after write(2), an fsync follows within 100 ms.
    Process,
}

/// Proof that records are in the log. Made by [`Log`]'s appends and by nothing else.
///
/// With the feature `null-log`, which is for benchmarks alone, `Log::null` gives receipts for what it did not keep.
#[derive(Debug)]
pub struct Receipt {
    index: u64,
    entries: u64,
}

impl Receipt {
    /// The first record's sequence in this gateway's log, from 0, never reused.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many records it is for: this one and those that follow it.
    pub fn entries(&self) -> u64 {
        self.entries
    }
}

/// The write-ahead log of one gateway. Shared as an `Arc`; every method can be called from any thread or runtime.
pub struct Log {
    options: LogOptions,
    keeping: Keeping,
}

/// Where appends go.
enum Keeping {
    /// To disk.
    Disk {
        committer: committer::Committer,
        /// Held for as long as the log lives; the operating system frees it when the process dies.
        _lock: File,
    },
    /// Nowhere.
    #[cfg(feature = "null-log")]
    Nothing,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Log")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log: locks the folder, checks every segment, cuts a torn tail of the last one, begins a new epoch
    /// with a new segment.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it; [`Error::Damaged`] with file and offset for anything but a torn
    /// tail; [`Error::GatewayName`]; [`Error::File`].
    pub fn open(options: LogOptions) -> Result<(Arc<Log>, Recovery), Error> {
        Log::open_on(options, Box::new(disk::OperatingSystem))
    }

    pub(crate) fn open_on(
        options: LogOptions,
        disk: Box<dyn disk::Disk>,
    ) -> Result<(Arc<Log>, Recovery), Error> {
        check_gateway_name(&options.gateway)?;
        std::fs::create_dir_all(&options.folder)
            .map_err(Error::file("create folder", &options.folder))?;
        let lock = lock_folder(&options.folder)?;
        let recovery = recovery::recover(&options.folder)?;
        let committer =
            committer::Committer::start(&options, disk, recovery.epoch, recovery.next_sequence)?;
        Ok((
            Arc::new(Log {
                options,
                keeping: Keeping::Disk {
                    committer,
                    _lock: lock,
                },
            }),
            recovery,
        ))
    }

    /// A log that keeps nothing and acknowledges everything: what a gateway costs without evidence. It can't be sealed.
    #[cfg(feature = "null-log")]
    pub fn null(gateway: impl Into<String>) -> Arc<Log> {
        Arc::new(Log {
            options: LogOptions::new(PathBuf::new(), gateway),
            keeping: Keeping::Nothing,
        })
    }

    fn committer(&self) -> Option<&committer::Committer> {
        match &self.keeping {
            Keeping::Disk { committer, .. } => Some(committer),
            #[cfg(feature = "null-log")]
            Keeping::Nothing => None,
        }
    }

    /// Appends a record and waits until it is as durable as asked.
    ///
    /// A caller that stops waiting (drops the future) gets no receipt; the record may still be in the log.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`] and [`Error::Encode`] leave the log as it was. [`Error::LogFull`] means that there is no room for the record;
    /// later ones are taken once a seal has made some. Any other error means that the log has
    /// failed: every later append is [`Error::LogFailed`] until the process is restarted.
    pub async fn append(&self, record: &Record, durability: Durability) -> Result<Receipt, Error> {
        self.append_entry(durability, || record.into()).await
    }

    /// The same for an entry that is made when it is written.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_entry<'a>(
        &self,
        durability: Durability,
        make: impl FnOnce() -> Entry<'a>,
    ) -> impl Future<Output = Result<Receipt, Error>> {
        self.append_made(durability, || [make()])
    }

    /// Appends several entries by one write(2), in this order and with nothing between them: all of them, or none. One receipt is for all;
    /// for no entries there is none.
    ///
    /// # Errors
    /// As [`Log::append`]: where one entry is too large, none is appended.
    pub async fn append_all(
        &self,
        durability: Durability,
        entries: &[Entry<'_>],
    ) -> Result<Option<Receipt>, Error> {
        if entries.is_empty() {
            return Ok(None);
        }
        self.append_made(durability, || entries).await.map(Some)
    }

    async fn append_made<'a, E: AsRef<[Entry<'a>]>>(
        &self,
        durability: Durability,
        make: impl FnOnce() -> E,
    ) -> Result<Receipt, Error> {
        let Some(committer) = self.committer() else {
            return Ok(Receipt {
                index: 0,
                entries: 1,
            });
        };
        let made = make();
        let entries = made.as_ref();
        if durability == Durability::Process && batch::is_worth_it() {
            let place = batch::join(committer, entries)?;
            if let Some(index) = place.written(entries).await {
                let entries = entries.len() as u64;
                return Ok(Receipt { index, entries });
            }
        }
        let mut staged = Staged::spare();
        let appended = staged
            .stage(entries)
            .and_then(|()| committer.append(&mut staged, entries, durability));
        staged.over();
        let receipt = Receipt {
            index: appended?,
            entries: entries.len() as u64,
        };
        match durability {
            Durability::Process => {}
            Durability::Power => {
                committer
                    .wait_synced(receipt.index + receipt.entries)
                    .await?
            }
        }
        Ok(receipt)
    }

    /// Waits until everything appended so far survives power loss.
    ///
    /// # Errors
    /// [`Error::LogFailed`].
    pub async fn sync(&self) -> Result<(), Error> {
        let Some(committer) = self.committer() else {
            return Ok(());
        };
        let end = committer.request_sync()?;
        committer.wait_synced(end).await
    }

    /// Closes the current segment if it holds anything; returns the first sequence that is in no closed segment.
    pub(crate) fn rotate(&self) -> Result<u64, Error> {
        self.committer().map_or(Ok(0), committer::Committer::rotate)
    }

    /// Deletes the segments whose first sequence is below `next_sequence`; a log that stopped for want of room may go on.
    pub(crate) fn remove_segments(&self, next_sequence: u64) -> Result<(), Error> {
        self.committer()
            .map_or(Ok(()), |committer| committer.remove_segments(next_sequence))
    }

    /// Lets a log that stopped go on where there is room by now, however it came.
    pub(crate) fn resume(&self) {
        if let Some(committer) = self.committer() {
            committer.resume();
        }
    }

    /// A statement's result that is to be recorded, as the client gets it.
    pub fn spool(self: &Arc<Self>, header: SpoolHeader) -> Spool {
        Spool::new(Arc::clone(self), header)
    }

    /// Takes room for so many bytes of a recorded result.
    pub(crate) fn take_room(&self, bytes: u64) -> Result<(), Error> {
        self.committer()
            .map_or(Ok(()), |committer| committer.take_room(bytes))
    }

    /// Takes room for so many bytes that end a recorded result, whether there is any or not.
    pub(crate) fn fill_room(&self, bytes: u64) {
        if let Some(committer) = self.committer() {
            committer.fill_room(bytes);
        }
    }

    /// So many bytes of recorded results are gone.
    pub(crate) fn give_room(&self, bytes: u64) {
        if let Some(committer) = self.committer() {
            committer.give_room(bytes);
        }
    }

    /// What the log's folder is written by.
    pub(crate) fn disk(&self) -> &dyn Disk {
        self.committer()
            .map_or(&OperatingSystem, committer::Committer::disk)
    }

    /// Bytes of log that are not sealed, segments' headers included.
    pub fn bytes(&self) -> u64 {
        self.committer().map_or(0, committer::Committer::bytes)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// The gateway's name.
    pub fn gateway(&self) -> &str {
        &self.options.gateway
    }

    /// The number of this start, from 1.
    pub fn epoch(&self) -> u64 {
        self.committer().map_or(1, committer::Committer::epoch)
    }
}

/// Every record in a log's folder, in order: what isn't sealed, and what a seal has not deleted yet. Changes nothing; for a look at a log
/// from outside, a torn tail is left out.
///
/// # Errors
/// [`Error::Damaged`] with file and offset; [`Error::File`].
pub fn records(folder: &Path) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    for path in segment::list(folder)? {
        let mut vocabulary = Vocabulary::default();
        let mut items = Vec::new();
        segment::open(&path)?.read(&mut vocabulary, &mut |_, item| items.push(item))?;
        let whole = items.into_iter().map(|item| vocabulary.record(item));
        records.extend(whole);
    }
    Ok(records)
}

pub(crate) fn check_gateway_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let valid = (1..=64).contains(&name.len())
        && name.starts_with(plain)
        && name
            .chars()
            .all(|c| plain(c) || matches!(c, '.' | '_' | '-'));
    if valid {
        Ok(())
    } else {
        Err(Error::GatewayName {
            name: name.to_owned(),
        })
    }
}

/// Takes the folder's lock, or says who can't have it. The file stays empty: nothing in it could be trusted.
fn lock_folder(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::file("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Locked {
            folder: folder.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(Error::File {
            action: "lock",
            path,
            source,
        }),
    }
}

/// What the log records of itself.
fn own_words(what: &str, after: Option<String>) -> Record {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // A clock before 1970 is wrong by so much that its start serves as well.
    let micros = since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    });
    Record::Change(ChangeRecord {
        at: Micros(micros),
        actor: "gateway".to_owned(),
        what: what.to_owned(),
        before: None,
        after,
        digest: None,
    })
}

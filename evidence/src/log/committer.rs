//! The writing end: one mutex around write(2), one thread that fsyncs for everybody who waits (group commit).
//! It must never write behind a failed write or acknowledge behind a failed fsync: the first error is final.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::draft::{Entry, SegmentSerial};
use crate::error::Error;
use crate::log::disk::{Disk, SegmentFile};
use crate::log::staged::{self, Staged};
use crate::log::{Durability, LogOptions, segment};

/// How far the log is on disk, for those who wait. A `watch` channel works across runtimes.
#[derive(Debug, Clone)]
struct Progress {
    /// Sequences below this survive power loss.
    synced: u64,
    /// The first error; nothing moves after it.
    failed: Option<Arc<Error>>,
}

/// What the mutex guards.
struct Writer {
    file: Arc<dyn SegmentFile>,
    path: PathBuf,
    /// The current segment's name among those that definitions are held by.
    serial: SegmentSerial,
    /// Sequence of the current segment's first frame.
    first_sequence: u64,
    /// The next record's sequence.
    next_sequence: u64,
    segment_bytes: u64,
    segment_began: Instant,
    /// When the oldest append that no fsync covers was made.
    dirty_since: Option<Instant>,
    /// Someone waits: fsync now.
    urgent: bool,
    closing: bool,
    failed: Option<Arc<Error>>,
}

struct Shared {
    writer: Mutex<Writer>,
    /// Wakes the fsync thread.
    wake: Condvar,
    progress: watch::Sender<Progress>,
    disk: Box<dyn Disk>,
    folder: PathBuf,
    epoch: u64,
    segment_bytes_max: u64,
    segment_age_max: Duration,
    sync_delay_max: Duration,
}

/// Owns the current segment and the fsync thread.
pub(super) struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Begins a new segment and starts the fsync thread.
    pub(super) fn start(
        options: &LogOptions,
        disk: Box<dyn Disk>,
        epoch: u64,
        next_sequence: u64,
    ) -> Result<Committer, Error> {
        let path = options.folder.join(segment::file_name(next_sequence));
        let header = segment::header(epoch, next_sequence);
        let file = disk
            .create_segment(&path, &header)
            .map_err(Error::file("create", &path))?;
        let writer = Writer {
            file,
            path,
            serial: SegmentSerial::next(),
            first_sequence: next_sequence,
            next_sequence,
            segment_bytes: header.len() as u64,
            segment_began: Instant::now(),
            dirty_since: None,
            urgent: false,
            closing: false,
            failed: None,
        };
        let shared = Arc::new(Shared {
            writer: Mutex::new(writer),
            wake: Condvar::new(),
            progress: watch::Sender::new(Progress {
                synced: next_sequence,
                failed: None,
            }),
            disk,
            folder: options.folder.clone(),
            epoch,
            segment_bytes_max: options.segment_bytes_max,
            segment_age_max: options.segment_age_max,
            sync_delay_max: options.sync_delay_max,
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("provost-log-sync".to_owned())
            .spawn(move || for_thread.sync_loop())
            .map_err(Error::file("start the fsync thread for", &options.folder))?;
        Ok(Committer {
            shared,
            thread: Some(thread),
        })
    }

    pub(super) fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// Writes the frames staged for these entries; returns the first one's sequence once write(2) has taken all of them.
    pub(super) fn append(
        &self,
        staged: &mut Staged,
        entries: &[Entry<'_>],
        durability: Durability,
    ) -> Result<u64, Error> {
        let mut writer = self.shared.lock();
        writer.check()?;
        if self.shared.is_segment_full(&writer) {
            self.shared.rotate(&mut writer)?;
        }
        let sequence = writer.next_sequence;
        staged.define(entries, writer.serial);
        let bytes = staged.finish(sequence);
        if let Err(source) = writer.file.append(bytes) {
            let path = writer.path.clone();
            return Err(self.shared.fail(
                &mut writer,
                Error::File {
                    action: "append to",
                    path,
                    source,
                },
            ));
        }
        staged::hold(entries, writer.serial);
        writer.segment_bytes += bytes.len() as u64;
        writer.next_sequence += entries.len() as u64;
        let was_clean = writer.dirty_since.is_none();
        if was_clean {
            writer.dirty_since = Some(Instant::now());
        }
        let is_urgent = durability == Durability::Power && !writer.urgent;
        writer.urgent |= is_urgent;
        drop(writer);
        if was_clean || is_urgent {
            self.shared.wake.notify_one();
        }
        Ok(sequence)
    }

    /// Asks for an fsync now; returns the sequence that bounds what it covers.
    pub(super) fn request_sync(&self) -> Result<u64, Error> {
        let mut writer = self.shared.lock();
        writer.check()?;
        writer.urgent = writer.dirty_since.is_some();
        let end = writer.next_sequence;
        drop(writer);
        self.shared.wake.notify_one();
        Ok(end)
    }

    /// Waits until every sequence below `end` survives power loss.
    pub(super) async fn wait_synced(&self, end: u64) -> Result<(), Error> {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress
            .wait_for(|now| now.synced >= end || now.failed.is_some())
            .await;
        match reached {
            Ok(now) if now.synced >= end => Ok(()),
            Ok(now) => Err(Error::LogFailed {
                cause: now.failed.clone().unwrap_or_else(closed),
            }),
            Err(_closed) => Err(Error::LogFailed { cause: closed() }),
        }
    }

    /// Closes the current segment if it holds anything; returns the first sequence that is not in a closed segment.
    pub(super) fn rotate(&self) -> Result<u64, Error> {
        let mut writer = self.shared.lock();
        writer.check()?;
        if writer.next_sequence > writer.first_sequence {
            self.shared.rotate(&mut writer)?;
        }
        Ok(writer.first_sequence)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log's fsync thread panicked");
        }
    }
}

impl Writer {
    fn check(&self) -> Result<(), Error> {
        match &self.failed {
            None => Ok(()),
            Some(cause) => Err(Error::LogFailed {
                cause: Arc::clone(cause),
            }),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(|poisoned| {
            // Someone panicked between two fields of the writer: nothing after that can be trusted.
            let mut writer = poisoned.into_inner();
            if writer.failed.is_none() {
                writer.failed = Some(closed());
            }
            writer
        })
    }

    fn is_segment_full(&self, writer: &Writer) -> bool {
        let is_empty = writer.next_sequence == writer.first_sequence;
        !is_empty
            && (writer.segment_bytes >= self.segment_bytes_max
                || writer.segment_began.elapsed() >= self.segment_age_max)
    }

    /// Closes the segment and begins the next.
    // INVARIANT: a segment is fsynced before its successor exists, so only the last segment can have a torn tail.
    fn rotate(&self, writer: &mut Writer) -> Result<(), Error> {
        if let Err(source) = writer.file.sync() {
            let path = writer.path.clone();
            return Err(self.fail(
                writer,
                Error::File {
                    action: "fsync",
                    path,
                    source,
                },
            ));
        }
        let first = writer.next_sequence;
        self.advance(first);
        let path = self.folder.join(segment::file_name(first));
        let header = segment::header(self.epoch, first);
        match self.disk.create_segment(&path, &header) {
            Err(source) => Err(self.fail(
                writer,
                Error::File {
                    action: "create",
                    path,
                    source,
                },
            )),
            Ok(file) => {
                writer.file = file;
                writer.path = path;
                writer.serial = SegmentSerial::next();
                writer.first_sequence = first;
                writer.segment_bytes = header.len() as u64;
                writer.segment_began = Instant::now();
                writer.dirty_since = None;
                writer.urgent = false;
                Ok(())
            }
        }
    }

    fn advance(&self, synced: u64) {
        self.progress
            .send_modify(|progress| progress.synced = progress.synced.max(synced));
    }

    /// The log takes nothing from here on. Returns what the caller reports.
    fn fail(&self, writer: &mut Writer, error: Error) -> Error {
        let cause = Arc::new(error);
        tracing::error!(error = %cause, "the log has failed");
        writer.failed = Some(Arc::clone(&cause));
        self.progress
            .send_modify(|progress| progress.failed = Some(Arc::clone(&cause)));
        self.wake.notify_one();
        Error::LogFailed { cause }
    }

    /// The fsync thread: waits for an urgent append, or for the oldest unsynced one to be old enough.
    fn sync_loop(&self) {
        let mut writer = self.lock();
        while writer.failed.is_none() {
            let Some(dirty_since) = writer.dirty_since else {
                if writer.closing {
                    return;
                }
                writer = self
                    .wake
                    .wait(writer)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                continue;
            };
            let age = dirty_since.elapsed();
            if !writer.urgent && !writer.closing && age < self.sync_delay_max {
                let waited = self
                    .wake
                    .wait_timeout(writer, self.sync_delay_max.saturating_sub(age));
                writer = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
                continue;
            }
            let (file, path, end) = (
                Arc::clone(&writer.file),
                writer.path.clone(),
                writer.next_sequence,
            );
            writer.dirty_since = None;
            writer.urgent = false;
            drop(writer);
            let synced = file.sync();
            writer = self.lock();
            match synced {
                Ok(()) => self.advance(end),
                Err(source) => {
                    self.fail(
                        &mut writer,
                        Error::File {
                            action: "fsync",
                            path,
                            source,
                        },
                    );
                }
            }
        }
    }
}

fn closed() -> Arc<Error> {
    Arc::new(Error::File {
        action: "keep writing",
        path: PathBuf::new(),
        source: std::io::Error::other("the log's writer is gone"),
    })
}

//! The writing end: one mutex around write(2), one thread that fsyncs for everybody who waits (group commit).
//! It must never write behind a failed write or acknowledge behind a failed fsync: the first error is final. One is not: where there is no
//! room, the log stops, says so in its last record, and goes on once a seal has made room.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::draft::{Entry, LatestSegment, SegmentSerial};
use crate::error::Error;
use crate::log::disk::{self, Disk};
use crate::log::room::{Reserve, Room, Shortage};
use crate::log::staged::{self, Staged};
use crate::log::synced::Synced;
use crate::log::{Durability, LogOptions, own_words, segment};
use crate::results;

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
    file: Arc<Synced>,
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
    room: Room,
    reserve: Reserve,
}

struct Shared {
    writer: Mutex<Writer>,
    /// The writer's `serial`, for those who don't lock it.
    segment: LatestSegment,
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
        let spooled = results::bytes_spooled(&options.folder)
            .map_err(Error::file("look into", &options.folder))?;
        let held = segment::bytes_held(&options.folder)? + spooled;
        let mut reserve = Reserve::new(&options.folder, options.reserve_bytes);
        let mut created = disk::create_segment(&*disk, &path, &header);
        if created.as_ref().is_err_and(disk::is_full) {
            reserve.give_up(&*disk);
            created = disk::create_segment(&*disk, &path, &header);
        }
        let file = created.map_err(Error::file("create", &path))?;
        if let Err(error) = reserve.take(&*disk) {
            // A start is what may make room: by sealing. It is tried again then.
            tracing::warn!(%error, "no room for the log's reserve");
        }
        let writer = Writer {
            file: Synced::new(file),
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
            room: Room::new(options, held + header.len() as u64),
            reserve,
        };
        let shared = Arc::new(Shared {
            segment: LatestSegment::new(writer.serial),
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
        if let Err(shortage) = writer.room.admit(entries, staged.bytes()) {
            return Err(self.shared.stop(&mut writer, shortage));
        }
        if self.shared.is_segment_full(&writer) {
            self.shared.rotate(&mut writer)?;
        }
        let written = self.shared.write(&mut writer, staged, entries)?;
        if writer.room.is_mark_passed() {
            self.shared.say_backlog(&mut writer);
        }
        let is_urgent = durability == Durability::Power && !writer.urgent;
        writer.urgent |= is_urgent;
        drop(writer);
        if written.was_clean || is_urgent {
            self.shared.wake.notify_one();
        }
        Ok(written.sequence)
    }

    /// The current segment, as far as somebody looked.
    pub(super) fn segment(&self) -> SegmentSerial {
        self.shared.segment.get()
    }

    /// Writes the frames staged for this segment, whose definitions are with them; returns the first one's sequence. `None` where the segment
    /// is another by now, or anything else is in the way: nothing is written then, and whose entries they are appends each by itself.
    pub(super) fn append_batch(&self, staged: &mut Staged, segment: SegmentSerial) -> Option<u64> {
        let mut writer = self.shared.lock();
        let is_plain = writer.failed.is_none()
            && writer.serial == segment
            && !self.shared.is_segment_full(&writer)
            && writer.room.is_open_to(staged.bytes());
        if !is_plain {
            return None;
        }
        let written = self.shared.write_staged(&mut writer, staged).ok()?;
        if writer.room.is_mark_passed() {
            self.shared.say_backlog(&mut writer);
        }
        drop(writer);
        if written.was_clean {
            self.shared.wake.notify_one();
        }
        Some(written.sequence)
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
            match self.shared.rotate(&mut writer) {
                // The reserve was given up meanwhile: sealing is what makes room.
                Err(Error::LogFull { .. }) => self.shared.rotate(&mut writer)?,
                rotated => rotated?,
            }
        }
        Ok(writer.first_sequence)
    }

    /// Deletes the segments whose first sequence is below `next_sequence`, oldest first so that what is left is gapless.
    pub(super) fn remove_segments(&self, next_sequence: u64) -> Result<(), Error> {
        let mut freed = 0;
        for segment in segment::list(&self.shared.folder)? {
            if segment.first_sequence >= next_sequence {
                break;
            }
            let path = &segment.path;
            let found = std::fs::metadata(path).map_err(Error::file("look at", path))?;
            self.shared
                .disk
                .remove(path)
                .map_err(Error::file("remove", path))?;
            freed += found.len();
        }
        let marker = self.shared.folder.join(segment::file_name(next_sequence));
        self.shared
            .disk
            .sync_folder_of(&marker)
            .map_err(Error::file("fsync", &self.shared.folder))?;
        self.shared.free(freed);
        Ok(())
    }

    /// Takes room for so many bytes of a recorded result.
    pub(super) fn take_room(&self, bytes: u64) -> Result<(), Error> {
        let mut writer = self.shared.lock();
        writer.check()?;
        let admitted = writer.room.admit_result(bytes);
        admitted.map_err(|shortage| Error::LogFull { shortage })?;
        writer.room.add(bytes);
        if writer.room.is_mark_passed() {
            self.shared.say_backlog(&mut writer);
        }
        Ok(())
    }

    /// Takes room for so many bytes that end a recorded result.
    pub(super) fn fill_room(&self, bytes: u64) {
        self.shared.lock().room.add(bytes);
    }

    /// So many bytes of recorded results are gone.
    pub(super) fn give_room(&self, bytes: u64) {
        self.shared.free(bytes);
    }

    /// Looks whether a log that stopped may go on.
    pub(super) fn resume(&self) {
        self.shared.free(0);
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.shared.disk
    }

    /// Bytes that the log holds.
    pub(super) fn bytes(&self) -> u64 {
        self.shared.lock().room.bytes()
    }
}

/// What became of entries that were written.
struct Written {
    /// The first one's.
    sequence: u64,
    /// Nothing waited for an fsync before.
    was_clean: bool,
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
        self.sync(writer)?;
        let first = writer.next_sequence;
        let path = self.folder.join(segment::file_name(first));
        let header = segment::header(self.epoch, first);
        match disk::create_segment(&*self.disk, &path, &header) {
            Err(source) if disk::is_full(&source) => Err(self.stop(writer, Shortage::Disk)),
            Err(source) => Err(self.fail(
                writer,
                Error::File {
                    action: "create",
                    path,
                    source,
                },
            )),
            Ok(file) => {
                writer.file = Synced::new(file);
                writer.path = path;
                writer.serial = SegmentSerial::next();
                self.segment.set(writer.serial);
                writer.first_sequence = first;
                writer.segment_bytes = header.len() as u64;
                writer.room.add(header.len() as u64);
                writer.segment_began = Instant::now();
                Ok(())
            }
        }
    }

    /// Writes staged entries behind what is in the segment.
    fn write(
        &self,
        writer: &mut Writer,
        staged: &mut Staged,
        entries: &[Entry<'_>],
    ) -> Result<Written, Error> {
        staged.define(entries, writer.serial);
        let written = self.write_staged(writer, staged)?;
        staged::hold(entries, writer.serial);
        Ok(written)
    }

    /// Writes frames, which have the definitions that the segment lacks.
    fn write_staged(&self, writer: &mut Writer, staged: &mut Staged) -> Result<Written, Error> {
        let sequence = writer.next_sequence;
        let entries = staged.entries();
        let bytes = staged.finish(sequence);
        if let Err(source) = writer.file.append(bytes) {
            return Err(self.refused(writer, source));
        }
        let bytes = bytes.len() as u64;
        writer.segment_bytes += bytes;
        writer.next_sequence += entries;
        let was_clean = writer.dirty_since.is_none();
        if was_clean {
            writer.dirty_since = Some(Instant::now());
        }
        writer.room.add(bytes);
        Ok(Written {
            sequence,
            was_clean,
        })
    }

    /// A write failed. Where there is only no room, what it left is cut off again, and the log stops; else it has failed.
    // INVARIANT: nothing is written behind a part of a frame, and nothing is read back that a disk in trouble may have made up: the length of
    // what is good is known here.
    fn refused(&self, writer: &mut Writer, source: std::io::Error) -> Error {
        let cut = match disk::is_full(&source) {
            true => writer.file.cut(writer.segment_bytes),
            false => Err(source),
        };
        match cut {
            Ok(()) => self.stop(writer, Shortage::Disk),
            Err(source) => {
                let path = writer.path.clone();
                self.fail(
                    writer,
                    Error::File {
                        action: "append to",
                        path,
                        source,
                    },
                )
            }
        }
    }

    /// The log takes nothing until there is room. The reserve makes room for saying so.
    fn stop(&self, writer: &mut Writer, shortage: Shortage) -> Error {
        let before = writer.room.stopped.replace(shortage);
        if before != Some(shortage) {
            tracing::error!(%shortage, "the audit log stops: statements are denied until evidence can be sealed");
            if shortage == Shortage::Disk {
                writer.reserve.give_up(&*self.disk);
            }
            self.say(writer, "audit-stopped", Some(shortage.to_string()));
        }
        match &writer.failed {
            Some(cause) => Error::LogFailed {
                cause: Arc::clone(cause),
            },
            None => Error::LogFull { shortage },
        }
    }

    fn say_backlog(&self, writer: &mut Writer) {
        let bytes = writer.room.bytes();
        tracing::warn!(
            bytes,
            "much of the audit log is not sealed: is the store reachable?"
        );
        self.say(writer, "audit-backlog", Some(format!("{bytes} bytes")));
    }

    /// Appends a record of the log's own, whatever the limit says, and makes it durable.
    fn say(&self, writer: &mut Writer, what: &str, after: Option<String>) {
        let record = own_words(what, after);
        let entries = [Entry::from(&record)];
        let mut staged = Staged::new();
        let written = staged.stage(&entries).and_then(|()| {
            self.write(writer, &mut staged, &entries)?;
            self.sync(writer)
        });
        if let Err(error) = written {
            tracing::error!(%error, what, "the audit log could not record this of itself");
        }
    }

    /// So many bytes of segments are gone. A log that stopped goes on where there is room for it and for its reserve.
    fn free(&self, bytes: u64) {
        let mut writer = self.lock();
        let writer = &mut *writer;
        let is_over = writer.room.free(bytes);
        if writer.failed.is_some() {
            return;
        }
        let reserved = writer.reserve.take(&*self.disk);
        let is_room = match writer.room.stopped {
            None => false,
            Some(Shortage::Limit { .. }) => writer.room.is_below_limit(),
            Some(Shortage::Disk) => reserved.is_ok() && writer.room.is_below_limit(),
        };
        if is_room {
            writer.room.stopped = None;
            tracing::info!("the audit log goes on");
            self.say(writer, "audit-resumed", None);
        }
        if is_over {
            let bytes = writer.room.bytes();
            tracing::info!(bytes, "the audit log's backlog is sealed");
            self.say(writer, "audit-backlog-over", Some(format!("{bytes} bytes")));
        }
    }

    /// Makes all that was appended to the segment durable, while everyone waits.
    fn sync(&self, writer: &mut Writer) -> Result<(), Error> {
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
        writer.dirty_since = None;
        writer.urgent = false;
        self.advance(writer.next_sequence);
        Ok(())
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

//! How much the log may hold: a mark at which someone is told, a limit at which it stops, and a reserve on the disk for what must still be
//! written then. Must never let a decision in beyond the limit, nor forget that it was reached.

use std::io;
use std::path::{Path, PathBuf};

use crate::draft::Entry;
use crate::log::LogOptions;
use crate::log::disk::Disk;
use crate::record::{ApprovalEvent, Record, RecordingEvent, SessionEvent};

/// Room beyond the limit for what ends: statements and sessions that began before it was reached, and what the gateway says of itself.
pub(crate) const ENDS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How much the reserve is written at once.
const RESERVE_CHUNK_BYTES: u64 = 64 * 1024;

/// Why the log takes nothing for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Shortage {
    /// As much as it may hold is not sealed.
    #[error("it holds {bytes_max} bytes that could not be sealed, which is its limit")]
    Limit {
        /// The limit, bytes.
        bytes_max: u64,
    },
    /// The disk, or its quota.
    #[error("its disk is full")]
    Disk,
}

/// What the log holds, and may.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    bytes_warn: u64,
    bytes_max: u64,
    is_warned: bool,
    pub(super) stopped: Option<Shortage>,
}

impl Room {
    /// A log that holds so many bytes, headers and all.
    pub(super) fn new(options: &LogOptions, bytes: u64) -> Self {
        Self {
            bytes,
            bytes_warn: options.bytes_warn,
            bytes_max: options.bytes_max,
            is_warned: false,
            stopped: None,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether entries of so many bytes may come in. What ends something that is in already, may for longer.
    pub(super) fn admit(&self, entries: &[Entry<'_>], bytes: u64) -> Result<(), Shortage> {
        let limit = Shortage::Limit {
            bytes_max: self.bytes_max,
        };
        let (is_ending, then) = (entries.iter().all(is_end), self.bytes.saturating_add(bytes));
        match self.stopped {
            Some(Shortage::Disk) => Err(Shortage::Disk),
            None if then <= self.bytes_max => Ok(()),
            Some(Shortage::Limit { .. }) | None
                if is_ending && then <= self.bytes_max.saturating_add(ENDS_BYTES_MAX) =>
            {
                Ok(())
            }
            Some(Shortage::Limit { .. }) | None => Err(limit),
        }
    }

    /// Whether so many bytes may come in, whatever they say.
    pub(super) fn is_open_to(&self, bytes: u64) -> bool {
        self.stopped.is_none() && self.bytes.saturating_add(bytes) <= self.bytes_max
    }

    /// Whether a result of so many bytes more may be recorded: it leaves room for decisions.
    pub(super) fn admit_result(&self, bytes: u64) -> Result<(), Shortage> {
        match self.stopped {
            Some(shortage) => Err(shortage),
            None if self.bytes.saturating_add(bytes) <= most_of(self.bytes_max) => Ok(()),
            None => Err(Shortage::Limit {
                bytes_max: self.bytes_max,
            }),
        }
    }

    /// So many bytes came in.
    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether the mark was passed and nobody was told; they are now.
    pub(super) fn is_mark_passed(&mut self) -> bool {
        let is_passed = !self.is_warned && self.bytes > self.bytes_warn;
        self.is_warned |= is_passed;
        is_passed
    }

    /// So many bytes are gone. Whether the log was above its mark until now, and is well below again.
    pub(super) fn free(&mut self, bytes: u64) -> bool {
        self.bytes = self.bytes.saturating_sub(bytes);
        let is_over = self.is_warned && self.bytes <= most_of(self.bytes_warn);
        self.is_warned &= !is_over;
        is_over
    }

    /// Whether there is room again where the limit was reached: some more than one entry's.
    pub(super) fn is_below_limit(&self) -> bool {
        self.bytes <= most_of(self.bytes_max)
    }
}

fn most_of(bytes: u64) -> u64 {
    bytes / 10 * 9
}

/// What ends something, or is said by the gateway of itself: it follows from what was let in.
fn is_end(entry: &Entry<'_>) -> bool {
    match entry {
        Entry::Decision(..) | Entry::Reworded(..) => false,
        Entry::End(_) => true,
        Entry::Whole(record) => match record.as_ref() {
            Record::Decision(_) => false,
            Record::End(_) | Record::Change(_) => true,
            Record::Session(session) => session.event == SessionEvent::Closed,
            Record::Approval(approval) => matches!(
                approval.event,
                ApprovalEvent::Used | ApprovalEvent::Expired | ApprovalEvent::Withdrawn
            ),
            Record::Recording(recording) => recording.event != RecordingEvent::Asked,
        },
    }
}

/// A file that takes up room on the disk, to give it up where there is no other.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    is_there: bool,
}

impl Reserve {
    pub(super) fn new(folder: &Path, bytes: u64) -> Self {
        Self {
            path: folder.join("reserve"),
            bytes,
            is_there: false,
        }
    }

    /// Takes the room up; a reserve that is there stays. Zeros are written, for a file that is only long takes no room.
    pub(super) fn take(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if self.is_there || self.bytes == 0 {
            return Ok(());
        }
        let is_whole = std::fs::metadata(&self.path).is_ok_and(|found| found.len() == self.bytes);
        if !is_whole && let Err(error) = self.write(disk) {
            // Half a reserve is in the way of those who need the room now.
            let _ = disk.remove(&self.path);
            return Err(error);
        }
        self.is_there = true;
        Ok(())
    }

    fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        let file = disk.create(&self.path)?;
        let mut left = self.bytes;
        while left > 0 {
            let next = left.min(RESERVE_CHUNK_BYTES);
            // At most 64 KiB: it fits any platform's usize.
            file.append(&vec![0; usize::try_from(next).unwrap_or_default()])?;
            left -= next;
        }
        file.sync()?;
        disk.sync_folder_of(&self.path)
    }

    /// Gives the room up.
    pub(super) fn give_up(&mut self, disk: &dyn Disk) {
        self.is_there = false;
        match disk.remove(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "the log's reserve could not be given up"),
        }
    }
}

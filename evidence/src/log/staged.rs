//! Frames on their way into a segment: encoded before the log is locked, numbered and completed while it is. Must never hold more memory
//! between appends than [`BYTES_KEPT`].

use std::cell::Cell;

use crate::draft::{Definition, Entry, SegmentSerial};
use crate::error::Error;
use crate::log::{entry, frame};

/// Memory for encoding that a thread keeps; frames that took more give it back.
const BYTES_KEPT: usize = 64 * 1024;

thread_local! {
    /// Memory for the next frames of this thread.
    static SPARE: Cell<Staged> = const { Cell::new(Staged::new()) };
}

/// One frame for each of some entries, in order.
#[derive(Debug)]
pub(super) struct Staged {
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
}

impl Staged {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Replaces what is staged by these entries, without definitions and headers.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`], [`Error::Encode`]; then nothing of it may be written.
    pub(super) fn stage(&mut self, entries: &[Entry<'_>]) -> Result<(), Error> {
        self.bytes.clear();
        self.ends.clear();
        for one in entries {
            self.stage_one(one)?;
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    /// Stages these entries behind what is staged, with the definitions that the segment lacks.
    ///
    /// # Errors
    /// As [`Staged::stage`]; then nothing of them is staged.
    pub(super) fn add(
        &mut self,
        entries: &[Entry<'_>],
        segment: SegmentSerial,
    ) -> Result<(), Error> {
        let (bytes, count) = (self.bytes.len(), self.ends.len());
        for one in entries {
            if let Err(error) = self.stage_one(one) {
                self.bytes.truncate(bytes);
                self.ends.truncate(count);
                return Err(error);
            }
            self.define_one(one, segment);
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    /// Appends an entry's frame, without definitions.
    fn stage_one(&mut self, one: &Entry<'_>) -> Result<(), Error> {
        let start = frame::begin(&mut self.bytes);
        entry::write(one, &mut self.bytes).map_err(|source| Error::Encode { source })?;
        let written = self.bytes.len() - start - frame::FRAME_HEADER_BYTES;
        // Whether its definitions are needed is known only to who writes it: what is too large must not hang on that.
        let bytes = written + entry::definitions_bytes_max(one);
        if bytes > frame::PAYLOAD_BYTES_MAX {
            return Err(Error::RecordTooLarge {
                bytes,
                bytes_max: frame::PAYLOAD_BYTES_MAX,
            });
        }
        Ok(())
    }

    /// Appends those of the entry's definitions that the segment lacks.
    fn define_one(&mut self, one: &Entry<'_>, segment: SegmentSerial) {
        let is_lacked = |definition: &Definition| !definition.is_held_by(segment);
        entry::write_definitions(one, is_lacked, &mut self.bytes);
    }

    /// How many frames are staged.
    pub(super) fn entries(&self) -> u64 {
        self.ends.len() as u64
    }

    /// How many bytes are staged; definitions may come to it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Adds the definitions that the segment lacks to the frames that need them. Once it is written, [`hold`] must be told.
    pub(super) fn define(&mut self, entries: &[Entry<'_>], segment: SegmentSerial) {
        if entries.iter().all(|one| is_defined(one, segment)) {
            return;
        }
        let bare = std::mem::take(&mut self.bytes);
        let ends = std::mem::take(&mut self.ends);
        let mut start = 0;
        for (one, end) in entries.iter().zip(ends) {
            let frame = bare.get(start..end).unwrap_or_default();
            start = end;
            self.bytes.extend_from_slice(frame);
            self.define_one(one, segment);
            self.ends.push(self.bytes.len());
        }
    }

    /// Nothing staged, in memory that was used before.
    pub(super) fn spare() -> Self {
        SPARE.replace(Self::new())
    }

    /// It is done with: its memory is for the next, where it is not too much.
    pub(super) fn over(mut self) {
        if self.bytes.capacity() <= BYTES_KEPT {
            self.bytes.clear();
            self.ends.clear();
            SPARE.set(self);
        }
    }

    /// Completes the frames: the first has this sequence.
    pub(super) fn finish(&mut self, first_sequence: u64) -> &[u8] {
        let mut start = 0;
        for (end, sequence) in self.ends.iter().zip(first_sequence..) {
            if let Some(frame) = self.bytes.get_mut(start..*end) {
                frame::finish(frame, sequence);
            }
            start = *end;
        }
        &self.bytes
    }
}

/// The segment has the entries' definitions now.
pub(super) fn hold(entries: &[Entry<'_>], segment: SegmentSerial) {
    for one in entries {
        let (draft, session) = one.definitions();
        for definition in [draft, session].into_iter().flatten() {
            definition.is_now_held_by(segment);
        }
    }
}

fn is_defined(one: &Entry<'_>, segment: SegmentSerial) -> bool {
    let (draft, session) = one.definitions();
    draft.is_none_or(|draft| draft.is_held_by(segment))
        && session.is_none_or(|session| session.is_held_by(segment))
}

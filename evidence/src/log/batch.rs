//! One write(2) for the entries of several tasks of a thread: an entry waits until the tasks that are ready beside its own had their turn,
//! and the first that is asked again writes all of them. Must never acknowledge an entry that is not written: one that its batch did not
//! write is appended by itself.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use crate::draft::{Entry, SegmentSerial};
use crate::error::Error;
use crate::log::committer::Committer;
use crate::log::staged::{self, Staged};

/// Bytes of a batch; what comes then begins another.
const BATCH_BYTES_MAX: usize = 64 * 1024;
/// So many batches of one task each show that nobody else is ready.
const ALONE_MAX: u32 = 8;
/// So many entries are then appended by themselves before a batch is tried again.
const ALONE_ENTRIES: u32 = 64;

thread_local! {
    /// The batch that tasks of this thread may join.
    static OPEN: RefCell<Option<Arc<Batch>>> = const { RefCell::new(None) };
    static COMPANY: Company = const { Company { alone: Cell::new(0), left: Cell::new(0) } };
}

/// Whether others were there.
struct Company {
    /// Batches of one task, one after the other.
    alone: Cell<u32>,
    /// Entries that are to be appended by themselves yet.
    left: Cell<u32>,
}

/// Entries of several tasks for one segment.
#[derive(Debug)]
struct Batch {
    segment: SegmentSerial,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Not written yet; what so many tasks staged.
    Open(Staged, u32),
    /// Its first entry's sequence; `None`: it was not written.
    Over(Option<u64>),
}

/// A place in a batch. Dropped early, it writes the batch: the others' entries and its own are in the log then.
pub(super) struct Place<'a> {
    committer: &'a Committer,
    batch: Arc<Batch>,
    /// How many entries are before it.
    before: u64,
}

/// Whether an entry of this thread is likely to find company.
pub(super) fn is_worth_it() -> bool {
    COMPANY.with(|company| match company.left.get() {
        0 => true,
        left => {
            company.left.set(left - 1);
            false
        }
    })
}

/// Stages the entries behind those of other tasks of this thread.
///
/// # Errors
/// As [`Staged::stage`]; nothing of them is staged then.
pub(super) fn join<'a>(
    committer: &'a Committer,
    entries: &[Entry<'_>],
) -> Result<Place<'a>, Error> {
    OPEN.with_borrow_mut(|open| {
        let segment = committer.segment();
        if let Some(batch) = open.as_ref().filter(|batch| batch.segment == segment)
            && let State::Open(staged, tasks) = &mut *batch.lock()
            && staged.bytes() < BATCH_BYTES_MAX as u64
        {
            let before = staged.entries();
            staged.add(entries, segment)?;
            *tasks += 1;
            return Ok(Place {
                committer,
                batch: Arc::clone(batch),
                before,
            });
        }
        let mut staged = Staged::spare();
        staged.add(entries, segment)?;
        let batch = Arc::new(Batch {
            segment,
            state: Mutex::new(State::Open(staged, 1)),
        });
        *open = Some(Arc::clone(&batch));
        Ok(Place {
            committer,
            batch,
            before: 0,
        })
    })
}

impl Place<'_> {
    /// Waits for the other ready tasks of this thread, then for the batch to be written. The first entry's sequence; `None` where the
    /// batch was not written.
    pub(super) async fn written(self, entries: &[Entry<'_>]) -> Option<u64> {
        let mut had_its_turn = false;
        poll_fn(|context| {
            if std::mem::replace(&mut had_its_turn, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        let first = self.batch.close(self.committer)?;
        staged::hold(entries, self.batch.segment);
        Some(first + self.before)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let _ = self.batch.close(self.committer);
    }
}

impl Batch {
    /// Writes what is in it, unless that was tried before; its first entry's sequence, where it is written.
    fn close(&self, committer: &Committer) -> Option<u64> {
        let mut state = self.lock();
        let staged = match &mut *state {
            State::Over(first) => return *first,
            State::Open(staged, tasks) => {
                note_company(*tasks);
                staged
            }
        };
        let first = committer.append_batch(staged, self.segment);
        if let State::Open(staged, _) = std::mem::replace(&mut *state, State::Over(first)) {
            staged.over();
        }
        first
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            // Somebody panicked while it was written: nobody may rely on it.
            let mut state = poisoned.into_inner();
            *state = State::Over(None);
            state
        })
    }
}

fn note_company(tasks: u32) {
    COMPANY.with(|company| {
        let alone = match tasks {
            1 => company.alone.get() + 1,
            _ => 0,
        };
        let is_alone = alone >= ALONE_MAX;
        company.alone.set(if is_alone { 0 } else { alone });
        if is_alone {
            company.left.set(ALONE_ENTRIES);
        }
    });
}

//! What a gateway has logged and not sealed yet, as the rows that a seal made now would have. Reads the log's folder beside the process
//! that writes it; must never change anything there, nor give a row that is sealed.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use datafusion::arrow;

use crate::dataset::Dataset;
use crate::entries::Vocabulary;
use crate::error::Error;
use crate::log::segment;
use crate::record::Micros;
use crate::seal::columns::Shared;
use crate::seal::join::Joiner;
use crate::seal::pending::Pending;
use crate::seal::state::State;

/// Rows by dataset.
pub(crate) type Rows = BTreeMap<Dataset, Vec<RecordBatch>>;

/// Where sealing stands: rows are of a log that was not sealed meanwhile if it is the same before and after they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    next_sequence: u64,
    next_log_index: u64,
}

/// Where sealing stands; `None` while a seal is under way.
pub(crate) fn mark(folder: &Path) -> Result<Option<Mark>, Error> {
    let path = Pending::path(folder);
    if path.try_exists().map_err(Error::file("find", &path))? {
        return Ok(None);
    }
    let state = State::read(folder)?.map(|(state, _)| state);
    Ok(Some(Mark {
        next_sequence: state.as_ref().map_or(0, |state| state.next_sequence),
        next_log_index: state.as_ref().map_or(0, |state| state.next_log_index),
    }))
}

/// The rows that a seal made now would have. What is decided and has not ended has outcome `open`. Indexes are those that the next seal
/// would give, and change until then.
///
/// # Errors
/// [`Error::File`] also where a seal deletes what is read: then another try is due; [`Error::Damaged`].
pub(crate) fn rows(folder: &Path, gateway: &str) -> Result<Rows, Error> {
    let state = State::read(folder)?.map_or_else(|| State::first(gateway), |(state, _)| state);
    let mut vocabulary = Vocabulary::default();
    let mut joiner = Joiner::new(&state, &mut vocabulary);
    let mut next_sequence = state.next_sequence;
    for path in segment::list(folder)? {
        if path.first_sequence < state.next_sequence {
            continue; // sealed, and not deleted yet
        }
        let segment = segment::open(&path)?;
        let extent = segment.read(&mut vocabulary, &mut |sequence, item| {
            joiner.take(segment.epoch, sequence, item);
        })?;
        next_sequence = extent.next_sequence;
    }
    // Everything has waited long enough: what has no end is open.
    let joined = joiner.join(&state, vocabulary, (next_sequence, 0), Micros(i64::MAX));
    let shared = Shared::new(gateway, &joined.vocabulary)?;
    let mut rows = Rows::new();
    for group in &joined.groups {
        let batches = shared.batches(group).collect::<Result<Vec<_>, _>>()?;
        rows.entry(group.dataset).or_default().extend(batches);
    }
    Ok(rows)
}

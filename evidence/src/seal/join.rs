//! Joins log entries into rows: a decision and its end become one row of `statements` with its rows of `maskings`.
//! Pure and deterministic: the same state, entries, epoch and time give the same rows. Must never lose an entry: what
//! becomes no row is carried in the next state.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::dataset::{Cell, Dataset, SCHEMA_VERSION};
use crate::entries::{Decided, DraftPlace, Ended, Item, SessionPlace, StatementKey, Vocabulary};
use crate::record::{
    ApprovalRecord, ChangeRecord, Micros, Outcome, RecordingRecord, SessionEvent, SessionRecord,
};
use crate::seal::date;
use crate::seal::state::{State, Waiting};

/// How long a decision waits for its end before it is sealed as a row with outcome `open` (ruling: 60 s).
const CARRY_MICROS_MAX: i64 = 60_000_000;

/// Rows that room is made for before they come: a seal of more of them makes more room as it goes.
const ROWS_EXPECTED_MAX: usize = 16_384;

/// The rows of one object, in order; the first has `first_log_index`, the others follow densely.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) dataset: Dataset,
    pub(crate) date: String,
    pub(crate) first_log_index: u64,
    pub(crate) rows: Rows,
}

/// Rows, never none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    Statements(Vec<StatementRow>),
    Maskings(Vec<MaskingRow>),
    /// Of datasets that have few: a cell for each column.
    Whole(Vec<Vec<Cell>>),
}

impl Rows {
    pub(crate) fn count(&self) -> usize {
        match self {
            Rows::Statements(rows) => rows.len(),
            Rows::Maskings(rows) => rows.len(),
            Rows::Whole(rows) => rows.len(),
        }
    }
}

/// What a batch of entries becomes.
#[derive(Debug)]
pub(crate) struct Joined {
    /// What the rows refer to.
    pub(crate) vocabulary: Vocabulary,
    pub(crate) groups: Vec<Group>,
    /// `next_sequence` and `next_log_index` are set to what they are after this batch.
    pub(crate) state: State,
}

/// How a row says that its statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOutcome {
    Ended(Outcome),
    /// It hasn't yet.
    Open,
}

impl RowOutcome {
    /// Every one, so that each has a place.
    pub(crate) const ALL: [RowOutcome; 8] = [
        RowOutcome::Ended(Outcome::Completed),
        RowOutcome::Ended(Outcome::Failed),
        RowOutcome::Ended(Outcome::Denied),
        RowOutcome::Ended(Outcome::Skipped),
        RowOutcome::Ended(Outcome::Cut),
        RowOutcome::Ended(Outcome::Unknown),
        RowOutcome::Open,
        RowOutcome::Ended(Outcome::Withdrawn),
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            RowOutcome::Ended(Outcome::Completed) => "completed",
            RowOutcome::Ended(Outcome::Failed) => "failed",
            RowOutcome::Ended(Outcome::Denied) => "denied",
            RowOutcome::Ended(Outcome::Skipped) => "skipped",
            RowOutcome::Ended(Outcome::Cut) => "cut",
            RowOutcome::Ended(Outcome::Unknown) => "unknown",
            RowOutcome::Ended(Outcome::Withdrawn) => "withdrawn",
            RowOutcome::Open => "open",
        }
    }
}

/// One row of `statements`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StatementRow {
    /// What it is sorted by, and whose date is its object's.
    pub(crate) time: Micros,
    sequence: u64,
    pub(crate) key: StatementKey,
    pub(crate) decided: Option<Decided>,
    pub(crate) ended: Option<Ended>,
    pub(crate) outcome: RowOutcome,
    /// The row with outcome `open` that this one ends.
    pub(crate) ends: Option<u64>,
    /// The start that logged the decision, where the row is open and its end is awaited.
    awaited_of: Option<u64>,
}

/// One row of `maskings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MaskingRow {
    pub(crate) statement_log_index: u64,
    pub(crate) key: StatementKey,
    pub(crate) session: SessionPlace,
    pub(crate) decided_at: Micros,
    pub(crate) draft: DraftPlace,
    /// Which of the draft's maskings it is.
    pub(crate) place: usize,
    pub(crate) values_masked: Option<u64>,
}

/// A decision without its end.
#[derive(Debug)]
struct Waits {
    sequence: u64,
    epoch: u64,
    open_log_index: Option<u64>,
    decided: Decided,
}

/// Takes the entries of one batch in order.
#[derive(Debug)]
pub(crate) struct Joiner {
    waiting: HashMap<StatementKey, Waits, RandomState>,
    statements: Vec<StatementRow>,
    sessions: Vec<(Micros, u64, Box<SessionRecord>)>,
    changes: Vec<(Micros, u64, Box<ChangeRecord>)>,
    approvals: Vec<(Micros, u64, Box<ApprovalRecord>)>,
    recordings: Vec<(Micros, u64, Box<RecordingRecord>)>,
}

impl Joiner {
    /// Begins with what is waiting.
    pub(crate) fn new(state: &State, vocabulary: &mut Vocabulary) -> Self {
        let waits = |waiting: &Waiting| {
            let decided = vocabulary.take_decision(waiting.decision.clone());
            let waits = Waits {
                sequence: waiting.sequence,
                epoch: waiting.epoch,
                open_log_index: waiting.open_log_index,
                decided,
            };
            (waits.decided.key, waits)
        };
        Self {
            waiting: state.waiting.iter().map(waits).collect(),
            statements: Vec::new(),
            sessions: Vec::new(),
            changes: Vec::new(),
            approvals: Vec::new(),
            recordings: Vec::new(),
        }
    }

    /// Makes room for so many entries, of which two are a row.
    pub(crate) fn expect(&mut self, entries: u64) {
        let rows = usize::try_from(entries / 2).unwrap_or(usize::MAX);
        self.statements.reserve(rows.min(ROWS_EXPECTED_MAX));
    }

    /// Takes an entry of the start `epoch`.
    pub(crate) fn take(&mut self, epoch: u64, sequence: u64, item: Item) {
        match item {
            Item::Decision(decided) => {
                let waits = Waits {
                    sequence,
                    epoch,
                    open_log_index: None,
                    decided,
                };
                let earlier = self.waiting.insert(waits.decided.key, waits);
                // The same id twice is a defect upstream of us; both decisions are evidence all the same.
                self.statements.extend(earlier.map(without_end));
            }
            Item::End(end) => {
                let waits = self.waiting.remove(&end.key);
                self.statements.push(ended(waits, end, sequence));
            }
            Item::Session(session) => self.sessions.push((session.at, sequence, session)),
            Item::Change(change) => self.changes.push((change.at, sequence, change)),
            Item::Approval(approval) => self.approvals.push((approval.at, sequence, approval)),
            Item::Recording(recording) => {
                self.recordings.push((recording.at, sequence, recording));
            }
        }
    }

    /// Whether nothing was taken and nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
            && self.statements.is_empty()
            && self.sessions.is_empty()
            && self.changes.is_empty()
            && self.approvals.is_empty()
            && self.recordings.is_empty()
    }

    /// Joins. `now` decides only which decisions have waited long enough; starts below `epochs_over` are over and wholly read: what they
    /// left without an end has none.
    pub(crate) fn join(
        mut self,
        state: &State,
        vocabulary: Vocabulary,
        (next_sequence, epochs_over): (u64, u64),
        now: Micros,
    ) -> Joined {
        let mut next = state.clone();
        next.next_sequence = next_sequence;
        next.waiting.clear();
        for (_, waits) in self.waiting.drain() {
            let age = now.0.saturating_sub(waits.decided.decided_at.0);
            if waits.epoch < epochs_over {
                self.statements.push(without_end(waits));
            } else if waits.open_log_index.is_none() && age >= CARRY_MICROS_MAX {
                self.statements.push(StatementRow {
                    awaited_of: Some(waits.epoch),
                    outcome: RowOutcome::Open,
                    ..without_end(waits)
                });
            } else {
                next.waiting.push(Waiting {
                    sequence: waits.sequence,
                    epoch: waits.epoch,
                    open_log_index: waits.open_log_index,
                    decision: vocabulary.decision(&waits.decided),
                });
            }
        }
        let groups = self.number(&mut next, &vocabulary);
        next.waiting.sort_by_key(|waiting| waiting.sequence);
        Joined {
            vocabulary,
            groups,
            state: next,
        }
    }

    /// Numbers every row and groups them into objects: dataset by dataset, date by date, by time within.
    fn number(mut self, next: &mut State, vocabulary: &Vocabulary) -> Vec<Group> {
        // A row is large, what it is sorted by is small.
        self.statements
            .sort_by_cached_key(|row| (row.time, row.sequence));
        self.sessions
            .sort_by_key(|(time, sequence, _)| (*time, *sequence));
        self.changes
            .sort_by_key(|(time, sequence, _)| (*time, *sequence));
        self.approvals
            .sort_by_key(|(time, sequence, _)| (*time, *sequence));
        self.recordings
            .sort_by_key(|(time, sequence, _)| (*time, *sequence));
        let mut maskings = Vec::new();
        for (row, log_index) in self.statements.iter().zip(next.next_log_index..) {
            let Some(decided) = &row.decided else {
                continue;
            };
            maskings.extend(maskings_of(row, decided, log_index, vocabulary));
            if let Some(epoch) = row.awaited_of {
                next.waiting.push(Waiting {
                    sequence: row.sequence,
                    epoch,
                    open_log_index: Some(log_index),
                    decision: vocabulary.decision(decided),
                });
            }
        }
        let mut groups = Vec::new();
        let at = &mut next.next_log_index;
        for (date, rows) in by_date(self.statements, |row| row.time) {
            groups.push(group(at, Dataset::Statements, date, Rows::Statements(rows)));
        }
        for (date, rows) in by_date(maskings, |(time, _)| *time) {
            let rows = rows.into_iter().map(|(_, row)| row).collect();
            groups.push(group(at, Dataset::Maskings, date, Rows::Maskings(rows)));
        }
        for (date, rows) in by_date(self.sessions, |(time, ..)| *time) {
            let rows = rows.iter().map(|(_, _, session)| session_cells(session));
            let rows = whole(&next.gateway, *at, rows);
            groups.push(group(at, Dataset::Sessions, date, rows));
        }
        for (date, rows) in by_date(self.changes, |(time, ..)| *time) {
            let rows = rows.iter().map(|(_, _, change)| change_cells(change));
            let rows = whole(&next.gateway, *at, rows);
            groups.push(group(at, Dataset::Changes, date, rows));
        }
        for (date, rows) in by_date(self.approvals, |(time, ..)| *time) {
            let rows = rows.iter().map(|(_, _, approval)| approval_cells(approval));
            let rows = whole(&next.gateway, *at, rows);
            groups.push(group(at, Dataset::Approvals, date, rows));
        }
        for (date, rows) in by_date(self.recordings, |(time, ..)| *time) {
            let rows = rows
                .iter()
                .map(|(_, _, recording)| recording_cells(recording));
            let rows = whole(&next.gateway, *at, rows);
            groups.push(group(at, Dataset::Recordings, date, rows));
        }
        groups
    }
}

/// Parts rows, which are sorted by time, where a day ends.
fn by_date<T>(mut rows: Vec<T>, time: impl Fn(&T) -> Micros) -> Vec<(String, Vec<T>)> {
    let mut parts = Vec::new();
    while let Some(first) = rows.first().map(&time) {
        let is_of_day = |row: &T| date::day(time(row)) == date::day(first);
        let rest = rows.split_off(rows.partition_point(is_of_day));
        parts.push((date::of(first), std::mem::replace(&mut rows, rest)));
    }
    parts
}

fn group(next_log_index: &mut u64, dataset: Dataset, date: String, rows: Rows) -> Group {
    let first_log_index = *next_log_index;
    *next_log_index += rows.count() as u64;
    Group {
        dataset,
        date,
        first_log_index,
        rows,
    }
}

/// Rows with the columns that all datasets have.
fn whole(gateway: &str, first_log_index: u64, rows: impl Iterator<Item = Vec<Cell>>) -> Rows {
    let row = |(own, log_index): (Vec<Cell>, u64)| {
        let mut cells = vec![
            Cell::text(gateway),
            Cell::count(log_index),
            Cell::Integer(SCHEMA_VERSION),
        ];
        cells.extend(own);
        cells
    };
    Rows::Whole(rows.zip(first_log_index..).map(row).collect())
}

fn maskings_of<'a>(
    row: &'a StatementRow,
    decided: &'a Decided,
    log_index: u64,
    vocabulary: &'a Vocabulary,
) -> impl Iterator<Item = (Micros, MaskingRow)> + 'a {
    let maskings = &vocabulary.draft(decided.draft).maskings;
    maskings.iter().enumerate().map(move |(place, masking)| {
        let counts = row.ended.iter().flat_map(|ended| &ended.values_masked);
        let masked = MaskingRow {
            statement_log_index: log_index,
            key: decided.key,
            session: decided.session,
            decided_at: decided.decided_at,
            draft: decided.draft,
            place,
            values_masked: counts
                .into_iter()
                .find(|(output, _)| *output == masking.output_index)
                .map(|(_, values)| *values),
        };
        (row.time, masked)
    })
}

fn ended(waits: Option<Waits>, ended: Ended, sequence: u64) -> StatementRow {
    let outcome = RowOutcome::Ended(ended.outcome);
    match waits {
        Some(waits) if waits.open_log_index.is_none() => StatementRow {
            time: waits.decided.decided_at,
            sequence: waits.sequence,
            key: ended.key,
            decided: Some(waits.decided),
            ended: Some(ended),
            outcome,
            ends: None,
            awaited_of: None,
        },
        // The end of a row already sealed as `open`, or of nothing we know: it belongs to its own time.
        other => StatementRow {
            time: ended.ended_at,
            sequence,
            key: ended.key,
            ends: other.as_ref().and_then(|waits| waits.open_log_index),
            decided: other.map(|waits| waits.decided),
            ended: Some(ended),
            outcome,
            awaited_of: None,
        },
    }
}

fn without_end(waits: Waits) -> StatementRow {
    StatementRow {
        time: waits.decided.decided_at,
        sequence: waits.sequence,
        key: waits.decided.key,
        ends: waits.open_log_index,
        decided: Some(waits.decided),
        ended: None,
        outcome: RowOutcome::Ended(Outcome::Unknown),
        awaited_of: None,
    }
}

fn session_cells(session: &SessionRecord) -> Vec<Cell> {
    let optional = |value: &Option<String>| Cell::optional(value.as_deref());
    let event = match session.event {
        SessionEvent::Opened => "opened",
        SessionEvent::Closed => "closed",
        SessionEvent::Refused => "refused",
    };
    vec![
        Cell::Time(session.at.0),
        Cell::text(event),
        Cell::text(&session.session_id),
        optional(&session.principal),
        optional(&session.principal_kind),
        optional(&session.on_behalf_of),
        Cell::texts(&session.groups),
        optional(&session.issuer),
        optional(&session.client_addr),
        optional(&session.application),
        Cell::Boolean(session.tls),
        optional(&session.target),
        optional(&session.database),
        optional(&session.authentication),
        optional(&session.reason),
        optional(&session.sqlstate),
        optional(&session.role),
    ]
}

fn change_cells(change: &ChangeRecord) -> Vec<Cell> {
    vec![
        Cell::Time(change.at.0),
        Cell::text(&change.actor),
        Cell::text(&change.what),
        Cell::optional(change.before.as_deref()),
        Cell::optional(change.after.as_deref()),
        Cell::optional(change.digest.as_deref()),
    ]
}

fn approval_cells(approval: &ApprovalRecord) -> Vec<Cell> {
    let optional = |value: &Option<String>| Cell::optional(value.as_deref());
    vec![
        Cell::Time(approval.at.0),
        Cell::text(approval.event.name()),
        Cell::text(&approval.approval_id),
        Cell::text(&approval.actor),
        Cell::texts(&approval.actor_groups),
        optional(&approval.reason),
        Cell::text(&approval.requester),
        optional(&approval.on_behalf_of),
        Cell::text(&approval.target),
        Cell::text(&approval.session_id),
        optional(&approval.statement_id),
        optional(&approval.sql),
        Cell::text(&approval.sql_digest),
        optional(&approval.parameters_digest),
        Cell::text(&approval.binding_digest),
        Cell::text(&approval.bundle_digest),
        Cell::texts(&approval.rules),
        Cell::texts(&approval.controls),
        Cell::texts(&approval.needs),
        Cell::Time(approval.requested_at.0),
        Cell::Time(approval.expires_at.0),
    ]
}

fn recording_cells(recording: &RecordingRecord) -> Vec<Cell> {
    let text = |value: &Option<String>| Cell::optional(value.as_deref());
    let count = |value: Option<u64>| value.map_or(Cell::Null, Cell::count);
    vec![
        Cell::Time(recording.at.0),
        Cell::text(recording.event.name()),
        Cell::text(&recording.statement_id),
        Cell::text(&recording.session_id),
        text(&recording.result),
        text(&recording.result_sha256),
        count(recording.part),
        count(recording.parts),
        count(recording.rows),
        count(recording.bytes),
        text(&recording.result_digest),
        recording.is_whole.map_or(Cell::Null, Cell::Boolean),
        text(&recording.input),
        text(&recording.input_key_id),
        text(&recording.catalog_digest),
        text(&recording.not_replayable),
    ]
}

//! Joins log entries into rows: a decision and its end become one row of `statements` with its rows of `maskings`.
//! Pure and deterministic: the same state, entries, epoch and time give the same rows. Must never lose an entry: what
//! becomes no row is carried in the next state.

use std::collections::BTreeMap;

use crate::dataset::{Cell, Dataset, SCHEMA_VERSION};
use crate::record::{
    ChangeRecord, DecisionRecord, EndRecord, MaskingRecord, Micros, Outcome, Phase, Record,
    SessionEvent, SessionRecord,
};
use crate::seal::date;
use crate::seal::state::{State, Waiting};

/// How long a decision waits for its end before it is sealed as a row with outcome `open` (ruling: 60 s).
const CARRY_MICROS_MAX: i64 = 60_000_000;

/// The rows of one object, in order; the first has `first_log_index`, the others follow densely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) dataset: Dataset,
    pub(crate) date: String,
    pub(crate) first_log_index: u64,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// What a batch of entries becomes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) groups: Vec<Group>,
    /// `seal`, `next_sequence` and `next_log_index` are set to what they are after this batch.
    pub(crate) state: State,
}

/// The log entries that one seal takes.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The start that logged them.
    pub(crate) epoch: u64,
    /// Starts below this are over and wholly read: what they left without an end has none.
    pub(crate) epochs_over: u64,
    pub(crate) first_sequence: u64,
    pub(crate) records: Vec<Record>,
}

/// One row of `statements` in the making.
struct StatementRow {
    time: Micros,
    sequence: u64,
    decision: Option<DecisionRecord>,
    end: Option<EndRecord>,
    outcome: &'static str,
    /// The row with outcome `open` that this one ends.
    ends: Option<u64>,
    /// Becomes a row with outcome `open` now, so its end is still awaited.
    keeps_waiting: Option<Waiting>,
}

/// A row before it has its log_index: sorted by date, time, sequence, place.
struct Row {
    date: String,
    order: (Micros, u64, u64),
    cells: Vec<Cell>,
}

/// Joins. `now` decides only which decisions have waited long enough.
pub(crate) fn join(state: &State, batch: Batch, now: Micros) -> Joined {
    let mut next = state.clone();
    let mut statements = Vec::new();
    let mut sessions = Vec::new();
    let mut changes = Vec::new();
    let mut waiting: BTreeMap<String, Waiting> = state
        .waiting
        .iter()
        .map(|waiting| (waiting.decision.statement_id.clone(), waiting.clone()))
        .collect();
    let Batch {
        epoch,
        epochs_over,
        first_sequence,
        records,
    } = batch;
    next.next_sequence = first_sequence + records.len() as u64;
    for (record, sequence) in records.into_iter().zip(first_sequence..) {
        match record {
            Record::Decision(decision) => {
                let id = decision.statement_id.clone();
                let earlier = waiting.insert(
                    id,
                    Waiting {
                        sequence,
                        epoch,
                        open_log_index: None,
                        decision,
                    },
                );
                // The same id twice is a defect upstream of us; both decisions are evidence all the same.
                statements.extend(earlier.map(without_end));
            }
            Record::End(end) => {
                statements.push(ended(waiting.remove(&end.statement_id), end, sequence))
            }
            Record::Session(session) => {
                sessions.push(row(session.at, sequence, session_cells(&session)))
            }
            Record::Change(change) => changes.push(row(change.at, sequence, change_cells(&change))),
        }
    }
    next.waiting.clear();
    for waiting in waiting.into_values() {
        let age = now.0.saturating_sub(waiting.decision.decided_at.0);
        if waiting.epoch < epochs_over {
            statements.push(without_end(waiting));
        } else if waiting.open_log_index.is_none() && age >= CARRY_MICROS_MAX {
            statements.push(StatementRow {
                keeps_waiting: Some(waiting.clone()),
                outcome: "open",
                ..without_end(waiting)
            });
        } else {
            next.waiting.push(waiting);
        }
    }
    let groups = number(&mut next, statements, sessions, changes);
    next.waiting.sort_by_key(|waiting| waiting.sequence);
    Joined {
        groups,
        state: next,
    }
}

/// Numbers every row and groups them into objects: dataset by dataset, date by date, by time within.
fn number(
    next: &mut State,
    statements: Vec<StatementRow>,
    sessions: Vec<Row>,
    changes: Vec<Row>,
) -> Vec<Group> {
    let mut statements = statements;
    statements.sort_by_cached_key(|row| (date::of(row.time), row.time, row.sequence));
    let mut rows = Vec::new();
    let mut maskings = Vec::new();
    for (statement, log_index) in statements.into_iter().zip(next.next_log_index..) {
        rows.push(row(
            statement.time,
            statement.sequence,
            statement_cells(&statement),
        ));
        if let Some(decision) = &statement.decision {
            for (place, masking) in decision.maskings.iter().enumerate() {
                let cells = masking_cells(decision, masking, statement.end.as_ref(), log_index);
                let order = (statement.time, log_index, place as u64);
                maskings.push(Row {
                    date: date::of(statement.time),
                    order,
                    cells,
                });
            }
        }
        if let Some(waiting) = statement.keeps_waiting {
            next.waiting.push(Waiting {
                open_log_index: Some(log_index),
                ..waiting
            });
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    for (dataset, mut rows) in Dataset::ALL
        .into_iter()
        .zip([rows, maskings, sessions, changes])
    {
        rows.sort_by(|left, right| (&left.date, left.order).cmp(&(&right.date, right.order)));
        for row in rows {
            let log_index = next.next_log_index;
            next.next_log_index += 1;
            let mut cells = vec![
                Cell::text(&next.gateway),
                Cell::count(log_index),
                Cell::Integer(SCHEMA_VERSION),
            ];
            cells.extend(row.cells);
            match groups.last_mut() {
                Some(group) if group.dataset == dataset && group.date == row.date => {
                    group.rows.push(cells)
                }
                _ => groups.push(Group {
                    dataset,
                    date: row.date,
                    first_log_index: log_index,
                    rows: vec![cells],
                }),
            }
        }
    }
    groups
}

fn row(time: Micros, sequence: u64, cells: Vec<Cell>) -> Row {
    Row {
        date: date::of(time),
        order: (time, sequence, 0),
        cells,
    }
}

fn ended(waiting: Option<Waiting>, end: EndRecord, sequence: u64) -> StatementRow {
    let outcome = outcome_name(end.outcome);
    match waiting {
        Some(waiting) if waiting.open_log_index.is_none() => StatementRow {
            time: waiting.decision.decided_at,
            sequence: waiting.sequence,
            decision: Some(waiting.decision),
            end: Some(end),
            outcome,
            ends: None,
            keeps_waiting: None,
        },
        // The end of a row already sealed as `open`, or of nothing we know: it belongs to its own time.
        other => StatementRow {
            time: end.ended_at,
            sequence,
            ends: other.as_ref().and_then(|waiting| waiting.open_log_index),
            decision: other.map(|waiting| waiting.decision),
            end: Some(end),
            outcome,
            keeps_waiting: None,
        },
    }
}

fn without_end(waiting: Waiting) -> StatementRow {
    StatementRow {
        time: waiting.decision.decided_at,
        sequence: waiting.sequence,
        ends: waiting.open_log_index,
        decision: Some(waiting.decision),
        end: None,
        outcome: outcome_name(Outcome::Unknown),
        keeps_waiting: None,
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Denied => "denied",
        Outcome::Skipped => "skipped",
        Outcome::Cut => "cut",
        Outcome::Unknown => "unknown",
    }
}

fn statement_cells(row: &StatementRow) -> Vec<Cell> {
    let decision = row.decision.as_ref();
    let end = row.end.as_ref();
    let id = decision
        .map(|d| &d.statement_id)
        .or(end.map(|e| &e.statement_id));
    let text = |of: fn(&DecisionRecord) -> &str| decision.map_or(Cell::Null, |d| Cell::text(of(d)));
    let optional = |of: fn(&DecisionRecord) -> Option<&str>| Cell::optional(decision.and_then(of));
    let optional_texts = |of: fn(&DecisionRecord) -> Option<&[String]>| {
        decision.and_then(of).map_or(Cell::Null, Cell::texts)
    };
    let texts =
        |of: fn(&DecisionRecord) -> &[String]| decision.map_or(Cell::Null, |d| Cell::texts(of(d)));
    vec![
        Cell::optional(id.map(String::as_str)),
        text(|d| &d.session_id),
        decision.map_or(Cell::Null, |d| Cell::count(d.seq)),
        text(|d| phase_name(d.phase)),
        decision.map_or(Cell::Null, |d| Cell::Time(d.decided_at.0)),
        text(|d| &d.principal),
        optional(|d| d.on_behalf_of.as_deref()),
        text(|d| &d.target),
        optional(|d| d.sql.as_deref()),
        text(|d| &d.sql_digest),
        optional(|d| d.fingerprint.as_deref()),
        optional(|d| d.kind.as_deref()),
        texts(|d| &d.relations),
        texts(|d| &d.columns),
        text(|d| &d.verdict),
        texts(|d| &d.rules),
        optional(|d| d.reason.as_deref()),
        texts(|d| &d.controls),
        text(|d| &d.bundle_digest),
        optional(|d| d.facts_digest.as_deref()),
        optional(|d| d.parameters_digest.as_deref()),
        end.map_or(Cell::Null, |e| Cell::Time(e.ended_at.0)),
        Cell::text(row.outcome),
        end.map_or(Cell::Null, |e| Cell::count(e.rows)),
        end.map_or(Cell::Null, |e| Cell::count(e.bytes)),
        end.map_or(Cell::Null, |e| Cell::count(e.duration_us)),
        Cell::optional(end.and_then(|e| e.sqlstate.as_deref())),
        row.ends.map_or(Cell::Null, Cell::count),
        optional(|d| d.observed_verdict.as_deref()),
        optional_texts(|d| d.observed_rules.as_deref()),
        optional_texts(|d| d.probes.as_deref()),
        Cell::optional(end.and_then(|e| e.result_digest.as_deref())),
    ]
}

fn masking_cells(
    decision: &DecisionRecord,
    masking: &MaskingRecord,
    end: Option<&EndRecord>,
    statement_log_index: u64,
) -> Vec<Cell> {
    let counted = end.and_then(|e| {
        e.values_masked
            .iter()
            .find(|(index, _)| *index == masking.output_index)
    });
    vec![
        Cell::count(statement_log_index),
        Cell::text(&decision.statement_id),
        Cell::text(&decision.session_id),
        Cell::Time(decision.decided_at.0),
        Cell::text(&decision.principal),
        Cell::text(&decision.target),
        Cell::Integer(i64::from(masking.output_index)),
        Cell::text(&masking.output_column),
        Cell::texts(&masking.source_columns),
        Cell::text(&masking.class),
        Cell::text(&masking.transform),
        counted.map_or(Cell::Null, |(_, values)| Cell::count(*values)),
        Cell::text(&masking.rule),
        Cell::texts(&masking.controls),
        Cell::optional(masking.key_id.as_deref()),
    ]
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

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Simple => "simple",
        Phase::Prepare => "prepare",
        Phase::Execute => "execute",
    }
}

//! What the server still has to answer, in the order it will.
//!
//! Holds no decision logic: an operation and the statement that runs in it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use provost_engine::verdict::Recording;
use provost_evidence::{record::Outcome, results::MESSAGE_BYTES_MAX};

use super::{
    copy_out::Masking,
    look::{Asking, Until},
    names::{Hold, PortalId},
    refuse::{self, Missing},
    results::is_checked,
};
use crate::{
    judge::{End, Permitted, Refused},
    protocol::{backend::Field, frontend::Target},
    record,
};

/// A part of the pipeline between two Syncs; a simple Query is one of its own. Segments are numbered as they are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment(pub(super) u64);

/// A forwarded frame that the server will answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) segment: Segment,
    pub(super) operation: Operation,
}

/// What was forwarded.
#[derive(Debug)]
pub(super) enum Operation {
    /// A Parse; ends at ParseComplete.
    Parse { name: Arc<[u8]>, decided: Decided },
    /// A Bind.
    Bind { name: Arc<[u8]>, portal: PortalId },
    /// A Close.
    Close { target: Target, name: Arc<[u8]> },
    /// The client's own Describe; of what portal, where it is known to be of one.
    Describe { portal: Option<PortalId> },
    /// Our Describe of the portal that the next operation executes; its answer is not the client's.
    DescribeInjected,
    /// An Execute.
    Execute { portal: PortalId, run: Box<Run> },
    /// A Sync.
    Sync,
    /// A simple Query's statements that have not ended, in order.
    Query {
        runs: VecDeque<Box<Run>>,
        road: Road,
    },
    /// A stand-in for a refused frame.
    Denied(Denied),
    /// A question of the gateway's own; its answer is not the client's.
    Look(Asking),
}

/// What a Parse was decided as.
#[derive(Debug)]
pub(super) enum Decided {
    /// A statement of its own.
    Itself(Permitted),
    /// A part of the one that this portal's Execute is.
    With(PortalId),
}

/// How a simple Query went to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Road {
    /// As it came, or its Sync was sent and nothing of it is left to tell: ReadyForQuery follows by itself.
    Plain,
    /// By the extended protocol, and its Sync is not sent: nothing is committed before its count of rows is looked at.
    Guarded,
    /// By the extended protocol, with its Sync: it follows a question of ours in one transaction, which PostgreSQL does not end with a simple
    /// Query from version 18 on (`start_xact_command`).
    Synced,
    /// Its Sync was sent. The CommandComplete is told once its transaction is committed.
    Released(Box<[u8]>),
}

/// A refusal that waits for its error.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) missing: Missing,
    pub(super) refused: Refused,
    pub(super) shape: Shape,
}

/// Whether a stand-in ends with its error, or with a ReadyForQuery after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The server skips to Sync after the error.
    Extended,
    /// ReadyForQuery follows.
    Simple,
}

impl Operation {
    /// A simple Query that went as it came, of which nothing is left.
    pub(super) const fn answered_query() -> Self {
        Self::Query {
            runs: VecDeque::new(),
            road: Road::Plain,
        }
    }

    /// The portal whose statement fails where this does, before its Execute comes to its turn.
    pub(super) const fn of_portal(&self) -> Option<PortalId> {
        match self {
            Self::Parse {
                decided: Decided::With(portal),
                ..
            }
            | Self::Bind { portal, .. } => Some(*portal),
            Self::Describe { portal } => *portal,
            _ => None,
        }
    }

    /// Whether the server answers this with ReadyForQuery.
    pub(super) const fn ends_segment(&self) -> bool {
        matches!(
            self,
            Self::Sync
                | Self::Query { .. }
                | Self::Denied(Denied {
                    shape: Shape::Simple,
                    ..
                })
                | Self::Look(Asking {
                    until: Until::Ready,
                    ..
                })
        )
    }
}

/// How a COPY within a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copy {
    /// None was announced.
    None,
    /// The server waits for the client's data.
    In,
    /// The client's data ended.
    InDone,
    /// The server sends data.
    Out,
    /// Both send data, each until it says that it is done.
    Both,
    /// Of both, the server said that it is done, but for what it had in hand: it waits for the client's data.
    BothIn,
    /// Of both, the client is done: the server sends data.
    BothOut,
    /// Both said that they are done; what the server had in hand may still come.
    BothDone,
}

impl Copy {
    /// Whether the server waits for the client's data.
    pub(super) const fn takes_data(self) -> bool {
        matches!(self, Self::In | Self::Both | Self::BothIn)
    }

    /// Whether the server sends data. It says that a stream is done before its last message has gone.
    ///
    /// # Source
    /// PostgreSQL 15, `WalSndWaitForWal` in `src/backend/replication/walsender.c`: a keepalive behind the CopyDone of
    /// `ProcessRepliesIfAny`.
    pub(super) const fn gives_data(self) -> bool {
        matches!(
            self,
            Self::Out | Self::Both | Self::BothIn | Self::BothOut | Self::BothDone
        )
    }

    /// Whether it is one of both directions, which has no end of its own.
    pub(super) const fn is_stream(self) -> bool {
        matches!(self, Self::Both | Self::BothIn | Self::BothOut)
    }
}

/// What a replication command is, beside a statement.
#[derive(Debug)]
pub(super) struct Replicating {
    /// Its text: what streams is decided again by it.
    pub(super) text: Box<[u8]>,
    /// It takes data once the server says so: what comes before that waits.
    pub(super) expects_data: bool,
    /// The last CommandComplete that came. It may be the end: then that is logged before the client is told.
    pub(super) withheld: Option<Box<[u8]>>,
}

/// A statement that was forwarded to be executed.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) permitted: Permitted,
    /// The server's description, checked; `None` before it came.
    pub(super) fields: Option<Vec<Field>>,
    pub(super) copy: Copy,
    /// What masks the data of a COPY TO.
    pub(super) masking: Option<Box<Masking>>,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Rows and bytes that its portal gave under an earlier decision: limits count them.
    pub(super) earlier: (u64, u64),
    /// Values masked, in the order of the enforcement's masks.
    pub(super) masked: Vec<u64>,
    /// Of what the client got so far, where the result is recorded by digest.
    digest: Option<Box<blake3::Hasher>>,
    pub(super) clock: Clock,
    /// Where it is a replication command.
    pub(super) replicating: Option<Box<Replicating>>,
    /// Its end is logged: what still comes of it is dropped.
    pub(super) ended: bool,
    /// Rows or data of it were dropped.
    pub(super) cut: bool,
}

/// How long something may take at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// In milliseconds; `None`: as long as it wants.
    pub(super) max_ms: Option<u64>,
    /// Since when nothing before it was unanswered, as far as somebody looked: its time counts from here.
    since: Option<Instant>,
    /// Its time is up, and the server was asked to cancel it.
    pub(super) overdue: bool,
    /// The limit, in milliseconds, because of which the server was asked to cancel this one, or one before it whose end
    /// the server told only now: the request may hit this one.
    pub(super) asked: Option<u64>,
}

impl Clock {
    pub(super) const fn new(max_ms: Option<u64>) -> Self {
        Self {
            max_ms,
            since: None,
            overdue: false,
            asked: None,
        }
    }

    /// When its time is up, where it is limited; it counts from the first look.
    pub(super) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let max = Duration::from_millis(self.max_ms?);
        // A limit beyond the clock's range is none.
        self.since.get_or_insert(now).checked_add(max)
    }
}

impl Run {
    pub(super) fn new(permitted: Permitted) -> Box<Self> {
        let masked = vec![0; permitted.enforcement.masks.len()];
        let clock = Clock::new(permitted.enforcement.limits.time_ms);
        let digest = match permitted.enforcement.recording {
            Recording::Statement => None,
            Recording::Digest | Recording::Results => Some(Box::default()),
        };
        Box::new(Self {
            permitted,
            fields: None,
            copy: Copy::None,
            masking: None,
            rows: 0,
            bytes: 0,
            earlier: (0, 0),
            masked,
            digest,
            clock,
            replicating: None,
            ended: false,
            cut: false,
        })
    }

    /// What goes on where `held` stopped, under a new decision.
    pub(super) fn after(permitted: Permitted, held: &Hold) -> Box<Self> {
        let earlier = match held {
            Hold::Suspended(run) => (
                run.earlier.0.saturating_add(run.rows),
                run.earlier.1.saturating_add(run.bytes),
            ),
            Hold::Bound(_) | Hold::Executing | Hold::Ended | Hold::Cut => (0, 0),
        };
        let mut run = Self::new(permitted);
        run.earlier = earlier;
        run
    }

    /// Bytes of its result go to the client.
    ///
    /// # Errors
    /// The refusal of these bytes where they can't be recorded: the client must not get them.
    pub(super) fn told(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if let Some(spool) = &mut self.permitted.spool {
            let recorded = spool.write(bytes);
            recorded.map_err(|error| refuse::unrecorded(&error))?;
        }
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        Ok(())
    }

    /// Its rows are described so.
    ///
    /// # Errors
    /// As [`Run::told`].
    pub(super) fn described(&mut self, body: &[u8]) -> Result<(), Refused> {
        let Some(spool) = &mut self.permitted.spool else {
            return Ok(());
        };
        let recorded = spool.describe(body);
        recorded.map_err(|error| refuse::unrecorded(&error))
    }

    /// Whether its rows are recorded.
    pub(super) fn is_recorded(&self) -> bool {
        self.permitted.spool.is_some()
    }

    /// The refusal of a message of so many bytes, where it is too large to be recorded.
    pub(super) fn too_large_to_record(&self, bytes: usize) -> Option<Refused> {
        (self.is_recorded() && bytes > MESSAGE_BYTES_MAX)
            .then(|| refuse::too_large_to_record(MESSAGE_BYTES_MAX))
    }

    /// The refusal of one row more, where a limit is reached.
    pub(super) fn over_rows(&self) -> Option<Refused> {
        let max = self.permitted.enforcement.limits.rows?;
        let rows = self.earlier.0.saturating_add(self.rows);
        (rows >= max).then(|| refuse::over_limit(max, "rows"))
    }

    /// The refusal of that many bytes more, where they would go over a limit.
    pub(super) fn over_bytes(&self, more: usize) -> Option<Refused> {
        let max = self.permitted.enforcement.limits.bytes?;
        let bytes = self.earlier.1.saturating_add(self.bytes);
        (bytes.saturating_add(more as u64) > max).then(|| refuse::over_limit(max, "bytes"))
    }

    /// Whether the rows that it changes are limited: then nothing of it may be committed before the server told how many.
    pub(super) fn is_guarded(&self) -> bool {
        self.permitted.enforcement.limits.affected_rows.is_some()
    }

    /// The refusal of a statement that changed more rows than it may; `None` rows are too many to know.
    pub(super) fn over_affected(&self, rows: Option<u64>) -> Option<Refused> {
        let max = self.permitted.enforcement.limits.affected_rows?;
        rows.is_none_or(|rows| rows > max)
            .then(|| refuse::over_affected(max, rows))
    }

    /// Whether the rows of a masked COPY, all of which were shown, are not as many as the server says: then they were not told
    /// apart rightly.
    pub(super) fn is_miscounted(&self, told: Option<u64>) -> bool {
        self.masking.is_some() && !self.cut && told != Some(self.rows)
    }

    /// Whether its result may end before its end: what is behind it waits for that.
    pub(super) fn may_be_cut(&self) -> bool {
        let limits = &self.permitted.enforcement.limits;
        limits.rows.is_some() || limits.bytes.is_some() || self.has_budget()
    }

    /// Whether its rows are taken from budgets of an hour.
    pub(super) fn has_budget(&self) -> bool {
        let limits = &self.permitted.enforcement.limits;
        limits.rows_per_hour.is_some() || limits.bytes_per_hour.is_some()
    }

    /// Whether it is a replication command that ended, or a result of it did: rows need a description first.
    pub(super) fn is_between_results(&self) -> bool {
        let replicating = self.replicating.as_ref();
        replicating.is_some_and(|replicating| replicating.withheld.is_some())
    }

    /// Whether its rows (of DataRow `D` or CopyData `d`) pass as they are, uncounted but for their number and bytes.
    pub(super) fn passes(&self, kind: u8) -> bool {
        let enforcement = &self.permitted.enforcement;
        let is_checked = is_checked(self) && self.fields.is_none();
        match kind {
            b'D' => {
                enforcement.masks.is_empty()
                    && !is_checked
                    && !self.may_be_cut()
                    && !self.is_between_results()
            }
            b'd' => self.copy.gives_data() && self.masking.is_none() && !self.may_be_cut(),
            _ => false,
        }
    }

    /// Its end, as far as it came.
    pub(super) fn end(&self, outcome: Outcome, sqlstate: Option<String>) -> End {
        let outputs = self
            .permitted
            .enforcement
            .masks
            .iter()
            .map(|mask| mask.output);
        let result_digest: Option<[u8; 32]> =
            self.digest.as_ref().map(|digest| digest.finalize().into());
        if let (Some(spool), Some(digest)) = (&self.permitted.spool, result_digest) {
            spool.end(record::micros(SystemTime::now()), digest);
        }
        End {
            outcome,
            rows: self.rows,
            bytes: self.bytes,
            sqlstate,
            values_masked: outputs
                .zip(&self.masked)
                .map(|(output, count)| (u32::try_from(output).unwrap_or(u32::MAX), *count))
                .collect(),
            result_digest,
        }
    }
}

/// The end of a statement that sent nothing.
pub(super) const fn bare_end(outcome: Outcome, sqlstate: Option<String>) -> End {
    End {
        outcome,
        rows: 0,
        bytes: 0,
        sqlstate,
        values_masked: Vec::new(),
        result_digest: None,
    }
}

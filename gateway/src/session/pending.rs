//! What the server still has to answer, in the order it will.
//!
//! Holds no decision logic: an operation and the statement that runs in it.

use std::{collections::VecDeque, sync::Arc};

use provost_evidence::record::Outcome;

use super::{names::PortalId, refuse::Missing};
use crate::{
    judge::{End, Permitted, Refused},
    protocol::{backend::Field, frontend::Target},
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
    Parse {
        name: Arc<[u8]>,
        permitted: Permitted,
    },
    /// A Bind of this portal.
    Bind { name: Arc<[u8]> },
    /// A Close.
    Close { target: Target, name: Arc<[u8]> },
    /// The client's own Describe.
    Describe,
    /// Our Describe of the portal that the next operation executes; its answer is not the client's.
    DescribeInjected,
    /// An Execute.
    Execute { portal: PortalId, run: Run },
    /// A Sync.
    Sync,
    /// A simple Query's statements that have not ended, in order.
    Query { runs: VecDeque<Run> },
    /// A stand-in for a refused frame.
    Denied(Denied),
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
}

/// A statement that was forwarded to be executed.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) permitted: Permitted,
    /// The server's description, checked; `None` before it came.
    pub(super) fields: Option<Vec<Field>>,
    pub(super) copy: Copy,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Values masked, in the order of the enforcement's masks.
    pub(super) masked: Vec<u64>,
    /// Its end is logged: what still comes of it is dropped.
    pub(super) ended: bool,
    /// Rows or data of it were dropped.
    pub(super) cut: bool,
}

impl Run {
    pub(super) fn new(permitted: Permitted) -> Self {
        let masked = vec![0; permitted.enforcement.masks.len()];
        Self {
            permitted,
            fields: None,
            copy: Copy::None,
            rows: 0,
            bytes: 0,
            masked,
            ended: false,
            cut: false,
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
        End {
            outcome,
            rows: self.rows,
            bytes: self.bytes,
            sqlstate,
            values_masked: outputs
                .zip(&self.masked)
                .map(|(output, count)| (u32::try_from(output).unwrap_or(u32::MAX), *count))
                .collect(),
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
    }
}

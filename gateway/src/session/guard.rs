//! Changes of a limited number of rows (ruling 15): nothing of one is committed before the server told how many rows it changed.
//!
//! A simple Query goes by the extended protocol and its Sync is withheld; an Execute's Sync waits in the client's input. Must
//! never let a Sync through behind a count that was not looked at. A Query that reads what a question of ours holds goes by the
//! extended protocol, too, with its Sync.

use std::collections::VecDeque;

use provost_evidence::record::Outcome;

use super::{
    core::Core,
    out::{NeutralFrame, Out, Substitute},
    pending::{Denied, Operation, Road, Run, Shape},
    refuse,
};
use crate::{
    judge::{Fatal, Judge, Refused},
    protocol::{backend, frame::HEADER_BYTES},
};

impl<J: Judge> Core<J> {
    /// Sends a simple Query: as it is, or by the extended protocol where the rows that it changes are limited, and where a question of
    /// ours holds what it reads in a transaction of its own. Such a statement stands alone in its Query: the judge sees to it.
    pub(super) fn send_query(
        &mut self,
        runs: &VecDeque<Box<Run>>,
        text: &[u8],
        frame: &[u8],
        out: &mut Out,
    ) -> Road {
        let road = match runs.front() {
            Some(run) if run.is_guarded() => Road::Guarded,
            Some(_) if self.held && !self.in_block => Road::Synced,
            Some(_) | None => Road::Plain,
        };
        match runs.front() {
            Some(run) if road != Road::Plain && runs.len() == 1 => {
                let end = match road {
                    Road::Synced => NeutralFrame::Sync,
                    _ => NeutralFrame::Flush,
                };
                out.to_server.guarded(text, end, &run.permitted.permit);
                // The server's unnamed statement and portal are ours now, and nobody may use them by the client's names.
                self.names.forward_unnamed(self.segment);
                road
            }
            Some(_) | None => {
                out.to_server
                    .statements(frame, runs.iter().map(|run| &run.permitted));
                Road::Plain
            }
        }
    }

    /// Whether the server answers a simple Query that went to it by the extended protocol.
    pub(super) fn is_guarded(&mut self) -> bool {
        matches!(
            self.front(),
            Some(Operation::Query {
                road: Road::Guarded | Road::Synced,
                ..
            })
        )
    }

    /// A statement completed within its limit. True where its end waits for the commit.
    pub(super) async fn release(&mut self, frame: &[u8], out: &mut Out) -> Result<bool, Fatal> {
        if !self.is_guarded() {
            return Ok(false);
        }
        self.sync_guarded(Road::Released(frame.into()), out).await?;
        Ok(true)
    }

    /// An error ended a guarded Query, or an empty text did: the server drops everything up to the Sync that it is owed.
    pub(super) async fn release_failed(&mut self, out: &mut Out) -> Result<(), Fatal> {
        if self.is_guarded() {
            return self.sync_guarded(Road::Plain, out).await;
        }
        if let Some(Operation::Query { road, .. }) = self.front() {
            // Of a commit that failed nothing completed.
            *road = Road::Plain;
        }
        Ok(())
    }

    async fn sync_guarded(&mut self, next: Road, out: &mut Out) -> Result<(), Fatal> {
        let before = match self.front() {
            Some(Operation::Query { road, .. }) => std::mem::replace(road, next),
            Some(_) | None => Road::Plain,
        };
        if before != Road::Synced {
            // Within a CopyData frame nothing else may be sent: the Sync follows its last byte.
            self.sync_owed = true;
            self.sync_after_copy_data(out);
        }
        let gone = self.names.resolve_unnamed();
        self.settle(gone.into_iter().collect()).await
    }

    /// Sends the Sync that is owed, unless a `CopyData` frame is under way.
    pub(super) fn sync_after_copy_data(&mut self, out: &mut Out) {
        if self.sync_owed && out.to_server.copy_bytes_left() == 0 {
            self.sync_owed = false;
            out.to_server.neutral(NeutralFrame::Sync);
        }
    }

    /// The transaction of a guarded Query is over: what was withheld of its end is told.
    pub(super) async fn committed(&mut self, out: &mut Out) -> Result<(), Fatal> {
        let Some(Operation::Query { road, .. }) = self.front() else {
            return Ok(());
        };
        match std::mem::replace(road, Road::Plain) {
            Road::Released(frame) => {
                let tag = backend::command_tag(frame.get(HEADER_BYTES..).unwrap_or_default())?;
                self.completed(&frame, tag, out).await
            }
            withheld @ (Road::Plain | Road::Guarded | Road::Synced) => {
                *road = withheld;
                Ok(())
            }
        }
    }

    /// Ends a statement that changed too much, and undoes its transaction: what follows it fails at the server, so that nothing
    /// of it is committed, and the client reads `refused`.
    pub(super) async fn undo(&mut self, refused: Refused, out: &mut Out) -> Result<(), Fatal> {
        self.finish(Outcome::Cut, Some(refused.sqlstate)).await?;
        if !matches!(self.front(), Some(Operation::Query { .. })) {
            self.deny(Substitute::Execute, refused, out);
            // The client may have sent its last word before its Sync, and waits.
            self.flush(out);
            return Ok(());
        }
        let missing = self.next_missing();
        out.to_server.substitute(Substitute::Execute, &missing);
        self.sync_guarded(Road::Plain, out).await?;
        if let Some(front) = self.front() {
            *front = Operation::Denied(Denied {
                missing,
                refused,
                shape: Shape::Simple,
            });
        }
        Ok(())
    }

    /// An Execute that asked for a part of what a limited change returns: how many rows it changed is not told.
    pub(super) async fn undo_part(&mut self, out: &mut Out) -> Result<(), Fatal> {
        self.undo(refuse::partial_change(), out).await
    }
}

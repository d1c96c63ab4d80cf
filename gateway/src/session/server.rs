//! What each of the server's messages does.
//!
//! Must never show the client a row before its description agreed with analysis, nor tell it of an end that is not logged.

use std::{collections::VecDeque, sync::Arc};

use bytes::BytesMut;
use provost_engine::facts::{Kind, SessionEffect};
use provost_evidence::record::Outcome;

use super::{
    copies,
    core::{Body, Core, Flow, Stall, open_end, out_of_step, take},
    describe,
    names::Hold,
    out::{Out, whole_frame},
    pending::{Copy, Decided, Operation, Pending, Road, Run, bare_end},
};
use crate::{
    judge::{Fatal, Judge},
    protocol::{
        backend,
        frame::{self, Error, Header},
        frontend::Target,
    },
};

impl<J: Judge> Core<J> {
    /// Takes frames from the server's `input` and appends what follows from them to `out`.
    ///
    /// # Errors
    /// [`Fatal`]: the session ends. The client's error is in `out` already.
    pub async fn on_server(&mut self, input: &mut BytesMut, out: &mut Out) -> Result<Flow, Fatal> {
        let outcome = self.server_frames(input, out).await;
        if let Err(fatal) = &outcome {
            self.die(fatal, out);
        }
        outcome
    }

    async fn server_frames(&mut self, input: &mut BytesMut, out: &mut Out) -> Result<Flow, Fatal> {
        // Messages that are done with, and still in `input`.
        let mut used = self.answer_whole(input, out).await?;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            if let Some(header) = self.plain_header(rest)? {
                let Some((frame, body)) = whole_frame(rest, header) else {
                    take(input, used);
                    return Ok(Flow::More);
                };
                self.server_message(header.kind, frame, body, out).await?;
                used += header.frame_bytes();
                continue;
            }
            take(input, std::mem::take(&mut used));
            if !self.server_frame(input, out).await? {
                return Ok(Flow::More);
            }
        }
    }

    /// The header of a message of the server's that is neither a row nor a part of one, and answers no question of the gateway's own.
    fn plain_header(&self, input: &[u8]) -> Result<Option<Header>, Fatal> {
        if self.server_body.is_some() || self.is_looking() {
            return Ok(None);
        }
        let Some(header) = frame::header(input)? else {
            return Ok(None);
        };
        if matches!(header.kind, b'D' | b'd') {
            return Ok(None);
        }
        if header.frame_bytes() > self.limits.server_message_bytes_max {
            return Err(Error::Length.into());
        }
        Ok(Some(header))
    }

    /// Takes rows, or an answer to a question of the gateway's own, or the rest of a frame that goes in parts; false where more of it
    /// must come first.
    async fn server_frame(&mut self, input: &mut BytesMut, out: &mut Out) -> Result<bool, Fatal> {
        if self.pass_body(input, out)? {
            return Ok(false);
        }
        let Some(header) = frame::header(input)? else {
            return Ok(false);
        };
        if self.is_looking() {
            return self.look_frame(header, input, out).await;
        }
        match header.kind {
            b'D' | b'd' if self.pass_rows(header.kind, input, out).await? => Ok(true),
            b'D' => self.data_row(header, input, out).await,
            b'd' => self.copy_out_data(header, input, out).await,
            // What was behind the rest of a frame.
            _ => Ok(true),
        }
    }

    /// Passes or drops the rest of a frame that goes in parts; true while more of it is to come.
    fn pass_body(&mut self, input: &mut BytesMut, out: &mut Out) -> Result<bool, Fatal> {
        let Some(body) = self.server_body else {
            return Ok(false);
        };
        let (Body::Pass(left) | Body::Drop(left)) = body;
        let count = left.min(input.len());
        if matches!(body, Body::Pass(_)) {
            let bytes = input.get(..count).unwrap_or_default();
            if let Some(run) = self.running() {
                // The client has a part of the message: nothing else can be said to it.
                let told = run.told(bytes);
                told.map_err(|refused| Fatal {
                    sqlstate: refused.sqlstate,
                    message: refused.message,
                })?;
            }
            out.to_client.extend_from_slice(bytes);
        }
        take(input, count);
        let left = left - count;
        self.server_body = (left > 0).then_some(match body {
            Body::Pass(_) => Body::Pass(left),
            Body::Drop(_) => Body::Drop(left),
        });
        Ok(left > 0)
    }

    async fn server_message(
        &mut self,
        kind: u8,
        frame: &[u8],
        body: &[u8],
        out: &mut Out,
    ) -> Result<(), Fatal> {
        match kind {
            b'N' => self.notice(frame, body, out),
            b'S' => self.parameter_status(frame, body, out),
            b'A' => self.notification(frame, body, out),
            _ => {
                if self.stall == Stall::Answer || (self.stall == Stall::Ready && kind == b'Z') {
                    self.stall = Stall::None;
                }
                backend::check(kind, body)?;
                if self.replication.is_some()
                    && Box::pin(self.replication_answer(kind, frame, body, out)).await?
                {
                    return Ok(());
                }
                let outcome = match kind {
                    b'1' => self.parse_complete(frame, out).await,
                    b'2' => self.bind_complete(frame, out).await,
                    b'3' => self.close_complete(frame, out).await,
                    b't' => self.parameter_description(frame, out),
                    b'T' => self.row_description(frame, body, out).await,
                    b'n' => self.no_data(frame, out).await,
                    b'C' => self.command_complete(frame, body, out).await,
                    b's' => self.portal_suspended(frame, out).await,
                    b'V' => self.function_answer(frame, out).await,
                    b'I' => self.empty_query(frame, out).await,
                    b'G' | b'H' => self.copy_starts(kind, frame, body, out).await,
                    b'c' => self.copy_out_done(frame, out).await,
                    b'E' => self.error(frame, body, out).await,
                    b'Z' => self.ready(frame, body, out).await,
                    other => Err(out_of_step(other)),
                };
                if self.stall == Stall::Idle && self.pending.is_empty() {
                    self.stall = Stall::None;
                }
                outcome
            }
        }
    }

    pub(super) fn tell(&self, frame: &[u8], out: &mut Out) {
        if !self.muted {
            out.to_client.extend_from_slice(frame);
        }
    }

    pub(super) fn front(&mut self) -> Option<&mut Operation> {
        front(&mut self.pending)
    }

    /// Takes the oldest unanswered operation, if it is what the server answered; else it stays, so that it gets its end.
    fn pop_if(&mut self, is_answered: impl FnOnce(&Operation) -> bool) -> Option<Operation> {
        let pending = self
            .pending
            .pop_front_if(|pending| is_answered(&pending.operation))?;
        Some(pending.operation)
    }

    /// The statement that the server is answering.
    pub(super) fn running(&mut self) -> Option<&mut Run> {
        running(&mut self.pending)
    }

    async fn parse_complete(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        if self.is_guarded() {
            return Ok(());
        }
        match self.pop_if(|operation| matches!(operation, Operation::Parse { .. })) {
            Some(Operation::Parse { name, decided }) => {
                self.names.resolve_statement(&name, true);
                if let Decided::Itself(permitted) = decided {
                    let end = bare_end(Outcome::Completed, None);
                    self.judge.end(permitted.statement, end).await?;
                }
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'1')),
        }
    }

    async fn bind_complete(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        if self.is_guarded() {
            return Ok(());
        }
        match self.pop_if(|operation| matches!(operation, Operation::Bind { .. })) {
            Some(Operation::Bind { name, .. }) => {
                let replaced = self.names.resolve_portal(&name, true);
                self.settle(replaced.into_iter().collect()).await?;
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'2')),
        }
    }

    async fn close_complete(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        match self.pop_if(|operation| matches!(operation, Operation::Close { .. })) {
            Some(Operation::Close { target, name }) => {
                match target {
                    Target::Statement => self.names.resolve_statement(&name, true),
                    Target::Portal => {
                        let closed = self.names.resolve_portal(&name, true);
                        self.settle(closed.into_iter().collect()).await?;
                    }
                }
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'3')),
        }
    }

    fn parameter_description(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        if matches!(self.front(), Some(Operation::Describe { .. })) {
            self.tell(frame, out);
            Ok(())
        } else {
            Err(out_of_step(b't'))
        }
    }

    async fn row_description(
        &mut self,
        frame: &[u8],
        body: &[u8],
        out: &mut Out,
    ) -> Result<(), Fatal> {
        match self.front() {
            Some(Operation::Describe { .. }) => {
                // It is not looked at, but it must be one: see `backend::check`.
                backend::check_row_description(body)?;
                self.pending.pop_front();
                self.tell(frame, out);
                return Ok(());
            }
            Some(Operation::DescribeInjected) => {
                self.pending.pop_front();
                return if self.check_description(body, out).await? {
                    Ok(())
                } else {
                    Err(out_of_step(b'T'))
                };
            }
            Some(Operation::Query { runs, .. }) if !runs.is_empty() => {}
            Some(_) | None => return Err(out_of_step(b'T')),
        }
        self.check_description(body, out).await?;
        self.tell(frame, out);
        Ok(())
    }

    async fn no_data(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        if self.is_guarded() {
            // Rows that come all the same are stopped where they must be checked.
            return Ok(());
        }
        let gives_nothing = |run: &mut Run| {
            let columns = run.permitted.enforcement.columns.as_ref();
            columns.is_some_and(Vec::is_empty)
        };
        let described = self.pop_if(|operation| {
            matches!(
                operation,
                Operation::Describe { .. } | Operation::DescribeInjected
            )
        });
        match described {
            Some(Operation::Describe { .. }) => {
                self.tell(frame, out);
                Ok(())
            }
            Some(Operation::DescribeInjected) if self.running().is_some() => {
                // No columns were expected: any row of it would be stopped.
                if self.muted || self.running().is_some_and(gives_nothing) {
                    return Ok(());
                }
                self.stop(describe::disagreement(), out).await
            }
            Some(_) | None => Err(out_of_step(b'n')),
        }
    }

    async fn command_complete(
        &mut self,
        frame: &[u8],
        body: &[u8],
        out: &mut Out,
    ) -> Result<(), Fatal> {
        let tag = backend::command_tag(body)?;
        let Some(run) = self.running() else {
            return Err(out_of_step(b'C'));
        };
        if run.is_miscounted(backend::tag_count(tag)) {
            self.stop(copies::disagreement(), out).await?;
            return self.completed(frame, tag, out).await;
        }
        // A COPY's data was counted by its messages, of which one may be a header.
        if (run.rows == 0 || run.copy == Copy::Out) && !run.cut {
            run.rows = backend::tag_rows(tag);
        }
        if let Some(refused) = run.over_affected(backend::tag_count(tag)) {
            // The server's count, not that of the rows that came back.
            run.rows = backend::tag_rows(tag);
            return self.undo(refused, out).await;
        }
        if self.release(frame, out).await? {
            return Ok(());
        }
        self.completed(frame, tag, out).await
    }

    /// The running statement came to its end.
    pub(super) async fn completed(
        &mut self,
        frame: &[u8],
        tag: &[u8],
        out: &mut Out,
    ) -> Result<(), Fatal> {
        let Some(run) = self.running() else {
            return Err(out_of_step(b'C'));
        };
        let enforcement = Arc::clone(&run.permitted.enforcement);
        let told = (run.rows, run.bytes);
        self.finish(Outcome::Completed, None).await?;
        self.fetched(&enforcement, told);
        self.bound_by_sql(&enforcement, tag).await?;
        if enforcement.session_effect == SessionEffect::Catalog {
            self.catalog_completed().await?;
        }
        self.tell(frame, out);
        Ok(())
    }

    /// Ends the running statement, if it has no end, and takes it from the queue.
    pub(super) async fn finish(
        &mut self,
        outcome: Outcome,
        sqlstate: Option<&str>,
    ) -> Result<(), Fatal> {
        let run = match self.front() {
            Some(Operation::Query { runs, .. }) => runs.pop_front(),
            Some(Operation::Execute { .. }) => {
                match self.pending.pop_front().map(|pending| pending.operation) {
                    Some(Operation::Execute { portal, run }) => {
                        if let Some(portal) = self.names.portal_by_id(portal) {
                            portal.hold = if run.cut { Hold::Cut } else { Hold::Ended };
                        }
                        Some(run)
                    }
                    Some(_) | None => None,
                }
            }
            Some(_) | None => None,
        };
        let Some(run) = run else { return Ok(()) };
        if outcome == Outcome::Completed
            && run.clock.asked.is_some()
            && let Some(next) = self.clocked()
        {
            next.asked = next.asked.or(run.clock.asked);
        }
        if !run.ended {
            let outcome = if run.cut { Outcome::Cut } else { outcome };
            let end = run.end(outcome, sqlstate.map(str::to_owned));
            self.judge.end(run.permitted.statement, end).await?;
        }
        Ok(())
    }

    async fn catalog_completed(&mut self) -> Result<(), Fatal> {
        self.catalog_dirty = true;
        if matches!(self.front(), Some(Operation::Query { .. })) {
            self.catalog_changed = true;
            return Ok(());
        }
        // Its transaction is open until the Sync, whatever the last ReadyForQuery said.
        self.judge.transaction_status(b'T');
        self.judge.catalog_changed().await
    }

    async fn portal_suspended(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        if self.running().is_some_and(|run| run.is_guarded()) {
            return self.undo_part(out).await;
        }
        match self.pop_if(|operation| matches!(operation, Operation::Execute { .. })) {
            Some(Operation::Execute { portal, run }) => {
                match self.names.portal_by_id(portal) {
                    Some(portal) if !run.cut => portal.hold = Hold::Suspended(run),
                    gone_or_cut => {
                        let outcome = match gone_or_cut {
                            Some(portal) => {
                                portal.hold = Hold::Cut;
                                Outcome::Cut
                            }
                            None => Outcome::Completed,
                        };
                        if let Some((statement, end)) = open_end(&run, outcome) {
                            self.judge.end(statement, end).await?;
                        }
                    }
                }
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b's')),
        }
    }

    /// The result of a FunctionCall, which is its end.
    async fn function_answer(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        match self.running() {
            Some(run) if run.permitted.enforcement.kind == Kind::Call => {
                run.rows = 1;
                run.bytes = frame.len() as u64;
                self.finish(Outcome::Completed, None).await?;
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'V')),
        }
    }

    async fn empty_query(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        match self.front() {
            Some(Operation::Execute { .. } | Operation::Query { .. }) => {
                self.finish(Outcome::Completed, None).await?;
                self.release_failed(out).await?;
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'I')),
        }
    }

    async fn ready(&mut self, frame: &[u8], body: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let &[status @ (b'I' | b'T' | b'E')] = body else {
            return Err(Error::Format.into());
        };
        self.committed(out).await?;
        let segment = match self.pending.front() {
            Some(Pending {
                segment,
                operation: Operation::Sync,
            }) => *segment,
            // A statement that analysis saw and the server did not answer: they read the text differently.
            Some(Pending {
                segment,
                operation:
                    Operation::Query {
                        runs,
                        road: Road::Plain,
                    },
            }) if runs.is_empty() => *segment,
            Some(_) | None => return Err(out_of_step(b'Z')),
        };
        self.pending.pop_front();
        self.muted = false;
        self.judge.transaction_status(status);
        self.in_block = status == b'T';
        if status == b'I' {
            self.transaction_over(segment).await?;
        }
        let ended_dirty = status == b'I' && std::mem::take(&mut self.catalog_dirty);
        if std::mem::take(&mut self.catalog_changed) || ended_dirty {
            self.judge.catalog_changed().await?;
        }
        self.tell(frame, out);
        Ok(())
    }
}

/// The oldest unanswered operation.
fn front(pending: &mut VecDeque<Pending>) -> Option<&mut Operation> {
    pending.front_mut().map(|pending| &mut pending.operation)
}

/// The statement whose result the server is giving, borrowed apart from the rest of the session.
pub(super) fn running(pending: &mut VecDeque<Pending>) -> Option<&mut Run> {
    match front(pending) {
        Some(Operation::Execute { run, .. }) => Some(&mut **run),
        Some(Operation::Query { runs, .. }) => runs.front_mut().map(|run| &mut **run),
        Some(_) | None => None,
    }
}

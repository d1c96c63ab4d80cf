//! What each of the server's messages does.
//!
//! Must never show the client a row before its description agreed with analysis, nor tell it of an end that is not logged.

use bytes::BytesMut;
use provost_engine::facts::{Kind, SessionEffect};
use provost_evidence::record::Outcome;

use super::{
    core::{Body, Core, Flow, Stall, open_end, out_of_step, take},
    describe,
    names::Hold,
    out::{Out, whole_frame},
    pending::{Copy, Denied, Operation, Pending, Run, Shape, bare_end},
    refuse, rows,
};
use crate::{
    judge::{Fatal, Judge, Refused},
    protocol::{
        backend,
        frame::{self, Error, Header},
        frontend::Target,
    },
    scrub,
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
        loop {
            if self.pass_body(input, out) {
                return Ok(Flow::More);
            }
            let Some(header) = frame::header(input)? else {
                return Ok(Flow::More);
            };
            match header.kind {
                b'D' => {
                    if !self.data_row(header, input, out).await? {
                        return Ok(Flow::More);
                    }
                }
                b'd' => self.copy_out_data(header)?,
                _ => {
                    if header.frame_bytes() > self.limits.server_message_bytes_max {
                        return Err(Error::Length.into());
                    }
                    let Some((frame, body)) = whole_frame(input, header) else {
                        return Ok(Flow::More);
                    };
                    self.server_message(header.kind, frame, body, out).await?;
                    take(input, header.frame_bytes());
                }
            }
        }
    }

    /// Passes or drops the rest of a frame that goes in parts; true while more of it is to come.
    fn pass_body(&mut self, input: &mut BytesMut, out: &mut Out) -> bool {
        let Some(body) = self.server_body else {
            return false;
        };
        let (Body::Pass(left) | Body::Drop(left)) = body;
        let count = left.min(input.len());
        if matches!(body, Body::Pass(_)) {
            out.to_client
                .extend_from_slice(input.get(..count).unwrap_or_default());
        }
        take(input, count);
        let left = left - count;
        self.server_body = (left > 0).then_some(match body {
            Body::Pass(_) => Body::Pass(left),
            Body::Drop(_) => Body::Drop(left),
        });
        left > 0
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
                if self.stall == Stall::Answer || kind == b'Z' {
                    self.stall = Stall::None;
                }
                match kind {
                    b'1' => self.parse_complete(frame, out).await,
                    b'2' => self.bind_complete(frame, out).await,
                    b'3' => self.close_complete(frame, out).await,
                    b't' => self.parameter_description(frame, out),
                    b'T' => self.row_description(frame, body, out).await,
                    b'n' => self.no_data(frame, out).await,
                    b'C' => self.command_complete(frame, body, out).await,
                    b's' => self.portal_suspended(frame, out).await,
                    b'I' => self.empty_query(frame, out).await,
                    b'G' | b'H' => self.copy_starts(kind, frame, out).await,
                    b'c' => self.copy_out_done(frame, out),
                    b'E' => self.error(frame, body, out).await,
                    b'Z' => self.ready(frame, body, out).await,
                    other => Err(out_of_step(other)),
                }
            }
        }
    }

    fn tell(&self, frame: &[u8], out: &mut Out) {
        if !self.muted {
            out.to_client.extend_from_slice(frame);
        }
    }

    fn front(&mut self) -> Option<&mut Operation> {
        self.pending
            .front_mut()
            .map(|pending| &mut pending.operation)
    }

    /// Takes the oldest unanswered operation, if it is what the server answered; else it stays, so that it gets its end.
    fn pop_if(&mut self, is_answered: impl FnOnce(&Operation) -> bool) -> Option<Operation> {
        let pending = self
            .pending
            .pop_front_if(|pending| is_answered(&pending.operation))?;
        Some(pending.operation)
    }

    /// The statement that the server is answering.
    fn running(&mut self) -> Option<&mut Run> {
        match self.front() {
            Some(Operation::Execute { run, .. }) => Some(run),
            Some(Operation::Query { runs }) => runs.front_mut(),
            Some(_) | None => None,
        }
    }

    async fn parse_complete(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        match self.pop_if(|operation| matches!(operation, Operation::Parse { .. })) {
            Some(Operation::Parse { name, permitted }) => {
                self.names.resolve_statement(&name, true);
                self.judge
                    .end(permitted.statement, bare_end(Outcome::Completed, None))
                    .await?;
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'1')),
        }
    }

    async fn bind_complete(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        match self.pop_if(|operation| matches!(operation, Operation::Bind { .. })) {
            Some(Operation::Bind { name }) => {
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
        if matches!(self.front(), Some(Operation::Describe)) {
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
            Some(Operation::Describe) => {
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
            Some(Operation::Query { runs }) if !runs.is_empty() => {}
            Some(_) | None => return Err(out_of_step(b'T')),
        }
        self.check_description(body, out).await?;
        self.tell(frame, out);
        Ok(())
    }

    /// Checks the running statement's description; false where none is running. A disagreement stops its result.
    async fn check_description(&mut self, body: &[u8], out: &mut Out) -> Result<bool, Fatal> {
        if self.muted {
            return Ok(self.running().is_some());
        }
        let Some(run) = self.running() else {
            return Ok(false);
        };
        if !is_checked(run) {
            return Ok(true);
        }
        let fields = backend::row_description(body)?;
        if describe::agrees(&fields, &run.permitted.enforcement) {
            run.fields = Some(fields);
        } else {
            self.stop(describe::disagreement(), out).await?;
        }
        Ok(true)
    }

    async fn no_data(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let described = self.pop_if(|operation| {
            matches!(operation, Operation::Describe | Operation::DescribeInjected)
        });
        match described {
            Some(Operation::Describe) => {
                self.tell(frame, out);
                Ok(())
            }
            Some(Operation::DescribeInjected) if self.running().is_some() => {
                if self.muted {
                    return Ok(());
                }
                self.stop(describe::disagreement(), out).await
            }
            Some(_) | None => Err(out_of_step(b'n')),
        }
    }

    /// Takes one DataRow; false while it must be whole and is not.
    async fn data_row(
        &mut self,
        header: Header,
        input: &mut BytesMut,
        out: &mut Out,
    ) -> Result<bool, Fatal> {
        let row_bytes_max = self.limits.masked_row_bytes_max;
        let muted = self.muted;
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(run) = self.running() else {
            return Err(out_of_step(b'D'));
        };
        if muted {
            run.cut = true;
            self.server_body = Some(Body::Drop(header.frame_bytes()));
            return Ok(true);
        }
        let enforcement = &run.permitted.enforcement;
        // Rows of SHOW and EXPLAIN come without an injected description.
        let undescribed_is_fine = enforcement.columns.is_none()
            && enforcement.masks.is_empty()
            && describe::is_shapeless(enforcement.kind);
        let refused = if is_checked(run) && run.fields.is_none() && !undescribed_is_fine {
            describe::disagreement()
        } else if enforcement.masks.is_empty() {
            run.rows += 1;
            run.bytes += header.body_bytes as u64;
            self.server_body = Some(Body::Pass(header.frame_bytes()));
            return Ok(true);
        } else if header.frame_bytes() > row_bytes_max {
            row_too_large(row_bytes_max)
        } else {
            let Some((_, body)) = whole_frame(input, header) else {
                return Ok(false);
            };
            let fields = run.fields.as_deref().unwrap_or_default();
            let masks = &enforcement.masks;
            let masked = rows::mask_row(
                body,
                fields,
                masks,
                &mut run.masked,
                &mut scratch,
                &mut out.to_client,
            );
            if masked.is_ok() {
                run.rows += 1;
                run.bytes += header.body_bytes as u64;
                self.scratch = scratch;
                take(input, header.frame_bytes());
                return Ok(true);
            }
            describe::disagreement()
        };
        self.stop(refused, out).await?;
        self.server_body = Some(Body::Drop(header.frame_bytes()));
        Ok(true)
    }

    /// Stops the running statement's result: its end is logged, the client gets one error, and what the server still sends up
    /// to its ReadyForQuery is dropped.
    ///
    /// Statements pipelined behind it have been forwarded and run. They are recorded as the server completes them, their rows
    /// (if any) as cut; the client sees none of it, and the transaction's status stays the server's own.
    async fn stop(&mut self, refused: Refused, out: &mut Out) -> Result<(), Fatal> {
        let Some(run) = self.running() else {
            return Err(out_of_step(b'T'));
        };
        run.cut = true;
        run.ended = true;
        let statement = run.permitted.statement;
        let end = run.end(Outcome::Cut, Some(refused.sqlstate.to_owned()));
        self.judge.end(statement, end).await?;
        self.muted = true;
        self.bound = true;
        // The client waits for its own Sync to take effect: what it sends before counts as skipped.
        if !self
            .pending
            .iter()
            .any(|pending| pending.operation.ends_segment())
        {
            self.skipping = true;
        }
        refuse::write_refused(&mut out.to_client, &refused);
        Ok(())
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
        if run.rows == 0 && !run.cut {
            run.rows = backend::tag_rows(tag);
        }
        let effect = run.permitted.enforcement.session_effect;
        self.finish(Outcome::Completed, None).await?;
        match tag {
            b"DISCARD ALL" => {
                self.names.forget_statements();
                self.forget_portals().await?;
            }
            b"DEALLOCATE ALL" => self.names.forget_statements(),
            // Something else could take a closed portal's name, a cursor of a function's among them.
            b"CLOSE CURSOR" | b"CLOSE CURSOR ALL" => self.forget_portals().await?,
            _ => {}
        }
        if effect == SessionEffect::Catalog {
            self.catalog_completed().await?;
        }
        self.tell(frame, out);
        Ok(())
    }

    /// Ends the running statement, if it has no end, and takes it from the queue.
    async fn finish(&mut self, outcome: Outcome, sqlstate: Option<&str>) -> Result<(), Fatal> {
        let run = match self.front() {
            Some(Operation::Query { runs }) => runs.pop_front(),
            Some(Operation::Execute { .. }) => {
                match self.pending.pop_front().map(|pending| pending.operation) {
                    Some(Operation::Execute { portal, run }) => {
                        if let Some(portal) = self.names.portal_by_id(portal) {
                            portal.hold = Hold::Ended;
                        }
                        Some(run)
                    }
                    Some(_) | None => None,
                }
            }
            Some(_) | None => None,
        };
        let Some(run) = run else { return Ok(()) };
        if !run.ended {
            let outcome = if run.cut { Outcome::Cut } else { outcome };
            let end = run.end(outcome, sqlstate.map(str::to_owned));
            self.judge.end(run.permitted.statement, end).await?;
        }
        Ok(())
    }

    async fn forget_portals(&mut self) -> Result<(), Fatal> {
        let gone = self.names.take_portals(self.segment);
        self.settle(gone).await
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
        match self.pop_if(|operation| matches!(operation, Operation::Execute { .. })) {
            Some(Operation::Execute { portal, run }) => {
                match self.names.portal_by_id(portal) {
                    Some(portal) if !run.ended => portal.hold = Hold::Suspended(run),
                    Some(portal) => portal.hold = Hold::Ended,
                    None => {
                        if let Some((statement, end)) = open_end(&run, Outcome::Completed) {
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

    async fn empty_query(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        match self.front() {
            Some(Operation::Execute { .. } | Operation::Query { .. }) => {
                self.finish(Outcome::Completed, None).await?;
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'I')),
        }
    }

    async fn copy_starts(&mut self, kind: u8, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let muted = self.muted;
        let Some(run) = self.running() else {
            return Err(out_of_step(kind));
        };
        match (kind, run.permitted.enforcement.kind) {
            (b'G', Kind::CopyFrom) if muted => {
                // The client will not send data for a statement that it takes for skipped.
                run.copy = Copy::InDone;
                out.to_server.copy_fail();
            }
            (b'G', Kind::CopyFrom) => run.copy = Copy::In,
            (b'H', Kind::CopyTo) => {
                run.copy = Copy::Out;
                if is_checked(run) && !muted {
                    return self.stop(describe::disagreement(), out).await;
                }
            }
            _ => return Err(out_of_step(kind)),
        }
        self.tell(frame, out);
        Ok(())
    }

    fn copy_out_data(&mut self, header: Header) -> Result<(), Fatal> {
        let muted = self.muted;
        match self.running() {
            Some(run) if run.copy == Copy::Out => {
                let frame_bytes = header.frame_bytes();
                if muted {
                    run.cut = true;
                } else {
                    run.bytes += header.body_bytes as u64;
                }
                self.server_body = Some(if muted {
                    Body::Drop(frame_bytes)
                } else {
                    Body::Pass(frame_bytes)
                });
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'd')),
        }
    }

    fn copy_out_done(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        match self.running() {
            Some(run) if run.copy == Copy::Out => {
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'c')),
        }
    }

    async fn ready(&mut self, frame: &[u8], body: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let &[status @ (b'I' | b'T' | b'E')] = body else {
            return Err(Error::Format.into());
        };
        let segment = match self.pending.front() {
            Some(Pending {
                segment,
                operation: Operation::Sync,
            }) => *segment,
            // A statement that analysis saw and the server did not answer: they read the text differently.
            Some(Pending {
                segment,
                operation: Operation::Query { runs },
            }) if runs.is_empty() => *segment,
            Some(_) | None => return Err(out_of_step(b'Z')),
        };
        self.pending.pop_front();
        self.muted = false;
        self.judge.transaction_status(status);
        if status == b'I' {
            let gone = self.names.take_portals(segment);
            self.settle(gone).await?;
        }
        let ended_dirty = status == b'I' && std::mem::take(&mut self.catalog_dirty);
        if std::mem::take(&mut self.catalog_changed) || ended_dirty {
            self.judge.catalog_changed().await?;
        }
        self.tell(frame, out);
        Ok(())
    }

    async fn error(&mut self, frame: &[u8], body: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let fields = backend::error_fields(body)?;
        let sqlstate = scrub::sqlstate(&fields);
        let severity = scrub::field(&fields, b'V').or_else(|| scrub::field(&fields, b'S'));
        let ends_session = matches!(severity, Some(b"FATAL" | b"PANIC"));
        let message = scrub::field(&fields, b'M').unwrap_or_default();
        if !ends_session {
            let refused = self.error_ends(message, &sqlstate).await?;
            if self.muted {
                return Ok(());
            }
            if let Some(refused) = refused {
                refuse::write_refused(&mut out.to_client, &refused);
                return Ok(());
            }
        }
        let names_stand_in = fields.iter().any(|(_, text)| self.token.is_in(text));
        if self.is_bound() || names_stand_in {
            scrub::write_scrubbed(&mut out.to_client, b'E', &fields);
        } else {
            out.to_client.extend_from_slice(frame);
        }
        Ok(())
    }

    /// Ends what an error ended. Gives the refusal, where it was the error of a stand-in.
    async fn error_ends(
        &mut self,
        message: &[u8],
        sqlstate: &str,
    ) -> Result<Option<Refused>, Fatal> {
        match self.front() {
            // A commit that failed, or an error out of the blue.
            None | Some(Operation::Sync) => Ok(None),
            Some(Operation::Query { .. }) => {
                self.finish(Outcome::Failed, Some(sqlstate)).await?;
                if let Some(Operation::Query { runs }) = self.front() {
                    let rest = std::mem::take(runs);
                    for (statement, end) in rest
                        .iter()
                        .filter_map(|run| open_end(run, Outcome::Skipped))
                    {
                        self.judge.end(statement, end).await?;
                    }
                }
                Ok(None)
            }
            Some(Operation::Denied(Denied {
                shape: Shape::Simple,
                ..
            })) => {
                let answered = Operation::Query { runs: [].into() };
                let denied = self.front().map(|front| std::mem::replace(front, answered));
                Ok(denied.and_then(|denied| matching(denied, message)))
            }
            Some(_) => {
                if matches!(self.front(), Some(Operation::DescribeInjected)) {
                    // To the client this is the error of the Execute that it sent.
                    self.pending.pop_front();
                }
                let failed = self.pending.pop_front().map(|pending| pending.operation);
                let mut refused = None;
                if let Some(operation) = failed {
                    refused = self
                        .unanswered(operation, Outcome::Failed, Some(sqlstate), message)
                        .await?;
                }
                self.skip_to_sync().await?;
                Ok(refused)
            }
        }
    }

    /// The server skips what was forwarded up to the next Sync, and what comes if there is none.
    async fn skip_to_sync(&mut self) -> Result<(), Fatal> {
        while let Some(front) = self.pending.front() {
            if front.operation.ends_segment() {
                return Ok(());
            }
            if let Some(pending) = self.pending.pop_front() {
                self.unanswered(pending.operation, Outcome::Skipped, None, b"")
                    .await?;
            }
        }
        self.skipping = true;
        Ok(())
    }

    /// Ends an operation of the extended protocol that failed or was skipped.
    async fn unanswered(
        &mut self,
        operation: Operation,
        outcome: Outcome,
        sqlstate: Option<&str>,
        message: &[u8],
    ) -> Result<Option<Refused>, Fatal> {
        let sqlstate = sqlstate.map(str::to_owned);
        match operation {
            Operation::Parse { name, permitted } => {
                self.names.resolve_statement(&name, false);
                self.judge
                    .end(permitted.statement, bare_end(outcome, sqlstate))
                    .await?;
            }
            Operation::Bind { name } => {
                let portal = self.names.resolve_portal(&name, false);
                if let Some(Hold::Bound(permitted)) = portal.map(|portal| portal.hold) {
                    self.judge
                        .end(permitted.statement, bare_end(outcome, sqlstate))
                        .await?;
                }
            }
            Operation::Close { target, name } => match target {
                Target::Statement => self.names.resolve_statement(&name, false),
                Target::Portal => {
                    self.names.resolve_portal(&name, false);
                }
            },
            Operation::Execute { portal, run } => {
                if let Some(portal) = self.names.portal_by_id(portal) {
                    portal.hold = Hold::Ended;
                }
                if !run.ended {
                    // Skipped while it was to go on: it gave rows before, and ended there.
                    let went_on = outcome == Outcome::Skipped && run.rows > 0;
                    let outcome = if went_on { Outcome::Completed } else { outcome };
                    self.judge
                        .end(run.permitted.statement, run.end(outcome, sqlstate))
                        .await?;
                }
            }
            Operation::Denied(_) => return Ok(matching(operation, message)),
            Operation::Describe
            | Operation::DescribeInjected
            | Operation::Sync
            | Operation::Query { .. } => {}
        }
        Ok(None)
    }

    fn is_bound(&mut self) -> bool {
        self.bound |= self.judge.is_mask_bound();
        self.bound
    }

    fn notice(&mut self, frame: &[u8], body: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let fields = backend::error_fields(body)?;
        if self.is_bound() || fields.iter().any(|(_, text)| self.token.is_in(text)) {
            scrub::write_scrubbed(&mut out.to_client, b'N', &fields);
        } else {
            out.to_client.extend_from_slice(frame);
        }
        Ok(())
    }

    fn notification(&mut self, frame: &[u8], body: &[u8], out: &mut Out) -> Result<(), Fatal> {
        if self.is_bound() {
            scrub::write_notification(&mut out.to_client, body)?;
        } else {
            out.to_client.extend_from_slice(frame);
        }
        Ok(())
    }

    /// Settings under which analysis would read the text otherwise than the server, or as somebody else, end the session.
    fn parameter_status(&self, frame: &[u8], body: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let (name, value) = backend::parameter_status(body)?;
        let holds = match name {
            b"client_encoding" => value == b"UTF8",
            b"standard_conforming_strings" => value == b"on",
            b"session_authorization" => self.fixed.session_authorization.as_deref() == Some(value),
            b"is_superuser" => self.fixed.is_superuser.as_deref() == Some(value),
            _ => true,
        };
        if !holds {
            return Err(Fatal {
                sqlstate: "42501",
                message: format!(
                    "the session ends: `{}` changed, under which statements can't be analysed safely",
                    String::from_utf8_lossy(name)
                ),
            });
        }
        out.to_client.extend_from_slice(frame);
        Ok(())
    }
}

/// Whether a statement's rows are checked and may be masked.
fn is_checked(run: &Run) -> bool {
    run.permitted.enforcement.mask_bound || !run.permitted.enforcement.masks.is_empty()
}

/// The refusal of a stand-in, if the error is about its name.
fn matching(operation: Operation, message: &[u8]) -> Option<Refused> {
    match operation {
        Operation::Denied(denied) if denied.missing.is_in(message) => Some(denied.refused),
        _ => None,
    }
}

fn row_too_large(bytes_max: usize) -> Refused {
    Refused {
        sqlstate: "54000",
        message: "a row of a masked result is too large".to_owned(),
        detail: Some(format!(
            "rows are masked up to {bytes_max} bytes; the result was stopped"
        )),
        hint: Some("ask for fewer or smaller columns".to_owned()),
        position: None,
    }
}

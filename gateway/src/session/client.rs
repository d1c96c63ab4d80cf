//! What each of the client's messages does.
//!
//! Must never forward a statement that was not judged, nor judge one by a definition that the server might not use.

use std::{collections::VecDeque, sync::Arc};

use bytes::BytesMut;
use provost_engine::facts::{Kind, SessionEffect};
use provost_evidence::record::Outcome;

use super::{
    core::{Core, Flow, Stall, open_end, shared, take},
    names::{Found, Hold, NAME_BYTES_MAX, Portal, PortalId, Statement},
    out::{NeutralFrame, Out, Substitute, whole_frame},
    pending::{Copy, Decided, Operation, Road, Run, Segment, bare_end},
    refuse,
};
use crate::{
    judge::{Fatal, Judge, Parameters, Permitted, Refused, Stop},
    protocol::{
        frame::{self, Error, HEADER_BYTES, Header},
        frontend::{self, Bind, Execute, Message, Parse, Target},
    },
};

/// What became of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is done with.
    Taken,
    /// It waits, untouched, for the server.
    Stalled,
    /// It is looked at again at once.
    Again,
    /// It was the client's goodbye.
    Closed,
}

impl<J: Judge> Core<J> {
    /// Takes whole frames from the client's `input` and appends what follows from them to `out`.
    ///
    /// # Errors
    /// [`Fatal`]: the session ends. The client's error is in `out` already.
    pub async fn on_client(&mut self, input: &mut BytesMut, out: &mut Out) -> Result<Flow, Fatal> {
        let outcome = self.client_frames(input, out).await;
        if let Err(fatal) = &outcome {
            self.die(fatal, out);
        }
        outcome
    }

    async fn client_frames(&mut self, input: &mut BytesMut, out: &mut Out) -> Result<Flow, Fatal> {
        if self.whole.is_some() && input.is_empty() {
            return Ok(Flow::More);
        }
        // More comes while it is unanswered.
        self.unfold();
        let used = self.take_whole(input, out).await?;
        take(input, used);
        if self.whole.is_some() {
            return Ok(Flow::More);
        }
        loop {
            let passed = out.to_server.copy_body(input);
            take(input, passed);
            self.sync_after_copy_data(out);
            self.client_drop_bytes -= take(input, self.client_drop_bytes);
            if out.to_server.copy_bytes_left() > 0 || self.client_drop_bytes > 0 {
                return Ok(Flow::More);
            }
            let (used, stop) = self.whole_client_frames(input, out).await?;
            take(input, used);
            match stop {
                Some(flow) => return Ok(flow),
                None => {
                    let Some(header) = frame::header(input)? else {
                        return Ok(Flow::More);
                    };
                    take(input, HEADER_BYTES);
                    self.copy_data(header, out);
                }
            }
        }
    }

    /// Takes frames up to the first `CopyData`, whose body need not be there. Gives the bytes of those that are done with, and why it
    /// stopped, where that is no `CopyData`.
    async fn whole_client_frames(
        &mut self,
        input: &[u8],
        out: &mut Out,
    ) -> Result<(usize, Option<Flow>), Fatal> {
        let mut used = 0;
        loop {
            if self.pending.len() >= self.limits.pending_max {
                self.flush(out);
            }
            if !self.accepts_client() {
                return Ok((used, Some(Flow::Stalled)));
            }
            let rest = input.get(used..).unwrap_or_default();
            let Some(header) = frame::header(rest)? else {
                return Ok((used, Some(Flow::More)));
            };
            if !frontend::is_kind(header.kind) {
                return Err(Error::Kind(header.kind).into());
            }
            if header.kind == b'd' {
                return Ok((used, None));
            }
            if header.frame_bytes() > self.limits.client_message_bytes_max {
                return Err(Error::Length.into());
            }
            let Some((frame, body)) = whole_frame(rest, header) else {
                return Ok((used, Some(Flow::More)));
            };
            let message = frontend::read(header.kind, body)?;
            match self.client_message(message, frame, out).await? {
                Step::Taken => used += header.frame_bytes(),
                Step::Again => {}
                Step::Stalled => return Ok((used, Some(Flow::Stalled))),
                Step::Closed => return Ok((used, Some(Flow::Closed))),
            }
        }
    }

    async fn client_message(
        &mut self,
        message: Message<'_>,
        frame: &[u8],
        out: &mut Out,
    ) -> Result<Step, Fatal> {
        if message == Message::Terminate {
            out.to_server.neutral(NeutralFrame::Terminate);
            return Ok(Step::Closed);
        }
        let company = self.company();
        self.judge.alone(company);
        if self.replication.is_some()
            && let Some(step) = Box::pin(self.replication_message(&message, frame, out)).await?
        {
            return Ok(step);
        }
        if let Some(run) = self.copying() {
            return match message {
                Message::CopyDone | Message::CopyFail => {
                    run.copy = Copy::InDone;
                    out.to_server.statement(frame, &run.permitted.permit);
                    if run.is_guarded() {
                        // The Flush behind the Execute was the COPY's, which ignores it.
                        out.to_server.neutral(NeutralFrame::Flush);
                    }
                    Ok(Step::Taken)
                }
                // The server ignores both within a COPY, for clients that sent their Sync early.
                Message::Flush | Message::Sync => Ok(Step::Taken),
                _ => Err(Error::Kind(frame.first().copied().unwrap_or_default()).into()),
            };
        }
        if self.skipping && message != Message::Sync {
            return Ok(Step::Taken);
        }
        match message {
            Message::Query(text) => self.query(text, frame, out).await,
            Message::Parse(parse) => self.parse(&parse, frame, out).await,
            Message::Bind(bind) => self.bind(&bind, frame, out).await,
            Message::Describe(target, name) => self.describe(target, name, out).await,
            Message::Execute(execute) => self.execute(&execute, frame, out).await,
            Message::Close(target, name) => Ok(self.close_name(target, name, out)),
            Message::Flush => {
                out.to_server.neutral(NeutralFrame::Flush);
                self.unflushed = false;
                Ok(Step::Taken)
            }
            Message::Sync => {
                self.skipping = false;
                self.server_skips = false;
                out.to_server.neutral(NeutralFrame::Sync);
                self.push(Operation::Sync);
                Ok(Step::Taken)
            }
            Message::FunctionCall(function) => self.function_call(function, frame, out).await,
            // Outside a COPY the server ignores these: a client whose COPY just failed still sends them.
            Message::CopyData | Message::CopyDone | Message::CopyFail | Message::Terminate => {
                Ok(Step::Taken)
            }
        }
    }

    /// The statement whose COPY takes data.
    fn copying(&mut self) -> Option<&mut Run> {
        self.running().filter(|run| run.copy == Copy::In)
    }

    /// Ends a COPY FROM whose time is up: a server that waits for the client's data hears no cancel. Within a `CopyData` frame nothing
    /// can be said; then only the client's next bytes end it.
    pub fn fail_copy(&mut self, out: &mut Out) {
        if out.to_server.copy_bytes_left() > 0 {
            return;
        }
        if let Some(run) = self.copying() {
            run.copy = Copy::InDone;
            out.to_server.copy_fail();
        }
    }

    fn copy_data(&mut self, header: Header, out: &mut Out) {
        match self.running().filter(|run| run.copy.takes_data()) {
            Some(run) => {
                // Where both send, what counts is what the client gets.
                if run.copy == Copy::In {
                    run.bytes += header.body_bytes as u64;
                }
                out.to_server.copy_data(header, &run.permitted.permit);
            }
            None => self.client_drop_bytes = header.body_bytes,
        }
    }

    pub(super) fn wait(&mut self, stall: Stall, out: &mut Out) -> Result<Step, Fatal> {
        if self.pending.is_empty() {
            return Err(Fatal {
                sqlstate: "XX000",
                message: "a message waits for an answer that nothing asked for".to_owned(),
            });
        }
        self.flush(out);
        self.stall = stall;
        Ok(Step::Stalled)
    }

    async fn query(&mut self, text: &[u8], frame: &[u8], out: &mut Out) -> Result<Step, Fatal> {
        if self.is_segment_open() {
            // If one of those fails, the server skips this Query too.
            return self.wait(Stall::Answer, out);
        }
        match self.judge.query(text).await {
            Ok(permitted) if permitted.is_empty() => {
                out.to_server.neutral(NeutralFrame::EmptyQuery);
                self.push(Operation::answered_query());
            }
            Ok(permitted) => {
                self.bound |= permitted
                    .iter()
                    .any(|permitted| permitted.enforcement.mask_bound);
                for permitted in &permitted {
                    tell(permitted, out);
                    self.judge.touched(permitted.enforcement.touch);
                    self.sets_role |= permitted.enforcement.sets_role;
                }
                let runs: VecDeque<Box<Run>> =
                    permitted.into_iter().map(|one| self.run(one)).collect();
                let road = self.send_query(&runs, text, frame, out);
                self.push(Operation::Query { runs, road });
            }
            Err(Stop::Refused(refused)) => self.deny(Substitute::Query, refused, out),
            Err(Stop::Look(look)) => return Ok(self.look_first(look, out)),
            Err(Stop::Names) => return Ok(self.give_names(out)),
            Err(Stop::Held(held)) => return self.hold(held, out),
            Err(Stop::Fatal(fatal)) => return Err(fatal),
        }
        Ok(Step::Taken)
    }

    async fn function_call(
        &mut self,
        function: u32,
        frame: &[u8],
        out: &mut Out,
    ) -> Result<Step, Fatal> {
        if self.is_segment_open() {
            return self.wait(Stall::Answer, out);
        }
        match self.judge.call(function).await {
            Ok(permitted) => {
                tell(&permitted, out);
                out.to_server.statement(frame, &permitted.permit);
                self.judge.touched(permitted.enforcement.touch);
                self.sets_role |= permitted.enforcement.sets_role;
                let runs = [self.run(permitted)].into();
                let road = Road::Plain;
                self.push(Operation::Query { runs, road });
                Ok(Step::Taken)
            }
            Err(Stop::Refused(refused)) => {
                self.deny(Substitute::Query, refused, out);
                Ok(Step::Taken)
            }
            Err(Stop::Look(look)) => Ok(self.look_first(look, out)),
            Err(Stop::Names) => Ok(self.give_names(out)),
            Err(Stop::Held(held)) => self.hold(held, out),
            Err(Stop::Fatal(fatal)) => Err(fatal),
        }
    }

    /// Refuses on the session's own account.
    pub(super) async fn refuse(
        &mut self,
        substitute: Substitute,
        refused: Refused,
        out: &mut Out,
    ) -> Result<Step, Fatal> {
        self.judge.refused(&refused).await?;
        self.deny(substitute, refused, out);
        Ok(Step::Taken)
    }

    async fn parse(
        &mut self,
        parse: &Parse<'_>,
        frame: &[u8],
        out: &mut Out,
    ) -> Result<Step, Fatal> {
        if !is_good_name(parse.name) {
            return self
                .refuse(Substitute::Parse, refuse::bad_name(parse.name), out)
                .await;
        }
        match self.judge.prepare(parse.text, &parse.parameter_types).await {
            Ok((permitted, prepared)) => {
                self.bound |= permitted.enforcement.mask_bound;
                out.to_server.statement(frame, &permitted.permit);
                let name = shared(parse.name);
                self.forward_parse((&name, parse.text.len()), self.segment, prepared);
                self.push(Operation::Parse {
                    name,
                    decided: Decided::Itself(permitted),
                });
                Ok(Step::Taken)
            }
            Err(Stop::Refused(refused)) => {
                self.deny(Substitute::Parse, refused, out);
                Ok(Step::Taken)
            }
            Err(Stop::Look(look)) => Ok(self.look_first(look, out)),
            Err(Stop::Names) => Ok(self.give_names(out)),
            Err(Stop::Held(held)) => self.hold(held, out),
            Err(Stop::Fatal(fatal)) => Err(fatal),
        }
    }

    /// A Parse is forwarded, of so many bytes of text.
    pub(super) fn forward_parse(
        &mut self,
        (name, text_bytes): (&Arc<[u8]>, usize),
        segment: Segment,
        prepared: J::Prepared,
    ) {
        let statement = Statement {
            prepared,
            text_bytes,
        };
        self.names.forward_statement(name, segment, Some(statement));
    }

    /// A Bind of this portal is forwarded.
    pub(super) fn forward_portal(
        &mut self,
        name: &Arc<[u8]>,
        segment: Segment,
        (prepared, bound): (J::Prepared, J::Bound),
        hold: Hold,
    ) -> PortalId {
        let life = self.life();
        self.names.forward_bind(
            name,
            Portal {
                segment,
                prepared,
                bound,
                hold,
                life,
                fetched: (0, 0),
            },
        )
    }

    async fn bind(&mut self, bind: &Bind<'_>, frame: &[u8], out: &mut Out) -> Result<Step, Fatal> {
        if !is_good_name(bind.portal) {
            return self
                .refuse(Substitute::Bind, refuse::bad_name(bind.portal), out)
                .await;
        }
        if self.names.portals() >= self.limits.portals_max
            && !self.names.mentions_portal(bind.portal)
        {
            return self.refuse(Substitute::Bind, too_many_portals(), out).await;
        }
        let prepared = match self.names.statement(bind.statement, self.segment) {
            Found::Known(prepared) => prepared,
            Found::Unresolved => return self.wait(Stall::Ready, out),
            Found::Unknown => {
                let refused = refuse::unknown(Target::Statement, bind.statement);
                return self.refuse(Substitute::Bind, refused, out).await;
            }
        };
        let parameters = Parameters {
            raw: bind.parameters,
            count: bind.count,
        };
        match self.judge.bind(&prepared, parameters).await {
            Ok(permitted) => {
                tell(&permitted, out);
                self.bound |= permitted.enforcement.mask_bound;
                out.to_server.statement(frame, &permitted.permit);
                let name = shared(bind.portal);
                let bound = self.judge.bound(parameters);
                let portal = self.forward_portal(
                    &name,
                    self.segment,
                    (prepared, bound),
                    Hold::Bound(permitted),
                );
                self.push(Operation::Bind { name, portal });
                Ok(Step::Taken)
            }
            Err(Stop::Refused(refused)) => {
                self.deny(Substitute::Bind, refused, out);
                Ok(Step::Taken)
            }
            Err(Stop::Look(look)) => Ok(self.look_first(look, out)),
            Err(Stop::Names) => Ok(self.give_names(out)),
            Err(Stop::Held(held)) => self.hold(held, out),
            Err(Stop::Fatal(fatal)) => Err(fatal),
        }
    }

    /// A Describe runs nothing and shows no value, so it need not wait for a name to be certain.
    async fn describe(
        &mut self,
        target: Target,
        name: &[u8],
        out: &mut Out,
    ) -> Result<Step, Fatal> {
        let known = match target {
            Target::Statement => self.names.mentions_statement(name),
            Target::Portal => self.names.mentions_portal(name),
        };
        if !known {
            let refused = refuse::unknown(target, name);
            return self
                .refuse(Substitute::Describe(target), refused, out)
                .await;
        }
        out.to_server.neutral(NeutralFrame::Describe(target, name));
        let portal = match target {
            Target::Statement => None,
            Target::Portal => {
                let answered = self.earlier_answered();
                match self.names.portal(name, self.segment, answered) {
                    Found::Known(portal) => Some(portal),
                    Found::Unknown | Found::Unresolved => None,
                }
            }
        };
        self.push(Operation::Describe { portal });
        Ok(Step::Taken)
    }

    fn close_name(&mut self, target: Target, name: &[u8], out: &mut Out) -> Step {
        // A longer name would close another one at the server; nothing of ours has it, and closing nothing is no error.
        let missing = self.token.missing(0);
        let name = if is_good_name(name) {
            name
        } else {
            missing.as_str().as_bytes()
        };
        out.to_server.neutral(NeutralFrame::Close(target, name));
        let name = shared(name);
        match target {
            Target::Statement => self.names.forward_statement(&name, self.segment, None),
            Target::Portal => self.names.forward_close_portal(&name, self.segment),
        }
        self.push(Operation::Close { target, name });
        Step::Taken
    }

    async fn execute(
        &mut self,
        execute: &Execute<'_>,
        frame: &[u8],
        out: &mut Out,
    ) -> Result<Step, Fatal> {
        let answered = self.earlier_answered();
        let id = match self.names.portal(execute.portal, self.segment, answered) {
            Found::Known(id) => id,
            Found::Unresolved => return self.wait(Stall::Ready, out),
            Found::Unknown => {
                let refused = refuse::unknown(Target::Portal, execute.portal);
                return self.refuse(Substitute::Execute, refused, out).await;
            }
        };
        // A result may end at a limit, and then nothing behind it runs.
        if self.may_be_cut() {
            return self.wait(Stall::Answer, out);
        }
        let Some(portal) = self.names.portal_by_id(id) else {
            return self.wait(Stall::Answer, out);
        };
        let (mut run, over) = match std::mem::replace(&mut portal.hold, Hold::Executing) {
            // Whether the first Execute left rows is not known yet.
            Hold::Executing => return self.wait(Stall::Answer, out),
            Hold::Cut => {
                portal.hold = Hold::Cut;
                return self
                    .refuse(Substitute::Execute, refuse::cut_portal(), out)
                    .await;
            }
            Hold::Bound(permitted) if !self.judge.is_stale(&permitted) => {
                let run = Run::new(permitted);
                (run, None)
            }
            Hold::Suspended(run) if !self.judge.is_stale(&run.permitted) => (run, None),
            held @ (Hold::Bound(_) | Hold::Suspended(_) | Hold::Ended) => {
                match self
                    .judge
                    .execute_again(&portal.prepared, &portal.bound)
                    .await
                {
                    Ok(permitted) => {
                        tell(&permitted, out);
                        (Run::after(permitted, &held), Some(held))
                    }
                    Err(stop) => {
                        portal.hold = held;
                        return match stop {
                            Stop::Refused(refused) => {
                                self.deny(Substitute::Execute, refused, out);
                                Ok(Step::Taken)
                            }
                            Stop::Look(look) => Ok(self.look_first(look, out)),
                            Stop::Names => Ok(self.give_names(out)),
                            Stop::Held(held) => self.hold(held, out),
                            Stop::Fatal(fatal) => Err(fatal),
                        };
                    }
                }
            }
        };
        let over = over.and_then(|held| match held {
            Hold::Bound(permitted) => Some((permitted.statement, bare_end(Outcome::Skipped, None))),
            Hold::Suspended(run) => open_end(&run, Outcome::Completed),
            Hold::Executing | Hold::Ended | Hold::Cut => None,
        });
        self.count_cursors(&mut run);
        self.forward_execute(execute.portal, id, run, frame, out);
        if let Some((statement, end)) = over {
            self.judge.end(statement, end).await?;
        }
        Ok(Step::Taken)
    }

    fn forward_execute(
        &mut self,
        name: &[u8],
        portal: PortalId,
        run: Box<Run>,
        frame: &[u8],
        out: &mut Out,
    ) {
        let Permitted {
            permit,
            enforcement,
            ..
        } = &run.permitted;
        self.bound |= enforcement.mask_bound;
        self.judge.touched(enforcement.touch);
        self.sets_role |= enforcement.sets_role;
        let checked = enforcement.mask_bound || !enforcement.masks.is_empty();
        let waits = enforcement.kind == Kind::CopyFrom
            || run.is_guarded()
            || enforcement.binding.is_some()
            || enforcement.session_effect == SessionEffect::Catalog;
        // COPY has no description.
        let describes = (checked || run.is_recorded())
            && enforcement.columns.is_some()
            && enforcement.kind != Kind::CopyTo
            && run.fields.is_none();
        if describes {
            out.to_server
                .neutral(NeutralFrame::Describe(Target::Portal, name));
        }
        out.to_server.statement(frame, permit);
        if describes {
            self.push(Operation::DescribeInjected);
        }
        self.push(Operation::Execute { portal, run });
        self.mid_run = true;
        if waits {
            self.flush(out);
        }
    }
}

/// Tells the client what it is to know before its answer.
pub(super) fn tell(permitted: &Permitted, out: &mut Out) {
    if let Some(notice) = &permitted.notice {
        refuse::write_notice(&mut out.to_client, notice);
    }
}

/// Whether the server tells this name apart from every other, and it is none of ours.
fn is_good_name(name: &[u8]) -> bool {
    name.len() <= NAME_BYTES_MAX && !name.starts_with(refuse::PREFIX.as_bytes())
}

fn too_many_portals() -> Refused {
    Refused {
        sqlstate: "54000",
        message: "too many open portals".to_owned(),
        detail: None,
        hint: Some("close portals, or end the transaction".to_owned()),
        position: None,
    }
}

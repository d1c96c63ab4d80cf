//! Connections that replicate: commands that are no SQL, and streams of both directions.
//!
//! A server takes one command at a time and no message of the extended protocol. A command gives several results, its data goes
//! through as it comes, and its end is the ReadyForQuery behind its last CommandComplete. Must never let a command through that was not
//! decided, nor a stream go on under a policy that does not allow it.

use provost_evidence::record::Outcome;

use super::{
    client::{Step, tell},
    core::{Body, Core, Stall, out_of_step},
    out::{Out, Substitute},
    pending::{Copy, Operation, Replicating, Road, Run},
    refuse,
    server::running,
};
use crate::{
    judge::{Fatal, Judge, Permitted, Refused, Stop},
    protocol::{
        backend,
        frame::Error,
        frontend::Message,
        replication::{Replication, Text, read},
    },
};

/// ReadyForQuery outside of a transaction: that is where a connection without a database always is.
const READY: &[u8] = b"Z\0\0\0\x05I";

impl<J: Judge> Core<J> {
    /// Whether a stream is under way that ends by itself at neither side.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.replication.is_some()
            && match self.pending.front().map(|pending| &pending.operation) {
                Some(Operation::Query { runs, .. }) => {
                    runs.front().is_some_and(|run| run.copy.is_stream())
                }
                Some(_) | None => false,
            }
    }

    /// Decides a stream again, where what let it go on may be another by now. It goes on as a statement of its own, or ends.
    ///
    /// # Errors
    /// [`Fatal`]: the stream may not go on, and so the session ends. The client's error is in `out` already.
    pub async fn review(&mut self, out: &mut Out) -> Result<(), Fatal> {
        let outcome = self.decide_stream_again(out).await;
        if let Err(fatal) = &outcome {
            self.die(fatal, out);
        }
        outcome
    }

    async fn decide_stream_again(&mut self, out: &mut Out) -> Result<(), Fatal> {
        // Within a message to the client nothing else can be said to it.
        if !self.is_streaming() || matches!(self.server_body, Some(Body::Pass(_))) {
            return Ok(());
        }
        let Some(run) = running(&mut self.pending) else {
            return Ok(());
        };
        let Some(replicating) = &run.replicating else {
            return Ok(());
        };
        if !self.judge.is_over(&run.permitted) {
            return Ok(());
        }
        let refused = match self.judge.replicate(&replicating.text).await {
            Ok(permitted) => {
                tell(&permitted, out);
                let mut next = Run::new(permitted);
                next.copy = run.copy;
                next.replicating = run.replicating.take();
                let before = std::mem::replace(run, *next);
                let end = before.end(Outcome::Completed, None);
                return self.judge.end(before.permitted.statement, end).await;
            }
            Err(Stop::Refused(refused)) => refused,
            Err(Stop::Fatal(fatal)) => {
                self.finish(Outcome::Cut, Some(fatal.sqlstate)).await?;
                return Err(fatal);
            }
            Err(Stop::Look(_) | Stop::Names | Stop::Held(_)) => undecided(),
        };
        self.finish(Outcome::Cut, Some(refused.sqlstate)).await?;
        Err(Fatal {
            sqlstate: refused.sqlstate,
            message: format!("the stream ends: {}", refused.message),
        })
    }

    /// Takes what a client may say only here, or not here; `None` for everything else.
    pub(super) async fn replication_message(
        &mut self,
        message: &Message<'_>,
        frame: &[u8],
        out: &mut Out,
    ) -> Result<Option<Step>, Fatal> {
        if self.is_streaming() {
            return self.stream_message(message, frame, out);
        }
        let is_copying = self.running().is_some_and(|run| run.copy == Copy::In);
        if is_copying || self.skipping {
            return Ok(None);
        }
        match message {
            Message::Query(text) if self.is_command(text) => {
                self.command(text, frame, out).await.map(Some)
            }
            Message::Parse(_)
            | Message::Bind(_)
            | Message::Describe(..)
            | Message::Execute(_)
            | Message::Close(..) => {
                // The server says so itself, of a message that is as little to it.
                let refused = not_here("extended query protocol");
                let step = self.refuse(Substitute::Execute, refused, out).await?;
                Ok(Some(step))
            }
            Message::FunctionCall(_) => {
                if !self.pending.is_empty() {
                    return self.wait(Stall::Idle, out).map(Some);
                }
                let refused = not_here("fastpath function calls");
                self.judge.refused(&refused).await?;
                self.deny_query(refused, out);
                Ok(Some(Step::Taken))
            }
            Message::Query(_)
            | Message::Flush
            | Message::Sync
            | Message::Terminate
            | Message::CopyData
            | Message::CopyDone
            | Message::CopyFail => Ok(None),
        }
    }

    /// Whether a text is the judge's to decide as a command. Without a database every text is: what is none is refused there.
    fn is_command(&self, text: &[u8]) -> bool {
        match (self.replication, read(text)) {
            (Some(Replication::Physical), _)
            | (Some(Replication::Logical), Text::TakesData | Text::Answers) => true,
            // SHOW is the same in SQL, of which more is known.
            (Some(Replication::Logical), Text::Show | Text::Sql) | (None, _) => false,
        }
    }

    /// What the client says within a stream; its data is taken elsewhere.
    fn stream_message(
        &mut self,
        message: &Message<'_>,
        frame: &[u8],
        out: &mut Out,
    ) -> Result<Option<Step>, Fatal> {
        let Some(run) = running(&mut self.pending) else {
            return Ok(None);
        };
        let after = match (run.copy, message) {
            (Copy::Both, Message::CopyDone | Message::CopyFail) => Copy::BothOut,
            (Copy::BothIn, Message::CopyDone | Message::CopyFail) => Copy::BothDone,
            // What comes behind its end the server takes up when the stream is over.
            (Copy::BothOut, Message::CopyData | Message::CopyDone | Message::CopyFail) => {
                return Ok(Some(Step::Taken));
            }
            (Copy::BothOut, _) => return self.wait(Stall::Idle, out).map(Some),
            // It ends the connection over anything else, too.
            _ => return Err(Error::Kind(frame.first().copied().unwrap_or_default()).into()),
        };
        run.copy = after;
        out.to_server.statement(frame, &run.permitted.permit);
        Ok(Some(Step::Taken))
    }

    async fn command(&mut self, text: &[u8], frame: &[u8], out: &mut Out) -> Result<Step, Fatal> {
        // One at a time: what comes of the one before may decide about this one.
        if !self.pending.is_empty() {
            return self.wait(Stall::Idle, out);
        }
        match self.judge.replicate(text).await {
            Ok(permitted) => {
                tell(&permitted, out);
                out.to_server.statement(frame, &permitted.permit);
                let runs = [replicating(permitted, text)].into();
                let road = Road::Plain;
                self.push(Operation::Query { runs, road });
                Ok(Step::Taken)
            }
            Err(Stop::Refused(refused)) => {
                self.deny_query(refused, out);
                Ok(Step::Taken)
            }
            Err(Stop::Fatal(fatal)) => Err(fatal),
            Err(Stop::Look(_) | Stop::Names | Stop::Held(_)) => {
                let refused = undecided();
                self.judge.refused(&refused).await?;
                self.deny_query(refused, out);
                Ok(Step::Taken)
            }
        }
    }

    /// Refuses a Query while nothing is unanswered. Without a database the server knows no text that fails as ours does, and has no
    /// transaction that must fail with it: it is not asked.
    fn deny_query(&mut self, refused: Refused, out: &mut Out) {
        match self.replication {
            Some(Replication::Physical) => {
                refuse::write_refused(&mut out.to_client, &refused);
                out.to_client.extend_from_slice(READY);
            }
            Some(Replication::Logical) | None => self.deny(Substitute::Query, refused, out),
        }
    }

    /// Takes an answer to a command; false where it is any other's, or the rest is as for any other.
    pub(super) async fn replication_answer(
        &mut self,
        kind: u8,
        frame: &[u8],
        body: &[u8],
        out: &mut Out,
    ) -> Result<bool, Fatal> {
        let Some(run) = running(&mut self.pending) else {
            return Ok(false);
        };
        let Some(replicating) = &mut run.replicating else {
            return Ok(false);
        };
        let before = replicating.withheld.take();
        if kind == b'Z' {
            let Some(before) = before else {
                return Err(out_of_step(kind));
            };
            self.finish(Outcome::Completed, None).await?;
            self.tell(&before, out);
            return Ok(false);
        }
        let copy = match (kind, run.copy) {
            // What is under way ends with it.
            (b'E', copy) => copy,
            (b'C', _) => {
                backend::command_tag(body)?;
                replicating.withheld = Some(frame.into());
                Copy::None
            }
            (b'T', Copy::None | Copy::InDone | Copy::BothDone) => {
                backend::row_description(body)?;
                Copy::None
            }
            (b'G', Copy::None) => Copy::In,
            (b'H', Copy::None) => Copy::Out,
            (b'W', Copy::None) => Copy::Both,
            (b'c', Copy::Out) => Copy::None,
            (b'c', Copy::Both) => Copy::BothIn,
            (b'c', Copy::BothOut) => Copy::BothDone,
            _ => return Err(out_of_step(kind)),
        };
        run.copy = copy;
        if let Some(before) = before {
            self.tell(&before, out);
        }
        match kind {
            b'E' => Ok(false),
            b'C' => Ok(true),
            _ => {
                self.tell(frame, out);
                Ok(true)
            }
        }
    }
}

/// A command as it is sent.
fn replicating(permitted: Permitted, text: &[u8]) -> Box<Run> {
    let mut run = Run::new(permitted);
    run.replicating = Some(Box::new(Replicating {
        text: text.into(),
        expects_data: read(text) == Text::TakesData,
        withheld: None,
    }));
    run
}

/// In a server's own words.
fn not_here(what: &str) -> Refused {
    Refused {
        sqlstate: "08P01",
        message: format!("{what} not supported in a replication connection"),
        detail: None,
        hint: None,
        position: None,
    }
}

/// A command whose decision needs what can't be had here.
fn undecided() -> Refused {
    Refused {
        sqlstate: "42501",
        message: "replication is denied by policy: its decision hangs on what can't be asked here"
            .to_owned(),
        detail: None,
        hint: None,
        position: None,
    }
}

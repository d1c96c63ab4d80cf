//! The gateway's own questions over the session's connection: what only this session can see.
//!
//! Asked only while nothing else is unanswered, by the extended protocol and under a name that no client can have, so that
//! the client's statements, portals and transaction stay as they are. Must never ask in a failed transaction, let a word
//! of an answer reach the client, nor leave a setting other than it was.

use bytes::BytesMut;

use super::{
    client::Step,
    core::{Core, Stall, out_of_step, take},
    out::{NeutralFrame, Out, whole_frame},
    pending::{Clock, Operation},
};
use crate::{
    judge::{Fatal, Holder, Judge, Keep, Look, Unseen},
    look::Footing,
    protocol::{
        backend,
        frame::{Error, Header},
    },
    scrub,
};

/// How long the server may take for an answer; then it is asked to cancel, and the client's statement is refused.
const LOOK_MS_MAX: u64 = 30_000;
/// The largest message of an answer: a catalog of some hundred thousand columns. Beyond: the session ends.
const LOOK_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Around a question in the client's transaction that may fail through nobody's fault, and that locks what views read: neither its
/// failure nor its locks must be the client's.
const GUARD: &str = "SAVEPOINT provost_own";
/// Goes back to before the question, whatever came of it: that gives the locks up.
const GO_BACK: &str = "ROLLBACK TO SAVEPOINT provost_own";
/// Takes the guard away.
const UNGUARD: &str = "RELEASE SAVEPOINT provost_own";

/// How a question in the client's transaction is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// It is not.
    None,
    /// By a savepoint.
    Set,
    /// It failed, and the transaction is taken back to the savepoint.
    GoingBack,
}

/// What ends the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// ReadyForQuery: nothing of the client's was open.
    Ready,
    /// The last CloseComplete, or an error: the client has a segment open, which a Sync would end.
    Closed,
    /// The last CloseComplete: the segment that the question opened stays open for the client's frame. After an error a Sync
    /// ends it, for nothing of the client's is in it.
    Held,
}

/// A question that was asked.
#[derive(Debug)]
pub(super) struct Asking {
    look: Look,
    pub(super) until: Until,
    guard: Guard,
    /// Statements of it that are still to complete before the one that gives the answer.
    before: usize,
    /// CloseComplete messages that are still to come.
    closes: usize,
    answer: Option<Vec<u8>>,
    failed: Option<Unseen>,
    /// The judge has the answer, and what is waited for is the end of the segment.
    told: bool,
    pub(super) clock: Clock,
}

impl<J: Judge> Core<J> {
    /// A frame can't be judged before the session was looked at: it waits for that, untouched.
    pub(super) fn look_first(&mut self, look: Look, out: &mut Out) -> Step {
        if !self.pending.is_empty() {
            self.flush(out);
            self.stall = Stall::Idle;
            return Step::Stalled;
        }
        if self.replication.is_some() {
            return self.look_by_query(look, out);
        }
        let name = self.token.own(self.questions_failed);
        let until = match look {
            _ if self.mid_segment && !self.held => Until::Closed,
            Look::Pin(_) => Until::Held,
            Look::Path | Look::Catalog(_) => Until::Ready,
        };
        let is_guarded = self.in_block && until == Until::Ready && matches!(look, Look::Catalog(_));
        let (guard, footing) = match until {
            Until::Ready if is_guarded => (Guard::Set, Footing::Savepoint),
            Until::Ready | Until::Held => (Guard::None, Footing::Own),
            Until::Closed => (Guard::None, Footing::Midst),
        };
        let mut steps = look.steps(footing);
        if is_guarded {
            steps.insert(0, (GUARD, Vec::new()));
            steps.push((GO_BACK, Vec::new()));
            steps.push((UNGUARD, Vec::new()));
        }
        let answer = look.answer();
        let before = steps.iter().take_while(|(step, _)| *step != answer).count();
        for (question, values) in &steps {
            out.to_server.own(&name, question, values);
        }
        let asking = Asking {
            guard,
            before,
            closes: steps.len().saturating_mul(2),
            until,
            answer: None,
            failed: None,
            told: false,
            clock: Clock::new(Some(LOOK_MS_MAX)),
            look,
        };
        self.push(Operation::Look(asking));
        out.to_server.neutral(match until {
            Until::Ready => NeutralFrame::Sync,
            Until::Closed | Until::Held => NeutralFrame::Flush,
        });
        self.unflushed = false;
        self.stall = Stall::Look;
        Step::Stalled
    }

    /// The same where the server knows no extended protocol: the path alone can be asked for. Whatever else the judge asks has no answer,
    /// and what hangs on it is refused.
    fn look_by_query(&mut self, look: Look, out: &mut Out) -> Step {
        match look {
            Look::Path => out.to_server.own_query(look.answer()),
            Look::Catalog(_) | Look::Pin(_) => out.to_server.neutral(NeutralFrame::EmptyQuery),
        }
        self.push(Operation::Look(Asking {
            look,
            until: Until::Ready,
            guard: Guard::None,
            before: 0,
            closes: 0,
            answer: None,
            failed: None,
            told: false,
            clock: Clock::new(Some(LOOK_MS_MAX)),
        }));
        self.stall = Stall::Look;
        Step::Stalled
    }

    /// Whether what the server sends is the answer to a question of ours.
    pub(super) fn is_looking(&self) -> bool {
        let front = self.pending.front().map(|pending| &pending.operation);
        matches!(front, Some(Operation::Look(_)))
    }

    /// Takes one frame of an answer; false while it is not whole.
    pub(super) async fn look_frame(
        &mut self,
        header: Header,
        input: &mut BytesMut,
        out: &mut Out,
    ) -> Result<bool, Fatal> {
        if header.frame_bytes() > LOOK_BYTES_MAX {
            return Err(Error::Length.into());
        }
        let Some((frame, body)) = whole_frame(input, header) else {
            return Ok(false);
        };
        match header.kind {
            // Notices are about our statement.
            b'N' => {}
            b'S' => self.parameter_status(frame, body, out)?,
            b'A' => self.notification(frame, body, out)?,
            b'E' if is_fatal(body)? => self.error(frame, body, out).await?,
            kind => self.look_answer(kind, body, out).await?,
        }
        take(input, header.frame_bytes());
        Ok(true)
    }

    async fn look_answer(&mut self, kind: u8, body: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let is_simple = self.replication.is_some();
        let Some(Operation::Look(asking)) = self.front() else {
            return Err(out_of_step(kind));
        };
        let until = asking.until;
        let is_over = match kind {
            b'1' | b'2' => false,
            b'T' | b'I' if is_simple => false,
            b'D' => {
                if asking.before == 0 && asking.answer.is_none() {
                    let value = backend::data_row(body)?.next().transpose()?;
                    asking.answer = value.flatten().map(<[u8]>::to_vec);
                }
                false
            }
            b'C' => {
                asking.before = match asking.before.checked_sub(1) {
                    Some(before) => before,
                    // The answer is complete: what comes behind it gives none.
                    None => usize::MAX,
                };
                false
            }
            b'3' => {
                asking.closes = asking.closes.saturating_sub(1);
                until != Until::Ready && asking.closes == 0
            }
            b'E' => {
                asking.failed = Some(Unseen {
                    sqlstate: scrub::sqlstate(&backend::error_fields(body)?),
                });
                if until == Until::Held {
                    asking.until = Until::Ready;
                    self.end_held(out);
                }
                until == Until::Closed
            }
            b'Z' if asking.guard == Guard::Set && asking.failed.is_some() => {
                asking.guard = Guard::GoingBack;
                // The question that failed may have left a statement of its name.
                let name = self.token.own(self.questions_failed.wrapping_add(1));
                out.to_server.own(&name, GO_BACK, &[]);
                out.to_server.own(&name, UNGUARD, &[]);
                out.to_server.neutral(NeutralFrame::Sync);
                return Ok(());
            }
            b'Z' if until == Until::Ready => true,
            other => return Err(out_of_step(other)),
        };
        if kind == b'Z' {
            let &[status @ (b'I' | b'T' | b'E')] = body else {
                return Err(Error::Format.into());
            };
            // Its own transaction is none of the client's; only a failure of the client's is news.
            if status == b'E' {
                self.judge.transaction_status(status);
            }
        }
        if is_over {
            self.looked(until, out).await?;
        }
        Ok(())
    }

    /// The answer is whole: the frame that waits for it is looked at again.
    async fn looked(&mut self, until: Until, out: &mut Out) -> Result<(), Fatal> {
        let Some(Operation::Look(asking)) =
            self.pending.pop_front().map(|pending| pending.operation)
        else {
            return Ok(());
        };
        self.stall = Stall::None;
        if asking.told {
            return Ok(());
        }
        self.questions_failed = self
            .questions_failed
            .wrapping_add(u32::from(asking.failed.is_some()));
        self.server_skips = until == Until::Closed && asking.failed.is_some();
        let answer = match (asking.failed, asking.answer) {
            (Some(unseen), _) => Err(unseen),
            (None, Some(answer)) => Ok(answer),
            (None, None) => Err(Unseen {
                sqlstate: "XX000".to_owned(),
            }),
        };
        let holder = match until {
            Until::Closed => Holder::Client,
            Until::Ready | Until::Held => Holder::Gateway,
        };
        let keep = self
            .judge
            .looked(asking.look.clone(), answer, holder)
            .await?;
        match (until, keep) {
            (Until::Held, Keep::Open) => self.held = true,
            (Until::Held, Keep::End) => {
                self.stall = Stall::Look;
                self.push(Operation::Look(Asking {
                    until: Until::Ready,
                    told: true,
                    answer: None,
                    failed: None,
                    ..asking
                }));
                out.to_server.neutral(NeutralFrame::Sync);
            }
            (Until::Ready | Until::Closed, Keep::Open | Keep::End) => {}
        }
        Ok(())
    }

    /// Ends a segment that holds nothing but a question of ours.
    fn end_held(&mut self, out: &mut Out) {
        out.to_server.neutral(NeutralFrame::Sync);
        self.end_segment();
    }
}

fn is_fatal(body: &[u8]) -> Result<bool, Error> {
    let fields = backend::error_fields(body)?;
    let severity = scrub::field(&fields, b'V').or_else(|| scrub::field(&fields, b'S'));
    Ok(matches!(severity, Some(b"FATAL" | b"PANIC")))
}

//! The session's state, when it must wait, and how it ends.
//!
//! Must never consume a client frame whose meaning hangs on an answer that the server has not given.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::BytesMut;
use provost_engine::{
    facts::{Kind, SessionEffect},
    mask::MaskKeys,
};
use provost_evidence::record::Outcome;

use super::{
    client::Step,
    names::{Hold, Names, Portal},
    out::{NeutralFrame, Out, Substitute},
    pending::{Clock, Copy, Decided, Denied, Operation, Pending, Run, Segment, Shape, bare_end},
    refuse::{self, Missing, Token},
    whole::Whole,
};
use crate::{
    judge::{Alone, End, Fatal, Held, Judge, Refused, StatementSeq},
    protocol::{frame::Error, replication::Replication},
};

/// What a session holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame taken from a client, `CopyData` aside (its body is passed on in parts). Beyond: 08P01, and the
    /// session ends.
    pub client_message_bytes_max: usize,
    /// The largest frame of the server that must be read whole, rows aside. Beyond: the session ends.
    pub server_message_bytes_max: usize,
    /// The largest row that is masked. Beyond: the result is stopped with 54000. Rows without masks pass in parts.
    pub masked_row_bytes_max: usize,
    /// Unanswered frames. At the limit the session asks the server for its answers and takes no more from the client
    /// until some came.
    pub pending_max: usize,
    /// Portals open at once. At the limit a Bind is refused with 54000.
    pub portals_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_message_bytes_max: 64 * 1024 * 1024,
            server_message_bytes_max: 64 * 1024 * 1024,
            masked_row_bytes_max: 64 * 1024 * 1024,
            pending_max: 4096,
            portals_max: 1024,
        }
    }
}

/// Why a call returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Every whole frame of the input is used; what is left is part of one.
    More,
    /// Frames are left in the client's input: they wait for the server ([`Core::accepts_client`]).
    Stalled,
    /// The client said goodbye: write what is out, then close both sides.
    Closed,
}

/// What a client frame waits for before it is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stall {
    /// Nothing.
    None,
    /// Any answer of the server.
    Answer,
    /// The ReadyForQuery of an earlier segment.
    Ready,
    /// Every answer that is owed.
    Idle,
    /// The answer to a question of the gateway's own.
    Look,
    /// What people say.
    People,
}

/// The rest of a server's frame that is passed on, or dropped, as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Bytes that are owed to the client.
    Pass(usize),
    /// Bytes that it must not see.
    Drop(usize),
}

/// What a session was told at its start, and must not change.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    pub(super) session_authorization: Option<Vec<u8>>,
    pub(super) is_superuser: Option<Vec<u8>>,
}

/// A session after authentication: from the server's first ReadyForQuery on. See the module for its use.
#[derive(Debug)]
pub struct Core<J: Judge> {
    pub(super) judge: J,
    pub(super) limits: Limits,
    pub(super) token: Token,
    pub(super) fixed: Fixed,
    /// What its server connection replicates, if it is one that does.
    pub(super) replication: Option<Replication>,
    pub(super) names: Names<J::Prepared, J::Bound>,
    pub(super) pending: VecDeque<Pending>,
    /// A segment that was sent whole. INVARIANT: then nothing else is pending.
    pub(super) whole: Option<Whole<J::Prepared, J::Bound>>,
    pub(super) segment: Segment,
    /// Refusals so far: each has a name of its own.
    refusals: u32,
    /// What a client frame waits for.
    pub(super) stall: Stall,
    /// Extended frames were forwarded that no Flush or Sync follows yet.
    pub(super) unflushed: bool,
    /// Frames of the extended protocol were forwarded since the last Sync or Query.
    pub(super) mid_segment: bool,
    /// One of them was an Execute.
    pub(super) mid_run: bool,
    /// A question of the gateway's own opened the present segment, and nothing of the client's is in it: it may be ended.
    pub(super) held: bool,
    /// Questions of the gateway's own that failed: each may have left a statement of its name at the server.
    pub(super) questions_failed: u32,
    /// A question of the gateway's own failed in the midst of a segment: the server skips what comes up to Sync.
    pub(super) server_skips: bool,
    /// After an error the client's frames up to its Sync are dropped: the server would drop them too.
    pub(super) skipping: bool,
    /// A result was stopped: the server's answers up to its ReadyForQuery are dropped.
    pub(super) muted: bool,
    /// Something of the transaction may have been undone: an error, or ROLLBACK.
    pub(super) undone: bool,
    /// A statement that may set the role was let through: the session need not stay who it was.
    pub(super) sets_role: bool,
    /// The last ReadyForQuery told of an open transaction that has not failed.
    pub(super) in_block: bool,
    /// The transaction set a savepoint.
    pub(super) savepoint: bool,
    /// A mask binds the principal, or did once: server text is rebuilt.
    pub(super) bound: bool,
    /// The catalog changed in this transaction.
    pub(super) catalog_dirty: bool,
    /// The catalog changed in this simple Query.
    pub(super) catalog_changed: bool,
    /// A guarded Query's Sync waits for the end of a `CopyData` frame.
    pub(super) sync_owed: bool,
    /// Bytes of a client's `CopyData` that nothing waits for.
    pub(super) client_drop_bytes: usize,
    pub(super) server_body: Option<Body>,
    /// What `hash` and `tokenize` work with; without, they redact.
    pub(super) mask_keys: Option<Arc<MaskKeys>>,
    /// Reused for masked values.
    pub(super) scratch: Vec<u8>,
    /// The server said why it ends the session: nothing is said behind that.
    pub(super) ended_by_server: bool,
}

impl<J: Judge> Core<J> {
    /// A session whose server just said ReadyForQuery for the first time. `parameters` are the ParameterStatus pairs of
    /// its start-up.
    pub fn new<'a>(
        judge: J,
        token: Token,
        limits: Limits,
        parameters: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Self {
        let mut fixed = Fixed::default();
        for (name, value) in parameters {
            match name {
                b"session_authorization" => fixed.session_authorization = Some(value.to_vec()),
                b"is_superuser" => fixed.is_superuser = Some(value.to_vec()),
                _ => {}
            }
        }
        let bound = judge.is_mask_bound();
        Self {
            judge,
            limits,
            token,
            fixed,
            replication: None,
            names: Names::new(),
            pending: VecDeque::new(),
            whole: None,
            segment: Segment(0),
            refusals: 0,
            stall: Stall::None,
            unflushed: false,
            mid_segment: false,
            mid_run: false,
            held: false,
            questions_failed: 0,
            server_skips: false,
            skipping: false,
            muted: false,
            undone: false,
            sets_role: false,
            in_block: false,
            savepoint: false,
            bound,
            catalog_dirty: false,
            catalog_changed: false,
            sync_owed: false,
            client_drop_bytes: 0,
            server_body: None,
            mask_keys: None,
            scratch: Vec::new(),
            ended_by_server: false,
        }
    }

    /// The session with keys for the masks `hash` and `tokenize`; without keys, those redact.
    #[must_use]
    pub fn with_mask_keys(self, mask_keys: Option<Arc<MaskKeys>>) -> Self {
        Self { mask_keys, ..self }
    }

    /// The session as one whose server connection replicates.
    #[must_use]
    pub fn with_replication(self, replication: Option<Replication>) -> Self {
        Self {
            replication,
            ..self
        }
    }

    /// Whether client bytes may be given to [`Core::on_client`]. False while a frame waits for the server.
    #[must_use]
    pub fn accepts_client(&self) -> bool {
        self.stall == Stall::None
            && self.pending.len() < self.limits.pending_max
            && !self.has_barrier()
    }

    /// Whether a frame waits for people.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.stall == Stall::People
    }

    /// People said something, or nobody needs to any more: the frame that waits for them is looked at again.
    pub fn let_go(&mut self) {
        if self.is_held() {
            self.stall = Stall::None;
        }
    }

    /// A frame waits for people.
    pub(super) fn hold(&mut self, held: Held, out: &mut Out) -> Result<Step, Fatal> {
        match held {
            Held::NotAlone => self.wait(Stall::Idle, out),
            Held::Asked(notice) => {
                if let Some(notice) = notice {
                    refuse::write_notice(&mut out.to_client, &notice);
                }
                self.stall = Stall::People;
                Ok(Step::Stalled)
            }
        }
    }

    /// What else is there while a frame is judged.
    pub(super) fn company(&self) -> Alone {
        match (self.pending.is_empty(), self.mid_run) {
            (false, _) => Alone::No,
            (true, false) => Alone::Yes,
            (true, true) => Alone::InSegment,
        }
    }

    /// Whether nothing is unanswered: no statement is open at the server.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.whole.is_none()
    }

    /// Whether the server has been sent a part of a segment whose Sync has not come: what ran of it is not committed.
    #[must_use]
    pub const fn is_mid_segment(&self) -> bool {
        self.mid_segment
    }

    /// Whether the server will answer something though nothing more comes from the client: it waits for no data of a COPY, and what
    /// it was asked is followed by a Sync or a Flush.
    #[must_use]
    pub fn owes_answers(&self) -> bool {
        let waits_for_data = match self.pending.front().map(|pending| &pending.operation) {
            Some(Operation::Execute { run, .. }) => run.copy.takes_data(),
            Some(Operation::Query { runs, .. }) => {
                runs.front().is_some_and(|run| run.copy.takes_data())
            }
            Some(_) | None => false,
        };
        let is_flushed = !self.unflushed && !self.pending.is_empty();
        let is_ended = |pending: &Pending| pending.operation.ends_segment();
        self.whole.is_some() || !waits_for_data && (is_flushed || self.pending.iter().any(is_ended))
    }

    /// When the time of the statement that the server is at is up, if it is limited and not yet asked to end. `now` is asked for
    /// where one is.
    pub fn deadline(&mut self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        let clock = self.clocked().filter(|clock| !clock.overdue)?;
        clock.max_ms?;
        clock.deadline(now())
    }

    /// Says whether the time of the statement that the server is at is up; then the server must be asked to cancel it, and
    /// what it answers becomes the end of the statement. True once for each statement.
    pub fn is_time_up(&mut self, now: Instant) -> bool {
        let is_up = self
            .deadline(|| now)
            .is_some_and(|deadline| deadline <= now);
        if is_up && let Some(clock) = self.clocked() {
            clock.overdue = true;
            clock.asked = clock.max_ms;
        }
        is_up
    }

    /// Whether the server still is at a statement that it was asked to cancel.
    pub fn is_overdue(&mut self) -> bool {
        self.clocked().is_some_and(|clock| clock.overdue)
    }

    /// What the time runs of: the oldest statement that was sent to be executed. What the server says of its Parse and Bind
    /// may come with its result only.
    pub(super) fn clocked(&mut self) -> Option<&mut Clock> {
        let mut operations = self
            .pending
            .iter_mut()
            .map(|pending| &mut pending.operation);
        operations.find_map(|operation| match operation {
            Operation::Execute { run, .. } => Some(&mut run.clock),
            Operation::Query { runs, .. } => runs.front_mut().map(|run| &mut run.clock),
            Operation::Look(asking) => Some(&mut asking.clock),
            _ => None,
        })
    }

    /// The judge, for what the session's owner tells it (a token's expiry, a shutdown).
    pub fn judge(&mut self) -> &mut J {
        &mut self.judge
    }

    /// Ends the session: every statement without an end gets one. To be called once, however the session ended.
    ///
    /// # Errors
    /// The first [`Fatal`] of the log; the others are still tried.
    pub async fn close(&mut self) -> Result<(), Fatal> {
        let mut outcome = Ok(());
        let mut ends: Vec<(StatementSeq, End)> = Vec::new();
        self.unfold();
        for pending in self.pending.drain(..) {
            match pending.operation {
                Operation::Parse {
                    decided: Decided::Itself(permitted),
                    ..
                } => ends.push((permitted.statement, bare_end(Outcome::Unknown, None))),
                Operation::Execute { run, .. } => ends.extend(open_end(&run, Outcome::Unknown)),
                Operation::Query { runs, .. } => {
                    ends.extend(
                        runs.iter()
                            .filter_map(|run| open_end(run, Outcome::Unknown)),
                    );
                }
                Operation::Parse {
                    decided: Decided::With(_),
                    ..
                }
                | Operation::Bind { .. }
                | Operation::Close { .. }
                | Operation::Describe { .. }
                | Operation::DescribeInjected
                | Operation::Sync
                | Operation::Denied(_)
                | Operation::Look(_) => {}
            }
        }
        let gone = self.names.take_all();
        ends.extend(gone.iter().filter_map(|portal| portal_end(portal)));
        for (statement, end) in ends {
            outcome = outcome.and(self.judge.end(statement, end).await);
        }
        outcome
    }

    /// Whether the newest forwarded frame must be answered before the next is looked at: a COPY FROM, since what follows
    /// may be its data; a change of a limited number of rows, since what follows may commit it; and a change of the catalog
    /// or of the session's names, since what follows is read by what it leaves.
    fn has_barrier(&self) -> bool {
        let holds_up = |run: &Run| {
            let enforcement = &run.permitted.enforcement;
            let replicating = run.replicating.as_ref();
            let expects_data = enforcement.kind == Kind::CopyFrom
                || replicating.is_some_and(|replicating| replicating.expects_data);
            let copy_waits = expects_data && run.copy == Copy::None && !run.ended;
            copy_waits
                || enforcement.binding.is_some()
                || (run.is_guarded() && run.copy != Copy::In)
                || (enforcement.session_effect == SessionEffect::Catalog && run.copy != Copy::In)
        };
        match self.pending.back().map(|pending| &pending.operation) {
            Some(Operation::Execute { run, .. }) => holds_up(run),
            // The client's data is wanted first, whatever was before it in the same text or comes behind it.
            Some(Operation::Query { runs, .. })
                if runs.front().is_some_and(|run| run.copy.takes_data()) =>
            {
                false
            }
            // Whether a change of the catalog is committed decides how what follows is read.
            Some(operation) if self.catalog_dirty && operation.ends_segment() => true,
            Some(Operation::Query { runs, .. }) => runs.iter().any(|run| holds_up(run)),
            Some(_) | None => false,
        }
    }

    /// Whether a result of the present segment is under way that a limit may end.
    pub(super) fn may_be_cut(&self) -> bool {
        self.pending
            .iter()
            .filter(|pending| pending.segment == self.segment)
            .any(|pending| {
                matches!(&pending.operation, Operation::Execute { run, .. } if run.may_be_cut())
            })
    }

    /// Whether frames of the current segment are unanswered.
    pub(super) fn is_segment_open(&self) -> bool {
        self.pending
            .back()
            .is_some_and(|pending| pending.segment == self.segment)
    }

    /// Whether every earlier segment is answered.
    pub(super) fn earlier_answered(&self) -> bool {
        self.pending
            .front()
            .is_none_or(|pending| pending.segment == self.segment)
    }

    pub(super) fn push(&mut self, operation: Operation) {
        let segment = self.segment;
        self.held = false;
        if operation.ends_segment() {
            self.end_segment();
        } else {
            self.unflushed = true;
            self.mid_segment = true;
        }
        self.pending.push_back(Pending { segment, operation });
    }

    /// What is forwarded from here on is of another segment.
    pub(super) fn end_segment(&mut self) {
        self.segment = Segment(self.segment.0.wrapping_add(1));
        self.unflushed = false;
        self.mid_segment = false;
        self.mid_run = false;
    }

    /// Asks the server for the answers so far, if it might sit on some.
    pub(super) fn flush(&mut self, out: &mut Out) {
        if std::mem::take(&mut self.unflushed) {
            out.to_server.neutral(NeutralFrame::Flush);
        }
    }

    /// Puts a stand-in in the place of a refused frame.
    pub(super) fn deny(&mut self, substitute: Substitute, refused: Refused, out: &mut Out) {
        if self.server_skips {
            // It would skip the stand-in too. Nothing is unanswered: the error's turn is now.
            refuse::write_refused(&mut out.to_client, &refused);
            self.skipping = true;
            return;
        }
        let missing = self.next_missing();
        out.to_server.substitute(substitute, &missing);
        let shape = match substitute {
            Substitute::Query => Shape::Simple,
            Substitute::Parse
            | Substitute::Bind
            | Substitute::Describe(_)
            | Substitute::Execute => Shape::Extended,
        };
        // The stand-in fails, and the server drops what follows up to Sync: it need not be judged.
        self.skipping = shape == Shape::Extended;
        self.push(Operation::Denied(Denied {
            missing,
            refused,
            shape,
        }));
    }

    /// The name of one refusal more.
    pub(super) fn next_missing(&mut self) -> Missing {
        let missing = self.token.missing(self.refusals);
        self.refusals = self.refusals.wrapping_add(1);
        missing
    }

    /// Ends portals that are no more.
    pub(super) async fn settle(
        &mut self,
        portals: Vec<Box<Portal<J::Prepared, J::Bound>>>,
    ) -> Result<(), Fatal> {
        for portal in portals {
            if let Some((statement, end)) = portal_end(&portal) {
                self.judge.end(statement, end).await?;
            }
        }
        Ok(())
    }

    /// Tells the client why the session ends, where that can still be told, and the server that it does.
    pub(crate) fn die(&mut self, fatal: &Fatal, out: &mut Out) {
        if !self.ended_by_server && !matches!(self.server_body, Some(Body::Pass(_))) {
            refuse::write_fatal(&mut out.to_client, fatal);
        }
        if out.to_server.copy_bytes_left() == 0 {
            out.to_server.neutral(NeutralFrame::Terminate);
        }
    }
}

/// The end of a run that has none yet.
pub(super) fn open_end(run: &Run, outcome: Outcome) -> Option<(StatementSeq, End)> {
    (!run.ended).then(|| (run.permitted.statement, run.end(outcome, None)))
}

/// The end of what a vanished portal held: never executed, or executed as far as the client asked.
fn portal_end<P, B>(portal: &Portal<P, B>) -> Option<(StatementSeq, End)> {
    match &portal.hold {
        Hold::Bound(permitted) => Some((permitted.statement, bare_end(Outcome::Skipped, None))),
        Hold::Suspended(run) => open_end(run, Outcome::Completed),
        Hold::Executing | Hold::Ended | Hold::Cut => None,
    }
}

impl From<Error> for Fatal {
    fn from(error: Error) -> Self {
        Self {
            sqlstate: "08P01",
            message: error.to_string(),
        }
    }
}

/// The end of a session whose server answered what nothing asked.
pub(super) fn out_of_step(kind: u8) -> Fatal {
    Fatal {
        sqlstate: "08P01",
        message: format!(
            "the server sent a message of type `{}` that nothing asked for",
            char::from(kind).escape_default()
        ),
    }
}

thread_local! {
    /// The unnamed statement's and portal's name: most frames speak of those.
    static UNNAMED: Arc<[u8]> = Arc::from([]);
}

/// A name as the tables hold it.
pub(super) fn shared(name: &[u8]) -> Arc<[u8]> {
    if name.is_empty() {
        UNNAMED.with(Arc::clone)
    } else {
        Arc::from(name)
    }
}

/// Bytes of `input` used, which may be more than there are.
pub(super) fn take(input: &mut BytesMut, count: usize) -> usize {
    let count = count.min(input.len());
    if count == input.len() {
        // What comes next has the room from its start.
        input.clear();
    } else {
        bytes::Buf::advance(input, count);
    }
    count
}

//! The seam between the protocol session and the decision: text in, permit or refusal out.
//!
//! The session knows frames, names and pipeline order and nothing of policy; a [`Judge`] analyses, decides and logs and
//! knows nothing of frames. The session forwards a statement's bytes only against the [`Permit`] that a judge returned.

use std::{future::Future, sync::Arc};

use provost_engine::{
    copy::CopyOut,
    facts::{Kind, SessionEffect},
    sql::{Binding, Named},
    verdict::{Limits, OutputMask, Recording},
};
use provost_evidence::{record::Outcome, results::Spool};

pub use crate::look::{Locked, Look, Pin, Reading, Restore, Unseen};
use crate::permit::Permit;

/// Names a decided statement in evidence: its number in the session, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatementSeq(pub u64);

/// What the server's description of one result column must agree with (for principals that a mask binds).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedColumn {
    /// The (relation oid, attribute number) that RowDescription must show, where analysis knows it.
    pub origin: Option<(u32, i16)>,
    /// Where `origin` is `None`: RowDescription may show 0/0 or one of these, and nothing else.
    pub sources: Vec<(u32, i16)>,
}

/// What a statement may do to what only its session sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Nothing.
    Nothing,
    /// It may move the search path, or make or drop temporary objects.
    Moves,
    /// It ends a transaction or a part of one, and may take back what was done in it.
    Returns,
}

/// What the session must do with a permitted statement's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcement {
    /// The command.
    pub kind: Kind,
    /// What it does to the session's own state.
    pub session_effect: SessionEffect,
    /// What it may do to what only the session sees.
    pub touch: Touch,
    /// Any mask can bind this principal: rebuild server text (ruling 1), cross-check descriptions (ruling 4).
    pub mask_bound: bool,
    /// The columns of the result or of a COPY TO, in order. `None`: no rows are expected, or rows whose shape policy does not
    /// speak of (SHOW, EXPLAIN). A row result where `None` was said, for a mask-bound principal and a kind other than
    /// Show and Explain, stops the result.
    pub columns: Option<Vec<ExpectedColumn>>,
    /// Masks, sorted by output index, at most one each.
    pub masks: Vec<OutputMask>,
    /// Limits: at each the statement ends in an error. One on the rows that it changes is there only where the server's count
    /// tells them all, and the statement stands alone in its text: a judge refuses any other.
    pub limits: Limits,
    /// How fully the result is recorded.
    pub recording: Recording,
    /// The form of its data, where it is a `COPY ... TO STDOUT` that analysis read.
    pub copy: Option<CopyOut>,
    /// What it does to the session's names, once the server has completed it.
    pub binding: Option<Binding>,
    /// The cursors that it reads on from, by name.
    pub cursors: Vec<Arc<str>>,
    /// It may change the session's role: what the server then tells of it is as it should be.
    pub sets_role: bool,
    /// It may change settings, by which later texts mean something else.
    pub may_set: bool,
}

impl Enforcement {
    /// Whether all there is to do about its answer is to count its rows, and it leaves its session as it was.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let Self {
            kind,
            session_effect,
            touch,
            mask_bound,
            columns: _,
            masks,
            limits,
            recording,
            copy,
            binding,
            cursors,
            sets_role,
            may_set,
        } = self;
        matches!(
            kind,
            Kind::Select | Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge
        ) && *session_effect == SessionEffect::None
            && *touch == Touch::Nothing
            && !mask_bound
            && masks.is_empty()
            && *limits == Limits::default()
            && *recording == Recording::Statement
            && copy.is_none()
            && binding.is_none()
            && cursors.is_empty()
            && !sets_role
            && !may_set
    }
}

/// A statement that may run.
#[derive(Debug)]
pub struct Permitted {
    /// The right to forward it.
    pub permit: Permit,
    /// Its name in evidence; [`Judge::end`] must be called for it exactly once.
    pub statement: StatementSeq,
    /// What to do with its answer.
    pub enforcement: Arc<Enforcement>,
    /// Where its result is recorded, row by row, before the client gets it.
    pub spool: Option<Box<Spool>>,
    /// What the client is told before its answer; then nothing is unanswered.
    pub notice: Option<Box<Notice>>,
}

/// An ERROR for the client: policy's refusal, or PostgreSQL's own words for text it would refuse itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// 42501 for policy; 42601, 42P01 and so on where PostgreSQL itself would refuse.
    pub sqlstate: &'static str,
    /// MESSAGE.
    pub message: String,
    /// DETAIL: rule and reason.
    pub detail: Option<String>,
    /// HINT: what would pass.
    pub hint: Option<String>,
    /// POSITION: character index in the text, from 1.
    pub position: Option<u32>,
}

/// Why no answer could be given at all: the session must end (the log failed, the gateway stops).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// SQLSTATE of the FATAL error the client is told.
    pub sqlstate: &'static str,
    /// One line for the client; no internals.
    pub message: String,
}

/// Whose the transaction is that a question was asked in, or its part since the last Sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The question opened it, or asked by itself in the client's transaction: nothing of the client's waits for a Sync.
    Gateway,
    /// Frames of the client's are in it.
    Client,
}

/// What becomes of the transaction that a question opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The frame that waits goes into it.
    Open,
    /// It ends before the frame is looked at again.
    End,
}

/// What else is there while a frame is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    /// Earlier frames are unanswered: what comes of them may decide whether this one is run.
    No,
    /// Nothing is unanswered.
    Yes,
    /// Nothing is unanswered, and something ran since the last Sync: its transaction is open.
    InSegment,
}

/// How a frame waits for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nobody was asked: not before nothing is unanswered.
    NotAlone,
    /// They are asked. What the client is told of it, where it was not told.
    Asked(Option<Notice>),
}

/// A notice for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// MESSAGE.
    pub message: String,
    /// DETAIL.
    pub detail: Option<String>,
    /// HINT.
    pub hint: Option<String>,
}

/// Refused, not yet, or fatal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The statement is refused (already logged); the session lives.
    Refused(Refused),
    /// The session's own connection must be asked first, once nothing is unanswered; then the judge is asked again.
    Look(Look),
    /// The judge must know the session's names first ([`Judge::names`]), once nothing is unanswered; then it is asked again.
    Names,
    /// People must approve first; then the judge is asked again.
    Held(Held),
    /// The session ends.
    Fatal(Fatal),
}

/// The parameters of a Bind, exactly as they came.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a> {
    /// The Bind frame's body from the parameter format codes to the last parameter value, raw.
    pub raw: &'a [u8],
    /// How many values.
    pub count: usize,
}

/// What may have been decided before.
#[derive(Debug, Clone, Copy)]
pub enum Again<'a, P> {
    /// A simple Query of this text.
    Query(&'a [u8]),
    /// A Bind of this statement, with its values.
    Bind(&'a P, Parameters<'a>),
    /// A Parse of this text with these types of parameters, where that is what the statement was prepared from, and then a Bind of it.
    Parse(&'a P, (&'a [u8], &'a [u32]), Parameters<'a>),
}

/// How a permitted statement ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The outcome.
    pub outcome: Outcome,
    /// Rows sent to the client, or affected.
    pub rows: u64,
    /// Bytes of DataRow and CopyData bodies sent to the client.
    pub bytes: u64,
    /// SQLSTATE, when it failed.
    pub sqlstate: Option<String>,
    /// Values masked, by output index.
    pub values_masked: Vec<(u32, u64)>,
    /// BLAKE3 of the DataRow and CopyData messages as the client got them, where the result is recorded by digest.
    pub result_digest: Option<[u8; 32]>,
}

/// What a session has given names to, as the server has it.
#[derive(Debug)]
pub struct Given<P, B> {
    /// Prepared statements.
    pub statements: Vec<(Arc<[u8]>, P)>,
    /// Portals and cursors.
    pub portals: Vec<(Arc<[u8]>, P, B)>,
}

/// Analyses, decides and logs.
///
/// Every method returns only after the log has what it must have (P1); refusals are logged by the judge, with their end.
pub trait Judge {
    /// A prepared statement's text with its analysis; cheap to clone.
    type Prepared: Clone + std::fmt::Debug;
    /// What is kept of a Bind's values, to decide a later Execute of its portal; small.
    type Bound: Clone + std::fmt::Debug;

    /// Decides every statement of a simple Query before any is sent. An empty string gives an empty list.
    ///
    /// One refused statement refuses the string; the others are logged as skipped.
    ///
    /// # Errors
    /// [`Stop`].
    fn query(&mut self, text: &[u8]) -> impl Future<Output = Result<Vec<Permitted>, Stop>>;

    /// Decides a FunctionCall of the function of this oid, whatever its arguments.
    ///
    /// # Errors
    /// [`Stop`].
    fn call(&mut self, function: u32) -> impl Future<Output = Result<Permitted, Stop>>;

    /// Decides a command of a replication connection as something that may do anything; what is no command is refused.
    ///
    /// # Errors
    /// [`Stop`].
    fn replicate(&mut self, text: &[u8]) -> impl Future<Output = Result<Permitted, Stop>>;

    /// Decides a Parse: exactly one statement (or none, which is allowed). The text is judged again at each Bind.
    /// The permitted statement ends at ParseComplete.
    ///
    /// # Errors
    /// [`Stop`].
    fn prepare(
        &mut self,
        text: &[u8],
        parameter_types: &[u32],
    ) -> impl Future<Output = Result<(Permitted, Self::Prepared), Stop>>;

    /// Decides a Bind of a prepared statement with its values: the permit covers the Bind and one Execute.
    ///
    /// # Errors
    /// [`Stop`].
    fn bind(
        &mut self,
        prepared: &Self::Prepared,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Permitted, Stop>>;

    /// Decides what was decided before, where it hangs on nothing that may be another now: as [`Judge::query`] or [`Judge::bind`] would
    /// decide one statement whose enforcement [is plain](Enforcement::is_plain). `None`: nothing was decided, and those are to be asked.
    /// What was parsed anew is prepared as it was before, and its Parse, its Bind and one Execute are one statement.
    ///
    /// # Errors
    /// [`Stop`].
    fn again(
        &mut self,
        asked: Again<'_, Self::Prepared>,
    ) -> impl Future<Output = Result<Option<Permitted>, Stop>>;

    /// Decides a further Execute of a portal that was executed before (or whose decision is stale).
    ///
    /// # Errors
    /// [`Stop`].
    fn execute_again(
        &mut self,
        prepared: &Self::Prepared,
        bound: &Self::Bound,
    ) -> impl Future<Output = Result<Permitted, Stop>>;

    /// What [`Judge::execute_again`] is to know of a Bind's values.
    fn bound(&self, parameters: Parameters<'_>) -> Self::Bound;

    /// What else is there while the next frame is judged.
    fn alone(&mut self, alone: Alone);

    /// The session's prepared statements and portals, for the frame that is judged next ([`Stop::Names`]).
    fn names(&mut self, names: Given<Self::Prepared, Self::Bound>);

    /// What a Bind of a statement that SQL prepared is judged by, and an Execute of a cursor that it declared.
    fn named(&self, named: &Named) -> (Self::Prepared, Self::Bound);

    /// A statement that was permitted is being sent to be executed.
    fn touched(&mut self, touch: Touch);

    /// The answer to the question of a [`Stop::Look`]. What is to become of the transaction matters after [`Look::Pin`] only.
    ///
    /// # Errors
    /// [`Fatal`] when the session can't go on.
    fn looked(
        &mut self,
        look: Look,
        answer: Result<Vec<u8>, Unseen>,
        holder: Holder,
    ) -> impl Future<Output = Result<Keep, Fatal>>;

    /// Takes one row of so many bytes from the principal's budgets of an hour, as far as `limits` has any. A row that is not taken
    /// must not be shown.
    ///
    /// # Errors
    /// What ends the result: a budget is spent, or can't be counted.
    fn take_row(
        &mut self,
        limits: &Limits,
        bytes: u64,
    ) -> impl Future<Output = Result<(), Refused>>;

    /// Whether the policy, the catalog or the time changed since `permitted` was decided, as far as they can matter: judge
    /// again before its Execute.
    fn is_stale(&self, permitted: &Permitted) -> bool;

    /// Whether what let `permitted` go on without end may be another by now: the policy, the time, the principal's token. Then it is
    /// decided again, or ends.
    fn is_over(&self, permitted: &Permitted) -> bool;

    /// What a mask-bound principal may learn of errors before any statement ran (asynchronous notices, start-up).
    fn is_mask_bound(&self) -> bool;

    /// Logs a refusal that the session itself made, before any text could be judged: a statement or portal that does not
    /// exist, a name that can't be kept apart from others, a function call. Called before the refused frame's stand-in is sent.
    ///
    /// # Errors
    /// [`Fatal`] when the log failed.
    fn refused(&mut self, refused: &Refused) -> impl Future<Output = Result<(), Fatal>>;

    /// Logs the end of a statement. Called before the client is told of it.
    ///
    /// # Errors
    /// [`Fatal`] when the log failed.
    fn end(&mut self, statement: StatementSeq, end: End)
    -> impl Future<Output = Result<(), Fatal>>;

    /// The server completed a statement with [`SessionEffect::Catalog`], or a transaction that held one ended:
    /// reads the catalog again before the next statement is judged.
    ///
    /// Called at the statement's completion (a simple Query's: at its ReadyForQuery, after [`Judge::transaction_status`]),
    /// and once more when the session is next out of a transaction. While the status is `T` after such a call, the change
    /// is not committed: no other connection sees it, and the judge asks to look at this one ([`Stop::Look`]).
    ///
    /// # Errors
    /// [`Fatal`] when the session can't go on.
    fn catalog_changed(&mut self) -> impl Future<Output = Result<(), Fatal>>;

    /// The transaction status of the last ReadyForQuery: `I`, `T` or `E`. `T` is also said, before its ReadyForQuery, when
    /// a statement with [`SessionEffect::Catalog`] completed in the extended protocol: its transaction is still open.
    fn transaction_status(&mut self, status: u8);
}

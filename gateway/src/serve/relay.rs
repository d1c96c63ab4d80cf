//! Carries bytes between a client and its server through the session's core, both directions at once.
//!
//! It must never look at what a byte means: [`Core`] does. It holds at most a bounded backlog for either side.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{
    alarm::{Alarm, Timer},
    farewell::{self, fatal},
    house::Stopping,
};
use crate::{
    cancel::Found,
    judge::Fatal,
    judgement::SessionJudge,
    roster::Dismissal,
    session::{Core, Flow, Out, give_back_beyond},
    stream::Stream,
    under_way::UnderWay,
    upstream::{CancelKey, Upstream},
};

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;
/// Unsent bytes for one side; at the limit nothing is taken that adds to them.
const BACKLOG_BYTES_MAX: usize = 256 * 1024;
/// An empty buffer that once grew beyond this is given back.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// The same while nothing is unanswered: a session that waits for its client holds no more of each.
const KEPT_AT_REST_BYTES_MAX: usize = 4 * 1024;
/// How long the server may take to end a statement that it was asked to cancel; then the session ends.
const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// How long the server may go on with what a client asked for that closed its end without a goodbye; then it is asked to cancel that.
/// A client that still listens gets what comes, as long as it takes some of it within this time.
const ABANDONED_GRACE: Duration = Duration::from_secs(5);
/// What is read behind the statement of a client that waits for people: enough to see whether it is still there.
const HELD_BYTES_MAX: usize = 64 * 1024;
/// How often a stream is looked at that nothing moves: whether it may go on.
const REVIEW_PAUSE: Duration = Duration::from_secs(1);
/// Why what a session waits for is taken back when somebody ended it.
const DISMISSED: &str = "an administrator ended its session";
/// How long the server may take to take our goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// A thread's read buffer: idle sessions hold none.
pub(super) struct Scratch(RefCell<Vec<u8>>);

impl Scratch {
    /// One thread's.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(RefCell::new(vec![0; READ_BYTES])))
    }
}

/// One side's connection with what came from it and was not used yet.
struct Side {
    stream: Stream,
    input: BytesMut,
    /// Bytes were written that a flush must push out (TLS).
    unflushed: bool,
}

/// What it takes to cancel the server's statements.
pub(super) struct Canceller {
    upstream: Arc<Upstream>,
    key: CancelKey,
    under_way: Arc<UnderWay>,
}

impl From<Found> for Canceller {
    fn from(found: Found) -> Self {
        Self {
            upstream: found.upstream,
            key: found.key,
            under_way: found.under_way,
        }
    }
}

/// How long a session may be idle; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IdleTimeouts {
    /// With no transaction open.
    pub(super) at_rest: Option<Duration>,
    /// Within a transaction, whose locks others may wait for.
    pub(super) in_transaction: Option<Duration>,
}

/// A cancel request under way, and when its statement must have ended.
struct Cancelling {
    request: Option<Pin<Box<dyn Future<Output = ()>>>>,
    until: Instant,
}

/// A session's carrier.
pub(super) struct Relay {
    client: Side,
    server: Side,
    core: Core<SessionJudge>,
    out: Out,
    scratch: Rc<Scratch>,
    /// The client's input holds no whole frame: more must be read before the core is asked again.
    client_needs_more: bool,
    /// While a frame waits for people: what was there of the client's input when it began to.
    held_bytes: Option<usize>,
    idle_timeouts: IdleTimeouts,
    /// Who is looked after first: the other one than whose bytes came last.
    turn: Turn,
    /// Since when nothing happens, as far as somebody looked.
    idle_since: Option<Instant>,
    canceller: Option<Canceller>,
    cancelling: Option<Cancelling>,
    /// The client closed its end: nothing more comes from it, what it asked for before is still owed to it. When it last took some of
    /// that, or closed.
    client_closed: Option<Instant>,
    /// The client is gone, without a goodbye.
    client_gone: bool,
    /// Somebody may end the session.
    dismissal: Option<Dismissal>,
    /// Somebody did: what the server is at is for nobody.
    dismissed: bool,
}

/// Who is looked after first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Client,
    Server,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Progress,
    ClientGone,
    ServerGone,
    Stopping,
    Idle,
    TimeUp,
    Dismissed(String),
}

/// How a session ended: nothing to say, or the line that evidence keeps.
pub(super) type Ending = Option<String>;

impl Relay {
    /// Starts with a client that has not been told yet that it is in: `greeting` is sent first.
    pub(super) fn new(
        client: Stream,
        (server, read): (Stream, BytesMut),
        core: Core<SessionJudge>,
        greeting: BytesMut,
        scratch: Rc<Scratch>,
        idle_timeouts: IdleTimeouts,
    ) -> Self {
        Self {
            client: Side {
                stream: client,
                input: BytesMut::new(),
                unflushed: false,
            },
            server: Side {
                stream: server,
                input: read,
                unflushed: false,
            },
            core,
            out: Out {
                to_client: greeting,
                ..Out::default()
            },
            scratch,
            client_needs_more: true,
            held_bytes: None,
            idle_timeouts,
            turn: Turn::Client,
            idle_since: None,
            canceller: None,
            cancelling: None,
            client_closed: None,
            client_gone: false,
            dismissal: None,
            dismissed: false,
        }
    }

    /// With what it takes to cancel statements whose time is up; without, such a statement ends the session.
    pub(super) fn with_canceller(self, canceller: Option<Canceller>) -> Self {
        Self { canceller, ..self }
    }

    /// With the word that ends it.
    pub(super) fn with_dismissal(self, dismissal: Dismissal) -> Self {
        Self {
            dismissal: Some(dismissal),
            ..self
        }
    }

    /// Runs until the session ends, with every statement's end in the log and both sides closed.
    pub(super) async fn run(mut self: Box<Self>, stopping: watch::Receiver<Stopping>) -> Ending {
        let ending = self.carry(&stopping).await;
        if self.client_gone && !self.core.is_idle() {
            self.abandon(stopping);
        }
        if self.dismissed {
            self.core.judge().leave_people(DISMISSED).await;
            if let Some(canceller) = self.canceller.take() {
                // A server that is at nothing takes it for nothing.
                drop(tokio::task::spawn_local(canceller.request()));
            }
        } else if self.client_gone {
            let judge = self.core.judge();
            judge.leave_people("its client went away").await;
        } else {
            self.core.judge().forget_people();
        }
        // The ends are in the log before the client reads the last word.
        let logged = self.core.close().await;
        let goodbye = async {
            let _ = self
                .server
                .stream
                .write_all(self.out.to_server.unsent())
                .await;
            let _ = self.server.stream.shutdown().await;
        };
        // A server that doesn't listen is cut: it notices by itself.
        let _ = timeout(GOODBYE, goodbye).await;
        // Whatever it still sends is for nobody: it must not wait for the client's end.
        drop(self.server);
        farewell::close(self.client.stream, &self.out.to_client).await;
        logged.err().map(|fatal| fatal.message).or(ending)
    }

    async fn carry(&mut self, stopping: &watch::Receiver<Stopping>) -> Ending {
        let mut alarm = Alarm::new(stopping);
        loop {
            match self.work().await {
                Ok(Flow::More | Flow::Stalled) => {}
                Ok(Flow::Closed) => return None,
                Err(fatal) => return Some(fatal.message),
            }
            if let Some(fatal) = self.must_stop(alarm.stopping()) {
                return Some(self.end_with(fatal));
            }
            if self.client_closed.is_some() && !self.owes_answers() {
                return Some(self.leave_client());
            }
            if let Some(words) = self.dismissal.as_mut().and_then(|it| it.try_recv().ok()) {
                return Some(self.go(&words));
            }
            match self.wait(&mut alarm).await {
                Event::Progress | Event::Stopping => {}
                Event::ClientGone => return Some(self.leave_client()),
                Event::ServerGone => {
                    return Some(self.end_with(fatal("08006", "the server closed the connection")));
                }
                Event::Dismissed(words) => return Some(self.go(&words)),
                Event::Idle => {
                    let fatal = self.idle_for_too_long();
                    return Some(self.end_with(fatal));
                }
                Event::TimeUp => {
                    if let Some(fatal) = self.time_is_up() {
                        return Some(self.end_with(fatal));
                    }
                }
            }
        }
    }

    /// Sees to it that the server does not go on for ever with what nobody waits for: by itself it notices when it has something to
    /// send, and not before.
    fn abandon(&mut self, mut stopping: watch::Receiver<Stopping>) {
        let Some(canceller) = self.canceller.take() else {
            return;
        };
        let until = self.client_closed.unwrap_or_else(Instant::now) + ABANDONED_GRACE;
        drop(tokio::task::spawn_local(async move {
            tokio::select! {
                () = sleep_until(until) => {}
                _ = stopping.wait_for(|stage| *stage != Stopping::No) => {}
            }
            canceller.request().await;
        }));
    }

    /// Gives the core what came, as far as the backlogs allow.
    async fn work(&mut self) -> Result<Flow, Fatal> {
        if self.core.is_streaming() {
            Box::pin(self.core.review(&mut self.out)).await?;
        }
        if !self.server.input.is_empty() && self.client_has_room() {
            self.core
                .on_server(&mut self.server.input, &mut self.out)
                .await?;
            give_back(&mut self.server.input);
        }
        while self.core.accepts_client()
            && !self.is_cancelling()
            && !self.client_needs_more
            && self.client_has_room()
            && self.server_has_room()
        {
            match self
                .core
                .on_client(&mut self.client.input, &mut self.out)
                .await?
            {
                Flow::More => {
                    self.client_needs_more = true;
                    give_back(&mut self.client.input);
                }
                Flow::Stalled => break,
                Flow::Closed => return Ok(Flow::Closed),
            }
        }
        Ok(Flow::More)
    }

    /// Cancels the statement whose time is up; a fatal end where the server was asked to and did not in time.
    fn time_is_up(&mut self) -> Option<Fatal> {
        let now = Instant::now();
        if self
            .cancelling
            .as_ref()
            .is_some_and(|cancelling| cancelling.until <= now)
            && self.core.is_overdue()
        {
            return Some(fatal(
                "57014",
                "the statement's time is limited by policy, and the server did not end it when asked to: the session ends",
            ));
        }
        if self.core.is_time_up(now.into_std()) {
            self.core.fail_copy(&mut self.out);
            self.cancelling = Some(Cancelling {
                request: self.canceller.as_ref().map(Canceller::request),
                until: now + CANCEL_GRACE,
            });
        }
        None
    }

    /// Whether a cancel request is on its way: it must not hit what the client sends next.
    fn is_cancelling(&self) -> bool {
        self.cancelling
            .as_ref()
            .is_some_and(|cancelling| cancelling.request.is_some())
    }

    fn client_has_room(&self) -> bool {
        self.out.to_client.len() < BACKLOG_BYTES_MAX
    }

    fn server_has_room(&self) -> bool {
        self.out.to_server.unsent().len() < BACKLOG_BYTES_MAX
    }

    /// Nothing is open: no statement, no transaction, nothing half sent.
    fn is_at_rest(&mut self) -> bool {
        self.core.is_idle() && self.client.input.is_empty() && !self.is_in_transaction()
    }

    /// A transaction is open, be it that of a segment without a Sync.
    fn is_in_transaction(&mut self) -> bool {
        self.core.is_mid_segment() || self.core.judge().is_in_transaction()
    }

    /// When the session will have been idle for as long as it may be.
    fn idle_at(&mut self) -> Option<Instant> {
        if self.idle_timeouts.at_rest.is_none() && self.idle_timeouts.in_transaction.is_none() {
            return None;
        }
        let is_idle =
            self.core.is_idle() && self.client.input.is_empty() && self.out.to_client.is_empty();
        let timeout = match (is_idle, self.is_in_transaction()) {
            (false, _) => None,
            (true, false) => self.idle_timeouts.at_rest,
            (true, true) => self.idle_timeouts.in_transaction,
        };
        if timeout.is_none() {
            self.idle_since = None;
        }
        timeout.map(|timeout| *self.idle_since.get_or_insert_with(Instant::now) + timeout)
    }

    fn idle_for_too_long(&mut self) -> Fatal {
        match self.is_in_transaction() {
            false => fatal("57P05", "terminating connection: it was idle for too long"),
            true => fatal(
                "25P03",
                "terminating connection: it was idle within a transaction for too long",
            ),
        }
    }

    /// Whether a client that sends nothing more still waits for something that comes.
    fn owes_answers(&mut self) -> bool {
        self.core.owes_answers() || !self.out.to_client.is_empty()
    }

    /// Nobody is there to be told anything; gives the line for evidence.
    fn leave_client(&mut self) -> String {
        self.client_gone = true;
        "the client went away".to_owned()
    }

    fn must_stop(&mut self, stopping: Stopping) -> Option<Fatal> {
        let ends = match stopping {
            Stopping::No => false,
            // A stream comes to no rest.
            Stopping::Drain => self.is_at_rest() || self.core.is_streaming(),
            Stopping::Now => true,
        };
        ends.then(|| {
            fatal(
                "57P01",
                "terminating connection: the gateway is stopping; connect again",
            )
        })
    }

    /// Ends the session because somebody said so.
    fn go(&mut self, words: &str) -> String {
        self.dismissed = true;
        self.end_with(fatal("57P01", format!("terminating connection: {words}")))
    }

    /// Puts a last word out, and gives the line for evidence.
    fn end_with(&mut self, fatal: Fatal) -> String {
        self.core.die(&fatal, &mut self.out);
        fatal.message
    }

    /// Reads and writes whatever is ready; waits where nothing is.
    async fn wait(&mut self, alarm: &mut Alarm) -> Event {
        if self
            .cancelling
            .as_ref()
            .is_some_and(|it| it.request.is_none())
            && !self.core.is_overdue()
        {
            self.cancelling = None;
        }
        let time_up_at = match &self.cancelling {
            Some(cancelling) => self.core.is_overdue().then_some(cancelling.until),
            None => self
                .core
                .deadline(std::time::Instant::now)
                .map(Instant::from_std),
        };
        // Timers are made where nothing else is ready, which is seldom while a session works.
        let mut time_up = time_up_at.map(Timer::Set);
        let mut idle: Option<(Instant, Timer)> = None;
        let mut gone = self
            .client_closed
            .map(|closed| Timer::Set(closed + ABANDONED_GRACE));
        let mut review = self
            .core
            .is_streaming()
            .then(|| Timer::Set(Instant::now() + REVIEW_PAUSE));
        poll_fn(|context| {
            if let Poll::Ready(event) = self.poll(context) {
                return Poll::Ready(event);
            }
            if self.core.is_held() && self.core.judge().poll_people(context).is_ready() {
                self.core.let_go();
                return Poll::Ready(Event::Progress);
            }
            if let Poll::Ready(told) = alarm.poll(context) {
                // Whoever could tell is gone: so is the gateway.
                return Poll::Ready(told.map_or(Event::ServerGone, |()| Event::Stopping));
            }
            if let Some(dismissal) = &mut self.dismissal
                && let Poll::Ready(told) = Pin::new(dismissal).poll(context)
            {
                // It is asked once: whoever could have said it may be gone.
                self.dismissal = None;
                return Poll::Ready(told.map_or(Event::Progress, Event::Dismissed));
            }
            if time_up.as_mut().is_some_and(|timer| timer.is_over(context)) {
                return Poll::Ready(Event::TimeUp);
            }
            // What was sent meanwhile may have been all that was owed.
            let idle_at = self.idle_at();
            if idle.as_ref().map(|(at, _)| *at) != idle_at {
                idle = idle_at.map(|at| (at, Timer::Set(at)));
            }
            if idle
                .as_mut()
                .is_some_and(|(_, timer)| timer.is_over(context))
            {
                return Poll::Ready(Event::Idle);
            }
            if gone.as_mut().is_some_and(|timer| timer.is_over(context)) {
                return Poll::Ready(Event::ClientGone);
            }
            if review.as_mut().is_some_and(|timer| timer.is_over(context)) {
                return Poll::Ready(Event::Progress);
            }
            self.rest();
            Poll::Pending
        })
        .await
    }

    /// Nothing comes and nothing goes: large buffers wait for work, not for the next statement.
    fn rest(&mut self) {
        if self.core.is_idle() {
            if let Some(canceller) = self
                .canceller
                .as_ref()
                .filter(|_| self.client.input.is_empty())
            {
                canceller.under_way.rest();
            }
            give_back_beyond(&mut self.client.input, KEPT_AT_REST_BYTES_MAX);
            give_back_beyond(&mut self.server.input, KEPT_AT_REST_BYTES_MAX);
            give_back_beyond(&mut self.out.to_client, KEPT_AT_REST_BYTES_MAX);
            self.out.to_server.give_back(KEPT_AT_REST_BYTES_MAX);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let mut progress = false;
        if let Some(cancelling) = &mut self.cancelling
            && let Some(request) = &mut cancelling.request
            && request.as_mut().poll(context).is_ready()
        {
            cancelling.request = None;
            progress = true;
        }
        let is_servers = self.turn == Turn::Server;
        if is_servers {
            // What it says is worked on before anything of the client's: who sent that need not be looked at yet.
            match self.poll_server(context) {
                Ok(true) => {
                    self.turn = Turn::Client;
                    return Poll::Ready(Event::Progress);
                }
                Ok(false) => {}
                Err(_) if self.is_owed_by_server(progress) => self.turn = Turn::Client,
                Err(_) => return Poll::Ready(Event::ServerGone),
            }
        }
        match self.poll_client(context) {
            Ok(true) => {
                self.turn = Turn::Server;
                progress = true;
            }
            Ok(false) => {}
            Err(_) => return Poll::Ready(Event::ClientGone),
        }
        if !is_servers {
            match self.poll_server(context) {
                Ok(moved) => progress |= moved,
                Err(_) if self.is_owed_by_server(progress) => {}
                Err(_) => return Poll::Ready(Event::ServerGone),
            }
        }
        if progress {
            Poll::Ready(Event::Progress)
        } else {
            Poll::Pending
        }
    }

    /// Whether a session goes on whose server is gone: what that said before is owed to the client. A frame that it left unfinished is
    /// not: only whole frames that wait for the client's backlog keep the session.
    fn is_owed_by_server(&self, progress: bool) -> bool {
        progress || !(self.server.input.is_empty() || self.client_has_room())
    }

    /// Whether something moved that there is to be worked on: bytes came, or went that others waited behind.
    fn poll_client(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let was_waited_for = !self.client_has_room() || self.client_closed.is_some();
        let sent = self.client.poll_send(context, &self.out.to_client)?;
        self.out.sent_to_client(sent);
        give_back(&mut self.out.to_client);
        if sent > 0 && self.client_closed.is_some() {
            self.client_closed = Some(Instant::now());
        }
        let is_read = match self.core.is_held() {
            // The frame that waits is there already, however long it is.
            true => {
                let held = *self.held_bytes.get_or_insert(self.client.input.len());
                self.client.input.len() < held.saturating_add(HELD_BYTES_MAX)
            }
            false => {
                self.held_bytes = None;
                self.client_needs_more && self.core.accepts_client()
            }
        };
        let wanted = is_read
            && self.client_closed.is_none()
            && self.client_has_room()
            && self.server_has_room();
        let received = match wanted {
            false => false,
            true => match self.client.poll_receive(context, &self.scratch) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.client_closed = Some(Instant::now());
                    return Ok(true);
                }
                Err(error) => return Err(error),
            },
        };
        if received {
            self.client_needs_more = false;
            self.idle_since = None;
            if let Some(canceller) = self.canceller.as_ref().filter(|_| self.core.is_idle()) {
                canceller.under_way.begin();
            }
        }
        Ok(received || (sent > 0 && was_waited_for))
    }

    /// The same.
    fn poll_server(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let was_waited_for = !self.server_has_room();
        let sent = match self.server.poll_send(context, self.out.to_server.unsent()) {
            Ok(sent) => sent,
            // It may have said why, and what the client has no room for yet.
            Err(_) if !self.client_has_room() => return Ok(false),
            Err(error) => {
                let received = self.server.poll_receive(context, &self.scratch)?;
                return if received { Ok(true) } else { Err(error) };
            }
        };
        self.out.to_server.sent(sent);
        let asked = sent > 0 && self.cancels_what_was_sent();
        let received =
            self.client_has_room() && self.server.poll_receive(context, &self.scratch)?;
        Ok(received || asked || (sent > 0 && was_waited_for))
    }

    /// Asks the server to cancel what it was just given, where the client asked before the server had it.
    fn cancels_what_was_sent(&mut self) -> bool {
        if !self.out.to_server.unsent().is_empty() {
            return false;
        }
        let asked = self.canceller.as_ref().filter(|it| it.under_way.give());
        let Some(request) = asked.map(Canceller::request) else {
            return false;
        };
        self.cancelling.get_or_insert_with(|| Cancelling {
            request: Some(request),
            until: Instant::now() + CANCEL_GRACE,
        });
        true
    }
}

impl Canceller {
    /// Asks the server to cancel what it is at.
    fn request(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let (upstream, key) = (Arc::clone(&self.upstream), self.key.clone());
        Box::pin(async move {
            if let Err(error) = upstream.cancel(&key).await {
                tracing::warn!(target_name = %upstream.name(), %error, "a statement could not be cancelled");
            }
        })
    }
}

impl Side {
    /// Sends as much of `bytes` as the connection takes now.
    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    sent += count;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(context)?.is_ready() {
            self.unflushed = false;
        }
        Ok(sent)
    }

    /// Receives what there is, up to one chunk; an end of the stream is an error.
    fn poll_receive(&mut self, context: &mut Context<'_>, scratch: &Scratch) -> io::Result<bool> {
        let mut scratch = scratch.0.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Poll::Ready(Ok(())) => {
                self.input.extend_from_slice(buffer.filled());
                Ok(true)
            }
        }
    }
}

/// Gives an empty buffer's memory back where it grew. What it has in front, where it has some, [`Relay::rest`] sees to.
fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = BytesMut::new();
    }
}

//! Carries bytes between a client and its server through the session's core, both directions at once.
//!
//! It must never look at what a byte means: [`Core`] does. It holds at most a bounded backlog for either side.

mod clocks;
mod directions;

use std::{future::poll_fn, pin::Pin, rc::Rc, task::Poll, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::AsyncWriteExt as _,
    sync::watch,
    time::{Instant, timeout},
};

use self::{
    clocks::Cancelling,
    directions::{Side, give_back},
};
pub(super) use self::{
    clocks::{Canceller, IdleTimeouts},
    directions::Scratch,
};
use super::{
    alarm::{Alarm, Timer},
    farewell::{self, fatal},
    house::Stopping,
};
use crate::{
    judge::Fatal,
    judgement::SessionJudge,
    roster::Dismissal,
    session::{Core, Flow, Out},
    stream::Stream,
};

/// Unsent bytes for one side; at the limit nothing is taken that adds to them.
const BACKLOG_BYTES_MAX: usize = 256 * 1024;
/// How long the server may go on with what a client asked for that closed its end without a goodbye; then it is asked to cancel that.
/// A client that still listens gets what comes, as long as it takes some of it within this time.
const ABANDONED_GRACE: Duration = Duration::from_secs(5);
/// How often a stream is looked at that nothing moves: whether it may go on.
const REVIEW_PAUSE: Duration = Duration::from_secs(1);
/// Why what a session waits for is taken back when somebody ended it.
const DISMISSED: &str = "an administrator ended its session";
/// How long the server may take to take our goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

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
}

//! What wakes a session besides its sockets: the gateway's end, and moments. Both cost nothing while a session works.
//!
//! It must never let a session sleep through a change.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use tokio::{
    sync::watch::{self, error::RecvError},
    time::{Instant, Sleep, sleep_until},
};

use super::house::Stopping;

/// A moment to wait for.
pub(super) enum Timer {
    /// Nobody waited yet.
    Set(Instant),
    /// The runtime knows of it.
    Running(Pin<Box<Sleep>>),
}

impl Timer {
    /// Whether it has come; who asks is woken then.
    pub(super) fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if let Self::Set(at) = self {
            *self = Self::Running(Box::pin(sleep_until(*at)));
        }
        match self {
            Self::Set(_) => false,
            Self::Running(sleep) => sleep.as_mut().poll(context).is_ready(),
        }
    }
}

/// Wakes a session when the gateway stops. Whoever waits is entered once, not each time that the session waits for its sockets.
pub(super) struct Alarm {
    stopping: watch::Receiver<Stopping>,
    /// The stage that was seen last.
    seen: Stopping,
    /// Entered for the next change; `None` before the first wait, and after each change.
    entered: Option<Entered>,
}

/// One wait for the next change.
struct Entered {
    bell: Arc<Bell>,
    /// Kept, and not asked again: what is dropped is not woken.
    _change: Pin<Box<dyn Future<Output = ()>>>,
}

/// What a wait is woken by. Whoever was woken, even for nothing, is entered no more.
struct Bell {
    rang: AtomicBool,
    session: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.session.wake_by_ref();
    }
}

impl Alarm {
    /// Nobody is woken by it yet.
    pub(super) fn new(stopping: &watch::Receiver<Stopping>) -> Self {
        Self {
            seen: *stopping.borrow(),
            stopping: stopping.clone(),
            entered: None,
        }
    }

    /// The stage now.
    pub(super) fn stopping(&mut self) -> Stopping {
        if self.is_entered() {
            return self.seen;
        }
        let seen = self.stopping.borrow_and_update();
        if seen.has_changed() {
            // Whoever was entered is woken for this change, and for none that comes.
            self.entered = None;
        }
        self.seen = *seen;
        self.seen
    }

    /// Whether somebody is to be woken, and was not: then nothing changed since the stage was seen, or is about to be told.
    fn is_entered(&self) -> bool {
        let is_silent = |entered: &Entered| !entered.bell.rang.load(Ordering::Acquire);
        self.entered.as_ref().is_some_and(is_silent)
    }

    /// Resolves when the stage is another than it was at the last [`Alarm::stopping`].
    ///
    /// # Errors
    /// Whoever could tell is gone.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RecvError>> {
        if !self.is_entered() {
            self.entered = self.enter(context);
        }
        match self.stopping.has_changed() {
            Ok(false) => Poll::Pending,
            Ok(true) => {
                self.entered = None;
                Poll::Ready(Ok(()))
            }
            Err(gone) => Poll::Ready(Err(gone)),
        }
    }

    /// Waits for a change of what was seen; `None` where there is one.
    fn enter(&self, context: &Context<'_>) -> Option<Entered> {
        // The task that a session is never changes, nor how it is woken.
        let bell = Arc::new(Bell {
            rang: AtomicBool::new(false),
            session: context.waker().clone(),
        });
        let mut stopping = self.stopping.clone();
        // Not held to the runtime's budget: it must be entered now, or it is never woken.
        let mut change: Pin<Box<dyn Future<Output = ()>>> =
            Box::pin(tokio::task::unconstrained(async move {
                // An error is seen by whoever asks next: whoever could tell is gone.
                let _ = stopping.changed().await;
            }));
        let waker = Waker::from(Arc::clone(&bell));
        let is_pending = change
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending();
        is_pending.then_some(Entered {
            bell,
            _change: change,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::mpsc, thread, time::Duration};

    use tokio::{runtime::Builder, sync::watch};

    use super::{Alarm, Stopping};

    /// One who is told of a change may be back before all are told, and is then told of nothing: it must still hear of the next.
    #[test]
    fn no_change_is_missed_by_whoever_is_back_early() {
        const CHANGES: usize = 20_000;
        let (sender, stopping) = watch::channel(Stopping::No);
        let (heard, hearing) = mpsc::channel();
        let listener = thread::spawn(move || {
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut alarm = Alarm::new(&stopping);
                for _ in 0..CHANGES {
                    poll_fn(|context| alarm.poll(context)).await.unwrap();
                    let stage = alarm.stopping();
                    heard.send(stage).unwrap();
                }
            });
        });
        for number in 0..CHANGES {
            let stage = [Stopping::Drain, Stopping::Now][number % 2];
            sender.send(stage).unwrap();
            assert_eq!(hearing.recv_timeout(Duration::from_secs(10)), Ok(stage));
        }
        listener.join().unwrap();
    }
}

//! What a session has to do with people: whether it waits for them, for what, and what it was when it began.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use provost_engine::reason::StatedReason;
use provost_evidence::approvals::ApprovalId;
use tokio::sync::oneshot;

use crate::{
    badge::Badge,
    judge::{Alone, Enforcement},
    upstream::{Parameters, Upstream},
};

/// The approval that a session waits for, for whoever wants to take it back on the client's behalf.
pub(crate) type Awaited = Arc<Mutex<Option<ApprovalId>>>;

/// Whether a session's statements wait for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Wait {
    /// Within the open connection.
    #[default]
    On,
    /// They fail, and are sent again once they are approved (`provost.wait = off`).
    Off,
}

/// What a session waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: ApprovalId,
    pub(super) binding: String,
    /// Resolves when it no longer waits.
    pub(super) end: oneshot::Receiver<()>,
}

/// What a session has to do with people, as it begins.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    /// Whether its statements wait.
    pub(crate) wait: Wait,
    /// Why they must run, where it says so.
    pub(crate) reason: Option<StatedReason>,
    /// What it waits for.
    pub(crate) awaited: Awaited,
    /// The settings that it began with, `name = value`, in order: what texts mean hangs on some of them.
    pub(crate) settings: Vec<String>,
    /// How another connection like the session's is had.
    pub(crate) aside: Aside,
}

/// What a connection beside the session's is made with: it is in the same role, says the same of its principal and begins with the same
/// settings.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    /// The target.
    pub(crate) upstream: Arc<Upstream>,
    /// The start-up parameters.
    pub(crate) parameters: Parameters,
    /// What it must say of itself.
    pub(crate) badge: Badge,
}

/// What a session has to do with people.
#[derive(Debug)]
pub(in crate::judgement) struct People {
    pub(super) wait: Wait,
    pub(super) settings: Vec<String>,
    /// How many statements were let through that may have changed settings.
    pub(super) settings_changed: u64,
    pub(in crate::judgement) alone: Alone,
    pub(super) waiting: Option<Waiting>,
    awaited: Awaited,
    pub(super) aside: Aside,
}

impl People {
    pub(in crate::judgement) fn new(manners: Manners) -> Self {
        let Manners {
            wait,
            // The judge's own.
            reason: _,
            awaited,
            settings,
            aside,
        } = manners;
        Self {
            wait,
            settings,
            settings_changed: 0,
            alone: Alone::No,
            waiting: None,
            awaited,
            aside,
        }
    }

    /// A statement is let through.
    pub(in crate::judgement) fn lets_through(&mut self, enforcement: &Enforcement) {
        self.settings_changed += u64::from(enforcement.may_set);
    }

    pub(in crate::judgement) fn alone(&mut self, alone: Alone) {
        self.alone = alone;
    }

    /// Resolves when what the session waits for no longer waits.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.waiting {
            // Whoever could tell is gone: it is looked at again.
            Some(waiting) => std::pin::Pin::new(&mut waiting.end).poll(context).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// Whether it waits for somebody.
    pub(in crate::judgement) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    pub(super) fn await_for(&mut self, waiting: Option<Waiting>) {
        let id = waiting.as_ref().map(|waiting| waiting.id.clone());
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = id;
        self.waiting = waiting;
    }
}

//! The console: where people see what is held, and say yes or no. HTTP on a listener of its own, away from the threads that serve sessions.
//!
//! It must never show a held statement to whoever is not concerned by it, never take a word of a request for true before its token is
//! verified, and never let what a client or a requester wrote be anything but text.
//!
//! ```text
//! Console::bind(settings) --listens--> Console::run(approvals, issuer, shutdown)
//! request -> guard (origin, time, headers) -> api (token -> Caller) -> sight (what they may see) -> Approvals
//!                                          -> pages (cookie -> Entered), api (token -> Ranked) -> evidence
//! ```
//!
//! | room | holds |
//! |---|---|
//! | `settings` | what the console is told at start |
//! | `server` | listener, TLS, limits, shutdown |
//! | `form` | queries and forms, read strictly |
//! | `guard` | what holds for each request and answer |
//! | `caller` | who asks: the token of a request |
//! | `door` | evidence of who came |
//! | `sight` | who may see which held statement |
//! | `role` | who may see and do more |
//! | `evidence`, `span` | asking the evidence, and how far back |
//! | `visits`, `search`, `counting`, `health` | what is asked of sessions, decisions, controls and gateways |
//! | `sources` | what is read besides held statements |
//! | `api` | the JSON API and its OpenAPI document |
//! | `shapes` | what the API says, as types |
//! | `pages` | what a browser shows, and logging in there |
//! | `slack` | what people press in Slack |
//! | `problem` | refusals, as RFC 9457 has them |
//! | `text` | what others wrote, fit to be shown |

mod api;
mod caller;
mod counting;
mod door;
mod evidence;
mod form;
mod guard;
mod health;
mod pages;
mod problem;
mod role;
mod search;
mod server;
mod settings;
mod shapes;
mod sight;
mod slack;
mod sources;
mod span;
#[cfg(test)]
mod tests;
mod text;
mod visits;

use std::{sync::Arc, time::Duration};

use tokio::sync::{Semaphore, watch};

pub(crate) use self::sources::Target;
pub use self::{
    problem::Problem,
    role::Roles,
    server::{Console, Error},
    settings::{LoginSettings, Settings, SlackPerson, SlackSettings, Times},
    shapes::{
        Approval, Ballot, BeforeShape, DryRunShape, List, NeedShape, Refusal, RowsShape, Sight,
        StandingName, StatementShape, Summary, VoteName, VoteShape,
    },
    sources::{Draw, Furnishing, Sources},
    text::visible,
};
use crate::{approvals::Approvals, identity::Issuer};

/// What all requests share.
struct Room {
    approvals: Arc<Approvals>,
    issuer: Arc<Issuer>,
    /// Who sees more than what concerns them.
    roles: Roles,
    /// What pages read besides held statements.
    sources: Sources,
    /// Keeps who came.
    door: Arc<door::Door>,
    /// Counts what becomes of held statements.
    pulse: watch::Receiver<u64>,
    /// Pages that are told of it at once; see [`pages::LIVE_MAX`].
    live: Arc<Semaphore>,
    /// Our own origin, as browsers say it.
    origin: String,
    /// How long a request may take.
    request_time: Duration,
    /// How people log in with a browser; without it there are no pages.
    login: Option<pages::Login>,
    /// Whose buttons in Slack are taken; without it nobody's.
    slack: Option<slack::Slack>,
    /// The OpenAPI document.
    document: String,
}

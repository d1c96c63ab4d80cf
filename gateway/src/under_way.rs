//! Where a session's work is, for cancel requests: what the gateway has and its server does not have yet would not be hit by one that is
//! passed on at once, for the server is at nothing.
//!
//! It must never keep a request for what the client sends after the request was dealt with.

use std::sync::atomic::{AtomicU8, Ordering};

/// Nothing came, or all of it was answered.
const REST: u8 = 0;
/// The same, and somebody asks to cancel: it may be for what came and was not read yet.
const REST_ASKED: u8 = 1;
/// The gateway is at something, and the server at nothing.
const GATEWAY: u8 = 2;
/// The same, and it is to be cancelled.
const GATEWAY_ASKED: u8 = 3;
/// The server is at something.
const SERVER: u8 = 4;

/// A session's, shared with whoever has its cancel key.
#[derive(Default)]
pub(crate) struct UnderWay(AtomicU8);

/// What a cancel request meets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// Nothing, so far: if something is read before [`UnderWay::forget`], it is cancelled.
    Nothing,
    /// What the session will have cancelled, once its server has it.
    Gateway,
    /// What the server is at: it is the one to ask.
    Server,
}

impl UnderWay {
    /// Something came from the client while the server was at nothing.
    pub(crate) fn begin(&self) {
        self.change(|state| match state {
            REST_ASKED | GATEWAY_ASKED => GATEWAY_ASKED,
            _ => GATEWAY,
        });
    }

    /// The server was given something. Whether somebody asked to cancel it meanwhile.
    pub(crate) fn give(&self) -> bool {
        self.0.swap(SERVER, Ordering::AcqRel) == GATEWAY_ASKED
    }

    /// There is nothing to do.
    pub(crate) fn rest(&self) {
        self.change(|state| match state {
            REST_ASKED => REST_ASKED,
            _ => REST,
        });
    }

    /// Asks to cancel.
    pub(crate) fn cancel(&self) -> Met {
        let before = self.change(|state| match state {
            REST => REST_ASKED,
            GATEWAY => GATEWAY_ASKED,
            other => other,
        });
        match before {
            REST | REST_ASKED => Met::Nothing,
            GATEWAY | GATEWAY_ASKED => Met::Gateway,
            _ => Met::Server,
        }
    }

    /// What comes from now on is not what [`Met::Nothing`] was about.
    pub(crate) fn forget(&self) {
        self.change(|state| match state {
            REST_ASKED => REST,
            other => other,
        });
    }

    /// Gives what it was before.
    fn change(&self, to: impl Fn(u8) -> u8) -> u8 {
        let mut state = self.0.load(Ordering::Acquire);
        loop {
            let next = to(state);
            if next == state {
                return state;
            }
            let changed =
                self.0
                    .compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire);
            match changed {
                Ok(_) => return state,
                Err(other) => state = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Met, UnderWay};

    #[test]
    fn what_the_gateway_has_is_cancelled_when_the_server_has_it() {
        let under_way = UnderWay::default();
        under_way.begin();
        assert!(!under_way.give(), "nobody asked");
        assert_eq!(under_way.cancel(), Met::Server);
        under_way.rest();

        under_way.begin();
        assert_eq!(under_way.cancel(), Met::Gateway);
        assert_eq!(under_way.cancel(), Met::Gateway, "twice is as once");
        under_way.begin();
        assert!(
            under_way.give(),
            "more of it came, and it is cancelled still"
        );
        assert!(!under_way.give(), "what comes next is not");
    }

    #[test]
    fn a_request_that_finds_nothing_is_for_what_is_read_soon() {
        let under_way = UnderWay::default();
        assert_eq!(under_way.cancel(), Met::Nothing);
        under_way.rest();
        under_way.begin();
        assert!(under_way.give());

        under_way.rest();
        assert_eq!(under_way.cancel(), Met::Nothing);
        under_way.forget();
        under_way.begin();
        assert!(!under_way.give(), "it came later");
    }

    #[test]
    fn what_never_reaches_the_server_is_forgotten() {
        let under_way = UnderWay::default();
        under_way.begin();
        assert_eq!(under_way.cancel(), Met::Gateway);
        under_way.rest();
        under_way.begin();
        assert!(!under_way.give());
    }
}

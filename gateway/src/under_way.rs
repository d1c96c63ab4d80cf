//! What a session has of its client's that its server does not have yet. A cancel request that comes meanwhile is for that: passed on
//! at once, it would find the server at nothing, and be lost.
//!
//! It must never keep a request for what the client sends later: whatever the server has is for it to end.

use std::sync::atomic::{AtomicU8, Ordering};

/// The server has all that there is.
const NOTHING: u8 = 0;
/// The session is at something, and the server at nothing.
const SOMETHING: u8 = 1;
/// The same, and somebody asked to cancel it.
const CANCELLED: u8 = 2;

/// A session's, shared with whoever has its cancel key.
#[derive(Default)]
pub(crate) struct UnderWay(AtomicU8);

impl UnderWay {
    /// Something came from the client while the server was at nothing.
    pub(crate) fn begin(&self) {
        // What is cancelled already stays so.
        let _ = self
            .0
            .compare_exchange(NOTHING, SOMETHING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The server has it, or nobody needs it. Whether somebody asked to cancel it meanwhile.
    pub(crate) fn end(&self) -> bool {
        self.0.load(Ordering::Acquire) != NOTHING
            && self.0.swap(NOTHING, Ordering::AcqRel) == CANCELLED
    }

    /// Asks to cancel; `false` where the server has all that there is, and is the one to ask.
    pub(crate) fn cancel(&self) -> bool {
        let before =
            self.0
                .compare_exchange(SOMETHING, CANCELLED, Ordering::AcqRel, Ordering::Acquire);
        before != Err(NOTHING)
    }
}

#[cfg(test)]
mod tests {
    use super::UnderWay;

    #[test]
    fn a_request_is_kept_for_what_is_under_way_and_for_nothing_else() {
        let under_way = UnderWay::default();
        assert!(!under_way.cancel(), "the server is to be asked");
        assert!(!under_way.end());

        under_way.begin();
        assert!(!under_way.end(), "nobody asked");

        under_way.begin();
        assert!(under_way.cancel());
        assert!(under_way.cancel(), "twice is as once");
        under_way.begin();
        assert!(
            under_way.end(),
            "more of it came, and it is cancelled still"
        );
        assert!(!under_way.end(), "what comes next is not");
        assert!(!under_way.cancel());
    }
}

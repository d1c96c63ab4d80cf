//! What was expanded to read a statement, beyond its own text: the definitions that its analysis rests on.
//!
//! Must never name the views alone where something else was expanded too: whoever holds the views would think that all is held.

use std::collections::BTreeSet;

/// The definitions that were expanded so far.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    views: BTreeSet<u32>,
    others: bool,
}

impl Expanded {
    /// A plain view was.
    pub(super) fn view(&mut self, oid: u32) {
        self.views.insert(oid);
    }

    /// A function, a trigger, a rule or a materialised view was, or a view was written through.
    pub(super) const fn other(&mut self) {
        self.others = true;
    }

    /// Whether anything was, and the views where nothing else was.
    pub(super) fn finish(self) -> (bool, BTreeSet<u32>) {
        let any = self.others || !self.views.is_empty();
        let views = if self.others {
            BTreeSet::new()
        } else {
            self.views
        };
        (any, views)
    }
}

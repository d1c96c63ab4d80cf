//! What of a policy can apply to one session: the entries that are live, and the masks that bind it.
//!
//! Everything that is constant for a session is asked here, once: whom the rules are about, and the parts of conditions
//! that ask for the session or the time. Rules with equal subjects, and entries with equal parts, are asked together. A
//! part that is unknown leaves its entry live and marks it doubtful.

use std::sync::Arc;

use jiff::Timestamp;
use smallvec::SmallVec;

use super::{
    BoundMask, CompiledSubjects, Lens, Policy, SessionView, condition::Condition, condition::Truth,
    index::Bits, rule::Mode, window::Window,
};
use crate::principal::Session;

/// What decides whether entries are live, each question once.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// The different subjects of rules.
    pub(super) subjects: Vec<CompiledSubjects>,
    /// The index of each rule's subjects.
    pub(super) subject_of: Vec<u32>,
    /// The different conditions of the session.
    pub(super) conditions: Vec<Condition>,
    /// The index of each entry's condition.
    pub(super) condition_of: Vec<u32>,
    /// The rules that only observe, by index.
    pub(super) observing: Vec<u32>,
    /// The different time windows of all conditions.
    pub(super) windows: Vec<Window>,
}

/// The entries of a policy that can apply to one session.
#[derive(Debug)]
pub(super) struct Residual {
    /// Of rules that are enforced.
    enforced: SmallVec<[u64; 16]>,
    /// Of all rules; `None` if none only observes.
    everything: Option<SmallVec<[u64; 16]>>,
    /// Entries whose condition of the session is unknown; empty if there are none.
    doubtful: SmallVec<[u64; 4]>,
    /// Whether any of the entries looks at columns.
    pub(super) looks_at_columns: bool,
    /// Mask rules that bind the principal.
    pub(super) masks: Vec<BoundMask>,
    /// The classes that these mask, observing ones too.
    pub(super) masked: Bits,
    /// Whether any rule for the principal only observes.
    pub(super) observes: bool,
}

impl Residual {
    /// The live entries, as words.
    pub(super) fn live(&self, lens: Lens) -> &[u64] {
        match (lens, &self.everything) {
            (Lens::Everything, Some(everything)) => everything,
            (Lens::Enforced, _) | (Lens::Everything, None) => &self.enforced,
        }
    }

    /// Whether it is unknown if an entry applies to the session.
    pub(super) fn doubts(&self, entry: usize) -> bool {
        self.doubtful
            .get(entry / 64)
            .is_some_and(|word| word & (1 << (entry % 64)) != 0)
    }
}

impl Policy {
    /// Applies what is constant for a session, as of `now`. Make it again when the policy changes, and at
    /// [`SessionView::until`].
    #[must_use]
    pub fn view(&self, session: &Arc<Session>, now: Timestamp) -> SessionView {
        let questions = &self.questions;
        let principal = &session.principal;
        let actor = self.group_bits(&principal.groups);
        let person = principal
            .on_behalf_of
            .as_ref()
            .map(|person| self.group_bits(&person.groups));
        let about: Vec<bool> = questions
            .subjects
            .iter()
            .map(|subjects| subjects.apply_to(&actor, person.as_ref()))
            .collect();
        let truths: Vec<Truth> = Condition::evaluate_all(&questions.conditions, session, now);
        let applies = |rule: u32| {
            let subject = questions.subject_of.get(rule as usize);
            subject
                .and_then(|&subject| about.get(subject as usize))
                .copied()
                .unwrap_or(false)
        };
        let observes = questions.observing.iter().any(|&rule| applies(rule));
        let words = self.entries.len().div_ceil(64);
        let mut everything: SmallVec<[u64; 16]> = SmallVec::from_elem(0, words);
        let mut doubtful: SmallVec<[u64; 4]> = SmallVec::new();
        let mut last = None;
        for ((number, entry), &condition) in
            self.entries.iter().enumerate().zip(&questions.condition_of)
        {
            if !applies(entry.rule) {
                continue;
            }
            let (word, bit) = (number / 64, 1_u64 << (number % 64));
            match truths.get(condition as usize) {
                Some(Truth::False) => continue,
                Some(Truth::True) => {}
                Some(Truth::Unknown(_)) | None => {
                    doubtful.resize(words, 0);
                    if let Some(doubtful) = doubtful.get_mut(word) {
                        *doubtful |= bit;
                    }
                }
            }
            if let Some(live) = everything.get_mut(word) {
                *live |= bit;
            }
            last = Some(number);
        }
        let (enforced, everything) = self.without_observing(everything, observes);
        let masks: Vec<BoundMask> = self
            .masks
            .iter()
            .enumerate()
            .filter(|(_, mask)| u32::try_from(mask.rule).is_ok_and(applies))
            .map(|(index, mask)| BoundMask {
                mask: index,
                truth: mask.mask.condition.evaluate_for_session(session, now),
            })
            .filter(|bound| bound.truth != Truth::False)
            .collect();
        let mut masked = Bits::empty(self.classes.names.len());
        for mask in masks.iter().filter_map(|bound| self.masks.get(bound.mask)) {
            masked.add_all(&mask.classes);
        }
        SessionView {
            digest: self.set.digest.clone(),
            session: Arc::clone(session),
            now,
            until: self.next_change(now).min(self.next_change_for_modules(now)),
            modules: self.ask_for_session(session, now),
            residual: Arc::new(Residual {
                enforced,
                everything,
                doubtful,
                // Entries that look at columns come last.
                looks_at_columns: last.is_some_and(|last| last >= self.column_entries_from),
                masks,
                masked,
                observes: observes || self.set.mode == Mode::Observe,
            }),
        }
    }

    /// The live entries of enforced rules, and of all if some only observe.
    fn without_observing(
        &self,
        everything: SmallVec<[u64; 16]>,
        observes: bool,
    ) -> (SmallVec<[u64; 16]>, Option<SmallVec<[u64; 16]>>) {
        if !observes {
            return (everything, None);
        }
        let mut enforced = everything.clone();
        for (number, entry) in self.entries.iter().enumerate() {
            let rule = self.set.rules.get(entry.rule as usize);
            if rule.is_none_or(|rule| rule.mode == Mode::Observe)
                && let Some(word) = enforced.get_mut(number / 64)
            {
                *word &= !(1 << (number % 64));
            }
        }
        (enforced, Some(everything))
    }

    /// The first instant after `now` at which a time window may open or close.
    fn next_change(&self, now: Timestamp) -> Timestamp {
        self.questions
            .windows
            .iter()
            .map(|window| window.next_change(now))
            .min()
            .unwrap_or(Timestamp::MAX)
    }

    pub(super) fn group_bits(&self, groups: &[Arc<str>]) -> Bits {
        let mut bits = Bits::empty(self.groups.len());
        for number in groups.iter().filter_map(|name| self.groups.get(name)) {
            bits.insert(*number);
        }
        bits
    }
}

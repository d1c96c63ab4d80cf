//! Decisions that stand: a statement that was allowed, and whose verdict hangs on nothing that can be another the next time, is let
//! through again without being decided anew.
//!
//! Must never let a decision stand that hangs on a bound value, a budget, a lock, a name of the session's or the time.

use std::{
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
    time::{Instant, SystemTime},
};

use provost_engine::{facts::Kind, sql::Statement, verdict::Decision};

use super::{
    CATALOG_OLD, Moment, SessionJudge, Step, answer,
    notes::{Note, Noted, Recollection},
    view,
};
use crate::judge::{Permitted, Stop};

/// Names one view of one session for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ViewId(u64);

impl ViewId {
    /// One that no view had.
    pub(super) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a decision stands on, beside the statement as it was analysed in the catalog of the moment: while all of it is the same, so is
/// the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footing {
    /// The session's rules: a view is made anew with each change of the policy, and when a time window opens or closes.
    pub(super) view: ViewId,
    /// How often the catalog was read again.
    catalog: u64,
    /// The transaction's status.
    status: u8,
}

impl SessionJudge {
    /// Lets a statement through whose decision stands, and whose enforcement is plain; `None` where it is to be looked at more closely.
    pub(super) async fn let_through(
        &mut self,
        step: &Step<'_>,
        memory: &Recollection,
    ) -> Result<Option<Permitted>, Stop> {
        let moment = Moment {
            clock: self.settle().await?,
            at: Instant::now(),
        };
        let shared = self.everybodys();
        if self.people.is_waiting()
            || self.sight.has_failed()
            || self.sight.wanted(&shared).is_some()
        {
            return Ok(None);
        }
        let footing = self.footing(moment);
        let Some(statements) = memory.find((shared.catalog.version(), self.sight.path())) else {
            return Ok(None);
        };
        let Some((statement, note)) = self
            .standing(step, Some(memory), &statements, footing)
            .filter(|(_, note)| note.is_plain)
        else {
            return Ok(None);
        };
        self.cache.borrow_mut().touch(&statements);
        self.looked_again = false;
        let permitted = self.log_permitted(step, statement, &note, moment).await?;
        // Logging takes its time.
        if self.is_shaken(footing) {
            self.skip_one(permitted.statement).await?;
            return Ok(None);
        }
        Ok(Some(permitted))
    }

    /// Whether what a decision stands on may be another by now: the policy, a time window, the principal's token, the catalog.
    fn is_shaken(&self, footing: Option<Footing>) -> bool {
        let clock = SystemTime::now();
        clock >= self.expires_at
            || clock >= self.view_until
            || self.bench.policy.changes() != self.policy_changes
            || footing.is_none_or(|footing| footing.catalog != self.keeper.shared().changes())
    }

    /// Remembers a simple Query's text, where it may be let through when it comes again.
    pub(super) fn remember(&mut self, text: &[u8], statements: &Rc<Noted>) {
        if let Some(statement) = statements.first()
            && let Some(stands) = statements.stands_plainly(self.view_id)
        {
            let place = (statement.facts.catalog_version, self.sight.path());
            self.recent.keep(text, place, statements, &stands);
        }
    }

    /// What decisions stand on now; `None` where this session sees what others don't, or something is asked for the frame at hand.
    pub(super) fn footing(&self, moment: Moment) -> Option<Footing> {
        let age = || moment.at.saturating_duration_since(self.everybodys().since);
        let is_plain = self.sight.is_plain()
            && self.given.is_none()
            && !self.unread
            && self.pinning.is_idle()
            && age() <= self.bench.catalog_age_max * CATALOG_OLD;
        is_plain.then(|| Footing {
            view: self.view_id,
            catalog: self.keeper.shared().changes(),
            status: self.status,
        })
    }

    /// The step's statement and what it was decided as, where that stands; `memory` is the text's, where it has one.
    pub(super) fn standing<'a>(
        &self,
        step: &Step<'_>,
        memory: Option<&Recollection>,
        statements: &'a Noted,
        footing: Option<Footing>,
    ) -> Option<(&'a Statement, Rc<Note>)> {
        let statement = statements.first()?;
        let now = statement.facts.catalog_version;
        // What was prepared by an older catalog may be outdated.
        let is_current = step.made_at.is_none_or(|made_at| made_at == now);
        let footing = footing.filter(|_| is_current)?;
        let remembered = memory.and_then(|memory| memory.standing(statements, footing));
        let note = remembered.or_else(|| {
            let note = statements.standing(footing)?;
            if let Some(memory) = memory {
                memory.stand(statements, footing, &note);
            }
            Some(note)
        })?;
        Some((statement, note))
    }

    /// Whether the decision on the one statement of a text may stand; it was made of nothing but what its [`Footing`] says.
    pub(super) fn may_stand(&self, statements: &Noted, decision: &Decision) -> bool {
        let [statement] = &**statements else {
            return false;
        };
        let facts = &statement.facts;
        answer::is_plain(facts)
            && statement.rests_on.is_empty()
            && statement.binding.is_none()
            && statement.states.is_none()
            // Its relations are held when its data is masked, and its names may be looked up when it runs.
            && statement.copy.is_none()
            && !matches!(facts.kind, Kind::CopyTo | Kind::CopyFrom)
            && !view::is_named_when_run(facts)
            && facts.views.is_empty()
            && !decision.rests_on_views
            && decision.probes.is_empty()
            && decision.limits.rows_per_hour.is_none()
            && decision.limits.bytes_per_hour.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use provost_engine::{
        facts::{CatalogVersion, SessionEffect},
        verdict::Limits,
    };

    use super::*;
    use crate::{
        judge::{Enforcement, Touch},
        judgement::testing::policy,
    };

    fn noted() -> Rc<Noted> {
        Rc::new(Noted::new(Arc::from([])))
    }

    fn note() -> Rc<Note> {
        let decision = Decision::deny(Vec::new(), false);
        let enforcement = Enforcement {
            kind: Kind::Select,
            session_effect: SessionEffect::None,
            touch: Touch::Nothing,
            mask_bound: false,
            columns: None,
            masks: Vec::new(),
            limits: Limits::default(),
            recording: decision.recording,
            copy: None,
            binding: None,
            cursors: Vec::new(),
            sets_role: false,
            may_set: false,
        };
        Note::new(0, &policy(), decision, enforcement)
    }

    fn footing() -> Footing {
        Footing {
            view: ViewId::next(),
            catalog: 3,
            status: b'I',
        }
    }

    #[test]
    fn each_of_many_sessions_finds_its_own_decision_and_no_other() {
        let (noted, another, note) = (noted(), noted(), note());
        noted.keep(&note);
        let path = Arc::from([]);
        let sessions: Vec<_> = std::iter::repeat_with(footing)
            .take(1000)
            .map(|footing| {
                let memory = Recollection::default();
                memory.keep((CatalogVersion(1), &path), &noted);
                noted.stand(footing, &note);
                memory.stand(&noted, footing, &note);
                (memory, footing)
            })
            .collect();
        for (memory, on) in &sessions {
            let found = memory.standing(&noted, *on).unwrap();
            assert!(Rc::ptr_eq(&found, &note));
            let others = [
                footing(),
                Footing { catalog: 4, ..*on },
                Footing {
                    status: b'T',
                    ..*on
                },
            ];
            for other in others {
                assert!(memory.standing(&noted, other).is_none(), "{other:?}");
            }
            assert!(memory.standing(&another, *on).is_none());
            memory.stand(&another, *on, &note);
            assert!(memory.standing(&another, *on).is_none());
        }
    }

    #[test]
    fn what_was_read_anew_stands_on_nothing() {
        let (first, second, note, on) = (noted(), noted(), note(), footing());
        let (memory, path) = (Recollection::default(), Arc::from([]));
        memory.keep((CatalogVersion(1), &path), &first);
        memory.stand(&first, on, &note);
        memory.keep((CatalogVersion(2), &path), &second);
        assert!(memory.standing(&first, on).is_none());
        assert!(memory.standing(&second, on).is_none());
    }

    #[test]
    fn a_note_that_is_no_longer_kept_stands_for_nothing() {
        let (noted, note, on) = (noted(), note(), footing());
        let (memory, path) = (Recollection::default(), Arc::from([]));
        memory.keep((CatalogVersion(1), &path), &noted);
        memory.stand(&noted, on, &note);
        assert!(memory.standing(&noted, on).is_some());
        drop(note);
        assert!(memory.standing(&noted, on).is_none());
    }
}

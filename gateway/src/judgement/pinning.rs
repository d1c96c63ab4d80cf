//! Statements that read masked columns through views, and COPY for whoever a mask binds: let through only while what they read is
//! locked and is what analysis read (ruling 4).
//!
//! Must never let an answer serve another frame than the one that it was asked for: each call of the judge takes it, used or not.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::{
    facts::{Facts, Kind, Object},
    sql::Statement,
    verdict::{Decision, Reason},
};
use provost_evidence::record::Phase;

use super::{
    NamedBy, SessionJudge, Step,
    decide::may_run,
    obstacle::{self, Rests},
};
use crate::{
    judge::{Holder, Keep, Look, Unseen},
    pin::{Difference, Pin, Pinned},
};

/// The first oid of what users make: the server's own relations are as they are.
const OF_USERS: u32 = 16_384;
/// Times that the catalog is read again for one frame because a view was another one.
const TRIES_MAX: u8 = 1;

/// What is known of a pin for the frame at hand.
#[derive(Debug, Default)]
pub(super) struct Pinning {
    answer: Option<Result<Pinned, Unseen>>,
    tries: u8,
    /// A view was another one: the catalog is read again once the session is out of its transaction.
    pub(super) changed: bool,
}

impl Pinning {
    /// The frame is done with, whatever became of it.
    pub(super) fn over(&mut self) {
        self.answer = None;
        self.tries = 0;
    }

    /// Nothing was asked for the frame at hand.
    pub(super) const fn is_idle(&self) -> bool {
        self.answer.is_none() && self.tries == 0
    }

    /// Something else is asked first: what was locked may be locked no more.
    pub(super) fn lost(&mut self) {
        self.answer = None;
    }

    pub(super) const fn take(&mut self) -> Option<Result<Pinned, Unseen>> {
        self.answer.take()
    }
}

/// Whether a statement rests on its views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It shows masked columns through them, or copies relations.
    Must,
    /// It shows none, as far as the catalog says: where they can be held they are, in case the catalog is behind.
    May,
}

/// Whether the views of a text are held.
pub(super) enum Holding {
    /// They are, or none need be.
    Held,
    /// The server must be asked.
    Ask(Look),
    /// The statement at this place can't be let through.
    Refused(usize, Reason),
}

impl SessionJudge {
    /// Whether the statements' views are held, where that is needed; `answer` was asked for this frame.
    pub(super) fn hold_views(
        &self,
        step: &Step<'_>,
        statements: &[Statement],
        decisions: &[Decision],
        answer: Option<&Result<Pinned, Unseen>>,
    ) -> Holding {
        // A Parse shows nothing: its Bind is judged again.
        if step.phase == Phase::Prepare {
            return Holding::Held;
        }
        let rests = |(statement, decision): (&Statement, &Decision)| {
            may_run(decision) && (decision.rests_on_views || copies(statement, decision))
        };
        let (place, need) = match statements.iter().zip(decisions).position(rests) {
            Some(place) => (place, Need::Must),
            None => (0, Need::May),
        };
        let (Some(statement), Some(decision)) = (statements.get(place), decisions.get(place))
        else {
            return Holding::Held;
        };
        let rests = match statement.facts.kind {
            Kind::CopyTo => Rests::OnCopied,
            _ => Rests::OnViews,
        };
        let named_by_sql = !statement.rests_on.is_empty() || step.named_by == NamedBy::Sql;
        if need == Need::Must && statements.len() > 1 {
            return Holding::Refused(place, obstacle::not_alone(rests));
        }
        if need == Need::Must && named_by_sql {
            return Holding::Refused(place, obstacle::named_by_sql());
        }
        let may_be_held = may_run(decision)
            && decision.mask_bound
            && statement.facts.kind == Kind::Select
            && !statement.facts.views.is_empty();
        let is_apt = statements.len() == 1 && !named_by_sql && self.status != b'E';
        if need == Need::May && !(may_be_held && is_apt) {
            return Holding::Held;
        }
        let pin = Pin::new(relations(&statement.facts));
        let catalog = Arc::clone(&self.loaded().catalog);
        // The server's own of the moment: it tells of its names by that.
        let path = self.sight.path();
        // INVARIANT: what is compared with the server is the catalog that analysis read, not one that came since.
        let is_same = catalog.version() == statement.facts.catalog_version;
        let differs = match answer.filter(|_| is_same) {
            None if self.status == b'E' => obstacle::failed_before(rests),
            None => return Holding::Ask(Look::Pin(pin)),
            Some(Err(unseen)) => obstacle::not_locked(rests, &unseen.sqlstate),
            Some(Ok(pinned)) => match pinned.agrees(&pin, &catalog, path) {
                Ok(()) => return Holding::Held,
                Err(Difference::Snapshot) if need == Need::May => return Holding::Held,
                Err(Difference::Snapshot) => obstacle::old_snapshot(rests),
                Err(Difference::Unlocked) => obstacle::not_held(rests),
                Err(Difference::Changed) => obstacle::changed(rests),
            },
        };
        Holding::Refused(place, differs)
    }

    /// Takes the answer to a pin. Where the catalog is behind, and nothing of the client's is in the transaction, that ends: then
    /// its locks are in nobody's way while the catalog is read again.
    pub(super) fn pinned(
        &mut self,
        pin: &Pin,
        answer: Result<Vec<u8>, Unseen>,
        holder: Holder,
    ) -> Keep {
        let answer = answer.and_then(|json| {
            Pinned::from_json(&json).ok_or(Unseen {
                sqlstate: "XX000".to_owned(),
            })
        });
        let is_behind = answer.as_ref().is_ok_and(|pinned| {
            pinned.agrees(pin, &self.loaded().catalog, self.sight.path())
                == Err(Difference::Changed)
        });
        if !is_behind {
            self.pinning.answer = Some(answer);
            return Keep::Open;
        }
        let is_ours = holder == Holder::Gateway && self.status == b'I';
        if is_ours && self.pinning.tries < TRIES_MAX {
            self.pinning.tries += 1;
            self.pinning.answer = None;
            self.unread = true;
            return Keep::End;
        }
        self.pinning.changed = true;
        self.pinning.answer = Some(answer);
        Keep::Open
    }
}

/// Whether an allowed statement copies relations of users for somebody whom a mask binds: COPY has no description that could be
/// compared with analysis.
fn copies(statement: &Statement, decision: &Decision) -> bool {
    decision.mask_bound
        && statement.facts.kind == Kind::CopyTo
        && !relations(&statement.facts).is_empty()
}

/// The views that the statement rests on, and every relation of users that it touches.
fn relations(facts: &Facts) -> Vec<u32> {
    let touched = facts
        .accesses
        .iter()
        .filter_map(|access| match &access.object {
            Object::Relation { oid, .. } => Some(*oid),
            Object::Function { .. }
            | Object::Setting(_)
            | Object::Channel(_)
            | Object::Other { .. }
            | Object::Nothing => None,
        });
    let all: BTreeSet<u32> = facts.views.iter().copied().chain(touched).collect();
    all.into_iter().filter(|oid| *oid >= OF_USERS).collect()
}

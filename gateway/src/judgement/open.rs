//! Statements that may run, from the log to their ends.
//!
//! Must never give a permit before its decision is in the log.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use provost_engine::{facts::CatalogVersion, sql::Statement, verdict::Decision};
use provost_evidence::{
    Durability,
    record::{Outcome, Phase},
};

use super::{
    Moment, SessionJudge, Step, answer,
    glass::is_broken,
    logging,
    notes::{Note, Noted},
    refusal::limit,
    standing::Footing,
    view,
};
use crate::{
    badge::RoleIs,
    judge::{End, Enforcement, Fatal, Judge as _, Permitted, StatementSeq, Stop},
    permit::Permit,
};

/// A decided statement that has not ended.
pub(super) struct Open {
    pub(super) seq: StatementSeq,
    pub(super) since: Instant,
    /// [`crate::policy::PolicyHandle::changes`] when it was decided.
    pub(super) policy: u64,
    pub(super) version: CatalogVersion,
    /// Until when the decision holds: a time window opens or closes then.
    pub(super) until: Timestamp,
    /// The path that its names must still be looked up by when it runs, where the server looks them up then.
    pub(super) path: Option<Arc<[Arc<str>]>>,
}

impl SessionJudge {
    pub(super) async fn permit(
        &mut self,
        step: &Step<'_>,
        statements: &Noted,
        (place, decision): (usize, Decision),
        footing: Option<Footing>,
    ) -> Result<Permitted, Stop> {
        let Some(statement) = statements.get(place) else {
            return Err(Stop::Refused(answer::denied(&[])));
        };
        let footing = footing.filter(|_| self.may_stand(statements, &decision));
        // An approval is named by the record of its own statement alone.
        let is_kept = step.approval.is_none();
        let known = statements
            .find(place, &self.policy, &decision)
            .filter(|_| is_kept);
        let note = known.clone().unwrap_or_else(|| {
            let enforcement = Enforcement {
                copy: statement.copy.clone(),
                binding: statement.binding.clone(),
                cursors: self.cursors(statement),
                ..answer::enforcement(&statement.facts, decision.clone())
            };
            Note::new(place, &self.policy, decision, enforcement)
        });
        let permitted = self
            .log_permitted(step, statement, &note, Moment::now())
            .await?;
        if known.is_none() && is_kept {
            statements.keep(&note);
        }
        if let Some(footing) = footing {
            statements.stand(footing, &note);
            if let Some(memory) = step.memory {
                memory.stand(statements, footing, &note);
            }
        }
        Ok(permitted)
    }

    /// Logs what was decided of a statement that may run: only then it may.
    pub(super) async fn log_permitted(
        &mut self,
        step: &Step<'_>,
        statement: &Statement,
        note: &Note,
        moment: Moment,
    ) -> Result<Permitted, Stop> {
        let seq = self.next();
        let durability = match step.approval {
            // Ruling 21: what was held, and what runs by a stated reason.
            Some(_) => Durability::Power,
            None if is_broken(&note.decision) => Durability::Power,
            None => answer::durability(&statement.facts, self.bench.durable),
        };
        let Some(receipt) = self
            .log_noted(step, (seq, moment), statement, note, durability)
            .await?
        else {
            let refusal = limit(
                logging::TOO_LARGE.to_owned(),
                "name fewer columns and relations in one statement",
            );
            self.refuse_unread(step, &refusal.message, refusal.sqlstate)
                .await?;
            return Err(Stop::Refused(answer::refused(refusal)));
        };
        self.open(step, seq, statement, note);
        let recorded = self.record_asked(step, seq, statement, &note.decision);
        if let Err(fatal) = recorded.await {
            self.skip_one(seq).await?;
            return Err(fatal.into());
        }
        Ok(Permitted {
            permit: Permit::from(receipt),
            statement: seq,
            spool: self.spool(step, seq, &note.enforcement),
            enforcement: Arc::clone(&note.enforcement),
            notice: None,
        })
    }

    /// The statement may run, and has not ended.
    fn open(&mut self, step: &Step<'_>, seq: StatementSeq, statement: &Statement, note: &Note) {
        if step.phase != Phase::Prepare {
            let principal = &self.session.principal.id;
            note.ran(principal, &statement.facts.fingerprint, &self.bench.memory);
            self.people.lets_through(&note.enforcement);
            if note.enforcement.sets_role {
                self.role = RoleIs::Any;
            }
        }
        self.open.push_back(Open {
            seq,
            since: Instant::now(),
            policy: self.policy_changes,
            version: statement.facts.catalog_version,
            until: step
                .holds_until
                .map_or(self.view.until(), |until| until.min(self.view.until())),
            path: view::is_named_when_run(&statement.facts).then(|| Arc::clone(self.sight.path())),
        });
    }

    /// Ends statements that were let through and will not be sent after all: each is tried.
    pub(super) async fn skip(
        &mut self,
        permitted: impl IntoIterator<Item = Permitted>,
    ) -> Result<(), Fatal> {
        let mut outcome = Ok(());
        for Permitted { statement, .. } in permitted {
            outcome = outcome.and(self.skip_one(statement).await);
        }
        outcome
    }

    /// Ends a statement that will not be sent after all.
    pub(super) async fn skip_one(&mut self, statement: StatementSeq) -> Result<(), Fatal> {
        let end = End {
            outcome: Outcome::Skipped,
            rows: 0,
            bytes: 0,
            sqlstate: None,
            values_masked: Vec::new(),
            result_digest: None,
        };
        self.end(statement, end).await
    }

    /// A statement that has not ended.
    pub(super) fn opened(&self, statement: StatementSeq) -> Option<&Open> {
        // The newest is asked for most.
        self.open.iter().rev().find(|open| open.seq == statement)
    }

    /// Forgets a statement that ended; since when it was open.
    pub(super) fn close(&mut self, statement: StatementSeq) -> Option<Instant> {
        let place = self.open.iter().position(|open| open.seq == statement)?;
        self.open.remove(place).map(|open| open.since)
    }

    pub(super) fn next(&mut self) -> StatementSeq {
        self.seq += 1;
        StatementSeq(self.seq)
    }
}

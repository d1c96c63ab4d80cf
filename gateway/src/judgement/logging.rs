//! What a judge writes to the log: decisions, refusals with their ends.
//!
//! A record that is too large for the log must never stop the gateway, nor let its statement run unrecorded: the text is
//! left out first (its digest stays), and if that is not enough the statement is refused.

use std::time::{Instant, SystemTime};

use provost_engine::{
    facts::Column,
    sql::{Refusal, Statement},
    verdict::Decision,
};
use provost_evidence::{
    Durability, Error, Receipt,
    draft::{Ending, Entry, Occasion},
    record::{DecisionRecord, Outcome, Record},
};

use super::{
    Moment, Sent, SessionJudge, Step, answer,
    decide::is_allowed,
    notes::{Alike, Note},
};
use crate::{
    judge::{End, Fatal, StatementSeq, Stop},
    record::{self, Asked, Determining, Undated},
    settings::Durable,
};

/// What evidence says of a statement whose own record does not fit.
pub(super) const TOO_LARGE: &str =
    "what is to be recorded of the statement is too large for the log";

impl SessionJudge {
    fn asked<'a>(&'a self, step: &Step<'a>, seq: StatementSeq) -> Asked<'a> {
        Asked {
            at: SystemTime::now(),
            session_id: &self.id,
            session: &self.session,
            seq,
            phase: step.phase,
            text: step.text,
            bundle: self.policy.digest(),
            parameters: self.parameters_digest(step),
        }
    }

    pub(super) fn parameters_digest(&self, step: &Step<'_>) -> Option<[u8; 32]> {
        match step.parameters {
            Sent::Nothing => None,
            Sent::Raw(raw) => Some(self.bench.key.parameters(raw)),
            Sent::Digest(digest) => Some(digest),
        }
    }

    /// What of a decision's record is another each time.
    fn occasion(&self, step: &Step<'_>, (seq, moment): (StatementSeq, Moment)) -> Occasion<'_> {
        Occasion {
            session: &self.draft,
            seq: seq.0,
            phase: step.phase,
            decided_at: record::micros(moment.clock),
            parameters_digest: self.parameters_digest(step),
        }
    }

    /// The record of a decision.
    pub(super) fn record(
        &self,
        step: &Step<'_>,
        seq: StatementSeq,
        statement: &Statement,
        decision: &Decision,
    ) -> DecisionRecord {
        record::of_occasion(
            &self.asked(step, seq),
            self.undated(step, statement, decision),
        )
    }

    /// The same without what is another each time.
    fn undated(&self, step: &Step<'_>, statement: &Statement, decision: &Decision) -> Undated {
        let classes = |column: &Column| self.policy.is_classed(column);
        record::decision(
            &self.bench.key,
            (step.text, self.policy.digest()),
            statement,
            decision,
            &Determining::of(&self.policy, decision, self.bench.mask_key_id.as_deref()),
            &classes,
        )
        .approved(step.approval)
    }

    /// Logs a decision of which there is a note; `None` when the record does not fit even without its text.
    pub(super) async fn log_noted(
        &self,
        step: &Step<'_>,
        (seq, moment): (StatementSeq, Moment),
        statement: &Statement,
        note: &Note,
        durability: Durability,
    ) -> Result<Option<Receipt>, Fatal> {
        let entry = || self.entry(step, (seq, moment), statement, note);
        match self.bench.log.append_entry(durability, entry).await {
            Err(Error::RecordTooLarge { .. }) => {
                let record = self.record(step, seq, statement, &note.decision);
                Box::pin(self.log_decision(record, durability)).await
            }
            outcome => outcome.map(Some).map_err(|error| self.bench.fail(&error)),
        }
    }

    /// The entry of a decision of which there is a note.
    pub(super) fn entry<'a>(
        &'a self,
        step: &Step<'_>,
        (seq, moment): (StatementSeq, Moment),
        statement: &Statement,
        note: &'a Note,
    ) -> Entry<'a> {
        let occasion = self.occasion(step, (seq, moment));
        if note.draft.get().is_none() {
            // An approval is of one statement. What comes again is recorded by itself, which makes for shorter entries.
            let is_first = step.approval.is_none() && note.alike.get().is_none();
            if is_first && let Some(alike) = self.alike(step, statement, note) {
                return Entry::Reworded(&alike.draft, &alike.wording, occasion);
            }
            let undated = self.undated(step, statement, &note.decision);
            if is_first {
                let (facts, decision) = (&statement.facts, &note.decision);
                let mut cache = self.cache.borrow_mut();
                cache.patterns.keep(&self.policy, facts, decision, &undated);
            }
            if let Ok(draft) = undated.draft() {
                // Nobody else set it meanwhile.
                let _ = note.draft.set(draft);
            }
        }
        match note.draft.get() {
            Some(draft) => Entry::Decision(draft, occasion),
            None => Record::Decision(self.record(step, seq, statement, &note.decision)).into(),
        }
    }

    /// The record of a statement that comes for the first time, where all but its wording was recorded before.
    fn alike<'a>(
        &self,
        step: &Step<'_>,
        statement: &Statement,
        note: &'a Note,
    ) -> Option<&'a Alike> {
        let (facts, decision) = (&statement.facts, &note.decision);
        let mut cache = self.cache.borrow_mut();
        let (draft, pattern) = cache.patterns.find(&self.policy, facts, decision)?;
        let wording = pattern.wording(&self.bench.key, step.text, statement);
        debug_assert!(
            {
                let anew = self.undated(step, statement, &note.decision);
                let is_same = anew.clone().reworded(&wording) == anew;
                is_same && anew.wordless().is_ok_and(|anew| anew == *draft)
            },
            "a pattern was found for a statement that is recorded otherwise"
        );
        // Nobody else set it meanwhile.
        let _ = note.alike.set(Alike { draft, wording });
        note.alike.get()
    }

    /// Logs a decision; `None` when the record does not fit even without its text.
    pub(super) async fn log_decision(
        &self,
        record: DecisionRecord,
        durability: Durability,
    ) -> Result<Option<Receipt>, Fatal> {
        let record = Record::Decision(record);
        let record = match (self.bench.log.append(&record, durability).await, record) {
            (Err(Error::RecordTooLarge { .. }), Record::Decision(record)) => {
                Record::Decision(DecisionRecord {
                    sql: None,
                    ..record
                })
            }
            (outcome, _) => return outcome.map(Some).map_err(|error| self.bench.fail(&error)),
        };
        match self.bench.log.append(&record, durability).await {
            Err(Error::RecordTooLarge { .. }) => Ok(None),
            outcome => outcome.map(Some).map_err(|error| self.bench.fail(&error)),
        }
    }

    /// Logs the refusal of a string of which at least one statement is refused, and gives the first refusal.
    pub(super) async fn refuse_all(
        &mut self,
        step: &Step<'_>,
        statements: &[Statement],
        decisions: &[Decision],
    ) -> Stop {
        let refused = (Outcome::Denied, answer::DENIED);
        match self.refuse_as(step, statements, decisions, refused).await {
            Ok(()) => {
                let mut refused = decisions.iter().filter(|decision| !is_allowed(decision));
                let reasons = refused.next().map(|decision| decision.reasons.as_slice());
                Stop::Refused(answer::denied(reasons.unwrap_or_default()))
            }
            Err(fatal) => Stop::Fatal(fatal),
        }
    }

    /// Logs that statements of which at least one is not allowed do not run: those that are not end so, the others were skipped.
    pub(super) async fn refuse_as(
        &mut self,
        step: &Step<'_>,
        statements: &[Statement],
        decisions: &[Decision],
        (outcome, sqlstate): (Outcome, &str),
    ) -> Result<(), Fatal> {
        for (statement, decision) in statements.iter().zip(decisions) {
            let outcome = if is_allowed(decision) {
                Outcome::Skipped
            } else {
                outcome
            };
            let seq = self.next();
            let record = self.record(step, seq, statement, decision);
            self.record_asked(step, seq, statement, decision).await?;
            Box::pin(self.log_refused(step, seq, record, (outcome, sqlstate))).await?;
        }
        Ok(())
    }

    /// Logs the refusal of a text that could not be analysed.
    pub(super) async fn refuse_text(&mut self, step: &Step<'_>, refusal: Refusal) -> Stop {
        let seq = self.next();
        let record = record::refusal(&self.bench.key, &self.asked(step, seq), &refusal);
        let outcome = (Outcome::Denied, refusal.sqlstate);
        match Box::pin(self.log_refused(step, seq, record, outcome)).await {
            Ok(()) => Stop::Refused(answer::refused(refusal)),
            Err(fatal) => Stop::Fatal(fatal),
        }
    }

    /// Logs a refusal that says nothing of a text.
    pub(super) async fn refuse_unread(
        &mut self,
        step: &Step<'_>,
        reason: &str,
        sqlstate: &str,
    ) -> Result<(), Fatal> {
        let seq = self.next();
        let record = record::refusal_unread(&self.bench.key, &self.asked(step, seq), reason);
        Box::pin(self.log_refused(step, seq, record, (Outcome::Denied, sqlstate))).await
    }

    /// Logs a refused statement's decision and its end. The end is what waits for the disk: the log is written in order.
    async fn log_refused(
        &self,
        step: &Step<'_>,
        seq: StatementSeq,
        record: DecisionRecord,
        (outcome, sqlstate): (Outcome, &str),
    ) -> Result<(), Fatal> {
        if self
            .log_decision(record, Durability::Process)
            .await?
            .is_none()
        {
            let small = record::refusal_unread(&self.bench.key, &self.asked(step, seq), TOO_LARGE);
            self.log_decision(small, Durability::Process).await?;
        }
        let sqlstate = (outcome != Outcome::Skipped).then_some(sqlstate);
        self.log_end(seq, (outcome, sqlstate), 0, None).await
    }

    /// The entry of a statement's end; `since`: when it was let through.
    pub(super) fn ending<'a>(
        &'a self,
        statement: StatementSeq,
        end: &'a End,
        since: Option<Instant>,
    ) -> Entry<'a> {
        let took = since.map_or(0, |since| since.elapsed().as_micros());
        Entry::End(Ending {
            session: &self.draft,
            seq: statement.0,
            ended_at: record::micros(SystemTime::now()),
            outcome: end.outcome,
            rows: end.rows,
            bytes: end.bytes,
            duration_us: u64::try_from(took).unwrap_or(u64::MAX),
            sqlstate: end.sqlstate.as_deref(),
            values_masked: &end.values_masked,
            result_digest: end.result_digest,
        })
    }

    /// What a statement's end must survive.
    pub(super) fn ends(&self) -> Durability {
        match self.bench.durable {
            Durable::Everything => Durability::Power,
            Durable::Writes => Durability::Process,
        }
    }

    /// Logs the end of a statement that no session waits for; `since`: when it began, where it ran.
    pub(super) async fn log_end(
        &self,
        seq: StatementSeq,
        (outcome, sqlstate): (Outcome, Option<&str>),
        rows: u64,
        since: Option<Instant>,
    ) -> Result<(), Fatal> {
        let took = since.map_or(0, |since| since.elapsed().as_micros());
        let end = Ending {
            session: &self.draft,
            seq: seq.0,
            ended_at: record::micros(SystemTime::now()),
            outcome,
            rows,
            bytes: 0,
            duration_us: u64::try_from(took).unwrap_or(u64::MAX),
            sqlstate,
            values_masked: &[],
            result_digest: None,
        };
        let logged = self
            .bench
            .log
            .append_entry(Durability::Power, || Entry::End(end));
        logged
            .await
            .map(drop)
            .map_err(|error| self.bench.fail(&error))
    }
}

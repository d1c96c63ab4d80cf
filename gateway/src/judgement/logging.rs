//! What a judge writes to the log: decisions, refusals with their ends.
//!
//! A record that is too large for the log must never stop the gateway, nor let its statement run unrecorded: the text is
//! left out first (its digest stays), and if that is not enough the statement is refused.

use std::time::SystemTime;

use provost_engine::{
    facts::Column,
    sql::{Refusal, Statement},
    verdict::{Decision, Verdict},
};
use provost_evidence::{
    Durability, Error, Receipt,
    record::{DecisionRecord, EndRecord, Outcome, Record},
};

use super::{SessionJudge, Step, answer};
use crate::{
    judge::{Fatal, StatementSeq, Stop},
    record::{self, Asked, Determining},
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
            parameters: step.parameters,
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
        let classes = |column: &Column| self.policy.is_classed(column);
        record::decision(
            &self.bench.key,
            &self.asked(step, seq),
            statement,
            decision,
            &Determining::of(&self.policy, decision, self.bench.mask_key_id.as_deref()),
            &classes,
        )
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
        let mut first = None;
        for (statement, decision) in statements.iter().zip(decisions) {
            let outcome = match decision.verdict {
                Verdict::Allow => Outcome::Skipped,
                Verdict::Hold | Verdict::Deny => Outcome::Denied,
            };
            let seq = self.next();
            let record = self.record(step, seq, statement, decision);
            if let Err(fatal) = self
                .log_refused(step, seq, record, (outcome, answer::DENIED))
                .await
            {
                return Stop::Fatal(fatal);
            }
            if outcome == Outcome::Denied && first.is_none() {
                first = Some(answer::denied(&decision.reasons));
            }
        }
        Stop::Refused(first.unwrap_or_else(|| answer::denied(&[])))
    }

    /// Logs the refusal of a text that could not be analysed.
    pub(super) async fn refuse_text(&mut self, step: &Step<'_>, refusal: Refusal) -> Stop {
        let seq = self.next();
        let record = record::refusal(&self.bench.key, &self.asked(step, seq), &refusal);
        match self
            .log_refused(step, seq, record, (Outcome::Denied, refusal.sqlstate))
            .await
        {
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
        self.log_refused(step, seq, record, (Outcome::Denied, sqlstate))
            .await
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
        let end = Record::End(EndRecord {
            ended_at: record::micros(SystemTime::now()),
            statement_id: self.id.statement(seq),
            outcome,
            rows: 0,
            bytes: 0,
            duration_us: 0,
            sqlstate: (outcome == Outcome::Denied).then(|| sqlstate.to_owned()),
            values_masked: Vec::new(),
            result_digest: None,
        });
        self.bench.append(&end, Durability::Power).await.map(drop)
    }
}

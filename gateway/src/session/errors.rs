//! The server's own words and settings: errors, notices, notifications, parameters.
//!
//! Must never show a mask-bound principal text that can carry values, nor let a statement that an error ended go without its end.

use provost_evidence::record::Outcome;

use super::{
    core::{Core, open_end},
    names::{Hold, PortalId},
    out::Out,
    pending::{Decided, Denied, Operation, Pending, Run, Shape, bare_end},
    refuse,
};
use crate::{
    judge::{Fatal, Judge, Refused},
    protocol::{backend, frontend::Target},
    scrub,
};

/// SQLSTATE query_canceled.
const CANCELLED: &str = "57014";

/// How a statement ended that an error ended: cut, where its time was up.
fn outcome_of(run: &Run, sqlstate: &str) -> Outcome {
    if run.clock.asked.is_some() && sqlstate == CANCELLED {
        Outcome::Cut
    } else {
        Outcome::Failed
    }
}

impl<J: Judge> Core<J> {
    pub(super) async fn error(
        &mut self,
        frame: &[u8],
        body: &[u8],
        out: &mut Out,
    ) -> Result<(), Fatal> {
        let fields = backend::error_fields(body)?;
        let sqlstate = scrub::sqlstate(&fields);
        let severity = scrub::field(&fields, b'V').or_else(|| scrub::field(&fields, b'S'));
        let ends_session = matches!(severity, Some(b"FATAL" | b"PANIC"));
        let message = scrub::field(&fields, b'M').unwrap_or_default();
        self.ended_by_server |= ends_session;
        if !ends_session {
            self.undone = true;
            let over_time = match &*sqlstate {
                CANCELLED => self
                    .failing()
                    .and_then(|run| run.clock.asked)
                    .map(refuse::over_time),
                _ => None,
            };
            let refused = self.error_ends(message, &sqlstate).await?;
            self.release_failed(out).await?;
            if self.muted {
                return Ok(());
            }
            if let Some(refused) = over_time.or(refused) {
                refuse::write_refused(&mut out.to_client, &refused);
                return Ok(());
            }
        }
        let names_stand_in = fields.iter().any(|(_, text)| self.token.is_in(text));
        if self.is_bound() || names_stand_in {
            scrub::write_scrubbed(&mut out.to_client, b'E', &fields);
        } else {
            out.to_client.extend_from_slice(frame);
        }
        Ok(())
    }

    /// The statement that an error is of: the running one, or that whose Execute comes behind what failed.
    fn failing(&mut self) -> Option<&Run> {
        let portal = match self.front()? {
            Operation::Execute { .. } | Operation::Query { .. } => {
                return self.running().map(|run| &*run);
            }
            Operation::DescribeInjected => None,
            front => Some(front.of_portal()?),
        };
        let mut operations = self.pending.iter().map(|pending| &pending.operation);
        operations.find_map(|operation| match operation {
            Operation::Execute { portal: its, run } if portal.is_none_or(|one| one == *its) => {
                Some(&**run)
            }
            _ => None,
        })
    }

    /// Ends what an error ended. Gives the refusal, where it was the error of a stand-in.
    async fn error_ends(
        &mut self,
        message: &[u8],
        sqlstate: &str,
    ) -> Result<Option<Refused>, Fatal> {
        match self.front() {
            // A commit that failed, or an error out of the blue.
            None | Some(Operation::Sync) => Ok(None),
            Some(Operation::Query { .. }) => {
                let outcome = self
                    .running()
                    .map_or(Outcome::Failed, |run| outcome_of(run, sqlstate));
                self.finish(outcome, Some(sqlstate)).await?;
                if let Some(Operation::Query { runs, .. }) = self.front() {
                    let rest = std::mem::take(runs);
                    for (statement, end) in rest
                        .iter()
                        .filter_map(|run| open_end(run, Outcome::Skipped))
                    {
                        self.judge.end(statement, end).await?;
                    }
                }
                Ok(None)
            }
            Some(Operation::Denied(Denied {
                shape: Shape::Simple,
                ..
            })) => {
                let denied = self
                    .front()
                    .map(|front| std::mem::replace(front, Operation::answered_query()));
                Ok(denied.and_then(|denied| matching(denied, message)))
            }
            Some(_) => {
                if matches!(self.front(), Some(Operation::DescribeInjected)) {
                    // To the client this is the error of the Execute that it sent.
                    self.pending.pop_front();
                }
                let portal = self.front().and_then(|front| front.of_portal());
                let failed = portal.map(|portal| (portal, sqlstate));
                let mut refused = None;
                if let Some(Pending { operation, .. }) = self.pending.pop_front() {
                    let outcome = match &operation {
                        Operation::Execute { run, .. } => outcome_of(run, sqlstate),
                        _ => Outcome::Failed,
                    };
                    refused = self
                        .unanswered(operation, outcome, Some(sqlstate), message)
                        .await?;
                }
                self.skip_to_sync(failed).await?;
                Ok(refused)
            }
        }
    }

    /// The server skips what was forwarded up to the next Sync, and what comes if there is none. `failed`: the portal that failed before
    /// its Execute came to its turn, and with what: that statement was not skipped for another's sake.
    async fn skip_to_sync(&mut self, failed: Option<(PortalId, &str)>) -> Result<(), Fatal> {
        while let Some(front) = self.pending.front() {
            if front.operation.ends_segment() {
                return Ok(());
            }
            if let Some(Pending { operation, .. }) = self.pending.pop_front() {
                let (outcome, sqlstate) = match (&operation, failed) {
                    (Operation::Execute { portal, run }, Some((failed, sqlstate)))
                        // One that goes on has shown what it has, and ended there.
                        if *portal == failed && run.rows == 0 =>
                    {
                        (outcome_of(run, sqlstate), Some(sqlstate))
                    }
                    _ => (Outcome::Skipped, None),
                };
                self.unanswered(operation, outcome, sqlstate, b"").await?;
            }
        }
        self.skipping = true;
        Ok(())
    }

    /// Ends an operation of the extended protocol that failed or was skipped.
    async fn unanswered(
        &mut self,
        operation: Operation,
        outcome: Outcome,
        sqlstate: Option<&str>,
        message: &[u8],
    ) -> Result<Option<Refused>, Fatal> {
        let sqlstate = sqlstate.map(str::to_owned);
        match operation {
            Operation::Parse { name, decided } => {
                self.names.resolve_statement(&name, false);
                if let Decided::Itself(permitted) = decided {
                    self.judge
                        .end(permitted.statement, bare_end(outcome, sqlstate))
                        .await?;
                }
            }
            Operation::Bind { name, .. } => {
                let portal = self.names.resolve_portal(&name, false);
                if let Some(Hold::Bound(permitted)) = portal.map(|portal| portal.hold) {
                    self.judge
                        .end(permitted.statement, bare_end(outcome, sqlstate))
                        .await?;
                }
            }
            Operation::Close { target, name } => match target {
                Target::Statement => self.names.resolve_statement(&name, false),
                Target::Portal => {
                    self.names.resolve_portal(&name, false);
                }
            },
            Operation::Execute { portal, run } => {
                if let Some(portal) = self.names.portal_by_id(portal) {
                    portal.hold = Hold::Ended;
                }
                if !run.ended {
                    // Skipped while it was to go on: it gave rows before, and ended there.
                    let went_on = outcome == Outcome::Skipped && run.rows > 0;
                    let outcome = if went_on { Outcome::Completed } else { outcome };
                    self.judge
                        .end(run.permitted.statement, run.end(outcome, sqlstate))
                        .await?;
                }
            }
            Operation::Denied(_) => return Ok(matching(operation, message)),
            Operation::Describe { portal } => {
                let portal = portal.and_then(|portal| self.names.portal_by_id(portal));
                if outcome == Outcome::Failed
                    && let Some(hold) = portal.map(|portal| &mut portal.hold)
                    && matches!(hold, Hold::Bound(_))
                    && let Hold::Bound(permitted) = std::mem::replace(hold, Hold::Ended)
                {
                    self.judge
                        .end(permitted.statement, bare_end(outcome, sqlstate))
                        .await?;
                }
            }
            Operation::DescribeInjected
            | Operation::Sync
            | Operation::Query { .. }
            | Operation::Look(_) => {}
        }
        Ok(None)
    }

    fn is_bound(&mut self) -> bool {
        self.bound |= self.judge.is_mask_bound();
        self.bound
    }

    pub(super) fn notice(&mut self, frame: &[u8], body: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let fields = backend::error_fields(body)?;
        if self.is_bound() || fields.iter().any(|(_, text)| self.token.is_in(text)) {
            scrub::write_scrubbed(&mut out.to_client, b'N', &fields);
        } else {
            out.to_client.extend_from_slice(frame);
        }
        Ok(())
    }

    pub(super) fn notification(
        &mut self,
        frame: &[u8],
        body: &[u8],
        out: &mut Out,
    ) -> Result<(), Fatal> {
        if self.is_bound() {
            scrub::write_notification(&mut out.to_client, body)?;
        } else {
            out.to_client.extend_from_slice(frame);
        }
        Ok(())
    }

    /// Settings under which analysis would read the text otherwise than the server, or as somebody else, end the session.
    pub(super) fn parameter_status(
        &self,
        frame: &[u8],
        body: &[u8],
        out: &mut Out,
    ) -> Result<(), Fatal> {
        let (name, value) = backend::parameter_status(body)?;
        let holds = match name {
            // The server keeps `UNICODE` as it was written, and no other name of UTF8.
            b"client_encoding" => matches!(value, b"UTF8" | b"UNICODE"),
            b"standard_conforming_strings" => value == b"on",
            b"session_authorization" => {
                self.sets_role || self.fixed.session_authorization.as_deref() == Some(value)
            }
            b"is_superuser" => self.sets_role || self.fixed.is_superuser.as_deref() == Some(value),
            _ => true,
        };
        if !holds {
            return Err(Fatal {
                sqlstate: "42501",
                message: format!(
                    "the session ends: `{}` changed, under which statements can't be analysed safely",
                    String::from_utf8_lossy(name)
                ),
            });
        }
        out.to_client.extend_from_slice(frame);
        Ok(())
    }
}

/// The refusal of a stand-in, if the error is about its name.
fn matching(operation: Operation, message: &[u8]) -> Option<Refused> {
    match operation {
        Operation::Denied(denied) if denied.missing.is_in(message) => Some(denied.refused),
        _ => None,
    }
}

//! Replication: who may have it at all, and each of its commands.
//!
//! What streams is the server's log, whole or decoded: nothing in it can be masked, counted, held or recorded row by row. Must never let
//! a command through for anybody who is bound by anything of that, nor one that the policy does not allow as something that may do
//! anything.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use provost_engine::{
    facts::CatalogVersion,
    principal::{Circumstances, Session},
    sql::{self, Refusal, Statement},
    verdict::{Decision, Reason, Recording, Verdict},
};

use super::{Bench, SessionJudge, Step, answer, notes::Noted, now, refusal::limit};
use crate::{
    judge::{Permitted, Refused, Stop},
    protocol::replication::{Text, read},
};
use provost_evidence::record::{Outcome, Phase};

/// Why nobody can say what a command does.
const UNREAD: &str = "a replication command streams what can't be looked into";
/// What would pass.
const NEEDED: &str = "it needs rules that allow everything, `opaque` too, and none that masks, holds, limits rows or bytes, or records results";
/// A command whose decision stands for any other's: they are all the same to a policy.
const ANY_COMMAND: &[u8] = b"START_REPLICATION";

/// Decides whether a principal may have a replication connection at all. The error is why not, in one line.
///
/// # Errors
/// The policy does not allow it everything, or binds it by what a stream can't carry out.
pub(crate) fn admit(
    bench: &Bench,
    session: &Arc<Session>,
    stated_reason: Option<&str>,
    version: CatalogVersion,
) -> Result<(), String> {
    let policy = bench.policy.current();
    let circumstances = Circumstances {
        stated_reason,
        ..Circumstances::default()
    };
    // The engine is pure: a panic leaves nothing of it behind.
    let decided = catch_unwind(AssertUnwindSafe(|| {
        let command = sql::replication_command(ANY_COMMAND, UNREAD, version)?;
        let view = policy.view(session, now());
        Some(policy.decide(&view, &command.facts, &circumstances))
    }));
    match decided {
        Ok(Some(decision)) => unfit(&decision).map_or(Ok(()), Err),
        Ok(None) | Err(_) => Err("internal error in evaluation".to_owned()),
    }
}

/// Why a decision does not let something stream, where it doesn't.
fn unfit(decision: &Decision) -> Option<String> {
    let limits = &decision.limits;
    let counts = [
        limits.rows,
        limits.bytes,
        limits.affected_rows,
        limits.rows_per_hour,
        limits.bytes_per_hour,
    ];
    let why = if decision.mask_bound || !decision.masks.is_empty() {
        "masks bind this principal, and a stream can't be masked".to_owned()
    } else {
        match decision.verdict {
            Verdict::Deny => decision
                .reasons
                .first()
                .map_or_else(|| "no rule allows everything".to_owned(), in_words),
            Verdict::Hold => {
                "rules hold something for approval, and a stream can't be held".to_owned()
            }
            Verdict::Allow | Verdict::BreakGlass if counts.iter().any(Option::is_some) => {
                "rules limit rows or bytes, and those of a stream can't be counted".to_owned()
            }
            Verdict::Allow | Verdict::BreakGlass if decision.recording == Recording::Results => {
                "rules record results, and a stream has none".to_owned()
            }
            Verdict::Allow | Verdict::BreakGlass => return None,
        }
    };
    Some(why)
}

fn in_words(reason: &Reason) -> String {
    match &reason.rule {
        Some(rule) => format!("rule {rule}: {}", reason.message),
        None => reason.message.to_string(),
    }
}

/// What somebody is told who may not stream.
pub(crate) fn refused_because(why: &str) -> String {
    format!("replication is denied by policy: {why}; {NEEDED}")
}

impl SessionJudge {
    /// The judge of a session that replicates, with the principal's sessions as they would be on other targets of the same server.
    pub(crate) fn with_neighbours(self, neighbours: Vec<Arc<Session>>) -> Self {
        Self { neighbours, ..self }
    }

    /// Decides a command as something that may do anything.
    pub(super) async fn judge_replication(&mut self, text: &[u8]) -> Result<Permitted, Stop> {
        let step = Step::bare(Phase::Simple, text);
        let command = match self.replication_command(text) {
            Ok(command) => command,
            Err(refusal) => return Err(self.refuse_text(&step, refusal).await),
        };
        let commands = Noted::new(Arc::from([command]));
        if let Some((decision, why)) = self.unfit_command(&step, &commands) {
            let denied = (Outcome::Denied, answer::DENIED);
            self.refuse_as(&step, &commands, &[decision], denied)
                .await?;
            return Err(Stop::Refused(refused(&why)));
        }
        let mut permitted = self.judge(&step, &commands).await?;
        match (permitted.pop(), permitted.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(Stop::Refused(answer::denied(&[]))),
        }
    }

    fn replication_command(&self, text: &[u8]) -> Result<Statement, Refusal> {
        let max = self.bench.statement_bytes_max;
        if text.len() > max {
            let message = format!("a replication command has more than {max} bytes");
            return Err(limit(message, "name fewer options"));
        }
        if read(text) == Text::Sql {
            return Err(no_sql());
        }
        let version = self.loaded().catalog.version();
        // The engine is pure: a panic leaves nothing of it behind.
        let read = || sql::replication_command(text, UNREAD, version);
        catch_unwind(AssertUnwindSafe(read))
            .ok()
            .flatten()
            .ok_or_else(|| {
                let message = "a replication command that can't be read".to_owned();
                limit(message, "send it in UTF-8, and shorter")
            })
    }

    /// Why a command may not stream, with the denial that says so; `None`: it may, here and on the server's other targets.
    fn unfit_command(&self, step: &Step<'_>, commands: &[Statement]) -> Option<(Decision, String)> {
        let (mut decisions, _) = self.decide_all(step, commands);
        let decision = decisions.pop()?;
        let version = self.loaded().catalog.version();
        let beside = || {
            self.neighbours.iter().find_map(|neighbour| {
                let why = admit(&self.bench, neighbour, self.stated.reason(), version).err()?;
                Some(format!(
                    "on target {} of the same server, {why}",
                    neighbour.target
                ))
            })
        };
        let why = unfit(&decision).or_else(beside)?;
        let reasons = match decision.verdict {
            Verdict::Deny => decision.reasons,
            Verdict::Allow | Verdict::BreakGlass | Verdict::Hold => vec![Reason {
                rule: None,
                message: why.as_str().into(),
                hint: None,
            }],
        };
        let denial = Decision {
            verdict: Verdict::Deny,
            reasons,
            ..decision
        };
        Some((denial, why))
    }
}

fn refused(why: &str) -> Refused {
    Refused {
        sqlstate: answer::DENIED,
        message: format!("replication is denied by policy: {why}"),
        detail: None,
        hint: Some(NEEDED.to_owned()),
        position: None,
    }
}

/// In a server's own words.
fn no_sql() -> Refusal {
    Refusal {
        sqlstate: "0A000",
        message: "cannot execute SQL commands in WAL sender for physical replication".to_owned(),
        detail: None,
        hint: Some("connect without `replication`, or with `replication=database`".to_owned()),
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}

#[cfg(test)]
mod tests {
    use provost_engine::verdict::{Decision, Limits, Reason, Recording, Verdict};

    use super::unfit;

    /// A decision that lets everything through, changed.
    fn check(change: impl FnOnce(&mut Decision), expected: Option<&str>) {
        let mut decision = Decision {
            verdict: Verdict::Allow,
            ..Decision::deny(Vec::new(), false)
        };
        change(&mut decision);
        let why = unfit(&decision);
        match (&why, expected) {
            (None, None) => {}
            (Some(why), Some(expected)) if why.contains(expected) => {}
            _ => panic!("{why:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn what_a_stream_can_not_carry_out_is_refused() {
        check(|_| {}, None);
        check(|decision| decision.verdict = Verdict::BreakGlass, None);
        check(|decision| decision.recording = Recording::Digest, None);
        check(|decision| decision.limits.time_ms = Some(1), None);
        check(|decision| decision.mask_bound = true, Some("masks"));
        check(|decision| decision.verdict = Verdict::Hold, Some("hold"));
        check(
            |decision| decision.verdict = Verdict::Deny,
            Some("no rule allows everything"),
        );
        check(
            |decision| {
                decision.verdict = Verdict::Deny;
                decision.reasons = vec![Reason {
                    rule: Some("never".into()),
                    message: "not here".into(),
                    hint: None,
                }];
            },
            Some("rule never: not here"),
        );
        check(
            |decision| decision.recording = Recording::Results,
            Some("record results"),
        );
        let limits: [fn(&mut Limits) -> &mut Option<u64>; 5] = [
            |limits| &mut limits.rows,
            |limits| &mut limits.bytes,
            |limits| &mut limits.affected_rows,
            |limits| &mut limits.rows_per_hour,
            |limits| &mut limits.bytes_per_hour,
        ];
        for limit in limits {
            check(
                |decision| *limit(&mut decision.limits) = Some(1),
                Some("limit rows or bytes"),
            );
        }
    }
}

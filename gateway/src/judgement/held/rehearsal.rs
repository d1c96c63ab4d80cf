//! What can be said of a statement before it runs: the rows that the planner expects, for rules and for whoever is asked to approve it,
//! and, where one of them asks, those that it changes in a transaction that is rolled back (rulings 7 and 17).
//!
//! Must never run what could have an effect outside of that transaction, nor anything without a record and a permit of its own; never over
//! the session's own connection; and never show anything but a number.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use provost_engine::{
    facts::Kind,
    sql::Statement,
    verdict::{Decision, Reason, Verdict},
};
use provost_evidence::{
    Durability,
    approvals::{Request, Rows},
    record::{ASKS_FOR_RULE, Outcome},
};
use tokio::time::timeout;

use super::{
    super::{
        Sent, SessionJudge, Step,
        obligations::{Company, is_counted, may_change_rows, unenforced},
    },
    plan::{changed_rows, planned_rows},
    reach::{Why, uncounted},
};
use crate::{
    judge::Fatal,
    look::{PATH_QUESTION, PathAnswer},
    permit::Permit,
    upstream::{self, Server, Tried, one_text},
};

/// What stands before a statement whose estimate is asked for.
const EXPLAIN: &str = "EXPLAIN (FORMAT JSON) ";
/// The transaction of an estimate.
const ESTIMATE_BEGIN: &str =
    "BEGIN READ ONLY; SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '500ms'";
/// The transaction of a dry run.
const DRY_RUN_BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '2s'; \
     SET LOCAL idle_in_transaction_session_timeout = '20s'";
/// The only end of either.
const END: &str = "ROLLBACK";
/// How long an estimate may take, connecting included; then there is none.
const ESTIMATE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a dry run may take, connecting included; then there is none.
const DRY_RUN_TIMEOUT: Duration = Duration::from_secs(20);

/// What is done to learn of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// The planner is asked, for whoever is asked to approve.
    Estimate,
    /// The planner is asked, for a rule.
    Condition,
    /// It is run and rolled back.
    DryRun,
}

impl Trial {
    const fn begin(self) -> &'static str {
        match self {
            Self::Estimate | Self::Condition => ESTIMATE_BEGIN,
            Self::DryRun => DRY_RUN_BEGIN,
        }
    }

    const fn timeout(self) -> Duration {
        match self {
            Self::Estimate | Self::Condition => ESTIMATE_TIMEOUT,
            Self::DryRun => DRY_RUN_TIMEOUT,
        }
    }

    /// What evidence says of it.
    const fn reason(self) -> &'static str {
        match self {
            Self::Estimate => {
                "the planner is asked how many rows it expects, for whoever is asked to approve"
            }
            Self::Condition => ASKS_FOR_RULE,
            Self::DryRun => {
                "a dry run that somebody who is asked to approve asked for: it is rolled back"
            }
        }
    }
}

impl SessionJudge {
    /// How many rows the planner expects the held text to change or to give; what it said for a rule, where one asked.
    pub(super) async fn estimate(
        &mut self,
        step: &Step<'_>,
        (statements, decisions): (&[Statement], &[Decision]),
        request: &Request,
    ) -> Result<Rows, Fatal> {
        if let Some(estimate) = step.estimate {
            return Ok(estimate.clone());
        }
        let trial = (Trial::Estimate, Some(request.id.as_str()));
        let asked = self.expected_rows(step, (statements, decisions), trial);
        Ok(rows(asked.await?))
    }

    /// The same for a rule, before anything is decided.
    pub(in crate::judgement) async fn estimate_for_rules(
        &mut self,
        step: &Step<'_>,
        told: (&[Statement], &[Decision]),
    ) -> Result<Rows, Fatal> {
        if let Some(why) = self.tells_of_masked(told.0) {
            return Ok(Rows::Unknown { why });
        }
        let asked = self.expected_rows(step, told, (Trial::Condition, None));
        Ok(rows(asked.await?))
    }

    async fn expected_rows(
        &mut self,
        step: &Step<'_>,
        (statements, decisions): (&[Statement], &[Decision]),
        trial: (Trial, Option<&str>),
    ) -> Result<Result<u64, Why>, Fatal> {
        let facts = match self.triable(statements) {
            Ok(statement) => &statement.facts,
            Err(why) => return Ok(Err(why)),
        };
        if may_change_rows(facts) && !is_counted(facts) {
            return Ok(Err(uncounted()));
        }
        let text = [EXPLAIN.as_bytes(), step.text].concat();
        let step = Step {
            text: &text,
            memory: None,
            ..*step
        };
        let is_change = facts.kind != Kind::Select;
        // What is sent is what is analysed (P3).
        let Ok(explained) = self.analyse_once(&step).await else {
            return Ok(Err("the planner can't be asked about it".to_owned()));
        };
        let statement = match self.triable(&explained) {
            Ok(statement) if statement.facts.kind == Kind::Explain => statement,
            Ok(_) => return Ok(Err("the planner can't be asked about it".to_owned())),
            Err(why) => return Ok(Err(why)),
        };
        let told = (statement, decisions.first());
        let answer = self.try_out(trial, &step, told).await?;
        Ok(answer.and_then(|(answer, _)| {
            let plan = answer.value.unwrap_or_default();
            planned_rows(&plan, is_change)
                .ok_or_else(|| "the server's plan is of a form that is not known".to_owned())
        }))
    }

    /// Tries the held text, for whoever asked for it.
    pub(super) async fn dry_run(
        &mut self,
        step: &Step<'_>,
        (statements, decisions): (&[Statement], &[Decision]),
        request: &Request,
    ) -> Result<(), Fatal> {
        let tried = match self.runnable(statements) {
            Err(why) => Err(why),
            Ok(statement) => {
                let told = (statement, decisions.first());
                let trial = (Trial::DryRun, Some(request.id.as_str()));
                let answer = self.try_out(trial, step, told).await?;
                answer.and_then(|(answer, id)| {
                    let count = changed_rows(&answer.tag);
                    let count = count.ok_or_else(|| "the server told no number".to_owned())?;
                    Ok((count, id))
                })
            }
        };
        let (count, id) = match tried {
            Ok((count, id)) => (Ok(count), Some(id)),
            Err(why) => (Err(why), None),
        };
        let approvals = Arc::clone(&self.bench.approvals);
        match approvals.dry_run_made(request, (rows(count), id)).await {
            Ok(()) => Ok(()),
            // A log that failed is fatal; what the store does not take, nobody is shown.
            Err(error) => self.unasked(error).map(drop),
        }
    }

    /// Limits an approved statement to twice the rows that whoever approved it was shown; gives why that can't be carried out.
    pub(in crate::judgement) fn limit_to_shown(
        &self,
        request: &Request,
        statements: &[Statement],
        decisions: &mut [Decision],
    ) -> Option<Reason> {
        let (case, _) = self.bench.approvals.show(&request.id)?;
        let max = case.rows_max()?;
        let ([statement], [decision]) = (statements, decisions) else {
            // Of several, nobody was shown a number.
            return None;
        };
        let of_rules = decision.limits.affected_rows;
        decision.limits.affected_rows = Some(of_rules.map_or(max, |limit| limit.min(max)));
        unenforced(decision, &statement.facts, Company::Alone)
    }

    /// Sends it as a statement of its own: recorded, with the approval that it is for, permitted, rolled back, ended. Gives the answer and
    /// the statement's id.
    async fn try_out(
        &mut self,
        (trial, approval): (Trial, Option<&str>),
        step: &Step<'_>,
        (statement, held): (&Statement, Option<&Decision>),
    ) -> Result<Result<(upstream::Answer, String), Why>, Fatal> {
        let Ok(text) = std::str::from_utf8(step.text) else {
            return Ok(Err("its text is no UTF-8".to_owned()));
        };
        let values = match step.parameters {
            Sent::Nothing => None,
            Sent::Raw(raw) => Some(raw),
            Sent::Digest(_) => return Ok(Err("its values are not kept".to_owned())),
        };
        let asked = Tried {
            text,
            types: step.types,
            values,
        };
        let (since, limit) = (Instant::now(), trial.timeout());
        let path = step.path.unwrap_or_else(|| self.sight.path());
        let begun = timeout(limit, self.beside(trial.begin(), path)).await;
        let mut server = match begun.unwrap_or_else(|_| Err(too_long())) {
            Ok(server) => server,
            Err(why) => return Ok(Err(why)),
        };
        // What names mean may have changed since they were looked up.
        if !self.is_unchanged(std::slice::from_ref(statement)).await {
            return Ok(Err("the catalog changed meanwhile".to_owned()));
        }
        let seq = self.next();
        let decision = Decision {
            verdict: Verdict::Allow,
            rules: held.map(|held| held.rules.clone()).unwrap_or_default(),
            ..self.deny_with(vec![Reason {
                rule: None,
                message: trial.reason().into(),
                hint: None,
            }])
        };
        let step = Step { approval, ..*step };
        let record = self.record(&step, seq, statement, &decision);
        let Some(receipt) = self.log_decision(record, Durability::Power).await? else {
            return Ok(Err("its record is too large for the log".to_owned()));
        };
        let permit = Permit::from(receipt);
        let left = limit.saturating_sub(since.elapsed());
        let tried = timeout(left, async {
            let answer = server.run(&permit, asked).await?;
            server.command(END).await?;
            Ok(answer)
        });
        let tried = tried
            .await
            .map_err(|_| None)
            .and_then(|tried| tried.map_err(Some));
        // Whatever it is in the midst of, its server rolls back.
        drop(server);
        let (outcome, rows, sqlstate) = match &tried {
            Ok(answer) => (
                Outcome::Completed,
                changed_rows(&answer.tag).unwrap_or(0),
                None,
            ),
            Err(Some(upstream::Error::Refused { sqlstate, .. })) => {
                (Outcome::Failed, 0, Some(sqlstate.as_str()))
            }
            Err(_) => (Outcome::Failed, 0, None),
        };
        self.log_end(seq, (outcome, sqlstate), rows, Some(since))
            .await?;
        let id = self.id.statement(seq);
        Ok(tried.map(|answer| (answer, id)).map_err(failure))
    }

    /// A connection like the session's, in a transaction.
    async fn beside(&self, begin: &'static str, path: &[Arc<str>]) -> Result<Server, Why> {
        let aside = &self.people.aside;
        let failed = |error: upstream::Error| failure(Some(error));
        let connected = aside.upstream.connect_now(&aside.parameters).await;
        let mut server = connected.map_err(failed)?;
        let told = one_text(&mut server, PATH_QUESTION).await.map_err(failed)?;
        let told = PathAnswer::from_json(&told.unwrap_or_default());
        let told = told.ok_or_else(|| "a second connection says nothing of itself".to_owned())?;
        let catalog = self.everybodys();
        let is_like = aside.badge.clone().worn(&told).is_ok() && {
            let found = told.search_path(|name| catalog.catalog.has_schema(name));
            *found.effective == *path
        };
        if !is_like {
            return Err("a second connection is not like its session's".to_owned());
        }
        server.command(begin).await.map_err(failed)?;
        Ok(server)
    }
}

fn rows(count: Result<u64, Why>) -> Rows {
    count.map_or_else(|why| Rows::Unknown { why }, Rows::Count)
}

fn too_long() -> Why {
    "it took too long".to_owned()
}

/// Why there is no answer: never in the server's words, which may carry values.
fn failure(error: Option<upstream::Error>) -> Why {
    match error {
        None => too_long(),
        Some(upstream::Error::Refused { sqlstate, .. }) => match sqlstate.as_str() {
            "57014" | "55P03" => too_long(),
            _ => format!("the server refused it ({sqlstate})"),
        },
        Some(_) => "the server could not be asked".to_owned(),
    }
}

//! What can be said of a held statement before it runs: the rows that the planner expects, and, where somebody asks for it, those that
//! it changes in a transaction that is rolled back (rulings 7 and 17).
//!
//! Must never run what could have an effect outside of that transaction, nor anything without a record and a permit of its own; never over
//! the session's own connection; and never show anything but a number.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use provost_engine::{
    catalog::{Attribute, RelationKind},
    facts::{Access, Facts, Kind, Object, Operation},
    sql::{self, Statement},
    verdict::{Decision, Reason, Verdict},
};
use provost_evidence::{
    Durability,
    approvals::{Request, Rows},
    record::Outcome,
};
use tokio::time::timeout;

use super::super::{
    Sent, SessionJudge, Step,
    obligations::{Company, is_counted, may_change_rows, unenforced},
};
use crate::{
    judge::{Alone, Fatal},
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

/// Why there is no number, in words.
type Why = String;

/// What is done to learn of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// The planner is asked.
    Estimate,
    /// It is run and rolled back.
    DryRun,
}

impl Trial {
    const fn begin(self) -> &'static str {
        match self {
            Self::Estimate => ESTIMATE_BEGIN,
            Self::DryRun => DRY_RUN_BEGIN,
        }
    }

    const fn timeout(self) -> Duration {
        match self {
            Self::Estimate => ESTIMATE_TIMEOUT,
            Self::DryRun => DRY_RUN_TIMEOUT,
        }
    }

    /// What evidence says of it.
    const fn reason(self) -> &'static str {
        match self {
            Self::Estimate => {
                "the planner is asked how many rows it expects, for whoever is asked to approve"
            }
            Self::DryRun => {
                "a dry run that somebody who is asked to approve asked for: it is rolled back"
            }
        }
    }
}

impl SessionJudge {
    /// How many rows the planner expects the held text to change or to give.
    pub(super) async fn estimate(
        &mut self,
        step: &Step<'_>,
        (statements, decisions): (&[Statement], &[Decision]),
        request: &Request,
    ) -> Result<Option<Rows>, Fatal> {
        let asked = self.expected_rows(step, (statements, decisions), request);
        Ok(Some(rows(asked.await?)))
    }

    async fn expected_rows(
        &mut self,
        step: &Step<'_>,
        (statements, decisions): (&[Statement], &[Decision]),
        request: &Request,
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
        let answer = self.try_out(Trial::Estimate, &step, told, request).await?;
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
                let answer = self.try_out(Trial::DryRun, step, told, request).await?;
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

    /// The one statement of the text, if nothing it does or calls reaches beyond its transaction even when it is only planned.
    fn triable<'a>(&self, statements: &'a [Statement]) -> Result<&'a Statement, Why> {
        let [statement] = statements else {
            return Err("it is a text of several statements".to_owned());
        };
        if self.people.settings_changed > 0 {
            return Err("its session may have changed settings that it hangs on".to_owned());
        }
        if self.sight.is_special() {
            return Err("its session sees objects of its own".to_owned());
        }
        match beyond(&statement.facts).or_else(|| self.foreign(&statement.facts)) {
            Some(why) => Err(why),
            None => Ok(statement),
        }
    }

    /// The one statement, if it may be run and rolled back.
    fn runnable<'a>(&self, statements: &'a [Statement]) -> Result<&'a Statement, Why> {
        let statement = self.triable(statements)?;
        let facts = &statement.facts;
        if self.status != b'I' || self.people.alone == Alone::InSegment {
            return Err("its session's transaction is open, and nobody else sees it".to_owned());
        }
        if !matches!(
            facts.kind,
            Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge
        ) {
            return Err("it is no INSERT, UPDATE, DELETE or MERGE".to_owned());
        }
        if !is_counted(facts) {
            return Err(uncounted());
        }
        match self.numbered(facts) {
            Some(why) => Err(why),
            None => Ok(statement),
        }
    }

    /// A foreign table that it reaches, whose server does what it does.
    fn foreign(&self, facts: &Facts) -> Option<Why> {
        let catalog = &self.loaded().catalog;
        let mut reached = facts.accesses.iter().filter_map(relation);
        let found = reached.find_map(|(oid, _)| {
            let own = catalog.relation(oid).cloned();
            let mut all = own.into_iter().chain(catalog.descendants(oid));
            all.find(|one| one.kind == RelationKind::Foreign)
        })?;
        Some(format!(
            "it touches the foreign table {}.{}",
            found.schema, found.name
        ))
    }

    /// A sequence that it may take numbers from, or the table of one: no rollback gives them back.
    fn numbered(&self, facts: &Facts) -> Option<Why> {
        let catalog = &self.loaded().catalog;
        let mut written = facts.accesses.iter().filter_map(relation);
        let found = written.find_map(|(oid, operation)| {
            let relation = catalog.relation(oid)?;
            let is_set = |name: &str| {
                let mut writes = facts.writes.iter().map(|write| &write.column);
                writes.any(|column| column.relation_oid == oid && *column.name == *name)
            };
            let mut numbered = relation.attributes.iter().filter(|one| is_numbered(one));
            let takes = match operation {
                Operation::Read | Operation::Lock => false,
                _ if relation.kind == RelationKind::Sequence => true,
                Operation::Insert => numbered.next().is_some(),
                // To its default.
                Operation::Update => numbered.any(|one| is_set(&one.name)),
                _ => false,
            };
            takes.then(|| Arc::clone(relation))
        })?;
        Some(format!(
            "it may take numbers from a sequence of {}.{}",
            found.schema, found.name
        ))
    }

    /// Sends it as a statement of its own: recorded, permitted, rolled back, ended. Gives the answer and the statement's id.
    async fn try_out(
        &mut self,
        trial: Trial,
        step: &Step<'_>,
        (statement, held): (&Statement, Option<&Decision>),
        request: &Request,
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
        let step = Step {
            approval: Some(request.id.as_str()),
            ..*step
        };
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

fn uncounted() -> Why {
    "the server does not count all that it changes".to_owned()
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

/// What of it could reach beyond its transaction.
fn beyond(facts: &Facts) -> Option<Why> {
    if sql::is_unbounded(facts) {
        return Some("what it does can't be told".to_owned());
    }
    if let Some(opaque) = facts.opaque.first() {
        let (subject, reason) = (&opaque.subject, &opaque.reason);
        return Some(format!("what it does can't be told: {subject}: {reason}"));
    }
    let is_plain = |access: &&Access| {
        matches!(
            access.operation,
            Operation::Read | Operation::Insert | Operation::Update | Operation::Delete
        ) || access.operation == Operation::Lock
    };
    let other = facts.accesses.iter().find(|access| !is_plain(access))?;
    Some(match (&other.object, other.operation) {
        (Object::Function { schema, name }, Operation::Call) => {
            format!("it calls {schema}.{name}(), which may do more than compute")
        }
        (_, operation) => format!("it is more than a change of rows: {}", operation.name()),
    })
}

/// Whether a column's default is a sequence's next number.
fn is_numbered(attribute: &Attribute) -> bool {
    let default = attribute.default.as_deref().unwrap_or_default();
    attribute.identity || default.contains("nextval")
}

fn relation(access: &Access) -> Option<(u32, Operation)> {
    match access.object {
        Object::Relation { oid, .. } => Some((oid, access.operation)),
        Object::Function { .. }
        | Object::Setting(_)
        | Object::Channel(_)
        | Object::Other { .. }
        | Object::Nothing => None,
    }
}

/// The rows of `UPDATE 3`, `INSERT 0 3`.
fn changed_rows(tag: &str) -> Option<u64> {
    let is_change = ["INSERT ", "UPDATE ", "DELETE ", "MERGE "]
        .iter()
        .any(|command| tag.starts_with(command));
    let count = tag.rsplit(' ').next().filter(|_| is_change)?;
    count.parse().ok()
}

/// The rows that a plan gives, or changes.
///
/// # Source
/// PostgreSQL manual, "EXPLAIN": the plan is an array of one object; a ModifyTable itself gives the rows of RETURNING, what is beneath it
/// those that it changes.
fn planned_rows(json: &[u8], is_change: bool) -> Option<u64> {
    let plans: serde_json::Value = serde_json::from_slice(json).ok()?;
    let plan = plans.get(0)?.get("Plan")?;
    let is_modify = plan.get("Node Type")? == "ModifyTable";
    match (is_change, is_modify) {
        (false, false) => plan_rows(plan),
        (true, true) => {
            let beneath = plan.get("Plans")?.as_array()?.iter();
            let changed = beneath.filter(|one| {
                let relationship = one.get("Parent Relationship");
                relationship.is_some_and(|name| name == "Outer" || name == "Member")
            });
            changed.map(plan_rows).try_fold(0_u64, |sum, rows| {
                let rows = rows?;
                Some(sum.saturating_add(rows))
            })
        }
        (true, false) | (false, true) => None,
    }
}

fn plan_rows(plan: &serde_json::Value) -> Option<u64> {
    let rows = plan.get("Plan Rows")?;
    // More than 64 bits hold, a planner may well expect.
    let beyond = || rows.is_f64().then_some(u64::MAX);
    rows.as_u64().or_else(beyond)
}

#[cfg(test)]
mod tests {
    use super::{changed_rows, planned_rows};

    #[test]
    fn tags_are_read() {
        for (tag, expected) in [
            ("UPDATE 3", Some(3)),
            ("INSERT 0 12", Some(12)),
            ("DELETE 0", Some(0)),
            ("MERGE 7", Some(7)),
            ("EXPLAIN", None),
            ("SELECT 4", None),
            ("UPDATE", None),
            ("UPDATE x", None),
            ("", None),
        ] {
            assert_eq!(changed_rows(tag), expected, "{tag}");
        }
    }

    fn check(plan: &str, is_change: bool, expected: Option<u64>) {
        let json = format!(r#"[{{"Plan": {plan}}}]"#);
        let found = planned_rows(json.as_bytes(), is_change);
        assert_eq!(found, expected, "{plan}");
    }

    #[test]
    fn plans_are_read() {
        check(
            r#"{"Node Type": "Seq Scan", "Plan Rows": 9}"#,
            false,
            Some(9),
        );
        check(r#"{"Node Type": "Seq Scan", "Plan Rows": 9}"#, true, None);
        check(
            r#"{"Node Type": "Seq Scan", "Plan Rows": 100000000000000000000000}"#,
            false,
            Some(u64::MAX),
        );
        let modify = r#"{"Node Type": "ModifyTable", "Plan Rows": 0, "Plans": [
            {"Parent Relationship": "InitPlan", "Node Type": "Result", "Plan Rows": 5},
            {"Parent Relationship": "Outer", "Node Type": "Seq Scan", "Plan Rows": 40},
            {"Parent Relationship": "Member", "Node Type": "Seq Scan", "Plan Rows": 2}]}"#;
        check(modify, true, Some(42));
        check(modify, false, None);
        check(
            r#"{"Node Type": "ModifyTable", "Plan Rows": 0}"#,
            true,
            None,
        );
        check(
            r#"{"Node Type": "Seq Scan", "Plan Rows": "many"}"#,
            false,
            None,
        );
        assert_eq!(planned_rows(b"[]", false), None);
        assert_eq!(planned_rows(b"QUERY PLAN", false), None);
    }
}

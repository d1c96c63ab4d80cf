//! `provost replay --against`: recorded statements run again in a sandbox database, and what differs. Must never commit unless `--sandbox`
//! says so, nor pass over a statement in silence.

use std::collections::HashMap;

use object_store::ObjectStore;
use provost_engine::sql::{Chain, TransactionEffect, transaction_effect};
use provost_evidence::replay::{
    Answer, Answered, Asked, ReplayKey, StatementMoment, Story, answer,
};
use provost_gateway::upstream::sandbox::{Ran, Sandbox, Sent};
use serde_json::{Value, json};

use super::{
    super::{catalog, schema::on_large_stack},
    again::{input, keys, statements},
    compare::{Outcome, compare, timing},
    told::plain,
};
use crate::{
    cli,
    error::{Error, Exit},
    output::{Shape, Tone, complain, line, toned},
};

/// SQLSTATE in_failed_sql_transaction.
const IN_FAILED_TRANSACTION: &str = "25P02";
/// Why a command of two phases is not run where nothing is committed.
const TWO_PHASE: &str = "a prepared transaction outlives the replay: what it did is undone";
/// Opens the transaction that holds everything. Its deferred constraint is broken from the start: no COMMIT can succeed, whatever sends
/// it, and a transaction that has used a temporary table can't be prepared.
const GUARD: [&str; 3] = [
    "BEGIN",
    "CREATE TEMPORARY TABLE provost_replay_guard (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    "INSERT INTO pg_temp.provost_replay_guard VALUES (1), (1)",
];
/// A recorded transaction within it.
const TRANSACTION: Marks = Marks {
    begin: "SAVEPOINT provost_replay_transaction",
    keep: "RELEASE SAVEPOINT provost_replay_transaction",
    undo: "ROLLBACK TO SAVEPOINT provost_replay_transaction",
};
/// A statement outside of recorded transactions.
const STATEMENT: Marks = Marks {
    begin: "SAVEPOINT provost_replay_statement",
    keep: "RELEASE SAVEPOINT provost_replay_statement",
    undo: "ROLLBACK TO SAVEPOINT provost_replay_statement",
};

/// A savepoint's commands.
struct Marks {
    begin: &'static str,
    keep: &'static str,
    undo: &'static str,
}

/// What is recorded of a session.
pub(super) struct Recorded<'a> {
    story: &'a Story,
    asked: HashMap<&'a str, &'a Asked>,
    answered: HashMap<&'a str, Vec<&'a Answered>>,
}

impl<'a> Recorded<'a> {
    /// Puts together what is of one statement; `answered` is in the order of parts.
    pub(super) fn new(story: &'a Story, asked: &'a [Asked], answered: &'a [Answered]) -> Self {
        let mut parts: HashMap<&str, Vec<&Answered>> = HashMap::new();
        for part in answered {
            parts.entry(&part.statement_id).or_default().push(part);
        }
        let asked = asked.iter().map(|one| (one.statement_id.as_str(), one));
        Self {
            story,
            asked: asked.collect(),
            answered: parts,
        }
    }
}

/// What came of a statement.
enum Told {
    /// It had not run, for the reason.
    Skipped(String),
    /// It can't be run again, for the reason.
    NotRun(String),
    /// It ran.
    Ran(Outcome, Ran),
}

/// What becomes of what statements change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changes {
    RolledBack,
    Committed,
}

/// What becomes of a recorded transaction within the one that holds everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Kept,
    Undone,
}

/// A sandbox with what was begun in it.
struct Again {
    sandbox: Sandbox,
    changes: Changes,
    /// A recorded transaction is open within the one that holds everything.
    is_within: bool,
}

/// Runs a session's statements again.
///
/// # Errors
/// [`Error::Option`], [`Error::Sandbox`], [`Error::Guard`], [`Error::Escaped`]; [`Error::Told`] where something differs.
pub(super) async fn run(
    store: &dyn ObjectStore,
    recorded: &Recorded<'_>,
    (url, command): (&str, &cli::Replay),
) -> Result<(), Error> {
    let keys = keys(&command.key)?;
    let target = catalog::of_url("--against", url, command.tls_roots.as_deref())?;
    let mut again = Again {
        sandbox: Sandbox::open(target).await.map_err(Error::sandbox)?,
        changes: match command.sandbox {
            true => Changes::Committed,
            false => Changes::RolledBack,
        },
        is_within: false,
    };
    if again.changes == Changes::RolledBack {
        for one in GUARD {
            again.command(one).await?;
        }
    }
    let shape = Shape::of(command.json);
    let mut counts = Counts::default();
    for statement in statements(recorded.story) {
        let told = again.one(store, recorded, statement, &keys).await?;
        counts.add(&told);
        match shape {
            Shape::Text => line(&words(statement, &told)),
            Shape::Json => line(&as_json(statement, &told).to_string()),
        }
    }
    again.sandbox.leave().await;
    if shape == Shape::Text {
        line(&counts.words(again.changes));
    }
    if recorded.story.is_cut {
        complain("the session is longer than what was run");
    }
    match counts.differ + counts.not_compared + u64::from(recorded.story.is_cut) {
        0 => Ok(()),
        _ => Err(Error::Told(Exit::Failed)),
    }
}

impl Again {
    async fn one(
        &mut self,
        store: &dyn ObjectStore,
        recorded: &Recorded<'_>,
        statement: &StatementMoment,
        keys: &[ReplayKey],
    ) -> Result<Told, Error> {
        if statement.is_gateways_own() {
            let why = "the gateway's own, about another statement";
            return Ok(Told::Skipped(why.to_owned()));
        }
        match statement.outcome.as_str() {
            // In the sandbox its transaction may not have failed: what failed there may be what policy denied.
            "failed" if statement.sqlstate.as_deref() == Some(IN_FAILED_TRANSACTION) => {
                let why = "its transaction had failed, and it did not run";
                return Ok(Told::Skipped(why.to_owned()));
            }
            "completed" | "failed" => {}
            outcome @ ("denied" | "withdrawn" | "skipped") => {
                return Ok(Told::Skipped(format!("it was {outcome}, and did not run")));
            }
            other => {
                let why = format!("its end is not known whole: {}", plain(other));
                return Ok(Told::NotRun(why));
            }
        }
        let id = statement.statement_id.as_str();
        let kind = statement.kind.as_deref().unwrap_or_default();
        // A transaction's end is never refused, so no rule records it; its text holds no values.
        if let ("commit" | "rollback", false, Some(text)) =
            (kind, recorded.asked.contains_key(id), &statement.sql)
        {
            let effect = effect(text)?;
            if !matches!(
                effect,
                Some(TransactionEffect::Commits(_) | TransactionEffect::RollsBack(_))
            ) {
                return Ok(Told::NotRun(format!("its text is no {}", plain(kind))));
            }
            let sent = Sent {
                text,
                ..Sent::default()
            };
            return self.told(statement, None, (&[], sent)).await;
        }
        let input = match input(recorded.asked.get(id).copied(), statement, keys) {
            Ok(input) => input,
            Err(why) => return Ok(Told::NotRun(why)),
        };
        let answer = match recorded.answered.get(id) {
            Some(parts) if statement.outcome == "completed" => match answer(store, parts).await? {
                Ok(answer) => Some(answer),
                Err(why) => return Ok(Told::NotRun(why.to_string())),
            },
            _ => None,
        };
        let values = input.parameters();
        if input.lacks_parameters || values.is_none() && input.parameters.is_some() {
            return Ok(Told::NotRun("its values are not recorded".to_owned()));
        }
        let formats = formats(answer.as_ref());
        let sent = Sent {
            text: &input.text,
            types: &input.parameter_types,
            values: values.as_deref(),
            formats: &formats,
        };
        self.told(statement, answer.as_ref(), (&input.search_path, sent))
            .await
    }

    /// Runs a statement as it was run, or as it is run where nothing is committed, and compares.
    async fn told(
        &mut self,
        statement: &StatementMoment,
        answer: Option<&Answer>,
        (path, sent): (&[String], Sent<'_>),
    ) -> Result<Told, Error> {
        // What the row calls its kind is not what a server goes by.
        let Some(effect) = effect(sent.text)? else {
            let why = "its text can't be read as one statement";
            return Ok(Told::NotRun(why.to_owned()));
        };
        Ok(match self.send(effect, path, sent).await? {
            Some(ran) => Told::Ran(compare(statement, answer, &ran), ran),
            None => Told::NotRun(TWO_PHASE.to_owned()),
        })
    }

    /// `None`: it can't be run where nothing is committed.
    async fn send(
        &mut self,
        effect: TransactionEffect,
        path: &[String],
        sent: Sent<'_>,
    ) -> Result<Option<Ran>, Error> {
        if effect == TransactionEffect::Unchanged && !self.sandbox.has_failed() {
            self.run(Sent {
                text: &search_path(path),
                ..Sent::default()
            })
            .await?;
        }
        if self.changes == Changes::Committed {
            return self.run(sent).await.map(Some);
        }
        let ran = match effect {
            TransactionEffect::Begins => self.begin().await.map(Some),
            TransactionEffect::Commits(chain) => self.end(Within::Kept, chain).await.map(Some),
            TransactionEffect::RollsBack(chain) => self.end(Within::Undone, chain).await.map(Some),
            TransactionEffect::TwoPhase => {
                self.end(Within::Undone, Chain::Ends).await?;
                Ok(None)
            }
            TransactionEffect::Divides | TransactionEffect::Unchanged if self.is_within => {
                self.run(sent).await.map(Some)
            }
            TransactionEffect::Divides | TransactionEffect::Unchanged => {
                self.alone(sent).await.map(Some)
            }
        };
        match self.sandbox.is_in_transaction() {
            true => ran,
            false => Err(Error::Escaped),
        }
    }

    async fn begin(&mut self) -> Result<Ran, Error> {
        // A server warns of a second BEGIN, and goes on.
        if self.is_within {
            return Ok(Ran::default());
        }
        self.is_within = true;
        self.command(TRANSACTION.begin).await
    }

    async fn end(&mut self, within: Within, chain: Chain) -> Result<Ran, Error> {
        if !self.is_within {
            return Ok(Ran::default());
        }
        self.is_within = false;
        if within == Within::Undone || self.sandbox.has_failed() {
            self.command(TRANSACTION.undo).await?;
        }
        let ran = self.command(TRANSACTION.keep).await?;
        match chain {
            Chain::Ends => Ok(ran),
            Chain::GoesOn => self.begin().await,
        }
    }

    /// A statement that was its own transaction.
    async fn alone(&mut self, sent: Sent<'_>) -> Result<Ran, Error> {
        self.command(STATEMENT.begin).await?;
        let ran = self.run(sent).await?;
        if !self.sandbox.is_in_transaction() {
            return Err(Error::Escaped);
        }
        if self.sandbox.has_failed() {
            self.command(STATEMENT.undo).await?;
        }
        self.command(STATEMENT.keep).await?;
        Ok(ran)
    }

    async fn run(&mut self, sent: Sent<'_>) -> Result<Ran, Error> {
        self.sandbox.run(sent).await.map_err(Error::sandbox)
    }

    /// A command of our own, which must succeed.
    async fn command(&mut self, text: &'static str) -> Result<Ran, Error> {
        let sent = Sent {
            text,
            ..Sent::default()
        };
        let ran = self.run(sent).await?;
        match ran.failure {
            None => Ok(ran),
            Some((sqlstate, message)) => Err(Error::Guard {
                command: text,
                sqlstate: plain(&sqlstate),
                message: plain(&message),
            }),
        }
    }
}

/// What a text does to a transaction; `None` where it is not one statement.
fn effect(text: &str) -> Result<Option<TransactionEffect>, Error> {
    on_large_stack(|| Ok(transaction_effect(text)))
}

/// The formats that results are asked in: as they were recorded.
fn formats(answer: Option<&Answer>) -> Vec<i16> {
    let described = answer.and_then(|answer| answer.described.as_deref());
    let formats = described.unwrap_or_default().iter().map(|one| one.format);
    let mut formats: Vec<i16> = formats.collect();
    // One for all, where it will do: then a table with another column is seen by its rows, and not by an error.
    if formats.windows(2).all(|pair| pair.first() == pair.last()) {
        formats.truncate(1);
    }
    formats
}

/// The command that makes these schemas the search path; a session's temporary ones are found without.
fn search_path(schemas: &[String]) -> String {
    let names = schemas.iter().filter(|name| !name.starts_with("pg_temp"));
    let quoted: Vec<String> = names
        .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
        .collect();
    match quoted.as_slice() {
        [] => "SET search_path TO ''".to_owned(),
        quoted => format!("SET search_path TO {}", quoted.join(", ")),
    }
}

/// How many statements came out how.
#[derive(Default)]
struct Counts {
    same: u64,
    differ: u64,
    not_compared: u64,
    skipped: u64,
}

impl Counts {
    fn add(&mut self, told: &Told) {
        let count = match told {
            Told::Skipped(_) => &mut self.skipped,
            Told::NotRun(_) | Told::Ran(Outcome::NotCompared(_), _) => &mut self.not_compared,
            Told::Ran(Outcome::Same | Outcome::OtherOrder, _) => &mut self.same,
            Told::Ran(Outcome::Differs(_), _) => &mut self.differ,
        };
        *count += 1;
    }

    fn words(&self, changes: Changes) -> String {
        let changes = match changes {
            Changes::RolledBack => "all rolled back",
            Changes::Committed => "committed as recorded",
        };
        format!(
            "{} same, {} differ, {} not run or not compared, {} skipped; {changes}",
            self.same, self.differ, self.not_compared, self.skipped
        )
    }
}

fn words(statement: &StatementMoment, told: &Told) -> String {
    let number = statement
        .seq
        .map_or_else(String::new, |seq| format!("#{seq} "));
    let sql = statement.sql.as_deref();
    let sql = plain(sql.unwrap_or("(its text is not in its row)"));
    let (outcome, ran) = match told {
        Told::Skipped(why) => return format!("{number}{sql}\n  skipped: {why}"),
        Told::NotRun(why) => {
            let words = toned(Tone::Notable, "not replayable:");
            return format!("{number}{sql}\n  {words} {why}");
        }
        Told::Ran(outcome, ran) => (outcome, ran),
    };
    let found = match outcome {
        Outcome::Same => toned(Tone::Good, "same"),
        Outcome::OtherOrder => toned(Tone::Good, "same, in other order"),
        Outcome::Differs(how) => toned(Tone::Bad, how),
        Outcome::NotCompared(why) => {
            format!("{} {why}", toned(Tone::Notable, "not compared:"))
        }
    };
    let masked = match statement.masked.len() {
        0 => String::new(),
        count => format!("; masked columns left out: {count}"),
    };
    let (time, is_notable) = timing(statement.duration_us, ran.duration);
    let time = match is_notable {
        true => toned(Tone::Notable, &time),
        false => time,
    };
    format!("{number}{sql}\n  {found}{masked}; {time}")
}

fn as_json(statement: &StatementMoment, told: &Told) -> Value {
    let (result, why, ran) = match told {
        Told::Skipped(why) => ("skipped", Some(why), None),
        Told::NotRun(why) => ("not-replayable", Some(why), None),
        Told::Ran(outcome, ran) => {
            let why = match outcome {
                Outcome::Same | Outcome::OtherOrder => None,
                Outcome::Differs(why) | Outcome::NotCompared(why) => Some(why),
            };
            (outcome.name(), why, Some(ran))
        }
    };
    let now = ran.map(|ran| {
        json!({
            "rows": ran.rows_count.max(ran.affected),
            "sqlstate": ran.failure.as_ref().map(|(sqlstate, _)| sqlstate),
            "duration_us": u64::try_from(ran.duration.as_micros()).unwrap_or(u64::MAX),
        })
    });
    json!({
        "statement_id": statement.statement_id,
        "sql": statement.sql,
        "result": result,
        "why": why,
        "masked_columns": statement.masked.len(),
        "recorded": {
            "rows": statement.rows,
            "sqlstate": statement.sqlstate,
            "duration_us": statement.duration_us,
        },
        "now": now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_path_is_quoted() {
        let check = |schemas: &[&str], expected: &str| {
            let schemas: Vec<String> = schemas.iter().map(ToString::to_string).collect();
            assert_eq!(search_path(&schemas), expected);
        };
        check(&[], "SET search_path TO ''");
        check(&["pg_temp_3", "public"], "SET search_path TO \"public\"");
        check(
            &["a\"; COMMIT; --", "b"],
            "SET search_path TO \"a\"\"; COMMIT; --\", \"b\"",
        );
    }
}

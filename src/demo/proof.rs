//! After the gateway stopped: evidence is asked what happened, compared with what the client saw, and verified.
//!
//! Verdicts, rules, masks and controls that are printed come from evidence; nothing of them is known beforehand.

use std::collections::BTreeSet;

use provost_evidence::Location;
use serde_json::Value;

use super::{
    Error, Files,
    client::Seen,
    copy,
    play::{Played, Refused, Story},
    story::{Expected, Protocol, QUESTIONS},
};
use crate::{
    commands::evidence,
    output::{Tone, line, table, toned},
};

const STATEMENTS: &str = "SELECT statement_id, principal, phase, CAST(decided_at AS BIGINT) AS decided_us, verdict, rules, controls, reason, outcome, sql, approval_id FROM statements ORDER BY log_index";
const MASKINGS: &str = "SELECT statement_id, output_column, transform, rule, controls FROM maskings ORDER BY statement_id, output_index";
const APPROVALS: &str =
    "SELECT approval_id, actor, reason FROM approvals WHERE event = 'approved' ORDER BY log_index";
const LOGINS: &str =
    "SELECT principal, sqlstate, reason FROM sessions WHERE event = 'refused' ORDER BY log_index";

/// What evidence says of one step.
#[derive(Debug, Default)]
struct Decided {
    verdicts: BTreeSet<String>,
    outcomes: BTreeSet<String>,
    rules: BTreeSet<String>,
    controls: BTreeSet<String>,
    reasons: BTreeSet<String>,
    /// The texts as evidence keeps them.
    texts: Vec<String>,
    /// Output column and transform.
    masks: Vec<(String, String)>,
    /// Who approved it, and their words.
    approved: Vec<(String, String)>,
}

/// Prints the story with its evidence, checks every step, seals, queries, verifies, and shows that a flipped byte is found.
pub(super) async fn of_story(files: &Files, story: &Story) -> Result<(), Error> {
    let statements = rows(files, STATEMENTS).await?;
    let maskings = rows(files, MASKINGS).await?;
    let approvals = rows(files, APPROVALS).await?;
    for (index, played) in story.steps.iter().enumerate() {
        let decided = decided(played, &statements, (&maskings, &approvals));
        print_step(index + 1, played, &decided);
        check_step(index + 1, played, &decided, story)?;
    }
    let logins = rows(files, LOGINS).await?;
    for (index, refused) in story.logins.iter().enumerate() {
        check_login(story.steps.len() + index + 1, refused, logins.get(index))?;
    }
    ask(files).await?;
    verify(files).await?;
    flip_a_byte(files).await?;
    line("");
    line(&toned(
        Tone::Good,
        &format!(
            "All {} steps did what they said; nothing is left behind.",
            story.steps.len() + story.logins.len()
        ),
    ));
    Ok(())
}

/// What was decided in an interactive run, by principal.
pub(super) async fn summary(files: &Files) -> Result<(), Error> {
    line(&toned(Tone::Bold, "What was decided"));
    line("");
    let sql = "SELECT s.principal AS principal, count(*) AS decided, sum(CASE WHEN s.outcome IN ('completed', 'failed', 'cut') THEN 1 ELSE 0 END) AS ran, sum(CASE WHEN s.verdict = 'deny' THEN 1 ELSE 0 END) AS denied, sum(CASE WHEN m.statement_id IS NOT NULL THEN 1 ELSE 0 END) AS masked FROM statements s LEFT JOIN (SELECT DISTINCT statement_id FROM maskings) m ON m.statement_id = s.statement_id WHERE s.phase <> 'prepare' GROUP BY s.principal ORDER BY s.principal";
    print_answer(files, sql).await?;
    verify(files).await
}

async fn rows(files: &Files, sql: &str) -> Result<Vec<Value>, Error> {
    let answer = evidence::ask(&Location::Folder(files.store.clone()), sql).await?;
    Ok(evidence::rows(&answer)?)
}

/// The decisions of a step are those of its person within its time.
fn decided(
    played: &Played,
    statements: &[Value],
    (maskings, approvals): (&[Value], &[Value]),
) -> Decided {
    let mut decided = Decided::default();
    for statement in statements {
        let at = statement["decided_us"].as_i64().unwrap_or_default();
        if text(statement, "principal") != played.step.who.id
            || at < played.window.0
            || at > played.window.1
        {
            continue;
        }
        decided.rules.extend(texts(statement, "rules"));
        decided.controls.extend(texts(statement, "controls"));
        decided
            .verdicts
            .insert(text(statement, "verdict").to_owned());
        if text(statement, "phase") == "prepare" {
            continue;
        }
        decided
            .outcomes
            .insert(text(statement, "outcome").to_owned());
        if !text(statement, "reason").is_empty() {
            decided.reasons.insert(text(statement, "reason").to_owned());
        }
        decided.texts.push(text(statement, "sql").to_owned());
        for approval in approvals {
            if text(approval, "approval_id") == text(statement, "approval_id") {
                let words = (text(approval, "actor"), text(approval, "reason"));
                decided
                    .approved
                    .push((words.0.to_owned(), words.1.to_owned()));
            }
        }
        for masking in maskings {
            if text(masking, "statement_id") == text(statement, "statement_id") {
                decided.masks.push((
                    text(masking, "output_column").to_owned(),
                    text(masking, "transform").to_owned(),
                ));
            }
        }
    }
    decided
}

impl Decided {
    fn verdict(&self) -> &'static str {
        if self.verdicts.contains("deny") {
            "deny"
        } else if self.verdicts.contains("hold") {
            "hold"
        } else if self.verdicts.contains("break-glass") {
            "break-glass"
        } else if self.verdicts.contains("allow") {
            "allow"
        } else {
            "not recorded"
        }
    }
}

fn print_step(number: usize, played: &Played, decided: &Decided) {
    let step = played.step;
    line("");
    line(&toned(
        Tone::Bold,
        &format!("{number:2}. {} ({})", step.who.id, step.who.title),
    ));
    line(&format!("    {}", step.says));
    let how = match step.protocol {
        Protocol::Simple => "",
        Protocol::Extended(_) => "  (prepared, binary)",
    };
    field("sent", &format!("{}{}", step.sql, toned(Tone::Dim, how)));
    let verdict = match decided.verdict() {
        "allow" => toned(Tone::Good, "allow"),
        how @ ("break-glass" | "hold") => toned(Tone::Notable, how),
        other => toned(Tone::Bad, other),
    };
    field("verdict", &verdict);
    let masks: Vec<String> = decided
        .masks
        .iter()
        .map(|(column, transform)| format!("{column} ({transform})"))
        .collect();
    optional(
        "masked",
        &toned(Tone::Notable, &masks.join(", ")),
        masks.is_empty(),
    );
    for (actor, words) in &decided.approved {
        field("approved", &format!("by {actor}: {words}"));
    }
    optional("rules", &joined(&decided.rules), decided.rules.is_empty());
    optional(
        "controls",
        &joined(&decided.controls),
        decided.controls.is_empty(),
    );
    let recorded = decided.texts.join("; ");
    optional("recorded", &recorded, recorded == step.sql);
    print_seen(&played.seen);
}

fn print_seen(seen: &Seen) {
    match seen {
        Seen::Rows { columns, rows } => {
            let rows: Vec<Vec<String>> = rows
                .iter()
                .map(|row| {
                    row.iter()
                        .map(|cell| cell.clone().unwrap_or_else(|| "NULL".to_owned()))
                        .collect()
                })
                .collect();
            let printed = table(columns, &rows);
            let mut lines = printed.lines();
            field("saw", lines.next().unwrap_or_default());
            for row in lines {
                field("", row);
            }
        }
        Seen::Done { rows } => field("saw", &format!("done, {rows} rows affected")),
        Seen::Error {
            sqlstate,
            message,
            detail,
            hint,
        } => {
            field("saw", &format!("ERROR {sqlstate}: {message}"));
            if let Some(detail) = detail {
                field("", &format!("DETAIL: {detail}"));
            }
            if let Some(hint) = hint {
                field("", &format!("HINT: {hint}"));
            }
        }
    }
}

fn field(name: &str, value: &str) {
    for (index, row) in value.lines().enumerate() {
        let name = if index == 0 { name } else { "" };
        line(&format!(
            "    {}  {row}",
            toned(Tone::Dim, &format!("{name:<8}"))
        ));
    }
}

fn optional(name: &str, value: &str, is_empty: bool) {
    if !is_empty {
        field(name, value);
    }
}

fn joined(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// What the client saw and what evidence says must both be what the story expects.
fn check_step(
    number: usize,
    played: &Played,
    decided: &Decided,
    story: &Story,
) -> Result<(), Error> {
    let failed = |what: String| {
        Err(Error::Story {
            what: format!("step {number}: {what}"),
        })
    };
    let (verdict, masked): (&str, &[&str]) = match played.step.expected {
        Expected::Rows { masked, .. } => ("allow", masked),
        Expected::RawRows { .. } | Expected::Done { .. } => ("allow", &[]),
        Expected::Approved { .. } => ("hold", &[]),
        Expected::Denied { .. } => ("deny", &[]),
    };
    if decided.verdict() != verdict {
        return failed(format!(
            "evidence says `{}`, expected `{verdict}`",
            decided.verdict()
        ));
    }
    let found: BTreeSet<&str> = decided
        .masks
        .iter()
        .map(|(column, _)| column.as_str())
        .collect();
    if found != masked.iter().copied().collect() {
        return failed(format!(
            "evidence says that {found:?} were masked, expected {masked:?}"
        ));
    }
    let seen_secret = secret_in(&played.seen, &story.secrets);
    match (played.step.expected, &played.seen) {
        (Expected::Rows { count, .. }, Seen::Rows { rows, .. }) if rows.len() == count => {
            match seen_secret {
                Some(secret) => failed(format!("the raw value `{secret}` came through")),
                None => Ok(()),
            }
        }
        (Expected::RawRows { count }, Seen::Rows { rows, .. })
            if rows.len() == count && seen_secret.is_some() =>
        {
            Ok(())
        }
        (Expected::Done { rows }, Seen::Done { rows: affected }) if rows == *affected => Ok(()),
        (Expected::Approved { by, rows }, Seen::Done { rows: affected })
            if rows == *affected && decided.approved.iter().any(|(actor, _)| actor == by.id) =>
        {
            Ok(())
        }
        (Expected::Denied { sqlstate }, Seen::Error { sqlstate: seen, .. })
            if sqlstate == seen && seen_secret.is_none() =>
        {
            Ok(())
        }
        (expected, seen) => failed(format!("expected {expected:?}, the client saw {seen:?}")),
    }
}

/// The first raw secret anywhere in what was seen.
fn secret_in<'a>(seen: &Seen, secrets: &'a [String]) -> Option<&'a str> {
    let texts: Vec<&str> = match seen {
        Seen::Rows { rows, .. } => rows
            .iter()
            .flatten()
            .flatten()
            .map(String::as_str)
            .collect(),
        Seen::Done { .. } => Vec::new(),
        Seen::Error {
            message,
            detail,
            hint,
            ..
        } => [Some(message), detail.as_ref(), hint.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect(),
    };
    secrets
        .iter()
        .find(|secret| texts.iter().any(|text| text.contains(secret.as_str())))
        .map(String::as_str)
}

fn check_login(number: usize, refused: &Refused, recorded: Option<&Value>) -> Result<(), Error> {
    line("");
    line(&toned(
        Tone::Bold,
        &format!("{number:2}. {} ({})", refused.who.id, refused.who.title),
    ));
    line(&format!("    {}", refused.says));
    print_seen(&refused.seen);
    let Seen::Error { sqlstate, .. } = &refused.seen else {
        return Err(Error::Story {
            what: format!("step {number}: the login was not refused"),
        });
    };
    match recorded {
        Some(row)
            if text(row, "principal") == refused.who.id && text(row, "sqlstate") == sqlstate =>
        {
            field(
                "evidence",
                &format!("login refused: {}", text(row, "reason")),
            );
            Ok(())
        }
        other => Err(Error::Story {
            what: format!("step {number}: evidence has {other:?} of the refused login"),
        }),
    }
}

async fn ask(files: &Files) -> Result<(), Error> {
    line("");
    line(&toned(
        Tone::Bold,
        "The auditor's questions (SQL over sealed Parquet files)",
    ));
    for (question, sql) in QUESTIONS {
        line("");
        line(question);
        line(&toned(Tone::Dim, sql));
        print_answer(files, sql).await?;
    }
    Ok(())
}

async fn print_answer(files: &Files, sql: &str) -> Result<(), Error> {
    let answer = evidence::ask(&Location::Folder(files.store.clone()), sql).await?;
    let columns: Vec<String> = answer
        .schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let rows: Vec<Vec<String>> = evidence::rows(&answer)?
        .iter()
        .map(|row| columns.iter().map(|column| cell(&row[column])).collect())
        .collect();
    line(&table(&columns, &rows));
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

async fn verify(files: &Files) -> Result<(), Error> {
    line("");
    line(&toned(
        Tone::Bold,
        "Verification, from the public key alone",
    ));
    let key = evidence::read_key(&files.public_key)?;
    let report = evidence::check(&Location::Folder(files.store.clone()), &[key], None).await?;
    line(&evidence::told(&report, &[]));
    if report.is_intact() {
        Ok(())
    } else {
        Err(Error::Story {
            what: "evidence is not intact".to_owned(),
        })
    }
}

/// Changes one byte of one Parquet file in a copy, and expects verification to say which file.
async fn flip_a_byte(files: &Files) -> Result<(), Error> {
    let copied = files.folder.join("copy");
    copy(&files.store, &copied)?;
    let failed = |source| Error::File {
        path: copied.clone(),
        source,
    };
    let Some(object) = first_parquet(&copied).map_err(failed)? else {
        return Err(Error::Story {
            what: "there is no Parquet file".to_owned(),
        });
    };
    let mut bytes = std::fs::read(&object).map_err(failed)?;
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    std::fs::write(&object, &bytes).map_err(failed)?;
    let key = evidence::read_key(&files.public_key)?;
    let report = evidence::check(&Location::Folder(copied.clone()), &[key], None).await?;
    std::fs::remove_dir_all(&copied).map_err(failed)?;
    line("");
    line(&toned(
        Tone::Bold,
        &format!("The same after one bit of byte {middle} of one file was changed, in a copy"),
    ));
    let Some(problem) = report.problems.first() else {
        return Err(Error::Story {
            what: "a changed byte was not found".to_owned(),
        });
    };
    line(&format!("{} {problem}", toned(Tone::Bad, "wrong:")));
    Ok(())
}

/// The first Parquet file below a folder, by name.
fn first_parquet(folder: &std::path::Path) -> std::io::Result<Option<std::path::PathBuf>> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        let found = if path.is_dir() {
            first_parquet(&path)?
        } else {
            path.extension()
                .is_some_and(|extension| extension == "parquet")
                .then_some(path)
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or_default()
}

fn texts(row: &Value, column: &str) -> Vec<String> {
    row[column]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

//! `provost replay --policy`: recorded statements decided again, and what differs. Must never pass over a statement in silence:
//! what can't be decided again is named, with the reason, and counts as a difference.

use std::{collections::HashMap, path::Path};

use provost_engine::{catalog::Catalog, graph::Policy, verdict::Decision};
use provost_evidence::replay::{Asked, Input, ReplayKey, StatementMoment, Story, What};
use provost_gateway::replay::decide_again;
use serde_json::{Value, json};

use super::{super::schema, told::plain};
use crate::{
    cli,
    config::{SecretSource, replay_key},
    error::{Error, Exit},
    output::{self, Shape, Tone, line, toned},
};

/// A decision, old or new, as far as the two are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decided {
    verdict: String,
    /// Sorted.
    rules: Vec<String>,
    /// Output columns with their masks.
    masks: Vec<(usize, String)>,
}

/// What statements are analysed by.
enum Schemas {
    /// One for all, as the command line says.
    Given(Box<Catalog>),
    /// Those that were recorded, by SHA-256.
    Recorded(HashMap<String, Catalog>),
}

/// Decides a story's statements again; `texts` are the recorded catalogs, by SHA-256.
///
/// # Errors
/// [`Error::Policy`], [`Error::Schema`], [`Error::Option`]; [`Error::Told`] where something differs.
pub(super) fn run(
    story: &Story,
    asked: &[Asked],
    texts: &HashMap<String, Option<String>>,
    (folder, command): (&Path, &cli::Replay),
) -> Result<(), Error> {
    let keys = keys(&command.key)?;
    let compiled = provost_dsl::load(folder).map_err(|source| Error::Policy {
        folder: folder.to_owned(),
        source,
    })?;
    output::diagnostics(&compiled.warnings);
    let asked: HashMap<&str, &Asked> = asked
        .iter()
        .map(|one| (one.statement_id.as_str(), one))
        .collect();
    let schemas = match &command.schema {
        Some(path) => {
            let of = |statement: &StatementMoment| {
                let asked = asked.get(statement.statement_id.as_str()).copied();
                let input = input(asked, statement, &keys).ok()?;
                Some(input.session.get("database")?.as_str()?.to_owned())
            };
            let database = statements(story).find_map(of);
            let database = database.as_deref().unwrap_or("postgres");
            Schemas::Given(Box::new(schema::read(Some(path), database)?))
        }
        None => Schemas::Recorded(recorded(texts)),
    };
    let shape = Shape::of(command.json);
    let mut differences = 0_u64;
    let mut count = 0_u64;
    let own = |statement: &&StatementMoment| !statement.is_gateways_own();
    for statement in statements(story).filter(own) {
        let old = Decided::recorded(statement);
        let asked = asked.get(statement.statement_id.as_str()).copied();
        let new = input(asked, statement, &keys)
            .and_then(|input| again(&compiled.policy, schemas.of(asked)?, &input));
        count += 1;
        differences += u64::from(new.as_ref() != Ok(&old));
        match shape {
            Shape::Text => line(&words(statement, &old, &new)),
            Shape::Json => line(&as_json(statement, &old, &new).to_string()),
        }
    }
    if shape == Shape::Text {
        line(&format!(
            "{count} statements, {differences} of them otherwise or not replayable"
        ));
    }
    if differences == 0 {
        Ok(())
    } else {
        Err(Error::Told(Exit::Failed))
    }
}

/// The recorded catalogs that can be read.
fn recorded(texts: &HashMap<String, Option<String>>) -> HashMap<String, Catalog> {
    let read = |(digest, text): (&String, &Option<String>)| {
        let catalog = Catalog::from_file(text.as_ref()?).ok()?;
        Some((digest.clone(), catalog))
    };
    texts.iter().filter_map(read).collect()
}

impl Schemas {
    fn of(&self, asked: Option<&Asked>) -> Result<&Catalog, String> {
        let catalogs = match self {
            Self::Given(catalog) => return Ok(catalog),
            Self::Recorded(catalogs) => catalogs,
        };
        let Some(digest) = asked.and_then(|asked| asked.catalog_digest.as_ref()) else {
            return Err("its catalog was its session's own, and is not recorded".to_owned());
        };
        let catalog = catalogs.get(digest);
        catalog.ok_or_else(|| format!("its catalog {} is not in the store", plain(digest)))
    }
}

/// The statements that were decided to run or not to run: not those that were only prepared.
pub(super) fn statements(story: &Story) -> impl Iterator<Item = &StatementMoment> {
    story
        .moments
        .iter()
        .filter_map(|moment| match &moment.what {
            What::Statement(statement) => {
                Some(&**statement).filter(|one| one.phase.as_deref() != Some("prepare"))
            }
            What::Session(_) | What::Approval(_) => None,
        })
}

pub(super) fn keys(given: &[String]) -> Result<Vec<ReplayKey>, Error> {
    let wrong = |value: &str, help| Error::Option {
        option: "--key",
        value: value.to_owned(),
        help,
    };
    given
        .iter()
        .map(|text| {
            let (id, source) = text
                .split_once('=')
                .ok_or_else(|| wrong(text, "write ID=SOURCE, such as replay-1=file:replay.key"))?;
            let source = SecretSource::parse(source, Path::new("")).ok_or_else(|| {
                wrong(
                    &format!("{id}=..."),
                    "the key comes from `env:NAME`, `file:PATH` or `command:...`",
                )
            })?;
            replay_key(id, &source)
                .map_err(|_| wrong(id, "its secret can't be read, or has fewer than 32 bytes"))
        })
        .collect()
}

/// What a statement was asked with, or why that can't be had.
pub(super) fn input(
    asked: Option<&Asked>,
    statement: &StatementMoment,
    keys: &[ReplayKey],
) -> Result<Input, String> {
    let Some(asked) = asked else {
        return Err("no rule recorded its results".to_owned());
    };
    let (Some(sealed), Some(id)) = (&asked.input, &asked.input_key_id) else {
        let why = asked
            .not_replayable
            .as_deref()
            .unwrap_or("nothing was kept");
        return Err(plain(why));
    };
    let mut fit = keys.iter().filter(|key| key.id() == id).peekable();
    if fit.peek().is_none() {
        return Err(format!("needs the key `{}`: give --key", plain(id)));
    }
    fit.find_map(|key| key.open(&statement.statement_id, sealed))
        .ok_or_else(|| format!("the key `{}` does not open it", plain(id)))
}

fn again(policy: &Policy, catalog: &Catalog, input: &Input) -> Result<Decided, String> {
    let decided = schema::on_large_stack(|| Ok(decide_again(policy, catalog, input)));
    match decided {
        Ok(Ok(decision)) => Ok(Decided::of(policy, &decision)),
        Ok(Err(why)) => Err(plain(&why.to_string())),
        Err(error) => Err(plain(&error.to_string())),
    }
}

impl Decided {
    fn recorded(statement: &StatementMoment) -> Self {
        let masks = statement.masked.iter().map(|column| {
            let output = usize::try_from(column.output_index).unwrap_or(usize::MAX);
            (output, column.transform.clone())
        });
        let mut rules = statement.rules.clone();
        rules.sort_unstable();
        Self {
            verdict: statement.verdict.clone().unwrap_or_default(),
            rules,
            masks: masks.collect(),
        }
    }

    fn of(policy: &Policy, decision: &Decision) -> Self {
        let masks = decision
            .masks
            .iter()
            .map(|mask| (mask.output, mask.transform.to_string()));
        let names = policy.names(&decision.rules);
        let mut rules: Vec<String> = names.iter().map(ToString::to_string).collect();
        rules.sort_unstable();
        Self {
            verdict: decision.verdict.name().to_owned(),
            rules,
            masks: masks.collect(),
        }
    }

    fn words(&self) -> String {
        let masks: Vec<String> = self
            .masks
            .iter()
            .map(|(output, transform)| format!("column {} {}", output + 1, plain(transform)))
            .collect();
        let rules: Vec<String> = self.rules.iter().map(|rule| plain(rule)).collect();
        let mut words = format!("{} by {}", plain(&self.verdict), rules.join(", "));
        if !masks.is_empty() {
            words.push_str(&format!("; masks {}", masks.join(", ")));
        }
        words
    }

    fn as_json(&self) -> Value {
        json!({ "verdict": self.verdict, "rules": self.rules, "masks": self.masks })
    }
}

fn words(statement: &StatementMoment, old: &Decided, new: &Result<Decided, String>) -> String {
    let number = statement
        .seq
        .map_or_else(String::new, |seq| format!("#{seq} "));
    let sql = plain(
        statement
            .sql
            .as_deref()
            .unwrap_or("(its text is not in its row)"),
    );
    let heading = format!("{number}{sql}");
    match new {
        Err(why) => format!(
            "{heading}\n  {} {why}",
            toned(Tone::Notable, "not replayable:")
        ),
        Ok(new) if new == old => format!("{heading}\n  {}", toned(Tone::Good, "the same")),
        Ok(new) => format!(
            "{heading}\n  {} {}\n   {} {}",
            toned(Tone::Bad, "old"),
            old.words(),
            toned(Tone::Bad, "->"),
            new.words(),
        ),
    }
}

fn as_json(statement: &StatementMoment, old: &Decided, new: &Result<Decided, String>) -> Value {
    let (decided, why) = match new {
        Ok(new) => (Some(new.as_json()), None),
        Err(why) => (None, Some(why)),
    };
    json!({
        "statement_id": statement.statement_id,
        "sql": statement.sql,
        "same": new.as_ref() == Ok(old),
        "old": old.as_json(),
        "new": decided,
        "not_replayable": why,
    })
}

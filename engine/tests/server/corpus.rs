//! PostgreSQL's regression corpus: every statement that the server accepts gets facts or a refusal with a reason, never a
//! panic; how many are understood in full must not fall.

use std::{
    collections::BTreeMap,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use provost_engine::{
    catalog::Catalog,
    facts::{Facts, Object, Operation, SessionEffect},
    sql::{Context, Statement, Witness, analyse},
};

use crate::{
    claims::{self, Difference},
    database,
    ratchet::{self, Counts},
    regress::{self, House},
    tap::{Aftermath, Observation, Tap},
    tree::{FIRST_USER_OID, Needs},
    wire::Finished,
};

/// What CI runs: files that most others build on, and those with the most awkward queries.
const SLICE: [&str; 22] = [
    "test_setup",
    "copy",
    "copyselect",
    "copydml",
    "insert",
    "insert_conflict",
    "create_misc",
    "select",
    "select_into",
    "subselect",
    "union",
    "case",
    "join",
    "aggregates",
    "update",
    "delete",
    "merge",
    "groupingsets",
    "window",
    "returning",
    "with",
    "updatable_views",
];

/// How much of the statements of [`GOAL_KINDS`] must be fully understood.
const SHARE_MIN: f64 = 0.97;

/// The statements that the share of understood ones is told of.
const GOAL_KINDS: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY"];

/// What became of one statement.
#[derive(Debug, Clone)]
enum Outcome {
    Understood,
    Opaque(Vec<(String, String)>),
    Refused(&'static str, String),
    Panicked(String),
}

/// Everything seen.
#[derive(Default)]
struct Tally {
    file: String,
    counts: BTreeMap<String, Counts>,
    /// By what is amiss: how often, and where first.
    amiss: BTreeMap<String, Amiss>,
    /// Statements that we say can't be, and the server ran.
    denied_existence: Vec<String>,
    panics: Vec<String>,
    /// Statements whose facts lack what the server needs.
    unsound: Vec<String>,
    /// The same for what functions and triggers ran.
    unsound_nested: Vec<String>,
    /// Statements compared with the server's trees, and those whose facts have more, by cause.
    compared: u32,
    beyond: BTreeMap<Difference, u32>,
    beyond_examples: BTreeMap<Difference, Vec<String>>,
}

#[derive(Default)]
struct Amiss {
    count: usize,
    /// The words as they came, with how often.
    words: BTreeMap<String, usize>,
    example: String,
}

#[test]
fn corpus() {
    let folder = regress::folder();
    let long = env::var_os("PROVOST_REGRESS").is_some_and(|value| value == "all");
    let only = env::var("PROVOST_REGRESS_ONLY").ok();
    let chosen = |name: &String| match &only {
        Some(only) => name == "test_setup" || only.split(',').any(|file| file == name),
        None => long || SLICE.contains(&name.as_str()),
    };
    let files: Vec<String> = regress::schedule(&folder)
        .into_iter()
        .filter(chosen)
        .collect();
    let cluster = regress::cluster();
    database::make_database(&cluster);
    let house = House::new(&folder);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let observe = {
        let tally = tally.clone();
        move |observation: &Observation<'_>| observe(observation, &tally)
    };
    let tap = Tap::open(&cluster, Arc::new(observe));
    for file in &files {
        file.clone_into(&mut tally.lock().unwrap().file);
        let began = std::time::Instant::now();
        house.run(
            &cluster,
            &tap,
            &folder.join("sql").join(format!("{file}.sql")),
        );
        eprintln!("{file}: {} ms", began.elapsed().as_millis());
        regress::refresh_statistics(&cluster);
    }
    tap.close();
    let tally = tally.lock().unwrap();
    let report = regress::reports().join(if long { "corpus-all.txt" } else { "corpus.txt" });
    fs::write(&report, tally.report()).unwrap();
    eprintln!("{}the report is in {}", tally.table(), report.display());
    assert!(
        tally.panics.is_empty(),
        "analysis panicked:\n{}",
        tally.panics.join("\n")
    );
    if only.is_some() {
        return;
    }
    let unsound: Vec<&str> = tally
        .unsound
        .iter()
        .chain(&tally.unsound_nested)
        .map(String::as_str)
        .collect();
    // The long form has a ratchet for them.
    assert!(
        long || unsound.is_empty(),
        "facts lack what the server needs:\n{}",
        unsound.join("\n")
    );
    let share = tally.share();
    assert!(
        share >= SHARE_MIN,
        "{:.2} % understood, and {:.0} % is the goal",
        share * 100.0,
        SHARE_MIN * 100.0
    );
    let mut counts = tally.counts.clone();
    for (kind, found) in [
        ("(unsound)", &tally.unsound),
        ("(unsound in functions and triggers)", &tally.unsound_nested),
    ] {
        counts.entry(kind.to_owned()).or_default().refused = u32::try_from(found.len()).unwrap();
    }
    let section = if long { "corpus.all" } else { "corpus.slice" };
    ratchet::check(section, regress::major(&cluster), &counts);
}

/// Looks at one text.
fn observe(observation: &Observation<'_>, tally: &Mutex<Tally>) -> Aftermath {
    let context = Context {
        catalog: observation.catalog,
        search_path: observation.search_path,
        parameter_types: &[],
        witness: Witness::Record,
        names: observation.names,
    };
    let analysis = catch_unwind(AssertUnwindSafe(|| analyse(observation.text, &context)));
    let mut tally = tally
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = String::from_utf8_lossy(observation.text).into_owned();
    let statements = match &analysis {
        Ok(Ok(statements)) => statements.as_slice(),
        _ => &[],
    };
    for (index, finished) in observation.answer.statements.iter().enumerate() {
        let outcome = match &analysis {
            Err(panic) => Outcome::Panicked(words_of(panic.as_ref())),
            Ok(Err(refusal)) => Outcome::Refused(refusal.sqlstate, refusal.message.clone()),
            Ok(Ok(statements)) => match statements.get(index) {
                None => Outcome::Refused(
                    "missing",
                    "fewer statements than the server found".to_owned(),
                ),
                Some(statement) => {
                    tally.compare(&statement.facts, finished, observation.catalog, &text);
                    outcome(&statement.facts)
                }
            },
        };
        tally.add(&kind(&finished.tag, &text), outcome, &text);
    }
    let completed = statements.iter().take(observation.answer.statements.len());
    Aftermath {
        catalog_changed: statements.is_empty() || statements.iter().any(changes_catalog),
        bindings: completed
            .filter_map(|statement| statement.binding.clone())
            .collect(),
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().cloned();
    let words = words.or_else(|| panic.downcast_ref::<&str>().map(|&words| words.to_owned()));
    words.unwrap_or_default()
}

/// What the server calls the command, but for what its tags hide.
fn kind(tag: &str, text: &str) -> String {
    let first = text
        .split(|letter: char| !letter.is_ascii_alphabetic())
        .find(|word| !word.is_empty());
    let first = first.unwrap_or_default().to_ascii_uppercase();
    match (tag, first.as_str()) {
        ("SELECT", "CREATE") => "CREATE TABLE AS".to_owned(),
        ("SELECT" | "INSERT" | "UPDATE" | "DELETE", "EXECUTE") => "EXECUTE".to_owned(),
        ("", _) => "EMPTY".to_owned(),
        (tag, _) => tag.to_owned(),
    }
}

fn outcome(facts: &Facts) -> Outcome {
    if facts.opaque.is_empty() {
        return Outcome::Understood;
    }
    let reasons = facts.opaque.iter();
    Outcome::Opaque(
        reasons
            .map(|opaque| (opaque.subject.to_string(), opaque.reason.to_string()))
            .collect(),
    )
}

/// Whether a statement may change the catalog though its tag does not say so: SELECT INTO, or a function that may do anything.
fn changes_catalog(statement: &Statement) -> bool {
    let facts = &statement.facts;
    let calls = facts.accesses.iter().any(|access| {
        access.operation == Operation::Call
            && matches!(&access.object, Object::Function { schema, .. } if &**schema != "pg_catalog")
    });
    calls || facts.session_effect == SessionEffect::Catalog
}

impl Tally {
    fn add(&mut self, kind: &str, outcome: Outcome, text: &str) {
        let example = format!("{}: {}", self.file, text.trim());
        let counts = self.counts.entry(kind.to_owned()).or_default();
        match outcome {
            Outcome::Understood => counts.understood += 1,
            Outcome::Opaque(reasons) => {
                counts.opaque += 1;
                for (subject, reason) in reasons {
                    let words = format!("{subject}: {reason}");
                    let key = format!("opaque  {}  {}", group(kind), blanked(&reason));
                    self.amiss.entry(key).or_default().add(words, &example);
                }
            }
            Outcome::Refused(sqlstate, message) => {
                counts.refused += 1;
                if sqlstate.starts_with("42") || sqlstate.starts_with("3F") {
                    self.denied_existence
                        .push(format!("{sqlstate} {message} <- {example}"));
                }
                let key = format!("refused {}  {sqlstate} {}", group(kind), blanked(&message));
                self.amiss.entry(key).or_default().add(message, &example);
            }
            Outcome::Panicked(words) => {
                counts.refused += 1;
                self.panics.push(format!("{words} <- {example}"));
            }
        }
    }

    /// The server's trees against facts that say they are whole.
    fn compare(&mut self, facts: &Facts, finished: &Finished, catalog: &Catalog, text: &str) {
        // The server reads the body of a function that comes to be, and runs nothing of it.
        let made = matches!(
            finished.tag.as_str(),
            "CREATE FUNCTION" | "CREATE PROCEDURE"
        );
        if !facts.opaque.is_empty() || finished.trees.is_empty() || made {
            return;
        }
        let mut needs = Needs::default();
        finished
            .trees
            .iter()
            .for_each(|tree| needs.read(tree, catalog));
        let mut comparison = claims::compare(facts, &needs, catalog);
        comparison
            .missing
            .extend(claims::described(facts, &finished.columns));
        let text: String = text.trim().chars().take(400).collect();
        let example = |words: &[String]| {
            format!(
                "{}: {} <- {}",
                self.file,
                words.join(", "),
                text.replace('\n', " ")
            )
        };
        self.compared += 1;
        if !comparison.missing.is_empty() {
            self.unsound.push(example(&comparison.missing));
        }
        for (cause, words) in comparison.different {
            *self.beyond.entry(cause).or_default() += 1;
            let example = format!(
                "{}: {} <- {}",
                self.file,
                words.join(", "),
                text.replace('\n', " ")
            );
            let examples = self.beyond_examples.entry(cause).or_default();
            if examples.len() < 60 {
                examples.push(example);
            }
        }
        let mut nested = Needs::default();
        finished
            .nested
            .iter()
            .for_each(|tree| nested.read(tree, catalog));
        // What functions of the server's own look up in its catalogs is part of what they do.
        nested.claims.retain(|oid, _| *oid >= FIRST_USER_OID);
        let missing = claims::compare(facts, &nested, catalog).missing;
        // The server's own comparison of new rows with old ones; and what earlier statements put off to the end of their transaction.
        let is_anothers = matches!(
            finished.tag.as_str(),
            "REFRESH MATERIALIZED VIEW" | "COMMIT"
        );
        if !missing.is_empty() && !is_anothers {
            self.unsound_nested.push(format!(
                "{}: {} <- {}",
                self.file,
                missing.join(", "),
                text.replace('\n', " ")
            ));
        }
    }

    /// The share of the kinds with a goal that is understood.
    fn share(&self) -> f64 {
        let mut sum = Counts::default();
        for counts in GOAL_KINDS.iter().filter_map(|kind| self.counts.get(*kind)) {
            sum.understood += counts.understood;
            sum.opaque += counts.opaque;
            sum.refused += counts.refused;
        }
        f64::from(sum.understood) / f64::from(sum.total().max(1))
    }

    fn table(&self) -> String {
        let mut table = format!(
            "{:<34} {:>10} {:>7} {:>8}\n",
            "kind", "understood", "opaque", "refused"
        );
        for (kind, counts) in &self.counts {
            let Counts {
                understood,
                opaque,
                refused,
            } = counts;
            table += &format!("{kind:<34} {understood:>10} {opaque:>7} {refused:>8}\n");
        }
        table
            + &format!(
                "{:.2} % of {} understood\n",
                self.share() * 100.0,
                GOAL_KINDS.join(", ")
            )
    }

    fn report(&self) -> String {
        let mut report = self.table();
        let mut amiss: Vec<(&String, &Amiss)> = self.amiss.iter().collect();
        amiss.sort_by_key(|(key, amiss)| (std::cmp::Reverse(amiss.count), *key));
        for (key, amiss) in amiss {
            report += &format!("\n{:>6}  {key}\n", amiss.count);
            let mut words: Vec<(&String, &usize)> = amiss.words.iter().collect();
            words.sort_by_key(|(words, count)| (std::cmp::Reverse(**count), *words));
            for (words, count) in words.into_iter().take(8) {
                report += &format!("            {count:>5}  {words}\n");
            }
            let example: String = amiss.example.chars().take(600).collect();
            report += &format!("        {}\n", example.replace('\n', "\n        "));
        }
        report += "\nwe say that it does not exist or is wrong, and the server ran it:\n";
        for line in &self.denied_existence {
            let line: String = line.chars().take(300).collect();
            report += &format!("  {}\n", line.replace('\n', " "));
        }
        report += &format!(
            "\n{} statements compared with the server's trees\n",
            self.compared
        );
        report += &format!("\n{} lack what the server needs:\n", self.unsound.len());
        for line in &self.unsound {
            report += &format!("  {line}\n");
        }
        report += &format!(
            "\n{} lack what their functions and triggers need:\n",
            self.unsound_nested.len()
        );
        for line in &self.unsound_nested {
            report += &format!("  {line}\n");
        }
        for (cause, count) in &self.beyond {
            report += &format!("\n{count} differ by {}:\n", cause.name());
            for line in &self.beyond_examples[cause] {
                report += &format!("  {line}\n");
            }
        }
        report
    }
}

impl Amiss {
    fn add(&mut self, words: String, example: &str) {
        self.count += 1;
        *self.words.entry(words).or_default() += 1;
        if self.example.is_empty() {
            example.clone_into(&mut self.example);
        }
    }
}

/// Statements with the goal by name, the rest in one.
fn group(kind: &str) -> &str {
    if GOAL_KINDS.contains(&kind) {
        "query"
    } else {
        "other"
    }
}

/// Words with names left out.
fn blanked(words: &str) -> String {
    let words = words.split('`').step_by(2).collect::<Vec<_>>().join("`…`");
    words
        .split('"')
        .step_by(2)
        .collect::<Vec<_>>()
        .join("\"…\"")
}

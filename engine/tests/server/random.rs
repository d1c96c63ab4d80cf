//! Random statements before the server and before us: what the server's trees and its RowDescription say must be in our
//! facts. A failing statement is made small before it is printed.

use std::{collections::BTreeMap, env, fs};

use provost_engine::{
    facts::Facts,
    sql::{Context, NO_NAMES, Witness, analyse},
};

use crate::{
    choices::Choices,
    claims::{self, Difference},
    generate::Generator,
    ratchet, regress,
    tree::Needs,
    wire::Answer,
    zoo::{Zoo, tables},
};

/// How many statements CI runs.
const STATEMENTS: u64 = 2_000;
/// Analysis goes deep into nested text.
const STACK_BYTES: usize = 256 << 20;
/// Choices left out, one run after the other, to make a failing statement small.
const SHRINKS_MAX: usize = 150;
/// After so many failures the rest is not worth the time.
const FAILURES_MAX: usize = 8;

/// A number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Runs a test where the stack is deep.
pub(crate) fn deep(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(run);
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// What came of one statement.
pub(crate) enum Fate {
    /// The server refused it: why.
    Wrong(String),
    /// We refused it, or called it opaque: why.
    Closed(String),
    /// Something of the server's is not in our facts.
    Unsound(String),
    /// Sound; what we have beyond the server, by cause.
    Sound(Vec<Difference>),
}

/// The facts of one statement, if it is understood in full.
pub(crate) fn understood(zoo: &Zoo, sql: &str) -> Result<Facts, String> {
    let context = Context {
        catalog: &zoo.catalog,
        search_path: &zoo.search_path,
        parameter_types: &[],
        witness: Witness::Record,
        names: &NO_NAMES,
    };
    let statements = analyse(sql.as_bytes(), &context)
        .map_err(|refusal| format!("{} {}", refusal.sqlstate, refusal.message))?;
    let facts = statements
        .into_iter()
        .next()
        .map(|statement| statement.facts)
        .ok_or("no statement")?;
    match facts.opaque.first() {
        Some(opaque) => Err(format!("opaque: {}: {}", opaque.subject, opaque.reason)),
        None => Ok(facts),
    }
}

fn statement(choices: &mut Choices) -> String {
    let tables = tables();
    let mut generator = Generator::new(choices, &tables);
    if generator.writes() {
        generator.write()
    } else {
        generator.read()
    }
}

/// What comes of one statement, which is taken back.
pub(crate) fn fate(zoo: &mut Zoo, sql: &str) -> Fate {
    zoo.client.run("BEGIN; SET LOCAL debug_print_rewritten = on; SET LOCAL debug_pretty_print = off; SET LOCAL client_min_messages = log");
    let answer = zoo.client.query(sql);
    zoo.client.run("ROLLBACK");
    if let Some((sqlstate, message)) = &answer.error
        && (sqlstate.starts_with("42") || sqlstate.starts_with("0A"))
    {
        return Fate::Wrong(format!("wrong by the server: {sqlstate} {message}"));
    }
    match understood(zoo, sql) {
        Err(why) => Fate::Closed(why),
        Ok(facts) => compare(zoo, &facts, &answer),
    }
}

fn compare(zoo: &Zoo, facts: &Facts, answer: &Answer) -> Fate {
    let finished = answer.statements.last().unwrap_or(&answer.unfinished);
    let mut needs = Needs::default();
    finished
        .trees
        .iter()
        .for_each(|tree| needs.read(tree, &zoo.catalog));
    let mut comparison = claims::compare(facts, &needs, &zoo.catalog);
    comparison
        .missing
        .extend(claims::described(facts, &finished.columns));
    if comparison.missing.is_empty() {
        Fate::Sound(comparison.different.into_keys().collect())
    } else {
        Fate::Unsound(comparison.missing.join(", "))
    }
}

/// Leaves choices out as long as `fails` says that it still fails; the smallest list found.
pub(crate) fn shrink(mut made: Vec<u32>, mut fails: impl FnMut(Vec<u32>) -> bool) -> Vec<u32> {
    let mut tries = 0;
    let mut chunk = made.len().next_power_of_two() / 2;
    while chunk > 0 {
        let mut start = 0;
        while start < made.len() && tries < SHRINKS_MAX {
            let end = (start + chunk).min(made.len());
            let mut shorter = made.clone();
            shorter.drain(start..end);
            let mut plainer = made.clone();
            plainer[start..end].fill(0);
            tries += 1;
            if fails(shorter.clone()) {
                made = shorter;
            } else if plainer != made && fails(plainer.clone()) {
                made = plainer;
                start = end;
            } else {
                start = end;
            }
        }
        chunk /= 2;
    }
    made
}

/// A message without what stands in quotes.
fn without_names(message: &str) -> String {
    message.split('"').step_by(2).collect::<Vec<_>>().join("…")
}

#[test]
fn random_statements() {
    deep(|| {
        let mut zoo = Zoo::open();
        let seed = number("PROVOST_RANDOM_SEED", 1);
        let mut failures = Vec::new();
        let mut counts: BTreeMap<String, ratchet::Counts> = BTreeMap::new();
        let mut closed: BTreeMap<String, (usize, String)> = BTreeMap::new();
        let mut wrong = 0_u64;
        let statements = number("PROVOST_RANDOM_STATEMENTS", STATEMENTS);
        for index in 0..statements {
            let mut choices = Choices::seeded(seed.wrapping_add(index));
            let sql = statement(&mut choices);
            let count = |counts: &mut BTreeMap<String, ratchet::Counts>, kind: &str| {
                counts.entry(kind.to_owned()).or_default().understood += 1;
            };
            match fate(&mut zoo, &sql) {
                Fate::Wrong(why) => {
                    wrong += 1;
                    closed.entry(without_names(&why)).or_insert((0, sql)).0 += 1;
                }
                Fate::Closed(why) => {
                    counts.entry("random".to_owned()).or_default().refused += 1;
                    closed.entry(why).or_insert((0, sql)).0 += 1;
                }
                Fate::Sound(beyond) => {
                    count(&mut counts, "random");
                    for cause in beyond {
                        counts
                            .entry(format!("random beyond: {}", cause.name()))
                            .or_default()
                            .opaque += 1;
                    }
                }
                Fate::Unsound(_) => {
                    let fails = |made: Vec<u32>| {
                        let sql = statement(&mut Choices::replaying(made));
                        matches!(fate(&mut zoo, &sql), Fate::Unsound(_))
                    };
                    let small = statement(&mut Choices::replaying(shrink(choices.made(), fails)));
                    if let Fate::Unsound(why) = fate(&mut zoo, &small) {
                        failures.push(format!(
                            "seed {}: {why}\n    {small}",
                            seed.wrapping_add(index)
                        ));
                    }
                }
            }
            if failures.len() >= FAILURES_MAX {
                break;
            }
        }
        let mut report =
            format!("{statements} statements, {wrong} wrong by the server; {counts:#?}\n");
        for (why, (times, sql)) in &closed {
            report += &format!("{times:>6}  {why}\n        {sql}\n");
        }
        report += &failures.join("\n");
        let path = regress::reports().join("random.txt");
        fs::write(&path, &report).unwrap();
        eprintln!(
            "{statements} statements, {wrong} wrong by the server, {} unsound; see {}",
            failures.len(),
            path.display()
        );
        assert!(
            failures.is_empty(),
            "facts lack what the server needs:\n{}",
            failures.join("\n")
        );
        assert!(
            wrong * 3 < statements,
            "the generator makes mostly nonsense"
        );
        if statements == STATEMENTS && seed == 1 {
            ratchet::check("random", zoo.major(), &counts);
        }
    });
}

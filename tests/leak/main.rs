//! The canary leak test: masked columns hold values that stand nowhere else; random statements aimed at every class of
//! bypass go through the real gateway, in every protocol; no canary may be in any byte that a client, a log or the
//! evidence gets, and two databases that differ in masked values only must give the same bytes.
//!
//! `sh tests/leak.sh --queries N --seed S` runs it for long; docs/leak-test.md tells what it found.

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

mod canary;
mod evidence;
mod generator;
mod house;
mod numbers;
mod random;
mod run;
mod script;
mod shrink;
mod smith;
mod tables;
mod tally;
mod wire;

// The end-to-end tests' issuer, messages and small helpers, and the same private PostgreSQL as the demo's.
#[path = "../../src/demo/postgres/mod.rs"]
mod postgres;
#[expect(
    dead_code,
    reason = "the house of the end-to-end tests has more than is needed here"
)]
#[path = "../e2e/support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    env, thread,
    time::{Duration, Instant},
};

use house::{House, Place, Policy};
use random::Random;
use run::{Fault, Runner};
use shrink::Shrinker;
use smith::Smith;
use tally::Tally;

/// Without PROVOST_LEAK_QUERIES: what every run of the tests does.
const QUERIES: u64 = 4_000;
const SEED: u64 = 1;
/// After so many faults of one worker the rest is not worth waiting for.
const FAULTS_MAX: usize = 20;
/// Less of all statements than this ran, or came back masked: the generator is dull.
const RAN_PERCENT_MIN: usize = 20;
const MASKED_PERCENT_MIN: usize = 4;
/// Scripts that each generator has, without masks, to show something that it must not, and how many have to: the others
/// write statements that are refused to everybody.
const OPEN_TRIES: u64 = 20;
const NOTICED_MIN: usize = 28;

/// What the run is asked for, by the environment (tests/leak.sh writes it).
struct Wanted {
    queries: u64,
    seed: u64,
    deadline: Option<Instant>,
    only: Option<String>,
}

fn wanted() -> Wanted {
    let number = |name: &str| {
        env::var(name).ok().map(|text| {
            text.parse::<u64>()
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        })
    };
    let minutes = number("PROVOST_LEAK_MINUTES");
    Wanted {
        queries: number("PROVOST_LEAK_QUERIES").unwrap_or(if minutes.is_some() {
            u64::MAX
        } else {
            QUERIES
        }),
        seed: number("PROVOST_LEAK_SEED").unwrap_or(SEED),
        deadline: minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes)),
        only: env::var("PROVOST_LEAK_ONLY").ok(),
    }
}

/// sqlsmith's share, unless one generator alone is asked for.
fn smith(house: &House, wanted: &Wanted) -> Option<Smith> {
    if wanted.only.is_some() {
        return None;
    }
    let smith = Smith::start(house.cluster(Place::Lone), wanted.seed);
    if smith.is_none() {
        eprintln!("sqlsmith is not installed: its share is left to our own generators");
    }
    smith
}

/// What one of the two workers saw. Each has servers of its own, and half of the statements.
#[derive(Default)]
struct Seen {
    tally: Tally,
    reports: Vec<String>,
    /// Differences that rows made anew did not show.
    passing: usize,
}

impl Seen {
    fn goes_on(&self, wanted: &Wanted) -> bool {
        (self.tally.total().statements as u64) < wanted.queries.div_ceil(2)
            && wanted
                .deadline
                .is_none_or(|deadline| Instant::now() < deadline)
            && self.reports.len() < FAULTS_MAX
    }

    fn run(
        &mut self,
        (runner, shrinker): &mut (Runner<'_>, Shrinker<'_>),
        (seed, number): (u64, u64),
        script: &script::Script,
    ) {
        let Some(fault) = runner.run(script, &mut self.tally) else {
            return;
        };
        match report(seed, number, shrinker, script, &fault) {
            Some(told) => {
                eprintln!("{told}\n");
                self.reports.push(told);
            }
            None => self.passing += 1,
        }
    }
}

/// The agent, on the two servers that are compared: every second script.
fn compared(house: &House, wanted: &Wanted) -> Seen {
    let mut agent = (run::agent(house), Shrinker::new(house, run::agent));
    let (mut seen, mut number) = (Seen::default(), 0);
    while seen.goes_on(wanted) {
        let script = generator::script(wanted.seed, number, wanted.only.as_deref());
        seen.run(&mut agent, (wanted.seed, number), &script);
        number += 2;
    }
    seen
}

/// The analyst and sqlsmith in turn, on the server where nothing is compared: the scripts between.
fn alone(house: &House, wanted: &Wanted) -> Seen {
    let mut analyst = (run::analyst(house), Shrinker::new(house, run::analyst));
    let mut agent = (
        run::lone_agent(house),
        Shrinker::new(house, run::lone_agent),
    );
    let mut smith = smith(house, wanted);
    let (mut seen, mut number) = (Seen::default(), 1);
    while seen.goes_on(wanted) {
        let place = (wanted.seed, number);
        match &mut smith {
            Some(smith) if number % 4 == 1 => {
                let script = smith.script(&mut Random::new(wanted.seed, number));
                seen.run(&mut agent, place, &script);
            }
            _ => {
                let script = generator::script(wanted.seed, number, wanted.only.as_deref());
                seen.run(&mut analyst, place, &script);
            }
        }
        number += 2;
    }
    seen
}

/// A fault with all that is needed to meet it again. A difference has to be there on rows made anew, too: the order of rows can
/// come from what earlier scripts left in the pages.
fn report(
    seed: u64,
    number: u64,
    shrinker: &mut Shrinker<'_>,
    script: &script::Script,
    fault: &Fault,
) -> Option<String> {
    let small = match shrinker.shrink(script, fault) {
        Some(small) => format!("made small:\n{}", small.told()),
        None if matches!(fault, Fault::Difference(..)) => return None,
        None => "it did not happen again by itself".to_owned(),
    };
    let told: String = fault.told().chars().take(3_000).collect();
    Some(format!(
        "seed {seed}, script {number}, `{}`: {told}\n  of\n{}  {small}",
        script.name,
        script.told()
    ))
}

#[test]
fn no_canary_leaves_the_gateway() {
    let wanted = wanted();
    let started = Instant::now();
    let mut house = House::new(Policy::Masked);
    let (mut seen, other) = thread::scope(|scope| {
        let alone = scope.spawn(|| alone(&house, &wanted));
        (compared(&house, &wanted), alone.join().unwrap())
    });
    seen.tally.take(other.tally);
    seen.reports.extend(other.reports);
    let Seen {
        tally,
        mut reports,
        passing,
    } = seen;
    let total = tally.total();
    eprintln!(
        "{}{} statements in {:?}; {passing} differences that fresh rows did not show",
        tally.told(),
        total.statements,
        started.elapsed()
    );
    house.stop_gateway();
    reports.extend(evidence::faults(&house));
    assert!(
        reports.is_empty(),
        "{} faults:\n{}",
        reports.len(),
        reports.join("\n\n")
    );
    if wanted.only.is_none() {
        assert!(
            total.ran * 100 >= total.statements * RAN_PERCENT_MIN,
            "hardly anything runs: {total:?}"
        );
        assert!(
            total.masked * 100 >= total.statements * MASKED_PERCENT_MIN,
            "hardly anything is masked: {total:?}"
        );
    }
}

#[test]
fn a_policy_without_masks_is_noticed() {
    let wanted = wanted();
    let house = House::new(Policy::Open);
    let (mut agent, mut tally) = (run::fresh_agent(&house), Tally::default());
    let mut noticed = BTreeSet::new();
    for generator in generator::GENERATORS {
        let found = (0..OPEN_TRIES).find_map(|number| {
            let script = generator::script(wanted.seed, number, Some(generator.name));
            // What changes the schema is rolled back, but for what `reset` clears away.
            let script = script::Script {
                keeps: script.name == "create-as",
                ..script
            };
            match agent.run(&script, &mut tally) {
                Some(Fault::Leak(..)) => Some((number, "canaries")),
                Some(Fault::Difference(..)) => Some((number, "differences")),
                Some(Fault::Lost(_)) | None => None,
            }
        });
        let told = found.map_or("nothing".to_owned(), |(number, what)| {
            noticed.insert(generator.name);
            format!("{what}, by script {}", number + 1)
        });
        eprintln!("class {:>2} {:<16} {told}", generator.class, generator.name);
    }
    eprintln!("{}", tally.told());
    assert!(
        noticed.len() >= NOTICED_MIN,
        "only these were noticed: {noticed:?}"
    );
}

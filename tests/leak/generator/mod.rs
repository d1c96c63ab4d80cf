//! A generator aimed at the classes of bypass that the gateway promises to refuse or to handle: scripts of statements
//! composed at random from the tricks of each class, each sent in a random choice of protocol. It must never write a canary.

mod expression;
mod query;
mod reading;
mod session;
mod smuggling;
mod writing;

use crate::{
    random::Random,
    script::{Describe, Extended, Script, Step, Way},
};
use query::Maker;

/// What one generator gives: statements, in order.
pub(crate) struct Draft {
    statements: Vec<(String, Vec<String>)>,
    /// Results depend on time or on what another session did.
    repeatable: bool,
    /// Never several statements in one text: BEGIN and END are its own.
    apart: bool,
}

impl Draft {
    fn of(statements: impl IntoIterator<Item = String>) -> Self {
        Self {
            statements: statements
                .into_iter()
                .map(|sql| (sql, Vec::new()))
                .collect(),
            repeatable: true,
            apart: false,
        }
    }

    fn one(sql: impl Into<String>) -> Self {
        Self::of([sql.into()])
    }

    fn unrepeatable(self) -> Self {
        Self {
            repeatable: false,
            ..self
        }
    }

    fn apart(self) -> Self {
        Self {
            apart: true,
            ..self
        }
    }
}

/// A trick, its class of bypass, and how often it is tried.
pub(crate) struct Generator {
    pub(crate) name: &'static str,
    pub(crate) class: u8,
    weight: usize,
    make: fn(&mut Maker<'_>) -> Draft,
}

const fn generator(
    name: &'static str,
    class: u8,
    weight: usize,
    make: fn(&mut Maker<'_>) -> Draft,
) -> Generator {
    Generator {
        name,
        class,
        weight,
        make,
    }
}

pub(crate) const GENERATORS: &[Generator] = &[
    generator("query", 6, 300, reading::query),
    generator("expression", 6, 120, reading::expression),
    generator("whole-row", 6, 25, reading::whole_row),
    generator("spelling", 2, 30, reading::spelling),
    generator("differential", 3, 20, reading::differential),
    generator("stacked", 1, 25, reading::stacked),
    generator("function", 4, 40, reading::function),
    generator("predicate", 7, 40, reading::predicate),
    generator("oracle", 7, 30, reading::oracle),
    generator("guess", 7, 60, writing::guess),
    generator("parameter", 7, 25, reading::parameter),
    generator("view", 6, 25, reading::view),
    generator("copy-to", 6, 30, reading::copy_to),
    generator("cursor", 5, 25, reading::cursor),
    generator("prepared", 5, 25, reading::prepared),
    generator("explain", 5, 20, reading::explain),
    generator("bad-cast", 9, 30, reading::bad_cast),
    generator("catalog", 9, 30, reading::catalog),
    generator("insert-select", 8, 40, writing::insert_select),
    generator("insert-values", 8, 30, writing::insert_values),
    generator("update-from", 8, 40, writing::update_from),
    generator("returning", 6, 40, writing::returning),
    generator("merge", 8, 25, writing::merge),
    generator("open-write", 8, 40, writing::open_write),
    generator("violation", 9, 40, writing::violation),
    generator("conflict", 8, 20, writing::conflict),
    generator("side-effect", 4, 30, writing::side_effect),
    generator("copy-from", 8, 15, writing::copy_from),
    generator("create-as", 8, 25, smuggling::create_as),
    generator("definition", 5, 30, smuggling::definition),
    generator("alteration", 8, 25, smuggling::alteration),
    generator("block", 5, 20, smuggling::block),
    generator("call", 5, 10, smuggling::call),
    generator("large-object", 8, 10, smuggling::large_object),
    generator("notify", 8, 15, session::notify),
    generator("setting", 10, 30, session::setting),
    generator("search-path", 10, 25, session::search_path),
    generator("shadow", 10, 20, session::shadow),
    generator("role", 10, 10, session::role),
    generator("encoding", 10, 15, session::encoding),
    generator("transaction", 1, 20, session::transaction),
    generator("names", 11, 30, session::names),
];

/// Script number `number` of a run.
pub(crate) fn script(seed: u64, number: u64, only: Option<&str>) -> Script {
    let mut random = Random::new(seed, number);
    let generators: Vec<&Generator> = GENERATORS
        .iter()
        .filter(|generator| only.is_none_or(|only| generator.name == only))
        .collect();
    assert!(!generators.is_empty(), "no generator is called {only:?}");
    let weights: usize = generators.iter().map(|generator| generator.weight).sum();
    let mut place = random.below(weights);
    let generator = generators
        .iter()
        .find(|generator| {
            let here = place < generator.weight;
            place = place.saturating_sub(generator.weight);
            here
        })
        .unwrap();
    let draft = (generator.make)(&mut Maker::new(&mut random));
    let keeps = random.chance(if draft.statements.len() > 1 { 60 } else { 20 });
    deliver(&mut random, generator.name, draft, keeps)
}

/// Chooses the protocol.
fn deliver(random: &mut Random, name: &'static str, draft: Draft, keeps: bool) -> Script {
    let habit = random.below(6);
    let last = draft.statements.len() - 1;
    let steps = draft
        .statements
        .into_iter()
        .enumerate()
        .map(|(place, (sql, parameters))| {
            let way = match habit {
                // Behind the start of a copy no other message may come than its rows.
                _ if sql.contains("FROM STDIN") => Way::Extended(Extended {
                    rows_max: 0,
                    ..extended(random)
                }),
                _ if !parameters.is_empty() => Way::Extended(extended(random)),
                0 | 1 => Way::Simple,
                2 if !draft.apart && place < last => Way::Joined,
                2 => Way::Simple,
                3 => Way::Extended(extended(random)),
                4 if place < last => Way::Piped(extended(random)),
                4 => Way::Extended(extended(random)),
                _ if random.chance(40) => Way::Simple,
                _ => Way::Extended(extended(random)),
            };
            Step {
                sql,
                parameters,
                way,
            }
        })
        .collect();
    Script {
        name,
        steps,
        keeps,
        repeatable: draft.repeatable,
    }
}

/// A protocol for a statement that stands alone.
pub(crate) fn any_way(random: &mut Random) -> Way {
    if random.chance(40) {
        Way::Simple
    } else {
        Way::Extended(extended(random))
    }
}

fn extended(random: &mut Random) -> Extended {
    Extended {
        format: u8::from(random.chance(50)),
        describe: *random.pick(&[
            Describe::No,
            Describe::Statement,
            Describe::Portal,
            Describe::Portal,
            Describe::Both,
        ]),
        rows_max: *random.pick(&[0, 0, 0, 0, 1, 2]),
        named: random.chance(30),
        flush: random.chance(10),
    }
}

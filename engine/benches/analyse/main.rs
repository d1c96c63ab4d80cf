//! `cargo bench -p provost-engine --bench analyse`: what reading a statement costs, beside the parser binding's own parse of
//! the same text in the same interleaved rounds. Prints a table; ends with an error where a figure that must be reached is not.
//!
//! The analysis is all of [`sql::analyse`]: limits, parse, names, lineage, the sweep, literals, the fingerprint. The witness,
//! a second reader of the same text, is counted apart, and so is a text that one like it was read before ([`sql::Readings`]). What texts made to cost need is measured by the bench `costly`: it counts
//! allocations, which has a price of its own.

#![expect(
    clippy::expect_used,
    reason = "a bench whose preparation fails has nothing to say"
)]

#[path = "../decide/clock.rs"]
mod clock;

use std::{process::ExitCode, sync::Arc};

use provost_engine::{
    catalog::Catalog,
    schema,
    sql::{self, Context, Readings, Statement, Witness},
};

use self::clock::{Contender, count, duration, rounds};

/// What the statements are about: pgbench's tables and a small warehouse.
const SCHEMA: &str = include_str!("schema.sql");
/// The analysis costs at most this many times the binding's own parse.
const RATIO_MAX: f64 = 2.0;
/// And at most this many nanoseconds for pgbench's SELECT.
const PGBENCH_NANOSECONDS_MAX: f64 = 12_000.0;
/// The parsers recurse.
const STACK_BYTES: usize = 64 << 20;

/// The program's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let bench = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(measure)
        .expect("a thread starts");
    if bench.join().expect("the bench ends") {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn measure() -> bool {
    let catalog = schema::read(SCHEMA, "bench").expect("the schema is read");
    let mut reached = true;
    println!("Time for one text (median of interleaved rounds)\n");
    println!(
        "| statement | bytes | binding's parse | analysis | ratio | with the witness | one like it was read |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, text) in statements() {
        let times = times(&catalog, &text);
        let [parse, analysis, witnessed, alike] = times;
        let ratio = analysis / parse;
        println!(
            "| {name} | {} | {} | {} | {ratio:.2} | {} | {} |",
            count(text.len()),
            duration(parse * 1e-9),
            duration(analysis * 1e-9),
            duration(witnessed * 1e-9),
            duration(alike * 1e-9)
        );
        reached &= ratio <= RATIO_MAX;
        reached &= name != "pgbench select" || analysis <= PGBENCH_NANOSECONDS_MAX;
    }
    println!(
        "\n{} at most {RATIO_MAX} times the parse, and {} for pgbench's SELECT",
        if reached { "reached:" } else { "MISSED: " },
        duration(PGBENCH_NANOSECONDS_MAX * 1e-9)
    );
    reached
}

fn times(catalog: &Catalog, text: &str) -> [f64; 4] {
    let path: Vec<Arc<str>> = vec!["public".into()];
    let context = |witness| Context {
        catalog,
        search_path: &path,
        parameter_types: &[],
        names: &sql::NO_NAMES,
        witness,
    };
    let analyse = |witness| -> Vec<Statement> {
        sql::analyse(text.as_bytes(), &context(witness)).expect("the statement is understood")
    };
    let mut readings = Readings::default();
    let mut analyse_alike = || {
        let context = context(Witness::Deny);
        sql::analyse_within(text.as_bytes(), &context, usize::MAX, &mut readings)
            .is_some_and(|outcome| outcome.is_ok())
    };
    let understood = analyse(Witness::Deny);
    assert!(
        understood
            .iter()
            .all(|statement| statement.facts.opaque.is_empty())
    );
    let times = rounds(
        1,
        &mut [
            Contender::new(&mut |_| pg_query::parse(text, 0).is_ok()),
            Contender::new(&mut |_| !analyse(Witness::Off).is_empty()),
            Contender::new(&mut |_| !analyse(Witness::Deny).is_empty()),
            Contender::new(&mut |_| analyse_alike()),
        ],
    );
    times.try_into().expect("one time for each contender")
}

fn statements() -> Vec<(&'static str, String)> {
    let columns: Vec<String> = (1..=200).map(|number| format!("c{number}")).collect();
    let values: Vec<String> = (1..=200).map(|number| format!("${number}")).collect();
    vec![
        (
            "pgbench select",
            "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;".to_owned(),
        ),
        (
            "pgbench update",
            "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;".to_owned(),
        ),
        (
            "analytic, 20 lines",
            include_str!("analytic.sql").to_owned(),
        ),
        (
            "insert, 200 columns",
            format!(
                "INSERT INTO wide ({}) VALUES ({})",
                columns.join(", "),
                values.join(", ")
            ),
        ),
    ]
}

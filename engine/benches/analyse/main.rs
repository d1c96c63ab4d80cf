//! `cargo bench -p provost-engine --bench analyse`: what reading a statement costs, beside the parser binding's own parse of
//! the same text in the same interleaved rounds. Prints a table; ends with an error where a figure that must be reached is not.
//!
//! The analysis is all of [`sql::analyse`]: limits, parse, names, lineage, the sweep, literals, the fingerprint. The witness,
//! a second reader of the same text, is counted apart.

#![expect(
    clippy::expect_used,
    reason = "a bench whose preparation fails has nothing to say"
)]

#[path = "../decide/clock.rs"]
mod clock;

use std::{process::ExitCode, sync::Arc, time::Instant};

use provost_engine::{
    catalog::Catalog,
    schema,
    sql::{self, Context, Refusal, Statement, Witness},
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
    println!("| statement | bytes | binding's parse | analysis | ratio | with the witness |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, text) in statements() {
        let times = times(&catalog, &text);
        let [parse, analysis, witnessed] = times;
        let ratio = analysis / parse;
        println!(
            "| {name} | {} | {} | {} | {ratio:.2} | {} |",
            count(text.len()),
            duration(parse * 1e-9),
            duration(analysis * 1e-9),
            duration(witnessed * 1e-9)
        );
        reached &= ratio <= RATIO_MAX;
        reached &= name != "pgbench select" || analysis <= PGBENCH_NANOSECONDS_MAX;
    }
    extremes(&catalog);
    println!(
        "\n{} at most {RATIO_MAX} times the parse, and {} for pgbench's SELECT",
        if reached { "reached:" } else { "MISSED: " },
        duration(PGBENCH_NANOSECONDS_MAX * 1e-9)
    );
    reached
}

/// Texts that are made to cost: each ends in bounded time and memory, understood or refused.
fn extremes(catalog: &Catalog) {
    println!("\n| text made to cost | bytes | outcome | time | memory at most |");
    println!("|---|---:|---|---:|---:|");
    for (name, text) in costly() {
        let start = Instant::now();
        let mut outcome = String::new();
        let memory = allocation_counter::measure(|| {
            outcome = match analyse(catalog, &text, Witness::Deny) {
                Ok(_) => "understood".to_owned(),
                Err(refusal) => format!("{}: {}", refusal.sqlstate, refusal.message),
            };
        });
        println!(
            "| {name} | {} | {outcome} | {} | {} KB |",
            count(text.len()),
            duration(start.elapsed().as_secs_f64()),
            count(usize::try_from(memory.bytes_max / 1024).unwrap_or(usize::MAX))
        );
    }
}

fn costly() -> Vec<(&'static str, String)> {
    let list = |count: usize| {
        let numbers: Vec<String> = (1..=count).map(|number| format!("${number}")).collect();
        numbers.join(", ")
    };
    let rows = vec![format!("({})", ["1"; 4].join(", ")); 20_000].join(", ");
    let joins = |count: usize| {
        let items: Vec<String> = (0..count).map(|number| format!("wide w{number}")).collect();
        items.join(", ")
    };
    vec![
        (
            "10,000 parentheses",
            format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        ),
        (
            "10,000 nested subqueries",
            format!(
                "{}SELECT 1{}",
                "SELECT (".repeat(10_000),
                ")".repeat(10_000)
            ),
        ),
        (
            "a literal of 10 MB",
            format!("SELECT '{}'", "x".repeat(10 << 20)),
        ),
        (
            "a literal of 1,000,000 bytes",
            format!("SELECT '{}'", "x".repeat(1_000_000)),
        ),
        (
            "65,535 parameters in a list",
            format!("SELECT 1 FROM wide WHERE c1 IN ({})", list(65_535)),
        ),
        (
            "20,000 rows of VALUES",
            format!("INSERT INTO pgbench_accounts VALUES {rows}"),
        ),
        (
            "10,000 ANDed conditions",
            format!(
                "SELECT 1 FROM wide WHERE {}",
                vec!["c1 = c2"; 10_000].join(" AND ")
            ),
        ),
        (
            "500 joined tables of 200 columns, every column",
            format!("SELECT * FROM {}", joins(500)),
        ),
        (
            "60 joined tables of 200 columns, each row as one value",
            format!(
                "SELECT {} FROM {}",
                vec!["row(w0.*, w1.*, w2.*, w3.*)"; 400].join(", "),
                joins(60)
            ),
        ),
        (
            "100,000 dashes",
            format!("SELECT 1 {} 2", "-+".repeat(50_000)),
        ),
        (
            "comments, 10,000 deep",
            format!("{} SELECT 1", "/*".repeat(10_000)),
        ),
        (
            "1,000 statements",
            "SELECT abalance FROM pgbench_accounts WHERE aid = 1;".repeat(1_000),
        ),
    ]
}

fn times(catalog: &Catalog, text: &str) -> [f64; 3] {
    let analyse = |witness| analyse(catalog, text, witness).expect("the statement is understood");
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
        ],
    );
    times.try_into().expect("one time for each contender")
}

fn analyse(catalog: &Catalog, text: &str, witness: Witness) -> Result<Vec<Statement>, Refusal> {
    let path: Vec<Arc<str>> = vec!["public".into()];
    let context = Context {
        catalog,
        search_path: &path,
        parameter_types: &[],
        names: &sql::NO_NAMES,
        witness,
    };
    sql::analyse(text.as_bytes(), &context)
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

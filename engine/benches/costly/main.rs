//! `cargo bench -p provost-engine --bench costly`: texts that are made to cost, and what reading each comes to: the outcome, the time
//! of one reading, and the most memory held at once. What the parser's own code holds, which it frees after each text, isn't counted.

#![expect(
    clippy::expect_used,
    reason = "a bench whose preparation fails has nothing to say"
)]

use std::{sync::Arc, time::Instant};

use provost_engine::{
    catalog::Catalog,
    schema,
    sql::{self, Context, Refusal, Statement, Witness},
};

/// What the statements are about.
const SCHEMA: &str = include_str!("../analyse/schema.sql");
/// The parsers recurse.
const STACK_BYTES: usize = 64 << 20;

fn main() {
    let bench = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(|| measure(&schema::read(SCHEMA, "bench").expect("the schema is read")))
        .expect("a thread starts");
    bench.join().expect("the bench ends");
}

/// Texts that are made to cost: each ends in bounded time and memory, understood or refused.
fn measure(catalog: &Catalog) {
    println!("| text made to cost | bytes | outcome | time | memory at most |");
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
            "| {name} | {} | {outcome} | {:.3} ms | {} KB |",
            text.len(),
            start.elapsed().as_secs_f64() * 1e3,
            memory.bytes_max / 1024
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

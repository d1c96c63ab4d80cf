//! `cargo bench -p provost-engine --bench catalog`: what reading a server's catalog costs us, once the server has answered.
//! Prints the medians of reading an answer whole, from bytes to a catalog with its version.
//!
//! `PROVOST_CATALOG_ANSWER` names a file with an answer, such as `tests/bench/catalog.sh` leaves when it is told to keep it;
//! without it, the small answer of the tests is read.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench whose preparation fails has nothing to say, and its figures are what it is for"
)]

use std::{env, fs, time::Instant};

use provost_engine::catalog::Catalog;

/// How often it is read.
const ROUNDS: usize = 21;

fn main() {
    let answer = match env::var_os("PROVOST_CATALOG_ANSWER") {
        Some(file) => fs::read(file).expect("the answer can be read"),
        None => include_bytes!("../src/catalog/testdata/things.answer").to_vec(),
    };
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let catalog = Catalog::from_answer(&answer).expect("the answer is a catalog");
        times.push(start.elapsed());
        drop(catalog);
    }
    times.sort();
    let catalog = Catalog::from_answer(&answer).expect("the answer is a catalog");
    println!(
        "{} relations, {} bytes: {:.1} ms (least {:.1} ms, {ROUNDS} rounds)",
        catalog.relations().count(),
        answer.len(),
        times
            .get(ROUNDS / 2)
            .map_or(0.0, |time| time.as_secs_f64() * 1e3),
        times.first().map_or(0.0, |time| time.as_secs_f64() * 1e3),
    );
}

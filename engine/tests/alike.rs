//! Texts of PostgreSQL's own regression suite, each with other constants: what is read by an earlier reading is what reading it anew gives.

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use provost_engine::{
    catalog::Catalog,
    sql::{Context, Readings, Witness, analyse, analyse_within},
};

/// Of how many texts one is tried, where not all are (`PROVOST_ALIKE_ALL`).
const SHARE: usize = 10;

/// The text with another digit in each place that has one, and other letters in what is quoted: often of the same likeness.
fn varied(text: &str, by: u8) -> String {
    let mut is_quoted = false;
    let vary = |character: char| {
        is_quoted ^= character == '\'';
        match character {
            '0'..='9' => char::from(b'0' + (character as u8 - b'0' + by) % 10),
            'a'..='z' if is_quoted => char::from(b'a' + (character as u8 - b'a' + by) % 26),
            other => other,
        }
    };
    text.chars().map(vary).collect()
}

/// The folder that `tests/regress/fetch.sh` filled.
fn folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(beside, PathBuf::from);
    target.join("regress/sql")
}

#[test]
fn texts_of_the_regression_suite_are_read_alike() {
    let is_all = env::var_os("PROVOST_ALIKE_ALL").is_some();
    let catalog = Catalog::from_answer(include_bytes!("../src/sql/testdata/shop.answer")).unwrap();
    let mut texts = Vec::new();
    let files = fs::read_dir(folder()).unwrap_or_else(|error| {
        panic!("no regression files ({error}): run `sh tests/regress/fetch.sh`")
    });
    for file in files {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let file = String::from_utf8_lossy(&bytes).into_owned();
        texts.extend(file.split(";\n").map(|text| text.trim().to_owned()));
    }
    texts.sort();
    let chosen = texts.iter().step_by(if is_all { 1 } else { SHARE });
    let work = || {
        let context = Context::public(&catalog, Witness::Deny);
        let mut understood = 0;
        for text in chosen {
            let mut readings = Readings::default();
            for by in 0..6 {
                let text = varied(text, by);
                let anew = analyse(text.as_bytes(), &context);
                understood += usize::from(anew.is_ok());
                let found = analyse_within(text.as_bytes(), &context, usize::MAX, &mut readings);
                assert_eq!(found, Some(anew), "{text}");
            }
        }
        understood
    };
    let understood = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        thread.spawn_scoped(scope, work).unwrap().join().unwrap()
    });
    assert!(understood > 1_000, "only {understood} were understood");
}

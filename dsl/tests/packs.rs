//! The starter packs: their tests pass, every rule is covered, every invariant is proved, and no rule could be switched
//! off without a test or an invariant noticing.

#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use provost_dsl::{
    Colours, Source, compile, load,
    testing::{Filter, Report, run},
};

const PACKS: [&str; 4] = [
    "ai-agent",
    "pci-cards",
    "personal-data",
    "read-only-analyst",
];

fn folder(pack: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../policies")
        .join(pack)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Loads a folder and runs its tests: all pass, every rule is covered, every invariant is proved, nothing is warned of.
#[track_caller]
fn check(folder: &Path) -> Report {
    let compiled = load(folder).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
    let report = run(folder, &compiled, Filter::All).unwrap();
    let text = report.text(Colours::None);
    assert!(report.is_good(), "{text}");
    assert_eq!(report.uncovered().count(), 0, "{text}");
    report
}

#[test]
fn packs_pass_their_own_tests() {
    // Tests, invariants and rules: a pack that loses some is seen here.
    let expected = [(16, 2, 10), (17, 3, 9), (18, 1, 8), (12, 1, 6)];
    for (pack, expected) in PACKS.into_iter().zip(expected) {
        let report = check(&folder(pack));
        let found = (
            report.results.len(),
            report.invariants.len(),
            report.rules.len(),
        );
        assert_eq!(found, expected, "{pack}");
    }
}

#[test]
fn the_demo_passes_its_own_tests() {
    let report = check(&folder("../examples/demo/policy"));
    assert_eq!((report.results.len(), report.rules.len()), (16, 13));
}

#[test]
fn packs_go_together() {
    let all = tempfile::tempdir().unwrap();
    for pack in PACKS {
        let target = all.path().join(pack);
        fs::create_dir(&target).unwrap();
        for file in files(&folder(pack)) {
            fs::copy(&file, target.join(file.file_name().unwrap())).unwrap();
        }
    }
    check(all.path());
}

#[test]
fn every_rule_of_a_pack_matters() {
    for pack in PACKS {
        let folder = folder(pack);
        let texts: Vec<Source> = files(&folder)
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "pol"))
            .map(|path| Source {
                path: path.file_name().unwrap().into(),
                text: fs::read_to_string(&path).unwrap(),
            })
            .chain([Source {
                path: "<built-in>/baseline.pol".into(),
                text: fs::read_to_string(self::folder("baseline").join("baseline.pol")).unwrap(),
            }])
            .collect();
        let rules = load(&folder).unwrap().places;
        assert!(!rules.is_empty());
        for rule in rules {
            let mut without = texts.clone();
            let source = without
                .iter_mut()
                .find(|source| source.path == Path::new(&rule.path))
                .unwrap();
            let line = format!("rule {}\n", rule.name);
            assert!(source.text.contains(&line));
            source.text = source.text.replace(&line, &format!("{line}  observe\n"));
            // Its invariants may notice first: then the set does not compile.
            let compiled = match compile(&without) {
                Ok(compiled) => compiled,
                Err(found) => {
                    let mut messages = found.iter().map(|one| one.message());
                    assert!(
                        messages
                            .any(|message| message.starts_with("the rules break the invariant")),
                        "{found:?}"
                    );
                    continue;
                }
            };
            let report = run(&folder, &compiled, Filter::All).unwrap();
            assert!(
                report.failed().next().is_some(),
                "{pack}: nothing notices that `{}` is not enforced",
                rule.name
            );
        }
    }
}

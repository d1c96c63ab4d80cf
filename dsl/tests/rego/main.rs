//! The pack of `examples/rego` in both languages: what the rules decide and what the modules decide is the same, whatever
//! the statement.
//!
//! `PROVOST_REGO_PAIRS` says how many random statements are decided by both; 10,000 where it is not set.

// Helpers are tests too: what clippy leaves to tests (clippy.toml) holds for all of this.
#![cfg(test)]

mod random;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use provost_dsl::{Colours, LoadError, Source, compile, load, render};
use provost_engine::{
    graph::Policy,
    verdict::{Decision, Verdict},
};

use self::random::Random;

/// How many statements are decided over one session, as over one that is held open.
const STATEMENTS: usize = 10;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn pack(language: &str) -> Policy {
    match load(&repository().join("examples/rego").join(language)) {
        Ok(compiled) => compiled.policy,
        Err(LoadError::Invalid { diagnostics }) => {
            panic!("{}", render(&diagnostics, Colours::None))
        }
        Err(error) => panic!("{error}"),
    }
}

/// A rule's name in the pack, whichever language says it.
fn short(name: &str) -> &str {
    match name {
        "rego:provost.masking" => "mask-pii",
        _ => name.strip_prefix("rego:provost/").unwrap_or(name),
    }
}

/// A decision without what only says in which language it was written.
fn shown(policy: &Policy, decision: &Decision) -> String {
    let Decision {
        verdict,
        rules,
        masks,
        mask_bound,
        limits,
        recording,
        approvals,
        held_transaction,
        glass,
        probes,
        rests_on_views,
        reasons,
        needs,
        observed,
    } = decision;
    let masks: Vec<_> = masks
        .iter()
        .map(|mask| {
            (
                mask.output,
                &mask.transform,
                &mask.class,
                &mask.sources,
                &mask.controls,
            )
        })
        .collect();
    // A rule refuses an access, a module the statement: what else is refused of that access is said in one of them only.
    let is_refused = reasons.iter().any(|reason| reason.rule.is_some());
    let mut reasons: Vec<String> = reasons
        .iter()
        .filter(|reason| reason.rule.is_some() == is_refused)
        .map(|reason| {
            let rule = reason.rule.as_deref().map(short);
            // What would pass is known of a rule's conditions, and not of a module.
            format!("{rule:?}: {}", reason.message)
        })
        .collect();
    reasons.sort();
    reasons.dedup();
    let controls = policy.controls(rules);
    format!(
        "{verdict:?} {masks:?} {mask_bound} {limits:?} {recording:?} {approvals:?} {held_transaction:?} {glass:?} {probes:?} {rests_on_views} {needs:?} {observed:?} {controls:?}\n{reasons:#?}"
    )
}

#[test]
fn both_languages_decide_alike() {
    let pairs: usize = std::env::var("PROVOST_REGO_PAIRS")
        .ok()
        .map_or(10_000, |count| count.parse().expect("a number"));
    let (rules, modules) = (pack("pol"), pack("rego"));
    assert_eq!(modules.modules().len(), 2, "both modules are there");
    let mut random = Random(20_261_121);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut masked = 0;
    for session in 0..pairs.div_ceil(STATEMENTS) {
        let session_of = random.session();
        let now = Timestamp::UNIX_EPOCH;
        let views = (rules.view(&session_of, now), modules.view(&session_of, now));
        for statement in 0..STATEMENTS {
            let facts = random.facts();
            let circumstances = random.circumstances();
            let by_rules = rules.decide(&views.0, &facts, &circumstances);
            let by_modules = modules.decide(&views.1, &facts, &circumstances);
            *seen.entry(by_rules.verdict.name()).or_default() += 1;
            masked += usize::from(!by_rules.masks.is_empty());
            let (left, right) = (shown(&rules, &by_rules), shown(&modules, &by_modules));
            assert_eq!(
                left, right,
                "session {session}, statement {statement}: {:#?}\n{facts:#?}\n{circumstances:?}",
                session_of.principal
            );
        }
    }
    // A test on statements that are all denied would say nothing.
    for verdict in [Verdict::Allow, Verdict::Hold, Verdict::Deny] {
        let count = seen.get(verdict.name()).copied().unwrap_or_default();
        assert!(
            count * 100 > pairs,
            "{}: {count} of {pairs}",
            verdict.name()
        );
    }
    assert!(masked * 100 > pairs, "masked: {masked} of {pairs}");
    println!("{pairs} statements: {seen:?}, masked: {masked}");
}

/// What stands in a page's blocks of one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let path = repository().join(page);
    let text = std::fs::read_to_string(&path).expect("the page is there");
    text.split(&format!("```{language}\n"))
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block.to_owned())
        .collect()
}

#[test]
fn the_modules_of_the_page_are_valid() {
    let blocks = blocks("docs/rego.md", "rego");
    assert!(!blocks.is_empty());
    for block in blocks {
        let source = Source {
            path: "page.rego".into(),
            text: block.clone(),
        };
        if let Err(diagnostics) = compile(&[source]) {
            panic!("{}\n{block}", render(&diagnostics, Colours::None));
        }
    }
}

/// Each command is tried here as the program does it, or is how this test is run.
#[test]
fn the_commands_of_the_example_work() {
    let blocks = blocks("examples/rego/README.md", "sh");
    assert!(!blocks.is_empty());
    for command in blocks.iter().flat_map(|block| block.lines()) {
        if let Some(folder) = command.strip_prefix("provost policy check ") {
            let loaded = load(&repository().join(folder)).expect(command);
            assert_eq!(loaded.warnings.len(), 0, "{command}");
        } else {
            assert_eq!(
                command,
                "PROVOST_REGO_PAIRS=100000 cargo test -p provost-dsl --test rego"
            );
        }
    }
}

/// What a set's declarations are in which files, and in which order, is no part of what they mean.
#[test]
fn the_order_of_files_and_declarations_says_nothing() {
    let read = |path: &str| {
        std::fs::read_to_string(repository().join("examples/rego").join(path)).expect("is there")
    };
    let rules = read("pol/pack.pol");
    let modules = [
        ("agents.rego", read("rego/agents.rego")),
        ("masking.rego", read("rego/masking.rego")),
    ];
    let source = |path: String, text: &str| Source {
        path: path.into(),
        text: text.to_owned(),
    };
    let compiled = |sources: &[Source]| match compile(sources) {
        Ok(compiled) => compiled.policy,
        Err(diagnostics) => panic!("{}", render(&diagnostics, Colours::None)),
    };
    let whole = [("pack.pol", rules.clone())]
        .into_iter()
        .chain(modules.clone());
    let whole: Vec<Source> = whole
        .map(|(path, text)| source(path.into(), &text))
        .collect();
    let expected = compiled(&whole);
    let mut random = Random(7);
    for _ in 0..20 {
        let mut reversed = whole.clone();
        random.shuffle(&mut reversed);
        assert_eq!(compiled(&reversed).digest(), expected.digest());
        let mut parts: Vec<&str> = rules.split("\n\n").collect();
        random.shuffle(&mut parts);
        let mut sources: Vec<Source> = parts
            .chunks(1 + random.below(4))
            .enumerate()
            .map(|(number, parts)| source(format!("{number}.pol"), &parts.join("\n\n")))
            .collect();
        for (path, text) in &modules {
            sources.push(source(format!("{}/{path}", random.below(3)), text));
        }
        random.shuffle(&mut sources);
        let other = compiled(&sources);
        for _ in 0..20 {
            let session = random.session();
            let views =
                [&expected, &other].map(|policy| policy.view(&session, Timestamp::UNIX_EPOCH));
            for _ in 0..5 {
                let (facts, circumstances) = (random.facts(), random.circumstances());
                let [left, right] = [(&expected, &views[0]), (&other, &views[1])]
                    .map(|(policy, view)| policy.decide(view, &facts, &circumstances));
                assert_eq!(left, right, "{sources:#?}\n{facts:#?}");
            }
        }
    }
}

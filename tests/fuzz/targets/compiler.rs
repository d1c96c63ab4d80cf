//! Any text through the whole compiler, down to the decision graph and the proofs of its invariants. Must never panic,
//! hang, or refuse without a reason; what compiles must compile again to the same.

#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use provost_dsl::{Colours, Source, compile, render};

fuzz_target!(|text: &str| {
    let source = Source {
        path: PathBuf::from("fuzz.pol"),
        text: text.to_owned(),
    };
    match compile(std::slice::from_ref(&source)) {
        Ok(compiled) => {
            assert!(compiled.warnings.iter().all(|one| !one.is_error()));
            assert_eq!(compiled.rules, compiled.policy.rule_count());
            render(compiled.warnings.iter().take(20), Colours::None);
        }
        Err(diagnostics) => {
            let error = diagnostics.iter().find(|one| one.is_error());
            assert!(error.is_some(), "refused without an error");
            for diagnostic in &diagnostics {
                assert!(text.is_char_boundary(diagnostic.offset()), "{diagnostic}");
            }
            render(diagnostics.iter().take(20), Colours::None);
        }
    }
});

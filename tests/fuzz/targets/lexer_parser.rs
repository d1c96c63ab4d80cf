//! Any text through lexer and parser, and what they say of it through the renderer. Must never panic, hang or point
//! outside the text.

#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use provost_dsl::{Colours, Source, render, syntax};

fuzz_target!(|text: &str| {
    let source = Source {
        path: PathBuf::from("fuzz.pol"),
        text: text.to_owned(),
    };
    let diagnostics = syntax(&source);
    for diagnostic in &diagnostics {
        assert!(text.is_char_boundary(diagnostic.offset()), "{diagnostic}");
        assert!(!diagnostic.message().is_empty());
    }
    let said = render(diagnostics.iter().take(20), Colours::None);
    assert_eq!(said.is_empty(), diagnostics.is_empty());
});

//! What the author of a long policy with many mistakes reads, compared with `tests/golden`. Must never end at the first.

use expect_test::expect_file;
use provost_dsl::{Diagnostic, compile};

use crate::{rendered, source};

#[test]
fn two_hundred_rules_with_a_slip_in_each_kind_of_clause() {
    let text = include_str!("../golden/mistakes.pol");
    let rules = text.lines().filter(|line| line.starts_with("rul")).count();
    assert_eq!(rules, 200);
    let diagnostics = compile(&[source("mistakes.pol", text)]).expect_err("it is full of mistakes");
    expect_file!["../golden/mistakes.txt"].assert_eq(&rendered(&diagnostics));
    for diagnostic in &diagnostics {
        assert_is_readable(diagnostic);
    }
}

/// One line, lower-case, and never in the words of the grammar.
#[track_caller]
fn assert_is_readable(diagnostic: &Diagnostic) {
    let message = diagnostic.message();
    assert!(!message.contains('\n'), "{message}");
    assert!(!message.ends_with('.'), "{message}");
    assert!(
        !message.starts_with(|letter: char| letter.is_uppercase()),
        "{message}"
    );
    for internal in ["Token", "UnrecognizedToken", "@L", "Spanned", "Listed"] {
        let help = diagnostic.help_text().unwrap_or_default();
        assert!(
            !message.contains(internal) && !help.contains(internal),
            "{message} {help}"
        );
    }
}

#[test]
fn invariants_that_do_not_hold_are_errors_with_a_way_round_them() {
    let text = include_str!("../golden/invariants.pol");
    let diagnostics = compile(&[source("invariants.pol", text)]).expect_err("rules break them");
    expect_file!["../golden/invariants.txt"].assert_eq(&rendered(&diagnostics));
}

//! Texts that are policies, and what they lower to.

use provost_dsl::{Diagnostic, compile};

use crate::source;

#[test]
fn the_sketch_of_the_language_compiles_verbatim() {
    let compiled = compile(&[source("sketch.pol", include_str!("../golden/sketch.pol"))])
        .expect("it compiles");
    let warnings: Vec<&str> = compiled.warnings.iter().map(Diagnostic::message).collect();
    assert_eq!(
        warnings,
        [
            "the class `cards` is not used",
            "the class `hr` is not used"
        ]
    );
    assert_eq!(compiled.rules, 6);
    let names: Vec<&str> = compiled.tests.iter().map(|test| &*test.name).collect();
    assert_eq!(
        names,
        [
            "the ssn is masked inside an expression too",
            "a bulk delete waits for two people"
        ]
    );
}

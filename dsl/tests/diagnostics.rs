//! What authors are told: whole rendered diagnostics for mistaken policies. Must never accept one of them.

#![cfg(test)]

use std::path::PathBuf;

use expect_test::{Expect, expect};
use provost_dsl::{Colours, Diagnostic, Source, compile, render};

fn source(path: &str, text: &str) -> Source {
    Source {
        path: PathBuf::from(path),
        text: text.to_owned(),
    }
}

/// A first line without indentation keeps the expectation's own indentation apart from the rendered one.
fn rendered(diagnostics: &[Diagnostic]) -> String {
    format!("diagnostics\n{}", render(diagnostics, Colours::None))
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    let diagnostics = compile(&[source("test.pol", text)]).expect_err("the policy has a mistake");
    expected.assert_eq(&rendered(&diagnostics));
}

/// Messages and help alone, for the many small ones.
#[track_caller]
fn check_short(text: &str, expected: Expect) {
    let diagnostics = compile(&[source("test.pol", text)]).expect_err("the policy has a mistake");
    let lines: Vec<String> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .map(|diagnostic| match diagnostic.help_text() {
            Some(help) => format!(
                "{}: {} ({help})\n",
                diagnostic.offset(),
                diagnostic.message()
            ),
            None => format!("{}: {}\n", diagnostic.offset(), diagnostic.message()),
        })
        .collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn an_unknown_control_is_shown_with_the_nearest() {
    check(
        "controls nist = nist-800-53\nrule r\n  allow read for anyone\n  satisfies nist.AC-3(1)\n",
        expect![[r#"
            diagnostics
              × `AC-3(1)` is not in the catalogue of NIST SP 800-53
               ╭─[test.pol:4:18]
             3 │   allow read for anyone
             4 │   satisfies nist.AC-3(1)
               ·                  ───┬───
               ·                     ╰── unknown control
               ╰────
              help: did you mean `AC-3(10)`?
        "#]],
    );
}

#[test]
fn several_mistakes_are_found_in_one_run() {
    check(
        "group agents = \"ai\"\n\nrule one\n  allow raed on public.* for agent\n\nrule two\n  mask pii for anyone\n  wiht redact\n\nrule two\n  deny ddl for agents\n",
        expect![[r#"
            diagnostics
              × unknown operation `raed`
               ╭─[test.pol:4:9]
             3 │ rule one
             4 │   allow raed on public.* for agent
               ·         ──┬─
               ·           ╰── no such operation
             5 │ 
               ╰────
              help: did you mean `read`?
              × unknown group `agent`
               ╭─[test.pol:4:30]
             3 │ rule one
             4 │   allow raed on public.* for agent
               ·                              ──┬──
               ·                                ╰── not declared
             5 │ 
               ╰────
              help: did you mean `agents`?
              × unknown class `pii`
               ╭─[test.pol:7:8]
             6 │ rule two
             7 │   mask pii for anyone
               ·        ─┬─
               ·         ╰── not declared
             8 │   wiht redact
               ╰────
              × `wiht` is not expected here
               ╭─[test.pol:8:3]
             7 │   mask pii for anyone
             8 │   wiht redact
               ·   ──┬─
               ·     ╰── unexpected
             9 │ 
               ╰────
              help: did you mean `with`?
              × two declarations of the rule `two`
                ╭─[test.pol:10:6]
              5 │ 
              6 │ rule two
                ·      ─┬─
                ·       ╰── first declared here
              7 │   mask pii for anyone
              8 │   wiht redact
              9 │ 
             10 │ rule two
                ·      ─┬─
                ·       ╰── declared again
             11 │   deny ddl for agents
                ╰────
        "#]],
    );
}

#[test]
fn what_is_not_there_yet_is_named() {
    for (text, expected) in [
        (
            "rule r\n  hold update on public.* for anyone\n  when not bounded\n  until 2 of dbas approve within 15 min",
            expect![[r#"
            9: `hold` is not part of this version yet (rules are `allow`, `deny` and `mask` so far)
            65: `until` is not part of this version yet (rules are `allow`, `deny` and `mask` so far)
        "#]],
        ),
        (
            "rule r limit rows 10_000 per statement for anyone",
            expect![[r#"
            7: `limit` is not part of this version yet (rules are `allow`, `deny` and `mask` so far)
        "#]],
        ),
        (
            "rule r record results for anyone",
            expect![[r#"
            7: `record` is not part of this version yet (rules are `allow`, `deny` and `mask` so far)
        "#]],
        ),
        (
            "invariant i\n  never allow delete on public.* for anyone when not bounded",
            expect![[r#"
            0: `invariant` is not part of this version yet (rules are `allow`, `deny` and `mask` so far)
        "#]],
        ),
        (
            "test \"t\" { schema \"shop.sql\" run \"SELECT 1\" expect allow }",
            expect![[r#"
            0: `test` is not part of this version yet (rules are `allow`, `deny` and `mask` so far)
        "#]],
        ),
        (
            "rule r allow read for anyone when estimated_rows > 1_000",
            expect![[r#"
            34: `estimated_rows > 1_000` in a condition is not part of this version yet (conditions ask for `filtered` and `bounded` so far)
        "#]],
        ),
        (
            "rule r allow read for anyone when bounded by tenant_id = principal.claims.tenant",
            expect![[r#"
            34: `bounded by` in a condition is not part of this version yet (conditions ask for `filtered` and `bounded` so far)
        "#]],
        ),
        (
            "rule r allow read for anyone when principal.kind",
            expect![[r#"
            34: `principal.kind` in a condition is not part of this version yet (conditions ask for `filtered` and `bounded` so far)
        "#]],
        ),
        (
            "class c = a.b rule r mask c for anyone probing lookup",
            expect![[r#"
            47: `probing lookup` is not part of this version yet (write `probing deny`)
        "#]],
        ),
        (
            "class c = a.b rule r mask c for anyone with hash",
            expect![[r#"
            44: the mask `hash` is not part of this version yet (masks are `redact`, `null`, `last 4`, `first 4`, `keep domain` and `constant "text"`)
        "#]],
        ),
        (
            "class c = a.b rule r mask c for anyone with round to 10",
            expect![[r#"
            44: the mask `round to` is not part of this version yet (masks are `redact`, `null`, `last 4`, `first 4`, `keep domain` and `constant "text"`)
        "#]],
        ),
        (
            "class c = a.b rule r mask c for anyone when bounded",
            expect![[r#"
            39: `when` on a mask is not part of this version yet (a mask holds for whomever it is for, whatever the statement)
        "#]],
        ),
    ] {
        check_short(text, expected);
    }
}

#[test]
fn names_are_checked() {
    for (text, expected) in [
        (
            "controls n = nist-800-35",
            expect![[r#"
            13: unknown framework `nist-800-35` (did you mean `nist-800-53`?)
        "#]],
        ),
        (
            "rule r allow read for anyone satisfies nist.AC-3",
            expect![[r#"
            39: unknown controls alias `nist`
        "#]],
        ),
        (
            "controls n = nist-ai-rmf rule r allow read for anyone satisfies n.GOVERN 1.3",
            expect![[r#"
            66: `GOVERN 1.3` is not in the catalogue of NIST AI Risk Management Framework (did you mean `GOVERN 1.2`?)
        "#]],
        ),
        (
            "rule r allow read for agents",
            expect![[r#"
            22: unknown group `agents`
        "#]],
        ),
        (
            "group agents = \"a\" rule r allow read for anyone except agent",
            expect![[r#"
            55: unknown group `agent` (did you mean `agents`?)
        "#]],
        ),
        (
            "class pii = a.b rule r mask pi for anyone",
            expect![[r#"
            28: unknown class `pi` (did you mean `pii`?)
        "#]],
        ),
        (
            "class pii = a.b.{ssn, email} rule r mask pii for anyone with emial: keep domain",
            expect![[r#"
            61: column `emial` is not in the masked classes (did you mean `email`?)
        "#]],
        ),
        (
            "class pii = a.b.ssn rule r mask pii for anyone with redcat",
            expect![[r#"
            52: unknown mask `redcat` (did you mean `redact`?)
        "#]],
        ),
        (
            "class pii = a.b.ssn rule r mask pii for anyone with last",
            expect![[r#"
            52: `last` is not written like this (masks are `redact`, `null`, `last 4`, `first 4`, `keep domain` and `constant "text"`)
        "#]],
        ),
        (
            "class pii = a.b.ssn rule r mask pii for anyone with last 0",
            expect![[r#"
            57: `0` is no number of characters
        "#]],
        ),
        (
            "class pii = a.b.ssn rule r mask pii for anyone probing maybe",
            expect![[r#"
            55: unknown way of probing `maybe` (known are `allow`, `deny`)
        "#]],
        ),
        (
            "rule r allow read for anyone when bound",
            expect![[r#"
            34: unknown attribute `bound` (known are `bounded`, `filtered`)
        "#]],
        ),
        (
            "exclude baselin",
            expect![[r#"
            8: unknown pack `baselin` (did you mean `baseline`?)
        "#]],
        ),
    ] {
        check_short(text, expected);
    }
}

#[test]
fn rules_are_whole() {
    for (text, expected) in [
        (
            "rule r",
            expect![[r#"
            5: rule `r` does not say for whom (add `for anyone`, or `for` and groups)
            5: rule `r` does nothing (add `allow`, `deny` or `mask`)
        "#]],
        ),
        (
            "rule r allow read",
            expect![[r#"
            5: rule `r` does not say for whom (add `for anyone`, or `for` and groups)
        "#]],
        ),
        (
            "rule r for anyone",
            expect![[r#"
            5: rule `r` does nothing (add `allow`, `deny` or `mask`)
        "#]],
        ),
        (
            "rule r allow read deny write for anyone",
            expect![[r#"
            18: a second effect in one rule (write a rule of its own for it)
        "#]],
        ),
        (
            "rule r allow read for anyone for anyone",
            expect![[r#"
            29: a second `for` in one rule (write a rule of its own for it)
        "#]],
        ),
        (
            "rule r allow read for anyone with redact",
            expect![[r#"
            29: `with` is for masks (only `mask` rules transform values)
        "#]],
        ),
        (
            "rule r allow read on a.b.c for anyone",
            expect![[r#"
            21: a rule is about whole relations (write `schema.relation`; for columns, declare a class and mask it)
        "#]],
        ),
        (
            "class c =",
            expect![[r#"
            0: a class with no columns (a class lists columns: `class pii = public.customers.{ssn, email}`)
        "#]],
        ),
        (
            "class c = a",
            expect![[r#"
            10: a class is made of columns (write `schema.relation.column`, or `schema.relation` for all its columns)
        "#]],
        ),
        (
            "class c = a.{}",
            expect![[r#"
            13: `}` is not expected here (expected a name or a text in quotes)
        "#]],
        ),
        (
            "group g = agents",
            expect![[r#"
            10: `agents` is not expected here (expected a text in quotes)
        "#]],
        ),
        (
            "class c = a.b.{x, y} rule r mask c for anyone with x: null, x: redact, otherwise null, otherwise redact",
            expect![[r#"
            60: two transforms for column `x`
            87: `otherwise` twice
        "#]],
        ),
        (
            "class c = a.b.{x, y} rule r mask c for anyone with x: null, redact",
            expect![[r#"
            60: a transform without a column (write `column: transform`, or `otherwise transform` for the rest)
        "#]],
        ),
    ] {
        check_short(text, expected);
    }
}

#[test]
fn text_that_is_no_policy() {
    for (text, expected) in [
        (
            "allow read for anyone",
            expect![[r#"
            0: `allow` begins no declaration (a file is made of `controls`, `group`, `class`, `rule` and `exclude`)
        "#]],
        ),
        (
            "rule r ; allow read for anyone",
            expect![[r#"
            7: nothing in the language looks like this
        "#]],
        ),
        (
            "rule r allow read for anyone because \"open\nrule s allow raed for anyone",
            expect![[r#"
            36: the declaration ends too early (expected a text in quotes)
            37: a text is not closed on its line
            56: unknown operation `raed` (did you mean `read`?)
        "#]],
        ),
        (
            "rule r allow read on public.{a, b for anyone\nrule s allow raed for anyone",
            expect![[r#"
            34: `for` is not expected here (expected `,` or `}`)
            45: `rule` is not expected here
            58: unknown operation `raed` (did you mean `read`?)
            63: a second `for` in one rule (write a rule of its own for it)
        "#]],
        ),
        (
            "rule r allow read for anyone extra words here satisfies",
            expect![[r#"
            29: `extra` is not expected here
            55: the declaration ends too early (expected a name)
        "#]],
        ),
        (
            "}}}}",
            expect![[r#"
            0: `}` begins no declaration (a file is made of `controls`, `group`, `class`, `rule` and `exclude`)
        "#]],
        ),
    ] {
        check_short(text, expected);
    }
}

#[test]
fn deep_conditions_are_refused_not_overflowed() {
    let text = format!(
        "rule r allow read for anyone when {}bounded{}",
        "(".repeat(100_000),
        ")".repeat(100_000)
    );
    check_short(
        &text,
        expect![[r#"
            534: more than 500 operators and parentheses in one declaration
        "#]],
    );
}

#[test]
fn declarations_clash_across_files() {
    let diagnostics = compile(&[
        source("b.pol", "rule r allow read for anyone"),
        source("a.pol", "rule r deny read for anyone"),
    ])
    .expect_err("two rules of one name");
    expect![[r#"
        diagnostics
          × two declarations of the rule `r`
           ╭─[b.pol:1:6]
         1 │ rule r allow read for anyone
           ·      ┬
           ·      ╰── declared again
           ╰────
          help: it is first declared in `a.pol`
    "#]]
    .assert_eq(&rendered(&diagnostics));
}

#[test]
fn what_is_not_used_is_a_warning() {
    let text =
        "controls n = nist-csf\ngroup g = \"g\"\nclass c = a.b\nrule r allow read for anyone";
    let compiled = compile(&[source("test.pol", text)]).expect("valid");
    expect![[r#"
        diagnostics
          ⚠ the controls alias `n` is not used
           ╭─[test.pol:1:10]
         1 │ controls n = nist-csf
           ·          ┬
           ·          ╰── no rule names it
         2 │ group g = "g"
           ╰────
          ⚠ the group `g` is not used
           ╭─[test.pol:2:7]
         1 │ controls n = nist-csf
         2 │ group g = "g"
           ·       ┬
           ·       ╰── no rule names it
         3 │ class c = a.b
           ╰────
          ⚠ the class `c` is not used
           ╭─[test.pol:3:7]
         2 │ group g = "g"
         3 │ class c = a.b
           ·       ┬
           ·       ╰── no rule names it
         4 │ rule r allow read for anyone
           ╰────
    "#]]
    .assert_eq(&rendered(&compiled.warnings));
}

#[test]
fn names_that_are_words_of_the_language() {
    let text = "class c = public.group.{rule, test, hold}\nrule r mask c for anyone with \"rule\": null\n\
                rule s allow read on public.{for, when, record}, public.limit for anyone # comment\n";
    compile(&[source("test.pol", text)])
        .map(|_| ())
        .unwrap_or_else(|found| panic!("{}", render(&found, Colours::None)));
}

#[test]
fn the_digest_is_of_the_set_not_of_its_order() {
    let (a, b) = (
        source("a.pol", "rule a allow read for anyone"),
        source("b.pol", "rule b deny ddl for anyone"),
    );
    let digest = |sources: &[Source]| compile(sources).expect("valid").policy.digest().clone();
    assert_eq!(
        digest(&[a.clone(), b.clone()]),
        digest(&[b.clone(), a.clone()])
    );
    assert_ne!(
        digest(&[a.clone(), b.clone()]),
        digest(std::slice::from_ref(&a))
    );
    assert_ne!(digest(&[a]), digest(&[source("c.pol", &b.text)]));
}

#[test]
fn the_example_of_the_reference_compiles() {
    let reference = include_str!("../../docs/language.md");
    let example = reference.split("```").nth(1).expect("an example");
    let compiled = compile(&[source("language.pol", example)]).expect("valid");
    assert_eq!(compiled.rules, 3);
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_every_refusal_says_why(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "rule", "r", "class", "group", "controls", "exclude", "allow", "deny", "mask", "for", "anyone", "except", "on",
            "when", "not", "and", "or", "bounded", "by", "with", "otherwise", "redact", "last", "4", "probing", "because",
            "\"text\"", "satisfies", "=", ".", ",", "*", "{", "}", "(", ")", ":", "<", "hold", "until", "invariant", "test",
            "\"open", ";", "# comment\n", "é", "a.b", "read", "nist-csf", "\n",
        ]), 0..30)
    ) {
        let text = words.join(" ");
        if let Err(found) = compile(&[source("test.pol", &text)]) {
            proptest::prop_assert!(found.iter().any(Diagnostic::is_error));
            proptest::prop_assert!(!render(&found, Colours::None).is_empty());
        }
    }

    #[test]
    fn no_characters_panic(text in "\\PC{0,60}") {
        if let Err(found) = compile(&[source("test.pol", &text)]) {
            proptest::prop_assert!(!render(&found, Colours::Ansi).is_empty());
        }
    }
}

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
    expected.assert_eq(&short(text));
}

/// The same for a list of policies, each shown before what is said of it.
#[track_caller]
fn check_each(texts: &[&str], expected: Expect) {
    let said: Vec<String> = texts
        .iter()
        .map(|text| {
            format!(
                "{}\n  {}",
                text.replace('\n', " "),
                short(text).replace('\n', "\n  ")
            )
        })
        .map(|said| format!("{}\n", said.trim_end()))
        .collect();
    expected.assert_eq(&said.concat());
}

fn short(text: &str) -> String {
    let diagnostics = compile(&[source("test.pol", text)]).expect_err(text);
    diagnostics
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
        .collect()
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
              help: declare it: `class pii = schema.relation.column`

              × `wiht` begins no clause
               ╭─[test.pol:8:3]
             7 │   mask pii for anyone
             8 │   wiht redact
               ·   ──┬─
               ·     ╰── no such word
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
fn effects_are_checked() {
    check_each(
        &[
            "rule r\n  hold update on public.* for anyone\n  when not bounded\n  until 2 of dbas approve within 15 min",
            "rule r hold update on public.* for anyone",
            "group g = \"g\" rule r hold update on public.* for anyone until 0 of g approve within 15 min",
            "group g = \"g\" rule r hold update on public.* for anyone until 1 of g approve within 15 mins",
            "rule r limit row 10_000 per statement for anyone",
            "rule r limit rows 10_000 per day for anyone",
            "rule r limit time 30 for anyone",
            "rule r limit time 30 s per hour for anyone",
            "rule r record result for anyone",
            "class c = a.b rule r mask c for anyone probing look",
            "class c = a.b rule r mask c for anyone probing deny 20 per hour",
            "class c = a.b rule r mask c for anyone with round to 0",
            "class c = a.b rule r mask c for anyone with truncate date moth",
            "class c = a.b rule r mask c for anyone with hash 4",
        ],
        expect![[r#"
            rule r   hold update on public.* for anyone   when not bounded   until 2 of dbas approve within 15 min
              76: unknown group `dbas` (declare it: `group dbas = "its-name-in-the-token"`)
            rule r hold update on public.* for anyone
              7: a hold that nobody can end (add `until 1 of GROUP approve within 15 min`)
            group g = "g" rule r hold update on public.* for anyone until 0 of g approve within 15 min
              62: `0` is no number of people (write `until 2 of dbas approve within 15 min`)
            group g = "g" rule r hold update on public.* for anyone until 1 of g approve within 15 mins
              87: unknown unit of time `mins` (write `min`)
            rule r limit row 10_000 per statement for anyone
              13: unknown limit `row` (did you mean `rows`?)
            rule r limit rows 10_000 per day for anyone
              29: unknown span of time `day` (known are `hour`, `statement`)
            rule r limit time 30 for anyone
              13: a time needs a unit (write `time 30 s`: units are `ms`, `s`, `min`, `h`)
            rule r limit time 30 s per hour for anyone
              13: `time` can't be limited per hour (limits per hour are `rows 100_000 per hour` and `bytes 1 GB per hour`)
            rule r record result for anyone
              14: unknown level of recording `result` (did you mean `results`?)
            class c = a.b rule r mask c for anyone probing look
              47: unknown way of probing `look` (did you mean `lookup`?)
            class c = a.b rule r mask c for anyone probing deny 20 per hour
              52: `probing deny` has no number (only lookups are counted: `probing lookup 20 per hour`)
            class c = a.b rule r mask c for anyone with round to 0
              53: `0` is nothing to round to
            class c = a.b rule r mask c for anyone with truncate date moth
              58: unknown part of a date `moth` (did you mean `month`?)
            class c = a.b rule r mask c for anyone with hash 4
              44: `hash` is not written like this (write `hash` alone)
        "#]],
    );
}

#[test]
fn invariants_and_tests_are_checked() {
    check_each(
        &[
            "invariant i\n  allow read for anyone",
            "invariant i\n  never allow delete for anyone until 1 of g approve within 1 h",
            "class c = a.b invariant i\n  always mask c for anyone when bounded",
            "rule r never allow delete for anyone",
            "test \"t\" { schema \"shop.sql\" run \"SELECT 1\" expect allow }",
            "test \"t\" { as \"devin\" run \"SELECT 1\" }",
            "test \"t\" { as \"devin\" expect allow }",
            "test \"t\" { as \"devin\" run \"SELECT 1\" expect allow by r }",
            "test \"t\" { as \"devin\" run \"SELECT 1\" expect alow }",
            "test \"t\" { as robot \"devin\" run \"SELECT 1\" expect allow }",
            "test \"t\" { as \"devin\" at \"yesterday\" run \"SELECT 1\" expect allow }",
            "test \"t\" { as \"devin\" given estimated = 3 run \"SELECT 1\" expect allow }",
        ],
        expect![[r#"
            invariant i   allow read for anyone
              14: an invariant does nothing of its own (it claims `always mask CLASSES` or `never allow OPERATIONS`)
            invariant i   never allow delete for anyone until 1 of g approve within 1 h
              44: `until` does not go with `never allow` (only `hold` rules wait for approval)
            class c = a.b invariant i   always mask c for anyone when bounded
              58: `always mask` has no condition (leave it out, or claim less: `for` fewer groups)
            rule r never allow delete for anyone
              7: `never allow` is what an invariant claims (write `invariant NAME` in place of `rule NAME`, or leave the first word out)
            test "t" { schema "shop.sql" run "SELECT 1" expect allow }
              5: the test does not say who asks (add `as "devin@corp" in GROUP`)
            test "t" { as "devin" run "SELECT 1" }
              5: the test does not say what is expected (add `expect allow`, `expect hold` or `expect deny`)
            test "t" { as "devin" expect allow }
              5: the test does not say what is run (add `run "SELECT ..."`)
            test "t" { as "devin" run "SELECT 1" expect allow by r }
              53: unknown rule `r`
            test "t" { as "devin" run "SELECT 1" expect alow }
              44: unknown expectation `alow` (did you mean `allow`?)
            test "t" { as robot "devin" run "SELECT 1" expect allow }
              14: unknown kind of principal `robot` (known are `agent`, `human`, `service`)
            test "t" { as "devin" at "yesterday" run "SELECT 1" expect allow }
              25: `yesterday` is no moment (write `at "2026-03-01T09:00:00Z"` or `at "2026-03-01T09:00:00+01:00"`)
            test "t" { as "devin" given estimated = 3 run "SELECT 1" expect allow }
              28: unknown fact `estimated` (did you mean `estimated_rows`?)
        "#]],
    );
}

#[test]
fn conditions_are_typed() {
    let policies: Vec<String> = [
        "estimated_row > 1_000",
        "estimated_rows > many",
        "principal.kind",
        "principal.kind = robot",
        "principal.kind in (agent, robot)",
        "session.client_address in 10.0.0.0/40",
        "time in mon to freitag zone \"Europe/Berlin\"",
        "time in 09:00 to 25:00",
        "time in mon zone \"Europe/Berln\"",
        "session.application matches /psql(/",
        "bounded by tenant_id = principal.claim.tenant",
        "principal in analyst",
        "statement.tables = hr.people",
        "access.class = pii",
        "tls = 1",
        "principal.kind = agent and principal.kind = human",
        "estimated_rows > 5 and estimated_rows < 3",
        "time.weekday = mon and time.weekday = tue",
    ]
    .iter()
    .map(|condition| {
        format!("group analysts = \"a\" rule r allow read for analysts when {condition}")
    })
    .collect();
    let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
    check_each(
        &policies,
        expect![[r#"
            group analysts = "a" rule r allow read for analysts when estimated_row > 1_000
              57: unknown attribute `estimated_row` (did you mean `estimated_rows`?)
            group analysts = "a" rule r allow read for analysts when estimated_rows > many
              74: `estimated_rows` is a whole number (written like this: `estimated_rows > 1_000`)
            group analysts = "a" rule r allow read for analysts when principal.kind
              57: `principal.kind` is one of human, agent, service, not yes or no (written like this: `principal.kind in (agent, service)`)
            group analysts = "a" rule r allow read for analysts when principal.kind = robot
              74: unknown principal kind `robot` (known are `agent`, `human`, `service`)
            group analysts = "a" rule r allow read for analysts when principal.kind in (agent, robot)
              83: unknown principal kind `robot` (known are `agent`, `human`, `service`)
            group analysts = "a" rule r allow read for analysts when session.client_address in 10.0.0.0/40
              83: `10.0.0.0/40` is no address and no network (write `10.0.0.0/8`, `192.168.1.7` or `fd00::/8`)
            group analysts = "a" rule r allow read for analysts when time in mon to freitag zone "Europe/Berlin"
              72: unknown day `freitag` (known are `fri`, `mon`, `sat`, `sun`, `thu`, `tue`, `wed`)
            group analysts = "a" rule r allow read for analysts when time in 09:00 to 25:00
              74: `25:00` is no time of day (times go from `00:00` to `24:00`)
            group analysts = "a" rule r allow read for analysts when time in mon zone "Europe/Berln"
              74: unknown time zone `Europe/Berln` (did you mean `Europe/Berlin`?)
            group analysts = "a" rule r allow read for analysts when session.application matches /psql(/
              85: `/psql(/` is not a regular expression (it must match a whole name, such as `/ssn|.*_ssn/`; the syntax is that of the Rust crate `regex`)
            group analysts = "a" rule r allow read for analysts when bounded by tenant_id = principal.claim.tenant
              80: unknown attribute `principal.claim.tenant` (did you mean `principal.claims.tenant`?)
            group analysts = "a" rule r allow read for analysts when principal in analyst
              70: unknown group `analyst` (did you mean `analysts`?)
            group analysts = "a" rule r allow read for analysts when statement.tables = hr.people
              76: `statement.tables` is a list of names (written like this: `statement.tables has hr.*`)
            group analysts = "a" rule r allow read for analysts when access.class = pii
              72: unknown class `pii` (declare it: `class pii = schema.relation.column`)
            group analysts = "a" rule r allow read for analysts when tls = 1
              63: `tls` is yes or no (written like this: `session.tls`)
            group analysts = "a" rule r allow read for analysts when principal.kind = agent and principal.kind = human
              57: `principal.kind = agent and principal.kind = human` can never be true (nothing satisfies all of it at once; did you mean `or`, or other values?)
            group analysts = "a" rule r allow read for analysts when estimated_rows > 5 and estimated_rows < 3
              57: `estimated_rows > 5 and estimated_rows < 3` can never be true (nothing satisfies all of it at once; did you mean `or`, or other values?)
            group analysts = "a" rule r allow read for analysts when time.weekday = mon and time.weekday = tue
              57: `time.weekday = mon and time.weekday = tue` can never be true (nothing satisfies all of it at once; did you mean `or`, or other values?)
        "#]],
    );
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
                39: unknown controls alias `nist` (declare it: `controls nist = nist-800-53`)
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
                22: unknown group `agents` (declare it: `group agents = "its-name-in-the-token"`)
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
                52: `last` is not written like this (behind `last` stands N, from 1 to 65535)
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
                55: unknown way of probing `maybe` (known are `allow`, `deny`, `lookup`)
            "#]],
        ),
        (
            "rule r allow read for anyone when bound",
            expect![[r#"
                34: unknown attribute `bound` (did you mean `bounded`?)
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
                5: rule `r` does nothing (add one of `allow`, `deny`, `break-glass`, `hold`, `mask`, `limit`, `record`)
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
                5: rule `r` does nothing (add one of `allow`, `deny`, `break-glass`, `hold`, `mask`, `limit`, `record`)
            "#]],
        ),
        (
            "rule r allow read deny write for anyone",
            expect![[r#"
                18: a second effect in one rule (write a second rule for it)
            "#]],
        ),
        (
            "rule r allow read for anyone for anyone",
            expect![[r#"
                29: a second `for` in one rule (write a second rule for it)
            "#]],
        ),
        (
            "rule r allow read for anyone with redact",
            expect![[r#"
                29: `with` does not go with `allow` (only `mask` rules transform values)
            "#]],
        ),
        (
            "class c =",
            expect![[r#"
                9: the `class` declaration ends too early (written like this: `class pii = public.customers.{ssn, email}, *.*./.*_iban/, cards`)
            "#]],
        ),
        (
            "class c = a",
            expect![[r#"
                10: unknown class `a` (did you mean `c`? a class is made of columns (`schema.relation.column`, or `schema.relation` for all of its columns) and of other classes)
            "#]],
        ),
        (
            "class c = a.{}",
            expect![[r#"
                13: `}` is not expected here (written like this: `class pii = public.customers.{ssn, email}, *.*./.*_iban/, cards`)
            "#]],
        ),
        (
            "group g = agents",
            expect![[r#"
                10: unknown group `agents` (the issuer's names of groups are written in quotes: `"agents"`)
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
                0: `allow` begins no declaration (a clause is part of a rule: write `rule NAME` before `allow`)
            "#]],
        ),
        (
            "rule r ; allow read for anyone",
            expect![[r#"
                7: nothing in the language looks like this (nothing separates clauses: leave the `;` out)
            "#]],
        ),
        (
            "rule r allow read for anyone because \"open\nrule s allow raed for anyone",
            expect![[r#"
                37: a text is not closed on its line
                56: unknown operation `raed` (did you mean `read`?)
            "#]],
        ),
        (
            "rule r allow read on public.{a, b for anyone\nrule s allow raed for anyone",
            expect![[r#"
                34: `for` is not expected here (written like this: `on public.orders, hr.*`)
                58: unknown operation `raed` (did you mean `read`?)
            "#]],
        ),
        (
            "rule r allow read for anyone extra words here satisfies",
            expect![[r#"
                29: `extra` is not expected here (written like this: `for agents, analysts except privacy`)
            "#]],
        ),
        (
            "}}}}",
            expect![[r#"
                0: `}` begins no declaration (a file is made of `controls`, `group`, `class`, `rule`, `invariant`, `test`, `exclude`, `observe`)
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
fn the_examples_of_the_page_compile_as_one_set() {
    let page = include_str!("../../docs/language.md");
    let examples: Vec<Source> = page
        .split("```")
        .skip(1)
        .step_by(2)
        .enumerate()
        .map(|(index, example)| source(&format!("example-{index}.pol"), example))
        .collect();
    assert_eq!(examples.len(), 6);
    let compiled = compile(&examples).unwrap_or_else(|found| panic!("{}", rendered(&found)));
    assert_eq!(rendered(&compiled.warnings), "diagnostics\n");
    assert_eq!(compiled.rules, 12);
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

//! What `break-glass` rules let through and what not, by the policy tests of the language itself, and by its invariants.

#![cfg(test)]

use provost_dsl::{Colours, Source, compile, render, testing};

const POLICY: &str = r#"
group oncall = "oncall"
group dbas = "dbas"
rule plain allow read on public.orders for oncall
rule held
  hold delete on public.orders for oncall
  until 1 of dbas approve within 15 min
rule incident
  break-glass read, delete, update on public.* for oncall
  because "on call"
rule never deny update on public.* for oncall because "nobody updates"
rule hide mask secret for oncall
class secret = public.people.ssn
"#;

/// The statement under a session that states a reason, or none, is decided so.
fn check(state: &str, sql: &str, expect: &str) {
    let folder = tempfile::tempdir().unwrap();
    let schema = "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE people (id int PRIMARY KEY, ssn text);";
    std::fs::write(folder.path().join("schema.sql"), schema).unwrap();
    let test = format!(
        "{POLICY}\ntest \"t\" {{ schema \"schema.sql\" as \"olga\" in oncall {state} run \"{sql}\" expect {expect} }}"
    );
    let compiled = compiled(&test).unwrap_or_else(|told| panic!("{told}"));
    let report = testing::run(folder.path(), &compiled, testing::Filter::All).unwrap();
    assert!(report.failed().next().is_none(), "{sql}: {report:?}");
}

fn compiled(text: &str) -> Result<provost_dsl::Compiled, String> {
    let source = Source {
        path: "glass.pol".into(),
        text: text.to_owned(),
    };
    compile(&[source]).map_err(|diagnostics| render(&diagnostics, Colours::None))
}

#[test]
fn a_stated_reason_lets_through_what_nothing_allows_or_what_is_held_and_never_what_is_denied() {
    let stated = "session reason = \"INC-1: the shop is down\"";
    for (state, sql, expect) in [
        ("", "SELECT id FROM orders", "allow by plain"),
        (stated, "SELECT id FROM orders", "allow by plain"),
        (
            "",
            "SELECT id FROM people",
            "deny by incident, because \\\"read on public.people needs a stated reason\\\"",
        ),
        (stated, "SELECT id FROM people", "break-glass by incident"),
        ("", "DELETE FROM orders", "hold by held"),
        (stated, "DELETE FROM orders", "break-glass by incident"),
        (stated, "UPDATE orders SET id = 1", "deny by never"),
        // One access that is denied denies the statement, whatever the others need.
        (
            stated,
            "DELETE FROM people USING orders WHERE people.id = orders.id",
            "break-glass by incident",
        ),
        (stated, "TRUNCATE people", "deny"),
        // Masks bind whoever breaks glass.
        (
            stated,
            "SELECT ssn FROM people",
            "break-glass, mask ssn by hide",
        ),
        (stated, "SELECT id FROM people WHERE ssn = '1'", "deny"),
    ] {
        check(state, sql, &expect.replace("\\\"", "\""));
    }
}

#[test]
fn a_rule_names_who_may_and_says_what_for() {
    let told = compiled("rule r break-glass read").unwrap_err();
    assert!(told.contains("does not say what for"), "{told}");
    let told = compiled("rule r break-glass read for anyone because \"x\"").unwrap_err();
    assert!(told.contains("name the group that may"), "{told}");
    let told = compiled("group a = \"a\"\nrule r break-glass read for a because \"x\" until 1 of a approve within 1 min").unwrap_err();
    assert!(told.contains("does not go with `break-glass`"), "{told}");
}

#[test]
fn a_stated_reason_is_nobodys_approval() {
    let never = |operation: &str| {
        let text = format!("{POLICY}\ninvariant i never allow {operation} on public.* for oncall");
        compiled(&text).err().unwrap_or_default()
    };
    // Held alone it would be approved; by a stated reason it is not.
    let told = never("delete");
    assert!(told.contains("incident"), "{told}");
    assert_eq!(never("update"), "");
    assert_eq!(never("truncate"), "");
}

/// Each command of the page is tried here as the program does it, or in `tests/e2e`.
#[test]
fn the_example_passes_its_own_tests() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/break-glass");
    let compiled = provost_dsl::load(&folder).unwrap();
    assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
    let report = testing::run(&folder, &compiled, testing::Filter::All).unwrap();
    assert!(report.is_good(), "{}", report.text(Colours::None));
    assert_eq!(report.uncovered().count(), 0);
    let found = (
        report.results.len(),
        report.invariants.len(),
        report.rules.len(),
    );
    assert_eq!(found, (9, 1, 5));
}

#[test]
fn a_reason_that_no_session_can_state_is_none_in_a_test() {
    let test = "test \"t\" { as \"olga\" in oncall session reason = \"why\" run \"SELECT 1\" expect allow }";
    let told = compiled(&format!("{POLICY}\n{test}")).unwrap_err();
    assert!(told.contains("10 to 500 characters"), "{told}");
}

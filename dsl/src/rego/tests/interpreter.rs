//! The virtual machine with its guards beside regorus' interpreter, which is tested for OPA's conformance: both say the same of
//! the same rule, and where the interpreter fails so does the machine.

use regorus::Engine;
use serde_json::json;

use super::super::*;
use crate::compile::Source;

/// What a rule `x` comes to: `Err` for a failure, `<undefined>` for undefined.
fn by_machine(text: &str, input: &serde_json::Value) -> Result<String, String> {
    let source = Source {
        path: "a.rego".into(),
        text: text.to_owned(),
    };
    let file = File::new(&source.path, text);
    let mut engine = Engine::new();
    engine
        .add_policy("a.rego".to_owned(), text.to_owned())
        .map_err(|error| error.to_string())?;
    let compiled = engine
        .compile_with_entrypoint(&"data.provost.x".into())
        .map_err(|error| error.to_string())?;
    let mut diagnostics = Vec::new();
    let entries = ["data.provost.x".to_owned()];
    let program = program(&compiled, &entries, &[file], &[&source], &mut diagnostics)
        .ok_or_else(|| format!("{diagnostics:?}"))?;
    let machine = Machine {
        program,
        limits: RegoLimits::default(),
    };
    machine
        .run("data.provost.x", guard::to_value(input))
        .map(|value| value.to_string())
        .map_err(|error| error.to_string())
}

fn by_interpreter(text: &str, input: &serde_json::Value) -> Result<String, String> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine
        .add_policy("a.rego".to_owned(), text.to_owned())
        .map_err(|error| error.to_string())?;
    engine.set_input(guard::to_value(input));
    engine
        .eval_rule("data.provost.x".to_owned())
        .map(|value| value.to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn the_machine_says_what_the_interpreter_says() {
    let input = json!({
        "list": [1, 2, 3, 2],
        "empty": [],
        "groups": ["a", "b"],
        "deep": {"a": {"b": [{"c": 1}, {"c": 2}, {"d": 3}]}},
        "text": "abc",
        "null": null,
        "no": false,
        "number": 7,
    });
    let mut wrong = String::new();
    for rules in [
        // What is undefined.
        "x if input.missing",
        "x if not input.missing",
        "x if not input.no",
        "x if input.no",
        "x if input.null",
        "x if not input.null",
        "x := input.missing",
        "x := [input.missing]",
        "x := {\"a\": input.missing}",
        "x := count(input.missing)",
        "x := [y | some y in input.missing]",
        "x if every y in input.missing { y > 1 }",
        "x if every y in input.empty { y > 1 }",
        "x if every y in input.list { y > 0 }",
        "x if every y in input.list { y > 1 }",
        "x if some y in input.empty",
        "x if 1 in input.missing",
        "x if 1 in input.list",
        "x if not 1 in input.list",
        "x if not 4 in input.list",
        "x if input.missing == input.missing",
        "x if input.missing != 1",
        "x if not input.missing == 1",
        "x := input.deep.a.b[0].c",
        "x := input.deep.a.b[9].c",
        "x := input.text.a",
        "x := input.text[0]",
        "x := input.list[\"a\"]",
        "x if { c := input.missing; not c }",
        "x if { c := input.missing; not c == 1 }",
        "x := 1 if { c := input.missing }",
        "x := 1 if { c := input.no }",
        "x := 1 if { c = input.missing }",
        "x contains 1 if { c := input.missing }",
        "x contains entry if { some entry in input.deep.a.b; not entry.c }",
        "x contains entry if { some entry in input.deep.a.b; c := entry.c; not c == 1 }",
        "x := count([1 | some entry in input.deep.a.b; c := entry.c])",
        "x := count([1 | some entry in input.deep.a.b; c := entry.c; not c == 1])",
        "x := [entry.c | some entry in input.deep.a.b]",
        "x := {entry.c: 1 | some entry in input.deep.a.b}",
        "x := {1: entry.d | some entry in input.deep.a.b}",
        "x := [y | y := input.missing]",
        "x := {k: [y | some y in v; y > 1] | some k, v in [[1, 2], [3], []]}",
        "x contains count([y | some y in v; y > 1]) if some v in [[1, 2], [3, 4], []]",
        "x := [1 | input.missing]",
        "x := {\"n\": count([c | some entry in input.deep.a.b; c := entry.c])}",
        "x if every entry in input.deep.a.b { c := entry.c; c > 0 }",
        "x := f(1)\nf(n) := y if { y := input.missing }",
        "x := f(1)\nf(n) := 3 if { y := input.missing; not y }",
        "x := [f(y) | some y in input.list]\nf(n) := n if n > 1",
        "x := min(input.empty)",
        // Iteration.
        "x := [c | some entry in input.deep.a.b; c := entry.c]",
        "x := {c | some entry in input.deep.a.b; c := entry.c}",
        "x := {i: y | some i, y in input.list}",
        "x contains y if some y in input.list",
        "x contains y if { some y in input.list; y > 9 }",
        "x contains [i, y] if { some i, y in input.groups }",
        "x contains k if some k, _ in input.deep",
        "x[k] := v if some k, v in input.groups",
        "x := y if some y in input.list",
        "x := y if { some y in input.list; y == 2 }",
        "x := y if { some y in input.list; y > 5 }",
        "x := y if { y := input.list[_]; y == 3 }",
        "x := i if { input.list[i] == 3 }",
        "x contains i if { input.list[i] == 2 }",
        "x := sum([y | some y in input.list; y > 1])",
        "x := count({y | some y in input.list})",
        "x := max(input.empty)",
        "x if { some i, j; input.list[i] == input.list[j]; i != j }",
        "x contains pair if { some a in input.groups; some b in input.list; pair := [a, b] }",
        // Defaults, else, functions.
        "default x := 1\nx := 2 if input.no",
        "default x := false\nx if not input.no",
        "x := 1 if input.no\nelse := 2 if input.number == 7\nelse := 3",
        "x := 1 if input.no\nelse := 2 if input.number == 8\nelse := 3",
        "x := 1 if input.no\nelse := 2 if input.no",
        "x := 1 if { some y in input.list; y > 5 }\nelse := 2",
        "x := f(2)\nf(n) := n * 2",
        "x := f(3)\nf(n) := 1 if n == 2\nelse := 4",
        "x if f(3)\nf(n) if n == 2\nf(n) if n == 3",
        "x if not f(1)\nf(n) if n == 2\nf(n) if n == 3",
        "x := f(input.missing)\nf(n) := 1",
        "x := f([1, 2])\nf([a, b]) := a + b",
        "x := y.a\ny := {\"a\": 1}",
        "x if y[\"a\"]\ny contains \"a\"",
        "x if not y[\"b\"]\ny contains \"a\"",
        "x := y if { [y, 2] = [1, 2] }",
        "x := y if { [y, 3] = [1, 2] }",
        "x := {1, 2} | {3}",
        "x := {1, 2} & {2}",
        "x := {1, 2} - {2}",
        "x := 7 / 2",
        "x := 7 % 4",
        "x := 0.1 + 0.2",
        "x := 9007199254740993 + 0",
        "x if 1 == 1.0",
        "x if \"a\" < \"b\"",
        "x := lower(\"ABC\")",
        "x := object.get(input.deep, \"z\", 5)",
        "x := sprintf(\"%s-%d\", [\"a\", 5])",
        // What fails.
        "x := to_number(input.text)",
        "x := 1 / 0",
        "x := 1 + input.text",
        "x if not to_number(input.text)",
        "x := lower(input.number)",
        "x := [y | some z in input.groups; y := to_number(z)]",
        "x := json.unmarshal(input.text)",
        "x := regex.match(\"(\", input.text)",
        "x := concat(\",\", input.list)",
    ] {
        let text = format!("package provost\n\n{rules}\n");
        let machine = by_machine(&text, &input);
        let interpreter = by_interpreter(&text, &input);
        let is_same = match (&machine, &interpreter) {
            (Ok(left), Ok(right)) => left == right,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !is_same {
            wrong +=
                &format!("{rules}\n  machine     {machine:?}\n  interpreter {interpreter:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

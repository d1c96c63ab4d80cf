//! Modules from text to decision: what is refused at load, what is refused at run time, what is read.

mod interpreter;

use std::{collections::BTreeSet, path::PathBuf};

use expect_test::expect_file;
use jiff::Timestamp;
use provost_engine::{
    facts::{
        Access, CatalogVersion, Column, ColumnUse, Constant, Equality, Facts, How, Kind, Lineage,
        Object, Operation, OutputColumn, SessionEffect, Use,
    },
    graph::Policy,
    principal::{
        Authentication, Circumstances, Dear, Delegator, Principal, PrincipalKind, Session,
    },
    verdict::Verdict,
};
use serde_json::json;

use super::*;
use crate::{
    compile::{Compiled, compile_within},
    diagnostic::{Colours, render},
};

const CLASSES: &str = "class pii = public.customers.{ssn, email}\n";

fn source(path: &str, text: &str) -> Source {
    Source {
        path: PathBuf::from(path),
        text: text.to_owned(),
    }
}

fn compile_files(files: &[(&str, &str)], limits: RegoLimits) -> Result<Compiled, Vec<Diagnostic>> {
    let mut sources = vec![source("classes.pol", CLASSES)];
    sources.extend(files.iter().map(|(path, text)| source(path, text)));
    compile_within(&sources, limits)
}

/// What is wrong with these files, as a person reads it.
#[track_caller]
fn errors(files: &[(&str, &str)]) -> String {
    let diagnostics = compile_files(files, RegoLimits::default()).expect_err("there is a mistake");
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error());
    render(errors, Colours::None)
}

/// One module in package `provost` with this body.
fn policy(body: &str) -> Policy {
    policy_within(body, RegoLimits::default())
}

fn policy_within(body: &str, limits: RegoLimits) -> Policy {
    let text = format!("package provost\n\n{body}\n");
    match compile_files(&[("a.rego", &text)], limits) {
        Ok(compiled) => compiled.policy,
        Err(diagnostics) => panic!("{}", render(&diagnostics, Colours::None)),
    }
}

fn session() -> Arc<Session> {
    Arc::new(Session {
        principal: Principal {
            id: "devin@corp".into(),
            kind: PrincipalKind::Agent,
            groups: vec!["ai-agents".into()],
            on_behalf_of: Some(Delegator {
                id: "ana@corp".into(),
                groups: vec!["sales".into()],
            }),
            issuer: "https://issuer.example".into(),
            claims: [("tenant".to_owned(), json!({"id": "acme"}))].into(),
        },
        target: "shop".into(),
        database: "shop".into(),
        role: "app".into(),
        application: "psql".into(),
        client_address: Some("10.1.2.3".parse().expect("an address")),
        tls: true,
        authentication: Authentication::TokenAsPassword,
    })
}

fn column(name: &str) -> Arc<Column> {
    Arc::new(Column {
        relation_oid: 1,
        attribute: 1,
        schema: "public".into(),
        relation: "customers".into(),
        name: name.into(),
        type_oid: 25,
        constrained: false,
    })
}

/// `SELECT id, ssn FROM customers WHERE tenant_id = $1 AND city = 'Ghent' LIMIT 5`
fn facts() -> Facts {
    let equality = |name: &str, value| Equality {
        column: column(name),
        value,
    };
    let output = |name: &str| OutputColumn {
        name: name.into(),
        lineage: Lineage {
            sources: BTreeSet::from([provost_engine::facts::Source {
                column: column(name),
                how: How::Direct,
            }]),
        },
        origin: None,
    };
    let used = |name: &str, used| ColumnUse {
        column: column(name),
        used,
    };
    Facts {
        kind: Kind::Select,
        accesses: vec![Access {
            object: Object::Relation {
                schema: "public".into(),
                name: "customers".into(),
                oid: 1,
            },
            operation: Operation::Read,
            columns: BTreeSet::from([
                used("id", Use::Output),
                used("ssn", Use::Output),
                used("tenant_id", Use::Filter),
                used("city", Use::Filter),
            ]),
            via: Some("public.people".into()),
            filtered: true,
            bounded: false,
            equalities: BTreeSet::from([
                equality("tenant_id", Constant::Parameter(1)),
                equality("city", Constant::Text("Ghent".into())),
            ]),
        }],
        outputs: Some(vec![output("id"), output("ssn")]),
        writes: Vec::new(),
        opaque: BTreeSet::new(),
        session_effect: SessionEffect::None,
        through_views: false,
        views: BTreeSet::new(),
        limit: Some(5),
        parameters: 1,
        lookups: BTreeSet::new(),
        uncounted: false,
        fingerprint: "0123456789abcdef".into(),
        catalog_version: CatalogVersion(0),
    }
}

fn decide(policy: &Policy, circumstances: &Circumstances<'_>) -> String {
    let at: Timestamp = "2026-11-21T15:04:59Z".parse().expect("an instant");
    let view = policy.view(&session(), at);
    let decision = policy.decide(&view, &facts(), circumstances);
    let masks = decision
        .masks
        .iter()
        .map(|mask| format!("mask {} {}", mask.output, mask.transform));
    let reasons = decision
        .reasons
        .iter()
        .map(|reason| match &reason.rule {
            Some(rule) => format!("{rule}: {}", reason.message),
            None => reason.message.to_string(),
        })
        .filter(|reason| !reason.contains("not allowed by any rule"));
    std::iter::once(decision.verdict.name().to_owned())
        .chain(masks)
        .chain(reasons)
        .collect::<Vec<_>>()
        .join("; ")
}

/// A module with this body decides the statement so.
#[track_caller]
fn check(body: &str, expected: &str) {
    assert_eq!(
        decide(&policy(body), &Circumstances::default()),
        expected,
        "{body}"
    );
}

/// This condition of a rule holds for the statement.
#[track_caller]
fn check_holds(condition: &str) {
    check(
        &format!("decision contains {{\"verdict\": \"allow\"}} if {{ {condition} }}"),
        "allow",
    );
}

#[test]
fn everything_of_the_input_can_be_asked() {
    for condition in [
        r#"input.principal.id == "devin@corp"; input.principal.kind == "agent""#,
        r#""ai-agents" in input.principal.groups"#,
        r#"input.principal.on_behalf_of.id == "ana@corp""#,
        r#"input.principal.claims.tenant.id == "acme""#,
        r#"input.session.target == "shop"; input.session.tls"#,
        r#"net.cidr_contains("10.0.0.0/8", input.session.client_address)"#,
        r#"input.session.authentication == "token-as-password""#,
        r#"input.time.instant == "2026-11-21T15:04:00Z"; input.time.weekday == "sat""#,
        r#"input.time.hour == 15; input.time.unix_seconds % 60 == 0"#,
        r#"input.statement.kind == "select"; input.statement.limit == 5; input.statement.parameters == 1"#,
        r#"input.statement.accesses[0].object == {"sort": "relation", "schema": "public", "name": "customers"}"#,
        r#"input.statement.accesses[0].operation == "read"; input.statement.accesses[0].filtered; not input.statement.accesses[0].bounded"#,
        r#"input.statement.accesses[0].via == "public.people""#,
        r#"some used in input.statement.accesses[0].columns; used.column == "ssn"; used.use == "output"; used.classes == ["pii"]"#,
        r#"some equality in input.statement.accesses[0].equalities; equality == {"column": "city", "value": "Ghent"}"#,
        r#"some equality in input.statement.accesses[0].equalities; equality == {"column": "tenant_id", "parameter": 1}"#,
        r#"input.statement.outputs[1].sources[0].classes == ["pii"]; input.statement.outputs[1].sources[0].how == "direct""#,
        r#"not input.circumstances.in_transaction"#,
        r#"regex.match(`^dev`, input.principal.id)"#,
    ] {
        check_holds(condition);
    }
}

#[test]
fn parameters_are_known_where_the_gateway_knows_them() {
    let policy = policy(
        r#"decision contains {"verdict": "allow"} if {
            some equality in input.statement.accesses[0].equalities
            equality.column == "tenant_id"
            equality.value == input.principal.claims.tenant.id
        }"#,
    );
    for (parameters, expected) in [
        (None, "deny"),
        (Some(&[Some("acme")][..]), "allow"),
        (Some(&[Some("other")][..]), "deny"),
        (Some(&[None][..]), "deny"),
    ] {
        let circumstances = Circumstances {
            parameters,
            ..Circumstances::default()
        };
        assert_eq!(decide(&policy, &circumstances), expected, "{parameters:?}");
    }
}

#[test]
fn undefined_adds_nothing_and_shapes_are_checked() {
    for (body, expected) in [
        (
            r#"decision := {"verdict": "allow"} if input.principal.id == "nobody""#,
            "deny",
        ),
        (r#"decision := {"verdict": "allow"}"#, "allow"),
        (r#"default decision := {"verdict": "allow"}"#, "allow"),
        (
            r#"decision := [{"verdict": "allow"}, {"verdict": "deny", "because": "no"}]"#,
            "deny; rego:provost: no",
        ),
        (
            r#"decision contains {"verdict": "allow", "output_masks": [{"output": 1, "transform": "last 4"}]}"#,
            "allow; mask 1 last 4",
        ),
        (
            r#"decision := "allow""#,
            "deny; rego:provost: module `rego:provost` can't be evaluated: `decision` is no verdict: it is neither an object nor a set or list of objects",
        ),
        (
            r#"decision contains {"verdict": "alow"}"#,
            "deny; rego:provost: module `rego:provost` can't be evaluated: `decision` is no verdict: unknown variant `alow`, expected one of `allow`, `hold`, `deny`",
        ),
        // A value of the statement never comes into a reason.
        (
            r#"decision contains {"limits": {"rows": input.principal.id}}"#,
            "deny; rego:provost: module `rego:provost` can't be evaluated: `decision` is no verdict: invalid type: string \"...\", expected u64",
        ),
    ] {
        check(body, expected);
    }
}

#[test]
fn errors_deny() {
    let failed = |line: u32, what: &str| {
        format!(
            "deny; rego:provost: module `rego:provost` can't be evaluated: evaluation failed near a.rego:{line}: `{what}` got a value that it can't take"
        )
    };
    for (condition, what) in [
        // OPA, and the virtual machine, would make each undefined: the module would add nothing.
        ("to_number(input.principal.id) > 3", "to_number"),
        ("not to_number(input.principal.id) > 3", "to_number"),
        ("input.statement.limit / 0 == 1", "/"),
        ("input.statement.limit % 0 == 1", "%"),
        ("input.statement.limit % 1.5 == 1", "%"),
        ("input.statement.limit + input.principal.id == 1", "+"),
        ("input.statement.limit * input.principal.id == 1", "*"),
        ("input.statement.limit - input.principal.id == 1", "-"),
        ("input.statement.limit < input.principal.id", "<"),
        ("input.statement.limit >= \"5\"", ">="),
        (r#"regex.match("(", input.principal.id)"#, "regex.match"),
        (
            r#"regex.replace(input.principal.id, "(", "") == """#,
            "regex.replace",
        ),
        (
            r#"net.cidr_contains("10.0.0.0/8", input.principal.id)"#,
            "net.cidr_contains",
        ),
        (
            r#"net.cidr_contains("10.0.0.0/99", input.session.client_address)"#,
            "net.cidr_contains",
        ),
        ("json.unmarshal(input.principal.id).x", "json.unmarshal"),
        ("lower(input.statement.limit) == \"x\"", "lower"),
        ("startswith(input.principal.groups, \"x\")", "startswith"),
        ("count(input.statement.limit) > 3", "count"),
        ("sum(input.principal.groups) > 3", "sum"),
        (
            "time.parse_rfc3339_ns(input.principal.id) > 3",
            "time.parse_rfc3339_ns",
        ),
        ("semver.compare(\"1\", \"2\") > 0", "semver.compare"),
        ("helped(input.principal.id)", "to_number"),
        (
            "count({x | some id in [input.principal.id]; x := to_number(id)}) == 0",
            "to_number",
        ),
        (
            "every id in [input.principal.id] { to_number(id) > 3 }",
            "to_number",
        ),
    ] {
        let body = format!(
            "decision contains {{\"verdict\": \"deny\"}} if {condition}\n\nhelped(id) if to_number(id) > 3"
        );
        let line = if condition.starts_with("helped") {
            5
        } else {
            3
        };
        check(&body, &failed(line, what));
    }
}

#[test]
fn whoever_goes_beyond_the_limits_is_denied() {
    let endless = r"decision contains {} if {
        some a in numbers
        some b in numbers
        some c in numbers
        a + b + c > 1000
    }
    numbers := {n | some a in [0, 10, 20, 30, 40]; some b in [1, 2, 3, 4, 5]; n := a + b}";
    for (body, limits, expected) in [
        (
            endless,
            RegoLimits::default(),
            "more than 25000 instructions",
        ),
        (
            r#"decision := {"verdict": "allow"}"#,
            RegoLimits {
                instructions: 2,
                ..RegoLimits::default()
            },
            "more than 2 instructions",
        ),
        (
            r#"decision := {"verdict": "allow"} if input.statement"#,
            RegoLimits {
                input_bytes: 100,
                ..RegoLimits::default()
            },
            "the facts take 1583 bytes, and a module is given at most 100",
        ),
        (
            r#"decision contains {"verdict": "deny"} if upper(input.principal.id) == "X""#,
            RegoLimits {
                value_bytes: 100,
                ..RegoLimits::default()
            },
            "more than 100 bytes of values",
        ),
        (
            endless,
            RegoLimits {
                time: Duration::ZERO,
                ..RegoLimits::default()
            },
            "more than 0 ms",
        ),
    ] {
        let shown = decide(&policy_within(body, limits), &Circumstances::default());
        assert_eq!(
            shown,
            format!("deny; rego:provost: module `rego:provost` can't be evaluated: {expected}"),
            "{body}"
        );
    }
}

/// Lines that each make a value of the one before.
fn chain(first: &str, next: &str) -> String {
    let mut text = format!("x0 := {first}\n");
    for number in 1..=40 {
        let line = next.replace("LAST", &format!("x{}", number - 1));
        text.push_str(&format!("x{number} := {line}\n"));
    }
    text
}

/// Modules that would take all memory, or all time between two looks at the clock.
#[test]
fn whatever_grows_beyond_measure_is_denied() {
    let too_large = "more than 16777216 bytes of values";
    let id = "input.principal.id";
    for (rest, condition) in [
        (chain(id, r#"concat("", [LAST, LAST])"#), "x40 == \"x\""),
        (
            chain(id, r#"sprintf("%s%s", [LAST, LAST])"#),
            "x40 == \"x\"",
        ),
        (chain(id, r#"replace(LAST, "e", LAST)"#), "x40 == \"x\""),
        (
            chain(id, r#"strings.replace_n({"d": LAST, "e": LAST}, LAST)"#),
            "x40 == \"x\"",
        ),
        (
            chain(id, r#"regex.replace(LAST, "(.)", "$1$1$1$1")"#),
            "x40 == \"x\"",
        ),
        (
            chain("[1, 2]", "array.concat(LAST, LAST)"),
            "count(x40) == 3",
        ),
        (chain(id, "json.marshal([LAST, LAST])"), "x40 == \"x\""),
        (chain(id, "base64.encode(LAST)"), "x40 == \"x\""),
        (chain(id, "[LAST, LAST]"), "json.marshal(x40) == \"x\""),
        // Two values that hold one another many times are compared place by place.
        (
            chain(id, "[LAST, LAST]") + &chain(id, "[LAST, LAST]").replace('x', "y"),
            "x40 == y40",
        ),
        (chain(id, "[LAST, LAST]"), "x40 < [x39]"),
        (
            chain(id, r#"{"a": LAST, "b": LAST}"#),
            "object.union(x40, x39).a",
        ),
        (String::new(), r#"sprintf("%999999999d", [1]) == "x""#),
        (String::new(), r#"sprintf("%.999999999f", [1.5]) == "x""#),
        (String::new(), r#"to_number("1e2000000000") > 3"#),
        (String::new(), r#"units.parse("1e2000000000") > 3"#),
        (String::new(), r#"units.parse_bytes("1e2000000000") > 3"#),
        (chain("input.statement.limit", "LAST * LAST"), "x40 == 3"),
    ] {
        let body =
            format!("decision contains {{\"verdict\": \"deny\"}} if {{\n{rest}{condition}\n}}");
        check(
            &body,
            &format!("deny; rego:provost: module `rego:provost` can't be evaluated: {too_large}"),
        );
    }
    check(
        &format!(
            "decision contains {{\"because\": x40}} if {{\n{}}}",
            chain(id, "[LAST, LAST]")
        ),
        &format!("deny; rego:provost: module `rego:provost` can't be evaluated: {too_large}"),
    );
}

/// Values nested as deep as the instructions allow: to drop, compare or write one out takes stack for each level.
#[test]
fn values_may_be_nested_deep() {
    let nested = format!("f(x) := {}x{}", "[".repeat(8), "]".repeat(8));
    let calls = |function: &str, times: usize| {
        format!(
            "{}x{}",
            format!("{function}(").repeat(times),
            ")".repeat(times)
        )
    };
    let body = format!(
        "decision contains {{\"verdict\": \"deny\"}} if {{ y := i([1]); y == i([1]) }}\n\n{nested}\n\ng(x) := {}\n\nh(x) := {}\n\ni(x) := {}",
        calls("f", 9),
        calls("g", 9),
        calls("h", 9),
    );
    check(&body, "deny; rego:provost: the module denies it");
    let body = body.replace("{\"verdict\": \"deny\"}", "{\"because\": y}");
    let shown = decide(&policy(&body), &Circumstances::default());
    assert!(shown.contains("`decision` is no verdict"), "{shown}");
}

/// What the client or the issuer chose is never more than a text, an object or a number.
#[test]
fn nothing_in_the_facts_is_taken_for_another_value() {
    check_holds(
        r#"json.unmarshal("{\"$serde_json::private::Number\": \"1e2000000000\"}")["$serde_json::private::Number"] == "1e2000000000""#,
    );
    let number: serde_json::Value =
        serde_json::from_str(r#"{"$serde_json::private::Number": "12"}"#).expect("JSON");
    assert_eq!(
        guard::to_value(&number)
            .as_object()
            .expect("an object")
            .len(),
        1
    );
}

/// The parts that a module with this body may read.
#[track_caller]
fn check_reads(body: &str, expected: Reads) {
    let policy = policy(&format!("decision contains {{}} if {{ {body} }}"));
    assert_eq!(policy.modules()[0].reads(), expected, "{body}");
}

#[test]
fn what_is_read_is_found_in_the_text() {
    let session = Reads::default();
    let statement = Reads {
        statement: true,
        ..session
    };
    for (body, expected) in [
        ("1 == 1", session),
        ("input.principal.id == input.session.role", session),
        (r#"input["principal"].id == "x""#, session),
        (
            "input.time.hour > 9",
            Reads {
                time: true,
                ..session
            },
        ),
        ("input.statement.limit > 9", statement),
        ("some a in input.statement.accesses; a.bounded", statement),
        (
            "input.circumstances.in_transaction",
            Reads {
                circumstances: true,
                ..session
            },
        ),
        (
            "input.circumstances.novel",
            Reads {
                novel: true,
                ..session
            },
        ),
        (
            "input.circumstances.estimated_rows > 5",
            Reads {
                estimated_rows: true,
                ..session
            },
        ),
        (
            "x := input.circumstances; x.novel",
            Reads {
                circumstances: true,
                novel: true,
                estimated_rows: true,
                ..session
            },
        ),
        ("x := input; x.principal", Reads::ALL),
        (r#"some part in ["principal"]; input[part].id"#, Reads::ALL),
        ("count(input) > 0", Reads::ALL),
        // A text and a comment name nothing, and a field of something else is not the input.
        (
            "x := \"input.statement\"; x == {\"input\": 1}.input # input.statement\n",
            session,
        ),
    ] {
        check_reads(body, expected);
    }
}

#[test]
fn what_other_packages_read_counts() {
    let library = "package provost.lib\n\nis_select if input.statement.kind == \"select\"\n";
    let of_session =
        "package provost.plain\n\ndecision contains {} if input.principal.id == \"x\"\n";
    for (mention, expected) in [
        ("data.provost.lib.is_select", true),
        ("data.provost[\"lib\"].is_select", true),
        ("data.provost.other", false),
    ] {
        let text = format!("package provost.main\n\ndecision contains {{}} if {mention}\n");
        let others = "package provost.other\n\nx := 1\n";
        let compiled = compile_files(
            &[
                ("lib.rego", library),
                ("main.rego", &text),
                ("other.rego", others),
                ("plain.rego", of_session),
            ],
            RegoLimits::default(),
        );
        let policy = compiled.expect("valid").policy;
        let reads: Vec<(&str, bool)> = policy
            .modules()
            .iter()
            .map(|module| (&**module.name(), module.reads().statement))
            .collect();
        assert_eq!(
            reads,
            [
                ("rego:provost.main", expected),
                ("rego:provost.plain", false)
            ],
            "{mention}"
        );
    }
}

#[test]
fn dear_facts_are_asked_for_by_name() {
    let policy = policy(
        r#"decision contains {"verdict": "allow"} if input.circumstances.estimated_rows < 100"#,
    );
    let at = Timestamp::UNIX_EPOCH;
    let view = policy.view(&session(), at);
    let first = policy.decide(&view, &facts(), &Circumstances::default());
    assert!(first.needs.estimated_rows && first.verdict == Verdict::Deny);
    for (rows, expected) in [(99, "allow"), (100, "deny")] {
        let circumstances = Circumstances {
            estimated_rows: Dear::Known(rows),
            ..Circumstances::default()
        };
        assert_eq!(decide(&policy, &circumstances), expected);
    }
}

#[test]
fn a_view_holds_for_a_minute_where_time_is_read() {
    let timed = policy("decision contains {} if input.time.hour == 3");
    let untimed = policy("decision contains {} if input.session.tls");
    let at: Timestamp = "2026-11-21T15:04:59Z".parse().expect("an instant");
    assert_eq!(
        timed.view(&session(), at).until().to_string(),
        "2026-11-21T15:05:00Z"
    );
    assert_eq!(untimed.view(&session(), at).until(), Timestamp::MAX);
}

#[test]
fn controls_are_constant_and_known() {
    let policy =
        policy("controls := {\"nist-800-53:AC-6\", \"nist-800-53:AC-3\"}\n\ndecision contains {}");
    let controls: Vec<&str> = policy.modules()[0]
        .controls()
        .iter()
        .map(|id| &**id)
        .collect();
    assert_eq!(controls, ["nist-800-53:AC-3", "nist-800-53:AC-6"]);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let module = |body: &str| format!("package provost\n\n{body}\n");
    let mut shown = String::new();
    for body in [
        "decision contains {\"verdict\": \"deny\" if true",
        "decision := \"unterminated",
        "decision contains {} if undefined_name > 3",
        "decision contains {} if no_such_function(3)",
        "decision contains {} if input.principal.grups[0] == \"x\"",
        "decision contains {} if input.statment.kind == \"select\"",
        "decision contains {} if time.now_ns() > 3",
        "decision contains {} if rand.intn(\"x\", 3) == 1",
        "decision contains {} if http.send({\"url\": \"http://example.com\"}).status_code == 200",
        "decision contains {} if net.lookup_ip_addr(\"example.com\")",
        "decision contains {} if opa.runtime().env.HOME",
        "decision contains {} if trace(\"x\")",
        "decision contains {} if { print(\"x\") }",
        "decision contains {} if count(numbers.range(1, 1000000000)) > 3",
        "decision contains {} if data.users[0] == \"x\"",
        "decision contains {} if data[input.principal.id]",
        "decision contains {} if is_nice with input.principal.id as \"x\"\n\nis_nice if input.principal.id == \"x\"",
        "decision contains {\"masks\": [{\"classes\": [\"pii\"]}]} if input.statement.kind == \"select\"",
        "controls := [\"nist-800-53:AC-999\", \"iso:1\"]\n\ndecision contains {}",
        "controls := [input.principal.id]\n\ndecision contains {}",
        "decision.verdict := \"deny\" if input.session.tls",
        "allow if input.session.tls",
        "decision contains {} if a\n\na if b\n\nb if a",
        "decision contains {} if f(1) == 1\n\nf(n) := f(n - 1)",
        "decision := {\"verdict\": \"allow\"}\n\ndecision := {\"verdict\": \"deny\"} if input.session.tls",
        "decision contains {} if f(1) == 1\n\nf(1) := 1\n\nf(2) := 2",
        "decision contains {} if { walk(input, [path, value]); path == value }",
        "decision contains {} if data.provost[input.principal.id]",
        "decision contains {} if 1e2000000000 > 3",
        "decision contains {} if { some g in input.principal.groups; count([1 | g == \"x\"]) > 0 }",
        "decision contains {} if x == [[[[[[[[[[[1]]]]]]]]]]]\n\nx := {{{{{{{{{1}}}}}}}}}",
        "decision contains {} if {{{{{{{{{{1}}}}}}}}}}[_]",
        "import data.users\n\ndecision contains {} if users[0]",
        "import rego.v1\n\nimport input.principal.grups as g\n\ndecision contains {} if g[0]",
    ] {
        shown.push_str(&errors(&[("a.rego", &module(body))]));
        shown.push_str("----\n");
    }
    expect_file!["../testdata/mistakes.txt"].assert_eq(&shown);
}

#[test]
fn a_class_that_a_module_names_is_used() {
    for (name, warnings) in [("pii", 0), ("cards", 1)] {
        let text = format!(
            "package provost\n\ndecision contains {{\"masks\": [{{\"classes\": [\"{name}\"]}}]}}\n"
        );
        let compiled = compile_files(&[("a.rego", &text)], RegoLimits::default());
        assert_eq!(compiled.expect("valid").warnings.len(), warnings, "{name}");
    }
}

#[test]
fn an_observed_set_enforces_no_module() {
    let sources = [
        source("classes.pol", "observe everything\n"),
        source(
            "a.rego",
            "package provost\n\ndecision contains {\"verdict\": \"deny\", \"because\": \"no\"}\n",
        ),
    ];
    let policy = compile_within(&sources, RegoLimits::default())
        .expect("valid")
        .policy;
    let view = policy.view(&session(), Timestamp::UNIX_EPOCH);
    let decision = policy.decide(&view, &facts(), &Circumstances::default());
    assert_eq!(decision.verdict, Verdict::Allow);
    let observed = decision.observed.expect("it is observed");
    assert_eq!(observed.verdict, Verdict::Deny);
}

#[test]
fn mistakes_of_whole_sets() {
    let mut shown = String::new();
    for files in [
        &[("a.rego", "package authz\n\nallow := true\n")][..],
        &[
            ("a.rego", "package provost\n\ndecision contains {} if\n"),
            ("b.rego", "package provost\n\nx := y\n"),
        ],
        &[("v0.rego", "package provost\n\ndecision[x] { x := {} }\n")],
        &[
            (
                "a.rego",
                "package provost\n\ndecision contains {} if data.provost.lib.slow\n",
            ),
            (
                "lib.rego",
                "package provost.lib\n\nslow if time.now_ns() > 3\n",
            ),
        ],
        &[
            (
                "a.rego",
                "package provost\n\ndecision contains {\"masks\": []} if data.provost.lib.x\n",
            ),
            (
                "lib.rego",
                "package provost.lib\n\nx if input.statement.limit > 3\n",
            ),
        ],
    ] {
        shown.push_str(&errors(files));
        shown.push_str("----\n");
    }
    expect_file!["../testdata/mistakes-of-sets.txt"].assert_eq(&shown);
}

#[test]
fn the_schemas_are_the_documented_ones() {
    let text = |schema: serde_json::Value| {
        let mut text = serde_json::to_string_pretty(&schema).expect("JSON");
        text.push('\n');
        text
    };
    expect_file!["../../../../docs/rego-input.schema.json"].assert_eq(&text(input_schema()));
    expect_file!["../../../../docs/rego-input.md"].assert_eq(&input_reference());
    expect_file!["../../../../docs/rego-decision.schema.json"].assert_eq(&text(decision_schema()));
}

/// A rule `x` of this text has this value, or the module fails so.
#[track_caller]
fn check_value(rule: &str, expected: &str) {
    let body = format!(
        "decision contains {{\"verdict\": \"deny\", \"because\": sprintf(\"x is %v\", [x])}}\n\n{rule}"
    );
    let shown = decide(&policy(&body), &Circumstances::default());
    let (_, shown) = shown.split_once("rego:provost").unwrap_or_default();
    let shown = shown
        .rsplit_once(": ")
        .map_or("undefined", |(_, last)| last);
    assert_eq!(shown, expected, "{rule}");
}

#[test]
fn a_rule_has_one_value() {
    for (rule, expected) in [
        ("x := y if some y in [1, 2]", "a rule came to two values"),
        ("x := y if some y in [1, 1]", "x is 1"),
        ("x := y if { some y in [1, 2, 3]; y > 2 }", "x is 3"),
        ("x := y if { some y in [1, 2, 3]; y < 2 }", "x is 1"),
        ("x := y if { some y in [1, 2]; y > 2 }", "undefined"),
        (
            "x := y if { some z in [{1}, {3, 4}]; some y in z; y > 2 }",
            "a rule came to two values",
        ),
        (
            "x := y if { some z in [{1}, {3, 4}]; some y in z; y > 3 }",
            "x is 4",
        ),
        ("x := y.a if some y in [{\"a\": 1}, {}]", "x is 1"),
        (
            "x := y if some y in [null, 2]",
            "a rule got `null` from an iteration",
        ),
        (
            "x := f(1)\n\nf(n) := y if some y in [n, 2]",
            "a rule came to two values",
        ),
        (
            "x := f(1) + f(2)\n\nf(n) := y if { some y in [1, 2]; y == n }",
            "x is 3",
        ),
        ("x if { some y in [1, 2]; y > 0 }", "x is true"),
        (
            "default x := 7\n\nx := y if { some y in [1, 2]; y > 2 }",
            "x is 7",
        ),
        (
            "default x := 7\n\nx := y if { some y in [1, 2]; y > 1 }",
            "x is 2",
        ),
        (
            "x := 1 if { some y in [1, 2]; y == 3 }\n\nelse := y if { some y in [4, 5]; y == 5 }\n\nelse := 9",
            "x is 5",
        ),
        (
            "x := 1 if { some y in [1, 2]; y == 3 }\n\nelse := y if { some y in [4, 5]; y == 6 }\n\nelse := 9",
            "x is 9",
        ),
        ("x := 1 if input.session.tls\n\nelse := 2", "x is 1"),
        ("x := 1 if not input.session.tls\n\nelse := 2", "x is 2"),
        (
            "x := f(2)\n\nf(n) := 1 if { some y in [1]; y == n }\n\nelse := 2",
            "x is 2",
        ),
        (
            "x := y if { every z in [1, 2] { z > 0 }; y := count([q | some q in [1, 2]]) }",
            "x is 2",
        ),
        (
            "x := y if { some z in [1, 2]; y := count([q | some q in [1, 2, 3]; q > z]); y > 1 }",
            "x is 2",
        ),
        (
            "x := count({z | some z in [1, 2, 3]; ok(z)})\n\nok(z) if { some y in [1, 2]; y == z }",
            "x is 2",
        ),
    ] {
        check_value(rule, expected);
    }
    check(
        r#"decision := {"verdict": v} if some v in ["deny", "allow"]"#,
        "deny; rego:provost: module `rego:provost` can't be evaluated: evaluation failed near a.rego:3: a rule came to two values",
    );
}

#[test]
fn rules_are_called_as_deep_as_is_allowed() {
    let nested = |depth: usize| {
        let mut body = "decision contains {\"verdict\": \"allow\"} if x1\n\n".to_owned();
        for number in 1..depth {
            body.push_str(&format!("x{number} if x{}\n\n", number + 1));
        }
        body.push_str(&format!("x{depth} if input.session.tls\n"));
        body
    };
    check(&nested(31), "allow");
    for depth in [32, 1_000] {
        let text = format!("package provost\n\n{}", nested(depth));
        let diagnostics = compile_files(&[("a.rego", &text)], RegoLimits::default());
        let shown = render(&diagnostics.expect_err("too deep"), Colours::None);
        let expected = format!(
            "`provost.decision` calls rules {} deep, and 32 is the limit",
            depth + 1
        );
        assert!(
            shown.contains(&expected),
            "{depth}: {}",
            &shown[..500.min(shown.len())]
        );
    }
}

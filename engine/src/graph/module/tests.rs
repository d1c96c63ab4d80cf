//! Modules in decisions, with modules made of closures.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::json;

use super::*;
use crate::{
    facts::{
        Access, CatalogVersion, ColumnUse, Constant, Equality, Kind, Lineage, Object, Opaque,
        OutputColumn, SessionEffect, Source, Use,
    },
    graph::{
        compile,
        condition::Condition,
        glob::Glob,
        rule::{Audience, Class, ColumnPattern, Mode, Operations, RuleSet, Scope, Subjects},
    },
    principal::{Authentication, Principal, PrincipalKind},
    verdict::{BundleDigest, Decision, Reason},
};

type Say = Box<dyn Fn(&serde_json::Value) -> Result<serde_json::Value, ModuleError> + Send + Sync>;

struct Fake {
    name: Arc<str>,
    controls: Vec<Arc<str>>,
    reads: Reads,
    masks: Announced,
    asked: AtomicUsize,
    say: Say,
}

impl fmt::Debug for Fake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl Module for Fake {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn controls(&self) -> &[Arc<str>] {
        &self.controls
    }

    fn reads(&self) -> Reads {
        self.reads
    }

    fn masks(&self) -> Announced {
        self.masks
    }

    fn evaluate(&self, input: &Input<'_>) -> Result<Vec<ModuleVerdict>, ModuleError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let input = serde_json::to_value(input).expect("input is a document");
        let said = (self.say)(&input)?;
        serde_json::from_value(said).map_err(|error| ModuleError::Shape {
            message: error.to_string().into(),
        })
    }
}

const STATEMENT: Reads = Reads {
    statement: true,
    ..SESSION
};
const SESSION: Reads = Reads {
    time: false,
    statement: false,
    circumstances: false,
    estimated_rows: false,
    novel: false,
};
const MASKS: Announced = Announced {
    masks: true,
    output_masks: true,
};

fn module(
    reads: Reads,
    say: impl Fn(&serde_json::Value) -> Result<serde_json::Value, ModuleError> + Send + Sync + 'static,
) -> Arc<Fake> {
    Arc::new(Fake {
        name: "rego:m".into(),
        controls: vec!["nist-800-53:AC-3".into()],
        reads,
        masks: MASKS,
        asked: AtomicUsize::new(0),
        say: Box::new(say),
    })
}

fn says(reads: Reads, verdicts: serde_json::Value) -> Arc<Fake> {
    module(reads, move |_| Ok(verdicts.clone()))
}

fn policy(mode: Mode, modules: &[&Arc<Fake>]) -> Policy {
    let set = RuleSet {
        digest: BundleDigest("d".into()),
        mode,
        classes: ["other", "pii"]
            .map(|name| Class {
                name: name.into(),
                columns: vec![ColumnPattern {
                    schema: Glob::exactly("public").into(),
                    relation: Glob::exactly("customers").into(),
                    column: Glob::exactly(if name == "pii" { "ssn" } else { "city" }).into(),
                }],
            })
            .to_vec(),
        rules: Vec::new(),
        invariants: Vec::new(),
    };
    let modules = modules
        .iter()
        .map(|&module| Arc::clone(module) as Arc<dyn Module>)
        .collect();
    compile(set)
        .and_then(|policy| policy.with_modules(modules))
        .expect("compiles")
}

fn session() -> Arc<Session> {
    Arc::new(Session {
        principal: Principal {
            id: "devin@corp".into(),
            kind: PrincipalKind::Agent,
            groups: vec!["ai-agents".into()],
            on_behalf_of: None,
            issuer: "https://issuer.example".into(),
            claims: BTreeMap::from([("tenant".to_owned(), json!("acme"))]),
        },
        target: "shop".into(),
        database: "shop".into(),
        role: "app".into(),
        application: "test".into(),
        client_address: None,
        tls: true,
        authentication: Authentication::TokenAsPassword,
    })
}

/// `SELECT id, upper(ssn) FROM customers`, and a call.
fn facts() -> Facts {
    let column = |name: &str| {
        Arc::new(Column {
            relation_oid: 1,
            attribute: 1,
            schema: "public".into(),
            relation: "customers".into(),
            name: name.into(),
            type_oid: 25,
            constrained: false,
        })
    };
    let output = |name: &str, how| OutputColumn {
        name: name.into(),
        lineage: Lineage {
            sources: BTreeSet::from([Source {
                column: column(name),
                how,
            }]),
        },
        origin: None,
    };
    let access = |object, operation, columns: &[&str]| Access {
        object,
        operation,
        columns: columns
            .iter()
            .map(|name| ColumnUse {
                column: column(name),
                used: Use::Output,
            })
            .collect(),
        via: None,
        filtered: false,
        bounded: false,
        equalities: BTreeSet::new(),
    };
    let customers = Object::Relation {
        schema: "public".into(),
        name: "customers".into(),
        oid: 1,
    };
    let function = Object::Function {
        schema: "public".into(),
        name: "f".into(),
    };
    Facts {
        kind: Kind::Select,
        accesses: vec![
            access(customers, Operation::Read, &["id", "ssn"]),
            access(function, Operation::Call, &[]),
        ],
        outputs: Some(vec![output("id", How::Direct), output("ssn", How::Derived)]),
        writes: Vec::new(),
        opaque: BTreeSet::new(),
        session_effect: SessionEffect::None,
        through_views: false,
        views: BTreeSet::new(),
        limit: None,
        parameters: 0,
        lookups: BTreeSet::new(),
        uncounted: false,
        fingerprint: "0".into(),
        catalog_version: CatalogVersion(0),
    }
}

fn decide(policy: &Policy, facts: &Facts, circumstances: &Circumstances<'_>) -> Decision {
    let view = policy.view(&session(), Timestamp::UNIX_EPOCH);
    policy.decide(&view, facts, circumstances)
}

/// The decision in one line: verdict, rules, masks, and reasons with whose they are.
fn shown(policy: &Policy, decision: &Decision) -> String {
    let reason = |reason: &Reason| match &reason.rule {
        Some(rule) => format!("{rule}: {}", reason.message),
        None => reason.message.to_string(),
    };
    let mut parts = vec![decision.verdict.name().to_owned()];
    parts.extend(
        policy
            .names(&decision.rules)
            .iter()
            .map(|name| format!("by {name}")),
    );
    parts.extend(
        decision
            .masks
            .iter()
            .map(|mask| format!("mask {} {} ({})", mask.output, mask.transform, mask.class)),
    );
    parts.extend(
        decision
            .approvals
            .iter()
            .map(|one| format!("{} of {}", one.count, one.group)),
    );
    parts.extend(decision.limits.rows.map(|rows| format!("rows {rows}")));
    parts.extend(
        (decision.recording != crate::verdict::Recording::Statement)
            .then(|| decision.recording.name().to_owned()),
    );
    parts.extend(decision.mask_bound.then(|| "bound".to_owned()));
    parts.extend(decision.reasons.iter().map(reason));
    parts.join("; ")
}

#[track_caller]
fn check_of(modules: &[&Arc<Fake>], facts: &Facts, expected: &str) {
    let policy = policy(Mode::Enforce, modules);
    let decision = decide(&policy, facts, &Circumstances::default());
    assert_eq!(shown(&policy, &decision), expected);
}

/// A module that reads the statement and says this, of [`facts`], announcing output masks.
#[track_caller]
fn check(verdicts: serde_json::Value, expected: &str) {
    check_of(&[&says(STATEMENT, verdicts)], &facts(), expected);
}

const UNCOVERED: &str = "read on public.customers (column id) is not allowed by any rule; \
    read on public.customers (column ssn) is not allowed by any rule; \
    call on function public.f is not allowed by any rule";

#[test]
fn verdicts_join_like_rules() {
    let hold = json!({"verdict": "hold", "approvals": [{"group": "dbas", "members": ["db"], "count": 2, "within_ms": 1}]});
    for (verdicts, expected) in [
        (json!([]), format!("deny; bound; {UNCOVERED}")),
        (json!([{}]), format!("deny; bound; {UNCOVERED}")),
        (
            json!([{"verdict": "allow"}]),
            "allow; by rego:m; bound".to_owned(),
        ),
        (
            json!([{"verdict": "allow", "accesses": [0]}]),
            "deny; bound; call on function public.f is not allowed by any rule".to_owned(),
        ),
        (
            json!([{"verdict": "allow", "accesses": [0]}, {"verdict": "allow", "accesses": [1]}]),
            "allow; by rego:m; bound".to_owned(),
        ),
        (
            json!([{"verdict": "allow", "accesses": []}]),
            format!("deny; bound; {UNCOVERED}"),
        ),
        (
            json!([hold]),
            "hold; by rego:m; 2 of dbas; bound".to_owned(),
        ),
        (
            json!([hold, {"verdict": "allow"}, {"verdict": "deny", "rule": "no", "because": "never"}]),
            "deny; by rego:m; bound; rego:m/no: never".to_owned(),
        ),
        (
            json!([{"verdict": "allow", "limits": {"rows": 9}}, {"limits": {"rows": 7}}, {"recording": "digest"}]),
            "allow; by rego:m; rows 7; digest; bound".to_owned(),
        ),
        (
            json!([{"verdict": "allow", "output_masks": [{"output": 1, "transform": "last 4"}, {"output": 0, "transform": "last 4"}]},
                {"output_masks": [{"output": 0, "transform": "last 2"}]}]),
            "allow; by rego:m; mask 0 last 2 (); mask 1 redact (pii); bound".to_owned(),
        ),
    ] {
        check(verdicts, &expected);
    }
}

#[test]
fn mistakes_deny() {
    let failed = |why: &str| {
        format!(
            "deny; by rego:m; bound; rego:m: module `rego:m` can't be evaluated: {why}; {UNCOVERED}"
        )
    };
    for (verdict, why) in [
        (
            json!({"verdict": "maybe"}),
            "`decision` is no verdict: unknown variant `maybe`, expected one of `allow`, `hold`, `deny`",
        ),
        (
            json!({"verdict": 1}),
            "`decision` is no verdict: invalid type: integer `1`, expected string or map",
        ),
        (
            json!({"verdct": "allow"}),
            "`decision` is no verdict: unknown field `verdct`, expected one of `rule`, `verdict`, `accesses`, `because`, `approvals`, `keep_transaction`, `masks`, `output_masks`, `limits`, `recording`",
        ),
        (
            json!({"limits": {"row": 1}}),
            "`decision` is no verdict: unknown field `row`, expected one of `rows`, `bytes`, `affected_rows`, `time_ms`, `rows_per_hour`, `bytes_per_hour`",
        ),
        (
            json!({"limits": {"rows": -1}}),
            "`decision` is no verdict: invalid value: integer `-1`, expected u64",
        ),
        (
            json!({"output_masks": [{"output": 0, "transform": "blur"}]}),
            "`decision` is no verdict: no transform: `blur`; there are `redact`, `null`, `last N`, `first N`, `keep domain`, `constant \"T\"`, `hash`, `tokenize`, `round to N` and `truncate date UNIT`",
        ),
        (
            json!({"output_masks": [{"output": 2, "transform": "redact"}]}),
            "`decision`: `output_masks` names place 2, and there are 2",
        ),
        (
            json!({"verdict": "hold"}),
            "`decision`: a `hold` says in `approvals` who must approve",
        ),
        (
            json!({"verdict": "hold", "approvals": [{"group": "dbas", "members": [], "count": 1, "within_ms": 1}]}),
            "`decision`: the approval of `dbas` needs members, a count and a time, all above zero",
        ),
        (
            json!({"keep_transaction": true}),
            "`decision`: `keep_transaction` goes with `hold` only",
        ),
        (
            json!({"verdict": "deny", "accesses": [0]}),
            "`decision`: `accesses` goes with `allow` and `hold` only: a `deny` refuses the whole statement",
        ),
        (
            json!({"because": "why not"}),
            "`decision`: `because` goes with `deny` only",
        ),
        (
            json!({"masks": [{"classes": ["pii"]}]}),
            "`decision`: `masks` must not depend on the statement: return them from a module that reads `input.principal`, `input.session` and `input.time` only",
        ),
    ] {
        check(json!([verdict]), &failed(why));
    }
    // The rest of what it says stands: a place beyond the list is found while joining.
    check(
        json!([{"verdict": "allow"}, {"verdict": "allow", "accesses": [2]}]),
        "deny; by rego:m; bound; rego:m: module `rego:m` can't be evaluated: `decision`: `accesses` names place 2, and there are 2",
    );
    let broken = module(STATEMENT, |_| {
        Err(ModuleError::TooManyInstructions {
            instructions_max: 5,
        })
    });
    check_of(&[&broken], &facts(), &failed("more than 5 instructions"));
}

#[test]
fn what_is_opaque_is_covered_by_its_place_only() {
    let opaque = Facts {
        opaque: BTreeSet::from([Opaque {
            subject: "f".into(),
            reason: "unknown".into(),
        }]),
        ..facts()
    };
    let silent = Arc::new(Fake {
        masks: Announced::default(),
        ..Arc::into_inner(says(STATEMENT, json!([{"verdict": "allow"}]))).expect("one owner")
    });
    check_of(
        &[&silent],
        &opaque,
        "deny; opaque is not allowed by any rule: f: unknown",
    );
    let naming = module(STATEMENT, |input| {
        let accesses = input["statement"]["accesses"].as_array().expect("a list");
        assert_eq!(
            accesses[2]["operation"], "opaque",
            "the implied access is shown"
        );
        Ok(json!([{"verdict": "allow", "accesses": [0, 1, 2]}]))
    });
    check_of(&[&naming], &opaque, "allow; by rego:m; bound");
}

#[test]
fn a_module_of_the_session_is_asked_once() {
    let of_session = says(SESSION, json!([{"verdict": "allow"}]));
    let of_statement = Arc::new(Fake {
        name: "rego:n".into(),
        ..Arc::into_inner(says(STATEMENT, json!([]))).expect("one owner")
    });
    let policy = policy(Mode::Enforce, &[&of_session, &of_statement]);
    let view = policy.view(&session(), Timestamp::UNIX_EPOCH);
    assert_eq!(view.until(), Timestamp::MAX);
    for _ in 0..5 {
        let decision = policy.decide(&view, &facts(), &Circumstances::default());
        assert_eq!(decision.verdict, Verdict::Allow);
    }
    assert_eq!(of_session.asked.load(Ordering::Relaxed), 1);
    assert_eq!(of_statement.asked.load(Ordering::Relaxed), 5);
}

#[test]
fn a_module_that_reads_the_time_is_asked_every_minute() {
    let timed = Reads {
        time: true,
        ..SESSION
    };
    let module = module(timed, |input| {
        let early = input["time"]["minute"] == 0;
        Ok(json!([{"verdict": if early { "allow" } else { "deny" }}]))
    });
    let policy = policy(Mode::Enforce, &[&module]);
    for (second, until, expected) in [
        (0, 60, Verdict::Allow),
        (59, 60, Verdict::Allow),
        (60, 120, Verdict::Deny),
    ] {
        let at = |second| Timestamp::from_second(second).expect("an instant");
        let view = policy.view(&session(), at(second));
        assert_eq!(view.until(), at(until));
        assert_eq!(
            policy
                .decide(&view, &facts(), &Circumstances::default())
                .verdict,
            expected
        );
    }
}

#[test]
fn masks_on_classes_hold_for_the_session() {
    let masking = says(
        SESSION,
        json!([{"masks": [{"classes": ["pii"], "with": {"SSN": "last 4"}}]}, {"verdict": "allow"}]),
    );
    check_of(
        &[&masking],
        &facts(),
        "allow; by rego:m; mask 1 redact (pii); bound",
    );

    let mut probing = facts();
    probing.accesses[0].columns = probing.accesses[0]
        .columns
        .iter()
        .map(|used| ColumnUse {
            used: Use::Filter,
            ..used.clone()
        })
        .collect();
    check_of(
        &[&masking],
        &probing,
        "deny; by rego:m; bound; rego:m: public.customers.ssn is masked and may not decide which rows there are",
    );

    let nothing = says(SESSION, json!([{"verdict": "allow"}]));
    check_of(&[&nothing], &facts(), "allow; by rego:m");
    let unknown = says(SESSION, json!([{"masks": [{"classes": ["nosuch"]}]}]));
    check_of(
        &[&unknown],
        &facts(),
        &format!(
            "deny; by rego:m; bound; rego:m: module `rego:m` can't be evaluated: `decision`: the policy set has no class `nosuch`; {UNCOVERED}"
        ),
    );
    let unannounced = Arc::new(Fake {
        masks: Announced::default(),
        ..Arc::into_inner(says(SESSION, json!([{"masks": [{"classes": ["pii"]}]}])))
            .expect("one owner")
    });
    check_of(
        &[&unannounced],
        &facts(),
        &format!(
            "deny; by rego:m; rego:m: module `rego:m` can't be evaluated: `decision`: `masks` is not written in the module's text, so that nobody knew that it masks: write the key out; {UNCOVERED}"
        ),
    );
}

#[test]
fn dear_facts_are_fetched_only_where_nothing_else_settles_it() {
    let reads = Reads {
        estimated_rows: true,
        ..STATEMENT
    };
    let asking = module(reads, |input| {
        let rows = input["circumstances"]["estimated_rows"]
            .as_u64()
            .expect("it is known");
        Ok(json!([{"verdict": if rows > 10 { "deny" } else { "allow" }}]))
    });
    let of_policy = policy(Mode::Enforce, &[&asking]);
    let first = decide(&of_policy, &facts(), &Circumstances::default());
    assert!(first.needs.estimated_rows && !first.needs.novel);
    assert_eq!(first.verdict, Verdict::Deny);
    assert_eq!(asking.asked.load(Ordering::Relaxed), 0);
    for (estimated_rows, expected) in [
        (Dear::Known(10), "allow; by rego:m; bound".to_owned()),
        (
            Dear::Known(11),
            format!("deny; by rego:m; bound; rego:m: the module denies it; {UNCOVERED}"),
        ),
        (
            Dear::Failed("not pure".into()),
            format!(
                "deny; by rego:m; bound; rego:m: module `rego:m` can't be evaluated: `estimated_rows` could not be had: not pure; {UNCOVERED}"
            ),
        ),
    ] {
        let circumstances = Circumstances {
            estimated_rows,
            ..Circumstances::default()
        };
        let decision = decide(&of_policy, &facts(), &circumstances);
        assert_eq!(shown(&of_policy, &decision), expected);
    }

    let denying = Arc::new(Fake {
        name: "rego:a".into(),
        ..Arc::into_inner(says(STATEMENT, json!([{"verdict": "deny"}]))).expect("one owner")
    });
    let of_policy = policy(Mode::Enforce, &[&asking, &denying]);
    let settled = decide(&of_policy, &facts(), &Circumstances::default());
    assert!(settled.needs.is_empty(), "another module refuses anyway");
}

#[test]
fn a_module_that_reads_the_statement_waits_for_values_that_follow() {
    let allowing = says(STATEMENT, json!([{"verdict": "allow"}]));
    let of_policy = policy(Mode::Enforce, &[&allowing]);
    let mut compares = facts();
    let column = compares.accesses[0]
        .columns
        .first()
        .map(|used| Arc::clone(&used.column))
        .expect("a column");
    compares.accesses[0].equalities = BTreeSet::from([Equality {
        column,
        value: Constant::Parameter(1),
    }]);
    let follow = Circumstances {
        values_follow: true,
        ..Circumstances::default()
    };
    let known = Circumstances {
        parameters: Some(&[Some("7")]),
        ..follow.clone()
    };
    for (facts, circumstances, waits) in [
        (&compares, &follow, true),
        (&compares, &known, false),
        (&compares, &Circumstances::default(), false),
        (&facts(), &follow, false),
    ] {
        let decision = decide(&of_policy, facts, circumstances);
        assert_eq!(decision.needs.values, waits, "{circumstances:?}");
        assert_eq!(decision.verdict == Verdict::Deny, waits);
    }
}

#[test]
fn what_is_always_allowed_stays_so() {
    let denying = says(STATEMENT, json!([{"verdict": "deny"}]));
    let commit = Facts {
        kind: Kind::Commit,
        accesses: vec![Access {
            object: Object::Nothing,
            operation: Operation::Transaction,
            columns: BTreeSet::new(),
            via: None,
            filtered: false,
            bounded: false,
            equalities: BTreeSet::new(),
        }],
        outputs: None,
        ..facts()
    };
    check_of(&[&denying], &commit, "allow; bound");
}

#[test]
fn an_observing_set_only_observes_its_modules() {
    let denying = says(STATEMENT, json!([{"verdict": "deny", "because": "no"}]));
    let policy = policy(Mode::Observe, &[&denying]);
    let decision = decide(&policy, &facts(), &Circumstances::default());
    assert_eq!(decision.verdict, Verdict::Allow);
    let observed = decision.observed.expect("it spoke");
    assert_eq!(observed.verdict, Verdict::Deny);
    assert_eq!(policy.names(&observed.rules), [Arc::from("rego:m")]);
    assert_eq!(
        policy.controls(&observed.rules),
        [Arc::from("nist-800-53:AC-3")]
    );
}

#[test]
fn names_are_unique() {
    let policy = policy(Mode::Enforce, &[&says(SESSION, json!([]))]);
    let error = policy
        .with_modules(vec![says(SESSION, json!([]))])
        .expect_err("a second module of the name");
    assert_eq!(error.to_string(), "two rules are called `rego:m`");
}

#[test]
fn what_rules_prove_is_not_proved_of_modules() {
    let anyone = Subjects {
        audience: Audience::Anyone,
        except: Vec::new(),
    };
    let never = Invariant {
        name: "nothing-is-deleted".into(),
        subjects: anyone.clone(),
        claim: Claim::NeverAllow(Scope {
            operations: Operations::of(&[Operation::Delete]),
            objects: None,
            condition: Condition::Always,
        }),
    };
    let always = Invariant {
        name: "pii-is-masked".into(),
        subjects: anyone,
        claim: Claim::AlwaysMask(vec!["pii".into()]),
    };
    let module = says(STATEMENT, json!([{"verdict": "allow"}]));
    let unknown = Proof::Unknown("what module `rego:m` says is known only when it is asked".into());
    let alone = policy(Mode::Enforce, &[]);
    let with = policy(Mode::Enforce, &[&module]);
    assert_eq!(alone.prove(&never), Proof::Holds);
    assert_eq!(with.prove(&never), unknown);
    assert!(matches!(alone.prove(&always), Proof::Violated(_)));
    assert_eq!(with.prove(&always), unknown);
}

#[test]
fn what_modules_say_is_explained() {
    let explained = |module: &Arc<Fake>| {
        let policy = policy(Mode::Enforce, &[module]);
        let (session, facts) = (session(), facts());
        let circumstances = Circumstances::default();
        let explanation = policy.explain(&session, Timestamp::UNIX_EPOCH, &facts, &circumstances);
        let last = explanation.rules.last().cloned().expect("the module");
        assert_eq!((&*last.name, last.effect), ("rego:m", "module"));
        last.fate
    };
    for (module, expected) in [
        (
            says(STATEMENT, json!([])),
            "OtherAccesses(\"it says nothing of this statement\")",
        ),
        (
            says(
                STATEMENT,
                json!([{"rule": "r", "verdict": "deny", "because": "no"}]),
            ),
            "Applied([\"r: denies: no\"])",
        ),
        (
            says(
                SESSION,
                json!([{"verdict": "allow", "recording": "results", "limits": {"rows": 1}}]),
            ),
            "Applied([\"allows read on public.customers\", \"allows call on public.f\", \"limits\", \"records\"])",
        ),
        (
            says(Reads::ALL, json!([{}])),
            "Unknown(\"`novel` was not asked for\")",
        ),
        (
            says(STATEMENT, json!([{"verdict": "hold"}])),
            "Unknown(\"`decision`: a `hold` says in `approvals` who must approve\")",
        ),
    ] {
        assert_eq!(format!("{:?}", explained(&module)), expected);
    }
}

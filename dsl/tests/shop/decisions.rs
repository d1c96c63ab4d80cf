//! What the demo's policy and the built-in pack allow and refuse: agents, analysts, administrators and privacy officers.

use expect_test::expect;
use provost_engine::facts::{How, Kind, Object, Operation};

use crate::*;

#[test]
fn uncovered_and_denied() {
    check(
        AGENT,
        Statement::select("hr.salaries"),
        expect![[r#"
            deny by [agents-never-hr]
              agents have no business in hr [agents-never-hr]
        "#]],
    );
    check(
        ANALYST,
        Statement::select("hr.salaries"),
        expect![[r#"
        deny by []
          read on hr.salaries is not allowed by any rule
    "#]],
    );
    check(
        DBA,
        Statement::select("hr.salaries"),
        expect![[r#"
        allow by [dbas-run-the-database]
    "#]],
    );
    check(
        "nobody",
        Statement::select("public.orders"),
        expect![[r#"
        deny by []
          read on public.orders is not allowed by any rule
    "#]],
    );
    check(
        "nobody",
        Statement::new(Kind::Select, Object::Nothing, Operation::Read),
        expect![[r#"
        allow by []
    "#]],
    );
}

#[test]
fn writes_are_bounded() {
    let update = || Statement::new(Kind::Update, relation("public.orders"), Operation::Update);
    check(
        AGENT,
        update(),
        expect![[r#"
            deny by [agents-never-bulk-write]
              an agent changes rows one key at a time [agents-never-bulk-write] (add a WHERE clause with = or IN on a unique key)
        "#]],
    );
    check(
        AGENT,
        update().limited(true, false),
        expect![[r#"
            deny by [agents-never-bulk-write]
              an agent changes rows one key at a time [agents-never-bulk-write] (add a WHERE clause with = or IN on a unique key)
        "#]],
    );
    check(
        AGENT,
        update().limited(true, true),
        expect![[r#"
        allow by [agents-change-orders]
    "#]],
    );
    check(
        AGENT,
        Statement::new(Kind::Delete, relation("public.orders"), Operation::Delete)
            .limited(true, true),
        expect![[r#"
            hold by [agents-ask-before-deleting]
        "#]],
    );
    check(
        ANALYST,
        update().limited(true, true),
        expect![[r#"
        deny by []
          update on public.orders is not allowed by any rule
    "#]],
    );
    check(
        DBA,
        update(),
        expect![[r#"
        allow by [dbas-run-the-database]
    "#]],
    );
}

#[test]
fn the_built_in_pack() {
    for (object, operation, expected) in [
        (
            Object::Nothing,
            Operation::Transaction,
            expect![[r#"
            allow by [baseline-transactions]
        "#]],
        ),
        (
            Object::Setting("timezone".into()),
            Operation::Session,
            expect![[r#"
            allow by [baseline-settings]
        "#]],
        ),
        (
            Object::Setting("search_path".into()),
            Operation::Session,
            expect![[r#"
            allow by [baseline-search-path]
        "#]],
        ),
        (
            Object::Setting("search_path".into()),
            Operation::Read,
            expect![[r#"
            allow by [baseline-show]
        "#]],
        ),
        (
            Object::Setting("work_mem".into()),
            Operation::Read,
            expect![[r#"
            deny by []
              read on setting work_mem is not allowed by any rule
        "#]],
        ),
        (
            relation("pg_catalog.pg_class"),
            Operation::Read,
            expect![[r#"
            allow by [baseline-catalogs]
        "#]],
        ),
        (
            relation("information_schema.columns"),
            Operation::Read,
            expect![[r#"
            allow by [baseline-information-schema]
        "#]],
        ),
        (
            relation("information_schema.user_mapping_options"),
            Operation::Read,
            expect![[r#"
            deny by [mask-cards mask-pii]
              read on information_schema.user_mapping_options is not allowed by any rule
              masks bind this principal, and information_schema.user_mapping_options carries values of other relations (a principal that no mask binds may run it)
        "#]],
        ),
        (
            Object::Channel("jobs".into()),
            Operation::Listen,
            expect![[r#"
            deny by []
              listen on channel jobs is not allowed by any rule
        "#]],
        ),
        (
            Object::Nothing,
            Operation::Opaque,
            expect![[r#"
            deny by []
              opaque is not allowed by any rule
        "#]],
        ),
    ] {
        check(
            "nobody",
            Statement::new(Kind::Set, object, operation),
            expected,
        );
    }
}

#[test]
fn always_allowed_statements() {
    for kind in [Kind::Commit, Kind::Rollback, Kind::Release] {
        let bare = provost_dsl::compile(&[])
            .expect("an empty set is valid")
            .policy;
        let statement = Statement::new(kind, Object::Nothing, Operation::Transaction);
        let decision = decide_by(&bare, &session(&[], None), &statement);
        assert_eq!(show(&decision), "allow by []\n");
        // Whatever else such a statement would do makes it an ordinary one.
        let statement = Statement::new(kind, relation("public.orders"), Operation::Delete);
        let decision = decide_by(&bare, &session(&[], None), &statement);
        assert_eq!(
            show(&decision),
            "deny by []\n  delete on public.orders is not allowed by any rule\n"
        );
    }
}

#[test]
fn the_person_behind_an_agent_counts_against_it() {
    let ssn =
        || Statement::select("public.customers").output(&[("public.customers.ssn", How::Direct)]);
    let masked = |groups: &[&str], person: Option<&[&str]>| {
        !decide(&session(groups, person), &ssn()).masks.is_empty()
    };
    // Both must be in the group that a mask excepts.
    assert!(!masked(&[AGENT, PRIVACY], None));
    assert!(masked(&[AGENT, PRIVACY], Some(&[ANALYST])));
    assert!(masked(&[AGENT], Some(&[PRIVACY])));
    assert!(!masked(&[AGENT, PRIVACY], Some(&[PRIVACY])));
    // One in each of two excepted groups is not enough.
    assert!(masked(&[AGENT, PRIVACY], Some(&[DBA])));
    // The person's groups allow nothing, and deny as the actor's own.
    let hr = Statement::select("hr.salaries");
    assert_eq!(
        decide(&session(&[], Some(&[DBA])), &hr).verdict.name(),
        "deny"
    );
    assert_eq!(
        decide(&session(&[DBA], Some(&[AGENT])), &hr).verdict.name(),
        "deny"
    );
    assert_eq!(decide(&session(&[DBA], None), &hr).verdict.name(), "allow");
}

#[test]
fn an_exception_to_an_allow_takes_either() {
    let text = "group g = \"g\"\nrule r allow read for anyone except g";
    let source = provost_dsl::Source {
        path: "test.pol".into(),
        text: text.to_owned(),
    };
    let policy = provost_dsl::compile(&[source]).expect("valid").policy;
    let verdict = |actor: &[&str], person: Option<&[&str]>| {
        decide_by(&policy, &session(actor, person), &Statement::select("a.b"))
            .verdict
            .name()
    };
    assert_eq!(verdict(&[], None), "allow");
    assert_eq!(verdict(&[], Some(&[])), "allow");
    assert_eq!(verdict(&["g"], Some(&[])), "deny");
    assert_eq!(verdict(&[], Some(&["g"])), "deny");
    // Group names are exact bytes.
    assert_eq!(verdict(&["G"], None), "allow");
}

#[test]
fn rule_patterns_fold_unquoted_names_only() {
    let text = "rule r allow read on Public.Orders, public.\"Mixed\", public.\"a*\" for anyone";
    let source = provost_dsl::Source {
        path: "test.pol".into(),
        text: text.to_owned(),
    };
    let policy = provost_dsl::compile(&[source]).expect("valid").policy;
    for (path, expected) in [
        ("public.orders", "allow"),
        ("public.Orders", "deny"),
        ("public.Mixed", "allow"),
        ("public.mixed", "deny"),
        ("public.a*", "allow"),
        ("public.ab", "deny"),
    ] {
        let decision = decide_by(&policy, &session(&[], None), &Statement::select(path));
        assert_eq!(decision.verdict.name(), expected, "{path}");
    }
}

#[test]
fn a_view_of_another_policy_is_refused() {
    let other = provost_dsl::compile(&[])
        .expect("an empty set is valid")
        .policy;
    let view = other.view(
        &Arc::new(session(&[DBA], None)),
        jiff::Timestamp::UNIX_EPOCH,
    );
    assert_eq!(
        show(&SHOP.policy.decide(
            &view,
            &Statement::select("public.orders").0,
            &Circumstances::default()
        )),
        "deny by []\n  the session's view was made by another policy set\n"
    );
    assert!(SHOP.policy.is_mask_bound(&view));
}

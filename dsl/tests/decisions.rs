//! The demo's policy and the built-in pack, decided on facts: what agents, analysts, administrators and privacy officers
//! may do, and why not. Facts are written by hand; real statements are the end-to-end tests' part.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, LazyLock},
};

use expect_test::{Expect, expect};
use provost_engine::{
    facts::{
        Access, CatalogVersion, Column, ColumnUse, ColumnWrite, Facts, How, Kind, Lineage, Object,
        Opaque, Operation, OutputColumn, SessionEffect, Source, Use,
    },
    principal::{Authentication, Delegator, Principal, PrincipalKind, Session},
    verdict::Decision,
};

static SHOP: LazyLock<provost_dsl::Compiled> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo/policy");
    provost_dsl::load(&folder).expect("the demo's policy compiles")
});

fn session(groups: &[&str], person: Option<&[&str]>) -> Session {
    let names = |groups: &[&str]| groups.iter().map(|&group| Arc::from(group)).collect();
    Session {
        principal: Principal {
            id: "someone".into(),
            kind: PrincipalKind::Agent,
            groups: names(groups),
            on_behalf_of: person.map(|groups| Delegator {
                id: "person".into(),
                groups: names(groups),
            }),
            issuer: "https://issuer.example".into(),
            claims: BTreeMap::new(),
        },
        target: "shop".into(),
        database: "shop".into(),
        role: "app".into(),
        application: "test".into(),
        client_address: None,
        tls: true,
        authentication: Authentication::TokenAsPassword,
    }
}

fn relation(path: &str) -> Object {
    let (schema, name) = path.split_once('.').expect("schema.name");
    Object::Relation {
        schema: schema.into(),
        name: name.into(),
        oid: 1,
    }
}

/// `schema.relation.column`, with `!` behind it when a constraint speaks about it.
fn column(path: &str) -> Arc<Column> {
    let (path, constrained) = path
        .strip_suffix('!')
        .map_or((path, false), |path| (path, true));
    let mut parts = path.split('.').map(Arc::from);
    let mut next = || parts.next().expect("schema.relation.column");
    let (schema, relation, name) = (next(), next(), next());
    Arc::new(Column {
        relation_oid: 1,
        attribute: 1,
        schema,
        relation,
        name,
        type_oid: 25,
        constrained,
    })
}

fn access(object: Object, operation: Operation) -> Access {
    Access {
        object,
        operation,
        columns: BTreeSet::new(),
        via: None,
        filtered: false,
        bounded: false,
    }
}

fn lineage(sources: &[(&str, How)]) -> Lineage {
    Lineage {
        sources: sources
            .iter()
            .map(|(path, how)| Source {
                column: column(path),
                how: *how,
            })
            .collect(),
    }
}

/// A statement, built up.
struct Statement(Facts);

impl Statement {
    fn new(kind: Kind, object: Object, operation: Operation) -> Self {
        Self(Facts {
            kind,
            accesses: vec![access(object, operation)],
            outputs: (kind == Kind::Select).then(Vec::new),
            writes: Vec::new(),
            opaque: BTreeSet::new(),
            session_effect: SessionEffect::None,
            through_views: false,
            fingerprint: "0000000000000000".into(),
            catalog_version: CatalogVersion(1),
        })
    }

    fn select(path: &str) -> Self {
        Self::new(Kind::Select, relation(path), Operation::Read)
    }

    fn output(mut self, sources: &[(&str, How)]) -> Self {
        let output = OutputColumn {
            name: "o".into(),
            lineage: lineage(sources),
            origin: None,
        };
        self.0.outputs.get_or_insert_default().push(output);
        self
    }

    fn uses(mut self, path: &str, used: Use) -> Self {
        self.0.accesses[0].columns.insert(ColumnUse {
            column: column(path),
            used,
        });
        self
    }

    fn writes(mut self, path: &str, sources: &[(&str, How)]) -> Self {
        self.0.writes.push(ColumnWrite {
            column: column(path),
            lineage: lineage(sources),
        });
        self
    }

    fn limited(mut self, filtered: bool, bounded: bool) -> Self {
        self.0.accesses[0].filtered = filtered;
        self.0.accesses[0].bounded = bounded;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.0);
        self
    }
}

fn decide(session: &Session, statement: &Statement) -> Decision {
    let policy = &SHOP.policy;
    policy.decide(&policy.view(session), &statement.0)
}

fn show(decision: &Decision) -> String {
    let list = |names: &[Arc<str>]| names.join(" ");
    let mut text = format!(
        "{} by [{}]\n",
        decision.verdict.name(),
        list(&decision.rules)
    );
    for mask in &decision.masks {
        let line = format!(
            "  {}: {} [{}] {} of {}\n",
            mask.output,
            mask.transform,
            list(&mask.rules),
            mask.class,
            list(&mask.sources)
        );
        text.push_str(&line);
    }
    for reason in &decision.reasons {
        let rule = reason
            .rule
            .as_deref()
            .map(|rule| format!(" [{rule}]"))
            .unwrap_or_default();
        let hint = reason
            .hint
            .as_deref()
            .map(|hint| format!(" ({hint})"))
            .unwrap_or_default();
        text.push_str(&format!("  {}{rule}{hint}\n", reason.message));
    }
    text
}

#[track_caller]
fn check(group: &str, statement: Statement, expected: Expect) {
    expected.assert_eq(&show(&decide(&session(&[group], None), &statement)));
}

const AGENT: &str = "ai-agents";
const ANALYST: &str = "analysts";
const DBA: &str = "db-admins";
const PRIVACY: &str = "privacy-officers";

#[test]
fn agents_see_customers_masked() {
    let statement = || {
        Statement::select("public.customers")
            .output(&[("public.customers.id", How::Direct)])
            .output(&[("public.customers.ssn", How::Direct)])
            .output(&[("public.customers.email", How::Direct)])
            .output(&[("public.customers.phone", How::Direct)])
            .output(&[("public.customers.card_number", How::Direct)])
            .output(&[
                ("public.customers.ssn", How::Derived),
                ("public.customers.name", How::Direct),
            ])
            .output(&[("public.customers.ssn", How::Safe)])
            .output(&[
                ("public.customers.ssn", How::Direct),
                ("public.customers.email", How::Direct),
            ])
            .output(&[
                ("public.customers.ssn", How::Direct),
                ("public.customers.card_number", How::Direct),
            ])
            .output(&[
                ("public.customers.ssn", How::Direct),
                ("public.customers.name", How::Direct),
            ])
    };
    check(
        AGENT,
        statement(),
        expect![[r#"
        allow by [agents-read-shop mask-cards mask-pii]
          1: last 4 [mask-pii] pii of public.customers.ssn
          2: keep domain [mask-pii] pii of public.customers.email
          3: redact [mask-pii] pii of public.customers.phone
          4: last 4 [mask-cards] cards of public.customers.card_number
          5: redact [mask-pii] pii of public.customers.ssn
          7: redact [mask-pii] pii of public.customers.email public.customers.ssn
          8: last 4 [mask-cards mask-pii] cards, pii of public.customers.card_number public.customers.ssn
          9: last 4 [mask-pii] pii of public.customers.ssn
    "#]],
    );
    check(
        PRIVACY,
        statement(),
        expect![[r#"
        allow by [mask-cards privacy-officers-read]
          4: last 4 [mask-cards] cards of public.customers.card_number
          8: last 4 [mask-cards] cards of public.customers.card_number
    "#]],
    );
    check(
        DBA,
        statement(),
        expect![[r#"
        allow by [dbas-run-the-database]
    "#]],
    );
}

#[test]
fn masks_ignore_case_and_inherited_names() {
    check(
        AGENT,
        Statement::select("public.orders").output(&[("Archive.Payments.PAN", How::Direct)]),
        expect![[r#"
        allow by [agents-read-shop mask-cards]
          0: last 4 [mask-cards] cards of Archive.Payments.PAN
    "#]],
    );
}

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
        deny by []
          delete on public.orders is not allowed by any rule
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
fn probing() {
    for (used, expected) in [
        (
            Use::Filter,
            expect![[r#"
            deny by [mask-pii]
              public.customers.ssn is masked and may not decide which rows there are [mask-pii] (leave out column ssn)
        "#]],
        ),
        (
            Use::Join,
            expect![[r#"
            deny by [mask-pii]
              public.customers.ssn is masked and may not decide how rows join [mask-pii] (leave out column ssn)
        "#]],
        ),
        (
            Use::Group,
            expect![[r#"
            deny by [mask-pii]
              public.customers.ssn is masked and rows may not be grouped or made distinct by it [mask-pii] (leave out column ssn)
        "#]],
        ),
        (
            Use::Sort,
            expect![[r#"
            deny by [mask-pii]
              public.customers.ssn is masked and rows may not be ordered by it [mask-pii] (leave out column ssn)
        "#]],
        ),
        (
            Use::Output,
            expect![[r#"
            allow by [agents-read-shop]
        "#]],
        ),
    ] {
        check(
            AGENT,
            Statement::select("public.customers").uses("public.customers.ssn", used),
            expected,
        );
    }
    check(
        PRIVACY,
        Statement::select("public.customers").uses("public.customers.ssn", Use::Filter),
        expect![[r#"
        allow by [privacy-officers-read]
    "#]],
    );
    check(
        PRIVACY,
        Statement::select("public.customers").uses("public.customers.card_number", Use::Filter),
        expect![[r#"
        deny by [mask-cards]
          public.customers.card_number is masked and may not decide which rows there are [mask-cards] (leave out column card_number)
    "#]],
    );
}

#[test]
fn writing_masked_columns() {
    let insert = || {
        Statement::new(
            Kind::Insert,
            relation("public.customers"),
            Operation::Insert,
        )
    };
    check(
        AGENT,
        insert().writes("public.customers.ssn", &[]),
        expect![[r#"
        allow by [agents-add]
    "#]],
    );
    check(
        AGENT,
        insert().writes("public.customers.ssn!", &[]),
        expect![[r#"
        deny by [mask-pii]
          public.customers.ssn is masked and under a constraint: writing it tells whether a value exists [mask-pii] (leave out column ssn)
    "#]],
    );
    check(
        AGENT,
        insert().writes(
            "public.customers.name",
            &[("public.customers.ssn", How::Direct)],
        ),
        expect![[r#"
        deny by [mask-pii]
          public.customers.ssn is masked and may not be copied into public.customers.name [mask-pii] (leave out column ssn)
    "#]],
    );
    check(
        AGENT,
        insert().writes(
            "public.customers.name",
            &[("public.customers.ssn", How::Derived)],
        ),
        expect![[r#"
        deny by [mask-pii]
          public.customers.ssn is masked and may not be copied into public.customers.name [mask-pii] (leave out column ssn)
    "#]],
    );
    check(
        AGENT,
        insert().writes(
            "public.customers.name",
            &[("public.customers.ssn", How::Safe)],
        ),
        expect![[r#"
        allow by [agents-add]
    "#]],
    );
    check(
        DBA,
        insert().writes(
            "public.customers.name",
            &[("public.customers.ssn", How::Direct)],
        ),
        expect![[r#"
        allow by [dbas-run-the-database]
    "#]],
    );
}

#[test]
fn what_no_mask_bound_principal_may_do() {
    let opaque = |facts: &mut Facts| {
        facts.opaque.insert(Opaque {
            subject: "function public.f".into(),
            reason: "its language is c".into(),
        });
    };
    check(
        ANALYST,
        Statement::select("public.orders").with(opaque),
        expect![[r#"
        deny by [mask-cards mask-pii]
          opaque is not allowed by any rule: function public.f: its language is c
          masks bind this principal, and what function public.f does can't be bounded: its language is c (a principal that no mask binds may run it)
    "#]],
    );
    check(
        DBA,
        Statement::select("public.orders").with(opaque),
        expect![[r#"
        allow by [dbas-run-the-database]
    "#]],
    );
    check(
        ANALYST,
        Statement::new(Kind::Ddl, relation("public.t"), Operation::Create),
        expect![[r#"
        deny by [mask-cards mask-pii]
          create on public.t is not allowed by any rule
          masks bind this principal, and a schema change can move masked values out of their class (a principal that no mask binds may run it)
    "#]],
    );
    check(
        DBA,
        Statement::new(Kind::Ddl, relation("public.t"), Operation::Create),
        expect![[r#"
        allow by [dbas-run-the-database]
    "#]],
    );
    check(
        ANALYST,
        Statement::select("public.orders")
            .with(|facts| facts.session_effect = SessionEffect::Catalog),
        expect![[r#"
        deny by [mask-cards mask-pii]
          masks bind this principal, and a schema change can move masked values out of their class (a principal that no mask binds may run it)
    "#]],
    );
    check(
        ANALYST,
        Statement::select("public.orders").with(|facts| facts.outputs = None),
        expect![[r#"
        deny by [mask-cards mask-pii]
          masks bind this principal, and the columns of this statement's result are not known (a principal that no mask binds may run it)
    "#]],
    );
    check(
        ANALYST,
        Statement::new(Kind::CopyTo, relation("public.orders"), Operation::Read),
        expect![[r#"
        deny by [mask-cards mask-pii]
          masks bind this principal, and COPY TO is not masked in this version (use SELECT)
    "#]],
    );
    check(
        ANALYST,
        Statement::new(Kind::Explain, relation("public.customers"), Operation::Read),
        expect![[r#"
        deny by [mask-cards mask-pii]
          EXPLAIN tells of values, and columns of public.customers are masked (a principal that no mask binds may run it)
    "#]],
    );
    check(
        ANALYST,
        Statement::new(Kind::Explain, relation("public.orders"), Operation::Read),
        expect![[r#"
        allow by [analysts-read-shop]
    "#]],
    );
    check(
        DBA,
        Statement::new(Kind::Explain, relation("public.customers"), Operation::Read),
        expect![[r#"
        allow by [dbas-run-the-database]
    "#]],
    );
    check(
        ANALYST,
        Statement::select("pg_catalog.pg_stats"),
        expect![[r#"
        deny by [mask-cards mask-pii]
          read on pg_catalog.pg_stats is not allowed by any rule
          masks bind this principal, and pg_catalog.pg_stats carries values of other relations (a principal that no mask binds may run it)
    "#]],
    );
    check(
        ANALYST,
        Statement::select("public.pg_stat_statements"),
        expect![[r#"
        deny by [mask-cards mask-pii]
          masks bind this principal, and public.pg_stat_statements carries values of other relations (a principal that no mask binds may run it)
    "#]],
    );
    check(
        DBA,
        Statement::select("pg_catalog.pg_stats"),
        expect![[r#"
        allow by [dbas-run-the-database]
    "#]],
    );
}

#[test]
fn views_over_masked_columns() {
    let through = |facts: &mut Facts| facts.through_views = true;
    let view = |path: &'static str| {
        Statement::select("public.contacts")
            .output(&[(path, How::Direct)])
            .with(through)
    };
    check(
        ANALYST,
        view("public.customers.ssn"),
        expect![[r#"
        deny by [mask-pii]
          public.customers.ssn is masked and reached through a view or function, which is not supported yet [mask-pii] (read the table itself)
    "#]],
    );
    check(
        ANALYST,
        view("public.customers.name"),
        expect![[r#"
        allow by [analysts-read-shop]
    "#]],
    );
    check(
        DBA,
        view("public.customers.ssn"),
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
            deny by []
              session on setting search_path is not allowed by any rule
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
        let decision = bare.decide(&bare.view(&session(&[], None)), &statement.0);
        assert_eq!(show(&decision), "allow by []\n");
        // Whatever else such a statement would do makes it an ordinary one.
        let statement = Statement::new(kind, relation("public.orders"), Operation::Delete);
        let decision = bare.decide(&bare.view(&session(&[], None)), &statement.0);
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
        policy
            .decide(
                &policy.view(&session(actor, person)),
                &Statement::select("a.b").0,
            )
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
        let decision = policy.decide(
            &policy.view(&session(&[], None)),
            &Statement::select(path).0,
        );
        assert_eq!(decision.verdict.name(), expected, "{path}");
    }
}

#[test]
fn a_view_of_another_policy_is_refused() {
    let other = provost_dsl::compile(&[])
        .expect("an empty set is valid")
        .policy;
    let view = other.view(&session(&[DBA], None));
    assert_eq!(
        show(
            &SHOP
                .policy
                .decide(&view, &Statement::select("public.orders").0)
        ),
        "deny by []\n  the session's view was made by another policy set\n"
    );
    assert!(SHOP.policy.is_mask_bound(&view));
}

#[test]
fn classed_columns() {
    for (path, expected) in [
        ("public.customers.ssn", true),
        ("x.y.PAN", true),
        ("public.customers.name", false),
        ("hr.customers.ssn", false),
    ] {
        assert_eq!(SHOP.policy.is_classed(&column(path)), expected, "{path}");
    }
}

//! What the demo's policy masks, and what it never lets whoever a mask binds do.

use expect_test::expect;
use provost_engine::facts::{Facts, How, Kind, Opaque, Operation, SessionEffect, Use};

use crate::*;

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
          masks bind this principal, and the columns of this statement's result are not known (a principal that no mask binds may run it)
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
          public.customers.ssn is masked and reached through a function, trigger, rule or materialised view, which can't be held as it was analysed while the statement runs [mask-pii] (read the table itself, or a plain view over it)
    "#]],
    );
    let held = |facts: &mut Facts| {
        facts.through_views = true;
        facts.views = [7].into();
    };
    let plain_view = |path: &'static str| {
        Statement::select("public.contacts")
            .output(&[(path, How::Direct)])
            .with(held)
    };
    check(
        ANALYST,
        plain_view("public.customers.ssn"),
        expect![[r#"
            allow by [analysts-read-shop mask-pii]
              0: last 4 [mask-pii] pii of public.customers.ssn
        "#]],
    );
    check(
        ANALYST,
        plain_view("public.customers.ssn").with(|facts| facts.kind = Kind::Insert),
        expect![[r#"
            deny by [mask-pii]
              public.customers.ssn is masked and reached through a view, which only a SELECT of its own may do, or a COPY of one [mask-pii] (read it in a SELECT, or name the table itself)
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

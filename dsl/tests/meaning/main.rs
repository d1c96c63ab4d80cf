//! What the language promises, on real SQL: policies that try to be misread, and statements that try to get round them.

#![cfg(test)]

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use provost_dsl::{Colours, Source, compile, render};
use provost_engine::{
    facts::Facts,
    graph::Policy,
    principal::{Authentication, Circumstances, Delegator, Principal, PrincipalKind, Session},
    schema,
    sql::{self, Witness},
    verdict::{Recording, Verdict},
};
use serde_json::json;

const SCHEMA: &str = r#"
CREATE SCHEMA hr;
CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text, email text, city text, tenant_id text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total numeric, note text);
CREATE TABLE notes (id int PRIMARY KEY, body text);
CREATE TABLE "Orders" (id int PRIMARY KEY, total numeric);
CREATE TABLE hr.salaries (id int PRIMARY KEY, person text, amount numeric);
CREATE VIEW people AS SELECT id, name, ssn FROM customers;
CREATE TABLE wallets (id int, ssn text, note text) PARTITION BY RANGE (lower(ssn));
CREATE TABLE wallets_4 PARTITION OF wallets FOR VALUES FROM ('4') TO ('5');
CREATE FUNCTION first_ssn() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.customers LIMIT 1';
CREATE TABLE tiers (code text PRIMARY KEY, label text);
CREATE TABLE tiered (id int PRIMARY KEY, tier text DEFAULT first_ssn() REFERENCES tiers ON UPDATE SET DEFAULT ON DELETE SET DEFAULT);
"#;

/// Everything here allows agents all of public, masks ssn, and refuses the rest.
const BASE: &str = r#"
group agents  = "ai-agents"
group privacy = "privacy-officers"
group dbas    = "db-admins"
class pii = public.customers.ssn
rule all allow any on public.* for agents, privacy, dbas
rule mask-pii mask pii for anyone except privacy
"#;

fn policy(text: &str) -> Policy {
    let source = Source {
        path: "a.pol".into(),
        text: text.to_owned(),
    };
    match compile(&[source]) {
        Ok(compiled) => compiled.policy,
        Err(diagnostics) => panic!("{text}\n{}", render(&diagnostics, Colours::None)),
    }
}

fn session(groups: &str, person: Option<&str>) -> Arc<Session> {
    let names = |groups: &str| groups.split_whitespace().map(Arc::from).collect();
    Arc::new(Session {
        principal: Principal {
            id: "devin@corp".into(),
            kind: PrincipalKind::Agent,
            groups: names(groups),
            on_behalf_of: person.map(|groups| Delegator {
                id: "ana@corp".into(),
                groups: names(groups),
            }),
            issuer: "https://issuer.example".into(),
            claims: BTreeMap::from([
                ("tenant".to_owned(), json!("acme")),
                ("level".to_owned(), json!("high")),
            ]),
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

fn analysed(text: &str) -> Result<Vec<Facts>, String> {
    let text = text.to_owned();
    let work = move || {
        let catalog = schema::read(SCHEMA, "shop").expect("the schema is valid");
        let context = sql::Context {
            catalog: &catalog,
            search_path: &["public".into()],
            parameter_types: &[],
            witness: Witness::Deny,
            names: &provost_engine::sql::NO_NAMES,
        };
        sql::analyse(text.as_bytes(), &context)
            .map(|statements| statements.into_iter().map(|one| one.facts).collect())
            .map_err(|_| "refused".to_owned())
    };
    // The analyser needs a deep stack.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(work);
    thread.expect("a thread").join().expect("no panic")
}

/// `allow`, `hold` or `deny`, and the masks by output.
fn decided(policy: &Policy, session: &Arc<Session>, text: &str) -> String {
    let facts = match analysed(text) {
        Ok(facts) => facts,
        Err(refusal) => return refusal,
    };
    let view = policy.view(session, Timestamp::UNIX_EPOCH);
    facts
        .iter()
        .map(|facts| {
            let decision = policy.decide(&view, facts, &Circumstances::default());
            let masks = decision
                .masks
                .iter()
                .map(|mask| format!("{} {}", mask.output, mask.transform));
            std::iter::once(decision.verdict.name().to_owned())
                .chain(masks)
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect::<Vec<_>>()
        .join("; ")
}

fn check(rules: &str, groups: &str, cases: &[(&str, &str)]) {
    let policy = policy(rules);
    let (groups, person) = match groups.split_once(" for ") {
        Some((groups, person)) => (groups, Some(person)),
        None => (groups, None),
    };
    let session = session(groups, person);
    let mut wrong = String::new();
    for (text, expected) in cases {
        let shown = decided(&policy, &session, text);
        if shown != *expected {
            wrong += &format!("{text}\n  expected {expected}\n  decided  {shown}\n");
        }
    }
    assert!(wrong.is_empty(), "{rules}\n{wrong}");
}

#[test]
fn a_masked_value_is_not_had_another_way() {
    check(
        BASE,
        "ai-agents",
        &[
            ("SELECT id, ssn FROM customers", "allow, 1 redact"),
            ("SELECT upper(ssn) FROM customers", "allow, 0 redact"),
            ("SELECT count(ssn) FROM customers", "allow"),
            ("SELECT count(*) FROM customers", "allow"),
            ("SELECT c FROM customers c", "allow, 0 redact"),
            ("SELECT row_to_json(c) FROM customers c", "allow, 0 redact"),
            // The gateway holds the view while the statement runs.
            ("SELECT ssn FROM people", "allow, 0 redact"),
            ("TABLE customers", "allow, 2 redact"),
            (
                "WITH x AS (SELECT ssn AS s FROM customers) SELECT s FROM x",
                "allow, 0 redact",
            ),
            (
                "SELECT (SELECT ssn FROM customers WHERE id = 1)",
                "allow, 0 redact",
            ),
            ("SELECT id FROM customers WHERE ssn = '1'", "deny"),
            ("SELECT id FROM customers WHERE ssn LIKE '1%'", "deny"),
            ("SELECT id FROM customers ORDER BY ssn", "deny"),
            ("SELECT count(*) FROM customers GROUP BY ssn", "deny"),
            ("SELECT DISTINCT ssn FROM customers", "deny"),
            ("SELECT max(ssn) FROM customers", "allow, 0 redact"),
            (
                "SELECT CASE WHEN ssn > '5' THEN 1 ELSE 0 END FROM customers",
                "deny",
            ),
            (
                "SELECT id FROM customers c WHERE EXISTS (SELECT FROM notes n WHERE n.body = c.ssn)",
                "deny",
            ),
            (
                "SELECT o.id FROM orders o JOIN customers c ON c.ssn = o.note",
                "deny",
            ),
            (
                "SELECT id FROM customers LIMIT (SELECT length(ssn) FROM customers WHERE id = 1)",
                "deny",
            ),
            (
                "SELECT row_number() OVER (ORDER BY ssn) FROM customers",
                "deny",
            ),
            (
                "SELECT ssn FROM customers UNION SELECT body FROM notes",
                "deny",
            ),
            (
                "SELECT ssn FROM customers UNION ALL SELECT body FROM notes",
                "allow, 0 redact",
            ),
            (
                "INSERT INTO notes (id, body) SELECT id, ssn FROM customers",
                "deny",
            ),
            (
                "UPDATE notes SET body = c.ssn FROM customers c WHERE c.id = notes.id",
                "deny",
            ),
            ("UPDATE customers SET name = ssn WHERE id = 1", "deny"),
            (
                "UPDATE customers SET name = 'x' WHERE id = 1 RETURNING ssn",
                "allow, 0 redact",
            ),
            (
                "DELETE FROM customers WHERE id = 1 RETURNING *",
                "allow, 2 redact",
            ),
            ("CREATE TABLE copy AS SELECT ssn FROM customers", "deny"),
            ("SELECT ssn INTO copy FROM customers", "deny"),
            ("CREATE VIEW copy AS SELECT ssn FROM customers", "deny"),
            (
                "COPY (SELECT ssn FROM customers) TO STDOUT",
                "allow, 0 redact",
            ),
            ("COPY customers TO STDOUT", "allow, 2 redact"),
            (
                "COPY (SELECT length(ssn) FROM customers) TO STDOUT",
                "allow, 0 redact",
            ),
            (
                "COPY (SELECT id FROM customers WHERE ssn = '1') TO STDOUT",
                "deny",
            ),
            ("COPY customers TO '/tmp/x'", "deny"),
            ("EXPLAIN SELECT id FROM customers WHERE ssn = '1'", "deny"),
            ("SELECT 1 / (length(ssn) - 5) FROM customers", "deny"),
            (
                "SELECT id FROM customers, generate_series(1, length(ssn))",
                "deny",
            ),
            ("SELECT json_agg(c) FROM customers c", "deny"),
            ("SELECT (c).ssn FROM customers c", "allow, 0 redact"),
            (
                "SELECT x.ssn FROM (SELECT * FROM customers) x",
                "allow, 0 redact",
            ),
            (
                "SELECT s.v FROM customers c, LATERAL (SELECT c.ssn AS v) s",
                "allow, 0 redact",
            ),
            (
                "SELECT coalesce(ssn, name) FROM customers",
                "allow, 0 redact",
            ),
            ("SELECT ssn = '1' FROM customers", "allow, 0 redact"),
            (
                "SELECT id FROM customers GROUP BY id HAVING max(ssn) > '5'",
                "deny",
            ),
            (
                "VALUES ((SELECT ssn FROM customers WHERE id = 1))",
                "allow, 0 redact",
            ),
            (
                "INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = customers.ssn",
                "deny",
            ),
            (
                "MERGE INTO notes USING customers c ON notes.id = c.id WHEN MATCHED THEN UPDATE SET body = c.ssn",
                "deny",
            ),
            (
                "DELETE FROM notes USING customers c WHERE c.ssn = notes.body",
                "deny",
            ),
            // Nothing is shown yet: EXECUTE and FETCH are decided, and masked, as what they run.
            ("PREPARE p AS SELECT ssn FROM customers", "allow"),
            ("DECLARE c CURSOR FOR SELECT ssn FROM customers", "allow"),
            (
                "PREPARE p AS SELECT id FROM customers WHERE ssn = $1",
                "deny",
            ),
            (
                "DECLARE c CURSOR FOR SELECT id FROM customers ORDER BY ssn",
                "deny",
            ),
            ("CREATE INDEX ON customers (ssn)", "deny"),
            ("CREATE STATISTICS s ON ssn, id FROM customers", "deny"),
            ("ALTER TABLE customers RENAME COLUMN ssn TO s", "deny"),
            (
                "ALTER TABLE customers ALTER COLUMN ssn TYPE int USING length(ssn)",
                "deny",
            ),
        ],
    );
    check(
        BASE,
        "privacy-officers",
        &[
            (
                "SELECT id, ssn FROM customers WHERE ssn = '1' ORDER BY ssn",
                "allow",
            ),
            (
                "INSERT INTO notes (id, body) SELECT id, ssn FROM customers",
                "allow",
            ),
        ],
    );
}

#[test]
fn nobody_has_guesses_hashed_beside_the_column() {
    let rules = BASE.replace(
        "rule mask-pii mask pii for anyone except privacy",
        "rule mask-pii mask pii for anyone except privacy with ssn: hash",
    );
    check(
        &rules,
        "ai-agents",
        &[
            ("SELECT ssn FROM customers", "allow, 0 hash"),
            (
                "SELECT s FROM (SELECT ssn AS s FROM customers) c",
                "allow, 0 hash",
            ),
            (
                "WITH c AS (SELECT * FROM customers) SELECT ssn FROM c",
                "allow, 0 hash",
            ),
            (
                "SELECT ssn FROM customers WHERE id = 1 UNION ALL VALUES ('123-45-6789')",
                "allow, 0 redact",
            ),
            (
                "SELECT ssn FROM customers WHERE false UNION ALL SELECT '123-45-6789'",
                "allow, 0 redact",
            ),
            (
                "WITH RECURSIVE r(s, n) AS (SELECT ssn, 1 FROM customers UNION ALL SELECT 'guess', n + 1 FROM r WHERE n < 3) SELECT s FROM r",
                "allow, 0 redact",
            ),
        ],
    );
}

#[test]
fn a_limit_on_what_is_shown_bounds_no_change() {
    check(
        "group agents = \"ai-agents\"\nrule all allow any on public.* for agents when limit <= 10\n",
        "ai-agents",
        &[
            ("SELECT note FROM orders LIMIT 5", "allow"),
            ("SELECT note FROM orders", "deny"),
            (
                "WITH d AS (DELETE FROM orders RETURNING note) SELECT note FROM d LIMIT 1",
                "deny",
            ),
        ],
    );
}

#[test]
fn an_invariant_is_not_proved_where_opaque_is_allowed() {
    let compiled = |effect: &str| {
        let text = format!(
            "group a = \"a\"\nrule r allow {effect} for a\nrule d deny any on hr.* for a\ninvariant i never allow any on hr.* for a\n"
        );
        let source = Source {
            path: "a.pol".into(),
            text,
        };
        compile(&[source]).expect("it is valid").warnings
    };
    assert_eq!(render(&compiled("any"), Colours::None), "");
    let told = render(&compiled("any, opaque"), Colours::None);
    assert!(told.contains("rule `r` allows `opaque`"), "{told}");
}

#[test]
fn an_exception_holds_only_for_both() {
    for (who, expected) in [
        ("ai-agents privacy-officers", "allow"),
        ("ai-agents privacy-officers for sales", "allow, 0 redact"),
        ("ai-agents for privacy-officers", "allow, 0 redact"),
        ("ai-agents privacy-officers for privacy-officers", "allow"),
        ("ai-agents Privacy-Officers", "allow, 0 redact"),
    ] {
        check(BASE, who, &[("SELECT ssn FROM customers", expected)]);
    }
}

#[test]
fn deny_beats_hold_beats_allow_wherever_it_stands() {
    let rules = |order: [usize; 3]| {
        let parts = [
            "rule a allow any for agents\n",
            "rule h hold delete on public.orders for agents until 1 of dbas approve within 5 min\n",
            "rule d deny delete on public.customers for agents\n",
        ];
        let head = "group agents = \"ai-agents\"\ngroup dbas = \"db-admins\"\n";
        order
            .iter()
            .fold(head.to_owned(), |text, &part| text + parts[part])
    };
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        check(
            &rules(order),
            "ai-agents",
            &[
                ("SELECT id FROM orders", "allow"),
                ("DELETE FROM orders", "hold"),
                ("DELETE FROM customers", "deny"),
                (
                    "WITH d AS (DELETE FROM orders RETURNING id) SELECT * FROM d",
                    "hold",
                ),
                (
                    "WITH d AS (DELETE FROM customers RETURNING id) DELETE FROM orders",
                    "deny",
                ),
                ("TRUNCATE orders", "allow"),
            ],
        );
    }
}

#[test]
fn what_nothing_covers_is_denied() {
    let rules = "group agents = \"ai-agents\"\nrule a allow read on public.orders for agents\n";
    check(
        rules,
        "ai-agents",
        &[
            ("SELECT id FROM orders", "allow"),
            ("SELECT id FROM public.orders", "allow"),
            ("SELECT id FROM \"Orders\"", "deny"),
            ("SELECT o.id FROM orders o, customers c", "deny"),
            (
                "SELECT id FROM orders WHERE id IN (SELECT id FROM customers)",
                "deny",
            ),
            (
                "SELECT id FROM orders UNION SELECT id FROM hr.salaries",
                "deny",
            ),
            ("SELECT id FROM orders FOR UPDATE", "deny"),
            (
                "WITH orders AS (SELECT 1 AS id) SELECT id FROM orders",
                "allow",
            ),
            (
                "WITH orders AS (SELECT id FROM customers) SELECT id FROM orders",
                "deny",
            ),
            ("INSERT INTO orders (id) VALUES (1)", "deny"),
            ("EXPLAIN SELECT id FROM orders", "allow"),
            ("EXPLAIN ANALYZE DELETE FROM orders", "deny"),
            ("COPY orders TO '/tmp/x'", "deny"),
            ("TRUNCATE orders", "deny"),
        ],
    );
}

#[test]
fn patterns_fold_as_the_server_does() {
    let rules = "group agents = \"ai-agents\"\nrule a allow read on public.\"Orders\" for agents\nrule b allow read on PUBLIC.NOTES for agents\n";
    check(
        rules,
        "ai-agents",
        &[
            ("SELECT id FROM \"Orders\"", "allow"),
            ("SELECT id FROM orders", "deny"),
            ("SELECT id FROM notes", "allow"),
            ("SELECT id FROM Notes", "allow"),
        ],
    );
    let rules = "group agents = \"ai-agents\"\nclass pii = PUBLIC.Customers.SSN\nrule a allow read on public.* for agents\nrule m mask pii for agents\n";
    check(
        rules,
        "ai-agents",
        &[("SELECT ssn FROM customers", "allow, 0 redact")],
    );
}

/// Which partition a row is in tells of the partition key, in whichever table of the family a class is on it.
#[test]
fn a_partition_tells_of_its_key() {
    let cases = [
        ("SELECT id FROM wallets", "allow"),
        ("UPDATE wallets SET note = 'x' WHERE id = 1", "allow"),
        ("INSERT INTO wallets (id, note) VALUES (1, 'x')", "allow"),
        // That a key of its own is there already tells what is there.
        ("INSERT INTO wallets_4 (id, note) VALUES (1, 'x')", "deny"),
        ("SELECT id, tableoid FROM wallets", "allow, 1 redact"),
        (
            "SELECT tableoid, count(*) FROM wallets GROUP BY tableoid",
            "deny",
        ),
        ("SELECT id FROM wallets_4", "deny"),
        ("SELECT count(*) FROM wallets_4", "deny"),
        ("UPDATE wallets_4 SET note = 'x' WHERE id = 1", "deny"),
        ("DELETE FROM wallets_4 WHERE id = 1", "deny"),
        (
            "UPDATE wallets SET note = 'x' RETURNING tableoid",
            "allow, 0 redact",
        ),
        ("EXPLAIN ANALYZE SELECT id FROM wallets", "deny"),
    ];
    for class in ["public.wallets.ssn", "public.wallets_4.ssn", "*.*.ssn"] {
        let rules = BASE.replace("public.customers.ssn", class);
        check(&rules, "ai-agents", &cases);
    }
    check(BASE, "ai-agents", &[("SELECT id FROM wallets_4", "allow")]);
}

#[test]
fn set_default_of_a_foreign_key_runs_the_default() {
    check(
        BASE,
        "ai-agents",
        &[
            ("DELETE FROM tiers WHERE code = 'gold'", "deny"),
            ("UPDATE tiers SET code = 'x' WHERE code = 'gold'", "deny"),
            ("UPDATE tiers SET label = 'x' WHERE code = 'gold'", "allow"),
            ("DELETE FROM notes WHERE id = 1", "allow"),
        ],
    );
}

/// What lies in a schema is under its name, whatever sort of object it is.
#[test]
fn a_denied_schema_is_denied_to_its_last_object() {
    let rules = "group agents = \"ai-agents\"\n\
                 rule all allow any for agents\n\
                 rule not-hr deny any on hr.* for agents";
    let own = [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE mood AS ENUM ('calm')",
        "DROP FUNCTION IF EXISTS nobody()",
        "DROP INDEX customers_pkey",
        "COMMENT ON DOMAIN d IS 'x'",
        "CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM notes",
    ];
    let denied = [
        "CREATE OR REPLACE FUNCTION hr.hf() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION hr.hf()",
        "DROP PROCEDURE hr.hp()",
        "DROP AGGREGATE hr.ha(int)",
        "DROP TYPE hr.ht",
        "DROP DOMAIN hr.hd",
        "DROP OPERATOR hr.=== (int, int)",
        "DROP COLLATION hr.hc",
        "DROP STATISTICS hr.hs",
        "DROP INDEX hr.salaries_pkey",
        "COMMENT ON INDEX hr.salaries_pkey IS 'x'",
        "COMMENT ON TYPE hr.ht IS 'x'",
        "ALTER STATISTICS hr.hs SET STATISTICS 5",
        "ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE other",
        "ALTER FUNCTION f() SET SCHEMA hr",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA hr TO PUBLIC",
        "CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM hr.salaries",
    ];
    let cases = |answer, texts: &[&'static str]| -> Vec<(&'static str, &'static str)> {
        texts.iter().map(|text| (*text, answer)).collect()
    };
    check(rules, "ai-agents", &cases("allow", &own));
    check(rules, "ai-agents", &cases("deny", &denied));
    // And a rule that allows a schema allows what lies there, and no more.
    let own = [&own[..5], &["CREATE INDEX ON orders (note)"]].concat();
    check(BASE, "privacy-officers", &cases("allow", &own));
    check(BASE, "privacy-officers", &cases("deny", &denied));
}

#[test]
fn a_condition_that_fails_denies() {
    for (condition, expected) in [
        ("principal.claims.tenant = \"acme\"", "allow"),
        ("principal.claims.tenant = \"other\"", "deny"),
        ("principal.claims.level > 3", "deny"),
        ("not principal.claims.level > 3", "deny"),
        ("principal.claims.missing = \"x\"", "deny"),
        ("not principal.claims.missing = \"x\"", "deny"),
        ("client_address in 10.0.0.0/8", "allow"),
        ("not client_address in 10.0.0.0/8", "deny"),
    ] {
        let rules = format!(
            "group agents = \"ai-agents\"\nrule a allow read on public.* for agents when {condition}\n"
        );
        check(&rules, "ai-agents", &[("SELECT id FROM orders", expected)]);
    }
    // A refusal whose condition can't be told refuses.
    for (condition, expected) in [
        ("principal.claims.tenant = \"other\"", "allow"),
        ("principal.claims.level > 3", "deny"),
        ("principal.claims.missing = \"x\"", "deny"),
    ] {
        let rules = format!(
            "group agents = \"ai-agents\"\nrule a allow read on public.* for agents\nrule d deny read on public.* for agents when {condition}\n"
        );
        check(&rules, "ai-agents", &[("SELECT id FROM orders", expected)]);
    }
}

#[test]
fn rows_of_the_own_tenant() {
    let rules = "group agents = \"ai-agents\"\nrule a allow read on public.customers for agents when bounded by tenant_id = principal.claims.tenant\n";
    check(
        rules,
        "ai-agents",
        &[
            ("SELECT id FROM customers WHERE tenant_id = 'acme'", "allow"),
            (
                "SELECT id FROM customers WHERE tenant_id = 'acme' AND id = 7",
                "allow",
            ),
            ("SELECT id FROM customers WHERE tenant_id = 'other'", "deny"),
            (
                "SELECT id FROM customers WHERE tenant_id = 'acme' OR true",
                "deny",
            ),
            (
                "SELECT id FROM customers WHERE NOT tenant_id = 'acme'",
                "deny",
            ),
            (
                "SELECT id FROM customers WHERE tenant_id IN ('acme', 'other')",
                "deny",
            ),
            ("SELECT id FROM customers WHERE tenant_id <> 'acme'", "deny"),
            ("SELECT id FROM customers WHERE 'acme' = 'acme'", "deny"),
            (
                "SELECT a.id FROM customers a, customers b WHERE a.tenant_id = 'acme'",
                "deny",
            ),
            (
                "SELECT a.id FROM customers a, customers b WHERE a.tenant_id = 'acme' AND b.tenant_id = 'acme'",
                "allow",
            ),
            ("SELECT id FROM customers", "deny"),
            (
                // What an outer join is on is no filter.
                "SELECT a.id FROM customers a LEFT JOIN customers b ON b.tenant_id = 'acme' WHERE a.tenant_id = 'acme'",
                "deny",
            ),
            (
                "SELECT a.id FROM customers a LEFT JOIN customers b ON a.tenant_id = 'acme' WHERE b.tenant_id = 'acme'",
                "deny",
            ),
        ],
    );
}

#[test]
fn limits_and_recordings_join() {
    let rules = "group agents = \"ai-agents\"\n\
        rule a allow read on public.* for agents\n\
        rule l limit rows 100 per statement, time 30 s for agents\n\
        rule m limit rows 10 per statement, time 1 min on public.orders for agents\n\
        rule r record digest for agents\n\
        rule s record results on public.orders for agents\n";
    let policy = policy(rules);
    let view = policy.view(&session("ai-agents", None), Timestamp::UNIX_EPOCH);
    for (text, expected) in [
        (
            "SELECT id FROM orders",
            (Some(10), Some(30_000), Recording::Results),
        ),
        (
            "SELECT id FROM notes",
            (Some(100), Some(30_000), Recording::Digest),
        ),
        (
            "SELECT n.id FROM notes n, orders o",
            (Some(10), Some(30_000), Recording::Results),
        ),
    ] {
        let facts = analysed(text).expect("it is read");
        let decision = policy.decide(&view, &facts[0], &Circumstances::default());
        let limits = decision.limits;
        assert_eq!(decision.verdict, Verdict::Allow, "{text}");
        assert_eq!(
            (limits.rows, limits.time_ms, decision.recording),
            expected,
            "{text}"
        );
    }
}

#[test]
fn windows_are_half_open() {
    let rules = "group agents = \"ai-agents\"\n\
        rule a allow read on public.* for agents when time in mon to fri 09:00 to 17:00 zone \"Europe/Brussels\"\n";
    let policy = policy(rules);
    for (at, expected) in [
        ("2026-11-23T07:59:59Z", "deny"),
        ("2026-11-23T08:00:00Z", "allow"),
        ("2026-11-23T15:59:59Z", "allow"),
        ("2026-11-23T16:00:00Z", "deny"),
        ("2026-11-22T10:00:00Z", "deny"),
        // Summer time is an hour earlier.
        ("2026-07-20T07:00:00Z", "allow"),
        ("2026-07-20T15:00:00Z", "deny"),
    ] {
        let view = policy.view(&session("ai-agents", None), at.parse().expect("an instant"));
        let facts = analysed("SELECT id FROM orders").expect("it is read");
        let decision = policy.decide(&view, &facts[0], &Circumstances::default());
        assert_eq!(decision.verdict.name(), expected, "{at}");
    }
}

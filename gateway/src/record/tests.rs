//! Tests of records: no raw literal of a classed statement in any of them, whatever the statement's shape.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc, time::Duration};

use provost_engine::{
    facts::{
        CatalogVersion, ColumnUse, ColumnWrite, How, Opaque, OutputColumn, SessionEffect, Source,
        Use,
    },
    principal::PrincipalKind,
    verdict::{Reason, Transform},
};

use super::*;
use crate::settings::Secret;

const SECRET: &str = "907-91-5433";

fn key() -> EvidenceKey {
    EvidenceKey::new(Secret::new(*b"0123456789abcdef0123456789abcdef")).unwrap()
}

fn session() -> Session {
    Session {
        principal: Principal {
            id: "devin@corp".into(),
            kind: PrincipalKind::Agent,
            groups: vec!["ai-agents".into()],
            on_behalf_of: None,
            issuer: "https://login.example.com".into(),
            claims: std::collections::BTreeMap::new(),
        },
        target: "shop".into(),
        database: "shop".into(),
        role: "provost".into(),
        application: "psql".into(),
        client_address: Some(Ipv4Addr::LOCALHOST.into()),
        tls: true,
        authentication: Authentication::TokenAsPassword,
    }
}

fn column(name: &str) -> Arc<Column> {
    Arc::new(Column {
        relation_oid: 16384,
        attribute: 1,
        schema: "public".into(),
        relation: "customers".into(),
        name: name.into(),
        type_oid: 25,
        constrained: false,
    })
}

fn is_classed(column: &Column) -> bool {
    &*column.name == "ssn"
}

/// Where a statement's facts speak of a column.
#[derive(Debug, Clone, Copy)]
enum Spoken {
    Access,
    Output,
    Write,
    WriteSource,
    Nowhere,
}

fn facts(kind: Kind, name: &str, spoken: Spoken) -> Facts {
    let lineage = Lineage {
        sources: BTreeSet::from([Source {
            column: column(name),
            how: How::Derived,
        }]),
    };
    let mut access = Access {
        object: Object::Relation {
            schema: "public".into(),
            name: "customers".into(),
            oid: 16384,
        },
        operation: provost_engine::facts::Operation::Read,
        columns: BTreeSet::new(),
        via: None,
        filtered: false,
        bounded: false,
        equalities: BTreeSet::new(),
    };
    let (mut outputs, mut writes) = (None, Vec::new());
    match spoken {
        Spoken::Access => {
            access.columns.insert(ColumnUse {
                column: column(name),
                used: Use::Filter,
            });
        }
        Spoken::Output => {
            outputs = Some(vec![OutputColumn {
                name: "s".into(),
                lineage,
                origin: None,
            }]);
        }
        Spoken::Write => writes.push(ColumnWrite {
            column: column(name),
            lineage: Lineage::default(),
        }),
        Spoken::WriteSource => writes.push(ColumnWrite {
            column: column("note"),
            lineage,
        }),
        Spoken::Nowhere => {}
    }
    Facts {
        kind,
        accesses: vec![access],
        outputs,
        writes,
        opaque: BTreeSet::new(),
        session_effect: SessionEffect::None,
        through_views: false,
        views: BTreeSet::new(),
        limit: None,
        parameters: 0,
        lookups: BTreeSet::new(),
        uncounted: false,
        fingerprint: "0123456789abcdef".into(),
        catalog_version: CatalogVersion(1),
    }
}

/// A statement of a text, its literals found by the lexer as analysis does.
fn statement(text: &str, facts: Facts) -> Statement {
    Statement {
        facts,
        span: 0..text.len(),
        literals: provost_engine::sql::literal_spans(text).unwrap(),
        binding: None,
        states: None,
        rests_on: std::collections::BTreeSet::new(),
        copy: None,
    }
}

fn allow() -> Decision {
    Decision {
        verdict: Verdict::Allow,
        ..Decision::deny(Vec::new(), true)
    }
}

fn determining() -> Determining {
    Determining {
        rules: vec!["agents-read".into()],
        controls: vec!["nist-800-53:AC-3".into()],
        observed: Some(vec!["watched".into()]),
        mask_key_id: Some("masks-1".into()),
    }
}

fn record_of(text: &str, statement: &Statement, decided: &Decision) -> DecisionRecord {
    with_asked(text.as_bytes(), |asked| {
        let record = decision(
            &key(),
            (asked.text, asked.bundle),
            statement,
            decided,
            &determining(),
            &is_classed,
        );
        of_occasion(asked, record)
    })
}

fn with_asked<T>(text: &[u8], use_it: impl Fn(&Asked<'_>) -> T) -> T {
    let session_id = SessionId("0".repeat(32));
    use_it(&Asked {
        at: SystemTime::UNIX_EPOCH + Duration::from_micros(1_800_000_000_000_001),
        session_id: &session_id,
        session: &session(),
        seq: StatementSeq(7),
        phase: Phase::Simple,
        text,
        bundle: &BundleDigest("b".into()),
        parameters: None,
    })
}

#[test]
fn literals_of_classed_statements_are_never_raw() {
    let text =
        format!("SELECT id /* {SECRET} */ FROM customers WHERE ssn = '{SECRET}' -- {SECRET}");
    for spoken in [
        Spoken::Access,
        Spoken::Output,
        Spoken::Write,
        Spoken::WriteSource,
    ] {
        let record = record_of(
            &text,
            &statement(&text, facts(Kind::Select, "ssn", spoken)),
            &allow(),
        );
        let json = serde_json::to_string(&record).unwrap();
        assert!(!json.contains(SECRET), "{spoken:?}: {json}");
        let sql = record.sql.unwrap();
        assert!(
            sql.starts_with("SELECT id /* hmac */") && sql.contains("ssn = 'hmac:"),
            "{sql}"
        );
    }
}

#[test]
fn every_spelling_of_a_literal_is_replaced() {
    for literal in [
        "'907-91-5433'",
        "E'907-91-5433'",
        "U&'907-91-5433'",
        "$$907-91-5433$$",
        "$a$907-91-5433$a$",
        "'907-91-''5433'",
        "9079154339079154",
        "9079.154339079154",
        "9079154339079154e1",
        "X'9079154339079154'",
        "B'10101'",
    ] {
        let text = format!("SELECT 1 FROM customers WHERE ssn = {literal}");
        let record = record_of(
            &text,
            &statement(&text, facts(Kind::Select, "ssn", Spoken::Access)),
            &allow(),
        );
        let sql = record.sql.unwrap();
        assert!(
            !sql.contains("907") && !sql.contains("5433") && !sql.contains("10101"),
            "{literal}: {sql}"
        );
    }
}

/// What touches no classed column keeps its text; what may touch one unseen does not.
#[test]
fn only_what_is_surely_harmless_keeps_its_text() {
    let text = "SELECT 'Oslo'";
    let cases = [
        (facts(Kind::Select, "city", Spoken::Access), true),
        (facts(Kind::Select, "city", Spoken::Nowhere), true),
        (facts(Kind::Update, "city", Spoken::Write), true),
        (facts(Kind::Ddl, "city", Spoken::Nowhere), false),
        (facts(Kind::CopyFrom, "city", Spoken::Nowhere), false),
        (facts(Kind::Call, "city", Spoken::Nowhere), false),
        (facts(Kind::Explain, "city", Spoken::Access), false),
        (facts(Kind::Other, "city", Spoken::Nowhere), false),
        (
            Facts {
                opaque: BTreeSet::from([Opaque {
                    subject: "f".into(),
                    reason: "it is not SQL".into(),
                }]),
                ..facts(Kind::Select, "city", Spoken::Access)
            },
            false,
        ),
    ];
    for (facts, kept) in cases {
        let kind = facts.kind;
        let record = record_of(text, &statement(text, facts), &allow());
        assert_eq!(record.sql.as_deref() == Some(text), kept, "{kind:?}");
    }
}

/// Spans that don't fit the text leave only its digest.
#[test]
fn misfit_spans_leave_no_text() {
    let text = "SELECT 'é'";
    for literals in [&[(7, 9)][..], &[(7, 99)], &[(8, 11), (7, 8)], &[(0, 99)]] {
        let mut broken = statement(text, facts(Kind::Select, "ssn", Spoken::Access));
        broken.literals = literals.iter().map(|(start, end)| *start..*end).collect();
        let record = record_of(text, &broken, &allow());
        assert_eq!(record.sql, None, "{literals:?}");
        assert_eq!(record.sql_digest.len(), 64);
    }
}

#[test]
fn long_texts_are_cut_between_characters() {
    let text = format!("SELECT 1 AS a{}", "é".repeat(40_000));
    let record = record_of(
        &text,
        &statement(&text, facts(Kind::Select, "city", Spoken::Access)),
        &allow(),
    );
    let sql = record.sql.unwrap();
    assert!(
        sql.len() < 66_000 && sql.ends_with("more bytes */"),
        "{}",
        sql.len()
    );
    assert_eq!(record.sql_digest, hex(&key().sql(text.as_bytes())));
}

#[test]
fn refusals_say_why_without_the_text() {
    let refused = |sqlstate, message: &str| Refusal {
        sqlstate,
        message: message.to_owned(),
        detail: Some(format!("it says {SECRET}")),
        hint: None,
        position: Some(8),
        unknown_name: false,
        lacking: Box::default(),
    };
    let cases: [(Vec<u8>, Refusal, &str); 4] = [
        (
            format!("SELECT '{SECRET}' WHERE WHERE").into_bytes(),
            refused("42601", &format!("syntax error at or near \"{SECRET}\"")),
            "does not parse at character 8 (SQLSTATE 42601)",
        ),
        (
            format!("SELECT '{SECRET}'::nothing").into_bytes(),
            refused("0A000", "type `nothing` is not understood"),
            "type `nothing` is not understood",
        ),
        (
            format!("SELECT '{SECRET}").into_bytes(),
            refused("54000", &format!("text near {SECRET} is too long")),
            "not analysed at character 8 (SQLSTATE 54000)",
        ),
        (
            b"SELECT '\xff907-91-5433'".to_vec(),
            refused("22021", SECRET),
            "does not parse at character 8 (SQLSTATE 22021)",
        ),
    ];
    for (text, refusal, expected) in cases {
        let record = with_asked(&text, |asked| super::refusal(&key(), asked, &refusal));
        assert_eq!(record.reason.as_deref(), Some(expected));
        assert_eq!(record.verdict, "deny");
        let json = serde_json::to_string(&record).unwrap();
        assert!(!json.contains(SECRET), "{json}");
    }
    // A literal that our own message repeats.
    let text = format!("SELECT '{SECRET}'::regclass");
    let record = with_asked(text.as_bytes(), |asked| {
        super::refusal(
            &key(),
            asked,
            &refused("42P01", &format!("relation `{SECRET}` does not exist")),
        )
    });
    let reason = record.reason.unwrap();
    assert!(reason.starts_with("relation `'hmac:"), "{reason}");
}

#[test]
fn a_decision_is_recorded_whole() {
    let text = "SELECT upper(ssn) AS s FROM customers";
    let decided = Decision {
        verdict: Verdict::Deny,
        masks: vec![OutputMask {
            output: 0,
            transform: Transform::Last(4),
            rules: vec!["mask-pii".into(), "mask-more".into()],
            class: "pii".into(),
            sources: vec!["public.customers.ssn".into()],
            controls: vec!["nist-800-53:AC-3(11)".into()],
        }],
        reasons: vec![
            Reason {
                rule: Some("no-ddl".into()),
                message: "not here".into(),
                hint: None,
            },
            Reason {
                rule: None,
                message: "not allowed by any rule".into(),
                hint: None,
            },
        ],
        ..allow()
    };
    let record = record_of(
        text,
        &statement(text, facts(Kind::Select, "ssn", Spoken::Output)),
        &decided,
    );
    assert_eq!(record.statement_id, format!("{}-7", "0".repeat(32)));
    assert_eq!(record.decided_at, Micros(1_800_000_000_000_001));
    assert_eq!(record.relations, ["public.customers"]);
    assert_eq!(record.columns, ["public.customers.ssn"]);
    assert_eq!(record.verdict, "deny");
    assert_eq!(
        record.reason.as_deref(),
        Some("no-ddl: not here; not allowed by any rule")
    );
    let masking = &record.maskings[0];
    assert_eq!(
        (
            masking.output_column.as_str(),
            masking.transform.as_str(),
            masking.rule.as_str()
        ),
        ("s", "last 4", "mask-pii, mask-more")
    );
}

/// The same bytes for two purposes, or under two keys, have unrelated digests; facts' digests follow the facts.
#[test]
fn digests_are_keyed_and_separate() {
    let other = EvidenceKey::new(Secret::new(*b"another key of at least 32 bytes")).unwrap();
    let digests = BTreeSet::from([
        key().sql(b"x"),
        key().parameters(b"x"),
        other.sql(b"x"),
        other.parameters(b"x"),
    ]);
    assert_eq!(digests.len(), 4);
    assert_eq!(key().literal("'x'").len(), "'hmac:0123456789abcdef'".len());
    assert_ne!(key().literal("'x'"), other.literal("'x'"));
    let (one, two) = (
        facts(Kind::Select, "ssn", Spoken::Access),
        facts(Kind::Select, "ssn", Spoken::Output),
    );
    let of_facts = |key: &EvidenceKey, facts: &Facts| {
        digest::PatternDigest::of(facts).with_equalities(key, facts)
    };
    assert_eq!(of_facts(&key(), &one), of_facts(&key(), &one.clone()));
    assert_ne!(of_facts(&key(), &one), of_facts(&key(), &two));
    assert_ne!(of_facts(&key(), &one), of_facts(&other, &one));
    let short = EvidenceKey::new(Secret::new(*b"short"));
    assert_eq!(short.unwrap_err(), KeyTooShort { bytes: 5 });
    assert!(
        !format!("{:?}", key()).contains("0123"),
        "a key is never shown"
    );
}

#[test]
fn sessions_are_recorded_with_bounded_client_text() {
    let session_id = SessionId::random().unwrap();
    assert_eq!(session_id.as_str().len(), 32);
    let long = "é".repeat(1000);
    let client = Client {
        address: Some(Ipv4Addr::LOCALHOST.into()),
        application: Some(&long),
        tls: false,
        target: None,
        database: Some("nowhere"),
    };
    let refused = login_refused(
        SystemTime::UNIX_EPOCH,
        &session_id,
        &client,
        None,
        "no token",
        "28P01",
    );
    let Record::Session(refused) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refused.event, SessionEvent::Refused);
    assert_eq!(refused.application.unwrap().len(), STARTUP_TEXT_BYTES_MAX);
    assert_eq!((refused.principal, refused.authentication), (None, None));
    let Record::Session(opened) = session_opened(
        SystemTime::UNIX_EPOCH,
        &session_id,
        &session(),
        Some(Replication::Physical),
    ) else {
        panic!("a session");
    };
    assert_eq!(opened.principal.as_deref(), Some("devin@corp"));
    assert_eq!(opened.authentication.as_deref(), Some("token-as-password"));
    assert_eq!(opened.reason.as_deref(), Some("physical replication"));
}

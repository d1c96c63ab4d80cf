//! Documents at their places, signed by whom they say; each thing said once.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory, path::Path};

use super::{
    ApprovalId, Docket, Document, DryRun, End, EndKind, Ended, HeldStatement, Need, News, Request,
    Rows, Vote, VoteKind, Voted,
};
use crate::error::Error;
use crate::key::{PublicKey, SigningKey};
use crate::record::Micros;

const AT: Micros = Micros(1_780_000_000_000_000);

fn request(id: &ApprovalId) -> Request {
    let needs = vec![Need {
        group: "dbas".to_owned(),
        members: vec!["dba".to_owned()],
        count: 2,
        within_ms: 60_000,
    }];
    Request {
        requester: "bot".to_owned(),
        requester_kind: "agent".to_owned(),
        on_behalf_of: Some("ann".to_owned()),
        session_id: "s".to_owned(),
        application: "psql\u{1}\n".to_owned(),
        target: "shop".to_owned(),
        role: "app".to_owned(),
        search_path: vec!["public".to_owned()],
        sql: Some("DELETE FROM orders -- é\n".to_owned()),
        sql_digest: "00".to_owned(),
        parameters: Some(vec![None, Some("7".to_owned())]),
        statements: vec![HeldStatement {
            kind: "delete".to_owned(),
            fingerprint: "f".to_owned(),
            relations: vec!["public.orders".to_owned()],
            columns: Vec::new(),
        }],
        rules: vec!["bulk-write".to_owned()],
        estimate: Some(Rows::Count(7)),
        bundle_digest: "b".to_owned(),
        binding_digest: "binding".to_owned(),
        ..Request::new(id.clone(), "one", AT, needs)
    }
}

fn dry_run(id: &ApprovalId, person: &str, rows: Rows) -> DryRun {
    DryRun {
        id: id.clone(),
        binding_digest: "binding".to_owned(),
        gateway: "one".to_owned(),
        at: AT,
        person: person.to_owned(),
        rows,
    }
}

fn vote(id: &ApprovalId, gateway: &str, person: &str) -> Vote {
    Vote {
        id: id.clone(),
        binding_digest: "binding".to_owned(),
        gateway: gateway.to_owned(),
        at: AT,
        person: person.to_owned(),
        groups: vec!["dba".to_owned()],
        vote: VoteKind::Approve,
        reason: "looked at it".to_owned(),
        rows_shown: Some(7),
    }
}

fn end(id: &ApprovalId, gateway: &str, writer: &str) -> End {
    End {
        id: id.clone(),
        gateway: gateway.to_owned(),
        at: AT,
        end: EndKind::Used,
        writer: writer.to_owned(),
    }
}

/// Two gateways that trust each other, and one that nobody trusts, over one store.
struct Three {
    store: Arc<dyn ObjectStore>,
    keys: [SigningKey; 3],
}

const NAMES: [&str; 3] = ["one", "two", "stranger"];

impl Three {
    fn new() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            keys: [0; 3].map(|_| SigningKey::generate().unwrap()),
        }
    }

    fn public(&self, of: usize) -> PublicKey {
        self.keys[of].public(NAMES[of])
    }

    fn docket(&self, of: usize) -> Docket {
        let trusted = vec![self.public(0), self.public(1)];
        Docket::new(
            Arc::clone(&self.store),
            (NAMES[of], self.keys[of].clone()),
            trusted,
            ApprovalId::first_of(Micros(0)),
        )
    }
}

#[test]
fn names_sort_by_time_and_others_are_none() {
    let (early, late) = (
        ApprovalId::new(AT).unwrap(),
        ApprovalId::new(Micros(AT.0 + 1_000)).unwrap(),
    );
    assert!(early < late && ApprovalId::first_of(AT) <= early);
    assert_eq!(ApprovalId::parse(early.as_str()), Some(early.clone()));
    let upper = early.as_str().to_uppercase();
    for text in ["", "-", "../x", "0", &upper, &early.as_str()[1..]] {
        assert!(
            ApprovalId::parse(text).is_none() || text == early.as_str(),
            "{text}"
        );
    }
    assert!(serde_json::from_str::<ApprovalId>("\"x/../y\"").is_err());
}

#[test]
fn a_document_is_read_at_its_place_from_a_trusted_gateway_and_unchanged() {
    let three = Three::new();
    let id = ApprovalId::new(AT).unwrap();
    let trusted = [three.public(0), three.public(1)];
    let documents = [
        Document::Request(Box::new(request(&id))),
        Document::DryRun(dry_run(&id, "dora", Rows::Count(0))),
        Document::Vote(vote(&id, "two", "dora")),
        Document::End(end(&id, "one", "w")),
    ];
    for document in &documents {
        let of = usize::from(matches!(document, Document::Vote(_)));
        let bytes = document.sign(&three.keys[of]).unwrap();
        let key = document.key();
        assert_eq!(
            Document::open(&key, &bytes, &trusted).as_ref(),
            Some(document)
        );
        assert_eq!(Document::open("held/x/end", &bytes, &trusted), None);
        assert_eq!(Document::open(&key, &bytes, &trusted[1 - of..2 - of]), None);
        // Another gateway's signature in this one's name.
        let forged = document.sign(&three.keys[1 - of]).unwrap();
        assert_eq!(Document::open(&key, &forged, &trusted), None);
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1;
            assert_eq!(
                Document::open(&key, &flipped, &trusted),
                None,
                "byte {position}"
            );
        }
    }
}

#[tokio::test]
async fn each_thing_is_said_once_and_everybody_hears_it() {
    let three = Three::new();
    let (one, two) = (three.docket(0), three.docket(1));
    let id = ApprovalId::new(AT).unwrap();
    one.request(request(&id)).await.unwrap();
    // A lost acknowledgement: the same again is no error, another is.
    one.request(request(&id)).await.unwrap();
    let other = Request {
        target: "other".to_owned(),
        ..request(&id)
    };
    assert!(matches!(
        one.request(other).await,
        Err(Error::Conflict { .. })
    ));
    assert_eq!(
        two.news().await.unwrap().documents,
        [Document::Request(Box::new(request(&id)))]
    );
    let first = vote(&id, "two", "dora");
    assert_eq!(two.vote(first.clone()).await.unwrap(), Voted::Taken);
    let changed = Vote {
        vote: VoteKind::Deny,
        ..vote(&id, "one", "dora")
    };
    let before = one.vote(changed).await.unwrap();
    assert_eq!(
        before,
        Voted::Before(Box::new(first)),
        "one voice for each person"
    );
    assert_eq!(
        one.vote(vote(&id, "one", "carl")).await.unwrap(),
        Voted::Taken
    );
    let (left, right) = tokio::join!(one.end(end(&id, "one", "a")), two.end(end(&id, "two", "b")));
    let ours = [left.unwrap(), right.unwrap()];
    assert_eq!(
        ours.iter().filter(|ended| **ended == Ended::Ours).count(),
        1,
        "{ours:?}"
    );
    let news = two.news().await.unwrap();
    assert_eq!((news.documents.len(), news.strange.len()), (3, 0));
    assert_eq!(two.news().await.unwrap(), News::default());
}

/// What people were shown stays what it was: a second dry run is not another number.
#[tokio::test]
async fn a_dry_run_is_said_once() {
    let three = Three::new();
    let (one, two) = (three.docket(0), three.docket(1));
    let id = ApprovalId::new(AT).unwrap();
    one.request(request(&id)).await.unwrap();
    let first = dry_run(&id, "dora", Rows::Count(3));
    assert_eq!(one.dry_run(first.clone()).await.unwrap(), first);
    let why = "another".to_owned();
    let second = dry_run(&id, "carl", Rows::Unknown { why });
    assert_eq!(one.dry_run(second).await.unwrap(), first);
    let news = two.news().await.unwrap();
    assert!(news.documents.contains(&Document::DryRun(first)));
    assert_eq!((news.documents.len(), news.strange.len()), (2, 0));
}

/// What an earlier version asked and said.
#[test]
fn documents_without_rows_are_read() {
    let id = ApprovalId::new(AT).unwrap();
    let mut old = serde_json::to_value(request(&id)).unwrap();
    old.as_object_mut().unwrap().remove("estimate");
    let read: Request = serde_json::from_value(old).unwrap();
    assert_eq!(read.estimate, None);
    let mut old = serde_json::to_value(vote(&id, "one", "dora")).unwrap();
    old.as_object_mut().unwrap().remove("rows_shown");
    let read: Vote = serde_json::from_value(old).unwrap();
    assert_eq!(read.rows_shown, None);
}

#[tokio::test]
async fn what_nobody_trusted_signed_counts_for_nothing() {
    let three = Three::new();
    let (one, stranger) = (three.docket(0), three.docket(2));
    let id = ApprovalId::new(AT).unwrap();
    one.request(request(&id)).await.unwrap();
    stranger
        .vote(vote(&id, "stranger", "mallory"))
        .await
        .unwrap();
    stranger.end(end(&id, "stranger", "w")).await.unwrap();
    let junk = Path::from(format!("held/{id}/vote/junk"));
    three
        .store
        .put(&junk, b"junk".to_vec().into())
        .await
        .unwrap();
    let news = one.news().await.unwrap();
    assert_eq!((news.documents.len(), news.strange.len()), (1, 3));
    // The place of the end is taken by something that can't be believed: it must not be used.
    let used = one.end(end(&id, "one", "w")).await;
    assert!(matches!(used, Err(Error::Approval { .. })), "{used:?}");
}

#[tokio::test]
async fn what_is_over_is_not_looked_at_again() {
    let three = Three::new();
    let one = three.docket(0);
    let ids = [0, 1, 2].map(|second| ApprovalId::new(Micros(AT.0 + second * 1_000_000)).unwrap());
    for id in &ids {
        one.request(request(id)).await.unwrap();
    }
    assert_eq!(one.news().await.unwrap().documents.len(), 3);
    one.forget_before(&ids[1]).await;
    assert_eq!(one.news().await.unwrap(), News::default());
    let later = vote(&ids[1], "one", "dora");
    one.vote(later.clone()).await.unwrap();
    one.vote(vote(&ids[0], "one", "dora")).await.unwrap();
    assert_eq!(one.news().await.unwrap().documents, [Document::Vote(later)]);
}

#[test]
fn a_need_is_said_as_the_policy_says_it() {
    for (within_ms, expected) in [
        (900_000, "2 of dbas within 15 min"),
        (7_200_000, "2 of dbas within 2 h"),
        (90_000, "2 of dbas within 90 s"),
        (1_500, "2 of dbas within 1500 ms"),
        (0, "2 of dbas within 0 s"),
    ] {
        let need = Need {
            group: "dbas".to_owned(),
            members: Vec::new(),
            count: 2,
            within_ms,
        };
        assert_eq!(need.to_string(), expected);
    }
}

//! Who came to the console is in the log: log-ins, and what was refused.

use std::sync::Arc;

use provost_evidence::record::{SessionEvent, SessionRecord};
use serde_json::json;

use super::{
    pages::Browser,
    support::{House, Who, answer},
};
use crate::{
    console::door::Door,
    record::console::{Peer, Way},
};

/// What of a row these tests are about.
fn told(row: &SessionRecord) -> (SessionEvent, Option<&str>, &str, &str) {
    (
        row.event,
        row.principal.as_deref(),
        row.authentication.as_deref().unwrap_or_default(),
        row.reason.as_deref().unwrap_or_default(),
    )
}

#[tokio::test]
async fn refused_tokens_are_evidence() {
    let house = House::new().await;
    let ask = async |token: &str| {
        let url = format!("{}/api/v1/approvals", house.url);
        answer(house.client.get(url).bearer_auth(token)).await.0
    };
    let good = house.token(Who::Dora);
    assert_eq!(ask(&good).await, 200);
    assert!(house.sessions().await.is_empty(), "nobody was refused");
    let expired = house.token_with(Who::Dora, |claims| claims["exp"] = json!(1));
    assert_eq!(ask(&expired).await, 401);
    // Nobody's: its signature is another text's.
    let forged = format!("{}{}", &good[..good.len() - 8], "AAAAAAAA");
    assert_eq!(ask(&forged).await, 401);
    let rows = house.sessions().await;
    let (event, principal, authentication, reason) = told(&rows[0]);
    assert_eq!(
        (event, principal, authentication),
        (SessionEvent::Refused, Some("dora@corp"), "bearer-token")
    );
    assert!(reason.contains("expired"), "{reason}");
    assert_eq!(rows[0].application.as_deref(), Some("console"));
    assert_eq!(rows[0].client_addr.as_deref(), Some("127.0.0.1"));
    assert!(!rows[0].tls && rows[0].target.is_none());
    assert_eq!((told(&rows[1]).1, rows.len()), (None, 2));
    let text = format!("{rows:?}");
    for token in [&expired, &forged] {
        assert!(!text.contains(&token[token.len() - 30..]), "{text}");
    }
}

#[tokio::test]
async fn a_flood_of_refused_tokens_is_counted() {
    let house = House::new().await;
    for _ in 0..25 {
        let url = format!("{}/api/v1/approvals", house.url);
        assert_eq!(answer(house.client.get(url).bearer_auth("x")).await.0, 401);
    }
    assert_eq!(house.sessions().await.len(), 10);
    // What has no rows is told at the end.
    let door = Door::new(Arc::clone(&house.log));
    let peer = Peer {
        address: [10, 0, 0, 1].into(),
        tls: true,
    };
    for _ in 0..12 {
        door.refused((peer, Way::Browser), None, "no").await;
    }
    door.close().await;
    door.close().await;
    let rows = house.sessions().await;
    assert_eq!(rows.len(), 21);
    assert_eq!(rows[20].client_addr.as_deref(), Some("10.0.0.1"));
    assert!(
        told(&rows[20]).3.starts_with("2 more refusals"),
        "{:?}",
        rows[20]
    );
}

#[tokio::test]
async fn log_ins_are_evidence() {
    let browser = Browser::new(Who::Dora, |_| {}).await;
    assert_eq!(browser.log_in("/login").await.status, 303);
    let rows = browser.house.sessions().await;
    assert_eq!(
        told(&rows[0]),
        (
            SessionEvent::Opened,
            Some("dora@corp"),
            "authorization-code",
            ""
        )
    );
    assert_eq!(rows[0].groups, ["db-admins"]);
    assert_eq!(rows[0].application.as_deref(), Some("console"));
    let other = Browser::new(Who::Dora, |claims| claims["exp"] = json!(1)).await;
    assert_eq!(other.log_in("/login").await.status, 403);
    let rows = other.house.sessions().await;
    let (event, principal, authentication, reason) = told(&rows[0]);
    assert_eq!(
        (event, principal, authentication),
        (
            SessionEvent::Refused,
            Some("dora@corp"),
            "authorization-code"
        )
    );
    assert!(reason.contains("expired"), "{reason}");
}

//! Who may do what, and what is said of it.

use provost_evidence::record::Micros;
use serde_json::{Value, json};

use super::support::{House, Who, answer, request};
use crate::approvals::{REASON_BYTES_MAX, now};

#[tokio::test]
async fn only_a_genuine_token_opens_the_door() {
    let house = House::new().await;
    let id = house.ask(request(1)).await;
    let stranger = House::new().await;
    let tokens = [
        (String::new(), "Authorization: Bearer"),
        ("hunter2".to_owned(), "the bearer token is not valid"),
        (stranger.token(Who::Dora), "signature is wrong"),
        (
            house.token_with(Who::Dora, |claims| claims["exp"] = json!(1)),
            "the token expired",
        ),
        (
            house.token_with(Who::Dora, |claims| claims["aud"] = json!("payroll")),
            "not for `provost`",
        ),
        (
            house.token_with(Who::Dora, |claims| {
                claims["iss"] = json!("https://evil.example.com")
            }),
            "is from issuer",
        ),
        (
            house.token_with(Who::Dora, |claims| claims["sub"] = Value::Null),
            "has no claim `sub`",
        ),
    ];
    let paths = [
        "/api/v1/approvals",
        "/api/v1/approvals/x",
        &format!("/api/v1/approvals/{id}"),
    ];
    for (token, expected) in &tokens {
        for path in paths {
            let request = house
                .client
                .get(format!("{}{path}", house.url))
                .bearer_auth(token);
            let (status, problem) = answer(request).await;
            assert_eq!(status, 401, "{token}: {problem}");
            assert_eq!(problem["status"], 401);
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(expected), "{detail}");
            assert!(token.is_empty() || !detail.contains(token), "{detail}");
        }
        let request = house
            .voting(Who::Dora, &id, "{}")
            .header("authorization", "Bearer x");
        assert_eq!(answer(request).await.0, 401, "two tokens are none");
    }
    for path in ["/healthz", "/api/v1/openapi.json"] {
        let request = house.client.get(format!("{}{path}", house.url));
        assert_eq!(answer(request).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn each_sees_what_concerns_them() {
    let house = House::new().await;
    let first = house.ask(request(1)).await;
    let mut other = request(2);
    other.requester = "kim@corp".to_owned();
    other.on_behalf_of = None;
    other.needs[0].members = vec!["privacy-officers".to_owned()];
    let second = house.ask(other).await;
    let all = vec![second.clone(), first.clone()];
    let cases = [
        (Who::Ana, vec![first.clone()]),
        (Who::Devin, vec![first.clone()]),
        (Who::Dora, vec![first.clone()]),
        (Who::Helper, vec![first.clone()]),
        (Who::Otto, all),
        (Who::Stan, vec![]),
    ];
    for (who, expected) in cases {
        assert_eq!(house.ids(who, "").await, expected, "{who:?}");
        for id in [&first, &second] {
            let path = format!("/api/v1/approvals/{id}");
            let (status, _) = answer(house.get(who, &path)).await;
            let seen = expected.contains(id);
            assert_eq!(status, if seen { 200 } else { 404 }, "{who:?} {id}");
            let (status, _) = house.vote(who, id, "approve", "").await;
            assert_eq!(status, if seen { 422 } else { 404 }, "{who:?} {id}");
        }
    }
    // What is hidden and what is not there look the same.
    let (_, hidden) = answer(house.get(Who::Dora, &format!("/api/v1/approvals/{second}"))).await;
    let (_, missing) =
        answer(house.get(Who::Dora, "/api/v1/approvals/019a5d2f8c00-3f1b7a9e4c52")).await;
    assert_eq!(hidden, missing);
}

#[tokio::test]
async fn pages_are_bounded_and_follow_each_other() {
    let house = House::new().await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        ids.push(house.ask(request(number)).await);
    }
    ids.sort();
    ids.reverse();
    assert_eq!(house.ids(Who::Dora, "").await, ids);
    assert_eq!(
        house.ids(Who::Dora, "?standing=waiting&limit=2").await,
        ids[..2]
    );
    assert_eq!(
        house.ids(Who::Dora, &format!("?before={}", ids[1])).await,
        ids[2..]
    );
    assert!(house.ids(Who::Dora, "?standing=used").await.is_empty());
    let (_, page) = answer(house.get(Who::Dora, "/api/v1/approvals?limit=2")).await;
    assert_eq!(page["next"], json!(ids[1]));
    let (_, page) = answer(house.get(Who::Dora, "/api/v1/approvals?limit=5")).await;
    assert_eq!(page["next"], Value::Null);
    for wrong in ["?limit=0", "?standing=open", "?x=1", "?limit=1&limit=2"] {
        let (status, _) = answer(house.get(Who::Dora, &format!("/api/v1/approvals{wrong}"))).await;
        assert_eq!(status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn two_people_approve_and_a_vote_counts_once() {
    let house = House::new().await;
    let id = house.ask(request(1)).await;
    let (status, taken) = house.vote(Who::Dora, &id, "approve", " looks right ").await;
    assert_eq!(status, 200, "{taken}");
    assert_eq!(taken["standing"], "waiting");
    assert_eq!(taken["needs"][0]["approved_by"], json!(["dora@corp"]));
    assert_eq!(taken["votes"][0]["reason"], "looks right");
    assert!(taken["objection"].as_str().unwrap().contains("already"));
    for vote in ["approve", "deny"] {
        let (status, problem) = house.vote(Who::Dora, &id, vote, "again").await;
        assert_eq!((status, &problem["status"]), (409, &json!(409)));
    }
    let (status, taken) = house.vote(Who::Emil, &id, "approve", "me too").await;
    assert_eq!(status, 200, "{taken}");
    assert_eq!(taken["standing"], "approved");
    assert_eq!(house.ids(Who::Ana, "?standing=approved").await, [id]);
}

#[tokio::test]
async fn one_no_ends_it() {
    let house = House::new().await;
    let id = house.ask(request(1)).await;
    let (status, taken) = house.vote(Who::Dora, &id, "deny", "wrong year").await;
    assert_eq!(status, 200, "{taken}");
    assert_eq!(taken["standing"], "refused");
    assert_eq!(
        taken["refused"],
        json!({ "by": "dora@corp", "reason": "wrong year" })
    );
    assert!(taken["ended_at"].is_string());
    let (status, _) = house.vote(Who::Emil, &id, "approve", "but I want it").await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn who_may_not_vote_does_not() {
    let house = House::new().await;
    let id = house.ask(request(1)).await;
    let cases = [
        (Who::Ana, 403, "nobody approves their own request"),
        (Who::Devin, 403, "only people vote"),
        (Who::Robot, 403, "only people vote"),
        (Who::Helper, 403, "only people vote"),
        (Who::Otto, 403, "none of the groups"),
        (Who::Stan, 404, "there is no such approval"),
    ];
    for (who, expected, words) in cases {
        for vote in ["approve", "deny"] {
            let (status, problem) = house.vote(who, &id, vote, "please").await;
            assert_eq!(status, expected, "{who:?}: {problem}");
            assert!(
                problem["detail"].as_str().unwrap().contains(words),
                "{problem}"
            );
        }
        if expected == 403 {
            let (_, shown) = answer(house.get(who, &format!("/api/v1/approvals/{id}"))).await;
            assert!(
                shown["objection"].as_str().unwrap().contains(words),
                "{shown}"
            );
        }
    }
    let (_, shown) = answer(house.get(Who::Dora, &format!("/api/v1/approvals/{id}"))).await;
    assert_eq!(shown["votes"], json!([]));
    assert_eq!(shown["objection"], Value::Null);
    assert_eq!(shown["standing"], "waiting");
}

#[tokio::test]
async fn what_is_over_takes_no_vote() {
    let house = House::new().await;
    let mut late = request(1);
    late.requested_at = Micros(now().0 - 60_000_000);
    late.expires_at = Micros(now().0 - 1);
    let late = house.ask(late).await;
    let (status, problem) = house.vote(Who::Dora, &late, "approve", "late").await;
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("expired"),
        "{problem}"
    );

    let withdrawn = request(2);
    let id = withdrawn.id.clone();
    house.ask(withdrawn).await;
    house.approvals.withdraw(&id, "gone").await.unwrap();
    let (status, problem) = house.vote(Who::Dora, id.as_str(), "approve", "late").await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(
        house.ids(Who::Dora, "?standing=withdrawn").await,
        [id.to_string()]
    );
}

#[tokio::test]
async fn malformed_votes_are_told_what_is_wrong() {
    let house = House::new().await;
    let id = house.ask(request(1)).await;
    let long = json!({ "vote": "approve", "reason": "x".repeat(REASON_BYTES_MAX + 1) }).to_string();
    let cases: &[(&str, u16)] = &[
        ("", 400),
        ("{", 400),
        ("approve", 400),
        ("\u{0}", 400),
        ("{}", 422),
        ("[]", 422),
        ("null", 422),
        (r#"{"vote":"approve"}"#, 422),
        (r#"{"reason":"x"}"#, 422),
        (r#"{"vote":"approve","reason":""}"#, 422),
        (r#"{"vote":"approve","reason":" \n\t"}"#, 422),
        (r#"{"vote":"approve","reason":7}"#, 422),
        (r#"{"vote":"approve","reason":null}"#, 422),
        (r#"{"vote":"Approve","reason":"x"}"#, 422),
        (r#"{"vote":"maybe","reason":"x"}"#, 422),
        (r#"{"vote":["approve"],"reason":"x"}"#, 400),
        (
            r#"{"vote":"approve","reason":"x","person":"emil@corp"}"#,
            422,
        ),
        (r#"{"vote":"deny","vote":"approve","reason":"x"}"#, 422),
        (r#"{"vote":"approve","reason":"x"}{}"#, 400),
        (r#"{"vote":"approve","reason":"\ud800"}"#, 400),
        (&long, 422),
    ];
    for (body, expected) in cases {
        let (status, problem) = answer(house.voting(Who::Dora, &id, *body)).await;
        assert_eq!(status, *expected, "{body}: {problem}");
        assert!(problem["detail"].is_string());
    }
    let good = json!({ "vote": "approve", "reason": "x" }).to_string();
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
    ] {
        let url = format!("{}/api/v1/approvals/{id}/votes", house.url);
        let request = house.client.post(url).bearer_auth(house.token(Who::Dora));
        let request = request
            .header("content-type", media_type)
            .body(good.clone());
        assert_eq!(answer(request).await.0, 415, "{media_type}");
    }
    for strange in [
        "",
        "..",
        "%2e%2e",
        "%ff",
        "019A5D2F8C00-3f1b7a9e4c52",
        &format!("{id}x"),
        &format!("{id}%00"),
    ] {
        let (status, _) = answer(house.voting(Who::Dora, strange, good.clone())).await;
        assert!(matches!(status, 404 | 405), "{strange}: {status}");
    }
    let (_, shown) = answer(house.get(Who::Dora, &format!("/api/v1/approvals/{id}"))).await;
    assert_eq!(shown["votes"], json!([]), "none of them counted");
}

#[tokio::test]
async fn methods_and_paths_that_are_none() {
    let house = House::new().await;
    let cases = [
        ("POST", "/api/v1/approvals", 405),
        ("DELETE", "/api/v1/approvals/019a5d2f8c00-3f1b7a9e4c52", 405),
        (
            "GET",
            "/api/v1/approvals/019a5d2f8c00-3f1b7a9e4c52/votes",
            405,
        ),
        ("TRACE", "/healthz", 405),
        ("GET", "/api/v2/approvals", 404),
        ("GET", "/", 404),
    ];
    for (method, path, expected) in cases {
        let request = house
            .client
            .request(method.parse().unwrap(), format!("{}{path}", house.url));
        let response = request
            .bearer_auth(house.token(Who::Dora))
            .send()
            .await
            .unwrap();
        super::support::check_headers(&response);
        assert_eq!(response.status().as_u16(), expected, "{method} {path}");
        assert_eq!(
            response.headers().contains_key("allow"),
            expected == 405,
            "{method} {path}"
        );
    }
}

/// A page of another origin can't vote, not even with a token that it got hold of: its browser says where it is from.
#[tokio::test]
async fn pages_of_others_are_refused() {
    let house = House::new().await;
    let id = house.ask(request(1)).await;
    let good = json!({ "vote": "approve", "reason": "x" }).to_string();
    for origin in [
        "https://evil.example.com",
        "null",
        "",
        &house.url.replace("http:", "https:"),
        &format!("{}0", house.url),
    ] {
        let request = house
            .voting(Who::Dora, &id, good.clone())
            .header("origin", origin);
        assert_eq!(answer(request).await.0, 403, "{origin}");
    }
    let request = house
        .voting(Who::Dora, &id, good)
        .header("origin", &house.url);
    assert_eq!(answer(request).await.0, 200);
}

/// What the requester wrote comes back as text, byte for byte, and in lists no longer than a list needs.
#[tokio::test]
async fn what_others_wrote_is_text() {
    let house = House::new().await;
    let mut hostile = request(1);
    let sql = format!("SELECT '\u{0}\x1b[2J\u{202e}</script>{}'", "é".repeat(600));
    hostile.sql = Some(sql.clone());
    let id = house.ask(hostile).await;
    let (_, shown) = answer(house.get(Who::Dora, &format!("/api/v1/approvals/{id}"))).await;
    assert_eq!(shown["sql"], json!(sql));
    assert_eq!(shown["sql_is_cut"], false);
    assert_eq!(shown["application"], "psql\x1b[2J<b>");
    assert_eq!(shown["parameters"], json!([null, "7"]));
    let (_, list) = answer(house.get(Who::Dora, "/api/v1/approvals")).await;
    let listed = &list["approvals"][0];
    assert_eq!(
        listed["sql"],
        json!(sql.chars().take(500).collect::<String>())
    );
    assert_eq!(listed["sql_is_cut"], true);
    let raw = house
        .get(Who::Dora, "/api/v1/approvals")
        .send()
        .await
        .unwrap();
    let raw = raw.text().await.unwrap();
    assert!(
        !raw.chars().any(char::is_control),
        "JSON escapes control characters"
    );
}

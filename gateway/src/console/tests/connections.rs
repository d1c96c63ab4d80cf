//! Bodies that are too large, heads that are too long, callers that are too slow.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::support::{House, Who, answer, request};
use crate::console::Times;

/// No answer of these takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// What comes back for these bytes, until the console closes.
async fn exchange(house: &House, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(house.url.trim_start_matches("http://"))
        .await
        .unwrap();
    // The console may close before it has read all of it.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the console closes in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(house: &House, id: &str, lines: &str) -> String {
    let token = house.token(Who::Dora);
    format!(
        "POST /api/v1/approvals/{id}/votes HTTP/1.1\r\nhost: console\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{lines}\r\n"
    )
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let house = House::new().await;
    let id = house.ask(request(1)).await;
    let body = format!(
        r#"{{"vote":"approve","reason":"x"{}}}"#,
        " ".repeat(64 * 1024)
    );
    assert_eq!(
        answer(house.voting(Who::Dora, &id, body.clone())).await.0,
        413
    );
    // Without a length, in chunks.
    let chunked = format!(
        "{}{:x}\r\n{body}\r\n0\r\n\r\n",
        head(
            &house,
            &id,
            "transfer-encoding: chunked\r\nconnection: close\r\n"
        ),
        body.len()
    );
    let answer = exchange(&house, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // A length of terabytes is believed and refused, not waited for.
    let endless = head(&house, &id, "content-length: 9999999999999\r\n");
    let answer = exchange(&house, endless.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn heads_that_are_none_are_refused() {
    let house = House::new().await;
    let many = "x: y\r\n".repeat(200);
    let long = format!("x: {}\r\n", "y".repeat(128 * 1024));
    let cases = [
        (
            format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{many}\r\n"),
            "431",
        ),
        (
            format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{long}\r\n"),
            "431",
        ),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        (
            "POST /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx"
                .to_owned(),
            "400",
        ),
    ];
    for (bytes, status) in cases {
        let answer = exchange(&house, bytes.as_bytes()).await;
        let start = if status.is_empty() {
            String::new()
        } else {
            format!("HTTP/1.1 {status}")
        };
        assert!(
            answer.starts_with(&start) && !answer.contains("200 OK"),
            "{answer}"
        );
    }
}

/// A head or a body that never comes ends the connection, and not the console.
#[tokio::test]
async fn slow_callers_are_not_waited_for() {
    let short = Duration::from_millis(200);
    let house = House::with(Times {
        head: short,
        request: short,
        ..Times::default()
    })
    .await;
    let id = house.ask(request(1)).await;
    let slow_body = head(&house, &id, "content-length: 20\r\n");
    let answer = exchange(&house, slow_body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let slow_head = exchange(&house, b"GET /healthz HTTP/1.1\r\nhost:").await;
    assert!(!slow_head.contains("200 OK"), "{slow_head}");
    assert_eq!(exchange(&house, b"").await, "");
    let idle = exchange(&house, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
}

/// A connection does not outlive its time, however busy it is.
#[tokio::test]
async fn connections_end() {
    let house = House::with(Times {
        connection: Duration::from_millis(200),
        ..Times::default()
    })
    .await;
    let mut stream = TcpStream::connect(house.url.trim_start_matches("http://"))
        .await
        .unwrap();
    let asking = async {
        let mut buffer = [0; 4096];
        loop {
            let asked = stream
                .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
                .await;
            if asked.is_err() || matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {
                return;
            }
        }
    };
    timeout(DEADLINE, asking)
        .await
        .expect("the console closes in time");
}

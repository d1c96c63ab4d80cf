//! Bytes that no client of good will sends: the session must never panic, and never forward what was not decided.

use bytes::BytesMut;
use proptest::prelude::*;

use super::harness::*;
use crate::session::{Flow, Limits};

fn valid() -> Vec<Vec<u8>> {
    vec![
        query("select 1"),
        parse("a", "select 1"),
        bind_value("p", "a", Some("value")),
        describe('S', "a"),
        execute("p", 0),
        close('P', "p"),
        flush(),
        sync(),
        raw('d', b"data"),
        bare('c'),
        raw('f', b"why\0"),
        raw('F', b"\0\0\0\0"),
        terminate(),
    ]
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// A frame whose length says less than its body holds, or whose body was cut with the length set right, ends the session
/// with 08P01 and sends the server nothing but our goodbye.
#[test]
fn every_truncation_ends_the_session() {
    for frame in valid() {
        let kind = char::from(frame[0]);
        for end in 5..frame.len() {
            if matches!(kind, 'd' | 'F') {
                continue;
            }
            let cut = raw(kind, &frame[5..end]);
            let shown = transcript(&[Step::Client(vec![cut])], Limits::default(), usize::MAX);
            assert_eq!(
                shown,
                "client\n  > Terminate\n  < E S=FATAL C=08P01 M=invalid message format\n  ended\n",
                "{kind} cut at {end}"
            );
        }
    }
}

#[test]
fn lengths_and_types_that_lie_end_the_session() {
    let huge = [b"Q".as_slice(), &(70_000_000_u32).to_be_bytes()].concat();
    let cases = [
        (b"Q\0\0\0\x03".to_vec(), "invalid message length"),
        (b"Q\xff\xff\xff\xff".to_vec(), "invalid message length"),
        (huge, "invalid message length"),
        (raw('p', b"secret\0"), "invalid message type 112"),
        (raw('\u{0}', b""), "invalid message type 0"),
    ];
    for (bytes, message) in cases {
        let shown = transcript(&[Step::Client(vec![bytes])], Limits::default(), 1);
        assert_eq!(
            shown,
            format!("client\n  > Terminate\n  < E S=FATAL C=08P01 M={message}\n  ended\n")
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_from_both_sides(
        parts in prop::collection::vec((any::<bool>(), 0usize..13, any::<Option<(u8, u8)>>(), any::<Vec<u8>>()), 1..20),
    ) {
        block_on(async {
            let mut harness = Harness::new(Limits::default());
            for (client, index, change, noise) in parts {
                let mut bytes = BytesMut::from(&valid()[index][..]);
                if let Some((place, value)) = change {
                    let place = usize::from(place) % bytes.len();
                    bytes[place] = value;
                }
                if client {
                    harness.from_client.extend_from_slice(&bytes);
                } else if let Some((kind, body)) = noise.split_first() {
                    harness.from_server.extend_from_slice(&raw(char::from(kind % 128), body));
                }
                match harness.pump().await {
                    Ok(Flow::More | Flow::Stalled) => {}
                    Ok(Flow::Closed) | Err(_) => break,
                }
            }
            harness.core.close().await.unwrap();
            let seen = harness.seen.borrow();
            prop_assert_eq!(seen.texts.len(), seen.ends.len());
            for line in show(harness.out.to_server.unsent()) {
                let text = line
                    .strip_prefix("Query(")
                    .and_then(|rest| rest.strip_suffix(')'))
                    .or_else(|| line.strip_prefix("Parse(").and_then(|rest| rest.strip_suffix(')')).and_then(|rest| rest.split_once(": ")).map(|(_, text)| text));
                if let Some(text) = text.filter(|text| !text.is_empty() && !text.starts_with("DENIED")) {
                    prop_assert!(seen.texts.values().any(|decided| text.contains(decided.as_str())), "{}", text);
                }
            }
            Ok(())
        })?;
    }

    /// Frames of the client, cut, changed and mixed, all denied: only stand-ins and frames without a statement come out.
    #[test]
    fn nothing_denied_gets_through(parts in prop::collection::vec((0usize..6, "[a-c]?"), 1..20)) {
        block_on(async {
            let mut harness = Harness::new(Limits::default());
            for (kind, name) in parts {
                harness.from_client.extend_from_slice(&match kind {
                    0 => query("deny"),
                    1 => parse(&name, "deny"),
                    2 => bind(&name, &name),
                    3 => execute(&name, 0),
                    4 => describe('S', &name),
                    _ => sync(),
                });
            }
            harness.pump().await.unwrap();
            let shown = show(harness.out.to_server.unsent());
            for line in &shown {
                let stands_in = line.contains("DENIED") || ["Sync", "Flush"].contains(&line.as_str());
                prop_assert!(stands_in, "{}", line);
            }
            prop_assert!(harness.seen.borrow().texts.is_empty());
            Ok(())
        })?;
    }
}

//! Stories of sessions: whole, in order, and of that session alone.

use super::*;
use crate::record::Record;
use crate::testing::{self, MIDNIGHT, SECOND};
use expect_test::expect;

async fn told(folder: &std::path::Path, session_id: &str) -> String {
    let tables = Tables::open(testing::store(folder)).await.unwrap();
    let story = story(&tables, session_id).await.unwrap();
    assert!(!story.is_cut);
    let line = |moment: &Moment| {
        let what = match &moment.what {
            What::Session(one) => format!("{} by {:?}", one.event, one.principal),
            What::Approval(one) => format!("{} by {}", one.event, one.actor),
            What::Statement(one) => format!(
                "{} {} {} masked {:?}",
                one.statement_id,
                one.verdict.as_deref().unwrap_or("?"),
                one.outcome,
                one.masked
                    .iter()
                    .map(|column| (column.output_index, column.values_masked))
                    .collect::<Vec<_>>()
            ),
        };
        format!("{} {what}\n", moment.offset_us)
    };
    story.moments.iter().map(line).collect()
}

#[tokio::test]
async fn a_session_s_story_is_told_in_order_of_time_and_statements_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = testing::open_log(folder.path());
    let sealer = testing::sealer(&log, testing::store(folder.path()))
        .await
        .unwrap();
    let closed = |record| match record {
        Record::Session(session) => Record::Session(crate::record::SessionRecord {
            event: crate::record::SessionEvent::Closed,
            ..session
        }),
        other => other,
    };
    let records = [
        testing::decision(2, MIDNIGHT + 7),
        testing::session(MIDNIGHT),
        testing::decision(1, MIDNIGHT),
        testing::approval(MIDNIGHT + 3),
        testing::end(1, MIDNIGHT + 5),
    ];
    testing::append(&log, records).await;
    // The second is sealed `open`, and ends in a row of its own.
    let later = MIDNIGHT + 61 * SECOND;
    sealer.seal_now(Micros(later)).await.unwrap();
    let records = [testing::end(2, later), closed(testing::session(later))];
    testing::append(&log, records).await;
    sealer.seal_now(Micros(later)).await.unwrap();
    expect![[r#"
        0 opened by Some("ann")
        0 session-1 allow completed masked [(0, Some(7))]
        3 approved by dora
        7 session-2 allow completed masked [(0, Some(7)), (1, Some(7))]
        61000000 closed by Some("ann")
    "#]]
    .assert_eq(&told(folder.path(), "session").await);
    for other in ["", "other", "' OR session_id = 'session", "session'--"] {
        assert_eq!(told(folder.path(), other).await, "", "{other}");
    }
}

#[tokio::test]
async fn a_moment_serialises_with_its_time_and_what_it_is() {
    let moment = Moment {
        at: Micros(MIDNIGHT),
        offset_us: 5,
        what: What::Approval(Box::new(ApprovalMoment {
            event: "used".to_owned(),
            ..ApprovalMoment::default()
        })),
    };
    expect![[r#"{"at":"2026-11-20T00:00:00Z","offset_us":5,"what":"approval","event":"used","approval_id":"","actor":"","reason":null,"statement_id":null,"needs":[]}"#]]
        .assert_eq(&serde_json::to_string(&moment).unwrap());
}

//! Clocks that step: order is by the log, times are only what the clock said.

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;

use super::{assert_intact, outcomes};
use crate::record::Micros;
use crate::testing::*;

const DAY: i64 = 86_400 * SECOND;

/// Forward, back over midnight, back by years, to before 1970: each row is once there, in the partition of its own time.
#[tokio::test]
async fn a_clock_that_steps_breaks_neither_order_nor_counts() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let sealer = sealer(&log, store(folder.path())).await.unwrap();
    let clock = [0, 10 * DAY, -DAY, 2 * DAY, -20_000 * DAY - MIDNIGHT, SECOND];
    for (step, offset) in clock.into_iter().enumerate() {
        let (number, now) = (step as u64 * 10, MIDNIGHT + offset);
        // One that ends by the same clock, one that ends after the next step, one whose end was before it.
        append(&log, [decision(number, now), end(number, now + 1)]).await;
        append(&log, [decision(number + 1, now)]).await;
        if step > 0 {
            append(&log, [end(number - 9, now)]).await;
        }
        append(
            &log,
            [decision(number + 2, now), end(number + 2, now - DAY)],
        )
        .await;
        sealer.seal_now(Micros(now)).await.unwrap();
    }
    append(&log, [end(51, MIDNIGHT)]).await;
    sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
    drop((sealer, log));
    assert_intact(folder.path()).await;

    let outcomes = outcomes(folder.path()).await;
    assert_eq!(outcomes.len(), 18);
    for (id, rows) in &outcomes {
        // A step forward of more than 60 s makes a statement look long: it is sealed as open, and its end refers to it.
        let is_once = rows == &["completed"] || rows == &["open", "completed"];
        assert!(is_once, "{id}: {rows:?}");
    }
    let sql =
        "SELECT log_index FROM statements UNION ALL SELECT log_index FROM maskings ORDER BY 1";
    let answer = crate::query::query(store(folder.path()), sql)
        .await
        .unwrap();
    let indices: Vec<i64> = answer
        .batches
        .iter()
        .flat_map(|batch| {
            batch
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()
        })
        .collect();
    assert_eq!(indices, (0..indices.len() as i64).collect::<Vec<_>>());
    let days: std::collections::BTreeSet<String> = files(&folder.path().join("store/statements"))
        .iter()
        .filter_map(|file| Some(file.parent()?.file_name()?.to_str()?.to_owned()))
        .collect();
    for day in ["date=2026-11-20", "date=2026-11-30", "date=2026-11-19"] {
        assert!(days.contains(day), "{days:?}");
    }
    assert!(
        days.iter().any(|day| day.starts_with("date=19")),
        "{days:?}"
    );
}

//! Statements of several texts that share one draft: each row has its own text.

use arrow::util::pretty::pretty_format_batches;

use super::assert_intact;
use crate::record::Micros;
use crate::testing::*;

#[tokio::test]
async fn texts_that_share_a_draft_keep_apart() {
    const COUNT: u8 = 7;
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let sealer = sealer(&log, store(folder.path())).await.unwrap();
    let statements = InParts::alike(COUNT);
    let mut expected = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        statement.append(&log).await;
        expected.extend(statement.records());
        // In several segments, too, and several seals.
        if number % 3 == 1 {
            let logged: Vec<_> = crate::log::records(log.folder()).unwrap();
            assert_eq!(logged, std::mem::take(&mut expected));
            sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
        }
    }
    sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
    drop((sealer, log));
    assert_intact(folder.path()).await;
    let wrong = format!(
        "SELECT statement_id FROM statements WHERE sql <> 'SELECT ' || seq \
         OR sql_digest <> repeat(lpad(to_hex(seq), 2, '0'), 32) \
         OR facts_digest <> repeat(lpad(to_hex(seq + 100), 2, '0'), 32) \
         UNION ALL SELECT 'rows' FROM statements HAVING count(*) <> {COUNT}"
    );
    let answer = crate::query::query(store(folder.path()), &wrong).await;
    let batches = answer.unwrap().batches;
    let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 0, "{}", pretty_format_batches(&batches).unwrap());
}

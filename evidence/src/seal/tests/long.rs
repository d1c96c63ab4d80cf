//! Long texts that many rows have: a seal's rows part where a column could not hold them, and are read back.

use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::assert_intact;
use crate::record::Micros;
use crate::seal::parts::BATCH_BYTES_MAX;
use crate::testing::*;

const TEXTS: u64 = 20;
const TEXT_BYTES: usize = 60 * 1024;

/// A text that compresses badly, as one with many constants does.
fn text(number: u64) -> String {
    let mut state = number + 1;
    let constants = std::iter::repeat_with(|| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        format!(",{state:x}")
    });
    let mut text = "SELECT 1".to_owned();
    constants
        .take_while(|constant| {
            text.push_str(constant);
            text.len() < TEXT_BYTES
        })
        .for_each(drop);
    text
}

/// Twenty texts of 60 KiB that take turns: beyond what one column of Arrow holds.
#[tokio::test]
async fn long_texts_that_many_rows_share_part_their_rows() {
    const ROUNDS: u64 = 2000;
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let sealer = sealer(&log, store(folder.path())).await.unwrap();
    let mut statements: Vec<InParts> = (0..TEXTS)
        .map(|number| InParts::with_sql(text(number)))
        .collect();
    for round in 0..ROUNDS {
        for (statement, number) in statements.iter_mut().zip(0..) {
            statement.set_seq(round * TEXTS + number);
            statement.append(&log).await;
        }
    }
    let sealed = sealer.seal_now(Micros(MIDNIGHT)).await.unwrap();
    assert_eq!(sealed.seals, 1);
    drop((sealer, log));
    assert_intact(folder.path()).await;

    let objects = files(&folder.path().join("store/statements"));
    let mut rows = 0;
    for object in &objects {
        let object = Bytes::from(std::fs::read(object).unwrap());
        let whole = TEXT_BYTES * (ROUNDS * TEXTS) as usize;
        assert!(object.len() < whole / 10, "{} of {whole}", object.len());
        let reader = SerializedFileReader::new(object).unwrap();
        for group in reader.metadata().row_groups() {
            rows += group.num_rows() as u64;
            let texts = group.num_rows() as usize * TEXT_BYTES;
            assert!(texts < BATCH_BYTES_MAX + 2 * TEXT_BYTES, "{texts}");
        }
    }
    assert_eq!(rows, ROUNDS * TEXTS);
    let answer = crate::query::query(
        store(folder.path()),
        "SELECT sum(length(sql)) AS length FROM statements",
    );
    let batches = answer.await.unwrap().batches;
    let expected: usize = (0..TEXTS).map(|number| text(number).len()).sum();
    let expected = (expected * ROUNDS as usize).to_string();
    let found = arrow::util::pretty::pretty_format_batches(&batches).unwrap();
    assert!(found.to_string().contains(&expected), "{found}");
}

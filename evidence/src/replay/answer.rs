//! Recorded results as they are compared with: their rows, from the objects that sealed rows name. Must never give rows of an object
//! other than the one whose SHA-256 was logged, nor a result that lacks a part.

use object_store::ObjectStore;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ledger;
use crate::query::Tables;
use crate::results::{self, Described, Messages, object};
use crate::store;

/// Bytes of one result's messages that are read; a larger one is not compared.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A message's type byte and length.
const HEADER_BYTES: usize = 5;

/// A row's values as the client got them; NULL is `None`. A CopyData message is a row of one value.
pub type Row = Vec<Option<Vec<u8>>>;

/// A part of a recorded result: a row of `recordings` with event `answered`; names as there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answered {
    /// See there.
    pub statement_id: String,
    /// See there.
    pub result: Option<String>,
    /// See there.
    pub result_sha256: Option<String>,
    /// See there.
    pub part: Option<u64>,
    /// See there.
    pub parts: Option<u64>,
    /// See there.
    pub is_whole: Option<bool>,
}

/// A recorded result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its columns, where the server described them.
    pub described: Option<Vec<Described>>,
    /// Its rows, in order.
    pub rows: Vec<Row>,
    /// They are CopyData messages.
    pub is_copy: bool,
}

/// Why a recorded result can't be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReadable {
    /// Its end was not seen.
    #[error("the end of its result was not seen")]
    NotWhole,
    /// An object is not in the store, or not the one that was logged, or a row is missing.
    #[error("its recorded result is missing or changed: run `provost evidence verify`")]
    Changed,
    /// It is more than is read.
    #[error("its recorded result is larger than {} MiB", ANSWER_BYTES_MAX / 1024 / 1024)]
    TooLarge,
}

/// The parts of a session's recorded results.
///
/// # Errors
/// [`Error::Query`] when the rows can't be read.
pub async fn answered(tables: &Tables, session_id: &str) -> Result<Vec<Answered>, Error> {
    let session = session_id.replace('\'', "''");
    let sql = format!(
        "SELECT DISTINCT statement_id, result, result_sha256, part, parts, is_whole FROM recordings \
         WHERE event = 'answered' AND session_id = '{session}' ORDER BY statement_id, part"
    );
    super::rows(tables, &sql).await
}

/// The result whose parts these are, in order of their numbers.
///
/// # Errors
/// [`Error::Store`] when the store can't be read.
pub async fn answer(
    store: &dyn ObjectStore,
    parts: &[&Answered],
) -> Result<Result<Answer, NotReadable>, Error> {
    if parts.iter().any(|part| part.is_whole != Some(true)) {
        return Ok(Err(NotReadable::NotWhole));
    }
    let count = u64::try_from(parts.len()).unwrap_or(u64::MAX);
    let numbers_are_dense = parts
        .iter()
        .zip(0..)
        .all(|(part, number)| part.part == Some(number));
    if !numbers_are_dense || parts.iter().any(|part| part.parts != Some(count)) {
        return Ok(Err(NotReadable::Changed));
    }
    let mut whole = Answer::default();
    let mut bytes = 0;
    for part in parts {
        let (Some(key), Some(digest)) = (&part.result, &part.result_sha256) else {
            return Ok(Err(NotReadable::Changed));
        };
        let object = match key.starts_with(results::PREFIX) {
            true => store::read(store, key).await?,
            false => None,
        };
        let Some(object) = object.filter(|object| ledger::sha256(object) == *digest) else {
            return Ok(Err(NotReadable::Changed));
        };
        if let Err(why) = whole.add(object, &mut bytes) {
            return Ok(Err(why));
        }
    }
    Ok(Ok(whole))
}

impl Answer {
    fn add(&mut self, object: bytes::Bytes, bytes: &mut usize) -> Result<(), NotReadable> {
        let read = results::read(object).ok_or(NotReadable::Changed)?;
        self.is_copy = read.messages == Messages::Copy;
        let mut outcome = Ok(());
        let mut keep = |message: &[u8]| {
            if outcome.is_err() {
                return;
            }
            *bytes += message.len();
            let body = message.get(HEADER_BYTES..).unwrap_or_default();
            match (read.messages, object::values(body)) {
                _ if *bytes > ANSWER_BYTES_MAX => outcome = Err(NotReadable::TooLarge),
                (Messages::Copy, _) => self.rows.push(vec![Some(body.to_vec())]),
                (Messages::Rows, None) => outcome = Err(NotReadable::Changed),
                (Messages::Rows, Some(values)) => {
                    let own = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
                    self.rows.push(values.into_iter().map(own).collect());
                }
            }
        };
        read.each(&mut keep).ok_or(NotReadable::Changed)?;
        self.described = read.described;
        outcome
    }
}

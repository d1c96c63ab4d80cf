//! The canonical form of a row: what a leaf hash is computed over. Rebuilt from a Parquet row and the secret in its
//! object's manifest. Must never depend on how Parquet laid the row out.
//!
//! `nonce (16 bytes) | JSON`. The JSON is one object, no white space: `dataset` first, then every column in schema order,
//! nulls included; integers in decimal, times as integer microseconds, texts with JSON's shortest escapes (`\"`, `\\`,
//! `\b \t \n \f \r`, other control characters as `\u00xx` in lower case, everything else raw UTF-8): exactly what
//! Python's `json.dumps(row, ensure_ascii=False, separators=(",", ":"))` gives.
//! `nonce = HMAC-SHA256(object secret, "provost nonce v1" | log_index as u64 big-endian)`, its first 16 bytes.
//!
//! Since version 5, a row of `statements` has the members of its decision (`sql` to `facts_digest`, `observed_verdict` to `approval_id`) not among its
//! own: its last member is `decision`, the SHA-256 in hex of an object that has them, in schema order. Rows that were decided alike share it.
//!
//! A column may be a dictionary, of texts or of lists: it reads as if each row had its value. Values of a dictionary are rendered once,
//! and neighbouring columns that share their keys are rendered as one: that is what makes a row cheap. Sealing and verification run this
//! same code, one over what it writes, the other over what it reads.

mod decision;
mod values;

use arrow::array::{Array as _, AsArray as _, DictionaryArray, Int32Array, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use tlog_tiles::tlog::Hash;

use crate::dataset::Dataset;
use decision::Decision;
pub(crate) use values::are_same;
use values::{Plain, place, write_text};

/// Bytes of nonce in each record.
pub(crate) const NONCE_BYTES: usize = 16;
/// What a leaf's hash begins with.
///
/// # Source
/// RFC 6962, section 2.1: leaf = SHA-256(0x00 | record).
const LEAF_PREFIX: u8 = 0;

/// The leaf hashes of a batch of this schema version, in row order. `None` when a column is of no type of ours.
pub(crate) fn leaves(
    (dataset, version): (Dataset, i64),
    batch: &RecordBatch,
    secret: &[u8; 32],
) -> Option<Vec<Hash>> {
    let indices = batch
        .column_by_name("log_index")?
        .as_primitive_opt::<Int64Type>()?;
    let mut rows = Rows::new(dataset, version, batch)?;
    let keyed = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    let mut record = Vec::new();
    (0..batch.num_rows())
        .map(|row| {
            record.clear();
            record.push(LEAF_PREFIX);
            let index = u64::try_from(indices.value(row)).ok()?;
            record.extend_from_slice(&nonce(&keyed, index)?);
            rows.write_json(row, &mut record);
            Some(Hash(Sha256::digest(&record).into()))
        })
        .collect()
}

/// One row's nonce and JSON, and the JSON that its member `decision` is the digest of, where it has one. `None` when a column is of no
/// type of ours or there is no such row.
pub(crate) fn record(
    (dataset, version): (Dataset, i64),
    batch: &RecordBatch,
    secret: &[u8; 32],
    row: usize,
) -> Option<Record> {
    let indices = batch
        .column_by_name("log_index")?
        .as_primitive_opt::<Int64Type>()?;
    let index = u64::try_from(*indices.values().get(row)?).ok()?;
    let keyed = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    let mut hashed = nonce(&keyed, index)?.to_vec();
    let mut rows = Rows::new(dataset, version, batch)?;
    rows.write_json(row, &mut hashed);
    let decision = (!rows.decision.is_empty()).then(|| {
        let mut json = Vec::new();
        rows.decision.write_json(row, &mut json);
        json
    });
    Some(Record { hashed, decision })
}

/// A row in its canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Nonce and JSON: what the leaf's hash is computed over.
    pub(crate) hashed: Vec<u8>,
    /// What the member `decision` is the digest of.
    pub(crate) decision: Option<Vec<u8>>,
}

fn nonce(keyed: &Hmac<Sha256>, log_index: u64) -> Option<[u8; NONCE_BYTES]> {
    let mut mac = keyed.clone();
    mac.update(b"provost nonce v1");
    mac.update(&log_index.to_be_bytes());
    mac.finalize()
        .into_bytes()
        .first_chunk::<NONCE_BYTES>()
        .copied()
}

/// A batch, ready to be rendered row by row.
struct Rows<'a> {
    /// What differs from row to row, each with what stands before it in all rows.
    pieces: Vec<(Vec<u8>, Piece<'a>)>,
    /// What stands behind the last piece in all rows.
    ending: Vec<u8>,
    /// What all of the row's decision is: nothing in datasets and versions without its digest.
    decision: Decision<'a>,
}

/// One column, or neighbouring ones that have their keys in common.
enum Piece<'a> {
    Keyed(Keyed<'a>),
    Plain(Plain<'a>),
}

/// Dictionaries that share their keys.
struct Keyed<'a> {
    keys: &'a Int32Array,
    /// Names as `,"name":`, and values.
    columns: Vec<(Vec<u8>, Plain<'a>)>,
    /// Where in `bytes` the columns are rendered for a key, from place 1 on, and for no key, at place 0. Nothing is rendered as nothing,
    /// so an empty range is one not rendered yet.
    rendered: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl<'a> Rows<'a> {
    fn new(dataset: Dataset, version: i64, batch: &'a RecordBatch) -> Option<Self> {
        let mut fixed = b"{\"dataset\":".to_vec();
        write_text(dataset.name(), &mut fixed);
        let mut pieces: Vec<(Vec<u8>, Piece<'a>)> = Vec::new();
        let mut decision = Decision::default();
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let mut name = vec![b','];
            write_text(field.name(), &mut name);
            name.push(b':');
            if decision::is_part(dataset, version, field.name()) {
                decision.take(name.split_off(1), column)?;
                continue;
            }
            let dictionary = column.as_dictionary_opt::<Int32Type>();
            let values = Plain::new(dictionary.map_or(column, DictionaryArray::values))?;
            match (dictionary, pieces.last_mut()) {
                (Some(dictionary), Some((_, Piece::Keyed(keyed))))
                    if fixed.is_empty() && keyed.has_keys_of(dictionary) =>
                {
                    keyed.columns.push((name, values));
                }
                (Some(dictionary), _) => match the_only_key(dictionary) {
                    Some(key) => {
                        fixed.append(&mut name);
                        values.write_or_null(key, &mut fixed);
                    }
                    None => {
                        let keyed = Keyed::new(dictionary, name, values);
                        pieces.push((std::mem::take(&mut fixed), Piece::Keyed(keyed)));
                    }
                },
                (None, _) => {
                    fixed.append(&mut name);
                    match column.null_count() == column.len() {
                        true => values.write_or_null(None, &mut fixed),
                        false => pieces.push((std::mem::take(&mut fixed), Piece::Plain(values))),
                    }
                }
            }
        }
        if !decision.is_empty() {
            fixed.extend_from_slice(b",\"decision\":\"");
        }
        Some(Self {
            pieces,
            ending: fixed,
            decision,
        })
    }

    fn write_json(&mut self, row: usize, out: &mut Vec<u8>) {
        for (before, piece) in &mut self.pieces {
            out.extend_from_slice(before);
            match piece {
                Piece::Keyed(keyed) => keyed.write(row, out),
                Piece::Plain(column) => column.write(row, out),
            }
        }
        out.extend_from_slice(&self.ending);
        if !self.decision.is_empty() {
            self.decision.write_digest(row, out);
            out.push(b'"');
        }
        out.push(b'}');
    }
}

/// The key that every row has, where it is seen at once that they have the same: the only one that there is, or none.
fn the_only_key(dictionary: &DictionaryArray<Int32Type>) -> Option<Option<usize>> {
    let keys = dictionary.keys();
    match keys.null_count() {
        0 if dictionary.values().len() == 1 => Some(Some(0)),
        nulls if nulls == keys.len() => Some(None),
        _ => None,
    }
}

impl<'a> Keyed<'a> {
    fn new(dictionary: &'a DictionaryArray<Int32Type>, name: Vec<u8>, values: Plain<'a>) -> Self {
        Self {
            keys: dictionary.keys(),
            rendered: vec![(0, 0); dictionary.values().len() + 1],
            columns: vec![(name, values)],
            bytes: Vec::new(),
        }
    }

    /// Whether the dictionary has these very keys, and as many values.
    fn has_keys_of(&self, other: &DictionaryArray<Int32Type>) -> bool {
        are_same(self.keys, other.keys()) && self.rendered.len() == other.values().len() + 1
    }

    fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        let key = (!self.keys.is_null(row)).then(|| place(self.keys.value(row)));
        let slot = key.map_or(0, |key| key + 1);
        let mut range = self.rendered.get(slot).copied().unwrap_or_default();
        if range.0 == range.1 {
            range = self.render(key);
            if let Some(rendered) = self.rendered.get_mut(slot) {
                *rendered = range;
            }
        }
        out.extend_from_slice(self.bytes.get(range.0..range.1).unwrap_or_default());
    }

    fn render(&mut self, key: Option<usize>) -> (usize, usize) {
        let start = self.bytes.len();
        for (name, values) in &self.columns {
            self.bytes.extend_from_slice(name);
            values.write_or_null(key, &mut self.bytes);
        }
        (start, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::datatypes::{Field, Schema};
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{Cell, SCHEMA_VERSION};

    fn json(dataset: Dataset, batch: &RecordBatch, row: usize) -> String {
        let mut out = Vec::new();
        Rows::new(dataset, SCHEMA_VERSION, batch)
            .unwrap()
            .write_json(row, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_form_is_the_documented_one() {
        let rows = [vec![
            Cell::text("g"),
            Cell::Integer(7),
            Cell::Integer(1),
            Cell::Time(-5),
            Cell::text("\"quoted\" \\ \u{8}\u{c}\n\r\t\u{1}\u{7f}é\u{2028}😀"),
            Cell::text("what"),
            Cell::Null,
            Cell::Null,
            Cell::Null,
        ]];
        let batch = Dataset::Changes.batch(&rows).unwrap();
        let expected = "{\"dataset\":\"changes\",\"gateway\":\"g\",\"log_index\":7,\"schema_version\":1,\"at\":-5,\"actor\":\"\\\"quoted\\\" \\\\ \\b\\f\\n\\r\\t\\u0001\u{7f}é\u{2028}😀\",\"what\":\"what\",\"before\":null,\"after\":null,\"digest\":null}";
        assert_eq!(json(Dataset::Changes, &batch, 0), expected);
        // Computed by Python's hmac, hashlib and json from the same row.
        expect![[r#"[CQdorIHRR0Gf/s3mlZE+hghgk9AsudNWPVp+32Vj2VM=]"#]].assert_eq(&format!(
            "{:?}",
            leaves((Dataset::Changes, 1), &batch, &[9; 32]).unwrap()
        ));
    }

    /// Texts and lists as a column of their own, and as dictionaries with the same keys and with others.
    fn check(texts: Vec<Option<String>>, lists: Vec<Option<Vec<String>>>, keys: &[Option<usize>]) {
        let mut items = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
        for list in &lists {
            items.append_option(list.as_ref().map(|list| list.iter().map(Some)));
        }
        let (texts, lists) = (
            Arc::new(StringArray::from(texts)) as ArrayRef,
            Arc::new(items.finish()) as ArrayRef,
        );
        let of = |length: usize| {
            let key = |key: &Option<usize>| key.map(|key| (key % length) as i32);
            keys.iter().map(key).collect::<Int32Array>()
        };
        let shared = of(texts.len().min(lists.len()));
        let dictionary = |keys: &Int32Array, values: &ArrayRef| {
            let array = DictionaryArray::<Int32Type>::new(keys.clone(), Arc::clone(values));
            Arc::new(array) as ArrayRef
        };
        let keyed = [
            dictionary(&shared, &texts),
            dictionary(&shared, &lists),
            dictionary(&of(texts.len()), &texts),
        ];
        let plain = keyed.each_ref().map(|array| {
            let array = array.as_dictionary::<Int32Type>();
            arrow::compute::take(array.values(), array.keys(), None).unwrap()
        });
        let batch = |columns: &[ArrayRef]| {
            let field = |column: &ArrayRef| Field::new("c", column.data_type().clone(), true);
            let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
            RecordBatch::try_new(Arc::new(schema), columns.to_vec()).unwrap()
        };
        let (keyed, plain) = (batch(&keyed), batch(&plain));
        for row in 0..keys.len() {
            assert_eq!(
                json(Dataset::Changes, &keyed, row),
                json(Dataset::Changes, &plain, row)
            );
        }
    }

    proptest! {
        #[test]
        fn dictionaries_read_as_their_values(
            texts in proptest::collection::vec(proptest::option::of(".{0,4}"), 1..6),
            lists in proptest::collection::vec(proptest::option::of(proptest::collection::vec(".{0,4}", 0..3)), 1..6),
            keys in proptest::collection::vec(proptest::option::of(0..100_usize), 1..20),
        ) {
            check(texts, lists, &keys);
        }

        #[test]
        fn texts_are_escaped_as_json_is(text: String) {
            let mut out = Vec::new();
            write_text(&text, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}

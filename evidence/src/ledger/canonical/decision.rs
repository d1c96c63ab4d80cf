//! What many statements' rows have in common, as one digest: since version 5 a row of `statements` has the SHA-256 of these columns' JSON in their
//! place, which is computed once for all rows of a batch that have the same. Must never take two rows for the same that differ.

use std::collections::HashMap;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int32Array, ListArray};
use arrow::datatypes::Int32Type;
use foldhash::fast::RandomState;
use sha2::{Digest as _, Sha256};

use super::values::{Items, Plain, are_same, items_of, place};
use crate::dataset::Dataset;
use crate::hex::HexDigest;

/// The first version whose rows have the digest.
const SINCE: i64 = 5;
/// The columns that the digest stands for.
const COLUMNS: [&str; 16] = [
    "sql",
    "sql_digest",
    "fingerprint",
    "kind",
    "relations",
    "columns",
    "verdict",
    "rules",
    "reason",
    "controls",
    "bundle_digest",
    "facts_digest",
    "observed_verdict",
    "observed_rules",
    "probes",
    "approval_id",
];
/// In a row's identity: nothing is there. Keys are never negative, and no list is so long.
const NOTHING: u32 = u32::MAX;

/// Whether a column is one that the digest stands for.
pub(super) fn is_part(dataset: Dataset, version: i64, column: &str) -> bool {
    dataset == Dataset::Statements && version >= SINCE && COLUMNS.contains(&column)
}

/// The columns of a batch.
#[derive(Default)]
pub(super) struct Decision<'a> {
    /// Names as `"name":`, and columns.
    columns: Vec<(Vec<u8>, Member<'a>)>,
    /// What a row's values are told by; `None` where a column has each row's value by itself.
    identities: Option<Vec<Identity<'a>>>,
    digests: HashMap<Box<[u32]>, HexDigest, RandomState>,
    identity: Vec<u32>,
    json: Vec<u8>,
}

/// Values, and which of them a row has.
enum Member<'a> {
    Keyed(&'a Int32Array, Plain<'a>),
    Plain(Plain<'a>),
}

/// Rows of which this is the same have the same values.
enum Identity<'a> {
    Keys(&'a Int32Array),
    Lists(&'a ListArray, &'a Int32Array),
}

impl<'a> Decision<'a> {
    /// Takes the next column. `None` when it is of no type of ours.
    pub(super) fn take(&mut self, name: Vec<u8>, column: &'a ArrayRef) -> Option<()> {
        let mut identities = match self.columns.is_empty() {
            true => Some(Vec::new()),
            false => self.identities.take(),
        };
        let member = match column.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => Member::Keyed(dictionary.keys(), Plain::new(dictionary.values())?),
            None => Member::Plain(Plain::new(column)?),
        };
        let identity = match &member {
            Member::Keyed(keys, _) => Some(Identity::Keys(keys)),
            Member::Plain(Plain::Lists(lists, Items::Keyed(keys, _))) => {
                Some(Identity::Lists(lists, keys))
            }
            Member::Plain(_) => None,
        };
        match (&mut identities, identity) {
            (Some(known), Some(identity)) => {
                if !known.iter().any(|one| one.is_of_same_keys(&identity)) {
                    known.push(identity);
                }
            }
            _ => identities = None,
        }
        self.identities = identities;
        self.columns.push((name, member));
        Some(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Appends the digest of a row's columns.
    pub(super) fn write_digest(&mut self, row: usize, out: &mut Vec<u8>) {
        let Some(identities) = &self.identities else {
            let digest = self.digest(row);
            out.extend_from_slice(digest.as_bytes());
            return;
        };
        self.identity.clear();
        for identity in identities {
            identity.write(row, &mut self.identity);
        }
        if let Some(digest) = self.digests.get(self.identity.as_slice()) {
            out.extend_from_slice(digest.as_bytes());
            return;
        }
        let digest = self.digest(row);
        out.extend_from_slice(digest.as_bytes());
        self.digests.insert(self.identity.as_slice().into(), digest);
    }

    fn digest(&mut self, row: usize) -> HexDigest {
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        self.write_json(row, &mut json);
        let digest: [u8; 32] = Sha256::digest(&json).into();
        self.json = json;
        HexDigest::from(digest)
    }

    /// Appends what the digest is of.
    pub(super) fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        for (place, (name, member)) in self.columns.iter().enumerate() {
            out.push(if place == 0 { b'{' } else { b',' });
            out.extend_from_slice(name);
            member.write(row, out);
        }
        out.push(b'}');
    }
}

impl Member<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Keyed(keys, _) if keys.is_null(row) => out.extend_from_slice(b"null"),
            Self::Keyed(keys, values) => values.write(place(keys.value(row)), out),
            Self::Plain(values) => values.write(row, out),
        }
    }
}

impl Identity<'_> {
    fn is_of_same_keys(&self, other: &Identity<'_>) -> bool {
        match (self, other) {
            (Identity::Keys(one), Identity::Keys(other)) => are_same(one, other),
            _ => false,
        }
    }

    /// Appends a row's. Each is as long as its first number says, or one number: two rows' are equal only if each part is.
    fn write(&self, row: usize, out: &mut Vec<u32>) {
        let key = |keys: &Int32Array, at: usize| match keys.is_null(at) {
            true => NOTHING,
            false => keys.value(at).cast_unsigned(),
        };
        match self {
            Self::Keys(keys) => out.push(key(keys, row)),
            Self::Lists(lists, _) if lists.is_null(row) => out.push(NOTHING),
            Self::Lists(lists, keys) => {
                let items = items_of(lists, row);
                out.push(u32::try_from(items.len()).unwrap_or(NOTHING));
                out.extend(items.map(|at| key(keys, at)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, ListBuilder, StringArray, StringBuilder};
    use arrow::compute::{cast, take};
    use arrow::datatypes::{DataType, Field};
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    fn decision<'a>(columns: &'a [(&str, ArrayRef)]) -> Decision<'a> {
        let mut decision = Decision::default();
        for (name, column) in columns {
            let name = format!("\"{name}\":").into_bytes();
            decision.take(name, column).unwrap();
        }
        decision
    }

    fn digests(columns: &[(&str, ArrayRef)]) -> Vec<String> {
        let mut decision = decision(columns);
        let digest = |row| {
            let mut out = Vec::new();
            decision.write_digest(row, &mut out);
            String::from_utf8(out).unwrap()
        };
        (0..columns[0].1.len()).map(digest).collect()
    }

    fn lists(of: &[Option<Vec<&str>>]) -> ArrayRef {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for list in of {
            builder.append_option(list.as_ref().map(|list| list.iter().map(Some)));
        }
        Arc::new(builder.finish())
    }

    fn keyed(keys: Int32Array, values: ArrayRef) -> ArrayRef {
        Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
    }

    #[test]
    fn the_digest_is_the_documented_one() {
        let columns = [
            (
                "sql",
                Arc::new(StringArray::from(vec!["SELECT \"é\""])) as ArrayRef,
            ),
            ("relations", lists(&[Some(vec!["public.a", "b"])])),
            ("reason", Arc::new(StringArray::from(vec![None::<&str>]))),
        ];
        let mut json = Vec::new();
        decision(&columns).write_json(0, &mut json);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"sql":"SELECT \"é\"","relations":["public.a","b"],"reason":null}"#
        );
        // Computed by Python's hashlib from the same text.
        expect!["abdac8bf504b9b3c8e00db8404c3109290f82bcaf98c811574c2c2ce80077d28"]
            .assert_eq(&digests(&columns)[0]);
    }

    const WORDS: [&str; 4] = ["a", "", "b,", "é"];

    proptest! {
        /// However a column keeps its values, and whichever of them are kept by the same keys, equal rows have the digest of their own JSON, and no others.
        #[test]
        fn each_row_has_the_digest_of_its_own_values(
            rows in proptest::collection::vec((proptest::option::of(0..4_usize), proptest::option::of(proptest::collection::vec(0..4_usize, 0..3))), 1..40),
        ) {
            let texts: ArrayRef = Arc::new(rows.iter().map(|(text, _)| text.map(|at| WORDS[at])).collect::<StringArray>());
            let words: Vec<_> = rows.iter().map(|(_, list)| Some(list.as_ref()?.iter().map(|at| WORDS[*at]).collect())).collect();
            let lists = lists(&words);
            let plain = [("t", Arc::clone(&texts)), ("u", Arc::clone(&texts)), ("l", Arc::clone(&lists))];
            let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let list = DataType::List(Arc::new(Field::new("item", text.clone(), true)));
            let each = [
                ("t", cast(&texts, &text).unwrap()),
                ("u", cast(&texts, &text).unwrap()),
                ("l", cast(&lists, &list).unwrap()),
            ];
            let keys: Int32Array = (0..rows.len() as i32).map(|row| Some((row * 7 + 3) % rows.len() as i32)).collect();
            let shared = [
                ("t", keyed(keys.clone(), Arc::clone(&texts))),
                ("u", keyed(keys.clone(), Arc::clone(&texts))),
                ("l", keyed(keys.clone(), Arc::clone(&lists))),
            ];
            let expected = digests(&plain);
            prop_assert_eq!(&digests(&each), &expected);
            let moved = plain.each_ref().map(|(name, column)| (*name, take(column, &keys, None).unwrap()));
            prop_assert_eq!(digests(&shared), digests(&moved));
            for (one, digest) in rows.iter().zip(&expected) {
                for (other, others) in rows.iter().zip(&expected) {
                    prop_assert_eq!(one == other, digest == others);
                }
            }
        }
    }
}

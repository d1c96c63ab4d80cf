//! Two answers that must be equal, where each server numbers by itself what scripts make. It must never take two objects of the
//! schema for one.

use std::collections::BTreeMap;

use crate::wire::Answer;

/// Oids of made objects that stand for each other, for the length of a script.
pub(crate) struct Numbers {
    /// The schema's own objects have no greater oid: they are compared as they are.
    schema_oid_max: u32,
    left_to_right: BTreeMap<u32, u32>,
    right_to_left: BTreeMap<u32, u32>,
}

impl Numbers {
    pub(crate) const fn new(schema_oid_max: u32) -> Self {
        Self {
            schema_oid_max,
            left_to_right: BTreeMap::new(),
            right_to_left: BTreeMap::new(),
        }
    }

    /// Whether the answers are the same to the last byte, but for such numbers where descriptions have oids.
    pub(crate) fn agree(&mut self, left: &Answer, right: &Answer) -> bool {
        let mut pairs = left.messages.iter().zip(&right.messages);
        left.messages.len() == right.messages.len()
            && pairs.all(|((tag, left), (right_tag, right))| {
                tag == right_tag && self.bodies_agree(*tag, left, right)
            })
    }

    fn bodies_agree(&mut self, tag: u8, left: &[u8], right: &[u8]) -> bool {
        let places = oid_places(tag, left);
        if left.len() != right.len() || places != oid_places(tag, right) {
            return false;
        }
        let (mut left_rest, mut right_rest) = (left.to_vec(), right.to_vec());
        let same = places.into_iter().all(|place| {
            let oid = |body: &[u8]| u32::from_be_bytes(*body[place..].first_chunk().unwrap());
            let same = self.same(oid(left), oid(right));
            left_rest[place..place + 4].fill(0);
            right_rest[place..place + 4].fill(0);
            same
        });
        same && left_rest == right_rest
    }

    /// Whether one stands for the other; from now on it does, if it could.
    fn same(&mut self, left: u32, right: u32) -> bool {
        if left <= self.schema_oid_max || right <= self.schema_oid_max {
            return left == right;
        }
        *self.left_to_right.entry(left).or_insert(right) == right
            && *self.right_to_left.entry(right).or_insert(left) == left
    }
}

/// Where oids stand: of tables and types in RowDescription, of types in ParameterDescription.
fn oid_places(tag: u8, body: &[u8]) -> Vec<usize> {
    match tag {
        b'T' => {
            let mut places = Vec::new();
            let mut start = 2;
            while let Some(length) = body[start..].iter().position(|byte| *byte == 0) {
                let table = start + length + 1;
                places.extend([table, table + 6]);
                start = table + 18;
            }
            places
        }
        b't' => (2..body.len()).step_by(4).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn made_objects_may_have_other_numbers_and_nothing_else_may_differ() {
    let description = |columns: &[(&str, u32, u32)]| {
        let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
        for (name, table, kind) in columns {
            body.extend(format!("{name}\0").as_bytes());
            body.extend(table.to_be_bytes());
            body.extend([0, 1]);
            body.extend(kind.to_be_bytes());
            body.extend([0; 8]);
        }
        Answer {
            bytes: body.clone(),
            messages: vec![(b'T', body)],
        }
    };
    let row = |byte: u8| Answer {
        bytes: vec![byte],
        messages: vec![(b'D', vec![0, 1, 0, 0, 0, 1, byte])],
    };
    let mut numbers = Numbers::new(20_000);
    let mut check = |left: &Answer, right: &Answer, expected: bool| {
        assert_eq!(numbers.agree(left, right), expected, "{left:?} {right:?}");
    };
    let made = |table| description(&[("a", table, 25), ("b", table, 30_000)]);
    check(&made(20_001), &made(20_007), true);
    check(&made(20_001), &made(20_008), false);
    check(&made(20_002), &made(20_007), false);
    check(&made(20_003), &made(20_009), true);
    // An object of the schema stands for itself alone.
    check(&made(16_400), &made(16_401), false);
    check(&made(16_400), &made(20_010), false);
    check(&made(16_400), &made(16_400), true);
    check(
        &description(&[("a", 20_001, 25)]),
        &description(&[("a", 20_007, 23)]),
        false,
    );
    check(
        &description(&[("a", 20_001, 25)]),
        &description(&[("b", 20_007, 25)]),
        false,
    );
    check(&row(b'x'), &row(b'y'), false);
}

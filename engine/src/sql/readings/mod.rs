//! What texts were read as, so that a text which differs from one of them in nothing but constants need not be read again: the tree is
//! kept, and its constants are set. Facts are made anew of every text, for a constant may be what matters (`LIMIT`, `set_config`,
//! `::regclass`).
//!
//! Must never give a tree that the grammar would not give. Why it does not:
//!
//! - A [`Skeleton`] is a plain text with the digits of its numbers and the characters of its strings blanked, length by length. To
//!   PostgreSQL's lexer two texts of one skeleton are the same tokens in the same places, but for those values: it carries no more
//!   from token to token than which kind of quotes or comment it is in, and plain texts have quotes that are what they look like.
//! - The grammar looks at kinds of tokens. Where an action of it looks at a value (`float(24)`, a minus before a number), what comes of it is
//!   no constant at the token's place with the token's value, and the text is not kept ([`Readings::keep`] finds each constant in the tree).
//! - A text is kept only if the grammar, and the witness, read another one of its skeleton, every constant changed, as the kept tree with
//!   those constants says.
//!
//! `engine/src/sql/readings/tests.rs` tries it on every text that there is in the tests.

mod constants;
mod skeleton;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, ops::Range};

use foldhash::quality::RandomState;
use pg_query::protobuf::{AConst, ParseResult, Token, a_const::Val};

use self::{
    constants::Visitor,
    skeleton::{Constant, Kind, Skeleton},
};
use super::{
    authority,
    witness::{self, Testimony},
};
use crate::recent::{Seen, oldest_quarter};

/// Readings that are kept; at the limit the quarter least recently used makes room.
const READINGS_MAX: usize = 256;

/// Tokens of a text with their bytes.
pub(super) type Tokens = Vec<(Range<usize>, Token)>;

/// What texts were read as. One thread's: as many as there are threads that read.
#[derive(Debug, Default)]
pub struct Readings {
    kept: HashMap<Box<[u8]>, Kept, RandomState>,
    /// Skeletons that came once.
    seen: Seen,
    clock: u64,
}

/// A reading, with the constants of the text that it was last for.
#[derive(Debug)]
struct Kept {
    reading: Reading,
    used: u64,
}

/// How a text was read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) tree: ParseResult,
    pub(super) tokens: Tokens,
    /// What the witness says of it.
    pub(super) testimony: Testimony,
}

/// A text that may be one of many alike.
#[derive(Debug)]
pub(super) struct Likeness(Option<Skeleton>);

impl Likeness {
    pub(super) fn of(text: &str) -> Self {
        Self(Skeleton::of(text))
    }
}

impl Readings {
    /// How a text of this likeness is read, if one was read before.
    pub(super) fn find(&mut self, text: &str, likeness: &Likeness) -> Option<&Reading> {
        let skeleton = likeness.0.as_ref()?;
        self.clock += 1;
        // Looked up twice where it is found: a borrow that is returned can't be given up to take it out.
        let kept = self.kept.get_mut(&skeleton.bytes)?;
        if !set(&mut kept.reading.tree, text, &skeleton.constants) {
            self.kept.remove(&skeleton.bytes);
            return None;
        }
        kept.used = self.clock;
        self.kept.get(&skeleton.bytes).map(|kept| &kept.reading)
    }

    /// Keeps how a text was read, if it is the second of its likeness, and others are read as it says.
    pub(super) fn keep(
        &mut self,
        text: &str,
        likeness: Likeness,
        tree: ParseResult,
        tokens: Tokens,
    ) {
        let Some(skeleton) = likeness.0 else {
            return;
        };
        if !self.was_seen(&skeleton) {
            return;
        }
        let Some(reading) = verified(text, &skeleton.constants, tree, tokens) else {
            return;
        };
        if self.kept.len() >= READINGS_MAX {
            self.make_room();
        }
        let used = self.clock;
        self.kept.insert(skeleton.bytes, Kept { reading, used });
    }

    /// Whether a text of this skeleton was seen lately; from now on one was.
    fn was_seen(&mut self, skeleton: &Skeleton) -> bool {
        use std::hash::BuildHasher as _;
        self.seen.came(self.kept.hasher().hash_one(&skeleton.bytes))
    }

    fn make_room(&mut self) {
        let times = self.kept.values().map(|kept| kept.used);
        if let Some(last) = oldest_quarter(times) {
            self.kept.retain(|_, kept| kept.used > last);
        }
    }
}

/// The reading of a text, if a text with other constants is read as its tree with those constants.
fn verified(
    text: &str,
    constants: &[Constant],
    mut tree: ParseResult,
    tokens: Tokens,
) -> Option<Reading> {
    let other = changed(text, constants)?;
    let before = tree.clone();
    let is_same = set(&mut tree, &other, constants)
        && authority::parse(&other).is_ok_and(|parsed| parsed == tree)
        && authority::tokens(&other).is_some_and(|found| found == tokens);
    if !is_same || !set(&mut tree, text, constants) || tree != before {
        return None;
    }
    let testimony = witness::testimony(text);
    (witness::testimony(&other) == testimony).then_some(Reading {
        tree,
        tokens,
        testimony,
    })
}

/// The text with every character of every constant another one.
fn changed(text: &str, constants: &[Constant]) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    for constant in constants {
        for byte in bytes.get_mut(constant.span.clone())? {
            let (one, other) = match constant.kind {
                Kind::Number => (b'1', b'2'),
                Kind::String => (b'x', b'y'),
            };
            *byte = if *byte == one { other } else { one };
        }
    }
    String::from_utf8(bytes).ok()
}

/// Gives a tree the constants of a text; whether every one of them has its place in it.
fn set(tree: &mut ParseResult, text: &str, constants: &[Constant]) -> bool {
    let mut setting = Setting {
        text,
        constants,
        is_set: vec![false; constants.len()],
    };
    constants::visit(tree, &mut setting);
    setting.is_set.iter().all(|is_set| *is_set)
}

struct Setting<'t> {
    text: &'t str,
    constants: &'t [Constant],
    is_set: Vec<bool>,
}

impl Setting<'_> {
    /// The constant whose token, or whose minus, is at this place, by its number; and whether it is the minus.
    fn find(&self, location: i32) -> Option<(usize, bool)> {
        let location = usize::try_from(location).ok()?;
        let begins = |constant: &Constant| match constant.kind {
            Kind::Number => constant.span.start,
            // Its quote.
            Kind::String => constant.span.start.saturating_sub(1),
        };
        let next = self
            .constants
            .partition_point(|constant| begins(constant) < location);
        let constant = self.constants.get(next)?;
        let between = self.text.get(location..begins(constant))?;
        match between.strip_prefix('-') {
            None => between.is_empty().then_some((next, false)),
            Some(spaces) => {
                let is_next = spaces.bytes().all(|byte| byte.is_ascii_whitespace());
                is_next.then_some((next, true))
            }
        }
    }

    /// What the constant of this number is in the text.
    fn value(&self, number: usize, is_negative: bool) -> Option<Value<'_>> {
        let constant = self.constants.get(number)?;
        let written = self.text.get(constant.span.clone())?;
        match (constant.kind, is_negative) {
            (Kind::Number, false) => written.parse().ok().map(Value::Number),
            (Kind::Number, true) => written
                .parse::<i32>()
                .ok()
                .map(|number| Value::Number(-number)),
            (Kind::String, false) => Some(Value::String(written)),
            (Kind::String, true) => None,
        }
    }
}

enum Value<'t> {
    Number(i32),
    String(&'t str),
}

impl Visitor for Setting<'_> {
    fn constant(&mut self, constant: &mut AConst) {
        let Some((number, is_negative)) = self.find(constant.location) else {
            return;
        };
        let is_set = match (constant.val.as_mut(), self.value(number, is_negative)) {
            (Some(Val::Ival(integer)), Some(Value::Number(value))) => {
                integer.ival = value;
                true
            }
            (Some(Val::Sval(string)), Some(Value::String(value))) => {
                string.sval.clear();
                string.sval.push_str(value);
                true
            }
            _ => false,
        };
        if let Some(place) = self.is_set.get_mut(number) {
            *place |= is_set;
        }
    }
}

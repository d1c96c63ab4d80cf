//! What texts were read as, so that a text which differs from one of them in nothing but constants need not be read again: the tree is
//! kept, and its constants are set. Facts are made anew of it, for a constant may be what matters (`LIMIT`, `set_config`,
//! `::regclass`); where none that differs does, what was found is kept, too ([`template`]).
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
mod template;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashMap, ops::Range};

use foldhash::quality::RandomState;
use pg_query::protobuf::{AConst, ParseResult, Token, a_const::Val};

use self::{
    constants::Visitor,
    skeleton::{Constant, Kind, Skeleton},
    template::{Ground, Template},
};
use super::{
    Context, Found, Statement, analyse_read, authority,
    equality::Literal,
    patience::Patience,
    witness::{self, Testimony},
};
use crate::recent::{Seen, oldest_quarter};

/// Readings that are kept; at the limit the quarter least recently used makes room.
const READINGS_MAX: usize = 256;
/// Templates of one likeness: on several grounds, or of texts whose other constants differ.
const TEMPLATES_MAX: usize = 4;
/// How much of templates a thread keeps in all: some megabytes.
const TEMPLATE_PARTS_MAX: usize = 32_768;
/// How many texts are read before a template that none of them used makes room.
const TEMPLATE_IDLE_MAX: u64 = 1_024;

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
    templates: Vec<(Template, u64)>,
    /// Texts that no template was for, since the last one was made.
    missed: u32,
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
    /// What is found in a text, if what was found in one of its likeness says it.
    pub(super) fn found(
        &mut self,
        text: &str,
        likeness: &Likeness,
        context: &Context<'_>,
    ) -> Option<Vec<Statement>> {
        let skeleton = likeness.0.as_ref()?;
        let kept = self.kept.get_mut(&skeleton.bytes)?;
        let written = skeleton.written(text);
        let (statements, used) = kept.templates.iter_mut().find_map(|(template, used)| {
            let is_its_ground = template.ground.is_of(context);
            let statements = is_its_ground.then(|| template.found_in(&written))?;
            Some((statements?, used))
        })?;
        self.clock += 1;
        (*used, kept.used) = (self.clock, self.clock);
        Some(statements)
    }

    /// Keeps what was found in a text that was read like another one, if it tells what is found in others.
    pub(super) fn learn(
        &mut self,
        text: &str,
        likeness: &Likeness,
        context: &Context<'_>,
        found: &Found,
        work_max: usize,
    ) {
        let Some(skeleton) = likeness.0.as_ref() else {
            return;
        };
        let (clock, written) = (self.clock, skeleton.written(text));
        let Some(kept) = self.kept.get_mut(&skeleton.bytes) else {
            return;
        };
        kept.missed = kept.missed.saturating_add(1);
        let is_known = |(template, _): &(Template, u64)| {
            template.ground.is_of(context) && template.is_for(&written)
        };
        // What can't be kept of one text may be kept of another: it is tried ever more seldom.
        if !kept.missed.is_power_of_two() || kept.templates.iter().any(is_known) {
            return;
        }
        let is_used = |(_, used): &(Template, u64)| clock.saturating_sub(*used) < TEMPLATE_IDLE_MAX;
        if kept.templates.len() >= TEMPLATES_MAX {
            kept.templates.retain(is_used);
        }
        if kept.templates.len() >= TEMPLATES_MAX {
            return;
        }
        let Some(template) = kept.reading.template(&written, context, found, work_max) else {
            return;
        };
        kept.missed = 0;
        if self.template_parts() + template.parts > TEMPLATE_PARTS_MAX {
            for kept in self.kept.values_mut() {
                kept.templates.retain(is_used);
            }
        }
        if self.template_parts() + template.parts <= TEMPLATE_PARTS_MAX
            && let Some(kept) = self.kept.get_mut(&skeleton.bytes)
        {
            kept.templates.push((template, clock));
        }
    }

    /// How much of templates is kept.
    fn template_parts(&self) -> usize {
        let templates = self.kept.values().flat_map(|kept| &kept.templates);
        templates.map(|(template, _)| template.parts).sum()
    }

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
        let kept = Kept {
            reading,
            templates: Vec::new(),
            missed: 0,
            used,
        };
        self.kept.insert(skeleton.bytes, kept);
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

impl Reading {
    /// The template of what was found in a text, if it says what is found in another one, whose carried constants are like nothing else.
    fn template(
        &mut self,
        written: &Written<'_>,
        context: &Context<'_>,
        found: &Found,
        work_max: usize,
    ) -> Option<Template> {
        if found.rests_on_values || !found.statements.iter().all(is_alone) {
            return None;
        }
        let ground = Ground::of(context)?;
        let template = Template::of(ground, written, &self.tree, &found.statements)?;
        let other = template.probe(written, &found.statements)?;
        if !set(&mut self.tree, &other, written.constants) {
            return None;
        }
        let testimony = || Cow::Borrowed(&self.testimony);
        let read = (&self.tree, &self.tokens);
        let mut patience = Patience::Left(work_max);
        let anew = analyse_read(&other, read, testimony, context, &mut patience).ok()?;
        let other = Written {
            text: &other,
            ..*written
        };
        (template.found_in(&other)? == anew.statements && !anew.rests_on_values).then_some(template)
    }
}

/// Whether a statement leaves nothing behind and rests on nothing that its session has given names to.
fn is_alone(statement: &Statement) -> bool {
    statement.binding.is_none()
        && statement.states.is_none()
        && statement.copy.is_none()
        && statement.rests_on.is_empty()
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
        written: Written { text, constants },
        is_set: vec![false; constants.len()],
    };
    constants::visit(tree, &mut setting);
    setting.is_set.iter().all(|is_set| *is_set)
}

/// A text and its constants.
#[derive(Debug, Clone, Copy)]
struct Written<'t> {
    text: &'t str,
    constants: &'t [Constant],
}

/// A constant of a text, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbered {
    number: usize,
    /// Whether it stands behind a minus that is its own.
    is_negative: bool,
}

impl Skeleton {
    fn written<'t>(&'t self, text: &'t str) -> Written<'t> {
        let constants = &self.constants;
        Written { text, constants }
    }
}

impl<'t> Written<'t> {
    /// The constant whose token, or whose minus, is at this place.
    fn find(&self, location: i32) -> Option<Numbered> {
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
            None => between.is_empty().then_some(Numbered {
                number: next,
                is_negative: false,
            }),
            Some(spaces) => {
                let is_next = spaces.bytes().all(|byte| byte.is_ascii_whitespace());
                is_next.then_some(Numbered {
                    number: next,
                    is_negative: true,
                })
            }
        }
    }

    /// What the constant of this number is.
    fn literal(&self, number: usize, is_negative: bool) -> Option<Literal<'t>> {
        let constant = self.constants.get(number)?;
        let written = self.text.get(constant.span.clone())?;
        match (constant.kind, is_negative) {
            (Kind::Number, false) => written.parse().ok().map(Literal::Number),
            (Kind::Number, true) => written
                .parse::<i32>()
                .ok()
                .map(|number| Literal::Number(-number)),
            (Kind::String, false) => Some(Literal::String(written)),
            (Kind::String, true) => None,
        }
    }
}

/// Gives constants to a tree.
struct Setting<'t> {
    written: Written<'t>,
    is_set: Vec<bool>,
}

impl Visitor for Setting<'_> {
    fn constant(&mut self, constant: &mut AConst) {
        let Some(found) = self.written.find(constant.location) else {
            return;
        };
        let Numbered {
            number,
            is_negative,
        } = found;
        let literal = self.written.literal(number, is_negative);
        let is_set = match (constant.val.as_mut(), literal) {
            (Some(Val::Ival(integer)), Some(Literal::Number(value))) => {
                integer.ival = value;
                true
            }
            (Some(Val::Sval(string)), Some(Literal::String(value))) => {
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

//! What analysis found in a text, for others that differ from it in nothing but constants which it only carried: facts say
//! such a constant as what a column equals, or not at all.
//!
//! Must never give facts that analysis would not give. Why it does not:
//!
//! - Only those constants may be others that stand where analysis looks at their kind and length alone ([`carried_in`]): in comparisons
//!   and computations of WHERE, of SET and of rows of VALUES, outside of calls, casts and subqueries. A likeness keeps kinds and lengths.
//!   All others must be byte for byte as they were.
//! - What carries a constant on is the book's equalities. A text for which analysis asked them has no template.
//! - An equality is taken for a carried constant's where it has its value. It may be another one's that only happened to be the same: of
//!   a cast, a subquery, a view. So a template is kept only if analysis of another text finds what the template says of it, in
//!   which each carried constant is one that nothing else equals ([`Template::probe`]): there, what is another's stays what it was.
//! - A constant is put into an equality by what analysis does it with, and a string fits the same types as the one that was there.
//!   Where two equalities would be one, the text is analysed.

use std::{collections::HashSet, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{AConst, AExprKind, Node, ParseResult, SelectStmt},
};

use super::{Numbered, Written, skeleton::Kind};
use crate::{
    facts::{CatalogVersion, Column, Constant, Equality},
    sql::{
        Context, Statement, Temporary, Witness,
        equality::{Fits, Literal},
    },
};

/// Most accesses, columns, outputs and equalities of statements that a template is kept of: it is copied for each text.
const PARTS_MAX: usize = 1_024;

/// What a text was analysed against.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ground {
    outline: [u8; 32],
    version: CatalogVersion,
    search_path: Box<[Arc<str>]>,
    witness: Witness,
    temporary: Temporary,
}

impl Ground {
    /// That of a context; `None`: there is more to it, or nothing tells its catalog from others.
    pub(super) fn of(context: &Context<'_>) -> Option<Self> {
        let is_told = *context.catalog.outline() != [0; 32];
        (is_told && is_plain(context)).then(|| Self {
            outline: *context.catalog.outline(),
            version: context.catalog.version(),
            search_path: context.search_path.into(),
            witness: context.witness,
            temporary: context.names.temporary,
        })
    }

    /// Whether it is this context's.
    pub(super) fn is_of(&self, context: &Context<'_>) -> bool {
        self.version == context.catalog.version()
            && self.outline == *context.catalog.outline()
            && *self.search_path == *context.search_path
            && self.witness == context.witness
            && self.temporary == context.names.temporary
            && is_plain(context)
    }
}

/// Whether neither names of the session nor types of parameters have a say.
fn is_plain(context: &Context<'_>) -> bool {
    let names = context.names;
    context.parameter_types.is_empty() && names.prepared.is_empty() && names.cursors.is_empty()
}

/// What was found, but for the constants.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) ground: Ground,
    /// The text that it was found in.
    text: Box<str>,
    /// By number, what a constant fits that may be another one; `None`: it may not.
    fits: Vec<Option<Fits>>,
    /// What was found, without the equalities of `places`.
    statements: Vec<Statement>,
    places: Vec<Place>,
    /// How much there is of it.
    pub(super) parts: usize,
}

/// An equality with a carried constant.
#[derive(Debug)]
struct Place {
    statement: usize,
    access: usize,
    column: Arc<Column>,
    constant: Numbered,
}

impl Template {
    /// Of a text, its tree, and what was found in it; `None` where no constant of it is carried, where it can't be told which
    /// of them an equality is with, and where there is too much to copy.
    pub(super) fn of(
        ground: Ground,
        written: &Written<'_>,
        tree: &ParseResult,
        statements: &[Statement],
    ) -> Option<Self> {
        let carried = carried_in(tree, written);
        let parts: usize = statements.iter().map(parts).sum();
        if carried.is_empty() || parts > PARTS_MAX {
            return None;
        }
        let mut fits = vec![None; written.constants.len()];
        for constant in &carried {
            *fits.get_mut(constant.number)? = Some(constant.literal(written)?.fits());
        }
        let mut statements = statements.to_vec();
        let places = take_places(&mut statements, written, &carried)?;
        Some(Self {
            ground,
            text: written.text.into(),
            fits,
            statements,
            places,
            parts,
        })
    }

    /// A text of the same likeness in which each carried constant fits what it did, and is what no other carried one is, and nothing in
    /// what was `found`; `None` where they are too short for that. What is `found` has all that other constants are equal to: nothing
    /// takes an equality back (`Book::equals`).
    pub(super) fn probe(&self, written: &Written<'_>, found: &[Statement]) -> Option<String> {
        let accesses = found.iter().flat_map(|statement| &statement.facts.accesses);
        let equalities = accesses.flat_map(|access| &access.equalities);
        let mut taken: HashSet<Constant> =
            equalities.map(|equality| equality.value.clone()).collect();
        let mut text = written.text.to_owned();
        for (number, fits) in self.fits.iter().enumerate() {
            let Some(fits) = fits else { continue };
            let constant = written.constants.get(number)?;
            let span = constant.span.clone();
            let was = written.text.get(span.clone())?;
            let mut others = (0..PROBES_MAX).map_while(|nth| nth_like(was, *fits, nth));
            let (other, values) = others.find_map(|other| {
                let literal = match constant.kind {
                    Kind::Number => Literal::Number(other.parse().ok()?),
                    Kind::String => Literal::String(&other),
                };
                let values = values_of_either_sign(literal);
                let is_free = values.iter().all(|value| !taken.contains(value));
                (is_free && literal.fits() == *fits).then_some((other, values))
            })?;
            taken.extend(values);
            text.replace_range(span, &other);
        }
        Some(text)
    }

    /// Whether a text's other constants are those of the template's text, and the carried ones fit what they did.
    pub(super) fn is_for(&self, written: &Written<'_>) -> bool {
        let mut numbered = written.constants.iter().zip(&self.fits).enumerate();
        numbered.all(|(number, (constant, fits))| match fits {
            Some(fits) => {
                let literal = written.literal(number, false);
                literal.is_some_and(|literal| literal.fits() == *fits)
            }
            None => {
                let span = constant.span.clone();
                written.text.get(span.clone()) == self.text.get(span)
            }
        })
    }

    /// What is found in a text of the same likeness; `None`: that is not known.
    pub(super) fn found_in(&self, written: &Written<'_>) -> Option<Vec<Statement>> {
        if !self.is_for(written) {
            return None;
        }
        let mut statements = self.statements.clone();
        for place in &self.places {
            let facts = &mut statements.get_mut(place.statement)?.facts;
            let equalities = &mut facts.accesses.get_mut(place.access)?.equalities;
            let equality = Equality {
                column: Arc::clone(&place.column),
                value: place.constant.value(written, &place.column)?,
            };
            if !equalities.insert(equality) {
                return None;
            }
        }
        Some(statements)
    }
}

impl Numbered {
    fn literal<'t>(self, written: &Written<'t>) -> Option<Literal<'t>> {
        written.literal(self.number, self.is_negative)
    }

    /// What a column equals that is compared with it.
    fn value(self, written: &Written<'_>, column: &Column) -> Option<Constant> {
        self.literal(written)?.of_type(column.type_oid)
    }
}

/// Everything that a column may equal which is compared with a literal, behind a minus or not.
fn values_of_either_sign(literal: Literal<'_>) -> Vec<Constant> {
    let negative = match literal {
        Literal::Number(number) => Some(Literal::Number(-number)),
        Literal::String(_) => None,
    };
    let literals = std::iter::once(literal).chain(negative);
    literals.flat_map(Literal::values).collect()
}

/// How many constants are tried until one is free.
const PROBES_MAX: usize = 1_000;

/// The `nth` text as long as this one that fits the same; `None` where there are not so many.
fn nth_like(text: &str, fits: Fits, nth: usize) -> Option<String> {
    let (base, is_kept): (usize, fn(u8) -> bool) = match fits {
        Fits { uuid: true, .. } => (16, |byte| byte == b'-'),
        Fits { integer: true, .. } => (10, |byte| !byte.is_ascii_digit()),
        // No digits, and no letters of uuids.
        Fits { .. } => (20, |_| false),
    };
    let first = if base == 20 { b'g' } else { b'0' };
    let mut left = nth;
    let mut bytes = text.as_bytes().to_vec();
    for byte in bytes.iter_mut().rev().filter(|byte| !is_kept(**byte)) {
        let digit = u8::try_from(left % base).ok()?;
        *byte = if base == 16 && digit > 9 {
            b'a' + digit - 10
        } else {
            first + digit
        };
        left /= base;
    }
    (left == 0).then(|| String::from_utf8(bytes).ok())?
}

/// How much of a statement there is to copy.
fn parts(statement: &Statement) -> usize {
    let accesses = statement.facts.accesses.iter();
    let equalities = accesses.map(|access| access.equalities.len());
    1 + statement.facts.parts() + equalities.sum::<usize>() + statement.literals.len()
}

/// Takes the equalities with carried constants out of facts. `None`: one may be with any of several constants.
fn take_places(
    statements: &mut [Statement],
    written: &Written<'_>,
    carried: &[Numbered],
) -> Option<Vec<Place>> {
    let mut places = Vec::new();
    let values = carried.iter().map(|constant| {
        let values = constant.literal(written)?.values().collect::<Vec<_>>();
        Some((*constant, values))
    });
    let values: Vec<(Numbered, Vec<Constant>)> = values.collect::<Option<_>>()?;
    for (index, statement) in statements.iter_mut().enumerate() {
        for (at, access) in statement.facts.accesses.iter_mut().enumerate() {
            let (mut found, mut is_told) = (Vec::new(), true);
            access.equalities.retain(|equality| {
                let is_it = |(one, values): &&(Numbered, Vec<Constant>)| {
                    let column = &equality.column;
                    values.contains(&equality.value)
                        && one.value(written, column).as_ref() == Some(&equality.value)
                };
                let mut fitting = values.iter().filter(is_it).map(|(constant, _)| constant);
                let (first, second) = (fitting.next(), fitting.next());
                is_told &= second.is_none();
                found.extend(first.map(|constant| Place {
                    statement: index,
                    access: at,
                    column: Arc::clone(&equality.column),
                    constant: *constant,
                }));
                first.is_none()
            });
            if !is_told {
                return None;
            }
            places.append(&mut found);
        }
    }
    Some(places)
}

/// The constants of queries that stand where nothing but their kind and length is looked at.
fn carried_in(tree: &ParseResult, written: &Written<'_>) -> Vec<Numbered> {
    let mut walk = Walk {
        written,
        found: Vec::new(),
    };
    for statement in &tree.stmts {
        if let Some(node) = statement.stmt.as_ref().and_then(|node| node.node.as_ref()) {
            walk.statement(node);
        }
    }
    walk.found
}

struct Walk<'t> {
    written: &'t Written<'t>,
    found: Vec<Numbered>,
}

impl Walk<'_> {
    fn statement(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::SelectStmt(query) => self.select(query),
            NodeEnum::InsertStmt(insertion) => {
                let source = insertion.select_stmt.as_deref();
                if let Some(Some(NodeEnum::SelectStmt(query))) = source.map(|node| &node.node) {
                    self.select(query);
                }
            }
            NodeEnum::UpdateStmt(change) => {
                for target in &change.target_list {
                    if let Some(NodeEnum::ResTarget(target)) = &target.node {
                        self.operand(target.val.as_deref());
                    }
                }
                self.condition(change.where_clause.as_deref());
            }
            NodeEnum::DeleteStmt(deletion) => self.condition(deletion.where_clause.as_deref()),
            _ => {}
        }
    }

    fn select(&mut self, query: &SelectStmt) {
        self.condition(query.where_clause.as_deref());
        for row in &query.values_lists {
            self.operand(Some(row));
        }
        for side in [&query.larg, &query.rarg].into_iter().flatten() {
            self.select(side);
        }
    }

    /// A constant that is a condition by itself is not carried.
    fn condition(&mut self, node: Option<&Node>) {
        match node.and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::BoolExpr(operation)) => {
                for part in &operation.args {
                    self.condition(Some(part));
                }
            }
            Some(NodeEnum::AExpr(operation)) => match operation.kind() {
                AExprKind::AexprOp
                | AExprKind::AexprIn
                | AExprKind::AexprBetween
                | AExprKind::AexprNotBetween => {
                    self.operand(operation.lexpr.as_deref());
                    self.operand(operation.rexpr.as_deref());
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn operand(&mut self, node: Option<&Node>) {
        match node.and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::AConst(constant)) => self.constant(constant),
            Some(NodeEnum::List(list)) => {
                for item in &list.items {
                    self.operand(Some(item));
                }
            }
            _ => self.condition(node),
        }
    }

    fn constant(&mut self, constant: &AConst) {
        self.found.extend(self.written.find(constant.location));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_as_long_and_fit_the_same() {
        for (text, nth, expected) in [
            ("*", 1, Some("h")),
            ("*", 19, Some("z")),
            ("*", 20, None),
            ("Ann", 21, Some("ghh")),
            ("-007", 12, Some("-012")),
            ("5", 10, None),
            (
                "AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA",
                0x1f,
                Some("00000000-0000-0000-0000-00000000001f"),
            ),
        ] {
            let fits = Literal::String(text).fits();
            let other = nth_like(text, fits, nth);
            assert_eq!(other.as_deref(), expected, "{text}");
            if let Some(other) = other {
                assert_eq!(Literal::String(&other).fits(), fits, "{other}");
            }
        }
    }
}

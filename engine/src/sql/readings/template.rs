//! What analysis found in a text, for others that differ from it in nothing but constants which it only carried: facts say
//! such a constant as what a column equals, or not at all.
//!
//! Must never give facts that analysis would not give. Why it does not:
//!
//! - Only those constants may be others that stand where analysis looks at their kind and length alone ([`carried`]): in comparisons
//!   and computations of WHERE, of SET and of rows of VALUES, outside of calls, casts and subqueries. A likeness keeps kinds and lengths.
//!   All others must be byte for byte as they were.
//! - What carries a constant on is the book's equalities. A text for which analysis asked them has no template.
//! - Each equality is made of the constant by what analysis makes it of, and a string fits the same types as the one that was there.
//!   Where two would be one, the text is analysed.
//! - A template is kept only if analysis of another text, every carried constant changed, finds what the template says of it.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{AConst, AExprKind, Node, ParseResult, SelectStmt},
};

use super::{Written, skeleton::Constant};
use crate::{
    facts::{CatalogVersion, Column, Constant as Value, Equality},
    sql::{Context, Statement, Temporary, Witness},
};

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
    /// That of a context; `None`: there is more to it.
    pub(super) fn of(context: &Context<'_>) -> Option<Self> {
        is_plain(context).then(|| Self {
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
    /// By number, what a constant fits that may be another one ([`Literal::fits`]); `None`: it may not.
    fits: Vec<Option<[bool; 3]>>,
    /// What was found, without the equalities of `places`.
    statements: Vec<Statement>,
    places: Vec<Place>,
}

/// An equality with a carried constant.
#[derive(Debug)]
struct Place {
    statement: usize,
    access: usize,
    column: Arc<Column>,
    constant: Carried,
}

/// A carried constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Carried {
    number: usize,
    is_negative: bool,
}

impl Template {
    /// Of a text, its tree, and what was found in it; `None` where no constant of it is carried, or where it can't be told which
    /// of them an equality is with.
    pub(super) fn of(
        ground: Ground,
        written: &Written<'_>,
        tree: &ParseResult,
        mut statements: Vec<Statement>,
    ) -> Option<Self> {
        let carried = carried(tree, written);
        let places = take_places(&mut statements, written, &carried)?;
        let mut fits = vec![None; written.constants.len()];
        for constant in &carried {
            let literal = written.literal(constant.number, constant.is_negative)?;
            *fits.get_mut(constant.number)? = Some(literal.fits());
        }
        (!carried.is_empty()).then(|| Self {
            ground,
            text: written.text.into(),
            fits,
            statements,
            places,
        })
    }

    /// The constants that may be others.
    pub(super) fn carried<'c>(
        &'c self,
        constants: &'c [Constant],
    ) -> impl Iterator<Item = &'c Constant> {
        let numbered = constants.iter().zip(&self.fits);
        numbered.filter_map(|(constant, fits)| fits.map(|_| constant))
    }

    /// What is found in a text of the same likeness; `None`: that is not known.
    pub(super) fn found_in(&self, written: &Written<'_>) -> Option<Vec<Statement>> {
        let mut numbered = written.constants.iter().zip(&self.fits).enumerate();
        let is_alike = numbered.all(|(number, (constant, fits))| match fits {
            Some(fits) => {
                let literal = written.literal(number, false);
                literal.is_some_and(|literal| literal.fits() == *fits)
            }
            None => {
                let span = constant.span.clone();
                written.text.get(span.clone()) == self.text.get(span)
            }
        });
        if !is_alike {
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

impl Carried {
    fn value(self, written: &Written<'_>, column: &Column) -> Option<Value> {
        let literal = written.literal(self.number, self.is_negative)?;
        literal.of_type(column.type_oid)
    }
}

/// Takes the equalities with carried constants out of facts. `None`: one may be with any of several constants.
fn take_places(
    statements: &mut [Statement],
    written: &Written<'_>,
    carried: &[Carried],
) -> Option<Vec<Place>> {
    let mut places = Vec::new();
    for (index, statement) in statements.iter_mut().enumerate() {
        for (at, access) in statement.facts.accesses.iter_mut().enumerate() {
            let (mut found, mut is_told) = (Vec::new(), true);
            access.equalities.retain(|equality| {
                let is_it = |one: &&Carried| {
                    one.value(written, &equality.column).as_ref() == Some(&equality.value)
                };
                let mut fitting = carried.iter().filter(is_it);
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
fn carried(tree: &ParseResult, written: &Written<'_>) -> Vec<Carried> {
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
    found: Vec<Carried>,
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
        if let Some((number, is_negative)) = self.written.find(constant.location) {
            self.found.push(Carried {
                number,
                is_negative,
            });
        }
    }
}

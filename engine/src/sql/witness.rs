//! The second reader: sqlparser reads the same bytes, and where it can, it must see the same statements and relations.
//! It never adds to the facts; it only doubts them.

use std::{collections::BTreeSet, ops::ControlFlow};

use sqlparser::{
    ast::{ObjectName, Query, SetExpr, Statement, Visit, Visitor},
    dialect::PostgreSqlDialect,
    parser::Parser,
};

use super::caps::WITNESS_BYTES_MAX;
use crate::facts::{Kind, Object, Operation};

/// What the witness says of a text; `None`: it can't read it.
pub(super) type Testimony = Option<Vec<Seen>>;

/// What it saw of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// The kinds that it may be; `None`: no opinion of the statement.
    kinds: Option<&'static [Kind]>,
    names: Names,
}

/// Lets the witness read a text.
pub(super) fn testimony(text: &str) -> Testimony {
    if text.len() > WITNESS_BYTES_MAX {
        return None;
    }
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?;
    Some(statements.iter().map(Seen::of).collect())
}

impl Seen {
    fn of(statement: &Statement) -> Self {
        let kinds = kinds(statement);
        let mut names = Names::default();
        if kinds.is_some() {
            let _: ControlFlow<()> = statement.visit(&mut names);
        }
        Self { kinds, names }
    }
}

/// What the witness saw that the authority did not; `None`: it agrees, or it can't read the text.
///
/// `named` are the relations that each statement names itself, as the authority read them.
pub(super) fn disagreement(
    testimony: &Testimony,
    read: &[&crate::facts::Facts],
    named: &[BTreeSet<String>],
) -> Option<String> {
    let statements = testimony.as_ref()?;
    let ours: Vec<_> = read
        .iter()
        .filter(|facts| facts.kind != Kind::Empty)
        .collect();
    if statements.len() != ours.len() {
        return Some(format!("{} statements or {}", ours.len(), statements.len()));
    }
    let ours = ours.into_iter().zip(named);
    statements
        .iter()
        .zip(ours)
        .find_map(|(theirs, (ours, named))| differs(theirs, ours, named))
}

fn differs(theirs: &Seen, ours: &crate::facts::Facts, named: &BTreeSet<String>) -> Option<String> {
    if !theirs.kinds?.contains(&ours.kind) {
        return Some(format!("a {} statement or another kind", ours.kind.name()));
    }
    let names = &theirs.names;
    let seen: BTreeSet<&str> = ours
        .accesses
        .iter()
        .filter(|access| access.via.is_none() && access.operation != Operation::Maintain)
        .filter_map(|access| match &access.object {
            Object::Relation { name, .. } => Some(&**name),
            _ => None,
        })
        .collect();
    // The authority resolves names (common table expressions, aliases), so it may see fewer of the written ones than
    // the witness: those it calls common table expressions, aliases or functions are taken out by the witness's own reading.
    let missing = names
        .relations
        .iter()
        .find(|name| !names.hidden.contains(*name) && !seen.contains(name.as_str()));
    // The other way: what the authority reads, the witness must have met as a relation somewhere.
    let unmet = || {
        let checked = matches!(
            ours.kind,
            Kind::Select | Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge
        );
        named
            .iter()
            .find(|name| checked && !names.relations.contains(*name))
    };
    missing
        .or_else(unmet)
        .map(|name| format!("relation `{name}` read or not"))
}

/// The kinds that agree with what the witness calls the statement; `None`: no opinion.
fn kinds(statement: &Statement) -> Option<&'static [Kind]> {
    match statement {
        Statement::Query(_) => Some(&[
            Kind::Select,
            Kind::Ddl,
            Kind::Insert,
            Kind::Update,
            Kind::Delete,
            Kind::Merge,
        ]),
        Statement::Insert(_) => Some(&[Kind::Insert]),
        Statement::Update { .. } => Some(&[Kind::Update]),
        Statement::Delete(_) => Some(&[Kind::Delete]),
        Statement::Merge { .. } => Some(&[Kind::Merge]),
        _ => None,
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    relations: BTreeSet<String>,
    hidden: BTreeSet<String>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.hidden.insert(fold(&cte.alias.name));
        }
        // `TABLE t` is no relation to the witness's visitor.
        if let SetExpr::Table(table) = query.body.as_ref() {
            self.relations
                .extend(table.table_name.clone().map(|name| name.to_lowercase()));
            self.relations.extend(table.table_name.clone());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        if let Some(name) = relation.0.last().and_then(|part| part.as_ident()) {
            self.relations.insert(fold(name));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &sqlparser::ast::TableFactor) -> ControlFlow<()> {
        if let sqlparser::ast::TableFactor::Table {
            name, args, alias, ..
        } = factor
            && let Some(name) = name.0.last().and_then(|part| part.as_ident())
        {
            // A function in FROM is visited as a relation.
            if args.is_some() {
                self.hidden.insert(fold(name));
            }
            // `FROM ONLY t`: the witness reads a relation `only` called `t`.
            if name.quote_style.is_none()
                && name.value.eq_ignore_ascii_case("only")
                && let Some(alias) = alias
            {
                self.hidden.insert(fold(name));
                self.relations.insert(fold(&alias.name));
            }
        }
        ControlFlow::Continue(())
    }
}

fn fold(name: &sqlparser::ast::Ident) -> String {
    let mut folded = if name.quote_style.is_some() {
        name.value.clone()
    } else {
        name.value.to_lowercase()
    };
    // PostgreSQL cuts identifiers at 63 bytes.
    while folded.len() > 63 {
        folded.pop();
    }
    folded
}

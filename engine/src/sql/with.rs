//! WITH: common table expressions, recursive ones by a fixed point. Must never lose a source on the way round.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, SetOperation},
};

use super::{
    Refusal,
    book::Value,
    query::rename,
    resolver::{Resolver, strings},
    scope::{Cte, Field, Scope},
};
use crate::facts::Use;

/// The columns of a common table expression, what those that are not known are computed from, and what decides which rows
/// it has.
type Known = (Vec<Field>, Option<Value>, Value);

/// How the refusal of a name that is not known yet starts.
pub(super) const FORWARD: &str = "a forward reference";

fn known(cte: &pg::CommonTableExpr, (fields, open, control): Known) -> Cte {
    Cte {
        name: cte.ctename.as_str().into(),
        fields: Some(Arc::new(fields)),
        open,
        control,
    }
}

/// Most common table expressions of one list; more are refused.
const CTES_MAX: usize = 1000;

impl Resolver<'_> {
    /// The level that a WITH clause makes.
    pub(super) fn with<'s>(
        &mut self,
        with: Option<&pg::WithClause>,
        outer: &'s Scope<'s>,
    ) -> Result<Scope<'s>, Refusal> {
        let mut level = Scope::below(outer);
        let Some(with) = with else { return Ok(level) };
        self.seen.mark(with);
        let ctes = with.ctes.iter().map(|node| match &node.node {
            Some(NodeEnum::CommonTableExpr(cte)) => Ok(cte.as_ref()),
            _ => Err(Refusal::not_understood("this WITH")),
        });
        let ctes: Vec<&pg::CommonTableExpr> = ctes.collect::<Result<_, _>>()?;
        if ctes.len() > CTES_MAX {
            return Err(Refusal::new(
                "54000",
                format!("more than {CTES_MAX} common table expressions in one list"),
            ));
        }
        if with.recursive {
            self.recursive_list(&ctes, &mut level)?;
            return Ok(level);
        }
        for cte in ctes {
            let shape = self.cte(cte, &level)?;
            level.ctes.push(known(cte, shape));
        }
        Ok(level)
    }

    /// Every name of the list hides outer ones from the start, and may be used before its place in the list: the server
    /// sorts them by what they need. So each is tried until those that it needs are known.
    fn recursive_list(
        &mut self,
        ctes: &[&pg::CommonTableExpr],
        level: &mut Scope<'_>,
    ) -> Result<(), Refusal> {
        level.ctes.extend(ctes.iter().map(|cte| Cte {
            name: cte.ctename.as_str().into(),
            fields: None,
            open: None,
            control: Value::default(),
        }));
        let mut waiting = ctes.to_vec();
        while !waiting.is_empty() {
            let mut later = Vec::new();
            let mut obstacle = None;
            for cte in &waiting {
                let mark = self.book.mark();
                let (opaque, writes) = (self.book.opaque.clone(), self.book.writes.clone());
                match self.recursive_cte(cte, level) {
                    Ok(shape) => level.ctes.push(known(cte, shape)),
                    Err(refusal) if refusal.message.starts_with(FORWARD) => {
                        self.book.rewind(mark);
                        (self.book.opaque, self.book.writes) = (opaque, writes);
                        later.push(*cte);
                        obstacle = Some(refusal);
                    }
                    Err(refusal) => return Err(refusal),
                }
            }
            if let Some(refusal) = obstacle.filter(|_| later.len() == waiting.len()) {
                // They need each other, which the server refuses.
                return Err(refusal);
            }
            waiting = later;
        }
        Ok(())
    }

    fn cte(&mut self, cte: &pg::CommonTableExpr, level: &Scope<'_>) -> Result<Known, Refusal> {
        self.seen.mark(cte);
        let mut cycles = Vec::new();
        if let Some(search) = &cte.search_clause {
            self.since(14, "SEARCH")?;
            self.seen.mark(search);
        }
        if let Some(cycle) = cte.cycle_clause.as_deref() {
            self.since(14, "CYCLE")?;
            self.seen.mark(cycle);
            cycles = strings(&cycle.cycle_col_list)?;
            self.optional(cycle.cycle_mark_value.as_deref(), &Scope::default())?;
            self.optional(cycle.cycle_mark_default.as_deref(), &Scope::default())?;
        }
        let Some(query) = cte.ctequery.as_deref().and_then(|node| node.node.as_ref()) else {
            return Err(Refusal::not_understood("this WITH"));
        };
        self.book.uncounted |= !matches!(query, NodeEnum::SelectStmt(_));
        let rows = match query {
            NodeEnum::SelectStmt(select) => self.select(select, level)?,
            NodeEnum::InsertStmt(insert) => self.insert(insert, level)?,
            NodeEnum::UpdateStmt(update) => self.update(update, level)?,
            NodeEnum::DeleteStmt(delete) => self.delete(delete, level)?,
            NodeEnum::MergeStmt(merge) => self.merge(merge, level)?,
            _ => return Err(Refusal::not_understood("this statement in WITH").at(cte.location)),
        };
        let open = rows.unknown();
        let control = rows.control;
        let names = strings(&cte.aliascolnames)?;
        let mut fields = match &open {
            // Where columns start and end is not known: each name is computed from all of it.
            Some(everything) if !names.is_empty() => names
                .iter()
                .map(|name| Field {
                    name: (*name).into(),
                    value: everything.clone(),
                })
                .collect(),
            _ => rename(rows.fields, &names)?,
        };
        // Rows whose values came before end the recursion.
        for field in fields.iter().filter(|field| cycles.contains(&&*field.name)) {
            self.book.used(&field.value, Use::Filter);
        }
        let everything = fields.iter().fold(Value::default(), |mut all, field| {
            all.taint(&field.value);
            all
        });
        let extra = |name: &str| {
            (!name.is_empty()).then(|| Field {
                name: name.into(),
                value: everything.clone(),
            })
        };
        if let Some(search) = &cte.search_clause {
            fields.extend(extra(&search.search_seq_column));
        }
        if let Some(cycle) = cte.cycle_clause.as_deref() {
            fields.extend(extra(&cycle.cycle_mark_column));
            fields.extend(extra(&cycle.cycle_path_column));
        }
        Ok((fields, open, control))
    }

    /// A fixed point: what flows round the recursion is tried until nothing more flows.
    fn recursive_cte(
        &mut self,
        cte: &pg::CommonTableExpr,
        level: &mut Scope<'_>,
    ) -> Result<Known, Refusal> {
        let Some(Some(NodeEnum::SelectStmt(select))) =
            cte.ctequery.as_deref().map(|node| &node.node)
        else {
            return self.cte(cte, level);
        };
        let Some(left) = select
            .larg
            .as_deref()
            .filter(|_| select.op() == SetOperation::SetopUnion)
        else {
            return self.cte(cte, level);
        };
        let mark = self.book.mark();
        let (opaque, writes) = (self.book.opaque.clone(), self.book.writes.clone());
        let start = self
            .with(select.with_clause.as_ref(), level)
            .and_then(|inner| self.select(left, &inner));
        let start = match start {
            Ok(start) if start.open.is_none() => start,
            // The left arm may refer to the name itself only where the server refuses it.
            _ => {
                self.book.rewind(mark);
                self.book.opaque.clone_from(&opaque);
                self.book.writes.clone_from(&writes);
                return self.cte(cte, level);
            }
        };
        let mut fields = rename(start.fields, &strings(&cte.aliascolnames)?)?;
        // Each try adds a source to some column or ends; the sources are those of the book.
        let tries = fields.len().saturating_add(2);
        for _ in 0..tries {
            self.book.rewind(mark);
            self.book.opaque.clone_from(&opaque);
            self.book.writes.clone_from(&writes);
            for field in &mut fields {
                // The fields of a row are not followed round.
                field.value.described = None;
                field.value.row = None;
            }
            let own = Cte {
                name: cte.ctename.as_str().into(),
                fields: Some(Arc::new(fields.clone())),
                open: None,
                control: Value::default(),
            };
            let mut inner = Scope::below(level);
            inner.ctes.push(own);
            let (result, open, control) = self.cte(cte, &inner)?;
            if open.is_some() {
                return Ok((result, open, control));
            }
            let before: Vec<_> = fields
                .iter()
                .map(|field| field.value.sources.len())
                .collect();
            for (field, new) in fields.iter_mut().zip(&result) {
                field.value.add(&new.value);
            }
            if fields
                .iter()
                .map(|field| field.value.sources.len())
                .eq(before)
            {
                let mut fields = fields;
                fields.extend(result.into_iter().skip(tries.saturating_sub(2)));
                return Ok((fields, None, control));
            }
        }
        Err(Refusal::not_understood("this recursion").at(cte.location))
    }
}

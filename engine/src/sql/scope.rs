//! What names mean at a place in a statement: range items, common table expressions, and the levels around.
//! Follows PostgreSQL's own order of levels; a name that could mean two things is refused, never chosen.

use std::{ops::Range, sync::Arc};

use super::{Refusal, book::Value, extent::Extent};
use crate::{
    catalog::Relation,
    facts::{Column, How},
};

/// A column of a range item.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: Arc<str>,
    pub(super) value: Value,
}

/// The base relation behind an item, for its system columns and keys.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) relation: Arc<Relation>,
    pub(super) entry: usize,
    /// What tells which partition a row is in.
    pub(super) place: Value,
}

/// One thing in FROM.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The alias, or the relation's own name.
    pub(super) name: Option<Arc<str>>,
    /// The schema, for relations without alias: `schema.table.column` then works.
    pub(super) schema: Option<Arc<str>>,
    pub(super) fields: Arc<Vec<Field>>,
    pub(super) base: Option<Base>,
    /// Its columns answer to bare names.
    pub(super) bare: bool,
    /// Its name answers.
    pub(super) named: bool,
    /// The shape is not known: any name might be a column, computed from this.
    pub(super) open: Option<Value>,
    /// What decides which rows it has, beyond what its columns are computed from.
    pub(super) control: Value,
    /// The entries that the book got while it was read: what locking it locks.
    pub(super) entries: Range<usize>,
}

impl Item {
    pub(super) fn new(name: Option<Arc<str>>, fields: Vec<Field>) -> Self {
        Self {
            name,
            schema: None,
            fields: Arc::new(fields),
            base: None,
            bare: true,
            named: true,
            open: None,
            control: Value::default(),
            entries: 0..0,
        }
    }

    /// The value of a column, system columns of relations included.
    ///
    /// # Errors
    /// 42702 when two columns have the name.
    pub(super) fn field(&self, name: &str) -> Result<Option<Value>, Refusal> {
        let mut found = self.fields.iter().filter(|field| &*field.name == name);
        match (found.next(), found.next()) {
            (Some(field), None) => Ok(Some(field.value.clone())),
            (Some(_), Some(_)) => Err(Refusal::new(
                "42702",
                format!("column reference \"{name}\" is ambiguous"),
            )),
            (None, _) => Ok(self.system_column(name).or_else(|| self.open.clone())),
        }
    }

    fn system_column(&self, name: &str) -> Option<Value> {
        let base = self.base.as_ref()?;
        let (attribute, type_oid) = match name {
            "ctid" => (-1, 27),
            "xmin" => (-2, 28),
            "cmin" => (-3, 29),
            "xmax" => (-4, 28),
            "cmax" => (-5, 29),
            "tableoid" => (-6, 26),
            _ => return None,
        };
        let relation = &base.relation;
        let column = Arc::new(Column {
            relation_oid: relation.oid,
            attribute,
            schema: relation.schema.clone(),
            relation: relation.name.clone(),
            name: name.into(),
            type_oid,
            constrained: false,
        });
        let origin = super::book::Origin {
            column,
            how: How::Direct,
            entry: Some(base.entry),
        };
        let mut value = Value {
            sources: super::sources::Sources::one(origin),
            described: Some((relation.oid, attribute)),
            row: None,
            plain: true,
            extent: Extent::ONE,
            literal: false,
        };
        if name == "tableoid" {
            value.taint(&base.place);
        }
        Some(value)
    }

    /// The value of the whole row: computed from every column, each of which can be taken out again.
    pub(super) fn whole_row(&self) -> Value {
        let mut value = self.open.clone().unwrap_or_default();
        (value.plain, value.literal) = (false, false);
        value.extent = Extent::ONE;
        for field in self.fields.iter() {
            value.taint(&field.value);
            value.extent = value.extent.and(field.value.extent);
        }
        if self.open.is_none() {
            value.row = Some(self.fields.clone());
            // RowDescription shows the relation, and 0 for the column.
            value.described = self.base.as_ref().map(|base| (base.relation.oid, 0));
        }
        value
    }
}

/// A common table expression in scope.
#[derive(Debug, Clone)]
pub(super) struct Cte {
    pub(super) name: Arc<str>,
    /// `None`: its columns are not known yet, so a reference to it is refused.
    pub(super) fields: Option<Arc<Vec<Field>>>,
    /// What columns that are not known are computed from.
    pub(super) open: Option<Value>,
    /// What decides which rows it has.
    pub(super) control: Value,
}

/// One level of names.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope<'s> {
    pub(super) parent: Option<&'s Scope<'s>>,
    pub(super) items: Vec<Item>,
    pub(super) ctes: Vec<Cte>,
    /// Named windows, with what they are computed from.
    pub(super) windows: Vec<(Arc<str>, Value)>,
}

/// What a column reference means.
pub(super) enum Meaning<'s> {
    Column(Value),
    Row(&'s Item),
    /// `item.name` where the name is no column: PostgreSQL reads it as `name(item)`.
    Functional(&'s Item),
}

impl<'s> Scope<'s> {
    /// A level below `parent` with nothing in it yet.
    pub(super) fn below(parent: &'s Scope<'s>) -> Self {
        Self {
            parent: Some(parent),
            ..Self::default()
        }
    }

    /// The level of an item of FROM: LATERAL sees the items to its left.
    pub(super) fn lateral(parent: &'s Scope<'s>, left: &[Item]) -> Self {
        Self {
            items: left.to_vec(),
            ..Self::below(parent)
        }
    }

    fn levels(&'s self) -> impl Iterator<Item = &'s Scope<'s>> {
        std::iter::successors(Some(self), |scope| scope.parent)
    }

    /// The common table expression of this name, innermost first.
    pub(super) fn cte(&'s self, name: &str) -> Option<&'s Cte> {
        self.levels()
            .find_map(|scope| scope.ctes.iter().rev().find(|cte| &*cte.name == name))
    }

    /// What a named window of this level is computed from.
    pub(super) fn window(&self, name: &str) -> Option<&Value> {
        self.windows
            .iter()
            .find(|(window, _)| **window == *name)
            .map(|(_, value)| value)
    }

    /// What a bare name means.
    ///
    /// # Errors
    /// 42702 for an ambiguous name, 42703 for an unknown one.
    pub(super) fn bare(&'s self, name: &str) -> Result<Meaning<'s>, Refusal> {
        let mut open = None;
        for scope in self.levels() {
            let mut found: Option<Value> = None;
            for item in scope.items.iter().filter(|item| item.bare) {
                if let Some(value) = &item.open
                    && !item.fields.iter().any(|field| &*field.name == name)
                {
                    open.get_or_insert_with(Value::default).add(value);
                    continue;
                }
                if let Some(value) = item.field(name)?
                    && found.replace(value).is_some()
                {
                    return Err(Refusal::new(
                        "42702",
                        format!("column reference \"{name}\" is ambiguous"),
                    ));
                }
            }
            if let Some(mut value) = found {
                if let Some(open) = &open {
                    value.taint(open);
                    value.described = None;
                    (value.plain, value.literal) = (false, false);
                }
                return Ok(Meaning::Column(value));
            }
        }
        if let Some(mut open) = open {
            // A column of the item whose shape is not known, or the whole row of the item with this name.
            if let Some(item) = self.item(None, name)? {
                open.taint(&item.whole_row());
            }
            return Ok(Meaning::Column(open.derived()));
        }
        match self.item(None, name)? {
            Some(item) => Ok(Meaning::Row(item)),
            None => Err(Refusal::unknown(
                "42703",
                format!("column \"{name}\" does not exist"),
            )),
        }
    }

    /// What `item.name` means.
    ///
    /// # Errors
    /// 42P01 for an unknown item, 42P09 and 42702 for ambiguous names.
    pub(super) fn qualified(
        &'s self,
        schema: Option<&str>,
        item: &str,
        name: &str,
    ) -> Result<Meaning<'s>, Refusal> {
        let Some(found) = self.item(schema, item)? else {
            return Err(Refusal::unknown(
                "42P01",
                format!("missing FROM-clause entry for table \"{item}\""),
            ));
        };
        Ok(match found.field(name)? {
            Some(value) => Meaning::Column(value),
            None => Meaning::Functional(found),
        })
    }

    /// The range item of this name, innermost level first.
    ///
    /// # Errors
    /// 42P09 when two items of one level have it.
    pub(super) fn item(
        &'s self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<&'s Item>, Refusal> {
        for scope in self.levels() {
            let named = |item: &&Item| {
                item.named
                    && item.name.as_deref() == Some(name)
                    && schema.is_none_or(|schema| item.schema.as_deref() == Some(schema))
            };
            let mut found = scope.items.iter().filter(named);
            match (found.next(), found.next()) {
                (None, _) => {}
                (Some(item), None) => return Ok(Some(item)),
                (Some(_), Some(_)) => {
                    return Err(Refusal::new(
                        "42P09",
                        format!("table reference \"{name}\" is ambiguous"),
                    ));
                }
            }
        }
        Ok(None)
    }
}

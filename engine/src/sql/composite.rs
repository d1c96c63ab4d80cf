//! Rows as values: ROW(...), fields of composite types, and what `.field`, `[index]` and `.*` take out of a value.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node},
};

use super::{
    Refusal,
    book::{Origin, Value},
    resolver::{Resolver, strings},
    scope::{Field, Meaning, Scope},
};
use crate::{catalog::TypeKind, facts::How};

/// Deepest chain of domains over domains.
pub(super) const TYPE_DEPTH_MAX: usize = 32;

impl Resolver<'_> {
    /// `ROW(...)`: its fields are f1, f2 and so on; an item's `*` among them spreads.
    pub(super) fn row(&mut self, elements: &[Node], scope: &Scope<'_>) -> Result<Value, Refusal> {
        let mut value = Value::default();
        let mut fields = Vec::with_capacity(elements.len());
        for element in elements {
            let part = self.expression(element, scope)?;
            value.taint(&part);
            let spreads = matches!(&element.node, Some(NodeEnum::ColumnRef(column))
                if matches!(column.fields.last().map(|node| &node.node), Some(Some(NodeEnum::AStar(_)))));
            match &part.row {
                Some(inner) if spreads => {
                    fields.extend(inner.iter().map(|field| field.value.clone()));
                }
                _ => fields.push(part),
            }
        }
        let named = |(index, value): (usize, Value)| Field {
            name: format!("f{}", index.saturating_add(1)).into(),
            value,
        };
        value.row = Some(Arc::new(
            fields.into_iter().enumerate().map(named).collect(),
        ));
        Ok(value)
    }

    /// The fields of a value that is a row: those it was made of, or those of its type.
    pub(super) fn row_of(&self, value: &Value) -> Option<Arc<Vec<Field>>> {
        if let Some(row) = &value.row {
            return Some(row.clone());
        }
        let (relation, attribute) = value.described?;
        let relation = self.catalog.relation(relation)?;
        let column = relation
            .columns
            .iter()
            .find(|column| column.attribute == attribute)?;
        self.fields_of_type(column.type_oid, value)
    }

    /// What a column's value holds besides the column, where that is of a row's type: the columns of the row's relation or
    /// type, under whose names rules know them. They can be taken out again, but for those of an array's elements.
    pub(super) fn stored_row(
        &mut self,
        value: &mut Value,
        type_oid: u32,
        entry: usize,
    ) -> Result<(), Refusal> {
        let Some(user_type) = self.catalog.type_by_oid(type_oid).cloned() else {
            return Ok(());
        };
        match user_type.kind {
            TypeKind::Domain => {
                return self.nested(|one| one.stored_row(value, user_type.element, entry));
            }
            TypeKind::Array => {
                self.nested(|one| one.stored_row(value, user_type.element, entry))?;
                value.row = None;
                return Ok(());
            }
            TypeKind::Composite => {}
            TypeKind::Base
            | TypeKind::Enum
            | TypeKind::Pseudo
            | TypeKind::Range
            | TypeKind::Multirange => return Ok(()),
        }
        let Some(relation) = self.catalog.relation(user_type.relation).cloned() else {
            return Ok(());
        };
        // As with a table's columns: a class of a relative's column is one of this.
        let mut relatives = self.catalog.ancestors(relation.oid);
        relatives.extend(self.catalog.descendants(relation.oid));
        let whole = value.clone().derived();
        let mut fields = Vec::with_capacity(relation.columns.len());
        for column in &relation.columns {
            let same = relatives
                .iter()
                .filter_map(|relative| relative.column(&column.name));
            let mut part = Value {
                plain: self.is_plain_oid(column.type_oid),
                ..whole.clone()
            };
            for column in same.chain([column]) {
                part.sources.insert(Origin {
                    column: column.clone(),
                    how: How::Direct,
                    entry: Some(entry),
                });
            }
            self.nested(|one| one.stored_row(&mut part, column.type_oid, entry))?;
            self.work(part.sources.len())?;
            let is_own = |origin: &&Origin| {
                let mut known = whole.sources.iter();
                known.all(|other| other.column != origin.column)
            };
            for origin in part.sources.iter().filter(is_own) {
                value.sources.insert(Origin {
                    how: How::Derived,
                    ..origin.clone()
                });
            }
            fields.push(Field {
                name: column.name.clone(),
                value: part,
            });
        }
        value.row = Some(Arc::new(fields));
        Ok(())
    }

    /// The fields of a composite type, each computed from the value as a whole.
    pub(super) fn fields_of_type(&self, type_oid: u32, value: &Value) -> Option<Arc<Vec<Field>>> {
        let mut user_type = self.catalog.type_by_oid(type_oid)?;
        // A domain over a composite type.
        for _ in 0..TYPE_DEPTH_MAX {
            if user_type.kind != TypeKind::Domain {
                break;
            }
            user_type = self.catalog.type_by_oid(user_type.element)?;
        }
        if user_type.kind != TypeKind::Composite {
            return None;
        }
        let relation = self.catalog.relation(user_type.relation)?;
        let derived = value.clone().derived();
        let field = |column: &Arc<crate::facts::Column>| Field {
            name: column.name.clone(),
            value: Value {
                plain: self.is_plain_oid(column.type_oid),
                ..derived.clone()
            },
        };
        Some(Arc::new(relation.columns.iter().map(field).collect()))
    }

    /// The oid of a composite type that is named.
    pub(super) fn composite_named(&self, name: &pg::TypeName) -> Option<u32> {
        if !name.array_bounds.is_empty() || name.setof || name.pct_type {
            return None;
        }
        let names = strings(&name.names).ok()?;
        let (schema, base) = match names.as_slice() {
            [base] => (None, *base),
            [.., schema, base] => (Some(*schema), *base),
            [] => return None,
        };
        let types = self.catalog.types_named(base);
        let found = match schema {
            Some(schema) => types.iter().find(|found| *found.schema == *schema),
            None => self
                .path
                .iter()
                .find_map(|schema| types.iter().find(|found| found.schema == *schema)),
        };
        found.map(|found| found.oid)
    }

    pub(super) fn indirection(
        &mut self,
        indirection: &pg::AIndirection,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.seen.mark(indirection);
        let Some(argument) = indirection.arg.as_deref() else {
            return Err(Refusal::not_understood("this selection"));
        };
        // `(t).column` is the column itself.
        if let (Some(NodeEnum::ColumnRef(column)), [first]) =
            (&argument.node, indirection.indirection.as_slice())
            && let (Some(NodeEnum::String(field)), [only]) = (
                &first.node,
                strings(&column.fields).unwrap_or_default().as_slice(),
            )
            && let Meaning::Row(item) = scope
                .bare(only)
                .map_err(|refusal| refusal.at(column.location))?
        {
            self.seen.mark(column);
            return match item.field(&field.sval)? {
                Some(value) => Ok(value),
                None => self.functional(item, &field.sval),
            };
        }
        self.selected(indirection, scope)
    }

    /// The value that steps of selection lead to, a last `*` left out.
    pub(super) fn selected(
        &mut self,
        indirection: &pg::AIndirection,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.seen.mark(indirection);
        let mut value = self.optional(indirection.arg.as_deref(), scope)?;
        let steps = match indirection.indirection.split_last() {
            Some((last, steps)) if matches!(last.node, Some(NodeEnum::AStar(_))) => steps,
            _ => indirection.indirection.as_slice(),
        };
        for step in steps {
            match &step.node {
                Some(NodeEnum::String(name)) => {
                    value.row = self.row_of(&value);
                    if let Some(field) = value.field(&name.sval) {
                        value = field;
                        continue;
                    }
                    value = value.derived();
                    // A field, or a function in functional notation: `('/etc/passwd'::text).pg_read_file`.
                    if self.catalog.is_function(&name.sval) {
                        let given = self.functional_call(&name.sval, &value)?;
                        value.taint(&given);
                    }
                }
                Some(NodeEnum::AIndices(indices)) => {
                    self.seen.mark(indices.as_ref());
                    value = value.derived();
                    value.taint(&self.optional(indices.lidx.as_deref(), scope)?);
                    value.taint(&self.optional(indices.uidx.as_deref(), scope)?);
                    // An element that is not there is null.
                    self.book.computed(&value);
                }
                _ => return Err(Refusal::not_understood("this selection")),
            }
        }
        Ok(value)
    }
}

//! Names inside a body: arguments and variables as values, whatever their types. Must never let a name mean nothing that
//! could mean one of them.

use std::{collections::BTreeMap, sync::Arc};

use super::super::{
    authority,
    book::Value,
    functions::is_scalar,
    scope::{Cte, Field, Item, Scope},
};
use crate::catalog::Function;

/// A name of a body and everything that was ever assigned to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Variable {
    /// All of it.
    pub(super) value: Value,
    /// Fields of a row, where an assignment told them apart.
    pub(super) fields: BTreeMap<Arc<str>, Value>,
    /// Fields that are known to be all there are.
    pub(super) is_closed: bool,
}

impl Variable {
    pub(super) fn of(value: Value) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }

    /// Adds what is assigned; true if that is more than was known.
    pub(super) fn add(&mut self, value: &Value) -> bool {
        let before = self.value.sources.len();
        self.value.taint(value);
        self.value.sources.len() != before
    }

    /// Adds all of another; true if that is more than was known.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        let mut is_more = self.add(&other.value);
        self.value.plain &= other.value.plain;
        for (field, value) in &other.fields {
            is_more |= self.add_field(field, value);
        }
        is_more |= self.is_closed && !other.is_closed;
        self.is_closed &= other.is_closed;
        is_more
    }

    /// Adds what is assigned to a field.
    pub(super) fn add_field(&mut self, field: &str, value: &Value) -> bool {
        let known = self.fields.entry(field.into()).or_default();
        let before = known.sources.len();
        known.taint(value);
        let is_more = known.sources.len() != before;
        self.add(value) || is_more
    }
}

/// The scope of a body: every name, and qualified by `labels` (the function's own name, names of blocks) too; `tables` are a trigger's.
pub(super) fn scope(
    variables: &BTreeMap<Arc<str>, Variable>,
    labels: &[Arc<str>],
    tables: &[Cte],
) -> Scope<'static> {
    let fields: Vec<Field> = variables
        .iter()
        .map(|(name, variable)| Field {
            name: name.clone(),
            value: variable.value.clone(),
        })
        .collect();
    let mut items: Vec<Item> = variables
        .iter()
        .map(|(name, variable)| {
            let fields = variable.fields.iter().map(|(name, value)| Field {
                name: name.clone(),
                value: value.clone(),
            });
            Item {
                bare: false,
                open: (!variable.is_closed).then(|| variable.value.clone()),
                ..Item::new(Some(name.clone()), fields.collect())
            }
        })
        .collect();
    let labels = labels
        .iter()
        .filter(|label| !variables.contains_key(*label))
        .map(|label| Item {
            bare: false,
            ..Item::new(Some(label.clone()), fields.clone())
        });
    items.extend(labels);
    items.push(Item {
        named: false,
        ..Item::new(None, fields)
    });
    Scope {
        items,
        ctes: tables.to_vec(),
        ..Scope::default()
    }
}

/// The arguments that a caller passes, by name and by number.
pub(super) fn of_arguments(function: &Function, values: &[Value]) -> BTreeMap<Arc<str>, Variable> {
    let mut variables = BTreeMap::new();
    for (index, (argument, value)) in function.inputs().zip(values).enumerate() {
        // It is of the argument's type by now.
        let value = Value {
            plain: is_scalar(argument.type_oid),
            literal: false,
            ..value.clone()
        };
        variables.insert(numbered(index), Variable::of(value.clone()));
        if let Some(name) = argument.name.as_ref().filter(|name| !name.is_empty()) {
            variables.insert(name.clone(), Variable::of(value.clone()));
        }
    }
    variables
}

/// `$1` for the first argument.
pub(super) fn numbered(index: usize) -> Arc<str> {
    format!("${}", index.saturating_add(1)).into()
}

/// The text with each `$1` as the name `"$1"`, which the scope has.
pub(super) fn with_names_for_parameters(text: &str) -> Option<String> {
    let mut named = String::with_capacity(text.len());
    let mut done = 0;
    for (range, token) in authority::tokens(text)? {
        if token == pg_query::protobuf::Token::Param {
            named.push_str(text.get(done..range.start)?);
            named.push('"');
            named.push_str(text.get(range.clone())?);
            named.push('"');
            done = range.end;
        }
    }
    named.push_str(text.get(done..)?);
    Some(named)
}

//! What is put where: rows into variables, records and the routine's result.

use serde_json::Value as Json;

use super::{
    super::{
        super::{book::Value, query::Rows},
        plpgsql::as_variable,
        reading::{Datum, index, list, word},
    },
    Program,
};

impl Program<'_> {
    pub(super) fn give_rows(&mut self, rows: &Rows) {
        self.given_anywhere.taint(&rows.control);
        for (index, field) in rows.fields.iter().enumerate() {
            self.give(index, &field.value);
        }
    }

    pub(super) fn give(&mut self, index: usize, value: &Value) {
        while self.given.len() <= index {
            self.given.push(Value::default());
        }
        if let Some(given) = self.given.get_mut(index) {
            given.taint(value);
        }
    }

    pub(super) fn assign_target(&mut self, target: Option<&Json>, rows: &Rows) {
        let Some(target) = target else { return };
        if let Some(row) = target.get("PLpgSQL_row") {
            let places: Vec<usize> = row
                .get("fields")
                .into_iter()
                .flat_map(list)
                .map(|field| index(field, "varno"))
                .collect();
            self.assign_row(&places, rows);
        } else if let Some(one) = target
            .get("PLpgSQL_rec")
            .or_else(|| target.get("PLpgSQL_var"))
        {
            self.assign_name(word(one, "refname"), rows);
        }
    }

    pub(super) fn assign(&mut self, place: usize, rows: &Rows) {
        match self.datums.get(place) {
            Some(Datum::Variable { name, .. }) => {
                let name = name.clone();
                self.assign_name(&name, rows);
            }
            Some(Datum::Field { parent, name }) => {
                let (parent, field) = (*parent, name.clone());
                let Some(Datum::Variable { name, .. }) = self.datums.get(parent) else {
                    return;
                };
                let name = name.clone();
                let mut value = Self::as_one(rows);
                value.taint(&self.control);
                if *name == *"new" {
                    self.new.entry(field.clone()).or_default().taint(&value);
                }
                if let Some(variable) = self.variables.get_mut(&name) {
                    self.grown |= variable.add_field(&field, &value);
                }
            }
            Some(Datum::Row(places)) => {
                let places = places.clone();
                self.assign_row(&places, rows);
            }
            Some(Datum::Unknown) | None => {}
        }
    }

    pub(super) fn assign_row(&mut self, places: &[usize], rows: &Rows) {
        if let [only] = places {
            // A variable of a row's type is told as a list of one.
            self.assign(*only, rows);
            return;
        }
        let fits = places.len() == rows.fields.len();
        for (position, place) in places.iter().enumerate() {
            let one = match rows.fields.get(position).filter(|_| fits) {
                Some(field) => Rows {
                    fields: vec![field.clone()],
                    control: rows.control.clone(),
                    open: None,
                },
                None => Rows {
                    fields: Vec::new(),
                    control: Self::as_one(rows),
                    open: None,
                },
            };
            self.assign(*place, &one);
        }
    }

    /// A row into a variable: its fields by name too.
    pub(super) fn assign_name(&mut self, name: &str, rows: &Rows) {
        let assigned = as_variable(&rows.fields, &rows.control);
        for (field, value) in &assigned.fields {
            if let Some(variable) = self.variables.get_mut(name) {
                self.grown |= variable.add_field(field, value);
            }
        }
        let mut value = assigned.value;
        value.taint(&self.control);
        self.assign_value(name, &value);
        if name == "new" {
            self.replaces_new(&value);
        }
    }

    pub(super) fn assign_value(&mut self, name: &str, value: &Value) {
        if let Some(variable) = self.variables.get_mut(name) {
            self.grown |= variable.add(value);
        }
    }
}

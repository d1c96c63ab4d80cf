//! What copies values under a new name: CREATE TABLE AS, SELECT INTO, views, REFRESH. Each new column is written from what
//! the query gives for it.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf as pg};

use super::{
    super::{
        Refusal,
        book::{Descend, Keep, Value},
        query::rename,
        resolver::{Resolver, strings},
        scope::{Field, Scope},
        utility::Reading,
    },
    new_column,
};
use crate::facts::{ColumnWrite, Kind, Lineage, Operation, SessionEffect};

impl Resolver<'_> {
    /// CREATE TABLE AS and CREATE MATERIALIZED VIEW.
    pub(super) fn create_table_as(
        &mut self,
        create: &pg::CreateTableAsStmt,
    ) -> Result<Kind, Refusal> {
        self.seen.mark(create);
        let Some(into) = create.into.as_deref() else {
            return Err(Refusal::not_understood("this CREATE TABLE AS"));
        };
        match create.query.as_deref().map(|node| &node.node) {
            Some(Some(NodeEnum::SelectStmt(select))) => self.copy_into(into, select)?,
            Some(Some(NodeEnum::ExecuteStmt(execute))) => self.copy_executed(into, execute)?,
            _ => return Err(Refusal::not_understood("CREATE TABLE AS of this statement")),
        }
        Ok(Kind::Ddl)
    }

    /// SELECT INTO: the same as CREATE TABLE AS.
    pub(in crate::sql) fn select_into(
        &mut self,
        select: &pg::SelectStmt,
    ) -> Result<Reading, Refusal> {
        let Some(into) = select.into_clause.as_deref() else {
            return Err(Refusal::not_understood("this statement"));
        };
        // The clause is read here; the query is read without it. The copy has nodes of its own, so the original's are marked.
        let query = pg::SelectStmt {
            into_clause: None,
            ..select.clone()
        };
        let seen = std::mem::take(&mut self.seen);
        let result = self.copy_into(into, &query);
        let missing = self.seen.missing(&query);
        self.seen = seen;
        result?;
        if let Some(missing) = missing {
            return Err(Refusal::not_understood(missing));
        }
        self.seen.mark_all(select);
        self.event_triggers();
        Ok(Reading {
            kind: Kind::Ddl,
            outputs: None,
            session_effect: SessionEffect::Catalog,
        })
    }

    fn copy_into(&mut self, into: &pg::IntoClause, select: &pg::SelectStmt) -> Result<(), Refusal> {
        self.seen.mark(into);
        self.options(&into.options, &Scope::default())?;
        let (schema, relation) = self.create(into.rel.as_ref())?;
        let rows = self.select(select, &Scope::default())?;
        let names = strings(&into.col_names)?;
        let fields = self.copied_fields(rows.fields, rows.open.as_ref(), &names)?;
        self.copied(&schema, &relation, fields);
        Ok(())
    }

    /// CREATE TABLE AS EXECUTE.
    fn copy_executed(
        &mut self,
        into: &pg::IntoClause,
        execute: &pg::ExecuteStmt,
    ) -> Result<(), Refusal> {
        self.seen.mark(into);
        self.options(&into.options, &Scope::default())?;
        let (schema, relation) = self.create(into.rel.as_ref())?;
        let reading = self.execute(execute)?;
        let names = strings(&into.col_names)?;
        let outputs = reading.outputs.unwrap_or_default();
        for (index, output) in outputs.into_iter().enumerate() {
            let name = names.get(index).map_or(output.name, |name| (*name).into());
            let place = (attribute(index), name);
            let write = ColumnWrite {
                lineage: output.lineage,
                ..new_column((&schema, &relation), place, &Value::default())
            };
            self.book.writes.push(write);
        }
        Ok(())
    }

    /// The columns of a query as a new relation names them. Where they are not all known, whatever they are computed from is
    /// written all the same.
    fn copied_fields(
        &mut self,
        mut fields: Vec<Field>,
        open: Option<&Value>,
        names: &[&str],
    ) -> Result<Vec<Field>, Refusal> {
        let Some(open) = open else {
            return rename(fields, names);
        };
        self.book
            .opaque("copy", "a source whose columns are not known");
        fields.push(Field {
            name: "".into(),
            value: open.clone().derived(),
        });
        Ok(fields)
    }

    /// Columns of a relation that does not exist yet, written from a query's.
    pub(super) fn copied(&mut self, schema: &Arc<str>, relation: &Arc<str>, fields: Vec<Field>) {
        for (index, field) in fields.into_iter().enumerate() {
            let place = (attribute(index), field.name);
            let write = new_column((schema, relation), place, &field.value);
            self.book.writes.push(write);
        }
    }

    /// CREATE VIEW: who reads it reads what it selects.
    pub(super) fn create_view(&mut self, view: &pg::ViewStmt) -> Result<Kind, Refusal> {
        self.seen.mark(view);
        let (schema, name) = self.create(view.view.as_ref())?;
        self.options(&view.options, &Scope::default())?;
        let Some(Some(NodeEnum::SelectStmt(select))) = view.query.as_deref().map(|node| &node.node)
        else {
            return Err(Refusal::not_understood("this view"));
        };
        if view.replace
            && let Some(existing) = view.view.as_ref().and_then(|name| self.relation(name).ok())
        {
            // What the view was is gone.
            self.book.plain(Self::object(&existing), Operation::Alter);
        }
        let rows = self.select(select, &Scope::default())?;
        let names = strings(&view.aliases)?;
        let fields = self.copied_fields(rows.fields, rows.open.as_ref(), &names)?;
        self.copied(&schema, &name, fields);
        Ok(Kind::Ddl)
    }

    /// REFRESH MATERIALIZED VIEW.
    pub(in crate::sql) fn refresh(
        &mut self,
        refresh: &pg::RefreshMatViewStmt,
    ) -> Result<Kind, Refusal> {
        let Some(name) = &refresh.relation else {
            return Err(Refusal::not_understood("this REFRESH"));
        };
        let relation = self.relation(name)?;
        self.seen.mark(name);
        // Reads what the definition reads.
        self.relation_item(&relation, Descend::Only, Keep::IfUsed)?;
        self.book
            .plain(Self::object(&relation), Operation::Maintain);
        Ok(self.bounded(refresh))
    }

    /// A column of a new relation that is computed from a value.
    pub(super) fn computed_column(
        &mut self,
        (schema, relation): (&Arc<str>, &Arc<str>),
        name: &str,
        value: &Value,
    ) {
        if value.lineage() != Lineage::default() {
            let write = new_column((schema, relation), (0, name.into()), value);
            self.book.writes.push(write);
        }
    }
}

/// The number of a new relation's column.
fn attribute(index: usize) -> i16 {
    i16::try_from(index.saturating_add(1)).unwrap_or(i16::MAX)
}

//! COPY: which columns of a table are read or written.

use std::sync::Arc;

use pg_query::protobuf::{self as pg, Node};

use super::{
    super::{
        Refusal,
        book::Value,
        predicate::Holds,
        resolver::{Resolver, strings},
        scope::Scope,
    },
    Target,
};
use crate::facts::{Column, Operation};

impl Resolver<'_> {
    /// Columns that COPY writes or reads.
    pub(in crate::sql) fn copy_columns(
        &mut self,
        target: &Target,
        named: &[Node],
    ) -> Result<Vec<Arc<Column>>, Refusal> {
        if named.is_empty() {
            let attributes = target
                .relation
                .attributes
                .iter()
                .zip(&target.relation.columns);
            return Ok(attributes
                .filter(|(attribute, _)| !attribute.generated)
                .map(|(_, column)| column.clone())
                .collect());
        }
        let missing = |name: &str| {
            Refusal::unknown(
                "42703",
                format!(
                    "column \"{name}\" of relation \"{}\" does not exist",
                    target.relation.name
                ),
            )
        };
        strings(named)?
            .iter()
            .map(|name| {
                target
                    .relation
                    .column(name)
                    .cloned()
                    .ok_or_else(|| missing(name))
            })
            .collect()
    }

    /// COPY ... FROM STDIN.
    pub(in crate::sql) fn copy_in(&mut self, copy: &pg::CopyStmt) -> Result<(), Refusal> {
        let target = self.target(copy.relation.as_ref(), &[Operation::CopyFrom])?;
        let written = self.write(&target, Operation::CopyFrom)?;
        let columns = self.copy_columns(&target, &copy.attlist)?;
        for column in &columns {
            self.column_written(&target, &written, column, &Value::default())?;
        }
        self.defaults(&target, &columns)?;
        let scope = Scope {
            items: vec![target.item],
            ..Scope::default()
        };
        self.predicate(copy.where_clause.as_deref(), &scope, Holds::Sometimes)?;
        Ok(())
    }
}

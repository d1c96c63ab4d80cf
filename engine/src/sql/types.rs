//! Types that a statement names: what their input, casts and checks run. Must never take a name for the server's own that a
//! user's type hides.

use std::sync::Arc;

use pg_query::protobuf::TypeName;

use super::{
    Refusal,
    book::Value,
    functions,
    resolver::{Resolver, strings},
    scope::{Field, Item, Scope},
};
use crate::catalog::{TypeKind, UserType};

impl Resolver<'_> {
    /// A type that is named: notes what is not the server's own.
    pub(super) fn type_name(&mut self, name: &TypeName) -> Result<(), Refusal> {
        self.seen.mark(name);
        if name.pct_type || name.setof {
            return Err(Refusal::not_understood("%TYPE and SETOF here").at(name.location));
        }
        for modifier in name.typmods.iter().chain(&name.array_bounds) {
            self.constant(modifier)?;
        }
        let names = strings(&name.names)?;
        let (schema, base) = match names.as_slice() {
            [base] => (None, *base),
            [schema, base] => (Some(*schema), *base),
            [_, schema, base] => (Some(*schema), *base),
            _ => return Err(Refusal::not_understood("this type name").at(name.location)),
        };
        if schema == Some("pg_catalog") {
            return Ok(());
        }
        let in_reach = |found: &&Arc<UserType>| match schema {
            Some(schema) => *found.schema == *schema,
            None => self.path.contains(&found.schema),
        };
        let found: Vec<Arc<UserType>> = self
            .catalog
            .types_named(base)
            .iter()
            .filter(in_reach)
            .cloned()
            .collect();
        if found.is_empty() && !(schema.is_none() && functions::is_builtin_type(base)) {
            return Err(
                Refusal::unknown("42704", format!("type \"{base}\" does not exist"))
                    .at(name.location),
            );
        }
        for user_type in found {
            self.user_type(&user_type)?;
        }
        Ok(())
    }

    /// The users' types that a name could mean; empty: one of the server's own.
    pub(super) fn user_types(&self, name: &TypeName) -> Vec<u32> {
        let names = strings(&name.names).unwrap_or_default();
        let (schema, base) = match names.as_slice() {
            [base] => (None, *base),
            [.., schema, base] => (Some(*schema), *base),
            [] => return Vec::new(),
        };
        let in_reach = |found: &&Arc<UserType>| match schema {
            Some(schema) => *found.schema == *schema,
            None => self.path.contains(&found.schema),
        };
        let named = self.catalog.types_named(base).iter().filter(in_reach);
        named.map(|found| found.oid).collect()
    }

    fn user_type(&mut self, user_type: &Arc<UserType>) -> Result<(), Refusal> {
        let element = self.catalog.type_by_oid(user_type.element).cloned();
        match user_type.kind {
            TypeKind::Enum | TypeKind::Composite => {}
            TypeKind::Domain if !user_type.constrained => self.each_element(element)?,
            TypeKind::Array => self.each_element(element)?,
            TypeKind::Domain => {
                self.domain_checks(user_type)?;
                self.each_element(element)?;
            }
            TypeKind::Base | TypeKind::Pseudo | TypeKind::Range | TypeKind::Multirange => {
                // Only those are listed that do more than compute.
                for function in &user_type.support {
                    self.run_by_oid(*function, &user_type.name, &[])?;
                }
            }
        }
        Ok(())
    }

    /// Notes the functions that a domain's checks call; a domain whose checks can't be read is opaque.
    fn domain_checks(&mut self, domain: &UserType) -> Result<(), Refusal> {
        let value = Item::new(
            None,
            vec![Field {
                name: "value".into(),
                value: Value::default(),
            }],
        );
        let scope = Scope {
            items: vec![value],
            ..Scope::default()
        };
        for check in &domain.checks {
            self.attempt(&domain.name, "a domain's check", |resolver| {
                resolver.stored_expression(check, &scope)
            })?;
        }
        Ok(())
    }

    /// What assigning to a type evaluates.
    pub(super) fn type_checks(&mut self, type_oid: u32) -> Result<(), Refusal> {
        let Some(user_type) = self.catalog.type_by_oid(type_oid).cloned() else {
            return Ok(());
        };
        match user_type.kind {
            TypeKind::Domain => {
                self.domain_checks(&user_type)?;
                self.type_checks(user_type.element)
            }
            TypeKind::Array => self.type_checks(user_type.element),
            TypeKind::Base
            | TypeKind::Composite
            | TypeKind::Enum
            | TypeKind::Pseudo
            | TypeKind::Range
            | TypeKind::Multirange => Ok(()),
        }
    }

    fn each_element(&mut self, element: Option<Arc<UserType>>) -> Result<(), Refusal> {
        // An element type is older than its array and a base older than its domain: this ends.
        match element {
            Some(element) => self.user_type(&element),
            None => Ok(()),
        }
    }
}

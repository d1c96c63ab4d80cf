//! Types that a statement names: what their input, casts and checks run. Must never take a name for the server's own that a
//! user's type hides.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::protobuf::TypeName;

use super::{
    Refusal,
    book::Value,
    functions,
    resolver::{Resolver, strings},
    routine::Towards,
    scope::{Field, Item, Scope},
};
use crate::{
    catalog::{TypeKind, UserType},
    schema::server_type,
};

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

    /// Runs the casts of users that a cast of a value to a type that is named may mean: what they give.
    pub(super) fn written_cast(
        &mut self,
        value: &Value,
        name: &TypeName,
    ) -> Result<Value, Refusal> {
        if !self.catalog.has_user_casts() {
            return Ok(Value::default());
        }
        let mut targets = self.user_types(name);
        let base = strings(&name.names)?.last().copied().unwrap_or_default();
        if functions::is_builtin_type(base) {
            targets.push(server_type(base).unwrap_or(0));
        }
        self.user_casts(value, Towards::Written(&targets))
    }

    /// The users' types that a name could mean; empty: one of the server's own.
    fn user_types(&self, name: &TypeName) -> Vec<u32> {
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

    /// What reading or making a value of a type runs, with the types of its parts.
    fn user_type(&mut self, user_type: &Arc<UserType>) -> Result<(), Refusal> {
        for part in self.with_parts(user_type) {
            match part.kind {
                TypeKind::Domain => self.domain_checks(&part)?,
                TypeKind::Enum | TypeKind::Array | TypeKind::Composite => {}
                TypeKind::Base | TypeKind::Pseudo | TypeKind::Range | TypeKind::Multirange => {
                    // Only those are listed that do more than compute.
                    for function in &part.support {
                        self.run_by_oid(*function, &part.name, &[])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A type and the users' types that its values are made of, however deep, each once.
    fn with_parts(&self, user_type: &Arc<UserType>) -> Vec<Arc<UserType>> {
        let mut found = Vec::new();
        let mut met = BTreeSet::new();
        let mut open = vec![Arc::clone(user_type)];
        while let Some(one) = open.pop() {
            if met.insert(one.oid) {
                open.extend(self.parts_of(&one).into_iter().rev());
                found.push(one);
            }
        }
        found
    }

    /// The users' types that values of a type are made of: an array's elements, a domain's base, a row's columns.
    fn parts_of(&self, user_type: &UserType) -> Vec<Arc<UserType>> {
        let columns = match user_type.kind {
            TypeKind::Composite => self
                .catalog
                .relation(user_type.relation)
                .map_or(&[][..], |relation| relation.columns.as_slice()),
            _ => &[],
        };
        columns
            .iter()
            .map(|column| column.type_oid)
            .chain([user_type.element])
            .filter_map(|oid| self.catalog.type_by_oid(oid).cloned())
            .collect()
    }

    /// What binding values of the types runs that Parse declared for the parameters.
    pub(super) fn parameter_types(&mut self, types: &[u32]) -> Result<(), Refusal> {
        for type_oid in types {
            if let Some(user_type) = self.catalog.type_by_oid(*type_oid).cloned() {
                self.user_type(&user_type)?;
            }
        }
        Ok(())
    }

    /// What leaving out a value of a type evaluates: a domain's default is taken, and its checks are made of NULL too.
    pub(super) fn left_out(&mut self, type_oid: u32) -> Result<(), Refusal> {
        let Some(user_type) = self.catalog.type_by_oid(type_oid).cloned() else {
            return Ok(());
        };
        let parts = self.with_parts(&user_type).into_iter();
        for domain in parts.take_while(|part| part.kind == TypeKind::Domain) {
            self.domain_checks(&domain)?;
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
        for part in self.with_parts(&user_type) {
            if part.kind == TypeKind::Domain {
                self.domain_checks(&part)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        facts::Object,
        schema,
        sql::{Context, NO_NAMES, Witness, analyse},
    };

    const SCHEMA: &str = "
        CREATE TABLE secrets (id int PRIMARY KEY, v int);
        CREATE FUNCTION leak() RETURNS int LANGUAGE sql AS 'SELECT v FROM secrets';
        CREATE FUNCTION fits(int) RETURNS boolean LANGUAGE sql AS 'SELECT $1 IS NULL OR EXISTS (SELECT FROM secrets WHERE v = $1)';
        CREATE DOMAIN defaulted AS int DEFAULT leak();
        CREATE DOMAIN over_defaulted AS defaulted;
        CREATE DOMAIN checked AS int CHECK (fits(VALUE));
        CREATE TYPE pair AS (a checked, b int);
        CREATE TABLE d (a int, b defaulted);
        CREATE TABLE o (a int, b over_defaulted);
        CREATE TABLE c (a int, b checked);
        CREATE TABLE p (a int, b pair);";

    /// Whether a statement is known to read `secrets`.
    fn reads_secrets(statement: &str, parameter: Option<&str>) -> bool {
        let catalog = schema::read(SCHEMA, "shop").unwrap();
        let path: Vec<Arc<str>> = vec!["public".into()];
        let types: Vec<u32> = parameter
            .iter()
            .flat_map(|name| catalog.types_named(name))
            .map(|found| found.oid)
            .collect();
        let context = Context {
            catalog: &catalog,
            search_path: &path,
            parameter_types: &types,
            names: &NO_NAMES,
            witness: Witness::Deny,
        };
        let found = analyse(statement.as_bytes(), &context).unwrap();
        found
            .iter()
            .flat_map(|statement| &statement.facts.accesses)
            .any(|access| {
                matches!(&access.object, Object::Relation { name, .. } if **name == *"secrets")
            })
    }

    #[test]
    fn what_types_run_is_named_wherever_their_values_are_made() {
        for statement in [
            "INSERT INTO d (a) VALUES (1)",
            "INSERT INTO d DEFAULT VALUES",
            "INSERT INTO d VALUES (1, DEFAULT)",
            "UPDATE d SET b = DEFAULT",
            "INSERT INTO o (a) VALUES (1)",
            "INSERT INTO c (a) VALUES (1)",
            "INSERT INTO c DEFAULT VALUES",
            "INSERT INTO c VALUES (1, 2)",
            "SELECT 1::checked",
            "SELECT '(1,2)'::pair",
            "SELECT '(1,2)'::c",
            "SELECT ARRAY['(1,2)']::c[]",
            "SELECT * FROM json_to_record('{}') AS x (a pair)",
            "SELECT jsonb_populate_record(NULL::c, '{}')",
            "UPDATE p SET b.a = 3",
        ] {
            assert!(reads_secrets(statement, None), "{statement}");
        }
        assert!(reads_secrets("SELECT $1", Some("checked")));
        assert!(reads_secrets("SELECT $1", Some("pair")));
        for statement in [
            "SELECT 1",
            "INSERT INTO p (a) VALUES (1)",
            "SELECT a FROM d",
            "DELETE FROM d WHERE a = 1",
        ] {
            assert!(!reads_secrets(statement, None), "{statement}");
        }
    }
}

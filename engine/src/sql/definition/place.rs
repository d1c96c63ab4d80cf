//! Objects that lie in a schema and are no relations: functions, types, operators, collations, statistics, indexes. A rule
//! about the schema is about them. Where a name without schema may mean one of several, each is noted.

use std::sync::Arc;

use pg_query::protobuf::{Node, ObjectType};

use super::{
    super::{functions, resolver::Resolver},
    TEMPORARY, object_names, object_sort,
};
use crate::{
    catalog::Relation,
    facts::{Object, Operation},
};

impl Resolver<'_> {
    /// An object of any sort, by the name that a statement gives for it.
    pub(super) fn object_named(&mut self, sort: ObjectType, names: &[String], does: Operation) {
        // The access method stands before the name.
        let names = match sort {
            ObjectType::ObjectOpclass | ObjectType::ObjectOpfamily => {
                names.get(1..).unwrap_or_default()
            }
            _ => names,
        };
        if names.is_empty() || !(lies_in_schema(sort) || sort == ObjectType::ObjectIndex) {
            self.other(object_sort(sort), &names.join("."), does);
        } else if sort != ObjectType::ObjectIndex || !self.index_touched(names, does) {
            self.there(sort, names, does);
        }
    }

    /// An object that comes to be.
    pub(super) fn made(&mut self, sort: ObjectType, names: &[String]) {
        let (schema, name) = parts(names);
        let schema = match schema {
            Some(schema) => written(schema),
            None => self.schema_of_new(),
        };
        self.lying(sort, &schema, name, Operation::Create);
    }

    /// The same, by the nodes of its name.
    pub(super) fn made_as(&mut self, sort: ObjectType, names: &[Node]) {
        self.made(sort, &name_parts(names));
    }

    /// An object that is there already.
    pub(super) fn there(&mut self, sort: ObjectType, names: &[String], does: Operation) {
        let (schema, name) = parts(names);
        let schemas = match schema {
            Some(schema) => vec![written(schema)],
            None => self.schemas_with(sort, name),
        };
        for schema in schemas {
            self.lying(sort, &schema, name, does);
        }
    }

    /// The same, by the nodes of its name.
    pub(super) fn there_as(&mut self, sort: ObjectType, names: &[Node], does: Operation) {
        self.there(sort, &name_parts(names), does);
    }

    /// An index changes, and so does its table. `false`: there is none of this name.
    pub(super) fn index_touched(&mut self, names: &[String], does: Operation) -> bool {
        let (schema, name) = parts(names);
        let table = match schema {
            Some(schema) => self.catalog.index_table(&written(schema), name),
            None => {
                let mut path = self.path.iter();
                path.find_map(|schema| self.catalog.index_table(schema, name))
            }
        };
        let Some(table) = table.cloned() else {
            return false;
        };
        let to_table = match does {
            Operation::Drop => Operation::Alter,
            other => other,
        };
        self.with_descendants(&table, to_table);
        self.lying(ObjectType::ObjectIndex, &table.schema, name, does);
        true
    }

    /// What is done to a relation is done to its descendants.
    pub(super) fn with_descendants(&mut self, relation: &Arc<Relation>, does: Operation) {
        self.book.plain(Self::object(relation), does);
        for relation in self.catalog.descendants(relation.oid) {
            self.book.plain(Self::object(&relation), does);
        }
    }

    /// Every function of a schema, and those that the catalog does not list.
    pub(super) fn functions_in(&mut self, schema: &str, does: Operation) {
        let of_schema = |schema: &str| {
            let all = self.catalog.functions();
            let mut names: Vec<Arc<str>> = all
                .filter(|function| *function.schema == *schema)
                .map(|function| function.name.clone())
                .collect();
            names.sort();
            names.dedup();
            names
        };
        for name in of_schema(schema).iter().map(|name| &**name).chain(["*"]) {
            self.lying(ObjectType::ObjectFunction, schema, name, does);
        }
    }

    /// One object of one schema.
    pub(super) fn lying(&mut self, sort: ObjectType, schema: &str, name: &str, does: Operation) {
        let (schema, name): (Arc<str>, Arc<str>) = (schema.into(), name.into());
        let object = match object_sort(sort) {
            "function" => Object::Function { schema, name },
            sort => Object::Other {
                sort: sort.into(),
                schema: Some(schema),
                name,
            },
        };
        self.book.plain(object, does);
    }

    /// The schema that an object without one is made in.
    pub(super) fn schema_of_new(&self) -> Arc<str> {
        self.new_schema
            .clone()
            .unwrap_or_else(|| self.first_schema())
    }

    /// Where on the path an object of this name may lie.
    fn schemas_with(&self, sort: ObjectType, name: &str) -> Vec<Arc<str>> {
        let known: Vec<&Arc<str>> = match object_sort(sort) {
            "function" => {
                let named = self.catalog.functions_named(name);
                named.iter().map(|one| &one.schema).collect()
            }
            "type" | "domain" => {
                let named = self.catalog.types_named(name);
                named.iter().map(|one| &one.schema).collect()
            }
            "operator" => {
                let named = self.catalog.operators_named(name);
                named.iter().map(|one| &one.schema).collect()
            }
            _ => Vec::new(),
        };
        let of_users = |schema: &&Arc<str>| &***schema != "pg_catalog";
        let path = || self.path.iter().filter(of_users);
        let mut found: Vec<Arc<str>> = path()
            .filter(|schema| known.contains(schema))
            .cloned()
            .collect();
        let is_listed = !found.is_empty();
        if !is_listed {
            // What the catalog does not list may lie in any of them.
            let there = path().filter(|schema| self.catalog.has_schema(schema));
            found.extend(there.cloned());
        }
        let may_be_servers = match object_sort(sort) {
            "function" => functions::overloads(name, None, self.major())
                .next()
                .is_some(),
            "type" | "domain" => functions::is_builtin_type(name),
            "statistics" | "index" => false,
            "operator" => !is_listed,
            _ => true,
        };
        if may_be_servers {
            found.push("pg_catalog".into());
        }
        found
    }
}

/// Whether objects of this sort have a schema of their own and are neither relations nor indexes.
fn lies_in_schema(sort: ObjectType) -> bool {
    matches!(
        object_sort(sort),
        "function"
            | "type"
            | "domain"
            | "operator"
            | "collation"
            | "conversion"
            | "statistics"
            | "operator class"
            | "operator family"
            | "text search configuration"
            | "text search dictionary"
            | "text search parser"
            | "text search template"
    ) && !matches!(
        sort,
        ObjectType::ObjectAmop | ObjectType::ObjectAmproc | ObjectType::ObjectAttribute
    )
}

/// The parts of a name that nodes spell out.
pub(super) fn name_parts(nodes: &[Node]) -> Vec<String> {
    nodes
        .iter()
        .flat_map(|node| object_names(Some(node)))
        .collect()
}

/// The schema, where one is written, and the name.
fn parts(names: &[String]) -> (Option<&str>, &str) {
    match names {
        [.., schema, name] => (Some(schema), name),
        [name] => (None, name),
        [] => (None, ""),
    }
}

/// A schema that is written: temporary ones have one name, whatever the server calls them.
pub(super) fn written(schema: &str) -> Arc<str> {
    if schema.starts_with(TEMPORARY) {
        TEMPORARY.into()
    } else {
        schema.into()
    }
}

//! What PostgreSQL brings by itself, from `postgres15.txt` (made by `postgres.sql`): types, relations of pg_catalog and
//! information_schema, what functions and operators give. Never guesses: what is not listed is not known.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock},
};

use crate::catalog::{Attribute, Relation, RelationKind, TypeKind};

/// The first oid that is not the server's own.
pub(super) const FIRST_OID: u32 = 16_384;

/// A type of the server's own.
#[derive(Debug, Clone)]
pub(super) struct ServerType {
    pub(super) oid: u32,
    pub(super) kind: TypeKind,
    /// An array's element or a domain's base; 0 for none.
    pub(super) element: u32,
}

/// One way to call a function or an operator: the arguments' types and the result's, by bare name.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) arguments: Vec<&'static str>,
    pub(super) result: &'static str,
}

/// What a server of one version brings.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) version_num: u32,
    pub(super) schemas: Vec<Arc<str>>,
    /// By schema and name.
    pub(super) types: HashMap<(&'static str, &'static str), ServerType>,
    pub(super) relations: Vec<Relation>,
    /// Functions that one argument is enough for.
    pub(super) single: HashSet<Arc<str>>,
    /// An overload without arguments stands for all of them.
    functions: HashMap<&'static str, Vec<Overload>>,
    operators: HashMap<&'static str, Vec<Overload>>,
}

impl Server {
    /// The ways to call a function of pg_catalog.
    pub(super) fn function(&self, name: &str) -> &[Overload] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The ways to use an operator of pg_catalog.
    pub(super) fn operator(&self, name: &str) -> &[Overload] {
        self.operators.get(name).map_or(&[], Vec::as_slice)
    }

    /// The oid of a type of pg_catalog; 0 for none.
    pub(super) fn type_oid(&self, name: &str) -> u32 {
        self.types
            .get(&("pg_catalog", name))
            .map_or(0, |found| found.oid)
    }
}

/// PostgreSQL 15.
pub(super) static SERVER: LazyLock<Server> = LazyLock::new(|| read(include_str!("postgres15.txt")));

fn read(text: &'static str) -> Server {
    let mut server = Server {
        version_num: 0,
        schemas: Vec::new(),
        types: HashMap::new(),
        relations: Vec::new(),
        single: HashSet::new(),
        functions: HashMap::new(),
        operators: HashMap::new(),
    };
    for line in text.lines() {
        let (sort, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&'static str> = rest.split(' ').collect();
        match (sort, words.as_slice()) {
            ("version", [version]) => server.version_num = version.parse().unwrap_or(0),
            ("schema", [name]) => server.schemas.push((*name).into()),
            // What an array or a domain is of may come behind it: filled in at the end.
            ("type", [oid, name, kind, _]) => {
                let found = ServerType {
                    oid: oid.parse().unwrap_or(0),
                    kind: type_kind(kind),
                    element: 0,
                };
                server.types.insert(split(name), found);
            }
            ("relation", [oid, kind, name, columns @ ..]) => {
                let relation = relation(&server, oid, kind, name, columns);
                server.relations.push(relation);
            }
            ("single", names) => server.single = names.iter().map(|name| (*name).into()).collect(),
            ("function", [name, overloads @ ..]) => {
                server.functions.insert(name, read_overloads(overloads));
            }
            ("operator", [name, overloads @ ..]) => {
                server.operators.insert(name, read_overloads(overloads));
            }
            _ => {}
        }
    }
    let elements: Vec<((&'static str, &'static str), u32)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("type "))
        .filter_map(|line| {
            let words: Vec<&'static str> = line.split(' ').collect();
            let [_, name, _, element] = words.as_slice() else {
                return None;
            };
            Some((split(name), server.types.get(&split(element))?.oid))
        })
        .collect();
    for (name, element) in elements {
        if let Some(found) = server.types.get_mut(&name) {
            found.element = element;
        }
    }
    server
}

/// `information_schema.x` or a bare name of pg_catalog.
fn split(name: &'static str) -> (&'static str, &'static str) {
    name.split_once('.').unwrap_or(("pg_catalog", name))
}

fn type_kind(kind: &str) -> TypeKind {
    match kind {
        "a" => TypeKind::Array,
        "c" => TypeKind::Composite,
        "d" => TypeKind::Domain,
        "e" => TypeKind::Enum,
        "p" => TypeKind::Pseudo,
        "r" => TypeKind::Range,
        "m" => TypeKind::Multirange,
        _ => TypeKind::Base,
    }
}

fn relation(
    server: &Server,
    oid: &str,
    kind: &str,
    name: &'static str,
    columns: &[&'static str],
) -> Relation {
    let (schema, name) = name.split_once('.').unwrap_or(("pg_catalog", name));
    let attribute = |(index, column): (usize, &&'static str)| {
        let (name, type_name) = column.split_once(':').unwrap_or((column, ""));
        Attribute {
            number: i16::try_from(index.saturating_add(1)).unwrap_or(i16::MAX),
            name: name.into(),
            type_oid: server
                .types
                .get(&split(type_name))
                .map_or(0, |found| found.oid),
            not_null: false,
            constrained: false,
            default: None,
            generated: false,
            identity: false,
            nondeterministic: false,
        }
    };
    let kind = match kind {
        "v" => RelationKind::View,
        "m" => RelationKind::MaterialisedView,
        "c" => RelationKind::Composite,
        _ => RelationKind::Table,
    };
    let oid = oid.parse().unwrap_or(0);
    Relation {
        attributes: columns.iter().enumerate().map(attribute).collect(),
        ..Relation::new(oid, schema.into(), name.into(), kind)
    }
}

fn read_overloads(words: &[&'static str]) -> Vec<Overload> {
    let overload = |word: &&'static str| match word.split_once('>') {
        Some((arguments, result)) => Overload {
            arguments: arguments
                .split(',')
                .filter(|argument| !argument.is_empty())
                .collect(),
            result,
        },
        None => Overload {
            arguments: Vec::new(),
            result: word,
        },
    };
    words.iter().map(overload).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_is_read_whole() {
        let server = &*SERVER;
        assert_eq!(server.version_num / 10_000, 15);
        assert!(server.types.values().all(|found| found.oid != 0));
        let rows = |name: &str| name.starts_with("_pg_");
        for ((_, name), found) in &server.types {
            let is_whole = found.kind != TypeKind::Array || found.element != 0;
            assert!(is_whole || rows(name), "{name}");
        }
        let typed = |relation: &Relation| {
            relation
                .attributes
                .iter()
                .all(|attribute| attribute.type_oid != 0)
        };
        assert!(server.relations.iter().all(typed));
        assert_eq!(server.type_oid("int4"), 23);
        assert_eq!(server.type_oid("_text"), 1009);
        assert!(server.single.contains("upper"));
        assert_eq!(
            server
                .function("sum")
                .iter()
                .find(|one| one.arguments == ["int4"])
                .map(|one| one.result),
            Some("int8")
        );
        for schema in ["pg_catalog", "information_schema"] {
            let known = |relation: &Relation| &*relation.schema == schema;
            assert!(server.relations.iter().filter(|one| known(one)).count() > 50);
        }
    }
}

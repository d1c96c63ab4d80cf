//! What the server's relations, columns, views and functions are: the ground that names are resolved on.
//! Read from the server with [`CATALOG_QUERY`], never from what a client says; never changed once made.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::facts::{CatalogVersion, Column};

/// The query that reads the catalog: one row with one text column, JSON for [`Catalog::from_json`]. PostgreSQL 13 to 18.
/// Run it as a simple Query of its own: two statements in one transaction, of which only the second gives a row. The first
/// switches off compilation, which costs seconds; the second sets `search_path`, so that definitions come out qualified.
pub const CATALOG_QUERY: &str = include_str!("catalog.sql");

/// How deep inheritance is followed; deeper descendants are reached through their parents' accesses only.
const INHERITANCE_DEPTH_MAX: usize = 64;

/// What can go wrong with a catalog.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The JSON is not what [`CATALOG_QUERY`] gives.
    #[error("the server's catalog can't be read: {source}; is the server PostgreSQL 13 to 18?")]
    Malformed {
        /// What serde says.
        #[from]
        source: serde_json::Error,
    },
    /// The server's version is not supported.
    #[error("server version `{version}` is not supported: PostgreSQL 13 to 18 is")]
    Version {
        /// `server_version_num`.
        version: u32,
    },
}

/// A relation's kind: PostgreSQL's `pg_class.relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RelationKind {
    /// An ordinary table.
    #[serde(rename = "r")]
    Table,
    /// A partitioned table.
    #[serde(rename = "p")]
    Partitioned,
    /// A view.
    #[serde(rename = "v")]
    View,
    /// A materialised view.
    #[serde(rename = "m")]
    MaterialisedView,
    /// A foreign table.
    #[serde(rename = "f")]
    Foreign,
    /// A sequence.
    #[serde(rename = "S")]
    Sequence,
    /// A composite type.
    #[serde(rename = "c")]
    Composite,
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attribute {
    /// Attribute number, from 1; dropped ones are left out, the numbers stay.
    #[serde(rename = "n")]
    pub number: i16,
    /// Exact name.
    #[serde(rename = "a")]
    pub name: Arc<str>,
    /// The type's oid.
    #[serde(rename = "t")]
    pub type_oid: u32,
    /// NOT NULL.
    #[serde(rename = "nn", default)]
    pub not_null: bool,
    /// A unique, foreign-key, exclusion, check or domain constraint speaks about it.
    #[serde(rename = "c", default)]
    pub constrained: bool,
    /// The default's expression as the server deparses it, or the generation expression.
    #[serde(rename = "d", default)]
    pub default: Option<Arc<str>>,
    /// `GENERATED ALWAYS AS (...)`.
    #[serde(rename = "g", default)]
    pub generated: bool,
    /// `GENERATED ... AS IDENTITY`.
    #[serde(rename = "i", default)]
    pub identity: bool,
    /// Its collation calls texts equal that differ in their bytes.
    #[serde(rename = "x", default)]
    pub nondeterministic: bool,
}

/// A user trigger that is enabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Exact name.
    #[serde(rename = "n")]
    pub name: Arc<str>,
    /// `pg_trigger.tgtype`: 4 insert, 8 delete, 16 update, 32 truncate.
    #[serde(rename = "e")]
    pub events: i16,
}

/// A foreign key elsewhere that writes when this relation is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cascade {
    /// The referencing relation.
    #[serde(rename = "o")]
    pub oid: u32,
    /// `pg_constraint.confdeltype`: `c` deletes, `n` and `d` update.
    #[serde(rename = "d")]
    pub on_delete: char,
    /// `pg_constraint.confupdtype`.
    #[serde(rename = "u")]
    pub on_update: char,
}

/// A foreign key: the referenced relation, the referencing attribute numbers, the referenced ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey(pub u32, pub Vec<i16>, pub Vec<i16>);

/// The columns of a relation, one list for each property.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Packed {
    #[serde(rename = "n")]
    numbers: Vec<i16>,
    #[serde(rename = "a")]
    names: Vec<Arc<str>>,
    #[serde(rename = "t")]
    types: Vec<u32>,
    /// Attribute numbers, as in the next four.
    #[serde(rename = "nn", default, deserialize_with = "null_is_empty")]
    not_null: Vec<i16>,
    #[serde(rename = "c", default, deserialize_with = "null_is_empty")]
    constrained: Vec<i16>,
    #[serde(rename = "g", default, deserialize_with = "null_is_empty")]
    generated: Vec<i16>,
    #[serde(rename = "i", default, deserialize_with = "null_is_empty")]
    identity: Vec<i16>,
    #[serde(rename = "x", default, deserialize_with = "null_is_empty")]
    nondeterministic: Vec<i16>,
    #[serde(rename = "d", default, deserialize_with = "null_is_empty")]
    defaults: HashMap<i16, Arc<str>>,
}

impl Packed {
    fn attributes(self) -> Vec<Attribute> {
        let Self {
            numbers,
            names,
            types,
            not_null,
            constrained,
            generated,
            identity,
            nondeterministic,
            mut defaults,
        } = self;
        let columns = numbers.into_iter().zip(names).zip(types);
        let attribute = |((number, name), type_oid)| Attribute {
            number,
            name,
            type_oid,
            not_null: not_null.contains(&number),
            constrained: constrained.contains(&number),
            default: defaults.remove(&number),
            generated: generated.contains(&number),
            identity: identity.contains(&number),
            nondeterministic: nondeterministic.contains(&number),
        };
        columns.map(attribute).collect()
    }
}

fn null_is_empty<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A relation of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Its oid.
    #[serde(rename = "o")]
    pub oid: u32,
    /// Exact schema name.
    #[serde(rename = "s")]
    pub schema: Arc<str>,
    /// Exact name.
    #[serde(rename = "r")]
    pub name: Arc<str>,
    /// What sort of relation.
    #[serde(rename = "k")]
    pub kind: RelationKind,
    /// Its columns, by number.
    #[serde(rename = "a", default)]
    pub attributes: Vec<Attribute>,
    /// Unique keys that are immediate, whole and on plain columns: attribute numbers each.
    #[serde(rename = "u", default, deserialize_with = "null_is_empty")]
    pub unique_keys: Vec<BTreeSet<i16>>,
    /// Oids of inheritance or partitioning parents.
    #[serde(rename = "p", default, deserialize_with = "null_is_empty")]
    pub parents: Vec<u32>,
    /// A view's definition, names qualified.
    #[serde(rename = "v", default)]
    pub definition: Option<Arc<str>>,
    /// User triggers that are enabled.
    #[serde(rename = "tg", default, deserialize_with = "null_is_empty")]
    pub triggers: Vec<Trigger>,
    /// Names of rules other than a view's own.
    #[serde(rename = "rl", default, deserialize_with = "null_is_empty")]
    pub rules: Vec<Arc<str>>,
    /// Foreign keys that write elsewhere.
    #[serde(rename = "cs", default, deserialize_with = "null_is_empty")]
    pub cascades: Vec<Cascade>,
    /// Expressions that every write evaluates, deparsed: checks, expressions and predicates of indexes.
    #[serde(rename = "w", default, deserialize_with = "null_is_empty")]
    pub write_expressions: Vec<Arc<str>>,
    /// Foreign keys of this relation.
    #[serde(rename = "f", default, deserialize_with = "null_is_empty")]
    pub foreign_keys: Vec<ForeignKey>,
    /// The columns as the query packs them; moved to `attributes`.
    #[serde(rename = "q", default, skip_serializing)]
    pub(crate) packed: Option<Packed>,
    /// The columns as facts name them, in the order of `attributes`.
    #[serde(skip)]
    pub columns: Vec<Arc<Column>>,
}

impl Relation {
    /// The column with this exact name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Arc<Column>> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    /// Whether it is the server's own: pg_catalog or information_schema.
    #[must_use]
    pub fn is_system(&self) -> bool {
        matches!(&*self.schema, "pg_catalog" | "information_schema")
    }
}

/// What a user type is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeKind {
    /// A base type.
    #[serde(rename = "b")]
    Base,
    /// A composite type or a relation's row type.
    #[serde(rename = "c")]
    Composite,
    /// A domain.
    #[serde(rename = "d")]
    Domain,
    /// An enum.
    #[serde(rename = "e")]
    Enum,
    /// A pseudo-type.
    #[serde(rename = "p")]
    Pseudo,
    /// A range.
    #[serde(rename = "r")]
    Range,
    /// A multirange.
    #[serde(rename = "m")]
    Multirange,
    /// An array of `element`.
    #[serde(rename = "a")]
    Array,
}

/// A type that is not the server's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserType {
    /// Its oid.
    #[serde(rename = "o")]
    pub oid: u32,
    /// Exact schema name.
    #[serde(rename = "s")]
    pub schema: Arc<str>,
    /// Exact name.
    #[serde(rename = "n")]
    pub name: Arc<str>,
    /// What sort of type.
    #[serde(rename = "k")]
    pub kind: TypeKind,
    /// An array's element or a domain's base; 0 for none.
    #[serde(rename = "e")]
    pub element: u32,
    /// A composite's relation; 0 for none.
    #[serde(rename = "r")]
    pub relation: u32,
    /// A domain with constraints.
    #[serde(rename = "c")]
    pub constrained: bool,
    /// A domain's check expressions over `VALUE`, deparsed.
    #[serde(rename = "x", default, deserialize_with = "null_is_empty")]
    pub checks: Vec<Arc<str>>,
}

/// What a catalog holds, as [`CATALOG_QUERY`] gives it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) server_version_num: u32,
    pub(crate) database: Arc<str>,
    pub(crate) schemas: HashSet<Arc<str>>,
    pub(crate) relations: Vec<Relation>,
    /// (schema, name) of users' functions.
    pub(crate) functions: Vec<(Arc<str>, Arc<str>)>,
    /// (schema, name) of users' operators.
    pub(crate) operators: Vec<(Arc<str>, Arc<str>)>,
    pub(crate) types: Vec<UserType>,
    pub(crate) user_casts: u64,
    #[serde(default)]
    pub(crate) casts: Vec<(u32, u32)>,
    #[serde(default)]
    pub(crate) builtins: HashSet<Arc<str>>,
}

/// The catalog of one database.
#[derive(Debug, Clone)]
pub struct Catalog {
    version: CatalogVersion,
    server_version_num: u32,
    database: Arc<str>,
    schemas: HashSet<Arc<str>>,
    relations: HashMap<u32, Arc<Relation>>,
    by_name: HashMap<Arc<str>, HashMap<Arc<str>, Arc<Relation>>>,
    children: HashMap<u32, Vec<u32>>,
    functions: HashMap<Arc<str>, Vec<Arc<str>>>,
    operators: HashMap<Arc<str>, Vec<Arc<str>>>,
    types: HashMap<Arc<str>, Vec<Arc<UserType>>>,
    types_by_oid: HashMap<u32, Arc<UserType>>,
    user_casts: u64,
    casts: Vec<(u32, u32)>,
    builtins: HashSet<Arc<str>>,
}

impl Catalog {
    /// Reads what [`CATALOG_QUERY`] gave.
    ///
    /// # Errors
    /// [`Error::Malformed`] for other JSON, [`Error::Version`] for a server before 13 or after 18.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let content: Content = serde_json::from_slice(json)?;
        if !(130_000..190_000).contains(&content.server_version_num) {
            return Err(Error::Version {
                version: content.server_version_num,
            });
        }
        let digest = blake3::hash(json);
        let version = digest
            .as_bytes()
            .first_chunk::<8>()
            .map_or(0, |head| u64::from_be_bytes(*head));
        Ok(Self::assemble(content, CatalogVersion(version)))
    }

    /// A catalog with this content.
    pub(crate) fn assemble(content: Content, version: CatalogVersion) -> Self {
        let mut catalog = Self {
            version,
            server_version_num: content.server_version_num,
            database: content.database,
            schemas: content.schemas,
            relations: HashMap::new(),
            by_name: HashMap::new(),
            children: HashMap::new(),
            functions: qualified_names(&content.functions),
            operators: qualified_names(&content.operators),
            types: HashMap::new(),
            types_by_oid: HashMap::new(),
            user_casts: content.user_casts,
            casts: content.casts,
            builtins: content.builtins,
        };
        for user_type in content.types {
            let user_type = Arc::new(user_type);
            catalog
                .types
                .entry(user_type.name.clone())
                .or_default()
                .push(user_type.clone());
            catalog.types_by_oid.insert(user_type.oid, user_type);
        }
        for mut relation in content.relations {
            if let Some(packed) = relation.packed.take() {
                relation.attributes = packed.attributes();
            }
            relation.columns = columns(&relation);
            for parent in &relation.parents {
                catalog
                    .children
                    .entry(*parent)
                    .or_default()
                    .push(relation.oid);
            }
            let relation = Arc::new(relation);
            let names = catalog.by_name.entry(relation.schema.clone()).or_default();
            names.insert(relation.name.clone(), relation.clone());
            catalog.relations.insert(relation.oid, relation);
        }
        catalog
    }

    /// The hash of its content: equal versions mean equal analysis.
    #[must_use]
    pub fn version(&self) -> CatalogVersion {
        self.version
    }

    /// The server's `server_version_num`.
    #[must_use]
    pub fn server_version_num(&self) -> u32 {
        self.server_version_num
    }

    /// The database's exact name.
    #[must_use]
    pub fn database(&self) -> &Arc<str> {
        &self.database
    }

    /// Whether a schema of this exact name is known.
    #[must_use]
    pub fn has_schema(&self, name: &str) -> bool {
        self.schemas.contains(name)
    }

    /// The relation with this oid.
    #[must_use]
    pub fn relation(&self, oid: u32) -> Option<&Arc<Relation>> {
        self.relations.get(&oid)
    }

    /// The relation with these exact names.
    #[must_use]
    pub fn relation_named(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        self.by_name.get(schema)?.get(name)
    }

    /// Every relation, in no order.
    pub fn relations(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations.values()
    }

    /// Inheritance descendants or partitions, nearest first, each once.
    #[must_use]
    pub fn descendants(&self, oid: u32) -> Vec<Arc<Relation>> {
        self.reach(oid, |oid| {
            self.children.get(&oid).map_or(&[][..], Vec::as_slice)
        })
    }

    /// Inheritance ancestors, nearest first, each once.
    #[must_use]
    pub fn ancestors(&self, oid: u32) -> Vec<Arc<Relation>> {
        self.reach(oid, |oid| {
            self.relations
                .get(&oid)
                .map_or(&[][..], |relation| relation.parents.as_slice())
        })
    }

    /// The schemas that have a user function of this name.
    #[must_use]
    pub fn function_schemas(&self, name: &str) -> &[Arc<str>] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The schemas that have a user operator of this name.
    #[must_use]
    pub fn operator_schemas(&self, name: &str) -> &[Arc<str>] {
        self.operators.get(name).map_or(&[], Vec::as_slice)
    }

    /// The user types of this name, in any schema.
    #[must_use]
    pub fn types_named(&self, name: &str) -> &[Arc<UserType>] {
        self.types.get(name).map_or(&[], Vec::as_slice)
    }

    /// The user type with this oid.
    #[must_use]
    pub fn type_by_oid(&self, oid: u32) -> Option<&Arc<UserType>> {
        self.types_by_oid.get(&oid)
    }

    /// Whether a function of one argument may have this name, the server's own included. `true` where that is not known.
    #[must_use]
    pub fn is_function(&self, name: &str) -> bool {
        self.builtins.is_empty()
            || self.builtins.contains(name)
            || self.functions.contains_key(name)
    }

    /// Casts by user functions: (source type, target type).
    #[must_use]
    pub fn user_casts(&self) -> &[(u32, u32)] {
        &self.casts
    }

    /// Whether there are casts by user functions: a cast may then run one.
    #[must_use]
    pub fn has_user_casts(&self) -> bool {
        self.user_casts > 0
    }

    fn reach<'a>(&'a self, oid: u32, next: impl Fn(u32) -> &'a [u32]) -> Vec<Arc<Relation>> {
        let mut seen = HashSet::from([oid]);
        let mut frontier = vec![oid];
        let mut found = Vec::new();
        for _ in 0..INHERITANCE_DEPTH_MAX {
            let reached: Vec<u32> = frontier
                .iter()
                .flat_map(|oid| next(*oid).iter().copied())
                .filter(|oid| seen.insert(*oid))
                .collect();
            found.extend(
                reached
                    .iter()
                    .filter_map(|oid| self.relations.get(oid).cloned()),
            );
            frontier = reached;
        }
        found
    }
}

fn columns(relation: &Relation) -> Vec<Arc<Column>> {
    relation
        .attributes
        .iter()
        .map(|attribute| {
            Arc::new(Column {
                relation_oid: relation.oid,
                attribute: attribute.number,
                schema: relation.schema.clone(),
                relation: relation.name.clone(),
                name: attribute.name.clone(),
                type_oid: attribute.type_oid,
                constrained: attribute.constrained,
            })
        })
        .collect()
}

/// Splits `[schema, name]` pairs into name to schemas.
fn qualified_names(names: &[(Arc<str>, Arc<str>)]) -> HashMap<Arc<str>, Vec<Arc<str>>> {
    let mut map: HashMap<Arc<str>, Vec<Arc<str>>> = HashMap::new();
    for (schema, name) in names {
        map.entry(name.clone()).or_default().push(schema.clone());
    }
    map
}

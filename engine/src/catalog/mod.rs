//! What the server's relations, columns, views and functions are: the ground that names are resolved on.
//! Read from the server with [`CATALOG_QUERY`], never from what a client says; never changed once made.

mod content;
mod definitions;
pub mod file;
mod relation;
mod routine;
#[cfg(test)]
mod tests;
mod types;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use serde::Deserialize;

use self::wire::Wire;
pub(crate) use self::{content::Content, definitions::LOCKED_TEXT};
pub use self::{
    definitions::{
        DEFINITIONS_QUERY, FIRST_QUERY, FIRST_STAMP_QUERY, OUTLINE_PAST_LOCKS_QUERY, OUTLINE_QUERY,
        OWN_PAST_LOCKS_STATEMENT, OWN_STATEMENT, for_views,
    },
    relation::{
        Attribute, Cascade, ForeignKey, Relation, RelationKind, RowPolicy, RowSecurity, Rule,
        RuleEvent, Trigger, TriggerTiming,
    },
    routine::{
        Argument, ArgumentMode, Body, Called, Cast, CastContext, EventTrigger, Function,
        FunctionKind, Language, Operator, Volatility,
    },
    types::{TypeKind, UserType},
};
use crate::facts::{CatalogVersion, Column};

/// Each statement looks up a dozen names: quickly, and safe from whoever chooses names that collide.
type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// The stamp, with what it needs.
macro_rules! stamp_query {
    () => {
        concat!(
            "SET LOCAL search_path = pg_catalog; SET LOCAL jit = off; SET LOCAL synchronize_seqscans = off; \
             SET LOCAL max_parallel_workers_per_gather = 0;\n",
            include_str!("stamp.sql")
        )
    };
}
use stamp_query;

/// The catalog with the definitions of all views.
macro_rules! catalog_statement {
    () => {
        concat!(
            "WITH RECURSIVE wanted AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('v', 'm')),\n",
            // Asked for views by the thousand, it would take seconds.
            definitions::catalog_of!("false", definitions::none_locked!())
        )
    };
}

/// How the catalog is read whole: one row with one text column, for [`Catalog::from_answer`]. PostgreSQL 13
/// to 18. Run it as a simple Query of its own: statements in one transaction, of which only the last gives a row. The first
/// keep the path from deciding what operators mean, and switch off compilation, which costs seconds.
pub const CATALOG_QUERY: &str = concat!(
    "SET LOCAL search_path = pg_catalog; SET LOCAL jit = off;\n",
    catalog_statement!()
);

/// The last statement of [`CATALOG_QUERY`], for whoever sets `search_path` (to `pg_catalog`) and `jit` otherwise.
pub const CATALOG_STATEMENT: &str = catalog_statement!();

/// A stamp of what [`CATALOG_QUERY`] reads: one row with one text column. Equal stamps mean that nothing of it was changed by
/// a committed transaction in between; a session's own open transaction it can't tell of. Ask for it before the catalog: a
/// change in between then shows next time. It costs a fraction of the reading.
///
/// It is exact but for hashes of 64 bits that collide: a transaction that puts a row version into a catalog puts its own
/// number there, which no visible row had before; one that only deletes leaves fewer. What the server changes in place
/// (statistics, flags for what is no more) is not read. The rows are hashed in the order in which they lie, so nothing may
/// begin in the middle of a table or share it among workers.
pub const STAMP_QUERY: &str = stamp_query!();

/// The schema of a session's own temporary objects, whatever the server calls it.
pub const TEMP_SCHEMA: &str = "pg_temp";

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
    /// A line of it is not as it should be.
    #[error(
        "the server's catalog can't be read: a line of its {section} is malformed; is the server PostgreSQL 13 to 18?"
    )]
    Line {
        /// Which lines.
        section: &'static str,
    },
    /// A file is no catalog.
    #[error("this is no catalog as `provost catalog pull` writes it: {source}")]
    File {
        /// What serde says.
        source: serde_json::Error,
    },
    /// A file's format is another one.
    #[error(
        "catalog format `{format}` is not known here: pull the catalog again with this version of provost"
    )]
    Format {
        /// The format.
        format: u32,
    },
    /// The server's version is not supported.
    #[error("server version `{version}` is not supported: PostgreSQL 13 to 18 is")]
    Version {
        /// `server_version_num`.
        version: u32,
    },
}

/// The catalog of one database.
#[derive(Debug, Clone)]
pub struct Catalog {
    version: CatalogVersion,
    /// The hash of everything but views' definitions.
    outline: [u8; 32],
    server_version_num: u32,
    database: Arc<str>,
    schemas: BTreeSet<Arc<str>>,
    relations: HashMap<u32, Arc<Relation>>,
    /// Views' definitions that were read by themselves.
    deparsed: BTreeMap<u32, Arc<definitions::Deparsed>>,
    by_name: HashMap<Arc<str>, HashMap<Arc<str>, Arc<Relation>>>,
    children: HashMap<u32, Vec<u32>>,
    /// By schema and name: the table that an index is of.
    indexes: HashMap<Arc<str>, HashMap<Arc<str>, u32>>,
    functions: Named<Function>,
    functions_by_oid: HashMap<u32, Arc<Function>>,
    called: BTreeMap<u32, Arc<str>>,
    operators: Named<Operator>,
    operators_by_oid: HashMap<u32, Arc<Operator>>,
    types: HashMap<Arc<str>, Vec<Arc<UserType>>>,
    types_by_oid: HashMap<u32, Arc<UserType>>,
    casts: Vec<Cast>,
    /// Casts that do more than compute.
    untrusted_casts: Vec<(u32, u32)>,
    event_triggers: Vec<EventTrigger>,
    comparisons: BTreeSet<u32>,
    temp_schema: Option<Arc<str>>,
    builtins: BTreeSet<Arc<str>>,
}

impl Catalog {
    /// Reads what [`CATALOG_QUERY`] gave.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Line`] for anything else, [`Error::Version`] for a server before 13 or after 18.
    pub fn from_answer(answer: &[u8]) -> Result<Self, Error> {
        Self::from_content(Wire::read(answer)?.content()?)
    }

    fn from_content(mut content: Content) -> Result<Self, Error> {
        if !(130_000..190_000).contains(&content.server_version_num) {
            return Err(Error::Version {
                version: content.server_version_num,
            });
        }
        let (outline, version) = content.version();
        Ok(Self {
            outline,
            ..Self::assemble(content, version)
        })
    }

    /// A catalog with this content.
    pub(crate) fn assemble(mut content: Content, version: CatalogVersion) -> Self {
        content.name_temporary();
        let mut catalog = Self {
            version,
            outline: [0; 32],
            server_version_num: content.server_version_num,
            database: content.database,
            schemas: content.schemas,
            relations: HashMap::default(),
            deparsed: BTreeMap::new(),
            by_name: HashMap::default(),
            children: HashMap::default(),
            indexes: HashMap::default(),
            functions: Named::default(),
            functions_by_oid: HashMap::default(),
            called: content.called,
            operators: Named::default(),
            operators_by_oid: HashMap::default(),
            types: HashMap::default(),
            types_by_oid: HashMap::default(),
            untrusted_casts: content
                .casts
                .iter()
                .filter(|cast| !cast.trusted)
                .map(|cast| (cast.source, cast.target))
                .collect(),
            casts: content.casts,
            event_triggers: content.event_triggers,
            comparisons: content.comparisons,
            temp_schema: content.temp_schema,
            builtins: content.builtins,
        };
        for function in content.functions {
            let function = Arc::new(function);
            catalog
                .functions
                .add(&function.name, &function.schema, function.clone());
            catalog.functions_by_oid.insert(function.oid, function);
        }
        for operator in content.operators {
            let operator = Arc::new(operator);
            let one = operator.clone();
            if operator.trusted {
                catalog.operators.add_trusted(&operator.name, one);
            } else {
                catalog.operators.add(&operator.name, &operator.schema, one);
            }
            catalog.operators_by_oid.insert(operator.oid, operator);
        }
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
            relation.columns = columns(&relation);
            for parent in &relation.parents {
                catalog
                    .children
                    .entry(*parent)
                    .or_default()
                    .push(relation.oid);
            }
            let relation = Arc::new(relation);
            if !relation.indexes.is_empty() {
                let indexes = catalog.indexes.entry(relation.schema.clone()).or_default();
                indexes.extend(
                    relation
                        .indexes
                        .iter()
                        .map(|name| (name.clone(), relation.oid)),
                );
            }
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

    /// The hash of everything but views' definitions, which [`Catalog::version`] adds.
    pub(crate) fn outline(&self) -> &[u8; 32] {
        &self.outline
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
        self.schemas.contains(self.known_schema(name))
    }

    /// The temporary schema of the session that read this catalog, by its exact name (`pg_temp_3`), where it has one. Only
    /// then are temporary relations and types in here, and only that session's own; their schema is [`TEMP_SCHEMA`].
    /// Temporary functions and operators keep the exact name: no path finds them.
    #[must_use]
    pub fn temp_schema(&self) -> Option<&Arc<str>> {
        self.temp_schema.as_ref()
    }

    /// `pg_temp` for the temporary schema's exact name, any other name for itself.
    fn known_schema<'n>(&self, name: &'n str) -> &'n str {
        match &self.temp_schema {
            Some(own) if *name == **own => TEMP_SCHEMA,
            _ => name,
        }
    }

    /// The relation with this oid.
    #[must_use]
    pub fn relation(&self, oid: u32) -> Option<&Arc<Relation>> {
        self.relations.get(&oid)
    }

    /// The relation with these exact names.
    #[must_use]
    pub fn relation_named(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        self.by_name.get(self.known_schema(schema))?.get(name)
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

    /// The table that an index of these exact names is of.
    #[must_use]
    pub fn index_table(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        self.relations.get(self.indexes.get(schema)?.get(name)?)
    }

    /// The user functions, procedures and aggregates of this name, in any schema.
    #[must_use]
    pub fn functions_named(&self, name: &str) -> &[Arc<Function>] {
        self.functions.all(name)
    }

    /// The user function with this oid.
    #[must_use]
    pub fn function_by_oid(&self, oid: u32) -> Option<&Arc<Function>> {
        self.functions_by_oid.get(&oid)
    }

    /// Every user function, in no order.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions_by_oid.values()
    }

    /// What an operator, a cast, a trigger or an aggregate calls by this oid. `None`: nothing is known of it.
    #[must_use]
    pub fn called(&self, oid: u32) -> Option<Called<'_>> {
        match self.functions_by_oid.get(&oid) {
            Some(function) => Some(Called::Users(function)),
            None => self.called.get(&oid).map(Called::Server),
        }
    }

    /// The schemas that have a user function of this name.
    #[must_use]
    pub fn function_schemas(&self, name: &str) -> &[Arc<str>] {
        self.functions.schemas(name)
    }

    /// The user operators of this name, in any schema, those that only compute included.
    #[must_use]
    pub fn operators_named(&self, name: &str) -> &[Arc<Operator>] {
        self.operators.all(name)
    }

    /// The user operator with this oid.
    #[must_use]
    pub fn operator_by_oid(&self, oid: u32) -> Option<&Arc<Operator>> {
        self.operators_by_oid.get(&oid)
    }

    /// The schemas that have a user operator of this name that may do more than compute.
    #[must_use]
    pub fn operator_schemas(&self, name: &str) -> &[Arc<str>] {
        self.operators.schemas(name)
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

    /// Every user type.
    pub fn types(&self) -> impl Iterator<Item = &Arc<UserType>> {
        self.types_by_oid.values()
    }

    /// Whether a function of one argument may have this name, the server's own included. `true` where that is not known.
    #[must_use]
    pub fn is_function(&self, name: &str) -> bool {
        self.builtins.is_empty()
            || self.builtins.contains(name)
            || !self.functions.all(name).is_empty()
    }

    /// Casts that users made and that call functions.
    #[must_use]
    pub fn casts(&self) -> &[Cast] {
        &self.casts
    }

    /// Casts by user functions that may do more than compute: (source type, target type).
    #[must_use]
    pub fn user_casts(&self) -> &[(u32, u32)] {
        &self.untrusted_casts
    }

    /// Whether there are such casts: a cast may then run one.
    #[must_use]
    pub fn has_user_casts(&self) -> bool {
        !self.untrusted_casts.is_empty()
    }

    /// Event triggers that are enabled: commands run their functions.
    #[must_use]
    pub fn event_triggers(&self) -> &[EventTrigger] {
        &self.event_triggers
    }

    /// Users' functions that operator classes compare and hash with, where they do more than compute: which values go through
    /// them hangs on indexes, keys, ranges and the types of what is sorted.
    #[must_use]
    pub fn comparisons(&self) -> &BTreeSet<u32> {
        &self.comparisons
    }

    fn reach<'a>(&'a self, oid: u32, next: impl Fn(u32) -> &'a [u32]) -> Vec<Arc<Relation>> {
        let mut found = Vec::new();
        if next(oid).is_empty() {
            return found;
        }
        let mut seen = HashSet::from([oid]);
        let mut frontier = vec![oid];
        for _ in 0..INHERITANCE_DEPTH_MAX {
            if frontier.is_empty() {
                break;
            }
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

/// Objects that may share a name.
#[derive(Debug, Clone)]
struct Named<T> {
    objects: HashMap<Arc<str>, Vec<Arc<T>>>,
    /// Without those that are trusted.
    schemas: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self {
            objects: HashMap::default(),
            schemas: HashMap::default(),
        }
    }
}

impl<T> Named<T> {
    fn add(&mut self, name: &Arc<str>, schema: &Arc<str>, object: Arc<T>) {
        let schemas = self.schemas.entry(name.clone()).or_default();
        if !schemas.contains(schema) {
            schemas.push(schema.clone());
        }
        self.add_trusted(name, object);
    }

    fn add_trusted(&mut self, name: &Arc<str>, object: Arc<T>) {
        self.objects.entry(name.clone()).or_default().push(object);
    }

    fn all(&self, name: &str) -> &[Arc<T>] {
        self.objects.get(name).map_or(&[], Vec::as_slice)
    }

    fn schemas(&self, name: &str) -> &[Arc<str>] {
        self.schemas.get(name).map_or(&[], Vec::as_slice)
    }
}

fn null_is_empty<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

//! What a catalog is made of, as the query gives it and as files hold it.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Cast, EventTrigger, Function, Operator, Relation, TEMP_SCHEMA, UserType};
use crate::facts::CatalogVersion;

/// What a catalog holds.
#[derive(Debug, Clone, Hash, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) server_version_num: u32,
    pub(crate) database: Arc<str>,
    /// The reading session's own temporary schema, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) temp_schema: Option<Arc<str>>,
    pub(crate) schemas: BTreeSet<Arc<str>>,
    pub(crate) relations: Vec<Relation>,
    /// Users' functions.
    pub(crate) functions: Vec<Function>,
    /// Functions of the server's own that users' objects call, by oid.
    pub(crate) called: BTreeMap<u32, Arc<str>>,
    /// Users' operators.
    pub(crate) operators: Vec<Operator>,
    pub(crate) types: Vec<UserType>,
    pub(crate) casts: Vec<Cast>,
    pub(crate) event_triggers: Vec<EventTrigger>,
    /// Users' functions that operator classes compare and hash with, where they do more than compute.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) comparisons: BTreeSet<u32>,
    /// Functions of pg_catalog that one argument is enough for.
    pub(crate) builtins: BTreeSet<Arc<str>>,
}

impl Content {
    /// Puts everything into the one order that equal contents have.
    pub(super) fn arrange(&mut self) {
        self.relations.sort_by_key(|one| one.oid);
        for relation in &mut self.relations {
            relation.attributes.sort_by_key(|one| one.number);
            relation.unique_keys.sort();
            relation.indexes.sort();
            relation.triggers.sort_by(|a, b| a.name.cmp(&b.name));
            relation.rules.sort_by(|a, b| a.name.cmp(&b.name));
            relation.policies.sort_by(|a, b| a.name.cmp(&b.name));
        }
        self.functions.sort_by_key(|one| one.oid);
        self.operators.sort_by_key(|one| one.oid);
        self.types.sort_by_key(|one| one.oid);
        self.casts.sort_by_key(|one| (one.source, one.target));
        self.event_triggers.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// The hash of everything but views' definitions, and that of all of it; it must be arranged.
    pub(super) fn version(&mut self) -> ([u8; 32], CatalogVersion) {
        let relations = self.relations.iter_mut();
        let definitions: Vec<_> = relations.map(|one| one.definition.take()).collect();
        let mut bytes = Bytes(Vec::new());
        self.hash(&mut bytes);
        let outline = *blake3::hash(&bytes.0).as_bytes();
        for (one, definition) in self.relations.iter_mut().zip(definitions) {
            one.definition = definition;
        }
        let definitions = self
            .relations
            .iter()
            .filter_map(|one| Some((one.oid, &**one.definition.as_ref()?)));
        (outline, version(&outline, definitions))
    }
}

/// The version of a catalog with these definitions, by view.
pub(super) fn version<'a>(
    outline: &[u8; 32],
    definitions: impl IntoIterator<Item = (u32, &'a str)>,
) -> CatalogVersion {
    let mut hasher = blake3::Hasher::new();
    hasher.update(outline);
    for (oid, definition) in definitions {
        hasher.update(&oid.to_le_bytes());
        hasher.update(&(definition.len() as u64).to_le_bytes());
        hasher.update(definition.as_bytes());
    }
    let head = hasher.finalize().as_bytes().first_chunk::<8>().copied();
    CatalogVersion(head.map_or(0, u64::from_be_bytes))
}

/// Collects what is hashed: one large hash is many times cheaper than many small ones. Numbers are put down alike on every
/// machine.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    fn write_i16(&mut self, number: i16) {
        self.write(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write(&(number as u64).to_le_bytes());
    }

    fn write_isize(&mut self, number: isize) {
        self.write(&(number as i64).to_le_bytes());
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Content {
    /// Gives the temporary schema the name that statements and policies have for it. Its functions and operators keep the
    /// exact one: the server never finds them without a schema.
    pub(super) fn name_temporary(&mut self) {
        let Some(own) = self.temp_schema.clone() else {
            return;
        };
        let temporary: Arc<str> = TEMP_SCHEMA.into();
        if self.schemas.remove(&own) {
            self.schemas.insert(Arc::clone(&temporary));
        }
        let schemas = self
            .relations
            .iter_mut()
            .map(|relation| &mut relation.schema);
        let types = self.types.iter_mut().map(|user_type| &mut user_type.schema);
        for schema in schemas.chain(types).filter(|schema| ***schema == *own) {
            schema.clone_from(&temporary);
        }
    }
}

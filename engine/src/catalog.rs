//! What the server's relations, columns, views and functions are: the ground that names are resolved on.
//! Read from the server with [`CATALOG_QUERY`], never from what a client says; never changed once made.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::facts::CatalogVersion;

/// The query that reads the catalog: one row with one text column, JSON for [`Catalog::from_json`]. PostgreSQL 13 to 18.
pub const CATALOG_QUERY: &str = include_str!("catalog.sql");

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
    /// An index, partitioned or not.
    #[serde(rename = "i", alias = "I")]
    Index,
    /// A TOAST table.
    #[serde(rename = "t")]
    Toast,
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
    pub columns: Vec<Attribute>,
    /// Unique keys that are immediate, whole and on plain columns: attribute numbers each.
    #[serde(rename = "u", default)]
    pub unique_keys: Vec<Vec<i16>>,
    /// Oids of inheritance or partitioning parents.
    #[serde(rename = "p", default)]
    pub parents: Vec<u32>,
    /// A view's definition, names qualified.
    #[serde(rename = "v", default)]
    pub definition: Option<Arc<str>>,
    /// Names of user triggers, enabled ones.
    #[serde(rename = "tg", default)]
    pub triggers: Vec<Arc<str>>,
    /// Names of rules other than a view's own.
    #[serde(rename = "rl", default)]
    pub rules: Vec<Arc<str>>,
}

/// The catalog of one database.
#[derive(Debug, Clone)]
pub struct Catalog {
    version: CatalogVersion,
    content: Content,
    by_oid: HashMap<u32, usize>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Content {
    server_version_num: u32,
    database: Arc<str>,
    relations: Vec<Arc<Relation>>,
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
        let (head, _) = digest
            .as_bytes()
            .split_first_chunk::<8>()
            .unwrap_or((&[0; 8], &[]));
        let by_oid = content
            .relations
            .iter()
            .enumerate()
            .map(|(index, relation)| (relation.oid, index))
            .collect();
        Ok(Self {
            version: CatalogVersion(u64::from_be_bytes(*head)),
            content,
            by_oid,
        })
    }

    /// The hash of its content: equal versions mean equal analysis.
    #[must_use]
    pub fn version(&self) -> CatalogVersion {
        self.version
    }

    /// The server's `server_version_num`.
    #[must_use]
    pub fn server_version_num(&self) -> u32 {
        self.content.server_version_num
    }

    /// The database's exact name.
    #[must_use]
    pub fn database(&self) -> &Arc<str> {
        &self.content.database
    }

    /// The relation with this oid.
    #[must_use]
    pub fn relation(&self, oid: u32) -> Option<&Arc<Relation>> {
        self.by_oid
            .get(&oid)
            .and_then(|index| self.content.relations.get(*index))
    }
}

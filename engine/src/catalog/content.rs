//! What a catalog is made of, as the query gives it and as files hold it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Cast, EventTrigger, Function, Operator, Relation, UserType};

/// What a catalog holds, as [`super::CATALOG_QUERY`] gives it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) server_version_num: u32,
    pub(crate) database: Arc<str>,
    /// The reading session's own temporary schema, where it has one.
    #[serde(default)]
    pub(crate) temp_schema: Option<Arc<str>>,
    pub(crate) schemas: HashSet<Arc<str>>,
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
    /// Functions of pg_catalog that one argument is enough for.
    pub(crate) builtins: HashSet<Arc<str>>,
}

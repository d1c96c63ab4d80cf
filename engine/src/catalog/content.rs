//! What a catalog is made of, as the query gives it and as files hold it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Cast, EventTrigger, Function, Operator, Relation, TEMP_SCHEMA, UserType};

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

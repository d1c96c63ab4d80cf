//! Views' definitions, which are the costliest of all to read: the server opens every relation that a view is over. A catalog
//! can do without those that nobody asked for: analysis names them and refuses
//! ([`Refusal::lacking`](crate::sql::Refusal::lacking)). Must never let a definition stand for another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Catalog, Error, content, stamp_query, wire::Lines};

/// How long the catalog's keeper waits for a lock: whoever holds one for longer (a schema change in an open transaction, LOCK
/// TABLE) must not keep everybody's catalog from being read.
macro_rules! briefly {
    () => {
        "SET LOCAL search_path = pg_catalog; SET LOCAL jit = off; SET LOCAL lock_timeout = 200;\n"
    };
}

/// Every text is read, whoever has locked its relation.
macro_rules! none_locked {
    () => {
        "locked AS MATERIALIZED (SELECT NULL::pg_catalog.oid AS relation WHERE false),\n"
    };
}
pub(super) use none_locked;

/// Texts of what another session has locked are not read.
macro_rules! others_locked {
    () => {
        "locked AS MATERIALIZED (SELECT l.relation FROM pg_catalog.pg_locks AS l \
           WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid() \
             AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())),\n"
    };
}

/// The views that the keeper wants.
macro_rules! some_wanted {
    () => {
        "WITH wanted AS MATERIALIZED (SELECT unnest('{}'::pg_catalog.oid[]) AS oid),\n"
    };
}

/// The views that a session wants, and all beneath.
macro_rules! own_wanted {
    () => {
        "WITH RECURSIVE below AS (\
           SELECT x.oid FROM unnest($1::pg_catalog.oid[]) AS x(oid) \
           UNION \
           SELECT c.oid \
           FROM below AS b JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = b.oid \
             JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid \
               AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
             JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid AND c.relkind IN ('v', 'm')\
         ), wanted AS MATERIALIZED (SELECT oid FROM below),\n"
    };
}

/// Reads the catalog as [`super::CATALOG_QUERY`] does, but of views' definitions only those asked for, for
/// [`Catalog::from_answer`]. [`for_views`] puts the views' numbers in.
pub const OUTLINE_QUERY: &str = concat!(
    briefly!(),
    some_wanted!(),
    none_locked!(),
    include_str!("catalog.sql")
);

/// The same without the texts of what another session has locked (rules, policies, checks, defaults of generated columns): what
/// rests on one is refused. It is what the catalog is only until the lock is gone.
pub const OUTLINE_PAST_LOCKS_QUERY: &str = concat!(
    briefly!(),
    some_wanted!(),
    others_locked!(),
    include_str!("catalog.sql")
);

/// The first reading: [`OUTLINE_QUERY`] in a transaction that stays open for [`FIRST_STAMP_QUERY`].
pub const FIRST_QUERY: &str = concat!(
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL jit = off;\n",
    some_wanted!(),
    none_locked!(),
    include_str!("catalog.sql")
);

/// The stamp of what [`FIRST_QUERY`] gave, after it: in its snapshot, so that whatever changed since shows next time. Ends its
/// transaction.
pub const FIRST_STAMP_QUERY: &str = concat!(stamp_query!(), ";\nCOMMIT");

/// Asks for the definitions of views, and of all views beneath them: one row with one text column, for
/// [`Catalog::with_definitions`]. [`for_views`] puts the views' numbers in.
pub const DEFINITIONS_QUERY: &str = concat!(briefly!(), include_str!("definitions.sql"));

/// The catalog as a session's own transaction sees it, with the definitions of the views that its one parameter numbers (an array),
/// and of all views beneath them. Like [`super::CATALOG_STATEMENT`], for whoever sets `search_path` and `jit` otherwise. A
/// definition locks what its view reads, for a moment: that is why there are no others in it.
pub const OWN_STATEMENT: &str = concat!(own_wanted!(), none_locked!(), include_str!("catalog.sql"));

/// The same without the texts that [`OUTLINE_PAST_LOCKS_QUERY`] leaves out.
pub const OWN_PAST_LOCKS_STATEMENT: &str =
    concat!(own_wanted!(), others_locked!(), include_str!("catalog.sql"));

/// What stands for a text that was not read because another session has locked its relation: no SQL.
pub(crate) const LOCKED_TEXT: &str = "locked by another session";

/// Where the numbers go.
const NUMBERS: &str = "'{}'";

/// One of the queries above, about these views.
#[must_use]
pub fn for_views(query: &'static str, views: &BTreeSet<u32>) -> String {
    let numbers: Vec<String> = views.iter().map(u32::to_string).collect();
    query.replacen(NUMBERS, &format!("'{{{}}}'", numbers.join(",")), 1)
}

impl Catalog {
    /// The views whose definitions are here.
    #[must_use]
    pub fn defined(&self) -> BTreeSet<u32> {
        let views = self.relations.values();
        let defined = views.filter(|one| one.definition.is_some());
        defined.map(|one| one.oid).collect()
    }

    /// This catalog with definitions that [`DEFINITIONS_QUERY`] gave. One that was made after this catalog was read is left
    /// out: it belongs to another catalog. So must be the whole answer where something else was changed since (the caller asks
    /// for the stamp afterwards): the server deparses by the names of now.
    ///
    /// # Errors
    /// [`Error::Line`] for anything else than such an answer.
    pub fn with_definitions(&self, answer: &[u8]) -> Result<Self, Error> {
        let section = "definitions";
        let text = str::from_utf8(answer).map_err(|_| Error::Line { section })?;
        let mut lines = Lines::new(section, text);
        let mut catalog = self.clone();
        while lines.more() {
            let (oid, mark): (u32, u32) = (lines.number()?, lines.number()?);
            let definition = lines.text()?;
            let Some(known) = self.relations.get(&oid) else {
                continue;
            };
            if known.definition_mark != Some(mark) {
                continue;
            }
            let mut view = (**known).clone();
            view.definition = Some(definition.into());
            let view = Arc::new(view);
            let names = catalog.by_name.entry(Arc::clone(&view.schema)).or_default();
            names.insert(Arc::clone(&view.name), Arc::clone(&view));
            catalog.relations.insert(oid, view);
        }
        let definitions: BTreeMap<u32, &str> = catalog
            .relations
            .iter()
            .filter_map(|(oid, one)| Some((*oid, &**one.definition.as_ref()?)))
            .collect();
        catalog.version = content::version(&catalog.outline, definitions);
        Ok(catalog)
    }
}

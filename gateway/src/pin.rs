//! The question that holds views as they are: it locks relations until the end of the transaction, then reads what they are.
//! Asked right before a statement that reads masked columns through views, in the same transaction (ruling 4).
//!
//! Must never say that a relation is what the catalog says where it was not locked first, or was read in an older snapshot.

use std::sync::Arc;

use provost_engine::catalog::{Catalog, RelationKind};
use serde::Deserialize;

/// Locks relations by their numbers, in ACCESS SHARE and to the end of the transaction, whoever owns them and whatever they are
/// called: describing a relation in XML Schema opens it and keeps the lock, needs no right and runs nothing of it. That they are
/// locked is not taken for granted: [`READ_QUESTION`] says it of each.
///
/// # Source
/// PostgreSQL's `table_to_xmlschema`, which closes the relation with `NoLock`; 13 to 18.
pub(crate) const HOLD_QUESTION: &str = "SELECT pg_catalog.count(pg_catalog.table_to_xmlschema(\
       x.oid::pg_catalog.regclass, false, false, '')) \
     FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS x(oid) \
     WHERE EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) x.oid)";

/// Says what the relations are, once they are locked: a statement of its own, so that its snapshot is younger than the locks.
/// In REPEATABLE READ it is not: the server expands a view by its newest definition, and shows the one of the snapshot.
pub(crate) const READ_QUESTION: &str = "SELECT pg_catalog.json_build_object(\
     'isolation', pg_catalog.current_setting('transaction_isolation'), \
     'relations', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(\
       'oid', c.oid::pg_catalog.int8, \
       'schema', CASE WHEN n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
         THEN 'pg_temp'::pg_catalog.text ELSE n.nspname::pg_catalog.text END, \
       'name', c.relname, \
       'kind', c.relkind, \
       'visible', pg_catalog.pg_table_is_visible(c.oid), \
       'mark', (SELECT r.xmin::pg_catalog.text::pg_catalog.int8 FROM pg_catalog.pg_rewrite AS r \
         WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid AND r.ev_type OPERATOR(pg_catalog.=) '1'::pg_catalog.\"char\" \
           AND r.rulename OPERATOR(pg_catalog.=) '_RETURN'::pg_catalog.name), \
       'columns', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attnum, a.atttypid::pg_catalog.int8, a.attname) \
           ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a \
         WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 \
           AND NOT a.attisdropped), \
       'held', c.oid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT l.relation FROM pg_catalog.pg_locks AS l \
         WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.granted \
           AND l.locktype OPERATOR(pg_catalog.=) 'relation'::pg_catalog.text))\
     )) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
       WHERE c.oid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])))::pg_catalog.text";

/// The relations that a statement rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    oids: Vec<u32>,
    /// The same as the server reads an array.
    array: String,
}

impl Pin {
    pub(crate) fn new(mut oids: Vec<u32>) -> Self {
        oids.sort_unstable();
        oids.dedup();
        let texts: Vec<String> = oids.iter().map(u32::to_string).collect();
        let array = format!("{{{}}}", texts.join(","));
        Self { oids, array }
    }

    /// The value of both questions.
    pub(crate) const fn array(&self) -> &str {
        self.array.as_str()
    }
}

/// The answer to [`READ_QUESTION`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Pinned {
    isolation: String,
    relations: Option<Vec<Held>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Held {
    oid: u32,
    schema: String,
    name: String,
    kind: RelationKind,
    /// Its bare name means it, by the search path.
    visible: bool,
    mark: Option<u32>,
    columns: Option<Vec<(i16, u32, String)>>,
    held: bool,
}

/// Why a statement can't rest on what was locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The snapshot may be older than the locks.
    Snapshot,
    /// A relation that exists is not locked.
    Unlocked,
    /// A relation is not what the catalog says.
    Changed,
}

impl Pinned {
    /// Reads it.
    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Whether all relations of the pin are locked and what the catalog says, and their names mean what they mean by this path.
    ///
    /// # Errors
    /// How they differ.
    pub(crate) fn agrees(
        &self,
        pin: &Pin,
        catalog: &Catalog,
        path: &[Arc<str>],
    ) -> Result<(), Difference> {
        // "Read uncommitted" is read committed.
        if !matches!(&*self.isolation, "read committed" | "read uncommitted") {
            return Err(Difference::Snapshot);
        }
        let relations = self.relations.as_deref().unwrap_or_default();
        for oid in &pin.oids {
            let Some(held) = relations.iter().find(|held| held.oid == *oid) else {
                return Err(Difference::Changed);
            };
            if !held.held {
                return Err(Difference::Unlocked);
            }
            let is_hidden = !held.visible && is_visible(*oid, catalog, path);
            if is_hidden || !held.is_in(catalog) {
                return Err(Difference::Changed);
            }
        }
        Ok(())
    }
}

/// Whether the relation's bare name means it, as far as the catalog says. Names that the server's own relations have are not told.
fn is_visible(oid: u32, catalog: &Catalog, path: &[Arc<str>]) -> bool {
    let Some(known) = catalog.relation(oid) else {
        return false;
    };
    let mut named = path
        .iter()
        .filter_map(|schema| catalog.relation_named(schema, &known.name));
    let is_servers = catalog.relation_named("pg_catalog", &known.name).is_some();
    named.next().is_some_and(|first| first.oid == oid) && !is_servers
}

impl Held {
    fn is_in(&self, catalog: &Catalog) -> bool {
        let Some(known) = catalog.relation(self.oid) else {
            return false;
        };
        let columns = self.columns.as_deref().unwrap_or_default();
        let same_columns = columns.len() == known.attributes.len()
            && columns.iter().zip(&known.attributes).all(
                |((number, type_oid, name), attribute)| {
                    *number == attribute.number
                        && *type_oid == attribute.type_oid
                        && **name == *attribute.name
                },
            );
        let same_definition = match known.kind {
            // One without a mark comes from a file, and nothing can be said of it.
            RelationKind::View => self.mark.is_some() && self.mark == known.definition_mark,
            RelationKind::Table
            | RelationKind::Partitioned
            | RelationKind::MaterialisedView
            | RelationKind::Foreign
            | RelationKind::Sequence
            | RelationKind::Composite => true,
        };
        self.kind == known.kind
            && *self.schema == *known.schema
            && *self.name == *known.name
            && same_columns
            && same_definition
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use provost_engine::catalog::Catalog;

    use super::{Difference, Pin, Pinned};

    /// A table and a view over it.
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
        Catalog::from_file(
            r#"{"provost_catalog": 1, "server_version_num": 150000, "database": "shop", "schemas": ["public"],
            "relations": [
                {"oid": 20000, "schema": "public", "name": "t", "kind": "r", "attributes": [
                    {"number": 1, "name": "ssn", "type": 25}, {"number": 3, "name": "name", "type": 25}]},
                {"oid": 20001, "schema": "public", "name": "v", "kind": "v", "definition": " SELECT t.ssn AS a FROM public.t;",
                    "definition_mark": 700, "attributes": [{"number": 1, "name": "a", "type": 25}]}],
            "functions": [], "called": {}, "operators": [], "types": [], "casts": [], "event_triggers": [], "builtins": []}"#,
        )
        .unwrap()
    });

    const TABLE: &str = r#"{"oid": 20000, "schema": "public", "name": "t", "kind": "r", "visible": true, "mark": null,
        "columns": [[1, 25, "ssn"], [3, 25, "name"]], "held": true}"#;
    const VIEW: &str = r#"{"oid": 20001, "schema": "public", "name": "v", "kind": "v", "visible": true, "mark": 700,
        "columns": [[1, 25, "a"]], "held": true}"#;

    fn check(isolation: &str, relations: &str, expected: Result<(), Difference>) {
        check_by(&["public".into()], isolation, relations, expected);
    }

    fn check_by(
        path: &[Arc<str>],
        isolation: &str,
        relations: &str,
        expected: Result<(), Difference>,
    ) {
        let json = format!(r#"{{"isolation": "{isolation}", "relations": {relations}}}"#);
        let pinned = Pinned::from_json(json.as_bytes()).unwrap();
        let pin = Pin::new(vec![20_001, 20_000, 20_001]);
        assert_eq!(pinned.agrees(&pin, &CATALOG, path), expected, "{json}");
    }

    #[test]
    fn what_was_locked_is_what_analysis_read() {
        let committed = "read committed";
        let both = format!("[{TABLE}, {VIEW}]");
        check(committed, &both, Ok(()));
        check("read uncommitted", &both, Ok(()));
        for isolation in ["repeatable read", "serializable", "another one"] {
            check(isolation, &both, Err(Difference::Snapshot));
        }
        let other = |from: &str, to: &str| {
            assert!(both.contains(from));
            both.replacen(from, to, 1)
        };
        for (from, to) in [
            ("700", "701"),
            ("700", "null"),
            ("\"ssn\"", "\"name\""),
            ("[3, 25", "[2, 25"),
            ("[1, 25, \"a\"]", "[1, 23, \"a\"]"),
            (", [3, 25, \"name\"]", ""),
            ("\"public\"", "\"hr\""),
            ("\"t\"", "\"u\""),
            ("\"name\": \"v\"", "\"name\": \"m\""),
            ("20000", "20002"),
        ] {
            check(committed, &other(from, to), Err(Difference::Changed));
        }
        check(
            committed,
            &other("\"held\": true", "\"held\": false"),
            Err(Difference::Unlocked),
        );
        // Another relation came to hide it; what was never to be seen by its bare name still is not.
        let hidden = other("\"visible\": true", "\"visible\": false");
        check(committed, &hidden, Err(Difference::Changed));
        check_by(&["hr".into()], committed, &hidden, Ok(()));
        check(committed, &format!("[{TABLE}]"), Err(Difference::Changed));
        check(committed, "null", Err(Difference::Changed));
    }

    #[test]
    fn a_pin_asks_for_each_relation_once() {
        assert_eq!(Pin::new(vec![9, 7, 9]).array(), "{7,9}");
    }
}

//! Maintenance, locks, code blocks and two-phase commit. What runs expressions of indexes says so; what can't be bounded is
//! opaque.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, ReindexObjectType, TransactionStmtKind},
};

use super::{
    super::{
        Refusal,
        book::{Descend, Keep},
        resolver::Resolver,
    },
    Reading,
};
use crate::{
    catalog::{Relation, RelationKind},
    facts::{Kind, Object, Operation, SessionEffect},
};

impl Resolver<'_> {
    /// VACUUM and ANALYZE.
    pub(super) fn vacuum(&mut self, vacuum: &pg::VacuumStmt) -> Result<Reading, Refusal> {
        for node in &vacuum.rels {
            let Some(NodeEnum::VacuumRelation(relation)) = &node.node else {
                return Err(Refusal::not_understood("this VACUUM"));
            };
            let Some(name) = &relation.relation else {
                return Err(Refusal::not_understood("this VACUUM"));
            };
            self.seen.mark(name);
            let relation = self.relation(name)?;
            self.maintained(&relation)?;
        }
        if vacuum.rels.is_empty() {
            self.database_maintained();
        }
        self.seen.mark_bounded(vacuum);
        Ok(Reading::new(Kind::Maintain))
    }

    /// REINDEX of an index, a table, a schema or the database.
    pub(super) fn reindex(&mut self, reindex: &pg::ReindexStmt) -> Result<Reading, Refusal> {
        match reindex.kind() {
            ReindexObjectType::ReindexObjectTable | ReindexObjectType::ReindexObjectIndex => {
                let Some(name) = &reindex.relation else {
                    return Err(Refusal::not_understood("this REINDEX"));
                };
                self.seen.mark(name);
                match self.relation_or_index(name) {
                    Some(relation) => self.maintained(&relation)?,
                    None => self.maintained_object("index", &name.relname),
                }
            }
            ReindexObjectType::ReindexObjectSchema => {
                let mut found: Vec<Arc<Relation>> = self
                    .catalog
                    .relations()
                    .filter(|relation| *relation.schema == *reindex.name)
                    .cloned()
                    .collect();
                self.work(found.len())?;
                found.sort_by(|left, right| left.name.cmp(&right.name));
                for relation in &found {
                    self.maintained(relation)?;
                }
                self.maintained_object("schema", &reindex.name);
            }
            ReindexObjectType::ReindexObjectSystem
            | ReindexObjectType::ReindexObjectDatabase
            | ReindexObjectType::Undefined => self.database_maintained(),
        }
        self.seen.mark_bounded(reindex);
        Ok(Reading::new(Kind::Maintain))
    }

    /// CLUSTER: the rows of a table in the order of an index.
    pub(super) fn cluster(&mut self, cluster: &pg::ClusterStmt) -> Result<Reading, Refusal> {
        match &cluster.relation {
            Some(name) => {
                self.seen.mark(name);
                let relation = self.relation(name)?;
                self.maintained(&relation)?;
            }
            None => self.database_maintained(),
        }
        self.seen.mark_bounded(cluster);
        Ok(Reading::new(Kind::Maintain))
    }

    /// A relation, or the one that an index of this name is on.
    fn relation_or_index(&mut self, name: &pg::RangeVar) -> Option<Arc<Relation>> {
        if let Ok(relation) = self.relation(name) {
            return Some(relation);
        }
        let index = name.relname.as_str();
        let on_path = |relation: &&Arc<Relation>| {
            if name.schemaname.is_empty() {
                self.path.contains(&relation.schema)
            } else {
                *relation.schema == *name.schemaname
            }
        };
        self.catalog
            .relations()
            .filter(on_path)
            .find(|relation| relation.indexes.iter().any(|known| **known == *index))
            .cloned()
    }

    /// Maintenance of a relation and what is below it evaluates the expressions of its indexes.
    fn maintained(&mut self, relation: &Arc<Relation>) -> Result<(), Refusal> {
        for relation in [relation.clone()]
            .into_iter()
            .chain(self.catalog.descendants(relation.oid))
        {
            self.book
                .plain(Self::object(&relation), Operation::Maintain);
            self.write_expressions(&relation)?;
        }
        Ok(())
    }

    fn maintained_object(&mut self, sort: &str, name: &str) {
        self.book.plain(
            Object::Other {
                sort: sort.into(),
                schema: None,
                name: name.into(),
            },
            Operation::Maintain,
        );
    }

    /// The database as a whole.
    pub(super) fn database_maintained(&mut self) {
        let database = self.catalog.database().clone();
        self.maintained_object("database", &database);
    }

    /// LOCK: descendants, and what is below a view, are locked too.
    pub(super) fn lock_relation(&mut self, node: &Node) -> Result<(), Refusal> {
        let Some(NodeEnum::RangeVar(name)) = &node.node else {
            return Err(Refusal::not_understood("this object"));
        };
        self.seen.mark(name);
        let relation = self.relation(name)?;
        self.book.plain(Self::object(&relation), Operation::Lock);
        if name.inh {
            for descendant in self.catalog.descendants(relation.oid) {
                self.book.plain(Self::object(&descendant), Operation::Lock);
            }
        }
        if relation.kind == RelationKind::View {
            let outer = self.book.set_quiet(true);
            let keep = std::mem::replace(&mut self.keep, Keep::IfUsed);
            let item = self.relation_item(&relation, Descend::Only, Keep::IfUsed);
            self.keep = keep;
            self.book.set_quiet(outer);
            self.book.lock(item?.entries);
        }
        Ok(())
    }

    /// LOAD: code of the server's machine, into the server.
    pub(super) fn load(&mut self, load: &pg::LoadStmt) -> Reading {
        self.book.plain(
            Object::Other {
                sort: "file".into(),
                schema: None,
                name: load.filename.as_str().into(),
            },
            Operation::Opaque,
        );
        self.book
            .opaque("load", "runs code from a file of the server's machine");
        Reading::new(Kind::Other)
    }

    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED: a transaction that any session may end.
    pub(super) fn two_phase(&mut self, transaction: &pg::TransactionStmt) -> Reading {
        self.book.plain(
            Object::Other {
                sort: "transaction".into(),
                schema: None,
                name: transaction.gid.as_str().into(),
            },
            Operation::Transaction,
        );
        self.book.opaque(
            "prepared transaction",
            "it outlives its session with all its locks, and any session may end it",
        );
        // What it changed in the schema is there from now on.
        let session_effect = match transaction.kind() {
            TransactionStmtKind::TransStmtCommitPrepared => SessionEffect::Catalog,
            _ => SessionEffect::None,
        };
        Reading {
            kind: Kind::Other,
            outputs: Some(Vec::new()),
            session_effect,
        }
    }
}

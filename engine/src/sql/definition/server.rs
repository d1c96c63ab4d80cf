//! The server as a whole and its ties to others: databases, tablespaces, extensions, foreign servers, subscriptions. What
//! brings in what the statement does not say is opaque.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, PublicationObjSpecType},
};

use super::{
    super::{
        Refusal,
        nodes::{expressions, parts, planned, queries, ranges, schema_commands, session_commands},
        resolver::Resolver,
        scope::Scope,
        utility::{Reading, refuse_own},
    },
    role_name,
};
use crate::facts::{Kind, Object, Operation, SessionEffect, Use};

impl Resolver<'_> {
    /// A statement about the server, or about what the database has to do with others.
    pub(super) fn of_the_server(&mut self, node: &NodeEnum) -> Result<Reading, Refusal> {
        use Operation::{Alter, Create, Drop};
        let (sort, name, operation) = match node {
            NodeEnum::CreateTableSpaceStmt(it) => ("tablespace", &it.tablespacename, Create),
            NodeEnum::DropTableSpaceStmt(it) => ("tablespace", &it.tablespacename, Drop),
            NodeEnum::AlterTableSpaceOptionsStmt(it) => ("tablespace", &it.tablespacename, Alter),
            NodeEnum::AlterTableMoveAllStmt(it) => {
                self.book.opaque(
                    &it.orig_tablespacename,
                    "moves every relation of a tablespace, which the statement does not name",
                );
                ("tablespace", &it.orig_tablespacename, Alter)
            }
            NodeEnum::CreateExtensionStmt(it) => {
                self.runs_script(&it.extname);
                ("extension", &it.extname, Create)
            }
            NodeEnum::AlterExtensionStmt(it) => {
                self.runs_script(&it.extname);
                ("extension", &it.extname, Alter)
            }
            NodeEnum::AlterExtensionContentsStmt(it) => {
                self.object_touched(it.objtype(), None, it.object.as_deref(), Alter)?;
                ("extension", &it.extname, Alter)
            }
            NodeEnum::CreateFdwStmt(it) => ("foreign-data wrapper", &it.fdwname, Create),
            NodeEnum::AlterFdwStmt(it) => ("foreign-data wrapper", &it.fdwname, Alter),
            NodeEnum::CreateForeignServerStmt(it) => ("server", &it.servername, Create),
            NodeEnum::AlterForeignServerStmt(it) => ("server", &it.servername, Alter),
            NodeEnum::CreateUserMappingStmt(it) => ("user mapping", &it.servername, Create),
            NodeEnum::AlterUserMappingStmt(it) => ("user mapping", &it.servername, Alter),
            NodeEnum::DropUserMappingStmt(it) => ("user mapping", &it.servername, Drop),
            NodeEnum::ImportForeignSchemaStmt(it) => {
                self.book.opaque(
                    &it.server_name,
                    "the foreign server says which tables come to be",
                );
                ("schema", &it.local_schema, Create)
            }
            NodeEnum::CreatedbStmt(it) => ("database", &it.dbname, Create),
            NodeEnum::AlterDatabaseStmt(it) => ("database", &it.dbname, Alter),
            NodeEnum::AlterDatabaseRefreshCollStmt(it) => ("database", &it.dbname, Alter),
            NodeEnum::AlterDatabaseSetStmt(it) => {
                self.default_setting(it.setstmt.as_ref())?;
                ("database", &it.dbname, Alter)
            }
            NodeEnum::DropdbStmt(it) => ("database", &it.dbname, Drop),
            NodeEnum::AlterSystemStmt(it) => return self.alter_system(it),
            NodeEnum::CreateSubscriptionStmt(it) => {
                self.replicates(&it.subname);
                ("subscription", &it.subname, Create)
            }
            NodeEnum::AlterSubscriptionStmt(it) => {
                self.replicates(&it.subname);
                ("subscription", &it.subname, Alter)
            }
            NodeEnum::DropSubscriptionStmt(it) => ("subscription", &it.subname, Drop),
            queries!()
            | session_commands!()
            | schema_commands!()
            | expressions!()
            | ranges!()
            | parts!()
            | planned!() => return Err(Refusal::not_understood("this kind of statement")),
        };
        self.other(sort, name, operation);
        self.seen.mark_bounded(node);
        self.event_triggers();
        Ok(Reading {
            kind: Kind::Ddl,
            outputs: None,
            session_effect: SessionEffect::Catalog,
        })
    }

    /// CREATE PUBLICATION and ALTER PUBLICATION: whoever may replicate sees the rows of these tables.
    pub(super) fn publication(
        &mut self,
        (name, statement): (&str, &impl serde::Serialize),
        objects: &[pg::Node],
        for_all_tables: bool,
        operation: Operation,
    ) -> Result<Kind, Refusal> {
        self.other("publication", name, operation);
        if for_all_tables {
            self.book
                .opaque(name, "reaches every table of the database");
        }
        for node in objects {
            let Some(NodeEnum::PublicationObjSpec(object)) = &node.node else {
                return Err(Refusal::not_understood("this publication"));
            };
            match object.pubtable.as_deref() {
                Some(table) => {
                    let relation = self.altered(table.relation.as_ref(), Operation::Alter)?;
                    let scope = match &relation {
                        Some(relation) => self.scope_of(relation)?,
                        None => Scope::any_column(),
                    };
                    let picked = self.optional(table.where_clause.as_deref(), &scope)?;
                    self.book.used(&picked, Use::Filter);
                }
                None => {
                    let schema: Arc<str> = match object.pubobjtype() {
                        PublicationObjSpecType::PublicationobjTablesInCurSchema => {
                            self.first_schema()
                        }
                        _ => object.name.as_str().into(),
                    };
                    for relation in self.relations_in(&schema)? {
                        self.book.plain(Self::object(&relation), Operation::Alter);
                    }
                }
            }
        }
        Ok(self.bounded(statement))
    }

    fn runs_script(&mut self, extension: &str) {
        self.book
            .opaque(extension, "an extension's script runs whatever it holds");
    }

    fn replicates(&mut self, subscription: &str) {
        self.book.opaque(
            subscription,
            "a subscription writes what another server sends",
        );
    }

    /// ALTER SYSTEM: a setting for every session of the server.
    fn alter_system(&mut self, alter: &pg::AlterSystemStmt) -> Result<Reading, Refusal> {
        let name = self.default_setting(alter.setstmt.as_ref())?;
        self.other("system", &name, Operation::Alter);
        self.seen.mark_bounded(alter);
        Ok(Reading {
            kind: Kind::Ddl,
            outputs: None,
            session_effect: SessionEffect::None,
        })
    }

    /// The name of a setting that others will start with.
    fn default_setting(&mut self, set: Option<&pg::VariableSetStmt>) -> Result<Arc<str>, Refusal> {
        let Some(set) = set else {
            return Err(Refusal::not_understood("this setting"));
        };
        let name = set.name.to_lowercase();
        refuse_own(&name)?;
        Ok(name.into())
    }

    /// ALTER ROLE ... SET: what the role's sessions start with.
    pub(super) fn role_setting(&mut self, alter: &pg::AlterRoleSetStmt) -> Result<Kind, Refusal> {
        let name = self.default_setting(alter.setstmt.as_ref())?;
        self.other("role", role_name(alter.role.as_ref()), Operation::Grant);
        self.book.plain(Object::Setting(name), Operation::Session);
        self.seen.mark_bounded(alter);
        Ok(Kind::Grant)
    }
}

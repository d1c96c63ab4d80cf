//! Schema changes: which objects are created, altered, dropped or granted, what their expressions run, and which values move
//! to other names. Every statement of the grammar is named here or in `utility`.

mod cascade;
mod copy;
mod drop;
mod grant;
mod place;
mod program;
mod server;
mod table;

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, ObjectType},
};

use super::{
    Refusal,
    book::Value,
    nodes::{expressions, parts, planned, queries, ranges, server_commands, session_commands},
    resolver::{Resolver, strings},
    session_names::Temporary,
    utility::Reading,
};
use crate::{
    catalog::Relation,
    facts::{Column, ColumnWrite, How, Kind, Lineage, Object, Operation, SessionEffect, Source},
};

/// The schema of a session's temporary objects, whatever the server calls it.
pub(super) const TEMPORARY: &str = "pg_temp";

impl Resolver<'_> {
    /// A statement that changes the schema or who may do what.
    pub(super) fn definition(&mut self, node: &NodeEnum) -> Result<Reading, Refusal> {
        let kind = match node {
            NodeEnum::CreateStmt(create) => self.create_table(create)?,
            NodeEnum::CreateForeignTableStmt(create) => self.create_foreign_table(create)?,
            NodeEnum::CreateTableAsStmt(create) => self.create_table_as(create)?,
            NodeEnum::ViewStmt(view) => self.create_view(view)?,
            NodeEnum::RefreshMatViewStmt(refresh) => self.refresh(refresh)?,
            NodeEnum::IndexStmt(index) => self.create_index(index)?,
            NodeEnum::CreateStatsStmt(create) => self.create_statistics(create)?,
            NodeEnum::AlterTableStmt(alter) => self.alter_table(alter)?,
            NodeEnum::CreateSeqStmt(create) => {
                self.create(create.sequence.as_ref())?;
                self.bounded(create)
            }
            NodeEnum::AlterSeqStmt(alter) => {
                self.altered(alter.sequence.as_ref(), Operation::Alter)?;
                self.bounded(alter)
            }
            NodeEnum::DropStmt(drop) => self.drop_objects(drop)?,
            NodeEnum::RenameStmt(rename) => self.rename(rename)?,
            NodeEnum::AlterObjectSchemaStmt(alter) => self.set_schema(alter)?,
            NodeEnum::AlterOwnerStmt(alter) => self.set_owner(alter)?,
            NodeEnum::AlterObjectDependsStmt(alter) => {
                self.object_touched(
                    alter.object_type(),
                    alter.relation.as_ref(),
                    alter.object.as_deref(),
                    Operation::Alter,
                )?;
                self.bounded(alter)
            }
            NodeEnum::CommentStmt(comment) => {
                self.object_touched(
                    comment.objtype(),
                    None,
                    comment.object.as_deref(),
                    Operation::Alter,
                )?;
                self.bounded(comment.as_ref())
            }
            NodeEnum::SecLabelStmt(label) => {
                self.object_touched(
                    label.objtype(),
                    None,
                    label.object.as_deref(),
                    Operation::Alter,
                )?;
                self.bounded(label.as_ref())
            }
            NodeEnum::CreateSchemaStmt(create) => self.create_schema(create)?,
            NodeEnum::GrantStmt(grant) => self.grant(grant)?,
            NodeEnum::GrantRoleStmt(grant) => self.grant_roles(grant),
            NodeEnum::AlterDefaultPrivilegesStmt(alter) => self.default_privileges(alter),
            NodeEnum::CreateRoleStmt(create) => self.role(&create.role, create),
            NodeEnum::AlterRoleStmt(alter) => self.role(role_name(alter.role.as_ref()), alter),
            NodeEnum::AlterRoleSetStmt(alter) => self.role_setting(alter)?,
            NodeEnum::DropRoleStmt(drop) => self.drop_roles(drop),
            NodeEnum::DropOwnedStmt(drop) => self.owned(&drop.roles, drop),
            NodeEnum::ReassignOwnedStmt(reassign) => self.owned(&reassign.roles, reassign),
            NodeEnum::CreatePolicyStmt(create) => self.policy(
                create.table.as_ref(),
                [create.qual.as_deref(), create.with_check.as_deref()],
                (&create.policy_name, create.as_ref()),
                Operation::Create,
            )?,
            NodeEnum::AlterPolicyStmt(alter) => self.policy(
                alter.table.as_ref(),
                [alter.qual.as_deref(), alter.with_check.as_deref()],
                (&alter.policy_name, alter.as_ref()),
                Operation::Alter,
            )?,
            NodeEnum::CreateTrigStmt(create) => self.create_trigger(create)?,
            NodeEnum::RuleStmt(rule) => self.create_rule(rule)?,
            NodeEnum::CreateFunctionStmt(create) => self.create_function(create)?,
            NodeEnum::AlterFunctionStmt(alter) => {
                let function = alter.func.as_ref();
                let names = function.map_or(&[][..], |function| function.objname.as_slice());
                self.there_as(ObjectType::ObjectFunction, names, Operation::Alter);
                self.function_settings(&alter.actions)?;
                self.bounded(alter)
            }
            NodeEnum::CreateDomainStmt(create) => self.create_domain(create)?,
            NodeEnum::AlterDomainStmt(alter) => self.alter_domain(alter)?,
            NodeEnum::CompositeTypeStmt(create) => self.create_composite(create)?,
            NodeEnum::CreateEnumStmt(create) => {
                self.made_as(ObjectType::ObjectType, &create.type_name);
                self.bounded(create)
            }
            NodeEnum::AlterEnumStmt(alter) => {
                self.there_as(ObjectType::ObjectType, &alter.type_name, Operation::Alter);
                self.bounded(alter)
            }
            NodeEnum::CreateRangeStmt(create) => {
                self.made_as(ObjectType::ObjectType, &create.type_name);
                self.bounded(create)
            }
            NodeEnum::AlterTypeStmt(alter) => {
                self.there_as(ObjectType::ObjectType, &alter.type_name, Operation::Alter);
                self.bounded(alter)
            }
            NodeEnum::DefineStmt(define) => self.define(define)?,
            NodeEnum::CreateOpClassStmt(create) => {
                self.made_as(ObjectType::ObjectOpclass, &create.opclassname);
                self.bounded(create)
            }
            NodeEnum::CreateOpFamilyStmt(create) => {
                self.made_as(ObjectType::ObjectOpfamily, &create.opfamilyname);
                self.bounded(create)
            }
            NodeEnum::AlterOpFamilyStmt(alter) => {
                self.there_as(
                    ObjectType::ObjectOpfamily,
                    &alter.opfamilyname,
                    Operation::Alter,
                );
                self.bounded(alter)
            }
            NodeEnum::AlterOperatorStmt(alter) => {
                let names = alter
                    .opername
                    .as_ref()
                    .map_or(&[][..], |name| name.objname.as_slice());
                self.there_as(ObjectType::ObjectOperator, names, Operation::Alter);
                self.bounded(alter)
            }
            NodeEnum::AlterCollationStmt(alter) => {
                self.there_as(
                    ObjectType::ObjectCollation,
                    &alter.collname,
                    Operation::Alter,
                );
                self.bounded(alter)
            }
            NodeEnum::CreateCastStmt(create) => self.create_cast(create)?,
            NodeEnum::CreateTransformStmt(create) => {
                self.other("transform", &create.lang, Operation::Create);
                self.bounded(create)
            }
            NodeEnum::CreateConversionStmt(create) => self.create_conversion(create),
            NodeEnum::CreatePlangStmt(create) => {
                self.other("language", &create.plname, Operation::Create);
                self.bounded(create)
            }
            NodeEnum::CreateAmStmt(create) => {
                self.other("access method", &create.amname, Operation::Create);
                self.bounded(create)
            }
            NodeEnum::CreateEventTrigStmt(create) => {
                self.other("event trigger", &create.trigname, Operation::Create);
                self.bounded(create)
            }
            NodeEnum::AlterEventTrigStmt(alter) => {
                self.other("event trigger", &alter.trigname, Operation::Alter);
                self.bounded(alter)
            }
            NodeEnum::AlterTsdictionaryStmt(alter) => {
                self.there_as(
                    ObjectType::ObjectTsdictionary,
                    &alter.dictname,
                    Operation::Alter,
                );
                self.bounded(alter)
            }
            NodeEnum::AlterTsconfigurationStmt(alter) => {
                self.there_as(
                    ObjectType::ObjectTsconfiguration,
                    &alter.cfgname,
                    Operation::Alter,
                );
                self.bounded(alter)
            }
            NodeEnum::AlterStatsStmt(alter) => {
                self.there_as(
                    ObjectType::ObjectStatisticExt,
                    &alter.defnames,
                    Operation::Alter,
                );
                self.bounded(alter)
            }
            NodeEnum::CreatePublicationStmt(create) => self.publication(
                (&create.pubname, create),
                &create.pubobjects,
                create.for_all_tables,
                Operation::Create,
            )?,
            NodeEnum::AlterPublicationStmt(alter) => self.publication(
                (&alter.pubname, alter),
                &alter.pubobjects,
                alter.for_all_tables,
                Operation::Alter,
            )?,
            server_commands!() => return self.of_the_server(node),
            queries!()
            | session_commands!()
            | expressions!()
            | ranges!()
            | parts!()
            | planned!() => return Err(Refusal::not_understood("this kind of statement")),
        };
        if self.book.creates_in(TEMPORARY) {
            self.refuse_temporary()?;
        }
        self.event_triggers();
        Ok(Reading {
            kind,
            outputs: None,
            session_effect: SessionEffect::Catalog,
        })
    }

    /// Functions that run because the schema changes.
    fn event_triggers(&mut self) {
        let events = [
            "ddl_command_start",
            "ddl_command_end",
            "sql_drop",
            "table_rewrite",
        ];
        let names: Vec<Arc<str>> = self
            .catalog
            .event_triggers()
            .iter()
            .filter(|trigger| events.contains(&&*trigger.event))
            .map(|trigger| trigger.name.clone())
            .collect();
        for name in names {
            self.book.opaque(
                &name,
                "an event trigger runs a function that analysis does not follow",
            );
        }
    }

    /// Everything of the statement is bounded by the accesses just noted.
    fn bounded(&mut self, statement: &impl serde::Serialize) -> Kind {
        self.seen.mark_bounded(statement);
        Kind::Ddl
    }

    /// Everything of the statement is bounded by the accesses just noted, what it names and calls too: it runs when
    /// something else does, and is read again then.
    fn stored_for_later(&mut self, statement: &impl serde::Serialize) -> Kind {
        self.seen.mark_all(statement);
        Kind::Ddl
    }

    fn other(&mut self, sort: &str, name: &str, operation: Operation) {
        self.book.plain(
            Object::Other {
                sort: sort.into(),
                schema: None,
                name: name.into(),
            },
            operation,
        );
    }

    /// A relation that comes to be. It has no oid yet.
    fn create(&mut self, name: Option<&pg::RangeVar>) -> Result<(Arc<str>, Arc<str>), Refusal> {
        let Some(name) = name else {
            return Err(Refusal::not_understood("this statement"));
        };
        self.seen.mark(name);
        if !name.catalogname.is_empty() && *name.catalogname != **self.catalog.database() {
            return Err(
                Refusal::new("0A000", "cross-database references are not implemented")
                    .at(name.location),
            );
        }
        let temporary = name.relpersistence == "t" || name.schemaname.starts_with(TEMPORARY);
        if temporary {
            self.refuse_temporary()?;
        }
        let schema: Arc<str> = if temporary {
            TEMPORARY.into()
        } else if name.schemaname.is_empty() {
            self.schema_of_new()
        } else {
            name.schemaname.as_str().into()
        };
        let name: Arc<str> = name.relname.as_str().into();
        self.book.plain(
            Object::Relation {
                schema: schema.clone(),
                name: name.clone(),
                oid: 0,
            },
            Operation::Create,
        );
        Ok((schema, name))
    }

    /// Refuses an object that would hide others from this session, where that is not followed.
    fn refuse_temporary(&self) -> Result<(), Refusal> {
        match self.names.temporary {
            Temporary::Followed => Ok(()),
            Temporary::Refused => Err(Refusal::not_understood("a temporary object")
                .hint("use a WITH clause, or an ordinary object")),
        }
    }

    /// The schema that objects without one are made in; empty where there is none.
    fn first_schema(&self) -> Arc<str> {
        self.path
            .iter()
            .find(|schema| {
                !matches!(&***schema, "pg_catalog" | TEMPORARY) && self.catalog.has_schema(schema)
            })
            .cloned()
            .unwrap_or_else(|| "".into())
    }

    /// Notes what is done to a relation and its descendants. `None`: it is an index, or not there.
    fn altered(
        &mut self,
        name: Option<&pg::RangeVar>,
        operation: Operation,
    ) -> Result<Option<Arc<Relation>>, Refusal> {
        let Some(name) = name else {
            return Err(Refusal::not_understood("this statement"));
        };
        self.seen.mark(name);
        match self.relation(name) {
            Ok(relation) => {
                self.with_descendants(&relation, operation);
                Ok(Some(relation))
            }
            // Indexes are no relations of the catalog's kinds; an object that is not there is the server's to refuse.
            Err(refusal) if refusal.sqlstate == "42P01" => {
                let names = [&name.schemaname, &name.relname].into_iter();
                let names: Vec<String> = names.filter(|name| !name.is_empty()).cloned().collect();
                if self.index_touched(&names, operation) {
                    return Ok(None);
                }
                let object = Object::Relation {
                    schema: name.schemaname.as_str().into(),
                    name: name.relname.as_str().into(),
                    oid: 0,
                };
                self.book.plain(object, operation);
                Ok(None)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Every relation of a schema, by name.
    fn relations_in(&mut self, schema: &str) -> Result<Vec<Arc<Relation>>, Refusal> {
        let mut found: Vec<Arc<Relation>> = self
            .catalog
            .relations()
            .filter(|relation| *relation.schema == *schema)
            .cloned()
            .collect();
        self.work(found.len())?;
        found.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(found)
    }

    /// The columns of a relation get another name, and so leave the classes of the old one: the values are written there.
    fn moved(
        &mut self,
        relation: &Relation,
        schema: &str,
        name: &str,
        column: impl Fn(&Column) -> Arc<str>,
    ) {
        for from in &relation.columns {
            let to = Column {
                schema: schema.into(),
                relation: name.into(),
                name: column(from),
                ..from.as_ref().clone()
            };
            if to != **from {
                self.book.writes.push(ColumnWrite {
                    column: Arc::new(to),
                    lineage: direct(from),
                });
            }
        }
    }
}

/// The lineage of a column's own value.
fn direct(column: &Arc<Column>) -> Lineage {
    let source = Source {
        column: column.clone(),
        how: How::Direct,
    };
    Lineage {
        sources: [source].into(),
    }
}

/// A column that does not exist yet, written from a value.
fn new_column(
    (schema, relation): (&Arc<str>, &Arc<str>),
    (attribute, name): (i16, Arc<str>),
    value: &Value,
) -> ColumnWrite {
    ColumnWrite {
        column: Arc::new(Column {
            relation_oid: 0,
            attribute,
            schema: schema.clone(),
            relation: relation.clone(),
            name,
            type_oid: 0,
            constrained: false,
        }),
        lineage: value.lineage(),
    }
}

fn role_name(role: Option<&pg::RoleSpec>) -> &str {
    role.map_or("", |role| role.rolename.as_str())
}

/// The roles of a list, by name; the current one and PUBLIC have none.
fn role_names(nodes: &[Node]) -> Vec<&str> {
    nodes
        .iter()
        .map(|node| match &node.node {
            Some(NodeEnum::RoleSpec(role)) => role.rolename.as_str(),
            Some(NodeEnum::AccessPriv(granted)) => granted.priv_name.as_str(),
            _ => "",
        })
        .collect()
}

/// A qualified name in one text; what is no name is left out.
fn joined(nodes: &[Node]) -> String {
    strings(nodes).unwrap_or_default().join(".")
}

/// The parts of an object's name, whatever node the grammar gives it.
fn object_names(node: Option<&Node>) -> Vec<String> {
    let owned = |nodes: &[Node]| -> Vec<String> {
        nodes
            .iter()
            .flat_map(|node| object_names(Some(node)))
            .collect()
    };
    match node.and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::List(list)) => owned(&list.items),
        Some(NodeEnum::String(name)) => vec![name.sval.clone()],
        Some(NodeEnum::Integer(number)) => vec![number.ival.to_string()],
        Some(NodeEnum::Float(number)) => vec![number.fval.clone()],
        Some(NodeEnum::TypeName(name)) => owned(&name.names),
        Some(NodeEnum::ObjectWithArgs(object)) => owned(&object.objname),
        Some(NodeEnum::RangeVar(name)) => [&name.catalogname, &name.schemaname, &name.relname]
            .into_iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect(),
        _ => Vec::new(),
    }
}

fn relation_name(names: &[String]) -> pg::RangeVar {
    let mut names = names.iter().rev().cloned();
    let relname = names.next().unwrap_or_default();
    pg::RangeVar {
        relname,
        schemaname: names.next().unwrap_or_default(),
        catalogname: names.next().unwrap_or_default(),
        ..Default::default()
    }
}

fn is_relation(sort: ObjectType) -> bool {
    matches!(
        sort,
        ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectMatview
            | ObjectType::ObjectSequence
            | ObjectType::ObjectForeignTable
    )
}

/// Whether objects of this sort belong to a relation that their name starts with.
fn is_of_relation(sort: ObjectType) -> bool {
    matches!(
        sort,
        ObjectType::ObjectColumn
            | ObjectType::ObjectTrigger
            | ObjectType::ObjectRule
            | ObjectType::ObjectPolicy
            | ObjectType::ObjectTabconstraint
    )
}

fn object_sort(sort: ObjectType) -> &'static str {
    match sort {
        ObjectType::ObjectIndex => "index",
        ObjectType::ObjectSchema => "schema",
        ObjectType::ObjectType | ObjectType::ObjectAttribute => "type",
        ObjectType::ObjectDomain | ObjectType::ObjectDomconstraint => "domain",
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => "function",
        ObjectType::ObjectExtension => "extension",
        ObjectType::ObjectTrigger => "trigger",
        ObjectType::ObjectRule => "rule",
        ObjectType::ObjectPolicy => "policy",
        ObjectType::ObjectRole => "role",
        ObjectType::ObjectDatabase => "database",
        ObjectType::ObjectAccessMethod => "access method",
        ObjectType::ObjectCast => "cast",
        ObjectType::ObjectCollation => "collation",
        ObjectType::ObjectConversion => "conversion",
        ObjectType::ObjectEventTrigger => "event trigger",
        ObjectType::ObjectFdw => "foreign-data wrapper",
        ObjectType::ObjectForeignServer => "server",
        ObjectType::ObjectUserMapping => "user mapping",
        ObjectType::ObjectLanguage => "language",
        ObjectType::ObjectLargeobject => "large object",
        ObjectType::ObjectOpclass => "operator class",
        ObjectType::ObjectOperator => "operator",
        ObjectType::ObjectOpfamily | ObjectType::ObjectAmop | ObjectType::ObjectAmproc => {
            "operator family"
        }
        ObjectType::ObjectParameterAcl => "parameter",
        ObjectType::ObjectPublication
        | ObjectType::ObjectPublicationNamespace
        | ObjectType::ObjectPublicationRel => "publication",
        ObjectType::ObjectSubscription => "subscription",
        ObjectType::ObjectStatisticExt => "statistics",
        ObjectType::ObjectTablespace => "tablespace",
        ObjectType::ObjectTransform => "transform",
        ObjectType::ObjectTsconfiguration => "text search configuration",
        ObjectType::ObjectTsdictionary => "text search dictionary",
        ObjectType::ObjectTsparser => "text search parser",
        ObjectType::ObjectTstemplate => "text search template",
        ObjectType::ObjectTable
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectSequence
        | ObjectType::ObjectForeignTable => "relation",
        ObjectType::ObjectColumn
        | ObjectType::ObjectTabconstraint
        | ObjectType::ObjectDefault
        | ObjectType::ObjectDefacl
        | ObjectType::Undefined => "object",
    }
}

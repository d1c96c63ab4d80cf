//! Schema changes: which objects are created, altered, dropped or granted, and what their expressions run. Kinds that
//! are not listed are refused.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, ObjectType},
};

use super::{
    Refusal,
    book::{Descend, Keep},
    resolver::{Resolver, strings},
    scope::Scope,
    utility::Reading,
};
use crate::facts::{ColumnWrite, Kind, Object, Operation, SessionEffect, Use};

impl Resolver<'_> {
    /// A statement that changes the schema or who may do what.
    pub(super) fn definition(&mut self, node: &NodeEnum) -> Result<Reading, Refusal> {
        let kind = match node {
            NodeEnum::CreateStmt(create) => self.create_table(create)?,
            NodeEnum::CreateTableAsStmt(create) => self.create_table_as(create)?,
            NodeEnum::ViewStmt(view) => self.create_view(view)?,
            NodeEnum::IndexStmt(index) => self.create_index(index)?,
            NodeEnum::AlterTableStmt(alter) => self.alter_table(alter)?,
            NodeEnum::DropStmt(drop) => self.drop_objects(drop)?,
            NodeEnum::RenameStmt(rename) => self.rename(rename)?,
            NodeEnum::CommentStmt(comment) => self.comment(comment)?,
            NodeEnum::GrantStmt(grant) => self.grant(grant)?,
            NodeEnum::RefreshMatViewStmt(refresh) => self.refresh(refresh)?,
            NodeEnum::CreateSeqStmt(create) => {
                self.create(create.sequence.as_ref())?;
                self.bounded(create)
            }
            NodeEnum::AlterSeqStmt(alter) => {
                self.altered(alter.sequence.as_ref(), Operation::Alter)?;
                self.bounded(alter)
            }
            NodeEnum::CreateSchemaStmt(create) if create.schema_elts.is_empty() => {
                self.other("schema", &create.schemaname, Operation::Create);
                self.bounded(create)
            }
            NodeEnum::CreateEnumStmt(create) => {
                self.other(
                    "type",
                    &strings(&create.type_name)?.join("."),
                    Operation::Create,
                );
                self.bounded(create)
            }
            NodeEnum::AlterEnumStmt(alter) => {
                self.other(
                    "type",
                    &strings(&alter.type_name)?.join("."),
                    Operation::Alter,
                );
                self.bounded(alter)
            }
            NodeEnum::CreateExtensionStmt(create) => {
                self.other("extension", &create.extname, Operation::Create);
                self.book.opaque(
                    &create.extname,
                    "an extension's script runs whatever it holds",
                );
                self.bounded(create)
            }
            NodeEnum::GrantRoleStmt(grant) => {
                self.other("role", "", Operation::Grant);
                self.bounded(grant);
                Kind::Grant
            }
            NodeEnum::CreateRoleStmt(create) => {
                self.other("role", &create.role, Operation::Grant);
                self.bounded(create);
                Kind::Grant
            }
            NodeEnum::AlterRoleStmt(alter) => {
                self.other(
                    "role",
                    alter.role.as_ref().map_or("", |role| &role.rolename),
                    Operation::Grant,
                );
                self.bounded(alter);
                Kind::Grant
            }
            NodeEnum::DropRoleStmt(drop) => {
                self.other("role", "", Operation::Grant);
                self.bounded(drop);
                Kind::Grant
            }
            NodeEnum::CheckPointStmt(_) => {
                self.other(
                    "database",
                    &self.catalog.database().clone(),
                    Operation::Maintain,
                );
                return Ok(Reading::new(Kind::Maintain));
            }
            _ => return Err(Refusal::not_understood("this kind of statement")),
        };
        Ok(Reading {
            kind,
            outputs: None,
            session_effect: SessionEffect::Catalog,
        })
    }

    /// Everything of the statement is bounded by the accesses just noted.
    fn bounded(&mut self, statement: &impl serde::Serialize) -> Kind {
        self.seen.mark_bounded(statement);
        Kind::Ddl
    }

    fn other(&mut self, sort: &str, name: &str, operation: Operation) {
        self.book.plain(
            Object::Other {
                sort: sort.into(),
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
        if name.relpersistence == "t" || name.schemaname.starts_with("pg_temp") {
            return Err(Refusal::not_understood("a temporary object")
                .hint("temporary objects are not yet followed"));
        }
        if !name.catalogname.is_empty() && *name.catalogname != **self.catalog.database() {
            return Err(
                Refusal::new("0A000", "cross-database references are not implemented")
                    .at(name.location),
            );
        }
        let first = self
            .path
            .iter()
            .find(|schema| &***schema != "pg_catalog" && self.catalog.has_schema(schema))
            .cloned();
        let schema: Arc<str> = if name.schemaname.is_empty() {
            first.unwrap_or_else(|| "".into())
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

    fn altered(
        &mut self,
        name: Option<&pg::RangeVar>,
        operation: Operation,
    ) -> Result<(), Refusal> {
        let Some(name) = name else {
            return Err(Refusal::not_understood("this statement"));
        };
        self.seen.mark(name);
        match self.relation(name) {
            Ok(relation) => {
                // What is done to a parent is done to its descendants.
                for relation in [relation.clone()]
                    .into_iter()
                    .chain(self.catalog.descendants(relation.oid))
                {
                    self.book.plain(Self::object(&relation), operation);
                }
            }
            // Indexes are no relations of the catalog's kinds; an object that is not there is the server's to refuse.
            Err(refusal) if refusal.sqlstate == "42P01" => {
                let object = Object::Relation {
                    schema: name.schemaname.as_str().into(),
                    name: name.relname.as_str().into(),
                    oid: 0,
                };
                self.book.plain(object, operation);
            }
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    fn create_table(&mut self, create: &pg::CreateStmt) -> Result<Kind, Refusal> {
        self.create(create.relation.as_ref())?;
        for node in &create.inh_relations {
            let Some(NodeEnum::RangeVar(parent)) = &node.node else {
                return Err(Refusal::not_understood("this CREATE TABLE"));
            };
            self.altered(Some(parent), Operation::Alter)?;
        }
        for node in create.table_elts.iter().chain(&create.constraints) {
            self.table_element(node)?;
        }
        for node in create.partspec.iter().flat_map(|spec| &spec.part_params) {
            if let Some(NodeEnum::PartitionElem(element)) = &node.node {
                self.optional(element.expr.as_deref(), &Self::any_column())?;
            }
        }
        Ok(self.bounded(create))
    }

    fn table_element(&mut self, node: &Node) -> Result<(), Refusal> {
        match &node.node {
            Some(NodeEnum::ColumnDef(column)) => {
                if let Some(name) = &column.type_name
                    && !is_serial(name)
                {
                    self.type_name(name)?;
                }
                self.optional(column.raw_default.as_deref(), &Self::any_column())?;
                column
                    .constraints
                    .iter()
                    .try_for_each(|node| self.table_element(node))
            }
            Some(NodeEnum::Constraint(constraint)) => {
                self.optional(constraint.raw_expr.as_deref(), &Self::any_column())?;
                self.optional(constraint.where_clause.as_deref(), &Self::any_column())?;
                if let Some(referenced) = &constraint.pktable {
                    self.altered(Some(referenced), Operation::Alter)?;
                }
                Ok(())
            }
            Some(NodeEnum::TableLikeClause(like)) => {
                self.altered(like.relation.as_ref(), Operation::Read)
            }
            _ => Err(Refusal::not_understood("this part of a table definition")),
        }
    }

    fn create_table_as(&mut self, create: &pg::CreateTableAsStmt) -> Result<Kind, Refusal> {
        self.seen.mark(create);
        let Some(Some(NodeEnum::SelectStmt(select))) =
            create.query.as_deref().map(|node| &node.node)
        else {
            return Err(Refusal::not_understood("CREATE TABLE AS of this statement"));
        };
        let Some(into) = create.into.as_deref() else {
            return Err(Refusal::not_understood("this CREATE TABLE AS"));
        };
        self.copy_into(into, select)?;
        Ok(Kind::Ddl)
    }

    /// SELECT INTO: the same as CREATE TABLE AS.
    pub(super) fn select_into(&mut self, select: &pg::SelectStmt) -> Result<Reading, Refusal> {
        let Some(into) = select.into_clause.as_deref() else {
            return Err(Refusal::not_understood("this statement"));
        };
        // The clause is read here; the query is read without it. The copy has nodes of its own, so the original's are marked.
        let query = pg::SelectStmt {
            into_clause: None,
            ..select.clone()
        };
        let seen = std::mem::take(&mut self.seen);
        let result = self.copy_into(into, &query);
        let missing = self.seen.missing(&query);
        self.seen = seen;
        result?;
        if let Some(missing) = missing {
            return Err(Refusal::not_understood(missing));
        }
        self.seen.mark_all(select);
        Ok(Reading {
            kind: Kind::Ddl,
            outputs: None,
            session_effect: SessionEffect::Catalog,
        })
    }

    fn copy_into(&mut self, into: &pg::IntoClause, select: &pg::SelectStmt) -> Result<(), Refusal> {
        self.seen.mark(into);
        self.options(&into.options, &Scope::default())?;
        let (schema, relation) = self.create(into.rel.as_ref())?;
        let rows = self.select(select, &Scope::default())?;
        if rows.open.is_some() {
            self.book
                .opaque("copy", "a source whose columns are not known");
        }
        self.copied(
            &schema,
            &relation,
            super::query::rename(rows.fields, &strings(&into.col_names)?)?,
        );
        Ok(())
    }

    /// Columns of a relation that does not exist yet, written from a query's.
    fn copied(&mut self, schema: &Arc<str>, relation: &Arc<str>, fields: Vec<super::scope::Field>) {
        for (index, field) in fields.into_iter().enumerate() {
            let column = crate::facts::Column {
                relation_oid: 0,
                attribute: i16::try_from(index.saturating_add(1)).unwrap_or(i16::MAX),
                schema: schema.clone(),
                relation: relation.clone(),
                name: field.name,
                type_oid: 0,
                constrained: false,
            };
            self.book.writes.push(ColumnWrite {
                column: Arc::new(column),
                lineage: field.value.lineage(),
            });
        }
    }

    fn create_view(&mut self, view: &pg::ViewStmt) -> Result<Kind, Refusal> {
        self.seen.mark(view);
        let (schema, name) = self.create(view.view.as_ref())?;
        self.options(&view.options, &Scope::default())?;
        let Some(Some(NodeEnum::SelectStmt(select))) = view.query.as_deref().map(|node| &node.node)
        else {
            return Err(Refusal::not_understood("this view"));
        };
        let rows = self.select(select, &Scope::default())?;
        if rows.open.is_some() {
            self.book
                .opaque("view", "a source whose columns are not known");
        }
        self.copied(
            &schema,
            &name,
            super::query::rename(rows.fields, &strings(&view.aliases)?)?,
        );
        Ok(Kind::Ddl)
    }

    fn create_index(&mut self, index: &pg::IndexStmt) -> Result<Kind, Refusal> {
        let Some(name) = &index.relation else {
            return Err(Refusal::not_understood("this index"));
        };
        self.altered(Some(name), Operation::Alter)?;
        self.other("index", &index.idxname, Operation::Create);
        let relation = self.relation(name)?;
        let item = self.relation_item(&relation, Descend::All, Keep::IfUsed)?;
        let scope = Scope {
            items: vec![item],
            ..Scope::default()
        };
        for node in index
            .index_params
            .iter()
            .chain(&index.index_including_params)
        {
            let Some(NodeEnum::IndexElem(element)) = &node.node else {
                return Err(Refusal::not_understood("this index"));
            };
            let value = self.optional(element.expr.as_deref(), &scope)?;
            self.book.used(&value, Use::Sort);
        }
        let indexed = self.optional(index.where_clause.as_deref(), &scope)?;
        self.book.used(&indexed, Use::Filter);
        Ok(self.bounded(index))
    }

    fn alter_table(&mut self, alter: &pg::AlterTableStmt) -> Result<Kind, Refusal> {
        self.altered(alter.relation.as_ref(), Operation::Alter)?;
        let mut kind = Kind::Ddl;
        for node in &alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = &node.node else {
                return Err(Refusal::not_understood("this ALTER TABLE"));
            };
            match command.def.as_deref().map(|node| &node.node) {
                None | Some(None) => {}
                Some(Some(NodeEnum::ColumnDef(_) | NodeEnum::Constraint(_))) => {
                    if let Some(definition) = command.def.as_deref() {
                        self.table_element(definition)?;
                    }
                }
                Some(Some(NodeEnum::PartitionCmd(partition))) => {
                    self.altered(partition.name.as_ref(), Operation::Alter)?
                }
                Some(Some(NodeEnum::RangeVar(other))) => {
                    self.altered(Some(other), Operation::Alter)?
                }
                Some(Some(NodeEnum::List(list))) => self.options(&list.items, &Scope::default())?,
                Some(Some(
                    NodeEnum::String(_)
                    | NodeEnum::Integer(_)
                    | NodeEnum::ReplicaIdentityStmt(_)
                    | NodeEnum::AtalterConstraint(_),
                )) => {}
                Some(Some(_)) => {
                    self.optional(command.def.as_deref(), &Self::any_column())?;
                }
            }
            if command.subtype() == pg::AlterTableType::AtChangeOwner {
                self.altered(alter.relation.as_ref(), Operation::Grant)?;
                kind = Kind::Grant;
            }
        }
        self.bounded(alter);
        Ok(kind)
    }

    fn drop_objects(&mut self, drop: &pg::DropStmt) -> Result<Kind, Refusal> {
        for node in &drop.objects {
            let names: Vec<String> = match &node.node {
                Some(NodeEnum::List(list)) => strings(&list.items)?
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
                Some(NodeEnum::String(name)) => vec![name.sval.clone()],
                Some(NodeEnum::TypeName(name)) => strings(&name.names)?
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
                Some(NodeEnum::ObjectWithArgs(object)) => strings(&object.objname)?
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
                _ => return Err(Refusal::not_understood("this DROP")),
            };
            self.dropped(drop.remove_type(), &names)?;
        }
        if drop.behavior() == pg::DropBehavior::DropCascade {
            self.book.opaque(
                "drop",
                "CASCADE reaches objects that the statement does not name",
            );
        }
        Ok(self.bounded(drop))
    }

    fn dropped(&mut self, sort: ObjectType, names: &[String]) -> Result<(), Refusal> {
        if is_relation(sort) {
            let name = relation_name(names);
            return self.altered(Some(&name), Operation::Drop);
        }
        self.other(object_sort(sort), &names.join("."), Operation::Drop);
        // Triggers, rules and policies belong to a table: dropping one alters it.
        if matches!(
            sort,
            ObjectType::ObjectTrigger | ObjectType::ObjectRule | ObjectType::ObjectPolicy
        ) && let Some((_, table)) = names.split_last()
        {
            self.altered(Some(&relation_name(table)), Operation::Alter)?;
        }
        Ok(())
    }

    fn rename(&mut self, rename: &pg::RenameStmt) -> Result<Kind, Refusal> {
        match &rename.relation {
            Some(relation) => self.altered(Some(relation), Operation::Alter)?,
            None => self.other(
                object_sort(rename.rename_type()),
                &rename.subname,
                Operation::Alter,
            ),
        }
        Ok(self.bounded(rename))
    }

    fn comment(&mut self, comment: &pg::CommentStmt) -> Result<Kind, Refusal> {
        let names = match comment.object.as_deref().map(|node| &node.node) {
            Some(Some(NodeEnum::List(list))) => strings(&list.items)
                .unwrap_or_default()
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
            Some(Some(NodeEnum::String(name))) => vec![name.sval.clone()],
            _ => Vec::new(),
        };
        let sort = comment.objtype();
        match (is_relation(sort), sort, names.split_last()) {
            (true, _, Some(_)) => self.altered(Some(&relation_name(&names)), Operation::Alter)?,
            (_, ObjectType::ObjectColumn, Some((_, table))) => {
                self.altered(Some(&relation_name(table)), Operation::Alter)?
            }
            _ => self.other(object_sort(sort), &names.join("."), Operation::Alter),
        }
        Ok(self.bounded(comment))
    }

    fn grant(&mut self, grant: &pg::GrantStmt) -> Result<Kind, Refusal> {
        let mut named = false;
        for node in &grant.objects {
            if let Some(NodeEnum::RangeVar(name)) = &node.node {
                named = true;
                self.altered(Some(name), Operation::Grant)?;
            }
        }
        if !named {
            self.other(object_sort(grant.objtype()), "", Operation::Grant);
        }
        self.bounded(grant);
        Ok(Kind::Grant)
    }

    fn refresh(&mut self, refresh: &pg::RefreshMatViewStmt) -> Result<Kind, Refusal> {
        let Some(name) = &refresh.relation else {
            return Err(Refusal::not_understood("this REFRESH"));
        };
        let relation = self.relation(name)?;
        self.seen.mark(name);
        // Reads what the definition reads.
        self.relation_item(&relation, Descend::Only, Keep::IfUsed)?;
        self.book
            .plain(Self::object(&relation), Operation::Maintain);
        Ok(self.bounded(refresh))
    }
}

fn is_serial(name: &pg::TypeName) -> bool {
    let serial = |name: &str| {
        matches!(
            name,
            "serial" | "bigserial" | "smallserial" | "serial2" | "serial4" | "serial8"
        )
    };
    strings(&name.names).is_ok_and(|names| names.last().is_some_and(|name| serial(name)))
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

fn object_sort(sort: ObjectType) -> &'static str {
    match sort {
        ObjectType::ObjectIndex => "index",
        ObjectType::ObjectSchema => "schema",
        ObjectType::ObjectType => "type",
        ObjectType::ObjectDomain => "domain",
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
        _ => "object",
    }
}

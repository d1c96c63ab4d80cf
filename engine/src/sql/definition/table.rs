//! Tables, indexes and statistics: what their expressions read and run, and which values ALTER TABLE moves.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, AlterTableType, ConstrType, Node, ObjectType},
};

use super::{
    super::{
        Refusal,
        book::{Descend, Keep, Value},
        resolver::{Resolver, strings},
        scope::{Item, Scope},
    },
    cascade::Going,
    direct, joined,
    place::written,
};
use crate::{
    catalog::Relation,
    facts::{Column, ColumnWrite, Kind, Operation, Use},
};

/// The table that a part of a definition is about.
struct About<'s> {
    /// Its schema and name.
    names: (Arc<str>, Arc<str>),
    /// What its expressions see.
    scope: Scope<'s>,
}

impl Resolver<'_> {
    /// What the expressions of a relation's definition see.
    pub(super) fn scope_of(&mut self, relation: &Arc<Relation>) -> Result<Scope<'static>, Refusal> {
        let item = self.relation_item(relation, Descend::All, Keep::IfUsed)?;
        Ok(Scope {
            items: vec![item],
            ..Scope::default()
        })
    }

    pub(super) fn create_table(&mut self, create: &pg::CreateStmt) -> Result<Kind, Refusal> {
        let names = self.create(create.relation.as_ref())?;
        for node in &create.inh_relations {
            let Some(NodeEnum::RangeVar(parent)) = &node.node else {
                return Err(Refusal::not_understood("this CREATE TABLE"));
            };
            self.altered(Some(parent), Operation::Alter)?;
        }
        if let Some(name) = &create.of_typename {
            self.type_name(name)?;
        }
        let about = About {
            scope: Scope::any_column_of(&names.1),
            names,
        };
        for node in create
            .table_elts
            .iter()
            .chain(&create.constraints)
            .chain(&create.nnconstraints)
        {
            self.table_element(node, &about)?;
        }
        for node in create.partspec.iter().flat_map(|spec| &spec.part_params) {
            if let Some(NodeEnum::PartitionElem(element)) = &node.node {
                self.optional(element.expr.as_deref(), &about.scope)?;
            }
        }
        self.partition_bound(create.partbound.as_ref())?;
        Ok(self.bounded(create))
    }

    pub(super) fn create_foreign_table(
        &mut self,
        create: &pg::CreateForeignTableStmt,
    ) -> Result<Kind, Refusal> {
        if let Some(base) = &create.base_stmt {
            self.create_table(base)?;
        }
        self.other("server", &create.servername, Operation::Alter);
        Ok(self.bounded(create))
    }

    /// The bounds of a partition are computed once, now.
    fn partition_bound(&mut self, bound: Option<&pg::PartitionBoundSpec>) -> Result<(), Refusal> {
        let Some(bound) = bound else { return Ok(()) };
        for node in bound
            .listdatums
            .iter()
            .chain(&bound.lowerdatums)
            .chain(&bound.upperdatums)
        {
            match &node.node {
                Some(NodeEnum::PartitionRangeDatum(datum)) => {
                    self.optional(datum.value.as_deref(), &Scope::any_column())?;
                }
                // MINVALUE and MAXVALUE look like columns.
                _ => {
                    self.optional(Some(node), &Scope::any_column())?;
                }
            }
        }
        Ok(())
    }

    fn table_element(&mut self, node: &Node, about: &About<'_>) -> Result<(), Refusal> {
        match &node.node {
            Some(NodeEnum::ColumnDef(column)) => {
                if let Some(name) = &column.type_name
                    && !is_serial(name)
                {
                    self.type_name(name)?;
                }
                self.optional(column.raw_default.as_deref(), &about.scope)?;
                for node in &column.constraints {
                    self.constraint(node, &column.colname, about)?;
                }
                Ok(())
            }
            Some(NodeEnum::Constraint(_)) => self.constraint(node, "", about),
            Some(NodeEnum::TableLikeClause(like)) => {
                self.altered(like.relation.as_ref(), Operation::Read)?;
                Ok(())
            }
            _ => Err(Refusal::not_understood("this part of a table definition")),
        }
    }

    /// A constraint; `column` is the one that it stands at.
    fn constraint(&mut self, node: &Node, column: &str, about: &About<'_>) -> Result<(), Refusal> {
        let Some(NodeEnum::Constraint(constraint)) = &node.node else {
            // COLLATE among a column's constraints.
            return Ok(());
        };
        let value = self.optional(constraint.raw_expr.as_deref(), &about.scope)?;
        match constraint.contype() {
            ConstrType::ConstrGenerated => {
                self.book.used(&value, Use::Output);
                let (schema, relation) = &about.names;
                self.computed_column((schema, relation), column, &value.derived());
            }
            ConstrType::ConstrCheck => self.book.used(&value, Use::Filter),
            _ => {}
        }
        let picked = self.optional(constraint.where_clause.as_deref(), &about.scope)?;
        self.book.used(&picked, Use::Filter);
        for node in &constraint.exclusions {
            let Some(NodeEnum::List(pair)) = &node.node else {
                continue;
            };
            if let Some(Some(NodeEnum::IndexElem(element))) =
                pair.items.first().map(|node| &node.node)
            {
                let value = self.indexed(element, &about.scope)?;
                self.book.used(&value, Use::Group);
            }
        }
        // Whether values come twice, or are there at all, is told when rows are there already.
        for name in strings(&constraint.keys)
            .unwrap_or_default()
            .into_iter()
            .chain(strings(&constraint.fk_attrs).unwrap_or_default())
        {
            if let Ok(super::super::scope::Meaning::Column(value)) = about.scope.bare(name) {
                self.book.used(&value, Use::Group);
            }
        }
        if let Some(referenced) = &constraint.pktable {
            let relation = self.altered(Some(referenced), Operation::Alter)?;
            if let Some(relation) = relation {
                self.referenced_keys(&relation, &constraint.pk_attrs)?;
            }
        }
        Ok(())
    }

    /// The columns that a foreign key points to.
    fn referenced_keys(&mut self, relation: &Arc<Relation>, named: &[Node]) -> Result<(), Refusal> {
        let item = self.relation_item(relation, Descend::All, Keep::IfUsed)?;
        for name in strings(named).unwrap_or_default() {
            if let Some(value) = item.field(name)? {
                self.book.used(&value, Use::Join);
            }
        }
        Ok(())
    }

    /// One key of an index.
    fn indexed(&mut self, element: &pg::IndexElem, scope: &Scope<'_>) -> Result<Value, Refusal> {
        if element.name.is_empty() {
            return self.optional(element.expr.as_deref(), scope);
        }
        match scope.bare(&element.name)? {
            super::super::scope::Meaning::Column(value) => Ok(value),
            _ => Ok(Value::default()),
        }
    }

    pub(super) fn create_index(&mut self, index: &pg::IndexStmt) -> Result<Kind, Refusal> {
        let Some(name) = &index.relation else {
            return Err(Refusal::not_understood("this index"));
        };
        let relation = self.altered(Some(name), Operation::Alter)?;
        let schema = match &relation {
            Some(relation) => relation.schema.clone(),
            None if name.schemaname.is_empty() => self.schema_of_new(),
            None => written(&name.schemaname),
        };
        self.lying(
            ObjectType::ObjectIndex,
            &schema,
            &index.idxname,
            Operation::Create,
        );
        let scope = match &relation {
            Some(relation) => self.scope_of(relation)?,
            None if self.new_schema.is_some() => Scope::any_column(),
            None => {
                self.relation(name)?;
                Scope::any_column()
            }
        };
        for node in index
            .index_params
            .iter()
            .chain(&index.index_including_params)
        {
            let Some(NodeEnum::IndexElem(element)) = &node.node else {
                return Err(Refusal::not_understood("this index"));
            };
            let value = self.indexed(element, &scope)?;
            let used = if index.unique { Use::Group } else { Use::Sort };
            self.book.used(&value, used);
        }
        let picked = self.optional(index.where_clause.as_deref(), &scope)?;
        self.book.used(&picked, Use::Filter);
        Ok(self.bounded(index))
    }

    /// CREATE STATISTICS: what ANALYZE finds of the columns goes where others can read it.
    pub(super) fn create_statistics(
        &mut self,
        create: &pg::CreateStatsStmt,
    ) -> Result<Kind, Refusal> {
        let name: Arc<str> = joined(&create.defnames).into();
        if !create.defnames.is_empty() {
            self.made_as(ObjectType::ObjectStatisticExt, &create.defnames);
        }
        let catalog: Arc<str> = "pg_catalog".into();
        for node in &create.relations {
            let Some(NodeEnum::RangeVar(table)) = &node.node else {
                return Err(Refusal::not_understood("this CREATE STATISTICS"));
            };
            let Some(relation) = self.altered(Some(table), Operation::Alter)? else {
                self.relation(table)?;
                continue;
            };
            if create.defnames.is_empty() {
                // The server finds a name, in the table's schema.
                self.lying(
                    ObjectType::ObjectStatisticExt,
                    &relation.schema,
                    "",
                    Operation::Create,
                );
            }
            let scope = self.scope_of(&relation)?;
            for node in &create.exprs {
                let Some(NodeEnum::StatsElem(element)) = &node.node else {
                    return Err(Refusal::not_understood("this CREATE STATISTICS"));
                };
                let mut value = self.optional(element.expr.as_deref(), &scope)?;
                if !element.name.is_empty()
                    && let super::super::scope::Meaning::Column(column) =
                        scope.bare(&element.name)?
                {
                    value.add(&column);
                }
                self.book.used(&value, Use::Output);
                self.computed_column((&catalog, &name), &element.name, &value.derived());
            }
        }
        Ok(self.bounded(create))
    }

    pub(super) fn alter_table(&mut self, alter: &pg::AlterTableStmt) -> Result<Kind, Refusal> {
        let relation = self.altered(alter.relation.as_ref(), Operation::Alter)?;
        let about = match &relation {
            Some(relation) => About {
                names: (relation.schema.clone(), relation.name.clone()),
                scope: self.scope_of(relation)?,
            },
            None => About {
                names: ("".into(), "".into()),
                scope: Scope::any_column(),
            },
        };
        let mut kind = Kind::Ddl;
        for node in &alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = &node.node else {
                return Err(Refusal::not_understood("this ALTER TABLE"));
            };
            self.alter_parts(command, &about)?;
            self.alter_moves(command, relation.as_ref(), &about)?;
            if command.behavior() == pg::DropBehavior::DropCascade {
                match &relation {
                    Some(relation) => self.cascade(std::slice::from_ref(relation), Going::Part)?,
                    None => self.book.opaque(
                        "alter",
                        "CASCADE reaches objects that the statement does not name",
                    ),
                }
            }
            match command.subtype() {
                AlterTableType::AtChangeOwner => {
                    self.altered(alter.relation.as_ref(), Operation::Grant)?;
                    kind = Kind::Grant;
                }
                // Which rows who may see changes.
                AlterTableType::AtEnableRowSecurity
                | AlterTableType::AtDisableRowSecurity
                | AlterTableType::AtForceRowSecurity
                | AlterTableType::AtNoForceRowSecurity => {
                    self.altered(alter.relation.as_ref(), Operation::Grant)?;
                }
                _ => {}
            }
        }
        self.bounded(alter);
        Ok(kind)
    }

    /// What stands in a subcommand: definitions, other relations, options, expressions.
    fn alter_parts(
        &mut self,
        command: &pg::AlterTableCmd,
        about: &About<'_>,
    ) -> Result<(), Refusal> {
        match command.def.as_deref().map(|node| &node.node) {
            None | Some(None) => {}
            Some(Some(NodeEnum::ColumnDef(_) | NodeEnum::Constraint(_))) => {
                if let Some(definition) = command.def.as_deref() {
                    self.table_element(definition, about)?;
                }
            }
            Some(Some(NodeEnum::PartitionCmd(partition))) => {
                self.altered(partition.name.as_ref(), Operation::Alter)?;
                self.partition_bound(partition.bound.as_ref())?;
            }
            Some(Some(NodeEnum::RangeVar(other))) => {
                self.altered(Some(other), Operation::Alter)?;
            }
            Some(Some(NodeEnum::List(list))) => self.options(&list.items, &Scope::default())?,
            Some(Some(NodeEnum::TypeName(name))) => self.type_name(name)?,
            Some(Some(
                NodeEnum::String(_)
                | NodeEnum::Integer(_)
                | NodeEnum::Float(_)
                | NodeEnum::RoleSpec(_)
                | NodeEnum::ReplicaIdentityStmt(_)
                | NodeEnum::AtalterConstraint(_),
            )) => {}
            Some(Some(_)) => {
                self.optional(command.def.as_deref(), &about.scope)?;
            }
        }
        Ok(())
    }

    /// The values that a subcommand moves from one column to another, or makes anew.
    fn alter_moves(
        &mut self,
        command: &pg::AlterTableCmd,
        relation: Option<&Arc<Relation>>,
        about: &About<'_>,
    ) -> Result<(), Refusal> {
        let Some(relation) = relation else {
            return Ok(());
        };
        match command.subtype() {
            AlterTableType::AtAlterColumnType => {
                // USING, or a cast of the column itself.
                let using = match command.def.as_deref().map(|node| &node.node) {
                    Some(Some(NodeEnum::ColumnDef(column))) => column.raw_default.as_deref(),
                    _ => None,
                };
                let value = match using {
                    Some(using) => self.expression(using, &about.scope)?,
                    None => about
                        .scope
                        .items
                        .first()
                        .map(|item| item.field(&command.name))
                        .transpose()?
                        .flatten()
                        .unwrap_or_default(),
                };
                self.book.used(&value, Use::Output);
                self.book.computed(&value);
                self.rewritten(relation, &command.name, &value.derived());
            }
            AlterTableType::AtSetExpression => {
                let value = self.optional(command.def.as_deref(), &about.scope)?;
                self.book.used(&value, Use::Output);
                self.rewritten(relation, &command.name, &value.derived());
            }
            // What one has is read through the other from now on, or no more under its classes.
            AlterTableType::AtAttachPartition
            | AlterTableType::AtDetachPartition
            | AlterTableType::AtDetachPartitionFinalize => {
                if let Some(Some(NodeEnum::PartitionCmd(partition))) =
                    command.def.as_deref().map(|node| &node.node)
                {
                    self.joined_or_parted(relation, partition.name.as_ref());
                }
            }
            AlterTableType::AtAddInherit | AlterTableType::AtDropInherit => {
                if let Some(Some(NodeEnum::RangeVar(parent))) =
                    command.def.as_deref().map(|node| &node.node)
                {
                    self.joined_or_parted(relation, Some(parent));
                }
            }
            // A check that has not been made yet reads every row.
            AlterTableType::AtValidateConstraint | AlterTableType::AtSetNotNull => {
                let column = about
                    .scope
                    .items
                    .first()
                    .map(|item| item.field(&command.name))
                    .transpose()?
                    .flatten();
                self.book.used(&column.unwrap_or_default(), Use::Filter);
            }
            _ => {}
        }
        Ok(())
    }

    /// A column whose values are made anew, in the relation and its descendants.
    fn rewritten(&mut self, relation: &Arc<Relation>, name: &str, value: &Value) {
        let relations = [relation.clone()]
            .into_iter()
            .chain(self.catalog.descendants(relation.oid));
        let columns: Vec<Arc<Column>> = relations
            .filter_map(|relation| relation.column(name).cloned())
            .collect();
        for column in columns {
            self.book.writes.push(ColumnWrite {
                column,
                lineage: value.lineage(),
            });
        }
    }

    /// Two relations become, or were, parent and child: columns of one name have the other's values.
    fn joined_or_parted(&mut self, relation: &Arc<Relation>, other: Option<&pg::RangeVar>) {
        let Some(other) = other.and_then(|name| self.relation(name).ok()) else {
            return;
        };
        for mine in &relation.columns {
            if let Some(theirs) = other.column(&mine.name) {
                for (to, from) in [(mine, theirs), (theirs, mine)] {
                    self.book.writes.push(ColumnWrite {
                        column: to.clone(),
                        lineage: direct(from),
                    });
                }
            }
        }
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

impl Scope<'static> {
    /// A scope in which every column is known to be a column and nothing more: for expressions of schema changes.
    pub(in crate::sql) fn any_column() -> Self {
        Self::open_item(None)
    }

    /// The same for a table that is being made, whose name may stand before its columns.
    fn any_column_of(table: &Arc<str>) -> Self {
        Self::open_item(Some(table.clone()))
    }

    fn open_item(name: Option<Arc<str>>) -> Self {
        let item = Item {
            open: Some(Value::default()),
            ..Item::new(name, Vec::new())
        };
        Self {
            items: vec![item],
            ..Self::default()
        }
    }
}

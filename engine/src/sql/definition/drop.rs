//! DROP, RENAME, SET SCHEMA and what is said about an object. A column with another name leaves its classes: its values are
//! written to the new name.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, ObjectType},
};

use super::{
    super::{Refusal, resolver::Resolver},
    cascade::Going,
    is_of_relation, is_relation, object_names, relation_name,
};
use crate::{
    catalog::Relation,
    facts::{Kind, Object, Operation},
};

impl Resolver<'_> {
    pub(super) fn drop_objects(&mut self, drop: &pg::DropStmt) -> Result<Kind, Refusal> {
        let sort = drop.remove_type();
        let mut relations = Vec::new();
        for node in &drop.objects {
            let names = object_names(Some(node));
            if names.is_empty() {
                return Err(Refusal::not_understood("this DROP"));
            }
            relations.push(self.dropped(sort, &names)?);
        }
        if drop.behavior() == pg::DropBehavior::DropCascade {
            match relations.into_iter().collect::<Option<Vec<_>>>() {
                Some(relations) => self.cascade(&relations, Going::Whole)?,
                None => self.book.opaque(
                    "drop",
                    "CASCADE reaches objects that the statement does not name",
                ),
            }
        }
        Ok(self.bounded(drop))
    }

    /// Notes an object that goes; gives it where it is a relation that is known.
    fn dropped(
        &mut self,
        sort: ObjectType,
        names: &[String],
    ) -> Result<Option<Arc<Relation>>, Refusal> {
        if is_relation(sort) {
            return self.altered(Some(&relation_name(names)), Operation::Drop);
        }
        self.object_named(sort, names, Operation::Drop);
        if sort == ObjectType::ObjectSchema {
            for name in names {
                for relation in self.relations_in(name)? {
                    self.book.plain(Self::object(&relation), Operation::Drop);
                }
            }
        }
        // Triggers, rules and policies belong to a table: dropping one alters it.
        if is_of_relation(sort)
            && let Some((_, table)) = names.split_last()
        {
            self.altered(Some(&relation_name(table)), Operation::Alter)?;
            if sort == ObjectType::ObjectPolicy {
                self.altered(Some(&relation_name(table)), Operation::Grant)?;
            }
        }
        Ok(None)
    }

    /// An object of any sort that a statement speaks about.
    pub(super) fn object_touched(
        &mut self,
        sort: ObjectType,
        relation: Option<&pg::RangeVar>,
        object: Option<&Node>,
        operation: Operation,
    ) -> Result<(), Refusal> {
        if relation.is_some() {
            self.altered(relation, operation)?;
            return Ok(());
        }
        let names = object_names(object);
        match names.split_last() {
            Some(_) if is_relation(sort) => {
                self.altered(Some(&relation_name(&names)), operation)?;
            }
            Some((_, table)) if is_of_relation(sort) && !table.is_empty() => {
                self.altered(Some(&relation_name(table)), operation)?;
            }
            // The constraint's name stands behind the domain's.
            Some((_, domain)) if sort == ObjectType::ObjectDomconstraint => {
                self.object_named(sort, domain, operation);
            }
            _ => self.object_named(sort, &names, operation),
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, rename: &pg::RenameStmt) -> Result<Kind, Refusal> {
        let sort = rename.rename_type();
        let Some(name) = &rename.relation else {
            let mut names = object_names(rename.object.as_deref());
            if names.is_empty() {
                names.push(rename.subname.clone());
            }
            let operation = match sort {
                ObjectType::ObjectRole => Operation::Grant,
                _ => Operation::Alter,
            };
            self.object_named(sort, &names, operation);
            if sort == ObjectType::ObjectSchema {
                let new: Arc<str> = rename.newname.as_str().into();
                for relation in self.relations_in(&rename.subname)? {
                    self.book.plain(Self::object(&relation), Operation::Alter);
                    let name = relation.name.clone();
                    self.moved(&relation, &new, &name, |column| column.name.clone());
                }
            }
            return Ok(self.bounded(rename));
        };
        let relation = self.altered(Some(name), Operation::Alter)?;
        if let Some(relation) = relation {
            let schema = relation.schema.clone();
            match sort {
                ObjectType::ObjectColumn | ObjectType::ObjectAttribute => {
                    self.rename_column(&relation, &rename.subname, &rename.newname);
                }
                _ if is_relation(sort) || sort == ObjectType::ObjectType => {
                    self.moved(&relation, &schema, &rename.newname, |column| {
                        column.name.clone()
                    });
                }
                _ => {}
            }
        }
        Ok(self.bounded(rename))
    }

    /// A column, in the relation and in its descendants.
    fn rename_column(&mut self, relation: &Arc<Relation>, old: &str, new: &str) {
        let new: Arc<str> = new.into();
        let relations = [relation.clone()]
            .into_iter()
            .chain(self.catalog.descendants(relation.oid));
        for relation in relations.collect::<Vec<_>>() {
            let (schema, name) = (relation.schema.clone(), relation.name.clone());
            self.moved(&relation, &schema, &name, |column| {
                if *column.name == *old {
                    new.clone()
                } else {
                    column.name.clone()
                }
            });
        }
    }

    /// ALTER ... SET SCHEMA.
    pub(super) fn set_schema(
        &mut self,
        alter: &pg::AlterObjectSchemaStmt,
    ) -> Result<Kind, Refusal> {
        if alter.relation.is_some() {
            if let Some(relation) = self.altered(alter.relation.as_ref(), Operation::Alter)? {
                let name = relation.name.clone();
                let new = Object::Relation {
                    schema: alter.newschema.as_str().into(),
                    name: name.clone(),
                    oid: 0,
                };
                self.book.plain(new, Operation::Create);
                self.moved(&relation, &alter.newschema, &name, |column| {
                    column.name.clone()
                });
            }
        } else {
            self.object_touched(
                alter.object_type(),
                None,
                alter.object.as_deref(),
                Operation::Alter,
            )?;
            self.moved_object(alter);
        }
        self.other("schema", &alter.newschema, Operation::Alter);
        Ok(self.bounded(alter))
    }

    /// An object that is no relation comes to lie in another schema; with an extension, whatever belongs to it.
    fn moved_object(&mut self, alter: &pg::AlterObjectSchemaStmt) {
        let sort = alter.object_type();
        let mut names = object_names(alter.object.as_deref());
        if sort == ObjectType::ObjectExtension {
            self.book.opaque(
                &names.join("."),
                "every object of an extension moves with it, which the statement does not name",
            );
        } else if let Some(name) = names.pop() {
            self.made(sort, &[alter.newschema.clone(), name]);
        }
    }

    /// CREATE SCHEMA, with the objects that it is made with.
    pub(super) fn create_schema(&mut self, create: &pg::CreateSchemaStmt) -> Result<Kind, Refusal> {
        let owner = create.authrole.as_ref();
        let name: Arc<str> = if create.schemaname.is_empty() {
            super::role_name(owner).into()
        } else {
            create.schemaname.as_str().into()
        };
        self.other("schema", &name, Operation::Create);
        let outer = self.new_schema.replace(name.clone());
        for node in &create.schema_elts {
            let element = node
                .node
                .as_ref()
                .map(|element| self.schema_element(element));
            match element {
                Some(Err(refusal)) if refusal.unknown_name => {
                    // It speaks of another element, which the catalog can't have yet.
                    self.seen.mark_all(node);
                    self.book.opaque(
                        &name,
                        "an object of a new schema speaks of what is not there yet",
                    );
                }
                Some(Err(refusal)) => {
                    self.new_schema = outer;
                    return Err(refusal);
                }
                Some(Ok(())) | None => {}
            }
        }
        self.new_schema = outer;
        Ok(self.bounded(create))
    }

    fn schema_element(&mut self, element: &NodeEnum) -> Result<(), Refusal> {
        self.nested(|resolver| resolver.definition(element))?;
        Ok(())
    }
}

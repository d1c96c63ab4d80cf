//! What runs later: functions, triggers, rules, types, operators and casts. Making one runs nothing of it; who calls it is
//! analysed then. What the server runs to check a definition is said here.

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, ObjectType},
};

use super::{
    super::{
        Refusal,
        resolver::Resolver,
        scope::{Field, Scope},
        settings,
        utility::refuse_own,
    },
    joined, object_names,
    place::name_parts,
};
use crate::facts::{Kind, Object, Operation};

/// Languages whose functions the server checks without running anything of theirs.
const CHECKED_LANGUAGES: [&str; 3] = ["sql", "plpgsql", "internal"];

impl Resolver<'_> {
    /// CREATE FUNCTION and CREATE PROCEDURE: the body runs when it is called.
    pub(super) fn create_function(
        &mut self,
        create: &pg::CreateFunctionStmt,
    ) -> Result<Kind, Refusal> {
        let name = joined(&create.funcname);
        self.made_as(ObjectType::ObjectFunction, &create.funcname);
        self.function_settings(&create.options)?;
        if create.replace {
            self.replaced(&create.funcname);
        }
        let option = |wanted: &str| {
            create.options.iter().find_map(|node| match &node.node {
                Some(NodeEnum::DefElem(option)) if option.defname == wanted => {
                    Some(object_names(option.arg.as_deref()).join("."))
                }
                _ => None,
            })
        };
        let language = option("language")
            .unwrap_or_else(|| "sql".to_owned())
            .to_lowercase();
        if !CHECKED_LANGUAGES.contains(&language.as_str()) {
            self.book.opaque(
                &name,
                "the server loads or compiles code of this language when the function is created",
            );
        }
        Ok(self.stored_for_later(create))
    }

    /// SET clauses: what a function runs with, whoever calls it. Another role is for a rule to allow, as SET ROLE is.
    pub(super) fn function_settings(&mut self, options: &[Node]) -> Result<(), Refusal> {
        for set in settings::in_options(options) {
            let name = set.name.to_lowercase();
            refuse_own(&name)?;
            if matches!(name.as_str(), "role" | "session_authorization") {
                self.book
                    .plain(Object::Setting(name.into()), Operation::Session);
            }
        }
        Ok(())
    }

    /// CREATE OR REPLACE: a function of this name that is there becomes another one.
    fn replaced(&mut self, names: &[Node]) {
        let mut names = name_parts(names);
        if let [name] = names.as_slice() {
            names = vec![self.schema_of_new().to_string(), name.clone()];
        }
        let [.., schema, name] = names.as_slice() else {
            return;
        };
        let known = self.catalog.functions_named(name);
        if known.iter().any(|function| *function.schema == **schema) {
            self.there(ObjectType::ObjectFunction, &names, Operation::Alter);
        }
    }

    /// CREATE TRIGGER: the function runs when the table is written, and is read then.
    pub(super) fn create_trigger(&mut self, create: &pg::CreateTrigStmt) -> Result<Kind, Refusal> {
        self.altered(create.relation.as_ref(), Operation::Alter)?;
        if create.constrrel.is_some() {
            self.altered(create.constrrel.as_ref(), Operation::Alter)?;
        }
        self.other("trigger", &create.trigname, Operation::Create);
        Ok(self.stored_for_later(create))
    }

    /// CREATE RULE: its actions run when the table is used, under the name of who uses it. They are accesses now already.
    pub(super) fn create_rule(&mut self, rule: &pg::RuleStmt) -> Result<Kind, Refusal> {
        let relation = self.altered(rule.relation.as_ref(), Operation::Alter)?;
        self.other("rule", &rule.rulename, Operation::Create);
        let Some(relation) = relation else {
            self.book
                .opaque(&rule.rulename, "a rule of a table that is not known");
            return Ok(self.stored_for_later(rule));
        };
        let rows = self.rule_made(&relation, rule)?;
        if rule.event() == pg::CmdType::CmdSelect {
            // The table becomes a view.
            let named = rows.fields.into_iter().zip(&relation.columns);
            let fields = named.map(|(field, column)| Field {
                name: column.name.clone(),
                ..field
            });
            self.copied(&relation.schema, &relation.name, fields.collect());
        }
        Ok(self.stored_for_later(rule))
    }

    pub(super) fn create_domain(&mut self, create: &pg::CreateDomainStmt) -> Result<Kind, Refusal> {
        self.made_as(ObjectType::ObjectDomain, &create.domainname);
        if let Some(name) = &create.type_name {
            self.type_name(name)?;
        }
        for node in &create.constraints {
            self.domain_constraint(node)?;
        }
        Ok(self.bounded(create))
    }

    pub(super) fn alter_domain(&mut self, alter: &pg::AlterDomainStmt) -> Result<Kind, Refusal> {
        self.there_as(ObjectType::ObjectDomain, &alter.type_name, Operation::Alter);
        if let Some(definition) = alter.def.as_deref() {
            self.domain_constraint(definition)?;
        }
        Ok(self.bounded(alter))
    }

    /// A constraint or a default of a domain; adding one to a domain in use reads the columns of its type.
    fn domain_constraint(&mut self, node: &Node) -> Result<(), Refusal> {
        match &node.node {
            Some(NodeEnum::Constraint(constraint)) => {
                self.optional(constraint.raw_expr.as_deref(), &Scope::any_column())?;
            }
            Some(_) => {
                self.optional(Some(node), &Scope::any_column())?;
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn create_composite(
        &mut self,
        create: &pg::CompositeTypeStmt,
    ) -> Result<Kind, Refusal> {
        let name = create.typevar.as_ref();
        if let Some(name) = name {
            self.seen.mark(name);
        }
        let parts = name.map(|name| [name.schemaname.clone(), name.relname.clone()]);
        let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
        self.made(ObjectType::ObjectType, &parts.collect::<Vec<_>>());
        for node in &create.coldeflist {
            if let Some(NodeEnum::ColumnDef(column)) = &node.node
                && let Some(name) = &column.type_name
            {
                self.type_name(name)?;
            }
        }
        Ok(self.bounded(create))
    }

    /// CREATE AGGREGATE, OPERATOR, TYPE, COLLATION and the text search objects: what they name runs when they are used.
    pub(super) fn define(&mut self, define: &pg::DefineStmt) -> Result<Kind, Refusal> {
        let sort = define.kind();
        let name = joined(&define.defnames);
        self.made_as(sort, &define.defnames);
        if define.replace {
            self.replaced(&define.defnames);
        }
        if sort == ObjectType::ObjectTsdictionary {
            self.book.opaque(
                &name,
                "a dictionary reads files of the server's machine when it is created",
            );
        }
        Ok(self.stored_for_later(define))
    }

    /// CREATE CAST: values may be cast unasked from now on, which analysis then sees.
    pub(super) fn create_cast(&mut self, create: &pg::CreateCastStmt) -> Result<Kind, Refusal> {
        let function = create.func.as_ref();
        let name = function.map_or_else(String::new, |function| joined(&function.objname));
        self.other("cast", &name, Operation::Create);
        Ok(self.bounded(create))
    }
}

//! What runs later: functions, triggers, rules, types, operators and casts. Making one runs nothing of it; who calls it is
//! analysed then. What the server runs to check a definition is said here.

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, ObjectType},
};

use super::{
    super::{Refusal, resolver::Resolver, scope::Scope},
    joined, object_names, object_sort,
};
use crate::facts::{Kind, Operation};

/// Languages whose functions the server checks without running anything of theirs.
const CHECKED_LANGUAGES: [&str; 3] = ["sql", "plpgsql", "internal"];

impl Resolver<'_> {
    /// CREATE FUNCTION and CREATE PROCEDURE: the body runs when it is called.
    pub(super) fn create_function(
        &mut self,
        create: &pg::CreateFunctionStmt,
    ) -> Result<Kind, Refusal> {
        let name = joined(&create.funcname);
        self.other("function", &name, Operation::Create);
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

    /// CREATE TRIGGER: the function runs when the table is written, and is read then.
    pub(super) fn create_trigger(&mut self, create: &pg::CreateTrigStmt) -> Result<Kind, Refusal> {
        self.altered(create.relation.as_ref(), Operation::Alter)?;
        if create.constrrel.is_some() {
            self.altered(create.constrrel.as_ref(), Operation::Alter)?;
        }
        self.other("trigger", &create.trigname, Operation::Create);
        Ok(self.stored_for_later(create))
    }

    /// CREATE RULE: its actions run when the table is used, and are read then.
    pub(super) fn create_rule(&mut self, rule: &pg::RuleStmt) -> Result<Kind, Refusal> {
        self.altered(rule.relation.as_ref(), Operation::Alter)?;
        self.other("rule", &rule.rulename, Operation::Create);
        Ok(self.stored_for_later(rule))
    }

    pub(super) fn create_domain(&mut self, create: &pg::CreateDomainStmt) -> Result<Kind, Refusal> {
        self.other("domain", &joined(&create.domainname), Operation::Create);
        if let Some(name) = &create.type_name {
            self.type_name(name)?;
        }
        for node in &create.constraints {
            self.domain_constraint(node)?;
        }
        Ok(self.bounded(create))
    }

    pub(super) fn alter_domain(&mut self, alter: &pg::AlterDomainStmt) -> Result<Kind, Refusal> {
        self.other("domain", &joined(&alter.type_name), Operation::Alter);
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
        let parts = name.map(|name| [name.schemaname.as_str(), name.relname.as_str()]);
        let parts = parts.iter().flatten().filter(|part| !part.is_empty());
        let name = parts.copied().collect::<Vec<_>>().join(".");
        self.other("type", &name, Operation::Create);
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
        self.other(object_sort(sort), &name, Operation::Create);
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

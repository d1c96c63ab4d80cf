//! Who may do what: privileges, roles, owners, row security. A grant on all relations of a schema is one on each.

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, GrantTargetType, Node, ObjectType},
};

use super::{
    super::{Refusal, resolver::Resolver, scope::Scope},
    joined, object_names, object_sort, role_names,
};
use crate::{
    catalog::RelationKind,
    facts::{Kind, Operation},
};

impl Resolver<'_> {
    /// GRANT and REVOKE of privileges.
    pub(super) fn grant(&mut self, grant: &pg::GrantStmt) -> Result<Kind, Refusal> {
        let everything = grant.targtype() == GrantTargetType::AclTargetAllInSchema;
        for node in &grant.objects {
            match &node.node {
                Some(NodeEnum::RangeVar(name)) => {
                    self.altered(Some(name), Operation::Grant)?;
                }
                Some(NodeEnum::String(schema)) if everything => {
                    self.grant_all(&schema.sval, grant.objtype())?;
                }
                _ => {
                    let names = object_names(Some(node));
                    self.object_named(grant.objtype(), &names, Operation::Grant);
                }
            }
        }
        if grant.objects.is_empty() {
            self.other(object_sort(grant.objtype()), "", Operation::Grant);
        }
        self.bounded(grant);
        Ok(Kind::Grant)
    }

    fn grant_all(&mut self, schema: &str, sort: ObjectType) -> Result<(), Refusal> {
        let wanted = |kind: RelationKind| match sort {
            ObjectType::ObjectTable => {
                !matches!(kind, RelationKind::Sequence | RelationKind::Composite)
            }
            ObjectType::ObjectSequence => kind == RelationKind::Sequence,
            _ => false,
        };
        for relation in self.relations_in(schema)? {
            if wanted(relation.kind) {
                self.book.plain(Self::object(&relation), Operation::Grant);
            }
        }
        self.other("schema", schema, Operation::Grant);
        if !matches!(sort, ObjectType::ObjectTable | ObjectType::ObjectSequence) {
            self.functions_in(schema, Operation::Grant);
        }
        Ok(())
    }

    /// GRANT and REVOKE of roles: both who gets and what is given change.
    pub(super) fn grant_roles(&mut self, grant: &pg::GrantRoleStmt) -> Kind {
        for name in role_names(&grant.granted_roles)
            .into_iter()
            .chain(role_names(&grant.grantee_roles))
        {
            self.other("role", name, Operation::Grant);
        }
        self.bounded(grant);
        Kind::Grant
    }

    /// ALTER DEFAULT PRIVILEGES: for what comes to be in a schema, or anywhere.
    pub(super) fn default_privileges(&mut self, alter: &pg::AlterDefaultPrivilegesStmt) -> Kind {
        let schemas: Vec<String> = alter
            .options
            .iter()
            .filter_map(|node| match &node.node {
                Some(NodeEnum::DefElem(option)) if option.defname == "schemas" => {
                    Some(object_names(option.arg.as_deref()))
                }
                _ => None,
            })
            .flatten()
            .collect();
        for schema in &schemas {
            self.other("default privileges", schema, Operation::Grant);
        }
        if schemas.is_empty() {
            self.other("default privileges", "", Operation::Grant);
        }
        self.bounded(alter);
        Kind::Grant
    }

    /// CREATE ROLE and ALTER ROLE.
    pub(super) fn role(&mut self, name: &str, statement: &impl serde::Serialize) -> Kind {
        self.other("role", name, Operation::Grant);
        self.bounded(statement);
        Kind::Grant
    }

    pub(super) fn drop_roles(&mut self, drop: &pg::DropRoleStmt) -> Kind {
        for name in role_names(&drop.roles) {
            self.other("role", name, Operation::Grant);
        }
        self.bounded(drop);
        Kind::Grant
    }

    /// DROP OWNED and REASSIGN OWNED: what a role owns is not in the catalog.
    pub(super) fn owned(&mut self, roles: &[Node], statement: &impl serde::Serialize) -> Kind {
        for name in role_names(roles) {
            self.other("role", name, Operation::Grant);
        }
        self.book.opaque(
            "owned",
            "reaches every object of a role, which the statement does not name",
        );
        self.bounded(statement);
        Kind::Grant
    }

    /// ALTER ... OWNER TO.
    pub(super) fn set_owner(&mut self, alter: &pg::AlterOwnerStmt) -> Result<Kind, Refusal> {
        self.object_touched(
            alter.object_type(),
            alter.relation.as_ref(),
            alter.object.as_deref(),
            Operation::Grant,
        )?;
        self.bounded(alter);
        Ok(Kind::Grant)
    }

    /// CREATE POLICY and ALTER POLICY: which rows of a table who may see. The conditions run when it is queried.
    pub(super) fn policy(
        &mut self,
        table: Option<&pg::RangeVar>,
        conditions: [Option<&Node>; 2],
        (name, statement): (&str, &impl serde::Serialize),
        operation: Operation,
    ) -> Result<Kind, Refusal> {
        let relation = self.altered(table, Operation::Alter)?;
        self.altered(table, Operation::Grant)?;
        self.other("policy", name, operation);
        let scope = match &relation {
            Some(relation) => self.scope_of(relation)?,
            None => Scope::any_column(),
        };
        for condition in conditions {
            self.optional(condition, &scope)?;
        }
        Ok(self.bounded(statement))
    }

    /// CREATE CONVERSION tries its function out.
    pub(super) fn create_conversion(&mut self, create: &pg::CreateConversionStmt) -> Kind {
        self.made_as(ObjectType::ObjectConversion, &create.conversion_name);
        self.book.opaque(
            &joined(&create.func_name),
            "a conversion's function is run when it is created",
        );
        self.bounded(create)
    }
}

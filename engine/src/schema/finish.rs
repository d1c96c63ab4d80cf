//! The catalog that a draft comes to: what constraints, parents and partitions say, spelled out for each relation.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    draft::{Ancestry, Constraint, Draft, Speaks, Table},
    server::SERVER,
};
use crate::{
    catalog::{
        Cascade, Catalog, Content, ForeignKey, Relation, RowSecurity, Trigger, TypeKind, UserType,
    },
    facts::CatalogVersion,
};

impl Draft {
    /// The catalog, under a version.
    pub(super) fn assemble(&self, version: CatalogVersion) -> Catalog {
        let mut relations = SERVER.relations.clone();
        relations.extend(self.tables.values().map(|table| self.finished(table)));
        let content = Content {
            server_version_num: SERVER.version_num,
            database: Arc::clone(&self.database),
            schemas: self.schemas.clone(),
            temp_schema: None,
            relations,
            functions: self.routines.values().cloned().collect(),
            called: self.called.clone(),
            operators: self.user_operators.clone(),
            types: self
                .types
                .values()
                .map(|found| self.supported(found))
                .collect(),
            casts: self.casts.clone(),
            comparisons: BTreeSet::new(),
            event_triggers: self
                .event_triggers
                .iter()
                .filter(|(_, enabled)| *enabled)
                .map(|(trigger, _)| trigger.clone())
                .collect(),
            builtins: SERVER.single.iter().cloned().collect(),
        };
        Catalog::assemble(content, version)
    }

    /// A type with those of its functions that do more than compute.
    fn supported(&self, found: &UserType) -> UserType {
        let mut support: Vec<u32> = found
            .support
            .iter()
            .copied()
            .filter(|oid| !self.is_trusted(*oid))
            .collect();
        support.sort_unstable();
        support.dedup();
        UserType {
            support,
            ..found.clone()
        }
    }

    /// A relation as the catalog has it: what constraints and parents say, spelled out.
    fn finished(&self, table: &Table) -> Relation {
        let constraints = self.constraints(table);
        let mut attributes = table.columns.clone();
        for attribute in &mut attributes {
            attribute.constrained = constraints
                .iter()
                .any(|constraint| constraint.columns.contains(&attribute.number))
                || self.is_domain(attribute.type_oid);
        }
        let mut unique_keys: Vec<BTreeSet<i16>> = Vec::new();
        let mut write_expressions: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut foreign_keys = Vec::new();
        for constraint in &constraints {
            write_expressions.extend(constraint.expressions.iter().cloned());
            match &constraint.speaks {
                Speaks::Check { expression, .. } => write_expressions.extend(expression.clone()),
                Speaks::Unique { key: Some(key), .. } if !unique_keys.contains(key) => {
                    unique_keys.push(key.clone());
                }
                Speaks::Foreign {
                    to,
                    from,
                    referenced,
                    ..
                } => foreign_keys.push(ForeignKey(*to, from.clone(), referenced.clone())),
                Speaks::Unique { .. } | Speaks::Exclusion | Speaks::Index => {}
            }
        }
        let definition = table.view.as_ref().map(|view| Arc::clone(&view.definition));
        Relation {
            oid: table.oid,
            schema: Arc::clone(&table.schema),
            name: Arc::clone(&table.name),
            kind: table.kind,
            attributes,
            unique_keys,
            parents: table.parents.clone(),
            partition_key: table.partition_key.clone(),
            definition,
            definition_mark: None,
            triggers: self.triggers(table),
            rules: table.rules.clone(),
            row_security: match (table.row_security, table.row_security_forced) {
                (false, _) => RowSecurity::Off,
                (true, false) => RowSecurity::Enabled,
                (true, true) => RowSecurity::Forced,
            },
            policies: table.policies.clone(),
            indexes: indexes(table),
            cascades: self.cascades(table),
            write_expressions: write_expressions.into_iter().collect(),
            foreign_keys,
            columns: Vec::new(),
        }
    }

    /// Whether a type is a domain, the server's own included.
    fn is_domain(&self, oid: u32) -> bool {
        match self.types.get(&oid) {
            Some(found) => found.kind == TypeKind::Domain,
            None => SERVER
                .types
                .values()
                .any(|found| found.oid == oid && found.kind == TypeKind::Domain),
        }
    }

    /// A relation's own constraints, and those that it has of its parents: a partition all of them, an heir the checks.
    fn constraints(&self, table: &Table) -> Vec<Constraint> {
        let mut all = table.constraints.clone();
        for parent in table.parents.iter().filter_map(|oid| self.tables.get(oid)) {
            for constraint in self.constraints(parent) {
                let passed_on = match &constraint.speaks {
                    Speaks::Check { inherited, .. } => *inherited,
                    _ => table.ancestry == Ancestry::Partition,
                };
                if passed_on {
                    all.extend(translated(&constraint, parent, table));
                }
            }
        }
        all
    }

    fn triggers(&self, table: &Table) -> Vec<Trigger> {
        let enabled = |trigger: &&Trigger| !table.disabled.contains(&trigger.name);
        let mut triggers: Vec<Trigger> = table.triggers.iter().filter(enabled).cloned().collect();
        if table.ancestry == Ancestry::Partition {
            for parent in table.parents.iter().filter_map(|oid| self.tables.get(oid)) {
                let passed_on = self.triggers(parent).into_iter().filter(|trigger| {
                    self.is_row_trigger(parent, &trigger.name)
                        && !table.disabled.contains(&trigger.name)
                });
                triggers
                    .extend(passed_on.map(|trigger| translated_trigger(trigger, parent, table)));
            }
        }
        triggers.sort_by(|left, right| left.name.cmp(&right.name));
        triggers
    }

    fn is_row_trigger(&self, table: &Table, name: &Arc<str>) -> bool {
        table.row_triggers.contains(name)
            || table
                .parents
                .iter()
                .filter_map(|oid| self.tables.get(oid))
                .any(|parent| self.is_row_trigger(parent, name))
    }

    /// Foreign keys elsewhere that refer to this relation.
    fn cascades(&self, table: &Table) -> Vec<Cascade> {
        let mut mine = vec![table.oid];
        let mut current = table;
        while current.ancestry == Ancestry::Partition
            && let Some(parent) = current.parents.first().and_then(|oid| self.tables.get(oid))
        {
            mine.push(parent.oid);
            current = parent;
        }
        let mut cascades = Vec::new();
        for other in self.tables.values() {
            for constraint in self.constraints(other) {
                if let Speaks::Foreign {
                    to,
                    on_delete,
                    on_update,
                    ..
                } = constraint.speaks
                    && mine.contains(&to)
                {
                    cascades.push(Cascade {
                        oid: other.oid,
                        on_delete,
                        on_update,
                    });
                }
            }
        }
        cascades
    }
}

/// The names of a table's indexes.
fn indexes(table: &Table) -> Vec<Arc<str>> {
    let is_index = |one: &&Constraint| {
        matches!(
            one.speaks,
            Speaks::Unique { .. } | Speaks::Exclusion | Speaks::Index
        )
    };
    let mut names: Vec<Arc<str>> = table
        .constraints
        .iter()
        .filter(is_index)
        .map(|one| one.name.as_str().into())
        .collect();
    names.sort();
    names
}

/// A parent's trigger over the columns of the same names of a child.
fn translated_trigger(trigger: Trigger, parent: &Table, child: &Table) -> Trigger {
    let number = |number: &i16| {
        let column = parent.columns.iter().find(|one| one.number == *number)?;
        Some(child.column(&column.name)?.number)
    };
    Trigger {
        columns: trigger.columns.iter().filter_map(number).collect(),
        ..trigger
    }
}

/// A parent's constraint over the columns of the same names of a child; `None` where the child lacks one.
fn translated(constraint: &Constraint, parent: &Table, child: &Table) -> Option<Constraint> {
    let number = |number: i16| {
        let column = parent
            .columns
            .iter()
            .find(|column| column.number == number)?;
        Some(child.column(&column.name)?.number)
    };
    let list = |numbers: &[i16]| {
        numbers
            .iter()
            .map(|one| number(*one))
            .collect::<Option<Vec<_>>>()
    };
    let set = |numbers: &BTreeSet<i16>| {
        numbers
            .iter()
            .map(|one| number(*one))
            .collect::<Option<BTreeSet<_>>>()
    };
    let speaks = match &constraint.speaks {
        Speaks::Unique { key, primary } => Speaks::Unique {
            key: match key {
                Some(key) => Some(set(key)?),
                None => None,
            },
            primary: match primary {
                Some(primary) => Some(list(primary)?),
                None => None,
            },
        },
        Speaks::Foreign {
            to,
            from,
            referenced,
            on_delete,
            on_update,
        } => Speaks::Foreign {
            to: *to,
            from: list(from)?,
            referenced: referenced.clone(),
            on_delete: *on_delete,
            on_update: *on_update,
        },
        other => other.clone(),
    };
    Some(Constraint {
        name: constraint.name.clone(),
        speaks,
        columns: set(&constraint.columns)?,
        expressions: constraint.expressions.clone(),
    })
}
